/** Drafting of trees by the draft model, with memory that does not grow with the text. */

import { type ByCount, compileByCount } from '@working-papers/models/decoder/by-count';
import { visibility } from '@working-papers/models/decoder/cached-decoder';
import { ropeTables } from '@working-papers/models/decoder/rope';
import { DeviceError, KvCache, ndarray } from '@working-papers/tensor';
import { DecodeError } from './decode.ts';
import { compileDraft, type DraftGraphOptions } from './draft-graph.ts';
import type { Accepted, Drafter, DraftSession, Text } from './drafter.ts';
import { type DraftConfig, windowSize } from './model.ts';
import { nodeCount, type TokenTree, type TreeShape } from './tree.ts';
import { defaultShapes, TreeChoice } from './tree-choice.ts';

export interface LongSpecOptions extends Omit<DraftGraphOptions, 'guesses'> {
  /** Of all trees; default whichever of `defaultShapes` pays. */
  readonly shape?: TreeShape;
  readonly name?: string;
}

type Graphs = ByCount<Awaited<ReturnType<typeof compileDraft>>>;

/** Throws a DecodeError when draft and target are not of the same sizes. */
export function checkDraftFits(draft: DraftConfig, target: DraftConfig): void {
  for (const key of ['hiddenSize', 'numHeads', 'numKvHeads', 'headDim'] as const)
    if (draft[key] !== target[key])
      throw new DecodeError(`the draft's ${key} is ${draft[key]}, the target's is ${target[key]}`);
}

/** A drafter of trees; width 1 everywhere makes chains. */
export async function openLongSpec(options: LongSpecOptions): Promise<Drafter> {
  const { shape, target, draft, name = 'LongSpec' } = options;
  const shapes = shape ? [shape] : defaultShapes;
  checkDraftFits(draft.config, target.config);
  const given = { ...options, guesses: Math.max(...shapes.flat()) };
  // as the target's: the draft has its embedding and its output layer
  const { targetWeights } = options;
  const graphs = await compileByCount(targetWeights, (queries) => compileDraft(given, queries));
  return {
    name,
    async start(text) {
      const session = await LongSpecSession.open(options, graphs, shapes, text);
      return session;
    },
    dispose: graphs.dispose,
  };
}

/** Bytes of the draft's own keys and values, whatever the length of the text. */
export function draftBytes(
  { numKvHeads, headDim }: DraftConfig,
  shapes: readonly TreeShape[] = defaultShapes,
): number {
  return 4 * ringPlaces(shapes) * numKvHeads * (2 * headDim + 1);
}

/** The window before the root, the root, the nodes that are run, and one node that was accepted without being run. */
function ringPlaces(shapes: readonly TreeShape[]): number {
  return windowSize + 2 + Math.max(...shapes.map(nodeCount));
}

/** Who has a place of the ring: a token of the text at a position, or a node of the tree under way. */
type Owner = { readonly position: number } | { readonly node: number } | undefined;

interface Row {
  readonly token: number;
  readonly position: number;
}

class LongSpecSession implements DraftSession {
  readonly #options: LongSpecOptions;
  readonly #graphs: Graphs;
  readonly #choice: TreeChoice;
  readonly #text: Text;
  readonly #ring: KvCache;
  readonly #owners: Owner[];
  /** Tokens of the text whose keys the ring has, counted from the beginning. */
  #known: number;
  /** All writes to the ring so far. */
  #written: Promise<unknown> = Promise.resolve();
  /** The tree under way. */
  #proposed = { shape: [] as TreeShape, draftMs: 0, at: 0 };

  private constructor(
    options: LongSpecOptions,
    graphs: Graphs,
    shapes: readonly TreeShape[],
    text: Text,
    ring: KvCache,
  ) {
    this.#options = options;
    this.#graphs = graphs;
    this.#choice = new TreeChoice(shapes);
    this.#text = text;
    this.#ring = ring;
    this.#owners = Array.from({ length: ring.capacity }, () => undefined);
    this.#known = Math.max(0, text.tokens.length - 1 - windowSize);
  }

  /** Fills the ring with the end of the prompt: all that drafting will ever read of it. */
  static async open(
    options: LongSpecOptions,
    graphs: Graphs,
    shapes: readonly TreeShape[],
    text: Text,
  ): Promise<LongSpecSession> {
    const { device, target } = options;
    const { numKvHeads, headDim } = target.config;
    const capacity = ringPlaces(shapes);
    const ring = await KvCache.create(device, {
      layers: 1,
      kvHeads: numKvHeads,
      headDim,
      capacity,
      chunk: capacity,
    });
    const session = new LongSpecSession(options, graphs, shapes, text, ring);
    const rows = session.#missing();
    if (rows.length > 0) await session.#run(rows, [rows.length - 1], () => false);
    return session;
  }

  /** Tokens of the text, the root excluded, that the ring has not got. */
  #missing(): Row[] {
    const { tokens } = this.#text;
    return Array.from({ length: tokens.length - 1 - this.#known }, (_, i) => ({
      token: tokens[this.#known + i]!,
      position: this.#known + i,
    }));
  }

  async propose(room: number): Promise<TokenTree> {
    const started = performance.now();
    const shape = this.#choice.next().slice(0, room);
    const [tokens, parents, scores]: [number[], number[], number[]] = [[], [], []];
    const rootPosition = this.#text.tokens.length - 1;
    /** The rows that were run last: nodes, or −1 for the root. */
    let level = [-1];
    for (const [depth, width] of shape.entries()) {
      const guessed =
        depth === 0
          ? await this.#runRoot()
          : await this.#runNodes(level, tokens, parents, rootPosition + depth);
      const candidates = guessed.flatMap((guesses, row) =>
        guesses.map(({ token, logProbability }) => {
          const parent = level[row]!;
          return { token, parent, score: (parent < 0 ? 0 : scores[parent]!) + logProbability };
        }),
      );
      // a stable sort: of equals the one with the earlier parent, and the likelier of its children
      candidates.sort((a, b) => b.score - a.score);
      level = candidates.slice(0, width).map(({ token, parent, score }) => {
        tokens.push(token);
        parents.push(parent);
        scores.push(score);
        return tokens.length - 1;
      });
    }
    const at = performance.now();
    this.#proposed = { shape, draftMs: at - started, at };
    return { tokens, parents };
  }

  /** The root, and before it what was accepted without having been run. */
  #runRoot() {
    const rows = [
      ...this.#missing(),
      { token: this.#text.tokens.at(-1)!, position: this.#text.tokens.length - 1 },
    ];
    return this.#run(rows, [rows.length - 1], () => false);
  }

  #runNodes(
    nodes: readonly number[],
    tokens: readonly number[],
    parents: readonly number[],
    position: number,
  ) {
    const rows = nodes.map((node) => ({ token: tokens[node]!, position }));
    const ancestors = nodes.map((node) => {
      const found = new Set<number>();
      for (let at = parents[node]!; at >= 0; at = parents[at]!) found.add(at);
      return found;
    });
    const isAncestor = (row: number, node: number) => ancestors[row]!.has(node);
    return this.#run(
      rows,
      nodes.map((_, i) => i),
      isAncestor,
      nodes,
    );
  }

  /** Guesses for the rows in `read`; all rows get a place in the ring, as nodes or as tokens of the text. */
  async #run(
    rows: readonly Row[],
    read: readonly number[],
    isAncestor: (row: number, node: number) => boolean,
    nodes?: readonly number[],
  ) {
    const { target } = this.#options;
    const owners = this.#owners;
    const ringBias = visibility(owners.length, read.length, (query, place) => {
      const owner = owners[place];
      if (owner === undefined) return false;
      if ('node' in owner) return isAncestor(query, owner.node);
      return owner.position >= rows[read[query]!]!.position - windowSize;
    });
    const ownBias = visibility(rows.length, read.length, (query, key) => {
      const at = read[query]!;
      if (nodes) return key === at;
      return key <= at && rows[key]!.position >= rows[at]!.position - windowSize;
    });
    const { cos, sin } = ropeTables(
      target.config.rope,
      rows.map(({ position }) => position),
    );
    const { numHeads, numKvHeads } = target.config;
    const graph = this.#graphs.of((read.length * numHeads) / numKvHeads);
    const result = await graph(
      {
        tokens: ndarray(
          rows.map(({ token }) => token),
          [rows.length],
          'int32',
        ),
        cos,
        sin,
        read: ndarray(read, [read.length], 'int32'),
        ringBias,
        ownBias,
      },
      this.#ring.view(0),
      this.#text.cache.view(target.config.numLayers - 1),
    );
    const places = rows.map((row, i) =>
      this.#place(nodes ? { node: nodes[i]! } : { position: row.position }),
    );
    // the device does things in order: the next call need not wait to be sent until this is done
    const written = this.#ring.write({
      keys: result.keys,
      values: result.values,
      rows: rows.map((_, i) => i),
      places,
    });
    this.#written = Promise.all([this.#written, written]);
    this.#written.catch(() => undefined); // whoever awaits it hears of it
    result.keys.dispose();
    result.values.dispose();
    if (!nodes) this.#known = rows.at(-1)!.position + 1;
    const width = result.tokens.shape[1]!;
    return read.map((_, row) =>
      Array.from({ length: width }, (_, i) => ({
        token: Number(result.tokens.data[row * width + i]),
        logProbability: Number(result.logProbabilities.data[row * width + i]),
      })),
    );
  }

  /** A free place. There is always one: the ring is as large as the window and a tree. */
  #place(owner: NonNullable<Owner>): number {
    const place = this.#owners.indexOf(undefined);
    if (place < 0) throw new DeviceError('the ring of the draft is full');
    this.#owners[place] = owner;
    return place;
  }

  /** Accepted nodes become tokens of the text where they stand; others and what leaves the window make room. */
  async accept({ path }: Accepted): Promise<void> {
    const { shape, draftMs, at } = this.#proposed;
    const ranks = path.map((node, depth) => node - nodeCount(shape.slice(0, depth)));
    this.#choice.saw({ shape, ranks, draftMs, verifyMs: performance.now() - at });
    await this.#written;
    this.#written = Promise.resolve();
    const root = this.#text.tokens.length - 1;
    const first = root - path.length;
    const positions = new Map(path.map((node, i) => [node, first + i]));
    for (const [place, owner] of this.#owners.entries()) {
      if (owner === undefined) continue;
      const position = 'node' in owner ? positions.get(owner.node) : owner.position;
      this.#owners[place] = position === undefined || position < root - windowSize ? undefined : { position };
    }
    // accepted nodes that were run stand one after the other: the last level's were not
    const present = new Set(
      this.#owners.flatMap((owner) => (owner && 'position' in owner ? [owner.position] : [])),
    );
    while (this.#known < root && present.has(this.#known)) this.#known++;
  }

  dispose(): Promise<void> {
    return this.#ring.dispose();
  }
}
