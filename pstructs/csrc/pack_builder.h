/* pack_builder.h -- a pack of one map, set or vector of any length, in bounded memory.
 *
 *     take entries from an iterator   until they end, or fill the memory:    spill, and go on
 *     merge                           nothing more is added
 *     grow                            some entries at a time become nodes
 *     finish                          the root record, and the header of the pack
 *
 * The bytes of the pack go to a sink as they come about, but for the header: it is the last thing
 * to be known and the first of the pack, which has zeros there till then. What is taken is encoded
 * at once, so errors name the entry, and nothing refers to the objects afterwards.
 *
 * A sorter brings the entries into the order of their hashes (pack_sorter.h), which is that of
 * the trie, and pack_grow.c makes nodes of them from the bottom up. The elements of a vector
 * are in order already.
 */
#ifndef PS_PACK_BUILDER_H
#define PS_PACK_BUILDER_H

#include "pack_sorter.h"

/* A key, and the value that it got last. */
typedef struct {
    ps_buf first;  /* the entry that the key came with */
    ps_buf last;   /* the entry of the value; empty: the same one */
    PyObject *key; /* decoded, when it had to be; owned */
    uint64_t h2;
    size_t number, last_number; /* of the two entries, in the order of arrival */
} ps_member;

/* A node in the making. */
typedef struct {
    ps_buf payload, targets; /* messages, and digests of what references in them name */
    uint64_t *ends;          /* owned; PS_WIDTH of them, more in a collision node */
    size_t ends_cap;
    parts t;
    uint32_t datamap, nodemap;
    size_t mark; /* jobs of the writer when the node was opened */
    uint64_t arena_mark;
} ps_open_node;

/* The right edge of a vector. */
typedef struct {
    PyObject *items[PS_WIDTH]; /* owned */
    uint32_t n_items;
    int top; /* the highest row; 0: none */
    int n[PS_RRB_MAX_LEVEL + 1];
    place child[PS_RRB_MAX_LEVEL + 1][PS_WIDTH];
} ps_vector_rows;

/* At most so many nodes have no parent yet. */
#define PS_BUILDER_ORPHANS ((PS_MAX_LEVEL + PS_RRB_MAX_LEVEL + 2) * PS_WIDTH)

typedef struct {
    ps_writer writer;
    ps_sorter sorter;
    PyObject *sink;       /* owned */
    PyObject *importable; /* owned, or NULL */
    uint8_t kind;         /* PS_REC_MAP, PS_REC_SET or PS_ARRAY_VECTOR */
    uint8_t uuid[16];
    uint64_t taken; /* entries, those with equal keys too */
    uint64_t count; /* entries in the pack */
    /* pack_grow.c */
    ps_member *members; /* the keys with one H1: used ones first */
    size_t n_members, members_cap, gathered;
    ps_open_node *open[PS_MAX_LEVEL + 1]; /* owned */
    int top;                              /* level of the deepest open node; -1: none */
    int common; /* levels that the last key shares with the one before it */
    /* pack_grow_vector.c */
    ps_vector_rows vector;
} ps_builder;

/* ---- pack_builder.c. All return 0, or -1 with an exception, unless said otherwise. After a
 * failure there is nothing to do but ps_builder_clear. */
int ps_builder_init(ps_builder *b, ps_state *st, PyObject *sink, PyObject *importable,
                    uint8_t kind, const uint8_t *uuid);
void ps_builder_clear(ps_builder *b);
/* key and value (NULL in sets) are borrowed. */
int ps_builder_add(ps_builder *b, PyObject *key, PyObject *value);
/* Give bytes of the pack to the sink when there are enough. */
int ps_builder_drain(ps_builder *b, bool all);
/* The last bytes of the pack, and its header. */
int ps_builder_finish(ps_builder *b, uint8_t header[PS_PACK_HEADER]);

/* ---- pack_grow.c */
/* Make nodes of about n entries. 1: there are more, 0, -1. */
int ps_builder_grow(ps_builder *b, Py_ssize_t n);
/* Close the nodes that are open. root: where the root is, 0 if there are no entries. */
int ps_builder_close(ps_builder *b, place *root);
void ps_builder_clear_nodes(ps_builder *b);
/* The places of the nodes that have no parent yet. Their number. */
size_t ps_builder_orphans(const ps_builder *b, place out[PS_BUILDER_ORPHANS]);

/* ---- pack_grow_vector.c: the same for vectors, whose elements become nodes as they come */
int ps_builder_push(ps_builder *b, PyObject *value);
int ps_builder_close_vector(ps_builder *b, place *root);
void ps_builder_clear_rows(ps_builder *b);
size_t ps_builder_rows(const ps_builder *b, place out[PS_BUILDER_ORPHANS]);

#endif
