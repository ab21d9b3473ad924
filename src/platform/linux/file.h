/* SPDX-License-Identifier: Apache-2.0 */
/* platform/linux/file - whole files: read with a ceiling, written so that a power cut leaves the old or the new one; and one
 * that grows at its end.
 *
 * The last part of a path is never followed through a symbolic link. No streaming, no locking. */
#ifndef BP_PLATFORM_LINUX_FILE_H
#define BP_PLATFORM_LINUX_FILE_H

#include "base/result.h"
#include "base/span.h"

enum bp_file_kind {
    BP_FILE_PUBLIC, /* written 0644 */
    BP_FILE_GROUP,  /* written 0640: for whoever is of the folder's group */
    BP_FILE_SECRET  /* written 0600; refused on reading when it is another's, or group or others may do anything */
};

/* Reads a regular file. The caller owns *ret (bp_free or bp_free_secret); a zero byte follows the contents.
 *   NOT_FOUND  there is none    DENIED  no right, a symbolic link, not a regular file, or a secret with loose rights
 *   LIMIT      longer than max  NO_MEMORY  IO */
BP_MUST_CHECK bp_result bp_file_read(const char *path, enum bp_file_kind kind, size_t max, uint8_t **ret,
                                     size_t *ret_n);

/* Writes beside the path, syncs, renames over it, syncs the folder. On failure the old file stands.
 *   DENIED  no right    NOT_FOUND  no such folder    FULL  no room    BAD_ARGUMENT  path too long    IO */
BP_MUST_CHECK bp_result bp_file_write(const char *path, enum bp_file_kind kind, bp_span contents);

/* Syncs the folder that a path lies in, so that a name made or changed there lasts.
 *   NOT_FOUND, DENIED, IO    BAD_ARGUMENT  path too long */
BP_MUST_CHECK bp_result bp_file_sync_folder(const char *path);

/* Writes contents at offset `at`, where the file then ends, and syncs; what stood behind is cut off first. Makes the file
 * when there is none. On failure or a power cut anything up to the whole may stand behind `at`; what is before it stays.
 *   BAD_ARGUMENT  the file is shorter than `at`    DENIED, NOT_FOUND, FULL, IO  as above */
BP_MUST_CHECK bp_result bp_file_append(const char *path, enum bp_file_kind kind, size_t at, bp_span contents);

/* What an errno means to a caller: NOT_FOUND, EXISTS, DENIED, FULL, NO_MEMORY, BUSY or IO. */
enum bp_error bp_error_of_errno(int e);

#endif
