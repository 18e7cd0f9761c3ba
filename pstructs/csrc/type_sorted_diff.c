/* type_sorted_diff.c -- diff, patch and merge of sorted collections.
 *
 * What type_diff.c does for maps and sets; it sends sorted ones here. Parts and results
 * are sorted collections in the order of the first argument. The others must have the
 * same key function: in two orders a key may be at two places. */
#include "sorted.h"

/* Whether all n are sorted maps, or all sorted sets, in one order; else a TypeError. */
static bool
one_kind(ps_state *st, const char *function, PyObject *const *args, Py_ssize_t n)
{
    for (Py_ssize_t i = 0; i < n; i++) {
        if (ps_is_sorted_map(st, args[i]) != ps_is_sorted_map(st, args[0]) ||
            ps_is_sorted_set(st, args[i]) != ps_is_sorted_set(st, args[0])) {
            PyErr_Format(PyExc_TypeError,
                         "%s() takes collections of one kind, not %.200s and %.200s", function,
                         Py_TYPE(args[0])->tp_name, Py_TYPE(args[i])->tp_name);
            return false;
        }
        if (((ps_sorted *)args[i])->key != ((ps_sorted *)args[0])->key) {
            PyErr_Format(PyExc_TypeError,
                         "%s() takes sorted collections with the same key function; make one "
                         "again with the other's",
                         function);
            return false;
        }
    }
    return true;
}

/* ---- diff */

/* Differences come in order, so the parts are built as they come. */
typedef struct {
    int shape;
    ps_bt_builder added, removed, changed;
} diff_job;

static int
put(ps_state *st, ps_bt_builder *b, ps_slot order, ps_slot key, ps_slot value)
{
    ps_bt_item item = {.count = 1};
    int column = 0;
    PyObject *o = ps_slot_get(st, order);
    if (o == NULL) {
        return -1;
    }
    item.kind = ps_bt_word(o, &item.word);
    Py_DECREF(o);
    item.s[column++] = order;
    if (b->shape & PS_BT_KEYED) {
        item.s[column++] = key;
    }
    if (b->shape & PS_BT_MAP) {
        item.s[column++] = value;
    }
    return ps_bt_builder_entry(b, &item);
}

static int
diff_visit(ps_state *st, void *arg, ps_slot order, ps_slot key, ps_slot a_value, ps_slot b_value)
{
    diff_job *d = arg;
    if (a_value == 0 || b_value == 0) {
        return put(st, a_value ? &d->removed : &d->added, order, key, a_value ? a_value : b_value);
    }
    PyObject *old = ps_slot_get(st, a_value), *new = old ? ps_slot_get(st, b_value) : NULL;
    PyObject *pair = new == NULL ? NULL : PyTuple_Pack(2, old, new);
    int rc = pair == NULL ? -1 : put(st, &d->changed, order, key, ps_slot_heap(pair));
    Py_XDECREF(old);
    Py_XDECREF(new);
    Py_XDECREF(pair);
    return rc;
}

static PyObject *
finish(ps_state *st, ps_bt_builder *b, PyObject *key)
{
    ps_btree t;
    if (ps_bt_builder_end(b, &t) < 0) {
        return NULL;
    }
    return ps_sorted_new_of(st, t.shape & PS_BT_MAP ? st->sorted_map : st->sorted_set, t, key);
}

PyObject *
ps_sorted_diff(ps_state *st, PyObject *a, PyObject *b)
{
    PyObject *args[2] = {a, b}, *key = ((ps_sorted *)a)->key;
    PyObject *added = NULL, *removed = NULL, *changed = NULL, *result = NULL;
    diff_job d = {.shape = ps_sorted_tree(a).shape};
    if (!one_kind(st, "diff", args, 2)) {
        return NULL;
    }
    ps_bt_builder_init(st, &d.added, d.shape);
    ps_bt_builder_init(st, &d.removed, d.shape);
    ps_bt_builder_init(st, &d.changed, d.shape | PS_BT_MAP);
    if (ps_bt_diff(st, ps_sorted_tree(a), ps_sorted_tree(b), diff_visit, &d) == 0 &&
        (added = finish(st, &d.added, key)) != NULL &&
        (removed = finish(st, &d.removed, key)) != NULL &&
        (changed = finish(st, &d.changed, key)) != NULL) {
        result = PyTuple_Pack(3, added, removed, changed);
    }
    ps_bt_builder_clear(&d.added);
    ps_bt_builder_clear(&d.removed);
    ps_bt_builder_clear(&d.changed);
    Py_XDECREF(added);
    Py_XDECREF(removed);
    Py_XDECREF(changed);
    return result;
}

/* ---- patch */

/* Remove the keys of `removed` from *t, or put in the new values of `changed`. 0, -1. */
static int
apply(ps_state *st, ps_btree *t, PyObject *key_function, PyObject *source, bool changed)
{
    PyObject *it = PyObject_GetIter(source), *key;
    int rc = it == NULL ? -1 : 0;
    while (rc == 0 && (key = PyIter_Next(it)) != NULL) {
        PyObject *order = ps_sorted_order(key_function, key), *pair = NULL;
        ps_slot garbage[2] = {0, 0};
        rc = order == NULL ? -1 : 0;
        if (rc == 0 && !changed) {
            rc = ps_bt_remove(st, t, order, true, garbage) == PS_BT_FAILED ? -1 : 0;
        }
        else if (rc == 0) {
            pair = PyObject_GetItem(source, key);
            rc = pair == NULL ? -1 : 0;
            if (rc == 0 && (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2)) {
                PyErr_Format(PyExc_TypeError,
                             "patch() needs (old, new) as the values of changed, not %.200s",
                             Py_TYPE(pair)->tp_name);
                rc = -1;
            }
            if (rc == 0 && ps_bt_set(st, t, order, key, PyTuple_GET_ITEM(pair, 1), true,
                                     garbage) == PS_BT_FAILED) {
                rc = -1;
            }
        }
        ps_slot_xdecref(st, garbage[0]);
        ps_slot_xdecref(st, garbage[1]);
        Py_XDECREF(pair);
        Py_XDECREF(order);
        Py_DECREF(key);
    }
    Py_XDECREF(it);
    ps_bt_track_all(st, t->root);
    return rc < 0 || PyErr_Occurred() ? -1 : 0;
}

/* (a, added, removed, changed): a without the removed keys, with the rest. */
PyObject *
ps_sorted_patch(ps_state *st, PyObject *const *args)
{
    PyObject *a = args[0], *key = ((ps_sorted *)a)->key;
    ps_btree t = ps_sorted_tree(a);
    Py_ssize_t n_changed = PyObject_Size(args[3]);
    if (n_changed < 0) {
        return NULL;
    }
    if (n_changed > 0 && !(t.shape & PS_BT_MAP)) {
        PyErr_SetString(PyExc_ValueError,
                        "patch() of a PSortedSet got changed values: the diff is one of maps");
        return NULL;
    }
    ps_bt_share(st, t);
    if (apply(st, &t, key, args[2], false) < 0 ||
        ps_sorted_update_tree(st, &t, key, args[1], NULL) < 0 ||
        apply(st, &t, key, args[3], true) < 0) {
        ps_bt_drop(st, t);
        return NULL;
    }
    return ps_sorted_like(st, a, t);
}

/* ---- merge */

typedef struct {
    PyObject *resolve;   /* borrowed; NULL: collect the conflicts */
    PyObject *absent;    /* borrowed */
    PyObject *conflicts; /* owned list */
} merge_job;

static PyObject *
side(ps_state *st, const merge_job *m, ps_slot s)
{
    return s ? ps_slot_get(st, s) : Py_NewRef(m->absent);
}

static int
merge_resolve(ps_state *st, void *arg, ps_slot key, ps_slot base, ps_slot ours, ps_slot theirs,
              ps_slot *keep)
{
    merge_job *m = arg;
    int rc = -1;
    PyObject *v[4] = {ps_slot_get(st, key)}, *kept = NULL;
    if (v[0] == NULL || (v[1] = side(st, m, base)) == NULL || (v[2] = side(st, m, ours)) == NULL ||
        (v[3] = side(st, m, theirs)) == NULL) {
        goto done;
    }
    if (m->resolve == NULL) {
        PyObject *conflict = PyTuple_Pack(4, v[0], v[1], v[2], v[3]);
        rc = conflict == NULL ? -1 : PyList_Append(m->conflicts, conflict);
        Py_XDECREF(conflict);
        *keep = ours ? ps_slot_incref(st, ours) : 0;
        goto done;
    }
    kept = PyObject_Vectorcall(m->resolve, v, 4, NULL);
    if (kept != NULL) {
        *keep = kept == m->absent ? 0 : ps_slot_heap(Py_NewRef(kept));
        rc = 0;
    }
done:
    for (int i = 0; i < 4; i++) {
        Py_XDECREF(v[i]);
    }
    Py_XDECREF(kept);
    return rc;
}

/* (base, ours, theirs, resolve, absent) -> (merged, conflicts) */
PyObject *
ps_sorted_merge(ps_state *st, PyObject *const *args)
{
    PyObject *merged = NULL, *result = NULL;
    ps_btree t;
    if (!one_kind(st, "merge", args, 3)) {
        return NULL;
    }
    merge_job m = {.resolve = args[3] == Py_None ? NULL : args[3], .absent = args[4]};
    m.conflicts = PyList_New(0);
    if (m.conflicts == NULL || ps_bt_merge(st, ps_sorted_tree(args[0]), ps_sorted_tree(args[1]),
                                           ps_sorted_tree(args[2]), merge_resolve, &m, &t) < 0) {
        goto done;
    }
    merged = ps_sorted_like(st, t.root == ps_sorted_tree(args[2]).root ? args[2] : args[1], t);
    if (merged != NULL) {
        result = PyTuple_Pack(2, merged, m.conflicts);
    }
done:
    Py_XDECREF(merged);
    Py_XDECREF(m.conflicts);
    return result;
}
