import assert from 'node:assert/strict';
import { test } from 'node:test';
import { middleOf, timingOf, usual } from '../../static/video/timing.js';

/**
 * A video as a browser shows it: the last frame that has begun.
 * @param {number[]} times of its frames
 */
function shown(times) {
  let looks = 0;
  const look = async (/** @type {number} */ time) => {
    looks += 1;
    return times.findLast((begin) => begin <= time + 1e-9) ?? times[0] ?? null;
  };
  return { look, looks: () => looks };
}

/**
 * @param {number} count
 * @param {number} rate
 * @param {(time: number) => number} written how the file has a time
 */
function even(count, rate, written = (time) => time) {
  return Array.from({ length: count }, (_, index) => written(index / rate));
}

/** Matroska and WebM count in milliseconds. @param {number} time */
const milliseconds = (time) => Math.round(time * 1000) / 1000;

for (const rate of [5, 10, 24000 / 1001, 25, 30000 / 1001, 30, 60, 120]) {
  for (const count of [1, 2, 15, 240, 4000]) {
    test(`${count} frames, ${rate.toFixed(3)} a second`, async () => {
      for (const written of [undefined, milliseconds]) {
        const times = even(count, rate, written);
        const { look, looks } = shown(times);
        const timing = await timingOf(count / rate, look);
        assert.deepEqual([timing.count, timing.isEven], [count, true]);
        // Every frame is the one that is seen in its middle.
        for (const index of [0, 1, count >> 1, count - 2, count - 1].filter((one) => one >= 0 && one < count)) {
          const seen = count === 1 ? times[0] : await look(middleOf(timing, index));
          assert.equal(seen, times[index], `frame ${index}`);
        }
        assert.ok(looks() < 30, `${looks()} frames were looked at`);
      }
    });
  }
}

test('a video that begins late', async () => {
  const { look } = shown(even(50, 25, (time) => time + 0.5));
  assert.deepEqual(await timingOf(2.5, look), { start: 0.5, period: 1 / 25, count: 50, isEven: true });
});

test('of frames that are shown for different times, none is passed over', async () => {
  const times = [0, 0.3, ...Array.from({ length: 98 }, (_, index) => 0.3 + (index + 1) / 30)];
  const { count, period, isEven } = await timingOf(3.6, shown(times).look);
  assert.equal(isEven, false);
  assert.ok(Math.abs(period - 1 / 30) < 2e-3, `${period}`);
  assert.ok(Math.abs(count - 107) < 4, `${count}`);
});

test('where the browser tells nothing, thirty a second are taken', async () => {
  assert.deepEqual(await timingOf(2, async () => null), { start: 0, period: 1 / 30, count: 60, isEven: false });
});

test('a usual rate is taken only where all frames keep their places', () => {
  assert.equal(usual(0.0401, 8), 1 / 25);
  assert.equal(usual(0.0401, 1000), 0.0401);
  assert.equal(usual(1001 / 30000 + 1e-9, 10_000), 1001 / 30000);
});
