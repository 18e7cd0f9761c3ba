/* pack_builder.c -- taking entries in, and giving the bytes of the pack out. */
#include "pack_builder.h"

#include <unistd.h>

enum { DRAIN = 1 << 20 };

static bool
is_sorted(const ps_builder *b)
{
    return b->kind >= PS_ARRAY_SORTED;
}

int
ps_builder_init(ps_builder *b, ps_state *st, PyObject *sink, PyObject *importable, PyObject *order,
                uint8_t kind, const uint8_t *uuid)
{
    *b = (ps_builder){.kind = kind, .top = -1, .sorted.accepted = -1};
    b->sink = Py_NewRef(sink);
    b->importable = Py_XNewRef(importable);
    b->order = Py_XNewRef(order);
    b->sorter.st = st;
    b->sorter.by_key = is_sorted(b);
    if (uuid != NULL) {
        memcpy(b->uuid, uuid, sizeof b->uuid);
    }
    else if (ps_random_uuid(b->uuid) < 0) {
        return -1;
    }
    if (ps_writer_start(&b->writer, st, b->importable) < 0) {
        return -1;
    }
    /* An order that has no name is refused before anything is taken. */
    return order == NULL ? 0 : ps_msg_put_ordered(&b->writer.encoder, (ps_ref){0}, order);
}

void
ps_builder_clear(ps_builder *b)
{
    ps_builder_clear_trie(b);
    ps_builder_clear_vector(b);
    ps_builder_clear_sorted(b);
    ps_sorter_clear(&b->sorter);
    ps_writer_clear(&b->writer);
    Py_CLEAR(b->sink);
    Py_CLEAR(b->importable);
    Py_CLEAR(b->order);
}

/* ---- entries */

/* Append the digests of what the messages [from, from + n) of scratch refer to. */
static int
add_targets(ps_writer *w, ps_buf *out, uint64_t from, size_t n, uint32_t *n_refs)
{
    static const uint8_t empty[PS_DIGEST_SIZE];
    ps_buf list = {NULL, 0, 0};
    const uint8_t *p = w->scratch.data + from;
    int result = -1;
    if (ps_image_list_refs(w, p, p + n, &list) < 0) {
        goto done;
    }
    *n_refs = (uint32_t)(list.len / sizeof(uint64_t));
    ps_image_compute_digests(w);
    for (size_t i = 0; i < list.len; i += sizeof(uint64_t)) {
        ps_ref ref = ps_ref_load(p + ps_load64(list.data + i));
        const uint8_t *digest =
            ref.offset ? ps_image_digest(w, PLACE(ref.import, ref.offset)) : empty;
        if (ps_buf_add(out, digest, PS_DIGEST_SIZE) < 0) {
            goto done;
        }
    }
    result = 0;
done:
    ps_buf_clear(&list);
    return result;
}

int
ps_builder_enter(ps_builder *b, uint64_t hash, const size_t sizes[2], PyObject *packed)
{
    /* Equal bytes are to mean equal keys, so all these packs have one uuid. */
    static const uint8_t uuid[16];
    ps_writer *w = &b->writer, *own = NULL;
    ps_entry_head e = {.hash = hash};
    ps_buf targets = {NULL, 0, 0};
    const uint8_t *image = NULL;
    size_t image_size = 0;
    int result = -1;
    if (w->scratch.len > UINT32_MAX) {
        PyErr_SetString(PyExc_OverflowError, "a key is beyond 2**32 bytes");
        return -1;
    }
    if (w->encoder.has_refs) {
        if (add_targets(w, &targets, 0, sizes[0], &e.key_refs) < 0 ||
            add_targets(w, &targets, sizes[0], sizes[1], &e.value_refs) < 0) {
            goto done;
        }
    }
    if (packed != NULL) {
        own = ps_writer_new(w->st, packed, NULL, NULL, uuid);
        if (own == NULL) {
            goto done;
        }
        image = ps_writer_image(own, &image_size);
    }
    e.key_size = (uint32_t)sizes[0];
    e.value_size = (uint32_t)sizes[1];
    e.key_pack = image_size;
    uint8_t *p = ps_sorter_room(&b->sorter, ps_entry_size(&e));
    if (p == NULL) {
        goto done;
    }
    memcpy(p, &e, sizeof e);
    p += sizeof e;
    memcpy(p, w->scratch.data, w->scratch.len);
    p += w->scratch.len;
    if (targets.len) {
        memcpy(p, targets.data, targets.len);
    }
    if (image_size) {
        memcpy(p + targets.len, image, image_size);
    }
    ps_sorter_added(&b->sorter);
    b->taken++;
    result = 0;
done:
    if (own != NULL) {
        ps_writer_free(own);
    }
    ps_buf_clear(&targets);
    return result;
}

int
ps_builder_add(ps_builder *b, PyObject *key, PyObject *value)
{
    ps_writer *w = &b->writer;
    uint64_t hash;
    size_t sizes[2];
    if (is_sorted(b)) {
        return ps_builder_add_sorted(b, key, value);
    }
    if (ps_hash1(w->st, key, &hash) < 0) {
        return -1;
    }
#if PS_H1_BITS < 64
    hash &= ~(UINT64_MAX >> PS_H1_BITS);
#endif
    w->scratch.len = 0;
    w->encoder.has_refs = false;
    if (ps_write_key(w, key) < 0) {
        return -1;
    }
    bool key_refs = w->encoder.has_refs;
    sizes[0] = w->scratch.len;
    if (value != NULL && ps_write_value(w, value, key) < 0) {
        return -1;
    }
    sizes[1] = w->scratch.len - sizes[0];
    /* A key with collections in it travels with a pack: it may have to be compared later. */
    PyObject *packed = key_refs ? ps_hash_plain(w->st, key) : NULL;
    int result = key_refs && packed == NULL ? -1 : ps_builder_enter(b, hash, sizes, packed);
    Py_XDECREF(packed);
    return result;
}

int
ps_builder_grow(ps_builder *b, Py_ssize_t n)
{
    return b->kind == PS_ARRAY_VECTOR ? 0
           : is_sorted(b)             ? ps_builder_grow_sorted(b, n)
                                      : ps_builder_grow_trie(b, n);
}

static int
close_nodes(ps_builder *b, place *root)
{
    return b->kind == PS_ARRAY_VECTOR ? ps_builder_close_vector(b, root)
           : is_sorted(b)             ? ps_builder_close_sorted(b, root)
                                      : ps_builder_close_trie(b, root);
}

static size_t
orphans_of(const ps_builder *b, place out[PS_BUILDER_ORPHANS])
{
    return b->kind == PS_ARRAY_VECTOR ? ps_builder_vector_orphans(b, out)
           : is_sorted(b)             ? ps_builder_sorted_orphans(b, out)
                                      : ps_builder_trie_orphans(b, out);
}

/* ---- bytes */

int
ps_builder_drain(ps_builder *b, bool all)
{
    place orphans[PS_BUILDER_ORPHANS];
    if (b->writer.image.len < DRAIN && !all) {
        return 0;
    }
    size_t n = orphans_of(b, orphans);
    return ps_image_drain(&b->writer, b->sink, orphans, n, all) < 0 ||
                   ps_writer_forget(&b->writer) < 0
               ? -1
               : 0;
}

int
ps_builder_finish(ps_builder *b, uint8_t header[PS_PACK_HEADER])
{
    ps_writer *w = &b->writer;
    place root;
    if (close_nodes(b, &root) < 0) {
        return -1;
    }
    uint8_t message[2 + PS_REF_SIZE] = {0xD7, PS_EXT_REF};
    ps_ref ref = {b->kind, 0, PLACE_OFFSET(root)};
    ps_ref_store(message + 2, ref);
    w->scratch.len = 0;
    w->encoder.has_refs = true;
    if ((b->order ? ps_msg_put_ordered(&w->encoder, ref, b->order)
                  : ps_buf_add(&w->scratch, message, sizeof message)) < 0 ||
        ps_writer_finish(w, b->uuid, header) < 0) {
        return -1;
    }
    return ps_builder_drain(b, true);
}
