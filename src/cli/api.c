/* SPDX-License-Identifier: Apache-2.0 */
/* cli/api - one kept connection with the operator's certificate. */
#include "cli/api.h"

#include "cli/pem.h"
#include "codec/x509.h"
#include "net/client.h"
#include "platform/alloc.h"
#include "platform/linux/file.h"
#include "platform/openssl/key.h"

#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#define BP_MODULE CLI

#define ANSWER_MAX ((size_t)32 << 20)
#define CERTS_MAX  4u
#define FILE_MAX   ((size_t)64 << 10)

struct bp_api {
    struct bp_loop *loop; /* NULL: the client has its own */
    struct bp_cli *cli;
    struct bp_tls *tls;
    struct bp_client *client;
    struct bp_key *key;
    uint8_t certs[FILE_MAX];
    char refusal[64];
    bool quiet;
};

/* --- targets and addresses --- */

static void put(struct bp_target *t, char ch)
{
    if (t->n == BP_API_TARGET_MAX) {
        t->is_bad = true;
        return;
    }
    t->text[t->n++] = ch;
    t->text[t->n] = 0;
}

static void put_plain(struct bp_target *t, const char *s)
{
    for (; *s != 0; s++) {
        put(t, *s);
    }
}

static void put_escaped(struct bp_target *t, const char *s)
{
    static const char hex[] = "0123456789ABCDEF";
    for (; *s != 0; s++) {
        const unsigned char ch = (unsigned char)*s;
        const bool plain = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') ||
                           ch == '-' || ch == '_' || ch == '.' || ch == '~';
        if (plain) {
            put(t, (char)ch);
        } else {
            put(t, '%');
            put(t, hex[ch >> 4]);
            put(t, hex[ch & 15]);
        }
    }
}

void bp_target_init(struct bp_target *t, const char *path)
{
    *t = (struct bp_target){0};
    put_plain(t, "/api/v1");
    put_plain(t, path);
}

void bp_target_part(struct bp_target *t, const char *part)
{
    put(t, '/');
    put_escaped(t, part);
}

void bp_target_query(struct bp_target *t, const char *name, const char *value)
{
    if (value == NULL) {
        return;
    }
    put(t, t->has_query ? '&' : '?');
    t->has_query = true;
    put_plain(t, name);
    put(t, '=');
    put_escaped(t, value);
}

bool bp_url_read(const char *text, struct bp_url *ret)
{
    static const char scheme[] = "https://";
    if (strncmp(text, scheme, sizeof scheme - 1) != 0) {
        return false;
    }
    text += sizeof scheme - 1;
    size_t n = strcspn(text, ":/");
    if (n == 0 || n > BP_URL_HOST_MAX) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        const char ch = text[i];
        if (!((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') || ch == '-' ||
              ch == '.')) {
            return false;
        }
    }
    memcpy(ret->host, text, n);
    ret->host[n] = 0;
    uint64_t port = 8445;
    if (text[n] == ':') {
        char digits[6] = "";
        const size_t m = strcspn(text + n + 1, "/");
        if (m == 0 || m >= sizeof digits) {
            return false;
        }
        memcpy(digits, text + n + 1, m);
        if (!bp_args_number(digits, &port) || port == 0 || port > UINT16_MAX) {
            return false;
        }
        n += 1 + m;
    }
    ret->port = (uint16_t)port;
    return text[n] == 0 || (text[n] == '/' && text[n + 1] == 0);
}

bool bp_config_path(struct bp_cli *cli, const char *name, char ret[BP_CONFIG_PATH_MAX])
{
    const char *base = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");
    int n;
    if (cli->config != NULL) {
        n = snprintf(ret, BP_CONFIG_PATH_MAX, "%s/%s", cli->config, name);
    } else if (base != NULL && base[0] == '/') {
        n = snprintf(ret, BP_CONFIG_PATH_MAX, "%s/bedplate/%s", base, name);
    } else if (home != NULL && home[0] == '/') {
        n = snprintf(ret, BP_CONFIG_PATH_MAX, "%s/.config/bedplate/%s", home, name);
    } else {
        bp_tell(cli, BP_EXIT_FAIL, "no home folder is known; name one with --config DIR");
        return false;
    }
    if (n < 0 || (size_t)n >= BP_CONFIG_PATH_MAX) {
        bp_tell(cli, BP_EXIT_FAIL, "the path of the configuration folder is too long");
        return false;
    }
    return true;
}

/* --- opening --- */

static bp_result sign_digest(void *self, const uint8_t digest[32], uint8_t ret[64])
{
    return bp_key_sign_digest(self, bp_span_of(digest, 32), ret);
}

static int connect_to(struct bp_api *api, const struct bp_url *url, bool with_certificate,
                      const struct bp_tls_client_spec *spec)
{
    char host[BP_URL_HOST_MAX + 16];
    (void)snprintf(host, sizeof host, "%s%s", with_certificate ? "operator." : "", url->host);
    bp_result r = bp_tls_client_new(spec, &api->tls);
    if (bp_failed(r)) {
        return bp_tell_failure(api->cli, "the operator's certificate and key", r);
    }
    const struct bp_client_spec client = {.tls = api->tls,
                                          .host = host,
                                          .port = url->port,
                                          .connect_host = url->host,
                                          .answer_max = ANSWER_MAX};
    r = bp_client_new(api->loop, &client, &api->client);
    return bp_failed(r) ? bp_tell_failure(api->cli, host, r) : BP_EXIT_OK;
}

static struct bp_api *new_api(struct bp_cli *cli)
{
    struct bp_api *api = bp_alloc(sizeof *api);
    if (api == NULL) {
        bp_tell(cli, BP_EXIT_FAIL, "out of memory");
        return NULL;
    }
    api->cli = cli;
    return api;
}

int bp_api_open_anonymous(struct bp_cli *cli, const struct bp_url *url, bp_span anchor, const uint8_t *sha256,
                          struct bp_api **ret)
{
    struct bp_api *api = new_api(cli);
    if (api == NULL) {
        return BP_EXIT_FAIL;
    }
    const struct bp_tls_client_spec spec = {
        .anchors = &anchor, .anchor_count = sha256 == NULL ? 1 : 0, .anchor_sha256 = sha256};
    const int code = connect_to(api, url, false, &spec);
    if (code != BP_EXIT_OK) {
        bp_api_free(api);
        return code;
    }
    *ret = api;
    return BP_EXIT_OK;
}

/* A file of the configuration; the caller owns *ret. */
static bool read_config(struct bp_cli *cli, const char *name, uint8_t **ret, size_t *ret_n)
{
    char path[BP_CONFIG_PATH_MAX];
    if (!bp_config_path(cli, name, path)) {
        return false;
    }
    const bp_result r = bp_file_read(path, BP_FILE_PUBLIC, FILE_MAX, ret, ret_n);
    if (bp_is(r, BP_E_NOT_FOUND)) {
        bp_tell(cli, BP_EXIT_FAIL, "%s: there is none; sign in first: bedplate login --server URL --code CODE --anchor "
                                   "sha256:HASH", path);
    } else if (bp_failed(r)) {
        bp_tell_failure(cli, path, r);
    }
    return !bp_failed(r);
}

static int load_certs(struct bp_api *api, bp_span chain[CERTS_MAX], size_t *ret_n)
{
    uint8_t *text = NULL;
    size_t n = 0, at = 0, used = 0, count = 0;
    if (!read_config(api->cli, "certificate.pem", &text, &n)) {
        return BP_EXIT_FAIL;
    }
    bp_result r = BP_OK;
    while (!bp_failed(r) && count < CERTS_MAX) {
        r = bp_pem_next(bp_span_of(text, n), &at, "CERTIFICATE", api->certs + used, sizeof api->certs - used,
                        &chain[count]);
        if (!bp_failed(r)) {
            used += chain[count++].n;
        }
    }
    bp_free(text);
    *ret_n = count;
    return count != 0 ? BP_EXIT_OK : bp_tell(api->cli, BP_EXIT_FAIL, "certificate.pem holds no certificate");
}

static int load_key(struct bp_api *api)
{
    char path[BP_CONFIG_PATH_MAX];
    if (!bp_config_path(api->cli, "key.pem", path)) {
        return BP_EXIT_FAIL;
    }
    const bp_result r = bp_key_load(path, BP_SPAN_EMPTY, &api->key);
    return bp_failed(r) ? bp_tell_failure(api->cli, path, r) : BP_EXIT_OK;
}

static int load_url(struct bp_api *api, struct bp_url *ret)
{
    uint8_t *text = NULL;
    size_t n = 0;
    if (!read_config(api->cli, "server", &text, &n)) {
        return BP_EXIT_FAIL;
    }
    char line[512] = "";
    const size_t end = n < sizeof line ? n : sizeof line - 1;
    memcpy(line, text, end);
    line[strcspn(line, "\r\n")] = 0;
    bp_free(text);
    return bp_url_read(line, ret) ? BP_EXIT_OK
                                  : bp_tell(api->cli, BP_EXIT_FAIL, "the file server holds no https://HOST:PORT");
}

static int open_with_key(struct bp_api *api)
{
    struct bp_url url;
    bp_span chain[CERTS_MAX];
    size_t certs = 0, root_n = 0;
    uint8_t *root = NULL;
    int code = load_url(api, &url);
    if (code == BP_EXIT_OK) {
        code = load_certs(api, chain, &certs);
    }
    if (code == BP_EXIT_OK) {
        code = load_key(api);
    }
    if (code != BP_EXIT_OK || !read_config(api->cli, "root.der", &root, &root_n)) {
        return code != BP_EXIT_OK ? code : BP_EXIT_FAIL;
    }
    const struct bp_tls_key key = {.self = api->key, .sign = sign_digest};
    const bp_span anchor = bp_span_of(root, root_n);
    const struct bp_tls_client_spec spec = {
        .own = {.chain = chain, .count = certs, .key = &key}, .anchors = &anchor, .anchor_count = 1};
    code = connect_to(api, &url, true, &spec);
    bp_free(root);
    return code;
}

int bp_api_open_on(struct bp_cli *cli, struct bp_loop *loop, struct bp_api **ret)
{
    struct bp_api *api = new_api(cli);
    if (api == NULL) {
        return BP_EXIT_FAIL;
    }
    api->loop = loop;
    const int code = open_with_key(api);
    if (code != BP_EXIT_OK) {
        bp_api_free(api);
        return code;
    }
    *ret = api;
    return BP_EXIT_OK;
}

int bp_api_open(struct bp_cli *cli, struct bp_api **ret)
{
    return bp_api_open_on(cli, NULL, ret);
}

struct bp_client *bp_api_client(struct bp_api *api)
{
    return api->client;
}

void bp_api_free(struct bp_api *api)
{
    if (api != NULL) {
        bp_client_free(api->client);
        bp_tls_free(api->tls);
        bp_key_free(api->key);
        bp_free(api);
    }
}

/* --- asking --- */

static int tell_unreachable(struct bp_api *api, bp_result r)
{
    const char *trace = bp_client_trace(api->client);
    const bool has = trace != NULL && trace[0] != 0;
    return bp_tell(api->cli, BP_EXIT_FAIL, "the server did not answer: %s%s%s", bp_error_text(bp_error_of(r)),
                   has ? ": " : "", has ? trace : "");
}

static const char *member(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s != NULL ? s : "";
}

/* Title, detail, and what to do, as the server's catalogue has them. */
static int tell_problem(struct bp_api *api, unsigned status, bp_span body)
{
    json_t *p = json_loadb((const char *)(body.n != 0 ? body.p : (const uint8_t *)""), body.n, 0, NULL);
    const char *title = member(p, "title"), *detail = member(p, "detail"), *action = member(p, "action");
    (void)snprintf(api->refusal, sizeof api->refusal, "%s", member(p, "code"));
    if (!api->quiet) {
        FILE *f = api->cli->err;
        fprintf(f, "bedplate: ");
        bp_print_text(f, bp_span_cstr(title[0] != 0 ? title : "the server refused"));
        fprintf(f, detail[0] != 0 ? ": " : "");
        bp_print_text(f, bp_span_cstr(detail));
        fprintf(f, " (%s%s%u)\n", api->refusal, api->refusal[0] != 0 ? ", " : "", status);
        if (action[0] != 0) {
            fputs("  ", f);
            bp_print_text(f, bp_span_cstr(action));
            fputc('\n', f);
        }
    }
    json_decref(p);
    return status >= 500 ? BP_EXIT_FAIL : BP_EXIT_NO;
}

int bp_api_ask(struct bp_api *api, enum bp_http_method method, const struct bp_target *target, const char *type,
               bp_span body, bp_span *ret_body)
{
    const struct bp_http_header header = {"Content-Type", bp_span_cstr(type != NULL ? type : "")};
    const struct bp_client_request rq = {.method = method,
                                         .target = target->text,
                                         .headers = &header,
                                         .header_count = type != NULL ? 1 : 0,
                                         .body = body,
                                         .may_repeat = method == BP_HTTP_GET};
    const struct bp_http *http = NULL;
    api->refusal[0] = 0;
    if (target->is_bad) {
        return bp_tell(api->cli, BP_EXIT_USAGE, "the arguments are too long");
    }
    const bp_result r = bp_client_call(api->client, &rq, &http);
    if (bp_failed(r) || http == NULL) {
        return tell_unreachable(api, r);
    }
    const bp_span answer = bp_http_body(http);
    if (http->status < 200 || http->status > 299) {
        return tell_problem(api, http->status, answer);
    }
    *ret_body = answer;
    return BP_EXIT_OK;
}

int bp_api_json(struct bp_api *api, enum bp_http_method method, const struct bp_target *target, json_t *body,
                json_t **ret)
{
    bp_span answer = BP_SPAN_EMPTY;
    char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    if (body != NULL && text == NULL) {
        return bp_tell(api->cli, BP_EXIT_USAGE, "an argument is not UTF-8");
    }
    const int code = bp_api_ask(api, method, target, text != NULL ? "application/json" : NULL,
                                text != NULL ? bp_span_cstr(text) : BP_SPAN_EMPTY, &answer);
    free(text);
    if (code != BP_EXIT_OK || ret == NULL) {
        return code;
    }
    json_error_t error;
    *ret = json_loadb((const char *)(answer.n != 0 ? answer.p : (const uint8_t *)""), answer.n, JSON_REJECT_DUPLICATES,
                      &error);
    return *ret != NULL ? BP_EXIT_OK : bp_tell(api->cli, BP_EXIT_FAIL, "the server's answer is not JSON: %s", error.text);
}

const char *bp_api_refusal(const struct bp_api *api)
{
    return api->refusal;
}

void bp_api_quiet(struct bp_api *api, bool quiet)
{
    api->quiet = quiet;
}

/* --- naming a device --- */

static bool is_id(const char *text)
{
    return strlen(text) == 66 && strspn(text, "0123456789abcdef") == 66;
}

static bool copy_id(const json_t *device, char ret[67])
{
    const char *id = member(device, "id");
    if (!is_id(id)) {
        return false;
    }
    memcpy(ret, id, 67);
    return true;
}

/* The one of the list whose name, short id or position is the text; else the only one. NULL: none, or more. */
static const json_t *pick(const json_t *list, const char *text, size_t *ret_exact)
{
    const json_t *found = NULL;
    *ret_exact = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *d = json_array_get(list, i);
        if (strcmp(member(d, "name"), text) == 0 || strcmp(member(d, "short"), text) == 0 ||
            strcmp(member(d, "position"), text) == 0) {
            found = d;
            ++*ret_exact;
        }
    }
    if (*ret_exact == 0 && json_array_size(list) == 1) {
        return json_array_get(list, 0);
    }
    return *ret_exact == 1 ? found : NULL;
}

int bp_api_device(struct bp_api *api, const char *text, char ret[67])
{
    if (is_id(text)) {
        memcpy(ret, text, 67);
        return BP_EXIT_OK;
    }
    struct bp_target t;
    json_t *answer = NULL;
    bp_target_init(&t, "/devices");
    bp_target_query(&t, "q", text);
    bp_target_query(&t, "limit", "500");
    int code = bp_api_json(api, BP_HTTP_GET, &t, NULL, &answer);
    if (code != BP_EXIT_OK) {
        return code;
    }
    const json_t *list = json_object_get(answer, "devices");
    size_t exact = 0;
    const json_t *device = pick(list, text, &exact);
    if (device == NULL || !copy_id(device, ret)) {
        code = json_array_size(list) == 0
                   ? bp_tell(api->cli, BP_EXIT_NO, "no device is called %s", text)
                   : bp_tell(api->cli, BP_EXIT_NO, "%zu devices are called %s; name one by its id",
                             exact != 0 ? exact : json_array_size(list), text);
    }
    json_decref(answer);
    return code;
}
