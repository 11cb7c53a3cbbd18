/**
 * Which tensor of a checkpoint is which parameter of a model.
 */

type Shape = readonly number[];

/** How names of a checkpoint become a model's. */
export interface MatchOptions {
  /** A found name to the model's; undefined leaves the tensor out. By default names are equal. */
  readonly rename?: (found: string) => string | undefined;
  /** Names the checkpoint in errors. */
  readonly file?: string;
}

/** The names or shapes of a checkpoint and of a model differ; lists every difference. */
export class NameMismatchError extends Error {
  override readonly name = 'NameMismatchError';
  /** Names that the model expects and the checkpoint lacks. */
  readonly missing: readonly string[];
  /** Names of the checkpoint (as found there) that the model does not have. */
  readonly unexpected: readonly string[];
  /** `name: found [2,3], expected [3,2]` */
  readonly misshaped: readonly string[];

  constructor(file: string, missing: string[], unexpected: string[], misshaped: string[]) {
    const parts = [
      ['missing', missing],
      ['unexpected', unexpected],
      ['mis-shaped', misshaped],
    ] as const;
    const lists = parts.filter(([, list]) => list.length > 0);
    super(`${file}: ${lists.map(([what, list]) => `${list.length} ${what}: ${list.join(', ')}`).join('; ')}`);
    this.missing = missing;
    this.unexpected = unexpected;
    this.misshaped = misshaped;
  }
}

/**
 * Pairs a model's names with a checkpoint's: a map from each expected name to the found one.
 * Throws a NameMismatchError unless the two sides fit one to one with equal shapes; two found names that
 * `rename` maps to one make the second unexpected. PyTorch's `num_batches_tracked` is left out.
 */
export function matchNames(
  expected: ReadonlyMap<string, Shape>,
  found: ReadonlyMap<string, Shape>,
  options: MatchOptions = {},
): Map<string, string> {
  const { rename = (name: string) => name, file = 'checkpoint' } = options;
  const pairs = new Map<string, string>();
  const unexpected: string[] = [];
  const misshaped: string[] = [];
  for (const [name, shape] of found) {
    const target = rename(name);
    if (target === undefined) continue;
    const wanted = expected.get(target);
    // PyTorch's batch norms count batches, for an averaging that nothing here has
    if (wanted === undefined && /(^|\.)num_batches_tracked$/.test(target)) continue;
    if (wanted === undefined || pairs.has(target)) {
      unexpected.push(name);
      continue;
    }
    pairs.set(target, name);
    if (`${shape}` !== `${wanted}`) misshaped.push(`${target}: found [${shape}], expected [${wanted}]`);
  }
  const missing = [...expected.keys()].filter((name) => !pairs.has(name));
  if (missing.length + unexpected.length + misshaped.length > 0) {
    throw new NameMismatchError(file, missing, unexpected, misshaped);
  }
  return pairs;
}
