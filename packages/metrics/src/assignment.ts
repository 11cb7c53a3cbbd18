/** Who belongs to whom: the cheapest one-to-one pairing of rows and columns. */

import { linearSumAssignment } from 'linear-sum-assignment';

/**
 * The pairing of least total cost of a matrix of rows (Crouse 2016, doi 10.1109/TAES.2016.140952): for each row its
 * column, or −1 where there are fewer columns. Costs must be finite; what must not be paired gets a large one, and
 * is to be taken out afterwards.
 */
export function assign(costs: readonly ArrayLike<number>[]): Int32Array {
  const columns = costs[0]?.length ?? 0;
  const found = new Int32Array(costs.length).fill(-1);
  if (columns === 0) return found;
  const [only] = costs;
  if (costs.length === 1) {
    let best = 0;
    for (let j = 1; j < columns; j++) if (only![j]! < only![best]!) best = j;
    found[0] = best;
    return found;
  }
  const matrix = costs.map((row) => Float64Array.from(row));
  const { rowAssignments } = linearSumAssignment(matrix, { maximaze: false });
  for (let i = 0; i < found.length; i++) found[i] = rowAssignments[i]! >= 0 ? rowAssignments[i]! : -1;
  return found;
}
