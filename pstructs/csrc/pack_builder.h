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
 * the trie, and pack_grow.c makes nodes of them from the bottom up. For sorted collections that
 * is the order of the keys (pack_order.c), and pack_grow_sorted.c makes the nodes. The elements of
 * a vector are in order already.
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

typedef struct {
    ps_buf bytes, targets; /* messages, and digests of what references in them name */
} ps_messages;

/* The right edge of a sorted tree, one level of it: entries (level 0) or children. Kind and word
 * are those of each child's smallest order key, or of the first entry. */
typedef struct {
    uint32_t n;
    uint64_t count;      /* entries in it or below it */
    ps_messages payload; /* of the entries */
    ps_messages min;     /* the smallest order key */
    uint64_t ends[PS_BT_LEAF];
    place child[PS_BT_INNER];
    uint64_t sizes[PS_BT_INNER];
    int64_t words[PS_BT_INNER];
    ps_bt_kind kind[PS_BT_INNER];
} ps_sorted_row;

typedef struct {
    int accepted;      /* kind of the last order key that was looked at alone; -1: none */
    ps_member waiting; /* used when `first` is not empty */
    int n_rows;
    ps_sorted_row *row[PS_BT_MAX_HEIGHT]; /* owned */
} ps_sorted_rows;

/* At most so many nodes have no parent yet. */
#define PS_BUILDER_ORPHANS ((PS_MAX_LEVEL + PS_RRB_MAX_LEVEL + PS_BT_MAX_HEIGHT + 2) * PS_WIDTH)
_Static_assert(PS_BT_INNER <= PS_WIDTH && PS_BT_LEAF <= PS_WIDTH, "an array_parts holds a node");

typedef struct {
    ps_writer writer;
    ps_sorter sorter;
    PyObject *sink;       /* owned */
    PyObject *importable; /* owned, or NULL */
    PyObject *order;      /* owned: the key function of a sorted collection, or NULL */
    uint8_t kind;         /* PS_REC_MAP, PS_REC_SET or PS_ARRAY_* */
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
    /* pack_grow_sorted.c */
    ps_sorted_rows sorted;
} ps_builder;

/* ---- pack_builder.c. All return 0, or -1 with an exception, unless said otherwise. After a
 * failure there is nothing to do but ps_builder_clear. */
int ps_builder_init(ps_builder *b, ps_state *st, PyObject *sink, PyObject *importable,
                    PyObject *order, uint8_t kind, const uint8_t *uuid);
void ps_builder_clear(ps_builder *b);
/* key and value (NULL in sets) are borrowed. */
int ps_builder_add(ps_builder *b, PyObject *key, PyObject *value);
/* Give the sorter the entry whose messages are scratch: sizes[0] bytes of the key, then sizes[1].
 * hash: what it goes by. packed: a key that holds collections, else NULL. */
int ps_builder_enter(ps_builder *b, uint64_t hash, const size_t sizes[2], PyObject *packed);
/* Make nodes of about n entries. 1: there are more, 0, -1. */
int ps_builder_grow(ps_builder *b, Py_ssize_t n);
/* Give bytes of the pack to the sink when there are enough. */
int ps_builder_drain(ps_builder *b, bool all);
/* The last bytes of the pack, and its header. */
int ps_builder_finish(ps_builder *b, uint8_t header[PS_PACK_HEADER]);

/* ---- pack_grow.c: tries */
int ps_builder_grow_trie(ps_builder *b, Py_ssize_t n);
/* Close the nodes that are open. root: where the root is, 0 if there are no entries. */
int ps_builder_close_trie(ps_builder *b, place *root);
void ps_builder_clear_trie(ps_builder *b);
/* The places of the nodes that have no parent yet. Their number. */
size_t ps_builder_trie_orphans(const ps_builder *b, place out[PS_BUILDER_ORPHANS]);

/* ---- pack_grow_vector.c: the same for vectors, whose elements become nodes as they come */
int ps_builder_push(ps_builder *b, PyObject *value);
int ps_builder_close_vector(ps_builder *b, place *root);
void ps_builder_clear_vector(ps_builder *b);
size_t ps_builder_vector_orphans(const ps_builder *b, place out[PS_BUILDER_ORPHANS]);

/* ---- pack_grow_sorted.c: sorted maps and sets */
int ps_builder_add_sorted(ps_builder *b, PyObject *key, PyObject *value);
int ps_builder_grow_sorted(ps_builder *b, Py_ssize_t n);
int ps_builder_close_sorted(ps_builder *b, place *root);
void ps_builder_clear_sorted(ps_builder *b);
size_t ps_builder_sorted_orphans(const ps_builder *b, place out[PS_BUILDER_ORPHANS]);

#endif
