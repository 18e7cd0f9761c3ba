/* node.c -- allocation, release and traversal of trie nodes; see node.h.
 *
 * A plain node is 32 bytes and its slots, with no GC header:
 *
 *     refcount | type | datamap nodemap | meta | slot slot slot ...
 *
 * At 100,000 str -> int entries that is 29 bytes an entry (pymalloc), and the
 * collector never looks at it. A GC node is the same behind a GC header.
 *
 * Nodes have no tp_clear: like a tuple, a node can't change, and every cycle
 * through it also passes a map, a set, an evolver or a foreign container, which
 * can be cleared. They need no trashcan: a tree is at most PS_MAX_LEVEL + 1
 * deep, and below it comes an object with a trashcan of its own.
 */
#include "node.h"

#define HEADER offsetof(ps_node, slots)

ps_node *
ps_node_new(ps_state *st, bool gc, int width, uint32_t datamap, uint32_t nodemap, Py_ssize_t size)
{
    ps_node *n;
    if (PS_UNLIKELY(gc)) {
        /* The variable-size allocator writes ob_size where the bitmaps live;
         * they are set below, and __sizeof__ does not use it. */
        n = (ps_node *)PyObject_GC_NewVar(PyVarObject, st->node_gc, size);
        if (n == NULL) {
            return NULL;
        }
    }
    else {
        n = PyObject_Malloc(HEADER + (size_t)size * sizeof(ps_slot));
        if (n == NULL) {
            PyErr_NoMemory();
            return NULL;
        }
        /* PyObject_Init without its calls. Fresh memory may look like the header of an
         * immortal object, and since 3.12 Py_SET_REFCNT leaves those as they are. */
        memset(n, 0, sizeof(PyObject));
        Py_SET_TYPE((PyObject *)n, (PyTypeObject *)Py_NewRef(st->node_plain));
        Py_SET_REFCNT((PyObject *)n, 1);
    }
    n->datamap = datamap;
    n->nodemap = nodemap;
    n->meta = width == 2 ? PS_META_WIDTH2 : 0;
    return n;
}

ps_node *
ps_node_new_array(ps_state *st, bool gc, uint32_t n_slots, uint32_t n_raw, uint32_t tag)
{
    ps_node *n = ps_node_new(st, gc, 1, n_slots, n_raw << 16 | tag, (Py_ssize_t)n_slots + n_raw);
    if (n != NULL) {
        n->meta = PS_META_ARRAY;
    }
    return n;
}

/* Slots that the node owns, whichever tree it belongs to. */
static Py_ssize_t
owned_slots(const ps_node *n)
{
    return n->meta & PS_META_ARRAY ? (Py_ssize_t)n->datamap : ps_node_size(n);
}

void
ps_node_track(ps_state *st, ps_node *n)
{
    if (PS_UNLIKELY(ps_node_is_gc(st, n)) && !PyObject_GC_IsTracked((PyObject *)n)) {
        PyObject_GC_Track(n);
    }
}

void
ps_node_drop_shell(ps_state *st, ps_node *n)
{
    n->datamap = n->nodemap = 0; /* in an array node: no slots, no raw words */
    Py_DECREF(n);
}

bool
ps_needs_gc_slow(ps_state *st, PyObject *v)
{
    if (!PyObject_IS_GC(v)) {
        return false;
    }
    PyTypeObject *type = Py_TYPE(v);
    if (type == &PyTuple_Type || type == st->map || type == st->set || type == st->vector ||
        type == st->sorted_map || type == st->sorted_set || type == st->list ||
        type == st->deque) {
        /* Immutable: what the collector does not track now, it never will. */
        return PyObject_GC_IsTracked(v);
    }
    return true;
}

void
ps_node_set_saved(ps_state *st, ps_node *n, ps_slot ref)
{
    ps_slot old = ps_node_saved(n);
    if (ref) {
        ps_slot_incref(st, ref);
    }
    n->meta = (n->meta & PS_META_FLAGS) | (ref & ~(uint64_t)PS_META_FLAGS);
    ps_slot_xdecref(st, old);
}

int
ps_object_eq(PyObject *a, PyObject *b)
{
    if (a == b) {
        return 1;
    }
    Py_INCREF(a);
    Py_INCREF(b);
    PyObject *r = PyObject_RichCompare(a, b, Py_EQ);
    int equal = r == NULL ? -1 : r == Py_True ? 1 : r == Py_False ? 0 : PyObject_IsTrue(r);
    Py_XDECREF(r);
    Py_DECREF(a);
    Py_DECREF(b);
    return equal;
}

static void
node_release_slots(PyTypeObject *type, ps_node *n)
{
    Py_ssize_t size = owned_slots(n);
    if (PS_LIKELY((n->meta & ~(uint64_t)(PS_META_WIDTH2 | PS_META_ARRAY)) == 0)) {
        for (Py_ssize_t i = 0; i < size; i++) {
            Py_DECREF(ps_slot_obj(n->slots[i]));
        }
        return;
    }
    ps_state *st = PyType_GetModuleState(type);
    for (Py_ssize_t i = 0; i < size; i++) {
        ps_slot_decref(st, n->slots[i]);
    }
    ps_slot_xdecref(st, ps_node_saved(n));
}

static void
node_plain_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    node_release_slots(type, (ps_node *)self);
    PyObject_Free(self);
    Py_DECREF(type);
}

static void
node_gc_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    node_release_slots(type, (ps_node *)self);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static int
node_gc_traverse(PyObject *self, visitproc visit, void *arg)
{
    ps_node *n = (ps_node *)self;
    Py_VISIT(Py_TYPE(self));
    Py_ssize_t size = owned_slots(n);
    for (Py_ssize_t i = 0; i < size; i++) {
        if (!ps_slot_is_packed(n->slots[i])) {
            Py_VISIT(ps_slot_obj(n->slots[i]));
        }
    }
    return 0;
}

static PyObject *
node_sizeof(PyObject *self, PyObject *unused)
{
    const ps_node *n = (ps_node *)self;
    size_t raw = n->meta & PS_META_ARRAY ? ps_node_raw_words(n) : 0;
    return PyLong_FromSize_t(HEADER + ((size_t)owned_slots(n) + raw) * sizeof(ps_slot));
}

static PyMethodDef node_methods[] = {
    {"__sizeof__", node_sizeof, METH_NOARGS, "Bytes of this node without its GC header."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot node_plain_slots[] = {
    {Py_tp_dealloc, node_plain_dealloc},
    {Py_tp_methods, node_methods},
    {Py_tp_doc, "A trie node that holds atoms and plain nodes only."},
    {0, NULL},
};

static PyType_Spec node_plain_spec = {
    .name = "pstructs._core.PlainNode",
    .basicsize = (int)HEADER,
    .itemsize = sizeof(ps_slot),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = node_plain_slots,
};

static PyType_Slot node_gc_slots[] = {
    {Py_tp_dealloc, node_gc_dealloc},
    {Py_tp_traverse, node_gc_traverse},
    {Py_tp_methods, node_methods},
    {Py_tp_doc, "A trie node that the garbage collector visits."},
    {0, NULL},
};

static PyType_Spec node_gc_spec = {
    .name = "pstructs._core.Node",
    .basicsize = (int)HEADER,
    .itemsize = sizeof(ps_slot),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = node_gc_slots,
};

int
ps_node_init(ps_state *st, PyObject *module)
{
    st->node_plain = (PyTypeObject *)PyType_FromModuleAndSpec(module, &node_plain_spec, NULL);
    if (st->node_plain == NULL) {
        return -1;
    }
    st->node_gc = (PyTypeObject *)PyType_FromModuleAndSpec(module, &node_gc_spec, NULL);
    return st->node_gc == NULL ? -1 : 0;
}
