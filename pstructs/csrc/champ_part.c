/* champ_part.c -- making nodes from parts, and one entry met with a subtree.
 *
 *     position    0      3        7          9
 *     part        entry  nothing  child      a result of one entry
 *
 *     node        [ e0  e9 | c7 ]            ends inline: canonical
 *
 * Parts are collected in a draft, which holds everything that a node needs. User
 * code runs only before ps_draft_finish: a node is allocated, filled and tracked
 * in one go.
 *
 * ps_part_edit is the case "one side has an entry where the other has a child":
 * the entry's key is hashed and goes down alone. One path is copied.
 */
#include "champ_part.h"

void
ps_part_clear(ps_state *st, ps_part *p)
{
    ps_slot_xdecref(st, p->key);
    ps_slot_xdecref(st, p->value);
    *p = (ps_part){.kind = PS_PART_NONE};
}

void
ps_draft_clear(ps_state *st, ps_draft *d)
{
    for (uint32_t bits = d->owned_entries; bits; bits &= bits - 1) {
        int i = ps_ctz(bits);
        ps_slot_decref(st, d->entries[2 * i]);
        ps_slot_xdecref(st, d->entries[2 * i + 1]);
    }
    for (uint32_t bits = d->owned_children; bits; bits &= bits - 1) {
        ps_slot_decref(st, d->children[ps_ctz(bits)]);
    }
    ps_draft_init(d);
}

/* Whether any entry (2 n slots) or child needs a GC node around it. */
static bool
any_needs_gc(ps_state *st, const ps_slot *entries, Py_ssize_t n, const ps_slot *children,
             int n_children)
{
    for (int i = 0; i < n_children; i++) {
        if (!ps_slot_is_packed(children[i]) && ps_node_is_gc(st, ps_slot_node(children[i]))) {
            return true;
        }
    }
    for (Py_ssize_t i = 0; i < 2 * n; i++) {
        if (entries[i] && ps_slot_needs_gc(st, entries[i])) {
            return true;
        }
    }
    return false;
}

/* A full node: takes new references to entries and children, except those that
 * are marked as owned, which it steals. NULL on error: nothing was taken. */
static ps_node *
make_node(ps_state *st, int width, bool gc, uint32_t datamap, uint32_t nodemap,
          const ps_slot *entries, Py_ssize_t n, uint32_t owned_entries, const ps_slot *children,
          int n_children, uint32_t owned_children)
{
    ps_node *node = ps_node_new(st, gc, width, datamap, nodemap, n * width + n_children);
    if (node == NULL) {
        return NULL;
    }
    ps_slot *dst = node->slots;
    ps_slot seen = 0; /* bit 0: some slot is packed */
    for (Py_ssize_t i = 0; i < n; i++) {
        ps_slot key = entries[2 * i], value = entries[2 * i + 1];
        bool owned = owned_entries && (owned_entries >> i & 1);
        seen |= *dst++ = key;
        if (width == 2) {
            seen |= *dst++ = value;
        }
        if (!owned) {
            ps_slot_incref(st, key);
            if (width == 2) {
                ps_slot_incref(st, value);
            }
        }
    }
    for (int i = 0; i < n_children; i++) {
        seen |= *dst++ = children[i];
        if (!(owned_children >> i & 1)) {
            ps_slot_incref(st, children[i]);
        }
    }
    if (seen & 1) {
        node->meta |= PS_META_PACKED;
    }
    ps_node_track(st, node);
    return node;
}

static void
part_entry(ps_state *st, ps_slot key, ps_slot value, ps_part *out)
{
    out->kind = PS_PART_ENTRY;
    out->key = ps_slot_incref(st, key);
    out->value = value ? ps_slot_incref(st, value) : 0;
}

static int
part_node(ps_node *node, ps_part *out)
{
    if (node == NULL) {
        return -1;
    }
    *out = (ps_part){.kind = PS_PART_NODE, .key = ps_slot_heap(node)};
    return 0;
}

int
ps_draft_finish(ps_state *st, ps_draft *d, int width, bool plain, ps_part *out)
{
    *out = (ps_part){.kind = PS_PART_NONE};
    if (d->n_children == 0 && d->n_entries <= 1) {
        if (d->n_entries == 1) {
            part_entry(st, d->entries[0], d->entries[1], out);
        }
        ps_draft_clear(st, d);
        return 0;
    }
    bool gc = !plain && any_needs_gc(st, d->entries, d->n_entries, d->children, d->n_children);
    ps_node *node = make_node(st, width, gc, d->datamap, d->nodemap, d->entries, d->n_entries,
                              d->owned_entries, d->children, d->n_children, d->owned_children);
    if (node == NULL) {
        ps_draft_clear(st, d);
        return -1;
    }
    ps_draft_init(d);
    return part_node(node, out);
}

int
ps_part_collision(ps_state *st, int width, const ps_slot *entries, Py_ssize_t n, ps_part *out)
{
    *out = (ps_part){.kind = PS_PART_NONE};
    if (n == 0) {
        return 0;
    }
    if (n == 1) {
        part_entry(st, entries[0], entries[1], out);
        return 0;
    }
    bool gc = any_needs_gc(st, entries, n, NULL, 0);
    return part_node(make_node(st, width, gc, (uint32_t)n, UINT32_MAX, entries, n, 0, NULL, 0, 0),
                     out);
}

int
ps_part_to_root(ps_state *st, int width, ps_part *p, ps_slot *root)
{
    *root = p->key;
    if (p->kind != PS_PART_ENTRY) {
        return 0;
    }
    ps_hashed h;
    ps_node *node = NULL;
    *root = 0;
    if (ps_hashed_init_slot(st, &h, p->key) == 0) {
        int index = ps_hashed_index(st, &h, 0);
        if (index >= 0) {
            ps_slot entry[2] = {p->key, p->value};
            node = make_node(st, width, any_needs_gc(st, entry, 1, NULL, 0), 1u << index, 0, entry,
                             1, 0, NULL, 0, 0);
        }
    }
    ps_part_clear(st, p);
    if (node == NULL) {
        return -1;
    }
    *root = ps_slot_heap(node);
    return 0;
}

/* ---- one entry met with a subtree */

/* What an edit makes of an entry with an equal key. 1: *key and *value changed,
 * 0: nothing changes, -1: the entry goes away. */
static int
edit_entry(ps_edit edit, ps_slot *key, ps_slot *value, ps_slot new_key, ps_slot new_value)
{
    ps_slot *slot = edit == PS_EDIT_PUT ? value : key;
    ps_slot wanted = edit == PS_EDIT_PUT ? new_value : new_key;
    if (edit == PS_EDIT_DROP || edit == PS_EDIT_FLIP) {
        return -1;
    }
    if (*slot == wanted) {
        return 0;
    }
    *slot = wanted;
    return 1;
}

static ps_found
edit_collision(ps_state *st, int width, ps_node *node, ps_slot sub, ps_slot key, ps_slot value,
               ps_edit edit, ps_part *out)
{
    ps_found found = PS_ERROR;
    Py_ssize_t n = ps_node_entries(node), at = -1, kept = 0;
    ps_slot *entries = PyMem_Malloc((size_t)(n + 1) * 2 * sizeof *entries);
    if (entries == NULL) {
        PyErr_NoMemory();
        return PS_ERROR;
    }
    for (Py_ssize_t i = 0; i < n && at < 0; i++) {
        int eq = ps_slots_key_eq(st, node->slots[i * width], key);
        if (eq < 0) {
            goto done;
        }
        at = eq ? i : -1;
    }
    bool changed = at < 0 && edit != PS_EDIT_DROP;
    for (Py_ssize_t i = 0; i < n; i++) {
        ps_slot *e = &entries[2 * kept++];
        e[0] = node->slots[i * width];
        e[1] = width == 2 ? node->slots[i * width + 1] : 0;
        if (i == at) {
            int now = edit_entry(edit, &e[0], &e[1], key, value);
            changed = now != 0;
            kept -= now < 0;
        }
    }
    if (at < 0) {
        entries[2 * kept] = key;
        entries[2 * kept + 1] = value;
        kept += changed;
    }
    if (!changed) {
        *out = (ps_part){.kind = PS_PART_NODE, .key = ps_slot_incref(st, sub)};
    }
    else if (ps_part_collision(st, width, entries, kept, out) < 0) {
        goto done;
    }
    found = at >= 0 ? PS_FOUND : PS_NOT_FOUND;
done:
    PyMem_Free(entries);
    return found;
}

/* A copy of node with p (consumed, also on error) at bitpos. 0 / -1. */
static int
replace_part(ps_state *st, int width, const ps_node *node, uint32_t bitpos, ps_part *p,
             ps_part *out)
{
    ps_draft d;
    ps_draft_init(&d);
    bool plain = !ps_node_is_gc(st, node);
    if (p->kind == PS_PART_NODE) {
        plain = plain && (ps_slot_is_packed(p->key) || !ps_node_is_gc(st, ps_slot_node(p->key)));
    }
    else if (p->kind == PS_PART_ENTRY) {
        plain = plain && !ps_slot_needs_gc(st, p->key) &&
                (p->value == 0 || !ps_slot_needs_gc(st, p->value));
    }
    const ps_slot *entry = node->slots;
    const ps_slot *child = node->slots + ps_node_entries(node) * width;
    for (uint32_t all = node->datamap | node->nodemap | bitpos; all; all &= all - 1) {
        uint32_t bit = all & -all;
        if (bit == bitpos) {
            ps_draft_part(&d, bit, p);
            entry += node->datamap & bit ? width : 0;
            child += node->nodemap & bit ? 1 : 0;
        }
        else if (node->datamap & bit) {
            ps_draft_entry(&d, bit, entry[0], width == 2 ? entry[1] : 0);
            entry += width;
        }
        else {
            ps_draft_child(&d, bit, *child++);
        }
    }
    return ps_draft_finish(st, &d, width, plain, out);
}

ps_found
ps_part_edit(ps_state *st, int width, int level, ps_slot sub, ps_hashed *h, ps_slot key,
             ps_slot value, ps_edit edit, ps_part *out)
{
    ps_part part = {.kind = PS_PART_NONE};
    ps_found found = PS_ERROR;
    bool changed = true;
    *out = part;
    ps_node *node = ps_child_open(st, sub, width, level);
    if (node == NULL) {
        return PS_ERROR;
    }
    if (level == PS_MAX_LEVEL) {
        found = edit_collision(st, width, node, sub, key, value, edit, out);
        ps_child_close(sub, node);
        return found;
    }
    int index = ps_hashed_index(st, h, level);
    if (index < 0) {
        goto done;
    }
    uint32_t bitpos = 1u << index;
    if (node->nodemap & bitpos) {
        ps_slot child =
            node->slots[ps_node_entries(node) * width + ps_index(node->nodemap, bitpos)];
        found = ps_part_edit(st, width, level + 1, child, h, key, value, edit, &part);
        changed = part.kind != PS_PART_NODE || part.key != child;
    }
    else if (node->datamap & bitpos) {
        const ps_slot *e = &node->slots[ps_index(node->datamap, bitpos) * width];
        ps_slot k = e[0], v = width == 2 ? e[1] : 0;
        int eq = ps_slots_key_eq(st, k, key);
        if (eq < 0) {
            goto done;
        }
        if (eq) {
            int now = edit_entry(edit, &k, &v, key, value);
            changed = now != 0;
            if (now > 0) {
                part_entry(st, k, v, &part);
            }
            found = PS_FOUND;
        }
        else if (edit == PS_EDIT_DROP) {
            changed = false;
            found = PS_NOT_FOUND;
        }
        else {
            ps_slot mine[2] = {key, value};
            ps_hashed other;
            if (ps_hashed_init_slot(st, &other, k) < 0 ||
                part_node(ps_champ_pair(st, width, level + 1, e, &other, mine, h), &part) < 0) {
                goto done;
            }
            found = PS_NOT_FOUND;
        }
    }
    else {
        found = PS_NOT_FOUND;
        changed = edit != PS_EDIT_DROP;
        if (changed) {
            part_entry(st, key, value, &part);
        }
    }
    if (found == PS_ERROR) {
        goto done;
    }
    if (!changed) {
        *out = (ps_part){.kind = PS_PART_NODE, .key = ps_slot_incref(st, sub)};
        goto done;
    }
    if (replace_part(st, width, node, bitpos, &part, out) < 0) {
        found = PS_ERROR;
    }
    part = (ps_part){.kind = PS_PART_NONE};
done:
    ps_part_clear(st, &part);
    ps_child_close(sub, node);
    return found;
}

ps_found
ps_tree_edit(ps_state *st, ps_tree *t, int width, ps_slot key, ps_slot value, ps_edit edit)
{
    ps_part part = {.kind = PS_PART_NONE};
    ps_found found = PS_NOT_FOUND;
    ps_slot root;
    if (t->root != 0) {
        ps_hashed h;
        if (ps_hashed_init_slot(st, &h, key) < 0) {
            return PS_ERROR;
        }
        found = ps_part_edit(st, width, 0, t->root, &h, key, value, edit, &part);
    }
    else if (edit != PS_EDIT_DROP) {
        part_entry(st, key, value, &part);
    }
    if (found == PS_ERROR || ps_part_to_root(st, width, &part, &root) < 0) {
        return PS_ERROR;
    }
    ps_slot old = t->root;
    t->root = root;
    bool joins = edit == PS_EDIT_PUT || edit == PS_EDIT_JOIN;
    t->count += found == PS_FOUND ? (joins ? 0 : -1) : edit == PS_EDIT_DROP ? 0 : 1;
    ps_slot_xdecref(st, old);
    PS_CHECK(st, *t, width);
    return found;
}
