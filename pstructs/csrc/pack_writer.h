/* pack_writer.h -- the state of one save, shared by pack_image.c (bytes of records)
 * and pack_write.c (the walk over the value). Only pack_write*.c and pack_known.c include it, too.
 */
#ifndef PS_PACK_WRITER_H
#define PS_PACK_WRITER_H

#include "blake2b.h"
#include "pack.h"

/* Where something is: import index << 40 | offset. */
typedef uint64_t place;
#define PLACE(import, offset) ((uint64_t)(import) << 40 | (offset))
#define PLACE_IMPORT(p) ((uint32_t)((p) >> 40))
#define PLACE_OFFSET(p) ((p) & PS_SLOT_MAX_OFFSET)

typedef struct {
    uint64_t record; /* its offset in the pack */
    uint32_t size;
    uint64_t message, length; /* in the arena */
} digest_job;

typedef struct {
    ps_node *node; /* owned */
    ps_pack *pack; /* owned; NULL: the new one */
    uint64_t offset;
} saved_node;

/* How much of everything there was. */
typedef struct {
    uint64_t image, arena;
    size_t n_jobs, local_hits;
} ps_write_mark;

typedef struct {
    uint64_t key; /* heap node or packed slot; 0: free */
    place at;
} memo_entry;

enum { PS_WRITE_UNDECIDED = 0, PS_WRITE_COPY = UINT32_MAX }; /* else: import index */

/* The digest of a record that left the image, and that a parent in the making needs. */
typedef struct {
    uint64_t offset;
    uint8_t digest[PS_DIGEST_SIZE];
} kept_digest;

struct ps_writer {
    ps_state *st;
    ps_buf image, scratch, arena;
    uint64_t base; /* where the image begins in the pack; 0 unless it is drained */
    kept_digest *kept; /* by ascending offset */
    size_t n_kept, kept_cap;
    digest_job *jobs;
    size_t n_done, n_jobs, jobs_cap; /* the first n_done are computed */
    saved_node *saved;
    size_t n_saved, saved_cap;
    memo_entry *memo;
    size_t memo_used, memo_size; /* size: a power of two */
    uint32_t *decisions;         /* by pack id */
    uint32_t n_decisions;
    PyObject *packs;    /* list: every pack that was met, so that ids stay */
    PyObject **imports; /* borrowed from packs; [1..n_imports] */
    uint32_t n_imports, imports_cap;
    PyObject *importable; /* borrowed while writing */
    PyObject *known;      /* likewise; or NULL */
    size_t local_hits;    /* how often a record of the image was met again */
    ps_encoder encoder;
    size_t new_records;
    int frames; /* nodes and records on the C stack */
};

/* What a node record is made of, besides its payload. */
typedef struct {
    uint32_t n_entries, n_children;
    uint64_t *ends; /* of the entries, relative to the payload */
    place children[PS_WIDTH];
    uint64_t count;
} parts;

/* What the record of an array node is made of, besides its payload. */
typedef struct {
    uint8_t kind, level, form;
    uint32_t n; /* elements of a leaf, or children */
    uint32_t n_entries, n_children;
    uint64_t ends[PS_WIDTH];
    place children[PS_WIDTH];
    bool has_sizes;
    uint64_t sizes[PS_WIDTH]; /* as the record lists them */
    int64_t words[PS_WIDTH];  /* sorted nodes */
    uint64_t count;
} array_parts;

/* ---- pack_write.c: the walk */
/* Get ready to write, of an image that begins with an empty header. 0, or -1. */
int ps_writer_start(ps_writer *w, ps_state *st, PyObject *importable);
/* Append the root record of the message in scratch and the import table; fill in the header, which
 * may have left the image. uuid: 16 bytes or NULL (random). 0, or -1. */
int ps_writer_finish(ps_writer *w, const uint8_t *uuid, uint8_t header[PS_PACK_HEADER]);
/* Forget what was written already, and the packs that nothing was imported from: what is met
 * again from now on is written again. 0, or -1. */
int ps_writer_forget(ps_writer *w);
void ps_writer_clear(ps_writer *w);
int ps_random_uuid(uint8_t uuid[16]);
/* Append the message of a key to scratch. */
int ps_write_key(ps_writer *w, PyObject *key);
/* A node slot of any kind: where it is in the new pack's eyes. level: -1 for the root of a sorted
 * tree. *count: elements below it; for an array node it is read, too. */
int ps_write_slot(ps_writer *w, ps_slot s, uint8_t kind, int level, place *at, uint64_t *count);
/* Append the message of a value to scratch; of a long one, a reference to its record. key: what
 * errors name, or NULL. */
int ps_write_value(ps_writer *w, PyObject *value, PyObject *key);
/* The same for a packed value or key. */
int ps_write_packed(ps_writer *w, ps_slot s, bool *has_refs);
/* Copy the messages [p, p + n) of pack to scratch, with their references remapped. They
 * stand in the record at `record`; 0: it is not known which. Where it is not, a record may
 * refer to itself once: to copy it comes here again, and then it is. */
int ps_copy_messages(ps_writer *w, ps_pack *pack, uint64_t record, const uint8_t *p, size_t n,
                     bool *has_refs);
/* The place of a record of an open pack: referenced when it may be, else copied. level: -1 for
 * the root of an array tree. *count: elements below a node. */
int ps_copy_record(ps_writer *w, ps_pack *pack, uint64_t offset, uint8_t kind, int level,
                   place *at, uint64_t *count);

/* The import index of the pack, or PS_WRITE_COPY; PS_WRITE_UNDECIDED with an exception. */
uint32_t ps_write_import_of(ps_writer *w, ps_pack *pack);

/* ---- pack_known.c: only where there is w->known. 1: found, and *at is where it is; 0; -1. */
/* The record of that digest. level and count: of nodes. */
int ps_known_find(ps_writer *w, const uint8_t *digest, uint8_t kind, int level, uint64_t count,
                  place *at);
/* The node whose record was just written at *at; mark: before it and all below it. */
int ps_known_node(ps_writer *w, const ps_write_mark *mark, uint8_t kind, int level, uint64_t count,
                  place *at);
/* The value or raw record that is the last one of the image. */
int ps_known_content(ps_writer *w, uint8_t kind, uint64_t record, place *at);

/* ---- pack_write_array.c */
/* The record of a heap node with `count` elements below it. */
int ps_write_array_node(ps_writer *w, ps_node *n, uint8_t kind, int level, uint64_t count,
                        place *at);
int ps_copy_array_node(ps_writer *w, ps_pack *pack, const ps_record *r, place *at);
/* What a reference to a vector that is not empty names, and its kind. */
int ps_write_vector(ps_writer *w, const ps_rrb *t, place *at);

/* ---- pack_image.c. All return 0, or -1 with an exception, unless said otherwise. */
/* Make room for one more item behind `used`. */
int ps_image_grow(void **array, size_t *cap, size_t used, size_t item);
/* What was written already: by heap node or packed slot. */
bool ps_memo_find(const ps_writer *w, uint64_t key, place *at);
int ps_memo_add(ps_writer *w, uint64_t key, place at);
/* The digest of the record at a place: computed by now, and kept if it left the image. */
const uint8_t *ps_image_digest(const ps_writer *w, place at);
/* Where the next record goes. */
PS_INLINE uint64_t
ps_image_end(const ps_writer *w)
{
    return w->base + w->image.len;
}
/* Give the bytes of the image to sink, a callable, all or but for less than 64 at the end. Of the
 * records at the n places in `open` the digests stay known. No reference to another
 * one may be written afterwards. */
int ps_image_drain(ps_writer *w, PyObject *sink, const place *open, size_t n, bool all);
/* Compute the digests of all jobs that wait, and the checksums of their records. */
void ps_image_compute_digests(ps_writer *w);
/* The same for the jobs from mark on, which leave the stacks. They may have been
 * computed already. */
void ps_image_flush(ps_writer *w, size_t mark, uint64_t arena_mark);
/* Append the offsets (u64, from p) of all references in the messages [p, end) to list. */
int ps_image_list_refs(ps_writer *w, const uint8_t *p, const uint8_t *end, ps_buf *list);
/* A value or raw record of n bytes that lie outside the image. digest: copied, or NULL: that of
 * the bytes, which hold no references. */
int ps_image_add_content(ps_writer *w, uint8_t kind, const uint8_t digest[PS_DIGEST_SIZE],
                         const uint8_t *data, uint64_t n, place *at);
/* A value record of the message at p. */
int ps_image_add_value(ps_writer *w, const uint8_t *p, size_t n, bool has_refs, place *at);
/* The record of a node whose payload is scratch from `start` on. digest: copied, or NULL:
 * computed later, from the message that goes into the arena. targets: the digests of what the
 * references in the payload name, or NULL: they are looked up. */
int ps_image_add_node(ps_writer *w, int width, int level, uint32_t datamap, uint32_t nodemap,
                      const parts *t, uint64_t start, bool has_refs, const uint8_t *targets,
                      const uint8_t *digest, place *at);
/* The same for an array node. */
int ps_image_add_array(ps_writer *w, const array_parts *t, uint64_t start, bool has_refs,
                       const uint8_t *targets, const uint8_t *digest, place *at);

#endif
