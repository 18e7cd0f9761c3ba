/* hash_sort.h -- sorting by hash, for whatever builds a trie at once. */
#ifndef PS_HASH_SORT_H
#define PS_HASH_SORT_H

#include "base.h"

typedef struct {
    uint64_t hash;
    union {
        struct {
            uint32_t first, last;
        };
        uint64_t at;
    };
} ps_sort_item;

/* Sort by hash, stable: `at` ascends in the input. spare has room for n items, or is NULL for a
 * few; the result is in the returned array, a or spare. */
ps_sort_item *ps_sort_by_hash(ps_sort_item *a, ps_sort_item *spare, Py_ssize_t n);

#endif
