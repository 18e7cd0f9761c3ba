/* type_list.c -- PList, the persistent singly linked list, and the functions plist() and l().
 *
 * A list is its first cell, so cons() makes one object and `rest` makes none:
 *
 *     a = l(1, 2)        a ---> [1 | 2 cells] ---> [2 | 1 cell] ---> [empty]
 *     b = a.cons(0)      b ---> [0 | 3 cells] --------^
 *                                              (a's first cell)
 *
 * Every list ends in the one empty list, whose rest is itself. Invariants: a cell counts one
 * more than its rest; only the empty list has no first; an exact PList is tracked by the
 * collector exactly when its first element needs that or its rest is tracked, so lists of
 * atoms cost the collector nothing.
 *
 * Shared cells cut comparisons short: lists that end in the same cell are equal from there.
 *
 * Death: the last reference to a long list takes all cells with it. They are freed in a loop,
 * each with its rest detached, so the C stack does not grow. Lists in lists (through `first`)
 * use the trashcan as all collections do.
 *
 *     first rest cons len      O(1)
 *     mcons                    O(elements added)
 *     index i, split, remove   O(i)
 *     reverse, slices, hash    O(n)
 *
 * Subclasses: what an operation makes is a plain PList, as with PMap. */
#include "type_interop.h"
#include "type_list.h"

#include "error.h"

/* ---- life and death */

static int
list_traverse(PyObject *op, visitproc visit, void *arg)
{
    ps_list *c = (ps_list *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(c->first);
    if (c->rest != c) {
        Py_VISIT((PyObject *)c->rest);
    }
    return 0;
}

static void
list_dealloc(PyObject *op)
{
    ps_list *c = (ps_list *)op;
    PyObject_GC_UnTrack(op);
    Py_TRASHCAN_BEGIN(op, list_dealloc);
    PyTypeObject *type = Py_TYPE(op);
    if (c->weakrefs != NULL) {
        PyObject_ClearWeakRefs(op);
    }
    PyObject *first = c->first;
    ps_list *rest = c->rest == c ? NULL : c->rest;
#ifndef Py_GIL_DISABLED
    /* The collector may have cleared the type already, when all die together. */
    PyObject *module =
        type->tp_dealloc == list_dealloc ? ((PyHeapTypeObject *)type)->ht_module : NULL;
    ps_state *st = module == NULL ? NULL : PyModule_GetState(module);
    if (st != NULL && st->n_spare_cells < PS_FREELIST) {
        st->spare_cells[st->n_spare_cells++] = op;
    }
    else
#endif
    {
        type->tp_free(op);
    }
    Py_DECREF(type);
    Py_XDECREF(first);
    /* Cells that nobody else holds die here, one by one. A subclass may look at itself while
     * it dies, and then wants its rest: it goes the usual way, through its trashcan. */
    while (rest != NULL && Py_REFCNT(rest) == 1 && Py_TYPE(rest)->tp_dealloc == list_dealloc &&
           rest->rest != rest) {
        ps_list *next = rest->rest;
        rest->rest = NULL;
        Py_DECREF(rest);
        rest = next;
    }
    Py_XDECREF(rest);
    Py_TRASHCAN_END
}

/* Borrowed: the module state, of a list that may be of a subclass. */
static ps_state *
list_state(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    while (type->tp_dealloc != list_dealloc) {
        type = type->tp_base;
    }
    return PyModule_GetState(((PyHeapTypeObject *)type)->ht_module);
}

/* New list of an exact PList cell. Steals rest, also on error; first is borrowed. */
PS_INLINE ps_list *
cell_new(ps_state *st, PyObject *first, ps_list *rest)
{
    ps_list *c;
#ifndef Py_GIL_DISABLED
    if (st->n_spare_cells > 0) {
        c = (ps_list *)PyObject_Init(st->spare_cells[--st->n_spare_cells], st->list);
    }
    else
#endif
    {
        c = PyObject_GC_New(ps_list, st->list);
    }
    if (PS_UNLIKELY(c == NULL)) {
        Py_DECREF(rest);
        return NULL;
    }
    c->first = Py_NewRef(first);
    c->rest = rest;
    c->count = rest->count + 1;
    c->weakrefs = NULL;
    if (PS_UNLIKELY(ps_needs_gc(st, first)) || PyObject_GC_IsTracked((PyObject *)rest)) {
        PyObject_GC_Track(c);
    }
    return c;
}

static ps_list *
empty_list(ps_state *st)
{
    return (ps_list *)Py_NewRef(st->empty_list);
}

int
ps_list_check(ps_state *st, ps_list *list)
{
    Py_ssize_t n = list->count;
    for (ps_list *c = list; c->count > 0; c = c->rest, n--) {
        const char *broken = NULL;
        bool wants = c->first != NULL &&
                     (ps_needs_gc(st, c->first) || PyObject_GC_IsTracked((PyObject *)c->rest));
        if (c->first == NULL) {
            broken = "a cell has no first element";
        }
        else if (c->count != n || c->rest->count != n - 1) {
            broken = "a cell does not count one more than its rest";
        }
        else if (Py_TYPE(c) == st->list && PyObject_GC_IsTracked((PyObject *)c) && !wants) {
            broken = "the collector tracks a list of atoms";
        }
        else if (Py_TYPE(c) == st->list && !PyObject_GC_IsTracked((PyObject *)c) && wants) {
            broken = "the collector does not track a list of containers";
        }
        if (broken != NULL) {
            PyErr_Format(PyExc_AssertionError, "PList: %s", broken);
            return -1;
        }
    }
    if (n != 0) {
        PyErr_SetString(PyExc_AssertionError, "PList: it has not as many cells as it counts");
        return -1;
    }
    return 0;
}

/* ---- construction */

/* items[0..n-1] on top of rest, which is stolen, also on error. */
static ps_list *
list_on_top(ps_state *st, PyObject *const *items, Py_ssize_t n, ps_list *rest)
{
    while (n > 0 && rest != NULL) {
        rest = cell_new(st, items[--n], rest);
    }
    return rest;
}

/* The first n elements of list on top of rest, which is stolen, also on error. */
static ps_list *
prefix_on_top(ps_state *st, ps_list *list, Py_ssize_t n, ps_list *rest)
{
    PyObject *small[32] = {NULL}, **items = small;
    if (n == 0) {
        return rest;
    }
    if (n > 32) {
        items = PyMem_New(PyObject *, n);
        if (items == NULL) {
            PyErr_NoMemory();
            Py_DECREF(rest);
            return NULL;
        }
    }
    for (Py_ssize_t i = 0; i < n; i++, list = list->rest) {
        items[i] = list->first;
    }
    rest = list_on_top(st, items, n, rest);
    if (items != small) {
        PyMem_Free(items);
    }
    return rest;
}

/* Every element of iterable in turn before list, which is stolen, also on error. */
static ps_list *
list_mcons(ps_state *st, ps_list *list, PyObject *iterable)
{
    PyObject *it = PyObject_GetIter(iterable), *element;
    if (it == NULL) {
        Py_DECREF(list);
        return NULL;
    }
    while (list != NULL && (element = PyIter_Next(it)) != NULL) {
        list = cell_new(st, element, list);
        Py_DECREF(element);
    }
    Py_DECREF(it);
    if (list != NULL && PyErr_Occurred()) {
        Py_CLEAR(list);
    }
    return list;
}

static ps_list *
list_from(ps_state *st, PyObject *source, bool reverse)
{
    if (source == NULL) {
        return empty_list(st);
    }
    if (reverse) {
        return list_mcons(st, empty_list(st), source);
    }
    if (Py_TYPE(source) == st->list) {
        return (ps_list *)Py_NewRef(source);
    }
    PyObject *items = PySequence_Tuple(source);
    if (items == NULL) {
        return NULL;
    }
    ps_list *list = list_on_top(st, ((PyTupleObject *)items)->ob_item, PyTuple_GET_SIZE(items),
                                empty_list(st));
    Py_DECREF(items);
    return list;
}

/* A list of a subclass: its own first cell in place of the plain one. Steals plain. */
static PyObject *
as_subclass(ps_state *st, PyTypeObject *type, ps_list *plain)
{
    ps_list *c = (ps_list *)type->tp_alloc(type, 0);
    if (c != NULL) {
        c->first = Py_XNewRef(plain->first);
        c->rest = plain->count > 0 ? (ps_list *)Py_NewRef(plain->rest) : empty_list(st);
        c->count = plain->count;
    }
    Py_DECREF(plain);
    return (PyObject *)c;
}

static PyObject *
list_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    ps_state *st = ps_state_of_type(type);
    if (st == NULL) {
        return NULL;
    }
    Py_ssize_t nargs = PyTuple_GET_SIZE(args);
    if (nargs > 1 || (kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0)) {
        PyErr_SetString(PyExc_TypeError, "PList() takes at most 1 argument, an iterable");
        return NULL;
    }
    ps_list *list = list_from(st, nargs ? PyTuple_GET_ITEM(args, 0) : NULL, false);
    if (list == NULL || type == st->list) {
        return (PyObject *)list;
    }
    return as_subclass(st, type, list);
}

PyObject *
ps_plist(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"iterable", "reverse"};
    PyObject *a[2];
    if (ps_parse_args("plist", args, nargs, kwnames, names, 0, 2, a) < 0) {
        return NULL;
    }
    int reverse = a[1] == NULL ? 0 : PyObject_IsTrue(a[1]);
    return reverse < 0 ? NULL
                       : (PyObject *)list_from(ps_state_of_module(module), a[0], reverse != 0);
}

PyObject *
ps_l(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    ps_state *st = ps_state_of_module(module);
    return (PyObject *)list_on_top(st, args, nargs, empty_list(st));
}

/* ---- updates */

static PyObject *
list_cons(PyObject *self, PyObject *element)
{
    return (PyObject *)cell_new(list_state(self), element, (ps_list *)Py_NewRef(self));
}

static PyObject *
list_mcons_method(PyObject *self, PyObject *iterable)
{
    return (PyObject *)list_mcons(list_state(self), (ps_list *)Py_NewRef(self), iterable);
}

static PyObject *
list_reverse(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    ps_state *st = list_state(self);
    ps_list *list = empty_list(st);
    for (ps_list *c = (ps_list *)self; c->count > 0 && list != NULL; c = c->rest) {
        list = cell_new(st, c->first, list);
    }
    return (PyObject *)list;
}

/* New reference: list without its first n elements, 0 <= n <= count. */
static ps_list *
list_drop(ps_list *list, Py_ssize_t n)
{
    while (n-- > 0) {
        list = list->rest;
    }
    return (ps_list *)Py_NewRef(list);
}

static PyObject *
list_split(PyObject *self, PyObject *index)
{
    ps_state *st = list_state(self);
    ps_list *list = (ps_list *)self;
    Py_ssize_t n = PyNumber_AsSsize_t(index, NULL);
    if (n == -1 && PyErr_Occurred()) {
        return NULL;
    }
    if (n >= list->count) {
        return Py_BuildValue("OO", self, st->empty_list);
    }
    n = n < 0 ? 0 : n;
    ps_list *left = prefix_on_top(st, list, n, empty_list(st));
    return left == NULL ? NULL : Py_BuildValue("NN", left, list_drop(list, n));
}

/* Position of the first element equal to value in cells start..stop-1 of list; -1: none,
 * -2 with an exception. *at: that cell, borrowed. Runs user code, which can't change a list. */
static Py_ssize_t
list_find(ps_list *list, PyObject *value, Py_ssize_t start, Py_ssize_t stop, ps_list **at)
{
    for (Py_ssize_t i = 0; i < start; i++) {
        list = list->rest;
    }
    for (Py_ssize_t i = start; i < stop; i++, list = list->rest) {
        int equal = ps_object_eq(list->first, value);
        if (equal != 0) {
            *at = list;
            return equal < 0 ? -2 : i;
        }
    }
    return -1;
}

static PyObject *
list_remove(PyObject *self, PyObject *value)
{
    ps_list *list = (ps_list *)self, *at;
    Py_ssize_t i = list_find(list, value, 0, list->count, &at);
    if (i == -1) {
        PyErr_Format(PyExc_ValueError, "%R is not in the PList", value);
    }
    if (i < 0) {
        return NULL;
    }
    return (PyObject *)prefix_on_top(list_state(self), list, i, (ps_list *)Py_NewRef(at->rest));
}

/* ---- lookup */

static Py_ssize_t
list_len(PyObject *self)
{
    return ((ps_list *)self)->count;
}

static PyObject *
list_count(PyObject *self, PyObject *value)
{
    Py_ssize_t n = 0;
    for (ps_list *c = (ps_list *)self; c->count > 0; c = c->rest) {
        int equal = ps_object_eq(c->first, value);
        if (equal < 0) {
            return NULL;
        }
        n += equal;
    }
    return PyLong_FromSsize_t(n);
}

static PyObject *
list_index(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    ps_list *list = (ps_list *)self, *at;
    PyObject *value;
    Py_ssize_t start, stop;
    if (ps_linear_index_args(args, nargs, kwnames, list->count, &value, &start, &stop) < 0) {
        return NULL;
    }
    Py_ssize_t i = list_find(list, value, start, stop, &at);
    if (i == -1) {
        PyErr_Format(PyExc_ValueError, "%R is not in the PList", value);
    }
    return i < 0 ? NULL : PyLong_FromSsize_t(i);
}

static int
list_contains(PyObject *self, PyObject *value)
{
    ps_list *list = (ps_list *)self, *at;
    Py_ssize_t i = list_find(list, value, 0, list->count, &at);
    return i == -2 ? -1 : i >= 0;
}

static PyObject *
list_slice(PyObject *self, PyObject *slice)
{
    ps_list *list = (ps_list *)self;
    Py_ssize_t start, stop, step;
    if (PySlice_Unpack(slice, &start, &stop, &step) < 0) {
        return NULL;
    }
    Py_ssize_t n = PySlice_AdjustIndices(list->count, &start, &stop, step);
    ps_state *st = list_state(self);
    if (n == 0) {
        return (PyObject *)empty_list(st);
    }
    if (step == 1) {
        ps_list *from = list_drop(list, start);
        if (stop == list->count) {
            return (PyObject *)from;
        }
        ps_list *result = prefix_on_top(st, from, n, empty_list(st));
        Py_DECREF(from);
        return (PyObject *)result;
    }
    PyObject **items = PyMem_New(PyObject *, n);
    if (items == NULL) {
        return PyErr_NoMemory();
    }
    /* Towards the end, whatever the direction of the slice. */
    Py_ssize_t low = step > 0 ? start : start + (n - 1) * step, stride = step > 0 ? step : -step;
    ps_list *c = list;
    for (Py_ssize_t i = 0, k = 0; k < n; i++, c = c->rest) {
        if (i == low + k * stride) {
            items[step > 0 ? k : n - 1 - k] = c->first;
            k++;
        }
    }
    ps_list *result = list_on_top(st, items, n, empty_list(st));
    PyMem_Free(items);
    return (PyObject *)result;
}

static PyObject *
list_item(PyObject *self, Py_ssize_t i)
{
    ps_list *list = (ps_list *)self;
    if (i < 0 || i >= list->count) {
        PyErr_SetString(PyExc_IndexError, "PList index out of range");
        return NULL;
    }
    while (i-- > 0) {
        list = list->rest;
    }
    return Py_NewRef(list->first);
}

static PyObject *
list_subscript(PyObject *self, PyObject *index)
{
    Py_ssize_t i;
    if (PySlice_Check(index)) {
        return list_slice(self, index);
    }
    if (ps_linear_as_index("PList", index, &i) < 0) {
        return NULL;
    }
    return list_item(self, i < 0 ? i + list_len(self) : i);
}

/* ---- iteration: the iterator holds the list's first cell, so that all others stay */

typedef struct {
    PyObject_HEAD
    ps_list *list; /* owned; NULL at the end */
    ps_list *at;   /* borrowed: a cell of list */
} ps_list_iterator;

static PyObject *
list_iter(PyObject *self)
{
    ps_list_iterator *it = PyObject_GC_New(ps_list_iterator, list_state(self)->list_iterator);
    if (it == NULL) {
        return NULL;
    }
    it->list = (ps_list *)Py_NewRef(self);
    it->at = it->list;
    PyObject_GC_Track(it);
    return (PyObject *)it;
}

static PyObject *
list_iterator_next(PyObject *op)
{
    ps_list_iterator *it = (ps_list_iterator *)op;
    ps_list *at = it->at;
    if (PS_UNLIKELY(at == NULL)) {
        return NULL;
    }
    if (PS_UNLIKELY(at->count == 0)) {
        it->at = NULL;
        Py_CLEAR(it->list);
        return NULL;
    }
    it->at = at->rest;
    return Py_NewRef(at->first);
}

static int
list_iterator_traverse(PyObject *op, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(op));
    Py_VISIT((PyObject *)((ps_list_iterator *)op)->list);
    return 0;
}

static void
list_iterator_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    Py_TRASHCAN_BEGIN(op, list_iterator_dealloc);
    Py_CLEAR(((ps_list_iterator *)op)->list);
    type->tp_free(op);
    Py_DECREF(type);
    Py_TRASHCAN_END
}

static PyObject *
list_iterator_length_hint(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    ps_list *at = ((ps_list_iterator *)op)->at;
    return PyLong_FromSsize_t(at == NULL ? 0 : at->count);
}

/* ---- as a value */

static PyObject *
list_repr(PyObject *self)
{
    return ps_linear_repr(self, "plist", "");
}

static Py_hash_t
list_hash(PyObject *self)
{
    ps_list *list = (ps_list *)self;
    Py_uhash_t acc = PS_LINEAR_HASH_START;
    if (Py_EnterRecursiveCall(" while hashing a persistent list")) {
        return -1;
    }
    Py_hash_t h = 0;
    for (ps_list *c = list; c->count > 0 && h != -1; c = c->rest) {
        h = PyObject_Hash(c->first);
        acc = ps_linear_hash_step(acc, h);
    }
    Py_LeaveRecursiveCall();
    return h == -1 ? -1 : ps_linear_hash_finish(acc, list->count);
}

static PyObject *
list_richcompare(PyObject *self, PyObject *other, int op)
{
    ps_list *a = (ps_list *)self, *b = (ps_list *)other;
    if (!ps_is_list(list_state(self), other)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    bool equality = op == Py_EQ || op == Py_NE;
    Py_ssize_t n_a = a->count, n_b = b->count;
    if (equality && n_a != n_b) {
        return PyBool_FromLong(op == Py_NE);
    }
    /* Lists can't change meanwhile, and the caller holds both first cells. */
    while (a->count > 0 && b->count > 0 && a != b) {
        int equal = ps_object_eq(a->first, b->first);
        if (equal < 0) {
            return NULL;
        }
        if (!equal) {
            return ps_linear_order(a->first, b->first, n_a, n_b, op);
        }
        a = a->rest;
        b = b->rest;
    }
    return ps_linear_order(NULL, NULL, n_a, n_b, op);
}

static PyObject *
list_copy(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return Py_NewRef(self);
}

static PyObject *
list_reduce(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *list = PySequence_List(self);
    return ps_linear_reduce(self, list_state(self)->list,
                            list == NULL ? NULL : Py_BuildValue("(N)", list));
}

PS_NAMED_ARG(list_cons, "cons", "elem")
PS_NAMED_ARG(list_mcons_method, "mcons", "iterable")
PS_NAMED_ARG(list_split, "split", "index")
PS_NAMED_ARG(list_remove, "remove", "elem")
PS_NAMED_ARG(list_count, "count", "value")

static PyMethodDef list_methods[] = {
    {"cons", PS_NAMED(list_cons),
     "cons($self, /, elem)\n--\n\nA list with elem before the first element.\n\nCost: O(1)."},
    {"mcons", PS_NAMED(list_mcons_method),
     "mcons($self, /, iterable)\n--\n\nA list with every element of iterable put before it in "
     "turn, so that\nthey come in reverse.\n\nCost: O(k) for k elements."},
    {"reverse", list_reverse, METH_NOARGS,
     "reverse($self, /)\n--\n\nThe list from its end to its beginning.\n\nCost: O(n)."},
    {"split", PS_NAMED(list_split),
     "split($self, /, index)\n--\n\n(the first index elements, the rest).\n\nCost: O(index)."},
    {"remove", PS_NAMED(list_remove),
     "remove($self, /, elem)\n--\n\nA list without the first element that is equal to elem; "
     "ValueError if\nthere is none.\n\nCost: O(k) for an element at position k."},
    {"count", PS_NAMED(list_count),
     "count($self, /, value)\n--\n\nHow many elements are equal to value.\n\nCost: O(n)."},
    {"index", (PyCFunction)(void (*)(void))list_index, METH_FASTCALL | METH_KEYWORDS,
     "index($self, /, value, start=0, stop=None)\n--\n\nPosition of the first element that is "
     "equal to value; ValueError if there\nis none.\n\nCost: O(n)."},
    {"__reversed__", list_reverse, METH_NOARGS,
     "__reversed__($self, /)\n--\n\nThe reversed list, as reverse()."},
    {"__copy__", list_copy, METH_NOARGS, "__copy__($self, /)\n--\n\nThe list itself."},
    {"__reduce__", list_reduce, METH_NOARGS,
     "__reduce__($self, /)\n--\n\nFor pickle and deepcopy."},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS,
     "__class_getitem__($type, item, /)\n--\n\nPList[T]."},
    PS_INTEROP_METHODS,
    {NULL, NULL, 0, NULL},
};

/* T_OBJECT_EX: the interpreter reads such members itself, without a call. */
static PyMemberDef list_members[] = {
    {"first", T_OBJECT_EX, offsetof(ps_list, first), READONLY,
     "The first element; AttributeError if the list is empty."},
    {"rest", T_OBJECT_EX, offsetof(ps_list, rest), READONLY,
     "The list without its first element; an empty list if it is empty."},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(ps_list, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(list_doc,
             "PList(iterable=(), /)\n--\n\n"
             "A persistent singly linked list: quick at its beginning.\n\n"
             "Cost: first, rest, cons and len O(1); everything else O(n) or to where it has to "
             "go.\n\n"
             "Examples\n--------\n"
             ">>> from pstructs import plist\n"
             ">>> old = plist([2, 3])\n"
             ">>> new = old.cons(1)\n"
             ">>> new, new.first, new.rest is old\n"
             "(plist([1, 2, 3]), 1, True)\n");

static PyType_Slot list_slots[] = {
    {Py_tp_doc, (void *)list_doc},
    {Py_tp_new, list_new},
    {Py_tp_dealloc, list_dealloc},
    {Py_tp_traverse, list_traverse},
    {Py_tp_repr, list_repr},
    {Py_tp_hash, list_hash},
    {Py_tp_richcompare, list_richcompare},
    {Py_tp_iter, list_iter},
    {Py_tp_methods, list_methods},
    {Py_tp_members, list_members},
    {Py_mp_length, list_len},
    {Py_mp_subscript, list_subscript},
    {Py_sq_length, list_len},
    {Py_sq_item, list_item},
    {Py_sq_contains, list_contains},
    {0, NULL},
};

static PyType_Spec list_spec = {
    .name = "pstructs.PList",
    .basicsize = sizeof(ps_list),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_SEQUENCE |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = list_slots,
};

static PyMethodDef list_iterator_methods[] = {
    {"__length_hint__", list_iterator_length_hint, METH_NOARGS, "Elements still to come."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot list_iterator_slots[] = {
    {Py_tp_doc, "Iterator over a PList."},
    {Py_tp_dealloc, list_iterator_dealloc},
    {Py_tp_traverse, list_iterator_traverse},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, list_iterator_next},
    {Py_tp_methods, list_iterator_methods},
    {0, NULL},
};

static PyType_Spec list_iterator_spec = {
    .name = "pstructs._core.PListIterator",
    .basicsize = sizeof(ps_list_iterator),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = list_iterator_slots,
};

int
ps_list_types_init(ps_state *st, PyObject *module)
{
    st->list_iterator =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &list_iterator_spec, NULL);
    st->list = (PyTypeObject *)PyType_FromModuleAndSpec(module, &list_spec, NULL);
    if (st->list_iterator == NULL || st->list == NULL) {
        return -1;
    }
    ps_list *empty = PyObject_GC_New(ps_list, st->list);
    if (empty == NULL) {
        return -1;
    }
    empty->first = NULL;
    empty->rest = empty;
    empty->count = 0;
    empty->weakrefs = NULL;
    st->empty_list = (PyObject *)empty;
    return PyModule_AddType(module, st->list);
}
