/* pack_grow.c -- a trie from the bottom up, out of entries in the order of their hashes.
 *
 * The problem: the trie does not fit into memory. Its nodes are written in postorder, so all
 * that is needed is one unfinished node a level, from the root to the last entry:
 *
 *     hash of the entries    A1 B2 C3 | 47 | C3 51 99      (levels of one letter)
 *     shares with neighbours        2       1
 *     level of an entry      the more of what it shares with the one before and the one behind
 *
 * An entry stands as deep as it has to, to differ from both neighbours. Then everything below
 * what it shares with the one behind is complete: those nodes become records, each a child
 * of the one above.
 *
 * Entries with one H1 are gathered first: they are one key given again, whose last value
 * counts, or keys that only H2 or a comparison can tell apart.
 *
 * Cost: O(1) amortised an entry, and H2 and a decoded key for each one with an H1 that is not
 * its own.
 */
#include "pack_builder.h"

#include <stdlib.h>

/* ---- keys with one H1 */

static ps_entry_head
head_of(const ps_buf *entry)
{
    ps_entry_head e;
    memcpy(&e, entry->data, sizeof e);
    return e;
}

PS_INLINE const uint8_t *
messages_of(const ps_buf *entry)
{
    return entry->data + sizeof(ps_entry_head);
}

static int
copy_entry(ps_buf *to, const uint8_t *entry)
{
    ps_entry_head e;
    memcpy(&e, entry, sizeof e);
    to->len = 0;
    return ps_buf_add(to, entry, ps_entry_size(&e));
}

/* Whether two entries have the same key, as far as bytes tell. A key with references is
 * told by its own pack, in which they do not depend on where its parts are. */
static bool
same_bytes(const uint8_t *a, const uint8_t *b)
{
    ps_entry_head x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return x.key_size == y.key_size && x.key_pack == y.key_pack &&
           (x.key_pack ? memcmp(a + ps_entry_size(&x) - x.key_pack,
                                b + ps_entry_size(&y) - y.key_pack, x.key_pack)
                       : memcmp(a + sizeof x, b + sizeof y, x.key_size)) == 0;
}

/* Add an entry to those with its H1; one that certainly has the key of an earlier one only
 * gives it a new value. */
static int
gather(ps_builder *b, const uint8_t *entry)
{
    enum { LOOKED_AT = 8 };
    size_t number = b->gathered++;
    for (size_t i = 0; i < b->n_members && i < LOOKED_AT; i++) {
        ps_member *m = &b->members[i];
        if (same_bytes(m->first.data, entry)) {
            m->last_number = number;
            return copy_entry(&m->last, entry);
        }
    }
    if (b->n_members == b->members_cap) {
        size_t cap = b->members_cap;
        if (ps_image_grow((void **)&b->members, &cap, b->n_members, sizeof *b->members) < 0) {
            return -1;
        }
        memset(b->members + b->members_cap, 0, (cap - b->members_cap) * sizeof *b->members);
        b->members_cap = cap;
    }
    ps_member *m = &b->members[b->n_members];
    m->last.len = 0;
    m->number = m->last_number = number;
    b->n_members++;
    return copy_entry(&m->first, entry);
}

static int
compare_arrival(const void *pa, const void *pb)
{
    const ps_member *a = pa, *b = pb;
    if (a->h2 != b->h2) {
        return a->h2 < b->h2 ? -1 : 1;
    }
    return a->number < b->number ? -1 : 1;
}

/* Collision nodes are in the order of the encoded keys. */
static int
compare_bytes(const void *pa, const void *pb)
{
    const ps_member *a = pa, *b = pb;
    if (a->h2 != b->h2) {
        return a->h2 < b->h2 ? -1 : 1;
    }
    ps_piece ka = {messages_of(&a->first), head_of(&a->first).key_size};
    ps_piece kb = {messages_of(&b->first), head_of(&b->first).key_size};
    return ps_piece_order(&ka, &kb);
}

/* Bring two members or more into order, those with equal keys made one. */
static int
resolve(ps_builder *b)
{
    ps_state *st = b->writer.st;
    for (size_t i = 0; i < b->n_members; i++) {
        ps_member *m = &b->members[i];
        if ((m->key = ps_entry_key(st, m->first.data)) == NULL ||
            ps_hash2(st, m->key, &m->h2) < 0) {
            return -1;
        }
#if PS_H2_BITS < 64
        m->h2 &= ~(UINT64_MAX >> PS_H2_BITS);
#endif
    }
    qsort(b->members, b->n_members, sizeof *b->members, compare_arrival);
    size_t n = 0;
    for (size_t i = 0; i < b->n_members; i++) {
        ps_member *m = &b->members[i], *same = NULL;
        for (size_t j = n; j-- > 0 && b->members[j].h2 == m->h2;) {
            int eq = ps_key_eq(b->members[j].key, m->key);
            if (eq < 0) {
                return -1;
            }
            if (eq) {
                same = &b->members[j];
                break;
            }
        }
        if (same != NULL) {
            /* The buffers change hands, and m's own ones are used again by a later group. */
            if (same->last_number < m->last_number) {
                ps_buf *from = m->last.len ? &m->last : &m->first, old = same->last;
                same->last = *from;
                same->last_number = m->last_number;
                *from = old;
            }
            continue;
        }
        ps_member moved = *m;
        *m = b->members[n];
        b->members[n++] = moved;
    }
    for (size_t i = 0; i < b->n_members; i++) {
        Py_CLEAR(b->members[i].key);
    }
    b->n_members = n;
    qsort(b->members, n, sizeof *b->members, compare_bytes);
    return 0;
}

/* ---- nodes in the making */

static int
open_node(ps_builder *b, int level)
{
    ps_open_node *n = b->open[level];
    if (n == NULL) {
        n = b->open[level] = PyMem_RawCalloc(1, sizeof *n);
        if (n == NULL) {
            PyErr_NoMemory();
            return -1;
        }
    }
    n->payload.len = n->targets.len = 0;
    n->t.n_entries = n->t.n_children = 0;
    n->t.count = 0;
    n->datamap = n->nodemap = 0;
    n->mark = b->writer.n_jobs;
    n->arena_mark = b->writer.arena.len;
    b->top = level;
    return 0;
}

/* Append n messages, and the digests of what they refer to. */
static int
put_messages(ps_open_node *n, const uint8_t *p, size_t size, const uint8_t *targets, uint32_t refs)
{
    return ps_buf_add(&n->payload, p, size) < 0 ||
                   ps_buf_add(&n->targets, targets, PS_DIGEST_SIZE * (size_t)refs) < 0
               ? -1
               : 0;
}

static int
position(uint64_t h1, uint64_t h2, int level)
{
    return level < PS_H1_LEVELS ? ps_hash_bits(h1, PS_H1_BITS, level)
                                : ps_hash_bits(h2, PS_H2_BITS, level - PS_H1_LEVELS);
}

/* The node of the deepest level becomes a child of the one above it, which the hashes lead to. */
static int
close_node(ps_builder *b, uint64_t h1, uint64_t h2, place *at)
{
    ps_writer *w = &b->writer;
    int level = b->top;
    ps_open_node *n = b->open[level];
    n->t.ends = n->ends;
    n->t.count += n->t.n_entries;
    w->scratch.len = 0;
    if (n->t.n_children) {
        ps_image_flush(w, n->mark, n->arena_mark);
    }
    bool collision = level == PS_MAX_LEVEL;
    if (ps_buf_add(&w->scratch, n->payload.data, n->payload.len) < 0 ||
        ps_image_add_node(w, b->kind + 1, level, collision ? n->t.n_entries : n->datamap,
                          collision ? UINT32_MAX : n->nodemap, &n->t, 0, n->targets.len > 0,
                          n->targets.data, NULL, at) < 0) {
        return -1;
    }
    b->top--;
    if (level > 0) {
        ps_open_node *up = b->open[level - 1];
        up->nodemap |= 1u << position(h1, h2, level - 1);
        up->t.children[up->t.n_children++] = *at;
        up->t.count += n->t.count;
    }
    return 0;
}

/* An entry that shares `behind` levels with the next one. */
static int
put(ps_builder *b, const ps_member *m, int behind)
{
    const ps_buf *last = m->last.len ? &m->last : &m->first;
    ps_entry_head k = head_of(&m->first), v = head_of(last);
    int level = b->common > behind ? b->common : behind;
    if (b->top < 0 && open_node(b, 0) < 0) {
        return -1;
    }
    while (b->top < level) {
        if (open_node(b, b->top + 1) < 0) {
            return -1;
        }
    }
    ps_open_node *n = b->open[level];
    const uint8_t *key = messages_of(&m->first), *value = messages_of(last) + v.key_size;
    if (ps_image_grow((void **)&n->ends, &n->ends_cap, n->t.n_entries, sizeof *n->ends) < 0 ||
        put_messages(n, key, k.key_size, key + k.key_size + k.value_size, k.key_refs) < 0 ||
        put_messages(n, value, v.value_size,
                     value + v.value_size + PS_DIGEST_SIZE * (size_t)v.key_refs,
                     v.value_refs) < 0) {
        return -1;
    }
    if (level < PS_MAX_LEVEL) {
        n->datamap |= 1u << position(k.hash, m->h2, level);
    }
    n->ends[n->t.n_entries++] = n->payload.len;
    b->count++;
    b->common = behind;
    while (b->top > behind) {
        place at;
        if (close_node(b, k.hash, m->h2, &at) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Levels that two hashes of `bits` bits share. */
static int
shared(uint64_t a, uint64_t b, int bits)
{
    uint64_t differ = a ^ b;
    return differ ? __builtin_clzll(differ) / PS_BITS : (bits + PS_BITS - 1) / PS_BITS;
}

/* ---- the whole */

int
ps_builder_grow_trie(ps_builder *b, Py_ssize_t n)
{
    ps_sorter *s = &b->sorter;
    const uint8_t *entry;
    while (n > 0) {
        int more = ps_sorter_peek(s, &entry);
        if (more <= 0) {
            return more;
        }
        uint64_t hash = ps_load64(entry);
        b->n_members = b->gathered = 0;
        do {
            if (gather(b, entry) < 0 || ps_sorter_pop(s) < 0 ||
                (more = ps_sorter_peek(s, &entry)) < 0) {
                return -1;
            }
            n--;
        } while (more && ps_load64(entry) == hash);
        if (b->n_members > 1 && resolve(b) < 0) {
            return -1;
        }
        int behind = more ? shared(hash, ps_load64(entry), PS_H1_BITS) : 0;
        for (size_t i = 0; i < b->n_members; i++) {
            const ps_member *m = &b->members[i];
            bool last = i + 1 == b->n_members;
            int levels = last ? behind : PS_H1_LEVELS + shared(m->h2, m[1].h2, PS_H2_BITS);
            if (put(b, m, levels) < 0) {
                return -1;
            }
        }
        if (ps_builder_drain(b, false) < 0) {
            return -1;
        }
    }
    return 1;
}

int
ps_builder_close_trie(ps_builder *b, place *root)
{
    *root = 0;
    while (b->top >= 0) {
        if (close_node(b, 0, 0, root) < 0) {
            return -1;
        }
    }
    ps_image_flush(&b->writer, 0, 0);
    return 0;
}

size_t
ps_builder_trie_orphans(const ps_builder *b, place out[PS_BUILDER_ORPHANS])
{
    size_t n = 0;
    for (int level = 0; level <= b->top; level++) {
        const parts *t = &b->open[level]->t;
        memcpy(out + n, t->children, t->n_children * sizeof *out);
        n += t->n_children;
    }
    return n;
}

void
ps_builder_clear_trie(ps_builder *b)
{
    for (int level = 0; level <= PS_MAX_LEVEL; level++) {
        ps_open_node *n = b->open[level];
        if (n != NULL) {
            ps_buf_clear(&n->payload);
            ps_buf_clear(&n->targets);
            PyMem_RawFree(n->ends);
            PyMem_RawFree(n);
            b->open[level] = NULL;
        }
    }
    b->top = -1;
    for (size_t i = 0; i < b->members_cap; i++) {
        ps_buf_clear(&b->members[i].first);
        ps_buf_clear(&b->members[i].last);
        Py_CLEAR(b->members[i].key);
    }
    PyMem_RawFree(b->members);
    b->members = NULL;
    b->n_members = b->members_cap = 0;
}
