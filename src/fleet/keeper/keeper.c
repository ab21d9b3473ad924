/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/keeper/keeper - life of the keeper, the table of its addresses, and time. */
#include "fleet/keeper/internal.h"

#include "base/secret.h"
#include "codec/device.h"
#include "codec/ownership.h"
#include "codec/ocsp.h"

#define BP_MODULE PROC

/* -- addresses ----------------------------------------------------------------------------------- */
struct endpoint {
    const char *listener;
    const char *method;
    const char *path; /* ending in a slash: and all below it */
    const char *content_type; /* NULL: no body is expected */
    size_t body_max;
    bool is_device; /* needs a certificate of the issuing CA */
    enum { LABEL_NEVER, LABEL_MAY, LABEL_MUST } label; /* EST: between the prefix and the operation */
    bp_job_fn *handle;
};

#define EST     "/.well-known/est/"
#define PKCS_10 "application/pkcs10"
#define ADDRESS_ROOM 64u

static const struct endpoint table[] = {
    {"enrol", "POST", "/bedplate/v1/hello", BP_MEDIA_CBOR, BP_KEEPER_HELLO_MAX, false, LABEL_NEVER, bp_k_hello},
    {"enrol", "POST", "/bedplate/v1/attest", BP_MEDIA_CMW, BP_KEEPER_EVIDENCE_MAX, false, LABEL_NEVER,
     bp_k_attest_first},
    {"enrol", "GET", "/bedplate/v1/anchor", NULL, 0, false, LABEL_NEVER, bp_k_anchor},
    {"enrol", "GET", "/bedplate/v1/ownership", NULL, 0, false, LABEL_NEVER, bp_k_ownership},
    {"enrol", "POST", "/bedplate/v1/left", BP_MEDIA_CBOR, BP_OWNER_ERASURE_MAX, false, LABEL_NEVER, bp_k_left},
    {"enrol", "GET", EST "cacerts", NULL, 0, false, LABEL_MAY, bp_k_est_cacerts},
    {"enrol", "POST", EST "simpleenroll", PKCS_10, BP_KEEPER_REQUEST_MAX, false, LABEL_MAY, bp_k_est_enrol},
    {"enrol", "POST", EST "simplereenroll", PKCS_10, BP_KEEPER_REQUEST_MAX, false, LABEL_MAY, bp_k_est_reenrol},
    {"device", "GET", "/bedplate/v1/nonce", NULL, 0, true, LABEL_NEVER, bp_k_nonce_get},
    {"device", "POST", "/bedplate/v1/attest", BP_MEDIA_CMW, BP_KEEPER_EVIDENCE_MAX, true, LABEL_NEVER,
     bp_k_attest_device},
    {"enrol", "GET", EST "csrattrs", NULL, 0, false, LABEL_MAY, bp_k_est_csrattrs},
    {"enrol", "GET", EST "nonce", NULL, 0, true, LABEL_MAY, bp_k_est_nonce},
    {"enrol", "POST", EST "nonce", BP_MEDIA_FRESHNESS, BP_KEEPER_FRESHNESS_MAX, true, LABEL_MAY, bp_k_est_nonce},
    {"device", "GET", EST "csrattrs", NULL, 0, true, LABEL_MAY, bp_k_est_csrattrs},
    {"device", "GET", EST "nonce", NULL, 0, true, LABEL_MAY, bp_k_est_nonce},
    {"device", "POST", EST "nonce", BP_MEDIA_FRESHNESS, BP_KEEPER_FRESHNESS_MAX, true, LABEL_MAY, bp_k_est_nonce},
    {"device", "GET", EST "cacerts", NULL, 0, true, LABEL_MAY, bp_k_est_cacerts},
    {"device", "POST", EST "simpleenroll", PKCS_10, BP_KEEPER_REQUEST_MAX, true, LABEL_MUST, bp_k_est_enrol},
    {"device", "POST", EST "simplereenroll", PKCS_10, BP_KEEPER_REQUEST_MAX, true, LABEL_MAY, bp_k_est_reenrol},
    {"device", "GET", "/bedplate/v1/log/certificate", NULL, 0, true, LABEL_NEVER, bp_k_log_certificate},
    {"device", "GET", "/bedplate/v1/log/checkpoint", NULL, 0, true, LABEL_NEVER, bp_k_checkpoint},
    {"device", "GET", "/bedplate/v1/log/consistency", NULL, 0, true, LABEL_NEVER, bp_k_consistency},
    {"device", "GET", "/bedplate/v1/log/break", NULL, 0, true, LABEL_NEVER, bp_k_log_break},
    {"device", "GET", "/bedplate/v1/recovery", NULL, 0, true, LABEL_NEVER, bp_k_recovery},
    {"device", "POST", "/bedplate/v1/escrow", BP_MEDIA_CBOR, BP_ESCROW_MAX, true, LABEL_NEVER, bp_k_escrow},
    {"status", "GET", "/crl/issuing-#.crl", NULL, 0, false, LABEL_NEVER, bp_k_crl},
    {"status", "GET", "/crl/root-0.crl", NULL, 0, false, LABEL_NEVER, bp_k_root_crl},
    {"status", "GET", BP_K_REVOKED_PATH, NULL, 0, false, LABEL_NEVER, bp_k_revoked},
    {"status", "POST", BP_K_OCSP_PATH, "application/ocsp-request", BP_OCSP_REQUEST_MAX, false, LABEL_NEVER,
     bp_k_ocsp_post},
    {"status", "GET", BP_K_OCSP_PATH "/", NULL, 0, false, LABEL_NEVER, bp_k_ocsp_get},
    {"status", "GET", "/ca/issuing.cer", NULL, 0, false, LABEL_NEVER, bp_k_issuing},
    {"status", "GET", "/ca/issuing-#.cer", NULL, 0, false, LABEL_NEVER, bp_k_issuing_of},
    {"status", "GET", "/ca/root.cer", NULL, 0, false, LABEL_NEVER, bp_k_root},
};

#define TABLE_N (sizeof table / sizeof table[0])

/* Trust, a certificate, or word that one is good: not while recovering. */
static bool grants(bp_job_fn *handle)
{
    static bp_job_fn *const all[] = {bp_k_hello,      bp_k_attest_first, bp_k_attest_device, bp_k_est_enrol,
                                     bp_k_est_reenrol, bp_k_crl,         bp_k_ocsp_post,     bp_k_ocsp_get};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (all[i] == handle) {
            return true;
        }
    }
    return false;
}

static bool is(bp_span s, const char *text)
{
    return bp_span_equal(s, bp_span_cstr(text));
}

static bp_span path_of(bp_span target)
{
    for (size_t i = 0; i < target.n; i++) {
        if (target.p[i] == '?') {
            return bp_span_sub(target, 0, i);
        }
    }
    return target;
}

/* Whether a path is a row's, where "#" stands for one to three digits. */
static bool is_path(bp_span path, const char *want)
{
    const char *mark = strchr(want, '#');
    if (mark == NULL) {
        const size_t n = strlen(want);
        const bool is_below = want[n - 1] == '/' && path.n > n;
        return is(is_below ? bp_span_sub(path, 0, n) : path, want);
    }
    const size_t head = (size_t)(mark - want);
    const bp_span tail = bp_span_cstr(mark + 1);
    if (path.n < head + 1 + tail.n || path.n > head + 3 + tail.n || memcmp(path.p, want, head) != 0 ||
        !bp_span_equal(bp_span_sub(path, path.n - tail.n, tail.n), tail)) {
        return false;
    }
    for (size_t i = head; i < path.n - tail.n; i++) {
        if (path.p[i] < '0' || path.p[i] > '9') {
            return false;
        }
    }
    return true;
}

/* The label of an EST address, EST LABEL "/" OPERATION, and the address without it, which stands in ret. */
static bp_span take_label(bp_span path, char ret[ADDRESS_ROOM], bp_span *ret_path)
{
    const size_t skip = sizeof EST - 1;
    *ret_path = path;
    if (path.n <= skip || memcmp(path.p, EST, skip) != 0) {
        return BP_SPAN_EMPTY;
    }
    const bp_span rest = bp_span_sub(path, skip, path.n - skip);
    const uint8_t *slash = memchr(rest.p, '/', rest.n);
    const size_t n = slash == NULL ? 0 : (size_t)(slash - rest.p);
    if (n == 0 || n > BP_NAME_MAX || rest.n - n + skip > ADDRESS_ROOM) {
        return BP_SPAN_EMPTY;
    }
    memcpy(ret, EST, skip);
    memcpy(ret + skip, slash + 1, rest.n - n - 1);
    *ret_path = bp_span_of((const uint8_t *)ret, skip + rest.n - n - 1);
    return bp_span_sub(rest, 0, n);
}

static bool is_labelled_so(const struct endpoint *e, bp_span label)
{
    return label.n > 0 ? e->label != LABEL_NEVER : e->label != LABEL_MUST;
}

/* Media types compare without case and without parameters (RFC 9110 section 8.3.1). */
static bool is_type(bp_span got, const char *want)
{
    const size_t n = strlen(want);
    if (got.n < n || (got.n > n && got.p[n] != ';' && got.p[n] != ' ')) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        const uint8_t c = got.p[i];
        if ((char)(c >= 'A' && c <= 'Z' ? c + 32 : c) != want[i]) {
            return false;
        }
    }
    return true;
}

static enum bp_problem admit(const struct bp_keeper *k, const struct endpoint *e, const struct bp_ex_request *q)
{
    if (e->is_device && (q->peer_spki.n != BP_DIGEST_SIZE || !is(q->peer_issuer, "device"))) {
        return BP_P_WRONG_ISSUER;
    }
    if (q->body.n > e->body_max) {
        return BP_P_TOO_LARGE;
    }
    if (grants(e->handle) && bp_k_is_recovering(k)) {
        return BP_P_RECOVERING;
    }
    return e->content_type != NULL && !is_type(q->content_type, e->content_type) ? BP_P_MEDIA_TYPE
                                                                                 : BP_P_NONE;
}

static void dispatch(struct bp_job *j)
{
    char room[ADDRESS_ROOM];
    bp_span path;
    bool known = false;
    j->label = take_label(path_of(j->q.target), room, &path);
    for (size_t i = 0; i < TABLE_N; i++) {
        const struct endpoint *e = &table[i];
        if (!is(j->q.listener, e->listener) || !is_path(path, e->path) || !is_labelled_so(e, j->label)) {
            continue;
        }
        known = true;
        if (!is(j->q.method, e->method)) {
            continue;
        }
        const enum bp_problem problem = admit(j->k, e, &j->q);
        if (problem != BP_P_NONE) {
            j->retry_after_s = problem == BP_P_RECOVERING ? BP_K_RECOVERING_S : 0;
            bp_k_refuse(j, problem, NULL);
        } else {
            e->handle(j);
        }
        return;
    }
    if (!known && bp_k_route(j)) {
        return;
    }
    bp_k_refuse(j, known ? BP_P_METHOD : BP_P_NOT_FOUND, NULL);
}

/* -- requests ------------------------------------------------------------------------------------ */
static void reply_empty(struct bp_keeper *k, uint64_t id, enum bp_problem status)
{
    const uint8_t nothing = 0xa0;
    k->count.refused++;
    k->port.reply(k->port.self, id, status, bp_span_of(&nothing, 1));
}

static struct bp_job *take_in(struct bp_keeper *k, uint64_t id, bp_span body)
{
    struct bp_job *j = bp_alloc(sizeof *j);
    uint8_t *copy = bp_alloc(body.n);
    if (j == NULL || copy == NULL) {
        bp_free(j);
        bp_free(copy);
        return NULL;
    }
    if (body.n > 0) {
        memcpy(copy, body.p, body.n);
    }
    *j = (struct bp_job){.k = k, .id = id, .body = copy, .body_n = body.n, .next = k->open};
    if (k->open != NULL) {
        k->open->prev = j;
    }
    k->open = j;
    k->open_bytes += body.n;
    k->count.open++;
    return j;
}

void bp_keeper_http(struct bp_keeper *k, uint64_t id, bp_span body)
{
    k->count.requests++;
    if (k->is_ending || k->count.open >= BP_KEEPER_OPEN_MAX ||
        body.n > BP_KEEPER_BYTES_MAX - k->open_bytes) {
        k->count.busy++;
        reply_empty(k, id, BP_P_BUSY);
        return;
    }
    struct bp_job *j = take_in(k, id, body);
    if (j == NULL) {
        k->count.busy++;
        reply_empty(k, id, BP_P_BUSY);
        return;
    }
    const bp_result r = bp_ex_request_read(bp_span_of(j->body, j->body_n), &j->q);
    if (bp_failed(r)) {
        /* A front of ours sends no such thing; its own table says how it answers its peer. */
        bp_k_drop(j);
        reply_empty(k, id, BP_P_MALFORMED);
        return;
    }
    bp_k_look_at_clock(k);
    k->registry.now_ms = bp_k_now(k);
    dispatch(j);
}

/* -- time ---------------------------------------------------------------------------------------- */
void bp_keeper_turn(struct bp_keeper *k)
{
    const int64_t now = bp_k_mono(k);
    k->wake_at = INT64_MAX;
    if (bp_store_is_open(k->store) &&
        (now - k->group_since >= BP_KEEPER_GROUP_MS || k->group_answers >= k->count.open ||
         k->group_acts >= BP_KEEPER_GROUP_MAX)) {
        bp_k_commit(k);
    }
    if (now >= k->tick_at) {
        k->tick_at = now + BP_K_TICK_MS;
        bp_k_tick(k);
        bp_k_commit(k);
    }
    bp_k_publish(k);
    if (k->crl_wanted) {
        bp_k_crl_make(k);
        bp_k_wake(k, k->crl_retry > now ? k->crl_retry - now : BP_K_TICK_MS);
    }
    if (bp_store_is_open(k->store)) {
        bp_k_wake(k, k->group_since + BP_KEEPER_GROUP_MS - now);
    }
    bp_k_wake(k, k->tick_at - now);
}

void bp_keeper_joined(struct bp_keeper *k, enum bp_keeper_to to)
{
    switch (to) {
    case BP_TO_APPRAISER:
    case BP_TO_APPRAISERS:
        bp_k_send_references(k);
        break;
    case BP_TO_SIGNER_LOG:
        bp_k_ask_head(k);
        break;
    case BP_TO_SIGNER_CA:
        k->crl_retry = 0;
        k->crl_wanted |= !k->crl_known;
        bp_k_crl_make(k);
        break;
    case BP_TO_FRONTS:
        bp_k_send_deny_all(k);
        bp_k_send_crl(k);
        bp_k_send_state(k, !k->is_ending);
        break;
    case BP_TO_OPERATE:
        break;
    }
}

bool bp_keeper_finish(struct bp_keeper *k)
{
    if (!k->is_ending) {
        k->is_ending = true;
        bp_k_send_state(k, false);
    }
    bp_k_commit(k);
    return k->open == NULL && !k->is_appending && !k->crl_open;
}

struct bp_keeper_count bp_keeper_count(const struct bp_keeper *k)
{
    return k->count;
}

bp_store *bp_keeper_store(struct bp_keeper *k)
{
    return k->store;
}

/* -- life ---------------------------------------------------------------------------------------- */
static bp_result note_start(void *self)
{
    struct bp_keeper *k = self;
    const struct bp_event_detail detail[] = {
        {BP_SPAN_STR("version"), BP_VAL_TEXT, 0, bp_span_cstr(k->cfg.version)}};
    return bp_k_event(k, BP_EV_STARTED, NULL, detail, 1);
}

/* A new store begins with the policy that comes with the program; people publish the next one. */
static bp_result first_policy(void *self)
{
    struct bp_keeper *k = self;
    char why[BP_POLICY_REASON_MAX + 1];
    struct bp_policy_version p = {.version = 1, .zone = "*", .by = "bedplate", .at_ms = bp_k_now(k)};
    size_t n = 0;
    BP_TRY(bp_policy_from_yaml(bp_policy_default(), k->room, BP_POLICY_DOCUMENT_MAX, &n, why));
    p.document = bp_span_of(k->room, n);
    BP_TRY(bp_hash(k->crypto, BP_HASH_SHA256, p.document, p.digest));
    BP_TRY(bp_store_policy_add(k->store, &p));
    const struct bp_event_detail detail[] = {
        {BP_SPAN_STR("version"), BP_VAL_INT, 1, BP_SPAN_EMPTY},
        {BP_SPAN_STR("digest"), BP_VAL_BYTES, 0, BP_SPAN_OF(p.digest)}};
    k->effects.policy = true;
    return bp_k_event(k, BP_EV_POLICY_PUBLISHED, NULL, detail, 2);
}

static bp_result begin_policy(struct bp_keeper *k)
{
    struct bp_policy_version p = {0};
    if (k->cfg.policy == NULL) {
        return BP_OK;
    }
    const bp_result got = bp_store_policy_newest(k->store, &p);
    if (!bp_is(got, BP_E_NOT_FOUND)) {
        return got;
    }
    const bp_result r = bp_k_act(k, first_policy, k);
    return bp_is(r, BP_E_FULL) ? BP_OK : r; /* nothing is trusted until it can be written */
}

static bp_result start(struct bp_keeper *k)
{
    char needs[64];
    BP_TRY(bp_store_open(k->cfg.store_path, BP_STORE_WRITE, k->cfg.version, needs, &k->store));
    BP_TRY(bp_log_open(&k->log, k->store, k->crypto));
    k->log.appended = bp_k_stream_note;
    k->log.self = k;
    k->registry = (struct bp_registry){.store = k->store,
                                       .log = &k->log,
                                       .crypto = k->crypto,
                                       .entropy = &k->entropy,
                                       .effects = &k->effects,
                                       .now_ms = bp_k_now(k)};
    memcpy(k->registry.owner_secret, k->cfg.owner_secret, sizeof k->registry.owner_secret);
    BP_TRY(bp_k_settings_load(k));
    BP_TRY(bp_k_policy_load(k));
    BP_TRY(bp_k_publish_load(k));
    BP_TRY(bp_k_recovery_load(k));
    bp_k_watch_start(k);
    bp_k_look_back(k);
    /* On a full disk the server still starts: it answers, and says that it is full. */
    BP_IGNORE(bp_k_act(k, note_start, k), "counted as full; the event of recovery tells of it");
    bp_k_note_issuers(k);
    BP_TRY(begin_policy(k));
    bp_k_commit(k);
    bp_k_ask_head(k);
    return BP_OK;
}

bp_result bp_keeper_new(const struct bp_keeper_config *cfg, const struct bp_keeper_port *port,
                        const struct bp_clock *clock, const struct bp_entropy *entropy,
                        struct bp_crypto *crypto, struct bp_keeper **ret)
{
    struct bp_keeper *k = bp_alloc(sizeof *k);
    if (k == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    k->cfg = *cfg;
    k->port = *port;
    k->clock = *clock;
    k->entropy = *entropy;
    k->crypto = crypto;
    k->answered_end = &k->answered;
    k->signing_end = &k->signing;
    k->wake_at = INT64_MAX;
    k->day[0] = -1;
    k->day[1] = -1;
    k->out = bp_alloc(BP_MSG_BODY_MAX);
    k->room = bp_alloc(BP_K_ROOM);
    k->stream_text = bp_alloc(BP_K_STREAM_ROOM);
    bp_result r = BP_FAIL(NO_MEMORY);
    if (k->out != NULL && k->room != NULL && k->stream_text != NULL) {
        r = start(k);
    }
    if (bp_failed(r)) {
        bp_keeper_free(k);
        return r;
    }
    *ret = k;
    return BP_OK;
}

void bp_keeper_free(struct bp_keeper *k)
{
    if (k == NULL) {
        return;
    }
    while (k->open != NULL) {
        bp_k_drop(k->open);
    }
    bp_free(k->batch);
    bp_k_contacts_free(k);
    bp_k_ocsp_free(k);
    bp_store_free(k->store);
    bp_free(k->stream_text);
    bp_free(k->room);
    bp_free(k->out);
    bp_free_secret(k, sizeof *k);
}
