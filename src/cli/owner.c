/* SPDX-License-Identifier: Apache-2.0 */
/* cli/owner - chains of ownership: read, checked, extended, written. */
#include "cli/owner.h"

#include "base/secret.h"
#include "cli/show.h"
#include "codec/cose.h"
#include "core/devid.h"
#include "platform/alloc.h"
#include "platform/linux/clock.h"

#include <inttypes.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define PASSPHRASE_MAX 256u

/* --- keys --- */

/* A line of standard input, unseen where that is a terminal. */
static bool read_passphrase(struct bp_cli *cli, const char *path, char ret[PASSPHRASE_MAX])
{
    struct termios before, quiet;
    const bool is_terminal = isatty(STDIN_FILENO) != 0 && tcgetattr(STDIN_FILENO, &before) == 0;
    if (is_terminal) {
        quiet = before;
        quiet.c_lflag &= ~(tcflag_t)ECHO;
        fprintf(cli->err, "Passphrase of %s: ", path);
        (void)fflush(cli->err);
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    }
    const bool ok = fgets(ret, PASSPHRASE_MAX, stdin) != NULL;
    if (is_terminal) {
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
        fputc('\n', cli->err);
    }
    if (ok) {
        ret[strcspn(ret, "\r\n")] = '\0';
    }
    return ok;
}

/* First without a passphrase: a key that was decrypted for the day's work needs none. */
int bp_cli_open_key(struct bp_cli *cli, const char *path, struct bp_key **ret)
{
    char passphrase[PASSPHRASE_MAX] = "";
    bp_result r = bp_key_load(path, BP_SPAN_EMPTY, ret);
    if (bp_is(r, BP_E_MALFORMED)) {
        if (!read_passphrase(cli, path, passphrase)) {
            return bp_tell(cli, BP_EXIT_USAGE, "the passphrase of %s is read from standard input, and there is none", path);
        }
        r = bp_key_load(path, bp_span_cstr(passphrase), ret);
        bp_wipe(passphrase, sizeof passphrase);
    }
    if (bp_is(r, BP_E_MALFORMED)) {
        return bp_tell(cli, BP_EXIT_NO, "%s: no private key in it, or another passphrase", path);
    }
    return bp_failed(r) ? bp_tell_failure(cli, path, r) : BP_EXIT_OK;
}

/* --- files --- */

static int parse(struct bp_cli *cli, const char *what, struct bp_own_file *f)
{
    const bp_result r = bp_ownership_chain_read(bp_span_of(f->bytes, f->n), &f->chain);
    return bp_failed(r) ? bp_tell(cli, BP_EXIT_NO, "%s: no chain of ownership (%s)", what, bp_error_text(bp_error_of(r)))
                        : BP_EXIT_OK;
}

int bp_own_load(struct bp_cli *cli, const char *path, struct bp_own_file *ret)
{
    *ret = (struct bp_own_file){0};
    return bp_cli_read(cli, path, BP_OWNERSHIP_FILE_MAX, &ret->bytes, &ret->n) ? parse(cli, path, ret) : BP_EXIT_FAIL;
}

int bp_own_take(struct bp_cli *cli, const char *what, bp_span bytes, struct bp_own_file *ret)
{
    *ret = (struct bp_own_file){.bytes = bp_alloc(bytes.n + 1), .n = bytes.n};
    if (ret->bytes == NULL) {
        return bp_tell(cli, BP_EXIT_FAIL, "no memory for %s", what);
    }
    if (bytes.n != 0) {
        memcpy(ret->bytes, bytes.p, bytes.n);
    }
    return parse(cli, what, ret);
}

void bp_own_file_done(struct bp_own_file *f)
{
    bp_free(f->bytes);
    f->bytes = NULL;
}

int bp_own_card(struct bp_cli *cli, const char *path, uint8_t **ret_bytes, bp_span *ret_signed, struct bp_owner_card *ret_card)
{
    uint8_t scratch[BP_OWNERSHIP_SCRATCH];
    size_t n = 0;
    *ret_bytes = NULL;
    if (!bp_cli_read(cli, path, BP_OWNERSHIP_SIGNED_MAX, ret_bytes, &n)) {
        return BP_EXIT_FAIL;
    }
    *ret_signed = bp_span_of(*ret_bytes, n);
    return bp_owner_card_check(cli->crypto, *ret_signed, scratch, ret_card) == BP_OWN_NONE
               ? BP_EXIT_OK
               : bp_tell(cli, BP_EXIT_NO, "%s: no owner's card, or not signed by its own key (init writes one: certs/owner.cose)",
                         path);
}

/* --- judging --- */

int bp_own_check(struct bp_cli *cli, const char *what, const struct bp_ownership_chain *chain, int64_t now_ms,
                 struct bp_own_state *ret)
{
    uint8_t scratch[BP_OWNERSHIP_SCRATCH];
    const struct bp_own_ask ask = {
        .device_id = chain->device_id, .now_ms = now_ms, .is_present = true, .scratch = scratch};
    const enum bp_own_fault f = bp_ownership_walk(cli->crypto, &ask, chain, ret);
    if (f == BP_OWN_NONE) {
        return BP_EXIT_OK;
    }
    return bp_tell(cli, BP_EXIT_NO, "%s: statement %" PRIu32 ": %s [%s]", what, ret->statements + 1, bp_own_fault_text(f),
                   bp_own_fault_code(f));
}

/* --- making --- */

int64_t bp_own_now(void)
{
    const struct bp_clock clock = bp_clock_linux();
    return bp_wall_ms(&clock);
}

static bp_result sign(struct bp_cli *cli, struct bp_key *key, bp_span content, bp_span payload, uint8_t *ret, size_t *ret_n)
{
    uint8_t kid[BP_SHA256_SIZE];
    uint8_t scratch[2 * BP_OWNERSHIP_SIGNED_MAX];
    const struct bp_signer signer = bp_key_signer(key);
    BP_TRY(bp_hash(cli->crypto, BP_HASH_SHA256, bp_key_spki(key), kid));
    const struct bp_cose_header header = {content, BP_SPAN_OF(kid), BP_SPAN_EMPTY};
    return bp_cose_sign1_write(&signer, &header, payload, BP_SPAN_EMPTY, scratch, sizeof scratch, ret, BP_OWNERSHIP_SIGNED_MAX,
                               ret_n);
}

int bp_own_sign(struct bp_cli *cli, const struct bp_ownership_chain *chain, enum bp_ownership_kind kind, struct bp_key *key,
                const struct bp_owner_card *to, uint64_t expires_s, uint8_t *ret, size_t *ret_n)
{
    uint8_t prev[BP_SHA256_SIZE] = {0};
    uint8_t from[BP_SHA256_SIZE];
    uint8_t payload[BP_OWNERSHIP_MAX];
    size_t n = 0;
    struct bp_ownership v = {.device_id = chain->device_id,
                             .kind = kind,
                             .epoch = chain->statements + 1,
                             .prev = BP_SPAN_OF(prev),
                             .from_key = BP_SPAN_OF(from),
                             .created_ms = bp_own_now()};
    v.expires_ms = expires_s == 0 ? 0 : v.created_ms + (int64_t)expires_s * 1000;
    v.waits_ms = kind == BP_OWNERSHIP_OVERRIDE ? BP_OWNERSHIP_WAIT_LEAST_MS : 0;
    if (to != NULL) {
        v.to_key = to->key;
        v.owner = to->name;
    }
    bp_result r = bp_hash(cli->crypto, BP_HASH_SHA256, bp_key_spki(key), from);
    if (!bp_failed(r) && chain->statements > 0) {
        r = bp_hash(cli->crypto, BP_HASH_SHA256, chain->statement[chain->statements - 1], prev);
    }
    if (!bp_failed(r)) {
        r = bp_ownership_write(&v, payload, sizeof payload, &n);
    }
    if (!bp_failed(r)) {
        r = sign(cli, key, BP_SPAN_STR(BP_OWNERSHIP_CONTENT), bp_span_of(payload, n), ret, ret_n);
    }
    return bp_failed(r) ? bp_tell_failure(cli, "the statement", r) : BP_EXIT_OK;
}

int bp_own_cosign(struct bp_cli *cli, struct bp_key *key, bp_span half, uint8_t *ret, size_t *ret_n)
{
    const bp_result r = sign(cli, key, BP_SPAN_STR(BP_OWNERSHIP_OVERRIDE_CONTENT), half, ret, ret_n);
    return bp_failed(r) ? bp_tell_failure(cli, "the override", r) : BP_EXIT_OK;
}

int bp_own_make_card(struct bp_cli *cli, struct bp_key *key, const char *name, const uint8_t root[BP_SHA256_SIZE],
                     uint8_t *ret, size_t *ret_n)
{
    uint8_t payload[BP_OWNERSHIP_MAX];
    size_t n = 0;
    const struct bp_owner_card v = {.key = bp_key_spki(key),
                                    .name = bp_span_cstr(name),
                                    .root = bp_span_of(root, BP_SHA256_SIZE),
                                    .created_ms = bp_own_now()};
    bp_result r = bp_owner_card_write(&v, payload, sizeof payload, &n);
    if (!bp_failed(r)) {
        r = sign(cli, key, BP_SPAN_STR(BP_OWNER_CARD_CONTENT), bp_span_of(payload, n), ret, ret_n);
    }
    return bp_failed(r) ? bp_tell_failure(cli, "the card", r) : BP_EXIT_OK;
}

int bp_own_append(struct bp_cli *cli, struct bp_ownership_chain *chain, bp_span statement)
{
    struct bp_own_state state;
    if (chain->statements == BP_OWNERSHIP_CHAIN_MAX) {
        return bp_tell(cli, BP_EXIT_NO, "the chain has %u statements already, which is as many as it may have",
                       BP_OWNERSHIP_CHAIN_MAX);
    }
    chain->statement[chain->statements++] = statement;
    return bp_own_check(cli, "the new chain", chain, bp_own_now() + (int64_t)BP_OWNERSHIP_WAIT_LEAST_MS, &state);
}

int bp_own_save(struct bp_cli *cli, const struct bp_ownership_chain *chain, bp_span card, const char *path)
{
    struct bp_ownership_chain whole = *chain;
    size_t n = 0;
    uint8_t *bytes = bp_alloc(BP_OWNERSHIP_FILE_MAX);
    if (bytes == NULL) {
        return bp_tell(cli, BP_EXIT_FAIL, "no memory for the chain");
    }
    whole.card = card.n != 0 ? card : chain->card;
    const bp_result r = bp_ownership_chain_write(&whole, bytes, BP_OWNERSHIP_FILE_MAX, &n);
    int code = BP_EXIT_FAIL;
    if (bp_failed(r)) {
        (void)bp_tell_failure(cli, path, r);
    } else if (bp_cli_write(cli, path, bp_span_of(bytes, n))) {
        code = BP_EXIT_OK;
    }
    bp_free(bytes);
    return code;
}

/* --- telling --- */

static void when(int64_t ms, char ret[32])
{
    const time_t t = (time_t)(ms / 1000);
    struct tm tm;
    if (gmtime_r(&t, &tm) == NULL || strftime(ret, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0) {
        ret[0] = '\0';
    }
}

/* The statement inside; the walk has read it before. */
static bool open_one(bp_span in, struct bp_ownership *ret)
{
    struct bp_cose_sign1 msg;
    bool ok = !bp_failed(bp_cose_sign1_read(in, &msg));
    if (ok && bp_span_equal(msg.content_type, BP_SPAN_STR(BP_OWNERSHIP_OVERRIDE_CONTENT))) {
        ok = !bp_failed(bp_cose_sign1_read(msg.payload, &msg));
    }
    return ok && !bp_failed(bp_ownership_read(msg.payload, ret));
}

static json_t *text_of(bp_span s)
{
    return json_stringn(s.n != 0 ? (const char *)s.p : "", s.n);
}

static void print_json(struct bp_cli *cli, const struct bp_ownership_chain *chain, const struct bp_own_state *state,
                       const struct bp_maker_anchor *maker)
{
    char id[BP_DEVID_HEX], head[65], anchor[65], created[32], expires[32];
    json_t *list = json_array();
    for (uint32_t i = 0; i < chain->statements; i++) {
        struct bp_ownership v;
        if (!open_one(chain->statement[i], &v)) {
            continue;
        }
        when(v.created_ms, created);
        when(v.expires_ms, expires);
        (void)json_array_append_new(
            list, json_pack("{s:s, s:i, s:o, s:s, s:o}", "kind", bp_ownership_kind_name(v.kind), "epoch", (int)v.epoch, "owner",
                            text_of(v.owner), "created", created, "expires",
                            v.expires_ms != 0 ? json_string(expires) : json_null()));
    }
    bp_devid_hex(chain->device_id.p, id);
    for (size_t i = 0; i < BP_SHA256_SIZE; i++) {
        (void)snprintf(head + 2 * i, 3, "%02x", state->head[i]);
        (void)snprintf(anchor + 2 * i, 3, "%02x", state->anchor[i]);
    }
    json_t *answer = json_pack("{s:s, s:o, s:s, s:i, s:s, s:o, s:o}", "device", id, "maker", text_of(maker->name), "anchor",
                               anchor, "epoch", (int)state->epoch, "head", head, "owner", text_of(state->last.owner), "statements",
                               list);
    bp_print_json(cli, answer);
    json_decref(answer);
}

static void print_people(struct bp_cli *cli, const struct bp_ownership_chain *chain, const struct bp_own_state *state,
                         const struct bp_maker_anchor *maker)
{
    char id[BP_DEVID_SHORT], created[32], expires[32];
    bp_devid_short(chain->device_id.p, id);
    fprintf(cli->out, "%s, made by ", id);
    bp_print_text(cli->out, maker->name);
    fputs(" (anchor sha256:", cli->out);
    bp_print_hex(cli->out, BP_SPAN_OF(state->anchor));
    fputs(")\n", cli->out);
    for (uint32_t i = 0; i < chain->statements; i++) {
        struct bp_ownership v;
        if (!open_one(chain->statement[i], &v)) {
            continue;
        }
        when(v.created_ms, created);
        when(v.expires_ms, expires);
        fprintf(cli->out, "  epoch %-3" PRIu32 " %-9s ", v.epoch, bp_ownership_kind_name(v.kind));
        bp_print_text(cli->out, v.owner);
        fprintf(cli->out, "  %s%s%s\n", created, v.expires_ms != 0 ? ", expires " : "", v.expires_ms != 0 ? expires : "");
    }
}

void bp_own_print(struct bp_cli *cli, const struct bp_ownership_chain *chain, const struct bp_own_state *state)
{
    struct bp_maker_anchor maker;
    if (bp_failed(bp_maker_anchor_read(chain->maker, &maker))) {
        return;
    }
    if (cli->json) {
        print_json(cli, chain, state, &maker);
    } else {
        print_people(cli, chain, state, &maker);
    }
}
