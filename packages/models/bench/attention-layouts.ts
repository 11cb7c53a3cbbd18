/**
 * Layouts of a key/value cache for attention of few queries to many keys, one layer, cold: each call reads another
 * cache, so that nothing is left in the processor's caches. `attention-layouts.ts KEYS THREADS RUNS` prints milliseconds,
 * best of the runs.
 */

import {
  concat,
  type Dim,
  exp,
  lower,
  partialAttention,
  type Shape,
  sub,
  Tensor,
} from '@working-papers/tensor';
import * as ort from 'onnxruntime-node';

interface Layout {
  readonly name: string;
  readonly keys: Shape;
  readonly values: Shape;
  readonly query: Shape;
  readonly attend: (q: Tensor, k: Tensor, v: Tensor) => Tensor;
}

const [kvHeads, headDim] = [2, 48];

/**
 * Keys and values on the left, as [chunks, kvHeads, chunk, headDim] and [chunks, kvHeads, headDim, chunk]; softmax of
 * each chunk, and the chunks merged by their log-sum-exp.
 */
function leftSoftmax(chunk: number, total: number, rows: Dim): Layout {
  const chunks = total / chunk;
  return {
    name: `KV left, chunks of ${chunk}, softmax of each`,
    keys: [chunks, kvHeads, chunk, headDim],
    values: [chunks, kvHeads, headDim, chunk],
    query: [kvHeads, headDim, rows],
    attend(q, k, v) {
      const scores = k.matmul(q);
      const weights = scores.softmax(2);
      // log Σ eˢ = max s − log max softmax(s)
      const sums = scores.max(2, { keepDims: true }).sub(weights.max(2, { keepDims: true }).log()); // [chunks, kvHeads, 1, rows]
      const share = sums.softmax(0);
      return v.matmul(weights).mul(share).sum(0);
    },
  };
}

/** Keys and values on the left with the largest score of all chunks, and sums of their own. */
function leftSums(chunk: number, total: number, rows: Dim): Layout {
  const chunks = total / chunk;
  return {
    name: `KV left, chunks of ${chunk}, sums apart`,
    keys: [chunks, kvHeads, chunk, headDim],
    values: [chunks, kvHeads, headDim, chunk],
    query: [kvHeads, headDim, rows],
    attend(q, k, v) {
      const scores = k.matmul(q); // [chunks, kvHeads, chunk, rows]
      const largest = scores.max(2, { keepDims: true }).max(0, { keepDims: true });
      const weights = exp(sub(scores, largest));
      return v
        .matmul(weights)
        .sum(0)
        .div(weights.sum(2, { keepDims: true }).sum(0));
    },
  };
}

/** Keys and values on the left, softmax of each chunk, and a column of keys that says which are there: ours. */
function leftMasked(chunk: number, total: number, rows: Dim): Layout {
  const plain = leftSoftmax(chunk, total, rows);
  return {
    ...plain,
    name: `KV left, chunks of ${chunk}, softmax of each, mask column`,
    keys: [total / chunk, kvHeads, chunk, headDim + 1],
    query: [kvHeads, headDim + 1, rows],
  };
}

/** Chunks, keys and values on the right: as they lie for the left, or each as the product reads it. */
function rightChunks(chunk: number, total: number, rows: Dim, lying: 'as left' | 'as read'): Layout {
  const chunks = total / chunk;
  const asRead = lying === 'as read';
  return {
    name: `KV right, chunks of ${chunk}, lying ${lying}`,
    keys: asRead ? [chunks, kvHeads, headDim + 1, chunk] : [chunks, kvHeads, chunk, headDim + 1],
    values: asRead ? [chunks, kvHeads, chunk, headDim] : [chunks, kvHeads, headDim, chunk],
    query: [kvHeads, rows, headDim + 1],
    attend(q, k, v) {
      const scores = q.matmul(asRead ? k : k.transpose([0, 1, 3, 2])); // [chunks, kvHeads, rows, chunk]
      const weights = scores.softmax(3);
      const sums = scores.max(3, { keepDims: true }).sub(weights.max(3, { keepDims: true }).log());
      return weights
        .matmul(asRead ? v : v.transpose([0, 1, 3, 2]))
        .mul(sums.softmax(0))
        .sum(0);
    },
  };
}

/** What a library does by default: one batch of heads, keys and values on the right of the product. */
function right(_: number, total: number, rows: Dim): Layout {
  return {
    name: 'KV right, softmax over the last axis',
    keys: [kvHeads, total, headDim],
    values: [kvHeads, total, headDim],
    query: [kvHeads, rows, headDim],
    attend: (q, k, v) => {
      const { output, logSumExp } = partialAttention(q, k, v);
      return concat([output, logSumExp.unsqueeze(-1)], -1);
    },
  };
}

async function open(layout: Layout, threads: number): Promise<ort.InferenceSession> {
  const symbol = (shape: Shape, name: string) =>
    new Tensor({ shape, dtype: 'float32' }, { kind: 'input', name });
  const [q, k, v] = [symbol(layout.query, 'q'), symbol(layout.keys, 'k'), symbol(layout.values, 'v')];
  const { bytes } = lower([layout.attend(q, k, v)], { arguments: [q, k, v] });
  return ort.InferenceSession.create(bytes, {
    graphOptimizationLevel: 'all',
    intraOpNumThreads: threads,
    logSeverityLevel: 3,
  });
}

/** Milliseconds of the fastest of `runs` calls, each with another cache. */
async function best(layout: Layout, threads: number, runs: number): Promise<number> {
  const session = await open(layout, threads);
  const array = (shape: Shape) => {
    const size = (shape as number[]).reduce((a, b) => a * b, 1);
    const data = Float32Array.from({ length: size }, (_, i) => Math.sin(i * 0.7) * 0.5);
    return new ort.Tensor('float32', data, shape as number[]);
  };
  const q = array(layout.query);
  const caches = Array.from({ length: 6 }, () => ({ k: array(layout.keys), v: array(layout.values) }));
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < runs; i++) {
    const { k, v } = caches[i % caches.length]!;
    const start = performance.now();
    await session.run({ q, k, v });
    least = Math.min(least, performance.now() - start);
  }
  await session.release();
  return least;
}

const [total = '16384', threads = '1', runs = '60'] = process.argv.slice(2);
const rows = [2, 8, 16, 32, 64, 256];
const makers = [
  (r: number) => leftSoftmax(512, Number(total), r),
  (r: number) => leftMasked(256, Number(total), r),
  (r: number) => leftMasked(512, Number(total), r),
  (r: number) => leftMasked(1024, Number(total), r),
  (r: number) => leftSums(512, Number(total), r),
  (r: number) => rightChunks(512, Number(total), r, 'as left'),
  (r: number) => rightChunks(512, Number(total), r, 'as read'),
  (r: number) => right(0, Number(total), r),
];
console.log(
  `${total} keys, ${kvHeads} heads of ${headDim}, ${threads} threads, ms at ${rows.join(', ')} rows`,
);
for (const make of makers) {
  const times: string[] = [];
  for (const r of rows) times.push((await best(make(r), Number(threads), Number(runs))).toFixed(2));
  console.log(`${make(2).name.padEnd(60)} ${times.join('  ')}`);
}
