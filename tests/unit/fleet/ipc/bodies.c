/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/fleet/ipc/bodies - every kind of message body, for the table test and for the fuzz target. */
#include "unit/fleet/ipc/bodies.h"

#include "fleet/ipc/message.h"
#include "fuzz/fuzz.h"

#define BP_MODULE TEST

#define ROWS_MAX 4096u

static const uint8_t some[64] = {0x01, 2, 3, 4, 5, 6, 7, 8, 9};

static bp_span bytes(size_t n)
{
    return bp_span_of(some, n);
}

static size_t written(bp_result r, const size_t *n)
{
    return bp_failed(r) ? 0 : *n;
}

/* A body whose struct is all there is to it. */
#define PLAIN(name, ...)                                                                                               \
    static bp_result again_##name(bp_span body, uint8_t *ret, size_t cap, size_t *ret_n, bool *ret_touched)            \
    {                                                                                                                  \
        static struct bp_msg_##name m;                                                                                 \
        FUZZ_FILL(m);                                                                                                  \
        const bp_result r = bp_msg_##name##_read(body, &m);                                                            \
        *ret_touched = bp_failed(r) && !fuzz_untouched(&m, sizeof m);                                                  \
        return bp_failed(r) ? r : bp_msg_##name##_write(&m, ret, cap, ret_n);                                          \
    }                                                                                                                  \
    static size_t sample_##name(uint8_t *ret, size_t cap)                                                              \
    {                                                                                                                  \
        const struct bp_msg_##name m = {__VA_ARGS__};                                                                  \
        size_t n = 0;                                                                                                  \
        return written(bp_msg_##name##_write(&m, ret, cap, &n), &n);                                                    \
    }

PLAIN(credential, .eks = 2, .ek = {{2, bytes(40), bytes(50)}, {3, bytes(60), BP_SPAN_EMPTY}}, .ak = bytes(33))
PLAIN(challenge, .device_id = bytes(33), .eks = 2, .id_object = {bytes(52), BP_SPAN_EMPTY},
      .secret = {bytes(64), BP_SPAN_EMPTY}, .issuer_class = BP_SPAN_STR("virtual"), .hashes = 1, .hash = {bytes(32)},
      .qualified = {bytes(34)})
PLAIN(bind, bytes(33), bytes(34), bytes(32), bytes(70))
PLAIN(issue, bytes(50), bytes(51), bytes(52), bytes(32), 7, 1700000000000, bytes(53), BP_SPAN_STR("d-7Q2X"),
      BP_SPAN_STR("app-server"), 1700000001000, bytes(32), BP_SPAN_STR("historian"), BP_SPAN_STR("press-7"), 3888000000)
PLAIN(brownfield, bytes(50), BP_SPAN_STR("b-1"))
PLAIN(operator, bytes(50), BP_SPAN_STR("anna"), 90)
PLAIN(results, .count = 2, .item = {bytes(10), bytes(20)})
PLAIN(append, 3, bytes(64))
PLAIN(head, 5, BP_SPAN_STR("bedplate.example/log\n5\n"))
PLAIN(stream, 9, BP_SPAN_STR("{\"kind\":\"device\"}"))

static bp_result again_bytes(bp_span body, uint8_t *ret, size_t cap, size_t *ret_n, bool *ret_touched)
{
    bp_span v;
    FUZZ_FILL(v);
    const bp_result r = bp_msg_bytes_read(body, &v);
    *ret_touched = bp_failed(r) && !fuzz_untouched(&v, sizeof v);
    return bp_failed(r) ? r : bp_msg_bytes_write(v, ret, cap, ret_n);
}

static size_t sample_bytes(uint8_t *ret, size_t cap)
{
    size_t n = 0;
    return written(bp_msg_bytes_write(bytes(32), ret, cap, &n), &n);
}

static bp_result again_name(bp_span body, uint8_t *ret, size_t cap, size_t *ret_n, bool *ret_touched)
{
    bp_span v;
    FUZZ_FILL(v);
    const bp_result r = bp_msg_name_read(body, &v);
    *ret_touched = bp_failed(r) && !fuzz_untouched(&v, sizeof v);
    return bp_failed(r) ? r : bp_msg_name_write(v, ret, cap, ret_n);
}

static size_t sample_name(uint8_t *ret, size_t cap)
{
    size_t n = 0;
    return written(bp_msg_name_write(BP_SPAN_STR("front-device-0"), ret, cap, &n), &n);
}

static bp_result again_state(bp_span body, uint8_t *ret, size_t cap, size_t *ret_n, bool *ret_touched)
{
    bool v = true;
    bool other = false;
    const bp_result r = bp_msg_state_read(body, &v);
    *ret_touched = bp_failed(r) ? !bp_failed(bp_msg_state_read(body, &other)) || !v || other : false;
    return bp_failed(r) ? r : bp_msg_state_write(v, ret, cap, ret_n);
}

static size_t sample_state(uint8_t *ret, size_t cap)
{
    size_t n = 0;
    return written(bp_msg_state_write(true, ret, cap, &n), &n);
}

static bp_result again_empty(bp_span body, uint8_t *ret, size_t cap, size_t *ret_n, bool *ret_touched)
{
    const bp_result r = bp_msg_empty_read(body);
    *ret_touched = false;
    return bp_failed(r) ? r : bp_msg_empty_write(ret, cap, ret_n);
}

static size_t sample_empty(uint8_t *ret, size_t cap)
{
    size_t n = 0;
    return written(bp_msg_empty_write(ret, cap, &n), &n);
}

static bp_result again_crl(bp_span body, uint8_t *ret, size_t cap, size_t *ret_n, bool *ret_touched)
{
    static struct bp_msg_revoked row[ROWS_MAX];
    struct bp_msg_crl m;
    FUZZ_FILL(m);
    const bp_result r = bp_msg_crl_read(body, &m);
    *ret_touched = bp_failed(r) && !fuzz_untouched(&m, sizeof m);
    if (bp_failed(r) || m.count > ROWS_MAX) {
        return bp_failed(r) ? r : BP_FAIL(LIMIT);
    }
    struct bp_msg_crl w = {.count = m.count, .entry = row, .number = m.number, .lifetime_ms = m.lifetime_ms};
    for (size_t i = 0; bp_msg_crl_next(&m, &row[i]); i++) {
    }
    return bp_msg_crl_write(&w, ret, cap, ret_n);
}

static size_t sample_crl(uint8_t *ret, size_t cap)
{
    const struct bp_msg_revoked row[] = {{bytes(16), 1700000000000, 1}, {bytes(3), 5, 0}};
    const struct bp_msg_crl m = {.count = 2, .entry = row, .number = 4, .lifetime_ms = 2678400000};
    size_t n = 0;
    return written(bp_msg_crl_write(&m, ret, cap, &n), &n);
}

static bp_result again_deny(bp_span body, uint8_t *ret, size_t cap, size_t *ret_n, bool *ret_touched)
{
    static uint8_t hashes[ROWS_MAX][32];
    struct bp_msg_deny m;
    FUZZ_FILL(m);
    const bp_result r = bp_msg_deny_read(body, &m);
    *ret_touched = bp_failed(r) && !fuzz_untouched(&m, sizeof m);
    if (bp_failed(r) || m.count > ROWS_MAX) {
        return bp_failed(r) ? r : BP_FAIL(LIMIT);
    }
    const struct bp_msg_deny w = {.count = m.count, .hashes = bp_span_of(hashes, m.count * 32)};
    bp_span v;
    for (size_t i = 0; bp_msg_deny_next(&m, &v); i++) {
        memcpy(hashes[i], v.p, 32);
    }
    return bp_msg_deny_write(&w, ret, cap, ret_n);
}

static size_t sample_deny(uint8_t *ret, size_t cap)
{
    const struct bp_msg_deny m = {.count = 2, .hashes = bytes(64)};
    size_t n = 0;
    return written(bp_msg_deny_write(&m, ret, cap, &n), &n);
}

static bp_result again_references(bp_span body, uint8_t *ret, size_t cap, size_t *ret_n, bool *ret_touched)
{
    static struct bp_msg_reference row[BP_MSG_REFERENCES_MAX];
    struct bp_msg_references m;
    FUZZ_FILL(m);
    const bp_result r = bp_msg_references_read(body, &m);
    *ret_touched = bp_failed(r) && !fuzz_untouched(&m, sizeof m);
    if (bp_failed(r)) {
        return r;
    }
    const struct bp_msg_references w = {.epoch = m.epoch, .count = m.count, .row = row};
    for (size_t i = 0; bp_msg_references_next(&m, &row[i]); i++) {
    }
    return bp_msg_references_write(&w, ret, cap, ret_n);
}

static size_t sample_references(uint8_t *ret, size_t cap)
{
    const struct bp_msg_reference row[] = {{bytes(32), 1, BP_SPAN_STR("*"), bytes(9)},
                                           {bytes(32), 3, BP_SPAN_STR("hall-1"), bytes(8)}};
    const struct bp_msg_references m = {.epoch = 2, .count = 2, .row = row};
    size_t n = 0;
    return written(bp_msg_references_write(&m, ret, cap, &n), &n);
}

static bp_result again_number(bp_span body, uint8_t *ret, size_t cap, size_t *ret_n, bool *ret_touched)
{
    uint64_t v;
    FUZZ_FILL(v);
    const bp_result r = bp_msg_number_read(body, &v);
    *ret_touched = bp_failed(r) && !fuzz_untouched(&v, sizeof v);
    return bp_failed(r) ? r : bp_msg_number_write(v, ret, cap, ret_n);
}

static size_t sample_number(uint8_t *ret, size_t cap)
{
    size_t n = 0;
    return written(bp_msg_number_write(300, ret, cap, &n), &n);
}

PLAIN(ocsp, .count = 2,
      .status = {{.id = bytes(40), .status = 1, .revoked_ms = 1700000000000, .reason = 1}, {.id = bytes(41), .status = 2}},
      .nonce = bytes(16))
PLAIN(stated, .response = bytes(60), .cert = bytes(50))

#define KIND(name) {#name, again_##name, sample_##name}
const struct body_kind body_kinds[] = {KIND(credential), KIND(challenge), KIND(bind),  KIND(issue),      KIND(brownfield),
                                       KIND(operator),   KIND(results),   KIND(append), KIND(head),      KIND(stream),
                                       KIND(bytes),      KIND(name),      KIND(state), KIND(empty),      KIND(crl),
                                       KIND(deny),       KIND(references), KIND(ocsp), KIND(stated),
                                       KIND(number)};
const size_t body_kind_count = sizeof body_kinds / sizeof body_kinds[0];
