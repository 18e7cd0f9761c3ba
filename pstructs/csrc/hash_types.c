/* hash_types.c -- which rule hashes an object: the types of the hash domain.
 *
 *     exact type of the domain                 its rule
 *     subclass that inherits __hash__          the rule of the base it inherits it from
 *     subclass with a __hash__ of its own      asked: equal to the base's answer? the base's rule
 *     record that is a Mapping                 the rule of the map that it equals
 *     number of another library (numbers ABC)  asked: equal to the plain number's hash? that one
 *     registered key type                      the registered name and what it encodes to
 *     anything else                            heap-only, by hash(obj)
 *
 * Who inherits hash and equality equals instances of the base, so has to hash like them; who
 * overrides may compare any way. Classes of modules written in Python are never imported here:
 * as long as the module is not loaded, no object of the class can exist.
 */
#include "hash_internal.h"

static const struct {
    int module; /* index of its name */
    const char *name;
} lazy_classes[PS_HASH_CLASSES] = {
    {PS_NAME_DATETIME, "datetime"},  {PS_NAME_DATETIME, "date"},   {PS_NAME_DATETIME, "time"},
    {PS_NAME_DATETIME, "timedelta"}, {PS_NAME_DECIMAL, "Decimal"}, {PS_NAME_FRACTIONS, "Fraction"},
    {PS_NAME_UUID, "UUID"},          {PS_NAME_ENUM, "Enum"},       {PS_NAME_NUMBERS, "Integral"},
    {PS_NAME_NUMBERS, "Complex"},
};
enum { LAZY_FIRST = PS_AS_DATETIME, LAZY_INTEGRAL = 8, LAZY_COMPLEX = 9 };

/* Borrowed; NULL when not loaded, or with an exception. */
static PyObject *
lazy_class(ps_state *st, int i)
{
    PyObject *cls = st->hash.classes[i];
    if (PS_LIKELY(cls != NULL)) {
        return cls;
    }
    PyObject *modules = PyImport_GetModuleDict(); /* no object of the class without its module */
    PyObject *name = st->hash.names[lazy_classes[i].module];
    PyObject *module = PyDict_GetItemWithError(modules, name);
    if (module == NULL) {
        return NULL;
    }
    Py_INCREF(module);
    cls = PyObject_GetAttrString(module, lazy_classes[i].name);
    Py_DECREF(module);
    if (cls == NULL && !PyErr_ExceptionMatches(PyExc_AttributeError)) {
        return NULL;
    }
    if (cls == NULL || !PyType_Check(cls)) { /* half imported: no instances yet */
        PyErr_Clear();
        Py_XDECREF(cls);
        return NULL;
    }
    st->hash.classes[i] = cls;
    return cls;
}

PyTypeObject *
ps_hash_class(ps_state *st, ps_as base)
{
    switch (base) {
    case PS_AS_STR:
        return &PyUnicode_Type;
    case PS_AS_INT:
        return &PyLong_Type;
    case PS_AS_BYTES:
        return &PyBytes_Type;
    case PS_AS_TUPLE:
        return &PyTuple_Type;
    case PS_AS_FLOAT:
        return &PyFloat_Type;
    case PS_AS_COMPLEX:
        return &PyComplex_Type;
    case PS_AS_FROZENSET:
        return &PyFrozenSet_Type;
    case PS_AS_MAP:
        return st->hash.collection_hook == NULL ? NULL : st->map;
    case PS_AS_SET:
        return st->hash.collection_hook == NULL ? NULL : st->set;
    case PS_AS_VECTOR:
        return st->hash.collection_hook == NULL ? NULL : st->vector;
    default:
        return (PyTypeObject *)lazy_class(st, (int)base - LAZY_FIRST);
    }
}

PyObject *
ps_hash_canonical(ps_state *st)
{
    if (st->hash.canonical == NULL) {
        st->hash.canonical = PyImport_ImportModule("pstructs._canonical");
    }
    return st->hash.canonical;
}

/* ---- heap-only types that were seen */

static PyObject * /* new reference or NULL, no exception */
weak_referent(PyObject *ref)
{
#if PY_VERSION_HEX >= 0x030D0000
    PyObject *type = NULL;
    if (PyWeakref_GetRef(ref, &type) < 0) {
        PyErr_Clear();
    }
    return type;
#else
    PyObject *type = PyWeakref_GetObject(ref);
    return type == NULL || type == Py_None ? NULL : Py_NewRef(type);
#endif
}

int
ps_hash_was_heap_type(ps_state *st, PyTypeObject *type)
{
    PyObject *id = PyLong_FromVoidPtr(type);
    if (id == NULL) {
        return -1;
    }
    PyObject *ref = PyDict_GetItemWithError(st->hash.heap_types, id);
    Py_DECREF(id);
    if (ref == NULL) {
        return PyErr_Occurred() ? -1 : 0;
    }
    /* A dead type's address may have been given to another type. */
    PyObject *referent = weak_referent(ref);
    Py_XDECREF(referent);
    return referent == (PyObject *)type;
}

static int
sweep_heap_types(ps_state *st)
{
    PyObject *live = PyDict_New(), *id, *ref;
    Py_ssize_t at = 0;
    if (live == NULL) {
        return -1;
    }
    while (PyDict_Next(st->hash.heap_types, &at, &id, &ref)) {
        PyObject *referent = weak_referent(ref);
        if (referent == NULL) {
            continue;
        }
        Py_DECREF(referent);
        if (PyDict_SetItem(live, id, ref) < 0) {
            Py_DECREF(live);
            return -1;
        }
    }
    Py_SETREF(st->hash.heap_types, live);
    st->hash.heap_types_sweep = 2 * PyDict_GET_SIZE(live) + 64;
    return 0;
}

int
ps_hash_mark_heap_type(ps_state *st, PyTypeObject *type)
{
    int seen = ps_hash_was_heap_type(st, type);
    if (seen != 0) {
        return seen < 0 ? -1 : 0;
    }
    if (PyDict_GET_SIZE(st->hash.heap_types) >= st->hash.heap_types_sweep &&
        sweep_heap_types(st) < 0) {
        return -1;
    }
    PyObject *id = PyLong_FromVoidPtr(type), *ref = PyWeakref_NewRef((PyObject *)type, NULL);
    int result = -1;
    if (id != NULL && ref != NULL) {
        result = PyDict_SetItem(st->hash.heap_types, id, ref);
    }
    Py_XDECREF(id);
    Py_XDECREF(ref);
    return result;
}

/* ---- classification */

/* hash() of key as the function `hash` of a base answers: 1 when it is `own`; 0; -1. */
static int
answers_like(PyObject *hash, PyObject *key, Py_hash_t own)
{
    PyObject *answer = PyObject_CallOneArg(hash, key);
    if (answer == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_TypeError)) {
            return -1;
        }
        PyErr_Clear(); /* the base can't hash it, the subclass can */
        return 0;
    }
    /* hash() itself turns an answer of more than a word into the hash of that int. */
    Py_hash_t base = PyLong_AsSsize_t(answer);
    if (base == -1 && PyErr_Occurred()) {
        PyErr_Clear();
        base = PyLong_Check(answer) ? PyLong_Type.tp_hash(answer) : -1;
    }
    Py_DECREF(answer);
    return base == own;
}

/* A subclass of something in the domain: as what it hashes; PS_AS_OTHER; PS_AS_ERROR. */
static ps_as
classify_subclass(ps_state *st, PyObject *key)
{
    PyTypeObject *type = Py_TYPE(key);
    ps_as candidates[PS_AS_BASES];
    PyObject *hashes[PS_AS_BASES]; /* borrowed from the bases, which key keeps alive */
    int n = 0;
    PyObject *own = _PyType_Lookup(type, st->hash.names[PS_NAME_HASH]);
    for (int base = 0; base < PS_AS_BASES; base++) {
        PyTypeObject *cls = ps_hash_class(st, base);
        if (cls == NULL && PyErr_Occurred()) {
            return PS_AS_ERROR;
        }
        if (cls == NULL || !PyType_IsSubtype(type, cls)) {
            continue;
        }
        if (base == PS_AS_DATE && n > 0 && candidates[n - 1] == PS_AS_DATETIME) {
            continue;
        }
        candidates[n] = base;
        hashes[n] = _PyType_Lookup(cls, st->hash.names[PS_NAME_HASH]);
        if (hashes[n] == own) {
            return base;
        }
        n++;
    }
    if (n == 0) {
        return PS_AS_OTHER;
    }
    Py_hash_t hash = PyObject_Hash(key);
    if (hash == -1) {
        return PS_AS_ERROR;
    }
    for (int i = 0; i < n; i++) {
        int same = hashes[i] == NULL ? 0 : answers_like(hashes[i], key, hash);
        if (same != 0) {
            return same < 0 ? PS_AS_ERROR : candidates[i];
        }
    }
    return PS_AS_OTHER;
}

/* A number of another library: 1 and a new reference to the equal plain number; 0; -1. */
static int
plain_number(ps_state *st, PyObject *key, PyObject **plain)
{
    PyNumberMethods *m = Py_TYPE(key)->tp_as_number;
    if (m == NULL || (m->nb_index == NULL && m->nb_float == NULL && m->nb_int == NULL)) {
        return 0;
    }
    const char *name = Py_TYPE(key)->tp_name;
    PyObject *number = NULL;
    if (strcmp(name, "numpy.bool") == 0 || strcmp(name, "numpy.bool_") == 0) {
        int truth = PyObject_IsTrue(key);
        if (truth < 0) {
            return -1;
        }
        *plain = PyBool_FromLong(truth);
        return 1;
    }
    PyObject *integral = lazy_class(st, LAZY_INTEGRAL), *complex = NULL;
    if (integral != NULL) {
        complex = lazy_class(st, LAZY_COMPLEX);
    }
    if (complex == NULL) {
        return PyErr_Occurred() ? -1 : 0;
    }
    if (strcmp(name, "numpy.timedelta64") == 0) { /* an Integral by registration only */
        return 0;
    }
    int is = PyObject_IsInstance(key, integral);
    if (is > 0 && m->nb_index != NULL) {
        number = PyNumber_Index(key);
    }
    else if (is == 0 && (is = PyObject_IsInstance(key, complex)) > 0) {
        PyObject *module = ps_hash_canonical(st);
        if (module == NULL) {
            return -1;
        }
        number = PyObject_CallMethodOneArg(module, st->hash.names[PS_NAME_PLAIN_NUMBER], key);
    }
    else {
        return is < 0 ? -1 : 0;
    }
    if (number == NULL) {
        return -1;
    }
    if (number == Py_None) {
        Py_DECREF(number);
        return 0;
    }
    Py_hash_t own = PyObject_Hash(key);
    Py_hash_t of_plain = own == -1 ? -1 : PyObject_Hash(number);
    if (of_plain == -1) {
        Py_DECREF(number);
        return -1;
    }
    /* NaN hashes by identity, so there is nothing to compare. */
    bool nan =
        PyFloat_CheckExact(number) && PyFloat_AS_DOUBLE(number) != PyFloat_AS_DOUBLE(number);
    if (own != of_plain && !nan) {
        Py_DECREF(number);
        return 0;
    }
    *plain = number;
    return 1;
}

ps_as
ps_hash_classify(ps_state *st, PyObject *key, PyObject **detail)
{
    PyTypeObject *type = Py_TYPE(key);
    *detail = NULL;
    if (type == &PyTuple_Type) {
        return PS_AS_TUPLE;
    }
    if (type == &PyUnicode_Type) {
        return PS_AS_STR;
    }
    if (type == &PyLong_Type || type == &PyBool_Type) {
        return PS_AS_INT;
    }
    if (type == &PyBytes_Type) {
        return PS_AS_BYTES;
    }
    if (type == &PyFloat_Type) {
        return PS_AS_FLOAT;
    }
    if (key == Py_None) {
        return PS_AS_NONE;
    }
    if (type == &PyFrozenSet_Type) {
        return PS_AS_FROZENSET;
    }
    if (type == &PyMemoryView_Type) {
        return PS_AS_MEMORYVIEW;
    }
    if (key == Py_Ellipsis) {
        return PS_AS_ELLIPSIS;
    }
    if (st->hash.collection_hook != NULL) {
        for (int i = PS_AS_MAP; i <= PS_AS_VECTOR; i++) {
            if (type == ps_hash_class(st, (ps_as)i)) {
                return (ps_as)i;
            }
        }
    }
    for (int set = 0; st->hash.collection_hook != NULL && set < 2; set++) {
        /* Equal to a PMap or PSet of the same contents, so hashed as one. */
        PyTypeObject *sorted = set ? st->sorted_set : st->sorted_map;
        if (PyType_IsSubtype(type, sorted) && type->tp_hash == sorted->tp_hash) {
            return set ? PS_AS_SET : PS_AS_MAP;
        }
    }
    for (int i = PS_AS_DATETIME; i <= PS_AS_UUID; i++) {
        if ((PyObject *)type == st->hash.classes[i - LAZY_FIRST]) {
            return (ps_as)i;
        }
    }
    ps_as as = classify_subclass(st, key);
    if (as != PS_AS_OTHER) {
        return as;
    }
    if (PyDict_GET_SIZE(st->hash.key_types) > 0) {
        PyObject *pair = PyDict_GetItemWithError(st->hash.key_types, (PyObject *)type);
        if (pair != NULL) {
            *detail = Py_NewRef(pair);
            return PS_AS_REGISTERED;
        }
        if (PyErr_Occurred()) {
            return PS_AS_ERROR;
        }
    }
    int plain = st->hash.stand_in_hook == NULL ? 0 : st->hash.stand_in_hook(st, key, detail);
    if (plain == 0) {
        plain = plain_number(st, key, detail);
    }
    return plain < 0 ? PS_AS_ERROR : plain > 0 ? PS_AS_PLAIN : PS_AS_OTHER;
}
