/* collection.h -- the Python objects around a tree: PMap, PSet, evolvers, views,
 * iterators.
 *
 * A collection owns one reference to its root and never changes. An evolver
 * owns a root that it writes in place where nobody else reaches it. Views and
 * iterators hold the collection, or nodes, that they show.
 */
#ifndef PS_COLLECTION_H
#define PS_COLLECTION_H

#include "champ.h"

#include <structmember.h>

/* PMap and PSet share one layout; a subclass may add to it. */
typedef struct {
    PyObject_HEAD
    ps_tree tree;
    Py_hash_t hash;       /* -1: not computed yet */
    PyObject *weakrefs;
} ps_collection;

typedef struct {
    PyObject_HEAD
    ps_tree tree;
    PyObject
        *origin; /* the collection it started from or last gave out; NULL when changed since */
    PyObject *weakrefs;
    int width;
    bool busy; /* an operation is in progress: writes are refused */
} ps_evolver;

/* What a view or an iterator shows. Elements of a PSet are its keys. */
typedef enum {
    PS_KEYS = 0,
    PS_VALUES = 1,
    PS_ITEMS = 2,
} ps_kind;

typedef struct {
    PyObject_HEAD
    ps_collection *map; /* owned */
    ps_kind kind;
} ps_view;

/* New collection that owns t.root (consumed also on error). width 2: PMap, 1: PSet. */
PyObject *ps_collection_new(ps_state *st, int width, ps_tree t);
/* The same for a subclass (or PMap / PSet themselves). */
PyObject *ps_collection_new_of(ps_state *st, PyTypeObject *type, int width, ps_tree t);

/* __copy__ of PMap and PSet: the collection itself; for an instance of a subclass, which may
 * have attributes, a new one with the same root and its state. */
PyObject *ps_collection_copy(PyObject *self, PyObject *unused);

/* tp_dealloc and tp_traverse of PMap and PSet; tp_dealloc of views. */
void ps_collection_dealloc(PyObject *self);
void ps_view_dealloc(PyObject *self);
int ps_collection_traverse(PyObject *self, visitproc visit, void *arg);

/* The module state when o is an own collection (or of a subclass) or view; else
 * NULL, without an exception. */
ps_state *ps_state_of_operand(PyObject *o);

/* The module state, from a PMap or PSet or an instance of a subclass. */
PS_INLINE ps_state *
ps_collection_state(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    if (PS_LIKELY(type->tp_dealloc == ps_collection_dealloc)) {
        return PyModule_GetState(((PyHeapTypeObject *)type)->ht_module);
    }
    return ps_state_of_operand(self);
}

/* The module state, from an instance of a type that can't be subclassed. */
PS_INLINE ps_state *
ps_final_state(PyObject *self)
{
    return PyModule_GetState(((PyHeapTypeObject *)Py_TYPE(self))->ht_module);
}

PS_INLINE ps_tree
ps_tree_of(PyObject *collection)
{
    return ((ps_collection *)collection)->tree;
}

/* t with a new reference to its root. */
PS_INLINE ps_tree
ps_tree_share(ps_state *st, ps_tree t)
{
    if (t.root) {
        ps_slot_incref(st, t.root);
    }
    return t;
}

PS_INLINE void
ps_tree_drop(ps_state *st, ps_tree t)
{
    ps_slot_xdecref(st, t.root);
}

PS_INLINE bool
ps_is_map(ps_state *st, PyObject *o)
{
    return Py_TYPE(o) == st->map || PyType_IsSubtype(Py_TYPE(o), st->map);
}

PS_INLINE bool
ps_is_set(ps_state *st, PyObject *o)
{
    return Py_TYPE(o) == st->set || PyType_IsSubtype(Py_TYPE(o), st->set);
}

PS_INLINE bool
ps_is_view(ps_state *st, PyObject *o)
{
    return Py_TYPE(o) == st->keys_view || Py_TYPE(o) == st->items_view;
}

/* A tree from any mapping, pairs, set or iterable: shares the root of an own
 * collection, else builds in bulk. 0 and an owned tree, or -1. */
int ps_tree_from_object(ps_state *st, int width, PyObject *source, ps_tree *out);
/* The set of the keys of a map's tree. 0 and an owned tree, or -1. */
int ps_tree_of_keys(ps_state *st, ps_tree map, ps_tree *out);

/* Entries collected from user objects before a tree is touched: k0 v0 k1 v1 ...
 * or k0 k1 ..., all owned. Start with ps_gather_init, end with ps_gather_clear. */
#define PS_GATHER_SMALL 32
typedef struct {
    PyObject **items;
    Py_ssize_t n; /* objects in items */
    Py_ssize_t cap;
    PyObject *small[PS_GATHER_SMALL];
} ps_gather;

void ps_gather_init(ps_gather *g);
void ps_gather_clear(ps_gather *g);
/* Append item, stealing it, also on error. 0 or -1. */
int ps_gather_push(ps_gather *g, PyObject *item);
/* Append what source holds: a mapping or pairs (width 2), an iterable (width 1). 0 or -1. */
int ps_gather_from(ps_state *st, ps_gather *g, int width, PyObject *source);

/* A new tree of what was gathered, which is given up, also on error. 0 or -1. */
int ps_gather_build(ps_state *st, ps_gather *g, int width, ps_tree *out);

/* isinstance(o, collections.abc.Mapping) / Set; 1, 0, -1. Built-in and own types are quick. */
int ps_is_any_mapping(ps_state *st, PyObject *o);
int ps_is_any_set(ps_state *st, PyObject *o);
/* Whether iter(o) could work. */
PS_INLINE bool
ps_is_iterable(PyObject *o)
{
    return Py_TYPE(o)->tp_iter != NULL || PySequence_Check(o);
}

/* What frozenset's hash would be for the tree's keys, or for its (key, value) pairs;
 * -1 with an exception. */
Py_hash_t ps_tree_hash(ps_state *st, ps_tree t, int width, bool with_values);

/* Hooks of the hash domain: H1 or H2 of a PMap or PSet; whether all in it is stable. */
int ps_collection_stable_hash(ps_state *st, PyObject *collection, int which, int depth,
                              uint64_t *h);
int ps_collection_is_stable(ps_state *st, PyObject *collection, int depth);

/* KeyError with key as its only argument, also when key is a tuple. Returns NULL. */
PyObject *ps_key_error(PyObject *key);

/* Arguments of a FASTCALL | KEYWORDS method by name: out[i] is borrowed, or NULL
 * when it was not given. 0, or -1 with a TypeError. */
int ps_parse_args(const char *function, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                  const char *const *names, int n_required, int n_names, PyObject **out);

/* The one argument of a FASTCALL | KEYWORDS method, by position or by name; borrowed. NULL with
 * a TypeError. */
PS_INLINE PyObject *
ps_one_arg(const char *function, const char *name, PyObject *const *args, Py_ssize_t nargs,
           PyObject *kwnames)
{
    PyObject *argument;
    if (PS_LIKELY(nargs == 1 && kwnames == NULL)) {
        return args[0];
    }
    return ps_parse_args(function, args, nargs, kwnames, &name, 1, 1, &argument) < 0 ? NULL
                                                                                     : argument;
}

/* Define <method>_named, a FASTCALL | KEYWORDS method with one argument, from one like METH_O. */
#define PS_NAMED_ARG(method, function, name)                                                      \
    static PyObject *method##_named(PyObject *self, PyObject *const *args, Py_ssize_t nargs,      \
                                    PyObject *kwnames)                                            \
    {                                                                                             \
        PyObject *argument = ps_one_arg(function, name, args, nargs, kwnames);                    \
        return argument == NULL ? NULL : method(self, argument);                                  \
    }
#define PS_NAMED(method)                                                                          \
    (PyCFunction)(void (*)(void))(method##_named), METH_FASTCALL | METH_KEYWORDS

/* The method transform(*transformations): pstructs._transformations does it. */
PyObject *ps_transform(PyObject *self, PyObject *const *args, Py_ssize_t nargs);

/* New iterator over a tree (shares its root). */
PyObject *ps_iterator_new(ps_state *st, ps_tree t, int width, ps_kind kind);
/* New view of a map. */
PyObject *ps_view_new(ps_state *st, PyObject *map, ps_kind kind);
/* New evolver that starts from a collection. */
PyObject *ps_evolver_new(ps_state *st, PyObject *collection, int width);

/* type_algebra.c: the operators of PSet and of the set-like views. Each nb slot
 * takes an own object on either side. */
PyObject *ps_setlike_or(PyObject *a, PyObject *b);
PyObject *ps_setlike_and(PyObject *a, PyObject *b);
PyObject *ps_setlike_subtract(PyObject *a, PyObject *b);
PyObject *ps_setlike_xor(PyObject *a, PyObject *b);
PyObject *ps_setlike_richcompare(PyObject *a, PyObject *b, int op);
PyObject *ps_setlike_isdisjoint(PyObject *self, PyObject *other);
/* The named methods: self with each of others in turn; other may be any iterable. */
PyObject *ps_setlike_union(PyObject *self, PyObject *const *others, Py_ssize_t n);
PyObject *ps_setlike_intersection(PyObject *self, PyObject *const *others, Py_ssize_t n);
PyObject *ps_setlike_difference(PyObject *self, PyObject *const *others, Py_ssize_t n);
PyObject *ps_setlike_symmetric_difference(PyObject *self, PyObject *other);
PyObject *ps_setlike_issubset(PyObject *self, PyObject *other);
PyObject *ps_setlike_issuperset(PyObject *self, PyObject *other);

/* Functions of the module. */
PyObject *ps_pmap(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
PyObject *ps_m(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
PyObject *ps_pset(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
PyObject *ps_s(PyObject *module, PyObject *const *args, Py_ssize_t nargs);
PyObject *ps_partition(PyObject *module, PyObject *const *args, Py_ssize_t nargs,
                       PyObject *kwnames);
PyObject *ps_check(PyObject *module, PyObject *collection);

/* type_record.c: (class, dict) -> a record of the class, nothing checked. */
PyObject *ps_record_make(PyObject *module, PyObject *args);

/* type_diff.c: Python functions of the module. */
PyObject *ps_diff(PyObject *module, PyObject *const *args, Py_ssize_t nargs);
PyObject *ps_patch(PyObject *module, PyObject *const *args, Py_ssize_t nargs);
PyObject *ps_merge(PyObject *module, PyObject *const *args, Py_ssize_t nargs);

int ps_map_type_init(ps_state *st, PyObject *module);
int ps_set_type_init(ps_state *st, PyObject *module);
int ps_evolver_types_init(ps_state *st, PyObject *module);
int ps_view_types_init(ps_state *st, PyObject *module);
int ps_iterator_type_init(ps_state *st, PyObject *module);
int ps_record_types_init(ps_state *st, PyObject *module);

/* All of the above, and the empty collections. */
int ps_types_init(ps_state *st, PyObject *module);
int ps_types_traverse(ps_state *st, visitproc visit, void *arg);
void ps_types_clear(ps_state *st);

#endif
