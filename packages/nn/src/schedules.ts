/**
 * Learning rates as functions of the step, which counts from 0.
 */

/** The learning rate of a step; steps count from 0. */
export type Schedule = (step: number) => number;

/** The same rate at every step. */
export function constant(rate: number): Schedule {
  return () => rate;
}

/** `steps` steps of straight rise, rate(0) * (step + 1) / steps, and then `schedule` from its own step 0. */
export function warmup(steps: number, schedule: Schedule): Schedule {
  requireCount('warm-up steps', steps, 0);
  return (step) => (step < steps ? (schedule(0) * (step + 1)) / steps : schedule(step - steps));
}

/**
 * Half a cosine from `peak` at step 0 to `floor` at step `steps`, where it stays.
 * Loshchilov and Hutter, "SGDR", ICLR 2017, equation 5.
 */
export function cosine({
  peak,
  floor = 0,
  steps,
}: {
  peak: number;
  floor?: number;
  steps: number;
}): Schedule {
  requireCount('cosine steps', steps, 1);
  return (step) => anneal(peak, floor, Math.min(1, step / steps));
}

/** `initial`, multiplied by `factor` at each of the `milestones` (steps in ascending order). */
export function stepDecay({
  initial,
  factor = 0.1,
  milestones,
}: {
  initial: number;
  factor?: number;
  milestones: readonly number[];
}): Schedule {
  if (milestones.some((step, i) => i > 0 && step <= milestones[i - 1]!)) {
    throw new RangeError(`milestones ${milestones.join(', ')} are not in ascending order`);
  }
  return (step) => initial * factor ** milestones.filter((milestone) => milestone <= step).length;
}

/**
 * Cosine rise from `peak` / 25 to `peak` over the first 30 %, cosine fall to a 10,000th of the start at the last
 * step, where it stays. Smith and Topin, "Super-Convergence", 2018, in the form of PyTorch's OneCycleLR.
 */
export function oneCycle({
  peak,
  steps,
  rise = 0.3,
  startDivisor = 25,
  endDivisor = 1e4,
}: {
  peak: number;
  steps: number;
  /** Share of the steps before the peak. */
  rise?: number;
  startDivisor?: number;
  endDivisor?: number;
}): Schedule {
  requireCount('one-cycle steps', steps, 2);
  const top = rise * steps - 1;
  const last = steps - 1;
  if (!(top > 0 && top < last))
    throw new RangeError(`a rise over ${rise} of ${steps} steps leaves one side empty`);
  const start = peak / startDivisor;
  const end = start / endDivisor;
  return (step) =>
    step <= top
      ? anneal(start, peak, step / top)
      : anneal(peak, end, (Math.min(step, last) - top) / (last - top));
}

function anneal(from: number, to: number, part: number): number {
  return to + ((from - to) / 2) * (1 + Math.cos(Math.PI * part));
}

function requireCount(what: string, value: number, least: number): void {
  if (!Number.isInteger(value) || value < least)
    throw new RangeError(`${what}: ${value} is not an integer from ${least} on`);
}
