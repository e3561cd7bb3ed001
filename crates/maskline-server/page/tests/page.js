/** The page in a browser, as a person sees and uses it. */

import assert from 'node:assert/strict';
import { after, afterEach, before, describe } from 'node:test';
import { chromium } from 'playwright-core';
import { models } from './models.js';
import { endSharedServer, sharedServer } from './server.js';

/** @import {Browser, BrowserContext, BrowserContextOptions, Page, Request} from 'playwright-core' */

/** Longer than anything takes that is not broken. */
const PATIENCE = 40_000;
const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update',
  '--disable-sync',
];
export const LAUNCH = { executablePath: process.env.MASKLINE_CHROMIUM ?? '/usr/bin/chromium', args: FLAGS };

/** @type {Browser|null} */
let browser = null;
/** @type {Opened[]} */
let opened = [];

async function launched() {
  const shared = process.env.MASKLINE_PAGE_BROWSER;
  browser ??= shared ? await chromium.connect(shared) : await chromium.launch(LAUNCH);
  return browser;
}

/**
 * Tests that share a server and a browser. After each of them, no page may have written an error, or have met a failing request that
 * the test did not name.
 * @param {string} name
 * @param {() => void} tests
 */
export function scene(name, tests) {
  describe(name, { timeout: 300_000 }, () => {
    before(async () => {
      await Promise.all([launched(), sharedServer(models)]);
    });
    afterEach(async () => {
      const all = opened;
      opened = [];
      await Promise.all(all.map((one) => one.context.close()));
      assert.deepEqual(all.flatMap((one) => one.faults()), [], 'what the page complains of');
    });
    after(async () => {
      await browser?.close();
      browser = null;
      await endSharedServer();
    });
    tests();
  });
}

/**
 * @typedef {object} Opening
 * @property {string} [url] of another server than the shared one
 * @property {string} [path]
 * @property {number} [width]
 * @property {number} [height]
 * @property {number} [density] device pixels of a CSS pixel
 * @property {boolean} [isDark]
 * @property {boolean} [isTouch]
 * @property {Opened} [beside] a page whose storage this one shares, as another tab does
 */

/**
 * Opens the page in a fresh profile.
 * @param {Opening} [opening]
 */
export async function openPage(opening = {}) {
  const { width = 1440, height = 900, density = 1, isDark = false, isTouch = false } = opening;
  const url = opening.url ?? (await sharedServer(models)).url;
  /** @type {BrowserContextOptions} */
  const options = {
    viewport: { width, height }, deviceScaleFactor: density, colorScheme: isDark ? 'dark' : 'light', hasTouch: isTouch, isMobile: isTouch,
    reducedMotion: 'reduce', acceptDownloads: true,
  };
  const context = opening.beside?.context ?? (await (await launched()).newContext(options));
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  const one = new Opened(context, page);
  opened.push(one);
  await page.goto(url + (opening.path ?? '/'));
  return one;
}

/** @typedef {number[]} Place x and y in pixels of the picture */

/** What a server was asked, and what it answered. */
/** @typedef {{path: string, method: string, body: any, status: number, answer: any}} Exchange */

export class Opened {
  /**
   * @param {BrowserContext} context
   * @param {Page} page
   */
  constructor(context, page) {
    this.context = context;
    this.page = page;
    /** @type {Exchange[]} in the order of the answers */
    this.exchanges = [];
    /** @type {{method: string, path: string}[]} all that was asked of the interface, but for the state of the models */
    this.asked = [];
    /** @type {string[]} */
    this.complaints = [];
    /** @type {RegExp[]} complaints that a test is about */
    this.expected = [];
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') {
        this.complaints.push(`console: ${message.text()} ${message.location().url}`);
      }
    });
    page.on('pageerror', (error) => this.complaints.push(`thrown: ${error.stack}`));
    page.on('request', (request) => {
      const path = new URL(request.url()).pathname;
      if (path.startsWith('/v1/') && path !== '/v1/models') {
        this.asked.push({ method: request.method(), path });
      }
    });
    page.on('requestfailed', (request) => {
      // What the page itself calls off is no failure.
      if (request.failure()?.errorText !== 'net::ERR_ABORTED') {
        this.complaints.push(`request: ${request.method()} ${request.url()} ${request.failure()?.errorText}`);
      }
    });
    page.on('requestfinished', (request) => void this.#finished(request));
  }

  /** @param {Request} request */
  async #finished(request) {
    const path = new URL(request.url()).pathname;
    if (/^\/v1\/(segment|detect|embed|export)$/.test(path)) {
      const response = await request.response().catch(() => null);
      // Those of a page that was closed have no body any more.
      const answer = path === '/v1/export' ? null : await response?.json().catch(() => null);
      this.exchanges.push({ path, method: request.method(), body: request.postDataJSON(), status: response?.status() ?? 0, answer });
    }
  }

  /** Names what will go wrong. @param {RegExp} pattern */
  expect(pattern) {
    this.expected.push(pattern);
  }

  faults() {
    return this.complaints.filter((text) => !this.expected.some((pattern) => pattern.test(text)));
  }

  /**
   * @param {'button'|'combobox'|'slider'|'checkbox'|'textbox'|'radiogroup'|'radio'|'toolbar'} role
   * @param {string} name
   */
  get(role, name) {
    return this.page.getByRole(role, { name, exact: true });
  }

  /** @param {string} name */
  async press(name) {
    // The same button may stand in the header and where nothing is open yet.
    await this.get('button', name).filter({ visible: true }).first().click();
  }

  /** @param {string} name @returns {Promise<boolean>} whether a toggle is on */
  async isOn(name) {
    return (await this.get('button', name).first().getAttribute('aria-pressed')) === 'true';
  }

  /** @param {string} name of a model */
  async chooseModel(name) {
    await this.get('combobox', 'Model').selectOption(name);
  }

  /** Opens the sample, and waits until it can be clicked without waiting. */
  async sample() {
    await this.page.getByRole('button', { name: 'Try the sample', exact: true }).click();
    await this.ready();
  }

  /** @param {string} file */
  async openFile(file) {
    await this.page.locator('#file').setInputFiles(file);
  }

  /** Waits for the picture to be shown and encoded. */
  async ready() {
    await this.page.waitForFunction(() => /ready|cached/i.test(document.querySelector('#encoding')?.textContent ?? ''));
    await this.settled();
  }

  /** Waits until the picture stands where it is told to be, and all that is to be drawn was drawn. */
  async settled() {
    let before = '';
    for (let count = 0; count < 100; count += 1) {
      const now = JSON.stringify(await this.view());
      if (now === before) {
        break;
      }
      before = now;
      await this.page.waitForTimeout(60);
    }
    await this.page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
    await this.page.waitForTimeout(120);
  }

  /** @param {'main'|'compare'} [side] */
  overlay(side = 'main') {
    return this.page.locator(`.stage[data-side="${side}"] canvas.overlay`);
  }

  /**
   * @param {'main'|'compare'} [side]
   * @returns {Promise<{scale: number, x: number, y: number, left: number, top: number, width: number, height: number}>} `x` and `y`: of the
   *   picture's corner in the viewport; the others are the canvas'
   */
  async view(side = 'main') {
    return this.overlay(side).evaluate((canvas) => {
      const { left, top, width, height } = canvas.getBoundingClientRect();
      const { scale, x, y } = /** @type {HTMLElement} */ (canvas).dataset;
      return { scale: Number(scale), x: left + Number(x), y: top + Number(y), left, top, width, height };
    });
  }

  /**
   * @param {Place} place
   * @param {'main'|'compare'} [side]
   * @returns {Promise<{x: number, y: number}>} where it is in the viewport
   */
  async at([x, y], side = 'main') {
    const view = await this.view(side);
    return { x: view.x + x * view.scale, y: view.y + y * view.scale };
  }

  /**
   * @param {Place} place
   * @param {{button?: 'left'|'right', keys?: string[], side?: 'main'|'compare'}} [how]
   */
  async clickAt(place, { button = 'left', keys = [], side = 'main' } = {}) {
    const { x, y } = await this.at(place, side);
    await this.holding(keys, () => this.page.mouse.click(x, y, { button }));
  }

  /**
   * Does something while keys are down.
   * @param {string[]} keys
   * @param {() => Promise<void>} act
   */
  async holding(keys, act) {
    for (const key of keys) {
      await this.page.keyboard.down(key);
    }
    await act();
    for (const key of keys) {
      await this.page.keyboard.up(key);
    }
  }

  /**
   * @param {Place} from
   * @param {Place} to
   * @param {string[]} [keys] that are held meanwhile
   */
  async dragAt(from, to, keys = []) {
    const [begin, end] = [await this.at(from), await this.at(to)];
    await this.holding(keys, async () => {
      await this.page.mouse.move(begin.x, begin.y);
      await this.page.mouse.down();
      await this.page.mouse.move((begin.x + end.x) / 2, (begin.y + end.y) / 2, { steps: 3 });
      await this.page.mouse.move(end.x, end.y, { steps: 3 });
      await this.page.mouse.up();
    });
  }

  /**
   * Does something, and waits for the answer that it leads to.
   * @param {'segment'|'detect'} way
   * @param {() => Promise<void>} act
   * @param {(exchange: Exchange) => boolean} [isMeant]
   * @returns {Promise<Exchange>} the first one that is meant, after it was drawn
   */
  async answered(way, act, isMeant = () => true) {
    const before = this.exchanges.length;
    const hovers = (/** @type {Exchange} */ one) => one.body?.priority === 'low';
    await act();
    const until = Date.now() + PATIENCE;
    for (;;) {
      const found = this.exchanges.slice(before).find((one) => one.path === `/v1/${way}` && !hovers(one) && isMeant(one));
      if (found) {
        await this.settled();
        return found;
      }
      const lately = JSON.stringify(this.asked.slice(-5));
      assert.ok(Date.now() < until, `nothing was asked, or not answered: ${lately} ${await this.problem()}`);
      await this.page.waitForTimeout(20);
    }
  }

  /** Clicks and waits for the mask. @param {Place} place @param {Parameters<Opened['clickAt']>[1]} [how] */
  click(place, how) {
    return this.answered('segment', () => this.clickAt(place, how));
  }

  /** @returns {Promise<string>} what the user is told to have gone wrong; empty where nothing has */
  async problem() {
    const banner = this.page.locator('#problem');
    return (await banner.isVisible()) ? banner.innerText() : '';
  }

  /** @returns {import('playwright-core').Locator} */
  objects() {
    return this.page.locator('#objects > li[data-key]');
  }

  /** @returns {Promise<(string|null)[]>} names of the objects in the list */
  names() {
    return this.objects().getByRole('textbox', { name: 'Name', exact: true })
      .evaluateAll((inputs) => inputs.map((input) => /** @type {HTMLInputElement} */ (input).value || input.getAttribute('placeholder')));
  }

  /**
   * Waits until something is so.
   * @param {string} what
   * @param {() => Promise<boolean>} isSo
   * @param {number} [patience]
   */
  async until(what, isSo, patience = PATIENCE) {
    const end = Date.now() + patience;
    while (!(await isSo())) {
      assert.ok(Date.now() < end, `${what}: does not come. ${await this.problem()}`);
      await this.page.waitForTimeout(30);
    }
  }

  /**
   * What the eye sees at places of the picture: a screenshot's colours.
   * @param {Place[]} places
   * @param {'main'|'compare'} [side]
   * @returns {Promise<(number[]|null)[]>} red, green and blue; `null` for what lies beyond the canvas
   */
  async colours(places, side = 'main') {
    const view = await this.view(side);
    const density = await this.page.evaluate(() => devicePixelRatio);
    const at = places.map(([x, y]) => {
      const [left, top] = [view.x + x * view.scale, view.y + y * view.scale];
      const isIn = left > view.left && top > view.top && left < view.left + view.width && top < view.top + view.height;
      return isIn ? [Math.floor(left * density), Math.floor(top * density)] : null;
    });
    return pixels(this.page, at);
  }

  /**
   * What the eye sees in a part of the viewport.
   * @param {{x: number, y: number, width: number, height: number}} clip in CSS pixels
   * @returns {Promise<{width: number, height: number, data: number[]}>} in device pixels, four values each
   */
  async look(clip) {
    const seen = await shot(this.page, clip);
    const all = await seen.evaluate(({ width, height, data }) => ({ width, height, data: [...data] }));
    await seen.dispose();
    return all;
  }
}

/**
 * @param {Page} page
 * @param {(number[]|null)[]} places in device pixels
 * @returns {Promise<(number[]|null)[]>}
 */
async function pixels(page, places) {
  const seen = await shot(page);
  const colours = await seen.evaluate(({ width, data }, places) => {
    return places.map((place) => (place ? [0, 1, 2].map((channel) => data[4 * (place[1] * width + place[0]) + channel]) : null));
  }, places);
  await seen.dispose();
  return colours;
}

/**
 * What is seen, read where it is seen: whole pictures need not travel.
 * @param {Page} page
 * @param {{x: number, y: number, width: number, height: number}} [clip] in CSS pixels; left out, all of it
 */
async function shot(page, clip) {
  const png = (await page.screenshot({ clip, scale: 'device' })).toString('base64');
  return page.evaluateHandle(async (png) => {
    const image = new Image();
    image.src = `data:image/png;base64,${png}`;
    await image.decode();
    const canvas = new OffscreenCanvas(image.width, image.height);
    const context = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext('2d'));
    context.drawImage(image, 0, 0);
    return context.getImageData(0, 0, image.width, image.height);
  }, png);
}

/**
 * @param {number[]|null|undefined} one
 * @param {number[]|null|undefined} other
 * @returns {number} how far two colours are apart, in the channel where they are farthest
 */
export function difference(one, other) {
  return one && other ? Math.max(...one.map((value, channel) => Math.abs(value - other[channel]))) : 0;
}
