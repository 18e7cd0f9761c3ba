/* rrb_build.c -- trees from many elements at once.
 *
 * Elements gather in a leaf, full leaves in a node, full nodes in a node above: one
 * unfinished node a level. The last leaf becomes the tail. */
#include "rrb_part.h"

void
ps_rrb_builder_init(ps_rrb_builder *b)
{
    b->n_item = 0;
    b->gc = false;
    b->top = 0;
    b->count = 0;
    b->n[0] = b->n[1] = 0;
}

void
ps_rrb_builder_clear(ps_rrb_builder *b)
{
    for (int i = 0; i < b->n_item; i++) {
        Py_DECREF(b->item[i]);
    }
    /* Built here, so heap nodes all. */
    for (int level = 1; level <= b->top; level++) {
        for (int i = 0; i < b->n[level]; i++) {
            Py_DECREF(ps_slot_obj(b->child[level][i]));
        }
    }
    ps_rrb_builder_init(b);
}

/* The items as a leaf, which owns them. 0 on error. */
static ps_slot
take_items(ps_state *st, ps_rrb_builder *b)
{
    ps_node *leaf = ps_node_new_array(st, b->gc, (uint32_t)b->n_item, 0, 0);
    if (leaf == NULL) {
        return 0;
    }
    memcpy(leaf->slots, b->item, (size_t)b->n_item * sizeof *b->item);
    b->n_item = 0;
    b->gc = false;
    ps_node_track(st, leaf);
    return ps_slot_heap(leaf);
}

/* A regular node of the children of one level, of which only the last may have less than a
 * full one's `last` elements. 0 on error. */
static ps_slot
take_children(ps_state *st, ps_rrb_builder *b, int level, Py_ssize_t last)
{
    Py_ssize_t sizes[PS_WIDTH];
    for (int i = 0; i < b->n[level]; i++) {
        sizes[i] = ps_rrb_full(level - 1);
    }
    sizes[b->n[level] - 1] = last;
    ps_slot made = ps_slot_heap(ps_rrb_inner(st, level, b->child[level], sizes, b->n[level]));
    if (made) {
        b->n[level] = 0;
    }
    return made;
}

/* Add a node of level - 1, stealing it, also on error; a full level goes up first. */
static int
add_child(ps_state *st, ps_rrb_builder *b, int level, ps_slot child)
{
    if (level > b->top) {
        b->top = level;
        b->n[level] = 0;
    }
    if (b->n[level] == PS_WIDTH) {
        ps_slot up = take_children(st, b, level, ps_rrb_full(level - 1));
        if (up == 0 || add_child(st, b, level + 1, up) < 0) {
            ps_slot_decref(st, child);
            return -1;
        }
    }
    b->child[level][b->n[level]++] = child;
    return 0;
}

int
ps_rrb_builder_flush(ps_state *st, ps_rrb_builder *b)
{
    ps_slot leaf = take_items(st, b);
    if (leaf == 0 || add_child(st, b, 1, leaf) < 0) {
        return -1;
    }
    b->count += PS_WIDTH;
    return 0;
}

Py_ssize_t
ps_rrb_builder_take(ps_state *st, ps_rrb_builder *b, PyObject *const *items, Py_ssize_t n)
{
    Py_ssize_t room = PS_WIDTH - b->n_item, taken = n < room ? n : room;
    PyTypeObject *atomic = NULL; /* neighbours tend to be of one type: look at it once */
    PyObject **to = b->item + b->n_item;
    for (Py_ssize_t i = 0; i < taken; i++) {
        PyObject *item = to[i] = Py_NewRef(items[i]);
        if (PS_UNLIKELY(Py_TYPE(item) != atomic)) {
            if (PyType_IS_GC(Py_TYPE(item))) {
                b->gc |= ps_needs_gc_slow(st, item);
            }
            else {
                atomic = Py_TYPE(item);
            }
        }
    }
    b->n_item += (int)taken;
    if (taken < n && ps_rrb_builder_flush(st, b) < 0) {
        return -1;
    }
    return taken;
}

int
ps_rrb_builder_finish(ps_state *st, ps_rrb_builder *b, ps_rrb *out)
{
    ps_rrb r = {.body = b->count, .count = b->count + b->n_item, .regular = true};
    if (b->n_item > 0 && (r.tail = take_items(st, b)) == 0) {
        goto error;
    }
    /* Unfinished nodes, from the bottom up: each is the last child of the one above. */
    Py_ssize_t below = 0; /* elements of the last child that was handed up */
    for (int level = 1; level <= b->top; level++) {
        Py_ssize_t full = ps_rrb_full(level - 1);
        int n = b->n[level];
        Py_ssize_t last = below ? below : full;
        if (n == 0) {
            continue;
        }
        if (level == b->top && n == 1) {
            r.root = b->child[level][0];
            r.shift = (uint16_t)(PS_BITS * (level - 1));
            b->n[level] = 0;
            break;
        }
        below = (n - 1) * full + last;
        ps_slot made = take_children(st, b, level, last);
        if (made == 0) {
            goto error;
        }
        if (level == b->top) {
            r.root = made;
            r.shift = (uint16_t)(PS_BITS * level);
            break;
        }
        if (b->n[level + 1] == PS_WIDTH) {
            /* Full already: what is left over begins another node beside it. */
            ps_slot up = take_children(st, b, level + 1, ps_rrb_full(level));
            if (up == 0 || add_child(st, b, level + 2, up) < 0) {
                ps_slot_decref(st, made);
                goto error;
            }
        }
        b->child[level + 1][b->n[level + 1]++] = made;
    }
    ps_rrb_builder_init(b);
    *out = r;
    PS_RRB_CHECK(st, out);
    return 0;
error:
    ps_slot_xdecref(st, r.tail);
    ps_rrb_builder_clear(b);
    return -1;
}

int
ps_rrb_build(ps_state *st, PyObject *const *items, Py_ssize_t n, ps_rrb *out)
{
    ps_rrb_builder b;
    ps_rrb_builder_init(&b);
    for (Py_ssize_t taken; n > 0; items += taken, n -= taken) {
        taken = ps_rrb_builder_take(st, &b, items, n);
        if (taken < 0) {
            ps_rrb_builder_clear(&b);
            return -1;
        }
    }
    return ps_rrb_builder_finish(st, &b, out);
}

int
ps_rrb_stride(ps_state *st, const ps_rrb *t, Py_ssize_t start, Py_ssize_t step, Py_ssize_t n,
              ps_rrb *out)
{
    ps_rrb_builder b;
    ps_node *leaf = NULL;
    Py_ssize_t begin = 0;
    ps_rrb_builder_init(&b);
    for (Py_ssize_t i = start; n > 0; n--, i += step) {
        if (leaf == NULL || i < begin || i >= begin + (Py_ssize_t)leaf->datamap) {
            Py_XDECREF(leaf);
            leaf = ps_rrb_leaf(st, t, i, &begin);
        }
        if (leaf == NULL ||
            ps_rrb_builder_push(st, &b, ps_slot_get(st, leaf->slots[i - begin])) < 0) {
            Py_XDECREF(leaf);
            ps_rrb_builder_clear(&b);
            return -1;
        }
        if (n == 1) {
            break;
        }
    }
    Py_XDECREF(leaf);
    return ps_rrb_builder_finish(st, &b, out);
}
