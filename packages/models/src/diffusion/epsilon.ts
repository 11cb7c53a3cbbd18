/** A network that predicts noise at DDPM's steps, in the coordinates of `samplers.ts`. */

import { Module } from '@working-papers/nn/module';
import { constant, ndarray, type Tensor } from '@working-papers/tensor';
import { linearAlphaBars, sigmaOfAlphaBar } from './levels.ts';
import { type Preconditioned, perPicture, type RawNetwork } from './preconditioned.ts';

/**
 * ε(√ᾱ x; t, y) of DDPM (Ho et al. 2020, arXiv 2006.11239): x0 = x − σ ε. The time t of a level σ is the step whose
 * level is nearest. A network with a learned variance says ε in its first half of channels. The weights are the
 * network's, by its names: published DiT checkpoints among them.
 */
export class Epsilon<Hooks, N extends RawNetwork<Hooks> = RawNetwork<Hooks>>
  extends Module
  implements Preconditioned<Hooks>
{
  readonly network: N;
  readonly #logs: readonly number[];

  /** `alphaBars` from the cleanest step; default the 1000 of DDPM. */
  constructor(network: N, alphaBars: readonly number[] = linearAlphaBars()) {
    super();
    this.network = network;
    this.#logs = alphaBars.map((alphaBar) => Math.log(sigmaOfAlphaBar(alphaBar)));
  }

  override stateName(property: string): string {
    return property === 'network' ? '' : super.stateName(property);
  }

  get nullLabel(): number {
    return this.network.nullLabel;
  }

  /** √ᾱ x = x/√(1 + σ²). */
  scaled(x: Tensor, sigma: Tensor): Tensor {
    return x.mul(perPicture(sigma.mul(sigma).add(1).rsqrt()));
  }

  /** t [N], by the distance of ln σ. */
  level(sigma: Tensor): Tensor {
    const between = this.#logs.slice(1).map((log, i) => (log + this.#logs[i]!) / 2);
    const passed = sigma
      .log()
      .unsqueeze(-1)
      .greater(constant(ndarray(between))); // (N, T − 1)
    return passed.cast('float32').sum(-1);
  }

  /** ε, and behind it the variance where the network has learned one. */
  raw(x: Tensor, sigma: Tensor, labels: Tensor, hooks?: Hooks): Tensor {
    return this.network.forward(this.scaled(x, sigma), this.level(sigma), labels, hooks);
  }

  denoised(x: Tensor, sigma: Tensor, raw: Tensor): Tensor {
    return x.sub(raw.slice(1, 0, x.size(1)).mul(perPicture(sigma)));
  }

  forward(x: Tensor, sigma: Tensor, labels: Tensor, hooks?: Hooks): Tensor {
    return this.denoised(x, sigma, this.raw(x, sigma, labels, hooks));
  }
}
