/* SPDX-License-Identifier: Apache-2.0 */
/* broker/control - see control.h. */
#include "broker/control.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <jansson.h>
#include <mosquitto.h>

#include "platform/alloc.h"
#include "platform/linux/clock.h"
#include "port/clock.h"

#define BP_MODULE CLI

#define ASK_TOPIC    "$CONTROL/dynamic-security/v1"
#define ANSWER_TOPIC ASK_TOPIC "/response"
#define STEP_MS      200
#define ID_ROOM      64

struct talk {
    struct mosquitto *m;
    char *ask;
    char id[ID_ROOM];
    size_t count; /* names asked about */
    size_t done;  /* of them, ended */
    bool is_over;
    bp_result r;
};

static void finish(struct talk *t, bp_result r)
{
    if (!t->is_over) {
        t->is_over = true;
        t->r = r;
    }
}

static void on_connect(struct mosquitto *m, void *self, int code)
{
    struct talk *t = self;
    if (code != 0) {
        finish(t, BP_FAIL(DENIED));
    } else if (mosquitto_subscribe(m, NULL, ANSWER_TOPIC, 1) != MOSQ_ERR_SUCCESS) {
        finish(t, BP_FAIL(CLOSED));
    }
}

static void on_subscribe(struct mosquitto *m, void *self, int id, int count, const int *granted)
{
    struct talk *t = self;
    (void)id;
    if (count != 1 || granted[0] > 2) {
        finish(t, BP_FAIL(DENIED));
    } else if (mosquitto_publish(m, NULL, ASK_TOPIC, (int)strlen(t->ask), t->ask, 1, false) != MOSQ_ERR_SUCCESS) {
        finish(t, BP_FAIL(CLOSED));
    }
}

/* Answers to others may pass by; ours carry our mark. That a client of the name existed already is no failure. */
static void on_message(struct mosquitto *m, void *self, const struct mosquitto_message *message)
{
    struct talk *t = self;
    size_t i;
    json_t *one;
    (void)m;
    if (message->payloadlen <= 0) {
        return;
    }
    json_t *o = json_loadb(message->payload, (size_t)message->payloadlen, JSON_REJECT_DUPLICATES, NULL);
    json_array_foreach(json_object_get(o, "responses"), i, one)
    {
        const char *id = json_string_value(json_object_get(one, "correlationData"));
        const char *command = json_string_value(json_object_get(one, "command"));
        if (id == NULL || command == NULL || strcmp(id, t->id) != 0 || strcmp(command, "deleteClient") != 0) {
            continue;
        }
        t->done++;
        if (json_object_get(one, "error") != NULL) {
            finish(t, BP_FAIL(DENIED));
        }
    }
    json_decref(o);
    if (t->done == t->count) {
        finish(t, BP_OK);
    }
}

static void on_disconnect(struct mosquitto *m, void *self, int code)
{
    (void)m;
    (void)code;
    finish(self, BP_FAIL(CLOSED));
}

static bool write_ask(struct talk *t, const char *const *names, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        /* A member for which there was no memory is missed below. */
        (void)json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "command", "createClient", "username", names[i],
                                                    "correlationData", t->id));
        (void)json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "command", "deleteClient", "username", names[i],
                                                    "correlationData", t->id));
    }
    const bool whole = json_array_size(list) == 2 * count;
    json_t *o = json_pack("{s:o}", "commands", list);
    t->ask = whole && o != NULL ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    return t->ask != NULL;
}

static bp_result dial(struct talk *t, const struct bp_control_spec *spec)
{
    t->m = mosquitto_new(t->id, true, t);
    if (t->m == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    mosquitto_connect_callback_set(t->m, on_connect);
    mosquitto_subscribe_callback_set(t->m, on_subscribe);
    mosquitto_message_callback_set(t->m, on_message);
    mosquitto_disconnect_callback_set(t->m, on_disconnect);
    if (mosquitto_tls_set(t->m, spec->ca_file, NULL, spec->cert_file, spec->key_file, NULL) != MOSQ_ERR_SUCCESS ||
        mosquitto_tls_opts_set(t->m, 1, "tlsv1.3", NULL) != MOSQ_ERR_SUCCESS) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    return mosquitto_connect(t->m, spec->host, spec->port, 60) == MOSQ_ERR_SUCCESS ? BP_OK : BP_FAIL(CLOSED);
}

static bp_result run(struct talk *t, const struct bp_control_spec *spec)
{
    const struct bp_clock clock = bp_clock_linux();
    const int64_t until = bp_mono_ms(&clock) + BP_CONTROL_MS;
    BP_TRY(dial(t, spec));
    while (!t->is_over) {
        if (bp_mono_ms(&clock) >= until) {
            return BP_FAIL(EXPIRED);
        }
        if (mosquitto_loop(t->m, STEP_MS, 1) != MOSQ_ERR_SUCCESS) {
            finish(t, BP_FAIL(CLOSED));
        }
    }
    return t->r;
}

bp_result bp_control_end(const struct bp_control_spec *spec, const char *const *names, size_t count)
{
    struct talk t = {.count = count, .r = BP_OK};
    if (count == 0 || count > BP_CONTROL_NAMES) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    (void)snprintf(t.id, sizeof t.id, "bedplate-broker-%ld", (long)getpid());
    if (mosquitto_lib_init() != MOSQ_ERR_SUCCESS) {
        return BP_FAIL(NO_MEMORY);
    }
    const bp_result r = write_ask(&t, names, count) ? run(&t, spec) : BP_FAIL(NO_MEMORY);
    mosquitto_destroy(t.m);
    free(t.ask); /* the JSON library's own */
    (void)mosquitto_lib_cleanup();
    return r;
}
