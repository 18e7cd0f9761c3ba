/* type_deque.c -- PDeque, the persistent double-ended queue, and pdeque() and dq().
 *
 * A deque shows a window of an RRB tree, forwards or backwards:
 *
 *     tree      [ a b | c d e f g | h ]
 *     window        ^ start     ^ start + count
 *     deque     c d e f g            flipped: g f e d c
 *
 * Dropping an end moves the window and copies nothing, so popleft() costs an object. What is
 * dead outside the window would stay alive: so only atoms that are small are left there, and
 * fewer than PS_WIDTH at either end; anything else is cut off at once, and its destructor runs
 * when the last version that holds it is gone. An append writes over a dead element.
 *
 * reverse() flips: left and right change places, and so does what comes in.
 *
 * maxlen: an append at one end drops at the other. All that an operation makes has the maxlen
 * of the deque it was called on.
 *
 *     append, appendleft, pop, popleft, left, right    amortised O(1), O(log32 n) at worst
 *     index i, slice, rotate, remove once found        O(log32 n)
 *     extend, extendleft                               O(k + log32 n) for k elements
 *     reverse, len                                     O(1)
 *     count, index, ==, hash (then remembered)         O(n)
 *
 * Subclasses: what an operation makes is a plain PDeque, as with PMap. */
#include "type_deque.h"
#include "type_interop.h"

#include "error.h"

typedef enum { FRONT = 0, BACK = 1 } end;

/* The end of the window that is the deque's left (FRONT) or right (BACK). */
PS_INLINE end
end_of(const ps_deque *d, end side)
{
    return d->flipped ? (end)!side : side;
}

/* ---- life and death */

static int
deque_traverse(PyObject *op, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(op));
    return ps_rrb_visit(&((ps_deque *)op)->w.t, visit, arg);
}

static void
deque_dealloc(PyObject *op)
{
    ps_deque *d = (ps_deque *)op;
    PyObject_GC_UnTrack(op);
    Py_TRASHCAN_BEGIN(op, deque_dealloc);
    PyTypeObject *type = Py_TYPE(op), *own = type;
    while (own->tp_dealloc != deque_dealloc) {
        own = own->tp_base;
    }
    /* The collector may have cleared the type already, when all die together. */
    PyObject *module = ((PyHeapTypeObject *)own)->ht_module;
    ps_state *st = module == NULL ? NULL : PyModule_GetState(module);
    if (d->weakrefs != NULL) {
        PyObject_ClearWeakRefs(op);
    }
    ps_rrb_release(st, &d->w.t);
#ifndef Py_GIL_DISABLED
    if (own == type && st != NULL && st->n_spare_deques < PS_FREELIST) {
        st->spare_deques[st->n_spare_deques++] = op;
    }
    else
#endif
    {
        type->tp_free(op);
    }
    Py_DECREF(type);
    Py_TRASHCAN_END
}

static ps_state *
deque_state(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    while (PS_UNLIKELY(type->tp_dealloc != deque_dealloc)) {
        type = type->tp_base;
    }
    return PyModule_GetState(((PyHeapTypeObject *)type)->ht_module);
}

/* Memory for an exact PDeque, or NULL with an exception. */
PS_INLINE ps_deque *
deque_alloc(ps_state *st)
{
#ifndef Py_GIL_DISABLED
    if (PS_LIKELY(st->n_spare_deques > 0)) {
        return (ps_deque *)PyObject_Init(st->spare_deques[--st->n_spare_deques], st->deque);
    }
#endif
    return PyObject_GC_New(ps_deque, st->deque);
}

/* New deque of a type. Consumes w, also on error. */
static PyObject *
deque_new_of(ps_state *st, PyTypeObject *type, ps_window w, bool flipped, Py_ssize_t maxlen)
{
    ps_deque *d = type == st->deque ? deque_alloc(st) : (ps_deque *)type->tp_alloc(type, 0);
    if (d == NULL) {
        ps_rrb_drop(st, w.t);
        return NULL;
    }
    d->w = w;
    d->maxlen = maxlen;
    d->hash = -1;
    d->weakrefs = NULL;
    d->flipped = flipped;
    if (type == st->deque && ps_rrb_needs_gc(st, &w.t)) {
        PyObject_GC_Track(d);
    }
    return (PyObject *)d;
}

/* New deque like d, but for its window, which is consumed, also on error. */
static PyObject *
deque_like(ps_state *st, const ps_deque *d, ps_window w)
{
    if (w.count == 0) {
        ps_rrb_drop(st, w.t);
        if (d->maxlen < 0) {
            return Py_NewRef(st->empty_deque);
        }
        w = (ps_window){PS_RRB_EMPTY, 0, 0};
    }
    return deque_new_of(st, st->deque, w, d->flipped, d->maxlen);
}

int
ps_deque_check(ps_state *st, ps_deque *d)
{
    Py_ssize_t behind = d->w.t.count - d->w.start - d->w.count;
    const char *broken = NULL;
    if (d->w.start < 0 || d->w.count < 0 || behind < 0) {
        broken = "the window is not inside of the tree";
    }
    else if (d->w.start >= PS_WIDTH || behind >= PS_WIDTH) {
        broken = "too many dead elements";
    }
    else if (d->w.count == 0 && d->w.t.count > 0) {
        broken = "an empty deque has a tree";
    }
    else if (d->maxlen >= 0 && d->w.count > d->maxlen) {
        broken = "longer than maxlen";
    }
    else if (Py_TYPE(d) == st->deque &&
             PyObject_GC_IsTracked((PyObject *)d) != ps_rrb_needs_gc(st, &d->w.t)) {
        broken = "tracked by the collector without need, or not in spite of it";
    }
    if (broken != NULL) {
        PyErr_Format(PyExc_AssertionError, "PDeque: %s", broken);
        return -1;
    }
    return ps_rrb_check(st, &d->w.t);
}

/* ---- windows. *w is owned; on error it stays whole and its owner drops it. */

static ps_window
window_share(ps_state *st, const ps_deque *d)
{
    ps_window w = d->w;
    ps_rrb_share(st, &w.t);
    return w;
}

/* Keep elements lo <= i < hi of the window only, and none outside of it. */
static int
window_cut(ps_state *st, ps_window *w, Py_ssize_t lo, Py_ssize_t hi)
{
    ps_rrb cut;
    if (hi - lo == w->t.count) {
        return 0;
    }
    if (ps_rrb_slice(st, &w->t, w->start + lo, w->start + hi, &cut) < 0) {
        return -1;
    }
    ps_rrb_become(st, &w->t, cut);
    w->start = 0;
    w->count = hi - lo;
    return 0;
}

/* Whether it does no harm that a dead element lives on for a while. */
static bool
may_linger(const ps_window *w, Py_ssize_t i)
{
    const ps_slot *slot = ps_rrb_find(&w->t, (size_t)(w->start + i));
    if (slot == NULL || ps_slot_is_packed(*slot)) {
        return true; /* bytes of a pack, which the tree holds anyway */
    }
    PyObject *o = ps_slot_obj(*slot);
    if (PyLong_CheckExact(o)) {
        int overflow;
        PyLong_AsLongAndOverflow(o, &overflow);
        return overflow == 0;
    }
    if (PyUnicode_CheckExact(o)) {
        return PyUnicode_GET_LENGTH(o) <= 64;
    }
    return PyFloat_CheckExact(o) || PyBool_Check(o) || o == Py_None;
}

/* Whether the element at one end can be dropped by moving the window. */
PS_INLINE bool
can_move(const ps_window *w, end from)
{
    Py_ssize_t n = w->count;
    Py_ssize_t dead = from == FRONT ? w->start : w->t.count - w->start - n;
    return n > 1 && dead + 1 < PS_WIDTH && may_linger(w, from == FRONT ? 0 : n - 1);
}

/* Drop k elements, 0 <= k <= count, at one end. */
static int
window_pop(ps_state *st, ps_window *w, end from, Py_ssize_t k)
{
    ps_rrb popped;
    Py_ssize_t n = w->count;
    if (k == 1 && can_move(w, from)) {
        w->start += from == FRONT;
        w->count--;
        return 0;
    }
    if (k == 1 && n == w->t.count) {
        int rc = from == FRONT ? ps_rrb_pop_front(st, &w->t, &popped)
                               : ps_rrb_pop_back(st, &w->t, &popped);
        if (rc == 0) {
            ps_rrb_become(st, &w->t, popped);
            w->count--;
        }
        return rc;
    }
    return from == FRONT ? window_cut(st, w, k, n) : window_cut(st, w, 0, n - k);
}

/* Add an element at one end, over a dead one if there is one. */
static int
window_push(ps_state *st, ps_window *w, end at, PyObject *element)
{
    ps_rrb pushed;
    Py_ssize_t dead = at == FRONT ? w->start : w->t.count - w->start - w->count;
    Py_ssize_t over = at == FRONT ? w->start - 1 : w->start + w->count;
    int rc = dead > 0      ? ps_rrb_set(st, &w->t, over, element, &pushed)
             : at == FRONT ? ps_rrb_push_front(st, &w->t, element, &pushed)
                           : ps_rrb_push_back(st, &w->t, element, &pushed);
    if (rc < 0) {
        return -1;
    }
    ps_rrb_become(st, &w->t, pushed);
    w->start -= dead > 0 && at == FRONT;
    w->count++;
    return 0;
}

/* Join a tree to one end. */
static int
window_join(ps_state *st, ps_window *w, end at, const ps_rrb *more)
{
    ps_rrb joined;
    if (window_cut(st, w, 0, w->count) < 0 ||
        (at == FRONT ? ps_rrb_concat(st, more, &w->t, &joined)
                     : ps_rrb_concat(st, &w->t, more, &joined)) < 0) {
        return -1;
    }
    ps_rrb_become(st, &w->t, joined);
    w->count = joined.count;
    return 0;
}

/* A tree of the elements of an iterable, in reverse if backwards. */
static int
tree_from(ps_state *st, PyObject *iterable, bool backwards, ps_rrb *out)
{
    PyObject *items = PySequence_Tuple(iterable), **reversed = NULL;
    if (items == NULL) {
        return -1;
    }
    int rc = -1;
    PyObject **item = ((PyTupleObject *)items)->ob_item;
    Py_ssize_t n = PyTuple_GET_SIZE(items);
    if (backwards) {
        reversed = PyMem_New(PyObject *, n);
        if (reversed == NULL) {
            PyErr_NoMemory();
            goto done;
        }
        for (Py_ssize_t i = 0; i < n; i++) {
            reversed[i] = item[n - 1 - i];
        }
        item = reversed;
    }
    rc = ps_rrb_build(st, item, n, out);
done:
    PyMem_Free(reversed);
    Py_DECREF(items);
    return rc;
}

/* The tree of a vector, or of a deque whose window is the whole of it, shared; else built. */
static int
more_tree(ps_state *st, PyObject *source, bool backwards, ps_rrb *out)
{
    if (ps_is_vector(st, source) && !backwards) {
        *out = ps_rrb_share(st, ps_vector_tree(source));
        return 0;
    }
    if (ps_is_deque(st, source)) {
        ps_deque *d = (ps_deque *)source;
        if (d->w.count == d->w.t.count && d->flipped == backwards) {
            *out = ps_rrb_share(st, &d->w.t);
            return 0;
        }
    }
    return tree_from(st, source, backwards, out);
}

/* ---- construction */

/* -1 for None. 0, or -1 with an exception. */
static int
parse_maxlen(PyObject *o, Py_ssize_t *maxlen)
{
    *maxlen = -1;
    if (o == NULL || o == Py_None) {
        return 0;
    }
    if (!PyIndex_Check(o)) {
        PyErr_Format(PyExc_TypeError, "An integer is required as maxlen, not %.200s",
                     Py_TYPE(o)->tp_name);
        return -1;
    }
    *maxlen = PyNumber_AsSsize_t(o, PyExc_OverflowError);
    if (*maxlen == -1 && PyErr_Occurred()) {
        return -1;
    }
    if (*maxlen < 0) {
        PyErr_Format(PyExc_ValueError, "maxlen must be non-negative, not %zd", *maxlen);
        return -1;
    }
    return 0;
}

static PyObject *
deque_make(ps_state *st, PyTypeObject *type, PyObject *source, PyObject *limit)
{
    Py_ssize_t maxlen;
    ps_window w = {PS_RRB_EMPTY, 0, 0};
    bool flipped = false;
    if (parse_maxlen(limit, &maxlen) < 0) {
        return NULL;
    }
    if (source != NULL && ps_is_deque(st, source)) {
        ps_deque *d = (ps_deque *)source;
        if (Py_TYPE(source) == type && type == st->deque && d->maxlen == maxlen) {
            return Py_NewRef(source);
        }
        w = window_share(st, d);
        flipped = d->flipped;
    }
    else if (source != NULL) {
        if (more_tree(st, source, false, &w.t) < 0) {
            return NULL;
        }
        w.count = w.t.count;
    }
    if (maxlen >= 0 && w.count > maxlen &&
        window_pop(st, &w, flipped ? BACK : FRONT, w.count - maxlen) < 0) {
        ps_rrb_drop(st, w.t);
        return NULL;
    }
    if (w.count == 0 && maxlen < 0 && type == st->deque && st->empty_deque != NULL) {
        ps_rrb_drop(st, w.t);
        return Py_NewRef(st->empty_deque);
    }
    return deque_new_of(st, type, w, flipped, maxlen);
}

static PyObject *
deque_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"", "maxlen", NULL};
    PyObject *source = NULL, *maxlen = NULL;
    ps_state *st = ps_state_of_type(type);
    if (st == NULL ||
        !PyArg_ParseTupleAndKeywords(args, kwargs, "|OO:PDeque", names, &source, &maxlen)) {
        return NULL;
    }
    return deque_make(st, type, source, maxlen);
}

PyObject *
ps_pdeque(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"iterable", "maxlen"};
    PyObject *a[2];
    if (ps_parse_args("pdeque", args, nargs, kwnames, names, 0, 2, a) < 0) {
        return NULL;
    }
    ps_state *st = ps_state_of_module(module);
    return deque_make(st, st->deque, a[0], a[1]);
}

PyObject *
ps_dq(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    ps_state *st = ps_state_of_module(module);
    ps_window w = {PS_RRB_EMPTY, 0, nargs};
    if (nargs == 0) {
        return Py_NewRef(st->empty_deque);
    }
    return ps_rrb_build(st, args, nargs, &w.t) < 0 ? NULL
                                                   : deque_new_of(st, st->deque, w, false, -1);
}

/* ---- the ends */

static PyObject *
pop_at(PyObject *self, end side, Py_ssize_t k)
{
    ps_deque *d = (ps_deque *)self;
    ps_state *st = deque_state(self);
    if (k < 0) {
        side = (end)!side;
        k = k == PY_SSIZE_T_MIN ? PY_SSIZE_T_MAX : -k;
    }
    if (k == 0 || d->w.count == 0) {
        return Py_TYPE(self) == st->deque ? Py_NewRef(self)
                                          : deque_like(st, d, window_share(st, d));
    }
    end from = end_of(d, side);
    if (k == 1 && Py_TYPE(self) == st->deque && can_move(&d->w, from)) {
        /* The same tree for a new object: no more than that, since queues live on it. */
        ps_deque *popped = deque_alloc(st);
        if (popped == NULL) {
            return NULL;
        }
        ps_rrb_share(st, &d->w.t);
        popped->w = d->w;
        popped->w.start += from == FRONT;
        popped->w.count--;
        popped->maxlen = d->maxlen;
        popped->hash = -1;
        popped->weakrefs = NULL;
        popped->flipped = d->flipped;
        if (PyObject_GC_IsTracked(self)) {
            PyObject_GC_Track(popped);
        }
        return (PyObject *)popped;
    }
    ps_window w = window_share(st, d);
    if (window_pop(st, &w, from, k < w.count ? k : w.count) < 0) {
        ps_rrb_drop(st, w.t);
        return NULL;
    }
    return deque_like(st, d, w);
}

static PyObject *
pop_method(PyObject *self, end side, const char *name, PyObject *const *args, Py_ssize_t nargs,
           PyObject *kwnames)
{
    Py_ssize_t k = 1;
    if (nargs > 0 || kwnames != NULL) {
        PyObject *count = ps_one_arg(name, "count", args, nargs, kwnames);
        if (count == NULL) {
            return NULL;
        }
        k = PyNumber_AsSsize_t(count, NULL);
        if (k == -1 && PyErr_Occurred()) {
            return NULL;
        }
    }
    return pop_at(self, side, k);
}

static PyObject *
deque_pop(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    return pop_method(self, BACK, "pop", args, nargs, kwnames);
}

static PyObject *
deque_popleft(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    return pop_method(self, FRONT, "popleft", args, nargs, kwnames);
}

static PyObject *
append_at(PyObject *self, end side, PyObject *element)
{
    ps_deque *d = (ps_deque *)self;
    ps_state *st = deque_state(self);
    ps_window w = window_share(st, d);
    end at = end_of(d, side);
    if (d->maxlen == 0) {
        return deque_like(st, d, w);
    }
    if ((w.count == d->maxlen && window_pop(st, &w, (end)!at, 1) < 0) ||
        window_push(st, &w, at, element) < 0) {
        ps_rrb_drop(st, w.t);
        return NULL;
    }
    return deque_like(st, d, w);
}

static PyObject *
deque_append(PyObject *self, PyObject *elem)
{
    return append_at(self, BACK, elem);
}

static PyObject *
deque_appendleft(PyObject *self, PyObject *elem)
{
    return append_at(self, FRONT, elem);
}

static PyObject *
extend_at(PyObject *self, end side, PyObject *iterable)
{
    ps_deque *d = (ps_deque *)self;
    ps_state *st = deque_state(self);
    end at = end_of(d, side);
    ps_rrb more;
    if (more_tree(st, iterable, at == FRONT, &more) < 0) {
        return NULL;
    }
    ps_window w = window_share(st, d);
    int rc = window_join(st, &w, at, &more);
    ps_rrb_drop(st, more);
    if (rc == 0 && d->maxlen >= 0 && w.count > d->maxlen) {
        rc = window_pop(st, &w, (end)!at, w.count - d->maxlen);
    }
    if (rc < 0) {
        ps_rrb_drop(st, w.t);
        return NULL;
    }
    return deque_like(st, d, w);
}

static PyObject *
deque_extend(PyObject *self, PyObject *iterable)
{
    return extend_at(self, BACK, iterable);
}

static PyObject *
deque_extendleft(PyObject *self, PyObject *iterable)
{
    return extend_at(self, FRONT, iterable);
}

/* ---- one element: positions i of the deque, and of the window */

PS_INLINE Py_ssize_t
in_window(const ps_deque *d, Py_ssize_t i)
{
    return d->flipped ? d->w.count - 1 - i : i;
}

static PyObject *
deque_item(PyObject *self, Py_ssize_t i)
{
    ps_deque *d = (ps_deque *)self;
    if (i < 0 || i >= d->w.count) {
        PyErr_SetString(PyExc_IndexError, "PDeque index out of range");
        return NULL;
    }
    return ps_rrb_get(deque_state(self), &d->w.t, d->w.start + in_window(d, i));
}

static PyObject *
tip(PyObject *self, Py_ssize_t i)
{
    if (((ps_deque *)self)->w.count == 0) {
        PyErr_SetString(PyExc_IndexError, "No elements in empty deque");
        return NULL;
    }
    return deque_item(self, i);
}

static PyObject *
deque_left(PyObject *self, void *Py_UNUSED(closure))
{
    return tip(self, 0);
}

static PyObject *
deque_right(PyObject *self, void *Py_UNUSED(closure))
{
    return tip(self, ((ps_deque *)self)->w.count - 1);
}

static PyObject *
deque_maxlen(PyObject *self, void *Py_UNUSED(closure))
{
    Py_ssize_t maxlen = ((ps_deque *)self)->maxlen;
    return maxlen < 0 ? Py_NewRef(Py_None) : PyLong_FromSsize_t(maxlen);
}

static Py_ssize_t
deque_len(PyObject *self)
{
    return ((ps_deque *)self)->w.count;
}

/* ---- iteration */

/* Over elements lo <= i < hi of the deque. */
static void
walk_init(ps_state *st, ps_rrb_iter *it, const ps_deque *d, Py_ssize_t lo, Py_ssize_t hi)
{
    Py_ssize_t from = d->w.start + (d->flipped ? d->w.count - hi : lo);
    ps_rrb_iter_init(st, it, &d->w.t, from, from + hi - lo, d->flipped);
}

/* New reference to the next element; NULL at the end and, with an exception, on error. */
static PyObject *
walk_next(ps_state *st, ps_rrb_iter *it)
{
    ps_slot slot;
    return ps_rrb_iter_next(st, it, &slot) > 0 ? ps_slot_get(st, slot) : NULL;
}

static PyObject *
deque_iter(PyObject *self)
{
    ps_window *w = &((ps_deque *)self)->w;
    return ps_vector_iterator_new(deque_state(self), &w->t, w->start, w->start + w->count,
                                  ((ps_deque *)self)->flipped);
}

/* ---- searching. Runs user code, which can't change a deque; the walk holds the tree. */

/* Position of the first element equal to value in start <= i < stop; -1: none; -2 with an
 * exception. *n: how many there are, counted to the end when it is not NULL. */
static Py_ssize_t
search(PyObject *self, PyObject *value, Py_ssize_t start, Py_ssize_t stop, Py_ssize_t *n)
{
    ps_state *st = deque_state(self);
    ps_rrb_iter it;
    PyObject *element;
    Py_ssize_t first = -1;
    if (start >= stop) {
        return -1;
    }
    walk_init(st, &it, (ps_deque *)self, start, stop);
    for (Py_ssize_t i = start; (element = walk_next(st, &it)) != NULL; i++) {
        int equal = ps_object_eq(element, value);
        Py_DECREF(element);
        if (equal < 0) {
            break;
        }
        if (equal) {
            first = first < 0 ? i : first;
            if (n == NULL) {
                break;
            }
            ++*n;
        }
    }
    ps_rrb_iter_clear(st, &it);
    return PyErr_Occurred() ? -2 : first;
}

static PyObject *
deque_count(PyObject *self, PyObject *elem)
{
    Py_ssize_t n = 0;
    return search(self, elem, 0, deque_len(self), &n) == -2 ? NULL : PyLong_FromSsize_t(n);
}

static PyObject *
deque_index(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *value;
    Py_ssize_t start, stop;
    if (ps_linear_index_args(args, nargs, kwnames, deque_len(self), &value, &start, &stop) < 0) {
        return NULL;
    }
    Py_ssize_t i = search(self, value, start, stop, NULL);
    if (i == -1) {
        PyErr_Format(PyExc_ValueError, "%R is not in the PDeque", value);
    }
    return i < 0 ? NULL : PyLong_FromSsize_t(i);
}

static int
deque_contains(PyObject *self, PyObject *value)
{
    Py_ssize_t i = search(self, value, 0, deque_len(self), NULL);
    return i == -2 ? -1 : i >= 0;
}

static PyObject *
deque_remove(PyObject *self, PyObject *elem)
{
    ps_deque *d = (ps_deque *)self;
    ps_state *st = deque_state(self);
    Py_ssize_t i = search(self, elem, 0, deque_len(self), NULL);
    if (i == -1) {
        PyErr_Format(PyExc_ValueError, "%R is not in the PDeque", elem);
    }
    if (i < 0) {
        return NULL;
    }
    ps_window w = d->w;
    i = w.start + in_window(d, i);
    if (ps_rrb_delete(st, &d->w.t, i, i + 1, &w.t) < 0) {
        return NULL;
    }
    w.count--;
    return deque_like(st, d, w);
}

/* ---- parts */

/* Elements start, start + step, ...: n of them, n > 0. */
static PyObject *
stride(PyObject *self, Py_ssize_t start, Py_ssize_t step, Py_ssize_t n)
{
    ps_deque *d = (ps_deque *)self;
    ps_state *st = deque_state(self);
    ps_window w = {PS_RRB_EMPTY, 0, n};
    Py_ssize_t first = d->w.start + in_window(d, start);
    int rc;
    if (step == 1) {
        first -= d->flipped ? n - 1 : 0;
        rc = ps_rrb_slice(st, &d->w.t, first, first + n, &w.t);
        return rc < 0 ? NULL : deque_like(st, d, w);
    }
    rc = ps_rrb_stride(st, &d->w.t, first, d->flipped ? -step : step, n, &w.t);
    return rc < 0 ? NULL : deque_new_of(st, st->deque, w, false, d->maxlen);
}

static PyObject *
deque_subscript(PyObject *self, PyObject *index)
{
    Py_ssize_t start, stop, step;
    if (!PySlice_Check(index)) {
        if (ps_linear_as_index("PDeque", index, &start) < 0) {
            return NULL;
        }
        return deque_item(self, start < 0 ? start + deque_len(self) : start);
    }
    if (PySlice_Unpack(index, &start, &stop, &step) < 0) {
        return NULL;
    }
    Py_ssize_t n = PySlice_AdjustIndices(deque_len(self), &start, &stop, step);
    if (n == deque_len(self) && step == 1) {
        return pop_at(self, FRONT, 0);
    }
    return n == 0 ? pop_at(self, FRONT, PY_SSIZE_T_MAX) : stride(self, start, step, n);
}

static PyObject *
deque_reverse(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    ps_deque *d = (ps_deque *)self;
    ps_state *st = deque_state(self);
    if (d->w.count == 0) {
        return pop_at(self, FRONT, 0);
    }
    return deque_new_of(st, st->deque, window_share(st, d), !d->flipped, d->maxlen);
}

static PyObject *
deque_rotate(PyObject *self, PyObject *steps)
{
    ps_deque *d = (ps_deque *)self;
    ps_state *st = deque_state(self);
    Py_ssize_t n = d->w.count;
    if (!PyIndex_Check(steps)) {
        PyErr_Format(PyExc_TypeError, "rotate() wants a number of steps, not %.200s",
                     Py_TYPE(steps)->tp_name);
        return NULL;
    }
    if (n == 0) {
        return pop_at(self, FRONT, 0);
    }
    /* The remainder of the exact number: it may not fit in a Py_ssize_t. */
    PyObject *length = PyLong_FromSsize_t(d->flipped ? -n : n);
    PyObject *number = length == NULL ? NULL : PyNumber_Index(steps);
    PyObject *rest = number == NULL ? NULL : PyNumber_Remainder(number, length);
    Py_XDECREF(length);
    Py_XDECREF(number);
    if (rest == NULL) {
        return NULL;
    }
    /* Steps to the right in the window. */
    Py_ssize_t k = PyLong_AsSsize_t(rest);
    Py_DECREF(rest);
    if (d->flipped) {
        k = -k;
    }
    if (k == 0) {
        return pop_at(self, FRONT, 0);
    }
    ps_rrb left, right;
    ps_window w = {PS_RRB_EMPTY, 0, n};
    Py_ssize_t lo = d->w.start, at = lo + n - k;
    if (ps_rrb_slice(st, &d->w.t, lo, at, &left) < 0) {
        return NULL;
    }
    if (ps_rrb_slice(st, &d->w.t, at, lo + n, &right) < 0) {
        ps_rrb_drop(st, left);
        return NULL;
    }
    int rc = ps_rrb_concat(st, &right, &left, &w.t);
    ps_rrb_drop(st, left);
    ps_rrb_drop(st, right);
    return rc < 0 ? NULL : deque_like(st, d, w);
}

/* ---- as a value */

static PyObject *
deque_repr(PyObject *self)
{
    char limit[40] = "";
    Py_ssize_t maxlen = ((ps_deque *)self)->maxlen;
    if (maxlen >= 0) {
        PyOS_snprintf(limit, sizeof limit, ", maxlen=%zd", maxlen);
    }
    return ps_linear_repr(self, "pdeque", limit);
}

static Py_hash_t
deque_hash(PyObject *self)
{
    ps_deque *d = (ps_deque *)self;
    ps_state *st = deque_state(self);
    ps_rrb_iter it;
    PyObject *element;
    Py_uhash_t acc = PS_LINEAR_HASH_START;
    if (d->hash != -1) {
        return d->hash;
    }
    if (Py_EnterRecursiveCall(" while hashing a persistent deque")) {
        return -1;
    }
    walk_init(st, &it, d, 0, d->w.count);
    while ((element = walk_next(st, &it)) != NULL) {
        Py_hash_t h = PyObject_Hash(element);
        Py_DECREF(element);
        if (h == -1) {
            break;
        }
        acc = ps_linear_hash_step(acc, h);
    }
    ps_rrb_iter_clear(st, &it);
    Py_LeaveRecursiveCall();
    if (!PyErr_Occurred()) {
        d->hash = ps_linear_hash_finish(acc, d->w.count);
    }
    return d->hash;
}

/* What `a op b` is, element by element. */
static PyObject *
compare(ps_state *st, ps_deque *a, ps_deque *b, int op)
{
    ps_rrb_iter it_a, it_b;
    PyObject *x = NULL, *y = NULL, *result = NULL;
    int equal = 1;
    walk_init(st, &it_a, a, 0, a->w.count);
    walk_init(st, &it_b, b, 0, b->w.count);
    while (equal > 0 && (x = walk_next(st, &it_a)) != NULL && (y = walk_next(st, &it_b)) != NULL) {
        equal = ps_object_eq(x, y);
        if (equal > 0) {
            Py_CLEAR(x);
            Py_CLEAR(y);
        }
    }
    if (!PyErr_Occurred()) {
        bool differ = x != NULL && y != NULL;
        result = ps_linear_order(differ ? x : NULL, differ ? y : NULL, a->w.count, b->w.count, op);
    }
    Py_XDECREF(x);
    Py_XDECREF(y);
    ps_rrb_iter_clear(st, &it_a);
    ps_rrb_iter_clear(st, &it_b);
    return result;
}

static PyObject *
deque_richcompare(PyObject *self, PyObject *other, int op)
{
    ps_state *st = deque_state(self);
    ps_deque *a = (ps_deque *)self, *b = (ps_deque *)other;
    if (!ps_is_deque(st, other)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    bool equality = op == Py_EQ || op == Py_NE;
    if (equality &&
        (a->w.count != b->w.count || (a->hash != -1 && b->hash != -1 && a->hash != b->hash))) {
        return PyBool_FromLong(op == Py_NE);
    }
    if (a->flipped == b->flipped && a->w.count == b->w.count) {
        if (a->w.start == b->w.start && ps_rrb_same(&a->w.t, &b->w.t)) {
            Py_RETURN_RICHCOMPARE(0, 0, op);
        }
        if (equality && a->w.count == a->w.t.count && b->w.count == b->w.t.count) {
            int equal = ps_rrb_equal(st, &a->w.t, &b->w.t);
            return equal < 0 ? NULL : PyBool_FromLong(op == Py_EQ ? equal : !equal);
        }
    }
    return compare(st, a, b, op);
}

static PyObject *
deque_copy(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return Py_NewRef(self);
}

static PyObject *
deque_reduce(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *list = PySequence_List(self), *maxlen = deque_maxlen(self, NULL), *arguments = NULL;
    if (list != NULL && maxlen != NULL) {
        arguments = PyTuple_Pack(2, list, maxlen);
    }
    Py_XDECREF(list);
    Py_XDECREF(maxlen);
    return ps_linear_reduce(self, deque_state(self)->deque, arguments);
}

PS_NAMED_ARG(deque_append, "append", "elem")
PS_NAMED_ARG(deque_appendleft, "appendleft", "elem")
PS_NAMED_ARG(deque_extend, "extend", "iterable")
PS_NAMED_ARG(deque_extendleft, "extendleft", "iterable")
PS_NAMED_ARG(deque_rotate, "rotate", "steps")
PS_NAMED_ARG(deque_count, "count", "elem")
PS_NAMED_ARG(deque_remove, "remove", "elem")

#define FAST(function) (PyCFunction)(void (*)(void))(function), METH_FASTCALL | METH_KEYWORDS

/* The elements as a vector, which shares the tree unless the deque is flipped: what packs hold. */
static PyObject *
deque_vector(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    ps_deque *d = (ps_deque *)op;
    ps_state *st = deque_state(op);
    ps_rrb t;
    int rc;
    if (d->flipped) {
        PyObject *list = PySequence_List(op);
        rc = list == NULL ? -1 : ps_rrb_from_object(st, list, &t);
        Py_XDECREF(list);
    }
    else {
        rc = ps_rrb_slice(st, &d->w.t, d->w.start, d->w.start + d->w.count, &t);
    }
    return rc < 0 ? NULL : ps_vector_new(st, t);
}

static PyMethodDef deque_methods[] = {
    {"_vector", deque_vector, METH_NOARGS,
     "_vector($self, /)\n--\n\nThe elements as a PVector: O(log n), unless it was reversed."},
    {"append", PS_NAMED(deque_append),
     "append($self, /, elem)\n--\n\nA deque with elem at the right end.\n\nCost: O(1) amortised."},
    {"appendleft", PS_NAMED(deque_appendleft),
     "appendleft($self, /, elem)\n--\n\nA deque with elem at the left end.\n\nCost: O(1) "
     "amortised."},
    {"pop", FAST(deque_pop),
     "pop($self, /, count=1)\n--\n\nA deque without its last count elements; empty if there are "
     "not as\nmany. A negative count pops at the left.\n\nCost: O(1) amortised; O(log32 n) for "
     "several."},
    {"popleft", FAST(deque_popleft),
     "popleft($self, /, count=1)\n--\n\nA deque without its first count elements; empty if there "
     "are not as\nmany. A negative count pops at the right.\n\nCost: O(1) amortised; O(log32 n) "
     "for several."},
    {"extend", PS_NAMED(deque_extend),
     "extend($self, /, iterable)\n--\n\nA deque with the elements of iterable at the right "
     "end.\n\nCost: O(k + log32 n) for k elements; O(log32 n) for a deque."},
    {"extendleft", PS_NAMED(deque_extendleft),
     "extendleft($self, /, iterable)\n--\n\nA deque with every element of iterable put at the "
     "left end in turn, so\nthat they come in reverse.\n\nCost: O(k + log32 n) for k elements."},
    {"rotate", PS_NAMED(deque_rotate),
     "rotate($self, /, steps)\n--\n\nA deque in which every element is steps further to the "
     "right, and what\nleaves at the right comes in at the left.\n\nCost: O(log32 n)."},
    {"reverse", deque_reverse, METH_NOARGS,
     "reverse($self, /)\n--\n\nThe deque from its right to its left end.\n\nCost: O(1)."},
    {"count", PS_NAMED(deque_count),
     "count($self, /, elem)\n--\n\nHow many elements are equal to elem.\n\nCost: O(n)."},
    {"index", FAST(deque_index),
     "index($self, /, value, start=0, stop=None)\n--\n\nPosition of the first element that is "
     "equal to value; ValueError if there\nis none.\n\nCost: O(n)."},
    {"remove", PS_NAMED(deque_remove),
     "remove($self, /, elem)\n--\n\nA deque without the first element that is equal to elem; "
     "ValueError if\nthere is none.\n\nCost: O(k + log32 n) for an element at position k."},
    {"__reversed__", deque_reverse, METH_NOARGS,
     "__reversed__($self, /)\n--\n\nThe reversed deque, as reverse()."},
    {"__copy__", deque_copy, METH_NOARGS, "__copy__($self, /)\n--\n\nThe deque itself."},
    {"__reduce__", deque_reduce, METH_NOARGS,
     "__reduce__($self, /)\n--\n\nFor pickle and deepcopy."},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS,
     "__class_getitem__($type, item, /)\n--\n\nPDeque[T]."},
    PS_INTEROP_METHODS,
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef deque_getset[] = {
    {"left", deque_left, NULL, "The first element; IndexError if the deque is empty.", NULL},
    {"right", deque_right, NULL, "The last element; IndexError if the deque is empty.", NULL},
    {"maxlen", deque_maxlen, NULL, "How long it may grow, or None.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef deque_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(ps_deque, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(deque_doc,
             "PDeque(iterable=(), /, maxlen=None)\n--\n\n"
             "A persistent double-ended queue: quick at both ends, and anywhere else.\n\n"
             "With a maxlen, what is added at one end pushes elements out at the other.\n\n"
             "Cost: the ends O(1) amortised; index, slice and rotate O(log32 n).\n\n"
             "Examples\n--------\n"
             ">>> from pstructs import pdeque\n"
             ">>> old = pdeque([1, 2, 3], maxlen=3)\n"
             ">>> new = old.append(4)\n"
             ">>> new, new.left, old.popleft().left\n"
             "(pdeque([2, 3, 4], maxlen=3), 2, 2)\n");

static PyType_Slot deque_slots[] = {
    {Py_tp_doc, (void *)deque_doc},
    {Py_tp_new, deque_new},
    {Py_tp_dealloc, deque_dealloc},
    {Py_tp_traverse, deque_traverse},
    {Py_tp_repr, deque_repr},
    {Py_tp_hash, deque_hash},
    {Py_tp_richcompare, deque_richcompare},
    {Py_tp_iter, deque_iter},
    {Py_tp_methods, deque_methods},
    {Py_tp_members, deque_members},
    {Py_tp_getset, deque_getset},
    {Py_mp_length, deque_len},
    {Py_mp_subscript, deque_subscript},
    {Py_sq_length, deque_len},
    {Py_sq_item, deque_item},
    {Py_sq_contains, deque_contains},
    {0, NULL},
};

static PyType_Spec deque_spec = {
    .name = "pstructs.PDeque",
    .basicsize = sizeof(ps_deque),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_SEQUENCE |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = deque_slots,
};

int
ps_deque_types_init(ps_state *st, PyObject *module)
{
    st->deque = (PyTypeObject *)PyType_FromModuleAndSpec(module, &deque_spec, NULL);
    if (st->deque == NULL) {
        return -1;
    }
    st->empty_deque = deque_new_of(st, st->deque, (ps_window){PS_RRB_EMPTY, 0, 0}, false, -1);
    return st->empty_deque == NULL ? -1 : PyModule_AddType(module, st->deque);
}
