/* champ_part.h -- parts of a tree: what the operations on two trees work with.
 *
 * A part is what stands at one position of a node: nothing, an entry, or a
 * child. The operations on two trees compute parts bottom-up. A result with one
 * entry is handed up as an entry, and so ends inline in its parent: that is all
 * it takes to stay canonical.
 */
#ifndef PS_CHAMP_PART_H
#define PS_CHAMP_PART_H

#include "champ.h"

/* ---- comparing slots (champ_same.c). 1 / 0, -1 with an exception. */
int ps_slots_key_eq_slow(ps_state *st, ps_slot a, ps_slot b);
/* Identity, then ==. */
int ps_slots_value_eq_slow(ps_state *st, ps_slot a, ps_slot b);
/* Identity, then the same type and ==: whether an edit is none. */
int ps_slots_value_same_slow(ps_state *st, ps_slot a, ps_slot b);

PS_INLINE int
ps_slots_key_eq(ps_state *st, ps_slot a, ps_slot b)
{
    return a == b ? 1 : ps_slots_key_eq_slow(st, a, b);
}

PS_INLINE int
ps_slots_value_eq(ps_state *st, ps_slot a, ps_slot b)
{
    return a == b ? 1 : ps_slots_value_eq_slow(st, a, b);
}

PS_INLINE int
ps_slots_value_same(ps_state *st, ps_slot a, ps_slot b)
{
    return a == b ? 1 : ps_slots_value_same_slow(st, a, b);
}

/* The node in a child slot. Heap nodes are borrowed (whoever runs an operation holds
 * the roots, and nodes don't change); a packed one is opened. NULL on error. */
PS_INLINE ps_node *
ps_child_open(ps_state *st, ps_slot s, int width, int level)
{
    return PS_UNLIKELY(ps_slot_is_packed(s)) ? st->pack_ops->node(st, s, width, level)
                                             : ps_slot_node(s);
}

/* The nodes in two child slots, to compare them: of a child that both have, packed ones know
 * no more than that it is the same. 0 / -1. */
PS_INLINE int
ps_child_open_pair(ps_state *st, ps_slot sa, ps_slot sb, int width, int level, ps_node **a,
                   ps_node **b)
{
    if (ps_slot_is_packed(sa) && ps_slot_is_packed(sb)) {
        return st->pack_ops->pair(st, sa, sb, width, level, a, b);
    }
    *a = ps_child_open(st, sa, width, level);
    *b = *a == NULL ? NULL : ps_child_open(st, sb, width, level);
    return *b == NULL ? -1 : 0;
}

PS_INLINE void
ps_child_close(ps_slot s, ps_node *n)
{
    if (PS_UNLIKELY(ps_slot_is_packed(s))) {
        Py_XDECREF(n);
    }
}

/* ---- parts (champ_part.c) */
typedef enum { PS_PART_NONE = 0, PS_PART_ENTRY, PS_PART_NODE } ps_part_kind;

typedef struct {
    ps_part_kind kind;
    ps_slot key;   /* owned: the key of an entry, or the child */
    ps_slot value; /* owned: the value of an entry in a map, else 0 */
} ps_part;

void ps_part_clear(ps_state *st, ps_part *p);

/* p as a root slot (owned; 0 when empty). Consumes p, also on error. 0 / -1. */
int ps_part_to_root(ps_state *st, int width, ps_part *p, ps_slot *root);

/* The parts of a node in the making, in the order of their positions. */
typedef struct {
    uint32_t datamap, nodemap;
    int n_entries, n_children;
    uint32_t owned_entries;        /* bit i: entry i is owned, else borrowed */
    uint32_t owned_children;       /* likewise */
    ps_slot entries[2 * PS_WIDTH]; /* keys in 2 i, values in 2 i + 1 (0 in sets) */
    ps_slot children[PS_WIDTH];
} ps_draft;

PS_INLINE void
ps_draft_init(ps_draft *d)
{
    d->datamap = d->nodemap = 0;
    d->n_entries = d->n_children = 0;
    d->owned_entries = d->owned_children = 0;
}

/* Borrows key and value: they have to outlive the draft. */
PS_INLINE void
ps_draft_entry(ps_draft *d, uint32_t bitpos, ps_slot key, ps_slot value)
{
    int i = d->n_entries++;
    d->datamap |= bitpos;
    d->entries[2 * i] = key;
    d->entries[2 * i + 1] = value;
}

/* Borrows child, likewise. (A draft that comes to nothing because a node can be
 * reused has then not touched its children: that is most of the time of a union
 * of related versions.) */
PS_INLINE void
ps_draft_child(ps_draft *d, uint32_t bitpos, ps_slot child)
{
    d->nodemap |= bitpos;
    d->children[d->n_children++] = child;
}

/* Steals what p holds. */
PS_INLINE void
ps_draft_part(ps_draft *d, uint32_t bitpos, const ps_part *p)
{
    if (p->kind == PS_PART_NODE) {
        d->owned_children |= 1u << d->n_children;
        ps_draft_child(d, bitpos, p->key);
    }
    else if (p->kind == PS_PART_ENTRY) {
        d->owned_entries |= 1u << d->n_entries;
        ps_draft_entry(d, bitpos, p->key, p->value);
    }
}

void ps_draft_clear(ps_state *st, ps_draft *d);

/* Make the part that d describes; d is empty afterwards, also on error.
 * plain: it is known that nothing in it needs the collector. 0 / -1. */
int ps_draft_finish(ps_state *st, ps_draft *d, int width, bool plain, ps_part *out);

/* The part made of n entries whose keys share a whole hash (a collision node,
 * one entry, or nothing). entries: 2 n slots as in a draft, borrowed. 0 / -1. */
int ps_part_collision(ps_state *st, int width, const ps_slot *entries, Py_ssize_t n, ps_part *out);

/* One entry met with the subtree below the child slot `sub` of `level`. */
typedef enum {
    PS_EDIT_PUT,  /* insert; when the key is there, keep the key and take the value */
    PS_EDIT_JOIN, /* insert; when the key is there, take the key and keep the value */
    PS_EDIT_DROP, /* remove the key */
    PS_EDIT_FLIP, /* remove the key when it is there, else insert */
} ps_edit;

/* *out: what becomes of sub (owned); sub itself when nothing changes.
 * Whether the key was there; PS_ERROR with an exception. */
ps_found ps_part_edit(ps_state *st, int width, int level, ps_slot sub, ps_hashed *h, ps_slot key,
                      ps_slot value, ps_edit edit, ps_part *out);

/* The same on a whole tree, which is replaced; on error it is as it was. */
ps_found ps_tree_edit(ps_state *st, ps_tree *t, int width, ps_slot key, ps_slot value,
                      ps_edit edit);

/* ---- counting what two trees have in common (champ_tally.c)
 *
 * A walk over two trees sees their entries in three piles: common, in a only,
 * in b only; each as a number of single entries and a list of whole subtrees
 * that it did not enter. The sizes of a and b are known, so the size of any one
 * pile gives the others: the pile that is cheapest to count is counted. */
typedef enum { PS_PILE_COMMON, PS_PILE_A, PS_PILE_B, PS_PILES } ps_pile;

typedef struct {
    ps_slot node;  /* packed ones owned, heap ones borrowed */
    uint32_t mask; /* which children of a heap node; 0: the whole subtree */
} ps_tally_item;

typedef struct {
    Py_ssize_t single;
    ps_tally_item *items;
    Py_ssize_t n, room;
} ps_tally_pile;

typedef struct {
    ps_tally_pile pile[PS_PILES];
} ps_tally;

/* Add the subtree below a child slot. 0, or -1 with MemoryError. */
int ps_tally_sub(ps_state *st, ps_tally *t, ps_pile pile, ps_slot sub);
/* Add the subtrees in some children (nodemap bits) of the node that was opened from
 * slot s, not a collision node. 0, or -1 with MemoryError. */
int ps_tally_children(ps_state *st, ps_tally *t, ps_pile pile, ps_slot s, const ps_node *node,
                      uint32_t mask);
/* Number of common entries of trees with a and b entries; -1 with an exception. */
Py_ssize_t ps_tally_common(ps_state *st, ps_tally *t, Py_ssize_t a, Py_ssize_t b);
void ps_tally_clear(ps_state *st, ps_tally *t);

#endif
