// SPDX-License-Identifier: Apache-2.0
// fleet - every device in one table, what the whole looks like above it, filters in the address.
import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { useApp, useLoaded, useSeen, useTitle } from './context';
import type { Overview, Summary } from './model';
import { STATES, TRUSTS, count, isHardware, ms, nameOf, rootText, stateLabel, trustLabel } from './model';
import { Age, Badge, Empty, Icon, Link, Loading, Pages, Problem } from './parts';
import type { Filters } from './route';
import { NO_FILTERS, pathOf } from './route';

const PAGE = 100;
const TYPING_MS = 250;

export function Fleet(props: { filters: Filters; overview: Overview | undefined }): JSX.Element {
    useTitle('Fleet');
    const { go } = useApp();
    const f = props.filters;
    const api = new URLSearchParams({ limit: String(PAGE) });
    for (const [name, value] of [['q', f.q], ['trust', f.tier], ['state', f.state], ['zone', f.zone], ['model', f.model], ['after', f.after]] as const) {
        if (value !== '') {
            api.set(name, value);
        }
    }
    const list = useLoaded<{ devices: Summary[]; next: string | null }>(`/devices?${api}`, useSeen('devices'));
    const to = (change: Partial<Filters>): string => pathOf('fleet', '', { ...f, after: '', ...change });
    const isFiltered = f.q + f.tier + f.state + f.zone + f.model !== '';
    const body = useRef<HTMLTableSectionElement>(null);

    // Arrow keys walk from device to device.
    const walk = (e: KeyboardEvent): void => {
        if (e.key !== 'ArrowDown' && e.key !== 'ArrowUp') {
            return;
        }
        const links = [...(body.current?.querySelectorAll<HTMLElement>('a.device') ?? [])];
        const at = links.findIndex((l) => l === document.activeElement || l.closest('tr')?.contains(document.activeElement));
        const next = links[e.key === 'ArrowDown' ? at + 1 : at - 1];
        if (next) {
            e.preventDefault();
            next.focus();
        }
    };

    return (
        <>
            <h1 class="sr">Fleet</h1>
            {props.overview && <Counts overview={props.overview} filters={f} to={to} />}
            <Search filters={f} overview={props.overview} to={to} go={go} />
            {list.error && <Problem error={list.error} retry={list.reload} />}
            {list.isLoading && <Loading />}
            {list.data && list.data.devices.length === 0 && <Nothing isFiltered={isFiltered || f.after !== ''} isNew={props.overview?.devices.total === 0} />}
            {list.data && list.data.devices.length > 0 && (
                <div class="scroll" tabIndex={0} role="region" aria-label="Devices, scrollable">
                    <table class="list" onKeyDown={walk}>
                        <caption class="sr">Devices, in order of first contact</caption>
                        <thead>
                            <tr>
                                <th scope="col">Trust</th><th scope="col">Device</th><th scope="col">State</th><th scope="col">Reason</th>
                                <th scope="col">Zone</th><th scope="col">Site</th><th scope="col">Model</th><th scope="col">Root</th><th scope="col">Last proof</th>
                            </tr>
                        </thead>
                        <tbody ref={body}>{list.data.devices.map((d) => <Row key={d.id} device={d} />)}</tbody>
                    </table>
                </div>
            )}
            {list.data && <Pages isFirst={f.after === ''} next={list.data.next} first={to({})} to={(after) => to({ after })} />}
        </>
    );
}

function Row(props: { device: Summary }): JSX.Element {
    const d = props.device;
    const trust = trustLabel(d.trust);
    return (
        <tr class={trust.look} data-device={nameOf(d)} data-trust={d.trust} data-state={d.state}>
            <td><Badge label={trust} /></td>
            <th scope="row">
                <Link to={pathOf('device', d.id)} class="device">{nameOf(d)}</Link>
                {d.name !== '' && <span class="sub">{d.short}</span>}
                {d.position !== '' && d.position !== d.name && <span class="sub">{d.position}</span>}
            </th>
            <td><Badge label={stateLabel(d.state)} /></td>
            <td class="reason">{d.state === 'quarantined' || d.state === 'revoked' || d.state === 'retired' ? d.state_reason || d.reason : d.reason || d.state_reason || '–'}</td>
            <td class="nowrap">{d.zone || '–'}</td>
            <td class="nowrap">{d.site || '–'}</td>
            <td class="nowrap">{d.model || '–'}</td>
            <td><Root cls={d.root_class} /></td>
            <td class="num"><Age at={ms(d.as_of)} inRow /></td>
        </tr>
    );
}

/** What the chain hangs on. What is no hardware says so beside every tick. */
export function Root(props: { cls: string }): JSX.Element {
    return isHardware(props.cls)
        ? <span class="root">{rootText(props.cls)}</span>
        : <span class="root soft" title={props.cls === 'none' ? 'It cannot attest: nothing of it is proven.' : 'Not hardware of its own: whoever runs the machine underneath can change it.'}>{rootText(props.cls)}</span>;
}

function Counts(props: { overview: Overview; filters: Filters; to: (c: Partial<Filters>) => string }): JSX.Element {
    const d = props.overview.devices;
    return (
        <nav class="counts" aria-label="Devices by trust and state">
            <Link to={props.to({ tier: '', state: '' })} class="count" current={props.filters.tier === '' && props.filters.state === ''}>
                <b>{d.total}</b><span>All devices</span>
            </Link>
            {TRUSTS.map((t) => {
                const label = trustLabel(t);
                return (
                    <Link key={t} to={props.to({ tier: t, state: '' })} class={`count ${label.look}${count(d.trust, t) === 0 ? ' zero' : ''}`} current={props.filters.tier === t}>
                        <b>{count(d.trust, t)}</b><span><Icon look={label.look} />{label.text}</span>
                    </Link>
                );
            })}
            <Link to={props.to({ tier: '', state: 'quarantined' })} class={`count ${count(d.state, 'quarantined') > 0 ? 'bad' : 'zero'}`} current={props.filters.state === 'quarantined'}>
                <b>{count(d.state, 'quarantined')}</b><span><Icon look="bad" />Quarantined</span>
            </Link>
            <Link to={pathOf('waiting')} class={`count ${count(d.state, 'waiting') > 0 ? 'warn' : 'zero'}`}>
                <b>{count(d.state, 'waiting')}</b><span><Icon look="warn" />Waiting</span>
            </Link>
        </nav>
    );
}

function Search(props: { filters: Filters; overview: Overview | undefined; to: (c: Partial<Filters>) => string; go: (path: string, replace?: boolean) => void }): JSX.Element {
    const f = props.filters;
    const [q, setQ] = useState(f.q);
    const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
    const field = useRef<HTMLInputElement>(null);
    useEffect(() => {
        if (document.activeElement !== field.current) {
            setQ(f.q);
        }
    }, [f.q]);
    useEffect(() => () => clearTimeout(timer.current), []);
    useEffect(() => {
        const slash = (e: KeyboardEvent): void => {
            const at = e.target as HTMLElement | null;
            if (e.key === '/' && !e.ctrlKey && !e.metaKey && !at?.closest('input, textarea, select, dialog')) {
                e.preventDefault();
                field.current?.focus();
            }
        };
        addEventListener('keydown', slash);
        return () => removeEventListener('keydown', slash);
    }, []);
    const type = (value: string): void => {
        setQ(value);
        clearTimeout(timer.current);
        timer.current = setTimeout(() => props.go(props.to({ q: value }), true), TYPING_MS);
    };
    const zones = (props.overview?.zones ?? []).map((z) => z.zone).filter((z) => z !== '');
    const isFiltered = f.q + f.tier + f.state + f.zone + f.model !== '';
    return (
        <search class="filters">
            <div class="field grow">
                <label for="q">Search <kbd>/</kbd></label>
                <input id="q" type="search" ref={field} value={q} placeholder="Name, position, or beginning of the id" onInput={(e) => type(e.currentTarget.value)} />
            </div>
            <Choice id="tier" label="Trust" value={f.tier} options={[...TRUSTS, 'off'].map((t) => [t, trustLabel(t).text])} onPick={(tier) => props.go(props.to({ tier }))} />
            <Choice id="state" label="State" value={f.state} options={STATES.map((s) => [s, stateLabel(s).text])} onPick={(state) => props.go(props.to({ state }))} />
            <Choice id="zone" label="Zone" value={f.zone} options={[...new Set([...zones, ...(f.zone ? [f.zone] : [])])].map((z) => [z, z])} onPick={(zone) => props.go(props.to({ zone }))} />
            {isFiltered && <Link to={pathOf('fleet', '', NO_FILTERS)} class="button">Clear filters</Link>}
        </search>
    );
}

export function Choice(props: { id: string; label: string; value: string; options: (readonly [string, string])[]; onPick: (v: string) => void }): JSX.Element {
    return (
        <div class="field">
            <label for={props.id}>{props.label}</label>
            <select id={props.id} value={props.value} onChange={(e) => props.onPick(e.currentTarget.value)}>
                <option value="">All</option>
                {props.options.map(([v, t]) => <option key={v} value={v}>{t}</option>)}
            </select>
        </div>
    );
}

function Nothing(props: { isFiltered: boolean; isNew: boolean }): JSX.Element {
    if (props.isFiltered && !props.isNew) {
        return <Empty title="No device matches"><p>Fewer filters show more. <Link to={pathOf('fleet')}>Show all devices</Link></p></Empty>;
    }
    return (
        <Empty title="No device yet">
            <ol>
                <li>Make an invitation in the <Link to={pathOf('waiting')}>waiting room</Link>, or with <code>bedplate device invite</code>.</li>
                <li>On the device, run the line that it gives: <code>bedplate-agent enroll …</code></li>
                <li>A genuine device that comes without an invitation waits there for your yes.</li>
            </ol>
        </Empty>
    );
}
