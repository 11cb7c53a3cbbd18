/**
 * The experiment of the paper at our scale: on one frozen backbone, everything that decides where to leave, side by
 * side. Thresholds, conformal quantiles and epochs are chosen on the validation split; the test split is only read.
 */

import {
  type ConformalVariant,
  conformalTable,
  type ExitPredictions,
} from '@working-papers/metrics/conformal';
import type { Device } from '@working-papers/tensor';
import { boostedLogits, trainBoosted, trainL2w } from './baselines.ts';
import * as evaluation from './evaluate.ts';
import type { FeatureCache } from './features.ts';
import type { ExitRule } from './model.ts';
import type { ExitLoss } from './objective.ts';
import { type ExitTensors, type Member, settled } from './population-graphs.ts';
import { type TrainedMember, trainExits } from './train.ts';
import type { TrainingOptions } from './training.ts';
import { warmUp } from './warmup.ts';

/** λ for gates that weigh cost against errors, and for those that weigh it against cross-entropy. */
export type CostWeights = Readonly<Record<ExitLoss, readonly number[]>>;

export interface BenchOptions {
  readonly device: Device;
  readonly cache: FeatureCache;
  /** c_l of the L exits. */
  readonly costs: readonly number[];
  readonly costWeights: CostWeights;
  readonly seed: number;
  /** Of each training but the warm-up. */
  readonly epochs: number;
  readonly warmupEpochs: number;
  /** Batches of a phase; default 200. Fewer where an epoch has fewer. */
  readonly turn?: number;
  readonly signal?: AbortSignal;
  /** Shares of the whole that are done, 0..1. */
  readonly onProgress?: (done: number, what: string) => void;
}

/** One setting of a method: a λ, or the q of its thresholds' shares. */
export interface Point {
  readonly setting: number;
  readonly cost: number;
  readonly accuracy: number;
  readonly crossEntropy: number;
  readonly ece: number;
  readonly overconfidence: number;
}

const paper = { targets: 'exact', loss: 'cross-entropy', weighting: 'stopgrad' } as const;
const errors = { targets: 'advantage', loss: 'error', weighting: 'plain P' } as const;

/**
 * The variants that are trained once for each λ, all from the same warm-up. `on errors` is ours: gates that weigh cost
 * against errors and learn their advantage, and IMs weighted by P itself; the others are the paper's form, one part
 * changed at a time.
 */
export const variants = {
  'JEI-DNN': paper,
  'Gates only': { ...paper, movesHeads: false },
  'JEI-DNN, released weighting': { ...paper, weighting: 'released' },
  'JEI-DNN, plain P': { ...paper, weighting: 'plain P' },
  'JEI-DNN, released targets': { ...paper, targets: 'cumulative' },
  'JEI-DNN, gates see max p only': { ...paper, gateInputs: 'max-p' },
  'JEI-DNN, w⁺ = 1': { ...paper, balanced: false },
  'JEI-DNN on errors': errors,
  'Gates only on errors': { ...errors, movesHeads: false },
  'JEI-DNN on errors, released weighting': { ...errors, weighting: 'released' },
  'JEI-DNN on errors, stopgrad weighting': { ...errors, weighting: 'stopgrad' },
  'Gates only, advantage of cross-entropy': { ...errors, loss: 'cross-entropy', movesHeads: false },
} as const satisfies Readonly<Record<string, Omit<Member, 'costWeight'>>>;
export type Variant = keyof typeof variants;
export const sequential = 'Uniform IMs, then gates';
export const independent = 'JEI-DNN, independent rule';
/** One training, other thresholds than ½: our extension. */
export const varied = 'JEI-DNN at one λ, τ varied (extension)';
/** The paper's form of the method, and the one that `wp train` makes by default and that ships, with their ablations. */
export const forms = {
  'JEI-DNN': {
    gatesOnly: 'Gates only',
    released: 'JEI-DNN, released weighting',
    plain: 'JEI-DNN, plain P',
  },
  'JEI-DNN on errors': {
    gatesOnly: 'Gates only on errors',
    released: 'JEI-DNN on errors, released weighting',
  },
} as const satisfies Readonly<Partial<Record<Variant, Beside>>>;
export type Form = keyof typeof forms;
/** The same training with one part changed. `plain` where the form's own weighting is not P itself. */
export interface Beside {
  readonly gatesOnly: Variant;
  readonly released: Variant;
  readonly plain?: Variant;
}
export const served: Form = 'JEI-DNN on errors';
export const oracle = 'Oracle';
export const full = 'Full network';

export interface ConformalFigures {
  readonly variant: ConformalVariant;
  /** Mean set size at the largest α whose miss rate is below .05; null where no α is. */
  readonly size: number | null;
  readonly alpha: number | null;
  readonly missRate: number | null;
}

/** What is looked at for each λ of a form of the method beside its operating point. */
export interface Details {
  readonly costWeight: number;
  /** Kept epoch. */
  readonly epoch: number;
  readonly exits: evaluation.OperatingPoint['exits'];
  /** NLL of uniformly trained IMs minus NLL of the exit-weighted ones, on test samples that the method lets out. */
  readonly gapBefore: GapFigures;
  /** The same with the method's IMs in the place of the uniform ones, against IMs trained with weights P. */
  readonly gapAfter: GapFigures | null;
  /**
   * Of learned gates and of thresholds on the same IMs, the method's own and the warm-up's, in what the form's gates
   * weigh cost against.
   */
  readonly regret: { readonly own: RegretFigures; readonly warmup: RegretFigures };
  readonly conformal: readonly ConformalFigures[];
}
type GapFigures = ReturnType<typeof evaluation.selectionGap>;
export interface RegretFigures {
  readonly gates: number;
  readonly maxP: number;
  readonly entropy: number;
}

export interface SeedResult {
  readonly seed: number;
  readonly fullAccuracy: number;
  readonly fullEce: number;
  /** Accuracy on all test samples of each early exit's classifier. */
  readonly exitAccuracy: Readonly<Record<string, readonly number[]>>;
  readonly methods: Readonly<Record<string, readonly Point[]>>;
  readonly details: Readonly<Record<Form, readonly Details[]>>;
}

export interface SeedRun {
  readonly result: SeedResult;
  /** The exits of the kind that ships. */
  readonly trained: readonly TrainedMember[];
}

/** All methods for one seed. */
export async function benchSeed(options: BenchOptions): Promise<SeedRun> {
  const { device, cache, costs, costWeights, seed, epochs, warmupEpochs, signal } = options;
  const names = Object.keys(variants) as Variant[];
  // shares of the time, as measured; only the bar depends on them
  const stages = { warmup: 2, separate: 4, boosted: 10, l2w: 12, population: 60, sequential: 12 };
  const total = Object.values(stages).reduce((a, b) => a + b);
  let passed = 0;
  const stage = async <T>(
    name: keyof typeof stages,
    run: (common: TrainingOptions) => Promise<T>,
  ): Promise<T> => {
    const value = await run({
      device,
      layout: cache,
      train: cache.train,
      validation: cache.validation,
      costs,
      seed,
      ...(signal ? { signal } : {}),
      onBatch: (done, all) => options.onProgress?.((passed + (stages[name] * done) / all) / total, name),
    });
    passed += stages[name];
    options.onProgress?.(passed / total, name);
    return value;
  };

  const warm = await stage('warmup', (common) => warmUp({ ...common, epochs: warmupEpochs }));
  const alone = {
    epochs,
    patience: Number.POSITIVE_INFINITY,
    anneal: true,
    scales: cache.widths.map(() => 1),
  };
  const separate = await stage('separate', (common) => warmUp({ ...common, ...alone }));
  const boosted = await stage('boosted', (common) => trainBoosted({ ...common, epochs }));
  const l2w = await stage('l2w', (common) => trainL2w({ ...common, epochs }));
  const members = names.map((name) =>
    costWeights[variants[name].loss].map((costWeight): Member => ({ costWeight, ...variants[name] })),
  );
  const nats = costWeights['cross-entropy'];
  const trained = await stage('population', (common) =>
    trainExits({
      ...common,
      members: members.flat(),
      start: warm.tensors,
      epochs,
      ...(options.turn === undefined ? {} : { turn: options.turn }),
    }),
  );
  const inSequence = await stage('sequential', async (common) => {
    const half = Math.max(1, Math.floor(epochs / 2));
    const uniform: Member = {
      costWeight: 0,
      weighting: cache.widths.map(() => 1 / costs.length),
      select: 'last',
    };
    const [heads] = await trainExits({
      ...common,
      members: [uniform],
      start: warm.tensors,
      epochs: half,
      only: 'heads',
    });
    const gates = nats.map((costWeight): Member => ({ ...paper, costWeight }));
    return trainExits({
      ...common,
      members: gates,
      start: heads!.tensors,
      epochs: epochs - half,
      only: 'gates',
    });
  });
  const of = (name: Variant) => {
    const from = members.slice(0, names.indexOf(name)).flat().length;
    return trained.slice(from, from + costWeights[variants[name].loss].length);
  };

  const evaluator = await evaluation.Evaluator.create(device, cache, warm.tensors);
  const boostedEvaluator = await evaluation.Evaluator.create(device, cache, warm.tensors, boostedLogits);
  try {
    const both = async (tensors: ExitTensors, by = evaluator): Promise<Both> => ({
      validation: await by.evaluate(tensors, cache.validation),
      test: await by.evaluate(tensors, cache.test),
    });
    const warmup = await both(warm.tensors);
    const methods: Record<string, Point[]> = {};
    const exitAccuracy: Record<string, readonly number[]> = {};
    const threshold = (name: string, heads: Both, scores: readonly evaluation.Score[]) => {
      for (const score of scores)
        methods[`${name}, ${score}`] = thresholdPoints(heads, score, costs).map(({ point }) => point);
      exitAccuracy[name] = earlyAccuracy(heads.test, costs);
    };
    threshold('Warm-up IMs', warmup, ['max-p', 'entropy']);
    threshold('Separate IMs', await both(separate.tensors), ['max-p', 'entropy']);
    threshold('BoostedNet', await both(boosted, boostedEvaluator), ['max-p']);
    threshold('L2W-DEN', await both(l2w), ['max-p']);
    methods[oracle] = nats.map((costWeight) =>
      point(costWeight, warmup.test, evaluation.byOracle(warmup.test, costs, costWeight), costs),
    );

    for (const [name, sets] of [
      ...names.map((name) => [name, of(name)] as const),
      [sequential, inSequence] as const,
    ]) {
      const points: Point[] = [];
      for (const { member, tensors } of sets) {
        const outputs = await evaluator.evaluate(tensors, cache.test);
        const taken = evaluation.byGates(outputs, settled(member).rule);
        points.push(point(member.costWeight, outputs, taken, costs));
      }
      methods[name] = points;
    }
    methods[independent] = [];
    const single = nearest(nats, 0.1);
    const details = {} as Record<Form, Details[]>;
    for (const [form, others] of Object.entries(forms) as [Form, Beside][]) {
      const { loss } = variants[form];
      details[form] = [];
      for (const [i, set] of of(form).entries()) {
        const { costWeight } = set.member;
        const { rule } = settled(set.member);
        const own = await both(set.tensors);
        const beside = (name: Variant) => evaluator.evaluate(of(name)[i]!.tensors, cache.test);
        const gatesOnly = await beside(others.gatesOnly);
        const taken = evaluation.byGates(own.test, rule);
        if (form === 'JEI-DNN') {
          methods[independent].push(
            point(costWeight, own.test, evaluation.byGates(own.test, 'independent'), costs),
          );
          if (costWeight === single)
            methods[varied] = taus.map((tau) =>
              point(tau, own.test, evaluation.byGates(own.test, 'joint', tau), costs),
            );
        }
        const regrets = (heads: Both, outputs: evaluation.ExitOutputs, exits: evaluation.Taken) => ({
          gates: evaluation.regret(outputs, exits, costs, costWeight, loss),
          ...thresholdRegrets(heads, costs, costWeight, loss),
        });
        details[form].push({
          costWeight,
          epoch: set.epoch,
          exits: evaluation.operatingPoint(own.test, taken, costs).exits,
          gapBefore: evaluation.selectionGap(await beside(others.released), own.test, taken),
          gapAfter: others.plain
            ? evaluation.selectionGap(own.test, await beside(others.plain), taken)
            : null,
          regret: {
            own: regrets(own, own.test, taken),
            warmup: regrets(warmup, gatesOnly, evaluation.byGates(gatesOnly, rule)),
          },
          conformal: conformalFigures(own, rule),
        });
        if (i === Math.floor(of(form).length / 2)) exitAccuracy[form] = earlyAccuracy(own.test, costs);
      }
    }
    const all = evaluation.operatingPoint(
      warmup.test,
      new Uint8Array(cache.test.length).fill(costs.length - 1),
      costs,
    );
    const result = { seed, fullAccuracy: all.accuracy, fullEce: all.ece, exitAccuracy, methods, details };
    return { result, trained: of(served) };
  } finally {
    await evaluator.dispose();
    await boostedEvaluator.dispose();
  }
}

/** τ of the extension; ½ is what is trained for. */
const taus: readonly number[] = Array.from({ length: 19 }, (_, i) => (i + 1) / 20);

function nearest(values: readonly number[], to: number): number {
  return values.reduce((a, b) => (Math.abs(b - to) < Math.abs(a - to) ? b : a));
}

/** A set of exits on the split where settings are chosen and on the one where they are judged. */
interface Both {
  readonly validation: evaluation.ExitOutputs;
  readonly test: evaluation.ExitOutputs;
}

function point(
  setting: number,
  outputs: evaluation.ExitOutputs,
  taken: evaluation.Taken,
  costs: readonly number[],
): Point {
  const { cost, accuracy, crossEntropy, ece, overconfidence } = evaluation.operatingPoint(
    outputs,
    taken,
    costs,
  );
  return { setting, cost, accuracy, crossEntropy, ece, overconfidence };
}

/** One point a q; thresholds from validation. */
function thresholdPoints({ validation, test }: Both, score: evaluation.Score, costs: readonly number[]) {
  const [chosen, judged] = [validation, test].map((outputs) => evaluation.certainty(outputs, score));
  return evaluation.shareBases.map((q) => {
    const thresholds = evaluation.thresholdsFor(chosen!, q);
    const taken = evaluation.byThresholds(judged!, thresholds);
    return {
      point: point(q, test, taken, costs),
      taken,
      onValidation: point(q, validation, evaluation.byThresholds(chosen!, thresholds), costs),
    };
  });
}

/** Of the setting with the best loss + λ·cost on validation, for each of the two scores. */
function thresholdRegrets(heads: Both, costs: readonly number[], costWeight: number, loss: ExitLoss) {
  const of = (score: evaluation.Score) => {
    const objective = ({ onValidation }: { onValidation: Point }) =>
      (loss === 'error' ? 1 - onValidation.accuracy : onValidation.crossEntropy) +
      costWeight * onValidation.cost;
    const best = thresholdPoints(heads, score, costs).reduce((a, b) => (objective(b) < objective(a) ? b : a));
    return evaluation.regret(heads.test, best.taken, costs, costWeight, loss);
  };
  return { maxP: of('max-p'), entropy: of('entropy') };
}

function earlyAccuracy(outputs: evaluation.ExitOutputs, costs: readonly number[]): number[] {
  const nowhere = new Uint8Array(outputs.labels.length);
  return evaluation
    .operatingPoint(outputs, nowhere, costs)
    .exits.slice(0, -1)
    .map(({ accuracyAll }) => accuracyAll);
}

const conformalVariants: readonly ConformalVariant[] = ['general', 'exit', 'strict', 'all'];

function conformalFigures({ validation, test }: Both, rule: ExitRule): ConformalFigures[] {
  const predictions = (outputs: evaluation.ExitOutputs): ExitPredictions => ({
    probabilities: outputs.probabilities,
    labels: outputs.labels,
    exits: evaluation.byGates(outputs, rule),
  });
  const [fromValidation, onTest] = [predictions(validation), predictions(test)];
  return conformalVariants.map((variant) => {
    const none = { variant, size: null, alpha: null, missRate: null };
    try {
      const { reported } = conformalTable(fromValidation, onTest, variant);
      if (!reported) return none;
      return { variant, size: reported.inefficiency, alpha: reported.alpha, missRate: reported.missRate };
    } catch (error) {
      // `strict` has no quantile for an exit that no validation sample takes
      if (error instanceof RangeError) return none;
      throw error;
    }
  });
}
