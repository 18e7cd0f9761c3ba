/* pack_grow_vector.c -- a vector from its first element to its last.
 *
 * As rrb_build.c, whose shape this is, with places of records instead of nodes: elements gather
 * in a leaf, 32 children in a node of the level above, and the last leaf is the tail. A row goes up
 * when one more comes than it holds.
 *
 *     level 2   [node node]
 *     level 1        [leaf leaf leaf]
 *     items               [e e e e e]
 *
 * Cost: O(1) amortised an element; memory for one row a level.
 */
#include "pack_builder.h"

static int
write_leaf(ps_builder *b, place *at)
{
    ps_vector_rows *v = &b->vector;
    ps_writer *w = &b->writer;
    uint32_t n = v->n_items;
    ps_node *leaf = ps_node_new_array(w->st, true, n, 0, 0);
    if (leaf == NULL) {
        return -1;
    }
    for (uint32_t i = 0; i < n; i++) {
        leaf->slots[i] = ps_slot_heap(v->items[i]);
    }
    v->n_items = 0;
    ps_node_track(w->st, leaf);
    w->scratch.len = 0;
    w->encoder.has_refs = false;
    int r = ps_write_array_node(w, leaf, PS_ARRAY_VECTOR, 0, n, at);
    Py_DECREF(leaf);
    return r;
}

/* The record of children of level - 1, with count elements below them. top: the bits that say
 * which pieces they are, where it is the record of the whole. */
static int
write_node(ps_builder *b, int level, uint8_t top, const place *children, int n, uint64_t count,
           const uint64_t *sizes, place *at)
{
    ps_writer *w = &b->writer;
    array_parts t = {.kind = PS_ARRAY_VECTOR, .level = (uint8_t)level, .form = top};
    t.n = t.n_children = (uint32_t)n;
    t.count = count;
    t.has_sizes = sizes != NULL;
    memcpy(t.children, children, (size_t)n * sizeof *children);
    if (sizes != NULL) {
        memcpy(t.sizes, sizes, (size_t)n * sizeof *sizes);
    }
    w->scratch.len = 0;
    ps_image_flush(w, 0, 0); /* no job is left that a later digest could wait for */
    return ps_image_add_array(w, &t, 0, false, NULL, NULL, at);
}

static uint64_t
full(int level)
{
    return UINT64_C(1) << (PS_BITS * (level + 1));
}

/* Add a node of level - 1, of which all that are below the same level are full. */
static int
add_child(ps_builder *b, int level, place child)
{
    ps_vector_rows *v = &b->vector;
    if (level > v->top) {
        v->top = level;
        v->n[level] = 0;
    }
    if (v->n[level] == PS_WIDTH) {
        place up;
        if (write_node(b, level, 0, v->child[level], PS_WIDTH, full(level), NULL, &up) < 0 ||
            add_child(b, level + 1, up) < 0) {
            return -1;
        }
        v->n[level] = 0;
    }
    v->child[level][v->n[level]++] = child;
    return 0;
}

int
ps_builder_push(ps_builder *b, PyObject *value)
{
    ps_vector_rows *v = &b->vector;
    if (v->n_items == PS_WIDTH) {
        place leaf;
        if (write_leaf(b, &leaf) < 0 || add_child(b, 1, leaf) < 0) {
            return -1;
        }
    }
    v->items[v->n_items++] = Py_NewRef(value);
    b->taken++;
    return 0;
}

int
ps_builder_close_vector(ps_builder *b, place *root)
{
    ps_vector_rows *v = &b->vector;
    *root = 0;
    b->count = b->taken;
    if (v->n_items == 0) {
        return 0;
    }
    place piece[2];
    uint64_t tail = v->n_items, body = b->count - tail, ends[2] = {body, b->count};
    uint64_t below = 0; /* elements of the last child that was handed up */
    int body_level = 0;
    for (int level = 1; level <= v->top; level++) {
        int n = v->n[level];
        if (n == 0) {
            continue;
        }
        if (level == v->top && n == 1) {
            piece[0] = v->child[level][0];
            body_level = level - 1;
            break;
        }
        below = (uint64_t)(n - 1) * full(level - 1) + (below ? below : full(level - 1));
        place up;
        if (write_node(b, level, 0, v->child[level], n, below, NULL, &up) < 0) {
            return -1;
        }
        v->n[level] = 0;
        /* A row above that is full already goes up by itself, to be followed by another one. */
        if (level == v->top) {
            piece[0] = up;
            body_level = level;
            break;
        }
        if (add_child(b, level + 1, up) < 0) {
            return -1;
        }
    }
    if (write_leaf(b, &piece[1]) < 0) {
        return -1;
    }
    if (body == 0) {
        ps_image_flush(&b->writer, 0, 0);
        *root = piece[1];
        return 0;
    }
    if (write_node(b, PS_A_TOP | body_level, PS_A_BODY | PS_A_TAIL, piece, 2, b->count, ends,
                   root) < 0) {
        return -1;
    }
    ps_image_flush(&b->writer, 0, 0);
    return 0;
}

size_t
ps_builder_vector_orphans(const ps_builder *b, place out[PS_BUILDER_ORPHANS])
{
    size_t n = 0;
    for (int level = 1; level <= b->vector.top; level++) {
        memcpy(out + n, b->vector.child[level], (size_t)b->vector.n[level] * sizeof *out);
        n += (size_t)b->vector.n[level];
    }
    return n;
}

void
ps_builder_clear_vector(ps_builder *b)
{
    ps_vector_rows *v = &b->vector;
    while (v->n_items > 0) {
        Py_DECREF(v->items[--v->n_items]);
    }
}
