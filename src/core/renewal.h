/* SPDX-License-Identifier: Apache-2.0 */
/* core/renewal - when a certificate is renewed: a moment in a window, the same at each asking and after each restart, and spread
 * evenly over a fleet. Server and device compute the same one, so that neither is early for the other. */
#ifndef BP_CORE_RENEWAL_H
#define BP_CORE_RENEWAL_H

#include "port/crypto.h"

/* Per mille of a certificate's life. */
#define BP_RENEW_FROM        500u
#define BP_RENEW_UNTIL       700u
#define BP_RENEW_APPLICATION_FROM  333u /* early, so that an outage finds it young */
#define BP_RENEW_APPLICATION_UNTIL 500u

struct bp_renewal {
    int64_t from_s, until_s;
};

/* The window of a certificate; from and until are per mille of its life, from <= until <= 1000. */
struct bp_renewal bp_renewal_window(int64_t not_before_s, int64_t not_after_s, uint32_t from, uint32_t until);

/* The device's place among others, from its id and the certificate's serial number: HMAC-SHA-256 with the id as key. Errors
 * of hashing. */
BP_MUST_CHECK bp_result bp_renewal_lot(struct bp_crypto *c, bp_span device_id, bp_span serial, uint16_t *ret);

/* The second in the window that the lot chooses; its ends included. */
int64_t bp_renewal_at_s(const struct bp_renewal *w, uint16_t lot);

#endif
