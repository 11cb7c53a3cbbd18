import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Parameter, type Shape, Tensor } from '@working-papers/tensor';
import { multiplyAdds } from './multiply-adds.ts';
import { ResNet } from './resnet.ts';

const input = (...shape: Shape) => new Tensor({ shape, dtype: 'float32' }, { kind: 'input', name: 'x' });

test('products and convolutions count each result once for every term of its sum', () => {
  const x = input(5, 7, 3);
  assert.equal(multiplyAdds([x.linear(new Parameter([4, 3]), new Parameter([4]))]), 5 * 7 * 4 * 3);
  assert.equal(multiplyAdds([x.transpose().matmul(x)]), 5 * 3 * 3 * 7);
  const picture = input(2, 6, 9, 9);
  const grouped = picture.conv(new Parameter([4, 3, 3, 3]), undefined, { stride: 2, groups: 2 });
  assert.equal(multiplyAdds([grouped]), 2 * 4 * 4 * 4 * (3 * 9));
  const up = picture.convTranspose(new Parameter([6, 5, 2, 2]), undefined, { stride: 2 });
  assert.equal(multiplyAdds([up]), 2 * 9 * 9 * 6 * 5 * 4);
});

test('what two outputs share counts once', () => {
  const shared = input(1, 3).linear(new Parameter([8, 3]));
  const outputs = [shared.linear(new Parameter([2, 8])), shared.linear(new Parameter([4, 8]))];
  assert.equal(multiplyAdds(outputs), 24 + 16 + 32);
});

test('ResNet-20 on 32x32, by hand; a free batch has no number', () => {
  const conv = (size: number, from: number, to: number) => size ** 2 * from * to * 9;
  const stem = conv(32, 3, 16);
  const stages =
    6 * conv(32, 16, 16) + conv(16, 16, 32) + 5 * conv(16, 32, 32) + conv(8, 32, 64) + 5 * conv(8, 64, 64);
  const total = multiplyAdds([new ResNet().forward(input(1, 3, 32, 32))]);
  assert.equal(total, stem + stages + 64 * 10);
  // the figure that is often quoted has 1x1 convolutions on the two widening shortcuts
  const projections = 16 ** 2 * 16 * 32 + 8 ** 2 * 32 * 64;
  assert.equal(((total + projections) / 1e6).toFixed(1), '40.8');
  assert.throws(() => multiplyAdds([new ResNet().forward(input('batch', 3, 32, 32))]), /free/);
});
