/**
 * The conditional-compute runner: inference that really stops. Pictures whose gate opens are answered and taken out of
 * the batch, so that nothing more is computed for them. Few pictures, and any on a GPU, go from graph to graph: the
 * host reads g and R to decide, hands on the numbers of the rows that stay, and never touches what the blocks pass to
 * each other. Many pictures on a CPU run in a single graph that does the same by itself (`compaction.ts`).
 */

import type { Weights } from '@working-papers/nn/module';
import type { Compiled, Device, DeviceArray, NdArray, Tensor } from '@working-papers/tensor';
import { Answers, type RunResult } from './answers.ts';
import { compileWhole, type Effort, effortFor, effortOf, type Whole, worthCompacting } from './compaction.ts';
import { type ExitCosts, exitCosts } from './cost.ts';
import { type ExitRule, exitBound, type JeiDnn } from './model.ts';
import { compileSegment, groupExits, planSegments, type Segment, type SegmentWeights } from './segments.ts';

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

export interface RunnerOptions {
  readonly device: Device;
  readonly model: JeiDnn;
  readonly values: Weights;
  /** Height and width of the pictures. */
  readonly imageSize: number;
  /**
   * How many graphs the exits are spread over; default one an exit. Fewer pay where a call costs more than a block.
   * Given, it holds for batches of every size; see `wholeFrom`.
   */
  readonly graphs?: number;
  /**
   * Batches of so many pictures or more run in a single graph that takes answered pictures out by itself; smaller ones
   * go from graph to graph. Default 8 on a CPU in Node, never elsewhere or with `graphs`.
   */
  readonly wholeFrom?: number;
  /**
   * After which early exits (0..L−2) that single graph takes answered pictures out. Default: after all, and after more
   * than 256 pictures where it would have paid for those seen so far; a change compiles anew.
   */
  readonly compactAfter?: readonly number[];
  /** Round batches up to powers of two, so that a GPU prepares few shapes; default on GPUs only. */
  readonly buckets?: boolean;
  /** Pictures in one batch; default 256. */
  readonly batchSize?: number;
}

/** Compiles a model with early exits, one graph a segment. */
export async function openRunner(options: RunnerOptions): Promise<EarlyExitRunner> {
  const { device, model, values, imageSize, graphs = model.exitCount, compactAfter = [] } = options;
  const wrong = compactAfter.find((exit) => !model.gates[exit]);
  if (wrong !== undefined)
    throw new RangeError(`compactAfter ${wrong}: the early exits are 0 to ${model.exitCount - 2}`);
  const exits = exitValues(model, values);
  const weights = new Map([...values].filter(([weight]) => !exits.has(weight)));
  const store = await device.store(exits);
  const segments: Segment[] = [];
  for (const plan of planSegments(model, groupExits(model.exitCount, graphs), { imageSize })) {
    segments.push(await compileSegment(device, plan, { weights, store }));
  }
  return new EarlyExitRunner(options, segments, { weights, store });
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
  readonly #weights: SegmentWeights;
  readonly #wholes = new Map<string, Promise<Whole>>();
  readonly #effort: Effort;
  /** How many of the pictures seen since the exits last changed reached each exit. */
  #reached: number[];
  #after: readonly number[];
  #backbone: Promise<Compiled<readonly [Tensor], Tensor>> | undefined;

  /** Use `openRunner`. */
  constructor(options: RunnerOptions, segments: readonly Segment[], weights: SegmentWeights) {
    this.#options = options;
    this.#segments = segments;
    this.#weights = weights;
    this.model = options.model;
    this.costs = exitCosts(options.model, options.imageSize);
    this.#effort = effortOf(options.model, options.imageSize, this.costs.multiplyAdds);
    this.#reached = this.costs.shares.map(() => 0);
    this.#after = options.compactAfter ?? options.model.exits.map((_, l) => l);
  }

  /** Other values for IMs and gates, of the same shapes: another cost weight. The graphs stay. */
  async setExits(values: Weights): Promise<void> {
    this.#reached.fill(0);
    await this.#weights.store.write(exitValues(this.model, values));
  }

  /** Runs pictures [N, 3, H, W], normalised, in batches. N may be 0: then nothing is computed. */
  async run(images: NdArray, options: RunOptions = {}): Promise<RunResult> {
    const { batchSize = 256 } = this.#options;
    const { rule, threshold = 0.5 } = options;
    if (!(threshold >= 0 && threshold <= 1)) throw new RangeError(`threshold ${threshold} is not in 0 to 1`);
    const count = images.shape[0]!;
    const { classes } = this.model.backbone;
    const answers = new Answers(count, classes, exitBound(rule, threshold));
    const size = count === 0 ? 0 : images.data.length / count;
    for (let start = 0; start < count; start += batchSize) {
      const end = Math.min(count, start + batchSize);
      // a copy: a view would take the whole array with it to the device's thread
      const data = images.data.slice(start * size, end * size);
      const batch = { ...images, shape: [end - start, ...images.shape.slice(1)], data };
      if (!(options.gates ?? true)) await this.#runBackbone(batch, start, answers);
      else if (this.#isWhole(end - start)) await this.#runWhole(batch, start, answers, options);
      else await this.#runSegments(batch, start, answers, options);
    }
    return answers;
  }

  /** Over how many graphs a batch of so many pictures is spread: 1 where a single graph takes pictures out itself. */
  graphsFor(count: number): number {
    return this.#isWhole(count) ? 1 : this.#segments.length;
  }

  #isWhole(count: number): boolean {
    const { device, graphs, wholeFrom } = this.#options;
    const ours = device.provider === 'cpu' && graphs === undefined ? 8 : Number.POSITIVE_INFINITY;
    return count >= (wholeFrom ?? ours);
  }

  async #runWhole(images: NdArray, start: number, answers: Answers, options: RunOptions): Promise<void> {
    const { rule, threshold, compaction = true } = options;
    const whole = await this.#whole(compaction ? this.#after : []);
    await whole.run(images, start, answers, rule, threshold);
    if (compaction) this.#learn(answers.exits.subarray(start, start + images.shape[0]!));
  }

  #whole(after: readonly number[]): Promise<Whole> {
    const { device, imageSize } = this.#options;
    const key = after.join();
    let whole = this.#wholes.get(key);
    if (!whole) {
      whole = compileWhole(device, this.model, after, { ...this.#weights, imageSize });
      this.#wholes.set(key, whole);
      // what failed to compile may succeed later
      whole.catch(() => this.#wholes.delete(key));
    }
    return whole;
  }

  /** Looks each time that twice as many pictures have been seen whether other exits are worth a compaction. */
  #learn(exits: Int32Array): void {
    const before = this.#reached[0]!;
    const left = this.#reached.map(() => 0);
    for (const exit of exits) left[exit]!++;
    left.reduceRight((sum, count, l) => {
      this.#reached[l]! += sum + count;
      return sum + count;
    }, 0);
    const seen = this.#reached[0]!;
    if (this.#options.compactAfter || seen < 256 || Math.log2(seen) < Math.floor(Math.log2(before)) + 1)
      return;
    const after = worthCompacting(this.#effort, this.#reached);
    const [now, then] = [this.#after, after].map((each) => effortFor(this.#effort, this.#reached, each));
    if (then! < 0.99 * now!) this.#after = after;
  }

  async #runSegments(images: NdArray, start: number, answers: Answers, options: RunOptions): Promise<void> {
    const { compaction = true } = options;
    // Row r of the last graph's answer is picture rows[r] of the batch; `keep` are the rows to go on with.
    let rows = Array.from({ length: images.shape[0]! }, (_, i) => start + i);
    let keep = rows.map((_, i) => i);
    const pictures = this.#pad(images);
    let h: NdArray | DeviceArray = pictures;
    let remaining = new Float32Array(pictures.shape[0]!).fill(1);
    for (const [index, segment] of this.#segments.entries()) {
      const r: NdArray = { dtype: 'float32', shape: [remaining.length], data: remaining };
      const running = segment.run(h, r, this.#indices(keep));
      if ('dispose' in h) h.dispose();
      const output = await running;
      let left = Float32Array.from(keep, (row) => remaining[row]!);
      rows = keep.map((row) => rows[row]!);
      answers.count(index, rows.length);
      for (const [i, exit] of segment.exits.entries()) {
        const logits = output.logits[i]!.data as Float32Array;
        const g = output.gates[i]?.data as Float32Array | undefined;
        answers.add({ exit, pictures: rows, logits, ...(g && { gates: { g, remaining: left } }) });
        if (g) left = output.remaining[i]!.data as Float32Array<ArrayBuffer>;
      }
      keep = [...rows.keys()].filter((row) => !compaction || !answers.has(rows[row]!));
      if (!output.h) return;
      if (keep.length === 0) {
        output.h.dispose();
        return;
      }
      h = output.h;
      remaining = left;
    }
  }

  async #runBackbone(images: NdArray, start: number, answers: Answers): Promise<void> {
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
    answers.count(0, count);
    const pictures = Array.from({ length: count }, (_, i) => start + i);
    answers.add({ exit: model.exitCount - 1, pictures, logits: data as Float32Array });
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
    for (const whole of await Promise.allSettled(this.#wholes.values())) {
      if (whole.status === 'fulfilled') await whole.value.dispose();
    }
    await (await this.#backbone)?.dispose();
    await this.#weights.store.dispose();
  }
}
