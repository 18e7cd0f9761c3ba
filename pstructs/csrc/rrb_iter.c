/* rrb_iter.c -- walking over a tree, leaf by leaf, and two trees side by side. */
#include "rrb_part.h"

#define LINE 64

/* Ask for a leaf, whose elements will be read soon: at 100,000 elements this hides about a
 * third of the time to walk over them. */
PS_INLINE void
prefetch_leaf(ps_slot s)
{
    if (!ps_slot_is_packed(s)) {
        const char *p = (const char *)ps_slot_node(s);
        for (size_t at = 0; at < sizeof(ps_node) + PS_WIDTH * sizeof(ps_slot); at += LINE) {
            __builtin_prefetch(p + at);
        }
    }
}

/* The leaf of element i, as ps_rrb_leaf, and a hint for the one before or behind it. */
static ps_node *
leaf_and_next(ps_state *st, const ps_rrb *t, Py_ssize_t i, bool reverse, Py_ssize_t *start)
{
    size_t at = (size_t)i - t->n_head;
    if (t->shift == 0 || at >= (size_t)t->body) {
        return ps_rrb_leaf(st, t, i, start);
    }
    ps_slot s = t->root;
    Py_ssize_t count = t->body;
    for (int level = (int)(t->shift / PS_BITS); level > 0; level--) {
        if (PS_UNLIKELY(ps_slot_is_packed(s))) {
            return ps_rrb_leaf(st, t, i, start);
        }
        ps_node *n = ps_slot_node(s);
        uint32_t k = ps_rrb_child(n, level, &at, &count);
        s = n->slots[k];
        if (level == 1 && (reverse ? k > 0 : k + 1 < n->datamap)) {
            prefetch_leaf(n->slots[reverse ? k - 1 : k + 1]);
        }
    }
    *start = i - (Py_ssize_t)at;
    return ps_rrb_open(st, s, 0, count);
}

void
ps_rrb_iter_init(ps_state *st, ps_rrb_iter *it, const ps_rrb *t, Py_ssize_t lo, Py_ssize_t hi,
                 bool reverse)
{
    it->slot = it->stop = NULL;
    it->leaf = NULL;
    it->t = ps_rrb_share(st, t);
    it->reverse = reverse;
    it->at = reverse ? hi : lo;
    it->end = reverse ? lo : hi;
}

void
ps_rrb_iter_clear(ps_state *st, ps_rrb_iter *it)
{
    ps_rrb t = it->t;
    ps_node *leaf = it->leaf;
    it->slot = it->stop = NULL;
    it->leaf = NULL;
    it->t = PS_RRB_EMPTY;
    it->at = it->end = 0;
    Py_XDECREF(leaf);
    ps_rrb_drop(st, t);
}

int
ps_rrb_iter_leaf(ps_state *st, ps_rrb_iter *it)
{
    if (it->at == it->end) {
        return 0;
    }
    Py_ssize_t start;
    Py_ssize_t first = it->reverse ? it->at - 1 : it->at;
    ps_node *leaf = leaf_and_next(st, &it->t, first, it->reverse, &start);
    if (leaf == NULL) {
        return -1;
    }
    Py_ssize_t stop = start + (Py_ssize_t)leaf->datamap;
    Py_XSETREF(it->leaf, leaf);
    if (it->reverse) {
        Py_ssize_t low = start > it->end ? start : it->end;
        it->slot = leaf->slots + (it->at - start);
        it->stop = leaf->slots + (low - start);
        it->at = low;
    }
    else {
        Py_ssize_t high = stop < it->end ? stop : it->end;
        it->slot = leaf->slots + (it->at - start);
        it->stop = leaf->slots + (high - start);
        it->at = high;
    }
    return 1;
}

Py_ssize_t
ps_rrb_iter_left(const ps_rrb_iter *it)
{
    return it->reverse ? (it->slot - it->stop) + (it->at - it->end)
                       : (it->stop - it->slot) + (it->end - it->at);
}

/* ---- two trees */

struct ps_rrb_path {
    ps_slot packed[2][PS_RRB_MAX_LEVEL + 1]; /* by side and level: what the node was read from */
    ps_node *node[2][PS_RRB_MAX_LEVEL + 1];  /* owned, or NULL */
    ps_slot differ[2][PS_RRB_MAX_LEVEL + 1]; /* by level: nodes that are not the same */
};

void
ps_rrb_pair_clear(ps_rrb_pair *p)
{
    ps_rrb_path *path = p->path;
    if (path == NULL) {
        return;
    }
    p->path = NULL;
    for (int level = 0; level <= PS_RRB_MAX_LEVEL; level++) {
        Py_XDECREF(path->node[0][level]);
        Py_XDECREF(path->node[1][level]);
    }
    PyMem_Free(path);
}

/* Not on the C stack: comparing elements may come back here for each level of nested vectors. */
static int
need_path(ps_rrb_pair *p)
{
    if (p->path == NULL) {
        p->path = PyMem_Calloc(1, sizeof *p->path);
        if (p->path == NULL) {
            PyErr_NoMemory();
            return -1;
        }
    }
    return 0;
}

/* The node in a slot on the path, borrowed. NULL with an exception. */
static ps_node *
open_on_path(ps_rrb_pair *p, int side, ps_slot s, int level, Py_ssize_t count)
{
    if (PS_LIKELY(!ps_slot_is_packed(s))) {
        return ps_slot_node(s);
    }
    if (need_path(p) < 0) {
        return NULL;
    }
    ps_node **known = &p->path->node[side][level];
    if (*known == NULL || p->path->packed[side][level] != s) {
        ps_node *n = ps_rrb_open(p->st, s, level, count);
        if (n == NULL) {
            return NULL;
        }
        p->path->packed[side][level] = s;
        Py_XSETREF(*known, n);
    }
    return *known;
}

/* Whether two slots of one level are the same subtree: 1, 0, -1. */
static int
same_on_path(ps_rrb_pair *p, ps_slot a, ps_slot b, int level)
{
    if (a == b) {
        return 1;
    }
    if (ps_child_record(a) == 0 || ps_child_record(b) == 0) {
        return 0;
    }
    if (need_path(p) < 0) {
        return -1;
    }
    ps_slot *known[2] = {&p->path->differ[0][level], &p->path->differ[1][level]};
    if (*known[0] == a && *known[1] == b) {
        return 0;
    }
    if (ps_child_same(p->st, a, b)) {
        return 1;
    }
    *known[0] = a;
    *known[1] = b;
    return 0;
}

int
ps_rrb_shared_at(ps_rrb_pair *p, Py_ssize_t i, Py_ssize_t j, Py_ssize_t *before,
                 Py_ssize_t *behind)
{
    const ps_rrb *a = p->a, *b = p->b;
    size_t at_a = (size_t)i - a->n_head, at_b = (size_t)j - b->n_head;
    if (at_a >= (size_t)a->body || at_b >= (size_t)b->body) {
        return 0;
    }
    ps_slot sa = a->root, sb = b->root;
    int la = (int)(a->shift / PS_BITS), lb = (int)(b->shift / PS_BITS);
    Py_ssize_t na = a->body, nb = b->body;
    for (;;) {
        if (la == lb && at_a == at_b && na == nb) {
            int same = same_on_path(p, sa, sb, la);
            if (same) {
                *before = (Py_ssize_t)at_a;
                *behind = na - (Py_ssize_t)at_a;
                return same;
            }
        }
        if (la == 0 && lb == 0) {
            return 0;
        }
        /* One step down in the higher tree, in both when they are level. */
        int level = la > lb ? la : lb;
        for (int side = 0; side < 2; side++) {
            ps_slot *s = side ? &sb : &sa;
            int *l = side ? &lb : &la;
            size_t *at = side ? &at_b : &at_a;
            Py_ssize_t *n = side ? &nb : &na;
            if (*l < level) {
                continue;
            }
            ps_node *node = open_on_path(p, side, *s, level, *n);
            if (node == NULL) {
                return -1;
            }
            *s = node->slots[ps_rrb_child(node, level, at, n)];
            *l = level - 1;
        }
    }
}

/* Elements a[i], b[i]: 1 equal, 0 not, -1 error. Runs user code. */
static int
slots_equal(ps_state *st, ps_slot a, ps_slot b)
{
    if (a == b) {
        return 1;
    }
    PyObject *x = ps_slot_get(st, a), *y = x == NULL ? NULL : ps_slot_get(st, b);
    int rc = y == NULL ? -1 : ps_object_eq(x, y);
    Py_XDECREF(x);
    Py_XDECREF(y);
    return rc;
}

static Py_ssize_t
mismatch(ps_state *st, const ps_rrb *a, const ps_rrb *b)
{
    Py_ssize_t n = a->count < b->count ? a->count : b->count;
    Py_ssize_t start_a = 0, start_b = 0, found = -1;
    ps_node *leaf_a = NULL, *leaf_b = NULL;
    ps_rrb_pair pair = {.st = st, .a = a, .b = b};
    for (Py_ssize_t i = 0; i < n && found == -1;) {
        Py_ssize_t before, behind;
        int shared = ps_rrb_shared_at(&pair, i, i, &before, &behind);
        if (shared) {
            i += behind;
            found = shared < 0 ? -2 : -1;
            continue;
        }
        if (leaf_a == NULL || i >= start_a + (Py_ssize_t)leaf_a->datamap || i < start_a) {
            Py_XDECREF(leaf_a);
            leaf_a = ps_rrb_leaf(st, a, i, &start_a);
        }
        if (leaf_b == NULL || i >= start_b + (Py_ssize_t)leaf_b->datamap || i < start_b) {
            Py_XDECREF(leaf_b);
            leaf_b = ps_rrb_leaf(st, b, i, &start_b);
        }
        if (leaf_a == NULL || leaf_b == NULL) {
            found = -2;
            break;
        }
        Py_ssize_t end_a = start_a + (Py_ssize_t)leaf_a->datamap;
        Py_ssize_t end_b = start_b + (Py_ssize_t)leaf_b->datamap;
        Py_ssize_t end = end_a < end_b ? end_a : end_b;
        if (leaf_a == leaf_b && start_a == start_b) {
            i = end; /* the same tail, say */
        }
        for (; i < end; i++) {
            int rc = slots_equal(st, leaf_a->slots[i - start_a], leaf_b->slots[i - start_b]);
            if (rc <= 0) {
                found = rc < 0 ? -2 : i;
                break;
            }
        }
    }
    Py_XDECREF(leaf_a);
    Py_XDECREF(leaf_b);
    ps_rrb_pair_clear(&pair);
    return found == -1 && a->count != b->count ? n : found;
}

Py_ssize_t
ps_rrb_mismatch(ps_state *st, const ps_rrb *a, const ps_rrb *b)
{
    if (ps_rrb_same(a, b)) {
        return -1;
    }
    ps_rrb x = ps_rrb_share(st, a), y = ps_rrb_share(st, b);
    Py_ssize_t at = mismatch(st, &x, &y);
    ps_rrb_drop(st, x);
    ps_rrb_drop(st, y);
    return at;
}

int
ps_rrb_equal(ps_state *st, const ps_rrb *a, const ps_rrb *b)
{
    if (a->count != b->count) {
        return 0;
    }
    Py_ssize_t at = ps_rrb_mismatch(st, a, b);
    return at == -2 ? -1 : at == -1;
}
