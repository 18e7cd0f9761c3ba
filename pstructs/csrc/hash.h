/* hash.h -- the hash domain: the same hash of a key in every process.
 *
 *   H1  fast 64-bit hash with published constants (docs/spec/hash-v1.md)
 *   H2  SipHash-1-3 of the same canonical bytes, used below H1
 *
 * x == y implies equal hashes. An object of a type outside the domain gets a
 * mix of hash(obj): good in this process only, and refused by saving.
 */
#ifndef PS_HASH_H
#define PS_HASH_H

#include "base.h"

#ifdef PS_SMALL
#define PS_HASH_DOMAIN 0x80000001u
#else
#define PS_HASH_DOMAIN 1u
#endif

/* What hashing keeps in the module state (imported classes, type registry). */
typedef struct {
    PyObject *slots[16]; /* owned; meaning is private to hash.c */
} ps_hash_state;

int ps_hash_init(ps_state *st);
int ps_hash_traverse(ps_state *st, visitproc visit, void *arg);
void ps_hash_clear(ps_state *st);

/* H1 / H2 of any key. 0, or -1 with an exception. Both may run user code. */
int ps_hash1_slow(ps_state *st, PyObject *key, uint64_t *h);
int ps_hash2(ps_state *st, PyObject *key, uint64_t *h);

/* Whether saving can write this key: 1, or 0 for heap-only types; -1 error. */
int ps_hash_is_stable(ps_state *st, PyObject *key);

/* H1 of len bytes under a domain seed (short inputs inline: hash_bytes.h). */
uint64_t ps_hash_bytes(const void *data, size_t len, uint64_t seed);

/* The bijective mixer of integers within 64 bits (two's complement). */
PS_INLINE uint64_t
ps_hash_int64(int64_t n)
{
    uint64_t x = (uint64_t)n + 0x9E3779B97F4A7C15u;
    x ^= x >> 32;
    x *= 0xD6E8FEB86659FD93u;
    x ^= x >> 32;
    x *= 0xD6E8FEB86659FD93u;
    x ^= x >> 32;
    return x;
}

/* H1, with the paths of exact str and exact small int inline. */
int ps_hash1(ps_state *st, PyObject *key, uint64_t *h);

/* Python: pstructs.stable_hash(obj) -> int (H1 as unsigned 64-bit). */
PyObject *ps_stable_hash(PyObject *module, PyObject *obj);

#endif
