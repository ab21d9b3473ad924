/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/proc/sandbox - see sandbox.h. */
#include "fleet/proc/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include <grp.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fleet/proc/probe.h"
#include "platform/linux/file.h"

#define BP_MODULE PROC

#define FDS_OF_FRONTS 65536u
#define FDS_OF_OTHERS 1024u

/* ---- what each kind may reach ---- */

enum use { USE_NONE, USE_READ, USE_WRITE };

/* Folders below the server's directory that a kind opens files in after its fences stand. */
static const struct {
    const char *folder[2];
    enum use use[2];
    bool accepts; /* takes connections from a listener that it was given */
} reach[BP_KIND_COUNT] = {
    [BP_KIND_FRONT_DEVICE] = {.accepts = true},
    [BP_KIND_FRONT_OPERATE] = {.accepts = true},
    [BP_KIND_KEEPER] = {.folder = {"store", "log"}, .use = {USE_WRITE, USE_WRITE}},
    [BP_KIND_READER] = {.folder = {"store", "log"}, .use = {USE_READ, USE_READ}},
    [BP_KIND_SIGNER_LOG] = {.folder = {"state/log"}, .use = {USE_WRITE}},
    [BP_KIND_SIGNER_CA] = {.folder = {"state/ca"}, .use = {USE_WRITE}},
};

static bool has_files(enum bp_kind kind)
{
    return reach[kind].use[0] != USE_NONE;
}

/* ---- names ---- */

static const struct {
    const char *name, *text;
} fences_table[BP_FENCE_COUNT] = {
#define BP_X(name, text, what) [BP_FENCE_##name] = {text, what},
    BP_FENCE_LIST(BP_X)
#undef BP_X
};

const char *bp_fence_name(enum bp_fence fence)
{
    return fence < BP_FENCE_COUNT ? fences_table[fence].name : "?";
}

const char *bp_fence_text(enum bp_fence fence)
{
    return fence < BP_FENCE_COUNT ? fences_table[fence].text : "?";
}

static void stands(uint32_t *fences, enum bp_fence fence)
{
    *fences |= 1u << fence;
}

#define FAIL_ERRNO() bp_fail_at(bp_error_of_errno(errno), BP_MODULE_ID, __LINE__)

/* ---- owners of the directory's parts ---- */

/* Who owns a part and, for folders that another kind reads, whose group it has; mode of folders, then of files. The
 * group sticks to new files, so that a reader may read what the keeper writes. */
static const struct {
    const char *path;
    enum bp_kind owner, group;
    mode_t folder, file;
} owned[] = {
    {"keys/tls", BP_KIND_SIGNER_TLS, BP_KIND_SIGNER_TLS, 0700, 0600},
    {"keys/log", BP_KIND_SIGNER_LOG, BP_KIND_SIGNER_LOG, 0700, 0600},
    {"keys/ca", BP_KIND_SIGNER_CA, BP_KIND_SIGNER_CA, 0700, 0600},
    {"state/log", BP_KIND_SIGNER_LOG, BP_KIND_SIGNER_LOG, 0700, 0600},
    {"state/ca", BP_KIND_SIGNER_CA, BP_KIND_SIGNER_CA, 0700, 0600},
    {"secrets", BP_KIND_KEEPER, BP_KIND_KEEPER, 0700, 0600},
    {"store", BP_KIND_KEEPER, BP_KIND_READER, 02750, 0640},
    {"log", BP_KIND_KEEPER, BP_KIND_READER, 02750, 0640},
};

/* Folders on the way to them: anybody may pass, nobody but root may change. */
static const char *const passed[] = {".", "keys", "state"};

struct owner {
    uid_t uid;
    gid_t gid;
    mode_t folder, file;
};

/* Nothing is followed: what is no folder and no regular file is left as it is. */
static bp_result own_entry(int at, const char *name, const struct owner *o, int *ret_folder)
{
    struct stat st;
    *ret_folder = -1;
    const int fd = openat(at, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        return errno == ELOOP ? BP_OK : FAIL_ERRNO();
    }
    if (fstat(fd, &st) != 0 || !(S_ISDIR(st.st_mode) || S_ISREG(st.st_mode))) {
        close(fd);
        return BP_OK;
    }
    /* Owner first: a change of owner clears the group bit of the mode. */
    if (fchown(fd, o->uid, o->gid) != 0 || fchmod(fd, S_ISDIR(st.st_mode) ? o->folder : o->file) != 0) {
        const bp_result r = FAIL_ERRNO();
        close(fd);
        return r;
    }
    if (S_ISDIR(st.st_mode)) {
        *ret_folder = fd;
    } else {
        close(fd);
    }
    return BP_OK;
}

#define OWN_DEPTH 8u

/* A folder and everything below it, without recursion: a path of open folders, at most OWN_DEPTH deep. */
static bp_result own_tree(int at, const char *name, const struct owner *o)
{
    DIR *open_dirs[OWN_DEPTH];
    size_t depth = 0;
    int folder = -1;
    bp_result r = own_entry(at, name, o, &folder);
    while (!bp_failed(r) && (folder >= 0 || depth > 0)) {
        if (folder >= 0) {
            DIR *d = depth < OWN_DEPTH ? fdopendir(folder) : NULL;
            if (d == NULL) {
                close(folder);
                r = BP_FAIL(LIMIT);
                break;
            }
            open_dirs[depth++] = d;
            folder = -1;
        }
        const struct dirent *e = readdir(open_dirs[depth - 1]);
        if (e == NULL) {
            closedir(open_dirs[--depth]);
        } else if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            r = own_entry(dirfd(open_dirs[depth - 1]), e->d_name, o, &folder);
        }
    }
    while (depth > 0) {
        closedir(open_dirs[--depth]);
    }
    return r;
}

static bp_result own_passage(int at, const char *name)
{
    const int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return FAIL_ERRNO();
    }
    const bp_result r = fchmod(fd, 0711) == 0 ? BP_OK : FAIL_ERRNO();
    close(fd);
    return r;
}

/* The parts of DIR to the users of the processes, or back to root. */
static bp_result give(const char *dir, bool to_processes)
{
    const int at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (at < 0) {
        return FAIL_ERRNO();
    }
    bp_result r = BP_OK;
    for (size_t i = 0; i < sizeof passed / sizeof passed[0] && !bp_failed(r); i++) {
        r = own_passage(at, passed[i]);
    }
    for (size_t i = 0; i < sizeof owned / sizeof owned[0] && !bp_failed(r); i++) {
        const struct owner o = {.uid = to_processes ? bp_kind_uid(owned[i].owner) : 0,
                                .gid = to_processes ? bp_kind_uid(owned[i].group) : 0, .folder = owned[i].folder, .file = owned[i].file};
        r = own_tree(at, owned[i].path, &o);
    }
    close(at);
    return r;
}

bp_result bp_sandbox_own(const char *dir)
{
    return geteuid() != 0 || !BP_FENCE_WANTED(BP_FENCE_UID) ? BP_OK : give(dir, true);
}

bp_result bp_sandbox_disown(const char *dir)
{
    return geteuid() != 0 ? BP_OK : give(dir, false);
}

/* ---- first step ---- */

static bp_result limit(__rlimit_resource_t what, rlim_t soft)
{
    struct rlimit rl;
    if (getrlimit(what, &rl) != 0) {
        return FAIL_ERRNO();
    }
    rl.rlim_cur = soft < rl.rlim_max ? soft : rl.rlim_max;
    rl.rlim_max = rl.rlim_cur;
    return setrlimit(what, &rl) == 0 ? BP_OK : FAIL_ERRNO();
}

static bp_result own_root(const char *dir, bool keeps_root, char ret_dir[BP_PROC_PATH_MAX], uint32_t *fences)
{
    const size_t n = strlen(dir);
    if (n >= BP_PROC_PATH_MAX) {
        return BP_FAIL(LIMIT);
    }
    memcpy(ret_dir, dir, n + 1);
    if (geteuid() != 0 || keeps_root || !BP_FENCE_WANTED(BP_FENCE_ROOT)) {
        return BP_OK;
    }
    if (chdir(dir) != 0 || chroot(".") != 0) {
        return FAIL_ERRNO();
    }
    memcpy(ret_dir, "/", 2);
    stands(fences, BP_FENCE_ROOT);
    return BP_OK;
}

static bp_result own_uid(enum bp_kind kind, uint32_t *fences)
{
    const uid_t id = bp_kind_uid(kind);
    if (geteuid() != 0 || !BP_FENCE_WANTED(BP_FENCE_UID)) {
        return BP_OK;
    }
    if (setgroups(0, NULL) != 0 || setresgid(id, id, id) != 0 || setresuid(id, id, id) != 0) {
        return FAIL_ERRNO();
    }
    if (setresuid(0, 0, 0) == 0 || geteuid() == 0) {
        return BP_FAIL(DENIED); /* there must be no way back */
    }
    stands(fences, BP_FENCE_UID);
    return BP_OK;
}

bp_result bp_sandbox_enter(enum bp_kind kind, const char *dir, bool keeps_root, char ret_dir[BP_PROC_PATH_MAX],
                           uint32_t *fences)
{
    BP_TRY(own_root(dir, keeps_root, ret_dir, fences));
    BP_TRY(own_uid(kind, fences));
    if (BP_FENCE_WANTED(BP_FENCE_NO_NEW_PRIVS)) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
            return FAIL_ERRNO();
        }
        stands(fences, BP_FENCE_NO_NEW_PRIVS);
    }
    if (BP_FENCE_WANTED(BP_FENCE_NOT_DUMPABLE)) {
        if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
            return FAIL_ERRNO();
        }
        stands(fences, BP_FENCE_NOT_DUMPABLE);
    }
    BP_TRY(limit(RLIMIT_CORE, 0));
    return limit(RLIMIT_NOFILE, reach[kind].accepts ? FDS_OF_FRONTS : FDS_OF_OTHERS);
}

/* ---- Landlock (the kernel's numbers; Debian 12's headers know only the first versions) ---- */

#define LL_EXECUTE     (1ull << 0)
#define LL_WRITE_FILE  (1ull << 1)
#define LL_READ_FILE   (1ull << 2)
#define LL_READ_DIR    (1ull << 3)
#define LL_REMOVE_DIR  (1ull << 4)
#define LL_REMOVE_FILE (1ull << 5)
#define LL_MAKE_DIR    (1ull << 7)
#define LL_MAKE_REG    (1ull << 8)
#define LL_ALL_V1      ((1ull << 13) - 1)
#define LL_REFER       (1ull << 13) /* version 2 */
#define LL_TRUNCATE    (1ull << 14) /* version 3 */
#define LL_NET_ALL     3ull         /* version 4: bind and connect of TCP */
#define LL_IOCTL_DEV   (1ull << 15) /* version 5 */
#define LL_SCOPE_ALL   3ull         /* version 6: abstract Unix sockets, signals */

#define LL_READ  (LL_READ_FILE | LL_READ_DIR)
#define LL_WRITE (LL_READ | LL_WRITE_FILE | LL_REMOVE_DIR | LL_REMOVE_FILE | LL_MAKE_DIR | LL_MAKE_REG | LL_REFER | LL_TRUNCATE)

struct ll_ruleset {
    uint64_t fs, net, scoped;
};

struct ll_beneath {
    uint64_t allowed;
    int32_t fd;
} __attribute__((packed));

static long ll_version(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, 1u);
}

static struct ll_ruleset ll_handled(long version, size_t *ret_size)
{
    struct ll_ruleset rs = {.fs = LL_ALL_V1};
    rs.fs |= version >= 2 ? LL_REFER : 0;
    rs.fs |= version >= 3 ? LL_TRUNCATE : 0;
    rs.fs |= version >= 5 ? LL_IOCTL_DEV : 0;
    rs.net = version >= 4 ? LL_NET_ALL : 0;
    rs.scoped = version >= 6 ? LL_SCOPE_ALL : 0;
    *ret_size = version >= 6 ? sizeof rs : version >= 4 ? 2 * sizeof(uint64_t) : sizeof(uint64_t);
    return rs;
}

/* A file takes only the rights that files have. */
#define LL_OF_FILES (LL_READ_FILE | LL_WRITE_FILE | LL_TRUNCATE)

static bp_result ll_allow_path(int ruleset, const char *path, uint64_t rights)
{
    struct stat st;
    struct ll_beneath b = {.allowed = rights};
    b.fd = open(path, O_PATH | O_CLOEXEC);
    if (b.fd < 0) {
        return FAIL_ERRNO();
    }
    bp_result r = fstat(b.fd, &st) == 0 ? BP_OK : FAIL_ERRNO();
    if (!bp_failed(r)) {
        b.allowed &= S_ISDIR(st.st_mode) ? rights : LL_OF_FILES;
        r = syscall(SYS_landlock_add_rule, ruleset, 1, &b, 0) == 0 ? BP_OK : FAIL_ERRNO();
    }
    close(b.fd);
    return r;
}

static bp_result ll_allow(int ruleset, const char *dir, const char *folder, uint64_t rights)
{
    char path[BP_PROC_PATH_MAX + 32];
    const int n = snprintf(path, sizeof path, "%s/%s", dir, folder);
    return n < 0 || (size_t)n >= sizeof path ? BP_FAIL(LIMIT) : ll_allow_path(ruleset, path, rights);
}

static bp_result ll_allow_reach(int ruleset, const char *reach_more, uint64_t rights)
{
    const char *at = reach_more == NULL ? "" : reach_more;
    while (*at != 0) {
        char path[BP_PROC_PATH_MAX];
        const size_t n = strcspn(at, " ");
        if (n == 0 || n >= sizeof path) {
            return BP_FAIL(LIMIT);
        }
        memcpy(path, at, n);
        path[n] = 0;
        BP_TRY(ll_allow_path(ruleset, path, rights));
        at += n + (at[n] == ' ' ? 1 : 0);
    }
    return BP_OK;
}

static bp_result close_files(enum bp_kind kind, const char *dir, const char *reach_more, uint32_t *fences)
{
    size_t size = 0;
    const long version = ll_version();
    if (version < 1 || !BP_FENCE_WANTED(BP_FENCE_LANDLOCK)) {
        return BP_OK;
    }
    const struct ll_ruleset rs = ll_handled(version, &size);
    const int ruleset = (int)syscall(SYS_landlock_create_ruleset, &rs, size, 0u);
    if (ruleset < 0) {
        return FAIL_ERRNO();
    }
    bp_result r = BP_OK;
    for (size_t i = 0; i < 2 && reach[kind].use[i] != USE_NONE && !bp_failed(r); i++) {
        r = ll_allow(ruleset, dir, reach[kind].folder[i], rs.fs & (reach[kind].use[i] == USE_WRITE ? LL_WRITE : LL_READ));
    }
    if (!bp_failed(r)) {
        r = ll_allow_reach(ruleset, reach_more, rs.fs & LL_WRITE);
    }
    if (!bp_failed(r) && syscall(SYS_landlock_restrict_self, ruleset, 0u) != 0) {
        r = FAIL_ERRNO();
    }
    close(ruleset);
    if (!bp_failed(r)) {
        stands(fences, BP_FENCE_LANDLOCK);
    }
    return r;
}

/* ---- seccomp: what is not named is refused with EPERM ---- */

#define SYS(name) SCMP_SYS(name)

/* A process on its loop with the descriptors that it has. No socket, no program, no other process. */
static const int calls_of_all[] = {
    SYS(read), SYS(write), SYS(readv), SYS(writev), SYS(close), SYS(fstat), SYS(lseek), SYS(fcntl), SYS(dup),
    SYS(munmap), SYS(mremap), SYS(madvise), SYS(brk),
    SYS(rt_sigaction), SYS(rt_sigprocmask), SYS(rt_sigreturn), SYS(sigaltstack), SYS(restart_syscall),
    SYS(epoll_create1), SYS(epoll_ctl), SYS(epoll_wait), SYS(epoll_pwait), SYS(epoll_pwait2), SYS(pipe2), SYS(eventfd2),
    SYS(timerfd_create), SYS(timerfd_settime), SYS(poll), SYS(ppoll), SYS(select), SYS(pselect6),
    SYS(clock_gettime), SYS(clock_getres), SYS(clock_nanosleep), SYS(nanosleep), SYS(gettimeofday), SYS(time),
    SYS(getrandom), SYS(getpid), SYS(gettid), SYS(getppid), SYS(getuid), SYS(geteuid), SYS(getgid), SYS(getegid),
    SYS(getrlimit), SYS(getrusage), SYS(sysinfo), SYS(uname), SYS(futex), SYS(sched_yield), SYS(sched_getaffinity),
    SYS(recvfrom), SYS(recvmsg), SYS(sendto), SYS(sendmsg), SYS(shutdown), SYS(getsockopt), SYS(setsockopt),
    SYS(getsockname), SYS(getpeername), SYS(exit), SYS(exit_group),
};

/* Files: what SQLite and our own writing of whole files need. Which files is Landlock's and the uid's to say. */
static const int calls_of_files[] = {
    SYS(open), SYS(openat), SYS(stat), SYS(lstat), SYS(newfstatat), SYS(statx), SYS(access), SYS(faccessat),
    SYS(faccessat2), SYS(getcwd), SYS(readlink), SYS(readlinkat), SYS(getdents64), SYS(pread64), SYS(pwrite64),
    SYS(fsync), SYS(fdatasync), SYS(ftruncate), SYS(fallocate), SYS(fchmod), SYS(fchown), SYS(umask), SYS(flock),
    SYS(unlink), SYS(unlinkat), SYS(rename), SYS(renameat), SYS(renameat2), SYS(mkdir), SYS(mkdirat), SYS(rmdir),
    SYS(sync_file_range), SYS(fstatfs), SYS(statfs), SYS(utimensat),
};

static bool allow(scmp_filter_ctx ctx, const int *calls, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0) != 0) {
            return false;
        }
    }
    return true;
}

/* Calls that are harmless with some arguments only. */
static bool allow_some(scmp_filter_ctx ctx)
{
    /* Reading limits, not setting them; memory without the right to run it. */
    const struct scmp_arg_cmp no_exec = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
    return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SYS(prlimit64), 1, SCMP_A2(SCMP_CMP_EQ, 0, 0)) == 0 &&
           seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SYS(mmap), 1, no_exec) == 0 &&
           seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SYS(mprotect), 1, no_exec) == 0 &&
           seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SYS(ioctl), 1, SCMP_A1(SCMP_CMP_EQ, FIONBIO, 0)) == 0 &&
           seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SYS(ioctl), 1, SCMP_A1(SCMP_CMP_EQ, FIONREAD, 0)) == 0;
}

static bp_result close_calls(enum bp_kind kind, uint32_t *fences)
{
    if (!BP_FENCE_WANTED(BP_FENCE_SECCOMP)) {
        return BP_OK;
    }
    bp_result r = BP_FAIL(IO);
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (ctx == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    bool ok = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_NNP, 1) == 0 &&
              seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2) == 0 &&
              allow(ctx, calls_of_all, sizeof calls_of_all / sizeof calls_of_all[0]) && allow_some(ctx);
    if (ok && has_files(kind)) {
        ok = allow(ctx, calls_of_files, sizeof calls_of_files / sizeof calls_of_files[0]);
    }
    if (ok && reach[kind].accepts) {
        ok = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SYS(accept4), 0) == 0;
    }
    if (ok && seccomp_load(ctx) == 0) {
        stands(fences, BP_FENCE_SECCOMP);
        r = BP_OK;
    }
    seccomp_release(ctx);
    return r;
}

bp_result bp_sandbox_close(enum bp_kind kind, const char *dir, const char *reach_more, uint32_t *fences)
{
    BP_TRY(close_files(kind, dir, reach_more, fences));
    return close_calls(kind, fences);
}

uint32_t bp_sandbox_possible(void)
{
    uint32_t fences = 1u << BP_FENCE_NO_NEW_PRIVS | 1u << BP_FENCE_NOT_DUMPABLE;
    if (geteuid() == 0) {
        fences |= 1u << BP_FENCE_UID | 1u << BP_FENCE_ROOT;
    }
    if (ll_version() >= 1) {
        fences |= 1u << BP_FENCE_LANDLOCK;
    }
    if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0) {
        fences |= 1u << BP_FENCE_SECCOMP;
    }
    return fences;
}
