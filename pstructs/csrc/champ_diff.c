/* champ_diff.c -- the entries in which two tries differ.
 *
 * The walk of champ_algebra.c without a result: shared subtrees are skipped, a
 * subtree that one side lacks is listed from end to end, and an entry that meets a
 * child goes down it alone, past entries that are all the other side's own.
 *
 * Values are the same when they are identical, or of one type and equal: True -> 1
 * -> 1.0 are edits, though the three are equal in Python.
 *
 * Cost: O(k log n) for k differing keys of related versions.
 */
#include "champ_part.h"

typedef struct {
    ps_state *st;
    int width;
    ps_diff_visit visit;
    void *arg;
} job;

/* An entry of one side only. */
static int
visit_one(job *j, const ps_slot *e, bool in_a)
{
    ps_slot value = e[j->width - 1];
    return j->visit(j->st, j->arg, e[0], in_a ? value : 0, in_a ? 0 : value);
}

/* Entries with equal keys. */
static int
visit_pair(job *j, const ps_slot *ea, const ps_slot *eb)
{
    if (j->width == 1) {
        return 0;
    }
    int same = ps_slots_value_same(j->st, ea[1], eb[1]);
    return same < 0 ? -1 : same ? 0 : j->visit(j->st, j->arg, ea[0], ea[1], eb[1]);
}

static int
visit_all(job *j, ps_slot sub, bool in_a, int level)
{
    int rc = 0, width = j->width;
    ps_node *node = ps_child_open(j->st, sub, width, level);
    if (node == NULL) {
        return -1;
    }
    int entries = ps_node_entries(node), children = ps_node_children(node);
    for (int i = 0; i < entries && rc == 0; i++) {
        rc = visit_one(j, &node->slots[i * width], in_a);
    }
    for (int i = 0; i < children && rc == 0; i++) {
        rc = visit_all(j, node->slots[entries * width + i], in_a, level + 1);
    }
    ps_child_close(sub, node);
    return rc;
}

/* Entry e (of a when in_a, else of b) met with an entry of the other side. */
static int
visit_met(job *j, const ps_slot *e, const ps_slot *other, bool in_a)
{
    return in_a ? visit_pair(j, e, other) : visit_pair(j, other, e);
}

/* Entry e of one side (a when in_a) against the whole subtree of the other. */
static int
lone(job *j, const ps_slot *e, ps_hashed *h, ps_slot sub, bool in_a, int level)
{
    int rc = -1, width = j->width;
    bool met = false;
    ps_node *node = ps_child_open(j->st, sub, width, level);
    if (node == NULL) {
        return -1;
    }
    int entries = ps_node_entries(node), children = ps_node_children(node);
    uint32_t bit = 0;
    if (level < PS_MAX_LEVEL) {
        int index = ps_hashed_index(j->st, h, level);
        if (index < 0) {
            goto done;
        }
        bit = 1u << index;
    }
    int at = node->datamap & bit ? ps_index(node->datamap, bit) : -1;
    for (int i = 0; i < entries; i++) {
        const ps_slot *other = &node->slots[i * width];
        int eq = 0;
        if (!met && (i == at || level == PS_MAX_LEVEL)) {
            eq = ps_slots_key_eq(j->st, e[0], other[0]);
            if (eq < 0) {
                rc = -1;
                goto done;
            }
        }
        met = met || eq;
        rc = eq ? visit_met(j, e, other, in_a) : visit_one(j, other, !in_a);
        if (rc != 0) {
            goto done;
        }
    }
    rc = 0;
    at = level < PS_MAX_LEVEL && node->nodemap & bit ? ps_index(node->nodemap, bit) : -1;
    for (int i = 0; i < children && rc == 0; i++) {
        ps_slot child = node->slots[entries * width + i];
        if (i == at) {
            met = true; /* or reported further down */
            rc = lone(j, e, h, child, in_a, level + 1);
        }
        else {
            rc = visit_all(j, child, !in_a, level + 1);
        }
    }
    if (rc == 0 && !met) {
        rc = visit_one(j, e, in_a);
    }
done:
    ps_child_close(sub, node);
    return rc;
}

static int
collisions(job *j, const ps_node *a, const ps_node *b)
{
    int rc = -1, width = j->width, na = ps_node_entries(a), nb = ps_node_entries(b);
    bool *met = PyMem_Calloc((size_t)nb, sizeof *met);
    if (met == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (int i = 0; i < na; i++) {
        const ps_slot *ea = &a->slots[i * width], *eb = NULL;
        for (int k = 0; k < nb && eb == NULL; k++) {
            int eq = met[k] ? 0 : ps_slots_key_eq(j->st, ea[0], b->slots[k * width]);
            if (eq < 0) {
                rc = -1;
                goto done;
            }
            if (eq) {
                met[k] = true;
                eb = &b->slots[k * width];
            }
        }
        rc = eb ? visit_pair(j, ea, eb) : visit_one(j, ea, true);
        if (rc != 0) {
            goto done;
        }
    }
    rc = 0;
    for (int k = 0; k < nb && rc == 0; k++) {
        rc = met[k] ? 0 : visit_one(j, &b->slots[k * width], false);
    }
done:
    PyMem_Free(met);
    return rc;
}

static int
differ(job *j, ps_slot sa, ps_slot sb, int level)
{
    ps_state *st = j->st;
    int rc = -1, width = j->width;
    ps_node *a, *b;
    if (ps_child_open_pair(st, sa, sb, width, level, &a, &b) < 0) {
        goto done;
    }
    if (level == PS_MAX_LEVEL) {
        rc = collisions(j, a, b);
        goto done;
    }
    rc = 0;
    const ps_slot *ea = a->slots, *eb = b->slots;
    const ps_slot *ca = ea + ps_popcount(a->datamap) * width;
    const ps_slot *cb = eb + ps_popcount(b->datamap) * width;
    for (uint32_t all = a->datamap | a->nodemap | b->datamap | b->nodemap; all; all &= all - 1) {
        uint32_t bit = all & -all;
        const ps_slot *x = NULL, *y = NULL; /* entries */
        ps_slot p = 0, q = 0;               /* children */
        if (a->datamap & bit) {
            x = ea;
            ea += width;
        }
        else if (a->nodemap & bit) {
            p = *ca++;
        }
        if (b->datamap & bit) {
            y = eb;
            eb += width;
        }
        else if (b->nodemap & bit) {
            q = *cb++;
        }
        if (p && q) {
            rc = ps_child_same(st, p, q) ? 0 : differ(j, p, q, level + 1);
        }
        else if (x && y) {
            int eq = ps_slots_key_eq(st, x[0], y[0]);
            rc = eq < 0 ? -1 : eq ? visit_pair(j, x, y) : visit_one(j, x, true);
            if (eq == 0 && rc == 0) {
                rc = visit_one(j, y, false);
            }
        }
        else if ((x && q) || (y && p)) {
            ps_hashed h;
            const ps_slot *e = x ? x : y;
            rc = ps_hashed_init_slot(st, &h, e[0]) < 0
                     ? -1
                     : lone(j, e, &h, x ? q : p, x != NULL, level + 1);
        }
        else if (x || y) {
            rc = visit_one(j, x ? x : y, x != NULL);
        }
        else {
            rc = visit_all(j, p ? p : q, p != 0, level + 1);
        }
        if (rc != 0) {
            goto done;
        }
    }
done:
    ps_child_close(sa, a);
    ps_child_close(sb, b);
    return rc;
}

int
ps_champ_diff(ps_state *st, ps_tree a, ps_tree b, int width, ps_diff_visit visit, void *arg)
{
    job j = {.st = st, .width = width, .visit = visit, .arg = arg};
    int rc = 0;
    if (a.root && b.root && ps_child_same(st, a.root, b.root)) {
        return 0;
    }
    if (a.root) {
        ps_slot_incref(st, a.root);
    }
    if (b.root) {
        ps_slot_incref(st, b.root);
    }
    if (a.root && b.root) {
        rc = differ(&j, a.root, b.root, 0);
    }
    else if (a.root || b.root) {
        rc = visit_all(&j, a.root ? a.root : b.root, a.root != 0, 0);
    }
    ps_slot_xdecref(st, a.root);
    ps_slot_xdecref(st, b.root);
    return rc;
}
