/** The frames of a clip: which one is shown, where prompts are, what was tracked; and tracking. */

/** @import {Clip, Model, State} from '../types.js' */

import * as models from '../models.js';
import * as palette from '../palette.js';
import * as store from '../store.js';
import { button, follow, get, h, mark, show, write } from '../dom.js';
import { lookAway, stop, track } from '../video/following.js';
import { goBy, goTo, target } from '../video/player.js';
import { saidOf } from '../video/said.js';
import * as tracks from '../video/tracks.js';

/** Parts that are told in words; more would not be listened to. */
const MOST_TOLD = 8;

export function beginTimeline() {
  const line = get('timeline', HTMLElement);
  follow(({ clip }) => [clip === null], ({ clip }) => mark(line, 'hidden', clip === null));
  beginFrames();
  beginBar();
  beginTracking();
  beginNote();
}

/**
 * Shows a frame that somebody wishes to see.
 * @param {number} frame
 */
export function jump(frame) {
  lookAway();
  void goTo(Math.min(frame, (store.now().clip?.count ?? 1) - 1)).then(tellFrame);
}

/** @param {number} frames to go on by */
export function stepBy(frames) {
  lookAway();
  goBy(frames);
  tellFrame();
}

function tellFrame() {
  const { clip } = store.now();
  if (clip) {
    store.set({ said: spoken(clip, target()) });
  }
}

/**
 * @param {Clip} clip
 * @param {number} frame
 */
function spoken(clip, frame) {
  const time = clip.rate === null ? '' : `, ${tracks.timeOf(clip, frame).toFixed(2)} seconds`;
  return `frame ${frame} of 0 to ${clip.count - 1}${time}`;
}

function beginFrames() {
  const [slider, told] = [get('frame', HTMLInputElement), get('frame-told', HTMLElement)];
  const deeds = {
    'frame-first': () => jump(0), 'frame-before': () => stepBy(-1), 'frame-after': () => stepBy(1), 'frame-last': () => jump(Infinity),
  };
  for (const [id, deed] of Object.entries(deeds)) {
    button(id).addEventListener('click', deed);
  }
  slider.addEventListener('input', () => {
    lookAway();
    void goTo(slider.valueAsNumber);
  });
  follow(({ clip }) => [clip?.frame, clip?.count], ({ clip }) => {
    if (!clip) {
      return;
    }
    const { frame, count, rate } = clip;
    slider.max = String(count - 1);
    // While frames are looked for, it stands where it was put.
    slider.value = String(target());
    slider.style.setProperty('--part', `${(100 * frame) / Math.max(1, count - 1)}%`);
    mark(slider, 'aria-valuetext', spoken(clip, frame));
    told.replaceChildren(h('b', {}, String(frame)), ` / ${count - 1}`);
    told.append(h('span', {}, rate === null ? '' : `${tracks.timeOf(clip, frame).toFixed(2)} s`));
    for (const id of ['frame-first', 'frame-before']) {
      mark(button(id), 'aria-disabled', String(frame === 0));
    }
    for (const id of ['frame-after', 'frame-last']) {
      mark(button(id), 'aria-disabled', String(frame === count - 1));
    }
  });
}

/** @typedef {{key: string, left: number, width: number, kind: string, colour: string}} Piece of the bar, in parts of it */

function beginBar() {
  const [bar, words] = [get('frame-bar', HTMLElement), get('frame-summary', HTMLElement)];
  const look = (/** @type {State} */ { settings }) => [settings.model, settings.palette];
  follow((state) => [state.work.items, state.clip?.answers, state.clip?.count, ...look(state)], (state) => {
    const { clip, work, settings } = state;
    if (!clip) {
      return;
    }
    const wide = Math.max(1, clip.count - 1);
    const all = tracks.stretches(settings.model ?? '', work.items);
    /** @type {Piece[]} */
    const found = all.map(({ from, to, isWhole }) => {
      const [left, right] = [Math.max(0, from - 0.5), Math.min(wide, to + 0.5)];
      return { key: `found ${from}`, left: left / wide, width: (right - left) / wide, kind: isWhole ? 'whole' : 'some', colour: '' };
    });
    const said = saidOf(state);
    const marks = said.map(({ frame, object }) => {
      const item = work.items.find(({ id }) => id === object);
      const colour = palette.colour(item?.colour ?? 0, settings.palette);
      return { key: `said ${frame} ${object}`, left: frame / wide, width: 0, kind: 'said', colour };
    });
    show(bar, [...found, ...marks], { key: ({ key }) => key, make: piece });
    const frames = [...new Set(said.map(({ frame }) => frame))].sort((a, b) => a - b);
    const spans = all.map(({ from, to }) => (from === to ? from : `${from} to ${to}`));
    write(words, `Found on: ${listed(spans)}. Prompts on: ${listed(frames)}.`);
  });
}

/** @param {readonly (string|number)[]} all */
function listed(all) {
  const more = all.length > MOST_TOLD ? ` and ${all.length - MOST_TOLD} more` : '';
  return all.length === 0 ? 'no frame' : `${all.slice(0, MOST_TOLD).join(', ')}${more}`;
}

/**
 * @param {Piece} first
 * @returns {import('../dom.js').Part<Piece>}
 */
function piece(first) {
  const element = h('span', { 'data-kind': first.kind });
  /** @param {Piece} next */
  const update = ({ left, width, kind, colour }) => {
    mark(element, 'data-kind', kind);
    element.style.left = `${100 * left}%`;
    element.style.width = kind === 'said' ? '' : `${100 * width}%`;
    element.style.backgroundColor = colour;
  };
  return { element, update };
}

function beginTracking() {
  const [on, back, end, frames] = [button('track'), button('track-back'), button('stop'), get('track-frames', HTMLInputElement)];
  /** Where the focus goes back to. @type {HTMLButtonElement} */
  let last = on;
  const begin = (/** @type {'forward'|'backward'} */ direction) => {
    last = direction === 'forward' ? on : back;
    track(direction, frames.value === '' ? Infinity : Math.max(1, Math.round(frames.valueAsNumber)));
  };
  on.addEventListener('click', () => begin('forward'));
  back.addEventListener('click', () => begin('backward'));
  end.addEventListener('click', stop);
  frames.addEventListener('keydown', (event) => event.key === 'Enter' && begin('forward'));
  const asked = (/** @type {State} */ { settings, models, isOnline }) => [settings.model, models, isOnline];
  follow((state) => [state.clip?.frame, state.clip?.run === null, state.clip?.count, state.work.items, ...asked(state)], (state) => {
    const { clip } = state;
    if (!clip) {
      return;
    }
    const isRunning = clip.run !== null;
    const can = !isRunning && store.model()?.takes.video === true && saidOf(state).length > 0;
    const hadFocus = document.activeElement;
    mark(end, 'hidden', !isRunning);
    mark(on, 'hidden', isRunning);
    mark(back, 'hidden', isRunning);
    mark(on, 'disabled', !can || clip.frame === clip.count - 1);
    mark(back, 'disabled', !can || clip.frame === 0);
    mark(frames, 'disabled', isRunning);
    // What had the focus is gone.
    if (isRunning && (hadFocus === on || hadFocus === back)) {
      end.focus();
    } else if (!isRunning && hadFocus === end) {
      (last.disabled ? get('frame', HTMLInputElement) : last).focus();
    }
  });
}

function beginNote() {
  const [note, other] = [get('track-told', HTMLElement), button('track-model')];
  other.addEventListener('click', () => other.dataset.name && models.use(other.dataset.name));
  follow((state) => [state.clip, state.settings.model, state.models, state.work.items], (state) => {
    if (!state.clip) {
      return;
    }
    const model = store.model();
    const isDeaf = model !== null && models.isReady(model) && !model.takes.video;
    const able = state.models.filter((one) => one.takes.video);
    const [first] = isDeaf ? able : [];
    mark(other, 'hidden', first === undefined);
    mark(other, 'data-name', first?.name ?? '');
    write(other, `Use ${first?.name ?? ''}`);
    mark(note, 'data-bad', isDeaf);
    write(note, isDeaf ? whyNot(model, able) : noteOf(state, state.clip));
  });
}

/**
 * @param {Model} model
 * @param {Model[]} able
 */
function whyNot(model, able) {
  const names = able.map(({ name }) => name).join(', ');
  const help = names ? `${names} can.` : 'No model here can: serve one of SAM 2, as `maskline serve sam2.1-tiny`.';
  return `${model.name} follows nothing through a video. ${help}`;
}

/**
 * @param {State} state
 * @param {Clip} clip
 */
function noteOf(state, clip) {
  if (clip.run) {
    const { done, of, rate } = clip.run;
    return `${done} of ${of} frames${rate > 0 ? ` · ${rate.toFixed(1)} a second` : ''}`;
  }
  if (clip.note) {
    return clip.note;
  }
  const isSaid = saidOf(state).length > 0;
  return isSaid ? 'Track it; where it goes wrong, click there and track again. Undo reaches back to when you came to a frame.'
    : 'Click on an object, or drag a box around it, on any frame.';
}
