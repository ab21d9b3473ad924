// SPDX-License-Identifier: Apache-2.0
// ui/test - bundles test/*.test.ts, runs them with node's own runner and prints a line a case, as ./check reads them.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { spawnSync } from 'node:child_process';
import esbuild from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const names = readdirSync(join(here, 'test')).filter((n) => n.endsWith('.test.ts')).sort();
const env = { ...process.env, TZ: 'UTC' };
delete env.NODE_TEST_CONTEXT; // set inside another runner; ours would then run nothing
const out = mkdtempSync(join(tmpdir(), 'bp-ui-'));
let passed = 0;
let failed = 0;
try {
    for (const name of names) {
        const file = join(out, name.replace(/\.ts$/, '.mjs'));
        esbuild.buildSync({ entryPoints: [join(here, 'test', name)], bundle: true, platform: 'node', format: 'esm', outfile: file, logLevel: 'warning' });
        const run = spawnSync(process.execPath, ['--test', '--test-reporter=tap', file], {
            encoding: 'utf8', timeout: 120_000, env,
        });
        const suite = name.replace(/\.test\.ts$/, '');
        let cases = 0;
        for (const line of run.stdout.split('\n')) {
            const m = /^\s*(ok|not ok) \d+ - (.*?)(?: # .*)?$/.exec(line);
            // The runner also reports the file as a case of its own.
            if (m && !m[2].endsWith('.mjs')) {
                cases++;
                m[1] === 'ok' ? passed++ : failed++;
                console.log(`${m[1]} ui.${suite}.${m[2].replace(/\W+/g, '_')}`);
            }
        }
        if (run.status !== 0 || cases === 0) {
            failed++;
            console.log(`not ok ui.${suite}: exit ${run.status}, ${cases} cases`);
            console.log((run.stdout + run.stderr).split('\n').map((l) => `# ${l}`).join('\n'));
        }
    }
} finally {
    rmSync(out, { recursive: true, force: true });
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
