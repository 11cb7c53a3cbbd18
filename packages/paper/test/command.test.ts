import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defineCommand, type PaperCommands } from '@working-papers/paper';

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

const train = defineCommand({
  summary: 'trains',
  options: {
    steps: { type: 'integer', description: 'updates', default: 100 },
    rate: { type: 'number', description: 'learning rate' },
    weighting: { type: 'string', description: 'loss', choices: ['stopgrad', 'plain'], default: 'stopgrad' },
    out: { type: 'string', description: 'a file' },
    resume: { type: 'boolean', description: 'go on' },
  },
  execute({ options }) {
    const types: [
      Same<typeof options.steps, number>,
      Same<typeof options.rate, number | undefined>,
      Same<typeof options.weighting, 'stopgrad' | 'plain'>,
      Same<typeof options.out, string | undefined>,
      Same<typeof options.resume, boolean>,
    ] = [true, true, true, true, true];
    assert.equal(types.length, 5);
  },
});

test("a command's option types follow from its specs, and it fits among a paper's commands", () => {
  const commands: PaperCommands = { train };
  assert.equal(commands.train?.summary, 'trains');
});
