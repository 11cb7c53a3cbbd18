/** Training of a draft on plain text, its target frozen (arXiv 2502.17421, section 3.2 and appendix). Node only. */

import type { Decoder } from '@working-papers/models/decoder/decoder';
import { ropeTables } from '@working-papers/models/decoder/rope';
import { DataLoader } from '@working-papers/nn/data';
import { type FitOptions, fit } from '@working-papers/nn/fit';
import { crossEntropy, klDivergence } from '@working-papers/nn/losses';
import { traceInference, type Weights } from '@working-papers/nn/module';
import { adamW, decayMatrices } from '@working-papers/nn/optimizers';
import type { Random } from '@working-papers/nn/random';
import { cosine, type Schedule, warmup } from '@working-papers/nn/schedules';
import { type Batch, type Losses, Trainer } from '@working-papers/nn/trainer';
import { type Device, type NdArray, ndarray, type Tensor, type WeightValues } from '@working-papers/tensor';
import { windows } from './corpus.ts';
import { DraftModel, partsOf, type TargetKeys, type TargetParts } from './model.ts';
import { type AnchorOffsetOptions, anchorOffsetPositions, plainPositions } from './positions.ts';

/** What a batch of N sequences of L tokens is made of. */
export interface SequenceTensors {
  /** [N, L + 1], int32: each token but the last is to guess the next. */
  readonly tokens: Tensor;
  /** [L, dh/2]. */
  readonly cos: Tensor;
  readonly sin: Tensor;
  /** int64 scalar: j. */
  readonly lag: Tensor;
}

/**
 * What a draft is to say at each position: the text's next token, as in the paper, or the target's own distribution
 * (Hinton et al. 2015, arXiv 1503.02531), which is what its guesses are held against.
 */
export type DraftLabels = 'text' | 'target';

/**
 * For each token, [N, L]: −log q(next token) of the draft, or with labels of the target KL(p ‖ q). The target's keys are
 * those of the same positions.
 */
export function draftLosses(
  target: Decoder,
  draft: DraftModel,
  batch: SequenceTensors,
  labels: DraftLabels,
): Tensor {
  const { cos, sin } = batch;
  const inputs = inputsOf(batch);
  const seen = (keysValues: TargetKeys) => ({
    ...partsOf(target),
    keys: keysValues.keys.stopGradient(),
    values: keysValues.values.stopGradient(),
  });
  if (labels === 'text') {
    const keysValues = traceInference(() => target.lastKeysValues(inputs, { cos, sin }));
    return lossesOnKeys(draft, seen(keysValues), batch);
  }
  const { logits, ...keysValues } = traceInference(() =>
    target.logitsAndLastKeysValues(inputs, { cos, sin }),
  );
  const guessed = draft.forward(inputs, batch, seen(keysValues), batch.lag);
  const said = logits.stopGradient().logSoftmax(-1);
  return klDivergence(guessed.logSoftmax(-1), said, { reduction: 'none' });
}

/** `draftLosses` with the target's keys and values at hand. */
export function lossesOnKeys(
  draft: DraftModel,
  seen: TargetParts & TargetKeys,
  batch: SequenceTensors,
): Tensor {
  const logits = draft.forward(inputsOf(batch), batch, seen, batch.lag); // (N, L, V)
  return crossEntropy(logits, batch.tokens.slice(1, 1), { reduction: 'none' });
}

/** All tokens but the last, after which nothing is known. */
function inputsOf({ tokens }: SequenceTensors): Tensor {
  return tokens.slice(1, 0, tokens.size(1) - 1);
}

/** The batch of `draftLosses` for a draft of this target, as arrays. */
export function sequenceBatch(
  target: Decoder,
  sequences: readonly Int32Array[],
  positions: readonly number[],
  lag: number,
): Batch {
  const width = positions.length + 1;
  const tokens = new Int32Array(sequences.length * width);
  sequences.forEach((sequence, i) => {
    tokens.set(sequence.subarray(0, width), i * width);
  });
  const { cos, sin } = ropeTables(target.config.rope, positions);
  return {
    tokens: ndarray(tokens, [sequences.length, width], 'int32'),
    cos,
    sin,
    lag: ndarray([lag], [], 'int64'),
  };
}

export interface DraftStage {
  /** L. */
  readonly length: number;
  readonly batchSize: number;
  readonly steps: number;
  readonly peakRate: number;
  /** Anchor-offset positions (stage 1), or those of the text. */
  readonly positions: 'anchor-offset' | 'plain';
  readonly anchors?: AnchorOffsetOptions['anchors'];
  /** j is one of these; default 1 to 4, flash noisy training. */
  readonly lags?: readonly number[];
  /** Default `target`. */
  readonly labels?: DraftLabels;
  /** Batches of one update; default 1. */
  readonly accumulate?: number;
}

export interface DraftTrainingOptions
  extends Pick<
    FitOptions,
    'folder' | 'resume' | 'signal' | 'onStep' | 'checkpointMinutes' | 'evaluate' | 'onEvaluate'
  > {
  readonly device: Device;
  readonly target: Decoder;
  readonly targetWeights: WeightValues;
  /** Tokens of each document. */
  readonly documents: readonly Int32Array[];
  /** The token that begins a text. */
  readonly begin: number;
  readonly stage: DraftStage;
  readonly seed: number;
  /** A draft to go on with; default a fresh one. */
  readonly start?: { readonly draft: DraftModel; readonly weights: Weights };
}

/** The paper's: 10 % of the steps of linear rise, then half a cosine to 0. */
export function draftSchedule(stage: Pick<DraftStage, 'peakRate' | 'steps'>): Schedule {
  const rise = Math.ceil(stage.steps / 10);
  return warmup(rise, cosine({ peak: stage.peakRate, steps: Math.max(1, stage.steps - rise) }));
}

/** AdamW with the paper's numbers; biases and norms do not decay. */
export function draftOptimizer() {
  return adamW({ betas: [0.9, 0.95], epsilon: 1e-6, groups: decayMatrices(0.1) });
}

/** One example: a window of text and what its batch draws, of which the first example's counts. */
interface Example {
  readonly tokens: Int32Array;
  readonly positions: readonly number[];
  readonly lag: number;
}

/** Trains until `stage.steps` or an abort, with log and checkpoints in `folder`; resolves to the draft. */
export async function trainDraft(
  options: DraftTrainingOptions,
): Promise<{ readonly draft: DraftModel; readonly weights: Weights; readonly steps: number }> {
  const { device, target, targetWeights, documents, begin, stage, seed, start, ...given } = options;
  const { length, batchSize, lags = [1, 2, 3, 4], labels = 'target', accumulate = 1 } = stage;
  const draft = start?.draft ?? new DraftModel(target.config);
  const half = target.config.headDim / 2;
  const trainer = await Trainer.create({
    device,
    model: draft,
    seed,
    ...(start && { weights: start.weights }),
    frozen: targetWeights,
    batch: {
      tokens: { shape: [batchSize, length + 1], dtype: 'int32' },
      cos: { shape: [length, half] },
      sin: { shape: [length, half] },
      lag: { shape: [], dtype: 'int64' },
    },
    loss: (batch): Losses => ({ loss: draftLosses(target, draft, batch, labels).mean() }),
    optimizer: draftOptimizer(),
    clipNorm: 1,
    accumulate,
  });
  const texts = windows(documents, length, begin);
  const { maxPositions } = target.config;
  const positionsOf = (random: Random): readonly number[] => {
    if (stage.positions === 'plain') return plainPositions(length);
    const { anchors } = stage;
    return anchorOffsetPositions(length, random, { maxPositions, ...(anchors !== undefined && { anchors }) });
  };
  const loader = new DataLoader<Example, Batch>(
    {
      length: texts.length,
      async get(i, random) {
        const tokens = await texts.get(i, random);
        return { tokens, positions: positionsOf(random), lag: lags[random.integer(lags.length)]! };
      },
    },
    (items) =>
      sequenceBatch(
        target,
        items.map(({ tokens }) => tokens),
        items[0]!.positions,
        items[0]!.lag,
      ),
    { batchSize, shuffle: true, seed, dropLast: true },
  );
  try {
    const known = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
    const steps = await fit({
      ...(known as typeof given),
      trainer,
      loader,
      schedule: draftSchedule(stage),
      steps: stage.steps,
    });
    return { draft, weights: await trainer.weights(), steps };
  } finally {
    await trainer.dispose();
  }
}

export interface LossByPosition {
  /** First position of the bucket and the one after its last. */
  readonly from: number;
  readonly to: number;
  readonly crossEntropy: number;
}

/** Averages of losses [N, L] over ranges of positions. */
export function byPosition(losses: NdArray, edges: readonly number[]): LossByPosition[] {
  const [n, length] = losses.shape as [number, number];
  return edges.slice(0, -1).flatMap((from, i) => {
    const to = Math.min(edges[i + 1]!, length);
    if (from >= to) return [];
    let sum = 0;
    for (let row = 0; row < n; row++)
      for (let at = from; at < to; at++) sum += Number(losses.data[row * length + at]);
    return [{ from, to, crossEntropy: sum / (n * (to - from)) }];
  });
}
