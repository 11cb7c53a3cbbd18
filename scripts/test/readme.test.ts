import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { readSafetensors } from '@working-papers/nn/safetensors-file';

const root = fileURLToPath(new URL('../../', import.meta.url));
const readme = await readFile(`${root}README.md`, 'utf8');

test("the README's example trains and saves", async (t) => {
  const [, code] = /```ts\n(.*?)```/s.exec(readme)!;
  // a folder below the root, so that the packages are found
  await mkdir(`${root}.cache`, { recursive: true });
  const folder = await mkdtemp(`${root}.cache/readme-`);
  t.after(() => rm(folder, { recursive: true }));
  const args = ['--conditions=source', '--input-type=module-typescript', '--eval', code!];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: folder });
  const losses = [...stdout.matchAll(/step \d+: loss (\S+)/g)].map(([, loss]) => Number(loss));
  assert.equal(losses.length, 4);
  assert.ok(losses[3]! < losses[0]! / 100, `losses ${losses}`);
  const { tensors } = await readSafetensors(`${folder}/sine.safetensors`);
  assert.deepEqual([...tensors.keys()].sort(), ['0.bias', '0.weight', '2.bias', '2.weight']);
});

test('the README links to files that exist', () => {
  const links = [...readme.matchAll(/\]\((?!https?:)([^)#]+)\)/g)].map(([, link]) => link!);
  assert.deepEqual(
    links.filter((link) => !existsSync(`${root}${link}`)),
    [],
  );
});
