/** Lines, markers and words on the picture. Places are of the picture, lengths CSS pixels: `at` leads from the one to the other. */

/** @import {Box, Click, Item, Shown, State} from '../types.js' */
/** @import {View} from './view.js' */

import { colour } from '../palette.js';
import { toPane } from './view.js';

/**
 * @typedef {object} Board
 * @property {CanvasRenderingContext2D} context whose unit is a CSS pixel
 * @property {View} view
 * @property {{width: number, height: number}} size
 */

const FONT = '500 12px system-ui, sans-serif';
const TAG = 18;
/** Radius of a click's marker, and of one of the current object. */
const MARKER = 5.5;
const CURRENT_MARKER = 7.5;
/** Half a side of a handle. */
const HANDLE = 4;
const NEGATIVE = '#d11a2a';
/** Pairs of COCO's 17 keypoints that are joined. */
const LIMBS = [
  [5, 7], [7, 9], [6, 8], [8, 10], [5, 6], [5, 11], [6, 12], [11, 12],
  [11, 13], [13, 15], [12, 14], [14, 16], [0, 1], [0, 2], [1, 3], [2, 4],
];
/** Below, a keypoint is rather not seen. */
const LEAST_KEYPOINT = 0.3;

/**
 * The corners, then the middles of the sides, clockwise from the upper left corner.
 * @param {Box} box
 * @returns {{x: number, y: number}[]}
 */
export function handlesOf([left, top, right, bottom]) {
  const [x, y] = [(left + right) / 2, (top + bottom) / 2];
  return [
    { x: left, y: top }, { x: right, y: top }, { x: right, y: bottom }, { x: left, y: bottom },
    { x, y: top }, { x: right, y }, { x, y: bottom }, { x: left, y },
  ];
}

/**
 * A line that is seen on any picture: its colour on white, on a shade.
 * @param {CanvasRenderingContext2D} context
 * @param {string} colour
 * @param {number} width
 */
function stroke(context, colour, width) {
  context.strokeStyle = 'rgb(0 0 0 / 35%)';
  context.lineWidth = width + 2;
  context.stroke();
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.stroke();
}

/**
 * @param {Board} board
 * @param {Box} box
 */
function trace({ context, view }, [left, top, right, bottom]) {
  const [from, to] = [toPane(view, { x: left, y: top }), toPane(view, { x: right, y: bottom })];
  context.beginPath();
  context.rect(from.x, from.y, to.x - from.x, to.y - from.y);
}

/**
 * @param {Board} board
 * @param {number[][]} places
 */
function traceAround({ context, view }, places) {
  context.beginPath();
  for (const [x = 0, y = 0] of places) {
    const at = toPane(view, { x, y });
    context.lineTo(at.x, at.y);
  }
  context.closePath();
}

/**
 * Words on a ground of a colour.
 * @param {Board} board
 * @param {{text: string, x: number, y: number, ground: string}} tag `y` is its lower edge, in the pane
 */
function tag({ context, size }, { text, x, y, ground }) {
  context.font = FONT;
  const width = Math.ceil(context.measureText(text).width) + 10;
  const left = Math.min(Math.max(0, x), Math.max(0, size.width - width));
  const top = Math.min(Math.max(0, y - TAG), Math.max(0, size.height - TAG));
  context.fillStyle = ground;
  context.beginPath();
  context.roundRect(left, top, width, TAG, 3);
  context.fill();
  context.fillStyle = isLight(ground) ? '#111111' : '#ffffff';
  context.textBaseline = 'middle';
  context.fillText(text, left + 5, top + TAG / 2 + 0.5);
}

/** @param {string} hex @returns {boolean} whether black is read better on it than white */
function isLight(hex) {
  const [red, green, blue] = [1, 3, 5].map((at) => (parseInt(hex.slice(at, at + 2), 16) / 255) ** 2.2);
  return 0.2126 * (red ?? 0) + 0.7152 * (green ?? 0) + 0.0722 * (blue ?? 0) > 0.18;
}

/**
 * Boxes, keypoints and names of what a detector found; of others, the name of the one that is pointed at.
 * @param {Board} board
 * @param {Shown} one
 * @param {State} state
 */
export function drawFound(board, one, state) {
  const { found } = one;
  const ground = colour(one.colour, state.settings.palette);
  const isHighlighted = one.key === state.highlighted || (one.item === null && one.key === state.work.current);
  const isDetected = one.item === null && state.work.search !== 'everything';
  if (isDetected && found.rotated_box) {
    traceAround(board, found.rotated_box.corners);
    stroke(board.context, ground, isHighlighted ? 3 : 1.75);
  } else if (isDetected && found.box) {
    trace(board, found.box);
    stroke(board.context, ground, isHighlighted ? 3 : 1.75);
  }
  if (found.keypoints) {
    drawKeypoints(board, found.keypoints, ground);
  }
  // A prompt's own box is what the name would lie on.
  const box = one.item?.box ? null : (found.box ?? found.mask_box);
  if (box && (isDetected || isHighlighted)) {
    const at = toPane(board.view, { x: box[0], y: box[1] });
    const score = found.score === undefined ? '' : ` ${found.score.toFixed(2)}`;
    tag(board, { text: `${one.name}${score}`, x: at.x - 1, y: at.y - 2, ground });
  }
}

/**
 * @param {Board} board
 * @param {number[][]} keypoints x, y, and how sure
 * @param {string} ground
 */
function drawKeypoints({ context, view }, keypoints, ground) {
  const places = keypoints.map(([x = 0, y = 0, sure = 1]) => (sure < LEAST_KEYPOINT ? null : toPane(view, { x, y })));
  if (keypoints.length === 17) {
    context.beginPath();
    for (const [from = 0, to = 0] of LIMBS) {
      const [a, b] = [places[from], places[to]];
      if (a && b) {
        context.moveTo(a.x, a.y);
        context.lineTo(b.x, b.y);
      }
    }
    stroke(context, ground, 2);
  }
  for (const at of places) {
    if (at) {
      dot(context, at, { radius: 3.5, fill: ground });
    }
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {{x: number, y: number}} at
 * @param {{radius: number, fill: string}} style
 */
function dot(context, { x, y }, { radius, fill }) {
  context.beginPath();
  context.arc(x, y, radius + 1.5, 0, 2 * Math.PI);
  context.fillStyle = '#ffffff';
  context.shadowColor = 'rgb(0 0 0 / 60%)';
  context.shadowBlur = 3;
  context.fill();
  context.shadowBlur = 0;
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fillStyle = fill;
  context.fill();
}

/**
 * What an object is prompted with.
 * @param {Board} board
 * @param {Pick<Item, 'clicks'|'box'>} prompts
 * @param {{ground: string, isCurrent: boolean}} style
 */
export function drawPrompts(board, { clicks, box }, { ground, isCurrent }) {
  const { context, view } = board;
  if (box) {
    trace(board, box);
    stroke(context, ground, isCurrent ? 2.5 : 1.5);
    if (isCurrent) {
      handlesOf(box).forEach((handle) => drawHandle(context, toPane(view, handle), ground));
    }
  }
  for (const click of clicks) {
    drawClick(context, { ...click, ...toPane(view, click) }, { ground, isCurrent });
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {{x: number, y: number}} at
 * @param {string} ground
 */
function drawHandle(context, { x, y }, ground) {
  context.fillStyle = '#ffffff';
  context.strokeStyle = ground;
  context.lineWidth = 1.5;
  context.beginPath();
  context.rect(x - HANDLE, y - HANDLE, 2 * HANDLE, 2 * HANDLE);
  context.fill();
  context.stroke();
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Click} click in the pane
 * @param {{ground: string, isCurrent: boolean}} style
 */
function drawClick(context, { x, y, isPositive }, { ground, isCurrent }) {
  const radius = isCurrent ? CURRENT_MARKER : MARKER;
  const fill = isPositive ? ground : NEGATIVE;
  dot(context, { x, y }, { radius, fill });
  context.strokeStyle = isLight(fill) ? '#111111' : '#ffffff';
  context.lineWidth = 2;
  context.beginPath();
  context.moveTo(x - radius * 0.55, y);
  context.lineTo(x + radius * 0.55, y);
  if (isPositive) {
    context.moveTo(x, y - radius * 0.55);
    context.lineTo(x, y + radius * 0.55);
  }
  context.stroke();
}

/**
 * A box that is being drawn, or one that shows what is looked for.
 * @param {Board} board
 * @param {Box} box
 * @param {{ground: string, isNegative: boolean, hasSize: boolean, sign: string}} style `sign` is put to its corner
 */
export function drawSketched(board, box, { ground, isNegative, hasSize, sign }) {
  const { context, view } = board;
  const colour = isNegative ? NEGATIVE : ground;
  trace(board, box);
  context.setLineDash([6, 4]);
  stroke(context, colour, 2);
  context.setLineDash([]);
  const at = toPane(view, { x: box[0], y: box[3] });
  if (hasSize) {
    tag(board, { text: `${Math.round(box[2] - box[0])} × ${Math.round(box[3] - box[1])}`, x: at.x, y: at.y + TAG + 4, ground: '#202020' });
  }
  if (sign) {
    tag(board, { text: sign, x: at.x, y: toPane(view, { x: 0, y: box[1] }).y, ground: colour });
  }
}

/**
 * @param {Board} board
 * @param {{x: number, y: number}} place
 */
export function drawCrosshair({ context, view, size }, place) {
  const { x, y } = toPane(view, place);
  context.beginPath();
  context.moveTo(x, 0);
  context.lineTo(x, y - 6);
  context.moveTo(x, y + 6);
  context.lineTo(x, size.height);
  context.moveTo(0, y);
  context.lineTo(x - 6, y);
  context.moveTo(x + 6, y);
  context.lineTo(size.width, y);
  stroke(context, '#ffffff', 1);
}

/**
 * @param {Board} board
 * @param {{text: string, x: number, y: number}} hint
 */
export function drawHint(board, { text, x, y }) {
  const at = toPane(board.view, { x, y });
  tag(board, { text, x: at.x + 12, y: at.y - 12, ground: '#202020' });
}
