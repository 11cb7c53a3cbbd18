/** A preconditioned model compiled for a device, as samplers call it. */

import type { Weights } from '@working-papers/nn/module';
import { type Device, type NdArray, ndarray, type Tensor } from '@working-papers/tensor';
import { guided } from './guidance.ts';
import type { Preconditioned } from './preconditioned.ts';
import type { Denoise } from './samplers.ts';

/** Of `compileDenoiser`. */
export interface DenoiserOptions<Hooks> {
  readonly device: Device;
  readonly model: Preconditioned<Hooks>;
  readonly weights: Weights;
  /** Channels, height and width of a picture. */
  readonly shape: readonly [number, number, number];
}

/** What to make: a class for each picture, and how strongly to guide towards it. */
export interface Conditions {
  /** A class for each picture, or the null label. */
  readonly labels: ArrayLike<number>;
  /** One guidance scale for all pictures or one each; without one there is no guidance, at half the cost. */
  readonly scale?: number | ArrayLike<number>;
}

/** A network as denoisers that samplers call. */
export interface CompiledDenoiser {
  /** A denoiser for `sample`. Throws a RangeError for a label that is no class, or a scale that is negative or NaN. */
  for(conditions: Conditions): Denoise;
  /** Rows that the network has seen: guidance takes two for each picture. */
  readonly rows: number;
  dispose(): Promise<void>;
}

/** Compiles D with and without guidance, for any number of pictures. */
export async function compileDenoiser<Hooks>(options: DenoiserOptions<Hooks>): Promise<CompiledDenoiser> {
  const { device, model, weights, shape } = options;
  const { nullLabel } = model;
  const pictures = { shape: ['n', ...shape] };
  const perPicture = { shape: ['n'] };
  const labelled = { shape: ['n'], dtype: 'int32' } as const;
  const conditional = (x: Tensor, sigma: Tensor, labels: Tensor) => model.forward(x, sigma, labels);
  const plain = await device.compile(conditional, {
    inputs: [pictures, perPicture, labelled] as const,
    weights,
  });
  const withGuidance = await device.compile(guided(conditional, { nullLabel }), {
    inputs: [pictures, perPicture, labelled, perPicture] as const,
    weights,
  });
  let rows = 0;
  return {
    for({ labels, scale }) {
      const count = labels.length;
      const y = labelsOf(labels, nullLabel);
      const scales = scale === undefined ? undefined : scalesOf(scale, count);
      return async (x, sigma) => {
        const noisy = ndarray(x, [count, ...shape]);
        const levels = ndarray(new Float32Array(count).fill(sigma));
        rows += scales ? 2 * count : count;
        const out: NdArray = await (scales
          ? withGuidance(noisy, levels, y, scales)
          : plain(noisy, levels, y));
        return out.data as Float32Array;
      };
    },
    get rows() {
      return rows;
    },
    async dispose() {
      await plain.dispose();
      await withGuidance.dispose();
    },
  };
}

/** Labels as an array [N]. Throws a RangeError for one that is not in 0 to `highest`. */
export function labelsOf(labels: ArrayLike<number>, highest: number): NdArray {
  for (let n = 0; n < labels.length; n++) {
    if (!Number.isInteger(labels[n]) || labels[n]! < 0 || labels[n]! > highest)
      throw new RangeError(`label ${labels[n]} of picture ${n} is not one of 0 to ${highest}`);
  }
  return ndarray(labels, [labels.length], 'int32');
}

/** Guidance scales as an array [N]. Throws a RangeError for one that is negative or NaN, and for another number. */
export function scalesOf(scale: number | ArrayLike<number>, count: number): NdArray {
  const values = typeof scale === 'number' ? new Float32Array(count).fill(scale) : Float32Array.from(scale);
  if (values.length !== count) throw new RangeError(`${values.length} guidance scales for ${count} pictures`);
  const bad = values.find((value) => !(value >= 0 && Number.isFinite(value)));
  if (bad !== undefined) throw new RangeError(`guidance scale ${bad} is not 0 or more`);
  return ndarray(values);
}
