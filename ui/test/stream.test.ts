// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Reader, START, backoff, changeOf, reduce, topicsOf } from '../src/stream';
import type { Change, Live } from '../src/stream';

const change = (number: number, type = 'verdict', pseudonym: string | null = 'P1'): Change => (
    { number, type, pseudonym, time: '', severity: 'info', actor: '', zone: '', text: '' });
const told = (s: Live, c: Change): Live => reduce(s, { kind: 'change', change: c });

test('messages are read however the bytes are cut', () => {
    const text = ': hello\r\n\r\nevent: change\ndata: {"a":\ndata: 1}\n\nid: 7\r\ndata: x\r\n\r\n';
    for (let size = 1; size <= text.length; size++) {
        const r = new Reader();
        const got = [];
        for (let at = 0; at < text.length; at += size) {
            got.push(...r.feed(text.slice(at, at + size)));
        }
        assert.deepEqual(got, [{ event: 'change', data: '{"a":\n1}' }, { event: 'message', data: 'x' }], `pieces of ${size}`);
    }
});

test('comments and empty messages say nothing', () => {
    assert.deepEqual(new Reader().feed(':\n\n:\n\nevent: change\n\n'), []);
});

test('a message without end is refused, not kept', () => {
    const r = new Reader();
    assert.throws(() => {
        for (let i = 0; i < 40; i++) {
            r.feed('data: ' + 'x'.repeat(10_000) + '\n');
        }
    });
    assert.throws(() => new Reader().feed('x'.repeat(Reader.LIMIT + 1)));
});

test('only a well formed change counts', () => {
    for (const bad of ['', 'null', '[]', '7', '{}', '{"number":"7"}', '{"number":0}', '{"number":1.5}', '{"number":']) {
        assert.equal(changeOf(bad), null, bad);
    }
    const c = changeOf('{"number":7,"type":"trust-lost","pseudonym":"","text":5}');
    assert.deepEqual(c, { number: 7, type: 'trust-lost', pseudonym: null, time: '', severity: '', actor: '', zone: '', text: '' });
});

test('a change makes its lists and its device old', () => {
    const s = told({ ...START, last: 6 }, change(7));
    assert.equal(s.last, 7);
    assert.equal(s.seen.events, 1);
    assert.equal(s.seen.devices, 1);
    assert.equal(s.seen.releases, 0);
    assert.equal(s.devices.get('P1'), 7);
    assert.equal(s.devices.get('P2'), undefined);
});

test('a change that was told before changes nothing', () => {
    const s = told(START, change(7));
    assert.equal(told(s, change(7)), s);
    assert.equal(told(s, change(3)), s);
});

test('a gap in the numbers makes everything old', () => {
    const s = told(told(START, change(7)), change(9, 'signed-in', null));
    assert.equal(s.seen.releases, 1);
    assert.equal(s.seen.policy, 1);
    assert.equal(s.seen.devices, 2);
});

test('coming back makes everything old and the first start does not', () => {
    const first = reduce(START, { kind: 'open' });
    assert.equal(first.status, 'live');
    assert.deepEqual(first.seen, START.seen);
    const lost = reduce(first, { kind: 'lost' });
    assert.equal(lost.status, 'reconnecting');
    assert.equal(lost.attempt, 1);
    const back = reduce(lost, { kind: 'open' });
    assert.equal(back.status, 'live');
    assert.equal(back.attempt, 0);
    assert.ok(Object.values(back.seen).every((n) => n === 1));
});

test('attempts are counted while it stays lost', () => {
    const s = reduce(reduce(reduce(START, { kind: 'lost' }), { kind: 'lost' }), { kind: 'lost' });
    assert.equal(s.attempt, 3);
});

test('what is kept of devices is bounded', () => {
    let s = START;
    for (let n = 1; n <= 5000; n++) {
        s = told(s, change(n, 'verdict', `P${n}`));
    }
    assert.ok(s.devices.size <= 2000);
    assert.equal(s.devices.get('P5000'), 5000);
});

test('event types lead to the lists they touch', () => {
    assert.deepEqual(topicsOf('release-accepted', false), ['events', 'releases']);
    assert.deepEqual(topicsOf('policy-published', false), ['events', 'policy']);
    assert.deepEqual(topicsOf('trust-lost', true), ['events', 'devices']);
    assert.deepEqual(topicsOf('waiting-expired', false), ['events', 'devices']);
    assert.deepEqual(topicsOf('signed-in', false), ['events']);
});

test('waiting doubles up to half a minute and chance only shortens it', () => {
    assert.equal(backoff(1, 0), 1000);
    assert.equal(backoff(2, 0), 2000);
    assert.equal(backoff(6, 0), 30_000);
    assert.equal(backoff(1000, 0), 30_000);
    assert.equal(backoff(0, 0), 1000);
    assert.equal(backoff(3, 0.999), 2002);
});
