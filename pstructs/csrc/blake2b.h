/* blake2b.h -- BLAKE2b (RFC 7693) with 16-byte digests and no key: the content
 * digest of a record.
 */
#ifndef PS_BLAKE2B_H
#define PS_BLAKE2B_H

#include "bits.h"

#define PS_DIGEST_SIZE 16

/* Long messages, piece by piece. */
typedef struct {
    uint64_t h[8];
    uint64_t length; /* bytes compressed so far */
    size_t fill;     /* bytes waiting in block */
    uint8_t block[128];
} ps_blake2b;

void ps_blake2b_init(ps_blake2b *b);
void ps_blake2b_update(ps_blake2b *b, const void *data, size_t len);
void ps_blake2b_final(ps_blake2b *b, uint8_t digest[PS_DIGEST_SIZE]);

/* One message at once. */
void ps_blake2b_digest(const void *data, size_t len, uint8_t digest[PS_DIGEST_SIZE]);

/* Many independent messages: four at a time where the processor has AVX2. */
typedef struct {
    const uint8_t *data;
    size_t len;
    uint8_t *digest; /* where its 16 bytes go */
} ps_blake2b_job;

/* Reorders jobs. */
void ps_blake2b_many(ps_blake2b_job *jobs, size_t n);

#endif
