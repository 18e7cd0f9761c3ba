/* type_interop.h -- the methods by which other libraries learn about a collection.
 *
 * pydantic, IPython and Rich look for a method of a certain name on the class. The
 * methods are the same for all collections and lead to pstructs/interop/, which is
 * imported when one of them is called for the first time.
 */
#ifndef PS_TYPE_INTEROP_H
#define PS_TYPE_INTEROP_H

#include "base.h"

/* type.__get_pydantic_core_schema__(source, handler). */
PyObject *ps_interop_schema(PyObject *type, PyObject *args);
/* self._repr_pretty_(printer, cycle). */
PyObject *ps_interop_pretty(PyObject *self, PyObject *args);
/* self.__rich_repr__(). */
PyObject *ps_interop_rich(PyObject *self, PyObject *ignored);

/* For the method table of a collection. */
#define PS_INTEROP_METHODS                                                                        \
    {"__get_pydantic_core_schema__", ps_interop_schema, METH_VARARGS | METH_CLASS,                \
     "__get_pydantic_core_schema__($type, source, handler, /)\n--\n\n"                            \
     "How pydantic validates and serializes a field of this type."},                              \
        {"_repr_pretty_", ps_interop_pretty, METH_VARARGS,                                        \
         "_repr_pretty_($self, printer, cycle, /)\n--\n\nPrint to IPython's pretty printer."},    \
        {"__rich_repr__", ps_interop_rich, METH_NOARGS,                                           \
         "__rich_repr__($self, /)\n--\n\nWhat Rich prints between the parentheses."}

#endif
