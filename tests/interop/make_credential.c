/* SPDX-License-Identifier: Apache-2.0 */
/* tests/interop/make_credential - wraps a secret for a real TPM.
 * Usage: make-credential EK-PUBLIC NAME SECRET OUT; the first is a TPM2B_PUBLIC, OUT has the form of tpm2-tools. */
#include "codec/tpm.h"
#include "core/tpmkey.h"
#include "platform/alloc.h"
#include "platform/linux/file.h"
#include "platform/openssl/tpm_credential.h"

#include <stdio.h>

static bp_result make(uint8_t *in[3], const size_t n[3], struct bp_tpm_credential *ret)
{
    struct bp_tpm_public pub;
    struct bp_tpm_key_room room;
    struct bp_tpm_ek ek;
    BP_TRY(bp_tpm_public_read(bp_span_of(in[0], n[0]), &pub));
    BP_TRY(bp_tpm_pubkey(&pub, &room, &ek.key));
    ek.name_alg = pub.name_alg == BP_TPM_ALG_SHA384 ? BP_HASH_SHA384 : BP_HASH_SHA256;
    ek.sym_bits = pub.sym_bits;
    return bp_tpm_make_credential(&ek, bp_span_of(in[1], n[1]), bp_span_of(in[2], n[2]), ret);
}

static bp_result save(const char *path, const struct bp_tpm_credential *made)
{
    uint8_t out[8 + BP_TPM_ID_OBJECT_MAX + BP_TPM_SECRET_MAX];
    bp_wr wr = bp_wr_over(out, sizeof out);
    bp_wr_be32(&wr, 0xbadcc0de);
    bp_wr_be32(&wr, 1);
    bp_wr_bytes(&wr, bp_span_of(made->id_object, made->id_object_n));
    bp_wr_bytes(&wr, bp_span_of(made->secret, made->secret_n));
    BP_TRY(bp_wr_finish(&wr));
    return bp_file_write(path, BP_FILE_PUBLIC, bp_wr_span(&wr));
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        return 2;
    }
    uint8_t *in[3] = {NULL, NULL, NULL};
    size_t n[3] = {0, 0, 0};
    struct bp_tpm_credential made;
    bp_result r = BP_OK;
    for (int i = 0; i < 3 && !bp_failed(r); i++) {
        r = bp_file_read(argv[1 + i], BP_FILE_PUBLIC, 4096, &in[i], &n[i]);
    }
    if (!bp_failed(r)) {
        r = make(in, n, &made);
    }
    if (!bp_failed(r)) {
        r = save(argv[4], &made);
    }
    for (int i = 0; i < 3; i++) {
        bp_free(in[i]);
    }
    if (bp_failed(r)) {
        fprintf(stderr, "%s at line %u\n", bp_error_name(bp_error_of(r)), (unsigned)(r.word >> 16));
        return 1;
    }
    return 0;
}
