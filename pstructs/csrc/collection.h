/* collection.h -- the Python objects around a tree: PMap, PSet, evolvers. */
#ifndef PS_COLLECTION_H
#define PS_COLLECTION_H

#include "champ.h"

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
    PyObject *origin;     /* the collection it started from or last gave out; NULL when changed since */
    PyObject *weakrefs;
    int width;
    bool busy;            /* an operation is in progress: writes are refused */
} ps_evolver;

/* New collection that owns t.root (consumed also on error). width 2: PMap, 1: PSet. */
PyObject *ps_collection_new(ps_state *st, int width, ps_tree t);

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

/* A tree from any mapping, pairs, set or iterable: shares the root of an own
 * collection, else builds in bulk. 0 and an owned tree, or -1. */
int ps_tree_from_object(ps_state *st, int width, PyObject *source, ps_tree *out);

int ps_map_type_init(ps_state *st, PyObject *module);
int ps_set_type_init(ps_state *st, PyObject *module);
int ps_evolver_types_init(ps_state *st, PyObject *module);
int ps_view_types_init(ps_state *st, PyObject *module);

#endif
