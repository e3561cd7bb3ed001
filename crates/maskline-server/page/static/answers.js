/** What was answered, by what was asked: so undoing and redoing asks nothing again. And how that is shown. */

/** @import {Answer, Box, Click, Found, Item, Shown, State} from './types.js' */

import { suppressed } from './nms.js';
import * as tracks from './video/tracks.js';

/** Answers that are kept. */
const MOST_ANSWERS = 1000;

/** @type {Map<string, Answer>} the newest is the last one */
const answers = new Map();

/** What a model that takes prompts is asked about one object. */
/** @typedef {{clicks: readonly Click[], box: Box|null}} Prompted */

/** @param {Prompted} prompted @returns {{box?: Box, points?: number[][]}} as the interface has it */
export function prompt({ clicks, box }) {
  const points = clicks.map(({ x, y, isPositive }) => [x, y, isPositive ? 1 : 0]);
  return { ...(box ? { box } : {}), ...(points.length > 0 ? { points } : {}) };
}

/**
 * Equal prompts of one model on one picture have equal answers.
 * @param {State} state
 * @param {string} model
 * @param {Prompted} prompted
 * @returns {string}
 */
export function keyOf(state, model, { clicks, box }) {
  const prompt = [clicks.map(({ x, y, isPositive }) => [x, y, isPositive ? 1 : 0]), box];
  return `${state.picture?.ref} ${model} ${JSON.stringify(prompt)}`;
}

/**
 * @param {State} state
 * @param {string} model
 * @returns {string|null} null where nothing is looked for
 */
export function keyOfSearch(state, model) {
  const { search, phrases } = state.work;
  if (search === 'none') {
    return null;
  }
  const what = search === 'words' ? JSON.stringify(phrases.map(({ text, like, unlike }) => [text, like, unlike])) : '';
  return `${state.picture?.ref} ${model} ${search} ${what}`;
}

/** @param {string} key */
export function has(key) {
  return answers.has(key);
}

/** @param {Answer} answer */
export function put(answer) {
  answers.set(answer.key, answer);
  for (const key of [...answers.keys()].slice(0, Math.max(0, answers.size - MOST_ANSWERS))) {
    answers.delete(key);
  }
}

/** @param {string} key */
function masks(key) {
  return answers.get(key)?.objects ?? [];
}

/**
 * @param {readonly Found[]} all
 * @returns {number} place of the one with the best score
 */
function best(all) {
  return all.reduce((best, found, index) => ((found.score ?? 0) > (all[best]?.score ?? 0) ? index : best), 0);
}

/**
 * All objects of a model's answers: those that were prompted for, in their order, then what was found.
 * @param {State} state
 * @param {string|null} model
 * @returns {Shown[]}
 */
export function shown(state, model) {
  if (state.clip) {
    return model === state.settings.model ? state.work.items.map((item) => onFrame(state, item)) : [];
  }
  if (!model || !state.picture?.ref) {
    return [];
  }
  /** @type {Shown[]} */
  const all = state.work.items.map((item) => {
    const key = keyOf(state, model, item);
    const among = masks(key);
    const index = item.candidate !== null && item.candidate < among.length ? item.candidate : best(among);
    const found = among[index] ?? {};
    return ofItem(item, found, found.segmentation ? `${key}#${index}` : null);
  });
  const key = keyOfSearch(state, model);
  return key === null ? all : all.concat(masks(key).map((found, index) => ofSearch(state, found, { key, index })));
}

/**
 * @param {Item} item
 * @param {Found} found
 * @param {string|null} mask
 * @returns {Shown}
 */
function ofItem(item, found, mask) {
  const { id, name, colour, isHidden } = item;
  return { key: id, item, found, name: name || `object ${id.slice(1)}`, label: name || null, colour, isHidden, mask };
}

/**
 * An object on the frame of the clip that is shown.
 * @param {State} state
 * @param {Item} item
 */
function onFrame({ settings, clip }, item) {
  const seen = tracks.at(settings.model ?? '', clip?.frame ?? 0, item.id);
  return ofItem(item, seen?.found ?? {}, seen?.mask ?? null);
}

/**
 * @param {State} state
 * @param {Found} found
 * @param {{key: string, index: number}} place
 * @returns {Shown}
 */
function ofSearch(state, found, { key, index }) {
  const own = `${key}#${index}`;
  const edit = state.work.edits[own] ?? {};
  const colour = state.work.search === 'everything' ? index : (found.class_id ?? index);
  const label = edit.name || found.label || null;
  const cut = cutOut(state, found);
  return {
    key: own, item: null, found: cut?.found ?? found, name: label ?? `found ${index + 1}`, label, colour: edit.colour ?? colour,
    isHidden: edit.isHidden ?? false, mask: cut?.mask ?? (found.segmentation ? own : null),
  };
}

/**
 * What a detector found, with the mask that another model has for its box.
 * @param {State} state
 * @param {Found} found
 * @returns {{found: Found, mask: string}|null}
 */
function cutOut(state, found) {
  const { cutter } = state.settings;
  if (!cutter || found.segmentation || !found.box) {
    return null;
  }
  const key = keyOf(state, cutter, { clicks: [], box: found.box });
  const [mask] = masks(key);
  if (!mask?.segmentation) {
    return null;
  }
  const { segmentation, area, box, score } = mask;
  const more = { segmentation, area, ...(box ? { mask_box: box } : {}), ...(score === undefined ? {} : { mask_score: score }) };
  return { found: { ...found, ...more }, mask: `${key}#0` };
}

/**
 * The objects of the list: all that are prompted for, and of what was found that which has enough score and no better one of its class
 * on it. Those that are hidden by hand are among them.
 * @param {State} state
 * @param {string|null} model
 * @returns {Shown[]}
 */
export function listed(state, model) {
  const { score, overlap } = state.settings;
  const all = shown(state, model);
  const prompted = all.filter((one) => one.item !== null);
  const searched = all.filter((one) => one.item === null && (one.found.score ?? 1) >= score);
  const left = state.work.search === 'everything' ? searched : suppressed(searched, overlap);
  return [...prompted, ...left];
}

/**
 * The objects that are seen on the picture, and exported: those of the list that have an answer and are not hidden.
 * @param {State} state
 * @param {string|null} model
 * @returns {Shown[]}
 */
export function seen(state, model) {
  return listed(state, model).filter((one) => !one.isHidden && (one.mask !== null || one.found.box !== undefined));
}

/**
 * The masks of the current object among which one can be chosen.
 * @param {State} state
 * @returns {{masks: Found[], chosen: number, ids: string[]}}
 */
export function candidates(state) {
  const item = state.work.items.find((one) => one.id === state.work.current);
  if (!item || !state.settings.model) {
    return { masks: [], chosen: 0, ids: [] };
  }
  const key = keyOf(state, state.settings.model, item);
  const all = masks(key);
  return { masks: all, chosen: item.candidate ?? best(all), ids: all.map((_, index) => `${key}#${index}`) };
}
