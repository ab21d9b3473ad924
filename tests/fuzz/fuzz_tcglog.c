/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_tcglog - boot logs: events tile the log, re-encode to themselves, and are the
 * same when the log is cut after any of them; views and covers stay inside the data; what is
 * refused moves nothing. */
#include "codec/tcglog.h"
#include "fuzz/fuzz.h"

static uint8_t out[1 << 16];

static void views(const struct bp_tcg_event *ev)
{
    struct bp_tcg_variable v;
    struct bp_tcg_image image;
    struct bp_tcg_gpt gpt;
    struct bp_tcg_blob blob;
    struct bp_tcg_handoff handoff;
    struct bp_tcg_tag tag;
    enum bp_tcg_separator separator;
    bp_span text;
    uint8_t locality = 0xa5;
    if (!bp_failed(bp_tcg_variable_read(ev->data, &v))) {
        FUZZ_HOLDS(16 + 16 + v.name.n + v.value.n + v.extra.n == ev->data.n);
        FUZZ_HOLDS(fuzz_is_inside(v.extra, ev->data));
        FUZZ_HOLDS(!bp_tcg_name_is(v.name, BP_SPAN_STR("PK")) || v.name.n == 4);
    }
    FUZZ_HOLDS(bp_failed(bp_tcg_image_read(ev->data, &image)) ||
               image.device_path.n + 32 == ev->data.n);
    FUZZ_HOLDS(bp_failed(bp_tcg_gpt_read(ev->data, &gpt)) || gpt.table.n + 100 == ev->data.n);
    FUZZ_HOLDS(bp_failed(bp_tcg_blob_read(ev->type, ev->data, &blob)) ||
               fuzz_is_inside(blob.description, ev->data));
    FUZZ_HOLDS(bp_failed(bp_tcg_handoff_read(ev->type, ev->data, &handoff)) ||
               handoff.entries.n == handoff.count * 24);
    FUZZ_HOLDS(bp_failed(bp_tcg_tag_read(ev->data, &tag)) || tag.data.n + 8 == ev->data.n);
    FUZZ_HOLDS(bp_failed(bp_tcg_separator_read(ev->data, &separator)) || ev->data.n == 4);
    FUZZ_HOLDS(bp_failed(bp_tcg_action_read(ev->data, &text)) || bp_span_equal(text, ev->data));
    FUZZ_HOLDS(!bp_failed(bp_tcg_startup_locality(ev, &locality)) || locality == 0xa5);
    struct bp_tcg_cover covers[BP_TCG_COVER_MAX];
    const size_t n = bp_tcg_covers(ev, covers);
    FUZZ_HOLDS(n <= BP_TCG_COVER_MAX);
    for (size_t i = 0; i < n; i++) {
        FUZZ_HOLDS(fuzz_is_inside(covers[i].part, ev->data));
    }
    const bool known = bp_tcg_type_name(ev->type) != NULL;
    FUZZ_HOLDS(known == (bp_tcg_class_of(ev->type) != BP_TCG_UNKNOWN));
}

static void event(const struct bp_tcglog *log, const struct bp_tcg_event *ev)
{
    FUZZ_HOLDS(ev->at + ev->size == log->at && ev->digests == log->banks);
    FUZZ_HOLDS(ev->pcr < BP_TCG_PCRS ||
               (ev->pcr == BP_TCG_PCR_NONE && ev->type == BP_EV_NO_ACTION));
    if (log->agile && ev->size <= sizeof out) {
        bp_wr wr = bp_wr_over(out, sizeof out);
        bp_tcglog_write_event(&wr, ev->pcr, ev->type, ev->digest, ev->digests, ev->data);
        FUZZ_HOLDS(bp_span_equal(bp_wr_span(&wr), bp_span_sub(log->log, ev->at, ev->size)));
    }
    if (!log->agile && ev->size <= sizeof out) {
        bp_wr wr = bp_wr_over(out, sizeof out);
        bp_wr_le32(&wr, ev->pcr);
        bp_wr_le32(&wr, ev->type);
        bp_wr_bytes(&wr, ev->digest[0].digest);
        bp_wr_le32(&wr, (uint32_t)ev->data.n);
        bp_wr_bytes(&wr, ev->data);
        FUZZ_HOLDS(bp_span_equal(bp_wr_span(&wr), bp_span_sub(log->log, ev->at, ev->size)));
    }
    views(ev);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const bp_span in = bp_span_of(data, size);
    struct bp_tcglog log;
    FUZZ_FILL(log);
    if (bp_failed(bp_tcglog_open(in, &log))) {
        FUZZ_HOLDS(fuzz_untouched(&log, sizeof log));
        return 0;
    }
    struct bp_tcg_event ev;
    for (;;) {
        const struct bp_tcglog before = log;
        FUZZ_FILL(ev);
        const bp_result r = bp_tcglog_next(&log, &ev);
        if (bp_failed(r)) {
            FUZZ_HOLDS(fuzz_untouched(&ev, sizeof ev) && log.at == before.at &&
                       log.next_index == before.next_index);
            FUZZ_HOLDS(log.at != size || bp_is(r, BP_E_NOT_FOUND));
            FUZZ_HOLDS(log.at == size || !bp_is(r, BP_E_NOT_FOUND) ||
                       (log.agile && data[log.at] == data[size - 1]));
            return 0;
        }
        event(&log, &ev);
        /* The same event, read from a log that ends with it. */
        struct bp_tcglog cut = before;
        struct bp_tcg_event same;
        cut.log = bp_span_sub(in, 0, log.at);
        FUZZ_HOLDS(!bp_failed(bp_tcglog_next(&cut, &same)) && same.type == ev.type &&
                   same.data.p == ev.data.p);
        FUZZ_HOLDS(bp_is(bp_tcglog_next(&cut, &same), BP_E_NOT_FOUND));
    }
}
