/* SPDX-License-Identifier: Apache-2.0 */
/* agent/main - the program bedplate-agent: options in, one line or one JSON object out, exit codes 0 ok, 1 refused,
 * 2 usage, 3 cannot reach or internal. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "agent/agent.h"
#include "agent/owner.h"
#include "base/secret.h"
#include "codec/base64.h"
#include "codec/x509.h"
#include "net/tls.h"
#include "platform/alloc.h"
#include "platform/linux/file.h"
#include "platform/openssl/crypto.h"

#define WAIT_S       600u

static const char usage_text[] =
    "usage: bedplate-agent enroll --server URL --root tpm2:TCTI --state DIR\n"
    "                             [--anchor FILE|sha256:HASH] [--maker FILE|sha256:HASH] [--present]\n"
    "                             [--code CODE] [--connect ADDRESS] [--device-port N] [--wait SECONDS]\n"
    "                             [--ek all|rsa-2048|p-256|p-384] [--boot-log FILE [--ima-log FILE]] [--json]\n"
    "       bedplate-agent run    --state DIR [--rounds N]\n"
    "       bedplate-agent attest --state DIR [--json]\n"
    "       bedplate-agent status --state DIR [--json]\n"
    "       bedplate-agent csr    --state DIR [--new | --install FILE]\n"
    "       bedplate-agent service add NAME --out DIR --state DIR [--json]\n"
    "       bedplate-agent service ls|remove [NAME] --state DIR [--json]\n"
    "       bedplate-agent identity --root tpm2:TCTI [--out FILE]\n"
    "       bedplate-agent --version\n"
    "A device with its maker's anchor (--maker, once) finds out by its chain of ownership which server to trust; any other\n"
    "needs --anchor. --present says that somebody is at the device.\n"
    "Every certified endorsement key of the chip is shown; --ek shows one alone, for a server that does not accept the\n"
    "maker of another. The server knows the device by each of them.\n"
    "URL is https://HOST[:PORT] of the enrol listener (port 8444 by default). --boot-log makes a process-level device:\n"
    "it is marked so everywhere. csr --new makes a key, has the server vouch for it, and prints the request. service add\n"
    "has a certificate issued under the label NAME and puts key.pem, cert.pem and ca.pem into DIR. identity writes\n"
    "what a maker's station enters of a chip (bedplate factory), to FILE or standard output.\n";

struct options {
    struct bp_enroll enroll;
    const char *state;
    const char *install;
    const char *out;
    const char *operand[2]; /* of service: what to do, and with which */
    uint32_t rounds;
    bool json, is_new;
};

enum {
    O_SERVER = 256,
    O_ANCHOR,
    O_CODE,
    O_ROOT,
    O_STATE,
    O_CONNECT,
    O_DEVICE_PORT,
    O_WAIT,
    O_BOOT_LOG,
    O_IMA_LOG,
    O_ROUNDS,
    O_JSON,
    O_NEW,
    O_INSTALL,
    O_MAKER,
    O_PRESENT,
    O_EK,
    O_OUT
};

static const struct option long_options[] = {
    {"server", required_argument, NULL, O_SERVER},     {"anchor", required_argument, NULL, O_ANCHOR},
    {"code", required_argument, NULL, O_CODE},         {"root", required_argument, NULL, O_ROOT},
    {"state", required_argument, NULL, O_STATE},       {"connect", required_argument, NULL, O_CONNECT},
    {"device-port", required_argument, NULL, O_DEVICE_PORT}, {"wait", required_argument, NULL, O_WAIT},
    {"boot-log", required_argument, NULL, O_BOOT_LOG}, {"ima-log", required_argument, NULL, O_IMA_LOG},
    {"rounds", required_argument, NULL, O_ROUNDS},     {"json", no_argument, NULL, O_JSON},
    {"maker", required_argument, NULL, O_MAKER},       {"present", no_argument, NULL, O_PRESENT},
    {"ek", required_argument, NULL, O_EK},
    {"new", no_argument, NULL, O_NEW},                 {"install", required_argument, NULL, O_INSTALL},
    {"out", required_argument, NULL, O_OUT},           {NULL, 0, NULL, 0}};

/* --- options --- */

static bool get_number(const char *text, uint32_t least, uint32_t most, uint32_t *ret)
{
    char *end = NULL;
    const unsigned long v = text[0] >= '0' && text[0] <= '9' ? strtoul(text, &end, 10) : 0;
    if (end == NULL || *end != '\0' || v < least || v > most) {
        return false;
    }
    *ret = (uint32_t)v;
    return true;
}

/* Options that take a text: where it goes. */
static const char **text_of(struct options *o, int which)
{
    switch (which) {
    case O_SERVER:
        return &o->enroll.server;
    case O_ANCHOR:
        return &o->enroll.anchor;
    case O_MAKER:
        return &o->enroll.maker;
    case O_CODE:
        return &o->enroll.code;
    case O_ROOT:
        return &o->enroll.root;
    case O_CONNECT:
        return &o->enroll.connect;
    case O_BOOT_LOG:
        return &o->enroll.boot_log;
    case O_IMA_LOG:
        return &o->enroll.ima_log;
    case O_EK:
        return &o->enroll.ek;
    case O_STATE:
        return &o->state;
    case O_INSTALL:
        return &o->install;
    case O_OUT:
        return &o->out;
    default:
        return NULL;
    }
}

static bool take_option(struct options *o, int which, const char *value)
{
    uint32_t v = 0;
    const char **text = text_of(o, which);
    if (text != NULL) {
        *text = value;
        return value[0] != '\0';
    }
    switch (which) {
    case O_DEVICE_PORT:
        if (!get_number(value, 1, UINT16_MAX, &v)) {
            return false;
        }
        o->enroll.device_port = (uint16_t)v;
        return true;
    case O_WAIT:
        return get_number(value, 0, 86400, &o->enroll.wait_s);
    case O_ROUNDS:
        return get_number(value, 1, UINT32_MAX - 1, &o->rounds);
    case O_JSON:
        o->json = true;
        return true;
    case O_PRESENT:
        o->enroll.is_present = true;
        return true;
    case O_NEW:
        o->is_new = true;
        return true;
    default:
        return false;
    }
}

/* --- output --- */

static void print_json(json_t *o)
{
    char *text = json_dumps(o, JSON_COMPACT | JSON_PRESERVE_ORDER);
    if (text != NULL) {
        puts(text);
    }
    free(text);
    json_decref(o);
}

static void id_texts(const struct bp_agent_device *d, char hex[BP_DEVID_HEX], char shown[BP_DEVID_SHORT])
{
    hex[0] = shown[0] = '\0';
    if (d->has_id) {
        bp_devid_hex(d->id, hex);
        bp_devid_short(d->id, shown);
    }
}

static int end(struct bp_agent *a, enum bp_outcome o)
{
    if (o != BP_DONE) {
        fprintf(stderr, "bedplate-agent: %s\n", a->said);
    }
    bp_agent_close(a);
    return (int)o;
}

/* --- commands --- */

static void tell_line(const char *line)
{
    fprintf(stderr, "bedplate-agent: %s\n", line);
}

static int do_enroll(const struct options *o)
{
    struct bp_agent a;
    char hex[BP_DEVID_HEX];
    char shown[BP_DEVID_SHORT];
    char until[BP_TIME_ROOM];
    enum bp_outcome r = bp_agent_open(&a, o->state, true);
    a.tell = tell_line;
    r = r == BP_DONE ? bp_agent_enroll(&a, &o->enroll) : r;
    if (r == BP_DONE) {
        id_texts(&a.dev, hex, shown);
        bp_agent_time(a.not_after_s, until);
        if (o->json) {
            print_json(json_pack("{s:s, s:s, s:s, s:i, s:s, s:b, s:s}", "device", hex, "short", shown, "server", a.dev.host,
                                 "device_port", (int)a.dev.device_port, "not_after", until, "process_level",
                                 a.dev.boot_log[0] != '\0', "lockout", bp_lockout_name(a.lockout)));
        } else {
            printf("enrolled at %s as %s%s, certificate good until %s\n", a.dev.host, shown,
                   a.dev.boot_log[0] != '\0' ? " (process-level device)" : "", until);
        }
    }
    return end(&a, r);
}

/* Folder, root and the credential in use; one that was issued and never tried is tried first. */
static enum bp_outcome use_credential(struct bp_agent *a, const char *dir)
{
    enum bp_slot_name pending = BP_SLOTS;
    const enum bp_slot_name active = bp_state_active(a->state, &pending);
    if (pending != BP_SLOTS && bp_agent_promote(a, pending) == BP_DONE) {
        return BP_DONE;
    }
    if (active == BP_SLOTS) {
        return bp_agent_say(a, BP_REFUSED, "%s: no certificate yet. Run `bedplate-agent enroll`.", dir);
    }
    return bp_agent_use_slot(a, active);
}

static enum bp_outcome open_enrolled(struct bp_agent *a, const char *dir)
{
    enum bp_outcome r = bp_agent_open(a, dir, false);
    r = r == BP_DONE ? bp_agent_open_root(a) : r;
    return r == BP_DONE ? use_credential(a, dir) : r;
}

static int do_run(const struct options *o)
{
    struct bp_agent a;
    enum bp_outcome r = bp_agent_open(&a, o->state, false);
    r = r == BP_DONE ? bp_agent_open_root(&a) : r;
    /* One that leaves has no credential any more: only the owner of before is still to be told. */
    r = r == BP_DONE ? bp_agent_owner_check(&a) : r;
    if (r == BP_DONE && !bp_agent_is_leaving(&a)) {
        r = use_credential(&a, o->state);
    }
    r = r == BP_DONE ? bp_agent_run(&a, o->rounds) : r;
    return end(&a, r);
}

static int do_attest(const struct options *o)
{
    struct bp_agent a;
    enum bp_outcome r = open_enrolled(&a, o->state);
    r = r == BP_DONE ? bp_agent_nonce(&a, a.device) : r;
    r = r == BP_DONE ? bp_agent_attest(&a, NULL, 0) : r;
    if (r == BP_DONE) {
        BP_IGNORE(bp_agent_keep_last(&a, NULL), "only for status");
        r = bp_agent_check_head(&a);
    }
    if (a.has_answer && o->json) {
        print_json(json_pack("{s:s, s:s, s:s, s:i}", "tier", bp_tier_name(a.tier), "reason", a.reason, "state", a.life,
                             "due_ms", (int)a.due_ms));
    } else if (a.has_answer) {
        printf("%s, %s%s%s\n", bp_tier_name(a.tier), a.life, a.reason[0] != '\0' ? ": " : "", a.reason);
    }
    if (r == BP_DONE && a.tier != 2) { /* a negative answer: the exit code says so too */
        bp_agent_close(&a);
        return BP_REFUSED;
    }
    return end(&a, r);
}

static json_t *last_of(const struct bp_state *s)
{
    uint8_t *p = NULL;
    size_t n = 0;
    if (bp_failed(bp_state_text_load(s, "last.json", &p, &n))) {
        return NULL;
    }
    json_t *o = json_loadb((const char *)p, n, JSON_REJECT_DUPLICATES, NULL);
    bp_free(p);
    return o;
}

static const char *text_in(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s != NULL ? s : "";
}

static void print_status(const struct options *o, const struct bp_agent_device *d, const struct bp_agent_slot *slot,
                         enum bp_lockout_stage lockout, const struct bp_agent_owner *owner, json_t *last)
{
    char hex[BP_DEVID_HEX];
    char shown[BP_DEVID_SHORT];
    char until[BP_TIME_ROOM] = "";
    struct bp_x509 cert;
    id_texts(d, hex, shown);
    const bool is_enrolled = slot->cert_n != 0 && !bp_failed(bp_x509_read(bp_span_of(slot->cert, slot->cert_n), &cert));
    if (is_enrolled) {
        bp_agent_time(cert.not_after_s, until);
    }
    const bool is_process = d->boot_log[0] != '\0';
    if (o->json) {
        print_json(json_pack("{s:b, s:s, s:s, s:s, s:s, s:s, s:b, s:s, s:I, s:s, s:s, s:I, s:b, s:o*}", "enrolled", is_enrolled, "device", hex,
                             "short", shown, "server", d->host, "root", d->root, "ek", bp_ek_name(d->ek_template), "process_level", is_process, "not_after",
                             until, "generation", (json_int_t)slot->generation, "lockout", bp_lockout_name(lockout), "ownership",
                             owner->has_maker ? "device" : "server", "epoch", (json_int_t)owner->epoch, "counted",
                             owner->has_counter, "last", last));
        return;
    }
    printf("device      %s%s\n", shown[0] != '\0' ? shown : "not named yet", is_process ? " (process-level device)" : "");
    printf("server      %s:%u\n", d->host, (unsigned)d->device_port);
    printf("root        %s\n", d->root);
    if (d->ek_template != 0) {
        printf("shows       endorsement key %s alone\n", bp_ek_name(d->ek_template));
    }
    printf("certificate %s%s\n", is_enrolled ? "good until " : "none", until);
    if (!owner->has_maker) {
        printf("ownership   enforced by the server: this device has no maker's anchor\n");
    } else {
        printf("ownership   verified by this device from its maker on, epoch %u%s\n", (unsigned)owner->epoch,
               owner->has_counter ? ", counted by the chip" : "");
    }
    printf("lockout     %s\n", lockout == BP_LOCKOUT_SET       ? "set, in escrow at the server; clearing is disabled"
                              : lockout == BP_LOCKOUT_FOREIGN ? "set by somebody else, not in escrow"
                              : lockout == BP_LOCKOUT_NONE    ? "not set"
                                                              : "not set yet; run goes on with it");
    if (last != NULL) {
        printf("last        %s, %s%s%s at %s\n", text_in(last, "tier"), text_in(last, "state"),
               text_in(last, "reason")[0] != '\0' ? ": " : "", text_in(last, "reason"), text_in(last, "at"));
        if (text_in(last, "problem")[0] != '\0') {
            printf("problem     %s\n", text_in(last, "problem"));
        }
    }
    json_decref(last);
}

/* Reads only; does not ask the root or the server, and works while the agent runs. */
/* Of a device that is not enrolled: what it refused, or was refused. */
static void tell_last_problem(const struct bp_state *s)
{
    json_t *last = s != NULL ? last_of(s) : NULL;
    if (last != NULL && text_in(last, "problem")[0] != '\0') {
        fprintf(stderr, "bedplate-agent: at %s: %s\n", text_in(last, "at"), text_in(last, "problem"));
    }
    json_decref(last);
}

static int do_status(const struct options *o)
{
    struct bp_state *s = NULL;
    static struct bp_agent_device d;
    static struct bp_agent_slot slot;
    static struct bp_agent_lockout lockout;
    static struct bp_agent_owner owner;
    enum bp_slot_name pending = BP_SLOTS;
    bp_result r = bp_state_open(o->state, false, false, &s);
    if (!bp_failed(r)) {
        r = bp_state_device_load(s, &d);
    }
    if (bp_failed(r)) {
        fprintf(stderr, "bedplate-agent: %s: %s\n", o->state,
                bp_is(r, BP_E_NOT_FOUND) ? "this device is not enrolled. Run `bedplate-agent enroll`."
                                         : bp_error_text(bp_error_of(r)));
        tell_last_problem(s);
        bp_state_free(s);
        return bp_is(r, BP_E_NOT_FOUND) ? BP_REFUSED : BP_FAILED;
    }
    const enum bp_slot_name active = bp_state_active(s, &pending);
    if (active != BP_SLOTS) {
        BP_IGNORE(bp_state_slot_load(s, active, &slot), "then it shows as not enrolled");
    }
    BP_IGNORE(bp_state_lockout_load(s, &lockout), "then it shows as not set");
    if (bp_failed(bp_state_owner_load(s, &owner))) {
        owner = (struct bp_agent_owner){.has_maker = false};
    }
    print_status(o, &d, &slot, lockout.stage, &owner, last_of(s));
    bp_wipe(&owner, sizeof owner);
    bp_wipe(&lockout, sizeof lockout);
    bp_wipe(&d, sizeof d);
    bp_wipe(&slot, sizeof slot);
    bp_state_free(s);
    return BP_DONE;
}

static enum bp_outcome print_request(struct bp_agent *a, const struct bp_agent_slot *slot)
{
    uint8_t der[BP_AGENT_REQUEST_ROOM];
    char text[BP_BASE64_SIZE(BP_AGENT_REQUEST_ROOM) + 1];
    size_t n = 0;
    const enum bp_outcome r = bp_agent_request(a, slot, BP_SPAN_EMPTY, der, sizeof der, &n);
    if (r != BP_DONE) {
        return r;
    }
    bp_wr wr = bp_wr_over(text, sizeof text);
    bp_base64_write(&wr, bp_span_of(der, n));
    const bp_span b64 = bp_wr_span(&wr);
    puts("-----BEGIN CERTIFICATE REQUEST-----");
    for (size_t i = 0; i < b64.n; i += 64) {
        printf("%.*s\n", (int)(b64.n - i < 64 ? b64.n - i : 64), (const char *)b64.p + i);
    }
    puts("-----END CERTIFICATE REQUEST-----");
    return BP_DONE;
}

static enum bp_outcome new_request(struct bp_agent *a)
{
    struct bp_agent_slot slot;
    enum bp_outcome r = bp_agent_make_key(a, a->slot.generation + 1, &slot);
    if (r == BP_DONE) {
        const bp_result w = bp_state_slot_save(a->state, bp_slot_other(a->at), &slot);
        r = bp_failed(w) ? bp_agent_say(a, BP_FAILED, "the state folder cannot be written: %s.",
                                        bp_error_text(bp_error_of(w)))
                         : bp_agent_vouch(a, &slot);
    }
    r = r == BP_DONE ? print_request(a, &slot) : r;
    bp_wipe(&slot, sizeof slot);
    return r;
}

/* Takes in a certificate that somebody else fetched for the key of `csr --new`. */
static enum bp_outcome install(struct bp_agent *a, const char *path)
{
    uint8_t *p = NULL;
    size_t n = 0;
    size_t count = 0;
    size_t spki_n = 0;
    uint8_t room[2 * BP_STATE_CERT_MAX];
    uint8_t spki[128];
    uint8_t hash[BP_SHA256_SIZE];
    bp_span cert[4];
    struct bp_x509 x;
    struct bp_agent_slot slot;
    const enum bp_slot_name at = bp_slot_other(a->at);
    bp_result r = bp_file_read(path, BP_FILE_PUBLIC, 16384, &p, &n);
    if (!bp_failed(r)) {
        r = bp_tls_read_certs(bp_span_of(p, n), room, sizeof room, cert, 4, &count);
    }
    bp_free(p);
    if (!bp_failed(r)) {
        r = bp_state_slot_load(a->state, at, &slot);
    }
    if (!bp_failed(r)) {
        r = bp_agent_spki(a, bp_span_of(slot.key.v, slot.key.n), spki, sizeof spki, &spki_n, hash);
    }
    if (!bp_failed(r)) {
        r = bp_x509_read(cert[0], &x);
    }
    if (bp_failed(r) || !bp_span_equal(x.spki, bp_span_of(spki, spki_n)) || cert[0].n > sizeof slot.cert) {
        return bp_agent_say(a, BP_REFUSED, "%s: no certificate of the key that `csr --new` made.", path);
    }
    memcpy(slot.cert, cert[0].p, cert[0].n);
    slot.cert_n = cert[0].n;
    r = bp_state_slot_save(a->state, at, &slot);
    bp_wipe(&slot, sizeof slot);
    return bp_failed(r) ? bp_agent_say(a, BP_FAILED, "the state folder cannot be written: %s.",
                                       bp_error_text(bp_error_of(r)))
                        : bp_agent_promote(a, at);
}

static int do_csr(const struct options *o)
{
    struct bp_agent a;
    enum bp_outcome r = open_enrolled(&a, o->state);
    if (r == BP_DONE) {
        r = o->is_new ? new_request(&a) : o->install != NULL ? install(&a, o->install) : print_request(&a, &a.slot);
    }
    return end(&a, r);
}

/* Needs no folder: nothing is kept. */
static int do_identity(const struct options *o)
{
    static uint8_t hello[BP_HELLO_MAX];
    struct bp_agent a;
    size_t n = 0;
    enum bp_outcome r = bp_agent_identity(&a, o->enroll.root, hello, sizeof hello, &n);
    if (r == BP_DONE && o->out != NULL) {
        const bp_result w = bp_file_write(o->out, BP_FILE_PUBLIC, bp_span_of(hello, n));
        r = bp_failed(w) ? bp_agent_say(&a, BP_FAILED, "%s: %s.", o->out, bp_error_text(bp_error_of(w))) : BP_DONE;
    } else if (r == BP_DONE && (fwrite(hello, 1, n, stdout) != n || fflush(stdout) != 0)) {
        r = bp_agent_say(&a, BP_FAILED, "the output could not be written.");
    }
    return end(&a, r);
}

/* --- services --- */

/* At once where the folder is free; else by the agent that holds it, at its next round. */
static int add_service(const struct options *o, struct bp_state *s)
{
    struct bp_agent a;
    struct bp_agent_service v = {.name = ""};
    bp_result r = bp_state_service_load(s, o->operand[1], &v);
    if (bp_is(r, BP_E_NOT_FOUND)) {
        (void)snprintf(v.name, sizeof v.name, "%s", o->operand[1]);
        r = BP_OK;
    }
    if (!bp_failed(r)) {
        r = bp_agent_service_folder(o->out);
    }
    if (!bp_failed(r)) {
        (void)snprintf(v.folder, sizeof v.folder, "%s", o->out);
        r = bp_state_service_save(s, &v);
    }
    if (bp_failed(r)) {
        fprintf(stderr, "bedplate-agent: service %s, folder %s: %s\n", o->operand[1], o->out, bp_error_text(bp_error_of(r)));
        return bp_is(r, BP_E_BAD_ARGUMENT) ? BP_USAGE : BP_FAILED;
    }
    struct bp_state *held = NULL;
    if (bp_is(bp_state_open(o->state, false, true, &held), BP_E_BUSY)) {
        printf("service %s: the running agent fetches its certificate at its next round\n", o->operand[1]);
        return BP_DONE;
    }
    bp_state_free(held);
    enum bp_outcome done = open_enrolled(&a, o->state);
    done = done == BP_DONE ? bp_agent_service_get(&a, o->operand[1]) : done;
    if (done == BP_DONE) {
        printf("service %s: key.pem, cert.pem and ca.pem are in %s\n", o->operand[1], o->out);
    }
    return end(&a, done);
}

static void print_service(const struct options *o, struct bp_crypto *c, const struct bp_agent_device *d,
                          const struct bp_agent_service *v, json_t *list)
{
    int64_t at = 0;
    int64_t until = 0;
    char renew[BP_TIME_ROOM] = "";
    char ends[BP_TIME_ROOM] = "";
    const bool has = bp_agent_service_times(c, BP_SPAN_OF(d->id), v, 0, &at, &until);
    if (has) {
        bp_agent_time(at, renew);
        bp_agent_time(until, ends);
    }
    if (o->json) {
        (void)json_array_append_new(list, json_pack("{s:s, s:s, s:b, s:s, s:s}", "service", v->name, "folder", v->folder,
                                                    "certified", has, "not_after", ends, "renew_at", renew));
    } else {
        printf("%-20s %s%s%s%s  %s\n", v->name, has ? "good until " : "no certificate yet", ends,
               has ? ", renewed from " : "", renew, v->folder);
    }
}

static int list_services(const struct options *o, const struct bp_state *s)
{
    char name[BP_SERVICES_MAX][BP_SERVICE_NAME + 1];
    static struct bp_agent_service v;
    static struct bp_agent_device d;
    struct bp_crypto *c = NULL;
    size_t count = 0;
    json_t *list = json_array();
    bp_result r = bp_crypto_openssl_new(1, &c);
    if (!bp_failed(r)) {
        r = bp_state_device_load(s, &d);
    }
    if (!bp_failed(r)) {
        r = bp_state_services(s, name, &count);
    }
    for (size_t i = 0; i < count && !bp_failed(r); i++) {
        r = bp_state_service_load(s, name[i], &v);
        if (!bp_failed(r)) {
            print_service(o, c, &d, &v, list);
        }
    }
    if (o->json) {
        print_json(list);
    } else {
        json_decref(list);
    }
    bp_crypto_openssl_free(c);
    bp_wipe(&d, sizeof d);
    if (bp_failed(r)) {
        fprintf(stderr, "bedplate-agent: %s: %s\n", o->state, bp_error_text(bp_error_of(r)));
    }
    return bp_failed(r) ? BP_FAILED : BP_DONE;
}

static int remove_service(const struct options *o, const struct bp_state *s)
{
    static struct bp_agent_service v;
    bp_result r = bp_state_service_load(s, o->operand[1], &v);
    if (!bp_failed(r)) {
        r = bp_state_service_remove(s, o->operand[1]);
    }
    if (bp_failed(r)) {
        fprintf(stderr, "bedplate-agent: service %s: %s\n", o->operand[1], bp_error_text(bp_error_of(r)));
        return bp_is(r, BP_E_NOT_FOUND) ? BP_REFUSED : BP_FAILED;
    }
    bp_agent_service_withdraw(&v);
    return BP_DONE;
}

static int usage(const char *why);

static int do_service(const struct options *o)
{
    struct bp_state *s = NULL;
    const bool is_ls = strcmp(o->operand[0], "ls") == 0;
    const bool is_add = strcmp(o->operand[0], "add") == 0;
    if ((!is_ls && !is_add && strcmp(o->operand[0], "remove") != 0) || is_ls != (o->operand[1] == NULL) ||
        is_add != (o->out != NULL)) {
        return usage("service add NAME --out DIR, service ls, or service remove NAME");
    }
    if (!is_ls && !bp_is_service_name(o->operand[1])) {
        return usage("a service is called by a-z, 0-9 and hyphens, 32 at most");
    }
    const bp_result r = bp_state_open(o->state, false, false, &s);
    if (bp_failed(r)) {
        fprintf(stderr, "bedplate-agent: %s: %s\n", o->state, bp_error_text(bp_error_of(r)));
        return bp_is(r, BP_E_NOT_FOUND) ? BP_REFUSED : BP_FAILED;
    }
    const int code = is_ls ? list_services(o, s) : is_add ? add_service(o, s) : remove_service(o, s);
    bp_state_free(s);
    return code;
}

static int usage(const char *why)
{
    fprintf(stderr, "bedplate-agent: %s\n%s", why, usage_text);
    return BP_USAGE;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(const struct options *);
        enum { STATE, ALL, ROOT } needs; /* ALL: server, root, state */
        int operands;                    /* at most */
    } commands[] = {{"enroll", do_enroll, ALL, 0},   {"run", do_run, STATE, 0}, {"attest", do_attest, STATE, 0},
                    {"status", do_status, STATE, 0}, {"csr", do_csr, STATE, 0}, {"service", do_service, STATE, 2},
                    {"identity", do_identity, ROOT, 0}};
    struct options o = {.enroll = {.wait_s = WAIT_S}};
    (void)signal(SIGPIPE, SIG_IGN);
    /* The TPM library prints what it is asked in vain, such as an index that is not there; we say it in our words. */
    (void)setenv("TSS2_LOG", "all+NONE", 0);
    /* tpm2-tss writes to the terminal by itself, also what is no failure; what counts comes back as a result. */
    (void)setenv("TSS2_LOG", "all+NONE", 0);
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("bedplate-agent " BP_VERSION);
        return BP_DONE;
    }
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)) {
        fputs(usage_text, stdout);
        return BP_DONE;
    }
    if (argc < 2) {
        return usage("no command");
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(argv[1], commands[i].name) != 0) {
            continue;
        }
        int which;
        while ((which = getopt_long(argc - 1, argv + 1, "", long_options, NULL)) != -1) {
            if (!take_option(&o, which, optarg)) {
                return usage("an option is not known or its value is not allowed");
            }
        }
        const int given = argc - 1 - optind;
        if (given > commands[i].operands) {
            return usage("an argument too many");
        }
        if (commands[i].operands > 0 && given == 0) {
            return usage("what to do is missing");
        }
        for (int k = 0; k < given; k++) {
            o.operand[k] = argv[1 + optind + k];
        }
        if (commands[i].needs == ROOT && o.enroll.root == NULL) {
            return usage("--root is missing");
        }
        if (commands[i].needs != ROOT && o.state == NULL) {
            return usage("--state is missing");
        }
        if (commands[i].needs == ALL && (o.enroll.server == NULL || o.enroll.root == NULL)) {
            return usage("--server and --root are needed");
        }
        if (o.enroll.ima_log != NULL && o.enroll.boot_log == NULL) {
            return usage("--ima-log goes with --boot-log only");
        }
        return commands[i].run(&o);
    }
    return usage("no such command");
}
