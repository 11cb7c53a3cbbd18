import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createProgress, formatTime } from './progress.ts';

function terminal(isTTY: boolean, columns = 120) {
  const written: string[] = [];
  let time = 1000;
  return {
    written,
    stream: { isTTY, columns, write: (text: string) => written.push(text) },
    now: () => time,
    wait: (milliseconds: number) => {
      time += milliseconds;
    },
  };
}

test('a terminal shows a bar, rate and time left, ten times a second at most', () => {
  const { written, stream, now, wait } = terminal(true);
  const progress = createProgress({ label: 'train', total: 200, unit: 'batches', start: 100, stream, now });
  progress.update(100);
  for (let done = 101; done <= 110; done++) {
    wait(50);
    progress.update(done, 'loss 0.5');
  }
  assert.equal(written.length, 6);
  assert.equal(written[0], '\rtrain  [############------------]  50%  100/200 batches\x1b[K');
  assert.equal(
    written.at(-1),
    '\rtrain  [#############-----------]  55%  110/200 batches  20.0/s  5 s left  loss 0.5\x1b[K',
  );
  progress.update(200);
  progress.finish();
  assert.equal(written.at(-1), '\n');
  assert.match(written.at(-2)!, /100% {2}200\/200 batches {2}200\/s {2}in 1 s {2}loss 0.5/);
});

test('a narrow terminal gets one line, a file plain lines, and silence is silent', () => {
  const narrow = terminal(true, 20);
  createProgress({ label: 'a long label', total: 2, ...narrow }).update(1);
  assert.equal(narrow.written[0], '\ra long label  [####\x1b[K');

  const file = terminal(false);
  const progress = createProgress({ label: 'read', total: 100, ...file });
  for (let done = 1; done <= 25; done++) {
    file.wait(1000);
    progress.update(done);
  }
  progress.finish();
  assert.deepEqual(file.written, [
    'read  10%  10/100  1.00/s  1:30 left\n',
    'read  20%  20/100  1.00/s  1:20 left\n',
    'read  25%  25/100  1.00/s  1:15 left\n',
  ]);

  const silent = createProgress({ label: 'x', total: 1, stream: null });
  silent.update(1);
  silent.finish();
});

test('times read well', () => {
  assert.deepEqual([0, 59.4, 60, 3599.6, 3723].map(formatTime), [
    '0 s',
    '59 s',
    '1:00',
    '1:00:00',
    '1:02:03',
  ]);
});
