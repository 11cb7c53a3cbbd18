import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Random } from '@working-papers/nn/random';
import { gradients, ndarray, openDevice, type Tensor, toNumbers } from '@working-papers/tensor';
import { augment } from './augment.ts';
import { kittiSlowGraph } from './graph.ts';
import { initializeMotFormer, MotFormer } from './model.ts';
import { focal, replay, smoothL1, windowSpec } from './objective.ts';
import { type FrameRunner, type RolloutOptions, rollOut } from './rollout.ts';
import { lanes } from './test/lanes.ts';
import { compileMotFormer } from './track.ts';
import { compileRunner, flatten, trainMotFormer, unflattenWindow } from './train.ts';

const device = await openDevice({ threads: 1 });
const folder = await mkdtemp(join(tmpdir(), 'mot-'));
after(async () => {
  await device.close();
  await rm(folder, { recursive: true });
});
const small = { nodeInputs: 13, width: 16, heads: 2 };
const rollout: RolloutOptions = {
  graph: { ...kittiSlowGraph, maxNeighbours: 4 },
  classes: 3,
  width: small.width,
};

const windowsOf = (length: number) => [lanes(length, 1), lanes(length, 2)];

/** Says that every edge is a match. */
const trusting: FrameRunner = {
  start: async () => {},
  features: async () => {
    throw new Error('not asked');
  },
  step: async ({ target, velocity }) => ({
    affinity: { ...target, data: new Float32Array(target.data.length).fill(2) },
    velocity,
  }),
};

test('losses by hand', async () => {
  const compiled = await device.compile((z: Tensor, y: Tensor, x: Tensor) => [focal(z, y), smoothL1(x)], {
    inputs: [{ shape: [4] }, { shape: [4] }, { shape: [3] }] as const,
  });
  const [z, y, x] = [
    [2, -1, 0, 60],
    [1, 1, 0, 0],
    [0.5, -2, 1],
  ];
  const [found, smooth] = await compiled(ndarray(z!), ndarray(y!), ndarray(x!));
  for (const [i, value] of toNumbers(found!).entries()) {
    const p = 1 / (1 + Math.exp(-z![i]!));
    const sure = y![i] === 1 ? p : 1 - p;
    const expected = z![i] === 60 ? 60 : -Math.log(sure) * (1 - sure);
    assert.ok(Math.abs(value - expected) < 1e-5, `${value} ${expected}`);
  }
  assert.deepEqual(toNumbers(smooth!), [0.125, 1.5, 0.5]);
  await compiled.dispose();
});

test('a window’s record: windows side by side, targets where identities agree, features followed from frame to frame', async () => {
  const record = await rollOut(windowsOf(4), rollout, trusting);
  assert.equal(record.frames.length, 3);
  const [frame] = record.frames;
  const spec = flatten(windowSpec(rollout, 3)) as Record<string, { shape: readonly (number | string)[] }>;
  const sizes = new Map<string, number>();
  for (const [name, array] of Object.entries(flatten(record))) {
    const { shape } = array as { shape: number[] };
    assert.equal(shape.length, spec[name]!.shape.length, name);
    for (const [axis, size] of spec[name]!.shape.entries()) {
      if (typeof size === 'string' && !sizes.has(size)) sizes.set(size, shape[axis]!);
      assert.equal(shape[axis], typeof size === 'string' ? sizes.get(size) : size, `${name} ${size}`);
    }
  }
  const positives = toNumbers(frame!.target).reduce((a, b) => a + b, 0);
  assert.ok(positives >= 4, `${positives} of 6 cars`);
  // every target lies on an edge
  const mask = toNumbers(frame!.across.mask);
  assert.ok(toNumbers(frame!.target).every((value, i) => value <= mask[i]!));
  const later = toNumbers(record.frames[1]!.source);
  const rows = sizes.get('n0')! + sizes.get('m0')!;
  assert.ok(later.some((row) => row > 0) && later.every((row) => row < rows));
  await assert.rejects(rollOut([lanes(3, 1), lanes(4, 1)], rollout, trusting), /windows of 3, 4 frames/);
});

test('of two frames nothing is matched in between: own tracks and labelled ones are the same, bit for bit', async () => {
  const own = await rollOut(windowsOf(2), rollout, trusting);
  assert.deepEqual(await rollOut(windowsOf(2), { ...rollout, tracks: 'labels' }, trusting), own);
  const [long, forced] = [
    await rollOut(windowsOf(4), rollout, trusting),
    await rollOut(windowsOf(4), { ...rollout, tracks: 'labels' }, trusting),
  ];
  assert.deepEqual(forced.frames[0], long.frames[0]);
  assert.notDeepEqual(forced.frames[2], long.frames[2]);
});

test('frames without anything have a row of zeros that nothing is joined to', async () => {
  const nothing = { dets: [], ids: [], next: [], shift: [0, 0, 0] } as const;
  const model = new MotFormer({ ...small, decoders: 1 });
  const weights = initializeMotFormer(model, 1);
  const store = await device.store(weights);
  const runner = await compileRunner(device, model, store, rollout);
  const windows = [[nothing, nothing, ...lanes(2, 1), nothing, nothing]];
  for (const lead of [0, 2]) {
    const record = await rollOut(windows, rollout, runner.of(1), { lead });
    const compiled = await device.compile(
      (flat: Record<string, Tensor>, seed: Tensor) => replay(model, unflattenWindow(flat), seed).loss,
      {
        inputs: [
          flatten(windowSpec(rollout, record.frames.length)) as never,
          { shape: [], dtype: 'int32' },
        ] as const,
        weights,
      },
    );
    const found = Number((await compiled(flatten(record) as never, ndarray([1], [], 'int32'))).data[0]);
    assert.ok(found > 0 && Number.isFinite(found), `${found}`);
    assert.deepEqual(
      record.frames.map(({ dets }) => dets.shape[0]),
      windows[0]!.slice(lead + 1).map(({ dets }) => Math.max(1, dets.length)),
    );
    await compiled.dispose();
  }
  await runner.dispose();
  await store.dispose();
});

for (const lead of [0, 3])
  test(`the replay is the rollout after ${lead} frames: losses frame by frame, dropout and all`, async () => {
    const model = new MotFormer({ ...small, decoders: 2, dropout: 0.3 });
    const weights = initializeMotFormer(model, 1);
    const store = await device.store(weights);
    const runner = await compileRunner(device, model, store, rollout);
    const said: number[] = [];
    const inner = runner.of(5);
    const length = 5;
    const spy: FrameRunner = {
      ...inner,
      async step(record, frame) {
        const answer = await inner.step(record, frame);
        const [logits, target, mask] = [answer.affinity, record.target, record.across.mask].map(toNumbers);
        const sum = logits!.reduce((total, z, i) => {
          const p = 1 / (1 + Math.exp(-z));
          const sure = target![i] === 1 ? p : 1 - p;
          return total + mask![i]! * -Math.log(sure) * (1 - sure);
        }, 0);
        if (frame > lead) said.push(sum / Number(record.counts.data[0]));
        return answer;
      },
    };
    const record = await rollOut(windowsOf(lead + length), rollout, spy, { lead });
    assert.equal((lead === 0 ? record.before : record.first).shape[0], 1);
    assert.equal(record.frames.length, length - 1);
    for (const used of [length - 1, length - 2]) {
      const compiled = await device.compile(
        (flat: Record<string, Tensor>, seed: Tensor) => replay(model, unflattenWindow(flat), seed).affinity!,
        {
          inputs: [flatten(windowSpec(rollout, used)) as never, { shape: [], dtype: 'int32' }] as const,
          weights,
        },
      );
      const flat = flatten({ ...record, frames: record.frames.slice(0, used) });
      const found = Number((await compiled(flat as never, ndarray([5 + lead], [], 'int32'))).data[0]);
      // the last frame is not rolled out: nothing depends on what it says
      const known = said.slice(0, used).reduce((a, b) => a + b, 0);
      if (used === length - 2) assert.ok(Math.abs(found - known) < 1e-5 * known, `${found} ${known}`);
      else assert.ok(found > known);
      await compiled.dispose();
    }
    await runner.dispose();
    await store.dispose();
  });

test('the last frame’s loss reaches back to the first frame’s detections', async () => {
  const model = new MotFormer({ ...small, decoders: 1, dropout: 0 });
  const weights = initializeMotFormer(model, 1);
  const record = await rollOut(windowsOf(4), rollout, trusting);
  const compiled = await device.compile(
    (flat: Record<string, Tensor>, seed: Tensor) => {
      const window = unflattenWindow(flat);
      const shorter = { ...window, frames: window.frames.slice(0, -1) };
      const last = replay(model, window, seed).loss.sub(replay(model, shorter, seed).loss);
      return gradients(last, [window.first])[0]!;
    },
    {
      inputs: [flatten(windowSpec(rollout, 3)) as never, { shape: [], dtype: 'int32' }] as const,
      weights,
    },
  );
  const slopes = toNumbers(await compiled(flatten(record) as never, ndarray([1], [], 'int32')));
  assert.ok(slopes.some((value) => Math.abs(value) > 1e-9));
  await compiled.dispose();
});

test('trained on its own tracks it follows cars that it has not seen; stopped and resumed it is the same', async () => {
  const model = new MotFormer({ ...small, dropout: 0 });
  const sequences = Array.from({ length: 6 }, (_, i) => lanes(12, 10 + i));
  const windows = sequences.flatMap((_, i) => [0, 2, 4, 6].map((first) => [i, first] as const));
  const losses: number[] = [];
  const options = {
    ...{ device, model, sequences, windows, seed: 1, epochs: 50, length: 4, batchSize: 4, rate: 3e-3 },
    rollout,
    augmentation: { turn: true, mirror: true, shift: 20 },
  };
  const trained = await trainMotFormer({
    ...options,
    folder: join(folder, 'whole'),
    onStep: (_, { affinity }) => losses.push(affinity!),
  });
  const mean = (values: number[]) => values.reduce((a, b) => a + b) / values.length;
  assert.ok(
    mean(losses.slice(-20)) < 0.5 * mean(losses.slice(0, 20)),
    `${mean(losses.slice(0, 20))} ${mean(losses.slice(-20))}`,
  );

  const compiled = await compileMotFormer({
    device,
    model,
    weights: trained.weights,
    graph: kittiSlowGraph,
    classes: 3,
  });
  let [switches, followed] = [0, 0];
  for (const seed of [100, 101, 102]) {
    const tracker = compiled.open();
    const last = new Map<number, number>();
    for (const { dets, ids } of lanes(20, seed)) {
      const tracks = await tracker.step(dets);
      for (const { id, detection, coasting } of tracks) {
        const label = ids[dets.indexOf(detection)] ?? -1;
        if (coasting || label < 0) continue;
        if (last.has(label)) followed++;
        if (last.has(label) && last.get(label) !== id) switches++;
        last.set(label, id);
      }
    }
  }
  assert.ok(followed > 100 && switches < 0.05 * followed, `${switches} switches in ${followed}`);
  await compiled.dispose();

  const stop = new AbortController();
  const short = { ...options, epochs: 1, folder: join(folder, 'parts') };
  await trainMotFormer({ ...short, signal: stop.signal, onStep: (step) => step === 3 && stop.abort() });
  const resumed = await trainMotFormer({ ...short, resume: true });
  const undisturbed = await trainMotFormer({ ...options, epochs: 1, folder: join(folder, 'once') });
  assert.deepEqual([...resumed.weights.values()], [...undisturbed.weights.values()]);
});

test('turning, mirroring and shifting: distances, moves and targets stay', () => {
  const frames = lanes(3, 4);
  const moved = frames.map((frame) => ({ ...frame, shift: [1, 2, 0] as const }));
  const out = augment(moved, new Random(3), { turn: true, mirror: true, shift: 20 });
  const distance = (a: { x: number; y: number }, b: { x: number; y: number }) =>
    Math.hypot(a.x - b.x, a.y - b.y);
  for (const [t, frame] of out.entries()) {
    const before = moved[t]!;
    assert.ok(
      Math.abs(distance(frame.dets[0]!, frame.dets[1]!) - distance(before.dets[0]!, before.dets[1]!)) < 1e-9,
    );
    assert.ok(Math.abs(Math.hypot(frame.shift[0], frame.shift[1]) - Math.hypot(1, 2)) < 1e-9);
    const [to, was] = [frame.next[0], before.next[0]];
    if (to && was)
      assert.ok(
        Math.abs(
          distance(frame.dets[0]!, { x: to[0], y: to[1] }) -
            distance(before.dets[0]!, { x: was[0], y: was[1] }),
        ) < 1e-9,
      );
  }
  assert.deepEqual(augment(frames, new Random(1), {})[1]!.dets[0]!.x, frames[1]!.dets[0]!.x);
});
