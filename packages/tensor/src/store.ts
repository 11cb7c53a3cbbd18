/** Named values that live on a device across calls: weights, optimiser state, caches. */

import type { NdArray } from './array.ts';
import type { Device } from './device.ts';
import { DeviceError } from './device-error.ts';
import { showShape } from './dims.ts';
import type { Parameter } from './tensor.ts';

/** Functions compiled with the store read and update its values in place. Made by `device.store`. */
export class Store {
  readonly key: number;
  /** ONNX names of the parameters. */
  readonly names = new Map<Parameter, string>();
  readonly device: Device;
  #disposed = false;

  constructor(device: Device) {
    this.device = device;
    this.key = device.newKey();
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  keyOf(parameter: Parameter): string {
    const name = this.names.get(parameter);
    if (name === undefined) throw new DeviceError(`a parameter ${parameter} is not in the store`);
    return name;
  }

  /** Adds or replaces values. */
  async write(values: ReadonlyMap<Parameter, NdArray>): Promise<void> {
    if (this.#disposed) throw new DeviceError('the store was disposed of');
    const entries: Record<string, NdArray> = {};
    for (const [parameter, value] of values) {
      if (showShape(parameter.shape) !== showShape(value.shape) || parameter.dtype !== value.dtype) {
        throw new DeviceError(`a parameter ${parameter} cannot hold ${value.dtype}${showShape(value.shape)}`);
      }
      let name = this.names.get(parameter);
      if (name === undefined) {
        name = `p${this.names.size}`;
        this.names.set(parameter, name);
      }
      entries[name] = value;
    }
    await this.device.request({ kind: 'put', store: this.key, values: entries });
  }

  /** Copies of the current values, of all parameters or of some. */
  async read(parameters: Iterable<Parameter> = this.names.keys()): Promise<Map<Parameter, NdArray>> {
    if (this.#disposed) throw new DeviceError('the store was disposed of');
    const list = [...parameters];
    const keys = list.map((parameter) => this.keyOf(parameter));
    const reply = await this.device.request({ kind: 'get', store: this.key, keys });
    return new Map(list.map((parameter, i) => [parameter, reply[keys[i]!]!]));
  }

  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    await this.device.request({ kind: 'drop', store: this.key });
  }
}
