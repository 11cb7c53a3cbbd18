import { createHash } from 'node:crypto';
import { type Edition, identifiersOf, type PaperFacts } from '@working-papers/edition';
import type { Db } from './database/connect.ts';
import { monthOfArxivId } from './papers/identifiers.ts';
import { storeDay, storePapers } from './papers/records.ts';

/**
 * Puts our own editions into the database, in their order; again only when an edition's facts have changed. Titles
 * and authors that a better authority has told stay. Resolves to the dates of those that were written.
 */
export async function seedEditions(db: Db, editions: readonly Edition[]): Promise<readonly string[]> {
  const written: string[] = [];
  for (const edition of editions) if (await seedEdition(db, edition)) written.push(edition.date);
  return written;
}

async function seedEdition(db: Db, edition: Edition): Promise<boolean> {
  const { number, date, subject, question } = edition;
  const factsHash = createHash('sha256').update(JSON.stringify(edition)).digest('base64url');
  return db.transaction().execute(async (transaction) => {
    const facts = { number, subject, question, factsHash };
    const changed = await transaction
      .insertInto('editions')
      .values({ date, ...facts })
      .onConflict((conflict) =>
        conflict.column('date').doUpdateSet(facts).where('editions.factsHash', 'is distinct from', factsHash),
      )
      .returning('date')
      .execute();
    if (changed.length === 0) return false;

    const papers = edition.papers.map((paper) => ({ paper, id: arxivOf(paper) }));
    await storePapers(
      transaction,
      papers.map(({ paper, id }) => ({
        id,
        title: paper.title,
        authors: paper.authors,
        publishedAt: monthOfArxivId(id),
        publishedPrecision: 'month',
        ...(codeOf(paper) && { codeUrl: codeOf(paper)! }),
      })),
      'edition',
    );
    for (const { paper, id } of papers) {
      await transaction
        .updateTable('papers')
        .set({
          workId: paper.id,
          workName: paper.name,
          workState: paper.state,
          summary: paper.summary,
          mismatch: paper.mismatch,
          subject,
          keywords: [...paper.tags],
          links: JSON.stringify(paper.links),
        })
        .where('id', '=', id)
        .execute();
    }
    const ids = papers.map(({ id }) => id);
    await transaction
      .deleteFrom('editionPapers')
      .where('date', '=', date)
      .where('origin', '=', 'edition')
      .where('paperId', 'not in', ids)
      .execute();
    await storeDay(
      transaction,
      date,
      'edition',
      ids.map((paperId) => ({ paperId })),
    );
    return true;
  });
}

/** Papers are filed under arXiv identifiers, so an edition's paper needs one. */
function arxivOf(paper: PaperFacts): string {
  const found = identifiersOf(paper).find(({ scheme }) => scheme === 'arXiv');
  if (!found) throw new Error(`${paper.id}: expected an arXiv identifier, found none`);
  return found.value;
}

function codeOf({ links }: PaperFacts): string | undefined {
  return links.find(({ label }) => label === 'Code')?.url;
}
