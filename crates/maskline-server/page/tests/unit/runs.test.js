import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bytesOf, decode, isInside } from '../../static/masks/runs.js';

/**
 * The compressed form, written from its description: digits of 5 bits, the lowest first, differences from the fourth count on.
 * @param {number[]} counts
 */
function packed(counts) {
  let text = '';
  counts.forEach((count, index) => {
    let left = index > 2 ? count - (counts[index - 2] ?? 0) : count;
    for (let isLast = false; !isLast; ) {
      const digit = left & 31;
      left >>= 5;
      isLast = left === (digit & 16 ? -1 : 0);
      text += String.fromCharCode(48 + digit + (isLast ? 0 : 32));
    }
  });
  return text;
}

/**
 * @param {string[]} rows `#` is of the mask
 */
function maskOf(rows) {
  const [height, width] = [rows.length, rows[0]?.length ?? 0];
  const pixels = Array.from({ length: height * width }, (_, at) => rows[at % height]?.[Math.floor(at / height)] === '#');
  const counts = [0];
  pixels.forEach((isIn, at) => {
    if (isIn !== (at > 0 && pixels[at - 1])) {
      counts.push(0);
    }
    counts[counts.length - 1] = (counts.at(-1) ?? 0) + 1;
  });
  return decode({ size: [height, width], counts: packed(counts) });
}

const SHAPE = ['..##.', '.###.', '....#', '#....'];

test('every pixel is where it was', () => {
  const mask = maskOf(SHAPE);
  for (let y = -1; y <= 4; y += 1) {
    for (let x = -1; x <= 5; x += 1) {
      assert.equal(isInside(mask, x + 0.5, y + 0.5), SHAPE[y]?.[x] === '#', `${x}, ${y}`);
    }
  }
  assert.deepEqual(mask.bounds, { left: 0, top: 0, right: 5, bottom: 4 });
});

test('a mask that was packed by hand', () => {
  // 6, 2 and 3 as they are, then 2 - 2 and 7 - 3.
  const mask = decode({ size: [5, 4], counts: '62304' });
  assert.deepEqual([...mask.ends], [6, 8, 11, 13, 20]);
});

test('bounds, and where columns begin', () => {
  const mask = maskOf(['.....', '..#..', '..##.', '.....']);
  assert.deepEqual(mask.bounds, { left: 2, top: 1, right: 4, bottom: 3 });
  assert.deepEqual([...mask.columns], [0, 0, 0, 2, 4, mask.ends.length]);
});

test('masks of nothing and of all', () => {
  assert.equal(maskOf(['...', '...']).bounds, null);
  const all = maskOf(['###', '###']);
  assert.deepEqual(all.bounds, { left: 0, top: 0, right: 3, bottom: 2 });
  assert.ok(isInside(all, 0, 0) && isInside(all, 2.9, 1.9));
});

test('long runs', () => {
  const counts = [1_000_000, 3, 25_000_000, 1, 13_999_996];
  const mask = decode({ size: [5000, 8000], counts: packed(counts) });
  assert.deepEqual([...mask.ends], [1_000_000, 1_000_003, 26_000_003, 26_000_004, 40_000_000]);
  assert.ok(bytesOf(mask) < 40_000);
});

test('nonsense is told', () => {
  assert.throws(() => decode({ size: [2, 2], counts: packed([1, 1]) }), /2 × 2 have 2 pixels/);
  assert.throws(() => decode({ size: [2, 2], counts: packed([1, -1, 4]) }), /run 1 of a mask has -1/);
  assert.throws(() => decode({ size: [2, 2], counts: '4é' }), /character 1/);
  assert.throws(() => decode({ size: [2, 2], counts: 'oooooooooooooooo' }), /broken/);
  assert.throws(() => decode({ size: [2, 2], counts: 'o' }), RangeError);
  assert.throws(() => decode({ size: [2, 2], counts: '' }), RangeError);
});
