/* SPDX-License-Identifier: Apache-2.0 */
/* broker/control - tells Mosquitto to end the sessions of clients by name, over its dynamic-security plugin.
 *
 * A client that was made and deleted at once leaves nothing behind, and deleting ends its sessions, which is all that is
 * wanted: that it cannot come back is the revocation list's doing. An entry of that name that a plant keeps in the plugin is
 * deleted too. One connection a call, verified by the broker's own authority and with a certificate of ours; it waits until
 * the plugin said that it did it, at most BP_CONTROL_MS. */
#ifndef BP_BROKER_CONTROL_H
#define BP_BROKER_CONTROL_H

#include "base/result.h"
#include "base/span.h"

#define BP_CONTROL_MS    10000
#define BP_CONTROL_NAMES 32u /* of one call */

struct bp_control_spec {
    const char *host;
    uint16_t port;
    const char *ca_file; /* PEM: who signs the broker's certificate */
    const char *cert_file;
    const char *key_file;
};

/* names: letters, digits, dots and hyphens.
 *   CLOSED   the broker cannot be reached, or ended the connection (it may not be running: then there is no session)
 *   DENIED   it or its plugin refused     EXPIRED  no answer in time      NO_MEMORY, BAD_ARGUMENT */
BP_MUST_CHECK bp_result bp_control_end(const struct bp_control_spec *spec, const char *const *names, size_t count);

#endif
