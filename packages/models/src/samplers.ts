/**
 * From noise to data, step by step. Every sampler walks down the same noise levels σ of x = x₀ + σ ε and asks the same
 * denoiser; those that are written in other coordinates (mixed with variances ᾱ and 1 − ᾱ, or along straight lines)
 * go there and back. A step ends at the next level, the last one at σ = 0.
 *
 * Sampling is not differentiated: samplers work on plain arrays, in double precision between calls of the network.
 */

import type { Random } from '@working-papers/nn/random';
import { alphaBarOf, checkLevels, flowTimeOf } from './noise-levels.ts';

/** What a denoiser is asked. */
export interface DenoiserCall {
  /** σ, above 0. */
  readonly level: number;
  /** The step in which it is asked, from 0. */
  readonly step: number;
}

/** x = x₀ + σ ε, samples one after another → its estimate of x₀, in the same shape. Neither array is kept. */
export type Denoiser = (x: Float32Array, call: DenoiserCall) => Promise<Float32Array>;

/** One step from a level to the next (0 at the end). */
export interface StepInput {
  readonly x: Float64Array;
  readonly from: number;
  readonly to: number;
  readonly step: number;
  /** D(x; σ) at any level of this step. */
  readonly denoise: (x: Float64Array, level: number) => Promise<Float64Array>;
  /** For samplers that add noise. */
  readonly random: Random;
  /** What the sampler returned as `memory` in the step before. */
  readonly memory: Memory | undefined;
}

/** What a multistep sampler remembers: the last estimate, and the level that it was made at. */
export interface Memory {
  readonly denoised: Float64Array;
  readonly level: number;
}

export interface StepOutput {
  readonly x: Float64Array;
  readonly memory?: Memory;
}

export interface Sampler {
  readonly name: string;
  /** Calls of the denoiser for so many steps. */
  readonly calls: (steps: number) => number;
  readonly step: (input: StepInput) => Promise<StepOutput>;
}

const once = (steps: number) => steps;

function map(length: number, value: (i: number) => number): Float64Array {
  return Float64Array.from({ length }, (_, i) => value(i));
}

/** x + (to − from) (x − D) / from: the probability flow's ODE in σ by Euler's method, equation 3 of arXiv 2206.00364. */
function eulerStep(x: Float64Array, denoised: Float64Array, from: number, to: number): Float64Array {
  return map(x.length, (i) => x[i]! + ((to - from) * (x[i]! - denoised[i]!)) / from);
}

/** Euler in σ: one call a step. The same as DDIM without noise. */
export const euler: Sampler = {
  name: 'euler',
  calls: once,
  step: async ({ x, from, to, denoise }) => ({ x: eulerStep(x, await denoise(x, from), from, to) }),
};

/** Heun's second-order method in σ, algorithm 1 of arXiv 2206.00364 without churn: two calls a step, one in the last. */
export const heun: Sampler = {
  name: 'heun',
  calls: (steps) => 2 * steps - 1,
  async step({ x, from, to, denoise }) {
    const first = await denoise(x, from);
    const ahead = eulerStep(x, first, from, to);
    if (to === 0) return { x: ahead };
    const second = await denoise(ahead, to);
    return {
      x: map(x.length, (i) => {
        const slopes = (x[i]! - first[i]!) / from + (ahead[i]! - second[i]!) / to;
        return x[i]! + ((to - from) * slopes) / 2;
      }),
    };
  },
};

/**
 * DPM-Solver++(2M), Lu et al. 2022 (arXiv 2211.01095), algorithm 2 in x₀, of first order in its first and last step.
 * With α = 1 the half log-SNR is λ = −ln σ.
 */
export const dpmSolver2M: Sampler = {
  name: 'dpm-solver++2m',
  calls: once,
  async step({ x, from, to, denoise, memory }) {
    const denoised = await denoise(x, from);
    const next = { denoised, level: from };
    if (to === 0) return { x: denoised, memory: next };
    const h = Math.log(from / to);
    let estimate = denoised;
    if (memory) {
      const r = Math.log(memory.level / from) / h;
      estimate = map(x.length, (i) => denoised[i]! + (denoised[i]! - memory.denoised[i]!) / (2 * r));
    }
    return { x: map(x.length, (i) => (to / from) * x[i]! - Math.expm1(-h) * estimate[i]!), memory: next };
  },
};

/**
 * DDIM, Song et al. 2020 (arXiv 2010.02502), equation 12, in its own coordinates x / √(1 + σ²). η = 0 adds no noise, η = 1
 * as much as DDPM.
 */
export function ddim(eta = 0): Sampler {
  if (!(eta >= 0 && eta <= 1)) throw new RangeError(`η ${eta} is not in 0 to 1`);
  return {
    name: eta === 0 ? 'ddim' : `ddim η=${eta}`,
    calls: once,
    async step({ x, from, to, denoise, random }) {
      const [alpha, next] = [alphaBarOf(from), alphaBarOf(to)];
      const denoised = await denoise(x, from);
      const deviation = eta * Math.sqrt((1 - next) / (1 - alpha)) * Math.sqrt(1 - alpha / next);
      const noise = deviation > 0 ? random.normals(x.length) : undefined;
      return {
        x: map(x.length, (i) => {
          const mixed = x[i]! * Math.sqrt(alpha);
          const epsilon = (mixed - Math.sqrt(alpha) * denoised[i]!) / Math.sqrt(1 - alpha);
          const moved =
            Math.sqrt(next) * denoised[i]! +
            Math.sqrt(1 - next - deviation ** 2) * epsilon +
            deviation * (noise?.[i] ?? 0);
          return moved / Math.sqrt(next);
        }),
      };
    },
  };
}

/**
 * Ancestral sampling of DDPM, Ho et al. 2020 (arXiv 2006.11239), equations 6 and 7: the posterior's mean, and its variance
 * β̃ (`posterior`) or β, with β = 1 − ᾱ_from / ᾱ_to for levels of any distance.
 */
export function ddpm(variance: 'posterior' | 'beta' = 'posterior'): Sampler {
  return {
    name: variance === 'posterior' ? 'ddpm' : 'ddpm β',
    calls: once,
    async step({ x, from, to, denoise, random }) {
      const [alphaBar, before] = [alphaBarOf(from), alphaBarOf(to)];
      const denoised = await denoise(x, from);
      if (to === 0) return { x: denoised };
      const alpha = alphaBar / before;
      const beta = 1 - alpha;
      const ofClean = (Math.sqrt(before) * beta) / (1 - alphaBar);
      const ofMixed = (Math.sqrt(alpha) * (1 - before)) / (1 - alphaBar);
      const deviation = Math.sqrt(variance === 'beta' ? beta : (beta * (1 - before)) / (1 - alphaBar));
      const noise = random.normals(x.length);
      return {
        x: map(x.length, (i) => {
          const mixed = x[i]! * Math.sqrt(alphaBar);
          return (ofClean * denoised[i]! + ofMixed * mixed + deviation * noise[i]!) / Math.sqrt(before);
        }),
      };
    },
  };
}

/** Euler along the straight lines of flow matching, x = (1 − t) x₀ + t ε with velocity ε − x₀ (arXiv 2210.02747). */
export const flowEuler: Sampler = {
  name: 'flow-euler',
  calls: once,
  async step({ x, from, to, denoise }) {
    const [time, next] = [flowTimeOf(from), flowTimeOf(to)];
    const denoised = await denoise(x, from);
    return {
      x: map(x.length, (i) => {
        const mixed = x[i]! * (1 - time);
        const epsilon = (mixed - (1 - time) * denoised[i]!) / time;
        return (mixed + (next - time) * (epsilon - denoised[i]!)) / (1 - next);
      }),
    };
  },
};

export interface SampleOptions {
  readonly sampler: Sampler;
  readonly denoise: Denoiser;
  /** σ of every step, falling and above 0; the last step ends at 0. */
  readonly levels: readonly number[];
  /** Standard normal numbers, samples one after another; sampling starts at the first level times these. */
  readonly noise: Float32Array;
  /** Needed by samplers that add noise. */
  readonly random: Random;
  /** After every step: steps done, and x at the level reached. Return a promise to be waited for. */
  readonly onStep?: (done: number, x: Float32Array, level: number) => void | Promise<void>;
  readonly signal?: AbortSignal;
}

/** An estimate of data, in the order and shape of `noise`. Throws at levels that do not fall, and at an answer of another size. */
export async function sample(options: SampleOptions): Promise<Float32Array> {
  const { sampler, levels, noise, random, onStep, signal } = options;
  checkLevels(levels);
  let x = map(noise.length, (i) => noise[i]! * levels[0]!);
  let memory: Memory | undefined;
  for (const [step, from] of levels.entries()) {
    signal?.throwIfAborted();
    const to = levels[step + 1] ?? 0;
    const denoise = async (at: Float64Array, level: number) => {
      const answer = await options.denoise(Float32Array.from(at), { level, step });
      if (answer.length !== noise.length)
        throw new RangeError(`the denoiser gave ${answer.length} numbers for ${noise.length}`);
      return Float64Array.from(answer);
    };
    const next = await sampler.step({ x, from, to, step, denoise, random, memory });
    x = next.x;
    memory = next.memory;
    await onStep?.(step + 1, Float32Array.from(x), to);
  }
  return Float32Array.from(x);
}
