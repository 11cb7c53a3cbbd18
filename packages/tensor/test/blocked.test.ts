import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import {
  batchNorm,
  batchNormTraining,
  conv,
  type DType,
  gradients,
  lower,
  type NdArray,
  ndarray,
  openDevice,
  Tensor,
  toNumbers,
  where,
} from '../src/index.ts';
import { partsOf } from '../src/ops/conv-weight-blocked.ts';
import { uniform } from './cases/case.ts';

const device = await openDevice({ provider: 'cpu', threads: 2 });
after(() => device.close());

const shapes = {
  x: [4, 3, 24, 26],
  stem: [16, 3, 3, 3],
  first: [16, 16, 3, 3],
  down: [32, 16, 3, 3],
  across: [32, 16, 1, 1],
  last: [32, 32, 3, 3],
  bias: [32],
  gain: [16],
  shift: [16],
  mean: [32],
  variance: [32],
} as const;
type Values = { readonly [name in keyof typeof shapes]: Tensor };

/** A training loss that meets every rule of the pass: values read in both layouts, comparisons, channel by channel. */
function loss({ x, stem, first, down, across, last, bias, gain, shift, mean, variance }: Values): Tensor {
  const column = (v: Tensor) => v.reshape([v.size(0), 1, 1]);
  const a = conv(x, stem, undefined, { padding: 1 });
  const { output, mean: centre, variance: spread } = batchNormTraining(a, gain, shift);
  const b = conv(output.relu(), first, undefined, { padding: 1 }).add(output).relu();
  const sampled = b
    .slice(2, 0, undefined, 2)
    .slice(3, 0, undefined, 2)
    .pad([[1, 8, 8]]);
  const c = conv(b, down, bias, { stride: 2, padding: 1 })
    .add(conv(b, across, undefined, { stride: 2 }))
    .add(sampled);
  // a single number is no sum that a convolution takes
  const d = conv(c.tanh(), last, bias, { padding: 2, dilation: 2 }).add(0.125);
  const e = batchNorm(d, bias, mean, mean, variance).mul(column(mean)).sub(column(bias)).add(column(mean));
  const f = where(e.greater(d), e.mul(d), d.clip(-1, 1)).add(d.sub(e).div(column(variance)));
  const g = column(bias).sub(f).maximum(f.mul(0.5));
  const sums = g
    .mean([0, 2, 3])
    .mul(f.sum([0, 2, 3]))
    .sum();
  // of a product that is read elsewhere too, and of squares
  const product = d.mul(e);
  const more = product
    .sum([0, 2, 3])
    .tanh()
    .mean()
    .add(product.tanh().mean())
    .add(d.sumSquares([0, 2, 3]).mean());
  return more
    .mul(0.01)
    .add(g.mul(g).mean())
    .add(sums.mul(0.01))
    .add(g.sum(1).tanh().mean())
    .add(centre.mul(spread).sum());
}

/** Loss and gradients through the same kernels with and without the pass, which `lower` leaves out by itself. */
async function lossAndGradients(layout: 'blocked' | 'plain'): Promise<number[][]> {
  const names = Object.keys(shapes) as (keyof typeof shapes)[];
  const arrays = names.map((name, i) => {
    const { data } = uniform(
      shapes[name],
      name === 'variance' ? 0.5 : -0.7,
      name === 'variance' ? 2 : 0.7,
      i + 1,
    );
    return ndarray(Array.from(data, Number), shapes[name]);
  });
  const results = (tensors: readonly Tensor[]) => {
    const out = loss(Object.fromEntries(names.map((name, i) => [name, tensors[i]!])) as unknown as Values);
    return [out, ...gradients(out, tensors)];
  };
  if (layout === 'blocked') {
    const inputs = names.map((name) => ({ shape: shapes[name] }));
    const run = await device.compile((...tensors: Tensor[]) => results(tensors), { inputs });
    const values = (await run(...(arrays as never[]))) as NdArray[];
    await run.dispose();
    return values.map((each) => [...toNumbers(each)]);
  }
  const symbols = names.map(
    (name) => new Tensor({ shape: shapes[name], dtype: 'float32' }, { kind: 'input', name }),
  );
  const { bytes, outputs } = lower(results(symbols));
  const session = device.newKey();
  const about = { kept: [], binding: undefined, folder: undefined, profile: undefined };
  await device.request({ kind: 'session', session, model: bytes, outputs, ...about });
  const feeds = Object.fromEntries(names.map((name, i) => [name, arrays[i]!]));
  const reply = await device.request({ kind: 'run', session, feeds, resident: {}, cached: {}, keep: {} });
  await device.request({ kind: 'release', session });
  return outputs.map((name) => [...toNumbers(reply[name]!)]);
}

test('a training graph in the blocked layout gives the loss and gradients that it gives in the plain one', async () => {
  const [blocked, plain] = [await lossAndGradients('blocked'), await lossAndGradients('plain')];
  assert.equal(blocked.length, Object.keys(shapes).length + 1);
  for (const [i, expected] of plain.entries()) {
    const scale = Math.max(...expected.map(Math.abs));
    assert.ok(scale > 1e-4, `gradient ${i} is not trivial`);
    for (const [at, value] of expected.entries()) {
      const difference = Math.abs(blocked[i]![at]! - value) / scale;
      assert.ok(difference < 1e-4, `result ${i}[${at}]: ${blocked[i]![at]} instead of ${value}`);
    }
  }
});

test('the weight gradient of many pictures, made in parts, is the sum over the pictures', async () => {
  const c = 16;
  for (const { images, k, side, stride, parts } of [
    // products of two pictures, and one that is left over
    {
      ...{ images: 11, k: 32, side: 16, stride: 1 },
      parts: [
        { from: 0, to: 10, together: 2, spare: 0 },
        { from: 10, to: 11, together: 1, spare: 0 },
      ],
    },
    // two parts, with spare rows
    {
      ...{ images: 5, k: 64, side: 32, stride: 1 },
      parts: [
        { from: 0, to: 4, together: 1, spare: 1 },
        { from: 4, to: 5, together: 1, spare: 1 },
      ],
    },
    {
      ...{ images: 11, k: 32, side: 16, stride: 2 },
      parts: [
        { from: 0, to: 8, together: 8, spare: 0 },
        { from: 8, to: 11, together: 3, spare: 0 },
      ],
    },
    {
      ...{ images: 3, k: 32, side: 64, stride: 2 },
      parts: [{ from: 0, to: 3, together: 1, spare: 1 }],
    },
  ]) {
    const out = side / stride;
    assert.deepEqual(partsOf(images, [out, out], stride === 1 ? 3 * (c + k) : k + 9 * c), parts);
    const data = (shape: readonly number[], seed: number) =>
      Float32Array.from(uniform(shape, -1, 1, seed).data, Number);
    const [x, g, w] = [
      [images, c, side, side],
      [images, k, out, out],
      [k, c, 3, 3],
    ] as const;
    const [pictures, slopes, weight] = [data(x, 1), data(g, 2), ndarray(data(w, 3), w)];
    const gradient = async (from: number, to: number): Promise<Float32Array> => {
      const part = (all: Float32Array, shape: readonly number[]) => {
        const size = all.length / images;
        return ndarray(all.subarray(from * size, to * size), [to - from, ...shape.slice(1)]);
      };
      const [a, b] = [part(pictures, x), part(slopes, g)];
      const slope = await device.compile(
        (x, g, w) => gradients(conv(x, w, undefined, { padding: 1, stride }).mul(g).sum(), [w])[0]!,
        { inputs: [{ shape: a.shape }, { shape: b.shape }, { shape: w }] },
      );
      const found = await slope(a, b, weight);
      await slope.dispose();
      return found.data as Float32Array;
    };
    const together = await gradient(0, images);
    const sums = new Float64Array(together.length);
    for (let image = 0; image < images; image++)
      for (const [at, value] of (await gradient(image, image + 1)).entries()) sums[at]! += value;
    const scale = Math.max(...sums.map(Math.abs));
    for (const [at, value] of together.entries())
      assert.ok(
        Math.abs(value - sums[at]!) < 1e-5 * scale,
        `${images} pictures, gradient[${at}]: ${value} instead of ${sums[at]}`,
      );
  }
});

test('sums of products of large planes are as those of small ones', async () => {
  const [n, channels, kernel] = [2, 16, 3];
  for (const side of [64, 66]) {
    // 64² positions are one running sum, 66² are not
    const shape = [n, channels, side, side];
    const values = (seed: number) => Float32Array.from(uniform(shape, -1, 1, seed).data, Number);
    const [x, y] = [values(1), values(2)];
    const centre = new Float32Array(channels * channels * kernel ** 2); // a convolution that changes nothing
    for (let c = 0; c < channels; c++) centre[(c * channels + c) * kernel ** 2 + 4] = 1;
    const weight = [channels, channels, kernel, kernel];
    const sums = await device.compile(
      (x, y, w) => conv(x, w, undefined, { padding: 1 }).mul(y).sum([0, 2, 3]),
      {
        inputs: [{ shape }, { shape }, { shape: weight }],
      },
    );
    const found = await sums(ndarray(x, shape), ndarray(y, shape), ndarray(centre, weight));
    await sums.dispose();
    for (let c = 0; c < channels; c++) {
      let expected = 0;
      for (let i = 0; i < n; i++)
        for (let at = 0; at < side ** 2; at++) {
          const place = (i * channels + c) * side ** 2 + at;
          expected += x[place]! * y[place]!;
        }
      assert.ok(Math.abs(Number(found.data[c]) - expected) < 2e-3, `${side}, channel ${c}`);
    }
  }
});

/** Types of the nodes in a model, read off its text. */
function count(bytes: Uint8Array, type: string): number {
  return Buffer.from(bytes).toString('latin1').split(type).length - 1;
}

test('only float32 convolutions whose channels fill blocks are moved, and values are reordered once', () => {
  const symbol = (name: string, shape: readonly number[], dtype: DType = 'float32') =>
    new Tensor({ shape, dtype }, { kind: 'input', name });
  const model = (channels: number, dtype: DType, channelBlock?: number) => {
    const w = symbol('w', [channels, channels, 3, 3], dtype);
    const x = symbol('x', [2, channels, 5, 5], dtype);
    const first = conv(x, w, undefined, { padding: 1 }).relu();
    const second = conv(first, w, undefined, { padding: 1 });
    return lower([second, second.mul(second)], { ...(channelBlock ? { channelBlock } : {}) }).bytes;
  };
  assert.equal(count(model(16, 'float32'), 'nchwc'), 0, 'without a block, a graph for any ONNX runtime');
  assert.equal(count(model(16, 'float64', 16), 'nchwc'), 0);
  assert.equal(count(model(24, 'float32', 16), 'nchwc'), 0);
  for (const [channels, block] of [
    [16, 16],
    [24, 8],
  ] as const) {
    const bytes = model(channels, 'float32', block);
    assert.equal(count(bytes, 'ReorderInput'), 1, 'x');
    assert.equal(count(bytes, 'ReorderOutput'), 2, 'the two results');
  }
});
