/* btree_walk.c -- two trees in step: what is in one, in the other, in both.
 *
 *     a   [ . . 5 7 | 9 . . . | . . ]
 *     b   [ . . 5 8 | 9 . . . | . . ]        the last two leaves are the same nodes
 *
 * A cursor stands before an item: the largest subtree that begins there, or an entry. At
 * each step, with the smallest key of both items compared:
 *
 *     the items are one node          in both: passed whole, nothing in it is looked at
 *     a's begins first                a subtree that ends before b's item is a's alone,
 *                                     and passed whole; another is entered
 *     both begin with the same key    two entries meet; else the higher subtree is entered
 *
 * So related trees cost what their differences cost, and trees of disjoint ranges
 * O(log n). Nothing here depends on the shapes of the trees.
 *
 * A comparison may run user code; the cursors own the nodes they stand on. */
#include "btree.h"

/* The slot of the subtree at the position. */
static ps_slot
item_slot(const ps_bt_cursor *c)
{
    return c->h > c->top ? c->t.root : ps_bt_children(c->node[c->h])[c->at[c->h]];
}

/* Open the subtree at the position, if there is one. 0, -1. */
static int
load(ps_bt_cursor *c)
{
    if (c->h == 0) {
        return 0;
    }
    c->item = c->h > c->top ? ps_bt_open_root(c->st, c->t)
                            : ps_bt_open_child(c->st, c->node[c->h], c->at[c->h]);
    return c->item == NULL ? -1 : 0;
}

static int
cursor_init(ps_state *st, ps_bt_cursor *c, ps_btree t)
{
    c->st = st;
    c->t = t;
    c->item = NULL;
    c->end = t.root == 0;
    c->top = -1;
    c->h = 0;
    if (c->end) {
        return 0;
    }
    c->item = ps_bt_open_root(st, t);
    if (c->item == NULL) {
        c->end = true;
        return -1;
    }
    c->top = ps_bt_height(c->item);
    c->h = c->top + 1;
    return 0;
}

static void
cursor_clear(ps_bt_cursor *c)
{
    Py_CLEAR(c->item);
    for (; c->h <= c->top; c->h++) {
        Py_DECREF(c->node[c->h]);
    }
}

/* Into the subtree: its first child or entry. */
static int
enter(ps_bt_cursor *c)
{
    c->h--;
    c->node[c->h] = c->item;
    c->at[c->h] = 0;
    c->item = NULL;
    return load(c);
}

/* Past the item. */
static int
pass(ps_bt_cursor *c)
{
    Py_CLEAR(c->item);
    for (;;) {
        if (c->h > c->top) {
            c->end = true;
            return 0;
        }
        if (++c->at[c->h] < ps_bt_size(c->node[c->h])) {
            return load(c);
        }
        Py_DECREF(c->node[c->h]);
        c->h++;
    }
}

/* The order key in slot s as a probe, with an owned key. 0, -1. */
static int
probe_of(ps_bt_cursor *c, ps_slot s, ps_bt_probe *p)
{
    PyObject *key = ps_slot_get(c->st, s);
    if (key == NULL) {
        return -1;
    }
    ps_bt_probe_init(p, key);
    return 0;
}

static int
first_key(ps_bt_cursor *c, ps_bt_probe *p)
{
    if (c->item == NULL) {
        ps_node *leaf = c->node[0];
        ps_bt_kind kind = ps_bt_node_kind(leaf);
        ps_slot s = leaf->slots[c->at[0]];
        if (kind != PS_BT_ANY && !ps_slot_is_packed(s)) {
            *p = (ps_bt_probe){Py_NewRef(ps_slot_obj(s)), ps_bt_words(leaf)[c->at[0]], kind};
            return 0;
        }
        return probe_of(c, s, p);
    }
    return probe_of(c, ps_bt_min(c->item), p);
}

/* Whether every key of the item sorts before b: 1, 0, -1. Knows it from the key behind. */
static int
ends_before(ps_bt_cursor *c, const ps_bt_probe *b)
{
    for (int h = c->h; h <= c->top; h++) {
        ps_node *n = c->node[h];
        int next = c->at[h] + 1, order;
        if (next == ps_bt_size(n)) {
            continue;
        }
        ps_bt_probe p;
        ps_bt_item item;
        ps_node *child = NULL;
        if (ps_bt_item_at(c->st, n, next, &item) < 0) {
            return -1;
        }
        if (item.kind == b->kind && item.kind != PS_BT_ANY && item.word != b->word) {
            return item.word < b->word;
        }
        if (h > 0) {
            child = ps_bt_open(c->st, item.s[0], c->t.shape, h - 1, item.count);
            if (child == NULL) {
                return -1;
            }
            item.s[0] = ps_bt_min(child);
        }
        int rc = probe_of(c, item.s[0], &p);
        Py_XDECREF(child);
        if (rc == 0) {
            rc = ps_bt_compare(&p, b, &order);
            Py_DECREF(p.key);
        }
        return rc < 0 ? -1 : order <= 0;
    }
    return 0;
}

/* a's item begins before b's: pass it when it is a's alone, else enter it. */
static int
one_side(ps_bt_cursor *a, const ps_bt_probe *b, const ps_bt_visitor *v, void *arg, bool in_a)
{
    if (a->item != NULL) {
        int alone = ends_before(a, b);
        if (alone <= 0) {
            return alone < 0 ? -1 : enter(a);
        }
    }
    int rc = v->only(arg, a, in_a);
    return rc != 0 ? rc : pass(a);
}

/* Whether both stand before one and the same subtree, or before two that were saved with one
 * digest. */
static bool
same_subtree(const ps_bt_cursor *a, const ps_bt_cursor *b)
{
    return ps_child_same(a->st, item_slot(a), item_slot(b));
}

static int
step(ps_bt_cursor *a, ps_bt_cursor *b, const ps_bt_visitor *v, void *arg)
{
    ps_bt_probe ka, kb;
    int order, rc;
    if (a->item != NULL && b->item != NULL && same_subtree(a, b)) {
        rc = v->same(arg, a);
        if (rc == 0 && (rc = pass(a)) == 0) {
            rc = pass(b);
        }
        return rc;
    }
    if (first_key(a, &ka) < 0) {
        return -1;
    }
    if (first_key(b, &kb) < 0) {
        Py_DECREF(ka.key);
        return -1;
    }
    rc = ps_bt_compare(&ka, &kb, &order);
    if (rc < 0) {
        goto done;
    }
    if (order < 0) {
        rc = one_side(a, &kb, v, arg, true);
    }
    else if (order > 0) {
        rc = one_side(b, &ka, v, arg, false);
    }
    else if (a->item == NULL && b->item == NULL) {
        rc = v->both(arg, a, b);
        if (rc == 0 && (rc = pass(a)) == 0) {
            rc = pass(b);
        }
    }
    else {
        int ha = a->h, hb = b->h;
        if (ha >= hb) {
            rc = enter(a);
        }
        if (rc == 0 && hb >= ha) {
            rc = enter(b);
        }
    }
done:
    Py_DECREF(ka.key);
    Py_DECREF(kb.key);
    return rc;
}

/* Two cursors. Not on the C stack: comparing a key or value may come back here for each
 * level of nested collections, and 3.13 allows 10,000 of them. */
typedef struct {
    ps_bt_cursor a, b;
} cursors;

static cursors *
cursors_new(ps_state *st, ps_btree a, ps_btree b)
{
    cursors *c = PyMem_Malloc(sizeof *c);
    if (c == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    int ra = cursor_init(st, &c->a, a), rb = cursor_init(st, &c->b, b);
    if (ra < 0 || rb < 0) {
        cursor_clear(&c->a);
        cursor_clear(&c->b);
        PyMem_Free(c);
        return NULL;
    }
    return c;
}

static void
cursors_free(cursors *c)
{
    cursor_clear(&c->a);
    cursor_clear(&c->b);
    PyMem_Free(c);
}

int
ps_bt_walk(ps_state *st, ps_btree ta, ps_btree tb, const ps_bt_visitor *v, void *arg)
{
    cursors *c = cursors_new(st, ta, tb);
    if (c == NULL) {
        return -1;
    }
    int rc = 0;
    while (rc == 0 && !c->a.end && !c->b.end) {
        rc = step(&c->a, &c->b, v, arg);
    }
    while (rc == 0 && !c->a.end) {
        rc = v->only(arg, &c->a, true);
        rc = rc != 0 ? rc : pass(&c->a);
    }
    while (rc == 0 && !c->b.end) {
        rc = v->only(arg, &c->b, false);
        rc = rc != 0 ? rc : pass(&c->b);
    }
    cursors_free(c);
    return rc;
}

/* ---- equality */

/* 1, 0, -1: two entries have equal keys and values. */
static int
entries_equal(ps_bt_cursor *a, ps_bt_cursor *b)
{
    ps_node *x = a->node[0], *y = b->node[0];
    int i = a->at[0], j = b->at[0], rc = 1;
    for (int part = 0; part < 1 + (a->t.shape & PS_BT_MAP) && rc > 0; part++) {
        ps_slot s = part ? ps_bt_leaf_value(x, i) : ps_bt_leaf_key(x, i);
        ps_slot t = part ? ps_bt_leaf_value(y, j) : ps_bt_leaf_key(y, j);
        if (s == t) {
            continue;
        }
        PyObject *p = ps_slot_get(a->st, s), *q = p == NULL ? NULL : ps_slot_get(b->st, t);
        rc = q == NULL ? -1 : part ? ps_object_eq(p, q) : ps_key_eq(p, q);
        Py_XDECREF(p);
        Py_XDECREF(q);
    }
    return rc;
}

int
ps_bt_equal(ps_state *st, ps_btree ta, ps_btree tb)
{
    if (ta.count != tb.count) {
        return 0;
    }
    cursors *c = cursors_new(st, ta, tb);
    if (c == NULL) {
        return -1;
    }
    ps_bt_cursor *a = &c->a, *b = &c->b;
    int rc = 0, equal = 1;
    while (rc == 0 && equal > 0 && !a->end && !b->end) {
        /* Both stand before the same position. */
        if (a->item != NULL && b->item != NULL && same_subtree(a, b)) {
            rc = pass(a) < 0 ? -1 : pass(b);
        }
        else if (a->item == NULL && b->item == NULL) {
            equal = entries_equal(a, b);
            rc = equal < 0 || pass(a) < 0 ? -1 : pass(b);
        }
        else {
            int ha = a->h, hb = b->h;
            rc = ha >= hb ? enter(a) : 0;
            rc = rc == 0 && hb >= ha ? enter(b) : rc;
        }
    }
    cursors_free(c);
    return rc < 0 ? -1 : equal;
}
