/**
 * The adapters of AGD (Perez Jensen and Sadat 2025, arXiv 2503.07274): what stands beside one attention module. Tensor
 * names are those of the authors' release, except in the last two variants, whose names are ours.
 */

import { normal, uniform, xavierUniform, zeros } from '@working-papers/nn/initializers';
import { Embedding, type Layer, LayerNorm, Linear, Sequential } from '@working-papers/nn/layers';
import { type Initializer, Module, Weight } from '@working-papers/nn/module';
import { concat, ndarray, type Tensor } from '@working-papers/tensor';

/** Xavier's range times √2. */
const wideXavier: Initializer = (shape, random) => {
  const values = xavierUniform(shape, random);
  for (let i = 0; i < values.data.length; i++) values.data[i] = Number(values.data[i]) * Math.SQRT2;
  return values;
};
const init = { initWeight: wideXavier, initBias: zeros } as const;
const plain = { initWeight: xavierUniform, initBias: zeros } as const;
const zero = { initWeight: zeros, initBias: zeros } as const;

const relu: Layer = { forward: (x) => x.relu() };
/** Keeps the place of a dropout layer, so that the layers behind it are numbered as in the release. */
const nothing: Layer = { forward: (x) => x };

/** v [N] → cos 2π(f v + p) [N, h], with fixed random frequencies f ~ N(0, 1) and phases p ~ U(0, 1). */
export class RandomFourierFeatures extends Module implements Layer {
  readonly frequencies: Weight;
  readonly phases: Weight;

  constructor(size: number) {
    super();
    this.frequencies = new Weight([size], normal(), { trainable: false });
    this.phases = new Weight([size], uniform(0, 1), { trainable: false });
  }

  forward(v: Tensor): Tensor {
    return v
      .unsqueeze(-1)
      .mul(this.frequencies)
      .add(this.phases)
      .mul(2 * Math.PI)
      .cos();
  }
}

/** Layers in a list named `net`, as the release has them. */
class Net extends Module implements Layer {
  readonly net: Sequential;

  constructor(...layers: readonly Layer[]) {
    super();
    this.net = new Sequential(...layers);
  }

  forward(x: Tensor): Tensor {
    return this.net.forward(x);
  }
}

/** A number for each picture as a vector: v [N] → [N, h]. */
export class ScalarEncoder extends Module implements Layer {
  readonly net: Sequential;

  /** `normed` puts a layer norm into the middle, as the offset adapters have it. */
  constructor(size: number, normed: boolean) {
    super();
    const [wide, narrow] = [new Linear(size, 4 * size, init), new Linear(4 * size, size, init)];
    this.net = new Sequential(
      new RandomFourierFeatures(size),
      normed ? new Net(wide, relu, nothing, new LayerNorm(4 * size), narrow) : new Net(wide, relu, narrow),
      new LayerNorm(size),
    );
  }

  forward(v: Tensor): Tensor {
    return this.net.forward(v);
  }
}

/** What adapters are told: [N], [N, d] and [N, d]. */
export interface Conditions {
  /** ω: 1 is no guidance. */
  readonly scale: Tensor;
  /** The frozen network's own embedding of the time. */
  readonly time: Tensor;
  /** And of the label. */
  readonly label: Tensor;
}

export interface AdapterOptions {
  /** h, the width inside an adapter; default 16. The release has 256 for DiT and 320 for Stable Diffusion. */
  readonly hiddenSize?: number;
  /** Tell adapters the time; default true. */
  readonly useTimestep?: boolean;
  /** Tell adapters the class; default true. */
  readonly useClass?: boolean;
  /**
   * m: ω is encoded as E(m ω). Default 1. The release has 1000 for DiT, which leaves nothing of the order of scales:
   * the codes of ω and ω + δ correlate as exp(−2π² (m δ)²).
   */
  readonly scaleFactor?: number;
  /**
   * Multiply what an adapter adds by ω − 1; default false, as in the paper. Guidance is c + (ω − 1)(c − u): what depends
   * on ω so need not be learned, and at ω = 1 the network is the frozen one whatever the weights.
   */
  readonly linear?: boolean;
}

/** The parts that all adapters have: ω, time and class as vectors of width h. */
abstract class Conditioned extends Module {
  readonly guidanceScaleEmbedder: ScalarEncoder;
  readonly timestepProj?: Linear;
  readonly classProj?: Linear;
  readonly #factor: number;

  constructor(width: number, size: number, normed: boolean, options: AdapterOptions) {
    super();
    const { useTimestep = true, useClass = true, scaleFactor = 1 } = options;
    this.#factor = scaleFactor;
    this.guidanceScaleEmbedder = new ScalarEncoder(size, normed);
    if (useTimestep) this.timestepProj = new Linear(width, size, plain);
    if (useClass) this.classProj = new Linear(width, size, plain);
  }

  /** E(m ω), T(t) and C(y), those that the adapter is told: each [N, h]. */
  protected parts({ scale, time, label }: Conditions): Tensor[] {
    const parts = [this.guidanceScaleEmbedder.forward(scale.mul(this.#factor))];
    if (this.timestepProj) parts.push(this.timestepProj.forward(time));
    if (this.classProj) parts.push(this.classProj.forward(label));
    return parts;
  }

  /** Their sum [N, h]. */
  protected sum(conditions: Conditions): Tensor {
    return this.parts(conditions).reduce((a, b) => a.add(b));
  }
}

/**
 * What stands beside one attention module. The part that depends on (ω, t, y) alone is apart from the rest: a sampler
 * may compute it once for all pictures that share them.
 */
export interface Adapter extends Module {
  /** Of what is prepared for one picture. */
  readonly preparedShape: readonly number[];
  /** Conditions → [N, ...preparedShape]. */
  prepare(conditions: Conditions): Tensor;
  /** What is prepared and the attention's input h [N, T, d] → what is added to its output, [N, T or 1, d]. */
  apply(prepared: Tensor, input: Tensor): Tensor;
}

/** ReLU, norm and a last layer of zeros, so that an untrained adapter adds nothing: [..., from] → [..., d]. */
const outward = (from: number, size: number, width: number) =>
  new Net(new Linear(from, size, init), relu, nothing, new LayerNorm(size), new Linear(size, width, zero));

/** (a) One vector for all tokens: A = W₂ LN(ReLU(W₁ c)), c = E(m ω) + T(t) + C(y). Does not see the picture. */
export class OffsetAdapter extends Conditioned implements Adapter {
  readonly outProj: Net;
  readonly preparedShape: readonly number[];

  constructor(width: number, options: AdapterOptions = {}) {
    const { hiddenSize: size = 16 } = options;
    super(width, size, true, options);
    this.outProj = outward(size, size, width);
    this.preparedShape = [1, width];
  }

  prepare(conditions: Conditions): Tensor {
    return this.outProj.forward(this.sum(conditions)).unsqueeze(1);
  }

  apply(prepared: Tensor): Tensor {
    return prepared;
  }
}

/** Sines in the first half of the channels, cosines in the second, of position · 10000^(−j/(h/2)): [count, h]. */
const sinusoids: Initializer = (shape) => {
  const [count, size] = shape as [number, number];
  const half = size / 2;
  const values = Float32Array.from({ length: count * size }, (_, at) => {
    const [position, channel] = [Math.floor(at / size), at % size];
    const angle = position * 10000 ** (-(channel % half) / half);
    return channel < half ? Math.sin(angle) : Math.cos(angle);
  });
  return ndarray(values, shape);
};

class Positions extends Module {
  readonly pe: Weight;

  constructor(count: number, size: number) {
    super();
    this.pe = new Weight([count, size], sinusoids, { trainable: false });
  }
}

/** (b) Every token looks at the conditions, each a token of its own: W_o softmax(Q Kᵀ/√h) V. */
export class CrossAttentionAdapter extends Conditioned implements Adapter {
  readonly qProj: Linear;
  readonly kProj: Linear;
  readonly vProj: Linear;
  readonly outProj: Linear;
  readonly posEnc: Positions;
  readonly preparedShape: readonly number[];
  readonly #size: number;

  constructor(width: number, options: AdapterOptions = {}) {
    const { hiddenSize: size = 16, useTimestep = true, useClass = true } = options;
    if (size % 2 !== 0) throw new RangeError(`the width ${size} of cross-attention adapters is not even`);
    super(width, size, false, options);
    this.#size = size;
    this.preparedShape = [1 + Number(useTimestep) + Number(useClass), 2 * size];
    const unbiased = { bias: false, initWeight: xavierUniform } as const;
    this.qProj = new Linear(width, size, unbiased);
    this.kProj = new Linear(size, size, unbiased);
    this.vProj = new Linear(size, size, unbiased);
    this.outProj = new Linear(size, width, zero);
    this.posEnc = new Positions(250, size);
  }

  /** K and V of the conditions: [N, S, 2h]. */
  prepare(conditions: Conditions): Tensor {
    const parts = this.parts(conditions).map((part) => part.unsqueeze(1));
    const tokens = concat(parts, 1).add(this.posEnc.pe.slice(0, 0, parts.length)); // (N, S, h)
    return concat([this.kProj.forward(tokens), this.vProj.forward(tokens)], -1);
  }

  apply(prepared: Tensor, input: Tensor): Tensor {
    const [keys, values] = prepared.split(2, -1) as [Tensor, Tensor]; // (N, S, h)
    const scores = this.qProj.forward(input).matmul(keys.transpose([0, 2, 1])); // (N, T, S)
    const looked = scores
      .mul(1 / Math.sqrt(this.#size))
      .softmax(-1)
      .matmul(values); // (N, T, h)
    return this.outProj.forward(looked);
  }
}

/** (c) As (a), with a learned vector for each token's place in c: sees where a token is, not what. */
export class PositionAdapter extends Conditioned implements Adapter {
  readonly position: Embedding;
  readonly outProj: Net;
  readonly preparedShape: readonly number[];

  constructor(width: number, tokens: number, options: AdapterOptions = {}) {
    const { hiddenSize: size = 16 } = options;
    super(width, size, true, options);
    this.position = new Embedding(tokens, size, { initWeight: normal(0.02) });
    this.outProj = outward(size, size, width);
    this.preparedShape = [tokens, width];
  }

  prepare(conditions: Conditions): Tensor {
    return this.outProj.forward(this.sum(conditions).unsqueeze(1).add(this.position.weight));
  }

  apply(prepared: Tensor): Tensor {
    return prepared;
  }
}

/**
 * (c) A gated MLP of token and conditions, z = [W h, c]: σ(W_g z) ⊙ W₂ LN(ReLU(W₁ z)). The last layer starts at zero;
 * the release zeroes the gate's, which leaves it half open.
 */
export class GatedAdapter extends Conditioned implements Adapter {
  readonly inProj: Linear;
  readonly gateProj: Linear;
  readonly outProj: Net;
  readonly preparedShape: readonly number[];

  constructor(width: number, options: AdapterOptions = {}) {
    const { hiddenSize: size = 16 } = options;
    super(width, size, true, options);
    this.inProj = new Linear(width, size, plain);
    this.gateProj = new Linear(2 * size, width, plain);
    this.outProj = outward(2 * size, size, width);
    this.preparedShape = [1, size];
  }

  prepare(conditions: Conditions): Tensor {
    return this.sum(conditions).unsqueeze(1);
  }

  apply(prepared: Tensor, input: Tensor): Tensor {
    const seen = this.inProj.forward(input); // (N, T, h)
    const z = concat([seen, prepared.add(seen.mul(0))], -1); // (N, T, 2h)
    return this.gateProj.forward(z).sigmoid().mul(this.outProj.forward(z));
  }
}
