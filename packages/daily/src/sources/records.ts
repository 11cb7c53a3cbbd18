import type { PaperRecord } from '../papers/records.ts';

/** A record that could not be read: where it stood, what was wrong. */
export interface Rejected {
  readonly at: string;
  readonly message: string;
}

export interface Records {
  readonly papers: readonly PaperRecord[];
  readonly rejected: readonly Rejected[];
}

/** Reads records one by one: a bad one is told and spoils no other. */
export function readEach(
  items: readonly unknown[],
  name: string,
  read: (item: unknown) => PaperRecord,
): Records {
  const papers: PaperRecord[] = [];
  const rejected: Rejected[] = [];
  items.forEach((item, index) => {
    try {
      papers.push(read(item));
    } catch (error) {
      rejected.push({
        at: `${name}[${index}]`,
        message: error instanceof Error ? error.message : String(error),
      });
    }
  });
  return { papers, rejected };
}
