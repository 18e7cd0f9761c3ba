/* rrb_diff.c -- what leads from one sequence to another: ranges that were replaced.
 *
 *     a  [ = = = = | 4 5 | = = = = = = | 9 | = = = ]
 *     b  [ = = = = | x   | = = = = = = | y | = = = ]      edits (4:6 -> 4:5), (12:13 -> 11:12)
 *
 * 1. What both begin with and end with is left out; shared subtrees are passed in one step.
 * 2. If what is left is of one length, it is compared place by place: the edits are the runs
 *    that differ. Shared subtrees are passed in one step here, too.
 * 3. Else leaves that both have are anchors: an edit that changes the length moves what is
 *    behind it, but keeps its leaves. Each part between two anchors is treated alike, from
 *    1 on; without an anchor it is aligned element by element when it is short, else one edit.
 *
 * Any result is right: replacing the ranges gives b. It need not be the shortest one.
 *
 * Cost: O(k log n) for k elements set, or for one range replaced; O(n / 32) when the length was
 * changed at several places. */
#include "rrb_part.h"

typedef struct {
    ps_state *st;
    const ps_rrb *a, *b;
    ps_rrb_pair pair;
    ps_rrb_visit_edit visit;
    void *arg;
    bool pending; /* an edit that may go on where the next one begins */
    Py_ssize_t a_lo, a_hi, b_lo, b_hi;
} job;

/* 1 / 0 / -1: the elements are the same object, or equal and of one type. */
static int
same(job *j, Py_ssize_t ia, Py_ssize_t ib)
{
    PyObject *x = ps_rrb_get(j->st, j->a, ia);
    PyObject *y = x == NULL ? NULL : ps_rrb_get(j->st, j->b, ib);
    int rc = y == NULL ? -1 : x == y ? 1 : Py_TYPE(x) != Py_TYPE(y) ? 0 : ps_object_eq(x, y);
    Py_XDECREF(x);
    Py_XDECREF(y);
    return rc;
}

static int
flush(job *j)
{
    if (!j->pending) {
        return 0;
    }
    j->pending = false;
    return j->visit(j->arg, j->a_lo, j->a_hi, j->b_lo, j->b_hi);
}

/* An edit, joined with the one before when they touch. */
static int
edit(job *j, Py_ssize_t a_lo, Py_ssize_t a_hi, Py_ssize_t b_lo, Py_ssize_t b_hi)
{
    if (j->pending && j->a_hi == a_lo && j->b_hi == b_lo) {
        j->a_hi = a_hi;
        j->b_hi = b_hi;
        return 0;
    }
    int rc = flush(j);
    j->pending = rc == 0;
    j->a_lo = a_lo;
    j->a_hi = a_hi;
    j->b_lo = b_lo;
    j->b_hi = b_hi;
    return rc;
}

/* Move both begins on as long as the elements are the same. 0, or -1. */
static int
skip_front(job *j, Py_ssize_t *ia, Py_ssize_t a_hi, Py_ssize_t *ib, Py_ssize_t b_hi)
{
    while (*ia < a_hi && *ib < b_hi) {
        Py_ssize_t before, step = 1, most = a_hi - *ia < b_hi - *ib ? a_hi - *ia : b_hi - *ib;
        int rc = ps_rrb_shared_at(&j->pair, *ia, *ib, &before, &step);
        if (rc == 0) {
            rc = same(j, *ia, *ib);
        }
        if (rc <= 0) {
            return rc;
        }
        step = step < most ? step : most;
        *ia += step;
        *ib += step;
    }
    return 0;
}

/* The same from the ends. */
static int
skip_back(job *j, Py_ssize_t a_lo, Py_ssize_t *ia, Py_ssize_t b_lo, Py_ssize_t *ib)
{
    while (*ia > a_lo && *ib > b_lo) {
        Py_ssize_t before = 0, behind, most = *ia - a_lo < *ib - b_lo ? *ia - a_lo : *ib - b_lo;
        int rc = ps_rrb_shared_at(&j->pair, *ia - 1, *ib - 1, &before, &behind);
        if (rc == 0) {
            rc = same(j, *ia - 1, *ib - 1);
        }
        if (rc <= 0) {
            return rc;
        }
        Py_ssize_t step = before + 1 < most ? before + 1 : most;
        *ia -= step;
        *ib -= step;
    }
    return 0;
}

/* Two ranges of one length, place by place. */
static int
by_place(job *j, Py_ssize_t ia, Py_ssize_t a_hi, Py_ssize_t ib)
{
    int rc = 0;
    while (rc == 0 && ia < a_hi) {
        Py_ssize_t before, step = 0;
        int shared = ps_rrb_shared_at(&j->pair, ia, ib, &before, &step);
        if (shared) {
            rc = shared < 0 ? -1 : 0;
            ia += step;
            ib += step;
            continue;
        }
        int equal = same(j, ia, ib);
        rc = equal < 0 ? -1 : equal ? 0 : edit(j, ia, ia + 1, ib, ib + 1);
        ia++;
        ib++;
    }
    return rc;
}

/* Longest common subsequence of two short ranges: what is not in it is edited. Compares each
 * element with each, ALIGN_MOST times at most: about 50 us. */
#define ALIGN_MOST 4096

static int
align(job *j, Py_ssize_t a_lo, Py_ssize_t a_hi, Py_ssize_t b_lo, Py_ssize_t b_hi)
{
    Py_ssize_t na = a_hi - a_lo, nb = b_hi - b_lo, row = nb + 1;
    size_t cells = (size_t)(na + 1) * (size_t)row;
    uint16_t *longest = PyMem_Calloc(cells, sizeof *longest); /* of a[x:], b[y:] */
    char *equal = PyMem_Calloc(cells, 1);
    int rc = 0;
    if (longest == NULL || equal == NULL) {
        PyErr_NoMemory();
        rc = -1;
    }
    for (Py_ssize_t x = na - 1; x >= 0 && rc == 0; x--) {
        for (Py_ssize_t y = nb - 1; y >= 0 && rc == 0; y--) {
            int is = same(j, a_lo + x, b_lo + y);
            uint16_t right = longest[x * row + y + 1], down = longest[(x + 1) * row + y];
            uint16_t both = longest[(x + 1) * row + y + 1];
            equal[x * row + y] = is > 0;
            longest[x * row + y] = is > 0 ? (uint16_t)(both + 1) : right > down ? right : down;
            rc = is < 0 ? -1 : 0;
        }
    }
    for (Py_ssize_t x = 0, y = 0; rc == 0 && (x < na || y < nb);) {
        bool both = x < na && y < nb;
        if (both && equal[x * row + y]) {
            x++;
            y++;
            continue;
        }
        bool out = y == nb || (both && longest[(x + 1) * row + y] >= longest[x * row + y + 1]);
        rc = edit(j, a_lo + x, a_lo + x + out, b_lo + y, b_lo + y + !out);
        x += out;
        y += !out;
    }
    PyMem_Free(longest);
    PyMem_Free(equal);
    return rc;
}

/* One part without anchors: what is left after both ends is an edit. */
static int
between(job *j, Py_ssize_t a_lo, Py_ssize_t a_hi, Py_ssize_t b_lo, Py_ssize_t b_hi)
{
    if (skip_front(j, &a_lo, a_hi, &b_lo, b_hi) < 0 ||
        skip_back(j, a_lo, &a_hi, b_lo, &b_hi) < 0) {
        return -1;
    }
    if (a_hi - a_lo == b_hi - b_lo) {
        return by_place(j, a_lo, a_hi, b_lo);
    }
    Py_ssize_t na = a_hi - a_lo, nb = b_hi - b_lo;
    if (na > 0 && nb > 0 && na <= ALIGN_MOST && nb <= ALIGN_MOST / na) {
        return align(j, a_lo, a_hi, b_lo, b_hi);
    }
    return edit(j, a_lo, a_hi, b_lo, b_hi);
}

/* What a leaf is told by: where it was saved, or its address. A leaf that was read from a pack
 * goes when the next one is read, and its address is that one's then. */
static PyObject *
identity(const ps_node *leaf)
{
    ps_slot saved = ps_node_saved(leaf);
    return PyLong_FromUnsignedLongLong(saved ? saved : (uint64_t)(uintptr_t)leaf);
}

/* The leaves of a that lie in a range: dict of identity -> index of the first element. */
static PyObject *
leaves_of(job *j, Py_ssize_t lo, Py_ssize_t hi)
{
    PyObject *found = PyDict_New();
    for (Py_ssize_t i = lo; found != NULL && i < hi;) {
        Py_ssize_t start;
        ps_node *leaf = ps_rrb_leaf(j->st, j->a, i, &start);
        if (leaf == NULL) {
            Py_CLEAR(found);
            break;
        }
        Py_ssize_t end = start + (Py_ssize_t)leaf->datamap;
        if (start >= lo && end <= hi) {
            PyObject *key = identity(leaf), *value = PyLong_FromSsize_t(start);
            if (key == NULL || value == NULL || PyDict_SetItem(found, key, value) < 0) {
                Py_CLEAR(found);
            }
            Py_XDECREF(key);
            Py_XDECREF(value);
        }
        Py_DECREF(leaf);
        i = end;
    }
    return found;
}

/* Two ranges of different lengths: leaves that both have, in the order of both, divide them. */
static int
by_anchors(job *j, Py_ssize_t a_lo, Py_ssize_t a_hi, Py_ssize_t b_lo, Py_ssize_t b_hi)
{
    if (a_hi - a_lo < PS_RRB_HALF || b_hi - b_lo < PS_RRB_HALF) {
        return between(j, a_lo, a_hi, b_lo, b_hi);
    }
    PyObject *places = leaves_of(j, a_lo, a_hi);
    int rc = places == NULL ? -1 : 0;
    for (Py_ssize_t i = b_lo; rc == 0 && i < b_hi;) {
        Py_ssize_t start, place = -1;
        ps_node *leaf = ps_rrb_leaf(j->st, j->b, i, &start);
        if (leaf == NULL) {
            rc = -1;
            break;
        }
        Py_ssize_t size = (Py_ssize_t)leaf->datamap;
        PyObject *key = identity(leaf);
        PyObject *value = key == NULL ? NULL : PyDict_GetItemWithError(places, key);
        if (value != NULL && start >= b_lo && start + size <= b_hi) {
            place = PyLong_AsSsize_t(value);
        }
        Py_XDECREF(key);
        Py_DECREF(leaf);
        if (key == NULL || PyErr_Occurred()) {
            rc = -1;
        }
        else if (place >= a_lo) {
            rc = between(j, a_lo, place, b_lo, start);
            a_lo = place + size;
            b_lo = start + size;
        }
        i = start + size;
    }
    Py_XDECREF(places);
    return rc != 0 ? rc : between(j, a_lo, a_hi, b_lo, b_hi);
}

static int
diff(job *j)
{
    Py_ssize_t a_lo = 0, a_hi = j->a->count, b_lo = 0, b_hi = j->b->count;
    if (skip_front(j, &a_lo, a_hi, &b_lo, b_hi) < 0 ||
        skip_back(j, a_lo, &a_hi, b_lo, &b_hi) < 0) {
        return -1;
    }
    if (a_lo == a_hi && b_lo == b_hi) {
        return 0;
    }
    int rc = a_hi - a_lo == b_hi - b_lo ? by_place(j, a_lo, a_hi, b_lo)
                                        : by_anchors(j, a_lo, a_hi, b_lo, b_hi);
    return rc != 0 ? rc : flush(j);
}

int
ps_rrb_diff(ps_state *st, const ps_rrb *a, const ps_rrb *b, ps_rrb_visit_edit visit, void *arg)
{
    if (ps_rrb_same(a, b)) {
        return 0;
    }
    ps_rrb x = ps_rrb_share(st, a), y = ps_rrb_share(st, b);
    job j = {.st = st, .a = &x, .b = &y, .pair = {st, &x, &y, NULL}, .visit = visit, .arg = arg};
    int rc = diff(&j);
    ps_rrb_pair_clear(&j.pair);
    ps_rrb_drop(st, x);
    ps_rrb_drop(st, y);
    return rc;
}
