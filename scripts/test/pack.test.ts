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

test("the engine's README trains in fifteen lines, and another reader finds the values that it saved", () => {
  const readme = readFileSync(join(root, 'packages', 'tensor', 'README.md'), 'utf8');
  const example = /```ts\n(.*?)```/s.exec(readme)![1]!.trim();
  assert.equal(example.split('\n').filter(Boolean).length, 15);
  const show = `
    const named = [...stateDict(model, await trainer.weights())];
    console.log(JSON.stringify(named.map(([name, { shape, data }]) => ({ name, shape, data: [...data] }))));`;
  writeFileSync(join(outside, 'train.mts'), example + show);
  const lines = run(process.execPath, ['train.mts'], outside).trim().split('\n');
  const weights = JSON.parse(lines.pop()!) as Saved[];
  const losses = lines.map(Number);
  assert.equal(losses.length, 200);
  assert.ok(losses.at(-1)! < losses[0]! / 20, `${losses[0]} to ${losses.at(-1)}`);
  const byName = (a: Saved, b: Saved) => (a.name < b.name ? -1 : 1);
  weights.sort(byName);
  assert.deepEqual(
    weights.map(({ name, shape }) => [name, shape]),
    [
      ['0.bias', [32]],
      ['0.weight', [32, 1]],
      ['2.bias', [1]],
      ['2.weight', [1, 32]],
    ],
  );
  const path = join(outside, 'sine.safetensors');
  assert.deepEqual(parseSafetensors(readFileSync(path)).toSorted(byName), weights);
  const byPython = readWithPython(path);
  if (byPython) assert.deepEqual(byPython.toSorted(byName), weights);
});

interface Saved {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

/** From the format's description alone, nothing shared with the library: https://github.com/huggingface/safetensors */
function parseSafetensors(file: Buffer): Saved[] {
  const length = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString('utf8', 8, 8 + length)) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  return Object.entries(header)
    .filter(([name]) => name !== '__metadata__')
    .map(
      ([
        name,
        {
          dtype,
          shape,
          data_offsets: [begin, end],
        },
      ]) => {
        assert.equal(dtype, 'F32');
        const at = (i: number) => file.readFloatLE(8 + length + begin + 4 * i);
        return { name, shape, data: Array.from({ length: (end - begin) / 4 }, (_, i) => at(i)) };
      },
    );
}

/** By the reference implementation, on machines that happen to have it. */
function readWithPython(path: string): Saved[] | undefined {
  const script = `
import json, sys
from safetensors.numpy import load_file
tensors = load_file(sys.argv[1]).items()
print(json.dumps([dict(name=n, shape=t.shape, data=[float(v) for v in t.flat]) for n, t in tensors]))`;
  const { status, stdout } = spawnSync('python3', ['-c', script, path], { encoding: 'utf8' });
  return status === 0 ? (JSON.parse(stdout) as Saved[]) : undefined;
}

test('what a browser loads imports nothing from Node, and its workers are where they are looked for', () => {
  const modules = ['attention', 'data', 'dropout', 'images', 'images-browser', 'initializers', 'layers'];
  modules.push(
    'losses',
    'module',
    'optimizers',
    'random',
    'safetensors',
    'schedules',
    'trainer',
    'transformer',
  );
  const dist = (name: string) => join(outside, 'node_modules', '@working-papers', name, 'dist');
  const open = [join(dist('tensor'), 'index.js'), ...modules.map((name) => join(dist('nn'), `${name}.js`))];
  const seen = new Set<string>();
  const foreign = new Set<string>();
  for (let file = open.pop(); file !== undefined; file = open.pop()) {
    if (seen.has(file)) continue;
    seen.add(file);
    const code = readFileSync(file, 'utf8');
    // imports and exports from, imports for effect, dynamic imports, and addresses of workers
    const names =
      /(?:^(?:import|export) (?:[\w*{][^;'"()=]*? from )?|\bimport\(|\bnew URL\()['"]([^'"]+)['"]/gm;
    for (const [, name] of code.matchAll(names)) {
      const own = /^@working-papers\/(\w+)(?:\/(.+))?$/.exec(name!);
      if (name!.startsWith('.')) open.push(join(dirname(file), name!));
      else if (name === '#runtime') open.push(join(dist('tensor'), 'runtime', 'web.js'));
      else if (own) open.push(join(dist(own[1]!), `${own[2] ?? 'index'}.js`));
      else foreign.add(name!);
    }
  }
  assert.ok(seen.has(join(dist('tensor'), 'runtime', 'worker-web.js')), 'the worker was found');
  assert.deepEqual([...foreign].toSorted(), ['onnxruntime-web/wasm', 'onnxruntime-web/webgpu']);
});

function run(command: string, args: readonly string[], cwd: string): string {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: 'utf8' });
  assert.equal(status, 0, `${command} ${args.join(' ')}\n${stdout}${stderr}`);
  return stdout;
}

function readJson<T>(path: string): T {
  return JSON.parse(readFileSync(path, 'utf8')) as T;
}
