/* pack_verify_array.c -- what can be wrong with nodes of vectors and sorted collections.
 *
 *     counts    sizes add up, and every child has the level and the count that its parent says
 *     leaves    whole messages; padding of zeros; bools of 0 and 1
 *     order     keys ascend, in a leaf and from each child to the next
 *     words     those of an inner node are what its children's smallest keys give
 *
 * The keys of a child are not read again but for its first and its last: it was verified
 * before its parent. So a sorted tree costs O(log n) decoded keys for each node, and a vector
 * none. Keys that can't be decoded here, for lack of a codec, are not compared.
 *
 * Fill (how many elements a node should have at least) is not looked at: a thin tree is slow
 * and right.
 */
#include "pack_verifier.h"

#include "blake2b.h"

/* ---- keys of sorted nodes */

/* *key: new reference to the key at offset; NULL without an exception: it has no codec here. */
static int
decode_key(lens *v, ps_pack *pack, uint64_t offset, PyObject **key)
{
    *key = ps_pack_decode(v->st, pack, offset);
    if (*key == NULL || ps_codecs_load(v->st) < 0) {
        Py_CLEAR(*key);
        return -1;
    }
    int unknown = PyObject_IsInstance(*key, v->st->pack_slots[PS_CODEC_OPAQUE]);
    if (unknown) {
        Py_CLEAR(*key);
    }
    return unknown < 0 ? -1 : 0;
}

/* Whether a sorts before b; a NULL: whether b can be a key at all. 0, or -1: it does not. */
static int
verify_order(lens *v, PyObject *a, PyObject *b)
{
    ps_bt_probe p, q;
    int order = -1;
    if (b == NULL) {
        return 0;
    }
    ps_bt_probe_init(&q, b);
    if (a != NULL) {
        ps_bt_probe_init(&p, a);
    }
    if (a == NULL || q.kind == PS_BT_NAN ? ps_bt_accept(&q) < 0
                                         : ps_bt_compare(&p, &q, &order) < 0) {
        if (PyErr_ExceptionMatches(PyExc_TypeError) || PyErr_ExceptionMatches(PyExc_ValueError)) {
            PyErr_Clear();
            return ps_lens_wrong(v, v->offset, "the keys of a sorted collection have no order");
        }
        return -1;
    }
    return order < 0
               ? 0
               : ps_lens_wrong(v, v->offset, "the keys of a sorted collection do not ascend");
}

/* The first, or the last, order key below a record. */
static int
edge_key(lens *v, ps_pack *pack, const ps_record *record, bool last, PyObject **key)
{
    ps_record r = *record;
    while (r.n_children) {
        uint8_t kind = r.kind, level = r.level;
        ps_ref child = ps_record_child(&r, last ? r.n_children - 1 : 0);
        ps_pack *target;
        if (ps_pack_follow(v->st, pack, r.offset, child, &target) < 0 ||
            ps_record_open(v->st, target, child.offset, &r) < 0) {
            return -1;
        }
        if (r.kind != kind || r.level + 1 != level) {
            return ps_lens_wrong(v, v->offset,
                                 "a node has another level or kind than its parent says");
        }
        pack = target;
    }
    uint64_t start = last ? ps_record_start(&r, r.n_entries - 1) : 0;
    if (start >= r.length) {
        return ps_lens_wrong(v, v->offset, "an entry leaves its record");
    }
    return decode_key(v, pack, (uint64_t)(r.content - pack->data) + start, key);
}

/* ---- leaves */

static int
verify_numbers(lens *v, const ps_record *r)
{
    for (const uint8_t *p = r->at + PS_A_NODE; p < r->content; p++) {
        if (*p) {
            return ps_lens_wrong(v, v->offset, "padding is not zero");
        }
    }
    for (uint64_t i = 0; r->form == PS_A_BOOL && i < r->length; i++) {
        if (r->content[i] > 1) {
            return ps_lens_wrong(v, v->offset, "a bool is neither 0 nor 1");
        }
    }
    return ps_buf_add(&v->message, r->content, (size_t)r->length);
}

/* The key message at p: hashable, if asked for; *before, if given, sorts before it, and becomes
 * it. 0, -1. */
static int
verify_key(lens *v, const uint8_t *p, bool hashable, PyObject **before)
{
    PyObject *key;
    if (decode_key(v, v->pack, (uint64_t)(p - v->pack->data), &key) < 0) {
        return -1;
    }
    int rc = before == NULL ? 0 : verify_order(v, *before, key);
    if (rc == 0 && hashable && key != NULL && ps_sorted_check_key(key) < 0) {
        PyErr_Clear();
        rc = ps_lens_wrong(v, v->offset, "a key is not hashable");
    }
    if (before != NULL) {
        Py_XSETREF(*before, key);
    }
    else {
        Py_XDECREF(key);
    }
    return rc;
}

static int
verify_leaf(lens *v, const ps_record *r)
{
    bool vector = r->kind == PS_ARRAY_VECTOR;
    int shape = r->form & 3, width = vector ? 1 : ps_bt_width(shape);
    int n_keys = vector ? 0 : shape & PS_BT_MAP ? width - 1 : width;
    PyObject *before = NULL;
    int result = -1;
    for (uint32_t i = 0; i < r->n_entries; i++) {
        uint64_t start = ps_record_start(r, i), stop = ps_record_end(r, i);
        const uint8_t *p = r->content + start, *end = r->content + stop;
        if (start >= stop || stop > r->length) {
            ps_lens_wrong(v, v->offset, "an entry leaves its record");
            goto done;
        }
        for (int k = 0; k < width; k++) {
            const uint8_t *message = p;
            if (ps_lens_message(v, p, end, k >= n_keys, k + 1 < width ? &p : NULL) < 0) {
                goto done;
            }
            if (k < n_keys &&
                verify_key(v, message, k == n_keys - 1, k == 0 ? &before : NULL) < 0) {
                goto done;
            }
        }
    }
    result = 0;
done:
    Py_XDECREF(before);
    return result;
}

/* ---- inner nodes */

static int
verify_sorted_child(lens *v, const ps_record *r, ps_pack *pack, const ps_record *child, uint32_t i,
                    PyObject **before)
{
    PyObject *first = NULL;
    int result = -1;
    int64_t word = 0;
    if (edge_key(v, pack, child, false, &first) < 0 || verify_order(v, *before, first) < 0) {
        goto done;
    }
    Py_CLEAR(*before);
    ps_bt_kind kind = (ps_bt_kind)(r->form >> 4 & 3);
    if (first != NULL && kind != PS_BT_ANY && ps_bt_word(first, &word) != kind) {
        ps_lens_wrong(v, v->offset, "a key is of another kind than its node says");
        goto done;
    }
    if ((first != NULL || kind == PS_BT_ANY) &&
        (int64_t)ps_load64(r->words + 8 * (uint64_t)i) != (kind == PS_BT_ANY ? 0 : word)) {
        ps_lens_wrong(v, v->offset, "a word of a node is not that of its child");
        goto done;
    }
    if (i == 0) {
        PyObject *least;
        if (decode_key(v, v->pack, (uint64_t)(r->content - v->pack->data), &least) < 0) {
            goto done;
        }
        int equal = first == NULL || least == NULL ? 1 : ps_object_eq(first, least);
        Py_XDECREF(least);
        if (equal <= 0) {
            if (equal == 0) {
                ps_lens_wrong(v, v->offset, "the smallest key of a node is not that of its child");
            }
            goto done;
        }
    }
    result = edge_key(v, pack, child, true, before);
done:
    Py_XDECREF(first);
    return result;
}

static int
verify_children(lens *v, const ps_record *r, ps_buf *below)
{
    uint64_t counts[PS_WIDTH];
    PyObject *before = NULL; /* the last key of the child before */
    int result = -1;
    const char *wrong = ps_array_counts(r, counts);
    if (wrong != NULL) {
        return ps_lens_wrong(v, v->offset, wrong);
    }
    for (uint32_t i = 0; i < r->n_children; i++) {
        ps_pack *target;
        ps_record c;
        if (ps_lens_target(v, ps_record_child(r, i), &target, &c) < 0) {
            goto done;
        }
        if (c.kind != r->kind || c.level != ps_array_child_level(r, i)) {
            ps_lens_wrong(v, v->offset, "a node has another level or kind than its parent says");
            goto done;
        }
        if (c.count != counts[i]) {
            ps_lens_wrong(v, v->offset, "a node has another count than its parent says");
            goto done;
        }
        if (ps_buf_add(below, c.at + PS_R_DIGEST, PS_DIGEST_SIZE) < 0 ||
            (r->kind != PS_ARRAY_VECTOR &&
             verify_sorted_child(v, r, target, &c, i, &before) < 0)) {
            goto done;
        }
    }
    result = 0;
done:
    Py_XDECREF(before);
    return result;
}

int
ps_verify_array(lens *v, const ps_record *r)
{
    const uint8_t head[4] = {r->kind, r->level, r->at[PS_A_N], r->form};
    ps_buf below = {NULL, 0, 0};
    int result = -1;
    if (ps_buf_add(&v->message, head, sizeof head) < 0) {
        return -1;
    }
    if (r->kind == PS_ARRAY_VECTOR && r->n_children == 0 && r->form != PS_A_MESSAGES) {
        result = verify_numbers(v, r);
    }
    else if (r->n_children == 0) {
        result = verify_leaf(v, r);
    }
    else {
        result =
            r->n_entries && ps_lens_message(v, r->content, r->content + r->length, false, NULL) < 0
                ? -1
                : verify_children(v, r, &below);
    }
    if (result == 0 && below.len) {
        result = ps_buf_add(&v->message, below.data, below.len);
    }
    if (result == 0) {
        result = ps_lens_digest(v, r);
    }
    ps_buf_clear(&below);
    return result;
}
