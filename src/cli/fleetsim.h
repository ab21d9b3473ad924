/* SPDX-License-Identifier: Apache-2.0 */
/* cli/fleetsim - the command fleet-sim: what it prepares (fleetsim.c) and the load itself (fleetsim_load.c).
 *
 * Each gateway has keys of its own and a kept connection of its own; nonces are the server's, each used once; gateways
 * take turns, so that no connection is used twice in a row; every answer is read and must be an affirming verdict on an
 * active device. All of it runs on one loop. */
#ifndef BP_CLI_FLEETSIM_H
#define BP_CLI_FLEETSIM_H

#include "cli/api.h"
#include "cli/fleetsim_device.h"

#define BP_SIM_DEVICES_MAX 20000u
#define BP_SIM_FLIGHT_MAX  256u
#define BP_SIM_RENEW_MAX_S 420u /* a key is vouched for ten minutes */

struct bp_sim_spec {
    const struct bp_sim_maker *maker;
    const struct bp_sim_model *model;
    bp_span root;       /* the server's, DER */
    const char *server; /* URL of the enrol listener; NULL: as invitations say */
    const char *zone;
    uint32_t devices;
    uint32_t seconds;
    uint32_t window_s;
    uint32_t rate; /* per second; 0: as fast as they are answered */
    uint32_t in_flight;
    uint32_t renew_s; /* how long they renew their certificates, after attesting; 0: not */
    uint32_t revoke;
};
/* Joins them, lets them attest, renew and be revoked, as the spec says; tells on cli->out, a line a phase. Exit code: BP_EXIT_NO when any gateway
 * did not join, any answer was not what it had to be, or any that was revoked stayed connected. */
int bp_sim_run(struct bp_cli *cli, const struct bp_sim_spec *spec);

#endif
