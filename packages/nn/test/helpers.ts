/** What tests of the graph side share: one small device, and float64 references in plain loops. */

import assert from 'node:assert/strict';
import { after } from 'node:test';
import {
  type Device,
  type InputSpec,
  type NdArray,
  ndarray,
  openDevice,
  type Parameter,
  type Tensor,
  toNumbers,
} from '@working-papers/tensor';
import { sizeOf } from '@working-papers/tensor/array';
import { Random } from '../src/random.ts';

/** A device for one test file; closed after its tests. One thread: the models are tiny. */
export async function testDevice(): Promise<Device> {
  const device = await openDevice({ provider: 'cpu', threads: 1 });
  after(() => device.close());
  return device;
}

/** Runs `f` once on `inputs`; the result is one tensor's numbers. */
export async function evaluate(
  device: Device,
  f: (...inputs: Tensor[]) => Tensor,
  inputs: readonly NdArray[],
  weights?: ReadonlyMap<Parameter, NdArray>,
): Promise<number[]> {
  const specs: InputSpec[] = inputs.map(({ shape, dtype }) => ({ shape, dtype }));
  const compiled = await device.compile(f, { inputs: specs, ...(weights && { weights }) });
  const result = await compiled(...inputs);
  await compiled.dispose();
  return toNumbers(result);
}

/** Standard normal numbers, the same for the same seed. */
export function noise(shape: readonly number[], seed: number, scale = 1): NdArray {
  return ndarray(new Random(seed).normals(sizeOf(shape), 0, scale), shape);
}

/** Relative to the larger of 1 and the expected magnitude. */
export function assertClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 1e-5): void {
  assert.equal(actual.length, expected.length);
  for (let i = 0; i < expected.length; i++) {
    const [a, e] = [actual[i]!, expected[i]!];
    const error = Math.abs(a - e) / Math.max(1, Math.abs(e));
    assert.ok(a === e || error <= tolerance, `element ${i}: ${a}, expected ${e}, off by ${error}`);
  }
}

/** A matrix as rows of numbers. */
export function rows(array: NdArray): number[][] {
  const width = array.shape.at(-1)!;
  const flat = toNumbers(array);
  return Array.from({ length: flat.length / width }, (_, i) => flat.slice(i * width, (i + 1) * width));
}
