/** Papers as the page draws them: what the server has made of a record, ready to be set. */

/** A stretch of a title or an abstract. A formula is HTML that KaTeX wrote; everything else is text. */
export type Piece = { readonly text: string; readonly isHit?: boolean } | { readonly formula: string };
export type Pieces = readonly Piece[];

export const hasFormula = (pieces: Pieces): boolean => pieces.some((piece) => 'formula' in piece);

/** For places that hold text alone: a page's title, an accessible name. */
export function plainText(pieces: Pieces): string {
  return pieces.map((piece) => ('formula' in piece ? texOf(piece.formula) : piece.text)).join('');
}

/** KaTeX keeps the source beside what it has drawn. */
function texOf(formula: string): string {
  const source = /<annotation encoding="application\/x-tex">(.*?)<\/annotation>/s.exec(formula)?.[1] ?? '';
  const entities: Record<string, string> = { lt: '<', gt: '>', amp: '&', quot: '"', '#x27': "'" };
  return source.replaceAll(/&(lt|gt|amp|quot|#x27);/g, (_, name: string) => entities[name] ?? '');
}

/** A paper in a list. */
export interface ListedPaper {
  /** arXiv identifier. */
  readonly id: string;
  /** What follows `/papers/`: the word of a paper of our editions, else the identifier. */
  readonly address: string;
  readonly title: Pieces;
  readonly authors: readonly string[];
  /** The first sentences of the abstract, or our own. */
  readonly excerpt: Pieces;
  readonly categories: readonly string[];
  /** ISO 8601, a day or a month. */
  readonly published: string;
  readonly upvotes: number;
  /** Whether the reader has voted for it; undefined for who is not signed in. */
  readonly voted?: boolean | undefined;
  readonly codeUrl: string | null;
  readonly codeStars: number | null;
  readonly withdrawn: boolean;
  readonly work: { readonly name: string; readonly state: 'works' | 'not yet' } | null;
}

/** Of a paper of our own edition, whose facts are not in the database. */
export type Votes = Pick<ListedPaper, 'upvotes' | 'voted'>;

/** What a reader has done with a paper. */
export interface Marks {
  readonly voted: boolean;
  readonly inLibrary: boolean;
  readonly read: boolean;
}

/** A paper on its own page. */
export interface PaperView extends ListedPaper {
  /** Whole, where it is known. */
  readonly abstract: Pieces | null;
  /** Days on whose pages it stood, newest first. */
  readonly dates: readonly string[];
  readonly links: readonly { readonly label: string; readonly url: string }[];
  readonly doi: string | null;
  readonly journal: string | null;
  readonly comment: string | null;
  readonly related: readonly ListedPaper[];
  readonly bibtex: string;
}

/** What a search found. */
export interface SearchView {
  readonly papers: readonly ListedPaper[];
  /** Addresses of the next page and, behind it, of the first. */
  readonly more?: string;
  readonly first?: string;
  /** What was searched for, where the words that were typed stand in no paper. */
  readonly corrected?: string;
  /** No paper has all of the words. */
  readonly isLoose: boolean;
  /** There is no search by meaning here, or not yet. */
  readonly byWordsAlone: boolean;
}
