/* pack_verifier.h -- the state of one verification, shared by pack_verify.c (the records, tries
 * and values) and pack_verify_array.c (vectors and sorted trees). Nobody else includes it.
 */
#ifndef PS_PACK_VERIFIER_H
#define PS_PACK_VERIFIER_H

#include "pack.h"

typedef struct {
    ps_state *st;
    ps_pack *pack;
    uint8_t *starts; /* a byte for every 16 bytes: low 4 bits of where a record starts, + 1 */
    uint64_t offset; /* of the record under the lens */
    ps_buf message;
    ps_buf digests;  /* of references in the content */
    bool whole_value; /* the message being looked at may be one out-of-line reference */
    const uint8_t *value, *value_end;
} lens;

/* DamagedPackError about the record at offset. Returns -1. */
int ps_lens_wrong(lens *v, uint64_t offset, const char *what);
/* The record that a reference at the lens names; a local one must be verified. 0, -1. */
int ps_lens_target(lens *v, ps_ref ref, ps_pack **pack, ps_record *r);
/* One message from p, ending exactly at stop unless next is given; add it to the
 * digested content. whole_value: it may be one out-of-line reference. 0, -1. */
int ps_lens_message(lens *v, const uint8_t *p, const uint8_t *stop, bool whole_value,
                    const uint8_t **next);
/* Compare the digest of all that was added with the record's. 0, -1. */
int ps_lens_digest(lens *v, const ps_record *r);

/* ---- pack_verify_array.c */
int ps_verify_array(lens *v, const ps_record *r);

#endif
