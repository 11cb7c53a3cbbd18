/**
 * `npm run bench -w packages/models`: the CIFAR-10 teacher in Node beside the rate of a plain 1024³ product, PyTorch
 * where Python has it, and chromium's WebAssembly where chromium is. All take turns, round by round; ratios are medians
 * of the rounds' ratios. Writes `results.json` and prints a table.
 */

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { runManifest } from '@working-papers/paper/manifest';
import { openPage } from '../../tensor/test/page/browser.ts';
import type {} from './page/main.ts';
import { titles, type Workload, workloads } from './workloads.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '3' },
    threads: { type: 'string', default: '2' },
    out: { type: 'string', default: 'results.json' },
    help: { type: 'boolean', short: 'h' },
  },
});
if (values.help) {
  console.log(`Usage: npm run bench -w packages/models -- [options]

  --rounds N     turns that each measurement takes (3)
  --seconds N    how long one turn measures (3)
  --threads N    threads for everybody (2)
  --out FILE     where the figures go (results.json)`);
  process.exit(0);
}

const here = import.meta.dirname;
const [rounds, seconds, threads] = [values.rounds, values.seconds, values.threads].map(Number) as [
  number,
  number,
  number,
];
const out = resolve(values.out);
const env = { ...process.env, OMP_NUM_THREADS: values.threads, OPENBLAS_NUM_THREADS: values.threads };

async function child<T>(command: string, args: readonly string[]): Promise<T> {
  const { stdout } = await promisify(execFile)(command, args, { maxBuffer: 2 ** 26, env });
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as T;
}

interface Measured {
  readonly times: number[];
  readonly operations: number;
}
type Peer = { readonly times: number[]; readonly version: string } | { readonly missing: string };

const node = (script: string, ...args: string[]) =>
  child<Measured>(process.execPath, ['--conditions=source', script, ...args, values.seconds, values.threads]);

async function pytorch(workload: Workload): Promise<Peer> {
  const args = [join(here, 'peers/pytorch.py'), workload, values.seconds, values.threads];
  try {
    return await child<Peer>(process.env.PYTHON ?? 'python3', args);
  } catch (error) {
    return { missing: (error as Error).message.split('\n')[0]! };
  }
}

const chromium = process.env.CHROMIUM ?? '/usr/bin/chromium';
const browser = existsSync(chromium)
  ? await openPage([], { root: join(here, 'page'), ready: 'modelsPage' })
  : undefined;

const median = (list: readonly number[]) => {
  const sorted = list.toSorted((a, b) => a - b);
  return (sorted[sorted.length >> 1]! + sorted[(sorted.length - 1) >> 1]!) / 2;
};

const rows: object[] = [];
const printed: object[] = [];
const rates: number[] = [];
for (const workload of workloads) {
  const own: number[] = [];
  const shares: number[] = [];
  const torch: number[] = [];
  const wasm: number[] = [];
  let version = 'not here';
  let operations = 0;
  for (let round = 0; round < rounds; round++) {
    process.stderr.write(`${workload}, round ${round + 1} of ${rounds}\n`);
    const product = await child<Measured>(process.execPath, [
      '--conditions=source',
      join(here, '../../tensor/bench/measure.ts'),
      ...['matmul', 'train', values.seconds, values.threads],
    ]);
    const rate = product.operations / median(product.times);
    rates.push(rate / 1e6);
    const measured = await node(join(here, 'measure.ts'), workload);
    const milliseconds = median(measured.times);
    operations = measured.operations;
    own.push(milliseconds);
    shares.push(operations / milliseconds / rate);
    const peer = await pytorch(workload);
    if ('missing' in peer) version = peer.missing;
    else {
      version = peer.version;
      torch.push(median(peer.times) / milliseconds);
    }
    // a training step of a page is measured by the engine's own bench
    if (browser && workload !== 'training') {
      const times = await browser.page.evaluate(
        ([name, length, count]) => window.modelsPage.measure(name, length, count),
        [workload, seconds, threads] as const,
      );
      wasm.push(milliseconds / median(times));
    }
  }
  const milliseconds = median(own);
  rows.push({
    workload,
    title: titles[workload],
    milliseconds,
    gflops: operations / milliseconds / 1e6,
    matmulShare: median(shares),
    pytorch: torch.length > 0 ? { version, ratio: median(torch), ratios: torch } : { missing: version },
    chromium: wasm.length > 0 ? { speed: median(wasm), speeds: wasm } : null,
  });
  printed.push({
    workload: titles[workload],
    ms: milliseconds.toFixed(1),
    'GFLOP/s': (operations / milliseconds / 1e6).toFixed(0),
    'of matmul': `${(100 * median(shares)).toFixed(0)} %`,
    'PyTorch takes': torch.length > 0 ? `${median(torch).toFixed(2)}x` : 'not here',
    'chromium’s speed': wasm.length > 0 ? `${(100 * median(wasm)).toFixed(0)} %` : 'not measured',
  });
}
await browser?.close();

const manifest = runManifest({ from: import.meta.url });
const results = {
  ...manifest,
  settings: { rounds, seconds, threads },
  matmulGflops: { median: median(rates), all: rates.map(Math.round) },
  rows,
};
await writeFile(out, `${JSON.stringify(results, null, 2)}\n`);
console.log(`1024³ product: ${results.matmulGflops.median.toFixed(0)} GFLOP/s`);
console.table(printed);
