/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/cli/test_reference - reference values from images, boot logs and IMA lists. */
#include "cli/reference.h"
#include "codec/ima.h"
#include "codec/tcglog.h"
#include "codec/tpm.h"
#include "core/replay.h"
#include "harness.h"
#include "image.h"
#include "platform/alloc.h"
#include "platform/openssl/crypto.h"

static struct bp_crypto *crypto;
static uint8_t room[8192], disk[4096], logs[8192];

static void sha(bp_span in, uint8_t ret[32])
{
    if (bp_failed(bp_hash(crypto, BP_HASH_SHA256, in, ret))) {
        memset(ret, 0, 32);
    }
}

static bp_span ramdisk(const char *tool)
{
    bp_wr wr = bp_wr_over(disk, sizeof disk);
    cpio_put(&wr, "bin/tool", 0100755, bp_span_cstr(tool));
    cpio_put(&wr, "etc/motd", 0100644, BP_SPAN_STR("hello"));
    cpio_end(&wr);
    return bp_wr_span(&wr);
}

static bp_span uki(const char *tool, const char *cmdline)
{
    const struct image_section s[] = {{".osrel", BP_SPAN_STR("ID=test\n")},
                                      {".cmdline", bp_span_cstr(cmdline)},
                                      {".linux", BP_SPAN_STR("kernel")},
                                      {".initrd", ramdisk(tool)}};
    return image_write(room, sizeof room, s, 4, BP_SPAN_EMPTY);
}

static const struct bp_corim_ref *find(const struct bp_references *set, const char *mkey, const char *name)
{
    for (size_t i = 0; i < set->count; i++) {
        if (bp_span_equal(set->ref[i].mkey, bp_span_cstr(mkey)) &&
            bp_span_equal(set->ref[i].name, bp_span_cstr(name))) {
            return &set->ref[i];
        }
    }
    return NULL;
}

static bool is_digest_of(const struct bp_corim_ref *ref, uint32_t i, bp_span content)
{
    uint8_t digest[32];
    sha(content, digest);
    return ref != NULL && i < ref->digests && bp_span_equal(ref->digest[i].digest, BP_SPAN_OF(digest));
}

BP_CASE(image_parts)
{
    struct bp_references set;
    struct bp_reference_trouble t;
    bp_references_init(&set);
    BP_NEED(!bp_failed(bp_references_add_image(crypto, &set, uki("one", "quiet"), &t)));
    BP_CHECK(set.count == 12 && set.images == 1 && set.programs == 1);
    BP_CHECK(find(&set, "boot/4/required", "boot application") != NULL);
    BP_CHECK(is_digest_of(find(&set, "boot/11/required", "name of .linux"), 0, bp_span_of(".linux", 7)));
    BP_CHECK(is_digest_of(find(&set, "boot/11/required", ".linux"), 0, BP_SPAN_STR("kernel")));
    BP_CHECK(is_digest_of(find(&set, "boot/9/required", "load options"), 0, bp_span_of("q\0u\0i\0e\0t\0\0", 12)));
    BP_CHECK(is_digest_of(find(&set, "boot/9/required", "Linux initrd"), 0, ramdisk("one")));
    BP_CHECK(is_digest_of(find(&set, "ima", "/bin/tool"), 0, BP_SPAN_STR("one")));
    BP_CHECK(find(&set, "ima", "/etc/motd") == NULL);
    bp_references_done(&set);
}

BP_CASE(second_image_is_an_alternative)
{
    struct bp_references set;
    struct bp_reference_trouble t;
    bp_references_init(&set);
    BP_NEED(!bp_failed(bp_references_add_image(crypto, &set, uki("one", "quiet"), &t)));
    BP_NEED(!bp_failed(bp_references_add_image(crypto, &set, uki("two", "quiet"), &t)));
    const struct bp_corim_ref *app = find(&set, "boot/4/required", "boot application");
    BP_NEED(app != NULL);
    BP_CHECK(app->digests == 2 && set.images == 2);
    const struct bp_corim_ref *linux_ = find(&set, "boot/11/required", ".linux");
    BP_CHECK(linux_ != NULL && linux_->digests == 1);
    BP_CHECK(set.count == 13 && set.programs == 2);
    bp_references_done(&set);
}

BP_CASE(images_of_other_parts_do_not_mix)
{
    struct bp_references set;
    struct bp_reference_trouble t;
    const struct image_section s[] = {{".linux", BP_SPAN_STR("kernel")}, {".dtb", BP_SPAN_STR("tree")}};
    bp_references_init(&set);
    BP_NEED(!bp_failed(bp_references_add_image(crypto, &set, uki("one", "quiet"), &t)));
    BP_CHECK(bp_is(bp_references_add_image(crypto, &set, image_write(room, sizeof room, s, 2, BP_SPAN_EMPTY), &t),
                   BP_E_UNSUPPORTED));
    BP_CHECK(t.what[0] != 0);
    bp_references_done(&set);
}

BP_CASE(no_image)
{
    struct bp_references set;
    struct bp_reference_trouble t;
    const struct image_section s[] = {{".text", BP_SPAN_STR("code")}};
    bp_references_init(&set);
    BP_CHECK(bp_failed(bp_references_add_image(crypto, &set, BP_SPAN_STR("MZ but no image"), &t)) && t.what[0] != 0);
    BP_CHECK(bp_is(bp_references_add_image(crypto, &set, image_write(room, sizeof room, s, 1, BP_SPAN_EMPTY), &t),
                   BP_E_UNSUPPORTED));
    BP_CHECK(bp_is(bp_references_add_image(crypto, &set, uki("one", "caf\xc3\xa9"), &t), BP_E_UNSUPPORTED));
    BP_CHECK(set.images == 0);
    bp_references_done(&set);
}

/* --- boot logs --- */

static void put_event(bp_wr *wr, uint32_t pcr, uint32_t type, bp_span data, bp_span hashed)
{
    uint8_t digest[32];
    sha(hashed, digest);
    const struct bp_tcg_digest d = {BP_TPM_ALG_SHA256, BP_SPAN_OF(digest)};
    bp_tcglog_write_event(wr, pcr, type, &d, 1, data);
}

static bp_span variable(uint8_t *p, size_t cap, const uint8_t guid[16], const char *name, bp_span value)
{
    bp_wr wr = bp_wr_over(p, cap);
    bp_wr_bytes(&wr, bp_span_of(guid, 16));
    bp_wr_le32(&wr, (uint32_t)strlen(name));
    bp_wr_le32(&wr, 0);
    bp_wr_le32(&wr, (uint32_t)value.n);
    bp_wr_le32(&wr, 0);
    for (size_t i = 0; name[i] != 0; i++) {
        bp_wr_le16(&wr, (uint8_t)name[i]);
    }
    bp_wr_bytes(&wr, value);
    return bp_wr_span(&wr);
}

enum log_fault { LOG_SOUND, LOG_SECURE_BOOT_OFF, LOG_NO_SECURE_BOOT, LOG_LIE, LOG_ERROR_SEPARATOR, LOG_CUT };

static bp_span boot_log(enum log_fault f)
{
    const struct bp_tcg_bank bank = {BP_TPM_ALG_SHA256, 32};
    uint8_t v[128];
    static const uint8_t on[] = {1}, off[] = {0}, zero[4] = {0}, error[] = {1, 0, 0, 0};
    bp_wr wr = bp_wr_over(logs, sizeof logs);
    bp_tcglog_write_head(&wr, &bank, 1);
    put_event(&wr, 0, BP_EV_S_CRTM_VERSION, bp_span_of("1\0", 2), bp_span_of("1\0", 2));
    put_event(&wr, 0, BP_EV_EFI_PLATFORM_FIRMWARE_BLOB, bp_span_of(zero, 4), BP_SPAN_STR("firmware"));
    if (f != LOG_NO_SECURE_BOOT) {
        const bp_span sb = variable(v, sizeof v, bp_tcg_guid_global, "SecureBoot",
                                    f == LOG_SECURE_BOOT_OFF ? BP_SPAN_OF(off) : BP_SPAN_OF(on));
        put_event(&wr, 7, BP_EV_EFI_VARIABLE_DRIVER_CONFIG, sb, sb);
    }
    const bp_span db = variable(v, sizeof v, bp_tcg_guid_image_security, "db", BP_SPAN_STR("keys"));
    put_event(&wr, 7, BP_EV_EFI_VARIABLE_DRIVER_CONFIG, db, f == LOG_LIE ? BP_SPAN_STR("other keys") : db);
    put_event(&wr, 7, BP_EV_SEPARATOR, BP_SPAN_OF(zero), BP_SPAN_OF(zero));
    put_event(&wr, 1, BP_EV_EFI_VARIABLE_BOOT, BP_SPAN_STR("order"), BP_SPAN_STR("order"));
    for (uint32_t pcr = 0; pcr < 7; pcr++) {
        const bool bad = f == LOG_ERROR_SEPARATOR && pcr == 2;
        put_event(&wr, pcr, BP_EV_SEPARATOR, bad ? BP_SPAN_OF(error) : BP_SPAN_OF(zero),
                  bad ? BP_SPAN_OF(error) : BP_SPAN_OF(zero));
    }
    put_event(&wr, 4, BP_EV_EFI_BOOT_SERVICES_APPLICATION, BP_SPAN_STR("path"), BP_SPAN_STR("application"));
    put_event(&wr, 11, BP_EV_IPL, bp_span_of(".\0l\0\0", 6), BP_SPAN_STR("kernel"));
    const bp_span log = bp_wr_span(&wr);
    return f == LOG_CUT ? bp_span_sub(log, 0, log.n - 3) : log;
}

BP_CASE(log_alone)
{
    struct bp_references set;
    struct bp_reference_trouble t;
    bp_references_init(&set);
    BP_NEED(!bp_failed(bp_references_add_boot_log(crypto, &set, boot_log(LOG_SOUND), true, &t)));
    BP_CHECK(set.has_platform && set.count == 6);
    BP_CHECK(is_digest_of(find(&set, "boot/0/required", "firmware core"), 0, bp_span_of("1\0", 2)));
    BP_CHECK(is_digest_of(find(&set, "boot/0/required", "firmware volume"), 0, BP_SPAN_STR("firmware")));
    BP_CHECK(is_digest_of(find(&set, "boot/4/required", "boot application"), 0, BP_SPAN_STR("application")));
    BP_CHECK(find(&set, "boot/11/required", ".l") != NULL);
    BP_CHECK(find(&set, "variable/db", "db") != NULL);
    const struct bp_corim_ref *rule = find(&set, "rule/secure-boot", "Secure Boot");
    BP_CHECK(rule != NULL && rule->has_secure && rule->secure && rule->digests == 0);
    bp_references_done(&set);
}

BP_CASE(log_beside_an_image)
{
    struct bp_references set;
    struct bp_reference_trouble t;
    bp_references_init(&set);
    BP_NEED(!bp_failed(bp_references_add_image(crypto, &set, uki("one", "quiet"), &t)));
    BP_NEED(!bp_failed(bp_references_add_boot_log(crypto, &set, boot_log(LOG_SOUND), false, &t)));
    BP_CHECK(set.count == 16);
    const struct bp_corim_ref *app = find(&set, "boot/4/required", "boot application");
    BP_CHECK(app != NULL && app->digests == 1 && !is_digest_of(app, 0, BP_SPAN_STR("application")));
    bp_references_done(&set);
}

static void bad_logs(void)
{
    static const struct {
        const char *name;
        enum log_fault fault;
        enum bp_error error;
    } row[] = {
        {"log.secure_boot_off", LOG_SECURE_BOOT_OFF, BP_E_DENIED},
        {"log.secure_boot_not_told", LOG_NO_SECURE_BOOT, BP_E_DENIED},
        {"log.data_does_not_match", LOG_LIE, BP_E_DENIED},
        {"log.firmware_failed_to_measure", LOG_ERROR_SEPARATOR, BP_E_DENIED},
        {"log.cut", LOG_CUT, BP_E_TRUNCATED},
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        bp_case_begin();
        struct bp_references set;
        struct bp_reference_trouble t;
        bp_references_init(&set);
        BP_CHECK(bp_error_of(bp_references_add_boot_log(crypto, &set, boot_log(row[i].fault), true, &t)) ==
                 row[i].error);
        BP_CHECK(t.what[0] != 0 && !set.has_platform);
        bp_references_done(&set);
        bp_case_end(row[i].name);
    }
}

/* --- IMA --- */

static void put_ima(bp_wr *wr, const char *path, const char *content, bool is_violation)
{
    uint8_t digest[32], data[256], template[20];
    sha(bp_span_cstr(content), digest);
    bp_wr d = bp_wr_over(data, sizeof data);
    if (is_violation) {
        memset(digest, 0, sizeof digest);
    }
    bp_ima_write_data(&d, BP_IMA_NG, BP_TPM_ALG_SHA256, BP_SPAN_OF(digest), bp_span_cstr(path), BP_SPAN_EMPTY);
    if (bp_failed(bp_hash(crypto, BP_HASH_SHA1, bp_wr_span(&d), template)) || is_violation) {
        memset(template, 0, sizeof template);
    }
    bp_ima_write_entry(wr, BP_IMA_NG, BP_SPAN_OF(template), bp_wr_span(&d));
}

BP_CASE(ima_list)
{
    struct bp_references set;
    struct bp_reference_trouble t;
    bp_wr wr = bp_wr_over(logs, sizeof logs);
    put_ima(&wr, "boot_aggregate", "aggregate", false);
    put_ima(&wr, "/bin/tool", "one", false);
    put_ima(&wr, "/bin/tool", "one", false);
    bp_references_init(&set);
    BP_NEED(!bp_failed(bp_references_add_ima_log(crypto, &set, bp_wr_span(&wr), &t)));
    BP_CHECK(set.count == 1 && is_digest_of(find(&set, "ima", "/bin/tool"), 0, BP_SPAN_STR("one")));
    put_ima(&wr, "/bin/other", "two", true);
    BP_CHECK(bp_is(bp_references_add_ima_log(crypto, &set, bp_wr_span(&wr), &t), BP_E_DENIED) && t.at == 3);
    bp_references_done(&set);
}

/* What is written can be read back, value by value. */
BP_CASE(corim_round_trip)
{
    struct bp_references set;
    struct bp_reference_trouble t;
    struct bp_corim corim;
    struct bp_corim_iter it;
    struct bp_corim_ref ref;
    uint8_t *p = NULL;
    size_t n = 0, seen = 0;
    bp_references_init(&set);
    BP_NEED(!bp_failed(bp_references_add_image(crypto, &set, uki("one", "quiet"), &t)));
    BP_NEED(!bp_failed(bp_references_add_boot_log(crypto, &set, boot_log(LOG_SOUND), false, &t)));
    BP_NEED(!bp_failed(bp_references_corim(&set, BP_SPAN_STR("p 1"), BP_SPAN_STR("v"), BP_SPAN_STR("m"), &p, &n)));
    BP_NEED(!bp_failed(bp_corim_read(bp_span_of(p, n), &corim)) && corim.comids == 1);
    BP_NEED(!bp_failed(bp_corim_open(corim.comid[0], &it)));
    while (!bp_failed(bp_corim_next(&it, &ref))) {
        struct bp_ref_key key;
        BP_CHECK(!bp_failed(bp_ref_key_read(ref.mkey, &key)));
        BP_CHECK(seen < set.count && bp_span_equal(ref.mkey, set.ref[seen].mkey) &&
                 bp_span_equal(ref.name, set.ref[seen].name) && ref.digests == set.ref[seen].digests);
        seen++;
    }
    BP_CHECK(seen == set.count);
    bp_free(p);
    bp_references_done(&set);
}

BP_CASE(empty_set_is_not_written)
{
    struct bp_references set;
    uint8_t *p = NULL;
    size_t n = 0;
    bp_references_init(&set);
    BP_CHECK(bp_failed(bp_references_corim(&set, BP_SPAN_STR("p 1"), BP_SPAN_STR("v"), BP_SPAN_STR("m"), &p, &n)));
}

BP_CASE(memory_comes_back)
{
    const size_t live = bp_alloc_live();
    bool ended = false;
    for (size_t nth = 1; nth < 64 && !ended; nth++) {
        struct bp_references set;
        struct bp_reference_trouble t;
        const bp_span image = uki("one", "quiet");
        bp_references_init(&set);
        bp_alloc_fail_once(nth);
        const bp_result r = bp_references_add_image(crypto, &set, image, &t);
        ended = !bp_alloc_has_failed();
        bp_alloc_fail_once(0);
        BP_CHECK(ended ? !bp_failed(r) : bp_is(r, BP_E_NO_MEMORY));
        bp_references_done(&set);
        BP_CHECK(bp_alloc_live() == live);
    }
    BP_CHECK(ended);
}

BP_CASE(setup)
{
    BP_CHECK(!bp_failed(bp_crypto_openssl_new(4, &crypto)));
}

BP_CASE(teardown)
{
    bp_crypto_openssl_free(crypto);
    BP_CHECK(true);
}

BP_SUITE(reference, BP_RUN(setup) BP_RUN(image_parts) BP_RUN(second_image_is_an_alternative)
                        BP_RUN(images_of_other_parts_do_not_mix) BP_RUN(no_image) BP_RUN(log_alone)
                            BP_RUN(log_beside_an_image) BP_TABLE(bad_logs) BP_RUN(ima_list) BP_RUN(corim_round_trip)
                                BP_RUN(empty_set_is_not_written) BP_RUN(memory_comes_back) BP_RUN(teardown))
