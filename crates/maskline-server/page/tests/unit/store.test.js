import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import * as store from '../../static/store.js';

beforeEach(() => store.beginWork());

const names = () => store.now().work.items.map((item) => item.name);

test('steps are undone and redone in their order', () => {
  const item = store.addItem();
  store.changeItem(item.id, { name: 'cup' });
  store.addItem({ name: 'apple' });
  store.undo();
  store.undo();
  assert.deepEqual([names(), store.now().canUndo, store.now().canRedo], [[''], true, true]);
  store.redo();
  assert.deepEqual(names(), ['cup']);
  store.undo();
  store.undo();
  assert.deepEqual([names(), store.now().canUndo], [[], false]);
  store.undo();
  assert.deepEqual(names(), []);
});

test('what is undone is forgotten by the next step', () => {
  const item = store.addItem();
  store.changeItem(item.id, { name: 'cup' });
  store.undo();
  store.changeItem(item.id, { name: 'mug' });
  assert.equal(store.now().canRedo, false);
  store.redo();
  assert.deepEqual(names(), ['mug']);
});

test('a gesture is one step, and the next one another', () => {
  const item = store.addItem();
  for (const name of ['a', 'ab', 'abc']) {
    store.changeItem(item.id, { name }, 'typing');
  }
  store.endGesture();
  store.changeItem(item.id, { name: 'abcd' }, 'typing');
  store.undo();
  assert.deepEqual(names(), ['abc']);
  store.undo();
  assert.deepEqual(names(), ['']);
});

test('ids are never given twice, and the one before becomes the current one', () => {
  const [first, second] = [store.addItem(), store.addItem()];
  assert.notEqual(first.id, second.id);
  assert.equal(store.now().work.current, second.id);
  store.removeItem(second.id);
  assert.equal(store.now().work.current, first.id);
  assert.notEqual(store.addItem().id, first.id);
});

test('two hundred steps are kept, not all', () => {
  const item = store.addItem();
  for (let count = 0; count < 300; count += 1) {
    store.changeItem(item.id, { name: String(count) });
  }
  let steps = 0;
  while (store.now().canUndo && steps < 1000) {
    store.undo();
    steps += 1;
  }
  assert.equal(steps, 200);
});

test('a state is replaced, never changed', () => {
  const before = store.now();
  /** @type {unknown[]} */
  const told = [];
  store.watch((state, earlier) => told.push([state, earlier]));
  const { work } = before;
  store.addItem();
  assert.deepEqual([before.work, work.items.length], [work, 0]);
  assert.ok(told.length >= 2);
});
