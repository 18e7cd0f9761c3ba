/* crc32c.h -- CRC-32C (Castagnoli), the checksum of every record of a pack.
 *
 * With SSE4.2 one instruction takes 8 bytes: 7, 12 and 25 ns for 16, 64 and 150
 * bytes. Elsewhere a table of 8 x 256 words (slicing by 8) does the same work.
 */
#ifndef PS_CRC32C_H
#define PS_CRC32C_H

#include "bits.h"

#ifdef __SSE4_2__
#include <nmmintrin.h>

/* The checksum of len bytes, going on from that of the bytes before (0 at first). */
PS_INLINE uint32_t
ps_crc32c(uint32_t crc, const void *data, size_t len)
{
    const uint8_t *p = data;
    uint64_t c = ~crc;
    for (; len >= 8; p += 8, len -= 8) {
        c = _mm_crc32_u64(c, ps_load64(p));
    }
    if (len & 4) {
        c = _mm_crc32_u32((uint32_t)c, ps_load32(p));
        p += 4;
    }
    if (len & 2) {
        c = _mm_crc32_u16((uint32_t)c, ps_load16(p));
        p += 2;
    }
    if (len & 1) {
        c = _mm_crc32_u8((uint32_t)c, *p);
    }
    return ~(uint32_t)c;
}
#else
uint32_t ps_crc32c(uint32_t crc, const void *data, size_t len);
#endif

/* The table version, whatever the processor: the tests compare the two. */
uint32_t ps_crc32c_portable(uint32_t crc, const void *data, size_t len);

#endif
