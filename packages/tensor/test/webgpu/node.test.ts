/**
 * Every check on WebGPU in Node. Where there is no GPU, chromium's SwiftShader is one in software:
 * `VK_ICD_FILENAMES=/usr/lib/chromium/vk_swiftshader_icd.json LD_LIBRARY_PATH=/usr/lib/chromium`.
 */

import { type Device, openDevice } from '../../src/index.ts';
import { batches, runBatch } from '../cases/batch.ts';
import { train } from '../cases/train.ts';
import { compareWithCpu } from '../page/compare.ts';

let device: Device;

compareWithCpu(
  async () => {
    device = await openDevice({ provider: 'webgpu' });
    return {
      lacks: ['float16', 'float64'],
      batch: (index) => runBatch(device, batches()[index]!),
      train: () => train(device),
    };
  },
  async () => device?.close(),
);
