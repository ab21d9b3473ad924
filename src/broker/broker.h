/* SPDX-License-Identifier: Apache-2.0 */
/* broker/broker - the helper of an ordinary broker (Mosquitto): keeps its revocation list current and ends the sessions of
 * clients whose certificates are revoked.
 *
 * It holds a request at the server's status listener until there is a newer list. Everything that it takes from there is
 * signed and verified up to the root that it was given; the connection itself is not believed. A newer list is written for
 * the broker, the broker is told to read it, and then the sessions of whoever is on it for the first time are ended.
 *
 * After a roll-over the server has two issuing CAs, and lists of both: the helper finds the new one by its number, believes it
 * by the root's signature, and gives the broker both until the old one's list has come to its end.
 *
 * In its folder: root.der, issuing.der and list.der (issuing-N.der and list-N.der of the Nth issuing CA after the first),
 * ca.pem (the certificates, for the broker's cafile), crl.pem (the lists in force, for its crlfile) and done.der (the last list
 * of which all sessions were ended: what was left open by a cut is done again). Without the server nothing changes; a list in
 * force counts until its own end. */
#ifndef BP_BROKER_BROKER_H
#define BP_BROKER_BROKER_H

#include "broker/control.h"
#include "broker/list.h"
#include "port/clock.h"

#ifndef BP_VERSION
#define BP_VERSION "0.1.0"
#endif
#define BP_BROKER_PATH_MAX 1024u
#define BP_BROKER_HOST_MAX 240u
#define BP_BROKER_AUTHORITIES 2u  /* issuing CAs of a server that are in force at a time */
#define BP_BROKER_ROLLS_MAX   999u

struct bp_broker_spec {
    const char *dir;
    char host[BP_BROKER_HOST_MAX + 1]; /* of the status listener */
    uint16_t port;
    uint8_t anchor[BP_SHA256_SIZE]; /* of the root certificate's DER */
    const char *pid_file;           /* of the broker; NULL: it is not told */
    bool has_control;
    struct bp_control_spec control;
    uint32_t rounds; /* 0: for ever */
    void (*tell)(const char *line);
};

/* A list on disk, read and verified. */
struct bp_broker_list {
    uint8_t *der; /* NULL: none */
    size_t n;
    struct bp_crl crl;
};

/* Runs; returns after `rounds`, or when it cannot begin. BP_OK: it did them.
 *   NOT_FOUND  no folder      DENIED  the root is not the anchor, or files of the folder are not what they should be
 *   CLOSED     nothing was ever fetched and the server cannot be reached      others of files */
BP_MUST_CHECK bp_result bp_broker_run(struct bp_crypto *c, const struct bp_clock *clock, const struct bp_broker_spec *spec);

/* What stands in a folder: number, and times of the list in force.
 *   NOT_FOUND  there is none    others as bp_crl_read and of files */
struct bp_broker_state {
    uint64_t number, done; /* done 0: none */
    size_t count;
    int64_t this_s, next_s;
};
BP_MUST_CHECK bp_result bp_broker_state(const char *dir, struct bp_broker_state *ret);

#endif
