/* type_algebra.c -- set operators and comparisons of PSet, keys() and items().
 *
 * Three roads, the first that fits:
 *
 *   own trees on both sides     the trie algorithms, which skip what both share:
 *                               O(changes) for related collections
 *   items() with items()        through the diff of the two maps, likewise (- and ^)
 *   items() & anything          asks the view, which hashes no value
 *   anything else               operators build a tree from the other side in
 *                               bulk; comparisons ask `in`
 *
 * Two key views are combined as maps and the keys taken from the result, so they
 * share as their maps do. Results are PSets. */
#include "sorted.h"

#include "error.h"

typedef enum { OP_OR, OP_AND, OP_SUBTRACT, OP_XOR } set_op;

typedef int (*tree_op)(ps_state *st, ps_tree a, ps_tree b, int width, ps_tree *out);

static const tree_op tree_ops[] = {
    ps_champ_union,
    ps_champ_intersection,
    ps_champ_difference,
    ps_champ_symmetric_difference,
};

static bool
is_setlike(ps_state *st, PyObject *o)
{
    return ps_is_set(st, o) || ps_is_view(st, o);
}

static ps_tree
map_tree(PyObject *view)
{
    return ((ps_view *)view)->map->tree;
}

/* ---- items() with items() */

typedef struct {
    ps_gather *out;
    bool take_a; /* pairs that only a has */
    bool take_b;
} items_diff;

static int
gather_item(ps_state *st, ps_gather *g, ps_slot k, ps_slot v)
{
    PyObject *key = ps_slot_get(st, k), *value = NULL, *pair = NULL;
    int rc = -1;
    if (key == NULL || (value = ps_slot_get(st, v)) == NULL ||
        (pair = PyTuple_Pack(2, key, value)) == NULL) {
        goto done;
    }
    rc = ps_gather_push(g, pair);
done:
    Py_XDECREF(key);
    Py_XDECREF(value);
    return rc;
}

/* 1 when the values of a changed key are equal after all (1 == True). */
static int
values_equal(ps_state *st, ps_slot a, ps_slot b)
{
    if (a == 0 || b == 0) {
        return 0;
    }
    PyObject *x = ps_slot_get(st, a), *y = NULL;
    int rc = -1;
    if (x != NULL && (y = ps_slot_get(st, b)) != NULL) {
        rc = PyObject_RichCompareBool(x, y, Py_EQ);
    }
    Py_XDECREF(x);
    Py_XDECREF(y);
    return rc;
}

static int
visit_difference(ps_state *st, void *arg, ps_slot key, ps_slot a, ps_slot b)
{
    items_diff *d = arg;
    int same = values_equal(st, a, b);
    if (same != 0) {
        return same < 0 ? -1 : 0;
    }
    if (d->take_a && a && gather_item(st, d->out, key, a) < 0) {
        return -1;
    }
    return d->take_b && b ? gather_item(st, d->out, key, b) : 0;
}

/* Stops with 1 at the first pair that only a has. */
static int
visit_only_a(ps_state *st, void *arg, ps_slot key, ps_slot a, ps_slot b)
{
    if (a == 0) {
        return 0;
    }
    int same = values_equal(st, a, b);
    return same < 0 ? -1 : !same;
}

static PyObject *
items_minus_items(ps_state *st, PyObject *a, PyObject *b, bool symmetric)
{
    ps_gather g;
    ps_gather_init(&g);
    items_diff d = {&g, true, symmetric};
    ps_tree out;
    PyObject *result = NULL;
    if (ps_champ_diff(st, map_tree(a), map_tree(b), 2, visit_difference, &d) == 0 &&
        ps_gather_build(st, &g, 1, &out) == 0) {
        result = ps_collection_new(st, 1, out);
    }
    ps_gather_clear(&g);
    return result;
}

/* The elements of `from` that are in the items() view: the values in the view need no hash. */
static PyObject *
in_items(ps_state *st, PyObject *from, PyObject *items)
{
    ps_gather g;
    ps_tree out;
    PyObject *result = NULL, *item = NULL, *it = PyObject_GetIter(from);
    if (it == NULL) {
        return NULL;
    }
    ps_gather_init(&g);
    while ((item = PyIter_Next(it)) != NULL) {
        int in = PySequence_Contains(items, item);
        if (in <= 0) {
            Py_DECREF(item);
        }
        if (in < 0 || (in > 0 && ps_gather_push(&g, item) < 0)) {
            goto done;
        }
    }
    if (!PyErr_Occurred() && ps_gather_build(st, &g, 1, &out) == 0) {
        result = ps_collection_new(st, 1, out);
    }
done:
    ps_gather_clear(&g);
    Py_DECREF(it);
    return result;
}

/* ---- operators */

/* A new PSet that owns out.root; self instead when nothing changed. */
static PyObject *
wrap_result(ps_state *st, PyObject *self, ps_tree out)
{
    if (Py_TYPE(self) == st->set && ps_tree_of(self).root == out.root) {
        ps_tree_drop(st, out);
        return Py_NewRef(self);
    }
    return ps_collection_new(st, 1, out);
}

static PyObject *
combine(ps_state *st, PyObject *a, PyObject *b, set_op op)
{
    ps_tree ta = {0, 0}, tb = {0, 0}, out = {0, 0};
    if (Py_TYPE(a) == st->items_view && Py_TYPE(b) == st->items_view &&
        (op == OP_SUBTRACT || op == OP_XOR)) {
        return items_minus_items(st, a, b, op == OP_XOR);
    }
    if (op == OP_AND && Py_TYPE(b) == st->items_view) {
        return in_items(st, a, b);
    }
    if (op == OP_AND && Py_TYPE(a) == st->items_view) {
        return in_items(st, b, a);
    }
    if (Py_TYPE(a) == st->keys_view && Py_TYPE(b) == st->keys_view) {
        if (tree_ops[op](st, map_tree(a), map_tree(b), 2, &out) < 0) {
            return NULL;
        }
        int rc = ps_tree_of_keys(st, out, &ta);
        ps_tree_drop(st, out);
        return rc < 0 ? NULL : ps_collection_new(st, 1, ta);
    }
    if (ps_tree_from_object(st, 1, a, &ta) < 0) {
        return NULL;
    }
    PyObject *result = NULL;
    if (ps_tree_from_object(st, 1, b, &tb) == 0) {
        if (tree_ops[op](st, ta, tb, 1, &out) == 0) {
            result = wrap_result(st, a, out);
        }
        ps_tree_drop(st, tb);
    }
    ps_tree_drop(st, ta);
    return result;
}

/* An nb slot gets our object on either side. On the left it takes any iterable, as
 * the Set ABC does; on the right only when the left is a Set. */
static PyObject *
binary(PyObject *a, PyObject *b, set_op op)
{
    ps_state *st = ps_state_of_operand(a);
    if (st != NULL && is_setlike(st, a)) {
        return ps_is_iterable(b) ? combine(st, a, b, op) : Py_NewRef(Py_NotImplemented);
    }
    st = ps_state_of_operand(b);
    int rc = ps_is_any_set(st, a);
    if (rc <= 0) {
        return rc < 0 ? NULL : Py_NewRef(Py_NotImplemented);
    }
    return combine(st, a, b, op);
}

PyObject *
ps_setlike_or(PyObject *a, PyObject *b)
{
    return binary(a, b, OP_OR);
}

PyObject *
ps_setlike_and(PyObject *a, PyObject *b)
{
    return binary(a, b, OP_AND);
}

PyObject *
ps_setlike_subtract(PyObject *a, PyObject *b)
{
    return binary(a, b, OP_SUBTRACT);
}

PyObject *
ps_setlike_xor(PyObject *a, PyObject *b)
{
    return binary(a, b, OP_XOR);
}

/* ---- comparison */

/* Whether every element of a is in b. */
static int
all_in(PyObject *a, PyObject *b)
{
    PyObject *it = PyObject_GetIter(a);
    if (it == NULL) {
        return -1;
    }
    PyObject *item;
    int rc = 1;
    while (rc > 0 && (item = PyIter_Next(it)) != NULL) {
        rc = PySequence_Contains(b, item);
        Py_DECREF(item);
    }
    Py_DECREF(it);
    return rc > 0 && PyErr_Occurred() ? -1 : rc;
}

/* Both sides have trees of one width whose elements mean the same. */
static bool
trees_of_both(ps_state *st, PyObject *a, PyObject *b, ps_tree *ta, ps_tree *tb, int *width)
{
    if (ps_is_set(st, a) && ps_is_set(st, b)) {
        *ta = ps_tree_of(a);
        *tb = ps_tree_of(b);
        *width = 1;
        return true;
    }
    if (Py_TYPE(a) == Py_TYPE(b) && ps_is_view(st, a)) {
        *ta = map_tree(a);
        *tb = map_tree(b);
        *width = 2;
        return true;
    }
    return false;
}

/* a <= b; 1, 0, -1. */
static int
is_subset(ps_state *st, PyObject *a, PyObject *b)
{
    ps_tree ta, tb;
    int width;
    if (!trees_of_both(st, a, b, &ta, &tb, &width)) {
        return all_in(a, b);
    }
    if (Py_TYPE(a) == st->items_view) {
        int rc = ps_champ_diff(st, ta, tb, 2, visit_only_a, NULL);
        return rc < 0 ? -1 : !rc;
    }
    return ps_champ_is_subset(st, ta, tb, width);
}

static int
is_equal(ps_state *st, PyObject *a, PyObject *b)
{
    ps_tree ta, tb;
    int width;
    if (!trees_of_both(st, a, b, &ta, &tb, &width)) {
        return all_in(a, b);
    }
    if (Py_TYPE(a) == st->keys_view) { /* equal sizes: a subset is equal */
        return ps_champ_is_subset(st, ta, tb, 2);
    }
    return ps_champ_equal(st, ta, tb, width);
}

PyObject *
ps_setlike_richcompare(PyObject *a, PyObject *b, int op)
{
    ps_state *st = ps_state_of_operand(a);
    if (a == b) {
        return PyBool_FromLong(op == Py_EQ || op == Py_LE || op == Py_GE);
    }
    if (ps_is_sorted(st, b) || Py_TYPE(b) == st->sorted_keys_view ||
        Py_TYPE(b) == st->sorted_items_view) {
        Py_RETURN_NOTIMPLEMENTED; /* it knows how: its `in` goes by order, not by == */
    }
    int rc = ps_is_any_set(st, b);
    if (rc <= 0) {
        return rc < 0 ? NULL : Py_NewRef(Py_NotImplemented);
    }
    Py_ssize_t n = PyObject_Size(a), m = PyObject_Size(b);
    if (n < 0 || m < 0) {
        return NULL;
    }
    switch (op) {
    case Py_EQ:
    case Py_NE:
        if (n == m && ps_is_set(st, a) && ps_is_set(st, b) && ((ps_collection *)a)->hash != -1 &&
            ((ps_collection *)b)->hash != -1 &&
            ((ps_collection *)a)->hash != ((ps_collection *)b)->hash) {
            rc = 0;
        }
        else {
            rc = n == m ? is_equal(st, a, b) : 0;
        }
        if (op == Py_NE && rc >= 0) {
            rc = !rc;
        }
        break;
    case Py_LE:
        rc = n <= m ? is_subset(st, a, b) : 0;
        break;
    case Py_LT:
        rc = n < m ? is_subset(st, a, b) : 0;
        break;
    case Py_GE:
        rc = n >= m ? is_subset(st, b, a) : 0;
        break;
    default:
        rc = n > m ? is_subset(st, b, a) : 0;
        break;
    }
    return rc < 0 ? NULL : PyBool_FromLong(rc);
}

PyObject *
ps_setlike_isdisjoint(PyObject *self, PyObject *other)
{
    ps_state *st = ps_state_of_operand(self);
    ps_tree ta, tb;
    int width, rc;
    if (Py_TYPE(self) != st->items_view && trees_of_both(st, self, other, &ta, &tb, &width)) {
        rc = ps_champ_is_disjoint(st, ta, tb, width);
        return rc < 0 ? NULL : PyBool_FromLong(rc);
    }
    PyObject *it = PyObject_GetIter(other), *item;
    if (it == NULL) {
        return NULL;
    }
    rc = 0;
    while (rc == 0 && (item = PyIter_Next(it)) != NULL) {
        rc = PySequence_Contains(self, item);
        Py_DECREF(item);
    }
    Py_DECREF(it);
    return rc < 0 || PyErr_Occurred() ? NULL : PyBool_FromLong(!rc);
}

/* ---- named methods */

static PyObject *
combine_all(PyObject *self, PyObject *const *others, Py_ssize_t n, set_op op)
{
    ps_state *st = ps_state_of_operand(self);
    PyObject *result = Py_NewRef(self);
    for (Py_ssize_t i = 0; i < n && result != NULL; i++) {
        Py_SETREF(result, combine(st, result, others[i], op));
    }
    return result;
}

PyObject *
ps_setlike_union(PyObject *self, PyObject *const *others, Py_ssize_t n)
{
    return combine_all(self, others, n, OP_OR);
}

PyObject *
ps_setlike_intersection(PyObject *self, PyObject *const *others, Py_ssize_t n)
{
    return combine_all(self, others, n, OP_AND);
}

PyObject *
ps_setlike_difference(PyObject *self, PyObject *const *others, Py_ssize_t n)
{
    return combine_all(self, others, n, OP_SUBTRACT);
}

PyObject *
ps_setlike_symmetric_difference(PyObject *self, PyObject *other)
{
    return combine_all(self, &other, 1, OP_XOR);
}

/* Any iterable as something with a length and `in`; new reference. */
static PyObject *
as_set(ps_state *st, PyObject *other)
{
    int rc = ps_is_any_set(st, other);
    if (rc != 0) {
        return rc < 0 ? NULL : Py_NewRef(other);
    }
    ps_tree t;
    return ps_tree_from_object(st, 1, other, &t) < 0 ? NULL : ps_collection_new(st, 1, t);
}

static PyObject *
compare_with_iterable(PyObject *self, PyObject *other, int op)
{
    PyObject *set = as_set(ps_state_of_operand(self), other);
    if (set == NULL) {
        return NULL;
    }
    PyObject *result = ps_setlike_richcompare(self, set, op);
    Py_DECREF(set);
    return result;
}

PyObject *
ps_setlike_issubset(PyObject *self, PyObject *other)
{
    return compare_with_iterable(self, other, Py_LE);
}

PyObject *
ps_setlike_issuperset(PyObject *self, PyObject *other)
{
    return compare_with_iterable(self, other, Py_GE);
}
