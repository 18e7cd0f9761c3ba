/* type_views.c -- keys(), values() and items() of a PMap: windows without copies.
 *
 * keys() and items() are Sets (operators in type_algebra.c), values() is a
 * Collection. The map below never changes, so unlike a dict's views these never
 * do either, and keys() and items() have a hash: that of the equal frozenset. */
#include "collection.h"

static ps_state *
view_state(PyObject *op)
{
    return ps_final_state(op);
}

static ps_tree
view_tree(PyObject *op)
{
    return ((ps_view *)op)->map->tree;
}

PyObject *
ps_view_new(ps_state *st, PyObject *map, ps_kind kind)
{
    PyTypeObject *type = kind == PS_KEYS     ? st->keys_view
                         : kind == PS_VALUES ? st->values_view
                                             : st->items_view;
    ps_view *v = PyObject_GC_New(ps_view, type);
    if (v == NULL) {
        return NULL;
    }
    v->map = (ps_collection *)Py_NewRef(map);
    v->kind = kind;
    if (PyObject_GC_IsTracked(map)) { /* else the map can't be in a cycle, now or later */
        PyObject_GC_Track(v);
    }
    return (PyObject *)v;
}

static int
view_traverse(PyObject *op, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(((ps_view *)op)->map);
    return 0;
}

void
ps_view_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    Py_TRASHCAN_BEGIN(op, ps_view_dealloc);
    Py_DECREF(((ps_view *)op)->map);
    type->tp_free(op);
    Py_DECREF(type);
    Py_TRASHCAN_END
}

static Py_ssize_t
view_len(PyObject *op)
{
    return view_tree(op).count;
}

static PyObject *
view_iter(PyObject *op)
{
    return ps_iterator_new(view_state(op), view_tree(op), 2, ((ps_view *)op)->kind);
}

static PyObject *
view_repr(PyObject *op)
{
    static const char *const names[] = {"pmap_keys", "pmap_values", "pmap_items"};
    int rc = Py_ReprEnter(op);
    if (rc != 0) {
        return rc < 0 ? NULL : PyUnicode_FromFormat("%s(...)", names[((ps_view *)op)->kind]);
    }
    PyObject *list = PySequence_List(op);
    PyObject *result =
        list == NULL ? NULL : PyUnicode_FromFormat("%s(%R)", names[((ps_view *)op)->kind], list);
    Py_XDECREF(list);
    Py_ReprLeave(op);
    return result;
}

static PyObject *
view_reversed(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    PyErr_SetString(PyExc_TypeError, "a PMap is in hash order, which has no meaningful reverse; "
                                     "use sorted(view, reverse=True)");
    return NULL;
}

static PyObject *
view_mapping(PyObject *op, void *Py_UNUSED(closure))
{
    return Py_NewRef(((ps_view *)op)->map);
}

static int
keys_contains(PyObject *op, PyObject *key)
{
    return ps_champ_contains(view_state(op), view_tree(op).root, 2, key);
}

static Py_hash_t
keys_hash(PyObject *op)
{
    return ps_tree_hash(view_state(op), view_tree(op), 2, false);
}

static int
items_contains(PyObject *op, PyObject *item)
{
    if (!PyTuple_Check(item) || PyTuple_GET_SIZE(item) != 2) {
        return 0;
    }
    PyObject *value;
    ps_found found =
        ps_champ_get(view_state(op), view_tree(op).root, PyTuple_GET_ITEM(item, 0), &value);
    if (found != PS_FOUND) {
        return found;
    }
    int rc = PyObject_RichCompareBool(value, PyTuple_GET_ITEM(item, 1), Py_EQ);
    Py_DECREF(value);
    return rc;
}

static Py_hash_t
items_hash(PyObject *op)
{
    return PyObject_Hash((PyObject *)((ps_view *)op)->map);
}

/* Compares while iterating; a value's __eq__ may do anything, the iterator owns its nodes. */
static int
values_contains(PyObject *op, PyObject *value)
{
    PyObject *it = view_iter(op), *item;
    if (it == NULL) {
        return -1;
    }
    int rc = 0;
    while (rc == 0 && (item = PyIter_Next(it)) != NULL) {
        rc = PyObject_RichCompareBool(item, value, Py_EQ);
        Py_DECREF(item);
    }
    Py_DECREF(it);
    return rc == 0 && PyErr_Occurred() ? -1 : rc;
}

static PyMethodDef items_methods[] = {
    {"isdisjoint", ps_setlike_isdisjoint, METH_O,
     "isdisjoint($self, other, /)\n--\n\nWhether no element is in the iterable other."},
    {"__reversed__", view_reversed, METH_NOARGS,
     "__reversed__($self, /)\n--\n\nRaises TypeError: hash order has no reverse."},
    {NULL, NULL, 0, NULL},
};

PS_NAMED_ARG(ps_setlike_isdisjoint, "isdisjoint", "other")
PS_NAMED_ARG(ps_setlike_issubset, "issubset", "other")
PS_NAMED_ARG(ps_setlike_issuperset, "issuperset", "other")
PS_NAMED_ARG(ps_setlike_symmetric_difference, "symmetric_difference", "other")

#define FAST(function) (PyCFunction)(void (*)(void))(function), METH_FASTCALL

/* pyrsistent's keys() is a PSet: what gives a new set works here, too. */
static PyMethodDef keys_methods[] = {
    {"isdisjoint", PS_NAMED(ps_setlike_isdisjoint),
     "isdisjoint($self, /, other)\n--\n\nWhether no key is in the iterable other."},
    {"issubset", PS_NAMED(ps_setlike_issubset),
     "issubset($self, /, other)\n--\n\nWhether other has every key."},
    {"issuperset", PS_NAMED(ps_setlike_issuperset),
     "issuperset($self, /, other)\n--\n\nWhether every element of other is a key."},
    {"union", FAST(ps_setlike_union),
     "union($self, /, *others)\n--\n\nA PSet of the keys and the elements of others."},
    {"intersection", FAST(ps_setlike_intersection),
     "intersection($self, /, *others)\n--\n\nA PSet of the keys that all of others have too."},
    {"difference", FAST(ps_setlike_difference),
     "difference($self, /, *others)\n--\n\nA PSet of the keys that none of others has."},
    {"symmetric_difference", PS_NAMED(ps_setlike_symmetric_difference),
     "symmetric_difference($self, /, other)\n--\n\nA PSet of what only one of both has."},
    {"__reversed__", view_reversed, METH_NOARGS,
     "__reversed__($self, /)\n--\n\nRaises TypeError: hash order has no reverse."},
    {NULL, NULL, 0, NULL},
};

static PyMethodDef values_methods[] = {
    {"__reversed__", view_reversed, METH_NOARGS,
     "__reversed__($self, /)\n--\n\nRaises TypeError: hash order has no reverse."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef view_getset[] = {
    {"mapping", view_mapping, NULL, "The PMap that this view shows.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

#define VIEW_SLOTS                                                                                \
    {Py_tp_dealloc, ps_view_dealloc}, {Py_tp_traverse, view_traverse}, {Py_tp_iter, view_iter},   \
        {Py_tp_repr, view_repr}, {Py_sq_length, view_len},                                        \
    {                                                                                             \
        Py_tp_getset, view_getset                                                                 \
    }

#define SETLIKE_SLOTS                                                                             \
    {Py_tp_richcompare, ps_setlike_richcompare}, {Py_nb_or, ps_setlike_or},                       \
        {Py_nb_and, ps_setlike_and}, {Py_nb_subtract, ps_setlike_subtract},                       \
    {                                                                                             \
        Py_nb_xor, ps_setlike_xor                                                                 \
    }

static PyType_Slot keys_slots[] = {
    {Py_tp_doc, "The keys of a PMap, as a Set."},
    VIEW_SLOTS,
    SETLIKE_SLOTS,
    {Py_tp_methods, keys_methods},
    {Py_sq_contains, keys_contains},
    {Py_tp_hash, keys_hash},
    {0, NULL},
};

static PyType_Slot items_slots[] = {
    {Py_tp_doc, "The (key, value) pairs of a PMap, as a Set."},
    VIEW_SLOTS,
    SETLIKE_SLOTS,
    {Py_tp_methods, items_methods},
    {Py_sq_contains, items_contains},
    {Py_tp_hash, items_hash},
    {0, NULL},
};

static PyType_Slot values_slots[] = {
    {Py_tp_doc, "The values of a PMap, as a Collection."},
    VIEW_SLOTS,
    {Py_tp_methods, values_methods},
    {Py_sq_contains, values_contains},
    {0, NULL},
};

#define VIEW_FLAGS                                                                                \
    (Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |                \
     Py_TPFLAGS_IMMUTABLETYPE)

static PyType_Spec keys_spec = {
    .name = "pstructs._core.PMapKeys",
    .basicsize = sizeof(ps_view),
    .flags = VIEW_FLAGS,
    .slots = keys_slots,
};

static PyType_Spec values_spec = {
    .name = "pstructs._core.PMapValues",
    .basicsize = sizeof(ps_view),
    .flags = VIEW_FLAGS,
    .slots = values_slots,
};

static PyType_Spec items_spec = {
    .name = "pstructs._core.PMapItems",
    .basicsize = sizeof(ps_view),
    .flags = VIEW_FLAGS,
    .slots = items_slots,
};

static int
add_type(PyObject *module, PyTypeObject **slot, PyType_Spec *spec)
{
    *slot = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);
    return *slot == NULL ? -1 : PyModule_AddType(module, *slot);
}

int
ps_view_types_init(ps_state *st, PyObject *module)
{
    return add_type(module, &st->keys_view, &keys_spec) < 0 ||
                   add_type(module, &st->values_view, &values_spec) < 0 ||
                   add_type(module, &st->items_view, &items_spec) < 0
               ? -1
               : 0;
}
