/* btree_update.c -- set and remove: path copying, and writing in place for evolvers.
 *
 * A change is a splice in one leaf, and then at most one splice in each node above:
 *
 *     set 25       root [c0 c1]                 root' [c0 c1a c1b]
 *                          |          ->                |   |
 *                  [20 22 24 26]  (full)          [20 22]  [24 25 26]
 *
 *     items [first, first + cut) of a node become 0, 1 or 2 others
 *
 * A node that gets too large splits: in halves, or, when it grew at the far right end of
 * the tree, into a full one and a new one with the last item, so that appending leaves full
 * nodes. One that gets too small, and is not on the right spine, is joined with a sibling,
 * or shares with it: the splice above then cuts two children. On the right spine only an empty
 * node goes.
 *
 * Phases, as in champ_update.c: (1) find the path, the only phase that runs user code;
 * (2) make every node that is needed, from the leaf up; may fail, changes nothing;
 * (3) link the topmost new node; can't fail.
 *
 * In place: a node whose path is referenced once, from the root down, is nobody else's. Up
 * from the first such node that only gets another child, nothing is allocated. */
#include "btree.h"

typedef struct {
    ps_state *st;
    int shape, top;
    bool in_place;
    ps_node *node[PS_BT_MAX_HEIGHT]; /* by height; borrowed from the tree, or opened */
    bool opened[PS_BT_MAX_HEIGHT];   /* read from a pack: ours */
    bool own[PS_BT_MAX_HEIGHT];      /* may be written in place */
    bool right[PS_BT_MAX_HEIGHT];    /* on the right spine */
    int at[PS_BT_MAX_HEIGHT];        /* where the path goes on, or where the entry is or goes */
    bool equal;                      /* the entry is there */
} path;

/* Items [first, first + cut) of the node at some height become with[0..n). */
typedef struct {
    int first, cut, n;
    ps_bt_item with[2]; /* an entry, borrowed; or nodes, owned */
} splice;

static int
most(int height)
{
    return height ? PS_BT_INNER : PS_BT_LEAF;
}

static void
path_release(path *p)
{
    for (int h = 0; h <= p->top; h++) {
        if (p->opened[h]) {
            Py_DECREF(p->node[h]);
        }
    }
}

/* Phase 1. 0, or -1 with an exception and the path released. */
static int
path_find(path *p, ps_btree t, const ps_bt_probe *probe)
{
    ps_slot s = t.root;
    ps_node *n = ps_slot_is_packed(s) ? ps_bt_open_root(p->st, t) : ps_slot_node(s);
    if (n == NULL) {
        return -1;
    }
    int h = p->top = ps_bt_height(n);
    memset(p->opened, 0, sizeof p->opened);
    p->right[h] = true;
    for (;;) {
        p->node[h] = n;
        p->opened[h] = ps_slot_is_packed(s);
        if (h == 0) {
            p->at[0] = ps_bt_search_leaf(p->st, n, probe, true, &p->equal);
            if (p->at[0] < 0) {
                break;
            }
            return 0;
        }
        p->at[h] = ps_bt_search_inner(p->st, n, probe);
        if (p->at[h] < 0) {
            break;
        }
        s = ps_bt_children(n)[p->at[h]];
        p->right[h - 1] = p->right[h] && p->at[h] == ps_bt_size(n) - 1;
        n = ps_slot_is_packed(s) ? ps_bt_open_child(p->st, n, p->at[h]) : ps_slot_node(s);
        if (n == NULL) {
            break;
        }
        h--;
    }
    path_release(p);
    return -1;
}

/* After phase 1, since user code may have taken references. */
static void
find_owned(path *p)
{
    bool own = p->in_place;
    for (int h = p->top; h >= 0; h--) {
        own = own && !p->opened[h] && Py_REFCNT(p->node[h]) == 1;
        p->own[h] = own;
    }
}

static void
drop_nodes(path *p, splice *sp)
{
    for (int i = 0; i < sp->n; i++) {
        ps_slot_decref(p->st, sp->with[i].s[0]);
    }
    sp->n = 0;
}

static ps_node *
finish_node(path *p, ps_node *n)
{
    if (n != NULL && !p->in_place) {
        ps_node_track(p->st, n);
    }
    return n;
}

/* Nodes of items[0..n), n > 0, as a splice for the node above. 0, -1. */
static int
make_nodes(path *p, int h, const ps_bt_item *items, int n, bool appended, splice *up)
{
    int max = most(h), first = n <= max ? n : appended ? max : n / 2;
    up->n = 0;
    for (int done = 0; done < n; done += first, first = n - done) {
        ps_node *node = finish_node(p, ps_bt_make(p->st, p->shape, h, items + done, first, false));
        if (node == NULL || ps_bt_item_of(p->st, node, &up->with[up->n]) < 0) {
            Py_XDECREF(node);
            drop_nodes(p, up);
            return -1;
        }
        up->n++;
    }
    return 0;
}

static int
copy_items(path *p, ps_node *n, int lo, int hi, ps_bt_item *out)
{
    for (int i = lo; i < hi; i++) {
        if (ps_bt_item_at(p->st, n, i, out++) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Phase 2 at height h: the splice `sp` of node[h] as one of the node above. 0, -1; does
 * not touch sp. */
static PS_NOINLINE int
splice_node(path *p, int h, const splice *sp, splice *up)
{
    ps_bt_item items[2 * (PS_BT_LEAF + PS_BT_INNER) + 4], *out = items;
    ps_node *n = p->node[h], *sibling = NULL;
    int size = ps_bt_size(n), m = size - sp->cut + sp->n, rc = -1;
    int behind = sp->first + sp->cut;
    bool left = false; /* the sibling is the left one */
    up->first = h < p->top ? p->at[h + 1] : 0;
    up->cut = 1;
    up->n = 0;
    if (h < p->top && !p->right[h] && m < most(h) / 2 && ps_bt_size(p->node[h + 1]) > 1) {
        /* An only child stands off the right spine in packs that are thin on purpose; it stays
         * small, and goes when it is empty. */
        ps_node *parent = p->node[h + 1];
        left = up->first == ps_bt_size(parent) - 1;
        up->first -= left;
        up->cut = 2;
        sibling = ps_bt_open_child(p->st, parent, up->first + !left);
        if (sibling == NULL) {
            return -1;
        }
    }
    if (left) {
        if (copy_items(p, sibling, 0, ps_bt_size(sibling), out) < 0) {
            goto done;
        }
        out += ps_bt_size(sibling);
    }
    if (copy_items(p, n, 0, sp->first, out) < 0) {
        goto done;
    }
    out += sp->first;
    for (int i = 0; i < sp->n; i++) {
        *out++ = sp->with[i];
    }
    if (copy_items(p, n, behind, size, out) < 0) {
        goto done;
    }
    out += size - behind;
    if (sibling != NULL && !left) {
        if (copy_items(p, sibling, 0, ps_bt_size(sibling), out) < 0) {
            goto done;
        }
        out += ps_bt_size(sibling);
    }
    if (out > items &&
        make_nodes(p, h, items, (int)(out - items), p->right[h] && behind == size, up) < 0) {
        goto done;
    }
    rc = 0;
done:
    Py_XDECREF(sibling);
    return rc;
}

/* ---- one child or value for another: the usual case, copied slot by slot */

/* A copy of n, GC if told so, with slot number `at` replaced by s (borrowed). */
static ps_node *
copy_with(path *p, ps_node *n, bool gc, uint32_t at, ps_slot s)
{
    ps_node *copy = ps_node_new_array(p->st, gc, n->datamap, ps_node_raw_words(n), ps_node_tag(n));
    if (copy == NULL) {
        return NULL;
    }
    memcpy(copy->slots, n->slots, ((size_t)n->datamap + ps_node_raw_words(n)) * sizeof(ps_slot));
    copy->slots[at] = s;
    copy->meta |= n->meta & PS_META_PACKED;
    if (PS_UNLIKELY(ps_slot_is_packed(s))) {
        copy->meta |= PS_META_PACKED;
    }
    for (uint32_t i = 0; i < n->datamap; i++) {
        ps_slot_incref(p->st, copy->slots[i]);
    }
    return copy;
}

/* Write into n's place i what its parent keeps of the child `item`, all but the child
 * itself. Returns the former smallest key (owned), when that changed, else 0. */
static ps_slot
note_child(path *p, ps_node *n, int i, const ps_bt_item *item, ps_slot min)
{
    ps_slot old = 0;
    if (i == 0 && n->slots[0] != min) {
        old = n->slots[0];
        n->slots[0] = ps_slot_incref(p->st, min);
        if (ps_slot_is_packed(min)) {
            n->meta |= PS_META_PACKED;
        }
    }
    ps_bt_kind kind = ps_bt_node_kind(n);
    if (kind != PS_BT_ANY && kind != item->kind) {
        n->nodemap &= ~3u;
        memset(ps_bt_words(n), 0, (size_t)ps_bt_size(n) * sizeof(int64_t));
    }
    else if (kind != PS_BT_ANY) {
        ps_bt_words(n)[i] = item->word;
    }
    ps_bt_counts(n)[i] = item->count;
    return old;
}

/* An owned node is about to be written: untracked, and no longer what was saved. */
static void
open_for_writing(path *p, ps_node *n)
{
    if (ps_node_is_gc(p->st, n) && PyObject_GC_IsTracked((PyObject *)n)) {
        PyObject_GC_UnTrack(n);
    }
    if (ps_node_saved(n)) {
        ps_node_set_saved(p->st, n, 0);
    }
}

/* A copy of inner node[h] with another child at the path's place. */
static int
copy_inner(path *p, int h, const splice *sp, splice *up)
{
    ps_node *n = p->node[h], *child = ps_slot_node(sp->with[0].s[0]);
    bool gc = ps_node_is_gc(p->st, n) || ps_node_is_gc(p->st, child);
    ps_node *copy = copy_with(p, n, gc, 1 + (uint32_t)sp->first, sp->with[0].s[0]);
    if (copy == NULL) {
        return -1;
    }
    ps_slot_xdecref(p->st, note_child(p, copy, sp->first, &sp->with[0], ps_bt_min(child)));
    finish_node(p, copy);
    *up = (splice){.first = h < p->top ? p->at[h + 1] : 0, .cut = 1};
    if (ps_bt_item_of(p->st, copy, &up->with[0]) < 0) {
        Py_DECREF(copy);
        return -1;
    }
    up->n = 1;
    return 0;
}

/* Phase 3 in place: node[h] gets the child sp->with[0], which is consumed, and the nodes
 * above learn of it. garbage gets the child that was there. */
static void
link_in_place(path *p, int h, splice *sp, int change, ps_slot *garbage)
{
    ps_node *n = p->node[h], *child = ps_slot_node(sp->with[0].s[0]);
    ps_slot min = ps_bt_min(child);
    *garbage = ps_bt_children(n)[sp->first];
    ps_bt_children(n)[sp->first] = sp->with[0].s[0];
    ps_bt_item item = sp->with[0];
    bool first = true; /* min is the smallest key of the node below, too */
    for (int i = sp->first;; i = p->at[h]) {
        ps_node *above = p->node[h];
        open_for_writing(p, above);
        if (above != n) {
            item.count = ps_bt_counts(above)[i] + (uint64_t)(int64_t)change;
        }
        if (first) {
            /* A smallest key that goes is still held by the old child. */
            ps_slot_xdecref(p->st, note_child(p, above, i, &item, min));
        }
        else {
            ps_bt_counts(above)[i] = item.count;
        }
        first = first && i == 0;
        if (++h > p->top) {
            return;
        }
    }
}

/* The usual insertion: a leaf with room, copied column by column. An owned leaf whose
 * successor is linked without another allocation gives its references to the copy, and
 * stays behind as an empty shell. */
static int
insert_in_leaf(path *p, const splice *sp, splice *up)
{
    ps_node *n = p->node[0];
    const ps_bt_item *item = &sp->with[0];
    uint32_t size = (uint32_t)ps_bt_size(n), at = (uint32_t)sp->first;
    int width = ps_bt_width(p->shape);
    bool gc = ps_node_is_gc(p->st, n), packed = n->meta & PS_META_PACKED;
    for (int j = 0; j < width; j++) {
        gc = gc || ps_slot_needs_gc(p->st, item->s[j]);
        packed = packed || ps_slot_is_packed(item->s[j]);
    }
    ps_bt_kind kind = ps_bt_node_kind(n) == item->kind ? item->kind : PS_BT_ANY;
    ps_node *copy = ps_node_new_array(p->st, gc, (uint32_t)width * (size + 1), size + 1,
                                      ps_bt_tag(p->shape, 0, kind));
    if (copy == NULL) {
        return -1;
    }
    copy->meta |= packed ? PS_META_PACKED : 0;
    for (int j = 0; j < width; j++) {
        ps_slot *to = copy->slots + (uint32_t)j * (size + 1);
        const ps_slot *from = n->slots + (uint32_t)j * size;
        memcpy(to, from, at * sizeof *to);
        to[at] = ps_slot_incref(p->st, item->s[j]);
        memcpy(to + at + 1, from + at, (size - at) * sizeof *to);
    }
    int64_t *words = ps_bt_words(copy);
    memset(words, 0, (size + 1) * sizeof *words);
    if (kind != PS_BT_ANY) {
        memcpy(words, ps_bt_words(n), at * sizeof *words);
        words[at] = item->word;
        memcpy(words + at + 1, ps_bt_words(n) + at, (size - at) * sizeof *words);
    }
    bool last = p->top == 0 || (p->own[1] && (ps_node_is_gc(p->st, p->node[1]) || !gc));
    *up = (splice){.first = p->top ? p->at[1] : 0, .cut = 1, .n = 1};
    up->with[0] = (ps_bt_item){.s = {ps_slot_heap(copy)}, .count = size + 1};
    if (kind != PS_BT_ANY) {
        up->with[0].word = words[0];
        up->with[0].kind = kind;
    }
    else if (ps_bt_item_of(p->st, copy, &up->with[0]) < 0) {
        /* Only the new entry's references are the copy's own so far. */
        for (int j = 0; j < width; j++) {
            ps_slot_decref(p->st, item->s[j]);
        }
        ps_node_drop_shell(p->st, copy);
        return -1;
    }
    /* Looked at again: a reader may have come while the copy was allocated. */
    if (p->own[0] && last && Py_REFCNT(n) == 1) {
        n->datamap = 0;
        n->nodemap = 0;
        return 0;
    }
    for (uint32_t i = 0; i < copy->datamap; i++) {
        if (i % (size + 1) != at) {
            ps_slot_incref(p->st, copy->slots[i]);
        }
    }
    finish_node(p, copy);
    return 0;
}

/* Phases 2 and 3 for a splice of the leaf. *t's root is consumed when it succeeds. */
static int
apply(path *p, ps_btree *t, splice *sp, int change, ps_slot *garbage)
{
    splice now = *sp, up;
    find_owned(p);
    for (int h = 0; h <= p->top; h++) {
        bool one = h > 0 && now.cut == 1 && now.n == 1;
        if (one && p->own[h] &&
            (ps_node_is_gc(p->st, p->node[h]) ||
             !ps_node_is_gc(p->st, ps_slot_node(now.with[0].s[0])))) {
            link_in_place(p, h, &now, change, garbage);
            t->count += change;
            return 0;
        }
        bool fits = h == 0 && now.cut == 0 && ps_bt_size(p->node[0]) < PS_BT_LEAF;
        int rc = one    ? copy_inner(p, h, &now, &up)
                 : fits ? insert_in_leaf(p, &now, &up)
                        : splice_node(p, h, &now, &up);
        if (h > 0) {
            drop_nodes(p, &now);
        }
        if (rc < 0) {
            return -1;
        }
        now = up;
    }
    ps_node *root = NULL;
    if (now.n == 2) {
        root = finish_node(p, ps_bt_make(p->st, p->shape, p->top + 1, now.with, 2, true));
        if (root == NULL) {
            drop_nodes(p, &now);
            return -1;
        }
    }
    else if (now.n == 1) {
        root = ps_slot_node(now.with[0].s[0]);
    }
    ps_btree made;
    if (ps_bt_tree_of_root(p->st, root, p->shape, &made) < 0) {
        return -1;
    }
    *garbage = t->root;
    *t = made;
    return 0;
}

/* ---- set */

static ps_bt_change
set_in_empty(ps_state *st, ps_btree *t, const ps_bt_item *item, bool in_place)
{
    ps_node *root = ps_bt_make(st, t->shape, 0, item, 1, false);
    if (root == NULL) {
        return PS_BT_FAILED;
    }
    if (!in_place) {
        ps_node_track(st, root);
    }
    t->root = ps_slot_heap(root);
    t->count = 1;
    return PS_BT_ADDED;
}

/* Another value for the entry that the path found. 0, -1. */
static int
set_value(path *p, ps_btree *t, PyObject *value, ps_slot garbage[2])
{
    ps_node *leaf = p->node[0];
    int size = ps_bt_size(leaf), column = ps_bt_width(p->shape) - 1;
    uint32_t at = (uint32_t)(column * size + p->at[0]);
    bool gc = ps_node_is_gc(p->st, leaf) || ps_needs_gc(p->st, value);
    find_owned(p);
    if (p->own[0] && gc == ps_node_is_gc(p->st, leaf)) {
        for (int h = 0; h <= p->top; h++) {
            open_for_writing(p, p->node[h]);
        }
        garbage[0] = leaf->slots[at];
        leaf->slots[at] = ps_slot_heap(Py_NewRef(value));
        return 0;
    }
    ps_node *copy = finish_node(p, copy_with(p, leaf, gc, at, ps_slot_heap(value)));
    splice now = {.first = p->top ? p->at[1] : 0, .cut = 1, .n = 1}, up;
    if (copy == NULL) {
        return -1;
    }
    if (ps_bt_item_of(p->st, copy, &now.with[0]) < 0) {
        Py_DECREF(copy);
        return -1;
    }
    for (int h = 1; h <= p->top; h++) {
        ps_node *child = ps_slot_node(now.with[0].s[0]);
        if (p->own[h] && (ps_node_is_gc(p->st, p->node[h]) || !ps_node_is_gc(p->st, child))) {
            link_in_place(p, h, &now, 0, &garbage[0]);
            return 0;
        }
        int rc = copy_inner(p, h, &now, &up);
        Py_DECREF(child);
        if (rc < 0) {
            return -1;
        }
        now = up;
    }
    garbage[0] = t->root;
    t->root = now.with[0].s[0];
    return 0;
}

ps_bt_change
ps_bt_set(ps_state *st, ps_btree *t, PyObject *order, PyObject *key, PyObject *value,
          bool in_place, ps_slot garbage[2])
{
    ps_bt_probe probe;
    path p = {.st = st, .shape = t->shape, .in_place = in_place};
    ps_bt_change result = PS_BT_FAILED;
    int column = 0;
    garbage[0] = garbage[1] = 0;
    ps_bt_probe_init(&probe, order);
    if ((t->root == 0 || probe.kind == PS_BT_NAN) && ps_bt_accept(&probe) < 0) {
        return PS_BT_FAILED;
    }
    ps_bt_item item = {.word = probe.word, .count = 1, .kind = probe.kind};
    item.s[column++] = ps_slot_heap(order);
    if (t->shape & PS_BT_KEYED) {
        item.s[column++] = ps_slot_heap(key);
    }
    if (t->shape & PS_BT_MAP) {
        item.s[column++] = ps_slot_heap(value);
    }
    if (t->root == 0) {
        result = set_in_empty(st, t, &item, in_place);
        if (result == PS_BT_ADDED) {
            PS_BT_CHECK(st, *t);
        }
        return result;
    }
    if (path_find(&p, *t, &probe) < 0) {
        return PS_BT_FAILED;
    }
    if (p.equal) {
        if (!(t->shape & PS_BT_MAP) ||
            ps_bt_leaf_value(p.node[0], p.at[0]) == ps_slot_heap(value)) {
            result = PS_BT_UNCHANGED;
        }
        else if (set_value(&p, t, value, garbage) == 0) {
            result = PS_BT_REPLACED;
        }
    }
    else {
        splice sp = {.first = p.at[0], .cut = 0, .n = 1, .with = {item}};
        if (apply(&p, t, &sp, 1, &garbage[0]) == 0) {
            result = PS_BT_ADDED;
        }
    }
    path_release(&p);
    if (result > PS_BT_UNCHANGED) {
        PS_BT_CHECK(st, *t);
    }
    return result;
}

/* ---- remove */

ps_bt_change
ps_bt_remove(ps_state *st, ps_btree *t, PyObject *order, bool in_place, ps_slot garbage[2])
{
    ps_bt_probe probe;
    path p = {.st = st, .shape = t->shape, .in_place = in_place};
    ps_bt_change result = PS_BT_UNCHANGED;
    garbage[0] = garbage[1] = 0;
    ps_bt_probe_init(&probe, order);
    if (t->root == 0 || probe.kind == PS_BT_NAN) {
        return PS_BT_UNCHANGED;
    }
    if (path_find(&p, *t, &probe) < 0) {
        return PS_BT_FAILED;
    }
    if (p.equal) {
        splice sp = {.first = p.at[0], .cut = 1, .n = 0};
        result = apply(&p, t, &sp, -1, &garbage[0]) == 0 ? PS_BT_REMOVED : PS_BT_FAILED;
    }
    path_release(&p);
    if (result == PS_BT_REMOVED) {
        PS_BT_CHECK(st, *t);
    }
    return result;
}

/* ---- collector */

int
ps_bt_visit_untracked(ps_state *st, ps_slot root, visitproc visit, void *arg)
{
    if (root == 0 || ps_slot_is_packed(root)) {
        return 0;
    }
    ps_node *n = ps_slot_node(root);
    if (!ps_node_is_gc(st, n) || PyObject_GC_IsTracked((PyObject *)n) || Py_REFCNT(n) != 1) {
        Py_VISIT(n);
        return 0;
    }
    if (ps_bt_height(n) > 0) {
        /* The smallest key is a reference of this node's own. */
        if (!ps_slot_is_packed(n->slots[0])) {
            Py_VISIT(ps_slot_obj(n->slots[0]));
        }
        for (int i = 0; i < ps_bt_size(n); i++) {
            int r = ps_bt_visit_untracked(st, ps_bt_children(n)[i], visit, arg);
            if (r) {
                return r;
            }
        }
        return 0;
    }
    for (uint32_t i = 0; i < n->datamap; i++) {
        if (!ps_slot_is_packed(n->slots[i])) {
            Py_VISIT(ps_slot_obj(n->slots[i]));
        }
    }
    return 0;
}
