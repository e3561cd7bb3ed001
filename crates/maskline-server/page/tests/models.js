/** The models of the tests: small, and all of the repository. */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { REPOSITORY, folder } from './server.js';

const CASES = join(REPOSITORY, 'crates/maskline/tests/cases/tiny');
/** Letters of the vocabulary of the golden cases of SAM 3, alone and at the end of a word. */
const LETTERS = [...'acdeghilmnoprstuvbk'];

/**
 * What the shared server serves: `nano` and the same under a second name, a detector, one that gives masks, `sam` with three masks for a
 * click, and `words`.
 */
export async function models() {
  return [
    'nano', 'other=nano', `detector=${join(CASES, 'yolov8_detect/model.safetensors')}`,
    `segmenter=${join(CASES, 'yolov8_segment/model.safetensors')}`, `sam=${join(CASES, 'sam2')}`, `words=${writeWords()}`,
  ];
}

/**
 * A SAM 3 of two golden cases, as `testing/skips` has it for tests in Rust: a detector, and a click head on the same trunk.
 * @returns {string} its folder
 */
export function writeWords() {
  const path = join(folder, 'words');
  mkdirSync(path, { recursive: true });
  /** @type {Tensors} */
  const tensors = new Map();
  for (const [name, tensor] of readTensors(join(CASES, 'sam3/model.safetensors'))) {
    tensors.set(`detector_model.${name}`, tensor);
  }
  for (const [name, tensor] of readTensors(join(CASES, 'sam3_clicks/model.safetensors'))) {
    if (!name.startsWith('vision_encoder.')) {
      tensors.set(`tracker_model.${name}`, tensor);
    } else if (name.startsWith('vision_encoder.neck.')) {
      tensors.set(name.replace('vision_encoder.neck.', 'tracker_neck.'), tensor);
    }
  }
  writeFileSync(join(path, 'model.safetensors'), safetensors(tensors));
  const config = (/** @type {string} */ name) => JSON.parse(readFileSync(join(CASES, name, 'config.json'), 'utf8'));
  const both = { model_type: 'sam3_video', detector_config: config('sam3'), tracker_config: config('sam3_clicks') };
  writeFileSync(join(path, 'config.json'), JSON.stringify(both));
  const tokens = [...LETTERS, ...LETTERS.map((letter) => `${letter}</w>`), '<|startoftext|>', '<|endoftext|>'];
  writeFileSync(join(path, 'vocab.json'), JSON.stringify(Object.fromEntries(tokens.map((token, id) => [token, id]))));
  writeFileSync(join(path, 'merges.txt'), '#version: 0.2\n');
  return path;
}

/** @typedef {Map<string, {dtype: string, shape: number[], bytes: Buffer}>} Tensors */

/**
 * @param {string} path
 * @returns {Tensors}
 */
function readTensors(path) {
  const file = readFileSync(path);
  const end = 8 + Number(file.readBigUInt64LE(0));
  const { __metadata__, ...header } = JSON.parse(file.subarray(8, end).toString());
  return new Map(Object.entries(header).map(([name, { dtype, shape, data_offsets: [from, to] }]) => {
    return [name, { dtype, shape, bytes: file.subarray(end + from, end + to) }];
  }));
}

/** @param {Tensors} tensors */
function safetensors(tensors) {
  let at = 0;
  /** @type {Record<string, object>} */
  const header = {};
  for (const [name, { dtype, shape, bytes }] of tensors) {
    header[name] = { dtype, shape, data_offsets: [at, at += bytes.length] };
  }
  const text = JSON.stringify(header);
  // What follows lies at a multiple of eight.
  const padded = Buffer.from(text.padEnd(Math.ceil(text.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  return Buffer.concat([length, padded, ...[...tensors.values()].map(({ bytes }) => bytes)]);
}
