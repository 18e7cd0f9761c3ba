/* blake2b.c -- BLAKE2b-128, one message or four at a time.
 *
 * The problem: saving a million entries digests some 330,000 small nodes, and a
 * digest of one 128-byte block costs about 150 ns in plain C. Sibling nodes do
 * not depend on each other, so four of them run side by side, one in each 64-bit
 * lane of a 256-bit word:
 *
 *     lane     0        1        2        3
 *     v[0]   node a   node b   node c   node d      the same 12 rounds of G
 *     ...                                           for all four at once
 *     v[15]
 *
 * Messages of unlike length share a group too: a lane whose message has ended
 * gives its digest at once and then goes on over its last block, unread.
 * Sorting by the number of blocks first keeps such waste small.
 *
 * The four-lane version is written in the compiler's vector extension, compiled
 * for AVX2 in its own function and chosen at run time.
 *
 * Paper: J.-P. Aumasson, S. Neves, Z. Wilcox-O'Hearn, C. Winnerlein, "BLAKE2:
 * simpler, smaller, fast as MD5", 2013; RFC 7693.
 */
#include "blake2b.h"

static const uint64_t IV[8] = {
    UINT64_C(0x6a09e667f3bcc908), UINT64_C(0xbb67ae8584caa73b), UINT64_C(0x3c6ef372fe94f82b),
    UINT64_C(0xa54ff53a5f1d36f1), UINT64_C(0x510e527fade682d1), UINT64_C(0x9b05688c2b3e6c1f),
    UINT64_C(0x1f83d9abfb41bd6b), UINT64_C(0x5be0cd19137e2179),
};

/* Digest length 16, no key, fan-out and depth 1. */
#define PARAMETERS UINT64_C(0x01010010)

/* Calls R(round, s0 .. s15) for the twelve rounds with their message schedule. */
#define ROUNDS(R)                                                                                 \
    R(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)                                       \
    R(14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3)                                       \
    R(11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4)                                       \
    R(7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8)                                       \
    R(9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13)                                       \
    R(2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9)                                       \
    R(12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11)                                       \
    R(13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10)                                       \
    R(6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5)                                       \
    R(10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0)                                       \
    R(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)                                       \
    R(14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3)

#define G(a, b, c, d, x, y)                                                                       \
    v[a] = v[a] + v[b] + m[x];                                                                    \
    v[d] = ROTATE(v[d] ^ v[a], 32);                                                               \
    v[c] = v[c] + v[d];                                                                           \
    v[b] = ROTATE(v[b] ^ v[c], 24);                                                               \
    v[a] = v[a] + v[b] + m[y];                                                                    \
    v[d] = ROTATE(v[d] ^ v[a], 16);                                                               \
    v[c] = v[c] + v[d];                                                                           \
    v[b] = ROTATE(v[b] ^ v[c], 63);

#define ROUND(s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15)               \
    G(0, 4, 8, 12, s0, s1)                                                                        \
    G(1, 5, 9, 13, s2, s3)                                                                        \
    G(2, 6, 10, 14, s4, s5)                                                                       \
    G(3, 7, 11, 15, s6, s7)                                                                       \
    G(0, 5, 10, 15, s8, s9)                                                                       \
    G(1, 6, 11, 12, s10, s11)                                                                     \
    G(2, 7, 8, 13, s12, s13)                                                                      \
    G(3, 4, 9, 14, s14, s15)

#define ROTATE(x, n) (((x) >> (n)) | ((x) << (64 - (n))))

static void
compress(uint64_t h[8], const uint8_t *block, uint64_t length, bool last)
{
    uint64_t v[16], m[16];
    memcpy(m, block, sizeof m);
    for (int i = 0; i < 8; i++) {
        v[i] = h[i];
        v[i + 8] = IV[i];
    }
    v[12] ^= length;
    v[14] ^= last ? UINT64_MAX : 0;
    ROUNDS(ROUND)
    for (int i = 0; i < 8; i++) {
        h[i] ^= v[i] ^ v[i + 8];
    }
}

void
ps_blake2b_init(ps_blake2b *b)
{
    memcpy(b->h, IV, sizeof b->h);
    b->h[0] ^= PARAMETERS;
    b->length = 0;
    b->fill = 0;
}

void
ps_blake2b_update(ps_blake2b *b, const void *data, size_t len)
{
    const uint8_t *p = data;
    while (len) {
        if (b->fill == sizeof b->block) {
            /* More follows, so the full block is not the last one. */
            b->length += sizeof b->block;
            compress(b->h, b->block, b->length, false);
            b->fill = 0;
        }
        if (b->fill == 0) {
            for (; len > sizeof b->block; p += sizeof b->block, len -= sizeof b->block) {
                b->length += sizeof b->block;
                compress(b->h, p, b->length, false);
            }
        }
        size_t room = sizeof b->block - b->fill;
        size_t n = len < room ? len : room;
        memcpy(b->block + b->fill, p, n);
        b->fill += n;
        p += n;
        len -= n;
    }
}

void
ps_blake2b_final(ps_blake2b *b, uint8_t digest[PS_DIGEST_SIZE])
{
    memset(b->block + b->fill, 0, sizeof b->block - b->fill);
    compress(b->h, b->block, b->length + b->fill, true);
    memcpy(digest, b->h, PS_DIGEST_SIZE);
}

void
ps_blake2b_digest(const void *data, size_t len, uint8_t digest[PS_DIGEST_SIZE])
{
    ps_blake2b b;
    ps_blake2b_init(&b);
    ps_blake2b_update(&b, data, len);
    ps_blake2b_final(&b, digest);
}

/* ---- four messages at once */

static size_t
blocks_of(size_t len)
{
    return len <= 128 ? 1 : (len + 127) / 128;
}

#if defined(__x86_64__) && defined(__GNUC__)
#define HAVE_FOUR 1

typedef uint64_t v4 __attribute__((vector_size(32)));

#undef ROTATE
#define ROTATE(x, n) (((x) >> (n)) | ((x) << (64 - (n))))

__attribute__((target("avx2"), noinline)) static void
digest_four(ps_blake2b_job *job)
{
    v4 h[8];
    uint8_t tail[4][128];
    size_t blocks[4], most = 0;
    for (int lane = 0; lane < 4; lane++) {
        blocks[lane] = blocks_of(job[lane].len);
        most = blocks[lane] > most ? blocks[lane] : most;
        size_t done = (blocks[lane] - 1) * 128, rest = job[lane].len - done;
        memcpy(tail[lane], job[lane].data + done, rest);
        memset(tail[lane] + rest, 0, 128 - rest);
    }
    for (int i = 0; i < 8; i++) {
        uint64_t x = IV[i] ^ (i == 0 ? PARAMETERS : 0);
        h[i] = (v4){x, x, x, x};
    }
    for (size_t n = 0; n < most; n++) {
        const uint8_t *p[4];
        v4 length, last;
        for (int lane = 0; lane < 4; lane++) {
            bool end = n + 1 >= blocks[lane];
            p[lane] = end ? tail[lane] : job[lane].data + n * 128;
            length[lane] = end ? job[lane].len : (n + 1) * 128;
            last[lane] = end ? UINT64_MAX : 0;
        }
        v4 v[16], m[16];
        for (int i = 0; i < 16; i++) {
            m[i] = (v4){ps_load64(p[0] + 8 * i), ps_load64(p[1] + 8 * i), ps_load64(p[2] + 8 * i),
                        ps_load64(p[3] + 8 * i)};
        }
        for (int i = 0; i < 8; i++) {
            v[i] = h[i];
            v[i + 8] = (v4){IV[i], IV[i], IV[i], IV[i]};
        }
        v[12] ^= length;
        v[14] ^= last;
        ROUNDS(ROUND)
        for (int i = 0; i < 8; i++) {
            h[i] ^= v[i] ^ v[i + 8];
        }
        for (int lane = 0; lane < 4; lane++) {
            if (n + 1 == blocks[lane]) {
                ps_store64(job[lane].digest, h[0][lane]);
                ps_store64(job[lane].digest + 8, h[1][lane]);
            }
        }
    }
}
#endif

void
ps_blake2b_many(ps_blake2b_job *jobs, size_t n)
{
    size_t i = 0;
#ifdef HAVE_FOUR
    if (n > 1 && __builtin_cpu_supports("avx2")) {
        /* Few jobs, nearly sorted: insertion sort by blocks, longest first. */
        for (size_t a = 1; a < n; a++) {
            ps_blake2b_job job = jobs[a];
            size_t b = a;
            for (; b > 0 && blocks_of(jobs[b - 1].len) < blocks_of(job.len); b--) {
                jobs[b] = jobs[b - 1];
            }
            jobs[b] = job;
        }
        for (; i + 4 <= n; i += 4) {
            digest_four(jobs + i);
        }
        if (n - i > 1) { /* two or three left: fill the lanes with the first of them */
            uint8_t unused[PS_DIGEST_SIZE];
            ps_blake2b_job rest[4];
            for (size_t k = 0; k < 4; k++) {
                rest[k] = i + k < n ? jobs[i + k]
                                    : (ps_blake2b_job){jobs[n - 1].data, jobs[n - 1].len, unused};
            }
            digest_four(rest);
            i = n;
        }
    }
#endif
    for (; i < n; i++) {
        ps_blake2b_digest(jobs[i].data, jobs[i].len, jobs[i].digest);
    }
}
