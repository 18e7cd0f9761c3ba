/* type_interop.c -- methods that other libraries look for, as calls into pstructs/interop/. */
#include "type_interop.h"

/* module.function(first, *args), with the module imported now; args may be NULL. */
static PyObject *
call_python(const char *module_name, const char *function_name, PyObject *first, PyObject *args)
{
    PyObject *module = PyImport_ImportModule(module_name);
    PyObject *function = module == NULL ? NULL : PyObject_GetAttrString(module, function_name);
    PyObject *arguments = NULL, *result = NULL;
    Py_ssize_t n = args == NULL ? 0 : PyTuple_GET_SIZE(args);
    if (function != NULL && (arguments = PyTuple_New(n + 1)) != NULL) {
        PyTuple_SET_ITEM(arguments, 0, Py_NewRef(first));
        for (Py_ssize_t i = 0; i < n; i++) {
            PyTuple_SET_ITEM(arguments, i + 1, Py_NewRef(PyTuple_GET_ITEM(args, i)));
        }
        result = PyObject_CallObject(function, arguments);
    }
    Py_XDECREF(arguments);
    Py_XDECREF(function);
    Py_XDECREF(module);
    return result;
}

PyObject *
ps_interop_schema(PyObject *type, PyObject *args)
{
    return call_python("pstructs.interop.pydantic", "core_schema", type, args);
}

PyObject *
ps_interop_pretty(PyObject *self, PyObject *args)
{
    return call_python("pstructs.interop.pretty", "ipython_pretty", self, args);
}

PyObject *
ps_interop_rich(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return call_python("pstructs.interop.pretty", "rich_parts", self, NULL);
}
