/** Rotary position embedding: frequencies of all variants, and the tables of cosines and sines for given positions. */

import { type NdArray, ndarray } from '@working-papers/tensor';

/** Rotary positions (Su et al. 2021, arXiv 2104.09864), scaled as the configuration says. */
export interface Rope {
  readonly theta: number;
  /** Radians a position for each pair (i, i + dh/2), dh/2 of them. */
  readonly frequencies: readonly number[];
  /** Of cosines and sines: yarn's, 1 otherwise. */
  readonly attentionFactor: number;
  /** What a `config.json` says. */
  readonly scaling: { readonly rope_type: string; readonly [key: string]: unknown } | undefined;
  /** `max_position_embeddings`, before the scaling makes more of it. */
  readonly modelPositions: number;
}

/** For `parseConfig`, which knows the file. */
export class RopeError extends Error {
  override readonly name = 'RopeError';
  readonly field: string;
  readonly found: unknown;
  readonly expected: string;

  constructor(field: string, found: unknown, expected: string) {
    super(`${field} is ${JSON.stringify(found)}, expected ${expected}`);
    this.field = field;
    this.found = found;
    this.expected = expected;
  }
}

type Json = { readonly [key: string]: unknown };

/**
 * Reads `rope_theta`, `rope_scaling` (`rope_type`, or `type` of old), `rope_parameters` (newer files) and LongChat's
 * `rope_condense_ratio`, which is linear scaling by another name and counts once where both are there.
 */
export function parseRope(
  config: Json,
  headDim: number,
  positions: number,
): { readonly rope: Rope; readonly maxPositions: number } {
  const nested = objectOf(config, 'rope_parameters');
  const where = nested ? 'rope_parameters' : 'rope_scaling';
  const scaling = nested ?? objectOf(config, 'rope_scaling');
  const positive = (from: Json, field: string, fallback?: number): number => {
    const key = field.slice(field.indexOf('.') + 1);
    const value = from[key] ?? fallback;
    if (typeof value !== 'number' || !(value > 0)) throw new RopeError(field, value, 'a positive number');
    return value;
  };
  const theta = positive({ rope_theta: nested?.rope_theta ?? config.rope_theta }, 'rope_theta', 10_000);
  const condense = positive(config, 'rope_condense_ratio', 1);
  const type = String(scaling?.rope_type ?? scaling?.type ?? 'default');
  const given = (key: string, fallback?: number) => positive(scaling!, `${where}.${key}`, fallback);
  const plain = Array.from({ length: headDim / 2 }, (_, i) => theta ** ((-2 * i) / headDim));
  const made = (
    frequencies: readonly number[],
    maxPositions: number,
    kept: Rope['scaling'],
    attentionFactor = 1,
  ) => ({
    rope: { theta, frequencies, attentionFactor, scaling: kept, modelPositions: positions },
    maxPositions: Math.floor(maxPositions),
  });
  const linear = (factor: number) =>
    made(
      plain.map((f) => f / factor),
      positions * factor,
      factor === 1 ? undefined : { rope_type: 'linear', factor },
    );

  if (condense !== 1 && type !== 'default' && type !== 'linear')
    throw new RopeError('rope_condense_ratio', condense, `none beside ${where} of type ${type}`);
  switch (type) {
    case 'default':
      return linear(condense);
    case 'linear':
      return linear(given('factor'));
    case 'llama3': {
      const [factor, low, high, original] = [
        given('factor'),
        given('low_freq_factor'),
        given('high_freq_factor'),
        given('original_max_position_embeddings'),
      ];
      return made(llama3(plain, { factor, low, high, original }), positions, {
        rope_type: type,
        factor,
        low_freq_factor: low,
        high_freq_factor: high,
        original_max_position_embeddings: original,
      });
    }
    case 'yarn': {
      const factor = given('factor');
      const original = given('original_max_position_embeddings', positions);
      const [fast, slow] = [given('beta_fast', 32), given('beta_slow', 1)];
      const attentionFactor = given('attention_factor', factor <= 1 ? 1 : 0.1 * Math.log(factor) + 1);
      return made(
        yarn(plain, { factor, original, fast, slow, theta, headDim }),
        original * factor,
        {
          rope_type: type,
          factor,
          original_max_position_embeddings: original,
          beta_fast: fast,
          beta_slow: slow,
          attention_factor: attentionFactor,
        },
        attentionFactor,
      );
    }
    case 'dynamic':
      throw new RopeError(
        `${where}.rope_type`,
        type,
        `another: it turns keys anew that a cache already holds`,
      );
    default:
      throw new RopeError(`${where}.rope_type`, type, 'one of default, linear, llama3, yarn');
  }
}

function objectOf(config: Json, key: string): Json | undefined {
  const value = config[key];
  if (value == null) return undefined;
  if (typeof value !== 'object' || Array.isArray(value)) throw new RopeError(key, value, 'an object or null');
  return value as Json;
}

/** Long waves are stretched, short ones kept, those between blended (Llama 3.1). */
function llama3(
  plain: readonly number[],
  { factor, low, high, original }: { factor: number; low: number; high: number; original: number },
): number[] {
  return plain.map((f) => {
    const wavelength = (2 * Math.PI) / f;
    if (wavelength > original / low) return f / factor;
    if (wavelength < original / high) return f;
    const s = (original / wavelength - low) / (high - low);
    return f * (s + (1 - s) / factor);
  });
}

/** By-parts interpolation (Peng et al. 2023, arXiv 2309.00071, section 3.2). */
function yarn(
  plain: readonly number[],
  options: { factor: number; original: number; fast: number; slow: number; theta: number; headDim: number },
): number[] {
  const { factor, original, fast, slow, theta, headDim } = options;
  const clamp = (value: number) => Math.min(Math.max(value, 0), headDim - 1);
  /** The pair that turns `turns` times over the original length. */
  const pairOf = (turns: number) =>
    (headDim * Math.log(original / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const [from, to] = [clamp(Math.floor(pairOf(fast))), clamp(Math.ceil(pairOf(slow)))];
  const width = to === from ? 0.001 : to - from;
  return plain.map((f, i) => {
    const ramp = Math.min(Math.max((i - from) / width, 0), 1);
    return f * (1 - ramp) + (f / factor) * ramp;
  });
}

/** Of T positions. */
export interface RopeTables {
  /** [T, dh/2]. */
  readonly cos: NdArray;
  /** [T, dh/2]. */
  readonly sin: NdArray;
}

/** Cosines and sines for the given positions, computed in double precision. */
export function ropeTables(rope: Rope, positions: ArrayLike<number>): RopeTables {
  const { frequencies, attentionFactor } = rope;
  const half = frequencies.length;
  const [cos, sin] = [new Float32Array(positions.length * half), new Float32Array(positions.length * half)];
  for (let t = 0; t < positions.length; t++) {
    for (let i = 0; i < half; i++) {
      const angle = positions[t]! * frequencies[i]!;
      cos[t * half + i] = Math.cos(angle) * attentionFactor;
      sin[t * half + i] = Math.sin(angle) * attentionFactor;
    }
  }
  const shape = [positions.length, half];
  return { cos: ndarray(cos, shape), sin: ndarray(sin, shape) };
}
