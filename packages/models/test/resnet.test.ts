import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { crossEntropy } from '@working-papers/nn/losses';
import { countParameters, type Module, stateDict, stateShapes } from '@working-papers/nn/module';
import { sgd } from '@working-papers/nn/optimizers';
import { Random } from '@working-papers/nn/random';
import { Trainer } from '@working-papers/nn/trainer';
import { type NdArray, ndarray, openDevice, type Parameter, toNumbers } from '@working-papers/tensor';
import { ResNet } from '../src/resnet.ts';

const device = await openDevice({ provider: 'cpu', threads: 1 });
after(() => device.close());

function noise(shape: readonly number[], seed: number, scale = 1): NdArray {
  const size = shape.reduce((a, b) => a * b, 1);
  return ndarray(new Random(seed).normals(size, 0, scale), shape);
}

test('ResNet-20 has the names, the shapes and the 269,722 weights of the PyTorch ports', () => {
  const norm = (name: string, channels: number) =>
    ['weight', 'bias', 'running_mean', 'running_var'].map(
      (field) => [`${name}.${field}`, [channels]] as const,
    );
  const expected = new Map<string, readonly number[]>([['conv1.weight', [16, 3, 3, 3]], ...norm('bn1', 16)]);
  for (const [stage, width] of [16, 32, 64].entries()) {
    for (let i = 0; i < 3; i++) {
      const name = `layer${stage + 1}.${i}`;
      const from = i === 0 && stage > 0 ? width / 2 : width;
      expected.set(`${name}.conv1.weight`, [width, from, 3, 3]);
      for (const [key, shape] of norm(`${name}.bn1`, width)) expected.set(key, shape);
      expected.set(`${name}.conv2.weight`, [width, width, 3, 3]);
      for (const [key, shape] of norm(`${name}.bn2`, width)) expected.set(key, shape);
    }
  }
  expected.set('linear.weight', [10, 64]).set('linear.bias', [10]);
  const model = new ResNet();
  assert.deepEqual([...stateShapes(model)], [...expected]);
  assert.equal(countParameters(model), 269_722);
  assert.equal(countParameters(new ResNet({ blocksPerStage: 9 })), 853_018); // ResNet-56
  assert.deepEqual(model.featureWidths, [16, 16, 16, 32, 32, 32, 64, 64, 64]);
});

/** Random values for every weight, also those that start at zero and one. */
function randomWeights(model: Module): Map<Parameter, NdArray> {
  const weights = new Map<Parameter, NdArray>();
  let seed = 1;
  for (const [name, weight] of model.namedWeights()) {
    const value = noise(weight.shape as number[], seed++, 0.5);
    const data = value.data as Float32Array;
    if (name.endsWith('running_var')) for (const [i, v] of data.entries()) data[i] = 0.5 + v * v;
    weights.set(weight, value);
  }
  return weights;
}

/** One picture: channels of rows of numbers. */
type Picture = number[][][];

/** The network of section 4.2 of arXiv 1512.03385 in plain loops. */
function reference(picture: Picture, weights: ReadonlyMap<string, NdArray>, stages: number): number[] {
  const get = (name: string) => toNumbers(weights.get(name)!);
  const conv = (x: Picture, name: string, stride: number): Picture => {
    const w = get(`${name}.weight`);
    const [out, channels] = weights.get(`${name}.weight`)!.shape as [number, number];
    const size = Math.ceil(x[0]!.length / stride);
    const sum = (o: number, row: number, column: number) => {
      let total = 0;
      for (let c = 0; c < channels; c++)
        for (let i = 0; i < 3; i++)
          for (let j = 0; j < 3; j++) {
            const value = x[c]![row * stride + i - 1]?.[column * stride + j - 1] ?? 0;
            total += value * w[((o * channels + c) * 3 + i) * 3 + j]!;
          }
      return total;
    };
    const range = Array.from({ length: size }, (_, i) => i);
    return Array.from({ length: out }, (_, o) =>
      range.map((row) => range.map((column) => sum(o, row, column))),
    );
  };
  const norm = (x: Picture, name: string): Picture => {
    const [scale, bias, mean, variance] = ['weight', 'bias', 'running_mean', 'running_var'].map((field) =>
      get(`${name}.${field}`),
    ) as [number[], number[], number[], number[]];
    return x.map((rows, c) =>
      rows.map((row) =>
        row.map((v) => ((v - mean[c]!) / Math.sqrt(variance[c]! + 1e-5)) * scale[c]! + bias[c]!),
      ),
    );
  };
  const relu = (x: Picture) => x.map((rows) => rows.map((row) => row.map((v) => Math.max(0, v))));
  let x = relu(norm(conv(picture, 'conv1', 1), 'bn1'));
  for (let stage = 1; stage <= stages; stage++) {
    const stride = stage === 1 ? 1 : 2;
    const name = `layer${stage}.0`;
    const inner = relu(norm(conv(x, `${name}.conv1`, stride), `${name}.bn1`));
    const y = norm(conv(inner, `${name}.conv2`, 1), `${name}.bn2`);
    const before = Math.floor((y.length - x.length) / 2);
    x = relu(
      y.map((rows, c) =>
        rows.map((row, i) => row.map((v, j) => v + (x[c - before]?.[i * stride]?.[j * stride] ?? 0))),
      ),
    );
  }
  const pooled = x.map((rows) => rows.flat().reduce((a, b) => a + b) / rows.flat().length);
  const [w, b] = [get('linear.weight'), get('linear.bias')];
  return b.map((bias, o) => pooled.reduce((sum, v, c) => sum + v * w[o * pooled.length + c]!, bias));
}

test('a small one gives the logits of plain loops, whole and block by block', async () => {
  const model = new ResNet({ blocksPerStage: 1, widths: [3, 4, 8], classes: 5 });
  const weights = randomWeights(model);
  const x = noise([2, 3, 8, 8], 99);
  const flat = toNumbers(x);
  const picture = (n: number): Picture =>
    [0, 1, 2].map((c) =>
      Array.from({ length: 8 }, (_, i) =>
        flat.slice(((n * 3 + c) * 8 + i) * 8, ((n * 3 + c) * 8 + i + 1) * 8),
      ),
    );
  const expected = [0, 1].flatMap((n) => reference(picture(n), stateDict(model, weights), 3));
  const run = await device.compile(
    (x) => {
      let h = model.embed(x);
      for (const block of model.blocks) h = block.forward(h);
      return [model.forward(x), model.head.forward(model.features(h))];
    },
    { inputs: [{ shape: ['batch', 3, 8, 8] }] as const, weights },
  );
  for (const logits of await run(x)) {
    toNumbers(logits!).forEach((value, i) => {
      assert.ok(
        Math.abs(value - expected[i]!) < 1e-4 * Math.max(1, Math.abs(expected[i]!)),
        `${i}: ${value}`,
      );
    });
  }
  await run.dispose();
});

test('it learns four pictures by heart', async () => {
  const model = new ResNet({ blocksPerStage: 1, widths: [4, 8, 16], classes: 4 });
  const trainer = await Trainer.create({
    device,
    model,
    seed: 1,
    batch: { images: { shape: [4, 3, 8, 8] }, labels: { shape: [4], dtype: 'int32' } },
    optimizer: sgd({ momentum: 0.9 }),
    loss: ({ images, labels }) => ({ loss: crossEntropy(model.forward(images), labels) }),
  });
  const batch = { images: noise([4, 3, 8, 8], 7), labels: ndarray([3, 1, 0, 2], [4], 'int32') };
  const losses: number[] = [];
  for (let i = 0; i < 30; i++) losses.push((await trainer.train(batch, 0.05)).loss!);
  assert.ok(losses[0]! > 1 && losses.at(-1)! < 0.05, `${losses[0]} to ${losses.at(-1)}`);
  await trainer.dispose();
});
