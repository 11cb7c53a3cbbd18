/**
 * One measurement in a process of its own, so that its peak memory is its own:
 * node measure.ts WORKLOAD train|infer SECONDS THREADS [profile] → one JSON line.
 */

import { readFileSync, rmSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { topologicalOrder } from '../src/autodiff.ts';
import {
  type Compiled,
  type Device,
  gradients,
  openDevice,
  Parameter,
  Tensor,
  zerosArray,
} from '../src/index.ts';
import { Net, type Workload, workloads } from './workloads.ts';

export interface Measurement {
  /** Milliseconds of every timed call. */
  readonly times: number[];
  /** Floating-point operations of the products and convolutions of one call (a step counts three forwards). */
  readonly operations: number;
  readonly nodes: number;
  readonly peakBytes: number;
  /** Share of kernel time outside MatMul, Gemm and Conv; with `profile` only. */
  readonly outside?: number;
}

const [name = '', mode = 'train', seconds = '3', threads = '2', profiled] = process.argv.slice(2);
const device = await openDevice({ threads: Number(threads) });
const profile = profiled ? join(tmpdir(), `wp-bench-${process.pid}`) : undefined;
const { call, operations, nodes, dispose } =
  name === 'matmul' ? await matmulCall(device) : await workloadCall(device, workloads[name]!, mode);
for (let i = 0; i < 3; i++) await call();
const times: number[] = [];
const end = performance.now() + Number(seconds) * 1000;
while (performance.now() < end || times.length < 5) {
  const start = performance.now();
  await call();
  times.push(performance.now() - start);
}
await dispose();
const outside = profile ? await outsideProducts(profile) : undefined;
const measurement: Measurement = {
  times,
  operations,
  nodes,
  peakBytes: process.resourceUsage().maxRSS * 1024,
  ...(outside === undefined ? {} : { outside }),
};
console.log(JSON.stringify(measurement));
await device.close();

interface Call {
  readonly call: () => Promise<unknown>;
  readonly operations: number;
  readonly nodes: number;
  readonly dispose: () => Promise<void>;
}

async function matmulCall(on: Device): Promise<Call> {
  const [a, b, c] = [0, 1, 2].map(() => new Parameter([1024, 1024])) as [Parameter, Parameter, Parameter];
  const value = zerosArray([1024, 1024]);
  value.data.forEach((_, i) => {
    value.data[i] = Math.sin(i);
  });
  const store = await on.store(new Map([a, b, c].map((p) => [p, value])));
  const step = await on.compileStep(() => ({ outputs: [], updates: new Map([[c, a.matmul(b)]]) }), {
    inputs: [] as const,
    store,
  });
  return { call: step, operations: 2 * 1024 ** 3, nodes: 1, dispose: () => step.dispose() };
}

async function workloadCall(on: Device, workload: Workload, what: string): Promise<Call> {
  const net = new Net();
  const inputs = workload.inputs.map(({ shape, dtype }) => ({ shape, dtype }));
  const training = what === 'train';
  const forward = (symbols: readonly Tensor[]) => {
    net.rewind();
    return workload.build(net, symbols, training);
  };
  // Parameters are found by building once; building again meets the same ones.
  const probes = inputs.map((type, i) => new Tensor(type, { kind: 'input', name: `probe${i}` }));
  const forwardOperations = countOperations(forward(probes).output);
  const options = { inputs, ...(profile ? { profile } : {}) };
  const finish = (run: Compiled<Tensor[], Tensor>, operations: number): Call => ({
    call: () => run(...workload.inputs),
    operations,
    nodes: run.model.nodeCount,
    dispose: () => run.dispose(),
  });
  if (!training) {
    const infer = (...symbols: readonly Tensor[]) => forward(symbols).output;
    return finish(await on.compile(infer, { ...options, weights: net.values }), forwardOperations);
  }
  const { optimizer } = workload;
  const buffers = new Map(
    net.parameters.map((parameter) => [
      parameter,
      Array.from({ length: optimizer === 'adamw' ? 2 : 1 }, () => new Parameter(parameter.shape as number[])),
    ]),
  );
  const zeros = [...buffers.values()]
    .flat()
    .map((buffer) => [buffer, zerosArray(buffer.shape as number[])] as const);
  const store = await on.store(new Map([...net.values, ...zeros]));
  const step = (...symbols: readonly Tensor[]) => {
    const { loss } = forward(symbols);
    const slopes = gradients(loss, net.parameters);
    const updates = new Map<Parameter, Tensor>();
    net.parameters.forEach((parameter, i) => {
      const [first, second] = buffers.get(parameter)!;
      if (second) adamW(parameter, slopes[i]!, first!, second, updates);
      else sgd(parameter, slopes[i]!, first!, updates);
    });
    return { outputs: loss, updates };
  };
  return finish(await on.compileStep(step, { ...options, store }), 3 * forwardOperations);
}

/** Bias corrections are left at their limit: they are three scalars a step. */
function adamW(w: Parameter, g: Tensor, m: Parameter, v: Parameter, updates: Map<Parameter, Tensor>): void {
  const average = m.mul(0.9).add(g.mul(0.1));
  const square = v.mul(0.999).add(g.mul(g).mul(0.001));
  updates.set(m, average);
  updates.set(v, square);
  updates.set(w, w.mul(1 - 3e-4 * 0.01).sub(average.mul(3e-4).div(square.sqrt().add(1e-8))));
}

function sgd(w: Parameter, g: Tensor, m: Parameter, updates: Map<Parameter, Tensor>): void {
  const momentum = m.mul(0.9).add(g);
  updates.set(m, momentum);
  updates.set(w, w.sub(momentum.mul(1e-3)));
}

/** Multiplications and additions of all products and convolutions that `output` needs. */
function countOperations(output: Tensor): number {
  let operations = 0;
  for (const { operator, inputs, outputs, attributes } of topologicalOrder([output])) {
    const results = (outputs[0]!.shape as number[]).reduce((a, b) => a * b, 1);
    if (operator.name === 'matmul') operations += 2 * results * inputs[0]!.size(attributes.transA ? -2 : -1);
    if (operator.name === 'conv') {
      operations += 2 * results * (inputs[1]!.shape.slice(1) as number[]).reduce((a, b) => a * b, 1);
    }
  }
  return operations;
}

/** Reads ONNX Runtime's trace: which share of kernel time no product or convolution took. */
async function outsideProducts(prefix: string): Promise<number> {
  const folder = dirname(prefix);
  const file = (await readdir(folder)).find((each) => each.startsWith(basename(prefix)));
  if (!file) throw new Error(`no profile was written at ${prefix}`);
  const events = JSON.parse(readFileSync(join(folder, file), 'utf8')) as {
    name: string;
    dur: number;
    args?: { op_name?: string };
  }[];
  rmSync(join(folder, file));
  let [inside, all] = [0, 0];
  for (const { name: event, dur, args } of events) {
    if (!event.endsWith('_kernel_time')) continue;
    all += dur;
    if (/MatMul|Gemm|Conv/.test(args?.op_name ?? '')) inside += dur;
  }
  return 1 - inside / all;
}
