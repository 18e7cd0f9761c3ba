/* type_iter.c -- the iterator over keys, values or items of a tree.
 *
 * It walks nodes that can't change: a collection's nodes never do, and the
 * references it holds make an evolver copy what it would write to. Order is the
 * trie's: the same for equal contents in every process, and no order of
 * insertion, so there is no reverse either.
 *
 * items() fills the same tuple again as long as nobody else holds it (as dict's
 * iterator does), which saves an allocation an entry. */
#include "collection.h"

typedef struct {
    PyObject_HEAD
    ps_state *st;      /* lives as long as the type, which this object holds */
    ps_champ_iter it;
    Py_ssize_t left;   /* entries still to come */
    ps_kind kind;
    bool running;      /* reading a pack may call Python, which may call us */
    PyObject *pair;    /* items(): the tuple that is used again, owned; else NULL */
} ps_iterator;

PyObject *
ps_iterator_new(ps_state *st, ps_tree t, int width, ps_kind kind)
{
    ps_iterator *self = PyObject_GC_New(ps_iterator, st->iterator);
    if (self == NULL) {
        return NULL;
    }
    self->st = st;
    self->it.level = -1;
    self->left = t.count;
    self->kind = kind;
    self->running = false;
    self->pair = NULL;
    if (ps_champ_iter_init(st, &self->it, t.root, width) < 0) {
        self->it.level = -1;
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
    ps_iterator *self = (ps_iterator *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->pair);
    for (int i = 0; i <= self->it.level; i++) {
        Py_VISIT((PyObject *)self->it.node[i]);
    }
    return 0;
}

static void
iterator_dealloc(PyObject *op)
{
    ps_iterator *self = (ps_iterator *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    Py_TRASHCAN_BEGIN(op, iterator_dealloc);
    Py_CLEAR(self->pair);
    ps_champ_iter_clear(&self->it);
    type->tp_free(op);
    Py_DECREF(type);
    Py_TRASHCAN_END
}

/* Steals key and value. */
static PyObject *
next_pair(ps_iterator *self, PyObject *key, PyObject *value)
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

/* Across nodes, and through packs: may run user code. */
static PS_NOINLINE PyObject *
next_slow(PyObject *op)
{
    ps_iterator *self = (ps_iterator *)op;
    ps_state *st = self->st;
    const ps_slot *entry;
    if (PS_UNLIKELY(self->running)) {
        PyErr_SetString(PyExc_ValueError, "this iterator is being advanced already");
        return NULL;
    }
    self->running = true;
    int rc = ps_champ_iter_next(st, &self->it, &entry);
    self->running = false;
    if (rc <= 0) {
        self->left = 0;
        return NULL;
    }
    self->left--;
    if (self->kind != PS_ITEMS) {
        return ps_slot_get(st, entry[self->kind == PS_VALUES]);
    }
    /* Decoding the key may run user code that drops this iterator or advances it,
     * and then the value's slot with its node: hold it over that. */
    ps_slot v = entry[1];
    bool hold = ps_slot_is_packed(entry[0]);
    if (hold) {
        ps_slot_incref(st, v);
    }
    PyObject *key = ps_slot_get(st, entry[0]);
    PyObject *value = key == NULL ? NULL : ps_slot_get(st, v);
    if (hold) {
        ps_slot_decref(st, v);
    }
    if (value == NULL) {
        Py_XDECREF(key);
        return NULL;
    }
    return next_pair(self, key, value);
}

/* Within a heap node; the rest is next_slow's. */
static PyObject *
iterator_next(PyObject *op)
{
    ps_iterator *self = (ps_iterator *)op;
    const ps_slot *entry = self->it.entry;
    if (PS_UNLIKELY(entry == self->it.stop || self->running)) {
        return next_slow(op);
    }
    ps_slot last = entry[self->it.width - 1];
    if (PS_UNLIKELY((entry[0] | last) & 1)) { /* packed: ps_slot_is_packed of either */
        return next_slow(op);
    }
    self->it.entry = entry + self->it.width;
    self->left--;
    switch (self->kind) {
    case PS_KEYS:
        return Py_NewRef(ps_slot_obj(entry[0]));
    case PS_VALUES:
        return Py_NewRef(ps_slot_obj(last));
    default:
        return next_pair(self, Py_NewRef(ps_slot_obj(entry[0])), Py_NewRef(ps_slot_obj(last)));
    }
}

static PyObject *
iterator_length_hint(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return PyLong_FromSsize_t(((ps_iterator *)op)->left);
}

static PyMethodDef iterator_methods[] = {
    {"__length_hint__", iterator_length_hint, METH_NOARGS, "Entries still to come."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot iterator_slots[] = {
    {Py_tp_doc, "Iterator over a persistent collection."},
    {Py_tp_dealloc, iterator_dealloc},
    {Py_tp_traverse, iterator_traverse},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, iterator_next},
    {Py_tp_methods, iterator_methods},
    {0, NULL},
};

static PyType_Spec iterator_spec = {
    .name = "pstructs._core.CollectionIterator",
    .basicsize = sizeof(ps_iterator),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = iterator_slots,
};

int
ps_iterator_type_init(ps_state *st, PyObject *module)
{
    st->iterator = (PyTypeObject *)PyType_FromModuleAndSpec(module, &iterator_spec, NULL);
    return st->iterator == NULL ? -1 : 0;
}
