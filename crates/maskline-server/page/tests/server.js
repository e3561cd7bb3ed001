/** `maskline`, as the tests start it: a server with its own home and folder, or a command. */

import { execFile, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const REPOSITORY = resolve(dirname(fileURLToPath(import.meta.url)), '../../../..');
export const BINARY = process.env.MASKLINE_BINARY ?? resolve(REPOSITORY, process.env.CARGO_TARGET_DIR ?? 'target', 'debug/maskline');
export const SAMPLE = join(REPOSITORY, 'examples/still-life.jpg');

/** Longer than any model of the tests takes to be ready; the first one of all fetches ONNX Runtime. */
const PATIENCE = 240_000;

/** A folder that is gone when the tests end. */
export const folder = mkdtempSync(join(tmpdir(), 'maskline-page-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
// Whoever is told to end goes the same way, and takes servers along.
process.once('SIGINT', () => process.exit(130));
process.once('SIGTERM', () => process.exit(143));

/** @type {NodeJS.ProcessEnv|null} */
let known = null;

/**
 * What `maskline` finds in its environment: nothing of whoever runs the tests, but ONNX Runtime where it is kept.
 * @returns {NodeJS.ProcessEnv}
 */
export function environment() {
  if (known) {
    return known;
  }
  if (!existsSync(BINARY)) {
    throw new Error(`${BINARY} is missing: build it with \`cargo build -p maskline-cli\`, or name one in MASKLINE_BINARY`);
  }
  /** @type {NodeJS.ProcessEnv} */
  const own = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('MASKLINE_')));
  const { MASKLINE_HOME: home, MASKLINE_ONNXRUNTIME: runtime } = process.env;
  const told = spawnSync(BINARY, ['doctor', '--json'], { encoding: 'utf8' }).stdout;
  const path = runtime ?? JSON.parse(told).runtime?.path;
  known = { ...own, MASKLINE_HOME: home ?? join(folder, 'home'), ...(path ? { MASKLINE_ONNXRUNTIME: path } : {}) };
  return known;
}

/**
 * Runs a command line in a folder, with `maskline` on its path.
 * @param {string} line
 * @param {string} cwd
 * @returns {Promise<{stdout: string, stderr: string}>}
 */
export function shell(line, cwd) {
  const env = { ...environment(), PATH: `${dirname(BINARY)}:${process.env.PATH}` };
  return new Promise((done, fail) => {
    execFile('sh', ['-c', line], { cwd, env, maxBuffer: 1 << 28 }, (error, stdout, stderr) => {
      error ? fail(new Error(`${line}\n${stderr}`, { cause: error })) : done({ stdout, stderr });
    });
  });
}

/** @returns {Promise<number>} a port that nobody listens on */
function freePort() {
  return new Promise((done, fail) => {
    const probe = createServer();
    probe.on('error', fail);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => done(typeof address === 'object' && address ? address.port : 0));
    });
  });
}

/** A server, which ends with the tests. */
export class Served {
  /**
   * @param {string[]} given models and flags, as `maskline serve` takes them
   * @param {number} port
   */
  constructor(given, port) {
    this.given = given;
    this.url = `http://127.0.0.1:${port}`;
    this.said = '';
    /** @type {import('node:child_process').ChildProcess|null} */
    this.process = null;
  }

  /** @param {string[]} given */
  static async start(given) {
    const served = new Served(given, await freePort());
    await served.restart();
    return served;
  }

  /** Starts it, where it was before. */
  async restart() {
    const address = this.url.replace('http://', '');
    const started = spawn(BINARY, ['serve', '--http', address, '--grpc', 'off', '--notice', '0s', ...this.given], {
      env: environment(), stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.process = started;
    started.stderr?.on('data', (data) => (this.said += data));
    process.once('exit', () => started.kill('SIGKILL'));
    const until = Date.now() + PATIENCE;
    while (!(await this.isReady())) {
      if (started.exitCode !== null || Date.now() > until) {
        throw new Error(`the server is not ready: ${this.said}`);
      }
      await new Promise((done) => setTimeout(done, 50));
    }
  }

  async isReady() {
    const response = await fetch(`${this.url}/v2/health/ready`).catch(() => null);
    return response?.ok ?? false;
  }

  /** Ends it without a word, as a crash does. */
  async kill() {
    const { process: running } = this;
    if (running && running.exitCode === null && running.signalCode === null) {
      const ended = new Promise((done) => running.once('exit', done));
      running.kill('SIGKILL');
      await ended;
    }
  }
}

/** @type {Promise<{url: string}>|null} */
let shared = null;
/** @type {Served|null} */
let started = null;

/**
 * The server that most tests ask: the one of `tests/run.js`, else one of this file's own.
 * @param {() => Promise<string[]>} models
 */
export function sharedServer(models) {
  const url = process.env.MASKLINE_PAGE_SERVER;
  shared ??= url ? Promise.resolve({ url }) : models().then((given) => Served.start(given)).then((served) => (started = served));
  return shared;
}

export async function endSharedServer() {
  shared = null;
  await started?.kill();
}
