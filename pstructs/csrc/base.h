/* base.h -- build configuration and the few macros that every unit needs.
 *
 *   PS_DEBUG   check every invariant after every operation (slow).
 *   PS_SMALL   4-way nodes and hashes cut to a few bits, so that small tests
 *              reach deep trees, the second hash and collision nodes.
 *
 * Lowest layer: includes nothing of the project.
 */
#ifndef PS_BASE_H
#define PS_BASE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if !defined(__GNUC__) && !defined(__clang__)
#error "pstructs needs gcc or clang"
#endif
#if UINTPTR_MAX != UINT64_MAX
#error "pstructs needs a 64-bit platform"
#endif
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "pstructs needs a little-endian platform"
#endif

#define PS_LIKELY(x) __builtin_expect(!!(x), 1)
#define PS_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define PS_INLINE static inline __attribute__((always_inline))
#define PS_NOINLINE __attribute__((noinline))

#ifdef PS_SMALL
#define PS_BITS 2     /* hash bits a level */
#define PS_H1_BITS 6  /* how much of H1 the trie uses before it turns to H2 */
#define PS_H2_BITS 4  /* how much of H2 before a collision node */
#else
#define PS_BITS 5
#define PS_H1_BITS 64
#define PS_H2_BITS 64
#endif
#define PS_WIDTH (1 << PS_BITS)                                  /* slots a node */
#define PS_H1_LEVELS ((PS_H1_BITS + PS_BITS - 1) / PS_BITS)      /* 13 */
#define PS_H2_LEVELS ((PS_H2_BITS + PS_BITS - 1) / PS_BITS)      /* 13 */
#define PS_MAX_LEVEL (PS_H1_LEVELS + PS_H2_LEVELS) /* level of collision nodes: 26 */

/* Outcomes shared by the units. */
typedef enum {
    PS_ERROR = -1,    /* a Python exception is set */
    PS_NOT_FOUND = 0, /* no entry has this key */
    PS_FOUND = 1,     /* an entry has this key */
} ps_found;

typedef struct ps_state ps_state; /* the module state: state.h */

#endif
