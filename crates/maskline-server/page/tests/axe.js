/** axe-core's rules. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

/** @import {Opened} from './page.js' */

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/**
 * No rule of axe-core is broken in a way that it calls serious or critical.
 * @param {Opened} one
 * @param {string} state
 */
export async function isAccessible(one, state) {
  // Not by a script element, which the page's policy forbids.
  await one.page.evaluate(AXE);
  /** @type {{id: string, impact: string, nodes: string[]}[]} */
  const violations = await one.page.evaluate(async () => {
    const { violations } = await /** @type {any} */ (window).axe.run();
    return violations.map((/** @type {any} */ { id, impact, nodes }) => {
      return { id, impact, nodes: nodes.slice(0, 3).map((/** @type {any} */ node) => `${node.html} ${node.failureSummary}`) };
    });
  });
  assert.deepEqual(violations.filter(({ impact }) => impact === 'serious' || impact === 'critical'), [], state);
}
