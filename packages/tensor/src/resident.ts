/** Values that stay where they were computed, from one call to the next. */

import type { DType, NdArray } from './array.ts';
import type { Device } from './device.ts';
import { DeviceError } from './device-error.ts';
import { evaluateDim, type Shape } from './dims.ts';
import { residentKey } from './runtime/host.ts';
import type { Tensor, TensorType } from './tensor.ts';

/** A result that a compiled function leaves on its device; see `keepOnDevice`. */
export class Resident implements TensorType {
  readonly tensor: Tensor;
  readonly shape: Shape;
  readonly dtype: DType;

  constructor(tensor: Tensor) {
    this.tensor = tensor;
    this.shape = tensor.shape;
    this.dtype = tensor.dtype;
  }
}

/**
 * Marks a result of a traced function: calls resolve to a `DeviceArray` in its place, which takes no part in the
 * traffic between threads and can be an argument of any function of the same device.
 */
export function keepOnDevice(tensor: Tensor): Resident {
  return new Resident(tensor);
}

/** The device's thread does not tell what size a result has that stays there: the arguments must. */
export function refuseUnknownSize(result: Tensor, inputs: readonly Tensor[]): void {
  const names = inputs.flatMap(({ shape }) => shape.filter((dim) => typeof dim === 'string'));
  const known = new Map(names.map((name) => [name, 1]));
  try {
    for (const dim of result.shape) evaluateDim(dim, known);
  } catch {
    throw new DeviceError(`${result} cannot stay on the device: its size depends on values`);
  }
}

/**
 * An array on a device, beyond reach but for `read`. Freed by `dispose` (or the end of a `using` block); one that is
 * forgotten is freed when it is garbage-collected, at some time.
 */
export class DeviceArray {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** The device's name for it. */
  readonly key: number;
  readonly device: Device;
  #disposed = false;

  /** Made by compiled functions. */
  constructor(
    device: Device,
    key: number,
    type: { readonly dtype: DType; readonly shape: readonly number[] },
  ) {
    this.device = device;
    this.key = key;
    this.dtype = type.dtype;
    this.shape = type.shape;
    forgotten.register(this, { device, key }, this);
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  /** A copy. */
  async read(): Promise<NdArray> {
    if (this.#disposed) throw new DeviceError('the array was disposed of');
    const reply = await this.device.request({ kind: 'get', store: this.key, keys: [residentKey] });
    return reply[residentKey]!;
  }

  /** Frees it once the calls that were made before have run. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    forgotten.unregister(this);
    free(this);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

const forgotten = new FinalizationRegistry<{ device: Device; key: number }>(free);

function free({ device, key }: { readonly device: Device; readonly key: number }): void {
  // a device that is closed has freed all it had
  device.request({ kind: 'drop', store: key }).catch(() => undefined);
}
