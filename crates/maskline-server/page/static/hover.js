/** The mask that a click at the pointer would give. Asked at most so often as answers come; only the last question counts. */

/** @import {Answer} from './types.js' */

import { find } from './server.js';
import * as store from './store.js';

/** Milliseconds between two questions. */
const EVERY = 60;

/** @type {{controller: AbortController|null, last: number, timer: number}} */
const preview = { controller: null, last: 0, timer: 0 };

/**
 * Asks for the current object with one more click.
 * @param {{x: number, y: number}} at
 * @param {(answer: Answer) => void} show
 */
export function hover(at, show) {
  clearTimeout(preview.timer);
  const wait = preview.controller ? EVERY : Math.max(0, preview.last + EVERY - performance.now());
  if (wait > 0) {
    preview.timer = window.setTimeout(() => hover(at, show), wait);
    return;
  }
  const state = store.now();
  const { model, isNegative } = state.settings;
  if (!model || !state.picture?.ref || state.encoding.stage !== 'ready') {
    return;
  }
  const item = store.current();
  const clicks = [...(item?.clicks ?? []), { ...at, isPositive: !isNegative }];
  const points = clicks.map(({ x, y, isPositive }) => [x, y, isPositive ? 1 : 0]);
  const prompt = { points, ...(item?.box ? { box: item.box } : {}) };
  const controller = new AbortController();
  [preview.controller, preview.last] = [controller, performance.now()];
  find('segment', { model, image: { ref: state.picture.ref }, priority: 'low', prompts: [prompt] }, controller.signal)
    .then((answer) => controller.signal.aborted || show({ ...answer, key: `hover ${points.join(' ')}` }))
    // A preview that fails is none: the click itself will tell why.
    .catch(() => undefined)
    .finally(() => {
      if (preview.controller === controller) {
        preview.controller = null;
      }
    });
}

/** Shows no preview any more, also not one that is under way. */
export function stopHover() {
  clearTimeout(preview.timer);
  preview.controller?.abort();
  preview.controller = null;
}
