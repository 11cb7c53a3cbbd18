/** How far a one-call network is from the guidance that it was taught, on trajectories that it has not seen. */

import type { Preconditioned } from '@working-papers/models/diffusion/preconditioned';
import type { DiT, DiTHooks } from '@working-papers/models/dit';
import { DataLoader } from '@working-papers/nn/data';
import type { Weights } from '@working-papers/nn/module';
import type { Device, Tensor } from '@working-papers/tensor';
import { ndarray, toNumbers } from '@working-papers/tensor';
import { conditionsOf, type GuidanceAdapters } from './model.ts';
import type { Guided } from './objective.ts';
import type { Point, Trajectories } from './trajectories.ts';

/** Sums of squares over the points of one step of one trajectory. */
export interface PointError {
  readonly trajectory: number;
  readonly step: number;
  /** ω. */
  readonly scale: number;
  /** mean |answer − target|². */
  readonly error: number;
  /** mean |unguided − target|²: 0 at ω = 1. */
  readonly gap: number;
}

export interface ErrorOptions {
  readonly device: Device;
  readonly network: DiT;
  /** Of all that `guided` uses. */
  readonly weights: Weights;
  readonly guided: Guided;
  /** The frozen network's weights, where they are others: those of what was recorded. */
  readonly teacher?: Weights;
  readonly trajectories: Trajectories;
  /** Points at once; default 64. */
  readonly batchSize?: number;
  readonly signal?: AbortSignal;
}

/** The error of every point. */
export async function pointErrors(options: ErrorOptions): Promise<PointError[]> {
  const { device, network, weights, guided, teacher = weights, trajectories, batchSize = 64 } = options;
  const { shape, parts } = trajectories.data;
  const [channels, height, width] = shape;
  const inputs = [
    { shape: ['n', ...shape] },
    { shape: ['n'] },
    { shape: ['n'], dtype: 'int32' },
    { shape: ['n'] },
    { shape: ['n', parts * channels, height, width] },
  ] as const;
  const squared = (a: Tensor, b: Tensor) => {
    const difference = a.sub(b);
    return difference.mul(difference).mean([1, 2, 3]);
  };
  const error = await device.compile(
    (x: Tensor, level: Tensor, labels: Tensor, scale: Tensor, target: Tensor) =>
      squared(guided(x, level, labels, scale), target),
    { inputs, weights },
  );
  const gap = await device.compile(
    (x: Tensor, level: Tensor, labels: Tensor, _: Tensor, target: Tensor) =>
      squared(network.forward(x, level, labels), target),
    { inputs, weights: teacher },
  );
  const known = gaps.get(trajectories)?.get(teacher);
  const own: number[] = [];
  const found: PointError[] = [];
  const loader = new DataLoader<Point, Point[]>(trajectories.points(), (points) => points, { batchSize });
  try {
    for await (const points of loader) {
      options.signal?.throwIfAborted();
      const { x, level, labels, scale, target } = trajectories.batch(points);
      const errors = toNumbers(await error(x, level, labels, scale, target));
      if (!known) own.push(...toNumbers(await gap(x, level, labels, scale, target)));
      for (const [i, { trajectory, step }] of points.entries()) {
        const about = { trajectory, step, scale: trajectories.data.scales[trajectory]! };
        found.push({ ...about, error: errors[i]!, gap: (known ?? own)[found.length]! });
      }
    }
    if (!known) gaps.set(trajectories, (gaps.get(trajectories) ?? new WeakMap()).set(teacher, own));
  } finally {
    await error.dispose();
    await gap.dispose();
  }
  return found;
}

/** How far the frozen network is from the targets of a set, in the order of points: the same for all adapters. */
const gaps = new WeakMap<Trajectories, WeakMap<Weights, readonly number[]>>();

/** E = mean |answer − target|² / mean |unguided − target|² over some points; null where nothing was to be learned. */
export function relativeError(points: readonly PointError[]): number | null {
  const sum = (key: 'error' | 'gap') => points.reduce((total, point) => total + point[key], 0);
  return sum('gap') > 0 ? sum('error') / sum('gap') : null;
}

export interface Bucket {
  readonly from: number;
  readonly to: number;
  readonly points: number;
  readonly error: number | null;
}

/** E by ranges of ω: [edges[i], edges[i + 1]). A network that ignores ω is small in the middle and large at the ends. */
export function errorByScale(points: readonly PointError[], edges: readonly number[]): Bucket[] {
  return edges.slice(0, -1).map((from, i) => {
    const to = edges[i + 1]!;
    const inside = points.filter(({ scale }) => scale >= from && scale < to);
    return { from, to, points: inside.length, error: relativeError(inside) };
  });
}

/** E of each step. */
export function errorByStep(points: readonly PointError[], steps: number): (number | null)[] {
  return Array.from({ length: steps }, (_, step) =>
    relativeError(points.filter((point) => point.step === step)),
  );
}

/** Mean L2 distance between the pictures of two samplers that began with the same noise, [N · size] each. */
export function drift(a: ArrayLike<number>, b: ArrayLike<number>, size: number): number {
  if (a.length !== b.length || a.length === 0 || a.length % size !== 0)
    throw new RangeError(`${a.length} and ${b.length} numbers are no pictures of ${size}`);
  const count = a.length / size;
  let total = 0;
  for (let n = 0; n < count; n++) {
    let square = 0;
    for (let i = n * size; i < (n + 1) * size; i++) square += (a[i]! - b[i]!) ** 2;
    total += Math.sqrt(square);
  }
  return total / count;
}

export interface RoughnessOptions {
  readonly device: Device;
  readonly model: Preconditioned<DiTHooks> & { readonly network: DiT };
  /** Of the network and of the adapters. */
  readonly weights: Weights;
  readonly adapters: GuidanceAdapters;
  /** The noise level at which to look. */
  readonly sigma: number;
}

/**
 * |A(ω + 0.05) − A(ω)|/|A(ω)| of the first block's adapter, the part that does not depend on the picture, as a mean over
 * five ω from 1.5 to 5.5: near 0 where neighbouring scales mean nearly the same.
 */
export async function roughness(options: RoughnessOptions): Promise<number> {
  const { device, model, weights, adapters, sigma } = options;
  const scales = [1.5, 2.5, 3.5, 4.5, 5.5];
  const n = 2 * scales.length;
  const prepare = await device.compile(
    (sigma: Tensor, labels: Tensor, scale: Tensor) =>
      adapters.prepare(conditionsOf(model.network, model.level(sigma), labels, scale))[0]!,
    { inputs: [{ shape: [n] }, { shape: [n], dtype: 'int32' }, { shape: [n] }] as const, weights },
  );
  const out = toNumbers(
    await prepare(
      ndarray(new Float32Array(n).fill(sigma)),
      ndarray(new Int32Array(n), [n], 'int32'),
      ndarray([...scales, ...scales.map((scale) => scale + 0.05)]),
    ),
  );
  await prepare.dispose();
  const size = out.length / n;
  const ratios = scales.map((_, i) => {
    const [here, there] = [i, i + scales.length].map((row) => out.slice(row * size, (row + 1) * size));
    return Math.hypot(...there!.map((value, at) => value - here![at]!)) / Math.hypot(...here!);
  });
  return ratios.reduce((a, b) => a + b) / ratios.length;
}
