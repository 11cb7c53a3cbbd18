/** The shapes that operators infer, for random shapes, axes and options, are those of what ONNX Runtime returns. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { sizeOf } from '../src/array.ts';
import { topologicalOrder } from '../src/autodiff.ts';
import * as t from '../src/index.ts';
import { cpu } from './check.ts';

/** An application of operators to inputs of the given shapes (float32 unless a dtype is given). */
interface Recipe {
  readonly inputs: readonly t.InputSpec[];
  readonly f: (...inputs: t.Tensor[]) => t.Tensor | readonly t.Tensor[];
}

const dim: fc.Arbitrary<number> = fc.constantFrom(0, 1, 2, 3, 5);
const positive: fc.Arbitrary<number> = fc.constantFrom(1, 2, 3, 5);
const shape = (least: number, most: number, dims = dim) =>
  fc.array(dims, { minLength: least, maxLength: most });

/** A shape, one of its axes, which may be written from the back, and that axis from the front. */
const shapeAndAxis = (dims = dim, least = 1) =>
  shape(least, 4, dims).chain((s) =>
    fc
      .integer({ min: -s.length, max: s.length - 1 })
      .map((axis) => ({ s, axis, at: axis < 0 ? axis + s.length : axis })),
  );

/** Two shapes that broadcast: some axes of each are 1, and leading ones may be missing. */
const pair = fc
  .tuple(
    shape(0, 4),
    fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 4, maxLength: 4 }),
    fc.integer({ min: 0, max: 4 }),
  )
  .map(([s, ones, missing]) => {
    const a = s.map((d, i) => (ones[i] === 1 ? 1 : d));
    const b = s.map((d, i) => (ones[i] === 2 ? 1 : d)).slice(Math.min(missing, s.length));
    return [{ shape: a }, { shape: b }] as const;
  });

const spec = (s: readonly number[], dtype: t.DType = 'float32'): t.InputSpec => ({ shape: s, dtype });
const ints = (s: readonly number[]): t.InputSpec => spec(s, 'int64');

const unaries = [
  ...[
    t.neg,
    t.reciprocal,
    t.exp,
    t.log,
    t.sqrt,
    t.rsqrt,
    t.sin,
    t.cos,
    t.tanh,
    t.sigmoid,
    t.erf,
    t.abs,
    t.sign,
    t.step,
  ],
  ...[t.floor, t.ceil, t.round, t.stopGradient, t.relu, t.softplus, t.silu],
  ...[(x: t.Tensor) => t.leakyRelu(x), (x: t.Tensor) => t.gelu(x), (x: t.Tensor) => t.gelu(x, 'tanh')],
  ...[(x: t.Tensor) => t.clip(x, 0, 1), (x: t.Tensor) => t.cast(x, 'int32')],
];
const binaries = [t.add, t.sub, t.mul, t.div, t.pow, t.maximum, t.minimum];
const comparisons = [t.equal, t.less, t.lessEqual, t.greater, t.greaterEqual];

const recipes: { readonly [name: string]: fc.Arbitrary<Recipe> } = {
  unary: shape(0, 4).map((s) => ({ inputs: [spec(s)], f: (x) => unaries.map((f) => f(x!)) })),
  binary: pair.map((inputs) => ({ inputs, f: (a, b) => binaries.map((f) => f(a!, b!)) })),
  comparison: pair.map((inputs) => ({
    inputs,
    f: (a, b) => {
      const [first, ...rest] = comparisons.map((f) => f(a!, b!));
      return [first!.and(rest[0]!), first!.or(rest[1]!), first!.not(), ...rest];
    },
  })),
  where: pair.map(([a, b]) => ({
    inputs: [spec(a.shape, 'bool'), b],
    f: (c, x) => [t.where(c!, x!, 0), t.where(c!, x!, x!.neg())],
  })),
  reduction: fc
    .tuple(shapeAndAxis(positive, 2), fc.integer({ min: 0, max: 3 }), fc.boolean())
    .map(([{ s, axis, at }, other, keepDims]) => {
      const second = other % s.length;
      const axes = second === at ? axis : [axis, second];
      return {
        inputs: [spec(s)],
        f: (x) => [t.sum, t.mean, t.max, t.min].map((f) => f(x!, axes, { keepDims })),
      };
    }),
  emptySum: fc
    .tuple(shapeAndAxis(), fc.boolean())
    .map(([{ s, axis }, keepDims]) => ({ inputs: [spec(s)], f: (x) => x!.sum(axis, { keepDims }) })),
  extreme: fc.tuple(shapeAndAxis(positive), fc.boolean()).map(([{ s, axis }, keepDims]) => ({
    inputs: [spec(s)],
    f: (x) => [t.argMax(x!, axis, { keepDims }), t.argMin(x!, axis, { keepDims })],
  })),
  softmax: shapeAndAxis(positive).map(({ s, axis }) => ({
    inputs: [spec(s)],
    f: (x) => [x!.softmax(axis), x!.logSoftmax(axis), x!.logSumExp(axis)],
  })),
  reshape: fc.tuple(shape(1, 4), fc.nat()).map(([s, seed]) => {
    const at = seed % s.length;
    const merged = [...s.slice(0, at), sizeOf(s.slice(at))];
    const open = sizeOf(s.slice(0, at)) > 0 ? [...s.slice(0, at), -1] : merged;
    return {
      inputs: [spec(s)],
      f: (x) => [x!.reshape(merged), x!.reshape(open), x!.flatten(at), x!.unsqueeze(at), x!.squeeze()],
    };
  }),
  transpose: shape(1, 4)
    .chain((s) =>
      fc.tuple(
        fc.constant(s),
        fc.shuffledSubarray(
          s.map((_, i) => i),
          { minLength: s.length },
        ),
      ),
    )
    .map(([s, order]) => ({ inputs: [spec(s)], f: (x) => x!.transpose(order) })),
  expand: pair.map(([a, b]) => ({ inputs: [a, b], f: (x, y) => x!.expand(x!.add(y!).shape) })),
  concat: fc.tuple(shapeAndAxis(), dim, dim).map(([{ s, axis, at }, n, m]) => {
    const along = (d: number) => spec(s.with(at, d));
    return {
      inputs: [along(n), along(m)],
      f: (a, b) => {
        const joined = t.concat([a!, b!, a!], axis);
        return [
          joined,
          ...t.split(joined, [n, m, n], axis),
          t.stack([b!, b!], axis),
          ...t.split(t.concat([a!, a!], axis), 2, axis),
        ];
      },
    };
  }),
  slice: fc
    .tuple(
      shapeAndAxis(),
      fc.integer({ min: -6, max: 6 }),
      fc.option(fc.integer({ min: -6, max: 6 }), { nil: undefined }),
      fc.integer({ min: 1, max: 3 }),
    )
    .map(([{ s, axis }, start, end, step]) => ({
      inputs: [spec(s)],
      f: (x) => [x!.slice(axis, start, end, step), x!.flip(axis)],
    })),
  pad: fc
    .tuple(shapeAndAxis(), fc.nat({ max: 3 }), fc.nat({ max: 3 }))
    .map(([{ s, axis, at }, before, after]) => ({
      inputs: [spec(s)],
      f: (x) => {
        const modes: ('constant' | 'edge' | 'reflect')[] = ['constant'];
        if (s[at]! > 0) modes.push('edge');
        if (s[at]! > Math.max(before, after)) modes.push('reflect');
        return [
          ...modes.map((mode) => x!.pad([[axis, before, after]], { mode })),
          t.dilate(x!, at, before + 1),
        ];
      },
    })),
  triangle: fc
    .tuple(shape(2, 4), fc.integer({ min: -3, max: 3 }))
    .map(([s, k]) => ({ inputs: [spec(s)], f: (x) => [x!.tril(k), x!.triu(k)] })),
  matmul: fc
    .tuple(pair, dim, dim, dim, fc.boolean(), fc.boolean())
    .map(([[a, b], m, k, n, transA, transB]) => ({
      inputs: [
        spec([...(a.shape as number[]), ...(transA ? [k, m] : [m, k])]),
        spec([...(b.shape as number[]), ...(transB ? [n, k] : [k, n])]),
        spec([n]),
      ],
      f: (x, y, bias) => {
        const right = transB ? y!.transpose() : y!;
        const products = [t.matmul(transA ? x!.transpose() : x!, right)];
        if (!transA && transB && y!.rank === 2) products.push(t.linear(x!, y!, bias!));
        return products;
      },
    })),
  conv: fc
    .tuple(
      fc.boolean(),
      positive,
      positive,
      positive,
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ min: 1, max: 3 }),
      fc.nat({ max: 2 }),
      fc.nat({ max: 2 }),
      fc.integer({ min: 1, max: 2 }),
      fc.integer({ min: 1, max: 2 }),
      fc.nat({ max: 4 }),
    )
    .map(([two, n, c, k, size, stride, before, after, dilation, groups, extra]) => {
      const options = {
        stride,
        padding: two ? [[before, after] as const, before] : [[before, after] as const],
        dilation,
        groups,
      };
      const reach = dilation * (size - 1) + 1;
      const length = reach + extra;
      const spatial = two ? [length, length + 1] : [length];
      const kernel = two ? [size, size] : [size];
      return {
        inputs: [
          spec([n, c * groups, ...spatial]),
          spec([k * groups, c, ...kernel]),
          spec([c * groups, k, ...kernel]),
        ],
        f: (x, w, v) => {
          const y = t.conv(x!, w!, undefined, options);
          // a transposed convolution is cut by its padding: nothing may be left
          const grown = t.convTranspose(x!, v!, undefined, {
            ...options,
            padding: 0,
            outputPadding: stride - 1,
          });
          return [y, grown, ...t.gradients(y.sum(), [x!, w!])];
        },
      };
    }),
  pool: fc
    .tuple(
      fc.boolean(),
      positive,
      positive,
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ min: 1, max: 2 }),
      fc.nat({ max: 4 }),
      fc.integer({ min: 1, max: 4 }),
    )
    .map(([two, n, c, size, stride, dilation, extra, bins]) => {
      const padding = Math.floor(size / 2);
      const length = dilation * (size - 1) + 1 + extra;
      const s = [n, c, ...(two ? [length, length + 2] : [length])];
      return {
        inputs: [spec(s)],
        f: (x) => [
          t.maxPool(x!, size, { stride, padding, dilation }),
          t.averagePool(x!, size, { stride, padding }),
          t.globalAveragePool(x!),
          t.adaptiveAveragePool(x!, bins),
          t.adaptiveMaxPool(x!, bins),
        ],
      };
    }),
  resize: fc
    .tuple(positive, positive, positive, positive, positive, positive, fc.boolean())
    .map(([n, c, h, w, toH, toW, alignCorners]) => ({
      inputs: [spec([n, c, h, w]), spec([n, toH, toW, 2])],
      f: (x, grid) => [
        t.resize2d(x!, { size: [toH, toW] }),
        t.resize2d(x!, { size: [toH, toW], mode: 'bilinear', alignCorners }),
        t.resize2d(x!, { scale: [toH, 2] }),
        t.gridSample(x!, grid!, { alignCorners }),
      ],
    })),
  norm: fc.tuple(positive, positive, shape(0, 2, positive)).map(([n, c, rest]) => ({
    inputs: [spec([n, 2 * c, ...rest]), spec([2 * c]), spec([n, 2 * c])],
    f: (x, s, rows) => {
      const { output, mean, variance } = t.batchNormTraining(x!, s!, s!);
      return [
        output,
        mean,
        variance,
        t.batchNorm(x!, s!, s!, s!, s!),
        x!.groupNorm(2, s!, s!),
        rows!.layerNorm(s!, s!),
        rows!.rmsNorm(s!),
        x!.layerNorm(),
      ];
    },
  })),
  index: fc.tuple(shapeAndAxis(positive), shape(0, 2), positive).map(([{ s, axis, at }, places, count]) => {
    const along = s.with(at, count);
    return {
      inputs: [spec(s), ints(places), ints(along), spec(along)],
      f: (x, i, j, updates) => {
        const rows = t.gather(x!, i!, axis);
        return [
          rows,
          t.takeAlongAxis(x!, j!, axis),
          t.scatterAdd(x!, j!, updates!, axis),
          t.scatterAddRows(rows, i!, s[at]!, at),
          t.oneHot(i!, count),
          x!.cumSum(axis),
        ];
      },
    };
  }),
  recomputed: fc.tuple(positive, positive, positive).map(([time, more, dim]) => ({
    inputs: [spec([4, time, dim]), spec([2, time + more, dim]), spec([2, time + more, dim])],
    f: (q, k, v) => t.recomputedAttention(q!, k!, v!),
  })),
  rotary: fc.tuple(shape(1, 2, positive), positive, positive).map(([batch, heads, half]) => {
    const table = spec([batch.at(-1)!, half]);
    return {
      inputs: [spec([...batch, heads, 2 * half]), table, table],
      f: (x, cos, sin) => t.rotary(x!, cos!, sin!),
    };
  }),
  topK: fc.tuple(shapeAndAxis(positive), fc.nat()).map(([{ s, axis, at }, seed]) => ({
    inputs: [spec(s)],
    f: (x) => {
      const top = t.topK(x!, 1 + (seed % s[at]!), axis);
      const sorted = t.sort(x!, axis);
      return [top.values, top.indices, sorted.values, sorted.indices];
    },
  })),
  chosen: fc.tuple(dim, positive).map(([n, d]) => ({
    inputs: [spec([n, d]), spec([n])],
    f: (x, score) => {
      const rows = t.nonZero(score!.equal(0), 'chosen');
      return t.scatterAddRows(t.gather(x!, rows), rows, n);
    },
  })),
  attention: fc
    .tuple(positive, positive, positive, positive, positive)
    .map(([n, heads, queries, keys, d]) => ({
      inputs: [spec([n, heads, queries, d]), spec([n, heads, keys, d]), spec([n, heads, keys, d + 1])],
      f: (q, k, v) => {
        const part = t.partialAttention(q!, k!, v!);
        return [t.scaledDotProductAttention(q!, k!, v!), part.output, part.logSumExp];
      },
    })),
  made: fc.tuple(shape(0, 3), dim).map(([s, count]) => ({
    inputs: [spec([], 'int64')],
    f: (seed) => [
      t.arange(count),
      t.arange(count, { dtype: 'int64', start: 2, step: 3 }),
      t.zeros(s),
      t.uniform(s, seed!),
      t.normal(s, 2),
      t.dropout(t.ones(s), 0.5, 3),
    ],
  })),
};

const seen = new Set<string>();

test('inferred shapes are those that ONNX Runtime returns', { timeout: 120_000 }, async () => {
  const device = await cpu();
  const names = Object.keys(recipes);
  await fc.assert(
    fc.asyncProperty(fc.tuple(...Object.values(recipes)), async (all) => {
      const specs = all.map(({ inputs }) => inputs);
      const inferred: t.Tensor[][] = [];
      const run = await device.compile(
        (lists) =>
          all.map(({ f }, i) => {
            const outputs = [f(...lists[i]!)].flat() as t.Tensor[];
            inferred.push(outputs);
            for (const { operator } of topologicalOrder(outputs)) seen.add(operator.name);
            return outputs;
          }),
        { inputs: [specs] },
      );
      const arrays = specs.map((list) =>
        list.map((s) => t.zerosArray(s.shape as number[], s.dtype ?? 'float32')),
      );
      const results = await run(arrays);
      await run.dispose();
      results.forEach((list, i) => {
        list.forEach((result, j) => {
          const { shape: dims, dtype, node } = inferred[i]![j]!;
          const what = `${names[i]}, output ${j} (${node?.operator.name ?? 'leaf'})`;
          assert.deepEqual([...result.shape], [...dims], what);
          assert.equal(result.dtype, dtype, what);
          assert.equal(result.data.length, sizeOf(result.shape), what);
        });
      });
    }),
    { numRuns: 20, endOnFailure: true },
  );
});

test('every operator took part', () => {
  assert.deepEqual([...seen].sort(), [...t.operators().keys()].sort());
});
