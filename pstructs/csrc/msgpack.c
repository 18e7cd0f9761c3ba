/* msgpack.c -- values to MessagePack bytes.
 *
 * The problem: a pack is read in place, so a key has exactly one encoding (the
 * shortest), and lookups compare bytes. MessagePack has no tuples, sets, big
 * integers, dates or references; these are extension types (code, length, bytes):
 *
 *     C7 len TT payload          a code below 16: the payload is raw bytes
 *                                a code of 16..31: the payload is one message
 *
 * so every reader of MessagePack can at least step over them, and a reader that
 * knows nothing but this rule can look inside.
 *
 * Only exact types are written. A subclass could carry state that its base does
 * not know, so it needs a registered codec (pstructs/_codecs.py). Types that are
 * rare go through functions there; str, int, float, bytes, bool, None, list, dict,
 * tuple and sets are written here.
 *
 * The length of an extension stands before its payload, which is not known yet:
 * three bytes are left for the usual header and the payload is moved when it
 * turns out to need one of another length.
 *
 * Cost: O(bytes).
 */
#include "msgpack.h"

#include "collection.h"

/* ---- buffer */

int
ps_buf_grow(ps_buf *b, size_t more)
{
    size_t cap = b->cap < 256 ? 256 : b->cap;
    while (cap - b->len < more) {
        if (cap > SIZE_MAX / 4) {
            PyErr_NoMemory();
            return -1;
        }
        cap *= 2;
    }
    uint8_t *data = PyMem_RawRealloc(b->data, cap);
    if (data == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    b->data = data;
    b->cap = cap;
    return 0;
}

void
ps_buf_clear(ps_buf *b)
{
    PyMem_RawFree(b->data);
    b->data = NULL;
    b->len = b->cap = 0;
}

int
ps_buf_add(ps_buf *b, const void *data, size_t n)
{
    if (n == 0) {
        return 0; /* data may be NULL, and so may b->data */
    }
    uint8_t *p = ps_buf_room(b, n);
    if (p == NULL) {
        return -1;
    }
    memcpy(p, data, n);
    b->len += n;
    return 0;
}

/* ---- headers */

PS_INLINE void
put_be16(uint8_t *p, uint64_t x)
{
    ps_store16(p, __builtin_bswap16((uint16_t)x));
}

PS_INLINE void
put_be32(uint8_t *p, uint64_t x)
{
    ps_store32(p, __builtin_bswap32((uint32_t)x));
}

PS_INLINE void
put_be64(uint8_t *p, uint64_t x)
{
    ps_store64(p, __builtin_bswap64(x));
}

/* A header with a length: fix (a code holding up to fix_max in itself), or the
 * codes for 8, 16 and 32 bits; code8 == 0: there is none. */
static int
put_header(ps_buf *b, size_t n, uint8_t fix, size_t fix_max, uint8_t code8, uint8_t code16)
{
    uint8_t *p = ps_buf_room(b, 5);
    if (p == NULL) {
        return -1;
    }
    if (n <= fix_max && fix) {
        p[0] = (uint8_t)(fix | n);
        b->len += 1;
    }
    else if (n <= 0xFF && code8) {
        p[0] = code8;
        p[1] = (uint8_t)n;
        b->len += 2;
    }
    else if (n <= 0xFFFF) {
        p[0] = code16;
        put_be16(p + 1, n);
        b->len += 3;
    }
    else if (n <= 0xFFFFFFFFu) {
        p[0] = (uint8_t)(code16 + 1);
        put_be32(p + 1, n);
        b->len += 5;
    }
    else {
        PyErr_Format(PyExc_OverflowError,
                     "a value of %zu bytes or items is beyond MessagePack's 2**32 - 1", n);
        return -1;
    }
    return 0;
}

static int
put_bytes(ps_buf *b, const void *data, size_t n)
{
    return put_header(b, n, 0, 0, 0xC4, 0xC5) < 0 ? -1 : ps_buf_add(b, data, n);
}

/* The header of an extension of n bytes; its length. out has 6 bytes. */
static int
ext_header(uint8_t *out, size_t n, uint8_t code)
{
    switch (n) {
    case 1:
    case 2:
    case 4:
    case 8:
    case 16:
        out[0] = (uint8_t)(0xD4 + ps_ctz((uint32_t)n));
        out[1] = code;
        return 2;
    }
    if (n <= 0xFF) {
        out[0] = 0xC7;
        out[1] = (uint8_t)n;
        out[2] = code;
        return 3;
    }
    if (n <= 0xFFFF) {
        out[0] = 0xC8;
        put_be16(out + 1, n);
        out[3] = code;
        return 4;
    }
    out[0] = 0xC9;
    put_be32(out + 1, n);
    out[5] = code;
    return 6;
}

static int
put_ext(ps_buf *b, uint8_t code, const void *data, size_t n)
{
    uint8_t header[6];
    if (n > 0xFFFFFFFFu) {
        PyErr_SetString(PyExc_OverflowError, "a value is beyond MessagePack's 2**32 - 1 bytes");
        return -1;
    }
    int h = ext_header(header, n, code);
    return ps_buf_add(b, header, (size_t)h) < 0 ? -1 : ps_buf_add(b, data, n);
}

/* Room for the usual header of an extension; its start. */
static int
ext_begin(ps_buf *b, size_t *start)
{
    if (ps_buf_room(b, 3) == NULL) {
        return -1;
    }
    *start = b->len;
    b->len += 3;
    return 0;
}

static int
ext_end(ps_buf *b, size_t start, uint8_t code)
{
    uint8_t header[6];
    size_t n = b->len - start - 3;
    if (n > 0xFFFFFFFFu) {
        PyErr_SetString(PyExc_OverflowError, "a value is beyond MessagePack's 2**32 - 1 bytes");
        return -1;
    }
    int h = ext_header(header, n, code);
    if (h > 3 && ps_buf_room(b, 3) == NULL) {
        return -1;
    }
    if (h != 3) {
        memmove(b->data + start + h, b->data + start + 3, n);
    }
    memcpy(b->data + start, header, (size_t)h);
    b->len = start + (size_t)h + n;
    return 0;
}

/* ---- scalars */

static int
put_int64(ps_buf *b, int64_t x)
{
    uint8_t *p = ps_buf_room(b, 9);
    if (p == NULL) {
        return -1;
    }
    if (x >= -32 && x <= 127) {
        p[0] = (uint8_t)x;
        b->len += 1;
    }
    else if (x >= 0) {
        uint64_t u = (uint64_t)x;
        if (u <= 0xFF) {
            p[0] = 0xCC;
            p[1] = (uint8_t)u;
            b->len += 2;
        }
        else if (u <= 0xFFFF) {
            p[0] = 0xCD;
            put_be16(p + 1, u);
            b->len += 3;
        }
        else if (u <= 0xFFFFFFFFu) {
            p[0] = 0xCE;
            put_be32(p + 1, u);
            b->len += 5;
        }
        else {
            p[0] = 0xCF;
            put_be64(p + 1, u);
            b->len += 9;
        }
    }
    else if (x >= INT8_MIN) {
        p[0] = 0xD0;
        p[1] = (uint8_t)x;
        b->len += 2;
    }
    else if (x >= INT16_MIN) {
        p[0] = 0xD1;
        put_be16(p + 1, (uint64_t)x);
        b->len += 3;
    }
    else if (x >= INT32_MIN) {
        p[0] = 0xD2;
        put_be32(p + 1, (uint64_t)x);
        b->len += 5;
    }
    else {
        p[0] = 0xD3;
        put_be64(p + 1, (uint64_t)x);
        b->len += 9;
    }
    return 0;
}

static int encode_by_codec(ps_encoder *e, PyObject *value);

static int
put_int(ps_encoder *e, PyObject *value)
{
    int overflow;
    int64_t x = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (PS_LIKELY(!overflow)) {
        return x == -1 && PyErr_Occurred() ? -1 : put_int64(e->out, x);
    }
    if (overflow > 0) {
        uint64_t u = PyLong_AsUnsignedLongLong(value);
        if (u == UINT64_MAX && PyErr_Occurred()) {
            if (!PyErr_ExceptionMatches(PyExc_OverflowError)) {
                return -1;
            }
            PyErr_Clear();
            return encode_by_codec(e, value);
        }
        uint8_t *p = ps_buf_room(e->out, 9);
        if (p == NULL) {
            return -1;
        }
        p[0] = 0xCF;
        put_be64(p + 1, u);
        e->out->len += 9;
        return 0;
    }
    return encode_by_codec(e, value);
}

static int
put_float(ps_encoder *e, double x)
{
    uint64_t bits;
    memcpy(&bits, &x, 8);
    if (e->in_key && x != x) {
        bits = UINT64_C(0x7FF8000000000000); /* all NaN keys are one key */
    }
    uint8_t *p = ps_buf_room(e->out, 9);
    if (p == NULL) {
        return -1;
    }
    p[0] = 0xCB;
    put_be64(p + 1, bits);
    e->out->len += 9;
    return 0;
}

/* UTF-8 of one character into out; its length; 0 for a lone surrogate. */
PS_INLINE int
utf8_char(uint8_t *out, Py_UCS4 c)
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (uint8_t)(0xC0 | c >> 6);
        out[1] = (uint8_t)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (uint8_t)(0xE0 | c >> 12);
        out[1] = (uint8_t)(0x80 | (c >> 6 & 63));
        out[2] = (uint8_t)(0x80 | (c & 63));
        return c >= 0xD800 && c <= 0xDFFF ? 0 : 3;
    }
    out[0] = (uint8_t)(0xF0 | c >> 18);
    out[1] = (uint8_t)(0x80 | (c >> 12 & 63));
    out[2] = (uint8_t)(0x80 | (c >> 6 & 63));
    out[3] = (uint8_t)(0x80 | (c & 63));
    return 4;
}

static int
put_str(ps_encoder *e, PyObject *s)
{
    ps_buf *b = e->out;
#if PY_VERSION_HEX < 0x030C0000
    if (PyUnicode_READY(s) < 0) {
        return -1;
    }
#endif
    size_t n = (size_t)PyUnicode_GET_LENGTH(s);
    if (PS_LIKELY(PyUnicode_IS_COMPACT_ASCII(s))) {
        uint8_t *p = ps_buf_room(b, n + 5);
        if (p == NULL) {
            return -1;
        }
        if (PS_LIKELY(n <= 31)) {
            p[0] = (uint8_t)(0xA0 | n);
            memcpy(p + 1, PyUnicode_DATA(s), n);
            b->len += n + 1;
            return 0;
        }
        return put_header(b, n, 0xA0, 31, 0xD9, 0xDA) < 0 ? -1
                                                          : ps_buf_add(b, PyUnicode_DATA(s), n);
    }
    int kind = PyUnicode_KIND(s);
    const void *data = PyUnicode_DATA(s);
    size_t size = 0;
    for (size_t i = 0; i < n; i++) {
        uint8_t unused[4];
        int k = utf8_char(unused, PyUnicode_READ(kind, data, i));
        if (k == 0) {
            PyObject *raw = PyUnicode_AsEncodedString(s, "utf-8", "surrogatepass");
            if (raw == NULL) {
                return -1;
            }
            int r = put_ext(b, PS_EXT_SURROGATES, PyBytes_AS_STRING(raw),
                            (size_t)PyBytes_GET_SIZE(raw));
            Py_DECREF(raw);
            return r;
        }
        size += (size_t)k;
    }
    if (put_header(b, size, 0xA0, 31, 0xD9, 0xDA) < 0 || ps_buf_room(b, size + 4) == NULL) {
        return -1;
    }
    uint8_t *p = b->data + b->len;
    for (size_t i = 0; i < n; i++) {
        p += utf8_char(p, PyUnicode_READ(kind, data, i));
    }
    b->len += size;
    return 0;
}

bool
ps_msg_str_equals(PyObject *key, const uint8_t *utf8, size_t n)
{
    size_t length = (size_t)PyUnicode_GET_LENGTH(key);
    if (PyUnicode_IS_COMPACT_ASCII(key)) {
        return length == n && memcmp(PyUnicode_DATA(key), utf8, n) == 0;
    }
    int kind = PyUnicode_KIND(key);
    const void *data = PyUnicode_DATA(key);
    size_t at = 0;
    for (size_t i = 0; i < length; i++) {
        uint8_t c[4];
        size_t k = (size_t)utf8_char(c, PyUnicode_READ(kind, data, i));
        if (k == 0 || n - at < k || memcmp(utf8 + at, c, k) != 0) {
            return false;
        }
        at += k;
    }
    return at == n;
}

/* ---- containers */

static int encode(ps_encoder *e, PyObject *value);

static int
changed(const char *what)
{
    PyErr_Format(PyExc_RuntimeError, "a %s changed its size while it was being saved", what);
    return -1;
}

static int
put_list(ps_encoder *e, PyObject *list)
{
    Py_ssize_t n = PyList_GET_SIZE(list);
    if (put_header(e->out, (size_t)n, 0x90, 15, 0, 0xDC) < 0) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        if (i >= PyList_GET_SIZE(list)) {
            return changed("list");
        }
        PyObject *item = Py_NewRef(PyList_GET_ITEM(list, i));
        int r = encode(e, item);
        Py_DECREF(item);
        if (r < 0) {
            return -1;
        }
    }
    return PyList_GET_SIZE(list) == n ? 0 : changed("list");
}

static int
put_tuple(ps_encoder *e, PyObject *tuple)
{
    size_t start;
    Py_ssize_t n = PyTuple_GET_SIZE(tuple);
    if (ext_begin(e->out, &start) < 0 || put_header(e->out, (size_t)n, 0x90, 15, 0, 0xDC) < 0) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        if (encode(e, PyTuple_GET_ITEM(tuple, i)) < 0) {
            return -1;
        }
    }
    return ext_end(e->out, start, PS_EXT_TUPLE);
}

static int
put_dict(ps_encoder *e, PyObject *dict)
{
    Py_ssize_t n = PyDict_GET_SIZE(dict), pos = 0, done = 0;
    PyObject *key, *value;
    if (put_header(e->out, (size_t)n, 0x80, 15, 0, 0xDE) < 0) {
        return -1;
    }
    while (PyDict_Next(dict, &pos, &key, &value)) {
        Py_INCREF(key);
        Py_INCREF(value);
        int r = encode(e, key) < 0 ? -1 : encode(e, value);
        Py_DECREF(key);
        Py_DECREF(value);
        if (r < 0) {
            return -1;
        }
        done++;
    }
    return done == n && PyDict_GET_SIZE(dict) == n ? 0 : changed("dict");
}

int
ps_piece_order(const void *a, const void *b)
{
    const ps_piece *x = a, *y = b;
    int c = memcmp(x->data, y->data, x->len < y->len ? x->len : y->len);
    return c ? c : (x->len > y->len) - (x->len < y->len);
}

/* Items in the order of their encoded bytes, so that equal sets give equal digests. */
static int
put_set(ps_encoder *e, PyObject *set, uint8_t code)
{
    int result = -1;
    size_t start, *ends = NULL;
    ps_piece *pieces = NULL;
    ps_buf items = {NULL, 0, 0}, *out = e->out;
    PyObject *list = PySequence_List(set);
    if (list == NULL) {
        return -1;
    }
    Py_ssize_t n = PyList_GET_SIZE(list);
    ends = PyMem_New(size_t, (size_t)n + 1);
    pieces = PyMem_New(ps_piece, (size_t)n + 1);
    if (ends == NULL || pieces == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    e->out = &items;
    for (Py_ssize_t i = 0; i < n; i++) {
        if (encode(e, PyList_GET_ITEM(list, i)) < 0) {
            goto done;
        }
        ends[i] = items.len;
    }
    e->out = out;
    for (Py_ssize_t i = 0; i < n; i++) {
        size_t from = i ? ends[i - 1] : 0;
        pieces[i] = (ps_piece){items.data + from, ends[i] - from};
    }
    qsort(pieces, (size_t)n, sizeof *pieces, ps_piece_order);
    if (ext_begin(out, &start) < 0 || put_header(out, (size_t)n, 0x90, 15, 0, 0xDC) < 0) {
        goto done;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        if (ps_buf_add(out, pieces[i].data, pieces[i].len) < 0) {
            goto done;
        }
    }
    result = ext_end(out, start, code);
done:
    e->out = out;
    ps_buf_clear(&items);
    PyMem_Free(ends);
    PyMem_Free(pieces);
    Py_DECREF(list);
    return result;
}

/* ---- everything else */

static int
unsavable(ps_encoder *e, PyObject *value)
{
    const char *type = Py_TYPE(value)->tp_name;
    if (e->in_key) {
        ps_raise(e->st, "UnsavableKeyError",
                 "the key %.200R holds a '%.100s', which packs can't hold as a key; use a str, "
                 "int, bytes or tuple instead, or register a codec: "
                 "pstructs.packs.register_codec(%.100s, name, encode, decode, key=True)",
                 e->key ? e->key : value, type, type);
    }
    else if (e->key != NULL) {
        ps_raise(e->st, "UnsavableValueError",
                 "the value under key %.200R holds a '%.100s', which packs can't hold; convert "
                 "it first, or register a codec: "
                 "pstructs.packs.register_codec(%.100s, name, encode, decode)",
                 e->key, type, type);
    }
    else {
        ps_raise(e->st, "UnsavableValueError",
                 "packs can't hold a '%.100s'; convert it first, or register a codec: "
                 "pstructs.packs.register_codec(%.100s, name, encode, decode)",
                 type, type);
    }
    return -1;
}

/* Types known to pstructs/_codecs.py: a pair (code, function). The function gives
 * raw bytes (codes below 16), (data, message) for arrays, else a value to encode. */
static int
encode_by_codec(ps_encoder *e, PyObject *value)
{
    int result = -1;
    bool opaque = false;
    PyObject *pair = NULL, *payload = NULL;
    if (ps_codecs_load(e->st) < 0) {
        return -1;
    }
    PyObject **codecs = e->st->pack_slots;
    PyObject *type = (PyObject *)Py_TYPE(value);
    pair = Py_XNewRef(PyDict_GetItemWithError(codecs[PS_CODEC_ENCODERS], type));
    if (pair == NULL) {
        if (PyErr_Occurred()) {
            return -1;
        }
        pair = PyObject_CallOneArg(codecs[PS_CODEC_FIND], type);
        if (pair == NULL) {
            return -1;
        }
    }
    if (pair == Py_None) {
        Py_DECREF(pair);
        return unsavable(e, value);
    }
    long code;
    if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2 ||
        (code = PyLong_AsLong(PyTuple_GET_ITEM(pair, 0))) < -1 || code > 127) {
        ps_raise(e->st, "CodecError", "the codec of '%.100s' is not a pair (code, function)",
                 Py_TYPE(value)->tp_name);
        goto done;
    }
    payload = PyObject_CallOneArg(PyTuple_GET_ITEM(pair, 1), value);
    if (payload == NULL) {
        goto done;
    }
    if (code < 0) {
        /* The function itself says which: (code, payload), for opaque values. */
        opaque = true;
        if (!PyTuple_Check(payload) || PyTuple_GET_SIZE(payload) != 2) {
            ps_raise(e->st, "CodecError", "the codec of '%.100s' returned no pair",
                     Py_TYPE(value)->tp_name);
            goto done;
        }
        code = PyLong_AsLong(PyTuple_GET_ITEM(payload, 0));
        if (code < 0 || code > 127) {
            ps_raise(e->st, "CodecError", "extension type %ld is not within 0..127", code);
            goto done;
        }
        Py_SETREF(payload, Py_NewRef(PyTuple_GET_ITEM(payload, 1)));
    }
    if (code == PS_EXT_ARRAY) {
        size_t start;
        ps_ref ref;
        if (!PyTuple_Check(payload) || PyTuple_GET_SIZE(payload) != 2) {
            ps_raise(e->st, "CodecError", "the array codec returned no (data, message)");
            goto done;
        }
        if (e->raw(e, PyTuple_GET_ITEM(payload, 0), &ref) < 0 || ext_begin(e->out, &start) < 0 ||
            ps_buf_room(e->out, PS_REF_SIZE) == NULL) {
            goto done;
        }
        ps_ref_store(e->out->data + e->out->len, ref);
        e->out->len += PS_REF_SIZE;
        e->has_refs = true;
        if (encode(e, PyTuple_GET_ITEM(payload, 1)) == 0) {
            result = ext_end(e->out, start, (uint8_t)code);
        }
    }
    else if (PyBytes_CheckExact(payload) &&
             (opaque || code < PS_EXT_MESSAGE || code > PS_EXT_LAST_MESSAGE)) {
        result = put_ext(e->out, (uint8_t)code, PyBytes_AS_STRING(payload),
                         (size_t)PyBytes_GET_SIZE(payload));
    }
    else if (code >= PS_EXT_MESSAGE && code <= PS_EXT_LAST_MESSAGE) {
        size_t start;
        if (ext_begin(e->out, &start) == 0 && encode(e, payload) == 0) {
            result = ext_end(e->out, start, (uint8_t)code);
        }
    }
    else {
        ps_raise(e->st, "CodecError", "the codec of '%.100s' must return bytes",
                 Py_TYPE(value)->tp_name);
    }
done:
    Py_XDECREF(payload);
    Py_DECREF(pair);
    return result;
}

int
ps_msg_put_ordered(ps_encoder *e, ps_ref ref, PyObject *order)
{
    size_t start;
    int result = -1;
    if (ps_codecs_load(e->st) < 0) {
        return -1;
    }
    PyObject *name = PyObject_CallOneArg(e->st->pack_slots[PS_CODEC_ORDER_NAME], order);
    if (name == NULL || ext_begin(e->out, &start) < 0 ||
        ps_buf_room(e->out, PS_REF_SIZE) == NULL) {
        goto done;
    }
    ps_ref_store(e->out->data + e->out->len, ref);
    e->out->len += PS_REF_SIZE;
    e->has_refs = true;
    if (encode(e, name) == 0) {
        result = ext_end(e->out, start, PS_EXT_ORDERED);
    }
done:
    Py_XDECREF(name);
    return result;
}

static int
put_collection(ps_encoder *e, PyObject *value)
{
    ps_ref ref;
    PyObject *order = NULL;
    /* Writing a collection encodes further keys and values with this encoder. */
    if (e->collection(e, value, &ref, &order) < 0) {
        return -1;
    }
    if (order != NULL) {
        return ps_msg_put_ordered(e, ref, order);
    }
    uint8_t *p = ps_buf_room(e->out, 2 + PS_REF_SIZE);
    if (p == NULL) {
        return -1;
    }
    p[0] = 0xD7;
    p[1] = PS_EXT_REF;
    ps_ref_store(p + 2, ref);
    e->out->len += 2 + PS_REF_SIZE;
    e->has_refs = true;
    return 0;
}

static int
put_byte(ps_buf *b, uint8_t byte)
{
    return ps_buf_add(b, &byte, 1);
}

static int
encode_container(ps_encoder *e, PyObject *value)
{
    PyTypeObject *type = Py_TYPE(value);
    if (e->depth >= PS_MSG_MAX_DEPTH) {
        PyErr_Format(PyExc_RecursionError,
                     "a value nests deeper than %d levels; packs can't hold it "
                     "(does it contain itself?)",
                     PS_MSG_MAX_DEPTH);
        return -1;
    }
    if (Py_EnterRecursiveCall(" while saving a value")) {
        return -1;
    }
    int r;
    e->depth++;
    if (type == &PyList_Type) {
        r = put_list(e, value);
    }
    else if (type == &PyDict_Type) {
        r = put_dict(e, value);
    }
    else if (type == &PyTuple_Type) {
        r = put_tuple(e, value);
    }
    else if (type == &PyFrozenSet_Type) {
        r = put_set(e, value, PS_EXT_FROZENSET);
    }
    else if (type == &PySet_Type) {
        r = put_set(e, value, PS_EXT_SET);
    }
    else if (type == e->st->map || type == e->st->set || type == e->st->vector ||
             type == e->st->sorted_map || type == e->st->sorted_set) {
        r = put_collection(e, value);
    }
    else {
        r = encode_by_codec(e, value);
    }
    e->depth--;
    Py_LeaveRecursiveCall();
    return r;
}

static int
encode(ps_encoder *e, PyObject *value)
{
    PyTypeObject *type = Py_TYPE(value);
    if (type == &PyUnicode_Type) {
        return put_str(e, value);
    }
    if (type == &PyLong_Type) {
        return put_int(e, value);
    }
    if (type == &PyFloat_Type) {
        return put_float(e, PyFloat_AS_DOUBLE(value));
    }
    if (value == Py_None) {
        return put_byte(e->out, 0xC0);
    }
    if (type == &PyBool_Type) {
        return put_byte(e->out, value == Py_True ? 0xC3 : 0xC2);
    }
    if (type == &PyBytes_Type) {
        return put_bytes(e->out, PyBytes_AS_STRING(value), (size_t)PyBytes_GET_SIZE(value));
    }
    if (type == &PyByteArray_Type) {
        return put_ext(e->out, PS_EXT_BYTEARRAY, PyByteArray_AS_STRING(value),
                       (size_t)PyByteArray_GET_SIZE(value));
    }
    return encode_container(e, value);
}

int
ps_msg_encode(ps_encoder *e, PyObject *value)
{
    return encode(e, value);
}
