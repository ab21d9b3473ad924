/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/appraise/test_appraise - honest devices stay green through everything that happens to them, and what is
 * wrong with a device is found, named and not forgotten too soon. */
#include "harness.h"
#include "unit/appraise/rig.h"

static struct bp_crypto *crypto;
static struct rig rig;
static bool seen[BP_F_COUNT];
static const char *const programs_1[] = {"/bin/agent", "1", "/bin/shell", "1", "/lib/libc.so", "1", NULL};
static const char *const programs_2[] = {"/bin/agent", "2", "/bin/shell", "1", NULL};
static const struct rig_os os_2 = {.firmware = "firmware 1",
                                   .rom = "rom 1",
                                   .loader = "loader 2",
                                   .initrd = "initrd 2",
                                   .db = "db 1",
                                   .order = "0001",
                                   .is_secure = true};

static void print_findings(void)
{
    printf("# %s, tier %u\n", rig.out.accepted ? "accepted" : "refused", (unsigned)rig.out.tier);
    for (uint32_t i = 0; i < rig.out.findings; i++) {
        printf("# %s: %.*s\n", rig_code(&rig, i), (int)rig.out.finding[i].text.n,
               (const char *)rig.out.finding[i].text.p);
    }
}

/* A gateway with release 1 accepted, off. */
static bool make(void)
{
    rig_done(&rig);
    if (!rig_make(&rig, crypto)) {
        return false;
    }
    (void)rig_release(&rig, "gateway 1", "*", &rig_os_1, programs_1);
    return rig_publish(&rig);
}

static void power_on(const struct rig_os *os, const char *agent)
{
    rig_boot(&rig, os);
    rig_run(&rig, "/bin/agent", agent);
}

/* One that has just been booted. */
static bool start(void)
{
    if (!make()) {
        return false;
    }
    power_on(&rig_os_1, "1");
    return true;
}

static bool is_green(void)
{
    const bool good = rig.out.accepted && rig.out.tier == BP_TIER_AFFIRMING;
    if (!good) {
        print_findings();
    }
    return good;
}

static bool round_green(int64_t ms)
{
    return rig_round(&rig, ms, NULL) && is_green();
}

/* Accepted with that tier, the finding being there; and the first one where it is the reason. */
static bool found(enum bp_finding_id id, uint64_t tier)
{
    seen[id] = true;
    const bool good = rig.out.accepted && rig.out.tier == tier && rig_has(&rig, id);
    if (!good) {
        printf("# wanted %s, tier %u\n", bp_finding_row(id).code, (unsigned)tier);
        print_findings();
    }
    return good;
}

static bool is_reason(enum bp_finding_id id)
{
    return rig.out.findings != 0 && rig.out.finding[0].id == id && bp_span_equal(rig.out.reason, rig.out.finding[0].text);
}

static bool says(bp_span text, const char *words)
{
    const size_t n = strlen(words);
    for (size_t i = 0; i + n <= text.n; i++) {
        if (memcmp(text.p + i, words, n) == 0) {
            return true;
        }
    }
    printf("# it says: %.*s\n", (int)text.n, (const char *)text.p);
    return false;
}

BP_CASE(setup)
{
    BP_CHECK(!bp_failed(bp_crypto_openssl_new(16, &crypto)));
}

/* --- honest devices --- */

BP_CASE(a_gateway_that_runs_its_release_is_affirmed)
{
    BP_NEED(start() && round_green(100));
    BP_CHECK(says(rig.out.reason, "gateway 1"));
    BP_CHECK(rig.out.has_log && rig.out.held_ima == 2 && rig.out.releases == 1);
    BP_CHECK(rig.out.claim[BP_C_SECURE_BOOT].number == 1 && rig.out.claim[BP_C_IMA_ENTRIES].number == 2);
    BP_CHECK(bp_span_equal(rig.out.claim[BP_C_RELEASE_STATE].bytes, BP_SPAN_STR("accepted")));
    for (unsigned i = 0; i < BP_TILE_COUNT; i++) {
        BP_CHECK(rig.out.tile[i].tier == BP_TIER_AFFIRMING && rig.out.tile[i].text.n != 0 &&
                 rig.out.tile[i].does_not_prove.n != 0);
    }
    BP_CHECK(rig.out.vector[BP_AR_FILE_SYSTEM] == BP_TIER_AFFIRMING);
}

BP_CASE(a_steady_heartbeat_carries_nothing_but_the_quote)
{
    BP_NEED(start() && round_green(100));
    for (int i = 0; i < 50; i++) {
        BP_NEED(round_green(600000));
        BP_CHECK(rig.evidence_n <= 600);
        BP_CHECK(rig.out.findings == 0 && rig.out.claim[BP_C_BOOT_EVENTS].number > 20);
    }
}

BP_CASE(a_virtual_root_never_passes_for_hardware)
{
    BP_NEED(start() && round_green(100));
    BP_CHECK(rig.out.vector[BP_AR_HARDWARE] == 0 && says(rig.out.tile[BP_TILE_ROOT].does_not_prove, "virtual"));
    static const char *const none[] = {"unknown", "software", "made up"};
    for (size_t i = 0; i < 3; i++) {
        rig.root_class = none[i];
        BP_NEED(round_green(100));
        BP_CHECK(rig.out.vector[BP_AR_HARDWARE] == 0);
    }
    rig.root_class = "discrete";
    BP_NEED(round_green(100));
    BP_CHECK(rig.out.vector[BP_AR_HARDWARE] == BP_TIER_AFFIRMING);
}

BP_CASE(power_cuts_sleep_and_restarts_are_explained)
{
    BP_NEED(start() && round_green(100));
    /* sleep: the TPM's clock stood still for an hour */
    rig.now_ms += 3600000;
    rig.restart_count++;
    BP_NEED(rig_round(&rig, 1000, NULL));
    BP_CHECK(found(BP_F_SUSPEND, BP_TIER_AFFIRMING));
    /* a restart that was shut down in order */
    power_on(&rig_os_1, "1");
    rig.has_log = false;
    rig.held_ima = 0;
    BP_NEED(rig_round(&rig, 1000, NULL));
    BP_CHECK(found(BP_F_REBOOT, BP_TIER_AFFIRMING));
    /* a power cut: the clock went back an hour and repeats */
    power_on(&rig_os_1, "1");
    rig.clock_ms = 7;
    rig.safe = false;
    rig.has_log = false;
    rig.held_ima = 0;
    BP_NEED(rig_round(&rig, 1000, NULL));
    BP_CHECK(found(BP_F_POWER_CUT, BP_TIER_AFFIRMING));
    BP_NEED(rig_round(&rig, 600000, NULL));
    BP_CHECK(rig.out.tier == BP_TIER_AFFIRMING);
    /* the clock is past what it ever showed */
    rig.safe = true;
    BP_NEED(round_green(600000));
    /* asleep, then a power cut */
    rig.restart_count = 9;
    BP_NEED(rig_round(&rig, 1000, NULL));
    power_on(&rig_os_1, "1");
    rig.has_log = false;
    rig.held_ima = 0;
    BP_NEED(rig_round(&rig, 1000, NULL));
    BP_CHECK(rig.out.tier == BP_TIER_AFFIRMING);
}

/* As swtpm 0.7.1 does: its clock falls back to what was written down last, and is called safe seconds after the start. */
BP_CASE(an_emulator_that_loses_its_clock_to_a_power_cut_is_no_alarm)
{
    BP_NEED(start() && round_green(600000));
    power_on(&rig_os_1, "1");
    rig.clock_ms = 6028;
    rig.safe = true;
    rig.has_log = false;
    rig.held_ima = 0;
    BP_NEED(rig_round(&rig, 1000, NULL));
    BP_CHECK(found(BP_F_CLOCK_LOST, BP_TIER_AFFIRMING));
    BP_NEED(round_green(600000));
}

/* 10,000 days of a plant: whatever happens, in whatever order, no alarm. */
BP_CASE(no_false_alarm_in_ten_thousand_happenings)
{
    BP_NEED(start() && round_green(100));
    uint32_t seed = 12345;
    unsigned alarms = 0;
    for (unsigned i = 0; i < 10000; i++) {
        seed = seed * 1664525u + 1013904223u;
        const unsigned what = seed >> 28;
        const int64_t ms = (int64_t)(seed >> 8 & 0xfffff) + 1;
        if (what < 2) { /* power cut */
            rig.clock_ms -= rig.clock_ms < 4000000 ? rig.clock_ms : seed % 4000000;
            power_on(&rig_os_1, "1");
            rig.safe = false;
        } else if (what < 3) { /* restart */
            rig.safe = true;
            rig.clock_ms += 1u << 23;
            power_on(&rig_os_1, "1");
        } else if (what < 5) { /* sleep */
            rig.restart_count++;
            rig.now_ms += ms;
        } else if (what < 8 && rig.ima_count < 1000) {
            rig_run(&rig, "/bin/shell", "1");
        } else if (what < 9) { /* an answer is lost: the server has moved on, the device has not */
            const bool had_log = rig.has_log;
            const uint64_t had_ima = rig.held_ima;
            BP_NEED(rig_round(&rig, ms, NULL));
            rig.has_log = had_log;
            rig.held_ima = had_ima;
        } else if (what < 10) { /* the TPM's clock is slow by 5 % */
            rig.now_ms += ms / 20;
        }
        if (rig.reset_count != 0 && what < 3) {
            rig.has_log = false;
            rig.held_ima = 0;
        }
        BP_NEED(rig_round(&rig, ms, NULL));
        if (!rig.out.accepted || rig.out.tier != BP_TIER_AFFIRMING) {
            alarms++;
            printf("# happening %u of kind %u\n", i, what);
            print_findings();
            break;
        }
    }
    BP_CHECK(alarms == 0);
}

BP_CASE(an_update_stays_green_throughout)
{
    BP_NEED(start() && round_green(100));
    (void)rig_release(&rig, "gateway 2", "*", &os_2, programs_2);
    BP_NEED(rig_publish(&rig) && round_green(60000));
    rig_run(&rig, "/bin/agent", "2"); /* the new agent checks itself before the restart */
    BP_NEED(round_green(60000));
    power_on(&os_2, "2");
    rig.has_log = false;
    rig.held_ima = 0;
    BP_NEED(rig_round(&rig, 1000, NULL));
    BP_CHECK(rig.out.tier == BP_TIER_AFFIRMING && says(rig.out.reason, "gateway 2"));
    BP_NEED(round_green(60000));
}

BP_CASE(entries_past_the_quote_are_judged_next_time)
{
    BP_NEED(start());
    rig_run(&rig, "/bin/shell", "1");
    const struct bp_pcrs at_quote = rig.pcrs;
    rig_run(&rig, "/bin/foreign", "1");
    const struct bp_pcrs later = rig.pcrs;
    rig.pcrs = at_quote; /* the quote was made before the last program */
    BP_NEED(rig_round(&rig, 100, NULL));
    BP_CHECK(found(BP_F_IMA_AHEAD, BP_TIER_AFFIRMING));
    BP_CHECK(rig.out.held_ima == 3 && rig.out.claim[BP_C_IMA_AHEAD].number == 1);
    rig.pcrs = later;
    BP_NEED(rig_round(&rig, 100, NULL));
    BP_CHECK(found(BP_F_IMA_PROGRAM, BP_TIER_CONTRAINDICATED));
}

BP_CASE(a_boot_log_sent_again_is_no_news)
{
    BP_NEED(start() && round_green(100));
    rig.has_log = false;
    BP_NEED(round_green(100));
    rig.held_ima = 0;
    BP_NEED(round_green(100));
    rig_run(&rig, "/bin/shell", "1");
    rig.held_ima = 1; /* an older count than the server's */
    BP_NEED(round_green(100));
    BP_CHECK(rig.out.held_ima == 3 && rig.out.claim[BP_C_IMA_UNKNOWN].number == 0);
}

BP_CASE(recorded_things_may_differ)
{
    struct rig_os os = rig_os_1;
    os.order = "0003,0001";
    BP_NEED(make());
    power_on(&os, "1");
    BP_CHECK(round_green(100));
}

/* --- boot --- */

static bool boot_finds(const struct rig_os *os, enum bp_finding_id id, const char *words)
{
    if (!make()) {
        return false;
    }
    power_on(os, "1");
    if (!rig_round(&rig, 100, NULL) || !found(id, BP_TIER_CONTRAINDICATED)) {
        return false;
    }
    const bool is_named = is_reason(id) && says(rig.out.reason, words);
    if (!is_named) {
        print_findings();
    }
    /* It is judged again each time, until it is in order. */
    return is_named && !rig.out.has_log && rig.out.held_ima == 0 && rig_round(&rig, 100, NULL) && is_reason(id);
}

BP_CASE(an_image_that_nobody_accepted)
{
    BP_CHECK(boot_finds(&os_2, BP_F_BOOT_COMPONENT, "PCR 4: boot application"));
    BP_CHECK(rig.out.tile[BP_TILE_BOOT].tier == BP_TIER_CONTRAINDICATED &&
             rig.out.tile[BP_TILE_FIRMWARE].tier == BP_TIER_AFFIRMING);
    BP_CHECK(found(BP_F_BOOT_INCOMPLETE, BP_TIER_CONTRAINDICATED));
    BP_CHECK(rig.out.claim[BP_C_BOOT_UNACCEPTED].number == 3);
    /* accepted in the meantime: the device needs no restart */
    (void)rig_release(&rig, "gateway 2", "*", &os_2, programs_1);
    BP_NEED(rig_publish(&rig));
    BP_CHECK(round_green(100));
}

BP_CASE(an_initrd_changed_inside_an_accepted_loader)
{
    struct rig_os os = rig_os_1;
    os.initrd = "initrd x";
    BP_CHECK(boot_finds(&os, BP_F_BOOT_COMPONENT, "PCR 11: .initrd"));
    BP_CHECK(rig.out.tile[BP_TILE_SYSTEM].tier == BP_TIER_CONTRAINDICATED);
}

BP_CASE(foreign_firmware)
{
    struct rig_os os = rig_os_1;
    os.firmware = "implant";
    BP_CHECK(boot_finds(&os, BP_F_BOOT_COMPONENT, "PCR 0: firmware volume"));
    BP_CHECK(rig.out.tile[BP_TILE_FIRMWARE].tier == BP_TIER_CONTRAINDICATED);
}

BP_CASE(secure_boot_off)
{
    struct rig_os os = rig_os_1;
    os.is_secure = false;
    BP_CHECK(boot_finds(&os, BP_F_SECURE_BOOT_OFF, "Secure Boot is off"));
    BP_CHECK(rig.out.vector[BP_AR_CONFIGURATION] == BP_TIER_CONTRAINDICATED);
}

BP_CASE(foreign_secure_boot_keys)
{
    struct rig_os os = rig_os_1;
    os.db = "db of somebody";
    BP_CHECK(boot_finds(&os, BP_F_SECURE_BOOT_KEYS, "list db"));
}

BP_CASE(a_separator_missing)
{
    struct rig_os os = rig_os_1;
    os.left_open = 1u << 2;
    BP_CHECK(boot_finds(&os, BP_F_BOOT_SEPARATOR, "PCR 2"));
    os.left_open = 1u << 7; /* then nothing tells where the firmware's words end */
    BP_NEED(make());
    power_on(&os, "1");
    BP_NEED(rig_round(&rig, 100, NULL));
    BP_CHECK(found(BP_F_BOOT_SEPARATOR, BP_TIER_CONTRAINDICATED));
}

/* Parts of two accepted releases together. */
BP_CASE(a_mixture_of_releases)
{
    struct rig_os os = rig_os_1;
    os.initrd = "initrd 2";
    BP_NEED(make());
    (void)rig_release(&rig, "gateway 2", "*", &os_2, programs_2);
    BP_NEED(rig_publish(&rig));
    power_on(&os, "1");
    BP_NEED(rig_round(&rig, 100, NULL));
    BP_CHECK(found(BP_F_BOOT_MIXED, BP_TIER_CONTRAINDICATED));
    BP_CHECK(found(BP_F_BOOT_INCOMPLETE, BP_TIER_CONTRAINDICATED) && !rig.out.has_log);
}

BP_CASE(a_component_of_a_withdrawn_release)
{
    struct rig_os os = rig_os_1;
    os.initrd = "initrd 2";
    BP_NEED(make());
    const uint32_t n = rig_release(&rig, "gateway 2", "*", &os_2, programs_2);
    rig.source[n].state = BP_RELEASE_WITHDRAWN;
    BP_NEED(rig_publish(&rig));
    power_on(&os, "1");
    BP_NEED(rig_round(&rig, 100, NULL));
    BP_CHECK(found(BP_F_BOOT_WITHDRAWN, BP_TIER_CONTRAINDICATED) && is_reason(BP_F_BOOT_WITHDRAWN));
}

BP_CASE(releases_of_another_zone_do_not_count)
{
    BP_NEED(make());
    (void)rig_release(&rig, "gateway 2", "south", &os_2, programs_2);
    BP_NEED(rig_publish(&rig));
    power_on(&os_2, "2");
    BP_NEED(rig_round(&rig, 100, NULL));
    BP_CHECK(found(BP_F_BOOT_COMPONENT, BP_TIER_CONTRAINDICATED));
}

/* --- boot logs that are edited: the device signs what it sends, so the log is its word --- */

static void edit(void (*change)(void), enum bp_finding_id id, const char *words)
{
    BP_NEED(start());
    change();
    BP_NEED(rig_round(&rig, 100, NULL));
    BP_CHECK(found(id, BP_TIER_CONTRAINDICATED) && is_reason(id) && says(rig.out.reason, words));
    BP_CHECK(!rig.out.has_log && rig.out.held_ima == 0 && rig.out.vector[BP_AR_FILE_SYSTEM] == 0);
}

/* Calls for each event of the rig's log until it says true; gives the event. */
static bool event_where(bool (*is_it)(const struct bp_tcg_event *), struct bp_tcg_event *ret)
{
    struct bp_tcglog log;
    if (bp_failed(bp_tcglog_open(bp_span_of(rig.log, rig.log_n), &log))) {
        return false;
    }
    while (!bp_failed(bp_tcglog_next(&log, ret))) {
        if (is_it(ret)) {
            return true;
        }
    }
    return false;
}
static bool is_loader(const struct bp_tcg_event *ev)
{
    return ev->type == BP_EV_EFI_BOOT_SERVICES_APPLICATION;
}
static bool is_order(const struct bp_tcg_event *ev)
{
    return ev->type == BP_EV_EFI_VARIABLE_BOOT;
}
static bool is_state(const struct bp_tcg_event *ev)
{
    return ev->type == BP_EV_EFI_VARIABLE_DRIVER_CONFIG;
}
static uint8_t *byte_at(const uint8_t *p)
{
    return rig.log + (p - rig.log);
}

static void edit_digest(void)
{
    struct bp_tcg_event ev;
    BP_NEED(event_where(is_loader, &ev));
    *byte_at(ev.digest[0].digest.p) ^= 1;
}
static void edit_to_accepted(void) /* the loader was foreign, and the log says the accepted one */
{
    struct bp_tcg_event ev;
    const struct rig_os os = {"firmware 1", "rom 1", "implant", "initrd 1", "db 1", "0001", true, 0};
    static uint8_t good[32];
    BP_NEED(event_where(is_loader, &ev));
    memcpy(good, ev.digest[0].digest.p, 32);
    power_on(&os, "1");
    BP_NEED(event_where(is_loader, &ev));
    memcpy(byte_at(ev.digest[0].digest.p), good, 32);
}
static void edit_out(void)
{
    struct bp_tcg_event ev;
    BP_NEED(event_where(is_loader, &ev));
    memmove(rig.log + ev.at, rig.log + ev.at + ev.size, rig.log_n - ev.at - ev.size);
    rig.log_n -= ev.size;
}
static void edit_pcr(void)
{
    struct bp_tcg_event ev;
    BP_NEED(event_where(is_order, &ev));
    rig.log[ev.at] ^= 2;
}
static void edit_data(void)
{
    struct bp_tcg_event ev;
    BP_NEED(event_where(is_state, &ev));
    *byte_at(ev.data.p + ev.data.n - 1) ^= 1;
}
static void edit_type(void)
{
    struct bp_tcg_event ev;
    BP_NEED(event_where(is_loader, &ev));
    rig.log[ev.at + 4] = 0x77;
}
static void edit_cut(void)
{
    rig.log_n -= 3;
}
static void edit_nothing_left(void)
{
    rig.log_n = 0;
}
static void edit_bank(void)
{
    static const struct bp_tcg_bank bank = {BP_TPM_ALG_SHA1, 20};
    bp_wr wr = bp_wr_over(rig.log, sizeof rig.log);
    bp_tcglog_write_head(&wr, &bank, 1);
    rig.log_n = bp_wr_span(&wr).n;
}
static void edit_head_only(void)
{
    static const struct bp_tcg_bank bank = {BP_TPM_ALG_SHA256, 32};
    bp_wr wr = bp_wr_over(rig.log, sizeof rig.log);
    bp_tcglog_write_head(&wr, &bank, 1);
    rig.log_n = bp_wr_span(&wr).n;
}

BP_CASE(edited_logs)
{
    static const struct {
        const char *name;
        void (*change)(void);
        enum bp_finding_id id;
        const char *words;
    } table[] = {{"log_digest_changed", edit_digest, BP_F_BOOT_REPLAY, "PCR 4, first diverging event"},
                 {"log_says_the_accepted_loader", edit_to_accepted, BP_F_BOOT_REPLAY, "PCR 4, after event"},
                 {"log_event_left_out", edit_out, BP_F_BOOT_REPLAY, "PCR 4"},
                 {"log_event_moved_to_another_pcr", edit_pcr, BP_F_BOOT_REPLAY, "PCR 1"},
                 {"log_data_changed", edit_data, BP_F_BOOT_LIE, "event"},
                 {"log_unknown_type", edit_type, BP_F_BOOT_UNKNOWN_TYPE, "unknown type"},
                 {"log_cut", edit_cut, BP_F_BOOT_FORM, "event"},
                 {"log_empty", edit_nothing_left, BP_F_BOOT_FORM, "event 0"},
                 {"log_without_the_bank", edit_bank, BP_F_BOOT_FORM, "no SHA-256 bank"},
                 {"log_without_events", edit_head_only, BP_F_BOOT_REPLAY, "of which it has no event"}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        bp_case_begin();
        edit(table[i].change, table[i].id, table[i].words);
        bp_case_end(table[i].name);
    }
}

BP_CASE(a_firmware_that_failed_to_measure)
{
    static const uint8_t error[4] = {1};
    uint8_t digest[32];
    BP_NEED(start());
    BP_NEED(!bp_failed(bp_hash(crypto, BP_HASH_SHA256, BP_SPAN_OF(error), digest)));
    const struct bp_tcg_digest d = {BP_TPM_ALG_SHA256, BP_SPAN_OF(digest)};
    bp_wr wr = bp_wr_over(rig.log + rig.log_n, sizeof rig.log - rig.log_n);
    bp_tcglog_write_event(&wr, 3, BP_EV_SEPARATOR, &d, 1, BP_SPAN_OF(error));
    rig.log_n += bp_wr_span(&wr).n;
    BP_NEED(!bp_failed(bp_pcrs_extend(crypto, &rig.pcrs, 3, BP_SPAN_OF(digest))));
    BP_NEED(rig_round(&rig, 100, NULL));
    BP_CHECK(found(BP_F_BOOT_ERROR, BP_TIER_CONTRAINDICATED) && says(rig.out.reason, "PCR 3"));
}

/* The state of Secure Boot is not in the log, where the release wants it. */
BP_CASE(secure_boot_not_told)
{
    BP_NEED(start());
    struct bp_tcg_event ev;
    BP_NEED(event_where(is_state, &ev));
    memmove(rig.log + ev.at, rig.log + ev.at + ev.size, rig.log_n - ev.at - ev.size);
    rig.log_n -= ev.size;
    struct bp_bootlog bl;
    struct bp_boot_event walked;
    BP_NEED(!bp_failed(bp_bootlog_open(bp_span_of(rig.log, rig.log_n), BP_HASH_SHA256, &bl)));
    while (!bp_failed(bp_bootlog_next(crypto, &bl, &walked))) {
    }
    memcpy(rig.pcrs.v[7], bl.pcrs.v[7], 32);
    BP_NEED(rig_round(&rig, 100, NULL));
    BP_CHECK(found(BP_F_SECURE_BOOT_UNKNOWN, BP_TIER_CONTRAINDICATED) && rig.out.claim[BP_C_SECURE_BOOT].is_set == false);
}

/* --- missing parts --- */

static void leave_boot(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *q)
{
    (void)r;
    (void)q;
    ev->has_boot = false;
}
static void leave_ima(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *q)
{
    (void)r;
    (void)q;
    ev->has_ima = false;
}
static void leave_pcrs(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *q)
{
    (void)r;
    (void)q;
    ev->has_pcrs = false;
}
static void late_ima(struct rig *r, struct bp_evidence *ev, struct bp_tpm_attest *q)
{
    (void)r;
    (void)q;
    ev->ima_from++;
}

BP_CASE(what_is_needed_and_not_sent_is_never_green)
{
    static const struct rig_forge no_boot = {.before = leave_boot};
    static const struct rig_forge no_ima = {.before = leave_ima};
    static const struct rig_forge no_pcrs = {.before = leave_pcrs};
    static const struct rig_forge late = {.before = late_ima};
    BP_NEED(start() && rig_round(&rig, 100, &no_boot));
    BP_CHECK(found(BP_F_BOOT_MISSING, BP_TIER_NONE) && is_reason(BP_F_BOOT_MISSING));
    rig.has_acked = false;
    BP_NEED(rig_round(&rig, 100, &no_pcrs));
    BP_CHECK(rig.out.tier == BP_TIER_AFFIRMING); /* the values are held, and the digest is the same */
    BP_NEED(start() && rig_round(&rig, 100, &no_pcrs));
    BP_CHECK(found(BP_F_PCRS_MISSING, BP_TIER_NONE) && !rig.out.has_log);
    BP_NEED(start() && rig_round(&rig, 100, &no_ima));
    BP_CHECK(found(BP_F_IMA_MISSING, BP_TIER_NONE) && rig.out.has_log && rig.out.held_ima == 0);
    BP_CHECK(round_green(100));
    rig_run(&rig, "/bin/shell", "1");
    BP_NEED(rig_round(&rig, 100, &no_ima));
    BP_CHECK(found(BP_F_IMA_MISSING, BP_TIER_NONE));
    BP_NEED(rig_round(&rig, 100, &late));
    BP_CHECK(found(BP_F_IMA_GAP, BP_TIER_NONE) && rig.out.held_ima == 2);
    BP_CHECK(round_green(100));
}

BP_CASE(no_release_means_not_appraised)
{
    rig_done(&rig);
    BP_NEED(rig_make(&rig, crypto) && rig_publish(&rig));
    power_on(&rig_os_1, "1");
    BP_NEED(rig_round(&rig, 100, NULL));
    BP_CHECK(found(BP_F_NO_REFERENCES, BP_TIER_NONE) && is_reason(BP_F_NO_REFERENCES));
    BP_CHECK(!rig.out.has_log && says(rig.out.reason, "north"));
    /* accepted later: everything is sent again, and it is green without a restart */
    (void)rig_release(&rig, "gateway 1", "north", &rig_os_1, programs_1);
    BP_NEED(rig_publish(&rig));
    BP_CHECK(round_green(100));
}

BP_CASE(a_state_that_is_not_readable_is_told)
{
    BP_NEED(start() && round_green(100));
    rig.state[0] ^= 0x20;
    rig.has_log = false;
    rig.held_ima = 0;
    rig.has_acked = false;
    BP_NEED(rig_round(&rig, 100, NULL));
    BP_CHECK(found(BP_F_STATE_FORM, BP_TIER_AFFIRMING));
}

BP_CASE(a_clock_set_forward_is_a_warning)
{
    BP_NEED(start() && round_green(100));
    rig.clock_ms += 86400000;
    BP_NEED(rig_round(&rig, 1000, NULL));
    BP_CHECK(found(BP_F_CLOCK_AHEAD, BP_TIER_WARNING));
    BP_CHECK(round_green(1000));
}

BP_CASE(the_servers_own_clock_may_jump)
{
    BP_NEED(start() && round_green(100));
    rig.now_ms -= 7200000;
    BP_NEED(round_green(1000));
    rig_nonce(&rig);
    rig_wait(&rig, 1000);
    BP_NEED(rig_answer(&rig, NULL));
    rig.now_ms += 7200000; /* while a nonce was out: refused once, well with the fresh nonce */
    BP_NEED(!bp_failed(rig_appraise(&rig, NULL, true)));
    BP_CHECK(!rig.out.accepted && rig.out.finding[0].id == BP_F_QUOTE_EARLY);
    BP_CHECK(round_green(1000));
}

/* --- programs --- */

BP_CASE(an_unknown_program_stays_until_the_next_start)
{
    BP_NEED(start() && round_green(100));
    rig_run(&rig, "/tmp/foreign", "1");
    BP_NEED(rig_round(&rig, 100, NULL));
    BP_CHECK(found(BP_F_IMA_PROGRAM, BP_TIER_CONTRAINDICATED) && says(rig.out.reason, "/tmp/foreign"));
    BP_CHECK(rig.out.tile[BP_TILE_PROGRAMS].tier == BP_TIER_CONTRAINDICATED && rig.out.has_log);
    for (int i = 0; i < 3; i++) {
        BP_NEED(rig_round(&rig, 60000, NULL));
        BP_CHECK(found(BP_F_IMA_PROGRAM, BP_TIER_CONTRAINDICATED));
        BP_CHECK(rig.out.claim[BP_C_IMA_UNKNOWN].number == 1);
    }
    rig.restart_count++; /* sleep is no new start */
    BP_NEED(rig_round(&rig, 60000, NULL));
    BP_CHECK(rig_has(&rig, BP_F_IMA_PROGRAM));
    /* nor is sending the list again from its beginning */
    rig.held_ima = 0;
    rig.has_log = false;
    BP_NEED(rig_round(&rig, 60000, NULL));
    BP_CHECK(rig_has(&rig, BP_F_IMA_PROGRAM));
    power_on(&rig_os_1, "1");
    rig.has_log = false;
    rig.held_ima = 0;
    BP_NEED(rig_round(&rig, 1000, NULL));
    BP_CHECK(is_green() && rig.out.claim[BP_C_IMA_UNKNOWN].number == 0);
}

BP_CASE(a_program_with_an_accepted_name_and_other_content)
{
    BP_NEED(start() && round_green(100));
    rig_run(&rig, "/bin/shell", "patched");
    BP_NEED(rig_round(&rig, 100, NULL));
    BP_CHECK(found(BP_F_IMA_PROGRAM, BP_TIER_CONTRAINDICATED));
}

BP_CASE(a_name_that_is_no_text_is_shown_safely)
{
    BP_NEED(start() && round_green(100));
    rig_run(&rig, "/tmp/\x1b[2J\xff\n", "1");
    BP_NEED(rig_round(&rig, 100, NULL));
    BP_CHECK(found(BP_F_IMA_PROGRAM, BP_TIER_CONTRAINDICATED) && says(rig.out.reason, "/tmp/?[2J??"));
    static char path[900];
    memset(path, 'x', sizeof path - 1);
    path[0] = '/';
    BP_NEED(start() && round_green(100));
    memcpy(path + 300, "/", 1);
    path[400] = 0;
    rig_run(&rig, path, "1");
    BP_NEED(rig_round(&rig, 100, NULL));
    BP_CHECK(rig_has(&rig, BP_F_IMA_PROGRAM) && rig.out.reason.n <= BP_APPRAISAL_TEXT_MAX);
    BP_CHECK(says(rig.out.reason, "is in no accepted release"));
}

BP_CASE(a_violation_stays_until_the_next_start)
{
    BP_NEED(start() && round_green(100));
    rig_violation(&rig, "/bin/agent");
    BP_NEED(rig_round(&rig, 100, NULL));
    BP_CHECK(found(BP_F_IMA_VIOLATION, BP_TIER_CONTRAINDICATED));
    BP_NEED(rig_round(&rig, 100, NULL));
    BP_CHECK(found(BP_F_IMA_VIOLATION, BP_TIER_CONTRAINDICATED));
    BP_CHECK(rig.out.claim[BP_C_IMA_VIOLATIONS].number == 1);
}

BP_CASE(more_than_a_result_can_hold)
{
    BP_NEED(start());
    for (int i = 0; i < 40; i++) {
        const char path[] = {'/', (char)('A' + i), 0};
        rig_run(&rig, path, "1");
    }
    BP_NEED(rig_round(&rig, 100, NULL));
    BP_CHECK(found(BP_F_TOO_MUCH, BP_TIER_CONTRAINDICATED) && rig.out.findings == BP_APPRAISAL_FINDINGS_MAX);
    BP_CHECK(rig.out.claim[BP_C_IMA_UNKNOWN].number == 40);
    BP_NEED(rig_round(&rig, 100, NULL));
    BP_CHECK(found(BP_F_IMA_PROGRAM, BP_TIER_CONTRAINDICATED));
    BP_CHECK(rig.out.claim[BP_C_IMA_UNKNOWN].number == 40);
}

BP_CASE(a_kernel_that_measures_nothing)
{
    BP_NEED(make());
    rig_boot(&rig, &rig_os_1); /* boot_aggregate alone: no policy was loaded */
    BP_NEED(rig_round(&rig, 100, NULL));
    BP_CHECK(found(BP_F_IMA_POLICY, BP_TIER_CONTRAINDICATED));
    BP_NEED(rig_round(&rig, 100, NULL));
    BP_CHECK(found(BP_F_IMA_POLICY, BP_TIER_CONTRAINDICATED));
    memset(rig.pcrs.v[10], 0, 32);
    rig.ima_count = 0;
    rig.ima_n = 0;
    BP_NEED(rig_round(&rig, 100, NULL));
    BP_CHECK(found(BP_F_IMA_ABSENT, BP_TIER_CONTRAINDICATED));
}

BP_CASE(a_release_without_programs_asks_for_none)
{
    rig_done(&rig);
    BP_NEED(rig_make(&rig, crypto));
    (void)rig_release(&rig, "bare", "*", &rig_os_1, NULL);
    BP_NEED(rig_publish(&rig));
    rig_boot(&rig, &rig_os_1);
    memset(rig.pcrs.v[10], 0, 32);
    rig.ima_count = 0;
    rig.ima_n = 0;
    BP_CHECK(round_green(100) && rig.out.vector[BP_AR_FILE_SYSTEM] == 0);
    BP_CHECK(rig.out.tile[BP_TILE_PROGRAMS].tier == BP_TIER_NONE);
    power_on(&rig_os_1, "1");
    rig.has_log = false;
    rig.held_ima = 0;
    BP_NEED(rig_round(&rig, 100, NULL));
    BP_CHECK(found(BP_F_IMA_PROGRAM, BP_TIER_CONTRAINDICATED));
}

static void list_data(void)
{
    rig.ima[rig.ima_end[0] + 60] ^= 1;
}
static void list_cut(void)
{
    rig.ima_n -= 2;
}
static void list_short(void)
{
    rig.ima_n = rig.ima_end[0];
    rig.ima_count = 1;
}
static void list_swapped(void) /* well formed, in another order */
{
    static uint8_t copy[4096];
    const size_t a = rig.ima_end[0], b = rig.ima_end[1], c = rig.ima_end[2];
    memcpy(copy, rig.ima + a, c - a);
    memcpy(rig.ima + a, copy + (b - a), c - b);
    memcpy(rig.ima + a + (c - b), copy, b - a);
}

/* The list of another boot: it replays to PCR 10, and boot_aggregate is of other PCRs. */
static void list_of_another_boot(void)
{
    static struct rig before;
    before = rig;
    rig_boot(&rig, &rig_os_1);
    struct rig_os os = rig_os_1;
    os.order = "0003";
    rig_boot(&rig, &os);
    const struct bp_pcrs pcrs = rig.pcrs;
    memcpy(rig.ima, before.ima, sizeof rig.ima);
    rig.ima_n = before.ima_n;
    rig.ima_count = before.ima_count;
    rig.pcrs = pcrs;
    memcpy(rig.pcrs.v[10], before.pcrs.v[10], 32);
}

BP_CASE(edited_lists)
{
    static const struct {
        const char *name;
        void (*change)(void);
        enum bp_finding_id id;
    } table[] = {{"list_data_changed", list_data, BP_F_IMA_DATA},
                 {"list_cut", list_cut, BP_F_IMA_FORM},
                 {"list_with_an_entry_left_out", list_short, BP_F_IMA_REPLAY},
                 {"list_in_another_order", list_swapped, BP_F_IMA_REPLAY},
                 {"list_of_another_boot", list_of_another_boot, BP_F_IMA_AGGREGATE}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        bp_case_begin();
        BP_CHECK(start());
        rig_run(&rig, "/bin/shell", "1");
        table[i].change();
        BP_CHECK(rig_round(&rig, 100, NULL) && found(table[i].id, BP_TIER_CONTRAINDICATED));
        BP_CHECK(rig.out.held_ima == 0);
        bp_case_end(table[i].name);
    }
}

/* --- releases that change their state --- */

BP_CASE(a_release_deprecated_withdrawn_forgotten)
{
    BP_NEED(start() && round_green(100));
    rig.source[0].state = BP_RELEASE_DEPRECATED;
    BP_NEED(rig_publish(&rig) && rig_round(&rig, 100, NULL));
    BP_CHECK(found(BP_F_DEPRECATED, BP_TIER_WARNING) && says(rig.out.reason, "gateway 1"));
    rig.source[0].state = BP_RELEASE_WITHDRAWN;
    BP_NEED(rig_publish(&rig) && rig_round(&rig, 100, NULL));
    BP_CHECK(found(BP_F_WITHDRAWN, BP_TIER_CONTRAINDICATED) && is_reason(BP_F_WITHDRAWN));
    BP_NEED(rig_round(&rig, 100, NULL) && rig_round(&rig, 100, NULL));
    BP_CHECK(found(BP_F_WITHDRAWN, BP_TIER_CONTRAINDICATED));
    rig.source[0].state = BP_RELEASE_ACCEPTED;
    BP_NEED(rig_publish(&rig) && rig_round(&rig, 100, NULL));
    BP_CHECK(is_green());
    (void)rig_release(&rig, "gateway 2", "*", &os_2, programs_2);
    rig.source[0] = rig.source[1];
    rig.sources = 1;
    BP_NEED(rig_publish(&rig) && rig_round(&rig, 100, NULL));
    BP_CHECK(found(BP_F_UNKNOWN_RELEASE, BP_TIER_CONTRAINDICATED));
    BP_NEED(rig_round(&rig, 100, NULL));
    BP_CHECK(found(BP_F_BOOT_COMPONENT, BP_TIER_CONTRAINDICATED));
}

BP_CASE(a_program_of_a_withdrawn_release)
{
    BP_NEED(make());
    const uint32_t n = rig_release(&rig, "application", "*", NULL, (const char *const[]){"/opt/app", "1", NULL});
    rig.source[n].state = BP_RELEASE_WITHDRAWN;
    BP_NEED(rig_publish(&rig));
    power_on(&rig_os_1, "1");
    rig_run(&rig, "/opt/app", "1");
    BP_NEED(rig_round(&rig, 100, NULL));
    BP_CHECK(found(BP_F_IMA_WITHDRAWN, BP_TIER_CONTRAINDICATED));
}

BP_CASE(an_application_beside_the_system)
{
    BP_NEED(make());
    const uint32_t n = rig_release(&rig, "application", "north", NULL, (const char *const[]){"/opt/app", "1", NULL});
    BP_NEED(rig_publish(&rig));
    power_on(&rig_os_1, "1");
    rig_run(&rig, "/opt/app", "1");
    BP_CHECK(round_green(100) && rig.out.releases == 2 && says(rig.out.reason, "gateway 1"));
    rig.source[n].state = BP_RELEASE_WITHDRAWN;
    BP_NEED(rig_publish(&rig) && rig_round(&rig, 100, NULL));
    BP_CHECK(found(BP_F_WITHDRAWN, BP_TIER_CONTRAINDICATED) && says(rig.out.reason, "application"));
}

BP_CASE(every_finding_that_does_not_refuse_was_reached)
{
    unsigned n = 0;
    for (unsigned i = 0; i < BP_F_COUNT; i++) {
        if (bp_finding_row((enum bp_finding_id)i).effect != BP_FX_REFUSE) {
            n++;
            if (!BP_CHECK(seen[i])) {
                printf("# %s\n", bp_finding_row((enum bp_finding_id)i).code);
            }
        }
    }
    BP_CHECK(n >= 36);
}

/* --- purity --- */

BP_CASE(the_same_inputs_give_the_same_bytes)
{
    static uint8_t first[BP_APPRAISAL_MAX];
    static uint8_t again[BP_APPRAISAL_MAX];
    static uint8_t arena[BP_APPRAISE_ARENA];
    static struct bp_appraisal out;
    struct bp_appraise_request req;
    size_t n1 = 0, n2 = 0;
    BP_NEED(start());
    rig_run(&rig, "/tmp/foreign", "1");
    rig_nonce(&rig);
    BP_NEED(rig_answer(&rig, NULL) && !bp_failed(rig_appraise(&rig, NULL, false)));
    BP_NEED(!bp_failed(bp_appraisal_write(&rig.out, first, sizeof first, &n1)));
    rig_request(&rig, &req);
    memset(arena, 0xa5, sizeof arena);
    memset(&out, 0xa5, sizeof out);
    struct bp_crypto *fresh = NULL;
    BP_NEED(!bp_failed(bp_crypto_openssl_new(1, &fresh)));
    BP_CHECK(!bp_failed(bp_appraise(fresh, &rig.refs, &req, arena, sizeof arena, &out)));
    bp_crypto_openssl_free(fresh);
    BP_NEED(!bp_failed(bp_appraisal_write(&out, again, sizeof again, &n2)));
    BP_CHECK(n1 == n2 && memcmp(first, again, n1) == 0);
}

/* A chip with several endorsement keys: the AK is a child of one, and which one does not matter. */
BP_CASE(any_of_the_parents_will_do)
{
    static const uint8_t none[34] = {0, 0x0b, 7};
    struct bp_appraise_request req;
    BP_NEED(start());
    rig_nonce(&rig);
    BP_NEED(rig_answer(&rig, NULL));
    rig_request(&rig, &req);
    req.parents = BP_AKBINDING_EKS_MAX;
    for (uint32_t right = 0; right < req.parents; right++) {
        for (uint32_t i = 0; i < req.parents; i++) {
            req.qualified[i] = i == right ? bp_tpm_name_span(&rig.qualified) : BP_SPAN_OF(none);
        }
        BP_CHECK(!bp_failed(bp_appraise(crypto, &rig.refs, &req, rig.arena, sizeof rig.arena, &rig.out)) && is_green());
    }
    req.parents--; /* the right one is the last */
    BP_CHECK(!bp_failed(bp_appraise(crypto, &rig.refs, &req, rig.arena, sizeof rig.arena, &rig.out)) &&
             !rig.out.accepted && rig_has(&rig, BP_F_AK_PARENT));
    req.parents = 0;
    BP_CHECK(bp_is(bp_appraise(crypto, &rig.refs, &req, rig.arena, sizeof rig.arena, &rig.out), BP_E_BAD_ARGUMENT));
    req.parents = 1;
    req.qualified[0].n--;
    BP_CHECK(bp_is(bp_appraise(crypto, &rig.refs, &req, rig.arena, sizeof rig.arena, &rig.out), BP_E_BAD_ARGUMENT));
}

BP_CASE(an_arena_that_is_too_small_is_an_error_and_no_verdict)
{
    struct bp_appraise_request req;
    BP_NEED(start());
    rig_nonce(&rig);
    BP_NEED(rig_answer(&rig, NULL));
    rig_request(&rig, &req);
    size_t cap = 0;
    bp_result r = bp_appraise(crypto, &rig.refs, &req, rig.arena, cap, &rig.out);
    while (bp_is(r, BP_E_NO_SPACE) && cap < sizeof rig.arena) {
        cap++;
        r = bp_appraise(crypto, &rig.refs, &req, rig.arena, cap, &rig.out);
    }
    BP_CHECK(!bp_failed(r) && cap > 1000 && cap < 4000 && is_green());
    req.nonce.n--;
    BP_CHECK(bp_is(bp_appraise(crypto, &rig.refs, &req, rig.arena, sizeof rig.arena, &rig.out), BP_E_BAD_ARGUMENT));
}

BP_SUITE(appraise, BP_RUN(setup) BP_RUN(a_gateway_that_runs_its_release_is_affirmed)
    BP_RUN(a_steady_heartbeat_carries_nothing_but_the_quote) BP_RUN(any_of_the_parents_will_do) BP_RUN(a_virtual_root_never_passes_for_hardware)
    BP_RUN(power_cuts_sleep_and_restarts_are_explained) BP_RUN(no_false_alarm_in_ten_thousand_happenings)
    BP_RUN(an_emulator_that_loses_its_clock_to_a_power_cut_is_no_alarm)
    BP_RUN(an_update_stays_green_throughout) BP_RUN(entries_past_the_quote_are_judged_next_time)
    BP_RUN(a_boot_log_sent_again_is_no_news) BP_RUN(recorded_things_may_differ) BP_RUN(an_image_that_nobody_accepted)
    BP_RUN(an_initrd_changed_inside_an_accepted_loader) BP_RUN(foreign_firmware) BP_RUN(secure_boot_off)
    BP_RUN(foreign_secure_boot_keys) BP_RUN(a_separator_missing) BP_RUN(a_mixture_of_releases)
    BP_RUN(a_component_of_a_withdrawn_release) BP_RUN(releases_of_another_zone_do_not_count) BP_TABLE(edited_logs)
    BP_RUN(a_firmware_that_failed_to_measure) BP_RUN(secure_boot_not_told)
    BP_RUN(what_is_needed_and_not_sent_is_never_green) BP_RUN(no_release_means_not_appraised)
    BP_RUN(a_state_that_is_not_readable_is_told) BP_RUN(a_clock_set_forward_is_a_warning)
    BP_RUN(the_servers_own_clock_may_jump) BP_RUN(an_unknown_program_stays_until_the_next_start)
    BP_RUN(a_program_with_an_accepted_name_and_other_content) BP_RUN(a_name_that_is_no_text_is_shown_safely)
    BP_RUN(a_violation_stays_until_the_next_start) BP_RUN(more_than_a_result_can_hold)
    BP_RUN(a_kernel_that_measures_nothing) BP_RUN(a_release_without_programs_asks_for_none) BP_TABLE(edited_lists)
    BP_RUN(a_release_deprecated_withdrawn_forgotten) BP_RUN(a_program_of_a_withdrawn_release)
    BP_RUN(an_application_beside_the_system) BP_RUN(every_finding_that_does_not_refuse_was_reached)
    BP_RUN(the_same_inputs_give_the_same_bytes) BP_RUN(an_arena_that_is_too_small_is_an_error_and_no_verdict))
