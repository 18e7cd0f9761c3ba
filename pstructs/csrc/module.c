/* module.c -- pstructs._core: the module, its state and its functions. */
#include "collection_vector.h"
#include "hash.h"
#include "pack.h"
#include "sorted.h"
#include "type_deque.h"
#include "type_list.h"

static struct PyModuleDef core_module;

/* What kind of build this is: the tests print it. */
static const char build_kind[] =
#ifdef PS_DEBUG
    "debug"
#else
    "release"
#endif
#ifdef PS_SMALL
    "+small"
#endif
#ifdef __SANITIZE_ADDRESS__
    "+asan"
#endif
#if defined(__x86_64__) && !defined(__POPCNT__)
    "+portable"
#endif
    ;

ps_state *
ps_state_of_module(PyObject *module)
{
    return PyModule_GetState(module);
}

ps_state *
ps_state_of_type(PyTypeObject *type)
{
    PyObject *module = PyType_GetModuleByDef(type, &core_module);
    return module == NULL ? NULL : PyModule_GetState(module);
}

static int
core_exec(PyObject *module)
{
    ps_state *st = ps_state_of_module(module);
#if defined(__x86_64__) && defined(__POPCNT__)
    if (!__builtin_cpu_supports("popcnt") || !__builtin_cpu_supports("sse4.2")) {
        PyErr_SetString(PyExc_ImportError,
                        "this build of pstructs needs a processor with SSE4.2 and POPCNT; "
                        "build it with PSTRUCTS_PORTABLE=1 in the environment");
        return -1;
    }
#endif
    if (ps_node_init(st, module) < 0 || ps_hash_init(st) < 0 || ps_types_init(st, module) < 0 ||
        ps_pack_types_init(st, module) < 0 || ps_pack_builder_init(st, module) < 0) {
        if (!PyErr_Occurred()) {
            PyErr_NoMemory(); /* PyType_FromModuleAndSpec may forget to say it (3.11) */
        }
        return -1;
    }
    if (PyModule_AddStringConstant(module, "BUILD", build_kind) < 0) {
        return -1;
    }
    return PyModule_AddIntConstant(module, "HASH_DOMAIN", (long)PS_HASH_DOMAIN);
}

static int
core_traverse(PyObject *module, visitproc visit, void *arg)
{
    ps_state *st = ps_state_of_module(module);
    Py_VISIT(st->node_plain);
    Py_VISIT(st->node_gc);
    Py_VISIT(st->errors);
    Py_VISIT(st->pack);
    Py_VISIT(st->pack_writer);
    Py_VISIT(st->pack_builder);
    for (int i = 0; i < PS_CODEC_COUNT; i++) {
        Py_VISIT(st->pack_slots[i]);
    }
    int rc = ps_types_traverse(st, visit, arg);
    if (rc) {
        return rc;
    }
    return ps_hash_traverse(st, visit, arg);
}

static int
core_clear(PyObject *module)
{
    ps_state *st = ps_state_of_module(module);
    ps_types_clear(st);
    Py_CLEAR(st->node_plain);
    Py_CLEAR(st->node_gc);
    Py_CLEAR(st->errors);
    Py_CLEAR(st->pack);
    Py_CLEAR(st->pack_writer);
    Py_CLEAR(st->pack_builder);
    for (int i = 0; i < PS_CODEC_COUNT; i++) {
        Py_CLEAR(st->pack_slots[i]);
    }
    ps_hash_clear(st);
    return 0;
}

static void
core_free(void *module)
{
    core_clear(module);
    PyMem_Free(ps_state_of_module(module)->packs);
}

#define FASTCALL(function) (PyCFunction)(void (*)(void))(function)

static PyMethodDef core_methods[] = {
    {"pmap", FASTCALL(ps_pmap), METH_FASTCALL | METH_KEYWORDS,
     "pmap(initial={}, pre_size=0)\n--\n\n"
     "A PMap of a mapping or of (key, value) pairs. pre_size has no effect.\n\n"
     "Cost: O(n); O(1) for a PMap."},
    {"m", FASTCALL(ps_m), METH_FASTCALL | METH_KEYWORDS,
     "m(**entries)\n--\n\nA PMap of the keyword arguments."},
    {"pset", FASTCALL(ps_pset), METH_FASTCALL | METH_KEYWORDS,
     "pset(iterable=(), pre_size=8)\n--\n\n"
     "A PSet of the elements of iterable. pre_size has no effect.\n\n"
     "Cost: O(n); O(1) for a PSet."},
    {"s", FASTCALL(ps_s), METH_FASTCALL, "s(*elements)\n--\n\nA PSet of the arguments."},
    {"plist", FASTCALL(ps_plist), METH_FASTCALL | METH_KEYWORDS,
     "plist(iterable=(), reverse=False)\n--\n\n"
     "A PList of the elements of iterable, in reverse order if reverse is true.\n\n"
     "Cost: O(n); O(1) for a PList."},
    {"l", FASTCALL(ps_l), METH_FASTCALL, "l(*elements)\n--\n\nA PList of the arguments."},
    {"pdeque", FASTCALL(ps_pdeque), METH_FASTCALL | METH_KEYWORDS,
     "pdeque(iterable=(), maxlen=None)\n--\n\n"
     "A PDeque of the elements of iterable, of the last maxlen of them if it is given.\n\n"
     "Cost: O(n); O(log32 n) for a PDeque."},
    {"dq", FASTCALL(ps_dq), METH_FASTCALL, "dq(*elements)\n--\n\nA PDeque of the arguments."},
    {"pvector", FASTCALL(ps_pvector), METH_FASTCALL | METH_KEYWORDS,
     "pvector(iterable=())\n--\n\n"
     "A PVector of the elements of iterable. Arrays and buffers of numbers are read fast,\n"
     "and give Python numbers.\n\n"
     "Cost: O(n); O(1) for a PVector."},
    {"v", FASTCALL(ps_v), METH_FASTCALL, "v(*elements)\n--\n\nA PVector of the arguments."},
    {"psortedmap", FASTCALL(ps_psortedmap), METH_FASTCALL | METH_KEYWORDS,
     "psortedmap(initial=(), *, key=None)\n--\n\n"
     "A PSortedMap of a mapping or of (key, value) pairs, ordered by the keys or by\n"
     "what the function key returns for them.\n\n"
     "Cost: O(n) for sorted input, else O(n log n); O(1) for a PSortedMap in that order."},
    {"psortedset", FASTCALL(ps_psortedset), METH_FASTCALL | METH_KEYWORDS,
     "psortedset(iterable=(), *, key=None)\n--\n\n"
     "A PSortedSet of the elements of iterable, ordered by themselves or by what the\n"
     "function key returns for them.\n\n"
     "Cost: O(n) for sorted input, else O(n log n); O(1) for a PSortedSet in that order."},
    {"partition", FASTCALL(ps_partition), METH_FASTCALL | METH_KEYWORDS,
     "partition(collection, i, n)\n--\n\n"
     "Part i (from 0) of n disjoint parts of a PMap or PSet, of similar size, cut\n"
     "along subtrees: the parts share nearly all nodes with the collection. Those of\n"
     "a PSortedMap or PSortedSet are ranges of equal size, up to one entry.\n\n"
     "Cost: O(32 log32 n) for a collection of n entries."},
    {"_check", ps_check, METH_O,
     "_check(collection, /)\n--\n\nAssert every invariant of a PMap, PSet or evolver."},
    {"stable_hash", ps_stable_hash, METH_O,
     "stable_hash(obj, /)\n--\n\nH1 of obj in the hash domain, as an unsigned 64-bit integer."},
    {"_hash1", ps_py_hash1, METH_O, "_hash1(obj, /)\n--\n\nH1 of any key, heap-only ones too."},
    {"_hash2", ps_py_hash2, METH_O, "_hash2(obj, /)\n--\n\nH2 of any key, heap-only ones too."},
    {"_hash_is_stable", ps_py_hash_is_stable, METH_O,
     "_hash_is_stable(obj, /)\n--\n\nWhether obj can be a key in a pack."},
    {"_register_key_type", ps_py_register_key_type, METH_VARARGS,
     "_register_key_type(cls, name, encode, by_parts=False, /)\n--\n\n"
     "Hash keys of cls by name and encode(key). by_parts: it may hold heap-only keys."},
    {"_diff", (PyCFunction)(void (*)(void))ps_diff, METH_FASTCALL,
     "_diff(a, b, /)\n--\n\n(added, removed, changed) from a to b."},
    {"_patch", (PyCFunction)(void (*)(void))ps_patch, METH_FASTCALL,
     "_patch(a, added, removed, changed, /)\n--\n\na with the changes of a diff."},
    {"_merge", (PyCFunction)(void (*)(void))ps_merge, METH_FASTCALL,
     "_merge(base, ours, theirs, resolve, absent, /)\n--\n\n(merged, conflicts)."},
    {"_record_make", ps_record_make, METH_VARARGS,
     "_record_make(cls, values, /)\n--\n\nA record of cls with the values of a dict, unchecked."},
    {"_vector_edits", FASTCALL(ps_vector_edits), METH_FASTCALL,
     "_vector_edits(a, b, /)\n--\n\n[(a_lo, a_hi, b_lo, b_hi)]: the ranges that were replaced."},
    {"_vector_chunks", ps_vector_chunks, METH_O,
     "_vector_chunks(vector, /)\n--\n\nThe leaves: memoryviews of saved numbers, or lists."},
    {"_crc32c", ps_py_crc32c, METH_O,
     "_crc32c(data, /)\n--\n\nCRC-32C of data, by the fast and by the portable version."},
    {"_digests", ps_py_digests, METH_O,
     "_digests(messages, /)\n--\n\nThe digests of a list of bytes, joined."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot core_slots[] = {
    {Py_mod_exec, core_exec},
#if PY_VERSION_HEX >= 0x030C0000
    /* All state is the module's: interpreters share nothing, and need no common lock. */
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
    {0, NULL},
};

static struct PyModuleDef core_module = {
    PyModuleDef_HEAD_INIT,       .m_name = "pstructs._core", .m_doc = "The C core of pstructs.",
    .m_size = sizeof(ps_state),  .m_methods = core_methods,  .m_slots = core_slots,
    .m_traverse = core_traverse, .m_clear = core_clear,      .m_free = core_free,
};

PyMODINIT_FUNC
PyInit__core(void)
{
    return PyModuleDef_Init(&core_module);
}
