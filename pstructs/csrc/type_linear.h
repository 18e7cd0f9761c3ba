/* type_linear.h -- what the ordered collections PList and PDeque have in common. */
#ifndef PS_TYPE_LINEAR_H
#define PS_TYPE_LINEAR_H

#include "collection.h"

/* hash() of a sequence: that of the tuple with the same elements (xxHash's scheme, as CPython
 * has it). Start with PS_LINEAR_HASH_START, step once an element, then finish. */
#define PS_LINEAR_HASH_START ((Py_uhash_t)2870177450012600261u)

PS_INLINE Py_uhash_t
ps_linear_hash_step(Py_uhash_t acc, Py_hash_t element)
{
    acc += (Py_uhash_t)element * 14029467366897019727u;
    return ((acc << 31) | (acc >> 33)) * 11400714785074694791u;
}

PS_INLINE Py_hash_t
ps_linear_hash_finish(Py_uhash_t acc, Py_ssize_t n)
{
    acc += (Py_uhash_t)n ^ (PS_LINEAR_HASH_START ^ 3527539u);
    return acc == (Py_uhash_t)-1 ? 1546275796 : (Py_hash_t)acc;
}

/* The arguments (value, start=0, stop=len) of an index() method, the bounds clamped to
 * 0..n. 0, or -1 with an exception. value is borrowed. */
int ps_linear_index_args(PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, Py_ssize_t n,
                         PyObject **value, Py_ssize_t *start, Py_ssize_t *stop);

/* An index as a C integer, without the bounds; 0, or -1 with a TypeError or IndexError. */
int ps_linear_as_index(const char *type, PyObject *index, Py_ssize_t *out);

/* "<name>([...])" with extra before the last parenthesis; guards against recursion. */
PyObject *ps_linear_repr(PyObject *self, const char *name, const char *extra);

/* (type, (arguments...)) for pickle and copy, with the instance's own state for a subclass.
 * Steals arguments, also when it is NULL. */
PyObject *ps_linear_reduce(PyObject *self, PyTypeObject *exact, PyObject *arguments);

/* What `a op b` says of two sequences whose first difference is x, y, or (both NULL) that
 * are n_a and n_b elements long and equal as far as the shorter one goes. */
PyObject *ps_linear_order(PyObject *x, PyObject *y, Py_ssize_t n_a, Py_ssize_t n_b, int op);

#endif
