/* rrb_concat.c -- joining trees, and what is made of cuts and joins.
 *
 * The seam of two bodies goes down the right edge of the one and the left edge of the
 * other. From the bottom up, each level joins the children on both sides of it, with what
 * the level below has made in between, and deals them out to one or two nodes:
 *
 *     x: [ a | b | c ]   y: [ d | e ]         [ a | b | c+d | e ]
 *                  \       /             ->               |
 *              seam below: [ c + d ]               one or two nodes
 *
 * Nodes at the seam are no longer on an edge, so they need half of PS_WIDTH children
 * (rrb.c, invariant 2). Two nodes that come out of one level have that many; a single one
 * may be thinner, and is joined with a neighbour then, which has enough for both, or is on
 * an edge itself and takes it in. Where there is no neighbour, a node of this one child goes
 * up: it is thin itself, and when the level above joins it with its neighbour, the joining
 * goes on below. */
#include "rrb_part.h"

typedef struct {
    int n; /* 1 or 2 */
    ps_slot slot[2];
    Py_ssize_t size[2];
} joined;

static void
joined_clear(ps_state *st, joined *j)
{
    for (int i = 0; i < j->n; i++) {
        ps_slot_decref(st, j->slot[i]);
    }
    j->n = 0;
}

/* All of the list, which is emptied, as one or two nodes of that level. */
static int
deal_out(ps_state *st, ps_rrb_list *l, int level, joined *out)
{
    int first = l->n <= PS_WIDTH ? l->n : ps_rrb_split(l->n), rest = l->n - first;
    out->n = 0;
    out->slot[0] = ps_rrb_list_node(st, l, level, 0, first, &out->size[0]);
    if (out->slot[0]) {
        out->n = 1;
        if (rest > 0) {
            out->slot[1] = ps_rrb_list_node(st, l, level, first, rest, &out->size[1]);
            if (out->slot[1]) {
                out->n = 2;
            }
            else {
                joined_clear(st, out);
            }
        }
    }
    ps_rrb_list_clear(st, l);
    return out->n > 0 ? 0 : -1;
}

static bool
is_thin(ps_slot s)
{
    return !ps_slot_is_packed(s) && ps_slot_node(s)->datamap < PS_RRB_HALF;
}

/* Join the nodes at, at+1 of the list, of that level > 0, into one or two. A node of one
 * thin child may be among them: then the children where the two meet are joined as well. */
static int
join_neighbours(ps_state *st, ps_rrb_list *l, int at, int level)
{
    ps_rrb_list both;
    both.n = 0;
    joined j;
    int meet = 0;
    for (int i = at; i < at + 2; i++) {
        Py_ssize_t sizes[PS_WIDTH];
        ps_node *n = ps_rrb_open(st, l->slot[i], level, l->size[i]);
        if (n == NULL) {
            ps_rrb_list_clear(st, &both);
            return -1;
        }
        meet = both.n;
        ps_rrb_sizes(n, level, l->size[i], sizes);
        ps_rrb_list_add(st, &both, n, sizes, 0, (int)n->datamap);
        Py_DECREF(n);
    }
    if (level > 1 && (is_thin(both.slot[meet - 1]) || is_thin(both.slot[meet])) &&
        join_neighbours(st, &both, meet - 1, level - 1) < 0) {
        ps_rrb_list_clear(st, &both);
        return -1;
    }
    if (deal_out(st, &both, level, &j) < 0) {
        return -1;
    }
    for (int i = 0; i < j.n; i++) {
        ps_slot old = l->slot[at + i];
        l->slot[at + i] = j.slot[i];
        l->size[at + i] = j.size[i];
        ps_slot_decref(st, old);
    }
    if (j.n == 1) {
        ps_slot_decref(st, l->slot[at + 1]);
        l->n--;
        memmove(l->slot + at + 1, l->slot + at + 2, (size_t)(l->n - at - 1) * sizeof *l->slot);
        memmove(l->size + at + 1, l->size + at + 2, (size_t)(l->n - at - 1) * sizeof *l->size);
    }
    return 0;
}

/* The subtrees x and y as one or two nodes of the higher of their levels. */
static int
join(ps_state *st, ps_rrb_body x, ps_rrb_body y, joined *out)
{
    int level = x.level > y.level ? x.level : y.level, rc = -1;
    if (level == 0) {
        *out = (joined){
            2, {ps_slot_incref(st, x.root), ps_slot_incref(st, y.root)}, {x.count, y.count}};
        return 0;
    }
    ps_node *left = NULL, *right = NULL;
    Py_ssize_t left_sizes[PS_WIDTH], right_sizes[PS_WIDTH];
    ps_rrb_list l;
    l.n = 0;
    if (x.level == level) {
        left = ps_rrb_open(st, x.root, level, x.count);
        if (left == NULL) {
            goto done;
        }
        int last = (int)left->datamap - 1;
        ps_rrb_sizes(left, level, x.count, left_sizes);
        ps_rrb_list_add(st, &l, left, left_sizes, 0, last);
        x = (ps_rrb_body){left->slots[last], level - 1, left_sizes[last]};
    }
    if (y.level == level) {
        right = ps_rrb_open(st, y.root, level, y.count);
        if (right == NULL) {
            goto done;
        }
        ps_rrb_sizes(right, level, y.count, right_sizes);
        y = (ps_rrb_body){right->slots[0], level - 1, right_sizes[0]};
    }
    joined seam;
    if (join(st, x, y, &seam) < 0) {
        goto done;
    }
    int at = l.n;
    for (int i = 0; i < seam.n; i++) {
        l.slot[l.n] = seam.slot[i];
        l.size[l.n++] = seam.size[i];
    }
    if (right != NULL) {
        ps_rrb_list_add(st, &l, right, right_sizes, 1, (int)right->datamap);
    }
    if (seam.n == 1 && level > 1 && l.n > 1 && is_thin(l.slot[at]) &&
        join_neighbours(st, &l, at > 0 ? at - 1 : at, level - 1) < 0) {
        goto done;
    }
    rc = deal_out(st, &l, level, out);
done:
    ps_rrb_list_clear(st, &l);
    Py_XDECREF(left);
    Py_XDECREF(right);
    return rc;
}

/* *a, not empty, becomes a and b, not empty either. */
static int
body_join(ps_state *st, ps_rrb_body *a, const ps_rrb_body *b)
{
    joined j;
    ps_rrb_body r = {0, a->level > b->level ? a->level : b->level, a->count + b->count};
    if (join(st, *a, *b, &j) < 0) {
        return -1;
    }
    r.root = j.slot[0];
    if (j.n == 2) {
        r.root = ps_slot_heap(ps_rrb_inner(st, ++r.level, j.slot, j.size, 2));
        if (r.root == 0) {
            joined_clear(st, &j);
            return -1;
        }
    }
    if (ps_rrb_body_tighten(st, &r) < 0) {
        ps_slot_decref(st, r.root);
        return -1;
    }
    ps_rrb_body_become(st, a, r);
    return 0;
}

/* ---- elements between two bodies */

typedef struct {
    ps_slot slot[3 * PS_WIDTH]; /* borrowed from the leaves */
    int n;
    bool gc;
    ps_node *leaf[3]; /* owned */
    int n_leaf;
} elements;

static void
elements_init(elements *e)
{
    e->n = e->n_leaf = 0;
    e->gc = false;
}

static int
elements_add(ps_state *st, elements *e, ps_slot leaf, Py_ssize_t size)
{
    if (leaf == 0) {
        return 0;
    }
    ps_node *n = ps_rrb_open(st, leaf, 0, size);
    if (n == NULL) {
        return -1;
    }
    e->leaf[e->n_leaf++] = n;
    e->gc |= ps_node_is_gc(st, n);
    memcpy(e->slot + e->n, n->slots, n->datamap * sizeof *n->slots);
    e->n += (int)n->datamap;
    return 0;
}

static void
elements_clear(elements *e)
{
    while (e->n_leaf > 0) {
        Py_DECREF(e->leaf[--e->n_leaf]);
    }
}

/* The elements at .. at+n-1 as a leaf; the one that is all of them already, if there is. */
static ps_slot
elements_leaf(ps_state *st, const elements *e, int at, int n)
{
    int begin = 0;
    for (int i = 0; i < e->n_leaf; i++) {
        int size = (int)e->leaf[i]->datamap;
        if (begin == at && size == n) {
            return ps_slot_heap(Py_NewRef(e->leaf[i]));
        }
        begin += size;
    }
    return ps_slot_heap(ps_rrb_leaf_new(st, e->gc, e->slot + at, n, NULL, 0));
}

static int
push_elements(ps_state *st, ps_rrb_body *b, const elements *e, int at, int n, bool front)
{
    ps_slot leaf = elements_leaf(st, e, at, n);
    if (leaf == 0) {
        return -1;
    }
    int rc = ps_rrb_body_push(st, b, leaf, n, front);
    ps_slot_decref(st, leaf);
    return rc;
}

/* b is a head and a tail: they go behind a's tail, which overflows into the body. */
static int
concat_small_right(ps_state *st, const ps_rrb *a, const ps_rrb *b, ps_rrb *out)
{
    elements e;
    elements_init(&e);
    ps_rrb r = {.n_head = a->n_head, .count = a->count + b->count};
    ps_rrb_body body = ps_rrb_body_share(st, ps_rrb_body_of(a));
    int rc = -1, at = 0;
    if (elements_add(st, &e, a->tail, ps_rrb_n_tail(a)) < 0 ||
        elements_add(st, &e, b->head, b->n_head) < 0 ||
        elements_add(st, &e, b->tail, ps_rrb_n_tail(b)) < 0) {
        goto done;
    }
    for (; e.n - at > PS_WIDTH; at += PS_WIDTH) {
        if (push_elements(st, &body, &e, at, PS_WIDTH, false) < 0) {
            goto done;
        }
    }
    r.tail = elements_leaf(st, &e, at, e.n - at);
    if (r.tail == 0) {
        goto done;
    }
    r.head = a->head ? ps_slot_incref(st, a->head) : 0;
    ps_rrb_set_body(&r, body);
    r.regular = a->root == 0 || a->regular;
    *out = r;
    rc = 0;
done:
    if (rc < 0) {
        ps_slot_xdecref(st, body.root);
    }
    elements_clear(&e);
    return rc;
}

/* a is a head and a tail, b has a body: they go before b's head. */
static int
concat_small_left(ps_state *st, const ps_rrb *a, const ps_rrb *b, ps_rrb *out)
{
    elements e;
    elements_init(&e);
    ps_rrb r = {.count = a->count + b->count};
    ps_rrb_body body = ps_rrb_body_share(st, ps_rrb_body_of(b));
    int rc = -1;
    if (elements_add(st, &e, a->head, a->n_head) < 0 ||
        elements_add(st, &e, a->tail, ps_rrb_n_tail(a)) < 0 ||
        elements_add(st, &e, b->head, b->n_head) < 0) {
        goto done;
    }
    int left = e.n;
    for (; left > PS_WIDTH; left -= PS_WIDTH) {
        if (push_elements(st, &body, &e, left - PS_WIDTH, PS_WIDTH, true) < 0) {
            goto done;
        }
    }
    r.head = elements_leaf(st, &e, 0, left);
    if (r.head == 0) {
        goto done;
    }
    r.n_head = (uint32_t)left;
    r.tail = b->tail ? ps_slot_incref(st, b->tail) : 0;
    ps_rrb_set_body(&r, body);
    *out = r;
    rc = 0;
done:
    if (rc < 0) {
        ps_slot_xdecref(st, body.root);
    }
    elements_clear(&e);
    return rc;
}

/* Both have bodies: a's tail and b's head go between them, in leaves that are half full. */
static int
concat_large(ps_state *st, const ps_rrb *a, const ps_rrb *b, ps_rrb *out)
{
    elements e;
    elements_init(&e);
    ps_rrb r = {.n_head = a->n_head, .count = a->count + b->count};
    ps_rrb_body left = ps_rrb_body_share(st, ps_rrb_body_of(a));
    ps_rrb_body right = ps_rrb_body_share(st, ps_rrb_body_of(b));
    ps_slot last = 0;
    Py_ssize_t size = 0;
    int rc = -1, n_between = (int)ps_rrb_n_tail(a) + (int)b->n_head;
    if (n_between > 0 && n_between < PS_RRB_HALF) {
        if (ps_rrb_body_pop(st, &left, &last, &size, false) < 0) {
            goto done;
        }
    }
    if (elements_add(st, &e, last, size) < 0 ||
        elements_add(st, &e, a->tail, ps_rrb_n_tail(a)) < 0 ||
        elements_add(st, &e, b->head, b->n_head) < 0) {
        goto done;
    }
    int first = e.n <= PS_WIDTH ? e.n : ps_rrb_split(e.n);
    if (e.n > 0 && push_elements(st, &left, &e, 0, first, false) < 0) {
        goto done;
    }
    if (e.n > first && push_elements(st, &left, &e, first, e.n - first, false) < 0) {
        goto done;
    }
    if (body_join(st, &left, &right) < 0) {
        goto done;
    }
    r.head = a->head ? ps_slot_incref(st, a->head) : 0;
    r.tail = b->tail ? ps_slot_incref(st, b->tail) : 0;
    ps_rrb_set_body(&r, left);
    *out = r;
    rc = 0;
done:
    if (rc < 0) {
        ps_slot_xdecref(st, left.root);
    }
    ps_slot_xdecref(st, right.root);
    ps_slot_xdecref(st, last);
    elements_clear(&e);
    return rc;
}

int
ps_rrb_concat(ps_state *st, const ps_rrb *a, const ps_rrb *b, ps_rrb *out)
{
    if (a->count > PY_SSIZE_T_MAX - b->count) {
        PyErr_SetString(PyExc_OverflowError, "a vector can't hold so many elements");
        return -1;
    }
    if (a->count == 0 || b->count == 0) {
        *out = ps_rrb_share(st, a->count == 0 ? b : a);
        return 0;
    }
    int rc = b->root == 0   ? concat_small_right(st, a, b, out)
             : a->root == 0 ? concat_small_left(st, a, b, out)
                            : concat_large(st, a, b, out);
    if (rc == 0) {
        PS_RRB_CHECK(st, out);
    }
    return rc;
}

/* ---- made of cuts and joins */

int
ps_rrb_repeat(ps_state *st, const ps_rrb *t, Py_ssize_t n, ps_rrb *out)
{
    ps_rrb power = ps_rrb_share(st, t), sum = PS_RRB_EMPTY, next;
    int rc = 0;
    while (n > 0 && rc == 0) {
        if (n & 1) {
            rc = ps_rrb_concat(st, &sum, &power, &next);
            if (rc == 0) {
                ps_rrb_become(st, &sum, next);
            }
        }
        n >>= 1;
        if (n > 0 && rc == 0) {
            rc = ps_rrb_concat(st, &power, &power, &next);
            if (rc == 0) {
                ps_rrb_become(st, &power, next);
            }
        }
    }
    ps_rrb_drop(st, power);
    if (rc < 0) {
        ps_rrb_drop(st, sum);
        return -1;
    }
    *out = sum;
    return 0;
}

int
ps_rrb_replace(ps_state *st, const ps_rrb *t, Py_ssize_t lo, Py_ssize_t hi, const ps_rrb *with,
               ps_rrb *out)
{
    ps_rrb left = PS_RRB_EMPTY, middle = PS_RRB_EMPTY, right = PS_RRB_EMPTY;
    int rc = -1;
    if (ps_rrb_slice(st, t, 0, lo, &left) == 0 && ps_rrb_concat(st, &left, with, &middle) == 0 &&
        ps_rrb_slice(st, t, hi, t->count, &right) == 0) {
        rc = ps_rrb_concat(st, &middle, &right, out);
    }
    ps_rrb_drop(st, left);
    ps_rrb_drop(st, middle);
    ps_rrb_drop(st, right);
    return rc;
}

int
ps_rrb_delete(ps_state *st, const ps_rrb *t, Py_ssize_t lo, Py_ssize_t hi, ps_rrb *out)
{
    ps_rrb nothing = PS_RRB_EMPTY;
    if (lo == hi) {
        *out = ps_rrb_share(st, t);
        return 0;
    }
    return ps_rrb_replace(st, t, lo, hi, &nothing, out);
}

int
ps_rrb_insert(ps_state *st, const ps_rrb *t, Py_ssize_t i, PyObject *value, ps_rrb *out)
{
    if (i == t->count) {
        return ps_rrb_push_back(st, t, value, out);
    }
    if (i == 0) {
        return ps_rrb_push_front(st, t, value, out);
    }
    ps_node *leaf = ps_rrb_leaf_append(st, false, NULL, 0, value, false);
    if (leaf == NULL) {
        return -1;
    }
    ps_rrb one = {.tail = ps_slot_heap(leaf), .count = 1};
    int rc = ps_rrb_replace(st, t, i, i, &one, out);
    ps_rrb_drop(st, one);
    return rc;
}
