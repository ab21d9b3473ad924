/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/core/test_devid - the device id and its forms for people. */
#include "core/devid.h"
#include "harness.h"
#include "platform/openssl/crypto.h"

static struct bp_crypto *crypto;

/* SHA-256("abc") is FIPS 180-4's example; the base32 of its first 100 bits was made with Python's base64 module. */
BP_CASE(known_value)
{
    uint8_t id[BP_DEVID_SIZE];
    char text[BP_DEVID_SHORT];
    char hex[BP_DEVID_HEX];
    BP_NEED(!bp_failed(bp_crypto_openssl_new(1, &crypto)));
    BP_NEED(!bp_failed(bp_devid_of_spki(crypto, BP_SPAN_STR("abc"), id)));
    bp_devid_short(id, text);
    bp_devid_hex(id, hex);
    BP_CHECK(strcmp(text, "XJ4BN-P4PAH-H6UQK-BIDPF") == 0);
    BP_CHECK(strcmp(hex, "01ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad") == 0);
    uint8_t back[BP_DEVID_SIZE];
    BP_CHECK(!bp_failed(bp_devid_from_hex(bp_span_cstr(hex), back)) && memcmp(id, back, sizeof id) == 0);
}

BP_CASE(hex_is_strict)
{
    char hex[BP_DEVID_HEX];
    uint8_t id[BP_DEVID_SIZE] = {1};
    uint8_t back[BP_DEVID_SIZE] = {9};
    bp_devid_hex(id, hex);
    BP_CHECK(bp_is(bp_devid_from_hex(bp_span_of(hex, 65), back), BP_E_MALFORMED));
    BP_CHECK(bp_is(bp_devid_from_hex(bp_span_of(hex, 64), back), BP_E_MALFORMED));
    hex[65] = 'A';
    BP_CHECK(bp_is(bp_devid_from_hex(bp_span_cstr(hex), back), BP_E_MALFORMED));
    hex[65] = 'g';
    BP_CHECK(bp_is(bp_devid_from_hex(bp_span_cstr(hex), back), BP_E_MALFORMED));
    hex[65] = '0';
    hex[1] = '2'; /* another UEID type */
    BP_CHECK(bp_is(bp_devid_from_hex(bp_span_cstr(hex), back), BP_E_MALFORMED));
    BP_CHECK(back[0] == 9);
}

/* clang-format off */
BP_SUITE(devid,
    BP_RUN(known_value)
    BP_RUN(hex_is_strict)
    bp_crypto_openssl_free(crypto);)
