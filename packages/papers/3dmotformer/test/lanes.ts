import { Random } from '@working-papers/nn/random';
import type { SeenBox } from '../graph.ts';
import type { TrainingFrame } from '../training-data.ts';

/** Cars that drive in lanes six metres apart, some of them missed now and then, with a false detection here and there. */
export function lanes(frames: number, seed: number, cars = 3): TrainingFrame[] {
  const random = new Random(seed);
  const speeds = Array.from({ length: cars }, () => 4 * random.uniform() - 2);
  const starts = Array.from({ length: cars }, () => 10 * random.uniform());
  const at = (id: number, t: number) => [starts[id]! + speeds[id]! * t, 6 * id] as const;
  return Array.from({ length: frames }, (_, t) => {
    const seen: { id: number; x: number; y: number; score: number }[] = [];
    for (let id = 0; id < cars; id++) {
      if (random.uniform() < 0.1) continue;
      const [x, y] = at(id, t);
      seen.push({
        id,
        x: x + 0.1 * random.normal(),
        y: y + 0.1 * random.normal(),
        score: 0.7 + 0.3 * random.uniform(),
      });
    }
    if (random.uniform() < 0.3) seen.push({ id: -1, x: 10 * random.uniform(), y: 3, score: 0.3 });
    seen.sort((a, b) => b.score - a.score);
    return {
      dets: seen.map(
        ({ x, y, score }): SeenBox => ({
          ...{ x, y, z: 0, width: 2, length: 4, height: 1.5, yaw: 0, kind: 0, score },
          velocity: [0, 0],
        }),
      ),
      ids: seen.map(({ id }) => id),
      next: seen.map(({ id }) => (id >= 0 ? at(id, t + 1) : undefined)),
      shift: [0, 0, 0],
    };
  });
}
