/* pack_sorter.h -- encoded entries in the order of their hashes, or of their keys, however many:
 * an external merge sort.
 *
 *     add add add ...  ->  buffer  --spill-->  runs in a file, each sorted
 *                                                 \ \ \
 *     next next next ...  <------- merge  <--------+-+-+
 *
 * What was added first comes first among equal ones. As long as nothing was spilled, no file is
 * needed.
 */
#ifndef PS_PACK_SORTER_H
#define PS_PACK_SORTER_H

#include "hash_sort.h"
#include "pack_writer.h"

/* An entry, in memory and in the file: this head, the messages of the key and the value, the
 * digests of what the references in them name, and, for a key with references, a pack of its own. */
typedef struct {
    uint64_t hash; /* H1; in the order of keys: the word of the key (btree_order.c) */
    uint32_t key_size, value_size;
    uint32_t key_refs, value_refs;
    uint64_t key_pack; /* bytes */
} ps_entry_head;

PS_INLINE size_t
ps_entry_size(const ps_entry_head *e)
{
    return sizeof *e + (size_t)e->key_size + e->value_size +
           PS_DIGEST_SIZE * ((size_t)e->key_refs + e->value_refs) + e->key_pack;
}

typedef struct {
    uint64_t at, end; /* what is still in the file */
    uint8_t *data;    /* owned */
    size_t pos, len, cap;
    PyObject *key; /* of the first entry, when it had to be decoded; owned */
} ps_run;

typedef struct {
    ps_state *st;
    bool by_key; /* else in the order of hashes */
    ps_buf entries;
    ps_sort_item *items; /* of the entries in the buffer */
    size_t n_items, items_cap;
    ps_sort_item *sorted; /* all of them, or what is left to give out */
    bool words;           /* the words of all keys in the buffer are of one kind, ... */
    ps_bt_kind kind;      /* this one */
    size_t objects;       /* bytes that the keys without words will take when they are decoded */
    int fd;
    uint64_t file_end;
    ps_run *runs;
    uint32_t n_runs, runs_cap;
    uint32_t *heap; /* runs by their first entries */
    uint32_t n_heap;
} ps_sorter;

/* All zeros but for st and by_key is an empty one. */
void ps_sorter_clear(ps_sorter *s);
/* Bytes that are in memory, or will be when they are sorted. */
PS_INLINE size_t
ps_sorter_held(const ps_sorter *s)
{
    return s->entries.len + 2 * s->n_items * sizeof *s->items + s->objects;
}
/* Where the caller puts an entry of that many bytes, to say then that it is there. NULL with an
 * exception. */
uint8_t *ps_sorter_room(ps_sorter *s, size_t size);
void ps_sorter_added(ps_sorter *s);
/* Bring what is in memory into order, after which nothing is added until it was spilled. 0, or -1. */
int ps_sorter_sort(ps_sorter *s);
/* Write what is in memory, sorted, as a run to the end of the file, always the same one. 0, or -1. */
int ps_sorter_spill(ps_sorter *s, int fd);
/* No more will be added. room: bytes for reading all the runs. 0, or -1. */
int ps_sorter_merge(ps_sorter *s, size_t room);
/* The next entry, valid until ps_sorter_pop or anything else: 1, 0: no more, -1. */
int ps_sorter_peek(ps_sorter *s, const uint8_t **entry);
int ps_sorter_pop(ps_sorter *s);
/* In the order of keys: where the decoded key of that entry is, once it had to be. */
PyObject **ps_sorter_key(ps_sorter *s);

/* ---- pack_order.c: comparing encoded keys */
/* What the word of an encoded key is. */
ps_bt_kind ps_order_kind(const uint8_t *key);
/* New reference: the key of an entry. */
PyObject *ps_entry_key(ps_state *st, const uint8_t *entry);
/* 1 / 0: the key of a sorts before that of b; -1. The objects are decoded when they are needed. */
int ps_order_less(ps_state *st, const uint8_t *a, PyObject **a_key, const uint8_t *b,
                  PyObject **b_key);
/* *order < 0, 0, > 0 as a sorts before, with, after b. 0; -1 with an exception, also where they
 * are neither equal nor in an order. */
int ps_order_compare(ps_state *st, const uint8_t *a, PyObject **a_key, const uint8_t *b,
                     PyObject **b_key, int *order);
/* Sort the items of the buffer by key, stable; spare has room for them. Afterwards `hash` is the
 * decoded key (owned), or 0. The array with the result; NULL with an exception, and the keys
 * are in s->items. */
ps_sort_item *ps_order_sort(ps_sorter *s, ps_sort_item *spare);

#endif
