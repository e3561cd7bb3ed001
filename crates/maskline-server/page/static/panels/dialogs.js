/** Help, and the key of a server that wants one. */

import { askAgain } from '../asking.js';
import * as server from '../server.js';
import * as store from '../store.js';
import { button, follow, get, write } from '../dom.js';

export function beginDialogs() {
  button('help-open').addEventListener('click', openHelp);
  const help = get('help', HTMLDialogElement);
  help.addEventListener('click', (event) => {
    const isOutside = event.target === help;
    const isClose = event.target instanceof Element && event.target.closest('[data-close]') !== null;
    if (isOutside || isClose) {
      help.close();
    }
  });
  beginKey(get('key', HTMLDialogElement));
}

export function openHelp() {
  get('help', HTMLDialogElement).showModal();
}

/** @param {HTMLDialogElement} dialog */
function beginKey(dialog) {
  const [form, input, note] = [get('key-form', HTMLFormElement), get('key-input', HTMLInputElement), get('key-note', HTMLElement)];
  form.addEventListener('submit', () => {
    server.useKey(input.value);
    input.value = '';
    store.set({ wantsKey: false, problem: null });
    askAgain();
  });
  // Nothing can be done without it.
  dialog.addEventListener('cancel', (event) => event.preventDefault());
  dialog.addEventListener('close', () => store.now().wantsKey && dialog.showModal());
  follow((state) => [state.wantsKey], ({ wantsKey }) => {
    if (wantsKey && !dialog.open) {
      write(note, server.hasKey() ? 'That key is not one of this server.' : '');
      dialog.showModal();
      input.focus();
    }
  });
}
