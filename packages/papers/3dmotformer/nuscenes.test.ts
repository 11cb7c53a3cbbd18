import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatNuscenes, parseNuscenes, scenesOf, trackEntry, yawOf } from './nuscenes.ts';

const box = (rest: object = {}) => ({
  sample_token: 's1',
  translation: [100, 200, 1],
  size: [1.9, 4.5, 1.7],
  rotation: [Math.SQRT1_2, 0, 0, Math.SQRT1_2],
  velocity: [3, -1],
  detection_name: 'car',
  detection_score: 0.7,
  attribute_name: 'vehicle.moving',
  ...rest,
});
const file = (...boxes: object[]) => JSON.stringify({ meta: {}, results: { s1: boxes, s2: [] } });

test('detections are read: boxes on the ground, classes that are tracked, unknown velocities as none', () => {
  const found = parseNuscenes(
    file(box(), box({ detection_name: 'barrier' }), box({ velocity: [null, null] })),
  );
  assert.deepEqual([...found.keys()], ['s1', 's2']);
  const [first, second] = found.get('s1')!;
  assert.equal(found.get('s1')!.length, 2);
  const { entry: _, yaw, ...rest } = first!;
  assert.deepEqual(rest, {
    ...{ x: 100, y: 200, z: 1, width: 1.9, length: 4.5, height: 1.7, kind: 0 },
    velocity: [3, -1],
    score: 0.7,
  });
  assert.ok(Math.abs(yaw - Math.PI / 2) < 1e-9);
  assert.deepEqual(second!.velocity, [0, 0]);
  assert.equal(yawOf([1, 0, 0, 0]), 0);
});

test('what is wrong is named: file, sample, box, field, value', () => {
  const cases: [string, RegExp][] = [
    ['{', /^d\.json is not JSON: /],
    ['{"boxes": 1}', /^d\.json has no 'results' by sample/],
    ['{"results": {"s1": 4}}', /^d\.json, sample s1: not a list of boxes$/],
    [
      file(box(), box({ size: [1, 0, 1] })),
      /^d\.json, sample s1, box 1: 'size' is \[1,0,1\], expected three numbers above 0$/,
    ],
    [file(box({ translation: [1, 2] })), /box 0: 'translation' is \[1,2\], expected three numbers$/],
    [file(box({ rotation: 'up' })), /'rotation' is "up", expected a quaternion$/],
    [file(box({ detection_score: null })), /'detection_score' is null, expected a number$/],
  ];
  for (const [text, message] of cases)
    assert.throws(() => parseNuscenes(text, 'd.json'), { name: 'TrackingFileError', message });
});

test('scenes in time from the table of samples, in whatever order it is', () => {
  const row = (token: string, prev: string, next: string, scene: string, timestamp: number) => ({
    token,
    prev,
    next,
    scene_token: scene,
    timestamp,
  });
  const rows = [row('b', 'a', '', 'x', 2), row('c', '', '', 'y', 7), row('a', '', 'b', 'x', 1)];
  assert.deepEqual(
    scenesOf(rows).map((scene) => scene.map(({ token }) => token)),
    [['c'], ['a', 'b']],
  );
  assert.throws(() => scenesOf([row('a', '', 'z', 'x', 1)]), /sample z follows another but is not there/);
  assert.throws(() => scenesOf([{}], 't.json'), /^TrackingFileError: t\.json, row 0: expected token/);
  assert.throws(() => scenesOf({}), /not a table/);
});

test('a submission: the fields that it must have, the surest 500', () => {
  const [seen] = parseNuscenes(file(box())).get('s1')!;
  const track = {
    ...seen!,
    id: 4,
    age: 1,
    hits: 2,
    coasting: false,
    velocity: [2, 0] as const,
    detection: seen!,
  };
  const entry = trackEntry('s1', 3, track);
  assert.deepEqual(Object.keys(entry).sort(), [
    'rotation',
    'sample_token',
    'size',
    'tracking_id',
    'tracking_name',
    'tracking_score',
    'translation',
    'velocity',
  ]);
  assert.deepEqual([entry.tracking_id, entry.tracking_name, entry.tracking_score], ['3_4', 'car', 0.7]);
  const many = Array.from({ length: 600 }, (_, i) => ({ ...entry, tracking_score: i / 600 }));
  const { results, meta } = JSON.parse(
    formatNuscenes(
      new Map([
        ['s1', many],
        ['s2', []],
      ]),
    ),
  );
  assert.equal(results.s1.length, 500);
  assert.equal(results.s1[0].tracking_score, 599 / 600);
  assert.deepEqual(results.s2, []);
  assert.deepEqual(Object.keys(meta).sort(), [
    'use_camera',
    'use_external',
    'use_lidar',
    'use_map',
    'use_radar',
  ]);
});
