/* hash_bytes.c -- H1 of more than 16 bytes.
 *
 *     > 48 bytes    three lanes of 16 bytes a step, so that the processor multiplies them at once
 *     > 16 bytes    one lane of 16 bytes a step
 *     the end       the last 16 bytes (again, where they were read already) and the length
 *
 *         chain = fold(word0 ^ P1, word1 ^ chain)
 *
 * Always leaves 1 to 16 bytes for the end, so nothing is read outside. About 0.1 ns a byte.
 * Idea: Wang Yi's wyhash and N. De Carli's rapidhash; constants and layout are our own.
 */
#include "hash_bytes.h"

PS_INLINE uint64_t
lane(const unsigned char *p, uint64_t constant, uint64_t chain)
{
    return ps_fold(ps_load64(p) ^ constant, ps_load64(p + 8) ^ chain);
}

uint64_t
ps_hash_bytes(const void *data, size_t len, uint64_t seed)
{
    if (len <= 16) {
        return ps_hash_short(data, len, seed);
    }
    const unsigned char *p = data;
    size_t left = len;
    uint64_t chain = seed;
    if (left > 48) {
        uint64_t second = seed, third = seed;
        do {
            chain = lane(p, PS_P1, chain);
            second = lane(p + 16, PS_P2, second);
            third = lane(p + 32, PS_P3, third);
            p += 48;
            left -= 48;
        } while (left > 48);
        chain ^= second ^ third;
    }
    for (; left > 16; left -= 16, p += 16) {
        chain = lane(p, PS_P1, chain);
    }
    return ps_hash_finish(ps_load64(p + left - 16), ps_load64(p + left - 8), chain, len);
}
