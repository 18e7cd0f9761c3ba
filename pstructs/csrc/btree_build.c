/* btree_build.c -- growing a tree from left to right, and building one in bulk.
 *
 * The builder keeps one row of items for each level, the right edge of a tree that is
 * being written:
 *
 *     level 2   [node node]                      nodes of height 1, complete
 *     level 1        [leaf leaf leaf]            leaves, not yet below a node
 *     level 0                  [e e e e e]       entries, not yet in a leaf
 *
 * Appending an entry puts it on level 0; when a row has twice what a node holds, its
 * first half becomes a node of the row above. Appending a whole node first closes the
 * rows below it: what is left of them becomes one or two nodes. A row with too little
 * for a node takes the node before it apart and shares with it; where there is none, the
 * node that comes is taken apart instead, down to where it fits. So whole subtrees of
 * other trees are spliced in with O(1) new nodes each, and the result obeys the invariants.
 *
 * Slices, set algebra and bulk building are all this one builder. The rows own what is
 * in them. */
#include "btree.h"
#include "scratch.h"

#define ROW (2 * (PS_BT_LEAF > PS_BT_INNER ? PS_BT_LEAF : PS_BT_INNER))

static int
most(int level)
{
    return level ? PS_BT_INNER : PS_BT_LEAF;
}

static int
width_at(const ps_bt_builder *b, int level)
{
    return level ? 1 : ps_bt_width(b->shape);
}

void
ps_bt_builder_init(ps_state *st, ps_bt_builder *b, int shape)
{
    b->st = st;
    b->shape = shape;
    b->top = -1;
}

static void
drop_items(ps_bt_builder *b, int level, int first, int n)
{
    for (int i = first; i < first + n; i++) {
        for (int j = 0; j < width_at(b, level); j++) {
            ps_slot_decref(b->st, b->items[level][i].s[j]);
        }
    }
}

void
ps_bt_builder_clear(ps_bt_builder *b)
{
    while (b->top >= 0) {
        int level = b->top--;
        int n = b->n[level];
        drop_items(b, level, 0, n);
        PyMem_Free(b->items[level]);
    }
}

static int
need_row(ps_bt_builder *b, int level)
{
    while (b->top < level) {
        ps_bt_item *row = PyMem_Malloc(ROW * sizeof *row);
        if (row == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        b->top++;
        b->items[b->top] = row;
        b->n[b->top] = 0;
    }
    return 0;
}

/* Make the first n items of a row a node of the row above. */
static int
close_first(ps_bt_builder *b, int level, int n)
{
    ps_bt_item *row, item;
    if (PS_UNLIKELY(level + 1 >= PS_BT_MAX_HEIGHT)) {
        return ps_bt_raise_too_high();
    }
    if (need_row(b, level + 1) < 0 || (b->n[level + 1] == 2 * most(level + 1) &&
                                       close_first(b, level + 1, most(level + 1)) < 0)) {
        return -1;
    }
    row = b->items[level];
    ps_node *node = ps_bt_make(b->st, b->shape, level, row, n, true);
    if (node == NULL) {
        return -1;
    }
    ps_node_track(b->st, node);
    b->n[level] -= n;
    memmove(row, row + n, (size_t)b->n[level] * sizeof *row);
    if (ps_bt_item_of(b->st, node, &item) < 0) {
        Py_DECREF(node);
        return -1;
    }
    b->items[level + 1][b->n[level + 1]++] = item;
    return 0;
}

/* Append an owned item to a row; steals it, also on error. */
static int
push(ps_bt_builder *b, int level, const ps_bt_item *item)
{
    if (need_row(b, level) < 0 ||
        (b->n[level] == 2 * most(level) && close_first(b, level, most(level)) < 0)) {
        for (int j = 0; j < width_at(b, level); j++) {
            ps_slot_decref(b->st, item->s[j]);
        }
        return -1;
    }
    b->items[level][b->n[level]++] = *item;
    return 0;
}

/* Take the last node of the row above `level` apart and put its items in front of the
 * row. 1; 0: there is no node before; -1. */
static int
borrow(ps_bt_builder *b, int level)
{
    if (level >= b->top) {
        return 0;
    }
    if (b->n[level + 1] == 0) {
        int rc = borrow(b, level + 1);
        if (rc <= 0) {
            return rc;
        }
    }
    ps_bt_item *row = b->items[level], *above = b->items[level + 1];
    const ps_bt_item *behind = &above[b->n[level + 1] - 1];
    ps_node *last = ps_bt_open(b->st, behind->s[0], b->shape, level, behind->count);
    if (last == NULL) {
        return -1;
    }
    int size = ps_bt_size(last);
    ps_bt_item *items = PyMem_Malloc((size_t)size * sizeof *items);
    int rc = 1;
    for (int i = 0; rc > 0 && (items == NULL || i < size); i++) {
        if (items == NULL) {
            PyErr_NoMemory();
            rc = -1;
        }
        else if (ps_bt_item_at(b->st, last, i, &items[i]) < 0) {
            rc = -1;
        }
    }
    if (rc > 0) {
        memmove(row + size, row, (size_t)b->n[level] * sizeof *row);
        for (int i = 0; i < size; i++) {
            row[i] = items[i];
            for (int j = 0; j < width_at(b, level); j++) {
                ps_slot_incref(b->st, row[i].s[j]);
            }
        }
        b->n[level] += size;
        b->n[level + 1]--;
        drop_items(b, level + 1, b->n[level + 1], 1);
    }
    PyMem_Free(items);
    Py_DECREF(last);
    return rc;
}

/* Close the rows below `level`, whose items come before what is appended next. 1; 0: a
 * row has too little, and there is nothing before it; -1. */
static int
close_below(ps_bt_builder *b, int level)
{
    for (int l = 0; l < level && l <= b->top; l++) {
        int n = b->n[l], max = most(l);
        if (n == 0) {
            continue;
        }
        if (n < max / 2) {
            int rc = borrow(b, l);
            if (rc <= 0) {
                return rc;
            }
            n = b->n[l];
        }
        if (n > max && close_first(b, l, n / 2) < 0) {
            return -1;
        }
        if (close_first(b, l, b->n[l]) < 0) {
            return -1;
        }
    }
    return 1;
}

int
ps_bt_builder_entry(ps_bt_builder *b, const ps_bt_item *entry)
{
    for (int j = 0; j < ps_bt_width(b->shape); j++) {
        ps_slot_incref(b->st, entry->s[j]);
    }
    return push(b, 0, entry);
}

/* Whether n may stand anywhere: no node of its right spine is small. 1, 0, -1. */
static int
is_whole(ps_bt_builder *b, ps_node *n)
{
    int height = ps_bt_height(n), size = ps_bt_size(n);
    if (size < most(height) / 2) {
        return 0;
    }
    if (height == 0) {
        return 1;
    }
    ps_node *last = ps_bt_open_child(b->st, n, size - 1);
    int whole = last == NULL ? -1 : is_whole(b, last);
    Py_XDECREF(last);
    return whole;
}

int
ps_bt_builder_node(ps_bt_builder *b, ps_node *n)
{
    int height = ps_bt_height(n), size = ps_bt_size(n);
    ps_bt_item item;
    int fits = is_whole(b, n);
    if (fits > 0) {
        fits = close_below(b, height + 1);
    }
    if (fits < 0) {
        return -1;
    }
    if (fits) {
        if (ps_bt_item_of(b->st, n, &item) < 0) {
            return -1;
        }
        Py_INCREF(n);
        return push(b, height + 1, &item);
    }
    for (int i = 0; i < size; i++) {
        int rc = -1;
        if (height == 0) {
            rc = ps_bt_item_at(b->st, n, i, &item) < 0 ? -1 : ps_bt_builder_entry(b, &item);
        }
        else {
            ps_node *child = ps_bt_open_child(b->st, n, i);
            rc = child == NULL ? -1 : ps_bt_builder_node(b, child);
            Py_XDECREF(child);
        }
        if (rc < 0) {
            return -1;
        }
    }
    return 0;
}

int
ps_bt_builder_end(ps_bt_builder *b, ps_btree *out)
{
    ps_node *root = NULL;
    for (int l = 0; l <= b->top; l++) {
        if (l == b->top && l > 0 && b->n[l] == 1) {
            break;
        }
        /* On the right spine a node may be small: full ones and a rest. */
        while (b->n[l] > 0) {
            int n = b->n[l] > most(l) ? most(l) : b->n[l];
            if (close_first(b, l, n) < 0) {
                ps_bt_builder_clear(b);
                return -1;
            }
        }
    }
    if (b->top >= 0) {
        const ps_bt_item *only = &b->items[b->top][0];
        root = ps_bt_open(b->st, only->s[0], b->shape, b->top - 1, only->count);
        if (root == NULL) {
            ps_bt_builder_clear(b);
            return -1;
        }
    }
    ps_bt_builder_clear(b);
    if (ps_bt_tree_of_root(b->st, root, b->shape, out) < 0) {
        return -1;
    }
    PS_BT_CHECK(b->st, *out);
    return 0;
}

/* ---- bulk building */

typedef struct {
    ps_bt_probe p;
    Py_ssize_t at; /* the entry's number in the input */
} sort_key;

/* 1: a sorts strictly before b; 0; -1. */
PS_INLINE int
before(const sort_key *a, const sort_key *b)
{
    if (PS_LIKELY(a->p.kind == b->p.kind && a->p.kind != PS_BT_ANY)) {
        return a->p.word != b->p.word || a->p.kind != PS_BT_STR
                   ? a->p.word < b->p.word
                   : ps_bt_compare_str(a->p.key, b->p.key) < 0;
    }
    return ps_bt_less(a->p.key, b->p.key);
}

/* Stable: insertion into runs of 8, then merging runs into the other array. Leaves the
 * result in *keys, which may be swapped with *spare. 0, -1. */
static int
merge_sort(sort_key **keys, sort_key **spare, Py_ssize_t n)
{
    enum { RUN = 8 };
    sort_key *a = *keys;
    for (Py_ssize_t lo = 0; lo < n; lo += RUN) {
        Py_ssize_t hi = lo + RUN < n ? lo + RUN : n;
        for (Py_ssize_t i = lo + 1; i < hi; i++) {
            sort_key x = a[i];
            Py_ssize_t k = i;
            while (k > lo) {
                int r = before(&x, &a[k - 1]);
                if (r < 0) {
                    a[k] = x;
                    return -1;
                }
                if (r == 0) {
                    break;
                }
                a[k] = a[k - 1];
                k--;
            }
            a[k] = x;
        }
    }
    for (Py_ssize_t run = RUN; run < n; run *= 2) {
        sort_key *from = *keys, *to = *spare;
        for (Py_ssize_t lo = 0; lo < n; lo += 2 * run) {
            Py_ssize_t mid = lo + run < n ? lo + run : n, hi = mid + run < n ? mid + run : n;
            Py_ssize_t i = lo, k = mid, out = lo;
            if (mid < hi) { /* runs that are in order already are taken as they are */
                int r = before(&from[mid], &from[mid - 1]);
                if (r < 0) {
                    return -1;
                }
                if (r == 0) {
                    memcpy(to + lo, from + lo, (size_t)(hi - lo) * sizeof *to);
                    continue;
                }
            }
            while (i < mid && k < hi) {
                int r = before(&from[k], &from[i]);
                if (r < 0) {
                    return -1;
                }
                to[out++] = r ? from[k++] : from[i++];
            }
            memcpy(to + out, from + i, (size_t)(mid - i) * sizeof *to);
            out += mid - i;
            memcpy(to + out, from + k, (size_t)(hi - k) * sizeof *to);
        }
        *keys = to;
        *spare = from;
    }
    return 0;
}

/* Append the entry number i of the input with the value of entry number `last`; takes
 * their references. */
static int
push_input(ps_bt_builder *b, PyObject **items, const ps_bt_probe *p, Py_ssize_t i, Py_ssize_t last)
{
    int width = ps_bt_width(b->shape);
    ps_bt_item item = {.word = p->word, .count = 1, .kind = p->kind};
    for (int j = 0; j < width; j++) {
        PyObject **from =
            &items[(j == width - 1 && (b->shape & PS_BT_MAP) ? last : i) * width + j];
        item.s[j] = ps_slot_heap(*from);
        *from = NULL;
    }
    return push(b, 0, &item);
}

/* Whether the input can be in a tree at all, as far as its keys tell one by one, and is
 * sorted strictly already: 1, 0, -1. */
static int
is_sorted(PyObject **items, int width, Py_ssize_t n)
{
    sort_key last = {0}, key;
    int sorted = 1, accepted = -1;
    for (Py_ssize_t i = 0; i < n; i++) {
        ps_bt_probe_init(&key.p, items[i * width]);
        /* One look at a key without words is enough: the rest are compared with it. */
        if ((int)key.p.kind != accepted && ps_bt_accept(&key.p) < 0) {
            return -1;
        }
        accepted = (int)key.p.kind;
        if (sorted && i > 0) {
            sorted = before(&last, &key);
            if (sorted < 0) {
                return -1;
            }
        }
        last = key;
    }
    return sorted;
}

int
ps_bt_build(ps_state *st, int shape, PyObject **items, Py_ssize_t n, ps_btree *out)
{
    int width = ps_bt_width(shape), rc = -1;
    size_t bytes = (size_t)(n ? n : 1) * sizeof(sort_key);
    sort_key *keys = NULL, *spare = NULL;
    ps_bt_builder b;
    ps_bt_builder_init(st, &b, shape);
    int sorted = is_sorted(items, width, n);
    if (sorted < 0) {
        goto done;
    }
    if (sorted) {
        for (Py_ssize_t i = 0; i < n; i++) {
            ps_bt_probe p;
            ps_bt_probe_init(&p, items[i * width]);
            if (push_input(&b, items, &p, i, i) < 0) {
                goto done;
            }
        }
        rc = ps_bt_builder_end(&b, out);
        goto done;
    }
    keys = ps_scratch_new(bytes);
    spare = keys == NULL ? NULL : ps_scratch_new(bytes);
    if (spare == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        keys[i].at = i;
        ps_bt_probe_init(&keys[i].p, items[i * width]);
    }
    if (merge_sort(&keys, &spare, n) < 0) {
        goto done;
    }
    for (Py_ssize_t i = 0; i < n;) {
        Py_ssize_t last = i; /* of the run of equal keys that starts at i */
        while (last + 1 < n) {
            int order;
            if (ps_bt_compare(&keys[last].p, &keys[last + 1].p, &order) < 0) {
                goto done;
            }
            if (order > 0) {
                ps_bt_raise_unordered(keys[last].p.key, keys[last + 1].p.key);
                goto done;
            }
            if (order < 0) {
                break;
            }
            last++;
        }
        if (push_input(&b, items, &keys[i].p, keys[i].at, keys[last].at) < 0) {
            goto done;
        }
        i = last + 1;
    }
    rc = ps_bt_builder_end(&b, out);
done:
    ps_bt_builder_clear(&b);
    ps_scratch_free(keys, bytes);
    ps_scratch_free(spare, bytes);
    for (Py_ssize_t i = 0; i < n * width; i++) {
        Py_XDECREF(items[i]);
    }
    return rc;
}
