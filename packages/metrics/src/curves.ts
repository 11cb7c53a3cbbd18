/**
 * Accuracy against cost. A method is a set of points, of which only those count that no cheaper one reaches; between
 * two of these a straight line, since sending a share of the samples through either gives every point on it.
 */

/** One way to run a network: what it costs, in any one unit, and how often it is right, from 0 to 1. */
export interface CurvePoint {
  readonly cost: number;
  readonly accuracy: number;
}

/**
 * The points that are not beaten at their cost or below it, by rising cost and accuracy.
 * Throws a RangeError for no points or a number that is not finite.
 */
export function frontier(points: readonly CurvePoint[]): CurvePoint[] {
  if (points.length === 0) throw new RangeError('a curve of no points');
  const bad = points.find(({ cost, accuracy }) => !Number.isFinite(cost) || !Number.isFinite(accuracy));
  if (bad) throw new RangeError(`curve point (${bad.cost}, ${bad.accuracy})`);
  let best = Number.NEGATIVE_INFINITY;
  return points
    .toSorted((a, b) => a.cost - b.cost || b.accuracy - a.accuracy)
    .filter(({ accuracy }) => {
      const better = accuracy > best;
      if (better) best = accuracy;
      return better;
    });
}

/** The best accuracy for at most `cost`; undefined below the cheapest point. */
export function accuracyAtCost(points: readonly CurvePoint[], cost: number): number | undefined {
  const curve = frontier(points);
  if (cost < curve[0]!.cost) return undefined;
  const next = curve.findIndex((point) => point.cost > cost);
  if (next < 0) return curve.at(-1)!.accuracy;
  return between(cost, curve[next - 1]!, curve[next]!, 'cost', 'accuracy');
}

/** The least cost that reaches `accuracy`; undefined above the best point. */
export function costAtAccuracy(points: readonly CurvePoint[], accuracy: number): number | undefined {
  const curve = frontier(points);
  const next = curve.findIndex((point) => point.accuracy >= accuracy);
  if (next < 0) return undefined;
  if (next === 0) return curve[0]!.cost;
  return between(accuracy, curve[next - 1]!, curve[next]!, 'accuracy', 'cost');
}

/** The mean of `accuracyAtCost` over costs `from`..`to`. Throws a RangeError when `from` is below the cheapest point. */
export function meanAccuracy(points: readonly CurvePoint[], from: number, to: number): number {
  const curve = frontier(points);
  if (!(from < to) || from < curve[0]!.cost) {
    throw new RangeError(`costs ${from}..${to} on a curve that begins at ${curve[0]!.cost}`);
  }
  const inside = curve.map(({ cost }) => cost).filter((cost) => cost > from && cost < to);
  const costs = [from, ...inside, to];
  const accuracies = costs.map((cost) => accuracyAtCost(curve, cost)!);
  let area = 0;
  for (let i = 1; i < costs.length; i++) {
    area += ((costs[i]! - costs[i - 1]!) * (accuracies[i]! + accuracies[i - 1]!)) / 2;
  }
  return area / (to - from);
}

function between(at: number, a: CurvePoint, b: CurvePoint, x: keyof CurvePoint, y: keyof CurvePoint): number {
  return a[y] + ((b[y] - a[y]) * (at - a[x])) / (b[x] - a[x]);
}
