/* siphash.h -- SipHash-1-3 (Aumasson & Bernstein 2012, with 1 + 3 rounds). */
#ifndef PS_SIPHASH_H
#define PS_SIPHASH_H

#include "bits.h"

uint64_t ps_siphash13(const void *data, size_t len, uint64_t k0, uint64_t k1);

#endif
