/** The paper in one place: what the edition says of it, and its parts by name for whoever imports it. */

import { findPaper, type PaperFacts } from '@working-papers/edition';

/** Title, authors, identifiers, links, and our own summary. */
export const paper: PaperFacts = findPaper('3dmotformer')!.paper;

export { type KalmanOptions, KalmanTracker, kittiKalman } from './kalman.ts';
export { parseDetections, parsePoses, parseTracks } from './kitti.ts';
