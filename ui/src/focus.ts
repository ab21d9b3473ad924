// SPDX-License-Identifier: Apache-2.0
// focus - a keyboard user keeps the place. The page changes by itself; what has the focus may be replaced or go away, and
// the browser then puts the focus nowhere: the next Tab would begin at the top of the page.

/** Where `gone` is now: the element that does the same act (data-act), else the view. */
function successor(gone: Element): HTMLElement | null {
    const act = gone.getAttribute('data-act');
    const same = act === null ? undefined : [...document.querySelectorAll<HTMLElement>('[data-act]')].find((e) => e.getAttribute('data-act') === act);
    return same ?? document.querySelector('main');
}

const isNowhere = (): boolean => document.activeElement === null || document.activeElement === document.body;

/** Gives the focus back to `last`, or to what stands in its place. Inside an open dialog nothing outside can have it. */
export function refocus(last: Element | null): void {
    if (last instanceof HTMLElement && last.isConnected && last !== document.body) {
        last.focus({ preventScroll: true });
        if (document.activeElement === last) {
            return;
        }
    }
    const dialog = document.querySelector('dialog[open]');
    const to = dialog ? dialog.querySelector<HTMLElement>('[data-focus], button:enabled') : last ? successor(last) : document.querySelector('main');
    to?.focus({ preventScroll: true });
}

/** Watches for changes of the page that take the focus away, until it is told to end. Who leaves by hand is let go. */
export function keepFocus(): () => void {
    let last: Element | null = null;
    const came = (e: FocusEvent): void => {
        last = e.target instanceof Element ? e.target : null;
    };
    const leaves = (e: Event): void => {
        if (!(e instanceof KeyboardEvent) || e.key === 'Tab') {
            last = null;
        }
    };
    const watcher = new MutationObserver(() => {
        if (last && isNowhere()) {
            refocus(last);
        }
    });
    const off = new AbortController();
    document.addEventListener('focusin', came, { signal: off.signal });
    document.addEventListener('pointerdown', leaves, { capture: true, signal: off.signal });
    document.addEventListener('keydown', leaves, { capture: true, signal: off.signal });
    watcher.observe(document.body, { childList: true, subtree: true });
    return () => {
        off.abort();
        watcher.disconnect();
    };
}
