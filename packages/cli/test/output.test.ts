import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createOutput, renderTable } from '../src/output.ts';
import { didYouMean, editDistance } from '../src/suggest.ts';

function record(isTTY: boolean) {
  let text = '';
  return { isTTY, columns: 60, write: (more: string) => (text += more), text: () => text };
}

test('the innermost bar is drawn on a terminal, steps aside for a line and stays once it ends', () => {
  const [stdout, stderr] = [record(true), record(true)];
  const output = createOutput({ stdout, stderr }, false);
  const epochs = output.progress('epochs', 2);
  const batches = output.progress('batches', 4);
  epochs.update(1);
  batches.update(4);
  output.print('a line');
  batches.end();
  batches.end();
  assert.equal(stdout.text(), 'a line\n');
  assert.doesNotMatch(stderr.text(), /epochs/);
  const drawn = stderr.text().replaceAll('\x1b[K', '<cleared>').split('\r').slice(1);
  assert.equal(drawn.length, 3);
  assert.match(drawn[0]!, /^batches .*100% {2}4\/4/);
  assert.equal(drawn[1], '<cleared>');
  assert.match(drawn[2]!, /^batches .*100% .*\n$/);
});

test('a bar is not drawn elsewhere', () => {
  const [stdout, stderr] = [record(false), record(false)];
  const output = createOutput({ stdout, stderr }, true);
  using bar = output.progress('epoch 1', 4);
  bar.update(4);
  assert.equal(stdout.text() + stderr.text(), '');
});

test('tables: numbers stand right, gaps are dashes', () => {
  assert.equal(
    renderTable(
      ['exit', 'accuracy', 'note'],
      [
        [1, 0.91234567, undefined],
        [10, 1, 'last'],
      ],
    ),
    `exit  accuracy  note
----  --------  ----
   1    0.9123  -
  10         1  last`,
  );
});

test('one result a command, and null for none, so that --json always leaves JSON', () => {
  const stdout = record(false);
  const output = createOutput({ stdout, stderr: record(false) }, true);
  output.finish();
  assert.equal(stdout.text(), 'null\n');
  output.result({});
  assert.throws(() => output.result({}), /one result/);
});

test('edit distance is a distance, and near words are suggested', () => {
  const word = fc.string({ maxLength: 8 });
  fc.assert(
    fc.property(word, word, (a, b) => {
      assert.equal(editDistance(a, b), editDistance(b, a));
      assert.equal(editDistance(a, b) === 0, a === b);
      assert.ok(editDistance(a, b) <= Math.max(a.length, b.length));
    }),
  );
  assert.equal(editDistance('tarin', 'train'), 1);
  assert.equal(didYouMean('jei', ['jei-dnn', 'dmd2']), "; did you mean 'jei-dnn'?");
  assert.equal(didYouMean('zzz', ['run', 'list']), '');
});
