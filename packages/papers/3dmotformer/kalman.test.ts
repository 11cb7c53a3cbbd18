import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { kittiTracking, type TrackedBox } from '@working-papers/metrics/kitti-tracking';
import { KalmanTracker, kittiKalman } from './kalman.ts';
import { type KittiDetection, parseDetections, parsePoses, parseTracks } from './kitti.ts';
import type { Detection } from './tracker.ts';

const car = (x: number, z: number, rest: Partial<Detection> = {}): Detection => ({
  type: 'Car',
  x,
  y: 1.6,
  z,
  length: 4,
  width: 1.8,
  height: 1.5,
  ry: 0,
  score: 5,
  ...rest,
});

test('the filter is the textbook’s: gain by gain, against matrices', () => {
  // one coordinate with its velocity, in 2 × 2 matrices
  let [value, velocity] = [10, 0];
  let p = [
    [10, 0],
    [0, 10_000],
  ];
  const tracker = new KalmanTracker({
    ...kittiKalman.Car,
    minHits: 1,
    affinity: 'distance',
    minAffinity: -100,
  });
  tracker.step([car(10, 20)]);
  for (const measured of [10.9, 12.2, 12.8, 14.1]) {
    value += velocity;
    const [[a, b], [c, d]] = p as [[number, number], [number, number]];
    p = [
      [a + b + c + d + 1, b + d],
      [c + d, d + 0.01],
    ];
    const s = p[0]![0]! + 1;
    const gain = [p[0]![0]! / s, p[1]![0]! / s];
    const surprise = measured - value;
    value += gain[0]! * surprise;
    velocity += gain[1]! * surprise;
    p = p.map((row, i) => row.map((each, j) => each - gain[i]! * p[0]![j]!));
    const [track] = tracker.step([car(measured, 20)]);
    assert.ok(Math.abs(track!.x - value) < 1e-9, `${track!.x} ${value}`);
  }
});

test('births, coasting and deaths; a told track has been seen often enough', () => {
  const tracker = new KalmanTracker(kittiKalman.Car);
  const ids = (detections: Detection[]) => tracker.step(detections).map(({ id }) => id);
  // in the first three frames everything is told
  assert.deepEqual(ids([car(0, 10)]), [0]);
  assert.deepEqual(ids([car(0, 11)]), [0]);
  assert.deepEqual(ids([car(0, 12)]), [0]);
  assert.deepEqual(ids([car(0, 13), car(9, 30)]), [0]);
  assert.deepEqual(ids([car(0, 14), car(9, 30)]), [0]);
  assert.deepEqual(ids([car(0, 15), car(9, 30)]), [0, 1]);
  // one miss is coasted over, the second ends it
  const [coasting] = tracker.step([car(9, 30)]);
  assert.equal(coasting!.id, 0);
  assert.ok(Math.abs(coasting!.z - 16) < 0.1, String(coasting!.z));
  assert.deepEqual(ids([car(9, 30)]), [1]);
  assert.deepEqual(ids([car(0, 18), car(9, 30)]), [1]);
  assert.equal(tracker.nextId, 3);
});

test('a box seen from behind turns its track; camera motion is taken out', () => {
  const tracker = new KalmanTracker(kittiKalman.Car);
  tracker.step([car(0, 20, { ry: 3.1 })]);
  const [track] = tracker.step([car(0, 20, { ry: -0.05 })]);
  assert.equal(track!.id, 0);
  assert.ok(Math.abs(track!.ry) < 0.1, String(track!.ry));

  // a parked car, the camera drives five metres a frame and turns
  const parked = { x: 3, z: 40 };
  const pose = (f: number) => {
    const [c, s] = [Math.cos(0.1 * f), Math.sin(0.1 * f)];
    return [c, 0, s, 0, 0, 1, 0, 0, -s, 0, c, 5 * f];
  };
  const seen = (f: number) => {
    const [c, s] = [Math.cos(0.1 * f), Math.sin(0.1 * f)];
    const [dx, dz] = [parked.x, parked.z - 5 * f];
    return car(c * dx - s * dz, s * dx + c * dz, { ry: 0.1 * f });
  };
  const still = new KalmanTracker({ ...kittiKalman.Car, maxAge: 1, minHits: 1 });
  for (let f = 0; f < 6; f++) {
    const tracks = still.step([seen(f)], pose(f));
    assert.deepEqual(
      tracks.map(({ id }) => id),
      [0],
      `frame ${f}`,
    );
  }
});

/** KITTI's files, where they are: `WP_DATA` has the archive, unpacked they are elsewhere. */
const root = process.env.WP_KITTI;

test('the rows of AB3DMOT on KITTI, digit for digit', {
  skip: root ? false : 'WP_KITTI names no folder',
}, () => {
  const read = (path: string) => readFileSync(`${root}/${path}`, 'utf8');
  assert.ok(existsSync(`${root}/evaluate_tracking.seqmap.val`));
  const names = read('evaluate_tracking.seqmap.val')
    .trim()
    .split('\n')
    .map((line) => line.split(' ')[0]!);
  const rows = {
    'Car true': '93.34 45.49 78.65 86.48 79.61 0 15 369 764',
    'Pedestrian true': '81.36 34.35 62.75 73.92 67.87 0 58 585 1967',
    'Cyclist true': '93.58 47.86 82.06 84.64 77.31 1 3 105 101',
    'Car false': '93.16 45.41 77.36 86.05 78.45 0 14 368 801',
    'Pedestrian false': '80.77 32.32 61.80 70.69 66.70 57 129 846 1966',
    'Cyclist false': '91.92 46.52 81.72 83.75 76.05 1 3 128 90',
  };
  for (const [row, expected] of Object.entries(rows)) {
    const [type, withPoses] = row.split(' ') as [keyof typeof kittiKalman, string];
    const sequences = names.map((name) => {
      const labels = parseTracks(read(`label_02/${name}.txt`));
      const detections = parseDetections(read(`detections/pointrcnn_${type}/${name}.txt`));
      const poses = parsePoses(read(`poses/${name}.txt`));
      const tracker = new KalmanTracker<KittiDetection>(kittiKalman[type]);
      const results = poses.flatMap((pose, frame): TrackedBox[] =>
        tracker.step(detections[frame] ?? [], withPoses === 'true' ? pose : undefined).map((track) => ({
          ...track,
          frame,
          type,
          occlusion: 0,
          truncation: 0,
          box2d: track.detection.box2d,
        })),
      );
      return { labels, results };
    });
    const m = kittiTracking(sequences, type.toLowerCase() as 'car');
    const found = [
      ...[m.samota, m.amota, m.amotp, m.mota, m.motp].map((value) => (100 * value).toFixed(2)),
      ...[m.idSwitches, m.fragmentations, m.falsePositives, m.falseNegatives],
    ].join(' ');
    assert.equal(found, expected, row);
  }
});
