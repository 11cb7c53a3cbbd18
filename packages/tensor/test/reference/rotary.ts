import { at, build } from './dense.ts';
import { register } from './registry.ts';

register('rotary', ([x, cos, sin]) => {
  const half = x!.shape.at(-1)! / 2;
  return build(x!.shape, (index) => {
    const i = index.at(-1)!;
    const angle = [index.at(-3)!, i % half];
    const partner = at(x!, [...index.slice(0, -1), (i + half) % (2 * half)]);
    return at(x!, index) * at(cos!, angle) + (i < half ? -1 : 1) * partner * at(sin!, angle);
  });
});
