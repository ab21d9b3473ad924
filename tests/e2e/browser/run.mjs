#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// tests/e2e/browser/run - the operators' page in a real Chromium against a running server.
//
//     node run.mjs --url URL --code CODE --devices N [--red NAME] [--service NAME] [--position TAG] [--attack COMMAND]
//                  [--root FILE] [--shots DIR] [--wait SECONDS] [--chromium PROGRAM]
//
//   --devices   how many devices must show before it goes on
//   --red       the device that turns "not trusted" while the page looks; then its reason is read, and it is quarantined and
//               released. When the page is ready for it, COMMAND is run by sh; without --attack the line "ready NAME" is
//               printed for whoever waits for it
//   --root      the server's root certificate (PEM or DER): the server must prove itself with it. Without it, Chromium is
//               told to accept any certificate
//   --service   an application that the device named by --red holds a certificate for
//   --position  a position of this tag is made, and the other device fills it: the fleet is another one afterwards. There
//               must be no third device
//   --shots     keep a picture of each view there
//
// Prints "ok browser.NAME", "not ok browser.NAME: why"; exits 0 only when nothing failed. It signs in once: CODE is spent.
import { createHash, X509Certificate } from 'node:crypto';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { connect } from 'node:tls';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));

function options(argv) {
    const o = { url: '', code: '', devices: 1, red: '', service: '', position: '', attack: '', root: '', shots: '', wait: 120, chromium: '/usr/bin/chromium' };
    for (let i = 0; i < argv.length; i += 2) {
        const name = argv[i].replace(/^--/, '');
        if (!argv[i].startsWith('--') || !Object.hasOwn(o, name) || argv[i + 1] === undefined) {
            console.error(`run.mjs: ${argv[i]} is not an option with a value; see the head of this file`);
            process.exit(2);
        }
        o[name] = typeof o[name] === 'number' ? Number(argv[i + 1]) : argv[i + 1];
    }
    if (o.url === '' || o.code === '' || !Number.isFinite(o.devices) || !Number.isFinite(o.wait)) {
        console.error('run.mjs: --url and --code are needed; see the head of this file');
        process.exit(2);
    }
    o.url = o.url.replace(/\/+$/, '');
    return o;
}

/** playwright-core and axe-core as the lock file says; npm runs only when they are not there yet. */
function modules() {
    const lock = createHash('sha256').update(readFileSync(join(here, 'package-lock.json'))).digest('hex');
    const stamp = join(here, 'node_modules/.made-from');
    if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== lock) {
        execFileSync('npm', ['ci', '--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts'], { cwd: here, stdio: ['ignore', 2, 2] });
        writeFileSync(stamp, lock);
    }
    return createRequire(join(here, 'run.mjs'));
}

/** SHA-256 of the server's key, after the server proved itself under the root. */
function pinOf(url, rootFile) {
    const root = new X509Certificate(readFileSync(rootFile));
    const { hostname, port } = new URL(url);
    return new Promise((resolve, reject) => {
        const line = connect({ host: hostname, port: Number(port || 443), servername: hostname, ca: [root.toString()] }, () => {
            const leaf = new X509Certificate(line.getPeerCertificate(true).raw);
            line.end();
            resolve(createHash('sha256').update(leaf.publicKey.export({ type: 'spki', format: 'der' })).digest('base64'));
        });
        line.setTimeout(10_000, () => line.destroy(new Error('the server did not answer in 10 s')));
        line.on('error', reject);
    });
}

const o = options(process.argv.slice(2));
const require = modules();
const { chromium } = require('playwright-core');
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const profile = mkdtempSync(join(tmpdir(), 'bp-browser-'));
const waitMs = o.wait * 1000;
let passed = 0;
let failed = 0;
let context;
let page;

function told(ok, name, why = '') {
    ok ? passed++ : failed++;
    console.log(`${ok ? 'ok' : 'not ok'} browser.${name}${ok ? '' : `: ${why.split('\n')[0]}`}`);
}

class Unmet extends Error {}
function need(ok, why) {
    if (!ok) {
        throw new Unmet(why);
    }
}

/** One case: it fails by throwing. Returns whether it passed. */
async function test(name, body) {
    try {
        await body();
        told(true, name);
        return true;
    } catch (e) {
        told(false, name, e instanceof Unmet ? e.message : String(e.message ?? e));
        if (o.shots !== '') {
            await page.screenshot({ path: join(o.shots, `failed-${name}.png`) }).catch(() => undefined);
        }
        return false;
    }
}

/** Waits until `body` gives something true; `what` says what it waits for, and may be a function that says how it stands. */
async function until(what, body, limit = waitMs) {
    const end = Date.now() + limit;
    for (;;) {
        const got = await body();
        if (got) {
            return got;
        }
        need(Date.now() < end, `not within ${Math.round(limit / 1000)} s: ${typeof what === 'function' ? what() : what}`);
        await page.waitForTimeout(100);
    }
}

const row = (name) => page.locator(`tr[data-device="${name}"]`);
const trustOf = async (name) => ((await row(name).count()) === 0 ? '' : (await row(name).getAttribute('data-trust')) ?? '');
const focused = () => page.evaluate(() => {
    const e = document.activeElement;
    return e ? `${e.tagName} ${e.getAttribute('aria-label') ?? e.textContent ?? ''}`.trim().slice(0, 80) : '';
});

/** Waits until what has the focus matches. */
async function focusAt(what, matches) {
    let where = '';
    await until(() => `the focus at ${what}; it is at ${where}`, async () => matches(where = await focused()), 15_000);
}

/** An act on a device by somebody else, while the page looks: straight to the API, past the page's own code. */
async function actElsewhere(id, verb, reason) {
    const status = await page.evaluate(async ([path, why]) => {
        const { csrf } = await (await fetch('/api/v1/session')).json();
        const answer = await fetch(path, {
            method: 'POST', headers: { 'Content-Type': 'application/json', 'X-Bedplate-Csrf': csrf }, body: JSON.stringify({ reason: why }),
        });
        return answer.status;
    }, [`/api/v1/devices/${id}/${verb}`, reason]);
    need(status === 200, `${verb} by somebody else was answered ${status}`);
}

/** Every rule of axe for WCAG 2.2 A and AA, and its best practices. */
async function accessible(name) {
    await test(`axe.${name}`, async () => {
        await page.evaluate(axe);
        const found = await page.evaluate(async () => {
            const r = await globalThis.axe.run(document, { runOnly: { type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] } });
            return { passes: r.passes.length, bad: r.violations.map((v) => `${v.id} at ${v.nodes.map((n) => n.target.join(' ')).slice(0, 3).join(', ')}`) };
        });
        need(found.passes > 5, `only ${found.passes} rules had something to look at`);
        need(found.bad.length === 0, `${found.bad.length} violations: ${found.bad.join('; ')}`);
    });
    if (o.shots !== '') {
        // A picture is a record and no case: a machine too busy to take one says so.
        await page.screenshot({ path: join(o.shots, `${name}.png`), fullPage: true }).catch((e) => console.log(`# no picture of ${name}: ${e.message.split('\n')[0]}`));
    }
}

/** Presses Tab until what has the focus matches. */
async function tabTo(what, matches, most = 150) {
    for (let i = 0; i < most; i++) {
        await page.keyboard.press('Tab');
        if (matches(await focused())) {
            return;
        }
    }
    throw new Unmet(`Tab does not lead to ${what}`);
}

/** Opens the dialog of an act on the device page, gives a reason and confirms. */
async function act(verb, consequence, reason) {
    await page.locator('.actions').getByRole('button', { name: verb, exact: true }).click();
    const dialog = page.locator('dialog[open]');
    await dialog.waitFor();
    need(consequence.test(await dialog.innerText()), `the dialog of ${verb} does not state its consequence`);
    need(await dialog.getByRole('button', { name: verb, exact: true }).isDisabled(), `${verb} goes without a reason`);
    await dialog.getByLabel('Reason').fill(reason);
    await dialog.getByRole('button', { name: verb, exact: true }).click();
    await dialog.waitFor({ state: 'detached' });
}
const shows = (state) => until(`the state ${state}`, async () => (await stateShown()).includes(state), 15_000);
const stateShown = async () => page.locator('.head .badge.big').nth(1).innerText();

async function signIn() {
    await page.goto(`${o.url}/`);
    await page.locator('#code').waitFor();
    await accessible('signin');
    await test('a_wrong_code_is_refused_in_words', async () => {
        await page.locator('#code').fill('AAAA-AAAA-AAAA');
        await page.keyboard.press('Enter');
        await until('a message', async () => (await page.locator('#code-error').innerText()) !== '', 15_000);
        need(await page.locator('#code').isVisible(), 'the field is gone');
    });
    return test('signs_in_with_the_code_by_keyboard', async () => {
        await page.locator('#code').focus();
        await page.keyboard.press('Control+A');
        await page.keyboard.type(o.code);
        await page.keyboard.press('Enter');
        await page.locator('.counts').waitFor({ timeout: 15_000 });
        const cookie = (await context.cookies()).find((c) => c.name === '__Host-bedplate');
        need(!o.url.startsWith('https:') || (cookie?.httpOnly && cookie.secure && cookie.sameSite === 'Strict'), 'the cookie is not HttpOnly, Secure and SameSite=Strict');
    });
}

async function fleet() {
    await test('shows_the_devices', () => until(`${o.devices} devices`, async () => (await page.locator('tbody tr[data-device]').count()) >= o.devices));
    await test('is_live', () => until('the word Live', async () => (await page.locator('.live').innerText()).trim() === 'Live', 15_000));
    await test('every_device_has_trust_and_root_in_words', async () => {
        for (const r of await page.locator('tbody tr[data-device]').all()) {
            const cells = await r.locator('td').allInnerTexts();
            need(/^(Trusted|Warning|Not trusted|Not appraised|Silent|Off)$/.test(cells[0].trim()), `trust reads "${cells[0]}"`);
            need(/TPM|key|root/.test(cells[6]), `root reads "${cells[6]}"`);
        }
    });
    await test('counts_are_words_and_numbers', async () => {
        const counts = await page.locator('.count').allInnerTexts();
        need(counts.length >= 6 && counts.every((c) => /\d+\s+\S/.test(c)), counts.join(' | '));
    });
    await accessible('fleet');
    await test('a_search_is_in_the_address_and_survives_a_reload', async () => {
        await page.keyboard.press('/');
        await until('the slash key leads to the search field', () => page.evaluate(() => document.activeElement?.id === 'q'), 10_000);
        await page.keyboard.type('no such device');
        await until('no device', async () => (await page.locator('tbody tr[data-device]').count()) === 0, 10_000);
        await until(() => `the search in the address ${page.url()}`, () => new URL(page.url()).searchParams.get('q') === 'no such device', 10_000);
        await page.reload();
        await page.getByRole('heading', { name: 'No device matches' }).waitFor({ timeout: 10_000 });
        await page.goto(`${o.url}/`);
        await until('the devices again', async () => (await page.locator('tbody tr[data-device]').count()) >= o.devices, 15_000);
    });
}

async function tabs() {
    await test('two_tabs_share_one_stream_and_the_other_takes_over', async () => {
        const first = page;
        const second = await context.newPage();
        let streams = 0;
        second.on('request', (r) => { streams += r.url().endsWith('/api/v1/stream') ? 1 : 0; });
        await second.goto(`${o.url}/events`);
        page = second;
        await until('Live in the second tab', async () => (await second.locator('.live').innerText().catch(() => '')).trim() === 'Live', 15_000);
        need(streams === 0, 'the second tab opened a stream of its own');
        await first.close();
        await until('a stream of the second tab', () => streams === 1, 15_000);
        await until('Live again', async () => (await second.locator('.live').innerText()).trim() === 'Live', 15_000);
    });
    if (page.isClosed()) {
        page = await context.newPage();
    }
    await page.goto(`${o.url}/`);
    await page.locator('.counts').waitFor();
}

async function turnsRed() {
    await page.goto(`${o.url}/`);
    await until(`${o.red} in the table`, async () => (await trustOf(o.red)) !== '', 30_000);
    const before = await trustOf(o.red);
    await page.evaluate(() => { globalThis.notReloaded = true; });
    let attack = Promise.resolve(0);
    if (o.attack !== '') {
        attack = new Promise((resolve) => { spawn('sh', ['-c', o.attack], { stdio: ['ignore', 2, 2] }).on('close', resolve).on('error', () => resolve(127)); });
    } else {
        console.log(`ready ${o.red}`);
    }
    const isRed = await test('the_attacked_device_turns_red_without_reload', async () => {
        need(before !== 'contraindicated', `${o.red} was red before the attack`);
        await until(`${o.red} not trusted`, async () => (await trustOf(o.red)) === 'contraindicated');
        need(await page.evaluate(() => globalThis.notReloaded === true), 'the page was loaded again');
        need((await row(o.red).locator('.badge').first().innerText()).trim() === 'Not trusted', 'its badge says something else');
    });
    need((await attack) === 0 || o.attack === '', 'the attack command failed');
    await test('its_reason_stands_beside_it', async () => {
        const reason = (await row(o.red).locator('td.reason').innerText()).trim();
        need(reason.length >= 12 && !reason.includes('\n'), `reason reads "${reason}"`);
        console.log(`# ${o.red}: ${reason}`);
    });
    return isRed;
}

async function device(name) {
    await page.goto(`${o.url}/?q=${encodeURIComponent(name)}`);
    await row(name).locator('a.device').click();
    await page.locator('.chain').waitFor({ timeout: 15_000 });
}

async function devicePage(name) {
    await device(name);
    await test('the_chain_of_trust_is_whole_and_in_words', async () => {
        const tiles = page.locator('.chain > li');
        const names = await tiles.evaluateAll((all) => all.map((t) => t.getAttribute('data-tile')));
        need(names.join(' ') === 'root firmware boot system programs keys certificate session', `tiles: ${names.join(' ')}`);
        for (const text of await tiles.allInnerTexts()) {
            need(/(In order|Warning|Broken|Not shown|Not fresh|Off)/.test(text) && /Evidence:/.test(text), `a tile reads "${text}"`);
        }
        need(/Does not prove/.test(await page.locator('.chain').innerText()), 'no tile says what it does not prove');
    });
    if (o.service !== '') {
        await test('the_certificate_of_its_application_is_shown', async () => {
            const row = page.locator('tr', { has: page.getByRole('cell', { name: o.service }) });
            await until('good, or suspended with its device', async () => {
                const text = await row.innerText();
                return /Quarantined/.test(await stateShown()) ? /Suspended/.test(text) : /Good/.test(text);
            }, 15_000);
        });
    }
    await test('the_reason_is_the_first_thing_below_the_name', async () => need((await page.locator('#why').innerText()).trim().length > 8, 'no reason'));
    await test('times_show_the_moment_on_focus', async () => {
        const age = page.locator('.facts time.age').first();
        await age.focus();
        const shown = await age.evaluate((e) => getComputedStyle(e, '::after').content);
        need(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC/.test(shown), `shown: ${shown}`);
    });
    await accessible('device');
}

async function quarantine() {
    let target = o.red;
    if (/Quarantined/.test(await stateShown())) {
        // A rule was faster than a person. It is released by hand; the rule may take it again at once, so the rest is done with another.
        await test('an_automatic_quarantine_is_released_by_hand', async () => {
            await act('Release', /rule will do so again|goes back/, 'Looked at: the browser test did it');
            await until('the words of success', async () => /release done/.test(await page.locator('.told').innerText()), 10_000);
        });
        await page.goto(`${o.url}/?state=active`);
        const names = await until('another device', async () => {
            const all = await page.locator('tbody tr[data-device]').evaluateAll((rows) => rows.map((r) => r.getAttribute('data-device')));
            const others = all.filter((n) => n !== o.red);
            return others.length > 0 ? others : null;
        }, 15_000);
        target = names[0];
        await device(target);
    }
    await test('escape_leaves_a_dialog_and_the_focus_returns', async () => {
        const button = page.locator('.actions').getByRole('button', { name: 'Quarantine', exact: true });
        await button.click();
        await page.locator('dialog[open]').waitFor();
        need(await page.evaluate(() => document.activeElement?.closest('dialog') !== null), 'the focus is outside the dialog');
        await accessible('dialog');
        // What has the focus in the very moment in which the dialog is gone: a person's next Tab may come at once.
        await page.evaluate(() => {
            globalThis.atClose = '';
            new MutationObserver((_, watcher) => {
                if (!document.querySelector('dialog')) {
                    watcher.disconnect();
                    queueMicrotask(() => { globalThis.atClose = `${document.activeElement?.tagName} ${document.activeElement?.textContent}`; });
                }
            }).observe(document.body, { childList: true, subtree: true });
        });
        await page.keyboard.press('Escape');
        await page.locator('dialog').waitFor({ state: 'detached' });
        const atClose = await until('what had the focus when the dialog went', () => page.evaluate(() => globalThis.atClose), 15_000);
        need(atClose === 'BUTTON Quarantine', `when the dialog went the focus was at ${atClose.slice(0, 80)}`);
        await focusAt('Quarantine', (f) => f === 'BUTTON Quarantine');
    });
    await test('a_dialog_that_the_browser_closes_is_closed_for_the_page_too', async () => {
        await page.locator('.actions').getByRole('button', { name: 'Quarantine', exact: true }).click();
        await page.locator('dialog[open]').waitFor();
        await page.evaluate(() => document.querySelector('dialog').close());
        await page.locator('dialog').waitFor({ state: 'detached' });
        await focusAt('Quarantine', (f) => f === 'BUTTON Quarantine');
    });
    await test('quarantines', async () => {
        await act('Quarantine', /told no/, 'Browser test');
        await shows('Quarantined');
        need(/Browser test/.test(await page.locator('.head .note').innerText()), 'the reason is not shown');
    });
    await test('releases', async () => {
        await act('Release', /goes back/, 'Browser test is over');
        await shows('Active');
    });
    await test('both_acts_are_in_the_timeline', () => until('both acts', async () => {
        const text = await page.locator('.timeline').innerText();
        return /Browser test is over/.test(text) && /Browser test\b(?! is)/.test(text);
    }, 15_000));
}

/** The other device gets a position; the attacked one, the only one left, is no spare. */
async function positions() {
    await page.goto(`${o.url}/?tier=affirming`);
    const name = await until('a trusted device', async () => {
        const all = await page.locator('tbody tr[data-device]').evaluateAll((rows) => rows.map((r) => r.getAttribute('data-device')));
        return all.find((n) => n !== o.red);
    }, 30_000);
    await device(name);
    const id = new URL(page.url()).pathname.split('/').pop();
    await test('a_position_is_shown_and_only_a_trusted_free_device_is_offered', async () => {
        const status = await page.evaluate(async ([whole, tag]) => {
            const { csrf } = await (await fetch('/api/v1/session')).json();
            const ask = async (path, body) => (await fetch(`/api/v1${path}`, {
                method: 'POST', headers: { 'Content-Type': 'application/json', 'X-Bedplate-Csrf': csrf }, body: JSON.stringify(body),
            })).status;
            return [await ask('/positions', { position: tag, zone: 'hall-1', name: 'press' }),
                await ask(`/positions/${encodeURIComponent(tag)}/assign`, { device: whole })];
        }, [id, o.position]);
        need(status.join(' ') === '201 200', `making and filling it was answered ${status.join(' ')}`);
        await until('its name', async () => (await page.locator('.head h1').innerText()) === 'press', 15_000);
        need((await page.locator('.facts').innerText()).includes(o.position), 'the position is not shown');
        await page.locator('.actions').getByRole('button', { name: 'Replace', exact: true }).click();
        const dialog = page.locator('dialog[open]');
        await dialog.locator('#no-spare').waitFor({ timeout: 15_000 });
        need(/for good/.test(await dialog.innerText()), 'the dialog does not state its consequence');
        need(await dialog.getByRole('button', { name: 'Replace', exact: true }).isDisabled(), 'Replace goes without a spare');
        await accessible('replace');
        await page.keyboard.press('Escape');
        await page.locator('dialog').waitFor({ state: 'detached' });
    });
}

/** The page changes by itself while somebody works with the keyboard: what has the focus, or had it, goes or is made anew. */
async function placeKept() {
    const id = new URL(page.url()).pathname.split('/').pop();
    const button = (verb) => page.locator('.actions').getByRole('button', { name: verb, exact: true });
    const open = async (verb) => {
        await button(verb).focus();
        await page.keyboard.press('Enter');
        await page.locator('dialog[open]').waitFor();
        await page.evaluate(() => { globalThis.opener = document.querySelector('.actions button'); });
    };
    const gone = () => until('the button that opened the dialog goes', () => page.evaluate(() => !globalThis.opener.isConnected), 15_000);
    const leave = async () => {
        await page.keyboard.press('Escape');
        await page.locator('dialog').waitFor({ state: 'detached' });
    };
    await test('after_a_dialog_the_focus_is_at_the_button_that_was_made_anew', async () => {
        await shows('Active');
        await open('Quarantine');
        await actElsewhere(id, 'quarantine', 'Somebody else was faster');
        await gone();
        await shows('Quarantined');
        need(await page.locator('dialog[open]').isVisible(), 'the change closed the dialog');
        await actElsewhere(id, 'release', 'Somebody else took it back');
        await shows('Active');
        await leave();
        await focusAt('Quarantine', (f) => f === 'BUTTON Quarantine');
    });
    await test('after_a_dialog_whose_act_is_no_longer_offered_the_focus_is_at_the_view', async () => {
        await open('Quarantine');
        await actElsewhere(id, 'quarantine', 'Somebody else was faster again');
        await gone();
        await leave();
        await focusAt('the view', (f) => f.startsWith('MAIN '));
    });
    await test('a_button_that_goes_while_it_has_the_focus_leaves_it_at_the_view', async () => {
        await shows('Quarantined');
        await button('Release').focus();
        await actElsewhere(id, 'release', 'Somebody else took it back again');
        await shows('Active');
        await focusAt('the view', (f) => f.startsWith('MAIN '));
        await tabTo('Quarantine', (f) => f === 'BUTTON Quarantine', 8);
    });
}

async function otherViews() {
    for (const [view, title] of [['waiting', 'Waiting room'], ['releases', 'Releases'], ['policy', 'Policy'], ['events', 'Events']]) {
        await page.goto(`${o.url}/${view}`);
        await test(`shows_${view}`, async () => {
            await page.getByRole('heading', { name: title, level: 1 }).waitFor({ timeout: 15_000 });
            await until('something in it', async () => (await page.locator('main .list tbody tr, main .empty').count()) > 0, 15_000);
            need((await page.locator('.problem').count()) === 0, await page.locator('.problem').first().innerText().catch(() => ''));
        });
        await accessible(view);
    }
    await test('a_policy_is_checked_against_the_fleet_before_it_is_published', async () => {
        await page.goto(`${o.url}/policy`);
        await page.getByRole('button', { name: /Edit|Write a policy/ }).click();
        const text = page.locator('textarea.code');
        const good = await text.inputValue();
        need(/^tests:$/m.test(good), 'the document came back without its tests');
        await page.getByRole('button', { name: 'Check', exact: true }).click();
        await page.locator('.dry-run').waitFor({ timeout: 15_000 });
        const same = await page.locator('.dry-run').innerText();
        need(/would change nothing/.test(same) && /Nothing was published/.test(same) && !/cannot be published/.test(same), same);
        const strict = good.replace(/^rules:$/m, 'rules:\n  - name: "nobody"\n    when: "tier >= 0"\n    verdict: forbid\n    reason: "Nobody is trusted"').replace(/^tests:$[^]*/m, '');
        await text.fill(strict);
        await page.getByRole('button', { name: 'Check', exact: true }).click();
        await page.locator('tr[data-change]').first().waitFor({ timeout: 15_000 });
        need(/Nobody is trusted/.test(await page.locator('.dry-run').innerText()), 'the reason is not told');
        await accessible('policy_check');
        const version = await page.evaluate(async () => (await (await fetch('/api/v1/policy')).json()).version);
        need(good.startsWith(`version: ${version + 1}\n`), 'checking published it');
    });
    await test('a_policy_that_is_wrong_is_refused_with_its_place', async () => {
        await page.goto(`${o.url}/policy`);
        await page.getByRole('button', { name: /Edit|Write a policy/ }).click();
        const text = page.locator('textarea.code');
        const good = await text.inputValue();
        await text.fill(good.replace(/^rules:$/m, 'rules:\n  - name: "wrong"\n    when: "no_such_claim = 1"\n    verdict: forbid\n    reason: "none"'));
        await accessible('policy_editor');
        await page.getByRole('button', { name: 'Check and publish' }).click();
        await page.locator('.problem').waitFor({ timeout: 15_000 });
        need(/no_such_claim|wrong/.test(await page.locator('.problem').innerText()), await page.locator('.problem').innerText());
        let chosen = '';
        await until(() => `the wrong place is chosen; chosen is "${chosen}"`, async () => {
            chosen = await text.evaluate((t) => t.value.slice(t.selectionStart, t.selectionEnd));
            return chosen !== '' && /no_such_claim|wrong/.test(chosen);
        }, 15_000);
    });
    await page.emulateMedia({ colorScheme: 'dark' });
    for (const view of ['', 'waiting', 'releases', 'policy', 'events']) {
        await page.goto(`${o.url}/${view}`);
        await until('a view', async () => (await page.locator('main .list tbody tr, main .empty').count()) > 0, 15_000);
        await accessible(`dark_${view || 'fleet'}`);
    }
    await device(o.red || (await page.goto(`${o.url}/`), await page.locator('tbody tr[data-device]').first().getAttribute('data-device')));
    await accessible('dark_device');
    await page.emulateMedia({ colorScheme: 'light' });
}

async function keyboardOnly() {
    await test('from_the_fleet_to_a_dialog_and_back_by_keyboard_alone', async () => {
        await page.goto(`${o.url}/?state=active`);
        await page.locator('tbody tr[data-device]').first().waitFor({ timeout: 15_000 });
        await tabTo('the skip link', (f) => /Skip to the content/.test(f), 3);
        const name = await page.locator('tbody tr[data-device]').first().getAttribute('data-device');
        await tabTo(`the device ${name}`, (f) => f === `A ${name}`);
        await page.keyboard.press('ArrowDown');
        await page.keyboard.press('ArrowUp');
        await focusAt(`the device ${name}, to which the arrow keys walk back`, (f) => f === `A ${name}`);
        await page.keyboard.press('Enter');
        await page.locator('.chain').waitFor({ timeout: 15_000 });
        await tabTo('Quarantine', (f) => f === 'BUTTON Quarantine');
        const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
        need(outline !== 'none', 'the focus is not visible');
        await page.keyboard.press('Enter');
        await page.locator('dialog[open]').waitFor();
        for (let i = 0; i < 8; i++) {
            await page.keyboard.press('Tab');
            const where = await page.evaluate(() => document.activeElement === document.body || document.activeElement?.closest('dialog') !== null);
            need(where, `Tab leaves the dialog: ${await focused()}`);
        }
        await page.keyboard.press('Escape');
        await page.locator('dialog').waitFor({ state: 'detached' });
        await focusAt('Quarantine', (f) => f === 'BUTTON Quarantine');
        await page.goBack();
        await page.locator('.counts').waitFor({ timeout: 15_000 });
    });
}

async function ends() {
    await test('an_ended_session_leads_back_to_sign_in_with_words', async () => {
        const kept = await context.cookies();
        await context.clearCookies();
        // Going to another view asks the server; a change that comes meanwhile does so as well, and the link is gone then.
        await page.locator('.top nav').getByRole('link', { name: 'Releases' }).click({ timeout: 5000 }).catch(() => undefined);
        await page.locator('#code').waitFor({ timeout: 15_000 });
        need(/session is over/.test(await page.locator('.signin .note').innerText()), 'no words about it');
        await context.addCookies(kept);
        await page.goto(`${o.url}/`);
        await page.locator('.counts').waitFor({ timeout: 15_000 });
    });
    await test('signs_out_and_stays_out', async () => {
        await page.locator('.menu summary').click();
        await accessible('menu');
        await page.getByRole('button', { name: 'Sign out' }).click();
        await page.locator('#code').waitFor({ timeout: 15_000 });
        await page.goto(`${o.url}/events`);
        await page.locator('#code').waitFor({ timeout: 15_000 });
    });
    await test('a_code_serves_once', async () => {
        await page.locator('#code').fill(o.code);
        await page.keyboard.press('Enter');
        await until('a refusal', async () => (await page.locator('#code-error').innerText()) !== '', 15_000);
    });
}

try {
    if (o.shots !== '') {
        mkdirSync(o.shots, { recursive: true });
    }
    const pin = o.root === '' ? '' : await pinOf(o.url, o.root);
    context = await chromium.launchPersistentContext(profile, {
        executablePath: o.chromium,
        headless: true,
        viewport: { width: 1366, height: 900 },
        ignoreHTTPSErrors: pin === '',
        timezoneId: 'UTC',
        args: [
            '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update',
            '--disable-sync', ...(pin === '' ? [] : [`--ignore-certificate-errors-spki-list=${pin}`]),
        ],
    });
    context.setDefaultTimeout(20_000);
    const complaints = [];
    const foreign = new Set();
    context.on('request', (r) => { if (!r.url().startsWith(`${o.url}/`) && !/^(data|blob|about|chrome)/.test(r.url())) { foreign.add(r.url()); } });
    context.on('console', (m) => { if (/Content.Security.Policy|Refused to/i.test(m.text())) { complaints.push(m.text()); } });
    context.on('weberror', (e) => complaints.push(String(e.error().message)));
    page = context.pages()[0] ?? await context.newPage();

    await test('the_document_is_small_fresh_and_fenced', async () => {
        const answer = await page.goto(`${o.url}/`);
        const h = answer.headers();
        need(answer.status() === 200 && /text\/html/.test(h['content-type'] ?? ''), `${answer.status()} ${h['content-type']}`);
        need(/default-src 'none'/.test(h['content-security-policy'] ?? '') && !/unsafe/.test(h['content-security-policy']), `policy: ${h['content-security-policy']}`);
    });
    if (await signIn()) {
        await fleet();
        await tabs();
        if (o.red !== '' && await turnsRed()) {
            await devicePage(o.red);
            await quarantine();
            await placeKept();
            if (o.position !== '') {
                await positions();
            }
        }
        await otherViews();
        await keyboardOnly();
        await ends();
    }
    told(complaints.length === 0, 'no_error_and_no_breach_of_the_content_policy', complaints.join('; '));
    told(foreign.size === 0, 'nothing_is_fetched_from_elsewhere', [...foreign].join(' '));
} catch (e) {
    told(false, 'run', String(e.stack ?? e));
} finally {
    await context?.close().catch(() => undefined);
    rmSync(profile, { recursive: true, force: true });
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
