/* type_diff.c -- diff, patch and merge as Python sees them.
 *
 * The functions here give and take bare parts; pstructs/diffs.py and
 * pstructs/merging.py dress them (Diff, ABSENT, the error message).
 */
#include "sorted.h"
#include "error.h"

/* The width of two or three collections of one kind: 2 PMap, 1 PSet; 0 with TypeError. */
static int
common_width(ps_state *st, const char *function, PyObject *const *args, Py_ssize_t n)
{
    Py_ssize_t maps = 0, sets = 0;
    for (Py_ssize_t i = 0; i < n; i++) {
        maps += ps_is_map(st, args[i]);
        sets += ps_is_set(st, args[i]);
    }
    if (maps == n || sets == n) {
        return maps == n ? 2 : 1;
    }
    PyObject *odd = args[0];
    for (Py_ssize_t i = 0; i < n; i++) {
        if (!ps_is_map(st, args[i]) && !ps_is_set(st, args[i])) {
            odd = args[i];
        }
    }
    if (maps + sets == n) {
        PyErr_Format(PyExc_TypeError, "%s() takes PMaps or PSets, not both at once", function);
    }
    else {
        PyErr_Format(PyExc_TypeError,
                     "%s() takes PMaps or PSets, not %.200s; make one with pmap() or pset()",
                     function, Py_TYPE(odd)->tp_name);
    }
    return 0;
}

static bool
has_args(const char *function, Py_ssize_t nargs, Py_ssize_t wanted)
{
    if (nargs != wanted) {
        PyErr_Format(PyExc_TypeError, "%s() takes %zd arguments, not %zd", function, wanted,
                     nargs);
        return false;
    }
    return true;
}

/* A collection that owns t.root (consumed): `like` itself when it has that root. */
static PyObject *
wrap(ps_state *st, int width, ps_tree t, PyObject *like)
{
    if (like != NULL && ps_tree_of(like).root == t.root) {
        ps_slot_xdecref(st, t.root);
        return Py_NewRef(like);
    }
    return ps_collection_new(st, width, t);
}

/* ---- collecting entries for a bulk build */

/* Add an entry: steals the objects, either of which may be NULL after an error. */
static int
gather_entry(ps_gather *g, int width, PyObject *key, PyObject *value)
{
    if (key == NULL || (width == 2 && value == NULL)) {
        Py_XDECREF(key);
        Py_XDECREF(value);
        return -1;
    }
    if (ps_gather_push(g, key) < 0) {
        Py_XDECREF(value);
        return -1;
    }
    return width == 2 ? ps_gather_push(g, value) : 0;
}

/* The collection of what was gathered. */
static PyObject *
gather_collection(ps_state *st, ps_gather *g, int width)
{
    ps_tree t;
    return ps_gather_build(st, g, width, &t) < 0 ? NULL : ps_collection_new(st, width, t);
}

/* ---- diff */

typedef struct {
    int width;
    ps_gather added, removed, changed;
} diff_job;

static int
diff_visit(ps_state *st, void *arg, ps_slot key, ps_slot a_value, ps_slot b_value)
{
    diff_job *d = arg;
    PyObject *k = ps_slot_get(st, key);
    if (k == NULL) {
        return -1;
    }
    if (d->width == 1) {
        return gather_entry(a_value ? &d->removed : &d->added, 1, k, NULL);
    }
    if (a_value == 0 || b_value == 0) {
        return gather_entry(a_value ? &d->removed : &d->added, 2, k,
                            ps_slot_get(st, a_value ? a_value : b_value));
    }
    PyObject *pair = NULL;
    PyObject *old = ps_slot_get(st, a_value);
    PyObject *new = old == NULL ? NULL : ps_slot_get(st, b_value);
    if (new != NULL) {
        pair = PyTuple_Pack(2, old, new);
    }
    Py_XDECREF(old);
    Py_XDECREF(new);
    return gather_entry(&d->changed, 2, k, pair);
}

PyObject *
ps_diff(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    ps_state *st = ps_state_of_module(module);
    PyObject *added = NULL, *removed = NULL, *changed = NULL, *result = NULL;
    if (!has_args("diff", nargs, 2)) {
        return NULL;
    }
    if (ps_is_sorted(st, args[0])) {
        return ps_sorted_diff(st, args[0], args[1]);
    }
    diff_job d = {.width = common_width(st, "diff", args, 2)};
    if (d.width == 0) {
        return NULL;
    }
    ps_gather_init(&d.added);
    ps_gather_init(&d.removed);
    ps_gather_init(&d.changed);
    if (ps_champ_diff(st, ps_tree_of(args[0]), ps_tree_of(args[1]), d.width, diff_visit, &d) < 0 ||
        (added = gather_collection(st, &d.added, d.width)) == NULL ||
        (removed = gather_collection(st, &d.removed, d.width)) == NULL ||
        (changed = gather_collection(st, &d.changed, 2)) == NULL) {
        goto done;
    }
    result = PyTuple_Pack(3, added, removed, changed);
done:
    ps_gather_clear(&d.added);
    ps_gather_clear(&d.removed);
    ps_gather_clear(&d.changed);
    Py_XDECREF(added);
    Py_XDECREF(removed);
    Py_XDECREF(changed);
    return result;
}

/* ---- patch */

/* The tree of key -> new value from the tree of key -> (old, new). 0 / -1. */
static int
new_values(ps_state *st, ps_tree changed, ps_tree *out)
{
    ps_champ_iter it;
    ps_gather g;
    const ps_slot *e;
    int more;
    *out = (ps_tree){0};
    if (changed.root == 0) {
        return 0;
    }
    if (ps_champ_iter_init(st, &it, changed.root, 2) < 0) {
        return -1;
    }
    ps_gather_init(&g);
    while ((more = ps_champ_iter_next(st, &it, &e)) == 1) {
        PyObject *pair = ps_slot_get(st, e[1]);
        if (pair == NULL) {
            more = -1;
            break;
        }
        if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2) {
            PyErr_Format(PyExc_TypeError,
                         "patch() needs (old, new) as the values of changed, not %.200s",
                         Py_TYPE(pair)->tp_name);
            Py_DECREF(pair);
            more = -1;
            break;
        }
        PyObject *value = Py_NewRef(PyTuple_GET_ITEM(pair, 1));
        Py_DECREF(pair);
        if (gather_entry(&g, 2, ps_slot_get(st, e[0]), value) < 0) {
            more = -1;
            break;
        }
    }
    ps_champ_iter_clear(&it);
    int rc = more < 0 ? -1 : ps_gather_build(st, &g, 2, out);
    ps_gather_clear(&g);
    return rc;
}

/* _patch(a, added, removed, changed): a without the removed keys, with the rest. */
PyObject *
ps_patch(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    ps_state *st = ps_state_of_module(module);
    PyObject *result = NULL;
    ps_tree added = {0}, removed = {0}, changed = {0}, values = {0};
    ps_tree kept = {0}, joined = {0}, done = {0};
    if (!has_args("patch", nargs, 4)) {
        return NULL;
    }
    if (ps_is_sorted(st, args[0])) {
        return ps_sorted_patch(st, args);
    }
    int width = common_width(st, "patch", args, 1);
    if (width == 0 || ps_tree_from_object(st, width, args[1], &added) < 0 ||
        ps_tree_from_object(st, width, args[2], &removed) < 0 ||
        ps_tree_from_object(st, 2, args[3], &changed) < 0) {
        goto done;
    }
    if (width == 1 && changed.root) {
        PyErr_SetString(PyExc_ValueError,
                        "patch() of a PSet got changed values: the diff is one of PMaps");
        goto done;
    }
    if (new_values(st, changed, &values) < 0 ||
        ps_champ_difference(st, ps_tree_of(args[0]), removed, width, &kept) < 0 ||
        ps_champ_union(st, kept, added, width, &joined) < 0 ||
        ps_champ_union(st, joined, values, width, &done) < 0) {
        goto done;
    }
    result = wrap(st, width, done, args[0]);
done:
    ps_slot_xdecref(st, added.root);
    ps_slot_xdecref(st, removed.root);
    ps_slot_xdecref(st, changed.root);
    ps_slot_xdecref(st, values.root);
    ps_slot_xdecref(st, kept.root);
    ps_slot_xdecref(st, joined.root);
    return result;
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
    if (kept == NULL) {
        goto done;
    }
    rc = 0;
    if (kept == m->absent) {
        *keep = 0;
    }
    else if (kept == v[2]) { /* stays where it is, also when that is a pack */
        *keep = ps_slot_incref(st, ours);
    }
    else if (kept == v[3]) {
        *keep = ps_slot_incref(st, theirs);
    }
    else {
        *keep = ps_slot_heap(Py_NewRef(kept));
    }
done:
    for (int i = 0; i < 4; i++) {
        Py_XDECREF(v[i]);
    }
    Py_XDECREF(kept);
    return rc;
}

/* _merge(base, ours, theirs, resolve, absent) -> (merged, conflicts) */
PyObject *
ps_merge(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    ps_state *st = ps_state_of_module(module);
    PyObject *merged = NULL, *result = NULL;
    ps_tree t;
    if (!has_args("merge", nargs, 5)) {
        return NULL;
    }
    if (ps_is_sorted(st, args[0])) {
        return ps_sorted_merge(st, args);
    }
    int width = common_width(st, "merge", args, 3);
    if (width == 0) {
        return NULL;
    }
    merge_job m = {.resolve = args[3] == Py_None ? NULL : args[3], .absent = args[4]};
    m.conflicts = PyList_New(0);
    if (m.conflicts == NULL ||
        ps_champ_merge(st, ps_tree_of(args[0]), ps_tree_of(args[1]), ps_tree_of(args[2]), width,
                       merge_resolve, &m, &t) < 0) {
        goto done;
    }
    merged = wrap(st, width, t, t.root == ps_tree_of(args[2]).root ? args[2] : args[1]);
    if (merged != NULL) {
        result = PyTuple_Pack(2, merged, m.conflicts);
    }
done:
    Py_XDECREF(merged);
    Py_XDECREF(m.conflicts);
    return result;
}
