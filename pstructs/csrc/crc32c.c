/* crc32c.c -- CRC-32C without the instruction: slicing by 8.
 *
 * The problem: one table lookup a byte costs a dependent load a byte. With eight
 * tables, table[k][b] is the checksum of byte b followed by k zero bytes, so
 * eight bytes are folded by eight independent loads:
 *
 *     crc ^ first four bytes | next four bytes
 *       t7   t6   t5   t4    |  t3  t2  t1  t0     all xored: the next crc
 *
 * The tables depend on the polynomial (0x1EDC6F41, reflected 0x82F63B78) only.
 * They are filled at the first use; two threads that race write equal words,
 * and the flag is published after the tables.
 *
 * Cost: about 1 ns a byte. (M. Kounavis, F. Berry, "Novel table lookup-based
 * algorithms for high-performance CRC generation", 2008.)
 */
#include "crc32c.h"

static uint32_t table[8][256];
static int table_ready;

static void
fill_tables(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++) {
            c = (c >> 1) ^ (0x82F63B78u & (0u - (c & 1)));
        }
        table[0][i] = c;
    }
    for (uint32_t i = 0; i < 256; i++) {
        for (int k = 1; k < 8; k++) {
            table[k][i] = (table[k - 1][i] >> 8) ^ table[0][table[k - 1][i] & 255];
        }
    }
    __atomic_store_n(&table_ready, 1, __ATOMIC_RELEASE);
}

uint32_t
ps_crc32c_portable(uint32_t crc, const void *data, size_t len)
{
    const uint8_t *p = data;
    if (PS_UNLIKELY(!__atomic_load_n(&table_ready, __ATOMIC_ACQUIRE))) {
        fill_tables();
    }
    uint32_t c = ~crc;
    for (; len >= 8; p += 8, len -= 8) {
        uint64_t x = ps_load64(p) ^ c;
        c = table[7][x & 255] ^ table[6][(x >> 8) & 255] ^ table[5][(x >> 16) & 255] ^
            table[4][(x >> 24) & 255] ^ table[3][(x >> 32) & 255] ^ table[2][(x >> 40) & 255] ^
            table[1][(x >> 48) & 255] ^ table[0][x >> 56];
    }
    for (; len; p++, len--) {
        c = (c >> 8) ^ table[0][(c ^ *p) & 255];
    }
    return ~c;
}

#ifndef __SSE4_2__
uint32_t
ps_crc32c(uint32_t crc, const void *data, size_t len)
{
    return ps_crc32c_portable(crc, data, len);
}
#endif
