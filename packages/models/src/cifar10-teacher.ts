/**
 * The diffusion model of CIFAR-10 that several papers distil or speed up: a small DiT preconditioned as in EDM, which
 * serves every sampler of `diffusion/samplers.ts`. Here and not in `nn`, since a DiT is a backbone.
 */

import { Edm } from './diffusion/edm.ts';
import { DiT, type DiTHooks, type DiTOptions } from './dit.ts';

/** 64 tokens of 4 × 4 pixels, 3.9 M parameters. */
export const cifar10TeacherSize = {
  hiddenSize: 160,
  depth: 8,
  numHeads: 5,
  patchSize: 4,
  inputSize: 32,
  inChannels: 3,
  classes: 10,
  learnSigma: false,
} as const satisfies DiTOptions;

/** A quarter of the parameters, for quick looks. */
export const cifar10QuickSize = { ...cifar10TeacherSize, hiddenSize: 96, depth: 6, numHeads: 3 } as const;

/** D(x; σ, y) on pictures [N, 3, 32, 32] in [−1, 1], ten classes and 10 for none. Weights have DiT's official names. */
export function cifar10Teacher(options: Partial<DiTOptions> = {}): Edm<DiTHooks, DiT> {
  return new Edm<DiTHooks, DiT>(new DiT({ ...cifar10TeacherSize, ...options }), {
    sigmaData: 0.5,
    noiseScale: 250,
  });
}
