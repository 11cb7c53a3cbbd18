/** `wp run longspec`: a text continued as the model alone would continue it, sooner. */

import { defineCommand, type Output, UserError } from '@working-papers/paper';
import { deviceOptions, openChosenDevice } from '@working-papers/paper/device';
import type { Summary } from './decode.ts';
import { drafterOptions, generationOptions, modelOptions } from './options.ts';

// The engine is loaded when the command runs, not when its help is shown.
const engine = async () => ({
  readFile: (await import('node:fs/promises')).readFile,
  ...(await import('@working-papers/paper/files')),
  ...(await import('./example-text.ts')),
  ...(await import('./generate.ts')),
  ...(await import('./memory.ts')),
  ...(await import('./text-model.ts')),
});

export const runCommand = defineCommand({
  summary: 'continue a text, several tokens with each call of the model, without changing a word',
  options: {
    ...modelOptions,
    prompt: { type: 'string', short: 'p', description: 'a text file to continue; default an example' },
    text: { type: 'string', short: 't', description: 'the text itself, instead of a file' },
    chat: { type: 'boolean', description: "the text is a user's message, put through the chat template" },
    ...drafterOptions,
    ...generationOptions,
    compare: { type: 'boolean', description: 'decode without guesses too, and compare text and time' },
    ...deviceOptions,
    out: { type: 'string', short: 'o', description: 'a file for the text, prompt not included' },
  },
  examples: [
    'wp run longspec --model ./my-llama --prompt chapter.txt --max-new-tokens 512 --compare',
    "wp run longspec --model ./my-llama --text 'Call me' --temperature 0.8 --seed 7",
    'wp run longspec --model ./my-llama --method lookup --prompt log.txt',
  ],
  async execute({ options, output, signal }) {
    const wp = await engine();
    const { model: folder = wp.shippedFolder, draft, method, out } = options;
    if (options.text !== undefined && options.prompt !== undefined)
      throw new UserError('--text and --prompt are both given: one text can be continued');
    const text =
      options.text ??
      (options.prompt === undefined ? wp.exampleText : await wp.readFile(options.prompt, 'utf8'));
    const prompt = options.chat ? [{ role: 'user', content: text }] : text;
    await using device = await openChosenDevice(options);
    await using model = await wp.openTextModel({ device, folder, draft, method, shape: options.tree });
    const asked = {
      prompt,
      maxNewTokens: options.maxNewTokens,
      temperature: options.temperature,
      ...(options.topK !== undefined && { topK: options.topK }),
      ...(options.topP !== undefined && { topP: options.topP }),
      seed: options.seed,
      stop: options.stop === undefined ? [] : [options.stop],
      signal,
    };
    const length = wp.promptTokens(model.tokenizer, prompt).length;
    const first = await continued(wp, model, asked, length, output, true);
    output.write('\n\n');
    const runs = [{ method: model.drafter.name, ...first }];
    if (options.compare) {
      const plain = { ...model, drafter: await model.openDrafter({ method: 'vanilla' }) };
      runs.push({ method: 'vanilla', ...(await continued(wp, plain, asked, length, output, false)) });
    }
    output.table(
      ['method', 'tokens', 'tokens a call', 'tokens a second', 'prompt, s'],
      runs.map(({ method, ids, seconds, summary }) => [
        method,
        ids.length,
        summary?.tau.toFixed(2),
        (ids.length / seconds).toFixed(1),
        summary && (summary.prefillMs / 1000).toFixed(2),
      ]),
    );
    const memory = wp.memoryUse(model.loaded, length + first.ids.length);
    const [peak, weights, cache] = [memory.peak, memory.weights, memory.cache].map((bytes) =>
      bytes < 2 ** 30 ? `${Math.round(bytes / 2 ** 20)} MB` : `${(bytes / 2 ** 30).toFixed(1)} GB`,
    );
    output.print(`memory: ${peak} at most; the weights are ${weights}, keys and values ${cache}`);
    const same = runs.every(({ ids }) => `${ids}` === `${first.ids}`);
    if (options.compare) {
      const [fast, plain] = runs as [(typeof runs)[number], (typeof runs)[number]];
      const ratio = fast.ids.length / fast.seconds / (plain.ids.length / plain.seconds);
      output.print(`${ratio.toFixed(2)} times as fast, ${same ? 'the same tokens' : 'OTHER tokens'}`);
    }
    if (out !== undefined) {
      await wp.writeFileWhole(out, first.text);
      output.print(out);
    }
    output.result({
      text: first.text,
      tokens: first.ids,
      promptTokens: length,
      reason: first.reason,
      memory,
      runs: runs.map(({ method, seconds, summary, ids }) => ({
        method,
        tokens: ids.length,
        tokensPerSecond: ids.length / seconds,
        summary,
      })),
      ...(options.compare && { same }),
    });
  },
});

type Engine = Awaited<ReturnType<typeof engine>>;

interface Continued {
  readonly text: string;
  readonly ids: readonly number[];
  readonly reason: string;
  readonly summary: Summary | undefined;
  /** Of decoding, from the first token on. */
  readonly seconds: number;
}

async function continued(
  wp: Engine,
  model: Parameters<Engine['generate']>[0],
  options: Parameters<Engine['generate']>[1],
  length: number,
  output: Output,
  show: boolean,
): Promise<Continued> {
  const bar = output.progress('prompt', length);
  const run = wp.generate(model, { ...options, onPrefill: (done) => bar.update(done) });
  const ids: number[] = [];
  let text = '';
  let started = performance.now();
  try {
    for (;;) {
      const { value, done } = await run.next();
      if (done) {
        const seconds = (value.summary?.decodeMs ?? performance.now() - started) / 1000;
        return { text, ids, reason: value.reason, summary: value.summary, seconds };
      }
      if (ids.length === 0) {
        bar.end();
        started = performance.now();
      }
      ids.push(value.id);
      text += value.text;
      if (show) output.write(value.text);
    }
  } finally {
    bar.end();
  }
}
