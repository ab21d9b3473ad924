/* SPDX-License-Identifier: Apache-2.0 */
/* The test's own part of bedplated-crash (fleet/store/crash.h): the process that comes to the place named in BP_CRASH
 * ("NAME:N") for the Nth time ends there, as by kill -9, once: the file store/crashed says that it did. */
#include "fleet/store/crash.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

void bp_crash_here(const char *name)
{
    static unsigned long hits;
    const char *want = getenv("BP_CRASH");
    const size_t n = strlen(name);
    if (want == NULL || strncmp(want, name, n) != 0 || want[n] != ':' || ++hits < strtoul(want + n + 1, NULL, 10)) {
        return;
    }
    /* Inside its own root folder the server's directory is where it stands. */
    const int fd = open("store/crashed", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return;
    }
    const ssize_t written = write(fd, name, n);
    _exit(written == (ssize_t)n ? 99 : 98);
}
