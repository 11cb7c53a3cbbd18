/**
 * The least that a tracker can be, to measure others against: a detection goes on with the nearest track of its class within
 * the gate, wherever that was last seen. Births, misses and gates are the network's; nothing is learned or predicted.
 */

import { candidates, type GraphOptions, type SeenBox } from './graph.ts';
import { type Matcher, match } from './matching.ts';
import { noEdges, type Shift, shifted, type ToldTrack, type WorldTracker } from './track.ts';

/** The tracks of one scene. */
export class NearestTracker<D extends SeenBox> implements WorldTracker<D> {
  readonly edges = noEdges;
  readonly #graph: GraphOptions;
  readonly #matcher: Matcher;
  readonly #maxMisses: number;
  #tracks: ToldTrack<D>[] = [];
  #born = 0;

  constructor(
    graph: GraphOptions,
    { matcher = 'hungarian', maxMisses = 2 }: { matcher?: Matcher; maxMisses?: number } = {},
  ) {
    this.#graph = graph;
    this.#matcher = matcher;
    this.#maxMisses = maxMisses;
  }

  move(shift: Shift): void {
    this.#tracks = shifted(this.#tracks, shift);
  }

  async step(seen: readonly D[]): Promise<ToldTrack<D>[]> {
    const dets = seen.toSorted((a, b) => b.score - a.score);
    const before = this.#tracks;
    const across = candidates(dets, before, this.#graph, 'nearest');
    // falls with the distance, so that the most in all is the shortest in all; within a gate it is above a half
    const reach = 2 * Math.max(...this.#graph.gates);
    const affinity = across.map((own, i) =>
      own.map((j) => 1 - Math.hypot(before[j]!.x - dets[i]!.x, before[j]!.y - dets[i]!.y) / reach),
    );
    const matches = match(across, affinity, before.length, this.#matcher);
    const found = dets.map((detection, i): ToldTrack<D> => {
      const track = before[matches[i]!];
      const { x, y, z, width, length, height, yaw, kind, score } = detection;
      return {
        ...{ x, y, z, width, length, height, yaw, kind, score, detection, velocity: [0, 0], age: 1 },
        id: track?.id ?? this.#born++,
        hits: (track?.hits ?? 0) + 1,
        coasting: false,
      };
    });
    const matched = new Set(matches);
    const lost = before.flatMap((track, j): ToldTrack<D>[] =>
      matched.has(j) || track.age > this.#maxMisses ? [] : [{ ...track, age: track.age + 1, coasting: true }],
    );
    this.#tracks = [...found, ...lost];
    return this.#tracks;
  }
}
