/* pack_image.c -- the bytes of the records of a new pack.
 *
 *     image     header | record record ...         records get their final bytes at once,
 *                                                  but for digests that are put off
 *     arena     message | message | message        what those digests are made of
 *     jobs      (record, message) ...              a stack: a parent's children on top
 *
 * A node's digest needs the digests of its children, not of its siblings. So the job of
 * digesting a node waits until its parent asks, and siblings are digested four at a
 * time. The checksum of a record covers its digest and waits with it.
 *
 * Before a digest is read (for a parent, or for a reference in a value) its job has to
 * be done: parents flush their children's jobs; whoever meets a record a second time
 * calls ps_image_compute_digests when the record's job may still wait.
 *
 * Cost: O(bytes); 61 ns a small node for the digest, about 10 for the checksum.
 */
#include "pack_writer.h"

#include <stdlib.h>

/* ---- arrays and the table of what was written */

int
ps_image_grow(void **array, size_t *cap, size_t used, size_t item)
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

bool
ps_memo_find(const ps_writer *w, uint64_t key, place *at)
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

int
ps_memo_add(ps_writer *w, uint64_t key, place at)
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

/* ---- records and digests */

const uint8_t *
ps_image_digest(const ps_writer *w, place at)
{
    uint64_t offset = PLACE_OFFSET(at);
    if (PLACE_IMPORT(at) != 0) {
        return ((ps_pack *)w->imports[PLACE_IMPORT(at)])->data + offset + PS_R_DIGEST;
    }
    if (PS_LIKELY(offset >= w->base)) {
        return w->image.data + (offset - w->base) + PS_R_DIGEST;
    }
    size_t lo = 0, hi = w->n_kept - 1; /* it is there: see ps_image_drain */
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (w->kept[mid].offset < offset) {
            lo = mid + 1;
        }
        else {
            hi = mid;
        }
    }
    return w->kept[lo].digest;
}

/* Append n bytes to the image at a fresh offset; NULL on error. */
static uint8_t *
image_room(ps_writer *w, uint64_t n)
{
    if (PS_UNLIKELY(ps_image_end(w) + n > PS_SLOT_MAX_OFFSET - (1u << 20))) {
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
void
ps_image_compute_digests(ps_writer *w)
{
    ps_blake2b_job batch[PS_WIDTH];
    while (w->n_done < w->n_jobs) {
        size_t left = w->n_jobs - w->n_done, k = left < PS_WIDTH ? left : PS_WIDTH;
        const digest_job *jobs = w->jobs + w->n_done;
        for (size_t i = 0; i < k; i++) {
            batch[i] = (ps_blake2b_job){w->arena.data + jobs[i].message, jobs[i].length,
                                        w->image.data + (jobs[i].record - w->base) + PS_R_DIGEST};
        }
        ps_blake2b_many(batch, k);
        for (size_t i = 0; i < k; i++) {
            seal_crc(w->image.data + (jobs[i].record - w->base), jobs[i].size);
        }
        w->n_done += k;
    }
}

/* The same for the jobs from mark on; they leave the stacks. */
void
ps_image_flush(ps_writer *w, size_t mark, uint64_t arena_mark)
{
    size_t done = w->n_done;
    if (w->n_jobs > mark) {
        w->n_done = done > mark ? done : mark;
        ps_image_compute_digests(w);
        w->n_done = done < mark ? done : mark;
        w->n_jobs = mark;
        w->arena.len = arena_mark;
    }
}

static int
compare_kept(const void *pa, const void *pb)
{
    const kept_digest *a = pa, *b = pb;
    return a->offset < b->offset ? -1 : a->offset > b->offset;
}

int
ps_image_drain(ps_writer *w, PyObject *sink, const place *open, size_t n, bool all)
{
    ps_image_compute_digests(w);
    kept_digest *kept = PyMem_RawMalloc((n + 1) * sizeof *kept);
    size_t size = w->image.len;
    if (!all) {
        size -= size % PS_RAW_ALIGN; /* so that offsets in the image align as in the pack */
    }
    if (kept == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        kept[i].offset = PLACE_OFFSET(open[i]);
        memcpy(kept[i].digest, ps_image_digest(w, open[i]), PS_DIGEST_SIZE);
    }
    qsort(kept, n, sizeof *kept, compare_kept);
    PyMem_RawFree(w->kept);
    w->kept = kept;
    w->n_kept = n;
    PyObject *bytes = PyBytes_FromStringAndSize((const char *)w->image.data, (Py_ssize_t)size);
    PyObject *r = bytes ? PyObject_CallOneArg(sink, bytes) : NULL;
    Py_XDECREF(bytes);
    if (r == NULL) {
        return -1;
    }
    Py_DECREF(r);
    memmove(w->image.data, w->image.data + size, w->image.len - size);
    w->image.len -= size;
    w->base += size;
    return 0;
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
int
ps_image_list_refs(ps_writer *w, const uint8_t *p, const uint8_t *end, ps_buf *list)
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
 * blanked, and after them what `after` has, and the digests of the targets: those
 * given, or NULL. */
static int
add_content(ps_writer *w, ps_buf *out, const uint8_t *p, size_t n, bool has_refs,
            const uint8_t *targets, const uint8_t *after, size_t n_after)
{
    uint64_t start = out->len;
    ps_buf list = {NULL, 0, 0};
    int result = -1;
    if (ps_buf_add(out, p, n) < 0) {
        return -1;
    }
    if (has_refs && ps_image_list_refs(w, p, p + n, &list) < 0) {
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
        const uint8_t *digest = targets      ? targets + i / sizeof(uint64_t) * PS_DIGEST_SIZE
                                : ref.offset ? ps_image_digest(w, to)
                                             : empty;
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

static void
digest_content(uint8_t kind, const uint8_t *data, uint64_t n, uint8_t digest[PS_DIGEST_SIZE])
{
    ps_blake2b b;
    ps_blake2b_init(&b);
    ps_blake2b_update(&b, &kind, 1);
    ps_blake2b_update(&b, data, n);
    ps_blake2b_final(&b, digest);
}

int
ps_image_add_content(ps_writer *w, uint8_t kind, const uint8_t digest[PS_DIGEST_SIZE],
                     const uint8_t *data, uint64_t n, place *at)
{
    uint64_t offset = ps_image_end(w), head = PS_R_CONTENT;
    if (kind == PS_REC_RAW) {
        head += (0 - (offset + head)) & (PS_RAW_ALIGN - 1);
    }
    uint8_t *record = image_room(w, head + n);
    if (record == NULL) {
        return -1;
    }
    memset(record, 0, head);
    record[PS_R_FLAGS] = kind;
    ps_store64(record + PS_R_LENGTH, n);
    if (n) { /* data may be NULL */
        memcpy(record + head, data, n);
    }
    /* Of the copy: numpy works without the GIL, so data may change meanwhile. */
    if (digest == NULL) {
        digest_content(kind, record + head, n, record + PS_R_DIGEST);
    }
    else {
        memcpy(record + PS_R_DIGEST, digest, PS_DIGEST_SIZE);
    }
    seal_crc(record, (size_t)(head + n));
    w->image.len += head + n;
    w->new_records++;
    *at = offset;
    return w->known == NULL || ps_known_content(w, kind, offset, at) >= 0 ? 0 : -1;
}

/* A value record of the message at p (not in the image). */
int
ps_image_add_value(ps_writer *w, const uint8_t *p, size_t n, bool has_refs, place *at)
{
    uint8_t digest[PS_DIGEST_SIZE], kind = PS_REC_VALUE;
    ps_buf message = {NULL, 0, 0};
    if (!has_refs) {
        return ps_image_add_content(w, kind, NULL, p, n, at);
    }
    if (ps_buf_add(&message, &kind, 1) < 0 ||
        add_content(w, &message, p, n, true, NULL, NULL, 0) < 0) {
        ps_buf_clear(&message);
        return -1;
    }
    ps_blake2b_digest(message.data, message.len, digest);
    ps_buf_clear(&message);
    return ps_image_add_content(w, kind, digest, p, n, at);
}

/* ---- node records */

static int
width_of(uint64_t x)
{
    int k = 1;
    while (x >>= 8) {
        k++;
    }
    return k;
}

static void
reference_widths(const place *children, uint32_t n, int *offset_width, int *import_width)
{
    place most_offset = 0;
    uint32_t most_import = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t o = PLACE_OFFSET(children[i]);
        uint32_t m = PLACE_IMPORT(children[i]);
        most_offset = o > most_offset ? o : most_offset;
        most_import = m > most_import ? m : most_import;
    }
    *offset_width = width_of(most_offset);
    *import_width = most_import == 0 ? 0 : most_import <= 0xFF ? 1 : 2;
}

/* These return what is behind what they wrote, and store more than that. */
static uint8_t *
put_references(uint8_t *p, const place *children, uint32_t n, int offset_width, int import_width)
{
    for (uint32_t i = 0; i < n; i++) {
        ps_store16(p, (uint16_t)PLACE_IMPORT(children[i]));
        p += import_width;
        ps_store64(p, PLACE_OFFSET(children[i]));
        p += offset_width;
    }
    return p;
}

static uint8_t *
put_ends(uint8_t *p, const uint64_t *ends, uint32_t n, int end_code)
{
    for (uint32_t i = 0; i < n; i++) {
        ps_store32(p, (uint32_t)ends[i]);
        p += 1 << end_code;
    }
    return p;
}

static uint8_t *
put_number(uint8_t *p, uint64_t x, bool wide)
{
    ps_store64(p, x);
    return p + (wide ? 8 : 4);
}

/* Put off the digest and the checksum of the record at offset: of head, the payload with blank
 * references, the digests of the children and those of the references. 0, -1. */
static int
digest_later(ps_writer *w, uint64_t offset, size_t size, const uint8_t *head, size_t n_head,
             const uint8_t *payload, size_t length, bool has_refs, const uint8_t *targets,
             const place *children, uint32_t n_children)
{
    uint8_t digests[PS_DIGEST_SIZE * PS_WIDTH];
    uint64_t message = w->arena.len;
    for (uint32_t i = 0; i < n_children; i++) {
        memcpy(digests + PS_DIGEST_SIZE * i, ps_image_digest(w, children[i]), PS_DIGEST_SIZE);
    }
    if (ps_image_grow((void **)&w->jobs, &w->jobs_cap, w->n_jobs, sizeof *w->jobs) < 0 ||
        ps_buf_add(&w->arena, head, n_head) < 0 ||
        add_content(w, &w->arena, payload, length, has_refs, targets, digests,
                    PS_DIGEST_SIZE * (size_t)n_children) < 0) {
        return -1;
    }
    w->jobs[w->n_jobs++] = (digest_job){offset, (uint32_t)size, message, w->arena.len - message};
    return 0;
}

int
ps_image_add_node(ps_writer *w, int width, int level, uint32_t datamap, uint32_t nodemap,
                  const parts *t, uint64_t start, bool has_refs, const uint8_t *targets,
                  const uint8_t *digest, place *at)
{
    bool collision = level == PS_MAX_LEVEL;
    size_t length = w->scratch.len - start;
    const uint8_t *payload = length ? w->scratch.data + start : (const uint8_t *)"";
    uint64_t offset = ps_image_end(w);
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
        int offset_width, import_width;
        reference_widths(t->children, t->n_children, &offset_width, &import_width);
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
        p = put_references(p, t->children, t->n_children, offset_width, import_width);
    }
    p = put_ends(p, t->ends, t->n_entries, end_code);
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
    uint8_t head[9] = {(uint8_t)((width - 1) | (collision ? PS_RF_COLLISION : 0))};
    ps_store32(head + 1, datamap);
    ps_store32(head + 5, t->n_children ? nodemap : 0);
    return digest_later(w, offset, size, head, sizeof head, payload, length, has_refs, targets,
                        t->children, t->n_children);
}

int
ps_image_add_array(ps_writer *w, const array_parts *t, uint64_t start, bool has_refs,
                   const uint8_t *targets, const uint8_t *digest, place *at)
{
    size_t length = w->scratch.len - start;
    const uint8_t *payload = length ? w->scratch.data + start : (const uint8_t *)"";
    uint64_t offset = ps_image_end(w);
    int end_code = t->n_entries == 0 || length <= 0xFF ? 0 : length <= 0xFFFF ? 1 : 2;
    bool wide = t->n_children && t->count > UINT32_MAX;
    if (length > UINT32_MAX) {
        PyErr_SetString(PyExc_OverflowError, "the values of one node are beyond 2**32 bytes");
        return -1;
    }
    uint8_t *record = image_room(w, PS_A_NODE + 9 + 27u * PS_WIDTH + length + 16);
    if (record == NULL) {
        return -1;
    }
    uint8_t flags = PS_RF_ARRAY | (t->kind == PS_ARRAY_VECTOR ? 0 : 1);
    flags |= (uint8_t)(end_code << PS_RF_ENDS_SHIFT) | (wide ? PS_RF_WIDE_COUNT : 0);
    uint8_t *p = record + PS_A_NODE;
    if (t->n_children) {
        int offset_width, import_width;
        reference_widths(t->children, t->n_children, &offset_width, &import_width);
        flags |= PS_RF_CHILDREN;
        p = put_number(p, t->count, wide);
        *p++ = (uint8_t)(import_width << 4 | offset_width);
        p = put_references(p, t->children, t->n_children, offset_width, import_width);
        if (t->has_sizes) {
            flags |= PS_RF_SIZES;
            for (uint32_t i = 0; i < t->n_children; i++) {
                p = put_number(p, t->sizes[i], wide);
            }
        }
        for (uint32_t i = 0; t->kind != PS_ARRAY_VECTOR && i < t->n_children; i++) {
            ps_store64(p, (uint64_t)t->words[i]);
            p += 8;
        }
    }
    else if (t->kind == PS_ARRAY_VECTOR && (t->form == PS_A_INT64 || t->form == PS_A_FLOAT64)) {
        while ((offset + (uint64_t)(p - record)) & 7) {
            *p++ = 0;
        }
    }
    p = put_ends(p, t->ends, t->n_entries, end_code);
    memcpy(p, payload, length);
    p += length;
    record[PS_R_FLAGS] = flags;
    record[PS_R_LEVEL] = t->level;
    record[PS_A_N] = (uint8_t)t->n;
    record[PS_A_FORM] = t->form;
    ps_store16(record + PS_A_RESERVED, 0);
    size_t size = (size_t)(p - record);
    w->image.len += size;
    w->new_records++;
    *at = offset;
    if (digest != NULL) {
        memcpy(record + PS_R_DIGEST, digest, PS_DIGEST_SIZE);
        seal_crc(record, size);
        return 0;
    }
    const uint8_t head[4] = {t->kind, t->level, (uint8_t)t->n, t->form};
    return digest_later(w, offset, size, head, sizeof head, payload, length, has_refs, targets,
                        t->children, t->n_children);
}
