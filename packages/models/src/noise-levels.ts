/**
 * Noise levels σ of x = x₀ + σ ε, and their names in other tongues. All samplers count in σ; a network that was trained
 * in another parametrisation is asked at the corresponding level of its own.
 */

/** Throws where levels do not fall strictly or are not above 0. The 0 that sampling ends at is not among them. */
export function checkLevels(levels: readonly number[]): void {
  if (levels.length === 0) throw new RangeError('no noise levels to sample over');
  levels.forEach((level, i) => {
    if (!(level > 0 && Number.isFinite(level))) throw new RangeError(`noise level ${level} is not above 0`);
    if (i > 0 && level >= levels[i - 1]!)
      throw new RangeError(`noise levels must fall: ${levels[i - 1]} is followed by ${level}`);
  });
}

export interface KarrasOptions {
  /** Default .002. */
  readonly smallest?: number;
  /** Default 80. */
  readonly largest?: number;
  /** ρ; default 7. */
  readonly rho?: number;
}

/** EDM's range of levels and its ρ. */
export const edmRange = { smallest: 0.002, largest: 80, rho: 7 } as const satisfies KarrasOptions;

/** `count` levels from the largest down, evenly spaced in σ^(1/ρ): equation 5 of Karras et al. 2022, arXiv 2206.00364. */
export function karrasLevels(count: number, options: KarrasOptions = {}): number[] {
  const { smallest, largest, rho } = { ...edmRange, ...options };
  if (!(count >= 1 && Number.isInteger(count))) throw new RangeError(`${count} noise levels`);
  if (!(smallest > 0 && largest > smallest))
    throw new RangeError(`noise levels from ${smallest} to ${largest}: not an ascending range above 0`);
  const [high, low] = [largest ** (1 / rho), smallest ** (1 / rho)];
  return Array.from({ length: count }, (_, i) =>
    count === 1 ? largest : (high + (i / (count - 1)) * (low - high)) ** rho,
  );
}

/** ᾱ_t of t = 0 .. count − 1 for a β that rises evenly, as DDPM's (Ho et al. 2020, arXiv 2006.11239) and DiT's do. */
export function linearAlphaBars(count = 1000, first = 1e-4, last = 0.02): Float64Array {
  let product = 1;
  return Float64Array.from({ length: count }, (_, t) => {
    product *= 1 - (first + ((last - first) * t) / (count - 1));
    return product;
  });
}

/** ᾱ = 1 / (1 + σ²): x₀ and noise mixed with variances ᾱ and 1 − ᾱ, after division by √(1 + σ²). */
export function alphaBarOf(level: number): number {
  return 1 / (1 + level * level);
}

export function levelOfAlphaBar(alphaBar: number): number {
  return Math.sqrt((1 - alphaBar) / alphaBar);
}

/** t = σ / (1 + σ) of flow matching, x = (1 − t) x₀ + t ε, after division by 1 + σ. */
export function flowTimeOf(level: number): number {
  return level / (1 + level);
}

export function levelOfFlowTime(time: number): number {
  return time / (1 - time);
}
