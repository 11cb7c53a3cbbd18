import type { Toll } from './under-fire.ts';

const number = (value: number) => value.toLocaleString('en-US');

/** A run as the README tells it. */
export function inWords(toll: Toll): string {
  const { kills, accepted, messageIds, recipients, repeated, mostAmbiguous, seconds } = toll;
  return [
    '| | |',
    '|---|---|',
    `| subscribers | ${number(toll.subscribers)} |`,
    `| killed | ${kills.workers} workers, ${kills.mailServer} mail servers |`,
    `| letters that the mail server accepted | ${number(accepted)} |`,
    `| different Message-IDs among them | ${number(messageIds)} |`,
    `| different recipients among them | ${number(recipients)} |`,
    `| accepted again under the same Message-ID | ${number(repeated)}, of ${number(mostAmbiguous)} that can have been in the ambiguous moment |`,
    `| from the first letter to the last | ${Math.round(seconds)} s |`,
  ].join('\n');
}
