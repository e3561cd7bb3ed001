/** For everybody: axe-core's rules, the keyboard alone, small screens and fingers. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isAccessible } from './axe.js';
import { openPage, scene } from './page.js';
import { APPLE, CUP } from './places.js';
import { mask } from './rle.js';

/** @import {Opened} from './page.js' */

/** @param {Opened} one @param {string} state */
async function fits(one, state) {
  const { wide, whole } = await one.page.evaluate(() => ({ wide: document.documentElement.scrollWidth, whole: innerWidth }));
  assert.ok(wide <= whole, `${state}: ${wide} pixels on a screen of ${whole}`);
}

scene('access', () => {
  for (const isDark of [false, true]) {
    test(`no rule is broken, ${isDark ? 'dark' : 'light'}`, async () => {
      const one = await openPage({ isDark });
      await isAccessible(one, 'empty');
      await one.sample();
      await one.click(CUP);
      await one.click(APPLE, { keys: ['Shift'] });
      await isAccessible(one, 'two objects');
      await one.chooseModel('words');
      await one.ready();
      await one.press('Words');
      await one.answered('detect', async () => {
        await one.get('textbox', 'Look for').fill('cat');
        await one.get('button', 'Add').click();
      });
      await isAccessible(one, 'words');
      await one.press('Help');
      assert.ok(await one.page.locator('dialog#help').isVisible());
      await isAccessible(one, 'help');
      await one.page.keyboard.press('Escape');
      await one.chooseModel('sam');
      await one.press('Point');
      await one.ready();
      await one.press('New object');
      await one.click([300, 200]);
      await isAccessible(one, 'candidates');
      await one.get('combobox', 'Compare with').selectOption('other');
      await one.overlay('compare').waitFor();
      await one.settled();
      await isAccessible(one, 'two models');
    });
  }

  test('the theme is chosen, and stays', async () => {
    const one = await openPage();
    const ground = () => one.page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await ground();
    for (let press = 0; press < 3 && (await ground()) === light; press += 1) {
      await one.press('Theme');
    }
    const dark = await ground();
    assert.notEqual(dark, light);
    await one.page.reload();
    await one.until('it is dark again', async () => (await ground()) === dark);
  });

  test('an object is had by the keyboard alone', async () => {
    const one = await openPage();
    const keys = one.page.keyboard;
    const sample = one.page.getByRole('button', { name: 'Try the sample', exact: true });
    /** @param {string} what @param {() => Promise<boolean>} isThere */
    const tabTo = async (what, isThere) => {
      for (let count = 0; count < 80; count += 1) {
        if (await isThere()) {
          return;
        }
        await keys.press('Tab');
      }
      assert.fail(`${what} is not reached`);
    };
    await tabTo('the sample', () => sample.evaluate((button) => button === document.activeElement));
    await keys.press('Enter');
    await one.ready();
    const overlay = one.overlay();
    await tabTo('the picture', () => overlay.evaluate((canvas) => canvas === document.activeElement));
    assert.equal(await overlay.getAttribute('role'), 'application');
    // The crosshair begins in the middle, where the cup is.
    await keys.press('ArrowLeft');
    await keys.press('ArrowDown');
    const { body, answer } = await one.answered('segment', () => keys.press('Space'));
    const [x, y, isPositive] = body.prompts[0].points[0];
    assert.equal(isPositive, 1);
    assert.ok(Math.abs(x - 480) < 60 && Math.abs(y - 320) < 60, `${x}, ${y}`);
    assert.ok(mask(answer.objects[0].segmentation).has(x, y));
    for (let count = 0; count < 5; count += 1) {
      await keys.press('ArrowUp');
    }
    const second = await one.answered('segment', () => keys.press('Shift+Space'));
    const [, [x2, y2, isOther]] = second.body.prompts[0].points;
    assert.ok(isOther === 0 && Math.abs(x2 - x) < 1 && y2 < y);
    // A step with Shift is one pixel of the picture.
    await keys.press('Shift+ArrowRight');
    const third = await one.answered('segment', () => keys.press('Space'));
    assert.ok(Math.abs(third.body.prompts[0].points[2][0] - x2 - 1) < 0.11, `${third.body.prompts[0].points}`);
    assert.match((await one.page.locator('#said').textContent()) ?? '', /\d/);
  });

  for (const { width, height } of [{ width: 380, height: 780 }, { width: 820, height: 1100 }]) {
    test(`fingers, ${width} pixels wide`, async () => {
      const one = await openPage({ width, height, isTouch: true, density: 2 });
      await fits(one, 'empty');
      await one.page.getByRole('button', { name: 'Try the sample', exact: true }).tap();
      await one.ready();
      await fits(one, 'loaded');
      const at = await one.at(CUP);
      const first = await one.answered('segment', () => one.page.touchscreen.tap(at.x, at.y));
      const { scale } = await one.view();
      const [x, y, isPositive] = first.body.prompts[0].points[0];
      assert.ok(Math.hypot(x - CUP[0], y - CUP[1]) <= 1 / scale && isPositive === 1, `${x}, ${y}`);
      await fits(one, 'one mask');
      // A long press is what is not meant.
      const protocol = await one.context.newCDPSession(one.page);
      const place = await one.at(APPLE);
      const long = await one.answered('segment', async () => {
        await protocol.send('Input.dispatchTouchEvent', { type: 'touchStart', touchPoints: [place] });
        await one.page.waitForTimeout(700);
        await protocol.send('Input.dispatchTouchEvent', { type: 'touchEnd', touchPoints: [] });
      });
      assert.equal(long.body.prompts[0].points[1][2], 0);
      await isPinched(one, protocol);
      // Whatever can be pressed is large enough for a finger.
      const small = await one.page.getByRole('button').filter({ visible: true }).evaluateAll((buttons) => {
        return buttons.map((button) => ({ name: button.textContent?.trim(), box: button.getBoundingClientRect() }))
          .filter(({ box }) => box.width > 0 && Math.min(box.width, box.height) < 36)
          .map(({ name, box }) => `${name}: ${box.width} x ${box.height}`);
      });
      assert.deepEqual(small, []);
    });
  }
});

/**
 * Two fingers make the picture larger, and what is under them stays there.
 * @param {Opened} one
 * @param {import('playwright-core').CDPSession} protocol
 */
async function isPinched(one, protocol) {
  const before = await one.view();
  const middle = await one.at([480, 320]);
  const points = (/** @type {number} */ apart) => {
    return [{ x: middle.x - apart, y: middle.y, id: 0 }, { x: middle.x + apart, y: middle.y, id: 1 }];
  };
  await protocol.send('Input.dispatchTouchEvent', { type: 'touchStart', touchPoints: points(30) });
  for (let apart = 35; apart <= 90; apart += 5) {
    await protocol.send('Input.dispatchTouchEvent', { type: 'touchMove', touchPoints: points(apart) });
  }
  await protocol.send('Input.dispatchTouchEvent', { type: 'touchEnd', touchPoints: [] });
  await one.settled();
  const after = await one.view();
  assert.ok(after.scale > before.scale * 2, `${before.scale} ${after.scale}`);
  const still = await one.at([480, 320]);
  assert.ok(Math.hypot(still.x - middle.x, still.y - middle.y) < 6, `${middle.x}, ${middle.y} ${still.x}, ${still.y}`);
  assert.equal(await one.page.evaluate(() => visualViewport?.scale), 1, 'the page itself is not zoomed');
}
