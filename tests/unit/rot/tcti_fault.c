/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/rot/tcti_fault - a TCTI in front of another one that breaks one transfer when told.
 *
 * Configuration: the TCTI string of the one behind it. bp_fault_arm(n) breaks the n-th transmit or receive from then
 * on, once; 0 breaks none. bp_fault_calls counts transfers since bp_fault_arm. It is also what a probe on the bus
 * sees: bp_fault_watch(p, n) begins to look for n bytes in every command and response, bp_fault_seen counts those that
 * held them. bp_fault_answer(rc, times) answers the next commands in the TPM's place, with nothing but a response code. */
#include <stddef.h>
#include <string.h>

#include <tss2/tss2_tcti.h>
#include <tss2/tss2_tctildr.h>

void bp_fault_arm(unsigned n);
unsigned bp_fault_calls(void);
void bp_fault_watch(const uint8_t *p, size_t n);
unsigned bp_fault_seen(void);
void bp_fault_answer(uint32_t rc, unsigned times);
const TSS2_TCTI_INFO *Tss2_Tcti_Info(void);

struct fault {
    TSS2_TCTI_CONTEXT_COMMON_V2 common;
    TSS2_TCTI_CONTEXT *inner;
};

static unsigned calls, armed;

void bp_fault_arm(unsigned n)
{
    calls = 0;
    armed = n;
}

unsigned bp_fault_calls(void)
{
    return calls;
}

static uint8_t watched[64];
static size_t watched_n;
static unsigned seen;

void bp_fault_watch(const uint8_t *p, size_t n)
{
    watched_n = n < sizeof(watched) ? n : sizeof(watched);
    memcpy(watched, p, watched_n);
    seen = 0;
}

unsigned bp_fault_seen(void)
{
    return seen;
}

static uint32_t answer_rc;
static unsigned answers_left;
static int is_answer_due;

void bp_fault_answer(uint32_t rc, unsigned times)
{
    answer_rc = rc;
    answers_left = times;
    is_answer_due = 0;
}

static TSS2_RC give_answer(size_t *n, uint8_t *response)
{
    const uint8_t bytes[10] = {0x80, 0x01, 0, 0, 0, 10, (uint8_t)(answer_rc >> 24), (uint8_t)(answer_rc >> 16),
                               (uint8_t)(answer_rc >> 8), (uint8_t)answer_rc};
    if (response != NULL) {
        memcpy(response, bytes, sizeof(bytes));
        is_answer_due = 0;
    }
    *n = sizeof(bytes);
    return TSS2_RC_SUCCESS;
}

static void look(const uint8_t *p, size_t n)
{
    seen += p != NULL && watched_n > 0 && memmem(p, n, watched, watched_n) != NULL;
}

static struct fault *of(TSS2_TCTI_CONTEXT *c)
{
    return (struct fault *)(void *)c;
}

static int is_broken(void)
{
    calls++;
    return armed != 0 && calls == armed;
}

static TSS2_RC transmit(TSS2_TCTI_CONTEXT *c, size_t n, const uint8_t *command)
{
    look(command, n);
    if (answers_left > 0) {
        answers_left--;
        is_answer_due = 1;
        return TSS2_RC_SUCCESS;
    }
    return is_broken() ? TSS2_TCTI_RC_IO_ERROR : Tss2_Tcti_Transmit(of(c)->inner, n, command);
}

static TSS2_RC receive(TSS2_TCTI_CONTEXT *c, size_t *n, uint8_t *response, int32_t timeout)
{
    if (is_answer_due) {
        return give_answer(n, response);
    }
    const TSS2_RC rc = is_broken() ? TSS2_TCTI_RC_IO_ERROR : Tss2_Tcti_Receive(of(c)->inner, n, response, timeout);
    if (rc == TSS2_RC_SUCCESS) {
        look(response, *n);
    }
    return rc;
}

static void finalize(TSS2_TCTI_CONTEXT *c)
{
    Tss2_TctiLdr_Finalize(&of(c)->inner);
}

static TSS2_RC cancel(TSS2_TCTI_CONTEXT *c)
{
    return Tss2_Tcti_Cancel(of(c)->inner);
}

static TSS2_RC set_locality(TSS2_TCTI_CONTEXT *c, uint8_t locality)
{
    return Tss2_Tcti_SetLocality(of(c)->inner, locality);
}

static TSS2_RC init(TSS2_TCTI_CONTEXT *c, size_t *size, const char *config)
{
    if (c == NULL) {
        *size = sizeof(struct fault);
        return TSS2_RC_SUCCESS;
    }
    struct fault *f = of(c);
    memset(f, 0, sizeof(*f));
    f->common.v1.magic = 0xbed91a7efa017000u;
    f->common.v1.version = 2;
    f->common.v1.transmit = transmit;
    f->common.v1.receive = receive;
    f->common.v1.finalize = finalize;
    f->common.v1.cancel = cancel;
    f->common.v1.setLocality = set_locality;
    return Tss2_TctiLdr_Initialize(config, &f->inner);
}

const TSS2_TCTI_INFO *Tss2_Tcti_Info(void)
{
    static const TSS2_TCTI_INFO info = {2, "fault", "breaks one transfer when told", "the TCTI behind it", init};
    return &info;
}
