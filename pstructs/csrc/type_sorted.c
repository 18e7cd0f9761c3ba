/* type_sorted.c -- what PSortedMap and PSortedSet have in common: life and death,
 * construction, and order.
 *
 * Order: natural order compares the keys. With a key function each entry also holds what
 * the function returned for its key, so that it is called once an entry and once a
 * lookup, never inside a search: 8 bytes and the result's size an entry against about
 * 20 calls a lookup at a million entries. Keys with equal results are one key.
 *
 * Operations between two collections share and skip subtrees when both have the same key
 * function (the same object); else the other one is sorted again.
 *
 * Collector: a collection in natural order is tracked only when its root is a GC node, as
 * PMap is. One with a key function always is: a function reaches its module. */
#include "sorted.h"

#include "error.h"

/* ---- life and death */

ps_state *
ps_sorted_state_of(PyObject *o)
{
    for (PyTypeObject *t = Py_TYPE(o); t != NULL; t = t->tp_base) {
        if (t->tp_dealloc == ps_sorted_dealloc) {
            PyObject *module = ((PyHeapTypeObject *)t)->ht_module;
            return module == NULL ? NULL : PyModule_GetState(module);
        }
    }
    return NULL;
}

int
ps_sorted_traverse(PyObject *self, visitproc visit, void *arg)
{
    ps_slot root = ps_sorted_tree(self).root;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((ps_sorted *)self)->key);
    if (root && !ps_slot_is_packed(root)) {
        Py_VISIT(ps_slot_obj(root));
    }
    return 0;
}

void
ps_sorted_dealloc(PyObject *self)
{
    ps_sorted *c = (ps_sorted *)self;
    PyObject_GC_UnTrack(self);
    Py_TRASHCAN_BEGIN(self, ps_sorted_dealloc);
    PyTypeObject *type = Py_TYPE(self);
    ps_state *st = ps_sorted_state_of(self);
    if (c->weakrefs != NULL) {
        PyObject_ClearWeakRefs(self);
    }
    ps_slot root = c->tree.root;
    c->tree.root = 0;
    if (root && !ps_slot_is_packed(root)) {
        ps_node_release(ps_slot_obj(root));
    }
    else if (root && st != NULL) {
        ps_slot_decref(st, root);
    }
    Py_CLEAR(c->key);
    type->tp_free(self);
    Py_DECREF(type);
    Py_TRASHCAN_END
}

PyObject *
ps_sorted_new_of(ps_state *st, PyTypeObject *type, ps_btree t, PyObject *key)
{
    ps_sorted *c;
    bool exact = type == st->sorted_map || type == st->sorted_set;
    if (exact) {
        c = PyObject_GC_New(ps_sorted, type);
    }
    else {
        c = (ps_sorted *)type->tp_alloc(type, 0);
    }
    if (c == NULL) {
        ps_bt_drop(st, t);
        return NULL;
    }
    c->tree = t;
    c->key = Py_XNewRef(key);
    c->hash = -1;
    c->weakrefs = NULL;
    bool gc_root = t.root && !ps_slot_is_packed(t.root) && ps_node_is_gc(st, ps_slot_node(t.root));
    if (exact && (key != NULL || gc_root)) {
        PyObject_GC_Track(c);
    }
    return (PyObject *)c;
}

PyObject *
ps_sorted_like(ps_state *st, PyObject *like, ps_btree t)
{
    PyTypeObject *type = t.shape & PS_BT_MAP ? st->sorted_map : st->sorted_set;
    if (Py_TYPE(like) == type && ps_sorted_tree(like).root == t.root) {
        ps_bt_drop(st, t);
        return Py_NewRef(like);
    }
    return ps_sorted_new_of(st, type, t, ((ps_sorted *)like)->key);
}

/* ---- order */

PyObject *
ps_sorted_order(PyObject *key_function, PyObject *key)
{
    if (PS_LIKELY(key_function == NULL)) {
        return Py_NewRef(key);
    }
    return PyObject_CallOneArg(key_function, key);
}

int
ps_sorted_check_key(PyObject *key)
{
    if (PS_UNLIKELY(Py_TYPE(key)->tp_hash == PyObject_HashNotImplemented)) {
        PyErr_Format(PyExc_TypeError,
                     "unhashable type: '%.200s' can't be a key, since it may change and lose its "
                     "place",
                     Py_TYPE(key)->tp_name);
        return -1;
    }
    return 0;
}

/* ---- construction */

int
ps_sorted_build(ps_state *st, ps_gather *g, int shape, PyObject *key_function, ps_btree *out)
{
    int given = 1 + (shape & PS_BT_MAP);
    for (Py_ssize_t i = 0; i < g->n; i += given) {
        if (ps_sorted_check_key(g->items[i]) < 0) {
            return -1;
        }
    }
    Py_ssize_t n = g->n / given;
    if (n == 0) {
        *out = (ps_btree){.shape = shape};
        return 0;
    }
    if (key_function == NULL) {
        g->n = 0;
        return ps_bt_build(st, shape, g->items, n, out);
    }
    ps_gather keyed;
    ps_gather_init(&keyed);
    int rc = 0;
    for (Py_ssize_t i = 0; rc == 0 && i < g->n; i += given) {
        PyObject *order = ps_sorted_order(key_function, g->items[i]);
        rc = order == NULL ? -1 : ps_gather_push(&keyed, order);
        for (int j = 0; rc == 0 && j < given; j++) {
            rc = ps_gather_push(&keyed, Py_NewRef(g->items[i + j]));
        }
    }
    if (rc == 0) {
        keyed.n = 0;
        rc = ps_bt_build(st, shape, keyed.items, n, out);
    }
    ps_gather_clear(&keyed);
    return rc;
}

int
ps_sorted_tree_from(ps_state *st, int shape, PyObject *key_function, PyObject *source,
                    ps_btree *out)
{
    bool map = shape & PS_BT_MAP;
    if ((map ? ps_is_sorted_map(st, source) : ps_is_sorted_set(st, source)) &&
        ((ps_sorted *)source)->key == key_function) {
        *out = ps_bt_share(st, ps_sorted_tree(source));
        return 0;
    }
    ps_gather g;
    ps_gather_init(&g);
    int rc = ps_gather_from(st, &g, map ? 2 : 1, source);
    if (rc == 0) {
        rc = ps_sorted_build(st, &g, shape, key_function, out);
    }
    ps_gather_clear(&g);
    return rc;
}

PyObject *
ps_sorted_make(ps_state *st, PyTypeObject *type, PyObject *source, PyObject *key)
{
    key = key == Py_None ? NULL : key;
    if (key != NULL && !PyCallable_Check(key)) {
        PyErr_Format(PyExc_TypeError, "key must be a function of one key, or None, not %.200s",
                     Py_TYPE(key)->tp_name);
        return NULL;
    }
    bool map = PyType_IsSubtype(type, st->sorted_map);
    ps_btree t = {.shape = (map ? PS_BT_MAP : 0) | (key ? PS_BT_KEYED : 0)};
    if (source != NULL && source != Py_None) {
        if (Py_TYPE(source) == type && ((ps_sorted *)source)->key == key &&
            (type == st->sorted_map || type == st->sorted_set)) {
            return Py_NewRef(source);
        }
        if (ps_sorted_tree_from(st, t.shape, key, source, &t) < 0) {
            return NULL;
        }
    }
    return ps_sorted_new_of(st, type, t, key);
}

PyObject *
ps_sorted_tp_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"", "key", NULL};
    PyObject *source = NULL, *key = NULL;
    ps_state *st = ps_state_of_type(type);
    if (st == NULL || !PyArg_ParseTupleAndKeywords(args, kwargs, "|OO", names, &source, &key)) {
        return NULL;
    }
    return ps_sorted_make(st, type, source, key);
}

static PyObject *
make_by_function(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                 bool map)
{
    const char *const names[] = {map ? "initial" : "iterable", "key"};
    const char *name = map ? "psortedmap" : "psortedset";
    PyObject *a[2];
    ps_state *st = ps_state_of_module(module);
    if (nargs > 1) {
        PyErr_Format(PyExc_TypeError, "%s() takes at most 1 positional argument (%zd given)", name,
                     nargs);
        return NULL;
    }
    if (ps_parse_args(name, args, nargs, kwnames, names, 0, 2, a) < 0) {
        return NULL;
    }
    return ps_sorted_make(st, map ? st->sorted_map : st->sorted_set, a[0], a[1]);
}

PyObject *
ps_psortedmap(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    return make_by_function(module, args, nargs, kwnames, true);
}

PyObject *
ps_psortedset(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    return make_by_function(module, args, nargs, kwnames, false);
}

PyObject *
ps_sorted_reduce(PyObject *self, PyObject *contents)
{
    ps_state *st = ps_sorted_state(self);
    PyTypeObject *type = Py_TYPE(self);
    PyObject *key = ((ps_sorted *)self)->key, *args, *state;
    if (contents == NULL) {
        return NULL;
    }
    args = key == NULL ? PyTuple_Pack(1, contents) : PyTuple_Pack(2, contents, key);
    Py_DECREF(contents);
    if (args == NULL) {
        return NULL;
    }
    if (type == st->sorted_map || type == st->sorted_set) {
        return Py_BuildValue("ON", type, args);
    }
    state = PyObject_CallMethod(self, "__getstate__", NULL);
    if (state == NULL) {
        Py_DECREF(args);
        return NULL;
    }
    return Py_BuildValue("ONN", type, args, state);
}

/* ---- updating with all of a source */

/* Below this many entries an update is cheaper one by one than by building a tree and
 * joining it. */
#define UPDATE_ONE_BY_ONE 8

/* Set every gathered entry in *t, which nobody else reaches. */
static int
put_gathered(ps_state *st, ps_btree *t, PyObject *key_function, ps_gather *g, PyObject *fn)
{
    int rc = 0, given = 1 + (t->shape & PS_BT_MAP);
    for (Py_ssize_t i = 0; rc == 0 && i < g->n; i += given) {
        PyObject *key = g->items[i], *value = given == 2 ? Py_NewRef(g->items[i + 1]) : NULL;
        PyObject *order = ps_sorted_check_key(key) < 0 ? NULL : ps_sorted_order(key_function, key);
        ps_slot garbage[2] = {0, 0};
        rc = order == NULL ? -1 : 0;
        if (rc == 0 && fn != NULL) {
            PyObject *old = NULL;
            ps_found found = ps_bt_find(st, *t, order, NULL, &old);
            if (found == PS_FOUND) {
                Py_SETREF(value, PyObject_CallFunctionObjArgs(fn, old, value, NULL));
                Py_DECREF(old);
            }
            rc = found == PS_ERROR || value == NULL ? -1 : 0;
        }
        if (rc == 0 && ps_bt_set(st, t, order, key, value, true, garbage) == PS_BT_FAILED) {
            rc = -1;
        }
        ps_slot_xdecref(st, garbage[0]);
        ps_slot_xdecref(st, garbage[1]);
        Py_XDECREF(order);
        Py_XDECREF(value);
    }
    return rc;
}

int
ps_sorted_update_tree(ps_state *st, ps_btree *t, PyObject *key_function, PyObject *source,
                      PyObject *fn)
{
    ps_btree other, joined;
    ps_gather g;
    ps_gather_init(&g);
    bool map = t->shape & PS_BT_MAP, join = fn == NULL;
    int rc = 0;
    if (join && (map ? ps_is_sorted_map(st, source) : ps_is_sorted_set(st, source)) &&
        ((ps_sorted *)source)->key == key_function) {
        other = ps_bt_share(st, ps_sorted_tree(source));
    }
    else {
        rc = ps_gather_from(st, &g, map ? 2 : 1, source);
        join = join && g.n > (1 + map) * UPDATE_ONE_BY_ONE;
        if (rc == 0 && join) {
            rc = ps_sorted_build(st, &g, t->shape, key_function, &other);
        }
    }
    if (rc == 0 && join) {
        rc = ps_bt_union(st, *t, other, &joined);
        ps_bt_drop(st, other);
        if (rc == 0) {
            ps_bt_drop(st, *t);
            *t = joined;
        }
    }
    else if (rc == 0) {
        rc = put_gathered(st, t, key_function, &g, fn);
        ps_bt_track_all(st, t->root);
    }
    ps_gather_clear(&g);
    return rc;
}

/* ---- the module's share */

PyObject *
ps_sorted_check(ps_state *st, PyObject *o)
{
    ps_btree t = ps_is_sorted(st, o) ? ps_sorted_tree(o) : ((ps_sorted_evolver *)o)->tree;
    return ps_bt_check(st, t) < 0 ? NULL : Py_NewRef(Py_None);
}

int
ps_sorted_types_init(ps_state *st, PyObject *module)
{
    return ps_sorted_iterator_type_init(st, module) < 0 ||
                   ps_sorted_view_types_init(st, module) < 0 ||
                   ps_sorted_evolver_types_init(st, module) < 0 ||
                   ps_sorted_map_type_init(st, module) < 0 ||
                   ps_sorted_set_type_init(st, module) < 0
               ? -1
               : 0;
}
