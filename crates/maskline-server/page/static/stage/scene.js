/** What a pane shows of the state. */

/** @import {Runs, Settings, Shown, State} from '../types.js' */
/** @import {Style} from '../masks/raster.js' */

import { listed } from '../answers.js';
import { channels, colour } from '../palette.js';

/**
 * @typedef {Style & {id: string, runs: Runs, key: string}} Mask with the key of its object
 *
 * @typedef {object} Scene
 * @property {Shown[]} objects neither hidden nor below the sliders
 * @property {Mask[]} masks the later ones over the earlier ones
 */

/** How much of the colour an outlined mask keeps inside. */
const INSIDE = 0.12;
/** How much more of it there is at the edge of an area. */
const EDGE = 1.7;

/**
 * @typedef {{id: string, runs: Runs}} Kept a mask that was shown for an object
 * @typedef {Map<string, Kept>} Last by the objects' keys
 */

/**
 * @param {State} state
 * @param {string|null} model
 * @param {{last: Last, ratio: number}} pane `last` is brought up to date
 * @returns {Scene}
 */
export function sceneOf(state, model, { last, ratio }) {
  const objects = listed(state, model).filter((one) => !one.isHidden);
  // An object that was undone leaves its name to the next one, but not its mask.
  const ids = new Set(state.work.items.map(({ id }) => id));
  [...last.keys()].filter((key) => !ids.has(key)).forEach((key) => last.delete(key));
  const line = Math.max(2, Math.round(1.25 * ratio));
  // Small masks lie on large ones, and those that were prompted for on all others.
  const searched = objects.filter((one) => one.item === null).sort((a, b) => (b.found.area ?? 0) - (a.found.area ?? 0));
  const masks = [...searched, ...objects.filter((one) => one.item !== null)].flatMap((one) => {
    const mask = maskOf(one, state, last);
    return mask ? [{ ...mask, key: one.key, ...styleOf(one, state.settings, line) }] : [];
  });
  return { objects, masks };
}

/**
 * The mask of an object; while a new one is on its way, the one before.
 * @param {Shown} one
 * @param {State} state
 * @param {Last} last
 * @returns {Kept|null}
 */
function maskOf({ key, item, mask, found }, state, last) {
  if (mask && found.segmentation) {
    const kept = { id: mask, runs: found.segmentation };
    if (item) {
      last.set(key, kept);
    }
    return kept;
  }
  const isPrompted = item !== null && (item.box !== null || item.clicks.some((click) => click.isPositive));
  // Of another frame it would be elsewhere.
  const isAsked = isPrompted && state.asking.size > 0 && !state.clip;
  if (!isAsked) {
    last.delete(key);
  }
  return last.get(key) ?? null;
}

/**
 * @param {Shown} one
 * @param {Settings} settings
 * @param {number} line width of an outline, in pixels of the screen
 * @returns {Style}
 */
function styleOf({ colour: place }, { opacity, isContour, palette }, line) {
  const rgb = channels(colour(place, palette));
  if (isContour) {
    return { rgb, fill: INSIDE, edge: 1, width: line, isDashed: false };
  }
  return { rgb, fill: opacity, edge: Math.min(1, EDGE * opacity), width: line - 1, isDashed: false };
}

/**
 * The style in which a mask lies over itself to be seen among others.
 * @param {Style} style
 * @returns {Style}
 */
export function litStyle(style) {
  return { ...style, fill: 0.25, edge: 1, width: style.width + 1 };
}

/**
 * The style of a mask that is not there yet.
 * @param {Settings} settings
 * @param {number} place of its colour
 * @returns {Style}
 */
export function previewStyle({ opacity, palette }, place) {
  return { rgb: channels(colour(place, palette)), fill: 0.5 * opacity, edge: 0.95, width: 2, isDashed: true };
}
