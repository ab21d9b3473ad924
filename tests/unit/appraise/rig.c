/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/appraise/rig - a gateway in memory. */
#include "unit/appraise/rig.h"

#include "appraise/bootrule.h"
#include "cli/fleetsim_statement.h"
#include "codec/x509.h"
#include "core/binding.h"
#include "core/devid.h"

#include <stdio.h>

const struct rig_os rig_os_1 = {.firmware = "firmware 1",
                                .rom = "rom 1",
                                .loader = "loader 1",
                                .initrd = "initrd 1",
                                .db = "db 1",
                                .order = "0001",
                                .is_secure = true};

static bool ok(bp_result r)
{
    return !bp_failed(r);
}

static void sha(struct rig *r, bp_span in, uint8_t ret[32])
{
    BP_IGNORE(bp_hash(r->c, BP_HASH_SHA256, in, ret), "a test whose hash fails finds other values");
}

/* --- keys --- */

static bool hang_under(struct rig *r, const struct bp_tpm_public *ek)
{
    return ok(bp_sim_qualify(r->c, ek, bp_span_of(r->ak_public, r->ak_public_n), &r->qualified));
}

bool rig_hang(struct rig *r, bp_span ek_public)
{
    struct bp_tpm_public ek;
    return ok(bp_tpm_public_read(ek_public, &ek)) && hang_under(r, &ek);
}

bool rig_make(struct rig *r, struct bp_crypto *c)
{
    memset(r, 0, sizeof *r);
    r->c = c;
    r->ak_attributes = BP_SIM_AK_ATTRIBUTES;
    r->root_class = "virtual";
    r->safe = true;
    r->now_ms = INT64_C(1790000000000);
    r->clock_ms = 5000;
    if (!test_key_make(&r->ak, BP_SIG_ES256) || !test_key_make(&r->ldevid, BP_SIG_ES256)) {
        return false;
    }
    if (!ok(bp_sim_public(&r->ak.key, BP_SIM_AK_ATTRIBUTES, r->ak_public, sizeof r->ak_public, &r->ak_public_n)) ||
        !ok(bp_sim_public(&r->ldevid.key, BP_SIM_KEY_ATTRIBUTES, r->ldevid_public, sizeof r->ldevid_public,
                          &r->ldevid_public_n))) {
        return false;
    }
    sha(r, bp_span_of(r->ldevid.spki, r->ldevid.spki_n), r->ldevid_hash);
    const struct bp_tpm_public ek = {.name_alg = BP_TPM_ALG_SHA256, .all = BP_SPAN_STR("an endorsement key")};
    return hang_under(r, &ek) &&
           ok(bp_devid_of_spki(c, bp_span_of(r->ak.spki, r->ak.spki_n), r->device_id));
}

void rig_done(struct rig *r)
{
    test_key_done(&r->ak);
    test_key_done(&r->ldevid);
}

/* --- boot --- */

struct logger {
    struct rig *r;
    bp_wr wr;
};

/* An event whose digest is of `content`. */
static void event(struct logger *l, uint32_t pcr, uint32_t type, bp_span data, bp_span content)
{
    uint8_t digest[32];
    sha(l->r, content, digest);
    const struct bp_tcg_digest d = {BP_TPM_ALG_SHA256, BP_SPAN_OF(digest)};
    bp_tcglog_write_event(&l->wr, pcr, type, &d, 1, data);
    BP_IGNORE(bp_pcrs_extend(l->r->c, &l->r->pcrs, pcr, BP_SPAN_OF(digest)), "the arguments are right");
}

static void variable(struct logger *l, uint32_t pcr, uint32_t type, const uint8_t guid[16], const char *name,
                     bp_span value)
{
    uint8_t data[512];
    bp_wr wr = bp_wr_over(data, sizeof data);
    const size_t chars = strlen(name);
    bp_wr_bytes(&wr, bp_span_of(guid, 16));
    bp_wr_le32(&wr, (uint32_t)chars);
    bp_wr_le32(&wr, 0);
    bp_wr_le32(&wr, (uint32_t)value.n);
    bp_wr_le32(&wr, 0);
    for (size_t i = 0; i < chars; i++) {
        bp_wr_le16(&wr, (uint8_t)name[i]);
    }
    bp_wr_bytes(&wr, value);
    event(l, pcr, type, bp_wr_span(&wr), bp_wr_span(&wr));
}

static void separator(struct logger *l, const struct rig_os *os, uint32_t pcr)
{
    static const uint8_t zeros[4];
    if ((os->left_open & 1u << pcr) == 0) {
        event(l, pcr, BP_EV_SEPARATOR, BP_SPAN_OF(zeros), BP_SPAN_OF(zeros));
    }
}

static void firmware_events(struct logger *l, const struct rig_os *os)
{
    static const uint8_t blob[16] = {0, 0, 0x80};
    static const uint8_t version[2];
    const uint8_t state[] = {os->is_secure ? 1 : 0};
    event(l, 0, BP_EV_S_CRTM_VERSION, BP_SPAN_OF(version), BP_SPAN_OF(version));
    event(l, 0, BP_EV_EFI_PLATFORM_FIRMWARE_BLOB, BP_SPAN_OF(blob), bp_span_cstr(os->firmware));
    const uint32_t config = BP_EV_EFI_VARIABLE_DRIVER_CONFIG;
    variable(l, 7, config, bp_tcg_guid_global, "SecureBoot", BP_SPAN_OF(state));
    variable(l, 7, config, bp_tcg_guid_global, "PK", BP_SPAN_STR("pk"));
    variable(l, 7, config, bp_tcg_guid_global, "KEK", BP_SPAN_STR("kek"));
    variable(l, 7, config, bp_tcg_guid_image_security, "db", bp_span_cstr(os->db));
    variable(l, 7, config, bp_tcg_guid_image_security, "dbx", BP_SPAN_EMPTY);
    separator(l, os, 7);
    event(l, 2, BP_EV_EFI_BOOT_SERVICES_DRIVER, BP_SPAN_STR("path of the rom"), bp_span_cstr(os->rom));
    variable(l, 1, BP_EV_EFI_VARIABLE_BOOT, bp_tcg_guid_global, "BootOrder", bp_span_cstr(os->order));
}

static void text(struct logger *l, uint32_t pcr, const char *words)
{
    event(l, pcr, BP_EV_EFI_ACTION, bp_span_cstr(words), bp_span_cstr(words));
}

static void build_log(struct rig *r, const struct rig_os *os)
{
    static const struct bp_tcg_bank bank = {BP_TPM_ALG_SHA256, 32};
    static const uint8_t name[] = {'.', 0, 'i', 0, 'n', 0, 'i', 0, 't', 0, 'r', 0, 'd', 0};
    struct logger l = {.r = r, .wr = bp_wr_over(r->log, sizeof r->log)};
    bp_tcglog_write_head(&l.wr, &bank, 1);
    firmware_events(&l, os);
    text(&l, 4, "Calling EFI Application from Boot Option");
    for (uint32_t pcr = 0; pcr < 7; pcr++) {
        separator(&l, os, pcr);
    }
    if (os->is_secure) {
        variable(&l, 7, BP_EV_EFI_VARIABLE_AUTHORITY, bp_tcg_guid_image_security, "db", BP_SPAN_STR("signer"));
    }
    event(&l, 4, BP_EV_EFI_BOOT_SERVICES_APPLICATION, BP_SPAN_STR("path of the loader"), bp_span_cstr(os->loader));
    event(&l, 11, BP_EV_IPL, BP_SPAN_OF(name), BP_SPAN_OF(name));
    event(&l, 11, BP_EV_IPL, BP_SPAN_OF(name), bp_span_cstr(os->initrd));
    event(&l, 9, BP_EV_EVENT_TAG, BP_SPAN_STR("\1\0\0\0\4\0\0\0init"), bp_span_cstr(os->initrd));
    text(&l, 5, "Exit Boot Services Invocation");
    r->log_n = bp_wr_span(&l.wr).n;
}

/* --- IMA --- */

static void add_entry(struct rig *r, const char *path, const uint8_t digest[32], bool is_violation)
{
    static const uint8_t zeros[32];
    uint8_t data[512], sha1[BP_HASH_MAX];
    struct bp_ima_entry e;
    bp_wr d = bp_wr_over(data, sizeof data);
    bp_ima_write_data(&d, BP_IMA_SIG, BP_TPM_ALG_SHA256, bp_span_of(is_violation ? zeros : digest, 32),
                      bp_span_cstr(path), BP_SPAN_EMPTY);
    BP_IGNORE(bp_hash(r->c, BP_HASH_SHA1, bp_wr_span(&d), sha1), "a wrong hash shows");
    bp_wr wr = bp_wr_over(r->ima + r->ima_n, sizeof r->ima - r->ima_n);
    bp_ima_write_entry(&wr, BP_IMA_SIG, bp_span_of(is_violation ? zeros : sha1, 20), bp_wr_span(&d));
    struct bp_ima ima = bp_ima_open(bp_wr_span(&wr), r->ima_count);
    if (!ok(bp_ima_next(&ima, &e)) || !ok(bp_ima_extend(r->c, BP_HASH_SHA256, &r->ima_point, &e))) {
        return;
    }
    memcpy(r->pcrs.v[10], r->ima_point.pcr, 32);
    r->ima_n += ima.at;
    r->ima_end[r->ima_count++] = r->ima_n;
}

static void file_digest(struct rig *r, const char *path, const char *version, uint8_t ret[32])
{
    const bp_span parts[] = {bp_span_cstr(path), BP_SPAN_STR(" "), bp_span_cstr(version)};
    BP_IGNORE(bp_hash_parts(r->c, BP_HASH_SHA256, parts, 3, ret), "a wrong hash shows");
}

void rig_run(struct rig *r, const char *path, const char *version)
{
    uint8_t digest[32];
    file_digest(r, path, version, digest);
    add_entry(r, path, digest, false);
}

void rig_violation(struct rig *r, const char *path)
{
    static const uint8_t zeros[32];
    add_entry(r, path, zeros, true);
}

void rig_boot(struct rig *r, const struct rig_os *os)
{
    uint8_t all[10 * 32], aggregate[32];
    r->reset_count++;
    r->restart_count = 0;
    r->clock_ms += 15000;
    r->now_ms += 15000;
    r->ima_n = 0;
    r->ima_count = 0;
    r->ima_point = bp_ima_point_zero();
    BP_IGNORE(bp_pcrs_init(BP_HASH_SHA256, 0, &r->pcrs), "the algorithm is known");
    build_log(r, os);
    for (uint32_t i = 0; i < 10; i++) {
        memcpy(all + (size_t)i * 32, r->pcrs.v[i], 32);
    }
    sha(r, BP_SPAN_OF(all), aggregate);
    add_entry(r, "boot_aggregate", aggregate, false);
}

void rig_wait(struct rig *r, int64_t ms)
{
    r->now_ms += ms;
    r->clock_ms += (uint64_t)ms;
}

/* --- releases --- */

#define REFS_MAX 1024u

struct refs {
    struct bp_corim_ref ref[REFS_MAX];
    char key[REFS_MAX][BP_CORIM_MKEY_MAX];
    uint8_t digest[REFS_MAX][32];
    size_t n;
};

static void add_ref(struct refs *f, const struct bp_ref_key *key, bp_span digest, bp_span name)
{
    struct bp_corim_ref *ref = &f->ref[f->n];
    if (f->n == REFS_MAX - 1) { /* the release will not be published whole, and every test sees it */
        return;
    }
    memset(ref, 0, sizeof *ref);
    ref->mkey = bp_ref_key_write(key, (uint8_t *)f->key[f->n]);
    ref->name = name;
    if (key->kind == BP_REF_SECURE_BOOT) {
        ref->has_secure = true;
        ref->secure = true;
    } else {
        memcpy(f->digest[f->n], digest.p, 32);
        ref->digests = 1;
        ref->digest[0] = (struct bp_corim_digest){BP_CORIM_ALG_SHA256, bp_span_of(f->digest[f->n], 32)};
    }
    f->n++;
}

/* As `release create --from-log` does it: by the rule of each event. */
static void refs_of_log(struct rig *r, struct refs *f)
{
    struct bp_bootlog bl;
    struct bp_boot_event ev;
    if (!ok(bp_bootlog_open(bp_span_of(r->log, r->log_n), BP_HASH_SHA256, &bl))) {
        return;
    }
    for (;;) {
        const uint32_t separators = bl.separators;
        if (!ok(bp_bootlog_next(r->c, &bl, &ev))) {
            return;
        }
        bp_span name = BP_SPAN_EMPTY;
        static char label[REFS_MAX][BP_BOOT_LABEL_MAX];
        const enum bp_boot_rule rule = bp_boot_rule_of(&ev, separators, &name);
        if (rule == BP_RULE_VARIABLE) {
            add_ref(f, &(struct bp_ref_key){.kind = BP_REF_VARIABLE, .pcr = 7, .variable = name}, ev.claim.digest, name);
        } else if (rule == BP_RULE_REQUIRED) {
            name = bp_boot_label(&ev.raw, label[f->n]);
            add_ref(f, &(struct bp_ref_key){.kind = BP_REF_BOOT, .pcr = ev.claim.pcr, .required = true}, ev.claim.digest,
                    name);
        }
    }
}

uint32_t rig_release(struct rig *r, const char *name, const char *zone, const struct rig_os *os,
                     const char *const *programs)
{
    static struct rig other;
    static struct refs f;
    f.n = 0;
    if (os != NULL) {
        memset(&other, 0, sizeof other);
        other.c = r->c;
        rig_boot(&other, os);
        refs_of_log(&other, &f);
        if (os->is_secure) {
            add_ref(&f, &(struct bp_ref_key){.kind = BP_REF_SECURE_BOOT, .pcr = 7}, BP_SPAN_EMPTY, BP_SPAN_EMPTY);
        }
    }
    for (; programs != NULL && programs[0] != NULL; programs += 2) {
        uint8_t digest[32];
        file_digest(r, programs[0], programs[1], digest);
        add_ref(&f, &(struct bp_ref_key){.kind = BP_REF_IMA, .pcr = 10}, BP_SPAN_OF(digest), bp_span_cstr(programs[0]));
    }
    const uint32_t at = r->sources++;
    size_t n = 0;
    if (!ok(bp_corim_write(bp_span_cstr(name), BP_SPAN_STR("Bedplate"), BP_SPAN_STR("test"), f.ref, f.n, r->corim[at],
                           RIG_CORIM_MAX, &n))) {
        n = 0;
    }
    sha(r, bp_span_of(r->corim[at], n), r->release_id[at]);
    r->source[at] = (struct bp_ref_source){.id = bp_span_of(r->release_id[at], 32),
                                           .state = BP_RELEASE_ACCEPTED,
                                           .zone = bp_span_cstr(zone),
                                           .corim = bp_span_of(r->corim[at], n)};
    return at;
}

bool rig_publish(struct rig *r)
{
    size_t bad = 0;
    return ok(bp_refset_build(r->c, r->source, r->sources, r->release, r->entry, RIG_ENTRIES_MAX, &bad, &r->refs));
}

/* --- attestation --- */

void rig_nonce(struct rig *r)
{
    r->seq++;
    r->as_of_ms = r->now_ms;
    uint8_t seed[8];
    for (size_t i = 0; i < 8; i++) {
        seed[i] = (uint8_t)(r->seq >> (8 * i));
    }
    const bp_span parts[] = {BP_SPAN_STR("nonce"), BP_SPAN_OF(seed)};
    BP_IGNORE(bp_hash_parts(r->c, BP_HASH_SHA256, parts, 2, r->nonce), "a wrong nonce is refused");
}

/* What both statements say of the TPM. */
static struct bp_tpm_attest statement_of(const struct rig *r)
{
    return (struct bp_tpm_attest){.qualified_signer = bp_tpm_name_span(&r->qualified),
                                  .clock_ms = r->clock_ms,
                                  .reset_count = r->reset_count,
                                  .restart_count = r->restart_count,
                                  .safe = r->safe,
                                  .firmware_version = 7};
}

static void certify_key(struct rig *r, struct bp_evidence *ev)
{
    const bp_span key = bp_span_of(r->ldevid_public, r->ldevid_public_n);
    struct bp_tpm_attest a = statement_of(r);
    size_t n = 0;
    size_t s = 0;
    if (!ok(bp_sim_certify(r->c, &a, key, BP_SPAN_OF(r->nonce), BP_SPAN_OF(r->device_id), r->key_attest,
                           sizeof r->key_attest, &n)) ||
        !ok(bp_sim_sign(&r->ak.signer, bp_span_of(r->key_attest, n), r->key_sig, sizeof r->key_sig, &s))) {
        return;
    }
    ev->keys = 1;
    ev->key[0] = (struct bp_certified){key, bp_span_of(r->key_attest, n), bp_span_of(r->key_sig, s)};
}

static void quoted_values(const struct rig *r, uint8_t ret[BP_APPRAISE_PCR_COUNT * 32])
{
    size_t n = 0;
    for (uint32_t i = 0; i < 24; i++) {
        if ((BP_APPRAISE_PCRS >> i & 1u) != 0) {
            memcpy(ret + n, r->pcrs.v[i], 32);
            n += 32;
        }
    }
}

static void fill_lists(struct rig *r, struct bp_evidence *ev, const uint8_t values[BP_APPRAISE_PCR_COUNT * 32])
{
    if (!r->has_log) {
        ev->has_boot = true;
        ev->boot = bp_span_of(r->log, r->log_n);
    }
    if (r->ima_count > r->held_ima) {
        const size_t from = r->held_ima == 0 ? 0 : r->ima_end[r->held_ima - 1];
        ev->has_ima = true;
        ev->ima_from = r->held_ima;
        ev->ima = bp_span_of(r->ima + from, r->ima_n - from);
    }
    if (!r->has_acked || memcmp(values, r->acked_pcrs, sizeof r->acked_pcrs) != 0) {
        ev->has_pcrs = true;
        ev->pcrs = BP_APPRAISE_PCR_COUNT;
        for (uint32_t i = 0; i < ev->pcrs; i++) {
            ev->pcr[i] = bp_span_of(values + (size_t)i * 32, 32);
        }
    }
}

static bool sign_quote(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *q, const struct rig_forge *forge)
{
    uint8_t extra[32];
    if (!ok(bp_sim_cover(r->c, ev, BP_SPAN_OF(r->nonce), BP_SPAN_OF(r->binding), r->evidence, sizeof r->evidence, extra))) {
        return false;
    }
    q->extra_data = BP_SPAN_OF(extra);
    if (!ok(bp_sim_attest(q, r->attest, sizeof r->attest, &r->attest_n))) {
        return false;
    }
    if (forge != NULL && forge->bytes != NULL) {
        forge->bytes(r);
    }
    if (!ok(bp_sim_sign(&r->ak.signer, bp_span_of(r->attest, r->attest_n), r->sig, sizeof r->sig, &r->sig_n))) {
        return false;
    }
    ev->attest = bp_span_of(r->attest, r->attest_n);
    ev->signature = bp_span_of(r->sig, r->sig_n);
    return true;
}

bool rig_answer(struct rig *r, const struct rig_forge *forge)
{
    static uint8_t values[BP_APPRAISE_PCR_COUNT * 32];
    static const uint8_t secret[32] = {1};
    struct bp_evidence ev = {.about = {.device_id = BP_SPAN_OF(r->device_id),
                                       .seq = r->seq,
                                       .issued_ms = (uint64_t)r->as_of_ms,
                                       .ldevid = BP_SPAN_OF(r->ldevid_hash),
                                       .agent = BP_SPAN_STR("1.0")}};
    uint8_t digest[32];
    quoted_values(r, values);
    sha(r, BP_SPAN_OF(values), digest);
    struct bp_tpm_attest q = statement_of(r);
    q.type = BP_TPM_ST_QUOTE;
    q.pcrs = (struct bp_tpm_pcrs){.count = 1, .bank = {{BP_TPM_ALG_SHA256, BP_APPRAISE_PCRS}}};
    q.pcr_digest = BP_SPAN_OF(digest);
    fill_lists(r, &ev, values);
    if (r->first_contact) {
        ev.about.activation = BP_SPAN_OF(secret);
        certify_key(r, &ev);
    }
    if (forge != NULL && forge->before != NULL) {
        forge->before(r, &ev, &q);
    }
    if (!sign_quote(r, &ev, &q, forge)) {
        return false;
    }
    if (forge != NULL && forge->after != NULL) {
        forge->after(r, &ev);
    }
    if (!ok(bp_evidence_write(&ev, true, r->evidence, sizeof r->evidence, &r->evidence_n))) {
        return false;
    }
    if (forge != NULL && forge->wire != NULL) {
        forge->wire(r);
    }
    return true;
}

void rig_request(const struct rig *r, struct bp_appraise_request *ret)
{
    *ret = (struct bp_appraise_request){.evidence = bp_span_of(r->evidence, r->evidence_n),
                                        .nonce = BP_SPAN_OF(r->nonce),
                                        .device_id = BP_SPAN_OF(r->device_id),
                                        .ldevid = r->first_contact ? BP_SPAN_EMPTY : BP_SPAN_OF(r->ldevid_hash),
                                        .binding = BP_SPAN_OF(r->binding),
                                        .ak = bp_span_of(r->ak_public, r->ak_public_n),
                                        .state = bp_span_of(r->state, r->state_n),
                                        .as_of_ms = r->as_of_ms,
                                        .now_ms = r->now_ms,
                                        .zone = BP_SPAN_STR("north"),
                                        .activation = r->first_contact,
                                        .root_class = bp_span_cstr(r->root_class),
                                        .parents = 1,
                                        .qualified = {bp_tpm_name_span(&r->qualified)}};
}

bp_result rig_appraise(struct rig *r, const struct rig_forge *forge, bool keep)
{
    struct bp_appraise_request req;
    rig_request(r, &req);
    if (forge != NULL && forge->ask != NULL) {
        forge->ask(r, &req);
    }
    const bp_result res = bp_appraise(r->c, &r->refs, &req, r->arena, sizeof r->arena, &r->out);
    if (ok(res) && keep && r->out.accepted) {
        memcpy(r->state, r->out.state.p, r->out.state.n);
        r->state_n = r->out.state.n;
        r->has_log = r->out.has_log;
        r->held_ima = r->out.held_ima;
        quoted_values(r, r->acked_pcrs);
        r->has_acked = true;
    }
    return res;
}

bool rig_round(struct rig *r, int64_t ms, const struct rig_forge *forge)
{
    rig_nonce(r);
    rig_wait(r, ms);
    return rig_answer(r, forge) && ok(rig_appraise(r, forge, true));
}

const char *rig_code(const struct rig *r, uint32_t n)
{
    return n < r->out.findings ? bp_finding_row(r->out.finding[n].id).code : "";
}

bool rig_has(const struct rig *r, enum bp_finding_id id)
{
    for (uint32_t i = 0; i < r->out.findings; i++) {
        if (r->out.finding[i].id == id) {
            return true;
        }
    }
    return false;
}

unsigned rig_rank(const struct bp_appraisal *a)
{
    if (!a->accepted) {
        return 4;
    }
    return a->tier == BP_TIER_AFFIRMING ? 0 : a->tier == BP_TIER_WARNING ? 1 : a->tier == BP_TIER_NONE ? 2 : 3;
}
