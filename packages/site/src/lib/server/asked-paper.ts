import { error } from '@sveltejs/kit';
import { findPaper, findWork, type PaperDetails } from '@working-papers/daily/papers/cards';
import { findArxivId } from '@working-papers/daily/papers/identifiers';
import { services } from './services.ts';

/** A paper by its word or by any form of its arXiv identifier. Answers 404 where there is none. */
export async function askedPaper(name: string): Promise<PaperDetails> {
  const { db } = services().database;
  const asked = findArxivId(name);
  const paper = asked ? await findPaper(db, asked.id) : await findWork(db, name);
  if (!paper) {
    error(404, asked ? `arXiv:${asked.id} has not appeared here.` : `No edition has a paper “${name}”.`);
  }
  return paper;
}
