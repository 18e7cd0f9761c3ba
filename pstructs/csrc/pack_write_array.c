/* pack_write_array.c -- saving vectors and sorted collections: pack_write.c's walk over
 * array nodes.
 *
 * A heap node becomes a record of the same level with the same children; what its raw
 * words say (where children end, how many entries are below) is stored as it is, so that
 * opening the record gives the node back. pack_array.c describes the bytes.
 *
 * A leaf of a vector that holds at least half of PS_WIDTH numbers of one type holds them as
 * an array of machine numbers, which others can read in place. Short vectors stay
 * messages: most numbers in them take one or two bytes.
 *
 * Cost: O(new nodes).
 */
#include "pack_writer.h"

/* ---- leaves of vectors */

/* The form that suits all elements. */
static uint8_t
leaf_form(const ps_node *n)
{
    if (n->datamap < PS_WIDTH / 2 || n->meta & PS_META_PACKED) {
        return PS_A_MESSAGES;
    }
    PyTypeObject *type = Py_TYPE(ps_slot_obj(n->slots[0]));
    for (uint32_t i = 0; i < n->datamap; i++) {
        PyObject *x = ps_slot_obj(n->slots[i]);
        int64_t number;
        if (Py_TYPE(x) != type || (type == &PyLong_Type && !ps_long_as_int64(x, &number))) {
            return PS_A_MESSAGES;
        }
    }
    return type == &PyLong_Type    ? PS_A_INT64
           : type == &PyFloat_Type ? PS_A_FLOAT64
           : type == &PyBool_Type  ? PS_A_BOOL
                                   : PS_A_MESSAGES;
}

static int
add_number(ps_writer *w, uint8_t form, PyObject *x)
{
    int64_t number = 0;
    uint8_t bytes[8];
    double real;
    switch (form) {
    case PS_A_BOOL:
        bytes[0] = x == Py_True;
        return ps_buf_add(&w->scratch, bytes, 1);
    case PS_A_FLOAT64:
        real = PyFloat_AS_DOUBLE(x);
        memcpy(bytes, &real, 8);
        break;
    default:
        ps_long_as_int64(x, &number);
        ps_store64(bytes, (uint64_t)number);
    }
    return ps_buf_add(&w->scratch, bytes, 8);
}

/* ---- entries */

/* Append what is in a slot as a message of its own. Keys are never put out of line. */
static int
add_message(ps_writer *w, ps_slot s, bool key, PyObject *name)
{
    if (ps_slot_is_packed(s)) {
        bool copied = false;
        int r = ps_write_packed(w, s, &copied);
        w->encoder.has_refs |= copied;
        return r;
    }
    if (!key) {
        return ps_write_value(w, ps_slot_obj(s), name);
    }
    w->encoder.key = ps_slot_obj(s);
    w->encoder.in_key = false;
    return ps_msg_encode(&w->encoder, ps_slot_obj(s));
}

static int
encode_vector_leaf(ps_writer *w, const ps_node *n, array_parts *t, uint64_t start)
{
    t->form = leaf_form(n);
    if (t->form != PS_A_MESSAGES) {
        t->n_entries = 0;
        for (uint32_t i = 0; i < t->n; i++) {
            if (add_number(w, t->form, ps_slot_obj(n->slots[i])) < 0) {
                return -1;
            }
        }
        return 0;
    }
    for (uint32_t i = 0; i < t->n; i++) {
        if (add_message(w, n->slots[i], false, NULL) < 0) {
            return -1;
        }
        t->ends[i] = w->scratch.len - start;
    }
    return 0;
}

static int
encode_sorted_leaf(ps_writer *w, const ps_node *n, array_parts *t, uint64_t start)
{
    int shape = t->kind - PS_ARRAY_SORTED, width = ps_bt_width(shape);
    int n_keys = shape & PS_BT_MAP ? width - 1 : width;
    for (int i = 0; i < (int)t->n; i++) {
        ps_slot key = ps_bt_leaf_key(n, i);
        PyObject *name = ps_slot_is_packed(key) ? NULL : ps_slot_obj(key);
        for (int j = 0; j < width; j++) {
            if (add_message(w, ps_bt_leaf_slot(n, j, i), j < n_keys, name) < 0) {
                return -1;
            }
        }
        t->ends[i] = w->scratch.len - start;
    }
    return 0;
}

/* ---- nodes */

/* Not on the C stack, where nodes of nested collections stand one upon the other. NULL with an
 * exception; give it to PyMem_RawFree. */
static array_parts *
parts_new(uint8_t kind, int level, uint64_t count)
{
    array_parts *t = PyMem_RawCalloc(1, sizeof *t);
    if (t == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    t->kind = kind;
    t->level = (uint8_t)level;
    t->count = count;
    return t;
}

/* Elements below child i of an inner node with `count` below it. */
static uint64_t
child_count(ps_node *n, uint8_t kind, int level, uint64_t count, uint32_t i)
{
    if (kind != PS_ARRAY_VECTOR) {
        return ps_bt_counts(n)[i];
    }
    if (ps_node_raw_words(n)) {
        return ps_node_raw(n)[i] - (i ? ps_node_raw(n)[i - 1] : 0);
    }
    uint64_t full = UINT64_C(1) << (PS_BITS * level);
    return i + 1 < n->datamap ? full : count - full * i;
}

/* The record of a child with `count` elements. A packed one says itself how many it has. */
static int
write_child(ps_writer *w, ps_slot child, uint8_t kind, int level, uint64_t count, place *at)
{
    uint64_t found = count;
    if (ps_write_slot(w, child, kind, level, at, &found) < 0) {
        return -1;
    }
    if (found != count) {
        ps_raise(
            w->st, "DamagedPackError",
            "a saved node has %llu elements, and what refers to it says %llu; verify the pack "
            "it comes from",
            (unsigned long long)found, (unsigned long long)count);
        return -1;
    }
    return 0;
}

/* The children's records, and what the record lists about them. */
static int
write_children(ps_writer *w, ps_node *n, int level, array_parts *t)
{
    bool vector = t->kind == PS_ARRAY_VECTOR;
    const ps_slot *children = n->slots + (vector ? 0 : 1);
    t->has_sizes = !vector || ps_node_raw_words(n) > 0;
    for (uint32_t i = 0; i < t->n_children; i++) {
        uint64_t below = child_count(n, t->kind, level, t->count, i);
        t->sizes[i] = below + (vector && i ? t->sizes[i - 1] : 0);
        t->words[i] = vector ? 0 : ps_bt_words(n)[i];
        if (write_child(w, children[i], t->kind, level - 1, below, &t->children[i]) < 0) {
            return -1;
        }
    }
    return 0;
}

int
ps_write_array_node(ps_writer *w, ps_node *n, uint8_t kind, int level, uint64_t count, place *at)
{
    int result = -1;
    bool vector = kind == PS_ARRAY_VECTOR;
    array_parts *t = parts_new(kind, level, count);
    size_t mark = w->n_jobs;
    uint64_t arena_mark = w->arena.len, start = w->scratch.len;
    bool outer_refs = w->encoder.has_refs;
    if (t == NULL) {
        return -1;
    }
    t->n = vector ? n->datamap : (uint32_t)ps_bt_size(n);
    w->encoder.has_refs = false;
    if (level == 0) {
        t->n_entries = t->n;
        t->form = vector ? 0 : (uint8_t)ps_bt_node_shape(n);
        if ((vector ? encode_vector_leaf(w, n, t, start) : encode_sorted_leaf(w, n, t, start)) <
            0) {
            goto done;
        }
    }
    else {
        t->n_children = t->n;
        if (!vector) {
            t->form = (uint8_t)(ps_bt_node_shape(n) | ps_bt_node_kind(n) << 4);
            t->n_entries = 1;
            if (add_message(w, ps_bt_min(n), true, NULL) < 0) {
                goto done;
            }
            t->ends[0] = w->scratch.len - start;
        }
        bool has_refs = w->encoder.has_refs;
        if (write_children(w, n, level, t) < 0) {
            goto done;
        }
        w->encoder.has_refs = has_refs;
        ps_image_flush(w, mark, arena_mark);
    }
    result = ps_image_add_array(w, t, start, w->encoder.has_refs, NULL, NULL, at);
done:
    w->scratch.len = start;
    w->encoder.has_refs = outer_refs;
    PyMem_RawFree(t);
    return result;
}

int
ps_write_vector(ps_writer *w, const ps_rrb *t, place *at)
{
    struct {
        ps_slot slot;
        uint8_t mask;
        int level;
        uint64_t count;
    } piece[3] = {
        {t->head, PS_A_HEAD, 0, t->n_head},
        {t->root, PS_A_BODY, (int)(t->shift / PS_BITS), (uint64_t)t->body},
        {t->tail, PS_A_TAIL, 0, (uint64_t)(t->count - t->body - (Py_ssize_t)t->n_head)},
    };
    array_parts *top = parts_new(PS_ARRAY_VECTOR, PS_A_TOP | piece[1].level, (uint64_t)t->count);
    int result = -1;
    if (top == NULL) {
        return -1;
    }
    top->has_sizes = true;
    size_t mark = w->n_jobs;
    uint64_t arena_mark = w->arena.len, start = w->scratch.len, end = 0;
    for (int i = 0; i < 3; i++) {
        if (piece[i].count == 0) {
            continue;
        }
        if (write_child(w, piece[i].slot, PS_ARRAY_VECTOR, piece[i].level, piece[i].count,
                        &top->children[top->n_children]) < 0) {
            goto done;
        }
        top->form |= piece[i].mask;
        top->sizes[top->n_children++] = end += piece[i].count;
    }
    ps_image_flush(w, mark, arena_mark);
    if (top->n_children == 1) {
        *at = top->children[0];
        result = 0;
        goto done;
    }
    top->n = top->n_children;
    result = ps_image_add_array(w, top, start, false, NULL, NULL, at);
done:
    PyMem_RawFree(top);
    return result;
}

/* ---- copying records of packs that may not be imported */

int
ps_copy_array_node(ps_writer *w, ps_pack *pack, const ps_record *r, place *at)
{
    int result = -1;
    uint64_t start = w->scratch.len, counts[PS_WIDTH];
    bool has_refs = false, vector = r->kind == PS_ARRAY_VECTOR;
    bool numbers = vector && r->n_children == 0 && r->form != PS_A_MESSAGES;
    array_parts *t = parts_new(r->kind, r->level, r->count);
    if (t == NULL) {
        return -1;
    }
    t->form = r->form;
    t->n = r->n_children ? r->n_children : (uint32_t)r->count;
    t->n_entries = r->n_entries;
    t->n_children = r->n_children;
    t->has_sizes = r->sizes != NULL;
    const char *wrong = r->n_children ? ps_array_counts(r, counts) : NULL;
    for (uint32_t i = 0; wrong == NULL && i < t->n_entries; i++) {
        t->ends[i] = ps_record_end(r, i);
        if (t->ends[i] > r->length || (i && t->ends[i] < t->ends[i - 1])) {
            wrong = "an entry leaves its record";
        }
    }
    if (wrong != NULL) {
        ps_pack_damaged(w->st, pack, r->offset, wrong);
        goto done;
    }
    if (numbers
            ? ps_buf_add(&w->scratch, r->content, (size_t)r->length) < 0
            : ps_copy_messages(w, pack, r->offset, r->content, (size_t)r->length, &has_refs) < 0) {
        goto done;
    }
    for (uint32_t i = 0; i < t->n_children; i++) {
        ps_pack *target;
        ps_ref child = ps_record_child(r, i);
        uint64_t below;
        if (ps_pack_follow(w->st, pack, r->offset, child, &target) < 0 ||
            ps_copy_record(w, target, child.offset, r->kind, ps_array_child_level(r, i),
                           &t->children[i], &below) < 0) {
            goto done;
        }
        if (below != counts[i]) {
            ps_pack_damaged(w->st, pack, r->offset,
                            "a node has another count than its parent says");
            goto done;
        }
        t->sizes[i] = counts[i] + (vector && i ? t->sizes[i - 1] : 0);
        t->words[i] = vector ? 0 : (int64_t)ps_load64(r->words + 8 * (uint64_t)i);
    }
    result = ps_image_add_array(w, t, start, has_refs, NULL, r->at + PS_R_DIGEST, at);
done:
    w->scratch.len = start;
    PyMem_RawFree(t);
    return result;
}
