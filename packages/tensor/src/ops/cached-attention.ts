/** Attention of a few queries to a key/value cache and to each other, for decoding. */

import { type Dim, divDims, mulDims, sameShape } from '../dims.ts';
import { refuse } from '../operator.ts';
import type { Tensor } from '../tensor.ts';
import { ones } from './constant.ts';
import { concat } from './shape.ts';

/** A layer of a `KvCache`, as the views of it are given to a compiled function. */
export interface CachedKeys {
  /** [chunks, kvHeads, chunk, D + 1]. */
  readonly keys: Tensor;
  /** [chunks, kvHeads, D, chunk]. */
  readonly values: Tensor;
  /** Added to the scores of each chunk, [chunk, T]: 0 where query t may look, −1e30 where it may not. */
  readonly bias?: Tensor;
}

/** Keys and values of the queries' own positions, which are not in the cache yet. */
export interface OwnKeys {
  /** [S, kvHeads, D]. */
  readonly keys: Tensor;
  /** [S, kvHeads, D]. */
  readonly values: Tensor;
  /** Added to the scores, [S, T]: 0 where query t may look, −1e30 where it may not. */
  readonly bias: Tensor;
}

interface Part {
  /** [parts, kvHeads, D, rows]. */
  readonly output: Tensor;
  /** log Σ e^score, [parts, kvHeads, 1, rows]. */
  readonly logSumExp: Tensor;
}

/**
 * softmax(q kᵀ / √D) v for q [T, heads, D] over all that is in the cache and over own keys, [T, heads · D]. Each chunk
 * of the cache and the own keys are attended to apart and weighted with their shares of Σ e^score: the maskless part
 * is as fast as one query's, and only the small part has a mask ("hybrid tree attention", Yang et al. 2025, arXiv
 * 2502.17421, section 3.3). Groups of consecutive heads share a key head.
 */
export function cachedAttention(q: Tensor, cached: CachedKeys, own?: OwnKeys): Tensor {
  const inputs = [q, cached.keys, cached.values, ...(own ? [own.keys, own.values] : [])];
  const name = 'cachedAttention';
  if (q.rank !== 3 || cached.keys.rank !== 4 || cached.values.rank !== 4)
    refuse(name, inputs, 'needs q [T, heads, D] and views of a KvCache');
  const [time, heads, dim] = [q.dim(0), q.dim(1), q.size(2)];
  const [chunks, kvHeads, chunk] = cached.keys.shape as [Dim, Dim, Dim];
  if (cached.keys.dim(3) !== dim + 1 || !sameShape(cached.values.shape, [chunks, kvHeads, dim, chunk]))
    refuse(name, inputs, `the cache is not of heads of ${dim} elements`);
  const group = divDims(heads, kvHeads);
  if (typeof group !== 'number' || group < 1)
    refuse(name, inputs, `${kvHeads} key heads do not divide ${heads} heads`);
  if (own && (own.keys.rank !== 3 || own.keys.dim(1) !== kvHeads || own.keys.dim(2) !== dim))
    refuse(name, inputs, `own keys must be [S,${kvHeads},${dim}]`);
  const rows = mulDims(group, time);

  // the queries of a group stand beside each other: their keys are read once
  const columns = q
    .mul(1 / Math.sqrt(dim))
    .reshape([time, kvHeads, group, dim])
    .transpose([1, 3, 2, 0])
    .reshape([kvHeads, dim, rows]);
  const biasOf = (bias: Tensor) => (group === 1 ? bias : concat(Array(group).fill(bias), 1)); // [S, rows]

  const seeing = concat([columns, ones([kvHeads, 1, rows], q.dtype)], 1);
  const scores = cached.keys.matmul(seeing); // [chunks, kvHeads, chunk, rows]
  const prefix = attend(cached.bias ? scores.add(biasOf(cached.bias)) : scores, cached.values);
  let parts = prefix;
  if (own) {
    const ownScores = own.keys.transpose([1, 0, 2]).matmul(columns).add(biasOf(own.bias)); // [kvHeads, S, rows]
    const tail = attend(ownScores.unsqueeze(0), own.values.transpose([1, 2, 0]).unsqueeze(0));
    parts = {
      output: concat([prefix.output, tail.output], 0),
      logSumExp: concat([prefix.logSumExp, tail.logSumExp], 0),
    };
  }
  return parts.output
    .mul(parts.logSumExp.softmax(0))
    .sum(0) // [kvHeads, D, rows]
    .reshape([kvHeads, dim, group, time])
    .transpose([3, 0, 2, 1])
    .reshape([time, mulDims(heads, dim)]);
}

/** Scores [parts, kvHeads, keys, rows], values [parts, kvHeads, D, keys]. */
function attend(scores: Tensor, values: Tensor): Part {
  const weights = scores.softmax(2);
  // no exponential but the softmax's own: the largest weight is e^(largest score − log Σ)
  const largest = (x: Tensor) => x.max(2, { keepDims: true });
  return {
    output: values.matmul(weights),
    logSumExp: largest(scores).sub(largest(weights).log()),
  };
}
