/**
 * Noise levels. A noisy picture is x = x0 + σ n, with n standard normal: the coordinates of EDM. Other diffusion
 * processes have the same pictures at other scales: with ᾱ = 1/(1 + σ²) the variance-preserving one is √ᾱ x, and with
 * t = σ/(1 + σ) the straight flow is (1 − t) x.
 */

/** Pictures and tables in EDM: Karras et al. 2022, arXiv 2206.00364, table 1. */
export const edmRange = { min: 0.002, max: 80, rho: 7 } as const;

/** Of `karrasSigmas`. */
export interface KarrasOptions {
  /** Smallest level above 0; default 0.002. */
  readonly min?: number;
  /** Level of pure noise; default 80. */
  readonly max?: number;
  /** How much the steps crowd at low levels; default 7. */
  readonly rho?: number;
}

/**
 * `steps` levels from `max` down to `min`, then 0 (equation 5): σ_i = (max^(1/ρ) + i/(steps − 1) (min^(1/ρ) −
 * max^(1/ρ)))^ρ. Throws a RangeError for less than 1 step or levels that do not fall.
 */
export function karrasSigmas(steps: number, options: KarrasOptions = {}): number[] {
  const { min, max, rho } = { ...edmRange, ...options };
  if (!Number.isInteger(steps) || steps < 1) throw new RangeError(`${steps} steps are not 1 or more`);
  if (!(min > 0 && max > min)) throw new RangeError(`levels from ${max} to ${min} do not fall`);
  const [high, low] = [max ** (1 / rho), min ** (1 / rho)];
  const level = (i: number) => (high + (steps > 1 ? i / (steps - 1) : 0) * (low - high)) ** rho;
  return [...Array.from({ length: steps }, (_, i) => level(i)), 0];
}

/** ᾱ of a level: the share of the picture's variance, 1/(1 + σ²). */
export const alphaBarOf = (sigma: number): number => 1 / (1 + sigma * sigma);

/** The level of ᾱ: √(1/ᾱ − 1). */
export const sigmaOfAlphaBar = (alphaBar: number): number => Math.sqrt(1 / alphaBar - 1);

/** The time of a level in a straight flow from the picture (0) to noise (1): σ/(1 + σ). */
export const flowTimeOf = (sigma: number): number => sigma / (1 + sigma);

/** The level of a flow time below 1: t/(1 − t). */
export const sigmaOfFlowTime = (t: number): number => t / (1 - t);

/**
 * ᾱ of the `count` steps of DDPM, from the cleanest: the products of 1 − β with β from 1e-4 to 0.02 (Ho et al. 2020,
 * arXiv 2006.11239, section 4), scaled where there are other than 1000.
 */
export function linearAlphaBars(count = 1000): number[] {
  let product = 1;
  return Array.from({ length: count }, (_, i) => {
    product *= 1 - (1e-4 + ((0.02 - 1e-4) * i) / (count - 1)) * (1000 / count);
    return product;
  });
}

/** `steps` of the indices 0 ... count − 1, ends included, ascending: what a model trained on `count` steps is asked for. */
export function spacedTimesteps(steps: number, count = 1000): number[] {
  if (!Number.isInteger(steps) || steps < 1 || steps > count)
    throw new RangeError(`${steps} steps are not 1 to ${count}`);
  if (steps === 1) return [count - 1];
  return Array.from({ length: steps }, (_, i) => Math.round((i * (count - 1)) / (steps - 1)));
}

/** The levels of some of DDPM's steps, from the noisiest, then 0. */
export function ddpmSigmas(timesteps: readonly number[], alphaBars = linearAlphaBars()): number[] {
  return [...timesteps.map((t) => sigmaOfAlphaBar(alphaBars[t]!)).reverse(), 0];
}

/** Throws a RangeError unless levels are finite, fall, and are above 0 up to the last, which may be 0. */
export function checkSigmas(sigmas: readonly number[]): void {
  if (sigmas.length < 2) throw new RangeError(`${sigmas.length} noise levels: a step needs two`);
  for (const [i, sigma] of sigmas.entries()) {
    if (!(Number.isFinite(sigma) && sigma >= 0)) throw new RangeError(`noise level ${i} is ${sigma}`);
    if (i > 0 && sigma >= sigmas[i - 1]!)
      throw new RangeError(`noise levels must fall, but ${sigmas[i - 1]} is followed by ${sigma}`);
  }
}
