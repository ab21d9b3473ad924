/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/fleet/signer/plant - a server's directory of a test's own. */
#include "unit/fleet/signer/plant.h"

#include "fleet/signer/signer.h"
#include "platform/linux/entropy.h"
#include "platform/openssl/crypto.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

static bp_result more(void *self, const char *dir)
{
    struct plant *p = self;
    struct bp_site *site = NULL;
    BP_TRY(bp_site_load(dir, p->crypto, &site));
    const bp_result r = bp_log_signer_init(site, p->crypto);
    bp_site_free(site);
    return r;
}

bool plant_make(struct plant *p)
{
    memset(p, 0, sizeof *p);
    /* In memory where there is such a place: signers sync every head, and no test here pulls the machine's plug. */
    (void)snprintf(p->top, sizeof p->top, "/dev/shm/bp-plant-XXXXXX");
    if (mkdtemp(p->top) == NULL) {
        (void)snprintf(p->top, sizeof p->top, "/tmp/bp-plant-XXXXXX");
    }
    if ((strncmp(p->top, "/tmp/", 5) == 0 && mkdtemp(p->top) == NULL) || bp_failed(bp_crypto_openssl_new(64, &p->crypto))) {
        return false;
    }
    (void)snprintf(p->dir, sizeof p->dir, "%s/site", p->top);
    p->sim = (struct bp_clock_sim){PLANT_NOW, 1000};
    p->clock = bp_clock_sim(&p->sim);
    const struct bp_entropy entropy = bp_entropy_linux();
    const struct bp_site_make make = {
        .dir = p->dir, .name = "localhost", .org = "Plant", .evaluation = true, .more = more, .self = p};
    return !bp_failed(bp_site_make(&make, p->crypto, &entropy, &p->clock, p->passphrase)) &&
           !bp_failed(bp_site_load(p->dir, p->crypto, &p->site));
}

bool plant_roll(struct plant *p, enum bp_key_type type, struct bp_site **ret_old)
{
    const struct bp_entropy entropy = bp_entropy_linux();
    struct bp_key *root = NULL;
    *ret_old = p->site;
    bp_result r = bp_key_load(plant_at(p, "root-key.pem"), bp_span_cstr(p->passphrase), &root);
    if (!bp_failed(r)) {
        r = type == BP_KEY_NONE ? bp_site_retire(p->dir, p->crypto)
                                : bp_site_roll(p->dir, root, type, p->crypto, &entropy, &p->clock);
    }
    bp_key_free(root);
    return !bp_failed(r) && !bp_failed(bp_site_load(p->dir, p->crypto, &p->site));
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

void plant_done(struct plant *p)
{
    bp_site_free(p->site);
    bp_crypto_openssl_free(p->crypto);
    (void)nftw(p->top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *plant_at(const struct plant *p, const char *relative)
{
    static char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", p->dir, relative);
    return path;
}
