/**
 * Preconditioning and loss of EDM (Karras, Aittala, Aila, Laine 2022, arXiv 2206.00364): around any network F of
 * unit-variance inputs and targets, a denoiser D(x; σ) that estimates x₀ from x = x₀ + σ ε at every noise level.
 */

import { normal, type Seed, type Tensor, uniform, where } from '@working-papers/tensor';
import { edmRange } from './noise-levels.ts';

/** Table 1 of the paper for one level, or for each level of a tensor. */
export interface EdmScalings<T> {
  readonly skip: T;
  readonly out: T;
  readonly in: T;
}

/** σ_data, the standard deviation of the data: .5 for pictures in −1 to 1. */
export const dataDeviation = 0.5;

/** c_skip = d² / (σ² + d²), c_out = σ d / √(σ² + d²), c_in = 1 / √(σ² + d²) of levels σ of any shape. */
export function edmScalings(level: Tensor, deviation = dataDeviation): EdmScalings<Tensor> {
  const variance = level.mul(level).add(deviation ** 2);
  const root = variance.rsqrt();
  return {
    skip: variance.reciprocal().mul(deviation ** 2),
    out: level.mul(deviation).mul(root),
    in: root,
  };
}

/** F(c_in x, levels): pictures [N, ...] and levels σ [N] → [N, ...]. */
export type EdmNetwork = (scaled: Tensor, level: Tensor) => Tensor;

/** Levels [N] as factors of x [N, ...]. */
function spread(level: Tensor, x: Tensor): Tensor {
  return level.reshape([level.dim(0), ...x.shape.slice(1).map(() => 1)]);
}

/** D(x; σ) = c_skip x + c_out F(c_in x; σ), equation 7: x [N, ...], σ [N] → an estimate of x₀ [N, ...]. */
export function edmDenoise(network: EdmNetwork, x: Tensor, level: Tensor, deviation = dataDeviation): Tensor {
  const scale = edmScalings(spread(level, x), deviation);
  return x.mul(scale.skip).add(network(x.mul(scale.in), level).mul(scale.out));
}

/**
 * λ(σ) |D(x₀ + σ ε; σ) − x₀|², λ = (σ² + d²) / (σ d)², as a mean over each sample: equations 2 and 3. It is computed as
 * |F − (x₀ − c_skip x) / c_out|², the same number without a large factor times a small difference. [N]
 */
export function edmLoss(
  network: EdmNetwork,
  clean: Tensor,
  noise: Tensor,
  level: Tensor,
  deviation = dataDeviation,
): Tensor {
  const wide = spread(level, clean);
  const x = clean.add(noise.mul(wide));
  const scale = edmScalings(wide, deviation);
  const target = clean.sub(x.mul(scale.skip)).div(scale.out);
  const error = network(x.mul(scale.in), level).sub(target);
  const axes = clean.shape.slice(1).map((_, i) => i + 1);
  return error.mul(error).mean(axes);
}

export interface TrainingLevelOptions {
  /** Mean and deviation of ln σ; default −1.2 and 1.2, the paper's for pictures. */
  readonly logMean?: number;
  readonly logDeviation?: number;
  /**
   * Share of samples that take a level of Karras' table of 1000 instead, all alike; default 0. Few-step students are
   * asked above σ = 20, where the log-normal hardly ever draws.
   */
  readonly tableShare?: number;
}

/**
 * σ of each of N samples: exp(N(−1.2, 1.2²)), and from the table in part. `draw` hands out a seed and a stream of
 * numbers that nobody else has, as `nextDraw` of a training trace does.
 */
export function drawTrainingLevels(
  count: number | string,
  draw: () => { readonly seed: Seed; readonly stream: number },
  options: TrainingLevelOptions = {},
): Tensor {
  const { logMean = -1.2, logDeviation = 1.2, tableShare = 0 } = options;
  const uniforms = () => {
    const { seed, stream } = draw();
    return uniform([count], seed, { stream });
  };
  const { seed, stream } = draw();
  const drawn = normal([count], seed, { stream }).mul(logDeviation).add(logMean).exp();
  if (tableShare === 0) return drawn;
  const entries = 1000;
  const { smallest, largest, rho } = edmRange;
  const [high, low] = [largest ** (1 / rho), smallest ** (1 / rho)];
  const index = uniforms()
    .mul(entries)
    .floor()
    .minimum(entries - 1);
  // karrasLevels(1000)[index], computed rather than gathered
  const fromTable = index
    .mul((low - high) / (entries - 1))
    .add(high)
    .pow(rho);
  return where(uniforms().less(tableShare), fromTable, drawn);
}
