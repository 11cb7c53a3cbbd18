/** The paper in one place: what the edition says of it, and its parts by name for whoever imports it. */

import { findPaper, type PaperFacts } from '@working-papers/edition';

/** Title, authors, identifiers, links, and our own summary. */
export const paper: PaperFacts = findPaper('longspec')!.paper;

export { decode } from './decode.ts';
export { generate } from './generate.ts';
export { openLongSpec } from './longspec.ts';
export { magicDec } from './magicdec.ts';
export { DraftModel } from './model.ts';
export { promptLookup } from './prompt-lookup.ts';
export { trainDraft } from './train.ts';
export { vanilla } from './vanilla.ts';
