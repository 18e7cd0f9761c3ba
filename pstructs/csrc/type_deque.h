/* type_deque.h -- PDeque, the persistent double-ended queue, and pdeque() and dq(). */
#ifndef PS_TYPE_DEQUE_H
#define PS_TYPE_DEQUE_H

#include "collection_vector.h"
#include "type_linear.h"

/* The part of a tree that a deque shows. */
typedef struct {
    ps_rrb t;         /* owned */
    Py_ssize_t start; /* dead elements before it, fewer than PS_WIDTH */
    Py_ssize_t count; /* its elements; dead ones behind them are fewer than PS_WIDTH, too */
} ps_window;

typedef struct {
    PyObject_HEAD
    ps_window w;
    Py_ssize_t maxlen; /* -1: none */
    Py_hash_t hash;    /* -1: not computed yet */
    PyObject *weakrefs;
    bool flipped; /* the deque's left end is the window's back */
} ps_deque;

PS_INLINE bool
ps_is_deque(ps_state *st, PyObject *o)
{
    return Py_TYPE(o) == st->deque || PyType_IsSubtype(Py_TYPE(o), st->deque);
}

/* Assert the invariants of a deque: -1 with an AssertionError. */
int ps_deque_check(ps_state *st, ps_deque *deque);

/* Functions of the module. */
PyObject *ps_pdeque(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
PyObject *ps_dq(PyObject *module, PyObject *const *args, Py_ssize_t nargs);

int ps_deque_types_init(ps_state *st, PyObject *module);

#endif
