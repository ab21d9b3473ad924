// SPDX-License-Identifier: Apache-2.0
// chain - the picture of the chain of trust: from the root that everything hangs on to the session that is used.
import type { JSX } from 'preact';
import type { Tile } from './model';
import { brokenAt, tileText, tileWord, trustLabel } from './model';
import { Icon, useNow } from './parts';
import { span } from './time';
import { useRef } from 'preact/hooks';

const MEANS: Readonly<Record<string, string>> = {
    root: 'The chip that holds the keys', firmware: 'What starts first', boot: 'Boot loader and Secure Boot', system: 'Kernel and start image',
    programs: 'Programs and agent', keys: 'Keys held by the root', certificate: 'What we issued', session: 'The connection in use',
};

export function Chain(props: { tiles: Tile[] }): JSX.Element {
    const broken = brokenAt(props.tiles);
    const weak = broken < 0 ? undefined : props.tiles[broken];
    return (
        <section class="card" aria-labelledby="chain">
            <div class="row spread">
                <h2 id="chain">Chain of trust</h2>
                <p class="muted">{props.tiles.length === 0
                    ? 'No evidence yet.'
                    : weak ? `The chain ends at ${tileText(weak.tile).toLowerCase()}: what comes after it rests on nothing proven.` : 'Every link holds. What each one does not prove stands below it.'}</p>
            </div>
            <ol class="chain">
                {props.tiles.map((t, i) => <TileBox key={t.tile} tile={t} holds={broken < 0 || i < broken} follows={broken >= 0 && i > broken} />)}
            </ol>
        </section>
    );
}

function TileBox(props: { tile: Tile; holds: boolean; follows: boolean }): JSX.Element {
    const t = props.tile;
    const label = trustLabel(t.state);
    return (
        <li class={`tile ${label.look} ${props.holds ? 'holds' : 'ends'}${props.follows ? ' follows' : ''}`} data-tile={t.tile} data-state={t.state}>
            <div class="knot"><Icon look={label.look} /><span class="line" aria-hidden="true" /></div>
            <h3>{tileText(t.tile)} <span class="muted">{MEANS[t.tile] ?? ''}</span></h3>
            <p class="say"><strong>{props.follows && label.look === 'ok' ? 'In order by itself' : tileWord(t.state)}.</strong> {t.text}</p>
            <p class="evidence"><span class="muted">Evidence:</span> {t.evidence || 'none'}{t.age_ms !== null && <>, <Counting ageMs={t.age_ms} /></>}</p>
            {t.does_not_prove !== '' && <p class="limit"><strong>Does not prove:</strong> {t.does_not_prove}</p>}
        </li>
    );
}

/** An age that the server told, counting on from when it was told. */
function Counting(props: { ageMs: number }): JSX.Element {
    const told = useRef({ age: props.ageMs, at: Date.now() });
    if (told.current.age !== props.ageMs) {
        told.current = { age: props.ageMs, at: Date.now() };
    }
    return <span class="num">{span(props.ageMs + Math.max(0, useNow() - told.current.at))} old</span>;
}
