// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NO_FILTERS, filtersOf, pathOf, queryOf, routeOf } from '../src/route';

test('filters survive the way there and back', () => {
    const f = { ...NO_FILTERS, q: 'pump & valve = 50 %', tier: 'warning', zone: 'Halle 3/süd' };
    assert.deepEqual(filtersOf(queryOf(f)), f);
});

test('no filters is no query', () => {
    assert.equal(queryOf(NO_FILTERS), '');
    assert.equal(queryOf({ q: '   ' }), '');
    assert.equal(pathOf('fleet'), '/');
});

test('unknown names and overlong values are dropped', () => {
    assert.deepEqual(filtersOf('?evil=1&q=' + 'a'.repeat(201)), NO_FILTERS);
});

test('the order of names is fixed so that equal filters have equal addresses', () => {
    assert.equal(queryOf({ zone: 'a', q: 'b' }), '?q=b&zone=a');
});

test('every view has an address that leads to it', () => {
    for (const view of ['fleet', 'waiting', 'releases', 'policy', 'events'] as const) {
        assert.equal(routeOf(pathOf(view), '').view, view);
    }
});

test('a device address carries its id and its filters', () => {
    const r = routeOf('/device/01abCD', '?type=verdict');
    assert.equal(r.view, 'device');
    assert.equal(r.id, '01abCD');
    assert.equal(r.filters.type, 'verdict');
});

test('an address that is none of ours shows the fleet', () => {
    assert.equal(routeOf('/device/%E0%A4%A', '').view, 'fleet');
    assert.equal(routeOf('/device/a%2Fb', '').view, 'fleet');
    assert.equal(routeOf('/device/', '').view, 'fleet');
    assert.equal(routeOf('/nowhere', '').view, 'fleet');
});
