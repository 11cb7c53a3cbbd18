/** Whether a paper fulfils the eight conditions under which it counts as working. */
export type PaperState = 'works' | 'not yet';

export interface Link {
  label: string;
  url: string;
}

/** A name under which a paper is registered somewhere, with the page that answers to it. */
export interface Identifier {
  scheme: 'arXiv' | 'DOI';
  value: string;
  url: string;
  /** Set on further versions of the same work: 'journal version', 'first version' ... */
  note?: string;
}

/** What the edition knows about a paper: facts, and sentences of our own. Abstracts are never copied. */
export interface PaperFacts {
  /** The folder under `packages/papers` and the word behind `wp run`. */
  id: string;
  /** The name under which the field knows the method. */
  name: string;
  title: string;
  /** In the paper's order; initials or surnames alone where the full name is not confirmed. */
  authors: readonly string[];
  year: number;
  venue?: string;
  arxiv?: string;
  doi?: string;
  otherIdentifiers?: readonly Identifier[];
  /** Code and further pages; the identifiers' own pages come from `identifiersOf`. */
  links: readonly Link[];
  /** Exactly two sentences: what the paper does, and what its training-inference mismatch is. */
  summary: string;
  /** The mismatch in a few words. */
  mismatch: string;
  /** The mismatch as a pair: what training shows the model, and what inference does. */
  gap: { training: string; inference: string };
  tags: readonly string[];
  /** What `wp run` takes, as its help says it: `PHOTO`. Only where the paper works. */
  input?: string;
  state: PaperState;
}

export interface Edition {
  /** Counts from 1. */
  number: number;
  /** ISO 8601 calendar date; also the edition's address, `/date/2026-09-10`. */
  date: string;
  subject: string;
  /** The one question that all papers of the edition answer. */
  question: string;
  papers: readonly PaperFacts[];
}
