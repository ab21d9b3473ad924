/* SPDX-License-Identifier: Apache-2.0 */
/* clock - a clock that a test moves for whole programs: loaded before their libraries (LD_PRELOAD), it adds the seconds in the
 * file BP_TEST_CLOCK (one 64-bit integer of this machine) to every wall clock that they read. For the tests of this folder.
 *
 * The file is mapped at the start, so that running programs follow when the test writes it, fenced ones too. Monotonic clocks
 * stay as they are: with them programs wait, by the others they judge. Nothing here is linked into a product. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

static const volatile int64_t *ahead_s;

/* Without its file a program would run by another time than the test believes: it does not run at all. */
__attribute__((constructor)) static void map(void)
{
    const char *path = getenv("BP_TEST_CLOCK");
    const int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    const void *p = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *ahead_s, PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) {
        _exit(125);
    }
    close(fd);
    ahead_s = p;
}

static int64_t ahead(void)
{
    return ahead_s == NULL ? 0 : *ahead_s;
}

int clock_gettime(clockid_t id, struct timespec *ret)
{
    const long rc = syscall(SYS_clock_gettime, id, ret);
    if (rc == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
        ret->tv_sec += ahead();
    }
    return (int)rc;
}

int gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
    struct timespec t = {0, 0};
    (void)zone;
    const int rc = clock_gettime(CLOCK_REALTIME, &t);
    *ret = (struct timeval){.tv_sec = t.tv_sec, .tv_usec = t.tv_nsec / 1000};
    return rc;
}

time_t time(time_t *ret)
{
    struct timespec t = {0, 0};
    (void)clock_gettime(CLOCK_REALTIME, &t);
    if (ret != NULL) {
        *ret = t.tv_sec;
    }
    return t.tv_sec;
}
