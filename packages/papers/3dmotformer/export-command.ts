/** `wp export 3dmotformer`: the network as two `.onnx` files. */

import { join } from 'node:path';
import { defineCommand } from '@working-papers/paper';

export const exportCommand = defineCommand({
  summary: 'write the network as two .onnx files: features of a first frame, and a frame’s graph',
  options: {
    out: { type: 'string', short: 'o', default: '3dmotformer', description: 'the folder to write to' },
    hertz: {
      type: 'string',
      choices: ['2', '10'],
      default: '10',
      description: 'frames a second, for the weights that ship',
    },
    weights: { type: 'string', description: "a file from 'wp train 3dmotformer'" },
  },
  examples: ['wp export 3dmotformer --out model'],
  async execute({ options, output }) {
    const { exportMotFormer } = await import('./export.ts');
    const { readMotFormer, shippedMotFormer } = await import('./weights-file.ts');
    const { writeFileWhole } = await import('@working-papers/paper/files');
    const path = options.weights ?? shippedMotFormer(options.hertz === '2' ? 2 : 10);
    const network = await readMotFormer(path);
    const graphs = exportMotFormer(network);
    const written = [];
    for (const [name, { bytes, inputs, outputs }] of Object.entries(graphs)) {
      const file = join(options.out, `${name}.onnx`);
      await writeFileWhole(file, bytes);
      output.print(`${file}: ${inputs.join(', ')} → ${outputs.join(', ')}`);
      written.push({ file, bytes: bytes.length, inputs, outputs });
    }
    const manifest = join(options.out, 'manifest.json');
    const { classes, graph } = network.options;
    const about = { format: 'working-papers/3dmotformer', classes, graph, files: written };
    await writeFileWhole(manifest, `${JSON.stringify(about, null, 2)}\n`);
    output.print(manifest);
    output.result({ folder: options.out, ...about });
  },
});
