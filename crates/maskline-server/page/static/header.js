/** How large pictures are, by the first bytes of their files: so that one which is too large need not be decoded to know it. */

/** @typedef {{width: number, height: number}} Size */

/**
 * @param {Uint8Array} bytes of the beginning of a file
 * @returns {Size|null} null where they do not tell; turned pictures may have width for height
 */
export function sizeInHeader(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const begins = (/** @type {string} */ text, at = 0) => [...text].every((letter, index) => bytes[at + index] === letter.charCodeAt(0));
  if (bytes.length >= 30 && begins('\x89PNG\r\n\x1a\n')) {
    return { width: view.getUint32(16), height: view.getUint32(20) };
  }
  if (bytes.length >= 30 && begins('RIFF') && begins('WEBPVP8X', 8)) {
    return { width: 1 + (view.getUint32(24, true) & 0xffffff), height: 1 + (view.getUint32(26, true) >>> 8 & 0xffffff) };
  }
  return begins('\xff\xd8') ? sizeOfJpeg(view) : null;
}

/**
 * @param {DataView} view
 * @returns {Size|null}
 */
function sizeOfJpeg(view) {
  for (let at = 2; at + 9 < view.byteLength; at += 2 + view.getUint16(at + 2)) {
    const marker = view.getUint16(at);
    const isFrame = marker >= 0xffc0 && marker <= 0xffcf && marker !== 0xffc4 && marker !== 0xffc8 && marker !== 0xffcc;
    if (isFrame) {
      return { width: view.getUint16(at + 7), height: view.getUint16(at + 5) };
    }
    if (marker < 0xffc0) {
      return null;
    }
  }
  return null;
}
