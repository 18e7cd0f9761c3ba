/* pack_grow_sorted.c -- a B+ tree from left to right, out of entries in the order of their keys.
 *
 * As btree_build.c, whose shape this is, with places of records instead of nodes: leaves of
 * PS_BT_LEAF entries, nodes of PS_BT_INNER children, and what is left over on the right spine.
 *
 *     level 2   [node node]
 *     level 1        [leaf leaf leaf]
 *     level 0                  e e e e e
 *
 * A row goes up as soon as it is full, so a parent stands right behind its children. A node
 * names the smallest order key below it, which is that of its first child: each row keeps one.
 *
 * Equal keys are neighbours, in the order in which they came. So an entry waits until the next
 * one is seen to have another key: it has the key that came first, and the value that came last.
 * What `<` has sorted is compared once more here, as it is when a tree is built in memory: an order
 * that is no total one shows between neighbours.
 *
 * Cost: O(1) amortised an entry; memory for one row a level.
 */
#include "pack_builder.h"

/* ---- taking */

/* Append a key as the writer of leaves does (pack_write_array.c). */
static int
encode_key(ps_writer *w, PyObject *key)
{
    w->encoder.key = key;
    w->encoder.in_key = false;
    return ps_msg_encode(&w->encoder, key);
}

int
ps_builder_add_sorted(ps_builder *b, PyObject *key, PyObject *value)
{
    ps_writer *w = &b->writer;
    ps_bt_probe probe;
    size_t sizes[2];
    int result = -1;
    bool key_refs;
    if (ps_sorted_check_key(key) < 0) {
        return -1;
    }
    PyObject *order = ps_sorted_order(b->order, key);
    if (order == NULL) {
        return -1;
    }
    /* As in btree_build.c: one look at a kind is enough, the rest are compared with it. */
    ps_bt_probe_init(&probe, order);
    if ((int)probe.kind != b->sorted.accepted && ps_bt_accept(&probe) < 0) {
        goto done;
    }
    b->sorted.accepted = (int)probe.kind;
    w->scratch.len = 0;
    w->encoder.has_refs = false;
    if (encode_key(w, order) < 0) {
        goto done;
    }
    key_refs = w->encoder.has_refs;
    sizes[0] = w->scratch.len;
    if ((b->order != NULL && encode_key(w, key) < 0) ||
        (value != NULL && ps_write_value(w, value, key) < 0)) {
        goto done;
    }
    sizes[1] = w->scratch.len - sizes[0];
    /* Only exact ints, floats and strs have words, and are encoded as such: what is read back has
     * the same word. */
    result = ps_builder_enter(b, (uint64_t)probe.word, sizes, key_refs ? order : NULL);
done:
    Py_DECREF(order);
    return result;
}

/* ---- pieces of entries */

/* Messages, and the digests of what they refer to. */
typedef struct {
    const uint8_t *messages, *targets;
    size_t size;
    uint32_t refs;
} piece;

enum { ORDER, KEY, VALUE };

/* The order key, the key when that is another one, and the value. */
static int
take_apart(ps_builder *b, const ps_buf *entry, piece out[3])
{
    ps_entry_head e;
    memcpy(&e, entry->data, sizeof e);
    const uint8_t *messages = entry->data + sizeof e, *rest = messages + e.key_size;
    const uint8_t *targets = rest + e.value_size;
    piece key = {rest, targets + PS_DIGEST_SIZE * (size_t)e.key_refs, 0, 0};
    if (b->order != NULL) {
        ps_buf refs = {NULL, 0, 0};
        key.size = (size_t)(ps_msg_skip(rest, targets) - rest);
        if (e.value_refs && ps_image_list_refs(&b->writer, rest, rest + key.size, &refs) < 0) {
            return -1;
        }
        key.refs = (uint32_t)(refs.len / sizeof(uint64_t));
        ps_buf_clear(&refs);
    }
    out[ORDER] = (piece){messages, targets, e.key_size, e.key_refs};
    out[KEY] = key;
    out[VALUE] = (piece){rest + key.size, key.targets + PS_DIGEST_SIZE * (size_t)key.refs,
                         e.value_size - key.size, e.value_refs - key.refs};
    return 0;
}

static int
put_piece(ps_messages *to, const piece *p)
{
    return ps_buf_add(&to->bytes, p->messages, p->size) < 0 ||
                   ps_buf_add(&to->targets, p->targets, PS_DIGEST_SIZE * (size_t)p->refs) < 0
               ? -1
               : 0;
}

/* ---- nodes */

/* The record of the first n entries or children of a row. */
static int
write_node(ps_builder *b, array_parts *t, const ps_messages *payload, place *at)
{
    ps_writer *w = &b->writer;
    t->kind = b->kind;
    t->form |= b->kind - PS_ARRAY_SORTED;
    w->scratch.len = 0;
    ps_image_flush(w, 0, 0); /* no job is left that a later digest could wait for */
    if (ps_buf_add(&w->scratch, payload->bytes.data, payload->bytes.len) < 0) {
        return -1;
    }
    return ps_image_add_array(w, t, 0, payload->targets.len > 0, payload->targets.data, NULL, at);
}

static int add_child(ps_builder *b, int level, place child, uint64_t count, ps_bt_kind kind,
                     int64_t word, ps_messages *min);

/* Make a node of what is in a row, and a child of the row above. */
static int
close_row(ps_builder *b, int level)
{
    ps_sorted_row *row = b->sorted.row[level];
    array_parts t = {.level = (uint8_t)level, .n = row->n, .count = row->count};
    ps_bt_kind kind = row->kind[0];
    place at;
    if (level == 0) {
        t.n_entries = row->n;
        memcpy(t.ends, row->ends, row->n * sizeof *t.ends);
        if (write_node(b, &t, &row->payload, &at) < 0) {
            return -1;
        }
    }
    else {
        for (uint32_t i = 1; i < row->n; i++) {
            kind = row->kind[i] == kind ? kind : PS_BT_ANY;
        }
        t.n_children = row->n;
        t.n_entries = 1;
        t.ends[0] = row->min.bytes.len;
        t.form = (uint8_t)(kind << 4);
        t.has_sizes = true;
        for (uint32_t i = 0; i < row->n; i++) {
            t.children[i] = row->child[i];
            t.sizes[i] = row->sizes[i];
            t.words[i] = kind == PS_BT_ANY ? 0 : row->words[i];
        }
        if (write_node(b, &t, &row->min, &at) < 0) {
            return -1;
        }
    }
    if (add_child(b, level + 1, at, row->count, row->kind[0], row->words[0], &row->min) < 0) {
        return -1;
    }
    row->n = 0;
    row->count = 0;
    row->payload.bytes.len = row->payload.targets.len = 0;
    return 0;
}

static ps_sorted_row *
need_row(ps_builder *b, int level)
{
    ps_sorted_rows *rows = &b->sorted;
    if (level >= PS_BT_MAX_HEIGHT) {
        ps_bt_raise_too_high();
        return NULL;
    }
    if (rows->row[level] == NULL) {
        rows->row[level] = PyMem_RawCalloc(1, sizeof *rows->row[level]);
        if (rows->row[level] == NULL) {
            PyErr_NoMemory();
            return NULL;
        }
        rows->n_rows = level + 1;
    }
    return rows->row[level];
}

/* Add a node of level - 1. min: its smallest order key, of that kind and word; it may be taken. */
static int
add_child(ps_builder *b, int level, place child, uint64_t count, ps_bt_kind kind, int64_t word,
          ps_messages *min)
{
    ps_sorted_row *row = need_row(b, level);
    if (row == NULL) {
        return -1;
    }
    if (row->n == 0) {
        ps_messages old = row->min;
        row->min = *min;
        *min = old;
    }
    row->child[row->n] = child;
    row->kind[row->n] = kind;
    row->words[row->n] = word;
    row->sizes[row->n++] = count;
    row->count += count;
    return row->n == PS_BT_INNER ? close_row(b, level) : 0;
}

/* The entry that waited goes into the leaf. */
static int
put_waiting(ps_builder *b)
{
    ps_member *m = &b->sorted.waiting;
    ps_sorted_row *leaf = need_row(b, 0);
    piece first[3], last[3];
    ps_entry_head e;
    if (leaf == NULL || take_apart(b, &m->first, first) < 0 ||
        take_apart(b, m->last.len ? &m->last : &m->first, last) < 0) {
        return -1;
    }
    if (leaf->n == 0) {
        memcpy(&e, m->first.data, sizeof e);
        leaf->kind[0] = ps_order_kind(first[ORDER].messages);
        leaf->words[0] = (int64_t)e.hash;
        leaf->min.bytes.len = leaf->min.targets.len = 0;
        if (put_piece(&leaf->min, &first[ORDER]) < 0) {
            return -1;
        }
    }
    if (put_piece(&leaf->payload, &first[ORDER]) < 0 ||
        put_piece(&leaf->payload, &first[KEY]) < 0 ||
        put_piece(&leaf->payload, &last[VALUE]) < 0) {
        return -1;
    }
    leaf->ends[leaf->n++] = leaf->payload.bytes.len;
    leaf->count++;
    b->count++;
    return leaf->n == PS_BT_LEAF ? close_row(b, 0) : 0;
}

/* ---- the whole */

static int
copy_entry(ps_buf *to, const uint8_t *entry)
{
    ps_entry_head e;
    memcpy(&e, entry, sizeof e);
    to->len = 0;
    return ps_buf_add(to, entry, ps_entry_size(&e));
}

/* The entry at the front of the sorter waits, or gives its value to the one that does. */
static int
meet(ps_builder *b, const uint8_t *entry, PyObject **key)
{
    ps_member *m = &b->sorted.waiting;
    int order = -1;
    if (m->first.len) {
        const uint8_t *before = m->last.len ? m->last.data : m->first.data;
        if (ps_order_compare(b->writer.st, before, &m->key, entry, key, &order) < 0) {
            return -1;
        }
        if (order > 0) {
            return ps_bt_raise_unordered(m->key, *key);
        }
        if (order < 0 && put_waiting(b) < 0) {
            return -1;
        }
    }
    if (order < 0) {
        m->last.len = 0;
    }
    Py_XSETREF(m->key, Py_XNewRef(*key));
    return copy_entry(order < 0 ? &m->first : &m->last, entry);
}

int
ps_builder_grow_sorted(ps_builder *b, Py_ssize_t n)
{
    ps_sorter *s = &b->sorter;
    const uint8_t *entry;
    for (; n > 0; n--) {
        int more = ps_sorter_peek(s, &entry);
        if (more <= 0) {
            return more;
        }
        if (meet(b, entry, ps_sorter_key(s)) < 0 || ps_sorter_pop(s) < 0 ||
            ps_builder_drain(b, false) < 0) {
            return -1;
        }
    }
    return 1;
}

int
ps_builder_close_sorted(ps_builder *b, place *root)
{
    ps_sorted_rows *rows = &b->sorted;
    *root = 0;
    if (rows->waiting.first.len && put_waiting(b) < 0) {
        return -1;
    }
    for (int level = 0; level < rows->n_rows; level++) {
        ps_sorted_row *row = rows->row[level];
        if (level > 0 && level + 1 == rows->n_rows && row->n == 1) {
            *root = row->child[0];
        }
        else if (row->n && close_row(b, level) < 0) {
            return -1;
        }
    }
    ps_image_flush(&b->writer, 0, 0);
    return 0;
}

size_t
ps_builder_sorted_orphans(const ps_builder *b, place out[PS_BUILDER_ORPHANS])
{
    size_t n = 0;
    for (int level = 1; level < b->sorted.n_rows; level++) {
        const ps_sorted_row *row = b->sorted.row[level];
        memcpy(out + n, row->child, row->n * sizeof *out);
        n += row->n;
    }
    return n;
}

static void
clear_messages(ps_messages *m)
{
    ps_buf_clear(&m->bytes);
    ps_buf_clear(&m->targets);
}

void
ps_builder_clear_sorted(ps_builder *b)
{
    ps_sorted_rows *rows = &b->sorted;
    for (int level = 0; level < rows->n_rows; level++) {
        clear_messages(&rows->row[level]->payload);
        clear_messages(&rows->row[level]->min);
        PyMem_RawFree(rows->row[level]);
        rows->row[level] = NULL;
    }
    rows->n_rows = 0;
    ps_buf_clear(&rows->waiting.first);
    ps_buf_clear(&rows->waiting.last);
    Py_CLEAR(rows->waiting.key);
}
