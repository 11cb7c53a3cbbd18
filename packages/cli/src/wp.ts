import type { Edition } from '@working-papers/edition';
import type { Verb } from '@working-papers/paper';
import { backup, digest, doctor, ingest, restore, worker } from './commands/daily.ts';
import { data } from './commands/data.ts';
import { evaluation } from './commands/eval.ts';
import { listCommand } from './commands/list.ts';
import { serve } from './commands/serve.ts';
import { type Registry, sharedTrainings, verbGroup } from './papers.ts';
import type { Group, Node } from './program.ts';

const verbSummaries: Readonly<Record<Verb, string>> = {
  run: 'run a paper on your own input',
  train: 'train a paper, or a model that papers share, from scratch',
  bench: 'measure a paper beside its baselines and write results.json',
  export: "write a paper's model as ONNX for other runtimes",
};

/** The whole of wp, over any editions and papers. */
export function wp(editions: readonly [Edition, ...Edition[]], registry: Registry): Group {
  const papers = editions.flatMap((edition) => edition.papers);
  const word = (name: string, node: Node) => ({ name, summary: node.summary, load: () => node });
  return {
    summary: 'Working Papers: run, train and measure published methods.',
    noun: 'command',
    entries: [
      word('list', listCommand(editions)),
      ...Object.entries(verbSummaries).map(([verb, summary]) =>
        word(
          verb,
          verbGroup(verb as Verb, summary, papers, registry, verb === 'train' ? sharedTrainings : []),
        ),
      ),
      word('eval', evaluation),
      word('data', data),
      word('serve', serve),
      word('worker', worker),
      word('ingest', ingest),
      word('digest', digest),
      word('backup', backup),
      word('restore', restore),
      word('doctor', doctor),
    ],
  };
}
