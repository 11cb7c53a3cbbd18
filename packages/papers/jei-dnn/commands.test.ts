import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { writeSafetensors } from '@working-papers/nn/safetensors-file';
import type { Cell, Command, Output } from '@working-papers/paper';
import { ndarray, openDevice } from '@working-papers/tensor';
import sharp from 'sharp';
import { commands } from './commands.ts';
import { openRunner } from './runner.ts';
import { samples } from './samples.ts';
import { tinyWeights } from './test/tiny.ts';
import { loadModel, packWeights } from './weights.ts';

let folder: string;
const at = (name: string) => join(folder, name);

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'jei-dnn-'));
  const { tensors, metadata } = packWeights(tinyWeights());
  await writeSafetensors(at('tiny.safetensors'), tensors, { metadata });
  const { data, width, height } = samples[0]!.draw(48);
  const raw = { raw: { width, height, channels: 3 as const } };
  await sharp(data, raw).png().toFile(at('ship.png'));
  await sharp(data, raw).resize(90, 60).jpeg().toFile(at('wide.jpg'));
  await writeFile(at('text.jpg'), 'not a picture');
});
after(() => rm(folder, { recursive: true }));

interface Answer {
  readonly rows: readonly (readonly Cell[])[];
  // biome-ignore lint/suspicious/noExplicitAny: the JSON that a program reads
  readonly result: any;
  readonly error: (Error & { exitCode?: number }) | undefined;
}

async function call(command: Command, positionals: string[], given: object = {}): Promise<Answer> {
  const specs = Object.entries(command.options ?? {});
  const defaults = Object.fromEntries(
    specs.flatMap(([key, spec]) => (spec.default === undefined ? [] : [[key, spec.default]])),
  );
  let [rows, result]: [Answer['rows'], unknown] = [[], undefined];
  const output: Output = {
    print() {},
    write() {},
    table: (_, given) => {
      rows = given;
    },
    result: (value) => {
      result = JSON.parse(JSON.stringify(value));
    },
    progress: () => ({ update() {}, end() {}, [Symbol.dispose]() {} }),
    warn() {},
  };
  const options = { ...defaults, weights: at('tiny.safetensors'), threads: 1, ...given };
  const context = { positionals, options, output, signal: new AbortController().signal };
  const error = await Promise.resolve(command.execute(context)).then(
    () => undefined,
    (reason: Error) => reason,
  );
  return { rows, result, error };
}

const run = commands.run as unknown as Command;

test('run answers each photo, whatever its size, and writes the same to a file', async () => {
  const { rows, result, error } = await call(run, [at('ship.png'), at('wide.jpg')], { out: at('out.json') });
  assert.equal(error, undefined);
  assert.deepEqual(
    rows.map(([file]) => file),
    [at('ship.png'), at('wide.jpg')],
  );
  assert.equal(result.costWeight, 0.1);
  for (const photo of result.photos) {
    assert.equal(photo.className, result.classNames[photo.label]);
    assert.equal(photo.cost, result.exitCosts[photo.exit]);
    assert.equal(photo.exits.length, photo.exit + 1);
    assert.equal(photo.confidence, Math.max(...photo.exits.at(-1).probabilities));
  }
  assert.deepEqual(JSON.parse(await readFile(at('out.json'), 'utf8')), result);
});

test('run without a photo shows drawn ones; options reach the network', async () => {
  const drawn = await call(run, [], { costWeight: 1, threshold: 0 });
  assert.equal(drawn.result.photos.length, samples.length);
  assert.deepEqual(
    drawn.result.photos.map(({ exit }: { exit: number }) => exit),
    samples.map(() => 0),
  );
  assert.equal(drawn.result.costWeight, 1);
  const off = await call(run, [], { gates: false });
  assert.ok(off.result.photos.every((photo: { cost: number; exits: object[] }) => photo.cost === 1));
  assert.ok(off.result.photos.every((photo: { exits: object[] }) => photo.exits.length === 1));
});

test('bad photos are all named, with exit code 2, and cost no answer for the good ones', async () => {
  const { rows, result, error } = await call(run, [at('text.jpg'), at('ship.png'), at('nowhere.png')]);
  assert.equal(error?.exitCode, 2);
  assert.match(error.message, /^2 of 3 photos could not be read: .*text\.jpg: begins with "not a/);
  assert.match(error.message, /nowhere\.png: no such file$/);
  assert.deepEqual(
    rows.map(([file]) => file),
    [at('ship.png')],
  );
  assert.equal(result.failures.length, 2);
  const alone = await call(run, [at('text.jpg')]);
  assert.match(alone.error!.message, /^[^;]*text\.jpg: begins with .*expected a JPEG, PNG or WebP image$/);
});

test('weights that are missing, of another kind or cut short are refused in one line', async () => {
  const refused = async (weights: string | undefined, options = {}) => {
    const { error } = await call(run, [at('ship.png')], { weights, ...options });
    assert.ok(error, 'an error');
    assert.ok(!error.message.includes('\n'));
    return `${error.name}: ${error.message}`;
  };
  await writeSafetensors(at('other.safetensors'), new Map());
  const whole = await readFile(at('tiny.safetensors'));
  await writeFile(at('cut.safetensors'), whole.subarray(0, whole.length - 100));
  assert.match(await refused(at('nowhere.safetensors')), /nowhere\.safetensors/);
  assert.match(await refused(at('other.safetensors')), /UserError: .*metadata 'format' is missing/);
  assert.match(await refused(at('cut.safetensors')), /SafetensorsError: .*cut\.safetensors/);
  assert.match(
    await refused(at('tiny.safetensors'), { costWeight: 0.3 }),
    /UserError: cost weight 0\.3 was not/,
  );
});

test('export writes graphs that ONNX Runtime chains to the same answers, and says how', async () => {
  const { result, error } = await call(commands.export as unknown as Command, [], {
    out: at('model'),
    costWeight: 1,
    graphs: 3,
  });
  assert.equal(error, undefined);
  const manifest = JSON.parse(await readFile(at('model/manifest.json'), 'utf8'));
  assert.deepEqual(
    (await readdir(at('model'))).sort(),
    ['manifest.json', ...manifest.segments.map(({ file }: { file: string }) => file)].sort(),
  );
  assert.equal(result.costWeight, 1);

  const ort = createRequire(import.meta.resolve('@working-papers/tensor'))('onnxruntime-node');
  const size = manifest.preprocessing.size;
  const images = Float32Array.from({ length: 2 * 3 * size * size }, (_, i) => Math.sin(i));
  let feeds: Record<string, unknown> = { images: new ort.Tensor('float32', images, [2, 3, size, size]) };
  const seen: string[] = [];
  let last: ArrayLike<number> = [];
  for (const { file, inputs, outputs } of manifest.segments) {
    const session = await ort.InferenceSession.create(at(`model/${file}`));
    assert.deepEqual(session.inputNames.toSorted(), inputs.map(({ name }: { name: string }) => name).sort());
    const answers = await session.run(feeds);
    assert.deepEqual(Object.keys(answers).sort(), [...outputs].sort());
    seen.push(...Object.keys(answers).filter((name) => /logits|gate/.test(name)));
    feeds = {
      h: answers.h_out ?? answers.h,
      remaining: answers.remaining_out ?? answers.remaining,
      // of two pictures go on with the second, which is then alone
      keep: new ort.Tensor('int32', Int32Array.of('images' in feeds ? 1 : 0), [1]),
    };
    last = answers.logits6?.data ?? last;
  }
  assert.deepEqual(seen.toSorted(), [
    ...[1, 2, 3, 4, 5].map((exit) => `gate${exit}`),
    ...[1, 2, 3, 4, 5, 6].map((exit) => `logits${exit}`),
  ]);

  await using device = await openDevice({ threads: 1 });
  const { model, values } = loadModel(tinyWeights(), 1);
  const runner = await openRunner({ device, model, values, imageSize: size });
  const second = ndarray(images.slice(images.length / 2), [1, 3, size, size]);
  const { logits } = await runner.run(second, { gates: false });
  logits.forEach((logit, k) => {
    assert.ok(Math.abs(logit - last[k]!) < 1e-5);
  });
});
