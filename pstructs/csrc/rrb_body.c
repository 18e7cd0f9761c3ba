/* rrb_body.c -- leaves go into a body and out of it at its ends; the root stays tight. */
#include "rrb_part.h"

/* The leaf below nodes of one child each, up to that level. 0 on error. */
static ps_slot
chain(ps_state *st, ps_slot leaf, Py_ssize_t size, int level)
{
    ps_slot s = ps_slot_incref(st, leaf);
    for (int l = 1; l <= level; l++) {
        ps_node *n = ps_rrb_inner(st, l, &s, &size, 1);
        if (n == NULL) {
            ps_slot_decref(st, s);
            return 0;
        }
        s = ps_slot_heap(n);
    }
    return s;
}

/* Elements below all children of n but the last. */
static Py_ssize_t
before_last(ps_node *n, int level)
{
    Py_ssize_t last = (Py_ssize_t)n->datamap - 1;
    if (ps_node_raw_words(n) == 0) {
        return last * ps_rrb_full(level - 1);
    }
    return last == 0 ? 0 : (Py_ssize_t)ps_node_raw(n)[last - 1];
}

/* n, of `count` elements, with a child (stolen, also on error) in place of its last one, or
 * behind it when `grow`; there are `size` elements more then. 0 on error. The way of every
 * append, so it computes no sizes but those that change. */
static ps_slot
with_last(ps_state *st, ps_node *n, int level, Py_ssize_t count, bool grow, ps_slot child,
          Py_ssize_t size)
{
    uint32_t width = n->datamap + grow, last = width - 1;
    Py_ssize_t full = ps_rrb_full(level - 1);
    bool table = ps_node_raw_words(n) != 0;
    bool regular = !table && (!grow || count - before_last(n, level) == full);
    bool gc = ps_node_is_gc(st, n) || ps_rrb_child_gc(st, child);
    ps_node *made = ps_node_new_array(st, gc, width, regular ? 0 : width, (uint32_t)level);
    if (made == NULL) {
        ps_slot_decref(st, child);
        return 0;
    }
    ps_slot any = child;
    for (uint32_t i = 0; i < last; i++) {
        any |= n->slots[i];
        made->slots[i] = ps_slot_incref(st, n->slots[i]);
    }
    made->slots[last] = child;
    if (PS_UNLIKELY(ps_slot_is_packed(any))) {
        made->meta |= PS_META_PACKED;
    }
    if (!regular) {
        uint64_t *ends = ps_node_raw(made);
        for (uint32_t i = 0; i < last; i++) {
            ends[i] = table ? ps_node_raw(n)[i] : (uint64_t)full * (i + 1);
        }
        if (grow) {
            ends[last - 1] = (uint64_t)count;
        }
        ends[last] = (uint64_t)(count + size);
    }
    ps_node_track(st, made);
    return ps_slot_heap(made);
}

/* The node in s with one more leaf at the end. 1 and a new node; 0: full; -1. */
static int
push_last(ps_state *st, ps_slot s, int level, Py_ssize_t count, ps_slot leaf, Py_ssize_t size,
          ps_slot *out)
{
    if (level == 0) {
        return 0;
    }
    ps_node *n = ps_rrb_open(st, s, level, count);
    if (n == NULL) {
        return -1;
    }
    ps_slot child = 0;
    int rc = push_last(st, n->slots[n->datamap - 1], level - 1, count - before_last(n, level),
                       leaf, size, &child);
    bool grow = rc == 0;
    if (grow && n->datamap < PS_WIDTH) {
        child = chain(st, leaf, size, level - 1);
        rc = child ? 1 : -1;
    }
    if (rc > 0) {
        *out = with_last(st, n, level, count, grow, child, size);
        rc = *out ? 1 : -1;
    }
    Py_DECREF(n);
    return rc;
}

/* The same at the front. */
static int
push_first(ps_state *st, ps_slot s, int level, Py_ssize_t count, ps_slot leaf, Py_ssize_t size,
           ps_slot *out)
{
    if (level == 0) {
        return 0;
    }
    ps_node *n = ps_rrb_open(st, s, level, count);
    if (n == NULL) {
        return -1;
    }
    Py_ssize_t sizes[PS_WIDTH];
    ps_rrb_sizes(n, level, count, sizes);
    ps_slot child = 0;
    int rc = push_first(st, n->slots[0], level - 1, sizes[0], leaf, size, &child);
    bool grow = rc == 0;
    if (grow && n->datamap < PS_WIDTH) {
        child = chain(st, leaf, size, level - 1);
        rc = child ? 1 : -1;
    }
    if (rc > 0) {
        *out = ps_slot_heap(
            ps_rrb_splice(st, n, level, sizes, 0, !grow, child, grow ? size : sizes[0] + size));
        rc = *out ? 1 : -1;
    }
    Py_DECREF(n);
    return rc;
}

int
ps_rrb_body_push(ps_state *st, ps_rrb_body *b, ps_slot leaf, Py_ssize_t size, bool front)
{
    if (b->root == 0) {
        *b = (ps_rrb_body){ps_slot_incref(st, leaf), 0, size};
        return 0;
    }
    ps_rrb_body to = {0, b->level, b->count + size};
    int rc = front ? push_first(st, b->root, b->level, b->count, leaf, size, &to.root)
                   : push_last(st, b->root, b->level, b->count, leaf, size, &to.root);
    if (rc == 0) {
        ps_slot beside = chain(st, leaf, size, b->level);
        if (beside == 0) {
            return -1;
        }
        ps_slot child[2] = {b->root, beside};
        Py_ssize_t sizes[2] = {b->count, size};
        if (front) {
            child[0] = beside;
            child[1] = b->root;
            sizes[0] = size;
            sizes[1] = b->count;
        }
        ps_slot_incref(st, b->root);
        to.root = ps_slot_heap(ps_rrb_inner(st, ++to.level, child, sizes, 2));
        if (to.root == 0) {
            ps_slot_decref(st, child[0]);
            ps_slot_decref(st, child[1]);
            return -1;
        }
    }
    if (rc < 0) {
        return -1;
    }
    ps_rrb_body_become(st, b, to);
    return 0;
}

/* The node in s without the leaf at an end; *out is 0 when that was all. */
static int
pop_edge(ps_state *st, ps_slot s, int level, Py_ssize_t count, bool front, ps_slot *leaf,
         Py_ssize_t *size, ps_slot *out)
{
    if (level == 0) {
        *leaf = ps_slot_incref(st, s);
        *size = count;
        *out = 0;
        return 0;
    }
    ps_node *n = ps_rrb_open(st, s, level, count);
    if (n == NULL) {
        return -1;
    }
    Py_ssize_t sizes[PS_WIDTH];
    ps_rrb_sizes(n, level, count, sizes);
    int width = (int)n->datamap, edge = front ? 0 : width - 1;
    ps_slot child;
    int rc = pop_edge(st, n->slots[edge], level - 1, sizes[edge], front, leaf, size, &child);
    *out = 0;
    if (rc == 0 && (child || width > 1)) {
        *out =
            ps_slot_heap(ps_rrb_splice(st, n, level, sizes, edge, 1, child, sizes[edge] - *size));
        if (*out == 0) {
            ps_slot_decref(st, *leaf);
            *leaf = 0;
            rc = -1;
        }
    }
    Py_DECREF(n);
    return rc;
}

int
ps_rrb_body_pop(ps_state *st, ps_rrb_body *b, ps_slot *leaf, Py_ssize_t *size, bool front)
{
    ps_rrb_body to = {0, b->level, 0};
    *leaf = 0;
    if (pop_edge(st, b->root, b->level, b->count, front, leaf, size, &to.root) < 0) {
        return -1;
    }
    to.count = b->count - *size;
    if (to.root == 0) {
        to.level = 0;
    }
    if (ps_rrb_body_tighten(st, &to) < 0) {
        ps_slot_xdecref(st, to.root);
        ps_slot_decref(st, *leaf);
        *leaf = 0;
        return -1;
    }
    ps_rrb_body_become(st, b, to);
    return 0;
}

/* ---- the root */

/* Two inner nodes of one level in one; 0 on error. */
static ps_slot
merge_two(ps_state *st, ps_node *a, Py_ssize_t n_a, ps_node *b, Py_ssize_t n_b, int level)
{
    Py_ssize_t sizes[PS_WIDTH];
    ps_rrb_list l;
    l.n = 0;
    ps_rrb_sizes(a, level, n_a, sizes);
    ps_rrb_list_add(st, &l, a, sizes, 0, (int)a->datamap);
    ps_rrb_sizes(b, level, n_b, sizes);
    ps_rrb_list_add(st, &l, b, sizes, 0, (int)b->datamap);
    ps_slot made = ps_rrb_list_node(st, &l, level, 0, l.n, &n_a);
    ps_rrb_list_clear(st, &l);
    return made;
}

/* What may stand in the root's place: 1 and *out, a level lower; 0: nothing; -1. */
static int
lower_root(ps_state *st, const ps_rrb_body *b, ps_rrb_body *out)
{
    ps_node *n = ps_rrb_open(st, b->root, b->level, b->count), *left = NULL, *right = NULL;
    if (n == NULL) {
        return -1;
    }
    int rc = 0;
    *out = (ps_rrb_body){0, b->level - 1, b->count};
    if (n->datamap == 1) {
        out->root = ps_slot_incref(st, n->slots[0]);
        rc = 1;
    }
    else if (n->datamap == 2 && b->level > 1) {
        Py_ssize_t sizes[PS_WIDTH];
        ps_rrb_sizes(n, b->level, b->count, sizes);
        left = ps_rrb_open(st, n->slots[0], b->level - 1, sizes[0]);
        right = left == NULL ? NULL : ps_rrb_open(st, n->slots[1], b->level - 1, sizes[1]);
        rc = right == NULL ? -1 : left->datamap + right->datamap <= PS_WIDTH;
        if (rc > 0) {
            out->root = merge_two(st, left, sizes[0], right, sizes[1], b->level - 1);
            rc = out->root ? 1 : -1;
        }
    }
    Py_XDECREF(left);
    Py_XDECREF(right);
    Py_DECREF(n);
    return rc;
}

int
ps_rrb_body_tighten(ps_state *st, ps_rrb_body *b)
{
    while (b->level > 0) {
        ps_rrb_body lower;
        int rc = lower_root(st, b, &lower);
        if (rc <= 0) {
            return rc;
        }
        ps_rrb_body_become(st, b, lower);
    }
    return 0;
}

ps_node *
ps_rrb_body_leaf(ps_state *st, const ps_rrb_body *b, Py_ssize_t at, Py_ssize_t *start)
{
    size_t i = (size_t)at;
    Py_ssize_t count = b->count;
    ps_node *n = ps_rrb_open(st, b->root, b->level, count);
    for (int level = b->level; n != NULL && level > 0; level--) {
        uint32_t k = ps_rrb_child(n, level, &i, &count);
        ps_node *child = ps_rrb_open(st, n->slots[k], level - 1, count);
        Py_DECREF(n);
        n = child;
    }
    *start = at - (Py_ssize_t)i;
    return n;
}
