// SPDX-License-Identifier: Apache-2.0
// api - requests to /api/v1 and what goes wrong with them. The CSRF token of the session travels with every write.

const BASE = '/api/v1';
const WAIT_MS = 20_000;

/** What the server said no with (problem+json), or that it could not be reached (status 0). */
export class ApiError extends Error {
    constructor(
        readonly status: number,
        readonly code: string,
        message: string,
        readonly help: string = '',
        readonly line: number = 0,
        readonly column: number = 0,
    ) {
        super(message);
        this.name = 'ApiError';
    }

    /** The session is over, or there was none. */
    get isSignedOut(): boolean {
        return this.status === 401;
    }
}

let csrf = '';
let onSignedOut: (() => void) | undefined;

/** The token that writes carry; empty after signing out. */
export function setCsrf(token: string): void {
    csrf = token;
}

/** Called whenever an answer says that the session is over. */
export function whenSignedOut(call: (() => void) | undefined): void {
    onSignedOut = call;
}

const text = (v: unknown): string => (typeof v === 'string' ? v : '');
const whole = (v: unknown): number => (typeof v === 'number' && Number.isFinite(v) ? v : 0);

/** Reads problem+json (RFC 9457) whatever it holds; never throws. */
export function problemOf(status: number, body: unknown): ApiError {
    const p: Record<string, unknown> = typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {};
    const title = text(p['title']);
    const detail = text(p['detail']);
    const message = detail || title || `The server answered ${status}.`;
    return new ApiError(status, text(p['code']) || text(p['type']), message, text(p['action']) || text(p['help']), whole(p['line']), whole(p['column']));
}

/** A session that another tab began has another token: it is fetched, and the write is tried once more. */
async function send(method: string, path: string, body?: string, type?: string): Promise<Response> {
    try {
        return await sendOnce(method, path, body, type);
    } catch (e) {
        if (!(e instanceof ApiError) || e.code !== 'csrf') {
            throw e;
        }
        const session = (await (await sendOnce('GET', '/session')).json()) as { csrf?: unknown };
        setCsrf(text(session.csrf));
        return sendOnce(method, path, body, type);
    }
}

async function sendOnce(method: string, path: string, body?: string, type?: string): Promise<Response> {
    const headers: Record<string, string> = { Accept: 'application/json' };
    if (method !== 'GET') {
        headers['X-Bedplate-Csrf'] = csrf;
    }
    if (body !== undefined) {
        headers['Content-Type'] = type ?? 'application/json';
    }
    let answer: Response;
    try {
        answer = await fetch(BASE + path, {
            method,
            headers,
            credentials: 'same-origin',
            cache: 'no-store',
            redirect: 'error',
            signal: AbortSignal.timeout(WAIT_MS),
            ...(body === undefined ? {} : { body }),
        });
    } catch {
        throw new ApiError(0, 'unreachable', 'The server cannot be reached.', 'Check the network, and that bedplated runs.');
    }
    if (answer.ok) {
        return answer;
    }
    const problem = problemOf(answer.status, await answer.json().catch(() => null));
    if (problem.isSignedOut) {
        onSignedOut?.();
    }
    throw problem;
}

async function json<T>(answer: Response): Promise<T> {
    if (answer.status === 204) {
        return undefined as T;
    }
    try {
        return (await answer.json()) as T;
    } catch {
        throw new ApiError(answer.status, 'unreadable', 'The server sent an answer that is no JSON.');
    }
}

export async function get<T>(path: string): Promise<T> {
    return json<T>(await send('GET', path));
}

export async function post<T = unknown>(path: string, body?: unknown): Promise<T> {
    return json<T>(await send('POST', path, JSON.stringify(body ?? {})));
}

export async function del(path: string): Promise<void> {
    await send('DELETE', path);
}

/** Bytes and their name for saving. */
export async function download(path: string): Promise<Blob> {
    return (await send('GET', path)).blob();
}

/** The same with a document that is no JSON. */
export async function postText<T>(path: string, body: string, type: string): Promise<T> {
    return json<T>(await send('POST', path, body, type));
}

/** A document as text, with whatever type the server gives it. */
export async function put<T>(path: string, body: string, type: string): Promise<T> {
    return json<T>(await send('PUT', path, body, type));
}
