// SPDX-License-Identifier: Apache-2.0
// stream - what the page keeps of the server's event stream, and how long it waits before it tries again; pure.

export interface Change { number: number; time: string; type: string; severity: string; pseudonym: string | null; actor: string; zone: string; text: string }

export type Status = 'connecting' | 'live' | 'reconnecting';

export interface Live {
    readonly status: Status;
    /** Failed attempts since it was last live. */
    readonly attempt: number;
    /** Number of the newest event seen; 0: none yet. */
    readonly last: number;
    /** Goes up whenever what a view shows may be old. Views read again when their number moved. */
    readonly seen: Readonly<Record<Topic, number>>;
    /** Goes up for one device (by pseudonym). Bounded: see DEVICES. */
    readonly devices: ReadonlyMap<string, number>;
}

export type Topic = 'devices' | 'releases' | 'policy' | 'events';
export type Action = { kind: 'open' } | { kind: 'lost' } | { kind: 'change'; change: Change };

const DEVICES = 2000;
export const START: Live = { status: 'connecting', attempt: 0, last: 0, seen: { devices: 0, releases: 0, policy: 0, events: 0 }, devices: new Map() };

/** Which lists an event of that type touches. Every event is in the log. */
export function topicsOf(type: string, concernsDevice: boolean): Topic[] {
    const topics: Topic[] = ['events'];
    if (type.startsWith('release-')) {
        topics.push('releases');
    }
    if (type.startsWith('policy-')) {
        topics.push('policy');
    }
    if (concernsDevice || type.startsWith('device-') || type === 'waiting-expired') {
        topics.push('devices');
    }
    return topics;
}

const bump = (seen: Live['seen'], topics: readonly Topic[]): Live['seen'] => {
    const next = { ...seen };
    for (const t of topics) {
        next[t]++;
    }
    return next;
};

const ALL: readonly Topic[] = ['devices', 'releases', 'policy', 'events'];

export function reduce(s: Live, a: Action): Live {
    switch (a.kind) {
        case 'open':
            // Messages may have been missed while the line was down: everything is read again, except at the first start.
            return { ...s, status: 'live', attempt: 0, seen: s.status === 'reconnecting' ? bump(s.seen, ALL) : s.seen, devices: s.status === 'reconnecting' ? new Map() : s.devices };
        case 'lost':
            return { ...s, status: 'reconnecting', attempt: s.attempt + 1 };
        case 'change': {
            const c = a.change;
            if (c.number <= s.last) {
                return s; // told twice
            }
            const gap = s.last > 0 && c.number > s.last + 1;
            const topics = gap ? ALL : topicsOf(c.type, c.pseudonym !== null);
            let devices = s.devices;
            if (c.pseudonym !== null) {
                const next = new Map(s.devices.size < DEVICES ? s.devices : []);
                next.set(c.pseudonym, c.number);
                devices = next;
            }
            return { ...s, last: c.number, seen: bump(s.seen, topics), devices };
        }
    }
}

/** Milliseconds before attempt n (from 1): doubling from 1 s to 30 s, less up to half by chance in [0, 1). */
export function backoff(attempt: number, chance: number): number {
    const full = Math.min(30_000, 1000 * 2 ** Math.min(10, Math.max(0, attempt - 1)));
    return Math.round(full * (1 - chance / 2));
}

export interface Message { event: string; data: string }

/** Reads server-sent events (WHATWG HTML 9.2.6) from pieces of text, however they are cut. */
export class Reader {
    private rest = '';
    private event = '';
    private data: string[] = [];
    private size = 0;
    static readonly LIMIT = 256 * 1024;

    /** The messages that this piece completes. Throws when a message is longer than LIMIT. */
    feed(piece: string): Message[] {
        const done: Message[] = [];
        this.rest += piece;
        for (;;) {
            const m = /\r\n|\n|\r(?!$)/.exec(this.rest);
            if (!m) {
                break;
            }
            const line = this.rest.slice(0, m.index);
            this.rest = this.rest.slice(m.index + m[0].length);
            this.line(line, done);
        }
        if (this.rest.length + this.size > Reader.LIMIT) {
            throw new Error('message too long');
        }
        return done;
    }

    private line(line: string, done: Message[]): void {
        if (line === '') {
            if (this.data.length > 0) {
                done.push({ event: this.event || 'message', data: this.data.join('\n') });
            }
            this.event = '';
            this.data = [];
            this.size = 0;
            return;
        }
        const colon = line.indexOf(':');
        const field = colon < 0 ? line : line.slice(0, colon);
        const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
        if (field === 'event') {
            this.event = value;
        } else if (field === 'data') {
            this.data.push(value);
            this.size += value.length;
        }
    }
}

/** A change out of a message's data; null when it is none. */
export function changeOf(data: string): Change | null {
    let v: unknown;
    try {
        v = JSON.parse(data);
    } catch {
        return null;
    }
    if (typeof v !== 'object' || v === null) {
        return null;
    }
    const o = v as Record<string, unknown>;
    if (typeof o['number'] !== 'number' || !Number.isSafeInteger(o['number']) || o['number'] < 1) {
        return null;
    }
    const s = (name: string): string => (typeof o[name] === 'string' ? (o[name] as string) : '');
    return {
        number: o['number'], time: s('time'), type: s('type'), severity: s('severity'), actor: s('actor'), zone: s('zone'), text: s('text'),
        pseudonym: typeof o['pseudonym'] === 'string' && o['pseudonym'] !== '' ? o['pseudonym'] : null,
    };
}
