/** Colours of objects. */

/** Told apart by most eyes, on most pictures. */
const USUAL = ['#3b82f6', '#f97316', '#22c55e', '#ec4899', '#eab308', '#8b5cf6', '#06b6d4', '#ef4444', '#84cc16', '#f472b6', '#14b8a6', '#a16207'];
/** Okabe and Ito's, which eyes with any of the usual colour blindnesses tell apart. */
const SAFE = ['#0072b2', '#e69f00', '#009e73', '#cc79a7', '#56b4e9', '#d55e00', '#f0e442', '#999999'];

/**
 * @param {number} place
 * @param {'usual'|'safe'} palette
 * @returns {string} `#rrggbb`
 */
export function colour(place, palette) {
  const colours = palette === 'safe' ? SAFE : USUAL;
  return colours[place % colours.length] ?? '#000000';
}

/**
 * @param {'usual'|'safe'} palette
 * @returns {number} colours until the first comes again
 */
export function count(palette) {
  return (palette === 'safe' ? SAFE : USUAL).length;
}

/**
 * @param {string} hex `#rrggbb`
 * @returns {[number, number, number]}
 */
export function channels(hex) {
  const value = parseInt(hex.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}
