/** The toolbar. */

/** @import {Model, Search, State, Tool} from '../types.js' */

import * as actions from '../actions.js';
import { isSearching } from '../asking.js';
import { stopHover } from '../hover.js';
import * as store from '../store.js';
import { button, follow, get, mark, press, write } from '../dom.js';
import { actual, fit } from '../stage/view.js';
import { beginTyping } from './words.js';

/** Milliseconds between two looks at the clock. */
const TICK = 100;

export function beginTools() {
  beginChoice();
  beginToggles();
  beginSteps();
  beginSearch('everything', 'everything');
  beginSearch('find', 'objects');
  button('new').addEventListener('click', actions.beginObject);
  button('fit').addEventListener('click', fit);
  button('actual').addEventListener('click', actual);
  beginArrows(get('tools', HTMLElement));
}

function beginChoice() {
  const tools = [...document.querySelectorAll('[data-tool]')].filter((one) => one instanceof HTMLButtonElement);
  for (const one of tools) {
    const tool = /** @type {Tool} */ (one.dataset.tool);
    one.addEventListener('click', () => (tool === 'words' ? beginTyping() : actions.take(tool)));
  }
  follow(({ settings, models, clip }) => [settings.tool, settings.model, models, clip === null], (state) => {
    const model = store.model();
    for (const one of tools) {
      press(one, one.dataset.tool === state.settings.tool);
    }
    const [point, box, words] = tools;
    const isDeaf = model !== null && isLoaded(model) && !model.takes.prompts;
    for (const one of [point, box, button('new')]) {
      one?.toggleAttribute('disabled', isDeaf);
    }
    words?.toggleAttribute('hidden', state.clip !== null || !state.models.some((one) => one.takes.words || one.takes.exemplars));
    useful(state, model);
  });
}

/** @param {Model} model */
function isLoaded(model) {
  return model.state === 'ready' || model.state === 'degraded';
}

/** The tool that was put away since the model does not take it. @type {Tool|null} */
let putAway = null;

/**
 * Puts a tool away that the model cannot be told anything with, and takes it again with another model.
 * @param {State} state
 * @param {Model|null} model
 */
function useful({ settings }, model) {
  if (!model || !isLoaded(model)) {
    return;
  }
  const { tool } = settings;
  const isPrompt = tool === 'point' || tool === 'box';
  if (isPrompt && !model.takes.prompts) {
    putAway = tool;
    actions.take(model.takes.words || model.takes.exemplars ? 'words' : 'pan');
  } else if (putAway !== null && model.takes.prompts && !isPrompt) {
    const back = putAway;
    putAway = null;
    actions.take(back);
  }
}

function beginToggles() {
  const [negative, preview] = [button('negative'), button('preview')];
  negative.addEventListener('click', () => store.choose({ isNegative: !store.now().settings.isNegative }));
  preview.addEventListener('click', () => {
    store.choose({ hasPreview: !store.now().settings.hasPreview });
    stopHover();
  });
  follow(({ settings, clip }) => [settings.isNegative, settings.hasPreview, clip === null], ({ settings, clip }) => {
    press(negative, settings.isNegative);
    press(preview, settings.hasPreview);
    mark(preview, 'hidden', clip !== null);
  });
}

function beginSteps() {
  const [undo, redo, clear] = [button('undo'), button('redo'), button('clear')];
  undo.addEventListener('click', store.undo);
  redo.addEventListener('click', store.redo);
  clear.addEventListener('click', actions.clearAll);
  follow((state) => [state.canUndo, state.canRedo, state.work], ({ canUndo, canRedo }) => {
    mark(undo, 'disabled', !canUndo);
    mark(redo, 'disabled', !canRedo);
    mark(clear, 'disabled', !actions.hasWork());
  });
}

/**
 * A button that begins a search, shows how long it takes, and calls it off.
 * @param {string} id
 * @param {Search} search
 */
function beginSearch(id, search) {
  const one = button(id);
  const [clock] = one.getElementsByTagName('small');
  let [timer, since] = [0, 0];
  one.addEventListener('click', () => actions.seek(search));
  const seen = (/** @type {State} */ { models, settings, picture, clip }) => [models, settings.model, picture, clip === null];
  follow((state) => [...seen(state), state.work.search, state.asking], (state) => {
    const model = store.model();
    const takes = search === 'everything' ? model?.takes.everything : model?.takes.objects;
    const isOn = state.work.search === search;
    const isRunning = isOn && isSearching(state, state.settings.model);
    mark(one, 'hidden', !takes || state.clip !== null);
    mark(one, 'disabled', !state.picture);
    press(one, isOn);
    if (isRunning && timer === 0) {
      since = performance.now();
      timer = window.setInterval(() => clock && write(clock, `${((performance.now() - since) / 1000).toFixed(1)} s`), TICK);
    } else if (!isRunning && timer !== 0) {
      clearInterval(timer);
      timer = 0;
    }
    mark(one, 'data-running', isRunning);
    if (!isRunning && clock) {
      write(clock, '');
    }
  });
}

/**
 * A toolbar is one stop of the Tab key; arrows go on within it.
 * @param {HTMLElement} bar
 */
function beginArrows(bar) {
  const buttons = () => [...bar.querySelectorAll('button')].filter((one) => !one.disabled && !one.hidden);
  const enter = (/** @type {Element|undefined} */ chosen) => {
    for (const one of bar.querySelectorAll('button')) {
      one.tabIndex = one === chosen ? 0 : -1;
    }
  };
  enter(buttons()[0]);
  bar.addEventListener('focusin', (event) => event.target instanceof HTMLButtonElement && enter(event.target));
  bar.addEventListener('keydown', (event) => {
    const all = buttons();
    const at = all.findIndex((one) => one === document.activeElement);
    const moves = { ArrowDown: at + 1, ArrowRight: at + 1, ArrowUp: at - 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 };
    const to = moves[/** @type {keyof typeof moves} */ (event.key)];
    if (to !== undefined && at >= 0) {
      event.preventDefault();
      all[(to + all.length) % all.length]?.focus();
    }
  });
  // The stop may be a button that cannot be pressed any more.
  follow((state) => [state.canUndo, state.canRedo, state.settings.model, state.work, state.models], () => {
    const stop = bar.querySelector('button[tabindex="0"]');
    if (!(stop instanceof HTMLButtonElement) || stop.disabled || stop.hidden) {
      enter(buttons()[0]);
    }
  });
}
