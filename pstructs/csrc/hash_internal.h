/* hash_internal.h -- shared by hash.c, hash_types.c, hash_number.c and hash_api.c only. */
#ifndef PS_HASH_INTERNAL_H
#define PS_HASH_INTERNAL_H

#include "error.h"
#include "hash.h"
#include "state.h"

/* Nested tuples; bounds the C stack when the interpreter's own limit was raised. */
#define PS_HASH_MAX_DEPTH 4000

/* What a key hashes as. */
typedef enum {
    PS_AS_ERROR = -1,
    PS_AS_STR,
    PS_AS_INT,
    PS_AS_BYTES,
    PS_AS_TUPLE,
    PS_AS_FLOAT,
    PS_AS_COMPLEX,
    PS_AS_FROZENSET,
    PS_AS_MAP, /* own collections */
    PS_AS_SET,
    PS_AS_VECTOR,
    PS_AS_DATETIME, /* before date, of which it is a subclass */
    PS_AS_DATE,
    PS_AS_TIME,
    PS_AS_TIMEDELTA,
    PS_AS_DECIMAL,
    PS_AS_FRACTION,
    PS_AS_UUID,
    PS_AS_ENUM,
    PS_AS_BASES, /* the ones above may have subclasses */
    PS_AS_NONE = PS_AS_BASES,
    PS_AS_ELLIPSIS,
    PS_AS_MEMORYVIEW,
    PS_AS_PLAIN,      /* equals a plain object (a number, a map): hash that one instead */
    PS_AS_REGISTERED, /* hash the registered pair instead */
    PS_AS_OTHER,      /* heap-only */
} ps_as;

enum {
    PS_NAME_HASH,
    PS_NAME_MODULE,
    PS_NAME_QUALNAME,
    PS_NAME_ENUM_NAME,
    PS_NAME_ENUM_VALUE,
    PS_NAME_UTCOFFSET,
    PS_NAME_REPLACE,
    PS_NAME_BYTES,
    PS_NAME_NUMERATOR,
    PS_NAME_DENOMINATOR,
    PS_NAME_AS_TUPLE,
    PS_NAME_STRIP,
    PS_NAME_PLAIN_NUMBER,
    PS_NAME_TOBYTES,
    PS_NAME_FOLD,
    PS_NAME_DATETIME,
    PS_NAME_DECIMAL,
    PS_NAME_FRACTIONS,
    PS_NAME_UUID,
    PS_NAME_ENUM,
    PS_NAME_NUMBERS,
};

/* ---- hash_types.c */
/* How key hashes. *detail, to be released by the caller: a new reference to the plain object
 * (PS_AS_PLAIN), to (name, encode, by parts) (PS_AS_REGISTERED), else NULL. Runs user code. */
ps_as ps_hash_classify(ps_state *st, PyObject *key, PyObject **detail);
/* Borrowed: the class behind a base. NULL while the module that defines it is not loaded, or
 * with an exception. */
PyTypeObject *ps_hash_class(ps_state *st, ps_as base);
/* Remember that a type was hashed heap-only. 0, -1. */
int ps_hash_mark_heap_type(ps_state *st, PyTypeObject *type);
int ps_hash_was_heap_type(ps_state *st, PyTypeObject *type);
/* Borrowed: the module pstructs._canonical. */
PyObject *ps_hash_canonical(ps_state *st);

/* ---- hash_number.c */
uint64_t ps_hash_int(int which, int64_t n);
uint64_t ps_hash_double(int which, double x);
int ps_hash_long(ps_state *st, PyObject *key, int which, uint64_t *h);
int ps_hash_decimal(ps_state *st, PyObject *key, int which, uint64_t *h);
int ps_hash_fraction(ps_state *st, PyObject *key, int which, uint64_t *h);
uint64_t ps_hash_complex(int which, double real, double imag);

/* ---- hash_time.c: date and time; their own fields only, but for utcoffset() */
uint64_t ps_hash_date(int which, PyObject *key);
uint64_t ps_hash_timedelta(int which, PyObject *key);
int ps_hash_datetime(ps_state *st, PyObject *key, int which, uint64_t *h);
int ps_hash_time(ps_state *st, PyObject *key, int which, uint64_t *h);

#endif
