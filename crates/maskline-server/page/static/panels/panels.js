/** All that stands around the picture. */

import { beginCandidates } from './candidates.js';
import { beginDialogs } from './dialogs.js';
import { beginExport } from './export.js';
import { beginHeader } from './header.js';
import { beginObjects } from './objects.js';
import { beginProblem } from './problem.js';
import { beginStrip } from './strip.js';
import { beginTimeline } from './timeline.js';
import { beginTools } from './tools.js';
import { beginView } from './view.js';
import { beginWords } from './words.js';
import { button, follow, get, mark, write } from '../dom.js';

export function beginPanels() {
  beginHeader();
  beginTools();
  beginWords();
  beginObjects();
  beginCandidates();
  beginView();
  beginExport();
  beginStrip();
  beginTimeline();
  beginProblem();
  beginDialogs();
  beginSheet();
  follow((state) => [state.said], ({ said }) => write(get('said', HTMLElement), said));
  follow((state) => [state.settings.theme], ({ settings }) => mark(document.documentElement, 'data-theme', settings.theme));
}

/** On a phone the panels are a sheet that is opened. */
function beginSheet() {
  const sheet = button('sheet');
  sheet.addEventListener('click', () => mark(sheet, 'aria-expanded', String(sheet.getAttribute('aria-expanded') !== 'true')));
}
