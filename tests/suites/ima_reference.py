#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tests/suites/ima_reference - reads one binary_runtime_measurements by itself, shares no code with the C reader.

usage: ima_reference.py LIST OUT [BOOT_LOG_REF]
  OUT.ref  lines: "pcr SHA1|SHA256 HEX" (PCR 10 after the list), "entry TEMPLATE_DIGEST ALG FILE_DIGEST PATH_HEX"
  OUT.map  one character for each byte: a PCR index or template digest, b template data (covered), c anything else
Beside LIST, an ascii_runtime_measurements of the same machine must say the same. With BOOT_LOG_REF (of
eventlog_reference.py, SHA-256) the list's boot_aggregate must be the hash over PCR 0-9 of that log."""
import hashlib
import os
import struct
import sys


def fields(data):
    at = 0
    while at < len(data):
        size, = struct.unpack_from('<I', data, at)
        yield data[at + 4:at + 4 + size]
        at += 4 + size


def main():
    raw = open(sys.argv[1], 'rb').read()
    marks = bytearray(b'c' * len(raw))
    pcr = {'sha1': bytes(20), 'sha256': bytes(32)}
    lines, ascii_lines, aggregate = [], [], None
    at = 0
    while at < len(raw):
        begin = at
        digest = raw[at + 4:at + 24]
        marks[at:at + 24] = b'a' * 24
        size, = struct.unpack_from('<I', raw, at + 24)
        name = raw[at + 28:at + 28 + size].decode()
        at += 28 + size
        if name == 'ima':
            n, = struct.unpack_from('<I', raw, at + 20)
            path = raw[at + 24:at + 24 + n]
            data = raw[at:at + 20] + path + bytes(256 - n)
            marks[at:at + 20] = b'b' * 20
            marks[at + 24:at + 24 + n] = b'b' * n
            alg, file_digest = 'sha1', raw[at:at + 20]
            at += 24 + n
            shown = file_digest.hex()
        else:
            n, = struct.unpack_from('<I', raw, at)
            data = raw[at + 4:at + 4 + n]
            marks[at + 4:at + 4 + n] = b'b' * n
            at += 4 + n
            digest_field, path = list(fields(data))[:2]
            alg, file_digest = digest_field.split(b':\0', 1)
            alg, path = alg.decode(), path[:-1]
            shown = '%s:%s' % (alg, file_digest.hex())
        if at > len(raw):
            raise ValueError('the last entry, at %d, is cut' % begin)
        for h in pcr:
            new = hashlib.new(h)
            new.update(pcr[h])
            new.update(b'\xff' * len(pcr[h]) if digest == bytes(20) else hashlib.new(h, data).digest())
            pcr[h] = new.digest()
        if digest != bytes(20) and hashlib.sha1(data).digest() != digest:
            raise ValueError('entry at %d: template digest is not that of the data' % begin)
        if aggregate is None and path == b'boot_aggregate':
            aggregate = (alg, file_digest)
        lines.append('entry %s %s %s %s' % (digest.hex(), alg, file_digest.hex(), path.hex() or '-'))
        ascii_lines.append(b'10 %s %s %s %s' % (digest.hex().encode(), name.encode(), shown.encode(), path))
    beside = os.path.join(os.path.dirname(sys.argv[1]), 'ascii_runtime_measurements')
    if os.path.exists(beside):
        other = open(beside, 'rb').read().split(b'\n')[:-1]
        # A signature or buffer follows the path in some templates. The ASCII form of a path may be escaped.
        # The list grows: the file that was read first is shorter.
        pairs = list(zip(other, ascii_lines))
        if not pairs or any(not o.startswith(a) for o, a in pairs):
            raise ValueError('the ASCII list beside it says something else')
        print('# %d entries agree with the ASCII list beside it' % len(pairs))
    if len(sys.argv) > 3 and aggregate and aggregate[0] == 'sha256':
        values = dict(line.split()[1:] for line in open(sys.argv[3]) if line.startswith('pcr '))
        want = hashlib.sha256(b''.join(bytes.fromhex(values[str(i)]) for i in range(10))).digest()
        if aggregate[1] == bytes(32):
            print('# boot_aggregate is zero: IMA came up before its TPM')
        elif want != aggregate[1]:
            raise ValueError('boot_aggregate is not the hash over PCR 0-9 of the boot log beside it')
        else:
            print('# boot_aggregate is the hash over PCR 0-9 of the boot log beside it')
    with open(sys.argv[2] + '.ref', 'w') as out:
        for h, value in pcr.items():
            out.write('pcr %s %s\n' % (h, value.hex()))
        out.write('\n'.join(lines) + '\n')
    with open(sys.argv[2] + '.map', 'wb') as out:
        out.write(marks)


main()
