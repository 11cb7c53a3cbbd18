import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';

const folder = new URL('../', import.meta.url);
const readme = await readFile(new URL('README.md', folder), 'utf8');
const examples = [...readme.matchAll(/```ts\n(.*?)```/gs)].map((match) => match[1]!);

test('the examples of the README run', () => {
  assert.equal(examples.length, 2);
  for (const example of examples) {
    const { status, stderr } = spawnSync(
      process.execPath,
      ['--conditions=source', '--input-type=module-typescript', '-e', example],
      { cwd: folder, encoding: 'utf8' },
    );
    assert.equal(status, 0, stderr);
  }
});
