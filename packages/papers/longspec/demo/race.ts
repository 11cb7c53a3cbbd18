/**
 * Two decodings of one prompt on one device, side by side. They take turns and each has a clock of its own, which runs
 * while it is its turn; whose clock is behind goes next. So both are watched at the speed that they have alone, halved.
 */

import type { CachedDecoder } from '@working-papers/models/decoder/cached-decoder';
import { copyPrefix, type DecodeOptions, decode, type Prefix, prepare, type Round } from '../decode.ts';
import type { Drafter } from '../drafter.ts';
import type { SamplingOptions } from '../sampling.ts';

export interface Runner {
  readonly target: CachedDecoder;
  readonly drafter: Drafter;
}

/** What one call of a runner's target emitted. */
export interface RaceRound extends Round {
  /** Which runner: its place in the list. */
  readonly lane: number;
  /** On the lane's own clock, from the prompt's end on. */
  readonly milliseconds: number;
}

export interface RaceOptions extends SamplingOptions {
  /** Their targets are of one model and one device: they share the prompt. */
  readonly runners: readonly Runner[];
  readonly prompt: readonly number[];
  readonly maxNewTokens: number;
  readonly endTokens: readonly number[];
  readonly signal: AbortSignal;
  readonly onPrefill?: (done: number) => void;
}

/** Yields the rounds of all lanes in the order in which they end. Throws what `signal` was aborted with. */
export async function* race(options: RaceOptions): AsyncGenerator<RaceRound, void, undefined> {
  const { runners, prompt, maxNewTokens, signal, onPrefill } = options;
  const { target } = runners[0]!;
  const prefixes: Prefix[] = [];
  const runs: { readonly lane: number; readonly rounds: ReturnType<typeof decode>; clock: number }[] = [];
  try {
    prefixes.push(await prepare({ target, prompt, maxNewTokens, signal, ...(onPrefill && { onPrefill }) }));
    while (prefixes.length < runners.length) prefixes.push(await copyPrefix(target, prefixes[0]!));
    for (const [lane, runner] of runners.entries()) {
      const given: DecodeOptions = { ...options, ...runner, prefix: prefixes[lane]! };
      runs.push({ lane, rounds: decode(given), clock: Number.NaN });
    }
    const racing = [...runs];
    while (racing.length > 0) {
      signal.throwIfAborted();
      // who has not begun yet does so first, and off the clock: its first token is the prompt's
      const next = racing.reduce((a, b) => (!Number.isNaN(a.clock) && !(a.clock <= b.clock) ? b : a));
      const started = performance.now();
      const { value, done } = await next.rounds.next();
      if (done) racing.splice(racing.indexOf(next), 1);
      else {
        next.clock = Number.isNaN(next.clock) ? 0 : next.clock + performance.now() - started;
        yield { ...value, lane: next.lane, milliseconds: next.clock };
      }
    }
  } finally {
    for (const { rounds } of runs) await rounds.return(undefined as never);
    for (const prefix of prefixes.toReversed()) await prefix.dispose();
  }
}
