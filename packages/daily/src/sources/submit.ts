import { editions, identifiersOf } from '@working-papers/edition';
import { UserError } from '@working-papers/paper';
import type { Db } from '../database/connect.ts';
import type { IsoDate } from '../database/schema.ts';
import { utcDate } from '../dates.ts';
import { findArxivId } from '../papers/identifiers.ts';
import { storeDay, storePapers } from '../papers/records.ts';
import { papersById } from './arxiv.ts';
import type { Sources } from './sources.ts';

export interface Submitted {
  /** `known`: it was here already, under whatever form it was submitted. */
  readonly outcome: 'added' | 'known';
  readonly id: string;
}

/** Identifiers under which a paper of ours is registered as well: a journal version, a first version. */
const aliases: ReadonlyMap<string, string> = new Map(
  editions
    .flatMap(({ papers }) => papers)
    .flatMap((paper) => {
      const [first, ...others] = identifiersOf(paper).filter(({ scheme }) => scheme === 'arXiv');
      return first ? others.map(({ value }) => [value, first.value] as const) : [];
    }),
);

/**
 * Adds a paper that a reader names by any form of its arXiv identifier, to today's page. Throws a `UserError` where
 * the text names none or arXiv knows none, a `SourceError` where arXiv does not answer.
 */
export async function submit(
  db: Db,
  sources: Sources,
  text: string,
  { today = utcDate(new Date()), signal }: { today?: IsoDate; signal?: AbortSignal } = {},
): Promise<Submitted> {
  const found = findArxivId(text);
  if (!found) {
    throw new UserError(
      `expected an arXiv identifier or the address of a paper, as 2310.09163, found '${text.slice(0, 100)}'`,
    );
  }
  const id = aliases.get(found.id) ?? found.id;
  const known = await db.selectFrom('papers').select('id').where('id', '=', id).executeTakeFirst();
  if (known) return { outcome: 'known', id };

  const { papers, rejected } = await papersById(sources.arxiv, [id], signal);
  const paper = papers.find((candidate) => candidate.id === id);
  if (!paper) {
    const why = rejected[0] ? `: ${rejected[0].message}` : '';
    throw new UserError(`arXiv knows no paper ${id}${why}`);
  }
  await db.transaction().execute(async (transaction) => {
    await storePapers(transaction, [paper], 'arxiv');
    await storeDay(transaction, today, 'submit', [{ paperId: id }]);
  });
  return { outcome: 'added', id };
}
