/**
 * Other ways to the exits' classifiers, on the same frozen backbone and the same cached features: BoostedNet
 * (Yu et al., AAAI 2023, arXiv 2211.16726) and L2W-DEN (Han et al., ECCV 2022, arXiv 2209.08310). Their exits are taken
 * by thresholds on the largest probability.
 */

import { Linear } from '@working-papers/nn/layers';
import { crossEntropy } from '@working-papers/nn/losses';
import { initialize, loadStateDict, Module, stateDict, type Weight } from '@working-papers/nn/module';
import { adam, type Optimizer, sgd } from '@working-papers/nn/optimizers';
import { Random } from '@working-papers/nn/random';
import { cosine } from '@working-papers/nn/schedules';
import {
  type Compiled,
  gradients,
  type NdArray,
  ndarray,
  type Parameter,
  type Store,
  stack,
  type Tensor,
  zerosArray,
} from '@working-papers/tensor';
import { shuffledEpoch } from './batches.ts';
import { Evaluator, shareCounts } from './evaluate.ts';
import type { FeatureLayout } from './features.ts';
import { float32 } from './objective.ts';
import type { ExitTensors, FeatureBatch } from './population-graphs.ts';
import { ExitModules, initialExits, type TrainingOptions } from './training.ts';

export interface BaselineOptions extends TrainingOptions {
  /** Default 15; the epoch with the best mean validation accuracy of the exits is kept. */
  readonly epochs?: number;
}

/**
 * What each exit of BoostedNet answers: its own logits and the running ensemble of those before it, which counts as a
 * constant: F_{l+1} = ½(logits_l + F_l). The last exit, the frozen backbone's, answers alone.
 */
export function boostedLogits(logits: readonly Tensor[]): Tensor[] {
  let ensemble: Tensor | undefined;
  return logits.map((own, l) => {
    if (l === logits.length - 1) return own;
    const answer = ensemble ? own.add(ensemble) : own;
    ensemble = answer.stopGradient().mul(0.5);
    return answer;
  });
}

/** CE of each exit's boosted answer; gradients are rescaled by 1 / (L − l). */
export async function trainBoosted(options: BaselineOptions): Promise<ExitTensors> {
  const exits = options.costs.length;
  return trainAlone(options, boostedLogits, async (run) => {
    const step = await run.headStep((losses) =>
      losses.reduce((sum, loss, l) => sum.add(loss.mean().mul(1 / (exits - l))), losses[0]!.mean().mul(0)),
    );
    return { train: (batch, rate) => step(batch, rate), dispose: () => step.dispose() };
  });
}

/** The weight prediction network: losses of the early exits → how much each counts, [B, L−1] both. */
export class WeightNetwork extends Module {
  readonly linear1: Linear;
  readonly linear2: Linear;

  constructor(exits: number, hidden = 500) {
    super();
    this.linear1 = new Linear(exits, hidden);
    this.linear2 = new Linear(hidden, exits);
  }

  /** 1 + .3·(v − mean v), v in (−1, 1). */
  forward(losses: Tensor): Tensor {
    const v = this.linear2.forward(this.linear1.forward(losses).relu()).tanh();
    return v.sub(v.mean()).mul(0.3).add(1);
  }
}

export interface L2wOptions extends BaselineOptions {
  /** Batches between meta steps; default 100. */
  readonly metaEvery?: number;
  /** The shares ∝ q^k for which the meta step lets samples out; default .75. */
  readonly q?: number;
}

/**
 * Samples are weighted by a small network of their losses. Every 100 batches that network takes a step so that
 * classifiers one (pseudo) step further do better on another batch, of which each sample counts at the exit that it
 * would take.
 */
export async function trainL2w(options: L2wOptions): Promise<ExitTensors> {
  const { layout, seed, metaEvery = 100, q = 0.75, batchSize = 64 } = options;
  const early = layout.widths.length;
  return trainAlone(
    options,
    (logits) => logits,
    async (run) => {
      const network = new WeightNetwork(early);
      await run.add(network, seed);
      const weighted = (losses: readonly Tensor[]): Tensor => {
        const columns = stack(losses, 1); // (B, L−1)
        return network.forward(columns.stopGradient()).mul(columns).sum(1).mean();
      };
      const step = await run.headStep(weighted);
      const pseudo = await run.metaStep(network, weighted);
      let meta: FeatureBatch | undefined;
      let count = 0;
      return {
        async train(batch, rate) {
          if (meta && count % metaEvery === 0) {
            const scores = await pseudo.scores(batch, meta, rate);
            await pseudo.update(batch, meta, rate, allocate(scores, batchSize, q));
          }
          meta = batch;
          count++;
          return step(batch, rate);
        },
        async dispose() {
          await step.dispose();
          await pseudo.dispose();
        },
      };
    },
  );
}

/** 1 where a sample of the batch leaves: the surest ones at the first exit, and so on. Scores [L, B] → [B, L−1]. */
export function allocate(scores: readonly Float32Array[], samples: number, q: number): Float32Array {
  const early = scores.length - 1;
  const counts = shareCounts(samples, scores.length, q);
  const mask = new Float32Array(samples * early);
  let left = Array.from({ length: samples }, (_, n) => n);
  for (let l = 0; l < early; l++) {
    left.sort((a, b) => scores[l]![b]! - scores[l]![a]! || a - b);
    for (const n of left.slice(0, counts[l]!)) mask[n * early + l] = 1;
    left = left.slice(counts[l]!);
  }
  return mask;
}

interface Method {
  train(batch: FeatureBatch, rate: number): Promise<number>;
  dispose(): Promise<void>;
}

type HeadStep = ((batch: FeatureBatch, rate: number) => Promise<number>) & { dispose(): Promise<void> };

interface Run {
  /** Puts another module's weights beside the exits'. */
  add(module: Module, seed: number): Promise<void>;
  /** SGD on the exits' classifiers for a loss of their samples' cross-entropies, L−1 times [B]. */
  headStep(loss: (losses: readonly Tensor[]) => Tensor): Promise<HeadStep>;
  metaStep(
    network: WeightNetwork,
    loss: (losses: readonly Tensor[]) => Tensor,
  ): Promise<{
    /** Largest probabilities at each of the L exits after a pseudo step, on the other batch. */
    scores(batch: FeatureBatch, meta: FeatureBatch, rate: number): Promise<Float32Array[]>;
    update(batch: FeatureBatch, meta: FeatureBatch, rate: number, mask: Float32Array): Promise<void>;
    dispose(): Promise<void>;
  }>;
}

type Inputs = { readonly x: Tensor; readonly logits: Tensor; readonly labels: Tensor };
type AnyRun = Compiled<readonly [unknown, ...unknown[]], unknown>;
type Call = (...inputs: unknown[]) => Promise<{ readonly [name: string]: NdArray }>;

/** One set of exits through all epochs; keeps the epoch whose exits are best on validation, on average. */
async function trainAlone(
  options: BaselineOptions,
  combine: (logits: readonly Tensor[]) => readonly Tensor[],
  make: (run: Run) => Promise<Method>,
): Promise<ExitTensors> {
  const { device, layout, train, validation, seed, epochs = 15, batchSize = 64, signal } = options;
  const { peakRate = 0.01, floorRate = 2e-4 } = options;
  const start = initialExits(layout, seed);
  const exits = new ExitModules(layout);
  const heads = new Map([...exits.namedWeights()].filter(([name]) => name.startsWith('intermediate_heads.')));
  const optimizer = sgd({ momentum: 0.9, weightDecay: 5e-4 });
  const store = await device.store(loadStateDict(exits, start));
  const stateOf = await optimizerState(optimizer, heads, store);
  const context: Context = { options, layout, exits, heads, optimizer, stateOf, store, combine, batchSize };
  const method = await make(runOf(context));
  const evaluator = await Evaluator.create(device, layout, start, combine);
  const rates = cosine({ peak: peakRate, floor: floorRate, steps: epochs });
  const random = new Random(seed).fork('baseline');
  let best = { score: -1, tensors: start };
  try {
    for (let epoch = 0; epoch < epochs; epoch++) {
      const batches = shuffledEpoch(train, layout, { batchSize, random: random.fork(epoch) });
      for (let i = 0; i < batches.batches; i++) {
        signal?.throwIfAborted();
        const loss = await method.train(batches.batch(i), rates(epoch));
        if (!Number.isFinite(loss)) throw new Error(`training diverged at batch ${i} of epoch ${epoch + 1}`);
        options.onBatch?.(epoch * batches.batches + i + 1, epochs * batches.batches, loss);
      }
      const tensors = stateDict(exits, await store.read(exits.namedWeights().values()));
      const outputs = await evaluator.evaluate(tensors, validation);
      const score = meanAccuracy(outputs);
      if (score > best.score) best = { score, tensors };
    }
  } finally {
    await evaluator.dispose();
    await method.dispose();
    await store.dispose();
  }
  return best.tensors;
}

function meanAccuracy({
  probabilities,
  labels,
}: {
  probabilities: readonly Float32Array[];
  labels: Int32Array;
}): number {
  const classes = probabilities[0]!.length / labels.length;
  let right = 0;
  for (const p of probabilities.slice(0, -1)) {
    labels.forEach((label, n) => {
      const row = p.subarray(n * classes, (n + 1) * classes);
      if (row.every((value, k) => k === label || value < row[label]!)) right++;
    });
  }
  return right / (labels.length * (probabilities.length - 1));
}

interface Context {
  readonly options: BaselineOptions;
  readonly layout: FeatureLayout;
  readonly exits: ExitModules;
  readonly heads: ReadonlyMap<string, Weight>;
  readonly optimizer: Optimizer;
  readonly stateOf: ReadonlyMap<string, Weight>;
  readonly store: Store;
  readonly combine: (logits: readonly Tensor[]) => readonly Tensor[];
  readonly batchSize: number;
}

async function optimizerState(optimizer: Optimizer, weights: ReadonlyMap<string, Weight>, store: Store) {
  const state = optimizer.state(weights);
  await store.write(
    new Map([...state.values()].map((w) => [w as Parameter, zerosArray(w.shape as number[])])),
  );
  return state;
}

/** L tensors [B, K] from the given classifiers' weights. */
function allLogits(
  { layout, heads }: Pick<Context, 'layout' | 'heads'>,
  inputs: Inputs,
  values: ReadonlyMap<Weight, Tensor> = new Map(),
): Tensor[] {
  const own = layout.widths.map((width, l) => {
    const [weight, bias] = ['weight', 'bias'].map((part) => {
      const parameter = heads.get(`intermediate_heads.${l}.${part}`)!;
      return values.get(parameter) ?? parameter;
    }) as [Tensor, Tensor];
    return inputs.x.select(0, l).slice(1, 0, width).linear(weight, bias);
  });
  return [...own, inputs.logits];
}

function lossesOf(context: Context, inputs: Inputs, values?: ReadonlyMap<Weight, Tensor>): Tensor[] {
  return context
    .combine(allLogits(context, inputs, values))
    .slice(0, -1)
    .map((logits) => crossEntropy(logits, inputs.labels, { reduction: 'none' }));
}

function runOf(context: Context): Run {
  const { options, layout, heads, optimizer, stateOf, store, batchSize } = context;
  const { device } = options;
  const batch = {
    x: { shape: [layout.widths.length, batchSize, Math.max(...layout.widths)] },
    logits: { shape: [batchSize, layout.classes] },
    labels: { shape: [batchSize], dtype: 'int32' as const },
  };
  const rateSpec = { shape: [1] };
  const names = [...heads.keys()];
  const weights = [...heads.values()];
  const compiled = (run: unknown) => run as unknown as Call & AnyRun;
  return {
    async add(module, seed) {
      await store.write(initialize(module, seed));
    },
    async headStep(loss) {
      const run = compiled(
        await device.compileStep(
          (inputs, rate) => {
            const value = loss(lossesOf(context, inputs as Inputs));
            const slopes = gradients(value, weights);
            const trained = names.map((name, i) => ({ name, weight: weights[i]!, gradient: slopes[i]! }));
            return { outputs: { loss: value }, updates: optimizer.update(trained, stateOf, rate) };
          },
          { inputs: [batch, rateSpec] as const, store, name: 'heads' },
        ),
      );
      const step = async (each: FeatureBatch, rate: number) =>
        Number((await run(each, ndarray([rate]))).loss!.data[0]);
      return Object.assign(step, { dispose: () => run.dispose() });
    },
    async metaStep(network, loss) {
      const own = network.namedWeights();
      const meta = adam();
      const metaState = await optimizerState(meta, own, store);
      /** Classifiers after one plain gradient step on the weighted loss, still a function of the network. */
      const pseudo = (inputs: Inputs, rate: Tensor): Map<Weight, Tensor> => {
        const slopes = gradients(loss(lossesOf(context, inputs)), weights);
        return new Map(weights.map((weight, i) => [weight, weight.sub(slopes[i]!.mul(rate.select(0, 0)))]));
      };
      const scores = compiled(
        await device.compile(
          (inputs, other, rate) => {
            const moved = pseudo(inputs as Inputs, rate);
            const logits = allLogits(context, other as Inputs, moved);
            return {
              scores: stack(
                logits.map((each) => each.softmax().max(-1)),
                0,
              ),
            };
          },
          { inputs: [batch, batch, rateSpec] as const, store, name: 'pseudo' },
        ),
      );
      const update = compiled(
        await device.compileStep(
          (inputs, other, rate, mask, scalars) => {
            const moved = pseudo(inputs as Inputs, rate);
            const losses = stack(lossesOf(context, other as Inputs, moved), 1);
            const value = losses.mul(mask).sum().div(batchSize);
            const slopes = gradients(value, [...own.values()]);
            const trained = [...own].map(([name, weight], i) => ({ name, weight, gradient: slopes[i]! }));
            return { outputs: { loss: value }, updates: meta.update(trained, metaState, scalars) };
          },
          {
            inputs: [
              batch,
              batch,
              rateSpec,
              { shape: [batchSize, layout.widths.length] },
              { shape: [3] },
            ] as const,
            store,
            name: 'meta',
          },
        ),
      );
      let steps = 0;
      return {
        async scores(each, other, rate) {
          const all = float32((await scores(each, other, ndarray([rate]))).scores!);
          const exits = layout.widths.length + 1;
          return Array.from({ length: exits }, (_, l) => all.subarray(l * batchSize, (l + 1) * batchSize));
        },
        async update(each, other, rate, mask) {
          steps++;
          const scalars = ndarray(meta.scalars(steps, 1e-4));
          await update(
            each,
            other,
            ndarray([rate]),
            ndarray(mask, [batchSize, layout.widths.length]),
            scalars,
          );
        },
        async dispose() {
          await scores.dispose();
          await update.dispose();
        },
      };
    },
  };
}
