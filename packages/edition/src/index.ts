import { edition20260910 } from './edition-2026-09-10.ts';
import type { Edition, PaperFacts } from './types.ts';

export { edition20260910 } from './edition-2026-09-10.ts';
export { identifiersOf } from './identifiers.ts';
export type { Axis, Claim, Figure, Point, Report, Series, Table } from './report.ts';
export { readReport } from './report.ts';
export * from './report-text.ts';
export type { Edition, Identifier, Link, PaperFacts, PaperState } from './types.ts';

/** All editions, newest first. */
export const editions: readonly [Edition, ...Edition[]] = [edition20260910];

/** The edition of an ISO date, if there is one. */
export function editionOf(date: string): Edition | undefined {
  return editions.find((edition) => edition.date === date);
}

/** A paper with the edition it appeared in. */
export function findPaper(id: string): { edition: Edition; paper: PaperFacts } | undefined {
  for (const edition of editions) {
    const paper = edition.papers.find((candidate) => candidate.id === id);
    if (paper) return { edition, paper };
  }
  return undefined;
}
