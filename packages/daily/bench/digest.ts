/**
 * A digest under fire: every subscriber gets one letter, whatever is killed in between.
 *
 *   scripts/with-postgres.sh npm run bench:digest -w packages/daily [-- --subscribers N] [--seconds N] [--seed N] [--out FILE]
 *
 * WP_TEST_DATABASE_URL names a server that may be filled with databases. Ends with 1 where a letter is missing, or a
 * reader has two different ones.
 */

import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { openDatabase } from '@working-papers/daily/database/connect';
import { UserError } from '@working-papers/paper';
import { writeFileWhole } from '@working-papers/paper/files';
import { runManifest } from '@working-papers/paper/manifest';
import { sql } from 'kysely';
import { newDatabase } from '../test/databases.ts';
import { underFire } from './digest/under-fire.ts';

const { values } = parseArgs({
  options: {
    subscribers: { type: 'string', default: '5000' },
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: '1' },
    out: { type: 'string', default: join(import.meta.dirname, 'digest', 'results.json') },
  },
});
const server = process.env.WP_TEST_DATABASE_URL;
if (!server) {
  console.error('WP_TEST_DATABASE_URL: expected a server; scripts/with-postgres.sh makes one');
  process.exit(2);
}
const number = (name: 'subscribers' | 'seconds' | 'seed') => {
  const value = Number(values[name]);
  if (!Number.isInteger(value) || value < 1) throw new UserError(`--${name}: expected a whole number from 1`);
  return value;
};

const settings = {
  ...{ subscribers: number('subscribers'), workers: 3, seconds: number('seconds') },
  ...{ every: 3, lease: 60, latency: 50, patience: 1_800 },
};
const seed = number('seed');
const manifest = runManifest({ from: import.meta.url, seed });
const { url, drop } = await newDatabase(server);
const toll = await underFire({ url, seed, ...settings, onProgress: (line) => console.log(line) });
const postgresql = await serverVersion(url);
await drop();

const { versions, ...facts } = manifest;
const results = { ...facts, versions: { ...versions, postgresql }, settings, toll };
await writeFileWhole(values.out, `${JSON.stringify(results, null, 1)}\n`);
console.log(JSON.stringify(toll, null, 1));
const isWhole =
  toll.recipients === toll.subscribers && toll.messageIds === toll.subscribers && toll.dropped === 0;
if (!isWhole) {
  console.error('not every subscriber has exactly one letter');
  process.exitCode = 1;
}

async function serverVersion(address: string): Promise<string> {
  const database = await openDatabase({ url: address, pool: 1 });
  const { rows } = await sql<{
    version: string;
  }>`select current_setting('server_version') as version`.execute(database.db);
  await database.close();
  return rows[0]!.version.split(' ')[0]!;
}
