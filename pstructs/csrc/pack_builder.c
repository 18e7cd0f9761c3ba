/* pack_builder.c -- taking entries in, and giving the bytes of the pack out. */
#include "pack_builder.h"

#include <unistd.h>

enum { DRAIN = 1 << 20 };

int
ps_builder_init(ps_builder *b, ps_state *st, PyObject *sink, PyObject *importable, uint8_t kind,
                const uint8_t *uuid)
{
    *b = (ps_builder){.kind = kind, .top = -1};
    b->sink = Py_NewRef(sink);
    b->importable = Py_XNewRef(importable);
    if (uuid != NULL) {
        memcpy(b->uuid, uuid, sizeof b->uuid);
    }
    else if (ps_random_uuid(b->uuid) < 0) {
        return -1;
    }
    return ps_writer_start(&b->writer, st, b->importable);
}

void
ps_builder_clear(ps_builder *b)
{
    ps_builder_clear_nodes(b);
    ps_builder_clear_rows(b);
    ps_sorter_clear(&b->sorter);
    ps_writer_clear(&b->writer);
    Py_CLEAR(b->sink);
    Py_CLEAR(b->importable);
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

/* A key with collections in it, as a pack of its own: it may have to be compared later. Equal
 * bytes mean equal keys, so all have one uuid. */
static ps_writer *
pack_key(ps_state *st, PyObject *key)
{
    static const uint8_t uuid[16];
    PyObject *plain = ps_hash_plain(st, key);
    ps_writer *w = plain ? ps_writer_new(st, plain, NULL, NULL, uuid) : NULL;
    Py_XDECREF(plain);
    return w;
}

int
ps_builder_add(ps_builder *b, PyObject *key, PyObject *value)
{
    ps_writer *w = &b->writer, *packed = NULL;
    ps_entry_head e = {0};
    ps_buf targets = {NULL, 0, 0};
    const uint8_t *image = NULL;
    size_t image_size = 0, sizes[2];
    bool key_refs;
    int result = -1;
    if (ps_hash1(w->st, key, &e.hash) < 0) {
        return -1;
    }
#if PS_H1_BITS < 64
    e.hash &= ~(UINT64_MAX >> PS_H1_BITS);
#endif
    w->scratch.len = 0;
    w->encoder.has_refs = false;
    if (ps_write_key(w, key) < 0) {
        return -1;
    }
    key_refs = w->encoder.has_refs;
    sizes[0] = w->scratch.len;
    if (value != NULL && ps_write_value(w, value, key) < 0) {
        return -1;
    }
    sizes[1] = w->scratch.len - sizes[0];
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
    if (key_refs) {
        packed = pack_key(w->st, key);
        if (packed == NULL) {
            goto done;
        }
        image = ps_writer_image(packed, &image_size);
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
    if (packed != NULL) {
        ps_writer_free(packed);
    }
    ps_buf_clear(&targets);
    return result;
}

/* ---- bytes */

int
ps_builder_drain(ps_builder *b, bool all)
{
    place orphans[PS_BUILDER_ORPHANS];
    if (b->writer.image.len < DRAIN && !all) {
        return 0;
    }
    size_t n =
        b->kind == PS_ARRAY_VECTOR ? ps_builder_rows(b, orphans) : ps_builder_orphans(b, orphans);
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
    if ((b->kind == PS_ARRAY_VECTOR ? ps_builder_close_vector(b, &root)
                                    : ps_builder_close(b, &root)) < 0) {
        return -1;
    }
    uint8_t message[2 + PS_REF_SIZE] = {0xD7, PS_EXT_REF};
    ps_ref_store(message + 2, (ps_ref){b->kind, 0, PLACE_OFFSET(root)});
    w->scratch.len = 0;
    w->encoder.has_refs = true;
    if (ps_buf_add(&w->scratch, message, sizeof message) < 0 ||
        ps_writer_finish(w, b->uuid, header) < 0) {
        return -1;
    }
    return ps_builder_drain(b, true);
}
