/* scratch.h -- memory that is needed during one operation only.
 *
 * Large blocks come from the system and go back to it at once. The allocator
 * would keep them: building a map of 100,000 entries left 14 bytes an entry
 * behind, half of what the map itself takes.
 */
#ifndef PS_SCRATCH_H
#define PS_SCRATCH_H

#include "base.h"
#include <sys/mman.h>

#define PS_SCRATCH_MAPPED ((size_t)1 << 20)

/* bytes > 0; NULL without an exception when there is no memory. */
PS_INLINE void *
ps_scratch_new(size_t bytes)
{
    if (PS_LIKELY(bytes < PS_SCRATCH_MAPPED)) {
        return PyMem_Malloc(bytes);
    }
    int flags = MAP_PRIVATE | MAP_ANONYMOUS;
#ifdef MAP_POPULATE
    flags |= MAP_POPULATE; /* all of it will be written: one call instead of a fault a page */
#endif
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

/* p: NULL, or from ps_scratch_new(bytes). */
PS_INLINE void
ps_scratch_free(void *p, size_t bytes)
{
    if (bytes < PS_SCRATCH_MAPPED) {
        PyMem_Free(p);
    }
    else if (p != NULL) {
        munmap(p, bytes);
    }
}

#endif
