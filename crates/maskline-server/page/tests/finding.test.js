/** What is found without clicks: everything, words, examples, a detector's classes; and two models beside each other. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { difference, openPage, scene } from './page.js';
import { APPLE, APPLE_BOX, CUP, PEAR_BOX } from './places.js';

/** @import {Exchange, Opened} from './page.js' */

/**
 * @param {Opened} one
 * @param {number} count
 */
async function hasObjects(one, count) {
  await one.until(`${count} objects`, async () => (await one.objects().count()) === count);
}

/**
 * Words that are looked for.
 * @param {Opened} one
 * @param {string} words
 * @param {(exchange: Exchange) => boolean} [isMeant]
 */
async function lookFor(one, words, isMeant) {
  return one.answered('detect', async () => {
    await one.get('textbox', 'Look for').fill(words);
    await one.get('button', 'Add').click();
  }, isMeant);
}

/** The page with the words' model and the sample. */
async function withWords() {
  const one = await openPage();
  await one.sample();
  await one.chooseModel('words');
  await one.ready();
  await one.press('Words');
  return one;
}

scene('finding', () => {
  test('everything is found, counted, hidden and exported like what was clicked', async () => {
    const one = await openPage();
    await one.sample();
    const plain = await one.colours([APPLE]);
    const { answer, body } = await one.answered('segment', () => one.press('Everything'));
    assert.equal(body.everything, true);
    await hasObjects(one, answer.objects.length);
    assert.ok(answer.objects.length > 10, `${answer.objects.length} objects`);
    await one.page.mouse.move(1, 1);
    await one.settled();
    assert.ok(difference(plain[0], (await one.colours([APPLE]))[0]) > 12, 'masks are drawn');
    const asked = one.asked.length;
    const scores = answer.objects.map((/** @type {{score: number}} */ object) => object.score);
    const middle = [...scores].sort((a, b) => a - b)[Math.floor(scores.length / 2)];
    await one.get('slider', 'Score').fill(middle.toFixed(2));
    await one.settled();
    const left = scores.filter((/** @type {number} */ score) => score >= Number(middle.toFixed(2))).length;
    await hasObjects(one, left);
    assert.equal(one.asked.length, asked, 'sliders ask nothing');
    const first = one.objects().first();
    await first.getByRole('button', { name: 'Hide', exact: true }).click();
    assert.ok(await first.getByRole('button', { name: 'Show', exact: true }).isVisible());
    await one.press('Undo');
    assert.ok(await first.getByRole('button', { name: 'Hide', exact: true }).isVisible());
    // A click beside it goes on working.
    await one.click(CUP);
    await hasObjects(one, left + 1);
  });

  test('everything is called off by a second press', async () => {
    const one = await openPage();
    await one.sample();
    await one.press('Everything');
    await one.until('it is under way', async () => one.asked.some(({ path }) => path === '/v1/segment'));
    await one.press('Everything');
    await one.settled();
    assert.equal(await one.objects().count(), 0);
    // And nobody computes it any more: a click is answered at once.
    const began = Date.now();
    await one.click(CUP);
    assert.ok(Date.now() - began < 4000, `${Date.now() - began} ms`);
    await hasObjects(one, 1);
  });

  test('words find objects, and the slider chooses among them', async () => {
    const one = await withWords();
    const { body, answer } = await lookFor(one, 'cat');
    assert.equal(body.model, 'words');
    assert.deepEqual(body.texts.map((/** @type {any} */ phrase) => phrase.text ?? phrase), ['cat']);
    assert.equal(answer.objects.length, 4);
    const asked = one.asked.length;
    // At 0.5, what the model itself takes for found.
    await one.get('slider', 'Overlap').fill('1');
    for (const { score, count } of [{ score: 0, count: 4 }, { score: 0.3, count: 2 }, { score: 0.6, count: 1 }, { score: 0.9, count: 0 }]) {
      await one.get('slider', 'Score').fill(String(score));
      await hasObjects(one, count);
    }
    await one.get('slider', 'Score').fill('0');
    await hasObjects(one, 4);
    assert.equal(one.asked.length, asked, 'sliders ask nothing');
    assert.deepEqual(await one.names(), ['cat', 'cat', 'cat', 'cat']);
    const two = await lookFor(one, 'dog', ({ body }) => body.texts.length === 2);
    assert.deepEqual(two.body.texts.map((/** @type {any} */ phrase) => phrase.text ?? phrase), ['cat', 'dog']);
    await hasObjects(one, two.answer.objects.length);
    // Undoing asks nothing: the answer is known.
    const before = one.asked.length;
    await one.press('Undo');
    await hasObjects(one, 4);
    assert.equal(one.asked.length, before);
  });

  test('examples are dragged, and are like and unlike', async () => {
    const one = await withWords();
    await lookFor(one, 'cat');
    const overlay = one.overlay();
    await overlay.focus();
    const like = await one.answered('detect', () => one.dragAt(APPLE_BOX.from, APPLE_BOX.to));
    const [phrase] = like.body.texts;
    assert.equal(phrase.text, 'cat');
    const [box] = phrase.like_boxes;
    assert.ok([...APPLE_BOX.from, ...APPLE_BOX.to].every((side, index) => Math.abs(box[index] - side) < 1.5), `${box}`);
    const unlike = await one.answered('detect', () => one.dragAt(PEAR_BOX.from, PEAR_BOX.to, ['Alt']));
    assert.deepEqual([unlike.body.texts[0].like_boxes.length, unlike.body.texts[0].unlike_boxes.length], [1, 1]);
    await one.press('Undo');
    await one.settled();
    // An example needs no words.
    await one.press('Clear');
    const alone = await one.answered('detect', () => one.dragAt(APPLE_BOX.from, APPLE_BOX.to));
    assert.equal(alone.body.texts, undefined);
    assert.equal(alone.body.like_boxes.length, 1);
  });

  test('a phrase is taken away', async () => {
    const one = await withWords();
    await lookFor(one, 'cat');
    await one.get('slider', 'Score').fill('0');
    await hasObjects(one, 4);
    await one.page.getByRole('list', { name: 'Looked for' }).getByRole('button', { name: /remove/i }).first().click();
    await hasObjects(one, 0);
  });

  test('words and clicks of one model are seen together', async () => {
    const one = await withWords();
    await lookFor(one, 'cat');
    await one.get('slider', 'Score').fill('0');
    await hasObjects(one, 4);
    await one.press('Point');
    await one.click(CUP);
    await hasObjects(one, 5);
  });

  test('a model without words says who has them', async () => {
    const one = await openPage();
    await one.sample();
    await one.press('Words');
    await one.page.getByRole('button', { name: /^Use words/ }).click();
    assert.equal(await one.get('combobox', 'Model').inputValue(), 'words');
    await one.ready();
    await lookFor(one, 'cat');
  });

  test('a detector finds boxes, and another model cuts them out', async () => {
    const one = await openPage();
    await one.sample();
    await one.chooseModel('detector');
    const { body, answer } = await one.answered('detect', () => one.press('Find objects'));
    assert.equal(body.model, 'detector');
    assert.ok(answer.objects.length > 0 && answer.objects.every((/** @type {any} */ found) => !found.segmentation));
    await one.until('boxes are listed', async () => (await one.objects().count()) > 0);
    const boxes = await one.objects().count();
    const [where] = answer.objects.map((/** @type {any} */ found) => found.box);
    assert.equal(where.length, 4);
    const cut = await one.answered('segment', async () => {
      await one.get('combobox', 'Cut out with').selectOption('nano');
    });
    assert.equal(cut.body.model, 'nano');
    assert.ok(cut.body.prompts.every((/** @type {any} */ prompt) => prompt.box?.length === 4));
    await hasObjects(one, boxes);
  });

  test('a model that finds masks shows them', async () => {
    const one = await openPage();
    await one.sample();
    await one.chooseModel('segmenter');
    const { answer } = await one.answered('detect', () => one.press('Find objects'));
    assert.ok(answer.objects.some((/** @type {any} */ found) => found.segmentation));
    await one.until('they are listed', async () => (await one.objects().count()) > 0);
  });

  test('two models answer the same, beside each other', async () => {
    const one = await openPage();
    await one.sample();
    await one.get('combobox', 'Compare with').selectOption('other');
    await one.overlay('compare').waitFor();
    await one.settled();
    await one.click(CUP);
    await one.until('both are asked', async () => {
      const asked = one.exchanges.filter(({ path }) => path === '/v1/segment').map(({ body }) => body.model);
      return asked.includes('nano') && asked.includes('other');
    });
    await one.page.mouse.move(1, 1);
    await one.settled();
    const inside = [420, 420];
    const [main, compare] = [await one.colours([inside]), await one.colours([inside], 'compare')];
    assert.ok(difference(main[0], compare[0]) < 12, `the same model gives the same: ${main} ${compare}`);
    await one.press('Undo');
    await one.page.mouse.move(1, 1);
    await one.settled();
    const [plain, plainToo] = [await one.colours([inside]), await one.colours([inside], 'compare')];
    assert.ok(difference(main[0], plain[0]) > 12 && difference(compare[0], plainToo[0]) > 12);
    // Clicks count on either side, and both move together.
    const exchange = await one.click(APPLE, { side: 'compare' });
    assert.ok(Math.abs(exchange.body.prompts[0].points[0][0] - APPLE[0]) < 1.5);
    const before = await one.view('compare');
    const at = await one.at(APPLE);
    await one.page.mouse.move(at.x, at.y);
    await one.page.mouse.wheel(0, -300);
    await one.settled();
    const [left, right] = [await one.view(), await one.view('compare')];
    assert.ok(right.scale > before.scale && Math.abs(left.scale - right.scale) < 1e-6);
    await one.get('combobox', 'Compare with').selectOption('');
    await one.until('one is left', async () => (await one.page.locator('.stage').count()) === 1);
  });
});
