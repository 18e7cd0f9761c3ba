/* rrb.h -- the relaxed radix balanced tree below vectors and deques.
 *
 * A tree is a value: the elements of the head leaf, then those below the root,
 * then those of the tail leaf. Each of the three slots owns one reference, or is
 * 0 when it holds nothing; a small tree is one leaf. rrb.c explains the shape.
 *
 * Ownership: arguments are borrowed, but for what a comment says is stolen. A
 * function with `out` returns 0 and a new tree in *out, which the caller drops; or
 * -1 with an exception and *out untouched. `t` and `out` may be the same struct
 * only in the ps_rrb_own_* functions.
 *
 * No function here runs user code, but for the decoders of packed slots and what
 * the collector runs during an allocation: the caller keeps its trees alive.
 *
 * Costs, n elements: everything O(log32 n), but for what says otherwise.
 */
#ifndef PS_RRB_H
#define PS_RRB_H

#include "node.h"

/* Levels of the root are at most this: inner nodes off the edges of the tree have at least
 * half of PS_WIDTH children, and counts fit in 63 bits (rrb.c: height). */
#ifdef PS_SMALL
#define PS_RRB_MAX_LEVEL 66
#else
#define PS_RRB_MAX_LEVEL 20
#endif
#define PS_RRB_MASK ((size_t)PS_WIDTH - 1)

typedef struct {
    ps_slot head; /* leaf before the body */
    ps_slot root; /* the body: a leaf when shift is 0 */
    ps_slot tail; /* leaf behind the body */
    Py_ssize_t count;   /* all elements */
    Py_ssize_t body;    /* elements below root */
    uint32_t n_head;    /* elements of the head, at most PS_WIDTH */
    uint16_t shift;     /* PS_BITS * level of the root */
    bool regular;       /* no node of the body has a table (false: some may) */
} ps_rrb;

#define PS_RRB_EMPTY ((ps_rrb){0})

/* t with new references. */
PS_INLINE ps_rrb
ps_rrb_share(ps_state *st, const ps_rrb *t)
{
    if (t->head) {
        ps_slot_incref(st, t->head);
    }
    if (t->root) {
        ps_slot_incref(st, t->root);
    }
    if (t->tail) {
        ps_slot_incref(st, t->tail);
    }
    return *t;
}

PS_INLINE void
ps_rrb_drop(ps_state *st, ps_rrb t)
{
    ps_slot_xdecref(st, t.head);
    ps_slot_xdecref(st, t.root);
    ps_slot_xdecref(st, t.tail);
}

/* Whether both are the same nodes, and so equal. */
PS_INLINE bool
ps_rrb_same(const ps_rrb *a, const ps_rrb *b)
{
    return a->head == b->head && a->root == b->root && a->tail == b->tail && a->count == b->count;
}

/* Whether the collector has to see what the tree refers to: its owner is tracked then. */
bool ps_rrb_needs_gc(ps_state *st, const ps_rrb *t);
/* For tp_traverse of the owner. */
int ps_rrb_visit(const ps_rrb *t, visitproc visit, void *arg);
/* Gives up the references of a dying owner that has a trashcan; st may be NULL when the
 * type was cleared before (packed slots are leaked then, as their packs are gone too). */
void ps_rrb_release(ps_state *st, ps_rrb *t);

/* ---- one element */
/* The slot of element i < count, borrowed; NULL when a packed node is on the way. */
PS_INLINE const ps_slot *
ps_rrb_find(const ps_rrb *t, size_t i)
{
    ps_slot s;
    size_t at = i - t->n_head; /* wraps around in the head */
    if (PS_LIKELY(at < (size_t)t->body)) {
        s = t->root;
        uint32_t shift = t->shift;
        if (PS_LIKELY(t->regular)) {
            /* Reads no node but for the slot: half as many cache lines. */
            for (; shift > 0; shift -= PS_BITS) {
                if (PS_UNLIKELY(ps_slot_is_packed(s))) {
                    return NULL;
                }
                s = ps_slot_node(s)->slots[at >> shift & PS_RRB_MASK];
            }
        }
        for (; shift > 0; shift -= PS_BITS) {
            if (PS_UNLIKELY(ps_slot_is_packed(s))) {
                return NULL;
            }
            ps_node *n = ps_slot_node(s);
            size_t k;
            if (PS_LIKELY(ps_node_raw_words(n) == 0)) {
                k = at >> shift & PS_RRB_MASK;
            }
            else {
                const uint64_t *ends = ps_node_raw(n);
                if (PS_LIKELY(shift < 63 - PS_BITS)) {
                    at &= ((size_t)PS_WIDTH << shift) - 1; /* a regular parent left them on */
                }
                k = shift < 64 ? at >> shift : 0;
                while (ends[k] <= at) {
                    k++;
                }
                at -= k > 0 ? ends[k - 1] : 0;
            }
            s = n->slots[k];
        }
        at &= PS_RRB_MASK;
    }
    else if (i < t->n_head) {
        s = t->head;
        at = i;
    }
    else {
        s = t->tail;
        at -= (size_t)t->body;
    }
    return PS_UNLIKELY(ps_slot_is_packed(s)) ? NULL : &ps_slot_node(s)->slots[at];
}

/* New reference to element 0 <= i < count; NULL with an exception. */
PyObject *ps_rrb_get(ps_state *st, const ps_rrb *t, Py_ssize_t i);
/* Element i replaced. */
int ps_rrb_set(ps_state *st, const ps_rrb *t, Py_ssize_t i, PyObject *value, ps_rrb *out);

/* ---- ends: amortised O(1) */
int ps_rrb_push_back(ps_state *st, const ps_rrb *t, PyObject *value, ps_rrb *out);
int ps_rrb_push_front(ps_state *st, const ps_rrb *t, PyObject *value, ps_rrb *out);
/* Without the last, or the first, element of a tree that has one. */
int ps_rrb_pop_back(ps_state *st, const ps_rrb *t, ps_rrb *out);
int ps_rrb_pop_front(ps_state *st, const ps_rrb *t, ps_rrb *out);

/* ---- ranges */
/* OverflowError when the counts add up to more than PY_SSIZE_T_MAX. */
int ps_rrb_concat(ps_state *st, const ps_rrb *a, const ps_rrb *b, ps_rrb *out);
/* t again and again, n >= 0 times. O(log32 t * log2 n) */
int ps_rrb_repeat(ps_state *st, const ps_rrb *t, Py_ssize_t n, ps_rrb *out);
/* Elements lo <= i < hi, 0 <= lo <= hi <= count. */
int ps_rrb_slice(ps_state *st, const ps_rrb *t, Py_ssize_t lo, Py_ssize_t hi, ps_rrb *out);
/* value becomes element i, 0 <= i <= count. */
int ps_rrb_insert(ps_state *st, const ps_rrb *t, Py_ssize_t i, PyObject *value, ps_rrb *out);
/* Without the elements lo <= i < hi. */
int ps_rrb_delete(ps_state *st, const ps_rrb *t, Py_ssize_t lo, Py_ssize_t hi, ps_rrb *out);
/* The elements lo <= i < hi replaced by those of `with`. */
int ps_rrb_replace(ps_state *st, const ps_rrb *t, Py_ssize_t lo, Py_ssize_t hi, const ps_rrb *with,
                   ps_rrb *out);

/* ---- in place, for evolvers: *t is replaced, or stays as it is when -1 is returned.
 * Nodes that nobody else holds are written. Destructors of what was replaced run last,
 * when *t is a whole tree again; the collector may run user code before. */
int ps_rrb_own_set(ps_state *st, ps_rrb *t, Py_ssize_t i, PyObject *value);
int ps_rrb_own_push_back(ps_state *st, ps_rrb *t, PyObject *value);
/* Element i set in place, if that is possible: *old is its former slot, for the caller to drop
 * when all is done. Allocates nothing. */
bool ps_rrb_own_try_set(ps_state *st, ps_rrb *t, Py_ssize_t i, PyObject *value, ps_slot *old);
/* Gives back the room that pushes left in the tail. At the end of a row of them. */
int ps_rrb_own_trim(ps_state *st, ps_rrb *t);
/* *t becomes `with` (stolen). */
PS_INLINE void
ps_rrb_become(ps_state *st, ps_rrb *t, ps_rrb with)
{
    ps_rrb old = *t;
    *t = with;
    ps_rrb_drop(st, old);
}

/* ---- bulk build: all leaves full, all nodes regular. O(n) */
typedef struct {
    PyObject *item[PS_WIDTH]; /* owned, not in a leaf yet */
    int n_item;
    bool gc; /* some item needs a GC node */
    int top; /* highest level that has children */
    Py_ssize_t count;
    int n[PS_RRB_MAX_LEVEL + 1];
    ps_slot child[PS_RRB_MAX_LEVEL + 1]
                 [PS_WIDTH]; /* owned, not in a node yet; [level of the node] */
} ps_rrb_builder;
void ps_rrb_builder_init(ps_rrb_builder *b);
void ps_rrb_builder_clear(ps_rrb_builder *b);
int ps_rrb_builder_flush(ps_state *st, ps_rrb_builder *b); /* the items become a leaf */
/* Append the first of n objects, as many as fit into one leaf; takes new references. Their
 * number, or -1. The memory may be gone when the call returns: allocation runs the collector. */
Py_ssize_t ps_rrb_builder_take(ps_state *st, ps_rrb_builder *b, PyObject *const *items,
                               Py_ssize_t n);
/* Append item, stealing it, also on error; NULL is an error that has been raised. 0 or -1. */
PS_INLINE int
ps_rrb_builder_push(ps_state *st, ps_rrb_builder *b, PyObject *item)
{
    if (PS_UNLIKELY(item == NULL)) {
        return -1;
    }
    if (PS_UNLIKELY(b->n_item == PS_WIDTH) && ps_rrb_builder_flush(st, b) < 0) {
        Py_DECREF(item);
        return -1;
    }
    b->gc |= ps_needs_gc(st, item);
    b->item[b->n_item++] = item;
    return 0;
}
/* Ends with an empty builder, also on error. */
int ps_rrb_builder_finish(ps_state *st, ps_rrb_builder *b, ps_rrb *out);
/* A tree of n objects. */
int ps_rrb_build(ps_state *st, PyObject *const *items, Py_ssize_t n, ps_rrb *out);
/* Every step-th element from `start`, n of them; step may be negative. O(n log32 t), O(n)
 * for neighbours */
int ps_rrb_stride(ps_state *st, const ps_rrb *t, Py_ssize_t start, Py_ssize_t step, Py_ssize_t n,
                  ps_rrb *out);

/* ---- iteration: leaf by leaf */
/* New reference to the leaf of element i, 0 <= i < count; *start: the index of its first
 * element. Its elements are leaf->slots[0 .. leaf->datamap - 1]. NULL with an exception. */
ps_node *ps_rrb_leaf(ps_state *st, const ps_rrb *t, Py_ssize_t i, Py_ssize_t *start);

typedef struct {
    const ps_slot *slot; /* next element of the leaf */
    const ps_slot *stop; /* behind the last one to be shown */
    ps_node *leaf;       /* owned */
    ps_rrb t;            /* owned */
    Py_ssize_t at;       /* forward: index of the first element of the next leaf */
    Py_ssize_t end;      /* index behind the last element to be shown */
    bool reverse;        /* backward: `slot` is behind the next element, `stop` at the last;
                            at: behind the last element of the next leaf; end: the last index */
} ps_rrb_iter;
/* Over lo <= i < hi. Shares t; allocates nothing. */
void ps_rrb_iter_init(ps_state *st, ps_rrb_iter *it, const ps_rrb *t, Py_ssize_t lo, Py_ssize_t hi,
                      bool reverse);
void ps_rrb_iter_clear(ps_state *st, ps_rrb_iter *it);
/* Go on to the next leaf: 1 more, 0 end, -1 error. May run user code (packed leaves). */
int ps_rrb_iter_leaf(ps_state *st, ps_rrb_iter *it);
/* Elements still to come. */
Py_ssize_t ps_rrb_iter_left(const ps_rrb_iter *it);

/* 1: *slot is an element, borrowed from the iterator until the next call; 0 end; -1. */
PS_INLINE int
ps_rrb_iter_next(ps_state *st, ps_rrb_iter *it, ps_slot *slot)
{
    if (PS_UNLIKELY(it->slot == it->stop)) {
        int more = ps_rrb_iter_leaf(st, it);
        if (more <= 0) {
            return more;
        }
    }
    *slot = it->reverse ? *--it->slot : *it->slot++;
    return 1;
}

/* ---- two trees */
/* 1 / 0: equal elements in equal places; -1 with an exception. Runs user code; both trees
 * are held. Skips leaves and subtrees that both have in the same place. */
int ps_rrb_equal(ps_state *st, const ps_rrb *a, const ps_rrb *b);
/* The first index at which a and b differ (an element by ==, or the end of one of them);
 * -1: they are equal; -2 with an exception. */
Py_ssize_t ps_rrb_mismatch(ps_state *st, const ps_rrb *a, const ps_rrb *b);

/* ---- rrb_diff.c */
/* Calls visit for each range of a that b has something else in place of: a[a_lo:a_hi] became
 * b[b_lo:b_hi]; ascending, and never touching. Elements count as unchanged when they are the
 * same object, or equal and of one type. Stops at the first non-zero result and returns it. */
typedef int (*ps_rrb_visit_edit)(void *arg, Py_ssize_t a_lo, Py_ssize_t a_hi, Py_ssize_t b_lo,
                                 Py_ssize_t b_hi);
int ps_rrb_diff(ps_state *st, const ps_rrb *a, const ps_rrb *b, ps_rrb_visit_edit visit,
                void *arg);

/* ---- rrb_check.c: every invariant; -1 with AssertionError */
int ps_rrb_check(ps_state *st, const ps_rrb *t);
/* Stops the process instead; runs no user code. */
void ps_rrb_check_or_abort(ps_state *st, const ps_rrb *t);

#ifdef PS_DEBUG
#define PS_RRB_CHECK(st, t) ps_rrb_check_or_abort(st, t)
#else
#define PS_RRB_CHECK(st, t) ((void)0)
#endif

#endif
