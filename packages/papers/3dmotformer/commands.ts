/** What `wp` offers of 3DMOTFormer. Each command loads the engine when it runs, so that help and errors come at once. */

import type { PaperCommands } from '@working-papers/paper';
import { benchCommand } from './bench-command.ts';
import { exportCommand } from './export-command.ts';
import { runCommand } from './run-command.ts';
import { trainCommand } from './train-command.ts';

export const commands = {
  run: runCommand,
  train: trainCommand,
  bench: benchCommand,
  export: exportCommand,
} satisfies PaperCommands;
