/* SPDX-License-Identifier: Apache-2.0 */
/* cli/fleetsim_model - the machine that every gateway of a simulated fleet is: a boot log, a list of measured programs
 * and the PCRs that they lead to, in the real formats. Nothing was booted: names stand for contents. */
#ifndef BP_CLI_FLEETSIM_MODEL_H
#define BP_CLI_FLEETSIM_MODEL_H

#include "port/crypto.h"

#define BP_SIM_BOOT_MAX 8192u
#define BP_SIM_IMA_MAX  65536u
#define BP_SIM_PROGRAMS 120u
/* Quoted PCRs: 0-11 and 14 of SHA-256, as docs/protocol/evidence.md asks. */
#define BP_SIM_PCRS     0x004fffu
#define BP_SIM_PCR_COUNT 13u

struct bp_sim_model {
    uint8_t boot[BP_SIM_BOOT_MAX];
    size_t boot_n;
    uint8_t ima[BP_SIM_IMA_MAX];
    size_t ima_n;
    uint32_t ima_count;
    uint8_t pcrs[BP_SIM_PCR_COUNT * BP_SHA256_SIZE]; /* the quoted ones, ascending */
};
/* Always the same bytes.   NO_SPACE  a log outgrew its room      CRYPTO */
BP_MUST_CHECK bp_result bp_sim_model_make(struct bp_crypto *c, struct bp_sim_model *ret);

#endif
