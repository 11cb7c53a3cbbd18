/** Attention of training, in which a query sees a range of keys that ends at it or some positions before it. */

import { arange, concat, type Tensor, where } from '@working-papers/tensor';

export interface Visibility {
  /** Keys farther back than this are not seen; default all are. */
  readonly before?: number;
  /** Query i sees keys up to i − lag (int64 scalar); default 0. A query that sees none gets zeros. */
  readonly lag?: Tensor;
}

/** Queries whose scores are computed at once. */
const block = 512;

/**
 * q [N, T, H, D], k and v [N, T, Hkv, D] → [N, T, H · D]. Queries are taken in blocks, each with the keys that one of
 * them may see: time and memory grow with what is visible.
 */
export function visibleAttention(q: Tensor, k: Tensor, v: Tensor, { before, lag }: Visibility): Tensor {
  const [n, time, heads, dim] = q.shape as [number, number, number, number];
  const kvHeads = k.size(2);
  const group = heads / kvHeads;
  const [queries, keys, values] = [q, k, v].map((x) => x.transpose([0, 2, 1, 3])) as [Tensor, Tensor, Tensor];
  const blocks: Tensor[] = [];
  for (let start = 0; start < time; start += block) {
    const end = Math.min(start + block, time);
    const from = before === undefined ? 0 : Math.max(0, start - before);
    const part = (x: Tensor) => x.slice(2, from, end); // (N, Hkv, S, D)
    const rows = queries.slice(2, start, end).mul(1 / Math.sqrt(dim));
    const count = end - start;
    const scores = rows
      .reshape([n, kvHeads, group * count, dim])
      .matmul(part(keys).transpose())
      .reshape([n, heads, count, end - from]);
    const at = arange(count, { start, dtype: 'int64' }).unsqueeze(1); // (B, 1)
    const last = lag ? at.sub(lag) : at;
    const key = arange(end - from, { start: from, dtype: 'int64' }); // (S)
    let seen = key.lessEqual(last);
    if (before !== undefined) seen = seen.and(key.greaterEqual(at.sub(before)));
    const weights = where(seen, scores, -1e30).softmax(-1);
    const attended = weights
      .reshape([n, kvHeads, group * count, end - from])
      .matmul(part(values))
      .reshape([n, heads, count, dim]);
    blocks.push(lag ? where(last.greaterEqual(0), attended, 0) : attended);
  }
  return concat(blocks, 2)
    .transpose([0, 2, 1, 3])
    .reshape([n, time, heads * dim]);
}
