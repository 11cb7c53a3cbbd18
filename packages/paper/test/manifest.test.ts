import assert from 'node:assert/strict';
import { test } from 'node:test';
import { commandLine, runManifest } from '@working-papers/paper/manifest';

test('tells date, machine, versions and seed', () => {
  const manifest = runManifest({ from: import.meta.url, seed: 7 });
  assert.ok(Math.abs(Date.parse(manifest.date) - Date.now()) < 60_000);
  assert.ok(manifest.machine.cores >= 1 && manifest.machine.memoryGiB >= 1);
  assert.equal(manifest.versions.node, process.versions.node);
  assert.match(manifest.versions['@working-papers/paper'] ?? '', /^\d+\.\d+\.\d+/);
  assert.match(manifest.versions.onnxruntime ?? '', /^1\./);
  assert.equal(manifest.seed, 7);
  assert.ok(!('seed' in runManifest({ from: import.meta.url })));
});

test('tells the command as it would be typed, without the folders of this machine', () => {
  const node = process.execPath;
  assert.equal(
    commandLine([
      node,
      '/opt/wp/packages/cli/src/main.ts',
      'bench',
      'jei-dnn',
      `${process.cwd()}/out 1.json`,
    ]),
    "wp bench jei-dnn 'out 1.json'",
  );
  assert.equal(
    commandLine([node, `${process.cwd()}/bench/bench.ts`, '--quick']),
    'node bench/bench.ts --quick',
  );
});

test('the folder of data has its name in place of a path of the machine', (t) => {
  const before = process.env.WP_DATA;
  t.after(() => {
    if (before === undefined) delete process.env.WP_DATA;
    else process.env.WP_DATA = before;
  });
  process.env.WP_DATA = '/mnt/sets/';
  const line = (path: string) =>
    commandLine(['/usr/bin/node', '/x/cli/src/main.ts', 'bench', '--data', path]);
  assert.equal(line('/mnt/sets/books'), 'wp bench --data $WP_DATA/books');
  assert.equal(line('/mnt/sets/a.txt,/mnt/sets/b.txt'), 'wp bench --data $WP_DATA/a.txt,$WP_DATA/b.txt');
  assert.equal(line('/mnt/setsquare/books'), 'wp bench --data /mnt/setsquare/books');
});
