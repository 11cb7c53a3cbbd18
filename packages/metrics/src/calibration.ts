/**
 * Whether a classifier that says "90 %" is right nine times of ten.
 */
import { ascending, quantile } from './quantile.ts';
import { argMax, countClasses } from './rows.ts';

/** One bin of a reliability diagram; means are NaN where `count` is 0. */
export interface ReliabilityBin {
  /** Confidences above `lower`, up to and with `upper`, are in this bin; the first bin also holds all below. */
  readonly lower: number;
  readonly upper: number;
  readonly count: number;
  readonly confidence: number;
  readonly accuracy: number;
}

/** How samples are put into bins. */
export interface BinningOptions {
  /** Default 15. */
  readonly bins?: number;
  /** Bins of equal counts (percentiles, linear interpolation), the default, or of equal width. */
  readonly binning?: 'quantile' | 'width';
}

/** The first guess for each sample. */
export interface Predictions {
  /** The highest probability of each sample. */
  readonly confidence: Float64Array;
  /** 1 where the class with that probability is the label. */
  readonly correct: Uint8Array;
}

/** Confidence and correctness from probabilities (N, K). */
export function topPredictions(probabilities: ArrayLike<number>, labels: ArrayLike<number>): Predictions {
  const classes = countClasses(probabilities, labels);
  const confidence = new Float64Array(labels.length);
  const correct = new Uint8Array(labels.length);
  for (let n = 0; n < labels.length; n++) {
    const best = argMax(probabilities, classes, n);
    confidence[n] = probabilities[n * classes + best]!;
    correct[n] = best === labels[n] ? 1 : 0;
  }
  return { confidence, correct };
}

/**
 * Mean confidence and accuracy by bins of confidence; the bin of a confidence is the number of inner edges below it.
 * Give the whole set at once: the mean of small batches measures their noise. Throws a RangeError for no samples.
 */
export function reliability(
  confidence: ArrayLike<number>,
  correct: ArrayLike<number>,
  { bins = 15, binning = 'quantile' }: BinningOptions = {},
): ReliabilityBin[] {
  if (confidence.length === 0) throw new RangeError('no samples');
  if (confidence.length !== correct.length) {
    throw new RangeError(`${confidence.length} confidences, but ${correct.length} outcomes`);
  }
  if (!Number.isInteger(bins) || bins < 1) throw new RangeError(`${bins} bins`);
  const sorted = ascending(confidence);
  const edges = Array.from({ length: bins + 1 }, (_, i) =>
    binning === 'width' ? i / bins : quantile(sorted, i / bins),
  );
  const inner = edges.slice(1, -1);
  const sums = edges.slice(1).map(() => ({ count: 0, confidence: 0, correct: 0 }));
  for (let n = 0; n < confidence.length; n++) {
    const bin = sums[countBelow(inner, confidence[n]!)]!;
    bin.count++;
    bin.confidence += confidence[n]!;
    bin.correct += correct[n]!;
  }
  return sums.map(({ count, confidence, correct }, i) => ({
    lower: edges[i]!,
    upper: edges[i + 1]!,
    count,
    confidence: confidence / count,
    accuracy: correct / count,
  }));
}

/** How many of the ascending `edges` are below `value`. */
function countBelow(edges: readonly number[], value: number): number {
  let count = 0;
  while (count < edges.length && edges[count]! < value) count++;
  return count;
}

/**
 * Expected calibration error, 0..1: the mean over samples of |accuracy - confidence| of their bin.
 * Naeini et al., AAAI 2015, with quantile bins by default.
 */
export function expectedCalibrationError(
  confidence: ArrayLike<number>,
  correct: ArrayLike<number>,
  options: BinningOptions = {},
): number {
  let sum = 0;
  for (const bin of reliability(confidence, correct, options)) {
    if (bin.count > 0) sum += bin.count * Math.abs(bin.accuracy - bin.confidence);
  }
  return sum / confidence.length;
}
