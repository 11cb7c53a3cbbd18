/** Plots of the report. */

import { type Figure, mean } from '@working-papers/edition';
import type { Point, SeedResult } from './bench.ts';
import { full, independent, sequential, served, varied } from './methods.ts';
import { asServed, method, warmupThresholds } from './results.ts';
import type { Timing } from './timing.ts';

/** Settings are the same for every seed: a point each, with the seeds' range of accuracy. */
function seedMeans(seeds: readonly SeedResult[], name: string) {
  return curvePoints(seeds, name).map((same) => {
    const accuracies = same.map(({ accuracy }) => 100 * accuracy);
    return {
      x: round(mean(same.map(({ cost }) => cost)), 4),
      y: round(mean(accuracies), 3),
      ...(seeds.length > 1
        ? { low: round(Math.min(...accuracies), 3), high: round(Math.max(...accuracies), 3) }
        : {}),
    };
  });
}

export function curvePoints(seeds: readonly SeedResult[], name: string): Point[][] {
  return (seeds[0]!.methods[name] ?? []).map((_, i) => seeds.map((seed) => seed.methods[name]![i]!));
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

function byCost<P extends { readonly x: number }>(points: readonly P[]): P[] {
  return points.toSorted((a, b) => a.x - b.x);
}

export function figuresOf(seeds: readonly SeedResult[], timings: readonly Timing[]): Figure[] {
  const series = (names: readonly string[], role: 'method' | 'baseline' | 'reference') =>
    names.map((name) => ({ name, role, points: byCost(seedMeans(seeds, name)) }));
  const whole = { x: 1, y: round(100 * mean(seeds.map(({ fullAccuracy }) => fullAccuracy)), 3) };
  const cost = { label: 'Mean multiply–adds', unit: 'of the full network' };
  const accuracy = { label: 'Test accuracy', unit: '%' };
  const all: Figure[] = [
    {
      id: 'accuracy-cost',
      title: 'Accuracy against cost',
      description:
        'Accuracy of the exits taken against the mean share of the full network that was computed. One point a cost weight for methods with gates, one a threshold setting for the others; bars are the range over seeds.',
      x: cost,
      y: accuracy,
      series: [
        ...series([served, method, 'Gates only on errors', 'Gates only'], 'method'),
        ...series(
          [...warmupThresholds.slice(0, 1), 'Separate IMs, max-p', 'BoostedNet, max-p', 'L2W-DEN, max-p'],
          'baseline',
        ),
        { name: full, role: 'reference' as const, points: [whole] },
      ],
    },
    {
      id: 'ablations',
      title: 'What each part of the method does',
      description: 'The method and its variants, each trained with the same seeds, cost weights and steps.',
      x: cost,
      y: accuracy,
      series: [
        ...series([method], 'method'),
        ...series(
          [
            'JEI-DNN, released weighting',
            'JEI-DNN, plain P',
            'JEI-DNN, released targets',
            'JEI-DNN, gates see max p only',
            'JEI-DNN, w⁺ = 1',
            sequential,
            independent,
            varied,
            'Gates only, advantage of cross-entropy',
          ],
          'baseline',
        ),
      ],
    },
  ];
  for (const batchSize of [...new Set(timings.map((timing) => timing.batchSize))]) {
    const mine = asServed(timings, batchSize);
    const at = new Map(
      seedMeans(seeds, served).map((point, i) => [seeds[0]!.methods[served]![i]!.setting, point.y]),
    );
    const measured = mine.flatMap(({ costWeight, ratio }) => {
      const y = at.get(costWeight);
      return y === undefined ? [] : [{ x: round(ratio, 4), y }];
    });
    if (measured.length === 0) continue;
    all.push({
      id: `accuracy-time-${batchSize}`,
      title: `Accuracy against measured time, batch ${batchSize}`,
      description: `Wall-clock time on the CPU as a share of the full network's, measured in pairs on the same pictures, batch ${batchSize}.`,
      x: { label: 'Time', unit: 'of the full network' },
      y: accuracy,
      series: [
        { name: served, role: 'method', points: byCost(measured) },
        { name: full, role: 'reference', points: [whole] },
      ],
    });
  }
  return all;
}
