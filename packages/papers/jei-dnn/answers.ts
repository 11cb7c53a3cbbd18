/** What a run finds out about its pictures, exit by exit. */

import type { exitBound } from './model.ts';

/** What happened to N pictures, in their order. */
export interface RunResult {
  /** The exit taken by each, 0..L−1. */
  readonly exits: Int32Array;
  /** [N, K], at the exit taken. */
  readonly logits: Float32Array;
  /**
   * How many rows each graph computed, or each exit where one graph has them all; shorter where none was left for the
   * rest.
   */
  readonly rows: readonly number[];
  /** All that was computed for each picture, exit by exit. */
  readonly steps: readonly (readonly Step[])[];
}

/** One exit that was computed for one picture. */
export interface Step {
  readonly exit: number;
  /** [K] */
  readonly logits: Float32Array;
  /** The last exit has no gate. */
  readonly gate?: {
    readonly g: number;
    /** R = 1 − Σ g of the exits before. */
    readonly remaining: number;
    /** What g had to reach. */
    readonly bound: number;
    readonly taken: boolean;
  };
}

/** One exit as it was computed for some pictures. */
export interface ExitAnswer {
  readonly exit: number;
  /** Which pictures, by their number in the run. */
  readonly pictures: ArrayLike<number>;
  /** [m, K] */
  readonly logits: Float32Array;
  /** Absent at the last exit, and where no gate was asked. */
  readonly gates?: {
    /** [m] */
    readonly g: Float32Array;
    /** R [m] before this exit. */
    readonly remaining: Float32Array;
  };
}

/** Collects a run's answers. */
export class Answers implements RunResult {
  readonly exits: Int32Array;
  readonly logits: Float32Array;
  readonly rows: number[] = [];
  readonly #classes: number;
  readonly #bound: ReturnType<typeof exitBound>;
  readonly #computed: ExitAnswer[] = [];
  #steps: Step[][] | undefined;

  constructor(count: number, classes: number, bound: ReturnType<typeof exitBound>) {
    this.exits = new Int32Array(count).fill(-1);
    this.logits = new Float32Array(count * classes);
    this.#classes = classes;
    this.#bound = bound;
  }

  #boundAt(remaining: number): number {
    return this.#bound.slope * remaining + this.#bound.offset;
  }

  /** Whether a picture has left. */
  has(picture: number): boolean {
    return this.exits[picture]! >= 0;
  }

  /** Counts the rows that graph or exit `index` computed. */
  count(index: number, rows: number): void {
    this.rows[index] = (this.rows[index] ?? 0) + rows;
  }

  /** Exits of a picture in ascending order. Computed behind the one that it takes, an exit changes nothing. */
  add(answer: ExitAnswer): void {
    const { exit, pictures, logits, gates } = answer;
    this.#computed.push(answer);
    this.#steps = undefined;
    const size = this.#classes;
    for (let row = 0; row < pictures.length; row++) {
      const picture = pictures[row]!;
      if (this.has(picture) || (gates && gates.g[row]! < this.#boundAt(gates.remaining[row]!))) continue;
      this.exits[picture] = exit;
      for (let k = 0; k < size; k++) this.logits[picture * size + k] = logits[row * size + k]!;
    }
  }

  /** Made when they are asked for: many small objects, which take longer than a small network. */
  get steps(): readonly (readonly Step[])[] {
    this.#steps ??= this.#makeSteps();
    return this.#steps;
  }

  #makeSteps(): Step[][] {
    const steps: Step[][] = Array.from(this.exits, () => []);
    for (const { exit, pictures, logits, gates } of this.#computed) {
      for (let row = 0; row < pictures.length; row++) {
        const own = logits.slice(row * this.#classes, (row + 1) * this.#classes);
        if (!gates) {
          steps[pictures[row]!]!.push({ exit, logits: own });
          continue;
        }
        const [g, remaining] = [gates.g[row]!, gates.remaining[row]!];
        const bound = this.#boundAt(remaining);
        const gate = { g, remaining, bound, taken: g >= bound };
        steps[pictures[row]!]!.push({ exit, logits: own, gate });
      }
    }
    return steps;
  }
}
