/* SPDX-License-Identifier: Apache-2.0 */
/* codec/tcglog - TCG boot event log. */
#include "codec/tcglog.h"

#define BP_MODULE TCGLOG

/* What the digest of each type covers, by PFP 1.05 section 10.4.1, table 14 (and 1.06 where said),
 * and by what firmware really does: EXACT only where every machine that we saw follows it and a
 * claim is taken from the data. */
static const struct {
    uint32_t type;
    enum bp_tcg_class cls;
    const char *name;
} types[] = {
    {BP_EV_PREBOOT_CERT, BP_TCG_ANNOTATION, "EV_PREBOOT_CERT"}, /* deprecated */
    {BP_EV_POST_CODE, BP_TCG_ANNOTATION,
     "EV_POST_CODE"},                               /* digest of the code; data: address or name */
    {BP_EV_UNUSED, BP_TCG_ANNOTATION, "EV_UNUSED"}, /* reserved */
    {BP_EV_NO_ACTION, BP_TCG_NOT_EXTENDED, "EV_NO_ACTION"}, /* informative; digests are zero */
    {BP_EV_SEPARATOR, BP_TCG_EXACT,
     "EV_SEPARATOR"}, /* H(data), data 0 or 0xffffffff; error: section 10.4 */
    {BP_EV_ACTION, BP_TCG_ANNOTATION,
     "EV_ACTION"}, /* string; firmware differs on the closing zero */
    {BP_EV_EVENT_TAG, BP_TCG_ANNOTATION,
     "EV_EVENT_TAG"}, /* Linux's stub: digest of load options, initrd */
    {BP_EV_S_CRTM_CONTENTS, BP_TCG_ANNOTATION,
     "EV_S_CRTM_CONTENTS"}, /* digest of the CRTM; data: a name */
    {BP_EV_S_CRTM_VERSION, BP_TCG_ANNOTATION,
     "EV_S_CRTM_VERSION"}, /* H(data) by the spec, not on every machine */
    {BP_EV_CPU_MICROCODE, BP_TCG_ANNOTATION,
     "EV_CPU_MICROCODE"}, /* digest of the microcode; data: a descriptor */
    {BP_EV_PLATFORM_CONFIG_FLAGS, BP_TCG_ANNOTATION,
     "EV_PLATFORM_CONFIG_FLAGS"},                                       /* maker's choice */
    {BP_EV_TABLE_OF_DEVICES, BP_TCG_ANNOTATION, "EV_TABLE_OF_DEVICES"}, /* maker's choice */
    {BP_EV_COMPACT_HASH, BP_TCG_ANNOTATION,
     "EV_COMPACT_HASH"}, /* digest of what TCG_CompactHashLogExtendEvent got */
    {BP_EV_IPL, BP_TCG_ANNOTATION,
     "EV_IPL"}, /* boot loaders: file digests, or commands with prefix */
    {BP_EV_IPL_PARTITION_DATA, BP_TCG_ANNOTATION, "EV_IPL_PARTITION_DATA"},
    {BP_EV_NONHOST_CODE, BP_TCG_ANNOTATION, "EV_NONHOST_CODE"},
    {BP_EV_NONHOST_CONFIG, BP_TCG_ANNOTATION, "EV_NONHOST_CONFIG"},
    {BP_EV_NONHOST_INFO, BP_TCG_ANNOTATION, "EV_NONHOST_INFO"},
    {BP_EV_OMIT_BOOT_DEVICE_EVENTS, BP_TCG_ANNOTATION, "EV_OMIT_BOOT_DEVICE_EVENTS"},
    {BP_EV_POST_CODE2, BP_TCG_ANNOTATION, "EV_POST_CODE2"}, /* PFP 1.06 */
    {BP_EV_EFI_VARIABLE_DRIVER_CONFIG, BP_TCG_EXACT,
     "EV_EFI_VARIABLE_DRIVER_CONFIG"}, /* H(UEFI_VARIABLE_DATA) */
    {BP_EV_EFI_VARIABLE_BOOT, BP_TCG_EXACT,
     "EV_EFI_VARIABLE_BOOT"}, /* H(VariableData), or of the whole on old firmware */
    {BP_EV_EFI_BOOT_SERVICES_APPLICATION, BP_TCG_ANNOTATION,
     "EV_EFI_BOOT_SERVICES_APPLICATION"}, /* PE/COFF image digest; data: UEFI_IMAGE_LOAD_EVENT */
    {BP_EV_EFI_BOOT_SERVICES_DRIVER, BP_TCG_ANNOTATION,
     "EV_EFI_BOOT_SERVICES_DRIVER"}, /* the same */
    {BP_EV_EFI_RUNTIME_SERVICES_DRIVER, BP_TCG_ANNOTATION,
     "EV_EFI_RUNTIME_SERVICES_DRIVER"},                      /* the same */
    {BP_EV_EFI_GPT_EVENT, BP_TCG_EXACT, "EV_EFI_GPT_EVENT"}, /* H(UEFI_GPT_DATA) */
    {BP_EV_EFI_ACTION, BP_TCG_EXACT, "EV_EFI_ACTION"},       /* H(string without closing zero) */
    {BP_EV_EFI_PLATFORM_FIRMWARE_BLOB, BP_TCG_ANNOTATION,
     "EV_EFI_PLATFORM_FIRMWARE_BLOB"}, /* digest of the blob; data: where it lies */
    {BP_EV_EFI_HANDOFF_TABLES, BP_TCG_ANNOTATION,
     "EV_EFI_HANDOFF_TABLES"}, /* digest of the tables; data: pointers */
    {BP_EV_EFI_PLATFORM_FIRMWARE_BLOB2, BP_TCG_ANNOTATION, "EV_EFI_PLATFORM_FIRMWARE_BLOB2"},
    {BP_EV_EFI_HANDOFF_TABLES2, BP_TCG_ANNOTATION, "EV_EFI_HANDOFF_TABLES2"},
    {BP_EV_EFI_VARIABLE_BOOT2, BP_TCG_EXACT, "EV_EFI_VARIABLE_BOOT2"}, /* H(UEFI_VARIABLE_DATA) */
    {BP_EV_EFI_GPT_EVENT2, BP_TCG_ANNOTATION,
     "EV_EFI_GPT_EVENT2"}, /* PFP 1.06: GPT with some GUIDs zeroed before hashing */
    {BP_EV_EFI_HCRTM_EVENT, BP_TCG_ANNOTATION,
     "EV_EFI_HCRTM_EVENT"}, /* digest of the H-CRTM; data: "HCRTM" */
    {BP_EV_EFI_VARIABLE_AUTHORITY, BP_TCG_EXACT,
     "EV_EFI_VARIABLE_AUTHORITY"}, /* H(UEFI_VARIABLE_DATA) */
    {BP_EV_EFI_SPDM_FIRMWARE_BLOB, BP_TCG_ANNOTATION, "EV_EFI_SPDM_FIRMWARE_BLOB"},
    {BP_EV_EFI_SPDM_FIRMWARE_CONFIG, BP_TCG_ANNOTATION, "EV_EFI_SPDM_FIRMWARE_CONFIG"},
    {BP_EV_EFI_SPDM_DEVICE_POLICY, BP_TCG_ANNOTATION, "EV_EFI_SPDM_DEVICE_POLICY"},
    {BP_EV_EFI_SPDM_DEVICE_AUTHORITY, BP_TCG_ANNOTATION, "EV_EFI_SPDM_DEVICE_AUTHORITY"},
};

static size_t type_row(uint32_t type)
{
    size_t i = 0;
    while (i < sizeof types / sizeof types[0] && types[i].type != type) {
        i++;
    }
    return i;
}

enum bp_tcg_class bp_tcg_class_of(uint32_t type)
{
    const size_t i = type_row(type);
    return i < sizeof types / sizeof types[0] ? types[i].cls : BP_TCG_UNKNOWN;
}

const char *bp_tcg_type_name(uint32_t type)
{
    const size_t i = type_row(type);
    return i < sizeof types / sizeof types[0] ? types[i].name : NULL;
}

/* --- the head --- */

#define ALG_SHA1    0x0004u
#define SHA1_SIZE   20u
#define ALG_COUNT   (sizeof algs / sizeof algs[0])
#define SPEC_ID     BP_SPAN_STR("Spec ID Event03\0")
#define LOCALITY_ID BP_SPAN_STR("StartupLocality\0")

/* Digest sizes that a head may not change: TCG Algorithm Registry. */
static const struct bp_tcg_bank algs[] = {{0x0004, 20}, {0x000b, 32}, {0x000c, 48}, {0x000d, 64},
                                          {0x0012, 32}, {0x0027, 32}, {0x0028, 48}, {0x0029, 64}};

static bool is_bank_sane(const struct bp_tcg_bank *bank)
{
    for (size_t i = 0; i < ALG_COUNT; i++) {
        if (algs[i].alg == bank->alg) {
            return algs[i].size == bank->size;
        }
    }
    return bank->size >= SHA1_SIZE &&
           bank->size <= 64; /* an algorithm of later days: carried, never believed */
}

static bool is_zero(bp_span s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != 0) {
            return false;
        }
    }
    return true;
}

/* One bank; -1 is the same as "already there". */
static bool has_bank(const struct bp_tcglog *log, uint32_t count, uint16_t alg)
{
    for (uint32_t i = 0; i < count; i++) {
        if (log->bank[i].alg == alg) {
            return true;
        }
    }
    return false;
}

/*     signature 16 | platformClass u32 | minor u8 | major u8 | errata u8 | uintnSize u8
 *     numberOfAlgorithms u32 | {algorithmId u16, digestSize u16} ... | vendorInfoSize u8 |
 * vendorInfo */
static bp_result read_spec_id(bp_span data, struct bp_tcglog *log)
{
    bp_rd rd = bp_rd_over(data);
    bp_rd_skip(&rd, SPEC_ID.n + 4 + 1);
    const uint8_t major = bp_rd_u8(&rd);
    bp_rd_skip(&rd, 1);
    const uint8_t uintn = bp_rd_u8(&rd);
    log->banks = bp_rd_le32(&rd);
    BP_TRY(bp_rd_state(&rd));
    if (major != 2) {
        return BP_FAIL(UNSUPPORTED);
    }
    if (log->banks == 0 || uintn < 1 || uintn > 2) {
        return BP_FAIL(MALFORMED);
    }
    if (log->banks > BP_TCG_BANKS_MAX) {
        return BP_FAIL(LIMIT);
    }
    for (uint32_t i = 0; i < log->banks; i++) {
        log->bank[i].alg = bp_rd_le16(&rd);
        log->bank[i].size = bp_rd_le16(&rd);
        BP_TRY(bp_rd_state(&rd));
        if (!is_bank_sane(&log->bank[i]) || has_bank(log, i, log->bank[i].alg)) {
            return BP_FAIL(MALFORMED);
        }
    }
    bp_rd_skip(&rd, bp_rd_u8(&rd));
    return bp_rd_finish(&rd);
}

bp_result bp_tcglog_open(bp_span log, struct bp_tcglog *ret)
{
    if (log.n > BP_TCG_LOG_MAX) {
        return BP_FAIL(LIMIT);
    }
    struct bp_tcglog out = {.log = log, .agile = true};
    bp_rd rd = bp_rd_over(log);
    const uint32_t pcr = bp_rd_le32(&rd);
    const uint32_t type = bp_rd_le32(&rd);
    const bp_span digest = bp_rd_bytes(&rd, SHA1_SIZE);
    const bp_span data = bp_rd_bytes(&rd, bp_rd_le32(&rd));
    BP_TRY(bp_rd_state(&rd));
    if (type == BP_EV_NO_ACTION && bp_span_equal(bp_span_sub(data, 0, SPEC_ID.n), SPEC_ID)) {
        if (pcr != 0 || !is_zero(digest)) {
            return BP_FAIL(MALFORMED);
        }
        BP_TRY(read_spec_id(data, &out));
        out.at = rd.at;
    } else {
        /* The SHA-1 form may open with its own Spec ID (Event00, Event02), an EV_NO_ACTION like any
         * other. */
        out.agile = false;
        out.banks = 1;
        out.bank[0] = (struct bp_tcg_bank){ALG_SHA1, SHA1_SIZE};
    }
    *ret = out;
    return BP_OK;
}

/* --- events --- */

static uint16_t bank_size(const struct bp_tcglog *log, uint16_t alg)
{
    for (uint32_t i = 0; i < log->banks; i++) {
        if (log->bank[i].alg == alg) {
            return log->bank[i].size;
        }
    }
    return 0;
}

static void get_digests(const struct bp_tcglog *log, bp_rd *rd, struct bp_tcg_event *ev)
{
    if (!log->agile) {
        ev->digests = 1;
        ev->digest[0] = (struct bp_tcg_digest){ALG_SHA1, bp_rd_bytes(rd, SHA1_SIZE)};
        return;
    }
    ev->digests = bp_rd_le32(rd);
    /* Every bank of the head, each once: an event that leaves one out would leave that bank open to
     * anyone. */
    if (ev->digests != log->banks) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
        return;
    }
    for (uint32_t i = 0; i < ev->digests; i++) {
        const uint16_t alg = bp_rd_le16(rd);
        const uint16_t size = bank_size(log, alg);
        if (size == 0 || bp_tcg_digest_of(ev, alg).n != 0) {
            bp_rd_fail(rd, BP_FAIL(MALFORMED));
            return;
        }
        ev->digest[i] = (struct bp_tcg_digest){alg, bp_rd_bytes(rd, size)};
    }
}

static bool is_event_sane(const struct bp_tcg_event *ev)
{
    if (ev->type != BP_EV_NO_ACTION) {
        return ev->pcr < BP_TCG_PCRS;
    }
    for (uint32_t i = 0; i < ev->digests; i++) {
        if (!is_zero(ev->digest[i].digest)) {
            return false;
        }
    }
    return ev->pcr < BP_TCG_PCRS || ev->pcr == BP_TCG_PCR_NONE;
}

/* Room that ACPI reserved for a log (CCEL) and nothing was written to: all ones or all zeros,
 * longer than the head of an event. No event begins so: all zeros has no bank, all ones no such
 * type. */
static bool is_unused(bp_span rest)
{
    if (rest.n < 12 || (rest.p[0] != 0 && rest.p[0] != 0xff)) {
        return false;
    }
    for (size_t i = 1; i < rest.n; i++) {
        if (rest.p[i] != rest.p[0]) {
            return false;
        }
    }
    return true;
}

/*     agile: pcr u32 | type u32 | count u32 | {alg u16, digest} ... | size u32 | data
 *     SHA-1: pcr u32 | type u32 | digest 20 | size u32 | data */
bp_result bp_tcglog_next(struct bp_tcglog *log, struct bp_tcg_event *ret)
{
    const bp_span rest = bp_span_sub(log->log, log->at, log->log.n - log->at);
    if (rest.n == 0 || (log->agile && is_unused(rest))) {
        return BP_FAIL(NOT_FOUND);
    }
    if (log->next_index >= BP_TCG_EVENTS_MAX) {
        return BP_FAIL(LIMIT);
    }
    bp_rd rd = bp_rd_over(log->log);
    bp_rd_skip(&rd, log->at);
    struct bp_tcg_event ev = {.index = log->next_index, .at = log->at};
    ev.pcr = bp_rd_le32(&rd);
    ev.type = bp_rd_le32(&rd);
    get_digests(log, &rd, &ev);
    ev.data = bp_rd_bytes(&rd, bp_rd_le32(&rd));
    BP_TRY(bp_rd_state(&rd));
    if (!is_event_sane(&ev)) {
        return BP_FAIL(MALFORMED);
    }
    ev.size = rd.at - log->at;
    log->at = rd.at;
    log->next_index++;
    *ret = ev;
    return BP_OK;
}

bp_span bp_tcg_digest_of(const struct bp_tcg_event *event, uint16_t alg)
{
    for (uint32_t i = 0; i < event->digests && i < BP_TCG_BANKS_MAX; i++) {
        if (event->digest[i].alg == alg) {
            return event->digest[i].digest;
        }
    }
    return BP_SPAN_EMPTY;
}

void bp_tcglog_write_head(bp_wr *wr, const struct bp_tcg_bank *banks, uint32_t count)
{
    static const uint8_t zeros[SHA1_SIZE];
    /* platform class 0 (client), minor 0, major 2, errata 0, UINTN of 8 bytes (2) */
    static const uint8_t version[] = {0, 0, 0, 0, 0, 2, 0, 2};
    if (count == 0 || count > BP_TCG_BANKS_MAX) {
        bp_wr_fail(wr, BP_FAIL(BAD_ARGUMENT));
        return;
    }
    bp_wr_le32(wr, 0);
    bp_wr_le32(wr, BP_EV_NO_ACTION);
    bp_wr_bytes(wr, BP_SPAN_OF(zeros));
    bp_wr_le32(wr, (uint32_t)(SPEC_ID.n + sizeof version + 4 + 4 * count + 1));
    bp_wr_bytes(wr, SPEC_ID);
    bp_wr_bytes(wr, BP_SPAN_OF(version));
    bp_wr_le32(wr, count);
    for (uint32_t i = 0; i < count; i++) {
        bp_wr_le16(wr, banks[i].alg);
        bp_wr_le16(wr, banks[i].size);
    }
    bp_wr_u8(wr, 0);
}

void bp_tcglog_write_event(bp_wr *wr, uint32_t pcr, uint32_t type,
                           const struct bp_tcg_digest *digests, uint32_t count, bp_span data)
{
    if (data.n > BP_TCG_LOG_MAX) {
        bp_wr_fail(wr, BP_FAIL(LIMIT));
        return;
    }
    bp_wr_le32(wr, pcr);
    bp_wr_le32(wr, type);
    bp_wr_le32(wr, count);
    for (uint32_t i = 0; i < count; i++) {
        bp_wr_le16(wr, digests[i].alg);
        bp_wr_bytes(wr, digests[i].digest);
    }
    bp_wr_le32(wr, (uint32_t)data.n);
    bp_wr_bytes(wr, data);
}

/* --- views --- */

/* 8be4df61-93ca-11d2-aa0d-00e098032b8c */
const uint8_t bp_tcg_guid_global[16] = {0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11,
                                        0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c};
/* d719b2cb-3d3a-4596-a3bc-dad00e67656f */
const uint8_t bp_tcg_guid_image_security[16] = {0xcb, 0xb2, 0x19, 0xd7, 0x3a, 0x3d, 0x96, 0x45,
                                                0xa3, 0xbc, 0xda, 0xd0, 0x0e, 0x67, 0x65, 0x6f};

/* A length that the log gives as u64: one beyond the input is cut down to one that fails the read.
 */
static size_t get_len64(bp_rd *rd)
{
    const uint64_t n = bp_rd_le64(rd);
    return n > BP_TCG_LOG_MAX ? BP_TCG_LOG_MAX : (size_t)n;
}

/*     GUID 16 | UnicodeNameLength u64, characters | VariableDataLength u64 | UnicodeName |
 * VariableData */
bp_result bp_tcg_variable_read(bp_span data, struct bp_tcg_variable *ret)
{
    bp_rd rd = bp_rd_over(data);
    struct bp_tcg_variable v = {.guid = bp_rd_bytes(&rd, 16)};
    const size_t name_chars = get_len64(&rd);
    const size_t value_size = get_len64(&rd);
    v.name = bp_rd_bytes(&rd, 2 * name_chars);
    v.value = bp_rd_bytes(&rd, value_size);
    v.extra = bp_rd_rest(&rd);
    BP_TRY(bp_rd_state(&rd));
    if (v.name.n == 0) {
        return BP_FAIL(MALFORMED);
    }
    *ret = v;
    return BP_OK;
}

bool bp_tcg_name_is(bp_span utf16, bp_span ascii)
{
    if (utf16.n != 2 * ascii.n) {
        return false;
    }
    for (size_t i = 0; i < ascii.n; i++) {
        if (utf16.p[2 * i] != ascii.p[i] || utf16.p[2 * i + 1] != 0) {
            return false;
        }
    }
    return true;
}

bp_result bp_tcg_image_read(bp_span data, struct bp_tcg_image *ret)
{
    bp_rd rd = bp_rd_over(data);
    struct bp_tcg_image image = {.address = bp_rd_le64(&rd)};
    image.length = bp_rd_le64(&rd);
    image.link_address = bp_rd_le64(&rd);
    image.device_path = bp_rd_bytes(&rd, get_len64(&rd));
    BP_TRY(bp_rd_finish(&rd));
    *ret = image;
    return BP_OK;
}

bp_result bp_tcg_separator_read(bp_span data, enum bp_tcg_separator *ret)
{
    bp_rd rd = bp_rd_over(data);
    const uint32_t v = bp_rd_le32(&rd);
    BP_TRY(bp_rd_finish(&rd));
    *ret = v == 0 || v == 0xffffffffu ? BP_TCG_SEPARATOR_NORMAL : BP_TCG_SEPARATOR_ERROR;
    return BP_OK;
}

bp_result bp_tcg_action_read(bp_span data, bp_span *ret)
{
    if (data.n == 0 || data.n > 128) {
        return BP_FAIL(MALFORMED);
    }
    for (size_t i = 0; i < data.n; i++) {
        if (data.p[i] < 0x20 || data.p[i] > 0x7e) {
            return BP_FAIL(MALFORMED);
        }
    }
    *ret = data;
    return BP_OK;
}

/*     "EFI PART" ... header of 92 bytes, with DiskGUID at 56 and SizeOfPartitionEntry at 84 | count
 * u64 | entries */
bp_result bp_tcg_gpt_read(bp_span data, struct bp_tcg_gpt *ret)
{
    bp_rd rd = bp_rd_over(data);
    const bp_span header = bp_rd_bytes(&rd, 92);
    struct bp_tcg_gpt gpt = {.entries = bp_rd_le64(&rd)};
    gpt.table = bp_rd_rest(&rd);
    BP_TRY(bp_rd_state(&rd));
    bp_rd size = bp_rd_over(bp_span_sub(header, 84, 4));
    gpt.entry_size = bp_rd_le32(&size);
    gpt.disk_guid = bp_span_sub(header, 56, 16);
    if (!bp_span_equal(bp_span_sub(header, 0, 8), BP_SPAN_STR("EFI PART")) ||
        gpt.entry_size < 128 || gpt.entry_size > 4096 || gpt.entries > 1024 ||
        gpt.entries * gpt.entry_size != gpt.table.n) {
        return BP_FAIL(MALFORMED);
    }
    *ret = gpt;
    return BP_OK;
}

bp_result bp_tcg_blob_read(uint32_t type, bp_span data, struct bp_tcg_blob *ret)
{
    bp_rd rd = bp_rd_over(data);
    struct bp_tcg_blob blob = {.description = BP_SPAN_EMPTY};
    if (type == BP_EV_EFI_PLATFORM_FIRMWARE_BLOB2) {
        blob.description = bp_rd_bytes(&rd, bp_rd_u8(&rd));
    }
    blob.base = bp_rd_le64(&rd);
    blob.length = bp_rd_le64(&rd);
    BP_TRY(bp_rd_finish(&rd));
    *ret = blob;
    return BP_OK;
}

bp_result bp_tcg_handoff_read(uint32_t type, bp_span data, struct bp_tcg_handoff *ret)
{
    bp_rd rd = bp_rd_over(data);
    struct bp_tcg_handoff handoff = {.description = BP_SPAN_EMPTY};
    if (type == BP_EV_EFI_HANDOFF_TABLES2) {
        handoff.description = bp_rd_bytes(&rd, bp_rd_u8(&rd));
    }
    handoff.count = bp_rd_le64(&rd);
    handoff.entries = bp_rd_rest(&rd);
    BP_TRY(bp_rd_state(&rd));
    if (handoff.count > 1024 || handoff.count * 24 != handoff.entries.n) {
        return BP_FAIL(MALFORMED);
    }
    *ret = handoff;
    return BP_OK;
}

bp_result bp_tcg_tag_read(bp_span data, struct bp_tcg_tag *ret)
{
    bp_rd rd = bp_rd_over(data);
    struct bp_tcg_tag tag = {.id = bp_rd_le32(&rd)};
    tag.data = bp_rd_bytes(&rd, bp_rd_le32(&rd));
    BP_TRY(bp_rd_finish(&rd));
    *ret = tag;
    return BP_OK;
}

bp_result bp_tcg_startup_locality(const struct bp_tcg_event *event, uint8_t *ret)
{
    const bp_span id = LOCALITY_ID;
    if (event->type != BP_EV_NO_ACTION || !bp_span_equal(bp_span_sub(event->data, 0, id.n), id)) {
        return BP_FAIL(NOT_FOUND);
    }
    bp_rd rd = bp_rd_over(event->data);
    bp_rd_skip(&rd, id.n);
    const uint8_t locality = bp_rd_u8(&rd);
    BP_TRY(bp_rd_finish(&rd));
    if (event->pcr != 0 || (locality != 0 && locality != 3 && locality != 4)) {
        return BP_FAIL(MALFORMED);
    }
    *ret = locality;
    return BP_OK;
}

/* --- covers --- */

static size_t add(struct bp_tcg_cover *ret, size_t n, bp_span part)
{
    ret[n] = (struct bp_tcg_cover){.part = part};
    return n + 1;
}

static size_t add_whole(struct bp_tcg_cover *ret, size_t n, bp_span part)
{
    ret[n] = (struct bp_tcg_cover){.part = part, .whole = true};
    return n + 1;
}

/* The data, or (shim up to 15.2 logs one byte more than it hashes) a UEFI variable but for its last
 * byte. */
static size_t whole_covers(const struct bp_tcg_event *ev, struct bp_tcg_cover *ret)
{
    struct bp_tcg_variable v;
    size_t n = 0;
    const bool variable = !bp_failed(bp_tcg_variable_read(ev->data, &v));
    /* PFP 1.05: VariableData alone; firmware before it hashed the whole. */
    if (variable && ev->type == BP_EV_EFI_VARIABLE_BOOT && v.extra.n == 0) {
        n = add(ret, n, v.value);
    }
    n = add_whole(ret, n, ev->data);
    if (variable && v.extra.n > 0) {
        n = add_whole(ret, n, bp_span_sub(ev->data, 0, ev->data.n - 1));
    }
    return n;
}

/* Where the first character c stands in the first `limit` bytes; limit when it does not. */
static size_t find(bp_span s, uint8_t c, size_t limit)
{
    size_t i = 0;
    while (i < s.n && i < limit && s.p[i] != c) {
        i++;
    }
    return i < s.n ? i : limit;
}

/* Boot loaders log strings: as hashed; with a zero byte that they hashed and did not log
 * (systemd-boot); or behind a word that they did not hash, "grub_cmd: " (upstream) or "grub_cmd "
 * (Red Hat), with or without the closing zero. */
static size_t string_covers(bp_span data, struct bp_tcg_cover *ret, size_t count)
{
    size_t n = add(ret, count, data);
    ret[n - 1].zero_after = true;
    const size_t word = find(data, ' ', 24);
    if (word < 24 && data.n > word + 1) {
        const bp_span tail = bp_span_sub(data, word + 1, data.n - word - 1);
        n = add(ret, n, tail);
        n = tail.p[tail.n - 1] == 0 ? add(ret, n, bp_span_sub(tail, 0, tail.n - 1)) : n;
    }
    if (data.n > 0 && data.p[data.n - 1] == 0) {
        n = add(ret, n, bp_span_sub(data, 0, data.n - 1));
    }
    return n;
}

size_t bp_tcg_covers(const struct bp_tcg_event *event, struct bp_tcg_cover ret[BP_TCG_COVER_MAX])
{
    if (event->type == BP_EV_NO_ACTION) {
        return 0;
    }
    const size_t n = whole_covers(event, ret);
    return event->type == BP_EV_IPL || event->type == BP_EV_ACTION
               ? string_covers(event->data, ret, n)
               : n;
}
