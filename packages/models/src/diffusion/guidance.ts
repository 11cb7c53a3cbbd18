/** Classifier-free guidance: Ho and Salimans 2022, arXiv 2207.12598. */

import { concat, type Tensor } from '@working-papers/tensor';

/** Pictures [N, C, ...], levels or times [N] and labels [N] → [N, C', ...]: a denoiser, or a network itself. */
export type Conditional = (x: Tensor, level: Tensor, labels: Tensor) => Tensor;

/** Of classifier-free guidance (Ho and Salimans 2022, arXiv 2207.12598). */
export interface GuidanceOptions {
  /** The label that means "no class". */
  readonly nullLabel: number;
  /** Guide the first channels only, the others are the conditional ones: the DiT release has 3. Default: all. */
  readonly channels?: number;
}

/**
 * u + ω (c − u) with the conditional answer c, the unconditional one u and a scale ω for each picture [N]: 1 is no
 * guidance, 0 ignores the class. One call with twice the rows. The rule is linear, so guiding D, F, ε or v at the same
 * x is the same.
 */
export function guided(
  conditional: Conditional,
  options: GuidanceOptions,
): (x: Tensor, level: Tensor, labels: Tensor, scale: Tensor) => Tensor {
  return (x, level, labels, scale) => {
    const none = labels.mul(0).add(options.nullLabel);
    const both = conditional(concat([x, x], 0), concat([level, level], 0), concat([labels, none], 0));
    const rows = x.dim(0);
    const [c, u] = [both.slice(0, 0, rows), both.slice(0, rows)];
    const factor = scale.reshape([rows, ...x.shape.slice(1).map(() => 1)]);
    const guide = (c: Tensor, u: Tensor) => c.mul(factor).add(u.mul(factor.neg().add(1)));
    const { channels = c.size(1) } = options;
    if (!(channels >= 1 && channels <= c.size(1)))
      throw new RangeError(`${channels} guided channels of ${c.size(1)}`);
    if (channels === c.size(1)) return guide(c, u);
    const guidedPart = guide(c.slice(1, 0, channels), u.slice(1, 0, channels));
    return concat([guidedPart, c.slice(1, channels)], 1);
  };
}
