/* type_sorted_evolver.c -- PSortedMapEvolver and PSortedSetEvolver: the mutable
 * builders of sorted collections.
 *
 * As type_evolver.c: a write that is entered again (from __lt__ or __eq__ of keys, or by
 * another thread) is refused; reading is allowed, since a reader holds the root, which
 * makes the writer copy; what was replaced is released when the write is over. The key function
 * runs before a write begins, and may do what it likes. */
#include "sorted.h"

#include "error.h"

PyObject *
ps_sorted_evolver_new(ps_state *st, PyObject *collection)
{
    ps_btree t = ps_sorted_tree(collection);
    ps_sorted_evolver *e = PyObject_GC_New(
        ps_sorted_evolver, t.shape & PS_BT_MAP ? st->sorted_map_evolver : st->sorted_set_evolver);
    if (e == NULL) {
        return NULL;
    }
    e->tree = ps_bt_share(st, t);
    e->key = Py_XNewRef(((ps_sorted *)collection)->key);
    e->origin = Py_NewRef(collection);
    e->weakrefs = NULL;
    e->busy = false;
    PyObject_GC_Track(e);
    return (PyObject *)e;
}

/* ---- collector */

static int
evolver_traverse(PyObject *op, visitproc visit, void *arg)
{
    ps_sorted_evolver *e = (ps_sorted_evolver *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(e->origin);
    Py_VISIT(e->key);
    PyObject *module = ((PyHeapTypeObject *)Py_TYPE(op))->ht_module;
    if (e->busy || module == NULL) {
        /* A write in progress may hold nodes on the C stack: leave them alone. */
        return 0;
    }
    return ps_bt_visit_untracked(PyModule_GetState(module), e->tree.root, visit, arg);
}

static int
evolver_clear(PyObject *op)
{
    ps_sorted_evolver *e = (ps_sorted_evolver *)op;
    ps_slot root = e->tree.root;
    e->tree.root = 0;
    e->tree.count = 0;
    Py_CLEAR(e->origin);
    PyObject *module = ((PyHeapTypeObject *)Py_TYPE(op))->ht_module;
    if (root && !ps_slot_is_packed(root)) {
        ps_node_release(ps_slot_obj(root));
    }
    else if (root && module != NULL) {
        ps_slot_decref(PyModule_GetState(module), root);
    }
    return 0;
}

static void
evolver_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    Py_TRASHCAN_BEGIN(op, evolver_dealloc);
    if (((ps_sorted_evolver *)op)->weakrefs != NULL) {
        PyObject_ClearWeakRefs(op);
    }
    evolver_clear(op);
    Py_CLEAR(((ps_sorted_evolver *)op)->key);
    type->tp_free(op);
    Py_DECREF(type);
    Py_TRASHCAN_END
}

/* ---- writing */

static bool
refuse_busy(ps_state *st, ps_sorted_evolver *e)
{
    if (PS_LIKELY(!e->busy)) {
        return false;
    }
    ps_raise(st, "EvolverBusyError",
             "this %s is in the middle of an operation that compares keys; it can't be changed "
             "from their __lt__ or __eq__, nor by another thread at the same time",
             e->tree.shape & PS_BT_MAP ? "PSortedMapEvolver" : "PSortedSetEvolver");
    return true;
}

/* Set (with value, or as an element) or take away; what that left over is released when
 * the tree is complete. */
static ps_bt_change
evolver_write(ps_state *st, ps_sorted_evolver *e, PyObject *key, PyObject *value, bool take)
{
    ps_slot garbage[2] = {0, 0};
    if (!take && ps_sorted_check_key(key) < 0) {
        return PS_BT_FAILED;
    }
    PyObject *order = ps_sorted_order(e->key, key);
    if (order == NULL || refuse_busy(st, e)) {
        Py_XDECREF(order);
        return PS_BT_FAILED;
    }
    e->busy = true;
    ps_bt_change change = take ? ps_bt_remove(st, &e->tree, order, true, garbage)
                               : ps_bt_set(st, &e->tree, order, key, value, true, garbage);
    e->busy = false;
    PyObject *origin = NULL, *type, *error, *tb;
    if (change > PS_BT_UNCHANGED) {
        origin = e->origin;
        e->origin = NULL;
    }
    PyErr_Fetch(&type, &error, &tb);
    Py_XDECREF(origin);
    ps_slot_xdecref(st, garbage[0]);
    ps_slot_xdecref(st, garbage[1]);
    Py_DECREF(order);
    PyErr_Restore(type, error, tb);
    return change;
}

/* ---- reading: hold the root, so that user code can't have it written in place */

static ps_found
evolver_find(PyObject *op, PyObject *key, PyObject **value)
{
    ps_state *st = ps_final_state(op);
    ps_sorted_evolver *e = (ps_sorted_evolver *)op;
    PyObject *order = ps_sorted_order(e->key, key);
    if (order == NULL) {
        return PS_ERROR;
    }
    ps_btree t = ps_bt_share(st, e->tree);
    ps_found found = ps_bt_find(st, t, order, NULL, value);
    ps_bt_drop(st, t);
    Py_DECREF(order);
    return found;
}

static int
evolver_contains(PyObject *op, PyObject *key)
{
    return evolver_find(op, key, NULL);
}

static Py_ssize_t
evolver_len(PyObject *op)
{
    return ((ps_sorted_evolver *)op)->tree.count;
}

static PyObject *
evolver_subscript(PyObject *op, PyObject *key)
{
    PyObject *value = NULL;
    ps_found found = evolver_find(op, key, &value);
    if (found == PS_NOT_FOUND) {
        return ps_key_error(key);
    }
    return found == PS_ERROR ? NULL : value;
}

static PyObject *
evolver_get(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"key", "default"};
    PyObject *a[2], *value = NULL;
    if (ps_parse_args("get", args, nargs, kwnames, names, 1, 2, a) < 0) {
        return NULL;
    }
    ps_found found = evolver_find(op, a[0], &value);
    if (found == PS_NOT_FOUND) {
        return Py_NewRef(a[1] == NULL ? Py_None : a[1]);
    }
    return found == PS_ERROR ? NULL : value;
}

/* ---- methods */

static int
evolver_ass_subscript(PyObject *op, PyObject *key, PyObject *value)
{
    ps_bt_change change =
        evolver_write(ps_final_state(op), (ps_sorted_evolver *)op, key, value, value == NULL);
    if (value == NULL && change == PS_BT_UNCHANGED) {
        ps_key_error(key);
        return -1;
    }
    return change == PS_BT_FAILED ? -1 : 0;
}

static PyObject *
evolver_set(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"key", "val"};
    PyObject *a[2];
    if (ps_parse_args("set", args, nargs, kwnames, names, 2, 2, a) < 0) {
        return NULL;
    }
    return evolver_ass_subscript(op, a[0], a[1]) < 0 ? NULL : Py_NewRef(op);
}

static PyObject *
evolver_add(PyObject *op, PyObject *element)
{
    ps_bt_change change =
        evolver_write(ps_final_state(op), (ps_sorted_evolver *)op, element, NULL, false);
    return change == PS_BT_FAILED ? NULL : Py_NewRef(op);
}

static PyObject *
evolver_remove(PyObject *op, PyObject *key)
{
    return evolver_ass_subscript(op, key, NULL) < 0 ? NULL : Py_NewRef(op);
}

static PyObject *
evolver_discard(PyObject *op, PyObject *key)
{
    ps_bt_change change =
        evolver_write(ps_final_state(op), (ps_sorted_evolver *)op, key, NULL, true);
    return change == PS_BT_FAILED ? NULL : Py_NewRef(op);
}

static PyObject *
evolver_update(PyObject *op, PyObject *const *args, Py_ssize_t nargs)
{
    ps_state *st = ps_final_state(op);
    ps_sorted_evolver *e = (ps_sorted_evolver *)op;
    int given = 1 + (e->tree.shape & PS_BT_MAP), rc = 0;
    for (Py_ssize_t k = 0; k < nargs && rc == 0; k++) {
        if (refuse_busy(st, e)) {
            return NULL;
        }
        ps_gather g;
        ps_gather_init(&g);
        rc = ps_gather_from(st, &g, given, args[k]);
        for (Py_ssize_t i = 0; rc == 0 && i < g.n; i += given) {
            PyObject *value = given == 2 ? g.items[i + 1] : NULL;
            rc = evolver_write(st, e, g.items[i], value, false) == PS_BT_FAILED ? -1 : 0;
        }
        ps_gather_clear(&g);
    }
    return rc < 0 ? NULL : Py_NewRef(op);
}

/* Take the entry at one end away and return it. */
static PyObject *
pop(PyObject *op, bool first)
{
    ps_state *st = ps_final_state(op);
    ps_sorted_evolver *e = (ps_sorted_evolver *)op;
    if (refuse_busy(st, e)) {
        return NULL;
    }
    if (e->tree.count == 0) {
        PyErr_SetString(PyExc_KeyError, "this evolver is empty");
        return NULL;
    }
    ps_btree t = ps_bt_share(st, e->tree);
    Py_ssize_t i = first ? 0 : t.count - 1;
    PyObject *entry = ps_sorted_entry(st, t, i), *key = NULL;
    if (entry != NULL && ps_bt_nth(st, t, i, &key, NULL) < 0) {
        Py_CLEAR(entry);
    }
    ps_bt_drop(st, t);
    if (entry != NULL && evolver_write(st, e, key, NULL, true) == PS_BT_FAILED) {
        Py_CLEAR(entry);
    }
    Py_XDECREF(key);
    return entry;
}

static PyObject *
evolver_pop_first(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return pop(op, true);
}

static PyObject *
evolver_pop_last(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return pop(op, false);
}

static PyObject *
evolver_is_dirty(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(((ps_sorted_evolver *)op)->origin == NULL);
}

static PyObject *
evolver_persistent(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    ps_state *st = ps_final_state(op);
    ps_sorted_evolver *e = (ps_sorted_evolver *)op;
    if (refuse_busy(st, e)) {
        return NULL;
    }
    if (e->origin == NULL) {
        ps_bt_track_all(st, e->tree.root);
        PyTypeObject *type = e->tree.shape & PS_BT_MAP ? st->sorted_map : st->sorted_set;
        /* Busy until `origin` is what the tree is: to allocate may run the collector. */
        e->busy = true;
        PyObject *made = ps_sorted_new_of(st, type, ps_bt_share(st, e->tree), e->key);
        e->busy = false;
        if (made == NULL) {
            return NULL;
        }
        Py_XSETREF(e->origin, made);
    }
    return Py_NewRef(e->origin);
}

#define COMMON_METHODS(NAME, COLLECTION)                                                          \
    {"remove", evolver_remove, METH_O,                                                            \
     "remove($self, key, /)\n--\n\nRemove key; KeyError if it is missing. Returns the evolver."}, \
        {"discard", evolver_discard, METH_O,                                                      \
         "discard($self, key, /)\n--\n\nRemove key if it is there. Returns the evolver."},        \
        {"update", (PyCFunction)(void (*)(void))evolver_update, METH_FASTCALL,                    \
         "update($self, /, *sources)\n--\n\nPut in all that the sources hold. Returns the "       \
         "evolver."},                                                                             \
        {"pop_first", evolver_pop_first, METH_NOARGS,                                             \
         "pop_first($self, /)\n--\n\nRemove the smallest entry and return it; KeyError if there " \
         "is none."},                                                                             \
        {"pop_last", evolver_pop_last, METH_NOARGS,                                               \
         "pop_last($self, /)\n--\n\nRemove the greatest entry and return it; KeyError if there "  \
         "is none."},                                                                             \
        {"is_dirty", evolver_is_dirty, METH_NOARGS,                                               \
         "is_dirty($self, /)\n--\n\nWhether something changed since the start or the last "       \
         "persistent()."},                                                                        \
        {"persistent", evolver_persistent, METH_NOARGS,                                           \
         "persistent($self, /)\n--\n\nThe contents as a " COLLECTION                              \
         ". The evolver can be used further."},                                                   \
    {                                                                                             \
        "__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS,                                \
            "__class_getitem__($type, item, /)\n--\n\n" NAME                                      \
    }

static PyMethodDef map_evolver_methods[] = {
    {"set", PS_SORTED_KEYWORDS(evolver_set),
     "set($self, /, key, val)\n--\n\nGive key the value val. Returns the evolver."},
    {"get", PS_SORTED_KEYWORDS(evolver_get),
     "get($self, /, key, default=None)\n--\n\nThe value of key, or default."},
    COMMON_METHODS("PSortedMapEvolver[K, V].", "PSortedMap"),
    {NULL, NULL, 0, NULL},
};

static PyMethodDef set_evolver_methods[] = {
    {"add", evolver_add, METH_O,
     "add($self, element, /)\n--\n\nAdd element. Returns the evolver."},
    COMMON_METHODS("PSortedSetEvolver[T].", "PSortedSet"),
    {NULL, NULL, 0, NULL},
};

static PyMemberDef evolver_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(ps_sorted_evolver, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

#define EVOLVER_SLOTS                                                                             \
    {Py_tp_dealloc, evolver_dealloc}, {Py_tp_traverse, evolver_traverse},                         \
        {Py_tp_clear, evolver_clear}, {Py_tp_members, evolver_members},                           \
    {                                                                                             \
        Py_sq_contains, evolver_contains                                                          \
    }

static PyType_Slot map_evolver_slots[] = {
    {Py_tp_doc, "Mutable builder of a PSortedMap: m.evolver() makes one, persistent() ends it."},
    EVOLVER_SLOTS,
    {Py_mp_length, evolver_len},
    {Py_mp_subscript, evolver_subscript},
    {Py_mp_ass_subscript, evolver_ass_subscript},
    {Py_tp_methods, map_evolver_methods},
    {0, NULL},
};

static PyType_Slot set_evolver_slots[] = {
    {Py_tp_doc, "Mutable builder of a PSortedSet: s.evolver() makes one, persistent() ends it."},
    EVOLVER_SLOTS,
    {Py_sq_length, evolver_len},
    {Py_tp_methods, set_evolver_methods},
    {0, NULL},
};

#define EVOLVER_FLAGS                                                                             \
    (Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |                \
     Py_TPFLAGS_IMMUTABLETYPE)

static PyType_Spec map_evolver_spec = {
    .name = "pstructs.PSortedMapEvolver",
    .basicsize = sizeof(ps_sorted_evolver),
    .flags = EVOLVER_FLAGS,
    .slots = map_evolver_slots,
};

static PyType_Spec set_evolver_spec = {
    .name = "pstructs.PSortedSetEvolver",
    .basicsize = sizeof(ps_sorted_evolver),
    .flags = EVOLVER_FLAGS,
    .slots = set_evolver_slots,
};

int
ps_sorted_evolver_types_init(ps_state *st, PyObject *module)
{
    st->sorted_map_evolver =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &map_evolver_spec, NULL);
    st->sorted_set_evolver =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &set_evolver_spec, NULL);
    if (st->sorted_map_evolver == NULL || st->sorted_set_evolver == NULL) {
        return -1;
    }
    return PyModule_AddType(module, st->sorted_map_evolver) < 0 ||
                   PyModule_AddType(module, st->sorted_set_evolver) < 0
               ? -1
               : 0;
}
