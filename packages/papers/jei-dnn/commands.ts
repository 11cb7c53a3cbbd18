/** What `wp` offers of JEI-DNN. Each command loads the engine when it runs, so that help and errors come at once. */

import type { PaperCommands } from '@working-papers/paper';
import { bench } from './bench-command.ts';
import { exportCommand } from './export-command.ts';
import { runCommand } from './run-command.ts';
import { train } from './train-command.ts';

export const commands = { run: runCommand, train, bench, export: exportCommand } satisfies PaperCommands;
