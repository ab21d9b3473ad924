/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/core/test_ownership - chains of ownership: good ones, and each way in which one is not. */
#include "core/erasure.h"
#include "core/ownership.h"

#include "codec/cose.h"
#include "codec/tpm.h"
#include "harness.h"
#include "unit/signer.h"

#define NOW  1790000000000
#define HOUR 3600000
#define WAIT ((int64_t)BP_OWNERSHIP_WAIT_LEAST_MS)

enum { MAKER, MAKER_2, OWNER, SECOND, STRANGER, KEYS };

static struct bp_crypto *crypto;
static struct test_key key[KEYS];
static uint8_t id[33] = {1, 2, 3};
static uint8_t other_id[33] = {1, 9};
static uint8_t scratch[BP_OWNERSHIP_SCRATCH];

/* A chain in the making. */
static struct {
    uint8_t maker[BP_OWNERSHIP_ANCHOR_MAX];
    uint8_t signed_[4][BP_OWNERSHIP_SIGNED_MAX];
    uint8_t card[BP_OWNERSHIP_SIGNED_MAX];
    struct bp_ownership_chain chain;
} made;

static bp_span spki(int k)
{
    return bp_span_of(key[k].spki, key[k].spki_n);
}

static void hash_of(bp_span in, uint8_t ret[32])
{
    BP_CHECK(!bp_failed(bp_hash(crypto, BP_HASH_SHA256, in, ret)));
}

static bp_span sign(int k, bp_span content, bp_span payload, uint8_t *room)
{
    uint8_t kid[32];
    size_t n = 0;
    static uint8_t tbs[4 * BP_OWNERSHIP_SIGNED_MAX];
    hash_of(spki(k), kid);
    const struct bp_cose_header header = {content, BP_SPAN_OF(kid), BP_SPAN_EMPTY};
    BP_CHECK(!bp_failed(bp_cose_sign1_write(&key[k].signer, &header, payload, BP_SPAN_EMPTY, tbs, sizeof tbs, room,
                                            BP_OWNERSHIP_SIGNED_MAX, &n)));
    return bp_span_of(room, n);
}

/* What the next statement is, before a case spoils it. */
struct next {
    struct bp_ownership v;
    uint8_t prev[32];
    uint8_t from[32];
    int signer;
    int cosigner; /* -1: none */
};

static struct next prepare(enum bp_ownership_kind kind, int signer, int to)
{
    struct next n = {.signer = signer, .cosigner = -1};
    const uint32_t at = made.chain.statements;
    n.v = (struct bp_ownership){.device_id = BP_SPAN_OF(id), .kind = kind, .epoch = at + 1, .created_ms = NOW};
    if (at > 0) {
        hash_of(made.chain.statement[at - 1], n.prev);
    }
    hash_of(spki(signer), n.from);
    if (kind != BP_OWNERSHIP_RETIRE) {
        n.v.to_key = spki(to);
        n.v.owner = BP_SPAN_STR("somebody");
    }
    if (kind == BP_OWNERSHIP_OVERRIDE) {
        n.v.waits_ms = BP_OWNERSHIP_WAIT_LEAST_MS;
        n.cosigner = MAKER_2;
    }
    return n;
}

static void append(struct next *n)
{
    static uint8_t inner[BP_OWNERSHIP_SIGNED_MAX];
    uint8_t payload[BP_OWNERSHIP_MAX];
    size_t len = 0;
    const uint32_t at = made.chain.statements;
    n->v.prev = BP_SPAN_OF(n->prev);
    n->v.from_key = BP_SPAN_OF(n->from);
    BP_CHECK(!bp_failed(bp_ownership_write(&n->v, payload, sizeof payload, &len)));
    const bp_span content = BP_SPAN_STR(BP_OWNERSHIP_CONTENT);
    bp_span s = sign(n->signer, content, bp_span_of(payload, len), n->cosigner < 0 ? made.signed_[at] : inner);
    if (n->cosigner >= 0) {
        s = sign(n->cosigner, BP_SPAN_STR(BP_OWNERSHIP_OVERRIDE_CONTENT), s, made.signed_[at]);
    }
    made.chain.statement[at] = s;
    made.chain.statements++;
}

static void add(enum bp_ownership_kind kind, int signer, int to)
{
    struct next n = prepare(kind, signer, to);
    append(&n);
}

static void begin(void)
{
    const struct bp_maker_anchor anchor = {.name = BP_SPAN_STR("Maker"), .keys = 2, .key = {spki(MAKER), spki(MAKER_2)}};
    size_t n = 0;
    memset(&made.chain, 0, sizeof made.chain);
    BP_CHECK(!bp_failed(bp_maker_anchor_write(&anchor, made.maker, sizeof made.maker, &n)));
    made.chain.maker = bp_span_of(made.maker, n);
    made.chain.device_id = BP_SPAN_OF(id);
}

/* Maker to owner, owner to second. */
static void two_owners(void)
{
    begin();
    add(BP_OWNERSHIP_ASSIGN, MAKER, OWNER);
    add(BP_OWNERSHIP_TRANSFER, OWNER, SECOND);
}

static void make_card(int k, const uint8_t root[32])
{
    const struct bp_owner_card v = {.key = spki(k), .name = BP_SPAN_STR("somebody"), .root = bp_span_of(root, 32),
                                    .created_ms = NOW};
    uint8_t payload[BP_OWNERSHIP_MAX];
    size_t n = 0;
    BP_CHECK(!bp_failed(bp_owner_card_write(&v, payload, sizeof payload, &n)));
    made.chain.card = sign(k, BP_SPAN_STR(BP_OWNER_CARD_CONTENT), bp_span_of(payload, n), made.card);
}

static struct bp_own_ask question(void)
{
    return (struct bp_own_ask){.device_id = BP_SPAN_OF(id), .now_ms = NOW + HOUR, .scratch = scratch};
}

static enum bp_own_fault walk(const struct bp_own_ask *ask, struct bp_own_state *ret)
{
    return bp_ownership_walk(crypto, ask, &made.chain, ret);
}

/* Walks with nothing known and says what was found. */
static enum bp_own_fault plain(void)
{
    const struct bp_own_ask ask = question();
    struct bp_own_state s;
    return walk(&ask, &s);
}

BP_CASE(a_good_chain_ends_at_its_owner)
{
    struct bp_own_state s;
    const struct bp_own_ask ask = question();
    uint8_t head[32];
    uint8_t anchor[32];
    two_owners();
    BP_NEED(walk(&ask, &s) == BP_OWN_NONE);
    hash_of(made.chain.statement[1], head);
    hash_of(made.chain.maker, anchor);
    BP_CHECK(s.epoch == 2 && s.statements == 2 && memcmp(s.head, head, 32) == 0 && memcmp(s.anchor, anchor, 32) == 0);
    BP_CHECK(bp_span_equal(s.last.to_key, spki(SECOND)));
}

BP_CASE(same_chain_and_extension_are_taken)
{
    struct bp_own_state first;
    struct bp_own_state s;
    struct bp_own_ask ask = question();
    begin();
    add(BP_OWNERSHIP_ASSIGN, MAKER, OWNER);
    BP_NEED(walk(&ask, &first) == BP_OWN_NONE);
    ask.epoch = first.epoch;
    ask.head = first.head;
    ask.anchor = first.anchor;
    BP_CHECK(walk(&ask, &s) == BP_OWN_NONE && s.epoch == 1);
    add(BP_OWNERSHIP_TRANSFER, OWNER, SECOND);
    BP_CHECK(walk(&ask, &s) == BP_OWN_NONE && s.epoch == 2);
}

/* The device took the transfer to SECOND; the owner signs the same epoch away again, to a stranger. */
BP_CASE(second_chain_for_a_used_epoch_is_a_fork)
{
    struct bp_own_state known;
    struct bp_own_state s;
    struct bp_own_ask ask = question();
    two_owners();
    BP_NEED(walk(&ask, &known) == BP_OWN_NONE);
    ask.epoch = known.epoch;
    ask.head = known.head;
    begin();
    add(BP_OWNERSHIP_ASSIGN, MAKER, OWNER);
    made.chain.statements = 1;
    add(BP_OWNERSHIP_TRANSFER, OWNER, STRANGER);
    BP_CHECK(walk(&ask, &s) == BP_OWN_FORK && s.statements == 1);
    /* Also when it goes on behind it. */
    add(BP_OWNERSHIP_TRANSFER, STRANGER, SECOND);
    BP_CHECK(walk(&ask, &s) == BP_OWN_FORK && s.statements == 1);
}

BP_CASE(an_older_chain_is_refused)
{
    struct bp_own_state known;
    struct bp_own_state s;
    struct bp_own_ask ask = question();
    two_owners();
    BP_NEED(walk(&ask, &known) == BP_OWN_NONE);
    ask.epoch = known.epoch;
    ask.head = known.head;
    made.chain.statements = 1; /* the first owner shows the chain as it was */
    BP_CHECK(walk(&ask, &s) == BP_OWN_OLDER);
}

BP_CASE(another_maker_is_refused)
{
    struct bp_own_state s;
    struct bp_own_ask ask = question();
    uint8_t anchor[32];
    two_owners();
    hash_of(made.chain.maker, anchor);
    ask.anchor = anchor;
    BP_CHECK(walk(&ask, &s) == BP_OWN_NONE);
    anchor[31] ^= 1;
    BP_CHECK(walk(&ask, &s) == BP_OWN_MAKER);
}

BP_CASE(somebody_else_is_not_the_maker)
{
    begin();
    add(BP_OWNERSHIP_ASSIGN, STRANGER, OWNER);
    BP_CHECK(plain() == BP_OWN_SIGNER);
}

BP_CASE(either_key_of_the_maker_assigns)
{
    begin();
    add(BP_OWNERSHIP_ASSIGN, MAKER_2, OWNER);
    BP_CHECK(plain() == BP_OWN_NONE);
}

BP_CASE(a_transfer_by_somebody_else_is_refused)
{
    begin();
    add(BP_OWNERSHIP_ASSIGN, MAKER, OWNER);
    add(BP_OWNERSHIP_TRANSFER, STRANGER, STRANGER);
    BP_CHECK(plain() == BP_OWN_SIGNER);
    made.chain.statements = 1;
    add(BP_OWNERSHIP_TRANSFER, MAKER, STRANGER); /* the maker has no right to it any more */
    BP_CHECK(plain() == BP_OWN_SIGNER);
}

/* It names the owner's key and is signed by another. */
BP_CASE(a_lie_about_the_signer_is_refused)
{
    begin();
    add(BP_OWNERSHIP_ASSIGN, MAKER, OWNER);
    struct next n = prepare(BP_OWNERSHIP_TRANSFER, STRANGER, STRANGER);
    hash_of(spki(OWNER), n.from);
    append(&n);
    BP_CHECK(plain() == BP_OWN_SIGNER);
}

BP_CASE(a_damaged_statement_is_refused)
{
    struct bp_cose_sign1 msg;
    two_owners();
    BP_NEED(!bp_failed(bp_cose_sign1_read(made.chain.statement[1], &msg)));
    made.signed_[1][msg.signature.p - made.signed_[1] + 5] ^= 1;
    BP_CHECK(plain() == BP_OWN_SIGNATURE);
    made.signed_[1][0] ^= 1;
    BP_CHECK(plain() == BP_OWN_FORM);
}

BP_CASE(a_broken_link_is_refused)
{
    begin();
    add(BP_OWNERSHIP_ASSIGN, MAKER, OWNER);
    struct next n = prepare(BP_OWNERSHIP_TRANSFER, OWNER, SECOND);
    n.prev[0] ^= 1;
    append(&n);
    BP_CHECK(plain() == BP_OWN_LINK);
}

BP_CASE(a_statement_left_out_is_noticed)
{
    two_owners();
    add(BP_OWNERSHIP_TRANSFER, SECOND, OWNER);
    made.chain.statement[1] = made.chain.statement[2];
    made.chain.statements = 2;
    BP_CHECK(plain() == BP_OWN_EPOCH);
}

BP_CASE(epochs_rise_by_one)
{
    begin();
    add(BP_OWNERSHIP_ASSIGN, MAKER, OWNER);
    struct next n = prepare(BP_OWNERSHIP_TRANSFER, OWNER, SECOND);
    n.v.epoch = 3;
    append(&n);
    BP_CHECK(plain() == BP_OWN_EPOCH);
}

BP_CASE(another_device_is_refused)
{
    struct bp_own_state s;
    struct bp_own_ask ask = question();
    two_owners();
    ask.device_id = BP_SPAN_OF(other_id);
    BP_CHECK(walk(&ask, &s) == BP_OWN_DEVICE);
    begin();
    struct next n = prepare(BP_OWNERSHIP_ASSIGN, MAKER, OWNER);
    n.v.device_id = BP_SPAN_OF(other_id);
    append(&n);
    BP_CHECK(plain() == BP_OWN_DEVICE); /* the chain says one device, the statement inside another */
}

BP_CASE(a_chain_begins_with_the_maker)
{
    two_owners();
    made.chain.statement[0] = made.chain.statement[1];
    made.chain.statements = 1;
    BP_CHECK(plain() == BP_OWN_KIND);
}

BP_CASE(an_expired_statement_is_refused_unless_known)
{
    struct bp_own_state known;
    struct bp_own_state s;
    struct bp_own_ask ask = question();
    begin();
    struct next n = prepare(BP_OWNERSHIP_ASSIGN, MAKER, OWNER);
    n.v.expires_ms = NOW + 2 * HOUR;
    append(&n);
    BP_NEED(walk(&ask, &known) == BP_OWN_NONE);
    ask.now_ms = NOW + 3 * HOUR;
    BP_CHECK(walk(&ask, &s) == BP_OWN_EXPIRED);
    ask.epoch = known.epoch; /* taken in time: it counts for ever */
    ask.head = known.head;
    BP_CHECK(walk(&ask, &s) == BP_OWN_NONE);
}

BP_CASE(nothing_follows_a_retirement)
{
    begin();
    add(BP_OWNERSHIP_ASSIGN, MAKER, OWNER);
    add(BP_OWNERSHIP_RETIRE, OWNER, OWNER);
    BP_CHECK(plain() == BP_OWN_NONE);
    add(BP_OWNERSHIP_TRANSFER, OWNER, SECOND);
    BP_CHECK(plain() == BP_OWN_ENDED);
    made.chain.statements = 2;
    add(BP_OWNERSHIP_OVERRIDE, MAKER, SECOND);
    BP_CHECK(plain() == BP_OWN_ENDED);
}

BP_CASE(an_override_needs_two_keys_time_and_a_person)
{
    struct bp_own_state s;
    struct bp_own_ask ask = question();
    begin();
    add(BP_OWNERSHIP_ASSIGN, MAKER, OWNER);
    add(BP_OWNERSHIP_OVERRIDE, MAKER, SECOND);
    ask.is_present = true;
    ask.now_ms = NOW + WAIT - 1;
    BP_CHECK(walk(&ask, &s) == BP_OWN_WAITING);
    ask.now_ms = NOW - 1; /* made in the future */
    BP_CHECK(walk(&ask, &s) == BP_OWN_WAITING);
    ask.now_ms = NOW + WAIT;
    BP_CHECK(walk(&ask, &s) == BP_OWN_NONE && bp_span_equal(s.last.to_key, spki(SECOND)));
    ask.is_present = false;
    BP_CHECK(walk(&ask, &s) == BP_OWN_PRESENCE);
}

struct override_row {
    const char *name;
    int signer, cosigner;
    enum bp_own_fault fault;
};

static void overrides(void)
{
    static const struct override_row rows[] = {{"override_two_keys", MAKER_2, MAKER, BP_OWN_NONE},
                                               {"override_one_key_twice", MAKER, MAKER, BP_OWN_COSIGNER},
                                               {"override_one_key", MAKER, -1, BP_OWN_COSIGNER},
                                               {"override_cosigned_by_a_stranger", MAKER, STRANGER, BP_OWN_COSIGNER},
                                               {"override_cosigned_by_the_owner", MAKER, OWNER, BP_OWN_COSIGNER},
                                               {"override_by_the_owner", OWNER, MAKER, BP_OWN_SIGNER}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bp_own_state s;
        struct bp_own_ask ask = question();
        bp_case_begin();
        begin();
        add(BP_OWNERSHIP_ASSIGN, MAKER, OWNER);
        struct next n = prepare(BP_OWNERSHIP_OVERRIDE, rows[i].signer, SECOND);
        n.cosigner = rows[i].cosigner;
        append(&n);
        ask.is_present = true;
        ask.now_ms = NOW + WAIT;
        BP_CHECK(walk(&ask, &s) == rows[i].fault);
        bp_case_end(rows[i].name);
    }
}

/* The cosigner's signature counts, not only its name. */
BP_CASE(an_override_with_a_damaged_cosignature_is_refused)
{
    struct bp_own_state s;
    struct bp_own_ask ask = question();
    struct bp_cose_sign1 msg;
    begin();
    add(BP_OWNERSHIP_ASSIGN, MAKER, OWNER);
    add(BP_OWNERSHIP_OVERRIDE, MAKER, SECOND);
    BP_NEED(!bp_failed(bp_cose_sign1_read(made.chain.statement[1], &msg)));
    made.signed_[1][msg.signature.p - made.signed_[1] + 3] ^= 1;
    ask.is_present = true;
    ask.now_ms = NOW + WAIT;
    BP_CHECK(walk(&ask, &s) == BP_OWN_SIGNATURE);
}

BP_CASE(the_owner_vouches_for_its_root)
{
    uint8_t root[32] = {7};
    uint8_t other[32] = {8};
    struct bp_own_state s;
    const struct bp_own_ask ask = question();
    two_owners();
    BP_NEED(walk(&ask, &s) == BP_OWN_NONE);
    make_card(SECOND, root);
    BP_CHECK(bp_ownership_vouches(crypto, &s, made.chain.card, root, scratch) == BP_OWN_NONE);
    BP_CHECK(bp_ownership_vouches(crypto, &s, made.chain.card, other, scratch) == BP_OWN_ROOT);
    BP_CHECK(bp_ownership_vouches(crypto, &s, BP_SPAN_EMPTY, root, scratch) == BP_OWN_CARD);
    made.card[made.chain.card.n - 1] ^= 1;
    BP_CHECK(bp_ownership_vouches(crypto, &s, made.chain.card, root, scratch) == BP_OWN_CARD);
    make_card(OWNER, root); /* the owner before: good, but it is not its device any more */
    BP_CHECK(bp_ownership_vouches(crypto, &s, made.chain.card, root, scratch) == BP_OWN_OWNER);
    add(BP_OWNERSHIP_RETIRE, SECOND, SECOND);
    BP_NEED(walk(&ask, &s) == BP_OWN_NONE);
    make_card(SECOND, root);
    BP_CHECK(bp_ownership_vouches(crypto, &s, made.chain.card, root, scratch) == BP_OWN_ENDED);
}

/* A quote by key k over exactly this statement, as a TPM makes one. */
static void quote(int k, struct bp_owner_erasure *v, uint8_t attest[512], uint8_t sig[128])
{
    uint8_t extra[32];
    uint8_t raw[BP_SIG_MAX];
    size_t n = 0;
    BP_CHECK(!bp_failed(bp_owner_erasure_hash(crypto, v, extra)));
    const struct bp_tpm_attest a = {.type = BP_TPM_ST_QUOTE, .qualified_signer = BP_SPAN_STR("name"), .extra_data = BP_SPAN_OF(extra),
                                    .safe = true, .pcr_digest = BP_SPAN_OF(extra)};
    bp_wr wr = bp_wr_over(attest, 512);
    bp_tpm_attest_write(&wr, &a);
    v->attest = bp_wr_span(&wr);
    BP_CHECK(!bp_failed(key[k].signer.sign(key[k].signer.self, v->attest, raw, sizeof raw, &n)) && n == 64);
    const struct bp_tpm_sig s = {.scheme = BP_TPM_ALG_ECDSA, .hash = BP_TPM_ALG_SHA256, .r = bp_span_of(raw, 32),
                                 .s = bp_span_of(raw + 32, 32)};
    bp_wr w = bp_wr_over(sig, 128);
    bp_tpm_sig_write(&w, &s);
    v->sig = bp_wr_span(&w);
}

static bp_span attest_key(int k, uint32_t attributes, uint8_t room[256])
{
    const struct bp_tpm_public pub = {.type = BP_TPM_ALG_ECC, .name_alg = BP_TPM_ALG_SHA256, .attributes = attributes,
                                      .sym_alg = BP_TPM_ALG_NULL, .scheme = BP_TPM_ALG_ECDSA, .scheme_hash = BP_TPM_ALG_SHA256,
                                      .curve = BP_TPM_ECC_P256, .kdf = BP_TPM_ALG_NULL, .x = key[k].key.a, .y = key[k].key.b};
    bp_wr wr = bp_wr_over(room, 256);
    bp_tpm_public_write(&wr, &pub);
    return bp_wr_span(&wr);
}

#define AK_ATTRIBUTES                                                                                                   \
    (BP_TPMA_RESTRICTED | BP_TPMA_SIGN | BP_TPMA_FIXED_TPM | BP_TPMA_FIXED_PARENT | BP_TPMA_SENSITIVE_DATA_ORIGIN)

BP_CASE(a_device_that_leaves_signs_what_it_states)
{
    uint8_t attest[512], sig[128], room[256], other[256], free_key[256];
    const uint8_t head[32] = {5};
    struct bp_owner_erasure v = {.device_id = BP_SPAN_OF(id), .epoch = 2, .head = BP_SPAN_OF(head), .time_ms = NOW};
    quote(MAKER, &v, attest, sig);
    const bp_span ak = attest_key(MAKER, AK_ATTRIBUTES, room);
    BP_CHECK(bp_owner_erasure_is_by(crypto, &v, ak));
    BP_CHECK(!bp_owner_erasure_is_by(crypto, &v, attest_key(OWNER, AK_ATTRIBUTES, other)));
    /* A key that signs anything could have signed what no TPM stated. */
    BP_CHECK(!bp_owner_erasure_is_by(crypto, &v, attest_key(MAKER, AK_ATTRIBUTES & ~BP_TPMA_RESTRICTED, free_key)));
    v.epoch = 3;
    BP_CHECK(!bp_owner_erasure_is_by(crypto, &v, ak));
    v.epoch = 2;
    v.time_ms++;
    BP_CHECK(!bp_owner_erasure_is_by(crypto, &v, ak));
    v.time_ms--;
    v.device_id = BP_SPAN_OF(other_id);
    BP_CHECK(!bp_owner_erasure_is_by(crypto, &v, ak));
    v.device_id = BP_SPAN_OF(id);
    BP_CHECK(bp_owner_erasure_is_by(crypto, &v, ak));
}

BP_CASE(every_fault_has_words)
{
    for (unsigned i = 0; i < BP_OWN_FAULTS; i++) {
        BP_CHECK(strncmp(bp_own_fault_code((enum bp_own_fault)i), "ownership-", 10) == 0 &&
                 bp_own_fault_text((enum bp_own_fault)i)[0] != '\0');
    }
}

BP_CASE(keys_are_made)
{
    BP_NEED(!bp_failed(bp_crypto_openssl_new(16, &crypto)));
    for (int i = 0; i < KEYS; i++) { /* both curves in one chain */
        BP_NEED(test_key_make(&key[i], i == SECOND ? BP_SIG_ES384 : BP_SIG_ES256));
    }
}

BP_CASE(keys_are_freed)
{
    for (int i = 0; i < KEYS; i++) {
        test_key_done(&key[i]);
    }
    bp_crypto_openssl_free(crypto);
    BP_CHECK(true);
}

/* clang-format off */
BP_SUITE(ownership,
    BP_RUN(keys_are_made)
    BP_RUN(a_good_chain_ends_at_its_owner)
    BP_RUN(same_chain_and_extension_are_taken)
    BP_RUN(second_chain_for_a_used_epoch_is_a_fork)
    BP_RUN(an_older_chain_is_refused)
    BP_RUN(another_maker_is_refused)
    BP_RUN(somebody_else_is_not_the_maker)
    BP_RUN(either_key_of_the_maker_assigns)
    BP_RUN(a_transfer_by_somebody_else_is_refused)
    BP_RUN(a_lie_about_the_signer_is_refused)
    BP_RUN(a_damaged_statement_is_refused)
    BP_RUN(a_broken_link_is_refused)
    BP_RUN(a_statement_left_out_is_noticed)
    BP_RUN(epochs_rise_by_one)
    BP_RUN(another_device_is_refused)
    BP_RUN(a_chain_begins_with_the_maker)
    BP_RUN(an_expired_statement_is_refused_unless_known)
    BP_RUN(nothing_follows_a_retirement)
    BP_RUN(an_override_needs_two_keys_time_and_a_person)
    BP_TABLE(overrides)
    BP_RUN(an_override_with_a_damaged_cosignature_is_refused)
    BP_RUN(the_owner_vouches_for_its_root)
    BP_RUN(a_device_that_leaves_signs_what_it_states)
    BP_RUN(every_fault_has_words)
    BP_RUN(keys_are_freed))
