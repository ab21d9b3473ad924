/* SPDX-License-Identifier: Apache-2.0 */
/* appraise/bootrule - the rule of an event, and its label. */
#include "appraise/bootrule.h"

/* Configuration and data of platform and host: boot order, ACPI and SMBIOS tables, partitions, option ROM settings.
 * They differ between honest devices, and no code is measured there (PFP 1.05, section 3.3.4). */
#define RECORDED_PCRS (1u << 1 | 1u << 3 | 1u << 5 | 1u << 6)
#define JUDGED_PCRS   0x004bffu /* 0-9, 11, 14 */

static const char *const key_lists[] = {"PK", "KEK", "db", "dbx"};

static bool is_variable(const struct bp_boot_claim *claim, const uint8_t guid[16], bp_span name)
{
    return claim->view == BP_BOOT_VIEW_VARIABLE && bp_span_equal(claim->guid, bp_span_of(guid, 16)) &&
           bp_tcg_name_is(claim->name, name);
}

/* PCR 7 before its separator: the variables that the firmware itself read. */
static enum bp_boot_rule rule_of_variable(const struct bp_boot_claim *claim, bp_span *ret_variable)
{
    if (is_variable(claim, bp_tcg_guid_global, BP_SPAN_STR("SecureBoot"))) {
        return BP_RULE_SECURE_BOOT;
    }
    for (size_t i = 0; i < sizeof key_lists / sizeof key_lists[0]; i++) {
        const uint8_t *guid = i < 2 ? bp_tcg_guid_global : bp_tcg_guid_image_security;
        if (is_variable(claim, guid, bp_span_cstr(key_lists[i]))) {
            if (ret_variable != NULL) {
                *ret_variable = bp_span_cstr(key_lists[i]);
            }
            return BP_RULE_VARIABLE;
        }
    }
    return BP_RULE_REQUIRED;
}

enum bp_boot_rule bp_boot_rule_of(const struct bp_boot_event *ev, uint32_t separators, bp_span *ret_variable)
{
    const uint32_t pcr = ev->claim.pcr;
    if (!ev->extended || pcr >= 32 || (JUDGED_PCRS & 1u << pcr) == 0) {
        return BP_RULE_NONE;
    }
    if (ev->claim.view == BP_BOOT_VIEW_SEPARATOR) {
        return BP_RULE_SEPARATOR;
    }
    if (ev->claim.view == BP_BOOT_VIEW_SEPARATOR_ERROR) {
        return BP_RULE_ERROR;
    }
    if (pcr == 7 && (separators & 1u << 7) == 0) {
        return rule_of_variable(&ev->claim, ret_variable);
    }
    if ((RECORDED_PCRS & 1u << pcr) != 0) {
        return BP_RULE_RECORDED;
    }
    /* "Calling EFI Application from Boot Option", "Returning ...": how often depends on the boot order. An image is
     * never a line of printable text, so nothing that runs passes by this. */
    if (pcr == 4 && ev->claim.view == BP_BOOT_VIEW_TEXT) {
        return BP_RULE_RECORDED;
    }
    return BP_RULE_REQUIRED;
}

/* --- labels --- */

/* Printable ASCII of the text, every other byte of it (UTF-16) when `step` is 2. */
static bp_span text_label(bp_span text, size_t step, char room[BP_BOOT_LABEL_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < text.n && n < BP_BOOT_LABEL_MAX && text.p[i] != 0; i += step) {
        room[n++] = text.p[i] >= 0x20 && text.p[i] < 0x7f ? (char)text.p[i] : '?';
    }
    return bp_span_of(room, n);
}

static bp_span guess_text(bp_span text, char room[BP_BOOT_LABEL_MAX])
{
    const bool is_wide = text.n >= 4 && text.n % 2 == 0 && text.p[1] == 0 && text.p[3] == 0;
    return text_label(text, is_wide ? 2 : 1, room);
}

static const char *type_label(uint32_t type)
{
    switch (type) {
    case BP_EV_S_CRTM_VERSION:
    case BP_EV_S_CRTM_CONTENTS:
        return "firmware core";
    case BP_EV_EFI_PLATFORM_FIRMWARE_BLOB:
    case BP_EV_EFI_PLATFORM_FIRMWARE_BLOB2:
    case BP_EV_POST_CODE:
    case BP_EV_POST_CODE2:
        return "firmware volume";
    case BP_EV_EFI_BOOT_SERVICES_APPLICATION:
        return "boot application";
    case BP_EV_EFI_BOOT_SERVICES_DRIVER:
    case BP_EV_EFI_RUNTIME_SERVICES_DRIVER:
        return "firmware driver";
    case BP_EV_EFI_VARIABLE_AUTHORITY:
        return "signer of the boot application";
    case BP_EV_EFI_GPT_EVENT:
    case BP_EV_EFI_GPT_EVENT2:
        return "partition table";
    case BP_EV_CPU_MICROCODE:
        return "processor microcode";
    default:
        break;
    }
    const char *name = bp_tcg_type_name(type);
    return name != NULL ? name : "unknown event";
}

bp_span bp_boot_label(const struct bp_tcg_event *ev, char room[BP_BOOT_LABEL_MAX])
{
    bp_span label = BP_SPAN_EMPTY;
    struct bp_tcg_tag tag;
    struct bp_tcg_variable variable;
    struct bp_tcg_blob blob;
    if (ev->type == BP_EV_IPL || ev->type == BP_EV_ACTION || ev->type == BP_EV_EFI_ACTION) {
        label = guess_text(ev->data, room);
    } else if (ev->type == BP_EV_EVENT_TAG && !bp_failed(bp_tcg_tag_read(ev->data, &tag))) {
        label = guess_text(tag.data, room);
    } else if ((ev->type == BP_EV_EFI_VARIABLE_DRIVER_CONFIG || ev->type == BP_EV_EFI_VARIABLE_BOOT ||
                ev->type == BP_EV_EFI_VARIABLE_BOOT2) &&
               !bp_failed(bp_tcg_variable_read(ev->data, &variable))) {
        label = text_label(variable.name, 2, room);
    } else if (ev->type == BP_EV_EFI_PLATFORM_FIRMWARE_BLOB2 &&
               !bp_failed(bp_tcg_blob_read(ev->type, ev->data, &blob))) {
        label = text_label(blob.description, 1, room);
    }
    return label.n != 0 ? label : text_label(bp_span_cstr(type_label(ev->type)), 1, room);
}
