/**
 * Early exit inside one graph: after an exit's gate the graph itself takes the answered pictures out of the batch, and
 * the next blocks run on those that are left. Between graphs the rows would be copied out of ONNX Runtime and change
 * their memory layout at every exit; on a CPU that costs as much as a part of a small block.
 */

import { traceInference } from '@working-papers/nn/module';
import { type Device, gather, type NdArray, ndarray, nonZero, stack, Tensor } from '@working-papers/tensor';
import type { Answers } from './answers.ts';
import {
  type ExitRule,
  exitBound,
  gateFeatures,
  gateInputCount,
  type JeiDnn,
  takesExitTensor,
} from './model.ts';
import type { SegmentWeights } from './segments.ts';

/**
 * What a batch's pictures got from the exits. Early exits come in groups of E, one group for each stretch over which
 * the batch is the same m pictures: what is small is computed once a group, not once an exit.
 *
 * In each group the deepest exit comes first, and the last exit before all groups. That is how ONNX Runtime comes to ask
 * each exit as soon as its block is done (it goes backwards from the nodes that were written last). Asked later, a
 * block's output would have to be kept, and the next block could not add to it in place.
 */
export interface WholeTensors {
  /** Of the last exit: [m, K]. */
  readonly last: Tensor;
  /** [E, m, K] for each group. */
  readonly logits: readonly Tensor[];
  /** g [E, m] for each group. */
  readonly gates: readonly Tensor[];
  /** R [E, m] before those gates. */
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
function traceWhole(model: JeiDnn, after: readonly number[], x: Tensor, bound: Bound): WholeTensors {
  const { backbone } = model;
  const [logits, gates, remaining, rows]: [Tensor[], Tensor[], Tensor[], Tensor[]] = [[], [], [], []];
  return traceInference(() => {
    let h = backbone.embed(x);
    let r: Tensor | undefined; // (m)
    for (const group of groupsOf(model, after)) {
      const answers = group.map((l) => {
        h = stretch(model, l, h);
        return model.intermediateHeads[l]!.forward(backbone.features(h)); // (m, K)
      });
      const z = stack(answers.toReversed(), 0); // (E, m, K)
      const g = gatesOf(model, group.toReversed(), z); // (E, m)
      const before = group.map((_, e) => {
        // one after the other, as R is counted from graph to graph: sums in another order round otherwise
        const here = r;
        const spent = g.select(0, group.length - 1 - e);
        r = here ? here.sub(spent) : spent.neg().add(1);
        return here ?? spent.mul(0).add(1);
      });
      const left = stack(before.toReversed(), 0); // (E, m)
      logits.push(z);
      gates.push(g);
      remaining.push(left);
      const end = group.at(-1)!;
      if (!after.includes(end)) continue;
      const taken = takesExitTensor(g, left, bound).cast('int32').max(0); // (m)
      const keep = nonZero(taken.equal(0), `after${end + 1}`).cast('int32');
      rows.push(rows.length > 0 ? gather(rows.at(-1)!, keep, 0) : keep);
      h = gather(h, keep, 0);
      r = gather(r!, keep, 0);
    }
    const last = backbone.head.forward(backbone.features(stretch(model, model.exitCount - 1, h)));
    return { last, logits, gates, remaining, rows };
  });
}

/** Early exits between one compaction and the next. */
function groupsOf(model: JeiDnn, after: readonly number[]): readonly (readonly number[])[] {
  const groups: number[][] = [];
  model.gates.forEach((_, l) => {
    if (l === 0 || after.includes(l - 1)) groups.push([l]);
    else groups.at(-1)!.push(l);
  });
  return groups;
}

/** The blocks that end at exit l. */
function stretch({ backbone, segments }: JeiDnn, l: number, h: Tensor): Tensor {
  const [first, last] = segments[l]!;
  return backbone.blocks.slice(first, last + 1).reduce((y, block) => block.forward(y), h);
}

/** g of several exits at once: z [E, m, K] → [E, m]. */
function gatesOf(model: JeiDnn, group: readonly number[], z: Tensor): Tensor {
  const [exits, rows, classes] = z.shape as [number, number | string, number];
  const features = gateFeatures(z.reshape([-1, classes]).softmax()).reshape([exits, rows, gateInputCount]);
  const weights = group.map((l) => model.gates[l]!.linear.weight); // each (1, 4)
  const biases = group.map((l) => model.gates[l]!.linear.bias!); // each (1)
  return features
    .matmul(stack(weights, 0).transpose([0, 2, 1])) // (E, m, 1)
    .add(stack(biases, 0).unsqueeze(-1))
    .sigmoid()
    .squeeze(-1);
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
  const groups = groupsOf(model, after);
  return {
    after,
    async run(images, start, into, rule, threshold) {
      const { slope, offset } = exitBound(rule, threshold);
      const [a, b] = [slope, offset].map((value) => ndarray([value], [], 'float64'));
      const { logits, gates, remaining, rows, last } = await compiled(images, a!, b!);
      let batch = Int32Array.from({ length: images.shape[0]! }, (_, i) => i);
      const answer = (
        exit: number,
        values: Float32Array,
        asked?: { g: Float32Array; remaining: Float32Array },
      ) => {
        into.count(exit, batch.length);
        const pictures = batch.map((row) => start + row);
        into.add({ exit, pictures, logits: values, ...(asked && { gates: asked }) });
      };
      for (const [index, group] of groups.entries()) {
        if (batch.length === 0) return;
        for (const [e, exit] of group.entries()) {
          const part = ({ data }: NdArray) => {
            const size = data.length / group.length;
            const from = (group.length - 1 - e) * size;
            return (data as Float32Array).subarray(from, from + size);
          };
          answer(exit, part(logits[index]!), { g: part(gates[index]!), remaining: part(remaining[index]!) });
        }
        if (index < rows.length) batch = rows[index]!.data as Int32Array<ArrayBuffer>;
      }
      if (batch.length > 0) answer(model.exitCount - 1, last.data as Float32Array);
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
