/** Runs all tests of the page, or those of the files that are named, with one server and one browser for those that can share them. */

import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { models } from './models.js';
import { LAUNCH } from './page.js';
import { Served, environment } from './server.js';

const here = dirname(fileURLToPath(import.meta.url));
const inFolder = (/** @type {string} */ folder) => {
  return readdirSync(folder).filter((name) => name.endsWith('.test.js')).map((name) => join(folder, name));
};
const given = process.argv.slice(2);
const files = given.length > 0 ? given : [...inFolder(join(here, 'unit')), ...inFolder(here)].sort();

const [served, browser] = await Promise.all([models().then((given) => Served.start(given)), chromium.launchServer(LAUNCH)]);
const { MASKLINE_HOME, MASKLINE_ONNXRUNTIME } = environment();
const env = {
  ...process.env, MASKLINE_HOME, ...(MASKLINE_ONNXRUNTIME ? { MASKLINE_ONNXRUNTIME } : {}), MASKLINE_PAGE_SERVER: served.url,
  MASKLINE_PAGE_BROWSER: browser.wsEndpoint(),
};
const tests = spawn(process.execPath, ['--test', '--test-concurrency=2', '--test-reporter=spec', ...files], { env, stdio: 'inherit' });
const code = await new Promise((done) => tests.once('exit', (code) => done(code ?? 1)));
await Promise.all([served.kill(), browser.close()]);
process.exit(code);
