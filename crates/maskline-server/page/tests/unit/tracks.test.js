import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import * as store from '../../static/store.js';
import { saidOf } from '../../static/video/said.js';
import * as tracks from '../../static/video/tracks.js';

/** @import {Clip, Item} from '../../static/types.js' */

/** @type {Clip} */
const CLIP = {
  name: 'clip.mp4', file: 'clip.mp4', count: 20, rate: 25, start: 0, frame: 0, prompts: {}, lastObject: 0, answers: 0, isAsking: false,
  run: null, note: '',
};

/** @param {number} frame @param {number[]} ids */
function answer(frame, ids) {
  const object = (/** @type {number} */ id) => {
    return { id, score: 0.9, area: 6, segmentation: /** @type {any} */ ({ size: [4, 5], counts: `${frame}` }) };
  };
  return { frame, size: /** @type {[number, number]} */ ([5, 4]), objects: ids.map(object), timings_ms: {} };
}

/** @param {string} id @param {Partial<Item>} [more] @returns {Item} */
function item(id, more = {}) {
  return { id, name: '', colour: 0, isHidden: false, clicks: [], box: null, candidate: null, ...more };
}

beforeEach(() => {
  tracks.forget();
  store.set({ clip: CLIP });
  store.beginWork();
});

test('what was said lies over what was tracked, until it is taken back', () => {
  tracks.put('m', answer(3, [1]), 'tracked');
  const tracked = tracks.at('m', 3, 'o1');
  tracks.put('m', answer(3, [1]), 'said');
  assert.notEqual(tracks.at('m', 3, 'o1')?.mask, tracked?.mask, 'another mask has another id');
  tracks.takeBack('m', { frame: 3, object: 'o1' });
  assert.equal(tracks.at('m', 3, 'o1'), tracked);
  tracks.put('m', answer(4, [1]), 'said');
  tracks.takeBack('m', { frame: 4, object: 'o1' });
  assert.equal(tracks.at('m', 4, 'o1'), null);
  assert.equal(tracks.at('other', 3, 'o1'), null);
});

test('stretches of frames, and whether all objects are there', () => {
  for (const frame of [5, 2, 3, 4, 9]) {
    tracks.put('m', answer(frame, frame === 4 ? [1] : [1, 2]), 'tracked');
  }
  const both = [item('o1'), item('o2')];
  assert.deepEqual(tracks.stretches('m', both), [
    { from: 2, to: 3, isWhole: true }, { from: 4, to: 4, isWhole: false }, { from: 5, to: 5, isWhole: true },
    { from: 9, to: 9, isWhole: true },
  ]);
  tracks.drop('m', 'o2');
  assert.deepEqual(tracks.stretches('m', [item('o2')]), []);
  assert.equal(tracks.stretches('m', [item('o1')]).length, 2);
});

test('lines are in the order of the frames, with names, and without what is hidden', () => {
  tracks.put('m', answer(10, [1, 2]), 'tracked');
  tracks.put('m', answer(2, [1, 2, 3]), 'said');
  const items = [item('o1', { name: 'cup' }), item('o2', { isHidden: true }), item('o3')];
  const lines = tracks.lines(CLIP, { model: 'm', items, size: { width: 5, height: 4 } }).map((line) => JSON.parse(line));
  const found = { score: 0.9, area: 6, segmentation: { size: [4, 5], counts: '2' } };
  assert.deepEqual(lines[0], {
    frame: 2, time: 0.08, ticks: 80000, tick: '1/1000000', width: 5, height: 4,
    objects: [{ id: 1, label: 'cup', ...found }, { id: 3, ...found }],
  });
  assert.deepEqual([lines.length, lines[1].frame, lines[1].time, lines[1].objects.length], [2, 10, 0.4, 1]);
});

test('prompts belong to the frame that they were made on', () => {
  const { id } = store.addItem({ name: 'cup', clicks: [{ x: 1, y: 2, isPositive: true }] });
  store.showFrame(7);
  assert.deepEqual([store.now().work.items[0]?.clicks, store.now().work.items[0]?.name, store.now().canUndo], [[], 'cup', false]);
  store.changeItem(id, { box: [1, 1, 3, 3] });
  store.showFrame(5);
  const said = saidOf(store.now()).map(({ frame, object, text }) => [frame, object, JSON.parse(text)]);
  assert.deepEqual(said, [[0, id, { points: [[1, 2, 1]] }], [7, id, { box: [1, 1, 3, 3] }]]);
  store.showFrame(0);
  assert.deepEqual(store.now().work.items[0]?.clicks, [{ x: 1, y: 2, isPositive: true }]);
  assert.equal(saidOf(store.now())[0]?.frame, 0, 'the frame that is shown comes first');
});

test('an object that is prompted elsewhere is prompted, and its number is not given again', () => {
  const first = store.addItem({ clicks: [{ x: 1, y: 2, isPositive: true }] });
  store.showFrame(1);
  const [here] = store.now().work.items;
  assert.ok(here && store.isPrompted(here));
  store.removeItem(first.id);
  assert.deepEqual(saidOf(store.now()), [], 'of what was deleted nothing is said');
  store.undo();
  assert.equal(saidOf(store.now()).length, 1);
  store.removeItem(first.id);
  assert.notEqual(store.addItem().id, first.id);
  const fresh = store.now().work.items.at(-1);
  assert.ok(fresh && !store.isPrompted(fresh));
});
