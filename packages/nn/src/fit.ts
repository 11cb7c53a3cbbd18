/** The training loop for Node: progress, a log that can be plotted, checkpoints, exact resumption. */

import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { DataLoader, LoaderState } from './data.ts';
import { openLog } from './log.ts';
import { readSafetensors, writeSafetensors } from './safetensors-file.ts';
import type { Schedule } from './schedules.ts';
import { type Batch, type BatchSpec, DivergedError, type Trainer } from './trainer.ts';

export interface FitOptions<S extends BatchSpec> {
  readonly trainer: Trainer<S>;
  readonly loader: DataLoader<unknown, Batch>;
  readonly schedule: Schedule;
  /** Updates in all, those before a resumption included. */
  readonly steps: number;
  /** Batches of one update, as the trainer was told; default 1. */
  readonly accumulate?: number;
  /** Holds `checkpoint.safetensors` and `log.jsonl`. */
  readonly folder: string;
  /** Go on from the folder's checkpoint; without one there this starts anew. */
  readonly resume?: boolean;
  /** Minutes between checkpoints; default 3. There is always one at the end. */
  readonly checkpointMinutes?: number;
  /** Runs after every `every` updates and at the end; its figures go into the log. */
  readonly evaluate?: { readonly every: number; readonly run: () => Promise<{ [metric: string]: number }> };
  /** After each update: for progress bars. */
  readonly onStep?: (step: number, metrics: { readonly [metric: string]: number }) => void;
  readonly onEvaluate?: (step: number, figures: { readonly [metric: string]: number }) => void;
  /** Stops after the update under way, with a checkpoint. */
  readonly signal?: AbortSignal;
}

/** Trains to `steps` updates or until aborted; resolves to the updates done. */
export async function fit<S extends BatchSpec>(options: FitOptions<S>): Promise<number> {
  const {
    trainer,
    loader,
    schedule,
    steps,
    folder,
    accumulate = 1,
    checkpointMinutes = 3,
    evaluate,
    signal,
  } = options;
  await mkdir(folder, { recursive: true });
  const path = join(folder, 'checkpoint.safetensors');
  if (options.resume) await resume(path, trainer, loader);
  const log = await openLog(join(folder, 'log.jsonl'), (record) => Number(record.step) <= trainer.step);
  let saved = Date.now();
  const save = async (): Promise<void> => {
    const { step, tensors } = await trainer.state();
    const metadata = { step: String(step), loader: JSON.stringify(loader.state()) };
    await writeSafetensors(path, tensors, { metadata });
    saved = Date.now();
  };
  try {
    let collected = 0;
    while (trainer.step < steps && !signal?.aborted) {
      for await (const batch of loader) {
        const rate = schedule(trainer.step);
        const metrics = await trainer.train(batch, rate);
        if (++collected < accumulate) continue;
        collected = 0;
        log.write({ step: trainer.step, epoch: loader.epoch, rate, ...metrics });
        options.onStep?.(trainer.step, metrics);
        const done = trainer.step >= steps || signal?.aborted;
        if (evaluate && (trainer.step % evaluate.every === 0 || trainer.step >= steps)) {
          const figures = await evaluate.run();
          log.write({ step: trainer.step, ...figures });
          options.onEvaluate?.(trainer.step, figures);
        }
        if (done || Date.now() - saved > checkpointMinutes * 60_000) await save();
        if (done) break;
      }
    }
  } catch (error) {
    if (error instanceof DivergedError) {
      throw new Error(`${error.message}; the last good checkpoint is ${path}`, { cause: error });
    }
    throw error;
  } finally {
    log.close();
  }
  return trainer.step;
}

async function resume<S extends BatchSpec>(
  path: string,
  trainer: Trainer<S>,
  loader: DataLoader<unknown, Batch>,
): Promise<void> {
  if (!existsSync(path)) return;
  const file = await readSafetensors(path);
  const { step, loader: position } = file.metadata;
  if (step === undefined || position === undefined)
    throw new Error(`${path} is not a checkpoint of a training run`);
  loader.load(JSON.parse(position) as LoaderState);
  await trainer.load({ step: Number(step), tensors: file.tensors });
}
