// SPDX-License-Identifier: Apache-2.0
// policy - the rules that turn claims into yes or no: reading them, and publishing others.
import type { JSX } from 'preact';
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { ApiError, postText, put } from './api';
import { useApp, useIsAdmin, useLoaded, useSeen, useTitle } from './context';
import type { DryRun, Judged, Label, Policy as PolicyData } from './model';
import { digest, ms, nameOf, offsetOf, placeIn, policyYaml, trustLabel } from './model';
import { Age, Badge, Empty, Link, Loading, Problem } from './parts';
import { pathOf } from './route';

const VERDICTS: Readonly<Record<string, Label>> = {
    permit: { look: 'ok', text: 'Permit', meaning: 'Fires only when its expression is true.' },
    forbid: { look: 'bad', text: 'Forbid', meaning: 'Fires unless its expression is false: a missing claim refuses.' },
};

export function Policy(): JSX.Element {
    useTitle('Policy');
    const isAdmin = useIsAdmin();
    const policy = useLoaded<PolicyData>('/policy', useSeen('policy'));
    const [isEditing, setEditing] = useState(false);
    const p = policy.data;
    return (
        <>
            <div class="row spread">
                <div>
                    <h1>Policy</h1>
                    <p class="muted">Forbid beats permit. When nothing permits, the answer is no. A claim that is missing never helps a device.</p>
                </div>
                {isAdmin && p && !isEditing && <button type="button" data-act="edit" onClick={() => setEditing(true)}>{p.version === 0 ? 'Write a policy' : 'Edit'}</button>}
            </div>
            {policy.error && <Problem error={policy.error} retry={policy.reload} />}
            {policy.isLoading && <Loading />}
            {p && isEditing && <Editor policy={p} onDone={() => { setEditing(false); policy.reload(); }} />}
            {p && !isEditing && p.version === 0 && (
                <Empty title="No policy is published">
                    <p>Until there is one, the server’s own answer stands: no device is permitted anything. {isAdmin ? 'Write one here, or apply a file: ' : 'An administrator applies one: '}<code>bedplate policy apply FILE</code></p>
                </Empty>
            )}
            {p && !isEditing && p.version > 0 && (
                <>
                    <p>Version <strong>{p.version}</strong> for {p.zone === '*' || p.zone === '' ? 'every zone' : `zone ${p.zone}`}, published <Age at={ms(p.at)} /> by {p.by}, digest <code title={p.digest ?? ''}>{digest(p.digest)}</code>, with {p.tests.length} tests of its own.</p>
                    <div class="scroll" tabIndex={0} role="region" aria-label="Rules, scrollable">
                        <table class="list">
                            <caption class="sr">Rules of the policy in force</caption>
                            <thead><tr><th scope="col">Verdict</th><th scope="col">Rule</th><th scope="col">When</th><th scope="col">Does</th><th scope="col">Reason it gives</th></tr></thead>
                            <tbody>
                                {p.rules.map((r) => (
                                    <tr key={r.name}>
                                        <td><Badge label={VERDICTS[r.verdict] ?? { look: 'none', text: r.verdict, meaning: '' }} /></td>
                                        <th scope="row">{r.name}</th>
                                        <td><code class="wrap">{r.when}</code></td>
                                        <td>{r.actions.length === 0 ? '–' : r.actions.join(', ')}</td>
                                        <td>{r.reason || '–'}</td>
                                    </tr>
                                ))}
                            </tbody>
                        </table>
                    </div>
                </>
            )}
        </>
    );
}

function Editor(props: { policy: PolicyData; onDone: () => void }): JSX.Element {
    const { say } = useApp();
    const id = useId();
    const [text, setText] = useState(() => policyYaml(props.policy));
    const [error, setError] = useState<ApiError>();
    const [busy, setBusy] = useState(false);
    const [run, setRun] = useState<DryRun>();
    const area = useRef<HTMLTextAreaElement>(null);
    const place = error ? (error.line > 0 ? { line: error.line, column: error.column } : placeIn(error.message, text)) : { line: 0, column: 0 };

    useEffect(() => area.current?.focus(), []);
    // The cursor goes to where the error is.
    useEffect(() => {
        const box = area.current;
        if (error && box && place.line > 0) {
            const at = offsetOf(text, place.line, place.column || 1);
            const end = text.indexOf('\n', at);
            box.focus();
            box.setSelectionRange(at, end < 0 ? text.length : end);
        }
    }, [error]);

    const attempt = async (act: () => Promise<void>): Promise<void> => {
        setBusy(true);
        setError(undefined);
        setRun(undefined);
        try {
            await act();
        } catch (e) {
            setError(e instanceof ApiError ? e : new ApiError(0, 'page', String(e)));
        }
        setBusy(false);
    };
    const publish = (): Promise<void> => attempt(async () => {
        const made = await put<{ version: number }>('/policy', text, 'application/yaml');
        say(`Policy ${made.version} is in force.`);
        props.onDone();
    });
    const check = (): Promise<void> => attempt(async () => setRun(await dryRun(text)));
    const read = async (file: File | undefined): Promise<void> => {
        if (file) {
            setText(await file.text());
        }
    };
    return (
        <form class="card" onSubmit={(e) => { e.preventDefault(); void publish(); }}>
            <label for={id}>Policy document (YAML)</label>
            <textarea id={id} ref={area} class="code" rows={Math.min(30, Math.max(14, text.split('\n').length + 1))} spellcheck={false} value={text} aria-invalid={error !== undefined} aria-describedby={`${id}-help`} onInput={(e) => setText(e.currentTarget.value)} />
            <p id={`${id}-help`} class="help">It takes effect for every device at once, with its next evidence. The document’s own tests must pass first. Tab leaves the field.</p>
            {error && <div class="problem" role="alert"><div><p><strong>{error.line > 0 && `Line ${place.line}${place.column > 0 ? `, column ${place.column}` : ''}: `}{error.message}</strong></p>{error.help !== '' && <p>{error.help}</p>}<p class="muted">Nothing was changed.</p></div></div>}
            <div class="row">
                <button type="button" disabled={busy || text.trim() === ''} onClick={() => void check()}>Check</button>
                <button type="submit" class="primary" data-act="edit" disabled={busy || text.trim() === ''}>{busy ? 'Checking…' : 'Check and publish'}</button>
                <button type="button" data-act="edit" onClick={props.onDone}>Cancel</button>
                <label class="button">Read from a file<input class="sr" type="file" accept=".yaml,.yml,.json,text/yaml" onChange={(e) => void read(e.currentTarget.files?.[0])} /></label>
            </div>
            {run && <Changes run={run} />}
        </form>
    );
}

/** The whole fleet, page by page; as many devices as a person can look at, and more are counted. */
async function dryRun(text: string): Promise<DryRun> {
    let all: DryRun | undefined;
    for (let after: string | null = ''; after !== null;) {
        const page: DryRun = await postText<DryRun>(`/policy/check${after === '' ? '' : `?after=${encodeURIComponent(after)}`}`, text, 'application/yaml');
        all = all ? { ...page, judged: all.judged + page.judged, unjudged: all.unjudged + page.unjudged, changes: [...all.changes, ...page.changes] } : page;
        after = page.next;
    }
    return all as DryRun;
}

const does = (j: Judged): string => (j.actions.length === 0 ? '–' : j.actions.join(', '));
const SHOWN = 200;

function Changes(props: { run: DryRun }): JSX.Element {
    const r = props.run;
    return (
        <section aria-labelledby="dry-run" class="dry-run">
            <h2 id="dry-run">What version {r.version} would change</h2>
            <p role="status">
                {r.tests} tests of its own passed. {r.judged} devices were judged by their newest evidence{r.unjudged > 0 && `, ${r.unjudged} have none yet`}:{' '}
                <strong>{r.changes.length === 0 ? 'it would change nothing' : `it would change ${r.changes.length}`}</strong>. Nothing was published.
                {!r.publishable && ` It cannot be published as it is: its version must be above ${r.in_force}.`}
            </p>
            {r.changes.length > 0 && (
                <div class="scroll" tabIndex={0} role="region" aria-label="Changes, scrollable">
                    <table class="list">
                        <caption class="sr">Devices that would be judged otherwise</caption>
                        <thead><tr><th scope="col">Device</th><th scope="col">Zone</th><th scope="col">Now</th><th scope="col">Then</th><th scope="col">Does</th><th scope="col">Reason</th></tr></thead>
                        <tbody>
                            {r.changes.slice(0, SHOWN).map((c) => (
                                <tr key={c.id} data-change={nameOf(c)}>
                                    <th scope="row"><Link to={pathOf('device', c.id)}>{nameOf(c)}</Link></th>
                                    <td>{c.zone || '–'}</td>
                                    <td><Badge label={trustLabel(c.now.tier)} /></td>
                                    <td><Badge label={trustLabel(c.then.tier)} /></td>
                                    <td>{does(c.then)}</td>
                                    <td>{c.then.reason}</td>
                                </tr>
                            ))}
                        </tbody>
                    </table>
                </div>
            )}
            {r.changes.length > SHOWN && <p class="muted">The first {SHOWN} are shown. All of them: <code>bedplate policy check FILE --json</code></p>}
        </section>
    );
}
