/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/fleet/authority/test_ceremony - the root's key in the hands of two: both parts open it in either order, neither
 * alone, nor one with a stranger's; the transcript is the root's and holds the digests of what is there. */
#include "fleet/authority/ceremony.h"

#include <stdio.h>
#include <unistd.h>

#include "harness.h"
#include "platform/alloc.h"
#include "platform/linux/file.h"
#include "unit/fleet/signer/plant.h"

#define A BP_SPAN_STR("the first holder's part")
#define B BP_SPAN_STR("the second holder's part")

static struct plant plant, other;
static char from[128], to[128], told[128];

static bp_result give(const char *passphrase, bp_span a, bp_span b)
{
    const struct bp_ceremony_share share = {from, to, told, bp_span_cstr(passphrase), a, b};
    return bp_ceremony_share(&share, plant.site, plant.crypto, &plant.clock);
}

static bool opens(bp_span a, bp_span b)
{
    char phrase[BP_CEREMONY_PHRASE + 1] = "";
    struct bp_key *key = NULL;
    struct bp_pubkey root;
    if (bp_failed(bp_ceremony_phrase(plant.crypto, a, b, phrase)) || bp_failed(bp_key_load(to, bp_span_cstr(phrase), &key))) {
        return false;
    }
    const struct bp_pubkey got = bp_key_public(key);
    const bool ok = !bp_failed(bp_site_public(plant.site, BP_SITE_CERT_ROOT, &root)) && bp_span_equal(root.a, got.a);
    bp_key_free(key);
    return ok;
}

static bool holds(const char *path, const char *file, const char *step)
{
    struct bp_transcript t;
    uint8_t *bytes = NULL, *data = NULL, digest[32];
    size_t n = 0;
    bool found = false;
    if (bp_failed(bp_file_read(file, BP_FILE_PUBLIC, 8192, &data, &n)) ||
        bp_failed(bp_hash(plant.crypto, BP_HASH_SHA256, bp_span_of(data, n), digest)) ||
        bp_failed(bp_ceremony_read(path, plant.site, plant.crypto, &bytes, &t))) {
        bp_free(data);
        return false;
    }
    for (uint32_t i = 0; i < t.steps; i++) {
        found |= bp_span_equal(t.step[i].name, bp_span_cstr(step)) && bp_span_equal(t.step[i].digest, BP_SPAN_OF(digest));
    }
    bp_free(data);
    bp_free(bytes);
    return found;
}

BP_CASE(parts_are_judged)
{
    char phrase[2][BP_CEREMONY_PHRASE + 1];
    BP_NEED(plant_make(&plant) && plant_make(&other));
    (void)snprintf(from, sizeof from, "%s", plant_at(&plant, "root-key.pem"));
    (void)snprintf(to, sizeof to, "%s/root.two", plant.top);
    (void)snprintf(told, sizeof told, "%s/transcript", plant.top);
    BP_CHECK(bp_is(bp_ceremony_phrase(plant.crypto, A, A, phrase[0]), BP_E_DENIED));
    BP_CHECK(bp_is(bp_ceremony_phrase(plant.crypto, A, BP_SPAN_STR("too short a part .."), phrase[0]), BP_E_DENIED));
    BP_CHECK(!bp_failed(bp_ceremony_phrase(plant.crypto, A, B, phrase[0])) &&
             !bp_failed(bp_ceremony_phrase(plant.crypto, B, A, phrase[1])) && strcmp(phrase[0], phrase[1]) == 0);
}

BP_CASE(refused_and_nothing_left)
{
    BP_CHECK(bp_failed(give("WRONGWRONGWRONGWRONGWRONGW", A, B)) && bp_is(give(plant.passphrase, A, A), BP_E_DENIED));
    (void)snprintf(from, sizeof from, "%s", plant_at(&plant, "recovery-key.pem"));
    BP_CHECK(bp_is(give(plant.passphrase, A, B), BP_E_MISMATCH));
    (void)snprintf(from, sizeof from, "%s", plant_at(&plant, "root-key.pem"));
    BP_CHECK(access(to, F_OK) != 0 && access(told, F_OK) != 0);
}

BP_CASE(opens_with_both_parts_only)
{
    BP_NEED(!bp_failed(give(plant.passphrase, A, B)));
    BP_CHECK(opens(A, B) && opens(B, A));
    for (unsigned i = 0; i < 8; i++) { /* the parts are put in order by their hashes: a stranger's comes first, and last */
        char stranger[40];
        (void)snprintf(stranger, sizeof stranger, "a stranger's part, number %u", i);
        BP_CHECK(!opens(A, bp_span_cstr(stranger)) && !opens(bp_span_cstr(stranger), B));
    }
    struct bp_key *key = NULL;
    BP_CHECK(bp_failed(bp_key_load(to, A, &key)) && bp_failed(bp_key_load(to, B, &key)));
    BP_CHECK(bp_failed(bp_key_load(to, bp_span_cstr(plant.passphrase), &key)));
    BP_CHECK(bp_is(give(plant.passphrase, A, B), BP_E_EXISTS) && opens(A, B));
}

BP_CASE(transcript_is_the_roots)
{
    uint8_t *bytes = NULL;
    size_t n = 0;
    struct bp_transcript t;
    BP_CHECK(holds(told, plant_at(&plant, "certs/root.der"), "root-certificate") && holds(told, from, "key-as-it-came"));
    BP_CHECK(holds(told, to, "key-for-two-holders") && holds(told, to, "first-part-alone-refused") &&
             holds(told, to, "second-part-alone-refused"));
    BP_NEED(!bp_failed(bp_file_read(told, BP_FILE_PUBLIC, BP_CEREMONY_FILE_MAX, &bytes, &n)));
    BP_CHECK(memmem(bytes, n, "holder's part", 13) == NULL);
    uint8_t *read = NULL;
    BP_CHECK(bp_is(bp_ceremony_read(told, other.site, plant.crypto, &read, &t), BP_E_BAD_SIGNATURE) && read == NULL);
    unsigned taken = 0;
    for (size_t i = 0; i < n; i += 5) {
        bytes[i] ^= 0x10;
        BP_NEED(!bp_failed(bp_file_write(plant_at(&plant, "changed"), BP_FILE_PUBLIC, bp_span_of(bytes, n))));
        if (!bp_failed(bp_ceremony_read(plant_at(&plant, "changed"), plant.site, plant.crypto, &read, &t))) {
            taken++;
            bp_free(read);
            read = NULL;
        }
        bytes[i] ^= 0x10;
    }
    BP_CHECK(taken == 0);
    bp_free(bytes);
    plant_done(&plant);
    plant_done(&other);
}

BP_SUITE(ceremony, BP_RUN(parts_are_judged) BP_RUN(refused_and_nothing_left) BP_RUN(opens_with_both_parts_only)
                       BP_RUN(transcript_is_the_roots))
