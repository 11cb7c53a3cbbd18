/** Pictures from a CIFAR-10 diffusion model. Runs in Node and in browsers. */

import { cifar10Classes, cifar10Size } from '@working-papers/nn/cifar10-classes';
import { fromNumbers, type RgbImage, tile } from '@working-papers/nn/images';
import type { Weights } from '@working-papers/nn/module';
import type { Device } from '@working-papers/tensor';
import { compileDenoiser } from './diffusion/denoiser.ts';
import type { Edm } from './diffusion/edm.ts';
import { karrasSigmas } from './diffusion/levels.ts';
import { euler, sample } from './diffusion/samplers.ts';
import type { DiT, DiTHooks } from './dit.ts';

/** Channels, height and width. */
export const cifar10Shape = [3, cifar10Size, cifar10Size] as const;

/** Numbers of one picture. */
export const cifar10Numbers = 3 * cifar10Size * cifar10Size;

/** Samples (N · 3072 numbers in [−1, 1]) as pictures. */
export function toPictures(samples: Float64Array): RgbImage[] {
  return Array.from({ length: samples.length / cifar10Numbers }, (_, n) =>
    fromNumbers(samples.subarray(n * cifar10Numbers, (n + 1) * cifar10Numbers), cifar10Size, cifar10Size),
  );
}

/** Of `sampleSheet`. */
export interface SheetOptions {
  readonly device: Device;
  readonly model: Edm<DiTHooks, DiT>;
  readonly weights: Weights;
  readonly rows: number;
  readonly seed: number;
  /** Guidance; default 3. */
  readonly guidance?: number;
  /** Euler steps; default 32. */
  readonly steps?: number;
}

/** A sheet of guided samples, one column a class, three times their size. */
export async function sampleSheet(options: SheetOptions): Promise<RgbImage> {
  const { device, model, weights, rows, seed, guidance = 3, steps = 32 } = options;
  const columns = cifar10Classes.length;
  const labels = Array.from({ length: rows * columns }, (_, n) => n % columns);
  const denoiser = await compileDenoiser({ device, model, weights, shape: cifar10Shape });
  try {
    const samples = await sample({
      denoise: denoiser.for({ labels, scale: guidance }),
      sampler: euler,
      sigmas: karrasSigmas(steps),
      count: labels.length,
      size: cifar10Numbers,
      seed,
    });
    return tile(toPictures(samples), { columns, scale: 3, gap: 3 });
  } finally {
    await denoiser.dispose();
  }
}
