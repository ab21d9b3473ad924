/* SPDX-License-Identifier: Apache-2.0 */
/* tests/interop/appraise_dump - appraises one piece of evidence from files: what a server would say of it.
 *
 * usage: appraise_dump DIR AS_OF_MS NOW_MS
 *   DIR/evidence (the collection), nonce, device-id, ldevid, ak.pub and ek.pub (TPM2B_PUBLIC; whose
 *   child the AK has to be), corim; binding and state if there
 *   are any (32 zero bytes and none otherwise)
 * Prints "VERDICT REASON-CODE TEXT", VERDICT one of refused, none, affirming, warning, contraindicated; with a state file
 * name in BP_STATE_OUT the next state goes there. Exit 0 when there was an appraisal, whatever it says; 2 usage; 3 not. */
#include "appraise/appraise.h"
#include "core/tpmkey.h"
#include "platform/alloc.h"
#include "platform/openssl/crypto.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX   (2u << 20)
#define ENTRIES    8192u

struct file {
    const char *name;
    bool is_needed;
    bp_span bytes;
};

static bool read_file(const char *dir, struct file *f)
{
    char path[512];
    if (snprintf(path, sizeof path, "%s/%s", dir, f->name) >= (int)sizeof path) {
        return false;
    }
    FILE *in = fopen(path, "rbe");
    if (in == NULL) {
        return !f->is_needed;
    }
    uint8_t *room = bp_alloc(FILE_MAX);
    const size_t n = room == NULL ? 0 : fread(room, 1, FILE_MAX, in);
    const bool is_good = room != NULL && feof(in) != 0 && ferror(in) == 0;
    (void)fclose(in);
    f->bytes = bp_span_of(room, n);
    return is_good;
}

static bool write_state(const struct bp_appraisal *a)
{
    const char *path = getenv("BP_STATE_OUT");
    if (path == NULL || !a->accepted) {
        return true;
    }
    FILE *out = fopen(path, "wbe");
    const bool is_good = out != NULL && fwrite(a->state.p, 1, a->state.n, out) == a->state.n;
    return out != NULL && fclose(out) == 0 && is_good;
}

static void print(const struct bp_appraisal *a)
{
    const char *code = a->findings != 0 ? bp_finding_row(a->finding[0].id).code : "-";
    printf("%s %s %.*s\n", a->accepted ? bp_tier_name(a->tier) : "refused", code, (int)a->reason.n,
           (const char *)a->reason.p);
    for (uint32_t i = 1; i < a->findings; i++) {
        printf("  %s %.*s\n", bp_finding_row(a->finding[i].id).code, (int)a->finding[i].text.n,
               (const char *)a->finding[i].text.p);
    }
}

/* What the AK is called as a child of the EK; an AK that is no key is left to the appraisal. */
static bool name_child(struct bp_crypto *c, bp_span ak, bp_span ek, struct bp_tpm_name *ret)
{
    struct bp_tpm_public pub;
    struct bp_tpm_name name = {.n = 34, .v = {0, 0x0b}};
    if (!bp_failed(bp_tpm_public_read(ak, &pub)) && bp_failed(bp_tpm_name(c, &pub, &name))) {
        return false;
    }
    return !bp_failed(bp_tpm_public_read(ek, &pub)) && !bp_failed(bp_tpm_child_of_ek(c, &pub, bp_tpm_name_span(&name), ret));
}

int main(int argc, char **argv)
{
    static const uint8_t zeros[32];
    static struct bp_ref_release release;
    static struct bp_ref_entry entry[ENTRIES];
    static uint8_t arena[BP_APPRAISE_ARENA];
    static struct bp_appraisal out;
    static uint8_t id[32];
    struct file file[] = {{"evidence", true, BP_SPAN_EMPTY}, {"nonce", true, BP_SPAN_EMPTY},
                          {"device-id", true, BP_SPAN_EMPTY}, {"ldevid", true, BP_SPAN_EMPTY},
                          {"ak.pub", true, BP_SPAN_EMPTY}, {"ek.pub", true, BP_SPAN_EMPTY}, {"corim", true, BP_SPAN_EMPTY},
                          {"binding", false, BP_SPAN_EMPTY},  {"state", false, BP_SPAN_EMPTY}};
    struct bp_crypto *c = NULL;
    struct bp_refset refs;
    struct bp_tpm_name child;
    if (argc != 4) {
        fprintf(stderr, "usage: appraise_dump DIR AS_OF_MS NOW_MS\n");
        return 2;
    }
    for (size_t i = 0; i < sizeof file / sizeof file[0]; i++) {
        if (!read_file(argv[1], &file[i])) {
            fprintf(stderr, "appraise_dump: %s/%s cannot be read\n", argv[1], file[i].name);
            return 3;
        }
    }
    if (bp_failed(bp_crypto_openssl_new(8, &c)) || bp_failed(bp_hash(c, BP_HASH_SHA256, file[6].bytes, id)) ||
        !name_child(c, file[4].bytes, file[5].bytes, &child)) {
        return 3;
    }
    const struct bp_ref_source source = {
        .id = BP_SPAN_OF(id), .state = BP_RELEASE_ACCEPTED, .zone = BP_SPAN_STR("*"), .corim = file[6].bytes};
    bp_result r = bp_refset_build(c, &source, 1, &release, entry, ENTRIES, NULL, &refs);
    if (bp_failed(r)) {
        fprintf(stderr, "appraise_dump: reference values: %s\n", bp_error_text(bp_error_of(r)));
        return 3;
    }
    const struct bp_appraise_request req = {.evidence = file[0].bytes,
                                            .nonce = file[1].bytes,
                                            .device_id = file[2].bytes,
                                            .ldevid = file[3].bytes,
                                            .ak = file[4].bytes,
                                            .binding = file[7].bytes.n != 0 ? file[7].bytes : BP_SPAN_OF(zeros),
                                            .state = file[8].bytes,
                                            .as_of_ms = strtoll(argv[2], NULL, 10),
                                            .now_ms = strtoll(argv[3], NULL, 10),
                                            .zone = BP_SPAN_STR("plant"),
                                            .root_class = BP_SPAN_STR("virtual"),
                                            .parents = 1,
                                            .qualified = {bp_tpm_name_span(&child)}};
    r = bp_appraise(c, &refs, &req, arena, sizeof arena, &out);
    if (bp_failed(r)) {
        fprintf(stderr, "appraise_dump: %s\n", bp_error_text(bp_error_of(r)));
        return 3;
    }
    print(&out);
    const bool is_written = write_state(&out);
    for (size_t i = 0; i < sizeof file / sizeof file[0]; i++) {
        bp_free((void *)(uintptr_t)file[i].bytes.p);
    }
    bp_crypto_openssl_free(c);
    return is_written ? 0 : 3;
}
