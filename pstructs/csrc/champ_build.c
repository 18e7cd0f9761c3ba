/* champ_build.c -- a whole trie at once.
 *
 *     items     (hash, first, last)      one an entry: 16 bytes
 *     sort      by hash: radix passes over the top bits, then insertion sort
 *     build     bottom up: every node is allocated once, at its exact size
 *
 * Sorted by hash, the entries of every node lie side by side, for the trie takes
 * the top bits first. Equal hashes stand together: they are duplicates, or keys
 * that only H2 or a comparison can tell apart. Such a run is sorted by H2 and
 * its duplicates are dropped before any node exists, so user code (__hash__ and
 * __eq__) never sees a half-built one.
 *
 * Costs: 2 radix passes up to a million entries; no node is copied. 20,000 keys
 * with one H1 cost one H2 each, not n^2 comparisons.
 */
#include "champ.h"
#include "hash_sort.h"
#include "scratch.h"

typedef ps_sort_item item; /* first: index of the key that is kept; last: of its value */

/* A run of different keys with one H1. */
typedef struct {
    item *items; /* in the sorted array */
    Py_ssize_t n;
    uint64_t *h2; /* sorted, as the items are */
} run;

typedef struct {
    ps_state *st;
    int width;
    PyObject **objects; /* the input */
    bool atoms;         /* no key or value needs a GC node */
    item *items;
    Py_ssize_t n;
    run *runs;
    Py_ssize_t n_runs;
    Py_ssize_t next_run; /* of the builder */
} build;

PS_INLINE PyObject *
key_of(const build *b, const item *it)
{
    return b->objects[(size_t)it->first * (size_t)b->width];
}

/* Drop the duplicates of n items with one H1 and order the others by H2, in place.
 * *kept: how many are left. *h2: their H2s (PyMem, owned) when more than one is. */
static int
resolve_run(build *b, item *items, Py_ssize_t n, Py_ssize_t *kept, uint64_t **h2)
{
    *h2 = NULL;
    /* The usual run is a key given twice. */
    if (n == 2) {
        int eq = ps_key_eq(key_of(b, &items[0]), key_of(b, &items[1]));
        if (eq < 0) {
            return -1;
        }
        if (eq) {
            items[0].last = items[1].last;
            *kept = 1;
            return 0;
        }
    }
    int result = -1;
    uint64_t h1 = items[0].hash;
    item *memory = PyMem_Malloc(2 * (size_t)n * sizeof *memory);
    uint64_t *out = PyMem_Malloc((size_t)n * sizeof *out);
    if (memory == NULL || out == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        memory[i] = items[i];
        if (ps_hash2(b->st, key_of(b, &items[i]), &memory[i].hash) < 0) {
            goto done;
        }
#if PS_H2_BITS < 64
        memory[i].hash &= ~(UINT64_MAX >> PS_H2_BITS);
#endif
    }
    item *by_h2 = ps_sort_by_hash(memory, memory + n, n);
    Py_ssize_t m = 0;
    for (Py_ssize_t i = 0; i < n; i++) {
        bool duplicate = false;
        for (Py_ssize_t j = m; j > 0 && by_h2[j - 1].hash == by_h2[i].hash; j--) {
            int eq = ps_key_eq(key_of(b, &by_h2[j - 1]), key_of(b, &by_h2[i]));
            if (eq < 0) {
                goto done;
            }
            if (eq) {
                by_h2[j - 1].last = by_h2[i].last;
                duplicate = true;
                break;
            }
        }
        if (!duplicate) {
            by_h2[m++] = by_h2[i];
        }
    }
    for (Py_ssize_t i = 0; i < m; i++) {
        items[i] = (item){.hash = h1, .first = by_h2[i].first, .last = by_h2[i].last};
        out[i] = by_h2[i].hash;
    }
    *kept = m;
    if (m > 1) {
        *h2 = out;
        out = NULL;
    }
    result = 0;
done:
    PyMem_Free(memory);
    PyMem_Free(out);
    return result;
}

/* Find the runs of equal hashes, drop duplicates, close the gaps. */
static int
resolve_equal_hashes(build *b)
{
    item *items = b->items;
    Py_ssize_t n = b->n, to = 0, capacity = 0;
    bool equal = false;
    for (Py_ssize_t i = 1; i < n; i++) {
        equal |= items[i].hash == items[i - 1].hash;
    }
    if (PS_LIKELY(!equal)) {
        return 0;
    }
    for (Py_ssize_t i = 0; i < n;) {
        Py_ssize_t j = i + 1, kept = 1;
        while (j < n && items[j].hash == items[i].hash) {
            j++;
        }
        if (PS_UNLIKELY(j - i > 1)) {
            uint64_t *h2;
            if (resolve_run(b, items + i, j - i, &kept, &h2) < 0) {
                return -1;
            }
            if (h2 != NULL) {
                if (b->n_runs == capacity) {
                    capacity = capacity ? 2 * capacity : 8;
                    run *more = PyMem_Realloc(b->runs, (size_t)capacity * sizeof *more);
                    if (more == NULL) {
                        PyMem_Free(h2);
                        PyErr_NoMemory();
                        return -1;
                    }
                    b->runs = more;
                }
                b->runs[b->n_runs++] = (run){.items = items + to, .n = kept, .h2 = h2};
            }
        }
        if (to != i) {
            memmove(items + to, items + i, (size_t)kept * sizeof *items);
        }
        to += kept;
        i = j;
    }
    b->n = to;
    return 0;
}

/* Move the key and value of an item into a node. The input slots become NULL. */
PS_INLINE void
take(build *b, const item *it, ps_slot *slot)
{
    PyObject **key = &b->objects[(size_t)it->first * (size_t)b->width];
    slot[0] = ps_slot_heap(*key);
    *key = NULL;
    if (b->width == 2) {
        PyObject **value = &b->objects[(size_t)it->last * 2 + 1];
        slot[1] = ps_slot_heap(*value);
        *value = NULL;
    }
}

PS_INLINE bool
item_needs_gc(const build *b, const item *it)
{
    return ps_needs_gc(b->st, key_of(b, it)) ||
           (b->width == 2 && ps_needs_gc(b->st, b->objects[(size_t)it->last * 2 + 1]));
}

PS_INLINE int
position(const item *items, const uint64_t *h2, Py_ssize_t i, int level)
{
    return PS_LIKELY(h2 == NULL) ? ps_hash_bits(items[i].hash, PS_H1_BITS, level)
                                 : ps_hash_bits(h2[i], PS_H2_BITS, level - PS_H1_LEVELS);
}

/* A node over n >= 2 items (n >= 1 at the root) at a level; h2 is NULL above the
 * levels of H2. NULL with MemoryError; its entries stay in the input then. */
static ps_node *
build_node(build *b, item *items, const uint64_t *h2, Py_ssize_t n, int level)
{
    ps_state *st = b->st;
    int width = b->width;
    if (level == PS_H1_LEVELS && h2 == NULL) {
        h2 = b->runs[b->next_run++].h2;
    }
    bool gc = false;
    if (level == PS_MAX_LEVEL) {
        for (Py_ssize_t i = 0; i < n && !b->atoms; i++) {
            gc = gc || item_needs_gc(b, &items[i]);
        }
        ps_node *node = ps_node_new(st, gc, width, (uint32_t)n, UINT32_MAX, n * width);
        for (Py_ssize_t i = 0; node != NULL && i < n; i++) {
            take(b, &items[i], &node->slots[i * width]);
        }
        if (node != NULL) {
            ps_node_track(st, node);
        }
        return node;
    }
    /* Most nodes hold entries only: find that out without a branch an entry. */
    uint32_t seen = 0, twice = 0;
    for (Py_ssize_t i = 0; i < n; i++) {
        uint32_t bit = 1u << position(items, h2, i, level);
        twice |= seen & bit;
        seen |= bit;
    }
    uint32_t datamap = seen & ~twice;
    if (twice == 0) {
        for (Py_ssize_t i = 0; i < n && !b->atoms; i++) {
            gc = gc || item_needs_gc(b, &items[i]);
        }
        ps_node *node = ps_node_new(st, gc, width, datamap, 0, n * width);
        if (node == NULL) {
            return NULL;
        }
        for (Py_ssize_t i = 0; i < n; i++) {
            take(b, &items[i], &node->slots[i * width]);
        }
        ps_node_track(st, node);
        return node;
    }
    ps_node *children[PS_WIDTH];
    uint32_t singles[PS_WIDTH];
    int n_children = 0, n_entries = 0;
    for (Py_ssize_t i = 0; i < n;) {
        int pos = position(items, h2, i, level);
        if (datamap & (1u << pos)) {
            singles[n_entries++] = (uint32_t)i;
            gc = gc || (!b->atoms && item_needs_gc(b, &items[i]));
            i++;
            continue;
        }
        Py_ssize_t j = i + 2;
        while (j < n && pos == position(items, h2, j, level)) {
            j++;
        }
        ps_node *child = build_node(b, items + i, h2 == NULL ? NULL : h2 + i, j - i, level + 1);
        if (child == NULL) {
            goto error;
        }
        children[n_children++] = child;
        gc = gc || ps_node_is_gc(st, child);
        i = j;
    }
    ps_node *node = ps_node_new(st, gc, width, datamap, twice, n_entries * width + n_children);
    if (node == NULL) {
        goto error;
    }
    ps_slot *slot = node->slots;
    for (int i = 0; i < n_entries; i++, slot += width) {
        take(b, &items[singles[i]], slot);
    }
    for (int i = 0; i < n_children; i++) {
        slot[i] = ps_slot_heap(children[i]);
    }
    ps_node_track(st, node);
    return node;
error:
    while (n_children > 0) {
        Py_DECREF(children[--n_children]);
    }
    return NULL;
}

int
ps_champ_build(ps_state *st, int width, PyObject **objects, Py_ssize_t n, ps_tree *out)
{
    enum { ON_STACK = 32 };
    item stack_items[ON_STACK];
    item *memory = NULL;
    int result = -1;
    bool taken = false;
    build b = {.st = st, .width = width, .objects = objects, .atoms = true, .n = n};
    *out = (ps_tree){.root = 0, .count = 0};
    if (n == 0) {
        return 0;
    }
    b.items = stack_items;
    if (n > ON_STACK) {
        if (n > (Py_ssize_t)UINT32_MAX) {
            PyErr_SetString(PyExc_OverflowError, "more than 2**32 - 1 entries in one call; "
                                                 "add them in parts with an evolver");
            goto done;
        }
        memory = ps_scratch_new(2 * (size_t)n * sizeof *memory);
        if (memory == NULL) {
            PyErr_NoMemory();
            goto done;
        }
        b.items = memory;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *key = objects[i * width];
        item *it = &b.items[i];
        if (PS_UNLIKELY(ps_hash1(st, key, &it->hash) < 0)) {
            goto done;
        }
#if PS_H1_BITS < 64
        it->hash &= ~(UINT64_MAX >> PS_H1_BITS);
#endif
        it->first = it->last = (uint32_t)i;
        b.atoms = b.atoms && !ps_needs_gc(st, key) &&
                  (width == 1 || !ps_needs_gc(st, objects[i * 2 + 1]));
    }
    b.items = ps_sort_by_hash(b.items, memory == NULL ? NULL : memory + n, n);
    if (resolve_equal_hashes(&b) < 0) {
        goto done;
    }
    ps_node *root = build_node(&b, b.items, NULL, b.n, 0);
    if (root == NULL) {
        goto done;
    }
    *out = (ps_tree){.root = ps_slot_heap(root), .count = b.n};
    taken = b.n == n;
    PS_CHECK(st, *out, width);
    result = 0;
done:
    for (Py_ssize_t i = 0; i < b.n_runs; i++) {
        PyMem_Free(b.runs[i].h2);
    }
    PyMem_Free(b.runs);
    ps_scratch_free(memory, 2 * (size_t)n * sizeof *memory);
    if (!taken) { /* duplicates, or everything that no node took */
        for (Py_ssize_t i = 0; i < n * width; i++) {
            Py_XDECREF(objects[i]);
        }
    }
    return result;
}
