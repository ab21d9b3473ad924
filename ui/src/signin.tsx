// SPDX-License-Identifier: Apache-2.0
// signin - the one-time code becomes a session. There is no password.
import { useState } from 'preact/hooks';
import type { JSX } from 'preact';
import { ApiError, post } from './api';

export function SignIn(props: { message: string; onDone: () => void }): JSX.Element {
    const [code, setCode] = useState('');
    const [problem, setProblem] = useState('');
    const [busy, setBusy] = useState(false);

    async function submit(e: Event): Promise<void> {
        e.preventDefault();
        if (code.trim() === '' || busy) {
            setProblem('Type the code first.');
            return;
        }
        setBusy(true);
        setProblem('');
        try {
            await post('/session', { code: code.trim() });
            props.onDone();
        } catch (err) {
            const told = err instanceof ApiError && err.status !== 401 ? [err.message, err.help].filter(Boolean).join(' ') : '';
            setProblem(told || 'This code is wrong, was used already, or is older than 15 minutes. Ask for a new one.');
            setBusy(false);
        }
    }

    return (
        <main class="signin">
            <form class="card" onSubmit={submit}>
                <h1>Bedplate</h1>
                {props.message !== '' && <p class="note" role="status">{props.message}</p>}
                <label for="code">One-time sign-in code</label>
                <input
                    id="code" name="code" class="code" autoComplete="off" autoCapitalize="characters" spellcheck={false} autoFocus
                    value={code} onInput={(e) => setCode(e.currentTarget.value)} aria-describedby="code-help code-error" aria-invalid={problem !== ''}
                />
                <p id="code-error" class="error" role="alert">{problem}</p>
                <button class="primary" type="submit" disabled={busy}>{busy ? 'Signing in…' : 'Sign in'}</button>
                <p id="code-help" class="help">
                    The server printed the first code when it was set up. An administrator makes further codes. A code works once, for 15 minutes.
                    There are no passwords here.
                </p>
            </form>
        </main>
    );
}
