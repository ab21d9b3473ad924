// SPDX-License-Identifier: Apache-2.0
// app - the frame around every view: who is signed in, what is the server, is the page live; and going from view to view.
import type { JSX } from 'preact';
import { useCallback, useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { ApiError, del, get, post, setCsrf, whenSignedOut } from './api';
import { AppContext, useApp, useIsAdmin, useLoaded } from './context';
import { Device } from './device';
import { Events } from './events';
import { Fleet } from './fleet';
import { keepFocus } from './focus';
import { listen } from './live';
import type { Overview, Session } from './model';
import { count, ms } from './model';
import { Age, Copyable, Dialog, Icon, Link, Problem } from './parts';
import { Policy } from './policy';
import { Releases } from './releases';
import type { Route, View } from './route';
import { pathOf, routeOf } from './route';
import { SignIn } from './signin';
import type { Live } from './stream';
import { START } from './stream';
import { Waiting } from './waiting';

/** The server ends a session that was not asked about for 30 minutes. */
const REFRESH_MS = 5 * 60_000;
const TOLD_MS = 6000;
/** The overview moves with every event of a busy fleet; more often than this nobody can read it. */
const OVERVIEW_MS = 15_000;

type Phase = { kind: 'starting' } | { kind: 'out'; message: string } | { kind: 'in'; session: Session } | { kind: 'failed'; error: ApiError };

export function App(): JSX.Element {
    const [phase, setPhase] = useState<Phase>({ kind: 'starting' });
    const start = useCallback(async (message: string) => {
        try {
            const session = await get<Session>('/session');
            setCsrf(session.csrf ?? '');
            setPhase({ kind: 'in', session });
        } catch (e) {
            const error = e instanceof ApiError ? e : new ApiError(0, 'page', String(e));
            setPhase(error.isSignedOut ? { kind: 'out', message } : { kind: 'failed', error });
        }
    }, []);
    useEffect(() => {
        void start('');
    }, [start]);

    const isIn = phase.kind === 'in';
    useEffect(() => {
        whenSignedOut(isIn ? () => {
            setCsrf('');
            setPhase({ kind: 'out', message: 'Your session is over. Sign in again with a new code.' });
        } : undefined);
        return () => whenSignedOut(undefined);
    }, [isIn]);

    switch (phase.kind) {
        case 'starting':
            return <main class="signin"><p role="status">Bedplate…</p></main>;
        case 'failed':
            return <main class="signin"><div class="card"><h1>Bedplate</h1><Problem error={phase.error} retry={() => void start('')} /></div></main>;
        case 'out':
            return <SignIn message={phase.message} onDone={() => void start('The browser did not keep the session. Are cookies allowed for this page?')} />;
        case 'in':
            return <Frame session={phase.session} onOut={(message) => { setCsrf(''); setPhase({ kind: 'out', message }); }} />;
    }
}

const here = (): Route => routeOf(location.pathname, location.search);

function Frame(props: { session: Session; onOut: (message: string) => void }): JSX.Element {
    const [route, setRoute] = useState<Route>(here);
    const [live, setLive] = useState<Live>(START);
    const [told, setTold] = useState<{ text: string; isBad: boolean }>();
    const main = useRef<HTMLElement>(null);
    const out = useRef(props.onOut);
    out.current = props.onOut;

    useEffect(() => {
        const back = (): void => setRoute(here());
        addEventListener('popstate', back);
        return () => removeEventListener('popstate', back);
    }, []);
    useEffect(() => {
        const line = listen(setLive, () => out.current('Your session is over. Sign in again with a new code.'));
        return () => line.close();
    }, []);
    useEffect(() => {
        const timer = told ? setTimeout(() => setTold(undefined), TOLD_MS) : undefined;
        return () => clearTimeout(timer);
    }, [told]);
    useEffect(keepFocus, []);
    useSessionKept(props.session);

    const go = useCallback((path: string, replace = false) => {
        const before = here();
        history[replace ? 'replaceState' : 'pushState'](null, '', path);
        const after = here();
        setRoute(after);
        if (before.view !== after.view || before.id !== after.id) {
            scrollTo(0, 0);
            main.current?.focus({ preventScroll: true });
        }
    }, []);
    const say = useCallback((text: string, isBad = false) => setTold({ text, isBad }), []);
    const app = useMemo(() => ({ session: props.session, live, go, say }), [props.session, live, go, say]);

    return (
        <AppContext.Provider value={app}>
            <Inside route={route} main={main} onOut={props.onOut} />
            <div class="told" role="status" aria-live="polite">{told && <p class={told.isBad ? 'bad' : ''}>{told.text}</p>}</div>
        </AppContext.Provider>
    );
}

/** Asks about the session so that it lives: always for who may only look, else while somebody is at the page. */
function useSessionKept(session: Session): void {
    useEffect(() => {
        let isUsed = true;
        const use = (): void => {
            isUsed = true;
        };
        const timer = setInterval(() => {
            if (isUsed || session.role === 'viewer') {
                isUsed = false;
                get<Session>('/session').then((s) => setCsrf(s.csrf ?? ''), () => undefined);
            }
        }, REFRESH_MS);
        const signs = ['pointermove', 'pointerdown', 'keydown', 'wheel'] as const;
        signs.forEach((s) => addEventListener(s, use, { passive: true }));
        return () => {
            clearInterval(timer);
            signs.forEach((s) => removeEventListener(s, use));
        };
    }, [session.role]);
}

/** A number that follows `version` at once when it has been quiet, else at most once in `spacing`. */
function useSteady(version: number, spacing: number): number {
    const [steady, setSteady] = useState(version);
    const last = useRef(0);
    useEffect(() => {
        if (version === steady) {
            return undefined;
        }
        const timer = setTimeout(() => {
            last.current = Date.now();
            setSteady(version);
        }, Math.max(0, spacing - (Date.now() - last.current)));
        return () => clearTimeout(timer);
    }, [version, steady, spacing]);
    return steady;
}

function Inside(props: { route: Route; main: { current: HTMLElement | null }; onOut: (message: string) => void }): JSX.Element {
    const { live } = useApp();
    const r = props.route;
    const overview = useLoaded<Overview>('/overview', useSteady(live.seen.devices + live.seen.policy, 1000) + useSteady(live.seen.events, OVERVIEW_MS));
    const o = overview.data;
    return (
        <>
            <a class="skip" href="#main" onClick={(e) => { e.preventDefault(); props.main.current?.focus(); }}>Skip to the content</a>
            <Top route={r} overview={o} onOut={props.onOut} />
            <main id="main" ref={props.main} tabIndex={-1}>
                {overview.error && <Problem error={overview.error} retry={overview.reload} />}
                {r.view === 'fleet' && <Fleet filters={r.filters} overview={o} />}
                {r.view === 'device' && <Device key={r.id} id={r.id} />}
                {r.view === 'waiting' && <Waiting filters={r.filters} overview={o} />}
                {r.view === 'releases' && <Releases filters={r.filters} overview={o} />}
                {r.view === 'policy' && <Policy />}
                {r.view === 'events' && <Events filters={r.filters} overview={o} />}
            </main>
            {o && <Foot overview={o} />}
        </>
    );
}

const TABS: readonly (readonly [View, string])[] = [['fleet', 'Fleet'], ['waiting', 'Waiting room'], ['releases', 'Releases'], ['policy', 'Policy'], ['events', 'Events']];

function Top(props: { route: Route; overview: Overview | undefined; onOut: (message: string) => void }): JSX.Element {
    const { session } = useApp();
    const isAdmin = useIsAdmin();
    const [code, setCode] = useState(false);
    const waiting = count(props.overview?.devices.state, 'waiting');
    const leave = async (): Promise<void> => {
        await del('/session').catch(() => undefined);
        props.onOut('You are signed out.');
    };
    return (
        <header>
            <div class="top">
                <Link to="/" class="brand" label="Bedplate, fleet">
                    <svg viewBox="0 0 32 32" aria-hidden="true"><rect x="2" y="22" width="28" height="7" rx="2" /><rect x="7" y="13" width="18" height="7" rx="1.5" /><rect x="11" y="4" width="10" height="7" rx="1.5" /></svg>
                    <span>Bedplate</span>
                </Link>
                <nav aria-label="Views">
                    {TABS.map(([view, text]) => (
                        <Link key={view} to={pathOf(view)} current={props.route.view === view || (view === 'fleet' && props.route.view === 'device')}>
                            {text}{view === 'waiting' && waiting > 0 && <span class="pill">{waiting}<span class="sr"> waiting</span></span>}
                        </Link>
                    ))}
                </nav>
                <LiveSign />
                <details class="menu">
                    <summary>{session.operator || 'Operator'}<span class="sr">, {session.role}: menu</span></summary>
                    <div>
                        <p class="muted">Role {session.role}{session.zone && session.zone !== '*' ? `, zone ${session.zone}` : ''}<br />Session ends <Age at={ms(session.expires)} never="with its certificate" /></p>
                        {isAdmin && <button type="button" data-act="code" onClick={() => setCode(true)}>Make a sign-in code</button>}
                        <button type="button" onClick={() => void leave()}>Sign out</button>
                    </div>
                </details>
            </div>
            {props.overview?.server.evaluation && (
                <p class="evaluation"><Icon look="bad" /><strong>Evaluation mode.</strong> The root key lies on this server. Good for trying out, never for a plant.</p>
            )}
            {props.overview?.server.recovering && (
                <p class="evaluation" data-recovering><Icon look="bad" /><strong>Recovering.</strong> The store is older than what this server signed. Nothing is granted until an administrator lists and accepts the loss on the server (<code>bedplated log-break</code>).</p>
            )}
            {code && <Code onClose={() => setCode(false)} />}
        </header>
    );
}

function Code(props: { onClose: () => void }): JSX.Element {
    const [role, setRole] = useState('viewer');
    const [made, setMade] = useState<{ code: string; role: string; expires: string }>();
    if (made) {
        return (
            <Dialog title="One-time sign-in code" action="Done" onClose={props.onClose} onGo={async () => props.onClose()}>
                <p>For one person with the role {made.role}. It works once and ends <Age at={ms(made.expires)} />. It is not shown again.</p>
                <p class="oneline"><Copyable text={made.code} label="the code" /></p>
            </Dialog>
        );
    }
    return (
        <Dialog title="Make a sign-in code" action="Make the code" onClose={props.onClose} onGo={async () => setMade(await post('/codes', { role }))}>
            <p>Whoever types it first signs in with this role.</p>
            <fieldset>
                <legend>Role</legend>
                <label class="check"><input type="radio" name="role" checked={role === 'viewer'} onChange={() => setRole('viewer')} data-focus /> Viewer: may look at everything</label>
                <label class="check"><input type="radio" name="role" checked={role === 'admin'} onChange={() => setRole('admin')} /> Administrator: may do everything</label>
            </fieldset>
        </Dialog>
    );
}

const SIGNS: Readonly<Record<Live['status'], string>> = { connecting: 'Connecting…', live: 'Live', reconnecting: 'Reconnecting…' };

function LiveSign(): JSX.Element {
    const { live } = useApp();
    return (
        <span class={`live ${live.status}`} role="status" title={live.status === 'live' ? 'Changes show by themselves.' : 'What you see may be old.'}>
            <span class="dot" aria-hidden="true" />{SIGNS[live.status]}
        </span>
    );
}

function Foot(props: { overview: Overview }): JSX.Element {
    const o = props.overview;
    const down = o.processes.filter((p) => !p.running);
    return (
        <footer class="foot">
            <p>{o.server.organisation && `${o.server.organisation}, `}<strong>{o.server.name}</strong>, Bedplate {o.server.version}</p>
            <p>Log: {o.head.size} events, head signed over {o.head.signed_size}</p>
            <p>Policy: {o.policy ? <>version {o.policy.version}, <Age at={ms(o.policy.at)} /></> : 'none published'}</p>
            {o.processes.length > 0 && (
                <details>
                    <summary>{down.length === 0 ? `${o.processes.length} processes run` : `${down.length} of ${o.processes.length} processes are down`}</summary>
                    <ul>{o.processes.map((p, i) => <li key={`${p.name}${i}`}>{p.name}: {p.running ? 'runs' : 'down'}{p.fence && `, ${p.fence}`}</li>)}</ul>
                </details>
            )}
        </footer>
    );
}
