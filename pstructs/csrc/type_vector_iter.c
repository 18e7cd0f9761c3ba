/* type_vector_iter.c -- the iterator over a vector, forward and backward.
 *
 * It holds the nodes of the tree, which can't change: an evolver copies what an iterator
 * holds. Memory of a dead one is kept, since loops over short vectors are mostly that. */
#include "collection_vector.h"

typedef struct {
    PyObject_HEAD
    ps_state *st; /* lives as long as the type, which this object holds */
    ps_rrb_iter it;
    bool running; /* reading a pack may call Python, which may call us */
} vector_iterator;

PyObject *
ps_vector_iterator_new(ps_state *st, const ps_rrb *t, Py_ssize_t lo, Py_ssize_t hi, bool reverse)
{
    vector_iterator *self = (vector_iterator *)st->spare_vector_iterator;
    if (self != NULL) {
        st->spare_vector_iterator = NULL;
        PyObject_Init((PyObject *)self, st->vector_iterator);
    }
    else {
        self = PyObject_GC_New(vector_iterator, st->vector_iterator);
    }
    if (self == NULL) {
        return NULL;
    }
    self->st = st;
    self->running = false;
    ps_rrb_iter_init(st, &self->it, t, lo, hi, reverse);
    if (ps_rrb_needs_gc(st, t)) {
        PyObject_GC_Track(self);
    }
    return (PyObject *)self;
}

static int
iterator_traverse(PyObject *op, visitproc visit, void *arg)
{
    vector_iterator *self = (vector_iterator *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT((PyObject *)self->it.leaf);
    return ps_rrb_visit(&self->it.t, visit, arg);
}

static void
iterator_dealloc(PyObject *op)
{
    vector_iterator *self = (vector_iterator *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    Py_TRASHCAN_BEGIN(op, iterator_dealloc);
    ps_rrb_iter_clear(self->st, &self->it);
#ifndef Py_GIL_DISABLED
    if (self->st->spare_vector_iterator == NULL) {
        self->st->spare_vector_iterator = op;
    }
    else
#endif
    {
        type->tp_free(op);
    }
    Py_DECREF(type);
    Py_TRASHCAN_END
}

/* Across leaves, and through packs: may run user code. */
static PS_NOINLINE PyObject *
next_slow(PyObject *op)
{
    vector_iterator *self = (vector_iterator *)op;
    ps_slot slot;
    if (PS_UNLIKELY(self->running)) {
        PyErr_SetString(PyExc_ValueError, "this iterator is being advanced already");
        return NULL;
    }
    self->running = true;
    int rc = ps_rrb_iter_next(self->st, &self->it, &slot);
    PyObject *value = rc > 0 ? ps_slot_get(self->st, slot) : NULL;
    self->running = false;
    return value;
}

static PyObject *
iterator_next(PyObject *op)
{
    vector_iterator *self = (vector_iterator *)op;
    const ps_slot *slot = self->it.slot;
    if (PS_UNLIKELY(slot == self->it.stop)) {
        return self->it.at == self->it.end ? NULL : next_slow(op);
    }
    ps_slot s = self->it.reverse ? slot[-1] : slot[0];
    if (PS_UNLIKELY(ps_slot_is_packed(s))) {
        return next_slow(op);
    }
    self->it.slot = self->it.reverse ? slot - 1 : slot + 1;
    return Py_NewRef(ps_slot_obj(s));
}

static PyObject *
iterator_length_hint(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return PyLong_FromSsize_t(ps_rrb_iter_left(&((vector_iterator *)op)->it));
}

static PyMethodDef iterator_methods[] = {
    {"__length_hint__", iterator_length_hint, METH_NOARGS, "Elements still to come."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot iterator_slots[] = {
    {Py_tp_doc, "Iterator over a PVector."},
    {Py_tp_dealloc, iterator_dealloc},
    {Py_tp_traverse, iterator_traverse},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, iterator_next},
    {Py_tp_methods, iterator_methods},
    {0, NULL},
};

static PyType_Spec iterator_spec = {
    .name = "pstructs._core.VectorIterator",
    .basicsize = sizeof(vector_iterator),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = iterator_slots,
};

int
ps_vector_iterator_type_init(ps_state *st, PyObject *module)
{
    st->vector_iterator = (PyTypeObject *)PyType_FromModuleAndSpec(module, &iterator_spec, NULL);
    return st->vector_iterator == NULL ? -1 : 0;
}
