/* SPDX-License-Identifier: Apache-2.0 */
/* core/devid - the device id and its forms for people. */
#include "core/devid.h"

#define BP_MODULE CORE

#define UEID_RAND 0x01u

bp_result bp_devid_of_spki(struct bp_crypto *c, bp_span spki, uint8_t ret[BP_DEVID_SIZE])
{
    uint8_t hash[BP_SHA256_SIZE];
    BP_TRY(bp_hash(c, BP_HASH_SHA256, spki, hash));
    ret[0] = UEID_RAND;
    memcpy(ret + 1, hash, sizeof hash);
    return BP_OK;
}

void bp_devid_short(const uint8_t id[BP_DEVID_SIZE], char ret[BP_DEVID_SHORT])
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    const uint8_t *hash = id + 1;
    size_t n = 0;
    for (size_t i = 0; i < 20; i++) {
        const size_t bit = i * 5;
        const unsigned pair = ((unsigned)hash[bit / 8] << 8) | hash[bit / 8 + 1];
        if (i > 0 && i % 5 == 0) {
            ret[n++] = '-';
        }
        ret[n++] = digit[(pair >> (11 - bit % 8)) & 31u];
    }
    ret[n] = '\0';
}

void bp_devid_hex(const uint8_t id[BP_DEVID_SIZE], char ret[BP_DEVID_HEX])
{
    static const char digit[] = "0123456789abcdef";
    for (size_t i = 0; i < BP_DEVID_SIZE; i++) {
        ret[2 * i] = digit[id[i] >> 4];
        ret[2 * i + 1] = digit[id[i] & 15u];
    }
    ret[2 * BP_DEVID_SIZE] = '\0';
}

/* 16 when c is no lower-case hex digit. */
static unsigned hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - (unsigned)'0';
    }
    return c >= 'a' && c <= 'f' ? c - (unsigned)'a' + 10 : 16;
}

bp_result bp_devid_from_hex(bp_span text, uint8_t ret[BP_DEVID_SIZE])
{
    uint8_t id[BP_DEVID_SIZE];
    if (text.n != 2 * sizeof id) {
        return BP_FAIL(MALFORMED);
    }
    for (size_t i = 0; i < sizeof id; i++) {
        const unsigned high = hex_value(text.p[2 * i]);
        const unsigned low = hex_value(text.p[2 * i + 1]);
        if (high > 15 || low > 15) {
            return BP_FAIL(MALFORMED);
        }
        id[i] = (uint8_t)(high << 4 | low);
    }
    if (id[0] != UEID_RAND) {
        return BP_FAIL(MALFORMED);
    }
    memcpy(ret, id, sizeof id);
    return BP_OK;
}
