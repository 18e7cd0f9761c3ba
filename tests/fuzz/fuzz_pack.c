/* fuzz_pack.c -- libFuzzer on the pack reader: the core and CPython in one program.
 *
 * The problem: a fuzzer that changes bytes at random meets checksums and digests, and
 * one that sees no coverage of the C core stays where its seeds are. So the core is
 * compiled into this program with -fsanitize=fuzzer,address,undefined, is imported as
 * the built-in module pstructs._core, and the mutator below knows what a pack looks like:
 *
 *     body      libFuzzer's own mutations of all records, of any size
 *     record    the same within one record, whose size stays
 *     entry     the same within one key or value, of any size: the ends and the
 *               references behind it follow
 *     target    one reference is led to the start of another record
 *     copy      a record twice, for references to meet
 *     header    the same within the header
 *     count     what nodes say of the sizes of their children is made right, mostly
 *     seal      then sizes, root, digests and checksums are made right, nearly always
 *
 * What is done with the pack is Python: pack_reading.py. `make fuzz` builds and runs it.
 *
 *     fuzz_pack [libFuzzer's options] CORPUS     seeds are added to CORPUS
 *     fuzz_pack FILE                             one input again
 */
#include "blake2b.h"
#include "pack.h"

#include <stdio.h>
#include <stdlib.h>

PyMODINIT_FUNC PyInit__core(void);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);

static PyObject *read_pack;   /* pack_reading.read_pack */
static const uint8_t *base;   /* the pack that others import, kept alive by its module */
static size_t base_size;

/* ---- the program */

static void
must(bool fine)
{
    if (!fine) {
        if (PyErr_Occurred()) {
            PyErr_Print();
        }
        abort();
    }
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    PyPreConfig before;
    PyConfig config;
    PyPreConfig_InitPythonConfig(&before);
    before.allocator = PYMEM_ALLOCATOR_MALLOC; /* the sanitizer's */
    must(!PyStatus_Exception(Py_PreInitialize(&before)));
    must(PyImport_AppendInittab("pstructs._core", PyInit__core) == 0);
    PyConfig_InitPythonConfig(&config);
    config.install_signal_handlers = 0;
    config.write_bytecode = 0;
    must(!PyStatus_Exception(PyConfig_SetBytesString(&config, &config.program_name, FUZZ_PYTHON)));
    must(!PyStatus_Exception(Py_InitializeFromConfig(&config)));
    PyConfig_Clear(&config);

    PyObject *path = PySys_GetObject("path"); /* tests/pstructs is no package: last */
    must(path && PyList_Insert(path, 0, PyUnicode_FromString(FUZZ_ROOT)) == 0 &&
         PyList_Append(path, PyUnicode_FromString(FUZZ_ROOT "/tests")) == 0);
    PyObject *module = PyImport_ImportModule("fuzz.pack_reading");
    must(module != NULL);
    read_pack = PyObject_GetAttrString(module, "read_pack");
    PyObject *image = PyObject_GetAttrString(module, "BASE_IMAGE");
    must(read_pack && image && PyBytes_Check(image));
    base = (const uint8_t *)PyBytes_AS_STRING(image);
    base_size = (size_t)PyBytes_GET_SIZE(image);
    for (int i = 1; i < *argc; i++) {
        if ((*argv)[i][0] != '-') {
            must(PyObject_CallMethod(module, "write_seeds", "s", (*argv)[i]) != NULL);
            break; /* the first folder; a file is left as it is */
        }
    }
    return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    PyObject *image = PyBytes_FromStringAndSize((const char *)data, (Py_ssize_t)size);
    PyObject *result = image ? PyObject_CallOneArg(read_pack, image) : NULL;
    must(result != NULL);
    Py_DECREF(result);
    Py_DECREF(image);
    return 0;
}

/* ---- looking at a pack that may be anything */

static ps_pack
pack_over(const uint8_t *data, size_t size)
{
    ps_pack pack = {.data = data, .size = size, .end = size};
    uint64_t imports = 8 * (uint64_t)ps_load32(data + PS_H_IMPORTS);
    if (imports <= size - PS_PACK_HEADER) {
        pack.end = size - imports;
    }
    return pack;
}

/* A leaf of a vector that is numbers, without messages. */
static bool
is_numbers(const ps_record *r)
{
    return r->kind == PS_ARRAY_VECTOR && r->n_children == 0 && r->form != PS_A_MESSAGES;
}

/* Starts of the records, as far as they can be told apart; their number. */
enum { MAX_RECORDS = 512 };
static int
records_of(const ps_pack *pack, uint64_t *starts)
{
    int n = 0;
    ps_record r;
    for (uint64_t at = PS_PACK_HEADER; n < MAX_RECORDS && !ps_record_parse(pack, at, &r);) {
        starts[n++] = at;
        at += r.size;
    }
    return n;
}

/* Calls visit with each reference in the messages of a record. */
static void
message_refs(const ps_record *r, ps_msg_visit visit, void *arg)
{
    const uint8_t *p = r->content, *end = p + r->length, *next;
    for (; r->kind != PS_REC_RAW && !is_numbers(r) && p < end && (next = ps_msg_skip(p, end));
         p = next) {
        ps_msg_refs(p, end, visit, arg);
    }
}

/* Offset of child i, written where it stands. */
static void
set_child(const ps_record *r, uint32_t i, uint64_t offset)
{
    uint8_t *p = (uint8_t *)(uintptr_t)r->refs +
                 (uint64_t)i * (uint32_t)(r->import_width + r->offset_width) + r->import_width;
    for (int k = 0; k < r->offset_width; k++) {
        p[k] = (uint8_t)(offset >> 8 * k);
    }
}

/* ---- seal */

typedef struct {
    const ps_pack *pack;
    uint8_t *copy; /* of the payload at `content`, references blanked; NULL: collect */
    const uint8_t *content;
    uint8_t *digests; /* next one goes here */
} sealing;

static const uint8_t *
digest_at(const ps_pack *pack, ps_ref ref)
{
    static const uint8_t none[PS_DIGEST_SIZE];
    const uint8_t *data = ref.import ? base : pack->data;
    uint64_t size = ref.import ? base_size : pack->size;
    bool within = ref.offset >= PS_PACK_HEADER && ref.offset + PS_RECORD_MIN <= size;
    return within ? data + ref.offset + PS_R_DIGEST : none;
}

static int
seal_ref(void *arg, const uint8_t *p)
{
    sealing *s = arg;
    memcpy(s->digests, digest_at(s->pack, ps_ref_load(p)), PS_DIGEST_SIZE);
    s->digests += PS_DIGEST_SIZE;
    memset(s->copy + (p - s->content) + 1, 0, PS_REF_SIZE - 1);
    return 0;
}

static void
seal_record(const ps_pack *pack, const ps_record *r)
{
    uint8_t *at = (uint8_t *)(uintptr_t)r->at, head[9] = {r->kind};
    size_t n_head = 1;
    /* A reference in a message takes 10 bytes and gives a digest of 16. */
    uint8_t *message = malloc(9 + 3 * r->length + PS_DIGEST_SIZE * 33), *p = message;
    must(message != NULL);
    if (ps_kind_is_array(r->kind)) {
        head[1] = r->level;
        head[2] = r->at[PS_A_N];
        head[3] = r->form;
        n_head = 4;
    }
    else if (ps_kind_is_node(r->kind)) {
        head[0] |= r->flags & PS_RF_COLLISION;
        ps_store32(head + 1, r->datamap);
        ps_store32(head + 5, r->n_children ? r->nodemap : 0);
        n_head = sizeof head;
    }
    memcpy(p, head, n_head);
    p += n_head;
    memcpy(p, r->content, r->length);
    sealing s = {pack, p, r->content, p + r->length};
    for (uint32_t i = 0; ps_kind_is_node(r->kind) && i < r->n_children; i++) {
        memcpy(s.digests, digest_at(pack, ps_record_child(r, i)), PS_DIGEST_SIZE);
        s.digests += PS_DIGEST_SIZE;
    }
    message_refs(r, seal_ref, &s);
    ps_blake2b_digest(message, (size_t)(s.digests - message), at + PS_R_DIGEST);
    ps_store32(at, ps_crc32c(0, at + 4, (size_t)r->size - 4));
    free(message);
}

static void
seal(uint8_t *data, size_t size)
{
    uint64_t starts[MAX_RECORDS];
    ps_record r;
    ps_pack pack = pack_over(data, size);
    ps_store64(data + PS_H_TOTAL, size);
    int n = records_of(&pack, starts);
    for (int i = 0; i < n; i++) {
        if (ps_record_parse(&pack, starts[i], &r) == NULL) {
            seal_record(&pack, &r);
        }
    }
    if (n) {
        ps_store64(data + PS_H_ROOT_OFFSET, starts[n - 1]);
        ps_store64(data + PS_H_ROOT_LENGTH, r.size);
        memcpy(data + PS_H_ROOT_DIGEST, r.at + PS_R_DIGEST, PS_DIGEST_SIZE);
    }
    uint32_t crc = ps_crc32c(0, data, PS_H_CRC);
    ps_store32(data + PS_H_CRC, ps_crc32c(crc, data + pack.end, size - pack.end));
}

/* ---- count: sizes that nodes give for their children, from the first record on */

static uint64_t
count_at(const ps_pack *pack, ps_ref ref)
{
    ps_record r;
    ps_pack imported = pack_over(base, base_size);
    const ps_pack *target = ref.import ? &imported : pack;
    bool within = ref.offset >= PS_PACK_HEADER && ref.offset + PS_RECORD_MIN <= target->end;
    return within && !ps_record_parse(target, ref.offset, &r) && ps_kind_is_node(r.kind) ? r.count
                                                                                         : 1;
}

static void
store_count(uint8_t *p, int width, uint64_t count)
{
    for (int k = 0; k < width; k++) {
        p[k] = (uint8_t)(count >> 8 * k);
    }
}

static void
recount(uint8_t *data, size_t size)
{
    uint64_t starts[MAX_RECORDS];
    ps_record r;
    ps_pack pack = pack_over(data, size);
    for (int i = 0, n = records_of(&pack, starts); i < n; i++) {
        if (ps_record_parse(&pack, starts[i], &r) != NULL || !ps_kind_is_node(r.kind) ||
            !r.n_children) {
            continue;
        }
        bool array = ps_kind_is_array(r.kind);
        uint8_t *at = data + starts[i] + (array ? PS_A_NODE : PS_R_NODE + 4);
        uint64_t sum = array ? 0 : r.n_entries;
        for (uint32_t k = 0; k < r.n_children; k++) {
            uint64_t below = count_at(&pack, ps_record_child(&r, k));
            sum += below;
            if (array && r.sizes) {
                store_count(data + (r.sizes - data) + k * (uint64_t)r.size_width, r.size_width,
                            r.kind == PS_ARRAY_VECTOR ? sum : below);
            }
        }
        store_count(at, r.flags & PS_RF_WIDE_COUNT ? 8 : 4, sum);
    }
}

/* ---- mutations: each returns the new size */

static uint64_t
draw(uint64_t *state, uint64_t below)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return below ? (*state >> 33) % below : 0;
}

/* Mutate the n bytes at p of data, which may grow up to max bytes in all. */
static size_t
mutate_part(uint8_t *data, size_t size, size_t at, size_t n, size_t max)
{
    size_t room = max > size ? max - size : 0, most = n + (room < 64 ? room : 64);
    uint8_t *part = malloc(most + 1);
    must(part != NULL);
    memcpy(part, data + at, n);
    size_t k = LLVMFuzzerMutate(part, n, most);
    memmove(data + at + k, data + at + n, size - at - n);
    memcpy(data + at, part, k);
    free(part);
    return size - n + k;
}

/* The same with the size kept: what is left over stays as it was. */
static void
mutate_in_place(uint8_t *data, size_t n)
{
    uint8_t *part = malloc(n + 1);
    must(part != NULL);
    memcpy(part, data, n);
    size_t k = LLVMFuzzerMutate(part, n, n);
    memcpy(data, part, k);
    free(part);
}

typedef struct {
    uint64_t behind; /* references to records behind this one move */
    int64_t by;
    int pick; /* or: number of the one that is led to `to`; negative: count only */
    uint64_t to;
    int seen;
} moving;

static bool
moved(moving *m, ps_ref *ref)
{
    bool picked = m->seen++ == m->pick;
    if (picked) {
        ref->offset = m->to;
    }
    else if (m->by && ref->import == 0 && ref->offset > m->behind) {
        ref->offset += (uint64_t)m->by;
        picked = true;
    }
    return picked;
}

static int
move_ref(void *arg, const uint8_t *p)
{
    ps_ref ref = ps_ref_load(p);
    if (moved(arg, &ref)) {
        ps_ref_store((uint8_t *)(uintptr_t)p, ref);
    }
    return 0;
}

static void
move_refs(uint8_t *data, size_t size, moving *m)
{
    uint64_t starts[MAX_RECORDS];
    ps_record r;
    ps_pack pack = pack_over(data, size);
    for (int i = 0, n = records_of(&pack, starts); i < n; i++) {
        if (ps_record_parse(&pack, starts[i], &r) != NULL) {
            continue;
        }
        for (uint32_t k = 0; ps_kind_is_node(r.kind) && k < r.n_children; k++) {
            ps_ref ref = ps_record_child(&r, k);
            if (moved(m, &ref)) {
                set_child(&r, k, ref.offset);
            }
        }
        message_refs(&r, move_ref, m);
    }
}

static size_t
mutate_entry(uint8_t *data, size_t size, size_t max, const ps_record *r, uint64_t *rng)
{
    uint64_t from = 0, to = r->length;
    uint32_t i = 0;
    if (ps_kind_is_node(r->kind) && r->n_entries) {
        i = (uint32_t)draw(rng, r->n_entries);
        from = ps_record_start(r, i);
        to = ps_record_end(r, i);
    }
    if (from >= to || to > r->length || is_numbers(r)) {
        return size;
    }
    size_t at = (size_t)(r->content - data + (ptrdiff_t)from);
    size_t now = mutate_part(data, size, at, (size_t)(to - from), max);
    int64_t by = (int64_t)now - (int64_t)size;
    if (!ps_kind_is_node(r->kind)) {
        ps_store64(data + r->offset + PS_R_LENGTH, r->length + (uint64_t)by);
    }
    for (; ps_kind_is_node(r->kind) && i < r->n_entries; i++) {
        uint8_t *end = data + (r->ends - data) + (size_t)i * (size_t)r->end_width;
        uint64_t x = ps_record_end(r, i) + (uint64_t)by;
        for (int k = 0; k < r->end_width; k++) {
            end[k] = (uint8_t)(x >> 8 * k);
        }
    }
    moving m = {r->offset, by, -1, 0, 0};
    move_refs(data, now, &m);
    return now;
}

static void
lead_elsewhere(uint8_t *data, size_t size, const uint64_t *starts, int n, uint64_t *rng)
{
    moving m = {UINT64_MAX, 0, -1, 0, 0};
    move_refs(data, size, &m); /* counts them */
    if (m.seen) {
        m = (moving){UINT64_MAX, 0, (int)draw(rng, (uint64_t)m.seen),
                     starts[draw(rng, (uint64_t)n)], 0};
        move_refs(data, size, &m);
    }
}

/* A second copy of a record in front of another one. */
static size_t
copy_record(uint8_t *data, size_t size, size_t max, const ps_record *r, uint64_t before)
{
    if (r->size > 4096 || size + r->size > max || before < r->offset) {
        return size;
    }
    uint8_t copy[4096];
    memcpy(copy, r->at, r->size);
    size_t n = (size_t)r->size;
    memmove(data + before + n, data + before, size - before);
    memcpy(data + before, copy, n);
    moving m = {before - 1, (int64_t)n, -1, 0, 0};
    move_refs(data, size + n, &m);
    return size + n;
}

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
    uint64_t starts[MAX_RECORDS], rng = seed;
    ps_record r;
    if (size < PS_PACK_HEADER + PS_RECORD_MIN) {
        return LLVMFuzzerMutate(data, size, max_size);
    }
    for (uint64_t times = 1 + draw(&rng, 3); times--;) {
        ps_pack pack = pack_over(data, size);
        int n = records_of(&pack, starts);
        uint64_t what = n ? draw(&rng, 16) : 15;
        if (n && ps_record_parse(&pack, starts[draw(&rng, (uint64_t)n)], &r) != NULL) {
            continue;
        }
        if (what < 5) {
            size = mutate_entry(data, size, max_size, &r, &rng);
        }
        else if (what < 9) {
            mutate_in_place(data + r.offset + PS_R_FLAGS, (size_t)r.size - PS_R_FLAGS);
        }
        else if (what < 12) {
            lead_elsewhere(data, size, starts, n, &rng);
        }
        else if (what < 13) {
            size = copy_record(data, size, max_size, &r, starts[draw(&rng, (uint64_t)n)]);
        }
        else if (what < 14) {
            mutate_in_place(data + PS_H_VERSION, PS_H_CRC - PS_H_VERSION);
        }
        else {
            size = mutate_part(data, size, PS_PACK_HEADER, (size_t)pack.end - PS_PACK_HEADER,
                               max_size);
        }
        if (size < PS_PACK_HEADER + PS_RECORD_MIN) {
            return size;
        }
        if (draw(&rng, 4)) {
            recount(data, size);
        }
        if (draw(&rng, 32)) {
            seal(data, size);
        }
    }
    return size;
}
