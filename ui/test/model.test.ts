// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { problemOf } from '../src/api';
import {
    acceptanceLabel, applications, brokenAt, certificateLabel, count, digest, effectLabel, groups, isHardware, isSpareFor, ms, nameOf, offsetOf, placeIn, policyYaml, rootText, stateLabel, tileWord, trustLabel,
} from '../src/model';
import type { Certificate, Summary, Tile } from '../src/model';

const tile = (state: string): Tile => ({ tile: 'boot', state, text: '', age_ms: null, evidence: '', does_not_prove: '' });

test('only affirming looks trusted', () => {
    assert.equal(trustLabel('affirming').look, 'ok');
    for (const word of ['warning', 'contraindicated', 'none', 'silent', 'off', '', 'trusted', 'AFFIRMING', '__proto__', 'constructor', undefined]) {
        assert.notEqual(trustLabel(word).look, 'ok', String(word));
    }
});

test('an unknown word of trust is not appraised', () => {
    assert.equal(trustLabel('toString').text, 'Not appraised');
    assert.equal(tileWord('nonsense'), 'Not shown');
});

test('an unknown state is shown as it came', () => {
    assert.equal(stateLabel('asleep').text, 'asleep');
    assert.equal(stateLabel('').text, 'Unknown');
    assert.equal(stateLabel('constructor').look, 'none');
});

test('an unknown acceptance is not accepted', () => {
    assert.equal(acceptanceLabel('accepted').look, 'ok');
    assert.notEqual(acceptanceLabel('valueOf').look, 'ok');
});

test('an unknown effect of a finding does not look good', () => {
    assert.notEqual(effectLabel('whatever').look, 'ok');
    assert.equal(effectLabel('refuse').look, 'bad');
});

test('only a trusted, free device of the model is a spare', () => {
    const d = { position: '', state: 'active', trust: 'affirming', model: 'gw' } as Summary;
    assert.ok(isSpareFor(d, 'gw') && isSpareFor(d, '') && isSpareFor({ ...d, model: '', trust: 'warning', state: 'enrolled' }, 'gw'));
    assert.ok(!isSpareFor(d, 'other'));
    for (const change of [{ position: 'A1' }, { state: 'quarantined' }, { state: 'waiting' }, { trust: 'contraindicated' }, { trust: 'silent' }, { trust: 'none' }, { trust: 'off' }]) {
        assert.ok(!isSpareFor({ ...d, ...change }, 'gw'), JSON.stringify(change));
    }
});

test('only hardware counts as hardware', () => {
    assert.ok(isHardware('discrete') && isHardware('firmware'));
    for (const c of ['virtual', 'software', 'unknown', '', 'hasOwnProperty']) {
        assert.ok(!isHardware(c), c);
    }
    assert.equal(rootText('virtual'), 'virtual TPM');
    assert.equal(rootText('toString'), 'unknown root');
});

test('what cannot attest is said to have no hardware root', () => {
    assert.equal(rootText('none'), 'no hardware root');
    assert.ok(!isHardware('none'));
    for (const c of ['discrete', 'firmware', 'virtual', 'software', 'unknown', 'none']) {
        assert.notEqual(rootText(c), 'unknown root', c);
    }
});

test('the chain breaks at the first link that does not hold', () => {
    assert.equal(brokenAt([]), -1);
    assert.equal(brokenAt([tile('affirming'), tile('warning')]), -1);
    assert.equal(brokenAt([tile('affirming'), tile('none'), tile('contraindicated')]), 1);
    assert.equal(brokenAt([tile('new-word')]), 0);
});

test('a device without a name goes by its short id', () => {
    assert.equal(nameOf({ name: '', short: 'ABCDE-FGHIJ-KLMNO-PQRST' }), 'ABCDE-FGHIJ-KLMNO-PQRST');
    assert.equal(nameOf({ name: 'pump', short: 'X' }), 'pump');
});

test('a short id falls into four groups of five', () => {
    assert.deepEqual(groups('ABCDE-FGHIJ-KLMNO-PQRST'), ['ABCDE', 'FGHIJ', 'KLMNO', 'PQRST']);
    assert.deepEqual(groups(''), []);
});

test('long digests are shortened in the middle and short ones are whole', () => {
    assert.equal(digest('0123456789abcdef0123456789abcdef'), '01234567…cdef');
    assert.equal(digest('0123456789abcdef'), '0123456789abcdef');
    assert.equal(digest(null), '–');
});

test('counts that are missing or broken are zero', () => {
    assert.equal(count({ a: 3 }, 'a'), 3);
    assert.equal(count({ a: 3 }, 'b'), 0);
    assert.equal(count(undefined, 'a'), 0);
    assert.equal(count({}, 'constructor'), 0);
});

test('times are read to the millisecond and nonsense is no time', () => {
    assert.equal(ms('2026-05-01T12:00:00.250Z'), Date.UTC(2026, 4, 1, 12, 0, 0, 250));
    assert.equal(ms(null), 0);
    assert.equal(ms('soon'), 0);
});

test('rules become a document that quotes what people wrote', () => {
    const text = policyYaml({ version: 4, zone: '*', rules: [{ name: 'a: b', when: 'zone = "x" # y', verdict: 'forbid', actions: ['alert', 'quarantine'], reason: 'no\nyes' }], tests: [] });
    assert.equal(text, 'version: 5\nzone: "*"\nrules:\n  - name: "a: b"\n    when: "zone = \\"x\\" # y"\n    verdict: forbid\n    actions: [alert, quarantine]\n    reason: "no\\nyes"\n');
});

test('tests go into the document as they came, each claim in its own kind', () => {
    const rules = [{ name: 'a', when: 'tier = 2', verdict: 'permit', actions: [], reason: '' }];
    const text = policyYaml({ version: 1, zone: '*', rules, tests: [
        { name: 'good: one', claims: { tier: 2, model: "x'00'", boot_log: { hex: '0aff' } }, expect: 'permit' }, { name: 'none', claims: {}, expect: 'refuse' },
    ] });
    assert.equal(text.slice(text.indexOf('tests:')), 'tests:\n  - name: "good: one"\n    claims: {tier: 2, model: "x\'00\'", boot_log: x\'0aff\'}\n    expect: permit\n'
        + '  - name: "none"\n    claims: {}\n    expect: refuse\n');
});

test('without a policy the editor begins with one that permits and forbids', () => {
    const text = policyYaml({ version: 0, zone: '', rules: [], tests: [] });
    assert.match(text, /^version: 1\nzone: "\*"\n/);
    assert.match(text, /verdict: forbid/);
    assert.match(text, /verdict: permit/);
});

test('a refusal that names its place leads there', () => {
    assert.deepEqual(placeIn('line 3, column 11: unknown claim', ''), { line: 3, column: 11 });
    assert.deepEqual(placeIn('Line 12: too deep', ''), { line: 12, column: 0 });
    assert.deepEqual(placeIn('the outline is wrong', ''), { line: 0, column: 0 });
    const document = 'rules:\n  - name: "one"\n    when: "a = 1"\n  - name: two # second\n    verdict: permit\n    when: b = 1\n';
    assert.deepEqual(placeIn('rule one, column 3 of its expression: x', document), { line: 3, column: 14 });
    assert.deepEqual(placeIn('rule two, column 1 of its expression: x', document), { line: 6, column: 11 });
    assert.deepEqual(placeIn('rule three, column 1 of its expression: x', document), { line: 0, column: 0 });
    const text = 'ab\ncdef\n';
    assert.equal(offsetOf(text, 1, 1), 0);
    assert.equal(offsetOf(text, 2, 3), 5);
    assert.equal(offsetOf(text, 2, 99), 7);
    assert.equal(offsetOf(text, 99, 1), text.length);
});

test('a problem is told whatever the body is', () => {
    for (const body of [null, undefined, 'x', 7, [], {}]) {
        const p = problemOf(503, body);
        assert.equal(p.status, 503);
        assert.match(p.message, /503/);
    }
    const p = problemOf(400, { code: 'value', title: 'Not accepted', detail: 'zone is missing', action: 'Name a zone.' });
    assert.deepEqual([p.code, p.message, p.help, p.isSignedOut], ['value', 'zone is missing', 'Name a zone.', false]);
    assert.ok(problemOf(401, {}).isSignedOut);
});

const cert = (service: string | null, from: string, state = 'good'): Certificate => ({
    serial: `${service}${from}`, profile: 'app-client', service, not_before: from, not_after: '2026-02-01T00:00:00Z', state,
});

test('of each service the newest certificate counts, and the management one is none of them', () => {
    const all = [cert('opc', '2026-01-01T00:00:00Z'), cert(null, '2026-01-09T00:00:00Z'), cert('mqtt', '2026-01-02T00:00:00Z'),
        cert('opc', '2026-01-03T00:00:00Z', 'suspended'), cert('opc', '2026-01-02T00:00:00Z')];
    assert.deepEqual(applications(all).map((c) => [c.service, c.not_before, c.state]),
        [['mqtt', '2026-01-02T00:00:00Z', 'good'], ['opc', '2026-01-03T00:00:00Z', 'suspended']]);
    assert.deepEqual(applications([]), []);
});

test('only a certificate in force looks good', () => {
    const end = Date.parse('2026-02-01T00:00:00Z');
    assert.equal(certificateLabel(cert('a', '2026-01-01T00:00:00Z'), end - 1).look, 'ok');
    assert.equal(certificateLabel(cert('a', '2026-01-01T00:00:00Z'), end + 1).text, 'Ended');
    for (const state of ['suspended', 'revoked', 'constructor', '', 'expired']) {
        assert.notEqual(certificateLabel(cert('a', '2026-01-01T00:00:00Z', state), end - 1).look, 'ok', state);
    }
});
