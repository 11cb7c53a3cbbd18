/** The paper in one place: what the edition says of it, and its parts by name for whoever imports it. */

import { findPaper, type PaperFacts } from '@working-papers/edition';

/** Title, authors, identifiers, links, and our own summary. */
export const paper: PaperFacts = findPaper('agd')!.paper;

export { type Adapter, ScalarEncoder } from './adapters.ts';
export { GuidanceAdapters, student } from './model.ts';
export { compileAdapted } from './sample.ts';
export { trainAdapters } from './train.ts';
export { recordTrajectories, Trajectories } from './trajectories.ts';
