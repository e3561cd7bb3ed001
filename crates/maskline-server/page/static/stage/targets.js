/** What of the prompts lies under the pointer, and how it is moved. */

/** @import {Box, Click, Item} from '../types.js' */

import * as store from '../store.js';
import { handlesOf } from './drawing.js';
import { boxOf, clamped } from './prompts.js';
import * as view from './view.js';

/**
 * @typedef {{kind: 'click', item: Item, index: number}} OnClick
 * @typedef {{kind: 'handle', item: Item, index: number}} OnHandle one of {@link handlesOf}
 * @typedef {{kind: 'border', item: Item}} OnBorder
 * @typedef {OnClick | OnHandle | OnBorder} Target
 *
 * @typedef {{x: number, y: number}} Place
 */

/** CSS pixels around a prompt that belong to it, for a pointer and for a finger. */
const NEAR = { mouse: 8, touch: 16 };
const CURSORS = ['nwse-resize', 'nesw-resize', 'nwse-resize', 'nesw-resize', 'ns-resize', 'ew-resize', 'ns-resize', 'ew-resize'];

/**
 * @param {Place} place in the pane
 * @param {boolean} isTouch
 * @returns {Target|null} a click of any object, or the box of the current one
 */
export function targetAt(place, isTouch) {
  const near = isTouch ? NEAR.touch : NEAR.mouse;
  const distance = (/** @type {Place} */ at) => {
    const { x, y } = view.toPane(view.now(), at);
    return Math.hypot(x - place.x, y - place.y);
  };
  const { work } = store.now();
  const current = store.current();
  const items = work.items.filter((item) => !item.isHidden && item !== current);
  const upperFirst = [...(current ? [current] : []), ...items.reverse()];
  const clicks = upperFirst.flatMap((item) => item.clicks.map((click, index) => ({ item, index, click })));
  const nearest = clicks.reduce((/** @type {typeof clicks[0]|null} */ best, one) => {
    const isNearer = distance(one.click) <= near && (!best || distance(one.click) < distance(best.click));
    return isNearer ? one : best;
  }, null);
  if (nearest) {
    return { kind: 'click', item: nearest.item, index: nearest.index };
  }
  return current?.box && !current.isHidden ? boxTarget(current, current.box, { place, near, distance }) : null;
}

/**
 * @param {Item} item
 * @param {Box} box
 * @param {{place: Place, near: number, distance: (at: Place) => number}} pointer
 * @returns {Target|null}
 */
function boxTarget(item, box, { place, near, distance }) {
  const index = handlesOf(box).findIndex((handle) => distance(handle) <= near);
  if (index >= 0) {
    return { kind: 'handle', item, index };
  }
  const [from, to] = [view.toPane(view.now(), { x: box[0], y: box[1] }), view.toPane(view.now(), { x: box[2], y: box[3] })];
  const outside = Math.max(from.x - place.x, place.x - to.x, from.y - place.y, place.y - to.y);
  return Math.abs(outside) <= near / 2 ? { kind: 'border', item } : null;
}

/** @param {Target} target */
export function cursorOf(target) {
  if (target.kind === 'handle') {
    return CURSORS[target.index] ?? 'pointer';
  }
  return target.kind === 'border' ? 'move' : 'pointer';
}

/**
 * The prompts of an object, one of them moved.
 * @param {Target} target
 * @param {Place} from in the picture
 * @param {Place} to
 * @returns {{clicks: Click[], box: Box|null}}
 */
export function moved(target, from, to) {
  const { clicks, box } = target.item;
  if (target.kind === 'click') {
    const place = (/** @type {Click} */ click) => clamped({ x: click.x + to.x - from.x, y: click.y + to.y - from.y });
    return { clicks: clicks.map((click, index) => (index === target.index ? { ...click, ...place(click) } : click)), box };
  }
  const by = { x: to.x - from.x, y: to.y - from.y };
  const changed = box && (target.kind === 'handle' ? resized(box, target.index, by) : shifted(box, by));
  return { clicks, box: changed };
}

/**
 * @param {Box} box
 * @param {number} handle
 * @param {Place} by
 * @returns {Box}
 */
function resized([left, top, right, bottom], handle, by) {
  const isLeft = handle === 0 || handle === 3 || handle === 7;
  const isRight = handle === 1 || handle === 2 || handle === 5;
  const isTop = handle === 0 || handle === 1 || handle === 4;
  const isBottom = handle === 2 || handle === 3 || handle === 6;
  const a = { x: left + (isLeft ? by.x : 0), y: top + (isTop ? by.y : 0) };
  return boxOf(a, { x: right + (isRight ? by.x : 0), y: bottom + (isBottom ? by.y : 0) });
}

/**
 * @param {Box} box
 * @param {Place} by
 * @returns {Box} as large as it was, in the picture
 */
function shifted([left, top, right, bottom], by) {
  const { width = 1, height = 1 } = store.now().picture ?? {};
  const x = Math.min(width - right, Math.max(-left, by.x));
  const y = Math.min(height - bottom, Math.max(-top, by.y));
  return boxOf({ x: left + x, y: top + y }, { x: right + x, y: bottom + y });
}
