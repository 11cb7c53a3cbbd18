/** How well a list of results answers a query: C. D. Manning et al., Introduction to Information Retrieval, chapter 8. */
export interface Measures {
  /** Answers among the first ten results, of ten or of all that there are. */
  readonly recallAt10: number;
  /** Reciprocal place of the first answer among the first ten results; 0 where there is none. */
  readonly reciprocalRank: number;
  /** Discounted gain of the first ten results against the best order, every answer worth the same. */
  readonly ndcgAt10: number;
}

const depth = 10;
const discount = (place: number) => 1 / Math.log2(place + 2);
const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);

export function measure(found: readonly string[], answers: readonly string[]): Measures {
  const wanted = new Set(answers);
  const best = Math.min(depth, wanted.size);
  if (best === 0) throw new Error('answers: expected at least one');
  const hits = found.slice(0, depth).flatMap((id, place) => (wanted.has(id) ? [place] : []));
  return {
    recallAt10: hits.length / best,
    reciprocalRank: hits[0] === undefined ? 0 : 1 / (hits[0] + 1),
    ndcgAt10: sum(hits.map(discount)) / sum(Array.from({ length: best }, (_, place) => discount(place))),
  };
}

export function meanOf(all: readonly Measures[]): Measures {
  const mean = (name: keyof Measures) => round(sum(all.map((one) => one[name])) / all.length);
  return {
    recallAt10: mean('recallAt10'),
    reciprocalRank: mean('reciprocalRank'),
    ndcgAt10: mean('ndcgAt10'),
  };
}

export const round = (value: number) => Number(value.toFixed(4));
