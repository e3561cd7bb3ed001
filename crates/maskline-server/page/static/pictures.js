/** Pictures: from files to what is shown, sent and encoded. */

/** @import {Encoding, Model, Picture, Problem, State} from './types.js' */

import { Failure, decoded, encode, keep } from './server.js';
import * as store from './store.js';
import { sizeInHeader } from './header.js';
import { Levels } from './stage/levels.js';
import { show } from './stage/stages.js';
import { closeClip, openClip } from './video/player.js';
import { isVideo, picturesOf, videoOf } from './video/sources.js';

const SAMPLE = '/page/samples/still-life.jpg';
/** Milliseconds until a server that is busy is asked again, where it does not say. */
const LATER = 1000;

/**
 * A picture on its way to the server.
 * @typedef {object} Flow
 * @property {Blob} file
 * @property {string|null} ref
 * @property {AbortController} controller aborted when another picture takes its place
 * @property {Set<string>} encoded by these models
 * @property {boolean} isRunning
 * @property {string} failed model that could not encode it; empty: none
 * @property {boolean} isSentAgain and nothing has been encoded since
 */

/** @type {Flow|null} the picture that is shown */
let flow = null;
/** Which file is being opened: the last one counts. */
let openings = 0;
/** @type {Promise<void>|null} */
let sending = null;

export function beginPictures() {
  const input = document.querySelector('#file');
  if (input instanceof HTMLInputElement) {
    input.addEventListener('change', () => {
      take([...(input.files ?? [])], '');
      // The same file can be chosen again.
      input.value = '';
    });
  }
  beginDrop();
  window.addEventListener('paste', ({ clipboardData }) => {
    const files = [...(clipboardData?.files ?? [])];
    if (files.length > 0) {
      take(files, 'pasted');
    }
  });
  store.watch((state, before) => {
    const isBack = (state.isOnline && !before.isOnline) || (before.wantsKey && !state.wantsKey);
    if (flow && isBack) {
      // The server may have been started anew. Whether that succeeds is told by what comes after it.
      flow.encoded.clear();
      void (flow.ref === null ? Promise.resolve() : sendAgain().catch(() => undefined)).then(goOn);
    } else if (hasOtherModels(state, before)) {
      goOn();
    }
    if (flow?.ref && state.last !== before.last && state.last && state.last.model === state.settings.model && !state.last.problem) {
      // Whoever has answered has encoded it.
      flow.encoded.add(state.last.model);
      goOn();
    }
  });
  if (new URLSearchParams(location.search).has('sample')) {
    void openSample();
  }
}

/**
 * @param {State} state
 * @param {State} before
 */
function hasOtherModels(state, before) {
  const { settings } = state;
  return state.models !== before.models || settings.model !== before.settings.model || settings.compare !== before.settings.compare;
}

/** Files can be dropped anywhere. */
function beginDrop() {
  const hasFiles = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes('Files') ?? false;
  window.addEventListener('dragover', (event) => {
    if (hasFiles(event) && event.dataTransfer) {
      event.preventDefault();
      event.dataTransfer.dropEffect = 'copy';
      document.body.classList.add('dropping');
    }
  });
  window.addEventListener('dragleave', (event) => {
    if (event.relatedTarget === null) {
      document.body.classList.remove('dropping');
    }
  });
  window.addEventListener('drop', (event) => {
    document.body.classList.remove('dropping');
    if (hasFiles(event)) {
      event.preventDefault();
      take([...(event.dataTransfer?.files ?? [])], '');
    }
  });
}

/**
 * Opens the first video of some files, or else all pictures: several are shown one after the other.
 * @param {File[]} files
 * @param {string} name in place of the file's own
 */
function take(files, name) {
  const [file] = files;
  const video = files.find(isVideo);
  if (video || files.length > 1) {
    void openFrames(video ? [video] : files);
  } else if (file) {
    void open(file, name ? `${name}.${file.type.split('/')[1] ?? 'png'}` : file.name);
  }
}

/**
 * Opens a video, or pictures one after the other. Where they cannot be shown, what was there before stays.
 * @param {File[]} files
 */
async function openFrames(files) {
  openings += 1;
  const own = openings;
  const [file] = files;
  if (!file) {
    return;
  }
  try {
    store.set({ said: `reading ${file.name}` });
    const source = await (isVideo(file) ? videoOf(file) : picturesOf(files));
    const problem = tooLarge(0, source.width * source.height);
    if (own !== openings || problem) {
      source.close();
      if (problem) {
        fail(problem);
      }
      return;
    }
    await openClip(source);
    flow?.controller.abort();
    flow = null;
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    const convert = 'Convert it (`ffmpeg -i IN -pix_fmt yuv420p OUT.mp4`), or follow objects with `maskline track`.';
    const help = isVideo(file) ? convert : undefined;
    fail({ reason: 'failed', status: 0, title: `${file.name} cannot be opened`, detail, help });
  }
}

export async function openSample() {
  try {
    const response = await fetch(SAMPLE);
    if (!response.ok) {
      throw new Error(`${response.status}`);
    }
    await open(await response.blob(), 'still-life.jpg');
  } catch {
    fail({
      reason: 'unreachable', status: 0, title: 'The sample cannot be had', detail: 'The server does not answer.',
      help: 'Is `maskline serve` still running?',
    });
  }
}

/** @param {Problem} problem */
function fail(problem) {
  store.set({ problem });
}

/**
 * Opens a picture: shows it, sends it, and has it encoded. Where it is none, the one before stays.
 * @param {Blob} file
 * @param {string} name
 */
export async function open(file, name) {
  openings += 1;
  const own = openings;
  const refused = tooLarge(file.size, 0) ?? tooLarge(0, pixelsOf(sizeInHeader(new Uint8Array(await file.slice(0, 1 << 18).arrayBuffer()))));
  if (refused) {
    fail(refused);
    return;
  }
  const levels = await Levels.of(file).catch(() => null);
  const problem = levels && tooLarge(0, levels.width * levels.height);
  if (own !== openings || problem) {
    levels?.close();
    if (problem) {
      fail(problem);
    }
  } else if (levels) {
    const { width, height } = levels;
    begin({ name, file, width, height, ref: null }, levels);
  } else {
    await openUnshown(file, name, () => own === openings);
  }
}

/**
 * Opens what the browser cannot decode and the server perhaps can.
 * @param {Blob} file
 * @param {string} name
 * @param {() => boolean} isWanted
 */
async function openUnshown(file, name, isWanted) {
  const before = store.now().encoding;
  const controller = new AbortController();
  try {
    tell({ ...SENDING, since: performance.now() });
    const { ref, width, height } = await keep(file, (progress) => isWanted() && tell({ progress }), controller.signal);
    const levels = await Levels.of(await decoded(ref));
    if (isWanted()) {
      begin({ name, file, width, height, ref }, levels);
    } else {
      levels.close();
    }
  } catch (error) {
    if (isWanted()) {
      tell(before);
      fail(problemOf(error, `${name} cannot be shown`));
    }
  }
}

/**
 * @param {unknown} error
 * @param {string} title
 * @returns {Problem}
 */
function problemOf(error, title) {
  if (error instanceof Failure) {
    return error.problem;
  }
  const detail = error instanceof Error ? error.message : String(error);
  return { reason: 'failed', status: 0, title, detail, help: 'Is it a picture that this browser has memory for?' };
}

/** @param {{width: number, height: number}|null} size */
function pixelsOf(size) {
  return size ? size.width * size.height : 0;
}

/**
 * What the server would refuse is not sent.
 * @param {number} bytes
 * @param {number} pixels
 * @returns {Problem|null}
 */
function tooLarge(bytes, pixels) {
  const limits = store.model()?.limits;
  if (!limits || (bytes <= limits.body && pixels <= limits.pixels)) {
    return null;
  }
  const common = { reason: 'too_large', status: 413, title: 'The picture is too large for this server' };
  if (bytes > limits.body) {
    const wanted = Math.ceil(bytes / (1 << 20));
    const detail = `It has ${megabytes(bytes)} MB; the server takes ${megabytes(limits.body)} MB.`;
    return { ...common, detail, help: `Start it with \`maskline serve --max-body ${wanted}\`, or make the file smaller.` };
  }
  const detail = `It has ${millions(pixels)} million pixels; the server takes ${millions(limits.pixels)} million.`;
  return { ...common, detail, help: `Start it with \`maskline serve --max-pixels ${pixels}\`, or make the picture smaller.` };
}

/** @param {number} bytes */
function megabytes(bytes) {
  return (bytes / (1 << 20)).toFixed(1);
}

/** @param {number} pixels */
function millions(pixels) {
  return (pixels / 1e6).toFixed(1);
}

/** @type {Encoding} */
const SENDING = { stage: 'sending', progress: 0, since: 0, isCached: false, timings: null, problem: null };

/** @param {Partial<Encoding>} change */
function tell(change) {
  store.set({ encoding: { ...store.now().encoding, ...change } });
}

/**
 * A picture takes the place of the one before.
 * @param {Picture} picture
 * @param {Levels} levels
 */
function begin(picture, levels) {
  flow?.controller.abort();
  flow = {
    file: picture.file, ref: picture.ref, controller: new AbortController(), encoded: new Set(),
    isRunning: false, failed: '', isSentAgain: false,
  };
  [levels.width, levels.height] = [picture.width, picture.height];
  closeClip();
  store.beginWork();
  store.set({
    picture, problem: null, last: null, lastCompare: null, highlighted: null, encoding: { ...SENDING, since: performance.now() },
    said: `${picture.name}, ${picture.width} by ${picture.height} pixels`,
  });
  show(levels);
  goOn();
}

/** Sends the picture if the server has none of it, then has it encoded by whoever answers, as far as that can be done now. */
function goOn() {
  if (flow && !flow.isRunning) {
    const own = flow;
    own.isRunning = true;
    void run(own).finally(() => {
      own.isRunning = false;
    });
  }
}

/** @param {Flow} own */
async function run(own) {
  try {
    if (own.ref === null) {
      await send(own);
    }
    for (let model = nextModel(own); model && flow === own; model = nextModel(own)) {
      await encodeBy(own, model);
    }
  } catch (error) {
    if (flow === own && !(error instanceof DOMException && error.name === 'AbortError')) {
      failed(own, problemOf(error, 'The picture could not be sent'));
    }
  }
}

/**
 * @param {Flow} own
 * @returns {Model|null} a model that is ready and has not encoded it; the main one first
 */
function nextModel(own) {
  const { models, settings: { model, compare } } = store.now();
  const main = models.find(({ name }) => name === model);
  const isReady = (/** @type {Model|undefined} */ one) => one !== undefined && (one.state === 'ready' || one.state === 'degraded');
  if (main && isReady(main) && (own.encoded.has(main.name) || !main.takes.embeddings)) {
    tellReady();
  } else if (main && isReady(main) && own.failed !== main.name) {
    return main;
  } else if (store.now().encoding.stage === 'ready') {
    tell({ stage: 'encoding', since: performance.now(), isCached: false, timings: null });
  }
  const other = models.find(({ name, takes }) => name === compare && name !== model && takes.embeddings && !own.encoded.has(name));
  return other && isReady(other) && own.failed !== other.name ? other : null;
}

function tellReady() {
  if (store.now().encoding.stage !== 'ready') {
    tell({ stage: 'ready', progress: 1, problem: null });
  }
}

/** @param {Flow} own */
async function send(own) {
  const { signal } = own.controller;
  tell({ ...SENDING, since: performance.now() });
  const { ref, width, height } = await keep(own.file, (progress) => flow === own && tell({ progress }), signal);
  const { picture } = store.now();
  if (flow !== own || !picture) {
    return;
  }
  own.ref = ref;
  if (picture.width === width && picture.height === height) {
    const { encoding } = store.now();
    store.set({ picture: { ...picture, ref }, encoding: { ...encoding, stage: 'encoding', progress: 1, since: performance.now() } });
    return;
  }
  // The browser reads the file in another way: what the server has decoded is what it is asked about.
  const levels = await Levels.of(await decoded(ref));
  if (flow === own) {
    begin({ ...picture, width, height, ref }, levels);
  } else {
    levels.close();
  }
}

/**
 * @param {Flow} own
 * @param {Model} model
 */
async function encodeBy(own, { name }) {
  const isMain = () => flow === own && store.now().settings.model === name;
  const since = performance.now();
  if (isMain()) {
    tell({ stage: 'encoding', progress: 1, since, isCached: false, timings: null, problem: null });
  }
  try {
    const timings = await encode(name, own.ref ?? '', own.controller.signal);
    own.encoded.add(name);
    own.failed = '';
    own.isSentAgain = false;
    if (isMain()) {
      tell({ stage: 'ready', isCached: timings.embedding === 'hit' || timings.embedding === 'held', timings, problem: null });
    }
  } catch (error) {
    await retried(own, name, error);
  }
}

/**
 * What can be mended is, and asked again.
 * @param {Flow} own
 * @param {string} model
 * @param {unknown} error
 */
async function retried(own, model, error) {
  const problem = error instanceof Failure ? error.problem : null;
  const isForgotten = problem?.reason === 'not_found' && problem.detail.includes('picture');
  if (isForgotten && !own.isSentAgain) {
    own.isSentAgain = true;
    await sendAgain();
  } else if (isForgotten) {
    own.failed = model;
    const help = 'Start it with more for them: `maskline serve --picture-cache 1024`.';
    throw new Failure({ ...problem, title: 'The server keeps no pictures', help });
  } else if (problem?.reason === 'busy' || problem?.reason === 'not_ready') {
    await new Promise((resolve) => setTimeout(resolve, 1000 * (problem.retryAfter ?? 0) || LATER));
  } else {
    own.failed = model;
    throw error;
  }
}

/**
 * @param {Flow} own
 * @param {Problem} problem
 */
function failed(own, problem) {
  if (problem.reason === 'unreachable' || problem.reason === 'unauthorized') {
    // Goes on when the server is back, or the key is there.
    own.failed = '';
  }
  tell({ stage: 'failed', problem });
  store.set({
    problem, isOnline: problem.reason === 'unreachable' ? false : store.now().isOnline,
    wantsKey: problem.reason === 'unauthorized' || store.now().wantsKey,
  });
}

/** Sends the picture again, to a server that has it no longer. */
export function sendAgain() {
  const own = flow;
  if (!own) {
    return Promise.resolve();
  }
  sending ??= keep(own.file, () => {}, own.controller.signal)
    .then(() => own.encoded.clear())
    .finally(() => {
      sending = null;
    });
  return sending;
}
