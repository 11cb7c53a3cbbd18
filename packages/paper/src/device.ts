/** Where a command computes: two options that every such command has, and the device that they name. Node only. */

import type { Device } from '@working-papers/tensor';
import type { OptionSpecs, OptionValues } from './command.ts';

/** `--device` and `--threads`. */
export const deviceOptions = {
  device: {
    type: 'string',
    choices: ['cpu', 'webgpu', 'cuda'],
    default: 'cpu',
    description: 'where to compute',
  },
  threads: { type: 'integer', min: 1, description: 'threads of the CPU; default all cores' },
} as const satisfies OptionSpecs;

/** Opens the device that the options ask for. Throws the engine's DeviceError, one line, where it is not there. */
export async function openChosenDevice(options: OptionValues<typeof deviceOptions>): Promise<Device> {
  const { openDevice } = await import('@working-papers/tensor');
  const { device: provider, threads } = options;
  return openDevice({ provider, ...(threads === undefined ? {} : { threads }) });
}
