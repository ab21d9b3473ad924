/* SPDX-License-Identifier: Apache-2.0 */
/* codec/tcglog - iterator over a TCG boot event log and typed views of its events.
 *
 * Two forms are read: the crypto-agile one (TCG PC Client Platform Firmware Profile 1.05, section
 * 10; "PFP" below) and the older SHA-1 one, which has a single implicit bank. Little-endian.
 * Nothing is copied; the iterator is a plain value, so that a copy of it is a bookmark. What is NOT
 * proven by reading: everything. A log is believed event by event, by replay and by hashing what a
 * digest covers (core/bootlog). In particular the event type is covered by no digest at all. */
#ifndef BP_CODEC_TCGLOG_H
#define BP_CODEC_TCGLOG_H

#include "base/buf.h"

#define BP_TCG_BANKS_MAX  8u
#define BP_TCG_EVENTS_MAX 4096u      /* ceiling on events in a log */
#define BP_TCG_LOG_MAX    (1u << 20) /* ceiling on its bytes */
#define BP_TCG_PCRS       24u
#define BP_TCG_PCR_NONE   0xffffffffu /* EV_NO_ACTION may carry it */

/* What a digest of the event says about its data. */
enum bp_tcg_class {
    BP_TCG_UNKNOWN, /* type not in the table: an appraisal fails closed on it */
    BP_TCG_NOT_EXTENDED,
    BP_TCG_EXACT,     /* the digest covers the data; where it does not, the data is a lie */
    BP_TCG_ANNOTATION /* data may describe what was hashed, or be it; never a claim by itself */
};

/* Event types (PFP 1.05 table 14 and 1.06); what the digest of each covers: the table in tcglog.c.
 */
#define BP_EV_PREBOOT_CERT                  0x00000000u
#define BP_EV_POST_CODE                     0x00000001u
#define BP_EV_UNUSED                        0x00000002u
#define BP_EV_NO_ACTION                     0x00000003u
#define BP_EV_SEPARATOR                     0x00000004u
#define BP_EV_ACTION                        0x00000005u
#define BP_EV_EVENT_TAG                     0x00000006u
#define BP_EV_S_CRTM_CONTENTS               0x00000007u
#define BP_EV_S_CRTM_VERSION                0x00000008u
#define BP_EV_CPU_MICROCODE                 0x00000009u
#define BP_EV_PLATFORM_CONFIG_FLAGS         0x0000000au
#define BP_EV_TABLE_OF_DEVICES              0x0000000bu
#define BP_EV_COMPACT_HASH                  0x0000000cu
#define BP_EV_IPL                           0x0000000du
#define BP_EV_IPL_PARTITION_DATA            0x0000000eu
#define BP_EV_NONHOST_CODE                  0x0000000fu
#define BP_EV_NONHOST_CONFIG                0x00000010u
#define BP_EV_NONHOST_INFO                  0x00000011u
#define BP_EV_OMIT_BOOT_DEVICE_EVENTS       0x00000012u
#define BP_EV_POST_CODE2                    0x00000013u
#define BP_EV_EFI_VARIABLE_DRIVER_CONFIG    0x80000001u
#define BP_EV_EFI_VARIABLE_BOOT             0x80000002u
#define BP_EV_EFI_BOOT_SERVICES_APPLICATION 0x80000003u
#define BP_EV_EFI_BOOT_SERVICES_DRIVER      0x80000004u
#define BP_EV_EFI_RUNTIME_SERVICES_DRIVER   0x80000005u
#define BP_EV_EFI_GPT_EVENT                 0x80000006u
#define BP_EV_EFI_ACTION                    0x80000007u
#define BP_EV_EFI_PLATFORM_FIRMWARE_BLOB    0x80000008u
#define BP_EV_EFI_HANDOFF_TABLES            0x80000009u
#define BP_EV_EFI_PLATFORM_FIRMWARE_BLOB2   0x8000000au
#define BP_EV_EFI_HANDOFF_TABLES2           0x8000000bu
#define BP_EV_EFI_VARIABLE_BOOT2            0x8000000cu
#define BP_EV_EFI_GPT_EVENT2                0x8000000du
#define BP_EV_EFI_HCRTM_EVENT               0x80000010u
#define BP_EV_EFI_VARIABLE_AUTHORITY        0x800000e0u
#define BP_EV_EFI_SPDM_FIRMWARE_BLOB        0x800000e1u
#define BP_EV_EFI_SPDM_FIRMWARE_CONFIG      0x800000e2u
#define BP_EV_EFI_SPDM_DEVICE_POLICY        0x800000e3u
#define BP_EV_EFI_SPDM_DEVICE_AUTHORITY     0x800000e4u

/* Class of a type; BP_TCG_UNKNOWN when it is not in the table. */
enum bp_tcg_class bp_tcg_class_of(uint32_t type);
/* "EV_SEPARATOR" and so on, NULL for a type not in the table; for people. */
const char *bp_tcg_type_name(uint32_t type);

struct bp_tcg_digest {
    uint16_t alg; /* TPM_ALG_ID */
    bp_span digest;
};

struct bp_tcg_event {
    uint32_t index; /* from 0; the Spec ID event is not counted, it is no measurement */
    uint32_t pcr;   /* 0..23; BP_TCG_PCR_NONE too for EV_NO_ACTION */
    uint32_t type;
    uint32_t digests;
    struct bp_tcg_digest digest[BP_TCG_BANKS_MAX];
    bp_span data;
    size_t at;   /* offset of the event in the log */
    size_t size; /* of the whole event */
};

struct bp_tcg_bank {
    uint16_t alg;
    uint16_t size;
};

/* The iterator. Fields are read by callers, written by the functions below. */
struct bp_tcglog {
    bp_span log;
    size_t at;
    uint32_t next_index;
    bool agile; /* false: the SHA-1 form */
    uint32_t banks;
    struct bp_tcg_bank bank[BP_TCG_BANKS_MAX];
};

/* Reads the head of the log (the Spec ID event of the crypto-agile form) and stands before the
 * first event. TRUNCATED, MALFORMED  not a log, a digest size that is not the algorithm's, the same
 * bank twice UNSUPPORTED           another major version of the Spec ID event LIMIT more than
 * BP_TCG_BANKS_MAX banks, or over BP_TCG_LOG_MAX bytes */
BP_MUST_CHECK bp_result bp_tcglog_open(bp_span log, struct bp_tcglog *ret);

/* Reads the next event. The iterator does not move on failure.
 *   NOT_FOUND  the log ended where an event ended, or all that follows is unused room (one value,
 *              0 or 0xff, in the crypto-agile form)
 *   TRUNCATED  the last event is cut
 *   MALFORMED  a PCR above 23; a bank twice, missing, or not of the head; EV_NO_ACTION with a
 * digest that is not zero LIMIT      more than BP_TCG_EVENTS_MAX events */
BP_MUST_CHECK bp_result bp_tcglog_next(struct bp_tcglog *log, struct bp_tcg_event *ret);

/* The event's digest of that bank; empty when there is none. */
bp_span bp_tcg_digest_of(const struct bp_tcg_event *event, uint16_t alg);

/* Writes the head of a crypto-agile log and one event with one bank: for software attesters and
 * tests. */
void bp_tcglog_write_head(bp_wr *wr, const struct bp_tcg_bank *banks, uint32_t count);
void bp_tcglog_write_event(bp_wr *wr, uint32_t pcr, uint32_t type,
                           const struct bp_tcg_digest *digests, uint32_t count, bp_span data);

/* --- views of data; each refuses (MALFORMED, TRUNCATED) data that is not of its shape --- */

/* UEFI_VARIABLE_DATA (PFP 10.2.6). `extra` is what follows VariableData: some versions of shim log
 * bytes there. */
struct bp_tcg_variable {
    bp_span guid; /* 16 bytes as logged: mixed-endian */
    bp_span name; /* UTF-16LE, no closing zero */
    bp_span value;
    bp_span extra;
};
BP_MUST_CHECK bp_result bp_tcg_variable_read(bp_span data, struct bp_tcg_variable *ret);
/* EFI_GLOBAL_VARIABLE and EFI_IMAGE_SECURITY_DATABASE_GUID, as logged. */
extern const uint8_t bp_tcg_guid_global[16];
extern const uint8_t bp_tcg_guid_image_security[16];
/* True when the UTF-16LE name is this ASCII string. */
bool bp_tcg_name_is(bp_span utf16, bp_span ascii);

/* UEFI_IMAGE_LOAD_EVENT (PFP 10.2.3): the device path is an annotation, the image is what the
 * digest says. */
struct bp_tcg_image {
    uint64_t address;
    uint64_t length;
    uint64_t link_address;
    bp_span device_path;
};
BP_MUST_CHECK bp_result bp_tcg_image_read(bp_span data, struct bp_tcg_image *ret);

/* EV_SEPARATOR: 0 and 0xffffffff end the firmware's part of a PCR; anything else says that
 * measuring failed. */
enum bp_tcg_separator { BP_TCG_SEPARATOR_NORMAL, BP_TCG_SEPARATOR_ERROR };
BP_MUST_CHECK bp_result bp_tcg_separator_read(bp_span data, enum bp_tcg_separator *ret);

/* EV_EFI_ACTION: printable ASCII, 1 to 128 characters. */
BP_MUST_CHECK bp_result bp_tcg_action_read(bp_span data, bp_span *ret);

/* UEFI_GPT_DATA (PFP 10.2.5): header of 92 bytes and the used entries. */
struct bp_tcg_gpt {
    bp_span disk_guid;
    uint64_t entries;
    uint32_t entry_size;
    bp_span table;
};
BP_MUST_CHECK bp_result bp_tcg_gpt_read(bp_span data, struct bp_tcg_gpt *ret);

/* UEFI_PLATFORM_FIRMWARE_BLOB and _BLOB2 (PFP 10.2.4); the description of BLOB2 is empty in the
 * first. */
struct bp_tcg_blob {
    bp_span description;
    uint64_t base;
    uint64_t length;
};
BP_MUST_CHECK bp_result bp_tcg_blob_read(uint32_t type, bp_span data, struct bp_tcg_blob *ret);

/* UEFI_HANDOFF_TABLE_POINTERS and POINTERS2: entries of GUID (16) and address (8). */
struct bp_tcg_handoff {
    bp_span description;
    uint64_t count;
    bp_span entries;
};
BP_MUST_CHECK bp_result bp_tcg_handoff_read(uint32_t type, bp_span data,
                                            struct bp_tcg_handoff *ret);

/* TCG_PCClientTaggedEvent (EV_EVENT_TAG). */
struct bp_tcg_tag {
    uint32_t id;
    bp_span data;
};
BP_MUST_CHECK bp_result bp_tcg_tag_read(bp_span data, struct bp_tcg_tag *ret);

/* EV_NO_ACTION StartupLocality (PFP 10.4.5.3): 0, 3 or 4. NOT_FOUND when it is another
 * EV_NO_ACTION. */
BP_MUST_CHECK bp_result bp_tcg_startup_locality(const struct bp_tcg_event *event, uint8_t *ret);

/* --- what a digest may cover --- */

#define BP_TCG_COVER_MAX 8u

/* One thing to hash: part, then (zero_after) one zero byte that firmware hashed and did not log. */
struct bp_tcg_cover {
    bp_span part;
    bool zero_after;
    bool whole; /* the data whole, or a UEFI variable whole without a byte that shim logged after it
                 */
};

/* The parts of the data of which one is hashed by the event's digest, most likely first; the count,
 * 0 when the digest is of something else by the table. EXACT: one must match. ANNOTATION: one may.
 */
size_t bp_tcg_covers(const struct bp_tcg_event *event, struct bp_tcg_cover ret[BP_TCG_COVER_MAX]);

#endif
