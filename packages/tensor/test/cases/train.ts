/** A small training run in a store, for every provider. */

import {
  type Device,
  gradients,
  keepOnDevice,
  matmul,
  ndarray,
  Parameter,
  toNumbers,
} from '../../src/index.ts';

export interface Trained {
  readonly losses: readonly number[];
  readonly weight: readonly number[];
  readonly moment: readonly number[];
  /** A value that stayed on the device between two functions. */
  readonly kept: readonly number[];
}

/** Ten steps of gradient descent with momentum: the losses, and what the store holds at the end. */
export async function train(device: Device): Promise<Trained> {
  const [weight, moment] = [new Parameter([2, 2]), new Parameter([2, 2])];
  const store = await device.store(
    new Map([
      [weight, ndarray([0.5, -0.25, 0.125, 1], [2, 2])],
      [moment, ndarray([0, 0, 0, 0], [2, 2])],
    ]),
  );
  const step = await device.compileStep(
    (x) => {
      const y = matmul(x, weight).sub(1);
      const loss = y.mul(y).mean();
      const [slope] = gradients(loss, [weight]);
      const next = moment.mul(0.5).add(slope!);
      return {
        outputs: loss,
        updates: new Map([
          [moment, next],
          [weight, weight.sub(next.mul(0.1))],
        ]),
      };
    },
    { inputs: [{ shape: [3, 2] }], store },
  );
  const x = ndarray([1, 2, -1, 0.5, 0.25, -2], [3, 2]);
  const losses: number[] = [];
  for (let i = 0; i < 10; i++) losses.push(toNumbers(await step(x))[0]!);
  const final = await store.read();

  const make = await device.compile(() => keepOnDevice(weight.mul(2)), { inputs: [], store });
  const use = await device.compile((a) => a.add(weight), { inputs: [{ shape: [2, 2] }], store });
  const kept = toNumbers(await use(await make()));
  await store.dispose();
  return { losses, weight: toNumbers(final.get(weight)!), moment: toNumbers(final.get(moment)!), kept };
}
