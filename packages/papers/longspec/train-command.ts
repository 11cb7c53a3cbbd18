/** `wp train longspec`: a draft for a model, in the paper's stages; or the model of this paper, from books on. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { defineCommand, type Output, UserError } from '@working-papers/paper';
import { deviceOptions, openChosenDevice } from '@working-papers/paper/device';
import type { Device } from '@working-papers/tensor';

// The engine is loaded when the command runs, not when its help is shown.
const engine = async () => ({
  readFile: (await import('node:fs/promises')).readFile,
  ...(await import('@working-papers/models/decoder/byte-bpe')),
  ...(await import('@working-papers/models/decoder/decoder')),
  ...(await import('@working-papers/models/decoder/folder')),
  ...(await import('@working-papers/models/decoder/tokenizer')),
  ...(await import('@working-papers/paper/files')),
  ...(await import('@working-papers/paper/training')),
  ...(await import('./corpus.ts')),
  ...(await import('./draft-file.ts')),
  ...(await import('./target.ts')),
  ...(await import('./train.ts')),
});
type Engine = Awaited<ReturnType<typeof engine>>;

export const trainCommand = defineCommand({
  summary: 'train a draft for a model of your own, or the small model of this paper',
  options: {
    model: { type: 'string', description: 'folder of a Hugging Face model, for which the draft is' },
    data: { type: 'string', description: 'text files or folders of them, several with commas between' },
    target: {
      type: 'boolean',
      description: 'train a tokenizer and a model of 5 million weights on the texts instead, into --out',
    },
    steps: {
      type: 'integer',
      min: 1,
      description: 'updates of the first stage; default 800, of the target 1,200',
    },
    longSteps: {
      type: 'integer',
      min: 0,
      default: 60,
      description: 'updates of the second stage, at plain positions',
    },
    length: {
      type: 'integer',
      min: 2,
      default: 1024,
      description: 'tokens of a sequence in the first stage',
    },
    longLength: {
      type: 'integer',
      min: 2,
      default: 8192,
      description: 'tokens of a sequence in the second stage',
    },
    batchSize: {
      type: 'integer',
      min: 1,
      default: 4,
      description: 'sequences of an update in the first stage',
    },
    rate: { type: 'number', min: 0, default: 5e-4, description: 'highest learning rate of the first stage' },
    longRate: { type: 'number', min: 0, default: 1e-4, description: 'highest learning rate of the second' },
    positions: {
      type: 'string',
      choices: ['anchor-offset', 'plain'],
      default: 'anchor-offset',
      description: 'of the first stage; plain is what the paper improves on',
    },
    anchors: {
      type: 'integer',
      min: 0,
      max: 4,
      description: 'anchors of every sequence; default 0 to 4 at random',
    },
    noise: {
      type: 'boolean',
      default: true,
      description: 'hide the last 1 to 4 of the target’s keys at random, not 1',
    },
    labels: {
      type: 'string',
      choices: ['target', 'text'],
      default: 'target',
      description: 'what the draft is to say: what the model says, or the text’s next token as in the paper',
    },
    seed: { type: 'integer', min: 0, default: 1, description: 'same seed, same draft' },
    out: {
      type: 'string',
      short: 'o',
      default: 'runs/longspec',
      description: 'folder for draft, log and checkpoints',
    },
    resume: { type: 'boolean', description: 'go on from the checkpoints in --out' },
    ...deviceOptions,
  },
  examples: [
    'wp train longspec --model ./my-llama --data texts/',
    'wp train longspec --target --data books/ --out runs/books-5m',
    'wp train longspec --model runs/books-5m --data books/',
  ],
  async execute({ options, output, signal }) {
    const wp = await engine();
    const { data, model: folder, target } = options;
    if (data === undefined) throw new UserError('--data is missing: text files or folders of them');
    if (!target && folder === undefined)
      throw new UserError('--model is missing: the folder of the model that the draft is for, or --target');
    const stages = target
      ? wp.targetStages(options.steps ?? 1200).map(({ length }) => `training-${length}`)
      : ['stage-1', 'stage-2'];
    const card = wp.beginTraining({
      from: import.meta.url,
      seed: options.seed,
      folder: options.out,
      checkpoints: stages.map((stage) => join(stage, 'checkpoint.safetensors')),
      resume: options.resume,
    });
    const paths = data.split(',').map((path) => path.trim());
    const { seen, unseen } = wp.holdOut(await wp.readDocuments(paths));
    await using device = await openChosenDevice(options);
    const given = { wp, device, output, signal, options, card };
    if (target) await trainTargetFrom(given, seen, unseen);
    else await trainDraftFrom(given, folder!, seen, unseen);
  },
});

interface Given {
  readonly wp: Engine;
  readonly device: Device;
  readonly output: Output;
  readonly signal: AbortSignal;
  readonly options: Parameters<(typeof trainCommand)['execute']>[0]['options'];
  /** How a file is made. */
  readonly card: ReturnType<Engine['beginTraining']>;
}

type Documents = Awaited<ReturnType<Engine['readDocuments']>>;

function tokenized(
  { wp, output }: Given,
  tokenizer: Parameters<Engine['tokenize']>[0],
  documents: Documents,
): Int32Array[] {
  using bar = output.progress('tokens', documents.length);
  return wp.tokenize(tokenizer, documents, (done) => bar.update(done));
}

async function trainTargetFrom(given: Given, seen: Documents, unseen: Documents): Promise<void> {
  const { wp, device, output, signal, options } = given;
  const { out, seed, resume, steps = 1200 } = options;
  const tokenizerFile = join(out, 'tokenizer.json');
  const isKept = resume && existsSync(tokenizerFile);
  const json = isKept
    ? (JSON.parse(await wp.readFile(tokenizerFile, 'utf8')) as object)
    : learnTokenizer(given, seen);
  if (!isKept) await wp.writeFileWhole(tokenizerFile, `${JSON.stringify(json)}\n`);
  const tokenizer = new wp.TextTokenizer(json);
  const documents = tokenized(given, tokenizer, seen);
  const [begin, end] = [tokenizer.idOf(wp.beginOfText)!, tokenizer.idOf(wp.endOfText)!];
  const model = new wp.Decoder(wp.targetConfig);
  let weights: Awaited<ReturnType<Engine['trainTarget']>>['weights'] | undefined;
  const losses: { length: number; steps: number; loss: number }[] = [];
  for (const stage of wp.targetStages(steps)) {
    const fits = documents.filter((tokens) => tokens.length >= stage.length);
    if (fits.length === 0) {
      output.warn(`no text has ${stage.length} tokens: this length is left out`);
      continue;
    }
    using bar = output.progress(`${stage.length} tokens`, stage.steps);
    let last = Number.NaN;
    const done = await wp.trainTarget({
      device,
      documents,
      begin,
      stage,
      seed,
      target: model,
      ...(weights && { weights }),
      folder: join(out, `training-${stage.length}`),
      resume,
      signal,
      onStep: (step, { loss }) => {
        last = loss!;
        bar.update(step, `loss ${loss!.toFixed(3)}`);
      },
    });
    signal.throwIfAborted();
    weights = done.weights;
    losses.push({ length: stage.length, steps: done.steps, loss: last });
  }
  if (!weights) throw new UserError('--data: no text is long enough to train on');
  await wp.writeDecoder(out, {
    model,
    weights,
    tokenizer: json,
    tokenizerConfig: { bos_token: wp.beginOfText, eos_token: wp.endOfText },
    bosToken: begin,
    eosToken: end,
    metadata: { ...given.card(), heldOut: unseen.map(({ name }) => name).join(', ') },
  });
  output.print(out);
  output.result({ out, losses });
}

function learnTokenizer({ wp, output }: Given, seen: Documents): object {
  const merges = wp.targetConfig.vocabSize - 258;
  using bar = output.progress('merges', merges);
  const texts = seen.map(({ text }) => text);
  return wp.trainByteBpe(texts, {
    vocabSize: wp.targetConfig.vocabSize,
    onProgress: (done) => bar.update(done),
  });
}

async function trainDraftFrom(
  given: Given,
  folder: string,
  seen: Documents,
  unseen: Documents,
): Promise<void> {
  const { wp, device, output, signal, options } = given;
  const { out, seed, resume, noise, anchors, labels, steps = 800 } = options;
  const { model, weights, tokenizer, config } = await wp.locateDecoder(folder);
  const documents = tokenized(given, tokenizer, seen);
  const [begin] = tokenizer.encode('');
  if (begin === undefined)
    throw new UserError(
      `${folder}: the tokenizer begins texts with no token of its own (BOS), which training needs`,
    );
  const lags = noise ? [1, 2, 3, 4] : [1];
  const stages = [
    {
      name: 'stage 1',
      length: Math.min(options.length, config.maxPositions),
      batchSize: options.batchSize,
      steps,
      peakRate: options.rate,
      positions: options.positions,
      ...(anchors !== undefined && { anchors }),
      lags,
      labels,
    },
    {
      name: 'stage 2',
      length: Math.min(options.longLength, config.maxPositions - 1),
      batchSize: 1,
      steps: options.longSteps,
      peakRate: options.longRate,
      positions: 'plain' as const,
      lags,
      labels,
    },
  ];
  let trained: Awaited<ReturnType<Engine['trainDraft']>> | undefined;
  const losses: { stage: string; steps: number; loss: number }[] = [];
  for (const each of stages) {
    const { name, ...stage } = each;
    if (stage.steps === 0) continue;
    if (documents.every((tokens) => tokens.length < stage.length)) {
      output.warn(`${name}: no text has ${stage.length} tokens, left out`);
      continue;
    }
    using bar = output.progress(name, stage.steps);
    let last = Number.NaN;
    trained = await wp.trainDraft({
      device,
      target: model,
      targetWeights: weights,
      documents,
      begin,
      stage,
      seed,
      ...(trained && { start: trained }),
      folder: join(out, name.replace(' ', '-')),
      resume,
      signal,
      onStep: (step, { loss }) => {
        last = loss!;
        bar.update(step, `loss ${loss!.toFixed(3)}`);
      },
    });
    signal.throwIfAborted();
    losses.push({ stage: name, steps: trained.steps, loss: last });
    // what the second stage adds can be measured
    if (each !== stages.at(-1))
      await wp.writeDraft(
        join(out, `draft-${name.replace(' ', '-')}.safetensors`),
        trained.draft,
        trained.weights,
      );
  }
  if (!trained) throw new UserError('--data: no text is long enough to train on');
  const file = join(out, 'draft.safetensors');
  const metadata = { ...given.card(), heldOut: unseen.map(({ name }) => name).join(', ') };
  await wp.writeDraft(file, trained.draft, trained.weights, metadata);
  output.print(`${file}\nwp run longspec --model ${folder} --draft ${file} --compare`);
  output.result({ file, losses });
}
