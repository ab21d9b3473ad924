/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/registry/turn - what the keeper hands to code that answers one request of a person inside a
 * group.
 *
 * A handler runs inside an act of the open group: it reads and writes through the parts named here
 * and fills the answer; the keeper sends it after the commit. DENIED with `problem` takes back the
 * whole act and answers that problem. The answer's spans must point into `room`, into the request,
 * or to texts that live as long as the program. A handler that needs a signer notes one question in
 * `ask`; its writes so far are kept, and `then` runs inside a later act with the signer's answer.
 * It must look again at everything it decided on before. */
#ifndef BP_FLEET_REGISTRY_TURN_H
#define BP_FLEET_REGISTRY_TURN_H

#include "codec/exchange.h"
#include "fleet/registry/registry.h"

#define BP_TURN_ROOM (256u << 10) /* bytes of an answer */
#define BP_TURN_ASK_MAX                                                                            \
    (64u << 10) /* bytes of a question, and of what is remembered for `then`                       \
                 */

struct bp_turn;

typedef bp_result bp_turn_fn(void *self, struct bp_turn *t, const struct bp_ex_request *q,
                             struct bp_ex_answer *ret);
/* status and body: the signer's answer (status as in processes.md). kept: what the handler put into
 * ask.keep. */
typedef bp_result bp_turn_then(void *self, struct bp_turn *t, uint64_t status, bp_span body,
                               bp_span kept, struct bp_ex_answer *ret);

struct bp_turn {
    bp_store *store;
    struct bp_log *log;
    struct bp_registry *registry;
    struct bp_effects *effects;
    struct bp_crypto *crypto;
    const struct bp_entropy *entropy;
    int64_t now_ms;
    bool is_recovering; /* nothing is granted */
    enum bp_problem problem; /* why it was DENIED */
    char detail[BP_REASON_MAX + 1];
    uint32_t retry_after_s; /* 0: no header */
    uint8_t *room;
    size_t room_cap;
    struct {
        const char *op; /* NULL: no question; else an op of signer ca, `issue-operator` for one */
        bp_span body;   /* copied */
        bp_span keep;   /* copied */
        bp_turn_then *then;
    } ask;
};

#endif
