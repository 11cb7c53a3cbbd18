/**
 * How often, and with which probability, a classifier is right.
 * Scores and probabilities are row-major (N, K) for N labels; all functions throw a RangeError for ill-fitting ones.
 */
import { argMax, countClasses } from './rows.ts';

/** The share of samples whose label is among the `k` highest scores; of equal scores the first class ranks first. */
export function accuracy(scores: ArrayLike<number>, labels: ArrayLike<number>, k = 1): number {
  const classes = countClasses(scores, labels);
  let right = 0;
  for (let n = 0; n < labels.length; n++) {
    const label = labels[n]!;
    const own = scores[n * classes + label]!;
    let rank = 0;
    for (let j = 0; j < classes; j++) {
      const score = scores[n * classes + j]!;
      if (score > own || (score === own && j < label)) rank++;
    }
    if (rank < k) right++;
  }
  return right / labels.length;
}

/** Counts (K, K), row-major: rows are labels, columns predictions. */
export function confusionMatrix(scores: ArrayLike<number>, labels: ArrayLike<number>): Uint32Array {
  const classes = countClasses(scores, labels);
  const counts = new Uint32Array(classes * classes);
  for (let n = 0; n < labels.length; n++) counts[labels[n]! * classes + argMax(scores, classes, n)]!++;
  return counts;
}

/** The mean of -ln p(label), in nats; infinite when a label has probability 0. */
export function negativeLogLikelihood(probabilities: ArrayLike<number>, labels: ArrayLike<number>): number {
  const classes = countClasses(probabilities, labels);
  let sum = 0;
  for (let n = 0; n < labels.length; n++) sum -= Math.log(probabilities[n * classes + labels[n]!]!);
  return sum / labels.length;
}

/** The mean over samples of the squared distance to the one-hot label, 0..2. Brier, 1950. */
export function brierScore(probabilities: ArrayLike<number>, labels: ArrayLike<number>): number {
  const classes = countClasses(probabilities, labels);
  let sum = 0;
  for (let n = 0; n < labels.length; n++) {
    for (let k = 0; k < classes; k++) {
      sum += (probabilities[n * classes + k]! - (k === labels[n] ? 1 : 0)) ** 2;
    }
  }
  return sum / labels.length;
}
