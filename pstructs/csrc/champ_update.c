/* champ_update.c -- set and remove: path copying, and writing in place for evolvers.
 *
 * Every change is one edit of one node, the lowest that changes, and a new child
 * slot in each node above it:
 *
 *     set k3       root [k1 v1 | c0]            root' [k1 v1 | c0']
 *                              |          ->                  |
 *                      c0 [k2 v2 k4 v4]              c0' [k2 v2 k3 v3 k4 v4]
 *
 *     VALUE     another value in an entry
 *     INSERT    one more entry
 *     REMOVE    one entry less
 *     PUSH      an entry becomes a child that holds it and a new one
 *     PULL      a child becomes an entry: only one was left below it
 *     CHILD     another child
 *
 * Canonical form: below the root no node holds fewer than two entries, so equal
 * contents have equal shapes. PULL keeps it on removal: the lone entry rises
 * until it meets a node with something else in it.
 *
 * An update has three phases. (1) Find the path: hashing and comparing, the only
 * phase that runs user code. (2) Allocate every node that will be needed: may
 * fail, changes nothing. (3) Fill and link: can't fail.
 *
 * In place: an evolver may write into a node when every node from the root down
 * to it is referenced once, for then nobody else can reach it. An extra
 * reference, whoever holds it, only forces a copy. A node that is owned but has
 * to change its size or its type hands its slots over to the new one without
 * touching their reference counts; the empty shell is released by its parent.
 * Owned nodes are untracked and forget where they were saved.
 *
 * Costs: O(log32 n) nodes of at most 32 entries, copied or written.
 * Paper: Steindorfer & Vinju, Optimizing Hash-Array Mapped Tries for Fast and Lean
 * Immutable JVM Collections, OOPSLA 2015.
 */
#include "champ.h"

typedef enum { VALUE, INSERT, REMOVE, PUSH, PULL, CHILD } edit_kind;

/* Phase 1's result: the nodes from the root to where the search ended. */
typedef struct {
    int depth;                           /* node[depth] is where it ended */
    ps_node *node[PS_MAX_LEVEL + 1];     /* borrowed from the tree, or opened */
    bool opened[PS_MAX_LEVEL + 1];       /* read from a pack: ours, referenced once */
    uint32_t bitpos[PS_MAX_LEVEL + 1];
    int entry;                           /* index of the entry at the end, when has_entry */
    bool has_entry;                      /* an entry is where the key would be */
    bool equal;                          /* and its key is equal */
} path;

typedef struct {
    edit_kind kind;
    uint32_t bitpos;
    int entry;       /* VALUE, INSERT, REMOVE, PUSH, PULL: entry index */
    ps_slot key;     /* INSERT, PULL: owned by the edit until filled in */
    ps_slot value;   /* VALUE, INSERT, PULL (width 2): likewise */
    ps_slot child;   /* PUSH, CHILD: likewise */
} edit;

static void
path_release(path *p)
{
    for (int i = 0; i <= p->depth; i++) {
        if (p->opened[i]) {
            Py_DECREF(p->node[i]);
        }
    }
}

/* Copying a node counts a reference to everything in it. What the upper levels hold is in the
 * cache; below, it is fetched while the search goes on: 5 to 10 % of an update of 100,000
 * entries. */
PS_INLINE void
prefetch_references(const ps_node *n, int width)
{
    int size = ps_popcount(n->datamap) * width + ps_popcount(n->nodemap);
    for (int i = 0; i < size; i++) {
        ps_prefetch(n->slots[i]);
    }
}

/* Phase 1. 0, or -1 with an exception and the path released. */
PS_INLINE int
path_find(ps_state *st, ps_slot root, int width, ps_hashed *h, path *p)
{
    ps_slot s = root;
    p->depth = -1;
    p->has_entry = p->equal = false;
    p->entry = 0;
    int level = 0;
#ifndef PS_SMALL
    /* The usual steps: down through heap nodes by the bits of H1. */
    for (uint64_t bits = h->h1; level < PS_H1_LEVELS && !ps_slot_is_packed(s); bits <<= PS_BITS) {
        ps_node *n = ps_slot_node(s);
        uint32_t bitpos = 1u << (bits >> (64 - PS_BITS));
        if (!(n->nodemap & bitpos)) {
            break;
        }
        p->node[level] = n;
        p->opened[level] = false;
        p->bitpos[level] = bitpos;
        p->depth = level++;
        s = n->slots[ps_popcount(n->datamap) * width + ps_index(n->nodemap, bitpos)];
        if (level > 2) {
            prefetch_references(n, width);
        }
    }
#endif
    for (;; level++) {
        bool packed = ps_slot_is_packed(s);
        ps_node *n = packed ? ps_slot_open(st, s, width, level) : ps_slot_node(s);
        if (n == NULL) {
            goto error;
        }
        p->depth = level;
        p->node[level] = n;
        p->opened[level] = packed;
        p->bitpos[level] = 0;
        if (PS_UNLIKELY(level == PS_MAX_LEVEL)) {
            for (uint32_t i = 0; i < n->datamap; i++) {
                int eq = ps_slot_key_eq(st, n->slots[i * (uint32_t)width], h->key);
                if (eq < 0) {
                    goto error;
                }
                if (eq) {
                    p->entry = (int)i;
                    p->has_entry = p->equal = true;
                    return 0;
                }
            }
            p->entry = (int)n->datamap;
            return 0;
        }
        int index = ps_hashed_index(st, h, level);
        if (index < 0) {
            goto error;
        }
        uint32_t bitpos = p->bitpos[level] = 1u << index;
        if (n->nodemap & bitpos) {
            s = n->slots[ps_popcount(n->datamap) * width + ps_index(n->nodemap, bitpos)];
            continue;
        }
        p->entry = ps_index(n->datamap, bitpos);
        if (n->datamap & bitpos) {
            int eq = ps_slot_key_eq(st, n->slots[p->entry * width], h->key);
            if (eq < 0) {
                goto error;
            }
            p->has_entry = true;
            p->equal = eq;
        }
        return 0;
    }
error:
    path_release(p);
    return -1;
}

/* ---- phase 2 and 3 */

static Py_ssize_t
size_after(edit_kind kind, Py_ssize_t size, int width)
{
    switch (kind) {
    case INSERT:
        return size + width;
    case REMOVE:
        return size - width;
    case PUSH:
        return size - width + 1;
    case PULL:
        return size - 1 + width;
    default:
        return size;
    }
}

PS_INLINE void
copy_slots(ps_state *st, ps_slot *dst, const ps_slot *src, Py_ssize_t n, bool packed, bool move)
{
    if (move) {
        memcpy(dst, src, (size_t)n * sizeof *dst);
    }
    else if (PS_LIKELY(!packed)) {
        for (Py_ssize_t i = 0; i < n; i++) {
            Py_INCREF(ps_slot_obj(src[i]));
            dst[i] = src[i];
        }
    }
    else {
        for (Py_ssize_t i = 0; i < n; i++) {
            dst[i] = ps_slot_incref(st, src[i]);
        }
    }
}

static void
set_maps(ps_node *new, const ps_node *old, const edit *e)
{
    uint32_t data = old->datamap, nodes = old->nodemap;
    if (ps_node_is_collision(old)) {
        data += e->kind == INSERT ? 1 : e->kind == REMOVE ? (uint32_t)-1 : 0;
    }
    else {
        switch (e->kind) {
        case INSERT:
            data |= e->bitpos;
            break;
        case REMOVE:
            data &= ~e->bitpos;
            break;
        case PUSH:
            data &= ~e->bitpos;
            nodes |= e->bitpos;
            break;
        case PULL:
            data |= e->bitpos;
            nodes &= ~e->bitpos;
            break;
        default:
            break;
        }
    }
    new->datamap = data;
    new->nodemap = nodes;
}

/* Fill new from old and the edit, which gives up what it owns. With move the slots
 * leave old: a dropped entry goes to garbage[0..1], a dropped child is returned (owned,
 * or 0), for releasing it may run the destructors of what only it kept alive. */
static ps_slot
fill(ps_state *st, ps_node *new, ps_node *old, const edit *e, int width, bool move,
     ps_slot *garbage)
{
    bool packed = old->meta & PS_META_PACKED;
    const ps_slot *src = old->slots;
    ps_slot *dst = new->slots;
    Py_ssize_t size = ps_node_size(old);
    Py_ssize_t first_child = (Py_ssize_t)ps_node_entries(old) * width;
    Py_ssize_t at = (Py_ssize_t)e->entry * width;
    ps_slot dropped_child = 0;
    set_maps(new, old, e);
    new->meta |= old->meta & PS_META_PACKED;
    switch (e->kind) {
    case VALUE:
        copy_slots(st, dst, src, at + 1, packed, move);
        dst[at + 1] = e->value;
        copy_slots(st, dst + at + 2, src + at + 2, size - at - 2, packed, move);
        if (move) {
            garbage[1] = src[at + 1];
        }
        break;
    case INSERT:
        copy_slots(st, dst, src, at, packed, move);
        dst[at] = e->key;
        if (width == 2) {
            dst[at + 1] = e->value;
        }
        copy_slots(st, dst + at + width, src + at, size - at, packed, move);
        break;
    case REMOVE:
        copy_slots(st, dst, src, at, packed, move);
        copy_slots(st, dst + at, src + at + width, size - at - width, packed, move);
        if (move) {
            garbage[0] = src[at];
            garbage[1] = width == 2 ? src[at + 1] : 0;
        }
        break;
    case PUSH: {
        Py_ssize_t child = first_child + ps_index(old->nodemap, e->bitpos);
        copy_slots(st, dst, src, at, packed, move);
        copy_slots(st, dst + at, src + at + width, child - at - width, packed, move);
        dst[child - width] = e->child;
        copy_slots(st, dst + child - width + 1, src + child, size - child, packed, move);
        if (move) { /* the child has references of its own to key and value */
            garbage[0] = src[at];
            garbage[1] = width == 2 ? src[at + 1] : 0;
        }
        break;
    }
    case PULL: {
        Py_ssize_t child = first_child + ps_index(old->nodemap, e->bitpos);
        copy_slots(st, dst, src, at, packed, move);
        dst[at] = e->key;
        if (width == 2) {
            dst[at + 1] = e->value;
        }
        copy_slots(st, dst + at + width, src + at, child - at, packed, move);
        copy_slots(st, dst + child + width, src + child + 1, size - child - 1, packed, move);
        new->meta |= ps_slot_is_packed(e->key) || (width == 2 && ps_slot_is_packed(e->value))
                         ? PS_META_PACKED
                         : 0;
        dropped_child = src[child];
        break;
    }
    case CHILD: {
        Py_ssize_t child = first_child + ps_index(old->nodemap, e->bitpos);
        copy_slots(st, dst, src, child, packed, move);
        dst[child] = e->child;
        copy_slots(st, dst + child + 1, src + child + 1, size - child - 1, packed, move);
        dropped_child = src[child];
        break;
    }
    }
    if (!move) {
        return 0;
    }
    old->datamap = old->nodemap = 0;
    old->meta &= ~(uint64_t)PS_META_PACKED;
    return dropped_child;
}

/* Write a VALUE or CHILD edit into an owned node. Returns a dropped child as fill does. */
static ps_slot
write_in_place(ps_node *n, const edit *e, int width, ps_slot *garbage)
{
    if (e->kind == VALUE) {
        ps_slot *slot = &n->slots[e->entry * width + 1];
        garbage[1] = *slot;
        *slot = e->value;
        return 0;
    }
    ps_slot *slot = &n->slots[ps_node_entries(n) * width + ps_index(n->nodemap, e->bitpos)];
    ps_slot old = *slot;
    *slot = e->child;
    return old;
}

/* How many nodes of the path, from the root down to `level`, may be written. */
static int
count_owned(const path *p, int level)
{
    int owned = 0;
    while (owned <= level && !p->opened[owned] && Py_REFCNT(p->node[owned]) == 1) {
        owned++;
    }
    return owned;
}

static bool
edit_needs_gc(ps_state *st, const edit *e)
{
    return (e->key && ps_slot_needs_gc(st, e->key)) ||
           (e->value && ps_slot_needs_gc(st, e->value)) ||
           (e->child && ps_slot_needs_gc(st, e->child));
}

static void
edit_release(ps_state *st, const edit *e)
{
    ps_slot_xdecref(st, e->key);
    ps_slot_xdecref(st, e->value);
    ps_slot_xdecref(st, e->child);
}

/* A copy of old with another child, which it takes over. */
PS_INLINE ps_node *
copy_with_child(ps_state *st, ps_node *old, uint32_t bitpos, ps_node *child, int width)
{
    int at = ps_popcount(old->datamap) * width + ps_index(old->nodemap, bitpos);
    int size = ps_popcount(old->datamap) * width + ps_popcount(old->nodemap);
    bool gc = ps_node_is_gc(st, old) || ps_node_is_gc(st, child);
    bool packed = old->meta & PS_META_PACKED;
    ps_node *n = ps_node_new(st, gc, width, old->datamap, old->nodemap, size);
    if (n == NULL) {
        return NULL;
    }
    n->meta |= old->meta & PS_META_PACKED;
    copy_slots(st, n->slots, old->slots, at, packed, false);
    n->slots[at] = ps_slot_heap(child);
    copy_slots(st, n->slots + at + 1, old->slots + at + 1, size - at - 1, packed, false);
    ps_node_track(st, n);
    return n;
}

/* Phases 2 and 3 for values that are shared: every node of the path is copied, from
 * the lowest up. Consumes what the edit owns, also on failure. */
static int
apply_by_copying(ps_state *st, ps_tree *t, int width, path *p, int level, edit *e,
                 ps_slot garbage[2])
{
    ps_node *old = p->node[level];
    bool gc = ps_node_is_gc(st, old) || edit_needs_gc(st, e);
    ps_node *n = ps_node_new(st, gc, width, 0, 0, size_after(e->kind, ps_node_size(old), width));
    if (n == NULL) {
        edit_release(st, e);
        return -1;
    }
    ps_slot dropped = fill(st, n, old, e, width, p->opened[level], garbage);
    ps_node_track(st, n);
    for (int i = level - 1; i >= 0; i--) {
        ps_node *up = copy_with_child(st, p->node[i], p->bitpos[i], n, width);
        if (up == NULL) {
            Py_DECREF(n);
            ps_slot_xdecref(st, dropped);
            return -1;
        }
        n = up;
    }
    ps_slot root = t->root;
    t->root = ps_slot_heap(n);
    ps_slot_decref(st, root);
    ps_slot_xdecref(st, dropped);
    return 0;
}

/* Phases 2 and 3: apply e at node[level], and relink everything above.
 * Consumes what the edit owns, also on failure; the path's nodes stay borrowed. */
static int
apply(ps_state *st, ps_tree *t, int width, path *p, int level, edit *e, bool in_place,
      ps_slot garbage[2])
{
    if (!in_place) {
        return apply_by_copying(st, t, width, p, level, e, garbage);
    }
    ps_node *fresh[PS_MAX_LEVEL + 1];
    bool gc = edit_needs_gc(st, e);
    ps_slot dropped[PS_MAX_LEVEL + 2]; /* released when the tree is whole again */
    int owned, low, n_dropped = 0;
retry:
    owned = count_owned(p, level);
    bool node_gc = gc;
    low = level + 1; /* fresh[low..level] have been allocated */
    for (int i = level; i >= 0; i--) {
        ps_node *old = p->node[i];
        edit_kind kind = i == level ? e->kind : CHILD;
        bool same_size = kind == VALUE || kind == CHILD;
        fresh[i] = NULL;
        low = i;
        if (i < owned && same_size && (!node_gc || ps_node_is_gc(st, old))) {
            continue;
        }
        node_gc = node_gc || ps_node_is_gc(st, old);
        fresh[i] =
            ps_node_new(st, node_gc, width, 0, 0, size_after(kind, ps_node_size(old), width));
        if (fresh[i] == NULL) {
            goto error;
        }
    }
    for (int i = 0; i < owned; i++) {
        /* It is about to change: no longer what was saved. May close a pack. */
        if (ps_node_saved(p->node[i])) {
            ps_node_set_saved(st, p->node[i], 0);
        }
    }
    if (PS_UNLIKELY(count_owned(p, level) != owned)) {
        /* A collection during the allocations ran code that took a reference, or dropped
         * one: then copying from a node would leave its last values to die half way. */
        for (int i = level; i >= 0; i--) {
            if (fresh[i] != NULL) {
                ps_node_drop_shell(st, fresh[i]);
            }
        }
        goto retry;
    }
    edit now = *e;
    for (int i = level; i >= 0; i--) {
        ps_node *old = p->node[i];
        bool own = i < owned;
        if (own && ps_node_is_gc(st, old) && PyObject_GC_IsTracked((PyObject *)old)) {
            PyObject_GC_UnTrack(old); /* publish tracks it again */
        }
        if (fresh[i] == NULL) {
            if (now.kind != CHILD || now.child != 0) {
                dropped[n_dropped++] = write_in_place(old, &now, width, garbage);
            }
            now = (edit){.kind = CHILD}; /* the slot above stays */
            if (i > 0) {
                now.bitpos = p->bitpos[i - 1];
            }
            continue;
        }
        if (now.kind == CHILD && now.child == 0) {
            Py_UNREACHABLE(); /* a node above an owned node is owned, and keeps its size */
        }
        if (now.child && ps_slot_is_packed(now.child)) {
            fresh[i]->meta |= PS_META_PACKED;
        }
        dropped[n_dropped++] = fill(st, fresh[i], old, &now, width, own || p->opened[i], garbage);
        now = (edit){.kind = CHILD, .child = ps_slot_heap(fresh[i])};
        if (i > 0) {
            now.bitpos = p->bitpos[i - 1];
        }
    }
    if (now.child != 0) {
        dropped[n_dropped++] = t->root;
        t->root = now.child;
    }
    while (n_dropped > 0) {
        ps_slot_xdecref(st, dropped[--n_dropped]);
    }
    return 0;
error:
    for (int i = level; i >= low; i--) {
        if (fresh[i] != NULL) {
            ps_node_drop_shell(st, fresh[i]);
        }
    }
    edit_release(st, e);
    return -1;
}

/* ---- pairs */

/* Position of both at a level; -1 on error. */
static int
pair_positions(ps_state *st, ps_hashed *ha, ps_hashed *hb, int level, int *a, int *b)
{
    *a = ps_hashed_index(st, ha, level);
    if (*a < 0) {
        return -1;
    }
    *b = ps_hashed_index(st, hb, level);
    return *b < 0 ? -1 : 0;
}

ps_node *
ps_champ_pair(ps_state *st, int width, int level, const ps_slot *a, ps_hashed *ha,
              const ps_slot *b, ps_hashed *hb)
{
    int pa = 0, pb = 0, low = level;
    bool gc = false, packed = false;
    for (int i = 0; i < width; i++) {
        gc = gc || ps_slot_needs_gc(st, a[i]) || ps_slot_needs_gc(st, b[i]);
        packed = packed || ps_slot_is_packed(a[i]) || ps_slot_is_packed(b[i]);
    }
    for (; low < PS_MAX_LEVEL; low++) {
        if (pair_positions(st, ha, hb, low, &pa, &pb) < 0) {
            return NULL;
        }
        if (pa != pb) {
            break;
        }
    }
    uint32_t datamap = 2, nodemap = UINT32_MAX;
    if (low < PS_MAX_LEVEL) {
        datamap = (1u << pa) | (1u << pb);
        nodemap = 0;
        if (pb < pa) {
            const ps_slot *c = a;
            a = b;
            b = c;
        }
    }
    ps_node *n = ps_node_new(st, gc, width, datamap, nodemap, 2 * width);
    if (n == NULL) {
        return NULL;
    }
    for (int i = 0; i < width; i++) {
        n->slots[i] = ps_slot_incref(st, a[i]);
        n->slots[width + i] = ps_slot_incref(st, b[i]);
    }
    n->meta |= packed ? PS_META_PACKED : 0;
    ps_node_track(st, n);
    while (--low >= level) {
        int pos = ps_hashed_index(st, ha, low); /* was computed above: can't fail */
        ps_node *up = ps_node_new(st, gc, width, 0, 1u << pos, 1);
        if (up == NULL) {
            Py_DECREF(n);
            return NULL;
        }
        up->slots[0] = ps_slot_heap(n);
        ps_node_track(st, up);
        n = up;
    }
    return n;
}

/* ---- set */

static ps_change
set_in_empty(ps_state *st, ps_tree *t, int width, ps_hashed *h, PyObject *value, bool in_place)
{
    int index = ps_hashed_index(st, h, 0);
    bool gc = ps_needs_gc(st, h->key) || (value != NULL && ps_needs_gc(st, value));
    ps_node *n = ps_node_new(st, gc, width, 1u << index, 0, width);
    if (n == NULL) {
        return PS_FAILED;
    }
    n->slots[0] = ps_slot_heap(Py_NewRef(h->key));
    if (width == 2) {
        n->slots[1] = ps_slot_heap(Py_NewRef(value));
    }
    if (!in_place) {
        ps_node_track(st, n);
    }
    *t = (ps_tree){.root = ps_slot_heap(n), .count = 1};
    return PS_ADDED;
}

ps_change
ps_champ_set(ps_state *st, ps_tree *t, int width, PyObject *key, PyObject *value, bool in_place,
             ps_slot garbage[2])
{
    ps_hashed h;
    path p;
    ps_change result = PS_FAILED;
    garbage[0] = garbage[1] = 0;
    if (ps_hashed_init(st, &h, key) < 0) {
        return PS_FAILED;
    }
    if (t->root == 0) {
        return set_in_empty(st, t, width, &h, value, in_place);
    }
    if (path_find(st, t->root, width, &h, &p) < 0) {
        return PS_FAILED;
    }
    int end = p.depth;
    edit e = {.bitpos = p.bitpos[end], .entry = p.entry};
    if (p.equal) {
        if (width == 1 || p.node[end]->slots[p.entry * 2 + 1] == ps_slot_heap(value)) {
            result = PS_UNCHANGED;
            goto done;
        }
        e.kind = VALUE;
        e.value = ps_slot_heap(Py_NewRef(value));
        result = PS_REPLACED;
    }
    else if (p.has_entry) {
        ps_slot mine[2] = {ps_slot_heap(key), ps_slot_heap(value)};
        ps_slot *other = &p.node[end]->slots[p.entry * width];
        ps_hashed ho;
        if (ps_hashed_init_slot(st, &ho, other[0]) < 0) {
            goto done;
        }
        ps_node *pair = ps_champ_pair(st, width, end + 1, other, &ho, mine, &h);
        if (pair == NULL) {
            goto done;
        }
        e.kind = PUSH;
        e.child = ps_slot_heap(pair);
        result = PS_ADDED;
    }
    else {
        e.kind = INSERT;
        e.key = ps_slot_heap(Py_NewRef(key));
        e.value = width == 2 ? ps_slot_heap(Py_NewRef(value)) : 0;
        result = PS_ADDED;
    }
    if (apply(st, t, width, &p, end, &e, in_place, garbage) < 0) {
        result = PS_FAILED;
    }
    else {
        t->count += result == PS_ADDED;
        PS_CHECK(st, *t, width);
    }
done:
    path_release(&p);
    return result;
}

/* ---- remove */

ps_change
ps_champ_remove(ps_state *st, ps_tree *t, int width, PyObject *key, bool in_place,
                ps_slot garbage[2])
{
    ps_hashed h;
    path p;
    garbage[0] = garbage[1] = 0;
    if (ps_hashed_init(st, &h, key) < 0) {
        return PS_FAILED;
    }
    if (t->root == 0) {
        return PS_UNCHANGED;
    }
    if (path_find(st, t->root, width, &h, &p) < 0) {
        return PS_FAILED;
    }
    ps_change result = PS_REMOVED;
    if (!p.equal) {
        result = PS_UNCHANGED;
        goto done;
    }
    int at = p.depth;
    ps_node *n = p.node[at];
    edit e = {.kind = REMOVE, .bitpos = p.bitpos[at], .entry = p.entry};
    if (t->count == 1) {
        ps_slot root = t->root;
        *t = (ps_tree){.root = 0, .count = 0};
        if (in_place) { /* its destructors run when the caller is ready */
            garbage[0] = root;
        }
        else {
            ps_slot_decref(st, root);
        }
        goto done;
    }
    if (at > 0 && ps_node_entries(n) == 2 && ps_node_children(n) == 0) {
        /* One entry is left: it rises to the first node that holds anything else. */
        const ps_slot *left = &n->slots[(1 - p.entry) * width];
        ps_slot drop[2] = {n->slots[p.entry * width],
                           width == 2 ? n->slots[p.entry * width + 1] : 0};
        do {
            at--;
        } while (at > 0 && p.node[at]->datamap == 0 && ps_node_children(p.node[at]) == 1);
        e = (edit){.kind = PULL, .bitpos = p.bitpos[at]};
        e.entry = ps_index(p.node[at]->datamap, e.bitpos);
        e.key = ps_slot_incref(st, left[0]);
        e.value = width == 2 ? ps_slot_incref(st, left[1]) : 0;
        if (in_place) {
            /* Releasing the node would run the destructors of what is removed
             * in the middle of the update: keep both until the caller is ready. */
            garbage[0] = ps_slot_incref(st, drop[0]);
            garbage[1] = drop[1] ? ps_slot_incref(st, drop[1]) : 0;
        }
    }
    if (apply(st, t, width, &p, at, &e, in_place, garbage) < 0) {
        result = PS_FAILED;
    }
    else {
        t->count--;
        PS_CHECK(st, *t, width);
    }
done:
    path_release(&p);
    return result;
}

/* ---- evolver-owned nodes */

void
ps_champ_publish(ps_state *st, ps_slot root)
{
    if (root == 0 || ps_slot_is_packed(root)) {
        return;
    }
    ps_node *n = ps_slot_node(root);
    if (!ps_node_is_gc(st, n) || PyObject_GC_IsTracked((PyObject *)n)) {
        return; /* what hangs below a plain or a tracked node needs no tracking */
    }
    Py_ssize_t size = ps_node_size(n);
    for (Py_ssize_t i = size - ps_node_children(n); i < size; i++) {
        ps_champ_publish(st, n->slots[i]);
    }
    ps_node_track(st, n);
}

int
ps_champ_visit_untracked(ps_state *st, ps_slot root, visitproc visit, void *arg)
{
    if (root == 0 || ps_slot_is_packed(root)) {
        return 0;
    }
    ps_node *n = ps_slot_node(root);
    if (!ps_node_is_gc(st, n) || PyObject_GC_IsTracked((PyObject *)n) || Py_REFCNT(n) != 1) {
        Py_VISIT(n);
        return 0;
    }
    Py_ssize_t size = ps_node_size(n), first_child = size - ps_node_children(n);
    for (Py_ssize_t i = 0; i < first_child; i++) {
        if (!ps_slot_is_packed(n->slots[i])) {
            Py_VISIT(ps_slot_obj(n->slots[i]));
        }
    }
    for (Py_ssize_t i = first_child; i < size; i++) {
        int r = ps_champ_visit_untracked(st, n->slots[i], visit, arg);
        if (r) {
            return r;
        }
    }
    return 0;
}
