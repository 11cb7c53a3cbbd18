/** CIFAR-10 for commands: its pictures, with a bar while they are decoded, and its classes. Node only. */

import { type Cifar10, cifar10Classes, loadCifar10 } from '@working-papers/nn/cifar10';
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

/** The labels of `cat,3`: classes by name or number, with commas between. Throws a UserError for a word that is none. */
export function classLabels(option: string, text: string): number[] {
  return text.split(',').map((word) => {
    const name = word.trim().toLowerCase();
    const label = /^\d+$/.test(name) ? Number(name) : (cifar10Classes as readonly string[]).indexOf(name);
    if (label < 0 || label >= cifar10Classes.length)
      throw new UserError(
        `--${option} ${word.trim()} is none of ${cifar10Classes.join(', ')}, or 0 to ${cifar10Classes.length - 1}`,
      );
    return label;
  });
}
