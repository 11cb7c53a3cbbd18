/**
 * Batches from a dataset, in an order and with augmentations that the seed decides: a resumed run sees what an
 * undisturbed one would have seen.
 */
import { allocate, type NdArray } from '@working-papers/tensor/array';
import { Random } from './random.ts';

/** Items that can be fetched by index. */
export interface Dataset<Item> {
  readonly length: number;
  /** `random` belongs to this item in this epoch alone: use it for augmentation. */
  get(index: number, random: Random): Item | Promise<Item>;
  /** What an error about the item should name, a file for instance. */
  describe?(index: number): string;
}

/** Of `DataLoader`. */
export interface LoaderOptions {
  readonly batchSize: number;
  /** A new order in every epoch. Default false. */
  readonly shuffle?: boolean;
  readonly seed?: number;
  /** Leave out a last batch smaller than `batchSize`. Default false. */
  readonly dropLast?: boolean;
  /** Batches made ahead of the one in use. Default 2. */
  readonly prefetch?: number;
}

/** Where a loader stands, plain JSON, with what must be equal for the next batch to be the same. */
export interface LoaderState {
  readonly epoch: number;
  /** Batches of this epoch already handed out. */
  readonly batch: number;
  readonly length: number;
  readonly batchSize: number;
  readonly shuffle: boolean;
  readonly seed: number;
}

/** An item could not be fetched; `cause` is why. */
export class DataError extends Error {
  override readonly name = 'DataError';
}

/**
 * Iterating a loader gives the rest of the present epoch; the next iteration gives the next epoch.
 *
 *     for (; loader.epoch < 30; ) for await (const batch of loader) step(batch);
 */
export class DataLoader<Item, Batch> implements AsyncIterable<Batch> {
  readonly #dataset: Dataset<Item>;
  readonly #collate: (items: Item[]) => Batch;
  readonly #options: Required<LoaderOptions>;
  readonly #random: Random;
  #epoch = 0;
  #batch = 0;
  #iterating = false;

  /** Throws a RangeError for an empty dataset, or a batch size or prefetch that is not a count. */
  constructor(dataset: Dataset<Item>, collate: (items: Item[]) => Batch, options: LoaderOptions) {
    this.#options = { shuffle: false, seed: 0, dropLast: false, prefetch: 2, ...options };
    const { batchSize, prefetch, seed } = this.#options;
    if (!Number.isInteger(batchSize) || batchSize < 1)
      throw new RangeError(`batchSize ${batchSize} is below 1`);
    if (!Number.isInteger(prefetch) || prefetch < 0) throw new RangeError(`prefetch ${prefetch} is below 0`);
    this.#dataset = dataset;
    this.#collate = collate;
    this.#random = new Random(seed).fork('data');
    if (this.batches < 1) {
      throw new RangeError(`a dataset of ${dataset.length} items gives no batch of ${batchSize}`);
    }
  }

  /** Batches of an epoch. */
  get batches(): number {
    const { batchSize, dropLast } = this.#options;
    const batches = this.#dataset.length / batchSize;
    return dropLast ? Math.floor(batches) : Math.ceil(batches);
  }

  /** Epochs finished. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Within the loop's body the present batch counts as done. */
  state(): LoaderState {
    const { batchSize, shuffle, seed } = this.#options;
    return { epoch: this.#epoch, batch: this.#batch, length: this.#dataset.length, batchSize, shuffle, seed };
  }

  /** Goes on where `state` was taken. Throws a DataError when dataset or options would give other batches. */
  load(state: LoaderState): void {
    const own = this.state();
    for (const field of ['length', 'batchSize', 'shuffle', 'seed'] as const) {
      if (state[field] !== own[field]) {
        throw new DataError(`cannot resume: ${field} was ${state[field]}, is ${own[field]}`);
      }
    }
    if (this.#iterating) throw new DataError('cannot resume a loader that is being iterated');
    this.#epoch = state.epoch;
    this.#batch = state.batch;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Batch, void, undefined> {
    if (this.#iterating) throw new DataError('this loader is already being iterated: make a second one');
    this.#iterating = true;
    const order = this.#order();
    const pending: Promise<Batch>[] = [];
    let next = this.#batch;
    try {
      for (;;) {
        while (next < this.batches && pending.length <= this.#options.prefetch) {
          const batch = this.#load(order, next++);
          batch.catch(() => {}); // reported when its turn comes
          pending.push(batch);
        }
        const batch = await pending.shift()!;
        // the epoch ends before its last batch is handed out: a state taken there begins the next one
        const last = ++this.#batch === this.batches;
        if (last) {
          this.#epoch++;
          this.#batch = 0;
        }
        yield batch;
        if (last) return;
      }
    } finally {
      this.#iterating = false;
      await Promise.allSettled(pending);
    }
  }

  #order(): Uint32Array {
    const { length } = this.#dataset;
    if (this.#options.shuffle) return this.#random.fork('order').fork(this.#epoch).permutation(length);
    return Uint32Array.from({ length }, (_, i) => i);
  }

  async #load(order: Uint32Array, batch: number): Promise<Batch> {
    const { batchSize } = this.#options;
    const epoch = this.#epoch;
    const random = this.#random.fork('items').fork(epoch);
    const indices = Array.from(order.subarray(batch * batchSize, (batch + 1) * batchSize));
    const items = indices.map(async (index) => {
      try {
        return await this.#dataset.get(index, random.fork(index));
      } catch (cause) {
        const name = this.#dataset.describe?.(index);
        const item = name === undefined ? `item ${index}` : `item ${index} (${name})`;
        throw new DataError(`${item} of batch ${batch}, epoch ${epoch}: ${(cause as Error).message}`, {
          cause,
        });
      }
    });
    return this.#collate(await Promise.all(items));
  }
}

/** A dataset's items at `indices`, for instance one side of a split. */
export function subset<Item>(dataset: Dataset<Item>, indices: ArrayLike<number>): Dataset<Item> {
  return {
    length: indices.length,
    get: (i, random) => dataset.get(indices[i]!, random),
    describe: (i) => dataset.describe?.(indices[i]!) ?? `item ${indices[i]} of the whole`,
  };
}

/**
 * The numbers below `length` in disjoint random parts of the given sizes, each in ascending order.
 * Throws a RangeError unless the sizes add up to `length`.
 */
export function randomSplit(length: number, sizes: readonly number[], seed: number): Uint32Array[] {
  const total = sizes.reduce((sum, size) => sum + size, 0);
  if (total !== length) throw new RangeError(`parts of ${sizes.join(' + ')} = ${total} items, not ${length}`);
  const order = new Random(seed).permutation(length);
  let start = 0;
  return sizes.map((size) => {
    start += size;
    return order.slice(start - size, start).sort();
  });
}

/** Arrays of one shape and dtype as one array with a new first axis. Throws a RangeError where they differ. */
export function stack(arrays: readonly NdArray[]): NdArray {
  const first = arrays[0];
  if (first === undefined) throw new RangeError('nothing to stack');
  const size = first.data.length;
  const data = allocate(first.dtype, size * arrays.length);
  arrays.forEach((array, i) => {
    if (array.dtype !== first.dtype || `${array.shape}` !== `${first.shape}`) {
      const [one, other] = [first, array].map(({ dtype, shape }) => `${dtype} [${shape}]`);
      throw new RangeError(`cannot stack ${other} (item ${i}) on ${one}`);
    }
    data.set(array.data as never, i * size);
  });
  return { dtype: first.dtype, shape: [arrays.length, ...first.shape], data };
}

/** Stacks records of arrays field by field: `[{ image, label }, ...]` to `{ image: [N, ...], label: [N] }`. */
export function stackFields<Field extends string>(
  items: readonly Readonly<Record<Field, NdArray>>[],
): Record<Field, NdArray> {
  const fields = Object.keys(items[0] ?? {}) as Field[];
  const stacked = fields.map((field) => [field, stack(items.map((item) => item[field]))] as const);
  return Object.fromEntries(stacked) as Record<Field, NdArray>;
}
