/* btree_algebra.c -- union, intersection and difference as walks over two trees.
 *
 * Each operation says which of a's alone, b's alone and common parts it keeps. The walk
 * gives whole subtrees where it can, and the builder splices them in whole. */
#include "btree.h"

#define ONLY_A 1
#define ONLY_B 2
#define COMMON 4

typedef struct {
    ps_bt_builder out;
    int keep;
    bool as_a; /* so far the result is a, entry by entry */
} job;

static int
append(job *j, ps_bt_cursor *c)
{
    if (c->item != NULL) {
        return ps_bt_builder_node(&j->out, c->item);
    }
    ps_bt_item item;
    if (ps_bt_item_at(c->st, c->node[0], c->at[0], &item) < 0) {
        return -1;
    }
    return ps_bt_builder_entry(&j->out, &item);
}

static int
on_same(void *arg, ps_bt_cursor *a)
{
    job *j = arg;
    if (!(j->keep & COMMON)) {
        j->as_a = false;
        return 0;
    }
    return append(j, a);
}

static int
on_only(void *arg, ps_bt_cursor *c, bool in_a)
{
    job *j = arg;
    bool keep = j->keep & (in_a ? ONLY_A : ONLY_B);
    j->as_a = j->as_a && keep == in_a;
    return keep ? append(j, c) : 0;
}

static int
on_both(void *arg, ps_bt_cursor *a, ps_bt_cursor *b)
{
    job *j = arg;
    if (!(j->keep & COMMON)) {
        j->as_a = false;
        return 0;
    }
    ps_bt_item item;
    if (ps_bt_item_at(a->st, a->node[0], a->at[0], &item) < 0) {
        return -1;
    }
    /* The key of a, and in a union the value of b. */
    if ((a->t.shape & PS_BT_MAP) && (j->keep & ONLY_B)) {
        int column = ps_bt_width(a->t.shape) - 1;
        ps_slot value = ps_bt_leaf_value(b->node[0], b->at[0]);
        j->as_a = j->as_a && item.s[column] == value;
        item.s[column] = value;
    }
    return ps_bt_builder_entry(&j->out, &item);
}

static int
combine(ps_state *st, ps_btree a, ps_btree b, int keep, ps_btree *out)
{
    static const ps_bt_visitor visitor = {on_same, on_only, on_both};
    job j = {.keep = keep, .as_a = true};
    ps_bt_builder_init(st, &j.out, a.shape);
    if (ps_bt_walk(st, a, b, &visitor, &j) < 0) {
        ps_bt_builder_clear(&j.out);
        return -1;
    }
    if (j.as_a) {
        ps_bt_builder_clear(&j.out);
        *out = ps_bt_share(st, a);
        return 0;
    }
    return ps_bt_builder_end(&j.out, out);
}

int
ps_bt_union(ps_state *st, ps_btree a, ps_btree b, ps_btree *out)
{
    if (a.root == 0 || b.root == 0) {
        *out = ps_bt_share(st, a.root == 0 ? b : a);
        return 0;
    }
    return combine(st, a, b, ONLY_A | ONLY_B | COMMON, out);
}

int
ps_bt_intersection(ps_state *st, ps_btree a, ps_btree b, ps_btree *out)
{
    return combine(st, a, b, COMMON, out);
}

int
ps_bt_difference(ps_state *st, ps_btree a, ps_btree b, ps_btree *out)
{
    return combine(st, a, b, ONLY_A, out);
}

int
ps_bt_symmetric_difference(ps_state *st, ps_btree a, ps_btree b, ps_btree *out)
{
    return combine(st, a, b, ONLY_A | ONLY_B, out);
}

/* ---- relations: the walk stops at the first thing that must not be */

static int
stop_at_same(void *arg, ps_bt_cursor *a)
{
    return *(int *)arg & COMMON ? 1 : 0;
}

static int
stop_at_only(void *arg, ps_bt_cursor *c, bool in_a)
{
    return *(int *)arg & (in_a ? ONLY_A : ONLY_B) ? 1 : 0;
}

static int
stop_at_both(void *arg, ps_bt_cursor *a, ps_bt_cursor *b)
{
    return *(int *)arg & COMMON ? 1 : 0;
}

static int
has_none(ps_state *st, ps_btree a, ps_btree b, int what)
{
    static const ps_bt_visitor visitor = {stop_at_same, stop_at_only, stop_at_both};
    int rc = ps_bt_walk(st, a, b, &visitor, &what);
    return rc < 0 ? -1 : !rc;
}

int
ps_bt_is_subset(ps_state *st, ps_btree a, ps_btree b)
{
    return a.count > b.count ? 0 : has_none(st, a, b, ONLY_A);
}

int
ps_bt_is_disjoint(ps_state *st, ps_btree a, ps_btree b)
{
    return has_none(st, a, b, COMMON);
}
