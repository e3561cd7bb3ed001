/** A command: pictures of the page in its states, widths and themes. `node tests/shots.js FOLDER` */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { models } from './models.js';
import { LAUNCH, Opened } from './page.js';
import { APPLE_BOX, CUP } from './places.js';
import { Served } from './server.js';

/** @type {Record<string, (one: Opened) => Promise<void>>} each state goes on from the one before */
const STATES = {
  empty: async () => {},
  mask: async (one) => {
    await one.sample();
    await one.click(CUP);
  },
  everything: async (one) => {
    await one.press('New object');
    await one.press('Box');
    await one.answered('segment', () => one.dragAt(APPLE_BOX.from, APPLE_BOX.to));
    await one.answered('segment', () => one.press('Everything'));
    await one.until('masks are listed', async () => (await one.objects().count()) > 3);
  },
  words: async (one) => {
    await one.press('Clear');
    await one.chooseModel('words');
    await one.ready();
    await one.press('Words');
    const field = one.get('textbox', 'Look for');
    if (!(await field.isVisible())) {
      await one.press('Panels');
    }
    await one.answered('detect', async () => {
      await field.fill('cat');
      await one.press('Add');
    });
  },
};

const [folder] = process.argv.slice(2);
if (!folder) {
  console.error('usage: node tests/shots.js FOLDER');
  process.exit(2);
}
mkdirSync(folder, { recursive: true });
const served = await Served.start(await models());
const browser = await chromium.launch(LAUNCH);
for (const { width, height } of [{ width: 1440, height: 900 }, { width: 820, height: 1100 }, { width: 380, height: 780 }]) {
  for (const theme of /** @type {const} */ (['light', 'dark'])) {
    const isSmall = width < 1000;
    const context = await browser.newContext({
      viewport: { width, height }, colorScheme: theme, hasTouch: isSmall, isMobile: isSmall, deviceScaleFactor: isSmall ? 2 : 1,
    });
    const one = new Opened(context, await context.newPage());
    await one.page.goto(served.url);
    for (const [state, reach] of Object.entries(STATES)) {
      await reach(one);
      await one.page.mouse.move(1, 1);
      await one.page.waitForTimeout(300);
      await one.page.screenshot({ path: join(folder, `${state}-${width}-${theme}.png`) });
    }
    await context.close();
  }
}
await browser.close();
await served.kill();
process.exit(0);
