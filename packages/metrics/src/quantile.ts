/**
 * The quantile at `level` (0..1) of ascending values, as numpy.quantile: 'linear' interpolates between neighbours,
 * 'higher' takes the upper one. Throws a RangeError for no values.
 */
export function quantile(
  sorted: ArrayLike<number>,
  level: number,
  method: 'linear' | 'higher' = 'linear',
): number {
  if (sorted.length === 0) throw new RangeError('quantile of no values');
  if (!(level >= 0 && level <= 1)) throw new RangeError(`quantile level ${level} is not in 0..1`);
  const position = level * (sorted.length - 1);
  const upper = sorted[Math.ceil(position)]!;
  if (method === 'higher') return upper;
  const lower = sorted[Math.floor(position)]!;
  return lower + (upper - lower) * (position - Math.floor(position));
}

/** A sorted copy. */
export function ascending(values: ArrayLike<number>): Float64Array {
  return Float64Array.from(values).sort();
}
