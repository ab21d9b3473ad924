// SPDX-License-Identifier: Apache-2.0
// events - the log as people read it: newest first, growing while one looks.
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { ApiError, get } from './api';
import { useApp, useLoaded, useSeen, useTitle } from './context';
import { Choice } from './fleet';
import type { Event, Overview } from './model';
import { ms, severityLabel } from './model';
import { Age, Badge, Empty, Link, Loading, Problem } from './parts';
import type { Filters } from './route';
import { pathOf } from './route';

const PAGE = 100;
const MOST = 1000;
/** Types that a person filters by; the address takes any other, too. */
const TYPES: readonly (readonly [string, string])[] = [
    ['trust-lost', 'Trust lost'], ['trust-gained', 'Trust gained'], ['verdict', 'Verdict'], ['evidence-refused', 'Evidence refused'],
    ['device-waiting', 'Device waiting'], ['device-quarantined', 'Quarantined'], ['device-released', 'Released'], ['device-revoked', 'Revoked'],
    ['device-silent', 'Silent'], ['device-heard', 'Heard again'], ['contact-refused', 'Contact refused'], ['certificate-issued', 'Certificate issued'],
    ['certificate-refused', 'Certificate refused'], ['release-accepted', 'Release accepted'], ['release-withdrawn', 'Release withdrawn'],
    ['policy-published', 'Policy published'], ['signed-in', 'Signed in'], ['sign-in-refused', 'Sign-in refused'],
];

export function Events(props: { filters: Filters; overview: Overview | undefined }): JSX.Element {
    useTitle('Events');
    const { go, live } = useApp();
    const f = props.filters;
    const narrow = `${f.type ? `&type=${encodeURIComponent(f.type)}` : ''}${f.device ? `&device=${encodeURIComponent(f.device)}` : ''}`;
    const [isPaused, setPaused] = useState(false);
    const [held, setHeld] = useState(0);
    const seen = useSeen('events');
    const newest = useLoaded<{ events: Event[]; next: string | null }>(`/events?limit=${PAGE}${narrow}`, isPaused ? held : seen);
    const [older, setOlder] = useState<{ of: string; events: Event[]; next: string | null }>({ of: '', events: [], next: null });
    const [error, setError] = useState<ApiError>();
    useEffect(() => setOlder({ of: narrow, events: [], next: null }), [narrow]);

    const first = newest.data?.events ?? [];
    const tail = first.length > 0 ? first[first.length - 1] : undefined;
    const more = older.of === narrow ? older : { events: [], next: null };
    // The newest page moves on while older ones stay: what lies in both is shown once, and what fell between is read again on demand.
    const rows = [...first, ...more.events.filter((e) => !tail || e.number < tail.number)];
    const next = more.events.length > 0 ? more.next : newest.data?.next ?? null;

    const readOlder = async (): Promise<void> => {
        if (!next) {
            return;
        }
        setError(undefined);
        try {
            const got = await get<{ events: Event[]; next: string | null }>(`/events?limit=${PAGE}${narrow}&before=${encodeURIComponent(next)}`);
            // The newest page is held while one reads back, so that no gap opens between them.
            setPaused(true);
            setHeld(seen);
            setOlder({ of: narrow, events: [...rows.slice(first.length), ...got.events], next: got.next });
        } catch (e) {
            setError(e instanceof ApiError ? e : new ApiError(0, 'page', String(e)));
        }
    };
    const resume = (): void => {
        setOlder({ of: narrow, events: [], next: null });
        setPaused(false);
    };
    const pause = (): void => {
        setHeld(seen);
        setPaused(true);
    };

    const types = TYPES.some(([t]) => t === f.type) || f.type === '' ? TYPES : [...TYPES, [f.type, f.type] as const];
    return (
        <>
            <div class="row spread">
                <div>
                    <h1>Events</h1>
                    <p class="muted">
                        Every act and finding, in a log that cannot be rewritten unseen.{' '}
                        {props.overview && <>{props.overview.head.size} events, the newest signed head covers {props.overview.head.signed_size}.</>}
                    </p>
                </div>
                <button type="button" aria-pressed={isPaused} onClick={isPaused ? resume : pause}>{isPaused ? 'Follow again' : 'Pause'}</button>
            </div>
            <search class="filters">
                <Choice id="type" label="Type" value={f.type} options={[...types]} onPick={(type) => go(pathOf('events', '', { ...f, type }))} />
                {f.device !== '' && <p class="chip">One device: <Link to={pathOf('device', f.device)}>{first[0]?.device_name || `${f.device.slice(0, 12)}…`}</Link></p>}
                {(f.type !== '' || f.device !== '') && <Link to={pathOf('events')} class="button">Clear filters</Link>}
                {isPaused && live.last > 0 && <p class="muted" role="status">Paused. New events are not shown.</p>}
            </search>
            {(newest.error ?? error) && <Problem error={(newest.error ?? error) as ApiError} retry={newest.reload} />}
            {newest.isLoading && <Loading />}
            {newest.data && rows.length === 0 && <Empty title="No such event"><p>Nothing of this kind has happened. <Link to={pathOf('events')}>Show all events</Link></p></Empty>}
            {rows.length > 0 && (
                <div class="scroll" tabIndex={0} role="region" aria-label="Events, scrollable">
                    <table class="list events">
                        <caption class="sr">Events, newest first</caption>
                        <thead><tr><th scope="col">No.</th><th scope="col">When</th><th scope="col">Weight</th><th scope="col">What happened</th><th scope="col">Device</th><th scope="col">By</th><th scope="col">Type</th></tr></thead>
                        <tbody>
                            {rows.map((e) => (
                                <tr key={e.number}>
                                    <td class="num">{e.number}</td>
                                    <td class="num"><Age at={ms(e.time)} inRow /></td>
                                    <td><Badge label={severityLabel(e.severity)} /></td>
                                    <td class="reason">{e.erased ? <span class="muted">Erased; its proof stands.</span> : e.text}</td>
                                    <td>{e.device ? <Link to={pathOf('device', e.device)}>{e.device_name || `${e.device.slice(2, 12)}…`}</Link> : '–'}</td>
                                    <td>{e.actor || '–'}</td>
                                    <td><code>{e.type}</code>{e.attack !== '' && <span class="sub" title="MITRE ATT&CK for ICS">{e.attack}</span>}</td>
                                </tr>
                            ))}
                        </tbody>
                    </table>
                </div>
            )}
            {next && rows.length < MOST && <div class="pages"><button type="button" onClick={() => void readOlder()}>Older events</button></div>}
        </>
    );
}
