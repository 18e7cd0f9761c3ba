/* type_sorted_range.c -- the methods that a hash map can't have: positions,
 * neighbours, ranges and ends, of maps and sets alike.
 *
 * Every one of them turns keys into positions with one or two searches and then works on
 * positions. The names are those of sortedcontainers and bisect, and of Java's NavigableMap
 * for the neighbours. */
#include "sorted.h"

PyObject *
ps_sorted_entry(ps_state *st, ps_btree t, Py_ssize_t i)
{
    PyObject *key = NULL, *value = NULL, *pair;
    bool map = t.shape & PS_BT_MAP;
    if (ps_bt_nth(st, t, i, &key, map ? &value : NULL) < 0) {
        return NULL;
    }
    if (!map) {
        return key;
    }
    pair = PyTuple_New(2);
    if (pair == NULL) {
        Py_DECREF(key);
        Py_DECREF(value);
        return NULL;
    }
    PyTuple_SET_ITEM(pair, 0, key);
    PyTuple_SET_ITEM(pair, 1, value);
    return pair;
}

/* Number of entries before key, or not after it; -1 with an exception. */
static Py_ssize_t
rank(ps_state *st, PyObject *self, PyObject *key, bool after)
{
    PyObject *order = ps_sorted_order(((ps_sorted *)self)->key, key);
    if (order == NULL) {
        return -1;
    }
    Py_ssize_t at = ps_bt_rank(st, ps_sorted_tree(self), order, after);
    Py_DECREF(order);
    return at;
}

PyObject *
ps_sorted_bisect_left(PyObject *self, PyObject *key)
{
    Py_ssize_t at = rank(ps_sorted_state(self), self, key, false);
    return at < 0 ? NULL : PyLong_FromSsize_t(at);
}

PyObject *
ps_sorted_bisect_right(PyObject *self, PyObject *key)
{
    Py_ssize_t at = rank(ps_sorted_state(self), self, key, true);
    return at < 0 ? NULL : PyLong_FromSsize_t(at);
}

PyObject *
ps_sorted_index(PyObject *self, PyObject *key)
{
    ps_state *st = ps_sorted_state(self);
    Py_ssize_t at = rank(st, self, key, false);
    Py_ssize_t behind = at < 0 ? -1 : rank(st, self, key, true);
    if (behind < 0) {
        return NULL;
    }
    if (at == behind) {
        PyErr_Format(PyExc_ValueError, "%R is not in this %.100s", key, Py_TYPE(self)->tp_name);
        return NULL;
    }
    return PyLong_FromSsize_t(at);
}

PyObject *
ps_sorted_nth(PyObject *self, PyObject *number)
{
    ps_btree t = ps_sorted_tree(self);
    Py_ssize_t i = PyNumber_AsSsize_t(number, PyExc_IndexError);
    if (i == -1 && PyErr_Occurred()) {
        return NULL;
    }
    i += i < 0 ? t.count : 0;
    if (i < 0 || i >= t.count) {
        PyErr_Format(PyExc_IndexError, "there is no entry number %R among %zd", number, t.count);
        return NULL;
    }
    return ps_sorted_entry(ps_sorted_state(self), t, i);
}

/* ---- ends and neighbours */

/* Entry i, or what to do without it: default, or KeyError of key (NULL: none at all). */
static PyObject *
entry_or(PyObject *self, Py_ssize_t i, PyObject *key, PyObject *otherwise)
{
    ps_btree t = ps_sorted_tree(self);
    if (i >= 0 && i < t.count) {
        return ps_sorted_entry(ps_sorted_state(self), t, i);
    }
    if (otherwise != NULL) {
        return Py_NewRef(otherwise);
    }
    if (key != NULL) {
        return ps_key_error(key);
    }
    PyErr_Format(PyExc_KeyError, "this %.100s is empty", Py_TYPE(self)->tp_name);
    return NULL;
}

static PyObject *
end(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, const char *name)
{
    static const char *const names[] = {"default"};
    PyObject *a[1];
    if (ps_parse_args(name, args, nargs, kwnames, names, 0, 1, a) < 0) {
        return NULL;
    }
    return entry_or(self, name[0] == 'f' ? 0 : ps_sorted_tree(self).count - 1, NULL, a[0]);
}

PyObject *
ps_sorted_first(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    return end(self, args, nargs, kwnames, "first");
}

PyObject *
ps_sorted_last(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    return end(self, args, nargs, kwnames, "last");
}

/* The entry `shift` from the number of entries before key, or not after it. */
static PyObject *
neighbour(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
          const char *name, bool after, int shift)
{
    static const char *const names[] = {"key", "default"};
    PyObject *a[2];
    if (ps_parse_args(name, args, nargs, kwnames, names, 1, 2, a) < 0) {
        return NULL;
    }
    Py_ssize_t at = rank(ps_sorted_state(self), self, a[0], after);
    return at < 0 ? NULL : entry_or(self, at + shift, a[0], a[1]);
}

PyObject *
ps_sorted_floor(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    return neighbour(self, args, nargs, kwnames, "floor", true, -1);
}

PyObject *
ps_sorted_ceiling(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    return neighbour(self, args, nargs, kwnames, "ceiling", false, 0);
}

PyObject *
ps_sorted_lower(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    return neighbour(self, args, nargs, kwnames, "lower", false, -1);
}

PyObject *
ps_sorted_higher(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    return neighbour(self, args, nargs, kwnames, "higher", true, 0);
}

/* ---- parts */

static PyObject *
part(ps_state *st, PyObject *self, Py_ssize_t lo, Py_ssize_t hi)
{
    ps_btree out;
    if (ps_bt_slice(st, ps_sorted_tree(self), lo, hi, &out) < 0) {
        return NULL;
    }
    return ps_sorted_like(st, self, out);
}

/* (entry i, everything else) */
static PyObject *
pop(PyObject *self, bool first)
{
    Py_ssize_t n = ps_sorted_tree(self).count;
    PyObject *entry = entry_or(self, first ? 0 : n - 1, NULL, NULL);
    if (entry == NULL) {
        return NULL;
    }
    PyObject *rest = part(ps_sorted_state(self), self, first ? 1 : 0, first ? n : n - 1);
    PyObject *result = rest == NULL ? NULL : PyTuple_Pack(2, entry, rest);
    Py_DECREF(entry);
    Py_XDECREF(rest);
    return result;
}

PyObject *
ps_sorted_pop_first(PyObject *self, PyObject *Py_UNUSED(unused))
{
    return pop(self, true);
}

PyObject *
ps_sorted_pop_last(PyObject *self, PyObject *Py_UNUSED(unused))
{
    return pop(self, false);
}

PyObject *
ps_sorted_slice(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"start", "stop"};
    PyObject *a[2];
    Py_ssize_t n = ps_sorted_tree(self).count, bounds[2] = {0, n};
    if (ps_parse_args("slice", args, nargs, kwnames, names, 0, 2, a) < 0) {
        return NULL;
    }
    for (int i = 0; i < 2; i++) {
        if (a[i] != NULL && a[i] != Py_None) {
            bounds[i] = PyNumber_AsSsize_t(a[i], NULL);
            if (bounds[i] == -1 && PyErr_Occurred()) {
                return NULL;
            }
            bounds[i] += bounds[i] < 0 ? n : 0;
            bounds[i] = bounds[i] < 0 ? 0 : bounds[i] > n ? n : bounds[i];
        }
    }
    return part(ps_sorted_state(self), self, bounds[0], bounds[1]);
}

/* Positions of a range of keys; minimum, maximum and inclusive may be NULL. 0, -1. */
static int
positions(ps_state *st, PyObject *self, PyObject *const *a, Py_ssize_t *lo, Py_ssize_t *hi)
{
    int inclusive[2] = {1, 1};
    if (a[2] != NULL) {
        PyObject *pair = PySequence_Fast(a[2], "inclusive must be a pair of bools");
        if (pair == NULL) {
            return -1;
        }
        int rc = PySequence_Fast_GET_SIZE(pair) == 2 ? 0 : -1;
        if (rc < 0) {
            PyErr_SetString(PyExc_ValueError, "inclusive must be a pair of bools");
        }
        for (int i = 0; i < 2 && rc == 0; i++) {
            inclusive[i] = PyObject_IsTrue(PySequence_Fast_GET_ITEM(pair, i));
            rc = inclusive[i] < 0 ? -1 : 0;
        }
        Py_DECREF(pair);
        if (rc < 0) {
            return -1;
        }
    }
    *lo = 0;
    *hi = ps_sorted_tree(self).count;
    if (a[0] != NULL && a[0] != Py_None && (*lo = rank(st, self, a[0], !inclusive[0])) < 0) {
        return -1;
    }
    if (a[1] != NULL && a[1] != Py_None && (*hi = rank(st, self, a[1], inclusive[1])) < 0) {
        return -1;
    }
    return 0;
}

PyObject *
ps_sorted_between(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"minimum", "maximum", "inclusive"};
    PyObject *a[3];
    Py_ssize_t lo, hi;
    ps_state *st = ps_sorted_state(self);
    if (ps_parse_args("between", args, nargs, kwnames, names, 0, 3, a) < 0 ||
        positions(st, self, a, &lo, &hi) < 0) {
        return NULL;
    }
    return part(st, self, lo, hi);
}

PyObject *
ps_sorted_irange(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"minimum", "maximum", "inclusive", "reverse"};
    PyObject *a[4];
    Py_ssize_t lo, hi;
    ps_state *st = ps_sorted_state(self);
    if (ps_parse_args("irange", args, nargs, kwnames, names, 0, 4, a) < 0 ||
        positions(st, self, a, &lo, &hi) < 0) {
        return NULL;
    }
    int reverse = a[3] == NULL ? 0 : PyObject_IsTrue(a[3]);
    if (reverse < 0) {
        return NULL;
    }
    return ps_sorted_iterator_new(st, ps_sorted_tree(self), PS_KEYS, lo, hi, reverse);
}

PyObject *
ps_sorted_split(PyObject *self, PyObject *key)
{
    ps_state *st = ps_sorted_state(self);
    Py_ssize_t at = rank(st, self, key, false);
    PyObject *below = at < 0 ? NULL : part(st, self, 0, at);
    PyObject *rest = below == NULL ? NULL : part(st, self, at, ps_sorted_tree(self).count);
    PyObject *result = rest == NULL ? NULL : PyTuple_Pack(2, below, rest);
    Py_XDECREF(below);
    Py_XDECREF(rest);
    return result;
}
