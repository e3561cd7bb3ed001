/** COCO's compressed run lengths. Runs go down the columns, from left to right; the first one is of background. */

/** @import {Runs} from '../types.js' */

/**
 * A mask as its runs' boundaries.
 * @typedef {object} Mask
 * @property {number} height
 * @property {number} width
 * @property {Uint32Array} ends of each run: pixels of the picture before the next one begins
 * @property {Uint32Array} columns the run that each column begins in, and one more for the end
 * @property {Bounds|null} bounds of what is foreground; null where nothing is
 *
 * @typedef {{left: number, top: number, right: number, bottom: number}} Bounds `right` and `bottom` lie outside
 */

/**
 * @param {Runs} runs
 * @returns {Mask}
 * @throws {RangeError} where they are no runs of a picture of that size
 */
export function decode({ size: [height, width], counts }) {
  const ends = boundaries(counts);
  const found = ends.at(-1) ?? 0;
  if (found !== height * width) {
    throw new RangeError(`the runs of a mask of ${width} × ${height} have ${found} pixels`);
  }
  return { height, width, ends, columns: firstRuns(ends, height, width), bounds: boundsOf(ends, height) };
}

/**
 * @param {string} counts to the base of 32 in the letters from `0` on, the lowest digit first; from the fourth on, differences to the last
 *   but one
 * @returns {Uint32Array}
 */
function boundaries(counts) {
  const ends = new Uint32Array(counts.length);
  let [length, position, end] = [0, 0, 0];
  /** The last two counts. */
  let [older, newer] = [0, 0];
  while (position < counts.length) {
    let [value, shift, digit] = [0, 0, 0];
    do {
      digit = counts.charCodeAt(position) - 48;
      if (!(digit >= 0 && digit < 64) || shift > 30) {
        throw new RangeError(`the runs of a mask are broken at character ${position}`);
      }
      value += (digit & 31) * 2 ** shift;
      shift += 5;
      position += 1;
    } while (digit & 32);
    if (digit & 16) {
      value -= 2 ** shift;
    }
    const count = length > 2 ? value + older : value;
    end += count;
    if (count < 0 || end >= 2 ** 32) {
      throw new RangeError(`run ${length} of a mask has ${count} pixels`);
    }
    [older, newer] = [newer, count];
    ends[length] = end;
    length += 1;
  }
  return ends.slice(0, length);
}

/**
 * @param {Uint32Array} ends
 * @param {number} height
 * @param {number} width
 */
function firstRuns(ends, height, width) {
  const columns = new Uint32Array(width + 1);
  let run = 0;
  for (let column = 0; column < width; column += 1) {
    while ((ends[run] ?? Infinity) <= column * height) {
      run += 1;
    }
    columns[column] = run;
  }
  columns[width] = ends.length;
  return columns;
}

/**
 * @param {Uint32Array} ends
 * @param {number} height
 * @returns {Bounds|null}
 */
function boundsOf(ends, height) {
  const bounds = { left: Infinity, top: height, right: 0, bottom: 0 };
  for (let run = 1; run < ends.length; run += 2) {
    const [begin, end] = [ends[run - 1] ?? 0, ends[run] ?? 0];
    if (end > begin) {
      const [left, right] = [Math.floor(begin / height), Math.floor((end - 1) / height) + 1];
      const isTall = right - left > 1;
      bounds.left = Math.min(bounds.left, left);
      bounds.right = right;
      bounds.top = isTall ? 0 : Math.min(bounds.top, begin % height);
      bounds.bottom = isTall ? height : Math.max(bounds.bottom, ((end - 1) % height) + 1);
    }
  }
  return bounds.right > 0 ? bounds : null;
}

/**
 * Whether a pixel is of the mask.
 * @param {Mask} mask
 * @param {number} x
 * @param {number} y
 */
export function isInside({ height, width, ends, columns }, x, y) {
  if (!(x >= 0 && x < width && y >= 0 && y < height)) {
    return false;
  }
  const place = Math.floor(x) * height + Math.floor(y);
  let [low, high] = [columns[Math.floor(x)] ?? 0, ends.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    [low, high] = (ends[middle] ?? 0) > place ? [low, middle] : [middle + 1, high];
  }
  return low % 2 === 1;
}

/**
 * @param {Mask} mask
 * @returns {number} bytes that it takes
 */
export function bytesOf({ ends, columns }) {
  return ends.byteLength + columns.byteLength;
}
