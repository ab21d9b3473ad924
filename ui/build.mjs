// SPDX-License-Identifier: Apache-2.0
// ui/build - bundles the page into OUT/ and, when FILE is given, writes what src/fleet/proc/page.c includes: every
// file of the page, gzip'd, with its content type and ETag.
//
//     node build.mjs OUT [FILE]
//
// The same sources give the same bytes: names carry a hash of the content, and gzip writes no time.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync, constants } from 'node:zlib';
import esbuild from 'esbuild';

const LIMIT = 120 * 1024; // bytes of the whole page, gzip'd
const here = dirname(fileURLToPath(import.meta.url));
const [out, include] = process.argv.slice(2);
if (!out) {
    console.error('usage: node build.mjs OUT [FILE]');
    process.exit(2);
}

function bundle(entry, loader) {
    const made = esbuild.buildSync({
        entryPoints: [join(here, 'src', entry)],
        bundle: true,
        minify: true,
        write: false,
        target: ['es2022'],
        format: 'esm',
        jsx: 'automatic',
        jsxImportSource: 'preact',
        legalComments: 'none',
        loader,
        logLevel: 'warning',
        absWorkingDir: here,
    });
    return Buffer.from(made.outputFiles[0].contents);
}

const hash = (bytes) => createHash('sha256').update(bytes).digest('hex');
const files = [];

function asset(stem, ext, type, bytes) {
    const path = `/assets/${stem}-${hash(bytes).slice(0, 12)}.${ext}`;
    files.push({ path, type, bytes, immutable: true });
    return path;
}

const names = {
    SCRIPT: asset('app', 'js', 'text/javascript; charset=utf-8', bundle('main.tsx')),
    STYLE: asset('style', 'css', 'text/css; charset=utf-8', bundle('style.css')),
    ICON: asset('icon', 'svg', 'image/svg+xml', readFileSync(join(here, 'src/icon.svg'))),
};
const index = readFileSync(join(here, 'src/index.html'), 'utf8').replace(/@([A-Z]+)@/g, (all, name) => names[name] ?? all);
files.push({ path: '/', type: 'text/html; charset=utf-8', bytes: Buffer.from(index), immutable: false });
files.sort((a, b) => (a.path < b.path ? -1 : 1));

let total = 0;
for (const f of files) {
    f.gzip = gzipSync(f.bytes, { level: constants.Z_BEST_COMPRESSION, memLevel: 9 });
    f.gzip[9] = 255; // the system that packed it is nobody's business, and would differ
    total += f.gzip.length;
}
if (total > LIMIT) {
    console.error(`page: ${total} bytes of gzip, more than ${LIMIT}`);
    process.exit(1);
}

rmSync(out, { recursive: true, force: true });
for (const f of files) {
    const path = join(out, f.path === '/' ? 'index.html' : f.path);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, f.bytes);
}

if (include) {
    const lines = ['/* SPDX-License-Identifier: Apache-2.0 */', '/* Made by ui/build.mjs from ui/src: change those. */'];
    files.forEach((f, i) => {
        lines.push(`static const uint8_t file_${i}[${f.gzip.length}] = {`);
        for (let at = 0; at < f.gzip.length; at += 32) {
            lines.push(`    ${[...f.gzip.subarray(at, at + 32)].join(',')},`);
        }
        lines.push('};');
    });
    lines.push('static const struct embedded embedded[] = {');
    files.forEach((f, i) => {
        const etag = `\\"${hash(f.bytes).slice(0, 32)}\\"`;
        lines.push(`    {"${f.path}", "${f.type}", "${etag}", file_${i}, sizeof(file_${i}), ${f.immutable}},`);
    });
    lines.push('};', '');
    writeFileSync(include, lines.join('\n'));
}
console.log(`page: ${files.length} files, ${total} bytes of gzip`);
