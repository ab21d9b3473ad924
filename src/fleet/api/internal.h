/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/api/internal - what the files of this folder share: the route table at run time, the steps before
 * a handler, JSON in and out. Not for other folders. */
#ifndef BP_FLEET_API_INTERNAL_H
#define BP_FLEET_API_INTERNAL_H

#include <jansson.h>

#include "appraise/appraisal.h"
#include "fleet/api/api.h"
#include "fleet/api/routes.h"
#include "fleet/store/lists.h"

enum bp_api_id {
#define BP_X(id, method, path, role, scope, step_up, event, where, media, max, summary) BP_API_##id,
    BP_API_ROUTES(BP_X)
#undef BP_X
        BP_API_COUNT
};

struct bp_api_row {
    const char *method;
    const char *path; /* behind the prefix */
    enum bp_role role;
    const char *scope;
    bool step_up;
    uint32_t event;
    enum bp_api_where where;
    const char *media;
    size_t max;
    const char *summary;
};
extern const struct bp_api_row bp_api_table[BP_API_COUNT];

/* Whether an operation only reads or takes trust away: what a server that recovers still does. */
bool bp_api_takes_away(enum bp_api_id id);

#define BP_API_PARAMS 2u
struct bp_api_match {
    enum bp_api_id id; /* COUNT: none */
    bool other_method; /* the address is known with another method */
    bp_span param[BP_API_PARAMS];
    bp_span query;
};
void bp_api_find(bp_span method, bp_span target, struct bp_api_match *ret);

/* The steps before a handler. ret_who is filled where the row asks for a role.
 *   NONE: go on; else the problem to answer, *ret_detail may say more */
enum bp_problem bp_api_admit(bp_store *s, struct bp_crypto *c, int64_t now_ms, const struct bp_ex_request *q,
                             const struct bp_api_match *m, struct bp_identity *ret_who, const char **ret_detail);

/* A value of the query, percent-decoded into room; empty when absent. False: it is malformed or too long. */
bool bp_api_query(bp_span query, const char *name, char *room, size_t cap, bp_span *ret);
/* The same for a part of the path. */
bool bp_api_param(bp_span param, char *room, size_t cap, bp_span *ret);
bool bp_api_number(bp_span text, uint64_t *ret);
bool bp_api_unhex(bp_span text, uint8_t *ret, size_t n);

/* -- JSON -- */
/* Room for answers: texts are put one behind the other. */
struct bp_api_room {
    uint8_t *p;
    size_t cap, n;
};
bp_span bp_api_put(struct bp_api_room *room, bp_span s); /* empty when full */
/* Takes j over. Fills status, type, body and the header that forbids caching. NO_SPACE */
bp_result bp_api_json(struct bp_api_room *room, uint16_t status, json_t *j, struct bp_ex_answer *ret);
void bp_api_problem(struct bp_api_room *room, enum bp_problem p, const char *detail, uint32_t retry_s,
                    struct bp_ex_answer *ret);
void bp_api_header(struct bp_ex_answer *a, bp_span name, bp_span value);
json_t *bp_api_time(int64_t ms); /* null for 0 */
json_t *bp_api_hex(bp_span s);
json_t *bp_api_text(bp_span s);
json_t *bp_api_str(const char *s);
void bp_api_time_text(int64_t ms, char ret[32]);
json_t *bp_api_actions(uint32_t bits); /* names of a policy's actions */

enum bp_member_kind { BP_MEMBER_TEXT, BP_MEMBER_INT, BP_MEMBER_BOOL };
struct bp_member {
    const char *name;
    enum bp_member_kind kind;
    bool required;
    size_t max; /* bytes of a text */
    bool given;
    bp_span text; /* as long as the JSON */
    int64_t number;
};
/* Reads a body that must be an object of these members and no others. The caller gives *ret back.
 * False: ret_detail (128 bytes) says why; *ret_problem is MALFORMED or VALUE. */
bool bp_api_members(bp_span body, struct bp_member *m, size_t count, json_t **ret, char *ret_detail,
                    enum bp_problem *ret_problem);

/* -- objects of api.md -- */
json_t *bp_api_summary(const struct bp_device_item *d);
/* POSITION, with the device that fills it. NULL: no memory, or the store failed. */
json_t *bp_api_position(bp_store *s, const struct bp_position *p);
/* ACTION, as it stands at that time. NULL: no memory, or the store failed. */
json_t *bp_api_action(bp_store *s, const struct bp_action *a, int64_t now_ms);
const char *bp_api_trust(const struct bp_device_item *d);
const char *bp_api_lockout_name(uint8_t state); /* of an escrow: none, sealed, set, foreign */
/* RELEASE; with the members of the single page when `whole`. NULL: no memory, or the store failed. */
json_t *bp_api_release(bp_store *s, const struct bp_release_row *r, bool whole);
json_t *bp_api_service(const struct bp_service *v);
json_t *bp_api_event(const struct bp_event_item *e);
/* The sentence of an event. */
void bp_api_event_text(const struct bp_event *e, char *ret, size_t cap);

/* The newest appraisal of a device; its spans point into the copy, which the caller gives back. */
bp_result bp_api_newest_appraisal(bp_store *s, const struct bp_device_item *d, uint8_t **ret_copy,
                                  struct bp_appraisal *ret, bool *ret_has);

/* -- check.c -- */
/* A policy document judged against the newest evidence of at most `limit` devices behind row `after`; nothing is
 * written. *ret: the answer (api.md). DENIED: the document is not accepted, ret_why says why. */
#define BP_API_CHECK_MAX 100u
bp_result bp_api_check(struct bp_api_reader *r, bp_span text, uint64_t after, size_t limit, json_t **ret,
                       char ret_why[BP_POLICY_REASON_MAX + 1]);

/* -- bundle.c -- */
/* Writes the bundle of a verdict into the room. Problems: NOT_FOUND, WRONG_STATE (no head covers it yet). */
bp_result bp_api_bundle(struct bp_api_reader *r, uint64_t verdict, int64_t device, bp_span *ret,
                        enum bp_problem *ret_problem);

#endif
