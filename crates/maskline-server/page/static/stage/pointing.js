/** A pointer over the picture that is not down: what it would do, and what it is on. */

/** @import {Painter} from '../masks/painter.js' */
/** @import {Pane} from './pane.js' */
/** @import {Place} from './targets.js' */

import { hover, stopHover } from '../hover.js';
import * as store from '../store.js';
import { inPicture } from './prompts.js';
import * as sketch from './sketch.js';
import { cursorOf, targetAt } from './targets.js';
import * as view from './view.js';

/** Previews have ids of their own. */
let previews = 0;
/** @type {Painter} */
let painter;
/** Where the pointer was when it was last asked what it is on. @type {{pane: Pane, at: Place}|null} */
let wanted = null;
let isAsked = false;
let isOver = false;

/** @param {Painter} given */
export function beginHover(given) {
  painter = given;
  store.watch((state, before) => {
    // A preview is of the prompts and the picture that it was asked with; the click it foretold brings its own mask.
    const isOld = state.picture !== before.picture || state.settings.hasPreview !== before.settings.hasPreview
      || state.settings.tool !== before.settings.tool || state.settings.model !== before.settings.model || state.last !== before.last
      || (state.work !== before.work && state.canRedo);
    if (isOld && sketch.now().preview) {
      sketch.set({ preview: null });
    }
  });
}

/**
 * @param {Pane} pane
 * @param {Place} place in the pane
 * @param {boolean} isPanning whether the pointer would move the picture
 */
export function point(pane, place, isPanning) {
  const { tool, hasPreview } = store.now().settings;
  const { canvas } = pane.overlay;
  const at = inPicture(view.toPicture(view.now(), place));
  const target = tool === 'point' || tool === 'box' ? targetAt(place, false) : null;
  canvas.style.cursor = cursor({ isPanning: isPanning || tool === 'pan', target, isInside: at !== null });
  if (hasPreview && tool === 'point' && at && !target && !isPanning) {
    preview(at);
  } else {
    stopPreview();
  }
  wanted = at ? { pane, at } : null;
  isOver = at !== null;
  if (at) {
    void highlight();
  } else {
    tell(null);
  }
}

/** @param {{isPanning: boolean, target: import('./targets.js').Target|null, isInside: boolean}} pointer */
function cursor({ isPanning, target, isInside }) {
  if (isPanning) {
    return 'grab';
  }
  return target ? cursorOf(target) : isInside ? 'crosshair' : 'default';
}

/** @param {Place} at */
function preview(at) {
  hover(at, ({ objects }) => {
    const [found] = objects;
    previews += 1;
    sketch.set({ preview: found?.segmentation ? { id: `preview ${previews}`, found } : null });
  });
}

function stopPreview() {
  stopHover();
  dropPreview();
}

/** @returns {boolean} whether there was a preview */
export function dropPreview() {
  const has = sketch.now().preview !== null;
  if (has) {
    sketch.set({ preview: null });
  }
  return has;
}

/** The pointer is gone. */
export function leave() {
  pause();
  stopPreview();
}

/** The pointer does something. The preview stays until the mask that it foretold is there. */
export function pause() {
  wanted = null;
  isOver = false;
  stopHover();
  tell(null);
}

/** @param {string|null} highlighted */
function tell(highlighted) {
  if (store.now().highlighted !== highlighted) {
    store.set({ highlighted });
  }
}

/** Tells what the pointer is on; only one question is under way at a time. */
async function highlight() {
  if (isAsked || !wanted) {
    return;
  }
  const { pane, at } = wanted;
  wanted = null;
  isAsked = true;
  const { masks, objects } = pane.scene;
  const hit = await painter.hit(at, masks.map(({ id }) => id));
  isAsked = false;
  const { current } = store.now().work;
  const mask = masks.findLast(({ id }) => id === hit);
  const key = mask ? mask.key : boxAt(objects, at);
  if (isOver) {
    // The object that is worked on needs no other colour under the pointer.
    tell(key === current ? null : key);
    void highlight();
  }
}

/**
 * @param {import('../types.js').Shown[]} objects
 * @param {Place} at
 * @returns {string|null} the key of the smallest object without a mask whose box is there
 */
function boxAt(objects, { x, y }) {
  const area = (/** @type {import('../types.js').Box} */ box) => (box[2] - box[0]) * (box[3] - box[1]);
  const boxes = objects.flatMap(({ key, mask, found: { box } }) => (box && !mask ? [{ key, box }] : []));
  const under = boxes.filter(({ box }) => x >= box[0] && x < box[2] && y >= box[1] && y < box[3]);
  return under.sort((a, b) => area(a.box) - area(b.box))[0]?.key ?? null;
}
