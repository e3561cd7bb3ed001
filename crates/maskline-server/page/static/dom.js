/** The document: making elements, keeping lists, and following the state. */

/** @import {State} from './types.js' */

import { watch } from './store.js';

const SVG = 'http://www.w3.org/2000/svg';

/**
 * An element of the document.
 * @template {Element} E
 * @param {string} id
 * @param {new () => E} kind
 * @returns {E}
 */
export function get(id, kind) {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) {
    throw new Error(`the document has no ${kind.name} with the id ${id}`);
  }
  return found;
}

/** @param {string} id */
export const button = (id) => get(id, HTMLButtonElement);

/**
 * Makes an element.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, string|number|boolean|((event: any) => void)>} attributes functions listen to the event of that name; `false`
 *   sets none
 * @param {...(Node|string)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') {
      element.addEventListener(name, value);
    } else if (value !== false) {
      element.setAttribute(name, value === true ? '' : String(value));
    }
  }
  element.append(...children);
  return element;
}

/**
 * @param {string} name of a symbol of the document
 * @returns {SVGSVGElement}
 */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS(SVG, 'use');
  use.setAttribute('href', `#i-${name}`);
  svg.append(use);
  return svg;
}

/**
 * Sets an attribute where it differs: what is the same costs nothing, and nobody is told.
 * @param {Element} element
 * @param {string} name
 * @param {string|boolean} value
 */
export function mark(element, name, value) {
  const text = typeof value === 'string' ? value : value ? '' : null;
  if (element.getAttribute(name) !== text) {
    if (text === null) {
      element.removeAttribute(name);
    } else {
      element.setAttribute(name, text);
    }
  }
}

/**
 * @param {Element} element
 * @param {boolean} isPressed
 */
export function press(element, isPressed) {
  mark(element, 'aria-pressed', String(isPressed));
}

/**
 * @param {Element} element
 * @param {string} text
 */
export function write(element, text) {
  if (element.textContent !== text) {
    element.textContent = text;
  }
}

/**
 * A part of the document that stands for something, and follows it.
 * @template T
 * @typedef {{element: Element, update: (item: T) => void}} Part
 */

/** @type {WeakMap<Element, Map<string, Part<any>>>} */
const kept = new WeakMap();

/**
 * Has a list show items. Parts stay where their items do, and so keep the focus and the caret.
 * @template T
 * @param {Element} list
 * @param {readonly T[]} items
 * @param {{key: (item: T) => string, make: (item: T) => Part<T>}} how
 */
export function show(list, items, { key, make }) {
  const before = kept.get(list) ?? new Map();
  /** @type {Map<string, Part<T>>} */
  const parts = new Map();
  for (const item of items) {
    parts.set(key(item), before.get(key(item)) ?? make(item));
  }
  kept.set(list, parts);
  for (const [name, part] of before) {
    if (!parts.has(name)) {
      part.element.remove();
    }
  }
  let place = list.firstElementChild;
  for (const item of items) {
    // Taking the focus away from a part may have changed the state, and so the list, which then is newer than these items.
    if (kept.get(list) !== parts) {
      return;
    }
    const part = parts.get(key(item));
    part?.update(item);
    if (part && part.element === place) {
      place = place.nextElementSibling;
    } else if (part) {
      list.insertBefore(part.element, place);
    }
  }
}

/**
 * Does something now, and whenever one of some values of the state has changed.
 * @param {(state: State) => readonly unknown[]} pick
 * @param {(state: State) => void} act
 */
export function follow(pick, act) {
  /** @type {readonly unknown[]|null} */
  let last = null;
  watch((state) => {
    const values = pick(state);
    const before = last;
    if (before === null || values.some((value, place) => !Object.is(value, before[place]))) {
      last = values;
      act(state);
    }
  });
}

/**
 * @param {number} milliseconds
 * @returns {string}
 */
export function duration(milliseconds) {
  if (milliseconds >= 10000) {
    return `${Math.round(milliseconds / 1000)} s`;
  }
  if (milliseconds >= 1000) {
    return `${(milliseconds / 1000).toFixed(1)} s`;
  }
  return `${milliseconds >= 99.5 ? Math.round(milliseconds) : milliseconds.toFixed(1)} ms`;
}
