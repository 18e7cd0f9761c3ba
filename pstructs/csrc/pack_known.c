/* pack_known.c -- what older packs hold already, found by digest while a pack is written.
 *
 * A tree that was built anew remembers no places, so a save would write all of it, though
 * most of its nodes may be in the store. With an index from digests to places (a Python
 * callable: `known`), the writer asks for each record that it has just made:
 *
 *     record made, digest computed ─► known(digest) ─► (pack, offset) or None
 *         the record there is sound, and of this kind, level, count and digest:
 *         ours is cut off the image again, and the reference leads there
 *
 * Children are written before their parent, so a parent meets references to known children,
 * and its digest does not depend on where they are. A node is asked for only when all that is
 * below it was found: what was not may be damaged over there. The index may be wrong or out of
 * date: what it says is only a hint where to look.
 *
 * A drained image (pack_builder.c) has no index, so offsets are places in the image here.
 *
 * Cost: a call of known for each record, and digests one at a time.
 */
#include "pack_writer.h"

int
ps_known_find(ps_writer *w, const uint8_t *digest, uint8_t kind, int level, uint64_t count,
              place *at)
{
    PyObject *found =
        PyObject_CallFunction(w->known, "y#", (const char *)digest, (Py_ssize_t)PS_DIGEST_SIZE);
    ps_pack *pack = NULL;
    unsigned long long offset = 0;
    ps_record r;
    int result = -1;
    if (found == NULL || found == Py_None) {
        Py_XDECREF(found);
        return found == NULL ? -1 : 0;
    }
    if (!PyTuple_Check(found) || !PyArg_ParseTuple(found, "O!K;known() gives a pack and an offset",
                                                   w->st->pack, &pack, &offset)) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_TypeError, "known() gives a pack and an offset, or None");
        }
        goto done;
    }
    uint32_t import = ps_write_import_of(w, pack); /* from here on, w->packs holds it */
    if (import == PS_WRITE_UNDECIDED) {
        goto done;
    }
    result = 0;
    if (import == PS_WRITE_COPY || offset < PS_PACK_HEADER || offset >= pack->end ||
        ps_record_parse(pack, offset, &r) != NULL || r.kind != kind ||
        memcmp(r.at + PS_R_DIGEST, digest, PS_DIGEST_SIZE) != 0 ||
        (ps_kind_is_node(kind) && (r.level != level || r.count != count))) {
        goto done;
    }
    if (ps_record_check(w->st, pack, offset) < 0 || ps_pack_lost(w->st, pack) < 0) {
        if (PyErr_ExceptionMatches(PyExc_ValueError)) {
            PyErr_Clear(); /* damaged there: write it anew */
        }
        else {
            result = -1;
        }
        goto done;
    }
    *at = PLACE(import, offset);
    result = 1;
done:
    Py_DECREF(found);
    return result;
}

int
ps_known_node(ps_writer *w, const ps_write_mark *mark, uint8_t kind, int level, uint64_t count,
              place *at)
{
    uint8_t digest[PS_DIGEST_SIZE];
    uint64_t record = PLACE_OFFSET(*at);
    ps_image_flush(w, mark->n_jobs, mark->arena);
    if (record != mark->image || w->local_hits != mark->local_hits) {
        return 0;
    }
    memcpy(digest, w->image.data + record + PS_R_DIGEST, sizeof digest);
    int found = ps_known_find(w, digest, kind, level, count, at);
    if (found > 0) {
        w->image.len = record;
        w->new_records--;
    }
    return found;
}

int
ps_known_content(ps_writer *w, uint8_t kind, uint64_t record, place *at)
{
    uint8_t digest[PS_DIGEST_SIZE];
    memcpy(digest, w->image.data + record + PS_R_DIGEST, sizeof digest);
    int found = ps_known_find(w, digest, kind, 0, 0, at);
    if (found > 0) {
        w->image.len = record;
        w->new_records--;
    }
    return found;
}
