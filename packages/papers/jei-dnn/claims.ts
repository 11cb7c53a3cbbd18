/** The paper's claims answered by the figures. The rules stood before the figures did. */

import { type Claim, mean, medianOf, percent, points, signed, spread } from '@working-papers/edition';
import { accuracyAtCost, costAtAccuracy } from '@working-papers/metrics/curves';
import type { Details, RegretFigures, SeedResult } from './bench.ts';
import { type Beside, type Form, forms } from './methods.ts';
import { asServed, curve, type Measured, middle, warmupThresholds } from './results.ts';
import type { Timing } from './timing.ts';

/**
 * Method `a` against the best of `others` at each cost of the middle: mean difference in accuracy, and the mean share
 * of the full cost by which the others cost more for the same accuracy. Null where `a` is never as cheap as that.
 */
export function advantage(
  seed: SeedResult,
  a: string,
  others: readonly string[],
): { readonly accuracy: number; readonly cost: number } | null {
  const differences: number[] = [];
  const savings: number[] = [];
  for (const cost of middle) {
    const own = accuracyAtCost(curve(seed, a), cost);
    const theirs = others.map((name) => accuracyAtCost(curve(seed, name), cost) ?? Number.NEGATIVE_INFINITY);
    if (own === undefined || !Number.isFinite(Math.max(...theirs))) continue;
    differences.push(own - Math.max(...theirs));
    // an accuracy that they never reach costs at least the whole network
    const needed = others.map((name) => costAtAccuracy(curve(seed, name), own) ?? 1);
    const spent = costAtAccuracy(curve(seed, a), own)!;
    savings.push(Math.min(...needed) - spent);
  }
  return differences.length > 0 ? { accuracy: mean(differences), cost: mean(savings) } : null;
}

function compare(seeds: readonly SeedResult[], a: string, others: readonly string[]) {
  const each = seeds.flatMap((seed) => advantage(seed, a, others) ?? []);
  return { accuracy: each.map(({ accuracy }) => accuracy), cost: each.map(({ cost }) => cost) };
}

type Verdict = Claim['verdict'];

/** The spec's list for one form of the method; the claims of the second form say that it is ours. */
function claimsOfForm(seeds: readonly SeedResult[], form: Form): Claim[] {
  const { gatesOnly, released, plain }: Beside = forms[form];
  const isPaper = form === 'JEI-DNN';
  const list: Claim[] = [];
  const add = (claim: string, published: string, measured: string, verdict: Verdict, note?: string) =>
    list.push({
      claim: isPaper ? claim : `Ours, gates on errors: ${claim.charAt(0).toLowerCase()}${claim.slice(1)}`,
      published: isPaper ? published : 'ours',
      measured,
      verdict,
      ...(note === undefined ? {} : { note }),
    });
  const accuracyText = (values: readonly number[]) => `${spread(values, points)} points`;
  const savingText = (values: readonly number[]) =>
    `${spread(values, (v) => `${(100 * v).toFixed(1)} %`)} of the full cost saved`;
  const better = ({ accuracy, cost }: ReturnType<typeof compare>): Verdict =>
    mean(accuracy) >= 0.01 || mean(cost) >= 0.04
      ? 'reproduced'
      : accuracy.length > 0 && Math.min(...accuracy) > 0
        ? 'partly'
        : 'not reproduced';

  const gates = compare(seeds, gatesOnly, warmupThresholds);
  add(
    'At .5 to .7 of the cost, learned gates beat the best threshold on the same IMs by a point or more, or cost 4 % of the full network less for the same accuracy',
    '+3 points, or 4 to 10 % saved (CIFAR-10, T2T-ViT-7)',
    `${accuracyText(gates.accuracy)}; ${savingText(gates.cost)}`,
    better(gates),
    `${gatesOnly} against max p and entropy thresholds, all on the warm-up IMs.`,
  );

  const whole = compare(seeds, form, warmupThresholds);
  add(
    'The whole method beats thresholds on IMs that were trained without gates',
    '+3 points at equal cost in the middle of the curve',
    `${accuracyText(whole.accuracy)}; ${savingText(whole.cost)}`,
    better(whole),
  );

  const joint = compare(seeds, form, [gatesOnly]);
  add(
    'Training IMs together with gates is not worse than gates alone by more than .3 point',
    'joint learning is the claim',
    accuracyText(joint.accuracy),
    mean(joint.accuracy) >= -0.003 ? 'reproduced' : 'not reproduced',
  );

  const weighting = compare(seeds, form, [released]);
  const evident = weighting.accuracy.length > 0 && Math.min(...weighting.accuracy) > 0;
  add(
    `Weighting IMs by their exits (${plain ? 'gradient stopped through the ratio' : 'by P itself'}) beats uniform IMs under gates trained alike, which is what the released weighting amounts to`,
    'not separated: the stored runs have uniform IMs',
    accuracyText(weighting.accuracy),
    evident ? 'reproduced' : mean(weighting.accuracy) > 0 ? 'partly' : 'not reproduced',
    evident
      ? 'The gain has the same sign for every seed.'
      : 'No gain on which every seed agrees: the joint claim is not evidenced by the released code, nor here.',
  );

  const details = seeds.map((seed) => seed.details[form]);
  const gaps = (pick: (detail: Details) => number | null) =>
    details.flat().flatMap((each) => pick(each) ?? []);
  const before = gaps(({ gapBefore }) => gapBefore.total);
  const after = gaps(({ gapAfter }) => gapAfter?.total ?? null);
  const bySeed = (pick: (detail: Details) => number | null) =>
    spread(
      details.map((each) => mean(each.flatMap((detail) => pick(detail) ?? []))),
      signed,
    );
  const gapsPositive = share(before, (gap) => gap > 0);
  const smaller = plain === undefined || mean(after) < mean(before);
  const positive = `positive before in ${percent(gapsPositive, 0)} of trainings`;
  const gapBefore = `${bySeed(({ gapBefore }) => gapBefore.total)} nats before`;
  add(
    `Selection gap: on the samples that leave, uniformly trained IMs lose more than exit-weighted ones${plain ? ', and the gap is smaller after training with stopped gradients' : ''}`,
    'greater than 0, and smaller afterwards',
    plain
      ? `${gapBefore}, ${bySeed(({ gapAfter }) => gapAfter?.total ?? null)} after; ${positive}`
      : `${gapBefore}; ${positive}`,
    mean(before) > 0 && smaller ? (gapsPositive === 1 ? 'reproduced' : 'partly') : 'not reproduced',
    `Before: ${released} minus ${form}.${plain ? ` After: ${form} minus ${plain}.` : ''} Same test samples: those that the method lets out before the end.`,
  );

  const lowest = ({ gates, maxP, entropy }: RegretFigures) => gates < Math.min(maxP, entropy);
  const [own, warm] = (['own', 'warmup'] as const).map((which) =>
    details.flat().map(({ regret }) => regret[which]),
  ) as [RegretFigures[], RegretFigures[]];
  const [lower, warmLower] = [share(own, lowest), share(warm, lowest)];
  add(
    'Regret of the learned gates is lower than that of every threshold rule on the same IMs',
    'lower',
    `lower in ${percent(lower, 0)} of ${own.length} trainings on the method's IMs, in ${percent(warmLower, 0)} on the warm-up IMs; means ${mean(own.map((r) => r.gates)).toFixed(3)} against ${mean(own.map((r) => Math.min(r.maxP, r.entropy))).toFixed(3)}`,
    lower === 1 && warmLower === 1
      ? 'reproduced'
      : lower > 0.5 || warmLower > 0.5
        ? 'partly'
        : 'not reproduced',
    `In ${isPaper ? 'cross-entropy' : 'errors'} + λ·cost. Each threshold rule has the one of its 39 settings that is best on validation for that λ.`,
  );
  return list;
}

export function claimsOf({ seeds, timings }: Measured): Claim[] {
  const list: Claim[] = [];
  const add = (claim: string, published: string, measured: string, verdict: Verdict, note?: string) =>
    list.push({ claim, published, measured, verdict, ...(note === undefined ? {} : { note }) });
  for (const form of Object.keys(forms) as Form[]) list.push(...claimsOfForm(seeds, form));

  // λ at which nearly nothing is saved have no efficiency to speak of
  const saves = ({ cost }: Timing) => cost < 0.95;
  const largest = Math.max(...timings.map(({ batchSize }) => batchSize));
  const efficiencies = (list: readonly Timing[]) => list.flatMap(({ efficiency }) => efficiency ?? []);
  const compacted = asServed(timings, largest).filter(saves);
  const other = timings.filter(
    (timing) =>
      timing.batchSize === largest &&
      timing.compaction &&
      saves(timing) &&
      timing.graphs !== compacted[0]?.graphs,
  );
  const masked = timings.filter((timing) => !timing.compaction && saves(timing));
  if (compacted.length > 0) {
    const own = efficiencies(compacted);
    const median = medianOf(own);
    const without = medianOf(efficiencies(masked));
    const fine = median >= 0.7;
    add(
      'Leaving early saves time: of the multiply–adds saved at batch 256 on the CPU, .7 or more is saved in time; without taking answered pictures out of the batch, nothing is',
      'the release never exits early',
      `efficiency ${median.toFixed(2)} with compaction (${Math.min(...own).toFixed(2)} to ${Math.max(...own).toFixed(2)} over λ), ${Number.isFinite(without) ? without.toFixed(2) : 'not measured'} without`,
      fine && without <= 0 ? 'reproduced' : fine || without <= 0 ? 'partly' : 'not reproduced',
      `${compacted[0]!.graphs === 1 ? 'One graph that takes them out itself' : 'One graph an exit'}.${other.length > 0 ? ` With ${other[0]!.graphs} graphs: ${medianOf(efficiencies(other)).toFixed(2)}.` : ''} Medians over λ.`,
    );
  }
  add(
    'The backbone is a fair one: 90 % or more on the test set',
    '94.9 % (T2T-ViT-7); a ResNet-20 reaches about 91 %',
    percent(seeds[0]!.fullAccuracy),
    seeds[0]!.fullAccuracy >= 0.9 ? 'reproduced' : 'not reproduced',
  );
  return list;
}

function share<T>(values: readonly T[], holds: (value: T) => boolean): number {
  return values.length === 0 ? Number.NaN : values.filter(holds).length / values.length;
}
