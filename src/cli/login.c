/* SPDX-License-Identifier: Apache-2.0 */
/* cli/login - makes the operator's key where the operator is, and has it certified for a one-time code. */
#include "cli/api.h"
#include "cli/pem.h"
#include "codec/est.h"
#include "platform/alloc.h"
#include "platform/linux/file.h"
#include "platform/openssl/key.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#define BP_MODULE CLI

#define FILE_MAX ((size_t)64 << 10)
#define CSR_MAX  2048u

struct login {
    struct bp_cli *cli;
    const struct bp_args *args;
    struct bp_url url;
    bool has_hash;
    uint8_t hash[BP_SHA256_SIZE]; /* of the root */
    struct bp_key *key;
    char name[65];
};

static bool read_hash(const char *hex, uint8_t ret[BP_SHA256_SIZE])
{
    if (strlen(hex) != 64 || strspn(hex, "0123456789abcdefABCDEF") != 64) {
        return false;
    }
    for (size_t i = 0; i < 64; i++) {
        const char ch = hex[i];
        const unsigned v = ch <= '9' ? (unsigned)(ch - '0') : ((unsigned)ch | 0x20u) - 'a' + 10;
        ret[i / 2] = (uint8_t)(i % 2 == 0 ? v << 4 : ret[i / 2] | v);
    }
    return true;
}

int bp_cli_anchor(struct bp_cli *cli, const char *text, uint8_t ret[BP_SHA256_SIZE])
{
    uint8_t *bytes = NULL, *der = NULL;
    size_t n = 0, at = 0;
    if (strncmp(text, "sha256:", 7) == 0) {
        return read_hash(text + 7, ret) ? BP_EXIT_OK
                                        : bp_tell(cli, BP_EXIT_USAGE, "%s: sha256: and 64 hex digits are meant", text);
    }
    if (!bp_cli_read(cli, text, FILE_MAX, &bytes, &n)) {
        return BP_EXIT_FAIL;
    }
    bp_span root;
    bp_result r = BP_FAIL(NO_MEMORY);
    der = bp_alloc(FILE_MAX);
    if (der != NULL) {
        r = bp_pem_next(bp_span_of(bytes, n), &at, "CERTIFICATE", der, FILE_MAX, &root);
    }
    if (!bp_failed(r)) {
        r = bp_hash(cli->crypto, BP_HASH_SHA256, root, ret);
    }
    bp_free(bytes);
    bp_free(der);
    return bp_failed(r) ? bp_tell_failure(cli, text, r) : BP_EXIT_OK;
}

static int make_folder(struct bp_cli *cli)
{
    char path[BP_CONFIG_PATH_MAX];
    if (!bp_config_path(cli, "", path)) {
        return BP_EXIT_FAIL;
    }
    for (char *p = path + 1; *p != 0; p++) {
        if (*p == '/') {
            *p = 0;
            if (mkdir(path, 0700) != 0 && errno != EEXIST) {
                return bp_tell(cli, BP_EXIT_FAIL, "%s: %s", path, strerror(errno));
            }
            *p = '/';
        }
    }
    return BP_EXIT_OK;
}

/* The certificate request as PEM text; the caller owns it (bp_free). */
static char *make_request(struct login *l)
{
    uint8_t info[CSR_MAX], csr[CSR_MAX], raw[64];
    size_t info_n = 0, csr_n = 0, raw_n = 0;
    const struct bp_signer signer = bp_key_signer(l->key);
    bp_result r = bp_est_info_write(bp_span_cstr(l->name), bp_key_spki(l->key), info, sizeof info, &info_n);
    if (!bp_failed(r)) {
        r = signer.sign(signer.self, bp_span_of(info, info_n), raw, sizeof raw, &raw_n);
    }
    if (!bp_failed(r)) {
        r = bp_est_request_write(bp_span_of(info, info_n), bp_span_of(raw, raw_n), csr, sizeof csr, &csr_n);
    }
    char *text = bp_alloc(2 * CSR_MAX);
    if (bp_failed(r) || text == NULL) {
        bp_free(text);
        return NULL;
    }
    bp_wr wr = bp_wr_over(text, 2 * CSR_MAX - 1);
    bp_pem_write(&wr, "CERTIFICATE REQUEST", bp_span_of(csr, csr_n));
    return text;
}

static int ask(struct login *l, json_t **ret)
{
    struct bp_api *api = NULL;
    struct bp_target t;
    char *csr = make_request(l);
    if (csr == NULL) {
        return bp_tell(l->cli, BP_EXIT_FAIL, "the certificate request could not be made");
    }
    int code = bp_api_open_anonymous(l->cli, &l->url, BP_SPAN_EMPTY, l->hash, &api);
    if (code == BP_EXIT_OK) {
        json_t *body = json_pack("{s:s, s:s, s:s}", "code", l->args->value[BP_O_CODE], "csr", csr, "name", l->name);
        bp_target_init(&t, "/operators");
        code = body != NULL ? bp_api_json(api, BP_HTTP_POST, &t, body, ret)
                            : bp_tell(l->cli, BP_EXIT_USAGE, "code and name are UTF-8 text");
        json_decref(body);
    }
    bp_api_free(api);
    bp_free(csr);
    return code;
}

static int save(struct login *l, const char *name, bp_span contents)
{
    char path[BP_CONFIG_PATH_MAX];
    if (!bp_config_path(l->cli, name, path)) {
        return BP_EXIT_FAIL;
    }
    return bp_cli_write(l->cli, path, contents) ? BP_EXIT_OK : BP_EXIT_FAIL;
}

/* The root among the certificates of the answer: the one whose hash is the anchor. */
static int save_root(struct login *l, bp_span chain)
{
    uint8_t der[FILE_MAX / 8], hash[BP_SHA256_SIZE];
    size_t at = 0;
    bp_span cert;
    while (!bp_failed(bp_pem_next(chain, &at, "CERTIFICATE", der, sizeof der, &cert))) {
        if (!bp_failed(bp_hash(l->cli->crypto, BP_HASH_SHA256, cert, hash)) && memcmp(hash, l->hash, sizeof hash) == 0) {
            return save(l, "root.der", cert);
        }
    }
    return bp_tell(l->cli, BP_EXIT_NO, "the server's chain does not hold the root of that hash");
}

static int save_key(struct login *l)
{
    char path[BP_CONFIG_PATH_MAX];
    if (!bp_config_path(l->cli, "key.pem", path)) {
        return BP_EXIT_FAIL;
    }
    const bp_result r = bp_key_save(l->key, path, BP_SPAN_EMPTY);
    return bp_failed(r) ? bp_tell_failure(l->cli, path, r) : BP_EXIT_OK;
}

/* The answer's certificates as one text, the operator's first; the caller owns it (bp_free). NULL: they are missing. */
static char *join_certificates(const json_t *answer)
{
    const char *own = json_string_value(json_object_get(answer, "certificate"));
    const json_t *chain = json_object_get(answer, "chain");
    char *text = bp_alloc(FILE_MAX);
    size_t n = 0;
    bool ok = text != NULL && own != NULL && json_array_size(chain) != 0;
    for (size_t i = 0; ok && i <= json_array_size(chain); i++) {
        const char *one = i == 0 ? own : json_string_value(json_array_get(chain, i - 1));
        const size_t len = one != NULL ? strlen(one) : 0;
        ok = len != 0 && len < FILE_MAX - n;
        if (ok) {
            memcpy(text + n, one, len + 1);
            n += len;
        }
    }
    if (!ok) {
        bp_free(text);
        return NULL;
    }
    return text;
}

static int keep(struct login *l, const json_t *answer)
{
    char *certificates = join_certificates(answer);
    if (certificates == NULL) {
        return bp_tell(l->cli, BP_EXIT_FAIL, "the server's answer holds no certificate");
    }
    int code = save_root(l, bp_span_cstr(certificates));
    if (code == BP_EXIT_OK) {
        code = save_key(l);
    }
    if (code == BP_EXIT_OK) {
        code = save(l, "certificate.pem", bp_span_cstr(certificates));
    }
    if (code == BP_EXIT_OK) {
        char line[BP_URL_HOST_MAX + 32];
        (void)snprintf(line, sizeof line, "https://%s:%u\n", l->url.host, l->url.port);
        code = save(l, "server", bp_span_cstr(line));
    }
    bp_free(certificates);
    return code;
}

static void tell_done(struct login *l, const json_t *answer)
{
    const char *operator_ = json_string_value(json_object_get(answer, "operator"));
    const char *role = json_string_value(json_object_get(answer, "role"));
    if (l->cli->json) {
        json_t *o = json_pack("{s:s?, s:s?}", "operator", operator_, "role", role);
        json_dumpf(o, l->cli->out, JSON_COMPACT);
        fputc('\n', l->cli->out);
        json_decref(o);
        return;
    }
    fputs("signed in as ", l->cli->out);
    bp_print_text(l->cli->out, bp_span_cstr(operator_ != NULL ? operator_ : l->name));
    fputs(", ", l->cli->out);
    bp_print_text(l->cli->out, bp_span_cstr(role != NULL ? role : "?"));
    fputc('\n', l->cli->out);
}

static int sign_in(struct login *l)
{
    json_t *answer = NULL;
    const bp_result r = bp_key_make(BP_KEY_P256, &l->key);
    if (bp_failed(r)) {
        return bp_tell_failure(l->cli, "making a key", r);
    }
    int code = make_folder(l->cli);
    if (code == BP_EXIT_OK) {
        code = ask(l, &answer);
    }
    if (code == BP_EXIT_OK) {
        code = keep(l, answer);
    }
    if (code == BP_EXIT_OK) {
        tell_done(l, answer);
    }
    json_decref(answer);
    bp_key_free(l->key);
    return code;
}

int bp_cmd_login(struct bp_cli *cli, const struct bp_args *args)
{
    struct login l = {.cli = cli, .args = args};
    const char *user = getenv("USER");
    if (!bp_url_read(args->value[BP_O_SERVER], &l.url)) {
        return bp_tell(cli, BP_EXIT_USAGE, "%s: https://HOST:PORT is meant", args->value[BP_O_SERVER]);
    }
    const char *name = bp_args_has(args, BP_O_NAME) ? args->value[BP_O_NAME] : user != NULL && user[0] != 0 ? user : "operator";
    if (snprintf(l.name, sizeof l.name, "%s", name) >= (int)sizeof l.name) {
        return bp_tell(cli, BP_EXIT_USAGE, "a name has at most 64 bytes");
    }
    const int code = bp_cli_anchor(cli, args->value[BP_O_ANCHOR], l.hash);
    return code == BP_EXIT_OK ? sign_in(&l) : code;
}
