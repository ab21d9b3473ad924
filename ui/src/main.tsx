// SPDX-License-Identifier: Apache-2.0
// main - puts the page into its document.
import { render } from 'preact';
import { App } from './app';

const root = document.getElementById('app');
if (root) {
    root.textContent = '';
    render(<App />, root);
}
