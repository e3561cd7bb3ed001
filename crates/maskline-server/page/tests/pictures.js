/** Pictures of the tests, made here. */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import { SAMPLE, folder } from './server.js';

/** @typedef {(x: number, y: number) => number[]} Paint the channels of a pixel */

/**
 * @param {string} name
 * @param {Buffer} bytes
 * @returns {string} the file's path
 */
export function write(name, bytes) {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

/** The sample, as a camera that was held upright writes it: turned by 90° clockwise when it is shown. */
export function turned() {
  const jpeg = readFileSync(SAMPLE);
  // TIFF with one entry: orientation (0x0112), a SHORT, 6.
  const tiff = Buffer.from('4d4d002a00000008' + '0001' + '0112' + '0003' + '00000001' + '00060000' + '00000000', 'hex');
  const payload = Buffer.concat([Buffer.from('Exif\0\0', 'latin1'), tiff]);
  const head = Buffer.from([0xff, 0xe1, (payload.length + 2) >> 8, (payload.length + 2) & 255]);
  return write('turned.jpg', Buffer.concat([jpeg.subarray(0, 2), head, payload, jpeg.subarray(2)]));
}

/**
 * @param {{width: number, height: number, depth: 1|8|16, kind: 0|2, paint: Paint}} given `kind`: 0 for grey, 2 for colours
 * @returns {Buffer}
 */
export function png({ width, height, depth, kind, paint }) {
  const channels = kind === 2 ? 3 : 1;
  const stride = Math.ceil((width * channels * depth) / 8);
  const rows = Buffer.alloc((stride + 1) * height);
  for (let y = 0; depth > 1 && y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      paint(x, y).forEach((value, channel) => {
        const at = y * (stride + 1) + 1 + ((x * channels + channel) * depth) / 8;
        depth === 16 ? rows.writeUInt16BE(value, at) : rows.writeUInt8(value, at);
      });
    }
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([depth, kind, 0, 0, 0], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', deflateSync(rows, { level: 1 })), chunk('IEND', Buffer.alloc(0))]);
}

/**
 * @param {string} type
 * @param {Buffer} data
 */
function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const around = Buffer.alloc(8);
  around.writeUInt32BE(data.length, 0);
  around.writeUInt32BE(crc32(body), 4);
  return Buffer.concat([around.subarray(0, 4), body, around.subarray(4)]);
}

/**
 * PNG's sum of a chunk; Node has one of its own only from 22.2 on.
 * @param {Buffer} bytes
 */
function crc32(bytes) {
  let sum = ~0;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit += 1) {
      sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
    }
  }
  return ~sum >>> 0;
}

/** Sides of the pictures with a {@link disc}. */
export const DISC = { width: 300, height: 200, x: 190, y: 120, radius: 45 };

/** A bright disc on a dark ground, with channels from 0 to 1. @type {Paint} */
function disc(x, y) {
  const isIn = Math.hypot(x + 0.5 - DISC.x, y + 0.5 - DISC.y) < DISC.radius;
  return isIn ? [0.95, 0.75, 0.1] : [0.05 + y / 2000, 0.15, 0.3 + x / 2000];
}

/** The disc with 16 bits a channel. */
export function deep() {
  const { width, height } = DISC;
  /** @type {Paint} */
  const paint = (x, y) => disc(x, y).map((value) => Math.round(value * 65535));
  return write('deep.png', png({ width, height, depth: 16, kind: 2, paint }));
}

/** The disc as a TIFF, which browsers do not show. */
export function tiff() {
  const { width, height } = DISC;
  const pixels = Buffer.alloc(width * height * 3);
  for (let index = 0; index < width * height; index += 1) {
    pixels.set(disc(index % width, Math.floor(index / width)).map((value) => Math.round(value * 255)), index * 3);
  }
  // Little-endian: header, pixels, bits of each channel, then the directory. Type 3 is SHORT, 4 is LONG.
  const bits = 8 + pixels.length;
  const entries = [
    [256, 4, 1, width], [257, 4, 1, height], [258, 3, 3, bits], [259, 3, 1, 1], [262, 3, 1, 2], [273, 4, 1, 8], [277, 3, 1, 3],
    [278, 4, 1, height], [279, 4, 1, pixels.length],
  ];
  const head = Buffer.alloc(8);
  head.write('II*\0', 'latin1');
  head.writeUInt32LE(bits + 6, 4);
  const tail = Buffer.alloc(6 + 2 + entries.length * 12 + 4);
  [8, 8, 8].forEach((value, index) => tail.writeUInt16LE(value, index * 2));
  tail.writeUInt16LE(entries.length, 6);
  entries.forEach(([tag = 0, type = 0, count = 0, value = 0], index) => {
    const at = 8 + index * 12;
    tail.writeUInt16LE(tag, at);
    tail.writeUInt16LE(type, at + 2);
    tail.writeUInt32LE(count, at + 4);
    tail.writeUInt32LE(value, at + 8);
  });
  return write('disc.tiff', Buffer.concat([head, pixels, tail]));
}

/** 60 megapixels, all black, in a few kilobytes. */
export function huge() {
  return write('huge.png', png({ width: 10_000, height: 6_000, depth: 1, kind: 0, paint: () => [0] }));
}

/** 40 megapixels with discs. */
export function large() {
  const paint = (/** @type {number} */ x, /** @type {number} */ y) => {
    const isIn = Math.hypot((x % 2000) - 1000, (y % 2000) - 1000) < 600;
    return [isIn ? 230 : 40 + (x >> 7)];
  };
  return write('large.png', png({ width: 8_000, height: 5_000, depth: 8, kind: 0, paint }));
}

/** Middles of the squares of {@link squares}, which are 20 pixels wide. */
export const MIDDLES = [[130, 120], [800, 500], [1450, 150], [300, 850], [1333, 777]];

/** White squares at known places, on black. */
export function squares() {
  const isIn = (/** @type {number} */ x, /** @type {number} */ y) => {
    return MIDDLES.some(([cx, cy]) => Math.abs(x + 0.5 - cx) < 10 && Math.abs(y + 0.5 - cy) < 10);
  };
  return write('squares.png', png({ width: 1600, height: 1000, depth: 8, kind: 0, paint: (x, y) => [isIn(x, y) ? 255 : 0] }));
}

/** Words in a file that is called like a picture. */
export function text() {
  return write('photo.jpg', Buffer.from('This is no picture.\n'));
}
