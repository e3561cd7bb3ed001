/** What was answered of a clip's frames, by model: so going back and forth asks nothing again. */

/** @import {Clip, Found, Item} from '../types.js' */
/** @import {FrameAnswer} from '../server.js' */

/**
 * An object on a frame, and the id of its mask at the painter.
 * @typedef {{found: Found, mask: string}} Seen
 *
 * What tracking found, and what was answered to prompts since.
 * @typedef {{tracked: Seen|null, said: Seen|null}} Both
 *
 * @typedef {Map<number, Map<string, Both>>} Track objects by frame
 *
 * Frames that follow one another, the last one too; `isWhole` where every object has an answer.
 * @typedef {{from: number, to: number, isWhole: boolean}} Stretch
 */

/** @type {Map<string, Track>} */
const tracks = new Map();
let masks = 0;

/** Another clip. */
export function forget() {
  tracks.clear();
}

/**
 * @param {number} number
 * @returns {string} the id of an object's item
 */
function idOf(number) {
  return `o${number}`;
}

/**
 * Keeps an answer.
 * @param {string} model
 * @param {FrameAnswer} answer
 * @param {'tracked'|'said'} way
 */
export function put(model, { frame, objects }, way) {
  const track = tracks.get(model) ?? new Map();
  tracks.set(model, track);
  const there = track.get(frame) ?? new Map();
  track.set(frame, there);
  for (const { id, score, box, area, segmentation } of objects) {
    masks += 1;
    const found = { score, area, segmentation, ...(box ? { box } : {}) };
    const seen = { found, mask: `frame ${frame} ${idOf(id)} ${masks}` };
    const before = there.get(idOf(id)) ?? { tracked: null, said: null };
    there.set(idOf(id), way === 'tracked' ? { tracked: seen, said: null } : { ...before, said: seen });
  }
}

/**
 * What was said of an object on a frame is taken back: what tracking found there stays.
 * @param {string} model
 * @param {{frame: number, object: string}} of
 */
export function takeBack(model, { frame, object }) {
  const there = tracks.get(model)?.get(frame);
  const before = there?.get(object);
  if (before?.tracked) {
    there?.set(object, { tracked: before.tracked, said: null });
  } else {
    there?.delete(object);
  }
}

/**
 * Forgets an object on all frames.
 * @param {string} model
 * @param {string} object
 */
export function drop(model, object) {
  for (const there of tracks.get(model)?.values() ?? []) {
    there.delete(object);
  }
}

/**
 * @param {string} model
 * @param {number} frame
 * @param {string} object
 * @returns {Seen|null}
 */
export function at(model, frame, object) {
  const both = tracks.get(model)?.get(frame)?.get(object);
  return both?.said ?? both?.tracked ?? null;
}

/**
 * @param {string} model
 * @param {readonly Item[]} items
 * @returns {Stretch[]} frames with answers, in their order
 */
export function stretches(model, items) {
  const track = tracks.get(model);
  /** @type {Stretch[]} */
  const all = [];
  for (const frame of [...(track?.keys() ?? [])].sort((a, b) => a - b)) {
    const many = items.filter(({ id }) => track?.get(frame)?.has(id)).length;
    const isWhole = many === items.length;
    const last = all.at(-1);
    if (many > 0 && last?.to === frame - 1 && last.isWhole === isWhole) {
      last.to = frame;
    } else if (many > 0) {
      all.push({ from: frame, to: frame, isWhole });
    }
  }
  return all;
}

/**
 * Frames with answers as lines of JSON, of the form that `maskline track` writes.
 * @param {Clip} clip
 * @param {{model: string, items: readonly Item[], size: {width: number, height: number}}} of
 * @returns {string[]} without those of hidden objects
 */
export function lines(clip, { model, items, size: { width, height } }) {
  const frames = [...(tracks.get(model)?.keys() ?? [])].sort((a, b) => a - b);
  const seen = items.filter(({ isHidden }) => !isHidden);
  return frames.flatMap((frame) => {
    const objects = seen.flatMap(({ id, name }) => {
      const one = at(model, frame, id);
      return one ? [{ id: Number(id.slice(1)), ...(name ? { label: name } : {}), ...one.found }] : [];
    });
    const ticks = Math.round(timeOf(clip, frame) * MICRO);
    return objects.length === 0 ? [] : [JSON.stringify({ frame, time: ticks / MICRO, ticks, tick: `1/${MICRO}`, width, height, objects })];
  });
}

/** Ticks of a second. */
const MICRO = 1e6;
/** Pictures are taken for frames of so many a second, as the command line takes them. */
const PICTURES = 30;

/**
 * @param {Clip} clip
 * @param {number} frame
 * @returns {number} seconds
 */
export function timeOf({ rate, start }, frame) {
  return start + frame / (rate ?? PICTURES);
}
