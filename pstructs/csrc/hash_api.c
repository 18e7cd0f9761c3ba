/* hash_api.c -- what other layers and Python ask of the hash domain besides hashes: which keys
 * are stable, what a key is plainly, registered key types; the state behind it all. */
#include "hash_internal.h"

static const char *const names[PS_HASH_NAMES] = {
    [PS_NAME_HASH] = "__hash__",
    [PS_NAME_MODULE] = "__module__",
    [PS_NAME_QUALNAME] = "__qualname__",
    [PS_NAME_ENUM_NAME] = "_name_",
    [PS_NAME_ENUM_VALUE] = "_value_",
    [PS_NAME_UTCOFFSET] = "utcoffset",
    [PS_NAME_REPLACE] = "replace",
    [PS_NAME_BYTES] = "bytes",
    [PS_NAME_NUMERATOR] = "numerator",
    [PS_NAME_DENOMINATOR] = "denominator",
    [PS_NAME_AS_TUPLE] = "as_tuple",
    [PS_NAME_STRIP] = "strip",
    [PS_NAME_PLAIN_NUMBER] = "plain_number",
    [PS_NAME_TOBYTES] = "tobytes",
    [PS_NAME_FOLD] = "fold",
    [PS_NAME_DATETIME] = "_datetime",
    [PS_NAME_DECIMAL] = "decimal",
    [PS_NAME_FRACTIONS] = "fractions",
    [PS_NAME_UUID] = "uuid",
    [PS_NAME_ENUM] = "enum",
    [PS_NAME_NUMBERS] = "numbers",
};

int
ps_hash_init(ps_state *st)
{
    ps_hash_state *s = &st->hash;
    for (int i = 0; i < PS_HASH_NAMES && names[i] != NULL; i++) {
        s->names[i] = PyUnicode_InternFromString(names[i]);
        if (s->names[i] == NULL) {
            return -1;
        }
    }
    s->key_types = PyDict_New();
    s->heap_types = PyDict_New();
    s->heap_types_sweep = 64;
    return s->key_types == NULL || s->heap_types == NULL ? -1 : 0;
}

int
ps_hash_traverse(ps_state *st, visitproc visit, void *arg)
{
    ps_hash_state *s = &st->hash;
    for (int i = 0; i < PS_HASH_CLASSES; i++) {
        Py_VISIT(s->classes[i]);
    }
    Py_VISIT(s->canonical);
    Py_VISIT(s->key_types);
    Py_VISIT(s->heap_types);
    return 0;
}

void
ps_hash_clear(ps_state *st)
{
    ps_hash_state *s = &st->hash;
    s->collection_hook = NULL;
    s->stable_hook = NULL;
    s->stand_in_hook = NULL;
    for (int i = 0; i < PS_HASH_CLASSES; i++) {
        Py_CLEAR(s->classes[i]);
    }
    for (int i = 0; i < PS_HASH_NAMES; i++) {
        Py_CLEAR(s->names[i]);
    }
    Py_CLEAR(s->canonical);
    Py_CLEAR(s->key_types);
    Py_CLEAR(s->heap_types);
}

/* ---- stable? */

/* New reference: an object with the parts of key that decide whether it is stable. A codec that
 * is not by parts encodes to stable keys only, or fails when the key is hashed. */
static PyObject *
parts_of(PyObject *key, ps_as as, PyObject *detail)
{
    if (as == PS_AS_PLAIN) {
        return Py_NewRef(detail);
    }
    return PyTuple_GET_ITEM(detail, 2) == Py_True
               ? PyObject_CallOneArg(PyTuple_GET_ITEM(detail, 1), key)
               : Py_NewRef(Py_None);
}

/* Borrowed: the first heap-only part of key, NULL when there is none; *failed on an exception.
 * A part of a container is kept alive by it; part of an encoded key never is heap-only. */
static PyObject *
find_heap_only(ps_state *st, PyObject *key, int depth, bool *failed)
{
    if (PyUnicode_CheckExact(key) || PyLong_CheckExact(key)) {
        return NULL;
    }
    PyObject *detail, *found = NULL, *iterator = NULL, *element, *inner;
    if (depth > PS_HASH_MAX_DEPTH) {
        PyErr_SetString(PyExc_RecursionError, "maximum depth exceeded in a nested key");
        *failed = true;
        return NULL;
    }
    if (Py_EnterRecursiveCall(" while checking a nested key")) {
        *failed = true;
        return NULL;
    }
    ps_as as = ps_hash_classify(st, key, &detail);
    int stable;
    switch (as) {
    case PS_AS_ERROR:
        *failed = true;
        break;
    case PS_AS_OTHER:
        found = key;
        break;
    case PS_AS_MAP:
    case PS_AS_SET:
    case PS_AS_VECTOR:
        stable = st->hash.stable_hook == NULL ? 1 : st->hash.stable_hook(st, key, depth);
        *failed = stable < 0;
        found = stable == 0 ? key : NULL;
        break;
    case PS_AS_TUPLE:
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(key) && !found && !*failed; i++) {
            found = find_heap_only(st, PyTuple_GET_ITEM(key, i), depth + 1, failed);
        }
        break;
    case PS_AS_FROZENSET:
        iterator = PyFrozenSet_Type.tp_iter(key);
        while (iterator && !found && !*failed && (element = PyIter_Next(iterator)) != NULL) {
            found = find_heap_only(st, element, depth + 1, failed);
            Py_DECREF(element);
        }
        Py_XDECREF(iterator);
        *failed = *failed || PyErr_Occurred();
        break;
    case PS_AS_PLAIN:
    case PS_AS_REGISTERED:
        inner = parts_of(key, as, detail);
        *failed = inner == NULL;
        found = *failed || find_heap_only(st, inner, depth + 1, failed) == NULL ? NULL : key;
        Py_XDECREF(inner);
        break;
    default:
        break;
    }
    Py_XDECREF(detail);
    Py_LeaveRecursiveCall();
    return found;
}

int
ps_hash_is_stable_nested(ps_state *st, PyObject *key, int depth)
{
    bool failed = false;
    PyObject *found = find_heap_only(st, key, depth, &failed);
    return failed ? -1 : found == NULL;
}

int
ps_hash_is_stable(ps_state *st, PyObject *key)
{
    return ps_hash_is_stable_nested(st, key, 0);
}

/* New reference: a list of what a collection holds. */
static PyObject *
collection_parts(PyObject *collection)
{
    PyObject *parts = PySequence_List(collection);
    if (parts == NULL || !PyMapping_Check(collection)) {
        return parts;
    }
    PyObject *values = PyMapping_Values(collection), *both = NULL;
    if (values != NULL) {
        both = PySequence_Concat(parts, values);
        Py_DECREF(values);
    }
    Py_DECREF(parts);
    return both;
}

/* New reference: the innermost heap-only part of key, which may be key; NULL with an exception. */
static PyObject *
innermost_heap_only(ps_state *st, PyObject *key, int depth)
{
    bool failed = false;
    PyObject *found = find_heap_only(st, key, depth, &failed), *inner = NULL, *detail;
    if (failed) {
        return NULL;
    }
    if (found == NULL) {
        found = key;
    }
    ps_as as = ps_hash_classify(st, found, &detail);
    if (as == PS_AS_ERROR) {
        return NULL;
    }
    if (as == PS_AS_PLAIN || as == PS_AS_REGISTERED) {
        PyObject *holder = parts_of(found, as, detail);
        inner = holder == NULL ? NULL : innermost_heap_only(st, holder, depth + 1);
        Py_XDECREF(holder);
        Py_DECREF(detail);
        return inner;
    }
    Py_XDECREF(detail);
    PyTypeObject *type = Py_TYPE(found);
    if (type != st->map && type != st->set && type != st->sorted_map && type != st->sorted_set) {
        return Py_NewRef(found);
    }
    PyObject *parts = collection_parts(found);
    if (parts == NULL) {
        return NULL;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(parts) && inner == NULL && !failed; i++) {
        PyObject *part = PyList_GET_ITEM(parts, i);
        int stable = ps_hash_is_stable_nested(st, part, depth + 1);
        failed = stable < 0;
        if (stable == 0) {
            inner = innermost_heap_only(st, part, depth + 1);
            failed = inner == NULL;
        }
    }
    Py_DECREF(parts);
    return failed ? NULL : inner != NULL ? inner : Py_NewRef(found);
}

void
ps_hash_raise_unsavable(ps_state *st, PyObject *key)
{
    PyObject *found = innermost_heap_only(st, key, 0);
    if (found == NULL) {
        return;
    }
    const char *name = Py_TYPE(found)->tp_name;
    ps_raise(st, "UnsavableKeyError",
             "a key of type '%.200s' has no stable hash: it works in memory only. Register a "
             "codec before its first use as a key: pstructs.register_codec(%.200s, name, encode, "
             "decode, key=True)",
             name, name);
    Py_DECREF(found);
}

PyObject *
ps_hash_plain(ps_state *st, PyObject *key)
{
    PyObject *detail;
    ps_as as = ps_hash_classify(st, key, &detail);
    switch (as) {
    case PS_AS_ERROR:
        return NULL;
    case PS_AS_PLAIN:
        return detail;
    case PS_AS_MEMORYVIEW:
        return PyObject_CallMethodNoArgs(key, st->hash.names[PS_NAME_TOBYTES]);
    case PS_AS_STR:
        return PyUnicode_CheckExact(key) ? Py_NewRef(key) : PyUnicode_FromObject(key);
    case PS_AS_INT:
        return PyLong_CheckExact(key) || PyBool_Check(key) ? Py_NewRef(key)
                                                           : PyLong_Type.tp_as_number->nb_int(key);
    case PS_AS_FLOAT:
        return PyFloat_CheckExact(key) ? Py_NewRef(key)
                                       : PyFloat_FromDouble(PyFloat_AS_DOUBLE(key));
    case PS_AS_COMPLEX:
        return PyComplex_CheckExact(key) ? Py_NewRef(key)
                                         : PyComplex_FromCComplex(((PyComplexObject *)key)->cval);
    case PS_AS_BYTES:
        return PyBytes_CheckExact(key)
                   ? Py_NewRef(key)
                   : PyBytes_FromStringAndSize(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key));
    case PS_AS_TUPLE:
        return PyTuple_CheckExact(key) ? Py_NewRef(key)
                                       : PyTuple_GetSlice(key, 0, PyTuple_GET_SIZE(key));
    case PS_AS_REGISTERED:
        Py_DECREF(detail);
        return Py_NewRef(key);
    default:
        return Py_NewRef(key);
    }
}

/* ---- Python */

static PyObject *
finish(int failed, uint64_t h)
{
    return failed ? NULL : PyLong_FromUnsignedLongLong(h);
}

PyObject *
ps_stable_hash(PyObject *module, PyObject *obj)
{
    ps_state *st = ps_state_of_module(module);
    uint64_t h = 0;
    int stable = ps_hash_is_stable(st, obj);
    if (stable < 0) {
        return NULL;
    }
    if (stable == 0) {
        if (PyObject_Hash(obj) != -1) { /* else: unhashable, and said so */
            ps_hash_raise_unsavable(st, obj);
        }
        return NULL;
    }
    int failed = ps_hash1(st, obj, &h);
    return finish(failed, h);
}

PyObject *
ps_py_hash1(PyObject *module, PyObject *obj)
{
    uint64_t h = 0;
    int failed = ps_hash1(ps_state_of_module(module), obj, &h);
    return finish(failed, h);
}

PyObject *
ps_py_hash2(PyObject *module, PyObject *obj)
{
    uint64_t h = 0;
    int failed = ps_hash2(ps_state_of_module(module), obj, &h);
    return finish(failed, h);
}

PyObject *
ps_py_hash_is_stable(PyObject *module, PyObject *obj)
{
    int stable = ps_hash_is_stable(ps_state_of_module(module), obj);
    return stable < 0 ? NULL : PyBool_FromLong(stable);
}

/* 1 when instances of cls already hash by a rule of the domain; 0; -1. */
static int
in_domain(ps_state *st, PyTypeObject *cls)
{
    if (cls == Py_TYPE(Py_None) || cls == Py_TYPE(Py_Ellipsis) || cls == &PyMemoryView_Type) {
        return 1;
    }
    PyObject *own = _PyType_Lookup(cls, st->hash.names[PS_NAME_HASH]);
    for (int base = 0; base < PS_AS_BASES; base++) {
        PyTypeObject *known = ps_hash_class(st, base);
        if (known == NULL && PyErr_Occurred()) {
            return -1;
        }
        if (known != NULL && PyType_IsSubtype(cls, known) &&
            _PyType_Lookup(known, st->hash.names[PS_NAME_HASH]) == own) {
            return 1;
        }
    }
    return 0;
}

PyObject *
ps_py_register_key_type(PyObject *module, PyObject *args)
{
    ps_state *st = ps_state_of_module(module);
    PyTypeObject *cls;
    PyObject *name, *encode;
    int by_parts = 0;
    if (!PyArg_ParseTuple(args, "O!UO|p:_register_key_type", &PyType_Type, &cls, &name, &encode,
                          &by_parts)) {
        return NULL;
    }
    if (!PyCallable_Check(encode)) {
        return PyErr_Format(PyExc_TypeError, "encode must be callable, not '%.200s'",
                            Py_TYPE(encode)->tp_name);
    }
    int has_rule = in_domain(st, cls);
    if (has_rule < 0) {
        return NULL;
    }
    if (has_rule) {
        return ps_raise(st, "CodecError",
                        "'%.200s' can't have a key codec: as a key it equals, and hashes like, a "
                        "type of the hash domain",
                        cls->tp_name);
    }
    int seen = ps_hash_was_heap_type(st, cls);
    if (seen < 0) {
        return NULL;
    }
    if (seen) {
        return ps_raise(st, "CodecError",
                        "'%.200s' was already used as a key without a codec: register before "
                        "first use as key",
                        cls->tp_name);
    }
    PyObject *pair = PyTuple_Pack(3, name, encode, by_parts ? Py_True : Py_False);
    if (pair == NULL) {
        return NULL;
    }
    int failed = PyDict_SetItem(st->hash.key_types, (PyObject *)cls, pair);
    Py_DECREF(pair);
    if (failed) {
        return NULL;
    }
    Py_RETURN_NONE;
}
