/* type_sorted_views.c -- keys(), values() and items() of a PSortedMap: windows
 * without copies, in order, also by position.
 *
 * keys() and items() are Sets. Their operators make a set of the view first (a PSortedSet in
 * the map's order of the keys, a PSet of the items) and leave the rest to it, comparisons the
 * same set of keys, and the items() of a PMap: O(n). */
#include "sorted.h"

static ps_state *
view_state(PyObject *op)
{
    return ps_final_state(op);
}

static ps_btree
view_tree(PyObject *op)
{
    return ((ps_sorted_view *)op)->map->tree;
}

PyObject *
ps_sorted_view_new(ps_state *st, PyObject *map, ps_kind kind)
{
    PyTypeObject *type = kind == PS_KEYS     ? st->sorted_keys_view
                         : kind == PS_VALUES ? st->sorted_values_view
                                             : st->sorted_items_view;
    ps_sorted_view *v = PyObject_GC_New(ps_sorted_view, type);
    if (v == NULL) {
        return NULL;
    }
    v->map = (ps_sorted *)Py_NewRef(map);
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
    Py_VISIT(((ps_sorted_view *)op)->map);
    return 0;
}

static void
view_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    Py_TRASHCAN_BEGIN(op, view_dealloc);
    Py_DECREF(((ps_sorted_view *)op)->map);
    type->tp_free(op);
    Py_DECREF(type);
    Py_TRASHCAN_END
}

/* The module state, when o is keys() or items() of a PSortedMap; else NULL. */
static ps_state *
setlike_state(PyObject *o)
{
    if (Py_TYPE(o)->tp_dealloc != view_dealloc) {
        return NULL;
    }
    ps_state *st = view_state(o);
    return Py_TYPE(o) == st->sorted_values_view ? NULL : st;
}

static Py_ssize_t
view_len(PyObject *op)
{
    return view_tree(op).count;
}

static PyObject *
view_iter(PyObject *op)
{
    ps_btree t = view_tree(op);
    ps_kind kind = ((ps_sorted_view *)op)->kind;
    return ps_sorted_iterator_new(view_state(op), t, kind, 0, t.count, false);
}

static PyObject *
view_reversed(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    ps_btree t = view_tree(op);
    ps_kind kind = ((ps_sorted_view *)op)->kind;
    return ps_sorted_iterator_new(view_state(op), t, kind, 0, t.count, true);
}

/* view[i], and a list for view[i:j:k] */
static PyObject *
view_subscript(PyObject *op, PyObject *index)
{
    ps_state *st = view_state(op);
    ps_btree t = view_tree(op);
    ps_kind kind = ((ps_sorted_view *)op)->kind;
    Py_ssize_t start, stop, step, n;
    if (PySlice_Check(index)) {
        if (PySlice_Unpack(index, &start, &stop, &step) < 0) {
            return NULL;
        }
        n = PySlice_AdjustIndices(t.count, &start, &stop, step);
        PyObject *all = NULL, *list = NULL;
        /* The stretch that the slice covers, in its direction; then every step-th of it. */
        Py_ssize_t last = n == 0 ? 0 : start + (n - 1) * step; /* step may be huge */
        Py_ssize_t lo = n == 0 ? 0 : step > 0 ? start : last;
        Py_ssize_t hi = n == 0 ? 0 : (step > 0 ? last : start) + 1;
        PyObject *it = ps_sorted_iterator_new(st, t, kind, lo, hi, step < 0);
        if (it != NULL) {
            all = PySequence_List(it);
            Py_DECREF(it);
        }
        Py_ssize_t every = step > 0 ? step : -step;
        if (all == NULL || every == 1) {
            return all;
        }
        list = PyList_New(n);
        for (Py_ssize_t i = 0; list != NULL && i < n; i++) {
            PyList_SET_ITEM(list, i, Py_NewRef(PyList_GET_ITEM(all, i * every)));
        }
        Py_DECREF(all);
        return list;
    }
    Py_ssize_t i = PyNumber_AsSsize_t(index, PyExc_IndexError);
    if (i == -1 && PyErr_Occurred()) {
        return NULL;
    }
    i += i < 0 ? t.count : 0;
    if (i < 0 || i >= t.count) {
        PyErr_Format(PyExc_IndexError, "there is no entry number %R among %zd", index, t.count);
        return NULL;
    }
    if (kind == PS_ITEMS) {
        return ps_sorted_entry(st, t, i);
    }
    PyObject *found = NULL;
    int rc = ps_bt_nth(st, t, i, kind == PS_KEYS ? &found : NULL, kind == PS_KEYS ? NULL : &found);
    return rc < 0 ? NULL : found;
}

static PyObject *
view_repr(PyObject *op)
{
    static const char *const names[] = {"psortedmap_keys", "psortedmap_values",
                                        "psortedmap_items"};
    const char *name = names[((ps_sorted_view *)op)->kind];
    int rc = Py_ReprEnter(op);
    if (rc != 0) {
        return rc < 0 ? NULL : PyUnicode_FromFormat("%s(...)", name);
    }
    PyObject *list = PySequence_List(op);
    PyObject *result = list == NULL ? NULL : PyUnicode_FromFormat("%s(%R)", name, list);
    Py_XDECREF(list);
    Py_ReprLeave(op);
    return result;
}

static PyObject *
view_mapping(PyObject *op, void *Py_UNUSED(closure))
{
    return Py_NewRef(((ps_sorted_view *)op)->map);
}

/* ---- membership */

static int
keys_contains(PyObject *op, PyObject *key)
{
    return PySequence_Contains((PyObject *)((ps_sorted_view *)op)->map, key);
}

static int
items_contains(PyObject *op, PyObject *item)
{
    if (!PyTuple_Check(item) || PyTuple_GET_SIZE(item) != 2) {
        return 0;
    }
    ps_sorted *map = ((ps_sorted_view *)op)->map;
    PyObject *order = ps_sorted_order(map->key, PyTuple_GET_ITEM(item, 0));
    PyObject *key = NULL, *value = NULL;
    if (order == NULL) {
        return -1;
    }
    int rc = ps_bt_find(view_state(op), map->tree, order, &key, &value);
    Py_DECREF(order);
    if (rc == PS_FOUND) {
        /* Found by order, which may be coarser than ==. */
        rc = PyObject_RichCompareBool(key, PyTuple_GET_ITEM(item, 0), Py_EQ);
        if (rc > 0) {
            rc = PyObject_RichCompareBool(value, PyTuple_GET_ITEM(item, 1), Py_EQ);
        }
    }
    Py_XDECREF(key);
    Py_XDECREF(value);
    return rc;
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

/* ---- as sets */

/* New reference: o, or the set of what a view shows. */
static PyObject *
as_set(PyObject *o)
{
    ps_state *st = setlike_state(o);
    if (st == NULL) {
        return Py_NewRef(o);
    }
    if (Py_TYPE(o) == st->sorted_items_view) {
        return PyObject_CallOneArg((PyObject *)st->set, o);
    }
    ps_sorted *map = ((ps_sorted_view *)o)->map;
    return ps_sorted_make(st, st->sorted_set, o, map->key);
}

static PyObject *
with_sets(PyObject *a, PyObject *b, binaryfunc f)
{
    PyObject *x = as_set(a), *y = x == NULL ? NULL : as_set(b);
    PyObject *result = y == NULL ? NULL : f(x, y);
    Py_XDECREF(x);
    Py_XDECREF(y);
    return result;
}

static PyObject *
view_or(PyObject *a, PyObject *b)
{
    return with_sets(a, b, PyNumber_Or);
}

static PyObject *
view_and(PyObject *a, PyObject *b)
{
    return with_sets(a, b, PyNumber_And);
}

static PyObject *
view_subtract(PyObject *a, PyObject *b)
{
    return with_sets(a, b, PyNumber_Subtract);
}

static PyObject *
view_xor(PyObject *a, PyObject *b)
{
    return with_sets(a, b, PyNumber_Xor);
}

/* New reference: as as_set, but what stands for items() hashes no values: those of a PMap. */
static PyObject *
to_compare(PyObject *o)
{
    ps_state *st = setlike_state(o);
    if (st == NULL || Py_TYPE(o) != st->sorted_items_view) {
        return as_set(o);
    }
    PyObject *map =
        PyObject_CallOneArg((PyObject *)st->map, (PyObject *)((ps_sorted_view *)o)->map);
    PyObject *items = map == NULL ? NULL : PyObject_CallMethod(map, "items", NULL);
    Py_XDECREF(map);
    return items;
}

static PyObject *
view_richcompare(PyObject *a, PyObject *b, int op)
{
    ps_state *st = view_state(a);
    int rc = setlike_state(b) != NULL || ps_is_sorted_set(st, b) ? 1 : ps_is_any_set(st, b);
    if (rc <= 0) {
        return rc < 0 ? NULL : Py_NewRef(Py_NotImplemented);
    }
    if (a == b) {
        return PyBool_FromLong(op == Py_EQ || op == Py_LE || op == Py_GE);
    }
    PyObject *x = to_compare(a), *y = x == NULL ? NULL : to_compare(b);
    PyObject *result = y == NULL ? NULL : PyObject_RichCompare(x, y, op);
    Py_XDECREF(x);
    Py_XDECREF(y);
    return result;
}

static Py_hash_t
keys_hash(PyObject *op)
{
    return ps_sorted_hash(view_state(op), view_tree(op), false);
}

static Py_hash_t
items_hash(PyObject *op)
{
    return PyObject_Hash((PyObject *)((ps_sorted_view *)op)->map);
}

static PyObject *
view_isdisjoint(PyObject *self, PyObject *other)
{
    PyObject *it = PyObject_GetIter(other), *item;
    if (it == NULL) {
        return NULL;
    }
    int rc = 0;
    while (rc == 0 && (item = PyIter_Next(it)) != NULL) {
        rc = PySequence_Contains(self, item);
        Py_DECREF(item);
    }
    Py_DECREF(it);
    return rc < 0 || PyErr_Occurred() ? NULL : PyBool_FromLong(!rc);
}

static PyMethodDef setlike_view_methods[] = {
    {"isdisjoint", view_isdisjoint, METH_O,
     "isdisjoint($self, other, /)\n--\n\nWhether no element is in the iterable other."},
    {"__reversed__", view_reversed, METH_NOARGS,
     "__reversed__($self, /)\n--\n\nIterate from the greatest key to the smallest."},
    {NULL, NULL, 0, NULL},
};

static PyMethodDef values_methods[] = {
    {"__reversed__", view_reversed, METH_NOARGS,
     "__reversed__($self, /)\n--\n\nIterate from the value of the greatest key on down."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef view_getset[] = {
    {"mapping", view_mapping, NULL, "The PSortedMap that this view shows.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

#define VIEW_SLOTS                                                                                \
    {Py_tp_dealloc, view_dealloc}, {Py_tp_traverse, view_traverse}, {Py_tp_iter, view_iter},      \
        {Py_tp_repr, view_repr}, {Py_mp_length, view_len}, {Py_mp_subscript, view_subscript},     \
    {                                                                                             \
        Py_tp_getset, view_getset                                                                 \
    }

#define SETLIKE_SLOTS                                                                             \
    {Py_tp_methods, setlike_view_methods}, {Py_tp_richcompare, view_richcompare},                 \
        {Py_nb_or, view_or}, {Py_nb_and, view_and}, {Py_nb_subtract, view_subtract},              \
    {                                                                                             \
        Py_nb_xor, view_xor                                                                       \
    }

static PyType_Slot keys_slots[] = {
    {Py_tp_doc, "The keys of a PSortedMap in order, as a Set."},
    VIEW_SLOTS,
    SETLIKE_SLOTS,
    {Py_sq_contains, keys_contains},
    {Py_tp_hash, keys_hash},
    {0, NULL},
};

static PyType_Slot items_slots[] = {
    {Py_tp_doc, "The (key, value) pairs of a PSortedMap in order, as a Set."},
    VIEW_SLOTS,
    SETLIKE_SLOTS,
    {Py_sq_contains, items_contains},
    {Py_tp_hash, items_hash},
    {0, NULL},
};

static PyType_Slot values_slots[] = {
    {Py_tp_doc, "The values of a PSortedMap in the order of their keys, as a Collection."},
    VIEW_SLOTS,
    {Py_tp_methods, values_methods},
    {Py_sq_contains, values_contains},
    {0, NULL},
};

#define VIEW_FLAGS                                                                                \
    (Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |                \
     Py_TPFLAGS_IMMUTABLETYPE)

static PyType_Spec keys_spec = {
    .name = "pstructs._core.PSortedMapKeys",
    .basicsize = sizeof(ps_sorted_view),
    .flags = VIEW_FLAGS,
    .slots = keys_slots,
};

static PyType_Spec values_spec = {
    .name = "pstructs._core.PSortedMapValues",
    .basicsize = sizeof(ps_sorted_view),
    .flags = VIEW_FLAGS,
    .slots = values_slots,
};

static PyType_Spec items_spec = {
    .name = "pstructs._core.PSortedMapItems",
    .basicsize = sizeof(ps_sorted_view),
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
ps_sorted_view_types_init(ps_state *st, PyObject *module)
{
    return add_type(module, &st->sorted_keys_view, &keys_spec) < 0 ||
                   add_type(module, &st->sorted_values_view, &values_spec) < 0 ||
                   add_type(module, &st->sorted_items_view, &items_spec) < 0
               ? -1
               : 0;
}
