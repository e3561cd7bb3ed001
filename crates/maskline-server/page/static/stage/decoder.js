/** Decodes pictures and halves them, off the thread that people wait for. Asked with {@link Asked}, it answers with {@link Told}. */

/**
 * @typedef {{number: number, file: Blob}} Asked
 *
 * A part of a picture, and where it lies there.
 * @typedef {{bitmap: ImageBitmap, x: number, y: number}} Tile
 *
 * @typedef {{number: number, size: {width: number, height: number}}} Sized
 * @typedef {{number: number, level: {width: number, height: number, tiles: Tile[]}}} Levelled
 * @typedef {{number: number, failed: string}} Failed
 * @typedef {Sized | Levelled | Failed} Told
 */

/** Pictures with more pixels are shown at once in little, since halving them takes a while. */
const LARGE = 6e6;
/** The longer side of what is shown at once. */
const OVERVIEW = 1600;
/** Halved until the longer side is below. */
const SMALLEST = 512;
/** Of larger pictures, only the parts that are seen need to go to where they are drawn from. */
const TILE = 2048;
/** Tiles overlap, so that no seams are seen. */
const OVERLAP = 2;

self.addEventListener('message', ({ data }) => void decode(data));

/**
 * @param {Told} told
 * @param {Transferable[]} [transfer]
 */
function tell(told, transfer = []) {
  self.postMessage(told, { transfer });
}

/** @param {Asked} asked */
async function decode({ number, file }) {
  try {
    let picture = await createImageBitmap(file);
    const { width, height } = picture;
    tell({ number, size: { width, height } });
    if (width * height > LARGE) {
      const part = OVERVIEW / Math.max(width, height);
      tellLevel(number, [{ bitmap: await resized(picture, part), x: 0, y: 0 }]);
    }
    while (Math.max(picture.width, picture.height) > SMALLEST) {
      const half = await resized(picture, 1 / 2);
      tellLevel(number, await tiled(picture));
      picture = half;
    }
    tellLevel(number, await tiled(picture));
  } catch (error) {
    tell({ number, failed: error instanceof Error ? error.message : String(error) });
  }
}

/**
 * @param {ImageBitmap} picture
 * @param {number} part
 */
function resized(picture, part) {
  const [width, height] = [Math.max(1, Math.round(picture.width * part)), Math.max(1, Math.round(picture.height * part))];
  return createImageBitmap(picture, { resizeWidth: width, resizeHeight: height, resizeQuality: 'low' });
}

/**
 * @param {ImageBitmap} picture which cannot be used any more
 * @returns {Promise<Tile[]>}
 */
async function tiled(picture) {
  const { width, height } = picture;
  if (Math.max(width, height) <= 2 * TILE) {
    return [{ bitmap: picture, x: 0, y: 0 }];
  }
  /** @type {Tile[]} */
  const tiles = [];
  try {
    for (let y = 0; y < height; y += TILE) {
      for (let x = 0; x < width; x += TILE) {
        const [left, top] = [Math.max(0, x - OVERLAP), Math.max(0, y - OVERLAP)];
        const [right, bottom] = [Math.min(width, x + TILE + OVERLAP), Math.min(height, y + TILE + OVERLAP)];
        tiles.push({ bitmap: await createImageBitmap(picture, left, top, right - left, bottom - top), x: left, y: top });
      }
    }
  } catch {
    // There is no memory for both.
    tiles.forEach(({ bitmap }) => bitmap.close());
    return [{ bitmap: picture, x: 0, y: 0 }];
  }
  picture.close();
  return tiles;
}

/**
 * @param {number} number
 * @param {Tile[]} tiles
 */
function tellLevel(number, tiles) {
  const width = Math.max(...tiles.map(({ bitmap, x }) => x + bitmap.width));
  const height = Math.max(...tiles.map(({ bitmap, y }) => y + bitmap.height));
  tell({ number, level: { width, height, tiles } }, tiles.map(({ bitmap }) => bitmap));
}
