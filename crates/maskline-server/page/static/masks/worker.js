/** Keeps masks as runs and paints those that are seen. Messages are {@link Asked}, answers {@link Told}. */

/** @import {Mask} from './runs.js' */
/** @import {Style, View} from './raster.js' */

import { bytesOf, decode, isInside } from './runs.js';
import { paint, windowOf } from './raster.js';

/**
 * @typedef {object} Job
 * @property {number} number
 * @property {string} layer
 * @property {View} view
 * @property {number} width of the canvas, in its pixels
 * @property {number} height
 * @property {(Style & {id: string})[]} masks the later ones over the earlier ones
 *
 * @typedef {{add: {id: string, runs: import('../types.js').Runs}} | {paint: Job}
 *   | {hit: {number: number, x: number, y: number, ids: string[]}} | {forget: true}} Asked
 *
 * @typedef {{painted: {number: number, bitmap: ImageBitmap|null, left: number, top: number, missing: string[], took: number}}
 *   | {hit: {number: number, id: string|null}} | {dropped: string[]} | {broken: {id: string, why: string}}} Told
 */

/**
 * @typedef {{style: Style, mask: Mask, view: View, window: import('./raster.js').Window, name: string}} Part `name`: what it looks like
 * @typedef {{image: ImageData, left: number, top: number}} Sheet a part of the canvas
 * @typedef {{place: string, names: string[], sheet: Sheet}} Base masks that were painted
 */

/** Bytes of runs that are kept. */
const MOST_BYTES = 96 << 20;

/** @type {Map<string, Mask>} the one that was used last is the last one */
const masks = new Map();
let bytes = 0;
/** What was painted before, by layer: two of them at most. @type {Map<string, Base[]>} */
const bases = new Map();

self.addEventListener('message', (/** @type {MessageEvent<Asked>} */ { data }) => {
  if ('add' in data) {
    add(data.add.id, data.add.runs);
  } else if ('paint' in data) {
    void painted(data.paint);
  } else if ('hit' in data) {
    const { number, x, y, ids } = data.hit;
    tell({ hit: { number, id: ids.findLast((id) => isHit(masks.get(id), x, y)) ?? null } });
  } else {
    masks.clear();
    bases.clear();
    bytes = 0;
  }
});

/**
 * @param {Told} told
 * @param {Transferable[]} [transfer]
 */
function tell(told, transfer = []) {
  self.postMessage(told, { transfer });
}

/**
 * @param {string} id
 * @param {import('../types.js').Runs} runs
 */
function add(id, runs) {
  if (masks.has(id)) {
    return;
  }
  try {
    const mask = decode(runs);
    masks.set(id, mask);
    bytes += bytesOf(mask);
  } catch (error) {
    tell({ broken: { id, why: error instanceof Error ? error.message : String(error) } });
  }
  /** @type {string[]} */
  const dropped = [];
  for (const [oldest, mask] of masks) {
    if (bytes <= MOST_BYTES || oldest === id) {
      break;
    }
    masks.delete(oldest);
    bytes -= bytesOf(mask);
    dropped.push(oldest);
  }
  if (dropped.length > 0) {
    tell({ dropped });
  }
}

/**
 * @param {Mask|undefined} mask
 * @param {number} x
 * @param {number} y
 */
function isHit(mask, x, y) {
  return mask !== undefined && isInside(mask, x, y);
}

/** The pixels that are painted on: fresh memory would cost more than painting. */
let pixels = new ArrayBuffer(0);

/**
 * @param {number} width
 * @param {number} height
 */
function cleared(width, height) {
  const size = 4 * width * height;
  if (pixels.byteLength < size) {
    pixels = new ArrayBuffer(size);
  }
  return new ImageData(new Uint8ClampedArray(pixels, 0, size).fill(0), width, height);
}

/** @param {Job} job */
async function painted({ number, layer, view, width, height, masks: wanted }) {
  const began = performance.now();
  const missing = wanted.filter(({ id }) => !masks.has(id)).map(({ id }) => id);
  /** @type {Part[]} */
  const parts = wanted.flatMap((style) => {
    const mask = masks.get(style.id);
    if (!mask) {
      return [];
    }
    masks.delete(style.id);
    masks.set(style.id, mask);
    const window = windowOf(mask, view, { width, height });
    return window ? [{ style, mask, view, window, name: JSON.stringify(style) }] : [];
  });
  const left = Math.min(...parts.map(({ window }) => window.left));
  const top = Math.min(...parts.map(({ window }) => window.top));
  let bitmap = null;
  if (parts.length > 0) {
    const right = Math.max(...parts.map(({ window }) => window.left + window.width));
    const bottom = Math.max(...parts.map(({ window }) => window.top + window.height));
    const image = cleared(right - left, bottom - top);
    paintAll(parts, { image, left, top }, { layer, place: JSON.stringify([view, width, height]) });
    // Where there is no memory for it, nothing is shown until there is.
    bitmap = await createImageBitmap(image).catch(() => null);
  }
  tell({ painted: { number, bitmap, left, top, missing, took: performance.now() - began } }, bitmap ? [bitmap] : []);
}

/**
 * Paints one mask after the other. What all have painted is kept, and what lies below the last one: mostly one is added, or the last
 * one changes.
 * @param {Part[]} parts
 * @param {Sheet} sheet
 * @param {{layer: string, place: string}} of
 */
function paintAll(parts, sheet, { layer, place }) {
  const old = bases.get(layer) ?? [];
  const isBelow = (/** @type {Base} */ base) => base.place === place && base.names.every((name, index) => name === parts[index]?.name);
  const below = old.filter(isBelow).sort((a, b) => b.names.length - a.names.length);
  const [base] = below;
  if (base) {
    copy(base.sheet, sheet);
  }
  // Of one mask alone nothing need be kept.
  const isKept = parts.length > 1;
  const done = base?.names.length ?? 0;
  const kept = below.filter(({ names }) => names.length === parts.length - 1);
  const free = old.filter((one) => !kept.includes(one));
  for (let count = done; count < parts.length; count += 1) {
    const part = /** @type {Part} */ (parts[count]);
    if (isKept && count === parts.length - 1 && kept.length === 0) {
      kept.push(baseOf(parts.slice(0, count), place, sheet, free.pop()));
    }
    paint(sheet.image, sheet, part, part.style);
  }
  if (isKept) {
    kept.push(done === parts.length && base ? base : baseOf(parts, place, sheet, free.pop()));
    bases.set(layer, kept);
  }
}

/**
 * @param {Part[]} parts that have been painted
 * @param {string} place
 * @param {Sheet} sheet
 * @param {Base} [old] whose memory is used again
 * @returns {Base}
 */
function baseOf(parts, place, { image, left, top }, old) {
  const { length } = image.data;
  const memory = old?.sheet.image.data.buffer;
  const data = new Uint8ClampedArray(memory && memory.byteLength >= length ? memory : new ArrayBuffer(length), 0, length);
  data.set(image.data);
  return { place, names: parts.map(({ name }) => name), sheet: { image: new ImageData(data, image.width, image.height), left, top } };
}

/**
 * @param {Sheet} from
 * @param {Sheet} to
 */
function copy(from, to) {
  const [left, top] = [Math.max(from.left, to.left), Math.max(from.top, to.top)];
  const right = Math.min(from.left + from.image.width, to.left + to.image.width);
  const bottom = Math.min(from.top + from.image.height, to.top + to.image.height);
  for (let y = top; y < bottom && right > left; y += 1) {
    const begin = 4 * ((y - from.top) * from.image.width + left - from.left);
    const row = from.image.data.subarray(begin, begin + 4 * (right - left));
    to.image.data.set(row, 4 * ((y - to.top) * to.image.width + left - to.left));
  }
}

/** The first mask is waited for like all others: what it needs has been compiled by then. */
function warmUp() {
  const view = { scale: 40, x: 0, y: 0 };
  const canvas = { width: 160, height: 200 };
  for (let time = 0; time < 12; time += 1) {
    const mask = decode({ size: [5, 4], counts: '62304' });
    const window = windowOf(mask, view, canvas);
    if (window) {
      const image = cleared(canvas.width, canvas.height);
      paint(image, { left: 0, top: 0 }, { mask, view, window }, { rgb: [0, 0, 0], fill: 0.5, edge: 1, width: 1, isDashed: false });
    }
  }
}

warmUp();
