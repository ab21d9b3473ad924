/* SPDX-License-Identifier: Apache-2.0 */
/* cli/owner - chains of ownership as files, and statements signed where the owner's key is (docs/protocol/ownership.md).
 *
 * What is loaded is heap memory that the spans point into; bp_own_file_done frees it, also after a failure. Everything is
 * told as bp_tell does; what comes back is an exit code. */
#ifndef BP_CLI_OWNER_H
#define BP_CLI_OWNER_H

#include "cli/cli.h"
#include "core/ownership.h"
#include "platform/openssl/key.h"

struct bp_own_file {
    uint8_t *bytes;
    size_t n;
    struct bp_ownership_chain chain;
};

/* A chain from a file or from bytes (copied). */
int bp_own_load(struct bp_cli *cli, const char *path, struct bp_own_file *ret);
int bp_own_take(struct bp_cli *cli, const char *what, bp_span bytes, struct bp_own_file *ret);
void bp_own_file_done(struct bp_own_file *f);

/* An owner's card from a file. The spans of ret_card point into *ret_bytes, which is the caller's (bp_free). */
int bp_own_card(struct bp_cli *cli, const char *path, uint8_t **ret_bytes, bp_span *ret_signed, struct bp_owner_card *ret_card);

/* Walks with nothing known. Told: what is wrong, and of which statement. */
int bp_own_check(struct bp_cli *cli, const char *what, const struct bp_ownership_chain *chain, int64_t now_ms,
                 struct bp_own_state *ret);

/* The next statement of a chain, signed by key, to the owner of `to` (NULL: retire), valid for expires_s from now (0: without
 * end), into ret of BP_OWNERSHIP_SIGNED_MAX bytes. */
int bp_own_sign(struct bp_cli *cli, const struct bp_ownership_chain *chain, enum bp_ownership_kind kind, struct bp_key *key,
                const struct bp_owner_card *to, uint64_t expires_s, uint8_t *ret, size_t *ret_n);
/* The second signature of an override, by another key of the maker, around the first. */
int bp_own_cosign(struct bp_cli *cli, struct bp_key *key, bp_span half, uint8_t *ret, size_t *ret_n);
/* An owner's card, into ret of BP_OWNERSHIP_SIGNED_MAX bytes. */
int bp_own_make_card(struct bp_cli *cli, struct bp_key *key, const char *name, const uint8_t root[BP_SHA256_SIZE],
                     uint8_t *ret, size_t *ret_n);
int64_t bp_own_now(void);
/* Adds it at the end and checks the whole; overrides as if their time had come. */
int bp_own_append(struct bp_cli *cli, struct bp_ownership_chain *chain, bp_span statement);
/* Writes the chain, with the card when it is not empty, to a file. */
int bp_own_save(struct bp_cli *cli, const struct bp_ownership_chain *chain, bp_span card, const char *path);
/* The chain as people read it, or as JSON. */
void bp_own_print(struct bp_cli *cli, const struct bp_ownership_chain *chain, const struct bp_own_state *state);

/* A private key from a file; its passphrase is asked for where it has one. Told. The caller frees *ret. */
int bp_cli_open_key(struct bp_cli *cli, const char *path, struct bp_key **ret);

#endif
