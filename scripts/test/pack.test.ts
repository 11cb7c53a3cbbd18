// What `npm pack` makes is installed outside the repository and imported by a plain Node.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';

const root = join(import.meta.dirname, '..', '..');
const outside = mkdtempSync(join(tmpdir(), 'pack-'));
after(() => rmSync(outside, { recursive: true }));

interface Manifest {
  readonly name: string;
  readonly dependencies?: Readonly<Record<string, string>>;
}

const { references } = readJson<{ references: readonly { path: string }[] }>(
  join(root, 'tsconfig.build.json'),
);
const packages = references.map(({ path }) => {
  const folder = join(root, dirname(path));
  return { folder, ...readJson<Manifest>(join(folder, 'package.json')) };
});

test('the tarballs hold compiled code and types, a licence, and nothing that names a .ts file to load', () => {
  run(
    'npm',
    ['pack', '--silent', '--pack-destination', outside, ...packages.flatMap(({ name }) => ['-w', name])],
    root,
  );
  for (const { name } of packages) {
    const home = join(outside, 'node_modules', name);
    mkdirSync(home, { recursive: true });
    const tarball = readdirSync(outside).find((file) =>
      file.startsWith(`${name.slice(1).replace('/', '-')}-`),
    );
    run('tar', ['-xzf', join(outside, tarball!), '-C', home, '--strip-components=1'], outside);
    const files = readdirSync(home, { recursive: true, encoding: 'utf8' });
    assert.ok(files.includes('LICENSE'), `${name} has no licence`);
    assert.deepEqual(
      files.filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts')),
      [],
    );
    for (const file of files.filter((file) => file.endsWith('.js'))) {
      assert.doesNotMatch(readFileSync(join(home, file), 'utf8'), /new URL\('[^']+\.ts'/, `${name}/${file}`);
    }
  }
});

test('every package is imported by a plain Node, with the dependencies it names and no others', () => {
  const others = packages.flatMap(({ dependencies = {} }) => Object.keys(dependencies));
  for (const name of new Set(others.filter((name) => !name.startsWith('@working-papers/')))) {
    mkdirSync(dirname(join(outside, 'node_modules', name)), { recursive: true });
    symlinkSync(join(root, 'node_modules', name), join(outside, 'node_modules', name));
  }
  for (const { name } of packages) {
    const { exports: entries } = readJson<{ exports?: Readonly<Record<string, unknown>> }>(
      join(outside, 'node_modules', name, 'package.json'),
    );
    if (entries === undefined || !('.' in entries)) continue;
    writeFileSync(
      join(outside, 'import.mjs'),
      `console.log(Object.keys(await import('${name}')).length > 0)`,
    );
    assert.equal(run(process.execPath, ['import.mjs'], outside), 'true\n', name);
  }
  assert.match(
    run(process.execPath, [join('node_modules', '@working-papers', 'cli', 'bin', 'wp.mjs'), 'list'], outside),
    /jei-dnn/,
  );
});

test('a small program runs on them: the engine in its worker, a checkpoint and a metric', () => {
  writeFileSync(
    join(outside, 'program.mjs'),
    `import { ndarray, openDevice } from '@working-papers/tensor';
     import { accuracy } from '@working-papers/metrics/classification';
     import { readSafetensors, writeSafetensors } from '@working-papers/nn/safetensors-file';

     const device = await openDevice({ provider: 'cpu', threads: 1 });
     const double = await device.compile((x) => x.mul(2), { inputs: [{ shape: [2, 2] }] });
     const scores = await double(ndarray([1, 2, 4, 3], [2, 2]));
     await writeSafetensors('scores.safetensors', new Map([['scores', scores]]));
     const { tensors } = await readSafetensors('scores.safetensors');
     console.log([...tensors.get('scores').data].join(), accuracy(scores.data, [1, 0]));
     await device.close();`,
  );
  assert.equal(run(process.execPath, ['program.mjs'], outside), '2,4,8,6 1\n');
});

function run(command: string, args: readonly string[], cwd: string): string {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: 'utf8' });
  assert.equal(status, 0, `${command} ${args.join(' ')}\n${stdout}${stderr}`);
  return stdout;
}

function readJson<T>(path: string): T {
  return JSON.parse(readFileSync(path, 'utf8')) as T;
}
