/* msgpack_decode.c -- MessagePack bytes to values.
 *
 * The problem: the bytes may come from anybody. So a length is compared with the
 * bytes that are left before anything is allocated, nesting has a bound, nothing
 * is imported or run because of what the bytes say, and whatever is wrong ends in
 * DamagedPackError with the offset.
 *
 * An extension type that nothing here knows, or a user type whose codec is not
 * registered, becomes pstructs.packs.Opaque, which is saved again unchanged.
 *
 * References stand for records elsewhere. A reference to an out-of-line value may
 * only be the whole message: otherwise a few bytes could name the same value
 * twice on every level and decode into 2**n copies. Collections are opened
 * lazily, so they can't.
 *
 * Cost: O(bytes); a collection O(1).
 */
#include "msgpack.h"

int
ps_codecs_load(ps_state *st)
{
    static const char *const names[PS_CODEC_COUNT] = {
        "encoders", "find_encoder", "decoders",   "decode_array",
        "Opaque",   "order_name",   "find_order",
    };
    if (PS_LIKELY(st->pack_slots[PS_CODEC_COUNT - 1] != NULL)) {
        return 0;
    }
    PyObject *module = PyImport_ImportModule("pstructs._codecs");
    if (module == NULL) {
        return -1;
    }
    for (int i = 0; i < PS_CODEC_COUNT; i++) {
        PyObject *x = PyObject_GetAttrString(module, names[i]);
        if (x == NULL) {
            Py_DECREF(module);
            return -1;
        }
        Py_XSETREF(st->pack_slots[i], x);
    }
    Py_DECREF(module);
    return 0;
}

static PyObject *
damaged(ps_decoder *d, const uint8_t *at, const char *what)
{
    return ps_raise(d->st, "DamagedPackError",
                    "the value at byte %zd of the pack is damaged: %s; restore the pack from a "
                    "copy, or verify the store",
                    (Py_ssize_t)(at - d->base), what);
}

/* Turn what a constructor said about bad content into DamagedPackError. */
static PyObject *
damaged_by_error(ps_decoder *d, const uint8_t *at)
{
    PyObject *type, *value, *tb;
    if (PyErr_ExceptionMatches(PyExc_MemoryError) ||
        PyErr_ExceptionMatches(PyExc_RecursionError) || !PyErr_ExceptionMatches(PyExc_Exception)) {
        return NULL;
    }
    PyErr_Fetch(&type, &value, &tb);
    PyObject *root = ps_error_class(d->st, "PstructsError"); /* may import */
    if (root == NULL) {
        Py_XDECREF(type);
        Py_XDECREF(value);
        Py_XDECREF(tb);
        return NULL;
    }
    if (PyErr_GivenExceptionMatches(type, root)) {
        PyErr_Restore(type, value, tb);
        return NULL;
    }
    PyErr_NormalizeException(&type, &value, &tb);
    PyObject *text = value ? PyObject_Str(value) : NULL;
    const char *utf8 = text ? PyUnicode_AsUTF8(text) : NULL;
    PyErr_Clear();
    damaged(d, at, utf8 ? utf8 : "its content is not valid");
    Py_XDECREF(text);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(tb);
    return NULL;
}

static PyObject *decode(ps_decoder *d, bool top);

static PyObject *
decode_str(ps_decoder *d, const uint8_t *at, size_t n)
{
    if (n > (size_t)(d->end - d->p)) {
        return damaged(d, at, "a string is cut off");
    }
    PyObject *s = PyUnicode_DecodeUTF8((const char *)d->p, (Py_ssize_t)n, NULL);
    d->p += n;
    return s ? s : damaged_by_error(d, at);
}

static PyObject *
decode_bytes(ps_decoder *d, const uint8_t *at, size_t n)
{
    if (n > (size_t)(d->end - d->p)) {
        return damaged(d, at, "a byte string is cut off");
    }
    PyObject *b = PyBytes_FromStringAndSize((const char *)d->p, (Py_ssize_t)n);
    d->p += n;
    return b;
}

static PyObject *
decode_list(ps_decoder *d, const uint8_t *at, size_t n)
{
    if (n > (size_t)(d->end - d->p)) {
        return damaged(d, at, "a list says it has more items than there are bytes");
    }
    /* Grown item by item: until all is read, the length is only a claim. */
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list != NULL && i < n; i++) {
        PyObject *item = decode(d, false);
        if (item == NULL || PyList_Append(list, item) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(item);
    }
    return list;
}

static PyObject *
decode_dict(ps_decoder *d, const uint8_t *at, size_t n)
{
    if (n > (size_t)(d->end - d->p) / 2) {
        return damaged(d, at, "a dict says it has more entries than there are bytes");
    }
    PyObject *dict = PyDict_New();
    for (size_t i = 0; dict != NULL && i < n; i++) {
        PyObject *key = decode(d, false);
        PyObject *value = key ? decode(d, false) : NULL;
        if (value == NULL) {
            Py_CLEAR(dict);
        }
        else if (PyDict_SetItem(dict, key, value) < 0) {
            Py_CLEAR(dict);
            damaged_by_error(d, at);
        }
        Py_XDECREF(key);
        Py_XDECREF(value);
    }
    return dict;
}

static PyObject *
opaque(ps_decoder *d, uint8_t code, PyObject *payload)
{
    return PyObject_CallFunction(d->st->pack_slots[PS_CODEC_OPAQUE], "iO", (int)code, payload);
}

/* The one message that is the whole payload. */
static PyObject *
decode_payload(ps_decoder *d, const uint8_t *at, const uint8_t *end)
{
    const uint8_t *outer = d->end;
    d->end = end;
    PyObject *x = decode(d, false);
    if (x != NULL && d->p != end) {
        Py_CLEAR(x);
        damaged(d, at, "an extension value is longer than its content");
    }
    d->end = outer;
    return x;
}

static PyObject *
decode_array(ps_decoder *d, const uint8_t *at, const uint8_t *end)
{
    if (end - d->p <= PS_REF_SIZE) {
        return damaged(d, at, "an array has no reference");
    }
    ps_ref ref = ps_ref_load(d->p);
    d->p += PS_REF_SIZE;
    PyObject *meta = decode_payload(d, at, end);
    PyObject *view = meta ? d->raw(d, ref) : NULL;
    PyObject *array = NULL;
    if (view != NULL) {
        array = PyObject_CallFunctionObjArgs(d->st->pack_slots[PS_CODEC_ARRAY], view, meta, NULL);
        if (array == NULL) {
            damaged_by_error(d, at);
        }
    }
    Py_XDECREF(meta);
    Py_XDECREF(view);
    return array;
}

/* A sorted collection with a key function. */
static PyObject *
decode_ordered(ps_decoder *d, const uint8_t *at, const uint8_t *end)
{
    if (end - d->p <= PS_REF_SIZE) {
        return damaged(d, at, "a sorted collection has no reference");
    }
    ps_ref ref = ps_ref_load(d->p);
    d->p += PS_REF_SIZE;
    PyObject *name = decode_payload(d, at, end);
    PyObject *order = name ? PyObject_CallOneArg(d->st->pack_slots[PS_CODEC_ORDER], name) : NULL;
    PyObject *x = NULL;
    if (order != NULL) {
        x = d->reference(d, ref, order, false);
    }
    else if (name != NULL) {
        damaged_by_error(d, at);
    }
    Py_XDECREF(name);
    Py_XDECREF(order);
    return x;
}

static PyObject *
decode_ext(ps_decoder *d, const uint8_t *at, uint8_t code, size_t n, bool top)
{
    if (n > (size_t)(d->end - d->p)) {
        return damaged(d, at, "an extension value is cut off");
    }
    if (ps_codecs_load(d->st) < 0) {
        return NULL;
    }
    const uint8_t *payload = d->p, *end = payload + n;
    PyObject *x = NULL, *content = NULL;
    switch (code) {
    case PS_EXT_REF:
        if (n != PS_REF_SIZE) {
            return damaged(d, at, "a reference has the wrong length");
        }
        d->p = end;
        return d->reference(d, ps_ref_load(payload), NULL, top);
    case PS_EXT_ORDERED:
        return decode_ordered(d, at, end);
    case PS_EXT_ARRAY:
        return decode_array(d, at, end);
    case PS_EXT_BYTEARRAY:
        d->p = end;
        return PyByteArray_FromStringAndSize((const char *)payload, (Py_ssize_t)n);
    case PS_EXT_SURROGATES:
        d->p = end;
        x = PyUnicode_DecodeUTF8((const char *)payload, (Py_ssize_t)n, "surrogatepass");
        return x ? x : damaged_by_error(d, at);
    case PS_EXT_TUPLE:
    case PS_EXT_FROZENSET:
    case PS_EXT_SET:
        content = decode_payload(d, at, end);
        if (content == NULL) {
            return NULL;
        }
        if (!PyList_CheckExact(content)) {
            Py_DECREF(content);
            return damaged(d, at, "the content of a tuple or set is not an array");
        }
        x = code == PS_EXT_TUPLE ? PyList_AsTuple(content)
            : code == PS_EXT_SET ? PySet_New(content)
                                 : PyFrozenSet_New(content);
        Py_DECREF(content);
        return x ? x : damaged_by_error(d, at);
    }
    PyObject *key = PyLong_FromLong(code);
    PyObject *function =
        key ? PyDict_GetItemWithError(d->st->pack_slots[PS_CODEC_DECODERS], key) : NULL;
    Py_XDECREF(key);
    if (function == NULL && PyErr_Occurred()) {
        return NULL;
    }
    Py_XINCREF(function);
    if (function != NULL && code >= PS_EXT_MESSAGE && code <= PS_EXT_LAST_MESSAGE) {
        content = decode_payload(d, at, end);
    }
    else {
        content = PyBytes_FromStringAndSize((const char *)payload, (Py_ssize_t)n);
        d->p = end;
    }
    if (content != NULL) {
        if (function == NULL) {
            x = opaque(d, code, content);
        }
        else {
            x = PyObject_CallOneArg(function, content);
            if (x == NULL) {
                damaged_by_error(d, at);
            }
        }
    }
    Py_XDECREF(function);
    Py_XDECREF(content);
    return x;
}

static PyObject *
decode_deep(ps_decoder *d, const uint8_t *at, uint8_t c, size_t n, bool top)
{
    PyObject *x;
    if (d->depth >= PS_MSG_MAX_DEPTH) {
        return damaged(d, at, "it nests too deep");
    }
    if (Py_EnterRecursiveCall(" while reading a value of a pack")) {
        return NULL;
    }
    d->depth++;
    if (c == 0x90) {
        x = decode_list(d, at, n);
    }
    else if (c == 0x80) {
        x = decode_dict(d, at, n);
    }
    else {
        x = decode_ext(d, at, d->p[-1], n, top);
    }
    d->depth--;
    Py_LeaveRecursiveCall();
    return x;
}

/* k bytes of a big-endian number that the caller knows to be there. */
PS_INLINE uint64_t
take(ps_decoder *d, int k)
{
    uint64_t x = 0;
    for (int i = 0; i < k; i++) {
        x = x << 8 | d->p[i];
    }
    d->p += k;
    return x;
}

static PyObject *
decode(ps_decoder *d, bool top)
{
    /* Bytes that follow C0 .. DF in the header, without what the length counts. */
    static const uint8_t more[32] = {
        0, 0, 0, 0, 1, 2, 4, 2, 3, 5, 4, 8, 1, 2, 4, 8,
        1, 2, 4, 8, 1, 1, 1, 1, 1, 1, 2, 4, 2, 4, 2, 4,
    };
    const uint8_t *at = d->p;
    if (at >= d->end) {
        return damaged(d, at, "it is cut off");
    }
    uint8_t c = *d->p++;
    if (c <= 0x7F || c >= 0xE0) {
        return PyLong_FromLong((int8_t)c);
    }
    if (c < 0xC0) {
        return c >= 0xA0   ? decode_str(d, at, c & 31)
               : c >= 0x90 ? decode_deep(d, at, 0x90, c & 15, top)
                           : decode_deep(d, at, 0x80, c & 15, top);
    }
    if (more[c - 0xC0] > d->end - d->p) {
        return damaged(d, at, "it is cut off");
    }
    switch (c) {
    case 0xC0:
        Py_RETURN_NONE;
    case 0xC2:
        Py_RETURN_FALSE;
    case 0xC3:
        Py_RETURN_TRUE;
    case 0xC4:
        return decode_bytes(d, at, take(d, 1));
    case 0xC5:
        return decode_bytes(d, at, take(d, 2));
    case 0xC6:
        return decode_bytes(d, at, take(d, 4));
    case 0xC7:
    case 0xC8:
    case 0xC9: {
        size_t n = take(d, 1 << (c - 0xC7));
        d->p++; /* the code, read again by decode_deep */
        return decode_deep(d, at, c, n, top);
    }
    case 0xCA: {
        uint32_t bits = (uint32_t)take(d, 4);
        float x;
        memcpy(&x, &bits, 4);
        return PyFloat_FromDouble((double)x);
    }
    case 0xCB: {
        uint64_t bits = take(d, 8);
        double x;
        memcpy(&x, &bits, 8);
        return PyFloat_FromDouble(x);
    }
    case 0xCC:
        return PyLong_FromLong((long)take(d, 1));
    case 0xCD:
        return PyLong_FromLong((long)take(d, 2));
    case 0xCE:
        return PyLong_FromUnsignedLongLong(take(d, 4));
    case 0xCF:
        return PyLong_FromUnsignedLongLong(take(d, 8));
    case 0xD0:
        return PyLong_FromLong((int8_t)take(d, 1));
    case 0xD1:
        return PyLong_FromLong((int16_t)take(d, 2));
    case 0xD2:
        return PyLong_FromLong((int32_t)take(d, 4));
    case 0xD3:
        return PyLong_FromLongLong((int64_t)take(d, 8));
    case 0xD4:
    case 0xD5:
    case 0xD6:
    case 0xD7:
    case 0xD8:
        d->p++;
        return decode_deep(d, at, c, (size_t)1 << (c - 0xD4), top);
    case 0xD9:
        return decode_str(d, at, take(d, 1));
    case 0xDA:
        return decode_str(d, at, take(d, 2));
    case 0xDB:
        return decode_str(d, at, take(d, 4));
    case 0xDC:
        return decode_deep(d, at, 0x90, take(d, 2), top);
    case 0xDD:
        return decode_deep(d, at, 0x90, take(d, 4), top);
    case 0xDE:
        return decode_deep(d, at, 0x80, take(d, 2), top);
    case 0xDF:
        return decode_deep(d, at, 0x80, take(d, 4), top);
    }
    return damaged(d, at, "byte C1 starts no value");
}

PyObject *
ps_msg_decode(ps_decoder *d)
{
    return decode(d, true);
}
