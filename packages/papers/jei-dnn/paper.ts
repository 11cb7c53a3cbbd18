/** The paper in one place: what the edition says of it, and its parts by name for whoever imports it. */

import { findPaper, type PaperFacts } from '@working-papers/edition';

/** Title, authors, identifiers, links, and our own summary. */
export const paper: PaperFacts = findPaper('jei-dnn')!.paper;

export { type Classification, Classifier, openClassifier } from './classify.ts';
export { exitCosts } from './cost.ts';
export { type EarlyExitBackbone, exitDistribution, gateFeatures, JeiDnn, takesExit } from './model.ts';
export { EarlyExitRunner, openRunner } from './runner.ts';
export { type JeiDnnWeights, packWeights, unpackWeights } from './weights.ts';
