/* SPDX-License-Identifier: Apache-2.0 */
/* core/renewal - when a certificate is renewed: a moment in a window, the same at each asking and after each restart, and spread
 * evenly over a fleet. Server and device compute the same one, so that neither is early for the other. */
#ifndef BP_CORE_RENEWAL_H
#define BP_CORE_RENEWAL_H

#include "port/crypto.h"

/* Per mille of a certificate's life. */
#define BP_RENEW_FROM        500u
#define BP_RENEW_UNTIL       700u
/* An application's certificate lives 1.5 T: at the latest moment 1.05 T of it are left, and an outage of T ends before it does. */
#define BP_RENEW_APPLICATION_FROM  200u
#define BP_RENEW_APPLICATION_UNTIL 300u

/* So long is made up for what fell due while a server was away. */
#define BP_RENEW_RESUME_S (6 * 3600)

struct bp_renewal {
    int64_t from_s, until_s;
};

/* The window of a certificate; from and until are per mille of its life, from <= until <= 1000. */
struct bp_renewal bp_renewal_window(int64_t not_before_s, int64_t not_after_s, uint32_t from, uint32_t until);

/* The device's place among others, from its id and the certificate's serial number: HMAC-SHA-256 with the id as key. Errors
 * of hashing. */
BP_MUST_CHECK bp_result bp_renewal_lot(struct bp_crypto *c, bp_span device_id, bp_span serial, uint16_t *ret);

/* The window of a certificate after its server was away until since_s (0: it was not). A moment that fell into that time would
 * be everybody's at once: it is made up for from since_s on, in BP_RENEW_RESUME_S or half of what is left of the life, whichever
 * is shorter. Other windows stay as they are. */
struct bp_renewal bp_renewal_resumed(const struct bp_renewal *w, uint16_t lot, int64_t not_after_s, int64_t since_s);

/* The second in the window that the lot chooses; its ends included. */
int64_t bp_renewal_at_s(const struct bp_renewal *w, uint16_t lot);

#endif
