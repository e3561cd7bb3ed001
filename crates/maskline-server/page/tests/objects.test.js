/** The list of objects, keys, and what is changed without asking anybody. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { difference, openPage, scene } from './page.js';
import { APPLE, CUP, LEMON, ORANGE, PEAR } from './places.js';

/** @import {Opened} from './page.js' */

/** Within the masks of cup and apple, away from where they are clicked. */
const IN_CUP = [420, 420];
const IN_APPLE = [690, 470];

/** Cup and apple, two objects. */
async function withTwo() {
  const one = await openPage();
  await one.sample();
  await one.click(CUP);
  await one.click(APPLE, { keys: ['Shift'] });
  await one.page.mouse.move(1, 1);
  return one;
}

/**
 * @param {Opened} one
 * @param {number} index
 */
const row = (one, index) => one.objects().nth(index);

/**
 * @param {Opened} one
 * @param {number} index
 * @param {string} name
 */
const button = (one, index, name) => row(one, index).getByRole('button', { name, exact: true });

/**
 * Sets a slider as a hand does.
 * @param {Opened} one
 * @param {string} name
 * @param {number} value
 */
async function slide(one, name, value) {
  await one.get('slider', name).fill(String(value));
  await one.settled();
}

/** @param {Opened} one @returns {any[]} the prompts of the last question to the server */
function lastAsked(one) {
  return one.exchanges.filter(({ path }) => path === '/v1/segment').at(-1)?.body.prompts;
}

scene('objects', () => {
  test('objects are renamed, in one step each', async () => {
    const one = await withTwo();
    assert.deepEqual(await one.names(), ['object 1', 'object 2']);
    const name = row(one, 0).getByRole('textbox', { name: 'Name', exact: true });
    await name.fill('cup');
    await name.press('Enter');
    assert.deepEqual(await one.names(), ['cup', 'object 2']);
    await button(one, 0, 'cup').click();
    await one.press('Undo');
    assert.deepEqual(await one.names(), ['object 1', 'object 2']);
    await one.press('Redo');
    assert.deepEqual(await one.names(), ['cup', 'object 2']);
    // Keys of the page are letters here.
    await name.fill('');
    await name.pressSequentially('v b n h 1 ?');
    assert.equal(await name.inputValue(), 'v b n h 1 ?');
    assert.equal(await one.objects().count(), 2);
  });

  test('an object is hidden, shown and deleted', async () => {
    const one = await withTwo();
    const seen = await one.colours([IN_CUP, IN_APPLE]);
    await button(one, 0, 'Hide').click();
    await one.page.mouse.move(1, 1);
    await one.settled();
    const hidden = await one.colours([IN_CUP, IN_APPLE]);
    assert.ok(difference(seen[0], hidden[0]) > 12 && difference(seen[1], hidden[1]) <= 12, `${seen} ${hidden}`);
    await button(one, 0, 'Show').click();
    await one.page.mouse.move(1, 1);
    await one.settled();
    const again = await one.colours([IN_CUP]);
    assert.ok(difference(seen[0], again[0]) <= 12, `${seen[0]} ${again[0]}`);
    await button(one, 0, 'Delete').click();
    await one.page.mouse.move(1, 1);
    await one.settled();
    assert.equal(await one.objects().count(), 1);
    assert.ok(difference((await one.colours([IN_CUP]))[0], hidden[0]) <= 12);
    await one.press('Undo');
    assert.equal(await one.objects().count(), 2);
  });

  test('an object gets another colour', async () => {
    const one = await withTwo();
    await button(one, 0, 'object 1').click();
    await one.page.mouse.move(1, 1);
    await one.settled();
    const before = await one.colours([IN_CUP]);
    await button(one, 0, 'Colour').click();
    // A choice of colours, or the next one.
    const choice = one.page.getByRole('group', { name: 'Colours', exact: true });
    if (await choice.isVisible()) {
      await choice.getByRole('button').nth(4).click();
    }
    await one.page.mouse.move(1, 1);
    await one.settled();
    assert.ok(difference(before[0], (await one.colours([IN_CUP]))[0]) > 12);
    await one.press('Undo');
    await one.page.mouse.move(1, 1);
    await one.settled();
    assert.ok(difference(before[0], (await one.colours([IN_CUP]))[0]) <= 12);
  });

  test('clicks go to the object that is chosen in the list', async () => {
    const one = await withTwo();
    await button(one, 0, 'object 1').click();
    await one.click(LEMON, { button: 'right' });
    const [prompt] = lastAsked(one);
    assert.deepEqual(prompt.points.map((/** @type {number[]} */ point) => point[2]), [1, 0]);
    assert.ok(Math.abs(prompt.points[0][0] - CUP[0]) < 1.5);
  });

  test('opacity, outlines and colours ask nothing', async () => {
    const one = await withTwo();
    const asked = one.asked.length;
    const before = await one.colours([IN_APPLE]);
    await slide(one, 'Opacity', 0);
    const none = await one.colours([IN_APPLE]);
    await slide(one, 'Opacity', 0.9);
    const much = await one.colours([IN_APPLE]);
    assert.ok(difference(much[0], none[0]) > difference(before[0], none[0]) + 12, `${none} ${before} ${much}`);
    await slide(one, 'Opacity', 0.5);
    await one.get('checkbox', 'Outlines').check();
    await one.page.mouse.move(1, 1);
    await one.settled();
    const outlined = await one.colours([IN_APPLE]);
    assert.ok(difference(outlined[0], none[0]) < difference(before[0], none[0]) - 8, `${none} ${before} ${outlined}`);
    await one.get('checkbox', 'Outlines').uncheck();
    await one.get('checkbox', 'Safe colours').check();
    await one.page.mouse.move(1, 1);
    await one.settled();
    assert.ok(difference((await one.colours([IN_APPLE]))[0], before[0]) > 8);
    await slide(one, 'Score', 0.99);
    await slide(one, 'Overlap', 0.1);
    assert.equal(await one.objects().count(), 2, 'what was clicked for is not left out');
    assert.equal(one.asked.length, asked);
    // The next visit looks the same.
    await one.page.reload();
    assert.ok(await one.get('checkbox', 'Safe colours').isChecked());
  });

  test('keys choose tools and begin, end, hide, clear and delete objects', async () => {
    const one = await openPage();
    await one.sample();
    await one.click(CUP);
    const keys = one.page.keyboard;
    const before = { clicks: 0, count: 1 };
    await keys.press('b');
    assert.ok(await one.isOn('Box'));
    await keys.press('v');
    assert.ok((await one.isOn('Point')) && !(await one.isOn('Box')));
    // The next click begins another object, after N and after Enter.
    await keys.press('n');
    await one.click(APPLE);
    assert.equal(await one.objects().count(), before.count + 1);
    await keys.press('Enter');
    await one.click(PEAR);
    assert.equal(await one.objects().count(), before.count + 2);
    assert.equal(lastAsked(one).at(-1)?.points.length, 1);
    await keys.press('h');
    assert.ok(await button(one, 2, 'Show').isVisible(), 'hidden');
    await keys.press('h');
    assert.ok(await button(one, 2, 'Hide').isVisible());
    await keys.press('Delete');
    assert.equal(await one.objects().count(), before.count + 1);
    await keys.press('Control+z');
    assert.equal(await one.objects().count(), before.count + 2);
    await keys.press('Escape');
    await one.settled();
    // Its clicks are gone: one that follows is its only one.
    const again = await one.click(ORANGE);
    assert.equal(again.body.prompts.at(-1).points.length, 1);
    await keys.press('?');
    const help = one.page.locator('dialog#help');
    assert.ok(await help.isVisible());
    await keys.press('v');
    await keys.press('Escape');
    assert.ok(!(await help.isVisible()));
    const { scale } = await one.view();
    await keys.press('+');
    await one.settled();
    assert.ok((await one.view()).scale > scale);
    await keys.press('0');
    await one.settled();
    assert.ok(Math.abs((await one.view()).scale - scale) < 1e-6);
  });

  test('everything can be taken away, and comes back', async () => {
    const one = await withTwo();
    await one.press('Clear');
    assert.equal(await one.objects().count(), 0);
    await one.press('Undo');
    assert.equal(await one.objects().count(), 2);
    await one.settled();
    assert.ok(difference((await one.colours([IN_APPLE]))[0], [0, 0, 0]) > 0);
  });

  test('an object is pointed out from the list', async () => {
    const one = await withTwo();
    const before = await one.colours([IN_CUP, IN_APPLE]);
    await row(one, 0).hover();
    await one.settled();
    const over = await one.colours([IN_CUP, IN_APPLE]);
    assert.ok(difference(before[0], over[0]) > 4 || difference(before[1], over[1]) > 4, `${before} ${over}`);
  });
});
