import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { packModel } from '@working-papers/models/model-file';
import { writeSafetensors } from '@working-papers/nn/safetensors-file';
import { kittiSlowGraph } from './graph.ts';
import { parseTracks } from './kitti.ts';
import { initializeMotFormer, MotFormer } from './model.ts';
import { street } from './simulate.ts';
import { LineError, parseFrame } from './stream.ts';
import { motFormerKind } from './weights.ts';

const folder = await mkdtemp(join(tmpdir(), 'mot-run-'));
after(() => rm(folder, { recursive: true }));
const program = createRequire(import.meta.url).resolve('../../cli/src/main.ts');

function wp(words: readonly string[], input = '') {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--conditions=source', program, 'run', '3dmotformer', ...words],
    { input, encoding: 'utf8' },
  );
  return { status, stdout, stderr };
}

const car = { type: 'Car', x: 1, y: 1.6, z: 10, length: 4, width: 2, height: 1.5, ry: 0, score: 2 };
const line = (frame: unknown, detections: unknown = [car], rest: object = {}) =>
  JSON.stringify({ frame, detections, ...rest });

test('lines: what is wrong is said, field and value', () => {
  const good = parseFrame(line(3, [car], { pose: [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 7] }), 2);
  assert.equal(good.frame, 3);
  assert.equal(good.pose![11], 7);
  assert.deepEqual(good.detections[0]!.box2d, [0, 0, 0, 0]);
  assert.deepEqual(parseFrame(line(0, [])).detections, []);
  const cases: [string, RegExp][] = [
    ['{"frame": 1, "det', /^not JSON, or cut off: /],
    ['[1]', /^not an object$/],
    [line('1'), /^'frame' is "1", expected a number from 0$/],
    [line(5), /^frame 5 comes twice$/],
    [line(4), /^frame 4 comes after frame 5$/],
    [line(6, 7), /^'detections' is 7, expected a list$/],
    [line(6, [{ ...car, x: null }]), /^detection 0: 'x' is null, expected a number$/],
    [line(6, [car, { ...car, width: -1 }]), /^detection 1: 'width' is -1 metres$/],
    [
      line(6, [{ ...car, type: 'Tram' }]),
      /^detection 0: 'type' is "Tram", expected one of Car, Pedestrian, Cyclist$/,
    ],
    [line(6, [car], { pose: [1] }), /^'pose' is not 12 numbers$/],
  ];
  for (const [text, message] of cases)
    assert.throws(
      () => parseFrame(text, 5),
      (error: Error) => error instanceof LineError && message.test(error.message),
    );
});

test('a stream goes on behind lines that are wrong, and says so at its end', () => {
  const input = [line(0), 'nope', line(0), line(1), line(2, []), line(3), '{"frame": 4, "det'].join('\n');
  const { status, stdout, stderr } = wp(['--stream', '--method', 'kalman'], input);
  assert.equal(status, 2);
  const told = stdout
    .trim()
    .split('\n')
    .map((text) => JSON.parse(text));
  assert.deepEqual(
    told.map(({ frame }) => frame),
    [0, 1, 2, 3],
  );
  assert.ok(told.every(({ tracks }) => tracks.every(({ id }: { id: number }) => id === 0)));
  assert.match(stderr, /line 2: not JSON.*\nline 3: frame 0 comes twice\nline 7: not JSON/);
  assert.match(stderr, /3 of 7 lines were wrong; the others are tracked\n$/);
});

test('a simulated street is the same for the same seed', () => {
  const frames = street({ frames: 20, seed: 3 });
  assert.deepEqual(street({ frames: 20, seed: 3 }), frames);
  assert.notDeepEqual(street({ frames: 20, seed: 4 })[5], frames[5]);
  const ids = new Set(frames.flatMap((frame) => frame.ids));
  assert.ok(ids.size > 5 && ids.has(-1));
  assert.ok(frames.every(({ detections, ids }) => detections.length === ids.length));
});

test('files: one in, one out, with the network and with the filter; bad ones by name', async () => {
  const model = new MotFormer({ nodeInputs: 13, width: 16, heads: 2 });
  const options = {
    model: { nodeInputs: 13, width: 16, heads: 2 },
    classes: ['Car', 'Pedestrian', 'Cyclist'],
    graph: kittiSlowGraph,
  };
  const packed = packModel(motFormerKind, {
    model,
    weights: initializeMotFormer(model, 1),
    options,
    card: {},
  });
  const weights = join(folder, 'tiny.safetensors');
  await writeSafetensors(weights, packed.tensors, { metadata: packed.metadata });
  const detection = (frame: number, x: number) =>
    `${frame},2,10,20,110,90,2.5,1.5,1.6,4.2,${x},1.7,20.25,-0.5,-1.57`;
  const path = join(folder, '0007.txt');
  await writeFile(path, [0, 1, 2, 3].map((frame) => detection(frame, 1 + frame / 2)).join('\n'));
  for (const words of [
    ['--method', 'kalman'],
    ['--weights', weights],
  ]) {
    const out = join(folder, words[1]!.includes('tiny') ? 'network' : 'kalman');
    const { status, stderr } = wp(['--detections', path, '--out', out, ...words]);
    assert.equal(status, 0, stderr);
    assert.deepEqual(await readdir(out), ['0007.txt']);
    const rows = parseTracks(await readFile(join(out, '0007.txt'), 'utf8'));
    assert.deepEqual(
      rows.map(({ frame }) => frame),
      [0, 1, 2, 3],
    );
  }
  const bad = join(folder, 'bad.txt');
  await writeFile(bad, `${detection(0, 1)}\n1,2,3`);
  const wrong = wp(['--detections', bad, '--method', 'kalman']);
  assert.deepEqual(
    [wrong.status, wrong.stderr],
    [2, `wp run 3dmotformer: ${bad}, line 2: 3 fields, expected 15\n`],
  );
  const none = wp(['--detections', join(folder, 'none'), '--method', 'kalman']);
  assert.match(none.stderr, /none': no such file or folder\n$/);
});

test('nuScenes: scenes in, one submission out', async () => {
  const box = (token: string, x: number) => ({
    sample_token: token,
    translation: [x, 5, 1],
    size: [1.9, 4.5, 1.7],
    rotation: [1, 0, 0, 0],
    velocity: [2, 0],
    detection_name: 'car',
    detection_score: 0.7,
  });
  const tokens = ['a', 'b', 'c'];
  const detections = join(folder, 'detections.json');
  const samples = join(folder, 'sample.json');
  await writeFile(
    detections,
    JSON.stringify({ meta: {}, results: Object.fromEntries(tokens.map((t, i) => [t, [box(t, i)]])) }),
  );
  await writeFile(
    samples,
    JSON.stringify(
      tokens.map((token, i) => ({
        token,
        timestamp: i,
        prev: tokens[i - 1] ?? '',
        next: tokens[i + 1] ?? '',
        scene_token: 's',
      })),
    ),
  );
  const words = ['--format', 'nuscenes', '--detections', detections, '--samples', samples];
  const out = join(folder, 'tracks.json');
  const { status, stderr } = wp([...words, '--method', 'kalman', '--out', out]);
  assert.equal(status, 0, stderr);
  const { results } = JSON.parse(await readFile(out, 'utf8'));
  assert.deepEqual(
    tokens.map((token) => results[token].map((track: { tracking_id: string }) => track.tracking_id)),
    [['0_0'], ['0_0'], ['0_0']],
  );
  const wrong = wp([...words, '--weights', join(folder, 'tiny.safetensors')]);
  assert.match(wrong.stderr, /these weights know Car, Pedestrian, Cyclist, nuScenes has car, /);
  assert.match(wp(['--format', 'nuscenes']).stderr, /needs --detections and --samples/);
});
