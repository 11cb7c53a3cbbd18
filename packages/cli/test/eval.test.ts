import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

const folder = await mkdtemp(join(tmpdir(), 'wp-eval-'));
after(() => rm(folder, { recursive: true }));
const program = join(import.meta.dirname, '..', 'bin', 'wp.mjs');

function evaluate(...words: string[]) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--conditions=source', program, 'eval', 'tracking', ...words],
    {
      encoding: 'utf8',
    },
  );
  return { status, stdout, stderr };
}

test('tracks in files are measured; what is missing or wrong is named', async () => {
  const [labels, results] = [join(folder, 'labels'), join(folder, 'results')];
  await mkdir(labels);
  await mkdir(results);
  const row = (frame: number, id: number) =>
    `${frame} ${id} Car 0 0 -1.5 10 20 110 90 1.5 1.6 4.2 1 1.7 ${20 + frame} 0.1`;
  const frames = [0, 1, 2, 3, 4, 5, 6, 7];
  await writeFile(join(labels, '0000.txt'), frames.map((frame) => row(frame, 1)).join('\n'));
  await writeFile(
    join(results, '0000.txt'),
    frames.map((frame) => `${row(frame, frame < 4 ? 5 : 6)} 0.9`).join('\n'),
  );
  const { status, stdout } = evaluate('--labels', labels, '--results', results, '--class', 'car', '--json');
  assert.equal(status, 0);
  const { car } = JSON.parse(stdout).classes;
  assert.deepEqual(
    [car.idSwitches, car.fragmentations, car.falsePositives, car.falseNegatives],
    [1, 1, 0, 0],
  );
  assert.equal(car.mota, 1 - 1 / 8);

  await writeFile(join(results, '0001.txt'), '');
  assert.match(
    evaluate('--labels', labels, '--results', results).stderr,
    /labels.0001\.txt': no such file\n$/,
  );
  await writeFile(join(labels, '0001.txt'), '1 2 3');
  const wrong = evaluate('--labels', labels, '--results', results);
  assert.equal(wrong.status, 2);
  assert.match(wrong.stderr, /0001\.txt, line 1: 3 fields, expected 17 or 18\n$/);
  assert.match(evaluate('--results', results).stderr, /--labels and --results are needed/);
});
