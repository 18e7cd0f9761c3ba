/* btree_check.c -- every invariant of a tree, one sentence each.
 *
 * ps_bt_check is for tests: it looks at everything, and compares neighbouring keys, which
 * may run user code. ps_bt_check_or_abort is for PS_DEBUG builds, at the end of every
 * operation: it stops the process, runs no user code, and looks at a bounded number of
 * nodes. */
#include "btree.h"

typedef struct {
    ps_state *st;
    int shape;
    bool user_code;
    Py_ssize_t budget; /* nodes that may still be visited */
    bool partial;      /* some subtree was not entered */
    PyObject *last;    /* owned: the order key before; NULL: none, or not known */
} job;

#define CHECK(condition, sentence)                                                                \
    do {                                                                                          \
        if (!(condition)) {                                                                       \
            PyErr_Format(PyExc_AssertionError, "height %d: %s", height, sentence);                \
            goto done;                                                                            \
        }                                                                                         \
    } while (0)

/* The order key in slot s comes after all before it. */
static int
check_order(job *j, ps_slot s, int height)
{
    PyObject *key = ps_slot_get(j->st, s);
    int rc = -1, order = -1;
    if (key == NULL) {
        return -1;
    }
    if (j->last != NULL) {
        ps_bt_probe a, b;
        ps_bt_probe_init(&a, j->last);
        ps_bt_probe_init(&b, key);
        CHECK(b.kind != PS_BT_NAN, "no order key is NaN");
        if ((a.kind == b.kind && a.kind != PS_BT_ANY) || j->user_code) {
            if (ps_bt_compare(&a, &b, &order) < 0) {
                goto done;
            }
        }
        CHECK(order < 0, "order keys ascend strictly");
    }
    rc = 0;
done:
    Py_XSETREF(j->last, key);
    return rc;
}

/* Number of entries below s; -1 with an exception. *min: a new reference to the first slot of
 * the node, or 0. */
static Py_ssize_t
check(job *j, ps_slot s, int height, bool right, uint64_t expected, ps_slot *min)
{
    ps_state *st = j->st;
    Py_ssize_t below = 0, count = -1;
    ps_slot child_min = 0;
    *min = 0;
    ps_node *n = ps_bt_open(st, s, j->shape, height, expected);
    if (n == NULL) {
        return -1;
    }
    int size = ps_bt_size(n), max = height ? PS_BT_INNER : PS_BT_LEAF;
    bool plain = !ps_node_is_gc(st, n), packed = false;
    bool tracked = !plain && PyObject_GC_IsTracked((PyObject *)n);
    ps_bt_kind kind = ps_bt_node_kind(n);
    CHECK(n->meta & PS_META_ARRAY, "a node of the tree is an array node");
    CHECK(ps_bt_height(n) == height, "all leaves are at the same depth");
    CHECK(ps_bt_node_shape(n) == j->shape, "all nodes have the shape of the tree");
    CHECK(size >= 1 && size <= max, "a node holds at least one item and no more than fit");
    CHECK(right || size >= max / 2, "off the right spine a node is at least half full");
    CHECK((int)n->datamap == (height ? size + 1 : size * ps_bt_width(j->shape)),
          "the number of slots belongs to the number of items");
    for (uint32_t i = 0; i < n->datamap; i++) {
        ps_slot slot = n->slots[i];
        CHECK(slot != 0, "no slot is empty");
        packed = packed || ps_slot_is_packed(slot);
        if (!ps_slot_is_packed(slot) && (height == 0 || i == 0)) {
            CHECK(!plain || !ps_needs_gc(st, ps_slot_obj(slot)), "a plain node holds atoms only");
        }
    }
    CHECK(!packed || (n->meta & PS_META_PACKED), "a node with packed slots is marked");
    if (--j->budget <= 0 && height > 0) {
        j->partial = true;
        Py_CLEAR(j->last);
        count = (Py_ssize_t)ps_bt_node_count(n);
        *min = ps_slot_incref(st, ps_bt_min(n));
        goto done;
    }
    for (int i = 0; i < size; i++) {
        ps_slot first = height ? 0 : ps_bt_leaf_slot(n, 0, i);
        if (height) {
            ps_slot child = ps_bt_children(n)[i];
            if (!ps_slot_is_packed(child)) {
                bool gc = ps_node_is_gc(st, ps_slot_node(child));
                CHECK(!plain || !gc, "a plain node holds plain children only");
                CHECK(!tracked || !gc || PyObject_GC_IsTracked(ps_slot_obj(child)),
                      "the collector knows the GC children of a node that it knows");
            }
            ps_slot_xdecref(st, child_min);
            Py_ssize_t c = check(j, child, height - 1, right && i == size - 1, ps_bt_counts(n)[i],
                                 &child_min);
            first = child_min;
            if (c < 0) {
                goto done;
            }
            CHECK((uint64_t)c == ps_bt_counts(n)[i], "a node counts the entries of each child");
            CHECK(i > 0 || ps_slot_is_packed(child) || ps_slot_is_packed(n->slots[0]) ||
                      first == n->slots[0],
                  "the first slot is the smallest order key below");
            below += c;
        }
        else {
            if (check_order(j, first, height) < 0) {
                goto done;
            }
            below++;
        }
        if (kind != PS_BT_ANY && !ps_slot_is_packed(first)) {
            int64_t word;
            CHECK(ps_bt_word(ps_slot_obj(first), &word) == kind && word == ps_bt_words(n)[i],
                  "a word is that of its order key");
        }
        CHECK(kind != PS_BT_ANY || ps_bt_words(n)[i] == 0, "a node without a kind has no words");
    }
    count = below;
    *min = ps_slot_incref(st, ps_bt_min(n));
done:
    ps_slot_xdecref(st, child_min);
    Py_DECREF(n);
    return count;
}

static int
check_tree(ps_state *st, ps_btree t, bool user_code, Py_ssize_t budget)
{
    int rc = -1, height = 0;
    job j = {.st = st, .shape = t.shape, .user_code = user_code, .budget = budget};
    CHECK((t.root == 0) == (t.count == 0), "a tree without a root is empty, and no other is");
    if (t.root) {
        ps_node *root = ps_bt_open_root(st, t);
        if (root == NULL) {
            return -1;
        }
        height = ps_bt_height(root);
        bool lone = height > 0 && ps_bt_size(root) == 1;
        Py_DECREF(root);
        CHECK(!lone, "a root has two children or more");
        ps_slot min;
        Py_ssize_t n = check(&j, t.root, height, true, (uint64_t)t.count, &min);
        ps_slot_xdecref(st, min);
        if (n < 0) {
            goto done;
        }
        CHECK(n == t.count, "the count of a tree is its number of entries");
    }
    rc = 0;
done:
    Py_XDECREF(j.last);
    return rc;
}

int
ps_bt_check(ps_state *st, ps_btree t)
{
    ps_bt_share(st, t);
    int rc = check_tree(st, t, true, PY_SSIZE_T_MAX);
    ps_bt_drop(st, t);
    return rc;
}

void
ps_bt_check_or_abort(ps_state *st, ps_btree t)
{
    PyObject *type, *value, *traceback; /* the caller's exception, if any */
    PyErr_Fetch(&type, &value, &traceback);
    if (check_tree(st, t, false, 1024) < 0) {
        if (PyErr_ExceptionMatches(PyExc_AssertionError)) {
            PyErr_Print();
            Py_FatalError("pstructs: a sorted tree broke an invariant");
        }
        PyErr_Clear(); /* no memory for the check is no broken invariant */
    }
    PyErr_Restore(type, value, traceback);
}
