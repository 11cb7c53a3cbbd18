import { error, redirect } from '@sveltejs/kit';
import { findPaper, findWork } from '@working-papers/daily/papers/cards';
import { findArxivId } from '@working-papers/daily/papers/identifiers';
import { findPaper as findOwn } from '@working-papers/edition';
import type { OwnPaper } from '#lib/own-paper.ts';
import { addressOf } from '#lib/server/listing.ts';
import { paperView } from '#lib/server/paper-view.ts';
import { exampleOf, reportOf } from '#lib/server/results.ts';
import { services } from '#lib/server/services.ts';
import { resolve } from '$app/paths';
import type { PageServerLoad } from './$types';

export const load: PageServerLoad = async ({ params: { id } }) => {
  const { database } = services();
  const found = findOwn(id);
  if (found) {
    const { date, number } = found.edition;
    const details = await findWork(database.db, id);
    return {
      own: ownPaper(found),
      edition: { date, number },
      view: details && (await paperView(database, details)),
    };
  }
  const asked = findArxivId(id);
  if (!asked) error(404, `No edition has a paper “${id}”.`);
  const details = await findPaper(database.db, asked.id);
  // One paper, one address: versions, links and other spellings lead to it.
  const address = details ? addressOf(details) : asked.id;
  if (address !== id) redirect(308, resolve('/papers/[...id]', { id: address }));
  if (!details) error(404, `arXiv:${asked.id} has not appeared here.`);
  return { view: await paperView(database, details) };
};

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
