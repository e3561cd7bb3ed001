/** What buttons and keys do. */

/** @import {Search, Tool} from './types.js' */

import * as answers from './answers.js';
import * as store from './store.js';

/** @param {string} said */
function say(said) {
  store.set({ said });
}

/** @param {Tool} tool */
export function take(tool) {
  store.choose({ tool });
}

/**
 * Makes an object the one that clicks go to. What was chosen is no step of its own.
 * @param {string|null} key
 */
export function select(key) {
  const { work } = store.now();
  store.endGesture();
  if (work.current !== key) {
    store.set({ work: { ...work, current: key } });
  }
}

/** The next click begins another object. */
export function beginObject() {
  const current = store.current();
  if (!current || store.isPrompted(current)) {
    store.addItem();
  }
  const { tool } = store.now().settings;
  if (tool !== 'point' && tool !== 'box') {
    take('point');
  }
  say('new object');
}

/** The current object is done. */
export function accept() {
  if (store.now().work.current !== null) {
    select(null);
    say('done; the next click begins a new object');
  }
}

/** Takes the clicks and the box of the current object away. */
export function clearCurrent() {
  const current = store.current();
  if (!current) {
    select(null);
  } else if (current.clicks.length > 0 || current.box) {
    store.changeItem(current.id, { clicks: [], box: null, candidate: null });
    say('clicks and box taken away');
  }
}

/** @returns {boolean} whether there is something to clear */
export function hasWork() {
  const { items, search, phrases } = store.now().work;
  return items.length > 0 || phrases.length > 0 || search !== 'none';
}

/** Takes all away. */
export function clearAll() {
  if (hasWork()) {
    store.step({ items: [], current: null, search: 'none', phrases: [], edits: {} });
    say('all taken away');
  }
}

/** @param {string} key */
function isItem(key) {
  return store.now().work.items.some((item) => item.id === key);
}

/**
 * Deletes an object; one that was found without a prompt is hidden, since it would be found again.
 * @param {string|null} key
 */
export function remove(key) {
  if (key !== null && isItem(key)) {
    store.removeItem(key);
    say('deleted');
  } else if (key !== null) {
    hide(key, true);
  }
}

/**
 * @param {string|null} key
 * @param {boolean} [isHidden] left out: the other way round
 */
export function hide(key, isHidden) {
  const shown = key === null ? undefined : answers.shown(store.now(), store.now().settings.model).find((one) => one.key === key);
  if (shown) {
    const change = { isHidden: isHidden ?? !shown.isHidden };
    if (shown.item) {
      store.changeItem(shown.key, change);
    } else {
      store.edit(shown.key, change);
    }
    say(`${shown.name} ${change.isHidden ? 'hidden' : 'shown'}`);
  }
}

/**
 * Looks for something; a second time calls it off.
 * @param {Search} search
 */
export function seek(search) {
  if (store.now().clip) {
    return;
  }
  store.step({ search: store.now().work.search === search ? 'none' : search });
}

/** @param {number} place of one of the three masks, from 0 */
export function chooseMask(place) {
  const { masks } = answers.candidates(store.now());
  const current = store.current();
  if (current && masks.length > 1 && place < masks.length) {
    store.changeItem(current.id, { candidate: place });
    say(`mask ${place + 1} of ${masks.length}`);
  }
}
