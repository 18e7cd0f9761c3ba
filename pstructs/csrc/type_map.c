/* type_map.c -- PMap, the persistent map, and the functions pmap() and m().
 *
 * Every update makes a new PMap that shares all nodes off one path with the old
 * one; an update that changes nothing returns the map itself. Subclasses keep
 * their attributes on their own instances; what an operation returns is a plain
 * PMap, as in pyrsistent. */
#include "collection.h"

#include "error.h"
#include "type_interop.h"

/* ---- construction */

/* A map of type `type` from what the caller gave: source may be NULL, and the
 * keyword arguments become entries. */
static PyObject *
map_make(ps_state *st, PyTypeObject *type, PyObject *source, PyObject *const *kwvalues,
         PyObject *kwnames)
{
    ps_tree t = {0, 0};
    Py_ssize_t n_keywords = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    if (n_keywords == 0 && source != NULL && Py_TYPE(source) == type && type == st->map) {
        return Py_NewRef(source);
    }
    if (n_keywords == 0) {
        if (source != NULL && ps_tree_from_object(st, 2, source, &t) < 0) {
            return NULL;
        }
    }
    else {
        ps_gather g;
        ps_gather_init(&g);
        int rc = source == NULL ? 0 : ps_gather_from(st, &g, 2, source);
        for (Py_ssize_t i = 0; rc == 0 && i < n_keywords; i++) {
            rc = ps_gather_push(&g, Py_NewRef(PyTuple_GET_ITEM(kwnames, i)));
            if (rc == 0) {
                rc = ps_gather_push(&g, Py_NewRef(kwvalues[i]));
            }
        }
        if (rc == 0) {
            rc = ps_gather_build(st, &g, 2, &t);
        }
        ps_gather_clear(&g);
        if (rc < 0) {
            return NULL;
        }
    }
    return type == st->map ? ps_collection_new(st, 2, t) : ps_collection_new_of(st, type, 2, t);
}

static PyObject *
map_vectorcall(PyObject *type, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    Py_ssize_t nargs = PyVectorcall_NARGS(nargsf);
    if (nargs > 1) {
        PyErr_Format(PyExc_TypeError, "PMap() takes at most 1 positional argument (%zd given)",
                     nargs);
        return NULL;
    }
    ps_state *st = PyModule_GetState(((PyHeapTypeObject *)type)->ht_module);
    return map_make(st, (PyTypeObject *)type, nargs ? args[0] : NULL, args + nargs, kwnames);
}

static PyObject *
map_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    ps_state *st = ps_state_of_type(type);
    if (st == NULL) {
        return NULL;
    }
    if (PyTuple_GET_SIZE(args) > 1) {
        PyErr_Format(PyExc_TypeError, "PMap() takes at most 1 positional argument (%zd given)",
                     PyTuple_GET_SIZE(args));
        return NULL;
    }
    PyObject *source = PyTuple_GET_SIZE(args) ? PyTuple_GET_ITEM(args, 0) : NULL;
    if (kwargs == NULL || PyDict_GET_SIZE(kwargs) == 0) {
        return map_make(st, type, source, NULL, NULL);
    }
    PyObject *result = NULL;
    PyObject *names = PySequence_Tuple(kwargs);
    PyObject *values = PyDict_Values(kwargs);
    if (names != NULL && values != NULL) {
        result = map_make(st, type, source, PySequence_Fast_ITEMS(values), names);
    }
    Py_XDECREF(names);
    Py_XDECREF(values);
    return result;
}

PyObject *
ps_pmap(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"initial", "pre_size"};
    PyObject *a[2];
    ps_state *st = ps_state_of_module(module);
    if (PS_LIKELY(nargs == 1 && kwnames == NULL)) {
        a[0] = args[0];
    }
    else if (ps_parse_args("pmap", args, nargs, kwnames, names, 0, 2, a) < 0) {
        return NULL;
    }
    return map_make(st, st->map, a[0] == Py_None ? NULL : a[0], NULL, NULL);
}

PyObject *
ps_m(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    if (nargs > 0) {
        PyErr_Format(PyExc_TypeError,
                     "m() takes keyword arguments only (%zd positional given); use pmap()", nargs);
        return NULL;
    }
    ps_state *st = ps_state_of_module(module);
    return map_make(st, st->map, NULL, args, kwnames);
}

/* ---- lookup */

static Py_ssize_t
map_len(PyObject *self)
{
    return ps_tree_of(self).count;
}

/* PS_FOUND: *value is a new reference. The module state is looked up when needed. */
PS_INLINE ps_found
map_find(PyObject *self, PyObject *key, PyObject **value)
{
    ps_probe p;
    switch (ps_champ_probe(ps_tree_of(self).root, 2, key, &p)) {
    case PS_PROBE_HIT:
        *value = Py_NewRef(ps_slot_obj(p.at));
        return PS_FOUND;
    case PS_PROBE_MISS:
        return PS_NOT_FOUND;
    default:
        return ps_champ_get_from(ps_collection_state(self), &p, key, value);
    }
}

static PyObject *
map_subscript(PyObject *self, PyObject *key)
{
    PyObject *value = NULL;
    ps_found found = map_find(self, key, &value);
    if (PS_LIKELY(found == PS_FOUND)) {
        return value;
    }
    return found == PS_ERROR ? NULL : ps_key_error(key);
}

static int
map_contains(PyObject *self, PyObject *key)
{
    ps_probe p;
    switch (ps_champ_probe(ps_tree_of(self).root, 2, key, &p)) {
    case PS_PROBE_HIT:
        return 1;
    case PS_PROBE_MISS:
        return 0;
    default:
        return ps_champ_contains_from(ps_collection_state(self), &p, 2, key);
    }
}

static PyObject *
map_get(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"key", "default"};
    PyObject *a[2] = {NULL, NULL}, *value = NULL;
    if (PS_LIKELY(kwnames == NULL && (nargs == 1 || nargs == 2))) {
        a[0] = args[0];
        a[1] = nargs == 2 ? args[1] : NULL;
    }
    else if (ps_parse_args("get", args, nargs, kwnames, names, 1, 2, a) < 0) {
        return NULL;
    }
    ps_found found = map_find(self, a[0], &value);
    if (found == PS_FOUND) {
        return value;
    }
    return found == PS_ERROR ? NULL : Py_NewRef(a[1] == NULL ? Py_None : a[1]);
}

/* m.key is m['key'] where no method has the name, as in pyrsistent. */
static PyObject *
map_getattr(PyObject *self, PyObject *name)
{
    PyObject *value = NULL;
    ps_found found = map_find(self, name, &value);
    if (found == PS_NOT_FOUND) {
        PyErr_Format(PyExc_AttributeError, "%.100s has no attribute '%S' and no key of that name",
                     Py_TYPE(self)->tp_name, name);
    }
    return found == PS_FOUND ? value : NULL;
}

static PyObject *
map_getattro(PyObject *self, PyObject *name)
{
    PyObject *value = PyObject_GenericGetAttr(self, name);
    if (PS_LIKELY(value != NULL) || !PyErr_ExceptionMatches(PyExc_AttributeError)) {
        return value;
    }
    PyErr_Clear();
    return map_getattr(self, name);
}

/* ---- updates */

static PyObject *
map_set(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"key", "val"};
    PyObject *a[2];
    if (PS_LIKELY(kwnames == NULL && nargs == 2)) {
        a[0] = args[0];
        a[1] = args[1];
    }
    else if (ps_parse_args("set", args, nargs, kwnames, names, 2, 2, a) < 0) {
        return NULL;
    }
    ps_state *st = ps_collection_state(self);
    ps_tree t = ps_tree_share(st, ps_tree_of(self));
    ps_slot garbage[2] = {0, 0};
    ps_change change = ps_champ_set(st, &t, 2, a[0], a[1], false, garbage);
    ps_slot_xdecref(st, garbage[0]);
    ps_slot_xdecref(st, garbage[1]);
    if (change <= PS_UNCHANGED) {
        ps_tree_drop(st, t);
        return change == PS_FAILED ? NULL : Py_NewRef(self);
    }
    return ps_collection_new(st, 2, t);
}

/* Shared by remove and discard: new reference, or NULL and *missing. */
static PyObject *
map_take(PyObject *self, PyObject *key, bool *missing)
{
    ps_state *st = ps_collection_state(self);
    ps_tree t = ps_tree_share(st, ps_tree_of(self));
    ps_slot garbage[2] = {0, 0};
    ps_change change = ps_champ_remove(st, &t, 2, key, false, garbage);
    ps_slot_xdecref(st, garbage[0]);
    ps_slot_xdecref(st, garbage[1]);
    if (change <= PS_UNCHANGED) {
        ps_tree_drop(st, t);
        *missing = change == PS_UNCHANGED;
        return NULL;
    }
    *missing = false;
    return ps_collection_new(st, 2, t);
}

static PyObject *
map_remove(PyObject *self, PyObject *key)
{
    bool missing;
    PyObject *result = map_take(self, key, &missing);
    return missing ? ps_key_error(key) : result;
}

static PyObject *
map_discard(PyObject *self, PyObject *key)
{
    bool missing;
    PyObject *result = map_take(self, key, &missing);
    return missing ? Py_NewRef(self) : result;
}

/* Below this many entries an update is cheaper one by one than by building a
 * tree and joining it. */
#define UPDATE_ONE_BY_ONE 8

/* Set every gathered entry in *t, which nobody else reaches; fn decides where the
 * key is there already (NULL: the new value wins). Ends with a published tree. */
static int
put_gathered(ps_state *st, ps_tree *t, ps_gather *g, PyObject *fn)
{
    int rc = 0;
    for (Py_ssize_t i = 0; rc == 0 && i < g->n; i += 2) {
        PyObject *key = g->items[i], *value = Py_NewRef(g->items[i + 1]);
        if (fn != NULL) {
            PyObject *old = NULL;
            ps_found found = ps_champ_get(st, t->root, key, &old);
            if (found == PS_FOUND) {
                Py_SETREF(value, PyObject_CallFunctionObjArgs(fn, old, value, NULL));
                Py_DECREF(old);
            }
            if (found == PS_ERROR || value == NULL) {
                Py_XDECREF(value);
                rc = -1;
                break;
            }
        }
        ps_slot garbage[2] = {0, 0};
        if (ps_champ_set(st, t, 2, key, value, true, garbage) == PS_FAILED) {
            rc = -1;
        }
        Py_DECREF(value);
        ps_slot_xdecref(st, garbage[0]);
        ps_slot_xdecref(st, garbage[1]);
    }
    return rc;
}

/* *t becomes t updated with one source. */
static int
update_tree(ps_state *st, ps_tree *t, PyObject *source, PyObject *fn)
{
    ps_tree other, joined;
    if (fn == NULL && ps_is_map(st, source)) {
        if (ps_champ_union(st, *t, ps_tree_of(source), 2, &joined) < 0) {
            return -1;
        }
        ps_tree_drop(st, *t);
        *t = joined;
        return 0;
    }
    ps_gather g;
    ps_gather_init(&g);
    int rc = ps_gather_from(st, &g, 2, source);
    if (rc == 0 && fn == NULL && g.n > 2 * UPDATE_ONE_BY_ONE) {
        rc = ps_gather_build(st, &g, 2, &other);
        if (rc == 0) {
            rc = ps_champ_union(st, *t, other, 2, &joined);
            if (rc == 0) {
                ps_tree_drop(st, *t);
                *t = joined;
            }
            ps_tree_drop(st, other);
        }
    }
    else if (rc == 0 && g.n > 0) {
        rc = put_gathered(st, t, &g, fn);
        if (t->root) {
            ps_champ_publish(st, t->root);
        }
    }
    ps_gather_clear(&g);
    return rc;
}

static PyObject *
map_update_all(PyObject *self, PyObject *const *sources, Py_ssize_t n, PyObject *fn)
{
    ps_state *st = ps_collection_state(self);
    ps_tree start = ps_tree_of(self);
    ps_tree t = ps_tree_share(st, start);
    for (Py_ssize_t i = 0; i < n; i++) {
        if (update_tree(st, &t, sources[i], fn) < 0) {
            ps_tree_drop(st, t);
            return NULL;
        }
    }
    if (t.root == start.root) {
        ps_tree_drop(st, t);
        return Py_NewRef(self);
    }
    return ps_collection_new(st, 2, t);
}

static PyObject *
map_update(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    return map_update_all(self, args, nargs, NULL);
}

static PyObject *
map_update_with(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs < 1) {
        PyErr_SetString(PyExc_TypeError,
                        "update_with() missing 1 required positional argument: 'update_fn'");
        return NULL;
    }
    return map_update_all(self, args + 1, nargs - 1, args[0]);
}

/* a | b and a + b with one PMap and any Mapping: b's values win. */
static PyObject *
map_or(PyObject *a, PyObject *b)
{
    ps_state *st = ps_state_of_operand(a);
    if (st != NULL && ps_is_map(st, a)) {
        int rc = ps_is_any_mapping(st, b);
        if (rc <= 0) {
            return rc < 0 ? NULL : Py_NewRef(Py_NotImplemented);
        }
        return map_update_all(a, &b, 1, NULL);
    }
    st = ps_state_of_operand(b);
    int rc = ps_is_any_mapping(st, a);
    if (rc <= 0) {
        return rc < 0 ? NULL : Py_NewRef(Py_NotImplemented);
    }
    PyObject *left = map_make(st, st->map, a, NULL, NULL);
    if (left == NULL) {
        return NULL;
    }
    PyObject *result = map_update_all(left, &b, 1, NULL);
    Py_DECREF(left);
    return result;
}

static PyObject *
map_evolver(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return ps_evolver_new(ps_collection_state(self), self, 2);
}

/* ---- views and iterators */

static PyObject *
map_keys(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return ps_view_new(ps_collection_state(self), self, PS_KEYS);
}

static PyObject *
map_values(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return ps_view_new(ps_collection_state(self), self, PS_VALUES);
}

static PyObject *
map_items(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return ps_view_new(ps_collection_state(self), self, PS_ITEMS);
}

static PyObject *
map_iter(PyObject *self)
{
    return ps_iterator_new(ps_collection_state(self), ps_tree_of(self), 2, PS_KEYS);
}

static PyObject *
map_iterkeys(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return map_iter(self);
}

static PyObject *
map_itervalues(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return ps_iterator_new(ps_collection_state(self), ps_tree_of(self), 2, PS_VALUES);
}

static PyObject *
map_iteritems(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return ps_iterator_new(ps_collection_state(self), ps_tree_of(self), 2, PS_ITEMS);
}

static PyObject *
map_reversed(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    PyErr_SetString(PyExc_TypeError, "a PMap is in hash order, which has no meaningful reverse; "
                                     "use sorted(m, reverse=True)");
    return NULL;
}

/* ---- as a value */

static PyObject *
map_repr(PyObject *self)
{
    int rc = Py_ReprEnter(self);
    if (rc != 0) {
        return rc < 0 ? NULL : PyUnicode_FromString("pmap({...})");
    }
    PyObject *result = NULL, *pair, *comma = NULL, *joined = NULL;
    PyObject *parts = PyList_New(0), *it = map_iteritems(self, NULL);
    if (parts == NULL || it == NULL) {
        goto done;
    }
    while ((pair = PyIter_Next(it)) != NULL) {
        PyObject *part =
            PyUnicode_FromFormat("%R: %R", PyTuple_GET_ITEM(pair, 0), PyTuple_GET_ITEM(pair, 1));
        Py_DECREF(pair);
        if (part == NULL || PyList_Append(parts, part) < 0) {
            Py_XDECREF(part);
            goto done;
        }
        Py_DECREF(part);
    }
    if (PyErr_Occurred() || (comma = PyUnicode_FromString(", ")) == NULL ||
        (joined = PyUnicode_Join(comma, parts)) == NULL) {
        goto done;
    }
    result = PyUnicode_FromFormat("pmap({%U})", joined);
done:
    Py_XDECREF(parts);
    Py_XDECREF(it);
    Py_XDECREF(comma);
    Py_XDECREF(joined);
    Py_ReprLeave(self);
    return result;
}

static Py_hash_t
map_hash(PyObject *self)
{
    ps_collection *c = (ps_collection *)self;
    if (c->hash == -1) {
        c->hash = ps_tree_hash(ps_collection_state(self), c->tree, 2, true);
    }
    return c->hash;
}

/* Every entry of self is in the dict, of the same size, with an equal value. */
static int
equal_to_dict(PyObject *self, PyObject *dict)
{
    PyObject *it = map_iteritems(self, NULL), *pair;
    if (it == NULL) {
        return -1;
    }
    int rc = 1;
    while (rc > 0 && (pair = PyIter_Next(it)) != NULL) {
        PyObject *other = PyDict_GetItemWithError(dict, PyTuple_GET_ITEM(pair, 0));
        if (other == NULL) {
            rc = PyErr_Occurred() ? -1 : 0;
        }
        else {
            Py_INCREF(other);
            rc = PyObject_RichCompareBool(PyTuple_GET_ITEM(pair, 1), other, Py_EQ);
            Py_DECREF(other);
        }
        Py_DECREF(pair);
    }
    Py_DECREF(it);
    return rc > 0 && PyErr_Occurred() ? -1 : rc;
}

static int
equal_to_mapping(PyObject *self, PyObject *other)
{
    Py_ssize_t n = PyObject_Size(other);
    if (n != map_len(self)) {
        return n < 0 ? -1 : 0;
    }
    if (PyDict_Check(other)) {
        return equal_to_dict(self, other);
    }
    PyObject *dict = PyDict_New();
    int rc = -1;
    if (dict != NULL && PyDict_Update(dict, other) == 0) {
        rc = PyDict_GET_SIZE(dict) == n ? equal_to_dict(self, dict) : 0;
    }
    Py_XDECREF(dict);
    return rc;
}

static PyObject *
map_richcompare(PyObject *self, PyObject *other, int op)
{
    if (op != Py_EQ && op != Py_NE) {
        PyErr_SetString(PyExc_TypeError, "PMaps are not orderable");
        return NULL;
    }
    int rc = self == other;
    if (!rc) {
        ps_state *st = ps_collection_state(self);
        if (ps_is_map(st, other)) {
            ps_collection *a = (ps_collection *)self, *b = (ps_collection *)other;
            bool differ = a->tree.count != b->tree.count ||
                          (a->hash != -1 && b->hash != -1 && a->hash != b->hash);
            rc = differ ? 0 : ps_champ_equal(st, a->tree, b->tree, 2);
        }
        else {
            rc = ps_is_any_mapping(st, other);
            if (rc == 0) {
                Py_RETURN_NOTIMPLEMENTED;
            }
            rc = rc < 0 ? -1 : equal_to_mapping(self, other);
        }
    }
    return rc < 0 ? NULL : PyBool_FromLong(op == Py_EQ ? rc : !rc);
}

static PyObject *
map_copy(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return Py_NewRef(self);
}

/* (type, (dict,)), with the instance's own state for a subclass. */
static PyObject *
map_reduce(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *dict = PyDict_New(), *items = map_iteritems(self, NULL);
    if (dict == NULL || items == NULL || PyDict_MergeFromSeq2(dict, items, 1) < 0) {
        Py_XDECREF(dict);
        Py_XDECREF(items);
        return NULL;
    }
    Py_DECREF(items);
    ps_state *st = ps_collection_state(self);
    if (Py_TYPE(self) == st->map) {
        return Py_BuildValue("O(N)", st->map, dict);
    }
    PyObject *state = PyObject_CallMethod(self, "__getstate__", NULL);
    if (state == NULL) {
        Py_DECREF(dict);
        return NULL;
    }
    return Py_BuildValue("O(N)N", Py_TYPE(self), dict, state);
}

PS_NAMED_ARG(map_remove, "remove", "key")
PS_NAMED_ARG(map_discard, "discard", "key")

static PyMethodDef map_methods[] = {
    {"get", (PyCFunction)(void (*)(void))map_get, METH_FASTCALL | METH_KEYWORDS,
     "get($self, /, key, default=None)\n--\n\nThe value of key, or default."},
    {"set", (PyCFunction)(void (*)(void))map_set, METH_FASTCALL | METH_KEYWORDS,
     "set($self, /, key, val)\n--\n\nA map in which key has the value val."},
    {"remove", PS_NAMED(map_remove),
     "remove($self, /, key)\n--\n\nA map without key; KeyError if it is missing."},
    {"discard", PS_NAMED(map_discard),
     "discard($self, /, key)\n--\n\nA map without key; the map itself if it is missing."},
    {"update", (PyCFunction)(void (*)(void))map_update, METH_FASTCALL,
     "update($self, /, *maps)\n--\n\nA map with the entries of maps as well; the rightmost value "
     "wins."},
    {"update_with", (PyCFunction)(void (*)(void))map_update_with, METH_FASTCALL,
     "update_with($self, update_fn, /, *maps)\n--\n\nAs update(); where a key is there already "
     "its "
     "value becomes\nupdate_fn(old, new)."},
    {"transform", (PyCFunction)(void (*)(void))ps_transform, METH_FASTCALL,
     "transform($self, /, *transformations)\n--\n\nA map with changes made along paths: "
     "transform(path, change, ...).\n\nA path is a list of keys; a function in it stands for "
     "the keys that it\npicks. A change is a function of the old value, the word discard, or a "
     "new\nvalue."},
    {"evolver", map_evolver, METH_NOARGS,
     "evolver($self, /)\n--\n\nA mutable builder that starts from this map."},
    {"keys", map_keys, METH_NOARGS, "keys($self, /)\n--\n\nThe keys, as a Set."},
    {"values", map_values, METH_NOARGS, "values($self, /)\n--\n\nThe values, as a Collection."},
    {"items", map_items, METH_NOARGS, "items($self, /)\n--\n\nThe (key, value) pairs, as a Set."},
    {"iterkeys", map_iterkeys, METH_NOARGS, "iterkeys($self, /)\n--\n\nIterate over the keys."},
    {"itervalues", map_itervalues, METH_NOARGS,
     "itervalues($self, /)\n--\n\nIterate over the values."},
    {"iteritems", map_iteritems, METH_NOARGS,
     "iteritems($self, /)\n--\n\nIterate over the (key, value) pairs."},
    {"copy", map_copy, METH_NOARGS, "copy($self, /)\n--\n\nThe map itself: it never changes."},
    {"__copy__", ps_collection_copy, METH_NOARGS,
     "__copy__($self, /)\n--\n\nThe map itself; of a subclass a new one with the same state."},
    {"__reduce__", map_reduce, METH_NOARGS,
     "__reduce__($self, /)\n--\n\nFor pickle and deepcopy."},
    {"__getattr__", map_getattr, METH_O,
     "__getattr__($self, name, /)\n--\n\nself[name] where there is no attribute of that name."},
    {"__reversed__", map_reversed, METH_NOARGS,
     "__reversed__($self, /)\n--\n\nRaises TypeError: hash order has no reverse."},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS,
     "__class_getitem__($type, item, /)\n--\n\nPMap[K, V]."},
    PS_INTEROP_METHODS,
    {NULL, NULL, 0, NULL},
};

static PyMemberDef map_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(ps_collection, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(map_doc,
             "PMap(initial=(), /, **entries)\n--\n\n"
             "A persistent map: every update returns a new map and the old one stays valid.\n\n"
             "initial is a mapping or an iterable of (key, value) pairs. Keys are hashable;\n"
             "equal keys keep the first key and the last value.\n\n"
             "Cost: get, set and remove O(log32 n); len and copy O(1); building O(n).\n\n"
             "Examples\n--------\n"
             ">>> from pstructs import m\n"
             ">>> old = m(a=1, b=2)\n"
             ">>> new = old.set('a', 3)\n"
             ">>> old['a'], new['a'], new.b\n"
             "(1, 3, 2)\n");

static PyType_Slot map_slots[] = {
    {Py_tp_doc, (void *)map_doc},
    {Py_tp_new, map_new},
    {Py_tp_dealloc, ps_collection_dealloc},
    {Py_tp_traverse, ps_collection_traverse},
    {Py_tp_getattro, map_getattro},
    {Py_tp_repr, map_repr},
    {Py_tp_hash, map_hash},
    {Py_tp_richcompare, map_richcompare},
    {Py_tp_iter, map_iter},
    {Py_tp_methods, map_methods},
    {Py_tp_members, map_members},
    {Py_mp_length, map_len},
    {Py_mp_subscript, map_subscript},
    {Py_sq_contains, map_contains},
    {Py_nb_or, map_or},
    {Py_nb_add, map_or},
    {0, NULL},
};

static PyType_Spec map_spec = {
    .name = "pstructs.PMap",
    .basicsize = sizeof(ps_collection),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_MAPPING |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = map_slots,
};

int
ps_map_type_init(ps_state *st, PyObject *module)
{
    st->map = (PyTypeObject *)PyType_FromModuleAndSpec(module, &map_spec, NULL);
    if (st->map == NULL) {
        return -1;
    }
    st->map->tp_vectorcall = map_vectorcall;
    return PyModule_AddType(module, st->map);
}
