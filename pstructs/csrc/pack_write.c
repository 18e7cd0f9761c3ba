/* pack_write.c -- one value to the bytes of one new pack.
 *
 * The problem: a save must cost what is new, not what is there, and a first save
 * of everything must not lose against pickle. The tree is walked depth first:
 *
 *     node in an importable pack       a reference (nothing is read but its digest)
 *     heap node that remembers such a place          the same
 *     heap node                        its children's records, then its own
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
#include "pack_writer.h"

#ifdef __APPLE__
#include <sys/random.h>
#endif
#include <stdlib.h>
#include <unistd.h>

/* ---- packs */

/* The import index of the pack, or PS_WRITE_COPY; PS_WRITE_UNDECIDED with an exception. */
static PS_NOINLINE uint32_t
decide(ps_writer *w, ps_pack *pack)
{
    bool yes = false;
    if (PyList_Append(w->packs, (PyObject *)pack) < 0) {
        return PS_WRITE_UNDECIDED;
    }
    /* A feature that a reader may ignore and a writer may not: copy. */
    if (w->importable != NULL && w->n_imports < PS_PACK_MAX_IMPORTS &&
        ps_load32(pack->data + PS_H_READ_COMPATIBLE) == 0) {
        PyObject *r = PyObject_CallOneArg(w->importable, (PyObject *)pack);
        int truth = r ? PyObject_IsTrue(r) : -1;
        Py_XDECREF(r);
        if (truth < 0) {
            return PS_WRITE_UNDECIDED;
        }
        yes = truth;
    }
    if (w->n_decisions <= pack->id) {
        uint32_t n = pack->id + 64;
        uint32_t *more = PyMem_RawRealloc(w->decisions, n * sizeof *more);
        if (more == NULL) {
            PyErr_NoMemory();
            return PS_WRITE_UNDECIDED;
        }
        memset(more + w->n_decisions, 0, (n - w->n_decisions) * sizeof *more);
        w->decisions = more;
        w->n_decisions = n;
    }
    if (yes) {
        size_t cap = w->imports_cap;
        if (ps_image_grow((void **)&w->imports, &cap, w->n_imports + 1, sizeof *w->imports) < 0) {
            return PS_WRITE_UNDECIDED;
        }
        w->imports_cap = (uint32_t)cap;
        w->imports[++w->n_imports] = (PyObject *)pack;
    }
    return w->decisions[pack->id] = yes ? w->n_imports : PS_WRITE_COPY;
}

PS_INLINE uint32_t
import_of(ps_writer *w, ps_pack *pack)
{
    uint32_t d = pack->id < w->n_decisions ? w->decisions[pack->id] : PS_WRITE_UNDECIDED;
    return PS_LIKELY(d != PS_WRITE_UNDECIDED) ? d : decide(w, pack);
}

uint32_t
ps_write_import_of(ps_writer *w, ps_pack *pack)
{
    return import_of(w, pack);
}

/* ---- what values refer to */

static int
hook_raw(ps_encoder *e, PyObject *data, ps_ref *ref)
{
    ps_writer *w = (ps_writer *)((char *)e - offsetof(ps_writer, encoder));
    Py_buffer view;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) {
        return -1;
    }
    place at = 0;
    int r = ps_image_add_content(w, PS_REC_RAW, NULL, view.buf, (uint64_t)view.len, &at);
    PyBuffer_Release(&view);
    *ref = (ps_ref){PS_REC_RAW, (uint16_t)PLACE_IMPORT(at), PLACE_OFFSET(at)};
    return r;
}

/* Where the nodes of a nested collection are; offset 0: it is empty. */
static int
write_collection(ps_writer *w, PyObject *collection, ps_ref *ref, PyObject **order)
{
    ps_state *st = w->st;
    place at = 0;
    uint64_t count;
    int r = 0;
    if (Py_TYPE(collection) == st->vector) {
        const ps_rrb *t = ps_vector_tree(collection);
        ref->kind = PS_ARRAY_VECTOR;
        r = t->count ? ps_write_vector(w, t, &at) : 0;
    }
    else if (Py_TYPE(collection) == st->sorted_map || Py_TYPE(collection) == st->sorted_set) {
        ps_btree t = ps_sorted_tree(collection);
        ref->kind = (uint8_t)(PS_ARRAY_SORTED + t.shape);
        *order = ((ps_sorted *)collection)->key;
        count = (uint64_t)t.count;
        r = t.root ? ps_write_slot(w, t.root, ref->kind, -1, &at, &count) : 0;
    }
    else {
        ps_tree tree = ps_tree_of(collection);
        ref->kind = Py_TYPE(collection) == st->map ? PS_REC_MAP : PS_REC_SET;
        r = tree.root ? ps_write_slot(w, tree.root, ref->kind, 0, &at, &count) : 0;
    }
    ref->import = (uint16_t)PLACE_IMPORT(at);
    ref->offset = PLACE_OFFSET(at);
    return r;
}

static int
hook_collection(ps_encoder *e, PyObject *collection, ps_ref *ref, PyObject **order)
{
    ps_writer *w = (ps_writer *)((char *)e - offsetof(ps_writer, encoder));
    ps_encoder outer = *e;
    size_t mark = w->n_jobs;
    uint64_t arena_mark = w->arena.len;
    e->out = &w->scratch;
    int r = write_collection(w, collection, ref, order);
    if (r == 0) {
        ps_image_flush(w, mark, arena_mark);
    }
    int depth = e->depth;
    *e = outer;
    e->depth = depth;
    return r;
}

/* One more node or record on the C stack, which takes about 1 kB each: collections
 * may nest, and every one of them may be 27 nodes deep. 0, or -1: no room. */
static int
enter(ps_writer *w)
{
    enum { MAX_FRAMES = 4000 };
    if (w->frames >= MAX_FRAMES) {
        PyErr_Format(PyExc_RecursionError,
                     "collections nest deeper than %d nodes in all; packs can't hold them",
                     MAX_FRAMES);
        return -1;
    }
    w->frames++;
    return 0;
}

/* ---- entries: appended to scratch */

int
ps_copy_messages(ps_writer *w, ps_pack *pack, uint64_t record, const uint8_t *p, size_t n,
                 bool *has_refs)
{
    uint64_t start = w->scratch.len;
    ps_buf list = {NULL, 0, 0};
    int result = -1;
    if (n == 0) {
        return 0; /* and the scratch may have no memory yet to point into */
    }
    if (ps_buf_add(&w->scratch, p, n) < 0) {
        return -1;
    }
    /* The copy is what is looked at: the file may change. */
    if (ps_image_list_refs(w, w->scratch.data + start, w->scratch.data + start + n, &list) < 0) {
        goto done;
    }
    for (size_t i = 0; i < list.len; i += sizeof(uint64_t)) {
        uint64_t at = ps_load64(list.data + i);
        ps_ref ref = ps_ref_load(w->scratch.data + start + at);
        ps_pack *target;
        place to;
        uint64_t count;
        *has_refs = true;
        if (ref.offset == 0 && ref.import == 0 && ps_kind_is_node(ref.kind)) {
            continue;
        }
        uint64_t from = record ? record : (uint64_t)(p - pack->data) + at;
        if (ps_pack_follow(w->st, pack, from, ref, &target) < 0) {
            goto done;
        }
        if (ps_copy_record(w, target, ref.offset, ref.kind, ps_kind_is_array(ref.kind) ? -1 : 0,
                           &to, &count) < 0) {
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

int
ps_write_packed(ps_writer *w, ps_slot s, bool *has_refs)
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
        r = ps_copy_messages(w, pack, 0, p, (size_t)(stop - p), has_refs);
    }
    return r < 0 || ps_pack_lost(w->st, pack) < 0 ? -1 : 0;
}

int
ps_write_key(ps_writer *w, PyObject *key)
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

int
ps_write_value(ps_writer *w, PyObject *value, PyObject *key)
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
        place at;
        if (ps_image_add_value(w, w->scratch.data + start, n, e->has_refs, &at) < 0) {
            return -1;
        }
        ps_ref ref = {PS_REC_VALUE, (uint16_t)PLACE_IMPORT(at), PLACE_OFFSET(at)};
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

/* ---- nodes of the heap */

/* Everything here waits for memory, so it is asked for ahead of its use: while one
 * new child is written, the keys and values of the next one and the headers of its
 * children; then, while its own entries are encoded, the records that its children
 * remember and the rest of its new children. */
PS_INLINE void
prefetch_parts(const ps_node *n)
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
            ps_prefetch(value + 31); /* half of all small ints straddle a line */
        }
    }
    const ps_slot *child = n->slots + end, *stop = child + ps_popcount(n->nodemap);
    for (; child < stop; child++) {
        if (!ps_slot_is_packed(*child)) {
            ps_prefetch(ps_slot_node(*child));
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
            prefetch_parts(n);
        }
    }
}

/* Entries of a collision node have no place of their own: order them by their
 * encoded bytes, so that equal nodes get equal digests. */
static int
sort_collision(ps_writer *w, uint64_t start, parts *t)
{
    int result = -1;
    size_t length = w->scratch.len - start;
    uint8_t *copy = PyMem_RawMalloc(length + 1);
    ps_piece *pieces = PyMem_RawMalloc((t->n_entries + 1) * sizeof *pieces);
    if (copy == NULL || pieces == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    memcpy(copy, w->scratch.data + start, length);
    for (uint32_t i = 0; i < t->n_entries; i++) {
        uint64_t from = i ? t->ends[i - 1] : 0;
        pieces[i] = (ps_piece){copy + from, (size_t)(t->ends[i] - from)};
    }
    qsort(pieces, t->n_entries, sizeof *pieces, ps_piece_order);
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
            if (ps_write_packed(w, e[0], &copied) < 0) {
                return -1;
            }
        }
        else {
            key = ps_slot_obj(e[0]);
            if (ps_write_key(w, key) < 0) {
                return -1;
            }
        }
        if (width == 2) {
            if (ps_slot_is_packed(e[1])) {
                if (ps_write_packed(w, e[1], &copied) < 0) {
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
                    r = ps_write_value(w, value, key);
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

static PS_NOINLINE int
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
    uint32_t fresh = prefetch_records(w, children, t.n_children);
    w->encoder.has_refs = false;
    if (encode_entries(w, n, width, &t) < 0) {
        goto done;
    }
    has_refs = w->encoder.has_refs;
    if (t.n_children) {
        prefetch_next(children, fresh);
        for (uint32_t i = 0; i < t.n_children; i++) {
            uint64_t below = 0;
            if (fresh >> i & 1) {
                fresh &= fresh - 1;
                prefetch_next(children, fresh);
            }
            if (ps_write_slot(w, children[i], (uint8_t)(width - 1), level + 1, &t.children[i],
                              &below) < 0) {
                goto done;
            }
            t.count += below;
        }
        ps_image_flush(w, mark, arena_mark);
    }
    if (PS_UNLIKELY(level == PS_MAX_LEVEL) && sort_collision(w, start, &t) < 0) {
        goto done;
    }
    if (ps_image_add_node(w, width, level, n->datamap, n->nodemap, &t, start, has_refs, NULL, NULL,
                          at) < 0) {
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

static PS_NOINLINE int
copy_node(ps_writer *w, ps_pack *pack, const ps_record *r, place *at)
{
    int result = -1, width = r->kind + 1;
    uint64_t few_ends[PS_WIDTH], start = w->scratch.len;
    bool has_refs = false;
    parts t = {.n_entries = r->n_entries,
               .n_children = r->n_children,
               .ends = few_ends,
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
    if (ps_copy_messages(w, pack, r->offset, r->content, (size_t)r->length, &has_refs) < 0) {
        goto done;
    }
    /* Entries first, then children, as in write_heap_node: equal trees, equal images. */
    for (uint32_t i = 0; i < t.n_children; i++) {
        ps_pack *target;
        ps_ref child = ps_record_child(r, i);
        uint64_t below;
        if (ps_pack_follow(w->st, pack, r->offset, child, &target) < 0 ||
            ps_copy_record(w, target, child.offset, r->kind, r->level + 1, &t.children[i],
                           &below) < 0) {
            goto done;
        }
    }
    result = ps_image_add_node(w, width, r->level, r->datamap, r->nodemap, &t, start, has_refs,
                               NULL, r->at + PS_R_DIGEST, at);
done:
    w->scratch.len = start;
    if (t.ends != few_ends) {
        PyMem_RawFree(t.ends);
    }
    return result;
}

int
ps_copy_record(ps_writer *w, ps_pack *pack, uint64_t offset, uint8_t kind, int level, place *at,
               uint64_t *count)
{
    ps_record r;
    uint32_t import = import_of(w, pack);
    if (import == PS_WRITE_UNDECIDED || ps_record_open(w->st, pack, offset, &r) < 0) {
        return -1;
    }
    if (r.kind != kind || (ps_kind_is_node(kind) && level >= 0 && r.level != level)) {
        ps_pack_damaged(w->st, pack, offset,
                        "a record has another level or kind than the reference says");
        return -1;
    }
    *count = ps_kind_is_node(kind) ? r.count : 0;
    if (import != PS_WRITE_COPY) {
        *at = PLACE(import, offset);
        return 0;
    }
    uint64_t slot = ps_slot_pack(pack->id, offset);
    if (ps_memo_find(w, slot, at)) {
        w->local_hits += PLACE_IMPORT(*at) == 0;
        return 0;
    }
    if (w->known != NULL) {
        int found = ps_known_find(w, r.at + PS_R_DIGEST, kind, r.level, *count, at);
        if (found != 0) {
            return found < 0 ? -1 : ps_memo_add(w, slot, *at);
        }
    }
    if (enter(w) < 0) {
        return -1;
    }
    int result = -1;
    uint64_t start = w->scratch.len;
    bool has_refs = false;
    if (kind == PS_REC_RAW) {
        result = ps_image_add_content(w, kind, r.at + PS_R_DIGEST, r.content, r.length, at);
    }
    else if (kind == PS_REC_VALUE) {
        if (ps_copy_messages(w, pack, offset, r.content, (size_t)r.length, &has_refs) == 0) {
            result = ps_image_add_content(w, kind, r.at + PS_R_DIGEST, w->scratch.data + start,
                                          r.length, at);
        }
        w->scratch.len = start;
    }
    else {
        result = ps_kind_is_trie(kind) ? copy_node(w, pack, &r, at)
                                       : ps_copy_array_node(w, pack, &r, at);
    }
    w->frames--;
    if (result == 0 && ps_pack_lost(w->st, pack) < 0) {
        result = -1;
    }
    return result < 0 ? -1 : ps_memo_add(w, slot, *at);
}

int
ps_write_slot(ps_writer *w, ps_slot s, uint8_t kind, int level, place *at, uint64_t *count)
{
    if (ps_slot_is_packed(s)) {
        return ps_copy_record(w, ps_pack_of(w->st, s), ps_slot_offset(s), kind, level, at, count);
    }
    ps_node *n = ps_slot_node(s);
    ps_slot saved = ps_node_saved(n);
    if (saved) {
        ps_pack *pack = ps_pack_of(w->st, saved);
        uint32_t import = import_of(w, pack);
        if (import == PS_WRITE_UNDECIDED) {
            return -1;
        }
        if (import != PS_WRITE_COPY) {
            return ps_copy_record(w, pack, ps_slot_offset(saved), kind, level, at, count);
        }
    }
    bool shared = Py_REFCNT(n) > 1;
    if (shared && ps_memo_find(w, s, at)) {
        ps_record r;
        ps_pack local = {.data = w->image.data, .size = w->image.len, .end = w->image.len};
        uint32_t import = PLACE_IMPORT(*at);
        /* Its count is in its record. */
        if (ps_record_parse(import ? (ps_pack *)w->imports[import] : &local,
                            PLACE_OFFSET(*at) - (import ? 0 : w->base), &r) != NULL) {
            PyErr_SetString(PyExc_SystemError, "a record of the new pack is not well formed");
            return -1;
        }
        *count = r.count;
        w->local_hits += import == 0;
        /* A value may hold an older version of the map that it stands in, and so meet a
         * node whose digest still waits for its siblings. */
        if (import == 0 && w->n_done < w->n_jobs &&
            PLACE_OFFSET(*at) >= w->jobs[w->n_done].record) {
            ps_image_compute_digests(w);
        }
        return 0;
    }
    if (enter(w) < 0) {
        return -1;
    }
    if (level < 0) {
        level = ps_bt_height(n); /* the root of a sorted tree */
    }
    ps_write_mark mark = {w->image.len, w->arena.len, w->n_jobs, w->local_hits};
    int result = ps_kind_is_trie(kind) ? write_heap_node(w, n, kind + 1, level, at, count)
                                       : ps_write_array_node(w, n, kind, level, *count, at);
    w->frames--;
    if (result == 0 && w->known != NULL) {
        result = ps_known_node(w, &mark, kind, level, *count, at);
    }
    if (result < 0 ||
        ps_image_grow((void **)&w->saved, &w->saved_cap, w->n_saved, sizeof *w->saved) < 0) {
        return -1;
    }
    Py_INCREF(n);
    ps_pack *pack = (ps_pack *)(result > 0 ? Py_NewRef(w->imports[PLACE_IMPORT(*at)]) : NULL);
    w->saved[w->n_saved++] = (saved_node){n, pack, PLACE_OFFSET(*at)};
    return shared ? ps_memo_add(w, s, *at) : 0;
}

/* ---- the whole */

int
ps_random_uuid(uint8_t uuid[16])
{
    if (getentropy(uuid, 16) < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    return 0;
}

int
ps_writer_start(ps_writer *w, ps_state *st, PyObject *importable)
{
    w->st = st;
    w->importable = importable;
    w->packs = PyList_New(0);
    w->encoder = (ps_encoder){
        .st = st,
        .out = &w->scratch,
        .collection = hook_collection,
        .raw = hook_raw,
    };
    uint8_t *h = ps_buf_room(&w->image, PS_PACK_HEADER);
    if (h == NULL || w->packs == NULL) {
        return -1;
    }
    memset(h, 0, PS_PACK_HEADER);
    w->image.len = PS_PACK_HEADER;
    return 0;
}

int
ps_writer_finish(ps_writer *w, const uint8_t *uuid, uint8_t h[PS_PACK_HEADER])
{
    uint64_t root;
    w->known = NULL; /* the root is a record of this pack */
    if (ps_image_add_value(w, w->scratch.data, w->scratch.len, w->encoder.has_refs, &root) < 0) {
        return -1;
    }
    uint64_t end = ps_image_end(w);
    for (uint32_t i = 1; i <= w->n_imports; i++) {
        if (ps_buf_add(&w->image, ((ps_pack *)w->imports[i])->data + PS_H_UUID, PS_PACK_SHORT_ID) <
            0) {
            return -1;
        }
    }
    memset(h, 0, PS_PACK_HEADER);
    memcpy(h + PS_H_MAGIC, PS_PACK_MAGIC, 8);
    ps_store16(h + PS_H_VERSION, PS_PACK_VERSION);
    ps_store16(h + PS_H_SIZE, PS_PACK_HEADER);
    ps_store32(h + PS_H_DOMAIN, PS_HASH_DOMAIN);
    ps_store32(h + PS_H_IMPORTS, w->n_imports);
    if (uuid != NULL) {
        memcpy(h + PS_H_UUID, uuid, 16);
    }
    else if (ps_random_uuid(h + PS_H_UUID) < 0) {
        return -1;
    }
    ps_store64(h + PS_H_TOTAL, ps_image_end(w));
    ps_store64(h + PS_H_ROOT_OFFSET, root);
    ps_store64(h + PS_H_ROOT_LENGTH, end - root);
    memcpy(h + PS_H_ROOT_DIGEST, ps_image_digest(w, root), PS_DIGEST_SIZE);
    uint32_t crc = ps_crc32c(0, h, PS_H_CRC);
    const uint8_t *table = w->image.data + (end - w->base);
    ps_store32(h + PS_H_CRC, ps_crc32c(crc, table, (size_t)(ps_image_end(w) - end)));
    return 0;
}

static void
drop_memo(ps_writer *w)
{
    PyMem_RawFree(w->memo);
    w->memo = NULL;
    w->memo_used = w->memo_size = 0;
}

static void
drop_saved(ps_writer *w)
{
    saved_node *saved = w->saved;
    size_t n = w->n_saved;
    w->saved = NULL;
    w->n_saved = w->saved_cap = 0;
    for (size_t i = 0; i < n; i++) {
        Py_DECREF(saved[i].node);
        Py_XDECREF(saved[i].pack);
    }
    PyMem_RawFree(saved);
}

int
ps_writer_forget(ps_writer *w)
{
    drop_memo(w);
    drop_saved(w);
    if ((uint32_t)PyList_GET_SIZE(w->packs) == w->n_imports) {
        return 0;
    }
    PyObject *imports = PyList_New(w->n_imports), *packs = w->packs;
    if (imports == NULL) {
        return -1;
    }
    memset(w->decisions, 0, w->n_decisions * sizeof *w->decisions);
    for (uint32_t i = 1; i <= w->n_imports; i++) {
        PyList_SET_ITEM(imports, i - 1, Py_NewRef(w->imports[i]));
        w->decisions[((ps_pack *)w->imports[i])->id] = i;
    }
    w->packs = imports;
    Py_DECREF(packs);
    return 0;
}

static void
drop_work(ps_writer *w)
{
    ps_buf_clear(&w->scratch);
    ps_buf_clear(&w->arena);
    drop_memo(w);
    PyMem_RawFree(w->jobs);
    PyMem_RawFree(w->decisions);
    PyMem_RawFree(w->imports);
    PyMem_RawFree(w->kept);
    w->jobs = NULL;
    w->decisions = NULL;
    w->imports = NULL;
    w->kept = NULL;
    Py_CLEAR(w->packs);
}

ps_writer *
ps_writer_new(ps_state *st, PyObject *value, PyObject *importable, PyObject *known,
              const uint8_t *uuid)
{
    uint8_t header[PS_PACK_HEADER];
    ps_writer *w = PyMem_RawCalloc(1, sizeof *w);
    if (w == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    w->known = known;
    if (ps_writer_start(w, st, importable) < 0 || ps_msg_encode(&w->encoder, value) < 0 ||
        ps_writer_finish(w, uuid, header) < 0) {
        ps_writer_free(w);
        return NULL;
    }
    memcpy(w->image.data, header, PS_PACK_HEADER);
    drop_work(w);
    w->importable = NULL;
    return w;
}

void
ps_writer_clear(ps_writer *w)
{
    drop_work(w);
    drop_saved(w);
    ps_buf_clear(&w->image);
}

void
ps_writer_free(ps_writer *w)
{
    ps_writer_clear(w);
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
    if (pack->size != w->image.len || memcmp(pack->data, w->image.data, PS_PACK_HEADER) != 0) {
        PyErr_SetString(PyExc_ValueError,
                        "adopt() needs the pack that this writer's image became");
        return -1;
    }
    /* Releasing what a node remembered may run code that comes back here. */
    saved_node *saved = w->saved;
    size_t n = w->n_saved;
    w->saved = NULL;
    w->n_saved = w->saved_cap = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t id = (saved[i].pack ? saved[i].pack : pack)->id;
        ps_node_set_saved(w->st, saved[i].node, ps_slot_pack(id, saved[i].offset));
        Py_DECREF(saved[i].node);
        Py_XDECREF(saved[i].pack);
    }
    PyMem_RawFree(saved);
    return 0;
}
