/**
 * A target to try LongSpec on: a decoder of 5 million weights, deep for its size, trained on books to read 16,384
 * tokens. Node only.
 */

import type { DecoderConfig } from '@working-papers/models/decoder/config';
import { parseConfig } from '@working-papers/models/decoder/config';
import type { Decoder } from '@working-papers/models/decoder/decoder';
import { ropeTables } from '@working-papers/models/decoder/rope';
import { DataLoader } from '@working-papers/nn/data';
import { type FitOptions, fit } from '@working-papers/nn/fit';
import { crossEntropy } from '@working-papers/nn/losses';
import type { Weights } from '@working-papers/nn/module';
import { adamW, decayMatrices } from '@working-papers/nn/optimizers';
import { cosine, warmup } from '@working-papers/nn/schedules';
import { type Batch, Trainer } from '@working-papers/nn/trainer';
import { type Device, ndarray, type Tensor } from '@working-papers/tensor';
import { windows } from './corpus.ts';
import { plainPositions } from './positions.ts';

/** 12 layers: a draft reads one of them, so depth is what speculation gains from. */
export const targetConfig: DecoderConfig = parseConfig({
  model_type: 'llama',
  vocab_size: 2048,
  hidden_size: 192,
  intermediate_size: 512,
  num_hidden_layers: 12,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  rms_norm_eps: 1e-5,
  rope_theta: 500_000,
  max_position_embeddings: 16_384,
  tie_word_embeddings: true,
});

export interface TargetStage {
  readonly length: number;
  readonly batchSize: number;
  readonly steps: number;
  readonly peakRate: number;
}

/**
 * Three quarters of the tokens in sequences that cost little attention, then in longer and longer ones, of which few steps
 * are enough: what is left to learn there are the distances.
 */
export function targetStages(steps: number): readonly TargetStage[] {
  const share = (of: number) => Math.max(1, Math.round(steps / of));
  return [
    { length: 256, batchSize: 16, steps, peakRate: 2e-3 },
    { length: 1024, batchSize: 4, steps: share(4), peakRate: 1e-3 },
    { length: 4096, batchSize: 1, steps: share(30), peakRate: 3e-4 },
    { length: 8192, batchSize: 1, steps: share(60), peakRate: 2e-4 },
    { length: 16_383, batchSize: 1, steps: share(150), peakRate: 2e-4 },
  ];
}

/** −log p(next token) for each token: tokens [N, L + 1], tables [L, dh/2] → [N, L]. */
export function targetLosses(
  target: Decoder,
  { tokens, cos, sin }: { readonly tokens: Tensor; readonly cos: Tensor; readonly sin: Tensor },
): Tensor {
  const length = tokens.size(1) - 1;
  const logits = target.forward(tokens.slice(1, 0, length), { cos, sin });
  return crossEntropy(logits, tokens.slice(1, 1), { reduction: 'none' });
}

/** The batch of `targetLosses`, as arrays. */
export function targetBatch(target: Decoder, sequences: readonly Int32Array[]): Batch {
  const width = sequences[0]!.length;
  const tokens = new Int32Array(sequences.length * width);
  sequences.forEach((sequence, i) => {
    tokens.set(sequence, i * width);
  });
  const { cos, sin } = ropeTables(target.config.rope, plainPositions(width - 1));
  return { tokens: ndarray(tokens, [sequences.length, width], 'int32'), cos, sin };
}

export interface TargetTrainingOptions
  extends Pick<FitOptions, 'folder' | 'resume' | 'signal' | 'onStep' | 'checkpointMinutes'> {
  readonly device: Device;
  readonly documents: readonly Int32Array[];
  readonly begin: number;
  readonly stage: TargetStage;
  readonly seed: number;
  readonly target: Decoder;
  /** Of the stage before; default fresh ones. */
  readonly weights?: Weights;
}

/** One stage, with log and checkpoints in `folder`; resolves to the weights and the steps done. */
export async function trainTarget(
  options: TargetTrainingOptions,
): Promise<{ readonly weights: Weights; readonly steps: number }> {
  const { device, documents, begin, stage, seed, target, weights, ...given } = options;
  const { length, batchSize, steps, peakRate } = stage;
  const half = target.config.headDim / 2;
  const trainer = await Trainer.create({
    device,
    model: target,
    seed,
    ...(weights && { weights }),
    batch: {
      tokens: { shape: [batchSize, length + 1], dtype: 'int32' },
      cos: { shape: [length, half] },
      sin: { shape: [length, half] },
    },
    loss: (batch) => ({ loss: targetLosses(target, batch).mean() }),
    optimizer: adamW({ betas: [0.9, 0.95], groups: decayMatrices(0.1) }),
    clipNorm: 1,
  });
  const loader = new DataLoader(windows(documents, length, begin), (items) => targetBatch(target, items), {
    batchSize,
    shuffle: true,
    seed,
    dropLast: true,
  });
  const rise = Math.ceil(steps / 50);
  const schedule = warmup(
    rise,
    cosine({ peak: peakRate, floor: peakRate / 20, steps: Math.max(1, steps - rise) }),
  );
  try {
    const known = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
    const done = await fit({ ...(known as typeof given), trainer, loader, schedule, steps });
    return { weights: await trainer.weights(), steps: done };
  } finally {
    await trainer.dispose();
  }
}
