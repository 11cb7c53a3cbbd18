/** The bench's second half: what is drawn with every way of guiding, and how it is judged. */

import type { Judge } from '@working-papers/models/cifar10-judge';
import { cifar10Numbers, cifar10Shape } from '@working-papers/models/cifar10-sampling';
import { compileDenoiser } from '@working-papers/models/diffusion/denoiser';
import { type Bench, drawn, names, type Trained } from './bench.ts';
import type { PictureResult, Settings } from './results.ts';
import { compileGuided } from './sample.ts';

/** A way of guiding whose pictures are judged. */
export interface Drawing {
  readonly method: string;
  readonly scale: number;
  readonly steps: number;
  readonly seed: number;
}

/**
 * Guidance, half-step guidance and gated adapters at all scales for the first seed and at CFG's best for the others; what
 * else is trained at CFG's best for the first. At ω = 1 all are the model without guidance, which is drawn once.
 */
export function drawingsOf(settings: Settings, best: number | undefined): Drawing[] {
  const { scales, steps, seeds, quick } = settings;
  const first = seeds[0]!;
  const half = { method: names.half, steps: Math.max(2, Math.round(steps / 2)) };
  const inSteps = (...methods: string[]) => methods.map((method) => ({ method, steps }));
  const always = [...inSteps(names.cfg, names.gated), half];
  const plain = inSteps(names.plain).map((each) => ({ ...each, scale: 1 }));
  const atScale = (scale: number, methods: readonly { method: string; steps: number }[]) =>
    methods.map((each) => ({ ...each, scale }));
  const curves = scales.flatMap((scale) => (scale === 1 ? [] : atScale(scale, always)));
  const atBest = (seed: number) => [
    ...atScale(best!, always),
    ...(quick || seed !== first
      ? []
      : atScale(best!, inSteps(names.attention, names.offset, names.gatedForward, names.full))),
  ];
  const all = [
    ...[...plain, ...curves].map((each) => ({ ...each, seed: first })),
    ...(best === undefined
      ? []
      : seeds.flatMap((seed) => [...plain, ...atBest(seed)].map((each) => ({ ...each, seed })))),
  ];
  return [...new Map(all.map((each) => [`${each.method} ${each.scale} ${each.seed}`, each])).values()];
}

/** The scale at which CFG's distance is smallest. */
export function bestScale(pictures: readonly PictureResult[], seed: number): number | undefined {
  const cfg = pictures.filter((each) => each.method === names.cfg && each.seed === seed);
  return cfg.toSorted((a, b) => a.fdCnn - b.fdCnn)[0]?.scale;
}

/** Draws `settings.pictures` pictures, the classes taking turns, and judges them. */
export async function judgeDrawing(
  bench: Bench,
  judge: Judge,
  drawing: Drawing,
  trained: Trained | undefined,
  onProgress: (done: number) => void,
): Promise<PictureResult> {
  const { device, teacher, settings } = bench;
  const { method, scale, steps, seed } = drawing;
  const { pictures } = settings;
  const labels = Array.from({ length: pictures }, (_, n) => n % 10);
  const samples = new Float64Array(pictures * cifar10Numbers);
  const given = { device, model: teacher.model, shape: cifar10Shape };
  const compiled = trained
    ? await compileGuided({ ...given, weights: trained.weights, guided: trained.guided })
    : await compileDenoiser({ ...given, weights: teacher.weights });
  try {
    const batch = 100;
    for (let first = 0; first < pictures; first += batch) {
      const own = labels.slice(first, first + batch);
      const conditions = method === names.plain ? { labels: own } : { labels: own, scale };
      const denoise = compiled.for(conditions as { labels: number[]; scale: number });
      const part = await drawn(bench, denoise, own.length, steps, 1000 + seed, first);
      samples.set(part, first * cifar10Numbers);
      onProgress(first + own.length);
    }
    const calls = compiled.rows / pictures;
    return { ...drawing, pictures, calls, ...(await judge.judge(samples, labels)) };
  } finally {
    await compiled.dispose();
  }
}
