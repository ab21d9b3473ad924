// SPDX-License-Identifier: Apache-2.0
// parts - the small pieces that views are made of.
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useId, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { ApiError } from './api';
import { useApp } from './context';
import { refocus } from './focus';
import type { Label, Look } from './model';
import { groups } from './model';
import { absolute, relative } from './time';

const SHAPES: Readonly<Record<Look, JSX.Element>> = {
    ok: <><circle cx="8" cy="8" r="7" class="fill" /><path d="M4.6 8.3l2.3 2.4 4.5-5" class="ink" /></>,
    warn: <><path d="M8 1.2l7 13H1z" class="fill" /><path d="M8 6v4M8 12v.4" class="ink" /></>,
    bad: <><path d="M5 1h6l4 4v6l-4 4H5l-4-4V5z" class="fill" /><path d="M5.3 5.3l5.4 5.4M10.7 5.3l-5.4 5.4" class="ink" /></>,
    none: <><circle cx="8" cy="8" r="6.2" class="ring" /><path d="M5 8h6" class="stroke" /></>,
    silent: <><circle cx="8" cy="8" r="6.2" class="ring" /><path d="M8 4.4V8l2.4 1.8" class="stroke" /></>,
    plain: <circle cx="8" cy="8" r="3.4" class="dotted" />,
    off: <><circle cx="8" cy="8" r="6.2" class="ring" /><path d="M3.8 12.2l8.4-8.4" class="stroke" /></>,
};

export function Icon(props: { look: Look }): JSX.Element {
    return <svg class={`icon ${props.look}`} viewBox="0 0 16 16" aria-hidden="true">{SHAPES[props.look]}</svg>;
}

export function Badge(props: { label: Label; big?: boolean }): JSX.Element {
    return (
        <span class={`badge ${props.label.look}${props.big ? ' big' : ''}`} title={props.label.meaning || undefined}>
            <Icon look={props.label.look} />{props.label.text}
        </span>
    );
}

// One clock for every age on the page.
const watchers = new Set<() => void>();
setInterval(() => {
    for (const w of watchers) {
        w();
    }
}, 1000);

export function useNow(): number {
    const [now, setNow] = useState(Date.now());
    useEffect(() => {
        const tick = (): void => setNow(Date.now());
        watchers.add(tick);
        return () => {
            watchers.delete(tick);
        };
    }, []);
    return now;
}

/** "12 s ago", counting. The moment itself shows on hover and on focus: of itself, or of the table row it stands in. */
export function Age(props: { at: number; never?: string; inRow?: boolean }): JSX.Element {
    const now = useNow();
    if (!props.at) {
        return <span class="muted">{props.never ?? 'never'}</span>;
    }
    const exact = absolute(props.at);
    return (
        <time class="age" tabIndex={props.inRow ? undefined : 0} dateTime={new Date(props.at).toISOString()} data-exact={exact}>
            {relative(props.at, now)}<span class="sr">, {exact}</span>
        </time>
    );
}

/** A device's short id as people compare it: four groups of five. */
export function ShortId(props: { short: string }): JSX.Element {
    return <span class="short" translate={false}>{groups(props.short).map((g) => <span key={g}>{g}</span>)}</span>;
}

/** A link inside the page. */
export function Link(props: { to: string; class?: string; children: ComponentChildren; current?: boolean; label?: string }): JSX.Element {
    const { go } = useApp();
    return (
        <a
            href={props.to} class={props.class} aria-current={props.current ? 'page' : undefined} aria-label={props.label}
            onClick={(e) => {
                if (e.button === 0 && !e.ctrlKey && !e.metaKey && !e.shiftKey && !e.altKey) {
                    e.preventDefault();
                    go(props.to);
                }
            }}
        >{props.children}</a>
    );
}

export function Problem(props: { error: ApiError; retry?: () => void }): JSX.Element {
    const e = props.error;
    return (
        <div class="problem" role="alert">
            <Icon look="bad" />
            <div>
                <p><strong>{e.message}</strong></p>
                {e.help !== '' && <p>{e.help}</p>}
                {e.code !== '' && e.status !== 0 && <p class="muted">Code {e.code}, HTTP {e.status}</p>}
            </div>
            {props.retry && <button type="button" onClick={props.retry}>Try again</button>}
        </div>
    );
}

export function Empty(props: { title: string; children?: ComponentChildren }): JSX.Element {
    return <div class="empty"><h2>{props.title}</h2>{props.children}</div>;
}

export function Loading(): JSX.Element {
    return <p class="loading" role="status">Reading…</p>;
}

/** Text with a button that copies it. */
export function Copyable(props: { text: string; label: string }): JSX.Element {
    const { say } = useApp();
    return (
        <span class="copyable">
            <code>{props.text}</code>
            <button
                type="button" class="small" aria-label={`Copy ${props.label}`}
                onClick={() => {
                    navigator.clipboard.writeText(props.text).then(() => say('Copied.'), () => say('The browser did not allow copying.', true));
                }}
            >Copy</button>
        </span>
    );
}

export function Field(props: {
    label: string; value: string; onInput: (v: string) => void; help?: string; required?: boolean; list?: readonly string[]; max?: number; focus?: boolean;
}): JSX.Element {
    const id = useId();
    return (
        <div class="field">
            <label for={id}>{props.label}{props.required ? '' : <span class="muted"> (may stay empty)</span>}</label>
            <input
                id={id} value={props.value} required={props.required} maxLength={props.max ?? 64} autoComplete="off" spellcheck={false}
                list={props.list ? `${id}-list` : undefined} aria-describedby={props.help ? `${id}-help` : undefined} data-focus={props.focus || undefined}
                onInput={(e) => props.onInput(e.currentTarget.value)}
            />
            {props.list && <datalist id={`${id}-list`}>{props.list.map((v) => <option key={v} value={v} />)}</datalist>}
            {props.help && <p id={`${id}-help`} class="help">{props.help}</p>}
        </div>
    );
}

/** A modal dialog: the browser keeps the focus inside, Escape closes it, and focus returns to where it was; when that is no
 * longer there, to the button that does the same act now. Buttons that open one say which act it is in data-act. */
export function Dialog(props: {
    title: string; children: ComponentChildren; action: string; isDanger?: boolean; canGo?: boolean;
    onGo: () => Promise<void>; onClose: () => void;
}): JSX.Element {
    const box = useRef<HTMLDialogElement>(null);
    const id = useId();
    const [busy, setBusy] = useState(false);
    const [error, setError] = useState<ApiError>();
    const close = useRef(props.onClose);
    close.current = props.onClose;

    // In one act with the page's change: an effect after painting would leave the focus nowhere until then, and its clean-up
    // runs when the dialog is gone already.
    useLayoutEffect(() => {
        const from = document.activeElement;
        const dialog = box.current;
        // The browser may close it by itself: it lets Escape be held back only once after each act of the person.
        const closed = (): void => close.current();
        dialog?.addEventListener('close', closed);
        dialog?.showModal();
        (dialog?.querySelector('[data-focus]') as HTMLElement | null)?.focus();
        return () => {
            dialog?.removeEventListener('close', closed);
            dialog?.close();
            refocus(from);
        };
    }, []);

    const submit = async (e: globalThis.Event): Promise<void> => {
        e.preventDefault();
        if (busy || props.canGo === false) {
            return;
        }
        setBusy(true);
        setError(undefined);
        try {
            await props.onGo();
        } catch (err) {
            setError(err instanceof ApiError ? err : new ApiError(0, 'page', String(err)));
            setBusy(false);
        }
    };

    return (
        <dialog ref={box} aria-labelledby={id} onCancel={(e) => { e.preventDefault(); props.onClose(); }}>
            <form onSubmit={submit}>
                <h2 id={id}>{props.title}</h2>
                {props.children}
                {error && <Problem error={error} />}
                <div class="row end">
                    <button type="button" onClick={props.onClose}>Cancel</button>
                    <button type="submit" class={props.isDanger ? 'danger' : 'primary'} disabled={busy || props.canGo === false}>{busy ? 'Working…' : props.action}</button>
                </div>
            </form>
        </dialog>
    );
}

/** The reason that an act is written down with. */
export function Reason(props: { value: string; onInput: (v: string) => void; required?: boolean; hint: string }): JSX.Element {
    const id = useId();
    return (
        <div class="field">
            <label for={id}>Reason{props.required === false ? <span class="muted"> (may stay empty)</span> : ''}</label>
            <textarea
                id={id} rows={2} maxLength={400} required={props.required !== false} value={props.value} placeholder={props.hint} data-focus
                aria-describedby={`${id}-help`} onInput={(e) => props.onInput(e.currentTarget.value)}
            />
            <p id={`${id}-help`} class="help">It is written into the log beside your name, for good.</p>
        </div>
    );
}

/** "Next" and "first page" of a list that is read a page at a time. */
export function Pages(props: { isFirst: boolean; next: string | null; first: string; to: (after: string) => string }): JSX.Element | null {
    if (props.isFirst && !props.next) {
        return null;
    }
    return (
        <nav class="pages" aria-label="Pages">
            {!props.isFirst && <Link to={props.first}>First page</Link>}
            {props.next && <Link to={props.to(props.next)}>Next page</Link>}
        </nav>
    );
}
