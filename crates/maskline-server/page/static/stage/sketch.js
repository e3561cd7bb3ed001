/** What is not yet a prompt: what is being dragged, the mask under the pointer, the crosshair of the keyboard. */

/** @import {Box, Click, Found} from '../types.js' */

/**
 * @typedef {object} Sketch
 * @property {{box: Box, isNegative: boolean, isExample: boolean}|null} box that is being drawn
 * @property {{id: string, clicks: Click[], box: Box|null}|null} moved an object's prompts while one of them is being moved
 * @property {{id: string, found: Found}|null} preview mask of a click that was not made
 * @property {{x: number, y: number}|null} crosshair in the picture
 * @property {{text: string, x: number, y: number}|null} hint what cannot be done, and where in the picture
 */

/** @type {Sketch} */
const NOTHING = { box: null, moved: null, preview: null, crosshair: null, hint: null };

/** @type {Sketch} */
let sketch = NOTHING;
/** @type {() => void} */
let listener = () => {};

/** @returns {Sketch} */
export function now() {
  return sketch;
}

/** @param {() => void} given is told of every change */
export function watch(given) {
  listener = given;
}

/** @param {Partial<Sketch>} change */
export function set(change) {
  sketch = { ...sketch, ...change };
  listener();
}

export function clear() {
  set(NOTHING);
}
