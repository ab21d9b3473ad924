/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/proc/probe - what only the test's own build of bedplated has: fences that are left out by name, and attempts to
 * get through them from inside each process, reported on standard error.
 *
 * In the product the macros are constants and nothing of it is linked; they carry no check that the product uses. */
#ifndef BP_FLEET_PROC_PROBE_H
#define BP_FLEET_PROC_PROBE_H

#ifdef BP_PROBE
#include "codec/exchange.h"
#include "fleet/proc/child.h"
#include "fleet/proc/sandbox.h"
#include "net/server.h"
bool bp_probe_wants(enum bp_fence fence); /* the test's own */
void bp_probe_run(const struct bp_child *c);
/* A captured front: what it tells the keeper, and which op it sends, as the request's header X-Probe-Forge says. */
void bp_probe_forge(const struct bp_request *rq, struct bp_ex_request *q);
const char *bp_probe_op(const struct bp_request *rq);
#define BP_FENCE_WANTED(fence) bp_probe_wants(fence)
#define BP_PROBE_READY(child)  bp_probe_run(child)
#define BP_PROBE_FORGE(rq, q)  bp_probe_forge(rq, q)
#define BP_PROBE_OP(rq)        bp_probe_op(rq)
#else
#define BP_FENCE_WANTED(fence) true
#define BP_PROBE_READY(child)  ((void)0)
#define BP_PROBE_FORGE(rq, q)  ((void)0)
#define BP_PROBE_OP(rq)        "http"
#endif

#endif
