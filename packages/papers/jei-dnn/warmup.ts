/** IMs alone, before there are gates: the release's warm-up, and the baseline whose exits know nothing of gates. */

import { Random } from '@working-papers/nn/random';
import { cosine } from '@working-papers/nn/schedules';
import { shuffledEpoch } from './batches.ts';
import { warmupScales } from './objective.ts';
import { Population } from './population.ts';
import type { ExitTensors, Member } from './population-graphs.ts';
import { defaults, eachBatch, initialExits, type TrainingOptions, validate } from './training.ts';

export interface WarmupOptions extends TrainingOptions {
  /** Default 6. */
  readonly epochs?: number;
  /** What each early exit's cross-entropy counts; default L − l. */
  readonly scales?: readonly number[];
  /** Failures of an IM's validation accuracy to improve before it is frozen; default 2. */
  readonly patience?: number;
  /** Rates fall along a cosine; default false: the release's warm-up has a constant one. */
  readonly anneal?: boolean;
}

export interface WarmupResult {
  readonly tensors: ExitTensors;
  /** Each IM's best accuracy on the validation split, and after which epoch (from 1). */
  readonly best: readonly { readonly accuracy: number; readonly epoch: number }[];
  readonly epochs: number;
}

/**
 * IMs trained on all samples: Σ (L − l)·CE_l. After each epoch an IM whose validation accuracy has failed `patience`
 * times to improve goes back to its best and stays there; the training ends when all do, every IM at its best.
 */
export async function warmUp(options: WarmupOptions): Promise<WarmupResult> {
  const { layout, costs, train, validation, signal, epochs = 6, patience = 2 } = options;
  const {
    batchSize = defaults.batchSize,
    peakRate = defaults.peakRate,
    floorRate = defaults.floorRate,
  } = options;
  const member: Member = { costWeight: 0, weighting: options.scales ?? warmupScales(costs.length) };
  const start = initialExits(layout, options.seed);
  const population = await Population.create({ ...options, members: [member], batchSize }, start);
  const random = new Random(options.seed).fork('warmup');
  const rates = cosine({ peak: peakRate, floor: floorRate, steps: epochs });
  const exits = layout.widths.length;
  const best = layout.widths.map(() => ({ accuracy: -1, epoch: 0, failures: 0 }));
  const kept = new Map(start);
  let epoch = 0;
  try {
    while (epoch < epochs && best.some(({ failures }) => failures < patience)) {
      const moving = Uint8Array.from(best, ({ failures }) => (failures < patience ? 1 : 0));
      const batches = shuffledEpoch(train, layout, { batchSize, random: random.fork(epoch) });
      await eachBatch(batches, 0, async (batch, i) => {
        signal?.throwIfAborted();
        const [loss] = await population.trainHeads(batch, options.anneal ? rates(epoch) : peakRate, moving);
        options.onBatch?.(epoch * batches.batches + i + 1, epochs * batches.batches, loss!);
      });
      epoch++;
      const [now] = await population.read();
      const { exitAccuracy } = await validate(population, validation, layout, costs);
      for (let l = 0; l < exits; l++) {
        const record = best[l]!;
        if (record.failures >= patience) continue;
        if (exitAccuracy[0]![l]! > record.accuracy) {
          Object.assign(record, { accuracy: exitAccuracy[0]![l]!, epoch });
          for (const part of ['weight', 'bias'])
            kept.set(`intermediate_heads.${l}.${part}`, now!.get(`intermediate_heads.${l}.${part}`)!);
        } else record.failures++;
      }
    }
  } finally {
    await population.dispose();
  }
  return { tensors: kept, best: best.map(({ accuracy, epoch }) => ({ accuracy, epoch })), epochs: epoch };
}
