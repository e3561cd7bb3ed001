/** The models of the server: who there is, who answers, and whether the server is there at all. */

/** @import {Model, State} from './types.js' */

import { askAgain } from './asking.js';
import * as server from './server.js';
import * as store from './store.js';
import { Failure } from './server.js';
import { follow } from './dom.js';

/** Milliseconds between two looks while something changes, and while nothing does. */
const SOON = 1000;
const LATER = 5000;
const COMING = new Set(['downloading', 'building', 'loading', 'warming']);

/** Models that were asked to be loaded, from the moment of asking on. @type {Set<string>} */
const called = new Set();
/** Whether somebody chose the model in this tab: then it stays, also where it fails. */
let isChosen = false;
/** A model that is to answer as soon as the server has it. @type {string|null} */
let wished = null;
let timer = 0;
let isLooking = false;

export function beginModels() {
  look();
  document.addEventListener('visibilitychange', () => document.hidden || look());
  window.addEventListener('online', look);
  follow((state) => [state.wantsKey], (state) => state.wantsKey || look());
  // A model that was unloaded because nobody asked comes back with the next thing that is asked.
  follow((state) => [state.work.items, state.work.search, state.work.phrases], (state) => {
    const model = store.model();
    if (model?.state === 'unloaded' && state.picture && (state.work.items.length > 0 || state.work.search !== 'none')) {
      load(model.name);
    }
  });
}

/** Asks the server what it has, now, and from then on. */
async function look() {
  clearTimeout(timer);
  if (isLooking) {
    return;
  }
  isLooking = true;
  try {
    take(await server.models());
  } catch (error) {
    missed(error);
  } finally {
    isLooking = false;
  }
  const { models, isOnline, wantsKey } = store.now();
  const isWaiting = !isOnline || called.size > 0 || models.length === 0 || models.some((model) => isComing(model));
  if (!wantsKey && !document.hidden) {
    timer = window.setTimeout(look, isWaiting ? SOON : LATER);
  }
}

/** @param {{models: Model[], available: string[]}} told */
function take({ models, available }) {
  const { problem, isOnline } = store.now();
  const change = isSame(models, available) ? {} : { models, available };
  const isOver = problem?.reason === 'unreachable';
  if (Object.keys(change).length > 0 || !isOnline || isOver) {
    store.set({ ...change, isOnline: true, ...(isOver ? { problem: null } : {}) });
  }
  if (!isOnline) {
    store.set({ said: 'The server is back' });
    askAgain();
  }
  choose();
}

/**
 * @param {Model[]} models
 * @param {string[]} available
 * @returns {boolean} whether the page knows all of this; what only counts requests is left aside
 */
function isSame(models, available) {
  const state = store.now();
  const told = (/** @type {readonly Model[]} */ all) => JSON.stringify(all.map((one) => [
    one.name, one.state, one.reason, one.provider, one.degraded, one.takes, one.defaults, one.limits,
  ]));
  return told(models) === told(state.models) && JSON.stringify(available) === JSON.stringify(state.available);
}

/** @param {unknown} error */
function missed(error) {
  if (!(error instanceof Failure)) {
    throw error;
  }
  const { problem } = error;
  if (problem.reason === 'unauthorized') {
    store.set({ wantsKey: true, isOnline: true });
  } else if (problem.reason === 'unreachable') {
    const { isOnline, problem: before } = store.now();
    if (isOnline || before?.reason !== 'unreachable') {
      store.set({ isOnline: false, problem });
    }
  } else {
    store.set({ problem });
  }
}

/** Has somebody who can answer, where the one that was chosen cannot. */
function choose() {
  const { models, settings } = store.now();
  const chosen = models.find((model) => model.name === (wished ?? settings.model)) ?? models.find((model) => model.name === settings.model);
  const model = chosen && whyNot(chosen) === null && (isChosen || chosen.state !== 'failed') ? chosen.name : first(models);
  wished = wished === model ? null : wished;
  const others = models.filter((one) => whyNot(one) === null && one.name !== model).map((one) => one.name);
  const compare = settings.compare !== null && others.includes(settings.compare) ? settings.compare : null;
  const cutter = models.some((one) => one.name === settings.cutter && one.takes.prompts) ? settings.cutter : null;
  if (model !== settings.model || compare !== settings.compare || cutter !== settings.cutter) {
    store.choose({ model, compare, cutter });
  }
}

/**
 * @param {readonly Model[]} models
 * @returns {string|null} the first that takes clicks, else that finds anything, else that is on its way
 */
function first(models) {
  const usable = models.filter((model) => whyNot(model) === null && model.state !== 'failed');
  const ready = usable.find((model) => model.takes.prompts) ?? usable.find(finds);
  const best = ready ?? usable.find(isComing) ?? usable[0] ?? models.find((model) => whyNot(model) === null);
  return best?.name ?? null;
}

/** @param {Model} model */
function finds({ takes }) {
  return takes.prompts || takes.objects || takes.words || takes.exemplars;
}

/** @param {Model} model */
export function isComing(model) {
  return COMING.has(model.state);
}

/** @param {Model} model */
export function isReady(model) {
  return model.state === 'ready' || model.state === 'degraded';
}

/**
 * @param {Model} model
 * @returns {string|null} why the page cannot use a model
 */
export function whyNot(model) {
  // What a model takes is known once it is loaded.
  if (!isReady(model) || finds(model)) {
    return null;
  }
  return model.takes.classes ? 'names classes, no objects' : 'takes tensors, no pictures';
}

/**
 * @param {Model} model
 * @returns {string} its state, in words
 */
export function stateOf(model) {
  if (called.has(model.name) && !isComing(model) && !isReady(model)) {
    return 'loading';
  }
  const isTold = model.reason && (isComing(model) || model.state === 'unloaded') && model.reason !== model.name;
  return isTold ? `${model.state} (${model.reason})` : model.state;
}

/**
 * Has the server load a model; what goes wrong is told as a problem.
 * @param {string} name
 */
export async function load(name) {
  if (called.has(name)) {
    return;
  }
  called.add(name);
  look();
  await control(name, 'load');
}

/** @param {string} name */
export async function unload(name) {
  await control(name, 'unload');
}

/**
 * @param {string} name
 * @param {'load'|'unload'} what
 */
async function control(name, what) {
  try {
    await server.control(name, what);
    store.set({ said: `${name} is ${what}ed` });
  } catch (error) {
    if (!(error instanceof Failure)) {
      throw error;
    }
    store.set({ problem: error.problem });
  } finally {
    called.delete(name);
    look();
  }
}

/**
 * Makes a model the one that answers, and has it loaded where it is not.
 * @param {string} name
 */
export async function use(name) {
  isChosen = true;
  const model = store.now().models.find((one) => one.name === name);
  if (!model || model.state === 'unloaded' || model.state === 'failed') {
    load(name);
  }
  const { compare } = store.now().settings;
  wished = model ? null : name;
  if (model) {
    store.choose({ model: name, compare: compare === name ? null : compare });
  }
}

/** @returns {State['models']} those that take words */
export function wordy() {
  return store.now().models.filter((model) => model.takes.words || model.takes.exemplars);
}
