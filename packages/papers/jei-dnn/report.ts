/** From measured figures to the report that README and page show: every sentence's numbers are computed here. */

import { accuracyAtCost, type CurvePoint, costAtAccuracy } from '@working-papers/metrics/curves';
import type { RunManifest } from '@working-papers/paper/manifest';
import { full, independent, type Point, type SeedResult, sequential, varied } from './bench.ts';
import type { Timing } from './timing.ts';

/** `results.json`. */
export interface Results extends RunManifest {
  readonly settings: {
    readonly costWeights: readonly number[];
    readonly epochs: number;
    readonly warmupEpochs: number;
    readonly pictures: { readonly train: number; readonly validation: number; readonly test: number };
    readonly backboneHash: string;
    /** c_l. */
    readonly costs: readonly number[];
    readonly multiplyAdds: number;
    readonly quick: boolean;
  };
  readonly seeds: readonly SeedResult[];
  readonly timings: readonly Timing[];
  readonly report: Report;
}

/** What the page reads; the edition's package checks it. */
export interface Report {
  readonly measured: {
    readonly date: string;
    readonly machine: string;
    readonly seeds: number;
    readonly command: string;
  };
  readonly claims: readonly Claim[];
  readonly figures: readonly Figure[];
  readonly tables: readonly Table[];
}
export interface Claim {
  readonly claim: string;
  readonly published: string;
  readonly measured: string;
  readonly verdict: 'reproduced' | 'partly' | 'not reproduced';
  readonly note?: string;
}
export interface Figure {
  readonly id: string;
  readonly title: string;
  readonly description: string;
  readonly x: { readonly label: string; readonly unit?: string };
  readonly y: { readonly label: string; readonly unit?: string };
  readonly series: readonly {
    readonly name: string;
    readonly role: 'method' | 'baseline' | 'reference';
    readonly points: readonly {
      readonly x: number;
      readonly y: number;
      readonly low?: number;
      readonly high?: number;
    }[];
  }[];
}
export interface Table {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | number)[])[];
}

/** The middle of the curve, where the paper's gain is. */
export const middle: readonly number[] = [0.5, 0.55, 0.6, 0.65, 0.7];
const warmupThresholds = ['Warm-up IMs, max-p', 'Warm-up IMs, entropy'];
const method = 'JEI-DNN';

export type Measured = Omit<Results, 'report'>;

/** Everything of `results.json` but the report, to the whole. */
export function withReport(measured: Measured): Results {
  const { seeds, timings, machine, date, command } = measured;
  const report: Report = {
    measured: {
      date: date.slice(0, 10),
      machine: `${machine.cpu}, ${machine.cores} cores`,
      seeds: seeds.length,
      command,
    },
    claims: claims(measured),
    figures: figures(seeds, timings),
    tables: tables(measured),
  };
  return { ...measured, report };
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? Number.NaN : values.reduce((a, b) => a + b, 0) / values.length;
}

/** Mean over seeds, with the range when there are several. */
function spread(values: readonly number[], format: (value: number) => string): string {
  if (values.length === 0) return 'none';
  if (values.length === 1) return format(values[0]!);
  return `${format(mean(values))} (${format(Math.min(...values))} to ${format(Math.max(...values))})`;
}

const points = (value: number) => `${value >= 0 ? '+' : '−'}${Math.abs(100 * value).toFixed(2)}`;
const signed = (value: number, digits = 3) => `${value >= 0 ? '+' : '−'}${Math.abs(value).toFixed(digits)}`;
const percent = (value: number, digits = 2) => `${(100 * value).toFixed(digits)} %`;

function curve(seed: SeedResult, name: string): readonly CurvePoint[] {
  const found = seed.methods[name];
  if (!found) throw new Error(`the results have no method '${name}'`);
  return found;
}

/**
 * Method `a` against the best of `others` at each cost of the middle: mean difference in accuracy, and the mean share
 * of the full cost by which the others cost more for the same accuracy. Null where `a` is never as cheap as that.
 */
export function advantage(
  seed: SeedResult,
  a: string,
  others: readonly string[],
): { readonly accuracy: number; readonly cost: number } | null {
  const differences: number[] = [];
  const savings: number[] = [];
  for (const cost of middle) {
    const own = accuracyAtCost(curve(seed, a), cost);
    const theirs = others.map((name) => accuracyAtCost(curve(seed, name), cost) ?? Number.NEGATIVE_INFINITY);
    if (own === undefined || !Number.isFinite(Math.max(...theirs))) continue;
    differences.push(own - Math.max(...theirs));
    // an accuracy that they never reach costs at least the whole network
    const needed = others.map((name) => costAtAccuracy(curve(seed, name), own) ?? 1);
    const spent = costAtAccuracy(curve(seed, a), own)!;
    savings.push(Math.min(...needed) - spent);
  }
  return differences.length > 0 ? { accuracy: mean(differences), cost: mean(savings) } : null;
}

function compare(seeds: readonly SeedResult[], a: string, others: readonly string[]) {
  const each = seeds.flatMap((seed) => advantage(seed, a, others) ?? []);
  return { accuracy: each.map(({ accuracy }) => accuracy), cost: each.map(({ cost }) => cost) };
}

type Verdict = Claim['verdict'];

function claims({ seeds, timings }: Measured): Claim[] {
  const list: Claim[] = [];
  const add = (claim: string, published: string, measured: string, verdict: Verdict, note?: string) =>
    list.push({ claim, published, measured, verdict, ...(note === undefined ? {} : { note }) });
  const accuracyText = (values: readonly number[]) => `${spread(values, points)} points`;
  const savingText = (values: readonly number[]) =>
    `${spread(values, (v) => `${(100 * v).toFixed(1)} %`)} of the full cost saved`;

  const gates = compare(seeds, 'Gates only', warmupThresholds);
  const gain = mean(gates.accuracy);
  const reached = gain >= 0.01 || mean(gates.cost) >= 0.04;
  add(
    'At .5 to .7 of the cost, learned gates beat the best threshold on the same IMs by a point or more, or cost 4 % of the full network less for the same accuracy',
    '+3 points, or 4 to 10 % saved (CIFAR-10, T2T-ViT-7)',
    `${accuracyText(gates.accuracy)}; ${savingText(gates.cost)}`,
    reached
      ? 'reproduced'
      : gates.accuracy.length > 0 && Math.min(...gates.accuracy) > 0
        ? 'partly'
        : 'not reproduced',
    'Gates only against max p and entropy thresholds, all on the warm-up IMs.',
  );

  const whole = compare(seeds, method, warmupThresholds);
  add(
    'The whole method beats thresholds on IMs that were trained without gates',
    '+3 points at equal cost in the middle of the curve',
    `${accuracyText(whole.accuracy)}; ${savingText(whole.cost)}`,
    mean(whole.accuracy) >= 0.01 || mean(whole.cost) >= 0.04
      ? 'reproduced'
      : whole.accuracy.length > 0 && Math.min(...whole.accuracy) > 0
        ? 'partly'
        : 'not reproduced',
  );

  const joint = compare(seeds, method, ['Gates only']);
  add(
    'Training IMs together with gates is not worse than gates alone by more than .3 point',
    'joint learning is the claim',
    accuracyText(joint.accuracy),
    mean(joint.accuracy) >= -0.003 ? 'reproduced' : 'not reproduced',
  );

  const weighting = compare(seeds, method, ['JEI-DNN, released weighting']);
  const gainOfStop = mean(weighting.accuracy);
  const evident = weighting.accuracy.length > 0 && Math.min(...weighting.accuracy) > 0;
  add(
    'Weighting IMs by their exits (gradient stopped through the ratio) beats uniform IMs under the same gates, which is what the released weighting amounts to',
    'not separated: the stored runs have uniform IMs',
    accuracyText(weighting.accuracy),
    evident ? 'reproduced' : gainOfStop > 0 ? 'partly' : 'not reproduced',
    evident
      ? 'The gain has the same sign for every seed.'
      : 'No gain on which every seed agrees: the joint claim is not evidenced by the released code, nor here.',
  );

  const gapBefore = seeds.flatMap(({ details }) => details.flatMap(({ gapBefore }) => gapBefore.total ?? []));
  const gapAfter = seeds.flatMap(({ details }) => details.flatMap(({ gapAfter }) => gapAfter.total ?? []));
  const bySeed = (pick: (detail: SeedResult['details'][number]) => number | null) =>
    seeds.map(({ details }) => mean(details.flatMap((detail) => pick(detail) ?? [])));
  const gapsPositive = share(gapBefore, (gap) => gap > 0);
  add(
    'Selection gap: on the samples that leave, uniformly trained IMs lose more than exit-weighted ones, and the gap is smaller after training with stopped gradients',
    'greater than 0, and smaller afterwards',
    `${spread(
      bySeed(({ gapBefore }) => gapBefore.total),
      signed,
    )} nats before, ${spread(
      bySeed(({ gapAfter }) => gapAfter.total),
      signed,
    )} after; positive before in ${percent(gapsPositive, 0)} of trainings`,
    mean(gapBefore) > 0 && mean(gapAfter) < mean(gapBefore)
      ? gapsPositive === 1
        ? 'reproduced'
        : 'partly'
      : 'not reproduced',
    'Before: uniform minus stopgrad IMs. After: stopgrad minus IMs trained with weights P. Same test samples: those that the method lets out before the end.',
  );

  const regrets = seeds.flatMap(({ details }) => details.map(({ regret }) => regret.own));
  const lower = share(regrets, ({ gates, maxP, entropy }) => gates < Math.min(maxP, entropy));
  const warmRegrets = seeds.flatMap(({ details }) => details.map(({ regret }) => regret.warmup));
  const warmLower = share(warmRegrets, ({ gates, maxP, entropy }) => gates < Math.min(maxP, entropy));
  add(
    'Regret of the learned gates is lower than that of every threshold rule on the same IMs',
    'lower',
    `lower in ${percent(lower, 0)} of ${regrets.length} trainings on the method's IMs, in ${percent(warmLower, 0)} on the warm-up IMs; means ${mean(regrets.map((r) => r.gates)).toFixed(3)} against ${mean(regrets.map((r) => Math.min(r.maxP, r.entropy))).toFixed(3)}`,
    lower === 1 && warmLower === 1
      ? 'reproduced'
      : lower > 0.5 || warmLower > 0.5
        ? 'partly'
        : 'not reproduced',
    'Each threshold rule has the one of its 39 settings that is best on validation for that λ.',
  );

  const compacted = timings.filter(
    (timing) => timing.batchSize > 1 && timing.compaction && timing.cost < 0.95,
  );
  const masked = timings.filter((timing) => !timing.compaction);
  if (compacted.length > 0) {
    const median = medianOf(compacted.map(({ efficiency }) => efficiency));
    const without = medianOf(masked.map(({ efficiency }) => efficiency));
    const fine = median >= 0.7;
    add(
      'Leaving early saves time: of the multiply–adds saved at batch 256 on the CPU, .7 or more is saved in time; without taking answered pictures out of the batch, nothing is',
      'the release never exits early',
      `efficiency ${median.toFixed(2)} with compaction (${Math.min(...compacted.map((t) => t.efficiency)).toFixed(2)} to ${Math.max(...compacted.map((t) => t.efficiency)).toFixed(2)} over λ), ${Number.isFinite(without) ? without.toFixed(2) : 'not measured'} without`,
      fine && without <= 0 ? 'reproduced' : fine || without <= 0 ? 'partly' : 'not reproduced',
    );
  }
  add(
    'The backbone is a fair one: 90 % or more on the test set',
    '94.9 % (T2T-ViT-7); a ResNet-20 reaches about 91 %',
    percent(seeds[0]!.fullAccuracy),
    seeds[0]!.fullAccuracy >= 0.9 ? 'reproduced' : 'not reproduced',
  );
  return list;
}

function share<T>(values: readonly T[], holds: (value: T) => boolean): number {
  return values.length === 0 ? Number.NaN : values.filter(holds).length / values.length;
}

function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted.length === 0
    ? Number.NaN
    : (sorted[sorted.length >> 1]! + sorted[(sorted.length - 1) >> 1]!) / 2;
}

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

function figures(seeds: readonly SeedResult[], timings: readonly Timing[]): Figure[] {
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
    const mine = timings.filter((timing) => timing.batchSize === batchSize && timing.compaction);
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

function tables({ seeds, timings, settings }: Measured): Table[] {
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

export const readmeMarkers = [
  '<!-- results: made from results.json by `wp bench jei-dnn --readme` -->',
  '<!-- /results -->',
] as const;

/** Markdown of a report, as it stands in the README between the markers. */
export function reportMarkdown({ measured, claims, tables }: Report): string {
  const safe = (value: string | number) => String(value).replaceAll('|', '\\|');
  const row = (cells: readonly (string | number)[]) => `| ${cells.map(safe).join(' | ')} |`;
  const grid = ({ columns, rows }: Pick<Table, 'columns' | 'rows'>) =>
    [row(columns), row(columns.map((_, i) => (i === 0 ? '---' : '---:'))), ...rows.map(row)].join('\n');
  const beside = [
    row(['Claim', 'Published', 'Measured here', 'Verdict']),
    row(['---', '---', '---', '---']),
    ...claims.map((c) =>
      row([c.note ? `${c.claim}. *${c.note}*` : c.claim, c.published, c.measured, `**${c.verdict}**`]),
    ),
  ].join('\n');
  const seeds = `${measured.seeds} ${measured.seeds === 1 ? 'seed' : 'seeds'}`;
  return [
    `Measured ${measured.date} with \`${measured.command}\`, ${seeds}, on ${measured.machine}. Ranges are over seeds.`,
    beside,
    ...tables.map((table) => `### ${table.title}\n\n${grid(table)}`),
  ].join('\n\n');
}

/** The README with what stands between its markers made anew. Throws when it has no markers. */
export function withResults(readme: string, report: Report): string {
  const [open, close] = readmeMarkers;
  const [start, end] = [readme.indexOf(open), readme.indexOf(close)];
  if (start < 0 || end < start) throw new Error(`the README has no '${open}' ... '${close}'`);
  return `${readme.slice(0, start + open.length)}\n\n${reportMarkdown(report)}\n\n${readme.slice(end)}`;
}
