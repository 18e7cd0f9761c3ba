/* type_sorted_map.c -- PSortedMap, the persistent map in the order of its keys.
 *
 * What a PMap offers, by order instead of by hash, and what only order can offer
 * (type_sorted_range.c). Equal to any mapping of equal content, and then of equal hash; the order
 * is no part of the value, as with collections.OrderedDict beside dict. */
#include "sorted.h"

static Py_ssize_t
map_len(PyObject *self)
{
    return ps_sorted_tree(self).count;
}

/* PS_FOUND: *value is a new reference. */
PS_INLINE ps_found
map_find(PyObject *self, PyObject *key, PyObject **value)
{
    ps_sorted *m = (ps_sorted *)self;
    if (PS_LIKELY(m->key == NULL)) {
        ps_bt_probe p;
        ps_node *leaf;
        ps_bt_probe_init(&p, key);
        int at = ps_bt_quick(m->tree.root, &p, &leaf);
        if (at == PS_BT_MISSING) {
            return PS_NOT_FOUND;
        }
        ps_slot v = at >= 0 ? ps_bt_leaf_slot(leaf, 1, at) : 1;
        if (PS_LIKELY(!ps_slot_is_packed(v))) {
            *value = Py_NewRef(ps_slot_obj(v));
            return PS_FOUND;
        }
        return ps_bt_find(ps_sorted_state(self), m->tree, key, NULL, value);
    }
    PyObject *order = ps_sorted_order(m->key, key);
    if (order == NULL) {
        return PS_ERROR;
    }
    ps_found found = ps_bt_find(ps_sorted_state(self), m->tree, order, NULL, value);
    Py_DECREF(order);
    return found;
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
    PyObject *value = NULL;
    ps_found found = map_find(self, key, &value);
    Py_XDECREF(value);
    return found;
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
    ps_state *st = ps_sorted_state(self);
    PyObject *order = NULL;
    if (ps_sorted_check_key(a[0]) < 0 ||
        (order = ps_sorted_order(((ps_sorted *)self)->key, a[0])) == NULL) {
        return NULL;
    }
    ps_btree t = ps_bt_share(st, ps_sorted_tree(self));
    ps_slot garbage[2];
    ps_bt_change change = ps_bt_set(st, &t, order, a[0], a[1], false, garbage);
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
map_take(PyObject *self, PyObject *key, bool *missing)
{
    ps_state *st = ps_sorted_state(self);
    *missing = false;
    PyObject *order = ps_sorted_order(((ps_sorted *)self)->key, key);
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

static PyObject *
map_update_all(PyObject *self, PyObject *const *sources, Py_ssize_t n, PyObject *fn)
{
    ps_state *st = ps_sorted_state(self);
    ps_btree t = ps_bt_share(st, ps_sorted_tree(self));
    for (Py_ssize_t i = 0; i < n; i++) {
        if (ps_sorted_update_tree(st, &t, ((ps_sorted *)self)->key, sources[i], fn) < 0) {
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

/* a | b and a + b with a PSortedMap on either side and any Mapping: b's values win. */
static PyObject *
map_or(PyObject *a, PyObject *b)
{
    ps_state *st = ps_sorted_state_of(a);
    if (st != NULL && ps_is_sorted_map(st, a)) {
        int rc = ps_is_sorted_map(st, b) ? 1 : ps_is_any_mapping(st, b);
        if (rc <= 0) {
            return rc < 0 ? NULL : Py_NewRef(Py_NotImplemented);
        }
        return map_update_all(a, &b, 1, NULL);
    }
    st = ps_sorted_state_of(b);
    int rc = ps_is_any_mapping(st, a);
    if (rc <= 0) {
        return rc < 0 ? NULL : Py_NewRef(Py_NotImplemented);
    }
    PyObject *left = ps_sorted_make(st, st->sorted_map, a, ((ps_sorted *)b)->key);
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
    return ps_sorted_evolver_new(ps_sorted_state(self), self);
}

/* ---- iteration */

static PyObject *
iterate(PyObject *self, ps_kind kind, bool reverse)
{
    ps_btree t = ps_sorted_tree(self);
    return ps_sorted_iterator_new(ps_sorted_state(self), t, kind, 0, t.count, reverse);
}

static PyObject *
map_iter(PyObject *self)
{
    return iterate(self, PS_KEYS, false);
}

static PyObject *
map_iterkeys(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return iterate(self, PS_KEYS, false);
}

static PyObject *
map_itervalues(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return iterate(self, PS_VALUES, false);
}

static PyObject *
map_iteritems(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return iterate(self, PS_ITEMS, false);
}

static PyObject *
map_reversed(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return iterate(self, PS_KEYS, true);
}

static PyObject *
map_keys(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return ps_sorted_view_new(ps_sorted_state(self), self, PS_KEYS);
}

static PyObject *
map_values(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return ps_sorted_view_new(ps_sorted_state(self), self, PS_VALUES);
}

static PyObject *
map_items(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return ps_sorted_view_new(ps_sorted_state(self), self, PS_ITEMS);
}

/* ---- as a value */

/* The entries as a dict, in order. New reference. */
static PyObject *
as_dict(PyObject *self)
{
    PyObject *dict = PyDict_New(), *items = iterate(self, PS_ITEMS, false);
    if (dict == NULL || items == NULL || PyDict_MergeFromSeq2(dict, items, 1) < 0) {
        Py_CLEAR(dict);
    }
    Py_XDECREF(items);
    return dict;
}

static PyObject *
map_repr(PyObject *self)
{
    int rc = Py_ReprEnter(self);
    if (rc != 0) {
        return rc < 0 ? NULL : PyUnicode_FromString("psortedmap({...})");
    }
    PyObject *result = NULL, *pair, *comma = NULL, *joined = NULL;
    PyObject *parts = PyList_New(0), *it = iterate(self, PS_ITEMS, false);
    PyObject *key = ((ps_sorted *)self)->key;
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
    result = key == NULL ? PyUnicode_FromFormat("psortedmap({%U})", joined)
                         : PyUnicode_FromFormat("psortedmap({%U}, key=%R)", joined, key);
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
    ps_sorted *m = (ps_sorted *)self;
    if (m->hash == -1) {
        m->hash = ps_sorted_hash(ps_sorted_state(self), m->tree, true);
    }
    return m->hash;
}

/* Every entry of self is in the dict, of the same size, with an equal value. By hash:
 * keys that can't be ordered beside ours are unequal, and no error. */
static int
equal_to_dict(PyObject *self, PyObject *dict)
{
    if (PyDict_GET_SIZE(dict) != map_len(self)) {
        return 0;
    }
    PyObject *it = iterate(self, PS_ITEMS, false), *pair;
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
    int rc = dict == NULL || PyDict_Update(dict, other) < 0 ? -1 : equal_to_dict(self, dict);
    Py_XDECREF(dict);
    return rc;
}

static PyObject *
map_richcompare(PyObject *self, PyObject *other, int op)
{
    if (op != Py_EQ && op != Py_NE) {
        PyErr_SetString(PyExc_TypeError, "PSortedMaps are not orderable");
        return NULL;
    }
    int rc = self == other;
    if (!rc) {
        ps_state *st = ps_sorted_state(self);
        ps_sorted *a = (ps_sorted *)self, *b = (ps_sorted *)other;
        if (ps_is_sorted_map(st, other) && a->key == b->key) {
            bool differ = a->tree.count != b->tree.count ||
                          (a->hash != -1 && b->hash != -1 && a->hash != b->hash);
            rc = differ ? 0 : ps_bt_equal(st, a->tree, b->tree);
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

static PyObject *
map_reduce(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return ps_sorted_reduce(self, as_dict(self));
}

static PyObject *
map_key(PyObject *self, void *Py_UNUSED(closure))
{
    PyObject *key = ((ps_sorted *)self)->key;
    return Py_NewRef(key == NULL ? Py_None : key);
}

static PyGetSetDef map_getset[] = {
    {"key", map_key, NULL, "The key function; None: natural order.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef map_methods[] = {
    {"get", PS_SORTED_KEYWORDS(map_get),
     "get($self, /, key, default=None)\n--\n\nThe value of key, or default."},
    {"set", PS_SORTED_KEYWORDS(map_set),
     "set($self, /, key, val)\n--\n\nA map in which key has the value val."},
    {"remove", map_remove, METH_O,
     "remove($self, key, /)\n--\n\nA map without key; KeyError if it is missing."},
    {"discard", map_discard, METH_O,
     "discard($self, key, /)\n--\n\nA map without key; the map itself if it is missing."},
    {"update", (PyCFunction)(void (*)(void))map_update, METH_FASTCALL,
     "update($self, /, *maps)\n--\n\nA map with the entries of maps as well; the rightmost value "
     "wins.\n\nCost: maps in the same order share and skip subtrees."},
    {"update_with", (PyCFunction)(void (*)(void))map_update_with, METH_FASTCALL,
     "update_with($self, update_fn, /, *maps)\n--\n\nAs update(); where a key is there already "
     "its value becomes\nupdate_fn(old, new)."},
    {"evolver", map_evolver, METH_NOARGS,
     "evolver($self, /)\n--\n\nA mutable builder that starts from this map."},
    {"keys", map_keys, METH_NOARGS, "keys($self, /)\n--\n\nThe keys in order, as a Set."},
    {"values", map_values, METH_NOARGS,
     "values($self, /)\n--\n\nThe values in the order of their keys."},
    {"items", map_items, METH_NOARGS,
     "items($self, /)\n--\n\nThe (key, value) pairs in order, as a Set."},
    {"iterkeys", map_iterkeys, METH_NOARGS, "iterkeys($self, /)\n--\n\nIterate over the keys."},
    {"itervalues", map_itervalues, METH_NOARGS,
     "itervalues($self, /)\n--\n\nIterate over the values."},
    {"iteritems", map_iteritems, METH_NOARGS,
     "iteritems($self, /)\n--\n\nIterate over the (key, value) pairs."},
    PS_SORTED_RANGE_METHODS,
    {"copy", map_copy, METH_NOARGS, "copy($self, /)\n--\n\nThe map itself: it never changes."},
    {"__copy__", map_copy, METH_NOARGS, "__copy__($self, /)\n--\n\nThe map itself."},
    {"__reduce__", map_reduce, METH_NOARGS,
     "__reduce__($self, /)\n--\n\nFor pickle and deepcopy."},
    {"__reversed__", map_reversed, METH_NOARGS,
     "__reversed__($self, /)\n--\n\nIterate over the keys, the greatest first."},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS,
     "__class_getitem__($type, item, /)\n--\n\nPSortedMap[K, V]."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef map_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(ps_sorted, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(
    map_doc,
    "PSortedMap(initial=(), /, key=None)\n--\n\n"
    "A persistent map in the order of its keys: every update returns a new map and the\n"
    "old one stays valid.\n\n"
    "initial is a mapping or an iterable of (key, value) pairs. Keys are ordered by <, or\n"
    "by what the function key returns for them; it is called once for each entry and\n"
    "once for each lookup. Keys of which neither sorts before the other are one key: the\n"
    "first key is kept, and the last value. An entry is a (key, value) pair.\n\n"
    "Cost: get, set, remove, position and neighbours O(log n); slices O(log n), sharing\n"
    "their entries; len and copy O(1); building O(n) from sorted input, else O(n log n).\n\n"
    "Examples\n--------\n"
    ">>> from pstructs import psortedmap\n"
    ">>> temperature = psortedmap({800: 11.5, 1200: 17.0, 1600: 18.5})\n"
    ">>> temperature.floor(1330)\n"
    "(1200, 17.0)\n"
    ">>> temperature.set(1330, 17.5).between(1000, 1400)\n"
    "psortedmap({1200: 17.0, 1330: 17.5})\n");

static PyType_Slot map_slots[] = {
    {Py_tp_doc, (void *)map_doc},
    {Py_tp_new, ps_sorted_tp_new},
    {Py_tp_dealloc, ps_sorted_dealloc},
    {Py_tp_traverse, ps_sorted_traverse},
    {Py_tp_repr, map_repr},
    {Py_tp_hash, map_hash},
    {Py_tp_richcompare, map_richcompare},
    {Py_tp_iter, map_iter},
    {Py_tp_methods, map_methods},
    {Py_tp_members, map_members},
    {Py_tp_getset, map_getset},
    {Py_mp_length, map_len},
    {Py_mp_subscript, map_subscript},
    {Py_sq_contains, map_contains},
    {Py_nb_or, map_or},
    {Py_nb_add, map_or},
    {0, NULL},
};

static PyType_Spec map_spec = {
    .name = "pstructs.PSortedMap",
    .basicsize = sizeof(ps_sorted),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_MAPPING |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = map_slots,
};

int
ps_sorted_map_type_init(ps_state *st, PyObject *module)
{
    st->sorted_map = (PyTypeObject *)PyType_FromModuleAndSpec(module, &map_spec, NULL);
    return st->sorted_map == NULL ? -1 : PyModule_AddType(module, st->sorted_map);
}
