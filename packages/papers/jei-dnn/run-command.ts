/** `wp run jei-dnn PHOTO...`: what is on each photograph, and at which exit the network knew. */

import { defineCommand, UserError } from '@working-papers/paper';
import { deviceOptions, openChosenDevice } from '@working-papers/paper/device';

// The engine is loaded when the command runs, not when its help is shown.
const engine = async () => {
  const [tensor, images, classify, weights, samples, files] = await Promise.all([
    import('@working-papers/tensor'),
    import('@working-papers/nn/images-node'),
    import('./classify.ts'),
    import('./weights-file.ts'),
    import('./samples.ts'),
    import('@working-papers/paper/files'),
  ]);
  return { ...tensor, ...images, ...classify, ...weights, ...samples, ...files };
};

export const runCommand = defineCommand({
  summary: 'classify photos and say at which exit the network stopped',
  positionals: [
    {
      name: 'photo',
      description: 'JPEG, PNG or WebP files of any size; without one, six pictures drawn for the purpose',
      multiple: true,
    },
  ],
  options: {
    costWeight: {
      type: 'number',
      min: 0,
      description: 'λ: what computing weighs against being right; one of those that were trained',
    },
    rule: {
      type: 'string',
      choices: ['joint', 'independent'],
      description:
        'leave at g ≥ τR, R what earlier gates left of 1, or at g ≥ τ; default the one that the weights were trained for',
    },
    threshold: {
      type: 'number',
      min: 0,
      max: 1,
      default: 0.5,
      description: 'τ of the rule; other values than 0.5 are an extension of ours',
    },
    gates: {
      type: 'boolean',
      default: true,
      description: 'ask the gates at each exit; without them the whole network runs',
    },
    weights: { type: 'string', description: 'a weights file; default the one that ships' },
    ...deviceOptions,
    out: { type: 'string', short: 'o', description: 'also write the result to this file, as JSON' },
  },
  examples: [
    'wp run jei-dnn cat.jpg',
    'wp run jei-dnn *.jpg --cost-weight 0.8 --json',
    'wp run jei-dnn cat.jpg --no-gates',
  ],
  async execute({ positionals, options, output, signal }) {
    const { threshold, gates } = options;
    const wp = await engine();
    const weights = await wp.readWeights(options.weights);
    const rule = options.rule ?? weights.rule;
    const { pictures, failures } = await readPictures(positionals, wp, signal);
    if (pictures.length === 0) throw new UserError(describe(failures, positionals.length));

    await using device = await openChosenDevice(options);
    const classifier = await wp
      .openClassifier({
        device,
        weights,
        ...(options.costWeight === undefined ? {} : { costWeight: options.costWeight }),
      })
      .catch((error: Error) => {
        throw error.name === 'WeightsError' ? new UserError(error.message, { cause: error }) : error;
      });
    const start = performance.now();
    const answers = await classifier.classify(
      pictures.map(({ image }) => image),
      { rule, threshold, gates },
    );
    const milliseconds = performance.now() - start;

    const photos = answers.map((answer, i) => ({ file: pictures[i]!.file, ...answer }));
    const meanCost = photos.reduce((sum, { cost }) => sum + cost, 0) / photos.length;
    const exitCount = classifier.costs.shares.length;
    output.table(
      ['photo', 'label', 'confidence', 'exit', 'cost'],
      photos.map(({ file, className, confidence, exit, cost }) => [
        file,
        className,
        percent(confidence),
        `${exit + 1} of ${exitCount}`,
        percent(cost),
      ]),
    );
    const what = gates ? `λ = ${classifier.costWeight}` : 'gates off';
    const count = photos.length === 1 ? '1 photo' : `${photos.length} photos`;
    output.print(
      `\n${what}: ${percent(meanCost)} of the full network's multiply-adds; ${count} in ${milliseconds.toFixed(0)} ms`,
    );
    const result = {
      costWeight: classifier.costWeight,
      rule,
      threshold,
      gates,
      device: options.device,
      milliseconds,
      meanCost,
      exitCosts: classifier.costs.shares,
      classNames: classifier.classNames,
      photos,
      failures,
    };
    if (options.out !== undefined)
      await wp.writeFileWhole(options.out, `${JSON.stringify(result, null, 2)}\n`);
    output.result(result);
    if (failures.length > 0) throw new UserError(describe(failures, positionals.length));
  },
});

type Engine = Awaited<ReturnType<typeof engine>>;

interface Failure {
  readonly file: string;
  readonly message: string;
}

/** All pictures that can be read, and all that cannot: one bad file must not cost the answers for the others. */
async function readPictures(files: readonly string[], wp: Engine, signal: AbortSignal) {
  if (files.length === 0) {
    const drawn = wp.samples.map((sample) => ({ file: `a drawn ${sample.name}`, image: sample.draw() }));
    return { pictures: drawn, failures: [] };
  }
  const pictures: { file: string; image: Awaited<ReturnType<Engine['readImage']>> }[] = [];
  const failures: Failure[] = [];
  for (const file of files) {
    signal.throwIfAborted();
    try {
      pictures.push({ file, image: await wp.readImage(file) });
    } catch (error) {
      if (!(error instanceof Error) || error.name !== 'ImageError') throw error;
      failures.push({ file, message: error.message });
    }
  }
  return { pictures, failures };
}

function describe(failures: readonly Failure[], total: number): string {
  const messages = failures.map(({ message }) => message).join('; ');
  return total === 1 ? messages : `${failures.length} of ${total} photos could not be read: ${messages}`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
