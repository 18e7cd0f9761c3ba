/* node.h -- nodes of the trie and the slots in them.
 *
 * A slot is one 64-bit word: a key, a value or a child.
 *
 *     heap    PyObject *                               low bit 0
 *     packed  pack id : 20 | offset : 40 | 0001        low bit 1
 *     empty   0
 *
 * A packed slot names bytes of an open pack (pack.h): an encoded key, an
 * encoded value, or a node record. One tree may mix both kinds anywhere. A
 * packed slot owns one reference to its Pack object, so the bytes stay mapped.
 *
 * A node holds `width` slots an entry (2: map, 1: set), entries first, then
 * children, both in the order of their hash position:
 *
 *     slots:  k0 v0 k1 v1 ... | c0 c1 ...
 *
 *     datamap   bit i set: position i has an inline entry
 *     nodemap   bit i set: position i has a child
 *
 * A collision node (level PS_MAX_LEVEL only) has nodemap == ~0 and the number
 * of its entries, never 0, in datamap; it has no children.
 *
 * The other trees (RRB, B+) use *array nodes*, with PS_META_ARRAY in meta:
 *
 *     datamap   number of slots, all of them filled and owned
 *     nodemap   number of raw words << 16 | tag
 *     slots:    s0 s1 ... | r0 r1 ...
 *
 * What a slot means, and the 16 bits of the tag, is the tree's business. Raw
 * words (subtree counts) follow the slots and own nothing.
 *
 * There are two node types, so that the garbage collector never sees trees of
 * atoms: plain nodes have no GC header and hold atoms and plain nodes only;
 * everything else is a GC node. A GC node is tracked once it is full; an
 * evolver's new nodes stay untracked until persistent().
 */
#ifndef PS_NODE_H
#define PS_NODE_H

#include "bits.h"
#include "state.h"

typedef uint64_t ps_slot;

#define PS_SLOT_OFFSET_BITS 40
#define PS_SLOT_MAX_OFFSET ((UINT64_C(1) << PS_SLOT_OFFSET_BITS) - 1)
#define PS_SLOT_MAX_PACK ((1u << 20) - 1)

typedef struct {
    PyObject_HEAD
    uint32_t datamap;
    uint32_t nodemap;
    uint64_t
        meta; /* packed slot of where this node was saved (owned) or 0, with flags in the low 4 bits */
    ps_slot slots[];
} ps_node;

#define PS_META_WIDTH2 1u /* two slots an entry */
#define PS_META_PACKED 2u /* some slot is packed */
#define PS_META_ARRAY 4u /* an array node, not a node of the trie */
#define PS_META_FLAGS 15u

/* ---- slots */
PS_INLINE bool
ps_slot_is_packed(ps_slot s)
{
    return s & 1;
}

PS_INLINE ps_slot
ps_slot_pack(uint32_t pack_id, uint64_t offset)
{
    return ((uint64_t)pack_id << 44) | (offset << 4) | 1;
}

PS_INLINE uint32_t
ps_slot_pack_id(ps_slot s)
{
    return (uint32_t)(s >> 44);
}

PS_INLINE uint64_t
ps_slot_offset(ps_slot s)
{
    return (s >> 4) & PS_SLOT_MAX_OFFSET;
}

PS_INLINE ps_slot
ps_slot_heap(void *p)
{
    return (ps_slot)(uintptr_t)p;
}

PS_INLINE PyObject *
ps_slot_obj(ps_slot s)
{
    return (PyObject *)(uintptr_t)s;
}

PS_INLINE ps_node *
ps_slot_node(ps_slot s)
{
    return (ps_node *)(uintptr_t)s;
}

/* New reference to whatever the slot names. The slot is not empty. */
PS_INLINE ps_slot
ps_slot_incref(ps_state *st, ps_slot s)
{
    if (PS_UNLIKELY(ps_slot_is_packed(s))) {
        Py_INCREF(st->packs[ps_slot_pack_id(s)]);
    }
    else {
        Py_INCREF(ps_slot_obj(s));
    }
    return s;
}

PS_INLINE void
ps_slot_decref(ps_state *st, ps_slot s)
{
    if (PS_UNLIKELY(ps_slot_is_packed(s))) {
        Py_DECREF(st->packs[ps_slot_pack_id(s)]);
    }
    else {
        Py_DECREF(ps_slot_obj(s));
    }
}

PS_INLINE void
ps_slot_xdecref(ps_state *st, ps_slot s)
{
    if (s) {
        ps_slot_decref(st, s);
    }
}

/* Kinds of array nodes; the numbers are part of the pack format. */
enum {
    PS_ARRAY_VECTOR = 4,
    PS_ARRAY_SORTED = 5, /* and the shape of the B+ tree, 0 to 3 */
    PS_ARRAY_LAST = 8,
};

/* ---- what the pack layer does for the layers below it (pack_ops.c fills it in) */
typedef struct ps_pack_ops {
    /* New reference: the record at ref as a heap node of that width, its entry
     * and child slots packed, its meta naming ref. NULL with an exception when
     * the record is damaged or its level is not `level`. */
    ps_node *(*node)(ps_state *st, ps_slot ref, int width, int level);
    /* The records at a and b as nodes that are only compared with each other: a child that
     * both name is not followed, and one slot stands for it in both. 0 / -1. */
    int (*pair)(ps_state *st, ps_slot a, ps_slot b, int width, int level, ps_node **na,
                ps_node **nb);
    /* New reference: the decoded key or value at ref. */
    PyObject *(*value)(ps_state *st, ps_slot ref);
    /* New reference: the record at ref as an array node of that kind (PS_ARRAY_*), its values
     * and children packed, its meta naming ref. NULL with an exception when the record is
     * damaged, or its kind, its level or (unless -1) its number of elements is another. */
    ps_node *(*array_node)(ps_state *st, ps_slot ref, int kind, int level, Py_ssize_t count);
    /* New reference: element i of the count > i elements below a vector's node at ref. */
    PyObject *(*vector_get)(ps_state *st, ps_slot ref, int level, Py_ssize_t count, size_t i);
    /* 1 / 0: the key encoded at ref equals key; -1 with an exception. */
    int (*key_eq)(ps_state *st, ps_slot ref, PyObject *key);
    /* Look key up below the record at ref, in place. h1 is the whole H1 of key.
     * PS_FOUND: *key_ref and *value_ref (0 in sets) are packed slots, borrowed:
     * valid as long as ref's pack and its imports stay open. */
    ps_found (*find)(ps_state *st, ps_slot ref, int width, int level, uint64_t h1, PyObject *key,
                     ps_slot *key_ref, ps_slot *value_ref);
    /* Number of entries below the record at ref; -1 with an exception. */
    Py_ssize_t (*count)(ps_state *st, ps_slot ref);
    /* Whether two node records are known to hold the same subtree: the same
     * record, or equal digests. Never raises; 0 when in doubt. */
    int (*same)(ps_state *st, ps_slot a, ps_slot b);
} ps_pack_ops;

/* ---- nodes */
int ps_node_init(ps_state *st, PyObject *module);

PS_INLINE int
ps_node_width(const ps_node *n)
{
    return (n->meta & PS_META_WIDTH2) ? 2 : 1;
}

PS_INLINE bool
ps_node_is_collision(const ps_node *n)
{
    /* A node with 32 children and no entry has all nodemap bits set, too. */
    return PS_UNLIKELY(n->nodemap == UINT32_MAX) && n->datamap != 0;
}

PS_INLINE int
ps_node_entries(const ps_node *n)
{
    return PS_UNLIKELY(ps_node_is_collision(n)) ? (int)n->datamap : ps_popcount(n->datamap);
}

PS_INLINE int
ps_node_children(const ps_node *n)
{
    return PS_UNLIKELY(ps_node_is_collision(n)) ? 0 : ps_popcount(n->nodemap);
}

PS_INLINE Py_ssize_t
ps_node_size(const ps_node *n)
{
    return (Py_ssize_t)ps_node_entries(n) * ps_node_width(n) + ps_node_children(n);
}

/* ---- array nodes */
PS_INLINE uint64_t *
ps_node_raw(ps_node *n)
{
    return n->slots + n->datamap;
}

PS_INLINE uint32_t
ps_node_raw_words(const ps_node *n)
{
    return n->nodemap >> 16;
}

PS_INLINE uint32_t
ps_node_tag(const ps_node *n)
{
    return n->nodemap & 0xFFFFu;
}

PS_INLINE bool
ps_node_is_gc(ps_state *st, const ps_node *n)
{
    return Py_TYPE(n) == st->node_gc;
}

/* Where the node was saved: a packed slot (borrowed) or 0. */
PS_INLINE ps_slot
ps_node_saved(const ps_node *n)
{
    uint64_t ref = n->meta & ~(uint64_t)PS_META_FLAGS;
    return ref ? (ref | 1) : 0;
}

/* Remember that n was saved at ref (a packed slot, borrowed; a reference to its
 * pack is taken), replacing what was remembered. */
void ps_node_set_saved(ps_state *st, ps_node *n, ps_slot ref);

/* A node with its bitmaps set and its slots not initialised, untracked. The
 * caller fills every slot before any other call, then ps_node_seal()s it. */
ps_node *ps_node_new(ps_state *st, bool gc, int width, uint32_t datamap, uint32_t nodemap,
                     Py_ssize_t size);

/* The same for an array node: n_slots slots and n_raw <= 65535 raw words, none of them
 * initialised. */
ps_node *ps_node_new_array(ps_state *st, bool gc, uint32_t n_slots, uint32_t n_raw, uint32_t tag);

/* Track a full GC node; nothing for a plain one. */
void ps_node_track(ps_state *st, ps_node *n);

/* Whether a value needs a GC node around it. An exact tuple, or an own
 * collection, that the collector does not track counts as an atom. */
bool ps_needs_gc_slow(ps_state *st, PyObject *v);

PS_INLINE bool
ps_needs_gc(ps_state *st, PyObject *v)
{
    return PS_UNLIKELY(PyType_IS_GC(Py_TYPE(v))) && ps_needs_gc_slow(st, v);
}

PS_INLINE bool
ps_slot_needs_gc(ps_state *st, ps_slot s)
{
    return !ps_slot_is_packed(s) && ps_needs_gc(st, ps_slot_obj(s));
}

/* Release a node whose slots were never filled, or were all moved out. */
void ps_node_drop_shell(ps_state *st, ps_node *n);

/* Give up a reference to a heap node on behalf of a dying owner that has a trashcan. 3.13
 * stops the recursion by the C stack's budget of 10,000 steps (0.8 kB a step), of which it
 * counts one for the owner; a trie of 27 levels below it takes more. Others stop at 50
 * owners, or look at the stack itself. */
PS_INLINE void
ps_node_release(PyObject *n)
{
#if PY_VERSION_HEX >= 0x030D0000 && PY_VERSION_HEX < 0x030E0000
    if (Py_REFCNT(n) == 1) {
        PyThreadState *thread = PyThreadState_Get();
        thread->c_recursion_remaining -= 4;
        Py_DECREF(n);
        thread->c_recursion_remaining += 4;
        return;
    }
#endif
    Py_DECREF(n);
}

/* New reference to the child in slot s as a heap node, read from its pack when
 * it lives there. level is the child's level. */
PS_INLINE ps_node *
ps_slot_open(ps_state *st, ps_slot s, int width, int level)
{
    if (PS_UNLIKELY(ps_slot_is_packed(s))) {
        return st->pack_ops->node(st, s, width, level);
    }
    Py_INCREF(ps_slot_obj(s));
    return ps_slot_node(s);
}

/* The same for an array node with `count` elements below it (-1: not known to the caller). */
PS_INLINE ps_node *
ps_slot_open_array(ps_state *st, ps_slot s, int kind, int level, Py_ssize_t count)
{
    if (PS_UNLIKELY(ps_slot_is_packed(s))) {
        return st->pack_ops->array_node(st, s, kind, level, count);
    }
    Py_INCREF(ps_slot_obj(s));
    return ps_slot_node(s);
}

/* The packed record that the slot of a node stands for (borrowed), or 0. */
PS_INLINE ps_slot
ps_child_record(ps_slot s)
{
    return ps_slot_is_packed(s) ? s : ps_node_saved(ps_slot_node(s));
}

/* Whether two slots of nodes are known to hold the same subtree, without looking
 * into it. Never raises; false when in doubt. */
PS_INLINE bool
ps_child_same(ps_state *st, ps_slot a, ps_slot b)
{
    if (a == b) {
        return true;
    }
    ps_slot ra = ps_child_record(a), rb = ra ? ps_child_record(b) : 0;
    return rb != 0 && (ra == rb || st->pack_ops->same(st, ra, rb));
}

/* New reference to the key or value in slot s, decoded when it is packed. */
PS_INLINE PyObject *
ps_slot_get(ps_state *st, ps_slot s)
{
    if (PS_UNLIKELY(ps_slot_is_packed(s))) {
        return st->pack_ops->value(st, s);
    }
    return Py_NewRef(ps_slot_obj(s));
}

/* 1 / 0: a == b by identity, then __eq__; -1 with an exception. Runs user code, and
 * keeps both alive meanwhile. */
int ps_object_eq(PyObject *a, PyObject *b);

/* Exact str against exact str: no user code. */
PS_INLINE int
ps_unicode_eq(PyObject *a, PyObject *b)
{
    Py_ssize_t n = PyUnicode_GET_LENGTH(a);
    return n == PyUnicode_GET_LENGTH(b) && PyUnicode_KIND(a) == PyUnicode_KIND(b) &&
           memcmp(PyUnicode_DATA(a), PyUnicode_DATA(b), (size_t)n * PyUnicode_KIND(a)) == 0;
}

/* 1 / 0: the keys are equal; -1 with an exception. */
PS_INLINE int
ps_key_eq(PyObject *a, PyObject *b)
{
    if (a == b) {
        return 1;
    }
    if (PyUnicode_CheckExact(a) && PyUnicode_CheckExact(b)) {
        return ps_unicode_eq(a, b);
    }
    return ps_object_eq(a, b);
}

/* 1 / 0: the key in slot s equals key; -1 with an exception. Runs user code. */
PS_INLINE int
ps_slot_key_eq(ps_state *st, ps_slot s, PyObject *key)
{
    if (PS_UNLIKELY(ps_slot_is_packed(s))) {
        return st->pack_ops->key_eq(st, s, key);
    }
    return ps_key_eq(ps_slot_obj(s), key);
}

#endif
