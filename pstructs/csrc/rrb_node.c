/* rrb_node.c -- making the leaves and inner nodes of the RRB tree. */
#include "rrb_part.h"

/* ---- leaves */

PS_INLINE ps_slot
copy_slots(ps_state *st, ps_slot *to, const ps_slot *from, int n)
{
    ps_slot any = 0;
    for (int i = 0; i < n; i++) {
        any |= from[i];
        to[i] = ps_slot_incref(st, from[i]);
    }
    return any;
}

PS_INLINE void
note_packed(ps_node *n, ps_slot any)
{
    if (PS_UNLIKELY(ps_slot_is_packed(any))) {
        n->meta |= PS_META_PACKED;
    }
}

ps_node *
ps_rrb_leaf_new(ps_state *st, bool gc, const ps_slot *a, int n_a, const ps_slot *b, int n_b)
{
    ps_node *n = ps_node_new_array(st, gc, (uint32_t)(n_a + n_b), 0, 0);
    if (n == NULL) {
        return NULL;
    }
    ps_slot any = copy_slots(st, n->slots, a, n_a);
    any |= copy_slots(st, n->slots + n_a, b, n_b);
    note_packed(n, any);
    ps_node_track(st, n);
    return n;
}

ps_node *
ps_rrb_leaf_append(ps_state *st, bool gc, const ps_slot *a, int n_a, PyObject *value, bool open)
{
    uint32_t size = (uint32_t)n_a + 1;
    ps_node *n = ps_node_new_array(st, gc || ps_needs_gc(st, value), open ? PS_WIDTH : size, 0,
                                   open ? PS_RRB_OPEN : 0);
    if (n == NULL) {
        return NULL;
    }
    n->datamap = size;
    note_packed(n, copy_slots(st, n->slots, a, n_a));
    n->slots[n_a] = ps_slot_heap(Py_NewRef(value));
    ps_node_track(st, n);
    return n;
}

ps_slot
ps_rrb_leaf_part(ps_state *st, ps_slot leaf, Py_ssize_t size, Py_ssize_t at, Py_ssize_t n)
{
    if (n == size) {
        return ps_slot_incref(st, leaf);
    }
    ps_node *from = ps_rrb_open(st, leaf, 0, size);
    if (from == NULL) {
        return 0;
    }
    ps_node *part =
        ps_rrb_leaf_new(st, ps_node_is_gc(st, from), from->slots + at, (int)n, NULL, 0);
    Py_DECREF(from);
    return ps_slot_heap(part);
}

/* ---- inner nodes */

ps_node *
ps_rrb_with_slot(ps_state *st, ps_node *n, uint32_t k, ps_slot s, bool gc)
{
    uint32_t size = n->datamap, raw = ps_node_raw_words(n);
    ps_node *copy = ps_node_new_array(st, gc, size, raw, ps_node_tag(n) & ~PS_RRB_OPEN);
    if (copy == NULL) {
        ps_slot_decref(st, s);
        return NULL;
    }
    ps_slot any = s | copy_slots(st, copy->slots, n->slots, (int)k);
    any |= copy_slots(st, copy->slots + k + 1, n->slots + k + 1, (int)(size - k - 1));
    copy->slots[k] = s;
    note_packed(copy, any);
    for (uint32_t i = 0; i < raw; i++) {
        ps_node_raw(copy)[i] = ps_node_raw(n)[i];
    }
    ps_node_track(st, copy);
    return copy;
}

void
ps_rrb_sizes(ps_node *n, int level, Py_ssize_t count, Py_ssize_t *sizes)
{
    int last = (int)n->datamap - 1;
    if (ps_node_raw_words(n) == 0) {
        Py_ssize_t full = ps_rrb_full(level - 1);
        for (int i = 0; i < last; i++) {
            sizes[i] = full;
        }
        sizes[last] = count - last * full;
        return;
    }
    const uint64_t *ends = ps_node_raw(n);
    for (int i = 0; i <= last; i++) {
        sizes[i] = (Py_ssize_t)(ends[i] - (i > 0 ? ends[i - 1] : 0));
    }
}

ps_node *
ps_rrb_inner(ps_state *st, int level, ps_slot *children, const Py_ssize_t *sizes, int n)
{
    if (PS_UNLIKELY(level > PS_RRB_MAX_LEVEL)) { /* only from a pack that is thin on purpose */
        PyErr_SetString(PyExc_OverflowError, "a vector is too high for its number of elements; "
                                             "verify the pack that it comes from");
        return NULL;
    }
    /* Radix search needs all children but the last to be full, and a shift below 63 bits. */
    Py_ssize_t full = ps_rrb_full(level - 1);
    bool regular = full != PY_SSIZE_T_MAX, gc = false;
    ps_slot any = 0;
    for (int i = 0; i < n; i++) {
        any |= children[i];
        gc |= ps_rrb_child_gc(st, children[i]);
        regular &= i == n - 1 || sizes[i] == full;
    }
    ps_node *node =
        ps_node_new_array(st, gc, (uint32_t)n, regular ? 0 : (uint32_t)n, (uint32_t)level);
    if (node == NULL) {
        return NULL;
    }
    memcpy(node->slots, children, (size_t)n * sizeof *children);
    memset(children, 0, (size_t)n * sizeof *children);
    if (!regular) {
        uint64_t *ends = ps_node_raw(node), end = 0;
        for (int i = 0; i < n; i++) {
            ends[i] = end += (uint64_t)sizes[i];
        }
    }
    note_packed(node, any);
    ps_node_track(st, node);
    return node;
}

ps_node *
ps_rrb_splice(ps_state *st, ps_node *n, int level, const Py_ssize_t *sizes, int at, int remove,
              ps_slot child, Py_ssize_t child_size)
{
    ps_rrb_list l;
    l.n = 0;
    ps_rrb_list_add(st, &l, n, sizes, 0, at);
    if (child) {
        l.slot[l.n] = child;
        l.size[l.n++] = child_size;
    }
    ps_rrb_list_add(st, &l, n, sizes, at + remove, (int)n->datamap);
    ps_node *made = ps_rrb_inner(st, level, l.slot, l.size, l.n);
    ps_rrb_list_clear(st, &l);
    return made;
}

/* ---- lists of children */

void
ps_rrb_list_add(ps_state *st, ps_rrb_list *l, ps_node *n, const Py_ssize_t *sizes, int from,
                int to)
{
    if (to > from) {
        copy_slots(st, l->slot + l->n, n->slots + from, to - from);
        memcpy(l->size + l->n, sizes + from, (size_t)(to - from) * sizeof *sizes);
        l->n += to - from;
    }
}

void
ps_rrb_list_clear(ps_state *st, ps_rrb_list *l)
{
    for (int i = 0; i < l->n; i++) {
        ps_slot_xdecref(st, l->slot[i]);
    }
    l->n = 0;
}

ps_slot
ps_rrb_list_node(ps_state *st, ps_rrb_list *l, int level, int from, int n, Py_ssize_t *size)
{
    *size = 0;
    for (int i = from; i < from + n; i++) {
        *size += l->size[i];
    }
    return ps_slot_heap(ps_rrb_inner(st, level, l->slot + from, l->size + from, n));
}
