/* pack.h -- packs: immutable byte images of nodes and values (docs/spec/pack-v1.md).
 *
 *     header 96 | record record record ... root record | import table 8 * n
 *
 * A record is a trie node, a value too long to stand in a node, or the raw data
 * of an array. A reference is (import index, offset): index 0 is the pack itself
 * and points strictly backwards; index i is the i-th pack of the import table.
 *
 * A packed slot (node.h) is a pack id and an offset; st->packs[id] is the Pack,
 * borrowed: each slot owns one reference to it.
 */
#ifndef PS_PACK_H
#define PS_PACK_H

#include "btree.h"
#include "collection.h"
#include "collection_vector.h"
#include "crc32c.h"
#include "msgpack.h"
#include "node.h"
#include "rrb.h"
#include "sorted.h"

/* ---- the header */
#define PS_PACK_MAGIC "\x93PSK\r\n\x1a\n"
#define PS_PACK_VERSION 1
#define PS_PACK_HEADER 96
#define PS_PACK_SHORT_ID 8
#define PS_PACK_MAX_IMPORTS 0xFFFF
enum {
    PS_H_MAGIC = 0,
    PS_H_VERSION = 8,
    PS_H_SIZE = 10,
    PS_H_DOMAIN = 12,
    PS_H_INCOMPATIBLE = 16,
    PS_H_READ_COMPATIBLE = 20,
    PS_H_COMPATIBLE = 24,
    PS_H_IMPORTS = 28,
    PS_H_UUID = 32,
    PS_H_TOTAL = 48,
    PS_H_ROOT_OFFSET = 56,
    PS_H_ROOT_LENGTH = 64,
    PS_H_ROOT_DIGEST = 72,
    PS_H_RESERVED = 88,
    PS_H_CRC = 92,
};

/* ---- records */
enum {
    PS_R_CRC = 0,
    PS_R_DIGEST = 4,
    PS_R_FLAGS = 20,
    PS_R_LEVEL = 21,   /* nodes */
    PS_R_DATAMAP = 22, /* nodes */
    PS_R_NODE = 26,    /* nodes: nodemap and what follows, or the ends */
    PS_R_LENGTH = 21,  /* values and raw data: 8 bytes, then the content */
    PS_R_CONTENT = 29,
};
#define PS_RECORD_MIN 26 /* no record is shorter, so two never start within 16 bytes */
#define PS_RF_KIND 0x03u
#define PS_RF_COLLISION 0x04u
#define PS_RF_CHILDREN 0x08u
#define PS_RF_ENDS 0x30u /* bytes of an entry end: 0: 1, 1: 2, 2: 4 */
#define PS_RF_ENDS_SHIFT 4
#define PS_RF_WIDE_COUNT 0x40u
#define PS_RF_ARRAY 0x80u /* an array node: the fields of PS_A_* */
/* Array nodes: */
#define PS_RF_TREE 0x03u  /* 0 vector, 1 sorted */
#define PS_RF_SIZES 0x04u /* sizes of the children are listed */
enum {
    PS_A_N = 22,        /* u8: elements of a leaf, children of an inner node */
    PS_A_FORM = 23,     /* u8 */
    PS_A_RESERVED = 24, /* u16 */
    PS_A_NODE = 26,     /* count and what follows, or the ends */
};
#define PS_A_TOP 0x80u /* in the level: head, body and tail of a vector; form: which there are */
enum { PS_A_HEAD = 1, PS_A_BODY = 2, PS_A_TAIL = 4 };
/* The form of a vector's leaf: how its elements are encoded. */
enum { PS_A_MESSAGES = 0, PS_A_INT64 = 1, PS_A_FLOAT64 = 2, PS_A_BOOL = 3 };
#define PS_RAW_ALIGN 64
/* More entries than any tree has. Sums of counts stay far from overflow below it. */
#define PS_PACK_MAX_COUNT (UINT64_C(1) << 48)
/* Values of more encoded bytes than this become records of their own. */
#define PS_VALUE_INLINE 1024

typedef struct ps_pack {
    PyObject_HEAD
    const uint8_t *data;
    uint64_t size;
    uint64_t end;       /* of the records: where the import table starts */
    uint8_t *checked;   /* a bit for every 16 bytes: the record that starts there was checked */
    const volatile uint8_t *mark; /* a byte of the file's last page: see pack_map.c */
    uint8_t mark_value;           /* what it was */
    uint32_t id;
    uint32_t n_imports;
    struct ps_pack **imports; /* [1..n_imports]: owned, or NULL until first needed */
    PyObject *resolve;        /* or NULL */
    PyObject *owner;          /* or NULL */
    PyObject *weakrefs;
    enum { PS_PACK_NONE, PS_PACK_VIEW, PS_PACK_MAP, PS_PACK_COPY } storage;
    Py_buffer view;
    void *map_range; /* pack_map.c */
} ps_pack;

/* ---- pack_map.c */
/* Map the file read-only, watch the mapping and set the mark. 0, or -1 with OSError. */
int ps_map_file(ps_pack *pack, PyObject *path);
/* Look whether the handler of SIGBUS is still ours. */
void ps_map_watch_again(void);
void ps_map_close(ps_pack *pack);
/* Read the whole file into memory of our own. */
int ps_map_copy_file(ps_pack *pack, PyObject *path);

/* ---- pack_read.c */
/* Give the pack an id. 0 or -1. */
int ps_pack_register(ps_state *st, ps_pack *pack);
void ps_pack_unregister(ps_state *st, ps_pack *pack);
/* Check the header of pack->data, set what comes from it. 0 or -1. */
int ps_pack_open(ps_state *st, ps_pack *pack);

PS_INLINE ps_pack *
ps_pack_of(ps_state *st, ps_slot s)
{
    return (ps_pack *)st->packs[ps_slot_pack_id(s)];
}

/* Borrowed: the pack that import index i means (0: pack itself), opened by its
 * resolver when it is the first time. NULL with MissingPackError. */
ps_pack *ps_pack_import(ps_state *st, ps_pack *pack, uint32_t i);

/* DamagedPackError about the record or value at that offset. Returns NULL. */
PyObject *ps_pack_damaged(ps_state *st, ps_pack *pack, uint64_t offset, const char *what);
/* Whether the file behind the pack was cut: asked after reading and before answering. */
PS_INLINE bool
ps_pack_is_lost(const ps_pack *pack)
{
    return PS_UNLIKELY(*pack->mark != pack->mark_value);
}
/* Raise and return -1 when it was. */
int ps_pack_lost(ps_state *st, ps_pack *pack);

/* A record, taken apart. All pointers are within the pack. */
typedef struct {
    const uint8_t *at;
    uint64_t offset;
    uint64_t size;
    uint8_t flags;
    uint8_t kind;
    uint8_t level;
    /* nodes */
    uint32_t datamap, nodemap; /* as in ps_node: collisions have nodemap ~0 */
    uint32_t n_entries, n_children;
    uint64_t count;
    int import_width, offset_width, end_width;
    const uint8_t *refs, *ends;
    /* array nodes */
    uint8_t form;
    int size_width; /* 4 or 8 */
    const uint8_t *sizes, *words;
    /* payload of a node, message of a value, data of an array */
    const uint8_t *content;
    uint64_t length;
} ps_record;

/* What is wrong with the form of the record at offset, or NULL when it is sound:
 * everything lies within the pack. Does not look at the checksum. */
const char *ps_record_parse(const ps_pack *pack, uint64_t offset, ps_record *r);
/* ps_record_parse of an array node; at, offset, flags are set. (pack_array.c) */
const char *ps_array_parse(const ps_pack *pack, uint64_t offset, ps_record *r);
/* The elements below each child of an array node; or what is wrong with the sizes that the
 * record lists, which are read once. NULL: they add up. */
const char *ps_array_counts(const ps_record *r, uint64_t counts[PS_WIDTH]);
/* Level of child i. */
int ps_array_child_level(const ps_record *r, uint32_t i);
/* Parse, and check the checksum at the first touch. 0 or -1. */
int ps_record_open(ps_state *st, ps_pack *pack, uint64_t offset, ps_record *r);

PS_INLINE bool
ps_record_is_checked(const ps_pack *pack, uint64_t offset)
{
    return pack->checked[offset >> 7] >> (offset >> 4 & 7) & 1;
}
int ps_record_check(ps_state *st, ps_pack *pack, uint64_t offset);

/* End of entry i, relative to the content. */
PS_INLINE uint64_t
ps_record_end(const ps_record *r, uint32_t i)
{
    return r->end_width == 1   ? r->ends[i]
           : r->end_width == 2 ? ps_load16(r->ends + 2 * i)
                               : ps_load32(r->ends + 4 * (uint64_t)i);
}

PS_INLINE uint64_t
ps_record_start(const ps_record *r, uint32_t i)
{
    return i ? ps_record_end(r, i - 1) : 0;
}

/* Reference to child i; its kind is that of the record. */
PS_INLINE ps_ref
ps_record_child(const ps_record *r, uint32_t i)
{
    const uint8_t *p = r->refs + (uint64_t)i * (uint32_t)(r->import_width + r->offset_width);
    ps_ref ref = {r->kind, 0, 0};
    if (r->import_width) {
        ref.import = r->import_width == 1 ? p[0] : ps_load16(p);
        p += r->import_width;
    }
    for (int k = r->offset_width; k--;) {
        ref.offset = ref.offset << 8 | p[k];
    }
    return ref;
}

/* Where a reference that stands at byte `from` of pack leads: *target borrowed.
 * 0, or -1: not backwards, or the import is missing. */
int ps_pack_follow(ps_state *st, ps_pack *pack, uint64_t from, ps_ref ref, ps_pack **target);

/* New reference: the value whose message starts at offset. */
PyObject *ps_pack_decode(ps_state *st, ps_pack *pack, uint64_t offset);
/* New reference: the value of a value record. */
PyObject *ps_pack_decode_value(ps_state *st, ps_pack *pack, const ps_record *r);

/* ---- pack_ops.c */
extern const ps_pack_ops ps_the_pack_ops;

/* ---- pack_array.c: what array trees ask of packs */
ps_node *ps_array_node(ps_state *st, ps_slot ref, int kind, int level, Py_ssize_t count);
PyObject *ps_array_vector_get(ps_state *st, ps_slot ref, int level, Py_ssize_t count, size_t i);
/* The tree of a vector whose reference names the record r at offset of pack. 0, or -1. */
int ps_array_vector(ps_state *st, ps_pack *pack, const ps_record *r, ps_rrb *out);

/* ---- pack_chunks.c */
/* Python: _vector_chunks(vector), a memoryview of numbers or a list for each leaf. */
PyObject *ps_vector_chunks(PyObject *module, PyObject *vector);

/* ---- pack_verify.c */
/* Number of records, or -1 with the first damage found. */
Py_ssize_t ps_pack_verify(ps_state *st, ps_pack *pack);

/* ---- pack_write.c */
typedef struct ps_writer ps_writer;
/* Encode value. importable: callable or NULL. known: likewise, from a digest to (pack, offset) or
 * None. uuid: 16 bytes or NULL (random). NULL with an exception. */
ps_writer *ps_writer_new(ps_state *st, PyObject *value, PyObject *importable, PyObject *known,
                         const uint8_t *uuid);
void ps_writer_free(ps_writer *w);
const uint8_t *ps_writer_image(const ps_writer *w, size_t *size);
size_t ps_writer_new_records(const ps_writer *w);
int ps_writer_adopt(ps_writer *w, ps_pack *pack);

/* ---- type_pack.c */
int ps_pack_types_init(ps_state *st, PyObject *module);
/* ---- type_pack_builder.c */
int ps_pack_builder_init(ps_state *st, PyObject *module);
/* Python, private: _crc32c(data), by both versions; _digests([bytes, ...]), joined. */
PyObject *ps_py_crc32c(PyObject *module, PyObject *data);
PyObject *ps_py_digests(PyObject *module, PyObject *messages);

#endif
