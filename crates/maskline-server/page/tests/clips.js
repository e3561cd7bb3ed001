/** Clips of the tests, made here: pictures one after the other, and a video that the browser records. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { png, write } from './pictures.js';
import { folder } from './server.js';

/** @import {Opened} from './page.js' */

/** Sides of the frames. */
export const SIZE = { width: 96, height: 64 };
/** Where the disc is on the first frame, how far it moves with each frame, and how large it is. */
export const DISC = { x: 20, y: 30, step: 4, radius: 11 };

/** @param {number} index @returns {number[]} the middle of the disc on a frame */
export function middle(index) {
  return [DISC.x + DISC.step * index, DISC.y];
}

/**
 * Files of frames: a disc that goes from left to right. A square in the corner has a shade for each frame.
 * @param {number} count
 * @param {{width: number, height: number}} [size]
 * @returns {string[]} not in the order of the frames
 */
export function pictures(count, { width, height } = SIZE) {
  const files = Array.from({ length: count }, (_, index) => {
    const [x0 = 0, y0 = 0] = middle(index);
    const paint = (/** @type {number} */ x, /** @type {number} */ y) => {
      if (x < 16 && y < 12) {
        return [shade(index), shade(index), shade(index)];
      }
      return Math.hypot(x + 0.5 - x0, y + 0.5 - y0) < DISC.radius ? [230, 200, 60] : [40 + ((x * 31 + y * 17) % 23), 60, 90];
    };
    return write(`shot${index + 1}-${width}.png`, png({ width, height, depth: 8, kind: 2, paint }));
  });
  return files.reverse();
}

/** @param {number} index @returns {number} what the corner of a frame has */
export function shade(index) {
  return 20 + 16 * index;
}

/**
 * Has the browser record a video of such frames.
 * @param {Opened} one
 * @param {number} count
 * @returns {Promise<string|null>} its path; null where the browser cannot
 */
export async function recorded(one, count) {
  const shades = Array.from({ length: count }, (_, index) => ({ shade: shade(index), at: middle(index) }));
  const base64 = await one.page.evaluate(async ({ shades, disc, size }) => {
    const type = 'video/webm;codecs=vp8';
    if (!('MediaRecorder' in window) || !MediaRecorder.isTypeSupported(type)) {
      return null;
    }
    const canvas = Object.assign(document.createElement('canvas'), { width: 2 * size.width, height: 2 * size.height });
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    context.scale(2, 2);
    const stream = canvas.captureStream(0);
    const recorder = new MediaRecorder(stream, { mimeType: type, videoBitsPerSecond: 4e6 });
    /** @type {Blob[]} */
    const parts = [];
    recorder.addEventListener('dataavailable', ({ data }) => parts.push(data));
    const isOver = new Promise((done) => recorder.addEventListener('stop', done));
    recorder.start();
    for (const { shade, at: [x = 0, y = 0] } of shades) {
      context.fillStyle = '#2a3c5a';
      context.fillRect(0, 0, size.width, size.height);
      context.fillStyle = `rgb(${shade} ${shade} ${shade})`;
      context.fillRect(0, 0, 16, 12);
      context.fillStyle = '#e6c83c';
      context.beginPath();
      context.arc(x, y, disc.radius, 0, 7);
      context.fill();
      /** @type {CanvasCaptureMediaStreamTrack} */ (stream.getVideoTracks()[0]).requestFrame();
      await new Promise((done) => setTimeout(done, 100));
    }
    recorder.stop();
    await isOver;
    const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
    return btoa([...bytes].map((byte) => String.fromCharCode(byte)).join(''));
  }, { shades, disc: DISC, size: SIZE });
  if (base64 === null) {
    return null;
  }
  const path = join(folder, 'recorded.webm');
  writeFileSync(path, Buffer.from(base64, 'base64'));
  return path;
}
