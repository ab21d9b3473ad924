/* SPDX-License-Identifier: Apache-2.0 */
/* cli/release - a release is made, signed and looked at, all on the maker's machine. */
#include "cli/cli.h"
#include "cli/pem.h"
#include "cli/reference.h"
#include "codec/cose.h"
#include "codec/release.h"
#include "codec/x509.h"
#include "platform/alloc.h"
#include "platform/linux/clock.h"
#include "platform/linux/file.h"
#include "platform/openssl/key.h"

#include <unistd.h>

#define BP_MODULE CLI

#define IMAGE_MAX   ((size_t)512 << 20)
#define LOG_MAX     ((size_t)4 << 20)
#define RELEASE_MAX ((size_t)8 << 20)
#define PATH_ROOM   4096u
/* A server takes no larger one (docs/protocol/api.md). */
#define SERVER_MAX ((size_t)1 << 20)

/* --- create --- */

struct making {
    struct bp_cli *cli;
    const struct bp_args *args;
    struct bp_references set;
    struct bp_release release;
    uint8_t digest[BP_ARGS_REPEAT_MAX][BP_SHA256_SIZE];
    char id[2 * BP_RELEASE_TEXT_MAX + 2];
};

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static int tell_trouble(struct bp_cli *cli, const char *path, const struct bp_reference_trouble *t, bp_result r)
{
    if (t->what == NULL || t->what[0] == 0) {
        return bp_tell_failure(cli, path, r);
    }
    return bp_tell(cli, BP_EXIT_NO, "%s: %s (at %u): %s", path, t->what, t->at, bp_error_text(bp_error_of(r)));
}

static int add_image(struct making *m, uint32_t i)
{
    const char *path = m->args->repeat[i];
    uint8_t *bytes = NULL;
    size_t n = 0;
    if (!bp_cli_read(m->cli, path, IMAGE_MAX, &bytes, &n)) {
        return BP_EXIT_FAIL;
    }
    struct bp_reference_trouble trouble;
    bp_result r = bp_references_add_image(m->cli->crypto, &m->set, bp_span_of(bytes, n), &trouble);
    int code = bp_failed(r) ? tell_trouble(m->cli, path, &trouble, r) : BP_EXIT_OK;
    if (code == BP_EXIT_OK) {
        r = bp_hash(m->cli->crypto, BP_HASH_SHA256, bp_span_of(bytes, n), m->digest[i]);
        code = bp_failed(r) ? bp_tell_failure(m->cli, path, r) : BP_EXIT_OK;
        m->release.image[i] =
            (struct bp_release_image){bp_span_cstr(base_name(path)), BP_SPAN_OF(m->digest[i]), (uint64_t)n};
        m->release.images = i + 1;
    }
    bp_free(bytes);
    return code;
}

static int add_log(struct making *m, const char *path, bool is_ima)
{
    uint8_t *bytes = NULL;
    size_t n = 0;
    if (!bp_cli_read(m->cli, path, LOG_MAX, &bytes, &n)) {
        return BP_EXIT_FAIL;
    }
    struct bp_reference_trouble trouble;
    const bp_span log = bp_span_of(bytes, n);
    const bool with_image = m->args->repeats == 0;
    const bp_result r = is_ima ? bp_references_add_ima_log(m->cli->crypto, &m->set, log, &trouble)
                               : bp_references_add_boot_log(m->cli->crypto, &m->set, log, with_image, &trouble);
    bp_free(bytes);
    return bp_failed(r) ? tell_trouble(m->cli, path, &trouble, r) : BP_EXIT_OK;
}

static int gather(struct making *m)
{
    int code = BP_EXIT_OK;
    for (uint32_t i = 0; code == BP_EXIT_OK && i < m->args->repeats; i++) {
        code = add_image(m, i);
    }
    if (code == BP_EXIT_OK && bp_args_has(m->args, BP_O_FROM_LOG)) {
        code = add_log(m, m->args->value[BP_O_FROM_LOG], false);
    }
    if (code == BP_EXIT_OK && bp_args_has(m->args, BP_O_IMA_LOG)) {
        code = add_log(m, m->args->value[BP_O_IMA_LOG], true);
    }
    return code;
}

/* Days since 1970 of a date (proleptic Gregorian calendar); false when the text is none. */
static bool date_ms(const char *text, uint64_t *ret)
{
    static const unsigned days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    unsigned v[3] = {0};
    if (strlen(text) != 10 || text[4] != '-' || text[7] != '-') {
        return false;
    }
    for (int i = 0; i < 10; i++) {
        if (i != 4 && i != 7) {
            if (text[i] < '0' || text[i] > '9') {
                return false;
            }
            unsigned *part = &v[i < 4 ? 0 : i < 7 ? 1 : 2];
            *part = *part * 10 + (unsigned)(text[i] - '0');
        }
    }
    const bool is_leap = (v[0] % 4 == 0 && v[0] % 100 != 0) || v[0] % 400 == 0;
    if (v[0] < 1970 || v[1] < 1 || v[1] > 12 || v[2] < 1 ||
        v[2] > days[v[1] - 1] + (v[1] == 2 && is_leap ? 1u : 0u)) {
        return false;
    }
    uint64_t n = 0;
    for (unsigned y = 1970; y < v[0]; y++) {
        n += (y % 4 == 0 && y % 100 != 0) || y % 400 == 0 ? 366 : 365;
    }
    for (unsigned mo = 1; mo < v[1]; mo++) {
        n += days[mo - 1] + (mo == 2 && is_leap ? 1u : 0u);
    }
    *ret = (n + v[2] - 1) * 86400000u;
    return true;
}

static bool is_name(const char *text)
{
    const size_t n = strlen(text);
    return n != 0 && n <= BP_RELEASE_TEXT_MAX;
}

static int read_facts(struct making *m)
{
    const struct bp_args *a = m->args;
    struct bp_release *rel = &m->release;
    if (!is_name(a->value[BP_O_PRODUCT]) || !is_name(a->value[BP_O_MODEL]) || !is_name(a->value[BP_O_VERSION])) {
        return bp_tell(m->cli, BP_EXIT_USAGE, "product, model and version have at most %u bytes", BP_RELEASE_TEXT_MAX);
    }
    rel->product = bp_span_cstr(a->value[BP_O_PRODUCT]);
    rel->model = bp_span_cstr(a->value[BP_O_MODEL]);
    rel->version = bp_span_cstr(a->value[BP_O_VERSION]);
    rel->key_epoch = 1;
    if (!bp_args_number(a->value[BP_O_COUNTER], &rel->counter) ||
        (bp_args_has(a, BP_O_EPOCH) && !bp_args_number(a->value[BP_O_EPOCH], &rel->key_epoch))) {
        return bp_tell(m->cli, BP_EXIT_USAGE, "--counter and --key-epoch are numbers");
    }
    if (bp_args_has(a, BP_O_SUPPORT_END) && !date_ms(a->value[BP_O_SUPPORT_END], &rel->support_end_ms)) {
        return bp_tell(m->cli, BP_EXIT_USAGE, "--support-end is a date, YYYY-MM-DD");
    }
    if (a->repeats == 0 && !bp_args_has(a, BP_O_FROM_LOG)) {
        return bp_tell(m->cli, BP_EXIT_USAGE, "a release needs --uki FILE, --from-log FILE, or both");
    }
    const struct bp_clock clock = bp_clock_linux();
    rel->created_ms = (uint64_t)bp_wall_ms(&clock);
    (void)snprintf(m->id, sizeof m->id, "%s %s", a->value[BP_O_PRODUCT], a->value[BP_O_VERSION]);
    return BP_EXIT_OK;
}

/* The manifest around the CoRIM; the caller owns *ret. */
static bp_result write_release(const struct bp_release *rel, uint8_t **ret, size_t *ret_n)
{
    size_t n = 0;
    bp_result r = bp_release_write(rel, NULL, 0, &n);
    if (!bp_is(r, BP_E_NO_SPACE)) {
        return r;
    }
    uint8_t *p = bp_alloc(n);
    if (p == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    r = bp_release_write(rel, p, n, &n);
    if (bp_failed(r)) {
        bp_free(p);
        return r;
    }
    *ret = p;
    *ret_n = n;
    return BP_OK;
}

static void tell_made(struct making *m, const char *path, size_t n)
{
    if (m->cli->json) {
        fprintf(m->cli->out, "{\"images\": %u, \"boot_events\": %u, \"programs\": %u, \"values\": %zu, \"bytes\": %zu}\n",
                m->set.images, m->set.events, m->set.programs, m->set.count, n);
    } else {
        fprintf(m->cli->out, "%s: %s, %u images, %u boot events, %u programs, %zu values, %zu bytes; sign it next\n",
                path, m->id, m->set.images, m->set.events, m->set.programs, m->set.count, n);
    }
    if (!m->set.has_platform) {
        bp_tell(m->cli, 0, "without --from-log it says nothing of the platform's firmware: no device will run it whole "
                           "unless another accepted release does");
    }
    if (n > SERVER_MAX) {
        bp_tell(m->cli, 0, "it is larger than the %zu bytes that a server takes", SERVER_MAX);
    }
}

static int write_out(struct making *m)
{
    uint8_t *corim = NULL, *bytes = NULL;
    size_t n = 0;
    const char *vendor = bp_args_has(m->args, BP_O_VENDOR) ? m->args->value[BP_O_VENDOR] : m->args->value[BP_O_PRODUCT];
    bp_result r = bp_references_corim(&m->set, bp_span_cstr(m->id), bp_span_cstr(vendor), m->release.model, &corim, &n);
    if (!bp_failed(r)) {
        m->release.corim = bp_span_of(corim, n);
        r = write_release(&m->release, &bytes, &n);
    }
    int code = BP_EXIT_OK;
    const char *path = m->args->value[BP_O_OUT];
    if (bp_failed(r)) {
        code = bp_tell_failure(m->cli, "the release cannot be written", r);
    } else if (!bp_cli_write(m->cli, path, bp_span_of(bytes, n))) {
        code = BP_EXIT_FAIL;
    } else {
        tell_made(m, path, n);
    }
    bp_free(corim);
    bp_free(bytes);
    return code;
}

int bp_cmd_release_create(struct bp_cli *cli, const struct bp_args *args)
{
    struct making m = {.cli = cli, .args = args};
    bp_references_init(&m.set);
    int code = read_facts(&m);
    if (code == BP_EXIT_OK) {
        code = gather(&m);
    }
    if (code == BP_EXIT_OK) {
        code = write_out(&m);
    }
    bp_references_done(&m.set);
    return code;
}

/* --- keygen, sign --- */

static int write_public(struct bp_cli *cli, const struct bp_key *key, const char *path)
{
    char pub[PATH_ROOM];
    uint8_t text[2048];
    bp_wr wr = bp_wr_over(text, sizeof text);
    bp_pem_write(&wr, "PUBLIC KEY", bp_key_spki(key));
    const int n = snprintf(pub, sizeof pub, "%s.pub", path);
    if (n < 0 || (size_t)n >= sizeof pub || bp_failed(bp_wr_finish(&wr))) {
        return bp_tell(cli, BP_EXIT_FAIL, "%s: the path is too long", path);
    }
    return bp_cli_write(cli, pub, bp_wr_span(&wr)) ? BP_EXIT_OK : BP_EXIT_FAIL;
}

static int tell_key(struct bp_cli *cli, const struct bp_key *key, const char *path)
{
    uint8_t id[BP_SHA256_SIZE];
    const bp_result r = bp_hash(cli->crypto, BP_HASH_SHA256, bp_key_spki(key), id);
    if (bp_failed(r)) {
        return bp_tell_failure(cli, path, r);
    }
    fputs(cli->json ? "{\"key\": \"" : "release key ", cli->out);
    bp_print_hex(cli->out, BP_SPAN_OF(id));
    if (cli->json) {
        fputs("\"}\n", cli->out);
    } else {
        fprintf(cli->out, "\n%s keeps it: it signs releases, keep it offline; %s.pub goes to the plants\n", path, path);
    }
    return BP_EXIT_OK;
}

int bp_cmd_release_keygen(struct bp_cli *cli, const struct bp_args *args)
{
    const char *path = args->value[BP_O_OUT];
    if (access(path, F_OK) == 0) {
        return bp_tell(cli, BP_EXIT_NO, "%s exists; a key is never written over", path);
    }
    struct bp_key *key = NULL;
    bp_result r = bp_key_make(BP_KEY_P256, &key);
    if (!bp_failed(r)) {
        r = bp_key_save(key, path, BP_SPAN_EMPTY);
    }
    int code = bp_failed(r) ? bp_tell_failure(cli, path, r) : write_public(cli, key, path);
    if (code == BP_EXIT_OK) {
        code = tell_key(cli, key, path);
    }
    bp_key_free(key);
    return code;
}

/* COSE_Sign1 around the manifest; the caller owns *ret. */
static bp_result sign_release(struct bp_cli *cli, struct bp_key *key, bp_span payload, uint8_t **ret, size_t *ret_n)
{
    uint8_t kid[BP_SHA256_SIZE];
    const size_t cap = payload.n + 1024;
    BP_TRY(bp_hash(cli->crypto, BP_HASH_SHA256, bp_key_spki(key), kid));
    const struct bp_cose_header header = {.content_type = BP_SPAN_STR(BP_RELEASE_CONTENT), .kid = BP_SPAN_OF(kid)};
    const struct bp_signer signer = bp_key_signer(key);
    const size_t scratch_n = BP_COSE_SCRATCH(2 * BP_COSE_MAX_PROTECTED, payload.n, 0);
    uint8_t *scratch = bp_alloc(scratch_n);
    uint8_t *out = bp_alloc(cap);
    bp_result r = BP_FAIL(NO_MEMORY);
    if (scratch != NULL && out != NULL) {
        r = bp_cose_sign1_write(&signer, &header, payload, BP_SPAN_EMPTY, scratch, scratch_n, out, cap, ret_n);
    }
    bp_free(scratch);
    if (bp_failed(r)) {
        bp_free(out);
        return r;
    }
    *ret = out;
    return BP_OK;
}

static void tell_id(struct bp_cli *cli, bp_span payload)
{
    uint8_t id[BP_SHA256_SIZE];
    if (bp_failed(bp_hash(cli->crypto, BP_HASH_SHA256, payload, id))) {
        return;
    }
    fputs(cli->json ? "{\"id\": \"" : "release ", cli->out);
    bp_print_hex(cli->out, BP_SPAN_OF(id));
    fputs(cli->json ? "\"}\n" : " signed\n", cli->out);
}

int bp_cmd_release_sign(struct bp_cli *cli, const struct bp_args *args)
{
    const char *in = args->value[BP_O_IN], *key_path = args->value[BP_O_KEY];
    uint8_t *payload = NULL, *signed_ = NULL;
    size_t payload_n = 0, n = 0;
    struct bp_release release;
    struct bp_key *key = NULL;
    if (!bp_cli_read(cli, in, RELEASE_MAX, &payload, &payload_n)) {
        return BP_EXIT_FAIL;
    }
    int code = BP_EXIT_OK;
    bp_result r = bp_release_read(bp_span_of(payload, payload_n), &release);
    if (bp_failed(r)) {
        code = bp_tell(cli, BP_EXIT_NO, "%s: not what `release create` wrote: %s", in, bp_error_text(bp_error_of(r)));
        goto out;
    }
    r = bp_key_load(key_path, BP_SPAN_EMPTY, &key);
    if (bp_failed(r)) {
        code = bp_tell_failure(cli, key_path, r);
        goto out;
    }
    r = sign_release(cli, key, bp_span_of(payload, payload_n), &signed_, &n);
    if (bp_failed(r)) {
        code = bp_tell_failure(cli, "signing", r);
        goto out;
    }
    if (!bp_cli_write(cli, args->value[BP_O_OUT], bp_span_of(signed_, n))) {
        code = BP_EXIT_FAIL;
        goto out;
    }
    tell_id(cli, bp_span_of(payload, payload_n));
out:
    bp_key_free(key);
    bp_free(payload);
    bp_free(signed_);
    return code;
}

/* --- show --- */

struct counts {
    uint32_t required, recorded, variables, programs, rules;
};

static bp_result count_refs(bp_span corim, struct counts *ret)
{
    struct bp_corim c;
    BP_TRY(bp_corim_read(corim, &c));
    for (uint32_t i = 0; i < c.comids; i++) {
        struct bp_corim_iter it;
        struct bp_corim_ref ref;
        struct bp_ref_key key;
        BP_TRY(bp_corim_open(c.comid[i], &it));
        bp_result r = bp_corim_next(&it, &ref);
        for (; !bp_failed(r); r = bp_corim_next(&it, &ref)) {
            BP_TRY(bp_ref_key_read(ref.mkey, &key));
            uint32_t *n = key.kind == BP_REF_IMA           ? &ret->programs
                          : key.kind == BP_REF_VARIABLE    ? &ret->variables
                          : key.kind == BP_REF_SECURE_BOOT ? &ret->rules
                          : key.required                   ? &ret->required
                                                           : &ret->recorded;
            ++*n;
        }
        if (!bp_is(r, BP_E_NOT_FOUND)) {
            return r;
        }
    }
    return BP_OK;
}

static void print_value(FILE *f, bool json, const char *name, bp_span text)
{
    fprintf(f, json ? "\"%s\": \"" : "%-12s ", name);
    for (size_t i = 0; i < text.n; i++) {
        const uint8_t ch = text.p[i];
        if (json && (ch == '"' || ch == '\\')) {
            fputc('\\', f);
        }
        fputc(ch < 0x20 || ch == 0x7f ? '?' : ch, f);
    }
    fputs(json ? "\", " : "\n", f);
}

static void print_digest(FILE *f, bool json, const char *name, bp_span digest)
{
    fprintf(f, json ? "\"%s\": \"" : "%-12s ", name);
    bp_print_hex(f, digest);
    fputs(json ? "\", " : "\n", f);
}

static void print_images(FILE *f, bool json, const struct bp_release *rel)
{
    fputs(json ? "\"images\": [" : "", f);
    for (uint32_t i = 0; i < rel->images; i++) {
        fputs(json ? (i != 0 ? ", {" : "{") : "image        ", f);
        if (json) {
            print_value(f, true, "name", rel->image[i].name);
            print_digest(f, true, "digest", rel->image[i].digest);
            fprintf(f, "\"size\": %llu}", (unsigned long long)rel->image[i].size);
        } else {
            bp_print_text(f, rel->image[i].name);
            fprintf(f, ", %llu bytes, ", (unsigned long long)rel->image[i].size);
            bp_print_hex(f, rel->image[i].digest);
            fputc('\n', f);
        }
    }
    fputs(json ? "]}\n" : "", f);
}

static void print_release(struct bp_cli *cli, const struct bp_release *rel, bp_span id, bp_span kid,
                          const struct counts *n)
{
    FILE *f = cli->out;
    const bool json = cli->json;
    fputs(json ? "{" : "", f);
    print_digest(f, json, "id", id);
    print_value(f, json, "product", rel->product);
    print_value(f, json, "version", rel->version);
    print_value(f, json, "model", rel->model);
    if (kid.n != 0) {
        print_digest(f, json, "signer", kid);
    } else {
        print_value(f, json, "signer", BP_SPAN_STR("none: it is not signed yet"));
    }
    fprintf(f, json ? "\"counter\": %llu, \"key_epoch\": %llu, " : "counter      %llu (key epoch %llu)\n",
            (unsigned long long)rel->counter, (unsigned long long)rel->key_epoch);
    fprintf(f,
            json ? "\"required\": %u, \"recorded\": %u, \"variables\": %u, \"secure_boot\": %u, \"programs\": %u, "
                 : "measures     %u boot components, %u recorded, %u Secure Boot lists, Secure Boot rule %u, %u programs\n",
            n->required, n->recorded, n->variables, n->rules, n->programs);
    print_images(f, json, rel);
}

int bp_cmd_release_show_file(struct bp_cli *cli, const char *path)
{
    uint8_t *bytes = NULL;
    size_t n = 0;
    if (!bp_cli_read(cli, path, RELEASE_MAX, &bytes, &n)) {
        return BP_EXIT_FAIL;
    }
    struct bp_cose_sign1 msg = {0};
    struct bp_release rel;
    struct counts counts = {0};
    uint8_t id[BP_SHA256_SIZE];
    bp_span payload = bp_span_of(bytes, n);
    if (!bp_failed(bp_cose_sign1_read(payload, &msg))) {
        payload = msg.payload;
    }
    bp_result r = bp_release_read(payload, &rel);
    if (!bp_failed(r)) {
        r = count_refs(rel.corim, &counts);
    }
    if (!bp_failed(r)) {
        r = bp_hash(cli->crypto, BP_HASH_SHA256, payload, id);
    }
    int code = BP_EXIT_OK;
    if (bp_failed(r)) {
        code = bp_tell(cli, BP_EXIT_NO, "%s: not a release: %s", path, bp_error_text(bp_error_of(r)));
    } else {
        print_release(cli, &rel, BP_SPAN_OF(id), msg.kid, &counts);
    }
    bp_free(bytes);
    return code;
}
