import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatTrack, parseDetections, parsePoses, parseTracks } from './kitti.ts';

const label = '3 7 Car 0 2 -1.57 10 20 110 90 1.5 1.6 4.2 1.5 1.7 20.25 -0.5';
const detection = '2,2,10,20,110,90,12.5,1.5,1.6,4.2,1.5,1.7,20.25,-0.5,-1.57';

test('labels, results and detections are read as their columns say', () => {
  const [box] = parseTracks(`${label}\n`);
  assert.deepEqual(box, {
    frame: 3,
    id: 7,
    type: 'Car',
    truncation: 0,
    occlusion: 2,
    box2d: [10, 20, 110, 90],
    height: 1.5,
    width: 1.6,
    length: 4.2,
    x: 1.5,
    y: 1.7,
    z: 20.25,
    ry: -0.5,
    score: 1,
  });
  const frames = parseDetections(`${detection}\n`);
  assert.deepEqual(
    frames.map(({ length }) => length),
    [0, 0, 1],
  );
  const { type, score, alpha, x, z, length } = frames[2]![0]!;
  assert.deepEqual([type, score, alpha, x, z, length], ['Car', 12.5, -1.57, 1.5, 20.25, 4.2]);
  const again = parseTracks(formatTrack({ ...box!, score: 0.25 }, -1.57))[0]!;
  assert.deepEqual(again, { ...box!, occlusion: 0, score: 0.25 });
  assert.equal(parsePoses('1 0 0 5 0 1 0 6 0 0 1 7\n')[0]![11], 7);
});

test('what the formats forbid is refused with file and line', () => {
  const cases: [() => unknown, RegExp][] = [
    [() => parseTracks(`${label}\n3 7 Car 0`, 'a.txt'), /^a\.txt, line 2: 4 fields, expected 17 or 18$/],
    [() => parseTracks(`${label}\n${label}`, 'a.txt'), /^a\.txt, line 2: frame 3 has identity 7 twice$/],
    [() => parseTracks(label.replace('20.25', 'nan'), 'a.txt'), /^a\.txt, line 1: z is 'nan'$/],
    [() => parseTracks(label.replace('3 7', '-3 7'), 'a.txt'), /^a\.txt, line 1: frame is -3$/],
    [() => parseDetections(`${detection},1`, 'd.txt'), /^d\.txt, line 1: 16 fields, expected 15$/],
    [() => parseDetections(detection.replace('2,2,', '2,9,'), 'd.txt'), /line 1: type 9 is none of/],
    [
      () => parseDetections(detection.replace('4.2', '-4.2'), 'd.txt'),
      /line 1: a box of -4\.2 × 1\.6 × 1\.5 metres/,
    ],
    [() => parseDetections(detection.replace('12.5', ''), 'd.txt'), /line 1: score is ''/],
    [() => parsePoses('1 0 0', 'p.txt'), /^p\.txt, line 1: 3 fields, expected 12$/],
  ];
  for (const [parse, message] of cases) assert.throws(parse, { name: 'TrackingFileError', message });
});
