/* SPDX-License-Identifier: Apache-2.0 */
/* codec/note - the C2SP signed note and, on it, the C2SP tlog-checkpoint: the signed head of a log.
 *
 *     ORIGIN \n SIZE in decimal \n base64(root) \n [extension lines] \n
 *     — NAME base64(key id || signature) \n ...
 *
 * One signature type: ECDSA P-256 with SHA-256 (type 0x02 of the signed-note registry), signature in DER, key id the
 * first four bytes of SHA-256(DER SubjectPublicKeyInfo), as that registry entry says for ECDSA. Other signature
 * lines are passed over, as the note specification requires. Spans point into the input. */
#ifndef BP_CODEC_NOTE_H
#define BP_CODEC_NOTE_H

#include "port/crypto.h"

#define BP_NOTE_MAX            65536u /* bytes of a whole note */
#define BP_NOTE_MAX_SIGNATURES 64u
#define BP_NOTE_MAX_NAME       255u

struct bp_note {
    bp_span text;       /* what is signed, with its last newline */
    bp_span signatures; /* the signature lines */
};

/* Splits a note and checks the form of every line.
 *   MALFORMED  not a note: UTF-8, control characters, blank line, signature lines      LIMIT  a ceiling above */
BP_MUST_CHECK bp_result bp_note_read(bp_span in, struct bp_note *ret);

/* Verifies the signature line of that name by the P-256 key with this SubjectPublicKeyInfo.
 *   NOT_FOUND  no line of that name and key id      BAD_SIGNATURE  there is one, and it does not verify
 *   UNSUPPORTED  not a P-256 key */
BP_MUST_CHECK bp_result bp_note_verify(struct bp_crypto *c, const struct bp_note *note, bp_span name, bp_span spki);

struct bp_checkpoint {
    bp_span origin;
    uint64_t size;
    uint8_t root[BP_SHA256_SIZE];
    bp_span extensions; /* further lines of the text; empty when there are none */
};

/* Reads the text of a note as a checkpoint; verify the note first. MALFORMED: it is not one. */
BP_MUST_CHECK bp_result bp_checkpoint_read(const struct bp_note *note, struct bp_checkpoint *ret);

/* Writes and signs a checkpoint without extension lines; the signature's name is the origin.
 *   NO_SPACE  *ret_len tells the room needed      BAD_ARGUMENT  origin is no key name; the signer is not ES256
 *   any       what the signer said */
BP_MUST_CHECK bp_result bp_checkpoint_write(struct bp_crypto *c, const struct bp_signer *signer, bp_span spki,
                                            bp_span origin, uint64_t size, const uint8_t root[BP_SHA256_SIZE],
                                            uint8_t *ret, size_t cap, size_t *ret_len);

#endif
