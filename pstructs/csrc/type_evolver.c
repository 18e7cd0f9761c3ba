/* type_evolver.c -- PMapEvolver and PSetEvolver: the mutable builders.
 *
 *     e = m.evolver()          shares m's root
 *     e[k] = v                 copies what others reach, then writes in place
 *     e.persistent()           hands the root out; the evolver goes on with a
 *                              shared root, so its next write copies again
 *
 * Re-entrancy: a write runs __hash__ and __eq__ of keys. If that code (or
 * another thread meanwhile) writes to the same evolver, it gets
 * EvolverBusyError, so a write always ends on the tree that it began with.
 * Reading is allowed then: a reader holds the root, which makes the writer copy
 * instead of writing in place. Values that were replaced are released when the
 * write is over: their destructors meet a complete evolver that they may use.
 *
 * Collector: new nodes of an evolver are untracked until persistent(). So that
 * a cycle through the evolver can be found, its traverse looks through the
 * untracked nodes that nobody else holds. */
#include "collection.h"

#include "error.h"

PyObject *
ps_evolver_new(ps_state *st, PyObject *collection, int width)
{
    ps_evolver *e = PyObject_GC_New(ps_evolver, width == 2 ? st->map_evolver : st->set_evolver);
    if (e == NULL) {
        return NULL;
    }
    e->tree = ps_tree_share(st, ps_tree_of(collection));
    e->origin = Py_NewRef(collection);
    e->weakrefs = NULL;
    e->width = width;
    e->busy = false;
    PyObject_GC_Track(e);
    return (PyObject *)e;
}

/* ---- collector */

static int
evolver_traverse(PyObject *op, visitproc visit, void *arg)
{
    ps_evolver *e = (ps_evolver *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(e->origin);
    PyObject *module = ((PyHeapTypeObject *)Py_TYPE(op))->ht_module;
    if (e->busy || module == NULL) {
        /* A write in progress may hold nodes on the C stack: leave them alone. */
        return 0;
    }
    return ps_champ_visit_untracked(PyModule_GetState(module), e->tree.root, visit, arg);
}

static int
evolver_clear(PyObject *op)
{
    ps_evolver *e = (ps_evolver *)op;
    ps_tree t = e->tree;
    e->tree.root = 0;
    e->tree.count = 0;
    Py_CLEAR(e->origin);
    PyObject *module = ((PyHeapTypeObject *)Py_TYPE(op))->ht_module;
    if (t.root && !ps_slot_is_packed(t.root)) {
        ps_node_release(ps_slot_obj(t.root));
    }
    else if (t.root && module != NULL) {
        ps_slot_decref(PyModule_GetState(module), t.root);
    }
    return 0;
}

static void
evolver_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    Py_TRASHCAN_BEGIN(op, evolver_dealloc);
    if (((ps_evolver *)op)->weakrefs != NULL) {
        PyObject_ClearWeakRefs(op);
    }
    evolver_clear(op);
    type->tp_free(op);
    Py_DECREF(type);
    Py_TRASHCAN_END
}

/* ---- writing */

static bool
refuse_busy(ps_state *st, ps_evolver *e)
{
    if (PS_LIKELY(!e->busy)) {
        return false;
    }
    ps_raise(st, "EvolverBusyError",
             "this %s is in the middle of an operation that compares or hashes keys; it can't be "
             "changed from their __eq__ or __hash__, nor by another thread at the same time",
             e->width == 2 ? "PMapEvolver" : "PSetEvolver");
    return true;
}

/* What a write left over is released when the tree is complete. */
static ps_change
finish_write(ps_state *st, ps_evolver *e, ps_change change, ps_slot garbage[2])
{
    e->busy = false;
    if (change > PS_UNCHANGED && e->origin != NULL) {
        PyObject *origin = e->origin;
        e->origin = NULL;
        Py_DECREF(origin);
    }
    if (garbage[0] | garbage[1]) {
        PyObject *type, *value, *tb;
        PyErr_Fetch(&type, &value, &tb);
        ps_slot_xdecref(st, garbage[0]);
        ps_slot_xdecref(st, garbage[1]);
        PyErr_Restore(type, value, tb);
    }
    return change;
}

static ps_change
evolver_put(ps_state *st, ps_evolver *e, PyObject *key, PyObject *value)
{
    ps_slot garbage[2] = {0, 0};
    if (refuse_busy(st, e)) {
        return PS_FAILED;
    }
    e->busy = true;
    ps_change change = ps_champ_set(st, &e->tree, e->width, key, value, true, garbage);
    return finish_write(st, e, change, garbage);
}

static ps_change
evolver_take(ps_state *st, ps_evolver *e, PyObject *key)
{
    ps_slot garbage[2] = {0, 0};
    if (refuse_busy(st, e)) {
        return PS_FAILED;
    }
    e->busy = true;
    ps_change change = ps_champ_remove(st, &e->tree, e->width, key, true, garbage);
    return finish_write(st, e, change, garbage);
}

/* Put everything that source holds. */
static int
evolver_put_all(ps_state *st, ps_evolver *e, PyObject *source)
{
    if (refuse_busy(st, e)) {
        return -1;
    }
    ps_gather g;
    ps_gather_init(&g);
    int rc = ps_gather_from(st, &g, e->width, source);
    for (Py_ssize_t i = 0; rc == 0 && i < g.n; i += e->width) {
        PyObject *value = e->width == 2 ? g.items[i + 1] : NULL;
        if (evolver_put(st, e, g.items[i], value) == PS_FAILED) {
            rc = -1;
        }
    }
    ps_gather_clear(&g);
    return rc;
}

/* ---- reading: hold the root, so that user code can't have it written in place */

static ps_found
evolver_find(ps_state *st, ps_evolver *e, PyObject *key, PyObject **value)
{
    ps_tree t = ps_tree_share(st, e->tree);
    ps_found found = value == NULL ? ps_champ_contains(st, t.root, e->width, key)
                                   : ps_champ_get(st, t.root, key, value);
    ps_tree_drop(st, t);
    return found;
}

static int
evolver_contains(PyObject *op, PyObject *key)
{
    return evolver_find(ps_final_state(op), (ps_evolver *)op, key, NULL);
}

static Py_ssize_t
evolver_len(PyObject *op)
{
    return ((ps_evolver *)op)->tree.count;
}

static PyObject *
evolver_subscript(PyObject *op, PyObject *key)
{
    PyObject *value = NULL;
    ps_found found = evolver_find(ps_final_state(op), (ps_evolver *)op, key, &value);
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
    ps_found found = evolver_find(ps_final_state(op), (ps_evolver *)op, a[0], &value);
    if (found == PS_NOT_FOUND) {
        return Py_NewRef(a[1] == NULL ? Py_None : a[1]);
    }
    return found == PS_ERROR ? NULL : value;
}

/* ---- methods */

static int
evolver_ass_subscript(PyObject *op, PyObject *key, PyObject *value)
{
    ps_state *st = ps_final_state(op);
    ps_evolver *e = (ps_evolver *)op;
    if (value != NULL) {
        return evolver_put(st, e, key, value) == PS_FAILED ? -1 : 0;
    }
    ps_change change = evolver_take(st, e, key);
    if (change == PS_UNCHANGED) {
        ps_key_error(key);
        return -1;
    }
    return change == PS_FAILED ? -1 : 0;
}

static PyObject *
evolver_set(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"key", "val"};
    PyObject *a[2];
    if (ps_parse_args("set", args, nargs, kwnames, names, 2, 2, a) < 0) {
        return NULL;
    }
    ps_change change = evolver_put(ps_final_state(op), (ps_evolver *)op, a[0], a[1]);
    return change == PS_FAILED ? NULL : Py_NewRef(op);
}

static PyObject *
evolver_add(PyObject *op, PyObject *element)
{
    ps_change change = evolver_put(ps_final_state(op), (ps_evolver *)op, element, NULL);
    return change == PS_FAILED ? NULL : Py_NewRef(op);
}

static PyObject *
evolver_remove(PyObject *op, PyObject *key)
{
    ps_change change = evolver_take(ps_final_state(op), (ps_evolver *)op, key);
    if (change == PS_UNCHANGED) {
        return ps_key_error(key);
    }
    return change == PS_FAILED ? NULL : Py_NewRef(op);
}

static PyObject *
evolver_discard(PyObject *op, PyObject *key)
{
    ps_change change = evolver_take(ps_final_state(op), (ps_evolver *)op, key);
    return change == PS_FAILED ? NULL : Py_NewRef(op);
}

static PyObject *
evolver_update(PyObject *op, PyObject *const *args, Py_ssize_t nargs)
{
    ps_state *st = ps_final_state(op);
    for (Py_ssize_t i = 0; i < nargs; i++) {
        if (evolver_put_all(st, (ps_evolver *)op, args[i]) < 0) {
            return NULL;
        }
    }
    return Py_NewRef(op);
}

static PyObject *
evolver_is_dirty(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(((ps_evolver *)op)->origin == NULL);
}

static PyObject *
evolver_persistent(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    ps_state *st = ps_final_state(op);
    ps_evolver *e = (ps_evolver *)op;
    if (refuse_busy(st, e)) {
        return NULL;
    }
    if (e->origin == NULL) {
        if (e->tree.root) {
            ps_champ_publish(st, e->tree.root);
        }
        /* Busy until `origin` is what the tree is: to allocate may run the collector. */
        e->busy = true;
        PyObject *made = ps_collection_new(st, e->width, ps_tree_share(st, e->tree));
        e->busy = false;
        if (made == NULL) {
            return NULL;
        }
        Py_XSETREF(e->origin, made);
    }
    return Py_NewRef(e->origin);
}

PS_NAMED_ARG(evolver_add, "add", "element")
PS_NAMED_ARG(evolver_remove, "remove", "key")
PS_NAMED_ARG(evolver_discard, "discard", "key")

static PyObject *
set_evolver_remove(PyObject *op, PyObject *element)
{
    return evolver_remove(op, element);
}

static PyObject *
set_evolver_discard(PyObject *op, PyObject *element)
{
    return evolver_discard(op, element);
}
PS_NAMED_ARG(set_evolver_remove, "remove", "element")
PS_NAMED_ARG(set_evolver_discard, "discard", "element")

static PyMethodDef map_evolver_methods[] = {
    {"set", (PyCFunction)(void (*)(void))evolver_set, METH_FASTCALL | METH_KEYWORDS,
     "set($self, /, key, val)\n--\n\nGive key the value val. Returns the evolver."},
    {"remove", PS_NAMED(evolver_remove),
     "remove($self, /, key)\n--\n\nRemove key; KeyError if it is missing. Returns the evolver."},
    {"discard", PS_NAMED(evolver_discard),
     "discard($self, /, key)\n--\n\nRemove key if it is there. Returns the evolver."},
    {"update", (PyCFunction)(void (*)(void))evolver_update, METH_FASTCALL,
     "update($self, /, *maps)\n--\n\nSet every entry of the mappings or pairs. Returns the "
     "evolver."},
    {"get", (PyCFunction)(void (*)(void))evolver_get, METH_FASTCALL | METH_KEYWORDS,
     "get($self, /, key, default=None)\n--\n\nThe value of key, or default."},
    {"is_dirty", evolver_is_dirty, METH_NOARGS,
     "is_dirty($self, /)\n--\n\nWhether something changed since the start or the last "
     "persistent()."},
    {"persistent", evolver_persistent, METH_NOARGS,
     "persistent($self, /)\n--\n\nThe contents as a PMap. The evolver can be used further."},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS,
     "__class_getitem__($type, item, /)\n--\n\nPMapEvolver[K, V]."},
    {NULL, NULL, 0, NULL},
};

static PyMethodDef set_evolver_methods[] = {
    {"add", PS_NAMED(evolver_add),
     "add($self, /, element)\n--\n\nAdd element. Returns the evolver."},
    {"remove", PS_NAMED(set_evolver_remove),
     "remove($self, /, element)\n--\n\nRemove element; KeyError if it is missing. Returns the "
     "evolver."},
    {"discard", PS_NAMED(set_evolver_discard),
     "discard($self, /, element)\n--\n\nRemove element if it is there. Returns the evolver."},
    {"update", (PyCFunction)(void (*)(void))evolver_update, METH_FASTCALL,
     "update($self, /, *iterables)\n--\n\nAdd every element of the iterables. Returns the "
     "evolver."},
    {"is_dirty", evolver_is_dirty, METH_NOARGS,
     "is_dirty($self, /)\n--\n\nWhether something changed since the start or the last "
     "persistent()."},
    {"persistent", evolver_persistent, METH_NOARGS,
     "persistent($self, /)\n--\n\nThe contents as a PSet. The evolver can be used further."},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS,
     "__class_getitem__($type, item, /)\n--\n\nPSetEvolver[T]."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef evolver_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(ps_evolver, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

#define EVOLVER_SLOTS                                                                             \
    {Py_tp_dealloc, evolver_dealloc}, {Py_tp_traverse, evolver_traverse},                         \
        {Py_tp_clear, evolver_clear}, {Py_tp_members, evolver_members},                           \
    {                                                                                             \
        Py_sq_contains, evolver_contains                                                          \
    }

static PyType_Slot map_evolver_slots[] = {
    {Py_tp_doc, "Mutable builder of a PMap: m.evolver() makes one, persistent() ends it."},
    EVOLVER_SLOTS,
    {Py_mp_length, evolver_len},
    {Py_mp_subscript, evolver_subscript},
    {Py_mp_ass_subscript, evolver_ass_subscript},
    {Py_tp_methods, map_evolver_methods},
    {0, NULL},
};

static PyType_Slot set_evolver_slots[] = {
    {Py_tp_doc, "Mutable builder of a PSet: s.evolver() makes one, persistent() ends it."},
    EVOLVER_SLOTS,
    {Py_sq_length, evolver_len},
    {Py_tp_methods, set_evolver_methods},
    {0, NULL},
};

#define EVOLVER_FLAGS                                                                             \
    (Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |                \
     Py_TPFLAGS_IMMUTABLETYPE)

static PyType_Spec map_evolver_spec = {
    .name = "pstructs.PMapEvolver",
    .basicsize = sizeof(ps_evolver),
    .flags = EVOLVER_FLAGS,
    .slots = map_evolver_slots,
};

static PyType_Spec set_evolver_spec = {
    .name = "pstructs.PSetEvolver",
    .basicsize = sizeof(ps_evolver),
    .flags = EVOLVER_FLAGS,
    .slots = set_evolver_slots,
};

int
ps_evolver_types_init(ps_state *st, PyObject *module)
{
    st->map_evolver = (PyTypeObject *)PyType_FromModuleAndSpec(module, &map_evolver_spec, NULL);
    st->set_evolver = (PyTypeObject *)PyType_FromModuleAndSpec(module, &set_evolver_spec, NULL);
    if (st->map_evolver == NULL || st->set_evolver == NULL) {
        return -1;
    }
    return PyModule_AddType(module, st->map_evolver) < 0 ||
                   PyModule_AddType(module, st->set_evolver) < 0
               ? -1
               : 0;
}
