/** What is seen, as files; and what is asked, as commands. */

/** @import {Found, Shown, State} from '../types.js' */

import { prompt, seen } from '../answers.js';
import * as server from '../server.js';
import * as share from '../share.js';
import * as store from '../store.js';
import { lines, stretches } from '../video/tracks.js';
import { Failure } from '../server.js';
import { button, follow, get, h, mark, write } from '../dom.js';

/** @type {Record<string, Record<string, string>>} */
const FORMATS = {
  Pictures: {
    masks: 'black and white masks (PNG)',
    cutout: 'objects cut out (PNG)',
    'png-index': 'object numbers (PNG)',
    jpg: 'the picture with its masks (JPEG)',
    png: 'the picture with its masks (PNG)',
  },
  'Answers': {
    json: 'everything as JSON lines',
    'coco-rle': 'masks as COCO run lengths',
    polygons: 'outlines with holes',
  },
  'Data sets': {
    coco: 'COCO: images, annotations',
    'coco-results': 'COCO results',
    coco91: 'COCO results, ids 1 to 90',
    yolo: 'YOLO labels',
    'yolo-seg': 'YOLO segments',
    labelme: 'LabelMe',
    'label-studio': 'Label Studio predictions',
  },
};
/** Of clips. @type {Record<string, Record<string, string>>} */
const FORMATS_OF_CLIPS = { Frames: { jsonl: 'masks of all frames as JSON lines' } };
const NEED_MASKS = new Set(['masks', 'cutout', 'png-index', 'polygons', 'coco-rle']);

/** What the server calls that which only boxes show. */
const BY_BOXES = 'visual';

/** Fields of an answer that files are made of. @type {(keyof Found)[]} */
const FIELDS = [
  'class_id', 'score', 'box', 'rotated_box', 'keypoints', 'stability', 'mask_box', 'mask_score', 'segmentation', 'area', 'point',
  'crop_box',
];

export function beginExport() {
  const [select, save, note] = [get('format', HTMLSelectElement), button('export'), get('export-note', HTMLElement)];
  follow(({ clip }) => [clip === null], ({ clip }) => select.replaceChildren(...groups(clip ? FORMATS_OF_CLIPS : FORMATS)));
  let isSaving = false;
  const tell = () => {
    const why = isSaving ? '' : whyNot(store.now(), select.value);
    mark(save, 'disabled', isSaving || why !== '');
    mark(save, 'aria-busy', String(isSaving));
    mark(select, 'title', select.selectedOptions[0]?.textContent ?? '');
    write(note, why);
    mark(note, 'hidden', why === '');
  };
  select.addEventListener('change', tell);
  save.addEventListener('click', async () => {
    isSaving = true;
    tell();
    await saveAs(select.value);
    isSaving = false;
    tell();
  });
  const chosen = (/** @type {State} */ { settings }) => [settings.model, settings.score, settings.overlap, settings.cutter];
  follow((state) => [state.work, state.picture, state.clip, state.last, state.lastCompare, state.isOnline, ...chosen(state)], tell);
  beginCopies();
}

/** @param {Record<string, Record<string, string>>} formats */
function groups(formats) {
  return Object.entries(formats).map(([label, all]) => {
    return h('optgroup', { label }, ...Object.entries(all).map(([value, text]) => h('option', { value }, `${value} — ${text}`)));
  });
}

/** @param {State} state @returns {string[]} a line of each frame of the clip with objects */
function linesOf({ clip, picture, settings, work }) {
  return clip && picture ? lines(clip, { model: settings.model ?? '', items: work.items, size: picture }) : [];
}

/**
 * @param {State} state
 * @param {string} format
 * @returns {string} why nothing can be exported
 */
function whyNot(state, format) {
  if (state.clip) {
    const isFound = stretches(state.settings.model ?? '', state.work.items.filter(({ isHidden }) => !isHidden)).length > 0;
    return isFound ? '' : 'No object that is seen has been found yet.';
  }
  if (!state.picture?.ref) {
    return state.picture ? 'The picture is not at the server yet.' : 'Nothing to export yet.';
  }
  const objects = seen(state, state.settings.model);
  if (objects.length === 0) {
    return 'No object is seen that could be exported.';
  }
  return NEED_MASKS.has(format) && objects.every((one) => one.mask === null) ? 'No object that is seen has a mask.' : '';
}

/** @param {string} format */
async function saveAs(format) {
  const { clip } = store.now();
  if (clip) {
    const all = linesOf(store.now());
    const name = `${clip.file.replace(/\.[^.]*$/, '')}.masks.jsonl`;
    download(name, new Blob(all.map((line) => `${line}\n`), { type: 'application/jsonl' }));
    store.set({ said: `${name} is saved: ${all.length} frames` });
    return;
  }
  try {
    const { name, file } = await server.written(question(store.now(), format));
    download(name, file);
    store.set({ said: `${name} is saved` });
  } catch (error) {
    if (!(error instanceof Failure)) {
      throw error;
    }
    store.set({ problem: error.problem });
  }
}

/**
 * What is seen, as `POST /v1/export` has it.
 * @param {State} state
 * @param {string} format
 */
export function question(state, format) {
  const objects = seen(state, state.settings.model);
  const prompted = objects.flatMap(({ item }) => (item ? [item] : []));
  return {
    image: { ref: state.picture?.ref }, name: state.picture?.name, format,
    objects: objects.map((shown) => objectOf(shown, prompted.findIndex((item) => item.id === shown.key))),
    prompts: prompted.map(prompt), ...classes(state),
  };
}

/**
 * What the numbers of classes mean: the place of a phrase among those that are looked for, else what the model knows.
 * @param {State} state
 */
function classes({ settings, work }) {
  const isByWords = work.search === 'words';
  return { model: settings.model, ...(isByWords ? { classes: work.phrases.map(({ text }) => text || BY_BOXES) } : {}) };
}

/**
 * @param {Shown} shown
 * @param {number} place among the prompts, or -1
 */
function objectOf({ found, label }, place) {
  const fields = FIELDS.filter((field) => found[field] !== undefined).map((field) => [field, found[field]]);
  return { ...(place < 0 ? {} : { prompt: place }), ...(label === null ? {} : { label }), ...Object.fromEntries(fields) };
}

/**
 * @param {string} name
 * @param {Blob} file
 */
function download(name, file) {
  const address = URL.createObjectURL(file);
  const link = h('a', { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  // The browser reads it after this.
  setTimeout(() => URL.revokeObjectURL(address), 60000);
}

function beginCopies() {
  const shown = get('copied', HTMLElement);
  const ways = {
    'copy-curl': () => share.asCurl(store.now(), { origin: location.origin, hasKey: server.hasKey() }),
    'copy-cli': () => share.asCli(store.now()),
  };
  for (const [id, text] of Object.entries(ways)) {
    const copy = button(id);
    copy.addEventListener('click', async () => {
      const command = text();
      write(shown, command.trimEnd());
      shown.hidden = false;
      const isCopied = await copied(command, shown);
      store.set({ said: isCopied ? 'copied' : 'The browser does not let the page copy: the text is below the buttons' });
      mark(copy, 'data-done', isCopied);
      setTimeout(() => mark(copy, 'data-done', false), 1500);
    });
    follow((state) => [state.work, state.picture, state.settings.model, state.models], (state) => {
      mark(copy, 'hidden', state.clip !== null);
      mark(copy, 'disabled', !state.picture || text() === '');
      shown.hidden = true;
    });
  }
}

/**
 * @param {string} text
 * @param {HTMLElement} shown the same in the document, to be selected where nothing may be copied
 * @returns {Promise<boolean>}
 */
async function copied(text, shown) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Pages that came without encryption may not write there; what is selected may be copied.
    getSelection()?.selectAllChildren(shown);
    return document.execCommand('copy');
  }
}
