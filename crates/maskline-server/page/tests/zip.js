/** Zip files, as far as the tests meet them. */

import { inflateRawSync } from 'node:zlib';

/**
 * @param {Buffer} file
 * @returns {Map<string, Buffer>} what is in it, by name
 */
export function unzipped(file) {
  const end = file.lastIndexOf(Buffer.from('PK\x05\x06', 'latin1'));
  if (end < 0) {
    throw new Error('no zip file');
  }
  /** @type {Map<string, Buffer>} */
  const entries = new Map();
  let at = file.readUInt32LE(end + 16);
  for (let count = file.readUInt16LE(end + 10); count > 0; count -= 1) {
    const [method, size] = [file.readUInt16LE(at + 10), file.readUInt32LE(at + 20)];
    const [name, extra, comment] = [28, 30, 32].map((field) => file.readUInt16LE(at + field));
    const local = file.readUInt32LE(at + 42);
    const from = local + 30 + file.readUInt16LE(local + 26) + file.readUInt16LE(local + 28);
    const packed = file.subarray(from, from + size);
    entries.set(file.toString('utf8', at + 46, at + 46 + name), method === 0 ? packed : inflateRawSync(packed));
    at += 46 + name + extra + comment;
  }
  return entries;
}
