import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/* Every block of TypeScript in the libraries' READMEs is a whole program: it has no type errors, and it runs. */

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../', import.meta.url));
const readmes = ['.', ...['tensor', 'nn', 'models', 'metrics', 'edition'].map((name) => `packages/${name}`)];

// below the root, so that the packages are found
await mkdir(join(root, '.cache'), { recursive: true });
const folder = await mkdtemp(join(root, '.cache', 'examples-'));
after(() => rm(folder, { recursive: true }));

const examples: { readonly name: string; readonly file: string; readonly code: string }[] = [];
for (const readme of readmes) {
  const text = await readFile(join(root, readme, 'README.md'), 'utf8');
  for (const [i, match] of [...text.matchAll(/```ts\n(.*?)```/gs)].entries()) {
    const name = `${join(readme, 'README.md')}, example ${i + 1}`;
    const file = join(folder, `${readme.replaceAll(/\W/g, '')}-${i + 1}.ts`);
    await writeFile(file, match[1]!);
    examples.push({ name, file, code: match[1]! });
  }
}

test('the examples have no type errors', async () => {
  assert.ok(examples.length >= 10, `${examples.length}`);
  const config = { extends: join(root, 'tsconfig.base.json'), include: ['*.ts'] };
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(config));
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const { stdout } = await run(process.execPath, [tsc, '-p', folder]).catch((error) => error);
  assert.equal(stdout, '');
});

for (const { name, file, code } of examples) {
  // what needs something of the reader's is only checked
  const skip = code.includes("'./my-") && 'needs a model of the reader’s';
  test(`${name} runs`, { skip }, async () => {
    await run(process.execPath, ['--conditions=source', file], { cwd: folder });
  });
}
