/** The clip that is open, and which of its frames is shown. */

/** @import {Source} from './footage.js' */

import * as actions from '../actions.js';
import * as store from '../store.js';
import { show } from '../stage/stages.js';
import { Footage } from './footage.js';
import * as tracks from './tracks.js';

/** @type {Footage|null} */
let open = null;
/** The frame that is wanted: of several, the last one counts. */
let wanted = 0;
let isMoving = false;

/** @returns {Footage|null} the frames of the clip that is open */
export function footage() {
  return open;
}

/**
 * A clip takes the place of the picture.
 * @param {Source} source
 * @throws {Error} where its first frame cannot be read
 */
export async function openClip(source) {
  const next = new Footage(source);
  const frame = await next.frame(0).catch((error) => {
    next.close();
    throw error;
  });
  closeClip();
  [open, wanted] = [next, 0];
  const { name, file, width, height, count, rate, start, isEven } = source;
  const note = isEven ? '' : `Its frames are shown for different times: ${rate?.toFixed(1)} a second are taken.`;
  store.beginWork();
  if (store.now().settings.tool === 'words') {
    actions.take('point');
  }
  store.choose({ compare: null });
  store.set({
    picture: { name, file, width, height, ref: null }, problem: null, last: null, lastCompare: null, highlighted: null,
    encoding: { stage: 'none', progress: 0, since: 0, isCached: false, timings: null, problem: null },
    clip: { name, file: file.name, count, rate, start, frame: 0, prompts: {}, lastObject: 0, answers: 0, isAsking: false, run: null, note },
    said: `${name}, ${count} frames, ${width} by ${height} pixels`,
  });
  show(frame.levels);
}

/** Another picture takes its place. */
export function closeClip() {
  open?.close();
  open = null;
  tracks.forget();
  if (store.now().clip) {
    store.set({ clip: null });
  }
}

/** @returns {number} the frame that is shown, or will be */
export function target() {
  return isMoving ? wanted : store.now().clip?.frame ?? 0;
}

/**
 * Shows a frame. What is clicked meanwhile goes to the one that is seen.
 * @param {number} frame the nearest that there is
 */
export async function goTo(frame) {
  const { clip } = store.now();
  if (!clip || !open) {
    return;
  }
  wanted = Math.min(clip.count - 1, Math.max(0, Math.round(frame)));
  if (isMoving) {
    return;
  }
  isMoving = true;
  let own = open;
  try {
    while (open && wanted !== store.now().clip?.frame) {
      own = open;
      await move(own, wanted);
    }
  } catch (error) {
    // Of a clip that was closed meanwhile nobody wishes to see frames.
    if (own === open) {
      const detail = error instanceof Error ? error.message : String(error);
      store.set({ problem: { reason: 'failed', status: 0, title: `Frame ${wanted} cannot be shown`, detail } });
    }
  } finally {
    isMoving = false;
  }
}

/**
 * @param {Footage} own
 * @param {number} index
 */
async function move(own, index) {
  const frame = await own.frame(index);
  if (open === own) {
    own.shown = index;
    // At once, so that nobody sees the one with the masks of the other.
    show(frame.levels);
    store.showFrame(index);
  }
}

/** @param {number} frames to go on by */
export function goBy(frames) {
  void goTo(target() + frames);
}
