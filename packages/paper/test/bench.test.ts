import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { type Report, readmeMarkers } from '@working-papers/edition';
import {
  growResults,
  type MeasuredRun,
  openBenchFolder,
  partOf,
  printResults,
  readResults,
  refuseQuick,
  remakeReadme,
} from '../src/bench.ts';
import type { Output } from '../src/command.ts';
import { UserError } from '../src/user-error.ts';

interface Measured extends MeasuredRun {
  readonly settings: { readonly quick: boolean; readonly steps: number };
  readonly values: readonly number[];
}

const folder = await mkdtemp(join(tmpdir(), 'bench-test-'));
after(() => rm(folder, { recursive: true }));
const from = pathToFileURL(join(folder, 'bench-command.ts')).href;

const report = (values: readonly number[]): Report => ({
  measured: { date: '2026-01-02', machine: 'a processor, 2 cores', seeds: 1, command: 'wp bench x' },
  claims: [],
  figures: [],
  tables: [{ title: 'Values', columns: ['Value'], rows: values.map((value) => [value]) }],
});
const withReport = (measured: Measured) => ({ ...measured, report: report(measured.values) });

const open = (
  changes: {
    out?: string;
    steps?: number;
    quick?: boolean;
    date?: string;
    command?: string;
    minutes?: number;
    mayDiffer?: readonly 'steps'[];
  } = {},
) => {
  const { out, steps = 10, quick = false, date = '2026-01-02T03:04:05Z', minutes, mayDiffer = [] } = changes;
  const { command = 'wp bench x' } = changes;
  const machine = { cpu: 'a processor', cores: 2, memoryGiB: 8, system: 'linux x64' };
  const empty: Measured = {
    date,
    command,
    machine,
    versions: {},
    settings: { quick, steps },
    values: [],
  };
  return growResults<Measured>({
    from,
    out,
    minutes,
    signal: new AbortController().signal,
    empty,
    mayDiffer,
    withReport,
  });
};

/** Keeps what a command says. */
function listener() {
  const said = { lines: [] as string[], result: undefined as object | undefined };
  const output: Output = {
    print: (line) => said.lines.push(line),
    write() {},
    table: (header, rows) => said.lines.push(JSON.stringify([header, ...rows])),
    result: (value) => {
      said.result = value;
    },
    progress: () => ({ update() {}, end() {}, [Symbol.dispose]() {} }),
    warn() {},
  };
  return { said, output };
}

test('results grow from one run to the next, and tell of the last run and of all commands', async () => {
  const out = join(folder, 'grown.json');
  const first = await open({ out });
  first.results.values.push(1);
  await first.save();
  const second = await open({ out, date: '2026-02-03T04:05:06Z' });
  assert.deepEqual(second.results.values, [1]);
  second.results.values.push(2);
  await second.save();
  const kept = JSON.parse(await readFile(out, 'utf8')) as Measured & { report: Report };
  assert.deepEqual(
    [kept.values, kept.date, kept.report.tables[0]!.rows],
    [[1, 2], '2026-02-03T04:05:06Z', [[1], [2]]],
  );
  for (const command of ['wp bench x --stage b', 'wp bench x']) await (await open({ out, command })).save();
  assert.equal(JSON.parse(await readFile(out, 'utf8')).command, 'wp bench x; wp bench x --stage b');
});

test('results of other settings are not mixed, and the line says which', async () => {
  const out = join(folder, 'other.json');
  await (await open({ out })).save();
  await assert.rejects(open({ out, steps: 20 }), (error: Error) => {
    assert.ok(error instanceof UserError);
    assert.match(error.message, /other\.json was measured with steps 10, not 20/);
    return true;
  });
});

test('without a file nothing is written; after its minutes a bench is over', async () => {
  const bench = await open({ minutes: 0 });
  await bench.save();
  assert.equal(bench.isOver(), true);
  assert.equal((await open()).isOver(), false);
});

test('a quick run is refused as the figures of a paper', async () => {
  const own = join(folder, 'results.json');
  assert.throws(() => refuseQuick(from, true, own), /--quick is never written/);
  await assert.rejects(open({ quick: true, out: own }), UserError);
  refuseQuick(from, true, join(folder, 'elsewhere.json'));
  refuseQuick(from, false, own);
});

test('the README is made anew between its markers from what was measured', async () => {
  const [begin, end] = readmeMarkers('x');
  await writeFile(join(folder, 'README.md'), `before\n${begin}\nold\n${end}\nafter\n`);
  const results = join(folder, 'results.json');
  const { results: measured } = await open();
  measured.values.push(42);
  // judged by rules of another day
  await writeFile(results, JSON.stringify({ ...measured, report: report([41]) }));
  const { said, output } = listener();
  await remakeReadme({ from, id: 'x', withReport }, output);
  assert.deepEqual((await readResults(results)).report, report([42]));
  const readme = await readFile(join(folder, 'README.md'), 'utf8');
  assert.match(readme, /^before\n[\s\S]*\| 42 \|[\s\S]*\nafter\n$/);
  assert.doesNotMatch(readme, /old/);
  assert.deepEqual(said.result, { readme: join(folder, 'README.md') });
});

test('what was trained is kept where it was asked for, or elsewhere; of a quick run nothing is', async () => {
  for (const [asked, path] of [
    [folder, folder],
    [undefined, 'elsewhere'],
  ] as const) {
    await using kept = await openBenchFolder(false, asked, 'elsewhere');
    assert.equal(kept.path, path);
  }
  assert.ok(existsSync(folder));
  let path: string;
  {
    await using own = await openBenchFolder(true, folder, 'elsewhere');
    path = own.path;
    assert.ok(path !== folder && existsSync(path));
    await writeFile(join(path, 'weights'), '');
  }
  assert.ok(!existsSync(path));
});

test('a person sees the tables, and that a quick run is one', async () => {
  const { results } = await open({ quick: true });
  results.values.push(7);
  const { said, output } = listener();
  printResults(output, withReport(results));
  assert.ok(said.lines.some((line) => line.includes('[7]')) && /quick run/.test(said.lines.at(-1)!));
  assert.deepEqual((said.result as Measured).values, [7]);
});

test('parts of a list have all of it once, and what is no part says so', () => {
  const items = ['a', 'b', 'c', 'd', 'e'];
  assert.deepEqual(partOf(items, '1/2'), ['a', 'c', 'e']);
  assert.deepEqual(partOf(items, '2/2'), ['b', 'd']);
  assert.deepEqual(partOf(items, '7/7'), []);
  assert.deepEqual(partOf(items, undefined), items);
  for (const wrong of ['', '3', '0/2', '3/2', '1/0', '1/2/3', '-1/2', '1.5/2'])
    assert.throws(() => partOf(items, wrong), /--part .*expected K\/N/);
});

test('what may differ is that of the present run; a file that holds no results is refused by name', async () => {
  const out = join(folder, 'differs.json');
  const first = await open({ out, steps: 10 });
  first.results.values.push(1);
  await first.save();
  const { results } = await open({ out, steps: 20, mayDiffer: ['steps'] });
  assert.deepEqual([results.settings.steps, results.values], [20, [1]]);
  for (const text of ['hello', '{}', 'null', '{"settings": 1}']) {
    await writeFile(out, text);
    await assert.rejects(open({ out }), {
      name: 'UserError',
      message: `'${out}' holds no results of a bench: name another file, or remove it`,
    });
  }
});
