import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ResNet } from '@working-papers/models/resnet';
import { T2tVit, t2tVit7, t2tVit14 } from '@working-papers/models/t2t-vit';
import { exitCosts, meanCost } from './cost.ts';
import { JeiDnn } from './model.ts';

test('ResNet-20: the shares at which its nine exits stand', () => {
  const { multiplyAdds, shares } = exitCosts(new JeiDnn(new ResNet()), 32);
  assert.equal((multiplyAdds.at(-1)! / 1e6).toFixed(2), '40.55');
  // a network with projections on its shortcuts, 40.8 million, has nearly the same
  const quoted = [0.126, 0.242, 0.358, 0.448, 0.563, 0.679, 0.769, 0.884, 1];
  shares.forEach((share, l) => {
    assert.ok(Math.abs(share - quoted[l]!) < 0.003, `exit ${l}: ${share}`);
  });
});

test('IMs and gates cost what their formulas say', () => {
  const backbone = new ResNet();
  const all = exitCosts(new JeiDnn(backbone), 32).multiplyAdds;
  const one = exitCosts(new JeiDnn(backbone, { exits: [3] }), 32).multiplyAdds;
  const gate = 9 * 10 + 6;
  assert.equal(all[3]! - one[0]!, 3 * (16 * 10 + gate));
  assert.equal(all[8]! - one[1]!, 7 * gate + (3 * 16 + 2 * 32 + 2 * 64) * 10);
});

test('the mean over samples is the mean of their exits', () => {
  assert.equal(meanCost([0, 0, 1, 2], [0.25, 0.5, 1]), 0.5);
});

test('T2T-ViT-7 on 224x224: every token counted, and as the release counts', () => {
  const model = new JeiDnn(new T2tVit({ ...t2tVit7, classes: 10 }));
  const proper = exitCosts(model, 224);
  within(proper.multiplyAdds.at(-1)! / 1e6, 1147, 0.01);
  [0.356, 0.463, 0.57, 0.678, 0.785, 0.893, 1].forEach((share, l) => {
    within(proper.shares[l]!, share, 0.005);
  });
  const released = exitCosts(model, 224, { counting: 'released' });
  within(released.multiplyAdds.at(-1)! / 1e6, 13.5, 0.01);
  within(released.shares[0]!, 0.409, 0.02);
});

test('the other published sizes', () => {
  const large = exitCosts(new JeiDnn(new T2tVit({ ...t2tVit14, classes: 10 })), 224);
  within(large.multiplyAdds.at(-1)! / 1e6, 4783, 0.01);
  within(large.shares[0]!, 0.129, 0.01);
  const small = exitCosts(new JeiDnn(new T2tVit({ ...t2tVit7, classes: 10, imageSize: 32 })), 32);
  within(small.multiplyAdds.at(-1)! / 1e6, 24.3, 0.01);
});

function within(actual: number, expected: number, tolerance: number): void {
  assert.ok(Math.abs(actual / expected - 1) <= tolerance, `${actual}, expected ${expected}`);
}
