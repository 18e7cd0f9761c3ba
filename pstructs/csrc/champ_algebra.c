/* champ_algebra.c -- union, intersection, difference, symmetric difference.
 *
 * Both tries are walked together, from the roots down. Equal keys have equal
 * hashes, so an entry can only meet its like at the same position:
 *
 *     a \ b     nothing        entry                     child
 *     nothing   -              b only                    b only, as a whole
 *     entry     a only         equal keys: common        the entry goes down
 *                              else both, one level up   alone: ps_part_edit
 *     child     a only, whole  the entry goes down       same subtree: common, as a
 *                                                        whole; else walk both
 *
 * An operation is the choice of which of the three it keeps:
 *
 *     union        a only, common, b only   (a's key, b's value)
 *     intersection         common           (a's key and value)
 *     difference   a only
 *     symmetric    a only,         b only
 *
 * "As a whole" takes O(1): the subtree is shared with the result, or left out. Two
 * subtrees are the same when they are one node, one packed record, or records with
 * equal digests. For versions that differ in k keys everything off the k paths is
 * the same, so the cost is O(k log n); for unrelated trees it is O(min) to O(sum).
 * A result node with all parts of a's node, or all of b's, is that node: a | b is
 * a's own root when b adds nothing.
 *
 * The number of entries comes from the tally (champ_tally.c), not from a walk.
 *
 * Paper: the bulk operations of Steindorfer's thesis (Efficient Immutable
 * Collections, 2017, chapter on CHAMP) on the same node layout.
 */
#include "champ_part.h"

enum { KEEP_A = 1, KEEP_COMMON = 2, KEEP_B = 4 };
#define UNION (KEEP_A | KEEP_COMMON | KEEP_B)
#define INTERSECTION KEEP_COMMON
#define DIFFERENCE KEEP_A
#define SYMMETRIC (KEEP_A | KEEP_B)

typedef struct {
    ps_state *st;
    int width;
    ps_tally tally;
} job;

static int combine(job *j, int keep, ps_slot sa, ps_slot sb, int level, ps_part *out);

static inline void
count(job *j, ps_pile pile, Py_ssize_t n)
{
    j->tally.pile[pile].single += n;
}

/* An entry of one side (mine: KEEP_A or KEEP_B) against a child of the other. The
 * result is owned. */
static int
meet(job *j, int keep, int mine, ps_slot key, ps_slot value, ps_slot sub, int level, ps_part *out)
{
    ps_state *st = j->st;
    ps_hashed h;
    ps_found found;
    *out = (ps_part){.kind = PS_PART_NONE};
    if (ps_hashed_init_slot(st, &h, key) < 0) {
        return -1;
    }
    int other = mine ^ (KEEP_A | KEEP_B);
    if (keep & other) {
        /* The subtree stays, more or less. */
        ps_edit edit = keep & KEEP_COMMON ? (mine == KEEP_A ? PS_EDIT_JOIN : PS_EDIT_PUT)
                       : keep & mine      ? PS_EDIT_FLIP
                                          : PS_EDIT_DROP;
        found = ps_part_edit(st, j->width, level, sub, &h, key, value, edit, out);
    }
    else {
        /* At most one entry stays: mine, or the common one as a has it. */
        ps_slot k = 0, v = 0;
        found = ps_champ_find_entry(st, sub, j->width, level, &h, &k, &v);
        if (keep & (found == PS_FOUND ? KEEP_COMMON : mine)) {
            bool as_mine = mine == KEEP_A || found == PS_NOT_FOUND;
            out->kind = PS_PART_ENTRY;
            out->key = ps_slot_incref(st, as_mine ? key : k);
            if (j->width == 2) {
                out->value = ps_slot_incref(st, as_mine ? value : v);
            }
        }
    }
    if (found == PS_ERROR) {
        return -1;
    }
    int met = found == PS_FOUND;
    count(j, PS_PILE_COMMON, met);
    count(j, mine == KEEP_A ? PS_PILE_A : PS_PILE_B, !met);
    count(j, mine == KEEP_A ? PS_PILE_B : PS_PILE_A, -met);
    if (ps_tally_sub(st, &j->tally, mine == KEEP_A ? PS_PILE_B : PS_PILE_A, sub) < 0) {
        ps_part_clear(st, out);
        return -1;
    }
    return 0;
}

/* Two entries with different keys at one position, both kept. */
static int
part_ways(job *j, const ps_slot *ea, const ps_slot *eb, int level, ps_part *out)
{
    ps_hashed ha, hb;
    if (ps_hashed_init_slot(j->st, &ha, ea[0]) < 0 || ps_hashed_init_slot(j->st, &hb, eb[0]) < 0) {
        return -1;
    }
    ps_node *node = ps_champ_pair(j->st, j->width, level, ea, &ha, eb, &hb);
    if (node == NULL) {
        return -1;
    }
    *out = (ps_part){.kind = PS_PART_NODE, .key = ps_slot_heap(node)};
    return 0;
}

/* Two collision nodes: every key against every other, in no order. */
static PS_NOINLINE int
combine_collisions(job *j, int keep, const ps_node *a, const ps_node *b, ps_slot sa, ps_slot sb,
                   ps_part *out)
{
    ps_state *st = j->st;
    int rc = -1, width = j->width;
    Py_ssize_t na = ps_node_entries(a), nb = ps_node_entries(b), n = 0, common = 0;
    bool same_a = true, same_b = true;
    ps_slot *entries = PyMem_Malloc((size_t)(na + nb) * (2 * sizeof *entries + 1));
    if (entries == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    bool *b_is_common = (bool *)(entries + 2 * (na + nb));
    memset(b_is_common, 0, (size_t)nb);
    for (Py_ssize_t i = 0; i < na; i++) {
        const ps_slot *ea = &a->slots[i * width], *eb = NULL;
        for (Py_ssize_t k = 0; k < nb && eb == NULL; k++) {
            int eq = b_is_common[k] ? 0 : ps_slots_key_eq(st, ea[0], b->slots[k * width]);
            if (eq < 0) {
                goto done;
            }
            if (eq) {
                b_is_common[k] = true;
                eb = &b->slots[k * width];
                common++;
            }
        }
        ps_slot *to = &entries[2 * n];
        if (!(keep & (eb ? KEEP_COMMON : KEEP_A))) {
            same_a = false;
            same_b = same_b && eb == NULL;
            continue;
        }
        to[0] = ea[0];
        to[1] = width == 1 ? 0 : eb && keep == UNION ? eb[1] : ea[1];
        n++;
        same_a = same_a && (width == 1 || to[1] == ea[1]);
        same_b = same_b && eb && to[0] == eb[0] && (width == 1 || to[1] == eb[1]);
    }
    for (Py_ssize_t k = 0; k < nb; k++) {
        if (!b_is_common[k]) {
            if (keep & KEEP_B) {
                entries[2 * n] = b->slots[k * width];
                entries[2 * n + 1] = width == 2 ? b->slots[k * width + 1] : 0;
                n++;
                same_a = false;
            }
            else {
                same_b = false;
            }
        }
    }
    count(j, PS_PILE_COMMON, common);
    count(j, PS_PILE_A, na - common);
    count(j, PS_PILE_B, nb - common);
    if (same_a || same_b) {
        *out = (ps_part){.kind = PS_PART_NODE, .key = ps_slot_incref(st, same_a ? sa : sb)};
        rc = 0;
    }
    else {
        rc = ps_part_collision(st, width, entries, n, out);
    }
done:
    PyMem_Free(entries);
    return rc;
}

/* Ask for the memory of every pair of children that will be walked: of two large
 * versions only scattered nodes differ, and each would be a miss of its own. */
PS_INLINE void
ask_for_pairs(const ps_slot *ca, uint32_t na, const ps_slot *cb, uint32_t nb)
{
    enum { LINE = 64, LINES = 4 };
    for (uint32_t both = na & nb; both; both &= both - 1) {
        const uint32_t bit = both & -both;
        ps_slot a = ca[ps_index(na, bit)], b = cb[ps_index(nb, bit)];
        if (a == b || ps_slot_is_packed(a) || ps_slot_is_packed(b)) {
            continue;
        }
        for (int i = 0; i < LINES; i++) {
            ps_prefetch((const char *)ps_slot_node(a) + i * LINE);
            ps_prefetch((const char *)ps_slot_node(b) + i * LINE);
        }
    }
}

/* The body of all four; keep and width are constants in each copy. */
PS_INLINE int
combine_nodes(job *j, const int keep, const int width, ps_slot sa, ps_slot sb, int level,
              ps_part *out)
{
    ps_state *st = j->st;
    ps_draft d;
    ps_node *a = NULL, *b = NULL;
    int rc = -1;
    *out = (ps_part){.kind = PS_PART_NONE};
    ps_draft_init(&d);
    if ((a = ps_child_open(st, sa, width, level)) == NULL ||
        (b = ps_child_open(st, sb, width, level)) == NULL) {
        goto done;
    }
    if (PS_UNLIKELY(level == PS_MAX_LEVEL)) {
        rc = combine_collisions(j, keep, a, b, sa, sb, out);
        goto done;
    }
    bool same_a = true, same_b = true;
    Py_ssize_t common = 0, a_only = 0, b_only = 0; /* entries */
    uint32_t shared = 0;                           /* children */
    const uint32_t da = a->datamap, na = a->nodemap, db = b->datamap, nb = b->nodemap;
    const ps_slot *ea = a->slots, *eb = b->slots;
    const ps_slot *ca = ea + ps_popcount(da) * width, *cb = eb + ps_popcount(db) * width;
    ask_for_pairs(ca, na, cb, nb);
    for (uint32_t all = da | na | db | nb; all; all &= all - 1) {
        const uint32_t bit = all & -all;
        ps_part part;
        if (!((db | nb) & bit)) { /* a only */
            if (da & bit) {
                a_only++;
                if (keep & KEEP_A) {
                    ps_draft_entry(&d, bit, ea[0], width == 2 ? ea[1] : 0);
                }
                ea += width;
            }
            else {
                if (keep & KEEP_A) {
                    ps_draft_child(&d, bit, *ca);
                }
                ca++;
            }
            if (keep & KEEP_A) {
                same_b = false;
            }
            else {
                same_a = false;
            }
            continue;
        }
        if (!((da | na) & bit)) { /* b only */
            if (db & bit) {
                b_only++;
                if (keep & KEEP_B) {
                    ps_draft_entry(&d, bit, eb[0], width == 2 ? eb[1] : 0);
                }
                eb += width;
            }
            else {
                if (keep & KEEP_B) {
                    ps_draft_child(&d, bit, *cb);
                }
                cb++;
            }
            if (keep & KEEP_B) {
                same_a = false;
            }
            else {
                same_b = false;
            }
            continue;
        }
        if (na & nb & bit) { /* two children */
            ps_slot child_a = *ca++, child_b = *cb++;
            if (ps_child_same(st, child_a, child_b)) {
                shared |= bit;
                if (keep & KEEP_COMMON) {
                    ps_draft_child(&d, bit, child_a);
                }
                else {
                    same_a = same_b = false;
                }
                continue;
            }
            if (combine(j, keep, child_a, child_b, level + 1, &part) < 0) {
                goto done;
            }
            same_a = same_a && part.kind == PS_PART_NODE && part.key == child_a;
            same_b = same_b && part.kind == PS_PART_NODE && part.key == child_b;
            ps_draft_part(&d, bit, &part);
            continue;
        }
        if (da & db & bit) { /* two entries */
            int eq = ps_slots_key_eq(st, ea[0], eb[0]);
            if (PS_UNLIKELY(eq < 0)) {
                goto done;
            }
            if (eq) {
                common++;
                if (keep & KEEP_COMMON) {
                    ps_slot value = width == 1 ? 0 : keep & KEEP_B ? eb[1] : ea[1];
                    same_a = same_a && (width == 1 || value == ea[1]);
                    same_b = same_b && ea[0] == eb[0] && (width == 1 || value == eb[1]);
                    ps_draft_entry(&d, bit, ea[0], value);
                }
                else {
                    same_a = same_b = false;
                }
            }
            else {
                a_only++;
                b_only++;
                if (keep & KEEP_A && keep & KEEP_B) {
                    if (part_ways(j, ea, eb, level + 1, &part) < 0) {
                        goto done;
                    }
                    ps_draft_part(&d, bit, &part);
                    same_a = same_b = false;
                }
                else if (keep & KEEP_A) {
                    ps_draft_entry(&d, bit, ea[0], width == 2 ? ea[1] : 0);
                    same_b = false;
                }
                else {
                    same_a = same_b = false;
                }
            }
            ea += width;
            eb += width;
            continue;
        }
        /* an entry and a child */
        ps_slot child = da & bit ? *cb : *ca;
        const ps_slot *e = da & bit ? ea : eb;
        if (meet(j, keep, da & bit ? KEEP_A : KEEP_B, e[0], width == 2 ? e[1] : 0, child,
                 level + 1, &part) < 0) {
            goto done;
        }
        if (da & bit) {
            same_a = same_a && part.kind == PS_PART_ENTRY && part.key == e[0] &&
                     (width == 1 || part.value == e[1]);
            same_b = same_b && part.kind == PS_PART_NODE && part.key == child;
            ea += width;
            cb++;
        }
        else {
            same_a = same_a && part.kind == PS_PART_NODE && part.key == child;
            same_b = same_b && part.kind == PS_PART_ENTRY && part.key == e[0] &&
                     (width == 1 || part.value == e[1]);
            ca++;
            eb += width;
        }
        ps_draft_part(&d, bit, &part);
    }
    count(j, PS_PILE_COMMON, common);
    count(j, PS_PILE_A, a_only);
    count(j, PS_PILE_B, b_only);
    if (ps_tally_children(st, &j->tally, PS_PILE_COMMON, sa, a, shared) < 0 ||
        ps_tally_children(st, &j->tally, PS_PILE_A, sa, a, na & ~(db | nb)) < 0 ||
        ps_tally_children(st, &j->tally, PS_PILE_B, sb, b, nb & ~(da | na)) < 0) {
        goto done;
    }
    if (same_a || same_b) {
        *out = (ps_part){.kind = PS_PART_NODE, .key = ps_slot_incref(st, same_a ? sa : sb)};
        rc = 0;
        goto done;
    }
    /* A node of b may be reused as long as common entries are kept. */
    bool plain = !ps_node_is_gc(st, a) && (keep == DIFFERENCE || !ps_node_is_gc(st, b));
    rc = ps_draft_finish(st, &d, width, plain, out);
done:
    ps_draft_clear(st, &d);
    ps_child_close(sa, a);
    ps_child_close(sb, b);
    return rc;
}

#define COPY(name, keep)                                                                          \
    static PS_NOINLINE int name##_sets(job *j, ps_slot a, ps_slot b, int level, ps_part *out)     \
    {                                                                                             \
        return combine_nodes(j, keep, 1, a, b, level, out);                                       \
    }                                                                                             \
    static PS_NOINLINE int name##_maps(job *j, ps_slot a, ps_slot b, int level, ps_part *out)     \
    {                                                                                             \
        return combine_nodes(j, keep, 2, a, b, level, out);                                       \
    }

COPY(unite, UNION)
COPY(intersect, INTERSECTION)
COPY(subtract, DIFFERENCE)
COPY(differ, SYMMETRIC)

/* The parts that differ between subtrees sa and sb that are not known to be same. */
static int
combine(job *j, int keep, ps_slot sa, ps_slot sb, int level, ps_part *out)
{
    bool maps = j->width == 2;
    switch (keep) {
    case UNION:
        return (maps ? unite_maps : unite_sets)(j, sa, sb, level, out);
    case INTERSECTION:
        return (maps ? intersect_maps : intersect_sets)(j, sa, sb, level, out);
    case DIFFERENCE:
        return (maps ? subtract_maps : subtract_sets)(j, sa, sb, level, out);
    default:
        return (maps ? differ_maps : differ_sets)(j, sa, sb, level, out);
    }
}

static int
take(ps_state *st, ps_tree t, ps_tree *out)
{
    if (t.root) {
        ps_slot_incref(st, t.root);
    }
    *out = t;
    return 0;
}

static int
run(ps_state *st, int keep, ps_tree a, ps_tree b, int width, ps_tree *out)
{
    const ps_tree empty = {.root = 0, .count = 0};
    if (a.root == 0 || b.root == 0) {
        return take(st,
                    a.root && (keep & KEEP_A)   ? a
                    : b.root && (keep & KEEP_B) ? b
                                                : empty,
                    out);
    }
    if (ps_child_same(st, a.root, b.root)) {
        return take(st, keep & KEEP_COMMON ? a : empty, out);
    }
    /* Hold the roots: then every node below lives, and an evolver that reaches
     * one of them copies instead of writing into it. */
    ps_slot_incref(st, a.root);
    ps_slot_incref(st, b.root);
    job j = {.st = st, .width = width};
    ps_part part;
    ps_slot root = 0;
    int rc = -1;
    if (combine(&j, keep, a.root, b.root, 0, &part) < 0 ||
        ps_part_to_root(st, width, &part, &root) < 0) {
        goto done;
    }
    Py_ssize_t common = ps_tally_common(st, &j.tally, a.count, b.count);
    if (common < 0) {
        ps_slot_xdecref(st, root);
        goto done;
    }
    out->root = root;
    out->count = (keep & KEEP_A ? a.count - common : 0) + (keep & KEEP_B ? b.count - common : 0) +
                 (keep & KEEP_COMMON ? common : 0);
    rc = 0;
    PS_CHECK(st, *out, width);
done:
    ps_tally_clear(st, &j.tally);
    ps_slot_decref(st, a.root);
    ps_slot_decref(st, b.root);
    return rc;
}

int
ps_champ_union(ps_state *st, ps_tree a, ps_tree b, int width, ps_tree *out)
{
    return run(st, UNION, a, b, width, out);
}

int
ps_champ_intersection(ps_state *st, ps_tree a, ps_tree b, int width, ps_tree *out)
{
    return run(st, INTERSECTION, a, b, width, out);
}

int
ps_champ_difference(ps_state *st, ps_tree a, ps_tree b, int width, ps_tree *out)
{
    return run(st, DIFFERENCE, a, b, width, out);
}

int
ps_champ_symmetric_difference(ps_state *st, ps_tree a, ps_tree b, int width, ps_tree *out)
{
    return run(st, SYMMETRIC, a, b, width, out);
}
