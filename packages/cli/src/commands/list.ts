import type { Edition } from '@working-papers/edition';
import { defineCommand } from '@working-papers/paper';

export function listCommand(editions: readonly Edition[]) {
  return defineCommand({
    summary: 'list the papers of every edition and whether they work',
    examples: ['wp list', "wp list --json | jq -r '.[].papers[].id'"],
    execute({ output }) {
      for (const { number, date, subject, papers } of editions) {
        output.print(`Edition ${number}, ${date}: ${subject}\n`);
        output.table(
          ['paper', 'state', 'year', 'title'],
          papers.map(({ id, state, year, title }) => [id, state, String(year), title]),
        );
      }
      output.result(editions);
    },
  });
}
