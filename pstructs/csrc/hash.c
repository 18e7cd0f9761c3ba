/* hash.c -- H1 and H2 of any key.
 *
 * The trie's shape has to be the same in every process, and hash(str) is seeded per process, so
 * keys get hashes of their own:
 *
 *     key --classify--> kind + canonical bytes --+--> H1: folded multiplications   64 bits
 *                                                +--> H2: SipHash-1-3              64 bits, rare
 *
 * The trie consumes H1; keys whose whole H1 agrees go on with H2. A container's bytes are the
 * hashes of its elements, H1s for H1 and H2s for H2, so a collision in H1 does not reach H2.
 * Two objects that compare equal have the same bytes, whatever their types (hash_types.c says
 * which rule, hash_number.c and hash_time.c what the bytes are).
 *
 * Costs: exact str and int inline in hash.h (about 3 ns); a float 8 ns; a tuple 10 ns and its
 * elements; O(n log n) at most for a frozenset of n.
 *
 * H1 folds products as wyhash does; H2 is Aumasson & Bernstein's SipHash. docs/spec/hash-v1.md
 * is the byte-exact description, tests/support/hash_reference.py the same in Python.
 */
#include "hash_internal.h"
#include "siphash.h"

/* The key of H2: fractions of sqrt(457) and sqrt(541), chosen as the constants of hash_bytes.h. */
#define SIP_K0 0x60a7a9985b936a57u
#define SIP_K1 0x42687a3989fe8f31u

#define FEW 16          /* elements whose hashes fit on the stack */

uint64_t
ps_hash_leaf(int which, int kind, const void *data, size_t len)
{
    if (which == 1) {
        return ps_hash_bytes(data, len, PS_SEED(kind));
    }
    return ps_siphash13(data, len, SIP_K0 ^ (uint64_t)kind, SIP_K1);
}

/* ---- containers */

static int
compare_hashes(const void *a, const void *b)
{
    uint64_t x = ps_load64(a), y = ps_load64(b);
    return x < y ? -1 : x > y;
}

/* Sort by the bytes from the lowest up. */
static int
radix_sort(uint64_t *h, size_t n)
{
    uint64_t *other = PyMem_Malloc(n * sizeof *h), *from = h, *to = other;
    if (other == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (int shift = 0; shift < 64; shift += 8) {
        size_t at[256] = {0}, sum = 0;
        for (size_t i = 0; i < n; i++) {
            at[from[i] >> shift & 255]++;
        }
        for (int i = 0; i < 256; i++) {
            size_t count = at[i];
            at[i] = sum;
            sum += count;
        }
        for (size_t i = 0; i < n; i++) {
            to[at[from[i] >> shift & 255]++] = from[i];
        }
        uint64_t *swap = from;
        from = to;
        to = swap;
    }
    PyMem_Free(other); /* eight passes end in h */
    return 0;
}

int
ps_hash_combine_unordered(int which, int kind, uint64_t *h, size_t n, uint64_t *out)
{
    if (n > 4096) {
        if (radix_sort(h, n) < 0) {
            return -1;
        }
    }
    else {
        qsort(h, n, sizeof *h, compare_hashes);
    }
    *out = ps_hash_leaf(which, kind, h, n * sizeof *h);
    return 0;
}

uint64_t
ps_hash_entry(int which, uint64_t key, uint64_t value)
{
    uint64_t parts[2] = {key, value};
    return ps_hash_leaf(which, PS_KIND_ENTRY, parts, sizeof parts);
}

static int
hash_tuple(ps_state *st, PyObject *key, int which, int depth, uint64_t *h)
{
    uint64_t few[FEW], *parts = few;
    Py_ssize_t n = PyTuple_GET_SIZE(key);
    int result = -1;
    if (n > FEW) {
        parts = PyMem_New(uint64_t, n);
        if (parts == NULL) {
            PyErr_NoMemory();
            return -1;
        }
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        if (ps_hash_nested(st, PyTuple_GET_ITEM(key, i), which, depth + 1, &parts[i]) < 0) {
            goto done;
        }
    }
    *h = ps_hash_leaf(which, PS_KIND_TUPLE, parts, (size_t)n * sizeof *parts);
    result = 0;
done:
    if (parts != few) {
        PyMem_Free(parts);
    }
    return result;
}

static int
hash_frozenset(ps_state *st, PyObject *key, int which, int depth, uint64_t *h)
{
    uint64_t few[FEW], *parts = few;
    Py_ssize_t n = PySet_GET_SIZE(key), count = 0;
    PyObject *iterator = NULL, *element = NULL;
    int result = -1;
    if (n > FEW) {
        parts = PyMem_New(uint64_t, n);
        if (parts == NULL) {
            PyErr_NoMemory();
            return -1;
        }
    }
    /* frozenset's own iterator, not that of a subclass. */
    iterator = PyFrozenSet_Type.tp_iter(key);
    if (iterator == NULL) {
        goto done;
    }
    while (count < n && (element = PyIter_Next(iterator)) != NULL) {
        int failed = ps_hash_nested(st, element, which, depth + 1, &parts[count++]) < 0;
        Py_DECREF(element);
        if (failed) {
            goto done;
        }
    }
    if (!PyErr_Occurred()) {
        result = ps_hash_combine_unordered(which, PS_KIND_SET, parts, (size_t)count, h);
    }
done:
    Py_XDECREF(iterator);
    if (parts != few) {
        PyMem_Free(parts);
    }
    return result;
}

/* ---- leaves that need a few lines */

static uint64_t
hash_str(PyObject *key, int which)
{
    int kind = PyUnicode_KIND(key);
    return ps_hash_leaf(which, kind, PyUnicode_DATA(key),
                        (size_t)PyUnicode_GET_LENGTH(key) * kind);
}

static int
hash_memoryview(ps_state *st, PyObject *key, int which, uint64_t *h)
{
    if (PyObject_Hash(key) == -1) { /* refuses writable and released ones */
        return -1;
    }
    Py_buffer view;
    if (PyObject_GetBuffer(key, &view, PyBUF_FULL_RO) < 0) {
        return -1;
    }
    if (PyBuffer_IsContiguous(&view, 'C')) {
        *h = ps_hash_leaf(which, PS_KIND_BYTES, view.buf, (size_t)view.len);
        PyBuffer_Release(&view);
        return 0;
    }
    PyBuffer_Release(&view);
    PyObject *bytes = PyObject_CallMethodNoArgs(key, st->hash.names[PS_NAME_TOBYTES]);
    if (bytes == NULL) {
        return -1;
    }
    *h = ps_hash_leaf(which, PS_KIND_BYTES, PyBytes_AS_STRING(bytes),
                      (size_t)PyBytes_GET_SIZE(bytes));
    Py_DECREF(bytes);
    return 0;
}

static int
hash_uuid(ps_state *st, PyObject *key, int which, uint64_t *h)
{
    PyObject *bytes = PyObject_GetAttr(key, st->hash.names[PS_NAME_BYTES]);
    if (bytes == NULL) {
        return -1;
    }
    int result = -1;
    if (PyBytes_Check(bytes)) {
        *h = ps_hash_leaf(which, PS_KIND_UUID, PyBytes_AS_STRING(bytes),
                          (size_t)PyBytes_GET_SIZE(bytes));
        result = 0;
    }
    else {
        PyErr_SetString(PyExc_TypeError, "UUID.bytes must be bytes");
    }
    Py_DECREF(bytes);
    return result;
}

/* Hash of an attribute of obj. */
static int
hash_attribute(ps_state *st, PyObject *obj, int name, int which, int depth, uint64_t *h)
{
    PyObject *value = PyObject_GetAttr(obj, st->hash.names[name]);
    if (value == NULL) {
        return -1;
    }
    int result = ps_hash_nested(st, value, which, depth + 1, h);
    Py_DECREF(value);
    return result;
}

static int
hash_enum(ps_state *st, PyObject *key, int which, int depth, uint64_t *h)
{
    uint64_t parts[3];
    PyObject *cls = (PyObject *)Py_TYPE(key);
    PyObject *name = PyObject_GetAttr(key, st->hash.names[PS_NAME_ENUM_NAME]);
    if (name == NULL) {
        return -1;
    }
    /* Members made by combining flags: no name, or one put together from others'. */
    bool named = false;
    if (PyUnicode_Check(name)) {
        Py_ssize_t found = PyUnicode_FindChar(name, '|', 0, PyUnicode_GET_LENGTH(name), 1);
        if (found == -2) {
            Py_DECREF(name);
            return -1;
        }
        named = found == -1;
    }
    Py_DECREF(name);
    if (hash_attribute(st, cls, PS_NAME_MODULE, which, depth, &parts[0]) < 0 ||
        hash_attribute(st, cls, PS_NAME_QUALNAME, which, depth, &parts[1]) < 0 ||
        hash_attribute(st, key, named ? PS_NAME_ENUM_NAME : PS_NAME_ENUM_VALUE, which, depth,
                       &parts[2]) < 0) {
        return -1;
    }
    *h = ps_hash_leaf(which, named ? PS_KIND_ENUM : PS_KIND_FLAG, parts, sizeof parts);
    return 0;
}

static PyObject *
encode_registered(ps_state *st, PyObject *key, PyObject *pair)
{
    PyObject *encoded = PyObject_CallOneArg(PyTuple_GET_ITEM(pair, 1), key);
    if (encoded == NULL) {
        return NULL;
    }
    bool by_parts = PyTuple_GET_ITEM(pair, 2) == Py_True;
    int stable = by_parts ? 1 : ps_hash_is_stable(st, encoded);
    if (stable == 0) {
        ps_raise(st, "CodecError",
                 "the key codec %R encoded a '%.200s' as a '%.200s', which is no stable key: "
                 "encode it as str, bytes, numbers, or tuples of these",
                 PyTuple_GET_ITEM(pair, 0), Py_TYPE(key)->tp_name, Py_TYPE(encoded)->tp_name);
    }
    if (stable <= 0) {
        Py_DECREF(encoded);
        return NULL;
    }
    return encoded;
}

static int
hash_registered(ps_state *st, PyObject *key, PyObject *pair, int which, int depth, uint64_t *h)
{
    uint64_t parts[2];
    PyObject *encoded = encode_registered(st, key, pair);
    if (encoded == NULL) {
        return -1;
    }
    int result = -1;
    if (ps_hash_nested(st, PyTuple_GET_ITEM(pair, 0), which, depth + 1, &parts[0]) == 0 &&
        ps_hash_nested(st, encoded, which, depth + 1, &parts[1]) == 0) {
        *h = ps_hash_leaf(which, PS_KIND_REGISTERED, parts, sizeof parts);
        result = 0;
    }
    Py_DECREF(encoded);
    return result;
}

static int
hash_other(ps_state *st, PyObject *key, int which, uint64_t *h)
{
    Py_hash_t hash = PyObject_Hash(key);
    if (hash == -1 || ps_hash_mark_heap_type(st, Py_TYPE(key)) < 0) {
        return -1;
    }
    int64_t word = hash;
    *h = ps_hash_leaf(which, PS_KIND_OTHER, &word, sizeof word);
    return 0;
}

/* ---- any key */

static int
hash_as(ps_state *st, PyObject *key, ps_as as, PyObject *detail, int which, int depth, uint64_t *h)
{
    switch (as) {
    case PS_AS_STR:
        *h = hash_str(key, which);
        return 0;
    case PS_AS_INT:
        return ps_hash_long(st, key, which, h);
    case PS_AS_BYTES:
        *h = ps_hash_leaf(which, PS_KIND_BYTES, PyBytes_AS_STRING(key),
                          (size_t)PyBytes_GET_SIZE(key));
        return 0;
    case PS_AS_TUPLE:
        return hash_tuple(st, key, which, depth, h);
    case PS_AS_FLOAT:
        *h = ps_hash_double(which, PyFloat_AS_DOUBLE(key));
        return 0;
    case PS_AS_COMPLEX: {
        Py_complex c = ((PyComplexObject *)key)->cval;
        *h = ps_hash_complex(which, c.real, c.imag);
        return 0;
    }
    case PS_AS_FROZENSET:
        return hash_frozenset(st, key, which, depth, h);
    case PS_AS_MAP:
    case PS_AS_SET:
    case PS_AS_VECTOR:
        return st->hash.collection_hook(st, key, which, depth, h);
    case PS_AS_DATETIME:
        return ps_hash_datetime(st, key, which, h);
    case PS_AS_DATE:
        *h = ps_hash_date(which, key);
        return 0;
    case PS_AS_TIME:
        return ps_hash_time(st, key, which, h);
    case PS_AS_TIMEDELTA:
        *h = ps_hash_timedelta(which, key);
        return 0;
    case PS_AS_DECIMAL:
        return ps_hash_decimal(st, key, which, h);
    case PS_AS_FRACTION:
        return ps_hash_fraction(st, key, which, h);
    case PS_AS_UUID:
        return hash_uuid(st, key, which, h);
    case PS_AS_ENUM:
        return hash_enum(st, key, which, depth, h);
    case PS_AS_NONE:
        *h = ps_hash_leaf(which, PS_KIND_NONE, "", 0);
        return 0;
    case PS_AS_ELLIPSIS:
        *h = ps_hash_leaf(which, PS_KIND_ELLIPSIS, "", 0);
        return 0;
    case PS_AS_MEMORYVIEW:
        return hash_memoryview(st, key, which, h);
    case PS_AS_PLAIN:
        return ps_hash_nested(st, detail, which, depth + 1, h);
    case PS_AS_REGISTERED:
        return hash_registered(st, key, detail, which, depth, h);
    case PS_AS_OTHER:
        return hash_other(st, key, which, h);
    case PS_AS_ERROR:
        break;
    }
    return -1;
}

int
ps_hash_nested(ps_state *st, PyObject *key, int which, int depth, uint64_t *h)
{
    PyTypeObject *type = Py_TYPE(key);
    if (type == &PyUnicode_Type || type == &PyLong_Type) {
        if (which == 1 && depth > 0) {
            return ps_hash1(st, key, h);
        }
#if PY_VERSION_HEX < 0x030C0000
        if (type == &PyUnicode_Type && PyUnicode_READY(key) < 0) {
            return -1;
        }
#endif
        return hash_as(st, key, type == &PyLong_Type ? PS_AS_INT : PS_AS_STR, NULL, which, depth,
                       h);
    }
    if (depth >= PS_HASH_MAX_DEPTH) {
        PyErr_SetString(PyExc_RecursionError, "maximum depth exceeded in a nested key");
        return -1;
    }
    if (Py_EnterRecursiveCall(" while hashing a nested key")) {
        return -1;
    }
    PyObject *detail;
    ps_as as = ps_hash_classify(st, key, &detail);
    int result = hash_as(st, key, as, detail, which, depth, h);
    Py_XDECREF(detail);
    Py_LeaveRecursiveCall();
    return result;
}

int
ps_hash1_slow(ps_state *st, PyObject *key, uint64_t *h)
{
    return ps_hash_nested(st, key, 1, 0, h);
}

int
ps_hash2(ps_state *st, PyObject *key, uint64_t *h)
{
    return ps_hash_nested(st, key, 2, 0, h);
}
