/* collection_vector.h -- the Python objects around an RRB tree: PVector, its evolver and
 * its iterator. */
#ifndef PS_COLLECTION_VECTOR_H
#define PS_COLLECTION_VECTOR_H

#include "collection.h"
#include "rrb.h"

/* PVector; a subclass may add to it. */
typedef struct {
    PyObject_HEAD
    ps_rrb tree;
    Py_hash_t hash; /* -1: not computed yet */
    PyObject *weakrefs;
} ps_vector;

typedef struct {
    PyObject_HEAD
    ps_rrb tree;
    PyObject *origin; /* the vector it started from or last gave out; NULL when changed since */
    PyObject *weakrefs;
    bool busy; /* an operation is in progress: the collector may run user code meanwhile */
} ps_vector_evolver;

void ps_vector_dealloc(PyObject *self);

/* The module state, from a PVector or an instance of a subclass. */
ps_state *ps_vector_state_slow(PyObject *self);
PS_INLINE ps_state *
ps_vector_state(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    if (PS_LIKELY(type->tp_dealloc == ps_vector_dealloc)) {
        return PyModule_GetState(((PyHeapTypeObject *)type)->ht_module);
    }
    return ps_vector_state_slow(self);
}

PS_INLINE ps_rrb *
ps_vector_tree(PyObject *self)
{
    return &((ps_vector *)self)->tree;
}

PS_INLINE bool
ps_is_vector(ps_state *st, PyObject *o)
{
    return Py_TYPE(o) == st->vector || PyType_IsSubtype(Py_TYPE(o), st->vector);
}

/* New vector that owns t (consumed also on error); the empty one when t is empty. */
PyObject *ps_vector_new(ps_state *st, ps_rrb t);
/* The same for a subclass, or always a new object. */
PyObject *ps_vector_new_of(ps_state *st, PyTypeObject *type, ps_rrb t);

/* Whether source is an array of numbers, whose elements become Python's own numbers. */
bool ps_is_number_array(PyObject *source);
/* A tree of what source holds: shares an own vector's. 0 and an owned tree, or -1. */
int ps_rrb_from_object(ps_state *st, PyObject *source, ps_rrb *out);
/* *t, which nobody else owns, with the elements of source appended. 0, or -1: *t has got
 * some of them then. */
int ps_rrb_extend_own(ps_state *st, ps_rrb *t, PyObject *source);
/* A new list of the elements lo <= i < hi. */
PyObject *ps_rrb_to_list(ps_state *st, const ps_rrb *t, Py_ssize_t lo, Py_ssize_t hi);
/* Index of the first element in lo <= i < hi that equals value; -1: none; -2: exception. */
Py_ssize_t ps_rrb_index_of(ps_state *st, const ps_rrb *t, PyObject *value, Py_ssize_t lo,
                           Py_ssize_t hi);
/* How many elements equal value; -1 with an exception. */
Py_ssize_t ps_rrb_count_of(ps_state *st, const ps_rrb *t, PyObject *value);
/* hash() of the tuple of the elements; -1 with an exception. */
Py_hash_t ps_rrb_hash(ps_state *st, const ps_rrb *t);
/* a op b as lists have it; other is a list. New reference. */
PyObject *ps_rrb_compare(ps_state *st, const ps_rrb *a, const ps_rrb *b, int op);
PyObject *ps_rrb_compare_list(ps_state *st, const ps_rrb *a, PyObject *list, int op);

/* Hooks of the hash domain. */
int ps_vector_stable_hash(ps_state *st, PyObject *vector, int which, int depth, uint64_t *h);
int ps_vector_is_stable(ps_state *st, PyObject *vector, int depth);

/* New iterator over lo <= i < hi (shares t). */
PyObject *ps_vector_iterator_new(ps_state *st, const ps_rrb *t, Py_ssize_t lo, Py_ssize_t hi,
                                 bool reverse);
/* New evolver that starts from a vector. */
PyObject *ps_vector_evolver_new(ps_state *st, PyObject *vector);

/* Functions of the module. */
PyObject *ps_pvector(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
PyObject *ps_v(PyObject *module, PyObject *const *args, Py_ssize_t nargs);
PyObject *ps_vector_edits(PyObject *module, PyObject *const *args, Py_ssize_t nargs);

int ps_vector_type_init(ps_state *st, PyObject *module);
int ps_vector_evolver_type_init(ps_state *st, PyObject *module);
int ps_vector_iterator_type_init(ps_state *st, PyObject *module);

#endif
