/** A network small enough for tests, with random weights and two cost weights. */

import { ResNet } from '@working-papers/models/resnet';
import { initialize, stateDict } from '@working-papers/nn/module';
import { Random } from '@working-papers/nn/random';
import type { NdArray } from '@working-papers/tensor';
import { JeiDnn } from '../model.ts';
import type { JeiDnnWeights } from '../weights.ts';

const tinyArchitecture = { blocksPerStage: 2, widths: [4, 6, 8], classes: 5 } as const;

/** Exits after blocks 0 to 4 and at the end; 16×16 pictures; λ is 0.1 or 1. */
export function tinyWeights(seed = 1): JeiDnnWeights {
  const backbone = new ResNet(tinyArchitecture);
  const model = new JeiDnn(backbone);
  const random = new Random(seed).fork('statistics');
  const dict = stateDict(backbone, initialize(backbone, seed));
  // running statistics of a network that saw something, so that no normalisation is the identity
  for (const [name, { data }] of dict) {
    if (!/running|bn\d\./.test(name)) continue;
    for (let i = 0; i < data.length; i++) data[i] = random.uniform(0.5, 1.5);
  }
  const trained = [0.1, 1].map((costWeight, i) => {
    const all = stateDict(model, initialize(model, seed + 10 + i));
    const tensors = new Map<string, NdArray>();
    for (const [name, value] of all) if (!name.startsWith('backbone.')) tensors.set(name, value);
    return { costWeight, tensors };
  });
  return {
    architecture: tinyArchitecture,
    imageSize: 16,
    classNames: ['circle', 'cross', 'square', 'star', 'wave'],
    exits: model.exits,
    rule: 'joint',
    backbone: dict,
    trained,
    card: { seed: String(seed) },
  };
}
