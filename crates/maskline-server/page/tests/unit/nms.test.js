import assert from 'node:assert/strict';
import { test } from 'node:test';
import { iou, suppressed } from '../../static/nms.js';

/** @import {Box, Shown} from '../../static/types.js' */

/**
 * @param {Box} box
 * @param {number} score
 * @param {number} [class_id]
 * @returns {Shown}
 */
function shown(box, score, class_id = 0) {
  const found = { box, score, class_id };
  return { key: `${box} ${class_id}`, item: null, found, name: '', label: null, colour: 0, isHidden: false, mask: null };
}

test('overlaps of boxes', () => {
  assert.equal(iou([0, 0, 10, 10], [0, 0, 10, 10]), 1);
  assert.equal(iou([0, 0, 10, 10], [5, 0, 15, 10]), 50 / 150);
  assert.equal(iou([0, 0, 10, 10], [10, 0, 20, 10]), 0);
  assert.equal(iou([0, 0, 10, 10], [20, 20, 30, 30]), 0);
});

test('the better one of two stays, in its place, and only within its class', () => {
  const [worse, better, other, far] = [
    shown([0, 0, 10, 10], 0.5), shown([1, 0, 11, 10], 0.9), shown([0, 0, 10, 10], 0.1, 1), shown([50, 50, 60, 60], 0.2),
  ];
  assert.deepEqual(suppressed([worse, better, other, far], 0.5), [better, other, far]);
  assert.deepEqual(suppressed([worse, better, other, far], 0.95), [worse, better, other, far]);
  assert.deepEqual(suppressed([far, better, worse], 0.5), [far, better]);
});

test('what was suppressed itself suppresses nothing', () => {
  const chain = [shown([0, 0, 10, 10], 0.9), shown([4, 0, 14, 10], 0.8), shown([8, 0, 18, 10], 0.7)];
  assert.deepEqual(suppressed(chain, 0.4), [chain[0], chain[2]]);
});

test('boxes without scores and objects without boxes stay', () => {
  const without = { ...shown([0, 0, 1, 1], 1), found: {} };
  assert.deepEqual(suppressed([without, without], 0), [without, without]);
});
