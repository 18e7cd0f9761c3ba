/* pack_ops.c -- what the trie asks of packs: lookup in place, nodes, values.
 *
 * The problem: a lookup in a pack must not cost more than one in a dict. At a
 * million entries both are a few cache misses, so nothing else may add one: no
 * allocation, no decoding but of the value, and the lines of the next record are
 * asked for as soon as its offset is known:
 *
 *     record     [crc digest flags level maps | refs | ends | payload]
 *                 ^ first line                 ^ by popcount  ^ by the end before
 *
 *     root -> level 1 -> level 2 -> level 3 (miss) -> level 4 (next to it: a
 *     parent is written right behind its children) -> entry -> value
 *
 * Each pointer is compared with the end of the pack before it is read, every
 * time: the checksum was right at the first touch, but the bytes are a file that
 * others can write to.
 *
 * Keys: the encoded bytes of str, bytes and None are unique, so they are compared
 * as they are. Integers are compared by value. Everything else, on either side, is
 * decoded and compared by ==. NaN is one key here: its bytes are compared.
 *
 * Cost: find O(log n); node O(entries of that node).
 */
#include "pack.h"

/* ---- keys */

/* The key message [p, end): 1 equal, 0 not, -1 exception. *after: where it ends
 * (set when equal). */
static int
key_equals_slow(ps_state *st, ps_pack *pack, const uint8_t *p, const uint8_t *end, PyObject *key,
                const uint8_t **after)
{
    const uint8_t *stop = ps_msg_skip(p, end);
    if (stop == NULL) {
        ps_pack_damaged(st, pack, (uint64_t)(p - pack->data), "a key is cut off");
        return -1;
    }
    *after = stop;
    if (*p == 0xCB && PyFloat_CheckExact(key)) {
        double x = PyFloat_AS_DOUBLE(key), y;
        uint64_t bits = __builtin_bswap64(ps_load64(p + 1));
        memcpy(&y, &bits, 8);
        return x == y || (x != x && y != y);
    }
    /* User code runs in ==: keep the pack. */
    Py_INCREF(pack);
    PyObject *stored = ps_pack_decode(st, pack, (uint64_t)(p - pack->data));
    int r = stored ? ps_object_eq(stored, key) : -1;
    Py_XDECREF(stored);
    Py_DECREF(pack);
    return r;
}

/* Code of an extension type, in which a key equal to a str, bytes or None could
 * hide (a registered subclass, lone surrogates). */
PS_INLINE bool
is_ext(uint8_t c)
{
    return (c >= 0xC7 && c <= 0xC9) || (c >= 0xD4 && c <= 0xD8);
}

PS_INLINE int
key_equals(ps_state *st, ps_pack *pack, const uint8_t *p, const uint8_t *end, PyObject *key,
           const uint8_t **after)
{
    PyTypeObject *type = Py_TYPE(key);
    size_t room = (size_t)(end - p);
    if (PS_UNLIKELY(room == 0)) {
        ps_pack_damaged(st, pack, (uint64_t)(p - pack->data), "a key is cut off");
        return -1;
    }
    uint8_t c = *p;
    if (PS_LIKELY(type == &PyUnicode_Type)) {
        size_t n, h;
        if (PS_LIKELY(c >= 0xA0 && c <= 0xBF)) {
            n = c & 31;
            h = 1;
        }
        else if (c == 0xD9 && room >= 2) {
            n = p[1];
            h = 2;
        }
        else if (c == 0xDA && room >= 3) {
            n = __builtin_bswap16(ps_load16(p + 1));
            h = 3;
        }
        else if (c == 0xDB && room >= 5) {
            n = __builtin_bswap32(ps_load32(p + 1));
            h = 5;
        }
        else {
            return is_ext(c) ? key_equals_slow(st, pack, p, end, key, after) : 0;
        }
        if (n > room - h) {
            ps_pack_damaged(st, pack, (uint64_t)(p - pack->data), "a key is cut off");
            return -1;
        }
        *after = p + h + n;
        if (PS_LIKELY(PyUnicode_IS_COMPACT_ASCII(key))) {
            return (size_t)PyUnicode_GET_LENGTH(key) == n &&
                   memcmp(p + h, PyUnicode_DATA(key), n) == 0;
        }
        return ps_msg_str_equals(key, p + h, n);
    }
    if (type == &PyLong_Type) {
        int overflow;
        if ((c >= 0xA0 && c <= 0xBF) || c == 0xC0) {
            return 0;
        }
        if (c <= 0x7F || c >= 0xE0) {
            *after = p + 1;
            return PyLong_AsLongLongAndOverflow(key, &overflow) == (int8_t)c && !overflow;
        }
        if (c >= 0xCC && c <= 0xD3) {
            static const uint8_t sizes[8] = {1, 2, 4, 8, 1, 2, 4, 8};
            int k = sizes[c - 0xCC];
            uint64_t x = 0;
            if (room < 1u + (size_t)k) {
                ps_pack_damaged(st, pack, (uint64_t)(p - pack->data), "a key is cut off");
                return -1;
            }
            for (int i = 1; i <= k; i++) {
                x = x << 8 | p[i];
            }
            if (c >= 0xD0) {
                x = (uint64_t)((int64_t)(x << (64 - 8 * k)) >> (64 - 8 * k));
            }
            int64_t mine = PyLong_AsLongLongAndOverflow(key, &overflow);
            if (!overflow && (c >= 0xD0 || x <= INT64_MAX)) {
                *after = p + 1 + k;
                return (uint64_t)mine == x;
            }
        }
        return key_equals_slow(st, pack, p, end, key, after);
    }
    if (type == &PyBytes_Type && c >= 0xC4 && c <= 0xC6) {
        size_t h = 1u + ((size_t)1 << (c - 0xC4)), n = 0;
        for (size_t i = 1; i < h && h <= room; i++) {
            n = n << 8 | p[i];
        }
        if (h > room || n > room - h) {
            ps_pack_damaged(st, pack, (uint64_t)(p - pack->data), "a key is cut off");
            return -1;
        }
        *after = p + h + n;
        return (size_t)PyBytes_GET_SIZE(key) == n && memcmp(p + h, PyBytes_AS_STRING(key), n) == 0;
    }
    return key_equals_slow(st, pack, p, end, key, after);
}

static int
pack_key_eq(ps_state *st, ps_slot ref, PyObject *key)
{
    ps_pack *pack = ps_pack_of(st, ref);
    uint64_t offset = ps_slot_offset(ref);
    const uint8_t *after;
    if (offset < PS_PACK_HEADER || offset >= pack->end) {
        ps_pack_damaged(st, pack, offset, "a key lies outside of the pack");
        return -1;
    }
    int r = key_equals(st, pack, pack->data + offset, pack->data + pack->end, key, &after);
    return PS_UNLIKELY(ps_pack_is_lost(pack)) && ps_pack_lost(st, pack) < 0 ? -1 : r;
}

/* ---- lookup in place */

static int
find_damage(ps_state *st, ps_pack *pack, uint64_t offset, const char *what)
{
    ps_pack_damaged(st, pack, offset, what);
    return PS_ERROR;
}

/* A collision node: every entry may be it. */
static PS_NOINLINE ps_found
find_in_collision(ps_state *st, ps_pack *pack, uint64_t offset, int width, PyObject *key,
                  ps_slot *key_ref, ps_slot *value_ref)
{
    ps_record r;
    if (ps_record_open(st, pack, offset, &r) < 0) {
        return PS_ERROR;
    }
    if (!(r.flags & PS_RF_COLLISION)) {
        return find_damage(st, pack, offset, "a node is deeper than any hash");
    }
    for (uint32_t i = 0; i < r.n_entries; i++) {
        uint64_t start = ps_record_start(&r, i), stop = ps_record_end(&r, i);
        const uint8_t *after, *p = r.content + start;
        if (start > stop || stop > r.length) {
            return find_damage(st, pack, offset, "an entry leaves its record");
        }
        int equal = key_equals(st, pack, p, r.content + stop, key, &after);
        if (equal < 0) {
            return PS_ERROR;
        }
        if (equal) {
            *key_ref = ps_slot_pack(pack->id, (uint64_t)(p - pack->data));
            *value_ref = width == 2 ? ps_slot_pack(pack->id, (uint64_t)(after - pack->data)) : 0;
            return ps_pack_lost(st, pack) < 0 ? PS_ERROR : PS_FOUND;
        }
    }
    return ps_pack_lost(st, pack) < 0 ? PS_ERROR : PS_NOT_FOUND;
}

static ps_found
pack_find(ps_state *st, ps_slot ref, int width, int level, uint64_t h1, PyObject *key,
          ps_slot *key_ref, ps_slot *value_ref)
{
    static const uint64_t masks[6] = {
        0, 0xFF, 0xFFFF, 0xFFFFFF, 0xFFFFFFFF, UINT64_C(0xFFFFFFFFFF),
    };
    ps_pack *pack = ps_pack_of(st, ref);
    uint64_t offset = ps_slot_offset(ref), h2 = 0;
    bool has_h2 = false;
    for (;; level++) {
        if (PS_UNLIKELY(offset < PS_PACK_HEADER || offset >= pack->end ||
                        pack->end - offset < PS_RECORD_MIN)) {
            return find_damage(st, pack, offset, "a reference leaves the pack");
        }
        if (PS_UNLIKELY(!ps_record_is_checked(pack, offset)) &&
            ps_record_check(st, pack, offset) < 0) {
            return PS_ERROR;
        }
        const uint8_t *record = pack->data + offset, *end = pack->data + pack->end;
        uint8_t flags = record[PS_R_FLAGS];
        if (PS_UNLIKELY(record[PS_R_LEVEL] != level ||
                        (int)(flags & (PS_RF_KIND | PS_RF_ARRAY)) != width - 1)) {
            return find_damage(st, pack, offset,
                               "a node has another level or kind than its "
                               "parent says");
        }
        int index;
        if (PS_LIKELY(level < PS_H1_LEVELS)) {
            index = ps_hash_bits(h1, PS_H1_BITS, level);
        }
        else if (level < PS_MAX_LEVEL) {
            if (!has_h2 && ps_hash2(st, key, &h2) < 0) {
                return PS_ERROR;
            }
            has_h2 = true;
            index = ps_hash_bits(h2, PS_H2_BITS, level - PS_H1_LEVELS);
        }
        else {
            return find_in_collision(st, pack, offset, width, key, key_ref, value_ref);
        }
        uint32_t bit = (uint32_t)1 << index, datamap = ps_load32(record + PS_R_DATAMAP);
        const uint8_t *p = record + PS_R_NODE;
        if (flags & PS_RF_CHILDREN) {
            size_t head = flags & PS_RF_WIDE_COUNT ? 12 : 8;
            if (PS_UNLIKELY((size_t)(end - p) < head + 1)) {
                return find_damage(st, pack, offset, "a record is cut off");
            }
            uint32_t nodemap = ps_load32(p);
            unsigned offset_width = p[head] & 15, import_width = p[head] >> 4;
            size_t stride = offset_width + import_width;
            p += head + 1;
            /* The root record (29 bytes at least) stands behind every node of an honest pack. */
            if (PS_UNLIKELY(offset_width > 5 || import_width > 2 ||
                            (size_t)(end - p) < stride * (size_t)ps_popcount(nodemap) + 8)) {
                return find_damage(st, pack, offset, "a record is longer than the pack");
            }
            if (nodemap & bit) {
                p += stride * (size_t)ps_index(nodemap, bit);
                unsigned import = import_width == 0 ? 0 : import_width == 1 ? p[0] : ps_load16(p);
                uint64_t next = ps_load64(p + import_width) & masks[offset_width];
                if (PS_LIKELY(import == 0)) {
                    if (PS_UNLIKELY(next >= offset)) {
                        return find_damage(st, pack, offset,
                                           "a reference does not point "
                                           "backwards");
                    }
                }
                else {
                    if (PS_UNLIKELY(ps_pack_is_lost(pack)) && ps_pack_lost(st, pack) < 0) {
                        return PS_ERROR;
                    }
                    pack = ps_pack_import(st, pack, import);
                    if (pack == NULL) {
                        return PS_ERROR;
                    }
                }
                offset = next;
                const uint8_t *child = pack->data + offset;
                ps_prefetch(child);
                ps_prefetch(child + 64);
                ps_prefetch(child + 128);
                ps_prefetch(pack->checked + (offset < pack->size ? offset >> 7 : 0));
                continue;
            }
            p += stride * (size_t)ps_popcount(nodemap);
        }
        if (!(datamap & bit)) {
            return PS_UNLIKELY(ps_pack_is_lost(pack)) && ps_pack_lost(st, pack) < 0 ? PS_ERROR
                                                                                    : PS_NOT_FOUND;
        }
        size_t n = (size_t)ps_popcount(datamap), i = (size_t)ps_index(datamap, bit);
        unsigned code = (flags & PS_RF_ENDS) >> PS_RF_ENDS_SHIFT;
        if (PS_UNLIKELY(code > 2 || (size_t)(end - p) < n << code)) {
            return find_damage(st, pack, offset, "a record is longer than the pack");
        }
        const uint8_t *payload = p + (n << code);
        size_t start = 0, stop;
        if (PS_LIKELY(code == 0)) {
            stop = p[i];
            start = i ? p[i - 1] : 0;
        }
        else if (code == 1) {
            stop = ps_load16(p + 2 * i);
            start = i ? ps_load16(p + 2 * i - 2) : 0;
        }
        else {
            stop = ps_load32(p + 4 * i);
            start = i ? ps_load32(p + 4 * i - 4) : 0;
        }
        if (PS_UNLIKELY(start > stop || stop > (size_t)(end - payload))) {
            return find_damage(st, pack, offset, "an entry leaves its record");
        }
        const uint8_t *at = payload + start, *after = NULL;
        int equal = key_equals(st, pack, at, payload + stop, key, &after);
        if (PS_UNLIKELY(equal < 0 || (ps_pack_is_lost(pack) && ps_pack_lost(st, pack) < 0))) {
            return PS_ERROR;
        }
        if (!equal) {
            return PS_NOT_FOUND;
        }
        *key_ref = ps_slot_pack(pack->id, (uint64_t)(at - pack->data));
        *value_ref = width == 2 ? ps_slot_pack(pack->id, (uint64_t)(after - pack->data)) : 0;
        return PS_FOUND;
    }
}

/* ---- nodes */

static int
open_record(ps_state *st, ps_slot ref, int width, int level, ps_record *r)
{
    ps_pack *pack = ps_pack_of(st, ref);
    if (ps_record_open(st, pack, ps_slot_offset(ref), r) < 0) {
        return -1;
    }
    if (r->kind != width - 1 || r->level != level) {
        ps_pack_damaged(st, pack, r->offset,
                        "a node has another level or kind than its parent says");
        return -1;
    }
    return 0;
}

/* The record at ref as a heap node. Children at the positions in `but` are not followed:
 * `instead` stands for each. */
static ps_node *
node_but(ps_state *st, ps_slot ref, int width, int level, uint32_t but, ps_slot instead)
{
    ps_pack *pack = ps_pack_of(st, ref), *target;
    uint64_t offset = ps_slot_offset(ref);
    ps_record r;
    if (open_record(st, ref, width, level, &r) < 0) {
        return NULL;
    }
    uint32_t left = r.nodemap;
    /* Open the imports first: that may run Python code. */
    for (uint32_t i = 0; i < r.n_children; i++, left &= left - 1) {
        if (!(but & left & -left) &&
            ps_pack_follow(st, pack, offset, ps_record_child(&r, i), &target) < 0) {
            return NULL;
        }
    }
    ps_node *n = ps_node_new(st, false, width, r.datamap, r.nodemap,
                             (Py_ssize_t)r.n_entries * width + r.n_children);
    if (n == NULL) {
        return NULL;
    }
    ps_slot *slot = n->slots;
    for (uint32_t i = 0; i < r.n_entries; i++) {
        uint64_t start = ps_record_start(&r, i), stop = ps_record_end(&r, i);
        const uint8_t *p = r.content + start, *value = NULL;
        if (start <= stop && stop <= r.length) {
            value = ps_msg_skip(p, r.content + stop);
        }
        if (value == NULL || (width == 2 && value == r.content + stop)) {
            ps_node_drop_shell(st, n);
            ps_pack_damaged(st, pack, offset, "an entry leaves its record");
            return NULL;
        }
        *slot++ = ps_slot_pack(pack->id, (uint64_t)(p - pack->data));
        if (width == 2) {
            *slot++ = ps_slot_pack(pack->id, (uint64_t)(value - pack->data));
        }
    }
    left = r.nodemap;
    for (uint32_t i = 0; i < r.n_children; i++, left &= left - 1) {
        if (but & left & -left) {
            *slot++ = instead;
            continue;
        }
        ps_ref child = ps_record_child(&r, i);
        target = child.import ? pack->imports[child.import] : pack;
        if (target == NULL || (child.import == 0 && child.offset >= offset)) {
            ps_node_drop_shell(st, n); /* the file changed between the two loops */
            ps_pack_damaged(st, pack, offset, "a reference does not point backwards");
            return NULL;
        }
        *slot++ = ps_slot_pack(target->id, child.offset);
    }
    if (ps_pack_lost(st, pack) < 0) {
        ps_node_drop_shell(st, n);
        return NULL;
    }
    for (ps_slot *s = n->slots; s < slot; s++) {
        ps_slot_incref(st, *s);
    }
    n->meta |= PS_META_PACKED;
    ps_node_set_saved(st, n, ref);
    return n;
}

static ps_node *
pack_node(ps_state *st, ps_slot ref, int width, int level)
{
    return node_but(st, ref, width, level, 0, 0);
}

/* The short id of the pack that a reference leads to; NULL when there is none. */
static const uint8_t *
short_id_of(const ps_pack *pack, ps_ref ref)
{
    if (ref.import == 0) {
        return pack->data + PS_H_UUID;
    }
    return ref.import <= pack->n_imports
               ? pack->data + pack->end + (uint64_t)(ref.import - 1) * PS_PACK_SHORT_ID
               : NULL;
}

/* The positions at which two nodes name the same record as their child. */
static uint32_t
common_children(const ps_pack *a, const ps_record *ra, const ps_pack *b, const ps_record *rb)
{
    uint32_t found = 0;
    if (a != b && (a->owner == NULL || a->owner == Py_None || a->owner != b->owner)) {
        return 0; /* what a short id means is known only within one store */
    }
    for (uint32_t both = ra->nodemap & rb->nodemap; both; both &= both - 1) {
        uint32_t bit = both & -both;
        ps_ref x = ps_record_child(ra, (uint32_t)ps_index(ra->nodemap, bit));
        ps_ref y = ps_record_child(rb, (uint32_t)ps_index(rb->nodemap, bit));
        if (x.offset == y.offset) {
            const uint8_t *p = short_id_of(a, x), *q = short_id_of(b, y);
            if (p != NULL && q != NULL && memcmp(p, q, PS_PACK_SHORT_ID) == 0) {
                found |= bit;
            }
        }
    }
    return found;
}

static int
pack_pair(ps_state *st, ps_slot a, ps_slot b, int width, int level, ps_node **na, ps_node **nb)
{
    ps_record ra, rb;
    *na = *nb = NULL;
    if (open_record(st, a, width, level, &ra) < 0 || open_record(st, b, width, level, &rb) < 0) {
        return -1;
    }
    uint32_t common = common_children(ps_pack_of(st, a), &ra, ps_pack_of(st, b), &rb);
    *na = node_but(st, a, width, level, common, a);
    *nb = *na ? node_but(st, b, width, level, common, a) : NULL;
    if (*nb == NULL) {
        Py_CLEAR(*na);
        return -1;
    }
    return 0;
}

static PyObject *
pack_value(ps_state *st, ps_slot ref)
{
    ps_pack *pack = ps_pack_of(st, ref);
    uint64_t offset = ps_slot_offset(ref);
    if (PS_LIKELY(offset >= PS_PACK_HEADER && offset < pack->end)) {
        const uint8_t *p = pack->data + offset;
        uint8_t c = *p;
        PyObject *x = NULL;
        bool quick = true;
        /* What most values are, without a decoder. */
        if (c <= 0x7F || c >= 0xE0) {
            x = PyLong_FromLong((int8_t)c);
        }
        else if (c == 0xCD && pack->end - offset >= 3) {
            x = PyLong_FromLong(__builtin_bswap16(ps_load16(p + 1)));
        }
        else if (c == 0xCE && pack->end - offset >= 5) {
            x = PyLong_FromUnsignedLong(__builtin_bswap32(ps_load32(p + 1)));
        }
        else {
            quick = false;
        }
        if (quick) {
            if (PS_UNLIKELY(ps_pack_is_lost(pack)) && x != NULL) {
                Py_CLEAR(x);
                ps_pack_lost(st, pack);
            }
            return x;
        }
    }
    Py_INCREF(pack);
    PyObject *x = ps_pack_decode(st, pack, offset);
    Py_DECREF(pack);
    return x;
}

static Py_ssize_t
pack_count(ps_state *st, ps_slot ref)
{
    ps_pack *pack = ps_pack_of(st, ref);
    ps_record r;
    if (ps_record_open(st, pack, ps_slot_offset(ref), &r) < 0) {
        return -1;
    }
    if (!ps_kind_is_trie(r.kind) || r.count > PS_PACK_MAX_COUNT) {
        ps_pack_damaged(st, pack, r.offset, "a node has an impossible count");
        return -1;
    }
    if (ps_pack_lost(st, pack) < 0) {
        return -1;
    }
    return (Py_ssize_t)r.count;
}

static int
pack_same(ps_state *st, ps_slot a, ps_slot b)
{
    ps_pack *packs[2] = {ps_pack_of(st, a), ps_pack_of(st, b)};
    uint64_t offsets[2] = {ps_slot_offset(a), ps_slot_offset(b)};
    if (a == b) {
        return 1;
    }
    for (int i = 0; i < 2; i++) {
        ps_record r;
        if (ps_record_parse(packs[i], offsets[i], &r) != NULL) {
            return 0;
        }
        if (!ps_record_is_checked(packs[i], offsets[i]) &&
            ps_record_check(st, packs[i], offsets[i]) < 0) {
            PyErr_Clear(); /* whoever reads the record will say so */
            return 0;
        }
    }
    return memcmp(packs[0]->data + offsets[0] + PS_R_DIGEST,
                  packs[1]->data + offsets[1] + PS_R_DIGEST, 16) == 0 &&
           !ps_pack_is_lost(packs[0]) && !ps_pack_is_lost(packs[1]);
}

const ps_pack_ops ps_the_pack_ops = {
    .node = pack_node,
    .pair = pack_pair,
    .array_node = ps_array_node,
    .vector_get = ps_array_vector_get,
    .value = pack_value,
    .key_eq = pack_key_eq,
    .find = pack_find,
    .count = pack_count,
    .same = pack_same,
};
