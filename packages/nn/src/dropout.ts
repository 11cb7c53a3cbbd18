/** Layers that drop at random while training. */

import { dropout, ones, type Tensor } from '@working-papers/tensor';
import type { Layer } from './layers.ts';
import { isTraining, Module, nextDraw } from './module.ts';

/** Drops values with probability `p` in training and scales the rest by 1 / (1 − p); nothing in inference. */
export class Dropout extends Module implements Layer {
  readonly #p: number;

  constructor(p: number) {
    super();
    this.#p = p;
  }

  /** Whether what is being traced loses values here. */
  get drops(): boolean {
    return isTraining() && this.#p > 0;
  }

  forward(x: Tensor): Tensor {
    if (!this.drops) return x;
    const { seed, stream } = nextDraw();
    return dropout(x, this.#p, seed, { stream });
  }
}

/** Stochastic depth: drops a whole sample of x [N, ...] (Huang et al. 2016, arXiv 1603.09382). */
export class DropPath extends Module implements Layer {
  readonly #p: number;

  constructor(p: number) {
    super();
    this.#p = p;
  }

  forward(x: Tensor): Tensor {
    if (!isTraining() || this.#p === 0) return x;
    const { seed, stream } = nextDraw();
    const samples = ones([x.dim(0), ...x.shape.slice(1).map(() => 1)], x.dtype);
    return x.mul(dropout(samples, this.#p, seed, { stream }));
  }
}
