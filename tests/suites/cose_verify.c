/* SPDX-License-Identifier: Apache-2.0 */
/* tests/suites/cose_verify - one COSE_Sign1 message through our readers: CURVE X Y AAD MESSAGE, all but the curve in hex
 * ("-" for nothing). Prints "ours=ERROR foreign=ERROR verify=ERROR", names from base/result.h; exit 2 on usage. */
#include "codec/cose.h"
#include "platform/openssl/crypto.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOM 65536u

static uint8_t bytes[4][ROOM];

static bool from_hex(const char *text, uint8_t *room, bp_span *ret)
{
    size_t n = 0;
    if (strcmp(text, "-") == 0) {
        text = "";
    }
    for (; text[0] != '\0' && text[1] != '\0' && n < ROOM; text += 2, n++) {
        const char pair[3] = {text[0], text[1], '\0'};
        char *end;
        room[n] = (uint8_t)strtoul(pair, &end, 16);
        if (*end != '\0') {
            return false;
        }
    }
    *ret = bp_span_of(room, n);
    return text[0] == '\0';
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        enum bp_key_type type;
    } curve[] = {{"P-256", BP_KEY_P256}, {"P-384", BP_KEY_P384}, {"Ed25519", BP_KEY_ED25519}, {"other", BP_KEY_NONE}};
    static uint8_t scratch[2 * ROOM];
    struct bp_pubkey key = {.type = BP_KEY_NONE};
    struct bp_cose_sign1 m;
    struct bp_crypto *crypto = NULL;
    bp_span aad;
    bp_span in;
    if (argc != 6 || !from_hex(argv[2], bytes[0], &key.a) || !from_hex(argv[3], bytes[1], &key.b) ||
        !from_hex(argv[4], bytes[2], &aad) || !from_hex(argv[5], bytes[3], &in)) {
        fprintf(stderr, "usage: cose_verify CURVE X Y AAD MESSAGE\n");
        return 2;
    }
    for (size_t i = 0; i < sizeof curve / sizeof curve[0]; i++) {
        key.type = strcmp(argv[1], curve[i].name) == 0 ? curve[i].type : key.type;
    }
    if (bp_failed(bp_crypto_openssl_new(1, &crypto))) {
        return 3;
    }
    const bp_result ours = bp_cose_sign1_read(in, &m);
    const bp_result foreign = bp_cose_sign1_read_foreign(in, &m);
    const bp_result verify =
        bp_failed(foreign) ? foreign : bp_cose_sign1_verify(crypto, &m, &key, aad, scratch, sizeof scratch);
    printf("ours=%s foreign=%s verify=%s\n", bp_error_name(bp_error_of(ours)), bp_error_name(bp_error_of(foreign)),
           bp_error_name(bp_error_of(verify)));
    bp_crypto_openssl_free(crypto);
    return 0;
}
