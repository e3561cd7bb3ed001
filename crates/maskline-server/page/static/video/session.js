/** What the server remembers of a clip: which frame it is at, and what it was told of objects. */

/** @import {Frame} from './footage.js' */
/** @import {FrameAnswer} from '../server.js' */
/** @import {Said} from './said.js' */

import * as server from '../server.js';
import { placeOf } from './said.js';

/** Frames that are remembered beyond those that tracking needs, so that it can be gone back to them. */
const HISTORY = 32;

/** @param {string} object @returns {number} what the server calls it */
function numberOf(object) {
  return Number(object.slice(1));
}

export class Session {
  /**
   * @param {string} id
   * @param {string} model
   */
  constructor(id, model) {
    this.id = id;
    this.model = model;
    /** The frame that it is at; null where that is not known. @type {number|null} */
    this.frame = null;
    /** What it was told, by {@link placeOf}. @type {Map<string, Said>} */
    this.said = new Map();
  }

  /**
   * @param {string} model
   * @param {number} length frames of the clip
   * @param {AbortSignal} signal
   */
  static async open(model, length, signal) {
    const open = (/** @type {number} */ history) => server.openVideo({ model, length, history }, signal);
    const id = await open(Math.min(length, HISTORY)).catch((error) => {
      // A server that keeps less can follow all the same.
      const isTooMuch = error instanceof server.Failure && error.problem.detail.includes('history');
      return isTooMuch ? open(0) : Promise.reject(error);
    });
    return new Session(id, model);
  }

  /** @returns {Set<string>} the objects that it follows */
  objects() {
    return new Set([...this.said.values()].map(({ object }) => object));
  }

  /**
   * Goes to a frame, to be told something there.
   * @param {number} index
   * @param {Frame} frame
   * @param {AbortSignal} signal
   */
  async look(index, frame, signal) {
    if (this.frame !== index) {
      await this.send({ index, way: 'look' }, frame, signal);
    }
  }

  /**
   * Follows all objects onto a frame.
   * @param {{index: number, way: 'forward'|'backward'}} to
   * @param {Frame} frame
   * @param {AbortSignal} signal
   * @returns {Promise<FrameAnswer>}
   */
  track(to, frame, signal) {
    return this.send(to, frame, signal);
  }

  /**
   * @param {{index: number, way: 'look'|'forward'|'backward'}} to
   * @param {Frame} frame
   * @param {AbortSignal} signal
   */
  async send(to, frame, signal) {
    const file = await frame.blob();
    // Where it fails, or is called off, the server may be there or not.
    this.frame = null;
    const answer = await server.sendFrame(this.id, { ...to, file }, signal);
    this.frame = to.index;
    return answer;
  }

  /**
   * @param {Said} said on the frame that it is at
   * @param {AbortSignal} signal
   */
  async say(said, signal) {
    const answer = await server.sayObject(this.id, { object: numberOf(said.object), ...JSON.parse(said.text) }, signal);
    this.said.set(placeOf(said), said);
    return answer;
  }

  /**
   * Takes back what it was told on the frame that it is at.
   * @param {Said} said
   * @param {AbortSignal} signal
   */
  async takeBack(said, signal) {
    await server.forgetObject(this.id, { object: numberOf(said.object), what: 'prompts' }, signal);
    this.said.delete(placeOf(said));
  }

  /**
   * @param {string} object that is to be followed no longer
   * @param {AbortSignal} signal
   */
  async remove(object, signal) {
    await server.forgetObject(this.id, { object: numberOf(object), what: 'object' }, signal);
    for (const [place, said] of this.said) {
      if (said.object === object) {
        this.said.delete(place);
      }
    }
  }

  close() {
    server.closeVideo(this.id);
  }
}
