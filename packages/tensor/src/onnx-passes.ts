/** Passes over the nodes of a graph that leave out what costs time. */

import type { OnnxNode } from './onnx.ts';

/** Lets the node that makes a value write it under the output's name, where no other output has it. */
export function withoutIdentities(nodes: readonly OnnxNode[], outputs: ReadonlySet<string>): OnnxNode[] {
  const makers = new Set(nodes.flatMap((node) => node.outputs));
  const renamed = new Map<string, string>();
  for (const node of nodes) {
    const [from, to] = [node.inputs[0]!, node.outputs[0]!];
    if (node.type === 'Identity' && outputs.has(to) && makers.has(from) && !outputs.has(from)) {
      if (!renamed.has(from)) renamed.set(from, to);
    }
  }
  const rename = (name: string) => renamed.get(name) ?? name;
  return nodes
    .filter((node) => !(node.type === 'Identity' && renamed.get(node.inputs[0]!) === node.outputs[0]))
    .map((node) => ({ ...node, inputs: node.inputs.map(rename), outputs: node.outputs.map(rename) }));
}

/** Whose further outputs cost time and may be left out. */
const optionalOutputs: ReadonlySet<string> = new Set(['MaxPool']);

/** Nodes that are read, asking only for what is read: MaxPool without its indices takes half the time. */
export function withoutUnused(nodes: readonly OnnxNode[], outputs: readonly string[]): OnnxNode[] {
  const used = new Set(outputs);
  const kept: OnnxNode[] = [];
  for (const node of nodes.toReversed()) {
    if (!node.outputs.some((name) => used.has(name))) continue;
    for (const input of node.inputs) used.add(input);
    const asked = (name: string, i: number) => i === 0 || used.has(name) || !optionalOutputs.has(node.type);
    kept.push({ ...node, outputs: node.outputs.filter(asked) });
  }
  return kept.reverse();
}

/** A convolution of the blocked layout's `domain` adds a further input by itself, if that is one of the `whole` values of this layout. */
export function withSums(nodes: readonly OnnxNode[], domain: string, whole: ReadonlySet<string>): OnnxNode[] {
  const uses = new Map<string, number>();
  for (const { inputs } of nodes) for (const name of inputs) uses.set(name, (uses.get(name) ?? 0) + 1);
  const convolutions = new Map<string, OnnxNode>();
  const sums = new Map<OnnxNode, OnnxNode>();
  for (const node of nodes) {
    if (node.type === 'Conv' && node.domain === domain) convolutions.set(node.outputs[0]!, node);
    if (node.type !== 'Add') continue;
    const [name, other] = [node.inputs, node.inputs.toReversed()].find(
      ([each, rest]) => convolutions.has(each!) && uses.get(each!) === 1 && whole.has(rest!),
    ) ?? ['', ''];
    const convolution = convolutions.get(name!);
    if (!convolution) continue;
    convolutions.delete(name!);
    const [x, weight, bias = ''] = convolution.inputs;
    // where the sum stood, since its other term may be made later than the convolution
    const made = { ...convolution, inputs: [x!, weight!, bias, other!], outputs: node.outputs };
    sums.set(node, made);
    sums.set(convolution, made);
  }
  return nodes.flatMap((node) =>
    node.type === 'Add' ? (sums.get(node) ?? node) : sums.has(node) ? [] : node,
  );
}
