/** Does leaving early save time, not only multiply–adds? Measured through the runner that `wp run` uses. */

import { ResNet } from '@working-papers/models/resnet';
import type { Cifar10Split } from '@working-papers/nn/cifar10';
import { loadStateDict } from '@working-papers/nn/module';
import type { Device, NdArray } from '@working-papers/tensor';
import { collate, examples } from './backbone.ts';
import { meanCost } from './cost.ts';
import { type ExitRule, JeiDnn } from './model.ts';
import type { ExitTensors } from './population-graphs.ts';
import { openRunner, type RunOptions } from './runner.ts';

/** Medians over pairs of runs, one of each kind on the same pictures, in alternating order. */
export interface Timing {
  readonly costWeight: number;
  readonly batchSize: number;
  readonly compaction: boolean;
  /** Over how many graphs the exits are spread: 1 where a single one takes answered pictures out by itself. */
  readonly graphs: number;
  /** Milliseconds a picture. */
  readonly full: number;
  readonly early: number;
  /** Early over full: the median of the pairs' ratios, and their quartiles. */
  readonly ratio: number;
  readonly ratioLow: number;
  readonly ratioHigh: number;
  /** Mean c of the exits taken on these pictures. */
  readonly cost: number;
  /** (1 − ratio) / (1 − cost): time saved over multiply–adds saved; null where next to nothing is saved. */
  readonly efficiency: number | null;
}

export interface TimingOptions {
  readonly device: Device;
  /** Under the backbone's own names. */
  readonly backbone: ReadonlyMap<string, NdArray>;
  readonly exits: readonly { readonly costWeight: number; readonly tensors: ExitTensors }[];
  /** The rule that the gates were trained for. */
  readonly rule: ExitRule;
  readonly pictures: Cifar10Split;
  readonly batchSize: number;
  /** Pairs of runs; each has its own pictures as far as there are any. */
  readonly pairs: number;
  readonly compaction?: boolean;
  /** Default what the runner does with batches of this size. */
  readonly graphs?: number;
  readonly onPair?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

export async function measureTimes(options: TimingOptions): Promise<Timing[]> {
  const { device, exits, pictures, batchSize, pairs, compaction = true, signal } = options;
  const model = new JeiDnn(new ResNet());
  const values = (tensors: ExitTensors) => {
    const dict = new Map(tensors);
    for (const [name, value] of options.backbone) dict.set(`backbone.${name}`, value);
    return loadStateDict(model, dict);
  };
  const runner = await openRunner({
    device,
    model,
    values: values(exits[0]!.tensors),
    imageSize: 32,
    batchSize,
    ...(options.graphs === undefined ? {} : { graphs: options.graphs }),
  });
  const graphs = runner.graphsFor(batchSize);
  // Pictures at even distances: the archive is in the order of the classes.
  const batch = async (pair: number): Promise<NdArray> => {
    const indices = Array.from({ length: batchSize }, (_, i) => {
      const step = (i * pairs + pair) * (pictures.length / (batchSize * pairs));
      return Math.floor(step) % pictures.length;
    });
    const split = examples(pictures, indices, false);
    const items = await Promise.all(indices.map((_, i) => split.get(i, undefined as never)));
    return collate(items).images;
  };
  const timings: Timing[] = [];
  let done = 0;
  try {
    for (const { costWeight, tensors } of exits) {
      await runner.setExits(values(tensors));
      const run = async (images: NdArray, kind: RunOptions) => {
        const start = performance.now();
        const result = await runner.run(images, kind);
        return { ms: performance.now() - start, result };
      };
      const [whole, early]: RunOptions[] = [{ gates: false }, { compaction, rule: options.rule }];
      const warm = await batch(0);
      for (let i = 0; i < 2; i++) for (const kind of [whole!, early!]) await run(warm, kind);
      const found: { full: number; early: number; cost: number }[] = [];
      for (let pair = 0; pair < pairs; pair++) {
        signal?.throwIfAborted();
        const images = await batch(pair);
        const first = pair % 2 === 0 ? await run(images, whole!) : undefined;
        const middle = await run(images, early!);
        const other = first ?? (await run(images, whole!));
        const cost = meanCost(middle.result.exits, runner.costs.shares);
        found.push({ full: other.ms, early: middle.ms, cost });
        options.onPair?.(++done, pairs * exits.length);
      }
      const ratios = found.map((each) => each.early / each.full).sort((a, b) => a - b);
      const ratio = median(ratios);
      const cost = found.reduce((sum, each) => sum + each.cost, 0) / pairs;
      timings.push({
        costWeight,
        batchSize,
        compaction,
        graphs,
        full: median(found.map((each) => each.full)) / batchSize,
        early: median(found.map((each) => each.early)) / batchSize,
        ratio,
        ratioLow: ratios[Math.floor(pairs / 4)]!,
        ratioHigh: ratios[Math.min(pairs - 1, Math.floor((3 * pairs) / 4))]!,
        cost,
        efficiency: cost > 0.999 ? null : (1 - ratio) / (1 - cost),
      });
    }
  } finally {
    await runner.dispose();
  }
  return timings;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
