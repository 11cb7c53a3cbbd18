import type { Database } from '@working-papers/daily/database/connect';
import { bibtex } from '@working-papers/daily/papers/bibtex';
import type { PaperDetails } from '@working-papers/daily/papers/cards';
import { abstractPage, htmlPage, pdfPage } from '@working-papers/daily/papers/identifiers';
import { relatedPapers } from '@working-papers/daily/papers/related';
import type { PaperView } from '#lib/papers.ts';
import { toListed, webAddress } from './listing.ts';
import { plain, toPieces } from './tex.ts';

const relatedShown = 6;

export async function paperView(database: Database, paper: PaperDetails): Promise<PaperView> {
  const { id, abstract, dates, doi, journal, comment } = paper;
  const code = webAddress(paper.codeUrl);
  const project = webAddress(paper.projectUrl);
  const related = await relatedPapers(database, id, relatedShown);
  return {
    ...toListed(paper),
    abstract: abstract === null ? null : toPieces(abstract),
    ...{ dates, doi, journal: journal && plain(journal), comment: comment && plain(comment) },
    links: [
      { label: `arXiv ${id}`, url: abstractPage(id) },
      { label: 'PDF', url: pdfPage(id) },
      { label: 'HTML', url: htmlPage(id) },
      ...(code ? [{ label: 'Code', url: code }] : []),
      ...(project ? [{ label: 'Project', url: project }] : []),
    ],
    related: related.map((card) => toListed(card)),
    bibtex: bibtex(paper),
  };
}
