/* bits.h -- bit tricks: population count, unaligned loads, prefetch. */
#ifndef PS_BITS_H
#define PS_BITS_H

#include "base.h"

/* Number of set bits. Without -mpopcnt libgcc's table version costs 25-75 % of
 * a lookup, so this is the SWAR form when the instruction is not compiled in. */
PS_INLINE int
ps_popcount(uint32_t x)
{
#ifdef __POPCNT__
    return __builtin_popcount(x);
#else
    x = x - ((x >> 1) & 0x55555555u);
    x = (x & 0x33333333u) + ((x >> 2) & 0x33333333u);
    return (int)((((x + (x >> 4)) & 0x0f0f0f0fu) * 0x01010101u) >> 24);
#endif
}

PS_INLINE int
ps_ctz(uint32_t x)
{
    return __builtin_ctz(x);
}

/* Position of bitpos among the set bits of bitmap. */
PS_INLINE int
ps_index(uint32_t bitmap, uint32_t bitpos)
{
    return ps_popcount(bitmap & (bitpos - 1));
}

PS_INLINE uint16_t
ps_load16(const void *p)
{
    uint16_t x;
    memcpy(&x, p, sizeof x);
    return x;
}

PS_INLINE uint32_t
ps_load32(const void *p)
{
    uint32_t x;
    memcpy(&x, p, sizeof x);
    return x;
}

PS_INLINE uint64_t
ps_load64(const void *p)
{
    uint64_t x;
    memcpy(&x, p, sizeof x);
    return x;
}

PS_INLINE void
ps_store16(void *p, uint16_t x)
{
    memcpy(p, &x, sizeof x);
}

PS_INLINE void
ps_store32(void *p, uint32_t x)
{
    memcpy(p, &x, sizeof x);
}

PS_INLINE void
ps_store64(void *p, uint64_t x)
{
    memcpy(p, &x, sizeof x);
}

#define ps_prefetch(p) __builtin_prefetch((const void *)(p), 0, 3)

#endif
