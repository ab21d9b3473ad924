/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_pkcs11uri - the place of a key as text. What is read is written so that it reads the same, once more the
 * same bytes, and no PIN is ever in it; rooms that are too short are refused; what is refused changes nothing. */
#include "fuzz/fuzz.h"
#include "platform/pkcs11/uri.h"

static bool has_control(const char *s)
{
    for (; *s != 0; s++) {
        if ((uint8_t)*s < 0x20 || *s == 0x7f) {
            return true;
        }
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const bp_span in = bp_span_of(data, size);
    struct bp_pkcs11_uri a, b;
    char text[4 * BP_PKCS11_URI_MAX], again[4 * BP_PKCS11_URI_MAX];
    size_t n = 0, m = 0;
    FUZZ_FILL(a);
    if (bp_failed(bp_pkcs11_uri_read(in, &a))) {
        FUZZ_HOLDS(fuzz_untouched(&a, sizeof a));
        return 0;
    }
    FUZZ_HOLDS(a.module[0] == '/' && a.pin_source[0] != 0 && (a.token[0] != 0 || a.serial[0] != 0));
    FUZZ_HOLDS(!has_control(a.module) && !has_control(a.pin_source) && !has_control(a.token) && !has_control(a.serial) &&
               !has_control(a.object) && a.id_n <= sizeof a.id);
    FUZZ_HOLDS(!bp_failed(bp_pkcs11_uri_write(&a, text, sizeof text, &n)) && strlen(text) == n);
    FUZZ_HOLDS(strstr(text, "pin-value=") == NULL);
    FUZZ_HOLDS(bp_is(bp_pkcs11_uri_write(&a, again, size % (n + 1), &m), BP_E_NO_SPACE) && m == n);
    const bp_result r = bp_pkcs11_uri_read(bp_span_cstr(text), &b);
    if (n > BP_PKCS11_URI_MAX) {
        FUZZ_HOLDS(bp_is(r, BP_E_LIMIT)); /* characters that need no percent sign were written with one */
        return 0;
    }
    FUZZ_HOLDS(!bp_failed(r) && memcmp(&a, &b, sizeof a) == 0);
    FUZZ_HOLDS(!bp_failed(bp_pkcs11_uri_write(&b, again, sizeof again, &m)) && strcmp(text, again) == 0);
    return 0;
}
