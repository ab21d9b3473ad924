/* SPDX-License-Identifier: Apache-2.0 */
/* broker/list - whether a revocation list may take the place of the one in force at an ordinary broker, and whom it names
 * that the one before did not.
 *
 * Pure: no clock, no files. Spans point into the lists, which the caller keeps. What is refused changes nothing. A list that
 * the broker's own library would not count (it has run out, or begins later by this machine's clock) is refused here,
 * because with it in force the broker would turn everybody away. */
#ifndef BP_BROKER_LIST_H
#define BP_BROKER_LIST_H

#include "codec/crl.h"

#define BP_LIST_MAX (4u << 20) /* bytes of a list */

enum bp_list_answer {
    BP_LIST_NEW,  /* it is newer than the one in force */
    BP_LIST_SAME, /* it is the one in force */
    BP_LIST_FORM, /* it is no list */
    BP_LIST_ISSUER,
    BP_LIST_SIGNATURE,
    BP_LIST_OLDER,
    BP_LIST_EARLY, /* it begins later than now */
    BP_LIST_OVER,  /* it has run out */
    BP_LIST_ANSWERS
};
const char *bp_list_text(enum bp_list_answer a);

/* Judges der; issuer is the certificate that signs lists, before the list in force (NULL: there is none). *ret is filled
 * with NEW only. */
enum bp_list_answer bp_list_judge(struct bp_crypto *c, const struct bp_x509 *issuer, const struct bp_crl *before, bp_span der,
                                  int64_t now_s, struct bp_crl *ret);

/* Calls fn for every serial in `of` that is not in `than` (NULL: for all). The first failure ends it and is returned.
 *   NO_MEMORY */
BP_MUST_CHECK bp_result bp_list_more(const struct bp_crl *of, const struct bp_crl *than,
                                     bp_result (*fn)(void *self, bp_span serial), void *self);

/* The common name of a certificate of the issuer with that serial: letters, digits, dots and hyphens, 1..128 bytes.
 *   MISMATCH  another serial or issuer   BAD_SIGNATURE   MALFORMED  no such name   others of bp_x509_read */
BP_MUST_CHECK bp_result bp_list_name(struct bp_crypto *c, const struct bp_x509 *issuer, bp_span der, bp_span serial,
                                     bp_span *ret);

/* Whether a certificate is one of an authority that signs lists, by this root.
 *   DENIED  it may not sign lists, or is not the root's   others of bp_x509_read and bp_x509_verify */
BP_MUST_CHECK bp_result bp_list_issuer(struct bp_crypto *c, bp_span root_der, bp_span der, struct bp_x509 *ret);

#endif
