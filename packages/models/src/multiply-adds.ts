/**
 * Counting the multiply–adds of a model by reading its graph: matrix products and convolutions, every one of their
 * rows and positions. Nothing is estimated from layer types, so tokens, heads and strides count by themselves.
 */

import type { Tensor } from '@working-papers/tensor';

/** A node of a traced graph. */
export type GraphNode = NonNullable<Tensor['node']>;

/** All nodes that `outputs` depend on, each once, in no particular order. */
export function nodesOf(outputs: readonly Tensor[]): ReadonlySet<GraphNode> {
  const found = new Set<GraphNode>();
  const open = outputs.flatMap(({ node }) => (node ? [node] : []));
  for (let node = open.pop(); node; node = open.pop()) {
    if (found.has(node)) continue;
    found.add(node);
    for (const input of node.inputs) if (input.node) open.push(input.node);
  }
  return found;
}

/** The number of elements; throws where a dimension is free, since then there is no number. */
export function elementsOf(tensor: Tensor): number {
  return tensor.shape.reduce<number>((product, _, axis) => product * tensor.size(axis), 1);
}

/** Multiply–adds of one node; 0 for all that is neither a matrix product nor a convolution. Biases do not count. */
export function multiplyAddsOf(node: GraphNode): number {
  const [first, second] = node.inputs;
  const [output] = node.outputs;
  switch (node.operator.name) {
    case 'matmul': {
      const { transA } = node.attributes as { readonly transA: boolean };
      return elementsOf(output!) * first!.size(transA ? -2 : -1);
    }
    case 'conv': // weight [out, in / groups, ...kernel]: one multiply–add a tap for each result
      return (elementsOf(output!) * elementsOf(second!)) / second!.size(0);
    case 'convTranspose': // weight [in, out / groups, ...kernel]: one a tap for each input
      return (elementsOf(first!) * elementsOf(second!)) / second!.size(0);
    default:
      return 0;
  }
}

/** Multiply–adds of all that `outputs` need, for the batch that they were traced with. */
export function multiplyAdds(outputs: readonly Tensor[]): number {
  let sum = 0;
  for (const node of nodesOf(outputs)) sum += multiplyAddsOf(node);
  return sum;
}
