/* type_record.c -- Record and MapRecord: what PClass and PRecord inherit.
 *
 *     Record object          +-----------------------+
 *                            | refcount, type        |
 *                            | hash (-1: unknown)    |
 *                            | weakrefs              |
 *     slots, laid out by     | field 0               |   NULL: not set
 *     CPython for the class  | field 1 ...           |
 *                            +-----------------------+
 *
 * Rules of fields (type, invariant, factory, initial, mandatory) are in
 * pstructs/_field.py. Making and replacing try a short way first, which stores
 * values of the right types, and then asks the invariants. Whatever else is met
 * (a factory, a wrong type, an unknown name) is left to the class's _build or
 * _replace in Python, which starts over and says what is wrong; no function of
 * the user's but __instancecheck__ has run before. A record is handed out only when it is whole, so a failure half-way
 * leaves nothing behind.
 *
 * A MapRecord is a Mapping as well: it equals every Mapping of equal entries,
 * and hashes like a PMap of them, in Python's hash and in the hash domain. */
#include "type_record.h"

typedef enum {
    BAD = -1, /* an exception is set */
    SLOW = 0, /* the short way does not lead there */
    DONE = 1,
} ps_outcome;

/* ---- parts of the short way */

/* The class makes instances by our rules only: no __new__ or __init__ of its own. */
PS_INLINE bool
has_plain_maker(ps_state *st, PyTypeObject *type)
{
    return type->tp_new == st->record->tp_new && type->tp_init == PyBaseObject_Type.tp_init;
}

/* Whether value has one of the types of the field. 1; 0; -1 */
static int
type_fits(const ps_field *f, PyObject *value)
{
    PyObject *types = f->types;
    if (types == NULL || (PyObject *)Py_TYPE(value) == types) {
        return 1;
    }
    if (PyTuple_CheckExact(types)) {
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(types); i++) {
            if ((PyObject *)Py_TYPE(value) == PyTuple_GET_ITEM(types, i)) {
                return 1;
            }
        }
    }
    return PyObject_IsInstance(value, types);
}

/* Asks an invariant, and puts its error into the list *errors, made when needed. 0; -1 */
static int
ask_invariant(ps_state *st, PyTypeObject *type, PyObject *invariant, PyObject *value,
              PyObject **errors)
{
    PyObject *answer = PyObject_CallOneArg(invariant, value);
    if (answer == NULL) {
        return -1;
    }
    if (PyTuple_CheckExact(answer) && PyTuple_GET_SIZE(answer) == 2 &&
        PyTuple_GET_ITEM(answer, 0) == Py_True) {
        Py_DECREF(answer);
        return 0;
    }
    /* A refusal, or several verdicts at once: the class knows what to make of it. */
    int rc = -1;
    PyObject *found = PyObject_CallMethodOneArg((PyObject *)type, st->str_errors_in, answer);
    if (found != NULL && PyList_Check(found)) {
        rc = 0;
        if (PyList_GET_SIZE(found) > 0 && *errors == NULL) {
            *errors = Py_NewRef(found);
        }
        else if (PyList_GET_SIZE(found) > 0) {
            rc = PyList_SetSlice(*errors, PyList_GET_SIZE(*errors), PyList_GET_SIZE(*errors),
                                 found);
        }
    }
    Py_XDECREF(found);
    Py_DECREF(answer);
    return rc;
}

/* Consumes errors. 0 when there are none; -1 with the class's exception. */
static int
refuse_if_any(ps_state *st, PyTypeObject *type, PyObject *errors, PyObject *whole)
{
    if (errors == NULL) {
        return 0;
    }
    PyObject *r =
        PyObject_CallMethodObjArgs((PyObject *)type, st->str_refuse, errors, whole, NULL);
    Py_XDECREF(r);
    Py_DECREF(errors);
    if (r != NULL) {
        PyErr_Format(PyExc_TypeError, "%.200s._refuse() raised nothing", type->tp_name);
    }
    return -1;
}

/* Asks the invariants of the fields in `which` (a bit a field), then those of the record. */
static ps_outcome
check_invariants(ps_state *st, ps_layout *layout, PyObject *record, uint64_t which)
{
    PyTypeObject *type = Py_TYPE(record);
    PyObject *errors = NULL;
    int rc = 0;
    for (Py_ssize_t i = 0; i < Py_SIZE(layout) && rc == 0; i++) {
        const ps_field *f = &layout->fields[i];
        if (f->invariant != NULL && which >> i & 1) {
            rc = ask_invariant(st, type, f->invariant, *PS_FIELD_AT(record, f), &errors);
        }
    }
    if (rc == 0) {
        rc = refuse_if_any(st, type, errors, Py_False);
        errors = NULL;
    }
    for (Py_ssize_t i = 0; rc == 0 && i < PyTuple_GET_SIZE(layout->invariants); i++) {
        rc = ask_invariant(st, type, PyTuple_GET_ITEM(layout->invariants, i), record, &errors);
    }
    if (rc == 0) {
        rc = refuse_if_any(st, type, errors, Py_True);
        errors = NULL;
    }
    Py_XDECREF(errors);
    return rc < 0 ? BAD : DONE;
}

static PyObject *
record_alloc(PyTypeObject *type)
{
    PyObject *self = type->tp_alloc(type, 0);
    if (self != NULL) {
        ((ps_flat_record *)self)->hash = -1;
    }
    return self;
}

/* ---- making */

static ps_outcome
fill_from_keywords(ps_layout *layout, PyObject *self, PyObject *kwargs, uint64_t *which)
{
    Py_ssize_t used = 0;
    for (Py_ssize_t i = 0; i < Py_SIZE(layout); i++) {
        const ps_field *f = &layout->fields[i];
        PyObject *value = kwargs == NULL ? NULL : PyDict_GetItemWithError(kwargs, f->name);
        if (value != NULL) {
            used++;
            if (!f->plain) {
                return SLOW;
            }
            *PS_FIELD_AT(self, f) = Py_NewRef(value);
            int fits = type_fits(f, value);
            if (fits <= 0) {
                return fits < 0 ? BAD : SLOW;
            }
        }
        else if (PyErr_Occurred()) {
            return BAD;
        }
        else if (f->initial != NULL) {
            if (!f->plain_initial) {
                return SLOW;
            }
            *PS_FIELD_AT(self, f) = Py_NewRef(f->initial);
        }
        else if (f->mandatory) {
            return SLOW;
        }
        else {
            continue;
        }
        *which |= UINT64_C(1) << i;
    }
    return kwargs == NULL || used == PyDict_GET_SIZE(kwargs) ? DONE : SLOW;
}

static PyObject *
record_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    ps_state *st = ps_state_of_type(type);
    ps_layout *layout = st == NULL ? NULL : ps_layout_of(st, type);
    if (layout == NULL) {
        return NULL;
    }
    if (PyTuple_GET_SIZE(args) > 0) {
        return PyErr_Format(PyExc_TypeError, "%.200s() takes fields by keyword only",
                            type->tp_name);
    }
    if (Py_SIZE(layout) <= PS_RECORD_FAST_FIELDS) {
        uint64_t which = 0;
        Py_INCREF(layout); /* user code below may give the class another one */
        PyObject *self = record_alloc(type);
        ps_outcome r = BAD;
        if (self != NULL) {
            r = fill_from_keywords(layout, self, kwargs, &which);
            if (r == DONE) {
                r = check_invariants(st, layout, self, which);
            }
        }
        Py_DECREF(layout);
        if (r == DONE) {
            return self;
        }
        Py_XDECREF(self);
        if (r == BAD) {
            return NULL;
        }
    }
    PyObject *fields = kwargs == NULL ? PyDict_New() : PyDict_Copy(kwargs);
    if (fields == NULL) {
        return NULL;
    }
    PyObject *self = PyObject_CallMethodOneArg((PyObject *)type, st->str_build, fields);
    Py_DECREF(fields);
    return self;
}

PyObject *
ps_record_make(PyObject *module, PyObject *args)
{
    ps_state *st = ps_state_of_module(module);
    PyTypeObject *type;
    PyObject *values, *name, *value;
    if (!PyArg_ParseTuple(args, "O!O!:_record_make", &PyType_Type, &type, &PyDict_Type, &values)) {
        return NULL;
    }
    ps_layout *layout = ps_layout_of(st, type);
    if (layout == NULL) {
        return NULL;
    }
    PyObject *self = record_alloc(type);
    Py_ssize_t at = 0;
    while (self != NULL && PyDict_Next(values, &at, &name, &value)) {
        PyObject *position = PyDict_GetItemWithError(layout->index, name);
        if (position == NULL) {
            if (!PyErr_Occurred()) {
                PyErr_Format(PyExc_AttributeError, "%.200s has no field %R", type->tp_name, name);
            }
            Py_CLEAR(self);
            break;
        }
        PyObject **slot = PS_FIELD_AT(self, &layout->fields[PyLong_AsSsize_t(position)]);
        *slot = Py_NewRef(value); /* a name occurs once: the slot was empty */
    }
    return self;
}

/* ---- replacing */

/* Position of a field; -1 when there is none, -2 with an exception. */
static Py_ssize_t
find_field(ps_layout *layout, PyObject *name)
{
    for (Py_ssize_t i = 0; i < Py_SIZE(layout); i++) {
        if (layout->fields[i].name == name) {
            return i;
        }
    }
    PyObject *position = PyDict_GetItemWithError(layout->index, name);
    return position != NULL ? PyLong_AsSsize_t(position) : PyErr_Occurred() ? -2 : -1;
}

static ps_outcome
put_field(ps_layout *layout, PyObject *copy, PyObject *name, PyObject *value, uint64_t *which)
{
    Py_ssize_t i = find_field(layout, name);
    if (i < 0) {
        return i == -1 ? SLOW : BAD;
    }
    const ps_field *f = &layout->fields[i];
    if (!f->plain) {
        return SLOW;
    }
    int fits = type_fits(f, value);
    if (fits <= 0) {
        return fits < 0 ? BAD : SLOW;
    }
    PyObject **slot = PS_FIELD_AT(copy, f);
    if (*slot != value) {
        PyObject *old = *slot; /* the record holds it, too: nothing dies here */
        *slot = Py_NewRef(value);
        Py_XDECREF(old);
        *which |= UINT64_C(1) << i;
    }
    return DONE;
}

static PyObject *
slow_set(ps_state *st, PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *changes = PyDict_New(), *result = NULL;
    Py_ssize_t n = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    if (changes == NULL) {
        return NULL;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        if (PyDict_SetItem(changes, PyTuple_GET_ITEM(kwnames, i), args[nargs + i]) < 0) {
            goto done;
        }
    }
    if (nargs == 2 && PyDict_SetItem(changes, args[0], args[1]) < 0) {
        goto done;
    }
    result = PyObject_CallMethodOneArg(self, st->str_replace, changes);
done:
    Py_DECREF(changes);
    return result;
}

static PyObject *
record_set(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyTypeObject *type = Py_TYPE(self);
    ps_state *st = ps_state_of_type(type);
    ps_layout *layout = st == NULL ? NULL : ps_layout_of(st, type);
    if (layout == NULL) {
        return NULL;
    }
    if (nargs != 0 && nargs != 2) {
        PyErr_Format(PyExc_TypeError, "set() takes a name and a value, or keywords (%zd given)",
                     nargs);
        return NULL;
    }
    if (Py_SIZE(layout) > PS_RECORD_FAST_FIELDS || !has_plain_maker(st, type)) {
        return slow_set(st, self, args, nargs, kwnames);
    }
    Py_INCREF(layout);
    Py_ssize_t n = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    ps_outcome r = DONE;
    uint64_t which = 0;
    PyObject *copy = record_alloc(type);
    if (copy == NULL) {
        Py_DECREF(layout);
        return NULL;
    }
    for (Py_ssize_t i = 0; i < Py_SIZE(layout); i++) {
        const ps_field *f = &layout->fields[i];
        *PS_FIELD_AT(copy, f) = Py_XNewRef(*PS_FIELD_AT(self, f));
    }
    if (nargs == 2) {
        r = put_field(layout, copy, args[0], args[1], &which);
    }
    for (Py_ssize_t i = 0; i < n && r == DONE; i++) {
        r = put_field(layout, copy, PyTuple_GET_ITEM(kwnames, i), args[nargs + i], &which);
    }
    for (Py_ssize_t i = 0; i < Py_SIZE(layout) && r == DONE; i++) {
        const ps_field *f = &layout->fields[i];
        if (*PS_FIELD_AT(copy, f) == NULL &&
            (f->mandatory || (layout->refill && f->initial != NULL))) {
            r = SLOW;
        }
    }
    if (r == DONE && which != 0) {
        r = check_invariants(st, layout, copy, which);
    }
    Py_DECREF(layout);
    if (r == DONE && which != 0) {
        return copy;
    }
    Py_DECREF(copy);
    return r == BAD    ? NULL
           : r == DONE ? Py_NewRef(self)
                       : slow_set(st, self, args, nargs, kwnames);
}

/* ---- as a value */

static PyObject *
record_to_dict(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    ps_state *st = ps_state_of_type(Py_TYPE(self));
    ps_layout *layout = st == NULL ? NULL : ps_layout_of(st, Py_TYPE(self));
    PyObject *dict = layout == NULL ? NULL : PyDict_New();
    for (Py_ssize_t i = 0; dict != NULL && i < Py_SIZE(layout); i++) {
        PyObject *value = *PS_FIELD_AT(self, &layout->fields[i]);
        if (value != NULL && PyDict_SetItem(dict, layout->fields[i].name, value) < 0) {
            Py_CLEAR(dict);
        }
    }
    return dict;
}

/* Field by field, for two records of one class. 1, 0, -1 */
static int
same_fields(ps_layout *layout, PyObject *a, PyObject *b)
{
    int equal = 1;
    if (Py_EnterRecursiveCall(" while comparing records")) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < Py_SIZE(layout) && equal > 0; i++) {
        PyObject *x = *PS_FIELD_AT(a, &layout->fields[i]);
        PyObject *y = *PS_FIELD_AT(b, &layout->fields[i]);
        if (x == NULL || y == NULL) {
            equal = x == y;
            continue;
        }
        Py_INCREF(x);
        Py_INCREF(y);
        equal = PyObject_RichCompareBool(x, y, Py_EQ);
        Py_DECREF(x);
        Py_DECREF(y);
    }
    Py_LeaveRecursiveCall();
    return equal;
}

static int
equal_by_fields(PyObject *a, PyObject *b)
{
    ps_state *st = ps_state_of_type(Py_TYPE(a));
    ps_layout *layout = st == NULL ? NULL : ps_layout_of(st, Py_TYPE(a));
    if (layout == NULL) {
        return -1;
    }
    Py_INCREF(layout);
    int equal = same_fields(layout, a, b);
    Py_DECREF(layout);
    return equal;
}

static PyObject *
record_richcompare(PyObject *a, PyObject *b, int op)
{
    if ((op != Py_EQ && op != Py_NE) || Py_TYPE(a) != Py_TYPE(b)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    int equal = a == b ? 1 : equal_by_fields(a, b);
    return equal < 0 ? NULL : PyBool_FromLong(op == Py_EQ ? equal : !equal);
}

/* That of the tuple of the values, with None for what is absent. */
static Py_hash_t
record_hash(PyObject *self)
{
    ps_flat_record *record = (ps_flat_record *)self;
    if (record->hash != -1) {
        return record->hash;
    }
    ps_state *st = ps_state_of_type(Py_TYPE(self));
    ps_layout *layout = st == NULL ? NULL : ps_layout_of(st, Py_TYPE(self));
    PyObject *values = layout == NULL ? NULL : PyTuple_New(Py_SIZE(layout));
    if (values == NULL) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < Py_SIZE(layout); i++) {
        PyObject *value = *PS_FIELD_AT(self, &layout->fields[i]);
        PyTuple_SET_ITEM(values, i, Py_NewRef(value == NULL ? Py_None : value));
    }
    Py_hash_t hash = -1;
    if (Py_EnterRecursiveCall(" while hashing a record") == 0) {
        hash = PyObject_Hash(values);
        Py_LeaveRecursiveCall();
    }
    Py_DECREF(values);
    record->hash = hash;
    return hash;
}

static int
record_setattro(PyObject *self, PyObject *name, PyObject *value)
{
    if (value == NULL) {
        PyErr_Format(PyExc_AttributeError, "Can't delete attribute, key=%S, use remove()", name);
    }
    else {
        PyErr_Format(PyExc_AttributeError,
                     "Can't set attribute, key=%S, value=%.200R: a record never changes, "
                     "use set()",
                     name, value);
    }
    return -1;
}

static PyObject *
record_copy(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return Py_NewRef(self);
}

static int
record_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self)); /* the slots: CPython's part of the subclass */
    return 0;
}

static void
record_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (((ps_flat_record *)self)->weakrefs != NULL) {
        PyObject_ClearWeakRefs(self);
    }
    type->tp_free(self);
    Py_DECREF(type);
}

#define FAST(function) (PyCFunction)(void (*)(void))(function)

static PyMethodDef record_methods[] = {
    {"set", FAST(record_set), METH_FASTCALL | METH_KEYWORDS,
     "set($self, /, *args, **fields)\n--\n\n"
     "A record with other values: set('x', 1) or set(x=1, y=2).\n\n"
     "All of the changes are made, or none: types and invariants are checked as for a new\n"
     "record.\n\n"
     "Cost: O(fields)."},
    {"_to_dict", record_to_dict, METH_NOARGS,
     "_to_dict($self, /)\n--\n\nThe fields that are set."},
    {"copy", record_copy, METH_NOARGS, "copy($self, /)\n--\n\nThe record itself."},
    {"__copy__", record_copy, METH_NOARGS, "__copy__($self, /)\n--\n\nThe record itself."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef record_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(ps_flat_record, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(record_doc, "What PClass inherits: a flat object that never changes.");

static PyType_Slot record_slots[] = {
    {Py_tp_doc, (void *)record_doc},   {Py_tp_new, record_new},
    {Py_tp_dealloc, record_dealloc},   {Py_tp_traverse, record_traverse},
    {Py_tp_setattro, record_setattro}, {Py_tp_richcompare, record_richcompare},
    {Py_tp_hash, record_hash},         {Py_tp_methods, record_methods},
    {Py_tp_members, record_members},   {0, NULL},
};

static PyType_Spec record_spec = {
    .name = "pstructs._core.Record",
    .basicsize = sizeof(ps_flat_record),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = record_slots,
};

/* ---- as a mapping */

/* Borrowed value of a field; NULL when there is none, or with an exception. */
static PyObject *
field_value(PyObject *self, PyObject *name)
{
    ps_state *st = ps_state_of_type(Py_TYPE(self));
    ps_layout *layout = st == NULL ? NULL : ps_layout_of(st, Py_TYPE(self));
    if (layout == NULL) {
        return NULL;
    }
    Py_INCREF(layout); /* the name's __eq__ may give the class another one */
    Py_ssize_t i = find_field(layout, name);
    PyObject *value = i < 0 ? NULL : *PS_FIELD_AT(self, &layout->fields[i]);
    Py_DECREF(layout);
    return value;
}

static PyObject *
maprecord_subscript(PyObject *self, PyObject *name)
{
    PyObject *value = field_value(self, name);
    if (value == NULL) {
        return PyErr_Occurred() ? NULL : ps_key_error(name);
    }
    return Py_NewRef(value);
}

static int
maprecord_contains(PyObject *self, PyObject *name)
{
    PyObject *value = field_value(self, name);
    return value != NULL ? 1 : PyErr_Occurred() ? -1 : 0;
}

static Py_ssize_t
maprecord_length(PyObject *self)
{
    ps_state *st = ps_state_of_type(Py_TYPE(self));
    ps_layout *layout = st == NULL ? NULL : ps_layout_of(st, Py_TYPE(self));
    Py_ssize_t n = 0;
    if (layout == NULL) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < Py_SIZE(layout); i++) {
        n += *PS_FIELD_AT(self, &layout->fields[i]) != NULL;
    }
    return n;
}

static PyObject *
maprecord_iter(PyObject *self)
{
    PyObject *dict = record_to_dict(self, NULL);
    PyObject *it = dict == NULL ? NULL : PyObject_GetIter(dict);
    Py_XDECREF(dict);
    return it;
}

static int
equal_to_mapping(ps_state *st, PyObject *self, PyObject *other)
{
    PyObject *mine = record_to_dict(self, NULL), *theirs = NULL;
    int equal = -1;
    if (mine == NULL) {
        return -1;
    }
    if (PyDict_Check(other) || ps_is_map(st, other)) {
        equal = PyObject_RichCompareBool(other, mine, Py_EQ);
    }
    else if ((theirs = PyDict_New()) != NULL && PyDict_Update(theirs, other) == 0) {
        equal = PyObject_RichCompareBool(mine, theirs, Py_EQ);
    }
    Py_DECREF(mine);
    Py_XDECREF(theirs);
    return equal;
}

static PyObject *
maprecord_richcompare(PyObject *a, PyObject *b, int op)
{
    if (op != Py_EQ && op != Py_NE) {
        return PyErr_Format(PyExc_TypeError, "%.200s: records are not orderable",
                            Py_TYPE(a)->tp_name);
    }
    int equal = a == b;
    if (!equal) {
        ps_state *st = ps_state_of_type(Py_TYPE(a));
        if (st == NULL) {
            return NULL;
        }
        if (Py_TYPE(a) == Py_TYPE(b)) {
            equal = equal_by_fields(a, b);
        }
        else {
            equal = ps_is_any_mapping(st, b);
            if (equal == 0) {
                Py_RETURN_NOTIMPLEMENTED;
            }
            if (equal > 0) {
                equal = equal_to_mapping(st, a, b);
            }
        }
    }
    return equal < 0 ? NULL : PyBool_FromLong(op == Py_EQ ? equal : !equal);
}

/* New reference: the PMap that a record equals. */
static PyObject *
maprecord_to_map(ps_state *st, PyObject *self)
{
    PyObject *dict = record_to_dict(self, NULL);
    ps_tree t = {0, 0};
    if (dict == NULL) {
        return NULL;
    }
    int rc = ps_tree_from_object(st, 2, dict, &t);
    Py_DECREF(dict);
    return rc < 0 ? NULL : ps_collection_new(st, 2, t);
}

static Py_hash_t
maprecord_hash(PyObject *self)
{
    ps_flat_record *record = (ps_flat_record *)self;
    if (record->hash == -1) {
        ps_state *st = ps_state_of_type(Py_TYPE(self));
        PyObject *map = st == NULL ? NULL : maprecord_to_map(st, self);
        if (map == NULL) {
            return -1;
        }
        Py_hash_t hash = PyObject_Hash(map);
        Py_DECREF(map);
        record->hash = hash;
    }
    return record->hash;
}

/* The hash domain's hook: a MapRecord that keeps its __hash__ counts as the map it equals. */
static int
stand_in(ps_state *st, PyObject *key, PyObject **plain)
{
    PyTypeObject *type = Py_TYPE(key);
    if (st->map_record == NULL || !PyType_IsSubtype(type, st->map_record) ||
        type->tp_hash != maprecord_hash) {
        return 0;
    }
    *plain = maprecord_to_map(st, key);
    return *plain == NULL ? -1 : 1;
}

PyDoc_STRVAR(maprecord_doc, "What PRecord inherits: a Record that is a Mapping.");

static PyType_Slot maprecord_slots[] = {
    {Py_tp_doc, (void *)maprecord_doc},   {Py_tp_dealloc, record_dealloc},
    {Py_tp_traverse, record_traverse},    {Py_tp_richcompare, maprecord_richcompare},
    {Py_tp_hash, maprecord_hash},         {Py_tp_iter, maprecord_iter},
    {Py_mp_length, maprecord_length},     {Py_mp_subscript, maprecord_subscript},
    {Py_sq_contains, maprecord_contains}, {0, NULL},
};

static PyType_Spec maprecord_spec = {
    .name = "pstructs._core.MapRecord",
    .basicsize = sizeof(ps_flat_record),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_MAPPING |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = maprecord_slots,
};

int
ps_record_types_init(ps_state *st, PyObject *module)
{
    st->str_record_layout = PyUnicode_InternFromString("_record_layout");
    st->str_build = PyUnicode_InternFromString("_build");
    st->str_replace = PyUnicode_InternFromString("_replace");
    st->str_errors_in = PyUnicode_InternFromString("_errors_in");
    st->str_refuse = PyUnicode_InternFromString("_refuse");
    if (st->str_record_layout == NULL || st->str_build == NULL || st->str_replace == NULL ||
        st->str_errors_in == NULL || st->str_refuse == NULL ||
        ps_record_layout_type_init(st, module) < 0) {
        return -1;
    }
    st->record = (PyTypeObject *)PyType_FromModuleAndSpec(module, &record_spec, NULL);
    if (st->record == NULL || PyModule_AddType(module, st->record) < 0) {
        return -1;
    }
    st->map_record =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &maprecord_spec, (PyObject *)st->record);
    if (st->map_record == NULL || PyModule_AddType(module, st->map_record) < 0) {
        return -1;
    }
    st->hash.stand_in_hook = stand_in;
    return 0;
}
