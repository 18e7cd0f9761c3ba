/* btree.c -- the B+ tree of sorted maps and sets: its nodes, and searching them.
 *
 * The problem: a persistent collection in sorted order, with ranges, neighbours and
 * positions in O(log n), versions that share nearly all of their memory, and scans as
 * fast as an array's. A binary tree has one cache miss and one refcount a level and
 * entry; a B+ tree has the entries side by side in its leaves:
 *
 *                    +-------------------------------------+
 *     height 1       | min  | c0 c1 c2 | 10 31 58 | 3 2 4   |     words, counts
 *                    +--------|--|--|-----------------------+
 *            +----------------+  |  +-----------------+
 *     +------v-------+   +-------v-----+   +----------v------+
 *     | 10 20 30     |   | 31 44       |   | 58 60 71 80     |   order keys
 *     | v  v  v      |   | v  v        |   | v  v  v  v      |   values
 *     | 10 20 30     |   | 31 44       |   | 58 60 71 80     |   words
 *     +--------------+   +-------------+   +-----------------+
 *     height 0
 *
 * Array nodes (node.h). A leaf of n entries is a table in columns:
 *
 *     slots   order keys [n] | keys [n], in keyed trees | values [n], in maps
 *     raw     words [n]
 *
 * An inner node of m children:
 *
 *     slots   the smallest order key below it | children [m]
 *     raw     words of the children's smallest order keys [m] | entries below each [m]
 *
 * The first slot of any node is its smallest order key, so the separators between
 * children are the children's first slots, and an inner node needs to hold none of them:
 * a path copy takes one reference a child. The words (btree_order.c) make reading a child
 * unnecessary for ints, floats and most strings.
 *
 * tag: kind of the words (2 bits), shape << 4 (map, keyed), height << 8. A node whose order
 * keys are not all of one kind has kind PS_BT_ANY and zero words.
 *
 * Invariants (btree_check.c asserts each):
 *   - order keys ascend strictly, through the whole tree;
 *   - all leaves are at the same depth;
 *   - a leaf holds at most PS_BT_LEAF entries, an inner node at most PS_BT_INNER children;
 *   - every node holds half of that or more, except on the right spine (the root, its last
 *     child, that one's last child ...), where one is enough. So appending leaves full nodes
 *     behind, and a time series takes no more memory than an array of its entries;
 *   - the first slot of a node is the very object that is its first leaf's first order key;
 *   - counts and words are right, and plain nodes hold atoms and plain nodes only.
 *
 * Unlike a trie's, the shape depends on history. Equal contents need not have equal
 * shapes, so equality compares entries, and skips subtrees that both trees share.
 *
 * Costs, n entries: search, rank, nth O(log n) comparisons; update O(log n) and a copied
 * path of about 2 kB at a million entries; slice, split, join of disjoint trees O(log n)
 * nodes; algebra O(changes * log n) for versions of one tree and O(n) for strangers; build
 * O(n) from sorted input, else O(n log n).
 *
 * Paper: Comer, The Ubiquitous B-Tree, ACM Computing Surveys 11(2), 1979. Counts in the
 * inner nodes: Knuth, The Art of Computer Programming 3, 6.2.3.
 */
#include "btree.h"

/* ---- making nodes */

uint64_t
ps_bt_node_count(ps_node *n)
{
    int m = ps_bt_size(n);
    if (ps_bt_height(n) == 0) {
        return (uint64_t)m;
    }
    uint64_t total = 0;
    const uint64_t *counts = ps_bt_counts(n);
    for (int i = 0; i < m; i++) {
        total += counts[i];
    }
    return total;
}

static int
word_of_slot(ps_state *st, ps_slot s, ps_bt_item *item)
{
    if (PS_LIKELY(!ps_slot_is_packed(s))) {
        item->kind = ps_bt_word(ps_slot_obj(s), &item->word);
        return 0;
    }
    PyObject *key = ps_slot_get(st, s);
    if (key == NULL) {
        return -1;
    }
    item->kind = ps_bt_word(key, &item->word);
    Py_DECREF(key);
    return 0;
}

int
ps_bt_item_of(ps_state *st, ps_node *n, ps_bt_item *item)
{
    item->s[0] = ps_slot_heap(n);
    item->count = ps_bt_node_count(n);
    item->kind = ps_bt_node_kind(n);
    item->word = ps_bt_words(n)[0];
    return item->kind == PS_BT_ANY ? word_of_slot(st, ps_bt_min(n), item) : 0;
}

int
ps_bt_item_at(ps_state *st, ps_node *n, int i, ps_bt_item *item)
{
    item->kind = ps_bt_node_kind(n);
    item->word = ps_bt_words(n)[i];
    if (ps_bt_height(n) > 0) {
        item->s[0] = ps_bt_children(n)[i];
        item->count = ps_bt_counts(n)[i];
        if (PS_LIKELY(item->kind != PS_BT_ANY)) {
            return 0;
        }
        ps_node *child = ps_bt_open_child(st, n, i);
        if (child == NULL) {
            return -1;
        }
        int rc = word_of_slot(st, ps_bt_min(child), item);
        Py_DECREF(child);
        return rc;
    }
    int width = ps_bt_width(ps_bt_node_shape(n));
    for (int j = 0; j < width; j++) {
        item->s[j] = ps_bt_leaf_slot(n, j, i);
    }
    item->count = 1;
    return item->kind == PS_BT_ANY ? word_of_slot(st, item->s[0], item) : 0;
}

static bool
child_is_gc(ps_state *st, ps_slot s)
{
    return !ps_slot_is_packed(s) && ps_node_is_gc(st, ps_slot_node(s));
}

static uint64_t
take(ps_state *st, ps_slot s, bool steal, bool *packed)
{
    *packed = *packed || ps_slot_is_packed(s);
    return steal ? s : ps_slot_incref(st, s);
}

int
ps_bt_raise_too_high(void)
{
    PyErr_SetString(PyExc_OverflowError, "a sorted collection is too high for its number of "
                                         "entries; verify the pack that it comes from");
    return -1;
}

ps_node *
ps_bt_make(ps_state *st, int shape, int height, const ps_bt_item *items, int n, bool steal)
{
    int width = height ? 1 : ps_bt_width(shape);
    if (PS_UNLIKELY(height > PS_BT_MAX_HEIGHT - 2)) {
        ps_bt_raise_too_high();
        return NULL;
    }
    ps_bt_kind kind = items[0].kind;
    bool gc = false, packed = false;
    ps_slot min = items[0].s[0];
    ps_node *first = NULL;
    for (int i = 0; i < n; i++) {
        kind = items[i].kind == kind ? kind : PS_BT_ANY;
        for (int j = 0; j < width && !gc; j++) {
            gc = height ? child_is_gc(st, items[i].s[0]) : ps_slot_needs_gc(st, items[i].s[j]);
        }
    }
    if (height) {
        first = ps_bt_open(st, items[0].s[0], shape, height - 1, items[0].count);
        if (first == NULL) {
            return NULL;
        }
        min = ps_bt_min(first);
    }
    ps_node *node =
        ps_node_new_array(st, gc, (uint32_t)(height ? n + 1 : n * width),
                          (uint32_t)(height ? 2 * n : n), ps_bt_tag(shape, height, kind));
    if (node == NULL) {
        Py_XDECREF(first);
        return NULL;
    }
    if (height) {
        node->slots[0] = take(st, min, false, &packed);
        for (int i = 0; i < n; i++) {
            node->slots[1 + i] = take(st, items[i].s[0], steal, &packed);
        }
        Py_DECREF(first);
    }
    else {
        for (int j = 0; j < width; j++) {
            for (int i = 0; i < n; i++) {
                node->slots[j * n + i] = take(st, items[i].s[j], steal, &packed);
            }
        }
    }
    int64_t *words = ps_bt_words(node);
    for (int i = 0; i < n; i++) {
        words[i] = kind == PS_BT_ANY ? 0 : items[i].word;
        if (height) {
            ps_bt_counts(node)[i] = items[i].count;
        }
    }
    if (packed) {
        node->meta |= PS_META_PACKED;
    }
    return node;
}

int
ps_bt_tree_of_root(ps_state *st, ps_node *root, int shape, ps_btree *out)
{
    while (root != NULL && ps_bt_height(root) > 0 && ps_bt_size(root) == 1) {
        ps_node *child = ps_bt_open_child(st, root, 0);
        Py_DECREF(root);
        if (child == NULL) {
            return -1;
        }
        root = child;
    }
    out->root = root == NULL ? 0 : ps_slot_heap(root);
    out->count = root == NULL ? 0 : (Py_ssize_t)ps_bt_node_count(root);
    out->shape = shape;
    return 0;
}

void
ps_bt_track_all(ps_state *st, ps_slot root)
{
    if (root == 0 || ps_slot_is_packed(root)) {
        return;
    }
    ps_node *n = ps_slot_node(root);
    if (!ps_node_is_gc(st, n) || PyObject_GC_IsTracked((PyObject *)n)) {
        return;
    }
    if (ps_bt_height(n) > 0) {
        for (int i = 0; i < ps_bt_size(n); i++) {
            ps_bt_track_all(st, ps_bt_children(n)[i]);
        }
    }
    ps_node_track(st, n);
}

/* ---- searching a node */

/* Number of words below x. Without branches, so that the compiler makes vectors of it. */
PS_INLINE int
words_below(const int64_t *words, int n, int64_t x)
{
    int64_t below = 0;
    for (int i = 0; i < n; i++) {
        below += words[i] < x;
    }
    return (int)below;
}

PS_INLINE int
words_up_to(const int64_t *words, int n, int64_t x)
{
    int64_t up_to = 0;
    for (int i = 0; i < n; i++) {
        up_to += words[i] <= x;
    }
    return (int)up_to;
}

/* The word of p among a node's words of another kind: whole floats among ints, small ints
 * among floats. */
static bool
convert(const ps_bt_probe *p, ps_bt_kind kind, int64_t *word)
{
    if (kind == PS_BT_INT && p->kind == PS_BT_FLOAT) {
        double x = PyFloat_AS_DOUBLE(p->key);
        if (x >= -9007199254740992.0 && x <= 9007199254740992.0 && x == (double)(int64_t)x) {
            *word = (int64_t)x;
            return true;
        }
    }
    if (kind == PS_BT_FLOAT && p->kind == PS_BT_INT && p->word >= -(INT64_C(1) << 53) &&
        p->word <= INT64_C(1) << 53) {
        *word = ps_bt_float_word((double)p->word);
        return true;
    }
    return false;
}

/* New reference to the smallest order key below child i. */
static PyObject *
child_min(ps_state *st, ps_node *n, int i)
{
    ps_node *child = ps_bt_open_child(st, n, i);
    if (child == NULL) {
        return NULL;
    }
    PyObject *min = ps_slot_get(st, ps_bt_min(child));
    Py_DECREF(child);
    return min;
}

/* In lo..hi: the first child (from lo) whose smallest order key is behind the key. */
static PS_NOINLINE int
inner_by_objects(ps_state *st, ps_node *n, const ps_bt_probe *p, int lo, int hi)
{
    while (lo < hi) {
        int mid = (lo + hi) / 2;
        PyObject *min = child_min(st, n, mid);
        if (min == NULL) {
            return -1;
        }
        int before = ps_bt_less(p->key, min);
        Py_DECREF(min);
        if (before < 0) {
            return -1;
        }
        if (before) {
            hi = mid;
        }
        else {
            lo = mid + 1;
        }
    }
    return lo;
}

int
ps_bt_search_inner(ps_state *st, ps_node *n, const ps_bt_probe *p)
{
    int m = ps_bt_size(n);
    ps_bt_kind kind = ps_bt_node_kind(n);
    const int64_t *words = ps_bt_words(n);
    int64_t word = p->word;
    int behind;
    if (PS_LIKELY(kind != PS_BT_ANY && (kind == p->kind || convert(p, kind, &word)))) {
        behind = words_up_to(words, m, word);
        if (kind == PS_BT_STR && behind > 0 && words[behind - 1] == word) {
            behind = inner_by_objects(st, n, p, words_below(words, m, word), behind);
        }
    }
    else {
        behind = inner_by_objects(st, n, p, 0, m);
    }
    return behind > 0 ? behind - 1 : behind;
}

/* In lo..hi: the first entry that is not before the key. */
static PS_NOINLINE int
leaf_by_objects(ps_state *st, ps_node *n, const ps_bt_probe *p, int lo, int hi)
{
    while (lo < hi) {
        int mid = (lo + hi) / 2;
        PyObject *key = ps_slot_get(st, ps_bt_leaf_slot(n, 0, mid));
        if (key == NULL) {
            return -1;
        }
        int before = ps_bt_less(key, p->key);
        Py_DECREF(key);
        if (before < 0) {
            return -1;
        }
        if (before) {
            lo = mid + 1;
        }
        else {
            hi = mid;
        }
    }
    return lo;
}

int
ps_bt_search_leaf(ps_state *st, ps_node *n, const ps_bt_probe *p, bool strict, bool *equal)
{
    int size = ps_bt_size(n);
    ps_bt_kind kind = ps_bt_node_kind(n);
    const int64_t *words = ps_bt_words(n);
    int64_t word = p->word;
    *equal = false;
    if (PS_LIKELY(kind != PS_BT_ANY && (kind == p->kind || convert(p, kind, &word)))) {
        int at = words_below(words, size, word);
        if (at == size || words[at] != word) {
            return at;
        }
        if (kind != PS_BT_STR) {
            *equal = true;
            return at;
        }
        ps_slot s = ps_bt_leaf_slot(n, 0, at);
        if (PS_LIKELY(!ps_slot_is_packed(s)) &&
            (s == ps_slot_heap(p->key) || ps_unicode_eq(ps_slot_obj(s), p->key))) {
            *equal = true;
            return at;
        }
        at = leaf_by_objects(st, n, p, at, words_up_to(words, size, word));
        if (at < 0) {
            return -1;
        }
        if (at < size && words[at] == word) {
            int eq = ps_slot_key_eq(st, ps_bt_leaf_slot(n, 0, at), p->key);
            if (eq < 0) {
                return -1;
            }
            *equal = eq;
        }
        return at;
    }
    int at = leaf_by_objects(st, n, p, 0, size);
    if (at < 0 || at == size) {
        return at;
    }
    PyObject *key = ps_slot_get(st, ps_bt_leaf_slot(n, 0, at));
    if (key == NULL) {
        return -1;
    }
    int eq = ps_object_eq(key, p->key);
    if (eq == 0 && strict) {
        int behind = ps_bt_less(p->key, key);
        if (behind <= 0) {
            eq = behind < 0 ? -1 : ps_bt_raise_unordered(p->key, key);
        }
    }
    Py_DECREF(key);
    *equal = eq > 0;
    return eq < 0 ? -1 : at;
}

/* ---- searching a tree */

/* New reference to the leaf where the key is or belongs, and the number of entries in
 * the leaves before it (when wanted). */
static ps_node *
find_leaf(ps_state *st, ps_btree t, const ps_bt_probe *p, Py_ssize_t *before)
{
    ps_node *n = ps_bt_open_root(st, t);
    while (n != NULL && ps_bt_height(n) > 0) {
        int i = ps_bt_search_inner(st, n, p);
        ps_node *child = NULL;
        if (i >= 0) {
            for (int k = 0; before != NULL && k < i; k++) {
                *before += (Py_ssize_t)ps_bt_counts(n)[k];
            }
            child = ps_bt_open_child(st, n, i);
        }
        Py_DECREF(n);
        n = child;
    }
    return n;
}

/* Among children lo..hi-1, whose smallest keys agree with the key in eight bytes: the first
 * that is behind it. -1: not to be told without the module state. */
static int
quick_behind(ps_node *n, const ps_bt_probe *p, int lo, int hi)
{
    while (lo < hi) {
        int mid = (lo + hi) / 2;
        ps_slot child = ps_bt_children(n)[mid];
        ps_slot min = ps_slot_is_packed(child) ? child : ps_bt_min(ps_slot_node(child));
        /* That words are those of strs is what a pack says. */
        if (ps_slot_is_packed(min) || !PyUnicode_CheckExact(ps_slot_obj(min))) {
            return -1;
        }
        if (ps_bt_compare_str(p->key, ps_slot_obj(min)) < 0) {
            hi = mid;
        }
        else {
            lo = mid + 1;
        }
    }
    return lo;
}

int
ps_bt_quick(ps_slot root, const ps_bt_probe *p, ps_node **leaf)
{
    ps_slot s = root;
    if (root == 0) {
        return PS_BT_MISSING;
    }
    if (p->kind == PS_BT_ANY) {
        return PS_BT_UNSURE;
    }
    for (;;) {
        if (PS_UNLIKELY(ps_slot_is_packed(s))) {
            return PS_BT_UNSURE;
        }
        ps_node *n = ps_slot_node(s);
        /* The header says where the words are: fetch those lines while it is being read. */
        __builtin_prefetch((char *)n + 128);
        __builtin_prefetch((char *)n + 192);
        __builtin_prefetch((char *)n + 320);
        const int64_t *words = ps_bt_words(n);
        if (PS_UNLIKELY(ps_bt_node_kind(n) != p->kind)) {
            return PS_BT_UNSURE;
        }
        int size = ps_bt_size(n);
        if (ps_bt_height(n) == 0) {
            int at = words_below(words, size, p->word);
            *leaf = n;
            if (at == size || words[at] != p->word) {
                return PS_BT_MISSING;
            }
            if (p->kind != PS_BT_STR) {
                return at;
            }
            for (int hi = words_up_to(words, size, p->word); at < hi;) {
                int mid = (at + hi) / 2;
                ps_slot key = n->slots[mid];
                if (PS_UNLIKELY(ps_slot_is_packed(key))) {
                    return PS_BT_UNSURE;
                }
                int order =
                    key == ps_slot_heap(p->key) ? 0 : ps_bt_compare_str(ps_slot_obj(key), p->key);
                if (order == 0) {
                    return mid;
                }
                if (order < 0) {
                    at = mid + 1;
                }
                else {
                    hi = mid;
                }
            }
            return PS_BT_MISSING;
        }
        int behind = words_up_to(words, size, p->word);
        if (p->kind == PS_BT_STR && behind > 0 && words[behind - 1] == p->word) {
            behind = quick_behind(n, p, words_below(words, size, p->word), behind);
            if (behind < 0) {
                return PS_BT_UNSURE;
            }
        }
        s = ps_bt_children(n)[behind > 0 ? behind - 1 : 0];
    }
}

ps_found
ps_bt_find(ps_state *st, ps_btree t, PyObject *order, PyObject **key, PyObject **value)
{
    ps_bt_probe p;
    ps_bt_probe_init(&p, order);
    if (t.root == 0 || p.kind == PS_BT_NAN) {
        return PS_NOT_FOUND;
    }
    ps_node *leaf = find_leaf(st, t, &p, NULL);
    if (leaf == NULL) {
        return PS_ERROR;
    }
    bool equal;
    ps_found found = PS_NOT_FOUND;
    int at = ps_bt_search_leaf(st, leaf, &p, false, &equal);
    if (at < 0) {
        found = PS_ERROR;
    }
    else if (equal) {
        found = PS_FOUND;
        if (key != NULL && (*key = ps_slot_get(st, ps_bt_leaf_key(leaf, at))) == NULL) {
            found = PS_ERROR;
        }
        else if (value != NULL && (*value = ps_slot_get(st, ps_bt_leaf_value(leaf, at))) == NULL) {
            if (key != NULL) {
                Py_CLEAR(*key);
            }
            found = PS_ERROR;
        }
    }
    Py_DECREF(leaf);
    return found;
}

Py_ssize_t
ps_bt_rank(ps_state *st, ps_btree t, PyObject *order, bool after)
{
    ps_bt_probe p;
    ps_bt_probe_init(&p, order);
    if (p.kind == PS_BT_NAN) {
        return ps_bt_raise_nan(order);
    }
    if (t.root == 0) {
        return 0;
    }
    Py_ssize_t before = 0;
    ps_node *leaf = find_leaf(st, t, &p, &before);
    if (leaf == NULL) {
        return -1;
    }
    bool equal;
    int at = ps_bt_search_leaf(st, leaf, &p, false, &equal);
    Py_DECREF(leaf);
    return at < 0 ? -1 : before + at + (after && equal);
}

int
ps_bt_nth(ps_state *st, ps_btree t, Py_ssize_t i, PyObject **key, PyObject **value)
{
    ps_bt_iter it;
    int at;
    if (ps_bt_iter_init(st, &it, t, i, i + 1, false) < 0) {
        return -1;
    }
    int rc = ps_bt_iter_next(st, &it, &at) == 1 ? 0 : -1;
    if (rc == 0 && key != NULL &&
        (*key = ps_slot_get(st, ps_bt_leaf_key(it.node[0], at))) == NULL) {
        rc = -1;
    }
    if (rc == 0 && value != NULL &&
        (*value = ps_slot_get(st, ps_bt_leaf_value(it.node[0], at))) == NULL) {
        if (key != NULL) {
            Py_CLEAR(*key);
        }
        rc = -1;
    }
    ps_bt_iter_clear(&it);
    return rc;
}
