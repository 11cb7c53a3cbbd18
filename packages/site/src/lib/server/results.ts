import { offered as examples } from 'virtual:paper-examples';
import { offered as results } from 'virtual:paper-results';
import { type Report, readReport } from '@working-papers/edition';

/** A paper's measured figures; undefined where it has not been measured. */
export function reportOf(id: string): Report | undefined {
  if (!Object.hasOwn(results, id)) return undefined;
  try {
    return readReport(results[id]);
  } catch (error) {
    throw new Error(`${id}/results.json: ${error instanceof Error ? error.message : error}`);
  }
}

/** The source of the paper's `example.ts`: shown as it runs, not retold. */
export function exampleOf(id: string): string | undefined {
  return Object.hasOwn(examples, id) ? examples[id]?.trim() : undefined;
}
