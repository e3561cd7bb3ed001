import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { sizeInHeader } from '../../static/header.js';

test('the size of a JPEG', () => {
  const file = readFileSync(new URL('../../../../../examples/still-life.jpg', import.meta.url));
  assert.deepEqual(sizeInHeader(new Uint8Array(file)), { width: 960, height: 640 });
  assert.equal(sizeInHeader(new Uint8Array(file.subarray(0, 40))), null);
});

test('the size of a PNG', () => {
  const head = Buffer.from('89504e470d0a1a0a0000000d494844520000271000001388080200000000000000', 'hex');
  assert.deepEqual(sizeInHeader(new Uint8Array(head)), { width: 10000, height: 5000 });
});

test('the size of an extended WebP', () => {
  const head = Buffer.alloc(32);
  head.write('RIFF', 0);
  head.write('WEBPVP8X', 8);
  head.writeUIntLE(4095, 24, 3);
  head.writeUIntLE(299, 27, 3);
  assert.deepEqual(sizeInHeader(new Uint8Array(head)), { width: 4096, height: 300 });
});

test('what is no picture has no size', () => {
  for (const text of ['', 'GIF89a', 'this is a text of more than thirty bytes', '\xff\xd8']) {
    assert.equal(sizeInHeader(new Uint8Array(Buffer.from(text, 'latin1'))), null);
  }
});
