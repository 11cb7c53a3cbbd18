import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import promises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { readLog } from '../src/log.ts';
import { readSafetensors, writeSafetensors } from '../src/safetensors-file.ts';
import { constant } from '../src/schedules.ts';
import { DivergedError } from '../src/trainer.ts';
import { noise, testDevice } from './helpers.ts';
import { run } from './run.ts';

const device = await testDevice();

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'fit-'));
  t.after(() => rmSync(path, { recursive: true }));
  return path;
}

const checkpoint = (at: string) => readFileSync(join(at, 'checkpoint.safetensors'));
const log = (at: string) => readFileSync(join(at, 'log.jsonl'), 'utf8');

/** Starts `run.ts` on its own and kills it at some moment after it said `killAt` steps; resolves to its end. */
async function runAndKill(at: string, steps: number, killAt: number, resume: boolean): Promise<string> {
  const script = join(import.meta.dirname, 'run.ts');
  const child = spawn(
    process.execPath,
    ['--conditions=source', script, at, String(steps), ...(resume ? ['resume'] : [])],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const exit = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
  for await (const text of child.stdout.setEncoding('utf8')) {
    const done = Number((text as string).trim().split('\n').at(-1));
    if (done < killAt) continue;
    await sleep(Math.random() * 4);
    child.kill('SIGKILL');
    break;
  }
  const [code, signal] = await exit;
  return signal ?? String(code);
}

test('killed at random moments and resumed: weights, state and log of an undisturbed run', async (t) => {
  const [whole, broken] = [folder(t), folder(t)];
  const steps = 160;
  await run(device, { folder: whole, steps });
  const killAt = [1, 2, 3].map((i) => Math.floor((i - Math.random()) * 45) + 4);
  const ends: string[] = [];
  for (const [i, step] of killAt.entries()) ends.push(await runAndKill(broken, steps, step, i > 0));
  assert.ok(ends.includes('SIGKILL'), `ends: ${ends}`);
  assert.equal(await runAndKill(broken, steps, Infinity, true), '0');
  assert.ok(checkpoint(broken).equals(checkpoint(whole)), `killed at ${killAt}`);
  assert.equal(log(broken), log(whole), `killed at ${killAt}`);
  assert.deepEqual(readdirSync(broken).toSorted(), ['checkpoint.safetensors', 'log.jsonl']);
});

test('aborted at any step, also in the middle of an accumulation, and resumed', async (t) => {
  const [whole, broken] = [folder(t), folder(t)];
  await run(device, { folder: whole });
  for (const stop of [1, 7, 8, 21, 40]) {
    const controller = new AbortController();
    const done = await run(device, {
      folder: broken,
      resume: true,
      checkpointSteps: Infinity,
      signal: controller.signal,
      onStep: (step) => step === stop && controller.abort(),
    });
    assert.equal(done, stop);
  }
  assert.ok(checkpoint(broken).equals(checkpoint(whole)));
  assert.equal(log(broken), log(whole));
});

test('a run that is aborted before it begins, or has nothing left to do, changes nothing', async (t) => {
  const at = folder(t);
  assert.equal(await run(device, { folder: at, signal: AbortSignal.abort() }), 0);
  assert.deepEqual(readdirSync(at), ['log.jsonl']);
  await run(device, { folder: at, steps: 5 });
  const before = checkpoint(at);
  assert.equal(await run(device, { folder: at, steps: 5, resume: true }), 5);
  assert.ok(checkpoint(at).equals(before));
});

test('the log has one record an update, with rate and averaged metrics, and the figures of evaluations', async (t) => {
  const at = folder(t);
  const seen: { step: number; size: number }[] = [];
  const drawn: string[] = [];
  await run(device, {
    folder: at,
    steps: 15,
    accumulate: 2,
    onStep: (step, { size }) => seen.push({ step, size: size! }),
    progress: { label: 'train', stream: { isTTY: true, columns: 200, write: (text) => drawn.push(text) } },
  });
  const records = await readLog(join(at, 'log.jsonl'));
  const updates = records.filter((record) => 'loss' in record);
  assert.deepEqual(
    updates.map(({ step }) => step),
    Array.from({ length: 15 }, (_, i) => i + 1),
  );
  assert.deepEqual(Object.keys(updates[0]!), ['step', 'epoch', 'rate', 'loss', 'size']);
  assert.deepEqual(
    updates.map(({ step, size }) => ({ step, size })),
    seen,
  );
  // 30 items make 7 batches of 4: the fourth update ends in the second epoch
  assert.deepEqual(
    updates.slice(2, 5).map(({ epoch }) => epoch),
    [0, 1, 1],
  );
  const evaluations = records.filter((record) => 'weights' in record);
  assert.deepEqual(
    evaluations.map(({ step }) => step),
    [10, 15],
  );
  assert.match(drawn.join(''), /train {2}\[#+\] {2}100% {2}15\/15 steps .* loss \d/);
});

test('metrics of accumulated batches are averaged', async (t) => {
  const at = folder(t);
  const metrics = async (accumulate: number) => {
    const sizes: number[] = [];
    const steps = 6 / accumulate;
    await run(device, { folder: at, steps, accumulate, onStep: (_, { size }) => sizes.push(size!) });
    return sizes;
  };
  const [single, pairs] = [await metrics(1), await metrics(2)];
  assert.deepEqual(
    pairs,
    [0, 2, 4].map((i) => (single[i]! + single[i + 1]!) / 2),
  );
});

test('a checkpoint that does not fit the run is refused with the reason, and left alone', async (t) => {
  const at = folder(t);
  const path = join(at, 'checkpoint.safetensors');
  await run(device, { folder: at, steps: 6 });
  const good = checkpoint(at);
  const refused = async (options: Omit<Parameters<typeof run>[1], 'folder'>, reason: RegExp) => {
    const before = [checkpoint(at), log(at)];
    await assert.rejects(run(device, { folder: at, resume: true, ...options }), (error: Error) => {
      assert.match(error.message, reason);
      assert.ok(error.message.includes(path), error.message);
      assert.ok(!error.message.includes('\n'), error.message);
      return true;
    });
    assert.deepEqual([checkpoint(at), log(at)], before);
  };
  await refused({ seed: 2 }, /: seed was 1, is 2$/);
  await refused({ batchSize: 5 }, /: cannot resume: batchSize was 4, is 5$/);
  await refused({ momentum: 0.5 }, /: momentum was 0.9, is 0.5$/);
  await refused({ accumulate: 3 }, /: accumulate was 2, is 3$/);
  await refused({ schedule: constant(0.05) }, /: learningRates was \[0.05,.*, is \[0.05,0.05,/);
  await refused({ width: 17 }, /mis-shaped: .*model\.0\.weight: found \[16,6\], expected \[17,6\]/);
  writeFileSync(path, good.subarray(0, good.length - 100));
  await refused({}, /expected/);
  writeFileSync(path, good.subarray(0, 5));
  await refused({}, /expected at least 8/);
  await writeSafetensors(path, new Map([['weight', noise([3], 1)]]));
  await refused({}, /is not a checkpoint of a training run$/);
  await writeSafetensors(path, new Map(), { metadata: { step: '3', loader: 'nonsense' } });
  await refused({}, /is not a checkpoint of a training run$/);
  writeFileSync(path, good);
  assert.equal(await run(device, { folder: at, resume: true, steps: 8 }), 8);
});

test('without resume a run starts anew, and so does its log', async (t) => {
  const at = folder(t);
  await run(device, { folder: at, steps: 6 });
  const first = log(at);
  await run(device, { folder: at, steps: 6 });
  assert.equal(log(at), first);
});

test('a loss that is not a number ends the run and names the step and the last good checkpoint', async (t) => {
  const at = folder(t);
  const diverging = (from: number) => (step: number) => (step < from ? 0.05 : Number.NaN);
  await assert.rejects(run(device, { folder: at, schedule: diverging(0) }), (error: Error) => {
    assert.ok(error instanceof DivergedError);
    assert.match(error.message, /^training diverged at step 2: loss NaN, .*; there is no checkpoint yet$/);
    return true;
  });
  await assert.rejects(run(device, { folder: at, schedule: diverging(10) }), (error: Error) => {
    const place = join(at, 'checkpoint.safetensors');
    assert.ok(error.message.startsWith('training diverged at step 12: loss NaN'), error.message);
    assert.ok(error.message.endsWith(`; the last good checkpoint is ${place}, step 9`), error.message);
    return true;
  });
  const { metadata } = await readSafetensors(join(at, 'checkpoint.safetensors'));
  assert.equal(metadata.step, '9');
});

test('a disk that is full, simulated: the old checkpoint survives, the error is one line', async (t) => {
  const at = folder(t);
  await run(device, { folder: at, steps: 6 });
  const before = checkpoint(at);
  const { open } = promises;
  t.after(() => {
    promises.open = open;
    syncBuiltinESMExports();
  });
  promises.open = async (path, ...rest) => {
    const handle = await open(path, ...rest);
    if (String(path).endsWith('.tmp') && String(path).includes('checkpoint')) {
      handle.writeFile = async () => {
        throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
      };
    }
    return handle;
  };
  syncBuiltinESMExports();
  await assert.rejects(run(device, { folder: at, resume: true, steps: 12 }), {
    code: 'ENOSPC',
    message: `cannot write ${join(at, 'checkpoint.safetensors')}: ENOSPC: no space left on device, write; an earlier file is unchanged`,
  });
  promises.open = open;
  syncBuiltinESMExports();
  assert.ok(checkpoint(at).equals(before));
  assert.deepEqual(readdirSync(at).toSorted(), ['checkpoint.safetensors', 'log.jsonl']);
  assert.equal(await run(device, { folder: at, resume: true, steps: 12 }), 12);
});

/** A folder on a small disk of its own, or why there is none. */
function smallDisk(t: TestContext): string | { reason: string } {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return { reason: 'only root mounts a tmpfs' };
  const at = mkdtempSync(join(tmpdir(), 'disk-'));
  t.after(() => {
    spawnSync('umount', [at]);
    rmSync(at, { recursive: true });
  });
  const { status, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=512k', 'tmpfs', at], {
    encoding: 'utf8',
  });
  if (status !== 0) return { reason: `no tmpfs here: ${stderr.trim()}` };
  return at;
}

test('a disk that is full, really: the old checkpoint survives and goes on once there is space', async (t) => {
  const at = smallDisk(t);
  if (typeof at !== 'string') return t.skip(at.reason);
  const options = { folder: at, width: 1000, schedule: constant(1e-4) };
  await run(device, { ...options, steps: 3 });
  const before = checkpoint(at);
  const { bavail, bsize } = statfsSync(at);
  assert.ok(bavail * bsize < 2 * before.length + 350_000, 'the disk is small');
  writeFileSync(join(at, 'filler'), new Uint8Array(bavail * bsize - 32_768));
  await assert.rejects(run(device, { ...options, resume: true, steps: 9 }), {
    code: 'ENOSPC',
    message:
      /^cannot write .*checkpoint\.safetensors: ENOSPC: no space left on device, write; an earlier file is unchanged$/,
  });
  assert.ok(checkpoint(at).equals(before));
  assert.deepEqual(readdirSync(at).toSorted(), ['checkpoint.safetensors', 'filler', 'log.jsonl']);
  rmSync(join(at, 'filler'));
  assert.equal(await run(device, { ...options, resume: true, steps: 9 }), 9);
});
