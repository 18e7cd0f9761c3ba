/* pack_builder.h -- a pack of one collection of any length, in bounded memory.
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
 * the trie, and pack_grow.c makes nodes of them from the bottom up.
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

typedef struct {
    ps_writer writer;
    ps_sorter sorter;
    PyObject *sink;       /* owned */
    PyObject *importable; /* owned, or NULL */
    int width;            /* 2: a map, 1: a set */
    uint8_t uuid[16];
    uint64_t taken; /* entries, those with equal keys too */
    uint64_t count; /* entries in the pack */
    /* pack_grow.c */
    ps_member *members; /* the keys with one H1: used ones first */
    size_t n_members, members_cap, gathered;
    ps_open_node *open[PS_MAX_LEVEL + 1]; /* owned */
    int top;                              /* level of the deepest open node; -1: none */
    int common; /* levels that the last key shares with the one before it */
} ps_builder;

/* ---- pack_builder.c. All return 0, or -1 with an exception, unless said otherwise. After a
 * failure there is nothing to do but ps_builder_clear. */
int ps_builder_init(ps_builder *b, ps_state *st, PyObject *sink, PyObject *importable, int width,
                    const uint8_t *uuid);
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
/* The places of the nodes that have no parent yet, ascending. Their number. */
size_t ps_builder_orphans(const ps_builder *b, place out[(PS_MAX_LEVEL + 1) * PS_WIDTH]);

#endif
