/** CIFAR-10 for a command, with a bar while it is decoded and one line for the user where it is missing. Node only. */

import { type Cifar10, loadCifar10 } from '@working-papers/nn/cifar10';
import type { Output } from './command.ts';
import { UserError } from './user-error.ts';

/** All 60,000 pictures. Throws a UserError when the data set is not there or is another. */
export async function readCifar10(output: Output): Promise<Cifar10> {
  using bar = output.progress('CIFAR-10', 60_000);
  try {
    const data = await loadCifar10({ onProgress: (done) => bar.update(done) });
    bar.update(60_000);
    return data;
  } catch (error) {
    const isTheirs = error instanceof Error && error.name === 'DatasetError';
    throw isTheirs ? new UserError(error.message, { cause: error }) : error;
  }
}
