/**
 * Samplers: from noise to pictures in a few calls of a denoiser. All have one interface and stand in the coordinates
 * x = x0 + σ n (see `levels.ts`), so that one set of weights serves each of them; a sampler that is defined in other
 * coordinates goes there and back. States are float64; a denoiser may round.
 */

import { Random } from '@working-papers/nn/random';
import { alphaBarOf, checkSigmas, flowTimeOf } from './levels.ts';

/**
 * What a network believes: E[x0 | x] for pictures x = x0 + σ n, all at one level. Called once a step, except by Heun.
 * `step` counts from 0.
 */
export type Denoise = (
  x: Float64Array,
  sigma: number,
  step: number,
) => ArrayLike<number> | Promise<ArrayLike<number>>;

/** Standard normal numbers in the shape of the state. Each picture has a stream of its own. */
export type Noise = () => Float64Array;

/** Where sampling stands before the step from `sigma` to `next`, 0 included. */
export interface StepState {
  readonly x: Float64Array;
  readonly sigma: number;
  readonly next: number;
  readonly step: number;
  /** What the denoiser said of x. */
  readonly denoised: ArrayLike<number>;
  /** The step before, for methods of two steps. */
  readonly previous?: { readonly sigma: number; readonly denoised: ArrayLike<number> };
  readonly denoise: Denoise;
  readonly noise: Noise;
}

/** One step: x at the level `next`. */
export type Sampler = (state: StepState) => Float64Array | Promise<Float64Array>;

/** Of `sample`. */
export interface SampleOptions {
  readonly denoise: Denoise;
  readonly sampler: Sampler;
  /** Falling levels, from `karrasSigmas` for instance; the last is usually 0. */
  readonly sigmas: readonly number[];
  /** Pictures. */
  readonly count: number;
  /** Numbers of one picture. */
  readonly size: number;
  readonly seed: number;
  /** Number of the first picture: parts of a large set made one after the other are the pictures of the whole. Default 0. */
  readonly first?: number;
  /** Before each step: x with what the denoiser says of it. For recorders and for pictures that appear step by step. */
  readonly onStep?: (state: StepState) => void | Promise<void>;
  /** Ends between two steps with the signal's reason. */
  readonly signal?: AbortSignal;
}

/**
 * `count` pictures of `size` numbers, one after the other. The same seed gives the same noise for picture n, whatever
 * the count. Throws a RangeError for levels that do not fall and for a denoiser's answer of another length or with
 * numbers that are not finite.
 */
export async function sample(options: SampleOptions): Promise<Float64Array> {
  const { denoise, sampler, sigmas, count, size, seed, first = 0, onStep, signal } = options;
  checkSigmas(sigmas);
  if (!Number.isInteger(count) || count < 1) throw new RangeError(`${count} pictures are not 1 or more`);
  const streams = Array.from({ length: count }, (_, n) => new Random(seed).fork('sample').fork(first + n));
  const noise: Noise = () => {
    const all = new Float64Array(count * size);
    for (const [n, stream] of streams.entries()) all.set(stream.normals(size), n * size);
    return all;
  };
  const asked: Denoise = async (x, sigma, step) => {
    const denoised = await denoise(x, sigma, step);
    if (denoised.length !== x.length)
      throw new RangeError(`the denoiser gave ${denoised.length} numbers for ${x.length}`);
    for (let i = 0; i < x.length; i++) {
      if (!Number.isFinite(denoised[i]))
        throw new RangeError(`the denoiser gave ${denoised[i]} at step ${step}, noise level ${sigma}`);
    }
    return denoised;
  };
  let x: Float64Array = noise().map((value) => value * sigmas[0]!);
  let previous: StepState['previous'];
  for (let step = 0; step + 1 < sigmas.length; step++) {
    signal?.throwIfAborted();
    const [sigma, next] = [sigmas[step]!, sigmas[step + 1]!];
    const denoised = await asked(x, sigma, step);
    const state = { x, sigma, next, step, denoised, ...(previous && { previous }), denoise: asked, noise };
    await onStep?.(state);
    x = await sampler(state);
    previous = { sigma, denoised };
  }
  return x;
}

/** Euler in σ (EDM, algorithm 1 without correction): one call a step, order 1. The slope is (x − D)/σ. */
export const euler: Sampler = ({ x, sigma, next, denoised }) =>
  x.map((value, i) => value + ((next - sigma) * (value - denoised[i]!)) / sigma);

/** Heun in σ (EDM, algorithm 1): two calls a step, one for a step to 0; order 2. */
export const heun: Sampler = async (state) => {
  const { x, sigma, next, step, denoised, denoise } = state;
  const predicted = await euler(state);
  if (next === 0) return predicted;
  const corrected = await denoise(predicted, next, step);
  return x.map((value, i) => {
    const slope = (value - denoised[i]!) / sigma;
    const slopeThere = (predicted[i]! - corrected[i]!) / next;
    return value + ((next - sigma) * (slope + slopeThere)) / 2;
  });
};

/**
 * DDIM, equation 12 of Song et al. 2020 (arXiv 2010.02502), in variance-preserving coordinates. `eta` 0 has no noise
 * and is Euler in σ; 1 has as much as DDPM.
 */
export function ddim(eta = 0): Sampler {
  if (!(eta >= 0)) throw new RangeError(`eta ${eta} is negative`);
  return ({ x, sigma, next, denoised, noise }) => {
    const [now, then] = [alphaBarOf(sigma), alphaBarOf(next)];
    const spread = eta * Math.sqrt(((1 - then) / (1 - now)) * (1 - now / then)); // equation 16
    const drawn = spread > 0 ? noise() : undefined;
    return x.map((value, i) => {
      const clean = denoised[i]!;
      const epsilon = (Math.sqrt(now) * (value - clean)) / Math.sqrt(1 - now);
      const moved = Math.sqrt(then) * clean + Math.sqrt(1 - then - spread ** 2) * epsilon;
      return (moved + (drawn ? spread * drawn[i]! : 0)) / Math.sqrt(then);
    });
  };
}

/**
 * Ancestral sampling of DDPM (Ho et al. 2020, arXiv 2006.11239, equations 6 and 7): the mean of q(x' | x, x0) and
 * noise of the posterior's variance, or of β, the `upper` of the two choices of section 3.2. The last step has none.
 */
export function ddpm(variance: 'posterior' | 'upper' = 'posterior'): Sampler {
  return ({ x, sigma, next, denoised, noise }) => {
    if (next === 0) return Float64Array.from(denoised);
    const [now, then] = [alphaBarOf(sigma), alphaBarOf(next)];
    const alpha = now / then;
    const beta = 1 - alpha;
    const ofClean = (Math.sqrt(then) * beta) / (1 - now);
    const ofNoisy = (Math.sqrt(alpha) * (1 - then)) / (1 - now);
    const spread = Math.sqrt(variance === 'upper' ? beta : ((1 - then) / (1 - now)) * beta);
    const drawn = noise();
    return x.map(
      (value, i) =>
        (ofClean * denoised[i]! + ofNoisy * Math.sqrt(now) * value + spread * drawn[i]!) / Math.sqrt(then),
    );
  };
}

/**
 * DPM-Solver++(2M), algorithm 2 of Lu et al. 2022 (arXiv 2211.01095): one call a step, order 2. λ = −ln σ. The first
 * step and one to 0 are of order 1.
 */
export const dpmSolver2M: Sampler = (state) => {
  const { x, sigma, next, denoised, previous } = state;
  if (!previous || next === 0) return euler(state);
  const ratio = Math.log(previous.sigma / sigma) / Math.log(sigma / next); // r = h before / h
  return x.map((value, i) => {
    const ahead = denoised[i]! + (denoised[i]! - previous.denoised[i]!) / (2 * ratio);
    return (next / sigma) * value + (1 - next / sigma) * ahead;
  });
};

/**
 * Euler along a straight flow x_t = (1 − t) x0 + t n, whose velocity is n − x0 (Liu et al. 2022, arXiv 2209.03003).
 * The same path as Euler in σ.
 */
export const flowEuler: Sampler = ({ x, sigma, next, denoised }) => {
  const [now, then] = [flowTimeOf(sigma), flowTimeOf(next)];
  return x.map((value, i) => {
    const at = (1 - now) * value;
    const velocity = (at - denoised[i]!) / now;
    return (at + (then - now) * velocity) / (1 - then);
  });
};

/** The samplers by the names that a command line takes. */
export const samplers = {
  euler,
  heun,
  ddim: ddim(),
  ddpm: ddpm(),
  'dpm++2m': dpmSolver2M,
  flow: flowEuler,
} as const satisfies Record<string, Sampler>;
