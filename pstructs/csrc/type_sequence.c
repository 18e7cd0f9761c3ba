/* type_sequence.c -- what sequences over an RRB tree have in common: making them from
 * Python objects, searching, comparing, hashing. */
#include "collection_vector.h"

/* ---- from Python objects */

/* Where the elements go: into a builder, or to the end of a tree. */
typedef struct {
    ps_rrb_builder *builder;
    ps_rrb *tree;
} sink;

/* Steals item, also on error. */
PS_INLINE int
sink_push(ps_state *st, const sink *to, PyObject *item)
{
    if (to->builder != NULL) {
        return ps_rrb_builder_push(st, to->builder, item);
    }
    int rc = item == NULL ? -1 : ps_rrb_own_push_back(st, to->tree, item);
    Py_XDECREF(item);
    return rc;
}

#define EACH(type, make)                                                                          \
    do {                                                                                          \
        for (Py_ssize_t i = 0; i < n && rc == 0; i++) {                                           \
            type x;                                                                               \
            memcpy(&x, at + i * stride, sizeof x);                                                \
            rc = sink_push(st, to, make);                                                         \
        }                                                                                         \
    } while (0)

/* The numbers of a one-dimensional buffer: 1 done, 0 not of a format that is known, -1. */
static int
push_numbers(ps_state *st, const Py_buffer *view, const sink *to)
{
    if (view->ndim != 1 || view->format == NULL) {
        return 0;
    }
    const char *format = view->format;
    bool standard = *format == '<' || *format == '='; /* this machine is little-endian */
    format += standard || *format == '@';
    if (format[0] == '\0' || format[1] != '\0') {
        return 0;
    }
    const char *at = view->buf;
    Py_ssize_t n = view->shape[0], stride = view->strides[0];
    int rc = 0;
    char kind = *format;
    if (standard && (kind == 'l' || kind == 'L')) {
        kind = kind == 'l' ? 'i' : 'I'; /* four bytes in a standard format */
    }
    switch (kind) {
    case '?':
        EACH(unsigned char, PyBool_FromLong(x));
        break;
    case 'b':
        EACH(signed char, PyLong_FromLong(x));
        break;
    case 'B':
        EACH(unsigned char, PyLong_FromLong(x));
        break;
    case 'h':
        EACH(short, PyLong_FromLong(x));
        break;
    case 'H':
        EACH(unsigned short, PyLong_FromLong(x));
        break;
    case 'i':
        EACH(int, PyLong_FromLong(x));
        break;
    case 'I':
        EACH(unsigned int, PyLong_FromUnsignedLong(x));
        break;
    case 'l':
        EACH(long, PyLong_FromLong(x));
        break;
    case 'L':
        EACH(unsigned long, PyLong_FromUnsignedLong(x));
        break;
    case 'q':
        EACH(long long, PyLong_FromLongLong(x));
        break;
    case 'Q':
        EACH(unsigned long long, PyLong_FromUnsignedLongLong(x));
        break;
    case 'f':
        EACH(float, PyFloat_FromDouble((double)x));
        break;
    case 'd':
        EACH(double, PyFloat_FromDouble(x));
        break;
    default:
        return 0;
    }
    return rc < 0 ? -1 : 1;
}

/* Whether iterating over the buffer of o is what iterating over o is. */
bool
ps_is_number_array(PyObject *o)
{
    PyTypeObject *type = Py_TYPE(o);
    return type == &PyBytes_Type || type == &PyByteArray_Type || type == &PyMemoryView_Type ||
           ((strcmp(type->tp_name, "numpy.ndarray") == 0 ||
             strcmp(type->tp_name, "array.array") == 0) &&
            PyObject_CheckBuffer(o));
}

/* The elements of anything iterable. 0 or -1. */
static int
push_all(ps_state *st, PyObject *source, const sink *to)
{
    if (PyList_CheckExact(source)) {
        /* Allocating may run the collector, and that anything: look at the list each time. */
        Py_ssize_t i = 0;
        while (to->builder != NULL && i < PyList_GET_SIZE(source)) {
            Py_ssize_t taken =
                ps_rrb_builder_take(st, to->builder, ((PyListObject *)source)->ob_item + i,
                                    PyList_GET_SIZE(source) - i);
            if (taken < 0) {
                return -1;
            }
            i += taken;
        }
        for (; i < PyList_GET_SIZE(source); i++) {
            if (sink_push(st, to, Py_NewRef(PyList_GET_ITEM(source, i))) < 0) {
                return -1;
            }
        }
        return 0;
    }
    if (PyTuple_CheckExact(source)) {
        Py_ssize_t i = 0;
        while (to->builder != NULL && i < PyTuple_GET_SIZE(source)) {
            Py_ssize_t taken = ps_rrb_builder_take(st, to->builder, &PyTuple_GET_ITEM(source, i),
                                                   PyTuple_GET_SIZE(source) - i);
            if (taken < 0) {
                return -1;
            }
            i += taken;
        }
        for (; i < PyTuple_GET_SIZE(source); i++) {
            if (sink_push(st, to, Py_NewRef(PyTuple_GET_ITEM(source, i))) < 0) {
                return -1;
            }
        }
        return 0;
    }
    if (ps_is_number_array(source)) {
        Py_buffer view;
        if (PyObject_GetBuffer(source, &view, PyBUF_FULL_RO) < 0) {
            PyErr_Clear(); /* arrays of dates, say, have no buffer */
        }
        else {
            int rc = view.suboffsets != NULL ? 0 : push_numbers(st, &view, to);
            PyBuffer_Release(&view);
            if (rc != 0) {
                return rc < 0 ? -1 : 0;
            }
        }
    }
    PyObject *it = PyObject_GetIter(source), *item;
    if (it == NULL) {
        return -1;
    }
    iternextfunc next = Py_TYPE(it)->tp_iternext;
    int rc = 0;
    while (rc == 0 && (item = next(it)) != NULL) {
        rc = sink_push(st, to, item);
    }
    Py_DECREF(it);
    if (rc == 0 && PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(PyExc_StopIteration)) {
            return -1;
        }
        PyErr_Clear();
    }
    return rc;
}

int
ps_rrb_from_object(ps_state *st, PyObject *source, ps_rrb *out)
{
    if (ps_is_vector(st, source)) {
        *out = ps_rrb_share(st, ps_vector_tree(source));
        return 0;
    }
    ps_rrb_builder b;
    ps_rrb_builder_init(&b);
    sink to = {.builder = &b};
    if (push_all(st, source, &to) < 0) {
        ps_rrb_builder_clear(&b);
        return -1;
    }
    return ps_rrb_builder_finish(st, &b, out);
}

int
ps_rrb_extend_own(ps_state *st, ps_rrb *t, PyObject *source)
{
    ps_rrb r;
    if (ps_is_vector(st, source)) {
        if (ps_rrb_concat(st, t, ps_vector_tree(source), &r) < 0) {
            return -1;
        }
        ps_rrb_become(st, t, r);
        return 0;
    }
    if (t->count == 0) {
        if (ps_rrb_from_object(st, source, &r) < 0) {
            return -1;
        }
        ps_rrb_become(st, t, r);
        return 0;
    }
    sink to = {.tree = t};
    return push_all(st, source, &to);
}

PyObject *
ps_rrb_to_list(ps_state *st, const ps_rrb *t, Py_ssize_t lo, Py_ssize_t hi)
{
    PyObject *list = PyList_New(hi - lo);
    if (list == NULL) {
        return NULL;
    }
    ps_rrb_iter it;
    ps_slot slot;
    int more;
    ps_rrb_iter_init(st, &it, t, lo, hi, false);
    for (Py_ssize_t i = 0; (more = ps_rrb_iter_next(st, &it, &slot)) > 0; i++) {
        PyObject *value = ps_slot_get(st, slot);
        if (value == NULL) {
            more = -1;
            break;
        }
        PyList_SET_ITEM(list, i, value);
    }
    ps_rrb_iter_clear(st, &it);
    if (more < 0) {
        Py_CLEAR(list);
    }
    return list;
}

/* ---- searching */

/* Calls for each element that equals value until `stop_at` of them were seen: how many were
 * (-1 with an exception), and *last, the index of the last. */
static Py_ssize_t
search(ps_state *st, const ps_rrb *t, PyObject *value, Py_ssize_t lo, Py_ssize_t hi,
       Py_ssize_t stop_at, Py_ssize_t *last)
{
    ps_rrb_iter it;
    ps_slot slot;
    Py_ssize_t found = 0;
    int more;
    ps_rrb_iter_init(st, &it, t, lo, hi, false);
    for (Py_ssize_t i = lo; (more = ps_rrb_iter_next(st, &it, &slot)) > 0; i++) {
        PyObject *o = ps_slot_get(st, slot);
        int equal = o == NULL ? -1 : ps_key_eq(o, value);
        Py_XDECREF(o);
        if (equal < 0) {
            more = -1;
            break;
        }
        if (equal) {
            *last = i;
            if (++found == stop_at) {
                break;
            }
        }
    }
    ps_rrb_iter_clear(st, &it);
    return more < 0 ? -1 : found;
}

Py_ssize_t
ps_rrb_index_of(ps_state *st, const ps_rrb *t, PyObject *value, Py_ssize_t lo, Py_ssize_t hi)
{
    Py_ssize_t at = -1;
    if (lo >= hi) {
        return -1;
    }
    Py_ssize_t found = search(st, t, value, lo, hi, 1, &at);
    return found < 0 ? -2 : found == 0 ? -1 : at;
}

Py_ssize_t
ps_rrb_count_of(ps_state *st, const ps_rrb *t, PyObject *value)
{
    Py_ssize_t at;
    return search(st, t, value, 0, t->count, PY_SSIZE_T_MAX, &at);
}

/* ---- comparing */

static PyObject *
compare_sizes(Py_ssize_t a, Py_ssize_t b, int op)
{
    Py_RETURN_RICHCOMPARE(a, b, op);
}

PyObject *
ps_rrb_compare(ps_state *st, const ps_rrb *a, const ps_rrb *b, int op)
{
    if ((op == Py_EQ || op == Py_NE) && a->count != b->count) {
        return PyBool_FromLong(op == Py_NE);
    }
    ps_rrb ta = ps_rrb_share(st, a), tb = ps_rrb_share(st, b);
    PyObject *x = NULL, *y = NULL, *result = NULL;
    if (Py_EnterRecursiveCall(" in comparison of vectors")) {
        goto done;
    }
    Py_ssize_t at = ps_rrb_mismatch(st, &ta, &tb);
    Py_LeaveRecursiveCall();
    if (at == -2) {
        goto done;
    }
    if (op == Py_EQ || op == Py_NE) {
        result = PyBool_FromLong((at == -1) == (op == Py_EQ));
    }
    else if (at == -1 || at == ta.count || at == tb.count) {
        result = compare_sizes(ta.count, tb.count, op);
    }
    else if ((x = ps_rrb_get(st, &ta, at)) != NULL && (y = ps_rrb_get(st, &tb, at)) != NULL) {
        result = PyObject_RichCompare(x, y, op);
    }
done:
    Py_XDECREF(x);
    Py_XDECREF(y);
    ps_rrb_drop(st, ta);
    ps_rrb_drop(st, tb);
    return result;
}

PyObject *
ps_rrb_compare_list(ps_state *st, const ps_rrb *a, PyObject *list, int op)
{
    if ((op == Py_EQ || op == Py_NE) && a->count != PyList_GET_SIZE(list)) {
        return PyBool_FromLong(op == Py_NE);
    }
    if (Py_EnterRecursiveCall(" in comparison of a vector and a list")) {
        return NULL;
    }
    ps_rrb_iter it;
    ps_slot slot;
    PyObject *x = NULL, *y = NULL, *result = NULL;
    Py_ssize_t count = a->count, i = 0;
    int more;
    ps_rrb_iter_init(st, &it, a, 0, count, false);
    /* Comparing may change the list. */
    while (i < PyList_GET_SIZE(list) && (more = ps_rrb_iter_next(st, &it, &slot)) != 0) {
        x = more < 0 ? NULL : ps_slot_get(st, slot);
        if (x == NULL || i >= PyList_GET_SIZE(list)) {
            break;
        }
        y = Py_NewRef(PyList_GET_ITEM(list, i));
        int equal = ps_object_eq(x, y);
        if (equal <= 0) {
            if (equal == 0) {
                result = op == Py_EQ   ? Py_NewRef(Py_False)
                         : op == Py_NE ? Py_NewRef(Py_True)
                                       : PyObject_RichCompare(x, y, op);
            }
            goto done;
        }
        Py_CLEAR(x);
        Py_CLEAR(y);
        i++;
    }
    if (!PyErr_Occurred()) {
        result = compare_sizes(count, PyList_GET_SIZE(list), op);
    }
done:
    Py_XDECREF(x);
    Py_XDECREF(y);
    ps_rrb_iter_clear(st, &it);
    Py_LeaveRecursiveCall();
    return result;
}

/* ---- hashing */

Py_hash_t
ps_rrb_hash(ps_state *st, const ps_rrb *t)
{
    /* As CPython's tuples: xxHash's scheme with one lane an element. */
    const Py_uhash_t p1 = 11400714785074694791UL, p2 = 14029467366897019727UL,
                     p5 = 2870177450012600261UL;
    Py_uhash_t acc = p5;
    ps_rrb_iter it;
    ps_slot slot;
    int more;
    if (Py_EnterRecursiveCall(" while hashing a vector")) {
        return -1;
    }
    ps_rrb_iter_init(st, &it, t, 0, t->count, false);
    while ((more = ps_rrb_iter_next(st, &it, &slot)) > 0) {
        PyObject *o = ps_slot_get(st, slot);
        Py_hash_t h = o == NULL ? -1 : PyObject_Hash(o);
        Py_XDECREF(o);
        if (h == -1) {
            more = -1;
            break;
        }
        acc += (Py_uhash_t)h * p2;
        acc = ((acc << 31) | (acc >> 33)) * p1;
    }
    ps_rrb_iter_clear(st, &it);
    Py_LeaveRecursiveCall();
    if (more < 0) {
        return -1;
    }
    acc += (Py_uhash_t)t->count ^ (p5 ^ 3527539UL);
    return acc == (Py_uhash_t)-1 ? 1546275796 : (Py_hash_t)acc;
}

/* ---- diff */

static int
add_edit(void *arg, Py_ssize_t a_lo, Py_ssize_t a_hi, Py_ssize_t b_lo, Py_ssize_t b_hi)
{
    PyObject *edit = Py_BuildValue("nnnn", a_lo, a_hi, b_lo, b_hi);
    int rc = edit == NULL ? -1 : PyList_Append(arg, edit);
    Py_XDECREF(edit);
    return rc;
}

/* _vector_edits(a, b) -> [(a_lo, a_hi, b_lo, b_hi), ...] */
PyObject *
ps_vector_edits(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    ps_state *st = ps_state_of_module(module);
    if (nargs != 2 || !ps_is_vector(st, args[0]) || !ps_is_vector(st, args[1])) {
        PyErr_SetString(PyExc_TypeError, "_vector_edits() takes two PVectors");
        return NULL;
    }
    PyObject *edits = PyList_New(0);
    if (edits != NULL &&
        ps_rrb_diff(st, ps_vector_tree(args[0]), ps_vector_tree(args[1]), add_edit, edits) < 0) {
        Py_CLEAR(edits);
    }
    return edits;
}
