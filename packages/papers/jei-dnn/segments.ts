/**
 * The network as a chain of graphs that can be left between any two of them. Each graph holds the blocks up to one
 * exit (or, fused, to several) with that exit's IM and gate; its first node picks the rows of the batch that are still
 * on their way. What the blocks hand on stays on the device.
 */

import { traceInference, type Weights } from '@working-papers/nn/module';
import {
  type Device,
  type DeviceArray,
  gather,
  type InputSpec,
  keepOnDevice,
  lower,
  type NdArray,
  type Parameter,
  type Shape,
  type Store,
  Tensor,
} from '@working-papers/tensor';
import type { JeiDnn } from './model.ts';

/** One graph before it is compiled, with m rows kept of n. */
export interface SegmentPlan {
  /** The exits in it, 0..L−1, ascending. */
  readonly exits: readonly number[];
  /**
   * `images` [n, 3, H, W] for the first graph. For the others `h` [n, ...], what the graph before them handed on,
   * `remaining` [n], R as it left it, and `keep` [m], the rows to go on with.
   */
  readonly inputs: readonly (InputSpec & { readonly name: string })[];
  trace(...inputs: readonly Tensor[]): SegmentTensors;
}

export interface SegmentTensors {
  /** For the next graph, [m, ...]; nothing comes out of the last. */
  readonly h: Tensor | undefined;
  /** [m, K] for each exit. */
  readonly logits: readonly Tensor[];
  /** g [m] of each early exit. */
  readonly gates: readonly Tensor[];
  /** R [m] after each of those gates: 1 − Σ g so far. */
  readonly remaining: readonly Tensor[];
}

/** Which exits go into which of `graphs` graphs, as evenly as can be. */
export function groupExits(exitCount: number, graphs: number): readonly (readonly number[])[] {
  if (!Number.isInteger(graphs) || graphs < 1 || graphs > exitCount)
    throw new RangeError(`${graphs} graphs: ${exitCount} exits make 1 to ${exitCount}`);
  const first = (group: number) => Math.round((group * exitCount) / graphs);
  return Array.from({ length: graphs }, (_, group) =>
    Array.from({ length: first(group + 1) - first(group) }, (_, i) => first(group) + i),
  );
}

/** The blocks, IMs and gates of some consecutive exits. */
function forward(
  model: JeiDnn,
  exits: readonly number[],
  x: Tensor,
  left: Tensor | undefined,
): SegmentTensors {
  const { backbone } = model;
  let h = exits[0] === 0 ? backbone.embed(x) : x;
  let r = left;
  const [logits, gates, remaining]: [Tensor[], Tensor[], Tensor[]] = [[], [], []];
  for (const l of exits) {
    const [first, last] = model.segments[l]!;
    h = backbone.blocks.slice(first, last + 1).reduce((y, block) => block.forward(y), h);
    const z = (model.intermediateHeads[l] ?? backbone.head).forward(backbone.features(h)); // (m, K)
    logits.push(z);
    const gate = model.gates[l];
    if (!gate) return { h: undefined, logits, gates, remaining };
    const g = gate
      .forward(z.softmax())
      .sigmoid()
      .reshape([z.dim(0)]); // (m)
    r = r ? r.sub(g) : g.neg().add(1);
    gates.push(g);
    remaining.push(r);
  }
  return { h, logits, gates, remaining };
}

/** The network as one graph for each group of exits; see `groupExits`. */
export function planSegments(
  model: JeiDnn,
  groups: readonly (readonly number[])[],
  picture: { readonly channels?: number; readonly imageSize: number },
): readonly SegmentPlan[] {
  const { channels = 3, imageSize } = picture;
  let shape: Shape = ['n', channels, imageSize, imageSize];
  return groups.map((exits) => {
    const inputs: SegmentPlan['inputs'] =
      exits[0] === 0
        ? [{ name: 'images', shape }]
        : [
            { name: 'h', shape },
            { name: 'remaining', shape: ['n'] },
            { name: 'keep', shape: ['m'], dtype: 'int32' },
          ];
    const trace = (x: Tensor, remaining?: Tensor, keep?: Tensor): SegmentTensors => {
      const pick = (rows: Tensor) => (keep ? gather(rows, keep, 0) : rows);
      return traceInference(() => forward(model, exits, pick(x), remaining && pick(remaining)));
    };
    const { h } = trace(...(symbolsOf(inputs) as [Tensor]));
    if (h) shape = ['n', ...h.shape.slice(1)];
    return { exits, inputs, trace: (...given) => trace(...(given as [Tensor])) };
  });
}

function symbolsOf(inputs: SegmentPlan['inputs']): readonly Tensor[] {
  return inputs.map(
    ({ name, shape, dtype = 'float32' }) => new Tensor({ shape, dtype }, { kind: 'input', name }),
  );
}

/** A graph as an `.onnx` file for any other runtime, with all its weights in it. */
export function exportSegment(
  plan: SegmentPlan,
  weights: Weights,
): { readonly bytes: Uint8Array; readonly outputs: readonly string[] } {
  const { h, logits, gates, remaining } = plan.trace(...symbolsOf(plan.inputs));
  const numbered = (name: string, tensors: readonly Tensor[]) =>
    tensors.map((tensor, i) => [`${name}${plan.exits[i]! + 1}`, tensor] as const);
  const named = [
    ...(h ? [['h', h] as const] : []),
    ...numbered('logits', logits),
    ...numbered('gate', gates),
    ...remaining.slice(-1).map((r) => ['remaining', r] as const),
  ];
  const outputs = named.map(([name]) =>
    plan.inputs.some((input) => input.name === name) ? `${name}_out` : name,
  );
  const { bytes } = lower(
    named.map(([, tensor]) => tensor),
    { weights, outputNames: outputs, name: 'jei-dnn' },
  );
  return { bytes, outputs };
}

/** What one graph answers for its m rows; see `SegmentTensors`. */
export interface SegmentOutput {
  readonly h: DeviceArray | undefined;
  readonly logits: readonly NdArray[];
  readonly gates: readonly NdArray[];
  readonly remaining: readonly NdArray[];
}

/** One graph, compiled. */
export interface Segment {
  readonly exits: readonly number[];
  /** Rows `keep` of what the graph before left; the first graph takes pictures and looks at nothing else. */
  run(h: NdArray | DeviceArray, remaining: NdArray, keep: NdArray): Promise<SegmentOutput>;
  dispose(): Promise<void>;
}

export interface SegmentWeights {
  /** Part of the graphs: the backbone's. */
  readonly weights: ReadonlyMap<Parameter, NdArray>;
  /** Can change while the graphs stay: IMs and gates. */
  readonly store: Store;
}

export async function compileSegment(
  device: Device,
  plan: SegmentPlan,
  values: SegmentWeights,
): Promise<Segment> {
  const compiled = await device.compile(
    (...inputs) => {
      const { h, ...outputs } = plan.trace(...inputs);
      return { ...outputs, h: h ? [keepOnDevice(h)] : [] };
    },
    { ...values, inputs: plan.inputs, name: `exit${plan.exits[0]! + 1}` },
  );
  return {
    exits: plan.exits,
    async run(...given) {
      const { h, ...answer } = await compiled(...given.slice(0, plan.inputs.length));
      return { ...answer, h: h[0] };
    },
    dispose: () => compiled.dispose(),
  };
}
