/* type_vector_evolver.c -- PVectorEvolver: the mutable builder of a vector.
 *
 *     e = v.evolver()        shares v's nodes
 *     e[i] = x               copies what others reach, then writes in place
 *     e.append(x)            into a tail with room to spare
 *     e.persistent()         hands the nodes out; the next write copies again
 *
 * Writes run no user code but what the collector runs when nodes are allocated, and the
 * destructors of what was replaced, which run last. The former meets EvolverBusyError, the
 * latter a whole evolver that it may change. */
#include "collection_vector.h"

#include "error.h"

PyObject *
ps_vector_evolver_new(ps_state *st, PyObject *vector)
{
    ps_vector_evolver *e = PyObject_GC_New(ps_vector_evolver, st->vector_evolver);
    if (e == NULL) {
        return NULL;
    }
    e->tree = ps_rrb_share(st, ps_vector_tree(vector));
    e->origin = Py_NewRef(vector);
    e->weakrefs = NULL;
    e->busy = false;
    PyObject_GC_Track(e);
    return (PyObject *)e;
}

static int
evolver_traverse(PyObject *op, visitproc visit, void *arg)
{
    ps_vector_evolver *e = (ps_vector_evolver *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(e->origin);
    return ps_rrb_visit(&e->tree, visit, arg);
}

static int
evolver_clear(PyObject *op)
{
    ps_vector_evolver *e = (ps_vector_evolver *)op;
    PyObject *module = ((PyHeapTypeObject *)Py_TYPE(op))->ht_module;
    ps_rrb t = e->tree;
    e->tree = PS_RRB_EMPTY;
    Py_CLEAR(e->origin);
    ps_rrb_release(module == NULL ? NULL : PyModule_GetState(module), &t);
    return 0;
}

static void
evolver_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    Py_TRASHCAN_BEGIN(op, evolver_dealloc);
    if (((ps_vector_evolver *)op)->weakrefs != NULL) {
        PyObject_ClearWeakRefs(op);
    }
    evolver_clear(op);
    type->tp_free(op);
    Py_DECREF(type);
    Py_TRASHCAN_END
}

/* ---- writing */

/* The evolver's tree to work on, or NULL with an exception. Ends with `end`. */
static ps_rrb *
begin(ps_state *st, ps_vector_evolver *e)
{
    if (PS_UNLIKELY(e->busy)) {
        ps_raise(st, "EvolverBusyError",
                 "this PVectorEvolver is in the middle of an operation; it can't be changed by "
                 "what the garbage collector runs meanwhile, nor by another thread");
        return NULL;
    }
    e->busy = true;
    return &e->tree;
}

/* rc of the operation; dropped: what the tree was before, when it was replaced. */
static int
end(ps_state *st, ps_vector_evolver *e, int rc, const ps_rrb *dropped)
{
    PyObject *origin = NULL;
    e->busy = false;
    if (rc == 0) {
        origin = e->origin;
        e->origin = NULL;
    }
    if (dropped != NULL) {
        ps_rrb_drop(st, *dropped);
    }
    Py_XDECREF(origin);
    return rc;
}

/* A new tree takes the old one's place. */
static int
replace(ps_state *st, ps_vector_evolver *e, int rc, ps_rrb made)
{
    if (rc < 0) {
        return end(st, e, rc, NULL);
    }
    ps_rrb old = e->tree;
    e->tree = made;
    return end(st, e, 0, &old);
}

static int
append(ps_state *st, ps_vector_evolver *e, PyObject *value)
{
    ps_rrb *t = begin(st, e);
    return t == NULL ? -1 : end(st, e, ps_rrb_own_push_back(st, t, value), NULL);
}

/* 0 <= *i < len (or == len when `end`), or -1 with an exception. */
static int
parse_index(ps_vector_evolver *e, PyObject *o, bool end, Py_ssize_t *i)
{
    if (!PyIndex_Check(o)) {
        PyErr_Format(PyExc_TypeError, "Indices must be integers, not %.200s", Py_TYPE(o)->tp_name);
        return -1;
    }
    Py_ssize_t given = PyNumber_AsSsize_t(o, PyExc_IndexError);
    if (given == -1 && PyErr_Occurred()) {
        return -1;
    }
    Py_ssize_t count = e->tree.count;
    *i = given < 0 ? given + count : given;
    if (*i < 0 || *i > count - !end) {
        PyErr_Format(PyExc_IndexError, "Index out of range: %zd", given);
        return -1;
    }
    return 0;
}

/* The elements that a slice names are taken out, from the last to the first. */
static int
delete_slice(ps_state *st, ps_vector_evolver *e, PyObject *slice)
{
    Py_ssize_t start, stop, step;
    if (PySlice_Unpack(slice, &start, &stop, &step) < 0) {
        return -1;
    }
    Py_ssize_t n = PySlice_AdjustIndices(e->tree.count, &start, &stop, step);
    ps_rrb *t = begin(st, e), made;
    if (t == NULL) {
        return -1;
    }
    if (step == 1) {
        int rc = ps_rrb_delete(st, t, start, start + n, &made);
        return replace(st, e, rc, made);
    }
    if (step < 0) {
        start += n > 0 ? (n - 1) * step : 0; /* the step of an empty slice may be huge */
        step = -step;
    }
    ps_rrb left = ps_rrb_share(st, t);
    int rc = 0;
    for (Py_ssize_t k = n - 1; k >= 0 && rc == 0; k--) {
        Py_ssize_t i = start + k * step;
        rc = ps_rrb_delete(st, &left, i, i + 1, &made);
        if (rc == 0) {
            ps_rrb_become(st, &left, made);
        }
    }
    if (rc < 0) {
        ps_rrb_drop(st, left);
    }
    return replace(st, e, rc, left);
}

static int
evolver_ass_subscript(PyObject *op, PyObject *key, PyObject *value)
{
    ps_state *st = ps_final_state(op);
    ps_vector_evolver *e = (ps_vector_evolver *)op;
    Py_ssize_t i;
    if (value == NULL && PySlice_Check(key)) {
        return delete_slice(st, e, key);
    }
    if (parse_index(e, key, value != NULL, &i) < 0) {
        return -1;
    }
    ps_rrb *t = begin(st, e), made;
    if (t == NULL) {
        return -1;
    }
    if (value == NULL) {
        int rc = ps_rrb_delete(st, t, i, i + 1, &made);
        return replace(st, e, rc, made);
    }
    if (i == t->count) {
        return end(st, e, ps_rrb_own_push_back(st, t, value), NULL);
    }
    ps_slot old;
    if (ps_rrb_own_try_set(st, t, i, value, &old)) {
        end(st, e, 0, NULL);
        ps_slot_decref(st, old);
        return 0;
    }
    int rc = ps_rrb_set(st, t, i, value, &made);
    return replace(st, e, rc, made);
}

static PyObject *
evolver_set(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"i", "val"};
    PyObject *a[2];
    if (ps_parse_args("set", args, nargs, kwnames, names, 2, 2, a) < 0) {
        return NULL;
    }
    return evolver_ass_subscript(op, a[0], a[1]) < 0 ? NULL : Py_NewRef(op);
}

static PyObject *
evolver_delete(PyObject *op, PyObject *key)
{
    return evolver_ass_subscript(op, key, NULL) < 0 ? NULL : Py_NewRef(op);
}

static PyObject *
evolver_append(PyObject *op, PyObject *value)
{
    int rc = append(ps_final_state(op), (ps_vector_evolver *)op, value);
    return rc < 0 ? NULL : Py_NewRef(op);
}

static PyObject *
evolver_extend(PyObject *op, PyObject *source)
{
    ps_state *st = ps_final_state(op);
    ps_vector_evolver *e = (ps_vector_evolver *)op;
    if (ps_is_vector(st, source) || e->tree.count == 0 || ps_is_number_array(source)) {
        ps_rrb more, made;
        if (ps_rrb_from_object(st, source, &more) < 0) {
            return NULL;
        }
        ps_rrb *t = begin(st, e);
        int rc = -1;
        if (t != NULL) {
            rc = ps_rrb_concat(st, t, &more, &made);
            rc = replace(st, e, rc, made);
        }
        ps_rrb_drop(st, more);
        return rc < 0 ? NULL : Py_NewRef(op);
    }
    PyObject *it = PyObject_GetIter(source), *item;
    if (it == NULL) {
        return NULL;
    }
    int rc = 0;
    while (rc == 0 && (item = PyIter_Next(it)) != NULL) {
        rc = append(st, e, item);
        Py_DECREF(item);
    }
    Py_DECREF(it);
    return rc < 0 || PyErr_Occurred() ? NULL : Py_NewRef(op);
}

static PyObject *
evolver_insert(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"index", "value"};
    ps_state *st = ps_final_state(op);
    ps_vector_evolver *e = (ps_vector_evolver *)op;
    PyObject *a[2];
    if (ps_parse_args("insert", args, nargs, kwnames, names, 2, 2, a) < 0) {
        return NULL;
    }
    Py_ssize_t i = PyNumber_AsSsize_t(a[0], NULL);
    if (i == -1 && PyErr_Occurred()) {
        return NULL;
    }
    ps_rrb *t = begin(st, e), made;
    if (t == NULL) {
        return NULL;
    }
    i = i < 0 ? i + t->count : i;
    i = i < 0 ? 0 : i > t->count ? t->count : i;
    int rc = ps_rrb_insert(st, t, i, a[1], &made);
    return replace(st, e, rc, made) < 0 ? NULL : Py_NewRef(op);
}

static PyObject *
evolver_remove(PyObject *op, PyObject *value)
{
    ps_state *st = ps_final_state(op);
    ps_vector_evolver *e = (ps_vector_evolver *)op;
    /* Comparing runs user code: on a tree of our own, which makes writers copy. */
    ps_rrb seen = ps_rrb_share(st, &e->tree), made;
    Py_ssize_t at = ps_rrb_index_of(st, &seen, value, 0, seen.count);
    int rc = -1;
    if (at == -1) {
        PyErr_SetString(PyExc_ValueError, "PVectorEvolver.remove(x): x not in vector");
    }
    else if (at >= 0 && !ps_rrb_same(&seen, &e->tree)) {
        ps_raise(st, "EvolverBusyError",
                 "this PVectorEvolver was changed while remove() compared its elements");
    }
    else if (at >= 0 && begin(st, e) != NULL) {
        rc = ps_rrb_delete(st, &seen, at, at + 1, &made);
        rc = replace(st, e, rc, made);
    }
    ps_rrb_drop(st, seen);
    return rc < 0 ? NULL : Py_NewRef(op);
}

/* ---- reading */

static Py_ssize_t
evolver_len(PyObject *op)
{
    return ((ps_vector_evolver *)op)->tree.count;
}

static PyObject *
evolver_subscript(PyObject *op, PyObject *key)
{
    ps_vector_evolver *e = (ps_vector_evolver *)op;
    ps_state *st = ps_final_state(op);
    Py_ssize_t i;
    if (parse_index(e, key, false, &i) < 0) {
        return NULL;
    }
    ps_rrb t = ps_rrb_share(st, &e->tree); /* decoding a packed element may run user code */
    PyObject *value = ps_rrb_get(st, &t, i);
    ps_rrb_drop(st, t);
    return value;
}

static PyObject *
evolver_is_dirty(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(((ps_vector_evolver *)op)->origin == NULL);
}

static PyObject *
evolver_persistent(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    ps_state *st = ps_final_state(op);
    ps_vector_evolver *e = (ps_vector_evolver *)op;
    if (e->origin == NULL) {
        ps_rrb *t = begin(st, e);
        if (t == NULL) {
            return NULL;
        }
        /* Busy until `origin` is what the tree is: to allocate may run the collector. */
        int rc = ps_rrb_own_trim(st, t);
        PyObject *made = rc < 0 ? NULL : ps_vector_new(st, ps_rrb_share(st, t));
        e->busy = false;
        if (made == NULL) {
            return NULL;
        }
        Py_XSETREF(e->origin, made);
    }
    return Py_NewRef(e->origin);
}

#define FASTCALL(function) (PyCFunction)(void (*)(void))(function)

static PyMethodDef evolver_methods[] = {
    {"append", evolver_append, METH_O,
     "append($self, element, /)\n--\n\nAdd an element at the end. Returns the evolver."},
    {"extend", evolver_extend, METH_O,
     "extend($self, iterable, /)\n--\n\nAdd elements at the end. Returns the evolver."},
    {"set", FASTCALL(evolver_set), METH_FASTCALL | METH_KEYWORDS,
     "set($self, /, i, val)\n--\n\nGive element i the value val; i == len appends. Returns the "
     "evolver."},
    {"insert", FASTCALL(evolver_insert), METH_FASTCALL | METH_KEYWORDS,
     "insert($self, /, index, value)\n--\n\nPut value before element index. Returns the "
     "evolver."},
    {"delete", evolver_delete, METH_O,
     "delete($self, index, /)\n--\n\nTake out an element, or those of a slice. Returns the "
     "evolver."},
    {"remove", evolver_remove, METH_O,
     "remove($self, value, /)\n--\n\nTake out the first element that equals value; ValueError if "
     "there is none.\nReturns the evolver."},
    {"is_dirty", evolver_is_dirty, METH_NOARGS,
     "is_dirty($self, /)\n--\n\nWhether something changed since the start or the last "
     "persistent()."},
    {"persistent", evolver_persistent, METH_NOARGS,
     "persistent($self, /)\n--\n\nThe contents as a PVector. The evolver can be used further."},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS,
     "__class_getitem__($type, item, /)\n--\n\nPVectorEvolver[T]."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef evolver_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(ps_vector_evolver, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot evolver_slots[] = {
    {Py_tp_doc, "Mutable builder of a PVector: v.evolver() makes one, persistent() ends it."},
    {Py_tp_dealloc, evolver_dealloc},
    {Py_tp_traverse, evolver_traverse},
    {Py_tp_clear, evolver_clear},
    {Py_tp_methods, evolver_methods},
    {Py_tp_members, evolver_members},
    {Py_mp_length, evolver_len},
    {Py_mp_subscript, evolver_subscript},
    {Py_mp_ass_subscript, evolver_ass_subscript},
    {0, NULL},
};

static PyType_Spec evolver_spec = {
    .name = "pstructs.PVectorEvolver",
    .basicsize = sizeof(ps_vector_evolver),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = evolver_slots,
};

int
ps_vector_evolver_type_init(ps_state *st, PyObject *module)
{
    st->vector_evolver = (PyTypeObject *)PyType_FromModuleAndSpec(module, &evolver_spec, NULL);
    return st->vector_evolver == NULL ? -1 : PyModule_AddType(module, st->vector_evolver);
}
