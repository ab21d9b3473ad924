/* SPDX-License-Identifier: Apache-2.0 */
/* net/resume - see resume.h. Two hash tables and a list by age over the same entries. Ids are random bytes of our own and keys
 * are hashes, so their first bytes serve as a hash. */
#include "net/resume.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/ssl.h>

#define BP_MODULE TLS

struct entry {
    struct entry *older, *newer;
    struct entry *next_id, *next_key; /* in their buckets */
    SSL_SESSION *session;
    uint8_t key[32];
};

struct bp_resume {
    uint32_t max, count;
    size_t mask; /* buckets of each kind, less one */
    struct entry *oldest, *newest;
    struct entry **by_id, **by_key;
};

bp_result bp_resume_new(uint32_t max, struct bp_resume **ret)
{
    size_t buckets = 16;
    while (buckets < max) {
        buckets *= 2;
    }
    struct bp_resume *t = calloc(1, sizeof *t);
    if (t == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    t->max = max;
    t->mask = buckets - 1;
    t->by_id = calloc(buckets, sizeof(struct entry *));
    t->by_key = calloc(buckets, sizeof(struct entry *));
    if (t->by_id == NULL || t->by_key == NULL) {
        bp_resume_free(t);
        return BP_FAIL(NO_MEMORY);
    }
    *ret = t;
    return BP_OK;
}

static size_t bucket(const struct bp_resume *t, const uint8_t *random, size_t n)
{
    size_t v = 0;
    memcpy(&v, random, n < sizeof v ? n : sizeof v);
    return v & t->mask;
}

static bool has_id(const struct entry *e, const uint8_t *id, size_t n)
{
    unsigned own_n = 0;
    const uint8_t *own = SSL_SESSION_get_id(e->session, &own_n);
    return own_n == n && memcmp(own, id, n) == 0;
}

static struct entry **id_bucket(const struct bp_resume *t, const SSL_SESSION *session)
{
    unsigned n = 0;
    const uint8_t *id = SSL_SESSION_get_id(session, &n);
    return &t->by_id[bucket(t, id, n)];
}

/* Out of both tables and the list; gives the session. */
static SSL_SESSION *remove_entry(struct bp_resume *t, struct entry *e)
{
    struct entry **at = id_bucket(t, e->session);
    while (*at != e) {
        at = &(*at)->next_id;
    }
    *at = e->next_id;
    at = &t->by_key[bucket(t, e->key, sizeof e->key)];
    while (*at != e) {
        at = &(*at)->next_key;
    }
    *at = e->next_key;
    *(e->older != NULL ? &e->older->newer : &t->oldest) = e->newer;
    *(e->newer != NULL ? &e->newer->older : &t->newest) = e->older;
    t->count--;
    SSL_SESSION *session = e->session;
    free(e);
    return session;
}

static struct entry *of_key(const struct bp_resume *t, const uint8_t key[32])
{
    struct entry *e = t->by_key[bucket(t, key, 32)];
    while (e != NULL && memcmp(e->key, key, 32) != 0) {
        e = e->next_key;
    }
    return e;
}

static void insert(struct bp_resume *t, struct entry *e)
{
    struct entry **id = id_bucket(t, e->session);
    struct entry **key = &t->by_key[bucket(t, e->key, sizeof e->key)];
    e->next_id = *id;
    e->next_key = *key;
    *id = *key = e;
    e->older = t->newest;
    *(t->newest != NULL ? &t->newest->newer : &t->oldest) = e;
    t->newest = e;
    t->count++;
}

void bp_resume_keep(struct bp_resume *t, const uint8_t key[32], SSL_SESSION *session)
{
    struct entry *earlier = of_key(t, key);
    if (earlier == NULL && t->count == t->max) {
        earlier = t->oldest;
    }
    if (earlier != NULL) {
        SSL_SESSION_free(remove_entry(t, earlier));
    }
    struct entry *e = calloc(1, sizeof *e);
    if (e == NULL) {
        SSL_SESSION_free(session);
        return;
    }
    e->session = session;
    memcpy(e->key, key, sizeof e->key);
    insert(t, e);
}

SSL_SESSION *bp_resume_take(struct bp_resume *t, const uint8_t *id, size_t n)
{
    struct entry *e = t->by_id[bucket(t, id, n)];
    while (e != NULL && !has_id(e, id, n)) {
        e = e->next_id;
    }
    return e != NULL ? remove_entry(t, e) : NULL;
}

void bp_resume_free(struct bp_resume *t)
{
    if (t == NULL) {
        return;
    }
    while (t->oldest != NULL) {
        SSL_SESSION_free(remove_entry(t, t->oldest));
    }
    free(t->by_id);
    free(t->by_key);
    free(t);
}
