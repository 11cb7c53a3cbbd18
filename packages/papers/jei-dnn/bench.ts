/**
 * The experiment of the paper at our scale: on one frozen backbone, everything that decides where to leave, side by
 * side. Thresholds, conformal quantiles and epochs are chosen on the validation split; the test split is only read.
 */

import {
  type ConformalVariant,
  conformalTable,
  type ExitPredictions,
} from '@working-papers/metrics/conformal';
import { boostedLogits } from './baselines.ts';
import { type BenchOptions, trainSeed } from './bench-trainings.ts';
import * as evaluation from './evaluate.ts';
import {
  type Beside,
  type Form,
  forms,
  independent,
  oracle,
  sequential,
  served,
  type Variant,
  variants,
  varied,
} from './methods.ts';
import type { ExitRule } from './model.ts';
import type { ExitLoss } from './objective.ts';
import { type ExitTensors, settled } from './population-graphs.ts';
import type { TrainedMember } from './train.ts';

/** One setting of a method: a λ, or the q of its thresholds' shares. */
export interface Point {
  readonly setting: number;
  readonly cost: number;
  readonly accuracy: number;
  readonly crossEntropy: number;
  readonly ece: number;
  readonly overconfidence: number;
}

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
  const { device, cache, costs, costWeights, seed } = options;
  const nats = costWeights['cross-entropy'];
  const trained = await trainSeed(options);
  const evaluator = await evaluation.Evaluator.create(device, cache, trained.warmup);
  const boostedEvaluator = await evaluation.Evaluator.create(device, cache, trained.warmup, boostedLogits);
  try {
    const both = async (tensors: ExitTensors, by = evaluator): Promise<Both> => ({
      validation: await by.evaluate(tensors, cache.validation),
      test: await by.evaluate(tensors, cache.test),
    });
    const warmup = await both(trained.warmup);
    const methods: Record<string, Point[]> = {};
    const exitAccuracy: Record<string, readonly number[]> = {};
    const threshold = (name: string, heads: Both, scores: readonly evaluation.Score[]) => {
      for (const score of scores)
        methods[`${name}, ${score}`] = thresholdPoints(heads, score, costs).map(({ point }) => point);
      exitAccuracy[name] = earlyAccuracy(heads.test, costs);
    };
    threshold('Warm-up IMs', warmup, ['max-p', 'entropy']);
    threshold('Separate IMs', await both(trained.separate), ['max-p', 'entropy']);
    threshold('BoostedNet', await both(trained.boosted, boostedEvaluator), ['max-p']);
    threshold('L2W-DEN', await both(trained.l2w), ['max-p']);
    methods[oracle] = nats.map((costWeight) =>
      point(costWeight, warmup.test, evaluation.byOracle(warmup.test, costs, costWeight), costs),
    );

    for (const [name, sets] of [
      ...(Object.keys(variants) as Variant[]).map((name) => [name, trained.variant(name)] as const),
      [sequential, trained.inSequence] as const,
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
      for (const [i, set] of trained.variant(form).entries()) {
        const { costWeight } = set.member;
        const { rule } = settled(set.member);
        const own = await both(set.tensors);
        const beside = (name: Variant) => evaluator.evaluate(trained.variant(name)[i]!.tensors, cache.test);
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
        if (i === Math.floor(trained.variant(form).length / 2))
          exitAccuracy[form] = earlyAccuracy(own.test, costs);
      }
    }
    const all = evaluation.operatingPoint(
      warmup.test,
      new Uint8Array(cache.test.length).fill(costs.length - 1),
      costs,
    );
    const result = { seed, fullAccuracy: all.accuracy, fullEce: all.ece, exitAccuracy, methods, details };
    return { result, trained: trained.variant(served) };
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
