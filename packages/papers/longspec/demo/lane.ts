/** What has become of one decoding so far. */

import type { Piece, RunEvent, TreeView } from './protocol.ts';

export interface Lane {
  readonly pieces: readonly Piece[];
  /** Of the model, the prompt's counted as one. */
  readonly calls: number;
  /** On its own clock, from the prompt's end on. */
  readonly milliseconds: number;
  /** How far it was after each call. */
  readonly marks: readonly { readonly milliseconds: number; readonly tokens: number }[];
  /** Rounds that had a tree, in order; `round` counts all calls. */
  readonly trees: readonly { readonly round: number; readonly tree: TreeView }[];
}

export const emptyLane: Lane = { pieces: [], calls: 0, milliseconds: 0, marks: [], trees: [] };

/** A lane after further rounds of its own. */
export function advance(lane: Lane, rounds: readonly Extract<RunEvent, { kind: 'round' }>[]): Lane {
  if (rounds.length === 0) return lane;
  let tokens = lane.pieces.length;
  const marks = rounds.map(({ pieces, milliseconds }) => {
    tokens += pieces.length;
    return { milliseconds, tokens };
  });
  return {
    pieces: [...lane.pieces, ...rounds.flatMap(({ pieces }) => pieces)],
    calls: lane.calls + rounds.length,
    milliseconds: rounds.at(-1)!.milliseconds,
    marks: [...lane.marks, ...marks],
    trees: [
      ...lane.trees,
      ...rounds.flatMap(({ tree }, i) => (tree ? [{ round: lane.calls + i + 1, tree }] : [])),
    ],
  };
}

/** How many times as fast the first is; undefined before there is something to compare. */
export function speedUp(fast: Lane, plain: Lane): number | undefined {
  if (!(fast.milliseconds > 0 && plain.milliseconds > 0)) return undefined;
  return fast.pieces.length / fast.milliseconds / (plain.pieces.length / plain.milliseconds);
}

/** The place of the first token that two texts do not share; undefined where one is the other's beginning. */
export function firstDifference(a: Lane, b: Lane): number | undefined {
  const shared = Math.min(a.pieces.length, b.pieces.length);
  for (let i = 0; i < shared; i++) if (a.pieces[i]!.id !== b.pieces[i]!.id) return i;
  return undefined;
}
