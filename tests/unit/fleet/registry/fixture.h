/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/fleet/registry/fixture - a store in a folder of its own, a log and a registry over it, simulated chance. */
#ifndef BP_TESTS_REGISTRY_FIXTURE_H
#define BP_TESTS_REGISTRY_FIXTURE_H

#include "fleet/registry/registry.h"
#include "platform/openssl/crypto.h"
#include "platform/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct fx {
    char folder[32];
    char path[64];
    bp_store *store;
    struct bp_crypto *crypto;
    struct bp_log log;
    struct bp_effects effects;
    struct bp_entropy_sim chance;
    struct bp_entropy entropy;
    struct bp_registry r;
};

static inline bool fx_open(struct fx *f)
{
    f->chance.state = 7;
    f->entropy = bp_entropy_sim(&f->chance);
    if (bp_failed(bp_crypto_openssl_new(16, &f->crypto)) ||
        bp_failed(bp_store_open(f->path, BP_STORE_WRITE, "test", NULL, &f->store)) ||
        bp_failed(bp_log_open(&f->log, f->store, f->crypto))) {
        return false;
    }
    f->r = (struct bp_registry){.store = f->store,
                                .log = &f->log,
                                .crypto = f->crypto,
                                .entropy = &f->entropy,
                                .effects = &f->effects,
                                .owner_secret = {1, 2, 3},
                                .now_ms = 1000000000000LL};
    return true;
}

static inline bool fx_new(struct fx *f)
{
    *f = (struct fx){.folder = "/tmp/bp-reg-XXXXXX"};
    if (mkdtemp(f->folder) == NULL) {
        return false;
    }
    (void)snprintf(f->path, sizeof f->path, "%s/store.db", f->folder);
    return fx_open(f) && !bp_failed(bp_store_begin(f->store));
}

static inline void fx_end(struct fx *f)
{
    static const char *const tails[] = {"", "-wal", "-shm"};
    char name[80];
    bp_store_free(f->store);
    bp_crypto_openssl_free(f->crypto);
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(name, sizeof name, "%s%s", f->path, tails[i]);
        (void)unlink(name);
    }
    (void)rmdir(f->folder);
}

/* A contact whose keys come from one number, and its id from the first; aks of different numbers differ. */
struct fx_contact {
    uint8_t id[BP_ID_SIZE];
    uint8_t ek[2][32];
    uint8_t ak[40];
    struct bp_contact c;
};

static inline void fx_contact(struct fx_contact *k, unsigned device, unsigned ak, const char *source, bp_span code)
{
    *k = (struct fx_contact){.id = {1}};
    (void)snprintf((char *)k->ek[0], 32, "ek a %u", device);
    (void)snprintf((char *)k->ek[1], 32, "ek b %u", device);
    memcpy(k->id + 1, k->ek[0], 32);
    (void)snprintf((char *)k->ak, sizeof k->ak, "ak %u", ak);
    k->c = (struct bp_contact){.id = BP_SPAN_OF(k->id),
                               .ek = (const uint8_t(*)[32])k->ek,
                               .ek_count = 2,
                               .ak_public = BP_SPAN_OF(k->ak),
                               .binding = BP_SPAN_STR("binding"),
                               .issuer_class = BP_SPAN_STR("virtual"),
                               .kind = BP_SPAN_STR("tpm2"),
                               .source = bp_span_cstr(source),
                               .info = BP_SPAN_STR("\xa0"),
                               .code = code};
    memcpy(k->c.ak_name, k->ak, 32);
}

#endif
