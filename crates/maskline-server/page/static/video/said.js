/** What is said of a clip's objects, on all its frames. */

/** @import {Prompts, State} from '../types.js' */

import { prompt } from '../answers.js';

/** What is said of an object on a frame; `text` is equal where the same is said. */
/** @typedef {{frame: number, object: string, prompts: Prompts, text: string}} Said */

/**
 * @param {State} state
 * @returns {Said[]} of the objects that there are: of the frame that is shown first, then in the order of the frames
 */
export function saidOf({ clip, work }) {
  if (!clip) {
    return [];
  }
  const here = work.items.map(({ id, clicks, box }) => ({ frame: clip.frame, object: id, prompts: { clicks, box } }));
  const others = Object.keys(clip.prompts).map(Number).filter((frame) => frame !== clip.frame).sort((a, b) => a - b);
  const there = others.flatMap((frame) => work.items.map(({ id }) => {
    return { frame, object: id, prompts: clip.prompts[frame]?.[id] ?? { clicks: [], box: null } };
  }));
  const isSaid = (/** @type {Prompts} */ { clicks, box }) => box !== null || clicks.length > 0;
  const all = [...here, ...there].filter(({ prompts }) => isSaid(prompts));
  return all.map((said) => ({ ...said, text: JSON.stringify(prompt(said.prompts)) }));
}

/**
 * @param {Pick<Said, 'frame'|'object'>} said
 * @returns {string}
 */
export function placeOf({ frame, object }) {
  return `${frame} ${object}`;
}
