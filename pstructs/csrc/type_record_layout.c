/* type_record_layout.c -- RecordLayout: where the fields of a class of records lie.
 *
 *     class Point(PClass):                 Point._record_layout
 *         x = field(type=int)                fields[0]  "x"  offset 32  int
 *         y = field(type=int)                fields[1]  "y"  offset 40  int
 *
 * CPython gives each slot a member descriptor that knows its offset; the layout
 * takes the offset from there, so that it can never disagree with the class. */
#include "type_record.h"

ps_layout *
ps_layout_of(ps_state *st, PyTypeObject *type)
{
    PyObject *found = _PyType_Lookup(type, st->str_record_layout);
    if (found == NULL || Py_TYPE(found) != st->record_layout ||
        !PyType_IsSubtype(type, ((ps_layout *)found)->owner)) {
        PyErr_Format(PyExc_TypeError,
                     "%.200s has no fields: declare them in a subclass of PClass or PRecord",
                     type->tp_name);
        return NULL;
    }
    return (ps_layout *)found;
}

/* Where the member descriptor of a slot of `owner` points, or -1 with an exception. */
static Py_ssize_t
slot_offset(PyTypeObject *owner, PyObject *descriptor)
{
    if (Py_TYPE(descriptor) == &PyMemberDescr_Type) {
        PyMemberDescrObject *member = (PyMemberDescrObject *)descriptor;
        if (member->d_member->type == T_OBJECT_EX && member->d_member->flags == 0 &&
            PyType_IsSubtype(owner, PyDescr_TYPE(member)) &&
            member->d_member->offset >= (Py_ssize_t)sizeof(ps_flat_record)) {
            return member->d_member->offset;
        }
    }
    PyErr_Format(PyExc_TypeError, "%R is not a slot of %.200s", descriptor, owner->tp_name);
    return -1;
}

static int
layout_clear(PyObject *self)
{
    ps_layout *layout = (ps_layout *)self;
    for (Py_ssize_t i = 0; i < Py_SIZE(self); i++) {
        ps_field *f = &layout->fields[i];
        Py_CLEAR(f->types);
        Py_CLEAR(f->initial);
        Py_CLEAR(f->invariant);
    }
    Py_CLEAR(layout->invariants);
    return 0;
}

static void
layout_dealloc(PyObject *self)
{
    ps_layout *layout = (ps_layout *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    layout_clear(self);
    for (Py_ssize_t i = 0; i < Py_SIZE(self); i++) {
        Py_XDECREF(layout->fields[i].name);
    }
    Py_XDECREF(layout->owner);
    Py_XDECREF(layout->index);
    Py_XDECREF(layout->names);
    type->tp_free(self);
    Py_DECREF(type);
}

static int
layout_traverse(PyObject *self, visitproc visit, void *arg)
{
    ps_layout *layout = (ps_layout *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(layout->owner);
    Py_VISIT(layout->index);
    Py_VISIT(layout->names);
    Py_VISIT(layout->invariants);
    for (Py_ssize_t i = 0; i < Py_SIZE(self); i++) {
        ps_field *f = &layout->fields[i];
        Py_VISIT(f->types);
        Py_VISIT(f->initial);
        Py_VISIT(f->invariant);
    }
    return 0;
}

/* Fill a field from (name, descriptor, types, initial, invariant, mandatory, plain,
 * plain_initial); initial is None or a tuple of one. */
static int
fill_field(ps_layout *layout, Py_ssize_t i, PyObject *spec)
{
    ps_field *f = &layout->fields[i];
    PyObject *name, *descriptor, *types, *initial, *invariant;
    int mandatory, plain, plain_initial;
    if (!PyTuple_Check(spec)) {
        PyErr_SetString(PyExc_TypeError, "the fields of a layout are tuples");
        return -1;
    }
    if (!PyArg_ParseTuple(spec, "UOOOOppp:RecordLayout", &name, &descriptor, &types, &initial,
                          &invariant, &mandatory, &plain, &plain_initial)) {
        return -1;
    }
    f->offset = slot_offset(layout->owner, descriptor);
    if (f->offset < 0) {
        return -1;
    }
    f->name = Py_NewRef(name);
    PyUnicode_InternInPlace(&f->name);
    f->types = types == Py_None ? NULL : Py_NewRef(types);
    f->invariant = invariant == Py_None ? NULL : Py_NewRef(invariant);
    if (initial != Py_None) {
        if (!PyTuple_Check(initial) || PyTuple_GET_SIZE(initial) != 1) {
            PyErr_SetString(PyExc_TypeError, "initial is None or a tuple of one");
            return -1;
        }
        f->initial = Py_NewRef(PyTuple_GET_ITEM(initial, 0));
    }
    f->mandatory = mandatory;
    f->plain = plain;
    f->plain_initial = plain_initial;
    PyTuple_SET_ITEM(layout->names, i, Py_NewRef(f->name));
    PyObject *position = PyLong_FromSsize_t(i);
    int rc = position == NULL ? -1 : PyDict_SetItem(layout->index, f->name, position);
    Py_XDECREF(position);
    return rc;
}

static PyObject *
layout_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyTypeObject *owner;
    PyObject *specs, *invariants;
    int refill;
    if (kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0) {
        PyErr_SetString(PyExc_TypeError, "RecordLayout() takes no keyword arguments");
        return NULL;
    }
    ps_state *st = ps_state_of_type(type);
    if (st == NULL ||
        !PyArg_ParseTuple(args, "O!O!O!p:RecordLayout", &PyType_Type, &owner, &PyTuple_Type,
                          &specs, &PyTuple_Type, &invariants, &refill)) {
        return NULL;
    }
    if (!PyType_IsSubtype(owner, st->record)) {
        return PyErr_Format(PyExc_TypeError, "%.200s is no class of records", owner->tp_name);
    }
    Py_ssize_t n = PyTuple_GET_SIZE(specs);
    ps_layout *layout = (ps_layout *)type->tp_alloc(type, n);
    if (layout == NULL) {
        return NULL;
    }
    layout->owner = (PyTypeObject *)Py_NewRef((PyObject *)owner);
    layout->refill = refill;
    layout->invariants = Py_NewRef(invariants);
    layout->index = PyDict_New();
    layout->names = PyTuple_New(n);
    if (layout->index == NULL || layout->names == NULL) {
        goto error;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        if (fill_field(layout, i, PyTuple_GET_ITEM(specs, i)) < 0) {
            goto error;
        }
    }
    return (PyObject *)layout;
error:
    Py_DECREF(layout);
    return NULL;
}

PyDoc_STRVAR(layout_doc, "RecordLayout(cls, fields, invariants, refill, /)\n--\n\n"
                         "Where the fields of a class of records lie, and what they accept.");

static PyType_Slot layout_slots[] = {
    {Py_tp_doc, (void *)layout_doc}, {Py_tp_new, layout_new},
    {Py_tp_dealloc, layout_dealloc}, {Py_tp_traverse, layout_traverse},
    {Py_tp_clear, layout_clear},     {0, NULL},
};

static PyType_Spec layout_spec = {
    .name = "pstructs._core.RecordLayout",
    .basicsize = sizeof(ps_layout),
    .itemsize = sizeof(ps_field),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = layout_slots,
};

int
ps_record_layout_type_init(ps_state *st, PyObject *module)
{
    st->record_layout = (PyTypeObject *)PyType_FromModuleAndSpec(module, &layout_spec, NULL);
    return st->record_layout == NULL ? -1 : PyModule_AddType(module, st->record_layout);
}
