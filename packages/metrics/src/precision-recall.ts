/**
 * Precision and recall of generated samples in a feature space (Kynkäänniemi et al. 2019, arXiv 1904.06991): which share
 * of them lies among the real ones, and the other way round.
 */

export interface PrecisionRecall {
  /** Share of generated samples inside at least one real sample's ball: quality. */
  readonly precision: number;
  /** Share of real samples inside at least one generated sample's ball: variety. */
  readonly recall: number;
}

export interface PrecisionRecallOptions {
  /** d. */
  readonly size: number;
  /** A ball reaches to its centre's k-th neighbour of the same set, itself not counted; default 3. */
  readonly neighbours?: number;
}

/** Of features [N, d] of real and of generated samples. Time grows with the product of their numbers. */
export function precisionRecall(
  real: ArrayLike<number>,
  generated: ArrayLike<number>,
  { size, neighbours = 3 }: PrecisionRecallOptions,
): PrecisionRecall {
  const sets = [real, generated].map((features, i) => {
    const count = features.length / size;
    if (!Number.isInteger(count))
      throw new RangeError(`${features.length} numbers are no rows of ${size} features`);
    if (count <= neighbours)
      throw new RangeError(
        `${count} ${i === 0 ? 'real' : 'generated'} samples have no ${neighbours} neighbours each`,
      );
    return Float64Array.from(features);
  }) as [Float64Array, Float64Array];
  const [ofReal, ofGenerated] = sets.map((set) => radii(set, size, neighbours)) as [
    Float64Array,
    Float64Array,
  ];
  return {
    precision: shareInside(sets[1], sets[0], ofReal, size),
    recall: shareInside(sets[0], sets[1], ofGenerated, size),
  };
}

function squaredDistance(a: Float64Array, i: number, b: Float64Array, j: number, size: number): number {
  let sum = 0;
  for (let k = 0; k < size; k++) {
    const difference = a[i * size + k]! - b[j * size + k]!;
    sum += difference * difference;
  }
  return sum;
}

/** The squared distance of each row to its k-th nearest other row. */
function radii(set: Float64Array, size: number, k: number): Float64Array {
  const count = set.length / size;
  return Float64Array.from({ length: count }, (_, i) => {
    // the k smallest so far, ascending
    const nearest = new Float64Array(k).fill(Number.POSITIVE_INFINITY);
    for (let j = 0; j < count; j++) {
      if (j === i) continue;
      const distance = squaredDistance(set, i, set, j, size);
      if (distance >= nearest[k - 1]!) continue;
      let at = k - 1;
      for (; at > 0 && nearest[at - 1]! > distance; at--) nearest[at] = nearest[at - 1]!;
      nearest[at] = distance;
    }
    return nearest[k - 1]!;
  });
}

function shareInside(
  points: Float64Array,
  centres: Float64Array,
  radius: Float64Array,
  size: number,
): number {
  const count = points.length / size;
  let inside = 0;
  for (let i = 0; i < count; i++) {
    for (let j = 0; j < radius.length; j++) {
      if (squaredDistance(points, i, centres, j, size) > radius[j]!) continue;
      inside++;
      break;
    }
  }
  return inside / count;
}
