import type { PaperFacts } from '@working-papers/edition';
import { type PaperCommands, UserError, type Verb } from '@working-papers/paper';
import { trainFeatures, trainTeacher } from './commands/cifar10-models.ts';
import type { Entry, Group } from './program.ts';

/** Where the commands of each paper are. They bring no engine with them until one is executed. */
export const registry: Registry = {
  '3dmotformer': async () => (await import('@working-papers/3dmotformer/commands')).commands,
  agd: async () => (await import('@working-papers/agd/commands')).commands,
  longspec: async () => (await import('@working-papers/longspec/commands')).commands,
  'jei-dnn': async () => (await import('@working-papers/jei-dnn/commands')).commands,
};

/** What can be trained beside papers: models that several of them share. */
export const sharedTrainings: readonly Entry[] = [
  { name: 'cifar10-teacher', summary: trainTeacher.summary, load: () => trainTeacher },
  { name: 'cifar10-features', summary: trainFeatures.summary, load: () => trainFeatures },
];

export type Registry = Readonly<Record<string, () => Promise<PaperCommands>>>;

/** `wp run`, `wp train` ...: leads to the papers; one that does not work yet says so instead of "unknown". */
export function verbGroup(
  verb: Verb,
  summary: string,
  papers: readonly PaperFacts[],
  registry: Registry,
  others: readonly Entry[] = [],
): Group {
  return {
    summary,
    noun: 'paper',
    entries: [...papers.map((paper) => paperEntry(verb, paper, registry[paper.id])), ...others],
  };
}

function paperEntry(
  verb: Verb,
  { id, name, mismatch }: PaperFacts,
  load: Registry[string] | undefined,
): Entry {
  return {
    name: id,
    summary: `${name}: ${mismatch}`,
    isListed: async () => (await load?.())?.[verb] !== undefined,
    async load() {
      if (!load) throw new UserError(`${id} does not work yet; 'wp list' shows which papers do`);
      const commands = await load();
      const command = commands[verb];
      if (!command) throw new UserError(`${id} has no '${verb}', only ${Object.keys(commands).join(', ')}`);
      return command;
    },
  };
}
