/** What a backup holds, in an order in which rows find what they refer to. Derived tables are made anew. */
export const archivedTables = [
  'papers',
  'editions',
  'edition_papers',
  'users',
  'login_tokens',
  'sessions',
  'votes',
  'library',
  'saved_searches',
  'subscriptions',
  'digests',
  'deliveries',
  'ingest_days',
  'ingest_log',
  'secrets',
] as const;

export type ArchivedTable = (typeof archivedTables)[number];

/** Columns that the database makes itself: counts by triggers, the search index's text, running numbers. */
export const madeColumns: Readonly<Partial<Record<ArchivedTable, readonly string[]>>> = {
  papers: ['search', 'title_words', 'votes'],
  editions: ['papers'],
  ingest_log: ['id'],
};

export const archiveFormat = 'working-papers-backup';
export const archiveVersion = 1;

export interface ArchiveHeader {
  readonly format: typeof archiveFormat;
  readonly version: number;
  readonly madeAt: string;
  readonly columns: Readonly<Record<string, readonly string[]>>;
}

/** The last line: without it, or with other counts than there were rows, an archive is not whole. */
export interface ArchiveEnd {
  readonly end: true;
  readonly counts: Readonly<Record<string, number>>;
}
