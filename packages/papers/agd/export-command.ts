/** `wp export agd`: the guided model as one `.onnx` file that takes ω as an input. */

import { defineCommand } from '@working-papers/paper';
import { defaultName, shippedNames } from './shipped.ts';

export const exportCommand = defineCommand({
  summary:
    'write the guided model as one .onnx file: noisy pictures, σ, classes and ω in, clean pictures out',
  options: {
    out: { type: 'string', short: 'o', default: 'agd.onnx', description: 'the file to write' },
    adapter: {
      type: 'string',
      choices: shippedNames,
      default: defaultName,
      description: 'which of those that ship; the last were trained on noised data, as a warning',
    },
    weights: { type: 'string', description: 'adapters of your own' },
    base: { type: 'string', description: 'the frozen model; default the one that ships' },
  },
  examples: ['wp export agd --out agd.onnx'],
  async execute({ options, output }) {
    const { out } = options;
    const { exportGuided } = await import('./sample.ts');
    const { readAdapters, shippedAdapters } = await import('./weights-file.ts');
    const { readTeacher } = await import('@working-papers/models/cifar10-files');
    const { cifar10Shape } = await import('@working-papers/models/cifar10-sampling');
    const { writeFileWhole } = await import('@working-papers/paper/files');
    const { model, weights } = await readTeacher(options.base);
    const tokens = model.network.posEmbed.shape[1] as number;
    const adapters = await readAdapters(options.weights ?? shippedAdapters(options.adapter), { tokens });
    const given = { model, weights, adapters: adapters.model, adapterWeights: adapters.weights };
    const { bytes, inputs, outputs } = exportGuided({ ...given, shape: cifar10Shape });
    await writeFileWhole(out, bytes);
    output.print(`${out}: ${inputs.join(', ')} → ${outputs.join(', ')}`);
    output.result({ file: out, bytes: bytes.length, inputs, outputs });
  },
});
