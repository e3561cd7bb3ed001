import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as view from '../../static/stage/view.js';

const PICTURE = { width: 960, height: 640 };
const PANE = { width: 1033.4, height: 807.6 };

/**
 * @param {{x: number, y: number}} one
 * @param {{x: number, y: number}} other
 */
function near(one, other) {
  assert.ok(Math.hypot(one.x - other.x, one.y - other.y) < 1e-6, `${one.x}, ${one.y} is not ${other.x}, ${other.y}`);
}

test('a picture fits, in the middle', () => {
  const { scale, x, y } = view.fitting(PICTURE, PANE);
  near({ x: 2 * x + PICTURE.width * scale, y: 2 * y + PICTURE.height * scale }, { x: PANE.width, y: PANE.height });
  assert.ok(x > 0 && y > 0);
  assert.equal(view.fitting({ width: 4, height: 4 }, PANE).scale, 32);
});

test('places lead there and back at any scale', () => {
  for (const scale of [0.3, 1, 5, 32]) {
    const at = { scale, x: -17.25, y: 3.5 };
    near(view.toPicture(at, view.toPane(at, { x: 123.4, y: 56.7 })), { x: 123.4, y: 56.7 });
  }
});

test('zooming keeps what is at the pointer', () => {
  const at = { x: 333.3, y: 222.2 };
  let now = view.fitting(PICTURE, PANE);
  const before = view.toPicture(now, at);
  for (const scale of [5, 0.3, 32, 0.131]) {
    now = view.scaled(now, scale, at);
    near(view.toPicture(now, at), before);
  }
});

test('some of the picture stays in sight', () => {
  for (const [x, y] of [[-1e6, -1e6], [1e6, 1e6]]) {
    const kept = view.inSight({ scale: 1, x: x ?? 0, y: y ?? 0 }, PICTURE, PANE);
    assert.ok(kept.x + PICTURE.width >= 60 && kept.x <= PANE.width - 60 && kept.y + PICTURE.height >= 60 && kept.y <= PANE.height - 60);
  }
});

test('the view is fitted until somebody moves it', () => {
  let told = 0;
  view.watch(() => {
    told += 1;
  });
  view.setPane({ width: 500, height: 400 });
  view.setPicture(PICTURE);
  assert.deepEqual(view.now(), view.fitting(PICTURE, { width: 500, height: 400 }));
  view.setPane(PANE);
  assert.deepEqual(view.now(), view.fitting(PICTURE, PANE));
  view.zoomBy(1e6);
  assert.equal(view.now().scale, 32);
  view.zoomBy(1e-9);
  assert.ok(Math.abs(view.now().scale - view.fitting(PICTURE, PANE).scale / 8) < 1e-9);
  const middle = view.toPicture(view.now(), { x: PANE.width / 2, y: PANE.height / 2 });
  view.setPane({ width: 700, height: 300 });
  near(view.toPicture(view.now(), { x: 350, y: 150 }), middle);
  view.fit();
  assert.deepEqual(view.now(), view.fitting(PICTURE, { width: 700, height: 300 }));
  assert.ok(told > 5);
});
