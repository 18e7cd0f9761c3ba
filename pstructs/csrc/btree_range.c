/* btree_range.c -- slices by position, and walking over the entries of one.
 *
 * A range of keys is a range of positions: two searches (ps_bt_rank) find it, and nothing
 * is compared on the way through.
 *
 *     slice 2..7      [ 0 1 2 | 3 4 5 | 6 7 8 ]      the inner leaf is shared, the
 *                           +---=======---+          ends are copied
 */
#include "btree.h"

/* Append entries lo..hi-1 of the node. */
static int
append_part(ps_bt_builder *b, ps_node *n, Py_ssize_t lo, Py_ssize_t hi)
{
    Py_ssize_t count = (Py_ssize_t)ps_bt_node_count(n);
    if (lo <= 0 && hi >= count) {
        return ps_bt_builder_node(b, n);
    }
    ps_bt_item item;
    int height = ps_bt_height(n);
    Py_ssize_t start = 0;
    for (int i = 0; i < ps_bt_size(n) && start < hi; i++) {
        Py_ssize_t size = height ? (Py_ssize_t)ps_bt_counts(n)[i] : 1;
        if (start + size > lo) {
            int rc;
            if (height == 0) {
                rc = ps_bt_item_at(b->st, n, i, &item) < 0 ? -1 : ps_bt_builder_entry(b, &item);
            }
            else {
                ps_node *child = ps_bt_open_child(b->st, n, i);
                rc = child == NULL ? -1 : append_part(b, child, lo - start, hi - start);
                Py_XDECREF(child);
            }
            if (rc < 0) {
                return -1;
            }
        }
        start += size;
    }
    return 0;
}

int
ps_bt_builder_range(ps_bt_builder *b, ps_btree t, Py_ssize_t lo, Py_ssize_t hi)
{
    if (t.root == 0 || lo >= hi) {
        return 0;
    }
    ps_node *root = ps_bt_open_root(b->st, t);
    if (root == NULL) {
        return -1;
    }
    int rc = append_part(b, root, lo, hi);
    Py_DECREF(root);
    return rc;
}

int
ps_bt_slice(ps_state *st, ps_btree t, Py_ssize_t lo, Py_ssize_t hi, ps_btree *out)
{
    if (lo <= 0 && hi >= t.count) {
        *out = ps_bt_share(st, t);
        return 0;
    }
    ps_bt_builder b;
    ps_bt_builder_init(st, &b, t.shape);
    if (ps_bt_builder_range(&b, t, lo, hi) < 0) {
        ps_bt_builder_clear(&b);
        return -1;
    }
    return ps_bt_builder_end(&b, out);
}

/* ---- iteration */

void
ps_bt_iter_clear(ps_bt_iter *it)
{
    int top = it->top;
    it->top = -1;
    it->left = 0;
    it->i = it->stop = 0;
    for (int h = top; h >= 0; h--) {
        Py_XDECREF(it->node[h]);
    }
}

/* Set i and stop for the leaf, entered at entry `at`. */
static void
enter_leaf(ps_bt_iter *it, int at)
{
    int size = ps_bt_size(it->node[0]);
    it->i = at;
    if (it->step > 0) {
        it->stop = it->left < size - at ? at + (int)it->left : size;
    }
    else {
        it->stop = it->left < at + 1 ? at - (int)it->left : -1;
    }
}

int
ps_bt_iter_init(ps_state *st, ps_bt_iter *it, ps_btree t, Py_ssize_t lo, Py_ssize_t hi,
                bool reverse)
{
    it->left = 0;
    it->i = it->stop = 0;
    it->step = reverse ? -1 : 1;
    it->top = -1;
    if (t.root == 0 || lo >= hi) {
        return 0;
    }
    Py_ssize_t at = reverse ? hi - 1 : lo;
    ps_node *n = ps_bt_open_root(st, t);
    if (n == NULL) {
        return -1;
    }
    it->top = ps_bt_height(n);
    memset(it->node, 0, (size_t)(it->top + 1) * sizeof it->node[0]);
    for (int h = it->top; h > 0; h--) {
        it->node[h] = n;
        const uint64_t *counts = ps_bt_counts(n);
        int i = 0;
        while ((uint64_t)at >= counts[i]) {
            at -= (Py_ssize_t)counts[i++];
        }
        it->at[h] = (int16_t)i;
        n = ps_bt_open_child(st, n, i);
        if (n == NULL) {
            ps_bt_iter_clear(it);
            return -1;
        }
    }
    it->node[0] = n;
    it->left = hi - lo;
    enter_leaf(it, (int)at);
    return 0;
}

int
ps_bt_iter_leaf(ps_state *st, ps_bt_iter *it)
{
    if (it->left == 0) {
        ps_bt_iter_clear(it);
        return 0;
    }
    int h = 1;
    for (;; h++) {
        int i = it->at[h] + it->step;
        if (i >= 0 && i < ps_bt_size(it->node[h])) {
            it->at[h] = (int16_t)i;
            break;
        }
    }
    for (; h > 0; h--) {
        ps_node *n = it->node[h];
        ps_node *child = ps_bt_open_child(st, n, it->at[h]);
        if (child == NULL) {
            ps_bt_iter_clear(it);
            return -1;
        }
        Py_SETREF(it->node[h - 1], child);
        if (h > 1) {
            it->at[h - 1] = (int16_t)(it->step > 0 ? 0 : ps_bt_size(child) - 1);
        }
    }
    enter_leaf(it, it->step > 0 ? 0 : ps_bt_size(it->node[0]) - 1);
    return 1;
}
