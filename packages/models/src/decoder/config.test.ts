import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseConfig, writeConfig } from './config.ts';
import { ropeTables } from './rope.ts';

const llama = {
  model_type: 'llama',
  vocab_size: 32000,
  hidden_size: 4096,
  intermediate_size: 11008,
  num_hidden_layers: 32,
  num_attention_heads: 32,
  rms_norm_eps: 1e-5,
  max_position_embeddings: 4096,
};

test('defaults are those of Hugging Face', () => {
  const config = parseConfig({ ...llama, rms_norm_eps: undefined });
  assert.equal(config.numKvHeads, 32);
  assert.equal(config.headDim, 128);
  assert.equal(config.normEpsilon, 1e-6);
  assert.equal(config.rope.theta, 10_000);
  assert.deepEqual([config.qkvBias, config.outputBias, config.tied], [false, false, false]);
  const qwen = parseConfig({
    ...llama,
    model_type: 'qwen2',
    sliding_window: 32768,
    use_sliding_window: false,
  });
  assert.deepEqual([qwen.qkvBias, qwen.outputBias], [true, false]);
  const biased = parseConfig({ ...llama, attention_bias: true });
  assert.deepEqual([biased.qkvBias, biased.outputBias], [true, true]);
  assert.equal(parseConfig({ ...llama, model_type: 'mistral', sliding_window: null }).family, 'mistral');
});

test('what another computation would be needed for is refused, with field, value and expectation', () => {
  const refused: [object, RegExp][] = [
    [
      { model_type: 'gemma' },
      /^ConfigError: config.json: model_type is "gemma", expected one of llama, qwen2, mistral$/,
    ],
    [{ use_sliding_window: true }, /use_sliding_window is true, expected false/],
    [{ model_type: 'mistral', sliding_window: 4096 }, /sliding_window is 4096, expected null/],
    [{ quantization_config: { bits: 4 } }, /quantization_config is \{"bits":4\}, expected none/],
    [{ hidden_act: 'gelu' }, /hidden_act is "gelu", expected "silu"/],
    [{ mlp_bias: true }, /mlp_bias is true, expected false/],
    [{ num_key_value_heads: 5 }, /num_key_value_heads is 5, expected a divisor of 32/],
    [{ hidden_size: '4096' }, /hidden_size is "4096", expected a positive integer/],
    [{ vocab_size: undefined }, /vocab_size is undefined, expected a positive integer/],
    [
      { rope_scaling: { type: 'dynamic', factor: 2 } },
      /rope_scaling.rope_type is "dynamic", expected another/,
    ],
    [
      { rope_scaling: { rope_type: 'spiral' } },
      /rope_type is "spiral", expected one of default, linear, llama3, yarn/,
    ],
    [{ rope_scaling: { type: 'linear' } }, /rope_scaling.factor is undefined, expected a positive number/],
    [{ rope_scaling: [4] }, /rope_scaling is \[4\], expected an object or null/],
  ];
  for (const [change, message] of refused) assert.throws(() => parseConfig({ ...llama, ...change }), message);
  assert.throws(() => parseConfig([], 'x/config.json'), /^ConfigError: x\/config.json: content is \[\]/);
});

/** Angles at a position for pairs i: f as the variant's own formula gives it, written out for dh = 8, θ = 10,000. */
const variants: [string, object, (i: number) => number, factor: number, limit: number][] = [
  ['none', {}, (i) => 10 ** -i, 1, 4096],
  ['linear', { rope_scaling: { type: 'linear', factor: 4 } }, (i) => 10 ** -i / 4, 1, 16384],
  ['condense', { rope_condense_ratio: 8 }, (i) => 10 ** -i / 8, 1, 32768],
  [
    'both, once',
    { rope_condense_ratio: 8, rope_scaling: { type: 'linear', factor: 8 } },
    (i) => 10 ** -i / 8,
    1,
    32768,
  ],
  [
    'llama3',
    {
      rope_parameters: {
        rope_type: 'llama3',
        rope_theta: 10_000,
        factor: 8,
        low_freq_factor: 1,
        high_freq_factor: 4,
        original_max_position_embeddings: 1024,
      },
    },
    // wavelengths 6.28, 62.8, 628 and 6283 against 1024 / 4 and 1024 / 1
    (i) => {
      const s = (1024 / (2 * Math.PI * 100) - 1) / 3;
      return [1, 0.1, 0.01 * (s + (1 - s) / 8), 0.001 / 8][i]!;
    },
    1,
    4096,
  ],
  [
    'yarn',
    { rope_scaling: { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 4096 } },
    // c(32) = 8 ln(4096 / 64π) / (2 ln 10⁴) = 1.31 → 1; c(1) = 2.81 → 3
    (i) => [1, 0.1, 0.01 * 0.5 + (0.01 / 4) * 0.5, 0.001 / 4][i]!,
    0.1 * Math.log(4) + 1,
    16384,
  ],
];

test('every rotary variant has the angles of its formula at positions 0, 1 and 8191, and its length limit', () => {
  for (const [name, change, frequency, factor, limit] of variants) {
    const config = parseConfig({ ...llama, hidden_size: 256, head_dim: 8, ...change });
    const { cos, sin } = ropeTables(config.rope, [0, 1, 8191]);
    assert.deepEqual(cos.shape, [3, 4]);
    for (const [t, position] of [0, 1, 8191].entries()) {
      for (let i = 0; i < 4; i++) {
        const angle = position * frequency(i);
        assert.ok(
          Math.abs(Number(cos.data[t * 4 + i]) - factor * Math.cos(angle)) < 1e-6,
          `${name} cos ${t} ${i}`,
        );
        assert.ok(
          Math.abs(Number(sin.data[t * 4 + i]) - factor * Math.sin(angle)) < 1e-6,
          `${name} sin ${t} ${i}`,
        );
      }
    }
    assert.equal(config.maxPositions, limit, name);
  }
});

test('a configuration that is written is read back', () => {
  for (const [, change] of variants) {
    for (const model_type of ['llama', 'qwen2', 'mistral']) {
      const config = parseConfig({ ...llama, model_type, ...change, tie_word_embeddings: true });
      assert.deepEqual(parseConfig(JSON.parse(writeConfig(config))), config);
    }
  }
});
