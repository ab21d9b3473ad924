/* SPDX-License-Identifier: Apache-2.0 */
/* cli/event - the log: listed, followed, exported, and proven. */
#include "cli/show.h"
#include "codec/base64.h"
#include "codec/note.h"
#include "core/merkle.h"
#include "platform/alloc.h"

#include <poll.h>
#include <unistd.h>

#define COUNT(a)   (sizeof(a) / sizeof((a)[0]))
#define TAIL_MS    1000
#define EVENT_ROOM 8192u

static int filtered(struct bp_api *api, const struct bp_args *args, struct bp_target *t)
{
    char id[67];
    bp_target_init(t, "/events");
    bp_target_query(t, "type", args->value[BP_O_TYPE]);
    if (bp_args_has(args, BP_O_DEVICE)) {
        const int code = bp_api_device(api, args->value[BP_O_DEVICE], id);
        if (code != BP_EXIT_OK) {
            return code;
        }
        bp_target_query(t, "device", id);
    }
    return BP_EXIT_OK;
}

static void print_event(struct bp_cli *cli, const json_t *e)
{
    char room[32];
    const char *severity = bp_text_of(e, "severity", room);
    const int paint = bp_paint_of(severity);
    fprintf(cli->out, "%8s  %s  %s%-7s%s  ", bp_text_of(e, "number", room),
            json_string_value(json_object_get(e, "time")) != NULL ? json_string_value(json_object_get(e, "time")) : "",
            paint >= 0 ? bp_paint(cli, (enum bp_paint)paint) : "", severity, bp_unpaint(cli));
    const char *device = bp_text_of(e, "device_name", room);
    if (device[0] == 0) {
        device = bp_text_of(e, "pseudonym", room);
    }
    if (device[0] != 0) {
        bp_print_text(cli->out, bp_span_cstr(device));
        fputs(": ", cli->out);
    }
    bp_print_text(cli->out, bp_span_cstr(bp_text_of(e, "text", room)));
    fprintf(cli->out, "  %s[%s]%s\n", bp_paint(cli, BP_PAINT_DIM), bp_text_of(e, "type", room), bp_unpaint(cli));
}

static void print_events(struct bp_cli *cli, const json_t *list, bool as_lines)
{
    if (cli->json && !as_lines) {
        json_t *answer = json_pack("{s:O}", "events", list);
        bp_print_json(cli, answer);
        json_decref(answer);
        return;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (cli->json) {
            bp_print_json(cli, json_array_get(list, i));
        } else {
            print_event(cli, json_array_get(list, i));
        }
    }
}

/* --- ls --- */

static int list_events(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api)
{
    struct bp_target t;
    json_t *list = NULL;
    uint64_t limit = 0, number = 0;
    const char *after = args->value[BP_O_AFTER], *before = args->value[BP_O_BEFORE];
    if (!bp_limit_of(cli, args, 100, &limit)) {
        return BP_EXIT_USAGE;
    }
    /* The first event is number 0: after -1 is everything, from the newest on. */
    after = after != NULL && strcmp(after, "-1") == 0 ? NULL : after;
    if ((after != NULL && !bp_args_number(after, &number)) || (before != NULL && !bp_args_number(before, &number)) ||
        (after != NULL && before != NULL)) {
        return bp_tell(cli, BP_EXIT_USAGE, "--after and --before are event numbers, one of them");
    }
    int code = filtered(api, args, &t);
    if (code == BP_EXIT_OK && after != NULL) {
        bp_target_query(&t, "after", after);
        json_t *answer = NULL;
        char count[32];
        (void)snprintf(count, sizeof count, "%llu", (unsigned long long)(limit < 500 ? limit : 500));
        bp_target_query(&t, "limit", count);
        code = bp_get(api, &t, &answer);
        list = code == BP_EXIT_OK ? json_incref(json_object_get(answer, "events")) : NULL;
        json_decref(answer);
    } else if (code == BP_EXIT_OK) {
        code = bp_list(api, &t, "events", "before", limit, &list);
    }
    if (code == BP_EXIT_OK) {
        print_events(cli, list, false);
    }
    json_decref(list);
    return code;
}

/* --- tail and export --- */

/* Events above *number, oldest first, one page; *number becomes the last one's. */
static int page_after(struct bp_api *api, const struct bp_args *args, int64_t *number, json_t **ret)
{
    struct bp_target t;
    json_t *answer = NULL;
    char text[32];
    int code = filtered(api, args, &t);
    if (code != BP_EXIT_OK) {
        return code;
    }
    (void)snprintf(text, sizeof text, "%lld", (long long)*number);
    bp_target_query(&t, "after", text);
    bp_target_query(&t, "limit", "500");
    code = bp_get(api, &t, &answer);
    if (code != BP_EXIT_OK) {
        return code;
    }
    *ret = json_incref(json_object_get(answer, "events"));
    for (size_t i = 0; i < json_array_size(*ret); i++) {
        const json_int_t n = json_integer_value(json_object_get(json_array_get(*ret, i), "number"));
        *number = n > *number ? n : *number;
    }
    json_decref(answer);
    return BP_EXIT_OK;
}

static int newest(struct bp_api *api, int64_t *ret)
{
    struct bp_target t;
    json_t *answer = NULL;
    bp_target_init(&t, "/events");
    bp_target_query(&t, "limit", "1");
    const int code = bp_get(api, &t, &answer);
    const json_t *e = json_array_get(json_object_get(answer, "events"), 0);
    *ret = e != NULL ? (int64_t)json_integer_value(json_object_get(e, "number")) : 0;
    json_decref(answer);
    return code;
}

/* Prints what comes, until it is interrupted or the output is closed. */
static int tail_events(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api)
{
    int64_t number = 0;
    uint64_t after = 0;
    int code = BP_EXIT_OK;
    if (bp_args_has(args, BP_O_AFTER)) {
        if (!bp_args_number(args->value[BP_O_AFTER], &after) || after > INT64_MAX) {
            return bp_tell(cli, BP_EXIT_USAGE, "--after is an event number");
        }
        number = (int64_t)after;
    } else {
        code = newest(api, &number);
    }
    while (code == BP_EXIT_OK) {
        json_t *list = NULL;
        code = page_after(api, args, &number, &list);
        if (code == BP_EXIT_OK) {
            print_events(cli, list, true);
            if (fflush(cli->out) != 0) {
                code = BP_EXIT_FAIL;
            } else if (json_array_size(list) == 0) {
                (void)poll(NULL, 0, TAIL_MS);
            }
        }
        json_decref(list);
    }
    return code;
}

static int export_events(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api)
{
    uint64_t after = 0;
    const bool from_start = !bp_args_has(args, BP_O_AFTER);
    if (!from_start && (!bp_args_number(args->value[BP_O_AFTER], &after) || after > INT64_MAX)) {
        return bp_tell(cli, BP_EXIT_USAGE, "--after is an event number");
    }
    FILE *f = fopen(args->value[BP_O_OUT], "wxe");
    if (f == NULL) {
        return bp_tell(cli, BP_EXIT_FAIL, "%s: it exists, or cannot be made", args->value[BP_O_OUT]);
    }
    int64_t number = (int64_t)after;
    uint64_t count = 0;
    int code = BP_EXIT_OK;
    if (from_start) { /* "after" leaves number 0 out */
        struct bp_target t;
        json_t *first = NULL;
        bp_target_init(&t, "/events/0");
        code = bp_get(api, &t, &first);
        if (code == BP_EXIT_OK) {
            (void)json_dumpf(first, f, JSON_COMPACT);
            fputc('\n', f);
            count++;
        }
        json_decref(first);
    }
    for (bool more = true; more && code == BP_EXIT_OK;) {
        json_t *list = NULL;
        code = page_after(api, args, &number, &list);
        for (size_t i = 0; i < json_array_size(list); i++, count++) {
            (void)json_dumpf(json_array_get(list, i), f, JSON_COMPACT);
            fputc('\n', f);
        }
        more = json_array_size(list) != 0;
        json_decref(list);
        if (more && isatty(fileno(cli->err)) == 1) {
            fprintf(cli->err, "\r%llu events", (unsigned long long)count);
        }
    }
    if (fclose(f) != 0 && code == BP_EXIT_OK) {
        code = bp_tell(cli, BP_EXIT_FAIL, "%s: writing failed", args->value[BP_O_OUT]);
    }
    if (code == BP_EXIT_OK) {
        fprintf(cli->out, cli->json ? "{\"events\": %llu}\n" : "%llu events written, one JSON object a line\n",
                (unsigned long long)count);
    }
    return code;
}

/* --- prove --- */

static bool unhex(const char *hex, uint8_t *ret, size_t n)
{
    if (hex == NULL || strlen(hex) != 2 * n || strspn(hex, "0123456789abcdef") != 2 * n) {
        return false;
    }
    for (size_t i = 0; i < 2 * n; i++) {
        const unsigned v = hex[i] <= '9' ? (unsigned)(hex[i] - '0') : (unsigned)(hex[i] - 'a' + 10);
        ret[i / 2] = (uint8_t)(i % 2 == 0 ? v << 4 : ret[i / 2] | v);
    }
    return true;
}

struct proof {
    uint64_t number, size;
    uint8_t digest[BP_SHA256_SIZE];
    uint8_t hash[BP_MERKLE_MAX_PROOF][BP_SHA256_SIZE];
    size_t hashes;
    bool has_event;
};

static bool read_proof(struct bp_cli *cli, const json_t *a, struct proof *ret)
{
    const json_t *hashes = json_object_get(a, "proof");
    const char *event = json_string_value(json_object_get(a, "event"));
    ret->number = (uint64_t)json_integer_value(json_object_get(a, "number"));
    ret->size = (uint64_t)json_integer_value(json_object_get(a, "size"));
    ret->hashes = json_array_size(hashes);
    bool ok = unhex(json_string_value(json_object_get(a, "digest")), ret->digest, BP_SHA256_SIZE) &&
              ret->hashes <= BP_MERKLE_MAX_PROOF;
    for (size_t i = 0; ok && i < ret->hashes; i++) {
        ok = unhex(json_string_value(json_array_get(hashes, i)), ret->hash[i], BP_SHA256_SIZE);
    }
    if (ok && event != NULL) {
        uint8_t body[EVENT_ROOM], digest[BP_SHA256_SIZE];
        bp_wr wr = bp_wr_over(body, sizeof body);
        bp_base64_read(&wr, bp_span_cstr(event));
        ok = !bp_failed(bp_wr_finish(&wr)) && !bp_failed(bp_hash(cli->crypto, BP_HASH_SHA256, bp_wr_span(&wr), digest)) &&
             memcmp(digest, ret->digest, sizeof digest) == 0;
        ret->has_event = true;
    }
    return ok;
}

static bool is_included(struct bp_cli *cli, const struct proof *p, bp_span head)
{
    struct bp_note note;
    struct bp_checkpoint cp;
    uint8_t leaf[BP_SHA256_SIZE];
    return !bp_failed(bp_note_read(head, &note)) && !bp_failed(bp_checkpoint_read(&note, &cp)) && cp.size == p->size &&
           !bp_failed(bp_merkle_leaf(cli->crypto, BP_SPAN_OF(p->digest), leaf)) &&
           !bp_failed(bp_merkle_verify_inclusion(cli->crypto, p->number, p->size, leaf,
                                                 bp_span_of(p->hash, p->hashes * BP_SHA256_SIZE), cp.root));
}

static int prove_event(struct bp_cli *cli, const struct bp_args *args, struct bp_api *api)
{
    struct bp_target t;
    json_t *answer = NULL;
    struct proof p = {0};
    uint64_t number = 0;
    if (!bp_args_number(args->operand[0], &number)) {
        return bp_tell(cli, BP_EXIT_USAGE, "%s: an event number is meant", args->operand[0]);
    }
    bp_target_init(&t, "/events");
    bp_target_part(&t, args->operand[0]);
    bp_target_part(&t, "proof");
    int code = bp_get(api, &t, &answer);
    if (code != BP_EXIT_OK) {
        return code;
    }
    const char *head = json_string_value(json_object_get(answer, "checkpoint"));
    const bool ok = read_proof(cli, answer, &p) && p.number == number && head != NULL &&
                    is_included(cli, &p, bp_span_cstr(head));
    if (!ok) {
        code = bp_tell(cli, BP_EXIT_NO, "event %s is NOT proven: the server's proof does not lead to its head",
                       args->operand[0]);
    } else if (cli->json) {
        bp_print_json(cli, answer);
    } else {
        fprintf(cli->out, "event %llu is in the log of %llu events under this head%s:\n%s", (unsigned long long)p.number,
                (unsigned long long)p.size, p.has_event ? "" : " (its body was erased)", head);
    }
    json_decref(answer);
    return code;
}

/* --- the commands --- */

int bp_cmd_event_ls(struct bp_cli *cli, const struct bp_args *args)
{
    return bp_with_api(cli, args, list_events);
}

int bp_cmd_event_tail(struct bp_cli *cli, const struct bp_args *args)
{
    return bp_with_api(cli, args, tail_events);
}

int bp_cmd_event_export(struct bp_cli *cli, const struct bp_args *args)
{
    return bp_with_api(cli, args, export_events);
}

int bp_cmd_event_prove(struct bp_cli *cli, const struct bp_args *args)
{
    return bp_with_api(cli, args, prove_event);
}
