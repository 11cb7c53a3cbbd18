import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  batchNorm,
  concat,
  conv,
  convTranspose,
  layerNorm,
  linear,
  matmul,
  split,
  stack,
  type Tensor,
  TensorError,
  where,
  withScope,
} from '../src/index.ts';
import { input } from './symbols.ts';

function says(run: () => unknown, message: string | RegExp): void {
  assert.throws(run, (error: unknown) => {
    assert.ok(error instanceof TensorError, `${error}`);
    if (typeof message === 'string') assert.equal(error.message, message);
    else assert.match(error.message, message);
    assert.ok(!error.message.includes('\n'), 'one line');
    return true;
  });
}

class Linear {
  readonly #weight = input([384, 768], 'w');
  forward(x: Tensor): Tensor {
    return withScope(this, () => matmul(x, this.#weight));
  }
}

class Attention {
  readonly qkv = new Linear();
  forward(x: Tensor): Tensor {
    return withScope(this, () => this.qkv.forward(x));
  }
}

class Block {
  readonly attn = new Attention();
  forward(x: Tensor): Tensor {
    return withScope(this, () => this.attn.forward(x));
  }
}

class DiT {
  readonly blocks = [new Block(), new Block(), new Block(), new Block()];
  forward(x: Tensor): Tensor {
    return withScope(this, () => this.blocks[3]!.forward(x));
  }
}

test('a message names the module path, the operator and the shapes', () => {
  says(
    () => new DiT().forward(input([8, 64, 256])),
    'DiT.blocks.3.attn.qkv: matmul [8,64,256] x [384,768]: inner dimensions 256 and 384 differ',
  );
});

test('a module that no owner holds is named by its class, and a scope ends with an error', () => {
  const loose = new Linear();
  says(
    () => withScope(new Attention(), () => loose.forward(input([2, 3]))),
    'Attention.Linear: matmul [2,3] x [384,768]: inner dimensions 3 and 384 differ',
  );
  says(() => matmul(input([2, 3]), input([2, 3])), 'matmul [2,3] x [2,3]: inner dimensions 3 and 2 differ');
});

test('dtypes never mix silently', () => {
  const [x, i] = [input([2]), input([2], 'i', 'int64')];
  says(() => x.add(i), 'add [2] x [2]: dtypes float32 and int64 differ: cast one');
  says(
    () => matmul(input([2, 2]), input([2, 2], 'y', 'float64')),
    /^matmul .*dtypes float32 and float64 differ/,
  );
  says(() => concat([x, i], 0), /^concat .*dtypes float32 and int64 differ/);
  says(() => where(x, x, x), /^where .*the condition must be bool, got float32/);
  says(() => where(x.greater(0), x, i), /^where .*dtypes float32 and int64 differ/);
  says(() => x.not(), /^not .*needs bool, got float32/);
});

test('+ and * on tensors are refused instead of giving NaN', () => {
  const x = input([2]);
  const careless = x as unknown as number;
  says(() => careless + 1, /a tensor \(float32\[2\]\) is not a number: use its methods/);
  says(() => careless * careless, /is not a number/);
  says(() => careless > 1, /is not a number/);
  says(() => -careless, /is not a number/);
  assert.equal(`${x}`, 'float32[2]', 'but it can be shown');
});

test('shapes that do not fit', () => {
  const x = input([2, 3, 4]);
  says(() => x.add(input([3])), 'add [2,3,4] x [3]: shapes do not broadcast');
  says(() => x.reshape([5, 5]), 'reshape [2,3,4]: 24 elements do not fill [5,5]');
  says(() => x.reshape([-1, 5]), /^reshape \[2,3,4\]: 24 elements do not fill/);
  says(() => x.expand([2, 3, 5]), 'expand [2,3,4]: does not stretch to [2,3,5]');
  says(() => x.expand([4]), /^expand \[2,3,4\]: does not stretch to \[4\]/);
  says(() => x.squeeze(1), 'squeeze [2,3,4]: axis 1 has size 3, not 1');
  says(() => x.transpose([0, 1]), /^transpose \[2,3,4\]: \[0,1\] is not an order of 3 axes/);
  says(() => x.transpose([0, 1, 1]), /not an order of 3 axes/);
  says(() => concat([x, input([2, 3, 5])], 1), /^concat \[2,3,4\] x \[2,3,5\]: shapes differ outside axis 1/);
  says(() => stack([x, input([2, 3])]), /^concat .*shapes differ/);
  says(() => split(x, 2, 1), 'split [2,3,4]: axis 1 of size 3 does not divide into 2 equal parts');
  says(() => split(x, [1, 1], 1), /sizes \[1,1\] sum to 2, axis 1 has 3/);
  says(() => x.slice(0, 0, 2, 0), /step 0 is not a positive integer/);
  says(() => x.pad([[0, -1, 0]]), /amount -1 is negative \(use slice\)/);
  says(
    () => x.pad([[0, 2, 0]], { mode: 'reflect' }),
    /axis 0 of size 2 has too few elements for 2 of mode reflect/,
  );
  says(() => input([2]).transpose(), /there are no two axes to exchange/);
  says(() => input([2]).tril(), /needs at least two axes/);
  says(() => matmul(input([2]), x), /needs at least two axes/);
  says(
    () => matmul(input([2, 3, 4]), input([3, 4, 5])),
    /^matmul \[2,3,4\] x \[3,4,5\]: batch dimensions do not broadcast/,
  );
  says(() => linear(x, input([5, 3])), /^matmul \[2,3,4\] x \[5,3\]: inner dimensions 4 and 3 differ/);
  says(() => linear(x, input([5, 4]), input([4])), /the bias must have 5 elements/);
  says(() => layerNorm(x, input([3])), /scale and bias must be \[4\]/);
  says(() => batchNorm(x, input([4]), input([3]), input([3]), input([3])), /must be \[3\]/);
  says(() => x.groupNorm(2), /3 channels do not divide into 2 groups/);
});

test('convolutions name what does not fit', () => {
  const [x, w] = [input([1, 4, 8, 8]), input([6, 4, 3, 3], 'w')];
  says(() => conv(input([4, 8]), w), /^conv .*the input must be \[N, C, L\] or \[N, C, H, W\]/);
  says(
    () => conv(x, input([6, 3, 3, 3])),
    'conv [1,4,8,8] x [6,3,3,3]: the input has 4 channels, the weight takes 3 in 1 groups',
  );
  says(
    () => conv(x, input([3, 2, 3, 3]), undefined, { groups: 2 }),
    /3 output channels do not divide into 2 groups/,
  );
  says(() => conv(x, w, input([5])), /the bias must have 6 elements/);
  says(() => conv(x, w, undefined, { stride: 0 }), /stride 0,0 is not 2 positive integers/);
  says(() => conv(x, w, undefined, { padding: -1 }), /padding .* does not fit 2 axes/);
  says(() => conv(x, w, undefined, { dilation: [1] }), /dilation 1 is not 2 positive integers/);
  says(() => conv(x, input([6, 4, 9, 9])), /the kernel is larger than padded axis 2/);
  says(() => convTranspose(x, input([5, 4, 3, 3])), /the input has 4 channels, the weight takes 5/);
  says(
    () => convTranspose(x, input([4, 2, 3, 3]), undefined, { outputPadding: 1 }),
    /output padding 1 must be smaller than stride 1/,
  );
});

test('axes outside the rank', () => {
  const x = input([2, 3]);
  says(() => x.sum(2), /axis 2 is outside rank 2/);
  says(() => x.softmax(-3), /axis -3 is outside rank 2/);
  says(() => x.sum(0.5), /axis 0.5 is outside rank 2/);
  says(() => x.unsqueeze(4), /axis 4 is outside rank 3/);
  says(() => x.select(0, 2), /./);
  says(() => x.select(1, -4), /./);
});

test('free dimensions where a number is needed', () => {
  const x = input(['batch', 3]);
  says(() => x.size(0), /axis 0 of float32\[batch,3\] is free, a number is needed/);
  says(() => x.slice(0, 0, undefined, 2), /a step of 2 needs a fixed length, but 'batch' is free/);
  says(() => x.pad([[0, 1, 1]], { mode: 'edge' }), /mode edge needs fixed sizes/);
  says(() => x.add(input(['past', 3])), 'add [batch,3] x [past,3]: shapes do not broadcast');
  says(() => x.reshape(['past', 3]), 'reshape [batch,3]: 3*batch elements do not fill [past,3]');
});
