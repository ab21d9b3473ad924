#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tests/suites/eventlog_reference - reads one TCG boot log by itself, shares no code with the C reader, and writes what
the suite holds the C reader to.

usage: eventlog_reference.py LOG OUT
  OUT.ref  lines: "alg TPM_ALG", "pcr N HEX", "event PCR DIGEST COVERED" for each extended event
  OUT.map  one character for each byte of the log:
             a  PCR index or digest of the quoted bank, of an extended event
             b  data that this digest covers, found by hashing
             c  anything else
The quoted bank is SHA-256 where the log has it, else the next best."""
import hashlib
import struct
import sys

HASH = {0x04: hashlib.sha1, 0x0b: hashlib.sha256, 0x0c: hashlib.sha384, 0x0d: hashlib.sha512}
PREFERRED = (0x0b, 0x0c, 0x0d, 0x04)


def head(log):
    """Returns ({alg: digest size}, offset of the first event, crypto-agile)."""
    event_type, = struct.unpack_from('<I', log, 4)
    size, = struct.unpack_from('<I', log, 28)
    body = log[32:32 + size]
    if event_type != 3 or not body.startswith(b'Spec ID Event03\0'):
        return {0x04: 20}, 0, False
    count, = struct.unpack_from('<I', body, 24)
    return dict(struct.unpack_from('<HH', body, 28 + 4 * i) for i in range(count)), 32 + size, True


def events(log):
    """Yields (pcr, type, {alg: offset of its digest}, offset of the data, its size, offset of the event)."""
    sizes, at, agile = head(log)
    while at < len(log):
        rest = log[at:]
        if agile and len(rest) >= 12 and len(set(rest)) == 1 and rest[0] in (0, 0xff):
            return
        begin = at
        pcr, event_type = struct.unpack_from('<II', log, at)
        at += 8
        digests = {}
        if agile:
            count, = struct.unpack_from('<I', log, at)
            at += 4
            for _ in range(count):
                alg, = struct.unpack_from('<H', log, at)
                digests[alg] = at + 2
                at += 2 + sizes[alg]
        else:
            digests[0x04] = at
            at += 20
        size, = struct.unpack_from('<I', log, at)
        if at + 4 + size > len(log):
            raise ValueError('the last event is cut')
        yield pcr, event_type, digests, at + 4, size, begin
        at += 4 + size


def covered(data, digest, h):
    """The part [from, to) of data that the digest is of, or None: whole, a tail behind a word or a header, without
    a closing zero, without one byte too many, or with a zero byte that was not logged."""
    n = len(data)
    if h(data).digest() == digest or h(data + b'\0').digest() == digest:
        return 0, n
    if n and h(data[:-1]).digest() == digest:
        return 0, n - 1
    starts = list(range(1, min(n, 32)))
    if n >= 32:
        name_size, _ = struct.unpack_from('<QQ', data, 16)
        if 32 + 2 * name_size <= n:
            starts.append(32 + 2 * name_size)
    for start in starts:
        for end in (n, n - 1):
            if start < end and h(data[start:end]).digest() == digest:
                return start, end
    return None


def main():
    log = open(sys.argv[1], 'rb').read()
    sizes = head(log)[0]
    alg = next(a for a in PREFERRED if a in sizes)
    h, size = HASH[alg], sizes[alg]
    pcrs = [bytes(size)] * 17 + [b'\xff' * size] * 6 + [bytes(size)]
    marks = bytearray(b'c' * len(log))
    lines = []
    for pcr, event_type, digests, data_at, data_size, at in events(log):
        data = log[data_at:data_at + data_size]
        if event_type == 3:
            if data[:16] == b'StartupLocality\0':
                pcrs[0] = bytes(size - 1) + data[16:17]
            continue
        digest = log[digests[alg]:digests[alg] + size]
        pcrs[pcr] = h(pcrs[pcr] + digest).digest()
        marks[at:at + 4] = b'a' * 4
        marks[digests[alg]:digests[alg] + size] = b'a' * size
        part = covered(data, digest, h)
        if part:
            marks[data_at + part[0]:data_at + part[1]] = b'b' * (part[1] - part[0])
        lines.append('event %d %s %d' % (pcr, digest.hex(), 1 if part else 0))
    with open(sys.argv[2] + '.ref', 'w') as out:
        out.write('alg %d\n' % alg)
        for i, value in enumerate(pcrs):
            out.write('pcr %d %s\n' % (i, value.hex()))
        out.write('\n'.join(lines) + '\n')
    with open(sys.argv[2] + '.map', 'wb') as out:
        out.write(marks)


main()
