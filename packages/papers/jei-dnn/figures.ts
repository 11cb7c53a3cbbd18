/** Plots and tables of the report. */

import { accuracyAtCost } from '@working-papers/metrics/curves';
import { full, independent, type Point, type SeedResult, sequential, varied } from './bench.ts';
import {
  curve,
  type Figure,
  type Measured,
  mean,
  method,
  percent,
  served,
  signed,
  type Table,
  warmupThresholds,
} from './results.ts';
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

function curvePoints(seeds: readonly SeedResult[], name: string): Point[][] {
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
        ...series([method, 'Gates only'], 'method'),
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
            'JEI-DNN, gates see max p only',
            'JEI-DNN, w⁺ = 1',
            sequential,
            independent,
            varied,
          ],
          'baseline',
        ),
      ],
    },
  ];
  for (const batchSize of [...new Set(timings.map((timing) => timing.batchSize))]) {
    const mine = served(timings, batchSize);
    const at = new Map(
      seedMeans(seeds, method).map((point, i) => [seeds[0]!.methods[method]![i]!.setting, point.y]),
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
        { name: method, role: 'method', points: byCost(measured) },
        { name: full, role: 'reference', points: [whole] },
      ],
    });
  }
  return all;
}

export function tablesOf({ seeds, timings, settings }: Measured): Table[] {
  const { costs } = settings;
  const cell = (values: readonly (number | null)[], format: (value: number) => string) => {
    const known = values.filter((value) => value !== null && Number.isFinite(value)) as number[];
    return known.length > 0 ? format(mean(known)) : 'none';
  };
  const names = Object.keys(seeds[0]!.methods);
  const at = (name: string, cost: number) =>
    cell(
      seeds.map((seed) => accuracyAtCost(curve(seed, name), cost) ?? null),
      (value) => (100 * value).toFixed(2),
    );
  const columns = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
  const list: Table[] = [
    {
      title: `Test accuracy in % at a cost, as a share of the full network's, which has ${percent(mean(seeds.map(({ fullAccuracy }) => fullAccuracy)))} at 1 (mean over seeds)`,
      columns: ['Method', ...columns.map((cost) => cost.toFixed(1))],
      rows: names.map((name) => [name, ...columns.map((cost) => at(name, cost))]),
    },
    {
      title: 'JEI-DNN for each cost weight λ (test set, mean over seeds)',
      columns: [
        'λ',
        'Cost',
        'Accuracy %',
        'ECE %',
        'Overconfidence %',
        'Selection gap (nats)',
        'Regret: gates',
        'max p',
        'entropy',
      ],
      rows: settings.costWeights.map((costWeight, i) => {
        const same = seeds.map((seed) => seed.methods[method]![i]!);
        const details = seeds.map((seed) => seed.details[i]!);
        const regretOf = (rule: 'gates' | 'maxP' | 'entropy') =>
          cell(
            details.map(({ regret }) => regret.own[rule]),
            (v) => v.toFixed(3),
          );
        return [
          String(costWeight),
          cell(
            same.map((p) => p.cost),
            (v) => v.toFixed(3),
          ),
          cell(
            same.map((p) => p.accuracy),
            (v) => (100 * v).toFixed(2),
          ),
          cell(
            same.map((p) => p.ece),
            (v) => (100 * v).toFixed(2),
          ),
          cell(
            same.map((p) => p.overconfidence),
            (v) => signed(100 * v, 2),
          ),
          cell(
            details.map(({ gapBefore }) => gapBefore.total),
            (v) => signed(v),
          ),
          regretOf('gates'),
          regretOf('maxP'),
          regretOf('entropy'),
        ];
      }),
    },
    {
      title: 'Calibration near cost .6: the setting whose cost is nearest, mean over seeds',
      columns: ['Method', 'Cost', 'Accuracy %', 'ECE %', 'Overconfidence %'],
      rows: names.map((name) => {
        const nearest = seeds.map((seed) =>
          seed.methods[name]!.reduce((a, b) => (Math.abs(b.cost - 0.6) < Math.abs(a.cost - 0.6) ? b : a)),
        );
        return [
          name,
          cell(
            nearest.map((p) => p.cost),
            (v) => v.toFixed(3),
          ),
          cell(
            nearest.map((p) => p.accuracy),
            (v) => (100 * v).toFixed(2),
          ),
          cell(
            nearest.map((p) => p.ece),
            (v) => (100 * v).toFixed(2),
          ),
          cell(
            nearest.map((p) => p.overconfidence),
            (v) => signed(100 * v, 2),
          ),
        ];
      }),
    },
    {
      title:
        'Conformal sets of JEI-DNN: mean size at the largest α with fewer than 5 % misses (miss rate in %)',
      columns: ['λ', 'general', 'IM', 'strict', 'all'],
      rows: settings.costWeights.map((costWeight, i) => [
        String(costWeight),
        ...(['general', 'exit', 'strict', 'all'] as const).map((variant) => {
          const found = seeds.flatMap((seed) =>
            seed.details[i]!.conformal.filter((each) => each.variant === variant),
          );
          const size = cell(
            found.map((each) => each.size),
            (v) => v.toFixed(2),
          );
          return size === 'none'
            ? 'none'
            : `${size} (${cell(
                found.map((each) => each.missRate),
                (v) => (100 * v).toFixed(1),
              )})`;
        }),
      ]),
    },
  ];
  const central = nearestIndex(seeds, 0.6);
  list.push({
    title: `The exits at λ = ${settings.costWeights[central]} (test set, mean over seeds)`,
    columns: [
      'Exit',
      'c',
      'Share %',
      'Accuracy on those that leave %',
      'Accuracy on all %',
      'Overconfidence on those that leave %',
      'Warm-up IM on all %',
    ],
    rows: costs.map((cost, l) => {
      const exits = seeds.map((seed) => seed.details[central]!.exits[l]!);
      const warm = seeds.map((seed) => seed.exitAccuracy['Warm-up IMs']?.[l] ?? null);
      const hundred = (v: number) => (100 * v).toFixed(1);
      return [
        l + 1,
        cost.toFixed(3),
        cell(
          exits.map((e) => e.share),
          hundred,
        ),
        cell(
          exits.map((e) => e.accuracyExited),
          hundred,
        ),
        cell(
          exits.map((e) => e.accuracyAll),
          hundred,
        ),
        cell(
          exits.map((e) => e.overconfidenceExited),
          (v) => signed(100 * v, 1),
        ),
        l === costs.length - 1 ? 'frozen' : cell(warm, hundred),
      ];
    }),
  });
  if (timings.length > 0) {
    list.push({
      title: 'Time on the CPU, early exit over full network (medians of pairs)',
      columns: [
        'Batch',
        'λ',
        'Compaction',
        'Graphs',
        'Full ms/picture',
        'Early ms/picture',
        'Ratio',
        'Quartiles',
        'Cost',
        'Efficiency',
      ],
      rows: timings.map((t) => [
        t.batchSize,
        String(t.costWeight),
        t.compaction ? 'on' : 'off',
        t.graphs,
        t.full.toFixed(3),
        t.early.toFixed(3),
        t.ratio.toFixed(3),
        `${t.ratioLow.toFixed(2)}–${t.ratioHigh.toFixed(2)}`,
        t.cost.toFixed(3),
        t.efficiency.toFixed(2),
      ]),
    });
  }
  return list;
}

/** The λ whose mean cost is nearest to `cost`. */
function nearestIndex(seeds: readonly SeedResult[], cost: number): number {
  const costs = curvePoints(seeds, method).map((same) => Math.abs(mean(same.map((p) => p.cost)) - cost));
  return costs.indexOf(Math.min(...costs));
}
