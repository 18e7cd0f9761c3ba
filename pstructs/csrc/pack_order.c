/* pack_order.c -- entries that are encoded already, in the order of their keys.
 *
 * The order is that of btree_order.c. Ints, floats and strs are compared as they are: their
 * words are in the heads of the entries, and strs whose words are equal differ in the bytes
 * of their messages, which sort by code points. Only other keys, and numbers of two kinds, are
 * compared as objects.
 *
 * An object that had to be decoded stays with its entry until the entry is passed on: a key
 * is decoded once for the run that it stands in, and once when the runs are merged.
 */
#include "pack_sorter.h"

/* ---- keys */

PS_INLINE ps_entry_head
head_of(const uint8_t *entry)
{
    ps_entry_head e;
    memcpy(&e, entry, sizeof e);
    return e;
}

/* The payload of a message that is an extension: its type stands right before it. */
static const uint8_t *
ext_payload(const uint8_t *p)
{
    return p + (*p == 0xC7 ? 3 : *p == 0xC8 ? 4 : *p == 0xC9 ? 6 : 2);
}

static bool
is_ext(uint8_t c)
{
    return (c >= 0xC7 && c <= 0xC9) || (c >= 0xD4 && c <= 0xD8);
}

ps_bt_kind
ps_order_kind(const uint8_t *key)
{
    uint8_t c = *key;
    if (c <= 0x7F || c >= 0xE0 || c == 0xC2 || c == 0xC3 || (c >= 0xCC && c <= 0xCE) ||
        (c >= 0xD0 && c <= 0xD3)) {
        return PS_BT_INT;
    }
    if (c == 0xCF) {
        return key[1] < 0x80 ? PS_BT_INT : PS_BT_ANY;
    }
    if (c == 0xCB) {
        return PS_BT_FLOAT;
    }
    if ((c >= 0xA0 && c <= 0xBF) || (c >= 0xD9 && c <= 0xDB)) {
        return PS_BT_STR;
    }
    return is_ext(c) && ext_payload(key)[-1] == PS_EXT_SURROGATES ? PS_BT_STR : PS_BT_ANY;
}

static ps_piece
text_of(const uint8_t *entry)
{
    const uint8_t *p = entry + sizeof(ps_entry_head), *end = p + head_of(entry).key_size;
    p = is_ext(*p) ? ext_payload(p) : p + (*p <= 0xBF ? 1 : *p == 0xD9 ? 2 : *p == 0xDA ? 3 : 5);
    return (ps_piece){p, (size_t)(end - p)};
}

static PyObject *
no_reference(ps_decoder *d, ps_ref ref, PyObject *order, bool top)
{
    PyErr_SetString(PyExc_SystemError, "a key that holds no collection refers to one");
    return NULL;
}

static PyObject *
no_raw(ps_decoder *d, ps_ref ref)
{
    return no_reference(d, ref, NULL, false);
}

PyObject *
ps_entry_key(ps_state *st, const uint8_t *entry)
{
    ps_entry_head e = head_of(entry);
    const uint8_t *message = entry + sizeof e;
    if (ps_codecs_load(st) < 0) {
        return NULL;
    }
    if (e.key_pack) {
        PyObject *bytes = PyBytes_FromStringAndSize(
            (const char *)entry + ps_entry_size(&e) - e.key_pack, (Py_ssize_t)e.key_pack);
        PyObject *pack =
            bytes ? PyObject_CallMethod((PyObject *)st->pack, "from_buffer", "O", bytes) : NULL;
        PyObject *key = pack ? PyObject_CallMethod(pack, "root", NULL) : NULL;
        Py_XDECREF(bytes);
        Py_XDECREF(pack);
        return key;
    }
    ps_decoder d = {
        .st = st,
        .p = message,
        .end = message + e.key_size,
        .base = message,
        .reference = no_reference,
        .raw = no_raw,
    };
    return ps_msg_decode(&d);
}

/* ---- comparing */

static int
compare_texts(const uint8_t *a, const uint8_t *b)
{
    ps_piece x = text_of(a), y = text_of(b);
    int order = memcmp(x.data, y.data, x.len < y.len ? x.len : y.len);
    return order ? order : (x.len > y.len) - (x.len < y.len);
}

/* The order of two keys with words of one kind. */
static int
compare_words(const uint8_t *a, const uint8_t *b, ps_bt_kind kind)
{
    int64_t x = (int64_t)head_of(a).hash, y = (int64_t)head_of(b).hash;
    return x != y ? (x > y) - (x < y) : kind == PS_BT_STR ? compare_texts(a, b) : 0;
}

/* The kind of both keys; PS_BT_ANY: their objects have to be compared. */
static ps_bt_kind
common_kind(const uint8_t *a, const uint8_t *b)
{
    ps_bt_kind kind = ps_order_kind(a + sizeof(ps_entry_head));
    return kind == ps_order_kind(b + sizeof(ps_entry_head)) ? kind : PS_BT_ANY;
}

static int
decode(ps_state *st, const uint8_t *entry, PyObject **key)
{
    if (*key == NULL) {
        *key = ps_entry_key(st, entry);
    }
    return *key == NULL ? -1 : 0;
}

int
ps_order_less(ps_state *st, const uint8_t *a, PyObject **a_key, const uint8_t *b, PyObject **b_key)
{
    if (*a_key != NULL && *b_key != NULL) { /* without a look at the entries: a cache miss each */
        return ps_bt_less(*a_key, *b_key);
    }
    ps_bt_kind kind = common_kind(a, b);
    if (kind != PS_BT_ANY) {
        return compare_words(a, b, kind) < 0;
    }
    return decode(st, a, a_key) < 0 || decode(st, b, b_key) < 0 ? -1 : ps_bt_less(*a_key, *b_key);
}

int
ps_order_compare(ps_state *st, const uint8_t *a, PyObject **a_key, const uint8_t *b,
                 PyObject **b_key, int *order)
{
    ps_bt_kind kind = common_kind(a, b);
    ps_bt_probe pa, pb;
    if (kind != PS_BT_ANY) {
        *order = compare_words(a, b, kind);
        return 0;
    }
    if (decode(st, a, a_key) < 0 || decode(st, b, b_key) < 0) {
        return -1;
    }
    ps_bt_probe_init(&pa, *a_key);
    ps_bt_probe_init(&pb, *b_key);
    return ps_bt_compare(&pa, &pb, order);
}

/* ---- sorting what is in memory */

PS_INLINE const uint8_t *
entry_of(const ps_sorter *s, const ps_sort_item *item)
{
    return s->entries.data + item->at;
}

/* 1: a sorts strictly before b; 0; -1. */
PS_INLINE int
before(ps_sorter *s, ps_sort_item *a, ps_sort_item *b)
{
    if (PS_LIKELY(s->words)) { /* which never fails */
        return a->hash != b->hash     ? (int64_t)a->hash < (int64_t)b->hash
               : s->kind == PS_BT_STR ? compare_texts(entry_of(s, a), entry_of(s, b)) < 0
                                      : 0;
    }
    /* A number or str among others is decoded for this comparison only: what was granted for
     * objects is for keys that have no words. */
    PyObject *key[2] = {(PyObject *)(uintptr_t)a->hash, (PyObject *)(uintptr_t)b->hash};
    bool keep[2] = {key[0] != NULL, key[1] != NULL};
    int less = ps_order_less(s->st, entry_of(s, a), &key[0], entry_of(s, b), &key[1]);
    for (int i = 0; i < 2; i++) {
        if (!keep[i]) {
            Py_XDECREF(key[i]);
        }
    }
    return less;
}

/* Insertion into runs of 8: each stays whole, also after an error. */
static int
sort_runs(ps_sorter *s, ps_sort_item *a, size_t n, size_t run)
{
    for (size_t i = 1; i < n; i++) {
        ps_sort_item x = a[i];
        size_t first = i - i % run, k = i;
        int less = 0;
        while (k > first && (less = before(s, &x, &a[k - 1])) > 0) {
            a[k] = a[k - 1];
            k--;
        }
        a[k] = x;
        if (less < 0) {
            return -1;
        }
    }
    return 0;
}

static int
merge_runs(ps_sorter *s, ps_sort_item *from, ps_sort_item *to, size_t lo, size_t mid, size_t hi)
{
    size_t i = lo, k = mid, out = lo;
    int less = mid < hi ? before(s, &from[mid], &from[mid - 1]) : 0;
    if (less > 0) { /* else they are in order already */
        while (i < mid && k < hi) {
            less = before(s, &from[k], &from[i]);
            if (less < 0) {
                return -1;
            }
            to[out++] = less ? from[k++] : from[i++];
        }
    }
    memcpy(to + out, from + i, (mid - i) * sizeof *to);
    memcpy(to + out + (mid - i), from + k, (hi - k) * sizeof *to);
    return less < 0 ? -1 : 0;
}

/* The sorted array; NULL with an exception, and all items are in *whole. */
static ps_sort_item *
merge_sort(ps_sorter *s, ps_sort_item *from, ps_sort_item *to, ps_sort_item **whole)
{
    enum { RUN = 8 };
    size_t n = s->n_items;
    *whole = from;
    if (sort_runs(s, from, n, RUN) < 0) {
        return NULL;
    }
    for (size_t run = RUN; run < n; run *= 2) {
        for (size_t lo = 0; lo < n; lo += 2 * run) {
            size_t mid = lo + run < n ? lo + run : n, hi = mid + run < n ? mid + run : n;
            if (merge_runs(s, from, to, lo, mid, hi) < 0) {
                return NULL;
            }
        }
        ps_sort_item *sorted = to;
        to = from;
        from = *whole = sorted;
    }
    return from;
}

ps_sort_item *
ps_order_sort(ps_sorter *s, ps_sort_item *spare)
{
    ps_sort_item *items = s->items, *sorted, *whole;
    for (size_t i = 0; !s->words && i < s->n_items; i++) {
        items[i].hash = 0;
    }
    for (size_t i = 0; !s->words && i < s->n_items; i++) {
        const uint8_t *entry = entry_of(s, &items[i]);
        if (ps_order_kind(entry + sizeof(ps_entry_head)) == PS_BT_ANY) {
            PyObject *key = ps_entry_key(s->st, entry);
            if (key == NULL) {
                return NULL;
            }
            items[i].hash = (uint64_t)(uintptr_t)key;
        }
    }
    sorted = merge_sort(s, items, spare, &whole);
    if (sorted == NULL && whole == spare) {
        memcpy(items, spare, s->n_items * sizeof *items);
    }
    for (size_t i = 0; s->words && i < s->n_items; i++) {
        sorted[i].hash = 0;
    }
    return sorted;
}
