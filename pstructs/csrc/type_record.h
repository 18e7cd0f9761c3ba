/* type_record.h -- records: flat objects whose fields are slots of their class.
 *
 * A class of records is made in Python (pstructs/_field.py): CPython lays its
 * fields out as slots, which gives reading a field the interpreter's fastest
 * path. Here is what those classes inherit: making, replacing, comparing and
 * hashing instances, driven by the layout of the class. */
#ifndef PS_TYPE_RECORD_H
#define PS_TYPE_RECORD_H

#include "collection.h"

/* Base of every record; the slots follow. */
typedef struct {
    PyObject_HEAD
    Py_hash_t hash; /* -1: not computed yet */
    PyObject *weakrefs;
} ps_flat_record;

/* A field, as far as C knows it. All references are owned. */
typedef struct {
    PyObject *name; /* interned */
    Py_ssize_t offset;
    PyObject *types;     /* a class, a tuple of classes, or NULL: any */
    PyObject *initial;   /* NULL: none */
    PyObject *invariant; /* NULL: none */
    bool mandatory;
    bool plain;         /* a value of the right type is stored as it is given */
    bool plain_initial; /* so is the initial value */
} ps_field;

/* The fields of one class, in order; immutable. */
typedef struct {
    PyObject_VAR_HEAD
    PyTypeObject *owner;  /* the class it was made for; offsets hold for its subclasses too */
    PyObject *index;      /* dict: name -> position */
    PyObject *names;      /* tuple */
    PyObject *invariants; /* tuple of functions of the whole record */
    bool refill;          /* replacing fields gives absent ones their initial value */
    ps_field fields[];
} ps_layout;

enum { PS_RECORD_FAST_FIELDS = 64 }; /* records of more fields are made in Python */

#define PS_FIELD_AT(record, field) ((PyObject **)((char *)(record) + (field)->offset))

/* Borrowed: the layout of a class of records; NULL with an exception. */
ps_layout *ps_layout_of(ps_state *st, PyTypeObject *type);

int ps_record_layout_type_init(ps_state *st, PyObject *module);

#endif
