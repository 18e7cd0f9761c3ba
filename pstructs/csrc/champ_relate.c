/* champ_relate.c -- equality, subset and disjointness of two tries.
 *
 * Canonical form makes equality structural: equal contents have equal bitmaps, so
 * the first bitmap that differs answers, and no key is hashed. Subtrees that are
 * one node, or records with equal digests, are not entered: versions that differ
 * in k keys cost O(k log n) at most, and one walk of both otherwise.
 *
 * Subset and disjointness stop at the first witness. An entry that meets a child
 * is looked up in it.
 */
#include "champ_part.h"

typedef int (*relation)(ps_state *st, ps_slot a, ps_slot b, int width, int level);

/* Entry e (of width slots) is somewhere among the entries of collision node b:
 * 1 / 0 / -1. values: an equal key needs an equal value too. */
static int
in_collision(ps_state *st, const ps_slot *e, const ps_node *b, int width, bool values)
{
    for (int i = 0, n = ps_node_entries(b); i < n; i++) {
        const ps_slot *other = &b->slots[i * width];
        int eq = ps_slots_key_eq(st, e[0], other[0]);
        if (eq != 0) {
            return eq > 0 && values && width == 2 ? ps_slots_value_eq(st, e[1], other[1]) : eq;
        }
    }
    return 0;
}

/* How many entries of a are in b (stops at the first that is not `wanted`). */
static int
collisions_all(ps_state *st, const ps_node *a, const ps_node *b, int width, bool values,
               int wanted)
{
    for (int i = 0, n = ps_node_entries(a); i < n; i++) {
        int in = in_collision(st, &a->slots[i * width], b, width, values);
        if (in != wanted) {
            return in < 0 ? -1 : 0;
        }
    }
    return 1;
}

/* ---- equality */

static int equal(ps_state *st, ps_slot sa, ps_slot sb, int width, int level);

PS_INLINE int
equal_nodes(ps_state *st, const ps_node *a, const ps_node *b, const int width, int level)
{
    if (a->datamap != b->datamap || a->nodemap != b->nodemap) {
        return 0;
    }
    if (PS_UNLIKELY(level == PS_MAX_LEVEL)) {
        return collisions_all(st, a, b, width, true, 1);
    }
    int entries = ps_popcount(a->datamap), children = ps_popcount(a->nodemap);
    const ps_slot *x = a->slots, *y = b->slots, *stop = x + entries * width;
    for (; x < stop; x += width, y += width) {
        int eq = ps_slots_key_eq(st, x[0], y[0]);
        if (PS_UNLIKELY(eq <= 0)) {
            return eq;
        }
        if (width == 2 && x[1] != y[1]) {
            eq = ps_slots_value_eq_slow(st, x[1], y[1]);
            if (eq <= 0) {
                return eq;
            }
        }
    }
    for (int i = 0; i < children; i++) {
        if (i + 1 < children) {
            /* A packed slot gives an address nobody owns: a prefetch can't fault. */
            ps_prefetch(x[i + 1]);
            ps_prefetch(y[i + 1]);
        }
        if (!ps_child_same(st, x[i], y[i])) {
            int eq = equal(st, x[i], y[i], width, level + 1);
            if (eq <= 0) {
                return eq;
            }
        }
    }
    return 1;
}

static int
equal(ps_state *st, ps_slot sa, ps_slot sb, int width, int level)
{
    int eq = -1;
    /* Collections in collections: the comparison of values counts one step of recursion for
     * each, however many levels deep in its trie it lies. 10,000 steps (3.13) of 27 levels
     * were more than the C stack has, so every second level counts as well. */
    bool counts = level > 0 && level % 2 == 0;
    if (counts && Py_EnterRecursiveCall(" while comparing persistent collections")) {
        return -1;
    }
    ps_node *a, *b;
    if (ps_child_open_pair(st, sa, sb, width, level, &a, &b) == 0) {
        eq = width == 2 ? equal_nodes(st, a, b, 2, level) : equal_nodes(st, a, b, 1, level);
    }
    ps_child_close(sa, a);
    ps_child_close(sb, b);
    if (counts) {
        Py_LeaveRecursiveCall();
    }
    return eq;
}

/* ---- subset and disjointness */

static int
subset(ps_state *st, ps_slot sa, ps_slot sb, int width, int level)
{
    int yes = -1;
    ps_node *a = ps_child_open(st, sa, width, level);
    ps_node *b = a == NULL ? NULL : ps_child_open(st, sb, width, level);
    if (b == NULL) {
        goto done;
    }
    if (level == PS_MAX_LEVEL) {
        yes = ps_node_entries(a) > ps_node_entries(b) ? 0
                                                      : collisions_all(st, a, b, width, false, 1);
        goto done;
    }
    yes = 0;
    /* A child has two entries or more: an entry can't hold them. */
    if (a->datamap & ~(b->datamap | b->nodemap) || a->nodemap & ~b->nodemap) {
        goto done;
    }
    const ps_slot *ca = a->slots + ps_popcount(a->datamap) * width;
    const ps_slot *cb = b->slots + ps_popcount(b->datamap) * width;
    const ps_slot *ea = a->slots;
    for (uint32_t bits = a->datamap; bits; bits &= bits - 1, ea += width) {
        uint32_t bit = bits & -bits;
        if (b->datamap & bit) {
            yes = ps_slots_key_eq(st, ea[0], b->slots[ps_index(b->datamap, bit) * width]);
        }
        else {
            ps_hashed h;
            ps_slot k, v;
            yes = ps_hashed_init_slot(st, &h, ea[0]) < 0
                      ? -1
                      : (int)ps_champ_find_entry(st, cb[ps_index(b->nodemap, bit)], width,
                                                 level + 1, &h, &k, &v);
        }
        if (yes <= 0) {
            goto done;
        }
    }
    for (uint32_t bits = a->nodemap; bits; bits &= bits - 1, ca++) {
        ps_slot other = cb[ps_index(b->nodemap, bits & -bits)];
        if (!ps_child_same(st, *ca, other)) {
            yes = subset(st, *ca, other, width, level + 1);
            if (yes <= 0) {
                goto done;
            }
        }
    }
    yes = 1;
done:
    ps_child_close(sa, a);
    ps_child_close(sb, b);
    return yes;
}

/* Whether the entry with key slot `key` is absent below sub. */
static int
absent(ps_state *st, ps_slot key, ps_slot sub, int width, int level)
{
    ps_hashed h;
    ps_slot k, v;
    if (ps_hashed_init_slot(st, &h, key) < 0) {
        return -1;
    }
    ps_found found = ps_champ_find_entry(st, sub, width, level, &h, &k, &v);
    return found == PS_ERROR ? -1 : found == PS_NOT_FOUND;
}

static int
disjoint(ps_state *st, ps_slot sa, ps_slot sb, int width, int level)
{
    int yes = -1;
    ps_node *a = ps_child_open(st, sa, width, level);
    ps_node *b = a == NULL ? NULL : ps_child_open(st, sb, width, level);
    if (b == NULL) {
        goto done;
    }
    if (level == PS_MAX_LEVEL) {
        yes = collisions_all(st, a, b, width, false, 0);
        goto done;
    }
    const ps_slot *ca = a->slots + ps_popcount(a->datamap) * width;
    const ps_slot *cb = b->slots + ps_popcount(b->datamap) * width;
    uint32_t both = (a->datamap | a->nodemap) & (b->datamap | b->nodemap);
    for (; both; both &= both - 1) {
        uint32_t bit = both & -both;
        if (a->datamap & bit) {
            ps_slot key = a->slots[ps_index(a->datamap, bit) * width];
            if (b->datamap & bit) {
                int eq = ps_slots_key_eq(st, key, b->slots[ps_index(b->datamap, bit) * width]);
                yes = eq < 0 ? -1 : !eq;
            }
            else {
                yes = absent(st, key, cb[ps_index(b->nodemap, bit)], width, level + 1);
            }
        }
        else {
            ps_slot child = ca[ps_index(a->nodemap, bit)];
            if (b->datamap & bit) {
                yes = absent(st, b->slots[ps_index(b->datamap, bit) * width], child, width,
                             level + 1);
            }
            else {
                ps_slot other = cb[ps_index(b->nodemap, bit)];
                yes = ps_child_same(st, child, other)
                          ? 0
                          : disjoint(st, child, other, width, level + 1);
            }
        }
        if (yes <= 0) {
            goto done;
        }
    }
    yes = 1;
done:
    ps_child_close(sa, a);
    ps_child_close(sb, b);
    return yes;
}

/* ---- */

/* Two trees that are not empty. */
static int
holding(ps_state *st, relation r, ps_tree a, ps_tree b, int width)
{
    ps_slot_incref(st, a.root);
    ps_slot_incref(st, b.root);
    int yes = r(st, a.root, b.root, width, 0);
    ps_slot_decref(st, a.root);
    ps_slot_decref(st, b.root);
    return yes;
}

int
ps_champ_equal(ps_state *st, ps_tree a, ps_tree b, int width)
{
    if (a.count != b.count) {
        return 0;
    }
    if (a.root == 0 || ps_child_same(st, a.root, b.root)) {
        return 1;
    }
    return holding(st, equal, a, b, width);
}

int
ps_champ_is_subset(ps_state *st, ps_tree a, ps_tree b, int width)
{
    if (a.root == 0) {
        return 1;
    }
    if (a.count > b.count) {
        return 0;
    }
    return ps_child_same(st, a.root, b.root) ? 1 : holding(st, subset, a, b, width);
}

int
ps_champ_is_disjoint(ps_state *st, ps_tree a, ps_tree b, int width)
{
    if (a.root == 0 || b.root == 0) {
        return 1;
    }
    return ps_child_same(st, a.root, b.root) ? 0 : holding(st, disjoint, a, b, width);
}
