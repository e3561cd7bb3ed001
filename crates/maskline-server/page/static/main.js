/** The page: puts its parts together. */

import * as asking from './asking.js';
import * as store from './store.js';
import { beginKeys } from './keys.js';
import { beginPanels } from './panels/panels.js';
import { beginPictures, sendAgain } from './pictures.js';
import { beginModels } from './models.js';
import { beginStages, take } from './stage/stages.js';
import { beginFollowing } from './video/following.js';

// First, so that a question is on its way before anything else is shown.
asking.begin({ sendAgain, onAnswer: take });
beginModels();
beginPanels();
beginStages();
beginPictures();
beginFollowing();
beginKeys();
store.watch((state) => {
  document.documentElement.dataset.theme = state.settings.theme;
});
