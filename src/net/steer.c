/* SPDX-License-Identifier: Apache-2.0 */
/* net/steer - see steer.h. The program is classic BPF: it needs no right, and the kernel proves that it ends. */
#include "net/steer.h"

#include <stdint.h>

#include <linux/filter.h>
#include <sys/socket.h>

#define BP_MODULE NET

#define NET(offset)  ((uint32_t)SKF_NET_OFF + (offset))
#define OP(code, k)  {(uint16_t)(code), 0, 0, (k)}
#define LOAD(offset) OP(BPF_LD | BPF_W | BPF_ABS, NET(offset))
#define TO_X         OP(BPF_MISC | BPF_TAX, 0)
#define XOR_X        OP(BPF_ALU | BPF_XOR | BPF_X, 0)

#define IP4_SOURCE 12u
#define IP6_SOURCE 8u
#define GOLDEN     2654435769u /* 2^32 over the golden ratio: neighbours in a subnet come far apart */

bp_result bp_steer_by_source(int fd, unsigned workers)
{
    if (workers == 0) {
        return BP_FAIL(BAD_ARGUMENT);
    }
    /* By what the packet is, not by what the listener is: one of IPv6 may take IPv4 too. */
    struct sock_filter code[] = {
        OP(BPF_LD | BPF_B | BPF_ABS, NET(0)),
        OP(BPF_ALU | BPF_RSH | BPF_K, 4),
        {BPF_JMP | BPF_JEQ | BPF_K, 2, 0, 6},
        LOAD(IP4_SOURCE),
        OP(BPF_JMP | BPF_JA, 10),
        LOAD(IP6_SOURCE), TO_X,
        LOAD(IP6_SOURCE + 4), XOR_X, TO_X,
        LOAD(IP6_SOURCE + 8), XOR_X, TO_X,
        LOAD(IP6_SOURCE + 12), XOR_X,
        OP(BPF_ALU | BPF_MUL | BPF_K, GOLDEN),
        OP(BPF_ALU | BPF_RSH | BPF_K, 16),
        OP(BPF_ALU | BPF_MOD | BPF_K, workers),
        OP(BPF_RET | BPF_A, 0),
    };
    const struct sock_fprog program = {.len = (uint16_t)(sizeof code / sizeof code[0]), .filter = code};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program) == 0 ? BP_OK : BP_FAIL(UNSUPPORTED);
}
