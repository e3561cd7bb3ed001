/** Where the time of the last answer went. */

/** @import {Answer, Model, State, Timings} from '../types.js' */

import * as models from '../models.js';
import * as store from '../store.js';
import { duration, follow, get, h, mark } from '../dom.js';

/** What the stages are, in their order. @type {Record<string, string>} */
const STAGES = {
  receive: 'reading the request, from its first byte on',
  detect: 'all that the detector of a pair took',
  decode: 'file to pixels; nothing where the server has the picture',
  preprocess: 'pixels to what the network reads',
  queue: 'waiting for networks that others used',
  text_encode: 'words to their embedding',
  image_encode: 'the image encoder; nothing where the picture is encoded',
  exemplar_encode: 'examples to what the network is told of them',
  open: 'opening a network that was not needed before',
  network: 'the network',
  memory: 'the memory of a video',
  concept_decode: 'what is looked for against what the picture shows',
  mask_decode: 'the mask decoder, for all prompts',
  match: 'what is looked for against what the picture shows',
  postprocess: 'what the network says to objects in pixels of the picture',
  encode: 'objects to the form in which they are sent',
  other: 'what no stage covers',
};
/** Where the encoding of the picture came from. @type {Record<string, string>} */
const SOURCES = {
  held: 'held: whoever asked had it already', hit: 'hit: it was in the cache', waited: 'waited: another request was encoding it',
  miss: 'miss: the picture was encoded now',
};
const ROWS = 'prompts, pictures or phrases that ran together, whoever asked';
/** Parts of all that are too small to be named. */
const SMALL = 0.015;

/** The last answer of each model. @type {Map<string, Answer>} */
const answers = new Map();

export function beginStrip() {
  const strip = get('strip', HTMLElement);
  follow(({ last, lastCompare }) => [last, lastCompare], ({ last, lastCompare }) => {
    for (const answer of [last, lastCompare].filter((one) => one !== null)) {
      answers.set(answer.model, answer);
    }
  });
  const asked = (/** @type {State} */ { settings }) => [settings.model, settings.compare, settings.cutter];
  follow((state) => [state.last, state.lastCompare, state.clickToPixels, state.models, ...asked(state)], (state) => {
    const isOpen = strip.querySelector('details')?.open ?? false;
    strip.replaceChildren(...rows(state));
    strip.querySelector('details')?.toggleAttribute('open', isOpen);
  });
}

/** @param {State} state */
function rows(state) {
  const { model, compare, cutter } = state.settings;
  const known = [...new Set([model, compare, cutter])].flatMap((name) => (name === null ? [] : (answers.get(name) ?? [])));
  const lines = known.map(line);
  const facts = h('div', { class: 'facts' }, ...pixels(state), ...cold(store.model()));
  if (lines.length === 0) {
    lines.push(h('p', { class: 'note' }, 'Times of the last answer stand here.'));
  }
  return [h('div', { class: 'lines' }, ...lines), facts];
}

/** @param {Answer} answer */
function line(answer) {
  const { timings } = answer;
  const total = Number(timings.total ?? 0);
  const stages = stagesOf(timings);
  const bar = h('div', { class: 'bar', 'aria-hidden': 'true' });
  const names = h('ul', { class: 'stages' });
  for (const { stage, time } of stages) {
    const part = h('span', { 'data-stage': stage, title: `${spoken(stage)}: ${duration(time)}` });
    part.style.flexGrow = String(time);
    bar.append(part);
    if (time >= total * SMALL) {
      const name = fact(spoken(stage), duration(time), STAGES[stage] ?? '');
      name.dataset.stage = stage;
      names.append(name);
    }
  }
  const rest = stages.filter(({ time }) => time < total * SMALL).reduce((sum, { time }) => sum + time, 0);
  if (rest > 0) {
    names.append(fact('rest', duration(rest), 'stages that are too short to be named'));
  }
  const embedding = String(timings.embedding ?? '');
  const notes = [
    fact('total', duration(total), 'from the first byte of the request to the last stage, at the server'),
    fact('round trip', duration(answer.took), 'as the page sees it: with the network and the browser'),
    ...(embedding ? [fact('embedding', embedding, SOURCES[embedding] ?? '')] : []),
    ...(answer.rowsTogether > 0 ? [fact('rows', String(answer.rowsTogether), ROWS)] : []),
  ];
  const who = h('span', { class: 'who', title: answer.isDegraded ? 'the CPU stands in for the provider that was wished for' : '' },
    h('b', {}, answer.model), ` ${answer.provider}${answer.isDegraded ? ', degraded' : ''}, warm`);
  return h('div', { class: 'line' }, who, h('div', { class: 'times' }, bar, names), h('ul', { class: 'totals' }, ...notes));
}

/**
 * @param {string} name
 * @param {string} value
 * @param {string} title
 */
function fact(name, value, title) {
  return h('li', { title }, `${name} `, h('b', {}, value));
}

/**
 * @param {Timings} timings
 * @returns {{stage: string, time: number}[]} those that took time, in their order
 */
function stagesOf(timings) {
  const order = Object.keys(STAGES);
  const known = Object.entries(timings).filter(([stage, time]) => stage !== 'total' && typeof time === 'number' && time > 0);
  const all = known.map(([stage, time]) => ({ stage, time: Number(time) }));
  return all.sort((a, b) => order.indexOf(a.stage) - order.indexOf(b.stage));
}

/** @param {string} stage */
function spoken(stage) {
  return stage.replaceAll('_', ' ');
}

/** @param {State} state */
function pixels({ clickToPixels }) {
  if (clickToPixels === null) {
    return [];
  }
  const time = h('b', {}, `${Math.round(clickToPixels)} ms`);
  return [h('span', { class: 'pixels', title: 'from the click until its mask is on the screen' }, 'click to pixels ', time)];
}

/**
 * What loading the model took, apart from what its answers take.
 * @param {Model|null} model
 */
function cold(model) {
  if (!model?.cold_ms) {
    return [];
  }
  const { total = 0, ...stages } = model.cold_ms;
  const took = Object.entries(stages).filter(([, time]) => time > 0);
  const table = h('table', {}, h('caption', {}, `Loading ${model.name}, before its first answer (cold)`));
  for (const [stage, time] of took) {
    table.append(h('tr', {}, h('th', { scope: 'row' }, spoken(stage)), h('td', {}, duration(time))));
  }
  const unload = h('button', { type: 'button', click: () => models.unload(model.name) }, 'Unload');
  mark(unload, 'title', 'Free its memory; it can be loaded again');
  const box = h('div', { class: 'popup' }, table, h('p', {}, unload));
  const summary = h('summary', { title: 'what loading the model took, once' }, 'cold start ', h('b', {}, duration(total)));
  return [h('details', { class: 'cold' }, summary, box)];
}
