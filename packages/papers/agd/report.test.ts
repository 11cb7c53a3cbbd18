import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { readReport, reportMarkdown } from '@working-papers/edition';
import { names, trainingsOf } from './bench.ts';
import { bestScale, drawingsOf } from './bench-pictures.ts';
import { withReport } from './report.ts';
import type { Measured, PictureResult, Results, Settings, TrainingResult } from './results.ts';

const settings: Settings = {
  base: 'a',
  features: 'b',
  steps: 32,
  trajectories: 100,
  updates: 10,
  ablationUpdates: 5,
  pictures: 500,
  scales: [1, 3],
  seeds: [1, 2],
  quick: false,
};

const training = (name: string, seed: number, error: number): TrainingResult => ({
  name,
  seed,
  updates: 10,
  parameters: 1000,
  share: 0.02,
  minutes: 1,
  error,
  byScale: [
    { from: 1, to: 4, points: 5, error },
    { from: 4, to: 6, points: 5, error },
  ],
  byStep: [error],
  drift: 10 * error,
  roughness: 0.1,
});

/** Distances: CFG 10 at ω = 3, its best, and 20 without guidance; the others as given. */
function measured(gated: number, half: number, errors: { along: number; noised: number }): Measured {
  const picture = (method: string, scale: number, seed: number, fdCnn: number): PictureResult => ({
    method,
    scale,
    steps: 32,
    seed,
    pictures: 500,
    calls: method === names.cfg ? 64 : 32,
    fdCnn,
    precision: scale === 1 ? 0.6 : 0.7,
    recall: scale === 1 ? 0.5 : 0.4,
    agreement: scale === 1 ? 0.6 : 0.8,
  });
  return {
    date: '2026-01-02T03:04:05Z',
    command: 'wp bench agd',
    machine: { cpu: 'a processor', cores: 2, memoryGiB: 8, system: 'linux x64' },
    versions: {},
    settings,
    trainings: [1, 2].flatMap((seed) => [
      training(names.offset, seed, errors.along),
      training(names.attention, seed, errors.along / 2),
      training(names.gated, seed, errors.along / 2),
      training(names.offsetForward, seed, errors.noised),
    ]),
    floor: [{ seed: 1, pictures: 500, fdCnn: 1, precision: 0.8, recall: 0.8, agreement: 0.9 }],
    pictures: [1, 2].flatMap((seed) => [
      picture(names.plain, 1, seed, 20),
      picture(names.cfg, 1, seed, 20),
      picture(names.cfg, 3, seed, 10),
      picture(names.gated, 3, seed, gated),
      picture(names.half, 3, seed, half),
    ]),
    timings: [names.cfg, names.gated, `${names.offset}, precomputed`].map((method, i) => ({
      method,
      batchSize: 16,
      milliseconds: 10,
      ratio: [1, 0.55, 0.51][i]!,
      low: 0.5,
      high: 0.6,
    })),
    transfer: [{ adapter: names.gated, classes: ['cat', 'dog'], updates: 5, before: 0.2, after: 0.25 }],
  };
}

const verdicts = ({ report }: Results) => report.claims.map(({ verdict }) => verdict);

test('verdicts follow from the figures alone', () => {
  const good = withReport(measured(10.2, 12, { along: 0.4, noised: 0.8 }));
  assert.deepEqual(verdicts(good), new Array(good.report.claims.length).fill('reproduced'));
  assert.equal(good.report.claims.length, 7);
  const bad = verdicts(withReport(measured(13, 12, { along: 0.8, noised: 0.9 })));
  assert.deepEqual(bad, [
    'reproduced',
    'partly',
    'not reproduced',
    'reproduced',
    'not reproduced',
    'not reproduced',
    'reproduced',
  ]);
});

test('the teacher is judged by all seeds, not by the first', () => {
  const usual = measured(10.2, 12, { along: 0.4, noised: 0.8 });
  const lucky = usual.pictures.map((each) =>
    each.method === names.cfg ? { ...each, agreement: each.seed === 1 ? 0.76 : 0.7 } : each,
  );
  const [claim] = withReport({ ...usual, pictures: lucky }).report.claims;
  assert.equal(claim!.verdict, 'partly');
  assert.match(claim!.measured, /73\.0 % \(70\.0 % to 76\.0 %\) at ω = 3/);
});

test('the report is one that the page reads, whole rows, nothing that is not a number', () => {
  const whole = withReport(measured(10.2, 12, { along: 0.4, noised: 0.8 }));
  const { report } = whole;
  assert.deepEqual(readReport(JSON.parse(JSON.stringify(whole))), JSON.parse(JSON.stringify(report)));
  for (const { title, columns, rows } of report.tables)
    for (const row of rows) assert.equal(row.length, columns.length, title);
  assert.doesNotMatch(JSON.stringify(report), /NaN|Infinity|undefined/);
  assert.ok(report.figures.length >= 3);
  const empty = {
    ...measured(1, 1, { along: 1, noised: 1 }),
    trainings: [],
    pictures: [],
    floor: [],
    timings: [],
    transfer: [],
  };
  assert.deepEqual(withReport(empty).report.claims, []);
});

test('what is trained and drawn: every seed its methods, ablations and other scales one seed', () => {
  const trainings = trainingsOf(settings);
  assert.equal(trainings.filter(({ name }) => name === names.offset).length, 2);
  const ablations = trainings.filter(({ name }) => name.startsWith('Ablation'));
  assert.ok(ablations.length > 10 && ablations.every(({ seed, updates }) => seed === 1 && updates === 5));
  const keys = trainings.map(({ name, seed }) => `${name} ${seed}`);
  assert.equal(new Set(keys).size, keys.length);
  const drawings = drawingsOf(settings, 3);
  assert.ok(drawings.some(({ seed, scale, method }) => seed === 2 && scale === 3 && method === names.gated));
  assert.ok(!drawings.some(({ seed, scale, method }) => seed === 2 && scale === 1 && method !== names.plain));
  assert.ok(drawings.filter(({ method }) => method === names.half).every(({ steps }) => steps === 16));
  assert.equal(bestScale(measured(1, 1, { along: 1, noised: 1 }).pictures, 1), 3);
  assert.ok(trainingsOf({ ...settings, quick: true }).length <= 6);
});

const files = ['./results.json', './README.md'].map((name) => new URL(name, import.meta.url));

test('the figures in the README are those of results.json', {
  skip: !files.every((file) => existsSync(file)),
}, () => {
  const [results, readme] = [
    JSON.parse(readFileSync(files[0]!, 'utf8')) as Results,
    readFileSync(files[1]!, 'utf8'),
  ];
  assert.ok(readme.includes(reportMarkdown(results.report)), 'run: wp bench agd --readme');
  assert.equal(results.settings.quick, false);
  const { report, ...rest } = results;
  assert.deepEqual(JSON.parse(JSON.stringify(withReport(rest).report)), report);
});
