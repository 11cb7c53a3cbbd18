/** A full-size network with random weights, for what must run before, or without, the trained ones. */

import { ResNet } from '@working-papers/models/resnet';
import { cifar10Classes } from '@working-papers/nn/cifar10';
import { initialize, stateDict } from '@working-papers/nn/module';
import type { NdArray } from '@working-papers/tensor';
import { JeiDnn } from '../model.ts';
import type { JeiDnnWeights } from '../weights.ts';

const architecture = { blocksPerStage: 3, widths: [16, 32, 64], classes: 10 };

/** λ is 0.1, 0.5 or 2. The larger it is, the earlier pictures leave, each after an exit of its own liking. */
export function randomWeights(): JeiDnnWeights {
  const model = new JeiDnn(new ResNet(architecture));
  const all = stateDict(model, initialize(model, 7));
  const backbone = new Map<string, NdArray>();
  const exits = new Map<string, NdArray>();
  for (const [name, value] of all) {
    if (name.startsWith('backbone.')) backbone.set(name.slice('backbone.'.length), value);
    else exits.set(name, value);
  }
  const trained = [0.1, 0.5, 2].map((costWeight, i) => {
    const tensors = new Map(exits);
    for (const [name, value] of exits) {
      if (/^gates\.\d+\.linear\.bias$/.test(name))
        tensors.set(name, { ...value, data: Float32Array.of(i === 2 ? 5 : -1.6 + 0.5 * i) });
    }
    return { costWeight, tensors };
  });
  return {
    architecture,
    imageSize: 32,
    classNames: cifar10Classes,
    rule: 'joint',
    exits: model.exits,
    backbone,
    trained,
    card: {},
  };
}
