/** Reverse-mode differentiation, graph to graph: gradients are tensors again, so they have gradients too. */

import { sameShape } from './dims.ts';
import { constant, zeros } from './ops/constant.ts';
import { type Node, type Tensor, TensorError } from './tensor.ts';

/** Nodes that `outputs` depend on, inputs before users. Iterative: graphs are deeper than call stacks. */
export function topologicalOrder(outputs: readonly Tensor[]): Node[] {
  const order: Node[] = [];
  const state = new Map<Node, 'open' | 'done'>();
  const stack = outputs.flatMap((t) => (t.node ? [t.node] : [])).reverse();
  while (stack.length > 0) {
    const node = stack[stack.length - 1]!;
    if (state.get(node) === 'done') {
      stack.pop();
    } else if (state.get(node) === 'open') {
      stack.pop();
      state.set(node, 'done');
      order.push(node);
    } else {
      state.set(node, 'open');
      for (let i = node.inputs.length - 1; i >= 0; i--) {
        const input = node.inputs[i]!.node;
        if (input && !state.has(input)) stack.push(input);
      }
    }
  }
  return order;
}

/**
 * The gradients of `output` with respect to each of `wrt`, in their shapes; zeros where nothing depends.
 * `output` must be a scalar unless `seed`, the gradient that arrives at it (in its shape), is given.
 */
export function gradients(output: Tensor, wrt: readonly Tensor[], seed?: Tensor): Tensor[] {
  if (!seed && output.rank !== 0) {
    throw new TensorError(`gradients: ${output} is not a scalar: reduce it (sum, mean) or give a seed`);
  }
  if (seed && !(sameShape(seed.shape, output.shape) && seed.dtype === output.dtype)) {
    throw new TensorError(`gradients: the seed ${seed} has not the shape and dtype of ${output}`);
  }
  const order = topologicalOrder([output]);

  // Only what depends on `wrt` needs a gradient.
  const targets = new Set<Tensor>(wrt);
  const active = new Set<Tensor>(wrt);
  for (const node of order) {
    if (node.operator.grad && node.inputs.some((input) => active.has(input))) {
      for (const out of node.outputs) active.add(out);
    }
  }

  const arrived = new Map<Tensor, Tensor>([[output, seed ?? constant(1, output.dtype)]]);
  for (let i = order.length - 1; i >= 0; i--) {
    const node = order[i]!;
    const { operator } = node;
    if (!operator.grad || !node.inputs.some((input) => active.has(input))) continue;
    const incoming = node.outputs.map((out) => arrived.get(out));
    if (incoming.every((g) => g === undefined)) continue;
    const outgoing = operator.grad(incoming, node);
    node.inputs.forEach((input, at) => {
      const gradient = outgoing[at];
      if (!gradient || !active.has(input)) return;
      if (!sameShape(gradient.shape, input.shape)) {
        throw new TensorError(`gradient of ${operator.name}: ${gradient} for an input ${input}`);
      }
      const sum = arrived.get(input);
      arrived.set(input, sum ? sum.add(gradient) : gradient);
    });
    for (const out of node.outputs) if (!targets.has(out)) arrived.delete(out);
  }
  return wrt.map((target) => arrived.get(target) ?? zeros(target.shape, target.dtype));
}

/** `grad(f)(...args)`: the gradients of the scalar `f(...args)` with respect to every argument. */
export function grad<A extends readonly Tensor[]>(f: (...args: A) => Tensor): (...args: A) => Tensor[] {
  return (...args) => gradients(f(...args), args);
}

/** Like `grad`, with the value beside the gradients. */
export function valueAndGrad<A extends readonly Tensor[]>(
  f: (...args: A) => Tensor,
): (...args: A) => { value: Tensor; gradients: Tensor[] } {
  return (...args) => {
    const value = f(...args);
    return { value, gradients: gradients(value, args) };
  };
}
