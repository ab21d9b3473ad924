/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/keeper/publish - committed events become signed heads and tiles; tombstones, references and
 * the CRL become notices and files.
 *
 * Leaves go to the log signer in order, from its own size on, at most BP_K_PUBLISH_MS apart; the head
 * that comes back is compared with our own root before it is kept. A signer that knows more than the
 * store, or another tree, means that the store was put back or changed: it is told once, nothing more
 * is signed or listed, and the keeper grants nothing (recovery.c). */
#include "fleet/keeper/internal.h"

#include "codec/note.h"
#include "fleet/store/crash.h"

#include <stdio.h>

#define BP_MODULE     PROC

#define RETRY_MS      1000LL
#define CRL_MAX       65536u
#define CRL_PAGE      32u
#define CRL_MARGIN_MS (24 * 3600 * 1000LL) /* lists are an hour apart, and a broker reads one without news twice a day */
#define DENY_PAGE     1024u
#define REFERENCES_MAX (3u << 20) /* bytes of CoRIM in one notice, which is one frame */

void bp_k_issuer_name(unsigned number, char ret[BP_K_ISSUER_TEXT])
{
    if (number == 0) {
        (void)snprintf(ret, BP_K_ISSUER_TEXT, "issuing");
    } else {
        (void)snprintf(ret, BP_K_ISSUER_TEXT, "issuing-%u", number);
    }
}

bp_result bp_k_publish_load(struct bp_keeper *k)
{
    struct bp_tree_row t = {0};
    bp_span der = BP_SPAN_EMPTY;
    BP_TRY(bp_store_tree(k->store, &t));
    k->signed_size = t.signed_size;
    k->durable_size = t.size;
    char name[BP_K_ISSUER_TEXT];
    bp_k_issuer_name(k->cfg.issuing_number, name);
    bp_result r = bp_store_crl(k->store, name, &k->crl_number, &k->crl_at, &der);
    k->crl_known = !bp_failed(r);
    if (bp_is(r, BP_E_NOT_FOUND) && k->cfg.issuing_number > 0) {
        /* The first list of a new issuing CA: its numbers go on where the old one's are, the signer counts both. */
        bp_k_issuer_name(k->cfg.issuing_number - 1, name);
        r = bp_store_crl(k->store, name, &k->crl_number, &k->crl_at, &der);
    }
    return bp_is(r, BP_E_NOT_FOUND) ? BP_OK : r;
}

/* -- heads --------------------------------------------------------------------------------------- */
struct mismatch {
    struct bp_keeper *k;
    uint64_t size;
};

static bp_result note_mismatch(void *self)
{
    const struct mismatch *m = self;
    const struct bp_event_detail detail[] = {
        {BP_SPAN_STR("signed"), BP_VAL_INT, (int64_t)m->size, BP_SPAN_EMPTY},
        {BP_SPAN_STR("stored"), BP_VAL_INT, (int64_t)m->k->durable_size, BP_SPAN_EMPTY}};
    return bp_k_event(m->k, BP_EV_LOG_MISMATCH, NULL, detail, 2);
}

static void tell_mismatch(struct bp_keeper *k, uint64_t size)
{
    struct mismatch m = {k, size};
    if (!k->mismatch_told && !bp_failed(bp_k_act(k, note_mismatch, &m))) {
        k->mismatch_told = true;
    }
}

/* Whether the signer's head is a head of our tree. */
static bool is_ours(struct bp_keeper *k, const struct bp_msg_head *head)
{
    struct bp_note note = {0};
    struct bp_checkpoint c = {0};
    uint8_t root[BP_DIGEST_SIZE];
    return head->size <= k->durable_size && !bp_failed(bp_note_read(head->checkpoint, &note)) &&
           !bp_failed(bp_checkpoint_read(&note, &c)) && c.size == head->size &&
           !bp_failed(bp_log_root(k->store, k->crypto, head->size, root)) &&
           memcmp(root, c.root, sizeof root) == 0;
}

struct head {
    struct bp_keeper *k;
    const struct bp_msg_head *m;
};

static bp_result keep_head(void *self)
{
    const struct head *h = self;
    return bp_store_tree_signed(h->k->store, h->m->size, h->m->checkpoint);
}

static void adopt(struct bp_keeper *k, const struct bp_msg_head *m)
{
    struct head h = {k, m};
    const bool ours = is_ours(k, m);
    bp_k_recovery_note(k, ours);
    if (!ours) {
        tell_mismatch(k, m->size);
        return;
    }
    k->signer_size = m->size;
    k->signer_known = true;
    if (m->size < k->signed_size) {
        tell_mismatch(k, m->size); /* the signer was put back: it is fed again, and people are told */
        return;
    }
    if (m->size == k->signed_size && m->size > 0) {
        return;
    }
    if (bp_failed(bp_k_act(k, keep_head, &h))) {
        return;
    }
    k->is_head_new = true;
    bp_k_commit(k);
}

static void on_head(void *arg, bp_result r, uint64_t status, bp_span body)
{
    struct bp_keeper *k = arg;
    struct bp_msg_head m = {0};
    const bool was_known = k->signer_known;
    k->is_appending = false;
    k->publish_at = bp_k_mono(k) + BP_K_PUBLISH_MS;
    const bool answered = !bp_failed(r) && (status == 0 || status == BP_P_CONFLICT) &&
                          !bp_failed(bp_msg_head_read(body, &m));
    if (!answered) {
        k->publish_at = bp_k_mono(k) + RETRY_MS;
        bp_k_wake(k, RETRY_MS);
        return;
    }
    BP_CRASH("keeper.head-not-kept");
    adopt(k, &m);
    bp_k_publish(k);
    if (!was_known) {
        bp_k_crl_make(k); /* waited for it */
    }
}

static void append(struct bp_keeper *k, uint64_t first, size_t count)
{
    uint8_t *leaves = bp_alloc_array(count + 1, BP_DIGEST_SIZE);
    bp_result r = leaves == NULL ? BP_FAIL(NO_MEMORY) : BP_OK;
    size_t n = 0;
    for (size_t i = 0; i < count && !bp_failed(r); i++) {
        r = bp_log_leaf_at(k->store, first + i, leaves + i * BP_DIGEST_SIZE);
    }
    const struct bp_msg_append m = {first, bp_span_of(leaves, count * BP_DIGEST_SIZE)};
    if (!bp_failed(r)) {
        r = bp_msg_append_write(&m, k->out, BP_MSG_BODY_MAX, &n);
    }
    if (!bp_failed(r)) {
        r = k->port.call(k->port.self, BP_TO_SIGNER_LOG, "append", bp_span_of(k->out, n),
                         BP_K_CALL_MS, on_head, k);
    }
    bp_free(leaves);
    k->is_appending = !bp_failed(r);
    if (bp_failed(r)) {
        k->publish_at = bp_k_mono(k) + RETRY_MS;
        bp_k_wake(k, RETRY_MS);
    }
}

void bp_k_ask_head(struct bp_keeper *k)
{
    if (!k->is_appending) {
        append(k, 0, 0);
    }
}

static void write_tiles(struct bp_keeper *k)
{
    if (!k->is_head_new || bp_store_is_open(k->store)) {
        return;
    }
    k->is_head_new = false;
    BP_IGNORE(bp_k_publish_load(k), "the size signed is read again at the next head");
    if (k->cfg.log_dir >= 0) {
        BP_IGNORE(bp_log_write_tiles(k->store, k->cfg.log_dir),
                  "files are a copy; the next head writes what is missing");
    }
}

void bp_k_publish(struct bp_keeper *k)
{
    write_tiles(k);
    if (k->is_appending || bp_k_is_recovering(k)) {
        return;
    }
    const int64_t now = bp_k_mono(k);
    if (!k->signer_known) {
        if (now >= k->publish_at) {
            bp_k_ask_head(k);
        }
        return;
    }
    if (k->durable_size <= k->signer_size) {
        return;
    }
    if (now < k->publish_at) {
        bp_k_wake(k, k->publish_at - now);
        return;
    }
    const uint64_t left = k->durable_size - k->signer_size;
    append(k, k->signer_size, left < BP_MSG_LEAVES_MAX ? (size_t)left : BP_MSG_LEAVES_MAX);
}

/* -- CRL ----------------------------------------------------------------------------------------- */
struct crl {
    struct bp_msg_revoked *entry;
    uint8_t (*serial)[BP_SERIAL_MAX];
    size_t count;
};

static void crl_add(struct crl *l, const struct bp_certificate *c)
{
    if (strcmp(c->profile, "brownfield") == 0 || strcmp(c->profile, "operator") == 0) {
        return; /* another issuer's */
    }
    memcpy(l->serial[l->count], c->serial, c->serial_n);
    l->entry[l->count] =
        (struct bp_msg_revoked){bp_span_of(l->serial[l->count], c->serial_n),
                                (uint64_t)(c->revoked_ms < 0 ? 0 : c->revoked_ms), c->revoked_reason};
    l->count++;
}

static bp_result crl_collect(struct bp_keeper *k, struct crl *l)
{
    struct bp_certificate page[CRL_PAGE];
    uint8_t after[BP_SERIAL_MAX];
    size_t after_n = 0;
    size_t n = 0;
    do {
        BP_TRY(bp_store_cert_revoked(k->store, bp_span_of(after, after_n), bp_k_now(k), page,
                                     CRL_PAGE, &n));
        for (size_t i = 0; i < n; i++) {
            if (l->count == CRL_MAX) {
                return BP_FAIL(LIMIT);
            }
            crl_add(l, &page[i]);
        }
        if (n > 0) {
            after_n = page[n - 1].serial_n;
            memcpy(after, page[n - 1].serial, after_n);
        }
    } while (n == CRL_PAGE);
    return BP_OK;
}

struct new_crl {
    struct bp_keeper *k;
    bp_span der;
};

static bp_result keep_crl(void *self)
{
    const struct new_crl *c = self;
    struct bp_keeper *k = c->k;
    const int64_t now = bp_k_now(k);
    const struct bp_event_detail detail[] = {
        {BP_SPAN_STR("number"), BP_VAL_INT, (int64_t)k->crl_number + 1, BP_SPAN_EMPTY},
        {BP_SPAN_STR("count"), BP_VAL_INT, (int64_t)k->crl_count, BP_SPAN_EMPTY}};
    char name[BP_K_ISSUER_TEXT];
    bp_k_issuer_name(k->cfg.issuing_number - (k->crl_is_old ? 1 : 0), name);
    BP_TRY(bp_store_crl_set(k->store, name, k->crl_number + 1, now, c->der));
    return bp_k_event(k, BP_EV_CRL_PUBLISHED, NULL, detail, 2);
}

static void crl_again(struct bp_keeper *k)
{
    k->crl_wanted = true;
    k->crl_is_old = false;
    k->crl_retry = bp_k_mono(k) + RETRY_MS;
    k->crl_due_since = k->crl_due_since == 0 ? bp_k_mono(k) : k->crl_due_since;
}

struct late {
    struct bp_keeper *k;
    bool is_late;
};

static bp_result note_late(void *self)
{
    const struct late *x = self;
    struct bp_keeper *k = x->k;
    const struct bp_event_detail detail[] = {
        {BP_SPAN_STR("since"), BP_VAL_INT, k->crl_known ? k->crl_at : 0, BP_SPAN_EMPTY},
        {BP_SPAN_STR("number"), BP_VAL_INT, (int64_t)k->crl_number, BP_SPAN_EMPTY}};
    return bp_k_event(k, x->is_late ? BP_EV_CRL_LATE : BP_EV_CRL_CURRENT, NULL, detail, 2);
}

/* An alarm, once, when a list is due and cannot be made; and when it can again. The last list counts on: nothing stops. */
void bp_k_crl_watch(struct bp_keeper *k)
{
    const bool is_late = k->crl_due_since != 0 && bp_k_mono(k) - k->crl_due_since >= BP_K_CRL_LATE_MS;
    const bool is_over = k->crl_due_since == 0 && k->crl_late_told;
    struct late x = {k, is_late};
    if ((is_late && !k->crl_late_told) || is_over) {
        k->crl_late_told = !bp_failed(bp_k_act(k, note_late, &x)) ? is_late : k->crl_late_told;
    }
}

/* -- the store of the issuing keys --------------------------------------------------------------- */
static bp_result note_key_store(void *self)
{
    struct bp_keeper *k = self;
    return bp_k_event(k, k->key_store_lost ? BP_EV_KEY_STORE_LOST : BP_EV_KEY_STORE_BACK, NULL, NULL, 0);
}

/* The signer refuses with UNAVAILABLE for one reason: a key's token. The revocation list is asked for until it is signed,
 * so that the token's return is noticed when nobody asks for a certificate. */
void bp_k_key_store(struct bp_keeper *k, bp_result r, uint64_t status)
{
    const bool lost = status == BP_P_UNAVAILABLE;
    if (bp_failed(r) || lost == k->key_store_lost || (!lost && status != 0)) {
        return;
    }
    k->key_store_lost = lost;
    if (bp_failed(bp_k_act(k, note_key_store, k))) {
        k->key_store_lost = !lost; /* told with the next answer */
    }
    if (lost) {
        crl_again(k);
    }
}

static void crl_ask(struct bp_keeper *k);

static void on_crl(void *arg, bp_result r, uint64_t status, bp_span body)
{
    struct bp_keeper *k = arg;
    struct new_crl c = {k, BP_SPAN_EMPTY};
    k->crl_open = false;
    bp_k_key_store(k, r, status);
    if (!bp_failed(r) && status == BP_P_OUTDATED) {
        /* The store was put back and the signer has counted on: look for its number in growing steps. */
        k->crl_skip = k->crl_skip == 0 ? 1 : 2 * k->crl_skip;
        k->crl_number += k->crl_skip;
    }
    if (bp_failed(r) || status != 0 || bp_failed(bp_msg_bytes_read(body, &c.der)) ||
        bp_failed(bp_k_act(k, keep_crl, &c))) {
        crl_again(k);
        return;
    }
    if (!k->crl_is_old && k->cfg.issuing_old_der.n > 0) {
        /* The same entries and number once more, by the issuing CA whose certificates still count. */
        k->crl_is_old = true;
        crl_ask(k);
        return;
    }
    k->crl_is_old = false;
    k->crl_number++;
    k->crl_skip = 0;
    k->crl_at = bp_k_now(k);
    k->crl_known = true;
    k->crl_due_since = 0;
    k->crl_retry = bp_k_mono(k) + BP_K_CRL_GAP_MS;
    if (k->crl_wanted) {
        bp_k_wake(k, BP_K_CRL_GAP_MS);
    }
}

/* Longer than any certificate of an application that was issued before it: whom its end would stop has none any more. */
static uint64_t crl_lifetime(const struct bp_keeper *k)
{
    const int64_t ms = bp_k_application_ms(k) + CRL_MARGIN_MS;
    return (uint64_t)(ms < BP_MSG_CRL_LEAST_MS ? BP_MSG_CRL_LEAST_MS : ms);
}

static void crl_ask(struct bp_keeper *k)
{
    size_t n = 0;
    struct crl l = {bp_alloc_array(CRL_MAX, sizeof *l.entry),
                    bp_alloc_array(CRL_MAX, sizeof *l.serial), 0};
    bp_result r = l.entry == NULL || l.serial == NULL ? BP_FAIL(NO_MEMORY) : crl_collect(k, &l);
    const struct bp_msg_crl m = {
        .count = l.count, .entry = l.entry, .number = k->crl_number + 1, .lifetime_ms = crl_lifetime(k)};
    if (!bp_failed(r)) {
        r = bp_msg_crl_write(&m, k->out, BP_MSG_BODY_MAX, &n);
    }
    /* What is revoked between the two lists is wanted in both: the second does not settle it. */
    k->crl_wanted = k->crl_is_old && k->crl_wanted;
    k->crl_count = l.count;
    if (!bp_failed(r)) {
        r = k->port.call(k->port.self, BP_TO_SIGNER_CA, k->crl_is_old ? "crl-old" : "crl", bp_span_of(k->out, n),
                         BP_K_CALL_MS, on_crl, k);
    }
    bp_free(l.entry);
    bp_free(l.serial);
    k->crl_open = !bp_failed(r);
    if (bp_failed(r)) {
        crl_again(k);
    }
}

void bp_k_crl_make(struct bp_keeper *k)
{
    const int64_t age = bp_k_now(k) - k->crl_at;
    /* A list of an older store would lack what was revoked since: none before the signer's head is seen to be ours. */
    if (!k->signer_known || bp_k_is_recovering(k)) {
        return;
    }
    if (k->crl_open || bp_k_mono(k) < k->crl_retry || bp_store_is_open(k->store) ||
        (!k->crl_wanted && k->crl_known && age >= 0 && age < BP_K_CRL_MS)) {
        return;
    }
    crl_ask(k);
}

/* -- issuing CAs that came and went ---------------------------------------------------------------- */
struct issuers {
    struct bp_keeper *k;
    int64_t number, old;
    bool rolled;
};

static bp_result note_issuers(void *self)
{
    const struct issuers *x = self;
    struct bp_keeper *k = x->k;
    const int64_t number = (int64_t)k->cfg.issuing_number;
    const struct bp_event_detail detail[] = {
        {BP_SPAN_STR("number"), BP_VAL_INT, x->rolled ? number : number - 1, BP_SPAN_EMPTY}};
    BP_TRY(bp_store_setting_set(k->store, "issuing-number", number));
    BP_TRY(bp_store_setting_set(k->store, "issuing-old", k->cfg.issuing_old_der.n > 0 ? 1 : 0));
    return bp_k_event(k, x->rolled ? BP_EV_ISSUER_ROLLED : BP_EV_ISSUER_RETIRED, NULL, detail, 1);
}

void bp_k_note_issuers(struct bp_keeper *k)
{
    struct issuers x = {.k = k};
    if (bp_failed(bp_store_setting(k->store, "issuing-number", 0, &x.number)) ||
        bp_failed(bp_store_setting(k->store, "issuing-old", 0, &x.old))) {
        return;
    }
    x.rolled = x.number != (int64_t)k->cfg.issuing_number;
    if (x.rolled || (x.old != 0 && k->cfg.issuing_old_der.n == 0)) {
        BP_IGNORE(bp_k_act(k, note_issuers, &x), "told at the next start");
    }
}

/* -- notices ------------------------------------------------------------------------------------- */
void bp_k_send_deny(struct bp_keeper *k, const uint8_t (*key)[32], size_t count)
{
    const struct bp_msg_deny m = {.count = count, .hashes = bp_span_of(key, count * 32)};
    size_t n = 0;
    if (!bp_failed(bp_msg_deny_write(&m, k->out, BP_MSG_BODY_MAX, &n))) {
        k->port.notify(k->port.self, BP_TO_FRONTS, "deny", bp_span_of(k->out, n));
    }
}

void bp_k_send_deny_all(struct bp_keeper *k)
{
    uint8_t(*page)[BP_DIGEST_SIZE] = bp_alloc_array(DENY_PAGE, BP_DIGEST_SIZE);
    uint8_t after[BP_DIGEST_SIZE];
    size_t after_n = 0;
    size_t n = 0;
    if (page == NULL) {
        return; /* the keeper itself asks the store on every request */
    }
    do {
        if (bp_failed(bp_store_key_buried(k->store, bp_span_of(after, after_n), page, DENY_PAGE,
                                          &n)) ||
            n == 0) {
            break;
        }
        bp_k_send_deny(k, (const uint8_t(*)[32])page, n);
        memcpy(after, page[n - 1], sizeof after);
        after_n = sizeof after;
    } while (n == DENY_PAGE);
    bp_free(page);
}

void bp_k_send_crl(struct bp_keeper *k)
{
    size_t n = 0;
    if (k->crl_known && !bp_failed(bp_msg_number_write(k->crl_number, k->out, BP_MSG_BODY_MAX, &n))) {
        k->port.notify(k->port.self, BP_TO_FRONTS, "crl", bp_span_of(k->out, n));
        k->crl_told = k->crl_number;
    }
}

void bp_k_send_state(struct bp_keeper *k, bool accepting)
{
    size_t n = 0;
    if (!bp_failed(bp_msg_state_write(accepting, k->out, BP_MSG_BODY_MAX, &n))) {
        k->port.notify(k->port.self, BP_TO_FRONTS, "state", bp_span_of(k->out, n));
    }
}

struct references {
    struct bp_msg_reference *row;
    uint8_t *bytes;
    size_t count;
    size_t n;
};

/* Keeps a copy of everything: what the store gave lives until its next call. */
static bp_span keep(struct references *x, bp_span v)
{
    uint8_t *at = x->bytes + x->n;
    if (v.n > 0) {
        memcpy(at, v.p, v.n);
    }
    x->n += v.n;
    return bp_span_of(at, v.n);
}

static bp_result one_reference(void *self, const struct bp_release_row *r, const char *zone,
                               enum bp_acceptance state)
{
    struct references *x = self;
    const bp_span name = bp_span_cstr(zone);
    if (x->count == BP_MSG_REFERENCES_MAX || r->corim.n > REFERENCES_MAX ||
        REFERENCES_MAX - r->corim.n < x->n + BP_DIGEST_SIZE + name.n) {
        return BP_FAIL(LIMIT);
    }
    struct bp_msg_reference *row = &x->row[x->count++];
    row->corim = keep(x, r->corim);
    row->id = keep(x, BP_SPAN_OF(r->id));
    row->zone = keep(x, name);
    row->state = (uint64_t)state;
    return BP_OK;
}

void bp_k_send_references(struct bp_keeper *k)
{
    struct references x = {bp_alloc_array(BP_MSG_REFERENCES_MAX, sizeof *x.row),
                           bp_alloc(REFERENCES_MAX), 0, 0};
    size_t n = 0;
    if (x.row != NULL && x.bytes != NULL) {
        /* What does not fit is not accepted anywhere: devices that run it are not trusted. */
        const bp_result r = bp_store_acceptances(k->store, one_reference, &x);
        const struct bp_msg_references m = {
            .epoch = ++k->references_epoch, .count = x.count, .row = x.row};
        if ((!bp_failed(r) || bp_is(r, BP_E_LIMIT)) &&
            !bp_failed(bp_msg_references_write(&m, k->out, BP_MSG_BODY_MAX, &n))) {
            k->port.notify(k->port.self, BP_TO_APPRAISERS, "references", bp_span_of(k->out, n));
        }
    }
    bp_free(x.row);
    bp_free(x.bytes);
}
