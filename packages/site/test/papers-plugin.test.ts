import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { outside } from '../vite/outside.ts';
import { papers } from '../vite/papers.ts';

/** What the plugin hands Vite for a module name, as Vite would ask. */
function moduleOf(folder: string, name: string): string | undefined {
  const { resolveId, load } = papers(folder);
  if (typeof resolveId !== 'function' || typeof load !== 'function')
    throw new Error('both hooks are functions');
  const id = Reflect.apply(resolveId, undefined, [name]) as string | undefined;
  return id && (Reflect.apply(load, undefined, [id]) as string);
}

test('a paper offers what its folder holds and nothing else', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'papers-'));
  t.after(() => rm(folder, { recursive: true }));
  for (const paper of ['measured', 'shown', 'empty']) await mkdir(join(folder, paper));
  await writeFile(join(folder, 'measured/results.json'), '{}');
  await writeFile(join(folder, 'measured/example.ts'), '');
  await writeFile(join(folder, 'shown/Demo.svelte'), '');
  await writeFile(join(folder, 'shown/samples.png'), '');

  const results = moduleOf(folder, 'virtual:paper-results');
  assert.equal(
    results,
    `import paper0 from ${JSON.stringify(join(folder, 'measured/results.json'))};\nexport const offered = {"measured": paper0};\n`,
  );
  assert.match(
    moduleOf(folder, 'virtual:paper-examples')!,
    /example\.ts\?raw";\nexport const offered = {"measured": paper0};/,
  );
  assert.match(
    moduleOf(folder, 'virtual:paper-pictures')!,
    /samples\.png\?no-inline";\nexport const offered = {"shown": paper0};/,
  );
  // Lazy: a reader of the summary must not fetch the runtime.
  assert.equal(
    moduleOf(folder, 'virtual:paper-demos'),
    `\nexport const offered = {"shown": () => import(${JSON.stringify(join(folder, 'shown/Demo.svelte'))})};\n`,
  );
});

test('without papers there are no offers, and other modules are left alone', () => {
  assert.equal(
    moduleOf(join(tmpdir(), 'no-such-folder'), 'virtual:paper-demos'),
    '\nexport const offered = {};\n',
  );
  assert.equal(moduleOf(tmpdir(), 'virtual:something-else'), undefined);
});

test('what stays outside of the server’s build is built into the browser’s', () => {
  const { resolveId } = outside(['@example/daily']);
  if (typeof resolveId !== 'function') throw new Error('the hook is a function');
  const ask = (id: string, name: string) => Reflect.apply(resolveId, { environment: { name } }, [id]);
  for (const id of ['@example/daily', '@example/daily/dates']) {
    assert.deepEqual(ask(id, 'ssr'), { id, external: true });
    assert.equal(ask(id, 'client'), undefined);
  }
  assert.equal(ask('@example/daily-more', 'ssr'), undefined);
});
