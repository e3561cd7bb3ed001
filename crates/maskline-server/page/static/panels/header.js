/** Pictures, models, and how far the picture is. */

/** @import {Encoding, Model, State} from '../types.js' */

import * as models from '../models.js';
import * as store from '../store.js';
import { button, duration, follow, get, h, mark, show, write } from '../dom.js';
import { openSample } from '../pictures.js';

/** Milliseconds between two looks at the clock. */
const TICK = 100;
const THEMES = /** @type {const} */ (['auto', 'light', 'dark']);

export function beginHeader() {
  const file = get('file', HTMLInputElement);
  for (const id of ['open', 'empty-open']) {
    button(id).addEventListener('click', () => file.click());
  }
  for (const id of ['sample', 'empty-sample']) {
    button(id).addEventListener('click', () => openSample());
  }
  follow((state) => [state.picture !== null], ({ picture }) => mark(get('empty', HTMLElement), 'hidden', picture !== null));
  beginModel();
  beginCompare();
  beginEncoding();
  beginTheme();
}

/** @typedef {{value: string, text: string, isDisabled: boolean}} Choice */

/**
 * Has a select show choices; its value and focus stay.
 * @param {Element} select
 * @param {readonly Choice[]} choices
 */
export function choices(select, choices) {
  show(select, choices, {
    key: ({ value }) => value,
    make: ({ value }) => {
      const option = h('option', { value });
      /** @param {Choice} choice */
      const update = ({ text, isDisabled }) => {
        write(option, text);
        mark(option, 'disabled', isDisabled);
      };
      return { element: option, update };
    },
  });
}

function beginModel() {
  const select = get('model', HTMLSelectElement);
  const served = h('optgroup', { label: 'Served' });
  const others = h('optgroup', { label: 'Can be loaded' });
  const [state, load] = [get('model-state', HTMLElement), button('load')];
  select.append(served, others);
  select.addEventListener('change', () => models.use(select.value));
  load.addEventListener('click', () => store.now().settings.model && models.load(store.now().settings.model ?? ''));
  follow(({ models, available, settings, isOnline }) => [models, available, settings.model, isOnline], (now) => {
    choices(served, now.models.map((model) => ({ value: model.name, text: told(model), isDisabled: models.whyNot(model) !== null })));
    const loadable = now.available.map((name) => ({ value: name, text: name, isDisabled: false }));
    choices(others, loadable);
    mark(others, 'hidden', loadable.length === 0);
    select.value = now.settings.model ?? '';
    const model = store.model();
    write(state, stateText(now, model));
    mark(state, 'data-state', !now.isOnline ? 'offline' : model?.state ?? 'none');
    mark(state, 'title', model?.reason ?? '');
    mark(load, 'hidden', !model || !now.isOnline || (model.state !== 'unloaded' && model.state !== 'failed'));
  });
}

/** @param {Model} model */
function told(model) {
  const why = models.whyNot(model);
  if (why !== null) {
    return `${model.name} — ${why}`;
  }
  return model.state === 'ready' ? model.name : `${model.name} — ${models.stateOf(model)}`;
}

/**
 * @param {State} state
 * @param {Model|null} model
 */
function stateText({ isOnline, models: all }, model) {
  if (!isOnline) {
    return 'offline';
  }
  if (!model) {
    return all.length > 0 ? 'none that takes pictures' : '';
  }
  return model.state === 'ready' ? `ready · ${model.provider ?? ''}` : models.stateOf(model);
}

function beginCompare() {
  const select = get('compare', HTMLSelectElement);
  select.addEventListener('change', () => store.choose({ compare: select.value || null }));
  follow(({ models, settings, clip }) => [models, settings.model, settings.compare, clip === null], (now) => {
    const others = now.models.filter((model) => model.name !== now.settings.model && models.whyNot(model) === null);
    const nobody = { value: '', text: 'nobody', isDisabled: false };
    choices(select, [nobody, ...others.map((model) => ({ value: model.name, text: told(model), isDisabled: !models.isReady(model) }))]);
    select.value = now.settings.compare ?? '';
    // A clip is followed by one.
    mark(select, 'disabled', others.length === 0 || now.clip !== null);
  });
}

function beginEncoding() {
  const badge = get('encoding', HTMLElement);
  let timer = 0;
  follow((state) => [state.encoding], ({ encoding }) => {
    clearInterval(timer);
    const tell = () => {
      write(badge, encodingText(encoding));
      mark(badge, 'data-stage', encoding.isCached && encoding.stage === 'ready' ? 'cached' : encoding.stage);
    };
    mark(badge, 'hidden', encoding.stage === 'none');
    mark(badge, 'title', encodingTitle(encoding));
    tell();
    if (encoding.stage === 'encoding') {
      timer = window.setInterval(tell, TICK);
    }
  });
}

/** @param {Encoding} encoding */
function encodingText({ stage, progress, since, isCached }) {
  if (stage === 'sending') {
    return `sending ${Math.round(progress * 100)} %`;
  }
  if (stage === 'encoding') {
    return `encoding ${((performance.now() - since) / 1000).toFixed(1)} s`;
  }
  return stage === 'ready' && isCached ? 'cached' : stage;
}

/** @param {Encoding} encoding */
function encodingTitle({ stage, isCached, timings, problem }) {
  if (stage === 'failed') {
    return problem?.detail ?? '';
  }
  if (stage !== 'ready') {
    return 'The picture is sent and encoded once; clicks are quick after that.';
  }
  const total = Number(timings?.total ?? NaN);
  const took = Number.isFinite(total) ? ` in ${duration(total)}` : '';
  return isCached ? 'The server had the picture encoded already.' : `Encoded${took}. Clicks need the mask decoder alone.`;
}

function beginTheme() {
  const theme = button('theme');
  theme.addEventListener('click', () => {
    const next = THEMES[(THEMES.indexOf(store.now().settings.theme) + 1) % THEMES.length] ?? 'auto';
    store.choose({ theme: next });
    store.set({ said: `theme ${next === 'auto' ? 'of the system' : next}` });
  });
  follow((state) => [state.settings.theme], ({ settings }) => {
    mark(theme, 'title', `Theme: ${settings.theme === 'auto' ? 'as the system has it' : settings.theme}`);
  });
}
