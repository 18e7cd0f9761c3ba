/* type_sorted_set.c -- PSortedSet, the persistent set in order, which is also
 * read by position, like a list.
 *
 * Operators: two sets with one key function are walked in step, and share and skip
 * subtrees; any other operand is sorted first. Comparisons with a set of another kind ask
 * that set's `in`, so elements that can't be ordered beside ours are unequal, and no error. */
#include "sorted.h"

typedef enum { OP_OR, OP_AND, OP_SUBTRACT, OP_XOR } set_op;

typedef int (*tree_op)(ps_state *st, ps_btree a, ps_btree b, ps_btree *out);

static const tree_op tree_ops[] = {
    ps_bt_union,
    ps_bt_intersection,
    ps_bt_difference,
    ps_bt_symmetric_difference,
};

static Py_ssize_t
set_len(PyObject *self)
{
    return ps_sorted_tree(self).count;
}

static int
set_contains(PyObject *self, PyObject *element)
{
    ps_sorted *s = (ps_sorted *)self;
    if (PS_LIKELY(s->key == NULL)) {
        ps_bt_probe p;
        ps_node *leaf;
        ps_bt_probe_init(&p, element);
        int at = ps_bt_quick(s->tree.root, &p, &leaf);
        if (PS_LIKELY(at != PS_BT_UNSURE)) {
            return at != PS_BT_MISSING;
        }
        return ps_bt_find(ps_sorted_state(self), s->tree, element, NULL, NULL);
    }
    PyObject *order = ps_sorted_order(s->key, element);
    if (order == NULL) {
        return -1;
    }
    int found = ps_bt_find(ps_sorted_state(self), s->tree, order, NULL, NULL);
    Py_DECREF(order);
    return found;
}

/* s[i], s[i:j:k] */
static PyObject *
set_subscript(PyObject *self, PyObject *index)
{
    if (!PySlice_Check(index)) {
        return ps_sorted_nth(self, index);
    }
    ps_state *st = ps_sorted_state(self);
    ps_btree t = ps_sorted_tree(self), out;
    Py_ssize_t start, stop, step;
    if (PySlice_Unpack(index, &start, &stop, &step) < 0) {
        return NULL;
    }
    Py_ssize_t n = PySlice_AdjustIndices(t.count, &start, &stop, step);
    if (step == 1) {
        return ps_bt_slice(st, t, start, start + n, &out) < 0 ? NULL
                                                              : ps_sorted_like(st, self, out);
    }
    /* A set has one order: steps pick elements, and their direction does not matter. */
    ps_bt_builder b;
    ps_bt_builder_init(st, &b, t.shape);
    for (Py_ssize_t i = 0; i < n; i++) {
        Py_ssize_t at = step > 0 ? start + i * step : start + (n - 1 - i) * step;
        if (ps_bt_builder_range(&b, t, at, at + 1) < 0) {
            ps_bt_builder_clear(&b);
            return NULL;
        }
    }
    return ps_bt_builder_end(&b, &out) < 0 ? NULL : ps_sorted_like(st, self, out);
}

static PyObject *
set_iter(PyObject *self)
{
    ps_btree t = ps_sorted_tree(self);
    return ps_sorted_iterator_new(ps_sorted_state(self), t, PS_KEYS, 0, t.count, false);
}

static PyObject *
set_reversed(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    ps_btree t = ps_sorted_tree(self);
    return ps_sorted_iterator_new(ps_sorted_state(self), t, PS_KEYS, 0, t.count, true);
}

/* ---- updates */

static PyObject *
set_add(PyObject *self, PyObject *element)
{
    ps_state *st = ps_sorted_state(self);
    PyObject *order = NULL;
    if (ps_sorted_check_key(element) < 0 ||
        (order = ps_sorted_order(((ps_sorted *)self)->key, element)) == NULL) {
        return NULL;
    }
    ps_btree t = ps_bt_share(st, ps_sorted_tree(self));
    ps_slot garbage[2];
    ps_bt_change change = ps_bt_set(st, &t, order, element, NULL, false, garbage);
    ps_slot_xdecref(st, garbage[0]);
    ps_slot_xdecref(st, garbage[1]);
    Py_DECREF(order);
    if (change == PS_BT_FAILED) {
        ps_bt_drop(st, t);
        return NULL;
    }
    return ps_sorted_like(st, self, t);
}

/* Shared by remove and discard: new reference, or NULL and *missing. */
static PyObject *
set_take(PyObject *self, PyObject *element, bool *missing)
{
    ps_state *st = ps_sorted_state(self);
    *missing = false;
    PyObject *order = ps_sorted_order(((ps_sorted *)self)->key, element);
    if (order == NULL) {
        return NULL;
    }
    ps_btree t = ps_bt_share(st, ps_sorted_tree(self));
    ps_slot garbage[2];
    ps_bt_change change = ps_bt_remove(st, &t, order, false, garbage);
    ps_slot_xdecref(st, garbage[0]);
    ps_slot_xdecref(st, garbage[1]);
    Py_DECREF(order);
    if (change <= PS_BT_UNCHANGED) {
        ps_bt_drop(st, t);
        *missing = change == PS_BT_UNCHANGED;
        return NULL;
    }
    return ps_sorted_like(st, self, t);
}

static PyObject *
set_remove(PyObject *self, PyObject *element)
{
    bool missing;
    PyObject *result = set_take(self, element, &missing);
    return missing ? ps_key_error(element) : result;
}

static PyObject *
set_discard(PyObject *self, PyObject *element)
{
    bool missing;
    PyObject *result = set_take(self, element, &missing);
    return missing ? Py_NewRef(self) : result;
}

static PyObject *
set_evolver(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return ps_sorted_evolver_new(ps_sorted_state(self), self);
}

/* ---- operators */

/* a op b; one of them is a PSortedSet, whose order both take (a's, if both are). */
static PyObject *
combine(ps_state *st, PyObject *a, PyObject *b, set_op op)
{
    PyObject *like = ps_is_sorted_set(st, a) ? a : b, *key = ((ps_sorted *)like)->key;
    int shape = ps_sorted_tree(like).shape;
    ps_btree ta, tb, out;
    if (ps_sorted_tree_from(st, shape, key, a, &ta) < 0) {
        return NULL;
    }
    PyObject *result = NULL;
    if (ps_sorted_tree_from(st, shape, key, b, &tb) == 0) {
        if (tree_ops[op](st, ta, tb, &out) == 0) {
            result = ps_sorted_like(st, like, out);
        }
        ps_bt_drop(st, tb);
    }
    ps_bt_drop(st, ta);
    return result;
}

/* 1, 0, -1. */
static int
is_set(ps_state *st, PyObject *o)
{
    return ps_is_sorted_set(st, o) ? 1 : ps_is_any_set(st, o);
}

/* An nb slot gets our object on either side. On the left it takes any iterable, as the
 * Set ABC does; on the right only when the left is a Set. */
static PyObject *
binary(PyObject *a, PyObject *b, set_op op)
{
    ps_state *st = ps_sorted_state_of(a);
    if (st != NULL && ps_is_sorted_set(st, a)) {
        return ps_is_iterable(b) ? combine(st, a, b, op) : Py_NewRef(Py_NotImplemented);
    }
    st = ps_sorted_state_of(b);
    int rc = is_set(st, a);
    if (rc <= 0) {
        return rc < 0 ? NULL : Py_NewRef(Py_NotImplemented);
    }
    return combine(st, a, b, op);
}

static PyObject *
set_or(PyObject *a, PyObject *b)
{
    return binary(a, b, OP_OR);
}

static PyObject *
set_and(PyObject *a, PyObject *b)
{
    return binary(a, b, OP_AND);
}

static PyObject *
set_subtract(PyObject *a, PyObject *b)
{
    return binary(a, b, OP_SUBTRACT);
}

static PyObject *
set_xor(PyObject *a, PyObject *b)
{
    return binary(a, b, OP_XOR);
}

static PyObject *
combine_all(PyObject *self, PyObject *const *others, Py_ssize_t n, set_op op)
{
    ps_state *st = ps_sorted_state(self);
    PyObject *result = Py_NewRef(self);
    for (Py_ssize_t i = 0; i < n && result != NULL; i++) {
        Py_SETREF(result, combine(st, result, others[i], op));
    }
    return result;
}

static PyObject *
set_union(PyObject *self, PyObject *const *others, Py_ssize_t n)
{
    ps_state *st = ps_sorted_state(self);
    ps_btree t = ps_bt_share(st, ps_sorted_tree(self));
    for (Py_ssize_t i = 0; i < n; i++) {
        if (ps_sorted_update_tree(st, &t, ((ps_sorted *)self)->key, others[i], NULL) < 0) {
            ps_bt_drop(st, t);
            return NULL;
        }
    }
    if (t.root == ps_sorted_tree(self).root) {
        ps_bt_drop(st, t);
        return Py_NewRef(self);
    }
    return ps_sorted_like(st, self, t);
}

static PyObject *
set_intersection(PyObject *self, PyObject *const *others, Py_ssize_t n)
{
    return combine_all(self, others, n, OP_AND);
}

static PyObject *
set_difference(PyObject *self, PyObject *const *others, Py_ssize_t n)
{
    return combine_all(self, others, n, OP_SUBTRACT);
}

static PyObject *
set_symmetric_difference(PyObject *self, PyObject *other)
{
    return combine_all(self, &other, 1, OP_XOR);
}

/* ---- comparison */

/* Number of elements of a that are in b, counted until `enough` are not; -1. */
static Py_ssize_t
count_in(PyObject *a, PyObject *b, Py_ssize_t enough)
{
    PyObject *it = set_iter(a), *item;
    Py_ssize_t n = 0, not = 0;
    if (it == NULL) {
        return -1;
    }
    while (not < enough && (item = PyIter_Next(it)) != NULL) {
        int in = PySequence_Contains(b, item);
        Py_DECREF(item);
        if (in < 0) {
            n = -1;
            break;
        }
        n += in;
        not += !in;
    }
    Py_DECREF(it);
    return PyErr_Occurred() ? -1 : n;
}

/* Relations of a with b, which is a set, but not one in a's order. */
static int
compare_foreign(PyObject *a, PyObject *b, int op, Py_ssize_t n, Py_ssize_t m)
{
    bool wants_all = op == Py_EQ || op == Py_NE || op == Py_LE || op == Py_LT;
    if (wants_all ? n > m || ((op == Py_EQ || op == Py_NE) && n != m) || (op == Py_LT && n == m)
                  : n < m || (op == Py_GT && n == m)) {
        return op == Py_NE;
    }
    Py_ssize_t common = count_in(a, b, wants_all ? 1 : n - m + 1);
    if (common < 0) {
        return -1;
    }
    int holds = common == (wants_all ? n : m);
    return op == Py_NE ? !holds : holds;
}

static int
compare_sorted(ps_state *st, ps_sorted *a, ps_sorted *b, int op)
{
    Py_ssize_t n = a->tree.count, m = b->tree.count;
    int rc;
    switch (op) {
    case Py_EQ:
    case Py_NE:
        rc = n != m || (a->hash != -1 && b->hash != -1 && a->hash != b->hash)
                 ? 0
                 : ps_bt_equal(st, a->tree, b->tree);
        return rc < 0 || op == Py_EQ ? rc : !rc;
    case Py_LE:
    case Py_LT:
        return n > m || (op == Py_LT && n == m) ? 0 : ps_bt_is_subset(st, a->tree, b->tree);
    default:
        return n < m || (op == Py_GT && n == m) ? 0 : ps_bt_is_subset(st, b->tree, a->tree);
    }
}

static PyObject *
set_richcompare(PyObject *self, PyObject *other, int op)
{
    if (self == other) {
        return PyBool_FromLong(op == Py_EQ || op == Py_LE || op == Py_GE);
    }
    ps_state *st = ps_sorted_state(self);
    int rc = is_set(st, other);
    if (rc <= 0) {
        return rc < 0 ? NULL : Py_NewRef(Py_NotImplemented);
    }
    if (ps_is_sorted_set(st, other) && ((ps_sorted *)self)->key == ((ps_sorted *)other)->key) {
        rc = compare_sorted(st, (ps_sorted *)self, (ps_sorted *)other, op);
        return rc < 0 ? NULL : PyBool_FromLong(rc);
    }
    /* A sorted set's `in` goes by its order: ask by hash instead. */
    PyObject *b = ps_is_sorted_set(st, other) ? PyFrozenSet_New(other) : Py_NewRef(other);
    Py_ssize_t m = b == NULL ? -1 : PyObject_Size(b);
    rc = m < 0 ? -1 : compare_foreign(self, b, op, set_len(self), m);
    Py_XDECREF(b);
    return rc < 0 ? NULL : PyBool_FromLong(rc);
}

static PyObject *
compare_with_iterable(PyObject *self, PyObject *other, int op)
{
    ps_state *st = ps_sorted_state(self);
    int rc = is_set(st, other);
    if (rc < 0) {
        return NULL;
    }
    PyObject *set = rc ? Py_NewRef(other) : PyFrozenSet_New(other);
    PyObject *result = set == NULL ? NULL : set_richcompare(self, set, op);
    Py_XDECREF(set);
    return result;
}

static PyObject *
set_issubset(PyObject *self, PyObject *other)
{
    return compare_with_iterable(self, other, Py_LE);
}

static PyObject *
set_issuperset(PyObject *self, PyObject *other)
{
    return compare_with_iterable(self, other, Py_GE);
}

static PyObject *
set_isdisjoint(PyObject *self, PyObject *other)
{
    ps_state *st = ps_sorted_state(self);
    int rc = 0;
    if (ps_is_sorted_set(st, other) && ((ps_sorted *)self)->key == ((ps_sorted *)other)->key) {
        rc = ps_bt_is_disjoint(st, ps_sorted_tree(self), ps_sorted_tree(other));
        return rc < 0 ? NULL : PyBool_FromLong(rc);
    }
    PyObject *it = PyObject_GetIter(other), *item;
    if (it == NULL) {
        return NULL;
    }
    while (rc == 0 && (item = PyIter_Next(it)) != NULL) {
        rc = set_contains(self, item);
        Py_DECREF(item);
    }
    Py_DECREF(it);
    return rc < 0 || PyErr_Occurred() ? NULL : PyBool_FromLong(!rc);
}

/* ---- as a value */

static PyObject *
set_repr(PyObject *self)
{
    PyObject *key = ((ps_sorted *)self)->key;
    int rc = Py_ReprEnter(self);
    if (rc != 0) {
        return rc < 0 ? NULL : PyUnicode_FromString("psortedset([...])");
    }
    PyObject *list = PySequence_List(self);
    PyObject *result = list == NULL  ? NULL
                       : key == NULL ? PyUnicode_FromFormat("psortedset(%R)", list)
                                     : PyUnicode_FromFormat("psortedset(%R, key=%R)", list, key);
    Py_XDECREF(list);
    Py_ReprLeave(self);
    return result;
}

static Py_hash_t
set_hash(PyObject *self)
{
    ps_sorted *s = (ps_sorted *)self;
    if (s->hash == -1) {
        s->hash = ps_sorted_hash(ps_sorted_state(self), s->tree, false);
    }
    return s->hash;
}

static PyObject *
set_copy(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return Py_NewRef(self);
}

static PyObject *
set_reduce(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return ps_sorted_reduce(self, PySequence_List(self));
}

static PyObject *
set_key(PyObject *self, void *Py_UNUSED(closure))
{
    PyObject *key = ((ps_sorted *)self)->key;
    return Py_NewRef(key == NULL ? Py_None : key);
}

static PyGetSetDef set_getset[] = {
    {"key", set_key, NULL, "The key function; None: natural order.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

#define FAST(function) (PyCFunction)(void (*)(void))(function)

static PyMethodDef set_methods[] = {
    {"add", set_add, METH_O, "add($self, element, /)\n--\n\nA set with element as well."},
    {"remove", set_remove, METH_O,
     "remove($self, element, /)\n--\n\nA set without element; KeyError if it is missing."},
    {"discard", set_discard, METH_O,
     "discard($self, element, /)\n--\n\nA set without element; the set itself if it is missing."},
    {"update", FAST(set_union), METH_FASTCALL,
     "update($self, /, *iterables)\n--\n\nA set with the elements of iterables as well."},
    {"union", FAST(set_union), METH_FASTCALL,
     "union($self, /, *others)\n--\n\nThe elements of the set or of any of others.\n\nCost: sets "
     "in the same order share and skip subtrees."},
    {"intersection", FAST(set_intersection), METH_FASTCALL,
     "intersection($self, /, *others)\n--\n\nThe elements that all of others have too."},
    {"difference", FAST(set_difference), METH_FASTCALL,
     "difference($self, /, *others)\n--\n\nThe elements that none of others has."},
    {"symmetric_difference", set_symmetric_difference, METH_O,
     "symmetric_difference($self, other, /)\n--\n\nThe elements that only one of both has."},
    {"issubset", set_issubset, METH_O,
     "issubset($self, other, /)\n--\n\nWhether other has every element."},
    {"issuperset", set_issuperset, METH_O,
     "issuperset($self, other, /)\n--\n\nWhether the set has every element of other."},
    {"isdisjoint", set_isdisjoint, METH_O,
     "isdisjoint($self, other, /)\n--\n\nWhether no element is in other."},
    {"evolver", set_evolver, METH_NOARGS,
     "evolver($self, /)\n--\n\nA mutable builder that starts from this set."},
    PS_SORTED_RANGE_METHODS,
    {"copy", set_copy, METH_NOARGS, "copy($self, /)\n--\n\nThe set itself: it never changes."},
    {"__copy__", set_copy, METH_NOARGS, "__copy__($self, /)\n--\n\nThe set itself."},
    {"__reduce__", set_reduce, METH_NOARGS,
     "__reduce__($self, /)\n--\n\nFor pickle and deepcopy."},
    {"__reversed__", set_reversed, METH_NOARGS,
     "__reversed__($self, /)\n--\n\nIterate over the elements, the greatest first."},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS,
     "__class_getitem__($type, item, /)\n--\n\nPSortedSet[T]."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef set_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(ps_sorted, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(set_doc,
             "PSortedSet(iterable=(), /, key=None)\n--\n\n"
             "A persistent set in the order of its elements, which are also found by position:\n"
             "s[0] is the smallest, s[-1] the greatest, s[i:j] a set that shares its nodes.\n\n"
             "Elements are ordered by <, or by what the function key returns for them. Elements\n"
             "of which neither sorts before the other are one element.\n\n"
             "Cost: add, remove, in, s[i], slices and neighbours O(log n); len and copy O(1);\n"
             "set algebra O(n), less where both sides share structure.\n\n"
             "Examples\n--------\n"
             ">>> from pstructs import psortedset\n"
             ">>> old = psortedset([30, 10, 20])\n"
             ">>> new = old.add(15)\n"
             ">>> new[0], new[1:3], new.ceiling(16), list(reversed(old))\n"
             "(10, psortedset([15, 20]), 20, [30, 20, 10])\n");

static PyType_Slot set_slots[] = {
    {Py_tp_doc, (void *)set_doc},
    {Py_tp_new, ps_sorted_tp_new},
    {Py_tp_dealloc, ps_sorted_dealloc},
    {Py_tp_traverse, ps_sorted_traverse},
    {Py_tp_repr, set_repr},
    {Py_tp_hash, set_hash},
    {Py_tp_richcompare, set_richcompare},
    {Py_tp_iter, set_iter},
    {Py_tp_methods, set_methods},
    {Py_tp_members, set_members},
    {Py_tp_getset, set_getset},
    {Py_mp_length, set_len},
    {Py_mp_subscript, set_subscript},
    {Py_sq_contains, set_contains},
    {Py_nb_or, set_or},
    {Py_nb_and, set_and},
    {Py_nb_subtract, set_subtract},
    {Py_nb_xor, set_xor},
    {0, NULL},
};

static PyType_Spec set_spec = {
    .name = "pstructs.PSortedSet",
    .basicsize = sizeof(ps_sorted),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = set_slots,
};

int
ps_sorted_set_type_init(ps_state *st, PyObject *module)
{
    st->sorted_set = (PyTypeObject *)PyType_FromModuleAndSpec(module, &set_spec, NULL);
    return st->sorted_set == NULL ? -1 : PyModule_AddType(module, st->sorted_set);
}
