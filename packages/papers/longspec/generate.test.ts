import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parseConfig } from '@working-papers/models/decoder/config';
import { writeSafetensors } from '@working-papers/nn/safetensors-file';
import { type NdArray, ndarray, openDevice } from '@working-papers/tensor';
import { readDraft } from './draft-file.ts';
import { type GeneratedToken, type GenerateOptions, generate } from './generate.ts';
import { methods } from './options.ts';
import { stopFilter } from './stop.ts';
import { tinyConfig, writeTinyFolder } from './test/tiny.ts';
import { openTextModel } from './text-model.ts';

const device = await openDevice({ threads: 1 });
const root = await mkdtemp(join(tmpdir(), 'longspec-'));
const folder = join(root, 'model');
await writeTinyFolder(folder);
const model = await openTextModel({ device, folder, method: 'vanilla' });
after(async () => {
  await model[Symbol.asyncDispose]();
  await device.close();
  await rm(root, { recursive: true });
});

async function all(options: GenerateOptions, drafter = model.drafter) {
  const tokens: GeneratedToken[] = [];
  const run = generate({ ...model, drafter }, options);
  for (;;) {
    const { value, done } = await run.next();
    if (done) return { tokens, text: tokens.map(({ text }) => text).join(''), end: value };
    tokens.push(value);
  }
}

const prompt = 'the whale swam';

test('the pieces are the text of the tokens, whatever guesses ahead', async () => {
  const options = { prompt, maxNewTokens: 12, temperature: 1, seed: 4 };
  const expected = await all(options);
  assert.equal(expected.tokens.length, 12);
  assert.equal(expected.text, model.tokenizer.decode(expected.tokens.map(({ id }) => id)));
  assert.equal(expected.end.reason, 'length');
  assert.equal(expected.end.promptTokens, model.tokenizer.encode(prompt).length);
  for (const method of methods) {
    const drafter = await model.openDrafter({ method });
    const { text, tokens } = await all(options, drafter);
    assert.equal(text, expected.text, method);
    assert.equal(tokens.length, 12);
    await drafter.dispose();
  }
});

test('a stop string ends the text before it, also when it comes in pieces', async () => {
  const whole = await all({ prompt, maxNewTokens: 30, temperature: 1, seed: 4 });
  for (const at of [1, 5, 9]) {
    const stop = whole.text.slice(at, at + 4);
    const { text, end } = await all({
      prompt,
      maxNewTokens: 30,
      temperature: 1,
      seed: 4,
      stop: ['never there', stop],
    });
    assert.equal(text, whole.text.slice(0, whole.text.indexOf(stop)));
    assert.equal(end.reason, 'stop string');
  }
});

test('text that may begin a stop string is held back, and no longer than that', () => {
  const filter = stopFilter(['END', 'x']);
  assert.deepEqual(filter.push('a E'), { text: 'a ', done: false });
  assert.deepEqual(filter.push('N'), { text: '', done: false });
  assert.deepEqual(filter.push('G EN'), { text: 'ENG ', done: false });
  assert.equal(filter.end(), 'EN');
  assert.deepEqual(filter.push('D x'), { text: '', done: true });
  assert.deepEqual(stopFilter([]).push('EN'), { text: 'EN', done: false });
});

test('an end token ends the text and has none itself', async () => {
  const whole = await all({ prompt, maxNewTokens: 30, temperature: 1, seed: 4 });
  const ending = whole.tokens[6]!.id;
  const first = whole.tokens.findIndex(({ id }) => id === ending);
  const run = generate(
    { ...model, endTokens: [ending] },
    { prompt, maxNewTokens: 30, temperature: 1, seed: 4 },
  );
  const pieces: string[] = [];
  for await (const { text } of run) pieces.push(text);
  assert.equal(pieces.length, first + 1);
  assert.equal(pieces.join(''), model.tokenizer.decode(whole.tokens.slice(0, first).map(({ id }) => id)));
});

test('a draft with the names of the authors’ files loads, and one that lacks something is refused by name', async () => {
  const config = parseConfig(tinyConfig);
  const [d, f] = [16, 24];
  const official = (change: (tensors: Map<string, NdArray>) => void, prefix = ''): Map<string, NdArray> => {
    const tensors = new Map<string, NdArray>();
    const add = (name: string, ...shape: number[]) =>
      tensors.set(name, ndarray(new Float32Array(shape.reduce((a, b) => a * b)).fill(0.5), shape));
    for (const norm of ['input', 'post_self_attention', 'post_cross_attention'])
      add(`${norm}_layernorm.weight`, d);
    for (const part of ['self_attn', 'cross_attn']) {
      for (const [name, rows] of [
        ['q', 16],
        ['k', 8],
        ['v', 8],
      ] as const) {
        add(`${part}.${name}_proj.weight`, rows, d);
        add(`${part}.${name}_proj.bias`, rows);
      }
      add(`${part}.o_proj.weight`, d, 16);
    }
    add('mlp.gate_proj.weight', f, d);
    add('mlp.up_proj.weight', f, d);
    add('mlp.down_proj.weight', d, f);
    add('self_attn.rotary_emb.inv_freq', 2);
    change(tensors);
    return new Map([...tensors].map(([name, tensor]) => [prefix + name, tensor]));
  };
  const file = join(root, 'official.safetensors');
  for (const prefix of ['', 'draft_model.', 'glide.']) {
    await writeSafetensors(
      file,
      official(() => {}, prefix),
    );
    const { draft, weights } = await readDraft(file, config);
    assert.equal(weights.size, [...draft.namedWeights()].length);
  }
  await writeSafetensors(
    file,
    official((tensors) => tensors.delete('cross_attn.q_proj.bias')),
  );
  await assert.rejects(
    readDraft(file, config),
    /official\.safetensors: 1 missing: cross_attn\.q_proj\.bias$/,
  );
  await writeSafetensors(
    file,
    official((tensors) => tensors.set('mlp.up_proj.weight', ndarray([1, 2], [1, 2]))),
  );
  await assert.rejects(readDraft(file, config), /mlp\.up_proj\.weight: found \[1,2\], expected \[24,16\]/);
  const pickle = join(root, 'draft_model_weights.pth');
  await writeFile(pickle, 'x');
  await assert.rejects(readDraft(pickle, config), /is a pickle: convert to safetensors/);
  await assert.rejects(readDraft(join(root, 'none.safetensors'), config), /is not there/);
});
