/* type_pack_builder.c -- the Python type PackBuilder.
 *
 *     taking --merge()--> growing --finish()--> done
 *        \                   \
 *         +-- any error ------+-> failed
 *
 * Everything runs Python code in between: the iterator, hashes and codecs, the sink. A builder
 * that is busy refuses to be called again.
 */
#include "pack_builder.h"

typedef enum { TAKING, GROWING, DONE, FAILED } stage;

typedef struct {
    PyObject_HEAD
    ps_builder *b; /* owned */
    stage stage;
    bool busy;
    uint8_t digest[PS_DIGEST_SIZE];
    uint64_t nbytes;
} builder_object;

static int
builder_traverse(PyObject *self, visitproc visit, void *arg)
{
    ps_builder *b = ((builder_object *)self)->b;
    Py_VISIT(Py_TYPE(self));
    if (b != NULL) {
        Py_VISIT(b->sink);
        Py_VISIT(b->importable);
        Py_VISIT(b->order);
        for (uint32_t i = 0; i < b->vector.n_items; i++) {
            Py_VISIT(b->vector.items[i]);
        }
    }
    return 0;
}

static void
builder_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    builder_object *o = (builder_object *)self;
    PyObject_GC_UnTrack(self);
    if (o->b != NULL) {
        ps_builder_clear(o->b);
        PyMem_RawFree(o->b);
    }
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *
builder_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"sink", "kind", "importable", "uuid", "key", NULL};
    PyObject *sink, *importable = Py_None, *order = Py_None;
    const char *kind = "map", *uuid = NULL;
    Py_ssize_t uuid_len = 0;
    ps_state *st = ps_state_of_type(type);
    if (st == NULL ||
        !PyArg_ParseTupleAndKeywords(args, kwargs, "O|s$Oz#O:PackBuilder", names, &sink, &kind,
                                     &importable, &uuid, &uuid_len, &order)) {
        return NULL;
    }
    if (!PyCallable_Check(sink) || (importable != Py_None && !PyCallable_Check(importable))) {
        return PyErr_Format(PyExc_TypeError,
                            "sink must be callable, and importable callable or None");
    }
    static const struct {
        const char *name;
        uint8_t kind;
    } kinds[] = {{"map", PS_REC_MAP},
                 {"set", PS_REC_SET},
                 {"vector", PS_ARRAY_VECTOR},
                 {"sortedmap", PS_ARRAY_SORTED + PS_BT_MAP},
                 {"sortedset", PS_ARRAY_SORTED}};
    enum { N_KINDS = sizeof kinds / sizeof *kinds };
    int which = 0;
    while (which < N_KINDS && strcmp(kinds[which].name, kind) != 0) {
        which++;
    }
    if (which == N_KINDS) {
        return PyErr_Format(PyExc_ValueError,
                            "kind is 'map', 'set', 'vector', 'sortedmap' or 'sortedset', not "
                            "'%.100s'",
                            kind);
    }
    bool keyed = order != Py_None;
    if (keyed && (kinds[which].kind < PS_ARRAY_SORTED || !PyCallable_Check(order))) {
        return PyErr_Format(PyExc_TypeError,
                            "key is a function for the order of a sorted collection, or None");
    }
    if (uuid != NULL && uuid_len != 16) {
        return PyErr_Format(PyExc_ValueError, "uuid must be 16 bytes, not %zd", uuid_len);
    }
    builder_object *self = (builder_object *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->b = PyMem_RawCalloc(1, sizeof *self->b);
    if (self->b == NULL) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    if (ps_builder_init(
            self->b, st, sink, importable == Py_None ? NULL : importable, keyed ? order : NULL,
            (uint8_t)(kinds[which].kind + (keyed ? PS_BT_KEYED : 0)), (const uint8_t *)uuid) < 0) {
        Py_CLEAR(self);
    }
    return (PyObject *)self;
}

/* ---- one call at a time, in their order */

static int
begin(builder_object *o, stage needed)
{
    static const char *const names[] = {"takes entries", "makes nodes", "is finished",
                                        "has failed"};
    if (o->busy) {
        PyErr_SetString(PyExc_RuntimeError, "a PackBuilder was called while it is at work");
        return -1;
    }
    if (o->stage != needed) {
        PyErr_Format(PyExc_ValueError, "this PackBuilder %s; make a new one", names[o->stage]);
        return -1;
    }
    o->busy = true;
    return 0;
}

static void
end(builder_object *o, int result)
{
    o->busy = false;
    if (result < 0) {
        o->stage = FAILED;
    }
}

/* ---- taking */

static bool
is_map(const ps_builder *b)
{
    return b->kind == PS_REC_MAP ||
           (b->kind >= PS_ARRAY_SORTED && (b->kind - PS_ARRAY_SORTED) & PS_BT_MAP);
}

static int
add_pair(ps_builder *b, PyObject *item)
{
    PyObject *pair = PySequence_Fast(item, "");
    if (pair == NULL) {
        if (PyErr_ExceptionMatches(PyExc_TypeError)) {
            PyErr_Format(PyExc_TypeError, "item %llu is no pair of a key and a value: %.200R",
                         (unsigned long long)b->taken, item);
        }
        return -1;
    }
    int result = -1;
    if (PySequence_Fast_GET_SIZE(pair) != 2) {
        PyErr_Format(PyExc_ValueError, "item %llu is no pair of a key and a value: %.200R",
                     (unsigned long long)b->taken, item);
    }
    else {
        PyObject *key = Py_NewRef(PySequence_Fast_GET_ITEM(pair, 0));
        PyObject *value = Py_NewRef(PySequence_Fast_GET_ITEM(pair, 1));
        result = ps_builder_add(b, key, value);
        Py_DECREF(key);
        Py_DECREF(value);
    }
    Py_DECREF(pair);
    return result;
}

/* 1: there may be more, 0, -1. */
static int
take(ps_builder *b, PyObject *iterator, size_t room, Py_ssize_t n)
{
    for (; n > 0 && ps_sorter_held(&b->sorter) < room; n--) {
        PyObject *item = PyIter_Next(iterator);
        if (item == NULL) {
            return PyErr_Occurred() ? -1 : 0;
        }
        int r = is_map(b)                    ? add_pair(b, item)
                : b->kind == PS_ARRAY_VECTOR ? ps_builder_push(b, item)
                                             : ps_builder_add(b, item, NULL);
        Py_DECREF(item);
        if (r < 0 || ps_builder_drain(b, false) < 0) {
            return -1;
        }
    }
    return 1;
}

static PyObject *
builder_take(PyObject *self, PyObject *args)
{
    builder_object *o = (builder_object *)self;
    PyObject *iterator;
    Py_ssize_t room, n;
    if (!PyArg_ParseTuple(args, "Onn:take", &iterator, &room, &n)) {
        return NULL;
    }
    if (!PyIter_Check(iterator)) {
        return PyErr_Format(PyExc_TypeError, "take() needs an iterator, not '%.100s'",
                            Py_TYPE(iterator)->tp_name);
    }
    if (begin(o, TAKING) < 0) {
        return NULL;
    }
    if (o->b->sorter.sorted != NULL) {
        end(o, 0);
        return PyErr_Format(PyExc_ValueError, "what is held was sorted; spill it before taking more");
    }
    int r = take(o->b, iterator, room < 0 ? 0 : (size_t)room, n);
    end(o, r);
    return r < 0 ? NULL : PyBool_FromLong(r);
}

static PyObject *
builder_sort(PyObject *self, PyObject *unused)
{
    builder_object *o = (builder_object *)self;
    if (begin(o, TAKING) < 0) {
        return NULL;
    }
    int r = ps_sorter_sort(&o->b->sorter);
    end(o, r);
    return r < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *
builder_spill(PyObject *self, PyObject *file)
{
    builder_object *o = (builder_object *)self;
    int fd = PyObject_AsFileDescriptor(file);
    if (fd < 0 || begin(o, TAKING) < 0) {
        return NULL;
    }
    int r = ps_sorter_spill(&o->b->sorter, fd);
    end(o, r);
    return r < 0 ? NULL : Py_NewRef(Py_None);
}

/* ---- growing */

static PyObject *
builder_merge(PyObject *self, PyObject *number)
{
    builder_object *o = (builder_object *)self;
    Py_ssize_t room = PyNumber_AsSsize_t(number, PyExc_OverflowError);
    if ((room == -1 && PyErr_Occurred()) || begin(o, TAKING) < 0) {
        return NULL;
    }
    int r = ps_sorter_merge(&o->b->sorter, room < 0 ? 0 : (size_t)room);
    o->stage = GROWING;
    end(o, r);
    return r < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *
builder_grow(PyObject *self, PyObject *number)
{
    builder_object *o = (builder_object *)self;
    Py_ssize_t n = PyNumber_AsSsize_t(number, PyExc_OverflowError);
    if ((n == -1 && PyErr_Occurred()) || begin(o, GROWING) < 0) {
        return NULL;
    }
    int r = ps_builder_grow(o->b, n);
    end(o, r);
    return r < 0 ? NULL : PyBool_FromLong(r);
}

static PyObject *
builder_finish(PyObject *self, PyObject *unused)
{
    builder_object *o = (builder_object *)self;
    uint8_t header[PS_PACK_HEADER];
    if (begin(o, GROWING) < 0) {
        return NULL;
    }
    int r = ps_builder_grow(o->b, PY_SSIZE_T_MAX) < 0 ? -1 : ps_builder_finish(o->b, header);
    o->stage = DONE;
    end(o, r);
    if (r < 0) {
        return NULL;
    }
    memcpy(o->digest, header + PS_H_ROOT_DIGEST, sizeof o->digest);
    o->nbytes = ps_load64(header + PS_H_TOTAL);
    return PyBytes_FromStringAndSize((const char *)header, sizeof header);
}

/* ---- what there is to know */

static PyObject *
builder_uuid(PyObject *self, void *closure)
{
    return PyBytes_FromStringAndSize((const char *)((builder_object *)self)->b->uuid, 16);
}

static PyObject *
builder_digest(PyObject *self, void *closure)
{
    builder_object *o = (builder_object *)self;
    if (o->stage != DONE) {
        return PyErr_Format(PyExc_ValueError, "the digest is known once the pack is finished");
    }
    return PyBytes_FromStringAndSize((const char *)o->digest, sizeof o->digest);
}

enum { TAKEN, COUNT, HELD, SPILLED, RUNS, NBYTES };

static PyObject *
builder_number(PyObject *self, void *which)
{
    builder_object *o = (builder_object *)self;
    const ps_builder *b = o->b;
    const ps_sorter *s = &b->sorter;
    uint64_t numbers[] = {
        b->taken,    b->count,  ps_sorter_held(s),
        s->file_end, s->n_runs, o->stage == DONE ? o->nbytes : ps_image_end(&b->writer)};
    return PyLong_FromUnsignedLongLong(numbers[(uintptr_t)which]);
}

static PyObject *
builder_imports(PyObject *self, void *closure)
{
    const ps_writer *w = &((builder_object *)self)->b->writer;
    PyObject *ids = PyTuple_New(w->n_imports);
    for (uint32_t i = 0; ids != NULL && i < w->n_imports; i++) {
        const ps_pack *pack = (ps_pack *)w->imports[i + 1];
        PyObject *id =
            PyBytes_FromStringAndSize((const char *)pack->data + PS_H_UUID, PS_PACK_SHORT_ID);
        if (id == NULL) {
            Py_CLEAR(ids);
            break;
        }
        PyTuple_SET_ITEM(ids, i, id);
    }
    return ids;
}

static PyMethodDef builder_methods[] = {
    {"take", builder_take, METH_VARARGS,
     "take($self, iterator, room, n, /)\n--\n\n"
     "Take up to n items, or until `held` reaches room bytes. False: there are no more."},
    {"sort", builder_sort, METH_NOARGS,
     "sort($self, /)\n--\n\n"
     "Bring what is held into order, which may compare keys; spill() does it, too. Nothing more\n"
     "can be taken until it was spilled."},
    {"spill", builder_spill, METH_O,
     "spill($self, file, /)\n--\n\n"
     "Move what is held to the end of a file, always the same one."},
    {"merge", builder_merge, METH_O,
     "merge($self, room, /)\n--\n\n"
     "Nothing more will be taken. room: bytes for reading back what was spilled."},
    {"grow", builder_grow, METH_O,
     "grow($self, n, /)\n--\n\n"
     "Make nodes of n more items. False: there are no more."},
    {"finish", builder_finish, METH_NOARGS,
     "finish($self, /)\n--\n\n"
     "Make nodes of the rest, and the root. The header: the first 96 bytes of the pack,\n"
     "which the sink got as zeros."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef builder_getset[] = {
    {"uuid", builder_uuid, NULL, "Identity of the new pack: 16 bytes.", NULL},
    {"root_digest", builder_digest, NULL, "Digest of the value, once it is finished: 16 bytes.",
     NULL},
    {"imports", builder_imports, NULL, "Short ids of the packs referred to by now.", NULL},
    {"taken", builder_number, NULL, "Items that were taken.", (void *)TAKEN},
    {"count", builder_number, NULL, "Entries in the pack by now: items with different keys.",
     (void *)COUNT},
    {"held", builder_number, NULL, "Bytes in memory that spill() would move.", (void *)HELD},
    {"spilled", builder_number, NULL, "Bytes in the file.", (void *)SPILLED},
    {"runs", builder_number, NULL, "How often something was spilled.", (void *)RUNS},
    {"nbytes", builder_number, NULL, "Size of the pack by now.", (void *)NBYTES},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot builder_type_slots[] = {
    {Py_tp_doc, "PackBuilder(sink, kind='map', *, importable=None, uuid=None, key=None)\n--\n\n"
                "Build the pack of one collection from any number of items, in bounded memory.\n\n"
                "sink(bytes) gets the pack piece by piece. kind: 'map', 'set', 'vector',\n"
                "'sortedmap' or 'sortedset', whose order is that of key(k) for the keys k."},
    {Py_tp_new, builder_new},
    {Py_tp_dealloc, builder_dealloc},
    {Py_tp_traverse, builder_traverse},
    {Py_tp_methods, builder_methods},
    {Py_tp_getset, builder_getset},
    {0, NULL},
};

static PyType_Spec builder_spec = {
    .name = "pstructs._core.PackBuilder",
    .basicsize = sizeof(builder_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = builder_type_slots,
};

int
ps_pack_builder_init(ps_state *st, PyObject *module)
{
    st->pack_builder = (PyTypeObject *)PyType_FromModuleAndSpec(module, &builder_spec, NULL);
    return st->pack_builder == NULL ? -1 : PyModule_AddType(module, st->pack_builder);
}
