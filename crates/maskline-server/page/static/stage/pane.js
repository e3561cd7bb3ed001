/** A pane: the picture, and what one model says about it. */

/** @import {State} from '../types.js' */
/** @import {Painted, Painter, Wanted} from '../masks/painter.js' */
/** @import {Levels} from './levels.js' */
/** @import {Board} from './drawing.js' */
/** @import {Last, Mask, Scene} from './scene.js' */

import { colour } from '../palette.js';
import * as store from '../store.js';
import { drawCrosshair, drawFound, drawHint, drawPrompts, drawSketched } from './drawing.js';
import { nextColour } from './prompts.js';
import { litStyle, previewStyle, sceneOf } from './scene.js';
import * as sketch from './sketch.js';
import * as view from './view.js';

const KEYS = 'Arrow keys move a crosshair, with Shift by a pixel of the picture. Space clicks there, Shift and Space says that it is not '
  + 'meant. With the Box tool, Space sets one corner and then the other.';

/**
 * Masks that are painted together: all, the one that is pointed at, and the one that a click would give.
 * @typedef {'masks'|'lit'|'preview'} Layer
 * @type {readonly Layer[]}
 */
const LAYERS = ['masks', 'lit', 'preview'];

/** Colour of examples for what is looked for. */
const EXAMPLE = '#16a34a';

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {string} name class
 * @param {HTMLElement} parent
 * @returns {HTMLElementTagNameMap[Tag]}
 */
function child(tag, name, parent) {
  const element = document.createElement(tag);
  element.className = name;
  parent.append(element);
  return element;
}

/** @param {HTMLCanvasElement} canvas */
function contextOf(canvas) {
  const context = canvas.getContext('2d');
  if (!context) {
    throw new Error('this browser has no canvas');
  }
  return context;
}

export class Pane {
  /**
   * @param {'main'|'compare'} side
   * @param {{painter: Painter, parent: HTMLElement, onDrawn: (masks: Mask[]) => void}} given `onDrawn` is told of masks that are seen now
   */
  constructor(side, { painter, parent, onDrawn }) {
    this.side = side;
    this.painter = painter;
    this.onDrawn = onDrawn;
    this.root = child('div', 'stage', parent);
    this.root.dataset.side = side;
    this.picture = contextOf(child('canvas', 'picture', this.root));
    this.overlay = contextOf(child('canvas', 'overlay', this.root));
    this.label = child('div', 'name', this.root);
    this.prepare();
    /** @type {Levels|null} */
    this.levels = null;
    /** @type {Scene} */
    this.scene = { objects: [], masks: [] };
    /** @type {Last} */
    this.last = new Map();
    /** @type {Record<Layer, Painted|null>} */
    this.painted = { masks: null, lit: null, preview: null };
    /** What was last asked of the painter. @type {Record<Layer, string>} */
    this.asked = { masks: '', lit: '', preview: '' };
    /** Pixels of the screen per CSS pixel. */
    this.ratio = 1;
    this.size = { width: 0, height: 0 };
  }

  prepare() {
    const { canvas } = this.overlay;
    Object.assign(this.root.style, { position: 'relative', overflow: 'hidden' });
    for (const one of [this.picture.canvas, canvas]) {
      Object.assign(one.style, { position: 'absolute', display: 'block' });
    }
    Object.assign(canvas.style, { touchAction: 'none', userSelect: 'none' });
    Object.assign(this.label.style, { position: 'absolute', pointerEvents: 'none' });
    this.picture.canvas.setAttribute('aria-hidden', 'true');
    const help = child('p', 'how', this.root);
    help.id = `how-${this.side}`;
    help.hidden = true;
    help.textContent = KEYS;
    canvas.tabIndex = 0;
    canvas.setAttribute('role', 'application');
    canvas.setAttribute('aria-label', this.side === 'main' ? 'Picture' : 'Picture, compared');
    canvas.setAttribute('aria-describedby', help.id);
  }

  /** @param {State} state @returns {string|null} */
  model({ settings }) {
    return this.side === 'main' ? settings.model : settings.compare;
  }

  /**
   * Where a pointer is.
   * @param {{clientX: number, clientY: number}} event
   * @returns {{x: number, y: number}} in the pane
   */
  place({ clientX, clientY }) {
    const { left, top } = this.overlay.canvas.getBoundingClientRect();
    // Where the page was scrolled by a part of a pixel, the canvas is drawn at the nearest whole one.
    const whole = (/** @type {number} */ length) => Math.round(length * this.ratio) / this.ratio;
    return { x: clientX - whole(left), y: clientY - whole(top) };
  }

  /** Fits the canvases to whole pixels of the screen: whatever lies between them would be drawn elsewhere than it is reckoned. */
  resize() {
    const { devicePixelRatio: ratio } = window;
    const { left, top, right, bottom } = this.root.getBoundingClientRect();
    const first = { x: Math.ceil(left * ratio), y: Math.ceil(top * ratio) };
    const last = { x: Math.floor(right * ratio), y: Math.floor(bottom * ratio) };
    const [width, height] = [Math.max(0, last.x - first.x), Math.max(0, last.y - first.y)];
    this.ratio = ratio;
    this.size = { width: width / ratio, height: height / ratio };
    for (const { canvas } of [this.picture, this.overlay]) {
      Object.assign(canvas.style, {
        left: `${first.x / ratio - left}px`, top: `${first.y / ratio - top}px`, width: `${width / ratio}px`, height: `${height / ratio}px`,
      });
      if (canvas.width !== width || canvas.height !== height) {
        [canvas.width, canvas.height] = [width, height];
      }
    }
  }

  /** The view on the canvas. */
  canvasView() {
    const { scale, x, y } = view.now();
    return { scale: scale * this.ratio, x: x * this.ratio, y: y * this.ratio };
  }

  /** Another picture. */
  forget() {
    for (const layer of LAYERS) {
      this.painted[layer]?.bitmap?.close();
    }
    this.painted = { masks: null, lit: null, preview: null };
    this.asked = { masks: '', lit: '', preview: '' };
    this.last.clear();
  }

  /**
   * The state has changed: has masks painted that are not, or otherwise.
   * @returns {Promise<void>} until they are drawn
   */
  update() {
    const state = store.now();
    this.scene = sceneOf(state, this.model(state), { last: this.last, ratio: this.ratio });
    this.label.textContent = state.settings.compare ? this.model(state) : '';
    this.label.hidden = !state.settings.compare;
    return this.repaint();
  }

  /** @returns {Promise<void>} until the masks are drawn */
  repaint() {
    const { picture, settings, highlighted, work } = store.now();
    const drawn = this.paint('masks', picture ? this.scene.masks : []);
    // An object that is prompted for is told by its prompts.
    const lit = this.scene.masks.find(({ key }) => key === highlighted) ?? this.scene.masks.find(({ key }) => key === work.current);
    const isLit = lit && (lit.key === highlighted || store.current() === null);
    void this.paint('lit', isLit ? [{ ...lit, ...litStyle(lit) }] : []);
    const { preview } = sketch.now();
    const runs = preview?.found.segmentation;
    const place = store.current()?.colour ?? nextColour();
    const isShown = preview && runs && this.side === 'main';
    void this.paint('preview', isShown ? [{ id: preview.id, runs, key: '', ...previewStyle(settings, place) }] : []);
    return drawn;
  }

  /**
   * @param {Layer} layer
   * @param {Mask[]} masks
   */
  async paint(layer, masks) {
    const { width, height } = this.overlay.canvas;
    /** @type {Wanted} */
    const wanted = { view: this.canvasView(), width, height, masks };
    const asked = JSON.stringify([wanted.view, width, height, masks.map(({ runs: _, ...style }) => style)]);
    if (asked === this.asked[layer]) {
      return;
    }
    this.asked[layer] = asked;
    const painted = await this.painter.paint(`${this.side} ${layer}`, wanted);
    if (painted && this.asked[layer] !== '') {
      this.painted[layer]?.bitmap?.close();
      this.painted[layer] = painted;
      // At once: whoever clicked waits for it.
      this.drawOverlay();
      if (layer === 'masks') {
        this.onDrawn(masks);
      }
    } else {
      painted?.bitmap?.close();
    }
  }

  draw() {
    this.drawPicture();
    this.drawOverlay();
  }

  drawPicture() {
    const { canvas } = this.picture;
    this.picture.clearRect(0, 0, canvas.width, canvas.height);
    this.levels?.draw(this.picture, this.canvasView());
  }

  drawOverlay() {
    const { overlay } = this;
    const { canvas } = overlay;
    const state = store.now();
    overlay.setTransform(1, 0, 0, 1, 0, 0);
    overlay.clearRect(0, 0, canvas.width, canvas.height);
    if (!state.picture) {
      return;
    }
    LAYERS.forEach((layer) => this.drawPainted(this.painted[layer]));
    overlay.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    /** @type {Board} */
    const board = { context: overlay, view: view.now(), size: this.size };
    const last = state.highlighted;
    for (const one of [...this.scene.objects].sort((a, b) => Number(a.key === last) - Number(b.key === last))) {
      drawFound(board, one, state);
    }
    this.drawPrompts(board, state);
    this.drawSketch(board);
    const { scale, x, y } = view.now();
    Object.assign(canvas.dataset, { scale, x, y });
  }

  /**
   * Masks where they belong now, also where they were painted for another view.
   * @param {Painted|null} painted
   */
  drawPainted(painted) {
    if (painted?.bitmap) {
      const { bitmap, left, top, wanted: { view: then } } = painted;
      const now = this.canvasView();
      const ratio = now.scale / then.scale;
      const [x, y] = [(left - then.x) * ratio + now.x, (top - then.y) * ratio + now.y];
      this.overlay.drawImage(bitmap, x, y, bitmap.width * ratio, bitmap.height * ratio);
    }
  }

  /**
   * @param {Board} board
   * @param {State} state
   */
  drawPrompts(board, { work, settings }) {
    const { moved } = sketch.now();
    for (const phrase of settings.tool === 'words' ? work.phrases : []) {
      const style = { ground: EXAMPLE, hasSize: false };
      phrase.like.forEach((box) => drawSketched(board, box, { ...style, isNegative: false, sign: `+ ${phrase.text}`.trim() }));
      phrase.unlike.forEach((box) => drawSketched(board, box, { ...style, isNegative: true, sign: `− ${phrase.text}`.trim() }));
    }
    const byRank = [...work.items].sort((a, b) => Number(a.id === work.current) - Number(b.id === work.current));
    for (const item of byRank.filter((one) => !one.isHidden)) {
      const prompts = moved?.id === item.id ? moved : item;
      drawPrompts(board, prompts, { ground: colour(item.colour, settings.palette), isCurrent: item.id === work.current });
    }
  }

  /** @param {Board} board */
  drawSketch(board) {
    const { box, crosshair, hint } = sketch.now();
    if (box) {
      const ground = box.isExample ? EXAMPLE : colour(nextColour(), store.now().settings.palette);
      drawSketched(board, box.box, { ground, isNegative: box.isNegative, hasSize: true, sign: '' });
    }
    if (crosshair) {
      drawCrosshair(board, crosshair);
    }
    if (hint) {
      drawHint(board, hint);
    }
  }
}
