/** Attention of a few queries to a key/value cache and to each other, for decoding. */

import { type Dim, divDims, mulDims, sameShape } from '../dims.ts';
import { refuse } from '../operator.ts';
import type { Tensor } from '../tensor.ts';
import { ones, zeros } from './constant.ts';
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

/**
 * What is fast. `few` rows (queries × heads of a group, up to 16) hardly cost more than one with the cache as the left
 * operand of the products; `many` are multiplied faster with the cache on the right. `any` is the former with another
 * softmax: ONNX Runtime's turns the scores around, which costs many rows more than all else.
 */
export type QueryCount = 'few' | 'many' | 'any';

interface Part {
  /** [parts, kvHeads, D, rows]; of `many` rows, [parts, kvHeads, rows, D]. */
  readonly output: Tensor;
  /** log Σ e^score, [parts, kvHeads, 1, rows]; of `many`, [parts, kvHeads, rows, 1]. */
  readonly logSumExp: Tensor;
}

/**
 * softmax(q kᵀ / √D) v for q [T, heads, D] over all that is in the cache and over own keys, [T, heads · D]. Each chunk
 * of the cache and the own keys are attended to apart and weighted with their shares of Σ e^score: the maskless part
 * is as fast as one query's, and only the small part has a mask ("hybrid tree attention", Yang et al. 2025, arXiv
 * 2502.17421, section 3.3). Groups of consecutive heads share a key head.
 */
export function cachedAttention(
  q: Tensor,
  cached: CachedKeys,
  own?: OwnKeys,
  queries: QueryCount = 'few',
): Tensor {
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
  const isLeft = queries !== 'many';

  // the queries of a group stand beside each other: their keys are read once
  const grouped = q.mul(1 / Math.sqrt(dim)).reshape([time, kvHeads, group, dim]);
  const shaped = isLeft
    ? grouped.transpose([1, 3, 2, 0]).reshape([kvHeads, dim, rows])
    : grouped.transpose([1, 2, 0, 3]).reshape([kvHeads, rows, dim]);
  const biasOf = (bias: Tensor) => {
    const turned = isLeft ? bias : bias.transpose(); // [S, T], or [T, S] of many
    return group === 1 ? turned : concat(Array(group).fill(turned), isLeft ? 1 : 0);
  };

  const seeing = concat(
    [shaped, ones(isLeft ? [kvHeads, 1, rows] : [kvHeads, rows, 1], q.dtype)],
    isLeft ? 1 : 2,
  );
  const scores = isLeft ? cached.keys.matmul(seeing) : seeing.matmul(cached.keys.transpose([0, 1, 3, 2]));
  const prefix = attend(cached.bias ? scores.add(biasOf(cached.bias)) : scores, cached.values, queries);
  let parts = prefix;
  if (own) {
    const keys = own.keys.transpose(isLeft ? [1, 0, 2] : [1, 2, 0]);
    const ownScores = (isLeft ? keys.matmul(shaped) : shaped.matmul(keys)).add(biasOf(own.bias));
    const tail = attend(ownScores.unsqueeze(0), own.values.transpose([1, 2, 0]).unsqueeze(0), queries);
    parts = {
      output: concat([prefix.output, tail.output], 0),
      logSumExp: concat([prefix.logSumExp, tail.logSumExp], 0),
    };
  }
  const merged = parts.output.mul(parts.logSumExp.softmax(0)).sum(0);
  const apart = isLeft
    ? merged.reshape([kvHeads, dim, group, time]).transpose([3, 0, 2, 1])
    : merged.reshape([kvHeads, group, time, dim]).transpose([2, 0, 1, 3]);
  return apart.reshape([time, mulDims(heads, dim)]);
}

/**
 * The same as one softmax under one mask: cache and own keys are copied into one and masked whole, which is how trees
 * are attended to where there is no hybrid. Here to be compared with.
 */
export function maskedAttention(
  q: Tensor,
  { keys, values }: CachedKeys,
  own: OwnKeys,
  queries: QueryCount = 'few',
): Tensor {
  const [chunks, kvHeads, chunk] = keys.shape as [Dim, Dim, Dim];
  const [dim, cached, count] = [q.size(2), mulDims(chunks, chunk), own.keys.dim(0)];
  const ownKeys = concat([own.keys, zeros([count, kvHeads, 1])], 2).transpose([1, 0, 2]);
  const cachedKeys = keys.transpose([1, 0, 2, 3]).reshape([kvHeads, cached, dim + 1]);
  const cachedValues = values.transpose([1, 2, 0, 3]).reshape([kvHeads, dim, cached]);
  const all = {
    keys: concat([cachedKeys, ownKeys], 1).unsqueeze(0),
    values: concat([cachedValues, own.values.transpose([1, 2, 0])], 2).unsqueeze(0),
    bias: concat([zeros([cached, q.dim(0)]), own.bias], 0),
  };
  return cachedAttention(q, all, undefined, queries);
}

/** Scores [parts, kvHeads, keys, rows] (of `many`, rows before keys), values [parts, kvHeads, D, keys]. */
function attend(scores: Tensor, values: Tensor, queries: QueryCount): Part {
  if (queries === 'any') {
    const highest = scores.max(2, { keepDims: true });
    const weights = scores.sub(highest).exp();
    const sum = weights.sum(2, { keepDims: true });
    return { output: values.matmul(weights).div(sum), logSumExp: highest.add(sum.log()) };
  }
  const axis = queries === 'few' ? 2 : 3;
  const weights = scores.softmax(axis);
  // no exponential but the softmax's own: the largest weight is e^(largest score − log Σ)
  const largest = (x: Tensor) => x.max(axis, { keepDims: true });
  return {
    output: queries === 'few' ? values.matmul(weights) : weights.matmul(values.transpose([0, 1, 3, 2])),
    logSumExp: largest(scores).sub(largest(weights).log()),
  };
}
