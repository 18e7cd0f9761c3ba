/* pack_read.c -- opening packs and taking records apart.
 *
 * A node record, least first, little-endian:
 *
 *     0   crc32c of all that follows
 *     4   digest, 16 bytes
 *     20  flags: kind, collision, children, width of ends, wide count
 *     21  level
 *     22  datamap (in a collision: number of entries)
 *     26  with children: nodemap | count 4 or 8 | widths 1 | one reference a child
 *     ..  end of each entry in the payload, 1, 2 or 4 bytes each
 *     ..  payload: key message, value message, key message, ...
 *
 * A value record and a raw record have a length of 8 bytes at 21 and their content
 * at 29 (raw: at the next multiple of 64 in the file, with zeros before it).
 *
 * Two promises keep apart what damage can do. Memory safety comes from bounds:
 * every pointer that ps_record_parse hands out lies in the pack, whatever the bytes
 * say and however they change meanwhile. Right answers come from the checksum, which
 * is checked when a record is touched for the first time; a bit for every 16 bytes
 * remembers that (no two records start in the same 16 bytes, the shortest has 26).
 */
#include "pack.h"

/* ---- ids. st->packs[i] is a borrowed Pack, or (next free id) << 1 | 1. */

int
ps_pack_register(ps_state *st, ps_pack *pack)
{
    if (st->packs_free == 0) {
        uint32_t size = st->packs_size ? st->packs_size * 2 : 64;
        if (size > PS_SLOT_MAX_PACK + 1) {
            PyErr_SetString(PyExc_OverflowError, "a million packs are open; close some stores");
            return -1;
        }
        PyObject **packs = PyMem_Realloc(st->packs, size * sizeof(PyObject *));
        if (packs == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        st->packs = packs;
        for (uint32_t i = size; i-- > (st->packs_size ? st->packs_size : 1);) {
            packs[i] = (PyObject *)(((uintptr_t)st->packs_free << 1) | 1);
            st->packs_free = i;
        }
        packs[0] = NULL;
        st->packs_size = size;
    }
    pack->id = st->packs_free;
    st->packs_free = (uint32_t)((uintptr_t)st->packs[pack->id] >> 1);
    st->packs[pack->id] = (PyObject *)pack;
    return 0;
}

void
ps_pack_unregister(ps_state *st, ps_pack *pack)
{
    if (pack->id) {
        st->packs[pack->id] = (PyObject *)(((uintptr_t)st->packs_free << 1) | 1);
        st->packs_free = pack->id;
        pack->id = 0;
    }
}

/* ---- errors */

/* Eight hex digits of the uuid name a pack in messages. */
static void
pack_name(const ps_pack *pack, char out[9])
{
    static const char hex[] = "0123456789abcdef";
    for (int i = 0; i < 4; i++) {
        uint8_t c = pack->size >= PS_PACK_HEADER ? pack->data[PS_H_UUID + i] : 0;
        out[2 * i] = hex[c >> 4];
        out[2 * i + 1] = hex[c & 15];
    }
    out[8] = 0;
}

PyObject *
ps_pack_damaged(ps_state *st, ps_pack *pack, uint64_t offset, const char *what)
{
    char name[9];
    if (ps_pack_is_lost(pack)) {
        ps_pack_lost(st, pack);
        return NULL;
    }
    pack_name(pack, name);
    return ps_raise(st, "DamagedPackError",
                    "pack %s... is damaged at byte %llu: %s; restore the pack from a copy, or "
                    "verify the store",
                    name, (unsigned long long)offset, what);
}

int
ps_pack_lost(ps_state *st, ps_pack *pack)
{
    if (PS_LIKELY(!ps_pack_is_lost(pack))) {
        return 0;
    }
    ps_raise(st, "DamagedPackError",
             "the file of an open pack was truncated or its disk failed while it was being read; "
             "nothing more can be read from it: restore the pack from a copy and open it again");
    return -1;
}

/* ---- header */

int
ps_pack_open(ps_state *st, ps_pack *pack)
{
    const uint8_t *h = pack->data;
    size_t known = pack->size < 8 ? (size_t)pack->size : 8;
    if (known == 0) {
        ps_raise(st, "DamagedPackError", "the pack is empty: 0 bytes; restore it from a copy");
        return -1;
    }
    if (memcmp(h, PS_PACK_MAGIC, known) != 0) {
        ps_raise(st, "ForeignPackError",
                 "these bytes are not a pack: they don't start with the magic of one; give the "
                 "file that pstructs wrote (and copy it in binary mode)");
        return -1;
    }
    if (pack->size < PS_PACK_HEADER) {
        ps_raise(st, "DamagedPackError",
                 "the pack is truncated: %llu bytes are less than its header of 96; restore it "
                 "from a copy",
                 (unsigned long long)pack->size);
        return -1;
    }
    uint64_t total = ps_load64(h + PS_H_TOTAL);
    uint32_t imports = ps_load32(h + PS_H_IMPORTS);
    if (total != pack->size) {
        ps_raise(st, "DamagedPackError",
                 "the pack is %s: its header says %llu bytes, there are %llu; restore it from a "
                 "copy",
                 total > pack->size ? "truncated" : "too long", (unsigned long long)total,
                 (unsigned long long)pack->size);
        return -1;
    }
    if ((uint64_t)imports * PS_PACK_SHORT_ID > total - PS_PACK_HEADER) {
        ps_raise(st, "DamagedPackError",
                 "the pack is damaged at byte 28: its import table of %u "
                 "entries is longer than the pack; restore it from a copy",
                 imports);
        return -1;
    }
    pack->end = total - (uint64_t)imports * PS_PACK_SHORT_ID;
    uint32_t crc = ps_crc32c(0, h, PS_H_CRC);
    crc = ps_crc32c(crc, h + pack->end, imports * PS_PACK_SHORT_ID);
    if (ps_pack_lost(st, pack) < 0) {
        return -1;
    }
    if (crc != ps_load32(h + PS_H_CRC)) {
        ps_raise(st, "DamagedPackError",
                 "the header or import table of the pack is damaged: checksum %08x instead of "
                 "%08x; restore it from a copy",
                 crc, ps_load32(h + PS_H_CRC));
        return -1;
    }
    uint16_t version = ps_load16(h + PS_H_VERSION);
    uint32_t unknown = ps_load32(h + PS_H_INCOMPATIBLE);
    if (version > PS_PACK_VERSION || unknown) {
        ps_raise(st, "FuturePackError",
                 "the pack has format version %u and incompatible features %#x; this pstructs "
                 "reads version %u without any: read it with a later pstructs",
                 version, unknown, PS_PACK_VERSION);
        return -1;
    }
    uint32_t domain = ps_load32(h + PS_H_DOMAIN);
    if (domain != PS_HASH_DOMAIN) {
        ps_raise(st, "ForeignPackError",
                 "the pack belongs to hash domain %u, this pstructs uses %u; open it with the "
                 "build that wrote it and insert its entries anew",
                 domain, PS_HASH_DOMAIN);
        return -1;
    }
    uint64_t root = ps_load64(h + PS_H_ROOT_OFFSET), length = ps_load64(h + PS_H_ROOT_LENGTH);
    if (version != PS_PACK_VERSION || ps_load16(h + PS_H_SIZE) != PS_PACK_HEADER ||
        root < PS_PACK_HEADER || root > pack->end || length != pack->end - root ||
        total > PS_SLOT_MAX_OFFSET || imports > PS_PACK_MAX_IMPORTS ||
        ps_load32(h + PS_H_RESERVED)) {
        ps_raise(st, "DamagedPackError",
                 "the header of the pack contradicts itself; restore it from a copy");
        return -1;
    }
    pack->n_imports = imports;
    pack->checked = PyMem_RawCalloc((size_t)(total >> 7) + 1, 1);
    pack->imports = PyMem_RawCalloc((size_t)imports + 1, sizeof *pack->imports);
    if (pack->checked == NULL || pack->imports == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

/* ---- imports */

static PS_NOINLINE ps_pack *
open_import(ps_state *st, ps_pack *pack, uint32_t i)
{
    char name[9], wanted[2 * PS_PACK_SHORT_ID + 1];
    PyObject *id = NULL, *found = NULL;
    ps_pack *result = NULL;
    const uint8_t *short_id = pack->data + pack->end + (uint64_t)(i - 1) * PS_PACK_SHORT_ID;
    pack_name(pack, name);
    for (int k = 0; k < PS_PACK_SHORT_ID; k++) {
        sprintf(wanted + 2 * k, "%02x", short_id[k]);
    }
    if (pack->resolve == NULL) {
        ps_raise(st, "MissingPackError",
                 "pack %s... refers to pack %s..., and it was opened alone; open it through its "
                 "store, or give resolve=",
                 name, wanted);
        return NULL;
    }
    id = PyBytes_FromStringAndSize((const char *)short_id, PS_PACK_SHORT_ID);
    found = id ? PyObject_CallOneArg(pack->resolve, id) : NULL;
    if (found == NULL) {
        goto done;
    }
    if (found == Py_None) {
        ps_raise(st, "MissingPackError",
                 "pack %s... refers to pack %s..., which can't be found; restore it, or sync the "
                 "store it came from",
                 name, wanted);
        goto done;
    }
    if (!PyObject_TypeCheck(found, st->pack)) {
        PyErr_Format(PyExc_TypeError, "resolve must return a Pack or None, not '%.100s'",
                     Py_TYPE(found)->tp_name);
        goto done;
    }
    result = (ps_pack *)found;
    if (memcmp(result->data + PS_H_UUID, short_id, PS_PACK_SHORT_ID) != 0) {
        result = NULL;
        ps_raise(st, "MissingPackError", "resolve returned another pack than %s...", wanted);
        goto done;
    }
    if (pack->imports[i] == NULL) { /* else: resolve came back here and was faster */
        pack->imports[i] = (ps_pack *)Py_NewRef(found);
    }
    result = pack->imports[i];
done:
    Py_XDECREF(id);
    Py_XDECREF(found);
    return result;
}

ps_pack *
ps_pack_import(ps_state *st, ps_pack *pack, uint32_t i)
{
    if (i == 0) {
        return pack;
    }
    if (i > pack->n_imports) {
        ps_pack_damaged(st, pack, 0, "a reference has an import index beyond the import table");
        return NULL;
    }
    ps_pack *target = pack->imports[i];
    return PS_LIKELY(target != NULL) ? target : open_import(st, pack, i);
}

int
ps_pack_follow(ps_state *st, ps_pack *pack, uint64_t from, ps_ref ref, ps_pack **target)
{
    if (ref.import == 0 && ref.offset >= from) {
        ps_pack_damaged(st, pack, from, "a reference does not point backwards");
        return -1;
    }
    *target = ps_pack_import(st, pack, ref.import);
    return *target ? 0 : -1;
}

/* ---- records */

const char *
ps_record_parse(const ps_pack *pack, uint64_t offset, ps_record *r)
{
    static const uint8_t end_widths[4] = {1, 2, 4, 0};
    if (offset < PS_PACK_HEADER || offset >= pack->end || pack->end - offset < PS_RECORD_MIN) {
        return "a reference leaves the pack";
    }
    const uint8_t *p = pack->data + offset;
    uint64_t room = pack->end - offset, need;
    r->at = p;
    r->offset = offset;
    r->flags = p[PS_R_FLAGS];
    if (r->flags & PS_RF_ARRAY) {
        return ps_array_parse(pack, offset, r);
    }
    r->kind = r->flags & PS_RF_KIND;
    if (r->kind >= PS_REC_VALUE) {
        if (room < PS_R_CONTENT) {
            return "a record is cut off";
        }
        r->length = ps_load64(p + PS_R_LENGTH);
        need = PS_R_CONTENT;
        if (r->kind == PS_REC_RAW) {
            need += (0 - (offset + PS_R_CONTENT)) & (PS_RAW_ALIGN - 1);
        }
        if (r->flags & ~PS_RF_KIND) {
            return "reserved flags of a record are set";
        }
        if (need > room || r->length > room - need) {
            return "a record is longer than the pack";
        }
        r->content = p + need;
        r->size = need + r->length;
        return NULL;
    }
    r->level = p[PS_R_LEVEL];
    r->datamap = ps_load32(p + PS_R_DATAMAP);
    r->nodemap = 0;
    r->n_children = 0;
    r->end_width = end_widths[(r->flags & PS_RF_ENDS) >> PS_RF_ENDS_SHIFT];
    r->import_width = 0;
    r->offset_width = 1;
    r->refs = NULL;
    need = PS_R_NODE;
    if (r->flags & PS_RF_COLLISION) {
        if (r->level != PS_MAX_LEVEL || r->flags & (PS_RF_CHILDREN | PS_RF_WIDE_COUNT)) {
            return "a collision node has children or the wrong level";
        }
        if (r->datamap < 2) {
            return "a collision node has too few entries to be one";
        }
        r->nodemap = UINT32_MAX;
        r->n_entries = r->datamap;
        r->count = r->n_entries;
    }
    else {
        if (r->level >= PS_MAX_LEVEL) {
            return "a node is deeper than any hash";
        }
        r->n_entries = (uint32_t)ps_popcount(r->datamap);
        r->count = r->n_entries;
        if (r->flags & PS_RF_CHILDREN) {
            int wide = r->flags & PS_RF_WIDE_COUNT ? 8 : 4;
            if (room < need + 5 + (uint64_t)wide) {
                return "a record is cut off";
            }
            r->nodemap = ps_load32(p + need);
            r->count = wide == 8 ? ps_load64(p + need + 4) : ps_load32(p + need + 4);
            uint8_t widths = p[need + 4 + wide];
            r->offset_width = widths & 15;
            r->import_width = widths >> 4;
            if (r->offset_width < 1 || r->offset_width > 5 || r->import_width > 2 ||
                r->nodemap == 0) {
                return "the references of a node have an impossible width";
            }
            r->n_children = (uint32_t)ps_popcount(r->nodemap);
            /* Not only wrong: with all bits set it would pass for a collision node. */
            if (r->datamap & r->nodemap) {
                return "an entry and a child stand at one position";
            }
            need += 5 + (uint64_t)wide;
            r->refs = p + need;
            need += r->n_children * (uint64_t)(r->offset_width + r->import_width);
        }
        else if (r->flags & PS_RF_WIDE_COUNT) {
            return "reserved flags of a record are set";
        }
        if (PS_WIDTH < 32 && (r->datamap | r->nodemap) >> (PS_WIDTH & 31)) {
            return "a bitmap is wider than a node";
        }
        if (r->datamap == 0 && r->n_children == 0) {
            return "a node is empty";
        }
    }
    if (r->end_width == 0) {
        return "reserved flags of a record are set";
    }
    r->ends = p + need;
    need += (uint64_t)r->n_entries * (uint64_t)r->end_width;
    if (need > room) {
        return "a record is longer than the pack";
    }
    r->length = r->n_entries ? ps_record_end(r, r->n_entries - 1) : 0;
    if (r->length > room - need) {
        return "a record is longer than the pack";
    }
    r->content = p + need;
    r->size = need + r->length;
    return NULL;
}

int
ps_record_check(ps_state *st, ps_pack *pack, uint64_t offset)
{
    ps_record r;
    const char *wrong = ps_record_parse(pack, offset, &r);
    if (wrong == NULL) {
        uint32_t crc = ps_crc32c(0, r.at + 4, (size_t)r.size - 4);
        if (crc != ps_load32(r.at)) {
            wrong = "the checksum of a record does not match";
        }
        /* An entry takes two bytes at least; imported ones lie elsewhere. */
        else if (r.kind < PS_REC_VALUE &&
                 r.count > (pack->n_imports ? PS_PACK_MAX_COUNT : pack->end)) {
            wrong = "a node counts more entries than there is room for";
        }
    }
    if (wrong != NULL || ps_pack_lost(st, pack) < 0) {
        if (!PyErr_Occurred()) {
            ps_pack_damaged(st, pack, offset, wrong);
        }
        return -1;
    }
    pack->checked[offset >> 7] |= (uint8_t)(1u << (offset >> 4 & 7));
    return 0;
}

int
ps_record_open(ps_state *st, ps_pack *pack, uint64_t offset, ps_record *r)
{
    const char *wrong = ps_record_parse(pack, offset, r);
    if (wrong != NULL) {
        ps_pack_damaged(st, pack, offset, wrong);
        return -1;
    }
    if (PS_UNLIKELY(!ps_record_is_checked(pack, offset))) {
        return ps_record_check(st, pack, offset);
    }
    return ps_pack_lost(st, pack);
}

/* ---- values */

static PyObject *nested_reference(ps_decoder *d, ps_ref ref, PyObject *order, bool top);
static PyObject *raw_data(ps_decoder *d, ps_ref ref);

static PyObject *
decode_at(ps_state *st, ps_pack *pack, const uint8_t *p, const uint8_t *end, bool in_value)
{
    ps_decoder d = {
        .st = st,
        .p = p,
        .end = end,
        .base = pack->data,
        .pack = pack,
        .reference = nested_reference,
        .raw = raw_data,
        .depth = in_value ? 1 : 0,
    };
    PyObject *x = ps_msg_decode(&d);
    if (x != NULL && in_value && d.p != end) {
        Py_CLEAR(x);
        ps_pack_damaged(st, pack, (uint64_t)(d.p - pack->data),
                        "a value is longer than its content");
    }
    if (PS_UNLIKELY(ps_pack_is_lost(pack))) {
        Py_CLEAR(x);
        PyErr_Clear();
        ps_pack_lost(st, pack);
    }
    return x;
}

static PyObject *
damaged_reference(ps_decoder *d, const char *what)
{
    ps_pack *pack = d->pack;
    return ps_pack_damaged(d->st, pack, (uint64_t)(d->p - d->base), what);
}

/* The collection of a kind: of no elements where r is NULL, else of the root record r. */
static PyObject *
collection_of(ps_decoder *d, uint8_t kind, ps_pack *pack, const ps_record *r, PyObject *order)
{
    ps_state *st = d->st;
    ps_slot root = r == NULL ? 0 : ps_slot_pack(pack->id, r->offset);
    Py_ssize_t count = r == NULL ? 0 : (Py_ssize_t)r->count;
    if (kind == PS_ARRAY_VECTOR) {
        ps_rrb t = PS_RRB_EMPTY;
        return r != NULL && ps_array_vector(st, pack, r, &t) < 0 ? NULL : ps_vector_new(st, t);
    }
    if (root) {
        ps_slot_incref(st, root);
    }
    if (ps_kind_is_trie(kind)) {
        return ps_collection_new(st, kind + 1, (ps_tree){root, count});
    }
    int shape = kind - PS_ARRAY_SORTED;
    PyTypeObject *type = shape & PS_BT_MAP ? st->sorted_map : st->sorted_set;
    return ps_sorted_new_of(st, type, (ps_btree){root, count, shape}, order);
}

static PyObject *
nested_reference(ps_decoder *d, ps_ref ref, PyObject *order, bool top)
{
    ps_pack *target;
    ps_record r;
    ps_state *st = d->st;
    bool keyed = ps_kind_is_array(ref.kind) && ref.kind >= PS_ARRAY_SORTED + PS_BT_KEYED;
    if (keyed != (order != NULL)) {
        return damaged_reference(d, "a sorted collection and its reference differ on its order");
    }
    if (ps_kind_is_node(ref.kind) && ref.offset == 0) {
        if (ref.import) {
            return damaged_reference(d, "a reference to an empty collection names a pack");
        }
        return collection_of(d, ref.kind, NULL, NULL, order);
    }
    if (ps_pack_follow(st, d->pack, (uint64_t)(d->p - d->base), ref, &target) < 0) {
        return NULL;
    }
    Py_INCREF(target);
    PyObject *x = NULL;
    if (ps_record_open(st, target, ref.offset, &r) < 0) {
        goto done;
    }
    if (r.kind != ref.kind) {
        damaged_reference(d, "a reference names a record of another kind");
    }
    else if (ref.kind == PS_REC_VALUE) {
        /* depth 1 is the reference itself; a value record starts at 1 and so never passes */
        if (!top || d->depth != 1) {
            damaged_reference(d, "an out-of-line value stands inside another value");
        }
        else {
            x = decode_at(st, target, r.content, r.content + r.length, true);
        }
    }
    else if (ref.kind == PS_REC_RAW) {
        damaged_reference(d, "a reference names the data of an array");
    }
    else if (r.count == 0 ||
             (ps_kind_is_trie(r.kind) && (r.level != 0 || r.count > PS_PACK_MAX_COUNT))) {
        damaged_reference(d, "a reference to a collection names no root");
    }
    else {
        x = collection_of(d, r.kind, target, &r, order);
    }
    if (PS_UNLIKELY(ps_pack_is_lost(target)) && x != NULL) {
        Py_CLEAR(x);
        ps_pack_lost(st, target);
    }
done:
    Py_DECREF(target);
    return x;
}

static PyObject *
raw_data(ps_decoder *d, ps_ref ref)
{
    ps_pack *target;
    ps_record r;
    PyObject *whole = NULL, *slice = NULL;
    if (ref.kind != PS_REC_RAW) {
        return damaged_reference(d, "an array refers to a record of another kind");
    }
    if (ps_pack_follow(d->st, d->pack, (uint64_t)(d->p - d->base), ref, &target) < 0) {
        return NULL;
    }
    Py_INCREF(target);
    if (ps_record_open(d->st, target, ref.offset, &r) == 0) {
        if (r.kind != PS_REC_RAW) {
            damaged_reference(d, "an array refers to a record of another kind");
        }
        else {
            /* The view exports the Pack, so the bytes stay as long as the array. */
            whole = PyMemoryView_FromObject((PyObject *)target);
            Py_ssize_t start = (Py_ssize_t)(r.content - target->data);
            slice = whole ? PySequence_GetSlice(whole, start, start + (Py_ssize_t)r.length) : NULL;
        }
        if (PS_UNLIKELY(ps_pack_is_lost(target)) && slice != NULL) {
            Py_CLEAR(slice);
            ps_pack_lost(d->st, target);
        }
    }
    Py_XDECREF(whole);
    Py_DECREF(target);
    return slice;
}

PyObject *
ps_pack_decode(ps_state *st, ps_pack *pack, uint64_t offset)
{
    if (offset < PS_PACK_HEADER || offset >= pack->end) {
        return ps_pack_damaged(st, pack, offset, "a value lies outside of the pack");
    }
    return decode_at(st, pack, pack->data + offset, pack->data + pack->end, false);
}

PyObject *
ps_pack_decode_value(ps_state *st, ps_pack *pack, const ps_record *r)
{
    return decode_at(st, pack, r->content, r->content + r->length, true);
}
