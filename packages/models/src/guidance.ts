/** Classifier-free guidance (Ho and Salimans 2022, arXiv 2207.12598) around any denoiser with labels. */

import type { Denoiser, DenoiserCall } from './samplers.ts';

/** A denoiser of labelled samples: as many labels as there are samples in x. */
export type LabelledDenoiser = (
  x: Float32Array,
  call: DenoiserCall,
  labels: Int32Array,
) => Promise<Float32Array>;

/**
 * u + ω (c − u) of an unconditional and a conditional estimate, with one scale for each sample: 1 is no guidance, 0 is no
 * condition. Guidance is linear, so it is the same for estimates of x₀, of noise or of a velocity at one x.
 */
export function combineGuidance(
  unconditional: Float32Array,
  conditional: Float32Array,
  scales: ArrayLike<number>,
): Float32Array {
  const size = conditional.length / scales.length;
  if (unconditional.length !== conditional.length || !Number.isInteger(size))
    throw new RangeError(
      `${unconditional.length} and ${conditional.length} numbers for ${scales.length} guidance scales`,
    );
  return conditional.map((c, i) => {
    const scale = scales[Math.floor(i / size)]!;
    // not u + ω (c − u) where it would round: a scale of 1 is the conditional estimate itself
    return scale === 1 ? c : unconditional[i]! + scale * (c - unconditional[i]!);
  });
}

export interface GuidanceOptions {
  /** One a sample. */
  readonly labels: Int32Array;
  /** The label that means none. */
  readonly nullLabel: number;
  /** ω, one for all or one a sample. */
  readonly scale: number | readonly number[];
}

/**
 * A denoiser that guides: the network is asked once for both halves, [x; x] with labels [none; labels]. Where every scale
 * is 1 it is asked for the conditional half only. Throws for a scale that is negative or no number.
 */
export function guided(denoise: LabelledDenoiser, options: GuidanceOptions): Denoiser {
  const { labels, nullLabel, scale } = options;
  const scales = typeof scale === 'number' ? Array.from(labels, () => scale) : scale;
  if (scales.length !== labels.length)
    throw new RangeError(`${scales.length} guidance scales for ${labels.length} labels`);
  const bad = scales.find((each) => !(each >= 0 && Number.isFinite(each)));
  if (bad !== undefined) throw new RangeError(`guidance scale ${bad} is not a number from 0`);
  if (scales.every((each) => each === 1)) return (x, call) => denoise(x, call, labels);
  const both = Int32Array.from({ length: 2 * labels.length }, (_, i) =>
    i < labels.length ? nullLabel : labels[i - labels.length]!,
  );
  return async (x, call) => {
    const twice = new Float32Array(2 * x.length);
    twice.set(x);
    twice.set(x, x.length);
    const out = await denoise(twice, call, both);
    return combineGuidance(out.subarray(0, x.length), out.subarray(x.length), scales);
  };
}
