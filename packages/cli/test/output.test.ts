import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createOutput, renderTable } from '../src/output.ts';
import { clock, renderBar } from '../src/progress.ts';
import { didYouMean, editDistance } from '../src/suggest.ts';

function record(isTTY: boolean) {
  let text = '';
  return { isTTY, columns: 60, write: (more: string) => (text += more), text: () => text };
}

test('a bar is drawn on a terminal, steps aside for a line, and goes', () => {
  const [stdout, stderr] = [record(true), record(true)];
  const output = createOutput({ stdout, stderr }, false);
  const bar = output.progress('epoch 1', 4);
  output.print('a line');
  bar.end();
  bar.end();
  assert.equal(stdout.text(), 'a line\n');
  assert.equal(stderr.text(), '\r\x1b[2Kepoch 1 [--------------------]   0 %\r\x1b[2K');
});

test('a bar is not drawn elsewhere', () => {
  const [stdout, stderr] = [record(false), record(false)];
  const output = createOutput({ stdout, stderr }, true);
  using bar = output.progress('epoch 1', 4);
  bar.update(4);
  assert.equal(stdout.text() + stderr.text(), '');
});

test('a bar tells share, time left and a note within the width', () => {
  const bar = { label: 'epoch 1', done: 1, total: 4, note: 'loss 0.412', elapsed: 15_000 };
  assert.equal(renderBar(bar, 80), 'epoch 1 [#####---------------]  25 %  0:45 left  loss 0.412');
  assert.equal(renderBar(bar, 20).length, 19);
  assert.equal(renderBar({ ...bar, done: 9 }, 80).includes('100 %'), true);
  assert.deepEqual([0, 59_600, 3_599_000, 7_384_000].map(clock), ['0:00', '1:00', '59:59', '2:03:04']);
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
