// SPDX-License-Identifier: Apache-2.0
// model - the members of the API's answers that the page reads (docs/protocol/api.md), and the words it has for them.
// What it does not know never looks trusted.

export interface Session { operator: string; role: string; zone: string; csrf: string | null; expires: string | null }

export type Trust = 'affirming' | 'warning' | 'contraindicated' | 'none' | 'silent' | 'off';
export const TRUSTS: readonly Trust[] = ['affirming', 'warning', 'contraindicated', 'none', 'silent'];
export type State = 'waiting' | 'claimed' | 'enrolled' | 'active' | 'quarantined' | 'revoked' | 'retired';
export const STATES: readonly State[] = ['waiting', 'claimed', 'enrolled', 'active', 'quarantined', 'revoked', 'retired'];
export type Counts = Readonly<Record<string, number>>;

export interface Overview {
    server: { name: string; version: string; organisation: string; evaluation: boolean; recovering: boolean; time: string };
    head: { size: number; signed_size: number };
    devices: { total: number; state: Counts; trust: Counts };
    zones: { zone: string; devices: number; trust: Counts }[];
    policy: { version: number; digest: string; at: string } | null;
    processes: { name: string; running: boolean; fence: string }[];
}

export interface Summary {
    id: string; short: string; pseudonym: string; name: string; zone: string; site: string; model: string; position: string;
    state: string; tier: string; trust: string; reason: string; root_class: string; kind: string;
    as_of: string | null; heard: string | null; due: string | null; created: string | null; since: string | null;
    state_reason: string; verdict: number | null; source?: string;
}

export interface Finding { code: string; effect: string; text: string; at: number | null }
export interface Tile { tile: string; state: string; text: string; age_ms: number | null; evidence: string; does_not_prove: string }

/** service: what the certificate of an application is for; null: it is the management certificate. */
export interface Certificate { serial: string; profile: string; service: string | null; not_before: string; not_after: string; state: string }

export interface Device extends Summary {
    source: string;
    quarantine: { since: string; reason: string; automatic: boolean; before: string } | null;
    findings: Finding[];
    vector: Counts;
    claims: Record<string, number | string | null>;
    root: { class: string; kind: string; does_not_prove: string };
    keys: { role: string; spki: string; since: string | null; alias: boolean; tombstone: boolean }[];
    certificate: Certificate | null;
    certificates: Certificate[];
    releases: string[];
    info: Record<string, string>;
    chain: Tile[];
}

/** Whether a device may take a position over: what the server will ask as well. */
export function isSpareFor(d: Summary, model: string): boolean {
    return d.position === '' && (d.state === 'enrolled' || d.state === 'active') && (d.trust === 'affirming' || d.trust === 'warning')
        && (model === '' || d.model === '' || d.model === model);
}

export interface Verdict { number: number; time: string; as_of: string; seq: number; tier: string; reason: string }
export interface Acceptance { zone: string; state: string; by: string; reason: string; at: string }
export interface Release {
    id: string; product: string; version: string; model: string; counter: number; imported: string; created: string | null; by: string;
    acceptances: Acceptance[];
}
export interface Rule { name: string; when: string; verdict: string; actions: string[]; reason: string }
export interface PolicyTest { name: string; claims: Record<string, number | string | { hex: string }>; expect: string }
export interface Policy { version: number; digest: string | null; zone: string; by: string; at: string | null; rules: Rule[]; tests: PolicyTest[] }
export interface Judged { tier: string; permitted: boolean; actions: string[]; reason: string }
export interface Change { id: string; short: string; name: string; zone: string; now: Judged; then: Judged }
export interface DryRun {
    version: number; digest: string; rules: number; tests: number; in_force: number; publishable: boolean; judged: number; unjudged: number;
    changes: Change[]; next: string | null;
}
export interface Event {
    number: number; time: string; type: string; severity: string; text: string; actor: string; device: string | null; device_name: string;
    pseudonym: string | null; zone: string; attack: string; erased: boolean;
}

/** A colour and shape of the page: each has its own icon, so that nothing is told by colour alone. */
export type Look = 'ok' | 'warn' | 'bad' | 'none' | 'silent' | 'off' | 'plain';
export interface Label { readonly look: Look; readonly text: string; readonly meaning: string }

const TRUST_LABELS: Readonly<Record<Trust, Label>> = {
    affirming: { look: 'ok', text: 'Trusted', meaning: 'Fresh evidence shows what was accepted, and the policy says yes.' },
    warning: { look: 'warn', text: 'Warning', meaning: 'Genuine, but something needs a look.' },
    contraindicated: { look: 'bad', text: 'Not trusted', meaning: 'The evidence shows something that nobody accepted.' },
    none: { look: 'none', text: 'Not appraised', meaning: 'There is not enough to judge by. It is not trusted.' },
    silent: { look: 'silent', text: 'Silent', meaning: 'Nothing was heard in time. The last verdict no longer counts.' },
    off: { look: 'off', text: 'Off', meaning: 'Revoked or retired, for good.' },
};

/** The label of a tier, of trust, or of a tile's state. A word that is not known is "not appraised". */
export function trustLabel(word: string | undefined): Label {
    return Object.hasOwn(TRUST_LABELS, word ?? '') ? TRUST_LABELS[word as Trust] : TRUST_LABELS.none;
}

const CERTIFICATE_LABELS: Readonly<Record<string, Label>> = {
    good: { look: 'ok', text: 'Good', meaning: 'In force.' },
    suspended: { look: 'warn', text: 'Suspended', meaning: 'Refused while the device is in quarantine, good again after.' },
    revoked: { look: 'off', text: 'Revoked', meaning: 'Off, for good.' },
};

/** What a certificate is worth now. A state that is not known does not look good. */
export function certificateLabel(c: Certificate, now: number): Label {
    if (c.state === 'good' && ms(c.not_after) < now) {
        return { look: 'silent', text: 'Ended', meaning: 'Its time is over and it was not renewed.' };
    }
    return Object.hasOwn(CERTIFICATE_LABELS, c.state) ? CERTIFICATE_LABELS[c.state] as Label : { look: 'none', text: c.state || 'Unknown', meaning: '' };
}

/** The one that counts of each service, by name; those before it only run out. */
export function applications(all: readonly Certificate[]): Certificate[] {
    const newest = new Map<string, Certificate>();
    for (const c of all) {
        const before = c.service === null ? undefined : newest.get(c.service);
        if (c.service !== null && (before === undefined || ms(c.not_before) > ms(before.not_before))) {
            newest.set(c.service, c);
        }
    }
    return [...newest.values()].sort((a, b) => (a.service ?? '').localeCompare(b.service ?? ''));
}

/** A link of the chain is in order or not; "trusted" is said of a device only. */
const TILE_WORDS: Readonly<Record<Look, string>> = {
    ok: 'In order', warn: 'Warning', bad: 'Broken', none: 'Not shown', silent: 'Not fresh', off: 'Off', plain: '',
};

export function tileWord(state: string): string {
    return TILE_WORDS[trustLabel(state).look];
}

const STATE_LABELS: Readonly<Record<State, Label>> = {
    waiting: { look: 'warn', text: 'Waiting', meaning: 'Genuine but unknown: a person has to say yes.' },
    claimed: { look: 'plain', text: 'Claimed', meaning: 'Ours, without a certificate yet.' },
    enrolled: { look: 'plain', text: 'Enrolled', meaning: 'Has a certificate and has not used it yet.' },
    active: { look: 'plain', text: 'Active', meaning: 'Attests over its own certificate.' },
    quarantined: { look: 'bad', text: 'Quarantined', meaning: 'Refused by everything except Bedplate.' },
    revoked: { look: 'off', text: 'Revoked', meaning: 'Off, for good.' },
    retired: { look: 'off', text: 'Retired', meaning: 'Gone by a person’s decision.' },
};

export function stateLabel(word: string): Label {
    return Object.hasOwn(STATE_LABELS, word) ? STATE_LABELS[word as State] : { look: 'none', text: word || 'Unknown', meaning: '' };
}

const ACCEPTANCE_LABELS: Readonly<Record<string, Label>> = {
    accepted: { look: 'ok', text: 'Accepted', meaning: 'Devices may run it.' },
    deprecated: { look: 'warn', text: 'Deprecated', meaning: 'Devices that run it show a warning.' },
    withdrawn: { look: 'bad', text: 'Withdrawn', meaning: 'Devices that run it are not trusted.' },
};

export function acceptanceLabel(word: string): Label {
    return Object.hasOwn(ACCEPTANCE_LABELS, word)
        ? (ACCEPTANCE_LABELS[word] as Label)
        : { look: 'none', text: 'Imported', meaning: 'Known, and accepted nowhere yet.' };
}

export function effectLabel(effect: string): Label {
    switch (effect) {
        case 'note': return { look: 'plain', text: 'Note', meaning: '' };
        case 'warning': return TRUST_LABELS.warning;
        case 'contraindicated': return TRUST_LABELS.contraindicated;
        case 'refuse': return { look: 'bad', text: 'Refused', meaning: '' };
        default: return TRUST_LABELS.none;
    }
}

export function severityLabel(severity: string): Label {
    switch (severity) {
        case 'alert': return { look: 'bad', text: 'Alert', meaning: '' };
        case 'warning': return { look: 'warn', text: 'Warning', meaning: '' };
        case 'notice': return { look: 'plain', text: 'Notice', meaning: '' };
        default: return { look: 'plain', text: 'Info', meaning: '' };
    }
}

const ROOTS: Readonly<Record<string, string>> = {
    discrete: 'TPM chip', firmware: 'firmware TPM', virtual: 'virtual TPM', software: 'software key', unknown: 'TPM of unknown maker',
    none: 'no hardware root',
};

/** What the chain hangs on, as a person says it. */
export function rootText(cls: string): string {
    return Object.hasOwn(ROOTS, cls) ? (ROOTS[cls] as string) : 'unknown root';
}

/** Only hardware may look like hardware. */
export function isHardware(cls: string): boolean {
    return cls === 'discrete' || cls === 'firmware';
}

const TILES: Readonly<Record<string, string>> = {
    root: 'Root', firmware: 'Firmware', boot: 'Boot', system: 'System', programs: 'Programs', keys: 'Keys', certificate: 'Certificate', session: 'Session',
};

export function tileText(tile: string): string {
    return Object.hasOwn(TILES, tile) ? (TILES[tile] as string) : tile;
}

/** RFC 3339 to milliseconds; 0 where there is none. */
export function ms(time: string | null | undefined): number {
    const at = time ? Date.parse(time) : 0;
    return Number.isFinite(at) ? at : 0;
}

/** What to call a device: its name, or the first part of its short form. */
export function nameOf(d: Pick<Summary, 'name' | 'short'>): string {
    return d.name || d.short;
}

/** Hex or serial in groups of four from the left, shortened in the middle when it is long. */
export function digest(hex: string | null | undefined, keep = 8): string {
    if (!hex) {
        return '–';
    }
    return hex.length <= keep * 2 + 1 ? hex : `${hex.slice(0, keep)}…${hex.slice(-4)}`;
}

/** The groups of a short device id, for comparing group by group. */
export function groups(short: string): string[] {
    return short.split('-').filter((g) => g !== '');
}

export function count(counts: Counts | undefined, name: string): number {
    const n = counts && Object.hasOwn(counts, name) ? counts[name] : 0;
    return typeof n === 'number' && n > 0 ? n : 0;
}

/** Index of the first tile that breaks the chain; -1: it holds. A warning bends it and no more. */
export function brokenAt(chain: readonly Tile[]): number {
    return chain.findIndex((t) => {
        const look = trustLabel(t.state).look;
        return look !== 'ok' && look !== 'warn';
    });
}

/** The policy as a YAML document to edit, numbered as its successor. Texts are JSON texts, which YAML reads the same way. */
export function policyYaml(p: Pick<Policy, 'version' | 'zone' | 'rules' | 'tests'>): string {
    const q = (s: string): string => JSON.stringify(s);
    const lines = [`version: ${p.version + 1}`, `zone: ${q(p.zone || '*')}`, 'rules:'];
    const rules: readonly Rule[] = p.rules.length > 0 ? p.rules : [
        { name: 'secure-boot', when: 'secure_boot <> 1', verdict: 'forbid', actions: ['alert'], reason: 'Secure Boot is not on' },
        { name: 'affirming', when: 'tier = 2', verdict: 'permit', actions: [], reason: 'Runs an accepted release whole' },
    ];
    for (const r of rules) {
        lines.push(`  - name: ${q(r.name)}`, `    when: ${q(r.when)}`, `    verdict: ${r.verdict}`);
        if (r.actions.length > 0) {
            lines.push(`    actions: [${r.actions.join(', ')}]`);
        }
        if (r.reason !== '') {
            lines.push(`    reason: ${q(r.reason)}`);
        }
    }
    if (p.tests.length > 0) {
        lines.push('tests:');
    }
    for (const t of p.tests) {
        const claims = Object.entries(t.claims).map(([n, v]) => `${n}: ${typeof v === 'number' ? v : typeof v === 'string' ? q(v) : `x'${v.hex}'`}`);
        lines.push(`  - name: ${q(t.name)}`, `    claims: {${claims.join(', ')}}`, `    expect: ${t.expect}`);
    }
    return `${lines.join('\n')}\n`;
}

/** Line and column (from 1) in a policy document that a refusal names; zeros where it names none. A place in a rule's
 * expression leads to the line of that expression. */
export function placeIn(message: string, document: string): { line: number; column: number } {
    const rule = /\brule (.+), column (\d{1,7}) of its expression/.exec(message);
    if (rule) {
        const lines = document.split('\n');
        const name = lines.findIndex((l) => /^\s*(-\s*)?"?name"?\s*:/.test(l) && l.replace(/^[^:]*:/, '').replace(/#.*$/, '').trim().replace(/^(["'])(.*)\1,?$/, '$2') === rule[1]);
        const when = name < 0 ? -1 : lines.findIndex((l, i) => i > name && /^\s*"?when"?\s*:/.test(l));
        const text = when < 0 ? null : /^\s*"?when"?\s*:\s*["']?/.exec(lines[when] ?? '');
        return text ? { line: when + 1, column: text[0].length + Number(rule[2]) } : { line: 0, column: 0 };
    }
    const line = /\bline[ :]*(\d{1,7})/i.exec(message);
    const column = /\bcol(?:umn)?[ :.]*(\d{1,7})/i.exec(message);
    return line ? { line: Number(line[1]), column: column ? Number(column[1]) : 0 } : { line: 0, column: 0 };
}

/** Offset in a text of a line and column (from 1), kept inside it. */
export function offsetOf(text: string, line: number, column: number): number {
    let at = 0;
    for (let n = 1; n < line; n++) {
        const next = text.indexOf('\n', at);
        if (next < 0) {
            return text.length;
        }
        at = next + 1;
    }
    const end = text.indexOf('\n', at);
    return Math.min(at + Math.max(0, column - 1), end < 0 ? text.length : end);
}
