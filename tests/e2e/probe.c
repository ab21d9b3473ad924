/* SPDX-License-Identifier: Apache-2.0 */
/* The test's own part of bedplated-probe (fleet/proc/probe.h): fences named in BP_PROBE_WITHOUT are left out, and every
 * process, once in service, tries to get through the others and says on standard error what happened:
 * "probe NAME ATTEMPT refused ERRNO" or "probe NAME ATTEMPT worked", then "probe NAME end". */
#include "fleet/proc/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

bool bp_probe_wants(enum bp_fence fence)
{
    const char *list = getenv("BP_PROBE_WITHOUT");
    const char *name = bp_fence_name(fence);
    const size_t n = strlen(name);
    while (list != NULL && *list != '\0') {
        const size_t len = strcspn(list, ",");
        if (len == n && memcmp(list, name, n) == 0) {
            return false;
        }
        list += len + (list[len] == ',');
    }
    return true;
}

static void tell(const struct bp_child *c, const char *what, bool worked)
{
    if (worked) {
        fprintf(stderr, "probe %s %s worked\n", c->name, what);
    } else {
        fprintf(stderr, "probe %s %s refused %d\n", c->name, what, errno);
    }
}

static void try_open(const struct bp_child *c, const char *what, const char *rest, int flags)
{
    char path[BP_PROC_PATH_MAX];
    if (rest[0] == '/') {
        (void)snprintf(path, sizeof path, "%s", rest);
    } else if (bp_failed(bp_child_path(c, rest, path))) {
        return;
    }
    const int fd = open(path, flags | O_CLOEXEC, 0600);
    tell(c, what, fd >= 0);
    if (fd >= 0) {
        close(fd);
    }
    if (fd >= 0 && (flags & O_CREAT) != 0) {
        unlink(path);
    }
}

static void try_connect(const struct bp_child *c)
{
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(c->enrol_port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    tell(c, "socket", fd >= 0);
    tell(c, "connect", fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof to) == 0);
    if (fd >= 0) {
        close(fd);
    }
}

/* Another process with our rights: the one that started us is one of them when no uid stands between. */
static void try_ptrace(const struct bp_child *c)
{
    const pid_t parent = getppid();
    const bool seized = ptrace(PTRACE_SEIZE, parent, NULL, NULL) == 0;
    tell(c, "ptrace-parent", seized);
    if (seized) {
        ptrace(PTRACE_DETACH, parent, NULL, NULL);
    }
    tell(c, "ptrace-me", ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
}

/* In a child where one can be made; else in this process, which is gone when it works. */
static void try_execve(const struct bp_child *c)
{
    char *const argv[] = {(char[]){"true"}, NULL};
    int status = 0;
    const pid_t pid = fork();
    tell(c, "fork", pid >= 0);
    if (pid <= 0) {
        execv("/bin/true", argv);
        if (pid == 0) {
            _exit(errno == 0 ? 255 : errno);
        }
        tell(c, "execve", false);
        return;
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    errno = WIFEXITED(status) ? WEXITSTATUS(status) : 255;
    tell(c, "execve", WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ---- a captured front ---- */

/* The value of NAME in "NAME=VALUE NAME=VALUE"; empty when it is not there. */
static bp_span told(const struct bp_request *rq, const char *name)
{
    bp_span rest = bp_http_header(rq->http, "x-probe-forge", NULL);
    const size_t n = strlen(name);
    while (rest.n > 0) {
        const uint8_t *blank = memchr(rest.p, ' ', rest.n);
        const size_t len = blank == NULL ? rest.n : (size_t)(blank - rest.p);
        if (len > n && memcmp(rest.p, name, n) == 0 && rest.p[n] == '=') {
            return bp_span_of(rest.p + n + 1, len - n - 1);
        }
        const size_t step = len < rest.n ? len + 1 : len;
        rest = bp_span_of(rest.p + step, rest.n - step);
    }
    return BP_SPAN_EMPTY;
}

static bp_span bytes_of(bp_span hex, uint8_t ret[32])
{
    char pair[3] = "";
    if (hex.n != 64) {
        return BP_SPAN_EMPTY;
    }
    for (size_t i = 0; i < 32; i++) {
        memcpy(pair, hex.p + 2 * i, 2);
        ret[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return bp_span_of(ret, 32);
}

void bp_probe_forge(const struct bp_request *rq, struct bp_ex_request *q)
{
    static uint8_t peer[32], exporter[32];
    const bp_span spki = bytes_of(told(rq, "peer"), peer), channel = bytes_of(told(rq, "exporter"), exporter);
    const bp_span listener = told(rq, "listener"), issuer = told(rq, "issuer"), target = told(rq, "target");
    q->peer_spki = spki.n > 0 ? spki : q->peer_spki;
    q->exporter = channel.n > 0 ? channel : q->exporter;
    q->listener = listener.n > 0 ? listener : q->listener;
    q->peer_issuer = issuer.n > 0 ? issuer : q->peer_issuer;
    q->target = target.n > 0 ? target : q->target;
}

const char *bp_probe_op(const struct bp_request *rq)
{
    static char op[32];
    const bp_span v = told(rq, "op");
    (void)snprintf(op, sizeof op, "%.*s", (int)v.n, (const char *)v.p);
    return v.n > 0 ? op : "http";
}

void bp_probe_run(const struct bp_child *c)
{
    try_open(c, "key-tls", "keys/tls/server.pem", O_RDONLY);
    try_open(c, "key-log", "keys/log/log.pem", O_RDONLY);
    try_open(c, "key-ca", "keys/ca/issuing.pem", O_RDONLY);
    try_open(c, "secret", "secrets/nonce", O_RDONLY);
    try_open(c, "store", "store/bedplate.db", O_RDONLY);
    try_open(c, "store-write", "store/bedplate.db", O_RDWR);
    try_open(c, "state-log", "state/log/head", O_RDONLY);
    try_open(c, "outside", "/etc/passwd", O_RDONLY);
    try_open(c, "plant", "planted", O_WRONLY | O_CREAT);
    try_connect(c);
    try_execve(c);
    try_ptrace(c); /* last: it may make another process our tracer */
    fprintf(stderr, "probe %s end\n", c->name);
}
