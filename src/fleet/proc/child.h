/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/proc/child - what every started process does alike: raise its fences, listen to the parent, take channels.
 *
 * Order: own uid, own root, no new privileges; load (files of the kind's own); Landlock and seccomp; then the loop.
 * After the fences nothing but the descriptors that the parent sends reaches the world. The child tells the parent that
 * it is in service by closing its sending half of descriptor 3; it never sends the parent a byte. */
#ifndef BP_FLEET_PROC_CHILD_H
#define BP_FLEET_PROC_CHILD_H

#include "fleet/proc/proc.h"
#include "net/frame.h"
#include "net/loop.h"
#include "port/clock.h"

struct bp_child {
    enum bp_kind kind;
    unsigned index;
    char name[BP_PROC_NAME_MAX + 1]; /* "front-device-0" */
    char dir[BP_PROC_PATH_MAX];      /* the server's directory as this process sees it: "/" inside its own root */
    unsigned per_source;         /* as in struct bp_run */
    uint16_t device_port, enrol_port;
    unsigned attest_interval_ms;
    uint32_t fences; /* bits of enum bp_fence that stand */
    struct bp_clock clock;
    struct bp_loop *loop;
    /* Private. */
    struct bp_peer *parent;
    struct bp_timer *lonely;
    bool is_ready;
    int exit_code;
};

/* What a kind does. self is one object of the kind. `listener` and `running` may be NULL: such a notice ends the
 * process, as any other that the parent never sends to its kind. */
struct bp_child_ops {
    /* Before the last fences: reads files. */
    bp_result (*load)(void *self, struct bp_child *c);
    /* After them: what stands on the loop. */
    bp_result (*start)(void *self);
    /* A channel to the process of that name; owns fd. A second one of the name takes the place of the first. */
    void (*channel)(void *self, bp_span name, int fd);
    /* The process of that name is in service, or is gone. Sent to readers only. */
    void (*running)(void *self, bp_span name, bool is_running);
    /* A listening socket; owns fd. */
    void (*listener)(void *self, bp_span name, int fd);
    /* Finish what is open; call bp_child_stop when done. The parent kills what takes longer than it waits. */
    void (*end)(void *self);
    /* After the loop. */
    void (*done)(void *self);
};

/* The kinds' objects: one a process. */
const struct bp_child_ops *bp_front_ops(void **ret_self);
const struct bp_child_ops *bp_appraiser_ops(void **ret_self);
const struct bp_child_ops *bp_keeper_ops(void **ret_self);
const struct bp_child_ops *bp_reader_ops(void **ret_self);
const struct bp_child_ops *bp_signer_ops(void **ret_self);

/* In service: told to the parent once. */
void bp_child_ready(struct bp_child *c);
/* A channel that the process cannot do without is gone. The parent sends another when it has replaced the other side; when
 * none comes (the other side lives, but gave this one up) the process ends, and is replaced itself. */
void bp_child_lost(struct bp_child *c);
/* Another came. */
void bp_child_found(struct bp_child *c);
/* Leaves the loop; code is the process's exit code. */
void bp_child_stop(struct bp_child *c, int code);
/* One line on standard error, "bedplated NAME: text". For what a person must know; never for what a peer can cause at
 * will. */
void bp_child_say(const struct bp_child *c, const char *text);
/* The same with a result's error and place. */
void bp_child_say_result(const struct bp_child *c, const char *text, bp_result r);
/* dir, "/", and the rest into ret.   NO_SPACE */
BP_MUST_CHECK bp_result bp_child_path(const struct bp_child *c, const char *rest, char ret[BP_PROC_PATH_MAX]);

#endif
