/**
 * What target and drafts lose at each position of long texts, and whether the target has an attention sink: the gaps
 * that the paper's training closes are measured here, apart from any speed. Node only.
 */

import type { Decoder } from '@working-papers/models/decoder/decoder';
import type { Weights } from '@working-papers/nn/module';
import {
  arange,
  constant,
  type Device,
  rotary,
  type Tensor,
  toNumbers,
  type WeightValues,
  where,
} from '@working-papers/tensor';
import { benchPrompt } from './bench.ts';
import { type DraftModel, partsOf } from './model.ts';
import type { PositionLoss } from './results.ts';
import { targetBatch, targetLosses } from './target.ts';
import { byPosition, lossesOnKeys } from './train.ts';

export interface NamedDraft {
  readonly name: string;
  readonly draft: DraftModel;
  readonly weights: Weights;
}

export interface LossOptions {
  readonly device: Device;
  readonly target: Decoder;
  readonly targetWeights: WeightValues;
  readonly drafts: readonly NamedDraft[];
  /** Tokens of texts that none of them was trained on. */
  readonly documents: readonly Int32Array[];
  readonly begin: number;
  /** Tokens of a text. */
  readonly length: number;
  /** How many texts. */
  readonly count: number;
  readonly signal?: AbortSignal | undefined;
  readonly onText?: (done: number) => void;
}

/** How many tokens before the query the target's keys end, as at the first to the last level of a tree. */
const lags = [1, 2, 3, 4];
const edges = [0, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536, 131_072];

/** Share of the last layer's attention on the first four tokens, of the last queries of a text. */
function sinkMass(
  target: Decoder,
  { tokens, cos, sin }: { tokens: Tensor; cos: Tensor; sin: Tensor },
): Tensor {
  const { numHeads, numKvHeads, headDim } = target.config;
  const tables = { cos, sin };
  const { selfAttn } = target.model.layers.at(-1)!;
  const h = target.lastInput(tokens, tables);
  const { keys } = selfAttn.keysValues(h, tables); // (N, T, Hkv, dh)
  const [n, time] = [h.size(0), h.size(1)];
  const from = Math.max(0, time - 256);
  const count = time - from;
  const queries = rotary(
    selfAttn.qProj.forward(h.slice(1, from)).reshape([n, count, numHeads, headDim]),
    cos.slice(0, from),
    sin.slice(0, from),
  );
  const group = numHeads / numKvHeads;
  const scores = queries
    .transpose([0, 2, 1, 3])
    .reshape([n, numKvHeads, group * count, headDim])
    .matmul(keys.transpose([0, 2, 3, 1]))
    .mul(1 / Math.sqrt(headDim))
    .reshape([n, numHeads, count, time]);
  const seen = arange(time, { dtype: 'int64' }).lessEqual(
    arange(count, { start: from, dtype: 'int64' }).unsqueeze(1),
  );
  return where(seen, scores, -1e30).softmax(-1).slice(3, 0, Math.min(4, time)).sum(3).mean();
}

/** Average losses over ranges of positions, in texts at their own positions. */
export async function measureLosses(
  options: LossOptions,
): Promise<{ readonly losses: PositionLoss[]; readonly sinkMass: number | null }> {
  const { device, target, targetWeights, drafts, documents, begin, length, count, signal, onText } = options;
  const long = documents.filter((tokens) => tokens.length > length);
  if (long.length === 0) return { losses: [], sinkMass: null };
  const half = target.config.headDim / 2;
  const run = await device.compile(
    ({ tokens, cos, sin }: { tokens: Tensor; cos: Tensor; sin: Tensor }) => {
      const inputs = tokens.slice(1, 0, length);
      const seen = { ...partsOf(target), ...target.lastKeysValues(inputs, { cos, sin }) };
      const batch = { tokens, cos, sin };
      return [
        targetLosses(target, batch),
        sinkMass(target, { ...batch, tokens: inputs }),
        ...drafts.flatMap(({ draft }) =>
          lags.map((lag) => lossesOnKeys(draft, seen, { ...batch, lag: constant(lag, 'int64') })),
        ),
      ];
    },
    {
      inputs: [
        {
          tokens: { shape: [1, length + 1], dtype: 'int32' },
          cos: { shape: [length, half] },
          sin: { shape: [length, half] },
        },
      ],
      weights: new Map([...targetWeights, ...drafts.flatMap(({ weights }) => [...weights])]),
    },
  );
  const about = [
    { model: 'target', lag: 0 },
    ...drafts.flatMap(({ name }) => lags.map((lag) => ({ model: name, lag }))),
  ];
  const found = new Map<string, PositionLoss>();
  let sink = 0;
  try {
    for (let text = 0; text < count; text++) {
      signal?.throwIfAborted();
      const window = benchPrompt({ name: 'losses', documents: long }, length + 1, text, begin)!;
      const { tokens, cos, sin } = targetBatch(target, [Int32Array.from(window)]);
      const [own, mass, ...others] = await run({ tokens: tokens!, cos: cos!, sin: sin! });
      sink += toNumbers(mass!)[0]! / count;
      for (const [i, values] of [own!, ...others].entries())
        for (const bucket of byPosition(values, edges)) {
          const key = `${i} ${bucket.from}`;
          const before = found.get(key)?.crossEntropy ?? 0;
          found.set(key, {
            ...about[i]!,
            ...bucket,
            crossEntropy: before + bucket.crossEntropy / count,
          });
        }
      onText?.(text + 1);
    }
  } finally {
    await run.dispose();
  }
  return { losses: [...found.values()], sinkMass: sink };
}
