import { readFileSync } from 'node:fs';
import { arch, availableParallelism, cpus, platform, totalmem } from 'node:os';
import { dirname, join, relative, resolve, sep } from 'node:path';
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
 * The command as a reader would type it: paths below the current folder are told from there, those below the folder of
 * data that `WP_DATA` names from that. What ships says nothing else of the machine that it was made on.
 */
export function commandLine([, script = '', ...args]: readonly string[]): string {
  const program = /[\\/]cli[\\/](src|dist)[\\/]main\.[jt]s$/.test(script) ? ['wp'] : ['node', local(script)];
  return [...program, ...args.map(local)].map(quote).join(' ');
}

/** Of one path, or of several with commas between. */
function local(paths: string): string {
  return paths.split(',').map(localPath).join(',');
}

function localPath(path: string): string {
  const data = process.env.WP_DATA;
  if (data && path.startsWith(resolve(data) + sep)) return join('$WP_DATA', relative(resolve(data), path));
  return path.startsWith(process.cwd() + sep) ? relative(process.cwd(), path) : path;
}

function quote(word: string): string {
  return /^(\$WP_DATA\/|[\w@%+=:,./-])+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
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
