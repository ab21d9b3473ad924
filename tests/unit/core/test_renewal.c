/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/core/test_renewal - the moment of renewal stays in its window, is the same each time, and spreads over a fleet. */
#include "core/renewal.h"
#include "harness.h"
#include "platform/openssl/crypto.h"

#define FROM INT64_C(1700000000)
#define LIFE INT64_C(604800)

static struct bp_crypto *crypto;

BP_CASE(ready)
{
    BP_NEED(!bp_failed(bp_crypto_openssl_new(16, &crypto)));
}

BP_CASE(windows)
{
    const struct bp_renewal w = bp_renewal_window(FROM, FROM + LIFE, BP_RENEW_FROM, BP_RENEW_UNTIL);
    BP_CHECK(w.from_s == FROM + LIFE / 2 && w.until_s == FROM + LIFE / 10 * 7);
    const struct bp_renewal all = bp_renewal_window(FROM, FROM + LIFE, 0, 1000);
    BP_CHECK(all.from_s == FROM && all.until_s == FROM + LIFE);
    const struct bp_renewal none = bp_renewal_window(FROM, FROM, 500, 700);
    BP_CHECK(none.from_s == FROM && none.until_s == FROM);
    const struct bp_renewal back = bp_renewal_window(FROM, FROM - 1, 500, 700);
    BP_CHECK(back.from_s == FROM && back.until_s == FROM);
    const struct bp_renewal endless = bp_renewal_window(0, INT64_MAX, 500, 700);
    BP_CHECK(endless.from_s > INT64_MAX / 2 - 1000 && endless.until_s > endless.from_s && endless.until_s < INT64_MAX / 10 * 8);
}

BP_CASE(places_in_a_window)
{
    const struct bp_renewal w = {FROM, FROM + 1000};
    BP_CHECK(bp_renewal_at_s(&w, 0) == FROM && bp_renewal_at_s(&w, UINT16_MAX) == FROM + 1000);
    BP_CHECK(bp_renewal_at_s(&w, 32768) == FROM + 500);
    const struct bp_renewal point = {FROM, FROM}, none = {FROM, FROM - 5};
    BP_CHECK(bp_renewal_at_s(&point, 777) == FROM && bp_renewal_at_s(&none, 777) == FROM);
    const struct bp_renewal wide = {0, INT64_MAX};
    BP_CHECK(bp_renewal_at_s(&wide, UINT16_MAX) == INT64_MAX);
}

/* A batch of devices whose certificates were issued in one second does not come back in one. */
BP_CASE(a_fleet_is_spread_evenly)
{
    const struct bp_renewal w = bp_renewal_window(FROM, FROM + LIFE, BP_RENEW_FROM, BP_RENEW_UNTIL);
    const int64_t width = w.until_s - w.from_s;
    uint32_t part[10] = {0};
    for (uint32_t i = 0; i < 10000; i++) {
        const uint8_t id[33] = {1, (uint8_t)(i >> 8), (uint8_t)i};
        const uint8_t serial[16] = {0x40, (uint8_t)(i * 7), (uint8_t)(i >> 3)};
        uint16_t lot = 0, again = 1;
        BP_CHECK(!bp_failed(bp_renewal_lot(crypto, BP_SPAN_OF(id), BP_SPAN_OF(serial), &lot)));
        BP_CHECK(!bp_failed(bp_renewal_lot(crypto, BP_SPAN_OF(id), BP_SPAN_OF(serial), &again)) && lot == again);
        const int64_t at = bp_renewal_at_s(&w, lot);
        BP_CHECK(at >= w.from_s && at <= w.until_s);
        part[at == w.until_s ? 9 : (at - w.from_s) * 10 / width]++;
    }
    for (size_t i = 0; i < 10; i++) {
        BP_CHECK(part[i] > 800 && part[i] < 1200);
    }
}

/* T may be anything: a certificate of 1.5 T is renewed so early that T are left of it, whatever the lot. */
BP_CASE(an_outage_finds_applications_young)
{
    static const int64_t tolerance[] = {60, 3600, 86400, 30 * 86400, 180 * 86400};
    for (size_t i = 0; i < sizeof tolerance / sizeof tolerance[0]; i++) {
        const int64_t until = FROM + tolerance[i] + tolerance[i] / 2;
        const struct bp_renewal w = bp_renewal_window(FROM, until, BP_RENEW_APPLICATION_FROM, BP_RENEW_APPLICATION_UNTIL);
        BP_CHECK(w.from_s > FROM && w.until_s > w.from_s);
        BP_CHECK(until - bp_renewal_at_s(&w, UINT16_MAX) >= tolerance[i]);
    }
}

/* Moments that fell into an outage are spread anew; those to come stay, and none goes past half of what is left. */
BP_CASE(what_an_outage_held_back_is_spread)
{
    const struct bp_renewal w = {FROM + 1000, FROM + 2000};
    const int64_t end = FROM + LIFE;
    struct bp_renewal r = bp_renewal_resumed(&w, 0, end, FROM + 5000);
    BP_CHECK(r.from_s == FROM + 5000 && r.until_s == FROM + 5000 + BP_RENEW_RESUME_S);
    r = bp_renewal_resumed(&w, 0, end, end - 100);
    BP_CHECK(r.from_s == end - 100 && r.until_s == end - 50);
    /* Half of them fell into it. */
    r = bp_renewal_resumed(&w, 32767, end, FROM + 1500);
    BP_CHECK(r.from_s == FROM + 1500 && bp_renewal_at_s(&r, 32767) > FROM + 1500);
    r = bp_renewal_resumed(&w, 32768, end, FROM + 1500);
    BP_CHECK(r.from_s == w.from_s && r.until_s == w.until_s);
    /* There was none, or it lasted past the end: nothing is held back then. */
    static const int64_t none[] = {0, -5, INT64_MIN};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        r = bp_renewal_resumed(&w, 0, end, none[i]);
        BP_CHECK(r.from_s == w.from_s && r.until_s == w.until_s);
    }
    r = bp_renewal_resumed(&w, 0, end, end);
    BP_CHECK(r.from_s == w.from_s && r.until_s == w.until_s);
    r = bp_renewal_resumed(&w, 0, end, INT64_MAX);
    BP_CHECK(r.from_s == w.from_s && r.until_s == w.until_s);
}

BP_CASE(end)
{
    bp_crypto_openssl_free(crypto);
    BP_CHECK(true);
}

/* clang-format off */
BP_SUITE(renewal,
    BP_RUN(ready)
    BP_RUN(windows)
    BP_RUN(places_in_a_window)
    BP_RUN(a_fleet_is_spread_evenly)
    BP_RUN(an_outage_finds_applications_young)
    BP_RUN(what_an_outage_held_back_is_spread)
    BP_RUN(end)
)
