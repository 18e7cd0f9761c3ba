/* type_list.h -- PList, the persistent singly linked list, and plist() and l(). */
#ifndef PS_TYPE_LIST_H
#define PS_TYPE_LIST_H

#include "type_linear.h"

/* A list is its first cell. Cells never change, except for the evident: a cell that is being
 * built gets its rest, a dying one loses it. */
typedef struct ps_list {
    PyObject_HEAD
    PyObject *first;      /* owned; NULL in an empty list */
    struct ps_list *rest; /* owned; an empty list itself in an empty list, and then borrowed */
    Py_ssize_t count;
    PyObject *weakrefs;
} ps_list;

PS_INLINE bool
ps_is_list(ps_state *st, PyObject *o)
{
    return Py_TYPE(o) == st->list || PyType_IsSubtype(Py_TYPE(o), st->list);
}

/* Assert the invariants of a list: -1 with an AssertionError. */
int ps_list_check(ps_state *st, ps_list *list);

/* Functions of the module. */
PyObject *ps_plist(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
PyObject *ps_l(PyObject *module, PyObject *const *args, Py_ssize_t nargs);

int ps_list_types_init(ps_state *st, PyObject *module);

#endif
