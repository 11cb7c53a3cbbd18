/** A stream that does not end: whether memory stays where it is, and what a frame takes. Node only. */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { FrameTracker } from './frame-tracker.ts';
import { street } from './simulate.ts';
import { parseFrame } from './stream.ts';

export interface SoakResult {
  readonly method: string;
  readonly frames: number;
  /** Of a frame, from its line to its tracks: median and 99th percentile. */
  readonly milliseconds: number;
  readonly slowest: number;
  /** MiB after a collection, at equal distances: JavaScript's heap, and all that the process has. */
  readonly memory: readonly { readonly frame: number; readonly heap: number; readonly resident: number }[];
}

export interface SoakOptions {
  readonly tracker: FrameTracker;
  readonly method: string;
  readonly frames: number;
  /** Times that memory is looked at; default 20. */
  readonly looks?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (frames: number) => void;
}

/** So many frames are one street; then comes another, and all tracks of the first end. */
const streetFrames = 500;

/** Tracks a stream of lines, as `wp run --stream` does: of streets, one after the other, numbered on. */
export async function soak(options: SoakOptions): Promise<SoakResult> {
  const { tracker, method, frames, looks = 20, signal, onProgress } = options;
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const times = new Float64Array(frames);
  const memory: SoakResult['memory'][number][] = [];
  const every = Math.max(1, Math.floor(frames / looks));
  const mebi = (bytes: number) => Number((bytes / 2 ** 20).toFixed(2));
  let lines: string[] = [];
  let before = -1;
  for (let frame = 0; frame < frames; frame++) {
    const at = frame % streetFrames;
    if (at === 0) {
      signal?.throwIfAborted();
      const seen = street({ frames: Math.min(streetFrames, frames - frame), seed: 1 + frame / streetFrames });
      lines = seen.map(({ detections, pose }, n) => JSON.stringify({ frame: frame + n, detections, pose }));
    }
    const start = performance.now();
    const { detections, pose } = parseFrame(lines[at]!, before);
    await tracker.step(frame, detections, pose);
    times[frame] = performance.now() - start;
    before = frame;
    if ((frame + 1) % every !== 0) continue;
    collect();
    const { heapUsed, rss } = process.memoryUsage();
    memory.push({ frame: frame + 1, heap: mebi(heapUsed), resident: mebi(rss) });
    onProgress?.(frame + 1);
  }
  times.sort();
  const percentile = (share: number) => times[Math.min(frames - 1, Math.floor(share * frames))]!;
  return { method, frames, milliseconds: percentile(0.5), slowest: percentile(0.99), memory };
}

/** How much the heap grew between the first look and the last, MiB. */
export function growth({ memory }: SoakResult): number {
  return memory.length === 0 ? Number.NaN : memory.at(-1)!.heap - memory[0]!.heap;
}
