import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pictureWeights } from './objective.ts';
import { Trajectories } from './trajectories.ts';

/** How far the end of the way moves when the network's answer at one level is off by 1, for Gaussian data. */
function shiftOfTheEnd(sigma: number, deviation = 0.5): number {
  const step = 1e-3; // of ln σ
  const denoised = (level: number) => deviation ** 2 / (level ** 2 + deviation ** 2); // of x, in the mean 0
  let shift = (sigma * deviation) / Math.hypot(sigma, deviation); // of the estimated picture
  for (let level = sigma; level > 1e-4; level *= Math.exp(-step))
    shift -= step * shift * (1 - denoised(level));
  return shift;
}

test('the picture loss counts the square of what an error moves the picture, found by sampling', () => {
  const sigmas = [20, 5, 1, 0.3, 0.05];
  const scales = [1, 3];
  const points = scales.length * sigmas.length;
  const set = new Trajectories({
    ...{ sigmas, levels: sigmas, shape: [1, 1, 1], parts: 1, labels: [0, 0], scales },
    ...{ inputs: new Uint16Array(points), targets: new Uint16Array(points) },
  });
  const weight = pictureWeights(set);
  const all = scales.flatMap((_, trajectory) => sigmas.map((_, step) => weight({ trajectory, step })));
  assert.ok(Math.abs(all.reduce((a, b) => a + b) / points - 1) < 1e-12, 'the mean is 1');
  const expected = sigmas.map((sigma) => (shiftOfTheEnd(sigma) / shiftOfTheEnd(1)) ** 2);
  for (const [step, value] of expected.entries()) {
    const found = weight({ trajectory: 1, step }) / weight({ trajectory: 1, step: 2 });
    assert.ok(Math.abs(found / value - 1) < 0.01, `${found} for ${value} at σ = ${sigmas[step]}`);
  }
  // (ω − 1)² + ¼: 4.25 at ω = 3, 0.25 at ω = 1, where guidance is nothing
  assert.ok(Math.abs(weight({ trajectory: 0, step: 0 }) / weight({ trajectory: 1, step: 0 }) - 17) < 1e-9);
});
