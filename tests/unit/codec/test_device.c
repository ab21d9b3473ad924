/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/codec/test_device - hello, challenge, answer, nonce, consistency, log-break, escrow, escrowed, lockout: what is written is read, every
 * truncation and every wrong member is refused, and what is refused leaves zeros. */
#include "codec/device.h"
#include "harness.h"

static uint8_t room[1024], again[1024];
static const uint8_t id[33] = {1, 2}, n32[32] = {3}, other[32] = {4};

static union {
    struct bp_hello hello;
    struct bp_challenge challenge;
    struct bp_answer answer;
    struct bp_nonce nonce;
    struct bp_consistency consistency;
    struct bp_log_break log_break;
    struct bp_escrow escrow;
    struct bp_escrowed escrowed;
    struct bp_lockout lockout;
} in, out;

static void fill_hello(void)
{
    memset(&in, 0, sizeof in);
    in.hello.kind = BP_SPAN_STR("tpm2");
    in.hello.eks = 2;
    in.hello.ek[0] = (struct bp_hello_ek){BP_TEMPLATE_L1, BP_SPAN_STR("public"), BP_SPAN_STR("cert")};
    in.hello.ek[1] = (struct bp_hello_ek){BP_TEMPLATE_H3, BP_SPAN_STR("public2"), BP_SPAN_EMPTY};
    in.hello.ak = BP_SPAN_STR("ak");
    in.hello.features = 2;
    in.hello.feature[0] = BP_SPAN_STR("ima");
    in.hello.feature[1] = BP_SPAN_STR("imb");
    in.hello.agent = BP_SPAN_STR("0.1.0");
    in.hello.code = BP_SPAN_STR("code");
    in.hello.info = 2;
    in.hello.pair[0] = (struct bp_text_pair){BP_SPAN_STR("model"), BP_SPAN_STR("M")};
    in.hello.pair[1] = (struct bp_text_pair){BP_SPAN_STR("serial"), BP_SPAN_STR("")};
}

static void fill_challenge(void)
{
    memset(&in, 0, sizeof in);
    in.challenge.device_id = BP_SPAN_OF(id);
    in.challenge.credentials = 1;
    in.challenge.credential[0].id_object = BP_SPAN_STR("object");
    in.challenge.credential[0].secret = BP_SPAN_STR("secret");
    in.challenge.nonce = BP_SPAN_OF(n32);
    in.challenge.seq = 7;
    in.challenge.issued_ms = 1700000000000;
    in.challenge.features = 1;
    in.challenge.feature[0] = BP_SPAN_STR("ima");
    in.challenge.state = BP_SPAN_STR("claimed");
    in.challenge.device_port = 8443;
}

static void fill_answer(void)
{
    memset(&in, 0, sizeof in);
    in.answer.ear = BP_SPAN_STR("ear");
    in.answer.nonce = BP_SPAN_OF(n32);
    in.answer.seq = 8;
    in.answer.issued_ms = 1700000000001;
    in.answer.due_ms = 600000;
    in.answer.held_log = BP_SPAN_OF(other);
    in.answer.held_ima = 31;
    in.answer.head = BP_SPAN_STR("origin\n1\nroot\n");
    in.answer.tier = 32;
    in.answer.reason = BP_SPAN_STR("the firmware is not known for this model");
    in.answer.state = BP_SPAN_STR("active");
    in.answer.renew = true;
    in.answer.time_ms = 1700000000002;
}

static void fill_nonce(void)
{
    memset(&in, 0, sizeof in);
    in.nonce.nonce = BP_SPAN_OF(n32);
    in.nonce.seq = 9;
    in.nonce.issued_ms = 1;
}

static void fill_consistency(void)
{
    memset(&in, 0, sizeof in);
    in.consistency.from = 3;
    in.consistency.to = 9;
    in.consistency.hashes = 2;
    in.consistency.hash[0] = BP_SPAN_OF(n32);
    in.consistency.hash[1] = BP_SPAN_OF(other);
}

static uint8_t two_hashes[64];

static void fill_log_break(void)
{
    memset(&in, 0, sizeof in);
    in.log_break.index = 3;
    in.log_break.to = 9;
    in.log_break.event = BP_SPAN_STR("event");
    in.log_break.inclusion = BP_SPAN_OF(two_hashes);
    in.log_break.consistency = BP_SPAN_OF(n32);
}

static void fill_escrow(void)
{
    memset(&in, 0, sizeof in);
    in.escrow.device_id = BP_SPAN_OF(id);
    in.escrow.state = BP_ESCROW_SEALED;
    in.escrow.envelope = BP_SPAN_STR("envelope");
}

static void fill_escrowed(void)
{
    memset(&in, 0, sizeof in);
    in.escrowed.device_id = BP_SPAN_OF(id);
    in.escrowed.state = BP_ESCROW_SET;
    in.escrowed.digest = BP_SPAN_OF(n32);
}

static void fill_lockout(void)
{
    memset(&in, 0, sizeof in);
    in.lockout.device_id = BP_SPAN_OF(id);
    in.lockout.value = BP_SPAN_OF(n32);
}

#define OBJECT(name)                                                                                                   \
    static bp_result write_##name(uint8_t *p, size_t cap, size_t *n)                                                   \
    {                                                                                                                  \
        return bp_##name##_write(&in.name, p, cap, n);                                                                 \
    }                                                                                                                  \
    static bp_result rewrite_##name(uint8_t *p, size_t cap, size_t *n)                                                 \
    {                                                                                                                  \
        return bp_##name##_write(&out.name, p, cap, n);                                                                \
    }                                                                                                                  \
    static bp_result read_##name(bp_span bytes)                                                                        \
    {                                                                                                                  \
        return bp_##name##_read(bytes, &out.name);                                                                     \
    }
OBJECT(hello)
OBJECT(challenge)
OBJECT(answer)
OBJECT(nonce)
OBJECT(consistency)
OBJECT(log_break)
OBJECT(escrow)
OBJECT(escrowed)
OBJECT(lockout)

enum object { HELLO, CHALLENGE, ANSWER, NONCE, CONSISTENCY, LOG_BREAK, ESCROW, ESCROWED, LOCKOUT };
static const struct {
    const char *name;
    size_t size;
    void (*fill)(void);
    bp_result (*write)(uint8_t *, size_t, size_t *);
    bp_result (*rewrite)(uint8_t *, size_t, size_t *);
    bp_result (*read)(bp_span);
} objects[] = {
#define ROW(name) {#name, sizeof(struct bp_##name), fill_##name, write_##name, rewrite_##name, read_##name}
    [HELLO] = ROW(hello),       [CHALLENGE] = ROW(challenge),     [ANSWER] = ROW(answer),
    [NONCE] = ROW(nonce),       [CONSISTENCY] = ROW(consistency), [LOG_BREAK] = ROW(log_break),
    [ESCROW] = ROW(escrow),     [ESCROWED] = ROW(escrowed),       [LOCKOUT] = ROW(lockout),
};

static bool is_zero(size_t n)
{
    const uint8_t *p = (const uint8_t *)&out;
    for (size_t i = 0; i < n; i++) {
        if (p[i] != 0) {
            return false;
        }
    }
    return true;
}

/* What is refused leaves zeros, whatever stood there. */
static bp_result read_filled(enum object o, bp_span bytes)
{
    memset(&out, 0xa5, sizeof out);
    const bp_result r = objects[o].read(bytes);
    BP_CHECK(!bp_failed(r) || is_zero(objects[o].size));
    return r;
}

static void round_trips(void)
{
    for (enum object o = HELLO; o <= LOCKOUT; o = (enum object)(o + 1)) {
        size_t n = 0;
        size_t m = 0;
        bp_case_begin();
        objects[o].fill();
        BP_CHECK(bp_is(objects[o].write(room, 10, &n), BP_E_NO_SPACE) && n > 10);
        BP_CHECK(!bp_failed(objects[o].write(room, n, &n)) && n <= sizeof room);
        BP_CHECK(!bp_failed(read_filled(o, bp_span_of(room, n))));
        BP_CHECK(!bp_failed(objects[o].rewrite(again, sizeof again, &m)) && m == n && memcmp(room, again, n) == 0);
        for (size_t cut = 0; cut < n; cut++) {
            BP_CHECK(bp_failed(read_filled(o, bp_span_of(room, cut))));
        }
        room[n] = 0;
        BP_CHECK(bp_is(read_filled(o, bp_span_of(room, n + 1)), BP_E_MALFORMED));
        bp_case_end(objects[o].name);
    }
}

BP_CASE(answer_reads_what_it_wrote)
{
    size_t n = 0;
    fill_answer();
    BP_NEED(!bp_failed(bp_answer_write(&in.answer, room, sizeof room, &n)));
    BP_NEED(!bp_failed(bp_answer_read(bp_span_of(room, n), &out.answer)));
    BP_CHECK(out.answer.seq == 8 && out.answer.issued_ms == 1700000000001 && out.answer.due_ms == 600000);
    BP_CHECK(bp_span_equal(out.answer.held_log, BP_SPAN_OF(other)) && out.answer.held_ima == 31);
    BP_CHECK(out.answer.tier == 32 && out.answer.renew && out.answer.time_ms == 1700000000002);
    BP_CHECK(bp_span_equal(out.answer.head, in.answer.head) && bp_span_equal(out.answer.reason, in.answer.reason));
}

/* When to renew, and since when the server is back: each may be absent. */
BP_CASE(answer_says_when_to_renew)
{
    size_t n = 0;
    for (unsigned i = 0; i < 4; i++) {
        fill_answer();
        in.answer.has_window = (i & 1u) != 0;
        in.answer.renew_from_s = 1700000000;
        in.answer.renew_until_s = 1700003600;
        in.answer.since_s = (i & 2u) != 0 ? 1699990000 : 0;
        BP_NEED(!bp_failed(bp_answer_write(&in.answer, room, sizeof room, &n)));
        BP_NEED(!bp_failed(bp_answer_read(bp_span_of(room, n), &out.answer)));
        BP_CHECK(out.answer.has_window == in.answer.has_window && out.answer.since_s == in.answer.since_s);
        BP_CHECK(!out.answer.has_window || (out.answer.renew_from_s == 1700000000 && out.answer.renew_until_s == 1700003600));
    }
    /* A time of nothing is no time. */
    room[n - 5] = 0;
    BP_CHECK(room[n - 6] == 17);
    BP_CHECK(bp_failed(bp_answer_read(bp_span_of(room, n - 4), &out.answer)));
    in.answer.since_s = -1;
    BP_CHECK(bp_is(bp_answer_write(&in.answer, room, sizeof room, &n), BP_E_BAD_ARGUMENT));
    in.answer.since_s = INT64_MAX;
    BP_CHECK(bp_is(bp_answer_write(&in.answer, room, sizeof room, &n), BP_E_BAD_ARGUMENT));
}

BP_CASE(hello_reads_what_it_wrote)
{
    size_t n = 0;
    fill_hello();
    BP_NEED(!bp_failed(bp_hello_write(&in.hello, room, sizeof room, &n)));
    BP_NEED(!bp_failed(bp_hello_read(bp_span_of(room, n), &out.hello)));
    BP_CHECK(out.hello.eks == 2 && out.hello.ek[1].template_id == BP_TEMPLATE_H3 && out.hello.ek[1].certificate.n == 0);
    BP_CHECK(out.hello.features == 2 && bp_span_equal(out.hello.feature[1], BP_SPAN_STR("imb")));
    BP_CHECK(bp_span_equal(out.hello.code, BP_SPAN_STR("code")) && out.hello.info == 2);
    BP_CHECK(bp_span_equal(out.hello.pair[0].value, BP_SPAN_STR("M")));
    in.hello.code = BP_SPAN_EMPTY;
    BP_NEED(!bp_failed(bp_hello_write(&in.hello, room, sizeof room, &n)));
    BP_CHECK(!bp_failed(bp_hello_read(bp_span_of(room, n), &out.hello)) && out.hello.code.n == 0);
}

BP_CASE(escrow_reads_what_it_wrote)
{
    size_t n = 0;
    fill_escrow();
    BP_NEED(!bp_failed(bp_escrow_write(&in.escrow, room, sizeof room, &n)));
    BP_NEED(!bp_failed(bp_escrow_read(bp_span_of(room, n), &out.escrow)));
    BP_CHECK(bp_span_equal(out.escrow.device_id, BP_SPAN_OF(id)) && out.escrow.state == BP_ESCROW_SEALED);
    BP_CHECK(bp_span_equal(out.escrow.envelope, BP_SPAN_STR("envelope")));
    in.escrow.state = BP_ESCROW_FOREIGN;
    in.escrow.envelope = BP_SPAN_EMPTY;
    BP_NEED(!bp_failed(bp_escrow_write(&in.escrow, room, sizeof room, &n)));
    BP_NEED(!bp_failed(bp_escrow_read(bp_span_of(room, n), &out.escrow)));
    BP_CHECK(out.escrow.state == BP_ESCROW_FOREIGN && out.escrow.envelope.n == 0);
    fill_lockout();
    BP_NEED(!bp_failed(bp_lockout_write(&in.lockout, room, sizeof room, &n)));
    BP_NEED(!bp_failed(bp_lockout_read(bp_span_of(room, n), &out.lockout)));
    BP_CHECK(bp_span_equal(out.lockout.value, BP_SPAN_OF(n32)) && bp_span_equal(out.lockout.device_id, BP_SPAN_OF(id)));
}

BP_CASE(an_envelope_above_its_ceiling_is_refused)
{
    static uint8_t large[BP_ENVELOPE_MAX + 1], object[BP_ESCROW_MAX];
    size_t n = 0;
    fill_escrow();
    in.escrow.envelope = bp_span_of(large, BP_ENVELOPE_MAX);
    BP_NEED(!bp_failed(bp_escrow_write(&in.escrow, object, sizeof object, &n)));
    BP_CHECK(!bp_failed(bp_escrow_read(bp_span_of(object, n), &out.escrow)));
    in.escrow.envelope = BP_SPAN_OF(large);
    BP_CHECK(bp_is(bp_escrow_write(&in.escrow, object, sizeof object, &n), BP_E_BAD_ARGUMENT));
    bp_cw w = bp_cw_over(object, sizeof object);
    bp_cw_map(&w, 6);
    bp_cw_uint(&w, 1);
    bp_cw_cstr(&w, "escrow");
    bp_cw_uint(&w, 2);
    bp_cw_uint(&w, 1);
    bp_cw_uint(&w, 3);
    bp_cw_uint(&w, 0);
    bp_cw_uint(&w, 4);
    bp_cw_bstr(&w, BP_SPAN_OF(id));
    bp_cw_uint(&w, 5);
    bp_cw_uint(&w, BP_ESCROW_SEALED);
    bp_cw_uint(&w, 6);
    bp_cw_bstr(&w, BP_SPAN_OF(large));
    BP_NEED(!bp_failed(bp_cw_finish(&w)));
    BP_CHECK(bp_is(read_filled(ESCROW, bp_cw_span(&w)), BP_E_LIMIT));
}

BP_CASE(challenge_without_a_port)
{
    size_t n = 0;
    fill_challenge();
    in.challenge.device_port = 0;
    BP_NEED(!bp_failed(bp_challenge_write(&in.challenge, room, sizeof room, &n)));
    BP_CHECK(!bp_failed(bp_challenge_read(bp_span_of(room, n), &out.challenge)) && out.challenge.device_port == 0);
}

/* A nonce with one member more, of minor 1: passed over and counted. */
BP_CASE(a_newer_minor_is_passed_over)
{
    bp_cw w = bp_cw_over(room, sizeof room);
    bp_cw_map(&w, 7);
    bp_cw_uint(&w, 1);
    bp_cw_cstr(&w, "nonce");
    bp_cw_uint(&w, 2);
    bp_cw_uint(&w, 1);
    bp_cw_uint(&w, 3);
    bp_cw_uint(&w, 1);
    bp_cw_uint(&w, 5);
    bp_cw_bstr(&w, BP_SPAN_OF(n32));
    bp_cw_uint(&w, 6);
    bp_cw_uint(&w, 4);
    bp_cw_uint(&w, 7);
    bp_cw_uint(&w, 5);
    bp_cw_uint(&w, 99);
    bp_cw_array(&w, 1);
    bp_cw_bool(&w, true);
    BP_NEED(!bp_failed(bp_cw_finish(&w)));
    BP_NEED(!bp_failed(bp_nonce_read(bp_cw_span(&w), &out.nonce)));
    BP_CHECK(out.nonce.minor == 1 && out.nonce.unknown == 1 && out.nonce.seq == 4 && out.nonce.issued_ms == 5);
}

/* Bad bytes: a good object in which the bytes `from` are replaced by `to`. */
#define B(text) {(const uint8_t *)(text), sizeof(text) - 1}
static const struct {
    const char *name;
    enum object object;
    bp_span from, to;
    enum bp_error want;
} bad[] = {
    {"hello_type", HELLO, B("\x65hello"), B("\x65hallo"), BP_E_UNSUPPORTED},
    {"hello_major_2", HELLO, B("hello\x02\x01"), B("hello\x02\x02"), BP_E_UNSUPPORTED},
    {"hello_key_0", HELLO, B("\x01\x65hello"), B("\x00\x65hello"), BP_E_MALFORMED},
    {"hello_kind_is_bytes", HELLO, B("\x64tpm2"), B("\x44tpm2"), BP_E_MALFORMED},
    {"hello_kind_with_control", HELLO, B("tpm2"), B("tp\n2"), BP_E_MALFORMED},
    {"hello_no_ek", HELLO, B("\x05\x82\x83\x01\x46public\x44" "cert\x83\x03\x47public2\x40"), B("\x05\x80"),
     BP_E_MALFORMED},
    {"hello_ek_of_two", HELLO, B("\x83\x03\x47public2\x40"), B("\x82\x03\x47public2"), BP_E_MALFORMED},
    {"hello_template_0", HELLO, B("\x83\x01\x46public"), B("\x83\x00\x46public"), BP_E_UNSUPPORTED},
    {"hello_template_4", HELLO, B("\x83\x01\x46public"), B("\x83\x04\x46public"), BP_E_UNSUPPORTED},
    {"hello_public_empty", HELLO, B("\x46public"), B("\x40"), BP_E_MALFORMED},
    {"hello_ak_empty", HELLO, B("\x42" "ak"), B("\x40"), BP_E_MALFORMED},
    {"hello_features_swapped", HELLO, B("\x63ima\x63imb"), B("\x63imb\x63ima"), BP_E_MALFORMED},
    {"hello_feature_twice", HELLO, B("\x63imb"), B("\x63ima"), BP_E_MALFORMED},
    {"hello_feature_empty", HELLO, B("\x63ima\x63imb"), B("\x60\x63imb"), BP_E_MALFORMED},
    {"hello_code_empty", HELLO, B("\x64" "code"), B("\x60"), BP_E_MALFORMED},
    {"hello_info_order", HELLO, B("\xa2\x65model\x61M\x66serial\x60"), B("\xa2\x66serial\x60\x65model\x61M"),
     BP_E_NOT_CANONICAL},
    {"hello_info_not_text", HELLO, B("\x61M"), B("\x41M"), BP_E_MALFORMED},
    {"hello_info_missing", HELLO, B("\x0a\xa2\x65model\x61M\x66serial\x60"), B("\x0b\xa2\x65model\x61M\x66serial\x60"),
     BP_E_MALFORMED},
    {"challenge_type", CHALLENGE, B("challenge"), B("chall_nge"), BP_E_UNSUPPORTED},
    {"challenge_id_short", CHALLENGE, B("\x04\x58\x21\x01"), B("\x04\x58\x20"), BP_E_MALFORMED},
    {"challenge_credential_of_one", CHALLENGE, B("\x82\x46object\x46secret"), B("\x81\x46object"), BP_E_MALFORMED},
    {"challenge_no_credential", CHALLENGE, B("\x81\x82\x46object\x46secret"), B("\x80"), BP_E_MALFORMED},
    {"challenge_secret_empty", CHALLENGE, B("\x46secret"), B("\x40"), BP_E_MALFORMED},
    {"challenge_time_too_large", CHALLENGE, B("\x08\x1b\x00"), B("\x08\x1b\xff"), BP_E_MALFORMED},
    {"challenge_port_0", CHALLENGE, B("\x0b\x19\x20\xfb"), B("\x0b\x00"), BP_E_MALFORMED},
    {"challenge_port_65536", CHALLENGE, B("\x0b\x19\x20\xfb"), B("\x0b\x1a\x00\x01\x00\x00"), BP_E_MALFORMED},
    {"challenge_state_with_c1", CHALLENGE, B("\x67" "claimed"), B("\x67" "claim\xc2\x80"), BP_E_MALFORMED},
    {"answer_ear_empty", ANSWER, B("\x43" "ear"), B("\x40"), BP_E_MALFORMED},
    {"answer_nonce_short", ANSWER, B("\x05\x58\x20\x03"), B("\x05\x58\x1f"), BP_E_MALFORMED},
    {"answer_due_too_long", ANSWER, B("\x08\x1a\x00\x09\x27\xc0"), B("\x08\x1a\x80\x00\x00\x00"), BP_E_MALFORMED},
    {"answer_held_of_31", ANSWER, B("\x09\x82\x58\x20\x04"), B("\x09\x82\x58\x1f"), BP_E_MALFORMED},
    {"answer_held_ima_is_bool", ANSWER, B("\x18\x1f\x0a"), B("\xf5\x0a"), BP_E_MALFORMED},
    {"answer_head_not_utf8", ANSWER, B("origin"), B("orig\xff\xfe"), BP_E_MALFORMED},
    {"answer_tier_1", ANSWER, B("\x0b\x18\x20"), B("\x0b\x01"), BP_E_MALFORMED},
    {"answer_reason_two_lines", ANSWER, B("firmware is"), B("firmware\nis"), BP_E_MALFORMED},
    {"answer_renew_is_number", ANSWER, B("\x0e\xf5"), B("\x0e\x01"), BP_E_MALFORMED},
    {"answer_renew_missing", ANSWER, B("\xaf\x01"), B("\xae\x01"), BP_E_MALFORMED},
    {"nonce_minor_negative", NONCE, B("nonce\x02\x01\x03\x00"), B("nonce\x02\x01\x03\x20"), BP_E_MALFORMED},
    {"nonce_seq_long_form", NONCE, B("\x06\x09"), B("\x06\x18\x09"), BP_E_NOT_CANONICAL},
    {"nonce_seq_twice", NONCE, B("\x07\x01"), B("\x06\x01"), BP_E_NOT_CANONICAL},
    {"consistency_backwards", CONSISTENCY, B("\x04\x03\x05\x09"), B("\x04\x09\x05\x03"), BP_E_MALFORMED},
    {"consistency_hash_short", CONSISTENCY, B("\x82\x58\x20\x03"), B("\x82\x58\x1f"), BP_E_MALFORMED},
    {"consistency_no_hashes", CONSISTENCY, B("\x06\x82"), B("\x08\x82"), BP_E_MALFORMED},
    {"log_break_type", LOG_BREAK, B("log-break"), B("log-breal"), BP_E_UNSUPPORTED},
    {"log_break_behind_the_head", LOG_BREAK, B("\x04\x03\x05\x09"), B("\x04\x09\x05\x09"), BP_E_MALFORMED},
    {"log_break_event_is_text", LOG_BREAK, B("\x45" "event"), B("\x65" "event"), BP_E_MALFORMED},
    {"log_break_without_event", LOG_BREAK, B("\x45" "event"), B("\x40"), BP_E_MALFORMED},
    {"log_break_half_a_hash", LOG_BREAK, B("\x08\x58\x20"), B("\x08\x58\x1f"), BP_E_MALFORMED},
    {"log_break_proof_missing", LOG_BREAK, B("\x07\x58\x40"), B("\x09\x58\x40"), BP_E_NOT_CANONICAL},
    {"escrow_type", ESCROW, B("escrow"), B("escrov"), BP_E_UNSUPPORTED},
    {"escrow_major_2", ESCROW, B("escrow\x02\x01"), B("escrow\x02\x02"), BP_E_UNSUPPORTED},
    {"escrow_id_short", ESCROW, B("\x04\x58\x21\x01"), B("\x04\x58\x20"), BP_E_MALFORMED},
    {"escrow_state_0", ESCROW, B("\x05\x01\x06"), B("\x05\x00\x06"), BP_E_MALFORMED},
    {"escrow_state_4", ESCROW, B("\x05\x01\x06"), B("\x05\x04\x06"), BP_E_MALFORMED},
    {"escrow_state_is_text", ESCROW, B("\x05\x01\x06"), B("\x05\x61\x31\x06"), BP_E_MALFORMED},
    {"escrow_sealed_into_nothing", ESCROW, B("\x48" "envelope"), B("\x40"), BP_E_MALFORMED},
    {"escrow_of_a_foreign_value", ESCROW, B("\x05\x01\x06"), B("\x05\x03\x06"), BP_E_MALFORMED},
    {"escrow_envelope_is_text", ESCROW, B("\x48" "envelope"), B("\x68" "envelope"), BP_E_MALFORMED},
    {"escrow_envelope_missing", ESCROW, B("\x06\x48" "envelope"), B("\x07\x48" "envelope"), BP_E_MALFORMED},
    {"escrowed_is_no_escrow", ESCROWED, B("\x68" "escrowed"), B("\x66" "escrow"), BP_E_UNSUPPORTED},
    {"escrowed_digest_of_31", ESCROWED, B("\x06\x58\x20\x03"), B("\x06\x58\x1f"), BP_E_MALFORMED},
    {"escrowed_set_without_digest", ESCROWED, B("\x05\x02\x06"), B("\x05\x03\x06"), BP_E_MALFORMED},
    {"escrowed_state_missing", ESCROWED, B("\xa6\x01\x68" "escrowed\x02\x01\x03\x00\x04\x58\x21\x01"),
     B("\xa5\x01\x68" "escrowed\x02\x01\x03\x00\x04\x58\x21\x01"), BP_E_MALFORMED},
    {"lockout_value_short", LOCKOUT, B("\x05\x58\x20\x03"), B("\x05\x58\x1f"), BP_E_MALFORMED},
    {"lockout_of_nobody", LOCKOUT, B("\x04\x58\x21\x01"), B("\x07\x58\x21\x01"), BP_E_NOT_CANONICAL},
    {"lockout_major_0", LOCKOUT, B("lockout\x02\x01"), B("lockout\x02\x00"), BP_E_UNSUPPORTED},
};

static size_t find(size_t n, bp_span what)
{
    for (size_t i = 0; i + what.n <= n; i++) {
        if (memcmp(room + i, what.p, what.n) == 0) {
            return i;
        }
    }
    return n;
}

static void bad_rows(void)
{
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        size_t n = 0;
        bp_case_begin();
        objects[bad[i].object].fill();
        BP_CHECK(!bp_failed(objects[bad[i].object].write(room, sizeof room, &n)));
        const size_t at = find(n, bad[i].from);
        if (BP_CHECK(at < n)) {
            memmove(room + at + bad[i].to.n, room + at + bad[i].from.n, n - at - bad[i].from.n);
            memcpy(room + at, bad[i].to.p, bad[i].to.n);
            n = n - bad[i].from.n + bad[i].to.n;
            const bp_result r = read_filled(bad[i].object, bp_span_of(room, n));
            if (!BP_CHECK(bp_is(r, bad[i].want))) {
                printf("# %s: line %u\n", bp_error_name(bp_error_of(r)), (unsigned)(r.word >> 16));
            }
        }
        bp_case_end(bad[i].name);
    }
}

BP_CASE(sizes_above_the_ceilings_are_refused)
{
    static uint8_t large[BP_NONCE_MAX + 1];
    static bp_span hash[BP_DEVICE_PROOF_MAX + 1];
    BP_CHECK(bp_is(bp_nonce_read(BP_SPAN_OF(large), &out.nonce), BP_E_LIMIT));
    bp_cw w = bp_cw_over(room, sizeof room);
    bp_cw_map(&w, 6);
    bp_cw_uint(&w, 1);
    bp_cw_cstr(&w, "consistency");
    for (uint64_t key = 2; key <= 5; key++) {
        bp_cw_uint(&w, key);
        bp_cw_uint(&w, 1);
    }
    bp_cw_uint(&w, 6);
    bp_cw_array(&w, sizeof hash / sizeof hash[0]);
    for (size_t i = 0; i < sizeof hash / sizeof hash[0]; i++) {
        bp_cw_bool(&w, true);
    }
    BP_NEED(!bp_failed(bp_cw_finish(&w)));
    BP_CHECK(bp_is(read_filled(CONSISTENCY, bp_cw_span(&w)), BP_E_LIMIT));
}

BP_CASE(writers_refuse_what_readers_refuse)
{
    size_t n = 0;
    fill_hello();
    in.hello.eks = 0;
    BP_CHECK(bp_is(write_hello(room, sizeof room, &n), BP_E_BAD_ARGUMENT));
    fill_hello();
    in.hello.feature[1] = in.hello.feature[0];
    BP_CHECK(bp_is(write_hello(room, sizeof room, &n), BP_E_BAD_ARGUMENT));
    fill_hello();
    in.hello.pair[1].name = in.hello.pair[0].name;
    BP_CHECK(bp_is(write_hello(room, sizeof room, &n), BP_E_NOT_CANONICAL));
    fill_challenge();
    in.challenge.credential[0].secret = BP_SPAN_EMPTY;
    BP_CHECK(bp_is(write_challenge(room, sizeof room, &n), BP_E_BAD_ARGUMENT));
    fill_answer();
    in.answer.tier = 3;
    BP_CHECK(bp_is(write_answer(room, sizeof room, &n), BP_E_BAD_ARGUMENT));
    fill_answer();
    in.answer.reason = BP_SPAN_STR("two\nlines");
    BP_CHECK(bp_is(write_answer(room, sizeof room, &n), BP_E_BAD_ARGUMENT));
    fill_nonce();
    in.nonce.nonce = BP_SPAN_STR("short");
    BP_CHECK(bp_is(write_nonce(room, sizeof room, &n), BP_E_BAD_ARGUMENT));
    fill_consistency();
    in.consistency.from = 10;
    BP_CHECK(bp_is(write_consistency(room, sizeof room, &n), BP_E_BAD_ARGUMENT));
    fill_escrow();
    in.escrow.state = BP_ESCROW_FOREIGN;
    BP_CHECK(bp_is(write_escrow(room, sizeof room, &n), BP_E_BAD_ARGUMENT));
    fill_escrow();
    in.escrow.envelope = BP_SPAN_EMPTY;
    BP_CHECK(bp_is(write_escrow(room, sizeof room, &n), BP_E_BAD_ARGUMENT));
    fill_escrowed();
    in.escrowed.digest = BP_SPAN_STR("short");
    BP_CHECK(bp_is(write_escrowed(room, sizeof room, &n), BP_E_BAD_ARGUMENT));
    fill_lockout();
    in.lockout.value = BP_SPAN_STR("short");
    BP_CHECK(bp_is(write_lockout(room, sizeof room, &n), BP_E_BAD_ARGUMENT));
}

/* clang-format off */
BP_SUITE(device,
    BP_TABLE(round_trips)
    BP_RUN(answer_reads_what_it_wrote)
    BP_RUN(answer_says_when_to_renew)
    BP_RUN(hello_reads_what_it_wrote)
    BP_RUN(escrow_reads_what_it_wrote)
    BP_RUN(an_envelope_above_its_ceiling_is_refused)
    BP_RUN(challenge_without_a_port)
    BP_RUN(a_newer_minor_is_passed_over)
    BP_TABLE(bad_rows)
    BP_RUN(sizes_above_the_ceilings_are_refused)
    BP_RUN(writers_refuse_what_readers_refuse))
