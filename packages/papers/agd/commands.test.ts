import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { teacherKind } from '@working-papers/models/cifar10-kinds';
import { packModel } from '@working-papers/models/model-file';
import { readImage } from '@working-papers/nn/images-node';
import { writeSafetensors } from '@working-papers/nn/safetensors-file';
import type { Cell, Command, Output } from '@working-papers/paper';
import { ndarray, toNumbers } from '@working-papers/tensor';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { adapterKind, writeRelease } from './checkpoint.ts';
import { commands } from './commands.ts';
import { GuidanceAdapters, sizeOfNetwork } from './model.ts';
import { compileAdapted } from './sample.ts';
import { randomWeights, testDevice } from './test/tiny.ts';

let folder: string;
const at = (name: string) => join(folder, name);
const size = { hiddenSize: 8, depth: 2, numHeads: 2 };
const model = teacherKind.create(size);
const weights = randomWeights(model, 1, 0.1);
const network = sizeOfNetwork(model.network);
const adapters = { kind: 'offset', hiddenSize: 4 } as const;
const own = new GuidanceAdapters(adapters, network);
const ownWeights = randomWeights(own, 2, 0.2);

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'agd-'));
  const teacher = packModel(teacherKind, { model, weights, options: size, card: {} });
  await writeSafetensors(at('base.safetensors'), teacher.tensors, { metadata: teacher.metadata });
  const given = { model: own, weights: ownWeights, options: { adapters, network }, card: {} };
  const packed = packModel(adapterKind, given);
  await writeSafetensors(at('own.safetensors'), packed.tensors, { metadata: packed.metadata });
  await writeFile(at('0005000.pt'), writeRelease(own, ownWeights));
  const other = new GuidanceAdapters(adapters, { ...network, depth: 3 });
  await writeFile(at('other.pt'), writeRelease(other, randomWeights(other, 2)));
});
after(() => rm(folder, { recursive: true }));

interface Answer {
  readonly rows: readonly (readonly Cell[])[];
  // biome-ignore lint/suspicious/noExplicitAny: the JSON that a program reads
  readonly result: any;
  readonly error: Error | undefined;
}

async function call(command: Command, given: object = {}): Promise<Answer> {
  const specs = Object.entries(command.options ?? {});
  const defaults = Object.fromEntries(
    specs.flatMap(([key, spec]) =>
      spec.default === undefined && spec.type !== 'boolean' ? [] : [[key, spec.default ?? false]],
    ),
  );
  let [rows, result]: [Answer['rows'], unknown] = [[], undefined];
  const output: Output = {
    print() {},
    write() {},
    table: (_, given) => {
      rows = given;
    },
    result: (value) => {
      result = value;
    },
    progress: () => ({ update() {}, end() {}, [Symbol.dispose]() {} }),
    warn() {},
  };
  const options = { ...defaults, base: at('base.safetensors'), threads: 1, ...given };
  const context = { positionals: [], options, output, signal: new AbortController().signal };
  const error = await Promise.resolve(command.execute(context as never)).then(
    () => undefined,
    (reason: Error) => reason,
  );
  return { rows, result, error };
}

const [run, train, write] = [commands.run, commands.train, commands.export] as unknown as Command[];
const quick = { weights: undefined as string | undefined, steps: 3, n: 4 };

test('run draws a sheet; the same seed the same sheet, whatever else is drawn with it', async () => {
  const given = { ...quick, weights: at('own.safetensors') };
  const first = await call(run!, { ...given, out: at('a.png') });
  assert.equal(first.error, undefined);
  assert.equal(first.result.methods.agd.calls, 3);
  const { width, height } = await readImage(at('a.png'));
  assert.deepEqual([width, height], [2 * 96 + 3, 2 * 96 + 3]);
  await call(run!, { ...given, out: at('b.png') });
  assert.deepEqual(await readFile(at('a.png')), await readFile(at('b.png')));
  await call(run!, { ...given, weights: at('0005000.pt'), out: at('c.png') });
  assert.deepEqual(await readFile(at('a.png')), await readFile(at('c.png')));
  await call(run!, { ...given, scale: 5, out: at('d.png') });
  assert.notDeepEqual(await readFile(at('a.png')), await readFile(at('d.png')));
});

test('compare counts calls: guidance twice as many as adapters and as no guidance', async () => {
  const given = { ...quick, weights: at('own.safetensors'), compare: true };
  const { rows, result, error } = await call(run!, { ...given, class: 'all', out: at('compare.png') });
  assert.equal(error, undefined);
  assert.deepEqual(
    rows.map(([name, calls]) => [name, calls]),
    [
      ['no guidance', 3],
      ['classifier-free guidance', 6],
      ['AGD', 3],
    ],
  );
  assert.deepEqual(result.labels, [0, 1, 2, 3]);
  assert.ok((await readImage(at('compare.png'))).height > 64);
  await call(run!, { ...given, class: 'cat, 5', out: at('pets') });
  assert.deepEqual((await readdir(at('pets'))).sort(), ['agd', 'cfg', 'plain']);
  assert.equal((await readdir(join(at('pets'), 'agd')))[1], '0001-dog.png');
});

test('bad input is refused in one line', async () => {
  const cases: [object, RegExp][] = [
    [{ class: 'unicorn' }, /^--class 'unicorn' is none of airplane, .*, or 0 to 9$/],
    [{ class: '10' }, /^--class '10' is none of/],
    [{ weights: at('none.safetensors') }, /is not there: 'wp train agd' makes such a file$/],
    [
      { weights: at('base.safetensors') },
      /holds 'working-papers\/cifar10-teacher', expected 'working-papers\/agd-adapters'$/,
    ],
    [
      { weights: at('other.pt') },
      /^these adapters are for 3 blocks of width 8, the model has 2 blocks of width 8$/,
    ],
    [{ base: at('own.safetensors') }, /expected 'working-papers\/cifar10-teacher'$/],
  ];
  for (const [given, message] of cases) {
    const { error } = await call(run!, {
      ...quick,
      weights: at('own.safetensors'),
      out: at('x.png'),
      ...given,
    });
    assert.match(error?.message ?? 'no error', message);
  }
  const files = await readdir(folder);
  assert.ok(!files.includes('x.png'));
});

test('train records, trains, and writes adapters that run uses; a second one uses the same points', async () => {
  const given = {
    adapter: 'attention',
    hidden: 4,
    trajectories: 10,
    samplingSteps: 3,
    steps: 4,
    batchSize: 8,
  };
  const { result, error } = await call(train!, { ...given, out: at('run') });
  assert.equal(error, undefined);
  assert.ok(result.error > 0);
  assert.match(await readFile(join(at('run'), 'agd-attention.md'), 'utf8'), /\| Figures \| E = /);
  const drawn = await call(run!, { ...quick, weights: result.weights, out: at('trained.png') });
  assert.equal(drawn.error, undefined);
  const again = await call(train!, {
    ...given,
    folder: join(at('run'), 'trajectories'),
    out: at('again'),
  });
  assert.equal(again.result.error, result.error);
  const over = await call(train!, { ...given, out: at('run') });
  assert.match(over.error!.message, /checkpoint\.safetensors is there already: go on from it with --resume/);
  const wrong = await call(train!, {
    ...given,
    trajectories: 12,
    folder: join(at('run'), 'trajectories'),
    out: at('wrong'),
  });
  assert.match(wrong.error!.message, /holds 10 trajectories of 3 steps, not 12 of 3/);
  const turned = await call(train!, { scaleLow: 3, scaleHigh: 2, out: at('run') });
  assert.match(turned.error!.message, /--scale-low 3 is above --scale-high 2/);
});

test('the exported file says in another runtime what the library says', async () => {
  const { result, error } = await call(write!, { weights: at('own.safetensors'), out: at('agd.onnx') });
  assert.equal(error, undefined);
  assert.deepEqual(result.inputs, ['x', 'sigma', 'labels', 'scale']);
  const session = await InferenceSession.create(at('agd.onnx'));
  const x = Float32Array.from({ length: 2 * 3072 }, (_, i) => 3 * Math.sin(i));
  const found = await session.run({
    x: new Tensor('float32', x, [2, 3, 32, 32]),
    sigma: new Tensor('float32', [2, 2], [2]),
    labels: new Tensor('int32', [1, 7], [2]),
    scale: new Tensor('float32', [1, 4], [2]),
  });
  const device = await testDevice();
  const shape = [3, 32, 32] as const;
  const adapted = await compileAdapted({
    device,
    model,
    weights,
    adapters: own,
    adapterWeights: ownWeights,
    shape,
  });
  const expected = await adapted.for({ labels: [1, 7], scale: [1, 4] })(Float64Array.from(x), 2, 0);
  for (const [i, value] of toNumbers(ndarray(found.x0!.data as Float32Array)).entries())
    assert.ok(Math.abs(value - expected[i]!) < 1e-4);
  await adapted.dispose();
});
