/** From measured figures to the report that README and page show: every number in it is computed, none typed in. */

import { type Claim, claimOf, mean, percent, reported, spread, type Table } from '@working-papers/edition';
import { karrasSigmas } from '@working-papers/models/diffusion/levels';
import { isAblation, names } from './bench.ts';
import { bestScale } from './bench-pictures.ts';
import { figuresOf } from './figures.ts';
import type { Measured, Results, TrainingResult } from './results.ts';
import { at, atOrPlain, guidedMethods, trainingsNamed } from './selection.ts';

/** Everything of `results.json` but the report, to the whole. */
export const withReport = (measured: Measured): Results =>
  reported(measured, measured.settings.seeds.length, {
    claims: claimsOf(measured),
    figures: figuresOf(measured),
    tables: tablesOf(measured),
  });

const three = (value: number) => value.toFixed(3);
const two = (value: number) => value.toFixed(2);

/** E over the points of ω ≥ `from`, weighted by their number. */
function errorFrom(training: TrainingResult, from: number): number {
  const buckets = training.byScale.filter((bucket) => bucket.from >= from && bucket.error !== null);
  return mean(buckets.map(({ error }) => error!));
}

/** The step at which E of the second of each pair is most times as large as that of the first, all ω together. */
function worstStep(
  pairs: readonly (readonly [TrainingResult, TrainingResult])[],
): { readonly step: number; readonly ratio: number } | undefined {
  const ratios = (pairs[0]?.[0].byStep ?? []).map((_, step) => {
    const each = pairs.map(([on, off]) => (off.byStep[step] ?? Number.NaN) / (on.byStep[step] ?? Number.NaN));
    return { step, ratio: mean(each) };
  });
  return ratios.filter(({ ratio }) => Number.isFinite(ratio)).toSorted((a, b) => b.ratio - a.ratio)[0];
}

function claimsOf(measured: Measured): Claim[] {
  const { pictures, timings, settings, floor, transfer } = measured;
  const list: Claim[] = [];
  const add = (...claim: Parameters<typeof claimOf>) => list.push(claimOf(...claim));
  const best = bestScale(pictures, settings.seeds[0]!);

  // other scales than CFG's best were drawn with the first seed alone
  const guided = at(pictures, names.cfg, 3);
  const plain = guided.flatMap(({ seed }) =>
    at(pictures, names.plain, 1).filter((each) => each.seed === seed),
  );
  if (guided.length > 0 && plain.length === guided.length) {
    const both = (key: 'agreement' | 'precision' | 'recall', format: (value: number) => string) =>
      [plain, guided].map((own) =>
        spread(
          own.map((each) => each[key]),
          format,
        ),
      );
    const agreement = both('agreement', (value) => percent(value, 1));
    add(
      'The model is one that guidance acts on: at ω = 3 the class is recognised in 75 % or more, agreement and precision rise and recall falls',
      'a condition of the experiment',
      `agreement ${agreement[0]} without guidance, ${agreement[1]} at ω = 3; precision ${both('precision', three).join(' and ')}, recall ${both('recall', three).join(' and ')}`,
      [
        mean(guided.map((each) => each.agreement)) >= 0.75,
        ...guided.flatMap((each, i) => [
          each.agreement > plain[i]!.agreement,
          each.precision > plain[i]!.precision,
          each.recall < plain[i]!.recall,
        ]),
      ],
      floor.length > 0
        ? `FD-cnn of as many training pictures: ${spread(
            floor.map(({ fdCnn }) => fdCnn),
            two,
          )}.`
        : undefined,
    );
  }

  if (best !== undefined) {
    const cfg = at(pictures, names.cfg, best);
    for (const method of [names.gated, names.attention, names.offset]) {
      const own = at(pictures, method, best);
      if (own.length === 0 || own.length !== cfg.length) continue;
      const ratios = own.map(({ fdCnn }, i) => fdCnn / cfg[i]!.fdCnn);
      const recalls = own.map(({ recall }, i) => recall - cfg[i]!.recall);
      add(
        `${method}: as good as CFG in one call a step. At CFG's best ω, FD-cnn within 5 % of CFG's and recall within .02`,
        'FID comparable to or better than CFG',
        `ω = ${best}: FD-cnn ${spread(
          own.map(({ fdCnn }) => fdCnn),
          two,
        )} against ${spread(
          cfg.map(({ fdCnn }) => fdCnn),
          two,
        )}, ratio ${spread(ratios, three)}; recall ${spread(recalls, (value) => `${value >= 0 ? '+' : '−'}${Math.abs(value).toFixed(3)}`)}`,
        [mean(ratios) <= 1.05, recalls.every((value) => Math.abs(value) <= 0.02)],
        `${own[0]!.calls} calls a picture against ${cfg[0]!.calls}.`,
      );
    }
    const half = at(pictures, names.half, best);
    const own = at(pictures, names.gated, best);
    if (half.length > 0 && half.length === own.length)
      add(
        'Better than CFG at the same cost: with half the steps',
        'not compared',
        `FD-cnn ${spread(
          own.map(({ fdCnn }) => fdCnn),
          two,
        )} against ${spread(
          half.map(({ fdCnn }) => fdCnn),
          two,
        )} at ω = ${best}`,
        own.map(({ fdCnn }, i) => fdCnn < half[i]!.fdCnn),
        `${own[0]!.calls} calls a picture and ${half[0]!.calls}.`,
      );
  }

  const largest = Math.max(...timings.map(({ batchSize }) => batchSize));
  const timing = (method: string) =>
    timings.find((each) => each.method === method && each.batchSize === largest);
  const [inline, ahead] = [timing(names.gated), timing(`${names.offset}, precomputed`)];
  if (inline && ahead)
    add(
      'Half of the calls, at most 0.6 of the time; 0.53 with offsets, which are computed ahead',
      'about twice as fast',
      `gated MLP ${two(inline.ratio)} (${two(inline.low)} to ${two(inline.high)}) of CFG's time, offsets ${two(ahead.ratio)} (${two(ahead.low)} to ${two(ahead.high)}), batch ${largest}`,
      [inline.ratio <= 0.6, ahead.ratio <= 0.53],
      'Medians over rounds in turns, with the middle half.',
    );

  const errors = [names.offset, names.attention, names.gated].map((name) =>
    trainingsNamed(measured, name).map(({ error }) => error),
  ) as [number[], number[], number[]];
  if (errors.every((own) => own.length > 0)) {
    const [offset, attention, gated] = errors;
    add(
      'Adapters learn guidance: E on held-out trajectories at most .5 (offset, which cannot see the picture) and .35 (cross-attention, gated MLP)',
      'not given',
      errors.map((own) => spread(own, three)).join(', '),
      [mean(offset) <= 0.5, mean(attention) <= 0.35, mean(gated) <= 0.35],
      'E is the squared distance to the guided answer over that without guidance.',
    );
  }
  const sigmas = karrasSigmas(measured.settings.steps);
  for (const [name, along, noised] of [
    ['offset', names.offset, names.offsetForward],
    ['gated MLP', names.gated, names.gatedForward],
  ] as const) {
    const [own, other] = [trainingsNamed(measured, along), trainingsNamed(measured, noised)];
    const pairs = other.flatMap((training) => {
      const same = own.find(({ seed }) => seed === training.seed);
      return same ? [[same, training] as const] : [];
    });
    if (pairs.length === 0) continue;
    const ratios = pairs.map(([on, off]) => errorFrom(off, 4) / errorFrom(on, 4));
    const drifts = pairs.map(([on, off]) => (off.drift ?? 0) / (on.drift ?? 0));
    const worst = worstStep(pairs);
    add(
      `The mismatch: the same ${name} adapters trained on noised data are worse where guidance goes, at ω ≥ 4 by 1.3 times or more in E`,
      'trained on trajectories for this reason',
      `E ${spread(ratios, two)} times as large; end points ${spread(drifts, two)} times as far from CFG's`,
      ratios.map((ratio) => ratio >= 1.3),
      worst &&
        `Most at σ = ${sigmas[worst.step]!.toPrecision(2)}: there E is ${two(worst.ratio)} times as large.`,
    );
  }
  for (const { adapter, classes, updates, before, after } of transfer)
    add(
      `Adapters load onto a tuned base unchanged (${adapter})`,
      'works with fine-tuned models',
      `E ${three(before)} on the base, ${three(after)} on it after ${updates} updates on ${classes.join(' and ')}`,
      [after < 1, after < 1.5 * before],
      'Both on trajectories of those classes, each of its own base.',
    );
  return list;
}

function tablesOf(measured: Measured): Table[] {
  const { trainings, pictures, timings, floor, settings } = measured;
  const tables: Table[] = [];
  const best = bestScale(pictures, settings.seeds[0]!);
  if (best !== undefined) {
    const rows = [names.plain, ...guidedMethods].flatMap((method) => {
      const own = at(pictures, method, method === names.plain ? 1 : best);
      if (own.length === 0) return [];
      const column = (
        key: 'fdCnn' | 'precision' | 'recall' | 'agreement',
        format: (value: number) => string,
      ) =>
        spread(
          own.map((each) => each[key]),
          format,
        );
      return [
        [
          method,
          own[0]!.calls,
          column('fdCnn', two),
          column('precision', three),
          column('recall', three),
          column('agreement', three),
        ],
      ];
    });
    const floorRow =
      floor.length > 0
        ? [
            [
              'Training pictures (the floor)',
              0,
              spread(
                floor.map(({ fdCnn }) => fdCnn),
                two,
              ),
              spread(
                floor.map(({ precision }) => precision),
                three,
              ),
              spread(
                floor.map(({ recall }) => recall),
                three,
              ),
              spread(
                floor.map(({ agreement }) => agreement),
                three,
              ),
            ],
          ]
        : [];
    tables.push({
      title: `Pictures at ω = ${best}, CFG's best, ${settings.pictures} each`,
      columns: ['Method', 'Calls a picture', 'FD-cnn', 'Precision', 'Recall', 'Agreement'],
      rows: [...rows, ...floorRow],
    });
  }
  const trainingRow = (own: readonly TrainingResult[]) => [
    own[0]!.name.replace(/^Ablation: /, ''),
    own[0]!.updates,
    `${own[0]!.parameters.toLocaleString('en')} (${percent(own[0]!.share, 1)})`,
    spread(
      own.map(({ error }) => error),
      three,
    ),
    spread(
      own.map((training) => errorFrom(training, 4)),
      three,
    ),
    own[0]!.drift === null
      ? 'not measured'
      : spread(
          own.map(({ drift }) => drift ?? 0),
          two,
        ),
    own[0]!.roughness === null ? 'none' : three(mean(own.map(({ roughness }) => roughness ?? 0))),
  ];
  const columns = ['Trained', 'Updates', 'Parameters', 'E', 'E, ω ≥ 4', 'Drift', 'Change over .05 of ω'];
  const grouped = (areAblations: boolean) => {
    const own = trainings.filter((training) => isAblation(training) === areAblations);
    return [...new Set(own.map(({ name }) => name))].map((name) =>
      trainingRow(own.filter((each) => each.name === name)),
    );
  };
  for (const [title, rows] of [
    ['Held-out trajectories', grouped(false)],
    ['What each part does, one seed', grouped(true)],
  ] as const)
    if (rows.length > 0) tables.push({ title, columns, rows });
  if (timings.length > 0)
    tables.push({
      title: 'Time of sampling, CFG’s of the same round for 1',
      columns: ['Method', 'Batch', 'ms a picture', 'Of CFG', 'Middle half'],
      rows: timings.map(({ method, batchSize, milliseconds, ratio, low, high }) => [
        method,
        batchSize,
        milliseconds.toFixed(1),
        two(ratio),
        `${two(low)} to ${two(high)}`,
      ]),
    });
  const scales = [...new Set(pictures.map(({ scale }) => scale))].toSorted((a, b) => a - b);
  if (scales.length > 1)
    tables.push({
      title: 'FD-cnn by ω, first seed',
      columns: ['Method', ...scales.map((scale) => `ω = ${scale}`)],
      rows: guidedMethods.flatMap((method) => {
        const own = scales.map((scale) => atOrPlain(pictures, method, scale)[0]);
        return own.filter(Boolean).length > 2
          ? [[method, ...own.map((each) => (each ? two(each.fdCnn) : 'none'))]]
          : [];
      }),
    });
  return tables;
}
