// SPDX-License-Identifier: Apache-2.0
// context - what every view may use: the session, the stream's state, going to another address.
import { createContext } from 'preact';
import { useCallback, useContext, useEffect, useRef, useState } from 'preact/hooks';
import { ApiError, get } from './api';
import type { Session } from './model';
import type { Live, Topic } from './stream';
import { START } from './stream';

export interface App {
    readonly session: Session;
    readonly live: Live;
    /** Changes the address; `replace` leaves no entry behind (typing in a search field). */
    go(path: string, replace?: boolean): void;
    /** Says something once, to eyes and screen readers. */
    say(text: string, isBad?: boolean): void;
}

export const AppContext = createContext<App>({
    session: { operator: '', role: '', zone: '', csrf: null, expires: null }, live: START, go: () => undefined, say: () => undefined,
});
export const useApp = (): App => useContext(AppContext);
export const useIsAdmin = (): boolean => useApp().session.role === 'admin';

export interface Loaded<T> {
    readonly data: T | undefined;
    readonly error: ApiError | undefined;
    /** Of the very first reading of this address; later ones show the old data until the new is there. */
    readonly isLoading: boolean;
    reload(): void;
}

/** At most one reading in this time, so that a fleet that reports all the time does not make the page ask all the time. */
const SPACING_MS = 600;

/** One address being read: never twice at once, and what comes too late for a view that is gone is dropped. */
interface Reading { isAlive: boolean; isBusy: boolean; again: boolean; at: number; timer: ReturnType<typeof setTimeout> | undefined }

/** Reads an address of the API, and again when `version` moves. A path of '' reads nothing. While another address is
 * read (a filter changed) the old data stays. */
export function useLoaded<T>(path: string, version: number): Loaded<T> {
    const [data, setData] = useState<{ path: string; value: T }>();
    const [error, setError] = useState<{ path: string; value: ApiError }>();
    const [nudge, setNudge] = useState(0);
    const kick = useRef<() => void>(() => undefined);

    useEffect(() => {
        if (path === '') {
            return undefined;
        }
        const me: Reading = { isAlive: true, isBusy: false, again: false, at: 0, timer: undefined };
        const read = async (): Promise<void> => {
            me.timer = undefined;
            me.isBusy = true;
            me.at = Date.now();
            let done: () => void;
            try {
                const value = await get<T>(path);
                done = () => {
                    setData({ path, value });
                    setError(undefined);
                };
            } catch (e) {
                const value = e instanceof ApiError ? e : new ApiError(0, 'page', String(e));
                done = () => setError({ path, value });
            }
            me.isBusy = false;
            if (me.isAlive) {
                done();
                if (me.again) {
                    me.again = false;
                    kick.current();
                }
            }
        };
        kick.current = () => {
            if (me.isBusy) {
                me.again = true;
            } else if (me.isAlive && me.timer === undefined) {
                me.timer = setTimeout(() => void read(), Math.max(0, SPACING_MS - (Date.now() - me.at)));
            }
        };
        kick.current();
        return () => {
            me.isAlive = false;
            clearTimeout(me.timer);
        };
    }, [path]);
    useEffect(() => kick.current(), [version, nudge]);

    const reload = useCallback(() => setNudge((n) => n + 1), []);
    const bad = error?.path === path ? error.value : undefined;
    const now = bad && data?.path !== path ? undefined : data?.value;
    return { data: now, error: bad, isLoading: path !== '' && now === undefined && bad === undefined, reload };
}

export const useSeen = (topic: Topic): number => useApp().live.seen[topic];

/** The title of the window, and of the view for screen readers. */
export function useTitle(title: string): void {
    useEffect(() => {
        document.title = `${title} · Bedplate`;
    }, [title]);
}
