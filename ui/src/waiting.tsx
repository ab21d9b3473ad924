// SPDX-License-Identifier: Apache-2.0
// waiting - genuine devices that nobody knows yet, and invitations for those that are expected.
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { post } from './api';
import { useApp, useIsAdmin, useLoaded, useSeen, useTitle } from './context';
import { Root } from './fleet';
import type { Overview, Summary } from './model';
import { ms, nameOf, trustLabel } from './model';
import { Age, Badge, Copyable, Dialog, Empty, Field, Link, Loading, Pages, Problem, Reason, ShortId } from './parts';
import type { Filters } from './route';
import { pathOf } from './route';

export function Waiting(props: { filters: Filters; overview: Overview | undefined }): JSX.Element {
    useTitle('Waiting room');
    const after = props.filters.after;
    const isAdmin = useIsAdmin();
    const list = useLoaded<{ devices: Summary[]; next: string | null }>(
        `/devices?state=waiting&limit=100${after ? `&after=${encodeURIComponent(after)}` : ''}`, useSeen('devices'));
    const [approving, setApproving] = useState<Summary>();
    const [refusing, setRefusing] = useState<Summary>();
    const [invites, setInvites] = useState(false);
    const zones = (props.overview?.zones ?? []).map((z) => z.zone).filter((z) => z !== '');
    return (
        <>
            <div class="row spread">
                <div>
                    <h1>Waiting room</h1>
                    <p class="muted">These devices proved that their chip is genuine. Whether they are yours, only you can say. They leave by themselves after 24 hours.</p>
                </div>
                {isAdmin && <button type="button" data-act="invite" onClick={() => setInvites(true)}>Invite a device</button>}
            </div>
            {list.error && <Problem error={list.error} retry={list.reload} />}
            {list.isLoading && <Loading />}
            {list.data && list.data.devices.length === 0 && (
                <Empty title="Nobody is waiting">
                    <p>A genuine device that calls without an invitation shows up here. To expect one, make an invitation and type its line at the device.</p>
                </Empty>
            )}
            {list.data && list.data.devices.length > 0 && (
                <div class="scroll" tabIndex={0} role="region" aria-label="Waiting devices, scrollable">
                    <table class="list">
                        <caption class="sr">Devices that wait for approval</caption>
                        <thead><tr><th scope="col">Compare with the label</th><th scope="col">Root</th><th scope="col">From</th><th scope="col">Waits since</th><th scope="col">Evidence</th><th scope="col">Decide</th></tr></thead>
                        <tbody>
                            {list.data.devices.map((d) => (
                                <tr key={d.id} data-device={d.short}>
                                    <th scope="row"><Link to={pathOf('device', d.id)}><ShortId short={d.short} /></Link></th>
                                    <td><Root cls={d.root_class} /></td>
                                    <td>{d.source || '–'}</td>
                                    <td class="num"><Age at={ms(d.since ?? d.created)} inRow /></td>
                                    <td><Badge label={trustLabel(d.tier)} /> <span class="muted">{d.reason}</span></td>
                                    <td class="nowrap">
                                        {isAdmin && <button type="button" class="primary" data-act={`approve ${d.id}`} aria-label={`Approve ${d.short}`} onClick={() => setApproving(d)}>Approve</button>}{' '}
                                        {isAdmin && <button type="button" data-act={`refuse ${d.id}`} aria-label={`Refuse ${d.short}`} onClick={() => setRefusing(d)}>Refuse</button>}
                                        {!isAdmin && <span class="muted">An administrator decides.</span>}
                                    </td>
                                </tr>
                            ))}
                        </tbody>
                    </table>
                </div>
            )}
            {list.data && <Pages isFirst={after === ''} next={list.data.next} first={pathOf('waiting')} to={(a) => pathOf('waiting', '', { after: a })} />}
            {approving && <Approve device={approving} zones={zones} onClose={() => { setApproving(undefined); list.reload(); }} />}
            {refusing && <Refuse device={refusing} onClose={() => { setRefusing(undefined); list.reload(); }} />}
            {invites && <Invite zones={zones} onClose={() => setInvites(false)} />}
        </>
    );
}

function usePlace(): { zone: string; site: string; model: string; name: string; set: (v: Partial<{ zone: string; site: string; model: string; name: string }>) => void; body: () => Record<string, string> } {
    const [place, setPlace] = useState({ zone: '', site: '', model: '', name: '' });
    return {
        ...place,
        set: (v) => setPlace((p) => ({ ...p, ...v })),
        body: () => Object.fromEntries(Object.entries(place).map(([k, v]) => [k, v.trim()]).filter(([, v]) => v !== '')),
    };
}

function PlaceFields(props: { place: ReturnType<typeof usePlace>; zones: string[] }): JSX.Element {
    const p = props.place;
    return (
        <div class="grid2">
            <Field label="Zone" value={p.zone} onInput={(zone) => p.set({ zone })} required focus list={props.zones} help="Which releases and rules apply to it." />
            <Field label="Name" value={p.name} onInput={(name) => p.set({ name })} help="What you call it, as on its sign." />
            <Field label="Site" value={p.site} onInput={(site) => p.set({ site })} />
            <Field label="Model" value={p.model} onInput={(model) => p.set({ model })} help="Firmware is judged by model." />
        </div>
    );
}

function Approve(props: { device: Summary; zones: string[]; onClose: () => void }): JSX.Element {
    const { say } = useApp();
    const place = usePlace();
    const [isCompared, setCompared] = useState(false);
    return (
        <Dialog
            title="Approve this device?" action="Approve" canGo={isCompared && place.zone.trim() !== ''} onClose={props.onClose}
            onGo={async () => {
                await post(`/devices/${props.device.id}/approve`, place.body());
                say('Approved. It fetches its certificate at its next call.');
                props.onClose();
            }}
        >
            <p>It may then ask for a certificate and counts as yours. Compare this with what the device shows (its label, or <code>bedplate-agent status</code>):</p>
            <p class="compare"><ShortId short={props.device.short} /></p>
            <label class="check"><input type="checkbox" checked={isCompared} onChange={(e) => setCompared(e.currentTarget.checked)} /> All four groups are the same</label>
            <PlaceFields place={place} zones={props.zones} />
        </Dialog>
    );
}

function Refuse(props: { device: Summary; onClose: () => void }): JSX.Element {
    const { say } = useApp();
    const [reason, setReason] = useState('');
    return (
        <Dialog
            title={`Refuse ${nameOf(props.device)}?`} action="Refuse for good" isDanger canGo={reason.trim() !== ''} onClose={props.onClose}
            onGo={async () => {
                await post(`/devices/${props.device.id}/revoke`, { reason: reason.trim() });
                say('Refused for good.');
                props.onClose();
            }}
        >
            <p>Its keys are never accepted here again. <strong>This cannot be taken back.</strong> If you only are not sure, do nothing: it leaves by itself after 24 hours and may call again.</p>
            <Reason value={reason} onInput={setReason} hint="Not ours? Unknown address?" />
        </Dialog>
    );
}

function Invite(props: { zones: string[]; onClose: () => void }): JSX.Element {
    const place = usePlace();
    const [made, setMade] = useState<{ line: string; expires: string }>();
    if (made) {
        return (
            <Dialog title="Type this at the device" action="Done" onClose={props.onClose} onGo={async () => props.onClose()}>
                <p>The line works once, until <Age at={ms(made.expires)} />. Whoever has it can bring a device in: pass it on like a key. It is not shown again.</p>
                <p class="oneline"><Copyable text={made.line} label="the line" /></p>
            </Dialog>
        );
    }
    return (
        <Dialog
            title="Invite a device" action="Make the line" canGo={place.zone.trim() !== ''} onClose={props.onClose}
            onGo={async () => setMade(await post<{ line: string; expires: string }>('/invitations', place.body()))}
        >
            <p>An invited device skips the waiting room: the line that you type at the device is the proof that it is yours.</p>
            <PlaceFields place={place} zones={props.zones} />
        </Dialog>
    );
}
