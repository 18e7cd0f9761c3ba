/* type_hash.c -- two hashes of collections.
 *
 * hash(): Python's, equal to that of the frozenset of the elements (of the
 * (key, value) pairs for a map), so that a PSet can stand for an equal frozenset
 * in a dict. Seeded per process like hash(str).
 *
 * The stable one: H1 and H2 of the hash domain (hash.h), for collections that are
 * keys themselves, the same in every process. */
#include "collection_vector.h"
#include "sorted.h"

/* ---- hash() */

/* The dispersion that frozenset applies to each element's hash: order must not
 * count, so the results are xored, and neighbouring hashes must not cancel. */
static Py_uhash_t
shuffle_bits(Py_uhash_t h)
{
    return ((h ^ 89869747UL) ^ (h << 16)) * 3644798167UL;
}

/* hash((key, value)) as CPython's tuples have it (xxHash's scheme, two lanes). */
static Py_uhash_t
pair_hash(Py_uhash_t a, Py_uhash_t b)
{
    const Py_uhash_t p1 = 11400714785074694791UL, p2 = 14029467366897019727UL,
                     p5 = 2870177450012600261UL;
    Py_uhash_t acc = p5;
    acc += a * p2;
    acc = ((acc << 31) | (acc >> 33)) * p1;
    acc += b * p2;
    acc = ((acc << 31) | (acc >> 33)) * p1;
    acc += 2 ^ (p5 ^ 3527539UL);
    return acc == (Py_uhash_t)-1 ? 1546275796 : acc;
}

/* Say which value of which key is at fault; the first error becomes the cause. */
static void
explain_unhashable(PyObject *key, PyObject *value)
{
    if (!PyErr_ExceptionMatches(PyExc_TypeError)) {
        return;
    }
    PyObject *type, *cause, *tb;
    PyErr_Fetch(&type, &cause, &tb);
    PyErr_NormalizeException(&type, &cause, &tb);
    if (tb != NULL) {
        PyException_SetTraceback(cause, tb);
    }
    PyErr_Format(PyExc_TypeError,
                 "this map has no hash: the value of key %R is of unhashable type '%.200s'", key,
                 Py_TYPE(value)->tp_name);
    PyObject *type2, *err, *tb2;
    PyErr_Fetch(&type2, &err, &tb2);
    PyErr_NormalizeException(&type2, &err, &tb2);
    if (err != NULL && PyExceptionInstance_Check(err) && cause != NULL) {
        PyException_SetCause(err, Py_NewRef(cause));
    }
    PyErr_Restore(type2, err, tb2);
    Py_XDECREF(type);
    Py_XDECREF(cause);
    Py_XDECREF(tb);
}

/* Hash of one entry; false with an exception. */
static bool
entry_hash(ps_state *st, bool with_value, const ps_slot *entry, Py_uhash_t *out)
{
    PyObject *key = ps_slot_get(st, entry[0]), *value = NULL;
    bool ok = false;
    if (key == NULL) {
        goto done;
    }
    Py_hash_t h = PyObject_Hash(key);
    if (h == -1) {
        goto done;
    }
    if (with_value) {
        value = ps_slot_get(st, entry[1]);
        if (value == NULL) {
            goto done;
        }
        Py_hash_t hv = PyObject_Hash(value);
        if (hv == -1) {
            explain_unhashable(key, value);
            goto done;
        }
        h = (Py_hash_t)pair_hash((Py_uhash_t)h, (Py_uhash_t)hv);
    }
    *out = (Py_uhash_t)h;
    ok = true;
done:
    Py_XDECREF(key);
    Py_XDECREF(value);
    return ok;
}

static Py_hash_t
finish_hash(Py_uhash_t hash, Py_ssize_t count)
{
    hash ^= ((Py_uhash_t)count + 1) * 1927868237UL;
    hash ^= (hash >> 11) ^ (hash >> 25);
    hash = hash * 69069U + 907133923UL;
    return hash == (Py_uhash_t)-1 ? 590923713 : (Py_hash_t)hash;
}

Py_hash_t
ps_tree_hash(ps_state *st, ps_tree t, int width, bool with_values)
{
    ps_champ_iter it;
    const ps_slot *entry;
    Py_uhash_t hash = 0, one;
    if (Py_EnterRecursiveCall(" while hashing a persistent collection")) {
        return -1;
    }
    int rc = ps_champ_iter_init(st, &it, t.root, width);
    if (rc == 0) {
        while ((rc = ps_champ_iter_next(st, &it, &entry)) > 0) {
            if (!entry_hash(st, with_values, entry, &one)) {
                rc = -1;
                break;
            }
            hash ^= shuffle_bits(one);
        }
        ps_champ_iter_clear(&it);
    }
    Py_LeaveRecursiveCall();
    return rc < 0 ? -1 : finish_hash(hash, t.count);
}

Py_hash_t
ps_sorted_hash(ps_state *st, ps_btree t, bool with_values)
{
    ps_bt_iter it;
    Py_uhash_t hash = 0, one;
    int i;
    if (Py_EnterRecursiveCall(" while hashing a persistent collection")) {
        return -1;
    }
    int rc = ps_bt_iter_init(st, &it, t, 0, t.count, false);
    if (rc == 0) {
        while ((rc = ps_bt_iter_next(st, &it, &i)) > 0) {
            ps_slot entry[2] = {ps_bt_leaf_key(it.node[0], i), ps_bt_leaf_value(it.node[0], i)};
            if (!entry_hash(st, with_values, entry, &one)) {
                rc = -1;
                break;
            }
            hash ^= shuffle_bits(one);
        }
        ps_bt_iter_clear(&it);
    }
    Py_LeaveRecursiveCall();
    return rc < 0 ? -1 : finish_hash(hash, t.count);
}

/* ---- the hash domain's hooks */

/* Reads one entry after the other from a collection of any kind. */
typedef struct {
    ps_champ_iter champ;
    ps_bt_iter sorted;
    bool is_sorted;
    int width;
    Py_ssize_t count;
    ps_slot sorted_entry[2];
} entries;

static int
entries_init(ps_state *st, entries *e, PyObject *collection)
{
    e->is_sorted = ps_is_sorted(st, collection);
    if (e->is_sorted) {
        ps_btree t = ps_sorted_tree(collection);
        e->width = 1 + (t.shape & PS_BT_MAP);
        e->count = t.count;
        return ps_bt_iter_init(st, &e->sorted, t, 0, t.count, false);
    }
    ps_tree t = ps_tree_of(collection);
    e->width = ps_is_map(st, collection) ? 2 : 1;
    e->count = t.count;
    return ps_champ_iter_init(st, &e->champ, t.root, e->width);
}

static int
entries_next(ps_state *st, entries *e, const ps_slot **entry)
{
    if (!e->is_sorted) {
        return ps_champ_iter_next(st, &e->champ, entry);
    }
    int i, rc = ps_bt_iter_next(st, &e->sorted, &i);
    if (rc > 0) {
        e->sorted_entry[0] = ps_bt_leaf_key(e->sorted.node[0], i);
        e->sorted_entry[1] = ps_bt_leaf_value(e->sorted.node[0], i);
        *entry = e->sorted_entry;
    }
    return rc;
}

static void
entries_clear(entries *e)
{
    if (e->is_sorted) {
        ps_bt_iter_clear(&e->sorted);
    }
    else {
        ps_champ_iter_clear(&e->champ);
    }
}

int
ps_collection_stable_hash(ps_state *st, PyObject *collection, int which, int depth, uint64_t *h)
{
    if (ps_is_vector(st, collection)) {
        return ps_vector_stable_hash(st, collection, which, depth, h);
    }
    entries it;
    const ps_slot *entry;
    Py_ssize_t n = 0;
    int rc = -1;
    if (entries_init(st, &it, collection) < 0) {
        return -1;
    }
    int width = it.width;
    uint64_t *each = PyMem_Malloc((size_t)(it.count ? it.count : 1) * sizeof *each);
    if (each == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    while ((rc = entries_next(st, &it, &entry)) > 0 && n < it.count) {
        uint64_t part[2] = {0, 0};
        for (int i = 0; i < width && rc > 0; i++) {
            PyObject *o = ps_slot_get(st, entry[i]);
            if (o == NULL || ps_hash_nested(st, o, which, depth + 1, &part[i]) < 0) {
                rc = -1;
            }
            Py_XDECREF(o);
        }
        if (rc < 0) {
            break;
        }
        each[n++] = width == 2 ? ps_hash_entry(which, part[0], part[1]) : part[0];
    }
    if (rc >= 0) {
        rc = ps_hash_combine_unordered(which, width == 2 ? PS_KIND_MAP : PS_KIND_SET, each,
                                       (size_t)n, h);
    }
done:
    entries_clear(&it);
    PyMem_Free(each);
    return rc;
}

int
ps_collection_is_stable(ps_state *st, PyObject *collection, int depth)
{
    if (ps_is_vector(st, collection)) {
        return ps_vector_is_stable(st, collection, depth);
    }
    int stable = 1, rc;
    entries it;
    const ps_slot *entry;
    rc = entries_init(st, &it, collection);
    if (rc == 0) {
        while (stable > 0 && (rc = entries_next(st, &it, &entry)) > 0) {
            for (int i = 0; i < it.width && stable > 0; i++) {
                PyObject *o = ps_slot_get(st, entry[i]);
                stable = o == NULL ? -1 : ps_hash_is_stable_nested(st, o, depth + 1);
                Py_XDECREF(o);
            }
        }
        entries_clear(&it);
    }
    return rc < 0 ? -1 : stable;
}

int
ps_vector_stable_hash(ps_state *st, PyObject *vector, int which, int depth, uint64_t *h)
{
    const ps_rrb *t = ps_vector_tree(vector);
    size_t n = (size_t)t->count;
    if (n > PY_SSIZE_T_MAX / sizeof *h) {
        PyErr_NoMemory();
        return -1;
    }
    uint64_t *parts = PyMem_Malloc((n ? n : 1) * sizeof *parts);
    if (parts == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    ps_rrb_iter it;
    ps_slot slot;
    int more;
    size_t i = 0;
    ps_rrb_iter_init(st, &it, t, 0, t->count, false);
    while ((more = ps_rrb_iter_next(st, &it, &slot)) > 0) {
        PyObject *o = ps_slot_get(st, slot);
        int rc = o == NULL ? -1 : ps_hash_nested(st, o, which, depth + 1, &parts[i++]);
        Py_XDECREF(o);
        if (rc < 0) {
            more = -1;
            break;
        }
    }
    ps_rrb_iter_clear(st, &it);
    if (more == 0) {
        *h = ps_hash_leaf(which, PS_KIND_VECTOR, parts, n * sizeof *parts);
    }
    PyMem_Free(parts);
    return more;
}

int
ps_vector_is_stable(ps_state *st, PyObject *vector, int depth)
{
    const ps_rrb *t = ps_vector_tree(vector);
    ps_rrb_iter it;
    ps_slot slot;
    int more, stable = 1;
    ps_rrb_iter_init(st, &it, t, 0, t->count, false);
    while (stable > 0 && (more = ps_rrb_iter_next(st, &it, &slot)) != 0) {
        PyObject *o = more < 0 ? NULL : ps_slot_get(st, slot);
        stable = o == NULL ? -1 : ps_hash_is_stable_nested(st, o, depth + 1);
        Py_XDECREF(o);
    }
    ps_rrb_iter_clear(st, &it);
    return stable;
}
