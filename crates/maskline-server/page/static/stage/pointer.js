/** Mouse, pen and fingers on the picture. */

/** @import {Painter} from '../masks/painter.js' */
/** @import {Pane} from './pane.js' */
/** @import {Place, Target} from './targets.js' */

import { addExample } from '../panels/words.js';
import * as store from '../store.js';
import { beginHover, dropPreview, leave, pause, point } from './pointing.js';
import { addBox, addClick, boxOf, change, inPicture, removeClick } from './prompts.js';
import * as sketch from './sketch.js';
import { moved, targetAt } from './targets.js';
import * as view from './view.js';

/**
 * What is being done with a pointer that is down.
 * @typedef {object} Gesture
 * @property {'press'|'pan'|'box'|'move'} kind `press`: not moved yet
 * @property {Pane} pane
 * @property {number} pointer
 * @property {boolean} isTouch
 * @property {Place} start in the pane
 * @property {Place} from in the picture
 * @property {Place} last in the pane
 * @property {Target|null} target
 * @property {boolean} isNegative
 * @property {boolean} isNew begins another object
 * @property {number} timer of a long press
 */

/** CSS pixels that a pointer moves before it drags something. */
const STILL = { mouse: 4, touch: 9 };
/** Milliseconds after which a finger says what is not meant. */
const LONG_PRESS = 500;
/** Milliseconds after which a prompt that is moved is asked about although the answer before has not come. */
const IMPATIENT = 400;
/** How fast wheels zoom, and fingers on a trackpad, per CSS pixel. */
const SPEED = { wheel: 0.0016, pinch: 0.01 };
const LINE = 16;

/** @type {Gesture|null} */
let gesture = null;
/** Fingers that are down, in the pane. @type {Map<number, Place>} */
const fingers = new Map();
let isSpaceDown = false;
let gestures = 0;
/** When a moved prompt was asked about. */
let askedAt = 0;
/** @type {(at: number, object: string|null) => void} */
let onClick = () => {};

/**
 * @param {Pane} pane
 * @param {{painter: Painter, onClick: (at: number, object: string|null) => void}} given
 */
export function beginPointer(pane, given) {
  const { canvas } = pane.overlay;
  if (pane.side === 'main') {
    ({ onClick } = given);
    beginHover(given.painter);
    beginKeys();
  }
  canvas.addEventListener('pointerdown', (event) => down(event, pane));
  canvas.addEventListener('pointermove', (event) => move(event, pane));
  canvas.addEventListener('pointerup', (event) => up(event));
  canvas.addEventListener('pointercancel', (event) => lost(event));
  canvas.addEventListener('lostpointercapture', (event) => lost(event));
  canvas.addEventListener('pointerleave', leave);
  canvas.addEventListener('contextmenu', (event) => event.preventDefault());
  // The middle button would begin to scroll.
  canvas.addEventListener('mousedown', (event) => event.button === 1 && event.preventDefault());
  canvas.addEventListener('wheel', (event) => wheel(event, pane), { passive: false });
}

function beginKeys() {
  window.addEventListener('keydown', (event) => {
    if (event.key === 'Escape' && gesture && gesture.kind !== 'press') {
      event.preventDefault();
      cancel();
    } else if (event.key === 'Escape' && dropPreview()) {
      event.preventDefault();
    } else if (event.key === ' ' && event.target instanceof Element && event.target.matches('body, canvas')) {
      event.preventDefault();
      isSpaceDown = true;
    }
  }, { capture: true });
  window.addEventListener('keyup', (event) => {
    isSpaceDown = isSpaceDown && event.key !== ' ';
  });
  window.addEventListener('blur', () => {
    isSpaceDown = false;
  });
}

/**
 * @param {PointerEvent} event
 * @param {Pane} pane
 */
function down(event, pane) {
  const { canvas } = pane.overlay;
  const place = pane.place(event);
  const isTouch = event.pointerType === 'touch';
  if (!store.now().picture) {
    return;
  }
  canvas.setPointerCapture(event.pointerId);
  pause();
  if (isTouch) {
    fingers.set(event.pointerId, place);
    if (fingers.size > 1) {
      cancel();
      return;
    }
  }
  if (gesture) {
    return;
  }
  const { tool, isNegative } = store.now().settings;
  const isPan = tool === 'pan' || event.button === 1 || isSpaceDown;
  const isOther = event.button === 2 || event.altKey || event.ctrlKey;
  gestures += 1;
  const isEdited = (tool === 'point' || tool === 'box') && event.button === 0 && !isPan && !event.shiftKey && !isOther;
  gesture = {
    kind: isPan ? 'pan' : 'press', pane, pointer: event.pointerId, isTouch,
    start: place, from: view.toPicture(view.now(), place), last: place,
    target: isEdited ? targetAt(place, isTouch) : null, isNegative: isNegative !== isOther, isNew: event.shiftKey, timer: 0,
  };
  if (isTouch && tool === 'point' && !gesture.target) {
    gesture.timer = window.setTimeout(() => longPress(event.timeStamp), LONG_PRESS);
  }
  canvas.style.cursor = isPan ? 'grabbing' : canvas.style.cursor;
}

/** @param {number} at when the finger came down */
function longPress(at) {
  if (gesture?.kind === 'press') {
    const { from, isNegative, isNew } = gesture;
    end();
    click(from, { isPositive: isNegative, isNew, at: at + LONG_PRESS });
  }
}

/**
 * @param {PointerEvent} event
 * @param {Pane} pane
 */
function move(event, pane) {
  const place = pane.place(event);
  if (fingers.has(event.pointerId)) {
    const before = [...fingers.values()];
    fingers.set(event.pointerId, place);
    if (fingers.size > 1) {
      pinch(before, [...fingers.values()]);
      return;
    }
  }
  if (!gesture) {
    if (event.pointerType !== 'touch' && event.buttons === 0) {
      point(pane, place, isSpaceDown);
    }
    return;
  }
  if (gesture.pointer !== event.pointerId) {
    return;
  }
  const still = gesture.isTouch ? STILL.touch : STILL.mouse;
  if (gesture.kind === 'press' && Math.hypot(place.x - gesture.start.x, place.y - gesture.start.y) >= still) {
    gesture.kind = dragOf(gesture);
    clearTimeout(gesture.timer);
  }
  drag(gesture, place);
  gesture.last = place;
}

/**
 * @param {Gesture} gesture
 * @returns {Gesture['kind']} what it is once it moves
 */
function dragOf({ target, isTouch }) {
  if (target) {
    return 'move';
  }
  return isTouch && store.now().settings.tool === 'point' ? 'pan' : 'box';
}

/**
 * @param {Gesture} gesture
 * @param {Place} place in the pane
 */
function drag({ kind, last, from, target, isNegative }, place) {
  if (kind === 'pan') {
    view.panBy(place.x - last.x, place.y - last.y);
  } else if (kind === 'box') {
    const isExample = store.now().settings.tool === 'words';
    const box = boxOf(from, view.toPicture(view.now(), place));
    sketch.set({ box: { box, isExample, isNegative: isExample && isNegative } });
  } else if (kind === 'move' && target) {
    const prompts = moved(target, from, view.toPicture(view.now(), place));
    sketch.set({ moved: { id: target.item.id, ...prompts } });
    const { asking } = store.now();
    if (asking.size === 0 || performance.now() - askedAt > IMPATIENT) {
      askedAt = performance.now();
      change(target.item.id, prompts, `gesture ${gestures}`);
    }
  }
}

/**
 * @param {Place[]} before
 * @param {Place[]} after
 */
function pinch(before, after) {
  const [a, b] = [middle(before), middle(after)];
  view.panBy(b.x - a.x, b.y - a.y);
  view.zoomBy(spread(after) / Math.max(1, spread(before)), b);
}

/** @param {Place[]} places @returns {Place} */
function middle(places) {
  const sum = places.reduce((sum, { x, y }) => ({ x: sum.x + x, y: sum.y + y }), { x: 0, y: 0 });
  return { x: sum.x / places.length, y: sum.y / places.length };
}

/** @param {Place[]} places */
function spread([a, b]) {
  return a && b ? Math.max(1, Math.hypot(a.x - b.x, a.y - b.y)) : 1;
}

/** @param {PointerEvent} event */
function up(event) {
  fingers.delete(event.pointerId);
  if (!gesture || gesture.pointer !== event.pointerId) {
    return;
  }
  const done = gesture;
  const { kind, pane, target, from, isNegative, isNew } = done;
  const place = pane.place(event);
  end();
  if (kind === 'press' && target?.kind === 'click') {
    removeClick(target.item.id, target.index);
  } else if (kind === 'press') {
    click(from, { isPositive: !isNegative, isNew, at: event.timeStamp });
  } else if (kind === 'move' && target) {
    change(target.item.id, moved(target, from, view.toPicture(view.now(), place)), `gesture ${gestures}`);
    store.endGesture();
    onClick(event.timeStamp, target.item.id);
  } else if (kind === 'box') {
    drawn(boxOf(from, view.toPicture(view.now(), place)), { isPositive: !isNegative, isNew, at: event.timeStamp });
  }
  if (!done.isTouch) {
    point(pane, place, isSpaceDown);
  }
}

/**
 * @param {Place} from
 * @param {{isPositive: boolean, isNew: boolean, at: number}} how
 */
function click(from, { isPositive, isNew, at }) {
  const place = inPicture(from);
  if (place && store.now().settings.tool === 'point') {
    onClick(at, addClick({ ...place, isPositive }, isNew));
  }
}

/**
 * @param {import('../types.js').Box} box
 * @param {{isPositive: boolean, isNew: boolean, at: number}} how
 */
function drawn(box, { isPositive, isNew, at }) {
  if (store.now().settings.tool === 'words') {
    addExample(box, isPositive);
  } else {
    onClick(at, addBox(box, isNew));
  }
}

/** The gesture is over. */
function end() {
  if (gesture) {
    clearTimeout(gesture.timer);
    gesture.pane.overlay.canvas.style.cursor = '';
    gesture = null;
    sketch.set({ box: null, moved: null });
  }
}

/** The gesture is called off: nothing has changed. */
function cancel() {
  if (gesture?.kind === 'move' && gesture.target) {
    const { item } = gesture.target;
    const now = store.now().work.items.find((one) => one.id === item.id);
    if (now && now !== item) {
      change(item.id, { clicks: item.clicks, box: item.box }, `gesture ${gestures}`);
      store.endGesture();
    }
  }
  end();
}

/** @param {PointerEvent} event */
function lost(event) {
  fingers.delete(event.pointerId);
  if (gesture?.pointer === event.pointerId) {
    cancel();
  }
}

/**
 * @param {WheelEvent} event
 * @param {Pane} pane
 */
function wheel(event, pane) {
  event.preventDefault();
  const pixels = event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_LINE ? LINE : 1);
  view.zoomBy(Math.exp(-pixels * (event.ctrlKey ? SPEED.pinch : SPEED.wheel)), pane.place(event));
}
