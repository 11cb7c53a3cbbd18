import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openDatabase, sharedSecret } from '@working-papers/daily/database/connect';
import { lockFolder } from '@working-papers/daily/database/folder-lock';
import { migrate } from '@working-papers/daily/database/migrations';
import { storeDay, storePapers } from '@working-papers/daily/papers/records';
import { sql } from 'kysely';
import { onEachDatabase } from './databases.ts';

onEachDatabase('database', (backend) => {
  test('types arrive as the schema says: days as texts, counts as numbers, times as dates', async () => {
    const { db } = await backend.open();
    await db.insertInto('editions').values({ date: '2026-09-10' }).execute();
    const { rows } = await sql<Record<string, unknown>>`
      select date, count(*) as how_many, now() as right_now, array['a', 'b'] as two, '{"inner_key": 1}'::jsonb as kept
        from editions group by date`.execute(db);
    const { rightNow, ...rest } = rows[0]!;
    assert.deepEqual(rest, { date: '2026-09-10', howMany: 1, two: ['a', 'b'], kept: { inner_key: 1 } });
    assert.ok(rightNow instanceof Date);
  });

  test('who keeps pages hears of changes when they are there for all to see, and of nothing else', async () => {
    const { db, watchChanges } = await backend.open();
    let changes = 0;
    const watching = Promise.withResolvers<void>();
    const states: boolean[] = [];
    const watch = watchChanges({
      onChange: () => changes++,
      onWatching(isWatching) {
        states.push(isWatching);
        if (isWatching) watching.resolve();
      },
    });
    await watching.promise;
    /** Notices arrive a moment after what they tell of. */
    const heard = async () => {
      await sleep(200);
      return changes;
    };
    const record = { id: '2601.00001', title: 'One', authors: ['Ada'], publishedAt: new Date() };
    await db.transaction().execute(async (transaction) => {
      await storePapers(transaction, [record], 'hf');
      await storeDay(transaction, '2026-01-01', 'hf', [{ paperId: record.id }]);
      if (backend.kind === 'postgres') assert.equal(await heard(), 0, 'not before the end');
    });
    assert.equal(await heard(), 1, 'once a transaction');
    await db.updateTable('papers').set({ askedArxivAt: new Date() }).execute();
    await db.insertInto('users').values({ email: 'ada@example.org' }).execute();
    assert.equal(await heard(), 1);
    const { id: userId } = await db.selectFrom('users').select('id').executeTakeFirstOrThrow();
    await db.insertInto('votes').values({ userId, paperId: record.id }).execute();
    assert.equal(await heard(), 2);
    await watch.close();
    assert.deepEqual(states, [true, false]);
  });

  test('migrations run once, and a database of a newer version is refused', async () => {
    const { db } = await backend.open();
    assert.deepEqual(await migrate(db), []);
    await sql`insert into kysely_migration values ('0999-tomorrow', '2030-01-01')`.execute(db);
    await assert.rejects(migrate(db), { name: 'UserError', message: /newer version than this program/ });
  });

  test('counts follow their rows', async () => {
    const { db } = await backend.open();
    const paper = {
      title: 'T',
      authors: ['A'],
      publishedAt: '2026-01-01',
      authority: 'hf' as const,
      links: '[]',
    };
    await db
      .insertInto('papers')
      .values([
        { ...paper, id: '2601.00001' },
        { ...paper, id: '2601.00002' },
      ])
      .execute();
    await db
      .insertInto('editions')
      .values([{ date: '2026-01-02' }, { date: '2026-01-03' }])
      .execute();
    const row = { date: '2026-01-02', origin: 'hf' } as const;
    await db
      .insertInto('editionPapers')
      .values([
        { ...row, paperId: '2601.00001', position: 0 },
        { ...row, paperId: '2601.00002', position: 1 },
      ])
      .execute();
    const papersOf = async () =>
      (await db.selectFrom('editions').select('papers').orderBy('date').execute()).map((day) => day.papers);
    assert.deepEqual(await papersOf(), [2, 0]);
    await db.deleteFrom('editionPapers').where('paperId', '=', '2601.00001').execute();
    assert.deepEqual(await papersOf(), [1, 0]);

    const user = await db
      .insertInto('users')
      .values({ email: 'a@b.c' })
      .returning('id')
      .executeTakeFirstOrThrow();
    await db.insertInto('votes').values({ userId: user.id, paperId: '2601.00002' }).execute();
    const votes = async () =>
      (await db.selectFrom('papers').select('votes').where('id', '=', '2601.00002').executeTakeFirstOrThrow())
        .votes;
    assert.equal(await votes(), 1);
    await db.deleteFrom('users').execute();
    assert.equal(await votes(), 0, 'a deleted reader takes votes along');
  });

  test('a shared secret is made once', async () => {
    const { db } = await backend.open();
    const made = await Promise.all(['a', 'b', 'c'].map((value) => sharedSecret(db, 'test', () => value)));
    assert.equal(new Set(made).size, 1);
  });

  if (backend.createUrl) {
    test('several processes may start on an empty server at once', async () => {
      const url = await backend.createUrl!();
      const opened = await Promise.all([1, 2, 3, 4].map(() => openDatabase({ url, pool: 2 })));
      const tables = await sql`select 1 from papers`.execute(opened[3]!.db);
      assert.deepEqual(tables.rows, []);
      await Promise.all(opened.map((database) => database.close()));
    });
  }
});

test('a server that is not there: one line without the password', async () => {
  await assert.rejects(openDatabase({ url: 'postgres://me:geheim@127.0.0.1:1/papers' }), (error: Error) => {
    assert.equal(error.name, 'UserError');
    assert.match(error.message, /^DATABASE_URL: the server does not answer: .*ECONNREFUSED/);
    assert.doesNotMatch(error.message, /geheim/);
    return true;
  });
});

test('an embedded database lets one process in, and forgives one that died', async (t) => {
  const home = mkdtempSync(join(tmpdir(), 'wp-lock-'));
  t.after(() => rmSync(home, { recursive: true }));
  const folder = join(home, 'database');
  const release = lockFolder(folder);
  assert.throws(() => lockFolder(folder), { message: new RegExp(`in use by process ${process.pid}:`) });
  release();
  lockFolder(folder)();

  const other = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
  writeFileSync(`${folder}.lock`, `${other.pid} ${hostname()}\n`);
  assert.throws(() => lockFolder(folder), { message: new RegExp(`in use by process ${other.pid}:`) });
  other.kill();
  await once(other, 'exit');
  lockFolder(folder)();

  writeFileSync(`${folder}.lock`, '77 elsewhere\n');
  assert.throws(() => lockFolder(folder), { message: /in use by process 77 on elsewhere:/ });
});
