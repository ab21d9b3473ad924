/* SPDX-License-Identifier: Apache-2.0 */
/* platform/alloc - counting front of malloc. */
#include "platform/alloc.h"

#include "base/secret.h"

#include <stdlib.h>

static size_t live;
static size_t until_failure; /* 0: none armed */
static bool stays;
static bool failed;

static bool is_refused(size_t n)
{
    if (n > BP_ALLOC_MAX) {
        return true;
    }
    if (until_failure == 0) {
        return failed && stays;
    }
    until_failure--;
    if (until_failure > 0) {
        return false;
    }
    failed = true;
    return true;
}

static void arm(size_t nth, bool for_good)
{
    until_failure = nth;
    stays = for_good;
    failed = false;
}

void bp_alloc_fail_from(size_t nth)
{
    arm(nth, true);
}

void bp_alloc_fail_once(size_t nth)
{
    arm(nth, false);
}

size_t bp_alloc_live(void)
{
    return live;
}

bool bp_alloc_has_failed(void)
{
    return failed;
}

void *bp_alloc(size_t n)
{
    if (is_refused(n)) {
        return NULL;
    }
    void *p = calloc(1, n == 0 ? 1 : n);
    live += p != NULL;
    return p;
}

void *bp_alloc_array(size_t count, size_t size)
{
    if (size != 0 && count > BP_ALLOC_MAX / size) {
        return NULL;
    }
    return bp_alloc(count * size);
}

void *bp_realloc(void *p, size_t n)
{
    if (is_refused(n)) {
        return NULL;
    }
    void *q = realloc(p, n == 0 ? 1 : n);
    live += p == NULL && q != NULL;
    return q;
}

void bp_free(void *p)
{
    live -= p != NULL;
    free(p);
}

void bp_free_secret(void *p, size_t n)
{
    if (p != NULL) {
        bp_wipe(p, n);
    }
    bp_free(p);
}

char *bp_strdup(const char *s)
{
    return bp_strndup(bp_span_cstr(s));
}

char *bp_strndup(bp_span s)
{
    if (s.n >= BP_ALLOC_MAX) {
        return NULL;
    }
    char *p = (char *)bp_alloc(s.n + 1);
    if (p != NULL && s.n > 0) {
        memcpy(p, s.p, s.n);
    }
    return p;
}
