/**
 * Training of IMs and gates on cached features of the frozen backbone (arXiv 2310.09163, section 4), after the warm-up
 * of `warmup.ts`: gates and IMs in turn, 200 batches each, one training for each cost weight λ. All λ go through one
 * graph.
 */

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { openLog } from '@working-papers/nn/log';
import { Random } from '@working-papers/nn/random';
import { readSafetensors, writeSafetensors } from '@working-papers/nn/safetensors-file';
import { cosine } from '@working-papers/nn/schedules';
import { type NdArray, ndarray } from '@working-papers/tensor';
import { shuffledEpoch } from './batches.ts';
import { positiveWeights } from './objective.ts';
import { Population } from './population.ts';
import { type ExitTensors, type Member, settled } from './population-graphs.ts';
import { defaults, eachBatch, type Figures, type TrainingOptions, validate } from './training.ts';

export type Phase = 'gates' | 'heads';

export interface ExitsOptions extends TrainingOptions {
  readonly members: readonly Member[];
  /** Where all members, or each of them, begin: the warm-up's result. */
  readonly start: ExitTensors | readonly ExitTensors[];
  /** Default 15. */
  readonly epochs?: number;
  /** Batches of a phase before the other's turn; default 200. Every epoch begins with the gates. */
  readonly turn?: number;
  /** One phase only, for trainings in sequence; default both in turn. */
  readonly only?: Phase;
  /** Holds `heads.safetensors`, from which `resume` goes on, and `heads.jsonl`. */
  readonly folder?: string;
  readonly resume?: boolean;
  /** Minutes between checkpoints; default 3. There is always one at an interruption. */
  readonly checkpointMinutes?: number;
  readonly onEpoch?: (epoch: number, figures: readonly Figures[]) => void;
}

export interface TrainedMember {
  readonly member: Member;
  readonly tensors: ExitTensors;
  /** The epoch that was kept, from 1; 0 is the start. */
  readonly epoch: number;
  readonly history: readonly Figures[];
}

interface Progress {
  epoch: number;
  batch: number;
  readonly history: Figures[][];
  readonly bestEpoch: number[];
  /** w⁺ [M][L−1]. */
  positive: number[][];
}

/** Gates and IMs in turn. Same options and seed, same weights; also after an interruption and `resume`. */
export async function trainExits(options: ExitsOptions): Promise<TrainedMember[]> {
  const {
    members,
    layout,
    costs,
    train,
    validation,
    epochs = 15,
    turn = 200,
    only,
    folder,
    signal,
  } = options;
  const {
    batchSize = defaults.batchSize,
    peakRate = defaults.peakRate,
    floorRate = defaults.floorRate,
  } = options;
  const { gatePeakRate = defaults.gatePeakRate, checkpointMinutes = 3 } = options;
  const population = await Population.create({ ...options, batchSize }, options.start);
  const random = new Random(options.seed).fork('train');
  const rates = cosine({ peak: peakRate, floor: floorRate, steps: epochs });
  const gateRates = (epoch: number) => (rates(epoch) * gatePeakRate) / peakRate;
  const progress: Progress = {
    epoch: 0,
    batch: 0,
    history: [],
    bestEpoch: members.map(() => 0),
    positive: members.map(() => layout.widths.map(() => 1)),
  };
  const path = folder && join(folder, 'heads.safetensors');
  const key = describeRun(options);
  let kept = await population.read();
  const restored = path && options.resume ? await readCheckpoint(path, key, members.length) : undefined;
  if (restored) {
    await population.load(restored.state);
    kept = restored.kept;
    Object.assign(progress, restored.progress);
  }
  if (folder) await mkdir(folder, { recursive: true });
  const log = folder
    ? await openLog(join(folder, 'heads.jsonl'), (line) => Number(line.epoch) <= progress.epoch)
    : undefined;
  let saved = Date.now();
  const save = async () => {
    if (path) await writeCheckpoint(path, key, { progress, kept, state: await population.state() });
    saved = Date.now();
  };
  try {
    while (progress.epoch < epochs) {
      const { epoch } = progress;
      const batches = shuffledEpoch(train, layout, { batchSize, random: random.fork(epoch) });
      const positive = ndarray(Float32Array.from(progress.positive.flat()), [
        members.length,
        layout.widths.length,
      ]);
      await eachBatch(batches, progress.batch, async (batch, i) => {
        const phase = only ?? (Math.floor(i / turn) % 2 === 0 ? 'gates' : 'heads');
        const losses =
          phase === 'gates'
            ? await population.trainGates(batch, gateRates(epoch), positive)
            : await population.trainHeads(batch, rates(epoch));
        progress.batch = i + 1;
        const loss = losses.reduce((a, b) => a + b) / losses.length;
        options.onBatch?.(epoch * batches.batches + i + 1, epochs * batches.batches, loss);
        if (signal?.aborted) {
          await save();
          signal.throwIfAborted();
        }
      });
      const { figures, bestCounts } = await validate(population, validation, layout, costs);
      const now = await population.read();
      members.forEach((member, m) => {
        const before = progress.history.map((row) => row[m]!.objective);
        if (settled(member).select === 'last' || figures[m]!.objective < Math.min(...before)) {
          progress.bestEpoch[m] = epoch + 1;
          kept[m] = now[m]!;
        }
      });
      progress.history.push(figures);
      progress.positive = members
        .map(settled)
        .map(({ balanced }, m) =>
          positiveWeights(bestCounts[m]!, validation.length).map((weight) => (balanced ? weight : 1)),
        );
      figures.forEach((row, m) => {
        log?.write({ epoch: epoch + 1, costWeight: members[m]!.costWeight, rate: rates(epoch), ...row });
      });
      options.onEpoch?.(epoch + 1, figures);
      Object.assign(progress, { epoch: epoch + 1, batch: 0 });
      if (Date.now() - saved > checkpointMinutes * 60_000) await save();
    }
    await save();
  } finally {
    log?.close();
    await population.dispose();
  }
  return members.map((member, m) => ({
    member,
    tensors: kept[m]!,
    epoch: progress.bestEpoch[m]!,
    history: progress.history.map((row) => row[m]!),
  }));
}

/** What must be the same for a checkpoint to be gone on from. */
function describeRun({
  members,
  epochs = 15,
  turn = 200,
  seed,
  only,
  batchSize,
  peakRate,
  floorRate,
  gatePeakRate,
  train,
}: ExitsOptions) {
  return JSON.stringify({
    members,
    epochs,
    turn,
    seed,
    only,
    batchSize,
    peakRate,
    floorRate,
    gatePeakRate,
    pictures: train.length,
  });
}

interface Checkpoint {
  readonly progress: Progress;
  readonly kept: Map<string, NdArray>[];
  readonly state: Map<string, NdArray>;
}

async function writeCheckpoint(
  path: string,
  key: string,
  { progress, kept, state }: Checkpoint,
): Promise<void> {
  const tensors = new Map<string, NdArray>();
  for (const [name, value] of state) tensors.set(`state.${name}`, value);
  kept.forEach((set, m) => {
    for (const [name, value] of set) tensors.set(`kept.${m}.${name}`, value);
  });
  await writeSafetensors(path, tensors, { metadata: { key, progress: JSON.stringify(progress) } });
}

/** Undefined where there is none; throws when it belongs to another run. */
async function readCheckpoint(path: string, key: string, members: number): Promise<Checkpoint | undefined> {
  let file: Awaited<ReturnType<typeof readSafetensors>>;
  try {
    file = await readSafetensors(path);
  } catch (error) {
    if (/ENOENT|no such file/i.test(String(error))) return undefined;
    throw error;
  }
  const { tensors, metadata } = file;
  if (metadata.key !== key)
    throw new Error(
      `${path} is the checkpoint of another run (other cost weights, seed, epochs or data): choose another folder or start anew`,
    );
  const kept = Array.from({ length: members }, () => new Map<string, NdArray>());
  const state = new Map<string, NdArray>();
  for (const [name, value] of tensors) {
    const [, m, own] = /^kept\.(\d+)\.(.+)$/.exec(name) ?? [];
    if (own !== undefined) kept[Number(m)]!.set(own, value);
    else state.set(name.replace(/^state\./, ''), value);
  }
  return { progress: JSON.parse(metadata.progress!) as Progress, kept, state };
}
