/* SPDX-License-Identifier: Apache-2.0 */
/* cli/ownership - the maker's and the owners' commands on chains of ownership that need no server.
 *
 * A private key is only here: what leaves is a signed statement. A chain is checked as a device would check it before it is
 * written, so that a key that has no right to sign is told at once. */
#include "cli/owner.h"
#include "cli/pem.h"
#include "codec/x509.h"
#include "core/devid.h"
#include "platform/alloc.h"

#define PUBLIC_MAX 8192u

/* --- the maker --- */

/* A public key, PEM or DER, P-256 or P-384. */
static int read_public(struct bp_cli *cli, const char *path, uint8_t room[BP_OWNERSHIP_SPKI_MAX], bp_span *ret)
{
    uint8_t *bytes = NULL;
    size_t n = 0, at = 0;
    struct bp_pubkey key;
    if (!bp_cli_read(cli, path, PUBLIC_MAX, &bytes, &n)) {
        return BP_EXIT_FAIL;
    }
    bp_result r = bp_pem_next(bp_span_of(bytes, n), &at, "PUBLIC KEY", room, BP_OWNERSHIP_SPKI_MAX, ret);
    bp_free(bytes);
    if (!bp_failed(r)) {
        r = bp_spki_read(*ret, &key);
    }
    return bp_failed(r) || (key.type != BP_KEY_P256 && key.type != BP_KEY_P384)
               ? bp_tell(cli, BP_EXIT_NO, "%s: no public key on P-256 or P-384 (release keygen writes one, FILE.pub)", path)
               : BP_EXIT_OK;
}

int bp_cmd_factory_anchor(struct bp_cli *cli, const struct bp_args *args)
{
    uint8_t key[BP_OWNERSHIP_MAKERS_MAX][BP_OWNERSHIP_SPKI_MAX];
    uint8_t out[BP_OWNERSHIP_ANCHOR_MAX], hash[BP_SHA256_SIZE];
    size_t n = 0;
    struct bp_maker_anchor v = {.name = bp_span_cstr(args->value[BP_O_NAME]), .keys = args->operands};
    for (uint32_t i = 0; i < v.keys; i++) {
        const int code = read_public(cli, args->operand[i], key[i], &v.key[i]);
        if (code != BP_EXIT_OK) {
            return code;
        }
    }
    bp_result r = bp_maker_anchor_write(&v, out, sizeof out, &n);
    if (!bp_failed(r)) {
        r = bp_hash(cli->crypto, BP_HASH_SHA256, bp_span_of(out, n), hash);
    }
    if (bp_failed(r)) {
        return bp_tell(cli, BP_EXIT_NO, "no anchor can be made of these: the name is empty or too long, or a key is given twice");
    }
    if (!bp_cli_write(cli, args->value[BP_O_OUT], bp_span_of(out, n))) {
        return BP_EXIT_FAIL;
    }
    fputs(cli->json ? "{\"anchor\": \"sha256:" : "sha256:", cli->out);
    bp_print_hex(cli->out, BP_SPAN_OF(hash));
    fputs(cli->json ? "\"}\n" : "\n", cli->out);
    return BP_EXIT_OK;
}

/* --- one statement more --- */

struct making {
    struct bp_key *key;
    uint8_t *card_bytes;
    bp_span card_signed;
    struct bp_owner_card card;
    uint64_t expires_s;
    uint8_t statement[BP_OWNERSHIP_SIGNED_MAX];
    size_t n;
};

static int begin(struct bp_cli *cli, const struct bp_args *args, struct making *m)
{
    *m = (struct making){0};
    if (bp_args_has(args, BP_O_EXPIRES) &&
        (!bp_args_number(args->value[BP_O_EXPIRES], &m->expires_s) || m->expires_s == 0 || m->expires_s > UINT32_MAX)) {
        return bp_tell(cli, BP_EXIT_USAGE, "--expires wants seconds");
    }
    int code = BP_EXIT_OK;
    if (bp_args_has(args, BP_O_TO)) {
        code = bp_own_card(cli, args->value[BP_O_TO], &m->card_bytes, &m->card_signed, &m->card);
    }
    return code == BP_EXIT_OK ? bp_cli_open_key(cli, args->value[BP_O_KEY], &m->key) : code;
}

static void end(struct making *m)
{
    bp_key_free(m->key);
    bp_free(m->card_bytes);
}

/* Signs, appends, writes the whole chain. */
static int extend(struct bp_cli *cli, const struct bp_args *args, struct making *m, struct bp_ownership_chain *chain,
                  enum bp_ownership_kind kind)
{
    struct bp_own_state state;
    int code = bp_own_sign(cli, chain, kind, m->key, kind == BP_OWNERSHIP_RETIRE ? NULL : &m->card, m->expires_s, m->statement,
                           &m->n);
    if (code == BP_EXIT_OK) {
        code = bp_own_append(cli, chain, bp_span_of(m->statement, m->n));
    }
    if (code == BP_EXIT_OK) {
        code = bp_own_save(cli, chain, m->card_signed, args->value[BP_O_OUT]);
    }
    if (code == BP_EXIT_OK && bp_own_check(cli, "the new chain", chain, bp_own_now(), &state) == BP_EXIT_OK) {
        bp_own_print(cli, chain, &state);
    }
    return code;
}

int bp_cmd_factory_assign(struct bp_cli *cli, const struct bp_args *args)
{
    uint8_t id[BP_DEVID_SIZE];
    uint8_t *maker = NULL;
    size_t n = 0;
    struct making m;
    if (bp_failed(bp_devid_from_hex(bp_span_cstr(args->operand[0]), id))) {
        return bp_tell(cli, BP_EXIT_USAGE, "%s: no device id (66 hexadecimal digits, from 01 on)", args->operand[0]);
    }
    int code = begin(cli, args, &m);
    if (code == BP_EXIT_OK && !bp_cli_read(cli, args->value[BP_O_MAKER], BP_OWNERSHIP_ANCHOR_MAX, &maker, &n)) {
        code = BP_EXIT_FAIL;
    }
    if (code == BP_EXIT_OK) {
        struct bp_ownership_chain chain = {.device_id = BP_SPAN_OF(id), .maker = bp_span_of(maker, n)};
        code = extend(cli, args, &m, &chain, BP_OWNERSHIP_ASSIGN);
    }
    bp_free(maker);
    end(&m);
    return code;
}

static int extend_file(struct bp_cli *cli, const struct bp_args *args, enum bp_ownership_kind kind)
{
    struct bp_own_file f = {0};
    struct making m;
    int code = begin(cli, args, &m);
    if (code == BP_EXIT_OK) {
        code = bp_own_load(cli, args->operand[0], &f);
    }
    if (code == BP_EXIT_OK) {
        code = extend(cli, args, &m, &f.chain, kind);
    }
    bp_own_file_done(&f);
    end(&m);
    return code;
}

int bp_cmd_ownership_transfer(struct bp_cli *cli, const struct bp_args *args)
{
    return extend_file(cli, args, BP_OWNERSHIP_TRANSFER);
}

int bp_cmd_ownership_retire(struct bp_cli *cli, const struct bp_args *args)
{
    return extend_file(cli, args, BP_OWNERSHIP_RETIRE);
}

/* --- overrides: two people of the maker, one after the other --- */

int bp_cmd_factory_override(struct bp_cli *cli, const struct bp_args *args)
{
    struct bp_own_file f = {0};
    struct making m;
    int code = begin(cli, args, &m);
    if (code == BP_EXIT_OK) {
        code = bp_own_load(cli, args->operand[0], &f);
    }
    if (code == BP_EXIT_OK) {
        code = bp_own_sign(cli, &f.chain, BP_OWNERSHIP_OVERRIDE, m.key, &m.card, m.expires_s, m.statement, &m.n);
    }
    if (code == BP_EXIT_OK && !bp_cli_write(cli, args->value[BP_O_OUT], bp_span_of(m.statement, m.n))) {
        code = BP_EXIT_FAIL;
    }
    if (code == BP_EXIT_OK && !cli->json) {
        fprintf(cli->out, "%s is half an override: another key of the maker signs it with factory cosign; it counts %u days from now\n",
                args->value[BP_O_OUT], (unsigned)(BP_OWNERSHIP_WAIT_LEAST_MS / 86400000u));
    }
    bp_own_file_done(&f);
    end(&m);
    return code;
}

int bp_cmd_factory_cosign(struct bp_cli *cli, const struct bp_args *args)
{
    struct bp_own_file f = {0};
    struct making m;
    uint8_t *half = NULL;
    size_t n = 0;
    int code = begin(cli, args, &m);
    if (code == BP_EXIT_OK) {
        code = bp_own_load(cli, args->operand[0], &f);
    }
    if (code == BP_EXIT_OK && !bp_cli_read(cli, args->value[BP_O_IN], BP_OWNERSHIP_SIGNED_MAX, &half, &n)) {
        code = BP_EXIT_FAIL;
    }
    if (code == BP_EXIT_OK) {
        code = bp_own_cosign(cli, m.key, bp_span_of(half, n), m.statement, &m.n);
    }
    if (code == BP_EXIT_OK) {
        code = bp_own_append(cli, &f.chain, bp_span_of(m.statement, m.n));
    }
    if (code == BP_EXIT_OK) {
        f.chain.card = BP_SPAN_EMPTY; /* it was the owner's before */
        code = bp_own_save(cli, &f.chain, BP_SPAN_EMPTY, args->value[BP_O_OUT]);
    }
    bp_free(half);
    bp_own_file_done(&f);
    end(&m);
    return code;
}

/* --- looking, and cards --- */

int bp_cmd_ownership_show(struct bp_cli *cli, const struct bp_args *args)
{
    struct bp_own_file f = {0};
    struct bp_own_state state;
    int code = bp_own_load(cli, args->operand[0], &f);
    if (code == BP_EXIT_OK) {
        code = bp_own_check(cli, args->operand[0], &f.chain, bp_own_now(), &state);
    }
    if (code == BP_EXIT_OK && f.chain.card.n != 0) {
        uint8_t scratch[BP_OWNERSHIP_SCRATCH];
        struct bp_owner_card card;
        if (bp_owner_card_check(cli->crypto, f.chain.card, scratch, &card) != BP_OWN_NONE) {
            code = bp_tell(cli, BP_EXIT_NO, "%s: %s [%s]", args->operand[0], bp_own_fault_text(BP_OWN_CARD),
                           bp_own_fault_code(BP_OWN_CARD));
        }
    }
    if (code == BP_EXIT_OK) {
        bp_own_print(cli, &f.chain, &state);
    }
    bp_own_file_done(&f);
    return code;
}

int bp_cmd_ownership_card(struct bp_cli *cli, const struct bp_args *args)
{
    uint8_t root[BP_SHA256_SIZE];
    uint8_t card[BP_OWNERSHIP_SIGNED_MAX];
    size_t n = 0;
    struct bp_key *key = NULL;
    int code = bp_cli_anchor(cli, args->value[BP_O_ANCHOR], root);
    if (code == BP_EXIT_OK) {
        code = bp_cli_open_key(cli, args->value[BP_O_KEY], &key);
    }
    if (code == BP_EXIT_OK) {
        code = bp_own_make_card(cli, key, args->value[BP_O_NAME], root, card, &n);
    }
    if (code == BP_EXIT_OK && !bp_cli_write(cli, args->value[BP_O_OUT], bp_span_of(card, n))) {
        code = BP_EXIT_FAIL;
    }
    bp_key_free(key);
    return code;
}
