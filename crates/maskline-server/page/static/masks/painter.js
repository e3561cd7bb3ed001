/** Has masks painted, off the thread that people wait for. */

/** @import {Runs} from '../types.js' */
/** @import {Style, View} from './raster.js' */
/** @import {Told} from './worker.js' */

/**
 * What is to be painted: the later masks over the earlier ones.
 * @typedef {object} Wanted
 * @property {View} view
 * @property {number} width of the canvas, in its pixels
 * @property {number} height
 * @property {(Style & {id: string, runs: Runs})[]} masks
 *
 * What was painted: a part of the canvas, and what it was painted for.
 * @typedef {{bitmap: ImageBitmap|null, left: number, top: number, wanted: Wanted, took: number}} Painted
 *
 * @typedef {{wanted: Wanted, done: (painted: Painted|null) => void}} Turn
 */

/** Times that masks which the worker has lost are sent again for one picture of them. */
const MOST_TRIES = 2;

export class Painter {
  /** @param {(why: string) => void} onBroken told of a mask that cannot be read */
  constructor(onBroken) {
    this.onBroken = onBroken;
    this.worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });
    this.worker.addEventListener('message', ({ data }) => this.hear(data));
    this.worker.addEventListener('error', ({ message }) => onBroken(message));
    /** @type {Set<string>} what the worker has */
    this.known = new Set();
    /** @type {Set<string>} what cannot be read */
    this.broken = new Set();
    /** @type {Map<number, (answer: any) => void>} */
    this.waiting = new Map();
    this.number = 0;
    /** @type {Map<string, Turn|null>} layers that are being painted, and what comes next there */
    this.layers = new Map();
  }

  /**
   * Sends a mask before it is to be painted.
   * @param {string} id
   * @param {Runs} runs
   */
  add(id, runs) {
    if (!this.known.has(id)) {
      this.known.add(id);
      this.worker.postMessage({ add: { id, runs } });
    }
  }

  /** Forgets all masks. */
  forget() {
    this.known.clear();
    this.broken.clear();
    this.worker.postMessage({ forget: true });
  }

  /**
   * Paints a layer. While one is being painted, only the last that was wanted comes next: those between are answered with null.
   * @param {string} layer
   * @param {Wanted} wanted
   * @returns {Promise<Painted|null>}
   */
  paint(layer, wanted) {
    for (const { id, runs } of wanted.masks) {
      this.add(id, runs);
    }
    return new Promise((done) => {
      if (this.layers.has(layer)) {
        this.layers.get(layer)?.done(null);
        this.layers.set(layer, { wanted, done });
      } else {
        this.layers.set(layer, null);
        void this.run(layer, { wanted, done });
      }
    });
  }

  /**
   * @param {string} layer
   * @param {Turn} turn
   */
  async run(layer, turn) {
    turn.done(await this.painted(layer, turn.wanted, 1));
    const next = this.layers.get(layer);
    if (next) {
      this.layers.set(layer, null);
      void this.run(layer, next);
    } else {
      this.layers.delete(layer);
    }
  }

  /**
   * @param {string} layer
   * @param {Wanted} wanted
   * @param {number} tries
   * @returns {Promise<Painted>}
   */
  async painted(layer, wanted, tries) {
    const masks = wanted.masks.map(({ runs: _, ...style }) => style);
    /** @type {Extract<Told, {painted: any}>['painted']} */
    const { bitmap, left, top, missing, took } = await this.ask('paint', { ...wanted, layer, masks });
    if (missing.every((id) => this.broken.has(id)) || tries === MOST_TRIES) {
      return { bitmap, left, top, wanted, took };
    }
    bitmap?.close();
    for (const { id, runs } of wanted.masks.filter((mask) => missing.includes(mask.id) && !this.broken.has(mask.id))) {
      this.known.delete(id);
      this.add(id, runs);
    }
    return this.painted(layer, wanted, tries + 1);
  }

  /**
   * The uppermost mask at a pixel of the picture.
   * @param {{x: number, y: number}} at
   * @param {string[]} ids the later ones over the earlier ones
   * @returns {Promise<string|null>}
   */
  async hit({ x, y }, ids) {
    return (await this.ask('hit', { x, y, ids })).id;
  }

  /**
   * @param {'paint'|'hit'} what
   * @param {object} asked
   * @returns {Promise<any>}
   */
  ask(what, asked) {
    this.number += 1;
    const { number } = this;
    return new Promise((resolve) => {
      this.waiting.set(number, resolve);
      this.worker.postMessage({ [what]: { number, ...asked } });
    });
  }

  /** @param {Told} told */
  hear(told) {
    if ('dropped' in told) {
      for (const id of told.dropped) {
        this.known.delete(id);
      }
    } else if ('broken' in told) {
      this.broken.add(told.broken.id);
      this.onBroken(told.broken.why);
    } else {
      const answer = 'painted' in told ? told.painted : told.hit;
      this.waiting.get(answer.number)?.(answer);
      this.waiting.delete(answer.number);
    }
  }
}
