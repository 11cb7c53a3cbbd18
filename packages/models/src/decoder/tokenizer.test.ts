import assert from 'node:assert/strict';
import { test } from 'node:test';
import { beginOfText, endOfText, trainByteBpe } from './byte-bpe.ts';
import { ChatTemplateError, streamDecoder, TextTokenizer } from './tokenizer.ts';

const corpus = [
  'The whale swam. The whale dived, and the whale swam again; 1851 was the year.\n\n'.repeat(30),
  'It wasn’t the captain’s ship — it was the whale’s.\n'.repeat(10),
];
const json = trainByteBpe(corpus, { vocabSize: 300 });
const tokenizer = new TextTokenizer(json);

test('any text comes back as it was, bytes that no word has included', () => {
  for (const text of [
    'The whale swam.',
    '  two spaces\n\n\tand a tab ',
    'naïve café — 日本語 🐋 \u0000\u007f',
    `${beginOfText}not special when it is typed`.slice(1),
    '',
  ]) {
    const ids = tokenizer.encode(text);
    assert.equal(ids[0], 0, 'BOS first');
    assert.equal(tokenizer.decode(ids), text);
  }
  assert.equal(tokenizer.size, 300);
  assert.equal(tokenizer.idOf(endOfText), 1);
});

test('merges are learned in the order of how often they come, and used', () => {
  assert.equal(tokenizer.encode(' whale', { special: false }).length, 1);
  assert.equal(tokenizer.encode('The', { special: false }).length, 1);
  assert.ok(tokenizer.encode(corpus[0]!).length < corpus[0]!.length / 3);
  assert.deepEqual(trainByteBpe(corpus, { vocabSize: 300 }), json, 'the same texts give the same tokenizer');
  assert.throws(() => trainByteBpe(corpus, { vocabSize: 100 }), /needs 258 tokens, got 100/);
});

test('text comes piece by piece, whole characters only', () => {
  const text = `${'The 🐋 swam; naïve — '.repeat(20)}日本語`;
  const stream = streamDecoder(tokenizer);
  const pieces = tokenizer.encode(text, { special: false }).map((id) => stream.push(id));
  assert.ok(
    pieces.some((piece) => piece === ''),
    'a whale is four bytes',
  );
  assert.ok(!pieces.join('').includes('\ufffd'));
  assert.equal(pieces.join('') + stream.end(), text);
});

test('chats go through the template, with its special tokens and no others', () => {
  const template =
    "{{ bos_token }}{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}\n{% endfor %}" +
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system message') }}{% endif %}" +
    '{% if add_generation_prompt %}[assistant]{% endif %}';
  const chatty = new TextTokenizer(json, { bos_token: { content: beginOfText }, chat_template: template });
  const ids = chatty.chat([{ role: 'user', content: 'The whale?' }]);
  assert.equal(ids[0], 0);
  assert.notEqual(ids[1], 0);
  assert.equal(chatty.decode(ids), '[user] The whale?\n[assistant]');
  assert.throws(() => chatty.chat([{ role: 'system', content: '' }]), ChatTemplateError);
  assert.throws(() => tokenizer.chat([]), /no chat template/);
  const named = new TextTokenizer(json, { chat_template: [{ name: 'default', template: 'x' }] });
  assert.equal(named.decode(named.chat([])), 'x');
});
