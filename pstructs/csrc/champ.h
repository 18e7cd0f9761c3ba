/* champ.h -- the persistent hash trie (CHAMP) below maps and sets.
 *
 * A tree is (root slot, count): root is 0 when empty, else a heap node or a
 * packed node record. Functions take trees of width 2 (map) or 1 (set) and
 * work on any mix of heap and packed nodes.
 *
 * Ownership: "returns new" results own one reference to their root.
 * User code (__hash__, __eq__, decoders) runs only while no node is half built.
 */
#ifndef PS_CHAMP_H
#define PS_CHAMP_H

#include "hash.h"
#include "node.h"

typedef struct {
    ps_slot root;
    Py_ssize_t count;
} ps_tree;

/* Position bits of a key, level by level; H2 is computed when first needed. */
typedef struct {
    PyObject *key; /* borrowed; NULL when the key is the packed slot `packed` */
    ps_slot packed;
    uint64_t h1;
    uint64_t h2;
    bool has_h2;
} ps_hashed;

/* Start from a key object (computes H1) or from a slot. 0, -1 on error. */
int ps_hashed_init(ps_state *st, ps_hashed *h, PyObject *key);
int ps_hashed_init_slot(ps_state *st, ps_hashed *h, ps_slot key);
/* Index 0..PS_WIDTH-1 at level < PS_MAX_LEVEL; -1 on error. */
int ps_hashed_index_h2(ps_state *st, ps_hashed *h, int level);
PS_INLINE int
ps_hash_bits(uint64_t h, int bits, int level)
{
    /* The top bits come first, so that sorting by hash gives the trie's order.
     * H1 cut to `bits` bits uses its topmost ones. */
    uint64_t cut = bits == 64 ? h : h & ~(UINT64_MAX >> bits);
    return (int)((cut << (PS_BITS * level)) >> (64 - PS_BITS));
}
PS_INLINE int
ps_hashed_index(ps_state *st, ps_hashed *h, int level)
{
    if (PS_LIKELY(level < PS_H1_LEVELS)) {
        return ps_hash_bits(h->h1, PS_H1_BITS, level);
    }
    return ps_hashed_index_h2(st, h, level);
}

/* ---- champ_find.c */
/* The hot lookup: needs no module state and runs no user code. It ends at an
 * identical key or an equal str (HIT) or where no entry can be (MISS); everything else
 * (another type of key, a packed node, H2) goes on in *_from. */
typedef enum { PS_PROBE_MISS, PS_PROBE_HIT, PS_PROBE_ON } ps_probe_result;
typedef struct {
    ps_slot at;  /* HIT: the value slot (the key slot in sets); ON: the node to go on from */
    uint64_t h1; /* ON: H1 of the key */
    int level;   /* ON: of the node; -1: the key is not hashed yet */
} ps_probe;

#ifdef PS_SMALL
#define PS_PROBE_LEVELS 0
#else
#define PS_PROBE_LEVELS PS_H1_LEVELS
#endif

/* Whether the key in a slot is an exact str equal to key. Not inline: the usual key is
 * identical, and its lookup then needs no stack frame. */
bool ps_champ_same_str(ps_slot s, PyObject *key);

PS_INLINE ps_probe_result
ps_champ_probe(ps_slot root, int width, PyObject *key, ps_probe *p)
{
    uint64_t h1;
    ps_slot s = root;
    int level = 0;
    if (PS_UNLIKELY(!ps_hash1_fast(key, &h1))) {
        p->at = root;
        p->level = -1;
        return PS_PROBE_ON;
    }
    for (uint64_t bits = h1;; level++, bits <<= PS_BITS) {
        if (PS_UNLIKELY(s == 0 || ps_slot_is_packed(s) || level == PS_PROBE_LEVELS)) {
            break;
        }
        const ps_node *n = ps_slot_node(s);
        int at = (int)(bits >> (64 - PS_BITS));
        if (n->nodemap == UINT32_MAX && n->datamap == 0) {
            /* All children, as nearly every node of the upper levels: guessing this branch
             * right, the processor loads the slot without waiting for the bitmaps. */
            s = n->slots[at];
            continue;
        }
        uint32_t bitpos = 1u << at;
        if (n->nodemap & bitpos) {
            s = n->slots[ps_popcount(n->datamap) * width + ps_index(n->nodemap, bitpos)];
            continue;
        }
        if (!(n->datamap & bitpos)) {
            return PS_PROBE_MISS;
        }
        const ps_slot *e = n->slots + ps_index(n->datamap, bitpos) * width;
        if (PS_UNLIKELY(e[0] != ps_slot_heap(key)) && !ps_champ_same_str(e[0], key)) {
            break;
        }
        if (PS_UNLIKELY(ps_slot_is_packed(e[width - 1]))) {
            break;
        }
        p->at = e[width - 1];
        return PS_PROBE_HIT;
    }
    *p = (ps_probe){.at = s, .h1 = h1, .level = level};
    return PS_PROBE_ON;
}

ps_found ps_champ_find_from(ps_state *st, const ps_probe *p, int width, PyObject *key,
                            ps_slot *found_key, ps_slot *found_value);
/* PS_FOUND: *value is a new reference. */
ps_found ps_champ_get_from(ps_state *st, const ps_probe *p, PyObject *key, PyObject **value);
ps_found ps_champ_contains_from(ps_state *st, const ps_probe *p, int width, PyObject *key);

/* The same from the root, where a few ns do not count. */
PS_INLINE ps_found
ps_champ_get(ps_state *st, ps_slot root, PyObject *key, PyObject **value)
{
    return ps_champ_get_from(st, &(ps_probe){.at = root, .level = -1}, key, value);
}

PS_INLINE ps_found
ps_champ_contains(ps_state *st, ps_slot root, int width, PyObject *key)
{
    return ps_champ_contains_from(st, &(ps_probe){.at = root, .level = -1}, width, key);
}

/* Borrowed slots of the entry equal to h's key, searched from a node of `level`. */
ps_found ps_champ_find_entry(ps_state *st, ps_slot root, int width, int level, ps_hashed *h,
                             ps_slot *key, ps_slot *value);

/* ---- champ_update.c */
typedef enum {
    PS_FAILED = -1,    /* exception set, tree as it was */
    PS_UNCHANGED = 0,  /* the tree already was so */
    PS_ADDED = 1,
    PS_REPLACED = 2,
    PS_REMOVED = 3,
} ps_change;

/* Insert or replace. value == NULL for sets. *t is updated; with in_place the
 * nodes whose whole path is referenced once are written in place (evolvers),
 * else t's old root keeps its value and t gets a new one (the old reference is
 * consumed either way). What was replaced or removed may be given back in
 * garbage[0..1] (owned, or 0; set on failure too), so that its destructor runs
 * when the caller is ready: release both, always. */
ps_change ps_champ_set(ps_state *st, ps_tree *t, int width, PyObject *key, PyObject *value,
                       bool in_place, ps_slot garbage[2]);
ps_change ps_champ_remove(ps_state *st, ps_tree *t, int width, PyObject *key, bool in_place,
                          ps_slot garbage[2]);
/* Track what an evolver built, so that the tree can be shared. */
void ps_champ_publish(ps_state *st, ps_slot root);

/* Visit what an evolver's root reaches through untracked nodes, as its own. */
int ps_champ_visit_untracked(ps_state *st, ps_slot root, visitproc visit, void *arg);
/* New node of two entries (slots borrowed) with different keys, at `level` or, while
 * their positions agree, in a chain of nodes below it. NULL on error. */
ps_node *ps_champ_pair(ps_state *st, int width, int level, const ps_slot *a, ps_hashed *ha,
                       const ps_slot *b, ps_hashed *hb);

/* ---- champ_build.c: bulk construction */
/* items: n * width owned references, interleaved (k0 v0 k1 v1 ... or k0 k1 ...); all
 * are consumed, whatever happens. Of equal keys the first key and the last value are
 * kept. Returns 0 and a new tree, or -1. */
int ps_champ_build(ps_state *st, int width, PyObject **items, Py_ssize_t n, ps_tree *out);

/* ---- champ_iter.c */
typedef struct {
    const ps_slot *entry; /* next entry of the current node */
    const ps_slot *stop;  /* behind its last entry */
    ps_node *node[PS_MAX_LEVEL + 1]; /* owned; the path to the current node */
    int8_t child[PS_MAX_LEVEL + 1];  /* next child to visit, a level */
    int8_t level;                    /* of the current node; -1: finished */
    int8_t width;
} ps_champ_iter;
int ps_champ_iter_init(ps_state *st, ps_champ_iter *it, ps_slot root, int width);
int ps_champ_iter_descend(ps_state *st, ps_champ_iter *it); /* 1 more, 0 end, -1 error */
void ps_champ_iter_clear(ps_champ_iter *it);

/* 1: *entry points at a key slot (and its value slot), borrowed from the iterator
 * until the next call; 0: end; -1: exception. */
PS_INLINE int
ps_champ_iter_next(ps_state *st, ps_champ_iter *it, const ps_slot **entry)
{
    if (PS_UNLIKELY(it->entry == it->stop)) {
        int more = ps_champ_iter_descend(st, it);
        if (more <= 0) {
            return more;
        }
    }
    *entry = it->entry;
    it->entry += it->width;
    return 1;
}

/* ---- champ_partition.c */
/* Number of entries below a slot (0: none). Walks heap nodes, asks packs. -1 on error. */
Py_ssize_t ps_champ_count(ps_state *st, ps_slot slot, int width, int level);
/* The i-th of n disjoint parts, cut along subtree boundaries. 0 and a new tree, -1. */
int ps_champ_partition(ps_state *st, ps_tree t, int width, Py_ssize_t i, Py_ssize_t n,
                       ps_tree *out);

/* ---- champ_algebra.c: two trees; shared subtrees are skipped or reused */
/* 1 equal, 0 not, -1 error. Values compared by identity, then ==. */
int ps_champ_equal(ps_state *st, ps_tree a, ps_tree b, int width);
/* a | b: entries of b win their values, keys of a are kept. Returns 0 and a new
 * tree (a's or b's own root when nothing else is needed), or -1. */
int ps_champ_union(ps_state *st, ps_tree a, ps_tree b, int width, ps_tree *out);
int ps_champ_intersection(ps_state *st, ps_tree a, ps_tree b, int width, ps_tree *out);
int ps_champ_difference(ps_state *st, ps_tree a, ps_tree b, int width, ps_tree *out);
int ps_champ_symmetric_difference(ps_state *st, ps_tree a, ps_tree b, int width, ps_tree *out);
int ps_champ_is_subset(ps_state *st, ps_tree a, ps_tree b, int width);   /* 1, 0, -1 */
int ps_champ_is_disjoint(ps_state *st, ps_tree a, ps_tree b, int width); /* 1, 0, -1 */

/* ---- champ_diff.c */
/* Calls visit for every key whose entry differs: in a only (b_value 0), in b
 * only (a_value 0), or in both with values that are neither identical nor equal
 * with the same type (True -> 1 is an edit). Slots are borrowed for the call.
 * A set gives its key slot as value. Stops at the first non-zero result and
 * returns it. */
typedef int (*ps_diff_visit)(ps_state *st, void *arg, ps_slot key, ps_slot a_value,
                             ps_slot b_value);
int ps_champ_diff(ps_state *st, ps_tree a, ps_tree b, int width, ps_diff_visit visit, void *arg);

/* ---- champ_merge.c: three-way merge */
/* Decides a key that both sides changed differently. The slots are borrowed, 0 where
 * a side lacks the key. *keep: the value to keep (owned), or 0 to remove the key.
 * 0, or -1 with an exception. Never called for sets: there is nothing to disagree on. */
typedef int (*ps_merge_resolve)(ps_state *st, void *arg, ps_slot key, ps_slot base, ps_slot ours,
                                ps_slot theirs, ps_slot *keep);
/* ours with the changes from base to theirs; shares what it can with ours, or is theirs
 * when ours is base. Returns 0 and a new tree, or -1. */
int ps_champ_merge(ps_state *st, ps_tree base, ps_tree ours, ps_tree theirs, int width,
                   ps_merge_resolve resolve, void *arg, ps_tree *out);

/* ---- champ_check.c: every invariant; -1 with AssertionError */
int ps_champ_check(ps_state *st, ps_tree t, int width);
/* Stops the process instead; runs no user code, looks at a bounded number of nodes. */
void ps_champ_check_or_abort(ps_state *st, ps_tree t, int width);

#ifdef PS_DEBUG
#define PS_CHECK(st, t, width) ps_champ_check_or_abort(st, t, width)
#else
#define PS_CHECK(st, t, width) ((void)0)
#endif

#endif
