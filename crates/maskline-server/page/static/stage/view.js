/** Where the picture lies in its pane: the same in all panes. Lengths are CSS pixels, of which a pane may have fractions. */

/**
 * CSS pixels per pixel of the picture, and where the picture's upper left corner is in the pane.
 * @typedef {{scale: number, x: number, y: number}} View
 *
 * @typedef {{width: number, height: number}} Size
 * @typedef {{x: number, y: number}} Place
 */

/** Room around a picture that fits. */
const MARGIN = 12;
/** The picture is never smaller than this part of what fits… */
const LEAST_OF_FIT = 1 / 8;
/** …and its pixels are never larger. */
const LARGEST = 32;
/** So much of the picture stays in sight. */
const IN_SIGHT = 64;

/** @type {View} */
let view = { scale: 1, x: 0, y: 0 };
/** @type {Size} */
let pane = { width: 0, height: 0 };
/** @type {Size|null} */
let picture = null;
/** Whether the picture is to fit whatever happens to the pane. */
let isFitted = true;
/** @type {Set<() => void>} */
const listeners = new Set();

/** @returns {View} */
export function now() {
  return view;
}

/** @param {() => void} listener is told of every change */
export function watch(listener) {
  listeners.add(listener);
}

/**
 * The view in which all of a picture is seen.
 * @param {Size} picture
 * @param {Size} pane
 * @returns {View}
 */
export function fitting(picture, pane) {
  const [width, height] = [Math.max(1, pane.width - 2 * MARGIN), Math.max(1, pane.height - 2 * MARGIN)];
  const scale = Math.min(width / picture.width, height / picture.height, LARGEST);
  return { scale, x: (pane.width - picture.width * scale) / 2, y: (pane.height - picture.height * scale) / 2 };
}

/**
 * The view at another scale, in which a place of the pane shows the same place of the picture.
 * @param {View} view
 * @param {number} scale
 * @param {Place} at
 * @returns {View}
 */
export function scaled(view, scale, at) {
  const ratio = scale / view.scale;
  return { scale, x: at.x - (at.x - view.x) * ratio, y: at.y - (at.y - view.y) * ratio };
}

/**
 * @param {View} view
 * @param {Place} at place in the pane
 * @returns {Place} place in the picture, or beyond it
 */
export function toPicture(view, at) {
  return { x: (at.x - view.x) / view.scale, y: (at.y - view.y) / view.scale };
}

/**
 * @param {View} view
 * @param {Place} at place in the picture
 * @returns {Place} place in the pane
 */
export function toPane(view, at) {
  return { x: at.x * view.scale + view.x, y: at.y * view.scale + view.y };
}

/**
 * The view moved so that some of the picture is in sight.
 * @param {View} view
 * @param {Size} picture
 * @param {Size} pane
 * @returns {View}
 */
export function inSight(view, picture, pane) {
  const kept = (/** @type {number} */ at, /** @type {number} */ length, /** @type {number} */ room) => {
    const least = Math.min(IN_SIGHT, length / 2, room / 2);
    return Math.min(room - least, Math.max(least - length, at));
  };
  const [x, y] = [kept(view.x, picture.width * view.scale, pane.width), kept(view.y, picture.height * view.scale, pane.height)];
  return { scale: view.scale, x, y };
}

/** @param {View} next */
function show(next) {
  view = picture ? inSight(next, picture, pane) : next;
  for (const listener of listeners) {
    listener();
  }
}

/** Shows all of the picture. */
export function fit() {
  isFitted = true;
  show(picture ? fitting(picture, pane) : view);
}

/**
 * @param {number} scale
 * @param {Place} [at] what stays where it is; the middle
 */
export function zoomTo(scale, at = { x: pane.width / 2, y: pane.height / 2 }) {
  if (picture) {
    const least = Math.min(fitting(picture, pane).scale * LEAST_OF_FIT, LARGEST);
    isFitted = false;
    show(scaled(view, Math.min(LARGEST, Math.max(least, scale)), at));
  }
}

/**
 * @param {number} factor
 * @param {Place} [at] what stays where it is; the middle
 */
export function zoomBy(factor, at) {
  zoomTo(view.scale * factor, at);
}

/** Shows a pixel of the picture as one of the screen. */
export function actual() {
  zoomTo(1 / window.devicePixelRatio);
}

/**
 * @param {number} x
 * @param {number} y
 */
export function panBy(x, y) {
  if (picture && (x !== 0 || y !== 0)) {
    isFitted = false;
    show({ scale: view.scale, x: view.x + x, y: view.y + y });
  }
}

/**
 * Another picture.
 * @param {Size|null} size
 */
export function setPicture(size) {
  picture = size;
  fit();
}

/**
 * The panes have another size: what was in the middle stays there.
 * @param {Size} size
 */
export function setPane(size) {
  const [x, y] = [(size.width - pane.width) / 2, (size.height - pane.height) / 2];
  pane = size;
  if (isFitted) {
    fit();
  } else {
    show({ scale: view.scale, x: view.x + x, y: view.y + y });
  }
}

/** @returns {Size} of the panes */
export function paneSize() {
  return pane;
}
