import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { beginTraining } from '../src/training.ts';

test('a training never begins over the checkpoint of another', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'wp-training-'));
  t.after(() => rm(folder, { recursive: true }));
  const begin = (resume: boolean) => beginTraining({ from: import.meta.url, seed: 7, folder, resume })();
  assert.equal(begin(false).minutes, '0');
  assert.equal(begin(true).minutes, '0');
  await writeFile(join(folder, 'checkpoint.safetensors'), '');
  assert.throws(() => begin(false), {
    name: 'UserError',
    message: `${join(folder, 'checkpoint.safetensors')} is there already: go on from it with --resume, or choose another --out`,
  });
  // how long the parts before took is not known
  const { minutes, seed, command } = begin(true);
  assert.deepEqual([minutes, seed], [undefined, '7']);
  assert.match(command, /^node /);
});
