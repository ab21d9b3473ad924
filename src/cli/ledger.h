/* SPDX-License-Identifier: Apache-2.0 */
/* cli/ledger - the book of a factory: what was ordered, made and handed over, in a file that only grows.
 *
 * The file is a sequence of frames: length of the entry (4 bytes, big-endian), the entry (object `factory-entry`, one of
 * the kinds below), and the chain: SHA-256 over the chain of the frame before (32 zero bytes at first) and the entry. An
 * entry counts once its frame is on the disk; what a power cut left half-written at the end is no entry and is cut off by
 * the next one. The mark, in another place, says how far the book was when it was last written: a book that is behind it,
 * or has another chain there, is an older copy, or another book.
 *
 * bp_book_* read bytes that the caller holds and touch no file; entries' spans point into them. */
#ifndef BP_CLI_LEDGER_H
#define BP_CLI_LEDGER_H

#include "codec/manifest.h"
#include "port/crypto.h"

#define BP_BOOK_MAX  (256u << 20) /* bytes of a book: some hundred thousand units */
#define BP_ENTRY_MAX 4096u        /* bytes of an entry */
#define BP_FRAME_MAX (4u + BP_ENTRY_MAX + BP_SHA256_SIZE)
#define BP_MARK_MAX  128u

enum bp_entry_kind {
    BP_ENTRY_ORDER = 1, /* order, number: its quota */
    BP_ENTRY_UNIT = 2,  /* order, unit, certificate */
    BP_ENTRY_BATCH = 3  /* order, number: of the batch, digest: SHA-256 of the signed manifest */
};

struct bp_entry {
    enum bp_entry_kind kind; /* 4 */
    int64_t time_ms;         /* 5 */
    bp_span order;           /* 6, text */
    uint64_t number;         /* 7 */
    bp_span unit;            /* 8, bytes: a unit as in a manifest; empty unless UNIT */
    bp_span certificate;     /* 9, bytes: IDevID certificate, DER; empty: none */
    bp_span digest;          /* 10, bytes: 32 with BATCH, else empty */
};

/* One entry. MALFORMED, TRUNCATED, NOT_CANONICAL, UNSUPPORTED: not such an entry. ret is all zero on failure. */
BP_MUST_CHECK bp_result bp_entry_read(bp_span in, struct bp_entry *ret);
BP_MUST_CHECK bp_result bp_entry_write(const struct bp_entry *e, uint8_t *ret, size_t cap, size_t *ret_len);

struct bp_book {
    bp_span bytes;
    size_t end; /* where the last whole frame ends; what is behind it a power cut left */
    uint64_t entries;
    uint8_t chain[BP_SHA256_SIZE];
};

/* Walks all frames. What follows the last good one is taken for the rest of a cut write only when it is shorter than a
 * frame can be.   MALFORMED  a frame inside is damaged, or an entry is none */
BP_MUST_CHECK bp_result bp_book_read(struct bp_crypto *c, bp_span bytes, struct bp_book *ret);
/* The next entry; begin with *at = 0. NOT_FOUND: none left. The book was read before. */
BP_MUST_CHECK bp_result bp_book_next(const struct bp_book *book, size_t *at, struct bp_entry *ret);
/* The frame that follows the book. NO_SPACE  cap is below BP_FRAME_MAX and it does not fit; BAD_ARGUMENT of the entry */
BP_MUST_CHECK bp_result bp_book_frame(struct bp_crypto *c, const struct bp_book *book, const struct bp_entry *e,
                                      uint8_t *ret, size_t cap, size_t *ret_len);

/* The mark: object `factory-mark`, 4 bytes of the book, 5 its chain there. */
BP_MUST_CHECK bp_result bp_mark_write(const struct bp_book *book, uint8_t ret[BP_MARK_MAX], size_t *ret_len);
/* Whether the book is the one of the mark, or goes on from there.   REPLAYED  it is not     MALFORMED  no mark */
BP_MUST_CHECK bp_result bp_mark_check(struct bp_crypto *c, bp_span mark, const struct bp_book *book);

#endif
