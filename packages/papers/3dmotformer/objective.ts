/** The losses of a window, and their replay in one graph. */

import { traceTraining } from '@working-papers/nn/module';
import { concat, gather, type InputSpec, type Tensor } from '@working-papers/tensor';
import type { FrameAnswer, MotFormer } from './model.ts';
import type { RolloutOptions } from './rollout.ts';

/** Binary cross-entropy of a logit, weighed by what is missing to certainty: focal loss with γ = 1 and no α. */
export function focal(logit: Tensor, target: Tensor): Tensor {
  // log(1 + e^−|z|) + max(z, 0) − z y
  const cross = logit.abs().neg().exp().add(1).log().add(logit.relu()).sub(logit.mul(target));
  const p = logit.sigmoid();
  const sure = p.mul(target).add(p.neg().add(1).mul(target.neg().add(1)));
  return cross.mul(sure.neg().add(1));
}

/** ½ x² below 1, |x| − ½ above. */
export function smoothL1(x: Tensor): Tensor {
  const size = x.abs();
  const small = size.minimum(1);
  return small.mul(small).mul(0.5).add(size.sub(small));
}

/** What one frame should have said, see `FrameRecord`. */
export interface FrameTargets {
  readonly target: Tensor;
  readonly mask: Tensor;
  readonly velocity: Tensor;
  readonly moves: Tensor;
  readonly counts: Tensor;
}

/** Σ focal/#edges and Σ smooth L1/(2 #detections) of a frame. */
function frameLosses(answer: FrameAnswer, { target, mask, velocity, moves, counts }: FrameTargets) {
  const [edges, dets] = counts.split(2, 0) as [Tensor, Tensor];
  const affinity = focal(answer.affinity, target).mul(mask).sum().div(edges.reshape([]));
  const wrong = smoothL1(answer.velocity.sub(velocity)).mul(moves.unsqueeze(-1));
  return { affinity, velocity: wrong.sum().div(dets.reshape([]).mul(2)) };
}

const lists = (rows: string, room: number) =>
  ({ index: { shape: [rows, room], dtype: 'int32' }, mask: { shape: [rows, room] } }) as const;

/** Shapes of a frame that the network is asked; `n` and `m` name the numbers of detections and tracks. */
export function graphSpec({ classes, graph }: RolloutOptions, n = 'n', m = 'm') {
  const { maxNeighbours: k = 16 } = graph;
  return {
    dets: { shape: [n, 10 + classes] },
    amongTracks: lists(m, k),
    amongDets: lists(n, k),
    across: lists(n, k),
    edges: { shape: [n, k, 10] },
  } as const satisfies Record<string, InputSpec | Record<string, InputSpec>>;
}

/** Shapes of a frame's record. */
function frameSpec(options: RolloutOptions, n: string, m: string) {
  const { maxNeighbours: k = 16 } = options.graph;
  return {
    ...graphSpec(options, n, m),
    source: { shape: [m], dtype: 'int32' },
    target: { shape: [n, k] },
    velocity: { shape: [n, 2] },
    moves: { shape: [n] },
    counts: { shape: [2] },
  } as const satisfies Record<string, InputSpec | Record<string, InputSpec>>;
}

type Lists = { readonly index: Tensor; readonly mask: Tensor };

/** A frame's record as tensors. */
export type FrameTensors = {
  readonly dets: Tensor;
  readonly amongTracks: Lists;
  readonly amongDets: Lists;
  readonly across: Lists;
  readonly edges: Tensor;
  readonly source: Tensor;
} & Omit<FrameTargets, 'mask'>;

/**
 * One frame in training: the masks of dropout depend on the seed and the frame alone, so that replaying drops what the
 * rollout dropped.
 */
export function trainFrame(
  model: MotFormer,
  frame: Pick<FrameTensors, 'dets' | 'amongTracks' | 'amongDets' | 'across' | 'edges'>,
  tracks: Tensor,
  seed: Tensor,
): FrameAnswer {
  return traceTraining(seed, () => model.forward({ ...frame, tracks })).value;
}

/** A window's record as tensors; see `WindowRecord`. */
export interface WindowTensors {
  readonly first: Tensor;
  readonly before: Tensor;
  readonly frames: readonly FrameTensors[];
}

/** Shapes of a window's record, by the number of recorded frames: each has its own numbers of detections and tracks. */
export function windowSpec(options: RolloutOptions, recorded: number) {
  const { classes, width = 128 } = options;
  return {
    first: { shape: ['first', 10 + classes] },
    before: { shape: ['before', width] },
    frames: Array.from({ length: recorded }, (_, i) => frameSpec(options, `n${i}`, `m${i}`)),
  } as const;
}

/** The window once more, in one graph: the sum over frames of both losses, and each for itself. */
export function replay(
  model: MotFormer,
  { first, before, frames }: WindowTensors,
  seed: Tensor,
): { readonly loss: Tensor; readonly [metric: string]: Tensor } {
  let features = concat([model.embed(first), before], 0); // of a first frame, tracks are its detections
  const losses = frames.map((frame, i) => {
    const tracks = gather(features, frame.source, 0); // (M, d)
    const answer = trainFrame(model, frame, tracks, seed.add(i + 1));
    features = concat([answer.dets, answer.tracks], 0); // (N + M, d)
    return frameLosses(answer, { ...frame, mask: frame.across.mask });
  });
  const sum = (key: 'affinity' | 'velocity') => losses.map((each) => each[key]).reduce((a, b) => a.add(b));
  const [affinity, velocity] = [sum('affinity'), sum('velocity')];
  return { loss: affinity.add(velocity), affinity, velocity };
}
