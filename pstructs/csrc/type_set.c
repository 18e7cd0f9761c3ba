/* type_set.c -- PSet, the persistent set, and the functions pset() and s().
 *
 * A PSet is the same trie as a PMap with one slot an entry. Its hash is that of
 * the frozenset with the same elements, to which it is equal. The operators are
 * in type_algebra.c. */
#include "collection.h"

#include "error.h"
#include "type_interop.h"

/* ---- construction */

static PyObject *
set_make(ps_state *st, PyTypeObject *type, PyObject *source)
{
    ps_tree t = {0, 0};
    if (source != NULL && Py_TYPE(source) == type && type == st->set) {
        return Py_NewRef(source);
    }
    if (source != NULL && ps_tree_from_object(st, 1, source, &t) < 0) {
        return NULL;
    }
    return type == st->set ? ps_collection_new(st, 1, t) : ps_collection_new_of(st, type, 1, t);
}

static PyObject *
set_vectorcall(PyObject *type, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    Py_ssize_t nargs = PyVectorcall_NARGS(nargsf);
    if (nargs > 1 || (kwnames != NULL && PyTuple_GET_SIZE(kwnames) > 0)) {
        PyErr_SetString(PyExc_TypeError, "PSet() takes at most 1 argument, an iterable");
        return NULL;
    }
    ps_state *st = PyModule_GetState(((PyHeapTypeObject *)type)->ht_module);
    return set_make(st, (PyTypeObject *)type, nargs ? args[0] : NULL);
}

static PyObject *
set_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    ps_state *st = ps_state_of_type(type);
    if (st == NULL) {
        return NULL;
    }
    if (PyTuple_GET_SIZE(args) > 1 || (kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0)) {
        PyErr_SetString(PyExc_TypeError, "PSet() takes at most 1 argument, an iterable");
        return NULL;
    }
    return set_make(st, type, PyTuple_GET_SIZE(args) ? PyTuple_GET_ITEM(args, 0) : NULL);
}

PyObject *
ps_pset(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"iterable", "pre_size"};
    PyObject *a[2];
    ps_state *st = ps_state_of_module(module);
    if (PS_LIKELY(nargs == 1 && kwnames == NULL)) {
        a[0] = args[0];
    }
    else if (ps_parse_args("pset", args, nargs, kwnames, names, 0, 2, a) < 0) {
        return NULL;
    }
    return set_make(st, st->set, a[0] == Py_None ? NULL : a[0]);
}

PyObject *
ps_s(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    ps_state *st = ps_state_of_module(module);
    ps_tree t;
    ps_gather g;
    ps_gather_init(&g);
    int rc = 0;
    for (Py_ssize_t i = 0; rc == 0 && i < nargs; i++) {
        rc = ps_gather_push(&g, Py_NewRef(args[i]));
    }
    if (rc == 0) {
        rc = ps_gather_build(st, &g, 1, &t);
    }
    ps_gather_clear(&g);
    return rc < 0 ? NULL : ps_collection_new(st, 1, t);
}

/* ---- lookup */

static Py_ssize_t
set_len(PyObject *self)
{
    return ps_tree_of(self).count;
}

static int
set_contains(PyObject *self, PyObject *element)
{
    ps_probe p;
    switch (ps_champ_probe(ps_tree_of(self).root, 1, element, &p)) {
    case PS_PROBE_HIT:
        return 1;
    case PS_PROBE_MISS:
        return 0;
    default:
        return ps_champ_contains_from(ps_collection_state(self), &p, 1, element);
    }
}

static PyObject *
set_iter(PyObject *self)
{
    return ps_iterator_new(ps_collection_state(self), ps_tree_of(self), 1, PS_KEYS);
}

/* ---- updates */

static PyObject *
set_add(PyObject *self, PyObject *element)
{
    ps_state *st = ps_collection_state(self);
    ps_tree t = ps_tree_share(st, ps_tree_of(self));
    ps_slot garbage[2] = {0, 0};
    ps_change change = ps_champ_set(st, &t, 1, element, NULL, false, garbage);
    ps_slot_xdecref(st, garbage[0]);
    ps_slot_xdecref(st, garbage[1]);
    if (change <= PS_UNCHANGED) {
        ps_tree_drop(st, t);
        return change == PS_FAILED ? NULL : Py_NewRef(self);
    }
    return ps_collection_new(st, 1, t);
}

/* Shared by remove and discard: new reference, or NULL and *missing. */
static PyObject *
set_take(PyObject *self, PyObject *element, bool *missing)
{
    ps_state *st = ps_collection_state(self);
    ps_tree t = ps_tree_share(st, ps_tree_of(self));
    ps_slot garbage[2] = {0, 0};
    ps_change change = ps_champ_remove(st, &t, 1, element, false, garbage);
    ps_slot_xdecref(st, garbage[0]);
    ps_slot_xdecref(st, garbage[1]);
    if (change <= PS_UNCHANGED) {
        ps_tree_drop(st, t);
        *missing = change == PS_UNCHANGED;
        return NULL;
    }
    *missing = false;
    return ps_collection_new(st, 1, t);
}

static PyObject *
set_remove(PyObject *self, PyObject *element)
{
    bool missing;
    PyObject *result = set_take(self, element, &missing);
    return missing ? ps_key_error(element) : result;
}

static PyObject *
set_discard(PyObject *self, PyObject *element)
{
    bool missing;
    PyObject *result = set_take(self, element, &missing);
    return missing ? Py_NewRef(self) : result;
}

static PyObject *
set_union(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    return ps_setlike_union(self, args, nargs);
}

static PyObject *
set_evolver(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return ps_evolver_new(ps_collection_state(self), self, 1);
}

/* ---- as a value */

static PyObject *
set_repr(PyObject *self)
{
    if (set_len(self) == 0) {
        return PyUnicode_FromString("pset()");
    }
    int rc = Py_ReprEnter(self);
    if (rc != 0) {
        return rc < 0 ? NULL : PyUnicode_FromString("pset([...])");
    }
    PyObject *list = PySequence_List(self);
    PyObject *result = list == NULL ? NULL : PyUnicode_FromFormat("pset(%R)", list);
    Py_XDECREF(list);
    Py_ReprLeave(self);
    return result;
}

static Py_hash_t
set_hash(PyObject *self)
{
    ps_collection *c = (ps_collection *)self;
    if (c->hash == -1) {
        c->hash = ps_tree_hash(ps_collection_state(self), c->tree, 1, false);
    }
    return c->hash;
}

static PyObject *
set_copy(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return Py_NewRef(self);
}

static PyObject *
set_reduce(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    ps_state *st = ps_collection_state(self);
    PyObject *list = PySequence_List(self);
    if (list == NULL) {
        return NULL;
    }
    if (Py_TYPE(self) == st->set) {
        return Py_BuildValue("O(N)", st->set, list);
    }
    PyObject *state = PyObject_CallMethod(self, "__getstate__", NULL);
    if (state == NULL) {
        Py_DECREF(list);
        return NULL;
    }
    return Py_BuildValue("O(N)N", Py_TYPE(self), list, state);
}

static PyObject *
set_reversed(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    PyErr_SetString(PyExc_TypeError, "a PSet is in hash order, which has no meaningful reverse; "
                                     "use sorted(s, reverse=True)");
    return NULL;
}

#define FAST(function) (PyCFunction)(void (*)(void))(function)

PS_NAMED_ARG(set_add, "add", "element")
PS_NAMED_ARG(set_remove, "remove", "element")
PS_NAMED_ARG(set_discard, "discard", "element")
PS_NAMED_ARG(ps_setlike_isdisjoint, "isdisjoint", "other")
PS_NAMED_ARG(ps_setlike_issubset, "issubset", "other")
PS_NAMED_ARG(ps_setlike_issuperset, "issuperset", "other")
PS_NAMED_ARG(ps_setlike_symmetric_difference, "symmetric_difference", "other")

static PyMethodDef set_methods[] = {
    {"add", PS_NAMED(set_add), "add($self, /, element)\n--\n\nA set with element as well."},
    {"remove", PS_NAMED(set_remove),
     "remove($self, /, element)\n--\n\nA set without element; KeyError if it is missing."},
    {"discard", PS_NAMED(set_discard),
     "discard($self, /, element)\n--\n\nA set without element; the set itself if it is missing."},
    {"update", FAST(set_union), METH_FASTCALL,
     "update($self, /, *iterables)\n--\n\nA set with the elements of iterables as well."},
    {"union", FAST(set_union), METH_FASTCALL,
     "union($self, /, *others)\n--\n\nThe elements of the set or of any of others."},
    {"intersection", FAST(ps_setlike_intersection), METH_FASTCALL,
     "intersection($self, /, *others)\n--\n\nThe elements that all of others have too."},
    {"difference", FAST(ps_setlike_difference), METH_FASTCALL,
     "difference($self, /, *others)\n--\n\nThe elements that none of others has."},
    {"symmetric_difference", PS_NAMED(ps_setlike_symmetric_difference),
     "symmetric_difference($self, /, other)\n--\n\nThe elements that only one of both has."},
    {"issubset", PS_NAMED(ps_setlike_issubset),
     "issubset($self, /, other)\n--\n\nWhether other has every element."},
    {"issuperset", PS_NAMED(ps_setlike_issuperset),
     "issuperset($self, /, other)\n--\n\nWhether the set has every element of other."},
    {"isdisjoint", PS_NAMED(ps_setlike_isdisjoint),
     "isdisjoint($self, /, other)\n--\n\nWhether no element is in other."},
    {"evolver", set_evolver, METH_NOARGS,
     "evolver($self, /)\n--\n\nA mutable builder that starts from this set."},
    {"copy", set_copy, METH_NOARGS, "copy($self, /)\n--\n\nThe set itself: it never changes."},
    {"__copy__", ps_collection_copy, METH_NOARGS,
     "__copy__($self, /)\n--\n\nThe set itself; of a subclass a new one with the same state."},
    {"__reduce__", set_reduce, METH_NOARGS,
     "__reduce__($self, /)\n--\n\nFor pickle and deepcopy."},
    {"__reversed__", set_reversed, METH_NOARGS,
     "__reversed__($self, /)\n--\n\nRaises TypeError: hash order has no reverse."},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS,
     "__class_getitem__($type, item, /)\n--\n\nPSet[T]."},
    PS_INTEROP_METHODS,
    {NULL, NULL, 0, NULL},
};

static PyMemberDef set_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(ps_collection, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(set_doc,
             "PSet(iterable=(), /)\n--\n\n"
             "A persistent set: every update returns a new set and the old one stays valid.\n\n"
             "Cost: add, remove and `in` O(log32 n); len and copy O(1); set algebra O(n), less\n"
             "where both sides share structure.\n\n"
             "Examples\n--------\n"
             ">>> from pstructs import s\n"
             ">>> old = s(1, 2)\n"
             ">>> new = old.add(3)\n"
             ">>> 3 in old, 3 in new, old < new\n"
             "(False, True, True)\n");

static PyType_Slot set_slots[] = {
    {Py_tp_doc, (void *)set_doc},
    {Py_tp_new, set_new},
    {Py_tp_dealloc, ps_collection_dealloc},
    {Py_tp_traverse, ps_collection_traverse},
    {Py_tp_repr, set_repr},
    {Py_tp_hash, set_hash},
    {Py_tp_richcompare, ps_setlike_richcompare},
    {Py_tp_iter, set_iter},
    {Py_tp_methods, set_methods},
    {Py_tp_members, set_members},
    {Py_sq_length, set_len},
    {Py_sq_contains, set_contains},
    {Py_nb_or, ps_setlike_or},
    {Py_nb_and, ps_setlike_and},
    {Py_nb_subtract, ps_setlike_subtract},
    {Py_nb_xor, ps_setlike_xor},
    {0, NULL},
};

static PyType_Spec set_spec = {
    .name = "pstructs.PSet",
    .basicsize = sizeof(ps_collection),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = set_slots,
};

int
ps_set_type_init(ps_state *st, PyObject *module)
{
    st->set = (PyTypeObject *)PyType_FromModuleAndSpec(module, &set_spec, NULL);
    if (st->set == NULL) {
        return -1;
    }
    st->set->tp_vectorcall = set_vectorcall;
    return PyModule_AddType(module, st->set);
}
