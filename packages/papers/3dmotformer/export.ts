/** The network as standard ONNX files, for other runtimes. */

import type { Weights } from '@working-papers/nn/module';
import { lower, Tensor } from '@working-papers/tensor';
import type { MotFormer } from './model.ts';

interface Exported {
  readonly bytes: Uint8Array;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

/**
 * Two graphs of any size. `embed`: dets [n, inputs] → features [n, d], which a first frame's tracks begin with. `step`: a
 * frame's graph, see `FrameGraph`, lists as `across.index` [n, k] int32 and `across.mask` [n, k] float32 → affinity [n, k]
 * (logits), features [n, d] of detections, trackFeatures [m, d] of tracks that go on unseen, velocity [n, 2].
 */
export function exportMotFormer({
  model,
  weights,
}: {
  readonly model: MotFormer;
  readonly weights: Weights;
}): { embed: Exported; step: Exported } {
  const [width, nodeInputs] = model.embedding.weight.shape as [number, number];
  const input = (name: string, shape: (string | number)[], dtype: 'float32' | 'int32' = 'float32') =>
    new Tensor({ shape, dtype }, { kind: 'input', name });
  const dets = input('dets', ['n', nodeInputs]);
  const list = (name: string, n: string, k: string) => ({
    index: input(`${name}.index`, [n, k], 'int32'),
    mask: input(`${name}.mask`, [n, k]),
  });
  const graph = {
    dets,
    tracks: input('tracks', ['m', width]),
    amongTracks: list('amongTracks', 'm', 'kt'),
    amongDets: list('amongDets', 'n', 'kd'),
    across: list('across', 'n', 'k'),
    edges: input('edges', ['n', 'k', 10]),
  };
  const { affinity, velocity, ...features } = model.forward(graph);
  const outputs = ['affinity', 'features', 'trackFeatures', 'velocity'];
  const lists = ['amongTracks', 'amongDets', 'across'].flatMap((name) => [`${name}.index`, `${name}.mask`]);
  return {
    embed: {
      bytes: lower([model.embed(dets)], { weights, outputNames: ['features'], name: '3dmotformer-embed' })
        .bytes,
      inputs: ['dets'],
      outputs: ['features'],
    },
    step: {
      bytes: lower([affinity, features.dets, features.tracks, velocity], {
        weights,
        outputNames: outputs,
        name: '3dmotformer-step',
      }).bytes,
      inputs: ['dets', 'tracks', ...lists, 'edges'],
      outputs,
    },
  };
}
