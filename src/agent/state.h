/* SPDX-License-Identifier: Apache-2.0 */
/* agent/state - the agent's folder: what it must find again after a power cut.
 *
 *     device.cbor  0600  server, anchor, device id, attestation key (wrapped by the root) and its auth value
 *     slot-a.cbor  0600  a credential: LDevID key (wrapped), its auth value, its certificate
 *     slot-b.cbor  0600  the other one: a new key lives here until it has made a real call
 *     service-NAME.cbor 0600  a service: its key (wrapped), certificate, and the folder where it finds both
 *     lockout.cbor 0600  how far the lockout value is; holds the value only until it is set in the root
 *     head         0644  the newest head of the server's log, as it was signed
 *     log.der      0644  the certificate of the log's key
 *     last.json    0644  what the last attestation said, for `status`
 *     lock               held by the process that uses the root
 *
 * Every file is replaced whole and atomically (platform/linux/file): a cut at any moment leaves the old or the new one.
 * The keys are useless without the root that wrapped them; the auth values beside them are as safe as the folder is,
 * which is made 0700. One user at a time, kept by the lock. */
#ifndef BP_AGENT_STATE_H
#define BP_AGENT_STATE_H

#include "codec/device.h"
#include "codec/ownership.h"
#include "port/rot.h"

#define BP_STATE_TEXT_MAX 256u
#define BP_STATE_CERT_MAX 3072u
#define BP_SERVICES_MAX   16u
#define BP_SERVICE_NAME   32u

struct bp_agent_device {
    char root[BP_STATE_TEXT_MAX]; /* "tpm2:TCTI" */
    char host[BP_STATE_TEXT_MAX];
    char connect[BP_STATE_TEXT_MAX]; /* address to dial instead of host; empty: host */
    uint16_t enrol_port, device_port;
    size_t anchor_n;
    uint8_t anchor[BP_ROT_CERT_MAX]; /* the server's root certificate, DER; anchor_n 0: not fetched yet */
    bool has_id;
    uint8_t id[33];
    uint32_t ek_template; /* the only endorsement key that it shows, by template; 0: every certified one */
    uint32_t ak_template;
    struct bp_rot_blob ak;
    uint8_t ak_auth[BP_ROT_AUTH_SIZE];
    char boot_log[BP_STATE_TEXT_MAX]; /* empty: the kernel's; else a process-level device */
    char ima_log[BP_STATE_TEXT_MAX];
    uint32_t features; /* agreed with the server */
    char feature[BP_DEVICE_FEATURES_MAX][32];
};

struct bp_agent_slot {
    uint64_t generation; /* of two slots that have made a call, the higher one is in use */
    bool is_promoted;    /* it has made a call */
    struct bp_rot_blob key;
    uint8_t auth[BP_ROT_AUTH_SIZE];
    bool is_open; /* the key has no auth value: a service's, not stored */
    size_t cert_n; /* 0: none issued yet */
    uint8_t cert[BP_STATE_CERT_MAX];
};

struct bp_agent_service {
    char name[BP_SERVICE_NAME + 1]; /* as the server calls it: [a-z0-9-], no leading hyphen */
    char folder[BP_STATE_TEXT_MAX]; /* absolute; the service's own */
    struct bp_rot_blob key;         /* n 0: not made yet */
    size_t cert_n;                  /* 0: none issued yet */
    uint8_t cert[BP_STATE_CERT_MAX];
};

/* How far the lockout value of the root is (agent/lockout). The order counts: each stage is stored before what follows it. */
enum bp_lockout_stage {
    BP_LOCKOUT_NONE,
    BP_LOCKOUT_SEALED,  /* made and sealed; set nowhere */
    BP_LOCKOUT_SETTING, /* the server keeps it; it may be set by now */
    BP_LOCKOUT_SET,     /* it is the root's, and forgotten here */
    BP_LOCKOUT_FOREIGN  /* the root has one that was not set from here */
};
const char *bp_lockout_name(enum bp_lockout_stage stage); /* none, pending, set, foreign */

struct bp_agent_lockout {
    enum bp_lockout_stage stage;
    uint8_t anchor[32];               /* SHA-256 of the root certificate of the server it is for */
    uint8_t value[BP_ROT_AUTH_SIZE];  /* SEALED, SETTING */
    size_t envelope_n;                /* 0: FOREIGN, NONE */
    uint8_t envelope[BP_ENVELOPE_MAX];
};

/* Whose the device is, as far as it knows (agent/owner). */
struct bp_agent_owner {
    bool has_maker;
    uint8_t anchor[32]; /* SHA-256 of the maker's anchor */
    uint32_t epoch;     /* 0: no chain was taken yet */
    uint8_t head[32];
    bool has_counter;   /* the root counts the changes too */
    bool is_stepping;   /* a change is written down that the root may not have counted yet */
    struct bp_rot_counter counter;
    uint8_t counter_auth[BP_ROT_AUTH_SIZE];
    size_t erasure_n;   /* not 0: it leaves its owner, and this is still to be told there */
    uint8_t erasure[BP_OWNER_ERASURE_MAX];
};

enum bp_slot_name { BP_SLOT_A, BP_SLOT_B, BP_SLOTS };

struct bp_state;

/* Opens the folder, which is made when `make` is set; with `lock` for use of the root: then what a killed process left
 * half written is removed too. The caller frees *ret.
 *   NOT_FOUND  no such folder    BUSY  another process holds the lock    DENIED, FULL, IO, NO_MEMORY
 *   BAD_ARGUMENT  the path is too long */
BP_MUST_CHECK bp_result bp_state_open(const char *dir, bool make, bool lock, struct bp_state **ret);
void bp_state_free(struct bp_state *s);

/* Loads wipe nothing; the caller wipes what it loaded when it is done with it.
 *   NOT_FOUND  there is none yet    MALFORMED, UNSUPPORTED  not a file of this version    else as bp_file_read */
BP_MUST_CHECK bp_result bp_state_device_load(const struct bp_state *s, struct bp_agent_device *ret);
BP_MUST_CHECK bp_result bp_state_device_save(const struct bp_state *s, const struct bp_agent_device *v);
BP_MUST_CHECK bp_result bp_state_slot_load(const struct bp_state *s, enum bp_slot_name name, struct bp_agent_slot *ret);
BP_MUST_CHECK bp_result bp_state_slot_save(const struct bp_state *s, enum bp_slot_name name,
                                           const struct bp_agent_slot *v);
BP_MUST_CHECK bp_result bp_state_lockout_load(const struct bp_state *s, struct bp_agent_lockout *ret);
BP_MUST_CHECK bp_result bp_state_lockout_save(const struct bp_state *s, const struct bp_agent_lockout *v);
BP_MUST_CHECK bp_result bp_state_owner_load(const struct bp_state *s, struct bp_agent_owner *ret);
BP_MUST_CHECK bp_result bp_state_owner_save(const struct bp_state *s, const struct bp_agent_owner *v);
/* Removes what belongs to an owner: both slots, the lockout value, the log's head and key. */
BP_MUST_CHECK bp_result bp_state_forget(const struct bp_state *s);
/* Services may be added while another process holds the lock: it finds them.
 *   BAD_ARGUMENT  not a name of a service */
BP_MUST_CHECK bp_result bp_state_service_load(const struct bp_state *s, const char *name, struct bp_agent_service *ret);
BP_MUST_CHECK bp_result bp_state_service_save(const struct bp_state *s, const struct bp_agent_service *v);
BP_MUST_CHECK bp_result bp_state_service_remove(const struct bp_state *s, const char *name);
/* Names of the services, in order of name; those past the limit are left out. */
BP_MUST_CHECK bp_result bp_state_services(const struct bp_state *s, char ret[BP_SERVICES_MAX][BP_SERVICE_NAME + 1],
                                          size_t *ret_count);
bool bp_is_service_name(const char *name);
/* Which slot is in use: promoted, with a certificate, of the higher generation. BP_SLOTS when there is none.
 * ret_pending: a slot with a certificate that is newer and not promoted, or BP_SLOTS. A damaged slot counts as none:
 * the other one is what two slots are for. */
enum bp_slot_name bp_state_active(const struct bp_state *s, enum bp_slot_name *ret_pending);
static inline enum bp_slot_name bp_slot_other(enum bp_slot_name name)
{
    return name == BP_SLOT_A ? BP_SLOT_B : BP_SLOT_A;
}

/* Small public files by name ("head", "log.der", "last.json"); the caller owns *ret (bp_free). */
BP_MUST_CHECK bp_result bp_state_text_load(const struct bp_state *s, const char *name, uint8_t **ret, size_t *ret_n);
BP_MUST_CHECK bp_result bp_state_text_save(const struct bp_state *s, const char *name, bp_span text);

/* The encodings, for tests. NO_SPACE  *ret_len tells the room needed. */
BP_MUST_CHECK bp_result bp_agent_device_write(const struct bp_agent_device *v, uint8_t *p, size_t cap, size_t *ret_len);
BP_MUST_CHECK bp_result bp_agent_device_read(bp_span in, struct bp_agent_device *ret);
BP_MUST_CHECK bp_result bp_agent_slot_write(const struct bp_agent_slot *v, uint8_t *p, size_t cap, size_t *ret_len);
BP_MUST_CHECK bp_result bp_agent_slot_read(bp_span in, struct bp_agent_slot *ret);
BP_MUST_CHECK bp_result bp_agent_service_write(const struct bp_agent_service *v, uint8_t *p, size_t cap, size_t *ret_len);
BP_MUST_CHECK bp_result bp_agent_service_read(bp_span in, struct bp_agent_service *ret);
BP_MUST_CHECK bp_result bp_agent_lockout_write(const struct bp_agent_lockout *v, uint8_t *p, size_t cap, size_t *ret_len);
BP_MUST_CHECK bp_result bp_agent_lockout_read(bp_span in, struct bp_agent_lockout *ret);
BP_MUST_CHECK bp_result bp_agent_owner_write(const struct bp_agent_owner *v, uint8_t *p, size_t cap, size_t *ret_len);
BP_MUST_CHECK bp_result bp_agent_owner_read(bp_span in, struct bp_agent_owner *ret);

#endif
