/** A picture at its own size and halved again and again, so that drawing it costs what the screen has, not what the picture has. */

/** @import {Tile, Told} from './decoder.js' */

/** @typedef {{width: number, height: number, tiles: Tile[]}} Level */

/** From this many pixels of the screen for one of the picture, pixels are to be seen as such. */
const LARGE = 2;

/** @type {Worker|null} */
let worker = null;
let number = 0;
/** @type {Map<number, (told: Told) => void>} */
const waiting = new Map();

function decoder() {
  if (!worker) {
    worker = new Worker(new URL('./decoder.js', import.meta.url), { type: 'module' });
    worker.addEventListener('message', (/** @type {MessageEvent<Told>} */ { data }) => {
      const hear = waiting.get(data.number);
      if (hear) {
        hear(data);
      } else if ('level' in data) {
        data.level.tiles.forEach(({ bitmap }) => bitmap.close());
      }
    });
  }
  return worker;
}

export class Levels {
  /** @param {{width: number, height: number}} size */
  constructor({ width, height }) {
    this.width = width;
    this.height = height;
    /** @type {Level[]} the largest first */
    this.levels = [];
    this.number = 0;
    /** Told when there is more to draw. */
    this.onMore = () => {};
  }

  /**
   * Decodes a file, turned as it says.
   * @param {Blob} file
   * @returns {Promise<Levels>} as soon as there is something to draw
   * @throws {Error} where the browser cannot
   */
  static async of(file) {
    number += 1;
    const own = number;
    /** @type {Levels|null} */
    let levels = null;
    return new Promise((resolve, reject) => {
      waiting.set(own, (told) => {
        if ('size' in told) {
          levels = new Levels(told.size);
          levels.number = own;
        } else if ('level' in told && levels) {
          levels.add(told.level);
          resolve(levels);
        } else if ('failed' in told) {
          waiting.delete(own);
          // What came before it is drawn, coarse as it is.
          reject(new Error(told.failed));
        }
      });
      decoder().postMessage({ number: own, file });
    });
  }

  /** @param {Level} level */
  add(level) {
    this.levels.push(level);
    this.levels.sort((a, b) => b.width - a.width);
    this.onMore();
  }

  /** Gives the memory back. */
  close() {
    waiting.delete(this.number);
    for (const { tiles } of this.levels) {
      tiles.forEach(({ bitmap }) => bitmap.close());
    }
    this.levels = [];
  }

  /**
   * Draws what is seen of the picture.
   * @param {CanvasRenderingContext2D} context
   * @param {{scale: number, x: number, y: number}} view pixels of the canvas per pixel of a picture of {@link width}, and where it lies
   */
  draw(context, view) {
    const { canvas } = context;
    const level = this.levels.findLast((one) => one.width >= this.width * view.scale) ?? this.levels[0];
    if (!level) {
      return;
    }
    const [across, down] = [(view.scale * this.width) / level.width, (view.scale * this.height) / level.height];
    context.imageSmoothingEnabled = across < LARGE;
    context.imageSmoothingQuality = 'low';
    for (const { bitmap, x, y } of level.tiles) {
      const [left, top] = [view.x + x * across, view.y + y * down];
      const [width, height] = [bitmap.width * across, bitmap.height * down];
      if (left < canvas.width && top < canvas.height && left + width > 0 && top + height > 0) {
        context.drawImage(bitmap, left, top, width, height);
      }
    }
  }
}
