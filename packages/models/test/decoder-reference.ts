/** A decoder of the Llama family written from its formulas, in double precision, one position after the other. */

export interface ReferenceModel {
  /** By Hugging Face's names. */
  readonly weights: ReadonlyMap<
    string,
    { readonly shape: readonly number[]; readonly data: ArrayLike<number> }
  >;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly epsilon: number;
  /** Radians of pair i at a position. */
  readonly angle: (position: number, i: number) => number;
  readonly ropeFactor?: number;
}

/** Logits of each position. */
export function referenceLogits(model: ReferenceModel, tokens: readonly number[]): number[][] {
  const { weights, layers, heads, kvHeads, headDim, epsilon, angle, ropeFactor = 1 } = model;
  const row = (name: string, index: number): number[] => {
    const { shape, data } = weights.get(name)!;
    const width = shape.at(-1)!;
    return Array.from({ length: width }, (_, i) => data[index * width + i]!);
  };
  const linear = (x: readonly number[], name: string): number[] => {
    const { shape } = weights.get(`${name}.weight`)!;
    const bias = weights.get(`${name}.bias`)?.data;
    return Array.from({ length: shape[0]! }, (_, o) => {
      const w = row(`${name}.weight`, o);
      return x.reduce((sum, value, i) => sum + value * w[i]!, bias?.[o] ?? 0);
    });
  };
  const norm = (x: readonly number[], name: string): number[] => {
    const scale = row(`${name}.weight`, 0);
    const mean = x.reduce((sum, value) => sum + value * value, 0) / x.length;
    return x.map((value, i) => (value / Math.sqrt(mean + epsilon)) * scale[i]!);
  };
  const turn = (x: readonly number[], position: number): number[] =>
    x.map((value, i) => {
      const half = headDim / 2;
      const a = angle(position, i % half);
      const partner = i < half ? -x[i + half]! : x[i - half]!;
      return ropeFactor * (value * Math.cos(a) + partner * Math.sin(a));
    });
  const split = (x: readonly number[], count: number): number[][] =>
    Array.from({ length: count }, (_, h) => x.slice(h * headDim, (h + 1) * headDim));
  const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, v, i) => sum + v * b[i]!, 0);

  const cache = Array.from({ length: layers }, () => ({
    keys: [] as number[][][],
    values: [] as number[][][],
  }));
  return tokens.map((token, position) => {
    let x = row('model.embed_tokens.weight', token);
    for (let l = 0; l < layers; l++) {
      const at = `model.layers.${l}`;
      const h = norm(x, `${at}.input_layernorm`);
      const q = split(linear(h, `${at}.self_attn.q_proj`), heads).map((head) => turn(head, position));
      cache[l]!.keys.push(
        split(linear(h, `${at}.self_attn.k_proj`), kvHeads).map((head) => turn(head, position)),
      );
      cache[l]!.values.push(split(linear(h, `${at}.self_attn.v_proj`), kvHeads));
      const attended = q.flatMap((query, head) => {
        const kv = Math.floor(head / (heads / kvHeads));
        const scores = cache[l]!.keys.map((keys) => dot(query, keys[kv]!) / Math.sqrt(headDim));
        const largest = Math.max(...scores);
        const weightsOf = scores.map((score) => Math.exp(score - largest));
        const total = weightsOf.reduce((a, b) => a + b, 0);
        return query.map(
          (_, d) =>
            weightsOf.reduce((sum, weight, t) => sum + weight * cache[l]!.values[t]![kv]![d]!, 0) / total,
        );
      });
      const out = linear(attended, `${at}.self_attn.o_proj`);
      x = x.map((value, i) => value + out[i]!);
      const m = norm(x, `${at}.post_attention_layernorm`);
      const gate = linear(m, `${at}.mlp.gate_proj`);
      const up = linear(m, `${at}.mlp.up_proj`);
      const mlp = linear(
        gate.map((value, i) => (value / (1 + Math.exp(-value))) * up[i]!),
        `${at}.mlp.down_proj`,
      );
      x = x.map((value, i) => value + mlp[i]!);
    }
    const last = norm(x, 'model.norm');
    return linear(last, weights.has('lm_head.weight') ? 'lm_head' : 'model.embed_tokens');
  });
}
