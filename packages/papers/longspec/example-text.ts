/** Texts of our own making. */

import { Random } from '@working-papers/nn/random';

/** What `wp run longspec` continues when no text is given. */
export const exampleText = `The harbour lay quiet under the first snow of the year, and the ferry, which should have left at nine, was still made fast to the quay at noon. The captain had gone ashore for news of the weather and had not come back. In the saloon the passengers sat around the stove, those with tickets for the islands and those who only wanted to be warm.

"He will not sail today," said the old woman with the basket, who had said the same thing at ten and at eleven.

"He sailed in worse," said the engineer. "In the winter of the great ice he sailed with a crew of three, and one of them was the cook."

Nobody answered. The stove ticked. Outside, a boy was sweeping the snow from the gangway, and as fast as he swept it the wind put it back. `;

/** Lines of a log of our own making: text that repeats itself, with numbers that do not. */
export function logText(lines: number, seed: number): string {
  const random = new Random(seed).fork('log');
  const pick = (words: readonly string[]) => words[random.integer(words.length)]!;
  return Array.from({ length: lines }, (_, i) => {
    const time = new Date(Date.UTC(2026, 0, 1) + i * 1700).toISOString();
    const level = pick(['INFO', 'INFO', 'INFO', 'WARN', 'ERROR']);
    const service = pick(['harbour', 'lighthouse', 'ferry', 'warehouse']);
    const event = pick([
      `request finished path=/v1/${service} status=${pick(['200', '200', '404', '500'])} ms=${random.integer(900)}`,
      `connection opened peer=10.0.${random.integer(9)}.${random.integer(99)}`,
      'connection closed by peer',
      `retrying in ${random.integer(30)} seconds, attempt ${1 + random.integer(5)} of 5`,
    ]);
    return `${time} ${level} ${service}: ${event}\n`;
  }).join('');
}
