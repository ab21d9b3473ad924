/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/cli/maker - whole bundles from software keys: an authority of four certificates, a log of a few events,
 * and verdicts over the rig's evidence, all written by the real codecs. For tests only; large, so keep it static. */
#ifndef BP_TESTS_UNIT_CLI_MAKER_H
#define BP_TESTS_UNIT_CLI_MAKER_H

#include "codec/bundle.h"
#include "pki/x509.h"
#include "platform/openssl/key.h"
#include "unit/appraise/rig.h"

#define MAKER_EVENTS 11u
#define MAKER_ROOM   (1u << 20)

enum maker_key { MAKER_ROOT, MAKER_LOG, MAKER_RESULT, MAKER_BIND, MAKER_ISSUING, MAKER_DEVICE, MAKER_RECOVERY, MAKER_KEYS };

/* A server's keys and certificates. */
struct maker {
    struct bp_crypto *c;
    struct bp_key *key[MAKER_KEYS];
    uint8_t der[MAKER_KEYS][BP_CERT_MAX];
    size_t der_n[MAKER_KEYS];
    uint8_t anchor[32];
};
bool maker_make(struct maker *m, struct bp_crypto *c, int64_t now_ms);
void maker_done(struct maker *m);

/* What is written differently from what is true; zeros: nothing. */
struct maker_lie {
    bool has_tier; /* result and event tell this tier */
    uint64_t tier;
    enum maker_key result_key; /* who signs result, head and binding; MAKER_ROOT stands for the right ones */
    enum maker_key head_key;
    enum maker_key bind_key;
    const struct maker *result_of; /* another server's result key signs, with its certificate */
    bool no_policy;
    bool drop_zone;   /* the event does not name the zone */
    bool other_parent; /* the binding knows the AK as the child of another key */
    bool with_logs;   /* earlier logs that the state rests on are in the bundle */
    bool other_log;   /* ... but one of them is another */
    uint64_t number;  /* of the event; 0: 5 */
};

/* Releases of the rig become manifests; call before rig_publish. */
bool maker_releases(struct maker *m, struct rig *r);
/* The bundle of the verdict over r->evidence with the state that the rig holds; it is appraised, and with `keep` the
 * rig goes on. Empty when something failed. */
bp_span maker_bundle(struct maker *m, struct rig *r, const struct maker_lie *lie, bool keep, uint8_t *room, size_t cap);

/* The leaves of the log of the last bundle, as a tile of C2SP tlog-tiles: tile/0/000.p/11. */
bp_span maker_tile(void);

#endif
