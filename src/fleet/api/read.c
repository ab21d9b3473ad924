/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/api/read - the operations that readers answer, each over one snapshot of the store. */
#include <stdio.h>

#include "appraise/appraisal.h"
#include "codec/base64.h"
#include "codec/bundle.h"
#include "codec/device.h"
#include "codec/x509.h"
#include "core/devid.h"
#include "core/renewal.h"
#include "fleet/api/internal.h"
#include "fleet/policy/document.h"
#include "platform/alloc.h"

#define BP_MODULE API

#define LIMIT_DEFAULT 100u
#define LIMIT_MAX     500u
#define TILE_ROOM     768u /* of a tile */

struct call {
    struct bp_api_reader *r;
    const struct bp_ex_request *q;
    struct bp_api_match m;
    struct bp_api_room room;
    struct bp_ex_answer *ret;
    enum bp_problem problem;
    const char *detail;
    char why[BP_POLICY_REASON_MAX + 1]; /* of a document that is refused */
};

static bp_result refuse(struct call *c, enum bp_problem p, const char *detail)
{
    c->problem = p;
    c->detail = detail;
    return BP_FAIL(DENIED);
}

static bp_result answer(struct call *c, json_t *j)
{
    return bp_api_json(&c->room, 200, j, c->ret);
}

static bp_result query_text(struct call *c, const char *name, char *room, size_t cap, bp_span *ret)
{
    return bp_api_query(c->m.query, name, room, cap, ret) ? BP_OK : refuse(c, BP_P_VALUE, name);
}

static bp_result query_number(struct call *c, const char *name, uint64_t fallback, uint64_t *ret, bool *ret_given)
{
    char room[24];
    bp_span v = BP_SPAN_EMPTY;
    BP_TRY(query_text(c, name, room, sizeof room, &v));
    *ret = fallback;
    *ret_given = v.n > 0;
    return v.n == 0 || bp_api_number(v, ret) ? BP_OK : refuse(c, BP_P_VALUE, name);
}

static bp_result query_limit(struct call *c, size_t *ret)
{
    uint64_t v = 0;
    bool given = false;
    BP_TRY(query_number(c, "limit", LIMIT_DEFAULT, &v, &given));
    if (v < 1 || v > LIMIT_MAX) {
        return refuse(c, BP_P_VALUE, "limit");
    }
    *ret = (size_t)v;
    return BP_OK;
}

/* A list that grows while the store calls back. */
struct list {
    json_t *array;
    size_t n;
    uint64_t last;
};

static bp_result append(struct list *l, json_t *j)
{
    l->n++;
    return json_array_append_new(l->array, j) == 0 ? BP_OK : BP_FAIL(NO_MEMORY);
}

static bp_result answer_list(struct call *c, const char *name, struct list *l, json_t *next)
{
    json_t *j = json_object();
    if (j == NULL || json_object_set_new(j, name, l->array) != 0 || json_object_set_new(j, "next", next) != 0) {
        json_decref(j);
        return BP_FAIL(NO_MEMORY);
    }
    return answer(c, j);
}

static json_t *cursor(bool more, uint64_t at)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)at);
    return more ? json_string(text) : json_null();
}

/* -- overview ---------------------------------------------------------------------------------- */
struct counts {
    uint64_t total;
    uint64_t state[BP_ST_COUNT];
    uint64_t trust[5]; /* affirming, warning, contraindicated, none, silent */
    json_t *zones;
    char zone[BP_NAME_MAX + 1];
    bool has_zone;
    uint64_t zone_total;
    uint64_t zone_trust[5];
};

static json_t *trust_json(const uint64_t n[5])
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "affirming", (json_int_t)n[0], "warning", (json_int_t)n[1],
                     "contraindicated", (json_int_t)n[2], "none", (json_int_t)n[3], "silent", (json_int_t)n[4]);
}

static bp_result end_zone(struct counts *k)
{
    if (!k->has_zone || k->zone_total == 0) {
        return BP_OK;
    }
    json_t *j = json_pack("{s:o, s:I, s:o}", "zone", bp_api_str(k->zone), "devices", (json_int_t)k->zone_total, "trust",
                          trust_json(k->zone_trust));
    return json_array_append_new(k->zones, j) == 0 ? BP_OK : BP_FAIL(NO_MEMORY);
}

static bp_result count_row(void *self, const struct bp_fleet_count *f)
{
    struct counts *k = self;
    const size_t t = f->silent ? 4 : f->tier == BP_TIER_AFFIRMING ? 0 : f->tier == BP_TIER_WARNING ? 1 : f->tier == BP_TIER_CONTRAINDICATED ? 2 : 3;
    if (!k->has_zone || strcmp(k->zone, f->zone) != 0) {
        BP_TRY(end_zone(k));
        memcpy(k->zone, f->zone, sizeof k->zone);
        memset(k->zone_trust, 0, sizeof k->zone_trust);
        k->zone_total = 0;
        k->has_zone = true;
    }
    k->total += f->members;
    if (f->state < BP_ST_COUNT) {
        k->state[f->state] += f->members;
    }
    if (f->state >= BP_ST_CLAIMED && f->state <= BP_ST_QUARANTINED) {
        k->trust[t] += f->members;
        k->zone_trust[t] += f->members;
        k->zone_total += f->members;
    }
    return BP_OK;
}

static json_t *states_json(const struct counts *k)
{
    json_t *j = json_object();
    for (int s = BP_ST_WAITING; s < BP_ST_COUNT; s++) {
        (void)json_object_set_new(j, bp_device_state_name((enum bp_lifecycle)s), json_integer((json_int_t)k->state[s]));
    }
    return j;
}

static json_t *processes_json(const struct bp_api_reader *r)
{
    json_t *j = json_array();
    for (size_t i = 0; i < r->process_count; i++) {
        (void)json_array_append_new(j, json_pack("{s:s, s:b, s:s}", "name", r->process[i].name, "running",
                                                 (int)r->process[i].running, "fence", r->process[i].fence));
    }
    return j;
}

#define FORECAST_MS  (7 * 86400000LL)
#define FORECAST_MAX 10000u

static bp_result overview(struct call *c)
{
    uint32_t ending = 0;
    struct counts k = {.zones = json_array()};
    struct bp_tree_row tree = {0};
    struct bp_policy_version v;
    const struct bp_api_reader *r = c->r;
    bp_result got = bp_list_counts(r->store, count_row, &k);
    if (!bp_failed(got)) {
        got = end_zone(&k);
    }
    if (!bp_failed(got)) {
        got = bp_store_tree(r->store, &tree);
    }
    const uint64_t size = tree.size; /* the row lives until the next call */
    const uint64_t signed_size = tree.signed_size;
    int64_t recovery = BP_RECOVERY_NONE;
    if (!bp_failed(got)) {
        got = bp_store_setting(r->store, BP_SETTING_RECOVERY, BP_RECOVERY_NONE, &recovery);
    }
    if (!bp_failed(got)) {
        got = bp_store_certs_ending(r->store, r->now_ms, r->now_ms + FORECAST_MS, FORECAST_MAX, &ending);
    }
    if (bp_failed(got)) {
        json_decref(k.zones);
        return got;
    }
    json_t *policy = json_null();
    if (!bp_failed(bp_store_policy_newest(r->store, &v))) {
        policy = json_pack("{s:I, s:o, s:o}", "version", (json_int_t)v.version, "digest", bp_api_hex(BP_SPAN_OF(v.digest)),
                           "at", bp_api_time(v.at_ms));
    }
    return answer(c, json_pack("{s:{s:s, s:s, s:s, s:b, s:b, s:o}, s:{s:I, s:I}, s:{s:I, s:o, s:o}, s:o, s:o, s:o, s:{s:I, s:I}}", "server",
                               "name", r->name, "version", r->version, "organisation", r->organisation, "evaluation",
                               (int)r->evaluation, "recovering", (int)(recovery != BP_RECOVERY_NONE), "time", bp_api_time(r->now_ms), "head", "size", (json_int_t)size,
                               "signed_size", (json_int_t)signed_size, "devices", "total", (json_int_t)k.total, "state",
                               states_json(&k), "trust", trust_json(k.trust), "zones", k.zones, "policy", policy,
                               "processes", processes_json(r), "expiring", "within_s", (json_int_t)(FORECAST_MS / 1000),
                               "count", (json_int_t)ending));
}

/* -- devices ----------------------------------------------------------------------------------- */
static bool state_of(bp_span name, enum bp_lifecycle *ret)
{
    for (int s = BP_ST_WAITING; s < BP_ST_COUNT; s++) {
        if (bp_span_equal(name, bp_span_cstr(bp_device_state_name((enum bp_lifecycle)s)))) {
            *ret = (enum bp_lifecycle)s;
            return true;
        }
    }
    return false;
}

static bool trust_of(bp_span name, int *ret)
{
    static const int tiers[] = {BP_TIER_NONE, BP_TIER_AFFIRMING, BP_TIER_WARNING, BP_TIER_CONTRAINDICATED};
    if (bp_span_equal(name, BP_SPAN_STR("silent"))) {
        *ret = BP_TRUST_SILENT;
        return true;
    }
    for (size_t i = 0; i < sizeof tiers / sizeof *tiers; i++) {
        if (bp_span_equal(name, bp_span_cstr(bp_tier_name((uint64_t)tiers[i])))) {
            *ret = tiers[i];
            return true;
        }
    }
    return false;
}

/* Sets the bits [at, at + n) of an id from a digit. */
static void set_bits(uint8_t *id, size_t at, unsigned n, unsigned v)
{
    for (unsigned i = 0; i < n; i++) {
        const size_t bit = at + i;
        const unsigned one = v >> (n - 1 - i) & 1;
        id[bit / 8] = (uint8_t)((id[bit / 8] & ~(0x80u >> bit % 8)) | (one != 0 ? 0x80u >> bit % 8 : 0));
    }
}

static int base32_digit(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? c - 'A' : c >= 'a' && c <= 'z' ? c - 'a' : c >= '2' && c <= '7' ? c - '2' + 26 : -1;
}

static int hex_digit(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The beginning of an id: 8 or more hex digits from "01", or of the short form with its dashes, at least one
 * group. Everything else is a part of a name. */
static bool id_range(bp_span q, struct bp_device_filter *f)
{
    bool hex = q.n >= 8 && q.n <= 66 && q.p[0] == '0' && q.p[1] == '1';
    bool shorts = q.n >= 6 && q.n <= 23 && q.p[5] == '-';
    memset(f->id_from, 0, sizeof f->id_from);
    memset(f->id_to, 0xff, sizeof f->id_to);
    size_t at = hex ? 0 : 8;
    for (size_t i = 0; i < q.n && (hex || shorts); i++) {
        if (!hex && i % 6 == 5) {
            shorts = q.p[i] == '-';
            continue;
        }
        const int d = hex ? hex_digit(q.p[i]) : base32_digit(q.p[i]);
        hex = hex && d >= 0;
        shorts = shorts && d >= 0;
        if (d >= 0) {
            set_bits(f->id_from, at, hex ? 4 : 5, (unsigned)d);
            set_bits(f->id_to, at, hex ? 4 : 5, (unsigned)d);
            at += hex ? 4u : 5u;
        }
    }
    f->id_from[0] = 1;
    f->id_to[0] = 1;
    return hex || shorts;
}

struct device_query {
    char state[20], trust[20], zone[BP_NAME_MAX + 1], model[BP_NAME_MAX + 1], q[BP_NAME_MAX + 4], after[96];
    struct bp_device_filter f;
    bp_span text; /* of q */
    struct bp_list_at at;
    size_t limit;
};

/* What reads as the beginning of an id may also be part of a name, as "press-2" is. */
static void by_name(struct device_query *d)
{
    d->f.is_id = false;
    d->f.text = d->text;
}

static bp_result read_cursor(struct call *c, struct device_query *d)
{
    bp_span v = BP_SPAN_EMPTY;
    uint64_t n = 0;
    BP_TRY(query_text(c, "after", d->after, sizeof d->after, &v));
    if (v.n == 0) {
        return BP_OK;
    }
    if (d->f.is_id && bp_api_unhex(v, d->at.id, sizeof d->at.id)) {
        d->at.n = 1;
        return BP_OK;
    }
    by_name(d); /* that is what the page before was of */
    if (!bp_api_number(v, &n)) {
        return refuse(c, BP_P_VALUE, "after");
    }
    d->at.n = (int64_t)n;
    return BP_OK;
}

static bp_result read_device_query(struct call *c, struct device_query *d)
{
    bp_span v = BP_SPAN_EMPTY;
    d->f.trust = BP_TRUST_ANY;
    BP_TRY(query_text(c, "state", d->state, sizeof d->state, &v));
    if (v.n > 0 && !state_of(v, &d->f.state)) {
        return refuse(c, BP_P_VALUE, "state");
    }
    BP_TRY(query_text(c, "trust", d->trust, sizeof d->trust, &v));
    if (v.n > 0 && !trust_of(v, &d->f.trust)) {
        return refuse(c, BP_P_VALUE, "trust");
    }
    BP_TRY(query_text(c, "zone", d->zone, sizeof d->zone, &d->f.zone));
    BP_TRY(query_text(c, "model", d->model, sizeof d->model, &d->f.model));
    BP_TRY(query_text(c, "q", d->q, sizeof d->q, &v));
    d->f.is_id = v.n > 0 && id_range(v, &d->f);
    d->text = v;
    d->f.text = d->f.is_id ? BP_SPAN_EMPTY : v;
    BP_TRY(query_limit(c, &d->limit));
    return read_cursor(c, d);
}

static bp_result add_device(void *self, const struct bp_device_item *d)
{
    return append(self, bp_api_summary(d));
}

static bp_result devices(struct call *c)
{
    struct device_query d = {0};
    struct list l = {.array = NULL};
    BP_TRY(read_device_query(c, &d));
    l.array = json_array();
    bp_result r = bp_list_devices(c->r->store, &d.f, &d.at, d.limit, add_device, &l);
    if (!bp_failed(r) && d.f.is_id && json_array_size(l.array) == 0 && !d.at.more) {
        by_name(&d);
        d.at = (struct bp_list_at){0};
        r = bp_list_devices(c->r->store, &d.f, &d.at, d.limit, add_device, &l);
    }
    if (bp_failed(r)) {
        json_decref(l.array);
        return r;
    }
    json_t *next = d.f.is_id && d.at.more ? bp_api_hex(BP_SPAN_OF(d.at.id)) : cursor(d.at.more, (uint64_t)d.at.n);
    return answer_list(c, "devices", &l, next);
}

static bp_result find_device(struct call *c, struct bp_device_item *ret)
{
    uint8_t id[BP_ID_SIZE];
    if (bp_failed(bp_devid_from_hex(c->m.param[0], id))) {
        return refuse(c, BP_P_NOT_FOUND, "there is no such device");
    }
    const bp_result r = bp_list_device(c->r->store, BP_SPAN_OF(id), ret);
    return bp_is(r, BP_E_NOT_FOUND) ? refuse(c, BP_P_NOT_FOUND, "there is no such device") : r;
}

/* -- one device -------------------------------------------------------------------------------- */
/* What a root of each class leaves open; said beside every green tick. */
static const char *root_gap(const char *class)
{
    if (strcmp(class, "discrete") == 0) {
        return "An attacker at the board's bus who is present at every boot";
    }
    if (strcmp(class, "firmware") == 0) {
        return "Faults of the processor's own firmware, in which this TPM runs";
    }
    if (strcmp(class, "virtual") == 0) {
        return "Anything about hardware: whoever controls the host controls this TPM";
    }
    return "Anything about hardware: nobody known vouches for this root";
}

static json_t *tile(const char *name, const char *state, bp_span text, int64_t age_ms, const char *evidence, bp_span gap)
{
    return json_pack("{s:s, s:s, s:o, s:o, s:s, s:o}", "tile", name, "state", state, "text", bp_api_text(text), "age_ms",
                     age_ms < 0 ? json_null() : json_integer(age_ms), "evidence", evidence, "does_not_prove",
                     bp_api_text(gap));
}

/* What each tile of the appraisal rests on. */
static const char *const tile_evidence[BP_TILE_COUNT] = {
    "endorsement certificate and activation", "quote of PCR 0 and the boot log", "quote of PCRs 0-7 and the boot log",
    "quote of PCRs 8-14 and the boot log",    "quote of PCR 10 and the IMA list", "certify statements of the TPM"};

static json_t *certificate_tile(const struct bp_api_reader *r, const struct bp_certificate *cert, const char *off)
{
    const bp_span gap = BP_SPAN_STR("What the device runs now: that is said by the evidence");
    char text[160];
    char until[32];
    if (cert == NULL) {
        return tile("certificate", "none", BP_SPAN_STR("No certificate was issued yet"), -1, "none", gap);
    }
    const bool good = cert->state == BP_CERT_GOOD && cert->not_after_ms > r->now_ms;
    bp_api_time_text(cert->not_after_ms, until);
    (void)snprintf(text, sizeof text, cert->state == BP_CERT_REVOKED ? "Revoked; was issued until %s"
                                      : good                          ? "Issued after an affirming verdict, until %s"
                                                                      : "Ran out at %s",
                   until);
    if (good && cert->verdict == 0) {
        (void)snprintf(text, sizeof text, "Issued without a verdict, until %s", until);
    }
    const char *state = off != NULL ? off : !good ? "contraindicated" : cert->verdict == 0 ? "none" : "affirming";
    return tile("certificate", state, bp_span_cstr(text), r->now_ms - cert->not_before_ms,
                cert->verdict == 0 ? "certificate of the Brownfield CA" : "certificate of the issuing CA", gap);
}

static json_t *session_tile(const struct bp_api_reader *r, const struct bp_device_item *d, const char *off)
{
    const bp_span gap = BP_SPAN_STR("That the device is reachable now: it dials, the server waits");
    if (d->trust.heard_ms == 0) {
        return tile("session", off != NULL ? off : "none", BP_SPAN_STR("Nothing was heard yet"), -1, "none", gap);
    }
    const char *state = off != NULL ? off : d->trust.silent ? "silent" : "affirming";
    return tile("session", state,
                d->trust.silent ? BP_SPAN_STR("Silent: nothing came in time")
                                : BP_SPAN_STR("Evidence comes over mutual TLS with the device's own key"),
                r->now_ms - d->trust.heard_ms, "evidence received over the device's channel", gap);
}

/* What the agent says of the root's lockout value; no quote covers it, and that is said with it. */
static const char *lockout_words(uint8_t state)
{
    switch (state) {
    case BP_ESCROW_SET:
        return "Its agent says: clearing is disabled, the lockout value is in escrow";
    case BP_ESCROW_SEALED:
        return "Its lockout value is in escrow and not set yet";
    case BP_ESCROW_FOREIGN:
        return "Its lockout value was set by somebody else and is not in escrow";
    default:
        return "Not hardened: who has root on the device can clear it";
    }
}

static bp_span with_lockout(bp_span text, uint8_t state, char room[TILE_ROOM])
{
    const int n = snprintf(room, TILE_ROOM, "%.*s. %s", (int)text.n, (const char *)text.p, lockout_words(state));
    return n > 0 && (size_t)n < TILE_ROOM ? bp_span_of(room, (size_t)n) : text;
}

static json_t *chain_json(const struct bp_api_reader *r, const struct bp_device_item *d, const struct bp_appraisal *a,
                          const struct bp_certificate *cert, uint8_t lockout)
{
    static const char *const names[BP_TILE_COUNT] = {"root", "firmware", "boot", "system", "programs", "keys"};
    const bool is_off = d->device.state == BP_ST_REVOKED || d->device.state == BP_ST_RETIRED;
    const char *off = is_off ? "off" : NULL;
    json_t *j = json_array();
    for (size_t i = 0; i < BP_TILE_COUNT; i++) {
        if (a == NULL) {
            (void)json_array_append_new(j, tile(names[i], off != NULL ? off : "none", BP_SPAN_STR("Not appraised yet"), -1,
                                                "none", BP_SPAN_STR("")));
            continue;
        }
        const struct bp_chain_tile *t = &a->tile[i];
        const char *state = off != NULL ? off : d->trust.silent ? "silent" : bp_tier_name(t->tier);
        char room[TILE_ROOM];
        const bp_span text = i == 0 ? with_lockout(t->text, lockout, room) : t->text;
        (void)json_array_append_new(j, tile(names[i], state, text, r->now_ms - d->trust.as_of_ms, tile_evidence[i],
                                            t->does_not_prove));
    }
    (void)json_array_append_new(j, certificate_tile(r, cert, off));
    (void)json_array_append_new(j, session_tile(r, d, off));
    return j;
}

static json_t *findings_json(const struct bp_appraisal *a)
{
    static const char *const effects[] = {"note", "none", "warning", "contraindicated", "refuse"};
    json_t *j = json_array();
    for (uint32_t i = 0; a != NULL && i < a->findings; i++) {
        const struct bp_finding *f = &a->finding[i];
        const struct bp_finding_row row = bp_finding_row(f->id);
        (void)json_array_append_new(j, json_pack("{s:s, s:s, s:o, s:I}", "code", row.code, "effect",
                                                 row.effect <= BP_FX_REFUSE ? effects[row.effect] : "refuse", "text",
                                                 bp_api_text(f->text), "at", (json_int_t)f->at));
    }
    return j;
}

static json_t *vector_json(const struct bp_appraisal *a)
{
    json_t *j = json_object();
    for (int i = 0; i < BP_AR_COUNT; i++) {
        (void)json_object_set_new(j, bp_ar4si_name((enum bp_ar4si)i), json_integer(a == NULL ? 0 : a->vector[i]));
    }
    return j;
}

static json_t *claims_json(const struct bp_appraisal *a)
{
    json_t *j = json_object();
    for (int i = 0; a != NULL && i < BP_C_COUNT; i++) {
        const struct bp_claim *v = &a->claim[i];
        const struct bp_claim_row row = bp_claim_row((enum bp_claim_id)i);
        if (v->is_set) {
            (void)json_object_set_new(j, row.name, row.type == BP_CLAIM_INTEGER ? json_integer(v->number)
                                                   : row.type == BP_CLAIM_TEXT  ? bp_api_text(v->bytes)
                                                                                : bp_api_hex(v->bytes));
        }
    }
    return j;
}

static json_t *releases_json(const struct bp_appraisal *a)
{
    json_t *j = json_array();
    for (uint32_t i = 0; a != NULL && i < a->releases; i++) {
        (void)json_array_append_new(j, bp_api_hex(a->release[i]));
    }
    return j;
}

/* What the device said of itself: texts and numbers of the hello's map. */
static json_t *info_json(bp_span info)
{
    json_t *j = json_object();
    if (info.n == 0 || bp_failed(bp_cbor_check(info)) ) {
        return j;
    }
    bp_rd rd = bp_rd_over(info);
    if (bp_cbor_peek(&rd) != BP_CBOR_MAP) {
        return j;
    }
    const size_t n = bp_cbor_get_map(&rd);
    for (size_t i = 0; i < n && i < 32 && !bp_failed(bp_rd_state(&rd)); i++) {
        char name[BP_NAME_MAX + 1] = "";
        bp_span value = BP_SPAN_EMPTY;
        if (bp_cbor_peek(&rd) == BP_CBOR_TSTR) {
            const bp_span key = bp_cbor_get_tstr(&rd);
            if (key.n < sizeof name && memchr(key.p, 0, key.n) == NULL) {
                memcpy(name, key.p, key.n);
                name[key.n] = 0;
            }
        } else {
            (void)bp_cbor_get_item(&rd);
        }
        if (bp_cbor_peek(&rd) == BP_CBOR_TSTR) {
            value = bp_cbor_get_tstr(&rd);
            if (name[0] != 0) {
                (void)json_object_set_new(j, name, bp_api_text(value));
            }
        } else {
            (void)bp_cbor_get_item(&rd);
        }
    }
    return j;
}

static json_t *key_json(const struct bp_device *d, const struct bp_key *k)
{
    static const char *const roles[] = {"", "ek", "ak", "ldevid", "idevid", "brownfield", "application"};
    const bool is_alias = k->role == BP_ROLE_EK && memcmp(k->spki, d->id + 1, sizeof k->spki) != 0;
    return json_pack("{s:s, s:o, s:o, s:b, s:b}", "role", k->role <= BP_ROLE_APPLICATION ? roles[k->role] : "", "spki",
                     bp_api_hex(BP_SPAN_OF(k->spki)), "since", bp_api_time(k->since_ms), "alias", (int)is_alias, "tombstone",
                     (int)k->tombstone);
}

static json_t *keys_json(bp_store *s, const struct bp_device *d)
{
    struct bp_key *keys = bp_alloc_array(BP_KEYS_PER_DEVICE_MAX, sizeof *keys);
    json_t *j = json_array();
    size_t n = 0;
    if (keys != NULL && !bp_failed(bp_store_key_of(s, d->n, keys, BP_KEYS_PER_DEVICE_MAX, &n))) {
        for (size_t i = 0; i < n; i++) {
            (void)json_array_append_new(j, key_json(d, &keys[i]));
        }
    }
    bp_free(keys);
    return j;
}

static json_t *certificate_json(const struct bp_certificate *cert)
{
    return cert == NULL ? json_null()
                        : json_pack("{s:o, s:s, s:o, s:o, s:o, s:s}", "serial",
                                    bp_api_hex(bp_span_of(cert->serial, cert->serial_n)), "profile", cert->profile, "service",
                                    cert->service[0] == 0 ? json_null() : json_string(cert->service), "not_before",
                                    bp_api_time(cert->not_before_ms), "not_after", bp_api_time(cert->not_after_ms), "state",
                                    cert->state == BP_CERT_GOOD ? "good"
                                    : cert->revoked_reason == 6 ? "suspended"
                                                                : "revoked");
}

#define CERTIFICATES_MAX 16u

/* The newest ones of every kind. */
static json_t *certificates_json(bp_store *s, int64_t device)
{
    struct bp_certificate cert[CERTIFICATES_MAX];
    json_t *j = json_array();
    size_t n = 0;
    if (!bp_failed(bp_store_certs_of(s, device, cert, CERTIFICATES_MAX, &n))) {
        for (size_t i = 0; i < n; i++) {
            (void)json_array_append_new(j, certificate_json(&cert[i]));
        }
    }
    return j;
}

static json_t *quarantine_json(const struct bp_device *d)
{
    return d->state != BP_ST_QUARANTINED
               ? json_null()
               : json_pack("{s:o, s:o, s:b, s:s}", "since", bp_api_time(d->state_ms), "reason",
                           bp_api_str(d->state_reason), "automatic", (int)d->automatic, "before",
                           bp_device_state_name(d->before_quarantine));
}

bp_result bp_api_newest_appraisal(bp_store *s, const struct bp_device_item *d, uint8_t **ret_copy,
                                  struct bp_appraisal *ret, bool *ret_has)
{
    struct bp_verdict_row v;
    *ret_has = false;
    if (d->trust.seq == 0) {
        return BP_OK;
    }
    const bp_result got = bp_store_verdict(s, d->trust.verdict, &v);
    if (bp_is(got, BP_E_NOT_FOUND)) {
        return BP_OK;
    }
    BP_TRY(got);
    uint8_t *copy = bp_alloc(v.appraisal.n);
    if (copy == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    if (v.appraisal.n > 0) {
        memcpy(copy, v.appraisal.p, v.appraisal.n);
    }
    *ret_copy = copy;
    /* One that an older program wrote may name findings that are gone: the page then shows less, not wrong. */
    *ret_has = !bp_failed(bp_appraisal_read(bp_span_of(copy, v.appraisal.n), ret));
    return BP_OK;
}

static void set(json_t *j, const char *name, json_t *v)
{
    (void)json_object_set_new(j, name, v);
}

static void add_device_parts(struct call *c, json_t *j, const struct bp_device_item *d, const struct bp_appraisal *a,
                             const struct bp_certificate *cert)
{
    bp_span info = BP_SPAN_EMPTY;
    struct bp_escrow_row e = {0}; /* none: state 0 */
    BP_IGNORE(bp_store_escrow_newest(c->r->store, d->device.n, 0, &e), "then it shows as not hardened");
    set(j, "source", bp_api_str(d->device.source));
    set(j, "quarantine", quarantine_json(&d->device));
    set(j, "findings", findings_json(a));
    set(j, "vector", vector_json(a));
    set(j, "claims", claims_json(a));
    set(j, "root", json_pack("{s:s, s:s, s:s}", "class", d->device.issuer_class, "kind", d->device.kind, "does_not_prove",
                             root_gap(d->device.issuer_class)));
    set(j, "keys", keys_json(c->r->store, &d->device));
    set(j, "certificate", certificate_json(cert));
    set(j, "certificates", certificates_json(c->r->store, d->device.n));
    set(j, "releases", releases_json(a));
    set(j, "lockout", json_pack("{s:s, s:o}", "state", bp_api_lockout_name(e.state), "since", bp_api_time(e.state_ms)));
    set(j, "chain", chain_json(c->r, d, a, cert, e.state));
    set(j, "info", bp_failed(bp_store_device_info(c->r->store, d->device.n, &info)) ? json_object() : info_json(info));
}

static bp_result device(struct call *c)
{
    struct bp_device_item d;
    struct bp_certificate cert;
    bp_span der = BP_SPAN_EMPTY;
    uint8_t *copy = NULL;
    bool has = false;
    BP_TRY(find_device(c, &d));
    const bp_result got = bp_store_cert_of(c->r->store, d.device.n, &cert, &der);
    if (bp_failed(got) && !bp_is(got, BP_E_NOT_FOUND)) {
        return got;
    }
    struct bp_appraisal *a = bp_alloc(sizeof *a);
    if (a == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    bp_result r = bp_api_newest_appraisal(c->r->store, &d, &copy, a, &has);
    json_t *j = bp_failed(r) ? NULL : bp_api_summary(&d);
    if (j != NULL) {
        add_device_parts(c, j, &d, has ? a : NULL, bp_failed(got) ? NULL : &cert);
        r = answer(c, j);
    } else if (!bp_failed(r)) {
        r = BP_FAIL(NO_MEMORY);
    }
    bp_free(copy);
    bp_free(a);
    return r;
}

/* -- verdicts and bundles ---------------------------------------------------------------------- */
static bp_result add_verdict(void *self, const struct bp_verdict_row *v)
{
    struct list *l = self;
    l->last = v->seq;
    return append(l, json_pack("{s:I, s:o, s:o, s:I, s:s, s:o, s:o, s:o, s:o}", "number", (json_int_t)v->event, "time",
                               bp_api_time(v->at_ms), "as_of", bp_api_time(v->as_of_ms), "seq", (json_int_t)v->seq, "tier",
                               bp_tier_name(v->tier), "reason", bp_api_str(v->reason), "evidence",
                               bp_api_hex(BP_SPAN_OF(v->evidence)), "policy", bp_api_hex(BP_SPAN_OF(v->policy)),
                               "references", bp_api_hex(BP_SPAN_OF(v->references))));
}

static bp_result verdicts(struct call *c)
{
    struct bp_device_item d;
    struct list l = {.array = NULL};
    size_t limit = 0;
    uint64_t before = 0;
    bool given = false;
    BP_TRY(find_device(c, &d));
    BP_TRY(query_number(c, "before", 0, &before, &given));
    BP_TRY(query_limit(c, &limit));
    l.array = json_array();
    const bp_result r = bp_list_verdicts(c->r->store, d.device.n, before, limit, add_verdict, &l);
    if (bp_failed(r)) {
        json_decref(l.array);
        return r;
    }
    return answer_list(c, "verdicts", &l, cursor(l.n == limit, l.last));
}

static bp_result bundle(struct call *c)
{
    struct bp_device_item d;
    uint64_t number = 0;
    bool given = false;
    bp_span bytes = BP_SPAN_EMPTY;
    enum bp_problem p = BP_P_NONE;
    BP_TRY(find_device(c, &d));
    BP_TRY(query_number(c, "verdict", d.trust.verdict, &number, &given));
    if (!given && d.trust.seq == 0) {
        return refuse(c, BP_P_NOT_FOUND, "there is no verdict on this device");
    }
    const bp_result r = bp_api_bundle(c->r, number, d.device.n, &bytes, &p);
    if (bp_is(r, BP_E_DENIED)) {
        return refuse(c, p, p == BP_P_WRONG_STATE ? "no signed head covers it yet" : "");
    }
    BP_TRY(r);
    c->ret->status = 200;
    c->ret->content_type = BP_SPAN_STR(BP_BUNDLE_CONTENT);
    c->ret->body = bytes;
    bp_api_header(c->ret, BP_SPAN_STR("Cache-Control"), BP_SPAN_STR("no-store"));
    bp_api_header(c->ret, BP_SPAN_STR("Content-Disposition"), BP_SPAN_STR("attachment; filename=\"verdict.bundle\""));
    return BP_OK;
}

/* -- positions --------------------------------------------------------------------------------- */
static bp_result positions(struct call *c)
{
    struct list l = {.array = NULL};
    size_t limit = 0;
    size_t n = 0;
    uint64_t after = 0;
    bool given = false;
    BP_TRY(query_number(c, "after", 0, &after, &given));
    BP_TRY(query_limit(c, &limit));
    struct bp_position *p = bp_alloc_array(limit, sizeof *p);
    l.array = json_array();
    bp_result r = p == NULL ? BP_FAIL(NO_MEMORY) : bp_store_positions(c->r->store, (int64_t)after, p, limit, &n);
    for (size_t i = 0; i < n && !bp_failed(r); i++) {
        r = append(&l, bp_api_position(c->r->store, &p[i]));
        l.last = (uint64_t)p[i].n;
    }
    bp_free(p);
    if (bp_failed(r)) {
        json_decref(l.array);
        return r;
    }
    return answer_list(c, "positions", &l, cursor(n == limit, l.last));
}

static bp_result position(struct call *c)
{
    char room[BP_NAME_MAX + 1];
    bp_span tag = BP_SPAN_EMPTY;
    struct bp_position p;
    if (!bp_api_param(c->m.param[0], room, sizeof room, &tag)) {
        return refuse(c, BP_P_NOT_FOUND, "there is no such position");
    }
    const bp_result r = bp_store_position_by_tag(c->r->store, tag, &p);
    if (bp_is(r, BP_E_NOT_FOUND)) {
        return refuse(c, BP_P_NOT_FOUND, "there is no such position");
    }
    BP_TRY(r);
    return answer(c, bp_api_position(c->r->store, &p));
}

/* -- acts of two people ------------------------------------------------------------------------ */
static bp_result actions(struct call *c)
{
    struct list l = {.array = NULL};
    size_t limit = 0;
    size_t n = 0;
    uint64_t before = 0;
    bool given = false;
    BP_TRY(query_number(c, "before", 0, &before, &given));
    BP_TRY(query_limit(c, &limit));
    struct bp_action *a = bp_alloc_array(limit, sizeof *a);
    l.array = json_array();
    bp_result r = a == NULL ? BP_FAIL(NO_MEMORY) : bp_store_actions(c->r->store, (int64_t)before, a, limit, &n);
    for (size_t i = 0; i < n && !bp_failed(r); i++) {
        r = append(&l, bp_api_action(c->r->store, &a[i], c->r->now_ms));
        l.last = (uint64_t)a[i].n;
    }
    bp_free(a);
    if (bp_failed(r)) {
        json_decref(l.array);
        return r;
    }
    return answer_list(c, "actions", &l, cursor(n == limit, l.last));
}

static bp_result action(struct call *c)
{
    struct bp_action a;
    uint8_t id[sizeof a.id];
    if (!bp_api_unhex(c->m.param[0], id, sizeof id)) {
        return refuse(c, BP_P_NOT_FOUND, "there is no such act");
    }
    const bp_result r = bp_store_action(c->r->store, BP_SPAN_OF(id), &a);
    if (bp_is(r, BP_E_NOT_FOUND)) {
        return refuse(c, BP_P_NOT_FOUND, "there is no such act");
    }
    BP_TRY(r);
    return answer(c, bp_api_action(c->r->store, &a, c->r->now_ms));
}

/* -- releases ---------------------------------------------------------------------------------- */
struct ids {
    uint8_t (*id)[BP_DIGEST_SIZE];
    size_t n;
    int64_t last;
};

static bp_result add_id(void *self, int64_t row, const struct bp_release_row *r)
{
    struct ids *l = self;
    memcpy(l->id[l->n++], r->id, BP_DIGEST_SIZE);
    l->last = row;
    return BP_OK;
}

static bp_result add_releases(struct call *c, const struct ids *ids, struct list *l)
{
    for (size_t i = 0; i < ids->n; i++) {
        struct bp_release_row row;
        BP_TRY(bp_store_release(c->r->store, bp_span_of(ids->id[i], BP_DIGEST_SIZE), &row));
        BP_TRY(append(l, bp_api_release(c->r->store, &row, false)));
    }
    return BP_OK;
}

static bp_result releases(struct call *c)
{
    struct list l = {.array = NULL};
    struct ids ids = {.n = 0};
    size_t limit = 0;
    uint64_t after = 0;
    bool given = false;
    BP_TRY(query_number(c, "after", 0, &after, &given));
    BP_TRY(query_limit(c, &limit));
    ids.id = bp_alloc_array(limit, BP_DIGEST_SIZE);
    l.array = json_array();
    bp_result r = ids.id == NULL ? BP_FAIL(NO_MEMORY) : bp_list_releases(c->r->store, (int64_t)after, limit, add_id, &ids);
    if (!bp_failed(r)) {
        r = add_releases(c, &ids, &l);
    }
    bp_free(ids.id);
    if (bp_failed(r)) {
        json_decref(l.array);
        return r;
    }
    return answer_list(c, "releases", &l, cursor(ids.n == limit, (uint64_t)ids.last));
}

static bp_result release(struct call *c)
{
    uint8_t id[BP_DIGEST_SIZE];
    struct bp_release_row row;
    if (!bp_api_unhex(c->m.param[0], id, sizeof id)) {
        return refuse(c, BP_P_NOT_FOUND, "there is no such release");
    }
    const bp_result r = bp_store_release(c->r->store, BP_SPAN_OF(id), &row);
    if (bp_is(r, BP_E_NOT_FOUND)) {
        return refuse(c, BP_P_NOT_FOUND, "there is no such release");
    }
    BP_TRY(r);
    return answer(c, bp_api_release(c->r->store, &row, true));
}

/* -- policy and settings ----------------------------------------------------------------------- */
static json_t *rules_json(const struct bp_policy_doc *d)
{
    json_t *j = json_array();
    for (size_t i = 0; i < d->rules; i++) {
        const struct bp_policy_rule *r = &d->rule[i];
        (void)json_array_append_new(j, json_pack("{s:o, s:o, s:s, s:o, s:o}", "name", bp_api_text(r->name), "when",
                                                 bp_api_text(r->when), "verdict",
                                                 r->says == BP_POLICY_PERMIT ? "permit" : "forbid", "actions",
                                                 bp_api_actions(r->actions), "reason", bp_api_text(r->reason)));
    }
    return j;
}

/* Bytes are told apart from texts, as a document does. */
static json_t *test_claim_json(const struct bp_policy_claim *v)
{
    return v->kind == BP_POLICY_INT    ? json_integer(v->number)
           : v->kind == BP_POLICY_TEXT ? bp_api_text(v->bytes)
                                       : json_pack("{s:o}", "hex", bp_api_hex(v->bytes));
}

static json_t *tests_json(const struct bp_policy_doc *d)
{
    json_t *j = json_array();
    for (size_t i = 0; i < d->tests; i++) {
        const struct bp_policy_test *t = &d->test[i];
        json_t *claims = json_object();
        for (size_t k = 0; k < t->count; k++) {
            (void)json_object_setn_new(claims, (const char *)t->claim[k].name.p, t->claim[k].name.n,
                                       test_claim_json(&t->claim[k]));
        }
        (void)json_array_append_new(j, json_pack("{s:o, s:o, s:s}", "name", bp_api_text(t->name), "claims", claims, "expect",
                                                 t->permitted ? "permit" : "refuse"));
    }
    return j;
}

static bp_result policy(struct call *c)
{
    struct bp_policy_version v = {0};
    const bp_result got = bp_store_policy_newest(c->r->store, &v);
    if (bp_is(got, BP_E_NOT_FOUND)) {
        return answer(c, json_pack("{s:i, s:n, s:s, s:s, s:n, s:[], s:[]}", "version", 0, "digest", "zone", "*", "by", "",
                                   "at", "rules", "tests"));
    }
    BP_TRY(got);
    struct bp_policy_doc *d = bp_alloc(sizeof *d);
    if (d == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    bp_result r = bp_policy_doc_read(v.document, d);
    if (!bp_failed(r)) {
        r = answer(c, json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "version", (json_int_t)v.version, "digest",
                                bp_api_hex(BP_SPAN_OF(v.digest)), "zone", bp_api_str(v.zone), "by", bp_api_str(v.by),
                                "at", bp_api_time(v.at_ms), "rules", rules_json(d), "tests", tests_json(d)));
    }
    bp_free(d);
    return r;
}

static bp_result policy_check(struct call *c)
{
    uint64_t after = 0;
    size_t limit = 0;
    bool given = false;
    json_t *j = NULL;
    BP_TRY(query_number(c, "after", 0, &after, &given));
    BP_TRY(query_limit(c, &limit));
    if (limit > BP_API_CHECK_MAX) {
        return refuse(c, BP_P_VALUE, "limit");
    }
    const bp_result r = bp_api_check(c->r, c->q->body, after, limit, &j, c->why);
    if (bp_is(r, BP_E_DENIED)) {
        return refuse(c, BP_P_VALUE, c->why);
    }
    BP_TRY(r);
    return answer(c, j);
}

static bp_result brownfield(struct call *c)
{
    int64_t on = 0;
    BP_TRY(bp_store_setting(c->r->store, "brownfield", 0, &on));
    return answer(c, json_pack("{s:b}", "enabled", (int)(on != 0)));
}

/* At most so many are ever listed: a label of each is looked up by name. */
#define SERVICES_MAX 1000u
#define SERVICES_PAGE 32u

static bp_result services(struct call *c)
{
    struct bp_service page[SERVICES_PAGE];
    struct list l = {.array = json_array()};
    char after[BP_SERVICE_MAX + 1] = "";
    size_t n = 0;
    if (l.array == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    do {
        bp_result r = bp_store_services(c->r->store, bp_span_cstr(after), page, SERVICES_PAGE, &n);
        for (size_t i = 0; i < n && !bp_failed(r); i++) {
            r = append(&l, bp_api_service(&page[i]));
        }
        if (bp_failed(r)) {
            json_decref(l.array);
            return r;
        }
        if (n > 0) {
            memcpy(after, page[n - 1].name, sizeof after);
        }
    } while (n == SERVICES_PAGE && l.n < SERVICES_MAX);
    return answer(c, json_pack("{s:o}", "services", l.array));
}

static bp_result outage(struct call *c)
{
    int64_t ms = 0;
    BP_TRY(bp_store_setting(c->r->store, "outage-tolerance-ms", BP_OUTAGE_MS, &ms));
    return answer(c, json_pack("{s:I}", "seconds", (json_int_t)(ms / 1000)));
}

static bp_result renewal(struct call *c)
{
    int64_t from = 0;
    int64_t until = 0;
    BP_TRY(bp_store_setting(c->r->store, "renew-from-permille", BP_RENEW_FROM, &from));
    BP_TRY(bp_store_setting(c->r->store, "renew-until-permille", BP_RENEW_UNTIL, &until));
    return answer(c, json_pack("{s:I, s:I}", "from", (json_int_t)(from / 10), "until", (json_int_t)(until / 10)));
}

/* -- the log ----------------------------------------------------------------------------------- */
static bp_result add_event(void *self, const struct bp_event_item *e)
{
    return append(self, bp_api_event(e));
}

static bp_result read_event_query(struct call *c, struct bp_event_filter *f, size_t *ret_limit)
{
    char text[72];
    bp_span v = BP_SPAN_EMPTY;
    uint8_t id[BP_ID_SIZE];
    struct bp_device d;
    uint64_t after = 0;
    bool before_given = false;
    BP_TRY(query_number(c, "before", INT64_MAX, &f->from, &before_given));
    BP_TRY(query_number(c, "after", 0, &after, &f->ascending));
    if (before_given && f->ascending) {
        return refuse(c, BP_P_VALUE, "before and after exclude each other");
    }
    f->from = f->ascending ? after : f->from;
    BP_TRY(query_text(c, "type", text, sizeof text, &v));
    f->type = v.n == 0 ? 0 : bp_event_of_name(v);
    if (v.n > 0 && f->type == 0) {
        return refuse(c, BP_P_VALUE, "type");
    }
    BP_TRY(query_text(c, "device", text, sizeof text, &v));
    if (v.n > 0) {
        if (bp_failed(bp_devid_from_hex(v, id)) || bp_failed(bp_store_device_by_id(c->r->store, BP_SPAN_OF(id), &d))) {
            return refuse(c, BP_P_NOT_FOUND, "there is no such device");
        }
        f->device = d.n;
    }
    return query_limit(c, ret_limit);
}

static bp_result events(struct call *c)
{
    struct bp_event_filter f = {0};
    struct list l = {.array = NULL};
    size_t limit = 0;
    uint64_t last = 0;
    bool more = false;
    BP_TRY(read_event_query(c, &f, &limit));
    l.array = json_array();
    const bp_result r = bp_list_events(c->r->store, &f, limit, &last, &more, add_event, &l);
    if (bp_failed(r)) {
        json_decref(l.array);
        return r;
    }
    return answer_list(c, "events", &l, cursor(more, last));
}

static bp_result find_event(struct call *c, struct bp_event_item *ret)
{
    uint64_t n = 0;
    if (!bp_api_number(c->m.param[0], &n)) {
        return refuse(c, BP_P_NOT_FOUND, "there is no such event");
    }
    const bp_result r = bp_list_event(c->r->store, n, ret);
    return bp_is(r, BP_E_NOT_FOUND) ? refuse(c, BP_P_NOT_FOUND, "there is no such event") : r;
}

static bp_result event(struct call *c)
{
    struct bp_event_item e;
    BP_TRY(find_event(c, &e));
    return answer(c, bp_api_event(&e));
}

static json_t *base64_json(bp_span s)
{
    uint8_t text[BP_BASE64_SIZE(BP_EVENT_MAX)];
    bp_wr wr = bp_wr_over(text, sizeof text);
    bp_base64_write(&wr, s);
    return s.n == 0 || bp_failed(bp_wr_finish(&wr)) ? json_null() : bp_api_text(bp_wr_span(&wr));
}

static bp_result proof(struct call *c)
{
    struct bp_event_item e;
    struct bp_tree_row tree;
    uint8_t hashes[BP_MERKLE_MAX_PROOF * 32];
    uint8_t leaf[32];
    size_t n = 0;
    BP_TRY(find_event(c, &e));
    const uint64_t number = e.number;
    json_t *j = json_pack("{s:I, s:o, s:o}", "number", (json_int_t)number, "event", base64_json(e.body), "digest",
                          bp_api_hex(e.digest));
    json_t *list = json_array();
    bp_result r = bp_log_leaf_at(c->r->store, number, leaf);
    if (!bp_failed(r)) {
        r = bp_store_tree(c->r->store, &tree);
    }
    if (!bp_failed(r)) {
        const uint64_t size = tree.signed_size;
        set(j, "leaf", bp_api_hex(BP_SPAN_OF(leaf)));
        set(j, "size", json_integer((json_int_t)size));
        set(j, "checkpoint", bp_api_text(tree.checkpoint));
        r = number >= size ? refuse(c, BP_P_WRONG_STATE, "no signed head covers it yet")
                           : bp_log_inclusion(c->r->store, c->r->crypto, number, size, hashes, &n);
    }
    for (size_t i = 0; i + 32 <= n && !bp_failed(r); i += 32) {
        (void)json_array_append_new(list, bp_api_hex(bp_span_of(hashes + i, 32)));
    }
    set(j, "proof", list);
    if (bp_failed(r)) {
        json_decref(j);
        return r;
    }
    return answer(c, j);
}

static bp_result checkpoint(struct call *c)
{
    struct bp_tree_row tree;
    BP_TRY(bp_store_tree(c->r->store, &tree));
    if (tree.checkpoint.n == 0) {
        return refuse(c, BP_P_NOT_FOUND, "no head was signed yet");
    }
    c->ret->status = 200;
    c->ret->content_type = BP_SPAN_STR("text/plain; charset=utf-8");
    c->ret->body = bp_api_put(&c->room, tree.checkpoint);
    bp_api_header(c->ret, BP_SPAN_STR("Cache-Control"), BP_SPAN_STR("no-store"));
    return BP_OK;
}

/* N of a tile's address (C2SP tlog-tiles): groups of three digits, all but the last with an x before, and
 * perhaps .p/W at the end. */
static bool tile_address(bp_span s, uint64_t *ret_n, unsigned *ret_width)
{
    uint64_t n = 0;
    uint64_t width = BP_LOG_TILE;
    size_t at = 0;
    for (int group = 0; group < 5; group++) {
        const bool inner = at < s.n && s.p[at] == 'x';
        uint64_t v = 0;
        at += inner ? 1u : 0u;
        if (!bp_api_number(bp_span_sub(s, at, 3), &v)) {
            return false;
        }
        n = n * 1000 + v;
        at += 3;
        if (!inner) {
            break;
        }
        if (at >= s.n || s.p[at++] != '/') {
            return false;
        }
    }
    const bp_span rest = bp_span_sub(s, at, s.n - at);
    if (rest.n > 0 && (rest.n < 4 || !bp_span_equal(bp_span_sub(rest, 0, 3), BP_SPAN_STR(".p/")) ||
                       !bp_api_number(bp_span_sub(rest, 3, rest.n - 3), &width) || width == 0 || width >= BP_LOG_TILE)) {
        return false;
    }
    *ret_n = n;
    *ret_width = (unsigned)width;
    return true;
}

static bp_result log_tile(struct call *c)
{
    struct bp_tree_row tree;
    uint8_t hashes[BP_LOG_TILE][32];
    uint64_t level = 0;
    uint64_t n = 0;
    unsigned width = 0;
    if (!bp_api_number(c->m.param[0], &level) || level > 5 || !tile_address(c->m.param[1], &n, &width)) {
        return refuse(c, BP_P_NOT_FOUND, "there is no such tile");
    }
    BP_TRY(bp_store_tree(c->r->store, &tree));
    /* Only what a signed head covers is given out. */
    if (n > UINT32_MAX || n * BP_LOG_TILE + width > tree.signed_size >> (8 * level)) {
        return refuse(c, BP_P_NOT_FOUND, "there is no such tile");
    }
    BP_TRY(bp_log_tile(c->r->store, (uint8_t)level, n, width, hashes));
    c->ret->status = 200;
    c->ret->content_type = BP_SPAN_STR("application/octet-stream");
    c->ret->body = bp_api_put(&c->room, bp_span_of(hashes, (size_t)width * 32));
    return BP_OK;
}

/* -- dispatch ---------------------------------------------------------------------------------- */
typedef bp_result handler(struct call *c);

static handler *const handlers[BP_API_COUNT] = {
    [BP_API_OVERVIEW] = overview,   [BP_API_DEVICES] = devices,       [BP_API_DEVICE] = device,
    [BP_API_VERDICTS] = verdicts,   [BP_API_BUNDLE] = bundle,         [BP_API_RELEASES] = releases,
    [BP_API_RELEASE] = release,     [BP_API_POLICY] = policy,         [BP_API_EVENTS] = events,
    [BP_API_EVENT] = event,         [BP_API_PROOF] = proof,           [BP_API_CHECKPOINT] = checkpoint,
    [BP_API_SERVICES] = services,   [BP_API_OUTAGE] = outage,           [BP_API_RENEWAL] = renewal,
    [BP_API_TILE] = log_tile,       [BP_API_BROWNFIELD] = brownfield, [BP_API_POLICY_CHECK] = policy_check,
    [BP_API_POSITIONS] = positions, [BP_API_POSITION] = position,     [BP_API_ACTIONS] = actions,
    [BP_API_ACTION] = action,
};

static bp_result handle(struct call *c)
{
    struct bp_identity who;
    bp_api_find(c->q->method, c->q->target, &c->m);
    c->problem = bp_api_admit(c->r->store, c->r->crypto, c->r->now_ms, c->q, &c->m, &who, &c->detail);
    if (c->problem != BP_P_NONE) {
        return BP_FAIL(DENIED);
    }
    return handlers[c->m.id] == NULL ? refuse(c, BP_P_NOT_FOUND, "") : handlers[c->m.id](c);
}

static enum bp_problem problem_of(bp_result r)
{
    return bp_is(r, BP_E_BUSY) ? BP_P_BUSY : bp_is(r, BP_E_NO_SPACE) ? BP_P_TOO_LARGE : BP_P_INTERNAL;
}

void bp_api_read(struct bp_api_reader *r, const struct bp_ex_request *q, struct bp_ex_answer *ret)
{
    struct call c = {.r = r, .q = q, .room = {r->room, r->room_cap, 0}, .ret = ret, .detail = ""};
    *ret = (struct bp_ex_answer){0};
    json_set_alloc_funcs(bp_alloc, bp_free);
    bp_result got = bp_store_snapshot(r->store);
    if (!bp_failed(got)) {
        got = handle(&c);
        bp_store_abort(r->store);
    }
    if (bp_failed(got)) {
        const enum bp_problem p = bp_is(got, BP_E_DENIED) && c.problem != BP_P_NONE ? c.problem : problem_of(got);
        c.room.n = 0;
        bp_api_problem(&c.room, p, c.detail, p == BP_P_BUSY ? 1 : 0, ret);
    }
}
