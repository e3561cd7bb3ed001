/** Clips from files: a video that the browser plays, or pictures one after the other. */

/** @import {Source} from './footage.js' */
/** @import {Timing} from './timing.js' */

import { middleOf, timingOf } from './timing.js';

const VIDEO_NAMES = /\.(mp4|m4v|mov|webm|mkv|ogv|avi|mpe?g|ts|3gp)$/i;
/** Pictures that the server reads as the browser does are sent as they are. */
const SENT_AS_THEY_ARE = new Set(['image/jpeg', 'image/png', 'image/webp', 'image/bmp']);
/** Milliseconds until a video must have told what it is, and until a frame must be there. */
const PATIENCE = { opening: 20_000, frame: 15_000 };
/** Milliseconds after seeking in which browsers say which frame is shown. */
const TOLD = 200;
/** Where a video without a duration is sent to find its end. */
const BEYOND = 1e9;

/** @param {File} file */
export function isVideo(file) {
  return file.type.startsWith('video/') || (!file.type.startsWith('image/') && VIDEO_NAMES.test(file.name));
}

/**
 * Pictures in the order in which people count: 2 before 10.
 * @param {readonly File[]} files
 * @returns {Promise<Source>}
 * @throws {Error} where the first one cannot be shown
 */
export async function picturesOf(files) {
  const order = new Intl.Collator('en', { numeric: true });
  const all = [...files].sort((a, b) => order.compare(a.name, b.name));
  const [file] = all;
  if (!file) {
    throw new Error('there are no pictures');
  }
  const read = async (/** @type {number} */ index) => {
    const one = all[index] ?? file;
    const bitmap = await createImageBitmap(one).catch(() => {
      throw new Error(`${one.name} cannot be shown: is it a picture that this browser knows?`);
    });
    return { bitmap, file: SENT_AS_THEY_ARE.has(one.type) ? one : null };
  };
  const { bitmap } = await read(0);
  const { width, height } = bitmap;
  bitmap.close();
  const name = `${file.name} … ${all.at(-1)?.name ?? ''}`;
  return { name, file, width, height, count: all.length, rate: null, start: 0, isEven: true, read, close: () => {} };
}

/**
 * @param {File} file
 * @returns {Promise<Source>}
 * @throws {Error} where the browser cannot play it
 */
export async function videoOf(file) {
  const address = URL.createObjectURL(file);
  const video = document.createElement('video');
  Object.assign(video, { muted: true, preload: 'auto', playsInline: true });
  const close = () => {
    video.removeAttribute('src');
    video.load();
    URL.revokeObjectURL(address);
  };
  try {
    const isLoaded = happened(video, 'loadeddata', PATIENCE.opening);
    video.src = address;
    await isLoaded;
    if (video.videoWidth === 0) {
      throw new Error('it has no pictures, only sound');
    }
    const timing = await timingOf(await durationOf(video), (time) => look(video, time));
    return sourceOf(file, video, { timing, close });
  } catch (error) {
    close();
    throw error;
  }
}

/**
 * @param {File} file
 * @param {HTMLVideoElement} video
 * @param {{timing: Timing, close: () => void}} of
 * @returns {Source}
 */
function sourceOf(file, video, { timing, close }) {
  /** One frame is looked for after the other. @type {Promise<unknown>} */
  let last = Promise.resolve();
  const { videoWidth: width, videoHeight: height } = video;
  const read = (/** @type {number} */ index) => {
    const next = last.then(async () => {
      await look(video, Math.min(middleOf(timing, index), video.duration));
      return { bitmap: await createImageBitmap(video), file: null };
    });
    last = next.catch(() => undefined);
    return next;
  };
  const { start, period, count, isEven } = timing;
  return { name: file.name, file, width, height, count, rate: 1 / period, start, isEven, read, close };
}

/**
 * Some recorders write none: it is known once the end was looked for.
 * @param {HTMLVideoElement} video
 */
async function durationOf(video) {
  if (!Number.isFinite(video.duration)) {
    const isKnown = happened(video, 'durationchange', PATIENCE.opening, () => Number.isFinite(video.duration));
    video.currentTime = BEYOND;
    await isKnown;
    // What is shown of the end is not to be taken for what comes after it.
    await look(video, 0);
  }
  return video.duration;
}

/**
 * Has a video show what is there at a time.
 * @param {HTMLVideoElement} video
 * @param {number} time in seconds
 * @returns {Promise<number|null>} from when on that is shown, where the browser says it
 */
async function look(video, time) {
  const told = shownFrom(video);
  const isThere = happened(video, 'seeked', PATIENCE.frame);
  video.currentTime = time;
  await isThere;
  return told();
}

/**
 * @param {HTMLVideoElement} video
 * @returns {() => Promise<number|null>} what the next frame that is shown says, if it does soon
 */
function shownFrom(video) {
  if (!('requestVideoFrameCallback' in video)) {
    return async () => null;
  }
  let handle = 0;
  /** @type {Promise<number|null>} */
  const told = new Promise((resolve) => {
    handle = video.requestVideoFrameCallback((_, { mediaTime }) => resolve(mediaTime));
  });
  return () => Promise.race([told, new Promise((resolve) => setTimeout(() => {
    video.cancelVideoFrameCallback(handle);
    resolve(null);
  }, TOLD))]);
}

/**
 * @param {HTMLVideoElement} video
 * @param {string} event
 * @param {number} patience in milliseconds
 * @param {() => boolean} [isMeant]
 * @returns {Promise<void>}
 */
function happened(video, event, patience, isMeant = () => true) {
  return new Promise((resolve, reject) => {
    const controller = new AbortController();
    const end = (/** @type {() => void} */ done) => {
      controller.abort();
      clearTimeout(timer);
      done();
    };
    const late = new Error('it does not come to an end of reading it');
    const timer = setTimeout(() => end(() => reject(late)), patience);
    const { signal } = controller;
    video.addEventListener(event, () => isMeant() && end(resolve), { signal });
    video.addEventListener('error', () => end(() => reject(new Error(whyOf(video.error)))), { signal });
  });
}

/** @param {MediaError|null} error */
function whyOf(error) {
  const isUnknown = error?.code === MediaError.MEDIA_ERR_SRC_NOT_SUPPORTED;
  return isUnknown ? 'this browser does not know its format, or the file is damaged' : error?.message || 'the file is damaged';
}
