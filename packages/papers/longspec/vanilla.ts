/** No guessing: one token from each call of the target. The measure of everything else, in the same layout. */

import type { Drafter } from './drafter.ts';
import { emptyTree } from './tree.ts';

export const vanilla: Drafter = {
  name: 'vanilla',
  start: async () => ({
    propose: async () => emptyTree,
    accept: async () => {},
    dispose: async () => {},
  }),
  dispose: async () => {},
};
