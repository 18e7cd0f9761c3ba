/* hash_number.c -- numbers by exact value.
 *
 * int, float, Decimal and Fraction compare equal across types, so they are hashed by value:
 *
 *     within 64 bits and integral   the integer itself
 *     any other finite number       sign * n * 2^a * 5^b / q
 *
 * with n and q free of the factors 2 and 5 and of common ones. That form is unique, and every
 * type reaches it without expanding an exponent (Decimal("1e999999999") is n = 1, a = b =
 * 999999999). Its bytes:
 *
 *     sign : 1 | a : 8 | b : 8 | bytes of n : 8 | n | q        q is left out when it is 1
 *
 *     0.75          3 / 4        = 3 * 2^-2           Decimal("0.75") = 75 * 10^-2 = the same
 *     Fraction(1,3)              = 1 / 3
 *
 * Removing the fives: a float or a small Decimal in registers; up to 4096 bits limb by limb
 * (n mod 5 is the sum of the limbs mod 5, since 2^64 mod 5 = 1); beyond, by powers 5^(2^k) in
 * pstructs/_canonical.py, since one five at a time would be quadratic.
 */
#include "hash_internal.h"

#include <math.h>

#define STACK_BYTES 512 /* integers up to this size are stripped in C */
#define FIVE27 7450580596923828125u /* 5^27, the largest power below 2^63 */

uint64_t
ps_hash_int(int which, int64_t n)
{
    return which == 1 ? ps_hash_int64(n) : ps_hash_leaf(which, PS_KIND_INT, &n, sizeof n);
}

/* ---- n and q of 64 bits */

static int
strip_twos(uint64_t *n)
{
    int count = __builtin_ctzll(*n);
    *n >>= count;
    return count;
}

static int
strip_fives(uint64_t *n)
{
    int count = 0;
    /* Multiplying by the inverse of 5 gives n / 5 when 5 divides n, else something larger. */
    for (uint64_t x; (x = *n * 0xcccccccccccccccdu) <= UINT64_MAX / 5; count++) {
        *n = x;
    }
    return count;
}

/* Whether (-1)^negative * n * 2^a * 5^b is an int64. */
static bool
as_int64(bool negative, uint64_t n, int64_t a, int64_t b, int64_t *out)
{
    if (a < 0 || b < 0 || a > 63 || b > 27) {
        return false;
    }
    __uint128_t x = n;
    for (; b > 0; b--) {
        x *= 5;
        if (x >> 64) {
            return false;
        }
    }
    if (x >> (64 - a)) { /* a == 0 is fine: x >> 64 is 0 here */
        return false;
    }
    uint64_t magnitude = (uint64_t)x << a;
    if (magnitude > (uint64_t)INT64_MAX + negative) {
        return false;
    }
    *out = (int64_t)(negative ? 0 - magnitude : magnitude);
    return true;
}

static size_t
put_head(unsigned char *out, bool negative, int64_t a, int64_t b, size_t len)
{
    out[0] = negative;
    ps_store64(out + 1, (uint64_t)a);
    ps_store64(out + 9, (uint64_t)b);
    ps_store64(out + 17, len);
    return 25;
}

/* (-1)^negative * n * 2^a * 5^b, n not yet stripped. */
static uint64_t
hash_small(int which, bool negative, uint64_t n, int64_t a, int64_t b)
{
    if (n == 0) {
        return ps_hash_int(which, 0);
    }
    a += strip_twos(&n);
    b += strip_fives(&n);
    int64_t integer;
    if (as_int64(negative, n, a, b, &integer)) {
        return ps_hash_int(which, integer);
    }
    unsigned char bytes[25 + 8];
    size_t len = (size_t)(71 - __builtin_clzll(n)) / 8;
    size_t at = put_head(bytes, negative, a, b, len);
    ps_store64(bytes + at, n);
    return ps_hash_leaf(which, PS_KIND_NUMBER, bytes, at + len);
}

uint64_t
ps_hash_double(int which, double x)
{
    if (!isfinite(x)) {
        const char *name = isnan(x) ? "nan" : x < 0 ? "-inf" : "inf";
        return ps_hash_leaf(which, PS_KIND_SPECIAL, name, strlen(name));
    }
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    uint64_t n = bits & ((UINT64_C(1) << 52) - 1);
    int exponent = (int)(bits >> 52 & 0x7ff);
    if (exponent != 0) {
        n |= UINT64_C(1) << 52;
        exponent--;
    }
    return hash_small(which, bits >> 63, n, exponent - 1074, 0);
}

uint64_t
ps_hash_complex(int which, double real, double imag)
{
    if (imag == 0) {
        return ps_hash_double(which, real);
    }
    uint64_t parts[2] = {ps_hash_double(which, real), ps_hash_double(which, imag)};
    return ps_hash_leaf(which, PS_KIND_COMPLEX, parts, sizeof parts);
}

/* ---- big integers */

/* n * 2^two * 5^five of a positive int, n as little-endian bytes without leading zeros. */
typedef struct {
    unsigned char *bytes; /* stack, or owned by the holder */
    size_t len;
    int64_t two, five;
    PyObject *holder;
    uint64_t stack[STACK_BYTES / 8];
} magnitude;

static Py_ssize_t
long_size(PyObject *n)
{
#if PY_VERSION_HEX >= 0x030D0000
    return PyLong_AsNativeBytes(n, NULL, 0, -1);
#else
    size_t bits = _PyLong_NumBits(n);
    return bits == (size_t)-1 && PyErr_Occurred() ? -1 : (Py_ssize_t)(bits / 8 + 1);
#endif
}

static int
long_bytes(PyObject *n, unsigned char *out, size_t len)
{
#if PY_VERSION_HEX >= 0x030D0000
    Py_ssize_t need =
        PyLong_AsNativeBytes(n, out, (Py_ssize_t)len, Py_ASNATIVEBYTES_LITTLE_ENDIAN);
    return need < 0 ? -1 : 0;
#else
    return _PyLong_AsByteArray((PyLongObject *)n, out, len, 1, 1);
#endif
}

static uint64_t
divide_limbs(uint64_t *limbs, int count, uint64_t by, uint64_t *quotient)
{
    uint64_t rest = 0;
    for (int i = count - 1; i >= 0; i--) {
        __uint128_t x = (__uint128_t)rest << 64 | limbs[i];
        quotient[i] = (uint64_t)(x / by);
        rest = (uint64_t)(x % by);
    }
    return rest;
}

static bool
limbs_divisible_by_five(const uint64_t *limbs, int count)
{
    uint64_t sum = 0;
    for (int i = 0; i < count; i++) {
        sum += limbs[i] % 5;
    }
    return sum % 5 == 0;
}

static void
strip_limbs(magnitude *m, int count)
{
    uint64_t *limbs = m->stack, quotient[STACK_BYTES / 8];
    int zeros = 0;
    while (limbs[zeros] == 0) {
        zeros++;
    }
    int shift = __builtin_ctzll(limbs[zeros]);
    m->two = 64 * (int64_t)zeros + shift;
    count -= zeros;
    for (int i = 0; i < count; i++) {
        uint64_t high = shift && i + 1 < count ? limbs[zeros + i + 1] << (64 - shift) : 0;
        limbs[i] = limbs[zeros + i] >> shift | high;
    }
    m->five = 0;
    for (uint64_t by = FIVE27; limbs_divisible_by_five(limbs, count);) {
        if (divide_limbs(limbs, count, by, quotient) == 0) {
            memcpy(limbs, quotient, (size_t)count * 8);
            m->five += by == FIVE27 ? 27 : 1;
        }
        else {
            by = 5;
        }
    }
    m->bytes = (unsigned char *)limbs;
    m->len = (size_t)count * 8;
}

/* Fill m from a positive int. 0, -1 on error; magnitude_clear() in any case. */
static int
magnitude_init(ps_state *st, magnitude *m, PyObject *n)
{
    m->holder = NULL;
    Py_ssize_t size = long_size(n);
    if (size < 0) {
        return -1;
    }
    if (size <= STACK_BYTES) {
        int count = (int)(size + 7) / 8;
        if (long_bytes(n, (unsigned char *)m->stack, (size_t)count * 8) < 0) {
            return -1;
        }
        strip_limbs(m, count);
    }
    else {
        PyObject *module = ps_hash_canonical(st);
        if (module == NULL) {
            return -1;
        }
        PyObject *r = PyObject_CallMethodOneArg(module, st->hash.names[PS_NAME_STRIP], n);
        if (r == NULL) {
            return -1;
        }
        long long two, five;
        PyObject *bytes;
        if (!PyArg_ParseTuple(r, "O!LL", &PyBytes_Type, &bytes, &two, &five)) {
            Py_DECREF(r);
            return -1;
        }
        m->holder = r;
        m->bytes = (unsigned char *)PyBytes_AS_STRING(bytes);
        m->len = (size_t)PyBytes_GET_SIZE(bytes);
        m->two = two;
        m->five = five;
    }
    while (m->len > 0 && m->bytes[m->len - 1] == 0) {
        m->len--;
    }
    return 0;
}

static void
magnitude_clear(magnitude *m)
{
    Py_CLEAR(m->holder);
}

static uint64_t
magnitude_small(const magnitude *m)
{
    uint64_t n = 0;
    memcpy(&n, m->bytes, m->len);
    return n;
}

/* (-1)^negative * n * 2^a * 5^b / q; n, q positive ints, q NULL for 1. */
static int
hash_ratio(ps_state *st, int which, bool negative, PyObject *n, int64_t a, int64_t b, PyObject *q,
           uint64_t *h)
{
    magnitude top, bottom;
    unsigned char *bytes = NULL;
    int result = -1;
    bottom.holder = NULL;
    if (magnitude_init(st, &top, n) < 0) {
        goto done;
    }
    a += top.two;
    b += top.five;
    bottom.len = 0;
    if (q != NULL) {
        if (magnitude_init(st, &bottom, q) < 0) {
            goto done;
        }
        a -= bottom.two;
        b -= bottom.five;
        if (bottom.len == 1 && bottom.bytes[0] == 1) {
            bottom.len = 0;
        }
    }
    if (bottom.len == 0 && top.len <= 8) {
        *h = hash_small(which, negative, magnitude_small(&top), a, b);
        result = 0;
        goto done;
    }
    bytes = PyMem_Malloc(25 + top.len + bottom.len);
    if (bytes == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    size_t at = put_head(bytes, negative, a, b, top.len);
    memcpy(bytes + at, top.bytes, top.len);
    if (bottom.len > 0) {
        memcpy(bytes + at + top.len, bottom.bytes, bottom.len);
    }
    *h = ps_hash_leaf(which, PS_KIND_NUMBER, bytes, at + top.len + bottom.len);
    result = 0;
done:
    PyMem_Free(bytes);
    magnitude_clear(&top);
    magnitude_clear(&bottom);
    return result;
}

/* The int without its sign: new reference, *negative set. */
static PyObject *
absolute(PyObject *n, bool *negative)
{
    /* int's own slots, not those of a subclass. */
    int overflow;
    long long small = PyLong_AsLongLongAndOverflow(n, &overflow);
    *negative = overflow < 0 || (overflow == 0 && small < 0);
    return PyLong_Type.tp_as_number->nb_absolute(n);
}

int
ps_hash_long(ps_state *st, PyObject *key, int which, uint64_t *h)
{
    int64_t n;
    if (ps_long_as_int64(key, &n)) {
        *h = ps_hash_int(which, n);
        return 0;
    }
    bool negative;
    PyObject *positive = absolute(key, &negative);
    if (positive == NULL) {
        return -1;
    }
    int result = hash_ratio(st, which, negative, positive, 0, 0, NULL, h);
    Py_DECREF(positive);
    return result;
}

int
ps_hash_fraction(ps_state *st, PyObject *key, int which, uint64_t *h)
{
    PyObject *n = NULL, *q = NULL, *positive = NULL;
    bool negative;
    int result = -1;
    n = PyObject_GetAttr(key, st->hash.names[PS_NAME_NUMERATOR]);
    q = n == NULL ? NULL : PyObject_GetAttr(key, st->hash.names[PS_NAME_DENOMINATOR]);
    if (q == NULL) {
        goto done;
    }
    if (!PyLong_Check(n) || !PyLong_Check(q)) {
        PyErr_Format(PyExc_TypeError, "numerator and denominator of '%.200s' must be ints",
                     Py_TYPE(key)->tp_name);
        goto done;
    }
    int64_t one;
    if (ps_long_as_int64(q, &one) && one == 1) {
        result = ps_hash_long(st, n, which, h);
        goto done;
    }
    positive = absolute(n, &negative);
    if (positive == NULL) {
        goto done;
    }
    result = hash_ratio(st, which, negative, positive, 0, 0, q, h);
done:
    Py_XDECREF(n);
    Py_XDECREF(q);
    Py_XDECREF(positive);
    return result;
}

/* ---- Decimal */

static int
hash_decimal_special(PyObject *key, bool negative, PyObject *exponent, int which, uint64_t *h)
{
    if (PyUnicode_Check(exponent) && PyUnicode_CompareWithASCIIString(exponent, "F") == 0) {
        *h = ps_hash_double(which, negative ? -Py_HUGE_VAL : Py_HUGE_VAL);
        return 0;
    }
    if (PyUnicode_Check(exponent) && PyUnicode_CompareWithASCIIString(exponent, "n") == 0) {
        *h = ps_hash_double(which, Py_NAN);
        return 0;
    }
    /* A signaling NaN: Decimal's own refusal. */
    if (PyObject_Hash(key) != -1) {
        PyErr_SetString(PyExc_TypeError, "cannot hash this Decimal");
    }
    return -1;
}

int
ps_hash_decimal(ps_state *st, PyObject *key, int which, uint64_t *h)
{
    PyObject *parts = NULL, *coefficient = NULL;
    int result = -1;
    parts = PyObject_CallMethodNoArgs(key, st->hash.names[PS_NAME_AS_TUPLE]);
    if (parts == NULL) {
        return -1;
    }
    if (!PyTuple_Check(parts) || PyTuple_GET_SIZE(parts) != 3 ||
        !PyTuple_Check(PyTuple_GET_ITEM(parts, 1))) {
        PyErr_SetString(PyExc_TypeError, "Decimal.as_tuple() must return a DecimalTuple");
        goto done;
    }
    int sign = PyObject_IsTrue(PyTuple_GET_ITEM(parts, 0));
    PyObject *digits = PyTuple_GET_ITEM(parts, 1), *exponent = PyTuple_GET_ITEM(parts, 2);
    if (sign < 0) {
        goto done;
    }
    if (!PyLong_Check(exponent)) {
        result = hash_decimal_special(key, sign, exponent, which, h);
        goto done;
    }
    long long ten = PyLong_AsLongLong(exponent);
    if (ten == -1 && PyErr_Occurred()) {
        goto done;
    }
    if (PyTuple_GET_SIZE(digits) <= 19) {
        uint64_t n = 0;
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(digits); i++) {
            long d = PyLong_AsLong(PyTuple_GET_ITEM(digits, i));
            if (d == -1 && PyErr_Occurred()) {
                goto done;
            }
            n = n * 10 + (uint64_t)d;
        }
        *h = hash_small(which, sign, n, ten, ten);
        result = 0;
        goto done;
    }
    /* int(Decimal((0, digits, 0))): exact, and not bound by the limit on int(str). */
    PyObject *cls = (PyObject *)ps_hash_class(st, PS_AS_DECIMAL);
    PyObject *whole = cls == NULL ? NULL : PyObject_CallFunction(cls, "((iOi))", 0, digits, 0);
    if (whole == NULL) {
        goto done;
    }
    coefficient = PyNumber_Long(whole);
    Py_DECREF(whole);
    if (coefficient == NULL) {
        goto done;
    }
    int64_t small;
    if (ps_long_as_int64(coefficient, &small) && small == 0) {
        *h = ps_hash_int(which, 0);
        result = 0;
        goto done;
    }
    result = hash_ratio(st, which, sign, coefficient, ten, ten, NULL, h);
done:
    Py_DECREF(parts);
    Py_XDECREF(coefficient);
    return result;
}
