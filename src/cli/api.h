/* SPDX-License-Identifier: Apache-2.0 */
/* cli/api - the operators' API (docs/protocol/api.md) from the operator's side.
 *
 * Key, certificate and anchor lie in the configuration folder: key.pem (0600), certificate.pem, root.der, and server
 * (the URL, one line). Answers live until the next call. Refusals are told as the server words them. */
#ifndef BP_CLI_API_H
#define BP_CLI_API_H

#include "cli/cli.h"
#include "net/client.h"

#include <jansson.h>

#define BP_API_TARGET_MAX 2000u

/* A target under /api/v1 that is put together: parts and values are escaped. */
struct bp_target {
    char text[BP_API_TARGET_MAX + 1];
    size_t n;
    bool has_query;
    bool is_bad; /* too long */
};
/* Begins with /api/v1 and path, which is taken as it is. */
void bp_target_init(struct bp_target *t, const char *path);
/* Adds "/part", escaped. */
void bp_target_part(struct bp_target *t, const char *part);
/* Adds "?name=value" or "&name=value"; nothing when value is NULL. */
void bp_target_query(struct bp_target *t, const char *name, const char *value);

/* Where a server is: from "https://HOST[:PORT]". */
#define BP_URL_HOST_MAX 240u
struct bp_url {
    char host[BP_URL_HOST_MAX + 1];
    uint16_t port;
};
bool bp_url_read(const char *text, struct bp_url *ret);

struct bp_api;
/* Reads the configuration; tells what is missing. The caller frees *ret. Exit code. */
int bp_api_open(struct bp_cli *cli, struct bp_api **ret);
/* The same on a caller's loop: ask with bp_client_send, not with the functions below. */
int bp_api_open_on(struct bp_cli *cli, struct bp_loop *loop, struct bp_api **ret);
struct bp_client *bp_api_client(struct bp_api *api);
/* Without key and certificate, to the page's name: the operator who signs in has none yet. The anchor is one of the
 * two: certificate (DER) or SHA-256. */
int bp_api_open_anonymous(struct bp_cli *cli, const struct bp_url *url, bp_span anchor, const uint8_t *sha256,
                          struct bp_api **ret);
void bp_api_free(struct bp_api *api);

/* Asks and waits. BP_EXIT_OK: a 2xx came and *ret_body is its body; else it was told. */
int bp_api_ask(struct bp_api *api, enum bp_http_method method, const struct bp_target *target, const char *type,
               bp_span body, bp_span *ret_body);
/* The same with JSON both ways; body NULL: none. *ret (may be NULL) is the caller's (json_decref). */
int bp_api_json(struct bp_api *api, enum bp_http_method method, const struct bp_target *target, json_t *body,
                json_t **ret);
/* Problem code of the last refusal, "" when there was none. */
const char *bp_api_refusal(const struct bp_api *api);
/* Do not tell the next refusals; the caller looks at bp_api_refusal. */
void bp_api_quiet(struct bp_api *api, bool quiet);

/* The id (66 hex digits) of the device that text names: id, short id, name, or position. Exit code. */
int bp_api_device(struct bp_api *api, const char *text, char ret[67]);

/* Path of a file in the configuration folder; false (told) when it is too long or nobody's home is known. */
#define BP_CONFIG_PATH_MAX 4096u
bool bp_config_path(struct bp_cli *cli, const char *name, char ret[BP_CONFIG_PATH_MAX]);

#endif
