/* pack_chunks.c -- the elements of a vector leaf by leaf, machine numbers where they are.
 *
 * A leaf of numbers in a pack is an array already (pack_array.c). It is given out as a
 * memoryview of the pack, which stays open as long as the view; every other leaf as a list.
 *
 * Cost: O(n / PS_WIDTH) where the leaves are arrays, O(n) else.
 */
#include "pack.h"
#include "rrb_part.h"

/* A view of n numbers of a leaf's form. */
static PyObject *
view_of(ps_pack *pack, const ps_record *r)
{
    static const char *const formats[] = {NULL, "q", "d", "?"};
    PyObject *whole = PyMemoryView_FromObject((PyObject *)pack);
    Py_ssize_t start = (Py_ssize_t)(r->content - pack->data);
    PyObject *part =
        whole ? PySequence_GetSlice(whole, start, start + (Py_ssize_t)r->length) : NULL;
    PyObject *view = part ? PyObject_CallMethod(part, "cast", "s", formats[r->form]) : NULL;
    Py_XDECREF(whole);
    Py_XDECREF(part);
    return view;
}

static PyObject *
leaf_chunk(ps_state *st, ps_slot s, Py_ssize_t count)
{
    if (ps_slot_is_packed(s)) {
        ps_record r;
        ps_pack *pack = ps_pack_of(st, s);
        if (ps_record_open(st, pack, ps_slot_offset(s), &r) < 0) {
            return NULL;
        }
        if (r.kind == PS_ARRAY_VECTOR && r.level == 0 && r.form != PS_A_MESSAGES &&
            r.count == (uint64_t)count) {
            return view_of(pack, &r);
        }
    }
    ps_node *leaf = ps_rrb_open(st, s, 0, count);
    PyObject *list = leaf ? PyList_New(leaf->datamap) : NULL;
    for (uint32_t i = 0; list != NULL && i < leaf->datamap; i++) {
        PyObject *x = ps_slot_get(st, leaf->slots[i]);
        if (x == NULL) {
            Py_CLEAR(list);
            break;
        }
        PyList_SET_ITEM(list, (Py_ssize_t)i, x);
    }
    Py_XDECREF(leaf);
    return list;
}

static int
add_chunks(ps_state *st, PyObject *out, ps_slot s, int level, Py_ssize_t count)
{
    if (level == 0) {
        PyObject *chunk = leaf_chunk(st, s, count);
        int rc = chunk ? PyList_Append(out, chunk) : -1;
        Py_XDECREF(chunk);
        return rc;
    }
    ps_node *n = ps_rrb_open(st, s, level, count);
    if (n == NULL) {
        return -1;
    }
    Py_ssize_t sizes[PS_WIDTH];
    int rc = 0;
    ps_rrb_sizes(n, level, count, sizes);
    for (uint32_t i = 0; rc == 0 && i < n->datamap; i++) {
        rc = add_chunks(st, out, n->slots[i], level - 1, sizes[i]);
    }
    Py_DECREF(n);
    return rc;
}

PyObject *
ps_vector_chunks(PyObject *module, PyObject *vector)
{
    ps_state *st = ps_state_of_module(module);
    if (!ps_is_vector(st, vector)) {
        PyErr_Format(PyExc_TypeError, "_vector_chunks() wants a PVector, not %.200s",
                     Py_TYPE(vector)->tp_name);
        return NULL;
    }
    const ps_rrb *t = ps_vector_tree(vector); /* the caller holds the vector */
    PyObject *out = PyList_New(0);
    if (out != NULL &&
        ((t->n_head && add_chunks(st, out, t->head, 0, (Py_ssize_t)t->n_head) < 0) ||
         (t->body && add_chunks(st, out, t->root, (int)(t->shift / PS_BITS), t->body) < 0) ||
         (ps_rrb_n_tail(t) && add_chunks(st, out, t->tail, 0, ps_rrb_n_tail(t)) < 0))) {
        Py_CLEAR(out);
    }
    return out;
}
