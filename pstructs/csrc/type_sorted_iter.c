/* type_sorted_iter.c -- the iterator over a range of a sorted tree, in either
 * direction.
 *
 * It holds the path to its leaf; nodes can't change, and its references make an evolver copy
 * what it would write to. Within a leaf a step reads the next slot of a column. items() fills
 * the same tuple again as long as nobody else holds it, as type_iter.c does. */
#include "sorted.h"

typedef struct {
    PyObject_HEAD
    ps_state *st;   /* lives as long as the type, which this object holds */
    ps_kind kind;
    bool running;   /* a node that dies may run user code, which may call us */
    PyObject *pair; /* items(): the tuple that is used again, owned; else NULL */
    ps_bt_iter it;
} ps_sorted_iterator;

PyObject *
ps_sorted_iterator_new(ps_state *st, ps_btree t, ps_kind kind, Py_ssize_t lo, Py_ssize_t hi,
                       bool reverse)
{
    ps_sorted_iterator *self = PyObject_GC_New(ps_sorted_iterator, st->sorted_iterator);
    if (self == NULL) {
        return NULL;
    }
    self->st = st;
    self->kind = kind;
    self->running = false;
    self->pair = NULL;
    if (ps_bt_iter_init(st, &self->it, t, lo, hi, reverse) < 0) {
        self->it.top = -1;
        Py_DECREF(self);
        return NULL;
    }
    if (kind == PS_ITEMS) {
        self->pair = PyTuple_Pack(2, Py_None, Py_None);
        if (self->pair == NULL) {
            Py_DECREF(self);
            return NULL;
        }
    }
    PyObject_GC_Track(self);
    return (PyObject *)self;
}

static int
iterator_traverse(PyObject *op, visitproc visit, void *arg)
{
    ps_sorted_iterator *self = (ps_sorted_iterator *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->pair);
    if (!self->running) {
        for (int h = 0; h <= self->it.top; h++) {
            Py_VISIT((PyObject *)self->it.node[h]);
        }
    }
    return 0;
}

static void
iterator_dealloc(PyObject *op)
{
    ps_sorted_iterator *self = (ps_sorted_iterator *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    Py_TRASHCAN_BEGIN(op, iterator_dealloc);
    Py_CLEAR(self->pair);
    ps_bt_iter_clear(&self->it);
    type->tp_free(op);
    Py_DECREF(type);
    Py_TRASHCAN_END
}

/* Steals key and value. */
PS_INLINE PyObject *
next_pair(ps_sorted_iterator *self, PyObject *key, PyObject *value)
{
    PyObject *pair = self->pair;
    if (PS_LIKELY(Py_REFCNT(pair) == 1)) {
        Py_INCREF(pair);
        PyObject *old_key = PyTuple_GET_ITEM(pair, 0);
        PyObject *old_value = PyTuple_GET_ITEM(pair, 1);
        PyTuple_SET_ITEM(pair, 0, key);
        PyTuple_SET_ITEM(pair, 1, value);
        Py_DECREF(old_key);
        Py_DECREF(old_value);
#if PY_VERSION_HEX >= 0x030E0000
        ((PyTupleObject *)pair)->ob_hash = -1; /* tuples remember their hash since 3.14 */
#endif
        /* The collector untracks a tuple of atoms; its new elements may not be atoms. */
        if (PS_UNLIKELY(PyType_IS_GC(Py_TYPE(key)) || PyType_IS_GC(Py_TYPE(value))) &&
            !PyObject_GC_IsTracked(pair)) {
            PyObject_GC_Track(pair);
        }
        return pair;
    }
    pair = PyTuple_New(2);
    if (pair == NULL) {
        Py_DECREF(key);
        Py_DECREF(value);
        return NULL;
    }
    PyTuple_SET_ITEM(pair, 0, key);
    PyTuple_SET_ITEM(pair, 1, value);
    return pair;
}

static PyObject *
iterator_next(PyObject *op)
{
    ps_sorted_iterator *self = (ps_sorted_iterator *)op;
    ps_bt_iter *it = &self->it;
    if (PS_UNLIKELY(it->i == it->stop)) {
        if (self->running) {
            PyErr_SetString(PyExc_ValueError, "this iterator is being advanced already");
            return NULL;
        }
        self->running = true;
        int rc = ps_bt_iter_leaf(self->st, it);
        self->running = false;
        if (rc <= 0) {
            return NULL;
        }
    }
    const ps_node *leaf = it->node[0];
    ps_slot k = self->kind == PS_VALUES ? 0 : ps_bt_leaf_key(leaf, it->i);
    ps_slot v = self->kind == PS_KEYS ? 0 : ps_bt_leaf_value(leaf, it->i);
    it->i += it->step;
    it->left--;
    if (PS_LIKELY(!((k | v) & 1))) { /* packed: ps_slot_is_packed of either */
        if (self->kind != PS_ITEMS) {
            return Py_NewRef(ps_slot_obj(k | v));
        }
        return next_pair(self, Py_NewRef(ps_slot_obj(k)), Py_NewRef(ps_slot_obj(v)));
    }
    /* Decoding may run user code that drops or advances this iterator: hold the leaf. */
    Py_INCREF(leaf);
    PyObject *key = k ? ps_slot_get(self->st, k) : NULL;
    PyObject *value = v && (key != NULL || !k) ? ps_slot_get(self->st, v) : NULL;
    Py_DECREF(leaf);
    if (self->kind != PS_ITEMS) {
        return k ? key : value;
    }
    if (value == NULL) {
        Py_XDECREF(key);
        return NULL;
    }
    return next_pair(self, key, value);
}

static PyObject *
iterator_length_hint(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return PyLong_FromSsize_t(((ps_sorted_iterator *)op)->it.left);
}

static PyMethodDef iterator_methods[] = {
    {"__length_hint__", iterator_length_hint, METH_NOARGS, "Entries still to come."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot iterator_slots[] = {
    {Py_tp_doc, "Iterator over a range of a sorted collection."},
    {Py_tp_dealloc, iterator_dealloc},
    {Py_tp_traverse, iterator_traverse},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, iterator_next},
    {Py_tp_methods, iterator_methods},
    {0, NULL},
};

static PyType_Spec iterator_spec = {
    .name = "pstructs._core.SortedIterator",
    .basicsize = sizeof(ps_sorted_iterator),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = iterator_slots,
};

int
ps_sorted_iterator_type_init(ps_state *st, PyObject *module)
{
    st->sorted_iterator = (PyTypeObject *)PyType_FromModuleAndSpec(module, &iterator_spec, NULL);
    return st->sorted_iterator == NULL ? -1 : 0;
}
