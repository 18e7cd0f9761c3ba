/* btree.h -- the persistent B+ tree below sorted maps and sets.
 *
 * A tree is (root, count, shape): root is 0 when empty, else a heap node or a packed
 * record. Entries are sorted by their *order key*: the key itself, or in keyed trees
 * what the user's key function made of it, stored beside it. Two keys are the same key
 * when neither's order key sorts before the other's.
 *
 * Ownership: "returns new" results own one reference to their root.
 * User code (__lt__, __eq__) runs only while no node is half built.
 */
#ifndef PS_BTREE_H
#define PS_BTREE_H

#include "node.h"

/* Entries of a leaf and children of an inner node. A leaf of a map takes 32 + 24n bytes, an
 * inner node 40 + 24m, and a kept version one path of them. Bytes a version of a map of a
 * million entries, bulk built: 16 and 12: 1.9 kB, 20 and 14: 2.1 kB, 32 and 32: 3.9 kB. */
#ifdef PS_SMALL
#define PS_BT_LEAF 4
#define PS_BT_INNER 4
#else
#ifndef PS_BT_LEAF
#define PS_BT_LEAF 16
#endif
#ifndef PS_BT_INNER
#define PS_BT_INNER 12
#endif
#endif
#define PS_BT_MAX_HEIGHT 24 /* 6 ** 23 * 8 entries at least; 2 ** 24 in small builds */

/* Slots of an entry: its order key, its key when that is another object, its value. */
#define PS_BT_MAP 1
#define PS_BT_KEYED 2
PS_INLINE int
ps_bt_width(int shape)
{
    return 1 + (shape & 1) + (shape >> 1);
}

typedef struct {
    ps_slot root;
    Py_ssize_t count;
    int shape;
} ps_btree;

/* ---- nodes: see btree.c for the layout */
/* What the words of a node's order keys are. Words compare as the keys do, as far as
 * they go: of ints and floats they say all, of strings the first eight bytes. */
typedef enum {
    PS_BT_ANY = 0, /* nothing: compare the objects */
    PS_BT_INT = 1,
    PS_BT_FLOAT = 2,
    PS_BT_STR = 3,
    PS_BT_NAN = 4, /* never in a node: sorts nowhere */
} ps_bt_kind;

PS_INLINE ps_bt_kind
ps_bt_node_kind(const ps_node *n)
{
    return (ps_bt_kind)(n->nodemap & 3u);
}

PS_INLINE int
ps_bt_node_shape(const ps_node *n)
{
    return (int)(n->nodemap >> 4 & 3u);
}

PS_INLINE int
ps_bt_height(const ps_node *n)
{
    return (int)(n->nodemap >> 8 & 63u);
}

PS_INLINE uint32_t
ps_bt_tag(int shape, int height, ps_bt_kind kind)
{
    return (uint32_t)kind | (uint32_t)shape << 4 | (uint32_t)height << 8;
}

/* Entries of a leaf, children of an inner node. */
PS_INLINE int
ps_bt_size(const ps_node *n)
{
    int words = (int)ps_node_raw_words(n);
    return ps_bt_height(n) ? words / 2 : words;
}

PS_INLINE int64_t *
ps_bt_words(ps_node *n)
{
    return (int64_t *)ps_node_raw(n);
}

/* Of an inner node: entries below each child. */
PS_INLINE uint64_t *
ps_bt_counts(ps_node *n)
{
    return ps_node_raw(n) + ps_node_raw_words(n) / 2;
}

/* The slot of the smallest order key at or below n (borrowed). */
PS_INLINE ps_slot
ps_bt_min(const ps_node *n)
{
    return n->slots[0];
}

PS_INLINE ps_slot *
ps_bt_children(ps_node *n)
{
    return n->slots + 1;
}

/* Column j of a leaf's entry i. */
PS_INLINE ps_slot
ps_bt_leaf_slot(const ps_node *n, int j, int i)
{
    return n->slots[j * (int)ps_node_raw_words(n) + i];
}

PS_INLINE ps_slot
ps_bt_leaf_key(const ps_node *n, int i)
{
    return ps_bt_leaf_slot(n, ps_bt_node_shape(n) >> 1, i);
}

/* The value; in a set the key. */
PS_INLINE ps_slot
ps_bt_leaf_value(const ps_node *n, int i)
{
    return ps_bt_leaf_slot(n, ps_bt_width(ps_bt_node_shape(n)) - 1, i);
}

/* New reference to the node of `count` entries that a slot names, which may be packed.
 * height: -1 for a root. */
PS_INLINE ps_node *
ps_bt_open(ps_state *st, ps_slot s, int shape, int height, uint64_t count)
{
    return ps_slot_open_array(st, s, PS_ARRAY_SORTED + shape, height, (Py_ssize_t)count);
}

/* New reference to the root of a tree that is not empty. */
PS_INLINE ps_node *
ps_bt_open_root(ps_state *st, ps_btree t)
{
    return ps_bt_open(st, t.root, t.shape, -1, (uint64_t)t.count);
}

/* New reference to child i. */
PS_INLINE ps_node *
ps_bt_open_child(ps_state *st, ps_node *n, int i)
{
    return ps_bt_open(st, ps_bt_children(n)[i], ps_bt_node_shape(n), ps_bt_height(n) - 1,
                      ps_bt_counts(n)[i]);
}

/* One element of a node while nodes are put together: an entry, or a child with the
 * number of entries below it. Word and kind are those of its (smallest) order key. */
typedef struct {
    ps_slot s[3];
    int64_t word;
    uint64_t count;
    ps_bt_kind kind;
} ps_bt_item;

/* The OverflowError for trees from packs that are thin on purpose, -1. */
int ps_bt_raise_too_high(void);
/* Node of n >= 1 items, untracked. It takes new references, or with `steal` the items' own. */
ps_node *ps_bt_make(ps_state *st, int shape, int height, const ps_bt_item *items, int n,
                    bool steal);
/* Item i of a node. Borrows the node's references. 0, -1. */
int ps_bt_item_at(ps_state *st, ps_node *n, int i, ps_bt_item *item);
/* The item of a whole node, as its parent holds it. Borrows n. 0, -1. */
int ps_bt_item_of(ps_state *st, ps_node *n, ps_bt_item *item);
uint64_t ps_bt_node_count(ps_node *n);

/* The tree of a root node (NULL: empty), which it steals; lone children become the root. 0, -1. */
int ps_bt_tree_of_root(ps_state *st, ps_node *root, int shape, ps_btree *out);
void ps_bt_track_all(ps_state *st, ps_slot root);

PS_INLINE ps_btree
ps_bt_share(ps_state *st, ps_btree t)
{
    if (t.root) {
        ps_slot_incref(st, t.root);
    }
    return t;
}

PS_INLINE void
ps_bt_drop(ps_state *st, ps_btree t)
{
    ps_slot_xdecref(st, t.root);
}

/* ---- btree_order.c: comparing order keys */
ps_bt_kind ps_bt_word(PyObject *key, int64_t *word);
int64_t ps_bt_float_word(double x); /* x is no NaN */
/* An order key that is searched for (borrowed). */
typedef struct {
    PyObject *key;
    int64_t word;
    ps_bt_kind kind;
} ps_bt_probe;
PS_INLINE void
ps_bt_probe_init(ps_bt_probe *p, PyObject *key)
{
    p->key = key;
    if (PyLong_CheckExact(key) && PS_LIKELY(ps_long_as_int64(key, &p->word))) {
        p->kind = PS_BT_INT;
    }
    else {
        p->kind = ps_bt_word(key, &p->word);
    }
}
/* Whether key can be an order key at all: no NaN, and it sorts beside itself. 0, or -1
 * with ValueError or TypeError. */
int ps_bt_accept(ps_bt_probe *p);
/* < 0, 0, > 0: exact strs by code points. No user code. */
PS_INLINE int
ps_bt_compare_str(PyObject *a, PyObject *b)
{
    if (PS_LIKELY(PyUnicode_KIND(a) == PyUnicode_1BYTE_KIND &&
                  PyUnicode_KIND(b) == PyUnicode_1BYTE_KIND)) {
        Py_ssize_t n = PyUnicode_GET_LENGTH(a), m = PyUnicode_GET_LENGTH(b);
        int order = memcmp(PyUnicode_DATA(a), PyUnicode_DATA(b), (size_t)(n < m ? n : m));
        return order ? order : (n > m) - (n < m);
    }
    return PyUnicode_Compare(a, b);
}
/* 1 / 0: a < b; -1 with an exception that names the keys. Runs user code. */
int ps_bt_less(PyObject *a, PyObject *b);
/* *order < 0, 0, > 0 as a sorts before, with, after b. 0; -1 with an exception, also
 * where they are neither equal nor in an order. */
int ps_bt_compare(const ps_bt_probe *a, const ps_bt_probe *b, int *order);
/* The ValueError for two keys that are neither equal nor in an order, -1. */
int ps_bt_raise_unordered(PyObject *a, PyObject *b);
/* ValueError for a NaN. -1. */
int ps_bt_raise_nan(PyObject *key);

/* ---- btree.c: searching */
/* Index of the child below which the key is or belongs; -1 with an exception. */
int ps_bt_search_inner(ps_state *st, ps_node *n, const ps_bt_probe *p);
/* Index of the first entry that does not sort before the key, and whether it is equal;
 * -1 with an exception. strict: also when it is neither equal nor behind the key. */
int ps_bt_search_leaf(ps_state *st, ps_node *n, const ps_bt_probe *p, bool strict, bool *equal);

/* The hot lookup: needs no module state and runs no user code. The entry's index in *leaf
 * (borrowed), PS_BT_MISSING, or PS_BT_UNSURE: ask ps_bt_find. */
#define PS_BT_MISSING (-1)
#define PS_BT_UNSURE (-2)
int ps_bt_quick(ps_slot root, const ps_bt_probe *p, ps_node **leaf);

/* PS_FOUND: *key and *value (either may be NULL: not wanted) are new references. */
ps_found ps_bt_find(ps_state *st, ps_btree t, PyObject *order, PyObject **key, PyObject **value);
/* Number of entries before the key; with `after`, of those not after it. -1 with an exception. */
Py_ssize_t ps_bt_rank(ps_state *st, ps_btree t, PyObject *order, bool after);
/* Entry number i (0 <= i < count): new references, either may be NULL. 0, -1. */
int ps_bt_nth(ps_state *st, ps_btree t, Py_ssize_t i, PyObject **key, PyObject **value);

/* ---- btree_update.c */
typedef enum {
    PS_BT_FAILED = -1,   /* exception set, tree as it was */
    PS_BT_UNCHANGED = 0, /* the tree already was so */
    PS_BT_ADDED = 1,
    PS_BT_REPLACED = 2,
    PS_BT_REMOVED = 3,
} ps_bt_change;

/* Insert or replace. key: the entry's key; order: its order key, the same object unless
 * the tree is keyed; value: NULL in sets. *t is updated; with in_place nodes whose whole
 * path is referenced once are written in place, else t gets a new root, and the
 * reference to the old one is consumed. What was replaced comes back in *garbage (owned,
 * or 0): release it, always. */
ps_bt_change ps_bt_set(ps_state *st, ps_btree *t, PyObject *order, PyObject *key, PyObject *value,
                       bool in_place, ps_slot garbage[2]);
ps_bt_change ps_bt_remove(ps_state *st, ps_btree *t, PyObject *order, bool in_place,
                          ps_slot garbage[2]);
/* Visit what an evolver's root reaches through untracked nodes, as its own. */
int ps_bt_visit_untracked(ps_state *st, ps_slot root, visitproc visit, void *arg);

/* ---- btree_build.c */
/* Grows a tree from left to right out of entries and whole nodes. */
typedef struct {
    ps_state *st;
    int shape;
    int top;                               /* highest level with items; -1: empty */
    ps_bt_item *items[PS_BT_MAX_HEIGHT];   /* level h: entries (0), or nodes of height h - 1 */
    int n[PS_BT_MAX_HEIGHT];
} ps_bt_builder;

void ps_bt_builder_init(ps_state *st, ps_bt_builder *b, int shape);
void ps_bt_builder_clear(ps_bt_builder *b);
/* Append an entry or node behind all before: takes new references. 0, -1. */
int ps_bt_builder_entry(ps_bt_builder *b, const ps_bt_item *entry);
int ps_bt_builder_node(ps_bt_builder *b, ps_node *n);
/* Append entries lo..hi-1 of a tree. */
int ps_bt_builder_range(ps_bt_builder *b, ps_btree t, Py_ssize_t lo, Py_ssize_t hi);
/* The finished tree; clears the builder, also on error. 0, -1. */
int ps_bt_builder_end(ps_bt_builder *b, ps_btree *out);

/* A tree of n entries in any order: items is n * width owned references, interleaved
 * (order key, key if keyed, value if map), all consumed whatever happens. Of equal keys the
 * first key and the last value are kept. 0 and a new tree, or -1. */
int ps_bt_build(ps_state *st, int shape, PyObject **items, Py_ssize_t n, ps_btree *out);

/* ---- btree_range.c */
/* The tree of entries lo..hi-1. Shares subtrees. 0 and a new tree, or -1. */
int ps_bt_slice(ps_state *st, ps_btree t, Py_ssize_t lo, Py_ssize_t hi, ps_btree *out);

typedef struct {
    Py_ssize_t left;  /* entries still to come, those in the leaf included */
    int i, stop;      /* next entry of the leaf, and the one to stop before */
    int step;         /* 1 or -1 */
    int top;          /* height of the root; -1: nothing held */
    ps_node *node[PS_BT_MAX_HEIGHT]; /* owned; the path to the leaf node[0] */
    int16_t at[PS_BT_MAX_HEIGHT];
} ps_bt_iter;
/* Entries lo..hi-1, or the same from the end. 0, -1. */
int ps_bt_iter_init(ps_state *st, ps_bt_iter *it, ps_btree t, Py_ssize_t lo, Py_ssize_t hi,
                    bool reverse);
int ps_bt_iter_leaf(ps_state *st, ps_bt_iter *it); /* to the next leaf: 1, 0 end, -1 error */
void ps_bt_iter_clear(ps_bt_iter *it);

/* 1: entry *i of leaf it->node[0], borrowed until the next call; 0: end; -1: exception. */
PS_INLINE int
ps_bt_iter_next(ps_state *st, ps_bt_iter *it, int *i)
{
    if (PS_UNLIKELY(it->i == it->stop)) {
        int more = ps_bt_iter_leaf(st, it);
        if (more <= 0) {
            return more;
        }
    }
    *i = it->i;
    it->i += it->step;
    it->left--;
    return 1;
}

/* ---- btree_walk.c: two trees in step */
typedef struct {
    ps_state *st;
    ps_btree t;
    bool end;
    int h;            /* level of the node that holds the item; top + 1: the item is the root */
    int top;
    ps_node *item;    /* owned: the subtree at the position; NULL: an entry of node[0] */
    ps_node *node[PS_BT_MAX_HEIGHT + 1]; /* owned, levels h..top */
    int at[PS_BT_MAX_HEIGHT + 1];
} ps_bt_cursor;

/* What the walk tells: everything once, in order. Non-zero stops it. */
typedef struct {
    int (*same)(void *arg, ps_bt_cursor *a);                  /* a subtree of both */
    int (*only)(void *arg, ps_bt_cursor *c, bool in_a);       /* a subtree or entry of one */
    int (*both)(void *arg, ps_bt_cursor *a, ps_bt_cursor *b); /* an entry of both */
} ps_bt_visitor;
int ps_bt_walk(ps_state *st, ps_btree a, ps_btree b, const ps_bt_visitor *v, void *arg);
/* 1, 0, -1: equal keys and values at equal positions. Compares with == only. */
int ps_bt_equal(ps_state *st, ps_btree a, ps_btree b);

/* ---- btree_algebra.c: both trees in one order and of one shape */
int ps_bt_union(ps_state *st, ps_btree a, ps_btree b, ps_btree *out);
int ps_bt_intersection(ps_state *st, ps_btree a, ps_btree b, ps_btree *out);
int ps_bt_difference(ps_state *st, ps_btree a, ps_btree b, ps_btree *out);
int ps_bt_symmetric_difference(ps_state *st, ps_btree a, ps_btree b, ps_btree *out);
int ps_bt_is_subset(ps_state *st, ps_btree a, ps_btree b);
int ps_bt_is_disjoint(ps_state *st, ps_btree a, ps_btree b);

/* ---- btree_merge.c: as champ's diff and merge */
typedef int (*ps_bt_diff_visit)(ps_state *st, void *arg, ps_slot order, ps_slot key,
                                ps_slot a_value, ps_slot b_value);
int ps_bt_diff(ps_state *st, ps_btree a, ps_btree b, ps_bt_diff_visit visit, void *arg);
typedef int (*ps_bt_resolve)(ps_state *st, void *arg, ps_slot key, ps_slot base, ps_slot ours,
                             ps_slot theirs, ps_slot *keep);
int ps_bt_merge(ps_state *st, ps_btree base, ps_btree ours, ps_btree theirs, ps_bt_resolve resolve,
                void *arg, ps_btree *out);

/* ---- btree_check.c: every invariant; -1 with AssertionError */
int ps_bt_check(ps_state *st, ps_btree t);
/* Stops the process instead; runs no user code, looks at a bounded number of nodes. */
void ps_bt_check_or_abort(ps_state *st, ps_btree t);

#ifdef PS_DEBUG
#define PS_BT_CHECK(st, t) ps_bt_check_or_abort(st, t)
#else
#define PS_BT_CHECK(st, t) ((void)0)
#endif

#endif
