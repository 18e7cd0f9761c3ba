/* hash.h -- the hash domain: the same hash of a key in every process.
 *
 *   H1  fast 64-bit hash with published constants (docs/spec/hash-v1.md)
 *   H2  SipHash-1-3 of the same canonical bytes, used below H1
 *
 * x == y implies equal hashes. An object of a type outside the domain gets a
 * mix of hash(obj): good in this process only, and refused by saving.
 */
#ifndef PS_HASH_H
#define PS_HASH_H

#include "hash_bytes.h"

#ifdef PS_SMALL
#define PS_HASH_DOMAIN 0x80000001u
#else
#define PS_HASH_DOMAIN 1u
#endif

/* Kinds of canonical bytes: folded into the seed of H1 and the key of H2. They
 * are part of the domain: never renumber one. */
enum {
    PS_KIND_STR1 = 1, /* a str by the width of its code units */
    PS_KIND_STR2 = 2,
    PS_KIND_STR4 = 4,
    PS_KIND_BYTES = 5,
    PS_KIND_INT = 6, /* integers of 64 bits; H1 is ps_hash_int64 instead */
    PS_KIND_NUMBER = 7,
    PS_KIND_SPECIAL = 8, /* infinities and NaN */
    PS_KIND_COMPLEX = 9,
    PS_KIND_NONE = 10,
    PS_KIND_ELLIPSIS = 11,
    PS_KIND_TUPLE = 12,
    PS_KIND_SET = 13, /* frozenset and PSet */
    PS_KIND_MAP = 14, /* PMap: unordered entries */
    PS_KIND_ENTRY = 15,
    PS_KIND_DATE = 16,
    PS_KIND_DATETIME = 17,
    PS_KIND_DATETIME_UTC = 18,
    PS_KIND_TIME = 19,
    PS_KIND_TIME_UTC = 20,
    PS_KIND_TIMEDELTA = 21,
    PS_KIND_UUID = 22,
    PS_KIND_ENUM = 23,
    PS_KIND_FLAG = 24, /* members of an Enum that have a value and no name */
    PS_KIND_REGISTERED = 25,
    PS_KIND_OTHER = 26, /* heap-only: hash(obj) */
    PS_KIND_VECTOR = 27, /* PVector: its elements in order */
};

/* How the layer of the Python types hashes its own collections (PMap, PSet and
 * subclasses that keep their __hash__). which: 1 or 2 for H1 or H2. depth: of
 * the collection; its parts are hashed by ps_hash_nested at depth + 1. 0, or -1. */
typedef int (*ps_hash_collection)(ps_state *st, PyObject *collection, int which, int depth,
                                  uint64_t *h);
/* Whether every key and value inside is stable (ps_hash_is_stable_nested): 1, 0; -1 error. */
typedef int (*ps_stable_collection)(ps_state *st, PyObject *collection, int depth);

/* For an object that equals one of our collections without being one: *plain becomes a new
 * reference to that collection. 1, 0: no such object, -1. */
typedef int (*ps_hash_stand_in)(ps_state *st, PyObject *key, PyObject **plain);

#define PS_HASH_CLASSES 12
#define PS_HASH_NAMES 24

/* What hashing keeps in the module state. All owned; private to hash*.c but for the hooks. */
typedef struct {
    ps_hash_collection collection_hook; /* set by the types layer; NULL: like any object */
    ps_stable_collection stable_hook;
    ps_hash_stand_in stand_in_hook;
    PyObject *classes[PS_HASH_CLASSES]; /* Decimal, UUID...: found once their module is loaded */
    PyObject *names[PS_HASH_NAMES];     /* interned strings */
    PyObject *canonical;                /* the module pstructs._canonical, once needed */
    PyObject *key_types;                /* dict: type -> (name, encode, by parts) */
    PyObject *heap_types; /* dict: id(type) -> weak reference, types hashed heap-only */
    Py_ssize_t heap_types_sweep; /* size of heap_types at which dead entries are swept */
} ps_hash_state;

int ps_hash_init(ps_state *st);
int ps_hash_traverse(ps_state *st, visitproc visit, void *arg);
void ps_hash_clear(ps_state *st);

/* H1 / H2 of any key. 0, or -1 with an exception. Both may run user code. */
int ps_hash1_slow(ps_state *st, PyObject *key, uint64_t *h);
int ps_hash2(ps_state *st, PyObject *key, uint64_t *h);

/* Whether saving can write this key: 1, or 0 for heap-only types; -1 error. */
int ps_hash_is_stable(ps_state *st, PyObject *key);

/* New reference: the object of a plain type that the key hashes as and equals:
 * an int, float, str, bytes, tuple... for an instance of a subclass that hashes
 * as its base, for a number of another library, for a memoryview. The key itself
 * when it is plain, when it has no plain equal (enum members, collections), when
 * it is a registered key type or heap-only. Not recursive. */
PyObject *ps_hash_plain(ps_state *st, PyObject *key);

/* Set UnsavableKeyError for the heap-only key (or the part of it that is). */
void ps_hash_raise_unsavable(ps_state *st, PyObject *key);

/* ---- for layers that hash collections: which is 1 (H1) or 2 (H2) */
/* Canonical bytes of a kind. */
uint64_t ps_hash_leaf(int which, int kind, const void *data, size_t len);
/* H1 or H2 of a part of a collection, and whether it is stable. depth bounds the C stack. */
int ps_hash_nested(ps_state *st, PyObject *key, int which, int depth, uint64_t *h);
int ps_hash_is_stable_nested(ps_state *st, PyObject *key, int depth);
/* An entry of a map, from the hashes of its key and its value. */
uint64_t ps_hash_entry(int which, uint64_t key, uint64_t value);
/* n hashes in any order, sorted in place, as one hash of `kind` (PS_KIND_SET: equal
 * to that of a frozenset). 0, or -1 with MemoryError. */
int ps_hash_combine_unordered(int which, int kind, uint64_t *h, size_t n, uint64_t *out);

/* An exact int of 64 bits (two's complement): its value. The rare widths cost a call. */
PS_INLINE bool
ps_long_as_int64(PyObject *key, int64_t *n)
{
#if PY_VERSION_HEX >= 0x030C0000
    if (PS_LIKELY(PyUnstable_Long_IsCompact((PyLongObject *)key))) {
        *n = PyUnstable_Long_CompactValue((PyLongObject *)key);
        return true;
    }
#else
    Py_ssize_t size = Py_SIZE(key);
    const digit *d = ((PyLongObject *)key)->ob_digit;
    if (PS_LIKELY(size >= -1 && size <= 1)) {
        *n = size == 0 ? 0 : (int64_t)size * d[0];
        return true;
    }
    if (size == 2 || size == -2) {
        int64_t m = (int64_t)d[1] << PyLong_SHIFT | d[0];
        *n = size < 0 ? -m : m;
        return true;
    }
#endif
    int overflow;
    long long m = PyLong_AsLongLongAndOverflow(key, &overflow);
    *n = m;
    return overflow == 0;
}

/* H1 of an exact str or an exact int within 64 bits, without user code. false: the
 * key is none, and ps_hash1_slow is needed. */
PS_INLINE bool
ps_hash1_fast(PyObject *key, uint64_t *h)
{
    if (PS_LIKELY(PyUnicode_CheckExact(key))) {
        size_t len = (size_t)PyUnicode_GET_LENGTH(key);
        if (PS_LIKELY(PyUnicode_IS_COMPACT_ASCII(key))) {
            *h = ps_hash_short((PyASCIIObject *)key + 1, len, PS_SEED(1));
            return true;
        }
        if (PS_LIKELY(PyUnicode_IS_COMPACT(key))) {
            int kind = PyUnicode_KIND(key);
            *h = ps_hash_short((PyCompactUnicodeObject *)key + 1, len * kind, PS_SEED(kind));
            return true;
        }
        return false;
    }
    int64_t n;
    if (PyLong_CheckExact(key) && PS_LIKELY(ps_long_as_int64(key, &n))) {
        *h = ps_hash_int64(n);
        return true;
    }
    return false;
}

/* H1 of any key. 0, or -1 with an exception. */
PS_INLINE int
ps_hash1(ps_state *st, PyObject *key, uint64_t *h)
{
    return PS_LIKELY(ps_hash1_fast(key, h)) ? 0 : ps_hash1_slow(st, key, h);
}

/* Python: pstructs.stable_hash(obj) -> int (H1 as unsigned 64-bit). */
PyObject *ps_stable_hash(PyObject *module, PyObject *obj);
/* Python, private: _hash1(obj), _hash2(obj), _hash_is_stable(obj), and
 * _register_key_type(cls, name, encode). */
PyObject *ps_py_hash1(PyObject *module, PyObject *obj);
PyObject *ps_py_hash2(PyObject *module, PyObject *obj);
PyObject *ps_py_hash_is_stable(PyObject *module, PyObject *obj);
PyObject *ps_py_register_key_type(PyObject *module, PyObject *args);

#endif
