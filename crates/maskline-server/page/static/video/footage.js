/** Frames of a clip, as they are asked for. What is drawn of a frame is what the server is sent of it. */

import { Levels } from '../stage/levels.js';

/**
 * Where frames come from.
 * @typedef {object} Source
 * @property {string} name
 * @property {File} file of the video, or of the first picture
 * @property {number} width
 * @property {number} height
 * @property {number} count
 * @property {number|null} rate frames per second; null of pictures, which have no time
 * @property {number} start seconds of the first frame
 * @property {boolean} isEven whether all frames of the file are shown equally long, so that they are those of the clip
 * @property {(index: number) => Promise<Raw>} read
 * @property {() => void} close
 *
 * A frame as it was read; `file` where it is one.
 * @typedef {{bitmap: ImageBitmap, file: Blob|null}} Raw
 */

/** Bytes of frames that are kept, and how many there are at least. */
const MOST_BYTES = 256 << 20;
const LEAST = 4;

/** What is drawn of a frame; whoever keeps the frame closes it. */
class Drawn extends Levels {
  /** @param {ImageBitmap} bitmap */
  constructor(bitmap) {
    super(bitmap);
    this.add({ width: bitmap.width, height: bitmap.height, tiles: [{ bitmap, x: 0, y: 0 }] });
  }

  close() {}
}

/** A frame: what is drawn of it, and what is sent. */
export class Frame {
  /** @param {Raw} raw */
  constructor({ bitmap, file }) {
    this.bitmap = bitmap;
    this.levels = new Drawn(bitmap);
    /** @type {Promise<Blob>|null} */
    this.sent = file ? Promise.resolve(file) : null;
  }

  /** @returns {Promise<Blob>} its pixels without any loss, or the file that it came as */
  blob() {
    this.sent ??= packed(this.bitmap);
    return this.sent;
  }

  close() {
    this.bitmap.close();
  }
}

/** @param {ImageBitmap} bitmap */
function packed(bitmap) {
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext('2d', { alpha: false });
  context?.drawImage(bitmap, 0, 0);
  return canvas.convertToBlob({ type: 'image/png' });
}

export class Footage {
  /** @param {Source} source */
  constructor(source) {
    this.source = source;
    /** @type {Map<number, Promise<Frame>>} the one that was used last is the last one */
    this.kept = new Map();
    this.most = Math.max(LEAST, Math.floor(MOST_BYTES / (4 * source.width * source.height)));
    /** The frame that is shown, which is kept. */
    this.shown = 0;
  }

  /**
   * @param {number} index
   * @returns {Promise<Frame>}
   * @throws {Error} where it cannot be read, or has another size than the others
   */
  frame(index) {
    const known = this.kept.get(index);
    this.kept.delete(index);
    const frame = known ?? this.read(index);
    this.kept.set(index, frame);
    if (!known) {
      // One that failed is read anew when it is asked for again.
      frame.catch(() => this.kept.get(index) === frame && this.kept.delete(index));
      this.drop();
    }
    return frame;
  }

  /** @param {number} index */
  async read(index) {
    const raw = await this.source.read(index);
    const { width, height } = raw.bitmap;
    if (width !== this.source.width || height !== this.source.height) {
      raw.bitmap.close();
      const found = `frame ${index} has ${width} × ${height} pixels, the first one ${this.source.width} × ${this.source.height}`;
      throw new Error(`${found}: all must have one size`);
    }
    return new Frame(raw);
  }

  drop() {
    for (const [index, frame] of this.kept) {
      if (this.kept.size <= this.most) {
        break;
      }
      if (index !== this.shown) {
        this.kept.delete(index);
        void frame.then((one) => one.close(), () => undefined);
      }
    }
  }

  close() {
    for (const frame of this.kept.values()) {
      void frame.then((one) => one.close(), () => undefined);
    }
    this.kept.clear();
    this.source.close();
  }
}
