/* error.c -- see error.h. The classes live in Python, where they have
 * docstrings; they are imported at the first error, not at start-up. */
#include "error.h"
#include "state.h"

PyObject *
ps_error_class(ps_state *st, const char *name)
{
    if (st->errors == NULL) {
        PyObject *module = PyImport_ImportModule("pstructs.errors");
        if (module == NULL) {
            return NULL;
        }
        Py_XSETREF(st->errors, PyObject_GetAttrString(module, "__dict__"));
        Py_DECREF(module);
        if (st->errors == NULL) {
            return NULL;
        }
    }
    PyObject *cls = PyDict_GetItemString(st->errors, name);
    if (cls == NULL) {
        PyErr_Format(PyExc_SystemError, "pstructs.errors has no class %s", name);
    }
    return cls;
}

PyObject *
ps_raise(ps_state *st, const char *name, const char *format, ...)
{
    PyObject *cls = ps_error_class(st, name);
    if (cls == NULL) {
        return NULL;
    }
    va_list args;
    va_start(args, format);
    PyErr_FormatV(cls, format, args);
    va_end(args);
    return NULL;
}
