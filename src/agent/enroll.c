/* SPDX-License-Identifier: Apache-2.0 */
/* agent/enroll - from nothing to a certificate: anchor, attestation key, hello, activation, first evidence, EST, and a
 * call with what came out; then the root's lockout value goes into escrow (docs/protocol/device.md).
 *
 * Each step is stored before the next one counts on it, so that an enrolment that was cut off goes on with the same
 * attestation key; done again when it is complete, it only makes the call. */
#include "agent/agent.h"
#include "agent/owner.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/secret.h"
#include "core/binding.h"
#include "net/tls.h"
#include "platform/alloc.h"
#include "platform/linux/clock.h"
#include "platform/linux/entropy.h"
#include "platform/linux/file.h"

#define BP_MODULE AGENT

#define ENROL_PORT     8444u
#define DEVICE_PORT    8443u
#define HELLO_ROOM     (32u << 10)
#define TRY_AGAIN_S    5u
#define RETRY_LEAST_S  1u
#define RETRY_MOST_S   60u
#define DMI_FOLDER     "/sys/class/dmi/id/"
#define DMI_MAX        4096u

/* What the agent can do beyond the first version; ascending. */
static const char *const features[] = {"ima-delta", "log-head"};

struct contact {
    struct bp_agent *a;
    struct bp_remote *server; /* enrol listener */
    const char *code;         /* NULL: none, or it has served */
    struct bp_rot_identity ids[BP_ROT_IDENTITIES];
    uint32_t id_count; /* certified ones */
    struct bp_agent_slot slot; /* the key that is to get a certificate */
    enum bp_slot_name at;
    bool port_given;
    int64_t until_ms; /* by the monotonic clock: no new attempt after it */
    char told[1024]; /* as long as what is said */
};

/* --- options --- */

/* https://HOST[:PORT], HOST a name, an address, or an IPv6 address in brackets. */
static bool parse_url(const char *url, char *host, size_t cap, uint16_t *ret_port)
{
    static const char scheme[] = "https://";
    if (strncmp(url, scheme, sizeof scheme - 1) != 0) {
        return false;
    }
    const char *at = url + sizeof scheme - 1;
    const bool bracket = *at == '[';
    at += bracket ? 1 : 0;
    const size_t n = strcspn(at, bracket ? "]" : ":/");
    if (n == 0 || n >= cap || (bracket && at[n] != ']')) {
        return false;
    }
    memcpy(host, at, n);
    host[n] = '\0';
    at += n + (bracket ? 1 : 0);
    if (*at == '\0' || strcmp(at, "/") == 0) {
        *ret_port = ENROL_PORT;
        return true;
    }
    char *end = NULL;
    const unsigned long port = *at == ':' ? strtoul(at + 1, &end, 10) : 0;
    *ret_port = (uint16_t)port;
    return port >= 1 && port <= UINT16_MAX && at[1] >= '0' && at[1] <= '9' && (*end == '\0' || strcmp(end, "/") == 0);
}

static bool set_text(char *ret, size_t cap, const char *text)
{
    const size_t n = text != NULL ? strlen(text) : 0;
    if (n >= cap) {
        return false;
    }
    if (n > 0) {
        memcpy(ret, text, n);
    }
    ret[n] = '\0';
    return true;
}

const char *bp_ek_name(uint32_t template_id)
{
    static const char *const names[] = {"all", "rsa-2048", "p-256", "p-384"};
    return template_id <= BP_TEMPLATE_H3 ? names[template_id] : "unknown";
}

static bool take_ek(struct bp_agent_device *d, const char *name)
{
    for (uint32_t id = 0; id <= BP_TEMPLATE_H3; id++) {
        if (strcmp(name, bp_ek_name(id)) == 0) {
            d->ek_template = id;
            return true;
        }
    }
    return false;
}

static enum bp_outcome take_options(struct bp_agent *a, const struct bp_enroll *e)
{
    struct bp_agent_device *d = &a->dev;
    if (!parse_url(e->server, d->host, sizeof d->host, &d->enrol_port)) {
        return bp_agent_say(a, BP_USAGE, "--server %s: not of the form https://HOST[:PORT].", e->server);
    }
    if (!set_text(d->connect, sizeof d->connect, e->connect) || !set_text(d->root, sizeof d->root, e->root) ||
        !set_text(d->boot_log, sizeof d->boot_log, e->boot_log) ||
        !set_text(d->ima_log, sizeof d->ima_log, e->ima_log)) {
        return bp_agent_say(a, BP_USAGE, "an option is longer than %u bytes.", BP_STATE_TEXT_MAX - 1);
    }
    if (e->device_port != 0) {
        d->device_port = e->device_port;
    }
    if (e->ek != NULL && !take_ek(d, e->ek)) {
        return bp_agent_say(a, BP_USAGE, "--ek %s: not one of all, rsa-2048, p-256, p-384.", e->ek);
    }
    return BP_DONE;
}

/* --- anchor --- */

static enum bp_outcome anchor_from_file(struct bp_agent *a, const char *path)
{
    uint8_t *p = NULL;
    size_t n = 0;
    size_t count = 0;
    bp_span cert;
    bp_result r = bp_file_read(path, BP_FILE_PUBLIC, 16384, &p, &n);
    if (!bp_failed(r)) {
        r = bp_tls_read_certs(bp_span_of(p, n), a->dev.anchor, sizeof a->dev.anchor, &cert, 1, &count);
    }
    if (!bp_failed(r)) {
        memmove(a->dev.anchor, cert.p, cert.n);
        a->dev.anchor_n = cert.n;
    }
    bp_free(p);
    return bp_failed(r) ? bp_agent_say(a, BP_USAGE, "--anchor %s: no root certificate there: %s.", path,
                                       bp_error_text(bp_error_of(r)))
                        : BP_DONE;
}

bool bp_agent_hash_of_text(const char *text, uint8_t ret[BP_SHA256_SIZE])
{
    if (strlen(text) != 2 * BP_SHA256_SIZE) {
        return false;
    }
    for (size_t i = 0; i < 2 * BP_SHA256_SIZE; i++) {
        const char c = text[i];
        const int v = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (v < 0) {
            return false;
        }
        ret[i / 2] = (uint8_t)(i % 2 == 0 ? v << 4 : ret[i / 2] | v);
    }
    return true;
}

/* The server shows its root; what counts is that it has the hash that a person was given. */
static enum bp_outcome anchor_from_hash(struct bp_agent *a, const char *hex)
{
    uint8_t want[BP_SHA256_SIZE];
    uint8_t got[BP_SHA256_SIZE];
    struct bp_remote *server = NULL;
    struct bp_reply reply;
    if (!bp_agent_hash_of_text(hex, want)) {
        return bp_agent_say(a, BP_USAGE, "--anchor sha256:%s: not 64 lower-case hex digits.", hex);
    }
    const struct bp_remote_spec spec = {
        .host = a->dev.host, .connect = a->dev.connect, .port = a->dev.enrol_port, .anchor_sha256 = want, .clock = &a->running};
    bp_result r = bp_remote_new(&spec, &server);
    if (!bp_failed(r)) {
        r = bp_remote_call(server, "/bedplate/v1/anchor", NULL, BP_SPAN_EMPTY, &reply);
    }
    enum bp_outcome o = BP_DONE;
    if (bp_failed(r)) {
        o = bp_agent_say_call(a, r, server, "asking for the root certificate");
    } else if (reply.status != 200) {
        o = bp_agent_say_reply(a, &reply, "asking for the root certificate");
    } else if (reply.body.n > sizeof a->dev.anchor || bp_failed(bp_hash(a->crypto, BP_HASH_SHA256, reply.body, got)) ||
               memcmp(got, want, sizeof got) != 0) {
        o = bp_agent_say(a, BP_REFUSED, "the root certificate of %s is not the one of --anchor. Check the invitation.",
                         a->dev.host);
    } else {
        memcpy(a->dev.anchor, reply.body.p, reply.body.n);
        a->dev.anchor_n = reply.body.n;
    }
    bp_remote_free(server);
    return o;
}

static enum bp_outcome take_anchor(struct bp_agent *a, const char *anchor)
{
    static const char prefix[] = "sha256:";
    return strncmp(anchor, prefix, sizeof prefix - 1) == 0 ? anchor_from_hash(a, anchor + sizeof prefix - 1)
                                                           : anchor_from_file(a, anchor);
}

/* How the server is known: by the chain of ownership where the device has a maker's anchor, else by what a person was given;
 * where there is both, both must say the same. */
static enum bp_outcome know_server(struct bp_agent *a, const struct bp_enroll *e)
{
    uint8_t owners[BP_SHA256_SIZE];
    uint8_t given[BP_SHA256_SIZE];
    bool is_proven = false;
    enum bp_outcome o = bp_agent_prove_owner(a, e->maker, e->is_present, &is_proven);
    if (o != BP_DONE || e->anchor == NULL) {
        return o == BP_DONE && !is_proven ? bp_agent_say(a, BP_USAGE, "--anchor is missing: this device has no maker's anchor "
                                                                      "by which it could tell its owner's server.")
                                          : o;
    }
    bp_result r = is_proven ? bp_hash(a->crypto, BP_HASH_SHA256, bp_span_of(a->dev.anchor, a->dev.anchor_n), owners) : BP_OK;
    o = bp_failed(r) ? bp_agent_say(a, BP_FAILED, "hashing the root certificate failed.") : take_anchor(a, e->anchor);
    if (o != BP_DONE || !is_proven) {
        return o;
    }
    r = bp_hash(a->crypto, BP_HASH_SHA256, bp_span_of(a->dev.anchor, a->dev.anchor_n), given);
    return bp_failed(r) || memcmp(owners, given, sizeof owners) != 0
               ? bp_agent_say(a, BP_REFUSED, "--anchor is not the root that the owner of this device vouches for.")
               : BP_DONE;
}

/* --- keys --- */

static bool is_shown(const struct bp_agent *a, const struct bp_rot_identity *id)
{
    return id->cert_n != 0 && (a->dev.ek_template == 0 || a->dev.ek_template == id->template_id);
}

/* Every certified key, so that the server knows the chip by each; only one when that was asked for. */
static enum bp_outcome read_identities(struct contact *c)
{
    struct bp_agent *a = c->a;
    struct bp_rot_trace trace = {0, ""};
    bp_result r = BP_OK;
    for (uint32_t i = 0; i < BP_ROT_IDENTITIES && !bp_failed(r); i++) {
        struct bp_rot_identity *id = &c->ids[c->id_count];
        r = a->rot->ops->identity(a->rot, i, id, &trace);
        c->id_count += !bp_failed(r) && is_shown(a, id) ? 1u : 0u;
    }
    if (bp_failed(r) && !bp_is(r, BP_E_NOT_FOUND)) {
        return bp_agent_say_root(a, r, &trace, "reading the endorsement keys");
    }
    if (c->id_count == 0 && a->dev.ek_template != 0) {
        return bp_agent_say(a, BP_REFUSED, "%s: this chip has no certified endorsement key %s. Leave --ek away.", a->dev.root,
                            bp_ek_name(a->dev.ek_template));
    }
    return c->id_count != 0 ? BP_DONE
                            : bp_agent_say(a, BP_REFUSED,
                                           "%s: this chip has no certified endorsement key, so nobody can tell that it "
                                           "is genuine. Ask its maker for the certificate.",
                                           a->dev.root);
}

/* The attestation key that is stored, if it hangs under a key that is shown and the root still takes it; else a new one,
 * stored before it is shown. */
static enum bp_outcome ready_attestation_key(struct contact *c)
{
    struct bp_agent *a = c->a;
    struct bp_rot_trace trace = {0, ""};
    const uint32_t template_id = c->ids[0].template_id;
    bool hangs = false;
    for (uint32_t i = 0; i < c->id_count; i++) {
        hangs = hangs || c->ids[i].template_id == a->dev.ak_template;
    }
    if (a->dev.ak.n != 0 && hangs &&
        !bp_failed(a->rot->ops->key_load(a->rot, bp_span_of(a->dev.ak.v, a->dev.ak.n), &trace))) {
        return BP_DONE;
    }
    bp_result r = bp_random(&a->entropy, a->dev.ak_auth, sizeof a->dev.ak_auth);
    if (!bp_failed(r)) {
        r = a->rot->ops->key_make(a->rot, BP_ROT_KEY_ATTEST, template_id, BP_SPAN_OF(a->dev.ak_auth), &a->dev.ak, &trace);
    }
    if (bp_failed(r)) {
        return bp_agent_say_root(a, r, &trace, "making the attestation key");
    }
    a->dev.ak_template = template_id;
    return BP_DONE;
}

static enum bp_outcome save_device(struct bp_agent *a)
{
    const bp_result r = bp_state_device_save(a->state, &a->dev);
    return bp_failed(r) ? bp_agent_say(a, BP_FAILED, "the state folder cannot be written: %s. Check its room and rights.",
                                       bp_error_text(bp_error_of(r)))
                        : BP_DONE;
}

static enum bp_outcome save_slot(struct contact *c)
{
    const bp_result r = bp_state_slot_save(c->a->state, c->at, &c->slot);
    return bp_failed(r) ? bp_agent_say(c->a, BP_FAILED,
                                       "the state folder cannot be written: %s. Check its room and rights.",
                                       bp_error_text(bp_error_of(r)))
                        : BP_DONE;
}

static enum bp_outcome ready_device_key(struct contact *c)
{
    struct bp_agent *a = c->a;
    enum bp_slot_name pending;
    const enum bp_slot_name active = bp_state_active(a->state, &pending);
    uint64_t generation = 1;
    struct bp_agent_slot old;
    if (active != BP_SLOTS && !bp_failed(bp_state_slot_load(a->state, active, &old))) {
        generation = old.generation + 1;
        bp_wipe(&old, sizeof old);
    }
    c->at = active == BP_SLOTS ? BP_SLOT_A : bp_slot_other(active);
    const enum bp_outcome o = bp_agent_make_key(a, generation, &c->slot);
    return o == BP_DONE ? save_slot(c) : o;
}

/* --- hello --- */

struct info {
    struct bp_text_pair pair[BP_DEVICE_INFO_MAX];
    char text[BP_DEVICE_INFO_MAX][160];
    uint32_t n;
};

/* Printable ASCII only; the server shows it to people and believes none of it. */
static void add_info(struct info *info, const char *name, const char *value, size_t n)
{
    char *to = info->text[info->n];
    size_t len = 0;
    for (size_t i = 0; i < n && len + 1 < sizeof info->text[0]; i++) {
        if (value[i] >= 0x20 && value[i] < 0x7f) {
            to[len++] = value[i];
        }
    }
    while (len > 0 && to[len - 1] == ' ') {
        len--;
    }
    if (len > 0) {
        info->pair[info->n++] = (struct bp_text_pair){bp_span_cstr(name), bp_span_of(to, len)};
    }
}

static void add_dmi(struct info *info, const char *name, const char *file)
{
    char path[64];
    uint8_t *p = NULL;
    size_t n = 0;
    (void)snprintf(path, sizeof path, DMI_FOLDER "%s", file);
    if (!bp_failed(bp_log_read(path, 0, DMI_MAX, &p, &n))) {
        add_info(info, name, (const char *)p, n);
        bp_free(p);
    }
}

/* In the order of the encoding: shorter names first, then bytewise. */
static void gather_info(struct bp_agent *a, struct info *info)
{
    struct bp_rot_info rot = {0};
    char tpm[96];
    info->n = 0;
    if (!bp_failed(a->rot->ops->info(a->rot, &rot, NULL))) {
        const int n = snprintf(tpm, sizeof tpm, "%s %s %s", rot.manufacturer, rot.model, rot.firmware);
        add_info(info, "tpm", tpm, n > 0 && (size_t)n < sizeof tpm ? (size_t)n : 0);
    }
    if (a->dev.boot_log[0] != '\0') { /* the machine that it runs on is not what its logs tell about */
        static const char mark[] = "process-level device: logs given by option";
        add_info(info, "logs", mark, sizeof mark - 1);
        add_info(info, "model", "process", 7);
        return;
    }
    add_dmi(info, "model", "product_name");
    add_dmi(info, "serial", "product_serial");
    add_dmi(info, "firmware", "bios_version");
    add_dmi(info, "manufacturer", "sys_vendor");
}

static bp_result write_hello(struct contact *c, uint8_t *ret, size_t *ret_n)
{
    struct bp_agent *a = c->a;
    struct info info;
    struct bp_hello h = {.kind = BP_SPAN_STR("tpm2"), .eks = c->id_count, .agent = BP_SPAN_STR(BP_VERSION)};
    for (uint32_t i = 0; i < c->id_count; i++) {
        h.ek[i] = (struct bp_hello_ek){c->ids[i].template_id, bp_span_of(c->ids[i].pub, c->ids[i].pub_n),
                                       bp_span_of(c->ids[i].cert, c->ids[i].cert_n)};
    }
    BP_TRY(a->rot->ops->key_public(a->rot, bp_span_of(a->dev.ak.v, a->dev.ak.n), &h.ak));
    for (size_t i = 0; i < sizeof features / sizeof features[0]; i++) {
        h.feature[h.features++] = bp_span_cstr(features[i]);
    }
    h.code = c->code != NULL ? bp_span_cstr(c->code) : BP_SPAN_EMPTY;
    gather_info(a, &info);
    h.info = info.n;
    memcpy(h.pair, info.pair, sizeof info.pair);
    return bp_hello_write(&h, ret, HELLO_ROOM, ret_n);
}

/* Features that the server agreed to must be ones that we named. */
static bool take_features(struct bp_agent *a, const struct bp_challenge *ch)
{
    a->dev.features = 0;
    for (uint32_t i = 0; i < ch->features; i++) {
        bool known = false;
        for (size_t k = 0; k < sizeof features / sizeof features[0]; k++) {
            known = known || bp_span_equal(ch->feature[i], bp_span_cstr(features[k]));
        }
        if (!known) {
            return false;
        }
        memcpy(a->dev.feature[i], ch->feature[i].p, ch->feature[i].n);
        a->dev.feature[i][ch->feature[i].n] = '\0';
        a->dev.features++;
    }
    return true;
}

/* Opens the credentials: proof that these EKs and the attestation key are in one chip. */
static bp_result activate(struct contact *c, const struct bp_challenge *ch, uint8_t ret[BP_SHA256_SIZE],
                          struct bp_rot_trace *trace)
{
    struct bp_agent *a = c->a;
    uint8_t secret[BP_ROT_IDENTITIES][BP_ROT_SECRET_MAX];
    bp_span spans[BP_ROT_IDENTITIES];
    bp_result r = ch->credentials == c->id_count ? BP_OK : BP_FAIL(MALFORMED);
    for (uint32_t i = 0; i < c->id_count && !bp_failed(r); i++) {
        size_t n = 0;
        r = a->rot->ops->activate(a->rot, c->ids[i].template_id, bp_span_of(a->dev.ak.v, a->dev.ak.n),
                                  BP_SPAN_OF(a->dev.ak_auth), ch->credential[i].id_object, ch->credential[i].secret, &n,
                                  secret[i], trace);
        spans[i] = bp_span_of(secret[i], n);
    }
    if (!bp_failed(r)) {
        r = bp_binding_activation(a->crypto, spans, c->id_count, ret);
    }
    bp_wipe(secret, sizeof secret);
    return r;
}

static enum bp_outcome post_evidence(struct contact *c, const struct bp_challenge *ch,
                                     const uint8_t activation[BP_SHA256_SIZE])
{
    static const uint8_t no_binding[32];
    struct bp_agent *a = c->a;
    struct bp_collector collector;
    struct bp_collected got;
    struct bp_reply reply;
    struct bp_rot_trace trace = {0, ""};
    uint8_t spki[128];
    uint8_t ldevid[BP_SHA256_SIZE];
    size_t n = 0;
    const struct bp_collect_key key = {bp_span_of(c->slot.key.v, c->slot.key.n), BP_SPAN_OF(c->slot.auth)};
    bp_result r = bp_agent_spki(a, key.blob, spki, sizeof spki, &n, ldevid);
    const struct bp_collect_ask ask = {.nonce = ch->nonce,
                                       .seq = ch->seq,
                                       .issued_ms = ch->issued_ms,
                                       .ldevid = BP_SPAN_OF(ldevid),
                                       .binding = BP_SPAN_OF(no_binding),
                                       .activation = bp_span_of(activation, BP_SHA256_SIZE),
                                       .keys = &key,
                                       .key_count = 1};
    const struct bp_held nothing = {0};
    if (!bp_failed(r)) {
        bp_agent_collector(a, &collector);
        r = bp_collect(&collector, &nothing, &ask, &got, &trace);
    }
    if (bp_failed(r)) {
        return bp_agent_say_root(a, r, &trace, "collecting the first evidence");
    }
    r = bp_remote_call(c->server, "/bedplate/v1/attest", BP_MEDIA_CMW, bp_span_of(got.body, got.body_n), &reply);
    bp_free(got.body);
    if (bp_failed(r)) {
        return bp_agent_say_call(a, r, c->server, "attesting for the first time");
    }
    return reply.status == 200 ? bp_agent_take_answer(a, reply.body, &got.after)
                               : bp_agent_say_reply(a, &reply, "attesting for the first time");
}

/* After the server has told who it takes us for. */
static enum bp_outcome answer_challenge(struct contact *c, bp_span body)
{
    struct bp_agent *a = c->a;
    struct bp_challenge *ch = bp_alloc(sizeof *ch);
    struct bp_rot_trace trace = {0, ""};
    uint8_t activation[BP_SHA256_SIZE];
    uint8_t *kept = bp_alloc(body.n + 1); /* the reply's bytes go with the next call */
    if (ch == NULL || kept == NULL) {
        bp_free(ch);
        bp_free(kept);
        return bp_agent_say(a, BP_FAILED, "no memory for the challenge.");
    }
    memcpy(kept, body.p, body.n);
    enum bp_outcome o = BP_DONE;
    bp_result r = bp_challenge_read(bp_span_of(kept, body.n), ch);
    if (bp_failed(r) || !take_features(a, ch)) {
        o = bp_agent_say(a, BP_FAILED, "the challenge of %s cannot be used: %s.", a->dev.host,
                         bp_failed(r) ? bp_error_text(bp_error_of(r)) : "it names a feature that nobody offered");
    }
    if (o == BP_DONE) {
        memcpy(a->dev.id, ch->device_id.p, sizeof a->dev.id);
        a->dev.has_id = true;
        if (!c->port_given) {
            a->dev.device_port = ch->device_port != 0 ? ch->device_port : DEVICE_PORT;
        }
        o = save_device(a);
    }
    if (o == BP_DONE) {
        r = activate(c, ch, activation, &trace);
        o = bp_failed(r) ? bp_agent_say_root(a, r, &trace, "proving the endorsement keys")
                         : post_evidence(c, ch, activation);
    }
    bp_free(ch);
    bp_free(kept);
    return o;
}

static enum bp_outcome say_hello(struct contact *c, struct bp_reply *reply)
{
    struct bp_agent *a = c->a;
    size_t n = 0;
    uint8_t *hello = bp_alloc(HELLO_ROOM);
    bp_result r = hello != NULL ? write_hello(c, hello, &n) : BP_FAIL(NO_MEMORY);
    if (bp_failed(r)) {
        bp_free(hello);
        return bp_agent_say(a, BP_FAILED, "hello cannot be written: %s.", bp_error_text(bp_error_of(r)));
    }
    r = bp_remote_call(c->server, "/bedplate/v1/hello", BP_MEDIA_CBOR, bp_span_of(hello, n), reply);
    bp_free(hello);
    if (bp_failed(r)) {
        return bp_agent_say_call(a, r, c->server, "saying hello");
    }
    return reply->status == 200 ? answer_challenge(c, reply->body) : bp_agent_say_reply(a, reply, "saying hello");
}

/* --- waiting --- */

/* What is being waited for, once until it changes. */
static void tell(struct contact *c)
{
    if (c->a->tell != NULL && strcmp(c->told, c->a->said) != 0) {
        memcpy(c->told, c->a->said, sizeof c->a->said);
        c->a->tell(c->told);
    }
}

static bool may_wait(const struct contact *c, uint32_t s)
{
    return bp_mono_ms(&c->a->clock) + (int64_t)s * 1000 < c->until_ms;
}

/* Asks for the certificate until the server decides or our patience ends. *ret_again: the proof has run out. */
static enum bp_outcome ask_for_certificate(struct contact *c, bool *ret_again)
{
    struct bp_agent *a = c->a;
    char id[BP_DEVID_SHORT];
    *ret_again = false;
    bp_devid_short(a->dev.id, id);
    for (;;) {
        struct bp_reply reply = {0};
        const enum bp_outcome o =
            bp_agent_enrol_key(a, c->server, "/.well-known/est/simpleenroll", &c->slot, BP_SPAN_EMPTY, &reply);
        if (o == BP_DONE) {
            return save_slot(c);
        }
        if (reply.status == 403 && strcmp(reply.code, "not-preapproved") == 0) {
            *ret_again = true;
            return a->has_answer && a->tier != 2
                       ? bp_agent_say(a, BP_REFUSED, "device %s: %s holds the evidence to be %s: %s. Correct that first.",
                                      id, a->dev.host, bp_tier_name(a->tier), a->reason)
                       : o;
        }
        if (reply.status != 202) {
            return o;
        }
        uint32_t s = reply.retry_after_s < RETRY_LEAST_S ? RETRY_LEAST_S : reply.retry_after_s;
        s = s < RETRY_MOST_S ? s : RETRY_MOST_S;
        (void)bp_agent_say(a, BP_REFUSED, "device %s waits for approval at %s. Compare the id there and approve it.", id,
                           a->dev.host);
        if (!may_wait(c, s)) {
            return BP_REFUSED;
        }
        tell(c);
        if (bp_failed(bp_agent_wait(s * 1000))) {
            return bp_agent_say(a, BP_FAILED, "no memory to wait with.");
        }
    }
}

static enum bp_outcome get_certificate(struct contact *c)
{
    for (;;) {
        struct bp_reply reply = {0};
        bool again = false;
        enum bp_outcome o = say_hello(c, &reply);
        if (o == BP_DONE) {
            c->code = NULL; /* it has served; the server knows the device now */
            o = ask_for_certificate(c, &again);
        }
        if (!again || !may_wait(c, TRY_AGAIN_S)) {
            return o;
        }
        tell(c);
        if (bp_failed(bp_agent_wait(TRY_AGAIN_S * 1000))) {
            return o;
        }
    }
}

/* --- the commands --- */

/* The way to the server, the endorsement keys, and an attestation key under them. */
static enum bp_outcome make_contact(struct contact *c)
{
    struct bp_agent *a = c->a;
    const struct bp_remote_spec spec = {.host = a->dev.host,
                                        .connect = a->dev.connect,
                                        .port = a->dev.enrol_port,
                                        .anchor = bp_span_of(a->dev.anchor, a->dev.anchor_n),
                                        .clock = &a->running};
    const bp_result r = bp_remote_new(&spec, &c->server);
    if (bp_failed(r)) {
        return bp_agent_say(a, BP_FAILED, "preparing TLS: %s.", bp_error_text(bp_error_of(r)));
    }
    enum bp_outcome o = read_identities(c);
    o = o == BP_DONE ? ready_attestation_key(c) : o;
    return o == BP_DONE ? save_device(a) : o;
}

static enum bp_outcome first_contact(struct contact *c)
{
    enum bp_outcome o = make_contact(c);
    o = o == BP_DONE ? ready_device_key(c) : o;
    o = o == BP_DONE ? get_certificate(c) : o;
    bp_remote_free(c->server);
    c->server = NULL;
    return o == BP_DONE ? bp_agent_promote(c->a, c->at) : o;
}

static enum bp_outcome enroll_with(struct bp_agent *a, const char *code, bool port_given, uint32_t patience_s)
{
    struct contact *c = bp_alloc(sizeof *c);
    if (c == NULL) {
        return bp_agent_say(a, BP_FAILED, "no memory.");
    }
    c->a = a;
    c->code = code;
    c->port_given = port_given;
    c->until_ms = bp_mono_ms(&a->clock) + (int64_t)patience_s * 1000;
    const enum bp_outcome o = first_contact(c);
    bp_free_secret(c, sizeof *c);
    return o;
}

/* Complete already: a slot that has made a call, or one that only needs to. */
static bool is_complete(struct bp_agent *a, enum bp_outcome *ret)
{
    enum bp_slot_name pending;
    const enum bp_slot_name active = bp_state_active(a->state, &pending);
    if (pending != BP_SLOTS) {
        *ret = bp_agent_promote(a, pending);
        if (*ret == BP_DONE) {
            return true;
        }
    }
    if (active == BP_SLOTS) {
        return false;
    }
    *ret = bp_agent_use_slot(a, active);
    if (*ret == BP_DONE) {
        *ret = bp_agent_nonce(a, a->device);
    }
    return *ret == BP_DONE || *ret == BP_FAILED; /* not reached: nothing to be gained by enrolling anew */
}

/* An enrolled device is no less enrolled when this fails: it is told, and `run` tries again. */
static enum bp_outcome with_escrow(struct bp_agent *a)
{
    if (bp_agent_escrow(a) != BP_DONE && a->tell != NULL) {
        a->tell(a->said);
    }
    return BP_DONE;
}

enum bp_outcome bp_agent_enroll(struct bp_agent *a, const struct bp_enroll *e)
{
    if (bp_agent_is_leaving(a)) { /* the owner of before is told first, at its own address */
        enum bp_outcome left = bp_agent_open_root(a);
        left = left == BP_DONE ? bp_agent_hand_over(a) : left;
        if (left != BP_DONE) {
            return left;
        }
    }
    const bool is_known = a->dev.has_id;
    enum bp_outcome o = take_options(a, e);
    o = o == BP_DONE && a->rot == NULL ? bp_agent_open_root(a) : o;
    o = o == BP_DONE ? bp_agent_owner_check(a) : o;
    if (o != BP_DONE) {
        return o;
    }
    if (!is_known || !is_complete(a, &o)) {
        o = know_server(a, e);
        o = o == BP_DONE ? enroll_with(a, e->code, e->device_port != 0, e->wait_s) : o;
    }
    return o == BP_DONE ? with_escrow(a) : o;
}

enum bp_outcome bp_agent_identity(struct bp_agent *a, const char *root, uint8_t *ret, size_t cap, size_t *ret_n)
{
    *a = (struct bp_agent){.at = BP_SLOTS, .clock = bp_clock_linux(), .entropy = bp_entropy_linux()};
    const int len = snprintf(a->dev.root, sizeof a->dev.root, "%s", root);
    if (len < 0 || (size_t)len >= sizeof a->dev.root || cap < HELLO_ROOM) {
        return bp_agent_say(a, BP_USAGE, "the root's name is too long.");
    }
    struct contact *c = bp_alloc(sizeof *c);
    if (c == NULL) {
        return bp_agent_say(a, BP_FAILED, "no memory.");
    }
    c->a = a;
    enum bp_outcome o = bp_agent_open_root(a);
    o = o == BP_DONE ? read_identities(c) : o;
    o = o == BP_DONE ? ready_attestation_key(c) : o;
    if (o == BP_DONE) {
        const bp_result r = write_hello(c, ret, ret_n);
        o = bp_failed(r) ? bp_agent_say(a, BP_FAILED, "the unit file cannot be written: %s.", bp_error_text(bp_error_of(r)))
                         : BP_DONE;
    }
    bp_free_secret(c, sizeof *c);
    return o;
}

enum bp_outcome bp_agent_enroll_again(struct bp_agent *a)
{
    return enroll_with(a, NULL, true, 0);
}

enum bp_outcome bp_agent_vouch(struct bp_agent *a, const struct bp_agent_slot *slot)
{
    struct bp_reply reply = {0};
    struct contact *c = bp_alloc(sizeof *c);
    if (c == NULL) {
        return bp_agent_say(a, BP_FAILED, "no memory.");
    }
    c->a = a;
    c->port_given = true;
    c->slot = *slot;
    enum bp_outcome o = make_contact(c);
    o = o == BP_DONE ? say_hello(c, &reply) : o;
    bp_remote_free(c->server);
    bp_free_secret(c, sizeof *c);
    if (o == BP_DONE && a->has_answer && a->tier != 2 && a->tier != 32) {
        o = bp_agent_say(a, BP_REFUSED, "%s holds the evidence to be %s: %s. It vouches for no key before that is corrected.",
                         a->dev.host, bp_tier_name(a->tier), a->reason);
    }
    return o;
}
