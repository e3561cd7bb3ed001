/** When the frames of a video are shown: found out by looking, since browsers do not tell. */

/**
 * The frame `index` is shown from `start + index * period` on, in seconds; `isEven`: as in the file, where all are shown equally long.
 * @typedef {{start: number, period: number, count: number, isEven: boolean}} Timing
 *
 * Tells which frame is shown at a time: the time from which on it is. Null where the browser does not say.
 * @typedef {(time: number) => Promise<number|null>} Look
 */

/** Where nothing can be found out. */
const USUAL = 1 / 30;
/** The first step after a frame in which the next one is looked for, in seconds; and how much longer each following one is. */
const FIRST_STEP = 1 / 130;
const GROWTH = 1.5;
/** Frames that are shown for longer are not looked through. */
const LONGEST = 4;
/** Parts of the duration at which it is looked how long a frame is shown, where that is not the same everywhere. */
const PLACES = [0.37, 0.71];
/** How much farther from the first frame the next one is that is looked at to know the period better: the less the shorter it is. */
const FARTHER = { least: 2, most: 8, perSecond: 250 };
/** Frames that one may be off where all are shown equally long. */
const OFF = 0.3;
const KNOWN = [24000 / 1001, 24, 25, 30000 / 1001, 30, 48, 50, 60000 / 1001, 60, 5, 10, 12, 12.5, 15, 20, 90, 100, 120000 / 1001, 120];
/** Seconds after the end: browsers show the last frame then, also where the file tells too short a duration. */
const BEYOND = 1;

/**
 * Finds out when frames are shown. Where they are shown for different times, the shortest of some is taken for all.
 * @param {number} duration in seconds
 * @param {Look} look
 * @returns {Promise<Timing>}
 */
export async function timingOf(duration, look) {
  const start = await look(0);
  if (start === null) {
    return { start: 0, period: USUAL, count: Math.max(1, Math.round(duration / USUAL)), isEven: false };
  }
  const first = await periodOf(start, duration, look);
  if (first === null) {
    return { start, period: USUAL, count: 1, isEven: true };
  }
  const refinement = await refined({ start, period: first }, duration, look);
  const period = refinement ?? await shortest({ start, period: first }, duration, look);
  const last = (await look(duration + BEYOND)) ?? duration - period;
  const steps = Math.max(1, Math.round((last - start) / period));
  const isEven = refinement !== null;
  return { start, period: usual(isEven ? (last - start) / steps : period, steps), count: steps + 1, isEven };
}

/**
 * @param {{start: number, period: number}} known
 * @param {number} duration
 * @param {Look} look
 * @returns {Promise<number>} the shortest of the periods at some places
 */
async function shortest({ start, period }, duration, look) {
  let least = period;
  for (const place of PLACES) {
    const first = await look(start + place * duration);
    least = Math.min(least, (first === null ? null : await periodOf(first, duration, look)) ?? least);
  }
  return least;
}

/**
 * How long a frame is shown.
 * @param {number} first from when on
 * @param {number} duration
 * @param {Look} look
 * @returns {Promise<number|null>} null where no other one comes, or it cannot be told
 */
async function periodOf(first, duration, look) {
  for (let step = FIRST_STEP; step < LONGEST && first + step < duration; step *= GROWTH) {
    const next = await look(first + step);
    if (next !== null && next > first) {
      return next - first;
    }
  }
  return null;
}

/**
 * Times are told in steps of a millisecond by some files: the farther two frames are apart, the less that matters.
 * @param {{start: number, period: number}} coarse
 * @param {number} duration
 * @param {Look} look
 * @returns {Promise<number|null>} null where frames are not shown equally long
 */
async function refined({ start, period }, duration, look) {
  let better = period;
  /** @type {(frames: number) => Promise<number|null>} when the frame begins that should be shown then, if it is */
  const begin = async (frames) => {
    const time = await look(start + (frames + 0.5) * better);
    return time !== null && Math.abs((time - start) / better - frames) < OFF ? time : null;
  };
  const farther = Math.min(FARTHER.most, Math.max(FARTHER.least, Math.floor(FARTHER.perSecond * period)));
  for (let frames = farther; start + (frames + 1) * better < duration; frames *= farther) {
    const time = await begin(frames);
    if (time === null) {
      return null;
    }
    better = (time - start) / frames;
  }
  for (const place of PLACES) {
    const frames = Math.floor((place * (duration - start)) / better);
    if (frames > 0 && (await begin(frames)) === null) {
      return null;
    }
  }
  return better;
}

/**
 * @param {number} period
 * @param {number} steps after which it must not be half a frame off
 * @returns {number} of a usual rate, where it can be meant
 */
export function usual(period, steps) {
  const off = (/** @type {number} */ rate) => Math.abs(period * rate - 1);
  const [nearest] = [...KNOWN].sort((a, b) => off(a) - off(b));
  return nearest !== undefined && off(nearest) < Math.min(0.01, 0.25 / steps) ? 1 / nearest : period;
}

/**
 * @param {Timing} timing
 * @param {number} index
 * @returns {number} seconds, in the middle of the time in which the frame is shown
 */
export function middleOf({ start, period }, index) {
  return start + (index + 0.5) * period;
}
