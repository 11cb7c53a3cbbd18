/** What the trainings of commands share: none begins over another's checkpoint, and weights say how they were made. Node only. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { machineName } from '@working-papers/edition';
import { runManifest } from './manifest.ts';
import { UserError } from './user-error.ts';

/** Of `beginTraining`. */
export interface BeginTrainingOptions {
  /** `import.meta.url` of the command. */
  readonly from: string;
  readonly seed: number;
  /** `--out`. */
  readonly folder: string;
  /** What may lie in the folder; default `checkpoint.safetensors`. */
  readonly checkpoints?: readonly string[];
  /** `--resume`. */
  readonly resume: boolean;
}

/** What the card of a weights file says of the run that made it. */
export interface TrainingCard extends Readonly<Record<string, string>> {
  readonly command: string;
  /** ISO 8601, UTC, of the beginning. */
  readonly date: string;
  readonly machine: string;
  readonly seed: string;
}

/**
 * Called when a training begins; what it returns makes the card when the weights are written, with the whole minutes
 * that have passed, unless the run goes on from a checkpoint: how long the parts before took is not known. Throws a
 * UserError where the folder has a checkpoint that would be lost.
 */
export function beginTraining(options: BeginTrainingOptions): () => TrainingCard {
  const { folder, checkpoints = ['checkpoint.safetensors'], resume, seed } = options;
  const found = checkpoints.map((name) => join(folder, name)).find((path) => existsSync(path));
  if (found !== undefined && !resume)
    throw new UserError(`${found} is there already: go on from it with --resume, or choose another --out`);
  const { command, date, machine } = runManifest(options);
  const started = performance.now();
  return () => ({
    command,
    date,
    machine: machineName(machine),
    seed: String(seed),
    ...(found === undefined && { minutes: ((performance.now() - started) / 60_000).toFixed(0) }),
  });
}
