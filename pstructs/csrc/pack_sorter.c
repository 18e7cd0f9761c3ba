/* pack_sorter.c -- the external merge sort behind pack_sorter.h.
 *
 * A run is written from its sorted index in blocks, and read through a buffer of its own, so the
 * file is only ever accessed in sequence, run by run. The runs stand in a binary heap by (hash or
 * key of the first entry, number of the run), which keeps equal ones in the order they were added
 * in. Comparing keys may run user code, which can't get at the sorter.
 *
 * Cost: O(n log n) in all; memory: the buffer and, when it is sorted, 32 bytes an entry; while
 * merging, the room that the caller grants, of which a run gets 4 KiB at least.
 */
#include "pack_sorter.h"

#include <errno.h>
#include <unistd.h>

enum { BLOCK = 1 << 18, READ_LEAST = 1 << 12, READ_MOST = 1 << 20 };

/* What a decoded key takes, from what its message does: more than tuples of short strs and of
 * ints do, which take 90 bytes and 20 for each byte of their message. */
enum { KEY_LEAST = 128, KEY_BYTES = 24 };

/* Let go of the keys that were decoded for sorting. */
static void
drop_keys(ps_sorter *s)
{
    for (size_t i = 0; s->by_key && s->sorted != NULL && i < s->n_items; i++) {
        PyObject *key = (PyObject *)(uintptr_t)s->sorted[i].hash;
        s->sorted[i].hash = 0;
        Py_XDECREF(key);
    }
}

static void
drop_items(ps_sorter *s)
{
    drop_keys(s);
    ps_buf_clear(&s->entries);
    PyMem_RawFree(s->items);
    s->items = s->sorted = NULL;
    s->n_items = s->items_cap = s->objects = 0;
}

void
ps_sorter_clear(ps_sorter *s)
{
    drop_items(s);
    for (uint32_t i = 0; i < s->n_runs; i++) {
        PyMem_RawFree(s->runs[i].data);
        Py_CLEAR(s->runs[i].key);
    }
    PyMem_RawFree(s->runs);
    PyMem_RawFree(s->heap);
    *s = (ps_sorter){0};
}

/* ---- the buffer */

uint8_t *
ps_sorter_room(ps_sorter *s, size_t size)
{
    if (ps_image_grow((void **)&s->items, &s->items_cap, s->n_items, sizeof *s->items) < 0) {
        return NULL;
    }
    return ps_buf_room(&s->entries, size + 8);
}

void
ps_sorter_added(ps_sorter *s)
{
    ps_entry_head e;
    memcpy(&e, s->entries.data + s->entries.len, sizeof e);
    if (s->by_key) {
        ps_bt_kind kind = ps_order_kind(s->entries.data + s->entries.len + sizeof e);
        if (kind == PS_BT_ANY) {
            s->objects += KEY_LEAST + KEY_BYTES * (size_t)e.key_size;
        }
        s->words = kind != PS_BT_ANY && (s->n_items == 0 || (s->words && s->kind == kind));
        s->kind = kind;
    }
    s->items[s->n_items++] = (ps_sort_item){.hash = e.hash, .at = s->entries.len};
    s->entries.len += ps_entry_size(&e);
}

int
ps_sorter_sort(ps_sorter *s)
{
    int result = 0;
    if (s->sorted != NULL) {
        return 0;
    }
    ps_sort_item *spare = PyMem_RawMalloc((s->n_items + 1) * sizeof *spare);
    if (spare == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    s->sorted = s->items;
    if (s->n_items) {
        ps_sort_item *sorted = !s->by_key
                                   ? ps_sort_by_hash(s->items, spare, (Py_ssize_t)s->n_items)
                                   : ps_order_sort(s, spare);
        if (sorted == spare) {
            spare = s->items;
            s->items = s->sorted = sorted;
            s->items_cap = s->n_items + 1;
        }
        else if (sorted == NULL) {
            result = -1;
        }
    }
    PyMem_RawFree(spare);
    return result;
}

/* ---- the file */

static int
write_all(ps_sorter *s, const ps_buf *block)
{
    for (size_t done = 0; done < block->len;) {
        ssize_t n;
        Py_BEGIN_ALLOW_THREADS n =
            pwrite(s->fd, block->data + done, block->len - done, (off_t)s->file_end);
        Py_END_ALLOW_THREADS if (n < 0 && errno == EINTR && PyErr_CheckSignals() == 0)
        {
            continue;
        }
        if (n < 0) {
            if (!PyErr_Occurred()) {
                PyErr_SetFromErrno(PyExc_OSError);
            }
            return -1;
        }
        done += (size_t)n;
        s->file_end += (uint64_t)n;
    }
    return 0;
}

int
ps_sorter_spill(ps_sorter *s, int fd)
{
    ps_buf block = {NULL, 0, 0};
    size_t cap = s->runs_cap;
    int result = -1;
    s->fd = fd;
    if (s->n_items == 0) {
        s->sorted = NULL;
        return 0;
    }
    if (ps_image_grow((void **)&s->runs, &cap, s->n_runs, sizeof *s->runs) < 0) {
        return -1;
    }
    s->runs_cap = (uint32_t)cap;
    ps_run run = {.at = s->file_end};
    if (ps_sorter_sort(s) < 0) {
        return -1;
    }
    for (size_t i = 0; i < s->n_items; i++) {
        const uint8_t *p = s->entries.data + s->sorted[i].at;
        ps_entry_head e;
        if (i + 8 < s->n_items) {
            ps_prefetch(s->entries.data + s->sorted[i + 8].at);
        }
        memcpy(&e, p, sizeof e);
        if (ps_buf_add(&block, p, ps_entry_size(&e)) < 0) {
            goto done;
        }
        if (block.len >= BLOCK) {
            if (write_all(s, &block) < 0) {
                goto done;
            }
            block.len = 0;
        }
    }
    if (write_all(s, &block) < 0) {
        goto done;
    }
    run.end = s->file_end;
    s->runs[s->n_runs++] = run;
    drop_keys(s);
    s->sorted = NULL;
    s->n_items = s->objects = 0;
    s->entries.len = 0;
    result = 0;
done:
    ps_buf_clear(&block);
    return result;
}

/* Read on, with what is in the buffer moved to its front. At least `need` bytes are there
 * afterwards. 0, or -1. */
static int
refill(ps_sorter *s, ps_run *r, size_t need)
{
    memmove(r->data, r->data + r->pos, r->len - r->pos);
    r->len -= r->pos;
    r->pos = 0;
    if (need > r->cap) {
        uint8_t *data = PyMem_RawRealloc(r->data, need);
        if (data == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        r->data = data;
        r->cap = need;
    }
    while (r->len < need || (r->len < r->cap && r->at < r->end)) {
        uint64_t left = r->end - r->at;
        size_t n = r->cap - r->len < left ? r->cap - r->len : (size_t)left;
        ssize_t got;
        Py_BEGIN_ALLOW_THREADS got = pread(s->fd, r->data + r->len, n, (off_t)r->at);
        Py_END_ALLOW_THREADS if (got < 0 && errno == EINTR && PyErr_CheckSignals() == 0)
        {
            continue;
        }
        if (got <= 0) {
            if (!PyErr_Occurred()) {
                ps_raise(s->st, "PackError",
                         "what a pack is built of waits on the disk and can't be read back (%s); "
                         "nothing was built. Check the disk",
                         got < 0 ? strerror(errno) : "it was cut off");
            }
            return -1;
        }
        r->len += (size_t)got;
        r->at += (uint64_t)got;
    }
    return 0;
}

/* See to it that the first entry of a run is in its buffer. 1, 0: it is at its end, -1. */
static int
load(ps_sorter *s, ps_run *r)
{
    ps_entry_head e;
    if (r->pos == r->len && r->at == r->end) {
        return 0;
    }
    if (r->len - r->pos < sizeof e && refill(s, r, sizeof e) < 0) {
        return -1;
    }
    memcpy(&e, r->data + r->pos, sizeof e);
    size_t size = ps_entry_size(&e);
    if (r->len - r->pos < size && refill(s, r, size) < 0) {
        return -1;
    }
    return 1;
}

/* ---- the heap of runs */

/* 1, 0, -1 */
static int
before(ps_sorter *s, uint32_t a, uint32_t b)
{
    ps_run *ra = &s->runs[a], *rb = &s->runs[b];
    const uint8_t *pa = ra->data + ra->pos, *pb = rb->data + rb->pos;
    if (!s->by_key) {
        uint64_t ha = ps_load64(pa), hb = ps_load64(pb);
        return ha != hb ? ha < hb : a < b;
    }
    if (a > b) {
        return ps_order_less(s->st, pa, &ra->key, pb, &rb->key);
    }
    int less = ps_order_less(s->st, pb, &rb->key, pa, &ra->key);
    return less < 0 ? -1 : !less;
}

static int
sift_down(ps_sorter *s, uint32_t i)
{
    uint32_t run = s->heap[i];
    for (uint32_t child; (child = 2 * i + 1) < s->n_heap; i = child) {
        int right = child + 1 < s->n_heap ? before(s, s->heap[child + 1], s->heap[child]) : 0;
        if (right < 0) {
            return -1;
        }
        child += (uint32_t)right;
        int here = before(s, run, s->heap[child]);
        if (here < 0) {
            return -1;
        }
        if (here) {
            break;
        }
        s->heap[i] = s->heap[child];
    }
    s->heap[i] = run;
    return 0;
}

int
ps_sorter_merge(ps_sorter *s, size_t room)
{
    if (s->n_runs == 0) {
        return ps_sorter_sort(s);
    }
    if (ps_sorter_spill(s, s->fd) < 0) {
        return -1;
    }
    drop_items(s);
    s->heap = PyMem_RawMalloc(s->n_runs * sizeof *s->heap);
    if (s->heap == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    size_t each = room / s->n_runs;
    each = each < READ_LEAST ? READ_LEAST : each > READ_MOST ? READ_MOST : each;
    for (uint32_t i = 0; i < s->n_runs; i++) {
        ps_run *r = &s->runs[i];
        r->data = PyMem_RawMalloc(each);
        if (r->data == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        r->cap = each;
        if (load(s, r) < 0) {
            return -1;
        }
        s->heap[s->n_heap++] = i;
    }
    for (uint32_t i = s->n_heap / 2; i-- > 0;) {
        if (sift_down(s, i) < 0) {
            return -1;
        }
    }
    return 0;
}

int
ps_sorter_peek(ps_sorter *s, const uint8_t **entry)
{
    if (s->n_runs) {
        if (s->n_heap == 0) {
            return 0;
        }
        const ps_run *r = &s->runs[s->heap[0]];
        *entry = r->data + r->pos;
        return 1;
    }
    if (s->n_items == 0) {
        return 0;
    }
    *entry = s->entries.data + s->sorted->at;
    return 1;
}

int
ps_sorter_pop(ps_sorter *s)
{
    ps_entry_head e;
    if (s->n_runs == 0) {
        if (s->n_items > 8) {
            ps_prefetch(s->entries.data + s->sorted[8].at);
        }
        PyObject *key = s->by_key ? (PyObject *)(uintptr_t)s->sorted->hash : NULL;
        s->sorted++;
        s->n_items--;
        Py_XDECREF(key);
        return 0;
    }
    ps_run *r = &s->runs[s->heap[0]];
    Py_CLEAR(r->key);
    memcpy(&e, r->data + r->pos, sizeof e);
    r->pos += ps_entry_size(&e);
    int more = load(s, r);
    if (more < 0) {
        return -1;
    }
    if (more == 0) {
        PyMem_RawFree(r->data);
        r->data = NULL;
        s->heap[0] = s->heap[--s->n_heap];
        if (s->n_heap == 0) {
            return 0;
        }
    }
    return sift_down(s, 0);
}

PyObject **
ps_sorter_key(ps_sorter *s)
{
    return s->n_runs ? &s->runs[s->heap[0]].key : (PyObject **)(void *)&s->sorted->hash;
}
