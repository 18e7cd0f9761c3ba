/* champ_merge.c -- three-way merge.
 *
 *            base
 *           /    \            result = ours + (theirs - base)
 *        ours    theirs
 *
 * The changes from base to theirs are listed by champ_diff.c. Each is looked up in
 * ours, and only there: a key that ours still holds as base does takes their side,
 * one that ours changed in the same way needs nothing, and any other is a conflict.
 * What ours alone changed is in the result already, since the result starts as ours.
 *
 * First everything is decided, and user code (comparisons, the resolver) runs; then
 * the decisions are applied. Values that live in packs stay there.
 *
 * Cost: O(k log n) for k changes between base and theirs.
 */
#include "champ_part.h"

typedef struct {
    ps_slot key, base, theirs; /* owned; 0 where a side lacks the key */
    ps_slot keep;              /* what to store (owned), or 0: remove */
    bool apply;
} change;

typedef struct {
    change *list;
    Py_ssize_t n, room;
} changes;

static int
collect(ps_state *st, void *arg, ps_slot key, ps_slot base, ps_slot theirs)
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
    c->list[c->n++] = (change){
        .key = ps_slot_incref(st, key),
        .base = base ? ps_slot_incref(st, base) : 0,
        .theirs = theirs ? ps_slot_incref(st, theirs) : 0,
    };
    return 0;
}

/* Whether two sides agree on a key; in sets a value is a key, and presence is all. */
static int
agree(ps_state *st, int width, ps_slot x, ps_slot y)
{
    if (x == 0 || y == 0 || width == 1) {
        return (x == 0) == (y == 0);
    }
    return ps_slots_value_same(st, x, y);
}

static int
decide(ps_state *st, change *c, ps_tree ours, int width, ps_merge_resolve resolve, void *arg)
{
    ps_hashed h;
    ps_slot key = 0, value = 0;
    if (ps_hashed_init_slot(st, &h, c->key) < 0) {
        return -1;
    }
    ps_found found = ps_champ_find_entry(st, ours.root, width, 0, &h, &key, &value);
    if (found == PS_ERROR) {
        return -1;
    }
    ps_slot mine = found == PS_NOT_FOUND ? 0 : width == 2 ? value : key;
    int same = agree(st, width, mine, c->base);
    if (same < 0) {
        return -1;
    }
    if (same) {
        c->apply = true;
        c->keep = c->theirs ? ps_slot_incref(st, c->theirs) : 0;
        return 0;
    }
    same = agree(st, width, mine, c->theirs);
    if (same != 0) {
        return same < 0 ? -1 : 0;
    }
    if (resolve(st, arg, c->key, c->base, mine, c->theirs, &c->keep) < 0) {
        c->keep = 0;
        return -1;
    }
    c->apply = c->keep != mine;
    return 0;
}

/* Write the decisions into t, whose root is ours alone or shared. What lives in the
 * heap is written as an evolver writes, in place where a node is new (200 against
 * 700 ns a change); what lives in packs comes after, since only a path copy takes
 * packed slots. */
static int
apply(ps_state *st, ps_tree *t, int width, const changes *c)
{
    bool packed = false;
    int rc = 0;
    for (Py_ssize_t i = 0; i < c->n && rc == 0; i++) {
        const change *x = &c->list[i];
        if (!x->apply) {
            continue;
        }
        if (ps_slot_is_packed(x->key) || ps_slot_is_packed(x->keep)) {
            packed = true;
            continue;
        }
        ps_slot garbage[2] = {0, 0};
        PyObject *key = ps_slot_obj(x->key);
        PyObject *value = width == 2 ? ps_slot_obj(x->keep) : NULL;
        ps_change done = x->keep ? ps_champ_set(st, t, width, key, value, true, garbage)
                                 : ps_champ_remove(st, t, width, key, true, garbage);
        ps_slot_xdecref(st, garbage[0]);
        ps_slot_xdecref(st, garbage[1]);
        rc = done == PS_FAILED ? -1 : 0;
    }
    ps_champ_publish(st, t->root);
    for (Py_ssize_t i = 0; packed && i < c->n && rc == 0; i++) {
        const change *x = &c->list[i];
        if (x->apply && (ps_slot_is_packed(x->key) || ps_slot_is_packed(x->keep)) &&
            ps_tree_edit(st, t, width, x->key, width == 2 ? x->keep : 0,
                         x->keep ? PS_EDIT_PUT : PS_EDIT_DROP) == PS_ERROR) {
            rc = -1;
        }
    }
    return rc;
}

int
ps_champ_merge(ps_state *st, ps_tree base, ps_tree ours, ps_tree theirs, int width,
               ps_merge_resolve resolve, void *arg, ps_tree *out)
{
    int rc = -1;
    changes c = {0};
    bool untouched =
        base.root && ours.root ? ps_child_same(st, base.root, ours.root) : base.root == ours.root;
    ps_tree t = untouched ? theirs : ours;
    if (t.root) {
        ps_slot_incref(st, t.root);
    }
    if (untouched) {
        *out = t;
        return 0;
    }
    if (ps_champ_diff(st, base, theirs, width, collect, &c) < 0) {
        goto done;
    }
    for (Py_ssize_t i = 0; i < c.n; i++) {
        if (decide(st, &c.list[i], ours, width, resolve, arg) < 0) {
            goto done;
        }
    }
    if (apply(st, &t, width, &c) < 0) {
        goto done;
    }
    PS_CHECK(st, t, width);
    *out = t;
    t.root = 0;
    rc = 0;
done:
    for (Py_ssize_t i = 0; i < c.n; i++) {
        ps_slot_decref(st, c.list[i].key);
        ps_slot_xdecref(st, c.list[i].base);
        ps_slot_xdecref(st, c.list[i].theirs);
        ps_slot_xdecref(st, c.list[i].keep);
    }
    PyMem_Free(c.list);
    ps_slot_xdecref(st, t.root);
    return rc;
}
