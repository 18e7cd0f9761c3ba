/* champ_find.c -- hashing a key level by level, and looking it up.
 *
 *     hash   11010 00111 00010 ...          top bits first
 *            level 0    1     2
 *
 *     root   datamap ..1.....   nodemap ....1...
 *                      |                    |
 *                   key value             child (level 1)
 *
 * At each level five bits of the hash select a position. A set nodemap bit goes
 * down, a set datamap bit names the only entry that the key could equal, and no
 * bit means that the key is absent. The child is tested first: in a large map
 * most steps go down. After 13 levels the bits of H1 are used up and H2 goes on;
 * below both comes a collision node, searched from end to end.
 */
#include "champ.h"
#include "hash.h"

int
ps_hashed_init(ps_state *st, ps_hashed *h, PyObject *key)
{
    h->key = key;
    h->packed = 0;
    h->has_h2 = false;
    return ps_hash1(st, key, &h->h1);
}

int
ps_hashed_init_slot(ps_state *st, ps_hashed *h, ps_slot key)
{
    if (!ps_slot_is_packed(key)) {
        return ps_hashed_init(st, h, ps_slot_obj(key));
    }
    h->key = NULL;
    h->packed = key;
    h->has_h2 = false;
    PyObject *decoded = ps_slot_get(st, key);
    if (decoded == NULL) {
        return -1;
    }
    int r = ps_hash1(st, decoded, &h->h1);
    Py_DECREF(decoded);
    return r;
}

int
ps_hashed_index_h2(ps_state *st, ps_hashed *h, int level)
{
    if (!h->has_h2) {
        int r;
        if (h->key != NULL) {
            Py_INCREF(h->key);
            r = ps_hash2(st, h->key, &h->h2);
            Py_DECREF(h->key);
        }
        else {
            PyObject *decoded = ps_slot_get(st, h->packed);
            if (decoded == NULL) {
                return -1;
            }
            r = ps_hash2(st, decoded, &h->h2);
            Py_DECREF(decoded);
        }
        if (r < 0) {
            return -1;
        }
        h->has_h2 = true;
    }
    return ps_hash_bits(h->h2, PS_H2_BITS, level - PS_H1_LEVELS);
}

/* 1 / 0 / -1: the key in slot equals the hashed key. */
static int
hashed_eq(ps_state *st, ps_slot slot, const ps_hashed *h)
{
    if (h->key != NULL) {
        return ps_slot_key_eq(st, slot, h->key);
    }
    if (slot == h->packed) {
        return 1;
    }
    PyObject *key = ps_slot_get(st, h->packed);
    if (key == NULL) {
        return -1;
    }
    int r = ps_slot_key_eq(st, slot, key);
    Py_DECREF(key);
    return r;
}

static ps_found
find_in_collision(ps_state *st, const ps_node *n, int width, ps_hashed *h, ps_slot *key,
                  ps_slot *value)
{
    for (uint32_t i = 0; i < n->datamap; i++) {
        const ps_slot *e = n->slots + i * (uint32_t)width;
        int eq = hashed_eq(st, e[0], h);
        if (eq) {
            *key = e[0];
            *value = width == 2 ? e[1] : 0;
            return eq < 0 ? PS_ERROR : PS_FOUND;
        }
    }
    return PS_NOT_FOUND;
}

ps_found
ps_champ_find_entry(ps_state *st, ps_slot root, int width, int level, ps_hashed *h, ps_slot *key,
                    ps_slot *value)
{
    ps_slot s = root;
    for (; s; level++) {
        if (ps_slot_is_packed(s)) {
            if (h->key != NULL) {
                return st->pack_ops->find(st, s, width, level, h->h1, h->key, key, value);
            }
            PyObject *k = ps_slot_get(st, h->packed);
            if (k == NULL) {
                return PS_ERROR;
            }
            ps_found r = st->pack_ops->find(st, s, width, level, h->h1, k, key, value);
            Py_DECREF(k);
            return r;
        }
        const ps_node *n = ps_slot_node(s);
        if (level == PS_MAX_LEVEL) {
            return find_in_collision(st, n, width, h, key, value);
        }
        int index = ps_hashed_index(st, h, level);
        if (index < 0) {
            return PS_ERROR;
        }
        uint32_t bitpos = 1u << index;
        if (n->nodemap & bitpos) {
            s = n->slots[ps_popcount(n->datamap) * width + ps_index(n->nodemap, bitpos)];
            continue;
        }
        if (!(n->datamap & bitpos)) {
            return PS_NOT_FOUND;
        }
        const ps_slot *e = n->slots + ps_index(n->datamap, bitpos) * width;
        int eq = hashed_eq(st, e[0], h);
        *key = e[0];
        *value = width == 2 ? e[1] : 0;
        return eq < 0 ? PS_ERROR : eq ? PS_FOUND : PS_NOT_FOUND;
    }
    return PS_NOT_FOUND;
}

bool
ps_champ_same_str(ps_slot s, PyObject *key)
{
    return !ps_slot_is_packed(s) && PyUnicode_CheckExact(key) &&
           PyUnicode_CheckExact(ps_slot_obj(s)) && ps_unicode_eq(ps_slot_obj(s), key);
}

/* ---- going on where ps_champ_probe stopped */

ps_found
ps_champ_find_from(ps_state *st, const ps_probe *p, int width, PyObject *key, ps_slot *found_key,
                   ps_slot *found_value)
{
    ps_hashed h = {.key = key, .h1 = p->h1};
    if (p->level < 0 && ps_hash1(st, key, &h.h1) < 0) {
        return PS_ERROR;
    }
    return ps_champ_find_entry(st, p->at, width, p->level < 0 ? 0 : p->level, &h, found_key,
                               found_value);
}

ps_found
ps_champ_get_from(ps_state *st, const ps_probe *p, PyObject *key, PyObject **value)
{
    ps_slot found_key, found_value;
    ps_found r = ps_champ_find_from(st, p, 2, key, &found_key, &found_value);
    if (r == PS_FOUND) {
        *value = ps_slot_get(st, found_value);
        return *value == NULL ? PS_ERROR : PS_FOUND;
    }
    return r;
}

ps_found
ps_champ_contains_from(ps_state *st, const ps_probe *p, int width, PyObject *key)
{
    ps_slot found_key, found_value;
    return ps_champ_find_from(st, p, width, key, &found_key, &found_value);
}
