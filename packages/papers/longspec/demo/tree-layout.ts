/** Where the nodes of a tree stand: depth from left to right, leaves below each other, parents beside their children. */

import { depths } from '../tree.ts';
import type { TreeView } from './protocol.ts';

export interface PlacedNode {
  readonly text: string;
  readonly column: number;
  /** Whole for leaves. */
  readonly row: number;
  /** Its place in `nodes`; undefined for the root. */
  readonly parent: number | undefined;
  readonly kind: 'root' | 'accepted' | 'rejected' | 'own';
}

export interface TreeLayout {
  /** The root, the guesses, and the model's own token, in this order. */
  readonly nodes: readonly PlacedNode[];
  readonly columns: number;
  readonly rows: number;
}

export function layOut({ root, nodes, path, own }: TreeView): TreeLayout {
  const accepted = new Set(path);
  const guesses = nodes.map(({ text, parent }, i) => ({
    text,
    parent: parent + 1,
    kind: accepted.has(i) ? ('accepted' as const) : ('rejected' as const),
  }));
  const ownParent = path.length > 0 ? path.at(-1)! + 1 : 0;
  const all = [
    { text: root, parent: undefined, kind: 'root' as const },
    ...guesses,
    { text: own, parent: ownParent, kind: 'own' as const },
  ];
  const parents = [...nodes.map(({ parent }) => parent), ownParent - 1];
  const columns = [0, ...depths({ tokens: [], parents })];
  const children = all.map((): number[] => []);
  all.forEach(({ parent }, i) => {
    if (parent !== undefined) children[parent]!.push(i);
  });
  // what was accepted stands first, so that the path is a straight line on top
  const isOnPath = (i: number) => all[i]!.kind !== 'rejected';
  for (const list of children) list.sort((a, b) => Number(isOnPath(b)) - Number(isOnPath(a)) || a - b);
  const rows: number[] = [];
  let leaves = 0;
  const place = (i: number): number => {
    const first = children[i]!.map(place)[0];
    const row = first ?? leaves++;
    rows[i] = row;
    return row;
  };
  place(0);
  return {
    nodes: all.map(({ text, parent, kind }, i) => ({
      text,
      column: columns[i]!,
      row: rows[i]!,
      parent,
      kind,
    })),
    columns: Math.max(...columns) + 1,
    rows: leaves,
  };
}

/** A token in a few characters, with its spaces and line ends to be seen. */
export function label(text: string, length = 9): string {
  const visible = text.replaceAll(' ', '·').replaceAll('\n', '↵').replaceAll('\t', '→');
  return visible.length > length ? `${visible.slice(0, length - 1)}…` : visible;
}
