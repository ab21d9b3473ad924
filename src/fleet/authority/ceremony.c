/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/authority/ceremony - see ceremony.h. */
#include "fleet/authority/ceremony.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/secret.h"
#include "codec/cose.h"
#include "codec/x509.h"
#include "platform/alloc.h"
#include "platform/linux/file.h"

#define BP_MODULE AUTHORITY

#define KEY_FILE_MAX 8192u
#define SCRATCH      BP_COSE_SCRATCH(2 * BP_COSE_MAX_PROTECTED, BP_TRANSCRIPT_MAX, 0)

/* --- steps --- */

bp_result bp_ceremony_step(struct bp_ceremony *c, const char *name, bp_span about)
{
    const size_t n = strlen(name);
    if (c->steps == BP_TRANSCRIPT_STEPS_MAX || n > BP_TRANSCRIPT_NAME_MAX) {
        return BP_FAIL(LIMIT);
    }
    BP_TRY(bp_hash(c->crypto, BP_HASH_SHA256, about, c->digest[c->steps]));
    memcpy(c->name[c->steps], name, n + 1);
    c->time_ms[c->steps] = bp_wall_ms(c->clock);
    c->steps++;
    return BP_OK;
}

static bool is_there(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

bp_result bp_ceremony_sign(const struct bp_ceremony *c, struct bp_key *root, const char *path)
{
    struct bp_transcript t = {.steps = c->steps};
    uint8_t payload[BP_TRANSCRIPT_MAX], kid[BP_SHA256_SIZE], scratch[SCRATCH], out[BP_CEREMONY_FILE_MAX];
    size_t n = 0, made = 0;
    for (uint32_t i = 0; i < c->steps; i++) {
        t.step[i] = (struct bp_transcript_step){c->time_ms[i], bp_span_cstr(c->name[i]), BP_SPAN_OF(c->digest[i])};
    }
    if (is_there(path)) {
        return BP_FAIL(EXISTS);
    }
    BP_TRY(bp_transcript_write(&t, payload, sizeof payload, &n));
    BP_TRY(bp_hash(c->crypto, BP_HASH_SHA256, bp_key_spki(root), kid));
    const struct bp_signer signer = bp_key_signer(root);
    const struct bp_cose_header header = {BP_SPAN_STR(BP_TRANSCRIPT_CONTENT), BP_SPAN_OF(kid), BP_SPAN_EMPTY};
    BP_TRY(bp_cose_sign1_write(&signer, &header, bp_span_of(payload, n), BP_SPAN_EMPTY, scratch, sizeof scratch, out,
                               sizeof out, &made));
    return bp_file_write(path, BP_FILE_PUBLIC, bp_span_of(out, made));
}

bp_result bp_ceremony_read(const char *path, const struct bp_site *site, struct bp_crypto *c, uint8_t **ret_bytes,
                           struct bp_transcript *ret)
{
    struct bp_cose_sign1 msg;
    struct bp_pubkey root;
    uint8_t scratch[BP_CEREMONY_FILE_MAX + SCRATCH];
    uint8_t *bytes = NULL;
    size_t n = 0;
    BP_TRY(bp_site_public(site, BP_SITE_CERT_ROOT, &root));
    BP_TRY(bp_file_read(path, BP_FILE_PUBLIC, BP_CEREMONY_FILE_MAX, &bytes, &n));
    bp_result r = bp_cose_sign1_read(bp_span_of(bytes, n), &msg);
    if (!bp_failed(r) && !bp_span_equal(msg.content_type, BP_SPAN_STR(BP_TRANSCRIPT_CONTENT))) {
        r = BP_FAIL(UNSUPPORTED);
    }
    if (!bp_failed(r)) {
        r = bp_cose_sign1_verify(c, &msg, &root, BP_SPAN_EMPTY, scratch, sizeof scratch);
    }
    if (!bp_failed(r)) {
        r = bp_transcript_read(msg.payload, ret);
    }
    if (bp_failed(r)) {
        bp_free(bytes);
        return r;
    }
    *ret_bytes = bytes;
    return BP_OK;
}

/* --- two parts --- */

bp_result bp_ceremony_phrase(struct bp_crypto *c, bp_span a, bp_span b, char ret[BP_CEREMONY_PHRASE + 1])
{
    uint8_t part[2][BP_SHA256_SIZE], whole[BP_SHA256_SIZE];
    if (a.n < BP_CEREMONY_PART_MIN || b.n < BP_CEREMONY_PART_MIN || bp_ct_equal(a, b)) {
        return BP_FAIL(DENIED);
    }
    bp_result r = bp_hash(c, BP_HASH_SHA256, a, part[0]);
    if (!bp_failed(r)) {
        r = bp_hash(c, BP_HASH_SHA256, b, part[1]);
    }
    if (!bp_failed(r)) {
        /* Whoever comes first: the smaller one. */
        const size_t first = memcmp(part[0], part[1], sizeof part[0]) < 0 ? 0 : 1;
        const bp_span parts[] = {BP_SPAN_STR("bedplate root of two holders 1"), BP_SPAN_OF(part[first]),
                                 BP_SPAN_OF(part[1 - first])};
        r = bp_hash_parts(c, BP_HASH_SHA256, parts, 3, whole);
    }
    for (size_t i = 0; i < sizeof whole && !bp_failed(r); i++) {
        (void)snprintf(ret + 2 * i, 3, "%02x", whole[i]);
    }
    bp_wipe(part, sizeof part);
    bp_wipe(whole, sizeof whole);
    return r;
}

static bp_result step_of_file(struct bp_ceremony *c, const char *name, const char *path)
{
    uint8_t *bytes = NULL;
    size_t n = 0;
    BP_TRY(bp_file_read(path, BP_FILE_SECRET, KEY_FILE_MAX, &bytes, &n));
    const bp_result r = bp_ceremony_step(c, name, bp_span_of(bytes, n));
    bp_free_secret(bytes, n);
    return r;
}

/* The proof that a part alone is worth nothing is that it was tried. */
static bp_result try_alone(struct bp_ceremony *c, const char *name, const char *path, bp_span part)
{
    struct bp_key *key = NULL;
    const bp_result r = bp_key_load(path, part, &key);
    if (!bp_failed(r)) {
        bp_key_free(key);
        return BP_FAIL(INTERNAL);
    }
    return bp_is(r, BP_E_MALFORMED) ? step_of_file(c, name, path) : r;
}

static bp_result try_both(struct bp_ceremony *c, const char *path, const char *phrase, bp_span spki, struct bp_key **ret)
{
    struct bp_key *key = NULL;
    BP_TRY(bp_key_load(path, bp_span_cstr(phrase), &key));
    const bp_result r = bp_span_equal(bp_key_spki(key), spki) ? bp_ceremony_step(c, "opens-with-both-parts", spki)
                                                              : BP_FAIL(MISMATCH);
    if (bp_failed(r)) {
        bp_key_free(key);
        return r;
    }
    *ret = key;
    return BP_OK;
}

static bp_result share(const struct bp_ceremony_share *x, const struct bp_site *site, struct bp_ceremony *c,
                       const char *phrase, struct bp_key *root)
{
    struct bp_key *again = NULL;
    struct bp_x509 cert;
    BP_TRY(bp_x509_read(site->cert[BP_SITE_CERT_ROOT], &cert));
    if (!bp_span_equal(cert.spki, bp_key_spki(root))) {
        return BP_FAIL(MISMATCH);
    }
    BP_TRY(bp_ceremony_step(c, "root-certificate", site->cert[BP_SITE_CERT_ROOT]));
    BP_TRY(step_of_file(c, "key-as-it-came", x->from));
    BP_TRY(bp_key_save(root, x->to, bp_span_cstr(phrase)));
    BP_TRY(step_of_file(c, "key-for-two-holders", x->to));
    BP_TRY(try_alone(c, "first-part-alone-refused", x->to, x->a));
    BP_TRY(try_alone(c, "second-part-alone-refused", x->to, x->b));
    BP_TRY(try_both(c, x->to, phrase, cert.spki, &again));
    const bp_result r = bp_ceremony_sign(c, again, x->transcript);
    bp_key_free(again);
    return r;
}

bp_result bp_ceremony_share(const struct bp_ceremony_share *x, const struct bp_site *site, struct bp_crypto *c,
                            const struct bp_clock *clock)
{
    struct bp_ceremony steps = {.crypto = c, .clock = clock};
    char phrase[BP_CEREMONY_PHRASE + 1] = "";
    struct bp_key *root = NULL;
    if (is_there(x->to) || is_there(x->transcript)) {
        return BP_FAIL(EXISTS);
    }
    BP_TRY(bp_ceremony_phrase(c, x->a, x->b, phrase));
    bp_result r = bp_key_load(x->from, x->passphrase, &root);
    if (!bp_failed(r)) {
        r = share(x, site, &steps, phrase, root);
        if (bp_failed(r)) {
            (void)unlink(x->to);
        }
    }
    bp_key_free(root);
    bp_wipe(phrase, sizeof phrase);
    return r;
}
