import { readFileSync } from 'node:fs';
import { arch, availableParallelism, cpus, platform, totalmem } from 'node:os';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

/** What a reader of `results.json` must know to judge its figures or to make them again. */
export interface RunManifest {
  /** ISO 8601, UTC. */
  readonly date: string;
  readonly command: string;
  readonly machine: {
    readonly cpu: string;
    readonly cores: number;
    readonly memoryGiB: number;
    readonly system: string;
  };
  /** `node`, `onnxruntime` where it is installed, and the measured package under its own name. */
  readonly versions: Readonly<Record<string, string>>;
  readonly seed?: number;
}

/** `from` is the caller's `import.meta.url`: the package it lies in is the one whose version is told. */
export function runManifest({ from, seed }: { from: string; seed?: number }): RunManifest {
  const folders = ancestors(dirname(fileURLToPath(from)));
  const own = firstManifest(folders, 'package.json');
  const onnxruntime = firstManifest(folders, join('node_modules', 'onnxruntime-node', 'package.json'));
  return {
    date: new Date().toISOString(),
    command: commandLine(process.argv),
    machine: {
      cpu: cpus()[0]?.model.trim() ?? 'unknown',
      cores: availableParallelism(),
      memoryGiB: Math.round(totalmem() / 2 ** 30),
      system: `${platform()} ${arch()}`,
    },
    versions: {
      node: process.versions.node,
      ...(onnxruntime && { onnxruntime: onnxruntime.version }),
      ...(own && { [own.name]: own.version }),
    },
    ...(seed !== undefined && { seed }),
  };
}

/**
 * What the card of a weights file says of the run that made it. Called when the run begins, it returns what to call
 * when the file is written.
 *
 * @param isResumed goes on from a checkpoint: how long the parts before took is not known, and no time is given.
 */
export function trainingCard(options: { from: string; seed: number; isResumed?: boolean }): () => {
  readonly command: string;
  /** ISO 8601, UTC, of the beginning. */
  readonly date: string;
  readonly machine: string;
  readonly seed: string;
  /** Whole minutes since the beginning. */
  readonly minutes?: string;
} {
  const { command, date, machine } = runManifest(options);
  const started = performance.now();
  return () => ({
    command,
    date,
    machine: `${machine.cpu}, ${machine.cores} cores`,
    seed: String(options.seed),
    ...(!options.isResumed && { minutes: ((performance.now() - started) / 60_000).toFixed(0) }),
  });
}

/** The command as a reader would type it; paths below the current folder are told from there. */
export function commandLine([, script = '', ...args]: readonly string[]): string {
  const program = /[\\/]cli[\\/](src|dist)[\\/]main\.[jt]s$/.test(script) ? ['wp'] : ['node', local(script)];
  return [...program, ...args.map(local)].map(quote).join(' ');
}

function local(path: string): string {
  return path.startsWith(process.cwd() + sep) ? relative(process.cwd(), path) : path;
}

function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

function ancestors(folder: string): readonly string[] {
  const parent = dirname(folder);
  return parent === folder ? [folder] : [folder, ...ancestors(parent)];
}

/** The nearest one that names a version: a folder inside a package may have a package.json of its own. */
function firstManifest(
  folders: readonly string[],
  path: string,
): { name: string; version: string } | undefined {
  for (const folder of folders) {
    let text: string;
    try {
      text = readFileSync(join(folder, path), 'utf8');
    } catch {
      continue;
    }
    const { name, version } = JSON.parse(text) as { name?: string; version?: string };
    if (name && version) return { name, version };
  }
  return undefined;
}
