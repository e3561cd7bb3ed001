/** The picture without a pointer: a crosshair that the keyboard moves. */

/** @import {Box} from '../types.js' */
/** @import {Pane} from './pane.js' */

import { addExample } from '../panels/words.js';
import * as store from '../store.js';
import { addBox, addClick, boxOf, clamped } from './prompts.js';
import * as sketch from './sketch.js';
import * as view from './view.js';

/** CSS pixels that a key moves it by. */
const STEP = 8;

/** @type {Record<string, [number, number]>} */
const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** The first corner of a box that has no second one. @type {{x: number, y: number}|null} */
let corner = null;

/**
 * @param {Pane} pane
 * @param {(at: number, object: string|null) => void} onClick
 */
export function beginCrosshair(pane, onClick) {
  const { canvas } = pane.overlay;
  canvas.addEventListener('keydown', (event) => {
    const way = WAYS[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey || !store.now().picture) {
      return;
    }
    if (way) {
      event.preventDefault();
      move(way, event.shiftKey);
    } else if (event.key === ' ' && sketch.now().crosshair && !event.repeat) {
      event.preventDefault();
      press(event, onClick);
    } else if (event.key === 'Escape' && corner) {
      event.preventDefault();
      dropCorner();
    }
  });
  canvas.addEventListener('blur', hide);
  canvas.addEventListener('pointermove', hide);
}

function hide() {
  if (sketch.now().crosshair) {
    dropCorner();
    sketch.set({ crosshair: null });
  }
}

function dropCorner() {
  if (corner) {
    corner = null;
    sketch.set({ box: null });
  }
}

/**
 * @param {[number, number]} way
 * @param {boolean} isFine
 */
function move([x, y], isFine) {
  const { crosshair } = sketch.now();
  const { width, height } = view.paneSize();
  const from = crosshair ?? view.toPicture(view.now(), { x: width / 2, y: height / 2 });
  const step = isFine ? 1 : STEP / view.now().scale;
  const at = clamped(crosshair ? { x: from.x + x * step, y: from.y + y * step } : from);
  sketch.set({ crosshair: at, ...(corner ? { box: sketched(boxOf(corner, at)) } : {}) });
  follow(at);
  store.set({ said: `${Math.round(at.x)}, ${Math.round(at.y)}` });
}

/** @param {Box} box */
function sketched(box) {
  const { tool, isNegative } = store.now().settings;
  return { box, isExample: tool === 'words', isNegative: tool === 'words' && isNegative };
}

/**
 * Keeps the crosshair in sight.
 * @param {{x: number, y: number}} at
 */
function follow(at) {
  const { width, height } = view.paneSize();
  const { x, y } = view.toPane(view.now(), at);
  view.panBy(Math.min(0, width - 20 - x) + Math.max(0, 20 - x), Math.min(0, height - 20 - y) + Math.max(0, 20 - y));
}

/**
 * @param {KeyboardEvent} event
 * @param {(at: number, object: string|null) => void} onClick
 */
function press(event, onClick) {
  const { crosshair } = sketch.now();
  const { tool, isNegative } = store.now().settings;
  if (!crosshair) {
    return;
  }
  if (tool === 'point') {
    onClick(event.timeStamp, addClick({ ...crosshair, isPositive: event.shiftKey === isNegative }, false));
  } else if (tool !== 'pan' && !corner) {
    corner = crosshair;
    sketch.set({ box: sketched(boxOf(corner, crosshair)) });
    store.set({ said: 'first corner' });
  } else if (tool !== 'pan' && corner) {
    const box = boxOf(corner, crosshair);
    dropCorner();
    if (tool === 'words') {
      addExample(box, event.shiftKey === isNegative);
    } else {
      onClick(event.timeStamp, addBox(box, false));
    }
  }
}
