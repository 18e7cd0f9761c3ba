/* type_pack.c -- the Python types Pack and PackWriter.
 *
 * A Pack holds bytes and lends them: to slots of nodes (one reference each) and,
 * through the buffer protocol, to arrays that were decoded in place. So it never
 * closes while anything reaches into it; there is no close().
 *
 * The collector visits what a Pack refers to (owner, resolver, imports), but nodes
 * do not visit their packs: to the collector a pack that slots reach is held from
 * outside, and is kept.
 */
#include "pack.h"

#include "blake2b.h"

#include <structmember.h>

/* ---- Pack */

static ps_pack *
new_pack(ps_state *st, PyObject *resolve, PyObject *owner)
{
    if (resolve != Py_None && !PyCallable_Check(resolve)) {
        PyErr_Format(PyExc_TypeError, "resolve must be callable or None, not '%.100s'",
                     Py_TYPE(resolve)->tp_name);
        return NULL;
    }
    /* Keys and values may need the codecs later, when imports must not happen. */
    if (ps_codecs_load(st) < 0) {
        return NULL;
    }
    ps_pack *pack = (ps_pack *)st->pack->tp_alloc(st->pack, 0);
    if (pack != NULL) {
        PyObject_GC_UnTrack(pack); /* nobody finds it before it has bytes */
        pack->resolve = resolve == Py_None ? NULL : Py_NewRef(resolve);
        pack->owner = Py_NewRef(owner);
        pack->mark = &pack->mark_value; /* memory of our own is never cut */
    }
    return pack;
}

/* Give out the pack whose bytes are in place, or release it. */
static PyObject *
finish_pack(ps_state *st, ps_pack *pack, int ok, bool trusted)
{
    if (ok < 0 || ps_pack_open(st, pack) < 0 || ps_pack_register(st, pack) < 0 ||
        (!trusted && ps_pack_verify(st, pack) < 0)) {
        Py_DECREF(pack);
        return NULL;
    }
    PyObject_GC_Track(pack);
    return (PyObject *)pack;
}

static PyObject *
pack_from_buffer(PyObject *module_or_type, PyObject *args, PyObject *kwargs, ps_state *st)
{
    static char *names[] = {"buffer", "trusted", "resolve", "owner", NULL};
    PyObject *buffer, *resolve = Py_None, *owner = Py_None;
    int trusted = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$pOO:from_buffer", names, &buffer, &trusted,
                                     &resolve, &owner)) {
        return NULL;
    }
    ps_pack *pack = new_pack(st, resolve, owner);
    if (pack == NULL) {
        return NULL;
    }
    int ok = PyObject_GetBuffer(buffer, &pack->view, PyBUF_SIMPLE);
    if (ok == 0) {
        pack->storage = PS_PACK_VIEW;
        pack->data = pack->view.buf;
        pack->size = (uint64_t)pack->view.len;
        if (!trusted) {
            /* A copy of our own: nobody may change what was verified. */
            uint8_t *copy = PyMem_RawMalloc(pack->size ? pack->size : 1);
            if (copy != NULL && pack->size) {
                memcpy(copy, pack->data, pack->size);
            }
            PyBuffer_Release(&pack->view);
            pack->storage = copy ? PS_PACK_COPY : PS_PACK_NONE;
            pack->data = copy;
            ok = copy ? 0 : (PyErr_NoMemory(), -1);
        }
    }
    return finish_pack(st, pack, ok, trusted);
}

static PyObject *
pack_from_file(PyObject *module_or_type, PyObject *args, PyObject *kwargs, ps_state *st)
{
    static char *names[] = {"path", "trusted", "resolve", "owner", NULL};
    PyObject *path, *resolve = Py_None, *owner = Py_None;
    int trusted = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$pOO:from_file", names, &path, &trusted,
                                     &resolve, &owner)) {
        return NULL;
    }
    ps_pack *pack = new_pack(st, resolve, owner);
    if (pack == NULL) {
        return NULL;
    }
    int ok = trusted ? ps_map_file(pack, path) : ps_map_copy_file(pack, path);
    return finish_pack(st, pack, ok, trusted);
}

static int
pack_traverse(PyObject *self, visitproc visit, void *arg)
{
    ps_pack *pack = (ps_pack *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(pack->resolve);
    Py_VISIT(pack->owner);
    /* Not a memoryview: one that the collector finds in a cycle gives up its memory, although this
     * pack still reads it (python/cpython#77894, in 3.11 and 3.12). */
    if (pack->storage == PS_PACK_VIEW && pack->view.obj && !PyMemoryView_Check(pack->view.obj)) {
        Py_VISIT(pack->view.obj);
    }
    for (uint32_t i = 1; pack->imports && i <= pack->n_imports; i++) {
        Py_VISIT(pack->imports[i]);
    }
    return 0;
}

static int
pack_clear(PyObject *self)
{
    ps_pack *pack = (ps_pack *)self;
    Py_CLEAR(pack->resolve);
    Py_CLEAR(pack->owner);
    for (uint32_t i = 1; pack->imports && i <= pack->n_imports; i++) {
        Py_CLEAR(pack->imports[i]);
    }
    return 0;
}

static void
pack_dealloc(PyObject *self)
{
    ps_pack *pack = (ps_pack *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    /* Import chains are as long as the history of a store. */
    Py_TRASHCAN_BEGIN(self, pack_dealloc) if (pack->weakrefs != NULL)
    {
        PyObject_ClearWeakRefs(self);
    }
    if (pack->id) {
        ps_pack_unregister(PyType_GetModuleState(type), pack);
    }
    pack_clear(self);
    switch (pack->storage) {
    case PS_PACK_VIEW:
        PyBuffer_Release(&pack->view);
        break;
    case PS_PACK_MAP:
        ps_map_close(pack);
        break;
    case PS_PACK_COPY:
        PyMem_RawFree((void *)(uintptr_t)pack->data);
        break;
    case PS_PACK_NONE:
        break;
    }
    PyMem_RawFree(pack->checked);
    PyMem_RawFree(pack->imports);
    type->tp_free(self);
    Py_DECREF(type);
    Py_TRASHCAN_END
}

static int
pack_getbuffer(PyObject *self, Py_buffer *view, int flags)
{
    ps_pack *pack = (ps_pack *)self;
    return PyBuffer_FillInfo(view, self, (void *)(uintptr_t)pack->data, (Py_ssize_t)pack->size, 1,
                             flags);
}

static PyObject *
pack_repr(PyObject *self)
{
    ps_pack *pack = (ps_pack *)self;
    const uint8_t *id = pack->data + PS_H_UUID;
    return PyUnicode_FromFormat(
        "<pstructs.packs.Pack %02x%02x%02x%02x...: %llu bytes, %u imports>", id[0], id[1], id[2],
        id[3], (unsigned long long)pack->size, pack->n_imports);
}

static PyObject *
pack_get_bytes(PyObject *self, void *offset)
{
    ps_pack *pack = (ps_pack *)self;
    return PyBytes_FromStringAndSize((const char *)pack->data + (uintptr_t)offset, 16);
}

static PyObject *
short_ids(const uint8_t *p, uint32_t n)
{
    PyObject *ids = PyTuple_New(n);
    for (uint32_t i = 0; ids != NULL && i < n; i++) {
        PyObject *id = PyBytes_FromStringAndSize((const char *)p + (uint64_t)i * PS_PACK_SHORT_ID,
                                                 PS_PACK_SHORT_ID);
        if (id == NULL) {
            Py_CLEAR(ids);
            break;
        }
        PyTuple_SET_ITEM(ids, i, id);
    }
    return ids;
}

static PyObject *
pack_get_imports(PyObject *self, void *closure)
{
    ps_pack *pack = (ps_pack *)self;
    return short_ids(pack->data + pack->end, pack->n_imports);
}

static PyObject *
pack_get_nbytes(PyObject *self, void *closure)
{
    return PyLong_FromUnsignedLongLong(((ps_pack *)self)->size);
}

static PyObject *
pack_get_owner(PyObject *self, void *closure)
{
    PyObject *owner = ((ps_pack *)self)->owner;
    return Py_NewRef(owner ? owner : Py_None);
}

static PyObject *
pack_root(PyObject *self, PyObject *unused)
{
    ps_pack *pack = (ps_pack *)self;
    ps_state *st = PyType_GetModuleState(Py_TYPE(self));
    uint64_t root = ps_load64(pack->data + PS_H_ROOT_OFFSET);
    ps_record r;
    if (pack->storage == PS_PACK_MAP) {
        ps_map_watch_again();
    }
    if (ps_record_open(st, pack, root, &r) < 0) {
        return NULL;
    }
    if (r.kind != PS_REC_VALUE) {
        return ps_pack_damaged(st, pack, root, "the root record is not a value");
    }
    Py_INCREF(self);
    PyObject *x = ps_pack_decode_value(st, pack, &r);
    Py_DECREF(self);
    return x;
}

static PyObject *
pack_verify(PyObject *self, PyObject *unused)
{
    Py_ssize_t n = ps_pack_verify(PyType_GetModuleState(Py_TYPE(self)), (ps_pack *)self);
    return n < 0 ? NULL : PyLong_FromSsize_t(n);
}

/* The digest and the offset of each record, 24 bytes each. */
static PyObject *
pack_digests(PyObject *self, PyObject *unused)
{
    ps_pack *pack = (ps_pack *)self;
    ps_state *st = PyType_GetModuleState(Py_TYPE(self));
    ps_buf out = {NULL, 0, 0};
    PyObject *result = NULL;
    ps_record r;
    for (uint64_t at = PS_PACK_HEADER; at < pack->end; at += r.size) {
        const char *wrong = ps_record_parse(pack, at, &r);
        if (wrong != NULL) {
            ps_pack_damaged(st, pack, at, wrong);
            goto done;
        }
        if (ps_buf_add(&out, r.at + PS_R_DIGEST, PS_DIGEST_SIZE) < 0 ||
            ps_buf_add(&out, &at, sizeof at) < 0) {
            goto done;
        }
    }
    if (ps_pack_lost(st, pack) == 0) {
        result = PyBytes_FromStringAndSize((const char *)out.data, (Py_ssize_t)out.len);
    }
done:
    ps_buf_clear(&out);
    return result;
}

static PyObject *
static_from_buffer(PyObject *type, PyObject *args, PyObject *kwargs)
{
    return pack_from_buffer(type, args, kwargs, ps_state_of_type((PyTypeObject *)type));
}

static PyObject *
static_from_file(PyObject *type, PyObject *args, PyObject *kwargs)
{
    return pack_from_file(type, args, kwargs, ps_state_of_type((PyTypeObject *)type));
}

PyDoc_STRVAR(from_buffer_doc,
             "from_buffer(buffer, *, trusted=False, resolve=None, owner=None)\n--\n\n"
             "Open a pack in bytes-like memory.\n\n"
             "trusted: read the buffer in place; records are checked when first touched.\n"
             "Otherwise it is copied and verified whole first.");
PyDoc_STRVAR(from_file_doc,
             "from_file(path, *, trusted=True, resolve=None, owner=None)\n--\n\n"
             "Open a pack file. trusted: map it; otherwise read and verify it whole first.");
PyDoc_STRVAR(root_doc, "root($self, /)\n--\n\nThe root value. Collections open lazily, in place.");
PyDoc_STRVAR(verify_doc, "verify($self, /)\n--\n\n"
                         "Check every byte; the number of records. DamagedPackError names the "
                         "offset.");

static PyMethodDef pack_methods[] = {
    {"from_buffer", (PyCFunction)(void (*)(void))static_from_buffer,
     METH_VARARGS | METH_KEYWORDS | METH_CLASS, from_buffer_doc},
    {"from_file", (PyCFunction)(void (*)(void))static_from_file,
     METH_VARARGS | METH_KEYWORDS | METH_CLASS, from_file_doc},
    {"root", pack_root, METH_NOARGS, root_doc},
    {"digests", pack_digests, METH_NOARGS,
     "digests($self, /)\n--\n\n"
     "The digest of each record and its offset: 16 and 8 bytes each, in the machine's order."},
    {"verify", pack_verify, METH_NOARGS, verify_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef pack_getset[] = {
    {"uuid", pack_get_bytes, NULL, "Identity of the pack: 16 bytes.", (void *)PS_H_UUID},
    {"root_digest", pack_get_bytes, NULL, "Digest of the root value: 16 bytes.",
     (void *)PS_H_ROOT_DIGEST},
    {"imports", pack_get_imports, NULL, "First 8 bytes of the uuids of the packs referred to.",
     NULL},
    {"nbytes", pack_get_nbytes, NULL, "Size in bytes.", NULL},
    {"owner", pack_get_owner, NULL, "Whatever was given as owner.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef pack_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(ps_pack, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot pack_type_slots[] = {
    {Py_tp_doc, "An open pack: an immutable byte image of nodes and values."},
    {Py_tp_dealloc, pack_dealloc},
    {Py_tp_traverse, pack_traverse},
    {Py_tp_clear, pack_clear},
    {Py_tp_repr, pack_repr},
    {Py_tp_methods, pack_methods},
    {Py_tp_getset, pack_getset},
    {Py_tp_members, pack_members},
    {Py_bf_getbuffer, pack_getbuffer},
    {0, NULL},
};

static PyType_Spec pack_spec = {
    .name = "pstructs._core.Pack",
    .basicsize = sizeof(ps_pack),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = pack_type_slots,
};

/* ---- PackWriter */

typedef struct {
    PyObject_HEAD
    ps_writer *writer;
} writer_object;

static PyObject *
writer_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"value", "importable", "uuid", "known", NULL};
    PyObject *value, *importable = Py_None, *known = Py_None;
    const char *uuid = NULL;
    Py_ssize_t uuid_len = 0;
    ps_state *st = ps_state_of_type(type);
    if (st == NULL ||
        !PyArg_ParseTupleAndKeywords(args, kwargs, "O|$Oz#O:PackWriter", names, &value,
                                     &importable, &uuid, &uuid_len, &known)) {
        return NULL;
    }
    if (importable != Py_None && !PyCallable_Check(importable)) {
        return PyErr_Format(PyExc_TypeError, "importable must be callable or None, not '%.100s'",
                            Py_TYPE(importable)->tp_name);
    }
    if (known != Py_None && !PyCallable_Check(known)) {
        return PyErr_Format(PyExc_TypeError, "known must be callable or None, not '%.100s'",
                            Py_TYPE(known)->tp_name);
    }
    if (uuid != NULL && uuid_len != 16) {
        return PyErr_Format(PyExc_ValueError, "uuid must be 16 bytes, not %zd", uuid_len);
    }
    writer_object *self = (writer_object *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->writer = ps_writer_new(st, value, importable == Py_None ? NULL : importable,
                                 known == Py_None ? NULL : known, (const uint8_t *)uuid);
    if (self->writer == NULL) {
        Py_CLEAR(self);
    }
    return (PyObject *)self;
}

static void
writer_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    writer_object *w = (writer_object *)self;
    if (w->writer != NULL) {
        ps_writer_free(w->writer);
    }
    type->tp_free(self);
    Py_DECREF(type);
}

static const uint8_t *
image_of(PyObject *self, size_t *size)
{
    return ps_writer_image(((writer_object *)self)->writer, size);
}

static int
writer_getbuffer(PyObject *self, Py_buffer *view, int flags)
{
    size_t size;
    const uint8_t *p = image_of(self, &size);
    return PyBuffer_FillInfo(view, self, (void *)(uintptr_t)p, (Py_ssize_t)size, 1, flags);
}

static PyObject *
writer_get_image(PyObject *self, void *closure)
{
    return PyMemoryView_FromObject(self);
}

static PyObject *
writer_get_bytes(PyObject *self, void *offset)
{
    size_t size;
    return PyBytes_FromStringAndSize((const char *)image_of(self, &size) + (uintptr_t)offset, 16);
}

static PyObject *
writer_get_imports(PyObject *self, void *closure)
{
    size_t size;
    const uint8_t *p = image_of(self, &size);
    uint32_t n = ps_load32(p + PS_H_IMPORTS);
    return short_ids(p + size - (size_t)n * PS_PACK_SHORT_ID, n);
}

static PyObject *
writer_get_new_records(PyObject *self, void *closure)
{
    return PyLong_FromSize_t(ps_writer_new_records(((writer_object *)self)->writer));
}

static PyObject *
writer_adopt(PyObject *self, PyObject *pack)
{
    ps_state *st = PyType_GetModuleState(Py_TYPE(self));
    if (!PyObject_TypeCheck(pack, st->pack)) {
        return PyErr_Format(PyExc_TypeError, "adopt() needs a Pack, not '%.100s'",
                            Py_TYPE(pack)->tp_name);
    }
    if (ps_writer_adopt(((writer_object *)self)->writer, (ps_pack *)pack) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyMethodDef writer_methods[] = {
    {"adopt", writer_adopt, METH_O,
     "adopt($self, pack, /)\n--\n\n"
     "The image was stored and opened as pack: the nodes of the value "
     "remember\nwhere they are, so that saving a derived value writes only what is new."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef writer_getset[] = {
    {"image", writer_get_image, NULL, "The bytes of the new pack: a read-only memoryview.", NULL},
    {"uuid", writer_get_bytes, NULL, "Identity of the new pack: 16 bytes.", (void *)PS_H_UUID},
    {"root_digest", writer_get_bytes, NULL, "Digest of the value: 16 bytes.",
     (void *)PS_H_ROOT_DIGEST},
    {"imports", writer_get_imports, NULL, "Short ids of the packs referred to.", NULL},
    {"new_records", writer_get_new_records, NULL, "Number of records written.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot writer_type_slots[] = {
    {Py_tp_doc, "PackWriter(value, *, importable=None, uuid=None, known=None)\n--\n\n"
                "Encode a value into the bytes of one new pack."},
    {Py_tp_new, writer_new},
    {Py_tp_dealloc, writer_dealloc},
    {Py_tp_methods, writer_methods},
    {Py_tp_getset, writer_getset},
    {Py_bf_getbuffer, writer_getbuffer},
    {0, NULL},
};

static PyType_Spec writer_spec = {
    .name = "pstructs._core.PackWriter",
    .basicsize = sizeof(writer_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = writer_type_slots,
};

/* ---- the units below, for their tests */

PyObject *
ps_py_crc32c(PyObject *module, PyObject *data)
{
    Py_buffer view;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    PyObject *pair =
        Py_BuildValue("(kk)", (unsigned long)ps_crc32c(0, view.buf, (size_t)view.len),
                      (unsigned long)ps_crc32c_portable(0, view.buf, (size_t)view.len));
    PyBuffer_Release(&view);
    return pair;
}

PyObject *
ps_py_digests(PyObject *module, PyObject *messages)
{
    PyObject *result = NULL;
    if (!PyList_Check(messages)) {
        return PyErr_Format(PyExc_TypeError, "a list of bytes is needed");
    }
    Py_ssize_t n = PyList_GET_SIZE(messages);
    ps_blake2b_job *jobs = PyMem_New(ps_blake2b_job, (size_t)n + 1);
    uint8_t *digests = PyMem_Malloc((size_t)n * PS_DIGEST_SIZE + 1);
    if (jobs == NULL || digests == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        char *p;
        Py_ssize_t len;
        if (PyBytes_AsStringAndSize(PyList_GET_ITEM(messages, i), &p, &len) < 0) {
            goto done;
        }
        jobs[i] = (ps_blake2b_job){(const uint8_t *)p, (size_t)len, digests + PS_DIGEST_SIZE * i};
    }
    ps_blake2b_many(jobs, (size_t)n);
    result = PyBytes_FromStringAndSize((const char *)digests, n * PS_DIGEST_SIZE);
done:
    PyMem_Free(jobs);
    PyMem_Free(digests);
    return result;
}

int
ps_pack_types_init(ps_state *st, PyObject *module)
{
    st->pack_ops = &ps_the_pack_ops;
    st->pack = (PyTypeObject *)PyType_FromModuleAndSpec(module, &pack_spec, NULL);
    st->pack_writer = (PyTypeObject *)PyType_FromModuleAndSpec(module, &writer_spec, NULL);
    if (st->pack == NULL || st->pack_writer == NULL || PyModule_AddType(module, st->pack) < 0) {
        return -1;
    }
    return PyModule_AddType(module, st->pack_writer);
}
