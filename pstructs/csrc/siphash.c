/* siphash.c -- SipHash-1-3, the second hash of keys.
 *
 * Nobody is known to make two inputs collide in it cheaply, even with the key in
 * hand, so it separates what an attacker made collide in H1. One round a word
 * and three at the end: 15 ns for 16 bytes, paid only by keys that share H1.
 *
 *     v0 v1 v2 v3 <- key ^ "somepseudorandomlygeneratedbytes"
 *     word m:       v3 ^= m, one round, v0 ^= m
 *     last word:    the 0-7 bytes left, and the length's low byte on top
 *     end:          v2 ^= 0xff, three rounds, v0 ^ v1 ^ v2 ^ v3
 *
 * Aumasson & Bernstein, "SipHash: a fast short-input PRF", INDOCRYPT 2012.
 */
#include "siphash.h"

PS_INLINE uint64_t
rotate(uint64_t x, int n)
{
    return x << n | x >> (64 - n);
}

PS_INLINE void
sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] = rotate(v[2], 32);
}

uint64_t
ps_siphash13(const void *data, size_t len, uint64_t k0, uint64_t k1)
{
    const unsigned char *p = data;
    uint64_t v[4] = {k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du, k0 ^ 0x6c7967656e657261u,
                     k1 ^ 0x7465646279746573u};
    size_t left = len;
    for (; left >= 8; p += 8, left -= 8) {
        uint64_t word = ps_load64(p);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    uint64_t last = (uint64_t)len << 56;
    for (size_t i = 0; i < left; i++) {
        last |= (uint64_t)p[i] << (8 * i);
    }
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    sip_round(v);
    sip_round(v);
    sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
