/* champ_check.c -- every invariant of a tree, one sentence each.
 *
 * ps_champ_check is for tests: it looks at everything, and may run user code
 * (hashing and comparing keys). ps_champ_check_or_abort is for PS_DEBUG builds, at the end
 * of every operation: it stops the process, runs no user code, and looks at a
 * bounded number of nodes.
 */
#include "champ_part.h"

typedef struct {
    ps_state *st;
    int width;
    bool user_code;          /* keys of any type may be hashed and compared */
    Py_ssize_t budget;       /* nodes that may still be visited */
    bool partial;            /* some subtree was not entered */
    int path[PS_MAX_LEVEL];  /* position taken at each level above */
} job;

#define CHECK(condition, sentence)                                                                \
    do {                                                                                          \
        if (!(condition)) {                                                                       \
            PyErr_Format(PyExc_AssertionError, "level %d: %s", level, sentence);                  \
            goto done;                                                                            \
        }                                                                                         \
    } while (0)

static bool
may_hash(job *j, ps_slot key)
{
    if (j->user_code) {
        return true;
    }
    if (ps_slot_is_packed(key)) {
        return false;
    }
    PyObject *o = ps_slot_obj(key);
    return PyUnicode_CheckExact(o) || PyLong_CheckExact(o) || PyBytes_CheckExact(o) ||
           PyFloat_CheckExact(o) || o == Py_None;
}

/* An entry of a node at `level`, at position pos (-1 in a collision node). */
static int
check_entry(job *j, const ps_slot *e, bool plain, int level, int pos)
{
    ps_state *st = j->st;
    int rc = -1;
    ps_hashed h;
    CHECK(e[0] != 0 && e[j->width - 1] != 0, "an entry has a key and, in maps, a value");
    for (int i = 0; i < j->width; i++) {
        CHECK(!plain || !ps_slot_needs_gc(st, e[i]), "a plain node holds atoms only");
        CHECK(!ps_slot_is_packed(e[i]) ||
                  (ps_slot_pack_id(e[i]) < st->packs_size && st->packs[ps_slot_pack_id(e[i])]),
              "the pack of a packed slot is open");
    }
    if (!may_hash(j, e[0])) {
        return 0;
    }
    if (ps_hashed_init_slot(st, &h, e[0]) < 0) {
        goto done;
    }
    for (int i = 0; i < level; i++) {
        int at = ps_hashed_index(st, &h, i);
        if (at < 0) {
            goto done;
        }
        CHECK(at == j->path[i], "a key stands below the positions that its hash names");
    }
    if (pos >= 0) {
        int at = ps_hashed_index(st, &h, level);
        if (at < 0) {
            goto done;
        }
        CHECK(at == pos, "a key stands at the position that its hash names");
    }
    rc = 0;
done:
    return rc;
}

/* Number of entries below s; -1 with an exception. */
static Py_ssize_t
check(job *j, ps_slot s, int level)
{
    ps_state *st = j->st;
    const int width = j->width;
    Py_ssize_t count = -1;
    ps_node *n = NULL;
    CHECK(s != 0, "a child slot is not empty");
    if (--j->budget < 0 || (ps_slot_is_packed(s) && !j->user_code)) {
        j->partial = true;
        return 2;
    }
    if ((n = ps_child_open(st, s, width, level)) == NULL) {
        goto done;
    }
    CHECK(Py_TYPE(n) == st->node_plain || Py_TYPE(n) == st->node_gc, "a child is a node");
    CHECK(Py_REFCNT(n) > 0, "a node is alive");
    CHECK(ps_node_width(n) == width, "all nodes of a tree have its width");
    bool collision = ps_node_is_collision(n);
    CHECK(collision == (level == PS_MAX_LEVEL), "collision nodes stand at the last level only");
    CHECK(collision || (n->datamap & n->nodemap) == 0, "a position holds an entry or a child");
    CHECK(collision || PS_WIDTH == 32 || ((n->datamap | n->nodemap) >> (PS_WIDTH % 32)) == 0,
          "no position is beyond the width of a node");
    const bool plain = !ps_node_is_gc(st, n);
    const int entries = ps_node_entries(n), children = ps_node_children(n);
    CHECK(entries + children > 0, "no node is empty");
    CHECK(level == 0 || children > 0 || entries > 1, "a node below the root has two entries");
    CHECK(!collision || entries > 1, "a collision node has two entries");
    const bool tracked = !plain && PyObject_GC_IsTracked((PyObject *)n);
    bool packed = false;
    uint32_t bits = collision ? 0 : n->datamap;
    for (int i = 0; i < entries; i++, bits &= bits - 1) {
        const ps_slot *e = &n->slots[i * width];
        packed = packed || ps_slot_is_packed(e[0]) || ps_slot_is_packed(e[width - 1]);
        if (check_entry(j, e, plain, level, collision ? -1 : ps_ctz(bits)) < 0) {
            goto done;
        }
        for (int k = 0; collision && j->user_code && k < i; k++) {
            int eq = ps_slots_key_eq(st, e[0], n->slots[k * width]);
            if (eq < 0) {
                goto done;
            }
            CHECK(!eq, "the keys of a collision node differ");
        }
    }
    Py_ssize_t below = entries;
    bits = collision ? 0 : n->nodemap;
    for (int i = 0; i < children; i++, bits &= bits - 1) {
        ps_slot child = n->slots[entries * width + i];
        packed = packed || ps_slot_is_packed(child);
        CHECK(child != 0, "a child slot is not empty");
        if (!ps_slot_is_packed(child)) {
            ps_node *c = ps_slot_node(child);
            bool gc = ps_node_is_gc(st, c);
            CHECK(!plain || !gc, "a plain node holds plain children only");
            CHECK(!tracked || !gc || PyObject_GC_IsTracked((PyObject *)c),
                  "the collector knows the GC children of a node that it knows");
        }
        j->path[level] = ps_ctz(bits);
        Py_ssize_t c = check(j, child, level + 1);
        if (c < 0) {
            goto done;
        }
        CHECK(c >= 2, "a child holds two entries or more");
        below += c;
    }
    CHECK(!packed || (n->meta & PS_META_PACKED), "a node with packed slots is marked");
    ps_slot saved = ps_child_record(s);
    if (saved && j->user_code) {
        Py_ssize_t c = st->pack_ops->count(st, saved);
        if (c < 0) {
            goto done;
        }
        CHECK(c == below || j->partial, "a record tells the number of entries below it");
    }
    count = below;
done:
    ps_child_close(s, n);
    return count;
}

static int
check_tree(ps_state *st, ps_tree t, int width, bool user_code, Py_ssize_t budget)
{
    const int level = 0;
    int rc = -1;
    job j = {.st = st, .width = width, .user_code = user_code, .budget = budget};
    CHECK((t.root == 0) == (t.count == 0), "a tree without a root is empty, and no other is");
    Py_ssize_t n = t.root == 0 ? 0 : check(&j, t.root, 0);
    if (n < 0) {
        goto done;
    }
    CHECK(n == t.count || j.partial, "the count of a tree is its number of entries");
    rc = 0;
done:
    return rc;
}

int
ps_champ_check(ps_state *st, ps_tree t, int width)
{
    if (t.root) {
        ps_slot_incref(st, t.root);
    }
    int rc = check_tree(st, t, width, true, PY_SSIZE_T_MAX);
    ps_slot_xdecref(st, t.root);
    return rc;
}

void
ps_champ_check_or_abort(ps_state *st, ps_tree t, int width)
{
    PyObject *type, *value, *traceback; /* the caller's exception, if any */
    PyErr_Fetch(&type, &value, &traceback);
    if (check_tree(st, t, width, false, 1024) < 0) {
        if (PyErr_ExceptionMatches(PyExc_AssertionError)) {
            PyErr_Print();
            Py_FatalError("pstructs: a tree broke an invariant");
        }
        PyErr_Clear(); /* no memory for the check is no broken invariant */
    }
    PyErr_Restore(type, value, traceback);
}
