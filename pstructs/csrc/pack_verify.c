/* pack_verify.c -- everything that can be wrong with a pack.
 *
 * The problem: a checksum shows accidents, not lies. A pack from elsewhere may have
 * right checksums over a tree that says 10 entries and walks over 2**60, that holds
 * a key where no lookup finds it, or that is not canonical, so that equal maps
 * differ. The records are read once from first to last:
 *
 *     header ok -> record at 96 -> record behind it -> ... -> root record -> end
 *
 *     form      bounds, reserved bits, levels, strictly backward references to
 *               starts of records that were already verified
 *     checksum  of each record
 *     digest    computed again from the content and the digests below
 *     tree      bitmaps disjoint, count = entries + counts below, no node that
 *               should stand inline in its parent
 *     keys      each key's hash leads to where it stands, from the root on: the
 *               keys of a node and the first key of each child agree on the whole
 *               path, so no record is reached by two paths of one tree
 *     values    one whole message each; references of the right kind
 *
 * Counts are sums, and the paths of siblings differ, so a tree has as many entries
 * as it says: no exponential walk through shared records.
 *
 * What a value holds (a valid date, a known dtype) is looked at when it is decoded.
 * Keys of a user type whose codec is not registered can't be hashed; their position
 * is not checked. Records in imported packs are looked at as far as references go.
 *
 * Cost: O(bytes), and a decoded key for every entry and child.
 */
#include "pack_verifier.h"

#include "blake2b.h"

int
ps_lens_wrong(lens *v, uint64_t offset, const char *what)
{
    ps_pack_damaged(v->st, v->pack, offset, what);
    return -1;
}

static bool
is_start(const lens *v, uint64_t offset)
{
    return offset < v->offset && v->starts[offset >> 4] == (offset & 15) + 1;
}

int
ps_lens_target(lens *v, ps_ref ref, ps_pack **pack, ps_record *r)
{
    if (ref.import == 0 && !is_start(v, ref.offset)) {
        return ps_lens_wrong(v, v->offset, "a reference does not point backwards to a record");
    }
    if (ps_pack_follow(v->st, v->pack, v->offset, ref, pack) < 0) {
        return -1;
    }
    return ps_record_open(v->st, *pack, ref.offset, r);
}

/* ---- references in messages */

static int
verify_ref(void *arg, const uint8_t *p)
{
    static const uint8_t empty[PS_DIGEST_SIZE];
    lens *v = arg;
    ps_ref ref = ps_ref_load(p);
    ps_pack *target;
    ps_record r;
    bool array = p[-1] == PS_EXT_ARRAY, ordered = p[-1] == PS_EXT_ORDERED;
    bool keyed = ps_kind_is_array(ref.kind) && ref.kind >= PS_ARRAY_SORTED + PS_BT_KEYED;
    if (ref.kind > PS_ARRAY_LAST || (ref.kind == PS_REC_RAW) != array || keyed != ordered) {
        return ps_lens_wrong(v, v->offset, "a reference has an impossible kind");
    }
    if (ref.offset == 0 && ps_kind_is_node(ref.kind)) {
        if (ref.import) {
            return ps_lens_wrong(v, v->offset, "a reference to an empty collection names a pack");
        }
        return ps_buf_add(&v->digests, empty, sizeof empty);
    }
    if (ps_lens_target(v, ref, &target, &r) < 0) {
        return -1;
    }
    if (r.kind != ref.kind || (ps_kind_is_trie(ref.kind) && r.level != 0)) {
        return ps_lens_wrong(v, v->offset, "a reference names a record of another kind or level");
    }
    if (ref.kind == PS_REC_VALUE &&
        (!v->whole_value || p - 2 != v->value || p + PS_REF_SIZE != v->value_end)) {
        return ps_lens_wrong(v, v->offset, "an out-of-line value stands inside another value");
    }
    return ps_buf_add(&v->digests, r.at + PS_R_DIGEST, PS_DIGEST_SIZE);
}

typedef struct {
    uint8_t *copy;
    const uint8_t *base;
} blanking;

static int
blank_ref(void *arg, const uint8_t *p)
{
    blanking *b = arg;
    memset(b->copy + (p - b->base) + 1, 0, PS_REF_SIZE - 1);
    return 0;
}

int
ps_lens_message(lens *v, const uint8_t *p, const uint8_t *stop, bool whole_value,
                const uint8_t **next)
{
    const uint8_t *end = ps_msg_skip(p, stop);
    if (end == NULL || (next == NULL && end != stop)) {
        return ps_lens_wrong(v, v->offset, "a key or value is no whole MessagePack message");
    }
    v->whole_value = whole_value;
    v->value = p;
    v->value_end = end;
    size_t start = v->message.len;
    int r = ps_msg_refs(p, end, verify_ref, v);
    if (r == -2) {
        return ps_lens_wrong(v, v->offset,
                             "a value nests too deep or holds a malformed reference");
    }
    if (r || ps_buf_add(&v->message, p, (size_t)(end - p)) < 0) {
        return -1;
    }
    blanking b = {v->message.data + start, p};
    ps_msg_refs(p, end, blank_ref, &b);
    if (next) {
        *next = end;
    }
    return 0;
}

/* ---- key positions */

typedef struct {
    bool known;
    uint64_t h1, h2;
    bool has_h2;
    PyObject *key; /* owned */
} position;

/* Index of a key at a level; -1 on error. */
static int
index_at(lens *v, position *p, int level)
{
    if (level < PS_H1_LEVELS) {
        return ps_hash_bits(p->h1, PS_H1_BITS, level);
    }
    if (!p->has_h2) {
        if (ps_hash2(v->st, p->key, &p->h2) < 0) {
            return -1;
        }
        p->has_h2 = true;
    }
    return ps_hash_bits(p->h2, PS_H2_BITS, level - PS_H1_LEVELS);
}

/* Entries of a collision node are told apart by ==. (Few: equal hashes that are not made
 * from equal keys take work.) known: the keys before this one. */
static int
verify_distinct(lens *v, PyObject **known, PyObject *key)
{
    if (*known == NULL && (*known = PyList_New(0)) == NULL) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(*known); i++) {
        int equal = ps_object_eq(PyList_GET_ITEM(*known, i), key);
        if (equal) {
            return equal < 0 ? -1
                             : ps_lens_wrong(v, v->offset, "a collision node holds a key twice");
        }
    }
    return PyList_Append(*known, key);
}

/* All NaN are one key, so it is written in one way. */
static bool
is_odd_nan(const uint8_t *key, size_t n)
{
    static const uint8_t nan[8] = {0x7F, 0xF8};
    double x;
    if (n != 9 || key[0] != 0xCB || memcmp(key + 1, nan, sizeof nan) == 0) {
        return false;
    }
    uint64_t bits = __builtin_bswap64(ps_load64(key + 1));
    memcpy(&x, &bits, 8);
    return x != x;
}

static int
position_of(lens *v, ps_pack *pack, uint64_t offset, position *p)
{
    PyObject *opaque;
    *p = (position){0};
    p->key = ps_pack_decode(v->st, pack, offset);
    if (p->key == NULL) {
        return -1;
    }
    if (ps_codecs_load(v->st) < 0) {
        return -1;
    }
    opaque = v->st->pack_slots[PS_CODEC_OPAQUE];
    int unknown = PyObject_IsInstance(p->key, opaque);
    if (unknown) {
        return unknown < 0 ? -1 : 0;
    }
    if (ps_hash1(v->st, p->key, &p->h1) < 0) {
        if (PyErr_ExceptionMatches(PyExc_TypeError)) {
            PyErr_Clear();
            return ps_lens_wrong(v, v->offset, "a key is not hashable");
        }
        PyObject *codec = ps_error_class(v->st, "CodecError");
        if (codec != NULL && PyErr_ExceptionMatches(codec)) {
            PyErr_Clear(); /* a tuple around a key of an unregistered type */
            return 0;
        }
        return -1;
    }
    p->known = true;
    return 0;
}

/* The position of the first key below a record. */
static int
first_position(lens *v, ps_pack *pack, const ps_record *record, position *p)
{
    ps_record r = *record;
    *p = (position){0};
    while (r.n_entries == 0) {
        ps_pack *target;
        int level = r.level;
        uint8_t kind = r.kind;
        if (r.n_children == 0) {
            return ps_lens_wrong(v, v->offset, "a node is empty");
        }
        if (ps_pack_follow(v->st, pack, r.offset, ps_record_child(&r, 0), &target) < 0 ||
            ps_record_open(v->st, target, ps_record_child(&r, 0).offset, &r) < 0) {
            return -1;
        }
        if (r.kind != kind || r.level != level + 1) {
            return ps_lens_wrong(v, v->offset,
                                 "a node has another level or kind than its parent says");
        }
        pack = target;
    }
    return position_of(v, pack, (uint64_t)(r.content - pack->data), p);
}

/* 1 when both lead to the same node of that level; 0; -1. */
static int
same_path(lens *v, position *a, position *b, int level)
{
    for (int l = 0; l < level; l++) {
        int x = index_at(v, a, l), y = index_at(v, b, l);
        if (x < 0 || y < 0) {
            return -1;
        }
        if (x != y) {
            return 0;
        }
    }
    return 1;
}

/* position p stands at `index` of the node at the lens; *first is its first known one. */
static int
verify_position(lens *v, const ps_record *r, position *p, position *first, int index)
{
    if (!p->known) {
        Py_CLEAR(p->key);
        return 0;
    }
    int ok = 1;
    if (r->level < PS_MAX_LEVEL) {
        int mine = index_at(v, p, r->level);
        ok = mine < 0 ? -1 : mine == index;
    }
    if (ok > 0) {
        if (first->known) {
            ok = same_path(v, first, p, r->level);
            Py_CLEAR(p->key);
        }
        else {
            *first = *p;
            p->key = NULL;
        }
    }
    Py_CLEAR(p->key);
    return ok > 0   ? 0
           : ok < 0 ? -1
                    : ps_lens_wrong(v, v->offset, "a key stands where no lookup finds it");
}

/* ---- records */

int
ps_lens_digest(lens *v, const ps_record *r)
{
    uint8_t digest[PS_DIGEST_SIZE];
    if (ps_buf_add(&v->message, v->digests.data, v->digests.len) < 0) {
        return -1;
    }
    ps_blake2b_digest(v->message.data, v->message.len, digest);
    if (memcmp(digest, r->at + PS_R_DIGEST, PS_DIGEST_SIZE) != 0) {
        return ps_lens_wrong(v, v->offset, "the digest of a record does not match its content");
    }
    return 0;
}

static int
verify_node(lens *v, const ps_record *r)
{
    int result = -1;
    uint8_t head[9];
    uint32_t bits = r->datamap, children = r->n_children ? r->nodemap : 0;
    uint64_t count = r->n_entries;
    const uint8_t *before = NULL;
    size_t before_len = 0;
    position first = {0}, p = {0};
    PyObject *known = NULL;
    ps_buf below = {NULL, 0, 0};
    bool collision = r->flags & PS_RF_COLLISION;

    head[0] = (uint8_t)(r->kind | (collision ? PS_RF_COLLISION : 0));
    ps_store32(head + 1, r->datamap);
    ps_store32(head + 5, children);
    if (ps_buf_add(&v->message, head, sizeof head) < 0) {
        return -1;
    }
    for (uint32_t i = 0; i < r->n_entries; i++) {
        uint64_t start = ps_record_start(r, i), stop = ps_record_end(r, i);
        if (start >= stop || stop > r->length) {
            ps_lens_wrong(v, v->offset, "an entry leaves its record");
            goto done;
        }
        const uint8_t *key = r->content + start, *value;
        if (ps_lens_message(v, key, r->content + stop, false, &value) < 0) {
            goto done;
        }
        if (r->kind == PS_REC_MAP
                ? ps_lens_message(v, value, r->content + stop, true, NULL) < 0
                : value != r->content + stop &&
                      ps_lens_wrong(v, v->offset, "an element of a set has a value") < 0) {
            goto done;
        }
        if (position_of(v, v->pack, (uint64_t)(key - v->pack->data), &p) < 0) {
            goto done;
        }
        int index = 0;
        size_t n = (size_t)(value - key);
        if (is_odd_nan(key, n)) {
            ps_lens_wrong(v, v->offset,
                          "a NaN is not written in the one form that it has as a key");
            goto done;
        }
        if (collision) {
            size_t least = n < before_len ? n : before_len;
            int order = before ? memcmp(before, key, least) : -1;
            if (order > 0 || (order == 0 && before_len >= n)) {
                ps_lens_wrong(v, v->offset, "the entries of a collision node are not in order");
                goto done;
            }
            before = key;
            before_len = n;
            if (p.known && verify_distinct(v, &known, p.key) < 0) {
                goto done;
            }
        }
        else {
            index = ps_ctz(bits);
            bits &= bits - 1;
        }
        if (verify_position(v, r, &p, &first, index) < 0) {
            goto done;
        }
    }
    bits = children;
    for (uint32_t i = 0; i < r->n_children; i++, bits &= bits - 1) {
        ps_pack *target;
        ps_record c;
        if (ps_lens_target(v, ps_record_child(r, i), &target, &c) < 0) {
            goto done;
        }
        if (c.kind != r->kind || c.level != r->level + 1) {
            ps_lens_wrong(v, v->offset, "a node has another level or kind than its parent says");
            goto done;
        }
        if (c.count > PS_PACK_MAX_COUNT || c.count < 2) {
            ps_lens_wrong(v, v->offset, "a child has an impossible count");
            goto done;
        }
        count += c.count;
        if (ps_buf_add(&below, c.at + PS_R_DIGEST, PS_DIGEST_SIZE) < 0 ||
            first_position(v, target, &c, &p) < 0 ||
            verify_position(v, r, &p, &first, ps_ctz(bits)) < 0) {
            goto done;
        }
    }
    if (count != r->count || count > PS_PACK_MAX_COUNT) {
        ps_lens_wrong(v, v->offset, "the count of a node is not the sum of what is below it");
        goto done;
    }
    if (count < (r->level ? 2u : 1u)) {
        ps_lens_wrong(v, v->offset, "a node has too few entries to be one");
        goto done;
    }
    if (ps_buf_add(&v->message, below.data, below.len) < 0) {
        goto done;
    }
    result = ps_lens_digest(v, r);
done:
    Py_XDECREF(p.key);
    Py_XDECREF(first.key);
    Py_XDECREF(known);
    ps_buf_clear(&below);
    return result;
}

static int
verify_content(lens *v, const ps_record *r)
{
    if (ps_buf_add(&v->message, &r->kind, 1) < 0) {
        return -1;
    }
    if (r->kind == PS_REC_VALUE) {
        if (ps_lens_message(v, r->content, r->content + r->length, false, NULL) < 0) {
            return -1;
        }
        return ps_lens_digest(v, r);
    }
    for (const uint8_t *p = r->at + PS_R_CONTENT; p < r->content; p++) {
        if (*p) {
            return ps_lens_wrong(v, v->offset, "padding is not zero");
        }
    }
    ps_blake2b b;
    uint8_t digest[PS_DIGEST_SIZE];
    ps_blake2b_init(&b);
    ps_blake2b_update(&b, &r->kind, 1);
    ps_blake2b_update(&b, r->content, r->length);
    ps_blake2b_final(&b, digest);
    if (memcmp(digest, r->at + PS_R_DIGEST, PS_DIGEST_SIZE) != 0) {
        return ps_lens_wrong(v, v->offset, "the digest of a record does not match its content");
    }
    return 0;
}

Py_ssize_t
ps_pack_verify(ps_state *st, ps_pack *pack)
{
    lens v = {.st = st, .pack = pack, .offset = PS_PACK_HEADER};
    Py_ssize_t records = 0, result = -1;
    uint64_t root = ps_load64(pack->data + PS_H_ROOT_OFFSET);
    ps_record r;
    v.starts = PyMem_RawCalloc((size_t)(pack->size >> 4) + 1, 1);
    if (v.starts == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    Py_INCREF(pack); /* codecs of keys run */
    while (v.offset < pack->end) {
        /* Check again what may have been checked: bytes may have changed since. */
        const char *what = ps_record_parse(pack, v.offset, &r);
        if (what != NULL) {
            ps_lens_wrong(&v, v.offset, what);
            goto done;
        }
        if (ps_record_check(st, pack, v.offset) < 0) {
            goto done;
        }
        v.message.len = 0;
        v.digests.len = 0;
        if ((ps_kind_is_trie(r.kind)    ? verify_node(&v, &r)
             : ps_kind_is_array(r.kind) ? ps_verify_array(&v, &r)
                                        : verify_content(&v, &r)) < 0) {
            goto done;
        }
        if (v.offset == root &&
            (r.kind != PS_REC_VALUE || v.offset + r.size != pack->end ||
             memcmp(r.at + PS_R_DIGEST, pack->data + PS_H_ROOT_DIGEST, PS_DIGEST_SIZE) != 0)) {
            ps_lens_wrong(&v, v.offset, "the root record is not what the header says");
            goto done;
        }
        v.starts[v.offset >> 4] = (uint8_t)((v.offset & 15) + 1);
        v.offset += r.size;
        records++;
        if ((records & 0xFFF) == 0 && PyErr_CheckSignals() < 0) {
            goto done;
        }
    }
    if (v.offset != pack->end || v.starts[root >> 4] != (root & 15) + 1) {
        ps_lens_wrong(&v, root, "the root record is not where the header says");
        goto done;
    }
    result = ps_pack_lost(st, pack) < 0 ? -1 : records;
done:
    PyMem_RawFree(v.starts);
    ps_buf_clear(&v.message);
    ps_buf_clear(&v.digests);
    Py_DECREF(pack);
    return result;
}
