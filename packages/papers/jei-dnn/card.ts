/** The card of a weights file: what the file's metadata says of how it was made, for people. */

import type { JeiDnnWeights } from './weights.ts';

/** One training's result as the card has it, on the validation split. */
interface Row {
  readonly costWeight: number;
  readonly epoch: number;
  readonly accuracy: number;
  readonly cost: number;
}

const titles: Readonly<Record<string, string>> = {
  command: 'Made by',
  date: 'Date',
  machine: 'Machine',
  minutes: 'Minutes for IMs and gates, features not counted',
  seed: 'Seed',
  data: 'Data',
  backbone: 'Backbone',
  backboneHash: 'Backbone’s hash (SHA-256 of its tensors)',
  weighting: 'Weighting of the IMs',
  gates: 'Gates',
  epochs: 'Epochs',
  licence: 'Licence',
};

/** Markdown: a table of facts, and one of what each λ reached on validation. */
export function cardMarkdown(
  { architecture, exits, rule, trained, card }: JeiDnnWeights,
  file: string,
): string {
  const { blocksPerStage, widths, classes } = architecture;
  const facts = Object.entries(titles).flatMap(([key, title]) => (card[key] ? [[title, card[key]]] : []));
  const rows = JSON.parse(card.figures ?? '[]') as Row[];
  const line = (cells: readonly (string | number)[]) => `| ${cells.join(' | ')} |`;
  return `# ${file}

One frozen ResNet-${6 * blocksPerStage + 2} (${widths.join('-')} channels, ${classes} classes) and, for each of ${trained.length} cost weights λ, ${exits.length} IMs and
${exits.length} gates for the ${rule} rule. Half precision. The file's metadata holds the same facts for programs.

${[line(['', '']), line(['---', '---']), ...facts.map(line)].join('\n')}

On validation, at the epoch that was kept:

${[
  line(['λ', 'Epoch', 'Accuracy %', 'Cost']),
  line(['---:', '---:', '---:', '---:']),
  ...rows.map(({ costWeight, epoch, accuracy, cost }) =>
    line([costWeight, epoch, (100 * accuracy).toFixed(2), cost.toFixed(3)]),
  ),
].join('\n')}
`;
}
