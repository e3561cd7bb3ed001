/**
 * From what is prompted for to what is asked. An answer that comes too late is of a question that nobody has any more: it was called off.
 */

/** @import {Answer, Box, Item, Model, Phrase, State} from './types.js' */
/** @import {Prompted} from './answers.js' */

import * as answers from './answers.js';
import { Failure, find } from './server.js';
import * as store from './store.js';

/** Below these scores nothing is asked for: sliders choose among what was answered. */
export const LEAST = { objects: 0.05, words: 0.02 };
/** Boxes that overlap more are the same: the slider chooses below. */
export const MOST_OVERLAP = 0.95;
const MOST_FOUND = 300;

/** A question; `parts` are the keys of its answers, one for each prompt. */
/** @typedef {{key: string, way: 'segment'|'detect', body: Record<string, any>, parts: string[]}} Question */

/** @type {Map<string, AbortController>} questions under way, by their keys */
const open = new Map();
/** @type {Map<string, number>} when a question may be asked again, by `performance.now()` */
const later = new Map();
/** Sends a picture again that the server has forgotten. @type {() => Promise<void>} */
let sendAgain = async () => {};
/** @type {(answer: Answer) => Promise<unknown>} */
let onAnswer = async () => {};

/**
 * Begins to ask for whatever is prompted.
 * @param {{sendAgain: () => Promise<void>, onAnswer: (answer: Answer) => Promise<unknown>}} given `onAnswer` draws an answer: it is told of in
 *   words and numbers when it is seen
 */
export function begin(given) {
  ({ sendAgain, onAnswer } = given);
  store.watch((state, before) => {
    const { model, compare, cutter, score, overlap } = state.settings;
    const old = before.settings;
    const isCutOtherwise = cutter !== null && (score !== old.score || overlap !== old.overlap || state.last !== before.last
      || state.lastCompare !== before.lastCompare);
    const hasChanged = state.work !== before.work || state.picture !== before.picture || state.encoding.stage !== before.encoding.stage
      || state.models !== before.models || state.isOnline !== before.isOnline
      || model !== old.model || compare !== old.compare || cutter !== old.cutter || isCutOtherwise;
    if (hasChanged) {
      sync(state);
    }
  });
}

/** @param {State} state */
function sync(state) {
  const wanted = new Set();
  for (const question of questions(state)) {
    wanted.add(question.key);
    if (!open.has(question.key) && (later.get(question.key) ?? 0) <= performance.now()) {
      put(question);
    }
  }
  for (const [key, controller] of open) {
    if (!wanted.has(key)) {
      controller.abort();
      open.delete(key);
    }
  }
  tellAsking();
}

/**
 * What is wanted and not answered.
 * @param {State} state
 * @returns {Question[]}
 */
function questions(state) {
  const { model, compare, cutter } = state.settings;
  if (!state.picture?.ref || !state.isOnline) {
    return [];
  }
  const names = [...new Set([model, compare])].filter((name) => name !== null);
  const all = names.flatMap((name) => {
    const one = usable(state, name);
    return one ? [...prompted(state, one.name, one.takes.prompts ? state.work.items : []), ...searching(state, one)] : [];
  });
  const one = cutter === null ? null : usable(state, cutter);
  const found = one ? names.flatMap((name) => answers.seen(state, name)) : [];
  const boxes = found.filter((shown) => shown.item === null && !shown.mask && shown.found.box);
  return one ? [...all, ...prompted(state, one.name, boxes.map((shown) => ({ clicks: [], box: /** @type {Box} */ (shown.found.box) })))] : all;
}

/**
 * @param {State} state
 * @param {string} name
 * @returns {Model|null}
 */
function usable(state, name) {
  const model = state.models.find((one) => one.name === name);
  return model && (model.state === 'ready' || model.state === 'degraded') ? model : null;
}

/** @param {Prompted} prompted */
function isAsked({ clicks, box }) {
  return box !== null || clicks.some((click) => click.isPositive);
}

/**
 * What may mean several things: three masks are asked for.
 * @param {Prompted} prompted
 */
export function hasCandidates({ clicks, box }) {
  return box === null && clicks.length === 1;
}

/**
 * Objects that are asked about in the same way are asked about in one request.
 * @param {State} state
 * @param {string} model
 * @param {readonly (Item|Prompted)[]} objects
 * @returns {Question[]}
 */
function prompted(state, model, objects) {
  return [true, false].flatMap((isSingle) => {
    const alike = objects.filter((one) => isAsked(one) && hasCandidates(one) === isSingle);
    const open = alike.filter((one) => !answers.has(answers.keyOf(state, model, one)));
    if (open.length === 0) {
      return [];
    }
    const parts = open.map((one) => answers.keyOf(state, model, one));
    const body = { model, image: { ref: state.picture?.ref }, prompts: open.map(answers.prompt), multimask: isSingle ? 'on' : 'auto' };
    return [{ key: parts.join('\n'), way: /** @type {const} */ ('segment'), body, parts }];
  });
}

/**
 * @param {State} state
 * @param {Model} model
 * @returns {Question[]} none where it is answered, or the model cannot
 */
function searching(state, model) {
  const key = answers.keyOfSearch(state, model.name);
  if (key === null || answers.has(key)) {
    return [];
  }
  const base = { model: model.name, image: { ref: state.picture?.ref } };
  const many = { ...base, iou: MOST_OVERLAP, max_detections: MOST_FOUND };
  const { search, phrases } = state.work;
  const { takes } = model;
  if (search === 'everything' && takes.everything) {
    return [{ key, parts: [], way: 'segment', body: { ...base, everything: true } }];
  }
  if (search === 'objects' && takes.objects) {
    return [{ key, parts: [], way: 'detect', body: { ...many, conf: LEAST.objects } }];
  }
  if (search === 'words' && (takes.words || takes.exemplars)) {
    return [{ key, parts: [], way: 'detect', body: { ...many, conf: LEAST.words, ...sought(phrases) } }];
  }
  return [];
}

/**
 * @param {readonly Phrase[]} phrases
 * @returns {Record<string, any>} as `/v1/detect` has them
 */
export function sought(phrases) {
  const texts = phrases.filter((phrase) => phrase.text !== '');
  const shown = phrases.filter((phrase) => phrase.text === '');
  const boxes = { like_boxes: shown.flatMap((phrase) => phrase.like), unlike_boxes: shown.flatMap((phrase) => phrase.unlike) };
  const named = texts.map(({ text, like, unlike }) => ({ text, like_boxes: like, unlike_boxes: unlike }));
  return { ...(named.length > 0 ? { texts: named } : {}), ...(shown.length > 0 ? boxes : {}) };
}

/** @param {Question} question */
async function put(question) {
  const controller = new AbortController();
  open.set(question.key, controller);
  try {
    const answer = await asked(question, controller.signal);
    if (!controller.signal.aborted) {
      await answered(question, answer);
    }
  } catch (error) {
    if (!controller.signal.aborted) {
      failed(question, error);
    }
  } finally {
    if (open.get(question.key) === controller) {
      open.delete(question.key);
    }
    tellAsking();
  }
}

/**
 * Asks; where the server has forgotten the picture, sends it again.
 * @param {Question} question
 * @param {AbortSignal} signal
 */
async function asked({ way, body }, signal) {
  try {
    return await find(way, body, signal);
  } catch (error) {
    const isForgotten = error instanceof Failure && error.problem.reason === 'not_found' && error.problem.detail.includes('picture');
    if (!isForgotten) {
      throw error;
    }
    await sendAgain();
    return find(way, body, signal);
  }
}

/**
 * @param {Question} question
 * @param {Answer} answer
 */
async function answered(question, answer) {
  later.delete(question.key);
  const of = (/** @type {number} */ index) => answer.objects.filter((found) => (found.prompt ?? 0) === index);
  const parts = question.parts.map((key, index) => ({ ...answer, key, objects: of(index) }));
  const all = parts.length > 0 ? parts : [{ ...answer, key: question.key }];
  all.forEach(answers.put);
  // The mask first: lists and numbers would keep its frame waiting.
  await Promise.all(all.map(onAnswer));
  const { model, compare } = store.now().settings;
  const isBeside = question.body.model === compare && compare !== model;
  const last = isBeside ? { lastCompare: answer } : { last: answer };
  // What was searched for was no click.
  const clicked = parts.length > 0 ? {} : { clickToPixels: null };
  store.set({ ...last, ...clicked, problem: answer.problem, said: said(answer) });
}

/** @param {Answer} answer */
function said({ objects, problem }) {
  const [first] = [...objects].sort((a, b) => (b.score ?? 0) - (a.score ?? 0));
  if (problem || !first) {
    return problem?.detail ?? 'nothing found';
  }
  const isOne = objects.every((found) => found.prompt === first.prompt) && first.prompt !== undefined;
  if (!isOne) {
    return `${objects.length} found`;
  }
  const score = first.score === undefined ? '' : `, score ${first.score.toFixed(2)}`;
  return `${first.label ?? 'mask'}${score}, ${first.area ?? 0} pixels`;
}

/**
 * @param {Question} question
 * @param {unknown} error
 */
function failed(question, error) {
  if (!(error instanceof Failure)) {
    throw error;
  }
  const { problem } = error;
  if (['busy', 'not_ready', 'unreachable'].includes(problem.reason)) {
    const wait = 1000 * (problem.retryAfter ?? 1);
    later.set(question.key, performance.now() + wait);
    setTimeout(() => sync(store.now()), wait + 10);
  } else {
    // Not asked again until somebody wishes it.
    later.set(question.key, Infinity);
  }
  store.set({ problem, isOnline: problem.reason !== 'unreachable', wantsKey: problem.reason === 'unauthorized' || store.now().wantsKey });
}

/** Asks again for what failed. */
export function askAgain() {
  later.clear();
  store.set({ problem: null });
  sync(store.now());
}

/**
 * @param {State} state
 * @param {string|null} model
 * @returns {boolean} whether what is looked for beside the prompts is being asked
 */
export function isSearching(state, model) {
  const key = model === null ? null : answers.keyOfSearch(state, model);
  return key !== null && state.asking.has(key);
}

function tellAsking() {
  const asking = new Set(open.keys());
  const before = store.now().asking;
  if (asking.size !== before.size || [...asking].some((key) => !before.has(key))) {
    store.set({ asking });
  }
}
