/** The panes, and what makes them draw. */

/** @import {Answer, State} from '../types.js' */
/** @import {Levels} from './levels.js' */
/** @import {Mask} from './scene.js' */

import { Painter } from '../masks/painter.js';
import * as store from '../store.js';
import { beginCrosshair } from './crosshair.js';
import { Pane } from './pane.js';
import { beginPointer } from './pointer.js';
import * as sketch from './sketch.js';
import * as view from './view.js';

/** Milliseconds after which an answer counts as drawn. */
const LONGEST_WAIT = 100;

const painter = new Painter((why) => {
  store.set({ problem: { reason: 'failed', status: 0, title: 'A mask cannot be shown', detail: why } });
});

/** @type {Pane[]} the main one first */
let panes = [];
/** @type {Levels|null} */
let levels = null;
/** A click whose mask is not seen yet. @type {{at: number, object: string, before: string|undefined}|null} */
let clicked = null;
let isDrawing = false;
let isUpdating = false;
/** @type {ResizeObserver} */
let sizes;

export function beginStages() {
  const parent = document.querySelector('#stages');
  if (!(parent instanceof HTMLElement)) {
    throw new Error('the page has no #stages');
  }
  sizes = new ResizeObserver(resized);
  beginDensity();
  store.watch((state, before) => {
    const isCompared = state.settings.compare !== null && state.settings.compare !== '';
    if (panes.length !== (isCompared ? 2 : 1)) {
      setPanes(parent, isCompared);
    }
    if (state.work !== before.work) {
      // Whatever was clicked before is not waited for any more.
      clicked = null;
    }
    if (state.picture !== before.picture) {
      pictureChanged(state, before);
    }
    update();
  });
  view.watch(draw);
  sketch.watch(() => {
    panes.forEach((pane) => pane.repaint());
    draw();
  });
}

/** Screens and zooms with more pixels are other sizes too. */
function beginDensity() {
  const media = window.matchMedia(`(resolution: ${window.devicePixelRatio}dppx)`);
  media.addEventListener('change', () => {
    resized();
    beginDensity();
  }, { once: true });
}

/**
 * @param {HTMLElement} parent
 * @param {boolean} isCompared
 */
function setPanes(parent, isCompared) {
  const [main, compare] = panes;
  if (!main) {
    panes = [addPane('main', parent)];
  }
  if (isCompared) {
    panes.push(addPane('compare', parent));
  } else if (compare) {
    sizes.unobserve(compare.root);
    compare.forget();
    compare.root.remove();
    panes = panes.slice(0, 1);
  }
  parent.dataset.panes = String(panes.length);
}

/**
 * @param {'main'|'compare'} side
 * @param {HTMLElement} parent
 */
function addPane(side, parent) {
  const pane = new Pane(side, { painter, parent, onDrawn: side === 'main' ? drawn : () => {} });
  pane.levels = levels;
  sizes.observe(pane.root);
  beginPointer(pane, { painter, onClick });
  beginCrosshair(pane, onClick);
  return pane;
}

function resized() {
  panes.forEach((pane) => pane.resize());
  const [main] = panes;
  if (main) {
    view.setPane(main.size);
  }
  // A canvas that has another size is empty: it is drawn again before anybody sees it.
  panes.forEach((pane) => {
    pane.update();
    pane.draw();
  });
}

/**
 * @param {State} state
 * @param {State} before
 */
function pictureChanged({ picture }, { picture: before }) {
  if (picture?.file !== before?.file) {
    painter.forget();
    sketch.clear();
    panes.forEach((pane) => pane.forget());
    clicked = null;
  }
  if (picture?.width !== before?.width || picture?.height !== before?.height || picture?.file !== before?.file) {
    view.setPicture(picture);
  }
}

/**
 * What is drawn as the picture from now on.
 * @param {Levels|null} given
 */
export function show(given) {
  if (levels && levels !== given) {
    levels.onMore = () => {};
    levels.close();
  }
  levels = given;
  if (levels) {
    levels.onMore = draw;
  }
  panes.forEach((pane) => {
    pane.levels = given;
  });
  draw();
}

/** Once for all changes of a moment. */
function update() {
  if (!isUpdating) {
    isUpdating = true;
    queueMicrotask(() => {
      isUpdating = false;
      panes.forEach((pane) => pane.update());
      draw();
    });
  }
}

/** Draws with the next frame, and has masks painted for what is seen then. */
function draw() {
  if (!isDrawing) {
    isDrawing = true;
    requestAnimationFrame(() => {
      isDrawing = false;
      panes.forEach((pane) => {
        pane.draw();
        pane.repaint();
      });
    });
  }
}

/**
 * An answer that has come: its masks are painted before all else that shows it is made.
 * @param {Answer} answer
 * @returns {Promise<unknown>} until they are seen
 */
export function take({ key, objects }) {
  objects.forEach(({ segmentation }, index) => {
    if (segmentation) {
      painter.add(`${key}#${index}`, segmentation);
    }
  });
  const drawn = Promise.all(panes.map((pane) => pane.update())).then(nextFrame);
  // Where nothing is drawn, as in a tab that nobody sees, nobody waits for it.
  return Promise.race([drawn, new Promise((resolve) => setTimeout(resolve, LONGEST_WAIT))]);
}

/** @returns {Promise<void>} until the frame has been made that shows what is drawn now */
function nextFrame() {
  return new Promise((resolve) => {
    requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => resolve();
      port2.postMessage(null);
    });
  });
}

/**
 * A click was made: how long is it until its mask is seen?
 * @param {number} at when, by `performance.now()`
 * @param {string|null} object that it went to
 */
function onClick(at, object) {
  clicked = object === null ? null : { at, object, before: panes[0]?.scene.masks.find(({ key }) => key === object)?.id };
}

/** @param {Mask[]} masks */
function drawn(masks) {
  const mask = clicked && masks.find(({ key }) => key === clicked?.object);
  if (!clicked || !mask || mask.id === clicked.before) {
    return;
  }
  const { at } = clicked;
  clicked = null;
  void nextFrame().then(() => store.set({ clickToPixels: performance.now() - at }));
}
