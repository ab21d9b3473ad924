/* SPDX-License-Identifier: Apache-2.0 */
/* agent/service - application certificates: one key a service, made in the root, vouched for by evidence like the device's own
 * key, and certified under the service's label. The key stays through renewals; the certificate's file is replaced whole, so
 * that a service finds the old or the new one.
 *
 * What lies in the service's folder is meant for the service: the wrapped key has no auth value, is useless in another
 * machine, and is as safe as the folder and the right to use the root are. */
#include "agent/agent.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/secret.h"
#include "codec/base64.h"
#include "codec/est.h"
#include "platform/alloc.h"
#include "platform/linux/file.h"

#define BP_MODULE AGENT

#define PEM_ROOM  16384u
#define PATH_ROOM (BP_STATE_TEXT_MAX + 16u)
#define CMS_MAX   16384u

static const char *const files[] = {"key.pem", "cert.pem", "ca.pem"};

static enum bp_outcome say_state(struct bp_agent *a, bp_result r, const char *what)
{
    return bp_agent_say(a, BP_FAILED, "%s cannot be written: %s. Check its room and rights.", what,
                        bp_error_text(bp_error_of(r)));
}

/* --- files of a service --- */

bp_result bp_agent_service_folder(const char *folder)
{
    struct stat st;
    if (folder[0] != '/' || strlen(folder) >= BP_STATE_TEXT_MAX) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    if ((mkdir(folder, 0750) != 0 && errno != EEXIST) || stat(folder, &st) != 0) {
        return bp_fail_at(bp_error_of_errno(errno), BP_MODULE_ID, __LINE__);
    }
    return S_ISDIR(st.st_mode) ? BP_OK : BP_FAIL(DENIED);
}

static void put_pem(bp_wr *wr, const char *label, bp_span der)
{
    char text[BP_BASE64_SIZE(BP_ROT_CERT_MAX)];
    bp_wr flat = bp_wr_over(text, sizeof text);
    bp_base64_write(&flat, der);
    const bp_span b64 = bp_wr_span(&flat);
    bp_wr_bytes(wr, BP_SPAN_STR("-----BEGIN "));
    bp_wr_bytes(wr, bp_span_cstr(label));
    bp_wr_bytes(wr, BP_SPAN_STR("-----\n"));
    for (size_t i = 0; i < b64.n; i += 64) {
        bp_wr_bytes(wr, bp_span_sub(b64, i, b64.n - i < 64 ? b64.n - i : 64));
        bp_wr_u8(wr, '\n');
    }
    bp_wr_bytes(wr, BP_SPAN_STR("-----END "));
    bp_wr_bytes(wr, bp_span_cstr(label));
    bp_wr_bytes(wr, BP_SPAN_STR("-----\n"));
}

static bp_result write_file(const struct bp_agent_service *v, size_t which, enum bp_file_kind kind, const bp_wr *wr)
{
    char path[PATH_ROOM];
    (void)snprintf(path, sizeof path, "%s/%s", v->folder, files[which]);
    BP_TRY(bp_wr_finish(wr));
    return bp_file_write(path, kind, bp_wr_span(wr));
}

/* The key before the certificate: a service that starts on the certificate finds its key. */
static bp_result publish(const struct bp_agent *a, const struct bp_agent_service *v, bp_span issuing, uint8_t *room)
{
    uint8_t key[BP_ROT_FILE_MAX];
    size_t n = 0;
    const char *label = NULL;
    BP_TRY(bp_agent_service_folder(v->folder));
    BP_TRY(a->rot->ops->key_file(a->rot, bp_span_of(v->key.v, v->key.n), &n, key, &label));
    bp_wr wr = bp_wr_over(room, PEM_ROOM);
    put_pem(&wr, label, bp_span_of(key, n));
    BP_TRY(write_file(v, 0, BP_FILE_GROUP, &wr));
    wr = bp_wr_over(room, PEM_ROOM);
    put_pem(&wr, "CERTIFICATE", bp_span_of(a->dev.anchor, a->dev.anchor_n));
    BP_TRY(write_file(v, 2, BP_FILE_PUBLIC, &wr));
    wr = bp_wr_over(room, PEM_ROOM);
    put_pem(&wr, "CERTIFICATE", bp_span_of(v->cert, v->cert_n));
    put_pem(&wr, "CERTIFICATE", issuing);
    return write_file(v, 1, BP_FILE_PUBLIC, &wr);
}

void bp_agent_service_withdraw(const struct bp_agent_service *v)
{
    char path[PATH_ROOM];
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", v->folder, files[i]);
        (void)unlink(path); /* what stays is a certificate without a key that anybody renews */
    }
}

bp_result bp_agent_services_forget(const struct bp_agent *a)
{
    char name[BP_SERVICES_MAX][BP_SERVICE_NAME + 1];
    struct bp_agent_service v;
    size_t count = 0;
    do {
        BP_TRY(bp_state_services(a->state, name, &count));
        for (size_t i = 0; i < count; i++) {
            if (!bp_failed(bp_state_service_load(a->state, name[i], &v))) {
                bp_agent_service_withdraw(&v);
            }
            BP_TRY(bp_state_service_remove(a->state, name[i]));
        }
    } while (count == BP_SERVICES_MAX);
    return BP_OK;
}

/* --- the certificate --- */

/* The certificate that signed ours, out of the server's; cms is the caller's room. */
static enum bp_outcome get_issuing(struct bp_agent *a, const struct bp_agent_service *v, uint8_t *cms, bp_span *ret)
{
    struct bp_reply reply;
    struct bp_x509 own, other;
    bp_span certs[BP_EST_CERTS_MAX];
    size_t count = 0;
    bp_result r = bp_remote_call(a->device, "/.well-known/est/cacerts", NULL, BP_SPAN_EMPTY, &reply);
    if (bp_failed(r)) {
        return bp_agent_say_call(a, r, a->device, "asking for the issuing certificate");
    }
    if (reply.status != 200) {
        return bp_agent_say_reply(a, &reply, "asking for the issuing certificate");
    }
    bp_wr wr = bp_wr_over(cms, CMS_MAX);
    bp_base64_read_wrapped(&wr, reply.body);
    r = bp_wr_finish(&wr);
    if (!bp_failed(r)) {
        r = bp_est_certs_read(bp_wr_span(&wr), certs, &count);
    }
    if (!bp_failed(r)) {
        r = bp_x509_read(bp_span_of(v->cert, v->cert_n), &own);
    }
    for (size_t i = 0; i < count && !bp_failed(r); i++) {
        if (!bp_failed(bp_x509_read(certs[i], &other)) && bp_span_equal(other.subject, own.issuer) &&
            !bp_failed(bp_x509_verify(a->crypto, &other.key, own.alg, own.tbs, own.signature))) {
            *ret = certs[i];
            return BP_DONE;
        }
    }
    return bp_agent_say(a, BP_FAILED, "%s sent no certificate that signed the one of service %s.", a->dev.host, v->name);
}

static enum bp_outcome hand_over(struct bp_agent *a, const struct bp_agent_service *v)
{
    bp_span issuing = BP_SPAN_EMPTY;
    uint8_t *cms = bp_alloc(CMS_MAX);
    uint8_t *room = bp_alloc(PEM_ROOM);
    enum bp_outcome o = cms == NULL || room == NULL ? bp_agent_say(a, BP_FAILED, "no memory.")
                                                    : get_issuing(a, v, cms, &issuing);
    if (o == BP_DONE) {
        const bp_result r = publish(a, v, issuing, room);
        o = bp_failed(r) ? say_state(a, r, v->folder) : BP_DONE;
    }
    bp_free(cms);
    bp_free(room);
    return o;
}

static enum bp_outcome save(struct bp_agent *a, const struct bp_agent_service *v)
{
    const bp_result r = bp_state_service_save(a->state, v);
    return bp_failed(r) ? say_state(a, r, "the state folder") : BP_DONE;
}

static enum bp_outcome ready_key(struct bp_agent *a, struct bp_agent_service *v)
{
    struct bp_rot_trace trace = {0, ""};
    if (v->key.n > 0) {
        return BP_DONE;
    }
    const bp_result r = a->rot->ops->key_make(a->rot, BP_ROT_KEY_DEVICE, 0, BP_SPAN_EMPTY, &v->key, &trace);
    return bp_failed(r) ? bp_agent_say_root(a, r, &trace, "making a service's key") : save(a, v);
}

/* The certificate under the service's label. */
static enum bp_outcome certify(struct bp_agent *a, struct bp_agent_service *v)
{
    char target[64 + BP_SERVICE_NAME];
    struct bp_agent_slot slot = {.is_open = true, .key = v->key};
    (void)snprintf(target, sizeof target, "/.well-known/est/%s/simpleenroll", v->name);
    const enum bp_outcome o = bp_agent_certify(a, target, &slot);
    if (o != BP_DONE) {
        return o;
    }
    memcpy(v->cert, slot.cert, slot.cert_n);
    v->cert_n = slot.cert_n;
    return save(a, v);
}

enum bp_outcome bp_agent_service_get(struct bp_agent *a, const char *name)
{
    struct bp_agent_service v;
    const bp_result r = bp_state_service_load(a->state, name, &v);
    if (bp_failed(r)) {
        return bp_agent_say(a, BP_FAILED, "service %s: %s.", name, bp_error_text(bp_error_of(r)));
    }
    enum bp_outcome o = ready_key(a, &v);
    o = o == BP_DONE ? certify(a, &v) : o;
    return o == BP_DONE ? hand_over(a, &v) : o;
}

bool bp_agent_service_times(struct bp_crypto *c, bp_span device_id, const struct bp_agent_service *v, int64_t since_s,
                            int64_t *ret_renew_s, int64_t *ret_until_s)
{
    struct bp_x509 cert;
    uint16_t lot = 0;
    if (v->cert_n == 0 || bp_failed(bp_x509_read(bp_span_of(v->cert, v->cert_n), &cert)) ||
        bp_failed(bp_renewal_lot(c, device_id, cert.serial, &lot))) {
        return false;
    }
    const struct bp_renewal usual = bp_renewal_window(cert.not_before_s, cert.not_after_s, BP_RENEW_APPLICATION_FROM,
                                                      BP_RENEW_APPLICATION_UNTIL);
    const struct bp_renewal w = bp_renewal_resumed(&usual, lot, cert.not_after_s, since_s);
    *ret_renew_s = bp_renewal_at_s(&w, lot);
    *ret_until_s = cert.not_after_s;
    return true;
}

static bool is_due(const struct bp_agent *a, const char *name)
{
    struct bp_agent_service v;
    int64_t at = 0;
    int64_t until = 0;
    return bp_failed(bp_state_service_load(a->state, name, &v)) ||
           !bp_agent_service_times(a->crypto, BP_SPAN_OF(a->dev.id), &v, a->since_s, &at, &until) ||
           bp_agent_now_s(a) >= at;
}

enum bp_outcome bp_agent_services(struct bp_agent *a, uint32_t *ret_renewed)
{
    char name[BP_SERVICES_MAX][BP_SERVICE_NAME + 1];
    size_t count = 0;
    enum bp_outcome worst = BP_DONE;
    *ret_renewed = 0;
    if (bp_failed(bp_state_services(a->state, name, &count))) {
        return bp_agent_say(a, BP_FAILED, "the state folder cannot be read.");
    }
    for (size_t i = 0; i < count; i++) {
        if (!is_due(a, name[i])) {
            continue;
        }
        const enum bp_outcome o = bp_agent_service_get(a, name[i]);
        worst = o != BP_DONE ? o : worst;
        *ret_renewed += o == BP_DONE ? 1 : 0;
    }
    return worst;
}
