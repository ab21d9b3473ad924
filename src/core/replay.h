/* SPDX-License-Identifier: Apache-2.0 */
/* core/replay - what PCRs hold after a list of extends: one bank of 24, and the IMA list into
 * PCR 10.
 *
 * State is a plain value of the caller's: copying it makes a bookmark to resume from. Nothing is
 * trusted because it replays; it is trusted when the result equals a signed PCR value. */
#ifndef BP_CORE_REPLAY_H
#define BP_CORE_REPLAY_H

#include "codec/ima.h"
#include "codec/tpm.h"
#include "port/crypto.h"

struct bp_pcrs {
    enum bp_hash_alg alg;
    uint32_t extended; /* bit n: PCR n was extended at least once */
    uint8_t v[BP_TPM_PCRS][BP_HASH_MAX];
};

/* Values at power-on: zero, and 0xff.. in 17-22 (PC Client PTP 1.05, 4.6.2); PCR 0 holds the
 * startup locality. UNSUPPORTED  no such hash */
BP_MUST_CHECK bp_result bp_pcrs_init(enum bp_hash_alg alg, uint8_t startup_locality,
                                     struct bp_pcrs *ret);

/* PCR n := H(PCR n || digest).
 *   BAD_ARGUMENT  no such PCR, or the digest is not of the bank      CRYPTO, UNSUPPORTED  from the
 * port */
BP_MUST_CHECK bp_result bp_pcrs_extend(struct bp_crypto *c, struct bp_pcrs *pcrs, uint32_t pcr,
                                       bp_span digest);

/* Value of one PCR; empty for a number that does not exist. */
bp_span bp_pcrs_value(const struct bp_pcrs *pcrs, uint32_t pcr);

/* --- the IMA list, incrementally --- */

/* An authenticated point of a machine's list: after `count` entries PCR 10 held `pcr`. */
struct bp_ima_point {
    uint32_t count;
    uint8_t pcr[BP_HASH_MAX];
};

/* The start of every boot. */
struct bp_ima_point bp_ima_point_zero(void);

/* Extends the point by one entry, after checking that its template digest is the hash of its data.
 *   MISMATCH  the SHA-1 template digest is not that of the data: "data does not match"
 *   BAD_ARGUMENT  the entry is not the one that comes next */
BP_MUST_CHECK bp_result bp_ima_extend(struct bp_crypto *c, enum bp_hash_alg alg,
                                      struct bp_ima_point *point, const struct bp_ima_entry *entry);

struct bp_ima_match {
    struct bp_ima_point point; /* where PCR 10 had the quoted value */
    size_t bytes;              /* of `list` up to there */
    uint32_t entries;          /* of `list` up to there */
    uint32_t bad_index;        /* on MISMATCH, MALFORMED and so on: the entry to name */
};

/* Finds the shortest prefix of `list` (entries from `from.count` on) after which PCR 10 holds
 * `quoted`. Entries past it are not looked at: the list runs ahead of the quote, and they are
 * judged next time. The empty prefix matches when nothing was measured since `from`. NOT_FOUND
 * every entry was read and no prefix has that value; bad_index is one past the last any        what
 * bp_ima_next and bp_ima_extend say, ret->bad_index names the entry On failure only ret->bad_index
 * is written. */
BP_MUST_CHECK bp_result bp_ima_replay(struct bp_crypto *c, enum bp_hash_alg alg,
                                      const struct bp_ima_point *from, bp_span list, bp_span quoted,
                                      struct bp_ima_match *ret);

#endif
