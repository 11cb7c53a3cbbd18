/**
 * Attention as a composition of operators, which differentiates and runs with free dimensions like all others.
 *
 * Not lowered to com.microsoft's MultiHeadAttention: on 2 AVX-512 cores (ORT 1.30, 6 heads of 64) that takes as long as
 * these products at 256 positions, and it computes the half of the scores that a causal mask throws away.
 */

import { type NdArray, ndarray } from '../array.ts';
import { broadcastShapes, type Dim, divDims, mulDims, type Shape, sameShape, subDims } from '../dims.ts';
import { apply, defineOperator, refuse } from '../operator.ts';
import type { Tensor } from '../tensor.ts';
import { where } from './comparison.ts';
import { arange, constant } from './constant.ts';
import { concat, stack } from './shape.ts';

/** Of `scaledDotProductAttention` and its like. */
export interface AttentionOptions {
  /**
   * Broadcast to [..., heads, T, S]: bools that are true where a query may look, or numbers that are added to the
   * scores.
   */
  readonly mask?: Tensor;
  /** Query i sees the keys up to i + S − T: the queries are the last T of S positions. Default false. */
  readonly causal?: boolean;
  /** Of the scores; default 1 / √D. */
  readonly scale?: number;
  /** Applied to the weights [..., heads, T, S] (to those of each block of queries): dropout. */
  readonly dropout?: (weights: Tensor) => Tensor;
}

/** Attention over some of the keys, with what it takes to merge it with that over others. */
export interface PartialAttention {
  /** [..., heads, T, Dv]. */
  readonly output: Tensor;
  /** log Σ e^score of each query, [..., heads, T]: the weight of this part among others. */
  readonly logSumExp: Tensor;
}

/** What a forbidden score gets: e to it is 0, and a row that may look nowhere gives no NaN but the mean of all. */
const forbidden = -1e30;

/**
 * softmax(scale · q kᵀ + mask) v for q [..., heads, T, D], k [..., kvHeads, S, D], v [..., kvHeads, S, Dv], which is
 * [..., heads, T, Dv] (Vaswani et al. 2017). Fewer key heads than heads are shared by groups of consecutive heads
 * (grouped-query attention, Ainslie et al. 2023). A query that may look nowhere gets the mean of all values.
 */
export function scaledDotProductAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  options: AttentionOptions = {},
): Tensor {
  const { dropout = (weights: Tensor) => weights } = options;
  return attend(q, k, v, options, (scores) => ({ weights: dropout(scores.softmax(-1)) })).output;
}

/** `scaledDotProductAttention` to a part of the keys, with what `mergeAttention` needs to join it with other parts. */
export function partialAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  options: Omit<AttentionOptions, 'dropout'> = {},
): PartialAttention {
  const { output, logSumExp } = attend(q, k, v, options, (scores) => {
    const total = scores.logSumExp(-1, { keepDims: true });
    return { weights: scores.sub(total).exp(), logSumExp: total.squeeze(-1) };
  });
  return { output, logSumExp: logSumExp! };
}

/**
 * Attention to all keys from attentions of the same queries to disjoint parts of them, each weighted with its share of
 * Σ e^score (as in FlashAttention, Dao et al. 2022, section 3.1).
 */
export function mergeAttention(parts: readonly PartialAttention[]): PartialAttention {
  const total = stack(parts.map((part) => part.logSumExp)).logSumExp(0);
  const output = parts
    .map((part) => part.output.mul(part.logSumExp.sub(total).exp().unsqueeze(-1)))
    .reduce((a, b) => a.add(b));
  return { output, logSumExp: total };
}

/**
 * Causal `scaledDotProductAttention` whose weights are not kept for the gradient but computed again from the scores
 * and each query's log Σ e^score (FlashAttention, Dao et al. 2022, arXiv 2205.14135, appendix B.4): memory grows with
 * the length, not with its square. Needs fixed sizes.
 */
export function recomputedAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  options: Pick<AttentionOptions, 'scale'> = {},
): Tensor {
  const { scale = 1 / Math.sqrt(q.size(-1)) } = options;
  const scaled = q.mul(scale);
  const given = { causal: true, scale: 1 };
  const { output, logSumExp } = attend(
    scaled.stopGradient(),
    k.stopGradient(),
    v.stopGradient(),
    given,
    (scores) => {
      const weights = scores.softmax(-1);
      const largest = (x: Tensor) => x.max(-1);
      return { weights, logSumExp: largest(scores).sub(largest(weights).log()) };
    },
  );
  return apply(recomputedOperator, [output, logSumExp!, scaled, k, v], {});
}

/** Passes the first input on; the others are what its gradient is computed from. */
const recomputedOperator = defineOperator({
  name: 'recomputedAttention',
  doc: 'Causal attention computed elsewhere, whose gradient computes its weights again (arXiv 2205.14135).',
  infer: ([output]) => output!,
  lower: (_, [output]) => output!,
  grad: ([g], { inputs }) => {
    const [output, logSumExp, q, k, v] = inputs as [Tensor, Tensor, Tensor, Tensor, Tensor];
    const [heads, queries] = [q.size(-3), q.size(-2)];
    const [kvHeads, keys] = [k.size(-3), k.size(-2)];
    const group = heads / kvHeads;
    const batch = q.shape.slice(0, -3);
    // what each query's gradient says of its output: Σ g · output
    const along = g!.mul(output).sum(-1); // [..., heads, T]
    const size = blockSize(queries);
    const slopes: Tensor[] = [];
    let gk: Tensor | undefined;
    let gv: Tensor | undefined;
    for (let start = 0; start < queries; start += size) {
      const end = Math.min(start + size, queries);
      const count = end - start;
      const seen = keys - queries + end;
      const stacked = (x: Tensor) =>
        x.slice(-2, start, end).reshape([...batch, kvHeads, group * count, x.dim(-1)]);
      const row = (x: Tensor) => x.slice(-1, start, end).reshape([...batch, kvHeads, 1, group * count]);
      const gHere = stacked(g!);
      // one block after the other, and none before its gradient is there
      const queriesHere = after(stacked(q), slopes.at(-1) ?? gHere);
      const [keysHere, valuesHere] = [k.slice(-2, 0, seen), v.slice(-2, 0, seen)];
      // keys before queries: other products than the forward ones, which would be taken for the same and kept
      const wide = [...batch, kvHeads, seen, group, count];
      const scores = keysHere.matmul(queriesHere.transpose()).reshape(wide);
      const bias = causalBias(count, seen, q)?.transpose().unsqueeze(1); // [S, 1, block]
      const weights = (bias ? scores.add(bias) : scores)
        .reshape([...batch, kvHeads, seen, group * count])
        .sub(row(logSumExp))
        .exp();
      const slope = weights.mul(valuesHere.matmul(gHere.transpose()).sub(row(along)));
      const whole = (part: Tensor) => (seen === keys ? part : part.pad([[-2, 0, keys - seen]]));
      const [toKeys, toValues] = [whole(slope.matmul(queriesHere)), whole(weights.matmul(gHere))];
      gk = gk?.add(toKeys) ?? toKeys;
      gv = gv?.add(toValues) ?? toValues;
      slopes.push(
        slope
          .transpose()
          .matmul(keysHere)
          .reshape([...batch, heads, count, q.dim(-1)]),
      );
    }
    return [undefined, undefined, concat(slopes, -2), gk, gv];
  },
});

interface Weighted {
  readonly weights: Tensor;
  readonly logSumExp?: Tensor;
}

interface Attended {
  readonly output: Tensor;
  readonly logSumExp?: Tensor;
}

function attend(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  options: AttentionOptions,
  weigh: (scores: Tensor) => Weighted,
): Attended {
  const inputs = [q, k, v];
  const name = 'scaledDotProductAttention';
  if (inputs.some((x) => x.rank < 3 || x.rank !== q.rank)) {
    refuse(name, inputs, 'needs q [..., heads, T, D], k [..., kvHeads, S, D] and v [..., kvHeads, S, Dv]');
  }
  if (inputs.some((x) => x.dtype !== q.dtype)) refuse(name, inputs, 'dtypes differ: cast');
  if (q.dim(-1) !== k.dim(-1))
    refuse(name, inputs, `q and k have heads of ${q.dim(-1)} and ${k.dim(-1)} elements`);
  if (!sameShape(k.shape.slice(0, -1), v.shape.slice(0, -1)))
    refuse(name, inputs, 'k and v differ before the last axis');
  if (!sameShape(q.shape.slice(0, -3), k.shape.slice(0, -3)))
    refuse(name, inputs, 'q and k differ before the heads');
  const [heads, queries, keys] = [q.dim(-3), q.dim(-2), k.dim(-2)];
  const group = divDims(heads, k.dim(-3));
  if (group === undefined || group === 0)
    refuse(name, inputs, `${k.dim(-3)} key heads do not divide ${heads} heads`);
  if (keys === 0) refuse(name, inputs, 'there are no keys');
  const { mask, causal = false, scale = 1 / Math.sqrt(q.size(-1)) } = options;
  if (causal && typeof queries === 'number' && typeof keys === 'number' && queries > keys) {
    refuse(
      name,
      inputs,
      `causal attention of ${queries} queries to ${keys} keys leaves the first without any`,
    );
  }
  const batch = q.shape.slice(0, -3);
  if (mask) checkMask(name, inputs, mask, [...batch, heads, queries, keys]);

  // The scale on q: one pass over T · D elements, not over T · S.
  const scaled = q.mul(scale);
  if (!causal || mask || typeof queries !== 'number' || typeof keys !== 'number') {
    const biases = [mask && biasOf(mask, q), causal ? causalBias(queries, keys, q) : undefined];
    const bias = biases
      .filter((b) => b !== undefined)
      .reduce<Tensor | undefined>((a, b) => a?.add(b) ?? b, undefined);
    return attendBlock(scaled, k, v, group, bias, weigh);
  }
  // Blocks of queries, each with the keys that its last query sees: what lies beyond is never computed.
  const size = blockSize(queries);
  const blocks = Array.from({ length: Math.ceil(queries / size) }, (_, i) => {
    const [start, end] = [i * size, Math.min((i + 1) * size, queries)];
    const seen = keys - queries + end;
    const bias = causalBias(end - start, seen, q);
    return attendBlock(
      scaled.slice(-2, start, end),
      k.slice(-2, 0, seen),
      v.slice(-2, 0, seen),
      group,
      bias,
      weigh,
    );
  });
  const sums = blocks.flatMap((block) => block.logSumExp ?? []);
  const output = concat(
    blocks.map((block) => block.output),
    -2,
  );
  return sums.length > 0 ? { output, logSumExp: concat(sums, -1) } : { output };
}

/** 128 queries a block: the least at which the products still run at full speed; 8 blocks or so, but 1,024 at most. */
function blockSize(queries: number): number {
  return Math.min(1024, Math.max(128, Math.ceil(queries / 8)));
}

/** The queries of a group of heads stand below each other, so their keys are read once and never repeated. */
function attendBlock(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  group: Dim,
  bias: Tensor | undefined,
  weigh: (scores: Tensor) => Weighted,
): Attended {
  const batch = q.shape.slice(0, -3);
  const [heads, queries] = [q.dim(-3), q.dim(-2)];
  const [kvHeads, keys] = [k.dim(-3), k.dim(-2)];
  const rows = mulDims(group, queries);
  const stacked = q.reshape([...batch, kvHeads, rows, q.dim(-1)]);
  const scores = stacked.matmul(k.transpose()).reshape([...batch, heads, queries, keys]);
  const { weights, logSumExp } = weigh(bias ? scores.add(bias) : scores);
  const output = weights
    .reshape([...batch, kvHeads, rows, keys])
    .matmul(v)
    .reshape([...batch, heads, queries, v.dim(-1)]);
  // scores and weights would be kept until somebody asks for the sum, which may be a whole backward pass later
  return logSumExp ? { output: after(output, logSumExp), logSumExp } : { output };
}

/** `x`, computed after `other`: ONNX Runtime chooses its order by what needs what. */
function after(x: Tensor, other: Tensor): Tensor {
  return x.add(other.stopGradient().reshape([-1]).slice(0, 0, 1).clip(0, 0));
}

function checkMask(name: string, inputs: readonly Tensor[], mask: Tensor, scores: Shape): void {
  const out = broadcastShapes(mask.shape, scores);
  if (!out || !sameShape(out, scores)) {
    refuse(name, inputs, `a mask [${mask.shape}] does not broadcast to the scores [${scores}]`);
  }
  if (mask.dtype !== 'bool' && mask.dtype !== inputs[0]!.dtype) {
    refuse(name, inputs, `a mask is bool or ${inputs[0]!.dtype}, not ${mask.dtype}`);
  }
}

function biasOf(mask: Tensor, like: Tensor): Tensor {
  return mask.dtype === 'bool' ? where(mask, constant(0, like.dtype), constant(forbidden, like.dtype)) : mask;
}

/** Elements of a mask up to which it is part of the model, which has 2 GB at most. */
const largestTriangle = 2 ** 18;

/** Those in use: layers of a model share one, so that equal attentions are found to be equal. */
const triangles = new Map<string, WeakRef<NdArray>>();

/** 0 where query i of T may see key j of S, j ≤ i + S − T, and the forbidden score elsewhere; none when all may. */
function causalBias(queries: Dim, keys: Dim, like: Tensor): Tensor | undefined {
  if (queries === 1) return undefined;
  if (typeof queries === 'number' && typeof keys === 'number' && queries * keys <= largestTriangle) {
    return constant(triangle(queries, keys, like.dtype));
  }
  const positions = arange(keys, { dtype: 'int64' });
  const own = positions.slice(0, subDims(keys, queries), keys).unsqueeze(1); // [T, 1]
  return biasOf(positions.lessEqual(own), like);
}

function triangle(queries: number, keys: number, dtype: Tensor['dtype']): NdArray {
  const key = `${queries} ${keys} ${dtype}`;
  const known = triangles.get(key)?.deref();
  if (known) return known;
  const data = new Float64Array(queries * keys);
  for (let i = 0; i < queries; i++) data.fill(forbidden, i * keys + keys - queries + i + 1, (i + 1) * keys);
  const made = ndarray(data, [queries, keys], dtype);
  triangles.set(key, new WeakRef(made));
  return made;
}
