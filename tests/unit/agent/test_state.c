/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/agent/test_state - the agent's folder: what was saved is loaded, two slots choose as told, damage of one slot
 * leaves the other, failures change nothing. */
#include "agent/state.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness.h"
#include "platform/alloc.h"
#include "platform/linux/file.h"

static char dir[64];
static struct bp_agent_device dev, dev2;
static struct bp_agent_slot slot, slot2;
static uint8_t room[16384];

static void fill_device(void)
{
    memset(&dev, 0, sizeof dev);
    memcpy(dev.root, "tpm2:device:/dev/tpmrm0", 24);
    memcpy(dev.host, "localhost", 10);
    memcpy(dev.connect, "10.0.2.2", 9);
    dev.enrol_port = 8444;
    dev.device_port = 8443;
    dev.anchor_n = 900;
    memset(dev.anchor, 0x30, dev.anchor_n);
    dev.has_id = true;
    memset(dev.id, 7, sizeof dev.id);
    dev.ak_template = 1;
    dev.ak.n = 300;
    memset(dev.ak.v, 3, dev.ak.n);
    memset(dev.ak_auth, 9, sizeof dev.ak_auth);
    dev.features = 2;
    memcpy(dev.feature[0], "ima-delta", 10);
    memcpy(dev.feature[1], "log-head", 9);
}

static void fill_slot(uint64_t generation, bool promoted, size_t cert_n)
{
    memset(&slot, 0, sizeof slot);
    slot.generation = generation;
    slot.is_promoted = promoted;
    slot.key.n = 200;
    memset(slot.key.v, (int)generation, slot.key.n);
    memset(slot.auth, 5, sizeof slot.auth);
    slot.cert_n = cert_n;
    memset(slot.cert, 6, cert_n);
}

static struct bp_state *open_state(bool lock)
{
    struct bp_state *s = NULL;
    BP_CHECK(!bp_failed(bp_state_open(dir, true, lock, &s)));
    return s;
}

static void path_of(const char *name, char ret[160])
{
    (void)snprintf(ret, 160, "%s/%s", dir, name);
}

static void empty_folder(void)
{
    static const char *const names[] = {"device.cbor", "slot-a.cbor", "slot-b.cbor", "head", "last.json", "lock"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[160];
        path_of(names[i], path);
        (void)unlink(path);
    }
}

BP_CASE(device_is_loaded_as_saved)
{
    struct bp_state *s = open_state(true);
    char path[160];
    struct stat st;
    fill_device();
    BP_CHECK(bp_is(bp_state_device_load(s, &dev2), BP_E_NOT_FOUND));
    BP_CHECK(!bp_failed(bp_state_device_save(s, &dev)) && !bp_failed(bp_state_device_load(s, &dev2)));
    BP_CHECK(memcmp(&dev, &dev2, sizeof dev) == 0);
    path_of("device.cbor", path);
    BP_CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);
    BP_CHECK(stat(dir, &st) == 0 && (st.st_mode & 0777) == 0700);
    bp_state_free(s);
}

BP_CASE(slot_is_loaded_as_saved)
{
    struct bp_state *s = open_state(true);
    fill_slot(3, true, 700);
    BP_CHECK(!bp_failed(bp_state_slot_save(s, BP_SLOT_B, &slot)) && !bp_failed(bp_state_slot_load(s, BP_SLOT_B, &slot2)));
    BP_CHECK(memcmp(&slot, &slot2, sizeof slot) == 0);
    BP_CHECK(bp_is(bp_state_slot_load(s, BP_SLOT_A, &slot2), BP_E_NOT_FOUND));
    bp_state_free(s);
}

BP_CASE(one_user_at_a_time)
{
    struct bp_state *s = open_state(true);
    struct bp_state *t = NULL;
    BP_CHECK(bp_is(bp_state_open(dir, false, true, &t), BP_E_BUSY));
    BP_CHECK(!bp_failed(bp_state_open(dir, false, false, &t))); /* `status` looks on */
    bp_state_free(t);
    bp_state_free(s);
    s = open_state(true);
    bp_state_free(s);
}

/* A slot that is not there: generation 0. Promoted without a certificate cannot be stored. */
static const struct {
    const char *name;
    struct {
        uint64_t generation;
        bool promoted;
        size_t cert_n;
    } slot[BP_SLOTS];
    enum bp_slot_name active, pending;
} choice[] = {
    {"none", {{0, false, 0}, {0, false, 0}}, BP_SLOTS, BP_SLOTS},
    {"key_only", {{1, false, 0}, {0, false, 0}}, BP_SLOTS, BP_SLOTS},
    {"first_certificate", {{1, false, 9}, {0, false, 0}}, BP_SLOTS, BP_SLOT_A},
    {"first_in_use", {{1, true, 9}, {0, false, 0}}, BP_SLOT_A, BP_SLOTS},
    {"new_key", {{1, true, 9}, {2, false, 0}}, BP_SLOT_A, BP_SLOTS},
    {"new_certificate", {{1, true, 9}, {2, false, 9}}, BP_SLOT_A, BP_SLOT_B},
    {"second_in_use", {{1, true, 9}, {2, true, 9}}, BP_SLOT_B, BP_SLOTS},
    {"third_certificate", {{3, false, 9}, {2, true, 9}}, BP_SLOT_B, BP_SLOT_A},
    {"third_in_use", {{3, true, 9}, {2, true, 9}}, BP_SLOT_A, BP_SLOTS},
    {"older_one_never_tried", {{1, false, 9}, {2, true, 9}}, BP_SLOT_B, BP_SLOTS},
};

static void choices(void)
{
    for (size_t i = 0; i < sizeof choice / sizeof choice[0]; i++) {
        bp_case_begin();
        empty_folder();
        struct bp_state *s = open_state(true);
        for (enum bp_slot_name k = BP_SLOT_A; k < BP_SLOTS; k = (enum bp_slot_name)(k + 1)) {
            if (choice[i].slot[k].generation != 0) {
                fill_slot(choice[i].slot[k].generation, choice[i].slot[k].promoted, choice[i].slot[k].cert_n);
                BP_CHECK(!bp_failed(bp_state_slot_save(s, k, &slot)));
            }
        }
        enum bp_slot_name pending = BP_SLOT_A;
        BP_CHECK(bp_state_active(s, &pending) == choice[i].active && pending == choice[i].pending);
        bp_state_free(s);
        bp_case_end(choice[i].name);
    }
}

BP_CASE(a_damaged_slot_leaves_the_other)
{
    char path[160];
    enum bp_slot_name pending;
    empty_folder();
    struct bp_state *s = open_state(true);
    fill_slot(1, true, 9);
    BP_CHECK(!bp_failed(bp_state_slot_save(s, BP_SLOT_A, &slot)));
    fill_slot(2, true, 9);
    BP_CHECK(!bp_failed(bp_state_slot_save(s, BP_SLOT_B, &slot)) && bp_state_active(s, &pending) == BP_SLOT_B);
    path_of("slot-b.cbor", path);
    BP_CHECK(truncate(path, 40) == 0);
    BP_CHECK(bp_state_active(s, &pending) == BP_SLOT_A && pending == BP_SLOTS);
    bp_state_free(s);
}

BP_CASE(what_a_killed_process_left_is_removed)
{
    static const struct {
        const char *name;
        bool stays;
    } file[] = {{"slot-a.cbor.Ab12Cd", false}, {"device.cbor.xxxxxx", false}, {"head.aaaaaa", false},
                {"slot-a.cbor.Ab12Cde", true}, {"notes.txt", true}};
    char path[160];
    for (size_t i = 0; i < sizeof file / sizeof file[0]; i++) {
        path_of(file[i].name, path);
        BP_CHECK(!bp_failed(bp_file_write(path, BP_FILE_SECRET, BP_SPAN_STR("x"))));
    }
    bp_state_free(open_state(false));
    path_of(file[0].name, path);
    BP_CHECK(access(path, F_OK) == 0); /* an onlooker touches nothing */
    bp_state_free(open_state(true));
    for (size_t i = 0; i < sizeof file / sizeof file[0]; i++) {
        path_of(file[i].name, path);
        BP_CHECK((access(path, F_OK) == 0) == file[i].stays);
        (void)unlink(path);
    }
}

/* Which endorsement key is shown is remembered; a folder of before has no such member, and shows all. */
BP_CASE(the_key_that_is_shown_is_kept)
{
    size_t n = 0, all_n = 0;
    fill_device();
    BP_NEED(!bp_failed(bp_agent_device_write(&dev, room, sizeof room, &all_n)));
    BP_CHECK(!bp_failed(bp_agent_device_read(bp_span_of(room, all_n), &dev2)) && dev2.ek_template == 0);
    dev.ek_template = BP_TEMPLATE_H3;
    BP_NEED(!bp_failed(bp_agent_device_write(&dev, room, sizeof room, &n)) && n == all_n + 2);
    BP_CHECK(!bp_failed(bp_agent_device_read(bp_span_of(room, n), &dev2)) && dev2.ek_template == BP_TEMPLATE_H3);
    room[n - 1] = BP_TEMPLATE_H3 + 1;
    BP_CHECK(bp_is(bp_agent_device_read(bp_span_of(room, n), &dev2), BP_E_MALFORMED) && dev2.ek_template == 0);
}

/* Every truncation and every changed byte of the two files is refused or read as something that can be written again. */
BP_CASE(damage_never_passes_as_another_device)
{
    size_t n = 0;
    fill_device();
    BP_NEED(!bp_failed(bp_agent_device_write(&dev, room, sizeof room, &n)));
    for (size_t cut = 0; cut < n; cut++) {
        BP_CHECK(bp_failed(bp_agent_device_read(bp_span_of(room, cut), &dev2)) && !dev2.has_id);
    }
    fill_slot(2, true, 50);
    BP_NEED(!bp_failed(bp_agent_slot_write(&slot, room, sizeof room, &n)));
    for (size_t cut = 0; cut < n; cut++) {
        BP_CHECK(bp_failed(bp_agent_slot_read(bp_span_of(room, cut), &slot2)) && slot2.key.n == 0);
    }
}

static bp_result slot_with(size_t key_n, bool promoted, size_t cert_n)
{
    size_t n = 0;
    fill_slot(1, promoted, cert_n);
    slot.key.n = key_n;
    const bp_result r = bp_agent_slot_write(&slot, room, sizeof room, &n);
    return bp_failed(r) ? r : bp_agent_slot_read(bp_span_of(room, n), &slot2);
}

BP_CASE(slots_that_cannot_be_are_refused)
{
    BP_CHECK(!bp_failed(slot_with(200, true, 9)) && !bp_failed(slot_with(200, false, 0)));
    BP_CHECK(bp_is(slot_with(0, false, 9), BP_E_MALFORMED));
    BP_CHECK(bp_is(slot_with(200, true, 0), BP_E_MALFORMED));
    size_t n = 0;
    fill_device();
    BP_NEED(!bp_failed(bp_agent_device_write(&dev, room, sizeof room, &n)));
    BP_CHECK(bp_is(bp_agent_slot_read(bp_span_of(room, n), &slot2), BP_E_UNSUPPORTED)); /* another type */
}

BP_CASE(failures_leave_what_stood)
{
    empty_folder();
    struct bp_state *s = open_state(true);
    fill_slot(1, true, 9);
    BP_CHECK(!bp_failed(bp_state_slot_save(s, BP_SLOT_A, &slot)));
    const size_t live = bp_alloc_live();
    fill_slot(2, false, 9);
    bp_alloc_fail_from(1);
    BP_CHECK(bp_is(bp_state_slot_save(s, BP_SLOT_A, &slot), BP_E_NO_MEMORY));
    BP_CHECK(bp_is(bp_state_slot_load(s, BP_SLOT_A, &slot2), BP_E_NO_MEMORY));
    bp_alloc_fail_from(0);
    BP_CHECK(bp_alloc_live() == live);
    BP_CHECK(!bp_failed(bp_state_slot_load(s, BP_SLOT_A, &slot2)) && slot2.generation == 1 && slot2.is_promoted);
    bp_state_free(s);
    BP_CHECK(bp_is(bp_state_open("/nonexistent/folder", true, true, &s), BP_E_NOT_FOUND));
    BP_CHECK(bp_is(bp_state_open("/dev/null", false, false, &s), BP_E_NOT_FOUND));
    char path[160];
    path_of("slot-a.cbor", path);
    BP_CHECK(chmod(path, 0644) == 0); /* a secret that others may read is not taken */
    s = open_state(true);
    BP_CHECK(bp_is(bp_state_slot_load(s, BP_SLOT_A, &slot2), BP_E_DENIED));
    bp_state_free(s);
}

BP_CASE(texts_are_kept)
{
    struct bp_state *s = open_state(true);
    uint8_t *p = NULL;
    size_t n = 0;
    BP_CHECK(bp_is(bp_state_text_load(s, "head", &p, &n), BP_E_NOT_FOUND));
    BP_CHECK(!bp_failed(bp_state_text_save(s, "head", BP_SPAN_STR("origin\n1\n"))));
    BP_CHECK(!bp_failed(bp_state_text_load(s, "head", &p, &n)) && n == 9);
    bp_free(p);
    bp_state_free(s);
}

static void begin(void)
{
    const char *tmp = getenv("TMPDIR");
    char base[48];
    (void)snprintf(base, sizeof base, "%s/bp.XXXXXX", tmp != NULL && strlen(tmp) < 20 ? tmp : "/tmp");
    BP_CHECK(mkdtemp(base) != NULL);
    (void)snprintf(dir, sizeof dir, "%s/agent", base);
}

static void end(void)
{
    empty_folder();
    (void)rmdir(dir);
    dir[strlen(dir) - 6] = '\0';
    (void)rmdir(dir);
}

/* What the device knows of its owner: read as written, cut or impossible ones refused, kept in the folder and not forgotten with
 * the owner's keys. */
BP_CASE(owner_is_kept)
{
    struct bp_agent_owner o = {.has_maker = true, .anchor = {1}, .epoch = 3, .head = {2}, .has_counter = true, .is_stepping = true,
                               .counter = {0x01800001, 7, 2, 5}, .counter_auth = {9}, .erasure_n = 4, .erasure = {1, 2, 3, 4}};
    struct bp_agent_owner got;
    size_t n = 0;
    BP_NEED(!bp_failed(bp_agent_owner_write(&o, room, sizeof room, &n)));
    BP_NEED(!bp_failed(bp_agent_owner_read(bp_span_of(room, n), &got)));
    BP_CHECK(got.has_maker && got.epoch == 3 && got.is_stepping && got.counter.value == 7 && got.counter.index == 0x01800001 &&
             got.erasure_n == 4 && got.anchor[0] == 1 && got.head[0] == 2 && got.counter_auth[0] == 9);
    for (size_t cut = 0; cut < n; cut++) {
        BP_CHECK(bp_failed(bp_agent_owner_read(bp_span_of(room, cut), &got)) && !got.has_maker);
    }
    o.has_counter = false; /* a step that no counter takes */
    BP_NEED(!bp_failed(bp_agent_owner_write(&o, room, sizeof room, &n)));
    BP_CHECK(bp_is(bp_agent_owner_read(bp_span_of(room, n), &got), BP_E_MALFORMED));
    o = (struct bp_agent_owner){.erasure_n = 1}; /* leaving an owner that it never had */
    BP_NEED(!bp_failed(bp_agent_owner_write(&o, room, sizeof room, &n)));
    BP_CHECK(bp_is(bp_agent_owner_read(bp_span_of(room, n), &got), BP_E_MALFORMED));
}

static struct bp_agent_service service, service2;

static void fill_service(const char *name)
{
    memset(&service, 0, sizeof service);
    memcpy(service.name, name, strlen(name) + 1);
    memcpy(service.folder, "/etc/historian", 15);
    service.key.n = 300;
    memset(service.key.v, 4, service.key.n);
    service.cert_n = 700;
    memset(service.cert, 6, service.cert_n);
}

BP_CASE(services_are_loaded_as_saved)
{
    char name[BP_SERVICES_MAX][BP_SERVICE_NAME + 1];
    size_t count = 9;
    struct bp_state *s = open_state(true);
    struct bp_state *other = open_state(false); /* somebody adds one while an agent runs */
    BP_CHECK(!bp_failed(bp_state_services(s, name, &count)) && count == 0);
    fill_service("web");
    BP_CHECK(!bp_failed(bp_state_service_save(other, &service)));
    fill_service("historian");
    BP_CHECK(!bp_failed(bp_state_service_save(other, &service)));
    BP_CHECK(!bp_failed(bp_state_services(s, name, &count)) && count == 2);
    BP_CHECK(strcmp(name[0], "historian") == 0 && strcmp(name[1], "web") == 0);
    BP_CHECK(!bp_failed(bp_state_service_load(s, "historian", &service2)));
    BP_CHECK(memcmp(&service, &service2, sizeof service) == 0);
    BP_CHECK(!bp_failed(bp_state_service_remove(s, "historian")) && !bp_failed(bp_state_service_remove(s, "web")));
    BP_CHECK(bp_is(bp_state_service_load(s, "historian", &service2), BP_E_NOT_FOUND));
    BP_CHECK(bp_is(bp_state_service_remove(s, "web"), BP_E_NOT_FOUND));
    bp_state_free(other);
    bp_state_free(s);
}

BP_CASE(services_that_cannot_be_are_refused)
{
    static const char *const names[] = {"", "-a", "a.b", "A", "../x", "a b", "abcdefghijklmnopqrstuvwxyz0123456"};
    size_t n = 0;
    struct bp_state *s = open_state(true);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        BP_CHECK(bp_is(bp_state_service_load(s, names[i], &service2), BP_E_BAD_ARGUMENT));
        BP_CHECK(bp_is(bp_state_service_remove(s, names[i]), BP_E_BAD_ARGUMENT));
    }
    fill_service("web");
    service.folder[0] = 'x'; /* not absolute */
    BP_CHECK(!bp_failed(bp_agent_service_write(&service, room, sizeof room, &n)));
    BP_CHECK(bp_is(bp_agent_service_read(bp_span_of(room, n), &service2), BP_E_MALFORMED));
    fill_service("web");
    service.key.n = 0; /* a certificate of no key */
    BP_CHECK(!bp_failed(bp_agent_service_write(&service, room, sizeof room, &n)));
    BP_CHECK(bp_is(bp_agent_service_read(bp_span_of(room, n), &service2), BP_E_MALFORMED));
    fill_service("web");
    BP_CHECK(!bp_failed(bp_agent_service_write(&service, room, sizeof room, &n)));
    for (size_t cut = 0; cut < n; cut++) {
        BP_CHECK(bp_failed(bp_agent_service_read(bp_span_of(room, cut), &service2)));
    }
    bp_state_free(s);
}

/* clang-format off */
BP_SUITE(agent_state,
    begin();
    BP_RUN(device_is_loaded_as_saved)
    BP_RUN(slot_is_loaded_as_saved)
    BP_RUN(one_user_at_a_time)
    BP_TABLE(choices)
    BP_RUN(a_damaged_slot_leaves_the_other)
    BP_RUN(what_a_killed_process_left_is_removed)
    BP_RUN(the_key_that_is_shown_is_kept) BP_RUN(damage_never_passes_as_another_device)
    BP_RUN(slots_that_cannot_be_are_refused)
    BP_RUN(failures_leave_what_stood)
    BP_RUN(owner_is_kept)
    BP_RUN(texts_are_kept)
    BP_RUN(services_are_loaded_as_saved)
    BP_RUN(services_that_cannot_be_are_refused)
    end();)
