/** The tables as Kysely sees them: columns in camelCase here, in snake_case in the database. */

import type { ColumnType, Generated, JSONColumnType } from 'kysely';

/** ISO 8601 calendar date, `2026-09-10`: a day has no time zone. */
export type IsoDate = string;

/** Given as a date or an ISO 8601 text, always read as a date. */
type Timestamp = ColumnType<Date, Date | string, Date | string>;
type Now = ColumnType<Date, Date | string | undefined, Date | string>;
/** Arrays are JSON texts on the way in, because drivers would make PostgreSQL arrays of them. */
type Json<T extends object | null> = JSONColumnType<T, string, string>;

export interface PaperLink {
  readonly label: string;
  readonly url: string;
}

/** Who said what stands in the bibliographic columns; each one gives way to those behind it. */
export const authorities = ['edition', 'hf', 'arxiv'] as const;
export type Authority = (typeof authorities)[number];

interface PapersTable {
  /** arXiv identifier without version: `2310.09163`, `cs/0112017`. */
  id: string;
  version: number | null;
  title: string;
  /** In the paper's order. */
  authors: string[];
  abstract: string | null;
  publishedAt: Timestamp;
  /** `month` where all that is known is the identifier. */
  publishedPrecision: Generated<'day' | 'month'>;
  updatedAt: ColumnType<Date | null, Date | string | null, Date | string | null>;
  categories: Generated<string[]>;
  keywords: Generated<string[]>;
  links: Json<readonly PaperLink[]>;
  doi: string | null;
  journal: string | null;
  comment: string | null;
  codeUrl: string | null;
  codeStars: number | null;
  projectUrl: string | null;
  withdrawn: Generated<boolean>;
  authority: Authority;
  /** Upvotes and comments where the paper came from, as last seen. */
  sourceUpvotes: Generated<number>;
  sourceComments: Generated<number>;
  /** Rows of `votes`, counted by a trigger. */
  votes: ColumnType<number, never, never>;
  /** Set on papers of our own editions: the word behind `wp run`, and the facts of the edition. */
  workId: string | null;
  workName: string | null;
  workState: 'works' | 'not yet' | null;
  summary: string | null;
  mismatch: string | null;
  subject: string | null;
  /** When arXiv was last asked about it; it may have known nothing. */
  askedArxivAt: ColumnType<Date | null, never, Date>;
  storedAt: Now;
  changedAt: Now;
}

interface EditionsTable {
  date: IsoDate;
  /** Set on our own editions, as everything up to `factsHash`. */
  number: number | null;
  subject: string | null;
  question: string | null;
  factsHash: string | null;
  /** Counted by a trigger: an edition with none is an empty day. */
  papers: ColumnType<number, never, never>;
}

export type Origin = 'edition' | 'hf' | 'arxiv' | 'submit';

interface EditionPapersTable {
  date: IsoDate;
  paperId: string;
  position: number;
  /** As seen at the source on that day's page. */
  upvotes: Generated<number>;
  origin: Origin;
}

interface WordsTable {
  word: string;
  /** As full text search has it; null where that drops the word. */
  lexeme: string | null;
  papers: number;
}

interface UsersTable {
  id: Generated<string>;
  /** Lower case. */
  email: string;
  createdAt: Now;
  timeZone: Generated<string>;
}

interface LoginTokensTable {
  hash: string;
  email: string;
  createdAt: Now;
  expiresAt: Timestamp;
  usedAt: ColumnType<Date | null, never, Date>;
}

interface SessionsTable {
  hash: string;
  userId: string;
  createdAt: Now;
  seenAt: Now;
  expiresAt: Timestamp;
}

interface VotesTable {
  userId: string;
  paperId: string;
  createdAt: Now;
}

interface LibraryTable {
  userId: string;
  paperId: string;
  addedAt: Now;
  readAt: ColumnType<Date | null, Date | null | undefined, Date | null>;
  tags: Generated<string[]>;
}

interface SavedSearchesTable {
  id: Generated<string>;
  userId: string;
  name: string;
  /** A search as `search` takes it. */
  query: Json<Readonly<Record<string, unknown>>>;
  alert: Generated<boolean>;
  createdAt: Now;
  /** Papers stored up to here have been told. */
  toldUntil: Now;
}

export type Frequency = 'daily' | 'weekly';

export interface Wish {
  readonly frequency: Frequency;
  readonly timeZone: string;
}

interface SubscriptionsTable {
  id: Generated<string>;
  /** Lower case. */
  email: string;
  frequency: Frequency;
  timeZone: string;
  state: Generated<'pending' | 'active' | 'ended'>;
  /** What becomes true when it is confirmed. */
  wanted: JSONColumnType<Wish | null, string | null, string | null>;
  confirmHash: string | null;
  confirmExpiresAt: ColumnType<Date | null, Date | null, Date | null>;
  createdAt: Now;
  confirmedAt: ColumnType<Date | null, Date | null | undefined, Date | null>;
  endedAt: ColumnType<Date | null, Date | null | undefined, Date | null>;
  /** When its next digest is due; the period is the reader's local date at that time. */
  nextDueAt: ColumnType<Date | null, Date | null | undefined, Date | null>;
}

interface DigestsTable {
  id: Generated<string>;
  frequency: Frequency;
  /** The local date on which it is due: two readers in one period get the same papers. */
  period: IsoDate;
  content: Json<object>;
  createdAt: Now;
}

interface DeliveriesTable {
  id: Generated<string>;
  /** What it is, to whom: the same mail can be wanted once only. */
  key: string;
  email: string;
  subscriptionId: string | null;
  digestId: string | null;
  savedSearchId: string | null;
  /** The content of an alert; a digest's is shared. */
  content: JSONColumnType<object | null, string | null, string | null>;
  state: Generated<'waiting' | 'sending' | 'sent' | 'dropped'>;
  attempts: Generated<number>;
  dueAt: Now;
  /** Of the worker that has it, until the lease ends. */
  claim: ColumnType<string | null, never, string | null>;
  leaseUntil: ColumnType<Date | null, never, Date | null>;
  /** When the last try began to speak to the mail server. */
  beganAt: ColumnType<Date | null, never, Date | null>;
  sentAt: ColumnType<Date | null, never, Date | null>;
  error: ColumnType<string | null, never, string | null>;
}

interface IngestDaysTable {
  source: 'hf' | 'arxiv';
  date: IsoDate;
  state: 'done' | 'partial' | 'failed';
  etag: string | null;
  lastModified: string | null;
  fetchedAt: Now;
  records: Generated<number>;
  rejected: Generated<number>;
  error: string | null;
}

interface IngestLogTable {
  id: Generated<number>;
  at: Now;
  source: string;
  date: IsoDate | null;
  outcome: 'done' | 'unchanged' | 'partial' | 'failed';
  records: Generated<number>;
  stored: Generated<number>;
  changed: Generated<number>;
  rejected: Generated<number>;
  message: string | null;
}

interface SourceClocksTable {
  source: string;
  nextAt: Timestamp;
}

interface RateLimitsTable {
  key: string;
  fullAt: Timestamp;
}

interface SecretsTable {
  name: string;
  value: string;
}

interface PaperEmbeddingsTable {
  paperId: string;
  model: string;
  /** Of the text that was embedded: another text is embedded anew. */
  textHash: string;
  embedding: string;
}

export interface Tables {
  papers: PapersTable;
  editions: EditionsTable;
  editionPapers: EditionPapersTable;
  words: WordsTable;
  users: UsersTable;
  loginTokens: LoginTokensTable;
  sessions: SessionsTable;
  votes: VotesTable;
  library: LibraryTable;
  savedSearches: SavedSearchesTable;
  subscriptions: SubscriptionsTable;
  digests: DigestsTable;
  deliveries: DeliveriesTable;
  ingestDays: IngestDaysTable;
  ingestLog: IngestLogTable;
  sourceClocks: SourceClocksTable;
  rateLimits: RateLimitsTable;
  secrets: SecretsTable;
  /** There only where the database has pgvector. */
  paperEmbeddings: PaperEmbeddingsTable;
}
