/* error.h -- raising the classes of pstructs/errors.py from C. */
#ifndef PS_ERROR_H
#define PS_ERROR_H

#include "base.h"

/* Set an exception of the class `name` in pstructs.errors, with a message made
 * as by PyErr_Format. Returns NULL, so that callers can return it. */
PyObject *ps_raise(ps_state *st, const char *name, const char *format, ...);

/* Borrowed: the class `name` of pstructs.errors; NULL with an exception. */
PyObject *ps_error_class(ps_state *st, const char *name);

#endif
