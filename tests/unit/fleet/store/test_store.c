/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/fleet/store/test_store - groups and acts, what a crash leaves, full disks, other versions, and that no
 * statement of the keeper scans. */
#include "fleet/store/store.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "harness.h"

static char folder[32], path[64];

static bool begin(bp_store **s)
{
    (void)snprintf(folder, sizeof folder, "/tmp/bp-store-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return false;
    }
    (void)snprintf(path, sizeof path, "%s/store.db", folder);
    return !bp_failed(bp_store_open(path, BP_STORE_WRITE, "1.0", NULL, s));
}

static void end(bp_store *s)
{
    static const char *const tails[] = {"", "-wal", "-shm"};
    char name[80];
    bp_store_free(s);
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(name, sizeof name, "%s%s", path, tails[i]);
        (void)unlink(name);
    }
    (void)rmdir(folder);
}

static bp_result add(bp_store *s, unsigned number)
{
    struct bp_device d = {.id = {1}, .state = BP_ST_CLAIMED, .kind = "tpm2"};
    (void)snprintf((char *)d.id + 1, 30, "device %u", number);
    (void)snprintf(d.pseudonym, sizeof d.pseudonym, "P%u", number);
    return bp_store_device_add(s, &d, BP_SPAN_STR("\xa0"));
}

static bool has(bp_store *s, unsigned number)
{
    char name[33];
    struct bp_device d = {0};
    (void)snprintf(name, sizeof name, "P%u", number);
    return !bp_failed(bp_store_device_by_pseudonym(s, bp_span_cstr(name), &d));
}

BP_CASE(an_act_taken_back_leaves_the_others_of_its_group)
{
    bp_store *s = NULL;
    BP_NEED(begin(&s));
    BP_CHECK(!bp_failed(bp_store_begin(s)));
    BP_CHECK(!bp_failed(bp_store_act(s)) && !bp_failed(add(s, 1)) && !bp_failed(bp_store_act_end(s, true)));
    BP_CHECK(!bp_failed(bp_store_act(s)) && !bp_failed(add(s, 2)) && !bp_failed(bp_store_act_end(s, false)));
    BP_CHECK(!bp_failed(bp_store_act(s)) && bp_is(add(s, 1), BP_E_EXISTS) && !bp_failed(bp_store_act_end(s, false)));
    BP_CHECK(!bp_failed(bp_store_act(s)) && !bp_failed(add(s, 3)) && !bp_failed(bp_store_act_end(s, true)));
    BP_CHECK(!bp_failed(bp_store_commit(s)));
    BP_CHECK(has(s, 1) && !has(s, 2) && has(s, 3));
    end(s);
}

BP_CASE(a_group_given_up_leaves_nothing)
{
    bp_store *s = NULL;
    BP_NEED(begin(&s));
    BP_CHECK(!bp_failed(bp_store_begin(s)) && !bp_failed(add(s, 1)));
    bp_store_abort(s);
    BP_CHECK(!has(s, 1) && !bp_store_is_open(s));
    BP_CHECK(!bp_failed(bp_store_begin(s)) && !bp_failed(add(s, 1)) && !bp_failed(bp_store_commit(s)) && has(s, 1));
    end(s);
}

BP_CASE(a_writing_call_outside_a_group_is_refused)
{
    bp_store *s = NULL;
    BP_NEED(begin(&s));
    BP_CHECK(bp_is(add(s, 1), BP_E_INTERNAL) && !has(s, 1));
    end(s);
}

BP_CASE(a_reader_reads_and_cannot_write)
{
    bp_store *s = NULL, *reader = NULL;
    BP_NEED(begin(&s));
    BP_CHECK(!bp_failed(bp_store_begin(s)) && !bp_failed(add(s, 1)) && !bp_failed(bp_store_commit(s)));
    BP_NEED(!bp_failed(bp_store_open(path, BP_STORE_READ, "1.0", NULL, &reader)));
    BP_CHECK(has(reader, 1));
    BP_CHECK(bp_is(bp_store_begin(reader), BP_E_DENIED));
    BP_CHECK(bp_failed(add(reader, 2)) && !has(s, 2));
    /* A snapshot stays as it was while the writer goes on. */
    BP_CHECK(!bp_failed(bp_store_snapshot(reader)) && !has(reader, 3));
    BP_CHECK(!bp_failed(bp_store_begin(s)) && !bp_failed(add(s, 3)) && !bp_failed(bp_store_commit(s)));
    BP_CHECK(!has(reader, 3));
    bp_store_abort(reader);
    BP_CHECK(has(reader, 3));
    bp_store_free(reader);
    end(s);
}

/* The writer is killed with SIGKILL in the middle of its 200th group; every group that it had told of is there, whole. */
BP_CASE(what_was_told_before_a_kill_is_there)
{
    bp_store *s = NULL;
    int tell[2];
    unsigned told = 0, number = 0;
    BP_NEED(begin(&s) && pipe(tell) == 0);
    bp_store_free(s);
    s = NULL;
    const pid_t pid = fork();
    if (pid == 0) {
        if (bp_failed(bp_store_open(path, BP_STORE_WRITE, "1.0", NULL, &s))) {
            _exit(1);
        }
        for (unsigned group = 0;; group++) {
            if (bp_failed(bp_store_begin(s)) || bp_failed(add(s, 2 * group)) || bp_failed(add(s, 2 * group + 1))) {
                _exit(1);
            }
            if (group == 200) {
                (void)kill(getpid(), SIGKILL);
            }
            if (bp_failed(bp_store_commit(s)) || write(tell[1], &group, sizeof group) != (ssize_t)sizeof group) {
                _exit(1);
            }
        }
    }
    (void)close(tell[1]);
    while (read(tell[0], &number, sizeof number) == (ssize_t)sizeof number) {
        told = number + 1;
    }
    (void)close(tell[0]);
    (void)waitpid(pid, NULL, 0);
    BP_CHECK(told == 200);
    BP_NEED(!bp_failed(bp_store_open(path, BP_STORE_WRITE, "1.0", NULL, &s)));
    for (unsigned i = 0; i < 2 * told; i++) {
        BP_CHECK(has(s, i));
    }
    BP_CHECK(!has(s, 400) && !has(s, 401));
    end(s);
}

/* In a child whose files may not grow past a limit: the group is refused as FULL and gone, and works again afterwards. */
BP_CASE(a_full_disk_refuses_the_group_and_recovers)
{
    bp_store *s = NULL;
    int code = 1;
    BP_NEED(begin(&s));
    bp_store_free(s);
    s = NULL;
    const pid_t pid = fork();
    if (pid == 0) {
        struct rlimit small = {256u << 10, RLIM_INFINITY};
        const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
        bool refused = false;
        unsigned n = 0;
        (void)signal(SIGXFSZ, SIG_IGN);
        if (bp_failed(bp_store_open(path, BP_STORE_WRITE, "1.0", NULL, &s)) || setrlimit(RLIMIT_FSIZE, &small) != 0) {
            _exit(2);
        }
        for (; n < 20000 && !refused; n++) {
            if (bp_failed(bp_store_begin(s))) {
                _exit(3);
            }
            bp_result r = add(s, n);
            if (!bp_failed(r)) {
                r = bp_store_commit(s);
            }
            refused = bp_is(r, BP_E_FULL);
            if (bp_failed(r) && !refused) {
                _exit(4);
            }
        }
        bp_store_abort(s);
        if (!refused || has(s, n - 1) || !has(s, n - 2)) {
            _exit(5);
        }
        if (setrlimit(RLIMIT_FSIZE, &all) != 0 || !bp_failed(add(s, 30000)) || has(s, 30000)) {
            _exit(7); /* something slipped in beside the group that is gone */
        }
        if (bp_failed(bp_store_begin(s)) || bp_failed(add(s, n - 1)) ||
            bp_failed(bp_store_commit(s)) || !has(s, n - 1)) {
            _exit(6);
        }
        _exit(0);
    }
    BP_CHECK(waitpid(pid, &code, 0) == pid && WIFEXITED(code) && WEXITSTATUS(code) == 0);
    if (!(WIFEXITED(code) && WEXITSTATUS(code) == 0)) {
        printf("# the child ended with %d\n", WIFEXITED(code) ? WEXITSTATUS(code) : -1);
    }
    end(NULL);
}

BP_CASE(a_newer_store_is_refused_with_the_version_that_reads_it)
{
    bp_store *s = NULL;
    sqlite3 *db = NULL;
    char needs[64] = "";
    BP_NEED(begin(&s));
    bp_store_free(s);
    s = NULL;
    BP_NEED(sqlite3_open(path, &db) == SQLITE_OK);
    BP_CHECK(sqlite3_exec(db, "INSERT INTO migration VALUES(99,'7.5'); PRAGMA user_version=99", NULL, NULL, NULL) ==
             SQLITE_OK);
    (void)sqlite3_close(db);
    BP_CHECK(bp_is(bp_store_open(path, BP_STORE_WRITE, "1.0", needs, &s), BP_E_UNSUPPORTED));
    BP_CHECK(strcmp(needs, "7.5") == 0);
    end(NULL);
}

BP_CASE(a_file_of_another_program_is_refused)
{
    bp_store *s = NULL;
    BP_NEED(begin(&s));
    bp_store_free(s);
    s = NULL;
    FILE *f = fopen(path, "w");
    BP_NEED(f != NULL && fputs("this is not a store, and long enough to be looked at as one, perhaps", f) >= 0 &&
            fclose(f) == 0);
    BP_CHECK(bp_is(bp_store_open(path, BP_STORE_WRITE, "1.0", NULL, &s), BP_E_MALFORMED));
    end(NULL);
}

struct scans {
    unsigned plans, scans;
};

static void look(void *self, const char *sql, const char *plan)
{
    struct scans *n = self;
    n->plans++;
    /* "SCAN CONSTANT ROW" is a row made of nothing; a counted subquery ends at its LIMIT; acceptances are as many as people made. */
    if (strncmp(plan, "SCAN", 4) == 0 && strstr(plan, "CONSTANT ROW") == NULL && strstr(plan, "(subquery") == NULL && strstr(sql, "acceptance") == NULL) {
        n->scans++;
        printf("# scans: %s: %s\n", sql, plan);
    }
}

BP_CASE(no_statement_of_the_keeper_scans)
{
    bp_store *s = NULL;
    struct scans n = {0};
    BP_NEED(begin(&s));
    BP_CHECK(!bp_failed(bp_store_plans(s, look, &n)));
    BP_CHECK(n.plans > 50 && n.scans == 0);
    end(s);
}

BP_CASE(zone_counts_follow_states_and_moves)
{
    bp_store *s = NULL;
    struct bp_device d = {0};
    uint64_t hall = 9, yard = 9;
    BP_NEED(begin(&s) && !bp_failed(bp_store_begin(s)) && !bp_failed(add(s, 1)));
    BP_NEED(!bp_failed(bp_store_device_by_pseudonym(s, BP_SPAN_STR("P1"), &d)));
    memcpy(d.place.zone, "hall", 5);
    d.state = BP_ST_ACTIVE;
    BP_CHECK(!bp_failed(bp_store_device_set(s, &d)) && !bp_failed(bp_store_zone_count(s, "hall", &hall)) && hall == 1);
    memcpy(d.place.zone, "yard", 5);
    BP_CHECK(!bp_failed(bp_store_device_set(s, &d)) && !bp_failed(bp_store_zone_count(s, "hall", &hall)) && hall == 0);
    BP_CHECK(!bp_failed(bp_store_zone_count(s, "yard", &yard)) && yard == 1);
    d.state = BP_ST_REVOKED;
    BP_CHECK(!bp_failed(bp_store_device_set(s, &d)) && !bp_failed(bp_store_zone_count(s, "yard", &yard)) && yard == 0);
    end(s);
}

BP_CASE(a_code_serves_once)
{
    bp_store *s = NULL;
    struct bp_code c = {.role = "admin", .zone = "*", .expires_ms = 100}, got = {0};
    memset(c.code, 7, sizeof c.code);
    BP_NEED(begin(&s) && !bp_failed(bp_store_begin(s)) && !bp_failed(bp_store_code_add(s, &c)));
    BP_CHECK(!bp_failed(bp_store_code_take(s, BP_SPAN_OF(c.code), 99, &got)) && strcmp(got.role, "admin") == 0);
    BP_CHECK(bp_is(bp_store_code_take(s, BP_SPAN_OF(c.code), 99, &got), BP_E_NOT_FOUND));
    BP_CHECK(!bp_failed(bp_store_code_add(s, &c)));
    BP_CHECK(bp_is(bp_store_code_take(s, BP_SPAN_OF(c.code), 100, &got), BP_E_NOT_FOUND)); /* too late */
    end(s);
}

static bool exec(const char *sql)
{
    sqlite3 *db = NULL;
    const bool ok = sqlite3_open(path, &db) == SQLITE_OK && sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;
    (void)sqlite3_close(db);
    return ok;
}

/* As the version before escrow and positions left it. */
BP_CASE(a_store_of_the_step_before_is_moved_forward)
{
    bp_store *s = NULL;
    uint32_t n = 9, open = 9;
    BP_NEED(begin(&s) && !bp_failed(bp_store_begin(s)) && !bp_failed(add(s, 1)) && !bp_failed(bp_store_commit(s)));
    bp_store_free(s);
    s = NULL;
    BP_NEED(exec("DROP TABLE expected_key; DROP TABLE expected; DROP TABLE manifest; DROP TABLE announcer;"
                 "DROP TABLE escrow; DROP TABLE position; DROP TABLE action; DROP TABLE owned; DROP TABLE permit;"
                 "DROP TABLE log_break; DROP INDEX certificate_since; DROP TABLE service; DROP INDEX certificate_ends;"
                 "ALTER TABLE key_index DROP COLUMN service; ALTER TABLE certificate DROP COLUMN service;"
                 "ALTER TABLE invitation DROP COLUMN position;"
                 "DELETE FROM migration WHERE step>1; PRAGMA user_version=1"));
    BP_CHECK(bp_is(bp_store_open(path, BP_STORE_READ, "1.1", NULL, &s), BP_E_UNSUPPORTED)); /* a reader moves nothing */
    BP_NEED(!bp_failed(bp_store_open(path, BP_STORE_WRITE, "1.1", NULL, &s)));
    BP_CHECK(has(s, 1) && !bp_failed(bp_store_escrow_count(s, 1, 9, &n)) && n == 0);
    BP_CHECK(bp_is(bp_store_position_by_tag(s, BP_SPAN_STR("A"), &(struct bp_position){0}), BP_E_NOT_FOUND));
    BP_CHECK(!bp_failed(bp_store_action_open(s, 0, 9, &open)) && open == 0);
    end(s);
}

BP_CASE(a_device_fills_one_position_and_a_position_has_one_device)
{
    bp_store *s = NULL;
    struct bp_position a = {.tag = "A", .place = {.zone = "z"}}, b = {.tag = "B", .place = {.zone = "z"}}, got = {0}, all[3];
    size_t n = 0;
    BP_NEED(begin(&s) && !bp_failed(bp_store_begin(s)) && !bp_failed(add(s, 1)) && !bp_failed(add(s, 2)));
    BP_CHECK(!bp_failed(bp_store_position_add(s, &a)) && !bp_failed(bp_store_position_add(s, &b)));
    BP_CHECK(bp_is(bp_store_position_add(s, &(struct bp_position){.tag = "A"}), BP_E_EXISTS));
    BP_CHECK(!bp_failed(bp_store_position_fill(s, a.n, 1, 7)) && bp_is(bp_store_position_fill(s, b.n, 1, 8), BP_E_EXISTS));
    BP_CHECK(bp_is(bp_store_position_fill(s, 99, 2, 8), BP_E_NOT_FOUND));
    BP_CHECK(!bp_failed(bp_store_position_of(s, 1, &got)) && got.n == a.n && got.device == 1 && got.since_ms == 7);
    BP_CHECK(!bp_failed(bp_store_position_fill(s, a.n, 2, 9)) && bp_is(bp_store_position_of(s, 1, &got), BP_E_NOT_FOUND));
    BP_CHECK(!bp_failed(bp_store_positions(s, 0, all, 3, &n)) && n == 2 && all[0].device == 2 && all[1].device == 0);
    BP_CHECK(!bp_failed(bp_store_positions(s, a.n, all, 3, &n)) && n == 1 && strcmp(all[0].tag, "B") == 0);
    end(s);
}

BP_CASE(a_chain_is_kept_before_its_device_comes)
{
    bp_store *s = NULL;
    struct bp_owned o = {.id = {1, 2}, .phase = BP_OWNED_OURS, .epoch = 1, .place = {.zone = "hall", .name = "press"},
                         .by = "ann", .at_ms = 5, .chain = BP_SPAN_STR("chain")}, got = {0};
    BP_NEED(begin(&s) && !bp_failed(bp_store_begin(s)));
    BP_CHECK(bp_is(bp_store_owned(s, BP_SPAN_OF(o.id), &got), BP_E_NOT_FOUND));
    BP_CHECK(!bp_failed(bp_store_owned_set(s, &o)) && !bp_failed(bp_store_owned(s, BP_SPAN_OF(o.id), &got)));
    BP_CHECK(got.phase == BP_OWNED_OURS && got.epoch == 1 && strcmp(got.place.zone, "hall") == 0 && strcmp(got.by, "ann") == 0 &&
             strcmp(got.place.name, "press") == 0 && bp_span_equal(got.chain, BP_SPAN_STR("chain")) && got.erasure.n == 0);
    o.phase = BP_OWNED_GONE;
    o.epoch = 2;
    o.erasure = BP_SPAN_STR("gone");
    BP_CHECK(!bp_failed(bp_store_owned_set(s, &o)) && !bp_failed(bp_store_owned(s, BP_SPAN_OF(o.id), &got)) &&
             got.phase == BP_OWNED_GONE && got.epoch == 2 && bp_span_equal(got.erasure, BP_SPAN_STR("gone")));
    end(s);
}

BP_CASE(a_permit_is_spent_once)
{
    bp_store *s = NULL;
    struct bp_permit p = {.device = 1, .by = "ann", .expires_ms = 9}, got = {0};
    BP_NEED(begin(&s) && !bp_failed(bp_store_begin(s)) && !bp_failed(add(s, 1)));
    BP_CHECK(!bp_failed(bp_store_permit_set(s, &p)) && !bp_failed(bp_store_permit(s, 1, &got)) && got.expires_ms == 9 &&
             strcmp(got.by, "ann") == 0);
    BP_CHECK(!bp_failed(bp_store_permit_spend(s, 1)) && bp_is(bp_store_permit_spend(s, 1), BP_E_NOT_FOUND) &&
             bp_is(bp_store_permit(s, 1, &got), BP_E_NOT_FOUND));
    end(s);
}

BP_CASE(escrows_of_a_device_stand_newest_first)
{
    bp_store *s = NULL;
    struct bp_escrow_row e = {.state = 1, .at_ms = 10, .state_ms = 10, .envelope = BP_SPAN_STR("one")}, got = {0};
    uint32_t n = 0;
    BP_NEED(begin(&s) && !bp_failed(bp_store_begin(s)) && !bp_failed(add(s, 1)) && !bp_failed(add(s, 2)));
    e.digest[0] = 1;
    BP_CHECK(!bp_failed(bp_store_escrow_add(s, 1, &e)) && bp_is(bp_store_escrow_add(s, 1, &e), BP_E_EXISTS));
    BP_CHECK(!bp_failed(bp_store_escrow_add(s, 2, &e))); /* another device's is another one */
    e.digest[0] = 2;
    e.envelope = BP_SPAN_STR("two");
    BP_CHECK(!bp_failed(bp_store_escrow_add(s, 1, &e))); /* in the same millisecond */
    BP_CHECK(!bp_failed(bp_store_escrow_newest(s, 1, 0, &got)) && bp_span_equal(got.envelope, BP_SPAN_STR("two")));
    BP_CHECK(!bp_failed(bp_store_escrow_newest(s, 1, 1, &got)) && bp_span_equal(got.envelope, BP_SPAN_STR("one")));
    BP_CHECK(bp_is(bp_store_escrow_newest(s, 1, 2, &got), BP_E_NOT_FOUND));
    got.state = 2;
    got.state_ms = 11;
    BP_CHECK(!bp_failed(bp_store_escrow_set(s, &got)));
    BP_CHECK(!bp_failed(bp_store_escrow_newest(s, 1, 0, &got)) && bp_span_equal(got.envelope, BP_SPAN_STR("one")) &&
             got.state == 2 && got.at_ms == 10 && got.state_ms == 11);
    BP_CHECK(!bp_failed(bp_store_escrow_of(s, 1, BP_SPAN_OF(e.digest), &got)) && got.state == 1 && got.digest[0] == 2);
    BP_CHECK(!bp_failed(bp_store_escrow_count(s, 1, 9, &n)) && n == 2);
    BP_CHECK(!bp_failed(bp_store_escrow_count(s, 1, 1, &n)) && n == 1);
    end(s);
}

BP_CASE(a_copy_is_a_store_of_its_own_and_knows_nothing_later)
{
    char copy[80];
    bp_store *s = NULL, *c = NULL;
    BP_NEED(begin(&s));
    (void)snprintf(copy, sizeof copy, "%s.copy", path);
    BP_CHECK(!bp_failed(bp_store_begin(s)) && !bp_failed(add(s, 1)));
    BP_CHECK(bp_is(bp_store_copy(s, copy), BP_E_INTERNAL)); /* not inside a group */
    BP_NEED(!bp_failed(bp_store_commit(s)) && !bp_failed(bp_store_copy(s, copy)));
    BP_CHECK(bp_is(bp_store_copy(s, copy), BP_E_EXISTS));
    BP_CHECK(!bp_failed(bp_store_begin(s)) && !bp_failed(add(s, 2)) && !bp_failed(bp_store_commit(s)));
    BP_NEED(!bp_failed(bp_store_open(copy, BP_STORE_READ, "1.0", NULL, &c)));
    BP_CHECK(has(c, 1) && !has(c, 2) && !bp_failed(bp_store_sound(c)));
    bp_store_free(c);
    BP_CHECK(unlink(copy) == 0);
    end(s);
}

BP_CASE(a_damaged_page_is_found)
{
    char copy[80];
    bp_store *s = NULL, *c = NULL;
    BP_NEED(begin(&s));
    (void)snprintf(copy, sizeof copy, "%s.copy", path);
    BP_NEED(!bp_failed(bp_store_begin(s)));
    for (unsigned i = 0; i < 400; i++) {
        BP_NEED(!bp_failed(add(s, i)));
    }
    BP_NEED(!bp_failed(bp_store_commit(s)) && !bp_failed(bp_store_copy(s, copy)));
    FILE *f = fopen(copy, "r+b");
    BP_NEED(f != NULL && fseek(f, -4096 * 3, SEEK_END) == 0);
    for (unsigned i = 0; i < 4096 * 3; i++) {
        BP_CHECK(fputc(0x5a, f) != EOF);
    }
    BP_CHECK(fclose(f) == 0);
    if (!bp_failed(bp_store_open(copy, BP_STORE_READ, "1.0", NULL, &c))) {
        BP_CHECK(bp_is(bp_store_sound(c), BP_E_MALFORMED));
    }
    bp_store_free(c);
    BP_CHECK(unlink(copy) == 0);
    end(s);
}

BP_CASE(the_newest_gap_that_a_size_lies_in)
{
    const struct bp_log_gap first = {11, 4, 10}, second = {21, 8, 20};
    struct bp_log_gap g;
    bp_store *s = NULL;
    BP_NEED(begin(&s));
    BP_NEED(!bp_failed(bp_store_begin(s)) && !bp_failed(bp_store_gap_add(s, &first)) && !bp_failed(bp_store_gap_add(s, &second)) &&
            !bp_failed(bp_store_commit(s)));
    BP_CHECK(bp_is(bp_store_gap(s, 4, &g), BP_E_NOT_FOUND) && bp_is(bp_store_gap(s, 21, &g), BP_E_NOT_FOUND));
    BP_CHECK(!bp_failed(bp_store_gap(s, 5, &g)) && g.event == 11 && g.kept == 4 && g.lost == 10);
    BP_CHECK(!bp_failed(bp_store_gap(s, 9, &g)) && g.event == 21);
    BP_CHECK(!bp_failed(bp_store_gap(s, 20, &g)) && g.event == 21);
    end(s);
}

BP_CASE(what_serves_once_ends_when_a_copy_is_put_back)
{
    struct bp_code code = {.code = {1}, .role = "admin", .name = "a", .zone = "*", .by = "test", .expires_ms = 2000};
    struct bp_invitation i = {.code = {2}, .by = "test", .created_ms = 1, .expires_ms = 2000};
    struct bp_vouched v = {.spki = {3}, .device = 1, .verdict = 1, .until_ms = 2000};
    const struct bp_permit p = {.device = 1, .by = "test", .expires_ms = 2000};
    struct bp_permit got;
    bp_store *s = NULL;
    BP_NEED(begin(&s));
    BP_CHECK(bp_is(bp_store_spend_all(s, 1000), BP_E_INTERNAL)); /* only inside a group */
    BP_NEED(!bp_failed(bp_store_begin(s)) && !bp_failed(add(s, 1)) && !bp_failed(bp_store_code_add(s, &code)) &&
            !bp_failed(bp_store_invitation_add(s, &i)) && !bp_failed(bp_store_vouch(s, &v)) && !bp_failed(bp_store_permit_set(s, &p)));
    BP_NEED(!bp_failed(bp_store_spend_all(s, 1000)) && !bp_failed(bp_store_commit(s)));
    BP_NEED(!bp_failed(bp_store_begin(s)));
    BP_CHECK(bp_is(bp_store_code_take(s, BP_SPAN_OF(code.code), 1000, &code), BP_E_NOT_FOUND));
    BP_CHECK(bp_is(bp_store_vouched(s, BP_SPAN_OF(v.spki), &v), BP_E_NOT_FOUND) && bp_is(bp_store_permit(s, 1, &got), BP_E_NOT_FOUND));
    BP_CHECK(!bp_failed(bp_store_invitation(s, BP_SPAN_OF(i.code), &i)) && i.expires_ms == 0);
    bp_store_abort(s);
    end(s);
}

BP_SUITE(store, BP_RUN(a_copy_is_a_store_of_its_own_and_knows_nothing_later) BP_RUN(a_damaged_page_is_found)
                    BP_RUN(the_newest_gap_that_a_size_lies_in) BP_RUN(what_serves_once_ends_when_a_copy_is_put_back)
                    BP_RUN(an_act_taken_back_leaves_the_others_of_its_group) BP_RUN(a_group_given_up_leaves_nothing)
    BP_RUN(a_writing_call_outside_a_group_is_refused) BP_RUN(a_reader_reads_and_cannot_write)
    BP_RUN(what_was_told_before_a_kill_is_there) BP_RUN(a_full_disk_refuses_the_group_and_recovers)
    BP_RUN(a_newer_store_is_refused_with_the_version_that_reads_it) BP_RUN(a_file_of_another_program_is_refused)
    BP_RUN(no_statement_of_the_keeper_scans) BP_RUN(zone_counts_follow_states_and_moves) BP_RUN(a_code_serves_once)
    BP_RUN(a_store_of_the_step_before_is_moved_forward)
    BP_RUN(a_device_fills_one_position_and_a_position_has_one_device) BP_RUN(escrows_of_a_device_stand_newest_first)
    BP_RUN(a_chain_is_kept_before_its_device_comes) BP_RUN(a_permit_is_spent_once))
