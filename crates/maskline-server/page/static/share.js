/** What the page asks, as commands of a shell. */

/** @import {Item, Model, Phrase, State} from './types.js' */

import { candidates } from './answers.js';
import { LEAST, MOST_OVERLAP, hasCandidates } from './asking.js';

/** A command that asks one thing, and what to know of it. */
/** @typedef {{notes: string[], words: string[]}} Command */

/**
 * @param {State} state
 * @param {{origin: string, hasKey: boolean}} server
 * @returns {string} one command for each thing that is asked, and remarks
 */
export function asCurl(state, { origin, hasKey }) {
  const picture = ['-F', `image=@${fileOfForm(nameOf(state))}`];
  const model = ['-F', `model=${state.settings.model ?? ''}`];
  const key = hasKey ? ['-H', KEY] : [];
  /** @type {(way: string, more: string[]) => string[]} */
  const ask = (way, more) => ['curl', ...key, `${origin}/v1/${way}`, ...picture, ...model, ...more];
  /** @type {Command[]} */
  const all = [];
  const items = promptedFor(state);
  if (items.length > 0) {
    all.push({ notes: chosenOtherwise(state, items), words: ask('segment', items.flatMap(formOfItem)) });
  }
  const { search, phrases } = searchOf(state);
  if (search === 'everything') {
    const more = state.settings.score > everythingScore(state) ? ['-F', `pred_iou_thresh=${state.settings.score}`] : [];
    all.push({ notes: [], words: ask('segment', ['-F', 'everything=true', ...more]) });
  } else if (search !== 'none') {
    const least = Object.entries(limits(state, search)).flatMap(([name, limit]) => ['-F', `${name}=${limit}`]);
    const { cutter } = state.settings;
    const notes = cutter ? [`its boxes are then prompts for ${cutter}; a pair does both: maskline serve '…+${cutter}'`] : [];
    all.push({ notes, words: ask('detect', [...phrases.flatMap(formOfPhrase), ...least]) });
  }
  return written(all);
}

/**
 * @param {State} state
 * @returns {string} the same for the command line
 */
export function asCli(state) {
  const { settings } = state;
  const run = (/** @type {string} */ model, /** @type {string[]} */ more) => ['maskline', 'run', model, pathOf(nameOf(state)), ...more];
  const model = settings.model ?? 'nano';
  /** @type {Command[]} */
  const all = [];
  const items = promptedFor(state);
  if (items.length > 0) {
    all.push({ notes: chosenOtherwise(state, items), words: run(model, items.flatMap(optionsOfItem)) });
  }
  const { search, phrases } = searchOf(state);
  if (search === 'everything') {
    const more = settings.score > everythingScore(state) ? ['--pred-iou-thresh', String(settings.score)] : [];
    all.push({ notes: [], words: run(model, ['--everything', ...more]) });
  } else if (search !== 'none') {
    const least = Object.entries(limits(state, search)).flatMap(([name, limit]) => [`--${name}`, String(limit)]);
    const pair = settings.cutter ? `${model}+${settings.cutter}` : model;
    all.push({ notes: [], words: run(pair, [...phrases.flatMap(optionsOfPhrase), ...least]) });
  }
  return written(all);
}

/** Double quotes, so that the shell puts the key in. */
const KEY = 'X-Api-Key: $MASKLINE_API_KEY';

/** @param {Command[]} commands */
function written(commands) {
  const lines = commands.flatMap(({ notes, words }) => [...notes.map((note) => `# ${note}`), words.map(quoted).join(' ')]);
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}

/** @param {string} word @returns {string} as a POSIX shell reads it */
export function quoted(word) {
  if (word === KEY) {
    return `"${word}"`;
  }
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** @param {State} state */
function nameOf(state) {
  return state.picture?.name ?? 'photo.jpg';
}

/** @param {string} name @returns {string} one that is neither an option nor a list of pictures */
function pathOf(name) {
  return /^[-@]/.test(name) ? `./${name}` : name;
}

/** @param {string} name @returns {string} as curl reads file names of forms */
function fileOfForm(name) {
  return /[;,"\\]/.test(name) ? `"${name.replace(/["\\]/g, '\\$&')}"` : name;
}

/** @param {State} state @returns {Model|undefined} */
function modelOf({ models, settings }) {
  return models.find((model) => model.name === settings.model);
}

/** @param {State} state @returns {Item[]} objects that are asked for and not hidden */
function promptedFor(state) {
  const isAsked = (/** @type {Item} */ item) => item.box !== null || item.clicks.some((click) => click.isPositive);
  return state.work.items.filter((item) => isAsked(item) && !item.isHidden);
}

/** @param {State} state @returns {{search: State['work']['search'], phrases: readonly Phrase[]}} what the model can be asked of it */
function searchOf(state) {
  const { search, phrases } = state.work;
  const takes = modelOf(state)?.takes;
  const isTaken = { none: true, everything: takes?.everything, objects: takes?.objects, words: takes?.words || takes?.exemplars };
  return { search: isTaken[search] ? search : 'none', phrases: search === 'words' ? phrases : [] };
}

/**
 * What the sliders leave; they choose among what was asked for.
 * @param {State} state
 * @param {'objects'|'words'} search
 */
function limits({ settings }, search) {
  return { conf: Math.max(settings.score, LEAST[search]), iou: Math.min(settings.overlap, MOST_OVERLAP) };
}

/** @param {State} state */
function everythingScore(state) {
  return Number(modelOf(state)?.defaults.pred_iou_thresh ?? 0);
}

/**
 * Commands answer with the best of three masks.
 * @param {State} state
 * @param {Item[]} items
 * @returns {string[]}
 */
function chosenOtherwise(state, items) {
  return items.filter(hasCandidates).flatMap((item) => {
    const { masks, chosen } = candidates({ ...state, work: { ...state.work, current: item.id } });
    const { chosen: best } = candidates({ ...state, work: { ...state.work, current: item.id, items: [{ ...item, candidate: null }] } });
    const name = item.name || `object ${item.id.slice(1)}`;
    const note = `of ${oneLine(name)} the page shows mask ${chosen + 1} of ${masks.length}; multimask "on" answers all`;
    return masks.length > 1 && chosen !== best ? [note] : [];
  });
}

/** @param {string} text */
function oneLine(text) {
  return text.replace(/\s+/g, ' ');
}

/** @param {Item} item @returns {string[]} */
function points(item) {
  return item.clicks.map(({ x, y, isPositive }) => `${x},${y}${isPositive ? '' : ',0'}`);
}

/**
 * @param {Item} item
 * @param {number} place
 * @returns {string[]}
 */
function formOfItem(item, place) {
  return [
    ...(place > 0 ? ['-F', 'object=next'] : []),
    ...(item.box ? ['-F', `box=${item.box.join(',')}`] : []),
    ...points(item).flatMap((point) => ['-F', `point=${point}`]),
    // Words of somebody are no file and have no type, whatever they begin with.
    ...(item.name ? ['--form-string', `label=${item.name}`] : []),
  ];
}

/**
 * @param {Item} item
 * @param {number} place
 * @returns {string[]}
 */
function optionsOfItem(item, place) {
  return [
    ...(place > 0 ? ['--object'] : []),
    ...(item.box ? ['--box', item.box.join(',')] : []),
    ...points(item).flatMap((point) => ['--point', point]),
    ...(item.name ? option('--label', item.name) : []),
  ];
}

/** @param {Phrase} phrase @returns {string[]} */
function formOfPhrase({ text, like, unlike }) {
  return [
    ...(text ? ['--form-string', `text=${text}`] : []),
    ...like.flatMap((box) => ['-F', `like_box=${box.join(',')}`]),
    ...unlike.flatMap((box) => ['-F', `unlike_box=${box.join(',')}`]),
  ];
}

/** @param {Phrase} phrase @returns {string[]} */
function optionsOfPhrase({ text, like, unlike }) {
  return [
    ...(text ? option('--text', text) : []),
    ...like.flatMap((box) => ['--like-box', box.join(',')]),
    ...unlike.flatMap((box) => ['--unlike-box', box.join(',')]),
  ];
}

/**
 * @param {string} name
 * @param {string} value
 * @returns {string[]}
 */
function option(name, value) {
  return value.startsWith('-') ? [`${name}=${value}`] : [name, value];
}
