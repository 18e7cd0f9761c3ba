/* rrb_slice.c -- cutting: a range of a tree shares all nodes off the two cuts. */
#include "rrb_part.h"

/* Both cuts are between leaves: the node in s without its first `at` elements (front), or
 * with nothing else; 0 < at < count. 0 on error. */
static ps_slot
cut(ps_state *st, ps_slot s, int level, Py_ssize_t count, Py_ssize_t at, bool front)
{
    ps_node *n = ps_rrb_open(st, s, level, count);
    if (n == NULL) {
        return 0;
    }
    Py_ssize_t sizes[PS_WIDTH], begin = 0;
    ps_rrb_sizes(n, level, count, sizes);
    int k = 0, width = (int)n->datamap;
    while (begin + sizes[k] <= at) {
        begin += sizes[k++];
    }
    /* Child k holds what is on both sides, or begins at the cut. */
    ps_slot child = 0, made = 0;
    Py_ssize_t child_size = front ? begin + sizes[k] - at : at - begin;
    if (begin < at) {
        child = cut(st, n->slots[k], level - 1, sizes[k], at - begin, front);
        if (child == 0) {
            goto done;
        }
    }
    bool whole = begin == at;
    int from = front ? 0 : k, remove = front ? k + !whole : width - k;
    made = ps_slot_heap(ps_rrb_splice(st, n, level, sizes, from, remove, child, child_size));
done:
    Py_DECREF(n);
    return made;
}

/* *b becomes its elements lo <= i < hi, both of which are where a leaf begins or ends. */
static int
body_cut(ps_state *st, ps_rrb_body *b, Py_ssize_t lo, Py_ssize_t hi)
{
    if (lo >= hi) {
        ps_rrb_body_become(st, b, (ps_rrb_body){0, 0, 0});
        return 0;
    }
    ps_rrb_body r = ps_rrb_body_share(st, *b);
    for (int side = 0; side < 2; side++) {
        Py_ssize_t at = side == 0 ? hi : lo;
        if (at == 0 || at == r.count) {
            continue;
        }
        ps_slot root = cut(st, r.root, r.level, r.count, at, side == 1);
        if (root == 0) {
            goto error;
        }
        Py_ssize_t count = side == 1 ? r.count - at : at;
        ps_rrb_body_become(st, &r, (ps_rrb_body){root, r.level, count});
    }
    if (ps_rrb_body_tighten(st, &r) < 0) {
        goto error;
    }
    ps_rrb_body_become(st, b, r);
    return 0;
error:
    ps_slot_decref(st, r.root);
    return -1;
}

/* Part of one leaf of a tree as a tree. */
static int
one_leaf(ps_state *st, ps_slot leaf, Py_ssize_t size, Py_ssize_t at, Py_ssize_t n, ps_rrb *out)
{
    ps_slot tail = ps_rrb_leaf_part(st, leaf, size, at, n);
    if (tail == 0) {
        return -1;
    }
    *out = (ps_rrb){.tail = tail, .count = n};
    return 0;
}

/* The part of the leaf around `at` on one side of it; *edge: where the body ends then.
 * *part is 0 when a leaf begins there. */
static int
split_leaf(ps_state *st, const ps_rrb_body *b, Py_ssize_t at, bool front, ps_slot *part,
           Py_ssize_t *n_part, Py_ssize_t *edge)
{
    *part = 0;
    *n_part = 0;
    *edge = at;
    if (at == 0 || at == b->count) {
        return 0;
    }
    Py_ssize_t begin;
    ps_node *leaf = ps_rrb_body_leaf(st, b, at, &begin);
    if (leaf == NULL) {
        return -1;
    }
    if (begin < at) {
        Py_ssize_t size = (Py_ssize_t)leaf->datamap;
        *n_part = front ? begin + size - at : at - begin;
        *part = ps_rrb_leaf_part(st, ps_slot_heap(leaf), size, front ? at - begin : 0, *n_part);
        *edge = front ? begin + size : begin;
    }
    Py_DECREF(leaf);
    return begin < at && *part == 0 ? -1 : 0;
}

static int
slice(ps_state *st, const ps_rrb *t, Py_ssize_t lo, Py_ssize_t hi, ps_rrb *out)
{
    if (lo == 0 && hi == t->count) {
        *out = ps_rrb_share(st, t);
        return 0;
    }
    if (lo == hi) {
        *out = PS_RRB_EMPTY;
        return 0;
    }
    Py_ssize_t n_head = (Py_ssize_t)t->n_head, n_tail = ps_rrb_n_tail(t);
    Py_ssize_t from = lo - n_head, to = hi - n_head; /* in the body */
    if (to <= 0) {
        return one_leaf(st, t->head, n_head, lo, hi - lo, out);
    }
    if (from >= t->body) {
        return one_leaf(st, t->tail, n_tail, from - t->body, hi - lo, out);
    }
    ps_rrb_body b = ps_rrb_body_of(t);
    if (from >= 0 && to <= t->body) {
        Py_ssize_t begin;
        ps_node *leaf = ps_rrb_body_leaf(st, &b, from, &begin);
        if (leaf == NULL) {
            return -1;
        }
        Py_ssize_t size = (Py_ssize_t)leaf->datamap;
        bool within = to <= begin + size;
        int rc = within ? one_leaf(st, ps_slot_heap(leaf), size, from - begin, hi - lo, out) : 0;
        Py_DECREF(leaf);
        if (within) {
            return rc;
        }
    }
    ps_rrb r = {.count = hi - lo};
    Py_ssize_t n_part = 0, body_lo = 0, body_hi = t->body;
    b = ps_rrb_body_share(st, b);
    if (from < 0) {
        n_part = -from;
        r.head = ps_rrb_leaf_part(st, t->head, n_head, lo, n_part);
        if (r.head == 0) {
            goto error;
        }
    }
    else if (split_leaf(st, &b, from, true, &r.head, &n_part, &body_lo) < 0) {
        goto error;
    }
    r.n_head = (uint32_t)n_part;
    if (to > t->body) {
        r.tail = ps_rrb_leaf_part(st, t->tail, n_tail, 0, to - t->body);
        if (r.tail == 0) {
            goto error;
        }
    }
    else if (split_leaf(st, &b, to, false, &r.tail, &n_part, &body_hi) < 0) {
        goto error;
    }
    if (body_cut(st, &b, body_lo, body_hi) < 0) {
        goto error;
    }
    ps_rrb_set_body(&r, b);
    r.regular = t->regular && body_lo == 0;
    *out = r;
    return 0;
error:
    ps_slot_xdecref(st, b.root);
    ps_rrb_drop(st, r);
    return -1;
}

int
ps_rrb_slice(ps_state *st, const ps_rrb *t, Py_ssize_t lo, Py_ssize_t hi, ps_rrb *out)
{
    int rc = slice(st, t, lo, hi, out);
    if (rc == 0) {
        PS_RRB_CHECK(st, out);
    }
    return rc;
}
