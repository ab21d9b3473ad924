// SPDX-License-Identifier: Apache-2.0
// releases - what may run where. Accepting a release accepts its measurements.
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { post } from './api';
import { useApp, useIsAdmin, useLoaded, useSeen, useTitle } from './context';
import type { Overview, Release } from './model';
import { acceptanceLabel, digest, ms } from './model';
import { Age, Badge, Dialog, Empty, Field, Loading, Pages, Problem, Reason } from './parts';
import type { Filters } from './route';
import { pathOf } from './route';

type Act = 'accept' | 'deprecate' | 'withdraw';
const ACTS: Readonly<Record<Act, { verb: string; isDanger: boolean; says: string; hint: string; needsReason: boolean }>> = {
    accept: {
        verb: 'Accept', isDanger: false, needsReason: false, hint: 'Tested where, by whom?',
        says: 'Devices in this zone may run it from now on: everything it is made of counts as expected. Whoever can sign for this maker decides what that is.',
    },
    deprecate: {
        verb: 'Deprecate', isDanger: false, needsReason: true, hint: 'What replaces it?',
        says: 'Devices that run it show a warning from their next evidence on. They stay in service.',
    },
    withdraw: {
        verb: 'Withdraw', isDanger: true, needsReason: true, hint: 'What is wrong with it?',
        says: 'Devices that run it turn not trusted with their next evidence, within seconds. Rules may quarantine them. Update them first where you can.',
    },
};

export function Releases(props: { filters: Filters; overview: Overview | undefined }): JSX.Element {
    useTitle('Releases');
    const { say } = useApp();
    const isAdmin = useIsAdmin();
    const after = props.filters.after;
    const list = useLoaded<{ releases: Release[]; next: string | null }>(`/releases?limit=100${after ? `&after=${encodeURIComponent(after)}` : ''}`, useSeen('releases'));
    const [chosen, setChosen] = useState<{ act: Act; release: Release }>();
    const [zone, setZone] = useState('*');
    const [reason, setReason] = useState('');
    const zones = ['*', ...(props.overview?.zones ?? []).map((z) => z.zone).filter((z) => z !== '' && z !== '*')];
    const act = chosen ? ACTS[chosen.act] : undefined;
    return (
        <>
            <h1>Releases</h1>
            <p class="muted">What a maker signed. A device is trusted only while it runs a release that is accepted in its zone.</p>
            {list.error && <Problem error={list.error} retry={list.reload} />}
            {list.isLoading && <Loading />}
            {list.data && list.data.releases.length === 0 && (
                <Empty title="No release yet">
                    <p>Without an accepted release nothing is trusted: devices show as not appraised.</p>
                    <ol>
                        <li>Make one from an image: <code>bedplate release create … --uki FILE</code>, or from a device’s log: <code>--from-log FILE</code></li>
                        <li><code>bedplate release sign</code>, then <code>bedplate release publish</code></li>
                        <li>Accept it here.</li>
                    </ol>
                </Empty>
            )}
            {list.data && list.data.releases.length > 0 && (
                <div class="scroll" tabIndex={0} role="region" aria-label="Releases, scrollable">
                    <table class="list">
                        <caption class="sr">Releases, newest first</caption>
                        <thead><tr><th scope="col">Release</th><th scope="col">Model</th><th scope="col">Counter</th><th scope="col">State by zone</th><th scope="col">Imported</th><th scope="col">Decide</th></tr></thead>
                        <tbody>
                            {list.data.releases.map((r) => (
                                <tr key={r.id} data-release={`${r.product} ${r.version}`}>
                                    <th scope="row">{r.product} {r.version}<span class="sub" title={r.id}>{digest(r.id)}</span></th>
                                    <td class="nowrap">{r.model || 'every model'}</td>
                                    <td class="num">{r.counter}</td>
                                    <td>
                                        {r.acceptances.length === 0 && <Badge label={acceptanceLabel('')} />}
                                        {r.acceptances.map((a) => (
                                            <div key={a.zone} class="acceptance">
                                                <Badge label={acceptanceLabel(a.state)} /> {a.zone === '*' ? 'every zone' : a.zone}
                                                <span class="muted"> by {a.by}, <Age at={ms(a.at)} inRow />{a.reason !== '' && `: ${a.reason}`}</span>
                                            </div>
                                        ))}
                                    </td>
                                    <td><Age at={ms(r.imported)} inRow /> <span class="muted">by {r.by}</span></td>
                                    <td class="nowrap">
                                        {isAdmin && (Object.keys(ACTS) as Act[]).map((a) => (
                                            <button
                                                key={a} type="button" class={a === 'withdraw' ? 'small quiet-danger' : 'small'} data-act={`${a} ${r.id}`} aria-label={`${ACTS[a].verb} ${r.product} ${r.version}`}
                                                onClick={() => { setZone(a === 'accept' ? '*' : r.acceptances[0]?.zone ?? '*'); setReason(''); setChosen({ act: a, release: r }); }}
                                            >{ACTS[a].verb}</button>
                                        ))}
                                        {!isAdmin && <span class="muted">An administrator decides.</span>}
                                    </td>
                                </tr>
                            ))}
                        </tbody>
                    </table>
                </div>
            )}
            {list.data && <Pages isFirst={after === ''} next={list.data.next} first={pathOf('releases')} to={(a) => pathOf('releases', '', { after: a })} />}
            {chosen && act && (
                <Dialog
                    title={`${act.verb} ${chosen.release.product} ${chosen.release.version}?`} action={act.verb} isDanger={act.isDanger}
                    canGo={zone.trim() !== '' && (!act.needsReason || reason.trim() !== '')} onClose={() => setChosen(undefined)}
                    onGo={async () => {
                        const why = reason.trim();
                        await post(`/releases/${chosen.release.id}/${chosen.act}`, { zone: zone.trim(), ...(why === '' ? {} : { reason: why }) });
                        say(`${chosen.release.product} ${chosen.release.version}: done.`);
                        setChosen(undefined);
                        list.reload();
                    }}
                >
                    <p>{act.says}</p>
                    <Field label="Zone" value={zone} onInput={setZone} required list={zones} help="* is every zone." />
                    <Reason value={reason} onInput={setReason} hint={act.hint} required={act.needsReason} />
                </Dialog>
            )}
        </>
    );
}
