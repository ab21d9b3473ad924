/* SPDX-License-Identifier: Apache-2.0 */
/* codec/event - the event object, both directions, and the one table of event types
 * (docs/protocol/events.md).
 *
 * Every act and every finding is an event: a deterministic CBOR map, numbered over the whole log
 * and per source. Nothing is copied on reading: spans point into the caller's bytes. Hashing is the
 * caller's (leaf = SHA-256(0x00 || SHA-256(bytes))), so that bodies can be erased while proofs
 * stand. Texts of people are not checked for meaning. */
#ifndef BP_CODEC_EVENT_H
#define BP_CODEC_EVENT_H

#include "base/result.h"
#include "base/span.h"

#define BP_EVENT_TYPE        "event"
#define BP_EVENT_MAJOR       1u
#define BP_EVENT_MINOR       0u
#define BP_EVENT_MAX         4096u /* bytes of one event */
#define BP_EVENT_DETAILS_MAX 16u
#define BP_EVENT_TEXT_MAX    512u /* bytes of one text or byte string */
#define BP_EVENT_KEY_MAX     23u  /* bytes of a detail's name */

enum bp_severity { BP_SEV_INFO, BP_SEV_NOTICE, BP_SEV_WARNING, BP_SEV_ALERT };

/* id, NAME, name, severity, text ({device}, {actor} and {detail} are filled in), MITRE ATT&CK for
 * ICS id or "" */
#define BP_EVENT_LIST(X)                                                                           \
    X(1, STARTED, "started", INFO, "The server started: {version}", "")                            \
    X(2, STORE_RECOVERED, "store-recovered", WARNING,                                              \
      "The disk was full; {refused} requests were refused", "T0814")                               \
    X(3, CLOCK_JUMPED, "clock-jumped", WARNING, "The server's clock moved by {by_ms} ms", "")      \
    X(4, REFUSALS_SUPPRESSED, "refusals-suppressed", WARNING,                                      \
      "{count} more refusals from {source} were not logged", "T0814")                              \
    X(5, SETTING_CHANGED, "setting-changed", NOTICE, "{actor} set {setting} to {value}", "")       \
    X(6, LOG_MISMATCH, "log-mismatch", ALERT,                                                      \
      "The log signer knows {signed} events, the store {stored}", "T0872")                         \
    X(16, DEVICE_WAITING, "device-waiting", NOTICE,                                                \
      "A genuine, unknown device waits for approval", "")                                          \
    X(17, CONTACT_REFUSED, "contact-refused", WARNING, "A first contact was refused: {reason}",    \
      "T0848")                                                                                     \
    X(18, DEVICE_CLAIMED, "device-claimed", NOTICE, "{actor} took the device into zone {zone}",    \
      "")                                                                                          \
    X(19, DEVICE_ENROLLED, "device-enrolled", NOTICE, "The device received its first certificate", \
      "")                                                                                          \
    X(20, DEVICE_ACTIVE, "device-active", INFO, "The device attests over its own certificate", "") \
    X(21, DEVICE_QUARANTINED, "device-quarantined", ALERT,                                         \
      "{actor} quarantined the device: {reason}", "")                                              \
    X(22, DEVICE_RELEASED, "device-released", NOTICE, "{actor} released the device: {reason}", "") \
    X(23, DEVICE_REVOKED, "device-revoked", ALERT, "{actor} revoked the device: {reason}", "")     \
    X(24, DEVICE_RETIRED, "device-retired", NOTICE, "{actor} retired the device: {reason}", "")    \
    X(25, INVITATION_MADE, "invitation-made", NOTICE, "{actor} invited a device into zone {zone}", \
      "")                                                                                          \
    X(26, WAITING_EXPIRED, "waiting-expired", INFO, "Nobody approved the device in time", "")      \
    X(27, QUARANTINE_CAPPED, "quarantine-capped", ALERT,                                           \
      "Not quarantined, the cap of its zone is reached: {reason}", "")                             \
    X(28, DEVICE_SILENT, "device-silent", WARNING,                                                 \
      "Nothing was heard from the device since {since}", "T0815")                                  \
    X(29, DEVICE_HEARD, "device-heard", INFO, "The device is heard again", "")                     \
    X(30, DEVICE_REBOUND, "device-rebound", NOTICE,                                                \
      "The device proved its identity again with a new attestation key", "")                       \
    X(32, VERDICT, "verdict", INFO, "{reason}", "")                                                \
    X(33, EVIDENCE_REFUSED, "evidence-refused", WARNING, "Evidence was refused: {reason}",         \
      "T0856")                                                                                     \
    X(34, TRUST_LOST, "trust-lost", ALERT, "No longer trusted: {reason}", "T0857")                 \
    X(35, TRUST_GAINED, "trust-gained", NOTICE, "Trusted: {reason}", "")                           \
    X(36, LOCKOUT_ESCROWED, "lockout-escrowed", NOTICE,                                            \
      "The lockout value of its TPM, sealed to the recovery key, is in escrow", "")                \
    X(37, LOCKOUT_SET, "lockout-set", NOTICE,                                                      \
      "The agent set the lockout value that is in escrow and disabled clearing of its TPM", "")    \
    X(38, LOCKOUT_FOREIGN, "lockout-foreign", WARNING,                                             \
      "Its TPM has a lockout value that somebody else set; it is not in escrow", "T0892")          \
    X(39, ESCROW_REFUSED, "escrow-refused", WARNING, "An escrow was refused: {reason}", "")        \
    X(40, ESCROW_READ, "escrow-read", NOTICE,                                                      \
      "{actor} fetched the sealed lockout values of the device", "")                               \
    X(48, CERTIFICATE_ISSUED, "certificate-issued", NOTICE,                                        \
      "A certificate was issued until {until}", "")                                                \
    X(49, CERTIFICATE_REFUSED, "certificate-refused", WARNING,                                     \
      "A certificate was refused: {reason}", "T0859")                                              \
    X(50, BROWNFIELD_ISSUED, "brownfield-issued", WARNING,                                         \
      "A certificate was issued without a verdict", "")                                            \
    X(51, CRL_PUBLISHED, "crl-published", INFO, "CRL {number} lists {count} certificates", "")     \
    X(52, APPLICATION_ISSUED, "application-issued", NOTICE,                                        \
      "A certificate for {service} was issued until {until}", "")                                  \
    X(53, SERVICE_ADDED, "service-added", NOTICE,                                                  \
      "{actor} lets devices have {profile} certificates for {service}", "")                        \
    X(54, SERVICE_REMOVED, "service-removed", NOTICE,                                              \
      "{actor} lets no device have a certificate for {service} any more", "")                      \
    X(58, STATUS_KEY, "status-key", INFO,                                                          \
      "A key that signs answers about status was certified until {until}", "")                     \
    X(59, CRL_LATE, "crl-late", ALERT,                                                             \
      "No revocation list could be made since {since}; list {number} counts on", "T0814")          \
    X(60, CRL_CURRENT, "crl-current", NOTICE, "Revocation lists are made again: {number}", "")     \
    X(63, SERVER_RETURNED, "server-returned", WARNING,                                             \
      "The server was away since {since}; what fell due is renewed until {until}", "T0814")          \
    X(64, OPERATOR_CREATED, "operator-created", NOTICE, "{operator} became {role}", "T0859")       \
    X(65, SIGNED_IN, "signed-in", INFO, "{actor} signed in", "T0859")                              \
    X(66, SIGN_IN_REFUSED, "sign-in-refused", WARNING, "A sign-in was refused: {reason}", "T0859") \
    X(67, SIGNED_OUT, "signed-out", INFO, "{actor} signed out", "")                                \
    X(68, CODE_MADE, "code-made", NOTICE, "{actor} made a one-time code for {role}", "")           \
    X(69, OPERATOR_CERTIFICATE, "operator-certificate", NOTICE,                                    \
      "{operator} received a certificate", "")                                                     \
    X(80, RELEASE_IMPORTED, "release-imported", NOTICE, "{actor} imported release {release}", "")  \
    X(81, RELEASE_ACCEPTED, "release-accepted", NOTICE,                                            \
      "{actor} accepted release {release} for zone {zone}", "")                                    \
    X(82, RELEASE_DEPRECATED, "release-deprecated", NOTICE,                                        \
      "{actor} deprecated release {release}", "")                                                  \
    X(83, RELEASE_WITHDRAWN, "release-withdrawn", ALERT, "{actor} withdrew release {release}", "") \
    X(84, RELEASE_REFUSED, "release-refused", WARNING, "A release was refused: {reason}", "T0862") \
    X(96, POLICY_PUBLISHED, "policy-published", NOTICE, "{actor} published policy {version}", "")  \
    X(97, POLICY_REFUSED, "policy-refused", WARNING, "A policy was refused: {reason}", "")         \
    X(120, OWNERSHIP_IMPORTED, "ownership-imported", NOTICE,                                       \
      "{actor} imported its chain of ownership: {owner} at epoch {epoch}", "")                     \
    X(121, OWNERSHIP_FORK, "ownership-fork", ALERT,                                                \
      "A second chain of ownership for one epoch was refused: {reason}", "T0848")                  \
    X(122, OWNERSHIP_REFUSED, "ownership-refused", WARNING,                                        \
      "A chain of ownership was refused: {reason}", "")                                            \
    X(123, DEVICE_HANDED_OVER, "device-handed-over", NOTICE,                                       \
      "{actor} hands the device over to {owner}", "")                                              \
    X(124, DEVICE_LEFT, "device-left", NOTICE,                                                     \
      "The device stated with its attestation key that it erased its keys", "")                    \
    X(125, RETURN_PERMITTED, "return-permitted", WARNING,                                          \
      "{actor} permits the retired device to return once: {reason}", "")                           \
    X(126, DEVICE_RETURNED, "device-returned", WARNING,                                            \
      "The retired device returned; the permit of {actor} is spent", "")                           \
    X(127, DECOMMISSION_READ, "decommission-read", INFO,                                           \
      "{actor} fetched its certificate of decommissioning", "")                                    \
    X(98, BASELINE_ACCEPTED, "baseline-accepted", NOTICE,                                          \
      "{actor} accepted the firmware of model {model}", "T0857")                                   \
    X(112, MANIFEST_IMPORTED, "manifest-imported", NOTICE,                                         \
      "{actor} imported batch {batch} of order {order} of {maker}: {units} units for zone {zone}", \
      "")                                                                                          \
    X(113, MANIFEST_REFUSED, "manifest-refused", WARNING, "A manifest was refused: {reason}",      \
      "T0862")                                                                                     \
    X(114, UNIT_CLAIMED, "unit-claimed", NOTICE,                                                   \
      "The device is unit {serial} of batch {batch} of order {order}: claimed into zone {zone}",   \
      "")                                                                                          \
    X(115, ALIAS_PROVEN, "alias-proven", NOTICE,                                                   \
      "The chip proved another endorsement key; the device is known by it too from now on", "")    \
    X(116, KNOWN_BY_ALIAS, "known-by-alias", NOTICE,                                               \
      "The chip did not show its identity key and was recognised by another endorsement key", "")  \
    X(128, POSITION_MADE, "position-made", NOTICE,                                                 \
      "{actor} made position {position} in zone {zone}", "")                                       \
    X(129, POSITION_FILLED, "position-filled", NOTICE,                                             \
      "{actor} put the device into position {position} of zone {zone}", "")                        \
    X(130, DEVICE_REPLACED, "device-replaced", ALERT,                                              \
      "{actor} replaced the device at position {position}: {reason}", "")                          \
    X(131, SUCCESSION_PROPOSED, "succession-proposed", WARNING,                                    \
      "{actor} proposed that another device goes on as this one: {reason}", "T0859")               \
    X(132, SUCCESSION_REJECTED, "succession-rejected", NOTICE,                                     \
      "{actor} rejected what {author} proposed: {reason}", "")                                     \
    X(133, DEVICE_SUCCEEDED, "device-succeeded", ALERT,                                            \
      "{actor} approved what {author} proposed, another device goes on as this one: {reason}", "") \
    X(134, DEVICE_SUCCESSOR, "device-successor", NOTICE,                                           \
      "{actor} approved what {author} proposed, this device goes on as another one", "")           \
    X(136, KEY_STORE_LOST, "key-store-lost", ALERT,                                                \
      "The token of an issuing key does not answer; nothing is signed until it does", "T0814")     \
    X(137, KEY_STORE_BACK, "key-store-back", NOTICE,                                               \
      "The token of the issuing keys answers again", "")                                           \
    X(138, ISSUER_ROLLED, "issuer-rolled", NOTICE,                                                 \
      "Issuing CA number {number} issues from now on; the one before counts until it is retired",  \
      "")                                                                                          \
    X(139, ISSUER_RETIRED, "issuer-retired", NOTICE,                                               \
      "Issuing CA number {number} was taken out of force", "")                                     \
    X(144, LOG_BROKEN, "log-broken", ALERT,                                                        \
      "{actor} gave up the log's history from {kept} to {lost} events: {reason}", "T0872")         \
    X(145, HEAD_UNKNOWN, "head-unknown", ALERT,                                                    \
      "The device keeps a head that is none of this log: {reason}", "T0872")                       \
    X(146, STORE_RESTORED, "store-restored", ALERT,                                                \
      "The store was put back to a backup of {backup} with {kept} events under a head", "T0872")   \
    X(147, CERTIFICATES_LOST, "certificates-lost", WARNING,                                        \
      "{count} certificates that were issued since the backup are revoked", "")

enum bp_event_type {
#define BP_X(id, name, text, severity, template_, attack) BP_EV_##name = (id),
    BP_EVENT_LIST(BP_X)
#undef BP_X
};

struct bp_event_row {
    uint32_t id;
    const char *name; /* NULL: no such type */
    enum bp_severity severity;
    const char *text;
    const char *attack;
};

/* The row of a type; .name is NULL when this version does not know it (events of later versions are
 * kept). */
struct bp_event_row bp_event_row(uint64_t id);

/* The type with this name, or 0. */
uint32_t bp_event_of_name(bp_span name);

enum bp_event_value { BP_VAL_INT, BP_VAL_TEXT, BP_VAL_BYTES, BP_VAL_BOOL };

struct bp_event_detail {
    bp_span key;
    enum bp_event_value kind;
    int64_t number; /* INT, BOOL (0, 1) */
    bp_span bytes;  /* TEXT, BYTES */
};

struct bp_event {
    uint64_t number; /* leaf index in the log */
    int64_t time_ms;
    uint64_t type;
    bp_span source;
    uint64_t source_number;
    bp_span device; /* the owner's pseudonym; empty: absent */
    bp_span actor;
    size_t detail_count;
    struct bp_event_detail
        detail[BP_EVENT_DETAILS_MAX]; /* written in any order, read in canonical order */
};

/* Writes the event; the details are put in canonical order.
 *   NO_SPACE   *ret_len tells the room needed      LIMIT  a text, a name or the event is too long
 *   MALFORMED  a text is not UTF-8                 NOT_CANONICAL  a detail is named twice */
BP_MUST_CHECK bp_result bp_event_write(const struct bp_event *e, uint8_t *p, size_t cap,
                                       size_t *ret_len);

/* Reads an event. Unknown members of a newer minor are skipped; ret is untouched on failure.
 *   MALFORMED, TRUNCATED, NOT_CANONICAL  as codec/cbor     UNSUPPORTED  another type or major
 *   LIMIT      larger than the limits above */
BP_MUST_CHECK bp_result bp_event_read(bp_span bytes, struct bp_event *ret);

/* The detail with this name, or NULL. */
const struct bp_event_detail *bp_event_detail_of(const struct bp_event *e, bp_span key);

#endif
