/* champ_same.c -- comparing keys and values wherever they live.
 *
 * Both slots may be heap objects or packed bytes. Two packed slots with one
 * address are one value; else at most one side is decoded for a key, both for a
 * value. Exact strings and ints are compared without leaving C, so that walks
 * over ordinary trees never run user code.
 */
#include "champ_part.h"

/* a == b, with a short way for exact ints. Borrows; both are held meanwhile. */
static int
objects_eq(PyObject *a, PyObject *b)
{
    if (PyLong_CheckExact(a) && PyLong_CheckExact(b) && a != b) {
        PyObject *res = PyLong_Type.tp_richcompare(a, b, Py_EQ);
        if (res == NULL) {
            return -1;
        }
        int eq = res == Py_True;
        Py_DECREF(res);
        return eq;
    }
    return ps_key_eq(a, b);
}

int
ps_slots_key_eq_slow(ps_state *st, ps_slot a, ps_slot b)
{
    if (PS_LIKELY(!ps_slot_is_packed(a) && !ps_slot_is_packed(b))) {
        return objects_eq(ps_slot_obj(a), ps_slot_obj(b));
    }
    if (!ps_slot_is_packed(b)) {
        return st->pack_ops->key_eq(st, a, ps_slot_obj(b));
    }
    PyObject *key = ps_slot_get(st, a);
    if (key == NULL) {
        return -1;
    }
    int eq = st->pack_ops->key_eq(st, b, key);
    Py_DECREF(key);
    return eq;
}

/* strict: values of different types differ. */
static int
values_eq(ps_state *st, ps_slot a, ps_slot b, bool strict)
{
    PyObject *x = ps_slot_get(st, a);
    PyObject *y = x == NULL ? NULL : ps_slot_get(st, b);
    int eq = -1;
    if (y != NULL) {
        eq = strict && Py_TYPE(x) != Py_TYPE(y) ? 0 : objects_eq(x, y);
    }
    Py_XDECREF(x);
    Py_XDECREF(y);
    return eq;
}

int
ps_slots_value_eq_slow(ps_state *st, ps_slot a, ps_slot b)
{
    return values_eq(st, a, b, false);
}

int
ps_slots_value_same_slow(ps_state *st, ps_slot a, ps_slot b)
{
    return values_eq(st, a, b, true);
}
