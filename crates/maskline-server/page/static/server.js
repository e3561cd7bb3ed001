/** The server, as the page asks it. Whatever goes wrong is thrown as a {@link Failure}. */

/** @import {Answer, Box, Model, Problem, Runs, Timings} from './types.js' */

const KEY = 'maskline.key';

/** A question that was not answered. */
export class Failure extends Error {
  /** @param {Problem} problem */
  constructor(problem) {
    super(problem.detail);
    this.problem = problem;
  }
}

/** @type {string} a key of the server, where it wants one; kept until the tab is closed */
let key = sessionStorage.getItem(KEY) ?? '';

/** @param {string} given */
export function useKey(given) {
  key = given.trim();
  sessionStorage.setItem(KEY, key);
}

/** @returns {boolean} whether a key is sent */
export function hasKey() {
  return key !== '';
}

/** @returns {Record<string, string>} */
function headers() {
  return key ? { 'X-Api-Key': key } : {};
}

/** @type {Problem} */
const UNREACHABLE = {
  reason: 'unreachable', title: 'The server does not answer', status: 0, detail: 'maskline cannot be reached.',
  help: 'Is `maskline serve` still running? The page goes on by itself once it is back.',
};

/**
 * @param {string} path
 * @param {RequestInit} [options]
 * @returns {Promise<Response>} one that succeeded
 */
async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { ...options, headers: { ...headers(), ...options.headers } });
  } catch (error) {
    throw error instanceof DOMException && error.name === 'AbortError' ? error : new Failure(UNREACHABLE);
  }
  if (!response.ok) {
    throw new Failure(problemOf(response.status, response.headers.get('retry-after'), await response.text()));
  }
  return response;
}

/**
 * @param {number} status
 * @param {string|null} retryAfter
 * @param {string} body
 * @returns {Problem}
 */
function problemOf(status, retryAfter, body) {
  /** @type {Record<string, any>} */
  let told = {};
  try {
    told = JSON.parse(body);
  } catch {
    told = { detail: body.slice(0, 300) };
  }
  const reason = String(told.type ?? '').replace('/problems/', '') || 'failed';
  return {
    reason, status, title: told.title ?? `The server answers ${status}`, detail: told.detail || told.error || 'It does not say why.',
    help: told.help ?? (reason === 'busy' ? 'It is asked again by itself.' : undefined), retryAfter: Number(retryAfter) || undefined,
  };
}

/**
 * @param {string} path
 * @param {object} body
 * @param {AbortSignal} [signal]
 */
function post(path, body, signal) {
  const init = { method: 'POST', body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' }, signal };
  return ask(path, init);
}

/** @returns {Promise<{models: Model[], available: string[]}>} */
export async function models() {
  return (await ask('/v1/models')).json();
}

/**
 * @param {string} name
 * @param {'load'|'unload'} what
 */
export async function control(name, what) {
  await post(`/v1/models/${encodeURIComponent(name)}/${what}`, {});
}

/** @typedef {{ref: string, width: number, height: number}} Kept */

/**
 * Sends a picture, unless the server has it.
 * @param {Blob} file
 * @param {(progress: number) => void} onProgress
 * @param {AbortSignal} signal
 * @returns {Promise<Kept>}
 */
export async function keep(file, onProgress, signal) {
  // `fetch` tells nothing of how much has been sent.
  const request = new XMLHttpRequest();
  request.open('PUT', '/v1/images');
  for (const [name, value] of Object.entries(headers())) {
    request.setRequestHeader(name, value);
  }
  request.upload.addEventListener('progress', (event) => onProgress(event.loaded / Math.max(1, event.total)));
  signal.addEventListener('abort', () => request.abort());
  await new Promise((resolve, reject) => {
    request.addEventListener('load', resolve);
    request.addEventListener('error', () => reject(new Failure(UNREACHABLE)));
    request.addEventListener('abort', () => reject(new DOMException('called off', 'AbortError')));
    request.send(file);
  });
  if (request.status >= 300) {
    throw new Failure(problemOf(request.status, request.getResponseHeader('retry-after'), request.responseText));
  }
  return JSON.parse(request.responseText);
}

/**
 * The decoded picture, for what the browser cannot show itself.
 * @param {string} ref
 * @returns {Promise<Blob>}
 */
export async function decoded(ref) {
  return (await ask(`/v1/images/${ref}?side=4096`, { headers: { Accept: 'image/png' } })).blob();
}

/**
 * Has a picture encoded, so that clicks need not wait for it.
 * @param {string} model
 * @param {string} ref
 * @param {AbortSignal} signal
 * @returns {Promise<Timings>}
 */
export async function encode(model, ref, signal) {
  return (await (await post('/v1/embed', { model, image: { ref } }, signal)).json()).timings_ms;
}

/**
 * Asks for objects.
 * @param {'segment'|'detect'} way
 * @param {Record<string, any>} body as the interface has it
 * @param {AbortSignal} [signal]
 * @returns {Promise<Answer>} without its key
 */
export async function find(way, body, signal) {
  const began = performance.now();
  const answer = await (await post(`/v1/${way}`, body, signal)).json();
  return {
    key: '', model: answer.model, provider: answer.provider, isDegraded: answer.degraded ?? false, objects: answer.objects ?? [],
    timings: answer.timings_ms, rowsTogether: answer.rows_together ?? 1, took: performance.now() - began, problem: unmet(answer),
  };
}

/**
 * @param {Record<string, any>} answer
 * @returns {Problem|null} what of a question was not answered, where nothing else was
 */
function unmet(answer) {
  const first = answer.errors?.[0];
  if (!first) {
    return null;
  }
  const parts = [first.message, first.expected && `expected ${first.expected}`, first.found && `found ${first.found}`];
  return { reason: 'bad_request', title: 'Not all could be answered', status: 200, detail: parts.filter(Boolean).join(', '), help: first.help };
}

/**
 * Writes what is seen as files.
 * @param {Record<string, any>} body as `POST /v1/export` has it
 * @returns {Promise<{name: string, file: Blob}>}
 */
export async function written(body) {
  const response = await post('/v1/export', body);
  const disposition = response.headers.get('content-disposition') ?? '';
  return { name: /filename="([^"]*)"/.exec(disposition)?.[1] ?? 'maskline', file: await response.blob() };
}

/**
 * An object that is followed, on a frame.
 * @typedef {{id: number, score: number, iou?: number, prompted?: boolean, box?: Box|null, area: number, segmentation: Runs}} Followed
 *
 * @typedef {{frame: number, size: [number, number], objects: Followed[], timings_ms: Timings}} FrameAnswer
 */

/**
 * Begins to follow objects through a video.
 * @param {{model: string, length: number, history: number}} body
 * @param {AbortSignal} signal
 * @returns {Promise<string>} what the server knows it by
 */
export async function openVideo(body, signal) {
  return (await (await post('/v1/video', body, signal)).json()).id;
}

/**
 * Sends a frame: to be tracked onto, or to be prompted on.
 * @param {string} id
 * @param {{index: number, way: 'look'|'forward'|'backward', file: Blob}} frame
 * @param {AbortSignal} signal
 * @returns {Promise<FrameAnswer>}
 */
export async function sendFrame(id, { index, way, file }, signal) {
  const how = { look: '&track=false', forward: '', backward: '&direction=backward' };
  const init = { method: 'POST', body: file, headers: { 'Content-Type': file.type || 'application/octet-stream' }, signal };
  return (await ask(`/v1/video/${id}/frames?index=${index}${how[way]}`, init)).json();
}

/**
 * Says where an object is on the frame that was sent last.
 * @param {string} id
 * @param {Record<string, any>} body
 * @param {AbortSignal} signal
 * @returns {Promise<FrameAnswer>}
 */
export async function sayObject(id, body, signal) {
  return (await post(`/v1/video/${id}/objects`, body, signal)).json();
}

/**
 * Has an object followed no longer, or what was said of it on the frame that was sent last forgotten.
 * @param {string} id
 * @param {{object: number, what: 'object'|'prompts'}} of
 * @param {AbortSignal} signal
 */
export async function forgetObject(id, { object, what }, signal) {
  await ask(`/v1/video/${id}/objects/${object}${what === 'prompts' ? '/prompts' : ''}`, { method: 'DELETE', signal });
}

/**
 * Gives the memory of a video back, also while the page goes away.
 * @param {string} id
 */
export function closeVideo(id) {
  // One that is gone already need not be closed.
  ask(`/v1/video/${id}`, { method: 'DELETE', keepalive: true }).catch(() => undefined);
}
