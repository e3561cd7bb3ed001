/** Keys, wherever the focus is, but where somebody types. */

import * as actions from './actions.js';
import { beginTyping } from './panels/words.js';
import { jump, stepBy } from './panels/timeline.js';
import { openHelp } from './panels/dialogs.js';
import { fit, zoomBy } from './stage/view.js';
import * as store from './store.js';
import { stop } from './video/following.js';

const ZOOM = 1.25;

/** @type {Record<string, () => void>} */
const DEEDS = {
  v: () => actions.take('point'),
  b: () => actions.take('box'),
  t: beginTyping,
  n: actions.beginObject,
  h: () => actions.hide(store.now().work.current),
  e: everything,
  1: () => actions.chooseMask(0),
  2: () => actions.chooseMask(1),
  3: () => actions.chooseMask(2),
  '?': openHelp,
  '+': () => zoomBy(ZOOM),
  '=': () => zoomBy(ZOOM),
  '-': () => zoomBy(1 / ZOOM),
  '−': () => zoomBy(1 / ZOOM),
  0: fit,
  delete: () => actions.remove(store.now().work.current),
  backspace: () => actions.remove(store.now().work.current),
  enter: actions.accept,
  escape: actions.clearCurrent,
};

/** What keys do beside that while a clip is open. @type {Record<string, () => void>} */
const DEEDS_OF_CLIPS = { ',': () => stepBy(-1), '.': () => stepBy(1), home: () => jump(0), end: () => jump(Infinity) };

export function beginKeys() {
  window.addEventListener('keydown', (event) => {
    const deed = deedOf(event);
    if (deed) {
      event.preventDefault();
      deed();
    }
  });
}

/**
 * @param {KeyboardEvent} event
 * @returns {(() => void)|undefined}
 */
function deedOf(event) {
  const target = event.target instanceof Element ? event.target : document.body;
  if (event.defaultPrevented || event.isComposing || document.querySelector('dialog[open], :popover-open')) {
    return undefined;
  }
  const key = event.key.toLowerCase();
  if (isTypedInto(target)) {
    return key === 'escape' && target instanceof HTMLElement ? () => target.blur() : undefined;
  }
  if (event.ctrlKey || event.metaKey) {
    return event.altKey ? undefined : withControl(key, event.shiftKey);
  }
  // A control that has the focus answers these itself.
  const isOwn = key === 'enter' ? target.closest('button, summary, select, input') : target.closest('select');
  if (event.altKey || isOwn) {
    return undefined;
  }
  const { clip } = store.now();
  if (clip?.run && key === 'escape') {
    return stop;
  }
  // A slider and a number have ends of their own.
  const isMoved = target instanceof HTMLInputElement && (key === 'home' || key === 'end');
  return DEEDS[key] ?? (clip && !isMoved ? DEEDS_OF_CLIPS[key] : undefined);
}

/**
 * @param {string} key
 * @param {boolean} hasShift
 */
function withControl(key, hasShift) {
  if (key === 'z') {
    return hasShift ? store.redo : store.undo;
  }
  return key === 'y' ? store.redo : undefined;
}

/** @param {Element} target */
function isTypedInto(target) {
  const isText = target instanceof HTMLInputElement && ['text', 'password', 'search', 'number'].includes(target.type);
  return isText || target instanceof HTMLTextAreaElement;
}

function everything() {
  if (store.model()?.takes.everything && !store.now().clip) {
    actions.seek('everything');
  }
}
