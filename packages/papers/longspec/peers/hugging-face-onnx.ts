/**
 * A model as transformers.js runs it: an ONNX graph with the inputs and outputs of Hugging Face's exports and the fused
 * operators that ONNX Runtime has for it (com.microsoft, docs/ContribOperators.md), as its own model builder emits. For
 * comparison with other runtimes.
 */

import type { LoadedDecoder } from '@working-papers/models/decoder/model-files';
import { ropeTables } from '@working-papers/models/decoder/rope';
import { stateDict } from '@working-papers/nn/module';
import { type NdArray, ndarray } from '@working-papers/tensor';
import { type AttributeValue, encodeModel, type OnnxNode, type OnnxValue } from '@working-papers/tensor/onnx';
import { PeerError } from './peer-error.ts';

const microsoft = 'com.microsoft';

/** The file's bytes. Throws a PeerError for models with biases, which this comparison does not need. */
export function huggingFaceOnnx({ config, model, weights }: LoadedDecoder): Uint8Array {
  if (config.qkvBias || config.outputBias)
    throw new PeerError('ONNX is written for models of Llama’s without biases only');
  const { numHeads, numKvHeads, headDim, normEpsilon: epsilon, maxPositions } = config;
  const nodes: OnnxNode[] = [];
  const initializers = new Map<string, NdArray>();
  const add = (
    type: string,
    inputs: readonly string[],
    outputs: readonly string[] | string,
    attributes: Readonly<Record<string, AttributeValue>> = {},
    domain = '',
  ): string => {
    const list = typeof outputs === 'string' ? [outputs] : outputs;
    nodes.push({ type, domain, name: list.find(Boolean)!, inputs, outputs: list, attributes });
    return list[0]!;
  };
  const keep = (name: string, array: NdArray): string => {
    initializers.set(name, array);
    return name;
  };
  const state = stateDict(model, weights);
  const weight = (name: string) => keep(name, state.get(name)!);
  /** x · Wᵀ, with W laid out for the product. */
  const linear = (x: string, name: string, to: string, source = name) =>
    add('MatMul', [x, keep(`${name}.transposed`, transposed(state.get(source)!))], to);
  const eps = { epsilon: { float: epsilon } };

  // lengths, as GroupQueryAttention wants them, from the mask
  keep('one', ndarray([1], [1], 'int64'));
  keep('axis 1', ndarray([1], [1], 'int64'));
  add('ReduceSum', ['attention_mask', 'axis 1'], 'seen', { keepdims: { int: 0 } });
  add('Sub', ['seen', 'one'], 'last');
  add('Cast', ['last'], 'seqlens_k', { to: { int: 6 } });
  add('Shape', ['attention_mask'], 'total 64', { start: { int: 1 }, end: { int: 2 } });
  add('Cast', ['total 64'], 'total 32', { to: { int: 6 } });
  keep('no axes', ndarray([], [0], 'int64'));
  add('Reshape', ['total 32', 'no axes'], 'total');
  const { cos, sin } = ropeTables(
    config.rope,
    Array.from({ length: maxPositions }, (_, i) => i),
  );
  keep('cos', cos);
  keep('sin', sin);

  const embedding = weight('model.embed_tokens.weight');
  let residual = add('Gather', [embedding, 'input_ids'], 'embedded');
  const layers = Array.from({ length: config.numLayers }, (_, i) => i);
  let normed = add(
    'SimplifiedLayerNormalization',
    [residual, weight('model.layers.0.input_layernorm.weight')],
    'normed 0',
    { ...eps, axis: { int: -1 } },
  );
  for (const layer of layers) {
    const at = `model.layers.${layer}`;
    const part = (name: string) => `${name} ${layer}`;
    const [q, k, v] = ['q', 'k', 'v'].map((name) =>
      linear(normed, `${at}.self_attn.${name}_proj.weight`, part(name)),
    ) as [string, string, string];
    const attended = add(
      'GroupQueryAttention',
      [
        q,
        k,
        v,
        `past_key_values.${layer}.key`,
        `past_key_values.${layer}.value`,
        'seqlens_k',
        'total',
        'cos',
        'sin',
      ],
      [part('attended'), `present.${layer}.key`, `present.${layer}.value`],
      {
        num_heads: { int: numHeads },
        kv_num_heads: { int: numKvHeads },
        scale: { float: 1 / Math.sqrt(headDim) },
        do_rotary: { int: 1 },
        rotary_interleaved: { int: 0 },
      },
      microsoft,
    );
    /** x + branch, and its norm, in one node. */
    const joined = (branch: string, norm: string, name: string) => {
      add(
        'SkipSimplifiedLayerNormalization',
        [residual, branch, weight(norm)],
        [part(`${name} normed`), '', '', part(name)],
        eps,
        microsoft,
      );
      residual = part(name);
      return part(`${name} normed`);
    };
    const projected = linear(attended, `${at}.self_attn.o_proj.weight`, part('projected'));
    const h = joined(projected, `${at}.post_attention_layernorm.weight`, 'between');
    const gate = linear(h, `${at}.mlp.gate_proj.weight`, part('gate'));
    const up = linear(h, `${at}.mlp.up_proj.weight`, part('up'));
    const silu = add('Mul', [gate, add('Sigmoid', [gate], part('sigmoid'))], part('silu'));
    const gated = add('Mul', [silu, up], part('gated'));
    const down = linear(gated, `${at}.mlp.down_proj.weight`, part('down'));
    const next =
      layer + 1 < config.numLayers ? `model.layers.${layer + 1}.input_layernorm.weight` : 'model.norm.weight';
    normed = joined(down, next, 'after');
  }
  linear(normed, 'lm_head.weight', 'logits', config.tied ? 'model.embed_tokens.weight' : 'lm_head.weight');

  const past = (name: string, time: string): OnnxValue => ({
    name,
    dtype: 'float32',
    shape: ['batch_size', numKvHeads, time, headDim],
  });
  const keysAndValues = (name: string, time: string) =>
    layers.flatMap((layer) => ['key', 'value'].map((kind) => past(`${name}.${layer}.${kind}`, time)));
  return encodeModel({
    name: 'decoder',
    nodes,
    initializers,
    inputs: [
      { name: 'input_ids', dtype: 'int64', shape: ['batch_size', 'sequence_length'] },
      { name: 'attention_mask', dtype: 'int64', shape: ['batch_size', 'total_sequence_length'] },
      ...keysAndValues('past_key_values', 'past_sequence_length'),
    ],
    outputs: [
      {
        name: 'logits',
        dtype: 'float32',
        shape: ['batch_size', 'sequence_length', config.vocabSize],
      },
      ...keysAndValues('present', 'total_sequence_length'),
    ],
  });
}

function transposed({ data, shape }: NdArray): NdArray {
  const [rows, columns] = shape as [number, number];
  const out = new Float32Array(rows * columns);
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++) out[c * rows + r] = Number(data[r * columns + c]);
  return ndarray(out, [columns, rows]);
}
