/* btree_order.c -- which of two order keys comes first.
 *
 * Exact ints, floats and strs are compared here, without user code; all others by
 * their `<`, and by `==` where neither is less. The order that results has to be a total
 * one. Keys for which it visibly is not (NaN; sets, of which neither is a subset; types
 * that don't know each other) are refused with an error that names them.
 *
 * Words: a node keeps a 64-bit integer for each order key that sorts as the key does:
 *
 *     int in 64 bits     the int itself (bool is an int)
 *     float              its bits, negatives mirrored; -0.0 as 0.0
 *     str                the first eight bytes of its UTF-8, which sorts by code points
 *
 * A search reads these words and touches no key object until two strings agree in eight
 * bytes. At a million int keys a lookup takes a third of the time it takes by objects,
 * each of which is a cache miss. */
#include "btree.h"

#define SIGN (UINT64_C(1) << 63)

/* The first eight bytes of s in UTF-8, surrogates like any other code point. */
static uint64_t
prefix(PyObject *s)
{
    Py_ssize_t n = PyUnicode_GET_LENGTH(s);
    uint64_t word = 0;
    if (PS_LIKELY(PyUnicode_IS_ASCII(s))) {
        const char *text = (const char *)PyUnicode_DATA(s);
        if (PS_LIKELY(n >= 8)) {
            memcpy(&word, text, 8);
            return __builtin_bswap64(word);
        }
        memcpy(&word, text, (size_t)n);
        return __builtin_bswap64(word);
    }
    int room = 8, kind = PyUnicode_KIND(s);
    const void *data = PyUnicode_DATA(s);
    for (Py_ssize_t i = 0; i < n && room > 0; i++) {
        Py_UCS4 c = PyUnicode_READ(kind, data, i);
        uint8_t bytes[4];
        int k = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        bytes[0] = (uint8_t)(k == 1   ? c
                             : k == 2 ? 0xC0 | c >> 6
                             : k == 3 ? 0xE0 | c >> 12
                                      : 0xF0 | c >> 18);
        for (int j = 1; j < k; j++) {
            bytes[j] = (uint8_t)(0x80 | (c >> (6 * (k - 1 - j)) & 0x3F));
        }
        for (int j = 0; j < k && room > 0; j++) {
            word |= (uint64_t)bytes[j] << (8 * --room);
        }
    }
    return word;
}

int64_t
ps_bt_float_word(double x)
{
    uint64_t bits;
    x += 0.0; /* -0.0 becomes 0.0 */
    memcpy(&bits, &x, 8);
    return (int64_t)(bits & SIGN ? ~bits ^ SIGN : bits);
}

ps_bt_kind
ps_bt_word(PyObject *key, int64_t *word)
{
    *word = 0;
    if (PyLong_CheckExact(key) || PyBool_Check(key)) {
        int overflow;
        long long v = PyLong_AsLongLongAndOverflow(key, &overflow);
        if (overflow) {
            return PS_BT_ANY;
        }
        *word = v;
        return PS_BT_INT;
    }
    if (PyUnicode_CheckExact(key)) {
        *word = (int64_t)(prefix(key) ^ SIGN);
        return PS_BT_STR;
    }
    if (PyFloat_Check(key)) {
        double x = PyFloat_AS_DOUBLE(key);
        if (x != x) {
            return PS_BT_NAN;
        }
        if (PyFloat_CheckExact(key)) {
            *word = ps_bt_float_word(x);
            return PS_BT_FLOAT;
        }
    }
    return PS_BT_ANY;
}

/* ---- errors */

int
ps_bt_raise_nan(PyObject *key)
{
    PyErr_Format(PyExc_ValueError,
                 "%R can't be a key of a sorted collection: it is neither before nor after any "
                 "other number",
                 key);
    return -1;
}

int
ps_bt_raise_unordered(PyObject *a, PyObject *b)
{
    PyErr_Format(PyExc_ValueError,
                 "the keys %R and %R are not equal and neither sorts before the other; a sorted "
                 "collection needs a total order: give key= a function that makes one",
                 a, b);
    return -1;
}

/* The TypeError of a comparison, with the keys in its message and itself as the cause. */
static void
explain(PyObject *a, PyObject *b)
{
    PyObject *type, *cause, *tb;
    PyErr_Fetch(&type, &cause, &tb);
    if (type != PyExc_TypeError) {
        PyErr_Restore(type, cause, tb);
        return;
    }
    PyErr_NormalizeException(&type, &cause, &tb);
    if (tb != NULL) {
        PyException_SetTraceback(cause, tb);
    }
    PyErr_Format(PyExc_TypeError, "the keys %R and %R can't be sorted: %S", a, b, cause);
    PyObject *type2, *error, *tb2;
    PyErr_Fetch(&type2, &error, &tb2);
    PyErr_NormalizeException(&type2, &error, &tb2);
    if (error != NULL && PyExceptionInstance_Check(error)) {
        PyException_SetCause(error, Py_NewRef(cause));
    }
    PyErr_Restore(type2, error, tb2);
    Py_XDECREF(type);
    Py_XDECREF(cause);
    Py_XDECREF(tb);
}

/* ---- comparing */

int
ps_bt_less(PyObject *a, PyObject *b)
{
    if (PyUnicode_CheckExact(a) && PyUnicode_CheckExact(b)) {
        return ps_bt_compare_str(a, b) < 0;
    }
    Py_INCREF(a);
    Py_INCREF(b);
    PyObject *r = PyObject_RichCompare(a, b, Py_LT);
    int less = r == NULL ? -1 : r == Py_True ? 1 : r == Py_False ? 0 : PyObject_IsTrue(r);
    Py_XDECREF(r);
    if (less < 0) {
        explain(a, b);
    }
    Py_DECREF(a);
    Py_DECREF(b);
    return less;
}

int
ps_bt_compare(const ps_bt_probe *a, const ps_bt_probe *b, int *order)
{
    *order = 0;
    if (a->key == b->key) {
        return 0;
    }
    if (PS_LIKELY(a->kind == b->kind && a->kind != PS_BT_ANY)) {
        *order = (a->word > b->word) - (a->word < b->word);
        if (*order == 0 && a->kind == PS_BT_STR) {
            *order = ps_bt_compare_str(a->key, b->key);
        }
        return 0;
    }
    int r = ps_bt_less(a->key, b->key);
    if (r != 0) {
        *order = -1;
        return r < 0 ? -1 : 0;
    }
    r = ps_object_eq(a->key, b->key);
    if (r != 0) {
        return r < 0 ? -1 : 0;
    }
    r = ps_bt_less(b->key, a->key);
    if (r > 0) {
        *order = 1;
        return 0;
    }
    return r < 0 ? -1 : ps_bt_raise_unordered(a->key, b->key);
}

int
ps_bt_accept(ps_bt_probe *p)
{
    if (PS_LIKELY(p->kind != PS_BT_ANY)) {
        return p->kind == PS_BT_NAN ? ps_bt_raise_nan(p->key) : 0;
    }
    /* One call tells a type without an order, and what is like NaN, also where there is
     * no other key yet. */
    int less = ps_bt_less(p->key, p->key);
    if (less != 0) {
        return less < 0 ? -1 : ps_bt_raise_unordered(p->key, p->key);
    }
    PyObject *equal = PyObject_RichCompare(p->key, p->key, Py_EQ);
    int is = equal == NULL ? -1 : PyObject_IsTrue(equal);
    Py_XDECREF(equal);
    return is < 0 ? -1 : is ? 0 : ps_bt_raise_unordered(p->key, p->key);
}
