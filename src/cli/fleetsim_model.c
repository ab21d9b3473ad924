/* SPDX-License-Identifier: Apache-2.0 */
/* cli/fleetsim_model - logs of a machine that is not there. */
#include "cli/fleetsim_model.h"

#include "codec/tcglog.h"
#include "core/replay.h"

#include <stdio.h>

#define BP_MODULE CLI

struct maker {
    struct bp_crypto *c;
    bp_wr boot;
    bp_wr ima;
    struct bp_pcrs pcrs;
    struct bp_ima_point point;
    bp_result state; /* the first failure */
};

static void keep(struct maker *m, bp_result r)
{
    if (!bp_failed(m->state)) {
        m->state = r;
    }
}

/* An event whose digest is of `content`. */
static void event(struct maker *m, uint32_t pcr, uint32_t type, bp_span data, bp_span content)
{
    uint8_t digest[BP_SHA256_SIZE] = {0};
    keep(m, bp_hash(m->c, BP_HASH_SHA256, content, digest));
    const struct bp_tcg_digest d = {BP_TPM_ALG_SHA256, BP_SPAN_OF(digest)};
    bp_tcglog_write_event(&m->boot, pcr, type, &d, 1, data);
    keep(m, bp_pcrs_extend(m->c, &m->pcrs, pcr, BP_SPAN_OF(digest)));
}

static void same(struct maker *m, uint32_t pcr, uint32_t type, bp_span data)
{
    event(m, pcr, type, data, data);
}

static void variable(struct maker *m, uint32_t type, const uint8_t guid[16], const char *name, bp_span value)
{
    uint8_t data[256];
    bp_wr wr = bp_wr_over(data, sizeof data);
    bp_wr_bytes(&wr, bp_span_of(guid, 16));
    bp_wr_le32(&wr, (uint32_t)strlen(name)); /* two words of 64 bits */
    bp_wr_le32(&wr, 0);
    bp_wr_le32(&wr, (uint32_t)value.n);
    bp_wr_le32(&wr, 0);
    for (const char *p = name; *p != '\0'; p++) {
        bp_wr_le16(&wr, (uint8_t)*p);
    }
    bp_wr_bytes(&wr, value);
    same(m, 7, type, bp_wr_span(&wr));
}

static void secure_boot(struct maker *m)
{
    static const uint8_t on[] = {1};
    const uint32_t type = BP_EV_EFI_VARIABLE_DRIVER_CONFIG;
    variable(m, type, bp_tcg_guid_global, "SecureBoot", BP_SPAN_OF(on));
    variable(m, type, bp_tcg_guid_global, "PK", BP_SPAN_STR("simulated platform key"));
    variable(m, type, bp_tcg_guid_global, "KEK", BP_SPAN_STR("simulated exchange keys"));
    variable(m, type, bp_tcg_guid_image_security, "db", BP_SPAN_STR("simulated allowed keys"));
    variable(m, type, bp_tcg_guid_image_security, "dbx", BP_SPAN_EMPTY);
}

static void boot(struct maker *m)
{
    static const struct bp_tcg_bank bank = {BP_TPM_ALG_SHA256, BP_SHA256_SIZE};
    static const uint8_t blob[16] = {0, 0, 0x80}, version[2] = {0}, zeros[4] = {0};
    static const uint8_t section[] = {'.', 0, 'i', 0, 'n', 0, 'i', 0, 't', 0, 'r', 0, 'd', 0};
    bp_tcglog_write_head(&m->boot, &bank, 1);
    same(m, 0, BP_EV_S_CRTM_VERSION, BP_SPAN_OF(version));
    event(m, 0, BP_EV_EFI_PLATFORM_FIRMWARE_BLOB, BP_SPAN_OF(blob), BP_SPAN_STR("simulated firmware"));
    secure_boot(m);
    same(m, 7, BP_EV_SEPARATOR, BP_SPAN_OF(zeros));
    event(m, 2, BP_EV_EFI_BOOT_SERVICES_DRIVER, BP_SPAN_STR("path of the driver"), BP_SPAN_STR("simulated driver"));
    same(m, 4, BP_EV_EFI_ACTION, BP_SPAN_STR("Calling EFI Application from Boot Option"));
    for (uint32_t pcr = 0; pcr < 7; pcr++) {
        same(m, pcr, BP_EV_SEPARATOR, BP_SPAN_OF(zeros));
    }
    variable(m, BP_EV_EFI_VARIABLE_AUTHORITY, bp_tcg_guid_image_security, "db", BP_SPAN_STR("simulated signer"));
    event(m, 4, BP_EV_EFI_BOOT_SERVICES_APPLICATION, BP_SPAN_STR("path of the loader"), BP_SPAN_STR("simulated loader"));
    same(m, 11, BP_EV_IPL, BP_SPAN_OF(section));
    event(m, 11, BP_EV_IPL, BP_SPAN_OF(section), BP_SPAN_STR("simulated initrd"));
    event(m, 9, BP_EV_EVENT_TAG, BP_SPAN_STR("\1\0\0\0\4\0\0\0init"), BP_SPAN_STR("simulated initrd"));
    same(m, 5, BP_EV_EFI_ACTION, BP_SPAN_STR("Exit Boot Services Invocation"));
}

static void program(struct maker *m, const char *path, const uint8_t digest[BP_SHA256_SIZE])
{
    uint8_t data[256], sha1[BP_HASH_MAX] = {0};
    struct bp_ima_entry entry;
    bp_wr d = bp_wr_over(data, sizeof data);
    bp_ima_write_data(&d, BP_IMA_SIG, BP_TPM_ALG_SHA256, bp_span_of(digest, BP_SHA256_SIZE), bp_span_cstr(path),
                      BP_SPAN_EMPTY);
    keep(m, bp_hash(m->c, BP_HASH_SHA1, bp_wr_span(&d), sha1));
    const size_t from = m->ima.n;
    bp_ima_write_entry(&m->ima, BP_IMA_SIG, bp_span_of(sha1, BP_IMA_DIGEST_SIZE), bp_wr_span(&d));
    keep(m, bp_wr_finish(&m->ima));
    if (bp_failed(m->state)) {
        return;
    }
    struct bp_ima it = bp_ima_open(bp_span_of(m->ima.p + from, m->ima.n - from), m->point.count);
    keep(m, bp_ima_next(&it, &entry));
    if (!bp_failed(m->state)) {
        keep(m, bp_ima_extend(m->c, BP_HASH_SHA256, &m->point, &entry));
    }
}

static void programs(struct maker *m)
{
    uint8_t all[10 * BP_SHA256_SIZE], digest[BP_SHA256_SIZE] = {0};
    for (uint32_t i = 0; i < 10; i++) {
        memcpy(all + (size_t)i * BP_SHA256_SIZE, m->pcrs.v[i], BP_SHA256_SIZE);
    }
    keep(m, bp_hash(m->c, BP_HASH_SHA256, BP_SPAN_OF(all), digest));
    program(m, "boot_aggregate", digest);
    for (unsigned i = 1; i < BP_SIM_PROGRAMS && !bp_failed(m->state); i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "/usr/lib/simulated/program-%03u", i);
        keep(m, bp_hash(m->c, BP_HASH_SHA256, bp_span_cstr(path), digest));
        program(m, path, digest);
    }
}

bp_result bp_sim_model_make(struct bp_crypto *c, struct bp_sim_model *ret)
{
    struct maker m = {.c = c, .boot = bp_wr_over(ret->boot, sizeof ret->boot),
                      .ima = bp_wr_over(ret->ima, sizeof ret->ima), .point = bp_ima_point_zero()};
    BP_TRY(bp_pcrs_init(BP_HASH_SHA256, 0, &m.pcrs));
    boot(&m);
    keep(&m, bp_wr_finish(&m.boot));
    programs(&m);
    BP_TRY(m.state);
    ret->boot_n = m.boot.n;
    ret->ima_n = m.ima.n;
    ret->ima_count = m.point.count;
    memcpy(m.pcrs.v[BP_IMA_PCR], m.point.pcr, BP_SHA256_SIZE);
    size_t n = 0;
    for (uint32_t i = 0; i < BP_TPM_PCRS; i++) {
        if ((BP_SIM_PCRS >> i & 1u) != 0) {
            memcpy(ret->pcrs + n, m.pcrs.v[i], BP_SHA256_SIZE);
            n += BP_SHA256_SIZE;
        }
    }
    return BP_OK;
}
