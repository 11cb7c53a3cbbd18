/**
 * Tables of the README: the operators, from the operators themselves, and the speed, from `results.json`. Run as a
 * program, it writes them.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { operators } from '../src/index.ts';

const path = join(import.meta.dirname, '..', 'README.md');

interface Results {
  readonly date: string;
  readonly machine: { readonly cpu: string; readonly cores: number };
  readonly versions: { readonly node: string; readonly onnxruntime: string };
  readonly settings: { readonly threads: number };
  readonly matmulGflops: { readonly median: number };
  readonly rows: readonly {
    readonly mode: string;
    readonly title: string;
    readonly milliseconds: number;
    readonly gflops: number;
    readonly matmulShare: number;
    readonly outside: number;
    readonly peakMegabytes: number;
    readonly peers: { readonly [name: string]: { readonly ratio?: number; readonly version?: string } };
  }[];
}

const speedMarks = /(<!-- speed -->\n).*(<!-- \/speed -->)/s;
const marks = /(<!-- operators -->\n).*(<!-- \/operators -->)/s;

export function readReadme(): string {
  return readFileSync(path, 'utf8');
}

/** `readme` with its table as it should be. */
export function withOperators(readme: string): string {
  const rows = [...operators().values()].map(({ name, doc, grad }) => {
    return `| \`${name}\` | ${doc.replaceAll('|', '\\|')} | ${grad ? 'yes' : ''} |`;
  });
  const table = ['| operator | what it computes | gradient |', '|---|---|---|', ...rows].join('\n');
  return readme.replace(marks, (_, begin, end) => `${begin}\n${table}\n\n${end}`);
}

/** `readme` with the figures of the last bench. */
export function withSpeed(readme: string): string {
  const results = JSON.parse(
    readFileSync(join(import.meta.dirname, '..', 'results.json'), 'utf8'),
  ) as Results;
  const { machine, versions, settings, matmulGflops } = results;
  const percent = (share: number) => `${Math.round(100 * share)} %`;
  const names = [...new Set(results.rows.flatMap(({ peers }) => Object.keys(peers)))];
  const rows = results.rows.map(
    ({ title, mode, milliseconds, gflops, matmulShare, outside, peers, ...row }) =>
      [
        `${title}: ${mode === 'train' ? 'a training step' : 'a forward pass'}`,
        milliseconds < 100 ? milliseconds.toPrecision(3) : milliseconds.toFixed(0),
        gflops.toFixed(0),
        percent(matmulShare),
        percent(outside),
        row.peakMegabytes.toFixed(0),
        ...names.map((name) => (peers[name]?.ratio === undefined ? '' : `${peers[name].ratio.toFixed(2)} ×`)),
      ].join(' | '),
  );
  const headings = [
    'ms',
    'GFLOP/s',
    'of a product',
    'outside products',
    'MB at most',
    ...names.map((name) => `${name} takes`),
  ];
  const version = (name: string) => results.rows.map(({ peers }) => peers[name]?.version).find(Boolean);
  const text = [
    `Measured ${results.date.slice(0, 10)} on ${machine.cpu}, ${settings.threads} threads, Node ${versions.node}, ONNX Runtime ${versions.onnxruntime}, beside`,
    `a plain product of 1024³ in the same rounds (${matmulGflops.median.toFixed(0)} GFLOP/s) and other libraries with the same threads:`,
    `${names.map((name) => `${name} ${version(name)}`).join(', ')}.`,
    '',
    `| | ${headings.join(' | ')} |`,
    `|---|${'---:|'.repeat(headings.length)}`,
    ...rows.map((row) => `| ${row} |`),
  ];
  return readme.replace(speedMarks, (_, begin, end) => `${begin}\n${text.join('\n')}\n\n${end}`);
}

if (import.meta.main) writeFileSync(path, withSpeed(withOperators(readReadme())));
