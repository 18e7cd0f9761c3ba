/* rrb.c -- the RRB tree: a persistent sequence. One element, and the two ends.
 *
 * Problem: a vector whose index, set and pushes cost a few nodes of 32 slots is a radix
 * tree: the bits of the index are the way down. Such a tree can't be joined with another
 * or cut in the middle, for then its leaves are no longer all full. The *relaxed* radix
 * tree lets a node say where its children begin, and pays with a search in that node only.
 *
 *     head          root (level 2, relaxed)                  tail
 *     [a b]         [ c0 | c1 | c2 ]  ends: 9 25 31          [x]
 *                     |     \     \
 *           (relaxed) |      \     (relaxed)
 *      [ l | l | l ] 3 6 9    \     [ l | l ] 4 6
 *                              [ l | l | l | l ]    regular: four full leaves of four
 *
 *     element i:    in the head?  else i - n_head below the root?  else in the tail
 *     regular node  child i >> shift                       (shift = PS_BITS * level)
 *     relaxed node  first child whose end is above i, from i >> shift on: a child never
 *                   holds more than a full one, so the search never starts too far right
 *
 * Invariants (rrb_check.c has them all):
 *
 *  1. Leaves below the root hold at least half of PS_WIDTH elements. What is left over at
 *     an end waits in the head or the tail, so a push or pop copies one leaf and the tree is
 *     touched once in 32 times.
 *  2. Inner nodes that are neither on the left nor on the right edge of the body have at
 *     least half of PS_WIDTH children. Nodes on the edges may have any number, but one.
 *  3. A node is regular (no table) exactly when all its children but the last are full.
 *     Built in bulk, or by appending, a tree is regular throughout.
 *  4. The root has at least three children; or two, which have more than PS_WIDTH children
 *     (leaves count for one level less: two of them are enough).
 *
 * Height: by 4 there is a node off the edges at most two levels below the root, and by 2 it
 * holds at least 16^level elements. So h <= 2 + log16 n, whatever was joined and cut
 * before. L'orange's and Bagwell's rule (a node may have one or two children more than it
 * needs) packs a little denser, but bounds nothing below an edge that was cut.
 *
 * Cut (rrb_slice.c): children beside the cut are left out, one node a level; the leaf that
 * is cut becomes the head or the tail. Then the root is lowered as 4 demands.
 * Join (rrb_concat.c): down the seam, one level at a time: the children on both sides go
 * into one or two nodes; the one that is left too thin is joined with its neighbour.
 * Insert and delete are a cut and a join.
 *
 * Costs in nodes of at most 32 slots, h = height:
 *
 *     get                    h read          push, pop at an end   1 copied, h once in 32
 *     set                    h copied        cut                   h copied a side
 *     insert, delete, join   O(h) copied     build                 1 a leaf
 *
 * Memory errors: every function makes new nodes only and gives them up when one is
 * missing, so a tree that exists never changes. The ps_rrb_own_* functions write into
 * nodes that one reference reaches, from the root down, and allocate nothing between the
 * test for that and the write.
 *
 * Papers: Bagwell & Rompf, RRB-Trees: Efficient Immutable Vectors, 2011; L'orange,
 * Improving RRB-Tree Performance through Transience, 2014; Stucki et al., RRB Vector: A
 * Practical General Purpose Immutable Sequence, ICFP 2015.
 */
#include "rrb_part.h"

bool
ps_rrb_needs_gc(ps_state *st, const ps_rrb *t)
{
    return (t->root && ps_rrb_child_gc(st, t->root)) ||
           (t->tail && ps_rrb_child_gc(st, t->tail)) || (t->head && ps_rrb_child_gc(st, t->head));
}

int
ps_rrb_visit(const ps_rrb *t, visitproc visit, void *arg)
{
    const ps_slot slot[3] = {t->head, t->root, t->tail};
    for (int i = 0; i < 3; i++) {
        if (slot[i] && !ps_slot_is_packed(slot[i])) {
            Py_VISIT(ps_slot_obj(slot[i]));
        }
    }
    return 0;
}

void
ps_rrb_release(ps_state *st, ps_rrb *t)
{
    ps_slot slot[3] = {t->head, t->root, t->tail};
    *t = PS_RRB_EMPTY;
    for (int i = 0; i < 3; i++) {
        if (slot[i] && !ps_slot_is_packed(slot[i])) {
            ps_node_release(ps_slot_obj(slot[i]));
        }
        else if (slot[i] && st != NULL) {
            ps_slot_decref(st, slot[i]);
        }
    }
}

/* ---- one element */

ps_node *
ps_rrb_leaf(ps_state *st, const ps_rrb *t, Py_ssize_t i, Py_ssize_t *start)
{
    Py_ssize_t n_head = (Py_ssize_t)t->n_head;
    if (i < n_head) {
        *start = 0;
        return ps_rrb_open(st, t->head, 0, n_head);
    }
    if (i - n_head >= t->body) {
        *start = n_head + t->body;
        return ps_rrb_open(st, t->tail, 0, ps_rrb_n_tail(t));
    }
    ps_rrb_body b = ps_rrb_body_of(t);
    ps_node *leaf = ps_rrb_body_leaf(st, &b, i - n_head, start);
    *start += n_head;
    return leaf;
}

/* Element i, which lies in a packed node: from there on the pack finds it in place. */
static PyObject *
get_packed(ps_state *st, const ps_rrb *t, size_t i)
{
    size_t at = i - t->n_head;
    if (i < t->n_head) {
        return st->pack_ops->vector_get(st, t->head, 0, (Py_ssize_t)t->n_head, i);
    }
    if (at >= (size_t)t->body) {
        return st->pack_ops->vector_get(st, t->tail, 0, ps_rrb_n_tail(t), at - (size_t)t->body);
    }
    Py_ssize_t count = t->body;
    ps_slot s = t->root;
    int level = (int)(t->shift / PS_BITS);
    for (; !ps_slot_is_packed(s); level--) {
        ps_node *n = ps_slot_node(s);
        s = n->slots[ps_rrb_child(n, level, &at, &count)];
    }
    return st->pack_ops->vector_get(st, s, level, count, at);
}

PyObject *
ps_rrb_get(ps_state *st, const ps_rrb *t, Py_ssize_t i)
{
    const ps_slot *slot = ps_rrb_find(t, (size_t)i);
    if (PS_LIKELY(slot != NULL)) {
        return ps_slot_get(st, *slot);
    }
    return get_packed(st, t, (size_t)i);
}

/* The subtree in s, of count elements, with element at replaced; 0 on error. */
static ps_slot
set_below(ps_state *st, ps_slot s, int level, Py_ssize_t count, size_t at, PyObject *value)
{
    ps_node *path[PS_RRB_MAX_LEVEL + 1]; /* by level, owned */
    uint32_t k[PS_RRB_MAX_LEVEL + 1];
    ps_slot made = 0;
    int l = level;
    for (; l >= 0; l--) {
        path[l] = ps_rrb_open(st, s, l, count);
        if (path[l] == NULL) {
            l++;
            goto done;
        }
        k[l] = l > 0 ? ps_rrb_child(path[l], l, &at, &count) : (uint32_t)at;
        s = path[l]->slots[k[l]];
    }
    l = 0;
    made = ps_slot_heap(Py_NewRef(value));
    bool gc = ps_needs_gc(st, value);
    for (int up = 0; up <= level && made; up++) {
        gc |= ps_node_is_gc(st, path[up]);
        made = ps_slot_heap(ps_rrb_with_slot(st, path[up], k[up], made, gc));
    }
done:
    for (; l <= level; l++) {
        Py_DECREF(path[l]);
    }
    return made;
}

int
ps_rrb_set(ps_state *st, const ps_rrb *t, Py_ssize_t i, PyObject *value, ps_rrb *out)
{
    const ps_slot *slot = ps_rrb_find(t, (size_t)i);
    if (slot != NULL && *slot == ps_slot_heap(value)) {
        *out = ps_rrb_share(st, t);
        return 0;
    }
    ps_rrb r = *t;
    Py_ssize_t at = i - (Py_ssize_t)t->n_head;
    Py_ssize_t count;
    ps_slot *part;
    int level = 0;
    if (at < 0) {
        part = &r.head;
        count = (Py_ssize_t)t->n_head;
        at = i;
    }
    else if (at < t->body) {
        part = &r.root;
        count = t->body;
        level = (int)(t->shift / PS_BITS);
    }
    else {
        part = &r.tail;
        count = ps_rrb_n_tail(t);
        at -= t->body;
    }
    ps_slot made = set_below(st, *part, level, count, (size_t)at, value);
    if (made == 0) {
        return -1;
    }
    *part = 0;
    r = ps_rrb_share(st, &r);
    *part = made;
    *out = r;
    PS_RRB_CHECK(st, out);
    return 0;
}

/* ---- ends */

static int
one_more(const ps_rrb *t)
{
    if (PS_UNLIKELY(t->count == PY_SSIZE_T_MAX)) {
        PyErr_SetString(PyExc_OverflowError, "a vector can't hold more elements");
        return -1;
    }
    return 0;
}

/* *t with new references, but its tail (front: its head), which is full, is in the body. */
static int
bury(ps_state *st, const ps_rrb *t, bool front, ps_rrb *out)
{
    ps_rrb_body b = ps_rrb_body_share(st, ps_rrb_body_of(t));
    Py_ssize_t size = front ? (Py_ssize_t)t->n_head : ps_rrb_n_tail(t);
    if (ps_rrb_body_push(st, &b, front ? t->head : t->tail, size, front) < 0) {
        ps_slot_xdecref(st, b.root);
        return -1;
    }
    ps_rrb r = *t;
    r.root = 0;
    if (front) {
        r.head = 0;
        r.n_head = 0;
    }
    else {
        r.tail = 0;
    }
    *out = ps_rrb_share(st, &r);
    ps_rrb_set_body(out, b);
    out->regular = t->root == 0 || (t->regular && !front);
    return 0;
}

/* The tail with one more element, or a new one. */
static int
push_back(ps_state *st, const ps_rrb *t, PyObject *value, bool open, ps_rrb *out)
{
    if (one_more(t) < 0) {
        return -1;
    }
    ps_rrb r;
    Py_ssize_t n_tail = ps_rrb_n_tail(t);
    ps_node *old = NULL, *tail;
    if (PS_LIKELY(n_tail < PS_WIDTH)) {
        if (n_tail > 0 && (old = ps_rrb_open(st, t->tail, 0, n_tail)) == NULL) {
            return -1;
        }
        tail = ps_rrb_leaf_append(st, old != NULL && ps_node_is_gc(st, old),
                                  old == NULL ? NULL : old->slots, (int)n_tail, value, open);
        Py_XDECREF(old);
        if (tail == NULL) {
            return -1;
        }
        r = *t;
        r.tail = 0;
        r = ps_rrb_share(st, &r);
    }
    else {
        tail = ps_rrb_leaf_append(st, false, NULL, 0, value, open);
        if (tail == NULL) {
            return -1;
        }
        if (bury(st, t, false, &r) < 0) {
            Py_DECREF(tail);
            return -1;
        }
    }
    r.tail = ps_slot_heap(tail);
    r.count = t->count + 1;
    *out = r;
    return 0;
}

int
ps_rrb_push_back(ps_state *st, const ps_rrb *t, PyObject *value, ps_rrb *out)
{
    int rc = push_back(st, t, value, false, out);
    if (rc == 0) {
        PS_RRB_CHECK(st, out);
    }
    return rc;
}

/* A leaf of value and the elements of another one (0: none). */
static ps_node *
prepended(ps_state *st, PyObject *value, ps_slot leaf, Py_ssize_t size)
{
    bool gc = ps_needs_gc(st, value);
    ps_slot first = ps_slot_heap(value);
    if (size == 0) {
        return ps_rrb_leaf_new(st, gc, &first, 1, NULL, 0);
    }
    ps_node *old = ps_rrb_open(st, leaf, 0, size);
    if (old == NULL) {
        return NULL;
    }
    ps_node *made =
        ps_rrb_leaf_new(st, gc || ps_node_is_gc(st, old), &first, 1, old->slots, (int)size);
    Py_DECREF(old);
    return made;
}

int
ps_rrb_push_front(ps_state *st, const ps_rrb *t, PyObject *value, ps_rrb *out)
{
    if (one_more(t) < 0) {
        return -1;
    }
    ps_rrb r = *t;
    Py_ssize_t n_tail = ps_rrb_n_tail(t);
    /* A small tree stays one leaf. */
    bool in_tail = t->head == 0 && t->root == 0 && n_tail < PS_WIDTH;
    bool full = t->n_head == PS_WIDTH;
    ps_node *leaf = in_tail ? prepended(st, value, t->tail, n_tail)
                            : prepended(st, value, t->head, full ? 0 : (Py_ssize_t)t->n_head);
    if (leaf == NULL) {
        return -1;
    }
    if (in_tail) {
        r.tail = ps_slot_heap(leaf);
    }
    else {
        if (full) {
            if (bury(st, t, true, &r) < 0) {
                Py_DECREF(leaf);
                return -1;
            }
        }
        else {
            r.head = 0;
            r = ps_rrb_share(st, &r);
        }
        r.head = ps_slot_heap(leaf);
        r.n_head++;
    }
    r.count++;
    *out = r;
    PS_RRB_CHECK(st, out);
    return 0;
}

/* What is left of a leaf without one element of its end; *out is 0 when nothing is. */
static int
shorten(ps_state *st, ps_slot leaf, Py_ssize_t size, bool front, ps_slot *out)
{
    *out = size == 1 ? 0 : ps_rrb_leaf_part(st, leaf, size, front, size - 1);
    return size > 1 && *out == 0 ? -1 : 0;
}

static int
pop(ps_state *st, const ps_rrb *t, bool front, ps_rrb *out)
{
    ps_rrb r = *t;
    Py_ssize_t n_head = (Py_ssize_t)t->n_head, n_tail = ps_rrb_n_tail(t);
    ps_slot left;
    if (t->root && (front ? n_head : n_tail) == 0) {
        /* The next leaf of the body becomes the head or the tail. */
        ps_rrb_body b = ps_rrb_body_share(st, ps_rrb_body_of(t));
        ps_slot leaf;
        Py_ssize_t size;
        if (ps_rrb_body_pop(st, &b, &leaf, &size, front) < 0) {
            ps_slot_decref(st, b.root);
            return -1;
        }
        int rc = shorten(st, leaf, size, front, &left);
        ps_slot_decref(st, leaf);
        if (rc < 0) {
            ps_slot_xdecref(st, b.root);
            return -1;
        }
        r.root = 0;
        r = ps_rrb_share(st, &r);
        ps_rrb_set_body(&r, b);
        r.regular = t->regular && (!front || b.root == 0);
        if (front) {
            r.head = left;
            r.n_head = (uint32_t)(size - 1);
        }
        else {
            r.tail = left;
        }
    }
    else {
        bool head = front ? n_head > 0 : n_tail == 0;
        if (shorten(st, head ? t->head : t->tail, head ? n_head : n_tail, front, &left) < 0) {
            return -1;
        }
        ps_slot *part = head ? &r.head : &r.tail;
        *part = 0;
        r = ps_rrb_share(st, &r);
        *part = left;
        r.n_head -= head;
    }
    r.count--;
    *out = r;
    PS_RRB_CHECK(st, out);
    return 0;
}

int
ps_rrb_pop_back(ps_state *st, const ps_rrb *t, ps_rrb *out)
{
    return pop(st, t, false, out);
}

int
ps_rrb_pop_front(ps_state *st, const ps_rrb *t, ps_rrb *out)
{
    return pop(st, t, true, out);
}

/* ---- in place */

bool
ps_rrb_own_try_set(ps_state *st, ps_rrb *t, Py_ssize_t i, PyObject *value, ps_slot *old)
{
    ps_node *path[PS_RRB_MAX_LEVEL + 1];
    size_t at = (size_t)i - t->n_head;
    Py_ssize_t count = t->body;
    ps_slot s;
    int level = 0;
    if (at < (size_t)t->body) {
        s = t->root;
        level = (int)(t->shift / PS_BITS);
    }
    else if ((size_t)i < t->n_head) {
        s = t->head;
        at = (size_t)i;
    }
    else {
        s = t->tail;
        at -= (size_t)t->body;
    }
    int depth = 0;
    for (int l = level;; l--) {
        if (ps_slot_is_packed(s) || Py_REFCNT(ps_slot_obj(s)) != 1) {
            return false;
        }
        ps_node *n = path[depth++] = ps_slot_node(s);
        if (l == 0) {
            break;
        }
        s = n->slots[ps_rrb_child(n, l, &at, &count)];
    }
    ps_node *leaf = path[depth - 1];
    if (ps_needs_gc(st, value) && !ps_node_is_gc(st, leaf)) {
        return false; /* the leaf and all above it have to be GC nodes */
    }
    for (int d = 0; d < depth; d++) {
        ps_node_set_saved(st, path[d], 0);
    }
    *old = leaf->slots[at];
    leaf->slots[at] = ps_slot_heap(Py_NewRef(value));
    return true;
}

int
ps_rrb_own_set(ps_state *st, ps_rrb *t, Py_ssize_t i, PyObject *value)
{
    ps_slot old;
    if (ps_rrb_own_try_set(st, t, i, value, &old)) {
        ps_slot_decref(st, old);
        return 0;
    }
    ps_rrb made;
    if (ps_rrb_set(st, t, i, value, &made) < 0) {
        return -1;
    }
    ps_rrb_become(st, t, made);
    return 0;
}

int
ps_rrb_own_push_back(ps_state *st, ps_rrb *t, PyObject *value)
{
    ps_slot s = t->tail;
    if (s && !ps_slot_is_packed(s) && Py_REFCNT(ps_slot_obj(s)) == 1) {
        ps_node *tail = ps_slot_node(s);
        if (tail->datamap < PS_WIDTH && (ps_node_tag(tail) & PS_RRB_OPEN) &&
            (ps_node_is_gc(st, tail) || !ps_needs_gc(st, value)) && t->count < PY_SSIZE_T_MAX) {
            ps_node_set_saved(st, tail, 0);
            tail->slots[tail->datamap++] = ps_slot_heap(Py_NewRef(value));
            t->count++;
            return 0;
        }
    }
    ps_rrb made;
    if (push_back(st, t, value, true, &made) < 0) {
        return -1;
    }
    ps_rrb_become(st, t, made);
    return 0;
}

int
ps_rrb_own_trim(ps_state *st, ps_rrb *t)
{
    if (t->tail == 0 || ps_slot_is_packed(t->tail)) {
        return 0;
    }
    ps_node *tail = ps_slot_node(t->tail);
    if (!(ps_node_tag(tail) & PS_RRB_OPEN) || tail->datamap == PS_WIDTH) {
        return 0;
    }
    ps_node *exact =
        ps_rrb_leaf_new(st, ps_node_is_gc(st, tail), tail->slots, (int)tail->datamap, NULL, 0);
    if (exact == NULL) {
        return -1;
    }
    t->tail = ps_slot_heap(exact);
    Py_DECREF(tail);
    return 0;
}
