/**
 * T2T-ViT (Yuan et al. 2021, arXiv 2101.11986): a vision transformer whose tokens are gathered in three steps of
 * unfolding, with a performer after the first two. Names and shapes are those of the published checkpoints.
 */

import { Dropout } from '@working-papers/nn/dropout';
import { truncatedNormal, zeros } from '@working-papers/nn/initializers';
import { type Layer, LayerNorm, Linear, Sequential } from '@working-papers/nn/layers';
import { type Initializer, Module, Weight } from '@working-papers/nn/module';
import { TransformerBlock } from '@working-papers/nn/transformer';
import { concat, ndarray, stack, type Tensor } from '@working-papers/tensor';

const init = { initWeight: truncatedNormal(0.02), initBias: zeros } as const;

/**
 * Every k × k patch of x [N, C, H, W] as a token [N, H' W', C k²]: PyTorch's Unfold, transposed. Within a token the
 * channel counts slowest, then the row, then the column.
 */
export function unfold(x: Tensor, kernel: number, stride: number, padding: number): Tensor {
  const padded = x.pad([
    [2, padding, padding],
    [3, padding, padding],
  ]);
  const positions = (axis: number) => Math.floor((padded.size(axis) - kernel) / stride) + 1;
  const [height, width] = [positions(2), positions(3)];
  const tap = (image: Tensor, axis: number, start: number, count: number) =>
    image.slice(axis, start, start + (count - 1) * stride + 1, stride);
  const taps: Tensor[] = [];
  for (let i = 0; i < kernel; i++)
    for (let j = 0; j < kernel; j++) taps.push(tap(tap(padded, 2, i, height), 3, j, width));
  return stack(taps, 2) // (N, C, k², H', W')
    .reshape([x.dim(0), x.size(1) * kernel ** 2, height * width])
    .transpose([0, 2, 1]); // (N, H' W', C k²)
}

/** Tokens [N, T, C] of a square grid as an image [N, C, √T, √T]. */
function fold(tokens: Tensor): Tensor {
  const side = Math.sqrt(tokens.size(1));
  return tokens.transpose([0, 2, 1]).reshape([tokens.dim(0), tokens.size(2), side, side]);
}

/** Orthonormal rows (no more than columns) times `gain`: Gram–Schmidt on normal draws. */
function orthogonalRows(gain: number): Initializer {
  return ([rows, columns], random) => {
    const basis: Float64Array[] = [];
    while (basis.length < rows!) {
      const row = Float64Array.from(random.normals(columns!, 0, 1));
      for (const earlier of basis) {
        const along = row.reduce((sum, value, i) => sum + value * earlier[i]!, 0);
        row.forEach((value, i) => {
          row[i] = value - along * earlier[i]!;
        });
      }
      const norm = Math.hypot(...row);
      basis.push(row.map((value) => value / norm));
    }
    return ndarray(
      basis.flatMap((row) => [...row].map((value) => value * gain)),
      [rows!, columns!],
    );
  };
}

/**
 * Attention of one head in time linear in the tokens (Choromanski et al. 2020, arXiv 2009.14794) and an MLP:
 * x [N, T, C] → [N, T, E].
 */
export class TokenPerformer extends Module implements Layer {
  readonly kqv: Linear;
  readonly proj: Linear;
  readonly norm1: LayerNorm;
  readonly norm2: LayerNorm;
  readonly mlp: Sequential;
  /** Random directions that stay as they are: [m, E], m = E / 2. */
  readonly w: Weight;
  readonly #drop = new Dropout(0.1);

  constructor(dim: number, size: number) {
    super();
    const features = Math.floor(size / 2);
    this.kqv = new Linear(dim, 3 * size, init);
    this.proj = new Linear(size, size, init);
    this.norm1 = new LayerNorm(dim);
    this.norm2 = new LayerNorm(size);
    this.mlp = new Sequential(
      new Linear(size, size, init),
      { forward: (x) => x.gelu() },
      new Linear(size, size, init),
      new Dropout(0.1),
    );
    this.w = new Weight([features, size], orthogonalRows(Math.sqrt(features)), { trainable: false });
  }

  /** φ(x) = exp(W x − |x|²/2) / √m, whose products have the softmax kernel as their mean. */
  #features(x: Tensor): Tensor {
    const half = x.mul(x).sum(-1, { keepDims: true }).mul(0.5);
    return x
      .matmul(this.w.transpose())
      .sub(half)
      .exp()
      .mul(1 / Math.sqrt(this.w.size(0))); // (N, T, m)
  }

  #attend(x: Tensor): Tensor {
    const [k, q, v] = this.kqv.forward(x).split(3, -1) as [Tensor, Tensor, Tensor]; // (N, T, E)
    const [kp, qp] = [this.#features(k), this.#features(q)];
    const sums = kp.transpose().matmul(v); // Σ φ(k) vᵀ: (N, m, E)
    const weight = qp.mul(kp.sum(1, { keepDims: true })).sum(-1, { keepDims: true }); // (N, T, 1)
    const y = qp.matmul(sums).div(weight.add(1e-8)); // (N, T, E)
    return v.add(this.#drop.forward(this.proj.forward(y)));
  }

  forward(x: Tensor): Tensor {
    const y = this.#attend(this.norm1.forward(x));
    return y.add(this.mlp.forward(this.norm2.forward(y)));
  }
}

const tokenSize = 64;

/** x [N, 3, S, S] → tokens [N, (S/16)², E]. */
export class TokensToToken extends Module implements Layer {
  readonly attention1: TokenPerformer;
  readonly attention2: TokenPerformer;
  readonly project: Linear;

  constructor(embedDim: number, channels = 3) {
    super();
    this.attention1 = new TokenPerformer(channels * 7 * 7, tokenSize);
    this.attention2 = new TokenPerformer(tokenSize * 3 * 3, tokenSize);
    this.project = new Linear(tokenSize * 3 * 3, embedDim, init);
  }

  forward(x: Tensor): Tensor {
    const first = this.attention1.forward(unfold(x, 7, 4, 2)); // (N, (S/4)², 64)
    const second = this.attention2.forward(unfold(fold(first), 3, 2, 1)); // (N, (S/8)², 64)
    return this.project.forward(unfold(fold(second), 3, 2, 1)); // (N, (S/16)², E)
  }
}

/** Sines in even places, cosines in odd ones: sin(p / 10000^(2⌊j/2⌋/E)), [1, positions, E]. */
const sinusoids: Initializer = (shape) => {
  const [, positions, size] = shape as [number, number, number];
  const values = new Float32Array(positions * size);
  for (let p = 0; p < positions; p++) {
    for (let j = 0; j < size; j++) {
      const angle = p / 10000 ** ((2 * Math.floor(j / 2)) / size);
      values[p * size + j] = j % 2 === 0 ? Math.sin(angle) : Math.cos(angle);
    }
  }
  return ndarray(values, shape);
};

/** A T2T-ViT's size. */
export interface T2tVitOptions {
  readonly embedDim: number;
  readonly depth: number;
  readonly numHeads: number;
  readonly mlpRatio: number;
  readonly classes?: number;
  /** Height and width of the picture, a multiple of 16; default 224. */
  readonly imageSize?: number;
  /** Of the last block; the first has none, the others lie between. Default 0.1. */
  readonly dropPath?: number;
}

/** The two published sizes that JEI-DNN stands on. */
export const t2tVit7 = { embedDim: 256, depth: 7, numHeads: 4, mlpRatio: 2 } as const;
/** The size of T2T-ViT-14. */
export const t2tVit14 = { embedDim: 384, depth: 14, numHeads: 6, mlpRatio: 3 } as const;

/** x [N, 3, S, S] → logits [N, classes]. Can be left between its blocks: see JEI-DNN. */
export class T2tVit extends Module implements Layer {
  readonly tokensToToken: TokensToToken;
  readonly clsToken: Weight;
  /** Sinusoids, not trained; [1, 1 + (S/16)², E]. */
  readonly posEmbed: Weight;
  readonly blocks: readonly TransformerBlock[];
  readonly norm: LayerNorm;
  readonly head: Linear;

  constructor(options: T2tVitOptions) {
    super();
    const { embedDim, depth, numHeads, mlpRatio, classes = 1000, imageSize = 224, dropPath = 0.1 } = options;
    if (imageSize % 16 !== 0) throw new RangeError(`image size ${imageSize} is not a multiple of 16`);
    this.tokensToToken = new TokensToToken(embedDim);
    this.clsToken = new Weight([1, 1, embedDim], truncatedNormal(0.02));
    this.posEmbed = new Weight([1, 1 + (imageSize / 16) ** 2, embedDim], sinusoids, { trainable: false });
    this.blocks = Array.from(
      { length: depth },
      (_, i) =>
        new TransformerBlock(embedDim, {
          ...init,
          numHeads,
          mlpRatio,
          qkvBias: false,
          dropPath: depth > 1 ? (dropPath * i) / (depth - 1) : 0,
        }),
    );
    this.norm = new LayerNorm(embedDim);
    this.head = new Linear(embedDim, classes, init);
  }

  get classes(): number {
    return this.head.weight.size(0);
  }

  get featureWidths(): readonly number[] {
    return this.blocks.map(() => this.norm.weight!.size(0));
  }

  /** Tokens with the class token in front and positions added: [N, 1 + T, E]. */
  embed(x: Tensor): Tensor {
    const tokens = this.tokensToToken.forward(x);
    const cls = this.clsToken.expand([x.dim(0), 1, tokens.size(2)]);
    return concat([cls, tokens], 1).add(this.posEmbed);
  }

  /** The class token behind the last normalisation, which all exits share: [N, 1 + T, E] → [N, E]. */
  features(h: Tensor): Tensor {
    return this.norm.forward(h).select(1, 0);
  }

  forward(x: Tensor): Tensor {
    const h = this.blocks.reduce((y, block) => block.forward(y), this.embed(x));
    return this.head.forward(this.features(h));
  }
}
