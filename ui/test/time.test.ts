// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { absolute, nextTick, relative, span } from '../src/time';

const NOW = Date.UTC(2026, 0, 31, 12, 0, 0);

test('a span is told in its largest whole unit', () => {
    const rows: [number, string][] = [
        [0, '0 s'], [999, '0 s'], [1000, '1 s'], [59_999, '59 s'], [60_000, '1 min'], [3_599_999, '59 min'], [3_600_000, '1 h'],
        [86_399_999, '23 h'], [86_400_000, '1 d'], [86_400_000 * 400, '400 d'], [-5, '0 s'],
    ];
    for (const [ms, want] of rows) {
        assert.equal(span(ms), want);
    }
});

test('past and future are told apart', () => {
    assert.equal(relative(NOW - 4000, NOW), '4 s ago');
    assert.equal(relative(NOW + 120_000, NOW), 'in 2 min');
    assert.equal(relative(NOW + 300, NOW), 'now');
});

test('what never was is never', () => {
    for (const at of [0, null, undefined, NaN, Infinity]) {
        assert.equal(relative(at, NOW), 'never');
        assert.equal(absolute(at), 'never');
    }
});

test('the absolute time names its zone', () => {
    assert.equal(absolute(NOW), '2026-01-31 12:00:00 UTC');
});

test('fresh ages tick each second and old ones seldom', () => {
    assert.equal(nextTick(5000), 1000);
    assert.ok(nextTick(120_000) > 1000);
});
