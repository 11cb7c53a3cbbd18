import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openDevice } from '@working-papers/tensor';
import OpenAI, { BadRequestError, NotFoundError } from 'openai';
import { generate } from './generate.ts';
import { createModelServer } from './server.ts';
import { writeTinyFolder } from './test/tiny.ts';
import { openTextModel } from './text-model.ts';

const device = await openDevice({ threads: 1 });
const root = await mkdtemp(join(tmpdir(), 'longspec-'));
const folder = join(root, 'whale');
await writeTinyFolder(
  folder,
  '{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}[assistant] {% endif %}',
);
const model = await openTextModel({ device, folder, method: 'longspec' });
const lines: string[] = [];
const server = createModelServer({ model, log: (line) => lines.push(line) });
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const { port } = server.address() as AddressInfo;
const client = new OpenAI({ apiKey: 'none', baseURL: `http://127.0.0.1:${port}/v1`, maxRetries: 0 });
after(async () => {
  server.closeAllConnections();
  server.close();
  await model[Symbol.asyncDispose]();
  await device.close();
  await rm(root, { recursive: true });
});

async function textOf(prompt: Parameters<typeof generate>[1]['prompt'], options: object): Promise<string> {
  let text = '';
  for await (const token of generate(model, { prompt, ...options })) text += token.text;
  return text;
}

test('the model is listed', async () => {
  const { data } = await client.models.list();
  assert.deepEqual(
    data.map(({ id }) => id),
    ['whale'],
  );
});

test('completions: whole and streamed, the text that the library gives', async () => {
  const asked = { model: 'whale', prompt: 'the whale', max_tokens: 12, seed: 5, temperature: 0.8 };
  const expected = await textOf('the whale', { maxNewTokens: 12, seed: 5, temperature: 0.8 });
  const completion = await client.completions.create(asked);
  assert.equal(completion.choices[0]!.text, expected);
  assert.equal(completion.choices[0]!.finish_reason, 'length');
  assert.equal(completion.usage!.completion_tokens, 12);
  assert.equal(completion.usage!.prompt_tokens, model.tokenizer.encode('the whale').length);
  let streamed = '';
  const reasons: (string | null)[] = [];
  const usages: number[] = [];
  for await (const part of await client.completions.create({
    ...asked,
    stream: true,
    stream_options: { include_usage: true },
  })) {
    streamed += part.choices[0]?.text ?? '';
    if (part.choices[0]?.finish_reason) reasons.push(part.choices[0].finish_reason);
    if (part.usage) usages.push(part.usage.total_tokens);
  }
  assert.equal(streamed, expected);
  assert.deepEqual(reasons, ['length']);
  assert.deepEqual(usages, [completion.usage!.total_tokens]);
  const stop = expected.slice(3, 6);
  const stopped = await client.completions.create({ ...asked, stop });
  assert.equal(stopped.choices[0]!.text, expected.slice(0, expected.indexOf(stop)));
  assert.equal(stopped.choices[0]!.finish_reason, 'stop');
  const two = await client.completions.create({ ...asked, prompt: ['the whale', 'again'] });
  assert.deepEqual(
    two.choices.map(({ index, text }) => [index, text]),
    [
      [0, expected],
      [1, await textOf('again', { maxNewTokens: 12, seed: 5, temperature: 0.8 })],
    ],
  );
});

test('chats: whole and streamed, several at a time', async () => {
  const messages = [{ role: 'user' as const, content: 'the whale?' }];
  const asked = { model: 'whale', messages, max_completion_tokens: 10, temperature: 0 };
  const expected = await textOf(messages, { maxNewTokens: 10 });
  const [one, two] = await Promise.all([
    client.chat.completions.create(asked),
    client.chat.completions.create(asked),
  ]);
  for (const { choices } of [one, two]) {
    assert.equal(choices[0]!.message.content, expected);
    assert.equal(choices[0]!.message.role, 'assistant');
  }
  const stream = client.chat.completions.stream(asked);
  assert.equal((await stream.finalChatCompletion()).choices[0]!.message.content, expected);
  assert.ok(lines.some((line) => /^chat: \d+ \+ 10 tokens in .* s with LongSpec$/.test(line)));
});

test('requests that cannot be answered get their status and one line', async () => {
  const asked = { model: 'whale', prompt: 'the', max_tokens: 4 };
  const refused = async (change: object, message: RegExp) =>
    assert.rejects(
      async () => client.completions.create({ ...asked, ...change }),
      (error) => error instanceof BadRequestError && message.test(error.message),
    );
  await refused({ temperature: -1 }, /temperature is -1, expected a number from 0 to 2/);
  await refused({ n: 3 }, /n is 3, expected nothing: it is not supported/);
  await refused({ prompt: [] }, /prompt is \[\], expected a string/);
  await refused({ prompt: [999] }, /token 999 in the prompt: the model has tokens 0 to 299/);
  await refused({ max_tokens: 5000 }, /5000 new ones are 500\d, the model has 512 positions/);
  await refused({ max_tokens: 5000, stream: true }, /the model has 512 positions/);
  await assert.rejects(client.embeddings.create({ model: 'whale', input: 'x' }), NotFoundError);
  const response = await fetch(`http://127.0.0.1:${port}/v1/completions`, { method: 'POST', body: '{' });
  assert.equal(response.status, 400);
});

test('a client that goes away makes room for the next', async () => {
  const controller = new AbortController();
  const stream = await client.completions.create(
    { model: 'whale', prompt: 'the', max_tokens: 400, stream: true },
    { signal: controller.signal },
  );
  for await (const _ of stream) {
    controller.abort();
    break;
  }
  const { choices } = await client.completions.create({ model: 'whale', prompt: 'the', max_tokens: 2 });
  assert.equal(choices[0]!.finish_reason, 'length');
});
