/** Checkpoints of a training run: all that it takes to go on exactly, in one safetensors file. */

import type { LoaderState } from './data.ts';
import { readSafetensors, writeSafetensors } from './safetensors-file.ts';
import type { Schedule } from './schedules.ts';
import type { Batch, Trainer } from './trainer.ts';

/** What a run needs of a `Trainer`, whatever its batches. */
export type Trainable = Pick<Trainer, 'step' | 'accumulate' | 'settings' | 'train' | 'state' | 'load'>;

/** What a run needs of a `DataLoader`. */
export interface BatchSource extends AsyncIterable<Batch> {
  readonly epoch: number;
  state(): LoaderState;
  load(state: LoaderState): void;
}

/** What a checkpoint is of. */
export interface Run {
  readonly trainer: Trainable;
  readonly loader: BatchSource;
  readonly schedule: Schedule;
}

/** A file that this run cannot go on from; the message says why. */
export class CheckpointError extends Error {
  override readonly name = 'CheckpointError';
}

/** Writes the run as it stands, atomically: after any failure an earlier checkpoint is as it was. */
export async function saveCheckpoint(path: string, run: Run): Promise<void> {
  const { step, tensors } = await run.trainer.state();
  const metadata = {
    step: String(step),
    loader: JSON.stringify(run.loader.state()),
    settings: JSON.stringify(settingsAt(step, run)),
  };
  await writeSafetensors(path, tensors, { metadata });
}

/**
 * Brings the run to where the checkpoint was taken. Throws a CheckpointError when the file is none or was made with
 * other settings, and the errors of `readSafetensors`, `DataLoader.load` and `Trainer.load`.
 */
export async function loadCheckpoint(path: string, run: Run): Promise<void> {
  const { tensors, metadata } = await readSafetensors(path);
  const step = Number(metadata.step);
  const loader = parse(metadata.loader);
  if (!Number.isInteger(step) || step < 0 || loader === undefined)
    throw new CheckpointError(`${path} is not a checkpoint of a training run`);
  const settings = parse(metadata.settings) ?? {};
  const own = settingsAt(step, run);
  for (const name of Object.keys(settings)) {
    const [then, now] = [JSON.stringify(settings[name]), JSON.stringify(own[name])];
    if (then !== now) throw new CheckpointError(`cannot resume from ${path}: ${name} was ${then}, is ${now}`);
  }
  try {
    run.loader.load(loader as unknown as LoaderState);
  } catch (error) {
    throw new CheckpointError(`${path}: ${(error as Error).message}`, { cause: error });
  }
  await run.trainer.load({ step, tensors }, path);
}

/** The trainer's settings, and the learning rates of eight steps so far. */
function settingsAt(step: number, { trainer, schedule }: Run): { readonly [name: string]: unknown } {
  const steps = Array.from({ length: 8 }, (_, i) => Math.floor((i * step) / 8));
  return { ...trainer.settings, learningRates: steps.map(schedule) };
}

function parse(json: string | undefined): { readonly [name: string]: unknown } | undefined {
  try {
    const value: unknown = JSON.parse(json ?? 'null');
    return typeof value === 'object' && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}
