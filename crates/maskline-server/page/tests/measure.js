/**
 * A command: how long from a click to the pixels of its mask, beside what the decoder took of it, on the sample and on 40 megapixels.
 * `node tests/measure.js`; time it with a release build (MASKLINE_BINARY). With `--keep` the objects stay, so that there are more and more.
 */

import { LAUNCH, Opened } from './page.js';
import { large } from './pictures.js';
import { SAMPLE, Served } from './server.js';
import { chromium } from 'playwright-core';

const CLICKS = 50;
const KEEPS = process.argv.includes('--keep');

/**
 * @param {number[]} values
 * @param {number} part
 */
const quantile = (values, part) => [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * part))];

/** @typedef {{name: string, file: string, width: number, height: number}} Case */

/** What the page itself notes down: asking it while it draws would keep it from drawing. */
function note() {
  const strip = /** @type {Element} */ (document.querySelector('#strip'));
  /** @type {{ups: number[], told: {at: number, pixels: number}[]}} */
  const notes = { ups: [], told: [] };
  Object.assign(window, { notes });
  performance.setResourceTimingBufferSize(5000);
  addEventListener('pointerup', ({ timeStamp }) => notes.ups.push(timeStamp), true);
  new MutationObserver(() => {
    const pixels = /click to pixels\D*([\d.]+) ms/.exec(strip.textContent ?? '')?.[1];
    if (pixels) {
      notes.told.push({ at: performance.now(), pixels: Number(pixels) });
    }
  }).observe(strip, { subtree: true, childList: true, characterData: true });
}

/** @returns {{pixels: number, decoder: number, server: number}[]} of each click */
function noted() {
  const { ups, told } = /** @type {any} */ (window).notes;
  const all = /** @type {PerformanceResourceTiming[]} */ (performance.getEntriesByType('resource'));
  const asked = all.filter(({ name }) => name.endsWith('/v1/segment'));
  return ups.flatMap((/** @type {number} */ up) => {
    const entry = asked.find(({ startTime }) => startTime >= up - 5 && startTime < up + 300);
    const { pixels } = told.find((/** @type {{at: number}} */ { at }) => at > up && at < up + 600) ?? {};
    const stage = (/** @type {string} */ wanted) => entry?.serverTiming.find(({ name }) => name === wanted)?.duration ?? NaN;
    return entry && pixels ? [{ pixels, decoder: stage('mask_decode'), server: stage('total') }] : [];
  });
}

/**
 * Clicks on an object, again and again: the pointer is there before the click, as a hand's is, and the object goes
 * afterwards, or stays beside the next one.
 * @param {Opened} one
 * @param {Case} picture
 */
async function measured(one, { file, width, height }) {
  await one.openFile(file);
  await one.page.waitForTimeout(500);
  await one.ready();
  await one.page.evaluate(note);
  for (let count = 0; count <= CLICKS; count += 1) {
    // Places all over the picture, in an order that looks like none.
    const [across, down] = [(count * 0.618) % 1, (count * 0.383) % 1];
    const { x, y } = await one.at([(0.05 + 0.9 * across) * width, (0.05 + 0.9 * down) * height], 'main');
    await one.page.mouse.move(x, y);
    await one.page.waitForTimeout(300);
    await one.page.mouse.down();
    await one.page.mouse.up();
    await one.page.waitForTimeout(500);
    await one.page.keyboard.press(KEEPS ? 'n' : 'Control+z');
    await one.page.waitForTimeout(150);
  }
  // The first one warms up.
  return (await one.page.evaluate(noted)).slice(1);
}

const served = await Served.start(['nano']);
const browser = await chromium.launch(LAUNCH);
const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
const page = await context.newPage();
const one = new Opened(context, page);
await page.goto(served.url);
const heads = ['click to pixels', 'mask decoder', 'server in all', 'beyond the decoder'];
console.log(`${'picture'.padEnd(14)}${heads.map((head) => head.padEnd(24)).join('')}`);
for (const picture of [
  { name: 'sample', file: SAMPLE, width: 960, height: 640 }, { name: '40 megapixels', file: large(), width: 8000, height: 5000 },
]) {
  const all = await measured(one, picture);
  const columns = [
    all.map(({ pixels }) => pixels), all.map(({ decoder }) => decoder), all.map(({ server }) => server),
    all.map(({ pixels, decoder }) => pixels - decoder),
  ];
  const cells = columns.map((values) => `${quantile(values, 0.5).toFixed(1)} ms, p95 ${quantile(values, 0.95).toFixed(1)}`.padEnd(24));
  console.log(`${picture.name.padEnd(14)}${cells.join('')}`);
}
await browser.close();
await served.kill();
process.exit(0);
