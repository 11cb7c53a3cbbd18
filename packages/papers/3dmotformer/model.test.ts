import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { countParameters, initialize, stateShapes, type Weights } from '@working-papers/nn/module';
import { Random } from '@working-papers/nn/random';
import { type NdArray, ndarray, openDevice, type Tensor, toNumbers } from '@working-papers/tensor';
import { GraphAttention, initializeMotFormer, MotFormer } from './model.ts';

const device = await openDevice({ threads: 1 });
after(() => device.close());
const numbers = (shape: readonly number[], seed: number) =>
  ndarray(new Random(seed).normals(shape.reduce((a, b) => a * b, 1)), shape);

test('parameters: 742,043 with seven classes, 741,531 with three', () => {
  assert.equal(countParameters(new MotFormer()), 742_043);
  assert.equal(countParameters(new MotFormer({ nodeInputs: 13 })), 741_531);
});

test('names and shapes are those of the release', () => {
  const shapes = stateShapes(new MotFormer());
  const attention = ['lin_key', 'lin_query', 'lin_value', 'lin_skip'].map(
    (name) => [name, 128, 128] as const,
  );
  const layers = new Map<string, readonly [number, number]>();
  const add = (prefix: string, list: readonly (readonly [string, number, number])[]) => {
    for (const [name, out, from] of list) layers.set(`${prefix}${name}`, [out, from]);
  };
  add('', [
    ['embedding', 128, 17],
    ['embedding_edge', 128, 10],
    ['affinity.lin_1', 128, 128],
    ['affinity.lin_2', 1, 128],
    ['velocity.lin_1', 128, 128],
    ['velocity.lin_2', 2, 128],
  ]);
  add('spatial_encoders.0.self_attn.', attention);
  add('spatial_encoders.0.', [
    ['lin1', 128, 128],
    ['lin2', 128, 128],
  ]);
  for (const i of [0, 1, 2]) {
    add(`decoders.${i}.self_attn.`, attention);
    add(`decoders.${i}.cross_attn.`, [...attention, ['lin_edge_attn', 8, 128], ['lin_edge', 128, 8]]);
    add(
      `decoders.${i}.`,
      ['lin1', 'lin2', 'lin_e1', 'lin_e2'].map((name) => [name, 128, 128] as const),
    );
  }
  const norms = [
    'norm_final',
    'norm_final_edge',
    'spatial_encoders.0.norm1',
    'spatial_encoders.0.norm2',
    ...[0, 1, 2].flatMap((i) =>
      ['norm1', 'norm2', 'norm3', 'norm_e1', 'norm_e2'].map((name) => `decoders.${i}.${name}`),
    ),
  ];
  const expected = new Map<string, readonly number[]>([
    ...[...layers].flatMap(([name, [out, from]]) => [
      [`${name}.weight`, [out, from]] as const,
      [`${name}.bias`, [out]] as const,
    ]),
    ...norms.flatMap((name) => [[`${name}.weight`, [128]] as const, [`${name}.bias`, [128]] as const]),
  ]);
  assert.deepEqual([...shapes].sort(), [...expected].sort());
});

test('neighbour attention is dense attention under a mask, and a loop over edges; without edges the plain path', async () => {
  const [n, m, k, d, heads] = [4, 5, 3, 8, 2];
  const layer = new GraphAttention(d, heads, 0);
  const weights = initialize(layer, 1);
  const edges = [[0, 3, 4], [2], [], [1, 2]];
  const index = edges.flatMap((own) => [0, 1, 2].map((i) => own[i] ?? 0));
  const mask = edges.flatMap((own) => [0, 1, 2].map((i) => (i < own.length ? 1 : 0)));
  const compiled = await device.compile(
    (target: Tensor, source: Tensor, index: Tensor, mask: Tensor, extra: Tensor) =>
      layer.forward(target, source, { index, mask }, extra).out,
    {
      inputs: [
        { shape: [n, d] },
        { shape: [m, d] },
        { shape: [n, k], dtype: 'int32' },
        { shape: [n, k] },
        { shape: [n, k, heads] },
      ] as const,
      weights,
    },
  );
  const [target, source, extra] = [numbers([n, d], 1), numbers([m, d], 2), numbers([n, k, heads], 3)];
  const out = toNumbers(
    await compiled(target, source, ndarray(index, [n, k], 'int32'), ndarray(mask, [n, k]), extra),
  );
  await compiled.dispose();

  const apply = (part: { weight: unknown; bias?: unknown }, x: number[]) => {
    const w = toNumbers(weights.get(part.weight as never) as NdArray);
    const b = toNumbers(weights.get(part.bias as never) as NdArray);
    return b.map((bias, o) => bias + x.reduce((sum, value, i) => sum + value * w[o * d + i]!, 0));
  };
  const row = (array: NdArray, i: number) => toNumbers(array).slice(i * d, (i + 1) * d);
  const size = d / heads;
  for (const [i, own] of edges.entries()) {
    const query = apply(layer.linQuery, row(target, i));
    const expected = apply(layer.linSkip, row(target, i));
    for (let h = 0; h < heads; h++) {
      const part = (x: number[]) => x.slice(h * size, (h + 1) * size);
      const logits = own.map((j, at) => {
        const key = part(apply(layer.linKey, row(source, j)));
        const product = part(query).reduce((sum, value, c) => sum + value * key[c]!, 0) / Math.sqrt(size);
        return product + toNumbers(extra)[(i * k + at) * heads + h]!;
      });
      const total = logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
      for (const [at, j] of own.entries()) {
        const value = part(apply(layer.linValue, row(source, j)));
        for (let c = 0; c < size; c++) expected[h * size + c]! += (Math.exp(logits[at]!) / total) * value[c]!;
      }
    }
    for (const [c, value] of expected.entries())
      assert.ok(Math.abs(out[i * d + c]! - value) < 1e-5, `target ${i}: ${out[i * d + c]} and ${value}`);
  }
});

/** A frame of a small network with free sizes. */
async function small() {
  const model = new MotFormer({ nodeInputs: 5, width: 16, heads: 2, dropout: 0 });
  const weights = initializeMotFormer(model, 1, { copies: false });
  const list = (n: string, k: string) =>
    ({ index: { shape: [n, k], dtype: 'int32' }, mask: { shape: [n, k] } }) as const;
  const run = await device.compile((graph) => model.forward(graph), {
    inputs: [
      {
        dets: { shape: ['n', 5] },
        tracks: { shape: ['m', 16] },
        amongTracks: list('m', 'kt'),
        amongDets: list('n', 'kd'),
        across: list('n', 'k'),
        edges: { shape: ['n', 'k', 10] },
      },
    ] as const,
    weights,
  });
  return { model, weights, run };
}

const listOf = (rows: readonly (readonly number[])[], k: number) => ({
  index: ndarray(
    rows.flatMap((own) => Array.from({ length: k }, (_, i) => own[i] ?? 0)),
    [rows.length, k],
    'int32',
  ),
  mask: ndarray(
    rows.flatMap((own) => Array.from({ length: k }, (_, i) => (i < own.length ? 1 : 0))),
    [rows.length, k],
  ),
});

test('renumbering tracks or detections renumbers the answer; padding changes nothing; no edge, no NaN', async () => {
  const { run } = await small();
  const [dets, tracks] = [numbers([3, 5], 1), numbers([2, 16], 2)];
  const across = [[0, 1], [1], []];
  const edge = (i: number, j: number) => toNumbers(numbers([10], 100 + 10 * i + j));
  const edgesOf = (
    rows: readonly (readonly number[])[],
    det: readonly number[],
    track: readonly number[],
    k: number,
  ) =>
    ndarray(
      rows.flatMap((own, i) =>
        Array.from({ length: k }, (_, at) =>
          at < own.length ? edge(det[i]!, track[own[at]!]!) : new Array(10).fill(9),
        ).flat(),
      ),
      [rows.length, k, 10],
    );
  const ask = async (
    det: readonly number[],
    track: readonly number[],
    rows: readonly (readonly number[])[],
    k: number,
  ) => {
    const pick = (array: NdArray, order: readonly number[]) => {
      const width = array.shape[1]!;
      const all = toNumbers(array);
      return ndarray(
        order.flatMap((n) => all.slice(n * width, (n + 1) * width)),
        [order.length, width],
      );
    };
    const answer = await run({
      dets: pick(dets, det),
      tracks: pick(tracks, track),
      amongTracks: listOf(
        track.map((_, i) => [i]),
        1,
      ),
      amongDets: listOf(
        det.map((_, i) => [i, (i + 1) % 3].sort()),
        2,
      ),
      across: listOf(rows, k),
      edges: edgesOf(rows, det, track, k),
    });
    return {
      affinity: toNumbers(answer.affinity),
      velocity: toNumbers(answer.velocity),
      tracks: toNumbers(answer.tracks),
    };
  };
  const plain = await ask([0, 1, 2], [0, 1], across, 2);
  assert.ok([...plain.affinity, ...plain.velocity].every(Number.isFinite));
  const near = (a: readonly number[], b: readonly number[]) => {
    assert.equal(a.length, b.length);
    for (const [i, value] of a.entries()) assert.ok(Math.abs(value - b[i]!) < 1e-5, `${value} ${b[i]}`);
  };
  const padded = await ask([0, 1, 2], [0, 1], across, 4);
  near(padded.velocity, plain.velocity);
  near([padded.affinity[0]!, padded.affinity[1]!, padded.affinity[4]!], plain.affinity.slice(0, 3));
  const swapped = await ask([0, 1, 2], [1, 0], [[1, 0], [0], []], 2);
  near(swapped.affinity.slice(0, 3), plain.affinity.slice(0, 3));
  near([...swapped.tracks.slice(16), ...swapped.tracks.slice(0, 16)], plain.tracks);
  await run.dispose();
});

test('decoder layers begin as copies, unless each is to draw its own', () => {
  const model = new MotFormer({ width: 16, heads: 2 });
  const first = (weights: Weights, layer: number) =>
    toNumbers(weights.get([...model.decoders[layer]!.namedWeights().values()][0]!)!);
  const copied = initializeMotFormer(model, 1);
  assert.deepEqual(first(copied, 2), first(copied, 0));
  const own = initializeMotFormer(model, 1, { copies: false });
  assert.notDeepEqual(first(own, 2), first(own, 0));
});
