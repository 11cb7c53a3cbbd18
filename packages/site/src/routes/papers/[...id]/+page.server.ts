import { error, redirect } from '@sveltejs/kit';
import { findPaper, findWork, type PaperDetails, readerMarks } from '@working-papers/daily/papers/cards';
import { findArxivId } from '@working-papers/daily/papers/identifiers';
import { findPaper as findOwn } from '@working-papers/edition';
import type { OwnPaper } from '#lib/own-paper.ts';
import { addressOf } from '#lib/server/listing.ts';
import { paperActions } from '#lib/server/paper-actions.ts';
import { paperView } from '#lib/server/paper-view.ts';
import { exampleOf, reportOf } from '#lib/server/results.ts';
import { services } from '#lib/server/services.ts';
import { resolve } from '$app/paths';
import type { Actions, PageServerLoad } from './$types';

export const load: PageServerLoad = async ({ params: { id }, locals }) => {
  const { database } = services();
  const found = findOwn(id);
  if (found) {
    const { date, number } = found.edition;
    const details = await findWork(database.db, id);
    return {
      own: ownPaper(found),
      edition: { date, number },
      ...(details && (await shown(details, locals))),
    };
  }
  const asked = findArxivId(id);
  if (!asked) error(404, `No edition has a paper “${id}”.`);
  const details = await findPaper(database.db, asked.id);
  // One paper, one address: versions, links and other spellings lead to it.
  const address = details ? addressOf(details) : asked.id;
  if (address !== id) redirect(308, resolve('/papers/[...id]', { id: address }));
  if (!details) error(404, `arXiv:${asked.id} has not appeared here.`);
  return shown(details, locals);
};

export const actions = paperActions satisfies Actions;

async function shown(details: PaperDetails, { reader }: App.Locals) {
  const { database } = services();
  const nothing = { voted: false, inLibrary: false, read: false };
  const marks = reader && (await readerMarks(database.db, reader.id, [details.id]))[details.id];
  return { view: await paperView(database, details), marks: reader && (marks ?? nothing) };
}

function ownPaper({ edition, paper }: NonNullable<ReturnType<typeof findOwn>>): OwnPaper {
  const position = edition.papers.indexOf(paper);
  const neighbour = (index: number) => {
    const other = edition.papers[index];
    return other && { id: other.id, name: other.name };
  };
  const works = paper.state === 'works';
  return {
    paper,
    position,
    previous: neighbour(position - 1),
    next: neighbour(position + 1),
    // A paper that does not work yet shows no figures, even where its folder holds some already.
    report: works ? reportOf(paper.id) : undefined,
    example: works ? exampleOf(paper.id) : undefined,
  };
}
