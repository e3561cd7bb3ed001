/** Non-maximum suppression, as the server does it: of two boxes of a class that overlap too much, the better one stays. */

/** @import {Box, Shown} from './types.js' */

/**
 * @param {Shown[]} objects
 * @param {number} overlap
 * @returns {Shown[]} those that stay, in their order
 */
export function suppressed(objects, overlap) {
  const byScore = [...objects].sort((a, b) => (b.found.score ?? 0) - (a.found.score ?? 0));
  /** @type {Shown[]} */
  const kept = [];
  for (const one of byScore) {
    const box = one.found.box;
    const isWorse = box && kept.some((other) => other.found.class_id === one.found.class_id && other.found.box && iou(other.found.box, box) > overlap);
    if (!isWorse) {
      kept.push(one);
    }
  }
  const stays = new Set(kept);
  return objects.filter((one) => stays.has(one));
}

/**
 * Intersection over union.
 * @param {Box} a
 * @param {Box} b
 * @returns {number}
 */
export function iou(a, b) {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  if (width <= 0 || height <= 0) {
    return 0;
  }
  const area = (/** @type {Box} */ box) => (box[2] - box[0]) * (box[3] - box[1]);
  return (width * height) / (area(a) + area(b) - width * height);
}
