/* champ_tally.c -- how many entries two trees have in common, in O(changes).
 *
 * With C common entries, A only in a, and B only in b:
 *
 *     |a| = C + A     |b| = C + B
 *
 *     union C + A + B   intersection C   difference A   symmetric A + B
 *
 * Two versions of one tree share big subtrees, and differ by little: counting A
 * or B is cheap and counting C is a walk over everything. Two unrelated trees
 * share none: C was counted on the way and A may be a huge subtree that nobody
 * entered. So all three are counted with a small budget of nodes, then a larger
 * one, until one of them is done: at most a constant factor over the cheapest.
 */
#include "champ_part.h"
#include "error.h"

static int
add(ps_state *st, ps_tally_pile *p, ps_slot node, uint32_t mask)
{
    if (p->n == p->room) {
        Py_ssize_t room = p->room ? 2 * p->room : 32;
        ps_tally_item *items = PyMem_Realloc(p->items, (size_t)room * sizeof *items);
        if (items == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        p->items = items;
        p->room = room;
    }
    if (ps_slot_is_packed(node)) {
        ps_slot_incref(st, node);
    }
    p->items[p->n++] = (ps_tally_item){.node = node, .mask = mask};
    return 0;
}

int
ps_tally_sub(ps_state *st, ps_tally *t, ps_pile pile, ps_slot sub)
{
    return add(st, &t->pile[pile], sub, 0);
}

int
ps_tally_children(ps_state *st, ps_tally *t, ps_pile pile, ps_slot s, const ps_node *node,
                  uint32_t mask)
{
    if (mask == 0) {
        return 0;
    }
    if (!ps_slot_is_packed(s)) {
        return add(st, &t->pile[pile], s, mask);
    }
    /* The node was opened for the walk and goes away after it. */
    const ps_slot *child = node->slots + ps_node_entries(node) * ps_node_width(node);
    for (; mask; mask &= mask - 1) {
        if (ps_tally_sub(st, t, pile, child[ps_index(node->nodemap, mask & -mask)]) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Adds the entries below a child slot to *n. 1: counted, 0: out of budget, -1:
 * exception. Bounded recursion: a level each. */
static int
count_below(ps_state *st, ps_slot sub, Py_ssize_t *budget, Py_ssize_t *n)
{
    if (--*budget < 0) {
        return 0;
    }
    ps_slot record = ps_child_record(sub);
    if (record) {
        Py_ssize_t count = st->pack_ops->count(st, record);
        if (PS_UNLIKELY(count > 0 && *n > PY_SSIZE_T_MAX - count)) {
            ps_raise(st, "DamagedPackError",
                     "the packs of a collection count more entries than there can be");
            return -1;
        }
        *n += count;
        return count < 0 ? -1 : 1;
    }
    ps_node *node = ps_slot_node(sub);
    int entries = ps_node_entries(node), children = ps_node_children(node);
    const ps_slot *child = node->slots + entries * ps_node_width(node);
    *n += entries;
    for (int i = 0; i < children; i++) {
        int done = count_below(st, child[i], budget, n);
        if (done != 1) {
            return done;
        }
    }
    return 1;
}

/* The same for one item of a pile. */
static int
count_item(ps_state *st, const ps_tally_item *item, Py_ssize_t *budget, Py_ssize_t *n)
{
    if (item->mask == 0) {
        return count_below(st, item->node, budget, n);
    }
    const ps_node *node = ps_slot_node(item->node);
    const ps_slot *child = node->slots + ps_node_entries(node) * ps_node_width(node);
    for (uint32_t bits = item->mask; bits; bits &= bits - 1) {
        int done = count_below(st, child[ps_index(node->nodemap, bits & -bits)], budget, n);
        if (done != 1) {
            return done;
        }
    }
    return 1;
}

/* The size of a pile. 1: *n is it, 0: out of budget, -1: exception. */
static int
count_pile(ps_state *st, const ps_tally_pile *p, Py_ssize_t budget, Py_ssize_t *n)
{
    *n = p->single;
    if (p->n > budget) {
        return 0;
    }
    for (Py_ssize_t i = 0; i < p->n; i++) {
        int done = count_item(st, &p->items[i], &budget, n);
        if (done != 1) {
            return done;
        }
    }
    return 1;
}

Py_ssize_t
ps_tally_common(ps_state *st, ps_tally *t, Py_ssize_t a, Py_ssize_t b)
{
    for (Py_ssize_t budget = 64;; budget *= 4) {
        for (int i = 0; i < PS_PILES; i++) {
            Py_ssize_t n;
            int done = count_pile(st, &t->pile[i], budget, &n);
            if (done < 0) {
                return -1;
            }
            if (done) {
                return i == PS_PILE_COMMON ? n : i == PS_PILE_A ? a - n : b - n;
            }
        }
    }
}

void
ps_tally_clear(ps_state *st, ps_tally *t)
{
    for (int i = 0; i < PS_PILES; i++) {
        ps_tally_pile *p = &t->pile[i];
        for (Py_ssize_t k = 0; k < p->n; k++) {
            if (ps_slot_is_packed(p->items[k].node)) {
                ps_slot_decref(st, p->items[k].node);
            }
        }
        PyMem_Free(p->items);
        p->items = NULL;
        p->n = p->room = 0;
    }
}
