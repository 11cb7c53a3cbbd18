/**
 * Split conformal prediction: sets of classes that contain the label with probability 1 - alpha, from the scores of
 * a validation set that is exchangeable with the test set. Also by exit, for networks that answer at several depths.
 * Vovk et al., "Algorithmic Learning in a Random World", 2005; variants by exit as in JEI-DNN, arXiv 2310.09163.
 */
import { ascending, quantile } from './quantile.ts';
import { countClasses, mean } from './rows.ts';

/** Nonconformity 1 - p(label) of each sample, from probabilities (N, K). */
export function conformalScores(probabilities: ArrayLike<number>, labels: ArrayLike<number>): Float64Array {
  const classes = countClasses(probabilities, labels);
  return Float64Array.from({ length: labels.length }, (_, n) => 1 - probabilities[n * classes + labels[n]!]!);
}

/**
 * The threshold on scores: their quantile at level ceil((n + 1)(1 - alpha)) / n, at most 1, taking the higher
 * neighbour. Throws a RangeError for no scores and unless 0 < alpha < 1.
 */
export function conformalThreshold(scores: ArrayLike<number>, alpha: number): number {
  const n = scores.length;
  if (n === 0) throw new RangeError('conformal threshold of no validation scores');
  if (!(alpha > 0 && alpha < 1)) throw new RangeError(`alpha ${alpha} is not between 0 and 1`);
  const rank = Math.ceil((n + 1) * (1 - alpha) - 1e-9); // 20 * 0.95 is 19, whatever its last bit says
  return quantile(ascending(scores), Math.min(1, rank / n), 'higher');
}

/** Sets of classes, one a sample, by their sizes and whether they hold the label. */
export interface PredictionSets {
  /** Classes in each sample's set. */
  readonly sizes: Uint32Array;
  /** 1 where the set has the label. */
  readonly covered: Uint8Array;
  /** Mean size. */
  readonly inefficiency: number;
  /** Share of sets without the label, to be compared with alpha. */
  readonly missRate: number;
}

/** The sets {k : 1 - p_k <= threshold} of probabilities (N, K), with one threshold or one a sample. */
export function predictionSets(
  probabilities: ArrayLike<number>,
  labels: ArrayLike<number>,
  threshold: number | ArrayLike<number>,
): PredictionSets {
  const classes = countClasses(probabilities, labels);
  const sizes = new Uint32Array(labels.length);
  const covered = new Uint8Array(labels.length);
  for (let n = 0; n < labels.length; n++) {
    const limit = typeof threshold === 'number' ? threshold : threshold[n]!;
    for (let k = 0; k < classes; k++) {
      if (1 - probabilities[n * classes + k]! <= limit) {
        sizes[n]!++;
        if (k === labels[n]) covered[n] = 1;
      }
    }
  }
  return { sizes, covered, inefficiency: mean(sizes), missRate: 1 - mean(covered) };
}

/** What a network with exits says about a set: at every exit, and where each sample left. */
export interface ExitPredictions {
  /** For each exit probabilities (N, K). */
  readonly probabilities: readonly ArrayLike<number>[];
  readonly labels: ArrayLike<number>;
  /** The exit that each sample takes, from 0. */
  readonly exits: ArrayLike<number>;
}

/**
 * On which validation samples an exit's threshold rests:
 * - `general`: one threshold for all exits, from each sample at the exit it takes
 * - `exit`: those that leave there if they are more than 20, else all samples at that exit (JEI-DNN's "IM")
 * - `strict`: those that leave there, however few
 * - `all`: all samples at that exit
 */
export type ConformalVariant = 'general' | 'exit' | 'strict' | 'all';

/** One threshold an exit; NaN for an exit that no validation sample takes, under `strict`. */
export function exitThresholds(
  validation: ExitPredictions,
  alpha: number,
  variant: ConformalVariant,
): Float64Array {
  const { probabilities, labels, exits } = validation;
  if (variant === 'general') {
    const scores = conformalScores(takenProbabilities(validation), labels);
    return new Float64Array(probabilities.length).fill(conformalThreshold(scores, alpha));
  }
  return Float64Array.from(probabilities, (atExit, exit) => {
    const scores = conformalScores(atExit, labels);
    const leaving = scores.filter((_, n) => exits[n] === exit);
    if (variant === 'all' || (variant === 'exit' && leaving.length <= 20))
      return conformalThreshold(scores, alpha);
    return leaving.length > 0 ? conformalThreshold(leaving, alpha) : Number.NaN;
  });
}

/** The sets of each sample at the exit it takes. Throws a RangeError when that exit has no threshold. */
export function exitPredictionSets(test: ExitPredictions, thresholds: ArrayLike<number>): PredictionSets {
  const limits = Float64Array.from({ length: test.labels.length }, (_, n) => {
    const exit = test.exits[n]!;
    const limit = thresholds[exit];
    if (limit === undefined || Number.isNaN(limit)) {
      throw new RangeError(`sample ${n} leaves at exit ${exit}, which has no validation scores`);
    }
    return limit;
  });
  return predictionSets(takenProbabilities(test), test.labels, limits);
}

/** Probabilities (N, K) of each sample at the exit it takes. Throws a RangeError for an exit that is not there. */
function takenProbabilities({ probabilities, labels, exits }: ExitPredictions): Float64Array {
  if (probabilities.length === 0) throw new RangeError('no exits');
  const classes = countClasses(probabilities[0]!, labels);
  const taken = new Float64Array(labels.length * classes);
  for (let n = 0; n < labels.length; n++) {
    const rows = probabilities[exits[n]!];
    if (rows === undefined || rows.length !== taken.length) {
      throw new RangeError(
        `sample ${n} leaves at exit ${exits[n]}: no probabilities (${labels.length}, ${classes}) there`,
      );
    }
    for (let k = 0; k < classes; k++) taken[n * classes + k] = rows[n * classes + k]!;
  }
  return taken;
}

/** What sets are like at one rate of error. */
export interface ConformalRow {
  readonly alpha: number;
  readonly inefficiency: number;
  readonly missRate: number;
}

/** alpha = .01, .015, ..., .05 */
export const defaultAlphas: readonly number[] = Array.from({ length: 9 }, (_, i) => (10 + 5 * i) / 1000);

/** Set sizes and miss rates at each alpha, and the row of the largest alpha whose miss rate is below `maxMiss`. */
export function conformalTable(
  validation: ExitPredictions,
  test: ExitPredictions,
  variant: ConformalVariant,
  { alphas = defaultAlphas, maxMiss = 0.05 } = {},
): { readonly rows: ConformalRow[]; readonly reported: ConformalRow | undefined } {
  const rows = alphas.map((alpha) => {
    const { inefficiency, missRate } = exitPredictionSets(test, exitThresholds(validation, alpha, variant));
    return { alpha, inefficiency, missRate };
  });
  const below = rows.filter(({ missRate }) => missRate < maxMiss);
  return { rows, reported: below.sort((a, b) => b.alpha - a.alpha)[0] };
}
