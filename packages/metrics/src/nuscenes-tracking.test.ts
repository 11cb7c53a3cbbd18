import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type GroundBox, type NuscenesFrame, nuscenesTracking } from './nuscenes-tracking.ts';

const car = (id: string, x: number, rest: Partial<GroundBox> = {}): GroundBox => ({
  id,
  name: 'car',
  x,
  y: 0,
  points: 5,
  ...rest,
});
const scene = (frames: readonly { truth: GroundBox[]; results: GroundBox[] }[]): NuscenesFrame[] =>
  frames.map((frame, i) => ({ timestamp: 500_000 * i, ego: [0, 0], ...frame }));

/** One standing car for four frames, found in those that `found` has an identity for. */
const four = (found: readonly (string | undefined)[], seen = [true, true, true, true]) =>
  scene(
    found.map((id, i) => ({
      truth: seen[i] ? [car('gt', 0)] : [],
      results: id === undefined ? [] : [car(id, 0, { score: 0.5 })],
    })),
  );

const bestOf = (frames: NuscenesFrame[], interpolate = true) =>
  nuscenesTracking([frames], { interpolate }).classes.get('car')!.best!;
const counts = (frames: NuscenesFrame[], interpolate = true) => {
  const { truePositives, falsePositives, falseNegatives, idSwitches, fragmentations } = bestOf(
    frames,
    interpolate,
  );
  return { TP: truePositives, FP: falsePositives, FN: falseNegatives, IDS: idSwitches, FRAG: fragmentations };
};

test('all found: nothing is wrong', () => {
  const { amota, amotp } = nuscenesTracking([four(['a', 'a', 'a', 'a'])]);
  assert.equal(amota, 1);
  assert.equal(amotp, 0);
  assert.deepEqual(counts(four(['a', 'a', 'a', 'a'])), { TP: 4, FP: 0, FN: 0, IDS: 0, FRAG: 0 });
});

test('a hole in results is filled before anything is counted, as in labels', () => {
  assert.deepEqual(counts(four(['a', undefined, 'a', 'a'])), { TP: 4, FP: 0, FN: 0, IDS: 0, FRAG: 0 });
  assert.deepEqual(counts(four(['a', 'a', 'a', 'a'], [true, false, true, true])), {
    TP: 4,
    FP: 0,
    FN: 0,
    IDS: 0,
    FRAG: 0,
  });
});

test('as they are: a result that is missing, one that is renamed, a label that is missing', () => {
  const missing = four(['a', undefined, 'a', 'a']);
  assert.deepEqual(counts(missing, false), { TP: 3, FP: 0, FN: 1, IDS: 0, FRAG: 1 });
  assert.deepEqual(counts(four(['a', 'a', 'b', 'a']), false), { TP: 2, FP: 0, FN: 0, IDS: 2, FRAG: 0 });
  const unlabelled = four(['a', 'a', 'a', 'a'], [true, false, true, true]);
  assert.deepEqual(counts(unlabelled, false), { TP: 3, FP: 1, FN: 0, IDS: 0, FRAG: 0 });
});

test('a track that begins late, and one that ends early', () => {
  const late = bestOf(four([undefined, undefined, 'a', 'a']));
  assert.deepEqual([late.initialization, late.longestGap, late.falseNegatives], [1, 1, 2]);
  assert.ok(Math.abs(late.mota - 0.5) < 1e-12);
  assert.equal(late.mostlyTracked, 0);
});

test('nothing found: the worst of both', () => {
  const { amota, amotp, classes } = nuscenesTracking([four([undefined, undefined, undefined, undefined])]);
  assert.deepEqual([amota, amotp], [0, 2]);
  assert.equal(classes.get('car')!.best, undefined);
});

test('far boxes, labels without points, other classes and distances of two metres', () => {
  const frame = (truth: GroundBox[], results: GroundBox[]) => scene([{ truth, results }]);
  assert.equal(nuscenesTracking([frame([car('far', 50)], [])]).classes.size, 0);
  assert.equal(nuscenesTracking([frame([car('empty', 1, { points: 0 })], [])]).classes.size, 0);
  const near = frame([car('gt', 0)], [car('a', 1.99, { score: 1 })]);
  assert.ok(Math.abs(bestOf(near).motp - 1.99) < 1e-12);
  const beyond = frame([car('gt', 0)], [car('a', 2, { score: 1 })]);
  assert.equal(nuscenesTracking([beyond]).amotp, 2);
  const other = frame([car('gt', 0)], [car('a', 0, { score: 1, name: 'truck' })]);
  assert.equal(nuscenesTracking([other]).amota, 0);
});

test('half of the objects found: recalls above half add nothing to AMOTA and two metres to AMOTP', () => {
  const frames = scene([
    { truth: [car('1', 0), car('2', 20)], results: [car('a', 0, { score: 0.9 })] },
    { truth: [car('1', 0), car('2', 20)], results: [car('a', 0, { score: 0.9 })] },
  ]);
  const reached = Array.from({ length: 40 }, (_, i) => 0.1 + (0.9 * i) / 39).filter((r) => r <= 0.5).length;
  const { amota, amotp } = nuscenesTracking([frames]);
  assert.ok(Math.abs(amota - reached / 40) < 1e-12);
  assert.ok(Math.abs(amotp - (2 * (40 - reached)) / 40) < 1e-12);
});

test('MOTAR is 1 − FP/TP whatever happens, and switches, matches and misses are all objects', () => {
  const frames = fc.array(
    fc.record({
      truth: fc.uniqueArray(fc.integer({ min: 0, max: 3 }), { maxLength: 4 }),
      results: fc.uniqueArray(fc.tuple(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 3 })), {
        selector: ([id]) => id,
        maxLength: 5,
      }),
    }),
    { minLength: 1, maxLength: 6 },
  );
  fc.assert(
    fc.property(frames, (given) => {
      const made = scene(
        given.map(({ truth, results }) => ({
          truth: truth.map((n) => car(`gt${n}`, 5 * n)),
          results: results.map(([id, place]) =>
            car(`t${id}`, 5 * place + 0.1 * id, { score: 0.2 + 0.1 * id }),
          ),
        })),
      );
      const best = nuscenesTracking([made]).classes.get('car')?.best;
      if (!best) return;
      const { truePositives: tp, falsePositives: fp, idSwitches: ids, falseNegatives: fn, objects } = best;
      assert.equal(tp + ids + fn, objects);
      if (tp === 0) assert.ok(Number.isNaN(best.motar));
      else {
        const recall = tp / objects;
        const long = Math.max(0, 1 - (ids + fp + fn - (1 - recall) * objects) / (recall * objects));
        assert.ok(Math.abs(best.motar - long) < 1e-9);
        assert.ok(Math.abs(best.motar - Math.max(0, 1 - fp / tp)) < 1e-12);
      }
    }),
  );
});

test('what cannot be is refused', () => {
  const twice = scene([{ truth: [car('a', 0), car('a', 1)], results: [] }]);
  assert.throws(() => nuscenesTracking([twice]), /frame 0 has identity 'a' twice/);
  const [first, second] = four(['a', 'a', 'a', 'a']);
  assert.throws(() => nuscenesTracking([[second!, first!]]), /frame 1 is at 0, after 500000/);
});
