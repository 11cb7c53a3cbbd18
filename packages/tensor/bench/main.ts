/**
 * `npm run bench -w packages/tensor`: times every workload in training and inference beside the rate of a plain
 * 1024³ product, and beside other libraries where they are installed. Ours and theirs take turns, round by round, in
 * processes of their own; ratios are medians of the rounds' ratios. Writes `results.json` and prints a table.
 */

import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';
import { resolve } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import type { Measurement } from './measure.ts';
import { workloads } from './workloads.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '4' },
    threads: { type: 'string', default: '2' },
    only: { type: 'string' },
    out: { type: 'string', default: 'results.json' },
    help: { type: 'boolean', short: 'h' },
  },
});
if (values.help) {
  console.log(`Usage: npm run bench -w packages/tensor -- [options]

  --rounds N     turns that each measurement takes (3)
  --seconds N    how long one turn measures (4)
  --threads N    threads for everybody (2)
  --only NAME    one of ${Object.keys(workloads).join(', ')}
  --out FILE     where the figures go (results.json)`);
  process.exit(0);
}
if (values.only !== undefined && !(values.only in workloads)) {
  console.error(`bench: unknown workload '${values.only}': there are ${Object.keys(workloads).join(', ')}`);
  process.exit(2);
}

const run = promisify(execFile);
const here = new URL('.', import.meta.url).pathname;
const rounds = Number(values.rounds);
const out = resolve(values.out);
/** Without these, OpenBLAS under PyTorch counts the processors itself and may stay on one. */
const threads = { OMP_NUM_THREADS: values.threads, OPENBLAS_NUM_THREADS: values.threads };

interface Peer {
  readonly name: string;
  readonly command: string;
  readonly args: (workload: string) => string[];
  readonly has: (workload: string) => boolean;
}

const peers: readonly Peer[] = [
  {
    name: 'PyTorch eager',
    command: process.env.PYTHON ?? 'python3',
    args: (workload) => [`${here}peers/pytorch.py`, workload, values.seconds, values.threads],
    has: () => true,
  },
  {
    name: 'jax-js',
    command: process.execPath,
    args: (workload) => [`${here}peers/jax-js.ts`, workload, values.seconds],
    has: (workload) => workload === 'mlp',
  },
];

/** What a peer prints: its times, or why it is not here. */
type PeerResult = { readonly times: number[]; readonly version: string } | { readonly missing: string };

function median(list: readonly number[]): number {
  const sorted = [...list].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

async function child<T>(command: string, args: readonly string[]): Promise<T> {
  const { stdout } = await run(command, args, { maxBuffer: 2 ** 26, env: { ...process.env, ...threads } });
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as T;
}

function ours(workload: string, mode: string, profile = false): Promise<Measurement> {
  const args = ['--conditions=source', `${here}measure.ts`, workload, mode, values.seconds, values.threads];
  return child<Measurement>(process.execPath, profile ? [...args, 'profile'] : args);
}

async function theirs(peer: Peer, workload: string): Promise<PeerResult> {
  try {
    return await child<PeerResult>(peer.command, peer.args(workload));
  } catch (error) {
    return { missing: (error as Error).message.split('\n')[0]! };
  }
}

interface Row {
  workload: string;
  mode: 'train' | 'infer';
  title: string;
  milliseconds: number;
  gflops: number;
  /** Share of the rate of the 1024³ product measured in the same rounds. */
  matmulShare: number;
  /** Share of kernel time outside MatMul, Gemm and Conv. */
  outside: number;
  nodes: number;
  peakMegabytes: number;
  /** How many times as long the peer takes, median and all rounds. */
  peers: {
    [name: string]:
      | { version: string; milliseconds: number; ratio: number; ratios: number[] }
      | { missing: string };
  };
}

const rows: Row[] = [];
const matmulRates: number[] = [];
for (const [workload, { title }] of Object.entries(workloads)) {
  if (values.only !== undefined && workload !== values.only) continue;
  for (const mode of ['train', 'infer'] as const) {
    const times: number[] = [];
    const shares: number[] = [];
    const rival = new Map<
      string,
      { version: string; times: number[]; ratios: number[] } | { missing: string }
    >();
    let last: Measurement | undefined;
    for (let round = 0; round < rounds; round++) {
      process.stderr.write(`${workload} ${mode}, round ${round + 1} of ${rounds}\n`);
      const product = await ours('matmul', 'train');
      const rate = product.operations / median(product.times);
      matmulRates.push(rate / 1e6);
      const measured = await ours(workload, mode);
      const milliseconds = median(measured.times);
      times.push(milliseconds);
      shares.push(measured.operations / milliseconds / rate);
      last = measured;
      for (const peer of mode === 'train' ? peers.filter((each) => each.has(workload)) : []) {
        const known = rival.get(peer.name);
        if (known && 'missing' in known) continue;
        const result = await theirs(peer, workload);
        if ('missing' in result) {
          rival.set(peer.name, result);
          continue;
        }
        const entry = known ?? { version: result.version, times: [], ratios: [] };
        entry.times.push(median(result.times));
        entry.ratios.push(median(result.times) / milliseconds);
        rival.set(peer.name, entry);
      }
    }
    const { outside } = await ours(workload, mode, true);
    const milliseconds = median(times);
    rows.push({
      workload,
      mode,
      title,
      milliseconds,
      gflops: last!.operations / milliseconds / 1e6,
      matmulShare: median(shares),
      outside: outside!,
      nodes: last!.nodes,
      peakMegabytes: last!.peakBytes / 2 ** 20,
      peers: Object.fromEntries(
        [...rival].map(([name, entry]) => [
          name,
          'missing' in entry
            ? entry
            : {
                version: entry.version,
                milliseconds: median(entry.times),
                ratio: median(entry.ratios),
                ratios: entry.ratios,
              },
        ]),
      ),
    });
  }
}

const { default: ort } = await import('onnxruntime-node/package.json', { with: { type: 'json' } });
const [cpu] = cpus();
const results = {
  date: new Date().toISOString(),
  command: `npm run bench -w packages/tensor -- ${process.argv.slice(2).join(' ')}`
    .trimEnd()
    .replace(/ --$/, ''),
  machine: {
    cpu: cpu?.model ?? 'unknown',
    cores: cpus().length,
    memoryGigabytes: Math.round(totalmem() / 2 ** 30),
  },
  versions: { node: process.version, onnxruntime: ort.version },
  settings: { rounds, seconds: Number(values.seconds), threads: Number(values.threads) },
  matmulGflops: { median: median(matmulRates), all: matmulRates.map(Math.round) },
  rows,
};
await writeFile(out, `${JSON.stringify(results, null, 2)}\n`);

console.log(`1024³ product: ${results.matmulGflops.median.toFixed(0)} GFLOP/s`);
console.table(
  rows.map((row) => ({
    workload: `${row.workload} ${row.mode}`,
    ms: row.milliseconds.toFixed(1),
    'GFLOP/s': row.gflops.toFixed(0),
    'of matmul': `${(100 * row.matmulShare).toFixed(0)} %`,
    'outside products': `${(100 * row.outside).toFixed(0)} %`,
    'peak MB': row.peakMegabytes.toFixed(0),
    ...Object.fromEntries(
      Object.entries(row.peers).map(([name, peer]) => [
        name,
        'missing' in peer ? 'not here' : `${peer.ratio.toFixed(2)}x`,
      ]),
    ),
  })),
);
