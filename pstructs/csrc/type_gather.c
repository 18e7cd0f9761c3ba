/* type_gather.c -- trees from what users give: mappings, pairs, sets, iterables.
 *
 * Everything is collected into one array of owned references before a tree is
 * touched, so that user code (iterators, keys()) can neither change what is being
 * built nor see it. Own collections give up their root instead: O(1). Up to 16
 * entries are collected on the C stack: building a map of 10 takes about 140 ns,
 * and a malloc would be a third of that. */
#include "collection.h"
#include "scratch.h"

/* ---- collecting entries */

void
ps_gather_init(ps_gather *g)
{
    g->items = g->small;
    g->n = 0;
    g->cap = PS_GATHER_SMALL;
}

void
ps_gather_clear(ps_gather *g)
{
    while (g->n > 0) {
        Py_DECREF(g->items[--g->n]);
    }
    if (g->items != g->small) {
        ps_scratch_free(g->items, (size_t)g->cap * sizeof *g->items);
        g->items = g->small;
        g->cap = PS_GATHER_SMALL;
    }
}

/* Room for `more` objects beyond n. */
static int
gather_reserve(ps_gather *g, Py_ssize_t more)
{
    if (PS_LIKELY(g->n + more <= g->cap)) {
        return 0;
    }
    Py_ssize_t cap = g->cap + g->cap / 2;
    if (cap < g->n + more) {
        cap = g->n + more;
    }
    if (cap > PY_SSIZE_T_MAX / (Py_ssize_t)sizeof(PyObject *)) {
        PyErr_NoMemory();
        return -1;
    }
    PyObject **items = ps_scratch_new((size_t)cap * sizeof(PyObject *));
    if (items == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    memcpy(items, g->items, (size_t)g->n * sizeof(PyObject *));
    if (g->items != g->small) {
        ps_scratch_free(g->items, (size_t)g->cap * sizeof *g->items);
    }
    g->items = items;
    g->cap = cap;
    return 0;
}

int
ps_gather_push(ps_gather *g, PyObject *item)
{
    if (PS_UNLIKELY(gather_reserve(g, 1) < 0)) {
        Py_DECREF(item);
        return -1;
    }
    g->items[g->n++] = item;
    return 0;
}

static int
gather_dict(ps_gather *g, PyObject *dict)
{
    if (gather_reserve(g, 2 * PyDict_GET_SIZE(dict)) < 0) {
        return -1;
    }
    /* No user code runs in this loop, so the dict stays as it is. */
    Py_ssize_t pos = 0;
    PyObject *key, *value;
    PyObject **out = g->items + g->n;
    while (PyDict_Next(dict, &pos, &key, &value)) {
        *out++ = Py_NewRef(key);
        *out++ = Py_NewRef(value);
    }
    g->n = out - g->items;
    return 0;
}

static int
gather_sequence(ps_gather *g, PyObject *seq)
{
    Py_ssize_t n = PySequence_Fast_GET_SIZE(seq);
    if (gather_reserve(g, n) < 0) {
        return -1;
    }
    PyObject **from = PySequence_Fast_ITEMS(seq);
    for (Py_ssize_t i = 0; i < n; i++) {
        g->items[g->n++] = Py_NewRef(from[i]);
    }
    return 0;
}

/* Whatever an iterator gives. */
static int
gather_iterable(ps_gather *g, PyObject *source)
{
    PyObject *it = PyObject_GetIter(source);
    if (it == NULL) {
        return -1;
    }
    PyObject *item;
    while ((item = PyIter_Next(it)) != NULL) {
        if (ps_gather_push(g, item) < 0) {
            Py_DECREF(it);
            return -1;
        }
    }
    Py_DECREF(it);
    return PyErr_Occurred() ? -1 : 0;
}

/* Append both elements of the pair number `index`. Borrows pair. */
static int
gather_pair(ps_gather *g, PyObject *pair, Py_ssize_t index)
{
    if (PyTuple_CheckExact(pair) && PyTuple_GET_SIZE(pair) == 2) {
        if (gather_reserve(g, 2) < 0) {
            return -1;
        }
        g->items[g->n++] = Py_NewRef(PyTuple_GET_ITEM(pair, 0));
        g->items[g->n++] = Py_NewRef(PyTuple_GET_ITEM(pair, 1));
        return 0;
    }
    if (!ps_is_iterable(pair)) {
        PyErr_Format(PyExc_TypeError,
                     "element %zd of the pairs is a %.200s; give (key, value) pairs or a mapping",
                     index, Py_TYPE(pair)->tp_name);
        return -1;
    }
    PyObject *fast = PySequence_Fast(pair, "a pair must be iterable");
    if (fast == NULL) {
        return -1;
    }
    int rc = -1;
    Py_ssize_t n = PySequence_Fast_GET_SIZE(fast);
    if (n != 2) {
        PyErr_Format(PyExc_ValueError,
                     "element %zd of the pairs has length %zd; a (key, value) pair has 2", index,
                     n);
    }
    else {
        rc = gather_sequence(g, fast);
    }
    Py_DECREF(fast);
    return rc;
}

static int
gather_pairs(ps_gather *g, PyObject *source)
{
    PyObject *it = PyObject_GetIter(source);
    if (it == NULL) {
        return -1;
    }
    PyObject *pair;
    Py_ssize_t index = 0;
    while ((pair = PyIter_Next(it)) != NULL) {
        int rc = gather_pair(g, pair, index++);
        Py_DECREF(pair);
        if (rc < 0) {
            Py_DECREF(it);
            return -1;
        }
    }
    Py_DECREF(it);
    return PyErr_Occurred() ? -1 : 0;
}

/* A mapping of which only keys() and [] are known. */
static int
gather_by_keys(ps_state *st, ps_gather *g, PyObject *source)
{
    int rc = -1;
    PyObject *keys = PyObject_CallMethodNoArgs(source, st->str_keys);
    PyObject *it = keys ? PyObject_GetIter(keys) : NULL;
    if (it == NULL) {
        goto done;
    }
    PyObject *key;
    while ((key = PyIter_Next(it)) != NULL) {
        PyObject *value = PyObject_GetItem(source, key);
        if (value == NULL) {
            Py_DECREF(key);
            goto done;
        }
        if (ps_gather_push(g, key) < 0) {
            Py_DECREF(value);
            goto done;
        }
        if (ps_gather_push(g, value) < 0) {
            goto done;
        }
    }
    rc = PyErr_Occurred() ? -1 : 0;
done:
    Py_XDECREF(it);
    Py_XDECREF(keys);
    return rc;
}

/* 1 and a new reference in *attr, 0 without the attribute, -1. */
static int
optional_attr(PyObject *o, PyObject *name, PyObject **attr)
{
    *attr = PyObject_GetAttr(o, name);
    if (*attr != NULL) {
        return 1;
    }
    if (PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Clear();
        return 0;
    }
    return -1;
}

/* The entries of an own collection, decoded. */
static int
gather_tree(ps_state *st, ps_gather *g, ps_tree t, int width, bool keys_only)
{
    enum { MOST = 1 << 22 }; /* the count of a tree in a pack is a claim */
    ps_champ_iter it;
    const ps_slot *entry;
    Py_ssize_t n = t.count < MOST ? t.count : MOST;
    if (gather_reserve(g, n * (keys_only ? 1 : width)) < 0 ||
        ps_champ_iter_init(st, &it, t.root, width) < 0) {
        return -1;
    }
    int rc;
    while ((rc = ps_champ_iter_next(st, &it, &entry)) > 0) {
        PyObject *key = ps_slot_get(st, entry[0]);
        if (key == NULL || ps_gather_push(g, key) < 0) {
            rc = -1;
            break;
        }
        if (width == 2 && !keys_only) {
            PyObject *value = ps_slot_get(st, entry[1]);
            if (value == NULL || ps_gather_push(g, value) < 0) {
                rc = -1;
                break;
            }
        }
    }
    ps_champ_iter_clear(&it);
    return rc;
}

static int
gather_map(ps_state *st, ps_gather *g, PyObject *source)
{
    if (PyDict_CheckExact(source)) {
        return gather_dict(g, source);
    }
    if (ps_is_map(st, source)) {
        return gather_tree(st, g, ps_tree_of(source), 2, false);
    }
    if (PyList_CheckExact(source) || PyTuple_CheckExact(source)) {
        return gather_pairs(g, source);
    }
    PyObject *attr;
    int rc = optional_attr(source, st->str_keys, &attr);
    if (rc < 0) {
        return -1;
    }
    if (rc == 0) {
        if (!ps_is_iterable(source)) {
            PyErr_Format(
                PyExc_TypeError,
                "a map is made from a mapping or from (key, value) pairs, not from %.200s",
                Py_TYPE(source)->tp_name);
            return -1;
        }
        return gather_pairs(g, source);
    }
    Py_DECREF(attr);
    rc = optional_attr(source, st->str_items, &attr);
    if (rc < 0) {
        return -1;
    }
    if (rc == 0) {
        return gather_by_keys(st, g, source);
    }
    PyObject *items = PyObject_CallNoArgs(attr);
    Py_DECREF(attr);
    if (items == NULL) {
        return -1;
    }
    rc = gather_pairs(g, items);
    Py_DECREF(items);
    return rc;
}

static int
gather_set(ps_state *st, ps_gather *g, PyObject *source)
{
    if (PyList_CheckExact(source) || PyTuple_CheckExact(source)) {
        return gather_sequence(g, source);
    }
    if (ps_is_set(st, source)) {
        return gather_tree(st, g, ps_tree_of(source), 1, true);
    }
    if (Py_TYPE(source) == st->map) {
        return gather_tree(st, g, ps_tree_of(source), 2, true);
    }
    if (PyAnySet_CheckExact(source) && gather_reserve(g, PySet_GET_SIZE(source)) < 0) {
        return -1;
    }
    return gather_iterable(g, source);
}

int
ps_gather_from(ps_state *st, ps_gather *g, int width, PyObject *source)
{
    return width == 2 ? gather_map(st, g, source) : gather_set(st, g, source);
}

int
ps_gather_build(ps_state *st, ps_gather *g, int width, ps_tree *out)
{
    Py_ssize_t n = g->n / width;
    g->n = 0;
    return ps_champ_build(st, width, g->items, n, out);
}

int
ps_tree_of_keys(ps_state *st, ps_tree map, ps_tree *out)
{
    ps_gather g;
    ps_gather_init(&g);
    int rc = gather_tree(st, &g, map, 2, true);
    if (rc == 0) {
        rc = ps_gather_build(st, &g, 1, out);
    }
    ps_gather_clear(&g);
    return rc;
}

int
ps_tree_from_object(ps_state *st, int width, PyObject *source, ps_tree *out)
{
    if (width == 2 ? ps_is_map(st, source) : ps_is_set(st, source)) {
        *out = ps_tree_share(st, ps_tree_of(source));
        return 0;
    }
    if (width == 1 && Py_TYPE(source) == st->keys_view) {
        return ps_tree_of_keys(st, ((ps_view *)source)->map->tree, out);
    }
    ps_gather g;
    ps_gather_init(&g);
    int rc = ps_gather_from(st, &g, width, source);
    if (rc == 0) {
        rc = ps_gather_build(st, &g, width, out);
    }
    ps_gather_clear(&g);
    return rc;
}
