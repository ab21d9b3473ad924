/* SPDX-License-Identifier: Apache-2.0 */
/* platform/alloc - the one allocator of hosted code, which tests can make fail at a chosen call.
 *
 * The caller owns what it gets and gives it back with bp_free. Sizes above BP_ALLOC_MAX are refused, so a length that
 * wrapped or that a peer chose cannot take the machine's memory in one call. One thread a process. */
#ifndef BP_PLATFORM_ALLOC_H
#define BP_PLATFORM_ALLOC_H

#include "base/span.h"

#define BP_ALLOC_MAX ((size_t)1 << 30)

/* Gives n zeroed bytes (at least 1); NULL when refused. */
void *bp_alloc(size_t n);
/* Gives count * size zeroed bytes; NULL also when that overflows. */
void *bp_alloc_array(size_t count, size_t size);
/* Resizes; p may be NULL. On NULL p is untouched. New bytes are not zeroed. */
void *bp_realloc(void *p, size_t n);
/* Gives p back; NULL is fine. */
void bp_free(void *p);
/* Wipes n bytes and gives p back; for what held a secret. */
void bp_free_secret(void *p, size_t n);
/* Copies a string; NULL when refused. */
char *bp_strdup(const char *s);
/* Copies bytes and adds a closing zero; NULL when refused. */
char *bp_strndup(bp_span s);

/* Makes the nth allocation from now (1 = the next) and every later one fail; 0 ends that. For tests. */
void bp_alloc_fail_from(size_t nth);
/* Makes the nth allocation from now fail and no other; 0 ends that. For tests. */
void bp_alloc_fail_once(size_t nth);
/* Blocks that are out now; a test compares before and after. */
size_t bp_alloc_live(void);
/* Whether a failure was injected since the last arming. For tests. */
bool bp_alloc_has_failed(void);

/* Gives a pointer variable back when it leaves its scope. */
#define BP_CLEANUP_FREE __attribute__((cleanup(bp_cleanup_free)))
static inline void bp_cleanup_free(void *pp)
{
    void *p;
    memcpy(&p, pp, sizeof p);
    bp_free(p);
}

#endif
