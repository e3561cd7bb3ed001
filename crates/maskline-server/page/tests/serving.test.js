/** Servers that go away, want a key, have limits; and two tabs. */

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openPage, scene } from './page.js';
import { deep, huge } from './pictures.js';
import { APPLE, CUP } from './places.js';
import { Served, folder } from './server.js';

/** @type {Served[]} */
const own = [];

/** @param {string[]} given */
async function served(given) {
  const one = await Served.start(given);
  own.push(one);
  return one;
}

scene('serving', () => {
  after(async () => {
    await Promise.all(own.map((one) => one.kill()));
  });

  test('a server that goes away is told of, and once it is back, all goes on', async () => {
    const server = await served(['nano']);
    const one = await openPage({ url: server.url });
    one.expect(/ERR_CONNECTION_REFUSED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET|Failed to fetch/);
    // The new server has not kept the picture.
    one.expect(/404/);
    await one.sample();
    await one.click(CUP);
    await server.kill();
    await one.until('it is said', async () => (await one.problem()) !== '', 15_000);
    assert.match(await one.problem(), /maskline serve|server/);
    assert.equal(await one.objects().count(), 1, 'what was done is still there');
    // What is clicked meanwhile is asked later.
    await one.clickAt(APPLE, { keys: ['Shift'] });
    await server.restart();
    await one.until('the banner goes', async () => (await one.problem()) === '', 15_000);
    const isOfApple = (/** @type {any} */ prompt) => Math.abs(prompt.points[0][0] - APPLE[0]) < 2;
    await one.until('the click is answered', async () => one.exchanges.some(({ path, status, body }) => {
      return path === '/v1/segment' && status === 200 && body.prompts.some(isOfApple);
    }));
    await one.ready();
    const { status } = await one.click([CUP[0] + 20, CUP[1]], { keys: ['Shift'] });
    assert.equal(status, 200);
    assert.equal(await one.objects().count(), 3);
    assert.equal(await one.problem(), '');
  });

  test('a picture of too many pixels is refused before it is sent, and it is said what to do', async () => {
    const server = await served(['nano', '--max-pixels', '50000000']);
    const one = await openPage({ url: server.url });
    await one.sample();
    const sent = one.asked.filter(({ method }) => method === 'PUT').length;
    await one.openFile(huge());
    await one.until('it is said', async () => (await one.problem()) !== '');
    assert.match(await one.problem(), /--max-pixels/);
    assert.match(await one.problem(), /60/);
    assert.equal(one.asked.filter(({ method }) => method === 'PUT').length, sent);
    // The picture from before is still there.
    await one.click(CUP);
    assert.equal(await one.objects().count(), 1);
  });

  test('60 megapixels are clicked where they may be', async () => {
    const one = await openPage();
    await one.openFile(huge());
    await one.ready();
    const { body } = await one.click([7000, 2000]);
    const { scale } = await one.view();
    assert.ok(Math.abs(body.prompts[0].points[0][0] - 7000) <= 0.5 / scale + 0.1);
  });

  test('a key is asked for, and used', async () => {
    const keys = join(folder, 'keys.txt');
    writeFileSync(keys, 'open-sesame-open-sesame\n');
    const server = await served(['nano', '--api-key-file', keys]);
    const one = await openPage({ url: server.url });
    one.expect(/401/);
    const dialog = one.page.locator('dialog#key');
    await dialog.waitFor({ state: 'visible' });
    const field = dialog.getByLabel('Key', { exact: true });
    const use = dialog.getByRole('button', { name: 'Use', exact: true });
    await field.fill('wrong');
    await use.click();
    await one.page.waitForTimeout(1500);
    await one.until('it asks again', () => dialog.isVisible());
    await field.fill('open-sesame-open-sesame');
    await use.click();
    await dialog.waitFor({ state: 'hidden' });
    await one.sample();
    const { status } = await one.click(CUP);
    assert.equal(status, 200);
    // It is kept for this tab.
    await one.page.reload();
    await one.until('the model is ready', async () => /ready/i.test((await one.page.locator('#model-state').textContent()) ?? ''));
    assert.ok(!(await dialog.isVisible()));
    const stored = await one.page.evaluate(() => JSON.stringify(localStorage));
    assert.ok(!stored.includes('open-sesame-open-sesame'), 'and nowhere else');
  });

  test('two tabs do not disturb each other', async () => {
    const one = await openPage();
    await one.sample();
    await one.click(CUP);
    const two = await openPage({ beside: one });
    await two.openFile(deep());
    await two.ready();
    await two.click([100, 100]);
    await two.click([190, 120], { keys: ['Shift'] });
    assert.deepEqual([await one.objects().count(), await two.objects().count()], [1, 2]);
    await two.chooseModel('sam');
    await one.page.bringToFront();
    await one.press('Undo');
    assert.deepEqual([await one.objects().count(), await two.objects().count()], [0, 2]);
    const { body } = await one.click(APPLE);
    assert.equal(body.model, 'nano');
  });

  test('a server that forgets pictures is sent them again', async () => {
    const server = await served(['nano', '--picture-cache', '0', '--embedding-cache', '0']);
    const one = await openPage({ url: server.url });
    one.expect(/404|413/);
    await one.page.getByRole('button', { name: 'Try the sample', exact: true }).click();
    await one.page.waitForTimeout(1500);
    await one.clickAt(CUP);
    await one.page.waitForTimeout(1500);
    // Whatever it can do with such a server, it says.
    const isAnswered = one.exchanges.some(({ path, status }) => path === '/v1/segment' && status === 200);
    assert.ok(isAnswered || (await one.problem()) !== '', JSON.stringify(one.asked));
    assert.ok(one.asked.length < 40, `${one.asked.length} questions: no storm`);
  });
});
