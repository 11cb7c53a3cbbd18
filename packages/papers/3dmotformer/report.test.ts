import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { readReport, reportMarkdown } from '@working-papers/edition';
import type { KittiMeasures } from '@working-papers/metrics/kitti-tracking';
import { candidatesOf, names } from './bench.ts';
import { withReport } from './report.ts';
import type { Measured, Results, TrackerResult } from './results.ts';
import type { SoakResult } from './soak.ts';

const kitti = (samota: number, idSwitches: number): KittiMeasures => ({
  samota,
  amota: 0.4,
  amotp: 0.7,
  mota: samota - 0.1,
  motp: 0.8,
  recall: 0.9,
  threshold: 1,
  truePositives: 900,
  falsePositives: 50,
  falseNegatives: 50,
  idSwitches,
  fragmentations: 3,
});

const tracker = (
  name: string,
  hertz: number,
  seed: number,
  samota: number,
  switches: number,
  ratio?: number,
): TrackerResult => ({
  name,
  hertz,
  seed,
  epochs: 8,
  minutes: 10,
  measures: { car: kitti(samota, switches), pedestrian: kitti(samota, switches), cyclist: kitti(samota, 1) },
  gap: ratio === undefined ? null : { closed: 0.1 * ratio, forced: 0.1, filled: 0.25 },
  framesPerSecond: 400,
  milliseconds: 2,
  slowest: 5,
});

const measured = (own: number, labels: number): Measured => ({
  date: '2026-01-02T03:04:05Z',
  command: 'wp bench 3dmotformer',
  machine: { cpu: 'a processor', cores: 2, memoryGiB: 8, system: 'linux x64' },
  versions: {},
  settings: { epochs: 8, seeds: [1, 2], quick: false },
  trackers: [
    tracker(names.kalman, 2, 0, 0.7, 20),
    tracker(names.kalman, 10, 0, 0.9, 0),
    ...[1, 2].flatMap((seed) => [
      tracker(names.own, 2, seed, own, own > labels ? 5 : 80, own > labels ? 1.5 : 9),
      tracker(names.labels, 2, seed, labels, 50, 8),
    ]),
    tracker(names.own, 10, 1, own, 0, 1.2),
  ],
  crowds: [
    { method: names.kalman, objects: 10, milliseconds: 0.1, slowest: 0.2 },
    { method: names.network, objects: 10, milliseconds: 1, slowest: 2 },
  ],
  soaks: [soaked(0.1)],
});

/** A stream whose heap grew by so many MiB. */
function soaked(grown: number): SoakResult {
  const memory = [0, grown].map((more, i) => ({ frame: 500 * (i + 1), heap: 40 + more, resident: 300 }));
  return { method: names.network, frames: 1000, milliseconds: 2, slowest: 5, memory };
}

const verdicts = ({ report }: Results) => report.claims.map(({ verdict }) => verdict);

test('verdicts follow from the figures alone', () => {
  assert.deepEqual(verdicts(withReport(measured(0.92, 0.8))), new Array(6).fill('reproduced'));
  assert.deepEqual(verdicts(withReport(measured(0.6, 0.8))), [
    'not reproduced',
    'not reproduced',
    'not reproduced',
    'not reproduced',
    'reproduced',
    'reproduced',
  ]);
  const leaking = withReport({ ...measured(0.92, 0.8), soaks: [soaked(5)] });
  assert.equal(verdicts(leaking).at(-1), 'not reproduced');
  const slow = measured(0.92, 0.8).trackers.map((each) => ({ ...each, framesPerSecond: 200 }));
  assert.equal(verdicts(withReport({ ...measured(0.92, 0.8), trackers: slow })).at(-2), 'not reproduced');
});

test('the report is one that the page reads, whole rows, nothing that is not a number', () => {
  const whole = withReport(measured(0.92, 0.8));
  assert.deepEqual(readReport(JSON.parse(JSON.stringify(whole))), JSON.parse(JSON.stringify(whole.report)));
  for (const { title, columns, rows } of whole.report.tables)
    for (const row of rows) assert.equal(row.length, columns.length, title);
  assert.doesNotMatch(JSON.stringify(whole.report), /NaN|Infinity|undefined/);
  assert.deepEqual(withReport({ ...measured(1, 1), trackers: [], crowds: [], soaks: [] }).report.claims, []);
});

test('candidates are told apart by name, rate and seed', () => {
  const keys = candidatesOf({ epochs: 1, seeds: [1, 2, 3], quick: false }).map(
    ({ name, hertz, seed }) => `${name} ${hertz} ${seed}`,
  );
  assert.equal(new Set(keys).size, keys.length);
  assert.equal(keys.filter((key) => key.startsWith(names.own)).length, 4);
});

const files = ['./results.json', './README.md'].map((name) => new URL(name, import.meta.url));

test('the figures in the README are those of results.json', {
  skip: !files.every((file) => existsSync(file)),
}, () => {
  const results = JSON.parse(readFileSync(files[0]!, 'utf8')) as Results;
  const readme = readFileSync(files[1]!, 'utf8');
  assert.ok(readme.includes(reportMarkdown(results.report)), 'run: wp bench 3dmotformer --readme');
  assert.equal(results.settings.quick, false);
  const { report, ...rest } = results;
  assert.deepEqual(JSON.parse(JSON.stringify(withReport(rest).report)), report);
});
