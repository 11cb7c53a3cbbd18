/** What `wp` offers of LongSpec. Each command loads the engine when it runs, so that help and errors come at once. */

import type { PaperCommands } from '@working-papers/paper';
import { benchCommand } from './bench-command.ts';
import { runCommand } from './run-command.ts';
import { trainCommand } from './train-command.ts';

export const commands = {
  run: runCommand,
  train: trainCommand,
  bench: benchCommand,
} satisfies PaperCommands;
