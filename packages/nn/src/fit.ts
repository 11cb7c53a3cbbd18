/** The training loop for Node: progress, a log that can be plotted, checkpoints, exact resumption. */

import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { removeLeftovers } from './atomic.ts';
import { type BatchSource, loadCheckpoint, type Run, saveCheckpoint, type Trainable } from './checkpoint.ts';
import { openLog } from './log.ts';
import { createProgress, type ProgressOptions } from './progress.ts';
import type { Schedule } from './schedules.ts';
import { type Batch, DivergedError } from './trainer.ts';

/** Of `fit`. */
export interface FitOptions extends Run {
  readonly trainer: Trainable;
  readonly loader: BatchSource;
  /** Learning rates; asked with the number of updates done, from 0. */
  readonly schedule: Schedule;
  /** Updates in all, those before a resumption included. */
  readonly steps: number;
  /** Holds `checkpoint.safetensors` and `log.jsonl`. */
  readonly folder: string;
  /** Go on from the folder's checkpoint; without one there this starts anew. */
  readonly resume?: boolean;
  /** Minutes between checkpoints; default 3. There is always one at the end. */
  readonly checkpointMinutes?: number;
  /** Updates between checkpoints, beside the minutes. */
  readonly checkpointSteps?: number;
  /** Runs after every `every` updates and at the end; its figures go into the log. */
  readonly evaluate?: { readonly every: number; readonly run: () => Promise<{ [metric: string]: number }> };
  /** A progress bar with the time left and the loss; none by default. */
  readonly progress?: Omit<ProgressOptions, 'total' | 'start'>;
  /** After each update, with the metrics averaged over its batches. */
  readonly onStep?: (step: number, metrics: { readonly [metric: string]: number }) => void;
  readonly onEvaluate?: (step: number, figures: { readonly [metric: string]: number }) => void;
  /** Stops after the update under way, with a checkpoint. */
  readonly signal?: AbortSignal;
}

/**
 * Trains to `steps` updates or until aborted; resolves to the updates done. A run that was killed at any moment and
 * resumed ends with the weights and the log of an undisturbed one, on the same machine with the same threads. Throws
 * a DivergedError that names the last checkpoint, and a CheckpointError for one that does not fit the options.
 */
export async function fit(options: FitOptions): Promise<number> {
  const { trainer, loader, schedule, steps, folder, evaluate, signal } = options;
  const { checkpointMinutes = 3, checkpointSteps = Infinity } = options;
  await mkdir(folder, { recursive: true });
  const path = join(folder, 'checkpoint.safetensors');
  const logPath = join(folder, 'log.jsonl');
  for (const written of [path, logPath]) await removeLeftovers(written);
  if (options.resume && existsSync(path)) await loadCheckpoint(path, options);
  const log = await openLog(logPath, (record) => Number(record.step) <= trainer.step);
  const progress = createProgress({
    unit: 'steps',
    ...(options.progress ?? { label: '', stream: null }),
    total: steps,
    start: trainer.step,
  });

  let saved = { step: trainer.step, time: Date.now() };
  const save = async (): Promise<void> => {
    log.flush();
    await saveCheckpoint(path, options);
    saved = { step: trainer.step, time: Date.now() };
  };
  const isDue = (): boolean =>
    trainer.step - saved.step >= checkpointSteps || Date.now() - saved.time > checkpointMinutes * 60_000;
  const isDone = (): boolean => trainer.step >= steps || (signal?.aborted ?? false);

  try {
    const collected: { readonly [metric: string]: number }[] = [];
    for await (const batch of isDone() ? [] : epochs(loader)) {
      const rate = schedule(trainer.step);
      collected.push(await trainer.train(batch, rate));
      if (collected.length < trainer.accumulate) continue;
      const metrics = averages(collected.splice(0));
      log.write({ step: trainer.step, epoch: loader.epoch, rate, ...metrics });
      progress.update(trainer.step, `loss ${metrics.loss?.toPrecision(4)}`);
      options.onStep?.(trainer.step, metrics);
      if (evaluate && (trainer.step % evaluate.every === 0 || trainer.step >= steps)) {
        const figures = await evaluate.run();
        log.write({ step: trainer.step, ...figures });
        options.onEvaluate?.(trainer.step, figures);
      }
      if (isDue()) await save();
      if (isDone()) break;
    }
    if (trainer.step > saved.step) await save();
    progress.finish();
  } catch (error) {
    if (!(error instanceof DivergedError)) throw error;
    const advice =
      saved.step > 0
        ? `the last good checkpoint is ${path}, step ${saved.step}`
        : 'there is no checkpoint yet';
    throw new DivergedError(error.step, error.figures, advice);
  } finally {
    log.close();
  }
  return trainer.step;
}

async function* epochs(loader: BatchSource): AsyncGenerator<Batch> {
  for (;;) yield* loader;
}

/** The mean of each metric over the batches that report it. */
function averages(batches: readonly { readonly [metric: string]: number }[]): { [metric: string]: number } {
  const names = new Set(batches.flatMap((metrics) => Object.keys(metrics)));
  return Object.fromEntries(
    [...names].map((name) => {
      const values = batches.map((metrics) => metrics[name]).filter((value) => value !== undefined);
      return [name, values.reduce((a, b) => a + b) / values.length];
    }),
  );
}
