/** Papers for the tests: invented, some of them hostile, on the days around our first edition and on today's. */

import type { Database } from '@working-papers/daily/database/connect';
import { addDays, utcDate } from '@working-papers/daily/dates';
import { type PaperRecord, storeDay, storePapers } from '@working-papers/daily/papers/records';

const subjects = ['attention', 'distillation', 'quantization', 'retrieval', 'planning', 'segmentation'];
const verbs = ['Learning', 'Rethinking', 'Scaling', 'Pruning', 'Aligning', 'Probing'];
const objects = ['Long Contexts', 'Small Models', 'Noisy Labels', 'Video Tokens', 'Sparse Experts'];
const names = ['Ada Lovelace', 'Alan Turing', 'Grace Hopper', 'Jürgen Möller', 'Kurt Gödel', 'Emmy Noether'];
const categories = ['cs.LG', 'cs.CL', 'cs.CV', 'stat.ML'];

const at = <T>(list: readonly T[], index: number): T => list[index % list.length]!;

function invented(index: number, date: string): PaperRecord {
  const subject = at(subjects, index);
  const title = `${at(verbs, index * 5 + 1)} ${at(objects, index * 7)} by Calibrated ${subject} (${index})`;
  return {
    id: `2609.${String(10_000 + index)}`,
    title,
    authors: Array.from({ length: 1 + (index % 9) }, (_, author) => at(names, index + author)),
    abstract:
      `We study how ${subject} behaves when the data of a model's use are not those of its training. ` +
      `A schedule of ${index + 2} steps closes the gap on three tasks. ` +
      'It costs no parameters and one line of code, and the gain holds for models of four sizes. ' +
      'An ablation says which of its parts carries the effect, and a failure case says where it ends.',
    publishedAt: new Date(`${addDays(date, -2)}T09:00:00Z`),
    version: 1,
    categories: [at(categories, index), ...(index % 3 === 0 ? ['cs.AI'] : [])],
    keywords: [subject],
    upvotes: (index * 17) % 60,
    ...(index % 4 === 0 && { codeUrl: `https://github.com/example/paper-${index}`, codeStars: index * 31 }),
  };
}

/** What authors and attackers put into titles and abstracts. */
export const oddPapers: readonly PaperRecord[] = [
  {
    id: '2609.20001',
    title: 'An $\\mathcal{O}(n \\log n)$ Bound on $\\ell_2$-Regularised G\\"odel Machines',
    authors: ['Kurt G\\"odel', 'J. M\\"oller'],
    abstract:
      'We show that $\\sum_{i=1}^{n} \\frac{x_i}{\\sqrt{1 + x_i^2}} \\le \\mathcal{O}(\\log n)$ holds \\emph{almost surely}, ' +
      'at a price between $5 and $10 per run. The bound is tight for $\\alpha < \\beta$.',
    publishedAt: new Date('2026-09-07T12:00:00Z'),
    categories: ['math.ST', 'cs.LG'],
  },
  {
    id: '2609.20002',
    title: '<script>alert(1)</script> & "Quotes": On <b>Hostile</b> Titles',
    authors: ['<img src=x onerror=alert(2)>', 'Bobby "; drop table papers; --'],
    abstract:
      'See $\\href{javascript:alert(3)}{here}$ and $\\includegraphics{https://example.org/x.png}$ and ' +
      '$\\htmlStyle{position:fixed}{x}$; </p></article><script>alert(4)</script> ends nothing.',
    publishedAt: new Date('2026-09-07T11:00:00Z'),
    categories: ['cs.CR'],
    codeUrl: 'javascript:alert(5)',
    projectUrl: 'https://example.org/project',
  },
  {
    id: 'math/0309136',
    title: 'A Paper of the Old Numbering',
    authors: ['Emmy Noether'],
    abstract: 'Its identifier has a slash in it.',
    publishedAt: new Date('2003-09-08T00:00:00Z'),
    categories: ['math.GT'],
    withdrawn: true,
    doi: '10.1000/182',
    comment: '12 pages',
  },
];

export const sampleDay = '2026-09-09';
export const samplePapers = Array.from({ length: 40 }, (_, index) => invented(index, sampleDay));
const beside = Array.from({ length: 3 }, (_, index) => invented(50 + index, '2026-09-10'));

export async function fillWithSample({ db }: Database): Promise<void> {
  const today = utcDate(new Date());
  const todays = Array.from({ length: 12 }, (_, index) => invented(60 + index, today));
  const entries = (papers: readonly PaperRecord[]) =>
    papers.map(({ id, upvotes = 0 }) => ({ paperId: id, upvotes }));
  await db.transaction().execute(async (transaction) => {
    await storePapers(transaction, [...samplePapers, ...beside, ...todays], 'hf');
    await storePapers(transaction, oddPapers, 'arxiv');
    await storeDay(transaction, sampleDay, 'hf', entries(samplePapers));
    await storeDay(transaction, '2026-09-10', 'hf', entries(beside));
    await storeDay(transaction, '2026-09-07', 'arxiv', entries(oddPapers));
    await storeDay(transaction, today, 'hf', entries(todays));
  });
}
