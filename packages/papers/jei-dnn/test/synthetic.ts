import { Random } from '@working-papers/nn/random';
import type { FeatureLayout, FeatureSplit } from '../features.ts';

/** Three early exits that see more of the class the deeper they are, and a last one that is nearly always right. */
export const layout: FeatureLayout = { widths: [4, 6, 8], classes: 3 };
export const costs = [0.25, 0.5, 0.75, 1];

/** Half of the samples are easy at every exit, the others only late. */
export function syntheticSplit(length: number, seed: number, views = 1): FeatureSplit {
  const random = new Random(seed);
  const labels = Int32Array.from({ length }, () => random.integer(layout.classes));
  const easy = Array.from({ length }, () => random.uniform() < 0.5);
  const total = layout.widths.reduce((a, b) => a + b, 0);
  const features = new Float32Array(views * length * total);
  const logits = new Float32Array(views * length * layout.classes);
  for (let row = 0; row < views * length; row++) {
    const n = row % length;
    let at = row * total;
    layout.widths.forEach((width, l) => {
      const strength = easy[n] ? 3 : 0.4 + 0.7 * l;
      for (let d = 0; d < width; d++)
        features[at++] = random.normal() * 0.7 + (d % layout.classes === labels[n] ? strength : 0);
    });
    for (let k = 0; k < layout.classes; k++)
      logits[row * layout.classes + k] = random.normal() + (k === labels[n] ? 4 : 0);
  }
  return { length, views, features, logits, labels };
}
