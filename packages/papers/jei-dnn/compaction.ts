/**
 * Early exit inside one graph: after an exit's gate the graph itself takes the answered pictures out of the batch, and
 * the next blocks run on those that are left. Between graphs the rows would be copied out of ONNX Runtime and change
 * their memory layout at every exit; on a CPU that costs as much as a part of a small block.
 */

import { traceInference } from '@working-papers/nn/module';
import { type Device, gather, type NdArray, ndarray, nonZero, Tensor } from '@working-papers/tensor';
import type { Answers } from './answers.ts';
import { type ExitRule, exitBound, type JeiDnn, takesExitTensor } from './model.ts';
import type { SegmentWeights } from './segments.ts';

/** The exits that were computed, each with the m rows that reached it. */
export interface WholeTensors {
  /** [m, K] for each exit. */
  readonly logits: readonly Tensor[];
  /** g [m] of each early exit. */
  readonly gates: readonly Tensor[];
  /** R [m] after each of those gates. */
  readonly remaining: readonly Tensor[];
  /** For each exit of `after`, which pictures of the batch go on: int32 [m]. */
  readonly rows: readonly Tensor[];
}

/** The rule of `exitBound`, as arguments of the graph: another rule or threshold needs no other graph. */
export interface Bound {
  readonly slope: Tensor;
  readonly offset: Tensor;
}

/** All exits for pictures x [n, 3, H, W]; answered ones are taken out of the batch after the exits `after`. */
export function traceWhole(model: JeiDnn, after: readonly number[], x: Tensor, bound: Bound): WholeTensors {
  const { backbone } = model;
  const [logits, gates, remaining, rows]: [Tensor[], Tensor[], Tensor[], Tensor[]] = [[], [], [], []];
  return traceInference(() => {
    let h = backbone.embed(x);
    let r: Tensor | undefined; // (m)
    let taken: Tensor | undefined; // (m): by whom an exit has been taken since the last compaction
    for (const [l, [first, last]] of model.segments.entries()) {
      h = backbone.blocks.slice(first, last + 1).reduce((y, block) => block.forward(y), h);
      const z = (model.intermediateHeads[l] ?? backbone.head).forward(backbone.features(h)); // (m, K)
      logits.push(z);
      const gate = model.gates[l];
      if (!gate) break;
      const g = gate
        .forward(z.softmax())
        .sigmoid()
        .reshape([z.dim(0)]); // (m)
      const leaves = takesExitTensor(g, r, bound);
      taken = taken ? taken.or(leaves) : leaves;
      r = r ? r.sub(g) : g.neg().add(1);
      gates.push(g);
      remaining.push(r);
      if (!after.includes(l)) continue;
      const keep = nonZero(taken.not(), `after${l + 1}`).cast('int32');
      rows.push(rows.length > 0 ? gather(rows.at(-1)!, keep, 0) : keep);
      h = gather(h, keep, 0);
      r = gather(r, keep, 0);
      taken = undefined;
    }
    return { logits, gates, remaining, rows };
  });
}

/** The whole network in one graph. */
export interface Whole {
  readonly after: readonly number[];
  /** Runs a batch [n, 3, H, W], n ≥ 1, whose first picture has the number `start` in the run. */
  run(images: NdArray, start: number, into: Answers, rule?: ExitRule, threshold?: number): Promise<void>;
  dispose(): Promise<void>;
}

export async function compileWhole(
  device: Device,
  model: JeiDnn,
  after: readonly number[],
  { imageSize, ...values }: SegmentWeights & { readonly imageSize: number },
): Promise<Whole> {
  const scalar = { shape: [], dtype: 'float64' } as const;
  const compiled = await device.compile(
    (x, slope, offset) => traceWhole(model, after, x, { slope, offset }),
    { ...values, inputs: [{ shape: ['n', 3, imageSize, imageSize] }, scalar, scalar], name: 'early-exit' },
  );
  return {
    after,
    async run(images, start, into, rule, threshold) {
      const { slope, offset } = exitBound(rule, threshold);
      const [a, b] = [slope, offset].map((value) => ndarray([value], [], 'float64'));
      const { logits, gates, remaining, rows } = await compiled(images, a!, b!);
      const count = images.shape[0]!;
      const left = new Float32Array(count).fill(1);
      let batch = Int32Array.from({ length: count }, (_, i) => i);
      for (const [exit, answer] of logits.entries()) {
        if (batch.length === 0) break;
        into.count(exit, batch.length);
        const pictures = batch.map((row) => start + row);
        const g = gates[exit]?.data as Float32Array | undefined;
        const before = new Float32Array(batch.length);
        if (g) {
          const behind = remaining[exit]!.data as Float32Array;
          batch.forEach((picture, row) => {
            before[row] = left[picture]!;
            left[picture] = behind[row]!;
          });
        }
        const asked = g && { gates: { g, remaining: before } };
        into.add({ exit, pictures, logits: answer.data as Float32Array, ...asked });
        const at = after.indexOf(exit);
        if (at >= 0) batch = rows[at]!.data as Int32Array<ArrayBuffer>;
      }
    },
    dispose: () => compiled.dispose(),
  };
}

/** What computing and moving one picture costs, in any one unit. */
export interface Effort {
  /** Of the stretch that ends at each of the L exits. */
  readonly compute: readonly number[];
  /** Of taking one picture over into the smaller batch, after each of the L − 1 early exits. */
  readonly move: readonly number[];
}

/**
 * How many multiply–adds take as long as carrying one number over into a smaller batch. Measured for ResNet-20 at
 * batch 256 on two cores: 0.29 ns a number, 0.011 ns a multiply–add.
 */
const movedNumber = 25;

/** The effort of a model's exits for one picture of 3 × `imageSize`², in multiply–adds. */
export function effortOf(model: JeiDnn, imageSize: number, multiplyAdds: readonly number[]): Effort {
  const { backbone } = model;
  const shape = [1, 3, imageSize, imageSize];
  let h = new Tensor({ shape, dtype: 'float32' }, { kind: 'input', name: 'x' });
  const move = traceInference(() => {
    h = backbone.embed(h);
    return model.exits.map((_, l) => {
      const [first, last] = model.segments[l]!;
      h = backbone.blocks.slice(first, last + 1).reduce((y, block) => block.forward(y), h);
      return movedNumber * (h.shape as number[]).reduce((a, b) => a * b, 1);
    });
  });
  return { compute: multiplyAdds.map((sum, l) => sum - (multiplyAdds[l - 1] ?? 0)), move };
}

/** What is spent on pictures of which `reached` [L] reach each exit, when they are taken out after the exits `after`. */
export function effortFor(effort: Effort, reached: readonly number[], after: readonly number[]): number {
  let rows = reached[0]!;
  return effort.compute.reduce((sum, compute, l) => {
    const spent = sum + compute * rows;
    if (!after.includes(l)) return spent;
    rows = reached[l + 1]!;
    return spent + effort.move[l]! * rows;
  }, 0);
}

/**
 * After which exits it pays to take answered pictures out of the batch: where few leave, moving the others costs more
 * than computing the few on. The least effort of all choices, found from the end.
 */
export function worthCompacting(effort: Effort, reached: readonly number[]): readonly number[] {
  const exits = effort.compute.length;
  // the best from exit l on when pictures were taken out just before it
  const best: { spent: number; after: readonly number[] }[] = [];
  for (let l = exits - 1; l >= 0; l--) {
    let spent = 0;
    let choice = { spent: Number.POSITIVE_INFINITY, after: [] as readonly number[] };
    for (let end = l; end < exits; end++) {
      spent += effort.compute[end]! * reached[l]!;
      const rest = end === exits - 1 ? { spent: 0, after: [] } : best[end + 1]!;
      const moved = end === exits - 1 ? 0 : effort.move[end]! * reached[end + 1]!;
      const total = spent + moved + rest.spent;
      if (total < choice.spent)
        choice = { spent: total, after: end === exits - 1 ? [] : [end, ...rest.after] };
    }
    best[l] = choice;
  }
  return best[0]!.after;
}
