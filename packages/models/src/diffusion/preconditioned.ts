/** What samplers, guidance and adapters need of a diffusion model, whatever its network predicts. */

import type { Module } from '@working-papers/nn/module';
import type { Tensor } from '@working-papers/tensor';

/** Pictures [N, C, S, S], a number for the noise level [N] and labels [N] → [N, C', S, S]. */
export interface RawNetwork<Hooks> extends Module {
  /** The label that means "no class". */
  readonly nullLabel: number;
  forward(x: Tensor, level: Tensor, labels: Tensor, hooks?: Hooks): Tensor;
}

/** A network with the way from pictures x = x0 + σ n to what it sees and says, and back to an estimate of x0. */
export interface Preconditioned<Hooks> extends Module {
  readonly network: RawNetwork<Hooks>;
  readonly nullLabel: number;
  /** What the network sees of x [N, C, S, S] at levels σ [N]. */
  scaled(x: Tensor, sigma: Tensor): Tensor;
  /** The network's number for each level: σ [N] → [N]. */
  level(sigma: Tensor): Tensor;
  /** The estimate of x0 from what the network said of x at σ. */
  denoised(x: Tensor, sigma: Tensor, raw: Tensor): Tensor;
  /** All of it: x, σ and labels [N] → x0 [N, C, S, S]. */
  forward(x: Tensor, sigma: Tensor, labels: Tensor, hooks?: Hooks): Tensor;
}

/** σ [N] in the shape of factors for pictures [N, C, S, S]. */
export function perPicture(sigma: Tensor): Tensor {
  return sigma.reshape([sigma.dim(0), 1, 1, 1]);
}
