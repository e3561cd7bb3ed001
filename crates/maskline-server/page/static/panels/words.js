/** What is looked for by words, and by examples on the picture. */

/** @import {Box, Phrase, State} from '../types.js' */

import * as models from '../models.js';
import * as store from '../store.js';
import { button, follow, get, h, icon, mark, show, write } from '../dom.js';

export function beginWords() {
  const [panel, form, input] = [get('words-panel', HTMLElement), get('words-form', HTMLFormElement), get('words-input', HTMLInputElement)];
  const [note, again, other] = [get('words-note', HTMLElement), button('words-again'), button('words-model')];
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    add(input.value);
    input.value = '';
  });
  again.addEventListener('click', () => store.look(store.now().work.phrases));
  other.addEventListener('click', () => other.dataset.name && models.use(other.dataset.name));
  const seen = (/** @type {State} */ { models, settings, clip }) => [models, settings.model, settings.tool, clip === null];
  follow((state) => [...seen(state), state.work.phrases, state.work.search], (state) => {
    const [model, wordy] = [store.model(), models.wordy().find(models.isReady)];
    const takes = model?.takes;
    const isWordy = Boolean(takes?.words || takes?.exemplars);
    const isMissed = !isWordy && wordy !== undefined && (state.settings.tool === 'words' || state.work.phrases.length > 0);
    mark(panel, 'hidden', state.clip !== null || (!isWordy && !isMissed));
    mark(form, 'hidden', !takes?.words);
    mark(other, 'hidden', !isMissed);
    mark(other, 'data-name', wordy?.name ?? '');
    write(other, `Use ${wordy?.name ?? ''}`);
    mark(again, 'hidden', !isWordy || state.work.phrases.length === 0 || state.work.search === 'words');
    write(note, noteOf(state));
    mark(note, 'hidden', note.textContent === '');
    show(get('phrases', HTMLElement), state.work.phrases, { key: (phrase) => phrase.id, make: chip });
  });
}

/** @param {State} state */
function noteOf({ settings, work }) {
  const model = store.model();
  if (!model?.takes.words && !model?.takes.exemplars) {
    return `${model?.name ?? 'This model'} takes no words.`;
  }
  if (settings.tool === 'words' && model.takes.exemplars) {
    const what = work.phrases.length > 0 ? 'Drag a box around an example; with Negative or Alt around what is not meant.' : '';
    return model.takes.words ? what : 'Drag a box around one of what you look for.';
  }
  return '';
}

/**
 * Looks for words; several are told apart by commas.
 * @param {string} text
 */
function add(text) {
  const { phrases } = store.now().work;
  const known = new Set(phrases.map((phrase) => phrase.text));
  const parts = new Set(text.split(',').map((part) => part.trim().replace(/\s+/g, ' ')));
  const texts = [...parts].filter((part) => part !== '' && !known.has(part));
  let next = phrases;
  for (const one of texts) {
    const [alone] = next.filter((phrase) => phrase.text === '');
    // Words after boxes say what the boxes show.
    next = alone ? next.map((phrase) => (phrase === alone ? { ...phrase, text: one } : phrase)) : [...next, phraseOf(next, one)];
  }
  if (next !== phrases || (phrases.length > 0 && store.now().work.search !== 'words')) {
    store.look(next);
  }
}

/**
 * @param {readonly Phrase[]} phrases
 * @param {string} text
 * @returns {Phrase}
 */
function phraseOf(phrases, text) {
  const number = 1 + phrases.reduce((most, phrase) => Math.max(most, Number(phrase.id.slice(1))), 0);
  return { id: `p${number}`, text, like: [], unlike: [] };
}

/**
 * Adds an example to what is looked for last, or a counter-example.
 * @param {Box} box
 * @param {boolean} isPositive
 */
export function addExample(box, isPositive) {
  const { phrases } = store.now().work;
  const last = phrases.at(-1) ?? phraseOf(phrases, '');
  if (!isPositive && last.text === '' && last.like.length === 0) {
    store.set({ said: 'First a box around what is meant' });
    write(get('words-note', HTMLElement), 'First a box around what is meant, or words; then what is not.');
    return;
  }
  const changed = isPositive ? { ...last, like: [...last.like, box] } : { ...last, unlike: [...last.unlike, box] };
  store.look([...phrases.filter((phrase) => phrase.id !== last.id), changed]);
}

/** Takes the tool for words, and lets somebody type. */
export function beginTyping() {
  if (models.wordy().length === 0 || store.now().clip) {
    return;
  }
  store.choose({ tool: 'words' });
  const input = get('words-input', HTMLInputElement);
  if (input.offsetParent) {
    input.focus();
  }
}

/**
 * @param {Phrase} first
 * @returns {import('../dom.js').Part<Phrase>}
 */
function chip(first) {
  let phrase = first;
  const name = h('span', { class: 'text' });
  const remove = h('button', { type: 'button', class: 'remove', click: () => drop(phrase) }, icon('close'));
  const boxes = h('span', { class: 'examples' });
  const element = h('li', { class: 'chip', 'data-phrase': first.id }, name, boxes, remove);
  /** @param {Phrase} next */
  const update = (next) => {
    phrase = next;
    const text = phrase.text || 'what the boxes show';
    write(name, text);
    mark(remove, 'aria-label', `Remove ${text}`);
    show(boxes, examples(phrase), { key: (one) => one.key, make: exampleOf });
  };
  return { element, update };
}

/** @typedef {{key: string, phrase: string, isLike: boolean, index: number}} Example */

/**
 * @param {Phrase} phrase
 * @returns {Example[]}
 */
function examples({ id, like, unlike }) {
  const of = (/** @type {readonly Box[]} */ boxes, /** @type {boolean} */ isLike) => boxes.map((box, index) => ({
    key: `${isLike}${box.join()} ${index}`, phrase: id, isLike, index,
  }));
  return [...of(like, true), ...of(unlike, false)];
}

/** @param {Example} first */
function exampleOf(first) {
  let example = first;
  const element = h('button', { type: 'button', class: 'example', 'data-like': String(first.isLike), click: () => dropExample(example) });
  /** @param {Example} next */
  const update = (next) => {
    example = next;
    const what = example.isLike ? 'example' : 'counter-example';
    write(element, `${example.isLike ? '+' : '−'}${example.index + 1}`);
    mark(element, 'aria-label', `Remove ${what} ${example.index + 1}`);
    mark(element, 'title', `Remove ${what} ${example.index + 1}`);
  };
  return { element, update };
}

/** @param {Phrase} phrase */
function drop({ id }) {
  store.look(store.now().work.phrases.filter((phrase) => phrase.id !== id));
}

/** @param {Example} example */
function dropExample({ phrase: id, isLike, index }) {
  /** @type {(boxes: Box[], isMeant: boolean) => Box[]} */
  const without = (boxes, isMeant) => (isMeant ? boxes.filter((_, place) => place !== index) : boxes);
  const { phrases } = store.now().work;
  const changed = phrases.map((phrase) => (
    phrase.id === id ? { ...phrase, like: without(phrase.like, isLike), unlike: without(phrase.unlike, !isLike) } : phrase
  ));
  // What shows only what is not looked for finds nothing.
  store.look(changed.filter((phrase) => phrase.text !== '' || phrase.like.length > 0));
}
