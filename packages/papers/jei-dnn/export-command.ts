/** `wp export jei-dnn`: the chain of graphs as `.onnx` files, with a manifest that says how to run them. */

import { join } from 'node:path';
import { defineCommand, UserError } from '@working-papers/paper';

export const exportCommand = defineCommand({
  summary: 'write the network as one .onnx file a segment, with a manifest',
  options: {
    out: { type: 'string', short: 'o', default: 'jei-dnn', description: 'the folder to write to' },
    costWeight: { type: 'number', min: 0, description: 'λ, one of those that were trained' },
    graphs: {
      type: 'integer',
      min: 1,
      description: 'spread the exits over so many files; default one an exit',
    },
    weights: { type: 'string', description: 'a weights file; default the one that ships' },
  },
  examples: ['wp export jei-dnn --out model --cost-weight 0.5', 'wp export jei-dnn --graphs 3'],
  async execute({ options, output, signal }) {
    const [{ loadModel }, { defaultCostWeight }, { readWeights }, segments, { exitCosts }, files, normal] =
      await Promise.all([
        import('./weights.ts'),
        import('./classify.ts'),
        import('./weights-file.ts'),
        import('./segments.ts'),
        import('./cost.ts'),
        import('@working-papers/paper/files'),
        import('./normalization.ts'),
      ]);
    const weights = await readWeights(options.weights);
    const { imageSize, classNames } = weights;
    const costWeight = options.costWeight ?? defaultCostWeight(weights);
    const userError = (error: unknown): never => {
      const isTheirs = error instanceof Error && ['WeightsError', 'RangeError'].includes(error.name);
      throw isTheirs ? new UserError(error.message, { cause: error }) : error;
    };
    try {
      const { model, values } = loadModel(weights, costWeight);
      const groups = segments.groupExits(model.exitCount, options.graphs ?? model.exitCount);
      const plans = segments.planSegments(model, groups, { imageSize });
      const written: object[] = [];
      for (const [i, plan] of plans.entries()) {
        signal.throwIfAborted();
        const { bytes, outputs } = segments.exportSegment(plan, values);
        const file = `segment-${i + 1}.onnx`;
        await files.writeFileWhole(join(options.out, file), bytes);
        const exits = plan.exits.map((exit) => exit + 1);
        written.push({ file, bytes: bytes.length, exits, inputs: plan.inputs, outputs });
      }
      const { shares, multiplyAdds } = exitCosts(model, imageSize);
      const manifest = {
        format: 'working-papers/jei-dnn-segments',
        costWeight,
        rule: `R = 1; at each early exit: leave where gate >= ${weights.rule === 'joint' ? 'R / 2' : '1 / 2'}, else R = remaining; keep lists the rows to go on with`,
        preprocessing: {
          size: imageSize,
          channels: 'RGB',
          layout: 'NCHW',
          scale: '0..1',
          ...normal.normalization,
        },
        classNames,
        exitCosts: shares,
        multiplyAdds,
        segments: written,
      };
      const path = join(options.out, 'manifest.json');
      await files.writeFileWhole(path, `${JSON.stringify(manifest, null, 2)}\n`);
      output.print(`${written.length} graphs and ${path}`);
      output.result({ folder: options.out, ...manifest });
    } catch (error) {
      userError(error);
    }
  },
});
