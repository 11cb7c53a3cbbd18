import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { reportMarkdown } from '@working-papers/edition';
import type { Point, SeedResult } from './bench.ts';
import { advantage } from './claims.ts';
import { forms, independent, oracle, sequential, variants, varied } from './methods.ts';
import { withReport } from './report.ts';
import type { Results } from './results.ts';

const costWeights = [0.1, 1];
const line = (offset: number): Point[] =>
  costWeights.map((setting, i) => ({
    setting,
    cost: 0.4 + 0.4 * i,
    accuracy: 0.7 + 0.2 * i + offset,
    crossEntropy: 0.5,
    ece: 0.02,
    overconfidence: 0.01,
  }));

/** Gates are `gain` above every threshold on the same IMs, the method `joint` above the gates. */
function seedResult(gain: number, joint: number): SeedResult {
  const names = [
    'Warm-up IMs, max-p',
    'Warm-up IMs, entropy',
    'Separate IMs, max-p',
    'BoostedNet, max-p',
    'L2W-DEN, max-p',
  ];
  const methods: Record<string, Point[]> = Object.fromEntries(names.map((name) => [name, line(0)]));
  for (const name of [...Object.keys(variants), sequential, independent, varied, oracle])
    methods[name] = line(gain);
  for (const form of Object.keys(forms)) methods[form] = line(gain + joint);
  const gap = { total: 0.02, exits: [0.02, 0.02] };
  const regrets = { gates: 0.1, maxP: 0.2, entropy: 0.3 };
  const each = costWeights.map((costWeight) => ({
    costWeight,
    epoch: 1,
    exits: [0.4, 0.7, 1].map(() => ({
      share: 1 / 3,
      accuracyExited: 0.9,
      accuracyAll: 0.8,
      overconfidenceExited: null,
    })),
    gapBefore: gap,
    gapAfter: { total: 0.001, exits: [0.001, null] },
    regret: { own: regrets, warmup: regrets },
    conformal: [],
  }));
  return {
    seed: 1,
    fullAccuracy: 0.91,
    fullEce: 0.02,
    exitAccuracy: { 'Warm-up IMs': [0.5, 0.6] },
    methods,
    details: { 'JEI-DNN': each, 'JEI-DNN on errors': each },
  };
}

const measured = (seeds: SeedResult[], efficiency = 0.8) => ({
  date: '2026-01-02T03:04:05Z',
  command: 'wp bench jei-dnn',
  machine: { cpu: 'a processor', cores: 2, memoryGiB: 8, system: 'linux x64' },
  versions: {},
  settings: {
    costWeights: { error: costWeights, 'cross-entropy': costWeights },
    epochs: 15,
    warmupEpochs: 6,
    pictures: { train: 3, validation: 2, test: 1 },
    backboneHash: 'abc',
    costs: [0.4, 0.7, 1],
    multiplyAdds: 1e6,
    quick: false,
  },
  seeds,
  timings: [true, false].map((compaction) => ({
    costWeight: 1,
    batchSize: 256,
    compaction,
    graphs: 9,
    full: 2,
    early: 1,
    ratio: 0.5,
    ratioLow: 0.4,
    ratioHigh: 0.6,
    cost: 0.4,
    efficiency: compaction ? efficiency : -0.2,
  })),
});

test('advantage: the difference at equal cost, and the cost saved at equal accuracy', () => {
  const found = advantage(seedResult(0.02, 0), 'Gates only', ['Warm-up IMs, max-p'])!;
  assert.ok(Math.abs(found.accuracy - 0.02) < 1e-9);
  // the lines rise by .2 over .4 of the cost
  assert.ok(Math.abs(found.cost - 0.04) < 1e-9);
});

test('verdicts follow from the figures alone', () => {
  const verdicts = (results: Results) => results.report.claims.map(({ verdict }) => verdict);
  assert.ok(
    verdicts(withReport(measured([seedResult(0.02, 0.004)]))).every((verdict) => verdict === 'reproduced'),
  );
  const small = verdicts(withReport(measured([seedResult(0.004, -0.01), seedResult(0.002, -0.01)], 0.6)));
  assert.deepEqual(small.slice(0, 4), ['partly', 'not reproduced', 'not reproduced', 'not reproduced']);
  assert.equal(small.at(-2), 'partly', 'no compaction saves nothing, but efficiency is below .7');
  assert.equal(verdicts(withReport(measured([seedResult(-0.01, 0)])))[0], 'not reproduced');
});

test('every table row has a cell a column, and no figure is NaN', () => {
  const timed = measured([seedResult(0.02, 0), seedResult(0.01, 0)]);
  // a λ that saves nothing has no efficiency
  const none = timed.timings.map((timing) => ({ ...timing, costWeight: 0.1, cost: 1, efficiency: null }));
  const { report } = withReport({ ...timed, timings: [...timed.timings, ...none] });
  for (const { columns, rows, title } of report.tables)
    for (const row of rows) assert.equal(row.length, columns.length, title);
  assert.doesNotMatch(JSON.stringify(report), /NaN|Infinity|undefined/);
  assert.ok(report.figures.every(({ series }) => series.every(({ points }) => points.length > 0)));
});

const files = ['./results.json', './README.md'].map((name) => new URL(name, import.meta.url));

test('the figures in the README are those of results.json', {
  skip: !files.every((file) => existsSync(file)),
}, () => {
  const [results, readme] = [
    JSON.parse(readFileSync(files[0]!, 'utf8')) as Results,
    readFileSync(files[1]!, 'utf8'),
  ];
  assert.ok(readme.includes(reportMarkdown(results.report)), 'run: wp bench jei-dnn --readme');
  assert.equal(results.settings.quick, false);
  // and the report is that of the measurements beside it
  const { report, ...rest } = results;
  assert.deepEqual(JSON.parse(JSON.stringify(withReport(rest).report)), report);
});
