/* SPDX-License-Identifier: Apache-2.0 */
/* codec/note - C2SP signed notes and checkpoints. */
#include "codec/note.h"

#include "codec/base64.h"
#include "codec/cbor.h"
#include "codec/x509.h"

#define BP_MODULE CODEC

#define KEY_ID_SIZE 4u
#define ECDSA_MAX   72u /* DER of two integers of 33 bytes */
#define DASH        "\xe2\x80\x94 " /* em dash, space */
#define DASH_N      4u

/* Takes the next line, without its newline, off *s; the newline must be there. */
static bool take_line(bp_span *s, bp_span *ret)
{
    const uint8_t *end = NULL;
    for (size_t i = 0; i < s->n && end == NULL; i++) {
        end = s->p[i] == '\n' ? s->p + i : NULL;
    }
    if (end == NULL) {
        return false;
    }
    const size_t n = (size_t)(end - s->p);
    *ret = bp_span_sub(*s, 0, n);
    *s = bp_span_sub(*s, n + 1, s->n - n - 1);
    return true;
}

/* Key names have no blanks and no plus. Unicode's other spaces are looked for by their UTF-8 bytes. */
static bool is_name(bp_span s)
{
    static const char *const space[] = {"\xc2\x85",     "\xc2\xa0",     "\xe1\x9a\x80", "\xe2\x80\xa8",
                                        "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80"};
    if (s.n == 0 || s.n > BP_NOTE_MAX_NAME || !bp_is_utf8(s)) {
        return false;
    }
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] <= ' ' || s.p[i] == '+' || s.p[i] == 0x7f) {
            return false;
        }
        for (size_t k = 0; k < sizeof space / sizeof space[0]; k++) {
            const size_t n = space[k][0] == '\xc2' ? 2 : 3;
            if (s.n - i >= n && memcmp(s.p + i, space[k], n) == 0) {
                return false;
            }
        }
        /* U+2000 to U+200A */
        if (s.n - i >= 3 && memcmp(s.p + i, "\xe2\x80", 2) == 0 && s.p[i + 2] <= 0x8a) {
            return false;
        }
    }
    return true;
}

struct line {
    bp_span name;
    bp_span base64;
};

static bp_result split_line(bp_span line, struct line *ret)
{
    if (line.n < DASH_N || memcmp(line.p, DASH, DASH_N) != 0) {
        return BP_FAIL(MALFORMED);
    }
    line = bp_span_sub(line, DASH_N, line.n - DASH_N);
    size_t n = 0;
    while (n < line.n && line.p[n] != ' ') {
        n++;
    }
    ret->name = bp_span_sub(line, 0, n);
    ret->base64 = n == line.n ? BP_SPAN_EMPTY : bp_span_sub(line, n + 1, line.n - n - 1);
    if (!is_name(ret->name)) {
        return BP_FAIL(MALFORMED);
    }
    /* Well-formed base64 of more than a key id, whatever its algorithm; nothing is kept of this pass. */
    bp_wr none = bp_wr_over(NULL, 0);
    bp_base64_read(&none, ret->base64);
    return bp_failed(none.state) || none.n <= KEY_ID_SIZE ? BP_FAIL(MALFORMED) : BP_OK;
}

/* Where the signature lines begin: after the last empty line. 0 when there is none. */
static size_t signatures_at(bp_span in)
{
    for (size_t i = in.n; i >= 2; i--) {
        if (in.p[i - 1] == '\n' && in.p[i - 2] == '\n') {
            return i;
        }
    }
    return 0;
}

static bp_result judge_characters(bp_span in)
{
    if (in.n > BP_NOTE_MAX) {
        return BP_FAIL(LIMIT);
    }
    for (size_t i = 0; i < in.n; i++) {
        if (in.p[i] < ' ' && in.p[i] != '\n') {
            return BP_FAIL(MALFORMED);
        }
    }
    return bp_is_utf8(in) ? BP_OK : BP_FAIL(MALFORMED);
}

bp_result bp_note_read(bp_span in, struct bp_note *ret)
{
    BP_TRY(judge_characters(in));
    const size_t at = signatures_at(in);
    if (at < 3) {
        return BP_FAIL(MALFORMED); /* a text, its newline and the blank line */
    }
    const struct bp_note note = {bp_span_sub(in, 0, at - 1), bp_span_sub(in, at, in.n - at)};
    bp_span rest = note.signatures;
    size_t count = 0;
    while (rest.n > 0) {
        bp_span text;
        struct line line;
        if (!take_line(&rest, &text)) {
            return BP_FAIL(MALFORMED);
        }
        if (++count > BP_NOTE_MAX_SIGNATURES) {
            return BP_FAIL(LIMIT);
        }
        BP_TRY(split_line(text, &line));
    }
    if (count == 0) {
        return BP_FAIL(MALFORMED);
    }
    *ret = note;
    return BP_OK;
}

bp_result bp_note_verify(struct bp_crypto *c, const struct bp_note *note, bp_span name, bp_span spki)
{
    uint8_t key_id[BP_SHA256_SIZE];
    struct bp_pubkey key;
    BP_TRY(bp_spki_read(spki, &key));
    if (key.type != BP_KEY_P256) {
        return BP_FAIL(UNSUPPORTED);
    }
    BP_TRY(bp_hash(c, BP_HASH_SHA256, spki, key_id));
    bp_span rest = note->signatures;
    bp_span text;
    while (take_line(&rest, &text)) {
        struct line line;
        BP_TRY(split_line(text, &line));
        uint8_t sig[KEY_ID_SIZE + ECDSA_MAX];
        bp_wr wr = bp_wr_over(sig, sizeof sig);
        bp_base64_read(&wr, line.base64);
        const bp_span got = bp_wr_span(&wr); /* empty when longer than any of ours */
        if (got.n < KEY_ID_SIZE || memcmp(got.p, key_id, KEY_ID_SIZE) != 0 || !bp_span_equal(line.name, name)) {
            continue;
        }
        return bp_x509_verify(c, &key, BP_SIG_ES256, note->text,
                              bp_span_sub(got, KEY_ID_SIZE, got.n - KEY_ID_SIZE));
    }
    return BP_FAIL(NOT_FOUND);
}

static bp_result read_decimal(bp_span s, uint64_t *ret)
{
    uint64_t v = 0;
    if (s.n == 0 || (s.n > 1 && s.p[0] == '0')) {
        return BP_FAIL(MALFORMED);
    }
    for (size_t i = 0; i < s.n; i++) {
        const unsigned digit = (unsigned)s.p[i] - '0';
        if (digit > 9 || v > (UINT64_MAX - digit) / 10) {
            return BP_FAIL(MALFORMED);
        }
        v = v * 10 + digit;
    }
    *ret = v;
    return BP_OK;
}

bp_result bp_checkpoint_read(const struct bp_note *note, struct bp_checkpoint *ret)
{
    struct bp_checkpoint cp = {.size = 0};
    bp_span rest = note->text;
    bp_span size;
    bp_span root;
    bp_span line;
    if (!take_line(&rest, &cp.origin) || !take_line(&rest, &size) || !take_line(&rest, &root) || cp.origin.n == 0) {
        return BP_FAIL(MALFORMED);
    }
    BP_TRY(read_decimal(size, &cp.size));
    bp_wr wr = bp_wr_over(cp.root, sizeof cp.root);
    bp_base64_read(&wr, root);
    if (bp_wr_span(&wr).n != sizeof cp.root) {
        return BP_FAIL(MALFORMED);
    }
    cp.extensions = rest;
    while (rest.n > 0) {
        if (!take_line(&rest, &line) || line.n == 0) {
            return BP_FAIL(MALFORMED);
        }
    }
    *ret = cp;
    return BP_OK;
}

static void put_decimal(bp_wr *wr, uint64_t v)
{
    uint8_t digit[20];
    size_t at = sizeof digit;
    do {
        digit[--at] = (uint8_t)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    bp_wr_bytes(wr, bp_span_of(digit + at, sizeof digit - at));
}

/* Key id and signature in DER, as one run of bytes. */
static bp_result sign_text(struct bp_crypto *c, const struct bp_signer *signer, bp_span spki, bp_span text, bp_wr *wr)
{
    uint8_t hash[BP_SHA256_SIZE];
    uint8_t raw[64];
    uint8_t der[ECDSA_MAX];
    size_t raw_n = 0;
    size_t der_n = 0;
    BP_TRY(bp_hash(c, BP_HASH_SHA256, spki, hash));
    BP_TRY(signer->sign(signer->self, text, raw, sizeof raw, &raw_n));
    if (raw_n != sizeof raw) {
        return BP_FAIL(CRYPTO);
    }
    BP_TRY(bp_der_ecdsa_write(BP_SPAN_OF(raw), der, sizeof der, &der_n));
    bp_wr_bytes(wr, bp_span_of(hash, KEY_ID_SIZE));
    bp_wr_bytes(wr, bp_span_of(der, der_n));
    return bp_wr_finish(wr);
}

bp_result bp_checkpoint_write(struct bp_crypto *c, const struct bp_signer *signer, bp_span spki, bp_span origin,
                              uint64_t size, const uint8_t root[BP_SHA256_SIZE], uint8_t *ret, size_t cap,
                              size_t *ret_len)
{
    if (!is_name(origin) || signer->alg != BP_SIG_ES256) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    bp_wr wr = bp_wr_over(ret, cap);
    bp_wr_bytes(&wr, origin);
    bp_wr_u8(&wr, '\n');
    put_decimal(&wr, size);
    bp_wr_u8(&wr, '\n');
    bp_base64_write(&wr, bp_span_of(root, BP_SHA256_SIZE));
    bp_wr_u8(&wr, '\n');
    if (wr.n > cap) {
        /* The text must stand in ret to be signed; the signature's length is known only then. */
        *ret_len = wr.n + 1 + DASH_N + origin.n + 1 + BP_BASE64_SIZE(KEY_ID_SIZE + ECDSA_MAX) + 1;
        return bp_wr_finish(&wr);
    }
    uint8_t sig[KEY_ID_SIZE + ECDSA_MAX];
    bp_wr sig_wr = bp_wr_over(sig, sizeof sig);
    BP_TRY(sign_text(c, signer, spki, bp_wr_span(&wr), &sig_wr));
    bp_wr_u8(&wr, '\n');
    bp_wr_bytes(&wr, BP_SPAN_STR(DASH));
    bp_wr_bytes(&wr, origin);
    bp_wr_u8(&wr, ' ');
    bp_base64_write(&wr, bp_wr_span(&sig_wr));
    bp_wr_u8(&wr, '\n');
    *ret_len = wr.n;
    return bp_wr_finish(&wr);
}
