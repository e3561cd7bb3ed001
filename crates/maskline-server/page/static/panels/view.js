/** How it is shown: nothing of this asks the server anything. */

/** @import {Settings, State} from '../types.js' */

import * as store from '../store.js';
import { follow, get, mark, write } from '../dom.js';

/** Least scores where a model does not tell its own. */
const LEAST = { none: 0, everything: 0, objects: 0.25, words: 0.5 };
/** OWL-ViT and OWLv2 are less sure of words than others. */
const LEAST_OF_OWL = 0.1;
const OVERLAP = 0.7;

/** Scores that somebody chose, by what they were chosen for. @type {Map<string, number>} */
const chosen = new Map();

export function beginView() {
  const number = (/** @type {number} */ value) => value.toFixed(2);
  const percent = (/** @type {number} */ value) => `${Math.round(value * 100)} %`;
  slider('score', number);
  slider('overlap', number);
  slider('opacity', percent);
  get('score', HTMLInputElement).addEventListener('input', ({ target }) => {
    chosen.set(what(store.now()), Number(/** @type {HTMLInputElement} */ (target).value));
  });
  follow(({ settings, work, models }) => [settings.model, work.search, models, isByExample(work)], (state) => {
    const { model, search } = { model: store.model(), search: state.work.search };
    if (model && search !== 'none') {
      const score = chosen.get(what(state)) ?? leastScore(state);
      store.choose({ score, overlap: chosen.get(`${what(state)} overlap`) ?? model.defaults.iou ?? OVERLAP });
    }
  });
  get('overlap', HTMLInputElement).addEventListener('input', ({ target }) => {
    chosen.set(`${what(store.now())} overlap`, Number(/** @type {HTMLInputElement} */ (target).value));
  });
  box('outlines', (isChecked) => ({ isContour: isChecked }), (settings) => settings.isContour);
  box('safe', (isChecked) => ({ palette: isChecked ? 'safe' : 'usual' }), (settings) => settings.palette === 'safe');
}

/** @param {State} state */
function what({ settings, work }) {
  return `${settings.model} ${work.search} ${isByExample(work)}`;
}

/** @param {State['work']} work */
function isByExample({ search, phrases }) {
  return search === 'words' && phrases.some((phrase) => phrase.like.length > 0);
}

/** @param {State} state */
function leastScore({ work }) {
  const model = store.model();
  const { search } = work;
  if (search === 'everything' || search === 'none') {
    return 0;
  }
  if (typeof model?.defaults.conf === 'number') {
    return model.defaults.conf;
  }
  const isOwl = model?.architectures.some((name) => name.startsWith('owl'));
  return search === 'words' && isOwl ? LEAST_OF_OWL : LEAST[search];
}

/**
 * @param {'score'|'overlap'|'opacity'} name
 * @param {(value: number) => string} told
 */
function slider(name, told) {
  const [input, value] = [get(name, HTMLInputElement), get(`${name}-value`, HTMLElement)];
  input.addEventListener('input', () => store.choose({ [name]: Number(input.value) }));
  follow(({ settings }) => [settings[name]], ({ settings }) => {
    input.value = String(settings[name]);
    input.style.setProperty('--part', `${settings[name] * 100}%`);
    write(value, told(settings[name]));
    mark(input, 'aria-valuetext', told(settings[name]));
  });
}

/**
 * @param {string} id
 * @param {(isChecked: boolean) => Partial<Settings>} change
 * @param {(settings: Settings) => boolean} read
 */
function box(id, change, read) {
  const input = get(id, HTMLInputElement);
  input.addEventListener('change', () => store.choose(change(input.checked)));
  follow(({ settings }) => [read(settings)], ({ settings }) => {
    input.checked = read(settings);
  });
}
