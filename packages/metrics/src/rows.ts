/**
 * The number of classes K of scores (N, K), row-major, for N labels.
 * Throws a RangeError when there is no sample, the length is no multiple of N, a label is not a class or a score is NaN.
 */
export function countClasses(scores: ArrayLike<number>, labels: ArrayLike<number>): number {
  const samples = labels.length;
  if (samples === 0) throw new RangeError('no samples');
  const classes = scores.length / samples;
  if (!Number.isInteger(classes) || classes < 1) {
    throw new RangeError(`${scores.length} scores are not a whole row for each of ${samples} labels`);
  }
  for (let n = 0; n < samples; n++) {
    const label = labels[n]!;
    if (!Number.isInteger(label) || label < 0 || label >= classes) {
      throw new RangeError(`label ${label} of sample ${n} is not one of ${classes} classes`);
    }
  }
  for (let i = 0; i < scores.length; i++) {
    if (Number.isNaN(scores[i])) throw new RangeError(`a score of sample ${Math.floor(i / classes)} is NaN`);
  }
  return classes;
}

/** The class of row `n` with the highest score, the first of equals. */
export function argMax(scores: ArrayLike<number>, classes: number, n: number): number {
  let best = 0;
  for (let k = 1; k < classes; k++) {
    if (scores[n * classes + k]! > scores[n * classes + best]!) best = k;
  }
  return best;
}

/** Arithmetic mean; NaN of nothing. */
export function mean(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]!;
  return sum / values.length;
}
