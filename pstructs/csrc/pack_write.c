/* pack_write.c -- one value to the bytes of one new pack.
 *
 * The problem: a save must cost what is new, not what is there, and a first save
 * of everything must not lose against pickle. The tree is walked depth first:
 *
 *     node in an importable pack       a reference (nothing is read but its digest)
 *     heap node that remembers such a place          the same
 *     heap node                        children first, then its own record
 *     record in a pack that may not be imported      its bytes, with new references
 *
 * so references point backwards by construction, and a parent stands right behind
 * its children, which lookups like.
 *
 *     image     header | records ...              the bytes of the new pack
 *     scratch   payloads under construction, as a stack
 *     arena     messages to be digested, as a stack; jobs names them
 *
 * Digests of siblings do not need each other: a node is appended with its digest
 * and checksum left open, and its parent, which needs the digests of its children,
 * has them computed four at a time (blake2b.h). Copied records keep their digest,
 * since a digest does not depend on places.
 *
 * What dominates is waiting for memory: keys lie all over the heap in hash order.
 * So the objects of the next sibling are asked for while this one is written.
 *
 * A node that only one parent refers to (refcount 1) is met once; the others go
 * into a table, so that what is shared in memory is shared in the pack.
 *
 * Nothing that anyone else can see changes before adopt(). User code (codecs,
 * importable) runs in between; the writer holds references to all that it met.
 *
 * Cost: O(new nodes); about 150 ns an entry at a million.
 */
#include "pack.h"

#include "blake2b.h"

#ifdef __APPLE__
#include <sys/random.h>
#endif
#include <stdlib.h>
#include <unistd.h>

/* Where something is: import index << 40 | offset. */
typedef uint64_t place;
#define PLACE(import, offset) ((uint64_t)(import) << 40 | (offset))
#define PLACE_IMPORT(p) ((uint32_t)((p) >> 40))
#define PLACE_OFFSET(p) ((p) & PS_SLOT_MAX_OFFSET)

typedef struct {
    uint64_t record; /* offset in the image */
    uint32_t size;
    uint64_t message, length; /* in the arena */
} digest_job;

typedef struct {
    ps_node *node; /* owned */
    uint64_t offset;
} saved_node;

typedef struct {
    uint64_t key; /* heap node or packed slot; 0: free */
    place at;
} memo_entry;

enum { UNDECIDED = 0, COPY = UINT32_MAX }; /* else: import index */

struct ps_writer {
    ps_state *st;
    ps_buf image, scratch, arena;
    digest_job *jobs;
    size_t n_done, n_jobs, jobs_cap; /* the first n_done are computed */
    saved_node *saved;
    size_t n_saved, saved_cap;
    memo_entry *memo;
    size_t memo_used, memo_size; /* size: a power of two */
    uint32_t *decisions;         /* by pack id */
    uint32_t n_decisions;
    PyObject *packs;    /* list: every pack that was met, so that ids stay */
    PyObject **imports; /* borrowed from packs; [1..n_imports] */
    uint32_t n_imports, imports_cap;
    PyObject *importable; /* borrowed while writing */
    ps_encoder encoder;
    size_t new_records;
    int depth; /* of copied collections within collections */
};

static int write_slot(ps_writer *w, ps_slot s, int width, int level, place *at, uint64_t *count);

/* ---- small things */

static int
grow_array(void **array, size_t *cap, size_t used, size_t item)
{
    if (PS_LIKELY(used < *cap)) {
        return 0;
    }
    size_t more = *cap ? *cap * 2 : 64;
    void *p = PyMem_RawRealloc(*array, more * item);
    if (p == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    *array = p;
    *cap = more;
    return 0;
}

static uint64_t
mix(uint64_t x)
{
    x *= UINT64_C(0x9E3779B97F4A7C15);
    return x ^ x >> 32;
}

static bool
memo_find(const ps_writer *w, uint64_t key, place *at)
{
    if (w->memo_size == 0) {
        return false;
    }
    for (size_t i = mix(key) & (w->memo_size - 1);; i = (i + 1) & (w->memo_size - 1)) {
        if (w->memo[i].key == key) {
            *at = w->memo[i].at;
            return true;
        }
        if (w->memo[i].key == 0) {
            return false;
        }
    }
}

static int
memo_add(ps_writer *w, uint64_t key, place at)
{
    if (2 * (w->memo_used + 1) > w->memo_size) {
        size_t size = w->memo_size ? 2 * w->memo_size : 64;
        memo_entry *memo = PyMem_RawCalloc(size, sizeof *memo);
        if (memo == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        for (size_t i = 0; i < w->memo_size; i++) {
            if (w->memo[i].key) {
                size_t k = mix(w->memo[i].key) & (size - 1);
                while (memo[k].key) {
                    k = (k + 1) & (size - 1);
                }
                memo[k] = w->memo[i];
            }
        }
        PyMem_RawFree(w->memo);
        w->memo = memo;
        w->memo_size = size;
    }
    size_t i = mix(key) & (w->memo_size - 1);
    while (w->memo[i].key) {
        i = (i + 1) & (w->memo_size - 1);
    }
    w->memo[i] = (memo_entry){key, at};
    w->memo_used++;
    return 0;
}

/* The import index of the pack, or COPY; UNDECIDED with an exception. */
static PS_NOINLINE uint32_t
decide(ps_writer *w, ps_pack *pack)
{
    bool yes = false;
    if (PyList_Append(w->packs, (PyObject *)pack) < 0) {
        return UNDECIDED;
    }
    /* A feature that a reader may ignore and a writer may not: copy. */
    if (w->importable != NULL && w->n_imports < PS_PACK_MAX_IMPORTS &&
        ps_load32(pack->data + PS_H_READ_COMPATIBLE) == 0) {
        PyObject *r = PyObject_CallOneArg(w->importable, (PyObject *)pack);
        int truth = r ? PyObject_IsTrue(r) : -1;
        Py_XDECREF(r);
        if (truth < 0) {
            return UNDECIDED;
        }
        yes = truth;
    }
    if (w->n_decisions <= pack->id) {
        uint32_t n = pack->id + 64;
        uint32_t *more = PyMem_RawRealloc(w->decisions, n * sizeof *more);
        if (more == NULL) {
            PyErr_NoMemory();
            return UNDECIDED;
        }
        memset(more + w->n_decisions, 0, (n - w->n_decisions) * sizeof *more);
        w->decisions = more;
        w->n_decisions = n;
    }
    if (yes) {
        size_t cap = w->imports_cap;
        if (grow_array((void **)&w->imports, &cap, w->n_imports + 1, sizeof *w->imports) < 0) {
            return UNDECIDED;
        }
        w->imports_cap = (uint32_t)cap;
        w->imports[++w->n_imports] = (PyObject *)pack;
    }
    return w->decisions[pack->id] = yes ? w->n_imports : COPY;
}

PS_INLINE uint32_t
import_of(ps_writer *w, ps_pack *pack)
{
    uint32_t d = pack->id < w->n_decisions ? w->decisions[pack->id] : UNDECIDED;
    return PS_LIKELY(d != UNDECIDED) ? d : decide(w, pack);
}

/* The record at a place: local ones are always well formed. */
static const uint8_t *
record_at(ps_writer *w, place at)
{
    if (PLACE_IMPORT(at) == 0) {
        return w->image.data + PLACE_OFFSET(at);
    }
    return ((ps_pack *)w->imports[PLACE_IMPORT(at)])->data + PLACE_OFFSET(at);
}

/* Append n bytes to the image at a fresh offset; NULL on error. */
static uint8_t *
image_room(ps_writer *w, uint64_t n)
{
    if (PS_UNLIKELY(w->image.len + n > PS_SLOT_MAX_OFFSET - (1u << 20))) {
        PyErr_SetString(PyExc_OverflowError, "a pack can't be larger than 2**40 bytes");
        return NULL;
    }
    return ps_buf_room(&w->image, n);
}

static void
seal_crc(uint8_t *record, size_t size)
{
    ps_store32(record, ps_crc32c(0, record + 4, size - 4));
}

/* Compute the digests of all jobs that wait, and the checksums of their records. */
static void
compute_digests(ps_writer *w)
{
    ps_blake2b_job batch[PS_WIDTH];
    while (w->n_done < w->n_jobs) {
        size_t left = w->n_jobs - w->n_done, k = left < PS_WIDTH ? left : PS_WIDTH;
        const digest_job *jobs = w->jobs + w->n_done;
        for (size_t i = 0; i < k; i++) {
            batch[i] = (ps_blake2b_job){w->arena.data + jobs[i].message, jobs[i].length,
                                        w->image.data + jobs[i].record + PS_R_DIGEST};
        }
        ps_blake2b_many(batch, k);
        for (size_t i = 0; i < k; i++) {
            seal_crc(w->image.data + jobs[i].record, jobs[i].size);
        }
        w->n_done += k;
    }
}

/* The same for the jobs from mark on; they leave the stacks. */
static void
flush(ps_writer *w, size_t mark, uint64_t arena_mark)
{
    size_t done = w->n_done;
    if (w->n_jobs > mark) {
        w->n_done = done > mark ? done : mark;
        compute_digests(w);
        w->n_done = done < mark ? done : mark;
        w->n_jobs = mark;
        w->arena.len = arena_mark;
    }
}

/* ---- references inside of messages */

typedef struct {
    ps_buf *list; /* offsets of references, relative to base */
    const uint8_t *base;
} ref_list;

static int
collect_ref(void *arg, const uint8_t *ref)
{
    ref_list *r = arg;
    uint64_t at = (uint64_t)(ref - r->base);
    return ps_buf_add(r->list, &at, sizeof at);
}

/* Offsets of all references in n_messages messages from p to end. 0, -1. */
static int
list_refs(ps_writer *w, const uint8_t *p, const uint8_t *end, ps_buf *list)
{
    ref_list r = {list, p};
    while (p < end) {
        const uint8_t *next = ps_msg_skip(p, end);
        int found = next ? ps_msg_refs(p, end, collect_ref, &r) : -2;
        if (found) {
            if (found == -2) {
                ps_raise(w->st, "DamagedPackError",
                         "a value that is copied into a new pack is damaged; verify the pack it "
                         "comes from");
            }
            return -1;
        }
        p = next;
    }
    return 0;
}

/* Append the messages [p, p + n) to out with the places in their references
 * blanked, and after them what `after` has, and the digests of the targets. */
static int
add_content(ps_writer *w, ps_buf *out, const uint8_t *p, size_t n, bool has_refs,
            const uint8_t *after, size_t n_after)
{
    uint64_t start = out->len;
    ps_buf list = {NULL, 0, 0};
    int result = -1;
    if (ps_buf_add(out, p, n) < 0) {
        return -1;
    }
    if (has_refs && list_refs(w, p, p + n, &list) < 0) {
        goto done;
    }
    if (n_after && ps_buf_add(out, after, n_after) < 0) {
        goto done;
    }
    for (size_t i = 0; i < list.len; i += sizeof(uint64_t)) {
        static const uint8_t empty[PS_DIGEST_SIZE];
        uint64_t at = ps_load64(list.data + i);
        ps_ref ref = ps_ref_load(p + at);
        place to = PLACE(ref.import, ref.offset);
        const uint8_t *digest = ref.offset ? record_at(w, to) + PS_R_DIGEST : empty;
        memset(out->data + start + at + 1, 0, PS_REF_SIZE - 1);
        if (ps_buf_add(out, digest, PS_DIGEST_SIZE) < 0) {
            goto done;
        }
    }
    result = 0;
done:
    ps_buf_clear(&list);
    return result;
}

/* ---- value and raw records */

static int
start_content_record(ps_writer *w, uint8_t kind, const uint8_t digest[PS_DIGEST_SIZE],
                     const uint8_t *data, uint64_t n, uint64_t *offset)
{
    uint64_t at = w->image.len, head = PS_R_CONTENT;
    if (kind == PS_REC_RAW) {
        head += (0 - (at + head)) & (PS_RAW_ALIGN - 1);
    }
    uint8_t *record = image_room(w, head + n);
    if (record == NULL) {
        return -1;
    }
    memset(record, 0, head);
    memcpy(record + PS_R_DIGEST, digest, PS_DIGEST_SIZE);
    record[PS_R_FLAGS] = kind;
    ps_store64(record + PS_R_LENGTH, n);
    if (n) { /* data may be NULL */
        memcpy(record + head, data, n);
    }
    seal_crc(record, (size_t)(head + n));
    w->image.len += head + n;
    w->new_records++;
    *offset = at;
    return 0;
}

/* A value record of the message at p (not in the image). */
static int
write_value(ps_writer *w, const uint8_t *p, size_t n, bool has_refs, uint64_t *offset)
{
    uint8_t digest[PS_DIGEST_SIZE], kind = PS_REC_VALUE;
    if (has_refs) {
        ps_buf message = {NULL, 0, 0};
        if (ps_buf_add(&message, &kind, 1) < 0 ||
            add_content(w, &message, p, n, true, NULL, 0) < 0) {
            ps_buf_clear(&message);
            return -1;
        }
        ps_blake2b_digest(message.data, message.len, digest);
        ps_buf_clear(&message);
    }
    else {
        ps_blake2b b;
        ps_blake2b_init(&b);
        ps_blake2b_update(&b, &kind, 1);
        ps_blake2b_update(&b, p, n);
        ps_blake2b_final(&b, digest);
    }
    return start_content_record(w, kind, digest, p, n, offset);
}

static int
hook_raw(ps_encoder *e, PyObject *data, ps_ref *ref)
{
    ps_writer *w = (ps_writer *)((char *)e - offsetof(ps_writer, encoder));
    Py_buffer view;
    ps_blake2b b;
    uint8_t digest[PS_DIGEST_SIZE], kind = PS_REC_RAW;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) {
        return -1;
    }
    ps_blake2b_init(&b);
    ps_blake2b_update(&b, &kind, 1);
    ps_blake2b_update(&b, view.buf, (size_t)view.len);
    ps_blake2b_final(&b, digest);
    *ref = (ps_ref){PS_REC_RAW, 0, 0};
    int r = start_content_record(w, kind, digest, view.buf, (uint64_t)view.len, &ref->offset);
    PyBuffer_Release(&view);
    return r;
}

/* A nested PMap or PSet. */
static int
hook_collection(ps_encoder *e, PyObject *collection, ps_ref *ref)
{
    ps_writer *w = (ps_writer *)((char *)e - offsetof(ps_writer, encoder));
    ps_encoder outer = *e;
    ps_tree tree = ((ps_collection *)collection)->tree;
    int width = Py_TYPE(collection) == w->st->map ? 2 : 1;
    *ref = (ps_ref){(uint8_t)(width - 1), 0, 0};
    if (tree.root == 0) {
        return 0;
    }
    size_t mark = w->n_jobs;
    uint64_t arena_mark = w->arena.len, count;
    place at;
    e->out = &w->scratch;
    int r = write_slot(w, tree.root, width, 0, &at, &count);
    if (r == 0) {
        flush(w, mark, arena_mark);
    }
    int depth = e->depth;
    *e = outer;
    e->depth = depth;
    ref->import = (uint16_t)PLACE_IMPORT(at);
    ref->offset = PLACE_OFFSET(at);
    return r;
}

/* ---- entries: appended to scratch */

static int copy_record(ps_writer *w, ps_pack *pack, uint64_t offset, uint8_t kind, int level,
                       place *at, uint64_t *count);

/* Copy the messages [p, p + n) of pack to scratch, with their references remapped. */
static int
copy_messages(ps_writer *w, ps_pack *pack, const uint8_t *p, size_t n, bool *has_refs)
{
    uint64_t start = w->scratch.len;
    ps_buf list = {NULL, 0, 0};
    int result = -1;
    if (ps_buf_add(&w->scratch, p, n) < 0) {
        return -1;
    }
    /* The copy is what is looked at: the file may change. */
    if (list_refs(w, w->scratch.data + start, w->scratch.data + start + n, &list) < 0) {
        goto done;
    }
    for (size_t i = 0; i < list.len; i += sizeof(uint64_t)) {
        uint64_t at = ps_load64(list.data + i);
        ps_ref ref = ps_ref_load(w->scratch.data + start + at);
        ps_pack *target;
        place to;
        uint64_t count;
        *has_refs = true;
        if (ref.offset == 0 && ref.import == 0 && ref.kind < PS_REC_VALUE) {
            continue;
        }
        if (ps_pack_follow(w->st, pack, (uint64_t)(p - pack->data) + at, ref, &target) < 0) {
            goto done;
        }
        if (copy_record(w, target, ref.offset, ref.kind, 0, &to, &count) < 0) {
            goto done;
        }
        ref.import = (uint16_t)PLACE_IMPORT(to);
        ref.offset = PLACE_OFFSET(to);
        ps_ref_store(w->scratch.data + start + at, ref);
    }
    result = 0;
done:
    ps_buf_clear(&list);
    return result;
}

static int
copy_packed_message(ps_writer *w, ps_slot s, bool *has_refs)
{
    ps_pack *pack = ps_pack_of(w->st, s);
    uint64_t offset = ps_slot_offset(s);
    const uint8_t *p = pack->data + offset, *end = pack->data + pack->end, *stop;
    if (offset >= pack->end || (stop = ps_msg_skip(p, end)) == NULL) {
        ps_pack_damaged(w->st, pack, offset, "a value is cut off");
        return -1;
    }
    uint8_t c = *p;
    int r;
    if (c <= 0x7F || c >= 0xE0 || (c >= 0xA0 && c <= 0xC6) || (c >= 0xCA && c <= 0xD3) ||
        (c >= 0xD9 && c <= 0xDB)) { /* neither container nor extension */
        r = ps_buf_add(&w->scratch, p, (size_t)(stop - p));
    }
    else {
        r = copy_messages(w, pack, p, (size_t)(stop - p), has_refs);
    }
    return r < 0 || ps_pack_lost(w->st, pack) < 0 ? -1 : 0;
}

static int
encode_key(ps_writer *w, PyObject *key)
{
    ps_encoder *e = &w->encoder;
    PyTypeObject *type = Py_TYPE(key);
    e->key = key;
    e->in_key = true;
    if (PS_LIKELY(type == &PyUnicode_Type || type == &PyLong_Type || type == &PyBytes_Type)) {
        return ps_msg_encode(e, key);
    }
    int stable = ps_hash_is_stable(w->st, key);
    if (stable <= 0) {
        if (stable == 0) {
            ps_hash_raise_unsavable(w->st, key);
        }
        return -1;
    }
    PyObject *plain = ps_hash_plain(w->st, key);
    if (plain == NULL) {
        return -1;
    }
    int r = ps_msg_encode(e, plain);
    Py_DECREF(plain);
    return r;
}

static int
encode_value(ps_writer *w, PyObject *value, PyObject *key)
{
    ps_encoder *e = &w->encoder;
    uint64_t start = w->scratch.len;
    bool before = e->has_refs;
    e->key = key;
    e->in_key = false;
    e->has_refs = false;
    if (ps_msg_encode(e, value) < 0) {
        return -1;
    }
    size_t n = w->scratch.len - start;
    if (n > PS_VALUE_INLINE) {
        ps_ref ref = {PS_REC_VALUE, 0, 0};
        if (write_value(w, w->scratch.data + start, n, e->has_refs, &ref.offset) < 0) {
            return -1;
        }
        uint8_t *p = w->scratch.data + start;
        p[0] = 0xD7;
        p[1] = PS_EXT_REF;
        ps_ref_store(p + 2, ref);
        w->scratch.len = start + 2 + PS_REF_SIZE;
        e->has_refs = true;
    }
    e->has_refs |= before;
    return 0;
}

/* ---- node records */

typedef struct {
    uint32_t n_entries, n_children;
    uint64_t *ends; /* of the entries, relative to the payload */
    place children[PS_WIDTH];
    uint64_t count;
} parts;

static int
width_of(uint64_t x)
{
    int k = 1;
    while (x >>= 8) {
        k++;
    }
    return k;
}

/* Append the record of a node whose payload is scratch from `start` on. digest:
 * copied, or NULL: computed later, from the message that goes into the arena. */
static int
append_node(ps_writer *w, int width, int level, uint32_t datamap, uint32_t nodemap,
            const parts *t, uint64_t start, bool has_refs, const uint8_t *digest, place *at)
{
    bool collision = level == PS_MAX_LEVEL;
    size_t length = w->scratch.len - start;
    const uint8_t *payload = length ? w->scratch.data + start : (const uint8_t *)"";
    uint64_t offset = w->image.len;
    uint8_t flags = (uint8_t)(width - 1);
    int end_code = length <= 0xFF ? 0 : length <= 0xFFFF ? 1 : 2;
    if (length > UINT32_MAX) {
        PyErr_SetString(PyExc_OverflowError, "the keys of one node are beyond 2**32 bytes");
        return -1;
    }
    uint8_t *record = image_room(w, PS_R_NODE + 13 + 7u * PS_WIDTH +
                                        ((uint64_t)t->n_entries << end_code) + length + 8);
    if (record == NULL) {
        return -1;
    }
    uint8_t *p = record + PS_R_NODE;
    if (t->n_children) {
        place most_offset = 0;
        uint32_t most_import = 0;
        for (uint32_t i = 0; i < t->n_children; i++) {
            uint64_t o = PLACE_OFFSET(t->children[i]);
            uint32_t m = PLACE_IMPORT(t->children[i]);
            most_offset = o > most_offset ? o : most_offset;
            most_import = m > most_import ? m : most_import;
        }
        int offset_width = width_of(most_offset);
        int import_width = most_import == 0 ? 0 : most_import <= 0xFF ? 1 : 2;
        flags |= PS_RF_CHILDREN;
        ps_store32(p, nodemap);
        p += 4;
        if (t->count > UINT32_MAX) {
            flags |= PS_RF_WIDE_COUNT;
            ps_store64(p, t->count);
            p += 8;
        }
        else {
            ps_store32(p, (uint32_t)t->count);
            p += 4;
        }
        *p++ = (uint8_t)(import_width << 4 | offset_width);
        for (uint32_t i = 0; i < t->n_children; i++) {
            /* Stores more than the width: what follows is written afterwards. */
            ps_store16(p, (uint16_t)PLACE_IMPORT(t->children[i]));
            p += import_width;
            ps_store64(p, PLACE_OFFSET(t->children[i]));
            p += offset_width;
        }
    }
    for (uint32_t i = 0; i < t->n_entries; i++) {
        if (end_code == 0) {
            *p++ = (uint8_t)t->ends[i];
        }
        else if (end_code == 1) {
            ps_store16(p, (uint16_t)t->ends[i]);
            p += 2;
        }
        else {
            ps_store32(p, (uint32_t)t->ends[i]);
            p += 4;
        }
    }
    memcpy(p, payload, length);
    p += length;
    if (collision) {
        flags |= PS_RF_COLLISION;
    }
    record[PS_R_FLAGS] = (uint8_t)(flags | end_code << PS_RF_ENDS_SHIFT);
    record[PS_R_LEVEL] = (uint8_t)level;
    ps_store32(record + PS_R_DATAMAP, datamap);
    size_t size = (size_t)(p - record);
    w->image.len += size;
    w->new_records++;
    *at = offset;
    if (digest != NULL) {
        memcpy(record + PS_R_DIGEST, digest, PS_DIGEST_SIZE);
        seal_crc(record, size);
        return 0;
    }
    uint8_t digests[PS_DIGEST_SIZE * PS_WIDTH];
    for (uint32_t i = 0; i < t->n_children; i++) {
        memcpy(digests + PS_DIGEST_SIZE * i, record_at(w, t->children[i]) + PS_R_DIGEST,
               PS_DIGEST_SIZE);
    }
    if (grow_array((void **)&w->jobs, &w->jobs_cap, w->n_jobs, sizeof *w->jobs) < 0) {
        return -1;
    }
    uint64_t message = w->arena.len;
    uint8_t *m = ps_buf_room(&w->arena, 9);
    if (m == NULL) {
        return -1;
    }
    m[0] = (uint8_t)((width - 1) | (collision ? PS_RF_COLLISION : 0));
    ps_store32(m + 1, datamap);
    ps_store32(m + 5, t->n_children ? nodemap : 0);
    w->arena.len += 9;
    if (add_content(w, &w->arena, payload, length, has_refs, digests,
                    PS_DIGEST_SIZE * (size_t)t->n_children) < 0) {
        return -1;
    }
    w->jobs[w->n_jobs++] =
        (digest_job){offset, (uint32_t)size, message, w->arena.len - message};
    return 0;
}

/* Everything here waits for memory, so it is asked for in three steps, each one
 * node ahead of its use: the headers of the children of a node (while its own
 * entries are encoded); then the records that children remember, all at once; the
 * keys and values of a child (while the child before it is written). Measured at a
 * million entries: full save 300 -> 190 ms, 10,000 changed keys 45 -> 15 ms. */
PS_INLINE void
prefetch_entries(const ps_node *n)
{
    int width = ps_node_width(n), end = ps_popcount(n->datamap) * width;
    for (int i = 0; i < end; i += width) {
        const char *key = (const char *)ps_slot_obj(n->slots[i]);
        const char *value = (const char *)ps_slot_obj(n->slots[i + width - 1]);
        if (!ps_slot_is_packed(n->slots[i])) {
            ps_prefetch(key);
            ps_prefetch(key + 63); /* a short str begins at the end of a line */
        }
        if (!ps_slot_is_packed(n->slots[i + width - 1])) {
            ps_prefetch(value);
        }
    }
}

PS_INLINE void
prefetch_record(ps_writer *w, ps_slot ref)
{
    const ps_pack *pack = ps_pack_of(w->st, ref);
    uint64_t offset = ps_slot_offset(ref);
    ps_prefetch(pack->data + offset);
    ps_prefetch(pack->data + offset + 63);
    ps_prefetch(pack->checked + (offset < pack->size ? offset >> 7 : 0));
}

static void
prefetch_headers(const ps_slot *children, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (!ps_slot_is_packed(children[i])) {
            ps_prefetch(ps_slot_node(children[i]));
        }
    }
}

/* Bit i of the result: child i is a node that was never saved. */
static uint32_t
prefetch_records(ps_writer *w, const ps_slot *children, uint32_t n)
{
    uint32_t fresh = 0;
    for (uint32_t i = 0; i < n; i++) {
        ps_slot s = children[i];
        if (!ps_slot_is_packed(s)) {
            const ps_node *child = ps_slot_node(s);
            ps_slot saved = ps_node_saved(child);
            if (saved == 0) {
                const char *stop = (const char *)(child->slots + ps_node_size(child));
                for (const char *p = (const char *)child + 64; p < stop; p += 64) {
                    ps_prefetch(p);
                }
                fresh |= (uint32_t)1 << i;
                continue;
            }
            s = saved;
        }
        prefetch_record(w, s);
    }
    return fresh;
}

/* The objects of the first child in fresh. */
PS_INLINE void
prefetch_next(const ps_slot *children, uint32_t fresh)
{
    if (fresh) {
        const ps_node *n = ps_slot_node(children[ps_ctz(fresh)]);
        if (!ps_node_is_collision(n)) {
            prefetch_entries(n);
        }
    }
}

typedef struct {
    const uint8_t *data;
    size_t len;
} piece;

static int
piece_order(const void *a, const void *b)
{
    const piece *x = a, *y = b;
    int c = memcmp(x->data, y->data, x->len < y->len ? x->len : y->len);
    return c ? c : (x->len > y->len) - (x->len < y->len);
}

/* Entries of a collision node have no place of their own: order them by their
 * encoded bytes, so that equal nodes get equal digests. */
static int
sort_collision(ps_writer *w, uint64_t start, parts *t)
{
    int result = -1;
    size_t length = w->scratch.len - start;
    uint8_t *copy = PyMem_RawMalloc(length + 1);
    piece *pieces = PyMem_RawMalloc((t->n_entries + 1) * sizeof *pieces);
    if (copy == NULL || pieces == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    memcpy(copy, w->scratch.data + start, length);
    for (uint32_t i = 0; i < t->n_entries; i++) {
        uint64_t from = i ? t->ends[i - 1] : 0;
        pieces[i] = (piece){copy + from, (size_t)(t->ends[i] - from)};
    }
    qsort(pieces, t->n_entries, sizeof *pieces, piece_order);
    uint64_t at = 0;
    for (uint32_t i = 0; i < t->n_entries; i++) {
        if (i) {
            const uint8_t *end = pieces[i].data + pieces[i].len;
            const uint8_t *key_end = ps_msg_skip(pieces[i].data, end);
            size_t n = (size_t)(key_end - pieces[i].data);
            if (n <= pieces[i - 1].len && memcmp(pieces[i - 1].data, pieces[i].data, n) == 0) {
                ps_raise(w->st, "UnsavableKeyError",
                         "a map or set holds two keys that packs can't tell apart, as two NaN "
                         "objects; remove all but one");
                goto done;
            }
        }
        memcpy(w->scratch.data + start + at, pieces[i].data, pieces[i].len);
        at += pieces[i].len;
        t->ends[i] = at;
    }
    result = 0;
done:
    PyMem_RawFree(copy);
    PyMem_RawFree(pieces);
    return result;
}

/* An exact int whose encoding is surely shorter than PS_VALUE_INLINE. */
PS_INLINE bool
is_short_int(PyObject *value)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyUnstable_Long_IsCompact((PyLongObject *)value);
#else
    return Py_SIZE(value) >= -2 && Py_SIZE(value) <= 2;
#endif
}

/* Append the entries of n to scratch as its payload; their ends go into t. */
static int
encode_entries(ps_writer *w, const ps_node *n, int width, parts *t)
{
    uint64_t start = w->scratch.len;
    for (uint32_t i = 0; i < t->n_entries; i++) {
        const ps_slot *e = n->slots + (size_t)i * (size_t)width;
        bool copied = false;
        PyObject *key = NULL;
        if (ps_slot_is_packed(e[0])) {
            if (copy_packed_message(w, e[0], &copied) < 0) {
                return -1;
            }
        }
        else {
            key = ps_slot_obj(e[0]);
            if (encode_key(w, key) < 0) {
                return -1;
            }
        }
        if (width == 2) {
            if (ps_slot_is_packed(e[1])) {
                if (copy_packed_message(w, e[1], &copied) < 0) {
                    return -1;
                }
            }
            else {
                PyObject *value = ps_slot_obj(e[1]);
                PyTypeObject *type = Py_TYPE(value);
                int r;
                if (type == &PyFloat_Type || (type == &PyLong_Type && is_short_int(value))) {
                    /* Scalars of a few bytes can't be long or hold references. */
                    w->encoder.in_key = false;
                    r = ps_msg_encode(&w->encoder, value);
                }
                else {
                    r = encode_value(w, value, key);
                }
                if (r < 0) {
                    return -1;
                }
            }
        }
        w->encoder.has_refs |= copied;
        t->ends[i] = w->scratch.len - start;
    }
    return 0;
}

static int
write_heap_node(ps_writer *w, ps_node *n, int width, int level, place *at, uint64_t *count)
{
    int result = -1;
    uint64_t few_ends[PS_WIDTH];
    parts t;
    t.n_entries = (uint32_t)ps_node_entries(n);
    t.n_children = (uint32_t)ps_node_children(n);
    t.count = t.n_entries;
    t.ends = few_ends;
    const ps_slot *children = n->slots + (size_t)t.n_entries * (size_t)width;
    size_t mark = w->n_jobs;
    uint64_t arena_mark = w->arena.len, start = w->scratch.len;
    bool outer_refs = w->encoder.has_refs, has_refs;
    if (t.n_entries > PS_WIDTH) {
        t.ends = PyMem_RawMalloc(t.n_entries * sizeof *t.ends);
        if (t.ends == NULL) {
            PyErr_NoMemory();
            return -1;
        }
    }
    prefetch_headers(children, t.n_children);
    w->encoder.has_refs = false;
    if (encode_entries(w, n, width, &t) < 0) {
        goto done;
    }
    has_refs = w->encoder.has_refs;
    if (t.n_children) {
        uint32_t fresh = prefetch_records(w, children, t.n_children);
        prefetch_next(children, fresh);
        for (uint32_t i = 0; i < t.n_children; i++) {
            uint64_t below = 0;
            if (fresh >> i & 1) {
                fresh &= fresh - 1;
                prefetch_next(children, fresh);
            }
            if (write_slot(w, children[i], width, level + 1, &t.children[i], &below) < 0) {
                goto done;
            }
            t.count += below;
        }
        flush(w, mark, arena_mark);
    }
    if (PS_UNLIKELY(level == PS_MAX_LEVEL) && sort_collision(w, start, &t) < 0) {
        goto done;
    }
    if (append_node(w, width, level, n->datamap, n->nodemap, &t, start, has_refs, NULL, at) < 0) {
        goto done;
    }
    *count = t.count;
    result = 0;
done:
    w->scratch.len = start;
    w->encoder.has_refs = outer_refs;
    if (t.ends != few_ends) {
        PyMem_RawFree(t.ends);
    }
    return result;
}

/* ---- copying records of packs that may not be imported */

static int
copy_node(ps_writer *w, ps_pack *pack, const ps_record *r, place *at)
{
    int result = -1, width = r->kind + 1;
    uint64_t few_ends[PS_WIDTH], start = w->scratch.len;
    bool has_refs = false;
    parts t = {.n_entries = r->n_entries, .n_children = r->n_children, .ends = few_ends,
               .count = r->count};
    if (t.n_entries > PS_WIDTH) {
        t.ends = PyMem_RawMalloc(t.n_entries * sizeof *t.ends);
        if (t.ends == NULL) {
            PyErr_NoMemory();
            return -1;
        }
    }
    for (uint32_t i = 0; i < t.n_entries; i++) {
        t.ends[i] = ps_record_end(r, i);
        if (t.ends[i] > r->length || (i && t.ends[i] < t.ends[i - 1])) {
            ps_pack_damaged(w->st, pack, r->offset, "an entry leaves its record");
            goto done;
        }
    }
    if (copy_messages(w, pack, r->content, (size_t)r->length, &has_refs) < 0) {
        goto done;
    }
    /* Entries first, then children, as in write_heap_node: equal trees, equal images. */
    for (uint32_t i = 0; i < t.n_children; i++) {
        ps_pack *target;
        ps_ref child = ps_record_child(r, i);
        uint64_t below;
        if (ps_pack_follow(w->st, pack, r->offset, child, &target) < 0 ||
            copy_record(w, target, child.offset, r->kind, r->level + 1, &t.children[i], &below) <
                0) {
            goto done;
        }
    }
    result = append_node(w, width, r->level, r->datamap, r->nodemap, &t, start, has_refs,
                         r->at + PS_R_DIGEST, at);
done:
    w->scratch.len = start;
    if (t.ends != few_ends) {
        PyMem_RawFree(t.ends);
    }
    return result;
}

/* The place of a record of an open pack: referenced when it may be, else copied. */
static int
copy_record(ps_writer *w, ps_pack *pack, uint64_t offset, uint8_t kind, int level, place *at,
            uint64_t *count)
{
    ps_record r;
    uint32_t import = import_of(w, pack);
    if (import == UNDECIDED || ps_record_open(w->st, pack, offset, &r) < 0) {
        return -1;
    }
    if (r.kind != kind || (kind < PS_REC_VALUE && r.level != level)) {
        ps_pack_damaged(w->st, pack, offset,
                        "a record has another level or kind than the reference says");
        return -1;
    }
    *count = kind < PS_REC_VALUE ? r.count : 0;
    if (import != COPY) {
        *at = PLACE(import, offset);
        return 0;
    }
    uint64_t slot = ps_slot_pack(pack->id, offset);
    if (memo_find(w, slot, at)) {
        return 0;
    }
    if (Py_EnterRecursiveCall(" while saving a value")) {
        return -1;
    }
    int result = -1;
    uint64_t start = w->scratch.len;
    bool has_refs = false;
    if (++w->depth > 32 * PS_MSG_MAX_DEPTH) {
        PyErr_SetString(PyExc_RecursionError, "collections nest too deep to be copied");
    }
    else if (kind == PS_REC_RAW) {
        result = start_content_record(w, kind, r.at + PS_R_DIGEST, r.content, r.length, at);
    }
    else if (kind == PS_REC_VALUE) {
        if (copy_messages(w, pack, r.content, (size_t)r.length, &has_refs) == 0) {
            result = start_content_record(w, kind, r.at + PS_R_DIGEST, w->scratch.data + start,
                                          r.length, at);
        }
        w->scratch.len = start;
    }
    else {
        result = copy_node(w, pack, &r, at);
    }
    w->depth--;
    Py_LeaveRecursiveCall();
    if (result == 0 && ps_pack_lost(w->st, pack) < 0) {
        result = -1;
    }
    return result < 0 ? -1 : memo_add(w, slot, *at);
}

/* A node slot of any kind: where it is in the new pack's eyes. */
static int
write_slot(ps_writer *w, ps_slot s, int width, int level, place *at, uint64_t *count)
{
    if (ps_slot_is_packed(s)) {
        return copy_record(w, ps_pack_of(w->st, s), ps_slot_offset(s), (uint8_t)(width - 1), level,
                           at, count);
    }
    ps_node *n = ps_slot_node(s);
    ps_slot saved = ps_node_saved(n);
    if (saved) {
        ps_pack *pack = ps_pack_of(w->st, saved);
        uint32_t import = import_of(w, pack);
        if (import == UNDECIDED) {
            return -1;
        }
        if (import != COPY) {
            return copy_record(w, pack, ps_slot_offset(saved), (uint8_t)(width - 1), level, at,
                               count);
        }
    }
    bool shared = Py_REFCNT(n) > 1;
    if (shared && memo_find(w, s, at)) {
        ps_record r;
        ps_pack local = {.data = w->image.data, .size = w->image.len, .end = w->image.len};
        /* Its count is in its record. */
        if (ps_record_parse(&local, PLACE_OFFSET(*at), &r) != NULL) {
            PyErr_SetString(PyExc_SystemError, "a record of the new pack is not well formed");
            return -1;
        }
        *count = r.count;
        /* A value may hold an older version of the map that it stands in, and so meet a
         * node whose digest still waits for its siblings. */
        if (w->n_done < w->n_jobs && PLACE_OFFSET(*at) >= w->jobs[w->n_done].record) {
            compute_digests(w);
        }
        return 0;
    }
    if (write_heap_node(w, n, width, level, at, count) < 0 ||
        grow_array((void **)&w->saved, &w->saved_cap, w->n_saved, sizeof *w->saved) < 0) {
        return -1;
    }
    Py_INCREF(n);
    w->saved[w->n_saved++] = (saved_node){n, PLACE_OFFSET(*at)};
    return shared ? memo_add(w, s, *at) : 0;
}

/* ---- the whole */

static int
random_uuid(uint8_t uuid[16])
{
    if (getentropy(uuid, 16) < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    return 0;
}

static int
write_all(ps_writer *w, PyObject *value, const uint8_t *uuid)
{
    uint64_t root;
    uint8_t *h = ps_buf_room(&w->image, PS_PACK_HEADER);
    if (h == NULL) {
        return -1;
    }
    memset(h, 0, PS_PACK_HEADER);
    w->image.len = PS_PACK_HEADER;
    if (ps_msg_encode(&w->encoder, value) < 0 ||
        write_value(w, w->scratch.data, w->scratch.len, w->encoder.has_refs, &root) < 0) {
        return -1;
    }
    uint64_t end = w->image.len;
    for (uint32_t i = 1; i <= w->n_imports; i++) {
        if (ps_buf_add(&w->image, ((ps_pack *)w->imports[i])->data + PS_H_UUID,
                       PS_PACK_SHORT_ID) < 0) {
            return -1;
        }
    }
    h = w->image.data;
    memcpy(h + PS_H_MAGIC, PS_PACK_MAGIC, 8);
    ps_store16(h + PS_H_VERSION, PS_PACK_VERSION);
    ps_store16(h + PS_H_SIZE, PS_PACK_HEADER);
    ps_store32(h + PS_H_DOMAIN, PS_HASH_DOMAIN);
    ps_store32(h + PS_H_IMPORTS, w->n_imports);
    if (uuid != NULL) {
        memcpy(h + PS_H_UUID, uuid, 16);
    }
    else if (random_uuid(h + PS_H_UUID) < 0) {
        return -1;
    }
    ps_store64(h + PS_H_TOTAL, w->image.len);
    ps_store64(h + PS_H_ROOT_OFFSET, root);
    ps_store64(h + PS_H_ROOT_LENGTH, end - root);
    memcpy(h + PS_H_ROOT_DIGEST, h + root + PS_R_DIGEST, PS_DIGEST_SIZE);
    uint32_t crc = ps_crc32c(0, h, PS_H_CRC);
    ps_store32(h + PS_H_CRC, ps_crc32c(crc, h + end, w->image.len - end));
    return 0;
}

static void
drop_work(ps_writer *w)
{
    ps_buf_clear(&w->scratch);
    ps_buf_clear(&w->arena);
    PyMem_RawFree(w->jobs);
    PyMem_RawFree(w->memo);
    PyMem_RawFree(w->decisions);
    PyMem_RawFree(w->imports);
    w->jobs = NULL;
    w->memo = NULL;
    w->decisions = NULL;
    w->imports = NULL;
    Py_CLEAR(w->packs);
}

ps_writer *
ps_writer_new(ps_state *st, PyObject *value, PyObject *importable, const uint8_t *uuid)
{
    ps_writer *w = PyMem_RawCalloc(1, sizeof *w);
    if (w == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    w->st = st;
    w->importable = importable;
    w->packs = PyList_New(0);
    w->encoder = (ps_encoder){
        .st = st, .out = &w->scratch, .collection = hook_collection, .raw = hook_raw,
    };
    if (w->packs == NULL || write_all(w, value, uuid) < 0) {
        ps_writer_free(w);
        return NULL;
    }
    drop_work(w);
    w->importable = NULL;
    return w;
}

void
ps_writer_free(ps_writer *w)
{
    drop_work(w);
    for (size_t i = 0; i < w->n_saved; i++) {
        Py_DECREF(w->saved[i].node);
    }
    PyMem_RawFree(w->saved);
    ps_buf_clear(&w->image);
    PyMem_RawFree(w);
}

const uint8_t *
ps_writer_image(const ps_writer *w, size_t *size)
{
    *size = w->image.len;
    return w->image.data;
}

size_t
ps_writer_new_records(const ps_writer *w)
{
    return w->new_records;
}

int
ps_writer_adopt(ps_writer *w, ps_pack *pack)
{
    if (pack->size != w->image.len ||
        memcmp(pack->data, w->image.data, PS_PACK_HEADER) != 0) {
        PyErr_SetString(PyExc_ValueError, "adopt() needs the pack that this writer's image became");
        return -1;
    }
    size_t n = w->n_saved;
    w->n_saved = 0; /* releasing what a node remembered may run code that comes back here */
    for (size_t i = 0; i < n; i++) {
        ps_node *node = w->saved[i].node;
        ps_node_set_saved(w->st, node, ps_slot_pack(pack->id, w->saved[i].offset));
        Py_DECREF(node);
    }
    PyMem_RawFree(w->saved);
    w->saved = NULL;
    w->saved_cap = 0;
    return 0;
}
