import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import {
  byRows,
  gradients,
  type NdArray,
  ndarray,
  openDevice,
  type Shape,
  Tensor,
  toNumbers,
} from '../src/index.ts';
import { tracingFor } from '../src/ops/by-rows.ts';

const device = await openDevice({ provider: 'cpu', threads: 2 });
after(() => device.close());

const [rows, width] = [1100, 4096];
const hidden = (x: Tensor, w: Tensor) => x.linear(w).gelu('tanh').linear(w.transpose());

function array(shape: readonly number[], seed: number): NdArray {
  const size = shape.reduce((a, b) => a * b, 1);
  return ndarray(
    Float32Array.from({ length: size }, (_, i) => Math.sin(i * 0.7 + seed) / 4),
    shape,
  );
}

test('blocks of rows give what all rows give at once, with the same gradients', async () => {
  const arrays = [array([2, rows / 2, 16], 1), array([width, 16], 2)] as const;
  const inputs = [{ shape: arrays[0].shape }, { shape: arrays[1].shape }] as const;
  const counts: number[] = [];
  const run = async (way: (x: Tensor, w: Tensor) => Tensor): Promise<number[][]> => {
    const compiled = await device.compile(
      (x: Tensor, w: Tensor) => {
        const y = way(x, w);
        return [y, ...gradients(y.mul(y).sum(), [x, w])];
      },
      { inputs },
    );
    const results = (await compiled(...arrays)) as NdArray[];
    await compiled.dispose();
    return results.map((result) => [...toNumbers(result)]);
  };
  const whole = await run(hidden);
  const blocks = await run((x, w) => {
    return byRows(x, width, (part) => {
      counts.push(part.size(0));
      return hidden(part, w);
    });
  });
  assert.deepEqual(counts, [256, 256, 256, 256, 76]);
  for (const [i, expected] of whole.entries()) {
    const scale = Math.max(...expected.map(Math.abs));
    const error = Math.max(...expected.map((value, at) => Math.abs(value - blocks[i]![at]!)));
    assert.ok(error < 1e-5 * scale, `result ${i}: ${error} of ${scale}`);
  }
});

test('one block where blocks would not pay: on a GPU, of free sizes, of few rows, in a graph for any runtime', () => {
  const calls = (shape: Shape, provider?: 'cpu' | 'webgpu'): number => {
    let count = 0;
    const x = new Tensor({ shape, dtype: 'float32' }, { kind: 'input', name: 'x' });
    const body = () =>
      byRows(x, width, (part) => {
        count++;
        return part;
      });
    const y = provider ? tracingFor(provider, body) : body();
    assert.deepEqual(y.shape, shape);
    return count;
  };
  assert.equal(calls([rows, 16], 'cpu'), 5);
  assert.equal(calls([rows, 16], 'webgpu'), 1);
  assert.equal(calls([rows, 16]), 1);
  assert.equal(calls(['rows', 16], 'cpu'), 1);
  assert.equal(calls([500, 16], 'cpu'), 1);
});
