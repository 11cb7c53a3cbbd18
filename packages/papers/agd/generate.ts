/**
 * Pictures of CIFAR-10's classes from the shared teacher: unguided, with classifier-free guidance, or with adapters.
 * What `wp run agd` and the page call. Runs in Node and in browsers.
 */

import type { Teacher } from '@working-papers/models/cifar10-kinds';
import { cifar10Numbers, cifar10Shape, toPictures } from '@working-papers/models/cifar10-sampling';
import { compileDenoiser } from '@working-papers/models/diffusion/denoiser';
import { karrasSigmas } from '@working-papers/models/diffusion/levels';
import { euler, type Sampler, type StepState, sample } from '@working-papers/models/diffusion/samplers';
import type { LoadedModel } from '@working-papers/models/model-file';
import type { RgbImage } from '@working-papers/nn/images';
import type { Device } from '@working-papers/tensor';
import type { AdapterFileOptions } from './checkpoint.ts';
import type { GuidanceAdapters } from './model.ts';
import { compileAdapted } from './sample.ts';

/** `plain`: the class alone; `cfg`: two rows a step; `agd`: one row a step, guided by adapters. */
export const methods = ['plain', 'cfg', 'agd'] as const;
export type Method = (typeof methods)[number];

export type AdapterFile = LoadedModel<AdapterFileOptions, GuidanceAdapters>;

export interface GenerateOptions {
  readonly method: Method;
  /** A class for each picture. */
  readonly labels: readonly number[];
  /** ω: one for all pictures or one each. Not used by `plain`. */
  readonly scale: number | readonly number[];
  /** Default 32. */
  readonly steps?: number;
  /** Default Euler in σ. */
  readonly sampler?: Sampler;
  readonly seed: number;
  /** Number of the first picture: parts of a set are the pictures of the whole. Default 0. */
  readonly first?: number;
  /** Before each step, with the picture as it is and as the network believes it to be. */
  readonly onStep?: (state: StepState) => void | Promise<void>;
  readonly signal?: AbortSignal;
}

export interface Generation {
  readonly pictures: RgbImage[];
  /** N · 3072 numbers, about −1 to 1. */
  readonly samples: Float64Array;
  /** Rows of the network for each picture: what the work is counted in. */
  readonly calls: number;
  /** Of sampling alone. */
  readonly milliseconds: number;
}

export interface Generator {
  /** Compiles what the method needs and runs it once, so that the next run's time is that of the work. */
  prepare(options: Pick<GenerateOptions, 'method' | 'labels' | 'scale'>): Promise<void>;
  /** Throws a RangeError or an AdapterError for what cannot be made. */
  generate(options: GenerateOptions): Promise<Generation>;
  dispose(): Promise<void>;
}

export interface GeneratorOptions {
  readonly device: Device;
  readonly teacher: Teacher;
  /** Without adapters there is no `agd`. */
  readonly adapters?: AdapterFile;
}

/** Opens a generator; each method is compiled when it is first asked for. Throws an AdapterError for adapters of another model. */
export function openGenerator({ device, teacher, adapters }: GeneratorOptions): Generator {
  const { model, weights } = teacher;
  adapters?.model.checkFits(model.network);
  const shape = cifar10Shape;
  let denoiser: ReturnType<typeof compileDenoiser> | undefined;
  let adapted: ReturnType<typeof compileAdapted> | undefined;
  const compiled = async (method: Method) => {
    if (method !== 'agd') {
      denoiser ??= compileDenoiser({ device, model, weights, shape });
      return denoiser;
    }
    if (!adapters) throw new RangeError('no adapters are loaded');
    const { model: own, weights: adapterWeights } = adapters;
    adapted ??= compileAdapted({ device, model, weights, adapters: own, adapterWeights, shape });
    return adapted;
  };
  const denoise = async (
    method: Method,
    { labels, scale }: Pick<GenerateOptions, 'labels' | 'scale'>,
    sigmas: readonly number[],
  ) => {
    const called = await compiled(method);
    const before = called.rows;
    const conditions =
      method === 'plain' ? { labels } : method === 'cfg' ? { labels, scale } : { labels, scale, sigmas };
    const own = called.for(
      conditions as { labels: readonly number[]; scale: number; sigmas: readonly number[] },
    );
    return { own, rows: () => called.rows - before };
  };
  const generate = async (options: GenerateOptions): Promise<Generation> => {
    const { method, labels, steps = 32, sampler = euler, seed, first = 0, onStep, signal } = options;
    const sigmas = karrasSigmas(steps);
    const { own, rows } = await denoise(method, options, sigmas);
    const start = performance.now();
    const samples = await sample({
      denoise: own,
      sampler,
      sigmas,
      count: labels.length,
      size: cifar10Numbers,
      seed,
      first,
      ...(onStep && { onStep }),
      ...(signal && { signal }),
    });
    const milliseconds = performance.now() - start;
    return { pictures: toPictures(samples), samples, calls: rows() / labels.length, milliseconds };
  };
  return {
    generate,
    async prepare(options) {
      await generate({ ...options, steps: 1, seed: 0 });
    },
    async dispose() {
      for (const each of await Promise.allSettled([denoiser, adapted]))
        if (each.status === 'fulfilled') await each.value?.dispose();
    },
  };
}
