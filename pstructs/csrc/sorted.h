/* sorted.h -- the Python objects around a B+ tree: PSortedMap, PSortedSet, their
 * evolvers, views and iterators.
 *
 * As in collection.h, a collection owns its root and never changes, an evolver writes in
 * place where nobody else reaches. The key function is the collection's; the tree holds
 * only what it returned. */
#ifndef PS_SORTED_H
#define PS_SORTED_H

#include "btree.h"
#include "collection.h"

typedef struct {
    PyObject_HEAD
    ps_btree tree;
    PyObject *key;      /* owned; NULL: natural order */
    Py_hash_t hash;     /* -1: not computed yet */
    PyObject *weakrefs;
} ps_sorted;

typedef struct {
    PyObject_HEAD
    ps_btree tree;
    PyObject *key;
    PyObject *origin; /* what it started from or last gave out; NULL when changed since */
    PyObject *weakrefs;
    bool busy;        /* an operation is in progress: writes are refused */
} ps_sorted_evolver;

typedef struct {
    PyObject_HEAD
    ps_sorted *map; /* owned */
    ps_kind kind;
} ps_sorted_view;

void ps_sorted_dealloc(PyObject *self);
int ps_sorted_traverse(PyObject *self, visitproc visit, void *arg);

PS_INLINE ps_btree
ps_sorted_tree(PyObject *collection)
{
    return ((ps_sorted *)collection)->tree;
}

PS_INLINE bool
ps_is_sorted_map(ps_state *st, PyObject *o)
{
    return Py_TYPE(o) == st->sorted_map || PyType_IsSubtype(Py_TYPE(o), st->sorted_map);
}

PS_INLINE bool
ps_is_sorted_set(ps_state *st, PyObject *o)
{
    return Py_TYPE(o) == st->sorted_set || PyType_IsSubtype(Py_TYPE(o), st->sorted_set);
}

PS_INLINE bool
ps_is_sorted(ps_state *st, PyObject *o)
{
    return ps_is_sorted_map(st, o) || ps_is_sorted_set(st, o);
}

/* The module state, from a sorted collection or an instance of a subclass; NULL, without
 * an exception, for any other object. */
ps_state *ps_sorted_state_of(PyObject *o);
PS_INLINE ps_state *
ps_sorted_state(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    if (PS_LIKELY(type->tp_dealloc == ps_sorted_dealloc)) {
        return PyModule_GetState(((PyHeapTypeObject *)type)->ht_module);
    }
    return ps_sorted_state_of(self);
}

/* New collection that owns t.root (consumed also on error); key may be NULL. */
PyObject *ps_sorted_new_of(ps_state *st, PyTypeObject *type, ps_btree t, PyObject *key);
/* A plain PSortedMap or PSortedSet in the order of `like`; `like` itself when it has that root. */
PyObject *ps_sorted_like(ps_state *st, PyObject *like, ps_btree t);

/* New reference: the order key of key (borrowed). Calls the key function. */
PyObject *ps_sorted_order(PyObject *key_function, PyObject *key);
/* Whether key's type can be hashed, as keys must be. 0, -1 with TypeError. */
int ps_sorted_check_key(PyObject *key);
/* A tree of what was gathered (given up, also on error): k0 v0 ... or k0 ... 0, -1. */
int ps_sorted_build(ps_state *st, ps_gather *g, int shape, PyObject *key_function, ps_btree *out);
/* A tree from a mapping, pairs or an iterable; shares the root of a collection of one order. */
int ps_sorted_tree_from(ps_state *st, int shape, PyObject *key_function, PyObject *source,
                        ps_btree *out);
/* initial and key from a constructor's arguments. */
PyObject *ps_sorted_make(ps_state *st, PyTypeObject *type, PyObject *source, PyObject *key);
PyObject *ps_sorted_tp_new(PyTypeObject *type, PyObject *args, PyObject *kwargs);

/* (type, (contents[, key])), with the instance's own state for a subclass. Steals
 * contents, which may be NULL after an error. */
PyObject *ps_sorted_reduce(PyObject *self, PyObject *contents);

/* Put all that source holds; fn (or NULL) decides where a key is there already. */
int ps_sorted_update_tree(ps_state *st, ps_btree *t, PyObject *key_function, PyObject *source,
                          PyObject *fn);
/* A new reference to entry i as Python sees it: (key, value), or the element. */
PyObject *ps_sorted_entry(ps_state *st, ps_btree t, Py_ssize_t i);
/* type_sorted_range.c: common methods: position, neighbours, ranges, ends. */
#define PS_SORTED_FAST(name)                                                                      \
    PyObject *ps_sorted_##name(PyObject *, PyObject *const *, Py_ssize_t, PyObject *)
PyObject *ps_sorted_bisect_left(PyObject *self, PyObject *key);
PyObject *ps_sorted_bisect_right(PyObject *self, PyObject *key);
PyObject *ps_sorted_index(PyObject *self, PyObject *key);
PyObject *ps_sorted_nth(PyObject *self, PyObject *i);
PyObject *ps_sorted_split(PyObject *self, PyObject *key);
PyObject *ps_sorted_pop_first(PyObject *self, PyObject *unused);
PyObject *ps_sorted_pop_last(PyObject *self, PyObject *unused);
PS_SORTED_FAST(floor);
PS_SORTED_FAST(ceiling);
PS_SORTED_FAST(lower);
PS_SORTED_FAST(higher);
PS_SORTED_FAST(first);
PS_SORTED_FAST(last);
PS_SORTED_FAST(slice);
PS_SORTED_FAST(between);
PS_SORTED_FAST(irange);

#define PS_SORTED_KEYWORDS(function)                                                              \
    (PyCFunction)(void (*)(void))(function), METH_FASTCALL | METH_KEYWORDS
#define PS_SORTED_RANGE_METHODS                                                                   \
    {"bisect_left", ps_sorted_bisect_left, METH_O,                                                \
     "bisect_left($self, key, /)\n--\n\nNumber of entries before key. Cost: O(log n)."},          \
        {"rank", ps_sorted_bisect_left, METH_O,                                                   \
         "rank($self, key, /)\n--\n\nThe same as bisect_left(key)."},                             \
        {"bisect_right", ps_sorted_bisect_right, METH_O,                                          \
         "bisect_right($self, key, /)\n--\n\nNumber of entries not after key. Cost: O(log n)."},  \
        {"bisect", ps_sorted_bisect_right, METH_O,                                                \
         "bisect($self, key, /)\n--\n\nThe same as bisect_right(key)."},                          \
        {"index", ps_sorted_index, METH_O,                                                        \
         "index($self, key, /)\n--\n\nPosition of key; ValueError if it is missing."},            \
        {"nth", ps_sorted_nth, METH_O,                                                            \
         "nth($self, i, /)\n--\n\nEntry number i; negative i counts from the end. Cost: O(log "   \
         "n)."},                                                                                  \
        {"first", PS_SORTED_KEYWORDS(ps_sorted_first),                                            \
         "first([default])\n\nThe smallest entry. Without entries "                               \
         "default, or KeyError."},                                                                \
        {"last", PS_SORTED_KEYWORDS(ps_sorted_last),                                              \
         "last([default])\n\nThe greatest entry. Without entries "                                \
         "default, or KeyError."},                                                                \
        {"floor", PS_SORTED_KEYWORDS(ps_sorted_floor),                                            \
         "floor(key[, default])\n\nThe greatest entry not after "                                 \
         "key. Without one default, or KeyError."},                                               \
        {"ceiling", PS_SORTED_KEYWORDS(ps_sorted_ceiling),                                        \
         "ceiling(key[, default])\n\nThe smallest entry not "                                     \
         "before key. Without one default, or KeyError."},                                        \
        {"lower", PS_SORTED_KEYWORDS(ps_sorted_lower),                                            \
         "lower(key[, default])\n\nThe greatest entry before key. "                               \
         "Without one default, or KeyError."},                                                    \
        {"higher", PS_SORTED_KEYWORDS(ps_sorted_higher),                                          \
         "higher(key[, default])\n\nThe smallest entry after key. "                               \
         "Without one default, or KeyError."},                                                    \
        {"pop_first", ps_sorted_pop_first, METH_NOARGS,                                           \
         "pop_first($self, /)\n--\n\n(entry, rest): the smallest entry, and all others."},        \
        {"pop_last", ps_sorted_pop_last, METH_NOARGS,                                             \
         "pop_last($self, /)\n--\n\n(entry, rest): the greatest entry, and all others."},         \
        {"slice", PS_SORTED_KEYWORDS(ps_sorted_slice),                                            \
         "slice($self, /, start=None, stop=None)\n--\n\nEntries number start to stop - 1, as "    \
         "slicing a list does.\n\nCost: O(log n); subtrees are shared."},                         \
        {"between", PS_SORTED_KEYWORDS(ps_sorted_between),                                        \
         "between($self, /, minimum=None, maximum=None, inclusive=(True, True))\n--\n\nThe "      \
         "entries with keys from minimum to maximum; None: no bound.\n\nCost: O(log n); "         \
         "subtrees are shared."},                                                                 \
        {"irange", PS_SORTED_KEYWORDS(ps_sorted_irange),                                          \
         "irange($self, /, minimum=None, maximum=None, inclusive=(True, True), "                  \
         "reverse=False)\n--\n\nIterate over the keys from minimum to maximum; None: no "         \
         "bound."},                                                                               \
        {"split", ps_sorted_split, METH_O,                                                        \
         "split($self, key, /)\n--\n\n(below, rest): the entries before key, and all others."     \
         "\n\nCost: O(log n)."}

Py_hash_t ps_sorted_hash(ps_state *st, ps_btree t, bool with_values);
PyObject *ps_sorted_check(ps_state *st, PyObject *o);

/* New iterator over entries lo..hi-1. */
PyObject *ps_sorted_iterator_new(ps_state *st, ps_btree t, ps_kind kind, Py_ssize_t lo,
                                 Py_ssize_t hi, bool reverse);
PyObject *ps_sorted_view_new(ps_state *st, PyObject *map, ps_kind kind);
PyObject *ps_sorted_evolver_new(ps_state *st, PyObject *collection);

PyObject *ps_psortedmap(PyObject *module, PyObject *const *args, Py_ssize_t nargs,
                        PyObject *kwnames);
PyObject *ps_psortedset(PyObject *module, PyObject *const *args, Py_ssize_t nargs,
                        PyObject *kwnames);

/* type_sorted_diff.c: the sorted part of _diff, _patch, _merge. */
PyObject *ps_sorted_diff(ps_state *st, PyObject *a, PyObject *b);
PyObject *ps_sorted_patch(ps_state *st, PyObject *const *args);
PyObject *ps_sorted_merge(ps_state *st, PyObject *const *args);

int ps_sorted_map_type_init(ps_state *st, PyObject *module);
int ps_sorted_set_type_init(ps_state *st, PyObject *module);
int ps_sorted_evolver_types_init(ps_state *st, PyObject *module);
int ps_sorted_view_types_init(ps_state *st, PyObject *module);
int ps_sorted_iterator_type_init(ps_state *st, PyObject *module);
int ps_sorted_types_init(ps_state *st, PyObject *module);

#endif
