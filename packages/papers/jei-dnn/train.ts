/**
 * Training of IMs and gates on cached features of the frozen backbone (arXiv 2310.09163, section 4): a warm-up of the
 * IMs, then gates and IMs in turn, 200 batches each, one training for each cost weight λ. All λ go through one graph.
 */

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Linear } from '@working-papers/nn/layers';
import { openLog } from '@working-papers/nn/log';
import { initialize, Module, stateDict } from '@working-papers/nn/module';
import { Random } from '@working-papers/nn/random';
import { readSafetensors, writeSafetensors } from '@working-papers/nn/safetensors-file';
import { cosine } from '@working-papers/nn/schedules';
import { type Device, type NdArray, ndarray } from '@working-papers/tensor';
import { type Epoch, inOrder, shuffledEpoch } from './batches.ts';
import type { FeatureLayout, FeatureSplit } from './features.ts';
import { exitOf, Gate } from './model.ts';
import { positiveWeights, warmupScales } from './objective.ts';
import { type ExitTensors, type Member, Population } from './population.ts';

export interface TrainingOptions {
  readonly device: Device;
  readonly layout: FeatureLayout;
  readonly train: FeatureSplit;
  readonly validation: FeatureSplit;
  /** c_l of the L exits. */
  readonly costs: readonly number[];
  readonly seed: number;
  /** Default 64, as in the release. */
  readonly batchSize?: number;
  readonly peakRate?: number;
  readonly floorRate?: number;
  readonly signal?: AbortSignal;
  /** After each batch: batches done of this stage and in all, and a mean loss. */
  readonly onBatch?: (done: number, total: number, loss: number) => void;
}

const defaults = { batchSize: 64, peakRate: 0.01, floorRate: 2e-4 } as const;

/** IMs and gates as PyTorch's Linear begins, under the model's names. The model's own initialisation is the same. */
export class ExitModules extends Module {
  readonly intermediateHeads: readonly Linear[];
  readonly gates: readonly Gate[];

  constructor({ widths, classes }: FeatureLayout) {
    super();
    this.intermediateHeads = widths.map((width) => new Linear(width, classes));
    this.gates = widths.map(() => new Gate());
  }
}

export function initialExits(layout: FeatureLayout, seed: number): ExitTensors {
  const exits = new ExitModules(layout);
  return stateDict(exits, initialize(exits, seed));
}

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

/** Runs batches in turn; the next one is gathered while the device works on this one. */
async function eachBatch(
  epoch: Epoch,
  first: number,
  run: (batch: ReturnType<Epoch['batch']>, index: number) => Promise<void>,
): Promise<void> {
  let next = first < epoch.batches ? epoch.batch(first) : undefined;
  for (let i = first; next; i++) {
    const running = run(next, i);
    next = i + 1 < epoch.batches ? epoch.batch(i + 1) : undefined;
    await running;
  }
}

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
  /**
   * `best` keeps the epoch with the lowest validation CE + λ·cost. `last` is what the release does: it never updates
   * its best score, so its selection does not fire.
   */
  readonly select?: 'best' | 'last';
  /** Holds `heads.safetensors`, from which `resume` goes on, and `heads.jsonl`. */
  readonly folder?: string;
  readonly resume?: boolean;
  /** Minutes between checkpoints; default 3. There is always one at an interruption. */
  readonly checkpointMinutes?: number;
  readonly onEpoch?: (epoch: number, figures: readonly Figures[]) => void;
}

/** On the validation split, at the exits that the gates take. */
export interface Figures {
  readonly accuracy: number;
  readonly crossEntropy: number;
  readonly cost: number;
  /** Cross-entropy + λ · cost. */
  readonly objective: number;
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
  const { select = 'best', checkpointMinutes = 3 } = options;
  const population = await Population.create({ ...options, batchSize }, options.start);
  const random = new Random(options.seed).fork('train');
  const rates = cosine({ peak: peakRate, floor: floorRate, steps: epochs });
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
            ? await population.trainGates(batch, rates(epoch), positive)
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
      members.forEach((_, m) => {
        const before = progress.history.map((row) => row[m]!.objective);
        if (select === 'last' || figures[m]!.objective < Math.min(...before)) {
          progress.bestEpoch[m] = epoch + 1;
          kept[m] = now[m]!;
        }
      });
      progress.history.push(figures);
      progress.positive = members.map(({ balanced = true }, m) =>
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

/** Every member on a split: at the exits taken, at every exit, and how often each exit would have been best. */
async function validate(
  population: Population,
  split: FeatureSplit,
  layout: FeatureLayout,
  costs: readonly number[],
): Promise<{ figures: Figures[]; exitAccuracy: number[][]; bestCounts: number[][] }> {
  const { members } = population;
  const exits = costs.length;
  const sums = members.map(() => ({ right: 0, crossEntropy: 0, cost: 0 }));
  const correctSums = members.map(() => costs.map(() => 0));
  const bestCounts = members.map(() => layout.widths.map(() => 0));
  for (const { batch } of inOrder(split, layout, 500)) {
    const { gates, crossEntropy, correct } = await population.measure(batch);
    const size = batch.labels.shape[0]!;
    for (let row = 0; row < size; row++) {
      members.forEach(({ costWeight }, m) => {
        const at = row * members.length + m;
        const taken = exitOf(gates.subarray(at * (exits - 1), (at + 1) * (exits - 1)));
        const sum = sums[m]!;
        sum.right += correct[at * exits + taken]!;
        sum.crossEntropy += crossEntropy[at * exits + taken]!;
        sum.cost += costs[taken]!;
        let best = 0;
        const price = (l: number) => crossEntropy[at * exits + l]! + costWeight * costs[l]!;
        for (let l = 0; l < exits; l++) {
          correctSums[m]![l]! += correct[at * exits + l]!;
          if (price(l) < price(best)) best = l;
        }
        if (best < exits - 1) bestCounts[m]![best]!++;
      });
    }
  }
  const figures = sums.map(({ right, crossEntropy, cost }, m) => {
    const [ce, share] = [crossEntropy / split.length, cost / split.length];
    return {
      accuracy: right / split.length,
      crossEntropy: ce,
      cost: share,
      objective: ce + members[m]!.costWeight * share,
    };
  });
  return {
    figures,
    exitAccuracy: correctSums.map((row) => row.map((sum) => sum / split.length)),
    bestCounts,
  };
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
  train,
  select,
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
    select,
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
