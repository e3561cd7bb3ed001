/** Clicks and boxes: where they land, what they ask, and how they are taken back. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { difference, openPage, scene } from './page.js';
import { MIDDLES, squares } from './pictures.js';
import { APPLE, APPLE_BOX, CUP, LEMON, NOTHING, ORANGE, PEAR, PEAR_BOX } from './places.js';
import { mask } from './rle.js';

/** @import {Exchange, Opened, Place} from './page.js' */

/** @param {Exchange} exchange */
const prompts = (exchange) => exchange.body.prompts;

/**
 * @param {number[]} asked
 * @param {number[]} meant
 * @param {number} margin
 */
function assertNear(asked, meant, margin) {
  assert.equal(asked.length >= meant.length, true, `${asked}`);
  meant.forEach((value, index) => {
    assert.ok(Math.abs((asked[index] ?? NaN) - value) <= margin, `asked ${asked}, meant ${meant}, ${margin} allowed`);
  });
}

/**
 * The middle of the white square around a place of the viewport, by what is seen.
 * @param {Opened} one
 * @param {{x: number, y: number}} near
 * @param {number} radius
 */
async function seenMiddle(one, near, radius) {
  // Even numbers are whole pixels also of a screen that has three for two.
  const even = (/** @type {number} */ length) => 2 * Math.round(length / 2);
  const clip = { x: even(near.x - radius), y: even(near.y - radius), width: 2 * radius, height: 2 * radius };
  const { width, height, data } = await one.look(clip);
  let [sum, sumX, sumY] = [0, 0, 0];
  for (let index = 0; index < width * height; index += 1) {
    const light = Math.max(0, data[4 * index] - 60);
    sum += light;
    sumX += light * ((index % width) + 0.5);
    sumY += light * (Math.floor(index / width) + 0.5);
  }
  assert.ok(sum > 0, 'a square is seen');
  return { x: clip.x + (sumX / sum) * (clip.width / width), y: clip.y + (sumY / sum) * (clip.height / height) };
}

/**
 * Turns the wheel over a place of the picture until it has a size.
 * @param {Opened} one
 * @param {Place} place
 * @param {number} wanted
 */
async function zoomTo(one, place, wanted) {
  const before = await one.view();
  const turn = async (/** @type {number} */ by) => {
    const { x, y } = await one.at(place);
    await one.page.mouse.move(x, y);
    await one.page.mouse.wheel(0, by);
    await one.page.waitForTimeout(40);
    return (await one.view()).scale;
  };
  const sign = wanted > before.scale ? -1 : 1;
  const step = Math.abs(Math.log((await turn(sign * 100)) / before.scale));
  const scale = await turn((sign * 100 * Math.abs(Math.log(wanted / before.scale))) / step - sign * 100);
  await one.settled();
  assert.ok(Math.abs(Math.log(scale / wanted)) < 0.3, `${scale} in place of ${wanted}`);
}

scene('clicking', () => {
  const screens = [{ wanted: 0.3, density: 1 }, { wanted: 5, density: 1 }, { wanted: 0.3, density: 1.5 }, { wanted: 5, density: 2 }];
  for (const { wanted, density } of screens) {
    test(`a click at ${wanted} times the size, ${density} device pixels each, is asked for at the pixel that is seen`, async () => {
      const one = await openPage({ density });
      await one.openFile(squares());
      await one.ready();
      for (const middle of density === 1 ? MIDDLES : MIDDLES.slice(2)) {
        await one.press('Fit');
        await one.settled();
        await zoomTo(one, middle, wanted);
        const { scale } = await one.view();
        const told = await one.at(middle);
        const seen = await seenMiddle(one, told, Math.ceil(scale * 14) + 3);
        const click = { x: Math.round(seen.x), y: Math.round(seen.y) };
        const exchange = await one.answered('segment', () => one.page.mouse.click(click.x, click.y));
        const asked = prompts(exchange).at(-1).points.at(-1);
        // The pointer's pixel has a corner and a middle, half of one apart: both are right. Places are told with one decimal.
        const meant = [middle[0] + (click.x - seen.x) / scale, middle[1] + (click.y - seen.y) / scale];
        assertNear(asked, meant, 0.5 / scale + 0.06);
        await one.press('Clear');
        await one.settled();
      }
    });
  }

  test('a click asks for an object, the next one says more of it', async () => {
    const one = await openPage();
    await one.sample();
    const first = await one.click(APPLE);
    assert.equal(first.body.model, 'nano');
    assert.deepEqual(prompts(first).length, 1);
    assertNear(prompts(first)[0].points[0], [...APPLE, 1], 1);
    const second = await one.click([APPLE[0] + 40, APPLE[1]]);
    assert.equal(prompts(second)[0].points.length, 2);
    assert.equal(await one.objects().count(), 1);
  });

  test('a right click, Alt, and the toggle mean what is not the object', async () => {
    const one = await openPage();
    await one.sample();
    await one.click(CUP);
    const right = await one.click(LEMON, { button: 'right' });
    assertNear(prompts(right)[0].points[1], [...LEMON, 0], 1);
    const alt = await one.click(ORANGE, { keys: ['Alt'] });
    assertNear(prompts(alt)[0].points[2], [...ORANGE, 0], 1);
    await one.press('Negative');
    assert.ok(await one.isOn('Negative'));
    const toggled = await one.click(PEAR);
    assertNear(prompts(toggled)[0].points[3], [...PEAR, 0], 1);
    await one.press('Negative');
    const positive = await one.click([CUP[0] - 30, CUP[1]]);
    assert.equal(prompts(positive)[0].points[4][2], 1);
  });

  test('what is not the object, without an object, asks nothing and is told', async () => {
    const one = await openPage();
    await one.sample();
    await one.clickAt(CUP, { button: 'right' });
    await one.settled();
    assert.deepEqual(one.asked.filter(({ path }) => path === '/v1/segment'), []);
    assert.match((await one.page.locator('#said').textContent()) ?? '', /first/i);
    const { body } = await one.click(APPLE);
    assert.deepEqual(body.prompts.map((/** @type {any} */ prompt) => prompt.points.length), [1]);
  });

  test('a box is dragged, with its tool and without, in any direction', async () => {
    const one = await openPage();
    await one.sample();
    await one.press('Box');
    assert.ok(await one.isOn('Box') && !(await one.isOn('Point')));
    const { from, to } = APPLE_BOX;
    const box = await one.answered('segment', () => one.dragAt(to, from));
    assertNear(prompts(box)[0].box, [...from, ...to], 1.2);
    const found = mask(box.answer.objects[0].segmentation);
    assert.ok(found.has(APPLE[0], APPLE[1]) && !found.has(PEAR[0], PEAR[1]));
    await one.press('New object');
    await one.press('Point');
    const second = await one.answered('segment', () => one.dragAt(PEAR_BOX.from, PEAR_BOX.to));
    assertNear(prompts(second).at(-1).box, [...PEAR_BOX.from, ...PEAR_BOX.to], 1.2);
    assert.equal(await one.objects().count(), 2);
    // Beyond the border it ends there.
    await one.press('New object');
    await one.press('Box');
    const third = await one.answered('segment', () => one.dragAt([900, 600], [1100, 760]));
    assertNear(prompts(third).at(-1).box, [900, 600, 960, 640], 1.2);
  });

  test('undo and redo go through all steps, and ask nothing again', async () => {
    const one = await openPage();
    await one.sample();
    await one.click(CUP);
    await one.click([CUP[0] + 30, CUP[1]]);
    await one.click(APPLE, { keys: ['Shift'] });
    assert.equal(await one.objects().count(), 2);
    const asked = one.asked.length;
    const counts = [];
    for (let step = 0; step < 3; step += 1) {
      await one.page.keyboard.press('Control+z');
      counts.push(await one.objects().count());
    }
    assert.deepEqual(counts, [1, 1, 0]);
    assert.ok(await one.get('button', 'Undo').isDisabled());
    await one.page.keyboard.press('Control+Shift+Z');
    await one.page.keyboard.press('Control+y');
    await one.press('Redo');
    assert.equal(await one.objects().count(), 2);
    assert.ok(await one.get('button', 'Redo').isDisabled());
    await one.settled();
    assert.equal(one.asked.length, asked, 'answers are kept');
    // What comes after an undone step forgets it.
    await one.press('Undo');
    await one.click(PEAR, { keys: ['Shift'] });
    assert.ok(await one.get('button', 'Redo').isDisabled());
  });

  test('an object that was undone leaves its mask to no other one', async () => {
    const one = await openPage();
    await one.sample();
    const places = [[APPLE[0] + 45, APPLE[1]], [APPLE[0] - 45, APPLE[1]]];
    const plain = await one.colours(places);
    await one.click(APPLE);
    await one.until('the mask is seen', async () => difference((await one.colours(places))[0], plain[0]) > 8);
    await one.press('Undo');
    // The answer waits until all was looked at, however long that takes.
    let letGo = () => {};
    const looked = new Promise((resolve) => { letGo = () => resolve(null); });
    await one.page.route('**/v1/segment', async (route) => {
      await looked;
      await route.continue();
    });
    const response = one.page.waitForResponse('**/v1/segment');
    await one.clickAt(PEAR);
    await one.page.waitForTimeout(500);
    const waiting = await one.colours(places);
    assert.ok(waiting.every((colour, index) => difference(colour, plain[index]) <= 8), 'nothing is shown while the answer is awaited');
    letGo();
    await response;
  });

  test('a click is dragged elsewhere as one step, and taken away by a click on it', async () => {
    const one = await openPage();
    await one.sample();
    await one.click(CUP);
    const isThere = (/** @type {Exchange} */ exchange) => Math.abs(prompts(exchange)[0].points[0][0] - APPLE[0]) < 1.5;
    const moved = await one.answered('segment', () => one.dragAt(CUP, APPLE), isThere);
    assertNear(prompts(moved)[0].points[0], [...APPLE, 1], 1.2);
    assert.equal(prompts(moved)[0].points.length, 1);
    const inApple = await one.colours([[APPLE[0] + 45, APPLE[1]]]);
    await one.press('Undo');
    await one.settled();
    const plain = await one.colours([[APPLE[0] + 45, APPLE[1]]]);
    assert.ok(difference(inApple[0], plain[0]) > 12, 'the mask went back with it');
    await one.press('Redo');
    await one.click([APPLE[0] + 30, APPLE[1] + 30]);
    const fewer = await one.answered('segment', () => one.clickAt(APPLE));
    assert.equal(prompts(fewer)[0].points.length, 1, 'the first click is gone');
    assertNear(prompts(fewer)[0].points[0], [APPLE[0] + 30, APPLE[1] + 30], 1.2);
  });

  test('a box is made larger by its corner', async () => {
    const one = await openPage();
    await one.sample();
    await one.press('Box');
    const { from, to } = APPLE_BOX;
    await one.answered('segment', () => one.dragAt(from, to));
    const corner = [to[0] + 40, to[1] + 30];
    const isThere = (/** @type {Exchange} */ exchange) => Math.abs((prompts(exchange)[0].box ?? [])[2] - corner[0]) < 1.5;
    const larger = await one.answered('segment', () => one.dragAt(to, corner), isThere);
    assertNear(prompts(larger)[0].box, [...from, ...corner], 1.5);
    assert.equal(await one.objects().count(), 1);
  });

  test('Escape calls a drag off', async () => {
    const one = await openPage();
    await one.sample();
    await one.press('Box');
    const begin = await one.at([300, 300]);
    await one.page.mouse.move(begin.x, begin.y);
    await one.page.mouse.down();
    await one.page.mouse.move(begin.x + 80, begin.y + 80, { steps: 4 });
    await one.page.keyboard.press('Escape');
    await one.page.mouse.up();
    await one.settled();
    assert.equal(await one.objects().count(), 0);
    assert.deepEqual(one.asked.filter(({ path }) => path === '/v1/segment'), []);
  });

  test('a preview follows the pointer, and leaves with it', async () => {
    const one = await openPage();
    await one.sample();
    const places = [[APPLE[0] + 45, APPLE[1]], [APPLE[0] - 45, APPLE[1]]];
    const away = await one.at(NOTHING);
    await one.page.mouse.move(away.x, away.y);
    const plain = await one.colours(places);
    await one.press('Preview');
    assert.ok(await one.isOn('Preview'));
    const over = await one.at(APPLE);
    await one.page.mouse.move(over.x, over.y, { steps: 8 });
    await one.until('a preview is seen', async () => difference((await one.colours(places))[0], plain[0]) > 8);
    const low = one.exchanges.filter((exchange) => exchange.path === '/v1/segment');
    assert.ok(low.length > 0 && low.every(({ body }) => body.priority === 'low'), 'less urgent than clicks');
    assert.equal(await one.objects().count(), 0, 'nothing is done yet');
    await one.page.mouse.move(5, 5);
    await one.until('it leaves', async () => difference((await one.colours(places))[0], plain[0]) <= 8);
    // Far fewer questions than moves.
    const before = one.asked.length;
    for (let x = 0; x < 100; x += 1) {
      await one.page.mouse.move(over.x - 50 + x, over.y);
    }
    await one.settled();
    assert.ok(one.asked.length - before < 60, `${one.asked.length - before} questions for 100 moves`);
  });

  test('of three masks one is chosen', async () => {
    const one = await openPage();
    await one.sample();
    await one.chooseModel('sam');
    await one.ready();
    const exchange = await one.click(CUP);
    assert.deepEqual([exchange.body.model, exchange.body.multimask, exchange.answer.objects.length], ['sam', 'on', 3]);
    const group = one.get('radiogroup', 'Candidates');
    const radios = group.getByRole('radio');
    assert.equal(await radios.count(), 3);
    const scores = exchange.answer.objects.map((/** @type {{score: number}} */ object) => object.score);
    const best = scores.indexOf(Math.max(...scores));
    assert.ok(await radios.nth(best).isChecked(), 'the best one is shown');
    const masks = exchange.answer.objects.map((/** @type {any} */ object) => mask(object.segmentation));
    // Places that tell each pair of masks apart.
    for (const chosen of [0, 1, 2]) {
      const asked = one.asked.length;
      await one.page.locator('body').press(String(chosen + 1));
      await one.settled();
      assert.ok(await radios.nth(chosen).isChecked());
      assert.equal(one.asked.length, asked, 'choosing asks nothing');
      const places = [];
      for (let x = 37; x < 960; x += 55) {
        for (let y = 31; y < 640; y += 55) {
          const isClear = masks.every((/** @type {ReturnType<typeof mask>} */ one) => {
            return [[9, 0], [-9, 0], [0, 9], [0, -9], [9, 9], [-9, -9]].every(([dx, dy]) => one.has(x + dx, y + dy) === one.has(x, y));
          });
          if (isClear && Math.hypot(x - CUP[0], y - CUP[1]) > 40) {
            places.push([x, y]);
          }
        }
      }
      const shown = await one.colours(places);
      await one.objects().first().getByRole('button', { name: 'Hide', exact: true }).click();
      await one.settled();
      const plain = await one.colours(places);
      await one.objects().first().getByRole('button', { name: 'Show', exact: true }).click();
      await one.settled();
      const wrong = places.filter(([x, y], index) => (difference(shown[index], plain[index]) > 12) !== masks[chosen].has(x, y));
      assert.ok(wrong.length <= places.length / 20, `mask ${chosen + 1}: ${wrong.length} of ${places.length} places are wrong`);
    }
  });

  test('the picture is moved and fitted', async () => {
    const one = await openPage();
    await one.sample();
    const before = await one.view();
    await one.press('Pan');
    const middle = await one.at([480, 320]);
    await one.page.mouse.move(middle.x, middle.y);
    await one.page.mouse.wheel(0, -400);
    await one.settled();
    const larger = await one.view();
    assert.ok(larger.scale > before.scale * 1.2, `${before.scale} ${larger.scale}`);
    const still = await one.at([480, 320]);
    assert.ok(Math.hypot(still.x - middle.x, still.y - middle.y) < 1.5, 'what is under the pointer stays there');
    await one.dragAt([480, 320], [420, 300]);
    await one.settled();
    const moved = await one.view();
    assert.ok(Math.abs(moved.x - larger.x + 60 * larger.scale) < 2, `${larger.x} ${moved.x}`);
    assert.deepEqual(one.asked.filter(({ path }) => path === '/v1/segment'), []);
    await one.press('100 %');
    await one.settled();
    assert.equal((await one.view()).scale, 1);
    await one.press('Fit');
    await one.settled();
    assert.ok(Math.abs((await one.view()).scale - before.scale) < 1e-6);
  });
});
