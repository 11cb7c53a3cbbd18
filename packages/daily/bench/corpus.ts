/** A corpus of made-up papers, the same for the same seed: enough of the field's words to search and to collide. */
import type { Db } from '@working-papers/daily/database/connect';
import { addDays } from '@working-papers/daily/dates';
import { type PaperRecord, storeDay, storePapers } from '@working-papers/daily/papers/records';

const subjects =
  'diffusion transformer attention language vision speech video image graph tracking detection segmentation retrieval reasoning alignment distillation quantization pruning caching decoding sampling planning control robotics reinforcement generation translation recognition summarization clustering forecasting optimization regularization calibration uncertainty robustness fairness privacy federated continual contrastive generative adversarial variational autoregressive recurrent convolutional sparse dense latent causal bayesian spectral hierarchical multimodal temporal spatial semantic geometric probabilistic neural deep'.split(
    ' ',
  );
const things =
  'model network method framework approach benchmark dataset policy agent encoder decoder embedding prompt token gradient loss kernel cache memory tree prior posterior trajectory reward curriculum adapter expert teacher student layer head query prefix window anchor proposal pixel voxel patch frame scene object mask depth pose motion voice'.split(
    ' ',
  );
const joins = 'with for from via under beyond without toward against within'.split(' ');
const names =
  'Wang Li Zhang Chen Liu Yang Huang Zhao Wu Zhou Müller García Rossi Novak Kim Park Lee Tanaka Sato Suzuki Smith Johnson Brown Silva Santos Ivanov Kumar Singh Sharma Nguyen Tran Hansen Dubois Martin Cohen Levy Haddad Okafor Mensah Mbeki'.split(
    ' ',
  );
const categories = ['cs.LG', 'cs.CV', 'cs.CL', 'cs.AI', 'cs.RO', 'stat.ML', 'eess.AS', 'eess.IV'];

/** mulberry32 */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Frequencies fall as in real text: the tenth word is a tenth as frequent as the first. */
function zipf<T>(items: readonly T[], next: () => number): T {
  const at = Math.floor(items.length ** next()) - 1;
  return items[Math.max(0, Math.min(items.length - 1, at))]!;
}

/** A rare word, as every field has many: two syllables and a number of combinations. */
function rareWord(next: () => number): string {
  const syllables = 'ba ce di fo gu ha je ki lo mu na pe qi ro su ta ve wi xo yu za'.split(' ');
  return Array.from({ length: 3 }, () => syllables[Math.floor(next() * syllables.length)]).join('');
}

/** The day of the newest paper. */
export const newestDay = '2026-08-31';

/** `index` 0 is the newest; fifty a day. */
export function paper(index: number): PaperRecord {
  const next = random(index + 1);
  const pick = <T>(items: readonly T[]) => items[Math.floor(next() * items.length)]!;
  const phrase = () => `${zipf(subjects, next)} ${zipf(things, next)}`;
  const date = addDays(newestDay, -Math.floor(index / 50));
  const sentence = () =>
    `We ${pick(['study', 'propose', 'measure', 'revisit', 'train'])} ${phrase()} ${pick(joins)} ${zipf(subjects, next)} ${phrase()} ${pick(joins)} ${phrase()} and ${rareWord(next)}.`;
  const title = `${phrase()} ${pick(joins)} ${zipf(subjects, next)} ${phrase()}${next() < 0.5 ? `: ${rareWord(next)}` : ''}`;
  const [, year, month] = /^..(..)-(..)/.exec(date)!;
  return {
    id: `${year}${month}.${String(index % 100_000).padStart(5, '0')}`,
    title: title[0]!.toUpperCase() + title.slice(1),
    authors: Array.from(
      { length: 1 + Math.floor(next() * 6) },
      () => `${pick('ABCDEFGHJKLMNPRSTW'.split(''))}. ${pick(names)}`,
    ),
    abstract: Array.from({ length: 9 }, sentence).join(' '),
    publishedAt: new Date(`${date}T${String(index % 24).padStart(2, '0')}:00:00Z`),
    categories: [pick(categories), pick(categories)],
    upvotes: Math.floor(120 ** next()),
    ...(next() < 0.4 && {
      codeUrl: `https://github.com/example/paper-${index}`,
      codeStars: Math.floor(5000 ** next()),
    }),
  };
}

/** Fills a database, fifty papers a day. */
export async function fill(db: Db, count: number, onProgress?: (done: number) => void): Promise<void> {
  const batch = 500;
  for (let from = 0; from < count; from += batch) {
    const papers = Array.from({ length: Math.min(batch, count - from) }, (_, offset) => paper(from + offset));
    await db.transaction().execute(async (transaction) => {
      await storePapers(transaction, papers, 'hf');
      const days = Map.groupBy(papers, ({ publishedAt }) => publishedAt.toISOString().slice(0, 10));
      for (const [date, entries] of days) {
        await storeDay(
          transaction,
          date,
          'hf',
          entries.map(({ id, upvotes = 0 }) => ({ paperId: id, upvotes })),
        );
      }
    });
    onProgress?.(from + papers.length);
  }
}
