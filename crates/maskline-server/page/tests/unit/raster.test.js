import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cover, paint, windowOf } from '../../static/masks/raster.js';
import { isInside } from '../../static/masks/runs.js';

/** @import {Style, View} from '../../static/masks/raster.js' */

const [WIDTH, HEIGHT] = [90, 60];
const CANVAS = { width: 200, height: 160 };
/** @type {Style} */
const PLAIN = { rgb: [10, 200, 30], fill: 0.5, edge: 0.5, width: 1, isDashed: false };

/**
 * A mask by what is inside, its runs as they are kept.
 * @param {(x: number, y: number) => boolean} has
 */
function maskOf(has) {
  /** @type {number[]} */
  const ends = [];
  let isIn = false;
  const bounds = { left: WIDTH, top: HEIGHT, right: 0, bottom: 0 };
  for (let at = 0; at < WIDTH * HEIGHT; at += 1) {
    const [x, y] = [Math.floor(at / HEIGHT), at % HEIGHT];
    if (has(x, y) !== isIn) {
      ends.push(at);
      isIn = !isIn;
    }
    if (isIn) {
      const [left, top] = [Math.min(bounds.left, x), Math.min(bounds.top, y)];
      Object.assign(bounds, { left, top, right: x + 1, bottom: Math.max(bounds.bottom, y + 1) });
    }
  }
  ends.push(WIDTH * HEIGHT);
  const columns = Array.from({ length: WIDTH + 1 }, (_, x) => (x === WIDTH ? ends.length : ends.findIndex((end) => end > x * HEIGHT)));
  return {
    height: HEIGHT, width: WIDTH, ends: Uint32Array.from(ends), columns: Uint32Array.from(columns),
    bounds: bounds.right > 0 ? bounds : null,
  };
}

const DISC = maskOf((x, y) => (x - 50) ** 2 + (y - 25) ** 2 < 400);
const RING = maskOf((x, y) => Math.abs(Math.hypot(x - 45, y - 30) - 20) < 4);

/** @param {number} width @param {number} height */
function sheet(width, height) {
  return /** @type {ImageData} */ ({ width, height, data: new Uint8ClampedArray(4 * width * height), colorSpace: 'srgb' });
}

/**
 * @param {typeof DISC} mask
 * @param {View} view
 * @param {Style} style
 */
function painted(mask, view, style) {
  const image = sheet(CANVAS.width, CANVAS.height);
  const window = windowOf(mask, view, CANVAS);
  if (window) {
    paint(image, { left: 0, top: 0 }, { mask, view, window }, style);
  }
  return image;
}

test('pixels of the screen are those of the picture below them', () => {
  for (const view of [{ scale: 5, x: -180.3, y: -77.7 }, { scale: 4.37, x: 3.2, y: 11.9 }, { scale: 1, x: 7, y: 9 }]) {
    const image = painted(DISC, view, PLAIN);
    let wrong = 0;
    for (let y = 0; y < CANVAS.height; y += 1) {
      for (let x = 0; x < CANVAS.width; x += 1) {
        const isIn = isInside(DISC, (x + 0.5 - view.x) / view.scale, (y + 0.5 - view.y) / view.scale);
        const alpha = image.data[4 * (y * CANVAS.width + x) + 3] ?? 0;
        // At an edge, a pixel has its part of the opacity.
        wrong += Number(isIn ? alpha < 60 : alpha > 68);
      }
    }
    assert.equal(wrong, 0, JSON.stringify(view));
  }
});

test('small views keep the area', () => {
  for (const mask of [DISC, RING]) {
    let area = 0;
    for (let at = 0; at < WIDTH * HEIGHT; at += 1) {
      area += Number(isInside(mask, Math.floor(at / HEIGHT), at % HEIGHT));
    }
    for (const scale of [0.3, 0.71, 1, 1.3]) {
      const seen = cover(mask, { scale, x: 4.4, y: 2.2 }, { left: 0, top: 0, ...CANVAS }).reduce((sum, one) => sum + one, 0) / 255;
      assert.ok(Math.abs(seen / scale ** 2 / area - 1) < 0.05, `${scale}: ${seen / scale ** 2} of ${area}`);
    }
  }
});

test('what is outside of the canvas does not matter', () => {
  assert.equal(windowOf(DISC, { scale: 1, x: -300, y: 0 }, CANVAS), null);
  assert.equal(windowOf(maskOf(() => false), { scale: 1, x: 0, y: 0 }, CANVAS), null);
  const view = { scale: 3, x: -100, y: -20 };
  const whole = painted(RING, view, { ...PLAIN, edge: 1, width: 2 });
  const window = { left: 40, top: 30, width: 50, height: 41 };
  const part = sheet(50, 41);
  paint(part, window, { mask: RING, view, window }, { ...PLAIN, edge: 1, width: 2 });
  for (let y = 0; y < window.height; y += 1) {
    const begin = 4 * ((y + window.top) * CANVAS.width + window.left);
    assert.deepEqual([...part.data.subarray(4 * y * 50, 4 * (y + 1) * 50)], [...whole.data.subarray(begin, begin + 200)], `row ${y}`);
  }
});

test('edges lie within, as wide as they should be', () => {
  const square = maskOf((x, y) => x >= 10 && x < 40 && y >= 10 && y < 40);
  const { data } = painted(square, { scale: 1, x: 0, y: 0 }, { ...PLAIN, fill: 0.2, edge: 1, width: 2 });
  const row = Array.from({ length: 34 }, (_, x) => data[4 * (25 * CANVAS.width + x + 8) + 3]);
  assert.deepEqual(row, [0, 0, 255, 255, ...Array(26).fill(51), 255, 255, 0, 0]);
});

test('colours are right, also over each other', () => {
  const view = { scale: 1, x: 0, y: 0 };
  const image = painted(DISC, view, PLAIN);
  const at = 4 * (25 * CANVAS.width + 50);
  assert.deepEqual([...image.data.subarray(at, at + 4)], [10, 200, 30, 128]);
  const window = windowOf(RING, view, CANVAS);
  assert.ok(window);
  const both = 4 * (30 * CANVAS.width + 64);
  paint(image, { left: 0, top: 0 }, { mask: RING, view, window }, { ...PLAIN, rgb: [250, 0, 100] });
  // Half of the upper colour, a quarter of the lower one, over three quarters.
  const [red = 0, green = 0, blue = 0, alpha = 0] = image.data.subarray(both, both + 4);
  const expected = [(250 * 2 + 10) / 3, 200 / 3, (100 * 2 + 30) / 3, 191];
  for (const [index, value] of [red, green, blue, alpha].entries()) {
    assert.ok(Math.abs(value - (expected[index] ?? 0)) <= 2, `${value} is not ${expected[index]}`);
  }
});

test('an edge can be dashed', () => {
  const { data } = painted(DISC, { scale: 3, x: 0, y: 0 }, { ...PLAIN, edge: 1, width: 2, isDashed: true });
  const alphas = new Set(data.filter((_, at) => at % 4 === 3));
  assert.ok(alphas.has(255) && alphas.has(128) && alphas.has(0));
});
