// SPDX-License-Identifier: Apache-2.0
// route - the page's addresses: which view, which device, which filters; pure, both directions.

export type View = 'fleet' | 'device' | 'waiting' | 'releases' | 'policy' | 'events';

export interface Route {
    readonly view: View;
    /** Device id, for the view `device`. */
    readonly id: string;
    readonly filters: Filters;
}

/** What narrows a list. Empty text: not narrowed. */
export interface Filters {
    readonly q: string;
    readonly tier: string;
    readonly state: string;
    readonly zone: string;
    readonly model: string;
    readonly type: string;
    readonly device: string;
    readonly after: string;
}

export const NO_FILTERS: Filters = { q: '', tier: '', state: '', zone: '', model: '', type: '', device: '', after: '' };
const NAMES = Object.keys(NO_FILTERS) as (keyof Filters)[];
const VIEWS: readonly View[] = ['waiting', 'releases', 'policy', 'events'];
const LONGEST = 200;

/** Reads the filters of a query; unknown names and overlong values are dropped. */
export function filtersOf(query: string): Filters {
    const from = new URLSearchParams(query);
    const found: Record<string, string> = {};
    for (const name of NAMES) {
        const value = (from.get(name) ?? '').trim();
        found[name] = value.length <= LONGEST ? value : '';
    }
    return found as unknown as Filters;
}

/** "?a=b&c=d" of the filters that are set, in a fixed order; "" when none is. */
export function queryOf(filters: Partial<Filters>): string {
    const to = new URLSearchParams();
    for (const name of NAMES) {
        const value = (filters[name] ?? '').trim();
        if (value !== '') {
            to.set(name, value);
        }
    }
    const query = to.toString();
    return query === '' ? '' : `?${query}`;
}

export function routeOf(path: string, query: string): Route {
    const filters = filtersOf(query);
    const [, first = '', second = ''] = path.split('/');
    if (first === 'device' && second !== '') {
        let id = '';
        try {
            id = decodeURIComponent(second);
        } catch {
            id = '';
        }
        return /^[0-9A-Za-z_-]{1,128}$/.test(id) ? { view: 'device', id, filters } : { view: 'fleet', id: '', filters };
    }
    const view = VIEWS.find((v) => v === first);
    return { view: view ?? 'fleet', id: '', filters };
}

export function pathOf(view: View, id = '', filters: Partial<Filters> = {}): string {
    const path = view === 'fleet' ? '/' : view === 'device' ? `/device/${encodeURIComponent(id)}` : `/${view}`;
    return path + queryOf(filters);
}
