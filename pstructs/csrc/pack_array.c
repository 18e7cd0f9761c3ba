/* pack_array.c -- nodes of vectors and sorted collections in packs.
 *
 * A record of an array node, little-endian:
 *
 *     0   crc32c | 4 digest | 20 flags (bit 7 set) | 21 level
 *     22  n: elements of a leaf, or children
 *     23  form: see below
 *     24  0, 2 bytes
 *     26  with children: count 4 or 8 | widths 1 | n references | n sizes, if the flags
 *         say so | n words of 8 bytes, in sorted nodes
 *     ..  end of each entry in the payload, 1, 2 or 4 bytes each
 *     ..  payload
 *
 *     vector leaf   form 0: n messages; 1, 2: n int64 or float64, aligned to 8; 3: n bools
 *     vector node   relaxed: sizes say where each child ends; regular: no sizes
 *     vector top    level 128 + level of the body, form: which of head, body, tail there
 *                   are; sizes as in a relaxed node
 *     sorted leaf   form: shape of the tree; an entry is its order key, its key if that is
 *                   another, its value in maps
 *     sorted node   form: shape, and kind of the words << 4; sizes: entries below each
 *                   child; one entry: the smallest order key
 *
 * The trees trust what they reach: an index is turned into a place without a look at the
 * node. So a record that is opened must have as many elements as its parent said, and
 * sizes that add up; then every place that follows from them is inside of a node,
 * whatever a file says.
 *
 * Cost: opening O(n) of that node; vector_get O(log n), allocates nothing but the value.
 */
#include "pack.h"

/* ---- form */

/* Elements below a full node of a vector; the largest number where that is none. */
static uint64_t
full_size(int level)
{
    int bits = PS_BITS * (level + 1);
    return bits < 63 ? UINT64_C(1) << bits : (uint64_t)PY_SSIZE_T_MAX;
}

static const char *
parse_form(ps_record *r, bool vector)
{
    bool children = r->flags & PS_RF_CHILDREN, sizes = r->flags & PS_RF_SIZES;
    if (!vector) {
        if (r->level > PS_BT_MAX_HEIGHT - 8 ||
            /* 10**13 entries at least */ (r->level > 0) != children || sizes != children) {
            return "a sorted node has an impossible level";
        }
        return r->form & ~0x33u || (!children && r->form & 0x30u) ? "a node has an unknown form"
                                                                  : NULL;
    }
    if (r->level & PS_A_TOP) {
        int body = r->level & ~PS_A_TOP;
        if (!children || !sizes || r->form & ~7u || ps_popcount(r->form) != (int)r->n_children ||
            r->n_children < 2 || body > PS_RRB_MAX_LEVEL || (body && !(r->form & PS_A_BODY))) {
            return "the top of a vector contradicts itself";
        }
        return NULL;
    }
    if (r->level > PS_RRB_MAX_LEVEL || (r->level > 0) != children || (sizes && !children)) {
        return "a node of a vector has an impossible level";
    }
    return r->form > (children ? 0 : PS_A_BOOL) ? "a node has an unknown form" : NULL;
}

const char *
ps_array_parse(const ps_pack *pack, uint64_t offset, ps_record *r)
{
    static const uint8_t end_widths[4] = {1, 2, 4, 0};
    const uint8_t *p = r->at;
    uint64_t room = pack->end - offset, need = PS_A_NODE;
    uint32_t n = p[PS_A_N];
    uint8_t tree = r->flags & PS_RF_TREE;
    bool children = r->flags & PS_RF_CHILDREN;
    r->level = p[PS_R_LEVEL];
    r->form = p[PS_A_FORM];
    r->kind = tree == 0 ? PS_ARRAY_VECTOR : (uint8_t)(PS_ARRAY_SORTED + (r->form & 3));
    r->datamap = r->nodemap = 0;
    r->n_children = children ? n : 0;
    r->n_entries = !children ? n : tree == 1 ? 1 : 0;
    r->count = n;
    r->import_width = 0;
    r->offset_width = 1;
    r->refs = r->sizes = r->words = NULL;
    r->size_width = r->flags & PS_RF_WIDE_COUNT ? 8 : 4;
    r->end_width = end_widths[(r->flags & PS_RF_ENDS) >> PS_RF_ENDS_SHIFT];
    if (tree > 1 || ps_load16(p + PS_A_RESERVED) || r->end_width == 0) {
        return "reserved flags of a record are set";
    }
    if (n == 0 || n > (tree == 0 ? PS_WIDTH : children ? PS_BT_INNER : PS_BT_LEAF)) {
        return "a node has an impossible number of parts";
    }
    const char *wrong = parse_form(r, tree == 0);
    if (wrong != NULL) {
        return wrong;
    }
    if (children) {
        uint64_t head = (uint64_t)r->size_width + 1;
        if (room < need + head) {
            return "a record is cut off";
        }
        r->count = r->size_width == 8 ? ps_load64(p + need) : ps_load32(p + need);
        uint8_t widths = p[need + head - 1];
        r->offset_width = widths & 15;
        r->import_width = widths >> 4;
        if (r->offset_width < 1 || r->offset_width > 5 || r->import_width > 2) {
            return "the references of a node have an impossible width";
        }
        if (r->count > (uint64_t)PY_SSIZE_T_MAX) {
            return "a node has an impossible count";
        }
        need += head;
        r->refs = p + need;
        need += n * (uint64_t)(r->offset_width + r->import_width);
        if (r->flags & PS_RF_SIZES) {
            r->sizes = p + need;
            need += n * (uint64_t)r->size_width;
        }
        if (tree == 1) {
            r->words = p + need;
            need += n * UINT64_C(8);
        }
    }
    else if (r->flags & PS_RF_WIDE_COUNT) {
        return "reserved flags of a record are set";
    }
    if (tree == 0 && !children && r->form != PS_A_MESSAGES) {
        if (r->flags & PS_RF_ENDS) {
            return "reserved flags of a record are set";
        }
        bool wide = r->form != PS_A_BOOL;
        need += wide ? (0 - (offset + need)) & 7 : 0;
        r->n_entries = 0;
        r->ends = NULL;
        r->length = n * (wide ? UINT64_C(8) : UINT64_C(1));
    }
    else {
        r->ends = p + need;
        need += (uint64_t)r->n_entries * (uint64_t)r->end_width;
        if (need > room) {
            return "a record is longer than the pack";
        }
        r->length = r->n_entries ? ps_record_end(r, r->n_entries - 1) : 0;
    }
    if (need > room || r->length > room - need) {
        return "a record is longer than the pack";
    }
    r->content = p + need;
    r->size = need + r->length;
    return NULL;
}

int
ps_array_child_level(const ps_record *r, uint32_t i)
{
    if (!(r->level & PS_A_TOP)) {
        return r->level - 1;
    }
    bool body = r->form & PS_A_BODY && i == (r->form & PS_A_HEAD ? 1u : 0u);
    return body ? r->level & ~PS_A_TOP : 0;
}

/* The number that the record lists for child i. */
static uint64_t
listed_size(const ps_record *r, uint32_t i)
{
    return r->size_width == 8 ? ps_load64(r->sizes + 8 * (uint64_t)i)
                              : ps_load32(r->sizes + 4 * (uint64_t)i);
}

const char *
ps_array_counts(const ps_record *r, uint64_t counts[PS_WIDTH])
{
    uint64_t sum = 0, full = full_size(r->level - 1);
    bool vector = r->kind == PS_ARRAY_VECTOR;
    if (r->sizes == NULL && full > (uint64_t)PY_SSIZE_T_MAX / PS_WIDTH) {
        return "a node of a vector is too high to be regular"; /* a shift would be too far */
    }
    for (uint32_t i = 0; i < r->n_children; i++) {
        uint64_t size = r->sizes == NULL ? i + 1 < r->n_children ? full : r->count - sum
                        : vector         ? listed_size(r, i) - sum
                                         : listed_size(r, i);
        uint64_t most = vector ? full_size(ps_array_child_level(r, i)) : (uint64_t)PY_SSIZE_T_MAX;
        if (size == 0 || size > most || size > r->count - sum) {
            return "the sizes of a node do not add up to its count";
        }
        counts[i] = size;
        sum += size;
    }
    return sum == r->count ? NULL : "the sizes of a node do not add up to its count";
}

/* ---- opening */

/* The record of an array node, and the elements below each child. 0, -1. */
static int
open_record(ps_state *st, ps_slot ref, int kind, int level, Py_ssize_t count, ps_record *r,
            uint64_t counts[PS_WIDTH])
{
    ps_pack *pack = ps_pack_of(st, ref);
    uint64_t offset = ps_slot_offset(ref);
    if (ps_record_open(st, pack, offset, r) < 0) {
        return -1;
    }
    const char *wrong = NULL;
    if (r->kind != kind || (level >= 0 && r->level != level)) {
        wrong = "a node has another level or kind than its parent says";
    }
    else if (count >= 0 && r->count != (uint64_t)count) {
        wrong = "a node has another count than its parent says";
    }
    else if (r->n_children) {
        wrong = ps_array_counts(r, counts);
    }
    if (wrong != NULL) {
        ps_pack_damaged(st, pack, offset, wrong);
        return -1;
    }
    return 0;
}

/* Slots (borrowed) of the children. Opens the imports, which may run Python code. 0, -1. */
static int
child_slots(ps_state *st, ps_pack *pack, const ps_record *r, ps_slot *slot)
{
    for (uint32_t i = 0; i < r->n_children; i++) {
        ps_pack *target;
        ps_ref child = ps_record_child(r, i);
        if (ps_pack_follow(st, pack, r->offset, child, &target) < 0) {
            return -1;
        }
        slot[i] = ps_slot_pack(target->id, child.offset);
    }
    return 0;
}

/* Slots (borrowed) of the `width` messages of entry i. 0, -1. */
static int
entry_slots(ps_state *st, ps_pack *pack, const ps_record *r, uint32_t i, int width, ps_slot *slot,
            int step)
{
    uint64_t start = ps_record_start(r, i), stop = ps_record_end(r, i);
    const uint8_t *p = r->content + start, *end = r->content + stop;
    bool ok = start <= stop && stop <= r->length;
    for (int k = 0; ok && k < width; k++) {
        const uint8_t *next = ps_msg_skip(p, end);
        slot[k * step] = ps_slot_pack(pack->id, (uint64_t)(p - pack->data));
        ok = next != NULL;
        p = next;
    }
    if (!ok) {
        ps_pack_damaged(st, pack, r->offset, "an entry leaves its record");
        return -1;
    }
    return 0;
}

/* New reference to element i of a vector's leaf. */
static PyObject *
leaf_element(ps_state *st, ps_pack *pack, const ps_record *r, uint32_t i)
{
    const uint8_t *p = r->content;
    double x;
    uint64_t bits;
    ps_slot slot;
    switch (r->form) {
    case PS_A_INT64:
        return PyLong_FromLongLong((long long)ps_load64(p + 8 * (uint64_t)i));
    case PS_A_FLOAT64:
        bits = ps_load64(p + 8 * (uint64_t)i);
        memcpy(&x, &bits, 8);
        return PyFloat_FromDouble(x);
    case PS_A_BOOL:
        return PyBool_FromLong(p[i] != 0);
    }
    if (entry_slots(st, pack, r, i, 1, &slot, 1) < 0) {
        return NULL;
    }
    return st->pack_ops->value(st, slot);
}

/* A node of slots that are owned, and given up on error; seals nothing. */
static ps_node *
node_of(ps_state *st, ps_slot ref, const ps_slot *slot, uint32_t n, uint32_t n_raw, uint32_t tag)
{
    bool gc = false, packed = false;
    for (uint32_t i = 0; i < n; i++) {
        packed = packed || ps_slot_is_packed(slot[i]);
        gc = gc || ps_slot_needs_gc(st, slot[i]);
    }
    ps_node *node = ps_node_new_array(st, gc, n, n_raw, tag);
    if (node == NULL) {
        for (uint32_t i = 0; i < n; i++) {
            ps_slot_decref(st, slot[i]);
        }
        return NULL;
    }
    memcpy(node->slots, slot, n * sizeof *slot);
    node->meta |= packed ? PS_META_PACKED : 0;
    ps_node_set_saved(st, node, ref);
    return node;
}

static ps_node *
vector_node(ps_state *st, ps_slot ref, ps_pack *pack, const ps_record *r, const uint64_t *counts)
{
    ps_slot slot[PS_WIDTH];
    uint32_t n = r->n_children ? r->n_children : (uint32_t)r->count;
    if (r->n_children) {
        if (child_slots(st, pack, r, slot) < 0) {
            return NULL;
        }
    }
    else if (r->form == PS_A_MESSAGES) {
        for (uint32_t i = 0; i < n; i++) {
            if (entry_slots(st, pack, r, i, 1, &slot[i], 1) < 0) {
                return NULL;
            }
        }
    }
    else {
        for (uint32_t i = 0; i < n; i++) {
            PyObject *x = leaf_element(st, pack, r, i);
            if (x == NULL) {
                while (i > 0) {
                    ps_slot_decref(st, slot[--i]);
                }
                return NULL;
            }
            slot[i] = ps_slot_heap(x);
        }
    }
    if (ps_slot_is_packed(slot[0])) {
        for (uint32_t i = 0; i < n; i++) {
            ps_slot_incref(st, slot[i]);
        }
    }
    ps_node *node = node_of(st, ref, slot, n, r->sizes ? n : 0, r->level);
    if (node != NULL && r->sizes) {
        uint64_t end = 0;
        for (uint32_t i = 0; i < n; i++) {
            ps_node_raw(node)[i] = end += counts[i];
        }
    }
    return node;
}

/* The order keys are decoded, for their words are needed; the rest stays where it is. */
static ps_node *
sorted_leaf(ps_state *st, ps_slot ref, ps_pack *pack, const ps_record *r)
{
    int shape = r->form & 3, width = ps_bt_width(shape), n = (int)r->count, owned = 0;
    ps_slot slot[3 * PS_WIDTH];
    int64_t words[PS_WIDTH];
    ps_bt_kind kind = PS_BT_ANY;
    for (int i = 0; i < n; i++) {
        if (entry_slots(st, pack, r, (uint32_t)i, width, slot + i, n) < 0) {
            return NULL;
        }
    }
    for (; owned < n; owned++) {
        PyObject *key = st->pack_ops->value(st, slot[owned]);
        if (key == NULL) {
            goto error;
        }
        ps_bt_kind k = ps_bt_word(key, &words[owned]);
        kind = owned == 0 || k == kind ? k : PS_BT_ANY;
        slot[owned] = ps_slot_heap(key);
        if (k == PS_BT_NAN) {
            owned++;
            ps_pack_damaged(st, pack, r->offset, "a NaN is a key of a sorted collection");
            goto error;
        }
    }
    for (int i = n; i < n * width; i++) {
        ps_slot_incref(st, slot[i]);
    }
    ps_node *node =
        node_of(st, ref, slot, (uint32_t)(n * width), (uint32_t)n, ps_bt_tag(shape, 0, kind));
    if (node == NULL) {
        return NULL;
    }
    for (int i = 0; i < n; i++) {
        ps_bt_words(node)[i] = kind == PS_BT_ANY ? 0 : words[i];
    }
    ps_node_track(st, node);
    return node;
error:
    while (owned > 0) {
        ps_slot_decref(st, slot[--owned]);
    }
    return NULL;
}

static ps_node *
sorted_inner(ps_state *st, ps_slot ref, ps_pack *pack, const ps_record *r, const uint64_t *counts)
{
    ps_slot slot[1 + PS_WIDTH];
    uint32_t n = r->n_children;
    if (entry_slots(st, pack, r, 0, 1, slot, 1) < 0 || child_slots(st, pack, r, slot + 1) < 0) {
        return NULL;
    }
    for (uint32_t i = 0; i <= n; i++) {
        ps_slot_incref(st, slot[i]);
    }
    ps_bt_kind kind = (ps_bt_kind)(r->form >> 4 & 3);
    ps_node *node = node_of(st, ref, slot, n + 1, 2 * n, ps_bt_tag(r->form & 3, r->level, kind));
    if (node != NULL) {
        for (uint32_t i = 0; i < n; i++) {
            ps_bt_words(node)[i] = (int64_t)ps_load64(r->words + 8 * (uint64_t)i);
            ps_bt_counts(node)[i] = counts[i];
        }
    }
    return node;
}

ps_node *
ps_array_node(ps_state *st, ps_slot ref, int kind, int level, Py_ssize_t count)
{
    ps_record r;
    uint64_t counts[PS_WIDTH];
    ps_pack *pack = ps_pack_of(st, ref);
    ps_node *node = NULL;
    if (open_record(st, ref, kind, level, count, &r, counts) < 0) {
        return NULL;
    }
    Py_INCREF(
        pack); /* codecs of keys, and what opens imports, may drop the last other reference */
    node = kind == PS_ARRAY_VECTOR ? vector_node(st, ref, pack, &r, counts)
           : r.n_children          ? sorted_inner(st, ref, pack, &r, counts)
                                   : sorted_leaf(st, ref, pack, &r);
    if (PS_UNLIKELY(ps_pack_is_lost(pack)) && node != NULL) {
        Py_CLEAR(node);
        ps_pack_lost(st, pack);
    }
    Py_DECREF(pack);
    return node;
}

PyObject *
ps_array_vector_get(ps_state *st, ps_slot ref, int level, Py_ssize_t count, size_t i)
{
    ps_pack *pack = ps_pack_of(st, ref);
    PyObject *value = NULL;
    Py_INCREF(pack);
    for (;; level--) {
        ps_record r;
        uint64_t counts[PS_WIDTH];
        if (open_record(st, ref, PS_ARRAY_VECTOR, level, count, &r, counts) < 0) {
            break;
        }
        if (level == 0) {
            value = leaf_element(st, pack, &r, (uint32_t)i);
            break;
        }
        uint32_t k = 0;
        if (r.sizes == NULL) {
            k = (uint32_t)(i >> (PS_BITS * level));
            i -= (size_t)k << (PS_BITS * level);
        }
        else {
            for (; counts[k] <= i; k++) { /* ends: they add up to count, which is above i */
                i -= counts[k];
            }
        }
        count = (Py_ssize_t)counts[k];
        ps_ref child = ps_record_child(&r, k);
        ps_pack *target;
        if (ps_pack_lost(st, pack) < 0 || ps_pack_follow(st, pack, r.offset, child, &target) < 0) {
            break;
        }
        ref = ps_slot_pack(target->id, child.offset);
        Py_INCREF(target);
        Py_DECREF(pack);
        pack = target;
    }
    if (PS_UNLIKELY(ps_pack_is_lost(pack)) && value != NULL) {
        Py_CLEAR(value);
        ps_pack_lost(st, pack);
    }
    Py_DECREF(pack);
    return value;
}

int
ps_array_vector(ps_state *st, ps_pack *pack, const ps_record *r, ps_rrb *out)
{
    ps_rrb t = PS_RRB_EMPTY;
    int level = r->level & ~PS_A_TOP;
    uint64_t least = 2;
    for (int l = 1; l < level && least <= r->count; l++) {
        least *= PS_WIDTH / 2;
    }
    if (level > 0 && r->count < least) { /* trees count on their own height: rrb.c */
        ps_pack_damaged(st, pack, r->offset, "a vector is too high for its number of elements");
        return -1;
    }
    t.count = (Py_ssize_t)r->count;
    if (!(r->level & PS_A_TOP)) {
        ps_slot s = ps_slot_pack(pack->id, r->offset);
        if (r->level == 0) {
            t.tail = s;
        }
        else {
            t.root = s;
            t.body = t.count;
            t.shift = (uint32_t)(PS_BITS * level);
        }
    }
    else {
        ps_slot slot[3];
        uint64_t counts[PS_WIDTH];
        uint32_t i = 0;
        const char *wrong = ps_array_counts(r, counts);
        if (wrong != NULL) {
            ps_pack_damaged(st, pack, r->offset, wrong);
            return -1;
        }
        if (child_slots(st, pack, r, slot) < 0) {
            return -1;
        }
        if (r->form & PS_A_HEAD) {
            t.head = slot[i];
            t.n_head = (uint32_t)counts[i++];
        }
        if (r->form & PS_A_BODY) {
            t.root = slot[i];
            t.body = (Py_ssize_t)counts[i++];
            t.shift = (uint32_t)(PS_BITS * level);
        }
        if (r->form & PS_A_TAIL) {
            t.tail = slot[i];
        }
    }
    *out = ps_rrb_share(st, &t);
    return 0;
}
