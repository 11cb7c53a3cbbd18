/**
 * Checks of operators, for every family's tests.
 *
 * A family of operators has three files: `reference/<family>.ts` registers what its operators compute (`register`),
 * `cases/<family>.ts` exports `gradientCases` and `forwardCases` by operator name, and `<family>.test.ts` is
 * `runCases({ gradientCases, forwardCases })` and what else there is to test. `reference/index.ts` and
 * `cases/index.ts` list the families: the coverage test and the browser tests read them from there.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { InputSpec } from '../src/arguments.ts';
import { toNumbers } from '../src/array.ts';
import { topologicalOrder } from '../src/autodiff.ts';
import { type Device, openDevice } from '../src/device.ts';
import { DeviceError } from '../src/device-error.ts';
import { Tensor } from '../src/tensor.ts';
import type { Case, Cases, Input } from './cases/case.ts';
import {
  arrayOf,
  differentiable,
  gradientGraphs,
  outputsOf,
  type Precision,
  specOf,
} from './cases/graphs.ts';
import { interpreter } from './reference/evaluate.ts';
import './reference/index.ts';
import type { Dense } from './reference/registry.ts';

let opened: Promise<Device> | undefined;

/** The test file's one device: ONNX Runtime on the CPU. */
export function cpu(): Promise<Device> {
  opened ??= openDevice({ provider: 'cpu', threads: 1 });
  return opened;
}

/** The device refuses in one line, with this message. */
export async function refuses(run: () => unknown, message: string | RegExp): Promise<void> {
  await assert.rejects(
    async () => await run(),
    (error: unknown) => {
      assert.ok(error instanceof DeviceError, `${error}`);
      if (typeof message === 'string') assert.equal(error.message, message);
      else assert.match(error.message, message);
      assert.ok(!error.message.includes('\n'), 'one line');
      return true;
    },
  );
}

function symbolsOf(inputs: readonly Input[], precision: Precision): Tensor[] {
  return inputs.map((input, i) => {
    const { shape, dtype = 'float32' } = specOf(input, precision);
    return new Tensor({ shape, dtype }, { kind: 'input', name: `in${i}` });
  });
}

function denseOf(input: Input): Dense {
  return { shape: input.shape, data: Float64Array.from(input.data) };
}

/** The largest |actual − expected| / max(1, |expected|); infinite when only one of two is NaN or infinite. */
export function errorOf(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let worst = actual.length === expected.length ? 0 : Number.POSITIVE_INFINITY;
  for (let i = 0; i < expected.length; i++) {
    const [a, e] = [actual[i]!, expected[i]!];
    if (a === e || (Number.isNaN(a) && Number.isNaN(e))) continue;
    const error = Math.abs(a - e) / Math.max(1, Math.abs(e));
    worst = Math.max(worst, Number.isFinite(error) ? error : Number.POSITIVE_INFINITY);
  }
  return worst;
}

function assertClose(what: string, actual: Dense, expected: Dense, tolerance: number): void {
  assert.deepEqual([...actual.shape], [...expected.shape], `${what}: shape`);
  const error = errorOf(actual.data, expected.data);
  const show = (data: Float64Array) =>
    `[${Array.from(data.subarray(0, 12)).join(', ')}${data.length > 12 ? ', …' : ''}]`;
  assert.ok(
    error <= tolerance,
    `${what}: error ${error} > ${tolerance}\n  got  ${show(actual.data)}\n  want ${show(expected.data)}`,
  );
}

/** What ONNX Runtime says of an operator it has no kernel of this dtype for. */
const noKernel = /NOT_IMPLEMENTED|Could not find an implementation|is invalid|No opset import|Type Error/i;

/** Runs a traced function on the device; `undefined` where float64 has no kernel. */
async function runOnDevice(
  inputs: readonly Input[],
  precision: Precision,
  trace: (symbols: readonly Tensor[]) => readonly Tensor[],
): Promise<Dense[] | undefined> {
  const device = await cpu();
  try {
    const specs: InputSpec[] = inputs.map((input) => specOf(input, precision));
    const compiled = await device.compile((symbols) => trace(symbols), {
      inputs: [specs],
    });
    const results = await compiled(inputs.map((input) => arrayOf(input, precision)));
    await compiled.dispose();
    return results.map((result) => ({ shape: result.shape, data: Float64Array.from(toNumbers(result)) }));
  } catch (error) {
    if (precision === 'float64' && error instanceof Error && noKernel.test(error.message)) return undefined;
    throw error;
  }
}

export interface CheckOptions {
  readonly tolerance?: number;
  readonly gradientTolerance?: number;
  readonly secondOrder?: boolean;
}

/** The reference against ONNX Runtime in float32. */
async function checkForward(
  name: string,
  f: Case['f'],
  inputs: readonly Input[],
  { tolerance = 1e-5 }: CheckOptions = {},
): Promise<void> {
  const symbols = symbolsOf(inputs, 'float32');
  const bindings = new Map(symbols.map((symbol, i) => [symbol, denseOf(inputs[i]!)]));
  const outputs = outputsOf({ f }, symbols);
  const expected = interpreter(outputs)(bindings);
  const actual = (await runOnDevice(inputs, 'float32', (s) => outputsOf({ f }, s)))!;
  expected.forEach((value, i) => {
    assertClose(`${name}: output ${i}`, actual[i]!, value, tolerance);
  });
}

/**
 * The gradient graph against central differences of Σ f(x)·r, both on the float64 reference (1e-6), and the same
 * graph on the device against the reference: in float32, and in float64 where there are kernels
 * (1e-7: ONNX keeps attributes such as epsilon in float32).
 */
export async function checkGradient(
  name: string,
  f: Case['f'],
  inputs: readonly Input[],
  { tolerance = 1e-5, gradientTolerance = 1e-4, secondOrder = false }: CheckOptions = {},
): Promise<void> {
  const check = { f, secondOrder };
  const symbols = symbolsOf(inputs, 'float64');
  const bindings = new Map(symbols.map((symbol, i) => [symbol, denseOf(inputs[i]!)]));
  const graphs = gradientGraphs(check, symbols);
  const wrt = differentiable(symbols);
  compareDifferences(`${name}: gradient`, graphs.loss, graphs.gradients, wrt, bindings);
  if (graphs.second) {
    compareDifferences(`${name}: second order`, graphs.second.loss, graphs.second.gradients, wrt, bindings);
  }

  const labels = [
    ...graphs.outputs.map((_, i) => `output ${i}`),
    ...graphs.gradients.map((_, i) => `gradient ${i}`),
    ...(graphs.second?.gradients ?? []).map((_, i) => `second-order gradient ${i}`),
  ];
  const flat = (g: typeof graphs) => [...g.outputs, ...g.gradients, ...(g.second?.gradients ?? [])];
  const expected = interpreter(flat(graphs))(bindings);
  for (const precision of ['float32', 'float64'] as const) {
    const actual = await runOnDevice(inputs, precision, (s) => flat(gradientGraphs(check, s)));
    expected.forEach((value, i) => {
      if (!actual) return;
      const float32 = labels[i]!.startsWith('output') ? tolerance : gradientTolerance;
      assertClose(
        `${name}: ${labels[i]} in ${precision}`,
        actual[i]!,
        value,
        precision === 'float32' ? float32 : 1e-7,
      );
    });
  }
}

/** Most elements of one input that are varied. */
const mostElements = 48;

function compareDifferences(
  name: string,
  loss: Tensor,
  gradients: readonly Tensor[],
  wrt: readonly Tensor[],
  bindings: ReadonlyMap<Tensor, Dense>,
): void {
  const exact = interpreter(gradients)(bindings);
  const lossOf = interpreter([loss]);
  wrt.forEach((input, which) => {
    const base = bindings.get(input)!;
    const stride = Math.max(1, Math.floor(base.data.length / mostElements));
    const [analytic, numeric]: [number[], number[]] = [[], []];
    for (let i = 0; i < base.data.length; i += stride) {
      const moved = (by: number): number => {
        const data = base.data.slice();
        data[i]! += by;
        return lossOf(new Map(bindings).set(input, { shape: base.shape, data }))[0]!.data[0]!;
      };
      // fourth order: the error is of the order h^4 and of machine precision / h
      const h = 5e-4;
      numeric.push((8 * (moved(h) - moved(-h)) - (moved(2 * h) - moved(-2 * h))) / (12 * h));
      analytic.push(exact[which]!.data[i]!);
    }
    const scale = Math.max(1e-2, ...numeric.map(Math.abs));
    numeric.forEach((expected, i) => {
      const error = Math.abs(analytic[i]! - expected) / scale;
      assert.ok(
        error < 1e-6,
        `${name} of input ${which} at ${i * stride}: ${analytic[i]}, finite differences give ${expected}`,
      );
    });
  });
}

/** Declares a test for every case; each must really contain the operator that it is listed under. */
export function runCases(tables: { readonly gradientCases: Cases; readonly forwardCases: Cases }): void {
  for (const [operator, list] of Object.entries(tables.forwardCases)) {
    for (const check of list) {
      test(`${operator}: ${check.name}`, async () => {
        assertContains(operator, check);
        await checkForward(operator, check.f, check.inputs, check);
      });
    }
  }
  for (const [operator, list] of Object.entries(tables.gradientCases)) {
    for (const check of list) {
      test(`${operator} with gradient: ${check.name}`, async () => {
        assertContains(operator, check);
        await checkGradient(operator, check.f, check.inputs, check);
      });
    }
  }
}

function assertContains(operator: string, check: Case): void {
  const order = topologicalOrder(outputsOf(check, symbolsOf(check.inputs, 'float32')));
  const names = new Set(order.map((node) => node.operator.name));
  assert.ok(names.has(operator), `the case '${check.name}' of ${operator} has only ${[...names].join(', ')}`);
}
