import assert from 'node:assert/strict';
import { after, beforeEach, test } from 'node:test';
import { ask, type SourceLimits } from '@working-papers/daily/sources/http';
import { parseDailyPapers } from '@working-papers/daily/sources/huggingface';
import { hfEntry, limits } from './fixtures/source-papers.ts';
import { type Fault, startSourceServer } from './fixtures/source-server.ts';

const server = await startSourceServer();
beforeEach(() => server.clear());
after(() => server.close());

const askDay = (more: Partial<SourceLimits> = {}) =>
  ask(
    {
      url: new URL(`${server.url}/api/daily_papers?date=2026-09-02`),
      accept: 'application/json',
      parse: parseDailyPapers,
    },
    { ...limits, ...more },
  );

test('passing faults are outlived: errors, half answers, resets, slow drips, a page of somebody else', async () => {
  server.days.set('2026-09-02', [hfEntry('2609.00001')]);
  const passing: readonly Fault[] = [
    'error 500',
    'error 429',
    'half',
    'half with length',
    'reset',
    'drip',
    'rubbish',
  ];
  for (const fault of passing) {
    server.faults.push(fault, fault);
    const answer = await askDay();
    assert.ok(answer.changed && answer.value.papers.length === 1, fault);
    assert.equal(server.asked.splice(0).length, 3, `${fault}: two failures, then the answer`);
  }
  server.faults.push('drip');
  const answer = await askDay({ timeout: 1_000, retries: 5 });
  assert.ok(answer.changed && answer.value.papers.length === 1, 'a slow drip');
});

test('faults that stay are told in one line', async () => {
  const cases: readonly (readonly [Fault, RegExp])[] = [
    ['error 500', /^127\.0\.0\.1:\d+\/api\/daily_papers: answered 500$/],
    ['half', /no such answer as expected: .*JSON/],
    ['rubbish', /no such answer as expected: /],
  ];
  server.days.set('2026-09-02', [hfEntry('2609.00001')]);
  for (const [fault, message] of cases) {
    server.faults.push(fault, fault, fault);
    await assert.rejects(askDay(), { name: 'SourceError', message });
    assert.equal(server.asked.splice(0).length, 3, fault);
  }
  server.faults.push('drip');
  await assert.rejects(askDay({ timeout: 300, retries: 0 }), { message: /no whole answer within 0\.3 s$/ });
  await assert.rejects(
    ask({ url: new URL('http://127.0.0.1:2/x'), accept: '*/*', parse: (text) => text }, limits),
    { name: 'SourceError', message: /^127\.0\.0\.1:2\/x: .*ECONNREFUSED/ },
  );
});

test('nobody sends us elsewhere, in circles, or more than we asked for; that is no reason to ask again', async () => {
  const cases: readonly (readonly [Fault, RegExp, number])[] = [
    ['elsewhere', /redirects to 'http:\/\/localhost:9\/steal', which is refused$/, 1],
    ['huge', /an answer of more than 1000000 bytes$/, 1],
  ];
  for (const [fault, message, asked] of cases) {
    server.faults.push(fault);
    await assert.rejects(askDay({ timeout: 5_000 }), { name: 'SourceError', message });
    assert.equal(server.asked.splice(0).length, asked, fault);
  }
  server.faults.push(...Array.from({ length: 6 }, (): Fault => 'circle'));
  await assert.rejects(askDay(), /redirects in a circle$/);
  server.faults.length = 0;
  server.faults.push('moved');
  const answer = await askDay();
  assert.ok(answer.changed, 'within the host it is followed');
});

test('a waiting call ends when it is told to', async () => {
  server.faults.push('error 500');
  const controller = new AbortController();
  const call = ask(
    { url: new URL(`${server.url}/x`), accept: '*/*', parse: (text) => text, signal: controller.signal },
    { ...limits, backoff: 60_000 },
  );
  setTimeout(() => controller.abort(new Error('interrupted')), 50);
  await assert.rejects(
    call,
    (error: Error) => error.name === 'AbortError' || error.message === 'interrupted',
  );
});
