/** The list of objects. */

/** @import {Settings, Shown, State} from '../types.js' */

import * as actions from '../actions.js';
import * as answers from '../answers.js';
import * as models from '../models.js';
import * as palette from '../palette.js';
import * as store from '../store.js';
import { choices } from './header.js';
import { follow, get, h, icon, mark, press, show, write } from '../dom.js';

export function beginObjects() {
  const list = get('objects', HTMLElement);
  const [note, count, sheet] = [get('objects-note', HTMLElement), get('objects-count', HTMLElement), get('sheet-count', HTMLElement)];
  const seen = (/** @type {State} */ { settings }) => [settings.model, settings.score, settings.overlap, settings.cutter, settings.palette];
  const told = (/** @type {State} */ { last, lastCompare, asking, clip }) => [last, lastCompare, asking, clip];
  follow((state) => [state.work, state.picture, state.models, state.encoding.stage, ...seen(state), ...told(state)], (state) => {
    const shown = answers.listed(state, state.settings.model);
    show(list, shown.map((one, place) => ({ shown: one, place, state })), { key: ({ shown: { key } }) => key, make: row });
    const hidden = shown.filter((one) => one.isHidden).length;
    const many = shown.length === 0 ? '' : `${shown.length}${hidden > 0 ? `, ${hidden} hidden` : ''}`;
    write(count, many);
    write(sheet, many && `Objects ${many}`);
    write(note, shown.length === 0 ? hint(state) : '');
    mark(note, 'hidden', note.textContent === '');
  });
  beginHighlight(list);
  beginColours(list);
  beginCutter();
}

/** @param {State} state @returns {string} what to do next */
function hint(state) {
  const model = store.model();
  if (!state.picture) {
    return 'Open a picture first.';
  }
  if (model?.state === 'failed') {
    return `${model.name} could not be loaded: ${model.reason ?? 'the server does not say why'}`;
  }
  if (!model || !models.isReady(model)) {
    return model ? `${model.name} is ${models.stateOf(model)}; clicks are kept until it is ready.` : 'No model answers yet.';
  }
  if (state.clip) {
    const isAble = model.takes.video;
    return isAble ? 'Click on an object, or drag a box around it; then track it.' : `${model.name} follows nothing through a video.`;
  }
  if (state.asking.size > 0) {
    return 'Looking …';
  }
  if (state.work.search !== 'none') {
    const less = answers.shown(state, model.name).length;
    return less > 0 ? `${less} found with a lower score: move “Score” to the left.` : 'Nothing found.';
  }
  if (model.takes.prompts) {
    return 'Click on an object in the picture, or drag a box around it.';
  }
  return model.takes.objects ? 'Press “Find objects”.' : 'Say what you look for under “Words”.';
}

/** @typedef {{shown: Shown, place: number, state: State}} Row */

/**
 * @param {Row} first
 * @returns {import('../dom.js').Part<Row>}
 */
function row(first) {
  const { key } = first.shown;
  const select = h('button', { type: 'button', class: 'select', click: () => actions.select(key) });
  const name = h('input', { type: 'text', class: 'name', 'aria-label': 'Name', maxlength: 120, autocomplete: 'off', spellcheck: 'false' });
  name.addEventListener('change', () => rename(key, name.value.trim()));
  name.addEventListener('keydown', (event) => event.key === 'Enter' && select.focus());
  const score = h('span', { class: 'score' });
  const named = (/** @type {string} */ name) => ({ type: 'button', class: name.toLowerCase(), 'aria-label': name, title: name });
  const colour = h('button', { ...named('Colour'), 'aria-haspopup': 'true' }, icon('colour'));
  const eye = icon('seen');
  const hide = h('button', { type: 'button', class: 'hide', click: () => actions.hide(key) }, eye);
  const element = h('li', { 'data-key': key }, select, name, score, colour, hide);
  if (first.shown.item) {
    element.append(h('button', { ...named('Delete'), title: 'Delete (Del)', click: () => drop(key) }, icon('delete')));
  }
  /** @param {Row} next */
  const update = ({ shown, place, state }) => {
    element.style.setProperty('--colour', palette.colour(shown.colour, state.settings.palette));
    mark(select, 'data-number', String(place + 1));
    mark(select, 'aria-label', shown.name);
    mark(select, 'title', shown.name);
    const isCurrent = state.work.current === key;
    press(select, isCurrent);
    element.classList.toggle('current', isCurrent);
    element.classList.toggle('gone', shown.isHidden);
    if (document.activeElement !== name) {
      name.value = shown.label ?? '';
    }
    mark(name, 'placeholder', shown.name);
    write(score, scoreOf(shown, state));
    const isDeaf = shown.item !== null && store.model()?.takes.prompts === false;
    mark(score, 'title', scoreTitle(shown) || (isDeaf ? `${state.settings.model} takes no clicks` : ''));
    mark(hide, 'aria-label', shown.isHidden ? 'Show' : 'Hide');
    mark(hide, 'title', shown.isHidden ? 'Show (H)' : 'Hide (H)');
    eye.firstElementChild?.setAttribute('href', shown.isHidden ? '#i-unseen' : '#i-seen');
  };
  return { element, update };
}

/**
 * @param {Shown} shown
 * @param {State} state
 */
function scoreOf({ found, item }, { asking, clip }) {
  if (found.score !== undefined) {
    return found.score.toFixed(2);
  }
  if (item && item.box === null && !item.clicks.some((click) => click.isPositive)) {
    return clip && store.isPrompted(item) ? '' : 'no click';
  }
  return asking.size > 0 || clip?.isAsking ? '…' : '';
}

/** @param {Shown} shown */
function scoreTitle({ found }) {
  const parts = [
    found.score === undefined ? '' : `score ${found.score.toFixed(3)}`,
    found.mask_score === undefined ? '' : `mask ${found.mask_score.toFixed(3)}`,
    found.stability === undefined ? '' : `stability ${found.stability.toFixed(3)}`,
    found.area === undefined ? '' : `${found.area.toLocaleString('en')} pixels`,
  ];
  return parts.filter((part) => part !== '').join(', ');
}

/**
 * @param {string} key
 * @param {string} name
 */
function rename(key, name) {
  const isItem = store.now().work.items.some((item) => item.id === key);
  if (isItem) {
    store.changeItem(key, { name });
  } else {
    store.edit(key, { name });
  }
}

/**
 * Deletes an object whose row has the focus, which goes on to the next row.
 * @param {string} key
 */
function drop(key) {
  const element = document.querySelector(`#objects > li[data-key="${CSS.escape(key)}"]`);
  const next = element?.nextElementSibling ?? element?.previousElementSibling;
  actions.remove(key);
  const button = next?.querySelector('button');
  (button ?? get('objects-note', HTMLElement)).focus();
}

/** What the pointer is on in the list is shown on the picture, and the other way round. @param {HTMLElement} list */
function beginHighlight(list) {
  /** @type {(target: EventTarget|null) => string|null} */
  const keyAt = (target) => (target instanceof Element ? (target.closest('li')?.dataset.key ?? null) : null);
  // Later, since the focus may go while the list is being changed.
  const tell = (/** @type {string|null} */ highlighted) => queueMicrotask(() => {
    if (store.now().highlighted !== highlighted) {
      store.set({ highlighted });
    }
  });
  list.addEventListener('pointerover', (event) => tell(keyAt(event.target)));
  list.addEventListener('pointerleave', () => tell(null));
  list.addEventListener('focusin', (event) => tell(keyAt(event.target)));
  list.addEventListener('focusout', () => tell(null));
  list.addEventListener('click', (event) => {
    const key = keyAt(event.target);
    if (key !== null && event.target instanceof Element && !event.target.closest('button, input')) {
      actions.select(key);
    }
  });
  follow((state) => [state.highlighted, state.work.current], ({ highlighted, work }) => {
    for (const one of list.children) {
      const { key } = /** @type {HTMLElement} */ (one).dataset;
      one.classList.toggle('lit', key === highlighted && highlighted !== null);
      if (key === work.current && !one.contains(document.activeElement)) {
        one.scrollIntoView({ block: 'nearest' });
      }
    }
  });
}

/** Colours to choose from, beside the button that was pressed. @param {HTMLElement} list */
function beginColours(list) {
  const popover = get('colours', HTMLElement);
  /** @type {HTMLButtonElement|null} */
  let opener = null;
  list.addEventListener('click', (event) => {
    const pressed = event.target instanceof Element ? event.target.closest('button.colour') : null;
    const key = pressed?.closest('li')?.dataset.key;
    if (pressed instanceof HTMLButtonElement && key !== undefined) {
      opener = pressed;
      popover.replaceChildren(...swatches(key, store.now(), () => popover.hidePopover()));
      popover.showPopover();
      place(popover, pressed.getBoundingClientRect());
      popover.querySelector('button')?.focus();
    }
  });
  popover.addEventListener('toggle', () => popover.matches(':popover-open') || opener?.focus());
}

/**
 * @param {string} key
 * @param {State} state
 * @param {() => void} close
 */
function swatches(key, state, close) {
  const { settings } = state;
  const now = answers.shown(state, settings.model).find((one) => one.key === key)?.colour ?? 0;
  return Array.from({ length: palette.count(settings.palette) }, (_, colour) => {
    const choose = () => {
      if (store.now().work.items.some((item) => item.id === key)) {
        store.changeItem(key, { colour });
      } else {
        store.edit(key, { colour });
      }
      close();
    };
    const swatch = h('button', { type: 'button', 'aria-label': `Colour ${colour + 1}`, click: choose });
    press(swatch, colour === now % palette.count(settings.palette));
    swatch.style.backgroundColor = palette.colour(colour, settings.palette);
    return swatch;
  });
}

/**
 * @param {HTMLElement} popover
 * @param {DOMRect} beside
 */
function place(popover, beside) {
  const { width, height } = popover.getBoundingClientRect();
  const left = Math.min(Math.max(8, beside.right - width), innerWidth - width - 8);
  const below = beside.bottom + 4;
  popover.style.left = `${left}px`;
  popover.style.top = `${below + height > innerHeight - 8 ? beside.top - height - 4 : below}px`;
}

/** Who cuts out what a model without masks finds. */
function beginCutter() {
  const [field, select] = [get('cutter-field', HTMLElement), get('cutter', HTMLSelectElement)];
  select.addEventListener('change', () => store.choose({ cutter: select.value || null }));
  follow(({ models, settings }) => [models, settings.model, settings.compare, settings.cutter], ({ models: all, settings }) => {
    const cutters = all.filter((model) => model.takes.prompts);
    const asked = all.filter((model) => isOneOf(settings, model.name) && models.isReady(model));
    const isBare = asked.some((model) => !model.takes.masks && models.whyNot(model) === null);
    mark(field, 'hidden', !isBare || cutters.length === 0);
    const nobody = { value: '', text: 'nobody: boxes alone', isDisabled: false };
    choices(select, [nobody, ...cutters.map(({ name }) => ({ value: name, text: name, isDisabled: false }))]);
    select.value = settings.cutter ?? '';
  });
}

/**
 * @param {Settings} settings
 * @param {string} name
 */
function isOneOf({ model, compare }, name) {
  return model === name || compare === name;
}
