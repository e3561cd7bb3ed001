/** Whether masks are drawn where they belong. */

import assert from 'node:assert/strict';
import { difference } from './page.js';
import { alongEdge, mask } from './rle.js';

/** @import {Opened, Place} from './page.js' */

/** Colours that differ by more are told apart by the eye. */
const SEEN = 12;

/**
 * What part of some places looks other than it did.
 * @param {(number[]|null)[]} one
 * @param {(number[]|null)[]} other
 */
function changed(one, other) {
  return one.filter((colour, index) => difference(colour, other[index]) > SEEN).length / one.length;
}

/**
 * Clicks; the mask is drawn where the server says it is, on the picture as it is shown.
 * @param {Opened} one
 * @param {Place} at
 * @returns {Promise<ReturnType<typeof mask>>} the mask
 */
export async function masksWhereClicked(one, at) {
  const { answer } = await one.click(at);
  const found = mask(answer.objects.at(-1).segmentation);
  assert.ok(found.has(at[0], at[1]), 'the mask holds the click');
  await isDrawn(one, found, [at]);
  return found;
}

/**
 * A mask is drawn where it belongs, and is what the last step has brought.
 * @param {Opened} one
 * @param {ReturnType<typeof mask>} found
 * @param {Place[]} marks where clicks are marked
 */
export async function isDrawn(one, found, marks) {
  const { scale } = await one.view();
  const { inside, outside } = alongEdge(found, Math.ceil(3 / scale) + 1);
  const isFree = (/** @type {Place} */ [x, y]) => marks.every((mark) => Math.hypot(x - mark[0], y - mark[1]) * scale > 24);
  const [within, beside] = [inside.filter(isFree), outside.filter(isFree)];
  assert.ok(within.length > 20 && beside.length > 20, `${within.length} places within, ${beside.length} beside`);
  // The pointer is in nobody's way.
  await one.page.mouse.move(1, 1);
  await one.settled();
  const masked = await one.colours([...within, ...beside]);
  await one.press('Undo');
  await one.settled();
  const plain = await one.colours([...within, ...beside]);
  await one.press('Redo');
  await one.settled();
  const coloured = changed(masked.slice(0, within.length), plain.slice(0, within.length));
  const spilt = changed(masked.slice(within.length), plain.slice(within.length));
  assert.ok(coloured > 0.98, `${coloured} of the mask is coloured`);
  assert.ok(spilt < 0.02, `${spilt} of what is beside it`);
}
