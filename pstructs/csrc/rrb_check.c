/* rrb_check.c -- every invariant of the RRB tree, one sentence each. */
#include "rrb_part.h"

typedef struct {
    ps_state *st;
    bool all;
    bool regular; /* no node may have a table */
    Py_ssize_t nodes_left; /* unless all are to be seen */
} checker;

/* NULL when the node and all below it are as they have to be; else what is wrong, or
 * "an exception". *count: the elements below it. */
static const char *
check_node(checker *c, ps_slot s, int level, bool left_edge, bool right_edge, Py_ssize_t *count)
{
    ps_state *st = c->st;
    if (ps_slot_is_packed(s)) {
        *count = -1;
        return NULL; /* the pack's reader has checked it */
    }
    ps_node *n = ps_slot_node(s);
    if (Py_TYPE(n) != st->node_plain && Py_TYPE(n) != st->node_gc) {
        return "a slot of a node holds no node";
    }
    if (!(n->meta & PS_META_ARRAY)) {
        return "a node of the tree is not an array node";
    }
    if (n->datamap == 0 || n->datamap > PS_WIDTH) {
        return "a node has no slots, or too many";
    }
    bool gc = ps_node_is_gc(st, n), packed = false;
    if (gc && !PyObject_GC_IsTracked((PyObject *)n)) {
        return "a GC node is not tracked";
    }
    for (uint32_t i = 0; i < n->datamap; i++) {
        if (n->slots[i] == 0) {
            return "a slot is empty";
        }
        packed |= ps_slot_is_packed(n->slots[i]);
    }
    if (packed && !(n->meta & PS_META_PACKED)) {
        return "a node with packed slots does not say so";
    }
    if (level == 0) {
        if ((ps_node_tag(n) & ~PS_RRB_OPEN) != 0 || ps_node_raw_words(n) != 0) {
            return "a leaf looks like an inner node";
        }
        for (uint32_t i = 0; i < n->datamap && !gc; i++) {
            if (ps_slot_needs_gc(st, n->slots[i])) {
                return "a plain leaf holds a value that needs a GC node";
            }
        }
        *count = (Py_ssize_t)n->datamap;
        return NULL;
    }
    if (ps_node_tag(n) != (uint32_t)level) {
        return "an inner node's tag is not its level";
    }
    if (!left_edge && !right_edge && n->datamap < PS_RRB_HALF) {
        return "an inner node off the edges has too few children";
    }
    uint32_t raw = ps_node_raw_words(n);
    if (raw != 0 && c->regular) {
        return "a tree that calls itself regular has a node with a table";
    }
    if (raw != 0 && raw != n->datamap) {
        return "a table of ends has the wrong length";
    }
    c->nodes_left -= (Py_ssize_t)n->datamap;
    if (!c->all && c->nodes_left < 0) {
        *count = -1;
        return NULL;
    }
    Py_ssize_t total = 0, full = ps_rrb_full(level - 1);
    bool regular = full != PY_SSIZE_T_MAX, known = true;
    for (uint32_t i = 0; i < n->datamap; i++) {
        Py_ssize_t below = -1;
        bool first = i == 0, last = i == n->datamap - 1;
        const char *wrong =
            check_node(c, n->slots[i], level - 1, left_edge && first, right_edge && last, &below);
        if (wrong != NULL) {
            return wrong;
        }
        if (!gc && ps_rrb_child_gc(st, n->slots[i])) {
            return "a plain node has a child that is a GC node";
        }
        if (level == 1 && below >= 0 && below < PS_RRB_HALF) {
            return "a leaf in the body is not half full";
        }
        if (below < 0) {
            known = false;
            continue;
        }
        total += below;
        regular &= last || below == full;
        if (below > full) {
            return "a child holds more than a full one";
        }
        if (known && raw != 0 && ps_node_raw(n)[i] != (uint64_t)total) {
            return "an end in a table is wrong";
        }
    }
    if (known && regular != (raw == 0)) {
        return raw == 0 ? "a node without a table has a child that is not full"
                        : "a regular node has a table";
    }
    *count = known ? total : -1;
    return NULL;
}

static const char *
check_part(checker *c, ps_slot s, Py_ssize_t wanted)
{
    Py_ssize_t count = -1;
    if ((s == 0) != (wanted == 0)) {
        return "a head or tail is there without elements, or missing with some";
    }
    if (s == 0) {
        return NULL;
    }
    const char *wrong = check_node(c, s, 0, true, true, &count);
    if (wrong == NULL && count >= 0 && count != wanted) {
        wrong = "the head or tail has another number of elements than the tree says";
    }
    return wrong;
}

static const char *
check_tree(checker *c, const ps_rrb *t)
{
    ps_state *st = c->st;
    Py_ssize_t n_tail = ps_rrb_n_tail(t), body = -1;
    int level = (int)(t->shift / PS_BITS);
    c->regular = t->regular;
    if (t->n_head > PS_WIDTH || n_tail < 0 || n_tail > PS_WIDTH || t->body < 0) {
        return "the counts of the tree don't add up";
    }
    const char *wrong = check_part(c, t->head, (Py_ssize_t)t->n_head);
    if (wrong == NULL) {
        wrong = check_part(c, t->tail, n_tail);
    }
    if (wrong != NULL) {
        return wrong;
    }
    if (t->root == 0) {
        return t->body != 0 || t->shift != 0 ? "a tree without a root counts a body" : NULL;
    }
    if (level > PS_RRB_MAX_LEVEL || t->shift % PS_BITS != 0) {
        return "the root's level is impossible";
    }
    wrong = check_node(c, t->root, level, true, true, &body);
    if (wrong != NULL) {
        return wrong;
    }
    if (body >= 0 && body != t->body) {
        return "the body has another number of elements than the tree says";
    }
    if (level == 0 && t->body < PS_RRB_HALF) {
        return "the only leaf of the body is not half full";
    }
    if (level == 0 || ps_slot_is_packed(t->root)) {
        return NULL;
    }
    ps_node *root = ps_slot_node(t->root);
    if (root->datamap == 1) {
        return "the root has one child";
    }
    if (level > 1 && root->datamap == 2 && !ps_slot_is_packed(root->slots[0]) &&
        !ps_slot_is_packed(root->slots[1]) &&
        ps_slot_node(root->slots[0])->datamap + ps_slot_node(root->slots[1])->datamap <=
            PS_WIDTH) {
        return "the root's two children would fit into one";
    }
    /* Height: at least half full per level, from two levels below the root. */
    double least = 1;
    for (int l = 0; l < level - 1; l++) {
        least *= PS_RRB_HALF;
    }
    if ((double)t->body < least) {
        return "the tree is higher than its elements allow";
    }
    (void)st;
    return NULL;
}

int
ps_rrb_check(ps_state *st, const ps_rrb *t)
{
    checker c = {.st = st, .all = true};
    const char *wrong = check_tree(&c, t);
    if (wrong != NULL) {
        PyErr_Format(PyExc_AssertionError, "RRB tree of %zd elements: %s", t->count, wrong);
        return -1;
    }
    return 0;
}

void
ps_rrb_check_or_abort(ps_state *st, const ps_rrb *t)
{
    checker c = {.st = st, .nodes_left = 5000};
    const char *wrong = check_tree(&c, t);
    if (wrong != NULL) {
        Py_FatalError(wrong);
    }
}
