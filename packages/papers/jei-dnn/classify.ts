/**
 * `openClassifier`: from a weights file and photographs to labels, with the exit that each photograph took and why.
 * `runner.ts` does the stopping.
 */

import type { RgbImage } from '@working-papers/nn/images';
import type { Device } from '@working-papers/tensor';
import type { Step } from './answers.ts';
import type { ExitCosts } from './cost.ts';
import type { ExitRule } from './model.ts';
import { batchOf } from './photo.ts';
import { type EarlyExitRunner, openRunner, type RunOptions } from './runner.ts';
import { type JeiDnnWeights, loadModel } from './weights.ts';

/** The answer for one photograph. */
export interface Classification {
  readonly label: number;
  readonly className: string;
  /** The exit taken, 0..L−1. */
  readonly exit: number;
  /** The share of the full network's multiply–adds that was spent: c of the exit, more where more was computed. */
  readonly cost: number;
  /** The largest probability at the exit taken. */
  readonly confidence: number;
  /** Every exit that was computed, in order. */
  readonly exits: readonly ComputedExit[];
}

export interface ComputedExit {
  readonly exit: number;
  /** c. */
  readonly cost: number;
  /** By class. */
  readonly probabilities: readonly number[];
  /** What its gate said; the last exit has none, and with the gates off none is asked. */
  readonly gate?: Step['gate'];
}

export interface ClassifierOptions {
  readonly device: Device;
  readonly weights: JeiDnnWeights;
  /** λ, one of those in the weights; see `defaultCostWeight`. */
  readonly costWeight?: number;
  /** See `RunnerOptions`. */
  readonly graphs?: number;
  readonly batchSize?: number;
}

/** The λ that is used when none is asked for: the nearest to ½, in the middle of the paper's range. */
export function defaultCostWeight({ trained }: JeiDnnWeights): number {
  const all = trained.map(({ costWeight }) => costWeight);
  const distance = (costWeight: number) => Math.abs(costWeight - 0.5);
  return all.reduce((best, each) => (distance(each) < distance(best) ? each : best));
}

/** Compiles the network for a device. Throws a WeightsError for a λ that was not trained. */
export async function openClassifier(options: ClassifierOptions): Promise<Classifier> {
  const { device, weights, costWeight = defaultCostWeight(weights), ...rest } = options;
  const { model, values } = loadModel(weights, costWeight);
  const { imageSize } = weights;
  return new Classifier(weights, costWeight, await openRunner({ device, model, values, imageSize, ...rest }));
}

/** Photographs in, answers out. */
export class Classifier {
  readonly runner: EarlyExitRunner;
  readonly #weights: JeiDnnWeights;
  #costWeight: number;

  /** Use `openClassifier`. */
  constructor(weights: JeiDnnWeights, costWeight: number, runner: EarlyExitRunner) {
    this.runner = runner;
    this.#weights = weights;
    this.#costWeight = costWeight;
  }

  get classNames(): readonly string[] {
    return this.#weights.classNames;
  }

  get costs(): ExitCosts {
    return this.runner.costs;
  }

  /** Every λ that can be chosen. */
  get costWeights(): readonly number[] {
    return this.#weights.trained.map(({ costWeight }) => costWeight);
  }

  get costWeight(): number {
    return this.#costWeight;
  }

  /** Another λ: other IMs and gates in the same graphs, ready at once. */
  async setCostWeight(costWeight: number): Promise<void> {
    const { model, values } = loadModel(this.#weights, costWeight);
    const ours = this.runner.model.namedWeights();
    const named = [...model.namedWeights()];
    await this.runner.setExits(
      new Map(named.map(([name, theirs]) => [ours.get(name)!, values.get(theirs)!])),
    );
    this.#costWeight = costWeight;
  }

  /** The rule that the gates were trained for. */
  get rule(): ExitRule {
    return this.#weights.rule;
  }

  /** Answers in the photographs' order, by the weights' own rule where none is given; see `RunOptions`. */
  async classify(images: readonly RgbImage[], options: RunOptions = {}): Promise<readonly Classification[]> {
    const { imageSize, rule } = this.#weights;
    const { steps, exits: taken } = await this.runner.run(batchOf(images, imageSize), {
      ...options,
      rule: options.rule ?? rule,
    });
    return steps.map((each, i) => {
      const exits = each.map(({ exit, logits, gate }) => ({
        exit,
        cost: this.costs.shares[exit]!,
        probabilities: softmax(logits),
        ...(gate && { gate }),
      }));
      const exit = taken[i]!;
      const { probabilities } = exits.find((computed) => computed.exit === exit)!;
      const confidence = Math.max(...probabilities);
      const label = probabilities.indexOf(confidence);
      const { cost } = exits.at(-1)!;
      return { label, className: this.classNames[label]!, exit, cost, confidence, exits };
    });
  }

  async dispose(): Promise<void> {
    await this.runner.dispose();
  }
}

function softmax(logits: Float32Array): number[] {
  const top = Math.max(...logits);
  const powers = Array.from(logits, (logit) => Math.exp(logit - top));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / sum);
}
