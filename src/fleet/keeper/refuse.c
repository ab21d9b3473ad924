/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/keeper/refuse - refusals in the log, without letting a peer fill it: of each source a few in
 * a window are written whole, the rest are counted and told at the window's end. */
#include "fleet/keeper/internal.h"

#define BP_MODULE PROC

static struct bp_k_source *source_of(struct bp_keeper *k, bp_span source)
{
    char name[BP_ADDRESS_MAX + 1];
    bp_k_text(source, name, sizeof name);
    for (size_t i = 0; i < k->source_count; i++) {
        if (strcmp(k->source[i].source, name) == 0) {
            return &k->source[i];
        }
    }
    if (k->source_count == BP_K_SOURCES_MAX) {
        /* The last entry stands for every further source. */
        struct bp_k_source *rest = &k->source[BP_K_SOURCES_MAX - 1];
        bp_k_text(BP_SPAN_STR("others"), rest->source, sizeof rest->source);
        return rest;
    }
    struct bp_k_source *s = &k->source[k->source_count++];
    *s = (struct bp_k_source){0};
    memcpy(s->source, name, sizeof name);
    return s;
}

struct note {
    struct bp_job *j;
    enum bp_event_type type;
    const struct bp_device *d;
    const char *reason;
};

static bp_result append(void *self)
{
    const struct note *n = self;
    char source[BP_ADDRESS_MAX + 1];
    bp_k_text(n->j->q.source, source, sizeof source);
    const struct bp_event_detail detail[] = {
        {BP_SPAN_STR("reason"), BP_VAL_TEXT, 0, bp_span_cstr(n->reason)},
        {BP_SPAN_STR("source"), BP_VAL_TEXT, 0, bp_span_cstr(source)}};
    return bp_k_event(n->j->k, n->type, n->d, detail, 2);
}

void bp_k_note_refusal(struct bp_job *j, enum bp_event_type type, const struct bp_device *d,
                       const char *reason)
{
    struct bp_keeper *k = j->k;
    char line[BP_EVENT_TEXT_MAX];
    struct bp_k_source *s = source_of(k, j->q.source);
    bp_k_text(bp_span_cstr(reason), line, sizeof line);
    if (s->logged >= BP_K_REFUSALS_LOG || k->refusals >= BP_K_REFUSALS_ALL) {
        s->suppressed++;
        return;
    }
    struct note n = {j, type, d, line};
    if (!bp_failed(bp_k_act(k, append, &n))) {
        s->logged++;
        k->refusals++;
    }
}

static bp_result append_suppressed(void *self)
{
    struct bp_keeper *k = self;
    for (size_t i = 0; i < k->source_count; i++) {
        const struct bp_k_source *s = &k->source[i];
        if (s->suppressed == 0) {
            continue;
        }
        const struct bp_event_detail detail[] = {
            {BP_SPAN_STR("count"), BP_VAL_INT, s->suppressed, BP_SPAN_EMPTY},
            {BP_SPAN_STR("source"), BP_VAL_TEXT, 0, bp_span_cstr(s->source)}};
        BP_TRY(bp_k_event(k, BP_EV_REFUSALS_SUPPRESSED, NULL, detail, 2));
    }
    return BP_OK;
}

void bp_k_window(struct bp_keeper *k)
{
    bool any = false;
    for (size_t i = 0; i < k->source_count; i++) {
        any |= k->source[i].suppressed > 0;
    }
    if (any && bp_failed(bp_k_act(k, append_suppressed, k))) {
        return; /* counted on; told when it can be written */
    }
    k->source_count = 0;
    k->refusals = 0;
}

bool bp_k_newcomer(struct bp_keeper *k, bp_span source)
{
    char name[BP_ADDRESS_MAX + 1];
    bp_k_text(source, name, sizeof name);
    if (bp_k_mono(k) - k->newcomer_at >= 3600 * 1000LL) {
        k->newcomer_at = bp_k_mono(k);
        k->newcomer_count = 0;
    }
    for (size_t i = 0; i < k->newcomer_count; i++) {
        if (strcmp(k->newcomer[i].source, name) == 0) {
            return k->newcomer[i].count++ < BP_K_BROWNFIELD_MAX;
        }
    }
    if (k->newcomer_count == BP_K_SOURCES_MAX) {
        return false;
    }
    struct bp_k_newcomer *n = &k->newcomer[k->newcomer_count++];
    *n = (struct bp_k_newcomer){.count = 1};
    memcpy(n->source, name, sizeof name);
    return true;
}
