import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Random } from '@working-papers/nn/random';
import { type NdArray, ndarray, openDevice, type Tensor } from '@working-papers/tensor';
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { exportMotFormer } from './export.ts';
import { initializeMotFormer, MotFormer } from './model.ts';

const device = await openDevice({ threads: 1 });
after(() => device.close());

test('the exported graphs say in another session what the library says, for sizes of their own', async () => {
  const model = new MotFormer({ nodeInputs: 13, width: 16, heads: 2 });
  const weights = initializeMotFormer(model, 3);
  const graphs = exportMotFormer({ model, weights });
  const random = new Random(4);
  const [n, m] = [5, 3];
  const drawn = (...shape: number[]) =>
    ndarray(
      Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => random.normal()),
      shape,
    );
  const list = (rows: number, k: number, of: number) => ({
    index: ndarray(
      Int32Array.from({ length: rows * k }, () => random.integer(of)),
      [rows, k],
      'int32',
    ),
    mask: ndarray(
      Float32Array.from({ length: rows * k }, () => random.integer(2)),
      [rows, k],
    ),
  });
  const graph = {
    dets: drawn(n, 13),
    tracks: drawn(m, 16),
    amongTracks: list(m, 2, m),
    amongDets: list(n, 4, n),
    across: list(n, 3, m),
    edges: drawn(n, 3, 10),
  };
  const spec = ({ shape, dtype }: NdArray) => ({ shape, dtype });
  const lists = ({ index, mask }: { index: NdArray; mask: NdArray }) => ({
    index: spec(index),
    mask: spec(mask),
  });
  const compiled = await device.compile((given) => model.forward(given), {
    inputs: [
      {
        dets: spec(graph.dets),
        tracks: spec(graph.tracks),
        amongTracks: lists(graph.amongTracks),
        amongDets: lists(graph.amongDets),
        across: lists(graph.across),
        edges: spec(graph.edges),
      },
    ] as const,
    weights,
  });
  const known = await compiled(graph as never);
  const embedded = await (
    await device.compile((dets: Tensor) => model.embed(dets), {
      inputs: [spec(graph.dets)] as const,
      weights,
    })
  )(graph.dets);

  const asOrt = ({ data, shape, dtype }: NdArray) =>
    new OrtTensor(dtype as 'float32', data as Float32Array, shape);
  const flat = {
    dets: graph.dets,
    tracks: graph.tracks,
    ...Object.fromEntries(
      (['amongTracks', 'amongDets', 'across'] as const).flatMap((name) => [
        [`${name}.index`, graph[name].index],
        [`${name}.mask`, graph[name].mask],
      ]),
    ),
    edges: graph.edges,
  } as Readonly<Record<string, NdArray>>;
  for (const [{ bytes, inputs, outputs }, expected] of [
    [graphs.embed, { features: embedded }],
    [
      graphs.step,
      {
        affinity: known.affinity,
        features: known.dets,
        trackFeatures: known.tracks,
        velocity: known.velocity,
      },
    ],
  ] as const) {
    const session = await InferenceSession.create(bytes);
    assert.deepEqual([...session.inputNames].toSorted(), [...inputs].toSorted());
    assert.deepEqual(session.outputNames, outputs);
    const feeds = Object.fromEntries(inputs.map((name) => [name, asOrt(flat[name]!)]));
    const found = await session.run(feeds);
    for (const [name, { data }] of Object.entries(expected))
      for (const [i, value] of (found[name]!.data as Float32Array).entries())
        assert.ok(Math.abs(value - Number(data[i])) < 1e-5, `${name} ${i}: ${value} ${data[i]}`);
    await session.release();
  }
});
