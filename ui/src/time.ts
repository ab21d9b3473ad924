// SPDX-License-Identifier: Apache-2.0
// time - how old something is, in words; pure.

const STEPS: readonly (readonly [limit: number, divisor: number, unit: string])[] = [
    [60, 1, 's'],
    [3600, 60, 'min'],
    [86_400, 3600, 'h'],
    [Infinity, 86_400, 'd'],
];

/** A length of time in its largest whole unit: "4 s", "12 min", "3 h", "9 d". */
export function span(ms: number): string {
    const seconds = Math.max(0, Math.floor(ms / 1000));
    for (const [limit, divisor, unit] of STEPS) {
        if (seconds < limit) {
            return `${Math.floor(seconds / divisor)} ${unit}`;
        }
    }
    return '';
}

/** "4 s ago", "in 12 min", "now". Zero and what is not a time give "never". */
export function relative(at: number | null | undefined, now: number): string {
    if (!at || !Number.isFinite(at)) {
        return 'never';
    }
    const past = now - at;
    if (past > -1000 && past < 1000) {
        return 'now';
    }
    return past > 0 ? `${span(past)} ago` : `in ${span(-past)}`;
}

/** The moment itself, in the reader's time zone, to the second, with the zone. */
export function absolute(at: number | null | undefined): string {
    if (!at || !Number.isFinite(at)) {
        return 'never';
    }
    const d = new Date(at);
    const two = (n: number): string => String(n).padStart(2, '0');
    const offset = -d.getTimezoneOffset();
    const zone = offset === 0 ? 'UTC' : `UTC${offset > 0 ? '+' : '−'}${two(Math.floor(Math.abs(offset) / 60))}:${two(Math.abs(offset) % 60)}`;
    return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())} ${zone}`;
}

/** How long to wait before age text can change: a second below a minute, then less often. */
export function nextTick(ageMs: number): number {
    return ageMs < 60_000 ? 1000 : ageMs < 3_600_000 ? 15_000 : 60_000;
}
