/** The state of the page, in one place: it is replaced, never changed, and whoever shows it is told. */

/** @import {Clip, Edit, Item, Phrase, Prompts, Settings, State, Work} from './types.js' */

/** Steps that can be undone. */
const MOST_STEPS = 200;
const SETTINGS_KEY = 'maskline.settings';

/** @type {Work} */
const NO_WORK = { items: [], current: null, search: 'none', phrases: [], edits: {} };

/** @type {Prompts} */
const NO_PROMPTS = { clicks: [], box: null };

/** @type {Settings} */
const USUAL = {
  model: null, compare: null, cutter: null, tool: 'point', isNegative: false, hasPreview: false,
  score: 0, overlap: 0.7, opacity: 0.5, isContour: false, palette: 'usual', theme: 'auto',
};

/** @type {State} */
let state = {
  models: [], available: [], isOnline: true, wantsKey: false, picture: null, clip: null,
  encoding: { stage: 'none', progress: 0, since: 0, isCached: false, timings: null, problem: null },
  work: NO_WORK, canUndo: false, canRedo: false, settings: { ...USUAL, ...remembered() },
  asking: new Set(), last: null, lastCompare: null, highlighted: null, clickToPixels: null, problem: null, said: '',
};

/** @type {Work[]} */
let past = [];
/** @type {Work[]} */
let future = [];
/** What the last step was part of: steps of one gesture (a drag, a slider, typing) are undone together. */
let gesture = '';
/** @type {Set<(state: State, before: State) => void>} */
const listeners = new Set();

/** @returns {State} */
export function now() {
  return state;
}

/**
 * Is told of every change, and once at the start.
 * @param {(state: State, before: State) => void} listener
 */
export function watch(listener) {
  listeners.add(listener);
  listener(state, state);
}

/**
 * Changes what cannot be undone.
 * @param {Partial<State>} change
 */
export function set(change) {
  const before = state;
  state = { ...state, ...change };
  for (const listener of listeners) {
    listener(state, before);
  }
}

/** @param {Partial<Settings>} change */
export function choose(change) {
  const settings = { ...state.settings, ...change };
  const { opacity, isContour, palette, theme, hasPreview, model } = settings;
  remember({ opacity, isContour, palette, theme, hasPreview, model });
  set({ settings });
}

/**
 * Does a step that can be undone.
 * @param {Partial<Work>} change
 * @param {string} [part] steps with the same name, one after the other, are one step
 */
export function step(change, part = '') {
  if (part === '' || part !== gesture) {
    past = [...past.slice(1 - MOST_STEPS), state.work];
  }
  gesture = part;
  future = [];
  set({ work: { ...state.work, ...change }, canUndo: true, canRedo: false });
}

/** Ends a gesture: the next step is one of its own, whatever it is called. */
export function endGesture() {
  gesture = '';
}

export function undo() {
  move(past, future, 'undone');
}

export function redo() {
  move(future, past, 'redone');
}

/**
 * @param {Work[]} from
 * @param {Work[]} to
 * @param {string} said
 */
function move(from, to, said) {
  const work = from.pop();
  if (work) {
    to.push(state.work);
    gesture = '';
    set({ work, canUndo: past.length > 0, canRedo: future.length > 0, said });
  }
}

/** Another picture: nothing of the old one can be undone. */
export function beginWork() {
  [past, future, gesture] = [[], [], ''];
  set({ work: NO_WORK, canUndo: false, canRedo: false, clickToPixels: null });
}

/** @param {Partial<Clip>} change */
export function setClip(change) {
  if (state.clip) {
    set({ clip: { ...state.clip, ...change } });
  }
}

/**
 * Another frame of the clip is shown: prompts go there from now on. What was done on the frame before can be undone no more.
 * @param {number} frame
 */
export function showFrame(frame) {
  const { clip, work } = state;
  if (!clip || clip.frame === frame) {
    return;
  }
  const left = Object.fromEntries(work.items.map(({ id, clicks, box }) => [id, { clicks, box }]));
  const prompts = { ...clip.prompts, [clip.frame]: left };
  const items = work.items.map((item) => ({ ...item, ...(prompts[frame]?.[item.id] ?? NO_PROMPTS), candidate: null }));
  [past, future, gesture] = [[], [], ''];
  set({ clip: { ...clip, frame, prompts }, work: { ...work, items }, canUndo: false, canRedo: false });
}

/**
 * @param {Item} item
 * @returns {boolean} whether an object was said to be anywhere: on the picture, or on any frame
 */
export function isPrompted({ id, clicks, box }) {
  const { clip } = state;
  const isSaid = (/** @type {Prompts} */ said) => said.clicks.length > 0 || said.box !== null;
  const elsewhere = clip ? Object.entries(clip.prompts).filter(([frame]) => Number(frame) !== clip.frame) : [];
  return isSaid({ clicks, box }) || elsewhere.some(([, objects]) => isSaid(objects[id] ?? NO_PROMPTS));
}

/**
 * Changes an object that is prompted for.
 * @param {string} id
 * @param {Partial<Item>} change
 * @param {string} [part] as of {@link step}
 */
export function changeItem(id, change, part = '') {
  step({ items: state.work.items.map((item) => (item.id === id ? { ...item, ...change } : item)) }, part);
}

/**
 * Adds an object and makes it the current one.
 * @param {Partial<Item>} [given]
 * @returns {Item}
 */
export function addItem(given = {}) {
  const { work: { items }, clip } = state;
  const number = 1 + items.reduce((most, item) => Math.max(most, Number(item.id.slice(1))), clip?.lastObject ?? 0);
  if (clip) {
    set({ clip: { ...clip, lastObject: number } });
  }
  /** @type {Item} */
  const item = {
    id: `o${number}`, name: '', colour: number - 1, isHidden: false, clicks: [], box: null, candidate: null, ...given,
  };
  step({ items: [...items, item], current: item.id });
  return item;
}

/** @param {string} id */
export function removeItem(id) {
  const items = state.work.items.filter((item) => item.id !== id);
  const current = state.work.current === id ? (items.at(-1)?.id ?? null) : state.work.current;
  step({ items, current });
}

/**
 * Changes an object that was found without a prompt.
 * @param {string} key
 * @param {Edit} change
 * @param {string} [part]
 */
export function edit(key, change, part = '') {
  step({ edits: { ...state.work.edits, [key]: { ...state.work.edits[key], ...change } } }, part);
}

/**
 * @param {readonly Phrase[]} phrases
 * @param {string} [part]
 */
export function look(phrases, part = '') {
  step({ phrases, search: phrases.length > 0 ? 'words' : 'none' }, part);
}

/** @returns {Item|null} the object that clicks go to */
export function current() {
  const { items, current: id } = state.work;
  return items.find((item) => item.id === id) ?? null;
}

/** @returns {import('./types.js').Model|null} the model that answers */
export function model() {
  return state.models.find((one) => one.name === state.settings.model) ?? null;
}

/** @returns {Partial<Settings>} */
function remembered() {
  try {
    return JSON.parse(localStorage.getItem(SETTINGS_KEY) ?? '{}');
  } catch {
    return {};
  }
}

/** @param {Partial<Settings>} settings */
function remember(settings) {
  try {
    localStorage.setItem(SETTINGS_KEY, JSON.stringify(settings));
  } catch {
    // Where nothing may be kept, nothing is.
  }
}
