/* btree_merge.c -- differences of two trees, and three-way merge.
 *
 *            base
 *           /    \            result = ours + (theirs - base)
 *        ours    theirs
 *
 * As champ_merge.c: the changes from base to theirs are listed; each is looked up in
 * ours, and only there; first everything is decided, and user code runs, then the decisions
 * are applied as an evolver applies them.
 *
 * Cost: O(k log n) for k changes between base and theirs. */
#include "btree.h"

/* ---- diff */

typedef struct {
    ps_state *st;
    ps_bt_diff_visit visit;
    void *arg;
} diff_job;

static int
diff_same(void *arg, ps_bt_cursor *a)
{
    return 0;
}

static int
visit_entry(diff_job *d, ps_node *leaf, int i, bool in_a)
{
    ps_slot value = ps_bt_leaf_value(leaf, i);
    return d->visit(d->st, d->arg, ps_bt_leaf_slot(leaf, 0, i), ps_bt_leaf_key(leaf, i),
                    in_a ? value : 0, in_a ? 0 : value);
}

static int
diff_only(void *arg, ps_bt_cursor *c, bool in_a)
{
    diff_job *d = arg;
    if (c->item == NULL) {
        return visit_entry(d, c->node[0], c->at[0], in_a);
    }
    ps_bt_iter it;
    ps_btree t = {.root = ps_slot_heap(c->item), .shape = c->t.shape};
    int i, rc = ps_bt_iter_init(d->st, &it, t, 0, (Py_ssize_t)ps_bt_node_count(c->item), false);
    if (rc < 0) {
        return -1;
    }
    while ((rc = ps_bt_iter_next(d->st, &it, &i)) > 0) {
        rc = visit_entry(d, it.node[0], i, in_a);
        if (rc != 0) {
            break;
        }
    }
    ps_bt_iter_clear(&it);
    return rc;
}

/* Identity, then the same type and ==: whether an edit is none. 1, 0, -1. */
static int
value_same(ps_state *st, ps_slot a, ps_slot b)
{
    if (a == b) {
        return 1;
    }
    PyObject *x = ps_slot_get(st, a), *y = x == NULL ? NULL : ps_slot_get(st, b);
    int same = y == NULL ? -1 : Py_TYPE(x) != Py_TYPE(y) ? 0 : ps_object_eq(x, y);
    Py_XDECREF(x);
    Py_XDECREF(y);
    return same;
}

static int
diff_both(void *arg, ps_bt_cursor *a, ps_bt_cursor *b)
{
    diff_job *d = arg;
    if (!(a->t.shape & PS_BT_MAP)) {
        return 0;
    }
    ps_node *x = a->node[0], *y = b->node[0];
    int i = a->at[0], j = b->at[0];
    int same = value_same(d->st, ps_bt_leaf_value(x, i), ps_bt_leaf_value(y, j));
    if (same != 0) {
        return same < 0 ? -1 : 0;
    }
    return d->visit(d->st, d->arg, ps_bt_leaf_slot(x, 0, i), ps_bt_leaf_key(x, i),
                    ps_bt_leaf_value(x, i), ps_bt_leaf_value(y, j));
}

int
ps_bt_diff(ps_state *st, ps_btree a, ps_btree b, ps_bt_diff_visit visit, void *arg)
{
    static const ps_bt_visitor visitor = {diff_same, diff_only, diff_both};
    diff_job d = {st, visit, arg};
    return ps_bt_walk(st, a, b, &visitor, &d);
}

/* ---- merge */

typedef struct {
    PyObject *order, *key, *base, *theirs; /* owned; NULL where a side lacks the key */
    PyObject *keep;                        /* what to store (owned), or NULL: remove */
    bool apply;
} change;

typedef struct {
    change *list;
    Py_ssize_t n, room;
} changes;

static int
collect(ps_state *st, void *arg, ps_slot order, ps_slot key, ps_slot base, ps_slot theirs)
{
    changes *c = arg;
    if (c->n == c->room) {
        Py_ssize_t room = c->room ? 2 * c->room : 16;
        change *list = PyMem_Realloc(c->list, (size_t)room * sizeof *list);
        if (list == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        c->list = list;
        c->room = room;
    }
    change *x = &c->list[c->n++];
    *x = (change){0};
    if ((x->order = ps_slot_get(st, order)) == NULL || (x->key = ps_slot_get(st, key)) == NULL ||
        (base && (x->base = ps_slot_get(st, base)) == NULL) ||
        (theirs && (x->theirs = ps_slot_get(st, theirs)) == NULL)) {
        return -1;
    }
    return 0;
}

/* Whether two sides agree on a key; in sets presence is all. */
static int
agree(ps_state *st, int shape, PyObject *x, PyObject *y)
{
    if (x == NULL || y == NULL || !(shape & PS_BT_MAP)) {
        return (x == NULL) == (y == NULL);
    }
    return value_same(st, ps_slot_heap(x), ps_slot_heap(y));
}

static int
decide(ps_state *st, change *c, ps_btree ours, ps_bt_resolve resolve, void *arg)
{
    PyObject *mine = NULL;
    if (ps_bt_find(st, ours, c->order, NULL, &mine) == PS_ERROR) {
        return -1;
    }
    int rc = -1, same = agree(st, ours.shape, mine, c->base);
    if (same < 0) {
        goto done;
    }
    if (same) {
        c->apply = true;
        c->keep = Py_XNewRef(c->theirs);
        rc = 0;
        goto done;
    }
    same = agree(st, ours.shape, mine, c->theirs);
    if (same != 0) {
        rc = same < 0 ? -1 : 0;
        goto done;
    }
    ps_slot keep = 0;
    rc = resolve(st, arg, ps_slot_heap(c->key), ps_slot_heap(c->base), ps_slot_heap(mine),
                 ps_slot_heap(c->theirs), &keep);
    c->keep = ps_slot_obj(keep);
    c->apply = c->keep != mine;
done:
    Py_XDECREF(mine);
    return rc;
}

static int
apply(ps_state *st, ps_btree *t, const changes *c)
{
    int rc = 0;
    for (Py_ssize_t i = 0; i < c->n && rc == 0; i++) {
        const change *x = &c->list[i];
        if (!x->apply) {
            continue;
        }
        ps_slot garbage[2] = {0, 0};
        ps_bt_change done = x->keep ? ps_bt_set(st, t, x->order, x->key, x->keep, true, garbage)
                                    : ps_bt_remove(st, t, x->order, true, garbage);
        ps_slot_xdecref(st, garbage[0]);
        ps_slot_xdecref(st, garbage[1]);
        rc = done == PS_BT_FAILED ? -1 : 0;
    }
    ps_bt_track_all(st, t->root);
    return rc;
}

int
ps_bt_merge(ps_state *st, ps_btree base, ps_btree ours, ps_btree theirs, ps_bt_resolve resolve,
            void *arg, ps_btree *out)
{
    int rc = -1;
    changes c = {0};
    if (base.root == ours.root) {
        *out = ps_bt_share(st, theirs);
        return 0;
    }
    ps_btree t = ps_bt_share(st, ours);
    if (ps_bt_diff(st, base, theirs, collect, &c) < 0) {
        goto done;
    }
    for (Py_ssize_t i = 0; i < c.n; i++) {
        if (decide(st, &c.list[i], ours, resolve, arg) < 0) {
            goto done;
        }
    }
    if (apply(st, &t, &c) < 0) {
        goto done;
    }
    *out = t;
    t.root = 0;
    rc = 0;
done:
    for (Py_ssize_t i = 0; i < c.n; i++) {
        Py_XDECREF(c.list[i].order);
        Py_XDECREF(c.list[i].key);
        Py_XDECREF(c.list[i].base);
        Py_XDECREF(c.list[i].theirs);
        Py_XDECREF(c.list[i].keep);
    }
    PyMem_Free(c.list);
    ps_bt_drop(st, t);
    return rc;
}
