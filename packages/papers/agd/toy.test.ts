import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testDevice } from './test/tiny.ts';
import { runToy } from './toy.ts';

test('in two dimensions: trained on guided trajectories adapters are right where guidance goes, on noised data less', async () => {
  const device = await testDevice();
  const { rows } = await runToy({ device, seed: 1 });
  const row = (name: string) => rows.find((each) => each.name === name)!;
  const [plain, along, noised] = [row('no guidance'), row('trajectories'), row('noised data')];
  assert.ok(along.error! < 0.1, `E is ${along.error}`);
  assert.ok(
    noised.error! > 1.3 * along.error!,
    `E is ${noised.error} on noised data, ${along.error} on trajectories`,
  );
  assert.ok(
    along.drift < noised.drift && noised.drift < plain.drift,
    `${along.drift} ${noised.drift} ${plain.drift}`,
  );
});

test('with the release’s m = 1000 neighbouring scales are strangers', async () => {
  const device = await testDevice();
  const { rows } = await runToy({
    device,
    seed: 1,
    scaleFactor: 1000,
    teacherSteps: 200,
    steps: 200,
    trajectories: 60,
    points: 30,
  });
  const along = rows.find(({ name }) => name === 'trajectories')!;
  assert.ok(along.roughness! > 0.3, String(along.roughness));
});
