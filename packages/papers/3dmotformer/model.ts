/**
 * 3DMOTFormer (Ding et al. 2023, arXiv 2308.06635): a graph transformer between the tracks of the past and the detections
 * of one frame. Tracks attend to tracks; detections attend to detections and then to the tracks that they may belong
 * to, and along the way every such pair, an edge, gathers a feature of its own, from which its affinity is read.
 *
 * Edges are lists of neighbours: for each of N targets up to K numbers of sources, and which of them count. Softmax runs
 * over K, so that nothing is scattered. Tensor names are those of the authors' release.
 */

import { Dropout } from '@working-papers/nn/dropout';
import { fanInUniform, uniform } from '@working-papers/nn/initializers';
import { LayerNorm, Linear } from '@working-papers/nn/layers';
import { initialize, Module, type Weights } from '@working-papers/nn/module';
import { gather, type NdArray, type Parameter, type Tensor, where } from '@working-papers/tensor';

/** Sources of each target. */
export interface Neighbours {
  /** Numbers of sources [N, K], int32; any valid number where `mask` is 0. */
  readonly index: Tensor;
  /** 1 where there is an edge, 0 elsewhere: [N, K], float32. */
  readonly mask: Tensor;
}

export interface MotFormerOptions {
  /** Width of a node's input: box (7), velocity (2), classes, score. 17 for nuScenes' seven classes. */
  readonly nodeInputs?: number;
  /** d; default 128. */
  readonly width?: number;
  /** Default 8. */
  readonly heads?: number;
  /** Default 3. */
  readonly decoders?: number;
  /** Default 0.1. */
  readonly dropout?: number;
}

/** Width of an edge's input: the pair's box difference (7), the distance to the predicted place (2), the age. */
export const edgeInputs = 10;

/** Weights and biases as PyTorch's graph library draws them: U(±1/√fan-in). */
function linear(from: number, to: number): Linear {
  const bound = 1 / Math.sqrt(from);
  return new Linear(from, to, { initWeight: fanInUniform, initBias: uniform(-bound, bound) });
}

/** Attention of targets to their own neighbours, with a plain path beside it. */
export class GraphAttention extends Module {
  readonly linKey: Linear;
  readonly linQuery: Linear;
  readonly linValue: Linear;
  readonly linSkip: Linear;
  readonly #heads: number;
  readonly #drop: Dropout;

  constructor(width: number, heads: number, dropout: number) {
    super();
    if (width % heads !== 0) throw new RangeError(`width ${width} is not a multiple of ${heads} heads`);
    this.linKey = linear(width, width);
    this.linQuery = linear(width, width);
    this.linValue = linear(width, width);
    this.linSkip = linear(width, width);
    this.#heads = heads;
    this.#drop = new Dropout(dropout);
  }

  /**
   * Targets [N, d] and sources [M, d] → [N, d], and the logits [N, K, heads] with what edges add to them. A target
   * without edges gets the plain path alone.
   */
  forward(
    target: Tensor,
    source: Tensor,
    { index, mask }: Neighbours,
    edgeLogits?: Tensor,
  ): { readonly out: Tensor; readonly logits: Tensor } {
    const [n, k, heads] = [index.dim(0), index.dim(1), this.#heads];
    const size = target.size(1) / heads;
    const query = this.linQuery.forward(target).reshape([n, 1, heads, size]);
    const near = (layer: Linear) => gather(layer.forward(source), index, 0).reshape([n, k, heads, size]);
    const products = query
      .mul(near(this.linKey))
      .sum(-1)
      .mul(1 / Math.sqrt(size)); // (N, K, heads)
    const logits = edgeLogits ? products.add(edgeLogits) : products;
    const there = mask.unsqueeze(-1); // (N, K, 1)
    const shares = where(there.greater(0), logits, -1e9).softmax(1).mul(there);
    const mixed = this.#drop.forward(shares).unsqueeze(-1).mul(near(this.linValue)).sum(1); // (N, heads, size)
    const out = mixed.reshape([n, target.size(1)]).add(this.linSkip.forward(target));
    return { out, logits };
  }
}

/** x → W₂ drop(ReLU(W₁ x)), dropped again. */
function feedForward(x: Tensor, first: Linear, second: Linear, drop: Dropout): Tensor {
  return drop.forward(second.forward(drop.forward(first.forward(x).relu())));
}

/** Tracks among themselves: t [M, d] → [M, d]. */
export class Encoder extends Module {
  readonly selfAttn: GraphAttention;
  readonly lin1: Linear;
  readonly lin2: Linear;
  readonly norm1: LayerNorm;
  readonly norm2: LayerNorm;
  readonly #drop: Dropout;

  constructor(width: number, heads: number, dropout: number) {
    super();
    this.selfAttn = new GraphAttention(width, heads, dropout);
    this.lin1 = linear(width, width);
    this.lin2 = linear(width, width);
    this.norm1 = new LayerNorm(width);
    this.norm2 = new LayerNorm(width);
    this.#drop = new Dropout(dropout);
  }

  forward(tracks: Tensor, neighbours: Neighbours): Tensor {
    const normed = this.norm1.forward(tracks);
    const t = tracks.add(this.#drop.forward(this.selfAttn.forward(normed, normed, neighbours).out));
    return t.add(feedForward(this.norm2.forward(t), this.lin1, this.lin2, this.#drop));
  }
}

/** Attention of detections to tracks, edges taking part. */
class CrossAttention extends GraphAttention {
  /** Edge → what it adds to the logits of each head. */
  readonly linEdgeAttn: Linear;
  /** Logits → what they add to the edge. */
  readonly linEdge: Linear;

  constructor(width: number, heads: number, dropout: number) {
    super(width, heads, dropout);
    this.linEdgeAttn = linear(width, heads);
    this.linEdge = linear(heads, width);
  }
}

/** Detections x [N, d] and edges e [N, K, d] against the encoded tracks. */
export class Decoder extends Module {
  readonly selfAttn: GraphAttention;
  readonly crossAttn: CrossAttention;
  readonly lin1: Linear;
  readonly lin2: Linear;
  readonly linE1: Linear;
  readonly linE2: Linear;
  readonly norm1: LayerNorm;
  readonly norm2: LayerNorm;
  readonly norm3: LayerNorm;
  readonly normE1: LayerNorm;
  readonly normE2: LayerNorm;
  readonly #drop: Dropout;

  constructor(width: number, heads: number, dropout: number) {
    super();
    this.selfAttn = new GraphAttention(width, heads, dropout);
    this.crossAttn = new CrossAttention(width, heads, dropout);
    this.lin1 = linear(width, width);
    this.lin2 = linear(width, width);
    this.linE1 = linear(width, width);
    this.linE2 = linear(width, width);
    this.norm1 = new LayerNorm(width);
    this.norm2 = new LayerNorm(width);
    this.norm3 = new LayerNorm(width);
    this.normE1 = new LayerNorm(width);
    this.normE2 = new LayerNorm(width);
    this.#drop = new Dropout(dropout);
  }

  forward(
    dets: Tensor,
    edges: Tensor,
    tracks: Tensor,
    among: Neighbours,
    across: Neighbours,
  ): { readonly dets: Tensor; readonly edges: Tensor } {
    const normed = this.norm1.forward(dets);
    const x = dets.add(this.#drop.forward(this.selfAttn.forward(normed, normed, among).out));
    const edgeLogits = this.crossAttn.linEdgeAttn.forward(this.normE1.forward(edges)); // (N, K, heads)
    const looked = this.crossAttn.forward(this.norm2.forward(x), tracks, across, edgeLogits);
    const y = x.add(this.#drop.forward(looked.out));
    const z = y.add(feedForward(this.norm3.forward(y), this.lin1, this.lin2, this.#drop));
    const e = edges.add(this.crossAttn.linEdge.forward(looked.logits)); // (N, K, d)
    // no residual here, as released
    return { dets: z, edges: feedForward(this.normE2.forward(e), this.linE1, this.linE2, this.#drop) };
  }
}

/** Two layers: [..., d] → [..., out]. */
class Head extends Module {
  readonly lin1: Linear;
  readonly lin2: Linear;

  constructor(width: number, out: number) {
    super();
    this.lin1 = linear(width, width);
    this.lin2 = linear(width, out);
  }

  override stateName(property: string): string {
    return property.replace(/(\d)$/, '_$1');
  }

  forward(x: Tensor): Tensor {
    return this.lin2.forward(this.lin1.forward(x).relu());
  }
}

/** One frame. */
export interface FrameGraph {
  /** Detections as they were seen, [N, nodeInputs]. */
  readonly dets: Tensor;
  /** Features of tracks, [M, d]: what `embed` made of a first frame, or what this network said of the frame before. */
  readonly tracks: Tensor;
  /** Tracks of tracks [M, K'], detections of detections [N, K''], tracks of detections [N, K]. */
  readonly amongTracks: Neighbours;
  readonly amongDets: Neighbours;
  readonly across: Neighbours;
  /** Of the edges between detections and tracks, [N, K, 10]. */
  readonly edges: Tensor;
}

export interface FrameAnswer {
  /** Logit for each edge that detection and track are one object, [N, K]. */
  readonly affinity: Tensor;
  /** Features that matched detections go on with, [N, d]. */
  readonly dets: Tensor;
  /** Features that unmatched tracks go on with, [M, d]. */
  readonly tracks: Tensor;
  /** Metres a second on the ground, [N, 2]. */
  readonly velocity: Tensor;
}

export class MotFormer extends Module {
  readonly embedding: Linear;
  readonly embeddingEdge: Linear;
  readonly spatialEncoders: readonly Encoder[];
  readonly decoders: readonly Decoder[];
  readonly normFinal: LayerNorm;
  readonly normFinalEdge: LayerNorm;
  readonly affinity: Head;
  readonly velocity: Head;

  constructor(options: MotFormerOptions = {}) {
    super();
    const { nodeInputs = 17, width = 128, heads = 8, decoders = 3, dropout = 0.1 } = options;
    this.embedding = linear(nodeInputs, width);
    this.embeddingEdge = linear(edgeInputs, width);
    this.spatialEncoders = [new Encoder(width, heads, dropout)];
    this.decoders = Array.from({ length: decoders }, () => new Decoder(width, heads, dropout));
    this.normFinal = new LayerNorm(width);
    this.normFinalEdge = new LayerNorm(width);
    this.affinity = new Head(width, 1);
    this.velocity = new Head(width, 2);
  }

  /** Detections of a first frame as the tracks that they become: [N, nodeInputs] → [N, d]. */
  embed(dets: Tensor): Tensor {
    return this.embedding.forward(dets);
  }

  forward({ dets, tracks, amongTracks, amongDets, across, edges }: FrameGraph): FrameAnswer {
    const encoded = this.spatialEncoders.reduce((t, layer) => layer.forward(t, amongTracks), tracks); // (M, d)
    let x = this.embed(dets); // (N, d)
    let e = this.embeddingEdge.forward(edges); // (N, K, d)
    for (const layer of this.decoders)
      ({ dets: x, edges: e } = layer.forward(x, e, encoded, amongDets, across));
    return {
      affinity: this.affinity.forward(this.normFinalEdge.forward(e)).squeeze(-1), // (N, K)
      dets: x,
      tracks: encoded,
      velocity: this.velocity.forward(this.normFinal.forward(x)), // (N, 2)
    };
  }
}

export interface FirstValues {
  /** The release copies one decoder layer, so that all begin with the same weights; false draws each of its own. */
  readonly copies?: boolean;
  /**
   * Metres that count as one in the first values: those that meet metres are drawn so much smaller. Default 10. Boxes come in
   * raw metres, tens of them; with 1, as released, what they become is tens of times as large as what attention adds, and
   * training takes long to hear the latter.
   */
  readonly reach?: number;
  /**
   * Share of its drawn size with which detections' attention to tracks takes their features up. Default one over the number
   * of decoders: what a track knows then fades from frame to frame. With 1, as released, equal layers add the same three
   * times, features grow by 1.7 a frame, and after a few dozen frames they are nothing that was trained on.
   */
  readonly memory?: number;
}

/** Columns of a node's input that are metres: the place, the sizes, the velocity. */
const metres = [0, 1, 2, 3, 4, 5, 7, 8] as const;

/** First values of the weights, by seed. */
export function initializeMotFormer(
  model: MotFormer,
  seed: number,
  { copies = true, reach = 10, memory = 1 / model.decoders.length }: FirstValues = {},
): Weights {
  const values = new Map<Parameter, NdArray>(initialize(model, seed));
  const embedding = model.embedding.weight;
  const { data, shape } = values.get(embedding)!;
  const inputs = shape[1]!;
  const scaled = Float32Array.from(data as Float32Array, (value, i) =>
    (metres as readonly number[]).includes(i % inputs) ? value / reach : value,
  );
  values.set(embedding, { dtype: 'float32', shape, data: scaled });
  for (const { crossAttn } of model.decoders) {
    const { weight } = crossAttn.linValue;
    const drawn = values.get(weight)!;
    const data = Float32Array.from(drawn.data as Float32Array, (value) => memory * value);
    values.set(weight, { dtype: 'float32', shape: drawn.shape, data });
  }
  if (!copies) return values;
  const [first, ...others] = model.decoders.map((layer) => [...layer.namedWeights().values()]);
  for (const other of others)
    for (const [i, weight] of other.entries()) {
      const { data, ...rest } = values.get(first![i]!)!;
      values.set(weight, { ...rest, data: data.slice() } as NdArray);
    }
  return values;
}
