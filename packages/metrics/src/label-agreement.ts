/** Whether pictures show what they were asked to show, as a classifier sees it. */
import { argMax, countClasses } from './rows.ts';

/** How often a classifier sees the class that was asked for. */
export interface LabelAgreement {
  /** Share of pictures whose most likely class is the one asked for. */
  readonly all: number;
  /** The same for the pictures of each class; NaN for a class that was not asked for. */
  readonly perClass: readonly number[];
}

/**
 * From a classifier's scores (N, K), logits or probabilities, and the N labels the pictures were made with. Throws a
 * RangeError for ill-fitting input.
 */
export function labelAgreement(scores: ArrayLike<number>, labels: ArrayLike<number>): LabelAgreement {
  const classes = countClasses(scores, labels);
  const [right, asked] = [new Float64Array(classes), new Float64Array(classes)];
  for (let n = 0; n < labels.length; n++) {
    const label = labels[n]!;
    asked[label] = asked[label]! + 1;
    if (argMax(scores, classes, n) === label) right[label] = right[label]! + 1;
  }
  return {
    all: right.reduce((a, b) => a + b) / labels.length,
    perClass: Array.from(right, (count, k) => count / asked[k]!),
  };
}
