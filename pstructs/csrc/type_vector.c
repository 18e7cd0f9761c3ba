/* type_vector.c -- PVector, the persistent vector, and the functions pvector() and v().
 *
 * The object is the RRB tree (rrb.c) with a cached hash and weak references:
 *
 *     PVector object             nodes
 *     +--------------------+
 *     | refcount, type     |
 *     | head, root, tail --+--->  leaf, inner node, leaf
 *     | counts, shift      |
 *     | hash (-1: unknown) |
 *     | weakrefs           |
 *     +--------------------+
 *
 * Collector and trashcan are as for maps (type_collection.c): an exact PVector is tracked
 * only when one of its three nodes is a GC node, so a vector of atoms is an atom itself.
 *
 * Equality and order are a list's: a vector equals a list of equal elements, and no tuple.
 * What an operation returns is a plain PVector, also for a subclass, as in pyrsistent. */
#include "collection_vector.h"

#include "error.h"
#include "type_interop.h"

/* ---- life and death */

ps_state *
ps_vector_state_slow(PyObject *self)
{
    for (PyTypeObject *t = Py_TYPE(self); t != NULL; t = t->tp_base) {
        if (t->tp_dealloc == ps_vector_dealloc) {
            PyObject *module = ((PyHeapTypeObject *)t)->ht_module;
            return module == NULL ? NULL : PyModule_GetState(module);
        }
    }
    return NULL;
}

static int
vector_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    return ps_rrb_visit(ps_vector_tree(self), visit, arg);
}

void
ps_vector_dealloc(PyObject *self)
{
    PyObject_GC_UnTrack(self);
    Py_TRASHCAN_BEGIN(self, ps_vector_dealloc);
    PyTypeObject *type = Py_TYPE(self);
    bool exact = type->tp_dealloc == ps_vector_dealloc;
    /* The collector may have cleared the type already, when all die together. */
    ps_state *st;
    if (PS_LIKELY(exact && ((PyHeapTypeObject *)type)->ht_module != NULL)) {
        st = PyModule_GetState(((PyHeapTypeObject *)type)->ht_module);
    }
    else {
        st = ps_vector_state_slow(self);
    }
    if (((ps_vector *)self)->weakrefs != NULL) {
        PyObject_ClearWeakRefs(self);
    }
    ps_rrb_release(st, ps_vector_tree(self));
#ifndef Py_GIL_DISABLED
    if (exact && st != NULL && st->n_spare_vectors < PS_FREELIST) {
        st->spare_vectors[st->n_spare_vectors++] = self;
    }
    else
#endif
    {
        type->tp_free(self);
    }
    Py_DECREF(type);
    Py_TRASHCAN_END
}

PyObject *
ps_vector_new_of(ps_state *st, PyTypeObject *type, ps_rrb t)
{
    ps_vector *v;
    bool exact = type == st->vector;
    if (!exact) {
        v = (ps_vector *)type->tp_alloc(type, 0);
    }
#ifndef Py_GIL_DISABLED
    else if (PS_LIKELY(st->n_spare_vectors > 0)) {
        v = (ps_vector *)PyObject_Init(st->spare_vectors[--st->n_spare_vectors], type);
    }
#endif
    else {
        v = PyObject_GC_New(ps_vector, type);
    }
    if (v == NULL) {
        ps_rrb_drop(st, t);
        return NULL;
    }
    v->tree = t;
    v->hash = -1;
    v->weakrefs = NULL;
    if (exact && ps_rrb_needs_gc(st, &t)) {
        PyObject_GC_Track(v);
    }
    return (PyObject *)v;
}

PyObject *
ps_vector_new(ps_state *st, ps_rrb t)
{
    if (t.count == 0) {
        return Py_NewRef(st->empty_vector);
    }
    return ps_vector_new_of(st, st->vector, t);
}

/* The result of an operation on self: self when nothing changed. Consumes t. */
static PyObject *
wrap(ps_state *st, PyObject *self, ps_rrb t)
{
    if (ps_rrb_same(ps_vector_tree(self), &t)) {
        ps_rrb_drop(st, t);
        return Py_NewRef(self);
    }
    return ps_vector_new(st, t);
}

/* ---- construction */

static PyObject *
vector_make(ps_state *st, PyTypeObject *type, PyObject *source)
{
    ps_rrb t = PS_RRB_EMPTY;
    if (source != NULL && Py_TYPE(source) == type && type == st->vector) {
        return Py_NewRef(source);
    }
    if (source != NULL && ps_rrb_from_object(st, source, &t) < 0) {
        return NULL;
    }
    return type == st->vector ? ps_vector_new(st, t) : ps_vector_new_of(st, type, t);
}

static PyObject *
vector_vectorcall(PyObject *type, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    Py_ssize_t nargs = PyVectorcall_NARGS(nargsf);
    if (nargs > 1 || (kwnames != NULL && PyTuple_GET_SIZE(kwnames) > 0)) {
        PyErr_SetString(PyExc_TypeError, "PVector() takes one iterable and no keyword arguments");
        return NULL;
    }
    ps_state *st = PyModule_GetState(((PyHeapTypeObject *)type)->ht_module);
    return vector_make(st, (PyTypeObject *)type, nargs ? args[0] : NULL);
}

static PyObject *
vector_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    ps_state *st = ps_state_of_type(type);
    if (st == NULL) {
        return NULL;
    }
    bool keywords = kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0 && type == st->vector;
    if (PyTuple_GET_SIZE(args) > 1 || keywords) {
        PyErr_SetString(PyExc_TypeError, "PVector() takes one iterable and no keyword arguments");
        return NULL;
    }
    return vector_make(st, type, PyTuple_GET_SIZE(args) ? PyTuple_GET_ITEM(args, 0) : NULL);
}

PyObject *
ps_pvector(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"iterable"};
    PyObject *a[1];
    ps_state *st = ps_state_of_module(module);
    if (ps_parse_args("pvector", args, nargs, kwnames, names, 0, 1, a) < 0) {
        return NULL;
    }
    return vector_make(st, st->vector, a[0]);
}

PyObject *
ps_v(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    ps_state *st = ps_state_of_module(module);
    ps_rrb t;
    return ps_rrb_build(st, args, nargs, &t) < 0 ? NULL : ps_vector_new(st, t);
}

/* ---- reading */

static Py_ssize_t
vector_len(PyObject *self)
{
    return ps_vector_tree(self)->count;
}

static PyObject *
out_of_range(Py_ssize_t i)
{
    PyErr_Format(PyExc_IndexError, "Index out of range: %zd", i);
    return NULL;
}

/* An index counted from either end: 0 and 0 <= *i < count (or == count when `end`), or -1. */
static int
parse_index(PyObject *o, Py_ssize_t count, bool end, Py_ssize_t *i)
{
    Py_ssize_t given;
    int64_t n;
    if (PS_LIKELY(PyLong_CheckExact(o)) && PS_LIKELY(ps_long_as_int64(o, &n))) {
        given = (Py_ssize_t)n;
    }
    else {
        given = PyNumber_AsSsize_t(o, PyExc_IndexError);
        if (given == -1 && PyErr_Occurred()) {
            return -1;
        }
    }
    *i = given < 0 ? given + count : given;
    if (*i < 0 || *i > count - !end) {
        out_of_range(given);
        return -1;
    }
    return 0;
}

/* A start or stop as slices have it: within 0 .. count. */
static int
parse_bound(PyObject *o, Py_ssize_t count, Py_ssize_t *i)
{
    Py_ssize_t given = PyNumber_AsSsize_t(o, NULL);
    if (given == -1 && PyErr_Occurred()) {
        return -1;
    }
    given = given < 0 ? given + count : given;
    *i = given < 0 ? 0 : given > count ? count : given;
    return 0;
}

static PS_NOINLINE PyObject *
subscript_slow(PyObject *self, PyObject *key)
{
    const ps_rrb *t = ps_vector_tree(self);
    ps_state *st = ps_vector_state(self);
    if (PyIndex_Check(key)) {
        Py_ssize_t i;
        return parse_index(key, t->count, false, &i) < 0 ? NULL : ps_rrb_get(st, t, i);
    }
    if (!PySlice_Check(key)) {
        PyErr_Format(PyExc_TypeError, "PVector indices must be integers or slices, not %.200s",
                     Py_TYPE(key)->tp_name);
        return NULL;
    }
    Py_ssize_t start, stop, step;
    if (PySlice_Unpack(key, &start, &stop, &step) < 0) {
        return NULL;
    }
    Py_ssize_t n = PySlice_AdjustIndices(t->count, &start, &stop, step);
    ps_rrb r;
    int rc = step == 1 ? ps_rrb_slice(st, t, start, start + n, &r)
                       : ps_rrb_stride(st, t, start, step, n, &r);
    return rc < 0 ? NULL : wrap(st, self, r);
}

static PyObject *
vector_subscript(PyObject *self, PyObject *key)
{
    int64_t i;
    const ps_rrb *t = ps_vector_tree(self);
    if (PS_LIKELY(PyLong_CheckExact(key)) && PS_LIKELY(ps_long_as_int64(key, &i)) &&
        PS_LIKELY((uint64_t)i < (uint64_t)t->count)) {
        const ps_slot *slot = ps_rrb_find(t, (size_t)i);
        if (PS_LIKELY(slot != NULL && !ps_slot_is_packed(*slot))) {
            return Py_NewRef(ps_slot_obj(*slot));
        }
    }
    return subscript_slow(self, key);
}

static PyObject *
vector_item(PyObject *self, Py_ssize_t i)
{
    const ps_rrb *t = ps_vector_tree(self);
    if (i < 0 || i >= t->count) {
        return out_of_range(i);
    }
    return ps_rrb_get(ps_vector_state(self), t, i);
}

static int
vector_contains(PyObject *self, PyObject *value)
{
    const ps_rrb *t = ps_vector_tree(self);
    Py_ssize_t at = ps_rrb_index_of(ps_vector_state(self), t, value, 0, t->count);
    return at == -2 ? -1 : at >= 0;
}

static PyObject *
vector_index(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    const ps_rrb *t = ps_vector_tree(self);
    Py_ssize_t start = 0, stop = t->count;
    if (nargs < 1 || nargs > 3) {
        PyErr_Format(PyExc_TypeError, "index() takes 1 to 3 arguments (%zd given)", nargs);
        return NULL;
    }
    if ((nargs > 1 && parse_bound(args[1], t->count, &start) < 0) ||
        (nargs > 2 && parse_bound(args[2], t->count, &stop) < 0)) {
        return NULL;
    }
    Py_ssize_t at = ps_rrb_index_of(ps_vector_state(self), t, args[0], start, stop);
    if (at == -1) {
        PyErr_SetString(PyExc_ValueError, "PVector.index(x): x not in vector");
    }
    return at < 0 ? NULL : PyLong_FromSsize_t(at);
}

static PyObject *
vector_count(PyObject *self, PyObject *value)
{
    Py_ssize_t n = ps_rrb_count_of(ps_vector_state(self), ps_vector_tree(self), value);
    return n < 0 ? NULL : PyLong_FromSsize_t(n);
}

static PyObject *
vector_tolist(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    const ps_rrb *t = ps_vector_tree(self);
    return ps_rrb_to_list(ps_vector_state(self), t, 0, t->count);
}

static PyObject *
vector_totuple(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *list = vector_tolist(self, NULL);
    PyObject *tuple = list == NULL ? NULL : PyList_AsTuple(list);
    Py_XDECREF(list);
    return tuple;
}

static PyObject *
vector_iter(PyObject *self)
{
    const ps_rrb *t = ps_vector_tree(self);
    return ps_vector_iterator_new(ps_vector_state(self), t, 0, t->count, false);
}

static PyObject *
vector_reversed(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    const ps_rrb *t = ps_vector_tree(self);
    return ps_vector_iterator_new(ps_vector_state(self), t, 0, t->count, true);
}

/* ---- updates */

static PyObject *
vector_append(PyObject *self, PyObject *value)
{
    ps_state *st = ps_vector_state(self);
    ps_rrb r;
    return ps_rrb_push_back(st, ps_vector_tree(self), value, &r) < 0 ? NULL : ps_vector_new(st, r);
}

static PyObject *
vector_appendleft(PyObject *self, PyObject *value)
{
    ps_state *st = ps_vector_state(self);
    ps_rrb r;
    return ps_rrb_push_front(st, ps_vector_tree(self), value, &r) < 0 ? NULL
                                                                      : ps_vector_new(st, r);
}

static PyObject *
vector_extend(PyObject *self, PyObject *source)
{
    ps_state *st = ps_vector_state(self);
    ps_rrb t = ps_rrb_share(st, ps_vector_tree(self));
    if (ps_rrb_extend_own(st, &t, source) < 0 || ps_rrb_own_trim(st, &t) < 0) {
        ps_rrb_drop(st, t);
        return NULL;
    }
    return wrap(st, self, t);
}

static PyObject *
vector_extendleft(PyObject *self, PyObject *source)
{
    ps_state *st = ps_vector_state(self);
    ps_rrb left, reversed, r;
    if (ps_rrb_from_object(st, source, &left) < 0) {
        return NULL;
    }
    int rc = ps_rrb_stride(st, &left, left.count - 1, -1, left.count, &reversed);
    ps_rrb_drop(st, left);
    if (rc < 0) {
        return NULL;
    }
    rc = ps_rrb_concat(st, &reversed, ps_vector_tree(self), &r);
    ps_rrb_drop(st, reversed);
    return rc < 0 ? NULL : wrap(st, self, r);
}

static PyObject *
vector_repeat(PyObject *self, Py_ssize_t n)
{
    ps_state *st = ps_vector_state(self);
    ps_rrb r;
    return ps_rrb_repeat(st, ps_vector_tree(self), n < 0 ? 0 : n, &r) < 0 ? NULL
                                                                          : wrap(st, self, r);
}

static PyObject *
vector_pop(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    ps_state *st = ps_vector_state(self);
    const ps_rrb *t = ps_vector_tree(self);
    ps_rrb r;
    if (t->count == 0) {
        PyErr_SetString(PyExc_IndexError, "pop from an empty vector");
        return NULL;
    }
    return ps_rrb_pop_back(st, t, &r) < 0 ? NULL : ps_vector_new(st, r);
}

static PyObject *
vector_popleft(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    ps_state *st = ps_vector_state(self);
    const ps_rrb *t = ps_vector_tree(self);
    ps_rrb r;
    if (t->count == 0) {
        PyErr_SetString(PyExc_IndexError, "popleft from an empty vector");
        return NULL;
    }
    return ps_rrb_pop_front(st, t, &r) < 0 ? NULL : ps_vector_new(st, r);
}

static PyObject *
vector_set(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"i", "val"};
    PyObject *a[2];
    if (PS_LIKELY(kwnames == NULL && nargs == 2)) {
        a[0] = args[0];
        a[1] = args[1];
    }
    else if (ps_parse_args("set", args, nargs, kwnames, names, 2, 2, a) < 0) {
        return NULL;
    }
    const ps_rrb *t = ps_vector_tree(self);
    Py_ssize_t i;
    if (parse_index(a[0], t->count, true, &i) < 0) {
        return NULL;
    }
    ps_state *st = ps_vector_state(self);
    ps_rrb r;
    int rc = i == t->count ? ps_rrb_push_back(st, t, a[1], &r) : ps_rrb_set(st, t, i, a[1], &r);
    return rc < 0 ? NULL : wrap(st, self, r);
}

/* *t, which nobody else owns, with an element set, or appended at the end. */
static int
put(ps_state *st, ps_rrb *t, PyObject *index, PyObject *value)
{
    Py_ssize_t i;
    if (parse_index(index, t->count, true, &i) < 0) {
        return -1;
    }
    return i == t->count ? ps_rrb_own_push_back(st, t, value) : ps_rrb_own_set(st, t, i, value);
}

static PyObject *
vector_mset(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs % 2) {
        PyErr_SetString(PyExc_TypeError, "mset expected an even number of arguments");
        return NULL;
    }
    ps_state *st = ps_vector_state(self);
    ps_rrb t = ps_rrb_share(st, ps_vector_tree(self));
    for (Py_ssize_t i = 0; i < nargs; i += 2) {
        if (put(st, &t, args[i], args[i + 1]) < 0) {
            ps_rrb_drop(st, t);
            return NULL;
        }
    }
    if (ps_rrb_own_trim(st, &t) < 0) {
        ps_rrb_drop(st, t);
        return NULL;
    }
    return wrap(st, self, t);
}

static PyObject *
vector_insert(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"index", "value"};
    PyObject *a[2];
    if (ps_parse_args("insert", args, nargs, kwnames, names, 2, 2, a) < 0) {
        return NULL;
    }
    const ps_rrb *t = ps_vector_tree(self);
    Py_ssize_t i;
    if (parse_bound(a[0], t->count, &i) < 0) {
        return NULL;
    }
    ps_state *st = ps_vector_state(self);
    ps_rrb r;
    return ps_rrb_insert(st, t, i, a[1], &r) < 0 ? NULL : ps_vector_new(st, r);
}

static PyObject *
vector_delete(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"index", "stop"};
    PyObject *a[2];
    if (ps_parse_args("delete", args, nargs, kwnames, names, 1, 2, a) < 0) {
        return NULL;
    }
    const ps_rrb *t = ps_vector_tree(self);
    Py_ssize_t lo, hi;
    if (a[1] == NULL || a[1] == Py_None) {
        if (parse_index(a[0], t->count, false, &lo) < 0) {
            return NULL;
        }
        hi = lo + 1;
    }
    else if (parse_bound(a[0], t->count, &lo) < 0 || parse_bound(a[1], t->count, &hi) < 0) {
        return NULL;
    }
    ps_state *st = ps_vector_state(self);
    ps_rrb r;
    return ps_rrb_delete(st, t, lo, hi > lo ? hi : lo, &r) < 0 ? NULL : wrap(st, self, r);
}

static PyObject *
vector_remove(PyObject *self, PyObject *value)
{
    ps_state *st = ps_vector_state(self);
    const ps_rrb *t = ps_vector_tree(self);
    Py_ssize_t at = ps_rrb_index_of(st, t, value, 0, t->count);
    ps_rrb r;
    if (at == -1) {
        PyErr_SetString(PyExc_ValueError, "PVector.remove(x): x not in vector");
    }
    return at < 0 || ps_rrb_delete(st, t, at, at + 1, &r) < 0 ? NULL : ps_vector_new(st, r);
}

static PyObject *
vector_transform(PyObject *self, PyObject *args)
{
    PyObject *module = PyImport_ImportModule("pstructs._transformations");
    if (module == NULL) {
        return NULL;
    }
    PyObject *result = PyObject_CallMethod(module, "transform", "OO", self, args);
    Py_DECREF(module);
    return result;
}

static PyObject *
vector_evolver(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return ps_vector_evolver_new(ps_vector_state(self), self);
}

/* ---- as a value */

static PyObject *
vector_repr(PyObject *self)
{
    int rc = Py_ReprEnter(self);
    if (rc != 0) {
        return rc < 0 ? NULL : PyUnicode_FromString("pvector([...])");
    }
    PyObject *list = vector_tolist(self, NULL);
    PyObject *result = list == NULL ? NULL : PyUnicode_FromFormat("pvector(%R)", list);
    Py_XDECREF(list);
    Py_ReprLeave(self);
    return result;
}

static Py_hash_t
vector_hash(PyObject *self)
{
    ps_vector *v = (ps_vector *)self;
    if (v->hash == -1) {
        v->hash = ps_rrb_hash(ps_vector_state(self), &v->tree);
    }
    return v->hash;
}

static PyObject *
vector_richcompare(PyObject *self, PyObject *other, int op)
{
    ps_state *st = ps_vector_state(self);
    if (ps_is_vector(st, other)) {
        ps_vector *a = (ps_vector *)self, *b = (ps_vector *)other;
        if ((op == Py_EQ || op == Py_NE) && a->hash != -1 && b->hash != -1 && a->hash != b->hash) {
            return PyBool_FromLong(op == Py_NE);
        }
        return ps_rrb_compare(st, &a->tree, &b->tree, op);
    }
    if (PyList_Check(other)) {
        return ps_rrb_compare_list(st, ps_vector_tree(self), other, op);
    }
    Py_RETURN_NOTIMPLEMENTED;
}

static PyObject *
vector_copy(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return Py_NewRef(self);
}

/* (type, (list,)), with the instance's own state for a subclass. */
static PyObject *
vector_reduce(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    ps_state *st = ps_vector_state(self);
    PyObject *list = vector_tolist(self, NULL);
    if (list == NULL) {
        return NULL;
    }
    if (Py_TYPE(self) == st->vector) {
        return Py_BuildValue("O(N)", st->vector, list);
    }
    PyObject *state = PyObject_CallMethod(self, "__getstate__", NULL);
    if (state == NULL) {
        Py_DECREF(list);
        return NULL;
    }
    return Py_BuildValue("O(N)N", Py_TYPE(self), list, state);
}

#define FASTCALL(function) (PyCFunction)(void (*)(void))(function)

static PyMethodDef vector_methods[] = {
    {"append", vector_append, METH_O,
     "append($self, val, /)\n--\n\nA vector with val at the end.\n\nCost: amortised O(1)."},
    {"extend", vector_extend, METH_O,
     "extend($self, obj, /)\n--\n\nA vector with the elements of obj at the end.\n\n"
     "Cost: O(log n) for a PVector, else O(elements of obj)."},
    {"appendleft", vector_appendleft, METH_O,
     "appendleft($self, val, /)\n--\n\nA vector with val at the front.\n\nCost: amortised O(1)."},
    {"prepend", vector_appendleft, METH_O,
     "prepend($self, val, /)\n--\n\nThe same as appendleft()."},
    {"extendleft", vector_extendleft, METH_O,
     "extendleft($self, obj, /)\n--\n\nA vector with the elements of obj put before the front, "
     "one "
     "after the other,\nso that they stand there in reverse.\n\nCost: O(elements of obj)."},
    {"pop", vector_pop, METH_NOARGS,
     "pop($self, /)\n--\n\nA vector without the last element.\n\nCost: amortised O(1)."},
    {"popleft", vector_popleft, METH_NOARGS,
     "popleft($self, /)\n--\n\nA vector without the first element.\n\nCost: amortised O(1)."},
    {"set", FASTCALL(vector_set), METH_FASTCALL | METH_KEYWORDS,
     "set($self, /, i, val)\n--\n\nA vector in which element i is val; i == len appends.\n\n"
     "Cost: O(log n)."},
    {"mset", FASTCALL(vector_mset), METH_FASTCALL,
     "mset($self, /, *args)\n--\n\nA vector with many elements set: mset(i0, x0, i1, x1, ...).\n\n"
     "Cost: O(k log n)."},
    {"insert", FASTCALL(vector_insert), METH_FASTCALL | METH_KEYWORDS,
     "insert($self, /, index, value)\n--\n\nA vector with value before element index.\n\n"
     "Cost: O(log n)."},
    {"delete", FASTCALL(vector_delete), METH_FASTCALL | METH_KEYWORDS,
     "delete($self, /, index, stop=None)\n--\n\nA vector without element index, or without "
     "index <= i < stop.\n\nCost: O(log n)."},
    {"remove", vector_remove, METH_O,
     "remove($self, value, /)\n--\n\nA vector without the first element that equals value; "
     "ValueError if\nthere is none.\n\nCost: O(n)."},
    {"index", FASTCALL(vector_index), METH_FASTCALL,
     "index($self, value, start=0, stop=9223372036854775807, /)\n--\n\n"
     "The first index of value; ValueError if it is not there.\n\nCost: O(n)."},
    {"count", vector_count, METH_O,
     "count($self, value, /)\n--\n\nHow many elements equal value.\n\nCost: O(n)."},
    {"tolist", vector_tolist, METH_NOARGS, "tolist($self, /)\n--\n\nA new list of the elements."},
    {"_totuple", vector_totuple, METH_NOARGS,
     "_totuple($self, /)\n--\n\nA tuple of the elements."},
    {"transform", vector_transform, METH_VARARGS,
     "transform($self, /, *transformations)\n--\n\nA vector changed along paths: pairs of a path "
     "and a value or function."},
    {"evolver", vector_evolver, METH_NOARGS,
     "evolver($self, /)\n--\n\nA mutable builder that starts from this vector."},
    {"copy", vector_copy, METH_NOARGS,
     "copy($self, /)\n--\n\nThe vector itself: it never changes."},
    {"__copy__", vector_copy, METH_NOARGS, "__copy__($self, /)\n--\n\nThe vector itself."},
    {"__reduce__", vector_reduce, METH_NOARGS,
     "__reduce__($self, /)\n--\n\nFor pickle and deepcopy."},
    {"__reversed__", vector_reversed, METH_NOARGS,
     "__reversed__($self, /)\n--\n\nIterate from the end."},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS,
     "__class_getitem__($type, item, /)\n--\n\nPVector[T]."},
    PS_INTEROP_METHODS,
    {NULL, NULL, 0, NULL},
};

static PyMemberDef vector_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(ps_vector, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(
    vector_doc,
    "PVector(iterable=(), /)\n--\n\n"
    "A persistent vector: every update returns a new vector and the old one stays valid.\n\n"
    "It equals a list of equal elements, and hashes as the tuple of them.\n\n"
    "Cost: index and set O(log32 n); append and pop at both ends amortised O(1);\n"
    "concatenation, slice, insert and delete O(log n); building O(n).\n\n"
    "Examples\n--------\n"
    ">>> from pstructs import v\n"
    ">>> old = v(1, 2, 3)\n"
    ">>> new = old.set(0, 9) + old[1:]\n"
    ">>> old, new\n"
    "(pvector([1, 2, 3]), pvector([9, 2, 3, 2, 3]))\n");

static PyType_Slot vector_slots[] = {
    {Py_tp_doc, (void *)vector_doc},
    {Py_tp_new, vector_new},
    {Py_tp_dealloc, ps_vector_dealloc},
    {Py_tp_traverse, vector_traverse},
    {Py_tp_repr, vector_repr},
    {Py_tp_hash, vector_hash},
    {Py_tp_richcompare, vector_richcompare},
    {Py_tp_iter, vector_iter},
    {Py_tp_methods, vector_methods},
    {Py_tp_members, vector_members},
    {Py_mp_length, vector_len},
    {Py_mp_subscript, vector_subscript},
    {Py_sq_length, vector_len},
    {Py_sq_item, vector_item},
    {Py_sq_contains, vector_contains},
    {Py_sq_concat, vector_extend},
    {Py_sq_repeat, vector_repeat},
    {0, NULL},
};

static PyType_Spec vector_spec = {
    .name = "pstructs.PVector",
    .basicsize = sizeof(ps_vector),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_SEQUENCE |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = vector_slots,
};

int
ps_vector_type_init(ps_state *st, PyObject *module)
{
    st->vector = (PyTypeObject *)PyType_FromModuleAndSpec(module, &vector_spec, NULL);
    if (st->vector == NULL) {
        return -1;
    }
    st->vector->tp_vectorcall = vector_vectorcall;
    st->empty_vector = ps_vector_new_of(st, st->vector, PS_RRB_EMPTY);
    return st->empty_vector == NULL ? -1 : PyModule_AddType(module, st->vector);
}
