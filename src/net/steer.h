/* SPDX-License-Identifier: Apache-2.0 */
/* net/steer - keeps a source at one of the workers that share a port.
 *
 * Left alone the kernel spreads connections over the listeners of a port by address and port of the source, so that one who
 * comes again meets another worker, which does not know its TLS session. */
#ifndef BP_NET_STEER_H
#define BP_NET_STEER_H

#include "base/result.h"

/* For the whole group of listeners (bp_listen) that fd is one of, in the order in which they were opened: the one that a
 * connection comes to follows from its source address alone, IPv4 or IPv6. It stays so until the last of them is closed.
 *   BAD_ARGUMENT  workers is 0    UNSUPPORTED  the kernel does not; connections are spread as before */
BP_MUST_CHECK bp_result bp_steer_by_source(int fd, unsigned workers);

#endif
