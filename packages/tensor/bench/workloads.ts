/**
 * The four models of the bench, written with operators alone, so that the engine is measured and nothing else.
 * `peers/` holds the same models for other libraries: same shapes, same optimiser, same precision.
 */

import {
  batchNorm,
  batchNormTraining,
  byRows,
  gather,
  type NdArray,
  ndarray,
  oneHot,
  Parameter,
  scaledDotProductAttention,
  type Tensor,
} from '../src/index.ts';

export interface Workload {
  readonly title: string;
  readonly optimizer: 'adamw' | 'sgd';
  /** Arrays of one batch. */
  readonly inputs: readonly NdArray[];
  /** Outputs of the network in inference or training; parameters are made on the way. */
  build(net: Net, inputs: readonly Tensor[], training: boolean): { output: Tensor; loss: Tensor };
}

/** Hands out parameters in order of use, so that the training and the inference graph share them. */
export class Net {
  readonly parameters: Parameter[] = [];
  readonly values = new Map<Parameter, NdArray>();
  #next = 0;

  rewind(): void {
    this.#next = 0;
  }

  parameter(shape: readonly number[], scale: number, mean = 0): Parameter {
    const known = this.parameters[this.#next++];
    if (known) return known;
    const parameter = new Parameter(shape);
    this.parameters.push(parameter);
    const size = shape.reduce((a, b) => a * b, 1);
    const values = Float32Array.from({ length: size }, (_, i) => mean + scale * Math.sin(i * 12.9898 + size));
    this.values.set(parameter, ndarray(values, shape));
    return parameter;
  }

  linear(x: Tensor, out: number, bias = true): Tensor {
    const weight = this.parameter([out, x.size(-1)], 1 / Math.sqrt(x.size(-1)));
    return x.linear(weight, bias ? this.parameter([out], 0) : undefined);
  }

  layerNorm(x: Tensor): Tensor {
    return x.layerNorm(this.parameter([x.size(-1)], 0, 1), this.parameter([x.size(-1)], 0));
  }
}

function integers(count: number, below: number): number[] {
  return Array.from({ length: count }, (_, i) => (i * 7919 + 13) % below);
}

function crossEntropy(logits: Tensor, labels: Tensor): Tensor {
  return logits
    .logSoftmax()
    .mul(oneHot(labels, logits.size(-1)))
    .sum()
    .mul(-1 / labels.size(0));
}

/** Multi-head attention of x [B, T, D], queries, keys and values from one product. */
function attention(net: Net, x: Tensor, heads: number, causal: boolean): Tensor {
  const [batch, time, width] = x.shape as [number, number, number];
  const size = width / heads;
  const [q, k, v] = net
    .linear(x, 3 * width)
    .reshape([batch, time, 3, heads, size])
    .transpose([2, 0, 3, 1, 4]) // (3, B, H, T, size)
    .split(3, 0)
    .map((part) => part.squeeze(0)) as [Tensor, Tensor, Tensor];
  const mixed = scaledDotProductAttention(q, k, v, { causal }); // (B, H, T, size)
  return net.linear(mixed.transpose([0, 2, 1, 3]).reshape(x.shape), width);
}

function mlp(net: Net, x: Tensor): Tensor {
  const [width, hidden] = [x.size(-1), 4 * x.size(-1)];
  const [first, bias] = [net.parameter([hidden, width], 1 / Math.sqrt(width)), net.parameter([hidden], 0)];
  const [second, last] = [net.parameter([width, hidden], 1 / Math.sqrt(hidden)), net.parameter([width], 0)];
  return byRows(x, hidden, (rows) => rows.linear(first, bias).gelu('tanh').linear(second, last));
}

const gpt: Workload = {
  title: 'GPT, 6 layers, width 384, 8 x 256 tokens, AdamW',
  optimizer: 'adamw',
  inputs: [ndarray(integers(2048, 2048), [8, 256], 'int64'), ndarray(integers(2048, 2039), [2048], 'int64')],
  build(net, [tokens, targets]) {
    const positions = net.parameter([256, 384], 0.02);
    let x = gather(net.parameter([2048, 384], 0.02), tokens!, 0).add(positions);
    for (let layer = 0; layer < 6; layer++) {
      x = x.add(attention(net, net.layerNorm(x), 6, true));
      x = x.add(mlp(net, net.layerNorm(x)));
    }
    const output = net.linear(net.layerNorm(x), 2048, false);
    return { output, loss: crossEntropy(output.reshape([2048, 2048]), targets!) };
  },
};

/** Peebles and Xie 2023 (arXiv 2212.09748): adaptive layer norm from a condition, zero-initialised gates. */
const dit: Workload = {
  title: 'DiT, 8 blocks, width 256, 64 x 64 tokens, AdamW',
  optimizer: 'adamw',
  inputs: [
    ndarray(
      Float32Array.from({ length: 64 * 64 * 12 }, (_, i) => Math.sin(i)),
      [64, 64, 12],
    ),
    ndarray(
      Float32Array.from({ length: 64 * 256 }, (_, i) => Math.cos(i)),
      [64, 256],
    ),
    ndarray(
      Float32Array.from({ length: 64 * 64 * 12 }, (_, i) => Math.sin(i * 0.7)),
      [64, 64, 12],
    ),
  ],
  build(net, [patches, condition, target]) {
    const modulate = (x: Tensor, shift: Tensor, scale: Tensor) => x.layerNorm().mul(scale.add(1)).add(shift);
    const gate = condition!.silu();
    let x = net.linear(patches!, 256).add(net.parameter([64, 256], 0.02));
    for (let block = 0; block < 8; block++) {
      const [shift1, scale1, gate1, shift2, scale2, gate2] = net
        .linear(gate, 6 * 256)
        .unsqueeze(1)
        .split(6, 2) as [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor];
      x = x.add(attention(net, modulate(x, shift1, scale1), 4, false).mul(gate1));
      x = x.add(mlp(net, modulate(x, shift2, scale2)).mul(gate2));
    }
    const [shift, scale] = net
      .linear(gate, 2 * 256)
      .unsqueeze(1)
      .split(2, 2) as [Tensor, Tensor];
    const output = net.linear(modulate(x, shift, scale), 12);
    const error = output.sub(target!);
    return { output, loss: error.mul(error).mean() };
  },
};

const resnet: Workload = {
  title: 'ResNet-20, 128 pictures of 32 x 32, SGD',
  optimizer: 'sgd',
  inputs: [
    ndarray(
      Float32Array.from({ length: 128 * 3 * 1024 }, (_, i) => Math.sin(i * 0.37)),
      [128, 3, 32, 32],
    ),
    ndarray(integers(128, 10), [128], 'int64'),
  ],
  build(net, [pictures, labels], training) {
    const unit = (x: Tensor, out: number, stride: number): Tensor => {
      const kernel = net.parameter([out, x.size(1), 3, 3], Math.sqrt(2 / (9 * out)));
      const y = x.conv(kernel, undefined, { padding: 1, stride });
      const [scale, shift] = [net.parameter([out], 0, 1), net.parameter([out], 0)];
      const [mean, variance] = [net.parameter([out], 0), net.parameter([out], 0, 1)];
      return training
        ? batchNormTraining(y, scale, shift).output
        : batchNorm(y, scale, shift, mean, variance);
    };
    let x = unit(pictures!, 16, 1).relu();
    for (const [stage, width] of [16, 32, 64].entries()) {
      for (let block = 0; block < 3; block++) {
        const stride = stage > 0 && block === 0 ? 2 : 1;
        const inner = unit(unit(x, width, stride).relu(), width, 1);
        const shortcut =
          stride === 1
            ? x
            : x
                .slice(2, 0, undefined, 2)
                .slice(3, 0, undefined, 2)
                .pad([[1, width / 4, width / 4]]);
        x = inner.add(shortcut).relu();
      }
    }
    const output = net.linear(x.mean([2, 3]), 10);
    return { output, loss: crossEntropy(output, labels!) };
  },
};

const perceptron: Workload = {
  title: 'MLP 784-512-512-10, 256 rows, SGD',
  optimizer: 'sgd',
  inputs: [
    ndarray(
      Float32Array.from({ length: 256 * 784 }, (_, i) => Math.sin(i * 0.11)),
      [256, 784],
    ),
    ndarray(integers(256, 10), [256], 'int64'),
  ],
  build(net, [rows, labels]) {
    const hidden = net.linear(net.linear(rows!, 512).relu(), 512).relu();
    const output = net.linear(hidden, 10);
    return { output, loss: crossEntropy(output, labels!) };
  },
};

export const workloads: { readonly [name: string]: Workload } = { gpt, dit, resnet, mlp: perceptron };
