import assert from 'node:assert/strict';
import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openLog, readLog } from './log.ts';

test('records are on disk when written, and a resumed run continues from its step', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'log-'));
  t.after(() => rm(folder, { recursive: true }));
  const path = join(folder, 'log.jsonl');
  assert.deepEqual(await readLog(path), []);

  const log = await openLog(path);
  for (let step = 0; step < 3; step++) log.write({ step, loss: step === 2 ? Number.NaN : 1 / (step + 1) });
  assert.equal(
    await readFile(path, 'utf8'),
    '{"step":0,"loss":1}\n{"step":1,"loss":0.5}\n{"step":2,"loss":"NaN"}\n',
  );
  log.flush();
  log.close();

  await appendFile(path, '{"step":3,"lo');
  assert.equal((await readLog(path)).length, 3);
  const resumed = await openLog(path, ({ step }) => (step as number) < 2);
  resumed.write({ step: 2, loss: 0.3 });
  resumed.close();
  assert.deepEqual(
    (await readLog(path)).map(({ step, loss }) => [step, loss]),
    [
      [0, 1],
      [1, 0.5],
      [2, 0.3],
    ],
  );

  for (const bad of ['{"a":1}\n{"a":\n{"a":2}\n', '[]\n']) {
    await writeFile(path, bad);
    await assert.rejects(openLog(path), /log.jsonl:\d: found .*, expected a JSON object/);
    assert.equal(await readFile(path, 'utf8'), bad, 'a file that is no log is left alone');
  }
});
