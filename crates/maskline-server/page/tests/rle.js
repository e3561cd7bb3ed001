/** COCO's run lengths, read independently of the page. */

/**
 * @param {{size: [number, number], counts: string}} runs
 * @returns {{width: number, height: number, has: (x: number, y: number) => boolean, area: number}}
 */
export function mask({ size: [height, width], counts }) {
  const pixels = new Uint8Array(width * height);
  /** @type {number[]} */
  const lengths = [];
  let place = 0;
  while (place < counts.length) {
    let [value, shift, more] = [0, 0, true];
    while (more) {
      const digit = counts.charCodeAt(place) - 48;
      place += 1;
      value |= (digit & 31) << shift;
      shift += 5;
      more = (digit & 32) !== 0;
      if (!more && (digit & 16) !== 0) {
        value |= -1 << shift;
      }
    }
    // From the fourth on, the difference to the one before the last.
    lengths.push(lengths.length > 2 ? value + (lengths.at(-2) ?? 0) : value);
  }
  let [at, area] = [0, 0];
  lengths.forEach((length, index) => {
    pixels.fill(index % 2, at, at + length);
    area += index % 2 === 1 ? length : 0;
    at += length;
  });
  if (at !== pixels.length) {
    throw new Error(`${at} pixels in run lengths of ${width} x ${height}`);
  }
  return { width, height, area, has: (x, y) => pixels[Math.floor(x) * height + Math.floor(y)] === 1 };
}

/**
 * Places along a mask's edge, on either side, so far from it that neither scaling nor an outline reaches them, and not much farther.
 * @param {ReturnType<typeof mask>} of
 * @param {number} margin
 * @returns {{inside: number[][], outside: number[][]}}
 */
export function alongEdge(of, margin) {
  /** @type {{inside: number[][], outside: number[][]}} */
  const found = { inside: [], outside: [] };
  const step = Math.max(1, Math.floor(margin / 2));
  const around = [[0, 0], [-1, -1], [1, -1], [-1, 1], [1, 1], [0, 1], [1, 0], [-1, 0], [0, -1]];
  const hits = (/** @type {number} */ x, /** @type {number} */ y, /** @type {number} */ by) => {
    return around.filter(([dx, dy]) => of.has(x + dx * by, y + dy * by)).length;
  };
  const far = 2 * margin;
  for (let x = far; x < of.width - far; x += step) {
    for (let y = far; y < of.height - far; y += step) {
      const [near, wide] = [hits(x, y, margin), hits(x, y, far)];
      if (near === 9 && wide < 9) {
        found.inside.push([x + 0.5, y + 0.5]);
      } else if (near === 0 && wide > 0) {
        found.outside.push([x + 0.5, y + 0.5]);
      }
    }
  }
  return found;
}
