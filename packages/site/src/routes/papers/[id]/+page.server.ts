import { error } from '@sveltejs/kit';
import { findPaper } from '@working-papers/edition';
import { exampleOf, reportOf } from '#lib/server/results.ts';
import type { PageServerLoad } from './$types';

export const load: PageServerLoad = ({ params }) => {
  const found = findPaper(params.id);
  if (!found) error(404, `No edition has a paper “${params.id}”.`);
  const { edition, paper } = found;
  const position = edition.papers.indexOf(paper);
  const neighbour = (index: number) => {
    const other = edition.papers[index];
    return other && { id: other.id, name: other.name };
  };
  const works = paper.state === 'works';
  return {
    paper,
    edition: { date: edition.date, number: edition.number },
    position,
    previous: neighbour(position - 1),
    next: neighbour(position + 1),
    // A paper that does not work yet shows no figures, even where its folder holds some already.
    report: works ? reportOf(paper.id) : undefined,
    example: works ? exampleOf(paper.id) : undefined,
  };
};
