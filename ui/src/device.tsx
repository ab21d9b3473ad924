// SPDX-License-Identifier: Apache-2.0
// device - everything about one device: is it trusted, why, what does that not prove, and what to do about it.
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { post } from './api';
import { Chain } from './chain';
import { useApp, useIsAdmin, useLoaded, useTitle } from './context';
import { Root } from './fleet';
import type { Device as DeviceData, Event, Summary, Verdict } from './model';
import { applications, certificateLabel, digest, effectLabel, isSpareFor, ms, nameOf, rootText, severityLabel, stateLabel, trustLabel } from './model';
import { Age, Badge, Copyable, Dialog, Icon, Link, Loading, Problem, Reason, ShortId } from './parts';
import { pathOf } from './route';

export function Device(props: { id: string }): JSX.Element {
    const { live } = useApp();
    const [known, setKnown] = useState('');
    // Until the pseudonym is known, any device's change may be this one's.
    const version = (live.devices.get(known) ?? 0) + live.seen.releases + live.seen.policy;
    const device = useLoaded<DeviceData>(`/devices/${props.id}`, version);
    const d = device.data;
    useEffect(() => setKnown(d?.pseudonym ?? ''), [d?.pseudonym]);
    useTitle(d ? nameOf(d) : 'Device');

    if (device.error && !d) {
        return device.error.status === 404
            ? <div class="empty"><h1>No such device</h1><p>It may have been typed wrong. <Link to="/">Back to the fleet</Link></p></div>
            : <Problem error={device.error} retry={device.reload} />;
    }
    if (!d) {
        return <Loading />;
    }
    return (
        <>
            <Head device={d} reload={device.reload} />
            {device.error && <Problem error={device.error} retry={device.reload} />}
            <Chain tiles={d.chain} />
            <div class="columns">
                <div>
                    <Findings device={d} />
                    <Timeline id={d.id} version={version} />
                </div>
                <Facts device={d} />
            </div>
        </>
    );
}

function Head(props: { device: DeviceData; reload: () => void }): JSX.Element {
    const d = props.device;
    const trust = trustLabel(d.trust);
    const away = d.state === 'quarantined' || d.state === 'revoked' || d.state === 'retired';
    return (
        <header class={`head ${trust.look}`}>
            <p class="crumb"><Link to="/">Fleet</Link> / {d.zone || 'no zone'}</p>
            <div class="row">
                <h1>{nameOf(d)}</h1>
                <Badge label={trust} big />
                <Badge label={stateLabel(d.state)} big />
                <Root cls={d.root_class} />
            </div>
            <p class="why" id="why">{d.reason || trust.meaning}</p>
            {away && (
                <p class="note">
                    <Icon look={stateLabel(d.state).look} />
                    <span>
                        {stateLabel(d.state).text} since <Age at={ms(d.quarantine?.since ?? d.since)} />
                        {d.quarantine ? (d.quarantine.automatic ? ', by a rule' : ', by a person') : ''}: {d.quarantine?.reason || d.state_reason || 'no reason given'}
                        {d.state === 'quarantined' && '. Marked here; network equipment was not told.'}
                    </span>
                </p>
            )}
            {d.root.does_not_prove !== '' && <p class="limit"><strong>Does not prove:</strong> {d.root.does_not_prove}</p>}
            <Actions device={d} reload={props.reload} />
        </header>
    );
}

type Act = 'quarantine' | 'release' | 'revoke' | 'retire';
const ACTS: Readonly<Record<Act, { verb: string; from: readonly string[]; isDanger: boolean; hint: string; says: (d: DeviceData) => JSX.Element }>> = {
    quarantine: {
        verb: 'Quarantine', from: ['enrolled', 'active'], isDanger: true, hint: 'What makes you doubt it?',
        says: () => (
            <ul>
                <li>Everything that asks Bedplate about this device is told no, from this moment.</li>
                <li>It may still attest, send events and renew its management certificate, so that you can see what it does.</li>
                <li>It is marked here only: switches and firewalls are not told.</li>
                <li>You can take it back with Release.</li>
            </ul>
        ),
    },
    release: {
        verb: 'Release', from: ['quarantined'], isDanger: false, hint: 'What was found, and why is it all right now?',
        says: (d) => (
            <ul>
                <li>The device goes back to {stateLabel(d.quarantine?.before ?? 'active').text.toLowerCase()} and counts as its evidence says: {trustLabel(d.trust).text.toLowerCase()} now.</li>
                {d.quarantine?.automatic && <li>A rule put it in quarantine. While the cause is there, the rule will do so again.</li>}
            </ul>
        ),
    },
    revoke: {
        verb: 'Revoke', from: ['waiting', 'claimed', 'enrolled', 'active', 'quarantined'], isDanger: true, hint: 'Why may it never come back?',
        says: () => (
            <ul>
                <li>The device is off <strong>for good</strong>: its connections are cut and its certificates revoked within a second.</li>
                <li>Its keys are never accepted again. To come back it needs a new identity, and a new approval.</li>
                <li><strong>This cannot be taken back.</strong></li>
            </ul>
        ),
    },
    retire: {
        verb: 'Retire', from: ['claimed', 'enrolled', 'active', 'quarantined'], isDanger: true, hint: 'Scrapped, replaced, sold?',
        says: () => (
            <ul>
                <li>The device leaves the fleet <strong>for good</strong>: its certificates end and its keys are never accepted again.</li>
                <li>What it did stays in the log. <strong>This cannot be taken back.</strong></li>
            </ul>
        ),
    },
};

function Actions(props: { device: DeviceData; reload: () => void }): JSX.Element {
    const d = props.device;
    const { say } = useApp();
    const isAdmin = useIsAdmin();
    const [act, setAct] = useState<Act>();
    const [reason, setReason] = useState('');
    const [replaces, setReplaces] = useState(false);
    const chosen = act ? ACTS[act] : undefined;
    const offered = (Object.keys(ACTS) as Act[]).filter((a) => ACTS[a].from.includes(d.state));
    return (
        <div class="row actions">
            {isAdmin && d.state === 'waiting' && <Link to={pathOf('waiting')} class="button primary">Approve in the waiting room</Link>}
            {isAdmin && offered.map((a) => (
                <button key={a} type="button" data-act={`${a} ${d.id}`} class={a === 'revoke' || a === 'retire' ? 'quiet-danger' : ''} onClick={() => { setReason(''); setAct(a); }}>{ACTS[a].verb}</button>
            ))}
            {isAdmin && d.position !== '' && <button type="button" data-act={`replace ${d.id}`} class="quiet-danger" onClick={() => setReplaces(true)}>Replace</button>}
            {!isAdmin && <span class="muted">You may look, not act: your role is {useApp().session.role || 'viewer'}.</span>}
            {d.verdict !== null && d.verdict !== undefined && (
                <a class="button" href={`/api/v1/devices/${d.id}/bundle`} download={`${nameOf(d)}-${d.verdict}.bundle`}>Download proof</a>
            )}
            {replaces && <Replace device={d} onClose={() => { setReplaces(false); props.reload(); }} />}
            {act && chosen && (
                <Dialog
                    title={`${chosen.verb} ${nameOf(d)}?`} action={chosen.verb} isDanger={chosen.isDanger} canGo={reason.trim() !== ''} onClose={() => setAct(undefined)}
                    onGo={async () => {
                        await post(`/devices/${d.id}/${act}`, { reason: reason.trim() });
                        say(`${nameOf(d)}: ${chosen.verb.toLowerCase()} done.`);
                        setAct(undefined);
                        props.reload();
                    }}
                >
                    <p><ShortId short={d.short} /></p>
                    {chosen.says(d)}
                    <Reason value={reason} onInput={setReason} hint={chosen.hint} />
                </Dialog>
            )}
        </div>
    );
}

/** Moves the position of a device to a spare. Only what may take it over is offered; the server looks again. */
function Replace(props: { device: DeviceData; onClose: () => void }): JSX.Element {
    const d = props.device;
    const { say } = useApp();
    const [spare, setSpare] = useState('');
    const [reason, setReason] = useState('');
    const list = useLoaded<{ devices: Summary[] }>('/devices?state=active&limit=500', 0);
    const spares = (list.data?.devices ?? []).filter((s) => s.id !== d.id && isSpareFor(s, d.model));
    return (
        <Dialog
            title={`Replace the device at ${d.position}?`} action="Replace" isDanger canGo={spare !== ''} onClose={props.onClose}
            onGo={async () => {
                await post(`/positions/${encodeURIComponent(d.position)}/replace`, { device: spare, ...(reason.trim() === '' ? {} : { reason: reason.trim() }) });
                say(`${d.position}: the spare took over.`);
                props.onClose();
            }}
        >
            <p><ShortId short={d.short} /></p>
            <ul>
                <li>The spare gets name, zone and site of {d.position}, and with them its releases and rules.</li>
                <li>This device leaves the fleet <strong>for good</strong>: its connections are cut, its certificates end, its keys are never accepted again. No key goes along.</li>
                <li><strong>This cannot be taken back.</strong></li>
            </ul>
            {list.error && <Problem error={list.error} retry={list.reload} />}
            {list.data && spares.length === 0
                ? <p class="note" id="no-spare">No device can take over: it must be active, trusted, heard in time, of this model, and fill no position. Bring one in through the waiting room first.</p>
                : (
                    <div class="field">
                        <label for="spare">Spare</label>
                        <select id="spare" value={spare} required data-focus onChange={(e) => setSpare(e.currentTarget.value)}>
                            <option value="">{list.data ? 'Choose one' : 'Reading…'}</option>
                            {spares.map((s) => <option key={s.id} value={s.id}>{s.short}{s.name === '' ? '' : `, ${s.name}`}{s.zone === '' ? '' : `, ${s.zone}`}</option>)}
                        </select>
                    </div>
                )}
            <Reason value={reason} onInput={setReason} required={false} hint="Dead, broken, stolen?" />
        </Dialog>
    );
}

function Findings(props: { device: DeviceData }): JSX.Element {
    const list = props.device.findings;
    return (
        <section class="card" aria-labelledby="findings">
            <h2 id="findings">Findings</h2>
            {list.length === 0
                ? <p class="muted">{props.device.verdict === null ? 'No evidence was appraised yet.' : 'Nothing to remark in the last evidence.'}</p>
                : (
                    <ul class="findings">
                        {list.map((f, i) => (
                            <li key={`${f.code}${i}`}><Badge label={effectLabel(f.effect)} /><span>{f.text} <code class="muted">{f.code}</code></span></li>
                        ))}
                    </ul>
                )}
        </section>
    );
}

type Line = { key: string; at: number; label: JSX.Element; text: string; by: string };

function Timeline(props: { id: string; version: number }): JSX.Element {
    const verdicts = useLoaded<{ verdicts: Verdict[] }>(`/devices/${props.id}/verdicts?limit=30`, props.version);
    const events = useLoaded<{ events: Event[] }>(`/events?device=${props.id}&limit=60`, props.version);
    const lines: Line[] = [];
    let last = '';
    // Equal verdicts in a row are one line: the newest, with how many there were.
    for (const v of verdicts.data?.verdicts ?? []) {
        const said = `${v.tier}|${v.reason}`;
        const top = lines[lines.length - 1];
        if (said === last && top) {
            top.by = `${Number(top.by.split(' ')[0] || '1') + 1} in a row`;
        } else {
            lines.push({ key: `v${v.number}`, at: ms(v.as_of || v.time), label: <Badge label={trustLabel(v.tier)} />, text: v.reason, by: '1 verdict' });
        }
        last = said;
    }
    for (const e of events.data?.events ?? []) {
        if (e.type !== 'verdict') {
            lines.push({ key: `e${e.number}`, at: ms(e.time), label: <Badge label={severityLabel(e.severity)} />, text: e.text, by: e.actor });
        }
    }
    lines.sort((a, b) => b.at - a.at);
    const error = verdicts.error ?? events.error;
    return (
        <section class="card" aria-labelledby="timeline">
            <div class="row spread"><h2 id="timeline">Timeline</h2><Link to={pathOf('events', '', { device: props.id })}>All events</Link></div>
            {error && <Problem error={error} retry={() => { verdicts.reload(); events.reload(); }} />}
            {!error && lines.length === 0 && <p class="muted">{verdicts.isLoading || events.isLoading ? 'Reading…' : 'Nothing happened yet.'}</p>}
            <ol class="timeline">
                {lines.map((l) => (
                    <li key={l.key}><Age at={l.at} />{l.label}<span>{l.text}{l.by !== '' && <span class="muted"> · {l.by}</span>}</span></li>
                ))}
            </ol>
        </section>
    );
}

const KEYS: Readonly<Record<string, string>> = {
    ek: 'Endorsement key', ak: 'Attestation key', ldevid: 'Session key (LDevID)', idevid: 'Maker’s key (IDevID)', brownfield: 'Brownfield key',
};

/** What programs of the device hold certificates for; they go on while this server is away. */
function Applications({ all }: { all: DeviceData['certificates'] }): JSX.Element | null {
    const list = applications(all);
    return list.length === 0 ? null : (
        <>
            <h3>Certificates of applications</h3>
            <p class="muted">They hold while this server is away, until their end.</p>
            <table class="list">
                <caption class="sr">The newest certificate of each service</caption>
                <thead><tr><th scope="col">Service</th><th scope="col">State</th><th scope="col">Ends</th></tr></thead>
                <tbody>
                    {list.map((c) => (
                        <tr key={c.serial}>
                            <td>{c.service} <span class="muted">{c.profile}</span></td>
                            <td><Badge label={certificateLabel(c, Date.now())} /></td>
                            <td><Age at={ms(c.not_after)} /></td>
                        </tr>
                    ))}
                </tbody>
            </table>
        </>
    );
}

function Facts(props: { device: DeviceData }): JSX.Element {
    const d = props.device;
    return (
        <section class="card facts" aria-labelledby="facts">
            <h2 id="facts">Facts</h2>
            <dl>
                <dt>Id, to compare</dt><dd><ShortId short={d.short} /></dd>
                <dt>Whole id</dt><dd><Copyable text={d.id} label="the whole id" /></dd>
                <dt>Position</dt><dd>{d.position || 'none'}</dd>
                <dt>Zone, site</dt><dd>{d.zone || '–'}, {d.site || '–'}</dd>
                <dt>Model</dt><dd>{d.model || '–'}</dd>
                <dt>Root</dt><dd>{rootText(d.root.class)} ({d.root.kind})</dd>
                <dt>First contact</dt><dd><Age at={ms(d.created)} />{d.source !== '' && <span class="muted"> from {d.source}</span>}</dd>
                <dt>Last heard</dt><dd><Age at={ms(d.heard)} /></dd>
                <dt>Verdict as of</dt><dd><Age at={ms(d.as_of)} never="no verdict yet" /></dd>
                <dt>Silent from</dt><dd><Age at={ms(d.due)} never="not watched" /></dd>
                <dt>In this state</dt><dd>since <Age at={ms(d.since)} /></dd>
                <dt>Releases that run</dt><dd>{d.releases.length === 0 ? 'none that is known' : d.releases.map((r) => <code key={r} title={r}>{digest(r)} </code>)}</dd>
            </dl>
            <h3>Certificate</h3>
            {d.certificate
                ? (
                    <dl>
                        <dt>For</dt><dd>{d.certificate.profile}{d.certificate.profile === 'brownfield' && ' (not appraised)'}</dd>
                        <dt>State</dt><dd><Badge label={certificateLabel(d.certificate, Date.now())} /></dd>
                        <dt>Valid</dt><dd>from <Age at={ms(d.certificate.not_before)} />, ends <Age at={ms(d.certificate.not_after)} /></dd>
                        <dt>Serial</dt><dd><code>{d.certificate.serial}</code></dd>
                    </dl>
                )
                : <p class="muted">None.</p>}
            <Applications all={d.certificates} />
            <h3>Keys</h3>
            {d.keys.length === 0
                ? <p class="muted">None known.</p>
                : <dl>{d.keys.map((k) => <><dt>{KEYS[k.role] ?? k.role}{k.alias && ', alias'}</dt><dd><code title={k.spki}>{digest(k.spki)}</code>{k.since && <> since <Age at={ms(k.since)} /></>}{k.tombstone && <span class="muted"> off</span>}</dd></>)}</dl>}
            <details>
                <summary>Claims that the policy may use</summary>
                <dl>{Object.entries(d.claims).map(([n, v]) => <><dt>{n}</dt><dd><code>{typeof v === 'string' && v.length > 40 ? digest(v, 16) : String(v)}</code></dd></>)}</dl>
            </details>
            {Object.keys(d.info).length > 0 && (
                <details>
                    <summary>What the device says of itself (shown, never trusted)</summary>
                    <dl>{Object.entries(d.info).map(([n, v]) => <><dt>{n}</dt><dd>{v}</dd></>)}</dl>
                </details>
            )}
        </section>
    );
}
