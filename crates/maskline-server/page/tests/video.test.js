/** Videos, and pictures one after the other: objects are clicked on a frame, and followed onto the others. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { isAccessible } from './axe.js';
import { DISC, SIZE, middle, pictures, recorded, shade } from './clips.js';
import { Film, isSaid } from './film.js';
import { difference, scene } from './page.js';
import { text, write } from './pictures.js';
import { CUP } from './places.js';
import { mask } from './rle.js';
import { SAMPLE, Served } from './server.js';

/** @import {Asked} from './film.js' */
/** @import {Place} from './page.js' */

/** Generated weights follow nothing, but those of this seed see something else on each frame. */
const MODELS = ['--synthetic', '--seed', '2', '--size', '64', 'film=sam2.1-tiny', 'flat=mobile-sam'];

/** @type {Served[]} */
const own = [];

/** @param {string[]} given */
async function served(given) {
  const one = await Served.start([...given, ...MODELS]);
  own.push(one);
  return one;
}

/** @param {Asked[]} asked @returns {number[]} */
function indices(asked) {
  return asked.map(({ index }) => index ?? -1);
}

/** @param {string} url @returns {Promise<any[]>} the sessions of a server */
async function sessions(url) {
  return (await (await fetch(`${url}/v1/video`)).json()).sessions;
}

scene('video', () => {
  /** @type {Served} */
  let server;
  before(async () => {
    server = await served([]);
  });
  after(async () => {
    await Promise.all(own.map((one) => one.kill()));
  });

  test('pictures are the frames of a clip: an object is clicked, tracked, and seen again without asking', async () => {
    const film = await Film.open({ url: server.url });
    const { one } = film;
    const files = pictures(12);
    await film.give(files);
    assert.deepEqual([await film.frame(), await film.count()], [0, 12]);
    assert.equal(film.begun, 0, 'nothing is asked before somebody clicks');
    assert.ok(await one.get('button', 'Track').isDisabled());
    const { json, answer } = await film.click(middle(0));
    const ways = film.asked.map(({ path, index }) => [path.split('/')[4], index]);
    assert.deepEqual(ways, [[undefined, null], ['frames', 0], ['objects', null]]);
    assert.equal(film.asked[1].way, 'look');
    assert.equal(json.object, 1);
    assert.ok(Math.abs(json.points[0][0] - DISC.x) < 0.6 && Math.abs(json.points[0][1] - DISC.y) < 0.6, `${json.points}`);
    assert.equal(answer.frame, 0);
    const tracked = await film.track('Track');
    assert.deepEqual(indices(tracked), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    // What is sent is the file that is shown; 2 comes before 10.
    tracked.forEach(({ file, index }) => assert.ok(file?.equals(readFileSync(files[11 - (index ?? 0)])), `frame ${index}`));
    assert.equal(await film.frame(), 11, 'frames are shown as they come');
    assert.match(await film.note(), /11 frames tracked, [\d.]+ a second/);
    assert.match(await film.summary(), /Found on: 0 to 11\. Prompts on: 0\./);
    const { begun } = film;
    await film.goTo(3);
    await one.page.locator('body').click({ position: { x: 5, y: 5 } });
    for (const [key, frame] of /** @type {[string, number][]} */ ([['.', 4], ['.', 5], [',', 4], ['End', 11], ['Home', 0]])) {
      await film.page.keyboard.press(key);
      await one.until(`${key} leads to ${frame}`, async () => (await film.frame()) === frame);
    }
    await one.press('Frame after');
    await one.until('a button leads on', async () => (await film.frame()) === 1);
    await one.press('Last frame');
    await one.until('and to the end', async () => (await film.frame()) === 11);
    assert.equal(film.begun, begun, 'nothing is asked again');
    assert.ok(/\d\.\d\d/.test((await one.objects().first().locator('.score').textContent()) ?? ''), 'what was found there');
  });

  test('a frame is shown with its own masks', async () => {
    const film = await Film.open({ url: server.url });
    const { one } = film;
    await film.give(pictures(8));
    await film.click(middle(0));
    const tracked = await film.track('Track');
    const masks = new Map(tracked.map(({ index, answer }) => [index ?? 0, mask(answer.objects[0].segmentation)]));
    for (const index of [6, 2]) {
      await film.goTo(index);
      await film.page.mouse.move(1, 1);
      /** @type {Place[]} */
      const places = [];
      for (let x = 20; x < SIZE.width; x += 5) {
        for (let y = 14; y < SIZE.height; y += 5) {
          places.push([x + 0.5, y + 0.5]);
        }
      }
      const seen = await one.colours([[8, 6], ...places]);
      await one.objects().first().getByRole('button', { name: 'Hide', exact: true }).click();
      await one.settled();
      await film.page.mouse.move(1, 1);
      const plain = await one.colours([[8, 6], ...places]);
      assert.ok(difference(plain[0], Array(3).fill(shade(index))) <= 1, `frame ${index} is seen: ${plain[0]}`);
      await one.objects().first().getByRole('button', { name: 'Show', exact: true }).click();
      const of = masks.get(index);
      assert.ok(places.filter(([x, y]) => of?.has(x, y)).length > 3, 'there is a mask to be seen');
      const wrong = places.filter(([x, y], place) => {
        // Outlines and smoothing reach over the edge.
        const isEdge = [[-2, 0], [2, 0], [0, -2], [0, 2]].some(([dx, dy]) => of?.has(x + dx, y + dy) !== of?.has(x, y));
        return !isEdge && of?.has(x, y) !== difference(seen[place + 1], plain[place + 1]) > 8;
      });
      assert.deepEqual(wrong, [], `frame ${index}`);
    }
  });

  test('a video is gone through frame by frame, and what is sent of a frame is what is seen of it', async (t) => {
    const film = await Film.open({ url: server.url });
    const { one } = film;
    const file = await recorded(one, 10);
    if (file === null) {
      t.skip('this browser records no video');
      return;
    }
    await film.give(file);
    const count = await film.count();
    assert.ok(count >= 8 && count <= 13, `${count} frames, 10 were recorded`);
    assert.match((await film.page.locator('#frame-told').textContent()) ?? '', /s$/, 'with its time');
    const scale = 2;
    await film.goTo(count - 3);
    const before = (await one.colours([[16, 12]]))[0];
    const { answer } = await film.click([scale * 60, scale * 30]);
    assert.equal(answer.frame, count - 3);
    const [looked] = film.asked.filter(({ way }) => way === 'look');
    const colour = await film.page.evaluate(async (bytes) => {
      const bitmap = await createImageBitmap(new Blob([new Uint8Array(bytes)]));
      const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
      const context = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext('2d'));
      context.drawImage(bitmap, 0, 0);
      return { size: [bitmap.width, bitmap.height], rgb: [...context.getImageData(16, 12, 1, 1).data].slice(0, 3) };
    }, [...(looked.file ?? [])]);
    assert.deepEqual(colour.size, [2 * SIZE.width, 2 * SIZE.height]);
    assert.ok(difference(colour.rgb, before) <= 1, `sent ${colour.rgb}, seen ${before}`);
    const back = await film.track('Track back');
    assert.deepEqual(indices(back), Array.from({ length: count - 3 }, (_, index) => count - 4 - index));
    assert.ok(back.every(({ way }) => way === 'backward'));
    assert.equal(await film.frame(), 0);
    await one.objects().first().getByRole('button', { name: 'Hide', exact: true }).click();
    const shades = [];
    for (let index = 0; index < count; index += 1) {
      await film.goTo(index);
      shades.push((await one.colours([[16, 12]]))[0]?.[0] ?? 0);
    }
    assert.deepEqual([...shades].sort((a, b) => a - b), shades, 'no frame comes before an earlier one');
    assert.ok(new Set(shades.map((value) => Math.round((value - shade(0)) / 16))).size >= 8, `nearly all are there: ${shades}`);
  });

  test('two objects keep their names and colours; one goes, and comes back', async () => {
    const film = await Film.open({ url: server.url });
    const { one } = film;
    await film.give(pictures(6));
    await film.click(middle(0));
    const name = one.objects().first().getByRole('textbox', { name: 'Name', exact: true });
    await name.fill('disc');
    await name.press('Enter');
    await film.track('Track', 2);
    assert.equal(await film.frame(), 2);
    const second = await film.click([80, 50], { keys: ['Shift'] });
    assert.deepEqual([second.json.object, second.answer.frame], [2, 2]);
    assert.match(await film.summary(), /Found on: 0 to 1, 2\. Prompts on: 0, 2\./);
    const tracked = await film.track('Track');
    assert.deepEqual(tracked.map(({ answer }) => answer.objects.map((/** @type {any} */ { id }) => id)), [[1, 2], [1, 2], [1, 2]]);
    const colours = () => one.objects().evaluateAll((rows) => {
      return rows.map((row) => /** @type {HTMLElement} */ (row).style.getPropertyValue('--colour'));
    });
    const before = [await one.names(), await colours()];
    await film.goTo(0);
    assert.deepEqual([await one.names(), await colours()], before);
    assert.deepEqual(before[0], ['disc', 'object 2']);
    // Deleted, it is followed no longer.
    await film.goTo(2);
    await one.objects().nth(1).getByRole('button', { name: 'Delete', exact: true }).click();
    const isForgotten = (/** @type {number} */ object) => one.until('the server is told', async () => film.asked.some(({ method, path }) => {
      return method === 'DELETE' && path.endsWith(`/objects/${object}`);
    }));
    await isForgotten(2);
    assert.match(await film.summary(), /Found on: 0 to 5\. Prompts on: 0\./);
    const alone = await film.track('Track', 1);
    assert.deepEqual(alone[0].answer.objects.map((/** @type {any} */ { id }) => id), [1]);
    await film.goTo(2);
    await film.click([30, 50], { keys: ['Shift'] });
    assert.deepEqual(await one.names(), ['disc', 'object 3'], 'no number is given twice');
    await one.press('Undo');
    await isForgotten(3);
    assert.deepEqual(await one.names(), ['disc']);
  });

  test('a tracked frame is corrected, and what was said there is taken back', async () => {
    const film = await Film.open({ url: server.url });
    const { one } = film;
    await film.give(pictures(8));
    await film.click(middle(0));
    const first = await film.track('Track');
    await film.goTo(4);
    const { json, answer } = await film.click([70, 50], { button: 'right' });
    const [point] = json.points;
    assert.deepEqual([json.object, json.points.length, point[2], answer.frame], [1, 1, 0, 4], 'what is not meant, first on this frame');
    assert.ok(film.asked.some(({ way, index }) => way === 'look' && index === 4));
    assert.match(await film.summary(), /Prompts on: 0, 4\./);
    const again = await film.track('Track');
    assert.deepEqual(indices(again), [5, 6, 7]);
    const last = (/** @type {Asked[]} */ all) => all.at(-1)?.answer.objects[0];
    assert.notDeepEqual(last(again), last(first), 'it goes on from the correction');
    await film.goTo(4);
    await film.page.keyboard.press('Escape');
    await one.until('it is taken back', async () => film.asked.some(({ path }) => path.endsWith('/objects/1/prompts')));
    assert.match(await film.summary(), /Found on: 0 to 7\. Prompts on: 0\./);
    assert.equal(await one.objects().count(), 1, 'the object stays');
    // A click that is taken away there does not take the object along.
    await film.click([70, 50]);
    await one.clickAt([70, 50]);
    await one.until('again', async () => film.asked.filter(({ path }) => path.endsWith('/objects/1/prompts')).length === 2);
    assert.equal(await one.objects().count(), 1);
  });

  test('tracking is stopped, and goes on from there; looking elsewhere does not disturb it', async () => {
    const film = await Film.open({ url: server.url });
    const { one } = film;
    await film.give(pictures(14));
    await film.click(middle(0));
    // Slow enough to be stopped.
    await film.page.route('**/frames?*', async (route) => {
      await new Promise((done) => setTimeout(done, 150));
      await route.continue().catch(() => undefined);
    });
    await one.press('Track');
    const isAt = async (/** @type {number} */ frame) => one.until(`frame ${frame}`, async () => (await film.frame()) >= frame);
    await isAt(2);
    assert.match(await film.note(), /\d of 13 frames/);
    await one.press('Stop');
    assert.match(await film.note(), /[23] frames tracked/);
    const { begun } = film;
    await film.page.waitForTimeout(500);
    assert.equal(film.begun, begun, 'nothing more is asked');
    const stopped = await film.frame();
    await one.press('Track');
    await isAt(stopped + 1);
    await one.press('First frame');
    await one.until('the first is seen', async () => (await film.frame()) === 0);
    await one.until('it goes on meanwhile', async () => /Found on: 0 to ([6-9])\./.test(await film.summary()));
    assert.equal(await film.frame(), 0);
    await film.page.keyboard.press('Escape');
    await one.until('a key stops it too', async () => /tracked/.test(await film.note()));
    // So does a click, which is said before anything else is done.
    await one.press('Track');
    await one.until('it runs', async () => (await film.frame()) >= 1);
    await film.click([60, 50]);
    assert.match(await film.note(), /tracked/);
    // And another picture: a clip that is opened after it is not tracked by itself.
    const far = await film.frame();
    await one.press('Track');
    await one.until('it runs', async () => (await film.frame()) > far);
    await film.page.locator('#file').setInputFiles(SAMPLE);
    await one.ready();
    await film.give(pictures(3));
    const before = film.asked.length;
    await film.click(middle(0));
    await film.page.waitForTimeout(500);
    assert.deepEqual(film.asked.slice(before).filter(({ index }) => index !== null).map(({ way }) => way), ['look']);
    assert.equal(await one.problem(), '');
  });

  test('all frames are exported as lines, with the masks that were answered', async () => {
    const film = await Film.open({ url: server.url });
    const { one } = film;
    await film.give(pictures(5));
    assert.equal(await one.get('combobox', 'Format').inputValue(), 'jsonl');
    assert.ok(await one.get('button', 'Export').isDisabled());
    const said = await film.click(middle(0));
    const name = one.objects().first().getByRole('textbox', { name: 'Name', exact: true });
    await name.fill('disc');
    await name.press('Enter');
    await film.click([80, 50], { keys: ['Shift'] });
    const tracked = await film.track('Track', 3);
    const { name: file, lines } = await film.lines();
    assert.equal(file, 'shot1-96.masks.jsonl');
    assert.deepEqual(lines.map(({ frame, width, height }) => [frame, width, height]), [0, 1, 2, 3].map((frame) => [frame, 96, 64]));
    assert.deepEqual(lines[0].objects[0].segmentation, said.answer.objects[0].segmentation);
    for (const { answer, index } of tracked) {
      const line = lines[index ?? 0];
      assert.deepEqual(line.objects.map((/** @type {any} */ { id, label }) => [id, label]), [[1, 'disc'], [2, undefined]]);
      answer.objects.forEach((/** @type {any} */ { segmentation, area, score }, /** @type {number} */ place) => {
        const object = line.objects[place];
        assert.deepEqual({ segmentation: object.segmentation, area: object.area, score: object.score }, { segmentation, area, score });
        assert.equal(mask(segmentation).area, area);
      });
    }
    await one.objects().first().getByRole('button', { name: 'Hide', exact: true }).click();
    const without = await film.lines();
    const ids = without.lines.flatMap(({ objects }) => objects.map((/** @type {any} */ { id }) => id));
    assert.deepEqual([...new Set(ids)], [2], 'what is hidden is not exported');
    // Pictures are exported as before.
    await film.page.locator('#file').setInputFiles(SAMPLE);
    await one.until('the timeline goes', async () => !(await film.page.locator('#timeline').isVisible()));
    assert.equal(await one.get('combobox', 'Format').inputValue(), 'masks');
  });

  test('a session that expired is opened anew, told all again, and the user is told', async () => {
    const short = await served(['--video-idle', '1s']);
    const film = await Film.open({ url: short.url });
    const { one } = film;
    one.expect(/404/);
    await film.give(pictures(6));
    await film.click(middle(0));
    await film.track('Track', 2);
    await film.click([70, 50]);
    await one.until('it has expired', async () => (await sessions(short.url)).length === 0, 10_000);
    const tracked = await film.track('Track');
    const opened = film.asked.filter(({ method, path, status }) => method === 'POST' && path === '/v1/video' && status === 201);
    assert.equal(opened.length, 2);
    const later = film.asked.slice(film.asked.lastIndexOf(opened[1]));
    const said = later.filter(isSaid).map(({ json, answer }) => [json.object, json.points.length, answer.frame]);
    assert.deepEqual(said, [[1, 1, 2], [1, 1, 0]]);
    assert.deepEqual(indices(tracked.filter(({ status }) => status === 200)), [3, 4, 5]);
    assert.match(await film.note(), /had closed this video/);
    assert.equal(await one.problem(), '');
    assert.match(await film.summary(), /Found on: 0 to 5\./);
  });

  test('the server\'s memory is given back with another picture, and when the page goes', async () => {
    const alone = await served([]);
    const film = await Film.open({ url: alone.url });
    const { one } = film;
    const isClosed = (/** @type {string} */ why) => one.until(why, async () => (await sessions(alone.url)).length === 0);
    await film.give(pictures(4));
    await film.click(middle(0));
    assert.equal((await sessions(alone.url)).length, 1);
    await film.page.locator('#file').setInputFiles(SAMPLE);
    await isClosed('another picture');
    await one.ready();
    await one.click(CUP);
    await film.give(pictures(4));
    assert.equal(await one.objects().count(), 0, 'nothing of the picture is left');
    await film.click(middle(0));
    assert.equal((await sessions(alone.url)).length, 1);
    await one.page.goto('about:blank');
    await isClosed('the page has gone');
  });

  test('a model that follows nothing says who does', async () => {
    const film = await Film.open({ url: server.url });
    const { one } = film;
    await one.until('there are models', async () => (await one.get('combobox', 'Model').inputValue()) === 'film');
    await one.chooseModel('flat');
    await film.give(pictures(4));
    await one.until('it is said', async () => /flat follows nothing.*film can/.test(await film.note()));
    await one.clickAt(middle(0));
    assert.match((await film.page.locator('#said').textContent()) ?? '', /flat follows nothing/);
    assert.deepEqual([await one.objects().count(), film.begun], [0, 0]);
    assert.ok(await one.get('button', 'Track').isDisabled());
    await one.press('Use film');
    await one.until('the model is another', async () => (await one.get('combobox', 'Model').inputValue()) === 'film');
    await one.until('it is taken', async () => !/follows nothing/.test(await film.note()));
    await film.click(middle(0));
    // What it found is kept while another model is looked at, which it is not shown as.
    await one.chooseModel('flat');
    await one.until('its own masks alone', async () => /Found on: no frame/.test(await film.summary()));
    const { begun } = film;
    await one.chooseModel('film');
    await one.until('they are back', async () => /Found on: 0\./.test(await film.summary()));
    assert.equal(film.begun, begun, 'without asking again');
    const none = await Film.open({});
    await none.give(pictures(4));
    await none.one.until('no model does', async () => /No model here can/.test(await none.note()));
  });

  test('what is no clip is refused, and what was there stays', async () => {
    const film = await Film.open({ url: server.url });
    const { one } = film;
    await film.give(pictures(5));
    await film.click(middle(0));
    await film.page.locator('#file').setInputFiles(write('broken.mp4', Buffer.from('no video at all')));
    await one.until('it is said', async () => /broken\.mp4 cannot be opened/.test(await one.problem()));
    assert.match(await one.problem(), /ffmpeg/);
    await film.page.locator('#problem').getByRole('button', { name: 'Close', exact: true }).click();
    await film.page.locator('#file').setInputFiles([text(), write('z.jpg', Buffer.from('nor this'))]);
    await one.until('it is said', async () => /cannot be shown/.test(await one.problem()));
    assert.equal(await one.objects().count(), 1);
    // Frames of different sizes are told where they are met.
    const [small] = pictures(1);
    const [large] = pictures(1, { width: 64, height: 64 });
    await film.give([small, large]);
    await one.until('the new one', async () => (await film.count()) === 2);
    await one.press('Last frame');
    await one.until('it is said', async () => /one size/.test(await one.problem()));
    assert.equal(await film.frame(), 0);
  });

  for (const isDark of [false, true]) {
    test(`no rule of accessibility is broken, ${isDark ? 'dark' : 'light'}`, async () => {
      const film = await Film.open({ url: server.url, isDark });
      await film.give(pictures(6));
      await isAccessible(film.one, 'a clip');
      await film.click(middle(0));
      await film.track('Track');
      await film.click([60, 50], { keys: ['Shift'] });
      await isAccessible(film.one, 'tracked');
      await film.page.route('**/frames?*', () => {});
      await film.one.press('Track back');
      await isAccessible(film.one, 'tracking');
      await film.one.press('Stop');
      await film.page.unroute('**/frames?*');
    });
  }

  test('an object is tracked by the keyboard alone', async () => {
    const film = await Film.open({ url: server.url });
    const { one } = film;
    await film.give(pictures(6));
    await one.overlay().focus();
    await film.page.keyboard.press('ArrowLeft');
    await film.said(() => film.page.keyboard.press('Space'));
    const track = one.get('button', 'Track');
    for (let count = 0; count < 30 && !(await track.evaluate((button) => button === document.activeElement)); count += 1) {
      await film.page.keyboard.press('Tab');
    }
    await film.page.keyboard.press('Enter');
    await one.until('it is over', async () => /5 frames tracked/.test(await film.note()));
    assert.equal(await film.frame(), 5);
    const focus = () => film.page.evaluate(() => document.activeElement?.id);
    assert.equal(await focus(), 'frame', 'from a button that can do nothing more, the focus goes to the slider');
    await film.page.keyboard.press('ArrowLeft');
    await one.until('which arrows move', async () => (await film.frame()) === 4);
    assert.match((await film.slider().getAttribute('aria-valuetext')) ?? '', /frame 4 of 0 to 5/);
  });

  test('fingers, 380 pixels wide', async () => {
    const film = await Film.open({ url: server.url, width: 380, height: 780, isTouch: true, density: 2 });
    await film.give(pictures(6));
    await film.said(async () => {
      const { x, y } = await film.one.at(middle(0));
      await film.page.touchscreen.tap(x, y);
    });
    await film.track('Track');
    const { wide, whole } = await film.page.evaluate(() => ({ wide: document.documentElement.scrollWidth, whole: innerWidth }));
    assert.ok(wide <= whole, `${wide} pixels on a screen of ${whole}`);
    const small = await film.page.locator('#timeline').getByRole('button').filter({ visible: true }).evaluateAll((buttons) => {
      return buttons.map((button) => ({ name: button.id, box: button.getBoundingClientRect() }))
        .filter(({ box }) => Math.min(box.width, box.height) < 36).map(({ name, box }) => `${name}: ${box.width} x ${box.height}`);
    });
    assert.deepEqual(small, []);
  });
});
