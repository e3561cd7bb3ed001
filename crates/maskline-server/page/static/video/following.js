/**
 * From what is said of a clip's objects to what the server is told, and from frame to frame. One thing is done after the other; what comes
 * next is seen from what the server knows and what it should know.
 */

/** @import {Model, Problem, Run, State} from '../types.js' */
/** @import {Said} from './said.js' */
/** @import {FrameAnswer} from '../server.js' */
/** @import {Footage} from './footage.js' */

import { isReady } from '../models.js';
import { Failure } from '../server.js';
import * as store from '../store.js';
import { footage, goTo } from './player.js';
import { placeOf, saidOf } from './said.js';
import { Session } from './session.js';
import * as tracks from './tracks.js';

/** Frames that are read before it is their turn. */
const AHEAD = 2;
/** Frames by which it is reckoned how many there are in a second. */
const LATELY = 12;
/** Sessions that are lost one after the other before that is a fault. */
const MOST_LOST = 2;
/** Milliseconds until a server that is busy is asked again, where it does not say. */
const LATER = 1000;
const REOPENED = 'The server had closed this video. It was told your clicks again; what it had tracked is shown still, but it goes on '
  + 'from the clicks alone.';

/**
 * Frames that are to be tracked onto.
 * @typedef {object} Way
 * @property {1|-1} step
 * @property {number} next
 * @property {number} done
 * @property {number} of
 * @property {boolean} isWatched whether the frames are shown as they come
 * @property {number[]} times when frames were done, of late
 */

/** @typedef {(signal: AbortSignal) => Promise<void>} Deed */

/** @type {Session|null} */
let session = null;
/** @type {Footage|null} that the session is of */
let source = null;
/** @type {Way|null} */
let way = null;
let controller = new AbortController();
let isWorking = false;
/** Whether something went wrong that only somebody can mend. */
let isStuck = false;
let lost = 0;
/** Whether the server had to be told all again since somebody had objects followed. */
let isReopened = false;
let timer = 0;

export function beginFollowing() {
  store.watch((state, before) => {
    if (state.clip === null && before.clip === null) {
      return;
    }
    const isOpened = (state.clip === null) !== (before.clip === null);
    if (isOpened || isToldOtherwise(state, before)) {
      isStuck = false;
      stop();
    }
    const { model } = state.settings;
    const isOther = isOpened || state.work !== before.work || state.models !== before.models || model !== before.settings.model
      || state.isOnline !== before.isOnline || state.wantsKey !== before.wantsKey;
    if (isOther) {
      void goOn();
    }
  });
  window.addEventListener('pagehide', leave);
}

/** @param {State} state @param {State} before @returns {boolean} whether something else is said of objects, or to somebody else */
function isToldOtherwise(state, before) {
  if (state.settings.model !== before.settings.model || state.picture !== before.picture) {
    return true;
  }
  const told = (/** @type {State} */ one) => saidOf(one).map((said) => placeOf(said) + said.text).sort().join('\n');
  return state.work.items !== before.work.items && told(state) !== told(before);
}

/** Gives the server's memory back. */
function leave() {
  session?.close();
  session = null;
}

/** @returns {Model|null} the model, where it can follow */
function follower() {
  const model = store.model();
  return model && isReady(model) && model.takes.video ? model : null;
}

/**
 * Follows all objects from the frame that is shown on.
 * @param {'forward'|'backward'} direction
 * @param {number} most frames
 */
export function track(direction, most) {
  const state = store.now();
  const { clip, work, settings } = state;
  if (!clip || !settings.model || saidOf(state).length === 0) {
    return;
  }
  const step = direction === 'forward' ? 1 : -1;
  const { frame } = clip;
  // A frame on which all were found already is where it begins from.
  const isKnown = work.items.every(({ id }) => tracks.at(settings.model ?? '', frame, id) !== null)
    || saidOf(state).filter((said) => said.frame === frame).length === work.items.length;
  const next = isKnown ? frame + step : frame;
  const of = Math.min(most, step > 0 ? clip.count - next : next + 1);
  if (of > 0) {
    [isStuck, isReopened] = [false, false];
    way = { step, next, done: 0, of, isWatched: true, times: [performance.now()] };
    store.setClip({ run: runOf(way), note: '' });
    store.set({ said: `tracking ${direction}, ${many(of)}` });
    void goOn();
  }
}

/**
 * @param {Way} way
 * @returns {Run}
 */
function runOf({ step, done, of, times }) {
  const [first = 0, last = 0] = [times[0], times.at(-1)];
  return { direction: step > 0 ? 'forward' : 'backward', done, of, rate: last > first ? (1000 * (times.length - 1)) / (last - first) : 0 };
}

/** Stops tracking where it is. */
export function stop() {
  if (way) {
    const { done, times } = way;
    const { rate } = runOf(way);
    way = null;
    controller.abort();
    controller = new AbortController();
    const speed = times.length > 1 ? `, ${rate.toFixed(1)} a second` : '';
    const note = `${many(done)} tracked${speed}.`;
    store.setClip({ run: null, note: isReopened ? `${note} ${REOPENED}` : note });
    store.set({ said: `${many(done)} tracked` });
  }
}

/** @param {number} frames */
function many(frames) {
  return frames === 1 ? '1 frame' : `${frames} frames`;
}

/** Frames are not shown as they come any more: somebody looks at others. */
export function lookAway() {
  if (way) {
    way.isWatched = false;
  }
}

/** Does again what failed. */
export function followAgain() {
  isStuck = false;
  void goOn();
}

/** Does one thing after the other, until the server knows all. */
async function goOn() {
  if (isWorking) {
    return;
  }
  isWorking = true;
  clearTimeout(timer);
  const { signal } = controller;
  let own = footage();
  try {
    for (let deed = nextDeed(); deed; deed = nextDeed()) {
      own = footage();
      tellAsking(way === null);
      await deed(controller.signal);
      lost = 0;
    }
  } catch (error) {
    const isCalledOff = own !== footage() || (error instanceof DOMException && error.name === 'AbortError');
    if (!isCalledOff) {
      failed(error);
    }
  } finally {
    isWorking = false;
    tellAsking(false);
  }
  // What was called off was so in favour of something else.
  if (signal.aborted || own !== footage()) {
    void goOn();
  }
}

/** @param {boolean} isAsking */
function tellAsking(isAsking) {
  if (store.now().clip && store.now().clip?.isAsking !== isAsking) {
    store.setClip({ isAsking });
  }
}

/** @returns {Deed|null} what is to be done next */
function nextDeed() {
  const state = store.now();
  const own = footage();
  const model = follower();
  if (session && (source !== own || (model && session.model !== model.name))) {
    leave();
  }
  if (!own || !model || !state.isOnline || state.wantsKey || isStuck) {
    return null;
  }
  const wanted = saidOf(state);
  if (!session) {
    return wanted.length === 0 ? null : (signal) => open(own, model, signal);
  }
  return told(session, own, wanted) ?? (way ? stepOf(session, own, way) : null);
}

/**
 * @param {Footage} own
 * @param {Model} model
 * @param {AbortSignal} signal
 */
async function open(own, { name }, signal) {
  const opened = await Session.open(name, own.source.count, signal);
  if (footage() === own) {
    [session, source] = [opened, own];
  } else {
    opened.close();
  }
}

/**
 * @param {Session} session
 * @param {Footage} own
 * @param {Said[]} wanted
 * @returns {Deed|null} what the server is to be told of prompts
 */
function told(session, own, wanted) {
  const { model } = session;
  const objects = new Set(wanted.map(({ object }) => object));
  const gone = [...session.objects()].find((object) => !objects.has(object));
  if (gone !== undefined) {
    return async (signal) => {
      await session.remove(gone, signal);
      // One that was deleted comes back with its masks, where that is undone.
      if (store.now().work.items.some(({ id }) => id === gone)) {
        tracks.drop(model, gone);
      }
      seen();
    };
  }
  const places = new Set(wanted.map(placeOf));
  const old = [...session.said.values()].find((said) => !places.has(placeOf(said)));
  if (old) {
    return async (signal) => {
      await session.look(old.frame, await own.frame(old.frame), signal);
      await session.takeBack(old, signal);
      tracks.takeBack(model, old);
      seen();
    };
  }
  const fresh = wanted.find((said) => session.said.get(placeOf(said))?.text !== said.text);
  return fresh ? (signal) => say(session, own, { said: fresh, signal }) : null;
}

/**
 * @param {Session} session
 * @param {Footage} own
 * @param {{said: Said, signal: AbortSignal}} what
 */
async function say(session, own, { said, signal }) {
  const began = performance.now();
  await session.look(said.frame, await own.frame(said.frame), signal);
  const answer = await session.say(said, signal);
  if (footage() !== own) {
    return;
  }
  check(answer, own);
  tracks.put(session.model, answer, 'said');
  const [found] = answer.objects;
  seen(answer, { began, words: found ? `mask, ${found.area} pixels` : 'nothing found' });
}

/**
 * @param {Session} session
 * @param {Footage} own
 * @param {Way} going
 * @returns {Deed}
 */
function stepOf(session, own, going) {
  return async (signal) => {
    const began = performance.now();
    const { next: index, step } = going;
    const frame = await own.frame(index);
    const left = going.of - going.done - 1;
    for (let ahead = 1; ahead <= Math.min(AHEAD, left); ahead += 1) {
      // The next ones are read and packed while the server is at this one.
      void own.frame(index + ahead * step).then((one) => one.blob()).catch(() => undefined);
    }
    const answer = await session.track({ index, way: step > 0 ? 'forward' : 'backward' }, frame, signal);
    if (way !== going) {
      return;
    }
    check(answer, own);
    tracks.put(session.model, answer, 'tracked');
    going.done += 1;
    going.next += step;
    going.times = [...going.times, performance.now()].slice(-LATELY);
    store.setClip({ run: runOf(going) });
    if (going.isWatched) {
      await goTo(index);
    }
    seen(answer, { began });
    if (left === 0 && way === going) {
      stop();
    }
  };
}

/**
 * Masks are of the pixels that are seen.
 * @param {FrameAnswer} answer
 * @param {Footage} own
 */
function check({ frame, size: [width, height] }, { source }) {
  if (width !== source.width || height !== source.height) {
    throw new Error(`the server reads frame ${frame} as ${width} × ${height} pixels, the browser as ${source.width} × ${source.height}`);
  }
}

/**
 * There is something new to be seen.
 * @param {FrameAnswer} [answer]
 * @param {{began: number, words?: string}} [of]
 */
function seen(answer, of) {
  const { clip, problem } = store.now();
  if (!clip) {
    return;
  }
  const model = store.model();
  const last = answer && model ? {
    last: {
      key: '', model: model.name, provider: model.provider ?? '', isDegraded: model.degraded, objects: [], timings: answer.timings_ms,
      rowsTogether: 0, took: performance.now() - (of?.began ?? 0), problem: null,
    },
  } : {};
  const isOver = problem !== null && ['busy', 'not_ready', 'unreachable', 'not_found'].includes(problem.reason);
  store.set({
    clip: { ...clip, answers: clip.answers + 1 }, ...last, ...(of?.words ? { said: of.words } : {}), ...(isOver ? { problem: null } : {}),
  });
}

/** @param {unknown} error */
function failed(error) {
  const problem = error instanceof Failure ? error.problem : problemOf(error);
  if (problem.reason === 'not_found' && session && lost < MOST_LOST) {
    lost += 1;
    [session, isReopened] = [null, true];
    store.setClip({ note: REOPENED });
    store.set({ said: REOPENED });
    // Not within this turn, which has failed.
    timer = window.setTimeout(goOn, 0);
    return;
  }
  if (['busy', 'not_ready', 'unreachable'].includes(problem.reason)) {
    timer = window.setTimeout(goOn, 1000 * (problem.retryAfter ?? 0) || LATER);
  } else if (problem.reason !== 'unauthorized') {
    isStuck = true;
    stop();
  }
  store.set({
    problem, isOnline: problem.reason === 'unreachable' ? false : store.now().isOnline,
    wantsKey: problem.reason === 'unauthorized' || store.now().wantsKey,
  });
}

/**
 * @param {unknown} error
 * @returns {Problem}
 */
function problemOf(error) {
  const detail = error instanceof Error ? error.message : String(error);
  return { reason: 'failed', status: 0, title: 'The video cannot be followed', detail };
}
