/* rrb_part.h -- nodes and bodies of the RRB tree: what its files share.
 *
 * A body is the tree without its head and tail: a root, its level and its number of
 * elements. Leaves are level 0. Sizes are counts of elements. */
#ifndef PS_RRB_PART_H
#define PS_RRB_PART_H

#include "rrb.h"

#define PS_RRB_HALF (PS_WIDTH / 2)

/* Tag of a leaf that was allocated with PS_WIDTH slots, whatever it holds: its owner may
 * append in place. Other tags of leaves are 0; the tag of an inner node is its level. */
#define PS_RRB_OPEN 0x100u

typedef struct {
    ps_slot root; /* owned; 0: empty */
    int level;
    Py_ssize_t count;
} ps_rrb_body;

/* Children on the way from one node to another: owned slots (0: moved out) and their sizes. */
#define PS_RRB_LIST (2 * PS_WIDTH + 2)
typedef struct {
    int n;
    ps_slot slot[PS_RRB_LIST];
    Py_ssize_t size[PS_RRB_LIST];
} ps_rrb_list;

/* ---- rrb_node.c */
/* New reference to the node in a slot, of `count` elements. NULL with an exception. */
PS_INLINE ps_node *
ps_rrb_open(ps_state *st, ps_slot s, int level, Py_ssize_t count)
{
    return ps_slot_open_array(st, s, PS_ARRAY_VECTOR, level, count);
}

/* Which child of n, with *count elements below it, element *at is in; both become the
 * child's. */
PS_INLINE uint32_t
ps_rrb_child(ps_node *n, int level, size_t *at, Py_ssize_t *count)
{
    uint32_t shift = (uint32_t)(level * PS_BITS), k;
    size_t begin;
    if (PS_LIKELY(ps_node_raw_words(n) == 0)) {
        k = (uint32_t)(*at >> shift);
        begin = (size_t)k << shift;
        *count = k + 1 < n->datamap ? (Py_ssize_t)1 << shift : *count - (Py_ssize_t)begin;
    }
    else {
        const uint64_t *ends = ps_node_raw(n);
        k = shift < 64 ? (uint32_t)(*at >> shift) : 0;
        while (ends[k] <= *at) {
            k++;
        }
        begin = k > 0 ? ends[k - 1] : 0;
        *count = (Py_ssize_t)(ends[k] - begin);
    }
    *at -= begin;
    return k;
}

PS_INLINE Py_ssize_t
ps_rrb_n_tail(const ps_rrb *t)
{
    return t->count - t->body - (Py_ssize_t)t->n_head;
}

PS_INLINE ps_rrb_body
ps_rrb_body_of(const ps_rrb *t)
{
    return (ps_rrb_body){t->root, (int)(t->shift / PS_BITS), t->body};
}

PS_INLINE void
ps_rrb_set_body(ps_rrb *t, ps_rrb_body b)
{
    t->root = b.root;
    t->shift = (uint16_t)(b.level * PS_BITS);
    t->body = b.count;
}

/* Whether a node around the one in the slot has to be a GC node. */
PS_INLINE bool
ps_rrb_child_gc(ps_state *st, ps_slot s)
{
    return !ps_slot_is_packed(s) && ps_node_is_gc(st, ps_slot_node(s));
}

/* Elements below a full node of that level; the largest number when that is no number. */
PS_INLINE Py_ssize_t
ps_rrb_full(int level)
{
    int bits = PS_BITS * (level + 1);
    return bits < 63 ? (Py_ssize_t)1 << bits : PY_SSIZE_T_MAX;
}

/* A full, tracked leaf of the slots of a, then those of b; takes new references. */
ps_node *ps_rrb_leaf_new(ps_state *st, bool gc, const ps_slot *a, int n_a, const ps_slot *b,
                         int n_b);
/* The same, and value at the end; room for PS_WIDTH slots when `open`. */
ps_node *ps_rrb_leaf_append(ps_state *st, bool gc, const ps_slot *a, int n_a, PyObject *value,
                            bool open);
/* The slots at, at+1, ... of a leaf as one of their own; the leaf itself if that is all. */
ps_slot ps_rrb_leaf_part(ps_state *st, ps_slot leaf, Py_ssize_t size, Py_ssize_t at, Py_ssize_t n);
/* A copy of a node in which slot k is s (stolen, also on error). */
ps_node *ps_rrb_with_slot(ps_state *st, ps_node *n, uint32_t k, ps_slot s, bool gc);
/* Sizes of the children of an inner node with `count` elements below it. */
void ps_rrb_sizes(ps_node *n, int level, Py_ssize_t count, Py_ssize_t *sizes);
/* An inner node of n children, which are moved into it; they stay the caller's on error. */
ps_node *ps_rrb_inner(ps_state *st, int level, ps_slot *children, const Py_ssize_t *sizes, int n);
/* n without `remove` children from `at` on, and with `child` there instead (stolen, also on
 * error; 0: none). */
ps_node *ps_rrb_splice(ps_state *st, ps_node *n, int level, const Py_ssize_t *sizes, int at,
                       int remove, ps_slot child, Py_ssize_t child_size);

/* Append children from <= i < to of an inner node. */
void ps_rrb_list_add(ps_state *st, ps_rrb_list *l, ps_node *n, const Py_ssize_t *sizes, int from,
                     int to);
void ps_rrb_list_clear(ps_state *st, ps_rrb_list *l);
/* The children from, from+1, ... as a node of their own, and its size. */
ps_slot ps_rrb_list_node(ps_state *st, ps_rrb_list *l, int level, int from, int n,
                         Py_ssize_t *size);

/* How many of total > PS_WIDTH slots the first of two nodes takes: all it can, as long as
 * the second is half full. */
PS_INLINE int
ps_rrb_split(int total)
{
    return total - PS_WIDTH >= PS_RRB_HALF ? PS_WIDTH : total - PS_RRB_HALF;
}

/* ---- rrb_body.c: *b is replaced (its old root is dropped), or stays on error */
/* A leaf (borrowed) of at least PS_RRB_HALF elements at one end. */
int ps_rrb_body_push(ps_state *st, ps_rrb_body *b, ps_slot leaf, Py_ssize_t size, bool front);
/* Take the leaf at one end out: *leaf is new (0 on error), *size its elements. b is not empty. */
int ps_rrb_body_pop(ps_state *st, ps_rrb_body *b, ps_slot *leaf, Py_ssize_t *size, bool front);
/* Lower the root as long as it has too few children. */
int ps_rrb_body_tighten(ps_state *st, ps_rrb_body *b);
/* The borrowed leaf (never packed: opened when it was) of element at < count; *start: the
 * index of its first element. New reference. */
ps_node *ps_rrb_body_leaf(ps_state *st, const ps_rrb_body *b, Py_ssize_t at, Py_ssize_t *start);

/* ---- rrb_iter.c */
/* Two trees (borrowed) that are walked in step, and what is known of the path to where the walk is:
 * packed nodes stay open till it goes on to others, and two nodes are compared once. */
typedef struct ps_rrb_path ps_rrb_path;
typedef struct {
    ps_state *st;
    const ps_rrb *a, *b;
    ps_rrb_path *path; /* owned; NULL as long as no packed node was met */
} ps_rrb_pair;

void ps_rrb_pair_clear(ps_rrb_pair *p);
/* Whether element i of a and element j of b are the same element of a subtree that both have, or
 * of two that were saved with one digest: *before and *behind: its elements before that one, and
 * from that one on. 1, 0; -1 with an exception. */
int ps_rrb_shared_at(ps_rrb_pair *p, Py_ssize_t i, Py_ssize_t j, Py_ssize_t *before,
                     Py_ssize_t *behind);

/* New reference for *b's root. */
PS_INLINE ps_rrb_body
ps_rrb_body_share(ps_state *st, ps_rrb_body b)
{
    if (b.root) {
        ps_slot_incref(st, b.root);
    }
    return b;
}

PS_INLINE void
ps_rrb_body_become(ps_state *st, ps_rrb_body *b, ps_rrb_body with)
{
    ps_slot old = b->root;
    *b = with;
    ps_slot_xdecref(st, old);
}

#endif
