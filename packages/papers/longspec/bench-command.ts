/** `wp bench longspec`: LongSpec beside vanilla decoding, prompt lookup, MagicDec and chains, on the same prompts. */

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineCommand, UserError } from '@working-papers/paper';
import type { DecodingResult, Results, Settings } from './results.ts';

// The engine is loaded when the command runs, not when its help is shown.
const engine = async () => ({
  readFile: (await import('node:fs/promises')).readFile,
  resolve: (await import('node:path')).resolve,
  ...(await import('@working-papers/edition')),
  ...(await import('@working-papers/paper/device')),
  ...(await import('@working-papers/paper/files')),
  ...(await import('@working-papers/paper/manifest')),
  ...(await import('./bench.ts')),
  ...(await import('./corpus.ts')),
  ...(await import('./report.ts')),
  ...(await import('./text-model.ts')),
});

/** Beside the sources; what is compiled has neither. */
const own = (name: string) => fileURLToPath(new URL(name, import.meta.url));

export const benchCommand = defineCommand({
  summary: 'measure speed and acceptance beside vanilla decoding, prompt lookup, MagicDec and chains',
  options: {
    model: { type: 'string', description: 'folder of a Hugging Face model; default the one that ships' },
    draft: { type: 'string', description: "its draft; default draft.safetensors in the model's folder" },
    more: {
      type: 'string',
      description: 'further drafts to measure: NAME=FILE, several with commas between',
    },
    data: {
      type: 'string',
      description: 'text that the model has not seen: files or folders, with commas between',
    },
    contexts: { type: 'string', default: '1024,4096,8192,16000', description: 'tokens of the prompts' },
    temperatures: { type: 'string', default: '0,1', description: 'T, several with commas between' },
    prompts: { type: 'integer', min: 1, default: 20, description: 'of each text and context' },
    newTokens: { type: 'integer', min: 2, default: 256, description: 'tokens after each' },
    threads: { type: 'integer', min: 1, description: 'threads of the CPU; default all cores' },
    minutes: { type: 'number', min: 0, description: 'begin nothing new after so many minutes' },
    out: {
      type: 'string',
      short: 'o',
      description: 'the results: what is there already is not measured again',
    },
    quick: {
      type: 'boolean',
      description: 'short contexts, two prompts; no figure of it belongs into the README',
    },
    readme: { type: 'boolean', description: 'only make the README’s tables anew from results.json' },
  },
  examples: [
    'wp bench longspec --data books/ --quick',
    'wp bench longspec --data books/ --out results.json --minutes 60',
  ],
  async execute({ options, output, signal }) {
    const wp = await engine();
    if (options.readme) {
      const { report } = JSON.parse(await wp.readFile(own('./results.json'), 'utf8')) as Results;
      const readme = await wp.readFile(own('./README.md'), 'utf8');
      await wp.writeFileWhole(own('./README.md'), wp.withResults(readme, 'longspec', report));
      output.print(own('./README.md'));
      output.result({ readme: own('./README.md') });
      return;
    }
    const { quick, data, draft, model: folder = wp.shippedFolder } = options;
    if (data === undefined) throw new UserError('--data is missing: text files or folders of them');
    const out = options.out === undefined ? undefined : wp.resolve(options.out);
    if (quick && out === own('./results.json'))
      throw new UserError('--quick is never written into the paper’s own results.json: choose another --out');
    const numbers = (name: string, text: string, least: number) =>
      text.split(',').map((part) => {
        const value = Number(part);
        if (!(value >= least))
          throw new UserError(`--${name} ${text}: ${part} is not a number from ${least} on`);
        return value;
      });
    const { threads } = options;
    await using device = await wp.openChosenDevice({ device: 'cpu', threads });
    await using model = await wp.openTextModel({ device, folder, method: 'vanilla' });
    const { config, tokenizer } = { config: model.target.config, tokenizer: model.tokenizer };
    const named = async (name: string, shape: readonly number[], file = draft) => ({
      ...(await model.openDrafter({ method: 'longspec', draft: file, shape })),
      name,
    });
    const drafters = [
      model.drafter,
      await model.openDrafter({ method: 'lookup' }),
      await model.openDrafter({ method: 'magicdec' }),
      await named('LongSpec, chain', [1, 1, 1, 1]),
      await named(wp.treeName, [2, 2, 2, 1]),
      await named('LongSpec, tree of 16', [3, 4, 4, 4]),
    ];
    for (const pair of options.more?.split(',') ?? []) {
      const [name, file] = pair.split('=');
      if (!name || !file) throw new UserError(`--more ${pair}: expected NAME=FILE`);
      drafters.push(await named(`LongSpec, ${name}`, [2, 2, 2, 1], file));
    }
    const newTokens = quick ? Math.min(32, options.newTokens) : options.newTokens;
    const asked = quick ? [128, 1024] : numbers('contexts', options.contexts, 2);
    const contexts = asked.filter((context) => context + newTokens <= config.maxPositions);
    const settings: Settings = {
      model: model.name,
      contexts,
      temperatures: quick ? [0] : numbers('temperatures', options.temperatures, 0),
      prompts: quick ? 2 : options.prompts,
      newTokens,
      methods: drafters.map(({ name }) => name),
      quick,
    };
    const manifest = wp.runManifest({ from: import.meta.url });
    const decodings = await before(wp, out, settings);
    const measured = () => wp.withReport({ ...manifest, settings, decodings });
    const [begin] = tokenizer.encode('');
    const documents = await wp.readDocuments(data.split(','));
    // a line has 20 tokens or more
    const lines = 100 + Math.ceil(Math.max(0, ...contexts) / 20);
    const logs = [1, 2].map((seed) => ({ name: `log ${seed}`, text: wp.logText(lines, seed) }));
    const texts = [
      { name: 'prose', documents: wp.tokenize(tokenizer, documents) },
      { name: 'log', documents: wp.tokenize(tokenizer, logs) },
    ];
    const deadline = performance.now() + 60_000 * (options.minutes ?? Number.POSITIVE_INFINITY);
    const cases = Array.from({ length: settings.prompts }, (_, prompt) => prompt).flatMap((prompt) =>
      contexts.flatMap((context) =>
        texts.flatMap((text) =>
          settings.temperatures.map((temperature) => ({ text, context, temperature, prompt })),
        ),
      ),
    );
    using bar = output.progress('prompts', cases.length);
    for (const [i, { text, ...about }] of cases.entries()) {
      if (signal.aborted || performance.now() > deadline) break;
      const isKnown = decodings.some(
        (each) =>
          each.text === text.name &&
          each.context === about.context &&
          each.temperature === about.temperature &&
          each.prompt === about.prompt,
      );
      const prompt = isKnown ? undefined : wp.benchPrompt(text, about.context, about.prompt, begin ?? 0);
      if (prompt) {
        const given = { target: model.target, drafters, newTokens, signal };
        decodings.push(...(await wp.measureCase(given, { text: text.name, ...about }, prompt)));
        if (out !== undefined) await wp.writeFileWhole(out, `${JSON.stringify(measured(), null, 1)}\n`);
      }
      bar.update(i + 1, `${text.name}, ${about.context}`);
    }
    bar.end();
    for (const drafter of drafters.slice(1)) await drafter.dispose();
    signal.throwIfAborted();
    const results = measured();
    for (const { title, columns, rows } of results.report.tables) {
      output.print(`\n${title}`);
      output.table(columns, rows);
    }
    for (const { claim, measured: found, verdict } of results.report.claims)
      output.print(`\n${claim}\n  ${found}: ${verdict}`);
    if (quick) output.print('\nA quick run: these figures say that it works, not how well.');
    output.result(results);
  },
});

/** What a file has already, if it was measured with the same settings; more prompts may follow. */
async function before(
  wp: Awaited<ReturnType<typeof engine>>,
  out: string | undefined,
  settings: Settings,
): Promise<DecodingResult[]> {
  if (out === undefined || !existsSync(out)) return [];
  const { settings: then, decodings } = JSON.parse(await wp.readFile(out, 'utf8')) as Results;
  for (const key of ['model', 'newTokens', 'methods', 'quick'] as const) {
    const [was, is] = [JSON.stringify(then[key]), JSON.stringify(settings[key])];
    if (was !== is)
      throw new UserError(
        `${out} was measured with ${key} ${was}, not ${is}: name another file, or remove it`,
      );
  }
  return [...decodings];
}
