/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/keeper/stream - what was committed, told to the pages: one notice `stream` an event.
 *
 * The text is made while the event is appended and sent after the commit; what an act took back is
 * taken back here too (fleet/keeper/group). More than BP_K_STREAM_MAX events of a group are not
 * streamed: the page counts event numbers and reads again where one is missing. */
#include "fleet/keeper/internal.h"

#define BP_MODULE PROC

#define TEXT_MAX 4096u

void bp_k_stream_note(void *self, const struct bp_event *e, const struct bp_place *place)
{
    struct bp_keeper *k = self;
    size_t n = 0;
    if (k->cfg.stream_text == NULL || k->stream_count == BP_K_STREAM_MAX ||
        BP_K_STREAM_ROOM - k->stream_n < TEXT_MAX) {
        return;
    }
    if (bp_failed(k->cfg.stream_text(e, place, k->stream_text + k->stream_n, TEXT_MAX, &n)) ||
        n == 0) {
        return;
    }
    k->stream[k->stream_count++] = (struct bp_k_stream){e->number, k->stream_n, n};
    k->stream_n += n;
}

void bp_k_stream_send(struct bp_keeper *k)
{
    for (size_t i = 0; i < k->stream_count; i++) {
        const struct bp_k_stream *s = &k->stream[i];
        const struct bp_msg_stream m = {s->number, bp_span_of(k->stream_text + s->at, s->n)};
        size_t n = 0;
        if (!bp_failed(bp_msg_stream_write(&m, k->out, BP_MSG_BODY_MAX, &n))) {
            k->port.notify(k->port.self, BP_TO_OPERATE, "stream", bp_span_of(k->out, n));
        }
    }
    k->stream_count = 0;
    k->stream_n = 0;
}
