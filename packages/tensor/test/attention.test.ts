import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type AttentionOptions,
  concat,
  constant,
  gradients,
  mergeAttention,
  ndarray,
  partialAttention,
  recomputedAttention,
  scaledDotProductAttention,
  Tensor,
  TensorError,
  toNumbers,
} from '../src/index.ts';
import { forwardCases, gradientCases } from './cases/attention.ts';
import { bools, type Case, type Input, normal } from './cases/case.ts';
import { checkGradient, cpu, errorOf, runCases } from './check.ts';
import { at, build } from './reference/dense.ts';
import type { Dense } from './reference/registry.ts';

runCases({ gradientCases, forwardCases });

function dense({ shape, data }: Input): Dense {
  return { shape, data: Float64Array.from(data) };
}

/** q [N, H, T, D], k and v [N, K, S, D], one query after the other. */
function reference(
  q: Dense,
  k: Dense,
  v: Dense,
  allowed: (i: number, j: number) => boolean,
  scale?: number,
): Dense {
  const [n, heads, queries, dim] = q.shape as [number, number, number, number];
  const [keys, group] = [k.shape[2]!, heads / k.shape[1]!];
  const factor = scale ?? 1 / Math.sqrt(dim);
  return build([n, heads, queries, v.shape[3]!], ([b, h, i, d]) => {
    const kv = Math.floor(h! / group);
    let [weighted, total] = [0, 0];
    for (let j = 0; j < keys; j++) {
      if (!allowed(i!, j)) continue;
      let score = 0;
      for (let c = 0; c < dim; c++) score += at(q, [b!, h!, i!, c]) * at(k, [b!, kv, j, c]);
      const weight = Math.exp(score * factor);
      weighted += weight * at(v, [b!, kv, j, d!]);
      total += weight;
    }
    return weighted / total;
  });
}

async function run(f: Case['f'], inputs: readonly Input[]): Promise<Dense[]> {
  const device = await cpu();
  const compiled = await device.compile((list: readonly Tensor[]) => [f(...list)].flat() as Tensor[], {
    inputs: [
      inputs.map(({ shape, dtype }) => ({ shape, dtype: dtype === 'float' ? ('float32' as const) : dtype })),
    ],
  });
  const arrays = inputs.map(({ data, shape, dtype }) =>
    ndarray(data, shape, dtype === 'float' ? 'float32' : dtype),
  );
  const results = await compiled(arrays);
  await compiled.dispose();
  return results.map((result) => ({ shape: result.shape, data: Float64Array.from(toNumbers(result)) }));
}

function close(actual: Dense, expected: Dense, tolerance = 1e-5): void {
  assert.deepEqual([...actual.shape], [...expected.shape]);
  const error = errorOf(actual.data, expected.data);
  assert.ok(error < tolerance, `error ${error}`);
}

function qkv(shape: {
  n?: number;
  h?: number;
  kv?: number;
  t?: number;
  s?: number;
  d?: number;
}): [Input, Input, Input] {
  const { n = 2, h = 4, kv = h, t = 5, s = t, d = 3 } = shape;
  return [normal([n, h, t, d], 1), normal([n, kv, s, d], 2), normal([n, kv, s, d], 3)];
}

const all = () => true;
/** Below what a block of queries holds, one block, and several. */
const lengths = [1, 5, 130, 300];

test('plain, scaled, grouped and causal attention agree with the formula', async () => {
  for (const t of lengths) {
    const small = t > 100 ? { n: 1, h: 2, kv: 1 } : { kv: 2 };
    for (const inputs of [qkv({ t, ...(t > 100 ? { n: 1, h: 2 } : {}) }), qkv({ t, ...small })]) {
      const [q, k, v] = inputs.map(dense) as [Dense, Dense, Dense];
      const attention = (options: AttentionOptions) =>
        run((a, b, c) => scaledDotProductAttention(a!, b!, c!, options), inputs);
      close((await attention({}))[0]!, reference(q, k, v, all));
      close((await attention({ scale: 0.3 }))[0]!, reference(q, k, v, all, 0.3));
      close(
        (await attention({ causal: true }))[0]!,
        reference(q, k, v, (i, j) => j <= i),
      );
    }
  }
});

test('fewer queries than keys: they are the last ones', async () => {
  for (const [t, s] of [
    [1, 6],
    [3, 7],
    [200, 333],
  ] as const) {
    const inputs = qkv({ n: 1, h: 2, t, s });
    const [q, k, v] = inputs.map(dense) as [Dense, Dense, Dense];
    const [y] = await run((a, b, c) => scaledDotProductAttention(a!, b!, c!, { causal: true }), inputs);
    close(
      y!,
      reference(q, k, v, (i, j) => j <= i + s - t),
    );
  }
});

test('masks: bools, numbers, with causal, for all or for each head; nothing allowed gives no NaN', async () => {
  const inputs = qkv({ t: 4 });
  const [q, k, v] = inputs.map(dense) as [Dense, Dense, Dense];
  const mask = bools([4, 4], 3);
  const data = mask.data.map((value, at) => (at % 5 === 0 ? 1 : value)); // the diagonal is allowed
  const isAllowed = (i: number, j: number) => data[i * 4 + j] === 1;
  const attention = (m: Input, causal: boolean) =>
    run((a, b, c, d) => scaledDotProductAttention(a!, b!, c!, { mask: d!, causal }), [...inputs, m]);
  const boolMask: Input = { ...mask, data };
  const numbers: Input = { shape: [4, 4], dtype: 'float', data: data.map((value) => (value ? 0 : -1e9)) };
  const each: Input = {
    shape: [2, 4, 4, 4],
    dtype: 'bool',
    data: Array.from({ length: 8 }, () => data).flat(),
  };
  for (const m of [boolMask, numbers, each]) {
    close((await attention(m, false))[0]!, reference(q, k, v, isAllowed));
    close(
      (await attention(m, true))[0]!,
      reference(q, k, v, (i, j) => j <= i && isAllowed(i, j)),
    );
  }
  const [none] = await attention({ ...mask, data: data.map(() => 0) }, false);
  close(none!, reference({ ...q, data: q.data.map(() => 0) }, k, v, all));
});

test('the parts of a split cache merge to the whole', async () => {
  const inputs = qkv({ h: 4, kv: 2, t: 3, s: 9 });
  const [whole, total, merged, sum] = await run((q, k, v) => {
    const { output, logSumExp } = partialAttention(q!, k!, v!);
    const parts = [k!.split([2, 6, 1], 2), v!.split([2, 6, 1], 2)] as [Tensor[], Tensor[]];
    const joined = mergeAttention(parts[0].map((part, i) => partialAttention(q!, part, parts[1][i]!)));
    return [output, logSumExp, joined.output, joined.logSumExp];
  }, inputs);
  const [q, k, v] = inputs.map(dense) as [Dense, Dense, Dense];
  close(whole!, reference(q, k, v, all));
  close(merged!, whole!);
  close(sum!, total!);
  const masked = await run(
    (q, k, v, m) => {
      const parts = [partialAttention(q!, k!, v!, { mask: m! }), partialAttention(q!, k!, v!)];
      return mergeAttention(parts).output;
    },
    [...inputs, { shape: [1], dtype: 'bool', data: [0] }],
  );
  // a part that sees nothing has no weight
  close(masked[0]!, whole!);
});

test('gradients of both orders', async () => {
  const inputs = qkv({ n: 1, h: 2, kv: 1, t: 3, s: 4, d: 2 });
  const second = { secondOrder: true };
  const of = (options: AttentionOptions) => (a?: Tensor, b?: Tensor, c?: Tensor) =>
    scaledDotProductAttention(a!, b!, c!, options);
  await checkGradient('attention', of({}), inputs, second);
  await checkGradient('causal attention', of({ causal: true }), inputs, second);
  await checkGradient(
    'merged attention',
    (q, k, v) => {
      const [k1, k2] = k!.split(2, 2) as [Tensor, Tensor];
      const [v1, v2] = v!.split(2, 2) as [Tensor, Tensor];
      return mergeAttention([partialAttention(q!, k1, v1), partialAttention(q!, k2, v2)]).output;
    },
    inputs,
    second,
  );
});

test('gradients through several blocks of queries equal those through a mask', async () => {
  const inputs = qkv({ n: 1, h: 2, kv: 1, t: 150, s: 160, d: 4 });
  const seen = ndarray(
    Array.from({ length: 150 * 160 }, (_, at) => (at % 160 <= Math.floor(at / 160) + 10 ? 1 : 0)),
    [150, 160],
    'bool',
  );
  const loss = (y: Tensor) => y.mul(y).sum();
  const results = await run(
    (q, k, v) => [
      ...gradients(loss(scaledDotProductAttention(q!, k!, v!, { causal: true })), [q!, k!, v!]),
      ...gradients(loss(scaledDotProductAttention(q!, k!, v!, { mask: constant(seen) })), [q!, k!, v!]),
    ],
    inputs,
  );
  for (let i = 0; i < 3; i++) close(results[i]!, results[i + 3]!);
});

test('masks too large to be part of the model are made by it, and are the same', async () => {
  const t = 1600; // blocks of 200 queries: the last masks have more than 2^18 elements
  const inputs = qkv({ n: 1, h: 1, kv: 1, t, d: 2 });
  const seen = ndarray(
    Array.from({ length: t * t }, (_, at) => (at % t <= Math.floor(at / t) ? 1 : 0)),
    [t, t],
    'bool',
  );
  const results = await run(
    (q, k, v) => [
      scaledDotProductAttention(q!, k!, v!, { causal: true }),
      recomputedAttention(q!, k!, v!),
      scaledDotProductAttention(q!, k!, v!, { mask: constant(seen) }),
    ],
    inputs,
  );
  for (const value of results.slice(0, 2)) close(value, results[2]!);
});

test('free dimensions: one graph decodes with any past, and none', async () => {
  const device = await cpu();
  const [past, fresh] = [['batch', 2, 'past', 3] as const, ['batch', 2, 'tokens', 3] as const];
  const f = await device.compile(
    (q, pastK, k, pastV, v) =>
      scaledDotProductAttention(q, concat([pastK, k], 2), concat([pastV, v], 2), { causal: true }),
    {
      inputs: [
        { shape: ['batch', 4, 'tokens', 3] },
        { shape: past },
        { shape: fresh },
        { shape: past },
        { shape: fresh },
      ],
    },
  );
  /** Keys `from` to `to` of [1, 2, S, 3]. */
  const cut = ({ data, shape }: Input, from: number, to: number) => {
    const head = (h: number) => data.slice((h * shape[2]! + from) * 3, (h * shape[2]! + to) * 3);
    return ndarray([...head(0), ...head(1)], [1, 2, to - from, 3]);
  };
  for (const [t, s] of [
    [1, 1],
    [1, 8],
    [3, 3],
    [4, 9],
  ] as const) {
    const inputs = qkv({ n: 1, kv: 2, t, s });
    const [q, k, v] = inputs.map(dense) as [Dense, Dense, Dense];
    const [a, b, c] = inputs;
    const y = await f(
      ndarray(a.data, a.shape),
      cut(b, 0, s - t),
      cut(b, s - t, s),
      cut(c, 0, s - t),
      cut(c, s - t, s),
    );
    close(
      { shape: y.shape, data: Float64Array.from(toNumbers(y)) },
      reference(q, k, v, (i, j) => j <= i + s - t),
    );
  }
  await f.dispose();
});

test('shapes that do not fit are refused', () => {
  const input = (shape: (number | string)[]) =>
    new Tensor({ shape, dtype: 'float32' }, { kind: 'input', name: 'x' });
  const refuses = (q: number[], k: number[], v: number[], message: RegExp, options: AttentionOptions = {}) =>
    assert.throws(
      () => scaledDotProductAttention(input(q), input(k), input(v), options),
      (error) => error instanceof TensorError && message.test(error.message),
    );
  refuses([2, 4, 3, 8], [2, 3, 3, 8], [2, 3, 3, 8], /3 key heads do not divide 4 heads/);
  refuses([2, 4, 3, 8], [2, 4, 3, 6], [2, 4, 3, 6], /heads of 8 and 6 elements/);
  refuses([2, 4, 3, 8], [2, 4, 3, 8], [2, 4, 5, 8], /k and v differ before the last axis/);
  refuses([2, 4, 3, 8], [1, 4, 3, 8], [1, 4, 3, 8], /q and k differ before the heads/);
  refuses([2, 4, 5, 8], [2, 4, 3, 8], [2, 4, 3, 8], /causal attention of 5 queries to 3 keys/, {
    causal: true,
  });
  refuses(
    [2, 4, 3, 8],
    [2, 4, 3, 8],
    [2, 4, 3, 8],
    /a mask \[4,4\] does not broadcast to the scores \[2,4,3,3\]/,
    { mask: input([4, 4]) },
  );
  refuses([3, 8], [3, 8], [3, 8], /scaledDotProductAttention \[3,8\] x \[3,8\] x \[3,8\]: needs q/);
});

test('weights computed again give the values and gradients of weights that were kept', async () => {
  for (const t of lengths) {
    const inputs = qkv({ n: 1, h: 4, kv: 2, t });
    const both = (attend: (q: Tensor, k: Tensor, v: Tensor) => Tensor) =>
      run((q, k, v) => {
        const y = attend(q!, k!, v!);
        return [y, ...gradients(y.mul(y).mul(y.sin()).sum(), [q!, k!, v!])];
      }, inputs);
    const kept = await both((q, k, v) => scaledDotProductAttention(q, k, v, { causal: true }));
    const again = await both((q, k, v) => recomputedAttention(q, k, v));
    for (const [i, value] of again.entries()) close(value, kept[i]!, 1e-4);
  }
});
