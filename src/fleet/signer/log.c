/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/signer/log - signs attestation results, and heads of a log that only ever grows.
 *
 * The one rule: a head is signed over the signer's own stored last head, and is on disk before it is given out. So
 * whoever asks (a second keeper, a restored one, a captured one) gets no two different heads of one size. */
#include "codec/cbor.h"
#include "codec/cose.h"
#include "codec/ear.h"
#include "codec/note.h"
#include "codec/x509.h"
#include "core/merkle.h"
#include "fleet/signer/internal.h"
#include "platform/linux/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define BP_MODULE SIGNER

#define TYPE      "log-head"
#define STATE_MAX 8192u

struct bp_log_signer {
    const struct bp_site *site;
    struct bp_crypto *crypto;
    struct bp_key *log_key;
    struct bp_key *result_key;
    int lock;
    uint8_t result_kid[BP_SHA256_SIZE];
    struct bp_log_last last;
    bool is_lost; /* the stored state could not be read back: no head is given out any more */
    struct bp_msg_results request, results;
    uint8_t *scratch; /* BP_COSE_SCRATCH of the largest result */
    uint8_t *made;    /* signed results, one after another */
    uint8_t *answer;
};

#define SCRATCH_MAX BP_COSE_SCRATCH(2 * BP_COSE_MAX_PROTECTED, BP_MSG_SIGNED_MAX, 0)

/* --- the head and its file --- */

static bp_result sign_head(struct bp_log_signer *s, const struct bp_merkle *tree, char *ret, size_t *ret_n)
{
    uint8_t root[BP_SHA256_SIZE];
    const struct bp_signer signer = bp_key_signer(s->log_key);
    BP_TRY(bp_merkle_root(s->crypto, tree, root));
    return bp_checkpoint_write(s->crypto, &signer, bp_key_spki(s->log_key), bp_span_cstr(s->site->log_origin), tree->size,
                               root, (uint8_t *)ret, BP_MSG_HEAD_MAX, ret_n);
}

static uint32_t peaks_of(uint64_t size)
{
    uint32_t n = 0;
    for (; size != 0; size &= size - 1) {
        n++;
    }
    return n;
}

static bp_result write_state(const struct bp_site *site, struct bp_crypto *c, const struct bp_merkle *tree, bp_span head)
{
    uint8_t room[STATE_MAX];
    uint8_t root[BP_SHA256_SIZE];
    char path[BP_SITE_PATH_MAX];
    BP_TRY(bp_merkle_root(c, tree, root));
    bp_cw w = bp_cw_over(room, sizeof room);
    bp_cw_map(&w, 7);
    bp_cw_uint(&w, 1);
    bp_cw_cstr(&w, TYPE);
    bp_cw_uint(&w, 2);
    bp_cw_uint(&w, 1);
    bp_cw_uint(&w, 3);
    bp_cw_uint(&w, 0);
    bp_cw_uint(&w, 4);
    bp_cw_uint(&w, tree->size);
    bp_cw_uint(&w, 5);
    bp_cw_array(&w, peaks_of(tree->size));
    for (unsigned i = 0; i < BP_MERKLE_LEVELS; i++) {
        if ((tree->size >> i & 1u) != 0) {
            bp_cw_bstr(&w, BP_SPAN_OF(tree->peak[i]));
        }
    }
    bp_cw_uint(&w, 6);
    bp_cw_bstr(&w, BP_SPAN_OF(root));
    bp_cw_uint(&w, 7);
    bp_cw_tstr(&w, head);
    BP_TRY(bp_cw_finish(&w));
    BP_TRY(bp_site_path(site, BP_LOG_STATE, path, sizeof path));
    return bp_file_write(path, BP_FILE_SECRET, bp_cw_span(&w));
}

static void need(bp_rd *rd, bool ok)
{
    if (!ok) {
        bp_rd_fail(rd, BP_FAIL(MALFORMED));
    }
}

static bp_result parse_state(bp_span in, struct bp_merkle *tree, bp_span *ret_root, bp_span *ret_head)
{
    BP_TRY(bp_cbor_check(in));
    bp_rd rd = bp_rd_over(in);
    need(&rd, bp_cbor_get_map(&rd) == 7);
    need(&rd, bp_cbor_get_uint(&rd) == 1 && bp_span_equal(bp_cbor_get_tstr(&rd), BP_SPAN_STR(TYPE)));
    need(&rd, bp_cbor_get_uint(&rd) == 2 && bp_cbor_get_uint(&rd) == 1);
    need(&rd, bp_cbor_get_uint(&rd) == 3 && bp_cbor_get_uint(&rd) == 0);
    need(&rd, bp_cbor_get_uint(&rd) == 4);
    tree->size = bp_cbor_get_uint(&rd);
    need(&rd, bp_cbor_get_uint(&rd) == 5 && bp_cbor_get_array(&rd) == peaks_of(tree->size));
    for (unsigned i = 0; i < BP_MERKLE_LEVELS && !bp_failed(bp_rd_state(&rd)); i++) {
        if ((tree->size >> i & 1u) != 0) {
            const bp_span peak = bp_cbor_get_bstr_n(&rd, BP_SHA256_SIZE);
            if (peak.n == BP_SHA256_SIZE) {
                memcpy(tree->peak[i], peak.p, BP_SHA256_SIZE);
            }
        }
    }
    need(&rd, bp_cbor_get_uint(&rd) == 6);
    *ret_root = bp_cbor_get_bstr_n(&rd, BP_SHA256_SIZE);
    need(&rd, bp_cbor_get_uint(&rd) == 7);
    *ret_head = bp_cbor_get_tstr(&rd);
    return bp_rd_finish(&rd);
}

/* Whether a head is our log's, and over that tree. */
static bp_result check_head(const struct bp_site *site, struct bp_crypto *c, const struct bp_merkle *tree, bp_span head)
{
    uint8_t computed[BP_SHA256_SIZE];
    struct bp_note note;
    struct bp_checkpoint cp;
    struct bp_x509 cert;
    BP_TRY(bp_x509_read(site->cert[BP_SITE_CERT_LOG], &cert));
    BP_TRY(bp_merkle_root(c, tree, computed));
    BP_TRY(bp_note_read(head, &note));
    BP_TRY(bp_note_verify(c, &note, bp_span_cstr(site->log_origin), cert.spki));
    BP_TRY(bp_checkpoint_read(&note, &cp));
    return cp.size == tree->size && memcmp(cp.root, computed, sizeof computed) == 0 && head.n <= BP_MSG_HEAD_MAX
               ? BP_OK
               : BP_FAIL(MISMATCH);
}

/* The stored head must be ours and the stored tree must be the one it is over: a state that was cut, edited or taken
 * from another log is refused, not repaired. */
static bp_result adopt_state(const struct bp_site *site, struct bp_crypto *c, bp_span in, struct bp_log_last *ret)
{
    bp_span root, head;
    uint8_t computed[BP_SHA256_SIZE];
    bp_merkle_init(&ret->tree);
    BP_TRY(parse_state(in, &ret->tree, &root, &head));
    BP_TRY(check_head(site, c, &ret->tree, head));
    BP_TRY(bp_merkle_root(c, &ret->tree, computed));
    if (memcmp(root.p, computed, sizeof computed) != 0) {
        return BP_FAIL(MISMATCH);
    }
    memcpy(ret->head, head.p, head.n);
    ret->head_n = head.n;
    return BP_OK;
}

static bp_result load_state(const struct bp_site *site, struct bp_crypto *c, enum bp_file_kind kind, struct bp_log_last *ret)
{
    char path[BP_SITE_PATH_MAX];
    uint8_t *bytes = NULL;
    size_t n = 0;
    BP_TRY(bp_site_path(site, BP_LOG_STATE, path, sizeof path));
    BP_TRY(bp_file_read(path, kind, STATE_MAX, &bytes, &n));
    const bp_result r = adopt_state(site, c, bp_span_of(bytes, n), ret);
    bp_free(bytes);
    return r;
}

static bp_result read_state(struct bp_log_signer *s)
{
    return load_state(s->site, s->crypto, BP_FILE_SECRET, &s->last);
}

/* What it says is signed, and whoever looks at it from beside a running signer is another user than the file's. */
bp_result bp_log_signer_last(const struct bp_site *site, struct bp_crypto *c, struct bp_log_last *ret)
{
    return load_state(site, c, BP_FILE_PUBLIC, ret);
}

/* --- life --- */

static bp_result take_lock(struct bp_log_signer *s)
{
    char path[BP_SITE_PATH_MAX];
    BP_TRY(bp_site_path(s->site, BP_LOG_STATE_LOCK, path, sizeof path));
    s->lock = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (s->lock < 0) {
        return bp_fail_at(bp_error_of_errno(errno), BP_MODULE_ID, __LINE__);
    }
    return flock(s->lock, LOCK_EX | LOCK_NB) == 0 ? BP_OK : BP_FAIL(BUSY);
}

static bp_result begin(struct bp_log_signer *s)
{
    BP_TRY(take_lock(s));
    BP_TRY(bp_site_key_open(s->site, BP_SITE_KEY_LOG, &s->log_key));
    BP_TRY(bp_site_key_open(s->site, BP_SITE_KEY_RESULT, &s->result_key));
    return bp_hash(s->crypto, BP_HASH_SHA256, bp_key_spki(s->result_key), s->result_kid);
}

static bp_result start(const struct bp_site *site, struct bp_crypto *c, struct bp_log_signer **ret)
{
    struct bp_log_signer *s = bp_alloc(sizeof *s);
    if (s == NULL) {
        return BP_FAIL(NO_MEMORY);
    }
    s->site = site;
    s->crypto = c;
    s->lock = -1;
    s->scratch = bp_alloc(SCRATCH_MAX);
    s->made = bp_alloc(BP_MSG_BODY_MAX);
    s->answer = bp_alloc(BP_MSG_BODY_MAX);
    bp_merkle_init(&s->last.tree);
    const bp_result r = s->scratch == NULL || s->made == NULL || s->answer == NULL ? BP_FAIL(NO_MEMORY) : begin(s);
    if (bp_failed(r)) {
        bp_log_signer_free(s);
        return r;
    }
    *ret = s;
    return BP_OK;
}

/* Signs a head over the tree and has it on disk. */
static bp_result put_head(struct bp_log_signer *s, const struct bp_merkle *tree)
{
    char head[BP_MSG_HEAD_MAX];
    size_t n = 0;
    BP_TRY(sign_head(s, tree, head, &n));
    return write_state(s->site, s->crypto, tree, bp_span_of(head, n));
}

bp_result bp_log_signer_init(const struct bp_site *site, struct bp_crypto *c)
{
    struct bp_log_signer *s = NULL;
    char path[BP_SITE_PATH_MAX];
    struct stat st;
    BP_TRY(bp_site_path(site, BP_LOG_STATE, path, sizeof path));
    if (lstat(path, &st) == 0) {
        return BP_FAIL(EXISTS);
    }
    BP_TRY(start(site, c, &s));
    const bp_result r = put_head(s, &s->last.tree);
    bp_log_signer_free(s);
    return r;
}

bp_result bp_log_signer_break(const struct bp_site *site, struct bp_crypto *c, const struct bp_merkle *tree)
{
    struct bp_log_signer *s = NULL;
    BP_TRY(start(site, c, &s));
    const bp_result r = put_head(s, tree);
    bp_log_signer_free(s);
    return r;
}

bp_result bp_log_signer_put(const struct bp_site *site, struct bp_crypto *c, const struct bp_merkle *tree, bp_span head)
{
    char path[BP_SITE_PATH_MAX];
    struct stat st;
    BP_TRY(bp_site_path(site, BP_LOG_STATE, path, sizeof path));
    if (lstat(path, &st) == 0) {
        return BP_FAIL(EXISTS);
    }
    BP_TRY(check_head(site, c, tree, head));
    return write_state(site, c, tree, head);
}

bp_result bp_log_signer_new(const struct bp_site *site, struct bp_crypto *c, struct bp_log_signer **ret)
{
    struct bp_log_signer *s = NULL;
    BP_TRY(start(site, c, &s));
    const bp_result r = read_state(s);
    if (bp_failed(r)) {
        bp_log_signer_free(s);
        return r;
    }
    *ret = s;
    return BP_OK;
}

void bp_log_signer_free(struct bp_log_signer *s)
{
    if (s != NULL) {
        bp_key_free(s->log_key);
        bp_key_free(s->result_key);
        if (s->lock >= 0) {
            (void)close(s->lock);
        }
        bp_free(s->scratch);
        bp_free(s->made);
        bp_free(s->answer);
        bp_free(s);
    }
}

/* --- ops --- */

static struct bp_signer_answer refuse(struct bp_log_signer *s, enum bp_problem status, const char *rule)
{
    return signer_refuse(status, rule, s->answer, BP_MSG_BODY_MAX);
}

static struct bp_signer_answer own_head(struct bp_log_signer *s, enum bp_problem status)
{
    const struct bp_msg_head m = {s->last.tree.size, bp_span_of(s->last.head, s->last.head_n)};
    size_t n = 0;
    if (bp_failed(bp_msg_head_write(&m, s->answer, BP_MSG_BODY_MAX, &n))) {
        return refuse(s, BP_P_INTERNAL, "internal");
    }
    return (struct bp_signer_answer){status, bp_span_of(s->answer, n)};
}

static bp_result extend(struct bp_log_signer *s, bp_span leaves)
{
    struct bp_merkle tree = s->last.tree;
    char head[BP_MSG_HEAD_MAX];
    size_t n = 0;
    for (size_t at = 0; at < leaves.n; at += BP_SHA256_SIZE) {
        BP_TRY(bp_merkle_append(s->crypto, &tree, leaves.p + at));
    }
    BP_TRY(sign_head(s, &tree, head, &n));
    BP_TRY(write_state(s->site, s->crypto, &tree, bp_span_of(head, n)));
    s->last.tree = tree;
    memcpy(s->last.head, head, n);
    s->last.head_n = n;
    return BP_OK;
}

static struct bp_signer_answer append(struct bp_log_signer *s, bp_span body)
{
    struct bp_msg_append m;
    if (bp_failed(bp_msg_append_read(body, &m))) {
        return refuse(s, BP_P_MALFORMED, "request-form");
    }
    if (s->is_lost) {
        return refuse(s, BP_P_INTERNAL, "state-lost");
    }
    if (m.leaves.n == 0) {
        return own_head(s, BP_P_NONE);
    }
    if (m.first != s->last.tree.size) {
        return own_head(s, BP_P_CONFLICT);
    }
    const bp_result r = extend(s, m.leaves);
    if (bp_failed(r)) {
        /* The file may hold the new head although writing it failed: only the file is right from here on. */
        s->is_lost = bp_failed(read_state(s));
        return refuse(s, bp_is(r, BP_E_FULL) ? BP_P_STORAGE_FULL : BP_P_INTERNAL, "state-not-written");
    }
    return own_head(s, BP_P_NONE);
}

/* Signs nothing but results: the result key must not be lent for other objects. */
static bp_result sign_one(struct bp_log_signer *s, bp_span payload, uint8_t *ret, size_t cap, size_t *ret_n)
{
    struct bp_ear ear;
    const struct bp_signer signer = bp_key_signer(s->result_key);
    const struct bp_cose_header header = {BP_SPAN_STR(BP_EAR_CONTENT), BP_SPAN_OF(s->result_kid), BP_SPAN_EMPTY};
    BP_TRY(bp_ear_read(payload, &ear));
    return bp_cose_sign1_write(&signer, &header, payload, BP_SPAN_EMPTY, s->scratch, SCRATCH_MAX, ret, cap, ret_n);
}

static struct bp_signer_answer sign_results(struct bp_log_signer *s, bp_span body)
{
    size_t at = 0, n = 0;
    if (bp_failed(bp_msg_results_read(body, &s->request))) {
        return refuse(s, BP_P_MALFORMED, "request-form");
    }
    for (size_t i = 0; i < s->request.count; i++) {
        const bp_result r = sign_one(s, s->request.item[i], s->made + at, BP_MSG_BODY_MAX - at, &n);
        if (bp_is(r, BP_E_NO_SPACE)) {
            return refuse(s, BP_P_TOO_LARGE, "answer-too-large");
        }
        if (bp_failed(r)) {
            return bp_is(r, BP_E_CRYPTO) ? refuse(s, BP_P_INTERNAL, "internal") : refuse(s, BP_P_MALFORMED, "result-form");
        }
        s->results.item[i] = bp_span_of(s->made + at, n);
        at += n;
    }
    s->results.count = s->request.count;
    const bp_result r = bp_msg_results_write(&s->results, s->answer, BP_MSG_BODY_MAX, &n);
    return bp_failed(r) ? refuse(s, BP_P_TOO_LARGE, "answer-too-large")
                        : (struct bp_signer_answer){BP_P_NONE, bp_span_of(s->answer, n)};
}

void bp_log_signer_answer(struct bp_log_signer *s, bp_span op, bp_span body, struct bp_signer_answer *ret)
{
    if (bp_span_equal(op, BP_SPAN_STR("append"))) {
        *ret = append(s, body);
    } else if (bp_span_equal(op, BP_SPAN_STR("sign-results"))) {
        *ret = sign_results(s, body);
    } else {
        *ret = refuse(s, BP_P_UNSUPPORTED, "op-unknown");
    }
}
