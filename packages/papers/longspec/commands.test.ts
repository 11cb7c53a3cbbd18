import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { readReport } from '@working-papers/edition';
import { parseConfig } from '@working-papers/models/decoder/config';
import { Decoder } from '@working-papers/models/decoder/decoder';
import type { Cell, Command, Output } from '@working-papers/paper';
import { openDevice } from '@working-papers/tensor';
import { commands } from './commands.ts';
import { holdOut, tokenize, windows } from './corpus.ts';
import { trainTarget } from './target.ts';
import { tinyConfig, writeTinyFolder } from './test/tiny.ts';

const root = await mkdtemp(join(tmpdir(), 'longspec-'));
after(() => rm(root, { recursive: true }));
const folder = join(root, 'model');
await writeTinyFolder(folder);
const texts = join(root, 'whales.txt');
await writeFile(texts, 'the whale swam and the whale dived again, and then it swam.\n\n'.repeat(60));

interface Answer {
  readonly text: string;
  readonly rows: readonly (readonly Cell[])[];
  // biome-ignore lint/suspicious/noExplicitAny: the JSON that a program reads
  readonly result: any;
}

async function call(command: Command, given: object): Promise<Answer> {
  const defaults = Object.fromEntries(
    Object.entries(command.options ?? {}).flatMap(([key, spec]) =>
      spec.default === undefined && spec.type !== 'boolean' ? [] : [[key, spec.default ?? false]],
    ),
  );
  let [text, rows, result]: [string, Answer['rows'], unknown] = ['', [], undefined];
  const output: Output = {
    print() {},
    write: (more) => {
      text += more;
    },
    table: (_, given) => {
      rows = given;
    },
    result: (value) => {
      result = value;
    },
    progress: () => ({ update() {}, end() {}, [Symbol.dispose]() {} }),
    warn() {},
  };
  const options = { ...defaults, threads: 1, ...given };
  const context = { positionals: [], options, output, signal: new AbortController().signal };
  await command.execute(context as never);
  return { text, rows, result };
}

test('wp run streams the text, writes it, and compares with decoding without guesses', async () => {
  const out = join(root, 'text.txt');
  const { text, rows, result } = await call(commands.run as never, {
    model: folder,
    text: 'the whale',
    maxNewTokens: 9,
    temperature: 1,
    compare: true,
    out,
  });
  assert.equal(text.trimEnd(), result.text.trimEnd());
  assert.equal(await readFile(out, 'utf8'), result.text);
  assert.equal(result.tokens.length, 9);
  assert.equal(result.same, true);
  assert.deepEqual(
    rows.map(([method, tokens]) => [method, tokens]),
    [
      ['LongSpec', 9],
      ['vanilla', 9],
    ],
  );
  const chain = await call(commands.run as never, {
    model: folder,
    text: 'the whale',
    maxNewTokens: 9,
    temperature: 1,
    method: 'chain',
  });
  assert.deepEqual(chain.result.tokens, result.tokens);
});

test('wp run refuses in one line what it cannot do', async () => {
  const run = (given: object) => call(commands.run as never, { model: folder, ...given });
  await assert.rejects(run({ text: 'a', prompt: 'b' }), /--text and --prompt are both given/);
  await assert.rejects(run({ text: 'a', chat: true }), /no chat template/);
  await assert.rejects(run({ text: 'a', maxNewTokens: 9999 }), /the model has 512 positions/);
  await assert.rejects(
    run({ text: 'a', draft: 'x.safetensors' }),
    /x\.safetensors is not there: 'wp train longspec' makes/,
  );
});

test('wp train makes a draft in two stages, which wp run takes', async () => {
  const out = join(root, 'trained');
  const { result } = await call(commands.train as never, {
    model: folder,
    data: texts,
    steps: 3,
    longSteps: 2,
    length: 24,
    longLength: 40,
    batchSize: 2,
    out,
  });
  assert.deepEqual(
    result.losses.map(({ stage, steps }: { stage: string; steps: number }) => [stage, steps]),
    [
      ['stage 1', 3],
      ['stage 2', 2],
    ],
  );
  const log = (await readFile(join(out, 'stage-1', 'log.jsonl'), 'utf8')).trim().split('\n');
  assert.equal(log.length, 3);
  const run = await call(commands.run as never, {
    model: folder,
    draft: result.file,
    text: 'the whale',
    maxNewTokens: 4,
    compare: true,
  });
  assert.equal(run.result.same, true);
  await assert.rejects(call(commands.train as never, { model: folder }), /--data is missing/);
  await assert.rejects(call(commands.train as never, { data: texts }), /--model is missing/);
});

test('wp bench measures all methods on the same prompts, keeps what it has, and reports', async () => {
  const out = join(root, 'results.json');
  const bench = (prompts: number) =>
    call(commands.bench as never, {
      model: folder,
      data: texts,
      contexts: [16, 9999],
      temperatures: [0],
      prompts,
      newTokens: 6,
      out,
    });
  await bench(1);
  const first = JSON.parse(await readFile(out, 'utf8'));
  const { result } = await bench(2);
  assert.deepEqual(result.settings.contexts, [16]);
  // 2 prompts of 2 texts by 7 methods
  assert.equal(result.decodings.length, 28);
  assert.deepEqual(result.decodings.slice(0, first.decodings.length), first.decodings);
  for (const { differs, tokens, forwards, method } of result.decodings) {
    assert.equal(tokens, 6);
    assert.ok(!differs || differs.gap < 1e-4);
    if (method === 'vanilla') assert.equal(forwards, 6);
  }
  const report = readReport(JSON.parse(await readFile(out, 'utf8')))!;
  assert.equal(report.claims[0]!.verdict, 'reproduced');
  assert.deepEqual(
    report.figures.map(({ id }) => id),
    ['speed', 'tau'],
  );
  const [table] = report.tables;
  assert.equal(table!.rows.length, 7);
  const plain = table!.rows.find(([method]) => method === 'vanilla')!;
  assert.deepEqual([plain[1], plain[4]], ['1.00', '1.00']);
  await assert.rejects(call(commands.bench as never, { model: folder }), /--data is missing/);
  await assert.rejects(
    call(commands.bench as never, { model: folder, data: texts, newTokens: 9, out }),
    /newTokens 6, not 9/,
  );
});

test('a target learns, at a length whose attention weights are computed twice too', async () => {
  await using device = await openDevice({ threads: 1 });
  const target = new Decoder(parseConfig({ ...tinyConfig, num_hidden_layers: 1 }));
  const documents = [Int32Array.from({ length: 3000 }, (_, i) => [3, 1, 4, 1, 5, 9, 2, 6][i % 8]!)];
  const given = { device, documents, begin: 0, seed: 1, target };
  const losses: number[] = [];
  const { weights } = await trainTarget({
    ...given,
    stage: { length: 32, batchSize: 2, steps: 40, peakRate: 1e-2 },
    folder: join(root, 'short'),
    onStep: (_, { loss }) => losses.push(loss!),
  });
  assert.ok(losses.at(-1)! < 0.7 * losses[0]!, `${losses[0]} to ${losses.at(-1)}`);
  const long: number[] = [];
  await trainTarget({
    ...given,
    weights,
    stage: { length: 2049, batchSize: 1, steps: 1, peakRate: 1e-4 },
    folder: join(root, 'long'),
    onStep: (_, { loss }) => long.push(loss!),
  });
  assert.ok(long[0]! < losses[0]!);
});

test('windows begin with the beginning token and are the same for the same draw', async () => {
  const documents = [Int32Array.from({ length: 50 }, (_, i) => i), Int32Array.from({ length: 5 }, () => 99)];
  const set = windows(documents, 10, 7);
  const { Random } = await import('@working-papers/nn/random');
  for (let seed = 0; seed < 20; seed++) {
    const window = await set.get(0, new Random(seed));
    assert.equal(window[0], 7);
    assert.deepEqual(
      [...window.subarray(2)],
      [...window.subarray(1, 10)].map((token) => token + 1),
    );
    assert.deepEqual(await set.get(0, new Random(seed)), window);
  }
  assert.throws(() => windows(documents, 60, 0), /the longest text has 50/);
  assert.deepEqual(holdOut([1, 2, 3, 4, 5], 2), { seen: [1, 3, 5], unseen: [2, 4] });
  assert.deepEqual(holdOut([1]), { seen: [1], unseen: [] });
  const paragraphs = { name: 'x', text: 'a b\n\nc d\n\n\ne' };
  const words = { encode: (text: string) => [text.length] };
  assert.deepEqual([...tokenize(words as never, [paragraphs])[0]!], [5, 6, 1]);
});
