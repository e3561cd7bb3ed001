/** What went wrong, and what can be done. */

/** @import {Problem} from '../types.js' */

import { askAgain } from '../asking.js';
import * as store from '../store.js';
import { followAgain } from '../video/following.js';
import { follow, get, h, icon, mark } from '../dom.js';

export function beginProblem() {
  const banner = get('problem', HTMLElement);
  let told = '';
  follow((state) => [state.problem, state.wantsKey], ({ problem, wantsKey }) => {
    // The dialog that asks for a key says it better.
    const isShown = problem !== null && !(wantsKey && problem.reason === 'unauthorized');
    const text = isShown ? JSON.stringify(problem) : '';
    mark(banner, 'hidden', !isShown);
    if (text !== told) {
      told = text;
      banner.replaceChildren(...(isShown ? parts(problem) : []));
    }
  });
}

/** @param {Problem} problem */
function parts({ reason, status, title, detail, help }) {
  const close = () => store.set({ problem: null });
  const text = h('div', { class: 'text' }, h('strong', {}, title), h('p', {}, sentence(detail)));
  if (help) {
    text.append(h('p', { class: 'help' }, sentence(help)));
  }
  const repeat = () => {
    askAgain();
    followAgain();
  };
  const again = h('button', { type: 'button', click: repeat }, 'Again');
  const end = h('button', { type: 'button', class: 'quiet', 'aria-label': 'Close', title: 'Close', click: close }, icon('close'));
  // Who cannot be reached is asked by itself, and what was answered in part is answered.
  again.hidden = reason === 'unreachable' || status === 200;
  return [text, again, end];
}

/** @param {string} text */
function sentence(text) {
  return text === '' ? '' : text.charAt(0).toUpperCase() + text.slice(1);
}
