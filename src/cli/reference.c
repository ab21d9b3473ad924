/* SPDX-License-Identifier: Apache-2.0 */
/* cli/reference - what an image will measure, what a machine has measured. */
#include "cli/reference.h"

#include "appraise/bootrule.h"
#include "cli/initrd.h"
#include "cli/pe.h"
#include "core/bootlog.h"
#include "core/replay.h"
#include "platform/alloc.h"

#define BP_MODULE CLI

#define BLOCK 65536u

struct bp_reference_block {
    struct bp_reference_block *next;
    size_t used;
    uint8_t bytes[BLOCK];
};

void bp_references_init(struct bp_references *set)
{
    *set = (struct bp_references){0};
}

void bp_references_done(struct bp_references *set)
{
    while (set->blocks != NULL) {
        struct bp_reference_block *next = set->blocks->next;
        bp_free(set->blocks);
        set->blocks = next;
    }
    bp_free(set->ref);
    *set = (struct bp_references){0};
}

/* --- the set --- */

static bp_result keep(struct bp_references *set, bp_span s, bp_span *ret)
{
    if (s.n > BLOCK) {
        return BP_FAIL(LIMIT);
    }
    if (set->blocks == NULL || s.n > BLOCK - set->blocks->used) {
        struct bp_reference_block *b = bp_alloc(sizeof *b);
        if (b == NULL) {
            return BP_FAIL(NO_MEMORY);
        }
        b->next = set->blocks;
        set->blocks = b;
    }
    uint8_t *p = set->blocks->bytes + set->blocks->used;
    if (s.n != 0) {
        memcpy(p, s.p, s.n);
    }
    set->blocks->used += s.n;
    *ret = bp_span_of(p, s.n);
    return BP_OK;
}

static bp_result new_ref(struct bp_references *set, bp_span mkey, bp_span name, struct bp_corim_ref **ret)
{
    if (set->count == BP_REFERENCE_MAX) {
        return BP_FAIL(LIMIT);
    }
    if (set->count == set->cap) {
        const size_t cap = set->cap == 0 ? 256 : set->cap * 2;
        struct bp_corim_ref *p = bp_realloc(set->ref, cap * sizeof *p);
        if (p == NULL) {
            return BP_FAIL(NO_MEMORY);
        }
        set->ref = p;
        set->cap = cap;
    }
    struct bp_corim_ref ref = {0};
    BP_TRY(keep(set, mkey, &ref.mkey));
    BP_TRY(keep(set, name, &ref.name));
    *ret = &set->ref[set->count];
    **ret = ref;
    set->count++;
    return BP_OK;
}

static bool has_digest(const struct bp_corim_ref *ref, bp_span digest)
{
    for (uint32_t i = 0; i < ref->digests; i++) {
        if (bp_span_equal(ref->digest[i].digest, digest)) {
            return true;
        }
    }
    return false;
}

static bp_result add_digest(struct bp_references *set, struct bp_corim_ref *ref, bp_span digest)
{
    if (has_digest(ref, digest)) {
        return BP_OK;
    }
    if (ref->digests == BP_CORIM_DIGESTS_MAX) {
        return BP_FAIL(LIMIT);
    }
    BP_TRY(keep(set, digest, &ref->digest[ref->digests].digest));
    ref->digest[ref->digests++].alg = BP_CORIM_ALG_SHA256;
    return BP_OK;
}

static struct bp_corim_ref *find_component(struct bp_references *set, bp_span mkey, bp_span name)
{
    for (size_t i = 0; i < set->count; i++) {
        if (bp_span_equal(set->ref[i].mkey, mkey) && bp_span_equal(set->ref[i].name, name)) {
            return &set->ref[i];
        }
    }
    return NULL;
}

static struct bp_corim_ref *find_value(struct bp_references *set, bp_span mkey, bp_span digest)
{
    for (size_t i = 0; i < set->count; i++) {
        if (bp_span_equal(set->ref[i].mkey, mkey) && has_digest(&set->ref[i], digest)) {
            return &set->ref[i];
        }
    }
    return NULL;
}

/* A value that stands for itself; the same value is written once. */
static bp_result add_value(struct bp_references *set, const struct bp_ref_key *key, bp_span name, bp_span digest)
{
    uint8_t room[BP_CORIM_MKEY_MAX];
    const bp_span mkey = bp_ref_key_write(key, room);
    struct bp_corim_ref *ref = find_value(set, mkey, digest);
    if (ref != NULL) {
        return BP_OK;
    }
    BP_TRY(new_ref(set, mkey, name, &ref));
    return add_digest(set, ref, digest);
}

/* A component of an image: further images give it further digests. */
static bp_result add_component(struct bp_references *set, uint32_t pcr, bp_span name, bp_span digest)
{
    uint8_t room[BP_CORIM_MKEY_MAX];
    const struct bp_ref_key key = {.kind = BP_REF_BOOT, .pcr = pcr, .required = true};
    const bp_span mkey = bp_ref_key_write(&key, room);
    struct bp_corim_ref *ref = find_component(set, mkey, name);
    if (ref == NULL) {
        if (set->images != 0) {
            return BP_FAIL(UNSUPPORTED); /* the images before would never be whole */
        }
        BP_TRY(new_ref(set, mkey, name, &ref));
    }
    set->events++;
    return add_digest(set, ref, digest);
}

static bp_result add_program(struct bp_references *set, bp_span path, bp_span digest)
{
    const struct bp_ref_key key = {.kind = BP_REF_IMA, .pcr = 10};
    set->programs++;
    return add_value(set, &key, path, digest);
}

/* --- a unified kernel image --- */

/* Sections that the stub of systemd measures into PCR 11, each as two events: its name with the closing zero, then its
 * contents (systemd, docs/TPM2_PCR_MEASUREMENTS). `.pcrsig` is not measured: it signs the result. */
static const char *const stub_section[] = {".linux", ".osrel", ".cmdline", ".initrd", ".splash", ".dtb", ".pcrkey"};

static bp_result add_section(struct bp_crypto *c, struct bp_references *set, const char *name, bp_span data)
{
    uint8_t digest[BP_SHA256_SIZE];
    char label[32] = "name of ";
    const size_t n = strlen(name);
    memcpy(label + 8, name, n);
    BP_TRY(bp_hash(c, BP_HASH_SHA256, bp_span_of(name, n + 1), digest));
    BP_TRY(add_component(set, 11, bp_span_of(label, 8 + n), BP_SPAN_OF(digest)));
    BP_TRY(bp_hash(c, BP_HASH_SHA256, data, digest));
    return add_component(set, 11, bp_span_of(name, n), BP_SPAN_OF(digest));
}

/* What the kernel's own boot stub measures into PCR 9: its load options, UTF-16 with the closing zero, and the initial
 * RAM disk that it was handed (Linux, drivers/firmware/efi/libstub). */
static bp_result add_kernel_events(struct bp_crypto *c, struct bp_references *set, bp_span cmdline, bp_span initrd)
{
    uint8_t digest[BP_SHA256_SIZE];
    if (cmdline.n != 0) {
        uint8_t *wide = bp_alloc(2 * (cmdline.n + 1));
        if (wide == NULL) {
            return BP_FAIL(NO_MEMORY);
        }
        bool is_ascii = true;
        for (size_t i = 0; i < cmdline.n; i++) {
            is_ascii = is_ascii && cmdline.p[i] < 0x80;
            wide[2 * i] = cmdline.p[i];
        }
        const bp_result r = is_ascii ? bp_hash(c, BP_HASH_SHA256, bp_span_of(wide, 2 * (cmdline.n + 1)), digest)
                                     : BP_FAIL(UNSUPPORTED);
        bp_free(wide);
        BP_TRY(r);
        BP_TRY(add_component(set, 9, BP_SPAN_STR("load options"), BP_SPAN_OF(digest)));
    }
    if (initrd.n != 0) {
        BP_TRY(bp_hash(c, BP_HASH_SHA256, initrd, digest));
        BP_TRY(add_component(set, 9, BP_SPAN_STR("Linux initrd"), BP_SPAN_OF(digest)));
    }
    return BP_OK;
}

static bp_result add_files(struct bp_crypto *c, struct bp_references *set, bp_span unpacked)
{
    struct bp_cpio cpio = {.in = unpacked};
    struct bp_cpio_entry entry;
    bp_result r = bp_cpio_next(&cpio, &entry);
    for (; !bp_failed(r); r = bp_cpio_next(&cpio, &entry)) {
        uint8_t digest[BP_SHA256_SIZE];
        uint8_t path[BP_INITRD_PATH_MAX + 1] = {'/'};
        if (!bp_initrd_is_measured(&entry)) {
            continue;
        }
        memcpy(path + 1, entry.path.p, entry.path.n);
        BP_TRY(bp_hash(c, BP_HASH_SHA256, entry.data, digest));
        BP_TRY(add_program(set, bp_span_of(path, entry.path.n + 1), BP_SPAN_OF(digest)));
    }
    return bp_is(r, BP_E_NOT_FOUND) ? BP_OK : r;
}

static bp_result add_initrd(struct bp_crypto *c, struct bp_references *set, bp_span initrd,
                            struct bp_reference_trouble *trouble)
{
    uint8_t *unpacked = NULL;
    size_t n = 0;
    trouble->what = "its initial RAM disk cannot be unpacked (gzip and plain cpio can)";
    BP_TRY(bp_initrd_unpack(initrd, &unpacked, &n));
    trouble->what = "its initial RAM disk is not a cpio archive of newc form";
    const bp_result r = add_files(c, set, bp_span_of(unpacked, n));
    bp_free(unpacked);
    return r;
}

static bp_span section_data(const struct bp_pe *pe, const char *name)
{
    const struct bp_pe_section *s = bp_pe_find(pe, bp_span_cstr(name));
    return s != NULL ? s->data : BP_SPAN_EMPTY;
}

static bp_result add_parts(struct bp_crypto *c, struct bp_references *set, const struct bp_pe *pe)
{
    uint8_t digest[BP_SHA256_SIZE];
    BP_TRY(bp_pe_authenticode(c, pe, digest));
    BP_TRY(add_component(set, 4, BP_SPAN_STR("boot application"), BP_SPAN_OF(digest)));
    for (size_t i = 0; i < sizeof stub_section / sizeof stub_section[0]; i++) {
        const struct bp_pe_section *s = bp_pe_find(pe, bp_span_cstr(stub_section[i]));
        if (s != NULL) {
            BP_TRY(add_section(c, set, stub_section[i], s->data));
        }
    }
    return add_kernel_events(c, set, section_data(pe, ".cmdline"), section_data(pe, ".initrd"));
}

bp_result bp_references_add_image(struct bp_crypto *c, struct bp_references *set, bp_span image,
                                  struct bp_reference_trouble *trouble)
{
    struct bp_pe pe;
    *trouble = (struct bp_reference_trouble){"it is not a PE image", 0};
    BP_TRY(bp_pe_read(image, &pe));
    if (bp_pe_find(&pe, BP_SPAN_STR(".linux")) == NULL) {
        trouble->what = "it has no section .linux: not a unified kernel image";
        return BP_FAIL(UNSUPPORTED);
    }
    if (set->images == BP_REFERENCE_IMAGES_MAX) {
        trouble->what = "a release names at most four images";
        return BP_FAIL(LIMIT);
    }
    trouble->what = "its command line is not ASCII, or its parts are not those of the image before";
    BP_TRY(add_parts(c, set, &pe));
    const bp_span initrd = section_data(&pe, ".initrd");
    if (initrd.n != 0) {
        BP_TRY(add_initrd(c, set, initrd, trouble));
    }
    set->images++;
    trouble->what = "";
    return BP_OK;
}

/* --- a boot log --- */

#define IMAGE_PCRS (1u << 4 | 1u << 8 | 1u << 9 | 1u << 11)

static bp_result add_secure_boot(struct bp_references *set, const struct bp_boot_event *ev,
                                 struct bp_reference_trouble *trouble)
{
    uint8_t room[BP_CORIM_MKEY_MAX];
    const struct bp_ref_key key = {.kind = BP_REF_SECURE_BOOT, .pcr = 7};
    const bp_span mkey = bp_ref_key_write(&key, room);
    if (ev->claim.value.n != 1 || ev->claim.value.p[0] != 1) {
        trouble->what = "Secure Boot was off on the machine that wrote it";
        return BP_FAIL(DENIED);
    }
    if (find_component(set, mkey, BP_SPAN_STR("Secure Boot")) != NULL) {
        return BP_OK;
    }
    struct bp_corim_ref *ref = NULL;
    BP_TRY(new_ref(set, mkey, BP_SPAN_STR("Secure Boot"), &ref));
    ref->has_secure = true;
    ref->secure = true;
    return BP_OK;
}

static bp_result add_event(struct bp_references *set, const struct bp_boot_event *ev, uint32_t separators,
                           bool with_image, struct bp_reference_trouble *trouble)
{
    bp_span variable = BP_SPAN_EMPTY;
    char label[BP_BOOT_LABEL_MAX];
    struct bp_ref_key key = {.kind = BP_REF_BOOT, .pcr = ev->claim.pcr, .required = true};
    switch (bp_boot_rule_of(ev, separators, &variable)) {
    case BP_RULE_ERROR:
        trouble->what = "its firmware failed to measure";
        return BP_FAIL(DENIED);
    case BP_RULE_SECURE_BOOT:
        return add_secure_boot(set, ev, trouble);
    case BP_RULE_VARIABLE:
        key = (struct bp_ref_key){.kind = BP_REF_VARIABLE, .pcr = 7, .variable = variable};
        set->events++;
        return add_value(set, &key, variable, ev->claim.digest);
    case BP_RULE_REQUIRED:
        if (!with_image && (IMAGE_PCRS & 1u << ev->claim.pcr) != 0) {
            return BP_OK;
        }
        set->events++;
        return add_value(set, &key, bp_boot_label(&ev->raw, label), ev->claim.digest);
    case BP_RULE_NONE:
    case BP_RULE_SEPARATOR:
    case BP_RULE_RECORDED:
    default:
        return BP_OK;
    }
}

bp_result bp_references_add_boot_log(struct bp_crypto *c, struct bp_references *set, bp_span log, bool with_image,
                                     struct bp_reference_trouble *trouble)
{
    struct bp_bootlog bl;
    struct bp_boot_event ev;
    *trouble = (struct bp_reference_trouble){"it is not a boot event log with SHA-256", 0};
    BP_TRY(bp_bootlog_open(log, BP_HASH_SHA256, &bl));
    trouble->what = "an event is not well formed or of unknown type";
    bp_result r = BP_OK;
    for (;;) {
        const uint32_t separators = bl.separators;
        trouble->at = bp_bootlog_at(&bl);
        r = bp_bootlog_next(c, &bl, &ev);
        if (bp_failed(r)) {
            break;
        }
        if (ev.cover == BP_BOOT_LIE) {
            trouble->what = "an event's data does not match its digest";
            return BP_FAIL(DENIED);
        }
        BP_TRY(add_event(set, &ev, separators, with_image, trouble));
    }
    if (!bp_is(r, BP_E_NOT_FOUND)) {
        return r;
    }
    uint8_t room[BP_CORIM_MKEY_MAX];
    const struct bp_ref_key key = {.kind = BP_REF_SECURE_BOOT, .pcr = 7};
    if (find_component(set, bp_ref_key_write(&key, room), BP_SPAN_STR("Secure Boot")) == NULL) {
        trouble->what = "it does not tell the state of Secure Boot";
        return BP_FAIL(DENIED);
    }
    set->has_platform = true;
    trouble->what = "";
    return BP_OK;
}

/* --- the kernel's list --- */

static bool is_file(const struct bp_ima_entry *e)
{
    return e->file_alg == BP_TPM_ALG_SHA256 && e->file_digest.n == BP_SHA256_SIZE && e->path.n != 0 &&
           e->path.p[0] == '/';
}

bp_result bp_references_add_ima_log(struct bp_crypto *c, struct bp_references *set, bp_span list,
                                    struct bp_reference_trouble *trouble)
{
    struct bp_ima ima = bp_ima_open(list, 0);
    struct bp_ima_point point = bp_ima_point_zero();
    struct bp_ima_entry e;
    *trouble = (struct bp_reference_trouble){"an entry is not well formed", 0};
    bp_result r = bp_ima_next(&ima, &e);
    for (; !bp_failed(r); r = bp_ima_next(&ima, &e)) {
        trouble->at = e.index;
        if (e.violation) {
            trouble->what = "a file changed while it was measured";
            return BP_FAIL(DENIED);
        }
        BP_TRY(bp_ima_extend(c, BP_HASH_SHA256, &point, &e));
        if (is_file(&e)) {
            BP_TRY(add_program(set, e.path, e.file_digest));
        }
    }
    if (!bp_is(r, BP_E_NOT_FOUND)) {
        return r;
    }
    trouble->what = "";
    return BP_OK;
}

/* --- out --- */

bp_result bp_references_corim(const struct bp_references *set, bp_span id, bp_span vendor, bp_span model,
                              uint8_t **ret, size_t *ret_n)
{
    size_t n = 0;
    bp_result r = bp_corim_write(id, vendor, model, set->ref, set->count, NULL, 0, &n);
    if (!bp_is(r, BP_E_NO_SPACE)) {
        return bp_failed(r) ? r : BP_FAIL(INTERNAL);
    }
    uint8_t *p = bp_alloc(n);
    if (p == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    r = bp_corim_write(id, vendor, model, set->ref, set->count, p, n, &n);
    if (bp_failed(r)) {
        bp_free(p);
        return r;
    }
    *ret = p;
    *ret_n = n;
    return BP_OK;
}
