/** `wp bench longspec`: LongSpec beside vanilla decoding, prompt lookup, MagicDec and chains, on the same prompts. */

import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { defineCommand, UserError } from '@working-papers/paper';
import { benchOptions } from '@working-papers/paper/bench';
import type { NamedDraft } from './losses.ts';
import { modelOptions } from './options.ts';
import type { Measured, Settings } from './results.ts';

// The engine is loaded when the command runs, not when its help is shown.
const engine = async () => ({
  ...(await import('node:fs/promises')),
  tmpdir: (await import('node:os')).tmpdir,
  ...(await import('@working-papers/models/decoder/folder')),
  ...(await import('@working-papers/paper/bench')),
  ...(await import('@working-papers/paper/device')),
  ...(await import('@working-papers/paper/manifest')),
  ...(await import('./bench.ts')),
  ...(await import('./corpus.ts')),
  ...(await import('./draft-file.ts')),
  ...(await import('./example-text.ts')),
  ...(await import('./losses.ts')),
  ...(await import('./memory.ts')),
  ...(await import('./peers/peers.ts')),
  ...(await import('./report.ts')),
  ...(await import('./text-model.ts')),
});

export const benchCommand = defineCommand({
  summary: 'measure speed and acceptance beside vanilla decoding, prompt lookup, MagicDec and chains',
  options: {
    ...modelOptions,
    more: {
      type: 'string',
      description: 'further drafts to measure: NAME=FILE, several with commas between',
    },
    data: {
      type: 'string',
      description: 'text that the model has not seen: files or folders, with commas between',
    },
    contexts: {
      type: 'integers',
      min: 2,
      default: [1024, 4096, 8192, 16000],
      description: 'tokens of the prompts',
    },
    temperatures: { type: 'numbers', min: 0, default: [0, 1], description: 'T' },
    prompts: { type: 'integer', min: 1, default: 20, description: 'of each text and context' },
    newTokens: { type: 'integer', min: 2, default: 256, description: 'tokens after each' },
    texts: {
      type: 'integer',
      min: 0,
      default: 4,
      description: 'of the longest context, on which losses are measured by position',
    },
    losses: {
      type: 'string',
      description: 'drafts of which only the losses are measured: NAME=FILE, several with commas between',
    },
    peers: {
      type: 'integer',
      min: 0,
      default: 0,
      description:
        'prompts of prose and context on which transformers.js and node-llama-cpp decode too, where they are installed',
    },
    memory: {
      type: 'boolean',
      description:
        'measure only memory at the longest context: of the model, and of a generated one of 1.4 GB (ten minutes)',
    },
    threads: { type: 'integer', min: 1, description: 'threads of the CPU; default all cores' },
    out: benchOptions.out,
    minutes: benchOptions.minutes,
    readme: benchOptions.readme,
    quick: {
      type: 'boolean',
      description: 'short contexts, two prompts; no figure of it belongs into the README',
    },
  },
  examples: [
    'wp bench longspec --data books/ --quick',
    'wp bench longspec --data books/ --out results.json --minutes 60',
  ],
  async execute({ options, output, signal }) {
    const wp = await engine();
    if (options.readme)
      return wp.remakeReadme({ from: import.meta.url, id: 'longspec', withReport: wp.withReport }, output);
    const { quick, data, draft, model: folder = wp.shippedFolder } = options;
    if (data === undefined) throw new UserError('--data is missing: text files or folders of them');
    wp.refuseQuick(import.meta.url, quick, options.out);
    const threads = options.threads ?? availableParallelism();
    await using device = await wp.openChosenDevice({ device: 'cpu', threads });
    await using model = await wp.openTextModel({ device, folder, method: 'vanilla' });
    const { config, tokenizer } = { config: model.target.config, tokenizer: model.tokenizer };
    const named = async (name: string, shape?: readonly number[], file = draft) => ({
      ...(await model.openDrafter({ method: 'longspec', draft: file, shape })),
      name,
    });
    const drafters = [
      model.drafter,
      await model.openDrafter({ method: 'lookup' }),
      await model.openDrafter({ method: 'magicdec' }),
      await named('LongSpec, chain', [1, 1, 1, 1]),
      await named(wp.ownName),
      await named(wp.treeName, [2, 2, 2, 1]),
      await named('LongSpec, tree of 16', [3, 4, 4, 4]),
    ];
    const drafts: NamedDraft[] = [];
    const read = async (name: string, file: string) =>
      drafts.push({ name, ...(await wp.readDraft(file, config)) });
    await read('LongSpec', draft ?? join(folder, 'draft.safetensors'));
    for (const [name, file] of namedFiles('more', options.more)) {
      drafters.push(await named(`LongSpec, ${name}`, [2, 2, 2, 1], file));
      await read(name, file);
    }
    for (const [name, file] of namedFiles('losses', options.losses)) await read(name, file);
    await using peers =
      options.peers > 0 ? await wp.openPeers(await wp.readDecoder(folder), threads) : undefined;
    for (const { name, why } of peers?.missing ?? [])
      output.warn(`${name} is left out: ${why}; npm install --no-save ${name} brings it`);
    const newTokens = quick ? Math.min(32, options.newTokens) : options.newTokens;
    const asked = quick ? [128, 1024] : options.contexts;
    const contexts = asked.filter((context) => context + newTokens <= config.maxPositions);
    const settings: Settings = {
      model: model.name,
      contexts,
      temperatures: quick ? [0] : options.temperatures,
      prompts: quick ? 2 : options.prompts,
      newTokens,
      methods: drafters.map(({ name }) => name),
      peers: peers?.list.map(({ name }) => name) ?? [],
      quick,
    };
    const { results, save, isOver } = await wp.growResults<Measured>({
      from: import.meta.url,
      out: options.out,
      minutes: options.minutes,
      signal,
      empty: {
        ...wp.runManifest({ from: import.meta.url }),
        ...{ settings, decodings: [], losses: [], sinkMass: null },
      },
      mayDiffer: ['contexts', 'temperatures', 'prompts'],
      withReport: wp.withReport,
    });
    const [begin] = tokenizer.encode('');
    const documents = await wp.readDocuments(data.split(','));
    // a line has 20 tokens or more
    const lines = 100 + Math.ceil(Math.max(0, ...contexts) / 20);
    const logs = [1, 2].map((seed) => ({ name: `log ${seed}`, text: wp.logText(lines, seed) }));
    const texts = [
      { name: 'prose', documents: wp.tokenize(tokenizer, documents) },
      { name: 'log', documents: wp.tokenize(tokenizer, logs) },
    ];
    if (options.memory) {
      const folders = await wp.mkdtemp(join(wp.tmpdir(), 'longspec-memory-'));
      try {
        const prompt = join(folders, 'prompt.txt');
        const tokens = wp.benchPrompt(texts[0]!, Math.max(...contexts), 0, begin ?? 0, contexts);
        if (!tokens) throw new UserError(`no text of --data has ${Math.max(...contexts)} tokens`);
        await wp.writeFile(prompt, tokenizer.decode(tokens.slice(1)));
        const large = join(folders, 'large');
        if (!quick) {
          const file = await wp.readFile(join(folder, 'tokenizer.json'), 'utf8');
          await wp.writeLargeModel(large, JSON.parse(file) as object);
        }
        const measured = [await wp.measureMemory(model.name, folder, prompt, { threads, signal })];
        if (!quick) measured.push(await wp.measureMemory(wp.largeName, large, prompt, { threads, signal }));
        results.memory = measured;
        await save();
      } finally {
        await wp.rm(folders, { recursive: true, force: true });
      }
      wp.printResults(output, wp.withReport(results));
      return;
    }
    if (results.losses.length === 0 && options.texts > 0) {
      const { model: target, weights: targetWeights } = model.loaded;
      const own = texts[0]!.documents;
      const longest = own.reduce((most, tokens) => Math.max(most, tokens.length), 0);
      const length = Math.min(longest, Math.max(...asked));
      const count = quick ? 1 : options.texts;
      using bar = output.progress('losses by position', count);
      const asks = {
        device,
        target,
        targetWeights,
        drafts,
        documents: own,
        begin: begin ?? 0,
        length,
        count,
      };
      Object.assign(results, await wp.measureLosses({ ...asks, signal, onText: (done) => bar.update(done) }));
      await save();
    }
    const cases = Array.from({ length: settings.prompts }, (_, prompt) => prompt).flatMap((prompt) =>
      contexts.flatMap((context) =>
        texts.flatMap((text) =>
          settings.temperatures.map((temperature) => ({ text, context, temperature, prompt })),
        ),
      ),
    );
    using bar = output.progress('prompts', cases.length);
    for (const [i, { text, ...about }] of cases.entries()) {
      if (isOver()) break;
      const isKnown = results.decodings.some(
        (each) =>
          each.text === text.name &&
          each.context === about.context &&
          each.temperature === about.temperature &&
          each.prompt === about.prompt,
      );
      const prompt = isKnown
        ? undefined
        : wp.benchPrompt(text, about.context, about.prompt, begin ?? 0, contexts);
      if (prompt) {
        const isWithPeers = text.name === 'prose' && about.temperature === 0 && about.prompt < options.peers;
        const others = (isWithPeers && peers?.list) || [];
        const given = { target: model.target, drafters, peers: others, newTokens, signal };
        results.decodings.push(...(await wp.measureCase(given, { text: text.name, ...about }, prompt)));
        await save();
      }
      bar.update(i + 1, `${text.name}, ${about.context}`);
    }
    bar.end();
    for (const drafter of drafters.slice(1)) await drafter.dispose();
    signal.throwIfAborted();
    // also where nothing was left to measure: the report goes by today's rules
    await save();
    wp.printResults(output, wp.withReport(results));
  },
});

/** NAME=FILE, several with commas between. */
function namedFiles(option: string, text: string | undefined): [name: string, file: string][] {
  return (text?.split(',') ?? []).map((pair) => {
    const [name, file] = pair.split('=');
    if (!name || !file) throw new UserError(`--${option} ${pair}: expected NAME=FILE`);
    return [name, file];
  });
}
