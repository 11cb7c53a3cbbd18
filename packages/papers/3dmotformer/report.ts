/** From measured figures to the report that README and page show: every number in it is computed, none typed in. */

import {
  type Claim,
  claimOf,
  type Figure,
  mean,
  reported,
  signed,
  spread,
  type Table,
} from '@working-papers/edition';
import type { KittiMeasures } from '@working-papers/metrics/kitti-tracking';
import { names } from './bench.ts';
import type { Measured, Results, TrackerResult } from './results.ts';
import { growth } from './soak.ts';

/** Everything of `results.json` but the report, to the whole. */
export const withReport = (measured: Measured): Results =>
  reported(measured, measured.settings.seeds.length, {
    claims: claimsOf(measured),
    figures: figuresOf(measured),
    tables: tablesOf(measured),
  });

const kinds = ['car', 'pedestrian', 'cyclist'] as const;
/** AB3DMOT's own, KITTI's validation recordings: a frame of cars, then pedestrians, then cyclists (its documentation). */
const publishedRate = 1 / (1 / 108.7 + 1 / 119.2 + 1 / 980.7);

const three = (value: number) => value.toFixed(3);

const named = ({ trackers }: Measured, name: string, hertz = 2) =>
  trackers.filter((tracker) => tracker.name === name && tracker.hertz === hertz);

/** Of all classes of a tracker: MOTA and switches over everything that moves. */
function total({ measures }: TrackerResult): { mota: number; idSwitches: number } {
  const all = kinds.map((kind) => measures[kind]);
  const labels = ({ mota, falsePositives, falseNegatives, idSwitches }: KittiMeasures) =>
    (falsePositives + falseNegatives + idSwitches) / (1 - mota);
  const sum = (of: (each: KittiMeasures) => number) => all.reduce((total, each) => total + of(each), 0);
  const wrong = sum(
    ({ falsePositives, falseNegatives, idSwitches }) => falsePositives + falseNegatives + idSwitches,
  );
  return { mota: 1 - wrong / sum(labels), idSwitches: sum(({ idSwitches }) => idSwitches) };
}

const missed = ({ measures }: TrackerResult) =>
  kinds.reduce((sum, kind) => sum + measures[kind].falseNegatives, 0);

function claimsOf(measured: Measured): Claim[] {
  const list: Claim[] = [];
  const add = (...claim: Parameters<typeof claimOf>) => list.push(claimOf(...claim));
  const [own, forced] = [named(measured, names.own), named(measured, names.labels)];
  const motas = (list: readonly TrackerResult[]) => list.map((each) => total(each).mota);
  const switches = (list: readonly TrackerResult[]) => list.map((each) => total(each).idSwitches);
  const round = (value: number) => value.toFixed(0);
  if (own.length > 0 && forced.length === own.length) {
    add(
      'At 2 Hz training on own tracks is ahead of teacher forcing, in MOTA and in switches of identity',
      'online training ahead of offline',
      `MOTA ${spread(motas(own), three)} against ${spread(motas(forced), three)}, switches ${spread(switches(own), round)} against ${spread(switches(forced), round)}`,
      own.flatMap((_, i) => [motas(own)[i]! > motas(forced)[i]!, switches(own)[i]! < switches(forced)[i]!]),
      'All classes together.',
    );
    const ratios = (list: readonly TrackerResult[]) =>
      list.flatMap(({ gap }) => (gap ? [gap.closed / gap.forced] : []));
    if (ratios(own).length === own.length && ratios(forced).length === own.length)
      add(
        'The mismatch: focal loss on own tracks over that on labels’ tracks, with the same weights, falls towards 1',
        'not given',
        `${spread(ratios(own), (value) => value.toFixed(1))} after training on own tracks, ${spread(ratios(forced), (value) => value.toFixed(1))} after teacher forcing`,
        ratios(own).map((ratio, i) => ratio < ratios(forced)[i]!),
      );
  }
  for (const [name, claim, published] of [
    [names.kalman, 'the Kalman filter', 'ahead of published trackers on nuScenes'],
    [names.nearest, 'taking the nearest track, which learns nothing', 'not compared'],
  ] as const) {
    const [other] = named(measured, name);
    if (own.length === 0 || !other) continue;
    add(
      `At 2 Hz it is ahead of ${claim}, in MOTA and in switches`,
      published,
      `MOTA ${spread(motas(own), three)} against ${three(total(other).mota)}, switches ${spread(switches(own), round)} against ${total(other).idSwitches}`,
      own.flatMap((each) => [
        total(each).mota > total(other).mota,
        total(each).idSwitches < total(other).idSwitches,
      ]),
      `Labelled boxes that are missed: ${spread(own.map(missed), round)} against ${missed(other)}. Who tells fewer has fewer to mistake.`,
    );
  }
  const [[fast], [filter]] = [named(measured, names.own, 10), named(measured, names.kalman, 10)];
  if (fast && filter)
    add(
      'At 10 Hz, where the Kalman filter has little to learn, it is no worse by more than half a point of sAMOTA a class',
      'not compared',
      kinds
        .map(
          (kind) =>
            `${kind} ${three(fast.measures[kind].samota)} against ${three(filter.measures[kind].samota)}`,
        )
        .join(', '),
      kinds.map((kind) => fast.measures[kind].samota >= filter.measures[kind].samota - 0.005),
    );
  if (own.length > 0) {
    const rates = own.map(({ framesPerSecond }) => framesPerSecond);
    const { milliseconds, slowest } = own[0]!;
    add(
      'It runs online, from parsed detections to identities, at five times the published rate of the Python AB3DMOT or more',
      `54.7 frames a second on a GPU; AB3DMOT ${round(publishedRate)}, three classes one after the other`,
      `${spread(rates, round)} frames a second on two cores at 2 Hz; a frame takes ${milliseconds.toFixed(2)} ms, the slowest of a hundred ${slowest.toFixed(2)}`,
      [mean(rates) >= 5 * publishedRate],
    );
  }
  for (const soak of measured.soaks)
    add(
      `Memory stays where it is (${soak.method})`,
      'not given',
      `after ${soak.frames.toLocaleString('en')} frames of a stream ${signed(growth(soak), 2)} MiB of heap against the first look`,
      [growth(soak) < 2],
      `Looked at ${soak.memory.length} times; a frame takes ${soak.milliseconds.toFixed(2)} ms, the slowest of a hundred ${soak.slowest.toFixed(2)}.`,
    );
  return list;
}

function figuresOf({ crowds }: Measured): Figure[] {
  const methods = [...new Set(crowds.map(({ method }) => method))];
  if (methods.length === 0) return [];
  return [
    {
      id: 'time-objects',
      title: 'Time of a frame, by the number of objects',
      description: 'Median over frames; bars reach to the 99th percentile.',
      x: { label: 'Objects in a frame' },
      y: { label: 'Milliseconds' },
      series: methods.map((name) => ({
        name,
        role: name === names.kalman ? ('baseline' as const) : ('method' as const),
        points: crowds
          .filter(({ method }) => method === name)
          .map(({ objects, milliseconds, slowest }) => ({
            x: objects,
            y: Number(milliseconds.toFixed(3)),
            low: Number(milliseconds.toFixed(3)),
            high: Number(slowest.toFixed(3)),
          })),
      })),
    },
  ];
}

function tablesOf(measured: Measured): Table[] {
  const tables: Table[] = [];
  for (const hertz of [2, 10]) {
    const here = measured.trackers.filter((tracker) => tracker.hertz === hertz);
    const rows = [...new Set(here.map(({ name }) => name))].map((name) => {
      const own = here.filter((tracker) => tracker.name === name);
      const cell = (kind: (typeof kinds)[number]) => {
        const of = (key: 'samota' | 'mota' | 'idSwitches') =>
          mean(own.map(({ measures }) => measures[kind][key]));
        return `${three(of('samota'))} / ${three(of('mota'))} / ${of('idSwitches').toFixed(0)}`;
      };
      const gaps = own.flatMap(({ gap }) => (gap ? [`${three(gap.closed)} / ${three(gap.forced)}`] : []));
      return [
        name,
        ...kinds.map(cell),
        gaps[0] ?? 'none',
        mean(own.map(({ framesPerSecond }) => framesPerSecond)).toFixed(0),
      ];
    });
    if (rows.length > 0)
      tables.push({
        title: `KITTI’s validation recordings at ${hertz} Hz: sAMOTA / MOTA / switches`,
        columns: ['Tracker', 'Car', 'Pedestrian', 'Cyclist', 'Loss, own / labels’ tracks', 'Frames a second'],
        rows,
      });
  }
  const padded = measured.trackers.filter(({ gap, name }) => gap && name === names.own);
  if (padded.length > 0)
    tables.push({
      title: 'Padding: places in the lists of eight candidates that hold none',
      columns: ['Frames a second', 'Share'],
      rows: [2, 10].flatMap((hertz) => {
        const shares = padded.flatMap((each) => (each.hertz === hertz ? [1 - each.gap!.filled] : []));
        return shares.length > 0 ? [[hertz, `${(100 * mean(shares)).toFixed(0)} %`]] : [];
      }),
    });
  if (measured.crowds.length > 0)
    tables.push({
      title: 'Time of a frame',
      columns: ['Objects', 'Method', 'Median, ms', '99th percentile, ms'],
      rows: measured.crowds.map(({ method, objects, milliseconds, slowest }) => [
        objects,
        method,
        milliseconds.toFixed(2),
        slowest.toFixed(2),
      ]),
    });
  return tables;
}
