/* SPDX-License-Identifier: Apache-2.0 */
/* Which of several listeners of a port a source comes to. */
#include "net/server.h"
#include "net/steer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness.h"

#define WORKERS 3u
#define SOURCES 24u
#define VISITS  6u

static int listener[WORKERS];

static bool open_all(const char *addr, unsigned count, uint16_t *ret_port)
{
    *ret_port = 0;
    for (unsigned i = 0; i < count; i++) {
        listener[i] = -1;
        if (bp_failed(bp_listen(addr, *ret_port, &listener[i], ret_port))) {
            return false;
        }
    }
    return true;
}

static void close_all(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        close(listener[i]);
    }
}

/* The listener that a connection from there came to; it is ended at once. WORKERS: to none. */
static unsigned visit(const struct sockaddr *from, const struct sockaddr *to, socklen_t n)
{
    const int fd = socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct linger reset = {.l_onoff = 1}; /* no port stays in use */
    unsigned at = WORKERS;
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) == 0 && bind(fd, from, n) == 0 &&
        connect(fd, to, n) == 0) {
        struct pollfd p[WORKERS];
        for (unsigned i = 0; i < WORKERS; i++) {
            p[i] = (struct pollfd){.fd = listener[i], .events = POLLIN};
        }
        BP_CHECK(poll(p, WORKERS, 5000) == 1);
        for (unsigned i = 0; i < WORKERS; i++) {
            at = (p[i].revents & POLLIN) != 0 ? i : at;
        }
        close(at < WORKERS ? accept4(listener[at], NULL, NULL, SOCK_CLOEXEC) : -1);
    }
    close(fd);
    return at;
}

static unsigned visit4(unsigned source, uint16_t port)
{
    const struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + source)};
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return visit((const struct sockaddr *)&from, (const struct sockaddr *)&to, sizeof to);
}

BP_CASE(source_stays_at_one_worker)
{
    uint16_t port = 0;
    unsigned met[WORKERS + 1] = {0};
    BP_NEED(open_all("127.0.0.1", WORKERS, &port));
    BP_CHECK(!bp_failed(bp_steer_by_source(listener[0], WORKERS)));
    for (unsigned s = 0; s < SOURCES; s++) {
        const unsigned first = visit4(s, port);
        for (unsigned i = 1; i < VISITS; i++) {
            BP_CHECK(visit4(s, port) == first); /* each from another port */
        }
        met[first]++;
    }
    BP_CHECK(met[WORKERS] == 0);
    for (unsigned i = 0; i < WORKERS; i++) {
        BP_CHECK(met[i] >= SOURCES / WORKERS / 2);
    }
    close_all(WORKERS);
}

BP_CASE(source_of_ipv6_stays_too)
{
    uint16_t port = 0;
    const struct sockaddr_in6 from = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    if (!open_all("::1", WORKERS, &port)) {
        BP_CHECK(listener[0] < 0); /* a machine without IPv6 */
        return;
    }
    struct sockaddr_in6 to = from;
    to.sin6_port = htons(port);
    BP_CHECK(!bp_failed(bp_steer_by_source(listener[0], WORKERS)));
    const unsigned first = visit((const struct sockaddr *)&from, (const struct sockaddr *)&to, sizeof to);
    BP_CHECK(first < WORKERS);
    for (unsigned i = 0; i < 16; i++) {
        BP_CHECK(visit((const struct sockaddr *)&from, (const struct sockaddr *)&to, sizeof to) == first);
    }
    close_all(WORKERS);
}

BP_CASE(nobody_to_steer_to)
{
    uint16_t port = 0;
    BP_NEED(open_all("127.0.0.1", 1, &port));
    BP_CHECK(bp_is(bp_steer_by_source(listener[0], 0), BP_E_BAD_ARGUMENT));
    BP_CHECK(bp_is(bp_steer_by_source(-1, WORKERS), BP_E_UNSUPPORTED));
    close_all(1);
}

BP_SUITE(steer, BP_RUN(source_stays_at_one_worker)
    BP_RUN(source_of_ipv6_stays_too) BP_RUN(nobody_to_steer_to))
