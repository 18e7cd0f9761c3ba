/* type_collection.c -- what PMap and PSet have in common: life and death of the
 * objects, what strangers are, and the functions of the module.
 *
 *     PMap / PSet object           nodes
 *     +--------------------+
 *     | refcount, type     |
 *     | root  -------------+--->   champ node or packed record, 0 when empty
 *     | count              |
 *     | hash (-1: unknown) |
 *     | weakrefs           |
 *     +--------------------+
 *
 * Collector: an exact PMap or PSet is tracked only when its root is a GC node.
 * A map of atoms is then an atom itself, and a map of such maps needs no GC
 * nodes either, so nested records cost the collector nothing. A tree below a
 * plain root can't reach a cycle, so leaving it untracked is sound.
 *
 * Death: a chain of maps in maps is freed recursively through its nodes; plain
 * nodes have no GC header and so can't use the trashcan. The collection object
 * does it for them: it stops the recursion every 50 levels.
 *
 * Spare objects: small persistent updates make and drop one collection each, so
 * up to PS_FREELIST dead ones are kept. */
#include "collection_vector.h"
#include "sorted.h"

#include "error.h"
#include "type_deque.h"
#include "type_list.h"

ps_state *
ps_state_of_operand(PyObject *o)
{
    for (PyTypeObject *t = Py_TYPE(o); t != NULL; t = t->tp_base) {
        if (t->tp_dealloc == ps_collection_dealloc || t->tp_dealloc == ps_view_dealloc) {
            PyObject *module = ((PyHeapTypeObject *)t)->ht_module;
            return module == NULL ? NULL : PyModule_GetState(module);
        }
    }
    return NULL;
}

/* ---- life and death */

int
ps_collection_traverse(PyObject *self, visitproc visit, void *arg)
{
    ps_slot root = ps_tree_of(self).root;
    Py_VISIT(Py_TYPE(self));
    if (root && !ps_slot_is_packed(root)) {
        Py_VISIT(ps_slot_obj(root));
    }
    return 0;
}

void
ps_collection_dealloc(PyObject *self)
{
    ps_collection *c = (ps_collection *)self;
    PyObject_GC_UnTrack(self);
    Py_TRASHCAN_BEGIN(self, ps_collection_dealloc);
    PyTypeObject *type = Py_TYPE(self);
    bool exact = type->tp_dealloc == ps_collection_dealloc;
    /* The collector may have cleared the type already, when all die together. */
    ps_state *st = ps_state_of_operand(self);
    if (c->weakrefs != NULL) {
        PyObject_ClearWeakRefs(self);
    }
    ps_slot root = c->tree.root;
    c->tree.root = 0;
    if (root && !ps_slot_is_packed(root)) {
        ps_node_release(ps_slot_obj(root));
    }
    else if (root && st != NULL) {
        ps_slot_decref(st, root);
    }
#ifndef Py_GIL_DISABLED
    if (exact && st != NULL && st->n_spare < PS_FREELIST) {
        st->spare[st->n_spare++] = self;
    }
    else
#endif
    {
        type->tp_free(self);
    }
    Py_DECREF(type);
    Py_TRASHCAN_END
}

PyObject *
ps_collection_new_of(ps_state *st, PyTypeObject *type, int width, ps_tree t)
{
    ps_collection *c;
    bool exact = type == st->map || type == st->set;
    if (PS_UNLIKELY(t.root && t.count <= 0)) {
        ps_tree_drop(st, t);
        return ps_raise(st, "DamagedPackError",
                        "a collection holds another number of entries than the pack it comes "
                        "from says; verify that pack, or the store");
    }
    if (!exact) {
        c = (ps_collection *)type->tp_alloc(type, 0);
    }
#ifndef Py_GIL_DISABLED
    else if (PS_LIKELY(st->n_spare > 0)) {
        c = (ps_collection *)PyObject_Init(st->spare[--st->n_spare], type);
    }
#endif
    else {
        c = PyObject_GC_New(ps_collection, type);
    }
    if (c == NULL) {
        ps_tree_drop(st, t);
        return NULL;
    }
    c->tree = t;
    c->hash = -1;
    c->weakrefs = NULL;
    if (exact && t.root && !ps_slot_is_packed(t.root) && ps_node_is_gc(st, ps_slot_node(t.root))) {
        PyObject_GC_Track(c);
    }
    (void)width;
    PS_CHECK(st, t, width); /* runs no user code: keys that count or raise don't notice */
    return (PyObject *)c;
}

PyObject *
ps_collection_new(ps_state *st, int width, ps_tree t)
{
    if (t.root == 0) {
        return Py_NewRef(width == 2 ? st->empty_map : st->empty_set);
    }
    return ps_collection_new_of(st, width == 2 ? st->map : st->set, width, t);
}

/* ---- copies */

/* Give `copy` the state that __getstate__ told, as copy.copy does. 0 or -1. */
static int
set_state(PyObject *copy, PyObject *state)
{
    PyObject *dict = state, *slots = NULL, *own = NULL, *name, *value;
    int result = -1;
    if (PyObject_HasAttrString(copy, "__setstate__")) {
        PyObject *r = PyObject_CallMethod(copy, "__setstate__", "O", state);
        Py_XDECREF(r);
        return r ? 0 : -1;
    }
    if (PyTuple_CheckExact(state) && PyTuple_GET_SIZE(state) == 2) {
        dict = PyTuple_GET_ITEM(state, 0);
        slots = PyTuple_GET_ITEM(state, 1);
    }
    if (dict != Py_None) {
        own = PyObject_GetAttrString(copy, "__dict__");
        if (own == NULL || PyDict_Update(own, dict) < 0) {
            goto done;
        }
    }
    if (slots != NULL && slots != Py_None) {
        Py_ssize_t at = 0;
        if (!PyDict_Check(slots)) {
            PyErr_Format(PyExc_TypeError,
                         "the state of a '%.100s' is no dict, nor a pair of them; it needs a "
                         "__setstate__",
                         Py_TYPE(copy)->tp_name);
            goto done;
        }
        slots = PyDict_Copy(slots); /* setting an attribute may run code */
        while (slots != NULL && PyDict_Next(slots, &at, &name, &value)) {
            if (PyObject_SetAttr(copy, name, value) < 0) {
                Py_CLEAR(slots);
            }
        }
        if (slots == NULL) {
            goto done;
        }
        Py_DECREF(slots);
    }
    result = 0;
done:
    Py_XDECREF(own);
    return result;
}

PyObject *
ps_collection_copy(PyObject *self, PyObject *unused)
{
    ps_state *st = ps_collection_state(self);
    PyTypeObject *type = Py_TYPE(self);
    if (type == st->map || type == st->set) {
        return Py_NewRef(self);
    }
    PyObject *state = PyObject_CallMethod(self, "__getstate__", NULL);
    if (state == NULL) {
        return NULL;
    }
    ps_tree tree = ps_tree_share(st, ((ps_collection *)self)->tree);
    PyObject *copy = ps_collection_new_of(st, type, ps_is_map(st, self) ? 2 : 1, tree);
    if (copy != NULL && state != Py_None && set_state(copy, state) < 0) {
        Py_CLEAR(copy);
    }
    Py_DECREF(state);
    return copy;
}

/* ---- what others are */

static int
is_instance_of(PyObject **cache, const char *name, PyObject *o)
{
    if (*cache == NULL) {
        PyObject *abc = PyImport_ImportModule("collections.abc");
        if (abc == NULL) {
            return -1;
        }
        *cache = PyObject_GetAttrString(abc, name);
        Py_DECREF(abc);
        if (*cache == NULL) {
            return -1;
        }
    }
    return PyObject_IsInstance(o, *cache);
}

int
ps_is_any_mapping(ps_state *st, PyObject *o)
{
    if (PyDict_Check(o) || ps_is_map(st, o)) {
        return 1;
    }
    if (PyLong_CheckExact(o) || PyUnicode_CheckExact(o) || PyList_CheckExact(o) || o == Py_None) {
        return 0;
    }
    return is_instance_of(&st->abc_mapping, "Mapping", o);
}

int
ps_is_any_set(ps_state *st, PyObject *o)
{
    if (PyAnySet_Check(o) || ps_is_set(st, o) || ps_is_view(st, o) || PyDictKeys_Check(o) ||
        PyDictItems_Check(o)) {
        return 1;
    }
    if (PyLong_CheckExact(o) || PyUnicode_CheckExact(o) || PyList_CheckExact(o) || o == Py_None) {
        return 0;
    }
    return is_instance_of(&st->abc_set, "Set", o);
}

/* ---- small helpers */

PyObject *
ps_key_error(PyObject *key)
{
    PyObject *e = PyObject_CallOneArg(PyExc_KeyError, key);
    if (e != NULL) {
        PyErr_SetObject(PyExc_KeyError, e);
        Py_DECREF(e);
    }
    return NULL;
}

int
ps_parse_args(const char *function, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
              const char *const *names, int n_required, int n_names, PyObject **out)
{
    if (nargs > n_names) {
        PyErr_Format(PyExc_TypeError, "%s() takes at most %d arguments (%zd given)", function,
                     n_names, nargs);
        return -1;
    }
    for (int i = 0; i < n_names; i++) {
        out[i] = i < nargs ? args[i] : NULL;
    }
    Py_ssize_t n_keywords = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    for (Py_ssize_t k = 0; k < n_keywords; k++) {
        PyObject *name = PyTuple_GET_ITEM(kwnames, k);
        int i = 0;
        while (i < n_names && PyUnicode_CompareWithASCIIString(name, names[i]) != 0) {
            i++;
        }
        if (i == n_names || out[i] != NULL) {
            PyErr_Format(PyExc_TypeError,
                         i == n_names ? "%s() got an unexpected keyword argument '%U'"
                                      : "%s() got multiple values for argument '%U'",
                         function, name);
            return -1;
        }
        out[i] = args[nargs + k];
    }
    for (int i = 0; i < n_required; i++) {
        if (out[i] == NULL) {
            PyErr_Format(PyExc_TypeError, "%s() missing required argument '%s'", function,
                         names[i]);
            return -1;
        }
    }
    return 0;
}

PyObject *
ps_transform(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    PyObject *result = NULL, *all = PyTuple_New(nargs), *name = NULL;
    PyObject *module = PyImport_ImportModule("pstructs._transformations");
    if (all == NULL || module == NULL ||
        (name = PyUnicode_InternFromString("transform")) == NULL) {
        goto done;
    }
    for (Py_ssize_t i = 0; i < nargs; i++) {
        PyTuple_SET_ITEM(all, i, Py_NewRef(args[i]));
    }
    result = PyObject_CallMethodObjArgs(module, name, self, all, NULL);
done:
    Py_XDECREF(module);
    Py_XDECREF(name);
    Py_XDECREF(all);
    return result;
}

/* ---- functions of the module */

PyObject *
ps_partition(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"collection", "i", "n"};
    PyObject *a[3];
    if (ps_parse_args("partition", args, nargs, kwnames, names, 3, 3, a) < 0) {
        return NULL;
    }
    ps_state *st = ps_state_of_module(module);
    int width = ps_is_map(st, a[0]) ? 2 : ps_is_set(st, a[0]) ? 1 : 0;
    if (width == 0 && !ps_is_sorted(st, a[0])) {
        PyErr_Format(PyExc_TypeError,
                     "partition() wants a PMap or PSet, or a sorted one, not %.200s",
                     Py_TYPE(a[0])->tp_name);
        return NULL;
    }
    Py_ssize_t i = PyNumber_AsSsize_t(a[1], PyExc_OverflowError);
    if (i == -1 && PyErr_Occurred()) {
        return NULL;
    }
    Py_ssize_t n = PyNumber_AsSsize_t(a[2], PyExc_OverflowError);
    if (n == -1 && PyErr_Occurred()) {
        return NULL;
    }
    if (n < 1 || i < 0 || i >= n) {
        PyErr_Format(PyExc_ValueError, "there is no part %zd of %zd: want 0 <= i < n", i, n);
        return NULL;
    }
    if (width == 0) {
        return ps_sorted_partition(st, a[0], i, n);
    }
    ps_tree t;
    if (ps_champ_partition(st, ps_tree_of(a[0]), width, i, n, &t) < 0) {
        return NULL;
    }
    return ps_collection_new(st, width, t);
}

PyObject *
ps_check(PyObject *module, PyObject *o)
{
    ps_state *st = ps_state_of_module(module);
    ps_tree t;
    int width;
    if (ps_is_deque(st, o)) {
        return ps_deque_check(st, (ps_deque *)o) < 0 ? NULL : Py_NewRef(Py_None);
    }
    if (ps_is_list(st, o)) {
        return ps_list_check(st, (ps_list *)o) < 0 ? NULL : Py_NewRef(Py_None);
    }
    if (ps_is_vector(st, o) || Py_TYPE(o) == st->vector_evolver) {
        ps_rrb v =
            ps_rrb_share(st, Py_TYPE(o) == st->vector_evolver ? &((ps_vector_evolver *)o)->tree
                                                              : ps_vector_tree(o));
        int ok = ps_rrb_check(st, &v);
        ps_rrb_drop(st, v);
        return ok < 0 ? NULL : Py_NewRef(Py_None);
    }
    if (ps_is_map(st, o) || ps_is_set(st, o)) {
        t = ps_tree_of(o);
        width = ps_is_map(st, o) ? 2 : 1;
    }
    else if (Py_TYPE(o) == st->map_evolver || Py_TYPE(o) == st->set_evolver) {
        t = ((ps_evolver *)o)->tree;
        width = ((ps_evolver *)o)->width;
    }
    else if (ps_is_sorted(st, o) || Py_TYPE(o) == st->sorted_map_evolver ||
             Py_TYPE(o) == st->sorted_set_evolver) {
        return ps_sorted_check(st, o);
    }
    else {
        PyErr_Format(PyExc_TypeError, "_check() wants a collection or an evolver, not %.200s",
                     Py_TYPE(o)->tp_name);
        return NULL;
    }
    ps_tree_share(st, t);
    int rc = ps_champ_check(st, t, width);
    ps_tree_drop(st, t);
    return rc < 0 ? NULL : Py_NewRef(Py_None);
}

/* ---- the module's share */

int
ps_types_init(ps_state *st, PyObject *module)
{
    if (ps_iterator_type_init(st, module) < 0 || ps_view_types_init(st, module) < 0 ||
        ps_evolver_types_init(st, module) < 0 || ps_map_type_init(st, module) < 0 ||
        ps_set_type_init(st, module) < 0 || ps_vector_iterator_type_init(st, module) < 0 ||
        ps_vector_evolver_type_init(st, module) < 0 || ps_vector_type_init(st, module) < 0 ||
        ps_sorted_types_init(st, module) < 0 || ps_list_types_init(st, module) < 0 ||
        ps_deque_types_init(st, module) < 0 || ps_record_types_init(st, module) < 0) {
        return -1;
    }
    st->hash.collection_hook = ps_collection_stable_hash;
    st->hash.stable_hook = ps_collection_is_stable;
    st->str_keys = PyUnicode_InternFromString("keys");
    st->str_items = PyUnicode_InternFromString("items");
    if (st->str_keys == NULL || st->str_items == NULL) {
        return -1;
    }
    ps_tree empty = {0, 0};
    st->empty_map = ps_collection_new_of(st, st->map, 2, empty);
    st->empty_set = ps_collection_new_of(st, st->set, 1, empty);
    return st->empty_map == NULL || st->empty_set == NULL ? -1 : 0;
}

/* clang-format off */
#define EACH_TYPE(X)                                                                              \
    X(map) X(set) X(map_evolver) X(set_evolver) X(keys_view) X(values_view) X(items_view)         \
    X(iterator) X(vector) X(vector_evolver) X(vector_iterator) X(list) X(list_iterator) X(deque)  \
    X(record_layout) X(record) X(map_record)                                                      \
    X(sorted_map) X(sorted_set) X(sorted_map_evolver) X(sorted_set_evolver) X(sorted_keys_view)   \
    X(sorted_values_view) X(sorted_items_view) X(sorted_iterator)
/* clang-format on */

int
ps_types_traverse(ps_state *st, visitproc visit, void *arg)
{
#define VISIT(name) Py_VISIT(st->name);
    EACH_TYPE(VISIT)
#undef VISIT
    /* The empty collections are untracked, as all collections of atoms: what they refer to
     * is visited here, or the module and its types would keep each other alive. */
    if (st->empty_map != NULL && Py_REFCNT(st->empty_map) == 1) {
        Py_VISIT(Py_TYPE(st->empty_map));
    }
    if (st->empty_set != NULL && Py_REFCNT(st->empty_set) == 1) {
        Py_VISIT(Py_TYPE(st->empty_set));
    }
    if (st->empty_deque != NULL && Py_REFCNT(st->empty_deque) == 1) {
        Py_VISIT(Py_TYPE(st->empty_deque));
    }
    if (st->empty_list != NULL && Py_REFCNT(st->empty_list) == 1) {
        Py_VISIT(Py_TYPE(st->empty_list));
    }
    if (st->empty_vector != NULL && Py_REFCNT(st->empty_vector) == 1) {
        Py_VISIT(Py_TYPE(st->empty_vector));
    }
    Py_VISIT(st->abc_mapping);
    Py_VISIT(st->abc_set);
    return 0;
}

void
ps_types_clear(ps_state *st)
{
    /* The empty collections go first: their death wants the types and the state. */
    Py_CLEAR(st->empty_map);
    Py_CLEAR(st->empty_set);
    Py_CLEAR(st->empty_list);
    Py_CLEAR(st->empty_deque);
    Py_CLEAR(st->empty_vector);
#ifndef Py_GIL_DISABLED
    if (st->spare_vector_iterator != NULL) {
        PyObject_GC_Del(st->spare_vector_iterator);
        st->spare_vector_iterator = NULL;
    }
    while (st->n_spare_vectors > 0) {
        PyObject_GC_Del(st->spare_vectors[--st->n_spare_vectors]);
    }
    while (st->n_spare > 0) {
        PyObject_GC_Del(st->spare[--st->n_spare]);
    }
    while (st->n_spare_cells > 0) {
        PyObject_GC_Del(st->spare_cells[--st->n_spare_cells]);
    }
    while (st->n_spare_deques > 0) {
        PyObject_GC_Del(st->spare_deques[--st->n_spare_deques]);
    }
#endif
    Py_CLEAR(st->abc_mapping);
    Py_CLEAR(st->abc_set);
    Py_CLEAR(st->str_keys);
    Py_CLEAR(st->str_items);
    Py_CLEAR(st->str_record_layout);
    Py_CLEAR(st->str_build);
    Py_CLEAR(st->str_replace);
    Py_CLEAR(st->str_errors_in);
    Py_CLEAR(st->str_refuse);
#define CLEAR(name) Py_CLEAR(st->name);
    EACH_TYPE(CLEAR)
#undef CLEAR
}
