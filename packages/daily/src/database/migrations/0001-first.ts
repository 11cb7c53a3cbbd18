/** Every statement alone: PGlite takes one at a time. */
export const first: readonly string[] = [
  `create extension if not exists pg_trgm`,
  `create extension if not exists unaccent`,
  `create extension if not exists fuzzystrmatch`,

  // English stems, with and without accents the same: a reader types Muller and finds Müller.
  `create text search configuration paper_words (copy = english)`,
  `alter text search configuration paper_words
     alter mapping for hword, hword_part, word, asciihword, asciiword, hword_asciipart
     with unaccent, english_stem`,

  // array_to_string is not declared immutable because of types with changing output; text is not one of them.
  `create function spaced(text[]) returns text language sql immutable parallel safe
     as $$ select array_to_string($1, ' ') $$`,

  `create table papers (
     id text primary key,
     version int,
     title text not null,
     authors text[] not null,
     abstract text,
     published_at timestamptz not null,
     published_precision text not null default 'day' check (published_precision in ('day', 'month')),
     updated_at timestamptz,
     categories text[] not null default '{}',
     keywords text[] not null default '{}',
     links jsonb not null default '[]',
     doi text,
     journal text,
     comment text,
     code_url text,
     code_stars int,
     project_url text,
     withdrawn boolean not null default false,
     authority text not null check (authority in ('edition', 'hf', 'arxiv')),
     source_upvotes int not null default 0,
     source_comments int not null default 0,
     votes int not null default 0,
     work_id text unique,
     work_name text,
     work_state text check (work_state in ('works', 'not yet')),
     summary text,
     mismatch text,
     subject text,
     asked_arxiv_at timestamptz,
     stored_at timestamptz not null default now(),
     changed_at timestamptz not null default now(),
     search tsvector not null generated always as (
       setweight(to_tsvector('paper_words', title || ' ' || coalesce(work_name, '')), 'A') ||
       setweight(to_tsvector('paper_words', spaced(authors)), 'B') ||
       setweight(to_tsvector('paper_words',
         spaced(keywords) || ' ' || coalesce(mismatch, '') || ' ' || coalesce(subject, '')), 'C') ||
       setweight(to_tsvector('paper_words', coalesce(abstract, '') || ' ' || coalesce(summary, '')), 'D')
     ) stored
   )`,
  // Lists are updated in place often (a sweep of upvotes), so a slow, compact index would be the wrong trade.
  `create index papers_search on papers using gin (search) with (fastupdate = on)`,
  // Titles alone as well, so that an old paper of that name is found among ten thousand newer that mention it.
  `create index papers_title_words on papers using gin (to_tsvector('paper_words', title))`,
  `create index papers_published on papers (published_at desc, id desc)`,
  `create index papers_categories on papers using gin (categories)`,
  `create index papers_stored on papers (stored_at)`,
  `create index papers_works on papers (work_state) where work_state is not null`,
  `create index papers_incomplete on papers (asked_arxiv_at nulls first, published_at desc)
     where authority <> 'arxiv'`,

  `create table editions (
     date date primary key,
     number int,
     subject text,
     question text,
     facts_hash text,
     papers int not null default 0
   )`,
  `create index editions_full on editions (date) where papers > 0`,
  `create index editions_own on editions (date) where subject is not null`,
  `create table edition_papers (
     date date not null references editions on delete cascade,
     paper_id text not null references papers on delete cascade,
     position int not null,
     upvotes int not null default 0,
     origin text not null check (origin in ('edition', 'hf', 'arxiv', 'submit')),
     primary key (date, paper_id)
   )`,
  `create index edition_papers_order on edition_papers (date, position)`,
  `create index edition_papers_paper on edition_papers (paper_id, date desc)`,

  // Words of titles, authors and keywords, to correct what a reader mistypes.
  `create table words (word text primary key, lexeme text, papers int not null)`,
  `create index words_lexemes on words (lexeme)`,
  `create index words_beginnings on words (word text_pattern_ops)`,
  `create index words_trigrams on words using gin (word gin_trgm_ops)`,

  `create table users (
     id uuid primary key default gen_random_uuid(),
     email text not null unique check (email = lower(email)),
     created_at timestamptz not null default now(),
     time_zone text not null default 'UTC'
   )`,
  `create table login_tokens (
     hash text primary key,
     email text not null,
     created_at timestamptz not null default now(),
     expires_at timestamptz not null,
     used_at timestamptz
   )`,
  `create index login_tokens_expiry on login_tokens (expires_at)`,
  `create table sessions (
     hash text primary key,
     user_id uuid not null references users on delete cascade,
     created_at timestamptz not null default now(),
     seen_at timestamptz not null default now(),
     expires_at timestamptz not null
   )`,
  `create index sessions_user on sessions (user_id)`,
  `create index sessions_expiry on sessions (expires_at)`,

  `create table votes (
     user_id uuid not null references users on delete cascade,
     paper_id text not null references papers on delete cascade,
     created_at timestamptz not null default now(),
     primary key (user_id, paper_id)
   )`,
  `create index votes_time on votes (created_at)`,
  `create index votes_paper on votes (paper_id)`,

  `create table library (
     user_id uuid not null references users on delete cascade,
     paper_id text not null references papers on delete cascade,
     added_at timestamptz not null default now(),
     read_at timestamptz,
     tags text[] not null default '{}',
     primary key (user_id, paper_id)
   )`,
  `create index library_order on library (user_id, added_at desc, paper_id desc)`,
  `create index library_paper on library (paper_id)`,

  `create table saved_searches (
     id uuid primary key default gen_random_uuid(),
     user_id uuid not null references users on delete cascade,
     name text not null,
     query jsonb not null,
     alert boolean not null default false,
     created_at timestamptz not null default now(),
     told_until timestamptz not null default now()
   )`,
  `create index saved_searches_user on saved_searches (user_id)`,

  `create table subscriptions (
     id uuid primary key default gen_random_uuid(),
     email text not null unique check (email = lower(email)),
     frequency text not null check (frequency in ('daily', 'weekly')),
     time_zone text not null,
     state text not null default 'pending' check (state in ('pending', 'active', 'ended')),
     wanted jsonb,
     confirm_hash text unique,
     confirm_expires_at timestamptz,
     created_at timestamptz not null default now(),
     confirmed_at timestamptz,
     ended_at timestamptz,
     next_due_at timestamptz,
     check (state <> 'active' or next_due_at is not null)
   )`,
  `create index subscriptions_due on subscriptions (next_due_at) where state = 'active'`,
  `create table digests (
     id uuid primary key default gen_random_uuid(),
     frequency text not null check (frequency in ('daily', 'weekly')),
     period date not null,
     content jsonb not null,
     created_at timestamptz not null default now(),
     unique (frequency, period)
   )`,
  `create table deliveries (
     id uuid primary key default gen_random_uuid(),
     key text not null unique,
     email text not null,
     subscription_id uuid references subscriptions on delete cascade,
     digest_id uuid references digests,
     saved_search_id uuid references saved_searches on delete cascade,
     content jsonb,
     state text not null default 'waiting' check (state in ('waiting', 'sending', 'sent', 'dropped')),
     attempts int not null default 0,
     due_at timestamptz not null default now(),
     claim uuid,
     lease_until timestamptz,
     began_at timestamptz,
     sent_at timestamptz,
     error text,
     check (digest_id is not null or content is not null)
   )`,
  `create index deliveries_open on deliveries (due_at) where state in ('waiting', 'sending')`,
  `create index deliveries_subscription on deliveries (subscription_id)`,
  `create index deliveries_search on deliveries (saved_search_id)`,

  `create table ingest_days (
     source text not null check (source in ('hf', 'arxiv')),
     date date not null,
     state text not null check (state in ('done', 'partial', 'failed')),
     etag text,
     last_modified text,
     fetched_at timestamptz not null default now(),
     records int not null default 0,
     rejected int not null default 0,
     error text,
     primary key (source, date)
   )`,
  `create table ingest_log (
     id int generated always as identity primary key,
     at timestamptz not null default now(),
     source text not null,
     date date,
     outcome text not null check (outcome in ('done', 'unchanged', 'partial', 'failed')),
     records int not null default 0,
     stored int not null default 0,
     changed int not null default 0,
     rejected int not null default 0,
     message text
   )`,
  `create index ingest_log_source on ingest_log (source, id desc)`,
  `create table source_clocks (source text primary key, next_at timestamptz not null)`,
  `create table rate_limits (key text primary key, full_at timestamptz not null)`,
  `create index rate_limits_full on rate_limits (full_at)`,
  `create table secrets (name text primary key, value text not null)`,

  // Counts that every list shows. A trigger counts right whatever statement changes the rows.
  `create function count_votes() returns trigger language plpgsql as $$
   begin
     if tg_op = 'INSERT' then
       update papers set votes = votes + 1 where id = new.paper_id;
     else
       update papers set votes = votes - 1 where id = old.paper_id;
     end if;
     return null;
   end $$`,
  `create trigger count_votes after insert or delete on votes for each row execute function count_votes()`,
  `create function count_edition_papers() returns trigger language plpgsql as $$
   begin
     if tg_op = 'INSERT' then
       update editions e set papers = e.papers + n.papers
         from (select date, count(*) as papers from new_rows group by date) n where e.date = n.date;
     else
       update editions e set papers = e.papers - o.papers
         from (select date, count(*) as papers from old_rows group by date) o where e.date = o.date;
     end if;
     return null;
   end $$`,
  `create trigger count_added_papers after insert on edition_papers
     referencing new table as new_rows for each statement execute function count_edition_papers()`,
  `create trigger count_removed_papers after delete on edition_papers
     referencing old table as old_rows for each statement execute function count_edition_papers()`,
];
