/** Tables of the report. */

import { mean, percent, signed, type Table } from '@working-papers/edition';
import { accuracyAtCost } from '@working-papers/metrics/curves';
import type { Details, SeedResult } from './bench.ts';
import { curvePoints } from './figures.ts';
import { type Form, forms } from './methods.ts';
import { curve, type Measured } from './results.ts';
import type { Timing } from './timing.ts';

type Cell = string | number;
const hundred = (digits: number) => (value: number) => (100 * value).toFixed(digits);

/** The mean of what is known, or `none`. */
function cell(values: readonly (number | null)[], format: (value: number) => string): string {
  const known = values.filter((value) => value !== null && Number.isFinite(value)) as number[];
  return known.length > 0 ? format(mean(known)) : 'none';
}

export function tablesOf({ seeds, timings, settings }: Measured): Table[] {
  const perForm = (Object.keys(forms) as Form[]).flatMap((form) => [
    byCostWeight(seeds, form),
    conformal(seeds, form),
    exitsOf(seeds, form, settings.costs),
  ]);
  const tables = [accuracies(seeds), calibration(seeds), ...perForm];
  return timings.length > 0 ? [...tables, times(timings)] : tables;
}

function accuracies(seeds: readonly SeedResult[]): Table {
  const columns = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
  const full = percent(mean(seeds.map(({ fullAccuracy }) => fullAccuracy)));
  return {
    title: `Test accuracy in % at a cost, as a share of the full network's, which has ${full} at 1 (mean over seeds)`,
    columns: ['Method', ...columns.map((cost) => cost.toFixed(1))],
    rows: Object.keys(seeds[0]!.methods).map((name) => [
      name,
      ...columns.map((cost) =>
        cell(
          seeds.map((seed) => accuracyAtCost(curve(seed, name), cost) ?? null),
          hundred(2),
        ),
      ),
    ]),
  };
}

function calibration(seeds: readonly SeedResult[]): Table {
  return {
    title: 'Calibration near cost .6: the setting whose cost is nearest, mean over seeds',
    columns: ['Method', 'Cost', 'Accuracy %', 'ECE %', 'Overconfidence %'],
    rows: Object.keys(seeds[0]!.methods).map((name) => {
      const nearest = seeds.map((seed) =>
        seed.methods[name]!.reduce((a, b) => (Math.abs(b.cost - 0.6) < Math.abs(a.cost - 0.6) ? b : a)),
      );
      return [name, ...point(nearest)];
    }),
  };
}

function point(same: readonly SeedResult['methods'][string][number][]): Cell[] {
  return [
    cell(
      same.map((p) => p.cost),
      (v) => v.toFixed(3),
    ),
    cell(
      same.map((p) => p.accuracy),
      hundred(2),
    ),
    cell(
      same.map((p) => p.ece),
      hundred(2),
    ),
    cell(
      same.map((p) => p.overconfidence),
      (v) => signed(100 * v, 2),
    ),
  ];
}

/** One row a λ: `row` has the λ's operating points and details, one a seed. */
function rowsOf(
  seeds: readonly SeedResult[],
  form: Form,
  row: (points: SeedResult['methods'][string], details: readonly Details[]) => readonly Cell[],
): (readonly Cell[])[] {
  return seeds[0]!.details[form].map(({ costWeight }, i) => [
    String(costWeight),
    ...row(
      seeds.map((seed) => seed.methods[form]![i]!),
      seeds.map((seed) => seed.details[form][i]!),
    ),
  ]);
}

function byCostWeight(seeds: readonly SeedResult[], form: Form): Table {
  return {
    title: `${form} for each cost weight λ (test set, mean over seeds)`,
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
    rows: rowsOf(seeds, form, (points, details) => [
      ...point(points),
      cell(
        details.map(({ gapBefore }) => gapBefore.total),
        (v) => signed(v),
      ),
      ...(['gates', 'maxP', 'entropy'] as const).map((rule) =>
        cell(
          details.map(({ regret }) => regret.own[rule]),
          (v) => v.toFixed(3),
        ),
      ),
    ]),
  };
}

function conformal(seeds: readonly SeedResult[], form: Form): Table {
  return {
    title: `Conformal sets of ${form}: mean size at the largest α with fewer than 5 % misses (miss rate in %)`,
    columns: ['λ', 'general', 'IM', 'strict', 'all'],
    rows: rowsOf(seeds, form, (_, details) =>
      (['general', 'exit', 'strict', 'all'] as const).map((variant) => {
        const found = details.flatMap((each) => each.conformal.filter((one) => one.variant === variant));
        const size = cell(
          found.map((each) => each.size),
          (v) => v.toFixed(2),
        );
        const missed = cell(
          found.map((each) => each.missRate),
          hundred(1),
        );
        return size === 'none' ? 'none' : `${size} (${missed})`;
      }),
    ),
  };
}

/** The exits one by one, at the λ whose mean cost is nearest to .6. */
function exitsOf(seeds: readonly SeedResult[], form: Form, costs: readonly number[]): Table {
  const distances = curvePoints(seeds, form).map((same) => Math.abs(mean(same.map((p) => p.cost)) - 0.6));
  const central = distances.indexOf(Math.min(...distances));
  return {
    title: `The exits of ${form} at λ = ${seeds[0]!.details[form][central]!.costWeight} (test set, mean over seeds)`,
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
      const exits = seeds.map((seed) => seed.details[form][central]!.exits[l]!);
      const warm = seeds.map((seed) => seed.exitAccuracy['Warm-up IMs']?.[l] ?? null);
      return [
        l + 1,
        cost.toFixed(3),
        cell(
          exits.map((e) => e.share),
          hundred(1),
        ),
        cell(
          exits.map((e) => e.accuracyExited),
          hundred(1),
        ),
        cell(
          exits.map((e) => e.accuracyAll),
          hundred(1),
        ),
        cell(
          exits.map((e) => e.overconfidenceExited),
          (v) => signed(100 * v, 1),
        ),
        l === costs.length - 1 ? 'frozen' : cell(warm, hundred(1)),
      ];
    }),
  };
}

function times(timings: readonly Timing[]): Table {
  return {
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
      t.efficiency === null ? 'none' : t.efficiency.toFixed(2),
    ]),
  };
}
