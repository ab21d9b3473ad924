// SPDX-License-Identifier: Apache-2.0
// live - one event stream for all tabs of this browser: the tab that holds the lock reads it, the others listen to that
// tab. HTTP/1.1 gives an origin six connections, and every tab with a stream of its own would take one for good.
import { START, backoff, changeOf, Reader, reduce } from './stream';
import type { Action, Live } from './stream';

const NAME = 'bedplate-live';
/** The server sends at least a comment each 15 s; a line that is quiet for longer than this is dead. */
const QUIET_MS = 40_000;

type Word = { kind: 'hello' } | { kind: 'state'; status: Live['status'] } | { kind: 'action'; action: Action };

export interface Line {
    /** Ends it and gives the lock to another tab. */
    close(): void;
}

/** Begins to listen. `tell` gets every new state; `lostSession` is called when the server says that the session is over. */
export function listen(tell: (live: Live) => void, lostSession: () => void): Line {
    let state = START;
    let leads = false;
    const over = new AbortController();
    const channel = new BroadcastChannel(NAME);

    const act = (action: Action): void => {
        const next = reduce(state, action);
        if (next !== state) {
            state = next;
            tell(state);
        }
    };
    const lead = (action: Action): void => {
        act(action);
        channel.postMessage({ kind: 'action', action } satisfies Word);
    };

    channel.onmessage = (e: MessageEvent<Word>) => {
        const word = e.data;
        if (word.kind === 'hello' && leads) {
            channel.postMessage({ kind: 'state', status: state.status } satisfies Word);
        } else if (word.kind === 'state' && !leads) {
            act(word.status === 'live' ? { kind: 'open' } : { kind: 'lost' });
        } else if (word.kind === 'action' && !leads) {
            act(word.action);
        }
    };
    channel.postMessage({ kind: 'hello' } satisfies Word);

    const serve = async (): Promise<void> => {
        leads = true;
        while (!over.signal.aborted) {
            const status = await readOnce(over.signal, lead);
            if (over.signal.aborted) {
                return;
            }
            // A server that is starting also refuses the stream: only the session itself says that it is over.
            if (status === 401 && (await isSessionOver())) {
                lostSession();
                return;
            }
            lead({ kind: 'lost' });
            await pause(backoff(state.attempt, Math.random()), over.signal);
        }
    };
    if (navigator.locks) {
        navigator.locks.request(NAME, { signal: over.signal }, serve).catch(() => undefined);
    } else {
        void serve();
    }

    return {
        close() {
            over.abort();
            channel.close();
        },
    };
}

async function isSessionOver(): Promise<boolean> {
    try {
        return (await fetch('/api/v1/session', { credentials: 'same-origin', cache: 'no-store', redirect: 'error', signal: AbortSignal.timeout(QUIET_MS) })).status === 401;
    } catch {
        return false;
    }
}

/** Reads the stream until it ends. Returns the HTTP status it ended with; 0: the network. */
async function readOnce(signal: AbortSignal, act: (a: Action) => void): Promise<number> {
    const quiet = new AbortController();
    const stop = (): void => quiet.abort();
    signal.addEventListener('abort', stop, { once: true });
    let timer = setTimeout(stop, QUIET_MS);
    try {
        const answer = await fetch('/api/v1/stream', {
            headers: { Accept: 'text/event-stream' }, credentials: 'same-origin', cache: 'no-store', redirect: 'error', signal: quiet.signal,
        });
        if (!answer.ok || !answer.body) {
            return answer.status || 502;
        }
        act({ kind: 'open' });
        const bytes = answer.body.getReader();
        const text = new TextDecoder();
        const messages = new Reader();
        for (;;) {
            const { done, value } = await bytes.read();
            if (done) {
                return answer.status;
            }
            clearTimeout(timer);
            timer = setTimeout(stop, QUIET_MS);
            for (const m of messages.feed(text.decode(value, { stream: true }))) {
                const change = m.event === 'change' ? changeOf(m.data) : null;
                if (change) {
                    act({ kind: 'change', change });
                }
            }
        }
    } catch {
        return 0;
    } finally {
        clearTimeout(timer);
        signal.removeEventListener('abort', stop);
        quiet.abort();
    }
}

/** Waits, less when the network comes back or the page is looked at again. */
function pause(waitMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
        const done = (): void => {
            clearTimeout(timer);
            removeEventListener('online', done);
            signal.removeEventListener('abort', done);
            resolve();
        };
        const timer = setTimeout(done, waitMs);
        addEventListener('online', done, { once: true });
        signal.addEventListener('abort', done, { once: true });
    });
}
