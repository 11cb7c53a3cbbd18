/** From affinities to identities: which detection goes on with which track. */

import { assign } from '@working-papers/metrics/assignment';
import type { Lists } from './graph.ts';

export type Matcher = 'greedy' | 'hungarian';

/** An affinity that is no higher is no match. */
const leastAffinity = 0.01;

/**
 * For each detection its track, −1 for none. `affinity` are probabilities of the edges, in the order of the lists. Greedy:
 * detections in their order, the surest first, each take the best track that is free.
 */
export function match(
  across: Lists,
  affinity: readonly (readonly number[])[],
  trackCount: number,
  matcher: Matcher,
): Int32Array {
  const found = new Int32Array(across.length).fill(-1);
  if (matcher === 'greedy') {
    const taken = new Set<number>();
    for (const [i, own] of across.entries()) {
      let best = leastAffinity;
      for (const [at, j] of own.entries()) {
        if (taken.has(j) || !(affinity[i]![at]! > best)) continue;
        best = affinity[i]![at]!;
        found[i] = j;
      }
      if (found[i]! >= 0) taken.add(found[i]!);
    }
    return found;
  }
  if (trackCount === 0 || across.length === 0) return found;
  const forbidden = 1e6; // above all sums of affinities
  const costs = across.map((own, i) => {
    const row = new Float64Array(trackCount).fill(forbidden);
    for (const [at, j] of own.entries()) if (affinity[i]![at]! > leastAffinity) row[j] = -affinity[i]![at]!;
    return row;
  });
  for (const [i, j] of assign(costs).entries()) if (j >= 0 && costs[i]![j]! < forbidden) found[i] = j;
  return found;
}
