/** Batches of cached features: which picture, in which of its views, by seed and epoch alone. */

import type { Random } from '@working-papers/nn/random';
import { ndarray } from '@working-papers/tensor';
import type { FeatureLayout, FeatureSplit } from './features.ts';
import type { FeatureBatch } from './population-graphs.ts';

/** The batches of one epoch; any of them can be made at any time, so a run goes on from the middle exactly. */
export interface Epoch {
  readonly batches: number;
  batch(index: number): FeatureBatch;
}

/** Pictures in random order, each in one of its views; the incomplete batch at the end is left out. */
export function shuffledEpoch(
  split: FeatureSplit,
  layout: FeatureLayout,
  options: { readonly batchSize: number; readonly random: Random },
): Epoch {
  const { batchSize, random } = options;
  const batches = Math.floor(split.length / batchSize);
  if (batches === 0) throw new RangeError(`${split.length} pictures do not fill a batch of ${batchSize}`);
  const order = random.fork('order').permutation(split.length);
  const draw = random.fork('view');
  const rows = Uint32Array.from(order, (picture) => draw.integer(split.views) * split.length + picture);
  return {
    batches,
    batch: (index) => gatherRows(split, layout, rows.subarray(index * batchSize, (index + 1) * batchSize)),
  };
}

/** A split in order, its last view (the picture as it is), in batches of `batchSize` and a rest. */
export function* inOrder(
  split: FeatureSplit,
  layout: FeatureLayout,
  batchSize: number,
): Generator<{ start: number; batch: FeatureBatch }> {
  const clean = (split.views - 1) * split.length;
  for (let start = 0; start < split.length; start += batchSize) {
    const size = Math.min(batchSize, split.length - start);
    const rows = Uint32Array.from({ length: size }, (_, i) => clean + start + i);
    yield { start, batch: gatherRows(split, layout, rows) };
  }
}

/** Rows of a split, each exit's features padded to the widest. */
export function gatherRows(
  { features, logits, labels, length }: FeatureSplit,
  { widths, classes }: FeatureLayout,
  rows: Uint32Array,
): FeatureBatch {
  const size = rows.length;
  const widest = Math.max(...widths);
  const total = widths.reduce((a, b) => a + b, 0);
  const x = new Float32Array(widths.length * size * widest);
  const own = new Float32Array(size * classes);
  const targets = new Int32Array(size);
  rows.forEach((row, i) => {
    let from = row * total;
    widths.forEach((width, l) => {
      x.set(features.subarray(from, from + width), (l * size + i) * widest);
      from += width;
    });
    own.set(logits.subarray(row * classes, (row + 1) * classes), i * classes);
    targets[i] = labels[row % length]!;
  });
  return {
    x: ndarray(x, [widths.length, size, widest]),
    logits: ndarray(own, [size, classes]),
    labels: ndarray(targets, [size], 'int32'),
  };
}
