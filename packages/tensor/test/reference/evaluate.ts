/** Runs our own graphs in plain float64, operator by operator. */

import { toNumbers } from '../../src/array.ts';
import { topologicalOrder } from '../../src/autodiff.ts';
import { evaluateDim } from '../../src/dims.ts';
import type { Tensor } from '../../src/tensor.ts';
import { type Dense, type Resolve, registered } from './registry.ts';

/** The values of `outputs` when the leaves have the given values. Names the operator that has no evaluator. */
export function interpreter(outputs: readonly Tensor[]): (bindings: ReadonlyMap<Tensor, Dense>) => Dense[] {
  const order = topologicalOrder(outputs);
  const constants = new Map<Tensor, Dense>();
  return (bindings) => {
    const dims = new Map<string, number>();
    for (const [leaf, value] of bindings) {
      leaf.shape.forEach((dim, axis) => {
        if (typeof dim === 'string' && /^\w+$/.test(dim)) dims.set(dim, value.shape[axis]!);
      });
      checkShape('binding', leaf, value, dims);
    }
    const resolve: Resolve = {
      dim: (dim) => evaluateDim(dim, dims),
      shape: (shape) => shape.map((dim) => evaluateDim(dim, dims)),
    };
    const values = new Map<Tensor, Dense>(bindings);
    const read = (tensor: Tensor): Dense => {
      const known = values.get(tensor) ?? constants.get(tensor);
      if (known) return known;
      if (tensor.source?.kind !== 'constant') throw new Error(`reference: ${tensor} has no value`);
      const { value } = tensor.source;
      const array = { shape: value.shape, data: Float64Array.from(toNumbers(value)) };
      constants.set(tensor, array);
      return array;
    };
    for (const node of order) {
      if (node.outputs.every((output) => values.has(output))) continue;
      const { name } = node.operator;
      const run = registered().get(name);
      if (!run) throw new Error(`reference: operator '${name}' has no evaluator`);
      const result = run(node.inputs.map(read), node.attributes, node, resolve);
      const results = Array.isArray(result) ? (result as readonly Dense[]) : [result as Dense];
      node.outputs.forEach((output, i) => {
        const value = results[i];
        if (!value) throw new Error(`reference: operator '${name}' has no output ${i}`);
        for (const born of node.operator.newDims?.(node.attributes) ?? []) {
          const axis = output.shape.indexOf(born);
          if (axis >= 0) dims.set(born, value.shape[axis]!);
        }
        checkShape(name, output, value, dims);
        values.set(output, value);
      });
    }
    return outputs.map(read);
  };
}

/** The evaluators find shapes by themselves, so every run also checks the operators' shape rules. */
function checkShape(what: string, tensor: Tensor, value: Dense, dims: ReadonlyMap<string, number>): void {
  const shape = tensor.shape.map((dim) => evaluateDim(dim, dims));
  const size = shape.reduce((product, dim) => product * dim, 1);
  if (shape.join() !== value.shape.join() || value.data.length !== size) {
    throw new Error(`reference: ${what} gave [${value.shape}] (${value.data.length} elements) for ${tensor}`);
  }
}
