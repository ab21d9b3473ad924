/* SPDX-License-Identifier: Apache-2.0 */
/* cmake/mcu/startup - reset, faults and exit of test programs on the emulated Cortex-M3.
 * Output goes through the C library's semihosting; nothing of this is in a product image. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

extern uint32_t bp_mcu_stack_top, bp_mcu_bss_begin, bp_mcu_bss_end;
extern void initialise_monitor_handles(void);
extern int main(void);
_Noreturn void bp_mcu_reset(void);
_Noreturn void _exit(int code);

/* Semihosting SYS_EXIT_EXTENDED carries a code to the host; the C library's own exit loses it. */
_Noreturn void _exit(int code)
{
    const uint32_t block[2] = {0x20026u /* application exit */, (uint32_t)code};
    register uint32_t op __asm__("r0") = 0x20u;
    register const uint32_t *arg __asm__("r1") = block;
    __asm__ volatile("bkpt 0xab" : : "r"(op), "r"(arg) : "memory");
    for (;;) {
    }
}

static _Noreturn void fault(void)
{
    _exit(70);
}

_Noreturn void bp_mcu_reset(void)
{
    for (uint32_t *p = &bp_mcu_bss_begin; p < &bp_mcu_bss_end; p++) {
        *p = 0;
    }
    initialise_monitor_handles();
    exit(main());
}

__attribute__((section(".vectors"), used)) static const struct {
    void *stack;
    void (*handler[15])(void);
} vectors = {&bp_mcu_stack_top,
             {bp_mcu_reset, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault,
              fault, fault}};
