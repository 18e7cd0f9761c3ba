/* champ_partition.c -- counting, and cutting a trie into disjoint parts.
 *
 * The positions of the first two levels (1024 with 32-way nodes) are dealt out in
 * n ranges: hashes spread evenly, so the parts do too. A part is a canonical trie
 * of its own that shares every subtree it holds:
 *
 *     root [e0 c1 c2 e3 c4]      part 0 of 2: [e0 c1 c2']   part 1: [c2'' e3 c4]
 *
 * Costs: at most 3 new nodes a part; the size of a part needs a walk over its
 * heap nodes, and one look at each packed subtree.
 */
#include "champ.h"

Py_ssize_t
ps_champ_count(ps_state *st, ps_slot slot, int width, int level)
{
    if (slot == 0) {
        return 0;
    }
    if (ps_slot_is_packed(slot)) {
        return st->pack_ops->count(st, slot);
    }
    const ps_node *n = ps_slot_node(slot);
    Py_ssize_t total = ps_node_entries(n);
    const ps_slot *child = n->slots + total * width;
    for (int i = 0; i < ps_node_children(n); i++) {
        Py_ssize_t below = ps_champ_count(st, child[i], width, level + 1);
        if (below < 0) {
            return -1;
        }
        total += below;
    }
    return total;
}

/* What a node becomes when only a range of positions is kept. */
typedef struct {
    ps_slot entry[2]; /* one entry (borrowed from kept), when that is all */
    ps_node *kept;    /* owned; NULL when nothing is left, or one entry only */
    ps_node *source;  /* owned: keeps entry alive */
} cut;

/* Keep the positions from lo (inclusive) to hi (exclusive), counted in units of the
 * second level: position p of the root covers [p * PS_WIDTH, (p + 1) * PS_WIDTH). */
static int
cut_node(ps_state *st, ps_slot slot, int width, int level, Py_ssize_t lo, Py_ssize_t hi,
         Py_ssize_t unit, cut *out)
{
    ps_slot slots[PS_WIDTH * 2];
    cut edges[PS_WIDTH];
    int n_edges = 0, n_entries = 0, n_children = 0, result = -1;
    ps_slot children[PS_WIDTH];
    uint32_t datamap = 0, nodemap = 0;
    bool gc = false, packed = false;
    *out = (cut){.kept = NULL};
    ps_node *n = ps_slot_open(st, slot, width, level);
    if (n == NULL) {
        return -1;
    }
    const ps_slot *child = n->slots + ps_node_entries(n) * width;
    for (int pos = 0; pos < PS_WIDTH; pos++) {
        uint32_t bit = 1u << pos;
        Py_ssize_t from = pos * unit, to = from + unit;
        bool inside = from >= lo && to <= hi, outside = to <= lo || from >= hi;
        if (n->datamap & bit) {
            /* An entry belongs to the range that its first unit lies in. */
            if (from >= lo && from < hi) {
                memcpy(&slots[n_entries++ * width], n->slots + ps_index(n->datamap, bit) * width,
                       (size_t)width * sizeof *slots);
                datamap |= bit;
            }
        }
        else if (n->nodemap & bit && !outside) {
            ps_slot c = child[ps_index(n->nodemap, bit)];
            if (inside || unit == 1) {
                children[n_children++] = c;
                nodemap |= bit;
                continue;
            }
            cut *edge = &edges[n_edges];
            if (cut_node(st, c, width, level + 1, lo - from, hi - from, 1, edge) < 0) {
                goto done;
            }
            n_edges++;
            if (edge->kept != NULL) {
                children[n_children++] = ps_slot_heap(edge->kept);
                nodemap |= bit;
            }
            else if (edge->source != NULL) {
                memcpy(&slots[n_entries++ * width], edge->entry, (size_t)width * sizeof *slots);
                datamap |= bit;
            }
        }
    }
    if (n_entries + n_children == 0) {
        result = 0;
        goto done;
    }
    if (level > 0 && n_entries == 1 && n_children == 0) {
        memcpy(out->entry, slots, (size_t)width * sizeof *slots);
        out->source = (ps_node *)Py_NewRef((PyObject *)n);
        result = 0;
        goto done;
    }
    for (int i = 0; i < n_entries * width; i++) {
        gc = gc || ps_slot_needs_gc(st, slots[i]);
        packed = packed || ps_slot_is_packed(slots[i]);
    }
    for (int i = 0; i < n_children; i++) {
        gc = gc || ps_slot_needs_gc(st, children[i]);
        packed = packed || ps_slot_is_packed(children[i]);
    }
    ps_node *kept = ps_node_new(st, gc, width, datamap, nodemap, n_entries * width + n_children);
    if (kept == NULL) {
        goto done;
    }
    kept->meta |= packed ? PS_META_PACKED : 0;
    for (int i = 0; i < n_entries * width; i++) {
        kept->slots[i] = ps_slot_incref(st, slots[i]);
    }
    for (int i = 0; i < n_children; i++) {
        kept->slots[n_entries * width + i] = ps_slot_incref(st, children[i]);
    }
    ps_node_track(st, kept);
    out->kept = kept;
    result = 0;
done:
    for (int i = 0; i < n_edges; i++) {
        Py_XDECREF(edges[i].kept);
        Py_XDECREF(edges[i].source);
    }
    Py_DECREF(n);
    return result;
}

int
ps_champ_partition(ps_state *st, ps_tree t, int width, Py_ssize_t i, Py_ssize_t n, ps_tree *out)
{
    const Py_ssize_t units = PS_WIDTH * PS_WIDTH;
    *out = (ps_tree){.root = 0, .count = 0};
    /* More parts than units: the surplus ones are empty. n may be any number: i * units
     * needs more than 64 bits. */
    Py_ssize_t lo = (Py_ssize_t)((__int128_t)i * units / n);
    Py_ssize_t hi = (Py_ssize_t)(((__int128_t)i + 1) * units / n);
    if (t.root == 0 || lo == hi) {
        return 0;
    }
    if (n == 1) {
        *out = t;
        ps_slot_incref(st, t.root);
        return 0;
    }
    cut c;
    if (cut_node(st, t.root, width, 0, lo, hi, PS_WIDTH, &c) < 0) {
        return -1;
    }
    Py_XDECREF(c.source);
    if (c.kept == NULL) {
        return 0;
    }
    out->root = ps_slot_heap(c.kept);
    out->count = ps_champ_count(st, out->root, width, 0);
    if (out->count < 0) {
        ps_slot_decref(st, out->root);
        out->root = 0;
        return -1;
    }
    PS_CHECK(st, *out, width);
    return 0;
}
