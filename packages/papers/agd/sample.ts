/**
 * Guided pictures from one call a step: a denoiser for the samplers of `models/diffusion/samplers.ts` whose guidance
 * is in the adapters. What adapters compute from (ω, t, y) alone is computed once for all steps and all pictures that
 * share a class and a scale. Runs in Node and in browsers.
 */

import { labelsOf, scalesOf } from '@working-papers/models/diffusion/denoiser';
import type { Preconditioned } from '@working-papers/models/diffusion/preconditioned';
import type { Denoise } from '@working-papers/models/diffusion/samplers';
import type { DiT, DiTHooks } from '@working-papers/models/dit';
import type { Weights } from '@working-papers/nn/module';
import { type Device, gather, lower, type NdArray, ndarray, Tensor, toNumbers } from '@working-papers/tensor';
import { AdapterError, conditionsOf, type GuidanceAdapters, student } from './model.ts';
import type { Guided } from './objective.ts';

export interface AdaptedOptions {
  readonly device: Device;
  /** The frozen model; its network must be a DiT. */
  readonly model: Preconditioned<DiTHooks> & { readonly network: DiT };
  readonly weights: Weights;
  readonly adapters: GuidanceAdapters;
  readonly adapterWeights: Weights;
  /** Channels, height and width of a picture. */
  readonly shape: readonly [number, number, number];
}

/** What to make. */
export interface AdaptedConditions {
  /** A class for each picture. */
  readonly labels: ArrayLike<number>;
  /** ω: one for all pictures or one each. */
  readonly scale: number | ArrayLike<number>;
  /** The levels that will be asked for: then the adapters' own part is computed once, before the first of them. */
  readonly sigmas?: readonly number[];
}

export interface CompiledAdapted {
  /**
   * A denoiser for `sample`. Throws a RangeError for a label that is no class and for a scale that is negative or NaN,
   * and an AdapterError where the scale is missing or where classifier-free guidance is asked for as well.
   */
  for(conditions: AdaptedConditions): Denoise;
  /** Rows that the network has seen: one for each picture and step. */
  readonly rows: number;
  dispose(): Promise<void>;
}

/** Throws an AdapterError for a missing ω, and where guidance is switched on beside the adapters. */
function checkConditions(conditions: AdaptedConditions & { readonly guidance?: unknown }): void {
  if (conditions.scale === undefined || conditions.scale === null)
    throw new AdapterError('adapters need the guidance scale of each picture');
  const { guidance } = conditions;
  if (guidance !== undefined && guidance !== 1)
    throw new AdapterError(
      `classifier-free guidance is on (${guidance}) beside the adapters, which guide already: leave it out`,
    );
}

/** Compiles the model with its adapters, for any number of pictures. Throws an AdapterError where they do not fit. */
export async function compileAdapted(options: AdaptedOptions): Promise<CompiledAdapted> {
  const { device, model, adapters, shape } = options;
  const { network, nullLabel } = model;
  adapters.checkFits(network);
  const weights: Weights = new Map([...options.weights, ...options.adapterWeights]);
  const [pictures, numbers] = [{ shape: ['n', ...shape] }, { shape: ['n'] }];
  const integers = { shape: ['n'], dtype: 'int32' } as const;
  const whole = await compileGuided({ ...options, weights, guided: student(network, adapters) });
  const prepare = await device.compile(
    (sigma: Tensor, labels: Tensor, scale: Tensor) =>
      adapters.prepare(conditionsOf(network, model.level(sigma), labels, scale)),
    { inputs: [numbers, integers, numbers] as const, weights },
  );
  const preparedSpecs = adapters.blocks.map(({ preparedShape }) => ({ shape: ['rows', ...preparedShape] }));
  const hoisted = await device.compile(
    (x: Tensor, sigma: Tensor, labels: Tensor, row: Tensor, prepared: readonly Tensor[]) => {
      const own = prepared.map((all) => gather(all, row, 0)); // one row a picture
      const level = model.level(sigma);
      const said = network.forward(model.scaled(x, sigma), level, labels, adapters.hooks(own));
      return model.denoised(x, sigma, said);
    },
    { inputs: [pictures, numbers, integers, integers, preparedSpecs] as const, weights },
  );
  let rows = 0;
  return {
    for(conditions) {
      checkConditions(conditions);
      const { labels, scale, sigmas } = conditions;
      if (!sigmas) {
        const denoise = whole.for({ labels, scale });
        return async (x, sigma, step) => {
          rows += labels.length;
          return denoise(x, sigma, step);
        };
      }
      const count = labels.length;
      const y = labelsOf(labels, nullLabel - 1);
      const scales = scalesOf(scale, count);
      const distinct = distinctRows(y, scales);
      const asked = sigmas.filter((sigma) => sigma > 0);
      let ready: Promise<NdArray[]> | undefined;
      return async (x, sigma) => {
        // all levels of all distinct conditions in one call: [levels · distinct, ...]
        ready ??= prepare(
          ndarray(asked.flatMap((each) => distinct.scales.map(() => each))),
          ndarray(
            asked.flatMap(() => distinct.labels),
            [asked.length * distinct.labels.length],
            'int32',
          ),
          ndarray(asked.flatMap(() => distinct.scales)),
        ) as Promise<NdArray[]>;
        const prepared = await ready;
        const at = asked.indexOf(sigma);
        if (at < 0) throw new RangeError(`noise level ${sigma} is not one of those announced`);
        const own = prepared.map((array) => part(array, at, asked.length));
        const levels = ndarray(new Float32Array(count).fill(sigma));
        rows += count;
        const out = await hoisted(ndarray(x, [count, ...shape]), levels, y, distinct.row, own);
        return out.data as Float32Array;
      };
    },
    get rows() {
      return rows;
    },
    async dispose() {
      for (const each of [whole, prepare, hoisted]) await each.dispose();
    },
  };
}

/** The pairs of class and scale that occur, and which of them each picture has. */
function distinctRows(labels: NdArray, scales: NdArray) {
  const seen = new Map<string, number>();
  const row = toNumbers(labels).map((label, n) => {
    const key = `${label} ${scales.data[n]}`;
    if (!seen.has(key)) seen.set(key, seen.size);
    return seen.get(key)!;
  });
  const first = [...seen.values()].map((index) => row.indexOf(index));
  return {
    row: ndarray(row, [row.length], 'int32'),
    labels: first.map((n) => Number(labels.data[n])),
    scales: first.map((n) => Number(scales.data[n])),
  };
}

/** Part `at` of `parts` equal parts along the first axis. */
function part(array: NdArray, at: number, parts: number): NdArray {
  const [rows, ...rest] = array.shape as [number, ...number[]];
  const size = array.data.length / parts;
  const data = (array.data as Float32Array).slice(at * size, (at + 1) * size);
  return { dtype: 'float32', shape: [rows / parts, ...rest], data };
}

export interface GuidedOptions {
  readonly device: Device;
  readonly model: Preconditioned<DiTHooks>;
  /** Of all that `guided` uses. */
  readonly weights: Weights;
  readonly guided: Guided;
  readonly shape: readonly [number, number, number];
}

/** Compiles any network that takes ω itself: adapters without hoisting, or one that was distilled whole. */
export async function compileGuided(options: GuidedOptions): Promise<CompiledAdapted> {
  const { device, model, weights, guided, shape } = options;
  const compiled = await device.compile(
    (x: Tensor, sigma: Tensor, labels: Tensor, scale: Tensor) =>
      model.denoised(x, sigma, guided(model.scaled(x, sigma), model.level(sigma), labels, scale)),
    {
      inputs: [
        { shape: ['n', ...shape] },
        { shape: ['n'] },
        { shape: ['n'], dtype: 'int32' },
        { shape: ['n'] },
      ] as const,
      weights,
    },
  );
  let rows = 0;
  return {
    for(conditions) {
      checkConditions(conditions);
      const { labels, scale } = conditions;
      const count = labels.length;
      const y = labelsOf(labels, model.nullLabel - 1);
      const scales = scalesOf(scale, count);
      return async (x, sigma) => {
        const levels = ndarray(new Float32Array(count).fill(sigma));
        rows += count;
        const out = await compiled(ndarray(x, [count, ...shape]), levels, y, scales);
        return out.data as Float32Array;
      };
    },
    get rows() {
      return rows;
    },
    dispose: () => compiled.dispose(),
  };
}

/**
 * The guided model as an `.onnx` file for any other runtime, with all its weights in it: x [n, C, H, W], σ [n],
 * classes [n] (int32) and ω [n] → x0.
 */
export function exportGuided(options: Omit<AdaptedOptions, 'device'>): {
  readonly bytes: Uint8Array;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
} {
  const { model, adapters, shape } = options;
  const input = (name: string, rest: readonly number[] = [], dtype: 'float32' | 'int32' = 'float32') =>
    new Tensor({ shape: ['n', ...rest], dtype }, { kind: 'input', name });
  const [x, sigma, labels, scale] = [
    input('x', shape),
    input('sigma'),
    input('labels', [], 'int32'),
    input('scale'),
  ];
  const said = student(model.network, adapters)(
    model.scaled(x!, sigma!),
    model.level(sigma!),
    labels!,
    scale!,
  );
  const outputs = ['x0'];
  const { bytes } = lower([model.denoised(x!, sigma!, said)], {
    weights: new Map([...options.weights, ...options.adapterWeights]),
    outputNames: outputs,
    name: 'agd',
  });
  return { bytes, inputs: ['x', 'sigma', 'labels', 'scale'], outputs };
}
