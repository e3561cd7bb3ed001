/**
 * Masks as pixels of the screen, straight from their runs: what it costs depends on the screen, never on the picture, and edges are as
 * sharp as the screen is.
 */

/** @import {Mask} from './runs.js' */

/**
 * Where the picture lies on the canvas: pixels of the canvas per pixel of the picture, and where its corner is.
 * @typedef {{scale: number, x: number, y: number}} View
 *
 * @typedef {object} Style
 * @property {[number, number, number]} rgb
 * @property {number} fill opacity of the area, 0 to 1
 * @property {number} edge opacity of the edge
 * @property {number} width of the edge, within the mask, in pixels of the canvas; 4 at most
 * @property {boolean} isDashed whether the edge is
 *
 * @typedef {{left: number, top: number, width: number, height: number}} Window a part of the canvas
 */

/** Columns of the picture that are looked at for one of the canvas, where many lie within it. */
const MOST_SAMPLES = 4;
/** From this scale on, pixels of the picture are to be seen as such. */
const LARGE = 4;
const DASH = 4;
/** Pixels around a window that its edges are told from. */
const MARGIN = 4;
/** Pixels that are looked at together, and all of them inside. */
const WORD = 4;
const ALL = -1;

/**
 * The part of the canvas that a mask covers.
 * @param {Mask} mask
 * @param {View} view
 * @param {{width: number, height: number}} canvas
 * @returns {Window|null}
 */
export function windowOf({ bounds }, { scale, x, y }, canvas) {
  if (!bounds) {
    return null;
  }
  const [left, top] = [Math.max(0, Math.floor(bounds.left * scale + x)), Math.max(0, Math.floor(bounds.top * scale + y))];
  const right = Math.min(canvas.width, Math.ceil(bounds.right * scale + x));
  const bottom = Math.min(canvas.height, Math.ceil(bounds.bottom * scale + y));
  return right > left && bottom > top ? { left, top, width: right - left, height: bottom - top } : null;
}

/**
 * Paints a mask over what is there.
 * @param {ImageData} image
 * @param {{left: number, top: number}} corner of the image on the canvas
 * @param {{mask: Mask, view: View, window: Window}} place
 * @param {Style} style
 */
export function paint(image, corner, { mask, view, window }, style) {
  const margin = Math.min(MARGIN, Math.ceil(style.width));
  const tall = MARGIN + WORD * Math.ceil(window.height / WORD) + MARGIN;
  const wide = { left: window.left - margin, top: window.top - MARGIN, width: window.width + 2 * margin, height: tall };
  const inside = cover(mask, view, wide);
  const ring = style.edge === style.fill ? new Int32Array() : ringOf(margin, tall);
  const near = ring.length === 0 ? new Int32Array() : wordsNear(margin, tall / WORD);
  const words = new Int32Array(inside.buffer, 0, inside.length / WORD);
  const brush = new Brush(image, style.rgb);
  const deep = Math.round(255 * style.fill);
  // Row by row, as the pixels lie: it is writing that costs.
  for (let row = 0; row < window.height; row += WORD) {
    const end = Math.min(row + WORD, window.height);
    for (let column = 0; column < window.width; column += 1) {
      const first = (column + margin) * tall + MARGIN;
      const to = (window.top - corner.top) * image.width + window.left + column - corner.left;
      const word = (first + row) / WORD;
      if (words[word] === ALL && areAllFull(words, word, near)) {
        for (let at = row; at < end; at += 1) {
          brush.over(to + at * image.width, deep);
        }
      } else if (words[word] !== 0) {
        for (let at = row; at < end; at += 1) {
          const whole = inside[first + at] ?? 0;
          if (whole > 0) {
            const inner = least(inside, first + at, ring);
            const isGap = style.isDashed && ((window.left + column + window.top + at) / DASH) & 1;
            brush.over(to + at * image.width, Math.round(inner * style.fill + (whole - inner) * (isGap ? style.fill : style.edge)));
          }
        }
      }
    }
  }
}

/**
 * @param {Int32Array} words
 * @param {number} word
 * @param {Int32Array} near
 */
function areAllFull(words, word, near) {
  for (let one = 0; one < near.length; one += 1) {
    if (words[word + /** @type {number} */ (near[one])] !== ALL) {
      return false;
    }
  }
  return true;
}

/**
 * The least of a pixel and those around it.
 * @param {Uint8Array} inside
 * @param {number} at
 * @param {Int32Array} ring
 */
function least(inside, at, ring) {
  let least = inside[at] ?? 0;
  for (let one = 0; one < ring.length && least > 0; one += 1) {
    least = Math.min(least, inside[at + (ring[one] ?? 0)] ?? 0);
  }
  return least;
}

/**
 * Steps to the pixels that must be inside for one to be no edge.
 * @param {number} radius
 * @param {number} column pixels from one column to the next
 */
function ringOf(radius, column) {
  const steps = new Set();
  for (const distance of radius > 1 ? [radius, 1] : [radius]) {
    const slant = Math.round(distance * Math.SQRT1_2);
    for (const [x, y] of [[distance, 0], [0, distance], [slant, slant], [slant, -slant]]) {
      steps.add((x ?? 0) * column + (y ?? 0)).add(-(x ?? 0) * column - (y ?? 0));
    }
  }
  steps.delete(0);
  return Int32Array.from(steps);
}

/**
 * Steps to the words around one which hold every pixel of the ring around each of its own.
 * @param {number} radius
 * @param {number} column words from one column to the next
 */
function wordsNear(radius, column) {
  const steps = [];
  for (let x = -radius; x <= radius; x += 1) {
    steps.push(x * column - 1, x * column, x * column + 1);
  }
  return Int32Array.from(steps);
}

/** Memory for the mask that is painted: fresh memory would cost more than all that is done with it. */
let memory = new ArrayBuffer(0);

/** @param {number} size */
function room(size) {
  if (memory.byteLength < size) {
    memory = new ArrayBuffer(WORD * Math.ceil(size * 1.5 / WORD));
  }
  return new Uint8Array(memory, 0, size).fill(0);
}

/**
 * How much of each pixel of the canvas is of the mask, 0 to 255, column by column. The next call uses the same memory.
 * @param {Mask} mask
 * @param {View} view
 * @param {Window} window
 * @returns {Uint8Array}
 */
export function cover(mask, view, window) {
  const { scale } = view;
  const covered = room(window.width * window.height);
  const samples = scale >= LARGE ? 1 : Math.min(MOST_SAMPLES, 1 + Math.ceil(1 / scale));
  const column = new Column(window, view, samples);
  let last = NaN;
  for (let at = 0; at < window.width; at += 1) {
    const left = (window.left + at - view.x) / scale;
    const first = Math.floor(left + 0.5 / samples / scale);
    if (samples === 1 && first === last) {
      covered.copyWithin(at * window.height, (at - 1) * window.height, at * window.height);
      continue;
    }
    last = first;
    for (let sample = 0; sample < samples; sample += 1) {
      column.add(mask, Math.floor(left + (sample + 0.5) / samples / scale));
    }
    column.write(covered, at * window.height);
  }
  return covered;
}

/** What a column of the canvas has of the mask: differences from one pixel to the next, so that long runs cost no more than short ones. */
class Column {
  /**
   * @param {Window} window
   * @param {View} view
   * @param {number} samples
   */
  constructor(window, view, samples) {
    this.height = window.height;
    this.scale = view.scale;
    this.offset = view.y - window.top;
    this.samples = samples;
    this.steps = new Float64Array(window.height + 2);
    [this.first, this.end] = [this.height, 0];
  }

  /**
   * @param {Mask} mask
   * @param {number} x column of the picture
   */
  add({ columns, ends, height, width }, x) {
    if (!(x >= 0 && x < width)) {
      return;
    }
    const [begin, end] = [x * height, (x + 1) * height];
    let run = columns[x] ?? 0;
    // Runs of background have even numbers.
    run += 1 - (run & 1);
    for (; run < ends.length && (ends[run - 1] ?? 0) < end; run += 2) {
      this.span(Math.max(begin, ends[run - 1] ?? 0) - begin, Math.min(end, ends[run] ?? 0) - begin);
    }
  }

  /**
   * @param {number} top rows of the picture
   * @param {number} bottom
   */
  span(top, bottom) {
    const from = Math.max(0, top * this.scale + this.offset);
    const to = Math.min(this.height, bottom * this.scale + this.offset);
    if (to <= from) {
      return;
    }
    const [first, last] = [Math.floor(from), Math.floor(to)];
    const { steps } = this;
    const add = (/** @type {number} */ place, /** @type {number} */ much) => {
      steps[place] = (steps[place] ?? 0) + much;
    };
    add(first, first + 1 - from);
    add(first + 1, from - first);
    add(last, to - last - 1);
    add(last + 1, last - to);
    this.first = Math.min(this.first, first);
    this.end = Math.max(this.end, last + 1);
  }

  /**
   * @param {Uint8Array} covered
   * @param {number} at
   */
  write(covered, at) {
    const { steps } = this;
    let much = 0;
    for (let row = this.first; row < Math.min(this.end, this.height); row += 1) {
      much += steps[row] ?? 0;
      covered[at + row] = Math.min(255, Math.round((much * 255) / this.samples));
    }
    steps.fill(0, this.first, this.end + 1);
    [this.first, this.end] = [this.height, 0];
  }
}

/** Puts a colour over pixels, whose colours are not multiplied by their opacity. */
class Brush {
  /**
   * @param {ImageData} image
   * @param {[number, number, number]} rgb
   */
  constructor(image, rgb) {
    this.bytes = image.data;
    /** The same, a pixel each: its opacity is the highest byte wherever there are browsers. */
    this.pixels = new Int32Array(image.data.buffer, image.data.byteOffset, image.data.length / 4);
    this.rgb = rgb;
    this.clear = rgb[0] | (rgb[1] << 8) | (rgb[2] << 16);
  }

  /**
   * @param {number} pixel
   * @param {number} alpha 0 to 255
   */
  over(pixel, alpha) {
    const { bytes, rgb } = this;
    const at = 4 * pixel;
    if (this.pixels[pixel] === 0) {
      this.pixels[pixel] = this.clear | (alpha << 24);
      return;
    }
    const left = ((bytes[at + 3] ?? 0) * (255 - alpha)) / 255;
    const whole = alpha + left;
    if (whole > 0) {
      bytes[at] = (rgb[0] * alpha + (bytes[at] ?? 0) * left) / whole;
      bytes[at + 1] = (rgb[1] * alpha + (bytes[at + 1] ?? 0) * left) / whole;
      bytes[at + 2] = (rgb[2] * alpha + (bytes[at + 2] ?? 0) * left) / whole;
      bytes[at + 3] = whole;
    }
  }
}
