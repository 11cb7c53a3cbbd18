/**
 * The diffusion teacher that the image papers of the edition distil, cache and guide: a small DiT with EDM's
 * preconditioning on CIFAR-10's pictures in −1 to 1. One network, one file, every sampler.
 */

import { loadStateDict, type Weights } from '@working-papers/nn/module';
import { type Device, type NdArray, ndarray, type Tensor } from '@working-papers/tensor';
import { Dit, type DitHooks, type DitOptions } from './dit.ts';
import { type EdmNetwork, edmDenoise } from './edm.ts';
import type { LabelledDenoiser } from './guidance.ts';

/** 64 tokens of 4 × 4 pixels, width 160, 8 blocks: 3.8 M parameters. Label 10 means none. */
export const teacherOptions = {
  inputSize: 32,
  patchSize: 4,
  hiddenSize: 160,
  depth: 8,
  numHeads: 5,
  channels: 3,
  classes: 10,
  learnSigma: false,
  labelDropout: 0.1,
} as const satisfies DitOptions;

/** A smaller one for quick trials: 1 M parameters. */
export const quickTeacherOptions = { ...teacherOptions, hiddenSize: 96, depth: 6, numHeads: 3 } as const;

/**
 * The trunk as EDM asks it, for labels [N]: times are 250 ln σ, EDM's ¼ ln σ in the thousandths that DiT's sinusoids are
 * made for.
 */
export function teacherNetwork(model: Dit, labels: Tensor, hooks: DitHooks = {}): EdmNetwork {
  return (scaled, level) => model.forward(scaled, level.log().mul(250), labels, hooks);
}

export interface Teacher {
  readonly model: Dit;
  readonly nullLabel: number;
  /** Numbers of one sample. */
  readonly sampleSize: number;
  readonly denoise: LabelledDenoiser;
  dispose(): Promise<void>;
}

/** Compiles the teacher for batches of any size. `tensors` have the official DiT names. */
export async function openTeacher(
  device: Device,
  tensors: ReadonlyMap<string, NdArray> | Weights,
  options: DitOptions = teacherOptions,
): Promise<Teacher> {
  const model = new Dit(options);
  const { inputSize: side, channels = 4, classes = 1000 } = options;
  const isByName = (map: ReadonlyMap<unknown, NdArray>): map is ReadonlyMap<string, NdArray> =>
    [...map.keys()].every((key) => typeof key === 'string');
  const weights = isByName(tensors) ? loadStateDict(model, tensors) : tensors;
  const run = await device.compile(
    (x, level, labels) => edmDenoise(teacherNetwork(model, labels), x, level),
    {
      inputs: [
        { shape: ['n', channels, side, side] },
        { shape: ['n'] },
        { shape: ['n'], dtype: 'int32' as const },
      ],
      weights,
      name: 'teacher',
    },
  );
  return {
    model,
    nullLabel: classes,
    sampleSize: channels * side * side,
    async denoise(x, { level }, labels) {
      const count = labels.length;
      const bad = labels.find((label) => label < 0 || label > classes);
      if (bad !== undefined) throw new RangeError(`label ${bad} is not in 0 to ${classes}`);
      const { data } = await run(
        ndarray(x, [count, channels, side, side]),
        ndarray(new Float32Array(count).fill(level), [count]),
        ndarray(labels, [count], 'int32'),
      );
      return data as Float32Array;
    },
    dispose: () => run.dispose(),
  };
}
