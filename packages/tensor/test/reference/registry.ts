/** The reference: what every operator computes, in plain float64 TypeScript that knows nothing of ONNX. */

import type { Dim, Shape } from '../../src/dims.ts';
import type { Node } from '../../src/tensor.ts';

/** A row-major array; bools are 0 and 1, integers are whole numbers. */
export interface Dense {
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

/** Gives the free dimensions of a run their numbers. */
export interface Resolve {
  dim(dim: Dim): number;
  shape(shape: Shape): number[];
}

/** Outputs from inputs. Attributes that may be free dimensions go through `resolve`. */
export type Evaluate = (
  inputs: readonly Dense[],
  attributes: Record<string, unknown>,
  node: Node,
  resolve: Resolve,
) => Dense | readonly Dense[];

const evaluators = new Map<string, Evaluate>();

/** Says what the operator of this name computes. */
export function register(operatorName: string, evaluate: Evaluate): void {
  if (evaluators.has(operatorName)) throw new Error(`'${operatorName}' has two reference evaluators`);
  evaluators.set(operatorName, evaluate);
}

export function registered(): ReadonlyMap<string, Evaluate> {
  return evaluators;
}
