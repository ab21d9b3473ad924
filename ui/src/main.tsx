// SPDX-License-Identifier: Apache-2.0
import { render } from 'preact';
import { SignIn } from './signin';

const root = document.getElementById('app');
if (root) {
    render(<SignIn message="" onDone={() => location.reload()} />, root);
}
