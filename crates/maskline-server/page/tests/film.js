/** A clip in the page, as a person sees and follows it. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { openPage } from './page.js';
import { folder } from './server.js';

/** @import {Opened, Opening, Place} from './page.js' */
/** @import {Locator, Request} from 'playwright-core' */

/**
 * What a server was asked about a video.
 * @typedef {object} Asked
 * @property {string} method
 * @property {string} path
 * @property {number|null} index of the frame
 * @property {string} way `look`, `forward` or `backward`
 * @property {any} json
 * @property {Buffer|null} file
 * @property {number} status
 * @property {any} answer
 */

/** A page with a clip, and what it asks about it. */
export class Film {
  /** @param {Opened} one */
  constructor(one) {
    this.one = one;
    this.page = one.page;
    /** @type {Asked[]} in the order of the answers */
    this.asked = [];
    /** How many questions were begun. */
    this.begun = 0;
    this.page.on('request', (request) => (this.begun += Number(isOfVideo(request))));
  }

  /** @param {Opening} opening */
  static async open(opening) {
    const film = new Film(await openPage(opening));
    await film.page.exposeFunction('tell', (/** @type {Told} */ told) => film.#hear(told));
    await film.page.evaluate(listen);
    return film;
  }

  /** @param {Told} told */
  #hear({ method, url, json, file, status, answer }) {
    const { pathname, searchParams } = new URL(url);
    const index = searchParams.get('index');
    this.asked.push({
      method, path: pathname, index: index === null ? null : Number(index),
      way: searchParams.get('track') === 'false' ? 'look' : searchParams.get('direction') ?? 'forward',
      json, file: file === null ? null : Buffer.from(file, 'base64'), status, answer,
    });
  }

  /** @param {string|string[]} files */
  async give(files) {
    await this.page.locator('#file').setInputFiles(files);
    await this.page.locator('#timeline').waitFor({ state: 'visible' });
    await this.one.until('the model is ready', async () => /ready/i.test((await this.page.locator('#model-state').textContent()) ?? ''));
    await this.one.settled();
  }

  /** @returns {Promise<number>} the frame that is shown */
  async frame() {
    return Number(await this.page.locator('#frame-told b').textContent());
  }

  /** @returns {Promise<number>} */
  async count() {
    return 1 + Number(await this.slider().getAttribute('max'));
  }

  /** @returns {Locator} */
  slider() {
    return this.page.getByRole('slider', { name: 'Frame', exact: true });
  }

  /** @param {number} index */
  async goTo(index) {
    await this.slider().fill(String(index));
    await this.one.until(`frame ${index}`, async () => (await this.frame()) === index);
    await this.one.settled();
  }

  /** @returns {Promise<string>} where objects were found and prompted, in words */
  async summary() {
    return (await this.page.locator('#frame-summary').textContent()) ?? '';
  }

  /** @returns {Promise<string>} what the timeline says */
  async note() {
    return (await this.page.locator('#track-told').textContent()) ?? '';
  }

  /**
   * Does something, and waits until the server was told of prompts.
   * @param {() => Promise<void>} act
   * @returns {Promise<Asked>} the last that it was told
   */
  async said(act) {
    const before = this.asked.length;
    await act();
    await this.one.until('the server is told', async () => this.asked.slice(before).some(isSaid));
    await this.one.settled();
    return /** @type {Asked} */ (this.asked.findLast(isSaid));
  }

  /** @param {Place} place @param {Parameters<Opened['clickAt']>[1]} [how] */
  click(place, how) {
    return this.said(() => this.one.clickAt(place, how));
  }

  /** Tracks, and waits until that is over. @param {'Track'|'Track back'} way @param {number} [frames] */
  async track(way, frames) {
    const field = this.page.getByRole('spinbutton', { name: 'Frames', exact: true });
    await field.fill(frames === undefined ? '' : String(frames));
    const before = this.asked.length;
    await this.one.press(way);
    await this.one.until('it is over', async () => this.asked.length > before && /tracked/.test(await this.note()));
    await this.one.settled();
    return this.asked.slice(before).filter(({ path, way: one }) => path.endsWith('/frames') && one !== 'look');
  }

  /** @returns {Promise<{name: string, lines: any[]}>} what is exported */
  async lines() {
    const begun = this.page.waitForEvent('download');
    await this.one.press('Export');
    const download = await begun;
    const path = join(folder, 'masks.jsonl');
    await download.saveAs(path);
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
    return { name: download.suggestedFilename(), lines: lines.map((line) => JSON.parse(line)) };
  }
}

/** @typedef {{method: string, url: string, json: any, file: string|null, status: number, answer: any}} Told `file` in base 64 */

/** In the page: tells what is asked about videos, with the files, which browsers do not tell of themselves. */
function listen() {
  const { fetch: ask } = window;
  const { tell } = /** @type {any} */ (window);
  /** @type {(file: Blob) => Promise<string>} */
  const base64 = async (file) => {
    const bytes = new Uint8Array(await file.arrayBuffer());
    return btoa(bytes.reduce((text, byte) => text + String.fromCharCode(byte), ''));
  };
  window.fetch = async (path, init = {}) => {
    const response = await ask(path, init);
    if (String(path).startsWith('/v1/video')) {
      const { method, body } = init;
      const answer = await response.clone().json().catch(() => null);
      const file = body instanceof Blob ? await base64(body) : null;
      const json = typeof body === 'string' ? JSON.parse(body) : null;
      await tell({ method, url: response.url, json, file, status: response.status, answer });
    }
    return response;
  };
}

/** @param {Request} request */
function isOfVideo(request) {
  return new URL(request.url()).pathname.startsWith('/v1/video');
}

/** @param {Asked} asked */
export function isSaid({ path, json }) {
  return path.endsWith('/objects') && json !== null;
}
