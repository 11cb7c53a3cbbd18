/**
 * The conditional-compute runner: inference that really stops. Pictures go from graph to graph, and those whose gate
 * opens are answered and taken out of the batch, so that nothing more is computed for them. The host reads g and R to
 * decide, hands on the numbers of the rows that stay, and never touches what the blocks pass to each other.
 */

import type { Weights } from '@working-papers/nn/module';
import type { Compiled, Device, DeviceArray, NdArray, Store, Tensor } from '@working-papers/tensor';
import { type ExitCosts, exitCosts } from './cost.ts';
import { type ExitRule, type JeiDnn, takesExit } from './model.ts';
import { compileSegment, groupExits, planSegments, type Segment, type SegmentOutput } from './segments.ts';

export interface RunOptions {
  /** Default `joint`: g ≥ τR, as trained. */
  readonly rule?: ExitRule;
  /** τ. Other values than the trained ½ are our extension: 0 leaves at once, 1 hardly ever early. */
  readonly threshold?: number;
  /** False: no gate is asked and nothing but the backbone is computed. Default true. */
  readonly gates?: boolean;
  /** Take answered pictures out of the batch; default true. Without it every exit is computed for every picture. */
  readonly compaction?: boolean;
}

/** What happened to N pictures, in their order. */
export interface RunResult {
  /** The exit taken by each, 0..L−1. */
  readonly exits: Int32Array;
  /** [N, K], at the exit taken. */
  readonly logits: Float32Array;
  /** How many rows each graph computed; shorter than the chain of graphs where none was left for the rest. */
  readonly rows: readonly number[];
  /** All that was computed for each picture, exit by exit. */
  readonly steps: readonly (readonly Step[])[];
}

/** One exit that was computed for one picture. */
export interface Step {
  readonly exit: number;
  /** [K] */
  readonly logits: Float32Array;
  /** The last exit has no gate. */
  readonly gate?: {
    readonly g: number;
    /** R = 1 − Σ g of the exits before. */
    readonly remaining: number;
    readonly taken: boolean;
  };
}

export interface RunnerOptions {
  readonly device: Device;
  readonly model: JeiDnn;
  readonly values: Weights;
  /** Height and width of the pictures. */
  readonly imageSize: number;
  /** How many graphs the exits are spread over; default one an exit. Fewer pay where a call costs more than a block. */
  readonly graphs?: number;
  /** Round batches up to powers of two, so that a GPU prepares few shapes; default on GPUs only. */
  readonly buckets?: boolean;
  /** Pictures in one batch; default 256. */
  readonly batchSize?: number;
}

/** Compiles a model with early exits, one graph a segment. */
export async function openRunner(options: RunnerOptions): Promise<EarlyExitRunner> {
  const { device, model, values, imageSize, graphs = model.exitCount } = options;
  const exits = exitValues(model, values);
  const weights = new Map([...values].filter(([weight]) => !exits.has(weight)));
  const store = await device.store(exits);
  const segments: Segment[] = [];
  for (const plan of planSegments(model, groupExits(model.exitCount, graphs), { imageSize })) {
    segments.push(await compileSegment(device, plan, { weights, store }));
  }
  return new EarlyExitRunner(options, segments, store);
}

/** IMs and gates: what changes with the cost weight. */
function exitValues(model: JeiDnn, values: Weights): Weights {
  const own = [...model.namedWeights()].filter(([name]) => !name.startsWith('backbone.'));
  return new Map(own.map(([, weight]) => [weight, values.get(weight)!]));
}

/** A compiled model with early exits. */
export class EarlyExitRunner {
  readonly model: JeiDnn;
  readonly costs: ExitCosts;
  readonly #options: RunnerOptions;
  readonly #segments: readonly Segment[];
  readonly #store: Store;
  #backbone: Promise<Compiled<readonly [Tensor], Tensor>> | undefined;

  /** Use `openRunner`. */
  constructor(options: RunnerOptions, segments: readonly Segment[], store: Store) {
    this.#options = options;
    this.#segments = segments;
    this.#store = store;
    this.model = options.model;
    this.costs = exitCosts(options.model, options.imageSize);
  }

  /** Other values for IMs and gates, of the same shapes: another cost weight. The graphs stay. */
  async setExits(values: Weights): Promise<void> {
    await this.#store.write(exitValues(this.model, values));
  }

  /** Runs pictures [N, 3, H, W], normalised, in batches. N may be 0: then nothing is computed. */
  async run(images: NdArray, options: RunOptions = {}): Promise<RunResult> {
    const { batchSize = 256 } = this.#options;
    const { threshold = 0.5 } = options;
    if (!(threshold >= 0 && threshold <= 1)) throw new RangeError(`threshold ${threshold} is not in 0 to 1`);
    const count = images.shape[0]!;
    const result: MutableResult = {
      exits: new Int32Array(count),
      logits: new Float32Array(count * this.model.backbone.classes),
      rows: [],
      steps: Array.from({ length: count }, () => []),
    };
    const size = count === 0 ? 0 : images.data.length / count;
    for (let start = 0; start < count; start += batchSize) {
      const end = Math.min(count, start + batchSize);
      // a copy: a view would take the whole array with it to the device's thread
      const data = images.data.slice(start * size, end * size);
      const batch = { ...images, shape: [end - start, ...images.shape.slice(1)], data };
      if (options.gates ?? true) await this.#runSegments(batch, start, result, options);
      else await this.#runBackbone(batch, start, result);
    }
    return result;
  }

  async #runSegments(images: NdArray, start: number, result: MutableResult, options: RunOptions) {
    const { rule, threshold, compaction = true } = options;
    const answered = new Set<number>();
    // Row r of the last graph's answer is picture rows[r] of the batch; `keep` are the rows to go on with.
    let rows = Array.from({ length: images.shape[0]! }, (_, i) => i);
    let keep = rows;
    const pictures = this.#pad(images);
    let h: NdArray | DeviceArray = pictures;
    let remaining = new Float32Array(pictures.shape[0]!).fill(1);
    for (const [index, segment] of this.#segments.entries()) {
      const r: NdArray = { dtype: 'float32', shape: [remaining.length], data: remaining };
      const running: Promise<SegmentOutput> = segment.run(h, r, this.#indices(keep));
      if ('dispose' in h) h.dispose();
      const output = await running;
      const left = keep.map((row) => remaining[row]!);
      rows = keep.map((row) => rows[row]!);
      result.rows[index] = (result.rows[index] ?? 0) + rows.length;
      keep = [];
      for (const [row, picture] of rows.entries()) {
        const steps = readSteps(segment, output, row, left[row]!, (g, r) => takesExit(g, r, rule, threshold));
        result.steps[start + picture]!.push(...steps);
        const taken = steps.find(({ gate }) => gate?.taken ?? true);
        if (taken && !answered.has(picture)) {
          answered.add(picture);
          answer(result, start + picture, taken);
        }
        if (!compaction || !answered.has(picture)) keep.push(row);
      }
      if (!output.h) return;
      if (keep.length === 0) {
        output.h.dispose();
        return;
      }
      h = output.h;
      remaining = output.remaining.at(-1)!.data as Float32Array<ArrayBuffer>;
    }
  }

  async #runBackbone(images: NdArray, start: number, result: MutableResult): Promise<void> {
    const { device, model, values } = this.#options;
    const { backbone } = model;
    this.#backbone ??= device.compile(
      (x) => {
        const h = backbone.blocks.reduce((y, block) => block.forward(y), backbone.embed(x));
        return backbone.head.forward(backbone.features(h));
      },
      { inputs: [{ shape: ['n', ...images.shape.slice(1)] }] as const, weights: values, name: 'backbone' },
    );
    const run = await this.#backbone;
    const { data } = await run(this.#pad(images));
    const count = images.shape[0]!;
    result.rows[0] = (result.rows[0] ?? 0) + count;
    for (let i = 0; i < count; i++) {
      const logits = rowOf(data as Float32Array, i, backbone.classes);
      const step = { exit: model.exitCount - 1, logits };
      result.steps[start + i]!.push(step);
      answer(result, start + i, step);
    }
  }

  #padded(count: number): number {
    const { buckets, device } = this.#options;
    const rounds = buckets ?? (device.provider === 'webgpu' || device.provider === 'cuda');
    return rounds ? 2 ** Math.ceil(Math.log2(count)) : count;
  }

  /** Rows to keep; the first of them again where the batch is rounded up. */
  #indices(keep: readonly number[]): NdArray {
    const data = new Int32Array(this.#padded(keep.length)).fill(keep[0]!);
    data.set(keep);
    return { dtype: 'int32', shape: [data.length], data };
  }

  #pad(images: NdArray): NdArray {
    const [count, ...rest] = images.shape as [number, ...number[]];
    const padded = this.#padded(count);
    if (padded === count) return images;
    const data = new Float32Array((images.data.length / count) * padded);
    data.set(images.data as Float32Array);
    return { ...images, shape: [padded, ...rest], data };
  }

  async dispose(): Promise<void> {
    for (const segment of this.#segments) await segment.dispose();
    await (await this.#backbone)?.dispose();
    await this.#store.dispose();
  }
}

interface MutableResult extends RunResult {
  readonly rows: number[];
  readonly steps: readonly Step[][];
}

function answer(result: MutableResult, picture: number, { exit, logits }: Step): void {
  result.exits[picture] = exit;
  result.logits.set(logits, picture * logits.length);
}

function rowOf(data: Float32Array, row: number, size: number): Float32Array {
  return data.slice(row * size, (row + 1) * size);
}

/** What one row of a graph's answer says. A fused graph also computed the exits behind one that is taken. */
function readSteps(
  segment: Segment,
  output: SegmentOutput,
  row: number,
  left: number,
  opens: (g: number, remaining: number) => boolean,
): Step[] {
  let remaining = left;
  return segment.exits.map((exit, i) => {
    const { shape, data } = output.logits[i]!;
    const logits = rowOf(data as Float32Array, row, shape[1]!);
    const gates = output.gates[i];
    if (!gates) return { exit, logits };
    const g = Number(gates.data[row]);
    const gate = { g, remaining, taken: opens(g, remaining) };
    remaining = Number(output.remaining[i]!.data[row]);
    return { exit, logits, gate };
  });
}
