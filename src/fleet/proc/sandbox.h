/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/proc/sandbox - the fences around each kind of process, raised in two steps and never lowered.
 *
 * Started by root, a kind has its own uid and sees the server's directory as its root folder; started by a user it has
 * neither. Landlock (where the kernel has it) and seccomp stand in both cases. What each kind may reach is one table.
 * It keeps nothing; a fence that the kernel does not have is left out and reported, one that fails is an error. */
#ifndef BP_FLEET_PROC_SANDBOX_H
#define BP_FLEET_PROC_SANDBOX_H

#include "fleet/proc/proc.h"

/* name, what it does, for people */
#define BP_FENCE_LIST(X)                                                                           \
    X(UID, "uid", "a user id of its own")                                                          \
    X(ROOT, "root", "no file outside the server's directory")                                      \
    X(NO_NEW_PRIVS, "no-new-privs", "no program gives it more rights")                             \
    X(NOT_DUMPABLE, "not-dumpable", "its memory is closed to others of its user")                  \
    X(LANDLOCK, "landlock", "only the files of its kind, no TCP connection of its own")            \
    X(SECCOMP, "seccomp", "only the system calls of its kind")

enum bp_fence {
#define BP_X(name, text, what) BP_FENCE_##name,
    BP_FENCE_LIST(BP_X)
#undef BP_X
        BP_FENCE_COUNT
};

const char *bp_fence_name(enum bp_fence fence);
const char *bp_fence_text(enum bp_fence fence);

/* What would stand around a child of this process, without raising anything: bits 1 << fence. */
uint32_t bp_sandbox_possible(void);

/* Gives the parts of a server's directory to the kinds that use them. By root only; for others it does nothing.
 *   NOT_FOUND  a part is missing    DENIED, IO */
BP_MUST_CHECK bp_result bp_sandbox_own(const char *dir);
/* Gives them back to root, for a command that works in the directory of a server that does not run. */
BP_MUST_CHECK bp_result bp_sandbox_disown(const char *dir);

/* A process in which a module of somebody else works (a token's) needs more than its kind's row: its reach, absolute
 * paths of folders and files that it may read and write, one space between them; NULL or empty: nothing more. It keeps
 * the machine's root folder, or neither module nor paths could be named; Landlock, uid and seccomp stand as always. */

/* First step: own root folder and uid, no new privileges, not dumpable, limits. ret_dir: how the process sees the
 * directory from now on.   DENIED, IO  a fence that should stand does not */
BP_MUST_CHECK bp_result bp_sandbox_enter(enum bp_kind kind, const char *dir, bool keeps_root,
                                         char ret_dir[BP_PROC_PATH_MAX], uint32_t *fences);
/* Second step, after the kind read its files: Landlock, seccomp. reach: see above.   NOT_FOUND  a path of it is missing
 *   errors as above */
BP_MUST_CHECK bp_result bp_sandbox_close(enum bp_kind kind, const char *dir, const char *reach, uint32_t *fences);

#endif
