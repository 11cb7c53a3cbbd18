/**
 * What the benches of all papers share: results that grow in a file so that an interrupted run goes on, the README's
 * figures made from them, and how they are shown. Node only.
 */

import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Report, withResults } from '@working-papers/edition';
import type { Output } from './command.ts';
import { writeFileWhole } from './files.ts';
import type { RunManifest } from './manifest.ts';
import { UserError } from './user-error.ts';

/** Options of every bench. */
export const benchOptions = {
  out: {
    type: 'string',
    short: 'o',
    description: 'the results: what is there already is kept and not measured again',
  },
  minutes: { type: 'number', min: 0, description: 'begin nothing new after so many minutes' },
  folder: { type: 'string', description: 'checkpoints and trained weights; default a folder in the cache' },
  readme: {
    type: 'boolean',
    description: 'only judge what results.json has by today’s rules, and make the README’s tables of it',
  },
} as const;

/** A file beside a paper's sources, by the `import.meta.url` of one of them. What is compiled has neither. */
const beside = (from: string, name: string) => fileURLToPath(new URL(name, from));

/** `wp bench PAPER --readme`: what the claims come to by today's rules, in `results.json` and in the README. */
export async function remakeReadme<M extends MeasuredRun>(
  { from, id, withReport }: Pick<GrowOptions<M>, 'from' | 'withReport'> & { readonly id: string },
  output: Output,
): Promise<void> {
  const [path, readme] = [beside(from, 'results.json'), beside(from, 'README.md')];
  const { report: _, ...measured } = await readResults<M>(path);
  const results = withReport(measured as unknown as M);
  await writeResults(path, results);
  await writeFileWhole(readme, withResults(await readFile(readme, 'utf8'), id, results.report));
  output.print(readme);
  output.result({ readme });
}

/** Whole or not at all. */
async function writeResults(path: string, results: object): Promise<void> {
  await writeFileWhole(path, `${JSON.stringify(results, null, 1)}\n`);
}

/** Throws a UserError where a quick run would write into the figures that a paper shows. */
export function refuseQuick(from: string, quick: boolean, out: string | undefined): void {
  const shown = [beside(from, 'results.json'), beside(from, 'README.md')];
  if (quick && out !== undefined && shown.includes(resolve(out)))
    throw new UserError('--quick is never written into the paper’s own results.json: choose another --out');
}

/** Where a bench keeps what it trained. */
export interface BenchFolder extends AsyncDisposable {
  readonly path: string;
}

/** The folder that was asked for, or `otherwise`; a quick run has one of its own that is gone afterwards. */
export async function openBenchFolder(
  quick: boolean,
  asked: string | undefined,
  otherwise: string,
): Promise<BenchFolder> {
  const path = quick ? await mkdtemp(join(tmpdir(), 'wp-bench-')) : (asked ?? otherwise);
  return {
    path,
    async [Symbol.asyncDispose]() {
      if (quick) await rm(path, { recursive: true, force: true });
    },
  };
}

/** An option of benches that train much: N processes side by side, a core each, then one without it that measures. */
export const partOption = {
  type: 'string',
  description:
    'K/N: only train, and of the trainings each Nth from the Kth; N processes side by side, a core each',
} as const;

/** What `--part K/N` names of a list; all of it without. Throws a UserError for what is no part. */
export function partOf<Item>(items: readonly Item[], part: string | undefined): Item[] {
  if (part === undefined) return [...items];
  const [, k, n] = /^([1-9]\d*)\/([1-9]\d*)$/.exec(part)?.map(Number) ?? [];
  if (k === undefined || n === undefined || k > n)
    throw new UserError(`--part ${part}: expected K/N, like 1/2 for the first of two halves`);
  return items.filter((_, index) => index % n === k - 1);
}

/** Everything of a `results.json` but its report. */
export interface MeasuredRun extends RunManifest {
  readonly settings: { readonly quick: boolean };
}

/** Results while they are measured: lists that take more. */
export type Growing<M> = {
  -readonly [K in keyof M]: M[K] extends readonly (infer Item)[] ? Item[] : M[K];
};

/** Of `growResults`. */
export interface GrowOptions<M extends MeasuredRun> {
  /** `import.meta.url` of the command. */
  readonly from: string;
  /** Where results are kept; nowhere without it. */
  readonly out: string | undefined;
  readonly minutes: number | undefined;
  readonly signal: AbortSignal;
  /** Results before anything is measured. */
  readonly empty: M;
  /** Settings that another run may have had other values of: how many of something there are, say. */
  readonly mayDiffer?: readonly (keyof M['settings'])[];
  withReport(measured: M): M & { readonly report: Report };
}

/** A bench under way. */
export interface GrowingBench<M extends MeasuredRun> {
  readonly results: Growing<M>;
  /** Writes them as they are. */
  save(): Promise<void>;
  /** Whether nothing new should be begun. */
  isOver(): boolean;
}

/** Goes on from what `out` has. Throws a UserError where that was measured with other settings. */
export async function growResults<M extends MeasuredRun>(options: GrowOptions<M>): Promise<GrowingBench<M>> {
  const { from, minutes, signal, empty, mayDiffer = [], withReport } = options;
  refuseQuick(from, empty.settings.quick, options.out);
  const out = options.out === undefined ? undefined : resolve(options.out);
  const deadline = performance.now() + 60_000 * (minutes ?? Number.POSITIVE_INFINITY);
  const results = { ...empty, ...(await before(out, empty, mayDiffer)) } as Growing<M>;
  return {
    results,
    async save() {
      if (out === undefined) return;
      await writeResults(out, withReport(results as M));
    },
    isOver: () => signal.aborted || performance.now() > deadline,
  };
}

/** A `results.json`. Throws a UserError for a file that is none. */
export async function readResults<M extends MeasuredRun>(path: string): Promise<M & { report?: Report }> {
  const text = await readFile(path, 'utf8');
  const none = new UserError(`'${path}' holds no results of a bench: name another file, or remove it`);
  let results: unknown;
  try {
    results = JSON.parse(text);
  } catch {
    throw none;
  }
  const settings = (results as { readonly settings?: unknown } | null)?.settings;
  if (typeof settings !== 'object' || settings === null) throw none;
  return results as M & { report?: Report };
}

/**
 * What was measured before with these settings. Of the run the present one is told, and the commands of all: parts that are
 * measured one after the other are named with the rest.
 */
async function before<M extends MeasuredRun>(
  out: string | undefined,
  empty: M,
  mayDiffer: readonly (keyof M['settings'])[],
): Promise<Partial<M>> {
  if (out === undefined || !existsSync(out)) return {};
  const { report: _, ...then } = await readResults<M>(out);
  for (const [key, now] of Object.entries(empty.settings)) {
    const old = (then.settings as Readonly<Record<string, unknown>>)[key];
    if (JSON.stringify(old) !== JSON.stringify(now) && !mayDiffer.includes(key as keyof M['settings']))
      throw new UserError(
        `${out} was measured with ${key} ${JSON.stringify(old)}, not ${JSON.stringify(now)}: name another file, or remove it`,
      );
  }
  const { date, machine, versions, settings } = empty;
  const commands = new Set([...then.command.split('; '), empty.command]);
  const command = [...commands].join('; ');
  return { ...then, date, command, machine, versions, settings } as unknown as Partial<M>;
}

/** Tables and claims for a person, all of it for a program. */
export function printResults(output: Output, results: MeasuredRun & { readonly report: Report }): void {
  const { tables, claims } = results.report;
  for (const { title, columns, rows } of tables) {
    output.print(`\n${title}`);
    output.table(columns, rows);
  }
  for (const { claim, measured, verdict } of claims) output.print(`\n${claim}\n  ${measured}: ${verdict}`);
  if (results.settings.quick) output.print('\nA quick run: these figures say that it works, not how well.');
  output.result(results);
}
