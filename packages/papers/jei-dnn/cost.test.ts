import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ResNet } from '@working-papers/models/resnet';
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
