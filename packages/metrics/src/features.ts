/**
 * The number of features D of an array (N, D), row-major, of N samples. Throws a RangeError when there is no sample,
 * the length is no multiple of N or a number is not finite.
 */
export function checkFeatures(features: ArrayLike<number>, count: number, what = 'features'): number {
  if (!Number.isInteger(count) || count < 1) throw new RangeError(`${what} of ${count} samples`);
  const dim = features.length / count;
  if (!Number.isInteger(dim) || dim < 1)
    throw new RangeError(
      `${what}: ${features.length} numbers are not a whole row for each of ${count} samples`,
    );
  for (let i = 0; i < features.length; i++) {
    if (!Number.isFinite(features[i]))
      throw new RangeError(`${what}: number ${i % dim} of sample ${Math.floor(i / dim)} is ${features[i]}`);
  }
  return dim;
}
