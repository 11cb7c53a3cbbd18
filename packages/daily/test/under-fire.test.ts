import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Toll, underFire } from '../bench/digest/under-fire.ts';
import { inWords } from '../bench/digest/words.ts';
import { onEachDatabase } from './databases.ts';

onEachDatabase('a digest under fire', ({ createUrl }) => {
  if (!createUrl) return;
  test('three workers and the mail server are killed in between: one letter for everybody, none missing', async () => {
    const toll = await underFire({
      url: await createUrl(),
      ...{
        subscribers: 150,
        workers: 3,
        seconds: 8,
        every: 1,
        seed: 7,
        lease: 5,
        latency: 60,
        patience: 180,
      },
    });
    assert.ok(toll.kills.workers > 1 && toll.kills.mailServer > 0, JSON.stringify(toll.kills));
    assert.equal(toll.recipients, 150, 'nobody was left out');
    assert.equal(toll.messageIds, 150, 'nobody has two letters');
    assert.equal(toll.dropped, 0);
    // A letter that was accepted while the record of it was lost comes again, and is the same letter.
    assert.ok(toll.repeated <= toll.mostAmbiguous, JSON.stringify(toll));
    assert.deepEqual(toll.exits, [143, 143, 143], 'told to stop, a worker ends as told');
  });
});

test("the README's figures are those of the last run", () => {
  const read = (...path: string[]) => readFileSync(join(import.meta.dirname, '..', ...path), 'utf8');
  const { toll } = JSON.parse(read('bench', 'digest', 'results.json')) as { toll: Toll };
  assert.ok(read('README.md').includes(inWords(toll)), `the README should hold:\n${inWords(toll)}`);
});
