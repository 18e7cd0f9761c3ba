/* type_linear.c -- arguments, repr, pickling and order of PList and PDeque. */
#include "type_linear.h"

int
ps_linear_as_index(const char *type, PyObject *index, Py_ssize_t *out)
{
    if (!PyIndex_Check(index)) {
        PyErr_Format(PyExc_TypeError,
                     "a %s is indexed by integers and slices: '%.200s' cannot be interpreted as "
                     "an index",
                     type, Py_TYPE(index)->tp_name);
        return -1;
    }
    *out = PyNumber_AsSsize_t(index, PyExc_IndexError);
    return *out == -1 && PyErr_Occurred() ? -1 : 0;
}

/* A bound of index(): negative ones count from the end. */
static int
as_bound(PyObject *o, Py_ssize_t n, Py_ssize_t *out)
{
    Py_ssize_t i = PyNumber_AsSsize_t(o, NULL); /* clips, as slices do */
    if (i == -1 && PyErr_Occurred()) {
        return -1;
    }
    i += i < 0 ? n : 0;
    *out = i < 0 ? 0 : i > n ? n : i;
    return 0;
}

int
ps_linear_index_args(PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, Py_ssize_t n,
                     PyObject **value, Py_ssize_t *start, Py_ssize_t *stop)
{
    static const char *const names[] = {"value", "start", "stop"};
    PyObject *a[3];
    if (ps_parse_args("index", args, nargs, kwnames, names, 1, 3, a) < 0) {
        return -1;
    }
    *value = a[0];
    *start = 0;
    *stop = n;
    if (a[1] != NULL && as_bound(a[1], n, start) < 0) {
        return -1;
    }
    return a[2] != NULL && a[2] != Py_None ? as_bound(a[2], n, stop) : 0;
}

PyObject *
ps_linear_repr(PyObject *self, const char *name, const char *extra)
{
    int rc = Py_ReprEnter(self);
    if (rc != 0) {
        return rc < 0 ? NULL : PyUnicode_FromFormat("%s([...])", name);
    }
    PyObject *list = PySequence_List(self);
    PyObject *result = list == NULL ? NULL : PyUnicode_FromFormat("%s(%R%s)", name, list, extra);
    Py_XDECREF(list);
    Py_ReprLeave(self);
    return result;
}

PyObject *
ps_linear_reduce(PyObject *self, PyTypeObject *exact, PyObject *arguments)
{
    if (arguments == NULL) {
        return NULL;
    }
    if (Py_TYPE(self) == exact) {
        return Py_BuildValue("ON", exact, arguments);
    }
    PyObject *state = PyObject_CallMethod(self, "__getstate__", NULL);
    if (state == NULL) {
        Py_DECREF(arguments);
        return NULL;
    }
    return Py_BuildValue("ONN", Py_TYPE(self), arguments, state);
}

PyObject *
ps_linear_order(PyObject *x, PyObject *y, Py_ssize_t n_a, Py_ssize_t n_b, int op)
{
    if (x == NULL) {
        Py_RETURN_RICHCOMPARE(n_a, n_b, op);
    }
    if (op == Py_EQ || op == Py_NE) {
        return PyBool_FromLong(op == Py_NE);
    }
    return PyObject_RichCompare(x, y, op);
}
