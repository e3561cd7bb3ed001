/** The masks that a single click can mean, to choose among. */

import * as actions from '../actions.js';
import { candidates } from '../answers.js';
import { follow, get, h, mark, show, write } from '../dom.js';

/** @typedef {{place: number, score: number|undefined, area: number|undefined, isChosen: boolean}} Candidate */

export function beginCandidates() {
  const [panel, group] = [get('candidates-panel', HTMLElement), get('candidates', HTMLElement)];
  follow((state) => [state.work, state.last, state.picture, state.settings.model], (state) => {
    const { masks, chosen } = candidates(state);
    mark(panel, 'hidden', masks.length < 2);
    const all = masks.length < 2 ? [] : masks.map(({ score, area }, place) => ({ place, score, area, isChosen: place === chosen }));
    show(group, all, { key: ({ place }) => String(place), make: radio });
  });
}

/**
 * @param {Candidate} first
 * @returns {import('../dom.js').Part<Candidate>}
 */
function radio({ place }) {
  const input = h('input', { type: 'radio', name: 'candidate', value: place, change: () => actions.chooseMask(place) });
  const score = h('span', { class: 'score' });
  const element = h('label', {}, input, h('span', { class: 'number' }, String(place + 1)), score);
  /** @param {Candidate} next */
  const update = (next) => {
    input.checked = next.isChosen;
    write(score, next.score === undefined ? '' : next.score.toFixed(2));
    mark(element, 'title', next.area === undefined ? '' : `${next.area.toLocaleString('en')} pixels`);
  };
  return { element, update };
}
