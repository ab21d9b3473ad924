/* SPDX-License-Identifier: Apache-2.0 */
/* broker/main - the program bedplate-broker: options in, lines for people out, exit codes 0 ok, 1 refused or a negative
 * answer, 2 usage, 3 cannot reach or internal. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <sys/prctl.h>
#include <sys/stat.h>

#include "broker/broker.h"
#include "platform/alloc.h"
#include "platform/linux/clock.h"
#include "platform/linux/file.h"
#include "platform/openssl/crypto.h"

#define BP_MODULE CLI

#define ANCHOR_MAX 8192u
#define STALE_S    (2 * 3600) /* lists come hourly */

static const char usage_text[] =
    "usage: bedplate-broker run   --status URL --anchor FILE|sha256:HASH --dir DIR [--pid-file FILE]\n"
    "                             [--control HOST:PORT --control-ca FILE --control-cert FILE --control-key FILE]\n"
    "                             [--rounds N]\n"
    "       bedplate-broker check --dir DIR [--json]\n"
    "       bedplate-broker --version\n"
    "URL is http://HOST:PORT of the server's status listener. FILE of --anchor is the root certificate (DER).\n";

struct options {
    struct bp_broker_spec spec;
    const char *status, *anchor, *control;
    bool json;
};

enum {
    O_STATUS = 256,
    O_ANCHOR,
    O_DIR,
    O_PID_FILE,
    O_CONTROL,
    O_CONTROL_CA,
    O_CONTROL_CERT,
    O_CONTROL_KEY,
    O_ROUNDS,
    O_JSON
};

static const struct option long_options[] = {{"status", required_argument, NULL, O_STATUS},
                                             {"anchor", required_argument, NULL, O_ANCHOR},
                                             {"dir", required_argument, NULL, O_DIR},
                                             {"pid-file", required_argument, NULL, O_PID_FILE},
                                             {"control", required_argument, NULL, O_CONTROL},
                                             {"control-ca", required_argument, NULL, O_CONTROL_CA},
                                             {"control-cert", required_argument, NULL, O_CONTROL_CERT},
                                             {"control-key", required_argument, NULL, O_CONTROL_KEY},
                                             {"rounds", required_argument, NULL, O_ROUNDS},
                                             {"json", no_argument, NULL, O_JSON},
                                             {NULL, 0, NULL, 0}};

static const char **text_of(struct options *o, int which)
{
    switch (which) {
    case O_STATUS:
        return &o->status;
    case O_ANCHOR:
        return &o->anchor;
    case O_DIR:
        return &o->spec.dir;
    case O_PID_FILE:
        return &o->spec.pid_file;
    case O_CONTROL:
        return &o->control;
    case O_CONTROL_CA:
        return &o->spec.control.ca_file;
    case O_CONTROL_CERT:
        return &o->spec.control.cert_file;
    case O_CONTROL_KEY:
        return &o->spec.control.key_file;
    default:
        return NULL;
    }
}

static bool get_number(const char *text, unsigned long most, unsigned long *ret)
{
    char *end = NULL;
    *ret = text[0] >= '0' && text[0] <= '9' ? strtoul(text, &end, 10) : 0;
    return end != NULL && *end == '\0' && *ret >= 1 && *ret <= most;
}

static bool take_option(struct options *o, int which, const char *value)
{
    unsigned long v = 0;
    const char **text = text_of(o, which);
    if (text != NULL) {
        *text = value;
        return value[0] != '\0';
    }
    if (which == O_ROUNDS && get_number(value, UINT32_MAX - 1, &v)) {
        o->spec.rounds = (uint32_t)v;
        return true;
    }
    o->json = o->json || which == O_JSON;
    return which == O_JSON;
}

/* HOST:PORT; a slash at the end of a URL is let pass. */
static bool read_place(const char *text, char host[BP_BROKER_HOST_MAX + 1], uint16_t *ret_port)
{
    const size_t n = strcspn(text, ":");
    char digits[6] = "";
    unsigned long port = 0;
    if (n == 0 || n > BP_BROKER_HOST_MAX || text[n] != ':') {
        return false;
    }
    const size_t digits_n = strcspn(text + n + 1, "/");
    if (digits_n == 0 || digits_n >= sizeof digits || (text[n + 1 + digits_n] == '/' && text[n + 2 + digits_n] != 0)) {
        return false;
    }
    memcpy(host, text, n);
    host[n] = 0;
    memcpy(digits, text + n + 1, digits_n);
    if (!get_number(digits, UINT16_MAX, &port)) {
        return false;
    }
    *ret_port = (uint16_t)port;
    return true;
}

static bool read_hash(const char *hex, uint8_t ret[BP_SHA256_SIZE])
{
    if (strlen(hex) != 64 || strspn(hex, "0123456789abcdefABCDEF") != 64) {
        return false;
    }
    for (size_t i = 0; i < 64; i++) {
        const unsigned ch = (unsigned char)hex[i];
        const unsigned v = ch <= '9' ? ch - '0' : (ch | 0x20u) - 'a' + 10;
        ret[i / 2] = (uint8_t)(i % 2 == 0 ? v << 4 : ret[i / 2] | v);
    }
    return true;
}

static bp_result read_anchor(struct bp_crypto *c, const char *text, uint8_t ret[BP_SHA256_SIZE])
{
    uint8_t *der = NULL;
    size_t n = 0;
    if (strncmp(text, "sha256:", 7) == 0) {
        return read_hash(text + 7, ret) ? BP_OK : BP_FAIL(MALFORMED);
    }
    BP_TRY(bp_file_read(text, BP_FILE_PUBLIC, ANCHOR_MAX, &der, &n));
    const bp_result r = bp_hash(c, BP_HASH_SHA256, bp_span_of(der, n), ret);
    bp_free(der);
    return r;
}

static void tell_line(const char *line)
{
    fprintf(stderr, "bedplate-broker: %s\n", line);
}

static int usage(const char *why)
{
    fprintf(stderr, "bedplate-broker: %s\n%s", why, usage_text);
    return 2;
}

static int end_code(bp_result r)
{
    if (!bp_failed(r)) {
        return 0;
    }
    fprintf(stderr, "bedplate-broker: %s\n",
            bp_is(r, BP_E_DENIED) ? "the root is not the anchor that was given, or the folder holds what it did not sign"
                                  : bp_error_name(bp_error_of(r)));
    return bp_is(r, BP_E_DENIED) || bp_is(r, BP_E_BAD_SIGNATURE) || bp_is(r, BP_E_MALFORMED) ? 1 : 3;
}

static int do_run(struct options *o)
{
    static char control_host[BP_BROKER_HOST_MAX + 1];
    static const char scheme[] = "http://";
    struct bp_crypto *c = NULL;
    struct bp_control_spec *k = &o->spec.control;
    const struct bp_clock clock = bp_clock_linux();
    if (o->status == NULL || o->anchor == NULL || o->spec.dir == NULL) {
        return usage("--status, --anchor and --dir are needed");
    }
    if (strncmp(o->status, scheme, sizeof scheme - 1) != 0 ||
        !read_place(o->status + sizeof scheme - 1, o->spec.host, &o->spec.port)) {
        return usage("--status: http://HOST:PORT is meant");
    }
    o->spec.has_control = o->control != NULL;
    if (o->spec.has_control && (k->ca_file == NULL || k->cert_file == NULL || k->key_file == NULL ||
                                !read_place(o->control, control_host, &k->port))) {
        return usage("--control: HOST:PORT, and with it --control-ca, --control-cert and --control-key");
    }
    k->host = control_host;
    o->spec.tell = tell_line;
    bp_result r = bp_crypto_openssl_new(2, &c);
    if (!bp_failed(r)) {
        r = read_anchor(c, o->anchor, o->spec.anchor);
    }
    if (!bp_failed(r)) {
        r = bp_broker_run(c, &clock, &o->spec);
    }
    bp_crypto_openssl_free(c);
    return end_code(r);
}

/* For whoever watches machines: no when lists came to an end or have not come for two hours. */
static int do_check(const struct options *o)
{
    struct bp_broker_state s;
    const struct bp_clock clock = bp_clock_linux();
    if (o->spec.dir == NULL) {
        return usage("--dir is needed");
    }
    const bp_result r = bp_broker_state(o->spec.dir, &s);
    if (bp_failed(r)) {
        return end_code(r);
    }
    const int64_t now = bp_wall_ms(&clock) / 1000;
    const bool is_current = now - s.this_s < STALE_S && s.next_s > now;
    if (o->json) {
        printf("{\"current\":%s,\"number\":%llu,\"revoked\":%zu,\"age_s\":%lld,\"ends_s\":%lld,\"sessions_done\":%llu}\n",
               is_current ? "true" : "false", (unsigned long long)s.number, s.count, (long long)(now - s.this_s),
               (long long)(s.next_s - now), (unsigned long long)s.done);
    } else {
        printf("list %llu, %zu revoked, %lld minutes old, ends in %lld hours%s\n", (unsigned long long)s.number, s.count,
               (long long)(now - s.this_s) / 60, (long long)(s.next_s - now) / 3600, is_current ? "" : ": NOT CURRENT");
    }
    return is_current ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct options o = {.json = false};
    int which;
    (void)signal(SIGPIPE, SIG_IGN);
    (void)umask(022);
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        puts("bedplate-broker " BP_VERSION);
        return 0;
    }
    if (argc < 2 || strcmp(argv[1], "--help") == 0) {
        fputs(usage_text, argc < 2 ? stderr : stdout);
        return argc < 2 ? 2 : 0;
    }
    opterr = 0;
    optind = 2;
    while ((which = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (which == '?' || !take_option(&o, which, optarg)) {
            return usage("an option that is not known, or its value");
        }
    }
    if (optind != argc) {
        return usage("words that are no options");
    }
    if (strcmp(argv[1], "run") == 0) {
        return do_run(&o);
    }
    return strcmp(argv[1], "check") == 0 ? do_check(&o) : usage("run or check is meant");
}
