/** The bench's last part: what sampling takes with every way of guiding. */

import { cifar10Numbers, cifar10Shape } from '@working-papers/models/cifar10-sampling';
import { compileDenoiser } from '@working-papers/models/diffusion/denoiser';
import { karrasSigmas } from '@working-papers/models/diffusion/levels';
import { type Denoise, euler, sample } from '@working-papers/models/diffusion/samplers';
import { type Bench, names, type Trained } from './bench.ts';
import type { TimingResult } from './results.ts';
import { compileAdapted } from './sample.ts';

/** Work in pieces: `next` ends a piece, and comes back when the next may begin. */
export type Pieces = (next: () => Promise<void>) => Promise<unknown>;

/**
 * Does all of the works side by side, one piece of each after the other, one piece at a time: what slows the machine
 * down for a second or a minute slows all of them alike.
 *
 * @returns the milliseconds of each, its own pieces alone. Fails as soon as one of them fails.
 */
export async function timeInTurns(
  works: readonly Pieces[],
  now = () => performance.now(),
): Promise<number[]> {
  const spent = works.map(() => 0);
  const waiting: (() => void)[] = [];
  let began = 0;
  const turn = () =>
    new Promise<void>((begin) => {
      waiting.push(begin);
    }).then(() => {
      began = now();
    });
  const pass = (work: number) => {
    spent[work]! += now() - began;
    waiting.shift()?.();
  };
  const all = works.map(async (pieces, work) => {
    await turn();
    await pieces(async () => {
      const next = turn(); // behind those that wait already
      pass(work);
      await next;
    });
    pass(work);
  });
  waiting.shift()?.();
  await Promise.all(all);
  return spent;
}

/** Of one method before the others': more than one, so that its weights are in the caches as in sampling alone. */
const stepsOfTurn = 4;

/** Times of sampling, the methods taking turns of a few steps, as ratios to CFG's of the same round. */
export async function measureTimes(
  bench: Bench,
  trained: readonly Trained[],
  { batchSizes, rounds, onRound }: { batchSizes: readonly number[]; rounds: number; onRound?: () => void },
): Promise<TimingResult[]> {
  const { device, teacher, settings, signal } = bench;
  const { steps } = settings;
  const sigmas = karrasSigmas(steps);
  const shape = cifar10Shape;
  const denoiser = await compileDenoiser({ device, ...teacher, shape });
  const adapted = (of: Trained) =>
    compileAdapted({
      device,
      ...teacher,
      adapters: of.adapters!,
      adapterWeights: of.adapterWeights!,
      shape,
    });
  const guided: { readonly name: string; readonly compiled: Awaited<ReturnType<typeof adapted>> }[] = [];
  for (const each of trained) guided.push({ name: each.training.name, compiled: await adapted(each) });
  const scale = 3;
  const results: TimingResult[] = [];
  try {
    for (const batchSize of batchSizes) {
      const labels = Array.from({ length: batchSize }, (_, n) => n % 10);
      const ways: readonly (readonly [method: string, denoise: () => Denoise])[] = [
        [names.cfg, () => denoiser.for({ labels, scale })],
        [names.plain, () => denoiser.for({ labels })],
        ...guided.flatMap(({ name, compiled }) => [
          [name, () => compiled.for({ labels, scale })] as const,
          [`${name}, precomputed`, () => compiled.for({ labels, scale, sigmas })] as const,
        ]),
      ];
      const sampling = ways.map(
        ([, way]): Pieces =>
          async (next) => {
            const denoise = way();
            const inTurns: Denoise = async (x, sigma, step) => {
              if (step > 0 && step % stepsOfTurn === 0) await next();
              return denoise(x, sigma, step);
            };
            const common = { sampler: euler, sigmas, size: cifar10Numbers, seed: 1, signal };
            await sample({ ...common, denoise: inTurns, count: batchSize });
          },
      );
      const times: number[][] = [];
      for (let round = -1; round < rounds; round++) {
        const taken = await timeInTurns(sampling);
        // the first round pays for setting up
        if (round >= 0) times.push(taken);
        onRound?.();
      }
      for (const [at, [method]] of ways.entries()) {
        const own = times.map((round) => round[at]!).toSorted((a, b) => a - b);
        const ratios = times.map((round) => round[at]! / round[0]!).toSorted((a, b) => a - b);
        const quantile = (share: number) => ratios[Math.round(share * (ratios.length - 1))]!;
        results.push({
          method,
          batchSize,
          milliseconds: own[own.length >> 1]! / batchSize,
          ratio: quantile(0.5),
          low: quantile(0.25),
          high: quantile(0.75),
        });
      }
    }
  } finally {
    for (const each of [denoiser, ...guided.map(({ compiled }) => compiled)]) await each.dispose();
  }
  return results;
}
