/** Many checks in one graph, for providers where a session is dear. */

import type { InputSpec } from '../../src/arguments.ts';
import { type NdArray, toNumbers } from '../../src/array.ts';
import type { Device } from '../../src/device.ts';
import type { Tensor } from '../../src/tensor.ts';
import type { Case } from './case.ts';
import { arrayOf, gradientGraphs, outputsOf, specOf } from './graphs.ts';
import { families } from './index.ts';

export interface Batch {
  /** `conv: convTranspose, with gradients`. */
  readonly name: string;
  readonly gradients: boolean;
  readonly cases: readonly Case[];
}

/** All checks of all families, a batch an operator. */
export function batches(): Batch[] {
  return Object.entries(families).flatMap(([family, { gradientCases, forwardCases }]) => [
    ...Object.entries(forwardCases).map(([operator, cases]) => ({
      name: `${family}: ${operator}`,
      gradients: false,
      cases,
    })),
    ...Object.entries(gradientCases).map(([operator, cases]) => ({
      name: `${family}: ${operator}, with gradients`,
      gradients: true,
      cases,
    })),
  ]);
}

/** The results of one check: outputs, then gradients, then gradients of gradients; or why there are none. */
export type Outcome = { readonly values: readonly Value[] } | { readonly error: string };

export interface Value {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

function traced(check: Case, gradients: boolean, inputs: readonly Tensor[]): readonly Tensor[] {
  if (!gradients) return outputsOf(check, inputs);
  const graphs = gradientGraphs(check, inputs);
  return [...graphs.outputs, ...graphs.gradients, ...(graphs.second?.gradients ?? [])];
}

async function runTogether(device: Device, { cases, gradients }: Batch): Promise<Outcome[]> {
  const specs: readonly (readonly InputSpec[])[] = cases.map((check) =>
    check.inputs.map((input) => specOf(input, 'float32')),
  );
  const arrays: readonly (readonly NdArray[])[] = cases.map((check) =>
    check.inputs.map((input) => arrayOf(input, 'float32')),
  );
  const compiled = await device.compile(
    (lists) => cases.map((check, i) => traced(check, gradients, lists[i]!)),
    { inputs: [specs] },
  );
  const results = await compiled(arrays);
  await compiled.dispose();
  return results.map((values) => ({
    values: values.map((value) => ({ shape: [...value.shape], data: toNumbers(value) })),
  }));
}

/** The results of every check of a batch; what fails together is tried one by one, so that the culprit is named. */
export async function runBatch(device: Device, batch: Batch): Promise<Outcome[]> {
  try {
    return await runTogether(device, batch);
  } catch (error) {
    if (batch.cases.length === 1) return [{ error: error instanceof Error ? error.message : String(error) }];
    const outcomes: Outcome[] = [];
    for (const check of batch.cases) outcomes.push(...(await runBatch(device, { ...batch, cases: [check] })));
    return outcomes;
  }
}
