/* msgpack.h -- keys and values as MessagePack, with the extension types of
 * docs/spec/pack-v1.md.
 *
 * This unit knows bytes and Python objects; where a nested collection or the
 * data of an array lives is asked from hooks that the pack layer fills in.
 */
#ifndef PS_MSGPACK_H
#define PS_MSGPACK_H

#include "bits.h"
#include "error.h"
#include "node.h"
#include "state.h"

/* ---- a growing byte string */
typedef struct {
    uint8_t *data; /* owned */
    size_t len, cap;
} ps_buf;

/* Room for `more` bytes past the end. 0, or -1 with MemoryError. */
int ps_buf_grow(ps_buf *b, size_t more);
void ps_buf_clear(ps_buf *b);

/* Where the next n bytes go (b->len is not moved); NULL with MemoryError. */
PS_INLINE uint8_t *
ps_buf_room(ps_buf *b, size_t n)
{
    if (PS_UNLIKELY(b->cap - b->len < n) && ps_buf_grow(b, n) < 0) {
        return NULL;
    }
    return b->data + b->len;
}

int ps_buf_add(ps_buf *b, const void *data, size_t n);

/* What has no order of its own is written in that of its encoded bytes: an item's, and how
 * qsort() compares two. */
typedef struct {
    const uint8_t *data;
    size_t len;
} ps_piece;
int ps_piece_order(const void *a, const void *b);

/* ---- extension types: numbers are part of the format */
enum {
    PS_EXT_REF = 1,       /* raw: a reference (8 bytes) to a record */
    PS_EXT_ARRAY = 2, /* raw: a reference to a raw record, then one message: dtype and shape */
    PS_EXT_BIGINT = 3, /* raw: two's complement, big-endian */
    PS_EXT_BYTEARRAY = 4, /* raw: the bytes */
    PS_EXT_SURROGATES = 5, /* raw: UTF-8 with lone surrogates */
    PS_EXT_ORDERED = 6, /* raw: a reference, then one message: the name of its key function */
    PS_EXT_MESSAGE = 16, /* from here to 31 the payload is one message */
    PS_EXT_TUPLE = 16,
    PS_EXT_FROZENSET = 17,
    PS_EXT_SET = 18,
    PS_EXT_USER = 19, /* [name, value] of a registered codec */
    PS_EXT_LAST_CONTAINER = 19, /* 16 to 19 may hold references further down, and so may */
    PS_EXT_LATE_CONTAINER = 29, /* 29 to 31 */
    PS_EXT_LAST_MESSAGE = 31,
};

/* Levels of nesting in one message. Part of the format. */
#define PS_MSG_MAX_DEPTH 500

/* ---- references */
/* Kinds of records; PS_ARRAY_* (node.h) go on from 4. */
enum { PS_REC_SET = 0, PS_REC_MAP = 1, PS_REC_VALUE = 2, PS_REC_RAW = 3 };

/* A node of a trie. */
PS_INLINE bool
ps_kind_is_trie(uint8_t kind)
{
    return kind < PS_REC_VALUE;
}

/* A node of an RRB or B+ tree. */
PS_INLINE bool
ps_kind_is_array(uint8_t kind)
{
    return kind >= PS_ARRAY_VECTOR && kind <= PS_ARRAY_LAST;
}

/* Something that a reference to a collection may name; offset 0 is the empty one. */
PS_INLINE bool
ps_kind_is_node(uint8_t kind)
{
    return ps_kind_is_trie(kind) || ps_kind_is_array(kind);
}

#define PS_REF_SIZE 8
typedef struct {
    uint8_t kind;
    uint16_t import; /* 0: the pack itself, i: the i-th of its import table */
    uint64_t offset; /* 0: the empty collection */
} ps_ref;

PS_INLINE ps_ref
ps_ref_load(const uint8_t *p)
{
    uint64_t x = ps_load64(p);
    return (ps_ref){(uint8_t)x, (uint16_t)(x >> 8), x >> 24};
}

PS_INLINE void
ps_ref_store(uint8_t *p, ps_ref r)
{
    ps_store64(p, (uint64_t)r.kind | (uint64_t)r.import << 8 | r.offset << 24);
}

/* ---- encoding */
typedef struct ps_encoder ps_encoder;
struct ps_encoder {
    ps_state *st;
    ps_buf *out;
    PyObject *key; /* borrowed: what error messages name; may be NULL */
    bool in_key; /* the key itself is being encoded */
    bool has_refs; /* set when a reference was written */
    int depth;
    /* Write a collection, or bytes-like data, as records, and say where. *order: the key
     * function (borrowed) of a sorted collection that has one, else NULL. 0 or -1. */
    int (*collection)(ps_encoder *e, PyObject *collection, ps_ref *ref, PyObject **order);
    int (*raw)(ps_encoder *e, PyObject *data, ps_ref *ref);
};

/* Append the message of value. 0, or -1 with an exception (out may have grown). */
int ps_msg_encode(ps_encoder *e, PyObject *value);
/* Append a reference to a sorted collection, and what its key function is called. 0, or -1. */
int ps_msg_put_ordered(ps_encoder *e, ps_ref ref, PyObject *order);

/* The UTF-8 of key is exactly these n bytes. Lone surrogates never are. */
bool ps_msg_str_equals(PyObject *key, const uint8_t *utf8, size_t n);

/* ---- walking over encoded messages (msgpack_walk.c); nothing here allocates or runs Python code */
/* Behind the message at p, or NULL when it is not a whole valid one. */
const uint8_t *ps_msg_skip(const uint8_t *p, const uint8_t *end);

/* Calls visit for each reference (8 bytes at ref) in the message at p, which
 * ps_msg_skip accepted, in their order. Stops at the first non-zero result and
 * returns it; -2 when the message nests too deep or a reference is malformed. */
typedef int (*ps_msg_visit)(void *arg, const uint8_t *ref);
int ps_msg_refs(const uint8_t *p, const uint8_t *end, ps_msg_visit visit, void *arg);

/* ---- decoding (msgpack_decode.c) */
typedef struct ps_decoder ps_decoder;
struct ps_decoder {
    ps_state *st;
    const uint8_t *p; /* next byte */
    const uint8_t *end;
    const uint8_t *base; /* start of the pack: offsets in error messages */
    int depth;
    void *pack; /* for the hooks */
    /* New reference: what a reference names. top: it is the whole message. order: the key
     * function of a sorted collection, or NULL. */
    PyObject *(*reference)(ps_decoder *d, ps_ref ref, PyObject *order, bool top);
    /* New reference: a read-only memoryview of a raw record's data. */
    PyObject *(*raw)(ps_decoder *d, ps_ref ref);
};

/* New reference: the value of the message at d->p, which moves behind it. */
PyObject *ps_msg_decode(ps_decoder *d);

/* ---- the Python side, pstructs/_codecs.py, loaded once (msgpack_decode.c) */
enum {
    PS_CODEC_ENCODERS = 0, /* dict: type -> (extension type, function) */
    PS_CODEC_FIND = 1, /* function: type -> such a pair, or None */
    PS_CODEC_DECODERS = 2, /* dict: extension type -> function of the payload */
    PS_CODEC_ARRAY = 3, /* function: (memoryview, message) -> array */
    PS_CODEC_OPAQUE = 4, /* class of what nothing can decode */
    PS_CODEC_ORDER_NAME = 5, /* function: key function -> its registered name */
    PS_CODEC_ORDER = 6, /* function: name -> key function */
    PS_CODEC_COUNT = 7,
};
int ps_codecs_load(ps_state *st);

#endif
