/* hash_bytes.h -- H1 of bytes and of 64-bit integers, inline where it is hot.
 *
 * Of the wyhash / rapidhash class: words are xored with constants, multiplied 64 x 64 -> 128,
 * and the halves of the product folded together. Byte-exact in docs/spec/hash-v1.md.
 *
 * Not safe against an enemy, who may zero a factor (then the other one no longer counts); that
 * is what H2 is for.
 */
#ifndef PS_HASH_BYTES_H
#define PS_HASH_BYTES_H

#include "bits.h"

/* The first 64 bits of the fractions of sqrt(11), sqrt(19), sqrt(79), sqrt(409): odd, with 32
 * bits set each. Part of the domain. */
#define PS_P0 0x510e527fade682d1u
#define PS_P1 0x5be0cd19137e2179u
#define PS_P2 0xe360b596dc380c3fu
#define PS_P3 0x39479381ecbce703u
#define PS_GOLD 0x9e3779b97f4a7c15u /* 2^64 / golden ratio */
#define PS_SEED(kind) ((uint64_t)(kind) * PS_GOLD)

PS_INLINE uint64_t
ps_fold(uint64_t a, uint64_t b)
{
    __uint128_t product = (__uint128_t)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* The end of every length: the last two words, what came before, the length. */
PS_INLINE uint64_t
ps_hash_finish(uint64_t a, uint64_t b, uint64_t chain, size_t len)
{
    __uint128_t product = (__uint128_t)(a ^ PS_P1) * (b ^ PS_P2 ^ chain);
    return ps_fold((uint64_t)product ^ PS_P0 ^ len, (uint64_t)(product >> 64) ^ PS_P3);
}

/* H1 of len bytes under a seed. */
uint64_t ps_hash_bytes(const void *data, size_t len, uint64_t seed);

/* The same, inline up to 16 bytes. Reads within [data, data + len) only: short inputs have
 * overlapping words instead. */
PS_INLINE uint64_t
ps_hash_short(const void *data, size_t len, uint64_t seed)
{
    const unsigned char *p = data;
    uint64_t a = 0, b = 0;
    if (PS_UNLIKELY(len > 16)) {
        return ps_hash_bytes(data, len, seed);
    }
    if (PS_LIKELY(len >= 8)) {
        a = ps_load64(p);
        b = ps_load64(p + len - 8);
    }
    else if (PS_LIKELY(len >= 4)) {
        a = ps_load32(p);
        b = ps_load32(p + len - 4);
    }
    else if (PS_LIKELY(len > 0)) {
        a = (uint64_t)p[0] << 16 | (uint64_t)p[len >> 1] << 8 | p[len - 1];
    }
    return ps_hash_finish(a, b, seed, len);
}

/* H1 of an integer within 64 bits (two's complement): a bijection, so ints never collide. The
 * trie takes the top bits first, and the last multiplication makes those the best. */
PS_INLINE uint64_t
ps_hash_int64(int64_t n)
{
    uint64_t x = (uint64_t)n + PS_GOLD;
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    x ^= x >> 32;
    return x;
}

#endif
