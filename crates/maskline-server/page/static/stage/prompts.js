/** What gestures change about what is prompted for. */

/** @import {Box, Click, Item} from '../types.js' */

import * as store from '../store.js';
import { isReady } from '../models.js';
import * as sketch from './sketch.js';

/** Milliseconds that a hint is read for. */
const HINT = 2500;
/** The least side of a box, in pixels of the picture. */
const LEAST_SIDE = 1;

let hints = 0;

/**
 * @param {string} text
 * @param {{x: number, y: number}} at
 */
function hint(text, { x, y }) {
  hints += 1;
  const own = hints;
  sketch.set({ hint: { text, x, y } });
  store.set({ said: text });
  setTimeout(() => own === hints && sketch.set({ hint: null }), HINT);
}

/**
 * Whether the model can be prompted; says so where it cannot.
 * @param {{x: number, y: number}} at
 */
function isPromptable(at) {
  const model = store.model();
  if (model && !model.takes.prompts) {
    hint(`${model.name} takes no clicks or boxes: choose another model`, at);
    return false;
  }
  if (store.now().clip && model && isReady(model) && !model.takes.video) {
    hint(`${model.name} follows nothing through a video: choose another model`, at);
    return false;
  }
  return true;
}

/**
 * A place of the picture, to a tenth of a pixel.
 * @param {{x: number, y: number}} at
 * @returns {{x: number, y: number}|null} null outside of the picture
 */
export function inPicture({ x, y }) {
  const { picture } = store.now();
  if (!picture || !(x >= 0 && y >= 0 && x < picture.width && y < picture.height)) {
    return null;
  }
  return { x: tenths(x, picture.width), y: tenths(y, picture.height) };
}

/**
 * The nearest place that is in the picture.
 * @param {{x: number, y: number}} at
 */
export function clamped({ x, y }) {
  const { width = 1, height = 1 } = store.now().picture ?? {};
  return { x: tenths(Math.max(0, x), width), y: tenths(Math.max(0, y), height) };
}

/**
 * @param {number} value
 * @param {number} end which is not reached
 */
function tenths(value, end) {
  return Math.min(Math.round(value * 10), Math.round(end * 10) - 1) / 10;
}

/**
 * The box between two places, within the picture and not too small.
 * @param {{x: number, y: number}} a
 * @param {{x: number, y: number}} b
 * @returns {Box}
 */
export function boxOf(a, b) {
  const { width = 1, height = 1 } = store.now().picture ?? {};
  const [left, right] = side(a.x, b.x, width);
  const [top, bottom] = side(a.y, b.y, height);
  return [left, top, right, bottom];
}

/**
 * @param {number} a
 * @param {number} b
 * @param {number} end
 * @returns {[number, number]}
 */
function side(a, b, end) {
  const whole = (/** @type {number} */ value) => Math.round(10 * Math.min(end, Math.max(0, value))) / 10;
  const low = Math.min(whole(Math.min(a, b)), Math.max(0, end - LEAST_SIDE));
  return [low, Math.min(end, Math.max(whole(Math.max(a, b)), Math.round(10 * (low + LEAST_SIDE)) / 10))];
}

/**
 * @param {Click} click
 * @param {boolean} isNew whether it begins another object
 * @returns {string|null} the object that it went to
 */
export function addClick(click, isNew) {
  const item = isNew ? null : store.current();
  if (!isPromptable(click)) {
    return null;
  }
  // An object of another frame has a place on this one too.
  const isThere = item && store.now().clip && store.isPrompted(item);
  if (!click.isPositive && !isThere && !item?.box && !item?.clicks.some((one) => one.isPositive)) {
    hint('First click on the object, then on what is not of it', click);
    return null;
  }
  if (!item) {
    return add({ clicks: [click] }, isNew);
  }
  store.changeItem(item.id, { clicks: [...item.clicks, click], candidate: null, isHidden: false });
  return item.id;
}

/**
 * An object, in the place of one that has not been prompted for.
 * @param {Partial<Item>} given
 * @param {boolean} isNew whether it is another one than that of other frames of a clip
 * @returns {string} its id
 */
function add(given, isNew) {
  const fresh = store.current();
  if (fresh && fresh.clicks.length === 0 && !fresh.box && !(isNew && store.isPrompted(fresh))) {
    store.changeItem(fresh.id, given);
    return fresh.id;
  }
  return store.addItem(given).id;
}

/** @returns {number} the place in the palette of what is prompted for next with a box */
export function nextColour() {
  const fresh = store.current();
  const isFresh = fresh && fresh.clicks.length === 0 && !fresh.box;
  return isFresh ? fresh.colour : store.now().work.items.reduce((most, { id }) => Math.max(most, Number(id.slice(1))), 0);
}

/**
 * A box around an object: another one, unless the current one has not been prompted for on what is shown.
 * @param {Box} box
 * @param {boolean} isNew whether it is another one in any case
 * @returns {string|null}
 */
export function addBox(box, isNew) {
  return isPromptable({ x: box[0], y: box[1] }) ? add({ box }, isNew) : null;
}

/**
 * Takes a click away, and the object with it where it has no other prompt, on no frame.
 * @param {string} id
 * @param {number} index
 */
export function removeClick(id, index) {
  const item = itemOf(id);
  if (item) {
    const clicks = item.clicks.filter((_, one) => one !== index);
    if (!store.isPrompted({ ...item, clicks })) {
      store.removeItem(id);
    } else {
      change(id, { clicks }, '');
    }
    store.set({ said: 'click taken away' });
  }
}

/**
 * @param {string} id
 * @returns {Item|null}
 */
export function itemOf(id) {
  return store.now().work.items.find((item) => item.id === id) ?? null;
}

/**
 * Changes the prompts of an object, which becomes the current one.
 * @param {string} id
 * @param {{clicks?: Click[], box?: Box|null}} prompts
 * @param {string} part
 */
export function change(id, prompts, part) {
  const items = store.now().work.items.map((item) => (item.id === id ? { ...item, ...prompts, candidate: null } : item));
  store.step({ items, current: id }, part);
}
