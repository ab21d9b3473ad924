/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/codec/test_transcript - the transcript of a root's key: written, read back, and refused in every other form. */
#include "codec/transcript.h"

#include "codec/cbor.h"
#include "harness.h"

static const uint8_t digest[32] = {1, 2, 3};

static struct bp_transcript two(void)
{
    struct bp_transcript t = {.steps = 2};
    t.step[0] = (struct bp_transcript_step){5, BP_SPAN_STR("root-certificate"), BP_SPAN_OF(digest)};
    t.step[1] = (struct bp_transcript_step){5, BP_SPAN_STR("key-2"), BP_SPAN_OF(digest)};
    return t;
}

BP_CASE(written_and_read)
{
    const struct bp_transcript t = two();
    struct bp_transcript back;
    uint8_t out[BP_TRANSCRIPT_MAX];
    size_t n = 0, need = 0;
    BP_NEED(!bp_failed(bp_transcript_write(&t, out, sizeof out, &n)) && !bp_failed(bp_transcript_read(bp_span_of(out, n), &back)));
    BP_CHECK(back.steps == 2 && back.step[1].time_ms == 5 && bp_span_equal(back.step[1].name, BP_SPAN_STR("key-2")) &&
             bp_span_equal(back.step[0].digest, BP_SPAN_OF(digest)));
    uint8_t small[64];
    BP_CHECK(bp_is(bp_transcript_write(&t, small, sizeof small, &need), BP_E_NO_SPACE) && need == n);
    for (size_t cut = 0; cut < n; cut++) {
        BP_CHECK(bp_failed(bp_transcript_read(bp_span_of(out, cut), &back)));
    }
}

BP_CASE(the_largest_fits)
{
    static const char name[] = "a23456789-123456789-123456789-123456789-12345678";
    struct bp_transcript t = {.steps = BP_TRANSCRIPT_STEPS_MAX}, back;
    uint8_t out[BP_TRANSCRIPT_MAX];
    size_t n = 0;
    for (uint32_t i = 0; i < t.steps; i++) {
        t.step[i] = (struct bp_transcript_step){INT64_MAX, bp_span_of(name, sizeof name - 1), BP_SPAN_OF(digest)};
    }
    BP_CHECK(sizeof name - 1 == BP_TRANSCRIPT_NAME_MAX);
    BP_CHECK(!bp_failed(bp_transcript_write(&t, out, sizeof out, &n)) && !bp_failed(bp_transcript_read(bp_span_of(out, n), &back)));
}

BP_CASE(what_the_writer_refuses)
{
    uint8_t out[BP_TRANSCRIPT_MAX];
    size_t n = 0;
    struct bp_transcript t = two();
    t.steps = 0;
    BP_CHECK(bp_is(bp_transcript_write(&t, out, sizeof out, &n), BP_E_BAD_ARGUMENT));
    t.steps = BP_TRANSCRIPT_STEPS_MAX + 1;
    BP_CHECK(bp_is(bp_transcript_write(&t, out, sizeof out, &n), BP_E_BAD_ARGUMENT));
    t = two();
    t.step[1].time_ms = 4;
    BP_CHECK(bp_is(bp_transcript_write(&t, out, sizeof out, &n), BP_E_BAD_ARGUMENT));
    t = two();
    t.step[1].name = BP_SPAN_STR("Key");
    BP_CHECK(bp_is(bp_transcript_write(&t, out, sizeof out, &n), BP_E_BAD_ARGUMENT));
    t = two();
    t.step[1].digest.n = 31;
    BP_CHECK(bp_is(bp_transcript_write(&t, out, sizeof out, &n), BP_E_BAD_ARGUMENT));
}

/* {1: type, 2: major, 3: 0, 4: [[time, name, digest]] ...} with one thing wrong. */
struct plan {
    const char *name;
    enum bp_error error;
    const char *type;
    uint64_t major;
    uint32_t steps, items;
    int64_t first, second;
    const char *step;
    size_t digest_n;
    bool more; /* a member of a newer minor */
};
static const struct plan plans[] = {
    {"good", BP_E_OK, "root-transcript", 1, 2, 3, 5, 5, "a", 32, false},
    {"newer_minor", BP_E_OK, "root-transcript", 1, 1, 3, 5, 5, "a", 32, true},
    {"other_type", BP_E_UNSUPPORTED, "root-transcrip", 1, 1, 3, 5, 5, "a", 32, false},
    {"other_major", BP_E_UNSUPPORTED, "root-transcript", 2, 1, 3, 5, 5, "a", 32, false},
    {"no_step", BP_E_MALFORMED, "root-transcript", 1, 0, 3, 5, 5, "a", 32, false},
    {"nine_steps", BP_E_LIMIT, "root-transcript", 1, 9, 3, 5, 5, "a", 32, false},
    {"step_of_four", BP_E_MALFORMED, "root-transcript", 1, 1, 4, 5, 5, "a", 32, false},
    {"time_falls", BP_E_MALFORMED, "root-transcript", 1, 2, 3, 5, 4, "a", 32, false},
    {"time_negative", BP_E_MALFORMED, "root-transcript", 1, 1, 3, -1, 0, "a", 32, false},
    {"name_empty", BP_E_MALFORMED, "root-transcript", 1, 1, 3, 5, 5, "", 32, false},
    {"name_upper", BP_E_MALFORMED, "root-transcript", 1, 1, 3, 5, 5, "A", 32, false},
    {"name_long", BP_E_LIMIT, "root-transcript", 1, 1, 3, 5, 5, "a23456789-123456789-123456789-123456789-123456789", 32, false},
    {"digest_short", BP_E_MALFORMED, "root-transcript", 1, 1, 3, 5, 5, "a", 31, false},
};

static size_t write_plan(const struct plan *p, uint8_t *out, size_t cap)
{
    bp_cw w = bp_cw_over(out, cap);
    bp_cw_map(&w, p->more ? 5 : 4);
    bp_cw_uint(&w, 1);
    bp_cw_cstr(&w, p->type);
    bp_cw_uint(&w, 2);
    bp_cw_uint(&w, p->major);
    bp_cw_uint(&w, 3);
    bp_cw_uint(&w, p->more ? 1 : 0);
    bp_cw_uint(&w, 4);
    bp_cw_array(&w, p->steps);
    for (uint32_t i = 0; i < p->steps; i++) {
        bp_cw_array(&w, p->items);
        bp_cw_int(&w, i == 0 ? p->first : p->second);
        bp_cw_cstr(&w, p->step);
        bp_cw_bstr(&w, bp_span_of(digest, p->digest_n));
        for (uint32_t k = 3; k < p->items; k++) {
            bp_cw_uint(&w, 0);
        }
    }
    if (p->more) {
        bp_cw_uint(&w, 5);
        bp_cw_uint(&w, 9);
    }
    return bp_cw_span(&w).n;
}

static void forms(void)
{
    for (size_t i = 0; i < sizeof plans / sizeof plans[0]; i++) {
        uint8_t out[BP_TRANSCRIPT_MAX];
        struct bp_transcript t;
        memset(&t, 0x5a, sizeof t);
        bp_case_begin();
        const size_t n = write_plan(&plans[i], out, sizeof out);
        BP_CHECK(n > 0);
        const bp_result r = bp_transcript_read(bp_span_of(out, n), &t);
        BP_CHECK(bp_error_of(r) == plans[i].error);
        BP_CHECK(!bp_failed(r) ? t.steps == plans[i].steps : t.steps == 0x5a5a5a5au);
        bp_case_end(plans[i].name);
    }
}

BP_SUITE(transcript, BP_RUN(written_and_read) BP_RUN(the_largest_fits) BP_RUN(what_the_writer_refuses) BP_TABLE(forms))
