/**
 * A network preconditioned as in EDM (Karras et al. 2022, arXiv 2206.00364): what it sees and what it must say have
 * unit variance at every noise level.
 */

import { isTraining, Module, nextDraw } from '@working-papers/nn/module';
import { normal, randomInteger, type Tensor, uniform, where } from '@working-papers/tensor';
import { edmRange } from './levels.ts';
import { type Preconditioned, perPicture, type RawNetwork } from './preconditioned.ts';

/** Of `Edm`. */
export interface EdmOptions {
  /** Standard deviation d of the pictures; default 0.5, that of CIFAR-10 in [−1, 1]. */
  readonly sigmaData?: number;
  /**
   * The network's number for a level is this times ln σ; default 250, a quarter (as EDM has it) of the usual
   * thousand time steps.
   */
  readonly noiseScale?: number;
}

/**
 * D(x; σ, y) = c_skip x + c_out F(c_in x; c_noise, y), table 1: an estimate of x0 from x = x0 + σ n. The weights are
 * F's, by F's names.
 */
export class Edm<Hooks, N extends RawNetwork<Hooks> = RawNetwork<Hooks>>
  extends Module
  implements Preconditioned<Hooks>
{
  readonly network: N;
  readonly #variance: number;
  readonly #noiseScale: number;

  constructor(network: N, options: EdmOptions = {}) {
    super();
    const { sigmaData = 0.5, noiseScale = 250 } = options;
    if (!(sigmaData > 0)) throw new RangeError(`standard deviation ${sigmaData} of the data is not above 0`);
    this.network = network;
    this.#variance = sigmaData * sigmaData;
    this.#noiseScale = noiseScale;
  }

  override stateName(property: string): string {
    return property === 'network' ? '' : super.stateName(property);
  }

  get nullLabel(): number {
    return this.network.nullLabel;
  }

  /** c_in x: of unit variance at every level. */
  scaled(x: Tensor, sigma: Tensor): Tensor {
    return x.mul(perPicture(sigma.mul(sigma).add(this.#variance).rsqrt()));
  }

  /** c_noise [N]. */
  level(sigma: Tensor): Tensor {
    return sigma.log().mul(this.#noiseScale);
  }

  /** F(c_in x; c_noise, y): what the network says itself, of unit variance. */
  raw(x: Tensor, sigma: Tensor, labels: Tensor, hooks?: Hooks): Tensor {
    return this.network.forward(this.scaled(x, sigma), this.level(sigma), labels, hooks);
  }

  /** D from F, at the same x and σ. */
  denoised(x: Tensor, sigma: Tensor, raw: Tensor): Tensor {
    const total = sigma.mul(sigma).add(this.#variance);
    const skip = total.reciprocal().mul(this.#variance); // d²/(σ² + d²)
    const out = sigma.mul(total.rsqrt()).mul(Math.sqrt(this.#variance)); // σ d/√(σ² + d²)
    return x.mul(perPicture(skip)).add(raw.mul(perPicture(out)));
  }

  /** D: noisy pictures x [N, C, S, S], levels σ [N] and labels [N] (integers) → clean ones [N, C, S, S]. */
  forward(x: Tensor, sigma: Tensor, labels: Tensor, hooks?: Hooks): Tensor {
    return this.denoised(x, sigma, this.raw(x, sigma, labels, hooks));
  }

  /**
   * What F should say of x0 + σ n: (x0 − c_skip x)/c_out = (σ x0 − d² n)/(d √(σ² + d²)). In this form nothing
   * cancels at low levels.
   */
  target(clean: Tensor, sigma: Tensor, noise: Tensor): Tensor {
    const scale = sigma
      .mul(sigma)
      .add(this.#variance)
      .rsqrt()
      .mul(1 / Math.sqrt(this.#variance));
    return clean.mul(perPicture(sigma)).sub(noise.mul(this.#variance)).mul(perPicture(scale));
  }

  /**
   * λ(σ) |D(x0 + σ n) − x0|² with λ = (σ² + d²)/(σ d)², as a mean over each picture: [N]. Computed as |F − target|²,
   * which is the same (EDM, appendix B.6).
   */
  losses(clean: Tensor, sigma: Tensor, noise: Tensor, labels: Tensor, hooks?: Hooks): Tensor {
    const noisy = clean.add(noise.mul(perPicture(sigma)));
    const error = this.raw(noisy, sigma, labels, hooks).sub(this.target(clean, sigma, noise));
    return error.mul(error).mean([1, 2, 3]); // (N)
  }
}

/** How noise levels are drawn in training: log-normal, and for a share of them from the Karras table. */
export interface SigmaDistribution {
  /** Mean and standard deviation of ln σ; default −1.2 and 1.2 (EDM, table 1). */
  readonly logMean?: number;
  readonly logStd?: number;
  /** Share of levels drawn from the Karras table instead, all its entries alike; default 0.3. */
  readonly tableShare?: number;
  /** Entries of the table from 80 to 0.002; default 1000. */
  readonly tableSize?: number;
}

/** Levels to train on, [N]. Only in a training trace, whose seed it uses. */
export function drawSigmas(count: Tensor['shape'][number], options: SigmaDistribution = {}): Tensor {
  const { logMean = -1.2, logStd = 1.2, tableShare = 0.3, tableSize = 1000 } = options;
  if (!(tableShare >= 0 && tableShare <= 1)) throw new RangeError(`share ${tableShare} is not in 0..1`);
  const [first, second, third] = [nextDraw(), nextDraw(), nextDraw()];
  const logNormal = normal([count], first.seed, { stream: first.stream, mean: logMean, std: logStd }).exp();
  const { min, max, rho } = edmRange;
  const [high, low] = [max ** (1 / rho), min ** (1 / rho)];
  const entry = randomInteger([count], 0, tableSize, second.seed, { stream: second.stream }).cast('float32');
  const table = entry
    .mul((low - high) / (tableSize - 1))
    .add(high)
    .pow(rho);
  const isTable = uniform([count], third.seed, { stream: third.stream }).less(tableShare);
  return where(isTable, table, logNormal);
}

/** Upper ends of the noise-level buckets whose losses are reported; the last has none. */
export const lossBuckets = [0.05, 0.3, 1.5, 10, Infinity] as const;

/**
 * The training loss of pictures [N, C, S, S] in [−1, 1] and labels [N] (integers): levels and noise are drawn, labels
 * dropped by the network. Beside the mean over the batch, for each bucket of levels the sum of losses `sum_σ<b` and
 * how many there were, `count_σ<b`: their ratio over some steps is the loss at that level.
 */
export function edmLoss<Hooks>(
  model: Edm<Hooks>,
  images: Tensor,
  labels: Tensor,
  options: SigmaDistribution = {},
): { readonly loss: Tensor; readonly [metric: string]: Tensor } {
  if (!isTraining()) throw new Error('edmLoss draws noise: trace it as training');
  const sigma = drawSigmas(images.dim(0), options);
  const { seed, stream } = nextDraw();
  const losses = model.losses(images, sigma, normal(images.shape, seed, { stream }), labels);
  const metrics: { [metric: string]: Tensor } = {};
  for (const [i, end] of lossBuckets.entries()) {
    const below = sigma.less(Math.min(end, 1e9));
    const inside = i === 0 ? below : below.and(sigma.greaterEqual(lossBuckets[i - 1]!));
    const mask = inside.cast('float32');
    metrics[`sum_σ<${end}`] = losses.mul(mask).sum();
    metrics[`count_σ<${end}`] = mask.sum();
  }
  return { loss: losses.mean(), ...metrics };
}
