/** What is taken away: every format equals the file that the command line writes, and so do the commands that the page tells. */

import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { writeWords } from './models.js';
import { openPage, scene } from './page.js';
import { APPLE_BOX, CUP, LEMON, NOTHING } from './places.js';
import { SAMPLE, Served, folder, shell } from './server.js';
import { unzipped } from './zip.js';

/** @import {Opened} from './page.js' */

/** Formats, and the files of a picture with two objects. */
const FORMATS = {
  jpg: ['still-life.jpg'], png: ['still-life.png'], json: ['results.jsonl'], 'png-index': ['still-life.index.png'],
  masks: ['still-life.mask-001.png', 'still-life.mask-002.png'], cutout: ['still-life.cutout-001.png', 'still-life.cutout-002.png'],
  polygons: ['still-life.polygons.json'], 'coco-rle': ['still-life.rle.json'], labelme: ['still-life.json'],
  yolo: ['still-life.txt', 'classes.txt', 'data.yaml'], 'yolo-seg': ['still-life.txt', 'classes.txt', 'data.yaml'], coco: ['coco.json'],
  'coco-results': ['coco-results.json'], 'label-studio': ['label-studio.json'],
};

/**
 * A folder with the sample, where commands are run.
 * @param {string} name
 */
function place(name) {
  const path = join(folder, name);
  mkdirSync(path, { recursive: true });
  copyFileSync(SAMPLE, join(path, 'still-life.jpg'));
  return path;
}

/** A cup, called so, by a click and one beside it; and an apple, without a name, by a box. */
async function withTwo() {
  const one = await openPage();
  await one.sample();
  await one.click(CUP);
  await one.click(LEMON, { button: 'right' });
  const name = one.objects().first().getByRole('textbox', { name: 'Name', exact: true });
  await name.fill('cup');
  await name.press('Enter');
  await one.press('New object');
  await one.press('Box');
  await one.answered('segment', () => one.dragAt(APPLE_BOX.from, APPLE_BOX.to));
  return one;
}

/**
 * @param {Opened} one
 * @returns {{points: number[][], box: number[], segmentations: object[]}} what was asked for the two, and the masks that came
 */
function asked(one) {
  const all = one.exchanges.filter(({ path }) => path === '/v1/segment');
  const prompts = all.flatMap(({ body, answer }) => body.prompts.map((/** @type {any} */ prompt, /** @type {number} */ index) => {
    return { ...prompt, found: answer.objects.find((/** @type {any} */ object) => (object.prompt ?? 0) === index) };
  }));
  const clicked = prompts.findLast(({ points }) => points?.length === 2);
  const boxed = prompts.findLast(({ box }) => box);
  return { points: clicked.points, box: boxed.box, segmentations: [clicked, boxed].map(({ found }) => found.segmentation) };
}

/** @param {number[]} numbers */
const listed = (numbers) => numbers.join(',');

/**
 * @param {Opened} one
 * @param {string} format
 * @returns {Promise<{name: string, bytes: Buffer}>}
 */
async function exported(one, format) {
  await one.get('combobox', 'Format').selectOption(format);
  /** @type {import('playwright-core').Download[]} */
  const begun = [];
  one.page.once('download', (download) => begun.push(download));
  await one.press('Export');
  await one.until('a file', async () => begun.length > 0 || (await one.problem()) !== '');
  const [download] = begun;
  assert.ok(download, await one.problem());
  const path = join(folder, 'download');
  await download.saveAs(path);
  return { name: download.suggestedFilename(), bytes: readFileSync(path) };
}

/**
 * An export holds the files that the command wrote.
 * @param {string} format
 * @param {string[]} files
 * @param {{name: string, bytes: Buffer}} given
 * @param {string} written
 */
function isTheSame(format, files, { name, bytes }, written) {
  const got = files.length === 1 ? new Map([[name, bytes]]) : unzipped(bytes);
  assert.deepEqual([...got.keys()].sort(), [...files].sort());
  for (const file of files) {
    const expected = readFileSync(join(written, file));
    const found = got.get(file) ?? Buffer.alloc(0);
    if (format === 'json') {
      assert.deepEqual(withoutRun(found), withoutRun(expected));
    } else {
      const place = found.findIndex((byte, index) => byte !== expected[index]);
      const near = [found, expected].map((bytes) => bytes.subarray(Math.max(0, place - 40), place + 20).toString('latin1'));
      assert.ok(found.equals(expected), `${file}: ${found.length} bytes, expected ${expected.length}; ${near.join(' <> ')}`);
    }
  }
}

/** Cats, and what stands for one in a model that has seen none. @param {Opened} one */
async function lookForCat(one) {
  await one.chooseModel('words');
  await one.ready();
  await one.press('Words');
  return one.answered('detect', async () => {
    await one.get('textbox', 'Look for').fill('cat');
    await one.get('button', 'Add').click();
  });
}

/** What an answer in JSON says that is of its run, and not of what was found. @param {Buffer} lines */
function withoutRun(lines) {
  return lines.toString().trim().split('\n').map((line) => {
    const { cold_ms, timings_ms, files, image, start, rows_together, ...found } = JSON.parse(line);
    return found;
  });
}

/** @param {Opened} one @param {string} button @returns {Promise<string>} what a button puts into the clipboard */
async function copied(one, button) {
  await one.context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await one.press(button);
  let text = '';
  await one.until('it is copied', async () => (text = await one.page.evaluate(() => navigator.clipboard.readText())) !== '');
  await one.page.evaluate(() => navigator.clipboard.writeText(''));
  return text;
}

scene('exporting', () => {
  test('every format is what `maskline run` writes, bit for bit', async () => {
    const one = await withTwo();
    const { points, box } = asked(one);
    const there = place('formats');
    const prompts = `${points.map((point) => `--point ${listed(point)}`).join(' ')} --label cup --object --box ${listed(box)}`;
    // Beside the picture, as a browser's downloads are beside each other; but an overlay there would have the picture's own name.
    const beside = Object.keys(FORMATS).filter((format) => format !== 'jpg' && format !== 'yolo-seg').join(',');
    await shell(`maskline run nano still-life.jpg ${prompts} -o . -f ${beside}`, there);
    await shell(`maskline run nano still-life.jpg ${prompts} -o overlay -f jpg`, there);
    const segments = place('segments');
    await shell(`maskline run nano still-life.jpg ${prompts} -o . -f yolo-seg`, segments);
    /** @type {Record<string, string>} */
    const folders = { jpg: join(there, 'overlay'), 'yolo-seg': segments };
    /** @type {Record<string, string>} what is wrong with a format */
    const wrong = {};
    for (const [format, files] of Object.entries(FORMATS)) {
      const isWrong = (/** @type {Error} */ error) => (wrong[format] = error.message);
      await exported(one, format).then((file) => isTheSame(format, files, file, folders[format] ?? there)).catch(isWrong);
    }
    assert.deepEqual(wrong, {});
  });

  test('what words find is written as `maskline run` writes it', async () => {
    const one = await openPage();
    await one.sample();
    const { body } = await lookForCat(one);
    await one.get('slider', 'Score').fill('0');
    await one.get('slider', 'Overlap').fill('1');
    await one.settled();
    const there = place('words');
    const model = writeWords();
    await shell(`maskline run ${model} still-life.jpg --text cat --conf ${body.conf} -o . -f coco,coco-results,yolo,labelme,masks`, there);
    /** @type {string[]} */
    const wrong = [];
    for (const [format, files] of Object.entries({
      coco: ['coco.json'], 'coco-results': ['coco-results.json'], labelme: ['still-life.json'],
      yolo: ['still-life.txt', 'classes.txt', 'data.yaml'],
      masks: [1, 2, 3, 4].map((number) => `still-life.mask-00${number}.png`),
    })) {
      await exported(one, format).then((file) => isTheSame(format, files, file, there)).catch((error) => wrong.push(error.message));
    }
    assert.deepEqual(wrong, []);
  });

  test('all formats of the command line can be chosen', async () => {
    const one = await openPage();
    const { stdout } = await shell('maskline run --help', folder);
    const known = /Annotated picture, JPEG[^]*?label-studio:/.exec(stdout)?.[0].matchAll(/^ +- ([a-z0-9-]+):/gm) ?? [];
    const values = await one.get('combobox', 'Format').locator('option').evaluateAll((options) => {
      return options.map((option) => /** @type {HTMLOptionElement} */ (option).value);
    });
    assert.deepEqual([...values].sort(), ['jpg', ...[...known].map(([, name]) => name)].sort());
  });

  test('COCO\'s own ids are of models that know COCO\'s classes', async () => {
    const server = await Served.start(['--synthetic', 'yolov8n']);
    try {
      const one = await openPage({ url: server.url });
      await one.sample();
      const { answer } = await one.answered('detect', () => one.press('Find objects'));
      assert.ok(answer.objects.length > 0);
      const { bytes } = await exported(one, 'coco91');
      /** @type {number[]} */
      const ids = JSON.parse(bytes.toString()).map((/** @type {any} */ result) => result.category_id);
      assert.equal(ids.length, await one.objects().count());
      // Ten of the ninety are nothing's.
      assert.ok(ids.every((id) => id >= 1 && id <= 90 && ![12, 26, 29, 30, 45, 66, 68, 69, 71, 83].includes(id)), `${ids}`);
      await one.page.close();
    } finally {
      await server.kill();
    }
    const two = await withTwo();
    two.expect(/400/);
    await two.get('combobox', 'Format').selectOption('coco91');
    await two.press('Export');
    await two.until('nano knows none', async () => /coco91|COCO/.test(await two.problem()));
  });

  test('what is hidden is not exported, and nothing seen is nothing to export', async () => {
    const one = await withTwo();
    await one.objects().first().getByRole('button', { name: 'Hide', exact: true }).click();
    const { bytes } = await exported(one, 'coco');
    const { annotations, categories } = JSON.parse(bytes.toString());
    assert.equal(annotations.length, 1);
    assert.deepEqual(categories.map((/** @type {any} */ category) => category.name), ['object']);
    await one.objects().nth(1).getByRole('button', { name: 'Hide', exact: true }).click();
    assert.ok(await one.get('button', 'Export').isDisabled());
  });

  test('the command for curl gives the same masks', async () => {
    const one = await withTwo();
    const text = await copied(one, 'Copy as curl');
    assert.match(text, /curl/);
    const { stdout } = await shell(text, place('curl'));
    const masks = stdout.trim().split('\n').flatMap((line) => JSON.parse(line).objects).map((object) => object.segmentation);
    assert.deepEqual(masks, asked(one).segmentations);
  });

  test('the command line gives the same masks', async () => {
    const one = await withTwo();
    const text = await copied(one, 'Copy as CLI');
    assert.match(text, /maskline run nano/);
    const there = place('line');
    const { stdout } = await shell(`${text.trimEnd()} --json`, there);
    const masks = stdout.trim().split('\n').flatMap((line) => JSON.parse(line).objects).map((object) => object.segmentation);
    assert.deepEqual(masks, asked(one).segmentations);
    assert.ok(readdirSync(there).includes('still-life.jpg'));
  });

  test('a name with quotes and blanks breaks no command', async () => {
    const one = await openPage();
    const there = place('names');
    const file = join(there, `it's a "$(touch broken)" picture.jpg`);
    copyFileSync(SAMPLE, file);
    await one.openFile(file);
    await one.ready();
    await one.click(CUP);
    for (const button of ['Copy as curl', 'Copy as CLI']) {
      const text = (await copied(one, button)).trimEnd();
      const { stdout } = await shell(button === 'Copy as CLI' ? `${text} --json` : text, there);
      assert.equal(JSON.parse(stdout.trim().split('\n')[0]).objects.length, 1, text);
    }
    assert.ok(!readdirSync(there).includes('broken'));
  });

  test('everything and words are commands too', async () => {
    const one = await openPage();
    await one.sample();
    const { answer } = await lookForCat(one);
    const boxes = (/** @type {any} */ { objects }) => objects.map((/** @type {any} */ object) => object.box);
    assert.match(await copied(one, 'Copy as CLI'), /maskline run words .*--text '?cat'?/);
    const { stdout } = await shell(await copied(one, 'Copy as curl'), place('words-by-curl'));
    assert.deepEqual(boxes(JSON.parse(stdout)), boxes(answer).slice(0, await one.objects().count()));
    await one.chooseModel('nano');
    await one.ready();
    // Also before it is answered.
    await one.press('Everything');
    assert.match(await copied(one, 'Copy as CLI'), /maskline run nano .*--everything/);
    assert.match(await copied(one, 'Copy as curl'), /v1\/segment.* everything=true/);
    await one.press('Everything');
  });

  test('nothing to export is said', async () => {
    const one = await openPage();
    assert.ok(await one.get('button', 'Export').isDisabled());
    await one.sample();
    assert.ok(await one.get('button', 'Export').isDisabled());
    await one.click(NOTHING);
    await one.until('it can be exported', async () => !(await one.get('button', 'Export').isDisabled()));
  });
});
